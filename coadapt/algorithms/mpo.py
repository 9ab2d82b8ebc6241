"""Maximum a posteriori policy optimisation (Abdolmaleki et al. 2018)."""

from coadapt.config import BoundWeights, Config, Hard, Replay, Target
from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.networks import MLP, Init, LayerNorm, Networks
from coadapt.optim import Adam, Clip, Optim

HIDDEN = Init(weights="fan_out_uniform", scale=0.33)  # settings 1.3
POLICY_OUTPUT = Init(weights="fan_in_normal", scale=1e-4, bias="zeros")  # settings 2.2


def networks() -> Networks:
    """Table 4, column MPO."""
    return Networks(
        policy=MLP(
            sizes=(256, 256, 256),  # settings 1.3
            activation="elu",  # settings 1.3
            norm=LayerNorm(at="first_tanh"),  # settings 1.3
            hidden=HIDDEN,
            output=POLICY_OUTPUT,
        ),
        critic=MLP(
            sizes=(512, 512, 256),  # settings 1.3
            activation="elu",  # settings 1.3
            norm=LayerNorm(at="first_tanh"),  # settings 1.3
            hidden=HIDDEN,
            output=HIDDEN,  # uniform within +-0.995; settings 2.3
        ),
    )


def mpo() -> Config:
    """MPO as the authors of the paper ran it (settings 1.3), for HalfCheetah."""
    return Config(
        pi_q=pi_q.NonParametric(normalize="state"),  # settings 1.3, step 3
        pi_p=pi_p.Policy(samples=20, states="next"),  # settings 1.3, step 1
        pi_q_update=pi_q_update.Analytic(
            temperature=pi_q_update.KLTemperature(epsilon=0.1, init=1.0)  # settings 1.3
        ),
        pi_p_update=pi_p_update.Gradient(
            trust_region=pi_p_update.DecoupledKL(
                epsilon_mean=1e-3,  # settings 1.3, per task
                epsilon_std=1e-6,  # settings 1.3, per task
                init_mean=1.0,  # settings 1.3
                init_std=10.0,  # settings 1.3
            )
        ),
        g=g.Q(critic="target"),  # settings 1.3, step 1
        g_estimate=g_estimate.Retrace(discount=0.99, critics=1),  # settings 1.3, 2.4
        pi_theta=pi_theta.Gaussian(
            mean="free",  # settings 1.3
            scale=pi_theta.StateSoftplusStd(
                init_std=0.5,  # settings 1.3
                std_offset=1e-6,  # settings 1.3
            ),
        ),
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=1e-4),  # Table 4
            critic=Adam(rate=1e-4),  # Table 4
            dual=Adam(rate=1e-2),  # settings 1.3
            clip=Clip(norm=40.0),  # settings 1.3
        ),
        bounds=BoundWeights(epsilon=1e-3, init=1.0),  # settings 1.3, step 4
        target=Target(policy=Hard(period=100), critic=Hard(period=100)),  # settings 1.3
        data=Replay(
            capacity=1_000_000,  # settings 1.3
            batch_size=256,  # settings 1.3
            update_every=8,  # settings 1.3
            learning_starts=1000,  # settings 1.3
            random_steps=0,  # settings 1.3
        ),
    )


def _task(init_std: float, dimensions: int) -> dict[str, object]:
    """A row of settings 1.3: the std at the start, and KL bounds over so many dims."""
    trust = "pi_p_update.trust_region"
    return {
        "pi_theta.scale.init_std": init_std,
        f"{trust}.epsilon_mean": 1e-3 / dimensions,
        f"{trust}.epsilon_std": 1e-6 / dimensions,
    }


# The authors ran four tasks of DeepMind Control: cartpole_swingup and the humanoid's
# three, all by one rule (a std of 0.3, bounds over the number of action dimensions),
# which is taken for the others too
DMC = {  # domain -> action dimensions
    "acrobot": 1,
    "ball_in_cup": 2,
    "cartpole": 1,
    "cheetah": 6,
    "dog": 38,
    "finger": 2,
    "fish": 5,
    "hopper": 4,
    "humanoid": 21,
    "humanoid_CMU": 56,
    "manipulator": 5,
    "pendulum": 1,
    "point_mass": 2,
    "quadruped": 12,
    "reacher": 2,
    "stacker": 5,
    "swimmer_swimmer6": 5,
    "swimmer_swimmer15": 14,
    "walker": 6,
}

TASKS: dict[str, dict[str, object]] = {  # settings 1.3, per-environment table
    "gym/HalfCheetah": _task(0.5, 1),
    "gym/Ant": _task(0.5, 1),
    "gym/Hopper": _task(0.7, 3),
    "gym/Walker2d": _task(0.3, 6),
    "gym/Humanoid": _task(0.3, 17),
    "gym/Reacher": _task(0.5, 2),
    "gym/Pusher": _task(0.3, 7),
    "ours/Striker": _task(0.2, 7),
    "gym/Swimmer": _task(0.5, 2),  # no config exists: Reacher's row; settings 1.3
    **{f"dmc/{domain}": _task(0.3, size) for domain, size in DMC.items()},
}
