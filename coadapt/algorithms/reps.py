"""Relative entropy policy search (Peters, Muelling and Altun 2010)."""

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
from coadapt.networks import MLP, Fourier, Init, Networks
from coadapt.optim import Adam, Optim


def networks() -> Networks:
    """V is linear in features, so that its dual is convex; settings 3.3."""
    return Networks(
        policy=small.network(0.01),  # TRPO's; settings 3.6
        critic=MLP(
            features=Fourier(number=100, width=2.0),  # settings 3.3: phi
            sizes=(),  # settings 3.3
            output=Init(weights="uniform", scale=1e-3, bias="zeros"),
        ),
        input_norm=small.input_norm(),
    )


def reps() -> Config:
    """REPS on rollouts of the last policy (settings 3.3); it has no standard setting.

    A Softmax of a network is fitted to pi_q by SG: a projection that the original, with
    a table, does not need.

    After 100,000 steps with 11 values of an action it is above a random policy and
    above doing nothing on InvertedDoublePendulum-v5, not on Pendulum-v1
    (docs/results.md).
    """
    return Config(
        pi_q=pi_q.NonParametric(normalize="batch"),  # settings 3.3: one Z
        pi_p=pi_p.Posterior(),
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.DualTemperature(epsilon=0.5)  # settings 3.3
        ),
        pi_p_update=pi_p_update.Copy(),
        g=g.Advantage(),
        g_estimate=g_estimate.DualValue(discount=0.99),  # settings 3.3
        pi_theta=pi_theta.Softmax(bins=None),  # settings 3.3
        networks=networks(),
        optim=Optim(policy=Adam(rate=1e-3)),  # settings 3.3 names none
        target=Target(policy=None, critic=None),
        data=Rollout(
            batch_size=250,  # settings 3.3 names none
            update_every=2500,  # settings 3.3 names none
        ),
        schedule=Schedule(
            critic_steps=0,  # settings 3.3: the dual is solved
            policy_steps=100,  # ten passes; settings 3.3 names none
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.3
