"""Diagnostics against closed forms, plain loops, and what the engine itself says."""

import dataclasses

import jax
import numpy as np
import pytest

import coadapt
from coadapt import agent as agents
from coadapt import algorithms, diagnostics, envs, schema
from coadapt.saved import SavedAgent

GAMMA = 0.9
# networks that are linear in their inputs, or in the products of two of them: their
# functions can be written down
LINEAR = {
    "networks.policy.sizes": (),
    "networks.critic.sizes": (),
    "networks.critic.features": "Quadratic",
}
NARROW = {"pi_theta.scale": "LearnedLogStd", "pi_theta.scale.raw": -7.0}
DISCOUNT = {"g_estimate.discount": GAMMA}


def made(name: str, task: str = "toy/lqr", size: int = 0, **changes) -> SavedAgent:
    """An agent as it starts, of a task whose actions may be given another size."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    config = schema.override(algorithms.preset(name), changes)
    spec = envs.spec(task)
    if size:
        spec = dataclasses.replace(spec, action_size=size)
    state = agents.init(config, spec, jax.random.key(0))
    return SavedAgent(
        task=task, variant=name, seed=0, algorithm=name, config=config, spec=spec,
        state=jax.tree.map(np.array, state), steps=0, updates=0, alive=True,
        health="alive",
    )  # fmt: skip


def having(agent: SavedAgent, *, policy=None, critic=None) -> SavedAgent:
    """The agent with other output layers: kernel and bias; of critics [K, ...]."""
    state = jax.tree.map(np.array, agent.state)
    if policy is not None:
        state.params.policy["net"]["output"] = of_layer(*policy)
    if critic is not None:
        layers = [of_layer(*one) for one in critic]
        layer = jax.tree.map(lambda *x: np.stack(x), *layers)
        state = state._replace(
            params=state.params._replace(critic={"output": layer}),
            target=state.target._replace(critic={"output": layer}),
        )
    return dataclasses.replace(agent, state=state)


TINY = {"networks.policy.sizes": (8, 8), "networks.critic.sizes": (8, 8)}


def of_layer(kernel, bias) -> dict[str, np.ndarray]:
    return {"kernel": np.float32(kernel), "bias": np.float32(bias)}


def quadratic(matrix: np.ndarray, offset: float = 0.0) -> tuple:
    """Kernel and bias of z' matrix z + offset, as Quadratic features have it."""
    row, column = np.triu_indices(len(matrix))
    products = np.where(row == column, 1.0, 2.0) * matrix[row, column]
    kernel = np.concatenate([np.zeros(len(matrix)), products])
    return kernel[:, None], np.array([offset])


# ---------------------------------------------------------------- landscapes

PEAK = np.array([0.3, -0.2])


def bowl(slow: float = 1.0) -> tuple:
    """Q(s, a) = -slow |a - PEAK|^2 at every state of toy/lqr with two actions."""
    matrix = np.diag([0.0, 0.0, -slow, -slow])
    kernel, bias = quadratic(matrix, -slow * float(PEAK @ PEAK))
    kernel[2:4, 0] = 2 * slow * PEAK
    return kernel, bias


@pytest.fixture(scope="module")
def two():
    """MPO with actions of two dimensions, and two critics, the second the steeper."""
    agent = made(
        "mpo", size=2, **LINEAR, **NARROW, g_estimate__critics=2,
        pi_theta__scale__raw=float(np.log(0.3)),
    )  # fmt: skip
    policy = np.zeros((2, 2)), [0.1, 0.4]
    return having(agent, policy=policy, critic=[bowl(), bowl(2.0)])


STATES = np.array([[0.5, -0.5], [0.1, 0.2], [-1.0, 0.0]], np.float32)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (1, 0)], ids=str)
def test_a_slice_of_a_bowl(two, axes):
    found = diagnostics.critic_slice(two, STATES, axes, points=20, limits=(-2.0, 2.0))
    rest = np.array([0.1, 0.4])  # the policy's mode
    for g, point in enumerate(np.ndindex(*[20] * len(axes))):
        action = rest.copy()
        for axis, i in zip(axes, point, strict=True):
            action[axis] = -2.0 + 4.0 * (i + 0.5) / 20
        expected = -np.square(action - PEAK).sum()
        # float32 sums of six products of numbers below 8
        np.testing.assert_allclose(found.q[0, g], expected, atol=1e-5)
        np.testing.assert_allclose(found.score[g], 2 * expected, atol=1e-5)
        off = (action - rest) / 0.3
        density = np.exp(-np.square(off).sum() / 2) / (2 * np.pi * 0.3**2)
        np.testing.assert_allclose(found.density[g], density, rtol=1e-4, atol=1e-12)
    eta = diagnostics.duals(two)["temperature"]
    weight = np.exp(found.score / eta)
    np.testing.assert_allclose(found.weight, weight / weight.sum(axis=0), rtol=1e-4)
    assert found.shaped(found.q).shape == (2, *[20] * len(axes), 3)
    assert found.advantage.shape == found.score.shape


def test_the_posterior_of_a_gaussian_and_a_bowl_is_a_gaussian(two):
    """N(m, v) exp(-2 (a - c)^2 / eta) has precision 1 / v + 4 / eta."""
    found = diagnostics.critic_slice(two, STATES[:1], points=400, limits=(-3.0, 3.0))
    eta = diagnostics.duals(two)["temperature"]
    prior, bowl_ = 1 / 0.3**2, 4 / eta
    mean = (prior * 0.1 + bowl_ * PEAK[0]) / (prior + bowl_)
    (line,), weight = found.grid[:1], found.posterior[:, 0]
    # the middle rule of a Gaussian over 10 stds, 20 points a std, is exact in float32
    np.testing.assert_allclose((weight * line).sum(), mean, rtol=1e-4)
    variance = (weight * np.square(line - mean)).sum()
    np.testing.assert_allclose(variance, 1 / (prior + bowl_), rtol=1e-3)
    value = -2 * (np.square([0.1, 0.4] - PEAK).sum() + 2 * 0.3**2)
    # 32 draws of a variable of std 0.5 or so
    np.testing.assert_allclose(found.value[0], value, atol=0.4)


def test_sac_has_the_boltzmann_weights_that_it_climbs_to_and_ddpg_none():
    agent = having(made("sac", size=2, **LINEAR), critic=[bowl(), bowl()])
    found = diagnostics.critic_slice(agent, STATES)
    weight = np.exp(found.score)  # eta starts at 1
    np.testing.assert_allclose(found.weight, weight / weight.sum(axis=0), rtol=1e-4)
    lone = having(made("ddpg", **LINEAR), critic=[quadratic(-np.eye(3))])
    found = diagnostics.critic_slice(lone, STATES)
    assert found.density is found.share is found.weight is found.posterior is None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"axes": (0, 0)}, r"axes is \(0, 0\): .* from 0 to 1"),
        ({"axes": (2,)}, "one or two different dimensions"),
        ({"axes": ()}, "one or two different dimensions"),
        ({"points": 1}, "2 points or more"),
        ({"limits": (1.0, -1.0)}, "a lower limit and a higher"),
    ],
    ids=str,
)
def test_slices_that_do_not_fit_are_a_sentence(two, how, message):
    with pytest.raises(coadapt.ConfigError, match=message) as caught:
        diagnostics.critic_slice(two, STATES, **how)
    assert "\n" not in str(caught.value)


def test_agents_that_have_no_such_thing_are_a_sentence():
    choice = made("ppo", "toy/arms", **TINY, pi_theta="Softmax")
    ones, nothing = np.ones((2, 1)), made("rwr", **TINY)
    for message, ask in {
        "discrete: no line": lambda: diagnostics.critic_slice(choice, ones),
        "discrete: no box": lambda: diagnostics.saturated(choice, ones),
        "parametric posterior": lambda: diagnostics.e_step(choice),
        r"ask v\(obs\)": lambda: diagnostics.critic_slice(made("awr", **TINY), STATES),
        "has no critic": lambda: diagnostics.overestimation(
            nothing, diagnostics.rollout(nothing, episodes=1)
        ),
        "no entropy": lambda: diagnostics.entropy(made("ddpg", **TINY), STATES),
        "replay=True": lambda: diagnostics.e_step(made("awac", **TINY)),
        "episodes is 0": lambda: diagnostics.rollout(choice, episodes=0),
    }.items():
        with pytest.raises(coadapt.ConfigError, match=message) as caught:
            ask()
        assert "\n" not in str(caught.value)
