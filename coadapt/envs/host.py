"""Gymnasium's environments on the host.

Gymnasium is imported when the first task is made, not with this module: it and MuJoCo
take a second, and tasks on the device do not need them.
"""

import functools
import importlib.metadata
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from coadapt.envs.base import centre_and_half, nearest
from coadapt.types import EnvSpec, TimeStep

if TYPE_CHECKING:
    import gymnasium


class GymEnv:
    """`count` environments of one Gymnasium id, stepped one after the other.

    An episode that ends starts anew within the step: `next_obs` is its final
    observation, `obs` the first of the next one. `reset` seeds; the resets within steps
    go on with each environment's own generator, so that its episodes depend on its seed
    and its actions alone.

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
        self.spec: EnvSpec = _read_spec(name, first)
        self.count: int = count
        space = first.action_space
        self.causes: dict[int, str] = {}
        self._name = name
        self._own_shape = (count, *(space.shape or ()))
        self._first_action = int(space.start) if isinstance(space, Discrete) else 0
        self._envs = [first, *(_make(name) for _ in range(count - 1))]
        # A task for each thread, not for each environment: handing one over costs as
        # much as a step of a small environment.
        self._chunks = np.array_split(np.arange(count), min(threads, count))
        self._pool = (
            ThreadPoolExecutor(len(self._chunks), thread_name_prefix="env")
            if len(self._chunks) > 1
            else None
        )

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begins a new episode everywhere. Returns: obs [count, O] float32."""
        if len(seeds) != self.count:
            raise ValueError(
                f"reset needs a seed for each of {self.count} environments, "
                f"got {len(seeds)}"
            )
        obs = np.empty((self.count, self.spec.obs_size), np.float32)
        for i, seed in enumerate(seeds):
            obs[i] = self._reset(i, int(seed))
        return obs

    def _reset(self, i: int, seed: int | None = None) -> np.ndarray:
        """The first observation of an episode; NaN where the simulator raises."""
        try:
            return np.ravel(self._envs[i].reset(seed=seed)[0])
        except Exception as error:  # whatever a simulator may raise: see HostEnv.step
            self.causes[i] = _told(error)
            return np.full(self.spec.obs_size, np.nan)

    def step(self, action: np.ndarray) -> TimeStep:
        """Steps all: action [count, A] in agent units; if discrete, argmax is taken.

        Where an action is not finite the environment rests, as does one that has
        raised: an agent that broke must not take its neighbours down.
        Returns: arrays [count, ...], new at each step.
        """
        action = np.asarray(action)
        own = self._own_units(action)
        moves = np.asarray(np.isfinite(action).all(axis=1))
        if self._pool is None:
            return self._step_chunk(self._chunks[0], own, moves)
        parts = self._pool.map(
            lambda chunk: self._step_chunk(chunk, own, moves), self._chunks
        )
        return TimeStep(
            *(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        )

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        for env in self._envs:
            env.close()

    def _own_units(self, action: np.ndarray) -> np.ndarray:
        """Agent units -> the arrays that the environments take, [count, ...]."""
        spec = self.spec
        shape = (self.count, spec.action_size)
        if action.shape != shape:
            raise ValueError(
                f"{spec.task} takes actions of shape {shape}, got {action.shape}"
            )
        if spec.num_actions:
            return self._first_action + action.argmax(axis=1)
        # float64 from here on: MuJoCo computes in it, float32 would round its costs.
        centre, half = centre_and_half(spec)
        own = centre + half * action.astype(np.float64)
        return own.reshape(self._own_shape)

    def _step_chunk(
        self, chunk: np.ndarray, action: np.ndarray, moves: np.ndarray
    ) -> TimeStep:
        """Steps those of `chunk` that move; action [count, ...], in their own units."""
        size = len(chunk)
        # New arrays, because a caller's jax.device_put may alias them without a copy.
        obs = np.zeros((size, self.spec.obs_size), np.float32)
        next_obs = np.zeros_like(obs)
        reward, discount = np.zeros(size, np.float32), np.ones(size, np.float32)
        last = np.zeros(size, bool)
        # A reward beyond float32 becomes infinite in silence: divergence is a result,
        # and the runner records it.
        with np.errstate(over="ignore"):
            for row, i in enumerate(chunk):
                if not moves[i] or i in self.causes:
                    continue
                try:
                    found = self._envs[i].step(action[i])
                except Exception as error:  # whatever a simulator may raise
                    self.causes[int(i)] = _told(error)
                    reward[row] = next_obs[row] = np.nan
                    continue
                seen, reward[row], terminated, truncated, _ = found
                next_obs[row] = obs[row] = np.ravel(seen)
                if terminated or truncated:
                    last[row], discount[row] = True, 0.0 if terminated else 1.0
                    obs[row] = self._reset(i)
        return TimeStep(obs, reward, discount, last, next_obs)


def _told(error: Exception) -> str:
    """'ValueError: ...', in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


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


@functools.cache
def _quiet_mujoco() -> None:
    """Say each of MuJoCo's warnings once, and on stderr.

    Left alone, MuJoCo writes each to the screen and to a file in the current folder,
    for every environment: a notice on a tag of Gymnasium's own models, to which no user
    can do anything, and which is not passed on at all.
    """
    import mujoco

    said: set[str] = set()

    def tell(message: str) -> None:
        if "settotalmass" not in message and message not in said:
            said.add(message)
            print(f"mujoco: {message}", file=sys.stderr)

    mujoco.set_mju_user_warning(tell)  # pyright: ignore[reportAttributeAccessIssue]


def _make(name: str) -> "gymnasium.Env":
    import gymnasium

    if name not in gymnasium.registry:
        raise ValueError(
            f"task 'gym/{name}' must name an id that gymnasium "
            f"{gymnasium.__version__} registers, version included"
            f"{nearest(f'gym/{name}', [f'gym/{other}' for other in gym_names()])}"
        )
    if str(gymnasium.registry[name].entry_point).startswith("gymnasium.envs.mujoco"):
        _quiet_mujoco()
    with warnings.catch_warnings():
        # The old versions are asked for on purpose: they are the ones papers report.
        warnings.filterwarnings("ignore", ".*out of date", DeprecationWarning)
        try:
            return gymnasium.make(name, disable_env_checker=True)
        except (gymnasium.error.Error, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"task 'gym/{name}' cannot be made: {reason}") from None


def _read_spec(name: str, env: "gymnasium.Env") -> EnvSpec:
    """Reads spaces and time limit, or refuses the task in a sentence."""
    from gymnasium.spaces import Box, Discrete

    task, space = f"gym/{name}", env.action_space
    if not isinstance(env.observation_space, Box):
        raise ValueError(
            f"task {task!r} must have a Box of observations, "
            f"got {env.observation_space}"
        )
    limit = env.spec.max_episode_steps if env.spec else None
    if limit is None:
        raise ValueError(
            f"task {task!r} must have a time limit, so that evaluations end, got none"
        )
    num_actions = int(space.n) if isinstance(space, Discrete) else 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ValueError(
                f"task {task!r} must have a finite box of actions, onto which [-1, 1] "
                f"can be mapped, got {space}"
            )
        low = tuple(map(float, space.low.ravel()))
        high = tuple(map(float, space.high.ravel()))
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


def _provider(env: "gymnasium.Env") -> str:
    """'gymnasium 1.4.0, mujoco 3.17.0': the packages that compute the steps."""
    modules = [base.__module__ for base in type(env.unwrapped).__mro__]
    packages = ["gymnasium"]
    if any(module.startswith("gymnasium.envs.mujoco") for module in modules):
        packages.append("mujoco")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
