"""Proximal policy optimisation with a KL penalty (Schulman et al. 2017)."""

from coadapt.algorithms import small
from coadapt.config import Config, Rollout, Schedule, Target
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
    """Separate, 64-64, tanh; settings 3.7."""
    return Networks(
        policy=small.network(0.01),  # settings 3.7
        critic=small.network(1.0),  # settings 3.7
        input_norm=small.input_norm(),
    )


def ppo() -> Config:
    """PPO with the adaptive penalty of its paper (settings 3.7).

    The clipped surrogate: pi_q_update.trust_region=ClippedRatio.

    After 100,000 steps at these numbers it is above a random policy and above doing
    nothing on InvertedDoublePendulum-v5, not on Pendulum-v1 (docs/results.md).
    """
    return Config(
        pi_q=pi_q.Parametric(
            gradient=pi_q.LikelihoodRatio(standardize=True)  # settings 3.7
        ),
        pi_p=pi_p.Posterior(),
        pi_q_update=pi_q_update.Proximal(
            trust_region=pi_q_update.KLPenalty(
                target=0.01,  # settings 3.7
                init=1.0,  # settings 3.7
            )
        ),
        pi_p_update=pi_p_update.Copy(),
        g=g.Advantage(),
        g_estimate=g_estimate.GAE(
            discount=0.99,  # settings 3.7
            lam=0.95,  # settings 3.7
        ),
        pi_theta=pi_theta.Gaussian(
            mean="free",  # settings 3.7
            scale=pi_theta.LearnedLogStd(raw=0.0),  # settings 3.7
        ),
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=3e-4),  # settings 3.7
            critic=Adam(rate=3e-4),  # settings 3.7
        ),
        target=Target(policy=None, critic=None),
        data=Rollout(
            batch_size=64,  # settings 3.7
            update_every=2048,  # settings 3.7
        ),
        schedule=Schedule(
            critic_steps=320,  # 10 epochs of 2048 / 64; settings 3.7
            policy_steps=320,  # settings 3.7
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.7
