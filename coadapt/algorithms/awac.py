"""Advantage-weighted actor-critic (Nair et al. 2020)."""

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
from coadapt.networks import MLP, Init, Networks
from coadapt.optim import Adam, Optim

XAVIER = Init(weights="xavier_uniform", scale=1.0)  # settings 1.5


def networks() -> Networks:
    """Two layers of 256 for both; Table 4 has no column for AWAC."""
    net = MLP(
        sizes=(256, 256),  # settings 1.5
        activation="relu",  # settings 1.5
        norm=None,  # settings 1.5
        hidden=XAVIER,
        output=XAVIER,  # settings 1.5
    )
    return Networks(policy=net, critic=net)


def awac() -> Config:
    """AWAC as the authors of the paper ran it (settings 1.5)."""
    return Config(
        pi_q=pi_q.NonParametric(
            normalize="batch",  # settings 1.5, 2.16
            standardize=False,  # settings 1.5
            clip=pi_q.Clip(limit=20.0),  # settings 1.5
        ),
        pi_p=pi_p.Mixture(),
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.ConstantTemperature(value=1.0)  # settings 1.5
        ),
        pi_p_update=pi_p_update.Gradient(trust_region=None),
        g=g.Q(critic="online", baseline=1),  # settings 1.5, 2.16
        g_estimate=g_estimate.TD0(discount=0.99, critics=2),  # settings 1.5
        pi_theta=pi_theta.Gaussian(
            mean="tanh",  # settings 1.5
            scale=pi_theta.LearnedStd(raw=0.0),  # settings 1.5
        ),
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=3e-4),  # settings 1.5
            critic=Adam(rate=3e-4),  # settings 1.5
            weight_decay=1e-4,  # settings 1.5
        ),
        target=Target(policy=None, critic=Soft(rate=5e-3)),  # settings 1.5
        data=Replay(
            capacity=1_000_000,  # settings 1.5
            batch_size=256,  # settings 1.5
            update_every=1,  # settings 1.5
            learning_starts=10_000,  # settings 1.5
            random_steps=10_000,  # settings 1.5
        ),
        schedule=Schedule(simultaneous=True),  # settings 1.5
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 1.5
