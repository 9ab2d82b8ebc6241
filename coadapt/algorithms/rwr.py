"""Reward-weighted regression (Peters and Schaal 2007)."""

from coadapt.algorithms.awr import networks as awr_networks
from coadapt.config import BoundLoss, Config, Rollout, Schedule, Target
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
from coadapt.optim import SGD, Optim


def networks() -> Networks:
    """AWR's; settings 3.2."""
    return awr_networks()


def rwr() -> Config:
    """RWR with returns, as a baseline of the AWR paper has it (settings 3.2).

    After 100,000 steps at these numbers it is above a random policy and above doing
    nothing on InvertedDoublePendulum-v5, not on Pendulum-v1 (docs/results.md).
    """
    return Config(
        pi_q=pi_q.NonParametric(
            normalize="none",  # settings 3.2
            standardize=True,  # settings 3.2
            clip=pi_q.Clip(limit=20.0),  # settings 3.2
        ),
        pi_p=pi_p.OnPolicy(),
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.ConstantTemperature(value=1.0)  # settings 3.2
        ),
        pi_p_update=pi_p_update.Gradient(trust_region=None),
        g=g.LogReward(of="return"),  # settings 3.2
        g_estimate=g_estimate.NoEstimate(discount=0.99),  # settings 3.2
        pi_theta=pi_theta.Gaussian(
            mean="free",  # settings 3.2
            scale=pi_theta.ConstantStd(value=0.4),  # settings 3.2
        ),
        networks=networks(),
        optim=Optim(policy=SGD(rate=5e-5, momentum=0.9)),  # AWR's; settings 1.4, 3.2
        bounds=BoundLoss(scale=10.0),  # AWR's; settings 1.4
        target=Target(policy=None, critic=None),
        data=Rollout(
            batch_size=256,  # AWR's; settings 1.4
            update_every=3000,  # settings 3.2
        ),
        schedule=Schedule(
            critic_steps=0,  # settings 3.2: no critic
            policy_steps=1465,  # AWR's; settings 1.4
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.2
