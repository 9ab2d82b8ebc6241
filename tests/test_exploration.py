"""Colours of noise beside their definitions, and what an agent acts with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import small

from coadapt import agent as agents
from coadapt import algorithms, runner, schema
from coadapt.factors import noise, pi_theta
from coadapt.factors.noise import EpisodeStd, Exploration, OrnsteinUhlenbeck, PinkNoise
from coadapt.rng import Purpose, stream
from coadapt.schema import ConfigError
from coadapt.validation import config_rules

pytestmark = pytest.mark.usefixtures("one_device")

KEY, A = jax.random.key(5), 2
PINK = {
    "exploration.noise": "PinkNoise",
    "exploration.noise.horizon": 30,
    "exploration.std": "EpisodeStd",
    "exploration.std.low": 0.2,
}


def power(keep, square, f):
    """Of a sum of processes x <- a x + sqrt(1 - a^2) e, weighted: from what each has in
    common with itself k steps later, a^k."""
    k = np.arange(1, 60 * int(1 / (1 - keep.max())))
    later = (square[:, None] * keep[:, None] ** k).sum(axis=0)
    return 1 + 2 * np.array([later @ np.cos(2 * np.pi * each * k) for each in f])


@pytest.mark.parametrize("horizon", [30, 300, 1000, 10_000])
def test_pink_noise_has_a_power_of_1_over_f_as_it_says(horizon):
    keep, weight = noise.processes(horizon)
    assert np.sum(weight**2) == pytest.approx(1.0, abs=1e-12)
    f = np.geomspace(1 / horizon, 0.5, 23)
    found = f * power(keep, weight**2, f)
    level = np.exp(np.log(found[f <= 0.25]).mean())
    off = np.abs(found / level - 1)
    assert off[f <= 0.25].max() < 0.05 and off.max() < 0.2


@pytest.mark.parametrize(
    "colour, keep, weight",
    [
        (OrnsteinUhlenbeck(theta=0.25), [0.75], [1.0]),
        (PinkNoise(horizon=50), *noise.processes(50)),
    ],
)
def test_each_step_is_the_recurrence_and_an_end_begins_anew(colour, keep, weight):
    keep, weight = (np.asarray(x)[:, None] for x in (keep, weight))
    rule = Exploration(noise=colour, std=EpisodeStd(low=0.1, high=0.3))
    kept = rule.begin(KEY, A)
    x = np.asarray(kept.noise, float).reshape(-1, A)
    for t in range(4):
        key = jax.random.fold_in(KEY, t)
        fresh = jax.random.normal(jax.random.fold_in(key, 2), kept.noise.shape)
        x = keep * x + np.sqrt(1 - keep**2) * np.asarray(fresh).reshape(-1, A)
        std, kept = kept.std, rule.after(kept, key, jnp.array(False))
        added = rule.read(kept)
        np.testing.assert_allclose(added.unit[0], (weight * x).sum(0), atol=1e-5)
        assert added.std[0] == std and 0.1 <= std < 0.3
    ended = rule.after(kept, key, jnp.array(True))
    jax.tree.map(np.testing.assert_array_equal, ended, rule.begin(key, A))
    assert ended.std != std


def test_a_policy_adds_the_noise_where_it_would_draw_its_own():
    mean, std = jnp.array([[0.3, -0.9]]), jnp.array([[0.5, 2.0]])
    normal, point = pi_theta.Normal(mean, std), pi_theta.Point(mean)
    added = noise.Added(jnp.ones((1, A)), None)
    made = np.array([[0.8, 1.1]])
    plain, bound = pi_theta.Gaussian(), pi_theta.TanhGaussian()
    still = pi_theta.Deterministic(noise=0.25)
    np.testing.assert_allclose(plain.explore(normal, KEY, added), made, rtol=1e-6)
    found = bound.explore(normal, KEY, added)
    np.testing.assert_allclose(found, np.tanh(made), rtol=1e-6)
    np.testing.assert_allclose(still.explore(point, KEY, added), [[0.55, -0.65]])
    white = jax.random.normal(KEY, (1, A))
    own = still.explore(point, KEY, noise.Added(None, jnp.array([[2.0]])))
    np.testing.assert_array_equal(own, jnp.clip(mean + 2.0 * white, -1, 1))


@pytest.mark.parametrize(
    "preset, change, said",
    [
        ("sac", {"exploration.std": "EpisodeStd"}, "std is EpisodeStd: .*none"),
        ("reps", {"exploration.std": "EpisodeStd"}, "std is EpisodeStd: .*Softmax"),
        ("reps", {"exploration.noise": "PinkNoise"}, "Softmax.*must be WhiteNoise"),
        ("iql", {"exploration.noise": "PinkNoise"}, "data set.*must be WhiteNoise"),
        ("td3", PINK | {"exploration.std.low": 0.5}, "low is 0.5: .*at most"),
    ],
)
def test_noise_without_a_meaning_is_refused(preset, change, said):
    with pytest.raises(ConfigError, match=said):
        config_rules.check(schema.override(algorithms.preset(preset), change))


# ---------------------------------------------------------------- while it acts

STEPS, EVERY, ENVS, SEED = 240, 120, 2, 7
BEGINS = 200  # the first update, so that an agent acts until then by what it began with


def coloured(**changes):
    changes = PINK | {"data.random_steps": 0} | changes
    return schema.override(small("td3", data__capacity=1000), changes)


FIRST = coloured(**{"data.envs": ENVS, "data.learning_starts": BEGINS})
SECOND = schema.override(FIRST, {"exploration.std.high": 0.9})


def trained(configs, task="toy/lqr", start_at=None, steps=STEPS, every=EVERY):
    """The last snapshot, and the first, in the middle."""
    saved = []
    last = runner.train(
        configs, [SEED] * len(configs), task, steps=steps, eval_every=steps,
        eval_episodes=1, checkpoint_every=every, start_at=start_at,
        save=lambda s: saved.append(jax.tree.map(np.array, s)),
    )  # fmt: skip
    return jax.tree.map(np.array, last), saved[0]


@pytest.fixture(scope="module")
def whole():
    return trained([FIRST, SECOND])


def same(one, other, place=0):
    """All arrays of the first agent, to the bit."""
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(x[0], y[place])


def test_an_agent_that_goes_on_has_the_noise_of_one_that_was_not_stopped(whole):
    last, middle = whole
    again, _ = trained([FIRST, SECOND], start_at=middle)
    assert last.learner.agent.noise.noise.shape == (2, ENVS, 12, 1)
    same(last.learner, again.learner)


def test_an_agents_noise_does_not_hang_on_who_is_beside_it(whole):
    swapped, _ = trained([SECOND, FIRST])
    same(whole[0].learner, swapped.learner, 1)


@pytest.mark.long
def test_an_agents_noise_is_its_own_alone(whole):
    last, alone = whole[0].learner, trained([FIRST])[0].learner
    same(last.agent.noise, alone.agent.noise)
    # the policy in float32 and another order, through some 40 updates
    np.testing.assert_allclose(
        last.store.action[0], alone.store.action[0], rtol=0, atol=1e-4
    )


def acts_by_its_streams(config, begun, store, steps, every, episode):
    """Stored actions are the mode plus the noise of each step's and environment's key,
    which begins anew with each episode."""
    envs, rule = config.data.envs, config.exploration
    state, store = jax.tree.map(lambda x: x[0], (begun, store))
    obs = store.obs.reshape(envs, -1, store.obs.shape[-1])
    mode = np.asarray([agents.act(config, state, o, KEY, greedy=True) for o in obs])
    stored = store.action.reshape(envs, -1, mode.shape[-1])
    read, after = jax.jit(rule.read), jax.jit(rule.after)
    for env in range(envs):
        kept = rule.begin(stream(SEED, Purpose.NOISE, 0, env), mode.shape[-1])
        row = 0
        for t in range(steps // envs):
            added, taken = read(kept), envs * (t + 1)
            action = np.clip(mode[env, row] + added.std[0] * added.unit[0], -1, 1)
            np.testing.assert_allclose(stored[env, t], action, rtol=0, atol=1e-5)
            ends = (t + 1) % episode == 0 or taken % every == 0
            row += 1 + ends  # a last observation has a row of its own
            kept = after(kept, stream(SEED, Purpose.NOISE, taken, env), jnp.array(ends))


def test_stored_actions_have_the_streams_noise(whole):
    last, middle = whole
    begun, store = middle.learner.agent, last.learner.store
    acts_by_its_streams(FIRST, begun, store, BEGINS, EVERY, 30)


@pytest.mark.long
def test_stored_actions_of_an_environment_on_the_host_have_it():
    steps, every = 450, 400
    config = coloured(**{"data.learning_starts": steps + 1})
    last, middle = trained([config], "gym/Pendulum-v1", steps=steps, every=every)
    begun, store = middle.learner.agent, last.learner.store
    acts_by_its_streams(config, begun, store, steps, every, 200)
