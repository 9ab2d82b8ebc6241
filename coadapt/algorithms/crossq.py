"""Batch norm in place of a target network (Bhatt et al. 2024)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def crossq() -> Config:
    """CrossQ (settings 4.11): SAC without slow copies, whose critics pass a batch
    and what follows it in one, through batch renorm.

    An update is three steps of the critics and one of the policy, every three env
    steps.
    """
    return schema.override(
        sac(),
        {
            "target.critic": None,  # settings 4.11
            "networks.critic.sizes": (2048, 2048),  # settings 4.11
            "networks.critic.norm": "BatchRenorm",  # settings 4.11
            "networks.policy.norm": "BatchRenorm",  # settings 4.11
            "optim.policy.rate": 1e-3,  # settings 4.11
            "optim.policy.beta1": 0.5,  # settings 4.11
            "optim.critic.rate": 1e-3,  # settings 4.11
            "optim.critic.beta1": 0.5,  # settings 4.11
            "optim.dual.rate": 1e-3,  # settings 4.11
            "data.update_every": 3,  # settings 4.11
            "data.learning_starts": 5000,  # settings 4.11
            "data.random_steps": 5000,  # settings 4.11
            "schedule.critic_steps": 3,  # settings 4.11
        },
    )
