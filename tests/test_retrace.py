"""Retrace of several steps: sequences of a replay, and mu of the stored actions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import init

from coadapt import agent, algorithms, envs, runner, schema
from coadapt.config import Config
from coadapt.data import replay
from coadapt.sampling import UniformSampling
from coadapt.types import Transition
from coadapt.validation import config_rules

STEPS = 3
SMALL = {
    "networks.policy.sizes": (16, 16),
    "networks.critic.sizes": (16, 16),
    "g_estimate.steps": STEPS,
    "g_estimate.lam": 0.9,
    "pi_p.samples": 4,
    "data.batch_size": 8,
    "data.learning_starts": 40,
    "data.update_every": 1,
    "data.random_steps": 20,
}


def config(**changes: object) -> Config:
    made = schema.override(algorithms.mpo(), SMALL | changes)
    config_rules.check(made)
    return made


@pytest.fixture(scope="module")
def trained() -> runner.Snapshot:
    """A run whose last action was chosen before its last update."""
    return runner.train([config()], [3], "toy/lqr", steps=80, eval_every=80)


def one(tree):
    return jax.tree.map(lambda x: x[0], tree)


def test_sequences_are_consecutive_and_stay_within_the_store(trained):
    store = one(trained.learner.store)
    held = replay.held(store, STEPS)
    chosen = UniformSampling().draw(None, jax.random.key(0), 76, held, np.int32(0))
    drawn, mu = replay.sequences(store, chosen.index, STEPS)
    kept = replay.gather(store, store.tail + jnp.arange(80))
    seen = np.asarray(kept.obs)
    firsts = np.asarray(drawn.obs[0])
    starts = [int(np.flatnonzero((seen == x[None]).all(1))[0]) for x in firsts]
    assert sorted(starts) == sorted(set(starts)) and max(starts) <= 80 - STEPS
    for b, start in enumerate(starts):
        for ours, theirs in zip(drawn, kept, strict=True):
            np.testing.assert_array_equal(ours[:, b], theirs[start : start + STEPS])
        np.testing.assert_array_equal(mu[:, b], store.log_prob[start : start + STEPS])


def test_mu_of_a_random_action_is_the_uniform_density(trained):
    store = one(trained.learner.store)
    warm = np.asarray(store.log_prob[:20])
    np.testing.assert_allclose(warm, -np.log(2.0), rtol=1e-6)
    assert np.all(np.asarray(store.log_prob[20:80]) != warm[0])


def test_mu_of_a_policys_action_is_its_log_probability():
    """Before the first update the policy is the one that acted. Of half the bits, it is
    that of the action as it is read."""
    alone = config(**{"data.learning_starts": 1000, "data.precision": "bfloat16"})
    run = runner.train([alone], [0], "toy/lqr", steps=40, eval_every=40)
    learner = one(run.learner)
    kept = replay.gather(learner.store, jnp.arange(20, 40))
    again = agent.log_prob(alone, learner.agent, kept.obs, kept.action)
    # the same arithmetic on one row and on twenty: float32's rounding
    stored = learner.store.log_prob[20:40]
    np.testing.assert_allclose(again, stored, rtol=1e-4, atol=1e-5)


def test_nothing_is_kept_where_nothing_reads_it():
    plain = config(**{"g_estimate.steps": 1})
    spec = envs.spec("toy/lqr")
    assert not runner.store_size(plain, spec, 100).log_prob
    kept = runner.store_size(config(), spec, 100)
    assert kept.nbytes(spec) - kept._replace(log_prob=False).nbytes(spec) == 400


@jax.jit
def sequence(key: jax.Array) -> tuple[Transition, jax.Array]:
    """[3, 8]: the second ends by a time limit, the third terminates; and log mu."""
    keys = jax.random.split(key, 5)
    last = jnp.zeros((STEPS, 8), bool).at[1, 1].set(True).at[0, 2].set(True)
    return Transition(
        obs=jax.random.normal(keys[0], (STEPS, 8, 2)),
        action=jax.random.uniform(keys[1], (STEPS, 8, 1), minval=-1.0),
        reward=jax.random.normal(keys[2], (STEPS, 8)),
        discount=jnp.ones((STEPS, 8)).at[0, 2].set(0.0),
        last=last,
        next_obs=jax.random.normal(keys[3], (STEPS, 8, 2)),
    ), jax.random.normal(keys[4], (STEPS, 8)) - 1.0


def test_targets_are_those_of_the_definition():
    """The sum over t of prod c (r + gamma E Q(s') - Q(s, a)), with the same samples."""
    made, spec = config(), envs.spec("toy/lqr")
    state = init(made, spec, jax.random.key(0))
    moved = jax.tree.map(lambda x: x + 0.1, state.params.policy)
    state = state._replace(target=state.target._replace(policy=moved))
    (steps, mu), key = sequence(jax.random.key(1)), jax.random.key(2)
    batch = jax.jit(agent.compute_sequence_targets)(made, state, steps, mu, key)

    def values(obs, action):
        critic = state.target.critic
        return agent.action_values(made, state, critic, obs, action)[0]

    @jax.jit
    def read(steps):
        """Q of the samples at next states [4, T B], Q and log pi of the steps [T B]."""
        rows, next_rows = steps.obs.reshape(-1, 2), steps.next_obs.reshape(-1, 2)
        action = steps.action.reshape(-1, 1)
        following = agent.policy(made, state, moved, next_rows)
        sampled = values(next_rows, made.pi_theta.draw(following, key, 4))
        own = agent.policy(made, state, moved, rows)
        return sampled, values(rows, action), made.pi_theta.log_prob(own, action)

    sampled, taken, log_pi = jax.device_get(read(steps))
    steps, mu = jax.device_get((steps, mu))
    expected, taken = sampled.mean(0).reshape(STEPS, 8), taken.reshape(STEPS, 8)
    ratio = np.exp(log_pi.reshape(STEPS, 8) - mu)
    for b in range(8):
        total, weight = taken[0, b], 1.0
        for t in range(STEPS):
            weight *= 1.0 if t == 0 else 0.9 * min(1.0, ratio[t, b])
            follows = 0.99 * float(steps.discount[t, b]) * expected[t, b]
            total += weight * (float(steps.reward[t, b]) + follows - taken[t, b])
            weight *= 0.99
            if steps.last[t, b]:
                break
        # float32 sums of a dozen terms
        assert float(batch.target[b]) == pytest.approx(total, rel=1e-4, abs=1e-4)
    np.testing.assert_array_equal(batch.transition.obs, steps.obs[0])
    np.testing.assert_array_equal(batch.next.obs, steps.next_obs[0])


@pytest.mark.long
def test_it_learns():
    """From a random policy's -131, within 6000 updates, past doing nothing at all."""
    returns = []
    made = config(
        **{
            "data.batch_size": 64,
            "data.learning_starts": 300,
            "data.random_steps": 0,
            "data.update_every": 2,
            "pi_p.samples": 10,
            "pi_theta.scale.init_std": 0.3,
            "optim.policy.rate": 3e-4,
            "optim.critic.rate": 1e-3,
            "target.policy.period": 25,
            "target.critic.period": 25,
            "g_estimate.discount": 0.97,
            "g_estimate.lam": 1.0,
            "pi_p_update.trust_region.epsilon_mean": 1e-2,
            "pi_p_update.trust_region.epsilon_std": 1e-4,
        }
    )
    runner.train(
        [made] * 2, [0, 1], "toy/lqr", steps=12_000, eval_every=12_000,
        report=lambda r: returns.append(r.metrics["return"]),
    )  # fmt: skip
    assert np.median(returns[-1]) > -38.5  # of action 0


def test_others_data_have_no_mu():
    with pytest.raises(schema.ConfigError, match=r"^g_estimate\.steps is 3"):
        config(**{"data": "Offline"})
