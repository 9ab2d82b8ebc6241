"""Divergences of samples against loops; the MMD of C33."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.ops import divergences
from coadapt.ops.divergences import mmd

EXACT = 1e-12  # float64, a handful of operations on numbers of size 1


def arrays(*values):
    return [jnp.asarray(v) for v in values]


def loop_mmd(x, y, sigma, kernel):
    """The definition at one state: x [M, A], y [P, A]."""

    def k(a, b):
        order = 1 if kernel == "laplacian" else 2
        return np.exp(-np.sum(np.abs(a - b) ** order) / (2 * sigma))

    def mean(p, q):
        return sum(k(a, b) for a in p for b in q) / (len(p) * len(q))

    return np.sqrt(mean(x, x) - 2 * mean(x, y) + mean(y, y) + 1e-6)


KERNELS = pytest.mark.parametrize("kernel", ["laplacian", "gaussian"])


@KERNELS
@pytest.mark.parametrize("sigma", [0.5, 20.0])
def test_mmd_is_the_loop_and_symmetric(x64, kernel, sigma):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3, 2)), rng.normal(size=(5, 3, 2)) + 0.5
    got = mmd(*arrays(x, y), sigma=sigma, kernel=kernel)
    assert got.shape == (3,)
    for b in range(3):
        expected = loop_mmd(x[:, b], y[:, b], sigma, kernel)
        # the root of 1e-6 or more divides the radicand's rounding by 2e-3 at most
        assert got[b] == pytest.approx(expected, abs=1e-11)
    swapped = mmd(*arrays(y, x), sigma=sigma, kernel=kernel)
    np.testing.assert_allclose(swapped, got, rtol=0, atol=1e-11)


def column(*values):
    return jnp.asarray(values)[:, None, None]


def test_c33_mmd(x64):
    x, y = column(0.0, 1.0), column(2.0)
    got = mmd(x, y, sigma=1.0, kernel="laplacian")
    assert got[0] == pytest.approx(0.910415, abs=5e-7)  # as printed


@KERNELS
def test_c33_mmd_of_a_sample_with_itself_is_the_offset(x64, kernel):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3, 2)))
    for same in (x, x[::-1]):
        got = mmd(x, same, sigma=1.0, kernel=kernel)
        np.testing.assert_allclose(
            got, np.full(3, 1e-3), rtol=0, atol=1e-11
        )  # as above


@KERNELS
def test_mmd_has_a_finite_gradient_at_equal_and_at_far_samples(kernel):
    """float32, where the radicand of equal samples may round to below 0."""
    slope = jax.grad(lambda x, y: jnp.sum(mmd(x, y, sigma=1.0, kernel=kernel)))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(10, 64, 3)), jnp.float32)
    for y in (x, x[::-1], x * jnp.float32(1 + 1e-6), x + 1e4, jnp.zeros_like(x)):
        value = mmd(x, y, sigma=1.0, kernel=kernel)
        assert jnp.all(jnp.isfinite(value))
        assert jnp.all(value >= 0.99e-3)  # the offset, in float32
        assert jnp.all(jnp.isfinite(slope(x, y)))


@KERNELS
def test_mmd_descends_to_the_samples_it_is_compared_with(x64, kernel):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 4, 1, 2))

    def loss(x):
        return jnp.sum(mmd(x, jnp.asarray(y), sigma=1.0, kernel=kernel))

    slope = np.asarray(jax.grad(loss)(jnp.asarray(x)))
    for i in np.ndindex(x.shape):
        moved, back = x.copy(), x.copy()
        moved[i] += 1e-5
        back[i] -= 1e-5
        difference = loop_mmd(moved[:, 0], y[:, 0], 1.0, kernel) - loop_mmd(
            back[:, 0], y[:, 0], 1.0, kernel
        )
        # central difference: step^2 of error and 1e-16 / step of rounding
        assert slope[i] == pytest.approx(difference / 2e-5, abs=1e-8)


# ---------------------------------------------------------------- found by a network


def test_the_dual_of_the_kl_is_tight_at_its_best_f(x64):
    """f = 1 + log p/q gives KL(p || q), any other f less: p, q on three points."""
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.4, 0.2])
    times = 10  # samples in exact proportion: the means are the expectations
    own = np.repeat(np.arange(3), (times * p).round().astype(int))
    others = np.repeat(np.arange(3), (times * q).round().astype(int))
    best = 1 + np.log(p / q)
    exact = np.sum(p * np.log(p / q))
    found = divergences.dual_kl(jnp.asarray(best[own]), jnp.asarray(best[others]))
    assert float(found) == pytest.approx(exact, rel=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(20):
        f = best + rng.normal(size=3)
        less = divergences.dual_kl(jnp.asarray(f[own]), jnp.asarray(f[others]))
        assert float(less) < exact


def test_the_softplus_dual_is_tight_at_the_ratio_itself(x64):
    """softplus(f) = p/q gives KL(p || q), to the 1e-8 in its log; any other f less."""
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.4, 0.2])
    own = np.repeat(np.arange(3), (10 * p).round().astype(int))
    others = np.repeat(np.arange(3), (10 * q).round().astype(int))
    best = np.log(np.expm1(p / q))
    exact = np.sum(p * np.log(p / q))

    def found(f):
        return float(divergences.softplus_dual_kl(*arrays(f[own], f[others])))

    assert found(best) == pytest.approx(exact, abs=1e-7)
    rng = np.random.default_rng(0)
    assert all(found(best + rng.normal(size=3)) < exact for _ in range(20))


def test_slopes_below_1_are_free_where_the_penalty_is_one_sided():
    slope = jnp.array([0.0, 0.5, 1.0, 3.0])
    one = divergences.slope_penalty(slope, one_sided=True)
    np.testing.assert_array_equal(one, [0.0, 0.0, 0.0, 4.0])
    both = divergences.slope_penalty(slope, one_sided=False)
    np.testing.assert_array_equal(both, [1.0, 0.25, 0.0, 4.0])


def test_the_dual_of_wasserstein_is_the_distance_of_a_shift(x64):
    """p is q moved by 0.7: f(x) = x, of slope 1, gives 0.7, and f = -x its negative."""
    x = np.random.default_rng(0).normal(size=(50, 4))
    own, others = jnp.asarray(x + 0.7), jnp.asarray(x)
    found = divergences.dual_wasserstein(own, others)
    np.testing.assert_allclose(found, 0.7, rtol=1e-12)
    np.testing.assert_allclose(
        divergences.dual_wasserstein(-own, -others), -0.7, rtol=1e-12
    )
