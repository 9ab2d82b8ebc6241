"""V beside Q by an expectile, against NumPy: its step, the target, the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import compute_targets, init

from coadapt import agent, algorithms, envs, schema
from coadapt.agent import models
from coadapt.factors.state_value import Expectile
from coadapt.schema import ConfigError
from coadapt.types import Transition
from coadapt.validation import config_rules

RNG = np.random.default_rng(0)
B = 16
SPEC = envs.spec("toy/lqr")
SMALL = {"networks.policy.sizes": (8,), "networks.critic.sizes": (8,)}
KEY = jax.random.key(1)


def numbers(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def beside(config, state, obs):
    return np.asarray(models.View(config, state).state_value(obs))


def transitions():
    """One in three ends its episode."""
    return Transition(
        numbers(B, SPEC.obs_size),
        jnp.tanh(numbers(B, SPEC.action_size)),
        numbers(B),
        jnp.asarray(np.arange(B) % 3 > 0, jnp.float32),
        jnp.zeros(B, bool),
        numbers(B, SPEC.obs_size),
    )


def test_the_minimum_of_the_loss_is_the_expectile():
    """tau sum of what is above = (1 - tau) sum of what is below: Newey and Powell."""
    errors = np.asarray(numbers(200))
    grid = np.linspace(-1.0, 2.0, 3001)
    each = Expectile(expectile=0.8).each(jnp.asarray(errors - grid[:, None]))
    best = grid[np.argmin(np.asarray(each).sum(1))]
    above, below = np.maximum(errors - best, 0), np.maximum(best - errors, 0)
    # the grid is 1e-3 apart, and 200 errors of weights below 1 move by as much each
    assert 0.8 * above.sum() == pytest.approx(0.2 * below.sum(), abs=0.2)
    assert best > errors.mean() + 0.2


def test_an_update_reads_the_slow_critics_then_v():
    config = schema.override(algorithms.preset("iql"), SMALL)
    state = init(config, SPEC, jax.random.key(0))
    data = transitions()
    slow = state.target.critic
    q = models.action_values(config, state, slow, data.obs, data.action)
    q = np.asarray(q).min(axis=0)
    error = q - beside(config, state, data.obs)
    slope = np.mean(-2 * np.where(error < 0, 0.3, 0.7) * error)  # of the output bias
    new, told = jax.jit(agent.fit_value)(config, state, data, KEY)
    weighted = np.where(error < 0, 0.3, 0.7) * error**2
    assert float(told["value_loss"]) == pytest.approx(np.mean(weighted), rel=1e-5)
    moved, old = (x.params.value["output"]["bias"][0] for x in (new, state))
    # Adam's first step is its rate, against the slope
    assert float(moved - old) == pytest.approx(-3e-4 * np.sign(slope), rel=1e-3)
    target = compute_targets(config, new, data, KEY).target
    following = beside(config, new, data.next_obs)
    plain = np.asarray(data.reward) + 0.99 * np.asarray(data.discount) * following
    np.testing.assert_allclose(target, plain, rtol=1e-6)
    view = models.View(config, new)
    score = view.g.score_actions(view, data.obs, data.action[None], KEY)
    advantage = q - beside(config, new, data.obs)
    np.testing.assert_allclose(score[0], advantage, rtol=1e-6, atol=1e-7)
    weight = config.pi_q.weights(score, view.eta)[0]
    plain = np.minimum(np.exp(3.0 * advantage), 100.0)
    np.testing.assert_allclose(weight, plain, rtol=1e-5)


def test_a_step_moves_the_vectors_of_its_spectral_norm():
    change = {"networks.critic.parametrization": "spectral_norm"}
    config = schema.override(algorithms.preset("iql"), SMALL | change)
    config_rules.check(config)
    old = init(config, SPEC, jax.random.key(0))
    new, _ = jax.jit(agent.fit_value)(config, old, transitions(), KEY)
    kernel = np.asarray(old.params.value["hidden_0"]["kernel"], np.float64)
    right = kernel.T @ np.asarray(old.params.value["state"]["hidden_0"]["left"])
    left = kernel @ right  # a power iteration
    found = new.params.value["state"]["hidden_0"]["left"]
    np.testing.assert_allclose(found, left / np.linalg.norm(left), rtol=1e-5)
    assert (np.asarray(new.params.value["hidden_0"]["kernel"]) != kernel).any()


REFUSED = {
    "awac": ({"g.over_value": True}, "no V is learned beside Q"),
    "td3": ({"g_estimate.value": "Expectile"}, "g_estimate.smoothing is Smoothing"),
    "tqc": ({"g_estimate.value": "Expectile"}, "critic.head is Quantiles"),
    "crossq": ({"g_estimate.value": "Expectile"}, "g_estimate.value is Expectile"),
    "iql": ({"g.baseline": 1}, "g.over_value is True: g.baseline is taken off"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_in_a_sentence(name):
    changes, said = REFUSED[name]
    with pytest.raises(ConfigError) as error:
        config_rules.check(schema.override(algorithms.preset(name), changes))
    assert said in str(error.value)


def test_sac_may_bootstrap_from_it():
    change = {"g_estimate.value": "Expectile"}
    config_rules.check(schema.override(algorithms.preset("sac"), change))
