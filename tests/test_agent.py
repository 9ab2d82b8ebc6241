"""What an agent's functions promise, whatever the algorithm: the numbers C8 to C35."""

import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import agent, algorithms, networks, optim, schema
from coadapt.data.episodes import Episodes
from coadapt.factors import pi_theta
from coadapt.networks import Init, LayerNorm, Network
from coadapt.types import Batch, EnvSpec, Support, Transition

B, O, A, M = 8, 3, 2, 5
SPEC = EnvSpec(
    task="none", obs_size=O, action_size=A, max_steps=1000, provider="numbers"
)
CHEETAH = dataclasses.replace(SPEC, obs_size=17, action_size=6)
SMALL = {"networks.policy.sizes": (5,), "networks.critic.sizes": (5,)}
LINEAR = {"networks.policy.sizes": (), "networks.critic.sizes": ()}
PLAIN = {"optim.policy": "SGD", "optim.policy.rate": 1.0, "optim.policy.momentum": 0.0}
ROUNDING = 1e-5  # float32, sums of some tens of terms of size 1


def preset(name, *changes):
    merged = {
        key: value for change in (SMALL, *changes) for key, value in change.items()
    }
    return schema.override(algorithms.preset(name), merged)


def begin(config, spec=SPEC, seed=0):
    return agent.init(config, spec, jax.random.key(seed))


def noisy(tree, seed, size=0.3):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(seed), max(len(leaves), 1))
    moved = [
        x + size * jax.random.normal(key, x.shape)
        for x, key in zip(leaves, keys, strict=False)
    ]
    return jax.tree.unflatten(structure, moved)


def with_params(state, **parts):
    return state._replace(params=state.params._replace(**parts))


def with_dual(state, **raws):
    raws = {name: jnp.asarray(raw, jnp.float32) for name, raw in raws.items()}
    return with_params(state, dual=state.params.dual | raws)


def away(state, size=0.3):
    """The same agent with its policy moved away from the target's."""
    return with_params(state, policy=noisy(state.params.policy, 9, size))


def transitions(seed=1):
    keys = jax.random.split(jax.random.key(seed), 4)
    return Transition(
        obs=jax.random.normal(keys[0], (B, O)),
        action=jnp.tanh(jax.random.normal(keys[1], (B, A))),
        reward=jax.random.normal(keys[2], (B,)),
        discount=jnp.ones(B).at[2].set(0.0),
        last=jnp.zeros(B, bool).at[2].set(True),
        next_obs=jax.random.normal(keys[3], (B, O)),
    )


compute_targets = jax.jit(agent.compute_targets)
evaluate = jax.jit(agent.evaluate)
compute_returns = jax.jit(agent.compute_returns)


@jax.jit
def improve(config, state, batch, key):
    return agent.improve(config, state, batch, key, state.params.critic)


@jax.jit
def update(config, state, key):
    """Targets, critics, policy: one update on one batch."""
    batch = agent.compute_targets(config, state, transitions(), key)
    state, _ = agent.evaluate(config, state, batch)
    return agent.improve(config, state, batch, key, state.params.critic)


def exact(a, b):
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


def close(a, b, tolerance=ROUNDING):
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=where)


# ---------------------------------------------------------------- acting


@pytest.mark.parametrize("name", ["sac", "mpo", "awac", "awr"])
def test_a_greedy_action_is_the_mode_and_needs_no_key(name):
    config = preset(name)
    state = begin(config)
    obs = transitions().obs
    act = jax.jit(agent.act, static_argnames="greedy")
    keys = [jax.random.key(i) for i in range(2)]
    first, second = (act(config, state, obs, key, greedy=True) for key in keys)
    exact(first, second)
    dist = agent.policy(config, state, state.params.policy, obs)
    mode = jnp.tanh(dist.mean) if name == "sac" else dist.mean
    close(first, mode)
    first, second = (act(config, state, obs, key) for key in keys)
    assert jnp.all(first != second)


@pytest.mark.parametrize("name", ["sac", "mpo", "awac", "awr"])
def test_actions_are_drawn_from_the_online_policy(name):
    config = preset(name)
    state = begin(config)
    obs, key = transitions().obs, jax.random.key(2)
    noise = jax.random.normal(key, (1, B, A))[0]
    moved = away(state)
    dist = agent.policy(config, moved, moved.params.policy, obs)
    action = dist.mean + dist.std * noise
    close(
        agent.act(config, moved, obs, key),
        jnp.tanh(action) if name == "sac" else action,
    )


@pytest.mark.parametrize("mean", ["free", "tanh"])
def test_a_mean_under_tanh_stays_inside_and_the_action_does_not(mean):
    config = preset("awac", {"pi_theta.mean": mean})
    state = begin(config)
    net = state.params.policy["net"]
    bias = jnp.array([6.0, -0.4])
    zero = jax.tree.map(jnp.zeros_like, net)
    net = zero | {"output": zero["output"] | {"bias": bias}}
    state = with_params(state, policy=state.params.policy | {"net": net})
    dist = agent.policy(config, state, state.params.policy, transitions().obs)
    expected = np.tanh(bias) if mean == "tanh" else bias
    close(dist.mean, jnp.broadcast_to(expected, (B, A)))
    action = agent.act(config, state, transitions().obs, jax.random.key(0))
    assert jnp.any(jnp.abs(action) > 1)


# ---------------------------------------------------------------- the M-step, C8, C9


TRUSTED = {  # the std is one parameter, apart from the network that makes the mean
    "pi_theta.scale": "LearnedStd",
    "pi_p.samples": M,
    "optim.clip": "none",
    **PLAIN,
}


def m_step(config, state):
    key = jax.random.key(3)
    batch = compute_targets(config, state, transitions(), key)
    return improve(config, state, batch, key)


def test_the_mean_does_not_learn_from_the_std_nor_the_std_from_the_mean():
    """C8: each half of the loss holds the other parameter at the old policy's."""
    config = preset("mpo", TRUSTED)
    state = away(begin(config))
    net, scale = state.params.policy["net"], state.params.policy["scale"]

    def step(net, scale):
        start = with_params(state, policy={"net": net, "scale": scale})
        end = m_step(config, start)[0].params.policy
        return jax.tree.map(jnp.subtract, end, start.params.policy)

    before = step(net, scale)
    other_std, other_mean = step(net, scale + 1.0), step(noisy(net, 4), scale)
    close(before["net"], other_std["net"])  # ROUNDING: of the difference end - start
    close(before["scale"], other_mean["scale"])
    assert jnp.all(jnp.abs(before["scale"] - other_std["scale"]) > 1e-3)
    output = before["net"]["output"]["bias"] - other_mean["net"]["output"]["bias"]
    assert jnp.all(jnp.abs(output) > 1e-3)


def test_right_after_a_copy_the_trust_region_is_silent():
    """C8: KL = 0 and so is its gradient, however large the multipliers."""
    config = preset("mpo", TRUSTED)
    state = begin(config)
    firm = with_dual(state, mean=jnp.full(A, 100.0), std=jnp.full(A, 100.0))
    (loose, metrics), (held, _) = m_step(config, state), m_step(config, firm)
    # 1 / std - std_t^2 / std^3 rounds to some 1e-7; 100 times that, over 5 hidden units
    close(loose.params.policy, held.params.policy, 5e-5)
    assert metrics["kl_mean"] == 0.0
    assert jnp.abs(metrics["kl_std"]) < 1e-6  # log 1 + 1/2 - 1/2, in float32
    (loose, metrics), (held, _) = (m_step(config, away(x)) for x in (state, firm))
    assert metrics["kl_mean"] > 1e-3 and metrics["kl_std"] > 1e-3
    moved = jax.tree.map(jnp.subtract, loose.params.policy, held.params.policy)
    assert max(jnp.max(jnp.abs(x)) for x in jax.tree.leaves(moved)) > 1.0


def test_equal_weights_on_many_samples_do_not_move_the_policy():
    """C8: the score of a distribution has mean 0 under itself."""
    many = 4096
    config = preset("mpo", TRUSTED, {"pi_p.samples": many, "bounds": "none"})
    state = begin(config)
    flat = jax.tree.map(jnp.zeros_like, state.target.critic)  # all actions are equal
    state = state._replace(target=state.target._replace(critic=flat))
    moved = jax.tree.map(
        jnp.subtract, m_step(config, state)[0].params.policy, state.params.policy
    )
    # the score of the mean has variance 1 / std^2 = 1.44; averaged over M and B samples
    # and times hidden units of size 1 that is 1.2 / sqrt(32768) = 0.007; 5 of these
    assert max(jnp.max(jnp.abs(x)) for x in jax.tree.leaves(moved)) < 0.035


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_multiplier_rises_while_its_kl_exceeds_epsilon(name):
    """C9; Adam's first step is the rate, so the direction is all there is."""
    epsilon = f"pi_p_update.trust_region.epsilon_{name}"
    state = away(begin(preset("mpo", TRUSTED)))
    for bound, sign in ((1e-6, 1.0), (100.0, -1.0)):
        config = preset("mpo", TRUSTED, {epsilon: bound})
        after = m_step(config, state)[0].params.dual[name]
        change = after - state.params.dual[name]
        close(change, jnp.full(A, sign * 1e-2))


def test_the_temperature_rises_while_the_weights_exceed_epsilon():
    """The dual of the E-step: KL(w || 1/M) is below log M, and above 0."""
    for epsilon, sign in ((1e-6, 1.0), (np.log(M), -1.0)):
        config = preset("mpo", TRUSTED, {"pi_q_update.temperature.epsilon": epsilon})
        state = begin(config)
        after = m_step(config, state)[0].params.dual["temperature"]
        close(after - state.params.dual["temperature"], sign * jnp.float32(1e-2))


@pytest.mark.parametrize("floor", ["project", "clamp"])
@pytest.mark.parametrize("name", ["temperature", "bound", "mean", "std"])
def test_a_multiplier_below_the_floor_returns_only_if_projected(floor, name):
    """Settings 2.11, for all four duals; each one's gradient says 'rise' here."""
    config = preset(
        "mpo",
        TRUSTED,
        {
            "pi_theta.scale.raw": 2.0,  # actions leave the box
            "pi_q_update.temperature.floor_rule": floor,
            "bounds.floor_rule": floor,
            "pi_p_update.trust_region.floor_rule": floor,
        },
    )
    state = away(begin(config))
    shape = state.params.dual[name].shape
    state = with_dual(state, **{name: jnp.full(shape, -19.0)})
    after = m_step(config, state)[0].params.dual[name]
    if floor == "clamp":
        exact(after, jnp.full(shape, -19.0))
    else:
        assert jnp.all(after >= -18.0)


# ---------------------------------------------------------------- two critics, C10, C15


def doubled(single, state):
    """The state of a config with two critics, both of them `single`'s one."""

    def twice(tree):
        return jax.tree.map(lambda x: jnp.concatenate([x, x]), tree)

    return state._replace(
        params=single.params._replace(critic=twice(single.params.critic)),
        target=single.target._replace(critic=twice(single.target.critic)),
        opt=single.opt._replace(critic=twice(single.opt.critic)),
    )


@pytest.mark.parametrize(
    "name, changes",
    [
        ("mpo", {"g_estimate.minimum": "sample"}),
        pytest.param("mpo", {"g_estimate.minimum": "mean"}, marks=pytest.mark.long),
        ("sac", {}),
        pytest.param("awac", {}, marks=pytest.mark.long),
    ],
    ids=["mpo-sample", "mpo-mean", "sac", "awac"],
)
def test_two_equal_critics_are_one(name, changes):
    """C10, C15: to the bit; the critics themselves to the order of sums, in which the
    programs of one and of two differ on some processors."""
    many = preset(name, changes, {"g_estimate.critics": 2})
    one = preset(name, {"g_estimate.critics": 1})
    single = away(begin(one))
    pair = doubled(single, begin(many))
    key = jax.random.key(5)
    (single, _), (pair, _) = update(one, single, key), update(many, pair, key)
    exact(single.params.policy, pair.params.policy)
    exact(single.params.dual, pair.params.dual)
    for k in range(2):
        each = jax.tree.map(lambda x, k=k: x[k : k + 1], pair.params.critic)
        close(single.params.critic, each, 1e-7)


@pytest.mark.parametrize("minimum", ["sample", "mean"])
def test_the_minimum_is_taken_where_it_is_said(minimum):
    """C15: never above either critic; `mean` keeps one critic for all of a state."""
    config = preset(
        "mpo",
        {"g_estimate.critics": 2, "pi_p.samples": M, "g_estimate.minimum": minimum},
    )
    state = begin(config)
    batch = compute_targets(config, state, transitions(), jax.random.key(0))
    values = agent.action_values(
        config, state, state.target.critic, batch.next.obs, batch.next.action
    )  # [K, M, B]
    assert values.shape == (2, M, B)
    np.testing.assert_array_less(batch.next.score, jnp.max(values, axis=0) + ROUNDING)
    if minimum == "sample":
        expected = np.min(values, axis=0)
        each = np.mean(np.min(values, axis=0), axis=0)
    else:
        lower = np.argmin(np.mean(values, axis=1), axis=0)  # [B]
        expected = np.stack([values[lower[b], :, b] for b in range(B)], axis=1)
        each = np.min(np.mean(values, axis=1), axis=0)
    close(batch.next.score, expected)
    gamma = 0.99 * np.asarray(transitions().discount)
    close(batch.target, np.asarray(transitions().reward) + gamma * each)
    assert len(set(np.argmin(np.mean(values, axis=1), axis=0).tolist())) == 2


def test_a_target_of_two_critics_is_the_lower_of_both():
    config = preset("awac")
    state = begin(config)
    key = jax.random.key(0)
    both = compute_targets(config, state, transitions(), key).target
    singles = []
    for k in range(2):
        critic = jax.tree.map(lambda x, k=k: x[k : k + 1], state.target.critic)
        alone = state._replace(target=state.target._replace(critic=critic))
        one = preset("awac", {"g_estimate.critics": 1})
        singles.append(compute_targets(one, alone, transitions(), key).target)
    close(both, np.minimum(*singles))
    assert not np.allclose(*singles)


# ---------------------------------------------------------------- targets, C15


def test_a_soft_target_closes_in_geometrically():
    """C15: from 0 towards 1, 1 - (1 - 0.005)^100 = 0.394230."""
    config = preset("sac")
    state = begin(config)
    ones = jax.tree.map(jnp.ones_like, state.params.critic)
    zeros = jax.tree.map(jnp.zeros_like, state.params.critic)
    state = with_params(state, critic=ones)
    state = state._replace(target=state.target._replace(critic=zeros))
    track = jax.jit(partial(agent.track, config))
    for update_number in range(1, 101):
        state = track(state, np.int32(update_number))
    for leaf in jax.tree.leaves(state.target.critic):
        # 100 roundings of 6e-8, and half a unit of the last printed digit
        np.testing.assert_allclose(leaf, 0.394230, atol=2e-6)
    assert state.target.policy is None


def test_a_hard_target_is_copied_every_period_and_is_still_in_between():
    config = preset("mpo", {"target.policy.period": 3, "target.critic.period": 2})
    start = begin(config)
    moved = with_params(away(start), critic=noisy(start.params.critic, 2))
    track = jax.jit(partial(agent.track, config))
    for number in range(1, 7):
        target = track(moved, np.int32(number)).target
        source = moved.params if number % 3 == 0 else start.target
        exact(target.policy, source.policy)
        source = moved.params if number % 2 == 0 else start.target
        exact(target.critic, source.critic)


def test_the_target_policy_acts_in_targets_where_there_is_one():
    """Settings 1.1 and 1.3: SAC's a' is the online policy's, MPO's the target's."""
    key = jax.random.key(0)
    for name, follows in (("sac", True), ("mpo", False)):
        config = preset(name)
        state = begin(config)
        first, second = (
            compute_targets(config, x, transitions(), key).target
            for x in (state, away(state))
        )
        assert bool(jnp.allclose(first, second)) != follows


# ---------------------------------------------------------------- lambda-returns, C20


def constant(config, value):
    """An AWR agent whose critic says `value` everywhere."""
    state = begin(config)
    zero = jax.tree.map(jnp.zeros_like, state.params.critic)
    bias = jnp.full_like(zero["output"]["bias"], value)
    return with_params(state, critic=zero | {"output": zero["output"] | {"bias": bias}})


def episode(length, *, terminal):
    last = np.arange(length) == length - 1
    return Episodes(
        index=np.arange(length),
        row=np.arange(length),
        next_row=np.arange(length) + 1,
        action=np.zeros((length, A), np.float32),
        reward=np.ones(length, np.float32),
        discount=np.where(last & terminal, 0.0, 1.0).astype(np.float32),
        last=last,
        seen=np.ones(length, bool),
    )


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
def test_a_constant_reward_is_worth_100_where_time_limits_bootstrap(lam, scaled):
    """C20: the network says 1 (scaled by 1 - gamma), and V = 100 is consistent."""
    config = preset(
        "awr",
        {
            "g_estimate.lam": lam,
            "g_estimate.scaled": scaled,
            "pi_q.standardize": False,
        },
    )
    state = constant(config, 1.0 if scaled else 100.0)
    computed = compute_returns(
        config, state, jnp.ones((1001, O)), episode(1000, terminal=False)
    )
    # 1 - 0.99 has a relative error of 1e-6 in float32, of 100 and over the horizon
    np.testing.assert_allclose(computed.target, 100.0, atol=2e-2)
    np.testing.assert_allclose(computed.score, 0.0, atol=2e-2)


def test_a_constant_reward_is_worth_less_where_the_episode_terminates():
    """C20: 99.9957 at the first of 1000 steps, 1 (and not 100) at the last."""
    config = preset("awr", {"g_estimate.lam": 1.0, "pi_q.standardize": False})
    state = constant(config, 1.0)
    computed = compute_returns(
        config, state, jnp.ones((1001, O)), episode(1000, terminal=True)
    )
    assert computed.target[0] == pytest.approx(99.9957, abs=1e-3)  # float32, 1000 sums
    assert computed.target[-1] == 1.0
    assert computed.score[-1] == pytest.approx(-99.0, abs=1e-2)  # 1 - 0.99 in float32


def test_advantages_are_standardised_over_the_steps_that_are_seen():
    config = preset("awr")
    state = begin(config)
    obs = jax.random.normal(jax.random.key(0), (9, O))
    kept = episode(8, terminal=True)
    seen = np.arange(8) < 6
    computed = compute_returns(config, state, obs, kept._replace(seen=seen))
    raw = compute_returns(preset("awr", {"pi_q.standardize": False}), state, obs, kept)
    score = np.asarray(raw.score, np.float64)
    expected = (score - score[seen].mean()) / score[seen].std()
    np.testing.assert_allclose(computed.score, expected, rtol=1e-4)  # V is 100 net
    close(computed.target, raw.target, 0.0)


# ---------------------------------------------------------------- decay, bounds, C21


def test_coupled_decay_makes_a_first_step_of_the_rate():
    """C21: no gradient but the decay's, and Adam makes it -rate * sign(theta)."""
    config = preset("awac")
    state = begin(config)
    state = with_params(
        state,
        critic=doubled(
            begin(preset("awac", {"g_estimate.critics": 1})), state
        ).params.critic,
    )
    data = transitions()
    value = agent.action_values(
        config, state, state.params.critic, data.obs, data.action
    )[0]
    after, metrics = evaluate(config, state, Batch(data, value, None, None))
    assert metrics["critic_loss"] < 1e-12
    pairs = zip(
        *map(jax.tree.leaves, (state.params.critic, after.params.critic)), strict=True
    )
    for old, new in pairs:
        # Adam's epsilon of 1e-8 beside a gradient of 1e-4 |theta|, and the rounding of
        # the values in a gradient that is otherwise 0
        clear = np.abs(old) > 0.05
        expected = -3e-4 * np.sign(old)
        np.testing.assert_allclose((new - old)[clear], expected[clear], rtol=0.02)


def test_the_bound_loss_pulls_in_proportion_to_the_violation():
    """C22: 0 inside, and 10 * violation / B in the mean of each state outside."""
    config = preset("awr", LINEAR, PLAIN, {"networks.input_norm": "none"})
    spec = dataclasses.replace(SPEC, obs_size=B)
    state = begin(config, spec)
    mean = jnp.linspace(-2.0, 2.5, B * A).reshape(B, A)
    net = {"output": {"kernel": mean, "bias": jnp.zeros(A)}}  # one-hot states
    state = with_params(state, policy={"net": net, "scale": None})
    eye = jnp.eye(B)
    data = transitions()._replace(obs=eye, next_obs=eye)
    silent = jnp.full(B, -1e4)  # weights exp(-1e4) = 0: no likelihood
    batch = Batch(data, jnp.zeros(B), None, silent)
    after, _ = improve(config, state, batch, jax.random.key(0))
    pull = np.asarray(mean - after.params.policy["net"]["output"]["kernel"])
    violation = np.asarray(mean) - np.clip(mean, -1, 1)
    np.testing.assert_allclose(pull, 10 * violation / B, atol=1e-6)  # float32, of 2
    assert (pull[np.abs(mean) <= 1] == 0).all()


def test_the_bound_cost_pulls_sampled_actions_with_unit_force():
    """Settings 1.7: the gradient of ||a - clip(a)|| is a unit vector outside."""
    config = preset(
        "sac",
        LINEAR,
        PLAIN,
        {"pi_theta": "Gaussian", "pi_theta.scale": "StateLogStd"},
        {"bounds": "BoundCost", "bounds.scale": 2.0},
        {"pi_q_update.temperature": "ConstantTemperature"},
        {"pi_q_update.temperature.value": 0.0},
    )
    state = begin(config)
    bias = jnp.array([4.0, 5.0, -20.0, -20.0])  # mean and log std
    net = {"output": {"kernel": jnp.zeros((O, 2 * A)), "bias": bias}}
    flat = jax.tree.map(jnp.zeros_like, state.params.critic)
    state = with_params(state, policy={"net": net, "scale": None}, critic=flat)
    data = transitions()
    after, _ = improve(
        config, state, Batch(data, data.reward, None, None), jax.random.key(0)
    )
    pull = bias - after.params.policy["net"]["output"]["bias"]
    close(pull, jnp.array([2 * 3 / 5, 2 * 4 / 5, 0.0, 0.0]))


# ---------------------------------------------------------------- atanh, settings 2.9


def saturated(name, inverse):
    config = preset(
        name,
        {
            "bounds": "none",
            "pi_theta": "TanhGaussian",
            "pi_theta.inverse": inverse,
        },
    )
    state = begin(config)
    if name != "mpo":
        data = transitions()
        data = data._replace(action=data.action.at[0, 0].set(1.0))
        batch = Batch(data, jnp.zeros(B), None, jnp.linspace(-1.0, 1.0, B))
        return config, state, batch
    batch = compute_targets(config, state, transitions(), jax.random.key(0))
    action = batch.next.action.at[1, 2, 0].set(-1.0)
    support = Support(batch.next.obs, action, batch.next.score, batch.next.prior)
    return config, state, batch._replace(next=support)


@pytest.mark.parametrize("name", ["awr", "mpo"])
@pytest.mark.parametrize("inverse", ["safe", "naive"])
def test_an_action_on_the_boundary_ends_a_naive_run_only(name, inverse):
    config, state, batch = saturated(name, inverse)
    after, _ = improve(config, state, batch, jax.random.key(0))
    leaves = jax.tree.leaves(after.params.policy)
    finite = all(bool(jnp.all(jnp.isfinite(x))) for x in leaves)
    assert finite == (inverse == "safe")


@pytest.mark.parametrize("name", ["awr", "mpo"])
def test_a_tanh_changes_no_m_step(name):
    """Settings 1.7: its Jacobian has no parameters, and KLs are those before it."""
    free = preset(name, {"bounds": "none"}, PLAIN, {"optim.clip": "none"})
    squashed = schema.override(
        free, {"pi_theta": pi_theta.TanhGaussian(scale=free.pi_theta.scale)}
    )
    state = away(begin(free))
    pre_tanh = 0.8 * jax.random.normal(jax.random.key(1), (M, B, A))
    score = jax.random.normal(jax.random.key(2), (M, B))
    data = transitions()
    prior = agent.policy(free, state, begin(free).params.policy, data.obs)

    def batch(action):
        if name == "awr":
            return Batch(data._replace(action=action[0]), score[0], None, score[0])
        return Batch(data, score[0], Support(data.obs, action, score, prior), None)

    key = jax.random.key(0)
    plain, _ = improve(free, state, batch(pre_tanh), key)
    under, _ = improve(squashed, state, batch(jnp.tanh(pre_tanh)), key)
    # 1e-7 of tanh(u) is up to 1e-6 of u at |u| = 2, over a variance of 0.16 or more
    close(plain.params, under.params, 1e-4)
    moved = jax.tree.map(jnp.subtract, plain.params.policy, state.params.policy)
    assert max(jnp.max(jnp.abs(x)) for x in jax.tree.leaves(moved)) > 0.1


def test_a_sampled_action_never_goes_through_atanh():
    """SAC's log-probability of its own saturated sample is finite, even if naive."""
    config = preset("sac", {"pi_theta.inverse": "naive"})
    state = begin(config)
    params = state.params.policy
    bias = jnp.array([30.0, -30.0, 0.0, 0.0])
    output = params["net"]["output"] | {"bias": bias}
    wide = params | {"net": params["net"] | {"output": output}}
    state = with_params(state, policy=wide)
    dist = agent.policy(config, state, wide, transitions().obs)
    raw = config.pi_theta.draw(dist, jax.random.key(0), M)
    action, log_prob = (
        config.pi_theta.bound(raw),
        config.pi_theta.log_prob_of(dist, raw),
    )
    assert jnp.all(jnp.abs(action) == 1.0) and jnp.all(jnp.isfinite(log_prob))


# ---------------------------------------------------------------- initialisation, C35


@pytest.fixture(scope="module")
def cheetah():
    """Config and state of a preset at full size, for HalfCheetah."""
    start = jax.jit(agent.init, static_argnums=1)

    @functools.cache
    def make(name: str):
        config = algorithms.preset(name)
        return config, start(config, CHEETAH, jax.random.key(1))

    return make


def distribution(config, state):
    obs = jax.random.normal(jax.random.key(2), (256, 17))
    return agent.policy(config, state, state.params.policy, obs)


def test_mpo_starts_near_its_init_scale(cheetah):
    dist = distribution(*cheetah("mpo"))
    np.testing.assert_allclose(dist.std, 0.5, rtol=0.01)
    assert jnp.mean(jnp.abs(dist.mean)) < 5e-3
    assert jnp.any(dist.mean != 0)


def test_awr_starts_with_its_constant_std_and_a_small_mean(cheetah):
    config, state = cheetah("awr")
    dist = distribution(config, state)
    exact(dist.std, jnp.full((256, 6), 0.4))
    output = state.params.policy["net"]["output"]
    largest = jnp.max(jnp.abs(output["kernel"]))
    assert 0.0098 < largest <= 0.01  # of 384 draws
    assert jnp.all(output["bias"] == 0)


def test_awac_starts_with_a_variance_of_log_2(cheetah):
    dist = distribution(*cheetah("awac"))
    np.testing.assert_allclose(dist.std, 0.832555, atol=1e-6)  # as printed
    assert jnp.max(jnp.abs(dist.mean)) < 1


def test_sac_clamps_its_log_std():
    config = preset("sac", LINEAR)
    state = begin(config)
    bias = jnp.array([0.0, 0.0, 50.0, -50.0])
    net = {"output": {"kernel": jnp.zeros((O, 2 * A)), "bias": bias}}
    dist = agent.policy(config, state, {"net": net, "scale": None}, transitions().obs)
    expected = np.exp(np.array([2.0, -20.0]))
    np.testing.assert_allclose(dist.std[0], expected, rtol=1e-6)  # one float32 exp


def test_mpo_critic_ends_in_a_wide_layer(cheetah):
    """Settings 2.3: fan_out is 1, so the limit is sqrt(3 * 0.33) = 0.995."""
    kernel = cheetah("mpo")[1].params.critic["output"]["kernel"]
    assert kernel.shape == (1, 256, 1)
    assert 0.98 < jnp.max(jnp.abs(kernel)) <= 0.995  # of 256 draws


@pytest.mark.parametrize(
    "name, shapes",
    [
        ("mpo", ([17, 256, 256, 256, 12], [23, 512, 512, 256, 1], 1)),
        ("awr", ([17, 128, 64, 6], [17, 128, 64, 1], 1)),
        ("awac", ([17, 256, 256, 6], [23, 256, 256, 1], 2)),
        ("sac", ([17, 256, 256, 12], [23, 256, 256, 1], 2)),
    ],
    ids=["mpo", "awr", "awac", "sac"],
)
def test_networks_have_the_sizes_of_the_settings(name, shapes, cheetah):
    policy, critic, number = shapes
    params = cheetah(name)[1].params
    for tree, widths, lead in (
        (params.policy["net"], policy, ()),
        (params.critic, critic, (number,)),
    ):
        layers = [*(f"hidden_{i}" for i in range(len(widths) - 2)), "output"]
        for layer, a, b in zip(layers, widths, widths[1:], strict=False):
            assert tree[layer]["kernel"].shape == (*lead, a, b)
            assert tree[layer]["bias"].shape == (*lead, b)


def test_duals_start_at_the_values_of_the_settings(cheetah):
    config, state = cheetah("mpo")
    trust = config.pi_p_update.trust_region
    dual = state.params.dual
    printed = 5e-5  # the settings give four decimals
    value = config.pi_q_update.temperature.value_of(dual["temperature"])
    assert value == pytest.approx(1.3133, abs=printed)
    np.testing.assert_allclose(
        trust.multiplier(dual["mean"]), [1.3133] * 6, atol=printed
    )
    np.testing.assert_allclose(trust.multiplier(dual["std"]), [10.0] * 6, atol=1e-4)
    assert dual["bound"] == 1.0
    config, state = cheetah("sac")
    assert (
        config.pi_q_update.temperature.value_of(state.params.dual["temperature"]) == 1
    )


def test_critics_start_apart_and_targets_start_as_copies(cheetah):
    for name in ("mpo", "awac", "sac"):
        _, state = cheetah(name)
        exact(state.target.critic, state.params.critic)
        kernel = state.params.critic["output"]["kernel"]
        assert len(kernel) == 1 or jnp.all(kernel[0] != kernel[1])
    exact(cheetah("mpo")[1].target.policy, cheetah("mpo")[1].params.policy)


def test_the_seed_names_the_networks_and_a_second_critic_changes_none():
    state = begin(preset("sac"), seed=4)
    single = begin(preset("sac", {"g_estimate.critics": 1}), seed=4)
    exact(single.params.policy, state.params.policy)
    exact(single.params.critic, jax.tree.map(lambda x: x[:1], state.params.critic))
    other = begin(preset("sac"), seed=5)
    kernel = state.params.policy["net"]["output"]["kernel"]
    assert jnp.all(kernel != other.params.policy["net"]["output"]["kernel"])


@pytest.mark.parametrize("clip", [None, optim.Clip(norm=40.0)], ids=["free", "clip"])
def test_the_first_step_of_adam_is_the_rate(clip):
    """C35: whatever the gradient's size, as long as it is far above 1e-8."""
    params = {"a": jnp.ones(3), "b": jnp.zeros(())}
    grads = {"a": jnp.array([1e-3, -20.0, 1e6]), "b": jnp.float32(-1.0)}
    adam = optim.Adam(rate=3e-4)
    opt = optim.init(adam, clip, params)
    after, _ = optim.step(adam, clip, grads, opt, params)
    signs = {"a": jnp.array([1.0, -1.0, 1.0]), "b": jnp.float32(-1.0)}
    # 1e-3 * 40 / 1e6 is 4e-8, where Adam's own 1e-8 shows: 4 / 5 of the rate
    small = 0.8 if clip else 1.0
    signs["a"] = signs["a"].at[0].set(small)
    if clip:
        signs["a"] = signs["a"].at[1].set(-1.0)
        signs["b"] = jnp.float32(-4e-5 / (4e-5 + 1e-8))
    change = jax.tree.map(jnp.subtract, params, after)
    # parameters of size 1 hold a step of 3e-4 to 6e-8
    close(change, jax.tree.map(lambda s: 3e-4 * s, signs), 2e-7)


# ---------------------------------------------------------------- networks


def forward(spec, params, x):
    """The same network in numpy, float64."""
    x = np.asarray(x, np.float64)
    for i in range(len(spec.sizes)):
        layer = params[f"hidden_{i}"]
        x = x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"])
        at = "none" if spec.norm is None else spec.norm.at
        first = at in ("first", "first_tanh") and i == 0
        if first or at == "before":
            x = normalised(params[f"norm_{i}"], x)
        tanh = first and at == "first_tanh"
        x = np.tanh(x) if tanh else CURVES[spec.activation](x)
        if at == "after":
            x = normalised(params[f"norm_{i}"], x)
    output = params["output"]
    return x @ np.asarray(output["kernel"]) + np.asarray(output["bias"])


def normalised(norm, x):
    centred = x - x.mean(-1, keepdims=True)
    unit = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-5)
    return unit * np.asarray(norm["scale"]) + np.asarray(norm["bias"])


CURVES = {
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "tanh": np.tanh,
}
NORMS = {"none": 0, "first_tanh": 1, "first": 1, "before": 3, "after": 3}


@pytest.mark.parametrize("activation", list(CURVES))
@pytest.mark.parametrize("layer_norm", list(NORMS))
def test_a_network_is_the_plain_loop(layer_norm, activation):
    sizes = (7, 6, 5)
    spec = Network(sizes=sizes, activation=activation)
    spec = schema.override(spec, {"layer_norm": layer_norm})
    params = noisy(networks.init(spec, jax.random.key(0), O, A), 1)
    x = 2.0 * jax.random.normal(jax.random.key(2), (M, B, O))
    close(networks.apply(spec, params, x), forward(spec, params, x))
    norms = [name for name in params if name.startswith("norm")]
    assert len(norms) == NORMS[layer_norm]
    dense = sum((a + 1) * b for a, b in zip((O, *sizes), (*sizes, A), strict=True))
    scales = sum(2 * size for size in sizes[: NORMS[layer_norm]])
    assert sum(x.size for x in jax.tree.leaves(params)) == dense + scales


def test_a_norm_starts_as_the_identity_of_torch():
    spec = Network(sizes=(6,), norm=LayerNorm(at="first"))
    params = networks.init(spec, jax.random.key(0), O, A)
    exact(params["norm_0"], {"bias": jnp.zeros(6), "scale": jnp.ones(6)})


def test_multiplies_are_the_sizes_of_the_kernels():
    spec = Network(sizes=(7, 6))
    params = networks.init(spec, jax.random.key(0), O, A)
    kernels = [x for x in jax.tree.leaves(params) if x.ndim == 2]
    assert networks.count_multiplies(spec, O, A) == sum(x.size for x in kernels)


IN, OUT = 400, 300
UNIFORM = 3**-0.5  # std over half-width
INITS = {  # name -> (std, limit) for a layer of IN inputs and OUT outputs
    "xavier_uniform": lambda s: (
        s * (2 / (IN + OUT)) ** 0.5,
        s * (6 / (IN + OUT)) ** 0.5,
    ),
    "fan_out_uniform": lambda s: ((s / OUT) ** 0.5, (3 * s / OUT) ** 0.5),
    "fan_in_normal": lambda s: ((s / IN) ** 0.5, np.inf),
    # cut at two of its stds and widened to the std that was asked for
    "fan_in_truncated": lambda s: ((s / IN) ** 0.5, 2 * (s / IN) ** 0.5 / 0.87962566),
    "uniform": lambda s: (s * UNIFORM, s),
}


@pytest.mark.parametrize("scale", [1.0, 0.33])
@pytest.mark.parametrize("name", list(INITS))
def test_an_initialiser_has_its_std_and_its_limit(name, scale):
    init = Init(weights=name, scale=scale)
    kernel = np.asarray(init.kernel(jax.random.key(0), (IN, OUT)), np.float64)
    std, limit = INITS[name](scale)
    # 120 000 draws: the std of a sample's std is std / sqrt(2n) = 0.2%, of its mean
    # std / sqrt(n) = 0.3% of the std; 5 of each
    assert kernel.std() == pytest.approx(std, rel=0.01)
    assert abs(kernel.mean()) < 0.015 * std
    assert np.abs(kernel).max() <= limit * (1 + 1e-6)  # float32
    if np.isfinite(limit):
        assert np.abs(kernel).max() > 0.995 * limit
    else:
        beyond = np.mean(np.abs(kernel) > 2 * std)
        assert beyond == pytest.approx(0.0455, abs=0.003)  # 5 of sqrt(p / n) = 0.0006


@pytest.mark.parametrize("bias, limit", [("fan_in", IN**-0.5), ("zeros", 0.0)])
def test_a_bias_is_torchs_or_zero(bias, limit):
    offset = Init(bias=bias).offset(jax.random.key(0), (4000,), IN)
    assert np.abs(offset).max() <= limit
    assert np.abs(offset).max() >= 0.995 * limit
    # 5 times std / sqrt(n)
    assert abs(np.mean(offset)) <= 5 * limit * UNIFORM / 4000**0.5


def test_a_traced_scale_makes_the_same_weights():
    def kernel(scale):
        return Init(weights="fan_out_uniform", scale=scale).kernel(
            jax.random.key(0), (O, A)
        )

    close(jax.jit(kernel)(0.33), kernel(0.33), 1e-7)  # one float32 rounding


def test_the_heads_make_the_std_they_say():
    x = np.array([[-30.0, -1.0], [0.0, 4.0]])
    head = jnp.asarray(x, jnp.float32)
    softplus = np.log1p(np.exp(x))
    std = pi_theta.StateSoftplusStd(init_std=0.3, std_offset=1e-6).std(None, head)
    np.testing.assert_allclose(std, softplus * 0.3 / 0.6931 + 1e-6, rtol=1e-5)
    std = pi_theta.StateLogStd(low=-20.0, high=2.0).std(None, head)
    np.testing.assert_allclose(std, np.exp(np.clip(x, -20, 2)), rtol=1e-5)
    std = pi_theta.LearnedStd().std(head[0], head)
    np.testing.assert_allclose(std, np.sqrt(softplus[0]), rtol=1e-5)


# ---------------------------------------------------------------- traced and built in


def test_numbers_may_be_traced_or_built_in():
    config = preset("sac")
    state = away(begin(config))
    key = jax.random.key(0)
    outside = update(schema.as_traced(config), state, key)
    inside = jax.jit(lambda state, key: update(config, state, key))(state, key)
    # XLA folds built-in numbers and may round once more; Adam's first step is of size
    # 3e-4 whatever the gradient, so a gradient of 1e-8 alone could show
    close(inside, outside, 1e-5)


@pytest.mark.parametrize("standardize, scaled", [(True, False), (False, True)])
def test_toggles_may_be_traced_or_built_in(standardize, scaled):
    changes = {"pi_q.standardize": standardize, "g_estimate.scaled": scaled}
    config = preset("awr", changes)
    state = begin(config)
    obs = jax.random.normal(jax.random.key(0), (B + 1, O))
    steps = episode(B, terminal=True)

    def run(config, state):
        computed = agent.compute_returns(config, state, obs, steps)
        data = transitions()._replace(obs=obs[:-1])
        batch = Batch(data, computed.target, None, computed.score)
        state, _ = agent.evaluate(config, state, batch)
        key = jax.random.key(0)
        state, _ = agent.improve(config, state, batch, key, state.params.critic)
        return computed, state

    outside = jax.jit(run)(schema.as_traced(config), state)
    inside = jax.jit(partial(run, config))(state)
    close(inside, outside, 1e-4)  # V is 100 times what the network says, where scaled
    other = preset("awr", changes | {"pi_q.standardize": not standardize})
    computed, _ = jax.jit(run)(schema.as_traced(other), state)
    assert not np.allclose(computed.score, outside[0].score, atol=0.1)


@pytest.mark.parametrize("standardize", [True, False])
def test_scores_of_fresh_actions_may_be_standardised(standardize):
    """Over the batch; whatever is added to Q or multiplies it then cancels."""
    config = preset("mpo", TRUSTED, {"pi_q.standardize": standardize})
    state = begin(config)
    batch = compute_targets(config, state, transitions(), jax.random.key(0))
    wider = batch.next._replace(score=3.0 * batch.next.score + 7.0)
    key = jax.random.key(0)
    plain, _ = improve(schema.as_traced(config), state, batch, key)
    scaled, _ = improve(
        schema.as_traced(config), state, batch._replace(next=wider), key
    )
    moved = jax.tree.map(jnp.subtract, plain.params.policy, scaled.params.policy)
    largest = max(jnp.max(jnp.abs(x)) for x in jax.tree.leaves(moved))
    assert (largest < 1e-4) == standardize
