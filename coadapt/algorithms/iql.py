"""Implicit Q-learning (Kostrikov et al. 2022), offline."""

from coadapt import schema
from coadapt.algorithms.awac import awac
from coadapt.config import Config
from coadapt.networks import Init

BASE = "awac"

ORTHOGONAL = Init(weights="orthogonal", scale=2**0.5, bias="zeros")  # settings 4.8


def iql() -> Config:
    """IQL with the numbers of MuJoCo's data sets (settings 4.8).

    Set data.dataset. Rewards are as they are in the data: what the source makes of them
    is left out. Of HalfCheetah, Walker2d and Hopper it divides them by the difference
    between the best and the worst return of the set, times 1,000; of AntMaze it takes
    off 1. A data set whose rewards are made so beforehand is the same.
    """
    return schema.override(
        awac(),
        {
            "pi_q.normalize": "none",  # settings 4.8
            "pi_q.clip.limit": 100.0,  # settings 4.8
            "pi_q_update.temperature.value": 1.0 / 3.0,  # 1 / beta; settings 4.8
            "g.critic": "target",  # settings 4.8
            "g.baseline": 0,
            "g.over_value": True,
            "g_estimate.value": "Expectile",
            "g_estimate.value.expectile": 0.7,  # settings 4.8
            "pi_theta.scale": "LearnedLogStd",
            "pi_theta.scale.floor": -5.0,  # settings 4.8
            "pi_theta.scale.ceiling": 2.0,  # settings 4.8
            "networks.policy.hidden": ORTHOGONAL,
            "networks.policy.output": ORTHOGONAL,
            "networks.critic.hidden": ORTHOGONAL,
            "networks.critic.output": ORTHOGONAL,
            "optim.policy.schedule": "CosineRate",
            "optim.policy.schedule.length": 1_000_000,  # settings 4.8
            "optim.weight_decay": 0.0,  # settings 4.8
            "data": "Offline",
            "schedule.simultaneous": False,
        },
    )
