"""Advantage-weighted regression (Peng et al. 2019)."""

from coadapt.config import BoundLoss, Config, Schedule, Target, Trajectories
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
from coadapt.optim import SGD, Optim

XAVIER = Init(weights="xavier_uniform", scale=1.0)  # settings 1.4


def networks() -> Networks:
    """Table 4, column AWR."""
    return Networks(
        policy=MLP(
            sizes=(128, 64),  # settings 1.4
            activation="relu",  # settings 1.4
            norm=None,  # Table 4
            hidden=XAVIER,
            output=Init(weights="uniform", scale=1e-2, bias="zeros"),  # settings 2.2
        ),
        critic=MLP(
            sizes=(128, 64),  # settings 1.4
            activation="relu",  # settings 1.4
            norm=None,  # Table 4
            hidden=XAVIER,
            output=XAVIER,  # settings 1.4
        ),
        input_norm=InputNorm(limit=5.0, epsilon=0.01, until=300_000),  # settings 1.4
    )


def awr() -> Config:
    """AWR as the authors of the paper ran it (settings 1.4), for HalfCheetah."""
    return Config(
        pi_q=pi_q.NonParametric(
            normalize="none",  # settings 1.4
            standardize=True,  # settings 1.4
            clip=pi_q.Clip(limit=20.0),  # settings 1.4
        ),
        pi_p=pi_p.Mixture(),
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.ConstantTemperature(value=1.0)  # settings 1.4
        ),
        pi_p_update=pi_p_update.Gradient(trust_region=None),
        g=g.Advantage(),
        g_estimate=g_estimate.TDLambda(
            discount=0.99,  # settings 1.4
            lam=0.95,  # settings 1.4
            scaled=True,  # settings 1.4
        ),
        pi_theta=pi_theta.Gaussian(
            mean="free",  # settings 1.4
            scale=pi_theta.ConstantStd(value=0.4),  # settings 1.4
        ),
        networks=networks(),
        optim=Optim(
            policy=SGD(rate=5e-5, momentum=0.9),  # settings 1.4, per task
            critic=SGD(rate=1e-2, momentum=0.9),  # Table 4
        ),
        bounds=BoundLoss(scale=10.0),  # settings 1.4
        target=Target(policy=None, critic=None),  # settings 1.4
        data=Trajectories(
            capacity=50_000,  # settings 1.4
            batch_size=256,  # settings 1.4
            update_every=3000,  # settings 1.4
            learning_starts=3000,  # settings 1.4
            relabel=True,  # settings 1.4, step iv
            drop_last=True,  # settings 2.14
        ),
        schedule=Schedule(
            critic_steps=293,  # ceil(200 * 3000 / 2048); settings 1.4
            policy_steps=1465,  # ceil(1000 * 3000 / 2048); settings 1.4
        ),
    )


TASKS: dict[str, dict[str, object]] = {  # settings 1.4, per-environment list
    "gym/HalfCheetah": {"optim.policy.rate": 5e-5},
    "gym/Ant": {"optim.policy.rate": 5e-5, "pi_theta.scale.value": 0.2},
    "gym/Hopper": {"optim.policy.rate": 1e-4},
    "gym/Walker2d": {"optim.policy.rate": 2.5e-5},
    "gym/Humanoid": {"optim.policy.rate": 1e-5},
    # the authors ran cartpole_swingup alone
    "dmc/": {"optim.policy.rate": 5e-5, "pi_theta.scale.value": 0.4},
}
