"""Critic-regularised regression (Wang et al. 2020), offline."""

from coadapt import schema
from coadapt.algorithms.awac import awac
from coadapt.config import Config

BASE = "awac"


def crr() -> Config:
    """CRR of exponential weights (settings 4.6): AWAC of a data set, with no sum.

    G is the advantage over four of the policy's actions. Set data.dataset, and
    critic.head.low and critic.head.high to the returns of its task. With
    pi_q.form=indicator an action counts where its advantage is above 0.
    """
    return schema.override(
        awac(),
        {
            "pi_q.normalize": "none",  # settings 4.6
            "pi_q.clip.limit": 20.0,  # settings 4.6
            "pi_q_update.temperature.value": 1.0,  # settings 4.6
            "g.baseline": 4,  # settings 4.6
            "g_estimate.critics": 1,  # settings 4.6
            "critic.head": "C51",  # settings 4.6
            "optim.weight_decay": 0.0,  # settings 4.6
            "target.policy": "Hard",
            "target.policy.period": 100,  # settings 4.6
            "target.critic": "Hard",
            "target.critic.period": 100,  # settings 4.6
            "data": "Offline",
            "schedule.simultaneous": False,  # settings 4.6
        },
    )
