"""Environments on the host, stepped one after the other, whatever they are."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from coadapt.envs.base import own_units, require_seeds, told
from coadapt.types import EnvSpec, TimeStep


class Stepper(Protocol):
    """One environment, with Gymnasium's methods."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, Any]: ...

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Any]: ...

    def close(self) -> None: ...


class Loop:
    """A `HostEnv` of several steppers.

    An episode that ends starts anew within the step: `next_obs` is its final
    observation, `obs` the first of the next one. `reset` seeds; the resets within steps
    go on with each environment's own generator, so that its episodes depend on its seed
    and its actions alone.

    Args: shape: of an action in the environments' own units. first: the first of their
        discrete actions. threads: how many share a step.
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
        # A task for each thread, not for each environment: handing one over costs as
        # much as a step of a small environment.
        self._chunks = np.array_split(np.arange(self.count), min(threads, self.count))
        self._pool = (
            ThreadPoolExecutor(len(self._chunks), thread_name_prefix="env")
            if len(self._chunks) > 1
            else None
        )

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begins a new episode everywhere. Returns: obs [count, O] float32."""
        require_seeds(seeds, self.count)
        obs = np.empty((self.count, self.spec.obs_size), np.float32)
        for i, seed in enumerate(seeds):
            obs[i] = self._reset(i, int(seed))
        return obs

    def _reset(self, i: int, seed: int | None = None) -> np.ndarray:
        """The first observation of an episode; NaN where the simulator raises."""
        try:
            return np.ravel(self._envs[i].reset(seed=seed)[0])
        except Exception as error:  # whatever a simulator may raise: see HostEnv.step
            self.causes[i] = told(error)
            return np.full(self.spec.obs_size, np.nan)

    def step(self, action: np.ndarray) -> TimeStep:
        """Steps all: action [count, A] in agent units; if discrete, argmax is taken.

        Where an action is not finite the environment rests, as does one that has
        raised: an agent that broke must not take its neighbours down.
        Returns: arrays [count, ...], new at each step.
        """
        action = np.asarray(action)
        own = own_units(self.spec, action, self.count)
        if self.spec.num_actions:
            own = self._first_action + own
        own = own.reshape(self._own_shape)
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
                if not moves[i]:
                    continue
                if i in self.causes:  # someone still reads what it has not
                    reward[row] = next_obs[row] = np.nan
                    continue
                try:
                    found = self._envs[i].step(action[i])
                except Exception as error:  # whatever a simulator may raise
                    self.causes[int(i)] = told(error)
                    reward[row] = next_obs[row] = np.nan
                    continue
                seen, reward[row], terminated, truncated, _ = found
                next_obs[row] = obs[row] = np.ravel(seen)
                if terminated or truncated:
                    last[row], discount[row] = True, 0.0 if terminated else 1.0
                    obs[row] = self._reset(i)
        return TimeStep(obs, reward, discount, last, next_obs)
