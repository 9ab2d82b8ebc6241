"""The natural gradient and its line search: C26, explicit Hessians, plain loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from coadapt.factors.pi_theta import Normal, normal_kl
from coadapt.ops.natural import backtrack, fisher, natural_step

EXACT = 1e-12  # float64, sums of a few dozen terms of size 1
SOLVED = 1e-9  # conjugate gradients stop at a residual of 1e-10, relative
PRINTED = 5e-7  # half a unit of the last decimal that the settings print

RADIUS = 0.01
VAR = (0.25, 0.04)
SLOPE = (1.0, 2.0)


def bias_only(mean):
    """KL of N(0, VAR) to N(mean, VAR), summed over dimensions: exactly quadratic."""
    std = jnp.sqrt(jnp.asarray(VAR, mean.dtype))
    return normal_kl(Normal(jnp.zeros_like(mean), std), Normal(mean, std))


@jax.jit
def bias_step(slope, damping, radius=RADIUS):
    return natural_step(
        bias_only,
        jnp.zeros_like(slope),
        slope,
        radius=radius,
        iterations=10,
        damping=damping,
    )


@pytest.mark.parametrize(
    ("damping", "step", "divergence", "printed"),
    [
        pytest.param(0.0, (0.055216, 0.017669), RADIUS, EXACT, id="undamped"),
        pytest.param(0.1, (0.054317, 0.017745), 0.009837, PRINTED, id="damped"),
    ],
)
def test_c26_numbers(x64, damping, step, divergence, printed):
    got = bias_step(jnp.asarray(SLOPE), damping)
    np.testing.assert_allclose(got, step, rtol=0, atol=PRINTED)
    assert bias_only(got) == pytest.approx(divergence, abs=printed)
    assert bias_only(got) <= RADIUS * (1 + EXACT)
    diagonal = 1 / np.array(VAR) + damping
    direction = np.array(SLOPE) / diagonal
    scale = np.sqrt(2 * RADIUS / np.sum(direction**2 * diagonal))
    np.testing.assert_allclose(got, scale * direction, rtol=SOLVED)


def test_c26_numbers_in_float32():
    got = bias_step(jnp.asarray(SLOPE), 0.0)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, (0.055216, 0.017669), rtol=0, atol=PRINTED)
    assert bias_only(got) == pytest.approx(RADIUS, rel=1e-6)  # float32


@jax.jit
def policy(params, obs):
    """Mean and std of a small network: [B, O] -> [B, A], [A]."""
    hidden = jnp.tanh(obs @ params["w"])
    return hidden @ params["v"], jnp.exp(params["log_std"])


def problem(seed=0):
    """States, parameters and the mean KL from the policy that they are now."""
    rng = np.random.default_rng(seed)
    obs = jnp.asarray(rng.normal(size=(12, 3)))
    params = {
        "w": jnp.asarray(rng.normal(size=(3, 2))),
        "v": jnp.asarray(rng.normal(size=(2, 2))),
        "log_std": jnp.asarray(rng.normal(size=2) * 0.3),
    }
    old_mean, old_std = policy(params, obs)

    @jax.jit
    def divergence(new):
        mean, std = policy(new, obs)
        old, std = (jnp.broadcast_to(x, mean.shape) for x in (old_std, std))
        return jnp.mean(normal_kl(Normal(old_mean, old), Normal(mean, std)))

    return obs, params, divergence


def gain_of(obs, params, seed=0):
    """The surrogate E[(ratio - 1) A], on actions of the old policy."""
    rng = np.random.default_rng(seed)
    mean, std = policy(params, obs)
    action = mean + std[None] * rng.normal(size=mean.shape)
    advantage = jnp.asarray(rng.normal(size=len(obs)))

    @jax.jit
    def log_prob(new):
        mean, std = policy(new, obs)
        error = (action - mean) / std[None]
        return jnp.sum(-jnp.square(error) / 2 - jnp.log(std)[None], axis=-1)

    old = log_prob(params)
    return jax.jit(lambda new: jnp.mean((jnp.exp(log_prob(new) - old) - 1) * advantage))


def explicit(divergence, params):
    """The Hessian as a matrix over the flattened parameters."""
    flat, unravel = ravel_pytree(params)
    hessian = jax.jit(jax.hessian(lambda x: divergence(unravel(x))))
    return np.asarray(hessian(flat)), unravel


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_c26_product_is_that_with_the_explicit_hessian(x64, damping):
    _, params, divergence = problem()
    matrix, unravel = explicit(divergence, params)
    product_of = jax.jit(lambda vector: fisher(divergence, params, damping)(vector))
    rng = np.random.default_rng(1)
    for _ in range(3):
        vector = rng.normal(size=len(matrix))
        product = product_of(unravel(jnp.asarray(vector)))
        assert jax.tree.structure(product) == jax.tree.structure(params)
        expected = matrix @ vector + damping * vector
        np.testing.assert_allclose(
            ravel_pytree(product)[0], expected, rtol=0, atol=1e-10
        )  # entries of up to 1e2


def test_c26_fisher_matrix_is_symmetric_positive_and_known_on_the_diagonal(x64):
    _, params, divergence = problem()
    _, unravel = explicit(divergence, params)
    product = jax.jit(lambda e: fisher(divergence, params, 0.0)(unravel(e)))
    matrix = np.stack([ravel_pytree(product(e))[0] for e in jnp.eye(12)])
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-10)  # as above
    assert np.linalg.eigvalsh(matrix).min() > -1e-10
    log_std = slice(0, 2)  # the first leaf by name
    np.testing.assert_allclose(
        matrix[log_std, log_std], 2 * np.eye(2), rtol=0, atol=EXACT
    )
    np.testing.assert_allclose(matrix[log_std, 2:], 0, rtol=0, atol=EXACT)
    of_mean = [fisher(bias_only, jnp.zeros(2), 0.0)(e) for e in jnp.eye(2)]
    np.testing.assert_allclose(of_mean, np.diag(1 / np.array(VAR)), rtol=EXACT)


def test_c26_divergence_from_itself_is_0_and_flat(x64):
    _, params, divergence = problem()
    value, slope = jax.value_and_grad(divergence)(params)
    assert abs(float(value)) < EXACT
    np.testing.assert_allclose(ravel_pytree(slope)[0], 0, rtol=0, atol=EXACT)


def quadratic(matrix):
    return lambda x: 0.5 * x @ matrix @ x


def test_c26_n_iterations_solve_n_dimensions(x64):
    rng = np.random.default_rng(2)
    root = rng.normal(size=(6, 6))
    matrix, slope = root @ root.T + np.eye(6), rng.normal(size=6)
    direction = np.linalg.solve(matrix, slope)
    expected = np.sqrt(2 * RADIUS / (slope @ direction)) * direction

    @partial(jax.jit, static_argnums=0)
    def step(iterations):
        return natural_step(
            quadratic(jnp.asarray(matrix)),
            jnp.zeros(6),
            jnp.asarray(slope),
            radius=RADIUS,
            iterations=iterations,
            damping=0.0,
        )

    # in exact arithmetic; the condition number, about 40, costs a few digits
    np.testing.assert_allclose(step(6), expected, rtol=1e-9)
    assert np.abs(np.asarray(step(3)) - expected).max() > 1e-4
    for n in (1, 3, 6):  # solved or not, its length is the radius
        length = quadratic(matrix)(np.asarray(step(n)))
        assert length == pytest.approx(RADIUS, rel=EXACT)


def test_no_gradient_no_step():
    """Also where others of the batch have one, and where F has no inverse."""
    slopes = jnp.asarray([SLOPE, (0.0, 0.0), (-1.0, 0.5)])
    steps = jax.jit(jax.vmap(lambda slope: bias_step(slope, 0.1)))(slopes)
    np.testing.assert_array_equal(steps[1], (0, 0))
    for i in (0, 2):
        alone = bias_step(slopes[i], 0.1)
        np.testing.assert_allclose(steps[i], alone, rtol=1e-5)  # float32
    flat = natural_step(
        lambda x: 0.0 * jnp.sum(x),
        jnp.zeros(2),
        jnp.asarray(SLOPE),
        radius=RADIUS,
        iterations=3,
        damping=0.0,
    )
    assert not jnp.any(flat > 0)


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e30])
def test_the_gradients_scale_does_not_matter(scale):
    """In float32, whose squares end at 1e-38 and 1e38."""
    got = bias_step(jnp.asarray(SLOPE) * jnp.float32(scale), 0.1)
    expected = bias_step(jnp.asarray(SLOPE), 0.1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)  # float32


def test_radius_and_damping_may_be_traced(x64):
    slope = jnp.asarray(SLOPE)
    got = jax.jit(bias_step)(slope, jnp.asarray(0.1), jnp.asarray(0.04))
    expected = 2 * bias_step(slope, 0.1)  # goes with the root of the radius
    np.testing.assert_allclose(got, expected, rtol=EXACT)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stretch", [1.0, 20.0], ids=["natural", "too long"])
def test_c26_accepted_step_gains_within_the_radius(x64, seed, stretch):
    obs, params, divergence = problem(seed)
    gain = gain_of(obs, params, seed)

    @jax.jit
    def long_step(params):
        step = natural_step(
            divergence,
            params,
            jax.grad(gain)(params),
            radius=RADIUS,
            iterations=12,
            damping=0.1,
        )
        return jax.tree.map(lambda s: stretch * s, step)

    def evaluate(new):
        return gain(new), divergence(new)

    step = long_step(params)
    new, fraction = jax.jit(
        lambda step: backtrack(evaluate, params, step, radius=RADIUS, trials=10)
    )(step)
    assert gain(new) > 0
    assert divergence(new) <= RADIUS
    expected = next(  # the rule as a loop
        f
        for f in (0.5**k for k in range(10))
        if (moved := jax.tree.map(lambda p, s: p + f * s, params, step))  # noqa: B023
        and gain(moved) > 0
        and divergence(moved) <= RADIUS
    )
    assert fraction == expected
    assert (fraction < 1) == (stretch > 1)
    moved = jax.tree.map(lambda p, s: p + expected * s, params, step)
    np.testing.assert_array_equal(ravel_pytree(new)[0], ravel_pytree(moved)[0])


@partial(jax.jit, static_argnames="trials")
def line(radius, best=np.inf, trials=10, step=1.0):
    """From 0 along a line: divergence x^2, gain up to x = best and a NaN beyond."""

    def evaluate(x):
        return jnp.where(x < best, x, jnp.nan), jnp.square(x)

    start = jnp.zeros(())
    return backtrack(evaluate, start, jnp.asarray(step), radius=radius, trials=trials)


@pytest.mark.parametrize(
    ("case", "fraction"),
    [
        pytest.param({"radius": 1.0}, 1.0, id="whole, at the radius"),
        pytest.param({"radius": 0.3}, 0.5, id="halved once"),
        pytest.param({"radius": 0.01}, 0.0625, id="halved four times"),
        pytest.param({"radius": 0.01, "trials": 5}, 0.0625, id="the last trial"),
        pytest.param({"radius": 0.01, "trials": 4}, 0.0, id="one trial too few"),
        pytest.param({"radius": 1.0, "best": 0.2}, 0.125, id="NaN until 0.2"),
        pytest.param({"radius": 1.0, "best": -1.0}, 0.0, id="always NaN"),
        pytest.param({"radius": 1.0, "step": -1.0}, 0.0, id="no gain"),
        pytest.param({"radius": 1.0, "step": 0.0}, 0.0, id="no step"),
        pytest.param({"radius": 1.0, "step": np.nan}, 0.0, id="NaN for a step"),
        pytest.param({"radius": np.nan}, 0.0, id="NaN for a radius"),
    ],
)
def test_backtracking(case, fraction):
    new, got = line(**case)
    assert got == fraction  # powers of 2: exact
    assert new == (fraction if fraction else 0.0)


def test_backtracking_of_a_batch_is_that_of_each():
    radius = jnp.asarray([1.0, 0.3, 0.01, 1e-9])
    best = jnp.asarray([np.inf, 0.2, np.inf, np.inf])
    new, fraction = jax.jit(jax.vmap(lambda r, b: line(r, b)))(radius, best)
    np.testing.assert_array_equal(fraction, (1.0, 0.125, 0.0625, 0.0))
    np.testing.assert_array_equal(new, fraction)


def test_backtracking_keeps_the_parameters_types(x64):
    params = {"a": jnp.zeros(2, jnp.float32), "b": jnp.zeros(())}
    step = jax.tree.map(jnp.ones_like, params)
    new, _ = backtrack(lambda p: (p["b"], p["b"]), params, step, radius=0.3, trials=3)
    assert new["a"].dtype == jnp.float32
    np.testing.assert_array_equal(new["a"], np.full(2, 0.25))
