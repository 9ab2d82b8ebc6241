"""SAC with SimbaV2's networks, head and rewards (Lee et al. 2025b)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def sac_simbav2() -> Config:
    """SimbaV2-SAC (settings 4.14): features and weights of length 1, critics of 101
    atoms, rewards scaled by returns, and rates that fall to a half in a million steps.

    The mean and spread of its source's policy have a last layer each, and its log std
    is squeezed by a tanh where ours is clipped.
    """
    return schema.override(
        sac(),
        {
            "networks.policy": "SimbaV2",
            "networks.policy.width": 128,  # settings 4.14
            "networks.policy.blocks": 1,  # settings 4.14
            "networks.critic": "SimbaV2",
            "networks.critic.width": 512,  # settings 4.14
            "networks.critic.blocks": 2,  # settings 4.14
            "critic.head": "C51",
            "critic.head.low": -5.0,  # settings 4.14
            "critic.head.high": 5.0,  # settings 4.14
            "critic.head.bins": 101,  # settings 4.14
            "reward": "BoundReward",
            "reward.most": 5.0,  # settings 4.14
            "optim.policy.rate": 1e-4,  # settings 4.14
            "optim.policy.schedule": "LinearRate",
            "optim.policy.schedule.end": 0.5,  # settings 4.14
            "optim.critic.rate": 1e-4,  # settings 4.14
            "optim.critic.schedule": "LinearRate",
            "optim.critic.schedule.end": 0.5,  # settings 4.14
            "networks.input_norm": "InputNorm",
            "networks.input_norm.limit": None,  # settings 4.14
            "networks.input_norm.epsilon": 1e-8,  # settings 4.14
            "networks.input_norm.until": None,  # settings 4.14
            "pi_q_update.temperature.init": 0.01,  # settings 4.14
            "pi_q_update.temperature.target": -0.5,  # settings 4.14
            "g_estimate.discount": 0.995,  # settings 4.14
            "pi_theta.scale.low": -10.0,  # settings 4.14
            "data.learning_starts": 5000,  # settings 4.14
            "data.random_steps": 5000,  # settings 4.14
            "optim.dual.rate": 1e-4,  # settings 4.14
            "optim.dual.schedule": "LinearRate",
            "optim.dual.schedule.end": 0.5,  # settings 4.14
        },
    )
