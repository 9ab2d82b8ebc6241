"""Under-appreciated reward exploration (Nachum, Norouzi and Schuurmans 2017)."""

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
from coadapt.optim import Adam, Clip, Optim


def networks() -> Networks:
    """The original is recurrent, for symbolic tasks: TRPO's networks; settings 3.6."""
    net = small.network(0.01)  # settings 3.6
    return Networks(policy=net, critic=net)


def urex() -> Config:
    """UREX as Table 1 has it, whole episodes weighed on the base pi_p (settings 3.4).

    The original: pi_p=Uniform, pi_q.expected_return=true.

    With 11 values of an action it has not been shown to learn Pendulum-v1 in 100,000
    steps (docs/results.md).
    """
    return Config(
        pi_q=pi_q.Episodic(
            standardize=False,  # settings 3.4
            expected_return=False,  # settings 3.4, the table's version
        ),
        pi_p=pi_p.OnPolicy(),
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.ConstantTemperature(value=0.1)  # settings 3.4
        ),
        pi_p_update=pi_p_update.Gradient(trust_region=None),
        g=g.Q(),
        g_estimate=g_estimate.MonteCarlo(discount=0.99),  # settings 3.4 names none
        pi_theta=pi_theta.Softmax(bins=None),  # settings 3.4
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=1e-3),  # settings 3.4 names none
            clip=Clip(norm=50.0),  # settings 3.4
        ),
        target=Target(policy=None, critic=None),
        data=Rollout(
            update_every=5000,  # TRPO's; settings 3.6, for 400 episodes of 3.4
            policy_batch_size=5000,  # settings 3.4: all of them at once
        ),
        schedule=Schedule(
            critic_steps=0,  # settings 3.4: no critic
            policy_steps=1,  # settings 3.4
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.4
