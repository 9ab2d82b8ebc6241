"""Gymnasium's environments in JAX, beside its own of the same equations in numpy.

Its cart-pole in JAX has the pole's mass plus its length, 0.6, where the equations have
their product, 0.05, and is another task; given the product, it is the same.
"""

import dataclasses
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest

from coadapt import envs
from coadapt.envs import base, phys2d, suites

# ours, Gymnasium's in numpy, and the greatest difference of an observation in an
# episode: float32 rounds to 6e-8 of a state of up to 8, and what is rounded grows while
# a pole is near its top, to 2e-3 in one of six episodes of the pendulum
PAIRS = [
    ("Pendulum-v0", "Pendulum-v1", 5e-3),
    ("CartPole-v1", "CartPole-v1", 1e-4),
    ("CartPole-v0", "CartPole-v0", 1e-4),
]


class Mended:
    """A cart-pole in JAX with the product."""

    def __init__(self, env: Any):
        params = env.default_params
        product = params.masspole * params.length
        self._env, self._params = env, params.replace(polemass_length=product)

    def __getattr__(self, name: str):
        return lambda *args: getattr(self._env, name)(*args, params=self._params)


def episode(step, state, spec, theirs, seed):
    """Steps of ours and of Gymnasium's, under the same actions, until either ends."""
    rng, pairs = np.random.default_rng(seed), []
    while True:
        action = rng.uniform(-1, 1, spec.action_size).astype(np.float32)
        state, got = step(state, action)
        pairs.append((got, theirs(base.own_units(spec, action[None], 1)[0])))
        if got.last or pairs[-1][1][2] or pairs[-1][1][3]:
            return pairs


# CartPole-v0 is asked for on purpose, as the twin of the other
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.parametrize("name, twin, error", PAIRS, ids=[pair[0] for pair in PAIRS])
def test_an_episode_is_that_of_the_numpy_environment(name, twin, error):
    """From the same state, under the same actions, to the end of the episode."""
    env = phys2d.make_phys2d(name, 1)
    if name.startswith("CartPole"):
        mended = phys2d.Functional(Mended(env.dynamics.env))  # type: ignore[attr-defined]
        env = dataclasses.replace(env, dynamics=mended)
    theirs: Any = gymnasium.make(twin, disable_env_checker=True)
    theirs.reset(seed=0)
    step = jax.jit(env.step)
    for seed in range(3):
        state, _ = env.reset(jax.random.key(seed))
        theirs.reset()
        theirs.unwrapped.state = np.asarray(state.physics, np.float64)
        pairs = episode(step, state, env.spec, theirs.step, seed)
        for got, (obs, reward, terminated, truncated, _) in pairs:
            np.testing.assert_allclose(got.next_obs, obs, atol=error)
            # the pendulum's is minus an angle's square, of up to 3.2^2, and more
            np.testing.assert_allclose(got.reward, reward, atol=10 * error)
            assert bool(got.last) == (terminated or truncated)
            assert float(got.discount) == 1.0 - terminated
        assert 5 < len(pairs) <= env.spec.max_steps
        assert not np.allclose(got.obs, got.next_obs)  # of the next episode


@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.parametrize("name", phys2d.phys2d_names())
def test_steps_are_those_of_gymnasiums_own_wrapper(name):
    """As it registers them, cart-pole too; compiled apart, so to a few roundings."""
    env = phys2d.make_phys2d(name, 1)
    theirs: Any = gymnasium.make(f"phys2d/{name}", disable_env_checker=True)
    with suites.foreign():
        theirs.reset(seed=0)
        state, _ = env.reset(jax.random.key(1))
        theirs.unwrapped.state = state.physics
        for got, (obs, reward, terminated, truncated, _) in episode(
            jax.jit(env.step), state, env.spec, theirs.step, 1
        )[:20]:
            np.testing.assert_allclose(got.next_obs, obs, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(got.reward, reward, rtol=1e-5, atol=1e-5)
            assert bool(got.last) == (terminated or truncated)


@pytest.mark.parametrize("name, twin, _", PAIRS, ids=[pair[0] for pair in PAIRS])
def test_the_spec_is_that_of_the_numpy_environment(name, twin, _):
    ours, theirs = envs.spec(f"phys2d/{name}"), envs.spec(f"gym/{twin}")
    for field in ("obs_size", "action_size", "num_actions", "max_steps"):
        assert getattr(ours, field) == getattr(theirs, field)
    for field in ("action_low", "action_high"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert not envs.on_host(ours.task) and "gymnasium" in ours.provider


def test_first_states_are_drawn_as_gymnasium_draws_them():
    """Uniform within bounds: the mean square is a third of the bound's, with a
    standard deviation of 0.6% over 20,000."""
    for name, bound in {"Pendulum-v0": [np.pi, 1.0], "CartPole-v1": [0.05] * 4}.items():
        env = phys2d.make_phys2d(name, 1)
        keys = jax.random.split(jax.random.key(0), 20_000)
        states, _ = jax.vmap(env.reset)(keys)
        square = np.mean(np.square(states.physics), axis=0)
        np.testing.assert_allclose(square, np.square(bound) / 3, rtol=0.05)
        assert (np.abs(states.physics) <= np.array(bound, np.float32)).all()


def test_another_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'phys2d/Pendulum-v0'\?"):
        envs.make("phys2d/Pendulum-v1", 1)


def test_every_environment_that_gymnasium_registers_is_here():
    found = [n.split("/")[1] for n in gymnasium.registry if n.startswith("phys2d/")]
    assert sorted(found) == sorted(phys2d.phys2d_names())
