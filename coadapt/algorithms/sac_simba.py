"""SAC with SimBa's networks (Lee et al. 2025)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def sac_simba() -> Config:
    """SimBa-SAC (settings 4.13): residual blocks, inputs by their running moments, and
    AdamW.
    """
    return schema.override(
        sac(),
        {
            "networks.policy": "SimBa",
            "networks.policy.width": 128,  # settings 4.13
            "networks.policy.blocks": 1,  # settings 4.13
            "networks.critic": "SimBa",
            "networks.critic.width": 512,  # settings 4.13
            "networks.critic.blocks": 2,  # settings 4.13
            "optim.policy": "AdamW",
            "optim.policy.rate": 1e-4,  # settings 4.13
            "optim.policy.decay": 1e-2,  # settings 4.13
            "optim.critic": "AdamW",
            "optim.critic.rate": 1e-4,  # settings 4.13
            "optim.critic.decay": 1e-2,  # settings 4.13
            "networks.input_norm": "InputNorm",
            "networks.input_norm.limit": None,  # settings 4.13
            "networks.input_norm.epsilon": 1e-8,  # settings 4.13
            "networks.input_norm.until": None,  # settings 4.13
            "pi_q_update.temperature.init": 0.01,  # settings 4.13
            "pi_q_update.temperature.target": -0.5,  # settings 4.13
            "g_estimate.discount": 0.995,  # settings 4.13
            "pi_theta.scale.low": -10.0,  # settings 4.13
            "data.learning_starts": 5000,  # settings 4.13
            "data.random_steps": 5000,  # settings 4.13
            "optim.dual.rate": 1e-4,  # settings 4.13
        },
    )
