"""Distributions of returns, against loops that follow their sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from coadapt.ops import distributions
from coadapt.ops.distributions import Atoms

ROUNDING = 1e-5  # float32, some tens of terms of size 1
RNG = np.random.default_rng(0)


def weights(*shape):
    w = RNG.uniform(0.1, 1.0, shape)
    return (w / w.sum(-1, keepdims=True)).astype(np.float32)


def projected(value, weight, support):
    """Bellemare et al. 2017, Algorithm 1, atom by atom."""
    low, high, m = support[0], support[-1], len(support)
    gap, found = (high - low) / (m - 1), np.zeros(m)
    for z, p in zip(value, weight, strict=True):
        b = (min(max(z, low), high) - low) / gap
        lower, upper = int(np.floor(b)), int(np.ceil(b))
        if lower == upper:
            found[lower] += p
        else:
            found[lower] += p * (upper - b)
            found[upper] += p * (b - lower)
    return found


def test_a_projection_is_the_algorithm_of_its_source():
    support = np.linspace(-2.0, 3.0, 11).astype(np.float32)
    value = RNG.normal(0, 3, (4, 7)).astype(np.float32)  # some beyond the ends
    value[0, 0], value[0, 1] = -2.0, 0.5  # on an atom
    weight = weights(4, 7)
    found = distributions.project(Atoms(value, weight), jnp.asarray(support))
    expected = [projected(*row, support) for row in zip(value, weight, strict=True)]
    np.testing.assert_allclose(found, expected, atol=ROUNDING)
    np.testing.assert_allclose(np.sum(found, -1), 1.0, atol=ROUNDING)


def test_a_two_hot_code_keeps_the_value_on_uneven_bins():
    support = jnp.asarray([-4.0, -1.0, 0.0, 0.5, 10.0])
    value = jnp.asarray([-4.0, -2.5, 0.1, 7.0, 10.0])
    code = distributions.project(Atoms(value[:, None], jnp.ones(1)), support)
    np.testing.assert_allclose(code @ support, value, atol=ROUNDING)
    assert np.all(np.sum(np.asarray(code) > 0, -1) <= 2)


@pytest.mark.parametrize("value", [-9.0, -1.0, 0.3, 2.0, 50.0])
def test_a_smoothed_value_is_the_normals_part_in_each_bin(value):
    edges, std = np.linspace(-1.0, 2.0, 7), 0.4
    normal = stats.norm(np.clip(value, -1.0, 2.0), std)
    inside = np.diff(normal.cdf(edges))
    found = distributions.smoothed(jnp.float32(value), jnp.asarray(edges), std)
    np.testing.assert_allclose(found, inside / inside.sum(), atol=ROUNDING)


def quantile_loss(quantiles, value, weight, kappa):
    """Dabney et al. 2018, Eq. 9 and 10, in two loops; divided by their number."""
    n, total = len(quantiles), 0.0
    for i, q in enumerate(quantiles):
        tau = (2 * i + 1) / (2 * n)
        for z, p in zip(value, weight, strict=True):
            u = z - q
            h = 0.5 * u**2 if abs(u) <= kappa else kappa * (abs(u) - 0.5 * kappa)
            total += p * abs(tau - (u < 0)) * h / kappa
    return total / n


@pytest.mark.parametrize("kappa", [0.3, 1.0])
def test_the_quantile_loss_is_two_loops(kappa):
    quantiles = RNG.normal(size=(2, 3, 5)).astype(np.float32)  # [K, B, n]
    value = RNG.normal(size=(3, 4)).astype(np.float32)  # [B, m]
    weight = weights(3, 4)
    found = distributions.quantile_huber(quantiles, Atoms(value, weight), kappa)
    for k in range(2):
        for b in range(3):
            expected = quantile_loss(quantiles[k, b], value[b], weight[b], kappa)
            np.testing.assert_allclose(found[k, b], expected, rtol=1e-5)
    same = distributions.quantile_huber(quantiles, Atoms(value, np.full(4, 0.25)), 1.0)
    expected = quantile_loss(quantiles[1, 2], value[2], np.full(4, 0.25), 1.0)
    np.testing.assert_allclose(same[1, 2], expected, rtol=1e-5)


def test_the_least_quantile_loss_is_at_the_quantiles():
    """Of 1 .. 8 the quarter-points: with so small a kappa the loss is the pinball's."""
    atoms = Atoms(jnp.arange(1.0, 9.0), jnp.full(8, 1 / 8))
    at = lambda q: float(  # noqa: E731
        distributions.quantile_huber(jnp.asarray(q), atoms, 1e-3)
    )
    best = at([2.5, 6.5])  # the first quarter lies between 2 and 3, the third 6 and 7
    assert best < min(at([1.5, 6.5]), at([3.5, 6.5]), at([2.5, 5.5]), at([2.5, 7.5]))


def test_a_truncation_drops_the_largest_of_the_pool():
    value = RNG.normal(size=(3, 2, 4)).astype(np.float32)  # K, B, n
    pool = distributions.mixture(Atoms(value, np.full(4, 0.25, np.float32)))
    assert pool.value.shape == (2, 12) and pool.weight.shape == (12,)
    for drop in (0, 6):
        left = distributions.truncate(pool, jnp.int32(drop))
        for b in range(2):
            expected = np.sort(value[:, b].ravel())[: 12 - drop].mean()
            found = np.sum(np.asarray(left.value)[b] * np.asarray(left.weight))
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mixtures_means_and_choices():
    shared = Atoms(np.arange(3.0), weights(2, 4, 3))  # of categories
    mixed = distributions.mixture(shared)
    np.testing.assert_allclose(mixed.weight, shared.weight.mean(0), rtol=1e-6)
    own = Atoms(RNG.normal(size=(2, 4, 3)).astype(np.float32), np.full(3, 1 / 3))
    for atoms in (shared, own):
        both = distributions.mean(atoms)
        mixture = distributions.mean(distributions.mixture(atoms))
        np.testing.assert_allclose(mixture, both.mean(0), rtol=1e-5, atol=1e-6)
        index = np.array([0, 1, 1, 0])
        taken = distributions.mean(distributions.take(atoms, jnp.asarray(index)))
        np.testing.assert_allclose(taken, both[index, np.arange(4)], rtol=1e-6)


def test_a_function_of_values_is_of_each_atom():
    reward = jnp.asarray([1.0, 2.0])
    shift = lambda value: reward + 0.5 * value  # noqa: E731
    np.testing.assert_allclose(distributions.mapped(shift, reward), [1.5, 3.0])
    atoms = Atoms(jnp.asarray([0.0, 4.0]), jnp.asarray(weights(2, 2)))
    moved = distributions.mapped(shift, atoms)
    np.testing.assert_allclose(moved.value, [[1.0, 3.0], [2.0, 4.0]])
    np.testing.assert_array_equal(moved.weight, atoms.weight)


def test_losses_of_an_error():
    x = np.linspace(-40.0, 40.0, 81)
    near = np.abs(x) <= 2.0
    expected = np.where(near, x**2 / 2, 2.0 * (np.abs(x) - 1.0))
    np.testing.assert_allclose(distributions.huber(jnp.asarray(x), 2.0), expected)
    found = distributions.log_cosh(jnp.asarray(x))
    np.testing.assert_allclose(found, np.log(np.cosh(x)), rtol=1e-5, atol=1e-6)
    far = jax.grad(distributions.log_cosh)(1e4)  # cosh itself would be infinite
    assert far == 1.0


def test_symexp_undoes_symlog():
    x = jnp.asarray([-1e4, -2.0, 0.0, 1e-3, 500.0])
    np.testing.assert_allclose(distributions.symlog(x)[-1], np.log(501.0), rtol=1e-6)
    again = distributions.symexp(distributions.symlog(x))
    np.testing.assert_allclose(again, x, rtol=1e-5)
