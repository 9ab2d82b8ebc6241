"""Twin delayed DDPG (Fujimoto et al. 2018)."""

from coadapt.algorithms.ddpg import networks as ddpg_networks
from coadapt.config import Config, Replay, Schedule, Soft, Target
from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.networks import Networks
from coadapt.optim import Adam, Optim


def networks() -> Networks:
    """DDPG's; settings 3.9."""
    return ddpg_networks()


def td3() -> Config:
    """TD3 (settings 3.9): DDPG, with twins, smoothed targets, and a delayed policy.

    An update is two of the critics and one of the policy and all targets, every two env
    steps.
    """
    return Config(
        pi_q=pi_q.Parametric(gradient=pi_q.Pathwise(critic="first")),  # settings 3.9
        pi_p=pi_p.Ignored(),
        pi_q_update=pi_q_update.Gradient(
            temperature=pi_q_update.ConstantTemperature(value=0.0)  # settings 3.9
        ),
        pi_p_update=pi_p_update.Fixed(),
        g=g.Q(),
        g_estimate=g_estimate.TD0(
            discount=0.99,  # settings 3.9
            critics=2,  # settings 3.9
            smoothing=g_estimate.Smoothing(
                std=0.2,  # settings 3.9
                limit=0.5,  # settings 3.9
            ),
        ),
        pi_theta=pi_theta.Deterministic(noise=0.1),  # settings 3.9
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=1e-3),  # settings 3.9
            critic=Adam(rate=1e-3),  # settings 3.9
        ),
        target=Target(policy=Soft(rate=5e-3), critic=Soft(rate=5e-3)),  # settings 3.9
        data=Replay(
            capacity=1_000_000,  # settings 3.9
            batch=100,  # settings 3.9
            steps=2,  # settings 3.9
            start=10_000,  # settings 3.9
            warmup=10_000,  # settings 3.9
        ),
        schedule=Schedule(
            critic_steps=2,  # settings 3.9
            policy_steps=1,  # settings 3.9
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.9
