"""The SAC parts of Bigger, Regularized, Optimistic (Nauman et al. 2024)."""

from coadapt import schema
from coadapt.algorithms.sac import sac
from coadapt.config import Config

BASE = "sac"


def sac_bro() -> Config:
    """BRO's SAC parts (settings 4.15): its networks, critics of 100 quantiles without a
    minimum, AdamW, ten steps of each an env step, and networks that start anew.

    Left out: its second, optimistic policy, which explores, and its multipliers; its
    first resets, which come sooner than the others. Its target has the mean of both
    critics' quantiles, where ours is their mixture, of the same mean.
    """
    return schema.override(
        sac(),
        {
            "networks.policy": "BroNet",
            "networks.policy.width": 256,  # settings 4.15
            "networks.policy.blocks": 1,  # settings 4.15
            "networks.critic": "BroNet",
            "networks.critic.width": 512,  # settings 4.15
            "networks.critic.blocks": 2,  # settings 4.15
            "critic.head": "Quantiles",
            "critic.head.number": 100,  # settings 4.15
            "g_estimate.ensemble": "Mean",
            "pi_q.gradient.critic": "mean",  # settings 4.15
            "optim.policy": "AdamW",
            "optim.policy.decay": 1e-4,  # settings 4.15
            "optim.critic": "AdamW",
            "optim.critic.decay": 1e-4,  # settings 4.15
            "pi_q_update.temperature.target": -0.5,  # settings 4.15
            "target.each_step": True,  # settings 4.15
            "data.batch_size": 128,  # settings 4.15
            "data.learning_starts": 2500,  # settings 4.15
            "data.random_steps": 2500,  # settings 4.15
            "schedule.critic_steps": 10,  # settings 4.15
            "schedule.policy_steps": 10,  # settings 4.15
            "schedule.resets": "Resets",
            "schedule.resets.period": 250_000,  # settings 4.15
        },
    )
