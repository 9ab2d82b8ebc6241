"""Gymnasium's environments in JAX, on the device: 'phys2d/Pendulum-v0'.

Pendulum-v0 has the equations of `gym/Pendulum-v1`, in float32 and in the program of the
agents, which never wait for the host. CartPole is as gymnasium 1.4.0 has it, which is
not `gym/CartPole-v1`: the pole's mass and length are added where they are multiplied
there.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp

from coadapt.envs import host
from coadapt.envs.base import Autoreset
from coadapt.envs.suites import foreign
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec

_FUNCTIONAL = {  # what gymnasium registers, and the class of its equations
    "CartPole-v0": "CartPoleFunctional",
    "CartPole-v1": "CartPoleFunctional",
    "Pendulum-v0": "PendulumFunctional",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Functional:
    """A functional environment of Gymnasium's as `Dynamics`."""

    env: Any  # gymnasium.experimental.functional.FuncEnv

    def start(self, key: jax.Array) -> jax.Array:
        with foreign():
            return self.env.initial(key)

    def observe(self, physics: jax.Array) -> jax.Array:
        with foreign():
            return jnp.asarray(self.env.observation(physics, None), jnp.float32)

    def advance(
        self, physics: jax.Array, action: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        with foreign():
            after = self.env.transition(physics, action, key)
            reward = self.env.reward(physics, action, after, key)
            return after, reward, self.env.terminal(after, key)


def make_phys2d(name: str, count: int) -> Autoreset:
    """One environment, to be mapped: see `envs.make`."""
    if name not in _FUNCTIONAL:
        raise ConfigError(
            f"task 'phys2d/{name}' must be one of {', '.join(phys2d_names())} of "
            f"gymnasium {importlib.metadata.version('gymnasium')}"
            f"{nearest(name, phys2d_names(), 'phys2d/')}"
        )
    return _phys2d(name)


def phys2d_spec(name: str) -> EnvSpec:
    return make_phys2d(name, 1).spec


def phys2d_names() -> list[str]:
    return list(_FUNCTIONAL)


@functools.cache
def _phys2d(name: str) -> Autoreset:
    with foreign():
        task = f"phys2d/{name}"
        found = host.gym_spec(task)  # of Gymnasium's own wrapper of the same class
        module = importlib.import_module("gymnasium.envs.phys2d")
        env = getattr(module, _FUNCTIONAL[name])()
    provider = f"{found.provider}, jax {jax.__version__}"
    spec = dataclasses.replace(found, task=task, provider=provider)
    return Autoreset(Functional(env), spec)
