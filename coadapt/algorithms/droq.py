"""Dropout Q-functions (Hiraoka et al. 2022)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def droq() -> Config:
    """DroQ (settings 4.12): SAC whose two critics drop units before a layer norm.

    An update is twenty steps of the critics, each followed by its copy, and one of the
    policy, which climbs their mean; there is one for each env step. Its source has
    another share of dropped units on each task.
    """
    return schema.override(
        sac(),
        {
            "networks.critic.dropout": 0.01,  # settings 4.12
            "networks.critic.norm": "LayerNorm",  # settings 4.12
            "networks.critic.norm.at": "before",  # settings 4.12
            "pi_q.gradient.critic": "mean",  # settings 4.12
            "target.each_step": True,  # settings 4.12
            "data.learning_starts": 5000,  # settings 4.12
            "data.random_steps": 5000,  # settings 4.12
            "schedule.critic_steps": 20,  # settings 4.12
        },
    )
