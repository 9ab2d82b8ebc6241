"""The loop: agents do not see each other, counters are exact, time limits bootstrap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import algorithms, envs, runner, schema
from coadapt.data import replay
from coadapt.envs import toy

TASK = "toy/lqr"
SMALL = {
    "networks.policy.sizes": (16, 16),
    "networks.critic.sizes": (16, 16),
    "data.capacity": 70,  # below every run's length, so that one program serves all
}
SHORT = {  # the same algorithms, at the size of a test
    "sac": {"data.start": 64, "data.warmup": 64, "data.batch": 32},
    "awac": {"data.start": 64, "data.warmup": 64, "data.batch": 32},
    "mpo": {
        "data.start": 64,
        "data.steps": 1,
        "data.batch": 32,
        "target.policy.period": 20,
        "target.critic.period": 20,
    },
    "awr": {
        "data.start": 90,
        "data.steps": 30,
        "data.batch": 32,
        "schedule.critic_steps": 4,
        "schedule.policy_steps": 20,
    },
}


def small(name: str, **changes: object):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return schema.override(algorithms.preset(name), SMALL | SHORT[name] | changes)


def trained(configs, seeds, steps=264, task=TASK):
    return runner.train(configs, seeds, task, steps=steps, eval_episodes=2).learner


def agent(learner, index: int) -> list[np.ndarray]:
    return [np.asarray(x)[index] for x in jax.tree.leaves(learner.agent)]


@pytest.mark.parametrize("name", list(algorithms.PRESETS))
def test_an_agent_is_the_same_alone_and_in_a_group(name):
    """After 200 updates (AWR: 6 iterations of 24), alone, among 8, and elsewhere in it.

    The products of a stacked layer are the same products, but XLA may sum them in
    another order for another number of agents: 1e-3 of a parameter's size is some
    2e4 float32 roundings, and what 200 Adam steps make of one (measured: below 2e-4).
    Places within a group of one size share a program: there, equality is to the bit.
    """
    seeds = [3, 1, 4, 15, 9, 2, 6, 5]
    rates = [1e-3 * (i + 1) for i in range(8)]
    configs = [small(name, optim__critic__rate=rate) for rate in rates]
    group = trained(configs, seeds)
    alone = trained(configs[2:3], seeds[2:3])
    for one, many in zip(agent(alone, 0), agent(group, 2), strict=True):
        scale = np.abs(one).max() if one.size else 0.0
        np.testing.assert_allclose(many, one, rtol=0, atol=1e-3 * scale + 1e-6)
    moved = trained(configs[::-1], seeds[::-1])
    for here, there in zip(agent(group, 2), agent(moved, 5), strict=True):
        np.testing.assert_array_equal(here, there)


def test_variants_of_one_seed_start_alike():
    configs = [small("sac"), small("sac", optim__policy__rate=1e-2)]
    learner = trained(configs, [7, 7], steps=10)
    first, second = agent(learner, 0), agent(learner, 1)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    stores = [np.asarray(x) for x in jax.tree.leaves(learner.store)]
    for leaf in stores:
        np.testing.assert_array_equal(leaf[0], leaf[1])


def test_one_critic_starts_as_the_first_of_two():
    one = trained([small("sac", g_estimate__critics=1)], [7], steps=10)
    two = trained([small("sac")], [7], steps=10)
    for a, b in zip(
        jax.tree.leaves(one.agent.params.critic),
        jax.tree.leaves(two.agent.params.critic),
        strict=True,
    ):
        np.testing.assert_array_equal(a[:, 0], b[:, 0])


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [("sac", 20_000, 10_001), ("awac", 20_000, 10_001), ("mpo", 20_000, 2376),
     ("awr", 20_000, 6), ("sac", 9_999, 0), ("mpo", 1_000, 1), ("mpo", 999, 0)],
)  # fmt: skip
def test_number_of_updates(name, steps, expected):
    """C34, from the rule that the loop follows."""
    config = algorithms.preset(name)
    assert sum(runner.due(config, t) for t in range(1, steps + 1)) == expected


@pytest.mark.parametrize("name", ["sac", "mpo", "awr"])
@pytest.mark.parametrize("steps", [104, 105, 200])
def test_device_and_host_make_the_updates_of_the_rule(name, steps):
    config = small(name, data__steps=30 if name == "awr" else 7)
    expected = sum(runner.due(config, t) for t in range(1, steps + 1))
    for task in (TASK, "gym/Pendulum-v1"):
        if name == "awr" and task != TASK:
            continue  # its episodes are longer than this test
        result = runner.train(
            [config], [0], task, steps=steps, eval_every=60, eval_episodes=1
        )
        assert int(result.clock.updates) == expected
        assert int(result.clock.steps) == steps
        assert int(result.learner.store.count[0]) == steps


def test_mpo_syncs_every_hundred_updates():
    """C34: 23 syncs in 2376 updates, the first after update 100."""
    config = algorithms.preset("mpo")
    period = config.target.policy.period
    assert sum(u % period == 0 for u in range(1, 2376 + 1)) == 23


@pytest.mark.parametrize("task", [TASK, "gym/Pendulum-v1"], ids=["device", "host"])
def test_what_is_traced_never_retraces(task, traced):
    """Numbers and seeds are arrays of the program: nothing at all is traced again."""

    def run(configs, seeds):
        runner.train(configs, seeds, task, steps=80, eval_every=80, eval_episodes=1)

    config = small("sac", g_estimate__discount=0.95)
    run([config, config], [0, 1])
    traced.clear()
    faster = small("sac", optim__policy__rate=1e-3, g_estimate__discount=0.9)
    run([faster, config], [5, 6])
    assert traced == {}


def test_evaluation_touches_nothing():
    """C38: training is the same to the bit, however often it is looked at."""
    config = small("sac")
    often = runner.train([config], [0], TASK, steps=120, eval_every=20, eval_episodes=3)
    once = runner.train([config], [0], TASK, steps=120, eval_every=120)
    for a, b in zip(
        jax.tree.leaves(often.learner), jax.tree.leaves(once.learner), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("task", [TASK, "gym/Pendulum-v1"], ids=["device", "host"])
def test_evaluation_is_repeatable(task):
    """C38: two runs tell the same returns."""
    seen: list[list[float]] = [[], []]
    for told in seen:
        runner.train(
            [small("mpo")], [0], task, steps=80, eval_every=40, eval_episodes=2,
            report=lambda r, told=told: told.append(float(r.metrics["return"][0])),
        )  # fmt: skip
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


def test_store_holds_what_the_environment_was_given():
    """C36, C37: raw actions, time limits that go on, the successor before the reset."""
    config = small("mpo", pi_theta__scale__init_std=3.0)
    store = trained([config], [0], steps=70).store
    one = jax.tree.map(lambda x: x[0], store)
    t = replay.gather(one, jnp.arange(70, dtype=jnp.int32))
    actions = np.asarray(t.action)
    assert (np.abs(actions) > 1).any()
    last = np.asarray(t.last)
    assert last.nonzero()[0].tolist() == [29, 59]  # episodes of 30 steps
    assert np.asarray(t.discount).tolist() == [1.0] * 70
    # the system is linear and has no noise: each successor follows from its action
    lqr = toy.LQR()
    a, b = lqr.matrices
    expected = np.asarray(t.obs) @ a.T + actions @ b.T
    # float32 dynamics against float64: some roundings of numbers of order 1
    np.testing.assert_allclose(np.asarray(t.next_obs), expected, atol=1e-5)
    assert not np.allclose(np.asarray(t.obs)[30], np.asarray(t.next_obs)[29])


def test_squashed_actions_stay_inside():
    """C36: SAC never acts outside of the box."""
    store = trained([small("sac")], [0], steps=200).store
    assert (np.abs(np.asarray(store.action)) <= 1).all()


def test_a_broken_agent_leaves_its_neighbours_alone():
    configs = [small("sac"), small("sac", optim__policy__rate=1e30), small("sac")]
    metrics: list[dict] = []
    group = runner.train(
        configs, [0, 1, 2], TASK, steps=120, eval_episodes=2,
        report=lambda r: metrics.append(r.metrics),
    ).learner  # fmt: skip
    assert np.isnan(metrics[-1]["return"][1])
    assert np.isfinite(metrics[-1]["return"][[0, 2]]).all()
    whole = trained([small("sac")] * 3, [0, 1, 2], steps=120)
    for a, b in zip(agent(group, 2), agent(whole, 2), strict=True):
        np.testing.assert_array_equal(a, b)


def test_awr_on_a_task_whose_first_episode_may_not_end_is_refused():
    config = small("awr", data__batch=64)
    with pytest.raises(schema.ConfigError, match=r"data\.start is 90.*at least 94"):
        trained([config], [0])


def test_discrete_actions_are_refused():
    assert envs.spec("gym/CartPole-v1").num_actions
    with pytest.raises(schema.ConfigError, match="task is 'gym/CartPole-v1'"):
        trained([small("sac")], [0], task="gym/CartPole-v1")
