"""Soft actor-critic (Haarnoja et al. 2018b)."""

from coadapt.config import Config, Replay, Soft, Target
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

XAVIER = Init(weights="xavier_uniform", scale=1.0)  # settings 1.1


def networks() -> Networks:
    """Table 4, column SAC."""
    net = MLP(
        sizes=(256, 256),  # settings 1.1
        activation="relu",  # settings 1.1
        norm=None,  # settings 1.1
        hidden=XAVIER,
        output=XAVIER,  # gain 1.0 for the policy's output too; settings 2.2
    )
    return Networks(policy=net, critic=net)


def sac() -> Config:
    """SAC as the authors of the paper ran it (settings 1.1)."""
    return Config(
        pi_q=pi_q.Parametric(),
        pi_p=pi_p.Uniform(),
        pi_q_update=pi_q_update.Gradient(
            temperature=pi_q_update.EntropyTemperature(
                target=-1.0,  # a dimension; settings 1.1
                init=1.0,  # settings 1.1
            )
        ),
        pi_p_update=pi_p_update.Fixed(),
        g=g.SoftQ(),
        g_estimate=g_estimate.TD0(discount=0.99, critics=2),  # settings 1.1
        pi_theta=pi_theta.TanhGaussian(
            scale=pi_theta.StateLogStd(low=-20.0, high=2.0)  # settings 1.1
        ),
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=3e-4),  # Table 4
            critic=Adam(rate=3e-4),  # Table 4
            dual=Adam(rate=3e-4),  # settings 1.1
        ),
        target=Target(policy=None, critic=Soft(rate=5e-3)),  # settings 1.1
        data=Replay(
            capacity=1_000_000,  # settings 1.1
            batch_size=256,  # settings 1.1
            update_every=1,  # settings 1.1
            learning_starts=10_000,  # settings 1.1
            random_steps=10_000,  # settings 1.1
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 1.1
