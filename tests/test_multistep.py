"""Returns of several steps of a replay, against loops over the steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import compute_targets, init

from coadapt import agent, algorithms, envs, runner, schema
from coadapt.agent import models
from coadapt.data import offline, replay
from coadapt.factors import multistep
from coadapt.factors.multistep import Steps
from coadapt.ops import returns
from coadapt.schema import ConfigError
from coadapt.types import Transition
from coadapt.validation import config_rules
from tests.test_cells import traced

RNG = np.random.default_rng(0)
L, B, GAMMA = 6, 40, 0.9
KEY = jax.random.key(3)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def sequences():
    """Rewards, discounts and ends: terminations, time limits, and neither."""
    last = RNG.random((L, B)) < 0.2
    ended = last & (RNG.random((L, B)) < 0.5)
    return numbers(L, B), np.where(ended, 0.0, 1.0).astype(np.float32), last


def plainly(reward, discount, last, ratio, n, value):
    """Of one sequence: rewards of n steps, then the value of what follows."""
    total, weight = 0.0, 1.0
    for k in range(n):
        weight *= ratio[k] if k else 1.0
        total += weight * reward[k]
        weight *= GAMMA * discount[k]
        if last[k] or k == n - 1:
            return total + weight * value[k]
    raise AssertionError


@pytest.mark.parametrize("n", [1, 2, 3, L])
@pytest.mark.parametrize("corrected", [False, True])
def test_the_first_n_steps_are_one_step(n, corrected):
    reward, discount, last = sequences()
    ratio = np.exp(numbers(L, B)) if corrected else np.ones((L, B), np.float32)
    value = numbers(L, B)  # of each step's successor
    total, left, place = returns.first_steps(
        reward, GAMMA * discount, ratio, jnp.asarray(last), jnp.int32(n)
    )
    place = np.asarray(place)
    own, later = discount[place, range(B)], value[place, range(B)]
    found = total + GAMMA * left * own * later
    expected = [
        plainly(reward[:, b], discount[:, b], last[:, b], ratio[:, b], n, value[:, b])
        for b in range(B)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert set(place) <= set(range(n)) and (n == 1 or len(set(place)) > 1)


def test_steps_after_an_end_may_be_anything():
    reward, discount, last = sequences()
    last[1], reward[2:], discount[2:] = True, np.inf, np.nan
    ratio = np.full((L, B), np.inf, np.float32)
    ratio[:2] = 1.0
    given = map(jnp.asarray, (reward, GAMMA * discount, ratio, last))
    total, left, place = returns.first_steps(*given, 5)
    assert np.all(np.isfinite(total)) and np.all(np.isfinite(left))
    assert np.all(np.asarray(place) <= 1)


# ---------------------------------------------------------------- traces


def backwards(steps, trace, *, corrects=True):
    """Munos et al. 2016, Eq. 3, as a recursion; or Peng's, without Q of the action."""
    target = np.zeros((L, B))
    for b in range(B):
        for t in reversed(range(L)):
            more = 0.0
            if not (steps.last[t, b] or t == L - 1):
                base = steps.value[t + 1, b] if corrects else steps.next_value[t, b]
                more = trace[t + 1, b] * (target[t + 1, b] - base)
            following = steps.next_value[t, b] + more
            target[t, b] = steps.reward[t, b] + steps.discount[t, b] * following
    return target


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_traces_are_those_of_their_sources(lam):
    reward, discount, last = sequences()
    pi, mu = np.minimum(numbers(2, L, B), 0.5)
    steps = Steps(reward, GAMMA * discount, numbers(L, B), numbers(L, B), pi, mu, last)
    ratio = np.exp(pi - mu)
    traces = {
        multistep.TruncatedRatio(): np.minimum(1.0, ratio),
        multistep.FullRatio(): ratio,
        multistep.TreeBackup(): np.exp(pi),
        multistep.Uncut(): np.ones((L, B)),
    }
    given = Steps(*map(jnp.asarray, steps))
    for trace, counts in traces.items():
        expected = backwards(steps, lam * counts)
        np.testing.assert_allclose(trace.returns(given, lam), expected, rtol=2e-4)
    peng = backwards(steps, np.full((L, B), lam), corrects=False)
    found = multistep.Peng().returns(given, lam)
    np.testing.assert_allclose(found, peng, rtol=2e-4, atol=1e-5)


# ---------------------------------------------------------------- of an agent

SMALL = {
    "networks.policy.sizes": (8,),
    "networks.critic.sizes": (8,),
    "data.batch_size": B,
}


def chosen(name, changes):
    config = schema.override(algorithms.preset(name), SMALL)
    if "pi_p.samples" in dict(schema.paths(config)):
        config = schema.override(config, {"pi_p.samples": 3})
    for path, value in changes.items():
        config = schema.override(config, {path: value})
    config_rules.check(config)
    return config


def n_step(steps, **more):
    path = "g_estimate.n_step"
    return {path: "NStepReturn", f"{path}.steps": steps, f"{path}.most": L, **more}


def drawn(spec):
    reward, discount, last = sequences()
    obs = numbers(L + 1, B, spec.obs_size)
    action = np.tanh(numbers(L, B, spec.action_size))
    rows = Transition(obs[:-1], action, reward, discount, last, obs[1:])
    return jax.tree.map(jnp.asarray, rows)


def test_a_soft_return_of_n_steps_counts_the_entropy_of_later_states():
    """r_0 + sum gamma^k (r_k - eta log pi(.|s_k)) + gamma^n V: SAC's own return."""
    config, spec = chosen("sac", n_step(3)), envs.spec("toy/lqr")
    state, rows = init(config, spec, jax.random.key(0)), drawn(spec)
    view = models.View(config, state)
    own = jax.random.fold_in(KEY, 9)

    @jax.jit
    def program(rows):
        dist = view.policy(rows.obs[1:].reshape(-1, spec.obs_size))
        log_prob = view.pi.log_prob_of(dist, view.pi.draw(dist, own, 1))[0]
        one = config.g_estimate.n_step.as_one(view, rows, None, GAMMA, own)
        return one, view.eta * log_prob

    one, cost = program(rows)
    entropy = np.zeros((L, B))
    entropy[1:] = -np.asarray(cost).reshape(L - 1, B)
    for b in range(B):
        rest = (rows.discount[:, b], rows.last[:, b], np.ones(L), 3, np.zeros(L))
        expected = plainly(rows.reward[:, b] + entropy[:, b], *rest)
        np.testing.assert_allclose(one.reward[b], expected, rtol=1e-4, atol=1e-5)


def test_one_step_of_a_sequence_is_the_single_step():
    spec, single = envs.spec("toy/lqr"), chosen("td3", {})
    config = chosen("td3", n_step(1))
    state, rows = init(single, spec, jax.random.key(0)), drawn(spec)
    sequences_of = jax.jit(agent.compute_sequence_targets)
    found = sequences_of(config, state, rows, None, KEY)
    first = jax.tree.map(lambda x: x[0], rows)
    expected = compute_targets(single, state, first, KEY)
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(found.transition, first, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_agents_whose_n_differs_share_a_program():
    one, other = (chosen("sac", n_step(n)) for n in (1, 5))
    assert jax.tree.structure(one) == jax.tree.structure(other)


def test_a_sequence_ends_where_a_data_set_was_cut():
    """What stands next in the store may be of another episode, without an end."""
    obs = np.arange(12.0, dtype=np.float32)[:, None]
    follows = obs + 1
    follows[5] = 100.0  # the sixth step's successor is not what comes next
    ones = np.ones(12, np.float32)
    rows = Transition(obs, obs, ones, ones, np.zeros(12, bool), follows)
    found, mu = replay.sequences(offline.store(rows), jnp.arange(10), 3)
    assert mu is None
    np.testing.assert_array_equal(found.last[:2], np.asarray(found.obs[:2, :, 0]) == 5)


CHOICES = {
    "distributions": ("mpo", {"critic.head": "C51", **n_step(4)}),
    "corrected": ("sac", n_step(3, **{"g_estimate.n_step.importance": True})),
    "offline": ("brac", n_step(3)),
    "smoothed": ("td3", n_step(2)),
    "importance": ("mpo", {"g_estimate.steps": 3, "g_estimate.trace": "FullRatio"}),
    "uncut": ("mpo", {"g_estimate.steps": 3, "g_estimate.trace": "Uncut"}),
    "peng": ("mpo", {"g_estimate.steps": 3, "g_estimate.trace": "Peng"}),
    "tree": (
        "mpo",
        {
            "pi_theta": "Softmax",
            "pi_p_update.trust_region": "JointKL",
            "bounds": "none",
            "g_estimate.steps": 3,
            "g_estimate.trace": "TreeBackup",
        },
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_legal_and_all_of_its_update_is_traced(name):
    config = chosen(*CHOICES[name])
    traced(config)
    size = runner.store_size(config, envs.spec("toy/lqr"), 1000)
    assert size.log_prob == (name in ("corrected", "importance"))


@pytest.mark.parametrize(
    "name, changes, said",
    [
        (
            "sac",
            n_step(7),
            "g_estimate.n_step.steps is 7: it must be at most g_estimate.n_step.most, "
            "which is 6.",
        ),
        (
            "td3",
            n_step(3, **{"g_estimate.n_step.importance": True}),
            "pi_theta=Deterministic has no density",
        ),
        (
            "brac",
            n_step(3, **{"g_estimate.n_step.importance": True}),
            "a data set does not say how likely its actions were",
        ),
        (
            "mpo",
            {"g_estimate.steps": 3, "g_estimate.trace": "TreeBackup"},
            "the probability of an action cuts the trace, not its density, so "
            "with g_estimate.trace=TreeBackup it must be Softmax.",
        ),
        (
            "mpo",
            {"g_estimate.steps": 3, **n_step(3)},
            "g_estimate.steps is 3: rewards of n steps leave no trace",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_in_a_sentence(name, changes, said):
    with pytest.raises(ConfigError) as error:
        chosen(name, changes)
    assert said in str(error.value)
