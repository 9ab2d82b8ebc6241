"""Every preset at the size of a test, and a data set for those that learn offline."""

from collections.abc import Container, Iterable
from typing import Any

import jax
import numpy as np
import pytest

from coadapt import agent, algorithms, envs, schema
from coadapt.data import offline
from coadapt.envs import toy
from coadapt.types import Transition


def cases(
    all_of: Iterable[Any],
    left_out: Container[Any],
    mark: pytest.MarkDecorator = pytest.mark.long,
) -> list:
    """Parameters, of which those that a usual run leaves out are marked."""
    return [pytest.param(c, marks=[mark] * (c in left_out)) for c in all_of]


# An agent's functions, each of which is one program: called as they are, each of their
# hundreds of operations would be compiled as one.
init = jax.jit(agent.init, static_argnums=1)
compute_targets = jax.jit(agent.compute_targets)
evaluate = jax.jit(agent.evaluate)


@jax.jit
def improve(config, state, batch, key):
    return agent.improve(config, state, batch, key, state.params.critic)


MLP = {"networks.policy.sizes": (16, 16), "networks.critic.sizes": (16, 16)}
RING = {
    "data.capacity": 70,  # below every run's length, so that one program serves all
    "data.learning_starts": 64,
    "data.random_steps": 64,
    "data.batch_size": 32,
}
REPLAY = MLP | RING
BLOCKS = RING | {
    "networks.policy.width": 8,
    "networks.policy.blocks": 1,
    "networks.critic.width": 8,
    "networks.critic.blocks": 1,
}
ROLLOUT = {"data.batch_size": 20, "data.update_every": 60}  # two episodes of toy/lqr
ALL = ROLLOUT | {"data.policy_batch_size": 60}
SHORT: dict[str, dict[str, object]] = {
    "mpo": REPLAY
    | {
        "data.update_every": 1,
        "data.random_steps": 0,
        "target.policy.period": 20,
        "target.critic.period": 20,
    },
    "awr": MLP
    | {
        "data.capacity": 70,
        "data.learning_starts": 90,
        "data.update_every": 30,
        "data.batch_size": 32,
        "schedule.critic_steps": 4,
        "schedule.policy_steps": 20,
    },
    "awac": REPLAY,
    "sac": REPLAY,
    "power": ALL,
    "rwr": MLP | ROLLOUT | {"schedule.policy_steps": 20},
    "reps": ROLLOUT
    | {
        "networks.policy.sizes": (16, 16),
        "networks.critic.features.number": 8,
        "pi_theta.bins": 5,
        "schedule.policy_steps": 20,
    },
    "urex": MLP
    | ALL
    | {"pi_theta.bins": 5, "data.update_every": 90, "data.policy_batch_size": 90},
    "vmpo": MLP | ROLLOUT | {"schedule.critic_steps": 4, "schedule.policy_steps": 20},
    "vmpo_table1": MLP
    | ROLLOUT
    | {"schedule.critic_steps": 4, "schedule.policy_steps": 20},
    "trpo": MLP | ALL | {"schedule.critic_steps": 4},
    "trpo_table1": MLP | ALL | {"schedule.critic_steps": 4},
    "ppo": MLP | ROLLOUT | {"schedule.critic_steps": 4, "schedule.policy_steps": 20},
    "ppo_details": MLP
    | ROLLOUT
    | {"schedule.critic_steps": 4, "schedule.policy_steps": 20},
    "ddpg": REPLAY,
    "td3": REPLAY,
    "redq": REPLAY | {"g_estimate.critics": 4, "schedule.critic_steps": 3},
    "tqc": REPLAY | {"networks.critic.sizes": (16, 16)},
    "crossq": REPLAY,
    "droq": REPLAY | {"schedule.critic_steps": 3},
    "sac_simba": BLOCKS,
    "sac_simbav2": BLOCKS | {"critic.head.bins": 11},
    "sac_bro": BLOCKS
    | {
        "critic.head.number": 5,
        "schedule.critic_steps": 3,
        "schedule.policy_steps": 3,
        "schedule.resets.period": 150,  # once in a test
    },
    "d4pg": REPLAY | {"target.policy.period": 20, "target.critic.period": 20},
    "dmpo": REPLAY
    | {
        "data.update_every": 1,
        "data.random_steps": 0,
        "target.policy.period": 20,
        "target.critic.period": 20,
    },
    "fast_td3": REPLAY
    | {
        "critic.head.bins": 11,
        "critic.head.low": -50.0,
        "critic.head.high": 50.0,
        "data.envs": 1,
        "data.update_every": 1,
    },
    "td3_bc": MLP | {"data.batch_size": 32},
    "rebrac": MLP | {"data.batch_size": 32},
    "crr": MLP
    | {
        "data.batch_size": 32,
        "target.policy.period": 20,
        "target.critic.period": 20,
    },
    "iql": MLP | {"data.batch_size": 32, "optim.policy.schedule.length": 1000},
    "brac": MLP
    | {"data.batch_size": 32, "pi_p.pretrain_updates": 20, "schedule.warm_start": 40},
    "bear": MLP
    | {"data.batch_size": 32, "pi_p.model.sizes": (16, 16), "schedule.warm_start": 40},
}
OFFLINE = ("brac", "bear")
FROM_DATA = (
    *OFFLINE,
    "td3_bc",
    "rebrac",
    "crr",
    "iql",
)  # with a model of who made them, or without
KNOBS = {  # the number that each row is known for
    "mpo": "pi_q_update.temperature.epsilon",
    "awr": "pi_q_update.temperature.value",
    "awac": "pi_q_update.temperature.value",
    "sac": "pi_q_update.temperature.target",
    "power": "pi_p_update.ridge",
    "rwr": "pi_q_update.temperature.value",
    "reps": "pi_q_update.temperature.epsilon",
    "urex": "pi_q_update.temperature.value",
    "vmpo": "pi_q_update.temperature.epsilon",
    "vmpo_table1": "pi_q_update.temperature.epsilon",
    "trpo": "pi_q_update.max_kl",
    "trpo_table1": "pi_q_update.max_kl",
    "ppo": "pi_q_update.trust_region.target",
    "ppo_details": "pi_q_update.trust_region.epsilon",
    "ddpg": "pi_theta.noise",
    "td3": "g_estimate.smoothing.std",
    "fast_td3": "exploration.std.high",
    "td3_bc": "pi_q.gradient.cloning.alpha",
    "crr": "pi_q_update.temperature.value",
    "iql": "pi_q_update.temperature.value",
    "rebrac": "g_estimate.cloning.weight",
    "redq": "pi_q_update.temperature.target",
    "tqc": "critic.head.kappa",
    "crossq": "pi_q_update.temperature.target",
    "droq": "networks.critic.dropout",
    "sac_simba": "pi_q_update.temperature.target",
    "sac_simbav2": "critic.head.high",
    "sac_bro": "pi_q_update.temperature.target",
    "d4pg": "critic.head.high",
    "dmpo": "pi_q_update.temperature.epsilon",
    "brac": "pi_q_update.temperature.value",
    "bear": "pi_q_update.temperature.limit",
}
RATES = ("optim.policy.rate", "optim.critic.rate")  # read where there is such a step


# The agent of tests of commands, of stores and of the interface: with the same numbers
# of agents and of episodes it is one program, which one file compiles for all.
TINY = {
    "networks.policy.sizes": (8,),
    "networks.critic.sizes": (8,),
    "data.batch_size": 8,
    "data.learning_starts": 20,
    "data.random_steps": 20,
    "data.capacity": 25,  # below every run's length
}
TINY_FLAGS = [
    f"--set={path}={value[0] if isinstance(value, tuple) else value}"
    for path, value in TINY.items()
]


def get(config, path: str) -> float:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def small(name: str, **changes: object):
    """A preset of SHORT, with more changes: `__` stands for a dot."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return schema.override(algorithms.preset(name), SHORT[name] | changes)


def behaviour(share: float, noise: float) -> tuple[np.ndarray, float]:
    """The gains [2] of a policy of toy/lqr between none and the best, and its return.

    It acts -gains x + N(0, noise^2). The return is exact where no action is clipped.
    """
    gains = share * toy.lqr_gain()
    steps = toy.LQR().max_steps
    return gains, toy.LQR().linear_return(np.tile(gains, (steps, 1)), noise**2)


def write_dataset(name: str, share: float, noise: float, episodes: int) -> None:
    """A data set of toy/lqr in Minari's folder, by `behaviour`."""
    env, rng = envs.make("toy/lqr", 1), np.random.default_rng(0)
    gains, _ = behaviour(share, noise)
    length = env.spec.max_steps
    draws = rng.normal(0.0, noise, (episodes * length, 1)).astype(np.float32)
    state, obs = env.reset(jax.random.key(0))

    def step(carry, draw):
        state, obs = carry
        action = jax.numpy.clip(draw - obs @ gains.astype(np.float32), -0.99, 0.99)
        state, found = env.step(state, action)
        row = Transition(
            obs, action, found.reward, found.discount, found.last, found.next_obs
        )
        return (state, found.obs), row

    _, run = jax.jit(lambda: jax.lax.scan(step, (state, obs), draws))()
    about = "A linear policy with noise, by a test."
    offline.write(name, env.spec, [jax.tree.map(np.asarray, run)], about=about)
