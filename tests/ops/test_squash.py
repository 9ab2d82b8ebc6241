"""tanh: its log-determinant against calculus, C11 and C12, and both inverses."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.ops.squash import SAFE_LIMIT, inverse, log_det

EXACT = 1e-12  # float64, a handful of operations on numbers of size 10


def log_normal(u, std=1.0):
    return -0.5 * (u / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def test_log_det_is_the_log_of_the_derivative(x64):
    u = jnp.linspace(-5, 5, 41)
    slope = jax.vmap(jax.grad(jnp.tanh))(u)
    # 1 - tanh^2 keeps 1e-16 / 1.8e-4 of relative precision at |u| = 5
    np.testing.assert_allclose(log_det(u), np.log(slope), rtol=0, atol=1e-11)
    np.testing.assert_allclose(log_det(u), log_det(-u), rtol=0, atol=EXACT)


@pytest.mark.parametrize("u", [0.0, 8.0, 20.0, 1e4, 1e37])
def test_log_det_is_finite_in_float32(u):
    both = jnp.asarray([u, -u], jnp.float32)
    # 2 log 2 - 2|u| - 2 log(1 + e^(-2|u|)), in float32
    expected = np.full(2, 2 * np.log(2) - 2 * u - 2 * np.log1p(np.exp(-2 * u)))
    np.testing.assert_allclose(log_det(both), expected, rtol=1e-6, atol=1e-6)
    slope = jax.grad(lambda x: log_det(x).sum())(both)
    np.testing.assert_allclose(slope, -2 * np.tanh([u, -u]), rtol=1e-5)


@pytest.mark.parametrize(
    ("u", "expected"),
    [(0.0, -0.918939), (1.0, -0.551377), (3.0, -0.800282), (8.0, -18.305233)],
)
def test_c11_log_prob_of_a_squashed_gaussian(u, expected):
    with jax.enable_x64(True):
        got = log_normal(u) - float(log_det(jnp.asarray(u)))
    assert got == pytest.approx(expected, abs=5e-7)  # as printed
    low = np.float32(log_normal(u)) - np.asarray(log_det(jnp.float32(u)))
    assert low == pytest.approx(expected, rel=1e-6)  # float32


def test_c11_density_integrates_to_one(x64):
    """Over a in (-1, 1), on a grid that is fine where the mass is."""
    action = np.tanh(np.linspace(-9, 9, 20001))
    density = np.exp(log_normal(np.arctanh(action)))
    density = density * np.exp(-np.asarray(log_det(jnp.arctanh(jnp.asarray(action)))))
    # the trapezoid rule on 20 000 cells: cell^2 / 12 is 1e-7
    assert np.trapezoid(density, action) == pytest.approx(1, abs=1e-6)


def entropy(std):
    """H(N(0, std)) + E log tanh'(u), the mean as a sum over a grid of 12 stds."""
    u, step = np.linspace(-12 * std, 12 * std, 4001, retstep=True)
    mean = (
        np.sum(np.exp(log_normal(u, std)) * np.asarray(log_det(jnp.asarray(u)))) * step
    )
    return 0.5 * np.log(2 * np.pi * np.e) + np.log(std) + mean


@pytest.mark.parametrize(
    ("std", "expected"),
    [(0.5, 0.5001), (0.7, 0.6507), (0.8745, 0.6839), (1.0, 0.6701), (1.5, 0.4231)],
)
def test_c12_entropy_of_a_squashed_gaussian(x64, std, expected):
    # the settings' numbers are means of 2e6 samples: standard errors 2e-4 to 1.1e-3
    assert entropy(std) == pytest.approx(expected, abs=1e-3)


def test_c12_entropy_never_exceeds_the_uniform_one(x64):
    values = [entropy(std) for std in np.geomspace(0.01, 30, 60)]
    assert max(values) < np.log(2)
    assert max(values) > 0.68  # and comes close, at a std of about 0.87


@pytest.mark.parametrize("safe", [False, True], ids=["naive", "safe"])
def test_inverse_undoes_tanh(x64, safe):
    u = jnp.linspace(-6, 6, 61)
    # atanh magnifies the rounding of a by 1 / (1 - a^2), 4e4 at |u| = 6
    got = inverse(jnp.tanh(u), safe=safe)
    np.testing.assert_allclose(got, u, rtol=0, atol=1e-11)


SATURATED = """
import jax.numpy as jnp, numpy as np
from coadapt.ops.squash import inverse
u = jnp.linspace(5, 12, 701)
saturated = np.asarray(jnp.tanh(u)) == 1
assert saturated.any()
assert np.all(np.isinf(inverse(jnp.tanh(u), safe=False)) == saturated)
print(float(u[np.argmax(saturated)]))
"""


def test_naive_inverse_is_infinite_where_float32_saturates():
    """In a process with XLA's own code: that of these tests stays below 1 for ever."""
    own = {"XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    own = {**os.environ, **own, "JAX_PLATFORMS": "cpu"}
    first = subprocess.check_output([sys.executable, "-c", SATURATED], env=own)
    assert 7.5 < float(first) < 9.5  # 9.01 in exact rounding, 8.0 in XLA's on a CPU


def test_naive_inverse_of_the_bounds_is_infinite():
    np.testing.assert_array_equal(
        inverse(jnp.asarray([1.0, -1.0]), safe=False), (np.inf, -np.inf)
    )


@pytest.mark.parametrize("action", [1.0, -1.0, 3.0, -0.5, 0.0])
def test_safe_inverse_is_bounded_with_a_finite_gradient(action):
    value, slope = jax.value_and_grad(lambda a: inverse(a, safe=True))(
        jnp.float32(action)
    )
    assert abs(float(value)) <= 7.25
    assert np.isfinite(slope)
    assert (slope == 0) == (abs(action) > SAFE_LIMIT)
    expected = np.arctanh(np.clip(action, -SAFE_LIMIT, SAFE_LIMIT))
    # the limit itself is rounded, to 1 - 1.01e-6, which is 0.007 in u
    assert value == pytest.approx(expected, abs=0.01)
