"""Policy learning by weighting exploration with the returns (Kober, Peters 2008)."""

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
from coadapt.networks import MLP, Init, InputNorm, Networks
from coadapt.optim import Optim


def networks() -> Networks:
    """Linear in the normalised observation: closed forms are of the last layer."""
    linear = MLP(
        sizes=(),  # settings 3.1
        output=Init(weights="uniform", scale=1e-3, bias="zeros"),  # settings 3.1: none
    )
    return Networks(policy=linear, critic=linear, input_norm=InputNorm())


def power() -> Config:
    """PoWER, step-based, with state-dependent exploration (settings 3.1).

    The paper's source is episodic and has no setting for such tasks.

    After 100,000 steps at these numbers it is above a random policy and above doing
    nothing on InvertedDoublePendulum-v5, not on Pendulum-v1 (docs/results.md).
    """
    return Config(
        pi_q=pi_q.NonParametric(normalize="none"),  # w = Q; settings 3.1
        pi_p=pi_p.OnPolicy(),
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.ConstantTemperature(value=1.0)  # settings 3.1
        ),
        pi_p_update=pi_p_update.ClosedForm(ridge=1e-3),  # settings 3.1
        g=g.LogQ(shift="reward"),  # settings 3.1
        g_estimate=g_estimate.MonteCarlo(discount=0.99),  # settings 3.1
        pi_theta=pi_theta.Gaussian(
            mean="free",  # settings 3.1
            scale=pi_theta.FeatureStd(init_std=0.5),  # settings 3.1 names none
        ),
        networks=networks(),
        optim=Optim(),
        target=Target(policy=None, critic=None),
        data=Rollout(
            update_every=5000,  # settings 3.1
            policy_batch_size=5000,  # settings 3.1: all of them at once
        ),
        schedule=Schedule(
            critic_steps=0,  # settings 3.1: no critic
            policy_steps=1,  # settings 3.1
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.1
