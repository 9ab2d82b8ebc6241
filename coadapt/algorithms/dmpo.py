"""Distributional MPO (Hoffman et al. 2020)."""

from coadapt import schema
from coadapt.algorithms.mpo import TASKS as MPO_TASKS
from coadapt.algorithms.mpo import mpo
from coadapt.config import Config

BASE = "mpo"


def dmpo() -> Config:
    """DMPO as Acme has it (settings 4.4): MPO of n-step returns and 51 atoms.

    The target is the mixture of the distributions at the prior's actions. The atoms lie
    from -150 to 150, which suits DeepMind Control; on other tasks set critic.head.low
    and critic.head.high.
    """
    return schema.override(
        mpo(),
        {
            "critic.head": "C51",
            "critic.head.bins": 51,  # settings 4.4
            "critic.head.low": -150.0,  # settings 4.4
            "critic.head.high": 150.0,  # settings 4.4
            "g_estimate.n_step": "NStepReturn",
            "g_estimate.n_step.steps": 5,  # settings 4.4
        },
    )


TASKS: dict[str, dict[str, object]] = MPO_TASKS  # settings 1.3
