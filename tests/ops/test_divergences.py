"""Divergences against integrals and loops; C7, C8 and the MMD of C33."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops import divergences
from coadapt.ops.divergences import kl, kl_categorical, kl_of_mean, kl_of_std, mmd

EXACT = 1e-12  # float64, a handful of operations on numbers of size 1

means, stds = st.floats(-2, 2), st.floats(0.2, 3)
examples = settings(max_examples=40, deadline=None, derandomize=True)


def log_normal(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def integral(mean_p, std_p, mean_q, std_q):
    """The definition, as a sum over a fine grid of 12 stds to each side."""
    x, step = np.linspace(mean_p - 12 * std_p, mean_p + 12 * std_p, 4001, retstep=True)
    log_p = log_normal(x, mean_p, std_p)
    return float(np.sum(np.exp(log_p) * (log_p - log_normal(x, mean_q, std_q))) * step)


def arrays(*values):
    return [jnp.asarray(v) for v in values]


def test_c7_parts_and_full(x64):
    target_mean, target_std, mean, std = arrays(0.2, 0.5, 0.5, 0.4)
    of_mean = kl_of_mean(target_mean, target_std, mean)
    of_std = kl_of_std(target_std, std)
    full = kl(target_mean, target_std, mean, std)
    assert of_mean == pytest.approx(0.18, abs=EXACT)
    assert of_std == pytest.approx(0.0581064, abs=5e-8)  # as printed
    assert of_mean + of_std == pytest.approx(0.2381064, abs=5e-8)
    assert full == pytest.approx(0.3393564, abs=5e-8)
    assert full - of_mean - of_std == pytest.approx(0.10125, abs=EXACT)


@examples
@given(means, stds, means, stds)
def test_c7_identity_of_the_parts(mean_p, std_p, mean_q, std_q):
    with jax.enable_x64(True):
        p, s, q, t = arrays(mean_p, std_p, mean_q, std_q)
        gap = float(kl(p, s, q, t) - kl_of_mean(p, s, q) - kl_of_std(s, t))
    expected = (mean_p - mean_q) ** 2 / 2 * (1 / std_q**2 - 1 / std_p**2)
    assert gap == pytest.approx(expected, rel=1e-9, abs=1e-10)  # KLs up to 200 cancel


def test_c7_parts_sum_to_the_full_kl_only_if_mean_or_std_agree(x64):
    for mean, std, whole in ((0.2, 0.4, True), (0.5, 0.5, True), (0.5, 0.4, False)):
        p, s, q, t = arrays(0.2, 0.5, mean, std)
        parts = kl_of_mean(p, s, q) + kl_of_std(s, t)
        assert (abs(float(kl(p, s, q, t) - parts)) < EXACT) == whole


@examples
@given(means, stds, means, stds)
def test_each_is_the_integral_of_its_definition(mean_p, std_p, mean_q, std_q):
    with jax.enable_x64(True):
        p, s, q, t = arrays(mean_p, std_p, mean_q, std_q)
        full, of_mean, of_std = kl(p, s, q, t), kl_of_mean(p, s, q), kl_of_std(s, t)
    # the trapezoid rule is exact to rounding here: a smooth function that ends at 0
    close = {"rel": 1e-9, "abs": 1e-9}
    full_expected = integral(mean_p, std_p, mean_q, std_q)
    assert float(full) == pytest.approx(full_expected, **close)
    assert float(of_mean) == pytest.approx(
        integral(mean_p, std_p, mean_q, std_p), **close
    )
    assert float(of_std) == pytest.approx(
        integral(mean_p, std_p, mean_p, std_q), **close
    )
    assert min(full, of_mean, of_std) > -EXACT


def test_c8_zero_and_flat_at_the_target(x64):
    """Right after a copy to the target, the trust region pulls nowhere."""
    mean, std = arrays(0.3, 0.7)
    for value, slope in (
        jax.value_and_grad(lambda q: kl_of_mean(mean, std, q))(mean),
        jax.value_and_grad(lambda t: kl_of_std(std, t))(std),
    ):
        assert abs(float(value)) < EXACT
        assert abs(float(slope)) < EXACT


def test_each_dimension_by_itself(x64):
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=(2, 5, 3))
    s, t = rng.uniform(0.3, 2, size=(2, 5, 3))
    got = kl(*arrays(p, s, q, t))
    for i, j in np.ndindex(5, 3):
        expected = integral(p[i, j], s[i, j], q[i, j], t[i, j])
        assert got[i, j] == pytest.approx(expected, rel=1e-9)  # as above


def softmax(logits):
    total = sum(np.exp(x) for x in logits)
    return [np.exp(x) / total for x in logits]


@examples
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 3.0]))
def test_kl_of_categoricals_is_the_sum(seed, scale):
    p, q = np.random.default_rng(seed).normal(size=(2, 3, 5)) * scale
    with jax.enable_x64(True):
        got = np.asarray(kl_categorical(*arrays(p, q)))
        moved = kl_categorical(*arrays(p + 7, q - 3))  # logits have no zero
    for i in range(3):
        pairs = zip(softmax(p[i]), softmax(q[i]), strict=True)
        expected = sum(a * np.log(a / b) for a, b in pairs)
        assert got[i] == pytest.approx(expected, abs=EXACT)
    np.testing.assert_allclose(moved, got, rtol=0, atol=1e-11)  # 7 costs a digit


def test_kl_of_categoricals_is_0_and_flat_at_itself(x64):
    logits = jnp.asarray([0.3, -1.0, 2.0])
    value, slope = jax.value_and_grad(kl_categorical, argnums=1)(logits, logits)
    assert abs(float(value)) < EXACT
    np.testing.assert_allclose(slope, np.zeros(3), rtol=0, atol=EXACT)


def test_kl_of_categoricals_with_logits_that_have_no_exponential():
    """float32: almost sure of one, almost sure of another."""
    got = kl_categorical(*arrays([500.0, 0.0], [0.0, 500.0]))
    assert got == pytest.approx(500, rel=1e-6)


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
