"""Toy tasks: episodes end as they should, and are worth what the closed forms say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import envs
from coadapt.envs import base, toy

TASKS = ["toy/bandit", "toy/lqr", "toy/chain", "toy/arms", "toy/corridor"]


def uniform(size):
    """In the box; of a discrete task the argmax of such rows is uniform as well."""
    return lambda obs, t, key: jax.random.uniform(key, (size,), jnp.float32, -1.0, 1.0)


@functools.cache  # as compiling takes longer than running, tests share what they can
def rollout(task, policy=None, steps=121, count=4096):
    """TimeStep [steps, count, ...], first obs [count, O]; policy(obs, t, key): [A]."""
    env = envs.make(task, count)
    policy = policy or uniform(env.spec.action_size)

    def body(carry, t):
        state, obs, key = carry
        key, sub = jax.random.split(key)
        state, step = env.step(state, policy(obs, t, sub))
        return (state, step.obs, key), step

    def one(key):
        state, obs = env.reset(key)
        carry = (state, obs, jax.random.fold_in(key, 1))
        return obs, jax.lax.scan(body, carry, jnp.arange(steps))[1]

    keys = jax.random.split(jax.random.key(0), count)
    first, steps_taken = jax.jit(jax.vmap(one, out_axes=(0, 1)))(keys)
    return jax.tree.map(np.asarray, steps_taken), np.asarray(first)


def first_returns(step, discount=1.0):
    """The discounted return of each environment's first episode, [count]."""
    ended = np.cumsum(step.last, axis=0) - step.last
    weights = discount ** np.arange(len(step.reward))[:, None] * (ended == 0)
    return (step.reward * weights).sum(0)


def constant(*action):
    return lambda obs, t, key: jnp.array(action, jnp.float32)


@pytest.mark.parametrize("task", TASKS)
def test_spec_and_shapes(task):
    spec, env = envs.spec(task), envs.make(task, 3)
    assert env.spec == spec and not isinstance(env, base.HostEnv)
    step, first = rollout(task)
    assert first.shape == (4096, spec.obs_size)
    assert step.obs.shape == step.next_obs.shape == (121, 4096, spec.obs_size)
    assert step.reward.shape == step.discount.shape == step.last.shape == (121, 4096)
    kinds = [array.dtype.kind for array in step]
    assert kinds == ["f", "f", "f", "b", "f"]
    assert all(array.dtype.itemsize in (1, 4) for array in step)


@pytest.mark.parametrize(
    "task, num_actions", [("toy/chain", 0), ("toy/arms", 3), ("toy/corridor", 2)]
)
def test_specs_of_boxes_and_of_discrete_actions(task, num_actions):
    spec = envs.spec(task)
    assert spec.num_actions == num_actions
    assert spec.action_size == (num_actions or 1)
    assert spec.action_low == (() if num_actions else (-1.0,))
    assert spec.action_high == (() if num_actions else (1.0,))


def test_time_limit_is_not_a_termination():
    limit = envs.spec("toy/lqr").max_steps
    step, _ = rollout("toy/lqr")
    ends = np.zeros((121, 1), bool)
    ends[limit - 1 :: limit] = True
    assert (step.last == ends).all() and ends.sum() == 4
    assert (step.discount == 1).all()


@pytest.mark.parametrize("task", ["toy/bandit", "toy/arms"])
def test_termination_wins_over_the_time_limit(task):
    step, _ = rollout(task)  # ends where its limit is reached
    assert step.last.all() and (step.discount == 0).all()


@pytest.mark.parametrize("task", ["toy/chain", "toy/corridor"])
def test_chain_terminates_at_its_ends_and_next_obs_is_the_true_successor(task):
    step, _ = rollout(task)
    place = step.next_obs.argmax(-1)
    at_end = (place == 0) | (place == 6)
    assert np.array_equal(step.discount == 0, at_end)
    assert np.array_equal(step.reward == 1, place == 6)
    assert step.last[at_end].all()
    assert (step.obs[..., [0, 6]] == 0).all()  # never acted on
    assert np.array_equal(step.obs[~step.last], step.next_obs[~step.last])


@pytest.mark.parametrize(
    "task, left, right",
    [("toy/chain", [-1.0], [1.0]), ("toy/corridor", [1.0, 0.0], [0.0, 1.0])],
    ids=["chain", "corridor"],
)
def test_chain_is_cut_by_its_time_limit(task, left, right):
    moves = jnp.array([right, left])
    step, first = rollout(task, lambda obs, t, key: moves[t % 2], 50, 32)
    inner = first[:, 5] == 0  # those one step from the right end terminate at once
    assert inner.any() and not inner.all()
    assert not step.last[:49, inner].any() and step.last[49, inner].all()
    assert (step.discount[:, inner] == 1).all()


def test_autoreset_draws_new_starts():
    limit = envs.spec("toy/lqr").max_steps
    step, first = rollout("toy/lqr")
    starts = np.stack([first, *step.obs[limit - 1 :: limit]]).reshape(-1, 2)
    assert len(np.unique(starts, axis=0)) == 5 * 4096
    assert (np.abs(starts) <= 1).all()
    np.testing.assert_allclose(np.cov(starts.T), np.eye(2) / 3, atol=0.02)


def test_an_environment_is_the_same_alone_and_among_others():
    env = envs.make("toy/chain", 1)

    def walk(key):
        action = jnp.zeros((60, 1), jnp.float32)
        return jax.lax.scan(env.step, env.reset(key)[0], action)[1]

    keys = jax.random.split(jax.random.key(3), 4)
    among, alone = jax.jit(jax.vmap(walk))(keys), jax.jit(walk)(keys[2])
    assert alone.last.any()
    for many, one in zip(among, alone, strict=True):
        np.testing.assert_array_equal(many[2], one)


def test_actions_are_mapped_to_the_box_without_clipping():
    spec = envs.spec("toy/bandit")
    wide = type(spec)(**{**vars(spec), "action_low": (-1.0,), "action_high": (5.0,)})
    env = base.Autoreset(toy.Bandit(best=0.0), wide)
    reward = jax.jit(lambda a: env.step(env.reset(jax.random.key(0))[0], a)[1].reward)
    for action, own in [(-1.0, -1.0), (0.0, 2.0), (1.0, 5.0), (2.0, 8.0)]:
        assert reward(jnp.full(1, action, jnp.float32)) == -(own**2)


@pytest.mark.parametrize(
    "row, reward",
    [
        ((1, 0, 0), 1),
        ((0, 1, 0), 2),
        ((0, 0, 1), 3),
        ((0.3, 0.4, -5), 2),
        ((-3, -2, -1), 3),
    ],
    ids=str,
)
def test_an_arm_is_the_argmax_and_pays_its_reward(row, reward):
    step, _ = rollout("toy/arms", constant(*row), 2, 3)
    assert (step.reward == reward).all() and (step.discount == 0).all()


@pytest.mark.parametrize(
    "row, move",
    [((1, 0), -1), ((0, 1), 1), ((-0.3, -2), -1), ((3, 7), 1)],
    ids=str,
)
def test_corridor_moves_where_the_argmax_says(row, move):
    step, first = rollout("toy/corridor", constant(*row), 12, 64)
    before = np.concatenate([first[None], step.obs[:-1]]).argmax(-1)
    assert (step.next_obs.argmax(-1) == before + move).all()


def linear(gains):
    gains = jnp.asarray(gains, jnp.float32)
    return lambda obs, t, key: -jnp.sum(gains[t] * obs, keepdims=True)


@jax.jit
def lqr_return_from(start, gains):
    """The return from one start, and the largest action on the way."""
    env = envs.make("toy/lqr", 1)
    state, _ = env.reset(jax.random.key(0))
    state = state._replace(physics=jnp.asarray(start, jnp.float32))
    act = linear(gains)

    def body(carry, t):
        action = act(carry[1], t, None)
        state, step = env.step(carry[0], action)
        return (state, step.obs), (step.reward, action[0])

    carry = (state, state.physics)
    _, (reward, action) = jax.lax.scan(body, carry, jnp.arange(len(gains)))
    return reward.sum(), jnp.abs(action).max()


CORNERS = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)]


@pytest.mark.parametrize("policy", ["optimal", "idle"])
def test_lqr_closed_form_is_exact(policy):
    # The return is quadratic in the start, so its mean over the uniform square is its
    # mean over four points with the same second moment: no sampling error. What is left
    # is float32's rounding over 30 steps, hence 1e-5 of the value.
    lqr = toy.LQR()
    gains = lqr.gains(lqr.max_steps) * (policy == "optimal")
    expected = toy.optimum("toy/lqr") if policy == "optimal" else lqr.idle()
    points = np.array(CORNERS) / np.sqrt(3)
    got = np.mean([lqr_return_from(point, gains)[0] for point in points])
    assert got == pytest.approx(expected, rel=1e-5)


def test_lqr_optimal_gain_reaches_the_optimum_in_simulation():
    # Over 4096 sampled starts: within 4 standard errors.
    lqr = toy.LQR()
    step, _ = rollout("toy/lqr", linear(lqr.gains(lqr.max_steps)), lqr.max_steps, 4096)
    returns = first_returns(step)
    error = returns.std() / np.sqrt(len(returns))
    assert returns.mean() == pytest.approx(toy.optimum("toy/lqr"), abs=4 * error)


@pytest.mark.parametrize("corner", CORNERS, ids=str)
def test_lqr_optimal_actions_stay_in_the_box(corner):
    lqr = toy.LQR()  # an action is linear in the start, so the corners are the worst
    stationary = np.repeat(toy.lqr_gain()[None], lqr.max_steps, axis=0)
    for gains in (lqr.gains(lqr.max_steps), stationary):
        assert lqr_return_from(corner, gains)[1] < 0.9


def test_lqr_optimum_is_one():
    lqr = toy.LQR()
    best, gains = lqr.optimum(), lqr.gains(lqr.max_steps)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert lqr.linear_return(gains + rng.normal(0, 0.1, gains.shape)) < best
    stationary = np.repeat(toy.lqr_gain()[None], lqr.max_steps, axis=0)
    assert 1.01 * best < lqr.linear_return(stationary) < best
    assert lqr.baseline() < lqr.idle() < best


def test_lqr_gain_solves_the_discounted_riccati_equation():
    # A policy's value P = Q + K'RK + d (A-BK)'P(A-BK); at the optimum K is greedy to P.
    (a, b), discount, cost = toy.LQR().matrices, 0.95, toy.LQR().action_cost
    gain = toy.lqr_gain(discount)[None]
    closed = np.sqrt(discount) * (a - b @ gain)
    stage = np.diag([1.0, 0.0]) + cost * gain.T @ gain
    flat = np.linalg.solve(np.eye(4) - np.kron(closed.T, closed.T), stage.ravel())
    p = flat.reshape(2, 2)
    greedy = np.linalg.solve(cost + discount * b.T @ p @ b, discount * b.T @ p @ a)
    np.testing.assert_allclose(gain, greedy, rtol=1e-9)


@pytest.mark.parametrize(
    "task, best",
    [
        ("toy/bandit", [0.5]),
        ("toy/chain", [1.0]),
        ("toy/arms", [0, 0, 1]),
        ("toy/corridor", [0, 1]),
    ],
    ids=["bandit", "chain", "arms", "corridor"],
)
def test_optimal_action_reaches_the_optimum_exactly(task, best):
    step, _ = rollout(task, constant(*best), envs.spec(task).max_steps, 64)
    assert (first_returns(step) == toy.optimum(task)).all()


@pytest.mark.parametrize("task", TASKS)
def test_baseline_is_the_return_of_uniform_actions(task):
    # Over 4096 episodes: within 4 standard errors.
    returns = first_returns(rollout(task)[0])
    error = returns.std() / np.sqrt(len(returns))
    assert returns.mean() == pytest.approx(toy.baseline(task), abs=4 * error)


def test_returns_of_the_discrete_toys():
    assert (toy.optimum("toy/arms"), toy.baseline("toy/arms")) == (3.0, 2.0)
    assert toy.optimum("toy/corridor") == 1.0
    # The fair walk from the middle on average, less what the time limit cuts off.
    assert 0.48 < toy.baseline("toy/corridor") < 0.5
    assert toy.baseline("toy/corridor") == toy.baseline("toy/chain")


@pytest.mark.parametrize("right", [0.4, 0.7])
def test_chain_values_by_simulation(right):
    # Within 4 standard errors of some 800 episodes a state; at a discount of 0.8 what
    # the time limit cuts off is below 0.8^50 = 1e-5.
    step, first = rollout("toy/chain", constant(2 * right - 1), 50, 4096)
    returns, values = first_returns(step, 0.8), toy.chain_values(right, 0.8)
    assert values[0] == values[6] == 0
    for place in range(1, 6):
        mine = returns[first[:, place] == 1]
        error = mine.std() / np.sqrt(len(mine))
        assert mine.mean() == pytest.approx(values[place], abs=4 * error)


def test_chain_values_of_the_fair_walk():
    # The gambler's ruin: k / 6 from state k.
    np.testing.assert_allclose(toy.chain_values(0.5)[:6], np.arange(6) / 6, atol=1e-12)


FAMILIES = "gym, dmc, ours, brax, playground, phys2d, toy"


@pytest.mark.parametrize(
    "task, sentence",
    [
        (
            "toy/lqg",
            "must have one of the ids bandit, lqr, chain, arms, corridor; "
            "did you mean 'toy/lqr'?",
        ),
        (
            "lqr",
            f"'family/id' with a family of {FAMILIES}; did you mean 'toy/lqr'?",
        ),
        (
            "toys/chain",
            f"with a family of {FAMILIES}; did you mean 'toy/chain'?",
        ),
    ],
    ids=["id", "no family", "family"],
)
def test_errors_are_sentences(task, sentence):
    for call in (envs.spec, lambda name: envs.make(name, 2)):
        with pytest.raises(ValueError) as caught:
            call(task)
        assert str(caught.value).startswith(f"task {task!r} must")
        assert str(caught.value).endswith(sentence)
