"""Behaviour-regularised actor-critic (Wu et al. 2019)."""

from coadapt.config import Config, Offline, Schedule, Soft, Target
from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.networks import MLP, Init, Networks
from coadapt.optim import Adam, Optim

FAN_IN = Init(weights="fan_in_uniform", scale=1 / 3)  # settings 3.10 names none


def networks() -> Networks:
    """300-300 for the critics, 200-200 for the policies; settings 3.10."""
    return Networks(
        policy=MLP(
            sizes=(200, 200),  # settings 3.10
            activation="relu",  # settings 3.10
            hidden=FAN_IN,
            output=FAN_IN,
        ),
        critic=MLP(
            sizes=(300, 300),  # settings 3.10
            activation="relu",  # settings 3.10
            hidden=FAN_IN,
            output=FAN_IN,
        ),
    )


def brac() -> Config:
    """BRAC with the primal KL and the value penalty (settings 3.10), offline.

    Without the penalty in the value: g=Q. Set data.dataset.
    """
    return Config(
        pi_q=pi_q.Parametric(gradient=pi_q.Pathwise(critic="mix")),  # settings 3.10
        pi_p=pi_p.Behavior(
            model=pi_p.Clone(),
            pretrain_updates=20_000,  # settings 3.10 names none
            keep_fitting=False,  # settings 3.10
        ),
        pi_q_update=pi_q_update.Gradient(
            temperature=pi_q_update.ConstantTemperature(value=0.1),  # settings 3.10
            divergence=pi_q_update.KL(samples=4),  # settings 3.10
        ),
        pi_p_update=pi_p_update.Fixed(),
        g=g.SoftQ(),
        g_estimate=g_estimate.TD0(
            discount=0.99,  # settings 3.10 names none
            critics=2,  # settings 3.10
            mix=1.0,  # settings 3.10
        ),
        pi_theta=pi_theta.TanhGaussian(
            scale=pi_theta.StateLogStd(low=-5.0, high=2.0)  # settings 3.10 names none
        ),
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=3e-4),  # settings 3.10
            critic=Adam(rate=1e-3),  # settings 3.10
            prior=Adam(rate=3e-4),  # settings 3.10
        ),
        target=Target(policy=None, critic=Soft(rate=5e-3)),  # settings 3.10
        data=Offline(batch_size=256),  # settings 3.10
        schedule=Schedule(warm_start=20_000),  # settings 3.10
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.10
