"""Distributional deterministic policy gradient (Barth-Maron et al. 2018)."""

from coadapt import schema
from coadapt.algorithms.ddpg import ddpg
from coadapt.algorithms.mpo import networks
from coadapt.config import Config

BASE = "ddpg"


def d4pg() -> Config:
    """D4PG as Acme has it (settings 4.3): DDPG of n-step returns and 51 atoms.

    The atoms lie from -150 to 150, which suits DeepMind Control; on other tasks set
    critic.head.low and critic.head.high.
    """
    return schema.override(
        ddpg(),
        {
            "networks": networks(),  # MPO's; settings 4.3
            "critic.head": "C51",
            "critic.head.bins": 51,  # settings 4.3
            "critic.head.low": -150.0,  # settings 4.3
            "critic.head.high": 150.0,  # settings 4.3
            "g_estimate.n_step": "NStepReturn",
            "g_estimate.n_step.steps": 5,  # settings 4.3
            "pi_theta.noise": 0.3,  # settings 4.3
            "optim.policy.rate": 1e-4,  # settings 4.3
            "optim.critic.rate": 1e-4,  # settings 4.3
            "optim.clip": "Clip",
            "optim.clip.norm": 40.0,  # settings 4.3
            "target.policy": "Hard",
            "target.policy.period": 100,  # settings 4.3
            "target.critic": "Hard",
            "target.critic.period": 100,  # settings 4.3
            "data.batch_size": 256,  # settings 4.3
            "data.update_every": 8,  # settings 4.3
            "data.learning_starts": 1000,  # settings 4.3
            "data.random_steps": 0,  # settings 4.3
        },
    )
