"""The posterior's weights against loops, closed forms and C3, C5, C17, C21, C24."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.bounds import excess_norm
from coadapt.ops.lagrange import temperature_dual
from coadapt.ops.weights import (
    boltzmann,
    effective_episodes,
    effective_fraction,
    exponential,
    of_episodes,
    scatter,
    standardize,
    top,
)

EXACT = 1e-12  # float64, sums of a few hundred terms of size 1
PRINTED = 5e-7  # half a unit of the last decimal that the settings print

scores = st.builds(
    lambda seed, scale, shape: np.random.default_rng(seed).normal(size=shape) * scale,
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.01, 1.0, 30.0]),
    st.sampled_from([(1, 1), (1, 5), (4, 1), (3, 5)]),
)
examples = settings(max_examples=30, deadline=None, derandomize=True)


@examples
@given(scores, st.sampled_from([0.1, 1.0, 7.0]))
def test_boltzmann_is_the_loop(score, eta):
    samples, batch = score.shape
    raw = np.exp((score - score.max()) / eta)
    with jax.enable_x64(True):
        state = boltzmann(jnp.asarray(score), jnp.asarray(eta), per_batch=False)
        whole = boltzmann(jnp.asarray(score), jnp.asarray(eta), per_batch=True)
    state, whole = np.asarray(state), np.asarray(whole)
    for b in range(batch):
        column = np.exp((score[:, b] - score[:, b].max()) / eta)
        for m in range(samples):
            expected = column[m] / sum(column)
            assert state[m, b] == pytest.approx(expected, abs=EXACT)
            expected = batch * raw[m, b] / raw.sum()
            assert whole[m, b] == pytest.approx(expected, abs=EXACT)


@examples
@given(scores, st.floats(-100, 100))
def test_boltzmann_ignores_a_constant_and_scales_with_the_temperature(score, constant):
    rtol = (
        1e-11  # the constant costs digits of score: 1e-16 * 130 / 0.5 in the exponent
    )
    with jax.enable_x64(True):
        for per_batch in (False, True):
            base = boltzmann(jnp.asarray(score), jnp.asarray(0.5), per_batch=per_batch)
            for changed, eta in ((score + constant, 0.5), (score * 3, 1.5)):
                other = boltzmann(
                    jnp.asarray(changed), jnp.asarray(eta), per_batch=per_batch
                )
                np.testing.assert_allclose(other, base, rtol=rtol, atol=EXACT)


def test_boltzmann_of_one_state_is_the_same_for_state_and_batch(x64):
    score = jnp.asarray([[0.3], [-1.0], [2.0]])
    state, whole = (boltzmann(score, jnp.asarray(0.7), per_batch=b) for b in (0, 1))
    np.testing.assert_allclose(state, whole, rtol=EXACT)


def test_boltzmann_limits_are_argmax_and_uniform():
    score = jnp.asarray([[1.0], [2.0], [3.0]])  # float32 on purpose: no overflow
    greedy = boltzmann(score, jnp.float32(1e-8), per_batch=False)
    np.testing.assert_array_equal(greedy, [[0], [0], [1]])
    uniform = boltzmann(score, jnp.float32(1e8), per_batch=False)
    np.testing.assert_allclose(uniform, np.full((3, 1), 1 / 3), rtol=1e-6)  # float32


def test_boltzmann_refuses_a_score_without_samples():
    with pytest.raises(AssertionError, match="rank"):
        boltzmann(jnp.ones(3), jnp.float32(1), per_batch=False)


SAMPLES = 400_000
MONTE_CARLO = 0.005  # > 4 standard errors of a mean or std of size 1 at SAMPLES


def weighted_moments(log_likelihood, mu, s, eta):
    """Mean, std and KL of pi_q ~ pi_p exp(Q / eta) from samples of pi_p = N(mu, s)."""
    action = mu + s * np.random.default_rng(0).normal(size=SAMPLES)
    score = jnp.asarray(log_likelihood(action))[:, None]
    weight = np.asarray(boltzmann(score, jnp.asarray(eta), per_batch=False))[:, 0]
    mean = np.sum(weight * action)
    std = np.sqrt(np.sum(weight * (action - mean) ** 2))
    kl = np.sum(weight * np.log(SAMPLES * weight))
    return score, mean, std, kl


def test_c3_linear_q_shifts_the_mean(x64):
    s, g, epsilon, mu = 0.5, 2.0, 0.1, 0.3
    eta = s * abs(g) / np.sqrt(2 * epsilon)
    assert eta == pytest.approx(2.23607, abs=5e-6)  # as printed
    assert s**2 * g / eta == pytest.approx(0.22361, abs=5e-6)
    score, mean, std, kl = weighted_moments(lambda a: g * a, mu, s, eta)
    assert mean == pytest.approx(mu + s**2 * g / eta, abs=MONTE_CARLO)
    assert std == pytest.approx(s, abs=MONTE_CARLO)
    assert kl == pytest.approx(s**2 * g**2 / (2 * eta**2), abs=MONTE_CARLO)
    slope = jax.grad(temperature_dual, argnums=1)(score, jnp.asarray(eta), epsilon)
    assert slope == pytest.approx(0, abs=MONTE_CARLO)  # eta is the dual's minimiser


def test_c3_quadratic_q_adds_precision(x64):
    mu, s, best, t, eta = 0.0, 1.0, 1.0, 0.5, 2.0
    _, mean, std, _ = weighted_moments(
        lambda a: -((a - best) ** 2) / (2 * t**2), mu, s, eta
    )
    assert 1 / np.sqrt(1 / s**2 + 1 / (eta * t**2)) == pytest.approx(0.57735, abs=5e-6)
    assert mean == pytest.approx(0.66667, abs=MONTE_CARLO)
    assert std == pytest.approx(0.57735, abs=MONTE_CARLO)


def test_c5_weights_sum_to_1_and_to_2_with_the_bound(x64):
    rng = np.random.default_rng(1)
    score = jnp.asarray(rng.normal(size=(20, 6)) * 5)
    cost = -excess_norm(jnp.asarray(rng.normal(size=(20, 6, 3))))
    weight = boltzmann(score, jnp.asarray(1.3), per_batch=False)
    np.testing.assert_allclose(weight.sum(axis=0), np.ones(6), rtol=EXACT)
    both = weight + boltzmann(cost, jnp.asarray(0.2), per_batch=False)
    np.testing.assert_allclose(both.sum(axis=0), np.full(6, 2.0), rtol=EXACT)


def test_c5_bound_weights(x64):
    action = jnp.asarray([[[0.5, 0.5]], [[1.5, 0.5]], [[2.0, -3.0]]])
    eta = jax.nn.softplus(jnp.asarray(1.0))
    weight = boltzmann(-excess_norm(action), eta, per_batch=False)
    # the settings round so that they sum to 1: the second is 0.366305
    np.testing.assert_allclose(weight[:, 0], (0.53603, 0.36631, 0.09766), atol=1e-5)
    inside = boltzmann(-excess_norm(action * 0.3), eta, per_batch=False)
    np.testing.assert_array_equal(inside, np.full((3, 1), 1 / 3))


def test_c17_awr_weights(x64):
    score = jnp.asarray([1.0, 2.0, 3.0, 10.0])
    z = standardize(score)
    expected = (-0.848528, -0.565685, -0.282843, 1.697056)
    np.testing.assert_allclose(z, expected, atol=PRINTED)
    weight = exponential(z[None], jnp.asarray(1.0))
    expected = (0.428044, 0.567971, 0.753638, 5.457857)
    np.testing.assert_allclose(weight[0], expected, atol=PRINTED)


def test_c17_clip_is_active_above_log_20(x64):
    edge = np.log(20.0)
    assert edge == pytest.approx(2.995732, abs=PRINTED)
    z = jnp.asarray([[edge - 1e-9, edge + 1e-9]])
    weight = exponential(z, jnp.asarray(1.0))
    np.testing.assert_array_equal(jnp.minimum(weight, 20.0) < weight, [[False, True]])


def test_c17_weights_ignore_the_unit_and_the_zero_of_the_advantage(x64):
    score = np.random.default_rng(2).normal(size=50)
    base = standardize(jnp.asarray(score))
    moved = standardize(jnp.asarray(1000 * score + 7))
    np.testing.assert_allclose(moved, base, rtol=1e-6)  # the 1e-8 added to the std


def test_c17_infinite_temperature_is_cloning(x64):
    z = standardize(jnp.asarray([1.0, 2.0, 3.0, 10.0]))[None]
    weight = exponential(z, jnp.asarray(1e15))
    np.testing.assert_allclose(weight, np.ones((1, 4)), rtol=1e-14)  # z / eta


def test_c17_mean_weight_of_gaussian_advantages(x64):
    score = np.random.default_rng(3).normal(size=200_000) * 4 - 9
    weight = exponential(standardize(jnp.asarray(score))[None], jnp.asarray(1.0))
    # 4 standard errors: 4 sqrt(e^2 - e) / sqrt(200 000) = 0.019
    assert weight.mean() == pytest.approx(np.exp(0.5), abs=0.02)


@examples
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_standardize_sees_only_what_counts(seed, count):
    rng = np.random.default_rng(seed)
    score, where = rng.normal(size=8) * 5, np.arange(8) < count
    kept = [float(x) for x, w in zip(score, where, strict=True) if w]
    mean = sum(kept) / count
    std = (sum((x - mean) ** 2 for x in kept) / count) ** 0.5
    score[~where] = np.nan  # what does not count may be anything
    with jax.enable_x64(True):
        got = standardize(jnp.asarray(score), jnp.asarray(where))[:count]
    expected = [(x - mean) / (std + 1e-8) for x in kept]
    # a single entry has std 0, where 1e-8 magnifies the mean's last digit (1e-16 * 5)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("number", [1, 7, 64, 20_000])
def test_standardize_of_a_constant_is_zero(number):
    """In float32, where the mean of most constants is a rounding off."""
    rng = np.random.default_rng(number)
    for value in np.float32(rng.normal(size=20) * 10.0 ** rng.integers(-5, 7, 20)):
        same = jnp.full(number, value)
        where = jnp.arange(number) < (number + 1) // 2
        some = standardize(jnp.where(where, same, jnp.nan), where)
        assert (standardize(same) == 0).all() and (some[where] == 0).all()


@pytest.mark.parametrize("values", [(1e4, 1.0), (-0.3, 1.0), (0.3, 1e-4), (0.0, 1e-7)])
def test_standardize_in_float32_is_the_formula(values):
    """Of what differs by more than roundings, however far from 0."""
    level, spread = values
    rng = np.random.default_rng(0)
    score = np.float32(level + spread * rng.normal(size=500))
    exact = score.astype(np.float64)
    expected = (exact - exact.mean()) / (exact.std() + 1e-8)
    # three roundings of numbers of some spreads
    np.testing.assert_allclose(standardize(jnp.asarray(score)), expected, atol=1e-5)


def test_standardize_hides_nothing_that_is_not_finite():
    assert np.isnan(standardize(jnp.asarray([1.0, np.nan, 1.0]))).all()


def awac(score):
    return np.asarray(
        boltzmann(jnp.asarray(score)[None], jnp.asarray(1.0), per_batch=1)
    )


def test_c21_awac_weights(x64):
    weight = awac([-1.0, 0.0, 1.0, 2.0])[0]
    expected = (0.128234, 0.348577, 0.947531, 2.575657)
    np.testing.assert_allclose(weight, expected, atol=PRINTED)
    assert weight.sum() == pytest.approx(4, abs=EXACT)
    np.testing.assert_allclose(awac([7.0, 8.0, 9.0, 10.0])[0], weight, rtol=EXACT)


def test_c21_one_good_action_in_a_batch_is_clipped(x64):
    weight = awac(np.eye(1, 256)[0] * 5)[0]
    assert weight[0] == pytest.approx(94.18, abs=5e-3)  # as printed
    assert np.minimum(weight, 20)[0] == 20
    np.testing.assert_allclose(weight[1:], 0.634585, atol=PRINTED)


def test_c21_equal_advantages_clone(x64):
    np.testing.assert_allclose(awac(np.full(8, 3.7)), np.ones((1, 8)), rtol=EXACT)


def test_c24_m_step_of_a_gaussian_matches_moments(x64):
    """-sum w log N(a; mu, s) is flat at the weighted samples' mean and std."""
    rng = np.random.default_rng(4)
    action = jnp.asarray(rng.normal(size=30))
    score = jnp.asarray(rng.normal(size=30))[:, None]
    weight = boltzmann(score, jnp.asarray(0.8), per_batch=False)[:, 0]

    def loss(mu, s):
        log_prob = -jnp.square((action - mu) / s) / 2 - jnp.log(s)
        return -jnp.sum(weight * log_prob)

    mean = sum(np.asarray(weight * action))
    std = sum(np.asarray(weight * jnp.square(action - mean))) ** 0.5
    slope = jax.grad(loss, argnums=(0, 1))(mean, std)
    np.testing.assert_allclose(slope, (0, 0), atol=EXACT)
    best = loss(mean, std)
    for mu, s in ((0.1, 1.0), (-0.1, 1.0), (0.0, 1.1), (0.0, 0.9)):
        assert loss(mean + mu, std * s) > best


@examples
@given(scores)
def test_effective_fraction_is_the_loop_and_a_fraction(score):
    weight = np.exp(score / 10)
    total = sum(float(w) for w in weight.ravel())
    squares = sum(float(w) ** 2 for w in weight.ravel())
    with jax.enable_x64(True):
        got = float(effective_fraction(jnp.asarray(weight)))
    assert got == pytest.approx(total**2 / (weight.size * squares), rel=EXACT)
    assert 1 / weight.size - EXACT <= got <= 1 + EXACT


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        pytest.param([[1.0, 1.0], [1.0, 1.0]], 1.0, id="equal"),
        pytest.param([[0.0, 1.0], [0.0, 0.0]], 0.25, id="one"),
        pytest.param([[1.0, 1.0], [0.0, 0.0]], 0.5, id="half"),
    ],
)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_effective_fraction_does_not_depend_on_the_scale(weight, expected, scale):
    """In float32: weights of AWR without a clip span all of its range."""
    got = effective_fraction(jnp.asarray(weight) * jnp.float32(scale))
    assert got == pytest.approx(expected, rel=1e-6)  # float32


@examples
@given(scores, st.lists(st.booleans(), min_size=64, max_size=64))
def test_effective_episodes_are_the_loop(score, ends):
    """Of what an episode's steps have of all weight; one alone tells nothing."""
    weight = (np.exp(score / 10) * np.where(score > 0, 1, -1)).ravel()
    last = np.array(ends[: weight.size])
    last[-1] = True
    seen = np.arange(weight.size) >= weight.size // 3
    mass, inside = [0.0], 0
    for w, end, counts in zip(weight, last, seen, strict=True):
        mass[-1] += abs(float(w)) * counts
        inside += bool(end and counts)
        mass += [0.0] * bool(end)
    with jax.enable_x64(True):
        got = float(effective_episodes(*map(jnp.asarray, (weight, last, seen))))
    if inside < 2:
        assert np.isnan(got)
    else:
        expected = sum(mass) ** 2 / sum(m**2 for m in mass)
        assert got == pytest.approx(expected, rel=EXACT)


REWARD, PROB = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.3, 0.5])


def urex(reward, log_prob, tau=1.0, bracket=False):
    """The uniform base: the score is R - tau l."""
    score = jnp.asarray(reward - tau * log_prob)
    rewards = jnp.asarray(reward) if bracket else None
    return np.asarray(of_episodes(score, temperature=tau, reward=rewards))


def test_c30_weights_for_the_uniform_base(x64):
    weight = urex(REWARD, np.log(PROB)) / 3
    np.testing.assert_allclose(weight, (0.173376, 0.314190, 0.512434), atol=PRINTED)
    assert weight.sum() == pytest.approx(1, abs=EXACT)


@pytest.mark.parametrize("tau", [0.1, 1.0, 3.0])
def test_c30_the_policy_that_is_sought_has_equal_weights(x64, tau):
    log_prob = REWARD / tau - np.log(np.sum(np.exp(REWARD / tau)))
    weight = urex(REWARD, log_prob, tau)
    np.testing.assert_allclose(weight, np.ones(3), rtol=1e-11)  # of exponents of 30


@pytest.mark.parametrize("tau", [0.1, 1.0, 3.0])
def test_c30_base_of_the_prior_is_the_softmax_of_the_reward(x64, tau):
    weight = of_episodes(jnp.asarray(REWARD), temperature=tau)
    total = sum(np.exp(r / tau) for r in REWARD)
    expected = [3 * np.exp(r / tau) / total for r in REWARD]
    np.testing.assert_allclose(weight, expected, rtol=EXACT)


@examples
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 5.0]))
def test_c30_bracket_is_the_loop_and_sums_to_0(seed, tau):
    rng = np.random.default_rng(seed)
    reward, log_prob = rng.normal(size=6), -rng.exponential(size=6)
    raw = [np.exp(r / tau - l) for r, l in zip(reward, log_prob, strict=True)]
    bracket = [r + tau * 6 * u / sum(raw) for r, u in zip(reward, raw, strict=True)]
    baseline = sum(bracket) / 6
    with jax.enable_x64(True):
        got = urex(reward, log_prob, tau, bracket=True)
    expected = [b - baseline for b in bracket]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)  # of 30 = tau K
    assert got.sum() == pytest.approx(0, abs=1e-11)


def test_c30_a_constant_in_the_reward_changes_nothing(x64):
    for reward in (REWARD, REWARD + 7):
        got = urex(reward, np.log(PROB), bracket=True)
        weight = np.array([0.173376, 0.314190, 0.512434])
        expected = REWARD + 3 * weight - np.mean(REWARD + 3 * weight)
        np.testing.assert_allclose(got, expected, atol=4 * PRINTED)  # times 3, summed


@pytest.mark.parametrize("base", ["prior", "uniform"])
def test_c30_episodes_that_do_not_count_may_be_anything(x64, base):
    where = jnp.asarray([False, True, True, False, True])
    for junk in (np.nan, np.inf, -np.inf, 1e9):
        padded = jnp.full(5, junk).at[jnp.asarray([1, 2, 4])].set(REWARD)
        full, alone = (x if base == "uniform" else None for x in (padded, REWARD))
        got = jax.jit(of_episodes)(padded, temperature=0.7, reward=full, where=where)
        few = of_episodes(jnp.asarray(REWARD), temperature=0.7, reward=alone)
        np.testing.assert_allclose(got[where], few, rtol=0, atol=EXACT)
        np.testing.assert_array_equal(got[~where], (0, 0))


def test_c30_no_episode_that_counts_has_no_weight():
    none = jnp.zeros(3, bool)
    for reward in (None, jnp.ones(3)):
        got = of_episodes(jnp.ones(3), temperature=0.1, reward=reward, where=none)
        np.testing.assert_array_equal(got, np.zeros(3))


def test_of_episodes_refuses_a_second_axis():
    with pytest.raises(AssertionError, match="rank"):
        of_episodes(jnp.ones((3, 1)), temperature=1.0)


ADVANTAGE = np.array([[-1.0, 0.0, 1.0, 2.0]])


def top_half(score, eta):
    """V-MPO's weights [M, B] and their KL from uniform on what is kept."""
    kept, index = top(score, 0.5)
    psi = boltzmann(kept[:, None], eta, per_batch=False)[:, 0]
    kl = jnp.sum(psi * jnp.log(len(kept) * psi))
    return scatter(psi, index, score.shape), kl


def test_c31_numbers(x64):
    score, eta = jnp.asarray(ADVANTAGE), jnp.asarray(1.0)
    weight, kl = top_half(score, eta)
    np.testing.assert_allclose(weight, [[0, 0, 0.268941, 0.731059]], atol=PRINTED)
    assert kl == pytest.approx(0.110944, abs=PRINTED)
    kept, _ = top(score, 0.5)
    dual = jax.value_and_grad(temperature_dual, argnums=1)
    value, slope = dual(kept[:, None], eta, 0.01)
    assert value == pytest.approx(1.630115, abs=PRINTED)
    assert slope == pytest.approx(0.01 - float(kl), abs=EXACT)


def test_c31_the_bottom_half_has_no_gradient(x64):
    rng = np.random.default_rng(5)
    score, log_prob = (jnp.asarray(x) for x in rng.normal(size=(2, 3, 4)))

    def loss(log_prob, score):
        weight, _ = top_half(score, jnp.asarray(0.8))
        return -jnp.sum(weight * log_prob)

    slopes = jax.grad(loss, argnums=(0, 1))(log_prob, score)
    bottom = np.asarray(score) < np.median(score)
    assert bottom.sum() == 6
    for slope in slopes:
        np.testing.assert_array_equal(slope[bottom], np.zeros(6))
        assert np.all(np.asarray(slope)[~bottom] != 0)


@pytest.mark.parametrize("constant", [-50.0, 3.0])
def test_c31_a_constant_in_the_advantage_changes_nothing(x64, constant):
    score = np.random.default_rng(6).normal(size=(3, 4))
    expected, kl = top_half(jnp.asarray(score), jnp.asarray(0.5))
    got, same = top_half(jnp.asarray(score + constant), jnp.asarray(0.5))
    # the constant costs digits of the score: 1e-16 * 50 / 0.5 in the exponent
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert same == pytest.approx(float(kl), abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "fraction", "count"),
    [
        pytest.param((3, 4), 0.5, 6, id="half"),
        pytest.param((3, 4), 1.0, 12, id="all"),
        pytest.param((1, 7), 0.5, 4, id="half of an odd number, to even"),
        pytest.param((5, 1), 1e-9, 1, id="never none"),
        pytest.param((2, 5), 0.31, 3, id="rounded"),
    ],
)
def test_top_keeps_the_best_of_the_whole_batch(shape, fraction, count):
    score = np.random.default_rng(7).normal(size=shape).astype(np.float32)
    kept, index = jax.jit(top, static_argnums=1)(jnp.asarray(score), fraction)
    np.testing.assert_array_equal(kept, np.sort(score.ravel())[::-1][:count])
    np.testing.assert_array_equal(score.ravel()[index], kept)
    back = scatter(kept, index, shape)
    threshold = np.sort(score.ravel())[-count]
    np.testing.assert_array_equal(back, np.where(score >= threshold, score, 0))
    if fraction == 1:
        np.testing.assert_array_equal(back, score)


def test_top_of_equal_scores_keeps_as_many():
    kept, index = top(jnp.zeros((2, 3)), 0.5)
    assert kept.shape == (3,)
    assert len(set(np.asarray(index).tolist())) == 3


def test_top_under_vmap_is_that_of_each():
    score = jnp.asarray(np.random.default_rng(8).normal(size=(4, 2, 3)), jnp.float32)
    kept, index = jax.vmap(lambda s: top(s, 0.5))(score)
    back = jax.vmap(lambda k, i: scatter(k, i, (2, 3)))(kept, index)
    for i in range(4):
        alone = top(score[i], 0.5)
        np.testing.assert_array_equal(kept[i], alone[0])
        np.testing.assert_array_equal(back[i], scatter(*alone, (2, 3)))
