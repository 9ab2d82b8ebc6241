"""Duals against loops, finite differences and C1, C2, C4-C6, C9, C13, C14, C27."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.bounds import excess_norm
from coadapt.ops.lagrange import (
    RAW_FLOOR,
    VALUE_FLOOR,
    adapt,
    entropy_loss,
    exponential_temperature,
    multiplier,
    multiplier_loss,
    project,
    temperature_dual,
)
from coadapt.ops.weights import boltzmann

EXACT = 1e-12  # float64, sums of a few dozen terms of size 1
EPSILON = 0.1


def kl_of_mean(old, std, new):
    return jnp.square((old - new) / std) / 2


slope_of_dual = jax.jit(jax.grad(temperature_dual, argnums=1))


def loop(score, eta, epsilon):
    """The dual as written, one state at a time."""
    samples, batch = score.shape
    total = 0.0
    for b in range(batch):
        total += np.log(
            sum(np.exp(score[m, b] / eta) for m in range(samples)) / samples
        )
    return eta * (epsilon + total / batch)


def minimiser(score, epsilon=EPSILON):
    """Where the dual, convex in eta, is flat: by bisection, to 1e-15 of eta."""
    low, high = 1e-3, 1e4
    for _ in range(100):
        middle = (low * high) ** 0.5
        if slope_of_dual(score, jnp.asarray(middle), epsilon) < 0:
            low = middle
        else:
            high = middle
    return low


def posterior_kl(score, eta):
    """KL(w || 1/M) of each state, [B]."""
    weight = np.asarray(boltzmann(score, jnp.asarray(eta), per_batch=False))
    return np.sum(weight * np.log(len(weight) * weight), axis=0)


def test_c1_one_state(x64):
    score = jnp.asarray([[0.0], [1.0], [2.0], [3.0]])
    eta = minimiser(score)
    assert eta == pytest.approx(2.41351, abs=5e-6)  # as printed, here and below
    dual = temperature_dual(score, jnp.asarray(eta), EPSILON)
    assert dual == pytest.approx(1.994274, abs=5e-7)
    weight = boltzmann(score, jnp.asarray(eta), per_batch=False)
    expected = (0.120924, 0.183002, 0.276949, 0.419125)
    np.testing.assert_allclose(weight[:, 0], expected, atol=5e-7)
    assert posterior_kl(score, eta)[0] == pytest.approx(EPSILON, abs=EXACT)
    assert dual == pytest.approx(float(jnp.sum(weight * score)), abs=EXACT)  # envelope


def test_c2_states_are_averaged_outside_the_logarithm(x64):
    score = jnp.asarray([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    eta = minimiser(score)
    assert eta == pytest.approx(3.76797, abs=5e-6)  # inside, it would be 4.55714
    kls = posterior_kl(score, eta)
    np.testing.assert_allclose(kls, (0.04274, 0.15726), atol=5e-6)
    assert kls.mean() == pytest.approx(EPSILON, abs=EXACT)


def test_c2_the_papers_form_has_another_minimiser(x64):
    """Both states in one logarithm are one state with the samples of both."""
    pooled = jnp.asarray([0.0, 1.0, 2.0, 3.0, 0.0, 2.0, 4.0, 6.0])[:, None]
    assert minimiser(pooled) == pytest.approx(4.55714, abs=5e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0, 5.0]))
def test_c4_slope_is_epsilon_minus_kl(seed, eta):
    score = np.random.default_rng(seed).normal(size=(5, 3)) * 2
    with jax.enable_x64(True):
        array = jnp.asarray(score)
        value = temperature_dual(array, jnp.asarray(eta), EPSILON)
        slope = float(slope_of_dual(array, jnp.asarray(eta), EPSILON))
        kl = posterior_kl(array, eta).mean()
    assert value == pytest.approx(loop(score, eta, EPSILON), abs=EXACT)
    assert slope == pytest.approx(EPSILON - kl, abs=1e-11)  # EXACT, divided by eta
    step = 1e-5  # central difference: step^2 of error and 1e-16 / step of rounding
    difference = loop(score, eta + step, EPSILON) - loop(score, eta - step, EPSILON)
    assert slope == pytest.approx(difference / (2 * step), abs=1e-7)


def test_c4_a_constant_of_each_state_changes_nothing_but_the_value(x64):
    rng = np.random.default_rng(0)
    score, constant = rng.normal(size=(6, 4)), rng.normal(size=4) * 50
    moved = jnp.asarray(score + constant)
    score, eta = jnp.asarray(score), jnp.asarray(0.9)
    close = {"rtol": 0, "atol": 1e-11}  # a constant of 100 costs two digits of EXACT
    np.testing.assert_allclose(
        boltzmann(moved, eta, per_batch=False),
        boltzmann(score, eta, per_batch=False),
        **close,
    )
    np.testing.assert_allclose(
        posterior_kl(moved, 0.9), posterior_kl(score, 0.9), **close
    )
    np.testing.assert_allclose(
        slope_of_dual(moved, eta, EPSILON), slope_of_dual(score, eta, EPSILON), **close
    )
    gained = temperature_dual(moved, eta, EPSILON) - temperature_dual(
        score, eta, EPSILON
    )
    assert gained == pytest.approx(constant.mean(), abs=1e-11)


@pytest.mark.parametrize("scale", [0.1, 7.0])
def test_c4_the_minimiser_scales_with_the_score(x64, scale):
    score = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)))
    expected = scale * minimiser(score)
    assert minimiser(scale * score) == pytest.approx(expected, rel=1e-10)  # bisection


def test_dual_is_finite_at_the_temperatures_floor():
    """float32: 1e3 / 1.5e-8 has no exponential, its logarithm does."""
    score = jnp.asarray([[1000.0], [999.0]])
    eta = multiplier(jnp.float32(RAW_FLOOR), clamp=False)
    value = temperature_dual(score, eta, EPSILON)
    assert value == pytest.approx(1000, rel=1e-6)  # eta -> 0: the maximum


def test_dual_refuses_a_score_without_samples():
    with pytest.raises(AssertionError, match="rank"):
        temperature_dual(jnp.ones(3), jnp.float32(1), EPSILON)


@pytest.mark.parametrize("raw", [-3.0, 0.0, 1.0])
def test_c5_inside_the_box_the_bound_dual_has_slope_epsilon(x64, raw):
    action = jnp.asarray(np.random.default_rng(2).uniform(-1, 1, size=(20, 4, 3)))
    epsilon = 1e-3

    def dual(raw):
        eta = multiplier(raw, clamp=False)
        return temperature_dual(-excess_norm(action), eta, epsilon)

    expected = epsilon / (1 + np.exp(-raw))
    assert jax.grad(dual)(jnp.asarray(raw)) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("clamp", [False, True], ids=["project", "clamp"])
@pytest.mark.parametrize(
    ("raw", "expected", "printed"),
    [(1.0, 1.31326, 5e-6), (10.0, 10.00005, 5e-6), (-18.0, 2.523e-8, 5e-12)],
)
def test_c6_values(x64, raw, expected, printed, clamp):
    got = multiplier(jnp.asarray(raw), clamp=clamp)
    assert got == pytest.approx(expected, abs=printed)  # half the last decimal
    assert got == pytest.approx(np.log1p(np.exp(raw)) + 1e-8, rel=EXACT)


def test_c6_below_the_floor_a_clamp_has_no_gradient_and_a_projection_does(x64):
    slope = jax.grad(multiplier)
    below, above = jnp.asarray(RAW_FLOOR - 1), jnp.asarray(RAW_FLOOR + 1)
    assert slope(below, clamp=True) == 0
    sigmoid = 1 / (1 + np.exp(-float(below)))
    assert slope(below, clamp=False) == pytest.approx(sigmoid, rel=EXACT)
    assert slope(above, clamp=True) == slope(above, clamp=False)
    assert multiplier(below, clamp=True) == multiplier(project(below), clamp=False)
    assert project(below) == RAW_FLOOR
    assert project(above) == above


@pytest.mark.parametrize("clamp", [False, True], ids=["project", "clamp"])
def test_c6_only_a_projected_multiplier_returns(x64, clamp):
    """Fall through the floor, then see the constraint violated: who comes back?

    The step is the gradient's sign, as Adam's is: of a gradient of 0 it is 0.
    """
    raw = jnp.asarray(RAW_FLOOR + 0.5)
    for divergence in (0.0, 1.0):  # below epsilon, then above
        for _ in range(30):

            def loss(raw, divergence=divergence):
                value = multiplier(raw, clamp=clamp)
                return multiplier_loss(value, EPSILON, jnp.asarray(divergence))

            raw = raw - jnp.sign(jax.grad(loss)(raw))
            raw = raw if clamp else project(raw)
    assert raw == pytest.approx(RAW_FLOOR - 0.5 if clamp else RAW_FLOOR + 30)


def test_c9_multiplier_rises_where_the_constraint_is_violated(x64):
    divergence = jnp.asarray([0.3, 0.1, 0.0])
    alpha = jnp.asarray([2.0, 3.0, 5.0])
    value, slope = jax.value_and_grad(multiplier_loss)(alpha, EPSILON, divergence)
    expected = sum(a * (EPSILON - d) for a, d in zip(alpha, divergence, strict=True))
    assert value == pytest.approx(float(expected), abs=EXACT)
    np.testing.assert_allclose(-slope, divergence - EPSILON, rtol=0, atol=EXACT)


def test_c9_at_the_saddle_each_dimension_pays_epsilon(x64):
    """max_mu g mu  s.t.  KL_d <= epsilon, by descent on mu and ascent on alpha."""
    gain, std = jnp.asarray([1.0, -3.0]), jnp.asarray([0.5, 0.8])
    zero = jnp.zeros(2)

    def step(state, _):
        mu, raw = state

        def penalised(mu):
            alpha = multiplier(raw, clamp=False)
            return jnp.sum(alpha * kl_of_mean(zero, std, mu) - gain * mu)

        def dual(raw):
            alpha = multiplier(raw, clamp=False)
            return multiplier_loss(alpha, EPSILON, kl_of_mean(zero, std, mu))

        return (mu - 0.02 * jax.grad(penalised)(mu), raw - jax.grad(dual)(raw)), None

    (mu, raw), _ = jax.lax.scan(step, (zero, jnp.ones(2)), length=3000)
    # the saddle is a spiral whose radius falls by 1e-2 in 1000 steps or faster
    closed = std * np.sqrt(2 * EPSILON)  # KL = mu^2 / (2 s^2) = epsilon
    np.testing.assert_allclose(mu, jnp.sign(gain) * closed, rtol=1e-6)
    alpha = multiplier(raw, clamp=False)
    np.testing.assert_allclose(alpha, jnp.abs(gain) * std**2 / closed, rtol=1e-6)


def gaussian_entropy(std):
    return 0.5 * np.log(2 * np.pi * np.e) + jnp.log(std)


def log_probs(std):
    """Of mean + std and mean - std, two points where log pi averages to exactly -H."""
    return jnp.full(2, -0.5 - 0.5 * np.log(2 * np.pi)) - jnp.log(std)


CURVATURE, BEST, TARGET = 3.0, 0.4, -1.0


def soft_value(mean, std, alpha):
    """E[Q] + alpha H of N(mean, std) with Q = -k (a - a*)^2 / 2."""
    squares = jnp.square(mean - BEST) + jnp.square(std)
    return -CURVATURE * squares / 2 + alpha * gaussian_entropy(std)


def test_c13_policy_of_a_quadratic_q(x64):
    """mu = a*, s^2 = alpha / k: the soft value is flat there, and lower around."""
    alpha = jnp.asarray(0.2)
    mean, std = jnp.asarray(BEST), jnp.sqrt(alpha / CURVATURE)
    slope = jax.grad(soft_value, argnums=(0, 1))(mean, std, alpha)
    np.testing.assert_allclose(slope, (0, 0), atol=EXACT)
    for d_mean, d_std in ((0.1, 0), (-0.1, 0), (0, 0.05), (0, -0.05)):
        moved = soft_value(mean + d_mean, std + d_std, alpha)
        assert moved < soft_value(mean, std, alpha)


@pytest.mark.parametrize("start", [-8.0, 0.0], ids=["from below", "from above"])
def test_c13_the_temperature_ends_where_the_entropy_is_the_target(x64, start):
    """The policy is the optimum of each alpha; alpha descends its loss."""

    def step(log_alpha, _):
        std = jnp.sqrt(jnp.exp(log_alpha) / CURVATURE)
        slope = jax.grad(entropy_loss)(log_alpha, log_probs(std), TARGET)
        return log_alpha - jnp.clip(25 * slope, -0.5, 0.5), std

    log_alpha, stds = jax.lax.scan(step, jnp.asarray(start), length=2000)
    # the descent contracts by 0.7 in each step near the end: only rounding is left
    assert stds[-1] == pytest.approx(0.0890161, abs=5e-8)  # as printed
    assert gaussian_entropy(stds[-1]) == pytest.approx(TARGET, abs=1e-9)
    assert jnp.exp(log_alpha) == pytest.approx(CURVATURE * 0.0890161**2, abs=1e-7)
    assert (stds[1] < stds[0]) == (gaussian_entropy(stds[0]) > TARGET)


@pytest.mark.parametrize("entropy", [-3.0, -1.0, 0.5], ids=["low", "at", "high"])
@pytest.mark.parametrize("alpha", [0.01, 2.0])
def test_c14_slope_of_the_entropy_loss(x64, entropy, alpha):
    spread = np.random.default_rng(3).normal(size=(4, 5))
    log_prob = spread - spread.mean() - entropy
    log_alpha = jnp.asarray(np.log(alpha))
    value, slope = jax.value_and_grad(entropy_loss)(
        log_alpha, jnp.asarray(log_prob), TARGET
    )
    mean = sum(float(x) + TARGET for x in log_prob.ravel()) / log_prob.size
    assert slope == pytest.approx(-alpha * mean, abs=EXACT)
    assert value == pytest.approx(-alpha * mean, abs=EXACT)
    change = 0.0 if abs(float(slope)) < EXACT else -np.sign(float(slope))
    assert change == np.sign(TARGET - entropy)  # alpha falls while H > target


def test_c14_kl_to_uniform_is_log_volume_minus_entropy(x64):
    """Of N(0, 0.2) in each of D = 2 dimensions of (-1, 1), cut mass below 1e-6."""
    std, size = 0.2, 2
    a, step = np.linspace(-1, 1, 2001, retstep=True)
    log_p = -0.5 * (a / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    kl = size * np.sum(np.exp(log_p) * (log_p - np.log(1 / 2))) * step
    expected = -size * float(gaussian_entropy(std)) + size * np.log(2)
    assert kl == pytest.approx(expected, abs=3e-5)  # P(|a| > 5 std) times log p there


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [
        pytest.param(0.0, 1.5, id="none"),
        pytest.param(0.0066, 1.5, id="below"),
        pytest.param(0.0067, 3.0, id="just inside"),
        pytest.param(0.01, 3.0, id="at the target"),
        pytest.param(0.0149, 3.0, id="still inside"),
        pytest.param(0.0151, 6.0, id="above"),
        pytest.param(np.inf, 6.0, id="infinite"),
        pytest.param(np.nan, 3.0, id="NaN"),
    ],
)
def test_c27_adaptive_coefficient(divergence, expected):
    """beta halves, stays, doubles on the three sides of d / 1.5 and 1.5 d."""
    got = adapt(
        jnp.asarray(3.0), jnp.asarray(divergence), 0.01, factor=2, tolerance=1.5
    )
    assert got == expected  # powers of 2: exact


def test_c27_the_edges_keep_and_every_number_may_be_traced(x64):
    divergence = jnp.asarray([0.25, 0.5, 1.0, 2.0, 4.0])
    coefficient = jnp.arange(1.0, 6.0)

    def of(factor, target, tolerance):
        return adapt(
            coefficient, divergence, target, factor=factor, tolerance=tolerance
        )

    got = jax.jit(of)(jnp.asarray(3.0), jnp.asarray(1.0), jnp.asarray(2.0))
    np.testing.assert_allclose(got, (1 / 3, 2, 3, 4, 15), rtol=EXACT)


def test_c27_penalised_optimum_of_a_linear_advantage(x64):
    """Shift s^2 g / beta, KL s^2 g^2 / (2 beta^2), which `adapt` drives to a target."""
    variance, slope, beta = 0.25, 2.0, 1.0

    def loss(shift):
        kl = kl_of_mean(jnp.zeros(()), jnp.sqrt(jnp.asarray(variance)), shift)
        return beta * kl - slope * shift

    best = variance * slope / beta
    assert best == 0.5
    assert jax.grad(loss)(jnp.asarray(best)) == pytest.approx(0, abs=EXACT)
    assert best**2 / (2 * variance) == pytest.approx(0.5, abs=EXACT)

    beta, target = jnp.asarray(beta), 0.01
    for _ in range(20):
        divergence = variance * slope**2 / (2 * beta**2)
        beta = adapt(beta, divergence, target, factor=2, tolerance=1.5)
    # KL goes with beta^-2: a doubling may step over the band, and then never settles
    assert target / 4 <= variance * slope**2 / (2 * beta**2) <= target * 4


def exponential_costs(mean, least=0.0, size=200_000):
    """Quantiles of least + Exp(mean): averages over them are integrals to 1e-4."""
    share = (np.arange(size) + 0.5) / size
    return jnp.asarray(least - mean * np.log1p(-share))


@pytest.mark.parametrize("eta", [0.1, 1.0, 20.0])
def test_temperature_of_exponential_weights_is_the_weighted_mean(x64, eta):
    cost = np.random.default_rng(4).exponential(size=(2, 7))
    got = exponential_temperature(jnp.asarray(cost), eta)
    for row, new in zip(cost, got, strict=True):
        u = [np.exp(-c / eta) for c in row]
        expected = sum(a * c for a, c in zip(u, row, strict=True)) / sum(u)
        assert new == pytest.approx(expected, rel=EXACT)
    each = exponential_temperature(jnp.asarray(cost), jnp.asarray([eta, 2 * eta]))
    assert each[0] == got[0]
    assert each[1] > got[1]  # a higher temperature sees more of the high costs


def test_exponential_costs_add_their_rate_to_that_of_the_weights(x64):
    """exp(-c / eta) times the density exp(-c / m) / m has mean 1 / (1 / eta + 1 / m).

    So costs that reach down to 0 have no fixed point above 0: beta grows by 1 / m in
    each step, as if these costs had been drawn once more.
    """
    cost, eta = exponential_costs(2.0), 1.0
    for k in range(1, 6):
        eta = float(exponential_temperature(cost, eta))
        assert 1 / eta == pytest.approx(1 + k / 2, rel=1e-4)  # the quantiles


@pytest.mark.parametrize("start", [0.1, 50.0])
def test_fixed_point_for_exponential_costs_from_a_least_one_on(x64, start):
    """eta = c0 + 1 / (1 / eta + 1 / m): eta^2 - c0 eta - c0 m = 0."""
    least, mean, eta = 0.5, 2.0, start
    cost = exponential_costs(mean, least)
    for _ in range(60):  # contracts by (m / (eta + m))^2 = 0.4 in each
        eta = float(exponential_temperature(cost, eta))
    expected = (least + np.sqrt(least**2 + 4 * least * mean)) / 2
    assert eta == pytest.approx(expected, rel=1e-4)  # the quantiles
    again = float(exponential_temperature(cost, eta))
    assert again == pytest.approx(eta, rel=EXACT)


def test_temperature_of_equal_costs_is_the_cost_and_of_none_the_floor():
    """In float32: neither a cost of 1e30 nor a temperature of 1e-8 overflows."""
    cost = jnp.asarray([[3.0] * 4, [0.0] * 4, [1e30] * 4, [0.0, 1.0, 2.0, 3.0]])
    got = exponential_temperature(cost, VALUE_FLOOR)
    expected = (3, VALUE_FLOOR, 1e30, VALUE_FLOOR)
    np.testing.assert_allclose(got, expected, rtol=1e-6)  # float32
