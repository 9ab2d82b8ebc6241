"""Diagnostics against closed forms, plain loops, and what the engine itself says."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import coadapt
from coadapt import agent as agents
from coadapt import algorithms, diagnostics, envs, plot, runner, schema, sweep
from coadapt.data import replay
from coadapt.diagnostics import returns, summaries
from coadapt.diagnostics.sampling import key_of, traced
from coadapt.envs import toy
from coadapt.ops import weights
from coadapt.runs import store
from coadapt.runs.trained_agent import Failure, SavedAgent
from coadapt.sweep import Checkpoints, Sweep, Variant
from coadapt.types import Action, TimeStep
from tests.recipes import SHORT, small

pytestmark = pytest.mark.usefixtures("one_device")

GAMMA = 0.9
# networks that are linear in their inputs, or in the products of two of them: their
# functions can be written down
LINEAR = {
    "networks.policy.sizes": (),
    "networks.critic.sizes": (),
    "networks.critic.features": "Quadratic",
}
NARROW = {"pi_theta.scale": "LearnedLogStd", "pi_theta.scale.raw": -7.0}
DISCOUNT = {"g_estimate.discount": GAMMA}


start = jax.jit(agents.init, static_argnums=1)


def made(name: str, task: str = "toy/lqr", size: int = 0, **changes) -> SavedAgent:
    """An agent as it starts, of a task whose actions may be given another size."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    config = schema.override(algorithms.preset(name), changes)
    spec = envs.spec(task)
    if size:
        spec = dataclasses.replace(spec, action_size=size)
    state = start(config, spec, jax.random.key(0))
    return SavedAgent(
        task=task, variant=name, seed=0, algorithm=name, config=config, spec=spec,
        state=jax.tree.map(np.array, state), steps=0, updates=0, alive=True,
        health="alive",
    )  # fmt: skip


def having(agent: SavedAgent, *, policy=None, critic=None) -> SavedAgent:
    """The agent with other output layers: kernel and bias; of critics [K, ...]."""
    state = jax.tree.map(np.array, agent.state)
    if policy is not None:
        state.params.policy["net"]["output"] = of_layer(*policy)
        if state.target.policy is not None:
            state.target.policy["net"]["output"] = of_layer(*policy)
    if critic is not None:
        layers = [of_layer(*one) for one in critic]
        layer = jax.tree.map(lambda *x: np.stack(x), *layers)
        state = state._replace(
            params=state.params._replace(critic={"output": layer}),
            target=state.target._replace(critic={"output": layer}),
        )
    return dataclasses.replace(agent, state=state)


TINY = {"networks.policy.sizes": (8, 8), "networks.critic.sizes": (8, 8)}


def of_layer(kernel, bias) -> dict[str, np.ndarray]:
    return {"kernel": np.float32(kernel), "bias": np.float32(bias)}


def quadratic(matrix: np.ndarray, offset: float = 0.0) -> tuple:
    """Kernel and bias of z' matrix z + offset, as Quadratic features have it."""
    row, column = np.triu_indices(len(matrix))
    products = np.where(row == column, 1.0, 2.0) * matrix[row, column]
    kernel = np.concatenate([np.zeros(len(matrix)), products])
    return kernel[:, None], np.array([offset])


# ---------------------------------------------------------------- landscapes

PEAK = np.array([0.3, -0.2])


def bowl(slow: float = 1.0) -> tuple:
    """Q(s, a) = -slow |a - PEAK|^2 at every state of toy/lqr with two actions."""
    matrix = np.diag([0.0, 0.0, -slow, -slow])
    kernel, bias = quadratic(matrix, -slow * float(PEAK @ PEAK))
    kernel[2:4, 0] = 2 * slow * PEAK
    return kernel, bias


@pytest.fixture(scope="module")
def two():
    """MPO with actions of two dimensions, and two critics, the second the steeper."""
    agent = made(
        "mpo", size=2, **LINEAR, **NARROW, g_estimate__critics=2,
        pi_theta__scale__raw=float(np.log(0.3)),
    )  # fmt: skip
    policy = np.zeros((2, 2)), [0.1, 0.4]
    return having(agent, policy=policy, critic=[bowl(), bowl(2.0)])


STATES = np.array([[0.5, -0.5], [0.1, 0.2], [-1.0, 0.0]], np.float32)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (1, 0)], ids=str)
def test_a_slice_of_a_bowl(two, axes):
    found = diagnostics.critic_slice(two, STATES, axes, points=20, limits=(-2.0, 2.0))
    rest = np.array([0.1, 0.4])  # the policy's mode
    for g, point in enumerate(np.ndindex(*[20] * len(axes))):
        action = rest.copy()
        for axis, i in zip(axes, point, strict=True):
            action[axis] = -2.0 + 4.0 * (i + 0.5) / 20
        expected = -np.square(action - PEAK).sum()
        # float32 sums of six products of numbers below 8
        np.testing.assert_allclose(found.q[0, g], expected, atol=1e-5)
        np.testing.assert_allclose(found.score[g], 2 * expected, atol=1e-5)
        off = (action - rest) / 0.3
        density = np.exp(-np.square(off).sum() / 2) / (2 * np.pi * 0.3**2)
        np.testing.assert_allclose(found.density[g], density, rtol=1e-4, atol=1e-12)
    eta = diagnostics.duals(two)["temperature"]
    weight = np.exp(found.score / eta)
    np.testing.assert_allclose(found.weight, weight / weight.sum(axis=0), rtol=1e-4)
    assert found.shaped(found.q).shape == (2, *[20] * len(axes), 3)
    assert found.advantage.shape == found.score.shape


def test_the_posterior_of_a_gaussian_and_a_bowl_is_a_gaussian(two):
    """N(m, v) exp(-2 (a - c)^2 / eta) has precision 1 / v + 4 / eta."""
    found = diagnostics.critic_slice(two, STATES[:1], points=400, limits=(-3.0, 3.0))
    eta = diagnostics.duals(two)["temperature"]
    prior, bowl_ = 1 / 0.3**2, 4 / eta
    mean = (prior * 0.1 + bowl_ * PEAK[0]) / (prior + bowl_)
    (line,), weight = found.grid[:1], found.posterior[:, 0]
    # the middle rule of a Gaussian over 10 stds, 20 points a std, is exact in float32
    np.testing.assert_allclose((weight * line).sum(), mean, rtol=1e-4)
    variance = (weight * np.square(line - mean)).sum()
    np.testing.assert_allclose(variance, 1 / (prior + bowl_), rtol=1e-3)
    value = -2 * (np.square([0.1, 0.4] - PEAK).sum() + 2 * 0.3**2)
    # 32 draws of a variable of std 0.5 or so
    np.testing.assert_allclose(found.value[0], value, atol=0.4)


def test_sac_has_the_boltzmann_weights_that_it_climbs_to_and_td3_none():
    agent = having(made("sac", size=2, **LINEAR), critic=[bowl(), bowl()])
    found = diagnostics.critic_slice(agent, STATES)
    weight = np.exp(found.score)  # eta starts at 1
    np.testing.assert_allclose(found.weight, weight / weight.sum(axis=0), rtol=1e-4)
    assert found.posterior is None  # whose prior is uniform
    climbs = having(made("td3", size=2, **LINEAR), critic=[bowl(), bowl(2.0)])
    found = diagnostics.critic_slice(climbs, STATES)
    np.testing.assert_allclose(found.score, found.q[0], rtol=1e-6)  # not the least
    assert found.density is found.share is found.weight is found.posterior is None


def test_the_weights_of_an_advantage_are_clipped_as_an_e_step_clips_them():
    """Far from 0 as values are, exp(Q / eta) itself would be 0 everywhere."""
    kernel, bias = bowl(9.0)
    agent = made("crr", size=2, **LINEAR, critic__head="ScalarHead")
    agent = having(agent, critic=[(kernel, bias - 200.0)])
    found = diagnostics.critic_slice(agent, STATES)
    less = returns.own_values(agent, STATES)
    weight = np.minimum(np.exp(found.score - less), 20.0)
    assert weight.max() == 20.0
    np.testing.assert_allclose(found.weight, weight / weight.sum(axis=0), rtol=1e-3)


def test_the_gap_is_from_the_best_action_to_the_mean(two):
    found = diagnostics.critic_slice(two, STATES, points=100)
    # of the steeper bowl, which is the minimum of both: the mean over a line of
    # (a - 0.3)^2 is 1/3 + 0.09; less than half a cell from the best in float32
    np.testing.assert_allclose(found.gap, 2 * (1 / 3 + 0.3**2), rtol=1e-3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"axes": (0, 0)}, r"axes is \(0, 0\): .* from 0 to 1"),
        ({"axes": (2,)}, "one or two different dimensions"),
        ({"axes": ()}, "one or two different dimensions"),
        ({"points": 1}, "points is 1: it must be 2 or more"),
        ({"limits": (1.0, -1.0)}, "a lower limit and a higher"),
    ],
    ids=str,
)
def test_slices_that_do_not_fit_are_a_sentence(two, how, message):
    with pytest.raises(coadapt.ConfigError, match=message) as caught:
        diagnostics.critic_slice(two, STATES, **how)
    assert "\n" not in str(caught.value)


def test_agents_that_have_no_such_thing_are_a_sentence():
    choice = made("ppo", "toy/arms", **TINY, pi_theta="Softmax")
    ones, nothing = np.ones((2, 1)), made("rwr", **TINY)
    for message, ask in {
        "discrete: there is no line": lambda: diagnostics.critic_slice(choice, ones),
        "discrete: they have no bounds": lambda: diagnostics.saturated(choice, ones),
        "parametric posterior": lambda: diagnostics.e_step(choice),
        r"use v\(obs\)": lambda: diagnostics.critic_slice(made("awr", **TINY), STATES),
        "has no critic": lambda: diagnostics.overestimation(
            nothing, diagnostics.rollout(nothing, episodes=1)
        ),
        "no entropy": lambda: diagnostics.entropy(made("ddpg", **TINY), STATES),
        "replay=True": lambda: diagnostics.e_step(made("awac", **TINY)),
        "episodes is 0": lambda: diagnostics.rollout(choice, episodes=0),
    }.items():
        with pytest.raises(coadapt.ConfigError, match=message) as caught:
            ask()
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- returns


def plain(reward, discount, last, gamma, end):
    """Of one episode after another, as a reader would write it."""
    value, tail = np.zeros_like(reward), np.zeros_like(reward)
    for e in range(reward.shape[1]):
        for t in range(reward.shape[0]):
            weight = 1.0
            for k in range(t, reward.shape[0]):
                value[t, e] += weight * reward[k, e]
                weight *= gamma * discount[k, e]
                if last[k, e] or k == reward.shape[0] - 1:
                    value[t, e] += weight * end[k, e]
                    tail[t, e] = weight
                    break
    return value, tail


def test_returns_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    reward, end = rng.normal(size=(2, 12, 40))
    last = rng.random((12, 40)) < 0.2
    discount = np.where(last & (rng.random((12, 40)) < 0.5), 0.0, 1.0)
    both = last & (discount == 1.0)
    assert both.any() and (last & (discount == 0.0)).any()
    found = diagnostics.discounted_returns(reward, discount, last, GAMMA, end)
    value, tail = plain(reward, discount, last, GAMMA, end)
    # sums of twelve float32 numbers of size 1
    np.testing.assert_allclose(found.value, value, atol=1e-5)
    np.testing.assert_allclose(found.tail, tail, atol=1e-6)
    without = diagnostics.discounted_returns(reward, discount, last, GAMMA)
    value, _ = plain(reward, discount, last, GAMMA, np.zeros_like(end))
    np.testing.assert_allclose(without.value, value, atol=1e-5)


def linear_critic(gains: np.ndarray) -> np.ndarray:
    """M with Q(x, a) = -z' M z, z = (x, a), of a = -gains x on toy/lqr, for ever."""
    lqr, gain = toy.LQR(), gains[None]
    a, b = lqr.matrices
    closed, cost = a - b @ gain, np.diag([1.0, 0.0]) + lqr.action_cost * gain.T @ gain
    value = np.zeros((2, 2))
    for _ in range(500):  # the closed loop contracts
        value = cost + GAMMA * closed.T @ value @ closed
    both = np.concatenate([a, b], axis=1)
    own = np.diag([1.0, 0.0, lqr.action_cost])
    return own + GAMMA * both.T @ value @ both


GAINS = toy.lqr_gain(GAMMA)
ONE = linear_critic(GAINS)


def on_lqr(name: str, *offsets: float, **changes) -> SavedAgent:
    """An agent whose policy is linear and whose critics are exact but for offsets."""
    agent = made(
        name, **LINEAR, **NARROW, **DISCOUNT, g_estimate__critics=len(offsets),
        **changes,
    )  # fmt: skip
    outputs = agent.state.params.policy["net"]["output"]["bias"].shape[0]
    policy = -GAINS[:, None].repeat(outputs, 1), np.zeros(outputs)
    return having(agent, policy=policy, critic=[quadratic(-ONE, b) for b in offsets])


@pytest.fixture(scope="module")
def exact():
    agent = on_lqr("mpo", 0.0)
    return agent, diagnostics.rollout(agent, episodes=4)


def test_an_exact_critic_has_no_error(exact):
    agent, found = exact
    assert found.reward.shape == (30, 4) and found.there.all()
    assert found.last[-1].all() and not found.last[:-1].any()
    assert (found.discount == 1.0).all()  # a time limit is no termination
    bias = diagnostics.overestimation(agent, found, max_tail=1.0)
    assert bias.names == ("critic 1", "target")
    # float32 sums of 30 rewards of size 1; the policy's own noise has a std of 0.001
    np.testing.assert_allclose(bias.error, 0.0, atol=1e-2)
    line = diagnostics.bias({"mpo": bias}).iloc[0]
    assert line.steps == 120 and line.correlation > 0.9999


def test_returns_are_of_rewards_as_the_critic_learns_from_them(exact):
    agent, found = exact
    config = schema.override(
        agent.config, {"reward": "ClipReward", "reward.limit": 0.1}
    )
    clipped = found._replace(reward=np.clip(found.reward, -0.1, 0.1))
    assert (clipped.reward != found.reward).any()
    expected = diagnostics.overestimation(agent, clipped, max_tail=1.0)
    clips = dataclasses.replace(agent, config=config)
    bias = diagnostics.overestimation(clips, found, max_tail=1.0)
    np.testing.assert_array_equal(bias.returns, expected.returns)


def test_a_surface_of_an_exact_critic_goes_through_what_followed(exact):
    from scipy.interpolate import RegularGridInterpolator

    agent, rolled = exact
    found = diagnostics.value_surface(agent, rolled, (1, 0), points=41)
    assert found.value.shape == (41, 41) and found.obs.shape == (4 * 9, 2)
    np.testing.assert_array_equal(found.obs[0], rolled.obs[0, 0, ::-1])
    here = RegularGridInterpolator(found.grid, found.value)(found.obs)
    # a cell is 0.05 wide, in which a curvature of 10 bends by 10 / 8 * 0.05^2 = 0.003;
    # the rest as of the error above
    np.testing.assert_allclose(here, found.returns, atol=1.5e-2)
    for axes in ((0, 2), (1, 1), (0,)):
        with pytest.raises(coadapt.ConfigError, match="must name two"):
            diagnostics.value_surface(agent, rolled, axes)
    (drawn_on,) = plot.value_surface({"exact": found}, names=["x", "v"])
    drawn(drawn_on)
    surface, points = drawn_on.collections
    np.testing.assert_array_equal(points.get_offsets(), found.obs)
    assert points.get_clim() == surface.get_clim()
    assert drawn_on.get_xlabel() == "v" and drawn_on.get_ylabel() == "x"


def test_a_return_ends_at_the_time_limit_where_the_agents_targets_do(exact):
    _, found = exact
    agent = on_lqr("mpo", 0.0, data__terminate_at_limit=True)
    ends = diagnostics.rollout(agent, episodes=4)
    np.testing.assert_array_equal(ends.reward, found.reward)
    np.testing.assert_array_equal(ends.discount, np.where(found.last, 0.0, 1.0))
    assert (diagnostics.overestimation(agent, ends).tail == 0.0).all()


def test_a_return_that_leaves_its_tail_out_is_not_what_the_critic_is_of(exact):
    _, found = exact
    cut = diagnostics.discounted_returns(
        found.reward, found.discount, found.last, found.gamma
    )
    total = np.zeros(4)
    for t in reversed(range(30)):
        total = found.reward[t] + GAMMA * total
    np.testing.assert_allclose(cut.value[0], total, rtol=1e-5)
    np.testing.assert_allclose(cut.tail[:, 0], GAMMA ** np.arange(30, 0, -1), rtol=1e-5)


def test_an_error_has_a_spread_where_there_are_two_episodes():
    value, returns = np.array([[[1.0, 3], [1, 3], [1, 3]]]), np.zeros((3, 2))
    returns[1, 1] = returns[2] = np.nan
    bias = diagnostics.Overestimation(("target",), value, returns, returns)
    mean, std = bias.along()
    np.testing.assert_array_equal(mean, [2, 1, np.nan])
    np.testing.assert_array_equal(std, [1, np.nan, np.nan])


@pytest.mark.parametrize("offsets", [(1.5,), (1.0, -2.0)], ids=["one", "two"])
def test_what_is_promised_too_much_is_found(exact, offsets):
    _, found = exact
    agent = on_lqr("mpo", *offsets)
    bias = diagnostics.overestimation(agent, found, max_tail=1.0)
    assert bias.names == (*(f"critic {k + 1}" for k in range(len(offsets))), "target")
    tail = GAMMA ** np.arange(30, 0, -1)[:, None]
    # the end's value is the critics' own: there they are compared with themselves
    for error, offset in zip(bias.error, (*offsets, min(offsets)), strict=True):
        expected = offset - tail * min(offsets)
        np.testing.assert_allclose(error, expected + 0 * error, atol=1e-2)
    mean, std = bias.along("critic 1")
    np.testing.assert_allclose(mean, bias.error[0].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(std, bias.error[0].std(axis=1), atol=1e-5)
    far = diagnostics.overestimation(agent, found, max_tail=0.1)
    assert far.counts.sum(axis=0).tolist() == [9] * 4  # 0.9 ** 22 < 0.1 < 0.9 ** 21
    assert np.isnan(far.along()[0][9:]).all() and len(far.pairs()[0]) == 36
    with pytest.raises(coadapt.ConfigError, match=r"max_tail is 0\.01: .* least is"):
        diagnostics.overestimation(agent, found, max_tail=0.01)
    with pytest.raises(coadapt.ConfigError, match="did you mean 'target'"):
        bias.along("targte")


def test_a_soft_critic_counts_the_entropy_of_what_follows():
    """With a policy of constant entropy H, eta H gamma / (1 - gamma) more."""
    entropy = -7.0 + 0.5 * np.log(2 * np.pi * np.e)
    agent = on_lqr("sac", *[entropy * GAMMA / (1 - GAMMA)] * 2, pi_theta="Gaussian")
    found = diagnostics.rollout(agent, episodes=4)
    error = diagnostics.overestimation(agent, found, max_tail=1.0).error
    # each state's entropy is the mean of 32 draws of std 0.7: 0.25 in the sum of ten
    # or so that count, while H alone is 5.6, and all of it 50
    assert np.abs(error).max() < 1.25 and abs(error.mean()) < 0.25


def test_what_follows_a_cut_is_the_value_that_targets_bootstrap_from():
    agent = made("iql", **LINEAR)  # whose V is learned beside Q
    value = {"output": of_layer(*quadratic(-np.eye(2)))}
    params = jax.tree.map(np.array, agent.state).params._replace(value=value)
    agent = dataclasses.replace(agent, state=agent.state._replace(params=params))
    found = returns.own_values(agent, STATES)
    np.testing.assert_allclose(found, -np.square(STATES).sum(1), rtol=1e-5)


def test_values_of_states_beside_returns_of_a_chain():
    agent = made(
        "ppo", "toy/chain", **DISCOUNT,
        **{"networks.policy.sizes": (), "networks.critic.sizes": ()},
    )  # fmt: skip
    values = toy.chain_values(0.5, GAMMA)
    agent = having(
        agent,
        policy=(np.zeros((7, 1)), [0.0]),
        critic=[(values[:, None], [0.0])],
    )
    found = diagnostics.rollout(agent, episodes=400)
    length = found.there.sum(axis=0)
    ends = found.last[length - 1, np.arange(400)]
    assert ends.all() and len(set(length)) > 5
    np.testing.assert_array_equal(
        found.there.argmin(axis=0) % length.max(), length % length.max()
    )
    bias = diagnostics.overestimation(agent, found)
    done = found.discount[length - 1, np.arange(400)] == 0.0
    assert done.sum() > 390 and (bias.tail[0, done] == 0.0).all()
    # returns are in [0, 1], of std 0.3: the mean of 400 has one of 0.015
    assert abs(np.nanmean(bias.error[0, 0])) < 0.06
    for e in np.flatnonzero(done)[:20]:
        paid = GAMMA ** (length[e] - 1) * found.reward[length[e] - 1, e]
        np.testing.assert_allclose(bias.returns[0, e], paid, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(np.isfinite(bias.returns), found.there)


def test_episodes_on_the_host_end_each_at_its_own_time():
    agent = made("ppo", "gym/CartPole-v1", **TINY, pi_theta="Softmax")
    found = diagnostics.rollout(agent, episodes=3)
    length = found.there.sum(axis=0)
    assert found.obs.shape == (length.max(), 3, 4) and (length < 500).all()
    np.testing.assert_array_equal(found.returns, length)  # a reward of 1 a step
    end = length - 1, np.arange(3)
    assert found.last[end].all() and (found.discount[end] == 0.0).all()
    assert np.isfinite(found.states()).all() and len(found.states()) == length.sum()
    again = diagnostics.rollout(agent, episodes=3)
    np.testing.assert_array_equal(again.states(), found.states())
    other = diagnostics.rollout(agent, episodes=3, seed=1)
    assert not np.array_equal(other.obs[0], found.obs[0])
    bias = diagnostics.overestimation(agent, found)
    np.testing.assert_array_equal(bias.counts, found.there)
    value = (1 - 0.99 ** np.arange(length[0], 0, -1)) / (1 - 0.99)
    np.testing.assert_allclose(bias.returns[: length[0], 0], value, rtol=1e-5)


# ---------------------------------------------------------------- weights


def test_statistics_of_weights():
    even = diagnostics.EStep(np.full((4, 3), 0.25), np.zeros((4, 3)), 1.0, True)
    np.testing.assert_allclose(even.effective, np.ones(3))
    np.testing.assert_allclose(even.entropy, np.log(4) * np.ones(3))
    np.testing.assert_allclose(even.kl, np.zeros(3), atol=1e-12)
    one = np.zeros((4, 3))
    one[1] = 1.0
    lone = diagnostics.EStep(one, one, 1.0, True)
    np.testing.assert_allclose(lone.effective, np.full(3, 0.25))
    np.testing.assert_allclose(lone.kl, np.log(4) * np.ones(3))
    whole = diagnostics.EStep(one, one, 1.0, False)  # 3 of 12 alike
    np.testing.assert_allclose(whole.effective, [0.25])
    np.testing.assert_allclose(whole.entropy, [np.log(3)])


def stored(agent: SavedAgent, steps: int = 90) -> SavedAgent:
    """The agent with random steps of toy/lqr stored, in episodes of 30."""
    size = runner.store_size(agent.config, agent.spec, steps)
    rng = np.random.default_rng(0)

    def add(store, number):
        obs = jax.random.normal(jax.random.key(number), (4,))
        last = number % 30 == 29
        step = TimeStep(obs[:2], obs[2], jnp.float32(1.0), last, obs[:2])
        chosen = Action(jnp.tanh(obs[3:]), jnp.float32(0.0))
        return replay.add(store, chosen, step), None

    begin = replay.init(agent.spec, size, rng.normal(size=2).astype(np.float32))
    numbers = jnp.arange(steps)
    held, _ = jax.jit(lambda: jax.lax.scan(add, begin, numbers))()
    return dataclasses.replace(agent, replay=jax.tree.map(np.array, held))


def test_the_weights_are_those_of_the_engine():
    config = small("mpo")
    agent = stored(made("mpo", **(SHORT["mpo"] | TINY)))
    step = diagnostics.e_step(agent)
    size, samples = config.data.batch_size, config.pi_p.samples
    assert step.weight.shape == (samples, size) and step.per_state
    np.testing.assert_allclose(step.weight.sum(axis=0), 1.0, rtol=1e-5)
    choose, noise, draws = jax.random.split(key_of(agent, 2), 3)
    config, state = traced(agent), agent.state

    @jax.jit
    def theirs(store):
        transition = replay.sample(store, choose, size)
        batch = agents.compute_targets(config, state, transition, noise)
        critic = state.params.critic
        return agents.improve(config, state, batch, draws, critic)[1]

    said = theirs(agent.replay)
    np.testing.assert_allclose(step.temperature, said["temperature"], rtol=1e-6)
    mine = weights.effective_fraction(jnp.asarray(step.weight))
    # the same program but for what is around it
    np.testing.assert_allclose(mine, said["effective_fraction"], rtol=1e-4)
    each = np.square(step.weight).sum(axis=0) * samples
    np.testing.assert_allclose(step.effective, 1 / each, rtol=1e-5)


def test_the_weights_of_labelled_steps():
    changes = {**SHORT["awr"], **TINY, "pi_q_update.temperature.value": 0.25}
    agent = stored(made("awr", **changes))
    step = diagnostics.e_step(agent)
    assert step.weight.shape == (1, 32) and not step.per_state
    np.testing.assert_allclose(
        step.weight, np.minimum(np.exp(step.score / 0.25), 20.0), rtol=1e-4
    )
    assert step.effective.shape == step.kl.shape == (1,) and step.kl[0] > 0
    assert diagnostics.batch(agent, 16).shape == (16, 2)
    assert diagnostics.vitals(agent, diagnostics.states(agent)).keys() >= {
        "temperature", "effective_fraction", "weight_entropy", "weight_kl",
        "policy_entropy", "saturated", "policy_dead", "critic_dead", "policy_norm",
        "critic_norm",
    }  # fmt: skip


# ---------------------------------------------------------------- networks, policy


@pytest.mark.parametrize(
    ("activation", "norm"),
    [("relu", "none"), ("elu", "none"), ("tanh", "none"), ("relu", "before"),
     ("relu", "after")],
)  # fmt: skip
def test_dead_units_are_counted(activation, norm):
    networks = {"activation": activation, "layer_norm": norm, "sizes": (8, 4)}
    changes = {f"networks.policy.{key}": value for key, value in networks.items()}
    agent = made("mpo", **(TINY | changes))
    layer = agent.state.params.policy["net"][
        "norm_0" if norm == "before" else "hidden_0"
    ]
    layer["bias"][:3] = -100.0
    # at so many states no unit is dead by chance
    states = np.random.default_rng(0).normal(0.0, 3.0, (64, 2))
    lines = diagnostics.layers(agent, states)
    assert lines.network.tolist() == ["policy"] * 3 + ["critic 1"] * 3
    assert lines.layer.tolist() == ["hidden_0", "hidden_1", "output"] * 2
    assert lines.units.tolist() == [8, 4, 2, 8, 8, 1]
    assert lines.dead[0] == 3 / 8 and np.isnan(lines.dead[2])
    net = agent.state.params.policy["net"]
    expected = np.sqrt(np.square(net["hidden_0"]["kernel"]).sum())
    np.testing.assert_allclose(lines.kernel_norm[0], expected, rtol=1e-6)
    expected = np.sqrt(np.square(net["hidden_0"]["bias"]).sum())
    np.testing.assert_allclose(lines.bias_norm[0], expected, rtol=1e-6)


def test_a_unit_that_is_on_at_one_row_is_not_dead():
    slopes = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    assert diagnostics.dead_share(slopes, 0.0) == 1 / 3


def test_entropies(two):
    closed = 2 * (np.log(0.3) + 0.5 * np.log(2 * np.pi * np.e))
    np.testing.assert_allclose(diagnostics.entropy(two, STATES), closed, rtol=1e-5)
    # -log pi of two dimensions has a std of 1: of 4096 draws, 0.016
    drawn = diagnostics.sampled_entropy(two, STATES, samples=4096)
    np.testing.assert_allclose(drawn, closed, atol=0.08)
    arms = made("ppo", "toy/arms", **TINY, pi_theta="Softmax")
    arms.state.params.policy["net"]["output"]["kernel"][:] = 0.0
    arms.state.params.policy["net"]["output"]["bias"][:] = np.log([0.2, 0.3, 0.5])
    expected = -sum(p * np.log(p) for p in (0.2, 0.3, 0.5))
    found = diagnostics.entropy(arms, np.ones((2, 1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_squashed_policy_beside_the_integral_of_its_density():
    agent = made("sac", **LINEAR)
    agent = having(agent, policy=(np.zeros((2, 2)), [0.4, np.log(0.6)]))
    found = diagnostics.critic_slice(agent, STATES[:1], points=2000)
    width = 2 / 2000
    # the middle rule on a smooth density that vanishes at the border
    np.testing.assert_allclose(found.density.sum() * width, 1.0, rtol=1e-3)
    expected = -(found.density * np.log(found.density)).sum() * width
    # 4096 draws of std 0.8 or so
    drawn = diagnostics.entropy(agent, STATES[:1], samples=4096)
    np.testing.assert_allclose(drawn, expected, atol=0.06)


def test_actions_at_the_border():
    agent = having(made("td3", size=2, **LINEAR), policy=(np.zeros((2, 2)), [5.0, 0.0]))
    assert diagnostics.saturated(agent, STATES).tolist() == [1.0, 0.0]


def test_duals_are_what_acts():
    found = diagnostics.duals(made("mpo", size=2, **TINY))
    one = np.log1p(np.exp(1.0))  # softplus of the raw 1
    for name in ("temperature", "dual_mean", "dual_bound"):
        np.testing.assert_allclose(found[name], one, rtol=1e-5)
    np.testing.assert_allclose(found["dual_std"], 10.0, rtol=1e-4)  # softplus(10)
    assert diagnostics.duals(made("sac", **TINY)) == {"temperature": 1.0}
    assert diagnostics.duals(made("ppo", **TINY)) == {"dual_penalty": 1.0}


# ---------------------------------------------------------------- through training


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of agents that stored steps and learned nothing, so no update is compiled."""
    folder = tmp_path_factory.mktemp("run") / "work"
    config = schema.override(small("mpo"), TINY | {"data.learning_starts": 1000})
    asked = Sweep(
        experiment="test", variants={"toy/lqr": [Variant("one", "mpo", config)]},
        seeds=(0, 1), steps=120, eval_every=120, eval_episodes=1, checkpoint_every=60,
    )  # fmt: skip
    sweep.run(asked, folder, checkpoints=Checkpoints(keep=2, share=float("inf")))
    return folder


def test_a_history_of_the_snapshots_that_were_kept(run):
    who = {"variant": "one", "seed": 1}
    assert diagnostics.snapshots(run, **who) == [60, 120]
    rows = diagnostics.history(run, variants=["one"], seeds=[0, 1], task="toy/lqr")
    assert list(rows.columns) == list(store.COLUMNS)
    assert len(rows) == 2 * 2 * rows.metric.nunique()
    for steps in (60, 120):
        agent = coadapt.load(run, **who, steps=steps, replay=True)
        expected = diagnostics.vitals(agent, diagnostics.states(agent))
        mine = rows[(rows.seed == 1) & (rows.env_steps == steps)]
        assert dict(zip(mine.metric, mine.value, strict=True)) == expected
    stored = [
        rows[(rows.metric == "weight_kl") & (rows.seed == s)].value for s in (0, 1)
    ]
    assert len({*stored[0], *stored[1]}) == 4  # of four batches


def test_layers_of_each_snapshot_end_at_the_failure(run, monkeypatch):
    who = {"variant": "one", "seed": 1}
    agent = coadapt.load(run, **who, steps=60, replay=True)
    obs = diagnostics.states(agent)
    lines = diagnostics.layer_history(run, **who)
    assert lines.env_steps.unique().tolist() == [60, 120]
    first = lines[lines.env_steps == 60].drop(columns="env_steps")
    pd.testing.assert_frame_equal(first, diagnostics.layers(agent, obs))

    def failed(*_, steps=None, **__):
        return dataclasses.replace(agent, failure=Failure(33, 7, "critic.output.bias"))

    monkeypatch.setattr(summaries.trained_agent, "load", failed)
    monkeypatch.setattr(summaries, "snapshots", lambda *_, **__: [60, 120])
    lines = diagnostics.layer_history(run, **who)
    assert lines.env_steps.unique().tolist() == [33]


# ---------------------------------------------------------------- pictures


def drawn(axes) -> None:
    axes.figure.savefig(io.BytesIO())


def test_a_line_through_the_actions_is_drawn(two):
    found = diagnostics.critic_slice(two, STATES, points=20)
    above, below = plot.action_line(found, state=1)
    drawn(above)
    for line, q in zip(above.lines, found.q[:, :, 1], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), q)
    assert [line.get_label() for line in above.lines] == ["critic 1", "critic 2"]
    shares = found.share, found.weight, found.posterior
    for line, share in zip(below.lines, shares, strict=True):
        # shares of 20 cells between -1 and 1
        np.testing.assert_allclose(line.get_ydata(), share[:, 1] * 10, rtol=1e-5)
    assert "dimension 0" in below.get_xlabel() and "reward" in above.get_ylabel()


def test_a_plane_through_the_actions_is_drawn(two):
    found = diagnostics.critic_slice(two, STATES, (1, 0), points=12)
    (axes,) = plot.action_plane(found, state=2)
    drawn(axes)
    table = found.advantage[:, 2].reshape(12, 12).T  # axis 1 of the action along x
    np.testing.assert_allclose(axes.collections[0].get_array().reshape(12, 12), table)
    assert "dimension 1" in axes.get_xlabel() and "dimension 0" in axes.get_ylabel()
    assert len(axes.figure.legends[0].get_texts()) == 3


def test_half_of_what_is_shared_lies_above_its_level():
    assert plot.half_level(np.array([[0.1, 0.35], [0.25, 0.3]])) == 0.3
    assert plot.half_level(np.array([0.6, 0.4])) == 0.6


def test_values_beside_returns_are_drawn(exact):
    agent, found = exact
    both = {
        "exact": diagnostics.overestimation(agent, found, max_tail=1.0),
        "too much": diagnostics.overestimation(on_lqr("mpo", 1.5), found, max_tail=0.1),
    }
    axes = plot.overestimation(both)
    drawn(axes)
    np.testing.assert_array_equal(
        axes.lines[1].get_ydata(), both["too much"].along()[0]
    )
    assert [x.get_label() for x in axes.lines[:2]] == list(both)
    axes = plot.calibration(both)
    drawn(axes)
    value, got = both["too much"].pairs()
    np.testing.assert_allclose(
        axes.collections[2].get_offsets(), np.stack([got, value], 1)
    )


def test_gaps_are_drawn_beside_errors(exact):
    agent, found = exact
    line = diagnostics.critic_slice(agent, found.states()[:5], points=9)
    bias = diagnostics.overestimation(agent, found, max_tail=1.0)
    axes = plot.action_gap({"exact": line}, {"exact": bias})
    drawn(axes)
    gap, error = axes.lines
    np.testing.assert_array_equal(gap.get_xdata(), np.sort(line.gap))
    np.testing.assert_allclose(gap.get_ydata(), [0.2, 0.4, 0.6, 0.8, 1.0])
    value, got = bias.pairs()
    np.testing.assert_array_equal(error.get_xdata(), np.sort(np.abs(value - got)))


@pytest.mark.parametrize(
    ("broken", "rings"),
    [("critic.hidden_0.bias", 2), ("policy.net.output.kernel", 1), ("reward", 0)],
)
def test_the_first_bad_tensor_is_ringed(broken, rings):
    lines = [
        (steps, network, layer, 8, 0.1, 10.0 ** (steps / 20), 1.0 + steps)
        for steps in (0, 100, 120)
        for network in ("policy", "critic 1", "critic 2")
        for layer in ("hidden_0", "output")
    ]
    frame = pd.DataFrame(lines, columns=["env_steps", *diagnostics.LAYER_COLUMNS])
    panels = plot.layers(frame, broken)
    drawn(panels[0])
    assert [axes.get_title(loc="left") for axes in panels] == [*frame.network.unique()]
    marks = [line for axes in panels for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_xdata() for line in marks] == [[120]] * rings
    names = [text.get_text() for text in panels[0].figure.legends[0].get_texts()]
    assert names[-1] == f"first not finite: {broken}"
    ticks = [text.get_text() for text in panels[0].get_yticklabels()]
    assert {"1", "100", "10000"} <= {*ticks}  # of 6 decades
    assert not any("x" in line.get_marker() for line in plot.layers(frame)[0].lines)


def test_more_critics_and_layers_than_there_are_colours_are_drawn(two):
    found = diagnostics.critic_slice(two, STATES, points=20)
    many = found._replace(q=np.repeat(found.q, 10, axis=0))
    above, _ = plot.action_line(many)
    assert len({(x.get_color(), x.get_linestyle()) for x in above.lines}) == 20
    rows = [(0, "policy", f"hidden_{i}", 8, 0.1, 1.0, 1.0) for i in range(20)]
    frame = pd.DataFrame(rows, columns=["env_steps", *diagnostics.LAYER_COLUMNS])
    assert len(plot.layers(frame)[0].lines) == 40


def test_weights_are_drawn():
    weight = np.array([[0.7, 0.1], [0.2, 0.8], [0.1, 0.1]])
    axes = plot.weights(diagnostics.EStep(weight, weight, 1.0, True))
    drawn(axes)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0, 0.75, 0.9, 1.0])
    axes = plot.weights(diagnostics.EStep(weight, weight, 1.0, False))
    assert len(axes.lines[0].get_ydata()) == 7 and not axes.collections


def test_metrics_are_drawn_in_panels():
    lines = [
        ("e", "mpo", "mpo", "toy/lqr", seed, steps, metric, value * steps + seed, "")
        for metric, value in (("temperature", 1.0), ("kl_mean", 0.5))
        for seed in (0, 2)
        for steps in (10, 20)
    ]
    rows = pd.DataFrame(lines, columns=list(store.COLUMNS))
    told = {"temperature": "eta (reward units)", "kl_mean": "KL_mean", "nothing": "no"}
    first, second = plot.metrics(rows, "toy/lqr", told, logarithmic=["kl_mean"])
    drawn(first)
    titles = [axes.get_title(loc="left") for axes in (first, second)]
    assert titles == ["eta (reward units)", "KL_mean"]
    assert first.get_yscale() == "linear" and second.get_yscale() == "log"
    assert second.get_xlabel() == "environment steps"
    np.testing.assert_allclose(first.lines[-1].get_ydata(), [11.0, 21.0])
    (lone,) = plot.metrics(rows, "toy/lqr", ["kl_mean"])
    assert lone.get_title(loc="left") == "kl mean"
