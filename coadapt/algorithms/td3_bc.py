"""TD3 with behaviour cloning (Fujimoto and Gu 2021), offline."""

from coadapt import schema
from coadapt.algorithms.td3 import td3
from coadapt.config import Config

BASE = "td3"


def td3_bc() -> Config:
    """TD3+BC (settings 4.5): TD3's critic, less the distance from the data's action.

    Set data.dataset. An update is two steps of the critics and one of the policy.
    """
    return schema.override(
        td3(),
        {
            "pi_q.gradient.cloning": "Cloning",
            "pi_q.gradient.cloning.weight": 1.0,  # settings 4.5
            "pi_q.gradient.cloning.alpha": 2.5,  # settings 4.5
            "networks.policy.sizes": (256, 256),  # settings 4.5
            "networks.critic.sizes": (256, 256),  # settings 4.5
            "networks.input_norm": "InputNorm",  # settings 4.5
            "networks.input_norm.epsilon": 1e-6,  # of a variance; settings 4.5
            "networks.input_norm.limit": 1e6,  # none; settings 4.5
            "optim.policy.rate": 3e-4,  # settings 4.5
            "optim.critic.rate": 3e-4,  # settings 4.5
            "data": "Offline",
            "data.batch_size": 256,  # settings 4.5
        },
    )
