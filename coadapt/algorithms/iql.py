"""Implicit Q-learning (Kostrikov et al. 2022), offline."""

from coadapt import schema
from coadapt.algorithms.awac import awac
from coadapt.config import Config
from coadapt.networks import Init

BASE = "awac"

ORTHOGONAL = Init(weights="orthogonal", scale=2**0.5, bias="zeros")  # settings 4.8


def iql() -> Config:
    """IQL with the numbers of MuJoCo's data sets (settings 4.8).

    Set data.dataset. The source scales the rewards of those sets to returns that span
    1,000; here they are as they are in the data.
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
            "pi_theta.scale": "LearnedLogStd",  # settings 4.8
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
