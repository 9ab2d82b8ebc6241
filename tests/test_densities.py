"""Densities of Normals and categoricals against integrals and float64; C7, C8, C11."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from coadapt.factors.pi_theta import (
    Categorical,
    Gaussian,
    Normal,
    Softmax,
    TanhGaussian,
    normal_kl,
    normal_kls,
    normal_log_prob,
    normal_sample,
)

EXACT = 1e-12  # float64, a handful of operations on numbers of size 1
KEY = jax.random.key(0)

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


@jax.jit
def kl(mean_p, std_p, mean_q, std_q):
    return normal_kls(Normal(mean_p, std_p), Normal(mean_q, std_q))


def kl_of_mean(mean_p, std_p, mean_q):
    """What moving the mean alone costs, as MPO's M-step holds it apart."""
    return kl(mean_p, std_p, mean_q, std_p)


def kl_of_std(std_p, std_q):
    """What changing the std alone costs."""
    return kl(jnp.zeros(()), std_p, jnp.zeros(()), std_q)


@jax.jit
def kl_categorical(logits_p, logits_q):
    """Of distributions over the last axis."""
    p, q = (Categorical(jnp.asarray(x)[..., None, :]) for x in (logits_p, logits_q))
    return Softmax().kl(p, q)


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
    assert min(map(float, (full, of_mean, of_std))) > -EXACT


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


# ---------------------------------------------------------------- float32, at the ends


def f32(*values):
    return [jnp.asarray(v, jnp.float32) for v in values]


@pytest.mark.parametrize("std", [1e-6, 0.5, 1e3])
def test_a_kl_in_float32_is_that_of_float64(std):
    """Of neighbours, where terms cancel; also its slopes. 1e-4 and 1e-3 are steps of
    the mean, in stds, and of the std that a trust region of 1e-6 nats allows."""
    p = Normal(*f32([0.9, -0.9], [std, std]))
    q = Normal(p.mean + 1e-4 * p.std, p.std * jnp.float32(1.001))

    def found(p, q):
        mean, std = p._replace(mean=q.mean), p._replace(std=q.std)
        parts = [normal_kls(p, each) for each in (q, mean, std)]
        slope = jax.grad(lambda q: normal_kl(p, q))(q)
        return *parts, slope.mean, slope.std

    low = found(p, q)
    with jax.enable_x64(True):
        p, q = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, float)), (p, q))
        exact = found(p, q)
    # the difference of two logarithms of 1e-3 keeps 1e-7 x 14 / 1e-3 of itself, twice
    for x, y in zip(low, exact, strict=True):
        np.testing.assert_allclose(x, y, rtol=3e-3)
    np.testing.assert_allclose(
        low[1], exact[1], rtol=1e-6
    )  # of the mean: no cancelling


@pytest.mark.parametrize("std", [1e-6, 1.0, 1e3])
def test_a_normals_density_and_entropy_are_scipys(std):
    dist = Normal(*f32([[0.3, -0.9]], [[std, 2 * std]]))
    value = np.array([[[1.0, -1.0]], [[0.3, -0.9 + 3 * std]]], np.float32)
    mean, scale = (np.asarray(x, float) for x in dist)
    expected = stats.norm.logpdf(value.astype(float), mean, scale).sum(-1)
    # value - mean is rounded, to 1e-7 of 1e6 stds, and then squared
    np.testing.assert_allclose(normal_log_prob(dist, value), expected, rtol=1e-6)
    entropy = stats.norm.entropy(mean, scale).sum(-1)
    np.testing.assert_allclose(Gaussian().entropy(dist), entropy, rtol=1e-6)


def test_a_sample_is_mean_and_std_with_the_keys_noise():
    dist = Normal(*f32([[0.3, -0.9]], [[1e-3, 2.0]]))
    noise = jax.random.normal(KEY, (4, 1, 2))
    drawn = normal_sample(dist, KEY, 4)
    np.testing.assert_allclose(
        drawn, dist.mean[None] + dist.std[None] * noise, rtol=1e-6
    )
    theirs = distrax.Independent(distrax.Normal(*dist), 1).sample(
        seed=KEY, sample_shape=4
    )
    np.testing.assert_array_equal(drawn, theirs)
    choices = Categorical(jnp.linspace(-1, 1, 12).reshape(2, 2, 3))
    index = jax.random.categorical(KEY, choices.logits, shape=(5, 2, 2))
    np.testing.assert_array_equal(
        Softmax(bins=3).draw(choices, KEY, 5), np.asarray(index) - 1.0
    )


def test_an_action_beyond_the_box_is_that_of_the_last_bin():
    """As a data set may have: else it would be certain, whatever the policy."""
    dist = Softmax(bins=3).distribution({}, jnp.asarray([[0.0, 1.0, 2.0]]))
    beyond, last = (
        Softmax(bins=3).log_prob(dist, jnp.full((1, 1), x)) for x in (1.8, 1.0)
    )
    np.testing.assert_array_equal(beyond, last)


@pytest.mark.parametrize(
    ("u", "expected"), [(0.0, -0.918939), (3.0, -0.800282), (8.0, -18.305233)]
)
def test_c11_log_prob_under_a_tanh(u, expected):
    """As printed in float64; in float32 to 1e-6 of it."""
    pi, dist = TanhGaussian(), Normal(*f32([[0.0]], [[1.0]]))
    found = pi.log_prob_of(dist, jnp.full((1, 1), u))
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_at_the_border_only_the_naive_way_back_is_that_of_distrax():
    dist = Normal(*f32([[0.2, 0.1]], [[1.0, 0.5]]))
    tanh = distrax.Block(distrax.Tanh(), 1)
    theirs = distrax.Transformed(distrax.MultivariateNormalDiag(*dist), tanh)
    inside, border = jnp.array([[0.3, -0.99]]), jnp.array([[0.3, 1.0]])
    naive, safe = TanhGaussian(inverse="naive"), TanhGaussian()
    for pi in (naive, safe):
        np.testing.assert_allclose(
            pi.log_prob(dist, inside), theirs.log_prob(inside), rtol=1e-6
        )
    assert not np.isfinite(theirs.log_prob(border)).any()
    assert not np.isfinite(naive.log_prob(dist, border)).any()
    assert np.isfinite(safe.log_prob(dist, border)).all()


def test_an_option_that_is_impossible_costs_nothing():
    """A logit of -inf: 0 log 0 is 0, and so are its slopes; as without that option."""
    with_it = Categorical(jnp.array([[[0.3, -jnp.inf, 1.0]], [[2e4, -jnp.inf, -2e4]]]))
    other = Categorical(jnp.array([[[0.1, -3.0, 1.0]], [[1e4, 0.0, -1e4]]]))
    pi, action = Softmax(), jnp.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])

    def all_of(logits):
        dist = Categorical(logits)
        return pi.entropy(dist), pi.kl(dist, other), pi.log_prob(dist, action)

    found = all_of(with_it.logits)
    without = Categorical(with_it.logits[..., ::2])
    np.testing.assert_allclose(found[0], pi.entropy(without), rtol=1e-6)
    np.testing.assert_allclose(
        found[2], pi.log_prob(without, action[:, ::2]), rtol=1e-6
    )
    assert all(np.isfinite(each).all() for each in found)
    slopes = jax.jacobian(all_of)(with_it.logits)
    assert all(np.isfinite(each).all() for each in slopes)
