"""Weighted least squares against C28, numpy's solver and invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.ops.regression import weighted_ridge
from coadapt.ops.weights import boltzmann

EXACT = 1e-12  # float64, well-conditioned systems of a few unknowns

PHI = np.stack([np.ones(4), np.arange(4.0)], axis=1)
ACTION = np.array([[0.0], [1.0], [1.0], [3.0]])
WEIGHT = np.array([[1.0], [2.0], [3.0], [4.0]])


def ours(features, target, weight, ridge):
    arrays = (jnp.asarray(x) for x in (features, target, weight))
    return tuple(np.asarray(x) for x in weighted_ridge(*arrays, ridge))


def stacked(features, target, weight, ridge):
    """One target as plain least squares: rows times root weights, then ridge rows."""
    root = np.sqrt(weight / weight.sum())
    size = features.shape[1]
    rows = np.vstack([features * root[:, None], np.sqrt(ridge) * np.eye(size)])
    values = np.concatenate([target * root, np.zeros(size)])
    return np.linalg.lstsq(rows, values, rcond=None)[0], np.linalg.cond(rows) ** 2


def random_case(seed=0, batch=30, size=4, actions=3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(batch, size))
    target = rng.normal(size=(batch, actions))
    return features, target, rng.uniform(0.1, 5, size=(batch, actions))


def test_c28_numbers(x64):
    theta, _ = ours(PHI, ACTION, WEIGHT, 0.0)
    np.testing.assert_allclose(theta[:, 0], (-0.3, 1.0), rtol=0, atol=EXACT)
    error = ACTION - PHI @ theta
    variance = np.sum(WEIGHT * error**2) / np.sum(WEIGHT)
    assert variance == pytest.approx(0.21, abs=EXACT)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0])
def test_c28_the_scale_of_weights_does_not_matter(x64, ridge):
    theta, condition = ours(PHI, ACTION, WEIGHT, ridge)
    other, same = ours(PHI, ACTION, 7 * WEIGHT, ridge)
    np.testing.assert_allclose(other, theta, rtol=0, atol=EXACT)
    assert same == pytest.approx(condition, rel=EXACT)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0])
def test_is_numpys_least_squares_of_each_target(x64, ridge):
    features, target, weight = random_case()
    got, condition = ours(features, target, weight, ridge)
    alone = [
        stacked(features, target[:, a], weight[:, a], ridge)
        for a in range(target.shape[1])
    ]
    np.testing.assert_allclose(got.T, [k for k, _ in alone], rtol=0, atol=EXACT)
    largest = max(c for _, c in alone)
    assert condition == pytest.approx(largest, rel=1e-10)  # of a difference in numpy


def test_c28_rwr_weights_ignore_a_constant_and_uniform_rewards_clone(x64):
    features, target, _ = random_case(1, actions=1)
    reward = np.random.default_rng(2).normal(size=(30, 1))

    def fit(reward):
        score = jnp.asarray(reward)
        return ours(
            features, target, boltzmann(score, jnp.asarray(0.7), per_batch=False), 0.0
        )[0]

    np.testing.assert_allclose(fit(reward + 5), fit(reward), rtol=0, atol=1e-11)
    plain = np.linalg.lstsq(features, target, rcond=None)[0]
    np.testing.assert_allclose(fit(np.full((30, 1), 3.0)), plain, rtol=0, atol=EXACT)


def test_rows_without_weight_do_not_count(x64):
    features, target, weight = random_case(3)
    weight[10:] = 0
    got, _ = ours(features, target, weight, 0.1)
    fewer, _ = ours(features[:10], target[:10], weight[:10], 0.1)
    np.testing.assert_allclose(got, fewer, rtol=0, atol=EXACT)


def test_a_singular_system_says_so_and_a_ridge_helps(x64):
    features, target, weight = random_case(4)
    features = np.concatenate([features, features[:, :1]], axis=1)  # one twice
    _, condition = ours(features, target, weight, 0.0)
    assert condition > 1e14  # infinite but for rounding
    got, condition = ours(features, target, weight, 1e-3)
    assert condition < 1e5
    # equal features share, up to rounding times the condition number
    np.testing.assert_allclose(got[0], got[-1], rtol=0, atol=1e-11)


def test_float32_and_jit_and_vmap_agree():
    cases = [random_case(seed) for seed in (5, 6)]
    stack = [jnp.asarray(np.stack(x), jnp.float32) for x in zip(*cases, strict=True)]
    solve = jax.jit(jax.vmap(weighted_ridge, in_axes=(0, 0, 0, None)))
    got, condition = solve(*stack, jnp.float32(1e-3))
    assert got.dtype == jnp.float32
    for i, case in enumerate(cases):
        with jax.enable_x64(True):
            expected, largest = ours(*case, 1e-3)
        # float32 times a condition number of about 10
        np.testing.assert_allclose(got[i], expected, rtol=0, atol=1e-5)
        assert condition[i] == pytest.approx(largest, rel=1e-4)


def test_refuses_one_weight_for_all_targets():
    with pytest.raises(AssertionError, match="shape"):
        weighted_ridge(jnp.ones((4, 2)), jnp.ones((4, 3)), jnp.ones((4, 1)), 0.1)
