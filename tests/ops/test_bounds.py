"""Distances to the box against loops, and the settings' numbers C5 and C22."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.bounds import excess, excess_norm, excess_squared

EXACT = 1e-12  # float64, a handful of operations on numbers of size 10

actions = st.lists(
    st.floats(-4, 4) | st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(actions)
def test_each_is_the_loop(action):
    beyond = [a - 1 if a > 1 else a + 1 if a < -1 else 0.0 for a in action]
    squares = sum(x * x for x in beyond)
    with jax.enable_x64(True):
        a = jnp.asarray(action)
        got, norm, half = excess(a), excess_norm(a), excess_squared(a)
    np.testing.assert_allclose(got, beyond, rtol=0, atol=EXACT)
    assert float(norm) == pytest.approx(squares**0.5, abs=EXACT)
    assert float(half) == pytest.approx(squares / 2, abs=EXACT)


@pytest.mark.parametrize(
    ("action", "cost"),
    [((0.5, 0.5), 0.0), ((1.5, 0.5), -0.5), ((2.0, -3.0), -2.236068)],
    ids=["inside", "one side", "corner"],
)
def test_c5_costs(x64, action, cost):
    got = -excess_norm(jnp.asarray(action))
    assert got == pytest.approx(cost, abs=5e-7)  # as printed


def test_norm_has_no_gradient_inside_and_a_unit_one_outside(x64):
    slope = jax.grad(excess_norm)
    for inside in ((0.0, 0.0), (0.5, -0.9), (1.0, -1.0)):
        np.testing.assert_array_equal(slope(jnp.asarray(inside)), (0, 0))
    got = slope(jnp.asarray([2.0, -3.0]))
    np.testing.assert_allclose(got, np.array([1, -2]) / 5**0.5, rtol=EXACT)
    got = slope(jnp.asarray([2.0, 0.3]))
    np.testing.assert_allclose(got, (1, 0), rtol=0, atol=EXACT)


def bound_loss(mean):
    return 10.0 * jnp.mean(excess_squared(mean))


def test_c22_bound_loss_is_zero_inside_and_quadratic_outside(x64):
    inside = jnp.asarray([[0.3, -1.0], [1.0, 0.0]])
    assert bound_loss(inside) == 0
    np.testing.assert_array_equal(jax.grad(bound_loss)(inside), np.zeros((2, 2)))
    for beyond in (0.1, 0.2, 1.7):
        one = jnp.asarray([[1 + beyond, -0.2]])
        assert bound_loss(one) == pytest.approx(10 * beyond**2 / 2, abs=EXACT)
        assert bound_loss(-one) == pytest.approx(10 * beyond**2 / 2, abs=EXACT)


def test_c22_gradient_is_ten_times_the_violation_over_the_batch(x64):
    mean = np.array([[1.5, 0.0], [-3.0, 2.0], [0.9, -1.2]])
    violation = np.array([[0.5, 0.0], [-2.0, 1.0], [0.0, -0.2]])
    slope = jax.grad(bound_loss)(jnp.asarray(mean))
    np.testing.assert_allclose(slope, 10 * violation / 3, rtol=0, atol=EXACT)
