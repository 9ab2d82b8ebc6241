"""Environments on the host, stepped one after the other, whatever they are."""

import contextlib
import pickle
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from coadapt.envs.base import error_text, is_own, own_units, raised_at, require_seeds
from coadapt.system.notes import note_once
from coadapt.types import EnvSpec, TimeStep


class Stepper(Protocol):
    """One environment, with Gymnasium's methods."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, Any]: ...

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Any]: ...

    def close(self) -> None: ...


def close(env: Stepper) -> None:
    """Whatever that raises: all that the environment was asked for is there."""
    try:
        env.close()
    except BaseException as error:
        if not is_own(error):
            raise


class Loop:
    """A `HostEnv` of several steppers.

    An episode that ends starts anew within the step: `next_obs` is its final
    observation, `obs` the first of the next one. `reset` seeds; the resets within steps
    go on with each environment's own generator, so that its episodes depend on its seed
    and its actions alone. What one of them raises or returns ends that one alone: see
    `causes`.

    Args:
        shape: of an action in the environments' own units.
        first: the first of their discrete actions.
        threads: how many share a step.
    """

    def __init__(
        self,
        spec: EnvSpec,
        steppers: Sequence[Stepper],
        *,
        shape: tuple[int, ...],
        first: int = 0,
        threads: int = 1,
    ):
        self.spec, self.count = spec, len(steppers)
        self.causes: dict[int, str] = {}
        self._envs = steppers
        self._own_shape = (self.count, *shape)
        self._first_action = first
        self._watched = 0  # steps, see `global_draws_noted`
        # A task for each thread, not for each environment: handing one over costs as
        # much as a step of a small environment.
        self._chunks = np.array_split(np.arange(self.count), min(threads, self.count))
        self._pool = (
            ThreadPoolExecutor(len(self._chunks), thread_name_prefix="env")
            if len(self._chunks) > 1
            else None
        )

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begins a new episode everywhere.

        Returns:
            obs [count, O] float32.
        """
        require_seeds(seeds, self.count)
        obs = np.empty((self.count, self.spec.obs_size), np.float32)
        with global_draws_noted(self.spec.task), np.errstate(over="ignore"):
            for i, seed in enumerate(seeds):
                obs[i] = self._reset(i, int(seed))
        return obs

    def _reset(self, i: int, seed: int | None = None) -> np.ndarray | float:
        """The first observation [O] of an episode; NaN where there is none."""
        if i in self.causes:
            return np.nan
        try:
            seen, _ = self._envs[i].reset(seed=seed)
            return _observation(seen, self.spec.obs_size, "reset")
        except BaseException as error:
            self._note(i, error)
            return np.nan

    def _note(self, i: int, error: BaseException) -> None:
        """The end of environment i, whatever it may have raised.

        Raises: a Ctrl-C.
        """
        if not is_own(error):
            raise error
        self.causes[int(i)] = error_text(error) + raised_at(error)

    def step(self, action: np.ndarray) -> TimeStep:
        """Steps all: action [count, A] in agent units; if discrete, argmax is taken.

        Where an action is not finite the environment rests, as does one that has
        raised: an agent that broke must not take its neighbours down.

        Returns:
            arrays [count, ...], new at each step.
        """
        action = np.asarray(action)
        own = own_units(self.spec, action, self.count)
        if self.spec.num_actions:
            own = self._first_action + own
        own = own.reshape(self._own_shape)
        moves = np.asarray(np.isfinite(action).all(axis=1))
        if self._watched == WATCHED:
            return self._step_all(own, moves)
        self._watched += 1
        with global_draws_noted(self.spec.task):
            return self._step_all(own, moves)

    def _step_all(self, own: np.ndarray, moves: np.ndarray) -> TimeStep:
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
            close(env)

    def _step_chunk(
        self, chunk: np.ndarray, action: np.ndarray, moves: np.ndarray
    ) -> TimeStep:
        """Steps those of `chunk` that move; action [count, ...], in their own units."""
        size, width = len(chunk), self.spec.obs_size
        # New arrays, because a caller's jax.device_put may alias them without a copy.
        obs = np.zeros((size, width), np.float32)
        next_obs = np.zeros_like(obs)
        reward, discount = np.zeros(size, np.float32), np.ones(size, np.float32)
        last = np.zeros(size, bool)
        # A reward beyond float32 becomes infinite in silence: divergence is a result,
        # and the runner records it.
        with np.errstate(over="ignore"):
            for row, i in enumerate(chunk):
                if not moves[i]:
                    continue
                if i in self.causes:  # someone still reads what it has not
                    reward[row] = next_obs[row] = np.nan
                    continue
                try:
                    found = _checked(self._envs[i].step(action[i]), width)
                    next_obs[row], reward[row], ends, cut = found
                    obs[row] = next_obs[row]
                except BaseException as error:
                    self._note(i, error)
                    reward[row] = next_obs[row] = obs[row] = np.nan
                    continue
                if ends or cut:
                    last[row], discount[row] = True, 0.0 if ends else 1.0
                    obs[row] = self._reset(i)
        return TimeStep(obs, reward, discount, last, next_obs)


# ---------------------------------------------------------------- what came back

_REAL = "fiub"  # numpy's kinds of real numbers, and of bool


def _checked(
    found: tuple[Any, Any, Any, Any, Any], size: int
) -> tuple[np.ndarray, float, bool, bool]:
    """A step's observation, flat [size], reward, and whether it terminated or was
    truncated.

    Raises:
        ValueError: what an array or a number may raise.
    """
    seen, reward, terminated, truncated, _ = found
    if not isinstance(reward, float):  # numpy's float64 is one too
        reward = _number(reward)
    if type(terminated) is not bool:
        terminated = _flag(terminated)
    if type(truncated) is not bool:
        truncated = _flag(truncated)
    return _observation(seen, size, "step"), reward, terminated, truncated


def _observation(seen: Any, size: int, call: str) -> np.ndarray:
    """Flat [size]."""
    array = np.asarray(seen)
    if array.dtype.kind not in _REAL or array.size != size:
        array = _array(seen, f"{call} returned observations")
        raise ValueError(
            f"{call} returned {array.size} observations, {size} are declared"
        )
    return array if array.ndim == 1 else array.reshape(-1)


def _number(value: Any) -> float:
    return float(value) if type(value) is int else _single(value, "a reward")


def _flag(value: Any) -> bool:
    if type(value) is np.bool_:
        return bool(value)
    flag = _single(value, "an end")
    if flag not in (0, 1):
        raise ValueError(f"step returned {flag} for terminated or truncated")
    return bool(flag)


def _single(value: Any, what: str) -> float:
    """A number, or an array of one."""
    array = _array(value, f"step returned {what}")
    if array.size != 1:
        raise ValueError(f"step returned {what} of shape {array.shape}, not one number")
    return float(array.item())


def _array(value: Any, what: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in _REAL:
        kind = array.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{what} of type {kind}, not of real numbers")
    return array


# ---------------------------------------------------------------- where chance is from

WATCHED = 10  # steps of a loop; one that draws does so early


@contextlib.contextmanager
def global_draws_noted(task: str) -> Iterator[None]:
    """Says of a task that it draws from a generator that all of a process share.

    It cannot be given another: other threads draw from the same.
    """
    before = _global_generators()
    yield
    for name, old, new in zip(_GLOBAL, before, _global_generators(), strict=True):
        if old != new:
            note_once(
                f"{task} draws from {name}, which no seed of a run reaches: the same "
                "seed will not give the same result; draw from self.np_random, which "
                "super().reset(seed=seed) seeds"
            )


_GLOBAL = ("numpy.random's global generator", "Python's module random")


def _global_generators() -> tuple[bytes, object]:
    return pickle.dumps(np.random.get_state(legacy=False)), random.getstate()
