"""PPO with the details of implementations that are in wide use (Huang et al. 2022)."""

from coadapt import schema
from coadapt.algorithms import small
from coadapt.algorithms.ppo import ppo
from coadapt.config import Config

BASE = "ppo"

GAIN = 2**0.5  # of hidden layers; settings 4.9
STEPS = 1_000_000 // 2048 * 320  # gradient steps of a million env steps; settings 4.9


def ppo_details() -> Config:
    """PPO as CleanRL's `ppo_continuous_action` has it (settings 4.9).

    There the gradients of policy and critic are clipped by one norm together, the
    critic's has half the weight, the rate falls once an iteration, and a time limit is
    a termination (`data.terminate_at_limit`).
    """
    return schema.override(
        ppo(),
        {
            "pi_q_update.trust_region": "ClippedRatio",
            "pi_q_update.trust_region.epsilon": 0.2,  # settings 4.9
            "pi_q.gradient.over": "minibatch",  # settings 4.9
            "pi_q.gradient.entropy": "EntropyBonus",
            "pi_q.gradient.entropy.weight": 0.0,  # settings 4.9
            "critic.clip": "ValueClip",
            "critic.clip.limit": 0.2,  # settings 4.9
            "networks.policy": small.network(0.01, GAIN),  # settings 4.9
            "networks.critic": small.network(1.0, GAIN),  # settings 4.9
            "networks.input_norm.limit": 10.0,  # settings 4.9
            "networks.input_norm.epsilon": 1e-8,  # settings 4.9
            "optim.clip": "Clip",
            "optim.clip.norm": 0.5,  # settings 4.9
            "optim.policy.epsilon": 1e-5,  # settings 4.9
            "optim.critic.epsilon": 1e-5,  # settings 4.9
            "optim.policy.schedule": "LinearRate",
            "optim.policy.schedule.length": STEPS,  # settings 4.9
            "optim.critic.schedule": "LinearRate",
            "optim.critic.schedule.length": STEPS,  # settings 4.9
            "reward": "ScaleReward",
            "reward.limit": 10.0,  # settings 4.9
        },
    )
