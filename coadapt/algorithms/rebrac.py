"""Revisited BRAC (Tarasov et al. 2023), offline."""

from coadapt import schema
from coadapt.algorithms.td3_bc import td3_bc
from coadapt.config import Config

BASE = "td3"


def rebrac() -> Config:
    """ReBRAC (settings 4.7): TD3+BC whose target is cloned too, on deeper networks.

    The policy climbs the minimum of both critics, where TD3's climbs the first.
    Set data.dataset. The source finds both weights for each data set:
    pi_q.gradient.cloning.weight and g_estimate.cloning.weight.
    """
    return schema.override(
        td3_bc(),
        {
            "pi_q.gradient.critic": "minimum",  # settings 4.7
            "pi_q.gradient.cloning.weight": 1.0,  # settings 4.7
            "pi_q.gradient.cloning.alpha": 1.0,  # settings 4.7
            "pi_q.gradient.cloning.over": "sum",  # settings 4.7
            "g_estimate.cloning": "NextCloning",
            "g_estimate.cloning.weight": 1.0,  # settings 4.7
            "networks.policy.sizes": (256, 256, 256),  # settings 4.7
            "networks.critic.sizes": (256, 256, 256),  # settings 4.7
            "networks.critic.norm": "LayerNorm",
            "networks.critic.norm.at": "after",  # settings 4.7
            "networks.input_norm": "none",  # settings 4.7
            "optim.policy.rate": 1e-3,  # settings 4.7
            "optim.critic.rate": 1e-3,  # settings 4.7
            "data.batch_size": 1024,  # settings 4.7
        },
    )
