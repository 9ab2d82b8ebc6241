"""Randomised ensembled double Q-learning (Chen et al. 2021)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def redq() -> Config:
    """REDQ (settings 4.1): SAC of ten critics, the least of a random pair in targets.

    An update is twenty steps of the critics, each followed by its copy, and one of the
    policy, which climbs the mean of all critics; there is one for each env step.
    """
    return schema.override(
        sac(),
        {
            "g_estimate.critics": 10,  # settings 4.1
            "g_estimate.ensemble": "SubsetMinimum",
            "g_estimate.ensemble.size": 2,  # settings 4.1
            "pi_q.gradient.critic": "mean",  # settings 4.1
            "target.each_step": True,  # settings 4.1
            "data.learning_starts": 5000,  # settings 4.1
            "data.random_steps": 5000,  # settings 4.1
            "schedule.critic_steps": 20,  # settings 4.1
        },
    )
