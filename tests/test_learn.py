"""What an update reads, and in what order: `learn` alone, without a loop around it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import OFFLINE, SHORT, behaviour, cases, small

from coadapt import agent as agents
from coadapt import algorithms, envs, learn
from coadapt.config import Rollout
from coadapt.data import replay
from coadapt.learn import Clock
from coadapt.types import Action, TimeStep

SPEC = envs.spec("toy/lqr")
NEWEST = [name for name in SHORT if isinstance(algorithms.preset(name).data, Rollout)]


@jax.jit
def fill(store: replay.Store, key: jax.Array, steps: jax.Array) -> replay.Store:
    """So many steps of episodes of 30, by random actions, the states all different."""

    def step(t, store):
        obs, action = jax.random.normal(jax.random.fold_in(key, t), (2, 2))
        last = t % 30 == 29
        made = TimeStep(
            obs=jnp.where(last, -obs, obs),
            reward=-jnp.sum(jnp.square(obs)),
            discount=jnp.float32(1.0),
            last=last,
            next_obs=obs,
        )
        return replay.add(store, Action(jnp.tanh(action[:1]), None), made)

    return jax.lax.fori_loop(0, steps, step, store)


@jax.jit
def _update(config, state, store, seed, clock):
    return learn.update(config, state, store, learn.healthy(), seed, clock)


def update(config, state, store, seed, clock):
    """One, of an agent that had not failed, and has not."""
    state, health, metrics = _update(config, state, store, seed, clock)
    assert same(health, learn.healthy())
    return state, metrics


def same(one: object, two: object) -> bool:
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    return all((np.asarray(a) == np.asarray(b)).all() for a, b in leaves)


# those whose minibatches are another's are left: PPO's
@pytest.mark.parametrize(
    "name",
    cases(NEWEST, ["vmpo", "vmpo_table1", "trpo", "trpo_table1", "ppo_details"]),
)
def test_the_step_before_the_newest_changes_nothing(name):
    """It bounds an episode, and is held for that: no number of it is read."""
    # one step of the policy's or a few: the first is where a wrong label would show
    few = {} if name in ("power", "urex", "trpo") else {"schedule__policy_steps": 2}
    if name == "urex":  # so that not one episode takes all of the weight
        few = {"pi_q_update__temperature__value": 100.0}
    config, size = small(name, **few), SHORT[name]["data.update_every"]
    state = agents.init(config, SPEC, jax.random.key(1))
    empty = replay.init(SPEC, replay.size(size + 1, shortest=1), jnp.zeros(2))
    store = fill(empty, jax.random.key(2), jnp.int32(2 * size))
    slot = int(store.count - size - 1) % (size + 1)
    assert bool(store.last[slot])  # episodes of 30 fill the window
    other = store._replace(
        reward=store.reward.at[slot].set(-1e6),
        action=store.action.at[slot].set(0.9),
        discount=store.discount.at[slot].set(0.0),
    )
    seed, clock = jnp.uint32(3), Clock(np.int32(2 * size), np.int32(1))
    one, _ = update(config, state, store, seed, clock)
    two, _ = update(config, state, other, seed, clock)
    assert same(one, two)
    assert not same(one.params.policy, state.params.policy)
    # and that would show: one of the newest does change it
    slot = int(store.count - 2) % (size + 1)
    other = store._replace(reward=store.reward.at[slot].add(-50.0))
    assert not same(one, update(config, state, other, seed, clock)[0])


@pytest.mark.parametrize("name", list(OFFLINE))
def test_the_model_of_others_is_fitted_first(name):
    """`pretrain_updates` of the model and nothing else; then as `keep_fitting` is."""
    config = small(name, pi_p__pretrain_updates=2, pi_p__keep_fitting=name == "bear")
    state = agents.init(config, SPEC, jax.random.key(1))
    empty = replay.init(SPEC, replay.size(90), jnp.zeros(2))
    store = fill(empty, jax.random.key(2), jnp.int32(90))
    for number in range(4):
        clock = Clock(np.int32(number + 1), np.int32(number))
        new, metrics = update(config, state, store, jnp.uint32(3), clock)
        alone, follows = number < 2, name == "bear"
        for part in ("policy", "critic"):
            moved = not same(getattr(new.params, part), getattr(state.params, part))
            assert moved != alone
        assert same(new.target, state.target) == alone
        assert same(new.params.prior, state.params.prior) != (alone or follows)
        assert np.isnan(metrics["critic_loss"]) == alone
        assert np.isnan(metrics["prior_loss"]) == (not alone and not follows)
        state = new


def test_the_model_of_others_draws_with_a_key_of_its_own(monkeypatch):
    config = small(
        "bear", pi_p__pretrain_updates=0, schedule__critic_steps=2,
        schedule__policy_steps=2,
    )  # fmt: skip
    drawn = []

    def sample(store, key, size):
        drawn.append(jax.random.key_data(key))

    monkeypatch.setattr(learn.replay, "sample", sample)
    monkeypatch.setattr(agents, "fit_prior", lambda _, state, *rest: (state, {}))
    monkeypatch.setattr(learn, "_learn_steps", lambda _, reads, *rest: (None, {}))
    key = jax.random.key(0)
    clock = Clock(np.int32(1), np.int32(0))
    learn._learn_from_others(
        config, config.pi_p, learn._Reads(None, None, ()), key, clock
    )
    (own,) = drawn
    steps = jax.random.split(key, 4)[np.array([0, 1, 3])]  # 2 is of no step
    others = [jax.random.split(step, 3)[0] for step in steps]
    assert all((own != jax.random.key_data(other)).any() for other in others)


def test_while_warm_the_critic_does_not_move_the_policy():
    """warm_start counts from the model's last lone update; then G pulls too."""
    config = small("brac", pi_p__pretrain_updates=1, schedule__warm_start=1)
    state = agents.init(config, SPEC, jax.random.key(1))
    biased = jax.tree.map(lambda x: x + 0.1, state.params.critic)
    other = state._replace(params=state.params._replace(critic=biased))
    empty = replay.init(SPEC, replay.size(90), jnp.zeros(2))
    store = fill(empty, jax.random.key(2), jnp.int32(90))
    for number, pulled in ((1, False), (2, True)):
        clock = Clock(np.int32(number + 1), np.int32(number))
        one, _ = update(config, state, store, jnp.uint32(3), clock)
        two, _ = update(config, other, store, jnp.uint32(3), clock)
        assert same(one.params.policy, two.params.policy) != pulled


@pytest.mark.parametrize(
    ("name", "changes", "episodes"),
    [
        ("ppo", {}, 0),  # V stands for what is cut
        ("reps", {}, 0),
        ("rwr", {}, 1),  # a return ends with its episode
        ("rwr", {"g__of": "reward"}, 0),
        ("power", {}, 1),
        ("urex", {}, 2),  # the one that runs, and the one that began before
        ("awr", {}, 1),
        ("sac", {}, 0),
        ("bear", {}, 0),
    ],
)
def test_how_many_steps_may_wait_for_an_end(name, changes, episodes):
    assert learn.unfinished(small(name, **changes), 30) == 30 * episodes


def test_the_behaviour_of_the_data_set_is_worse_than_the_best():
    returns = [behaviour(share, 0.3)[1] for share in (0.0, 0.3, 1.0)]
    assert returns == sorted(returns)


def test_steps_to_learn_from_are_without_the_last_and_of_rewards_as_they_are_learned():
    config = small("awr", data__capacity=90, reward="ClipReward", reward__limit=0.5)
    state = agents.init(config, SPEC, jax.random.key(1))
    empty = replay.init(SPEC, replay.size(90, shortest=1), jnp.zeros(2))
    store = fill(empty, jax.random.key(2), jnp.int32(90))
    steps, (places, number) = learn.steps_to_learn_from(config, state, store)
    expected = np.delete(np.arange(90), [29, 59, 89])
    np.testing.assert_array_equal(places[:number], expected)
    np.testing.assert_array_equal(steps.reward, np.clip(store.reward, -0.5, 0.5))


@pytest.mark.parametrize("drop_last", [True, False])
def test_where_no_step_counts_nothing_changes(drop_last):
    """Episodes of one step, whose last is left out; else the same are learned from."""
    config = small("awr", data__drop_last=drop_last, data__capacity=90)
    state = agents.init(config, SPEC, jax.random.key(1))
    store = fill(replay.init(SPEC, replay.size(90, shortest=1), jnp.zeros(2)),
                 jax.random.key(2), jnp.int32(90))  # fmt: skip
    rows = 2 * jnp.arange(90, dtype=jnp.int32)
    store = store._replace(last=jnp.ones(90, bool), row=rows, head=jnp.int32(180))
    clock = Clock(np.int32(90), np.int32(0))
    new, metrics = update(config, state, store, jnp.uint32(3), clock)
    assert same(new, state) == drop_last
    assert all(np.isnan(x) == drop_last for x in metrics.values())


def test_many_steps_are_a_loop_that_does_what_they_do_one_by_one(monkeypatch):
    config = small("sac", schedule__critic_steps=3, schedule__policy_steps=3)
    many = small("sac", schedule__critic_steps=900, schedule__policy_steps=900)
    state = agents.init(config, SPEC, jax.random.key(0))
    empty = replay.init(SPEC, replay.size(100), jnp.zeros(2))
    store = fill(empty, jax.random.key(1), jnp.int32(64))
    rest = state, store, jnp.uint32(0), Clock(np.int32(64), np.int32(0))
    unrolled = jax.jit(learn.learn)(config, *rest)
    monkeypatch.setattr(learn, "_UNROLLED", 0)
    traced = [
        jax.jit(lambda *x: learn.learn(*x)).trace(c, *rest) for c in (config, many)
    ]
    few, more = (len(str(t.jaxpr).splitlines()) for t in traced)
    assert more < 1.1 * few  # the numbers themselves are longer
    looped = traced[0].lower().compile()(config, *rest)
    chex.assert_trees_all_close(looped, unrolled, rtol=1e-4, atol=1e-5)
