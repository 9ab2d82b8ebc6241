"""The unit of a task: a random policy, measured, and a reference with its source."""

import functools
import math
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import envs
from coadapt.envs import DeviceEnv, HostEnv, host, toy
from coadapt.envs.base import once
from coadapt.schema import ConfigError, nearest
from coadapt.system.notes import note_once
from coadapt.tasks import registry
from coadapt.tasks.units import GIVEN, Unit
from coadapt.types import EnvSpec

EPISODES = 20  # of the random policy
PATIENCE = 5.0  # seconds, after which it is said what is going on
SEED = 90_210  # of its first episode

# Furuta et al. 2021, Table 11: SAC after 1 to 10 million steps, ten seeds; of Gym's v2
PAPER = "SAC in Furuta et al. 2021, Table 11, on the task's v2"
SAC = {
    "Hopper": 3013.0,
    "Walker2d": 5820.0,
    "HalfCheetah": 15254.0,
    "Ant": 5532.0,
    "Humanoid": 8081.0,
    "Swimmer": 114.0,
}
SUITE = "the most that 1,000 steps can pay, Tassa et al. 2018"
MOST = 1000.0
OPTIMUM = "the optimum, which is known"
THRESHOLD = "Gymnasium's reward_threshold"


def reference(task: str) -> tuple[float, str] | None:
    """The reference of a standard task, and its source; None where there is none."""
    family, _, name = task.partition("/")
    if family == "dmc":
        return MOST, SUITE
    if family == "toy":
        return float(toy.optimum(task)), OPTIMUM
    if family != "gym":
        return None
    robot, _, version = name.partition("-v")
    if robot in SAC and version in ("2", "3", "4", "5"):
        return SAC[robot], PAPER
    if "?" in name:  # made otherwise than what the threshold is of
        return None
    threshold = host.registered(name).reward_threshold
    return None if threshold is None else (float(threshold), THRESHOLD)


def asked(tasks: Mapping[str, object], given: Mapping[str, float]) -> dict[str, Unit]:
    """The units of a sweep's tasks before anything is measured.

    Raises: ConfigError.
    """
    for task, value in given.items():
        if task not in tasks:
            raise ConfigError(
                f"reference is of {task!r}: the sweep has {', '.join(tasks)}"
                f"{nearest(task, tasks)}"
            )
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(
                f"reference of {task} is {value!r}: it must be a finite number, a "
                "return that is better than a random policy's."
            )
    found = {}
    for task in tasks:
        registry.spec_of(task)
        known = (float(given[task]), GIVEN) if task in given else reference(task)
        value, source = known or (None, "")
        found[task] = Unit(reference=value, source=source)
    return found


def measured(task: str, unit: Unit) -> Unit:
    """With what a random policy scores on the task; of a toy it is known.

    A table's reference that is not above it is none.

    Raises:
        ConfigError: if the user's is not.
    """
    if task.startswith("toy/"):
        mean, error, episodes = float(toy.baseline(task)), 0.0, 0
    else:
        returns = random_returns(task)
        if not returns.size:
            return Unit()
        mean, episodes = float(returns.mean()), returns.size
        error = float(returns.std()) / math.sqrt(max(episodes - 1, 1))
    value, source = unit.reference, unit.source
    if value is not None and value <= mean:
        if source == GIVEN:
            raise ConfigError(
                f"reference of {task} is {value:g}: it must be above a random "
                f"policy's {mean:g}."
            )
        value, source = None, ""
    return Unit(mean, error, episodes, value, source)


@functools.cache
def random_returns(task: str) -> np.ndarray:
    """Returns of episodes of uniformly random actions; of those that came to an end.

    Empty where the task's simulator fails: whoever trains on it will hear why.
    """
    try:
        env = envs.make(task, EPISODES)
        if isinstance(env, HostEnv):
            spec, rng = envs.spec(task), np.random.default_rng(SEED)
            found = host_returns(env, spec, lambda: _uniform(rng, spec, env.count))
        else:
            found = np.asarray(_on_device(once(env)))
    except (
        Exception
    ):  # of a simulator; it comes again, and is told, where agents meet it
        return np.zeros(0)
    found = found.astype(np.float64)
    return found[np.isfinite(found)]


def host_returns(
    env: HostEnv, spec: EnvSpec, act: Callable[[], np.ndarray]
) -> np.ndarray:
    """Returns [N] of an episode in each environment, which are closed.

    `act` gives actions [N, A] that look at nothing: at random, or none.
    """
    try:
        env.reset(range(SEED, SEED + env.count))
        total, running = np.zeros(env.count), np.ones(env.count, bool)
        begin = time.monotonic()
        for _ in range(spec.max_steps):
            if not running.any():
                break
            if time.monotonic() - begin > PATIENCE:
                note_once(f"{spec.task}: a random policy is measured, for its unit ...")
            actions = act()
            actions[~running] = np.nan  # their environments rest
            step = env.step(actions)
            total += np.where(running, step.reward, 0.0)
            running &= ~np.asarray(step.last) & ~np.isnan(total)
        return total
    finally:
        env.close()


def _uniform(rng: np.random.Generator, spec: EnvSpec, count: int) -> np.ndarray:
    """Actions [count, A] float32, in agent units; one-hot if discrete."""
    if spec.num_actions:
        return np.eye(spec.num_actions, dtype=np.float32)[
            rng.integers(spec.num_actions, size=count)
        ]
    return rng.uniform(-1, 1, (count, spec.action_size)).astype(np.float32)


@functools.partial(jax.jit, static_argnames="env")
def _on_device(env: DeviceEnv) -> jax.Array:
    """Returns [EPISODES]."""
    spec = env.spec

    def episode(key: jax.Array) -> jax.Array:
        start, acting = jax.random.split(key)
        state, _ = env.reset(start)

        def step(carry, key):
            state, total, running = carry
            if spec.num_actions:
                action = jax.nn.one_hot(
                    jax.random.randint(key, (), 0, spec.num_actions), spec.num_actions
                )
            else:
                action = jax.random.uniform(key, (spec.action_size,), minval=-1.0)
            state, found = env.step(state, action)
            total += jnp.where(running, found.reward, 0.0)
            return (state, total, running & ~found.last), None

        keys = jax.random.split(acting, spec.max_steps)
        carry = state, jnp.float32(0), jnp.bool_(True)
        return jax.lax.scan(step, carry, keys)[0][1]

    return jax.vmap(episode)(jax.random.split(jax.random.key(SEED), EPISODES))
