"""Twin delayed DDPG (Fujimoto et al. 2018)."""

from coadapt import schema
from coadapt.algorithms.ddpg import ddpg
from coadapt.config import Config


def td3() -> Config:
    """TD3 (settings 3.9): DDPG, with twins, smoothed targets, and a delayed policy.

    An update is two of the critics and one of the policy and all targets, every two env
    steps.
    """
    return schema.override(
        ddpg(),
        {
            "g_estimate.critics": 2,  # settings 3.9
            "g_estimate.smoothing": "Smoothing",
            "g_estimate.smoothing.std": 0.2,  # settings 3.9
            "g_estimate.smoothing.limit": 0.5,  # settings 3.9
            "data.update_every": 2,  # settings 3.9
            "schedule.critic_steps": 2,  # settings 3.9
            "schedule.policy_steps": 1,  # settings 3.9
        },
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.9
