"""KLs of Gaussians against an integral, and the decoupled parts' identity (C7)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.divergences import kl, kl_of_mean, kl_of_std

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
