"""What several estimates say together, and where the gradient goes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.ops.ensemble import minimum, mix


@pytest.mark.parametrize("critics", [1, 2, 3])
def test_is_the_least_elementwise(critics):
    values = np.random.default_rng(0).standard_normal((critics, 4, 5), np.float32)
    np.testing.assert_array_equal(minimum(values), values.min(axis=0))


@pytest.mark.parametrize("values", [[np.nan, 1.0], [1.0, np.nan]])
def test_a_nan_stays(values):
    assert np.isnan(minimum(jnp.array(values)))


def test_the_gradient_goes_to_the_lesser_and_of_equals_to_the_first():
    values = jnp.array([[1.0, 5.0, 2.0], [3.0, 4.0, 2.0]])
    grad = jax.grad(lambda v: jnp.sum(minimum(v)))(values)
    np.testing.assert_array_equal(grad, [[1, 0, 1], [0, 1, 0]])


def test_no_gradient_asks_for_equality():
    """XLA may compute an entry twice and round it differently: then nothing is equal.

    A gradient made of `eq` would divide by the number of entries found, which is none.
    """
    program = jax.make_jaxpr(jax.grad(lambda v: jnp.sum(minimum(v))))(jnp.ones((2, 3)))
    words = set(re.findall(r"\w+", str(program)))  # inner programs too
    assert "select_n" in words
    assert words.isdisjoint({"eq", "div", "reduce_min"})


@pytest.mark.parametrize("critics", [1, 2, 3])
@pytest.mark.parametrize("weight", [0.0, 0.25, 0.75, 1.0])
def test_a_mix_is_between_the_least_and_the_most(critics, weight):
    values = np.random.default_rng(0).standard_normal((critics, 4, 5), np.float32)
    exact = values.astype(np.float64)
    expected = weight * exact.min(axis=0) + (1 - weight) * exact.max(axis=0)
    # two products of float32 and their sum, of size 2
    np.testing.assert_allclose(mix(values, weight), expected, rtol=0, atol=5e-7)


def test_all_weight_on_the_minimum_is_the_minimum_to_the_bit():
    values = np.random.default_rng(0).standard_normal((2, 4, 5), np.float32)
    np.testing.assert_array_equal(mix(values, 1.0), minimum(values))


def test_the_gradient_of_a_mix_is_shared_as_the_mix_is():
    values = jnp.array([[1.0, 5.0, 2.0], [3.0, 4.0, 2.0]])
    grad = jax.grad(lambda v: jnp.sum(mix(v, 0.75)))(values)
    np.testing.assert_array_equal(grad, [[0.75, 0.25, 1.0], [0.25, 0.75, 0.0]])


@pytest.mark.parametrize("values", [[np.nan, 1.0], [1.0, np.nan]])
def test_a_nan_stays_in_a_mix(values):
    assert np.isnan(mix(jnp.array(values), 0.75))
