"""Deep deterministic policy gradient (Lillicrap et al. 2016)."""

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

FAN_IN = Init(weights="fan_in_uniform", scale=1 / 3)  # torch's own; settings 3.8


def networks() -> Networks:
    """400-300, ReLU, for both; settings 3.8."""
    net = MLP(
        sizes=(400, 300),  # settings 3.8
        activation="relu",  # settings 3.8
        hidden=FAN_IN,
        output=FAN_IN,
    )
    return Networks(policy=net, critic=net)


def ddpg() -> Config:
    """DDPG as Fujimoto et al. tuned it and PFRL has it (settings 3.8)."""
    return Config(
        pi_q=pi_q.Parametric(gradient=pi_q.Pathwise(critic="first")),  # settings 3.8
        pi_p=pi_p.Ignored(),
        pi_q_update=pi_q_update.Gradient(
            temperature=pi_q_update.ConstantTemperature(value=0.0)  # settings 3.8
        ),
        pi_p_update=pi_p_update.Fixed(),
        g=g.Q(),
        g_estimate=g_estimate.TD0(
            discount=0.99,  # settings 3.8
            critics=1,  # settings 3.8
        ),
        pi_theta=pi_theta.Deterministic(noise=0.1),  # settings 3.8
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=1e-3),  # settings 3.8
            critic=Adam(rate=1e-3),  # settings 3.8
        ),
        target=Target(policy=Soft(rate=5e-3), critic=Soft(rate=5e-3)),  # settings 3.8
        data=Replay(
            capacity=1_000_000,  # settings 3.8
            batch_size=100,  # settings 3.8
            update_every=1,  # settings 3.8
            learning_starts=10_000,  # settings 3.8
            random_steps=10_000,  # settings 3.8
        ),
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.8
