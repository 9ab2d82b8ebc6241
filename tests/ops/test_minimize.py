"""L-BFGS on known minima, and on the dual of REPS with a linear V (C29)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.ops.lagrange import temperature_dual
from coadapt.ops.minimize import minimize as search
from coadapt.ops.weights import boltzmann

minimize = partial(jax.jit, static_argnames=("function", "iterations"))(search)
FLAT = 1e-9  # the tolerance of most tests: of the gradient, in float64


def quadratic(seed=0, size=5):
    """A strictly convex one, its matrix (curvatures 1 to about 20) and its slope."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    return jnp.asarray(root @ root.T + np.eye(size)), jnp.asarray(rng.normal(size=size))


def bowl(x, matrix, slope):
    return 0.5 * x @ matrix @ x - slope @ x


def rosenbrock(p, steepness=100.0):
    return jnp.square(1 - p["a"]) + steepness * jnp.square(p["b"] - jnp.square(p["a"]))


START = {"a": -1.2, "b": 1.0}


def start(**shift):
    return {name: jnp.asarray(x + shift.get(name, 0.0)) for name, x in START.items()}


def test_quadratic(x64):
    matrix, slope = quadratic()
    got, norm, steps = minimize(
        lambda x: bowl(x, matrix, slope), jnp.zeros(5), iterations=100, tolerance=FLAT
    )
    assert norm <= FLAT
    assert norm == pytest.approx(
        float(jnp.linalg.norm(matrix @ got - slope)), abs=1e-14
    )
    assert 0 < steps < 50
    # the error is the gradient over a curvature of 1 or more
    np.testing.assert_allclose(got, np.linalg.solve(matrix, slope), rtol=0, atol=FLAT)


def test_rosenbrock(x64):
    got, norm, steps = minimize(rosenbrock, start(), iterations=200, tolerance=FLAT)
    assert norm <= FLAT
    assert 10 < steps < 100
    # the smallest curvature at (1, 1) is 0.4
    np.testing.assert_allclose((got["a"], got["b"]), (1, 1), rtol=0, atol=FLAT / 0.4)


def test_rosenbrock_in_float32():
    got, norm, _ = minimize(rosenbrock, start(), iterations=200, tolerance=1e-4)
    assert got["a"].dtype == norm.dtype == jnp.float32
    assert norm <= 1e-4
    np.testing.assert_allclose((got["a"], got["b"]), (1, 1), rtol=0, atol=1e-4 / 0.4)


def test_a_batch_of_problems_is_each_alone(x64):
    """Others that end early or late, or are not finite, change nothing."""
    steepness = jnp.asarray([100.0, 1.0, np.nan, 10.0])
    shift = jnp.asarray([0.0, 0.5, 0.0, 2.0])

    def solve(steepness, shift):
        at = start() | {"a": START["a"] + shift}
        return search(
            lambda p: rosenbrock(p, steepness), at, iterations=30, tolerance=1e-6
        )

    together = jax.jit(jax.vmap(solve))(steepness, shift)
    steps = np.asarray(together[2])
    assert len(set(steps.tolist())) == 4
    assert steps[0] == 30  # used up
    assert steps[2] == 0
    alone = [jax.jit(solve)(s, d) for s, d in zip(steepness, shift, strict=True)]
    for i, one in enumerate(alone):
        for got, expected in zip(
            jax.tree.leaves(together), jax.tree.leaves(one), strict=True
        ):
            # rounding that the path amplifies: 30 steps in a curved valley
            np.testing.assert_allclose(got[i], expected, rtol=1e-6, atol=1e-9)


def test_no_iterations_and_a_flat_start_stay(x64):
    begin = start()
    got, norm, steps = minimize(rosenbrock, begin, iterations=0, tolerance=FLAT)
    assert got == begin
    assert steps == 0
    slope = jax.grad(rosenbrock)(begin)
    assert norm == pytest.approx(np.hypot(slope["a"], slope["b"]))
    best = {"a": jnp.ones(()), "b": jnp.ones(())}
    got, norm, steps = minimize(rosenbrock, best, iterations=9, tolerance=FLAT)
    assert got == best
    assert norm == 0
    assert steps == 0


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: jnp.log(x), id="falls to a pole"),
        pytest.param(lambda x: -jnp.exp(x), id="falls without end"),
        pytest.param(lambda x: jnp.where(x > 0.9, x, jnp.nan), id="falls into a NaN"),
        pytest.param(lambda x: x, id="a line"),
    ],
)
def test_without_a_minimum_the_point_is_finite_and_no_worse(x64, function):
    begin = jnp.asarray(1.0)
    got, norm, steps = minimize(function, begin, iterations=20, tolerance=FLAT)
    assert jnp.isfinite(got)
    assert jnp.isfinite(norm)
    assert function(got) <= function(begin)
    assert steps <= 20


@pytest.mark.parametrize(("begin", "steps"), [(1.0, 0), (0.5, 1)])
def test_a_step_uphill_is_not_taken(x64, begin, steps):
    """At the foot of a wall the line search gives up and would step onto it."""

    def wall(x):
        return jnp.where(x > 1, 10.0, 0.0) - x

    got = minimize(wall, jnp.asarray(begin), iterations=20, tolerance=FLAT)
    assert got == (1, 1, steps)


def test_a_start_that_is_not_finite_stays():
    got, norm, steps = minimize(
        lambda x: jnp.sum(x) * jnp.nan, jnp.ones(2), iterations=5, tolerance=1e-3
    )
    np.testing.assert_array_equal(got, (1, 1))
    assert jnp.isnan(norm)
    assert steps == 0


EPSILON = 0.2


def reps(gamma, seed=0, size=60):
    """Rewards and features of random transitions; with gamma 1, one closed tour."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(size, 3))
    following = np.roll(features, -1, axis=0)
    return jnp.asarray(rng.normal(size=size)), features, following, gamma


def advantage(theta, reward, features, following, gamma):
    return reward + gamma * (following @ theta) - features @ theta


def reps_dual(free, data):
    delta = advantage(free["theta"], *data)
    return temperature_dual(delta[:, None], jnp.exp(free["raw"]), EPSILON)


def reps_minimum(data):
    begin = {"theta": jnp.zeros(3), "raw": jnp.zeros(())}
    free, norm, _ = minimize(
        lambda free: reps_dual(free, data), begin, iterations=200, tolerance=FLAT
    )
    delta = advantage(free["theta"], *data)
    eta = jnp.exp(free["raw"])
    return free, norm, np.asarray(boltzmann(delta[:, None], eta, per_batch=False))[:, 0]


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_c29_at_the_optimum(x64, gamma):
    data = reps(gamma)
    free, norm, p = reps_minimum(data)
    assert norm <= FLAT
    eta = float(jnp.exp(free["raw"]))
    assert 0.1 < eta < 10
    assert p.sum() == pytest.approx(1, abs=1e-12)
    kl = np.sum(p * np.log(len(p) * p))
    assert kl == pytest.approx(EPSILON, abs=FLAT / eta)  # the slope is eta (eps - KL)
    _, features, following, _ = data
    mismatch = p @ (gamma * following - features)  # the slope in theta itself
    np.testing.assert_allclose(mismatch, np.zeros(3), rtol=0, atol=FLAT)
    uniform = np.mean(gamma * following - features, axis=0)
    if gamma < 1:  # a closed tour matches by itself
        assert np.abs(uniform).max() > 1e-3
    value = sum(p * np.asarray(data[0]))  # strong duality: the primal's best reward
    assert reps_dual(free, data) == pytest.approx(value, abs=1e-8)


def test_c29_a_constant_in_v_changes_nothing_with_gamma_1(x64):
    reward, features, following, gamma = reps(1.0)
    theta = jnp.asarray([0.3, -0.5, 1.0])
    base = advantage(theta, reward, features, following, gamma)
    value, next_value = features @ theta, following @ theta
    moved = reward + gamma * (next_value + 9) - (value + 9)
    p, q = (
        boltzmann(d[:, None], jnp.asarray(0.7), per_batch=False) for d in (base, moved)
    )
    np.testing.assert_allclose(q, p, rtol=1e-12)  # 9 costs a digit of delta
    shrunk = reward + 0.9 * (next_value + 9) - (value + 9)
    dual = [
        temperature_dual(d[:, None], jnp.asarray(0.7), EPSILON) for d in (base, shrunk)
    ]
    assert abs(float(dual[0] - dual[1])) > 0.1


def test_c29_gradients_are_the_formulas_and_finite_differences(x64):
    data = reps(0.9)
    reward, features, following, gamma = data
    theta, eta = np.array([0.3, -0.5, 1.0]), 0.8

    def dual(theta, eta):
        delta = np.asarray(advantage(theta, *data))
        return eta * EPSILON + eta * np.log(np.mean(np.exp(delta / eta)))

    def ours(theta, eta):
        return temperature_dual(advantage(theta, *data)[:, None], eta, EPSILON)

    of_theta, of_eta = jax.grad(ours, argnums=(0, 1))(
        jnp.asarray(theta), jnp.asarray(eta)
    )
    delta = np.asarray(advantage(theta, *data))
    p = np.exp(delta / eta) / np.sum(np.exp(delta / eta))
    expected = EPSILON + np.log(np.mean(np.exp(delta / eta))) - p @ delta / eta
    assert of_eta == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(
        of_theta, p @ (gamma * following - features), rtol=0, atol=1e-12
    )
    step = 1e-5  # central difference: step^2 of error and 1e-16 / step of rounding
    difference = dual(theta, eta + step) - dual(theta, eta - step)
    assert of_eta == pytest.approx(difference / (2 * step), abs=1e-8)
    for i, e in enumerate(np.eye(3) * step):
        difference = dual(theta + e, eta) - dual(theta - e, eta)
        assert of_theta[i] == pytest.approx(difference / (2 * step), abs=1e-8)
    assert reward.shape == (60,)
