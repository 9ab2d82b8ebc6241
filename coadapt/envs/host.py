"""Gymnasium's environments on the host.

Gymnasium is imported when the first task is made, not with this module: it and MuJoCo
take a second, and tasks on the device do not need them.
"""

import functools
import importlib.metadata
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from coadapt.envs import gym_mujoco
from coadapt.envs.base import HostEnv, nearest, require_box, require_limit
from coadapt.envs.batch import BatchEnv, quiet
from coadapt.envs.loop import Loop
from coadapt.types import EnvSpec

if TYPE_CHECKING:
    import gymnasium


def make_gym(name: str, count: int) -> HostEnv:
    """`count` environments: all in C where it is a robot of Gymnasium's, or a loop."""
    task = gym_mujoco.TASKS.get(name)
    if task is None or count < 1:
        return GymEnv(name, count)
    env = _template(name)
    if not type(env).__module__.startswith("gymnasium."):  # registered by another
        return GymEnv(name, count)
    return BatchEnv(gym_spec(name), task(env, count), count)


@functools.cache
def _template(name: str) -> Any:
    return _make(name).unwrapped


class GymEnv(Loop):
    """`count` environments of one Gymnasium id.

    Args: threads: how many share a step. One is the default because Gymnasium's Python
    holds the interpreter's lock: on 2 cores, 8 HalfCheetah-v5 go at 22k steps/s with
    one thread and at 12k with two; 8 Ant-v5 at 3.6k and at 4.4k, for half as much again
    of the CPU time that the learner could use. What is stepped does not depend on it.
    """

    def __init__(self, name: str, count: int, threads: int = 1):
        from gymnasium.spaces import Discrete

        if count < 1 or threads < 1:
            raise ValueError(
                f"count and threads must be at least 1, got {count} and {threads}"
            )
        first = _make(name)
        space = first.action_space
        super().__init__(
            _read_spec(name, first),
            [first, *(_make(name) for _ in range(count - 1))],
            shape=space.shape or (),
            first=int(space.start) if isinstance(space, Discrete) else 0,
            threads=threads,
        )


@functools.cache
def gym_spec(name: str) -> EnvSpec:
    """The spec of a Gymnasium id; makes one environment, the first time."""
    env = _make(name)
    try:
        return _read_spec(name, env)
    finally:
        env.close()


def gym_names() -> list[str]:
    """The ids that Gymnasium registers, without the compatibility shims."""
    import gymnasium

    return [name for name in gymnasium.registry if not name.startswith("GymV2")]


def _make(name: str) -> "gymnasium.Env":
    import gymnasium

    if name not in gymnasium.registry:
        raise ValueError(
            f"task 'gym/{name}' must name an id that gymnasium "
            f"{gymnasium.__version__} registers, version included"
            f"{nearest(f'gym/{name}', [f'gym/{other}' for other in gym_names()])}"
        )
    if str(gymnasium.registry[name].entry_point).startswith("gymnasium.envs.mujoco"):
        quiet()
    with warnings.catch_warnings():
        # The old versions are asked for on purpose: they are the ones papers report.
        warnings.filterwarnings("ignore", ".*out of date", DeprecationWarning)
        try:
            return gymnasium.make(name, disable_env_checker=True)
        except Exception as error:  # of ids that others register, whatever they raise
            reason = " ".join(str(error).split())
            raise ValueError(f"task 'gym/{name}' cannot be made: {reason}") from None


def _read_spec(name: str, env: "gymnasium.Env") -> EnvSpec:
    """Reads spaces and time limit, or refuses the task in a sentence."""
    from gymnasium.spaces import Box, Discrete

    task, space = f"gym/{name}", env.action_space
    limit = _checked_limit(task, env)
    assert env.observation_space.shape is not None
    num_actions = int(space.n) if isinstance(space, Discrete) else 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        low, high = require_box(task, space.low, space.high, space)
    elif not num_actions:
        raise ValueError(
            f"task {task!r} must have a Box of floats or Discrete for actions, "
            f"got {space}"
        )
    return EnvSpec(
        task=task,
        obs_size=int(np.prod(env.observation_space.shape)),
        action_size=num_actions or len(low),
        num_actions=num_actions,
        action_low=low,
        action_high=high,
        max_steps=limit,
        provider=_provider(env),
    )


def _checked_limit(task: str, env: "gymnasium.Env") -> int:
    """The time limit. Raises: ValueError, without one, or on a space with nothing."""
    from gymnasium.spaces import Box

    space = env.action_space
    if not isinstance(env.observation_space, Box):
        raise ValueError(
            f"task {task!r} must have a Box of observations, "
            f"got {env.observation_space}"
        )
    limit = require_limit(task, env.spec.max_episode_steps if env.spec else None)
    shapes = (env.observation_space.shape, getattr(space, "shape", None) or ())
    if any(0 in shape for shape in shapes):
        raise ValueError(
            f"task {task!r} must have observations and actions, got "
            f"{env.observation_space} and {space}"
        )
    return limit


def _provider(env: "gymnasium.Env") -> str:
    """'gymnasium 1.4.0, mujoco 3.17.0': the packages that compute the steps."""
    modules = [base.__module__ for base in type(env.unwrapped).__mro__]
    packages = ["gymnasium"]
    if any(module.startswith("gymnasium.envs.mujoco") for module in modules):
        packages.append("mujoco")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
