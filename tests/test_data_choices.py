"""What is drawn, what rewards become, what starts anew: beside plain NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import compute_targets, evaluate, init, small, write_dataset

from coadapt import agent as agents
from coadapt import algorithms, runner, schema
from coadapt.data import offline, replay
from coadapt.networks import InputNorm
from coadapt.ops import moments, sum_tree
from coadapt.resets import Resets
from coadapt.rewards import BoundReward, ClipReward, ScaleReward
from coadapt.sampling import (
    Came,
    Held,
    PrioritizedSampling,
    RecentSampling,
    SymmetricSampling,
    UniformSampling,
)
from coadapt.schema import ConfigError
from coadapt.types import Action, EnvSpec, TimeStep, Transition
from coadapt.validation import config_rules

SPEC = EnvSpec(task="none", obs_size=3, action_size=2, max_steps=10, provider="numbers")
KEY = jax.random.key(3)


def held(tail, count):
    tail = jnp.int32(tail)
    return Held(tail, jnp.int32(count), tail, tail + count)


def came(index, *gone):
    return Came(jnp.array([index], jnp.int32), jnp.array(gone, jnp.int32))


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize("capacity, places", [(1, 2), (5, 8), (8, 8), (9, 16)])
def test_a_sum_tree_holds_sums_and_draws_in_proportion(capacity, places):
    tree, numbers = sum_tree.empty(capacity), np.zeros(places)
    assert sum_tree.size(tree) == places
    rng = np.random.default_rng(0)
    for _ in range(4):
        place = rng.integers(0, capacity, 6)  # some of them twice: the largest stays
        value = rng.integers(0, 9, 6).astype(np.float32)
        tree = sum_tree.put(tree, jnp.asarray(place), jnp.asarray(value))
        numbers[place] = 0
        np.maximum.at(numbers, place, value)
        np.testing.assert_array_equal(tree[places:], numbers)
        assert float(sum_tree.total(tree)) == numbers.sum()
    drawn = np.asarray(sum_tree.draw(tree, KEY, 7))
    part = (np.arange(7) + np.asarray(jax.random.uniform(KEY, (7,)))) / 7
    expected = np.searchsorted(np.cumsum(numbers), part * numbers.sum(), "right")
    np.testing.assert_array_equal(drawn, expected)


def test_prioritised_replay_draws_weighs_and_remembers_as_schaul_et_al():
    rule = PrioritizedSampling(alpha=0.5, beta=0.4, length=100, epsilon=0.01)
    kept, truth = rule.init(8), {}
    for index in range(11):  # three of the oldest are written over
        kept = rule.added(kept, came(index, index - 8, index - 9), True)
        truth[index] = 1.0
    kept = rule.added(kept, came(11, 3, 2), False)  # of an agent that has failed
    index, error = np.array([4, 10, 7]), np.array([0.5, 4.0, 0.0], np.float32)
    kept = rule.learned(kept, jnp.asarray(index), jnp.asarray(error))
    truth |= dict(zip(index, (error + 0.01) ** 0.5, strict=True))
    kept = rule.added(kept, came(11, 3, 2), True)
    truth[11] = 4.01**0.5  # the largest until now
    now = np.array([truth[i] for i in range(4, 12)])
    share = now / now.sum()
    drawn = rule.draw(kept, KEY, 4000, held(4, 8), 50)
    assert drawn.weight is not None
    counts = np.bincount(np.asarray(drawn.index) - 4, minlength=8)
    # stratified: off by no more than the part at each of a number's two ends
    np.testing.assert_allclose(counts, 4000 * share, atol=2.0)
    beta = 0.4 + 0.6 * 0.5
    weight = share**-beta
    weight = weight / weight[counts > 0].max()
    np.testing.assert_allclose(
        drawn.weight, weight[np.asarray(drawn.index) - 4], rtol=1e-4
    )
    late = rule.draw(kept, KEY, 4000, held(4, 8), 10_000)
    exact = (1 / share) / (1 / share[counts > 0]).max()
    np.testing.assert_allclose(
        late.weight, exact[np.asarray(late.index) - 4], rtol=1e-4
    )
    # one whose rows are gone is never read
    assert int(rule.draw(kept, KEY, 4000, held(7, 5), 0).index.min()) == 7


def ringed(envs, capacity, steps):
    """A store whose obs are (environment, time) and what a prioritised replay remembers
    of it, as env steps leave them: episodes of 2, 5, ... steps, so that rings have lost
    rows to their ends, and not as many each.
    """
    rule = PrioritizedSampling(alpha=1.0, epsilon=1e-6)
    spec = dataclasses.replace(SPEC, obs_size=2)
    env, size = np.arange(envs, dtype=np.float32), replay.size(capacity, envs=envs)
    place = (lambda x: x) if envs > 1 else (lambda x: x[0])

    def obs(time):
        return place(np.stack([env, np.full(envs, time, np.float32)], axis=1))

    @jax.jit
    def add(store, kept, time, last, now, end):
        chosen = Action(jnp.zeros((*jnp.shape(time), 2)), None)
        step = TimeStep(now, time, jnp.ones_like(time), last, end)
        after = replay.add(store, chosen, step)
        return after, rule.added(kept, replay.came(after, store), True)

    store, kept = replay.init(spec, size, obs(0)), rule.init(envs * capacity)
    for t in range(steps):
        last = (t + 1) % (2 + 3 * env.astype(int)) == 0
        time = place(np.full(envs, t, np.float32))
        store, kept = add(store, kept, time, place(last), obs(t + 1), obs(t + 1))
    return rule, store, kept


@pytest.mark.parametrize("envs", [1, 3])
def test_prioritised_replay_draws_what_is_held_and_nothing_else(envs):
    """Where the capacity is no power of 2, and rows are gone: each as likely as its
    priority, whatever was there before."""
    rule, store, kept = ringed(envs, 20, 70)
    tail = np.atleast_1d(np.asarray(store.tail))
    assert tail[0] > 50 and (np.diff(tail) <= 0).all()  # a ring of 20 began at 50
    there = [(e, t) for e in range(envs) for t in range(tail[e], 70)]
    expected = dict.fromkeys(there, 1.0)
    learned = [t * envs + e for e, t in there[::3]]
    error = np.arange(len(learned), dtype=np.float32) + 0.5
    kept = rule.learned(kept, jnp.array(learned), jnp.array(error))
    expected |= dict(zip(there[::3], error + 1e-6, strict=True))
    drawn = rule.draw(kept, KEY, 6000, replay.held(store, in_order=True), 0)
    found = replay.drawn(store, drawn.index, in_order=True)
    places = list(zip(*np.asarray(found.obs).astype(int).T.tolist(), strict=True))
    share = np.array([expected[place] for place in there]) / sum(expected.values())
    counts = np.array([places.count(place) for place in there])
    # stratified: off by no more than the part at each of a number's two ends
    np.testing.assert_allclose(counts, 6000 * share, atol=2.0)
    of = dict(zip(there, (share / share.min()) ** -0.4, strict=True))
    np.testing.assert_allclose(drawn.weight, [of[place] for place in places], rtol=1e-4)


@pytest.mark.parametrize("envs", [1, 3])
def test_the_newest_of_all_environments_come_last(envs):
    """In order of time, those that each of them holds; and steps in a row are one
    environment's, also of the newest, which wait for what follows."""
    rule, store, kept = ringed(envs, 20, 70)
    first, oldest = int(np.max(store.tail)), int(np.min(store.tail))
    span = replay.held(store, in_order=True)
    every = RecentSampling(eta=1.0).draw(None, KEY, int(span.count), span, 0).index
    found = np.asarray(replay.drawn(store, jnp.sort(every), in_order=True).obs)
    expected = [(e, t) for t in range(first, 70) for e in range(envs)]
    assert [tuple(row) for row in found.astype(int).tolist()] == expected
    drawn = rule.draw(kept, KEY, 600, replay.held(store, 3, in_order=True), 0).index
    runs, _ = replay.sequences(store, drawn, 3, in_order=True)
    env, time = np.moveaxis(np.asarray(runs.obs), -1, 0)
    assert (env == env[0]).all() and (np.diff(time, axis=0) == 1).all()
    assert time.max() == 69 and time[0].min() == oldest
    # what waits is no reason to draw the oldest, of which there is one at most
    assert (time[0] == oldest).mean() < 1.5 / int(span.count)


def test_an_update_weighs_errors_and_writes_priorities():
    config = schema.override(
        algorithms.preset("sac"),
        {
            "networks.policy.sizes": (4,), "networks.critic.sizes": (4,),
            "data.sampling": "PrioritizedSampling", "data.capacity": 16,
            "data.batch_size": 4,
        },
    )  # fmt: skip
    state = init(config, SPEC, jax.random.key(0))
    store = replay.init(SPEC, replay.size(16), jnp.zeros(3))
    rng, kept, rule = np.random.default_rng(0), state.sampling, config.data.sampling
    number = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    added, add = jax.jit(rule.added), jax.jit(replay.add)
    for _ in range(9):
        obs = number(3)
        step = TimeStep(obs, number(), jnp.float32(1), jnp.bool_(False), obs)
        before = store
        store = add(store, Action(jnp.tanh(number(2)), None), step)
        kept = added(kept, replay.came(store, before), True)
    index, weight = jnp.array([1, 5, 8, 0]), jnp.array([1.0, 0.5, 0.25, 1.0])
    state = state._replace(sampling=kept)
    batch = compute_targets(config, state, replay.gather(store, index), KEY)
    batch = batch._replace(index=index, weight=weight)
    value = jax.jit(agents.action_values)(
        config,
        state,
        state.params.critic,
        batch.transition.obs,
        batch.transition.action,
    )
    error = np.asarray(value - batch.target[None])
    after, metrics = evaluate(config, state, batch)
    loss = np.mean(0.5 * np.mean(error**2 * np.asarray(weight), axis=1))
    np.testing.assert_allclose(metrics["critic_loss"], loss, rtol=1e-5)
    found = sum_tree.at(after.sampling.tree, index)
    expected = (np.abs(error).mean(0) + 1e-6) ** 0.6
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    others = np.setdiff1d(np.arange(9), index)
    np.testing.assert_array_equal(sum_tree.at(after.sampling.tree, others), 1.0)


def test_recent_experience_is_uniform_among_ever_fewer():
    rule, n = RecentSampling(eta=0.99, period=10, fewest=50), 400
    for updates in (0, 3, 9, 10):
        k = updates % 10
        few = max(int(n * 0.99 ** (1000 * k / 10)), 50)
        drawn = np.asarray(rule.draw(None, KEY, 4000, held(100, n), updates).index)
        assert set(drawn) == set(range(500 - few, 500))
    all_of = RecentSampling(eta=1.0).draw(None, KEY, 32, held(0, n), 7).index
    plain = UniformSampling().draw(None, KEY, 32, held(0, n), 7).index
    np.testing.assert_array_equal(all_of, plain)


def test_half_of_a_symmetric_minibatch_is_of_the_data_set():
    rule = SymmetricSampling()
    kept = rule.began(rule.init(100), 40)
    drawn = np.asarray(rule.draw(kept, KEY, 21, held(0, 60), 0).index)
    assert len(set(drawn)) == 21 and (drawn[:10] < 40).all()
    assert ((drawn[10:] >= 40) & (drawn[10:] < 60)).all()
    before = np.asarray(rule.draw(kept, KEY, 20, held(0, 40), 0).index)
    assert (before < 40).all() and (before >= 0).all()


# ---------------------------------------------------------------- rewards


def steps():
    """Rewards, whether each terminated, and whether each ended an episode."""
    rng = np.random.default_rng(1)
    reward = rng.normal(1.0, 3.0, 30)
    ended, terminated = np.zeros(30, bool), np.zeros(30, bool)
    ended[[4, 11, 20]], terminated[[11, 20]] = True, True
    return reward, terminated, ended


@pytest.mark.parametrize("rule", [ScaleReward(), BoundReward(), BoundReward(most=None)])
def test_rewards_are_scaled_by_the_spread_of_discounted_sums(rule):
    gamma, bounded = 0.9, isinstance(rule, BoundReward)
    kept, total, sums = rule.init(1), 0.0, []
    for i, (reward, terminated, ended) in enumerate(zip(*steps(), strict=True)):
        step = TimeStep(
            jnp.zeros(1), jnp.float32(reward), jnp.float32(1 - terminated),
            jnp.bool_(ended), jnp.zeros(1),
        )  # fmt: skip
        kept = rule.counted(kept, step, jnp.float32(gamma), jnp.bool_(True))
        same = rule.counted(kept, step, jnp.float32(gamma), jnp.bool_(False))
        jax.tree.map(np.testing.assert_array_equal, same, kept)
        total = gamma * total * (1 - (ended if bounded else terminated)) + reward
        sums.append(total)
        # of 1e-4 numbers of mean 0 and variance 1, and of the sums
        count = 1e-4 + len(sums)
        mean = np.sum(sums) / count
        var = (1e-4 * (1 + mean**2) + np.sum((np.array(sums) - mean) ** 2)) / count
        scale = np.sqrt(var + 1e-8)
        if bounded and rule.most is not None:
            scale = max(scale, np.abs(sums).max() / 5.0)
        made = (rule.read if bounded else rule.stored)(kept, jnp.float32(2.0))
        np.testing.assert_allclose(made, 2.0 / scale, rtol=1e-4, err_msg=str(i))


@pytest.mark.parametrize("rule", [ScaleReward(), BoundReward()])
def test_each_environment_has_a_sum_of_its_own(rule):
    """And what is known of sums is of all of them together."""
    bounded, sums = isinstance(rule, BoundReward), []
    kept, total, gamma = rule.init(2), np.zeros(2), 0.9
    reward, terminated, ended = (np.stack([x, x[::-1]], axis=1) for x in steps())
    for now, over, ends in zip(reward, terminated, ended, strict=True):
        step = TimeStep(
            jnp.zeros((2, 1)), jnp.float32(now), jnp.float32(1 - over), ends,
            jnp.zeros((2, 1)),
        )  # fmt: skip
        kept = rule.counted(kept, step, jnp.float32(gamma), jnp.bool_(True))
        total = gamma * total * (1 - (ends if bounded else over)) + now
        sums += total.tolist()
    count = 1e-4 + len(sums)
    mean = np.sum(sums) / count
    var = (1e-4 * (1 + mean**2) + np.sum((np.array(sums) - mean) ** 2)) / count
    scale = np.sqrt(var + 1e-8)
    if bounded:
        scale = max(scale, np.abs(sums).max() / 5.0)
    given = np.array([2.0, -3.0], np.float32)
    made = (rule.read if bounded else rule.stored)(kept, jnp.asarray(given))
    np.testing.assert_allclose(made, given / scale, rtol=1e-4)


def test_rewards_are_clipped_and_inputs_need_not_be():
    found = ClipReward(limit=0.5).read(None, jnp.array([-2.0, 0.3, 0.6]))
    np.testing.assert_allclose(found, [-0.5, 0.3, 0.5])
    known = moments.merge(
        moments.empty(1), jnp.array([[0.0], [2.0]]), jnp.ones(2, bool)
    )
    rows = jnp.array([[101.0]])
    assert float(moments.normalize(known, rows, 0.0, None)[0, 0]) == pytest.approx(100)
    assert float(moments.normalize(known, rows, 0.0, 5.0)[0, 0]) == 5.0
    assert InputNorm(until=None).counts(10**9) is True
    assert [bool(InputNorm(until=3).counts(i)) for i in (2, 3)] == [True, False]


# ---------------------------------------------------------------- resets


def agent(seed):
    config = schema.override(
        algorithms.preset("sac"),
        {"networks.policy.sizes": (4, 4), "networks.critic.sizes": (4, 4)},
    )
    state = init(config, SPEC, jax.random.key(seed))
    count = jax.tree.map(lambda x: x + seed + 1, state.opt)
    return config, state._replace(opt=count)


@pytest.mark.parametrize(
    ("rule", "new"),
    [
        (Resets(), ("params", "opt", "target")),
        (Resets(of="critic", dual=False), ("critic",)),
        (Resets(last=1, dual=False), ("output",)),
        (Resets(of="policy", last=2, dual=False, optimizer=False), ("policy",)),
        (Resets(target="keep", optimizer=False), ("params.",)),
    ],
)
def test_what_starts_anew_is_what_the_rule_says(rule, new):
    config, old = agent(0)
    _, fresh = agent(1)
    nets = config.networks
    found = rule.renewed(old, fresh, nets.policy, nets.critic)

    def renewed(path):
        if "dual" in path:
            named = rule.dual and ("opt" not in path or rule.optimizer)
            return named
        if "policy" in path and rule.of == "critic":
            return False
        if "critic" in path and rule.of == "policy":
            return False
        if ".opt" in path and not rule.optimizer:
            return False
        if ".target" in path and rule.target == "keep":
            return False
        names = ("hidden_1", "output")[-(rule.last or 0) :]
        return rule.last is None or any(name in path for name in names)

    leaves = zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(old), jax.tree.leaves(fresh),
        strict=True,
    )  # fmt: skip
    for (path, leaf), was, other in leaves:
        expected = other if renewed(jax.tree_util.keystr(path)) else was
        np.testing.assert_array_equal(
            leaf, expected, err_msg=jax.tree_util.keystr(path)
        )


# ---------------------------------------------------------------- legality

REFUSED = [
    ("sac", {"data.sampling": "SymmetricSampling"}, "data.sampling is Symmetric"),
    ("sac", {"data.pretrain_updates": 5}, "data.pretrain_updates is 5"),
    ("mpo", {"data.prefill": "a/b-v0", "g_estimate.steps": 2}, "data.prefill is 'a/b"),
    ("sac", {"data.prefill": "a/b-v0", "reward": "ScaleReward"}, "reward is ScaleRew"),
    ("brac", {"data.dataset": "a/b-v0", "reward": "BoundReward"}, "reward is BoundRew"),
    (
        "sac",
        {"data.envs": 4, "data.prefill": "a/b-v0"},
        "data.prefill is 'a/b-v0': dat",
    ),
    (
        "sac",
        {"data.envs": 4, "data.prefill": "a/b", "data.sampling": "SymmetricSampling"},
        "data.sampling is SymmetricSampling: data.envs is 4, but a replay that begins",
    ),
]


def test_a_replay_that_begins_with_a_data_set_has_steps_in_a_row():
    """Those that read how likely stored actions were alone are refused; and no run of
    steps goes from the data set into what came after it.
    """
    for preset, changes in (
        ("d4pg", {}),
        ("sac", {"g_estimate.n_step": "NStepReturn"}),
        ("mpo", {"g_estimate.steps": 2, "g_estimate.trace": "Peng"}),
    ):
        changes = changes | {"data.prefill": "a/b-v0"}
        config_rules.check(schema.override(algorithms.preset(preset), changes))
    obs = np.arange(12, dtype=np.float32).reshape(4, 3)
    ones, going = np.ones(4, np.float32), np.zeros(4, bool)
    given = offline.store(Transition(obs, obs[:, :2], ones, ones, going, obs + 3))
    empty = replay.init(SPEC, replay.size(8, shortest=1), jnp.full(3, 50.0))
    store = replay.begun_with(empty, given)
    found, _ = replay.sequences(store, jnp.arange(3), 2)
    np.testing.assert_array_equal(found.reward, 1.0)
    np.testing.assert_array_equal(found.last[0], False)
    np.testing.assert_array_equal(found.last[1], [False, False, True])


@pytest.mark.parametrize(("preset", "changes", "said"), REFUSED)
def test_what_has_no_meaning_is_refused(preset, changes, said):
    with pytest.raises(ConfigError) as found:
        config_rules.check(schema.override(algorithms.preset(preset), changes))
    assert said in str(found.value)


# ---------------------------------------------------------------- all of it, in a run

DATASET = "lqr/choices-v0"
ALL = {
    "networks.critic.norm": "BatchRenorm",
    "networks.critic.norm.warmup": 5,
    "networks.critic.dropout": 0.1,
    "networks.policy.norm": "BatchNorm",
    "networks.policy.parametrization": "spectral_norm",
    "networks.input_norm": "InputNorm",
    "networks.input_norm.limit": None,
    "reward": "BoundReward",
    "data.sampling": "PrioritizedSampling",
    "data.prefill": DATASET,
    "data.pretrain_updates": 3,
    "schedule.resets": "Resets",
    "schedule.resets.period": 50,
}
STEPS, EVERY = 80, 40


def everything(**changes):
    config = schema.override(small("sac", data__capacity=2000), ALL)
    return schema.override(config, changes)


def trained(configs, start_at=None, steps=STEPS):
    """The last snapshot, and those at checkpoints."""
    saved = []
    last = runner.train(
        configs, [7] * len(configs), "toy/lqr", steps=steps, eval_every=STEPS,
        eval_episodes=1, checkpoint_every=EVERY, start_at=start_at,
        save=lambda s: saved.append(jax.tree.map(np.array, s)),
    )  # fmt: skip
    return jax.tree.map(np.array, last), saved


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("data")))
        write_dataset(DATASET, 0.7, 0.3, 5)
        config = everything()
        config_rules.check(config)
        yield trained([config])


def state_of(snapshot, place=0):
    return jax.tree.map(lambda x: x[place], snapshot.learner.agent)


def test_all_of_it_trains_with_finite_numbers_and_has_learned_before_it_acts(whole):
    last, _ = whole
    assert last.learner.health.alive.all()
    # 3 before the first env step, then one a step from learning_starts on
    start = small("sac").data.learning_starts
    assert int(last.clock.updates) == 3 + STEPS - start + 1
    store = jax.tree.map(lambda x: x[0], last.learner.store)
    assert int(store.count) == 150 + STEPS  # 5 episodes of 30 steps
    state = state_of(last)
    # the data set's observations, of which each episode has one more, and each since
    assert float(state.moments.count) == 155 + STEPS
    tree = np.asarray(state.sampling.tree)
    numbers = tree[len(tree) // 2 :]
    assert (numbers[: int(store.count)] > 0).all() and tree[1] == pytest.approx(
        numbers.sum(), rel=1e-5
    )
    assert (numbers[int(store.count) :] == 0).all()
    assert float(state.rewards.moments.count) == pytest.approx(STEPS, abs=1e-3)


def test_all_of_it_resumes_to_the_bit(whole):
    last, saved = whole
    middle = next(s for s in saved if int(s.clock.steps) == EVERY)
    again, _ = trained([everything()], middle)
    one, other = (s.learner.agent for s in (last, again))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for (path, x), y in zip(
        jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True
    ):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


@pytest.mark.long
def test_all_of_it_alone_is_as_in_a_group(whole):
    alone, _ = whole
    group, _ = trained([everything(), everything(**{"optim.critic.rate": 1e-2})])
    for (path, x), y in zip(
        jax.tree.leaves_with_path(state_of(group).params),
        jax.tree.leaves(state_of(alone).params),
        strict=True,
    ):
        # float32 in another order, through some 70 updates
        np.testing.assert_allclose(
            x, y, rtol=1e-3, atol=1e-4, err_msg=jax.tree_util.keystr(path)
        )
