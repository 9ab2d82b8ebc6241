"""Truncated quantile critics (Kuznetsov et al. 2020)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def tqc() -> Config:
    """TQC (settings 4.2): SAC of five critics of 25 quantiles, the largest left out.

    The policy climbs the mean of all quantiles of all critics.
    """
    return schema.override(
        sac(),
        {
            "critic.head": "Quantiles",
            "critic.head.number": 25,  # settings 4.2
            "critic.head.kappa": 1.0,  # settings 4.2
            "g_estimate.critics": 5,  # settings 4.2
            "g_estimate.ensemble": "Truncated",
            "g_estimate.ensemble.drop": 2,  # settings 4.2
            "pi_q.gradient.critic": "mean",  # settings 4.2
            "networks.critic.sizes": (512, 512, 512),  # settings 4.2
        },
    )


TASKS: dict[str, dict[str, object]] = {  # settings 4.2
    "gym/Hopper": {"g_estimate.ensemble.drop": 5},
    "gym/HalfCheetah": {"g_estimate.ensemble.drop": 0},
    "gym/Walker2d": {"g_estimate.ensemble.drop": 2},
    "gym/Ant": {"g_estimate.ensemble.drop": 2},
    "gym/Humanoid": {"g_estimate.ensemble.drop": 2},
}
