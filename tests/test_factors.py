"""What the classes of the seven factors compute, against plain formulas."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import algorithms, schema
from coadapt.factors import pi_p_update, pi_q, pi_q_update, pi_theta
from coadapt.factors.pi_theta import Categorical, Normal, Point, Residual, Softmax
from coadapt.schema import ConfigError
from coadapt.validation import config_rules

ROUNDING = 1e-5  # float32, some tens of terms of size 1
BINS = [2, 3, 5, 11, 101]


def softmax(x):
    x = np.exp(np.asarray(x, np.float64))
    return x / x.sum(-1, keepdims=True)


def logits_of(choices, options, states=4, seed=0):
    shape = (states, choices, options)
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def one_hot(index, options):
    return jnp.asarray(np.eye(options)[index], jnp.float32)


# ---------------------------------------------------------------- Softmax


def test_a_discrete_choice_has_the_log_softmax_of_its_logit():
    logits = logits_of(1, 3)
    index = np.random.default_rng(1).integers(3, size=(5, 4))
    found = Softmax().log_prob(Categorical(logits), one_hot(index, 3))
    p = softmax(logits)[:, 0]
    expected = [[np.log(p[b, i]) for b, i in enumerate(row)] for row in index]
    np.testing.assert_allclose(found, expected, atol=ROUNDING)
    drawn = Softmax().log_prob_of(Categorical(logits), one_hot(index, 3))
    np.testing.assert_array_equal(found, drawn)


def every_action(bins, dimensions):
    """All combinations of bins: their places, and as actions [n, dimensions]."""
    places = np.array(list(itertools.product(range(bins), repeat=dimensions)))
    return places, jnp.asarray(-1 + 2 * places / (bins - 1), jnp.float32)


def test_bins_are_chosen_apart_and_their_probabilities_sum_to_1():
    logits = logits_of(2, 5)
    places, actions = every_action(5, 2)
    actions = jnp.broadcast_to(actions[:, None], (25, 4, 2))
    found = Softmax(bins=5).log_prob(Categorical(logits), actions)
    p = softmax(logits)
    expected = np.log(p[:, 0, places[:, 0]] * p[:, 1, places[:, 1]]).T
    np.testing.assert_allclose(found, expected, atol=ROUNDING)
    np.testing.assert_allclose(np.exp(found).sum(0), 1.0, atol=ROUNDING)


@pytest.mark.parametrize("bins", BINS)
def test_the_value_of_a_bin_leads_back_to_the_bin(bins):
    pi = Softmax(bins=bins)
    sure = Categorical(jnp.asarray(100 * np.eye(bins), jnp.float32)[:, None])
    value = pi.mode(sure)
    line = np.linspace(-1, 1, bins)[:, None]
    np.testing.assert_allclose(value, line, atol=2e-7)  # of 1, in float32
    # the likeliest bin of each state: e^-100 is nothing, and another bin costs 100
    np.testing.assert_allclose(pi.log_prob(sure, value), 0.0, atol=1e-6)
    np.testing.assert_array_equal(pi.draw(sure, jax.random.key(0), 1)[0], value)


@pytest.mark.parametrize("pi, choices", [(Softmax(), 1), (Softmax(bins=3), 2)])
def test_the_head_of_the_network_is_cut_into_choices(pi, choices):
    size = 3 if pi.bins is None else 2  # A
    assert pi.outputs(size) == choices * 3
    head = jnp.arange(4.0 * choices * 3).reshape(4, -1)
    logits = pi.distribution({}, head).logits
    assert logits.shape == (4, choices, 3)
    np.testing.assert_array_equal(logits[1, -1], head[1, -3:])
    assert pi.mode(Categorical(logits)).shape == (4, size)


def within(found, p, n):
    """A frequency of n draws is five of its standard deviations from p, at most."""
    assert np.all(np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / n))


def test_choices_are_drawn_as_often_as_their_probabilities_say():
    logits, n = logits_of(1, 3), 20_000
    drawn = Softmax().draw(Categorical(logits), jax.random.key(0), n)
    assert drawn.shape == (n, 4, 3) and drawn.dtype == jnp.float32
    np.testing.assert_array_equal(
        np.sort(drawn, -1), np.eye(3)[[2, 2]][None, :1] * np.ones((n, 4, 1))
    )
    within(np.mean(drawn, 0), softmax(logits)[:, 0], n)


def test_bins_are_drawn_apart_from_each_other():
    logits, n = logits_of(2, 3), 20_000
    drawn = Softmax(bins=3).draw(Categorical(logits), jax.random.key(0), n)
    places = np.asarray(drawn).astype(int) + 1  # -1, 0, 1
    np.testing.assert_array_equal(drawn, places - 1)
    p = softmax(logits)
    for i, j in itertools.product(range(3), repeat=2):
        both = np.mean((places[..., 0] == i) & (places[..., 1] == j), 0)
        within(both, p[:, 0, i] * p[:, 1, j], n)


def test_the_mode_is_the_likeliest_choice():
    native, bins = logits_of(1, 3), logits_of(2, 3)
    best = np.argmax(native[:, 0], -1)
    np.testing.assert_array_equal(Softmax().mode(Categorical(native)), np.eye(3)[best])
    best = np.argmax(bins, -1)
    np.testing.assert_array_equal(Softmax(bins=3).mode(Categorical(bins)), best - 1)


def test_a_kl_is_the_sum_over_all_joint_choices():
    p, q = logits_of(2, 3, seed=0), logits_of(2, 3, seed=1)
    probs = [softmax(x) for x in (p, q)]
    pairs = itertools.product(range(3), repeat=2)
    each = [[x[:, 0, i] * x[:, 1, j] for x in probs] for i, j in pairs]
    expected = sum(a * np.log(a / b) for a, b in each)
    found = Softmax(bins=3).kl(Categorical(p), Categorical(q))
    np.testing.assert_allclose(found, expected, atol=ROUNDING)
    shifted = Categorical(p + 3.0)  # a constant in the logits is none
    np.testing.assert_allclose(Softmax().kl(Categorical(p), shifted), 0.0, atol=1e-6)


@partial(jax.jit, static_argnums=(0, 1))
def many_uniform(pi, size):
    keys = jax.random.split(jax.random.key(0), 4000)
    return jax.vmap(lambda key: pi.uniform(key, size))(keys)


def test_uniform_actions_of_bins_are_every_bin_alike():
    drawn, log_prob = map(np.asarray, many_uniform(Softmax(bins=3), 2))
    assert drawn.shape == (4000, 2)
    np.testing.assert_allclose(log_prob, -2 * np.log(3), rtol=1e-6)
    for value in (-1, 0, 1):
        within(np.mean(drawn == value, 0), np.full(2, 1 / 3), 4000)


def test_uniform_actions_of_a_discrete_task_are_every_choice_alike():
    drawn, log_prob = map(np.asarray, many_uniform(Softmax(), 4))
    np.testing.assert_allclose(log_prob, -np.log(4), rtol=1e-6)
    np.testing.assert_array_equal(drawn.sum(-1), 1.0)
    assert set(drawn.ravel()) == {0.0, 1.0}
    within(drawn.mean(0), np.full(4, 1 / 4), 4000)


@pytest.mark.parametrize("pi", [pi_theta.Gaussian(), pi_theta.Deterministic()])
def test_uniform_actions_fill_the_box(pi):
    drawn, log_prob = map(np.asarray, many_uniform(pi, 2))
    np.testing.assert_allclose(log_prob, -2 * np.log(2), rtol=1e-6)
    assert np.all(np.abs(drawn) <= 1) and np.all(np.abs(drawn).max(0) > 0.99)
    within((drawn > 0.5).mean(0), np.full(2, 1 / 4), 4000)


# ---------------------------------------------------------------- Deterministic


def test_a_deterministic_action_is_the_tanh_of_the_head_and_drawn_without_noise():
    pi, head = pi_theta.Deterministic(), jnp.array([[0.3, -2.0], [40.0, 0.0]])
    dist = pi.distribution({}, head)
    np.testing.assert_allclose(pi.mode(dist), np.tanh(head), atol=2e-7)
    action = pi.sample(dist, jax.random.key(0), 3)
    np.testing.assert_array_equal(action, np.stack([pi.mode(dist)] * 3))


def test_exploration_adds_noise_of_its_std_and_stays_in_the_box():
    pi, n = pi_theta.Deterministic(noise=0.1), 20_000
    action = jnp.broadcast_to(jnp.array([0.0, -0.2, 0.95]), (n, 3))
    found = np.asarray(pi.explore(Point(action), jax.random.key(0)))
    noise = (found - np.asarray(action))[:, :2]
    # the std of a sample's std is std / sqrt(2n), of its mean std / sqrt(n); 5 of each
    np.testing.assert_allclose(noise.std(0), 0.1, atol=5 * 0.1 / np.sqrt(2 * n))
    np.testing.assert_allclose(noise.mean(0), 0.0, atol=5 * 0.1 / np.sqrt(n))
    assert abs(np.corrcoef(noise.T)[0, 1]) < 5 / np.sqrt(n)
    assert found.max() == 1.0
    above = np.array([0.3085])  # P(noise > half of its std)
    within(np.mean(found[:, 2] == 1.0), above, n)


def test_a_stochastic_policy_explores_by_its_own_draws():
    pi = pi_theta.Gaussian(scale=pi_theta.ConstantStd())
    dist, key = Normal(jnp.zeros((5, 2)), jnp.ones((5, 2))), jax.random.key(3)
    drawn = pi.draw(dist, key, 1)[0]
    np.testing.assert_array_equal(pi.explore(dist, key), drawn)


# ---------------------------------------------------------------- scales


def residual(states=7, dimensions=2, min_std=1e-3, seed=0):
    rng = np.random.default_rng(seed)
    parts = (
        rng.normal(size=(states, dimensions)),
        0.5 + rng.random((states, dimensions)),
        rng.random(states),
    )
    return Residual(*(jnp.asarray(x, jnp.float32) for x in parts), min_std)


def features_of(states=7, size=3, seed=1):
    rows = np.random.default_rng(seed).normal(size=(states, size - 1))
    return jnp.asarray(np.column_stack([rows, np.ones(states)]), jnp.float32)


PARAMETERS = [pi_theta.LearnedStd(), pi_theta.LearnedLogStd()]


@pytest.mark.parametrize("scale", PARAMETERS)
def test_a_scale_of_one_parameter_is_fitted_to_the_weighted_std(scale):
    rest = residual()
    raw = scale.fit(scale.init(2, 3), features_of(), rest)
    error, weight = np.asarray(rest.error, np.float64), np.asarray(rest.weight)[:, None]
    expected = np.sqrt((weight * error**2).sum(0) / weight.sum())
    np.testing.assert_allclose(scale.std(raw, None), expected, rtol=ROUNDING)
    scaled = rest._replace(weight=7 * rest.weight)
    again = scale.fit(raw, features_of(), scaled)
    np.testing.assert_allclose(again, raw, atol=ROUNDING)


@pytest.mark.parametrize("scale", PARAMETERS)
@pytest.mark.parametrize("floor", [1e-3, 0.3])
def test_a_std_that_is_fitted_is_at_least_the_floor(scale, floor):
    rest = residual(min_std=floor)
    rest = rest._replace(error=rest.error.at[:, 0].set(0.0))
    std = scale.std(scale.fit(scale.init(2, 3), features_of(), rest), None)
    # softplus's inverse of 1e-6 has the digits of log(1e-6) = 14: 1e-6 of the variance
    np.testing.assert_allclose(std[0], floor, rtol=ROUNDING)
    assert std[1] > 1.2 * floor


def test_a_learned_log_std_starts_at_its_raw_value_and_is_its_exponential():
    scale = pi_theta.LearnedLogStd(raw=-0.7)
    own = scale.init(3, 9)
    np.testing.assert_array_equal(own, np.full(3, -0.7, np.float32))
    np.testing.assert_allclose(scale.std(own, None), np.exp(-0.7), rtol=1e-6)
    assert scale.outputs(3) == 0


@pytest.mark.parametrize(
    "floor, ceiling, least, most",
    [(-5.0, 2.0, -5.0, 2.0), (-5.0, None, -5.0, 9.0), (None, 2.0, -9.0, 2.0)],
)
def test_a_learned_log_std_is_read_within_its_bounds(floor, ceiling, least, most):
    scale = pi_theta.LearnedLogStd(floor=floor, ceiling=ceiling)
    std = scale.std(jnp.asarray([-9.0, 0.5, 9.0]), None)
    np.testing.assert_allclose(std, np.exp([least, 0.5, most]), rtol=1e-6)


def test_bounds_of_a_learned_log_std_the_wrong_way_round_are_refused():
    change = {"pi_theta.scale.floor": 3.0}
    with pytest.raises(ConfigError, match=r"below pi_theta\.scale\.ceiling"):
        config_rules.check(schema.override(algorithms.preset("iql"), change))


def test_a_constant_std_is_fitted_by_nothing():
    scale = pi_theta.ConstantStd(value=0.3)
    assert scale.fit(scale.init(2, 3), features_of(), residual()) is None
    assert scale.std(None, None) == np.float32(0.3)


def test_noise_on_weights_makes_a_std_of_the_features():
    scale = pi_theta.FeatureStd(init_std=0.5)
    own = scale.init(2, 3)
    np.testing.assert_allclose(np.exp(own), np.full((3, 2), 0.25), rtol=1e-6)
    own = own + jnp.arange(6.0).reshape(3, 2) / 3
    phi = np.asarray(features_of(), np.float64)
    variance = np.exp(np.asarray(own, np.float64))
    expected = np.empty((7, 2))
    for b, a in itertools.product(range(7), range(2)):
        expected[b, a] = sum(phi[b, f] ** 2 * variance[f, a] for f in range(3)) ** 0.5
    found = scale.std(own, None, features_of())
    np.testing.assert_allclose(found, expected, rtol=ROUNDING)


def explored(seed, min_std=1e-3):
    """A scale's parameters, features, and a residual with the std that they make."""
    rng = np.random.default_rng(seed)
    scale, phi = pi_theta.FeatureStd(), features_of(seed=seed)
    own = scale.init(2, 3) + jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)
    rest = residual(seed=seed, min_std=min_std)
    return scale, own, phi, rest._replace(std=scale.std(own, None, phi))


def posteriors(own, phi, error):
    """Mean and covariance of the noise on F weights, given what it did to one action.

    In information form: the action is the noise's own, up to a variance of 1e-9.
    """
    for prior, r in zip(np.exp(own).T, error, strict=True):
        precision = np.diag(1 / prior) + np.outer(phi, phi) / 1e-9
        covariance = np.linalg.inv(precision)
        yield covariance @ phi * r / 1e-9, covariance


def doubles(*arrays):
    return [np.asarray(x, np.float64) for x in arrays]


def moments(own, phi, rest):
    """E[noise^2] of each state, weight and dimension: [B, F, A]."""
    own, phi, error = doubles(own, phi, rest.error)
    rows = [list(posteriors(own, x, r)) for x, r in zip(phi, error, strict=True)]
    return np.array([[m**2 + np.diag(c) for m, c in row] for row in rows]).swapaxes(
        1, 2
    )


@pytest.mark.parametrize("seed", range(3))
def test_fitting_noise_on_weights_is_a_step_of_expectation_maximisation(seed):
    scale, own, phi, rest = explored(seed)
    found = np.exp(np.asarray(scale.fit(own, phi, rest), np.float64))
    (weight,) = doubles(rest.weight)
    expected = np.tensordot(weight, moments(own, phi, rest), 1) / weight.sum()
    # 1 - gain * feature cancels where one feature makes all of the noise: 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def complete(log_variance, weight, moment):
    """sum_b w E[ log N(noise; 0, v) ], without its constants."""
    each = -log_variance / 2 - moment / (2 * np.exp(log_variance))
    return (weight[:, None, None] * each).sum()


def observed(log_variance, weight, phi, error):
    """sum_b w log N(residual; 0, phi^2 v), without its constants."""
    variance = phi**2 @ np.exp(log_variance)
    return -(weight[:, None] * (np.log(variance) + error**2 / variance)).sum() / 2


@pytest.mark.parametrize("seed", range(3))
def test_no_step_of_expectation_maximisation_loses_likelihood(seed):
    scale, own, phi, rest = explored(seed)
    weight, rows, error = doubles(rest.weight, phi, rest.error)
    for _ in range(5):
        new = scale.fit(own, phi, rest)
        old_log, new_log = doubles(own, new)
        moment = moments(own, phi, rest)
        best = complete(new_log, weight, moment)
        assert best >= complete(old_log, weight, moment) - ROUNDING
        for change in (-0.1, 0.1):  # the M-step is at its maximum
            assert best > complete(new_log + change, weight, moment)
        before = observed(old_log, weight, rows, error)
        assert observed(new_log, weight, rows, error) >= before - ROUNDING
        own, rest = new, rest._replace(std=scale.std(new, None, phi))


def test_noise_on_weights_is_at_least_the_floor():
    scale, own, phi, rest = explored(0, min_std=0.5)
    silent = rest._replace(error=jnp.zeros_like(rest.error))
    for _ in range(20):
        own = scale.fit(own, phi, silent)
    assert np.all(np.exp(own) >= 0.25 * (1 - 1e-6))
    assert np.any(np.exp(own) <= 0.25 * (1 + 1e-6))


# ---------------------------------------------------------------- pi_q


C31 = jnp.array([[0.0, 2.0, -1.0, 1.0]])
PSI = np.array([[0.0, 0.731059, 0.0, 0.268941]])  # as printed, 6 digits
ONE = jnp.float32(1.0)


def test_the_best_half_has_weights_and_the_rest_has_none():
    """C31; the mean over B of weight * x is the sum of psi * x."""
    rule = pi_q.NonParametric(normalize="batch", top_fraction=0.5)
    weight = rule.weights(C31, ONE)
    np.testing.assert_allclose(weight, 4 * PSI, atol=4e-6)
    x = np.array([[3.0, -1.0, 10.0, 2.0]])
    np.testing.assert_allclose(np.mean(weight * x), np.sum(PSI * x), atol=ROUNDING)
    np.testing.assert_allclose(rule.weights(C31 + 5.0, ONE), weight, atol=ROUNDING)


def test_what_is_kept_of_several_actions_a_state_sums_to_1_as_all_of_them_do():
    """The mean over B of the sum over M is 1, whatever share is kept."""
    score = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
    for keep in (0.5, 1.0):
        rule = pi_q.NonParametric(normalize="batch", top_fraction=keep)
        weight = rule.weights(score, ONE)
        assert np.count_nonzero(weight) == keep * 12
        assert np.mean(np.sum(weight, 0)) == pytest.approx(1.0, abs=ROUNDING)


def test_weights_that_are_kept_need_no_partition_function():
    rule = pi_q.NonParametric(normalize="none", top_fraction=0.5)
    expected = np.exp(np.array([[-np.inf, 1.0, -np.inf, 0.5]]))
    np.testing.assert_allclose(rule.weights(C31, jnp.float32(2.0)), expected, rtol=1e-6)


@pytest.mark.parametrize("keep", [0.5, 1.0])
def test_the_clip_is_on_the_weights_as_the_m_step_takes_them(keep):
    free = pi_q.NonParametric(normalize="batch", top_fraction=keep)
    clipped = pi_q.NonParametric(
        normalize="batch", top_fraction=keep, clip=pi_q.Clip(limit=2.0)
    )
    assert np.max(free.weights(C31, ONE)) > 2
    expected = np.minimum(free.weights(C31, ONE), 2.0)
    np.testing.assert_array_equal(clipped.weights(C31, ONE), expected)


def test_scores_are_compared_within_what_z_sums_over():
    score = jnp.arange(6.0).reshape(2, 3)
    per_state = pi_q.NonParametric(normalize="state").compared(score)
    np.testing.assert_array_equal(per_state, score)
    batch = pi_q.NonParametric(normalize="batch").compared(score)
    np.testing.assert_array_equal(batch, np.arange(6.0)[:, None])
    kept = pi_q.NonParametric(normalize="batch", top_fraction=0.5).compared(score)
    np.testing.assert_array_equal(kept, [[5.0], [4.0], [3.0]])


def test_the_weight_of_a_step_is_its_episodes_already():
    score = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(pi_q.Episodic().weights(score, ONE), score)


@pytest.mark.parametrize(
    "posterior, expected",
    [
        (pi_q.NonParametric(standardize=True), True),
        (pi_q.NonParametric(standardize=False), False),
        (pi_q.Episodic(standardize=True), False),  # its own, over episodes
        (pi_q.Parametric(), False),
        (pi_q.Parametric(gradient=pi_q.LikelihoodRatio(standardize=True)), True),
        (pi_q.Parametric(gradient=pi_q.LikelihoodRatio(standardize=False)), False),
    ],
)
def test_who_puts_scores_of_steps_into_standard_deviations(posterior, expected):
    score = jnp.array([1.0, 2.0, 6.0])
    standard = (score - 3.0) / np.std([1.0, 2.0, 6.0])
    found = posterior.standardized(score)
    np.testing.assert_allclose(found, standard if expected else score, rtol=1e-6)


# ---------------------------------------------------------------- trust regions, eta


@pytest.mark.parametrize("floor", ["project", "clamp"])
def test_one_multiplier_holds_the_joint_kl(floor):
    trust = pi_p_update.JointKL(epsilon_joint=0.02, init_joint=0.5, floor_rule=floor)
    start = trust.duals(6)
    assert start.keys() == trust.epsilon().keys() == {"joint"}
    assert start["joint"].shape == () and trust.epsilon()["joint"] == 0.02
    value, grad = jax.value_and_grad(trust.multiplier)(start["joint"])
    assert value == pytest.approx(np.log1p(np.exp(0.5)), rel=1e-6)
    assert grad == pytest.approx(1 / (1 + np.exp(-0.5)), rel=1e-6)
    below = jax.grad(trust.multiplier)(jnp.float32(-19.0))
    assert (below == 0) == (floor == "clamp")


def test_penalties_and_radii_start_at_the_values_of_the_settings():
    """Settings 3.3, 3.6, 3.7, 3.10."""
    penalty = pi_q_update.KLPenalty()
    assert (penalty.target, penalty.init) == (0.01, 1.0)
    assert (penalty.factor, penalty.tolerance) == (2.0, 1.5)
    assert pi_q_update.ClippedRatio().epsilon == 0.2
    natural = pi_q_update.NaturalGradient()
    assert (natural.max_kl, natural.iterations) == (0.01, 20)
    assert (natural.damping, natural.max_backtracks) == (0.1, 10)
    assert (natural.backtrack_coeff, natural.kl_direction) == (0.5, "forward")
    limit = pi_q_update.DivergenceTemperature()
    assert (limit.limit, limit.low, limit.high) == (0.05, -5.0, 10.0)
    mmd = pi_q_update.MMD()
    assert (mmd.samples, mmd.kernel, mmd.sigma) == (10, "laplacian", 20.0)


RULES = [
    pi_q_update.KLTemperature,
    pi_q_update.DualTemperature,
    pi_q_update.ExponentialTemperature,
    pi_q_update.EntropyTemperature,
    pi_q_update.DivergenceTemperature,
]


@pytest.mark.parametrize("kind", RULES)
def test_a_temperature_starts_where_its_rule_says(kind):
    rule = kind(init=0.3)
    value = rule.value_of(rule.start())
    softplus = kind is pi_q_update.KLTemperature
    expected = np.log1p(np.exp(0.3)) if softplus else 0.3
    assert value == pytest.approx(expected, rel=1e-6)  # one float32 exp or two


def test_a_temperature_is_learned_unless_it_is_given_or_there_is_none():
    given = pi_q_update.Analytic(temperature=pi_q_update.ConstantTemperature())
    assert not given.learned and given.has_temperature
    assert pi_q_update.Gradient().learned
    for update in (pi_q_update.Proximal(), pi_q_update.NaturalGradient()):
        assert not update.has_temperature and not update.learned
