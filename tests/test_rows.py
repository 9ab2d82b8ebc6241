"""One update of each row below AWAC, against its numbers: C24 and C27 to C33.

References are float64 numpy, plain loops, or formulas on paper. They share with coadapt
the layout of the parameters and the noise, nothing else. Plain SGD of rate 1 makes the
change of the parameters minus the gradient.
"""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from coadapt import agent, algorithms, learn, schema
from coadapt.agent.models import View
from coadapt.data import replay
from coadapt.data.episodes import Episodes
from coadapt.factors.pi_theta import Normal
from coadapt.networks import Init
from coadapt.ops import lagrange, weights
from coadapt.types import Action, Batch, EnvSpec, TimeStep, Transition

B, O, A = 8, 3, 2
ROUNDING = 1e-5  # float32, some tens of terms of size 1
H = 1e-6  # half the width of a central difference
SMALL = {"networks.policy.sizes": (5,), "networks.critic.sizes": (5,)}
LINEAR = {"networks.policy.sizes": (), "networks.critic.sizes": ()}
SMOOTH = {"networks.policy.activation": "tanh", "networks.critic.activation": "tanh"}
PLAIN = {
    "optim.policy": "SGD",
    "optim.policy.rate": 1.0,
    "optim.policy.momentum": 0.0,
    "optim.dual": "SGD",
    "optim.dual.rate": 1.0,
    "optim.dual.momentum": 0.0,
    "optim.clip": "none",
}


def preset(name, *changes):
    merged = dict(SMALL)
    for change in changes:
        merged |= change
    config = schema.override(algorithms.preset(name), merged)
    if config.networks.input_norm is not None:
        config = schema.override(config, {"networks.input_norm": "none"})
    return config


def spec_of(obs_size=O, action_size=A):
    return EnvSpec(
        task="none", obs_size=obs_size, action_size=action_size, max_steps=1000,
        provider="numbers",
    )  # fmt: skip


def noisy(tree, seed, size=0.3):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: x + jnp.asarray(size * rng.normal(size=x.shape), jnp.float32), tree
    )


def begin(config, obs_size=O, action_size=A):
    """A new agent whose critics and policy were moved to where nothing is 0."""
    state = agent.init(config, spec_of(obs_size, action_size), jax.random.key(0))
    return with_params(
        state,
        policy=noisy(state.params.policy, 1),
        critic=noisy(state.params.critic, 2),
    )


def with_params(state, **parts):
    return state._replace(params=state.params._replace(**parts))


def with_dual(state, **raws):
    raws = {name: jnp.asarray(raw, jnp.float32) for name, raw in raws.items()}
    return with_params(state, dual=state.params.dual | raws)


def f32(x):
    return jnp.asarray(x, jnp.float32)


def transitions(obs=None, action=None, seed=1):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(B, O)) if obs is None else obs
    size = len(obs)
    action = np.tanh(rng.normal(size=(size, A))) if action is None else action
    return Transition(
        obs=f32(obs),
        action=f32(action),
        reward=f32(rng.normal(size=size)),
        discount=f32(np.arange(size) != 2),
        last=jnp.arange(size) == 2,
        next_obs=f32(rng.normal(size=np.shape(obs))),
    )


compute_targets = jax.jit(agent.compute_targets)
compute_returns = jax.jit(agent.compute_returns)
settle = jax.jit(agent.end_of_iteration)
weighed = jax.jit(agent.weight_metrics)
solve = jax.jit(agent.solve)
distribution = jax.jit(agent.policy)


@jax.jit
def improve(config, state, batch, key=None, warm=None):
    key = jax.random.key(0) if key is None else key
    return agent.improve(config, state, batch, key, state.params.critic, warm)


def scored(transition, score, prior=None):
    return Batch(transition, jnp.zeros_like(transition.reward), None, f32(score), prior)


def close(a, b, tolerance=ROUNDING):
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=where)


def descent(before, after):
    """What was taken off the policy: the gradient, under PLAIN."""
    return jax.tree.map(jnp.subtract, before.params.policy, after.params.policy)


def doubles(tree, critic=...):
    return jax.tree.map(lambda x: np.array(x[critic], np.float64), tree)


def gradient(loss, params):
    """Central differences of loss(params) over each number of a tree of arrays."""

    def one(array):
        grad = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            kept = array[i]
            array[i] = kept + H
            above = loss(params)
            array[i] = kept - H
            grad[i] = (above - loss(params)) / (2 * H)
            array[i] = kept
        return grad

    return jax.tree.map(one, params)


def forward(net, x, activation=np.tanh):
    """A network in numpy, of tanh layers as SMOOTH makes them."""
    for i in range(len(net) - 1):
        layer = net[f"hidden_{i}"]
        x = activation(x @ layer["kernel"] + layer["bias"])
    return x @ net["output"]["kernel"] + net["output"]["bias"]


def q_of(net, obs, action):
    obs = np.broadcast_to(obs, (*action.shape[:-1], obs.shape[-1]))
    return forward(net, np.concatenate([obs, action], -1))[..., 0]


def qs_of(tree, obs, action):
    number = len(tree["output"]["bias"])
    return np.stack([q_of(doubles(tree, k), obs, action) for k in range(number)])


def log_normal(x, mean, std):
    each = -np.square((x - mean) / std) / 2 - np.log(std) - np.log(2 * np.pi) / 2
    return each.sum(-1)


def softmax(x):
    return np.exp(x - np.max(x)) / np.exp(x - np.max(x)).sum()


def bias_only(state, bias, scale=None):
    """A linear policy that says the same in all states."""
    kernel = jnp.zeros_like(state.params.policy["net"]["output"]["kernel"])
    net = {"output": {"kernel": kernel, "bias": f32(bias)}}
    scale = state.params.policy["scale"] if scale is None else f32(scale)
    return with_params(state, policy={"net": net, "scale": scale})


def bias_of(state):
    return state.params.policy["net"]["output"]["bias"]


# ---------------------------------------------------------------- sequences


class Steps:
    """Episodes one after the other, as `episodes.newest` shows a store's.

    A step that does not count stands in front; each episode has a row of observations
    more than steps.
    """

    def __init__(self, lengths, ends, obs_size=O, action_size=A, seed=5):
        rng, n = np.random.default_rng(seed), 1 + sum(lengths)
        self.ends, self.start, row = ends, [], [0]
        last, discount = np.zeros(n, bool), np.ones(n)
        last[0] = True
        for length, end in zip(lengths, ends, strict=True):
            first = len(row)
            self.start += [first] * length
            row += list(range(row[-1] + 2, row[-1] + 2 + length))
            last[first + length - 1] = end != "open"
            discount[first + length - 1] = float(end != "terminated")
        self.obs = rng.normal(size=(row[-1] + 2, obs_size))
        self.row, self.reward = np.array(row), rng.normal(size=n)
        self.action = np.tanh(rng.normal(size=(n, action_size)))
        self.last, self.discount, self.seen = last, discount, np.arange(n) > 0

    def given(self, **parts):
        for name, value in parts.items():
            setattr(self, name, value)
        return self

    @property
    def episodes(self):
        row = self.row.astype(np.int32)
        return Episodes(
            index=np.arange(len(row), dtype=np.int32),
            row=row,
            next_row=row + 1,
            action=self.action.astype(np.float32),
            reward=self.reward.astype(np.float32),
            discount=self.discount.astype(np.float32),
            last=self.last,
            seen=self.seen,
        )

    @property
    def rows(self):
        return f32(self.obs)

    def transition(self):
        """The steps that count, [C - 1]."""
        kept = jax.tree.map(lambda x: x[1:], self.episodes)
        obs, following = self.rows[kept.row], self.rows[kept.next_row]
        action = jnp.asarray(kept.action)
        rest = map(jnp.asarray, (kept.reward, kept.discount, kept.last))
        return Transition(obs, action, *rest, following)


THREE = ((3, 4, 2), ("terminated", "limit", "open"))


def values_of(state, steps):
    """V of each step's observation and of its successor, from one linear critic."""
    net = doubles(state.params.critic, 0)
    value = forward(net, steps.obs)[:, 0]
    return value[steps.row], value[steps.row + 1]


def rewards_from(steps, t, gamma, most):
    """Sums of up to `most` rewards from step t on, and the value after each of them."""
    total, weight, found = 0.0, 1.0, []
    for u in range(t, len(steps.row)):
        total += weight * steps.reward[u]
        weight *= gamma * steps.discount[u]
        found.append((total, weight, u))
        if steps.last[u] or len(found) == most:
            break
    return found


def n_step(steps, following, gamma, n):
    """Each step's return of n rewards, then V."""
    ends = [rewards_from(steps, t, gamma, n)[-1] for t in range(1, len(steps.row))]
    return np.array([total + weight * following[u] for total, weight, u in ends])


def lambda_return(steps, following, gamma, lam):
    """The weighted sum of all n-step returns, of which the longest takes the rest."""
    returns = []
    for t in range(1, len(steps.row)):
        found = rewards_from(steps, t, gamma, None)
        each = [total + weight * following[u] for total, weight, u in found]
        share = [(1 - lam) * lam**k for k in range(len(each) - 1)]
        returns.append(np.dot([*share, lam ** (len(each) - 1)], each))
    return np.array(returns)


RETURNS = [
    ("ppo", {"g_estimate.discount": 0.9, "g_estimate.lam": 0.8},
     lambda *args: lambda_return(*args, 0.9, 0.8)),
    ("vmpo_table1", {"g_estimate.discount": 0.9, "g_estimate.steps": 2},
     lambda *args: n_step(*args, 0.9, 2)),
    ("trpo_table1", {"g_estimate.discount": 0.9},
     lambda *args: n_step(*args, 0.9, None)),
]  # fmt: skip


@pytest.mark.parametrize("name, changes, reference", RETURNS, ids=["gae", "n", "mc"])
def test_returns_end_where_episodes_do_and_bootstrap_unless_they_terminate(
    name, changes, reference
):
    """GAE, NStep and MonteCarlo through a termination, a time limit and an open end."""
    config = preset(name, LINEAR, changes)
    state, steps = begin(config), Steps(*THREE)
    value, following = values_of(state, steps)
    expected = reference(steps, following)
    found = compute_returns(config, state, steps.rows, steps.episodes)
    close(found.target[1:], expected)
    score = expected - value[1:]
    if name != "vmpo_table1":  # over the steps that count
        score = (score - score.mean()) / score.std()
    close(found.score[1:], score)


# ---------------------------------------------------------------- C24: tabular EM


def objective(q, p, G, eta):
    return np.sum(q * (G / eta - np.log(q / p)))


def tabular():
    """One state of three arms: a softmax of biases, trained on each arm once."""
    steps = {"optim.policy.rate": 0.5, "pi_q.normalize": "batch", "bounds": "none"}
    config = preset(
        "rwr", LINEAR, PLAIN, steps, {"pi_theta": "Softmax", "pi_q.clip": "none"},
        {"pi_q.standardize": False},
    )  # fmt: skip
    state = bias_only(begin(config, 1, 3), np.zeros(3))
    return config, state, transitions(np.zeros((3, 1)), np.eye(3))


def test_the_objective_falls_in_no_e_step_and_in_no_m_step():
    """C24, with stochastic-gradient M-steps; the evidence is J + KL from the posterior.

    One sample of each arm stands for all: log p is added to its score.
    """
    config, state, arms = tabular()
    G, eta = np.array([1.0, 2.0, 3.0]), 1.0
    p = q = np.full(3, 1 / 3)
    for _ in range(20):
        before = objective(q, p, G, eta)
        score = f32(G + eta * np.log(p))[None]
        posterior = np.asarray(config.pi_q.weights(score, jnp.float32(eta)))[0] / 3
        evidence = np.log(np.sum(p * np.exp(G / eta)))
        gap = np.sum(q * np.log(q / posterior))
        assert before + gap == pytest.approx(evidence, abs=ROUNDING)
        dual = lagrange.temperature_dual(score.T, jnp.float32(eta), 0.0)
        assert dual / eta + np.log(3) == pytest.approx(evidence, abs=ROUNDING)
        after_e = objective(posterior, p, G, eta)
        assert after_e >= before - ROUNDING
        state, _ = improve(config, state, scored(arms, score[0]))
        q, p = posterior, softmax(np.asarray(bias_of(state), np.float64))
        assert objective(q, p, G, eta) >= after_e - ROUNDING
    assert p[2] > 0.8


def test_the_first_e_step_is_kl_controls_posterior():
    """C23: from a uniform start, softmax(G)."""
    config, _, _ = tabular()
    weight = config.pi_q.weights(jnp.array([[1.0, 2.0, 3.0]]), jnp.float32(1.0))
    np.testing.assert_allclose(weight[0] / 3, [0.090031, 0.244728, 0.665241], atol=1e-6)


def gaussian_em(*changes):
    """PoWER's configuration with one std, on one state: weights are exp(score)."""
    one = {"pi_theta.scale": "LearnedLogStd", "pi_p_update.ridge": 1e-6}
    return preset("power", LINEAR, PLAIN, one, *changes)


def weighted_moments(w, a):
    mean = np.sum(w[:, None] * a, 0) / w.sum()
    return mean, np.sqrt(np.sum(w[:, None] * (a - mean) ** 2, 0) / w.sum())


def test_the_m_step_of_a_gaussian_matches_moments():
    """C24: in closed form, and where gradient steps come to rest."""
    config, data = gaussian_em(), transitions(np.zeros((B, O)))
    w = np.random.default_rng(3).random(B)
    mean, std = weighted_moments(w, np.asarray(data.action, np.float64))
    state = bias_only(begin(config), np.array([5.0, -3.0]))
    batch = scored(data, np.log(w))
    state, _ = improve(config, state, batch)
    policy = distribution(config, state, state.params.policy, data.obs)
    np.testing.assert_allclose(policy.mean[0], mean, atol=ROUNDING)  # ridge 1e-6 too
    np.testing.assert_allclose(policy.std[0], std, rtol=ROUNDING)
    by_gradient = gaussian_em({"pi_p_update": "Gradient"})
    exact = bias_only(begin(by_gradient), mean, np.log(std))
    after, _ = improve(by_gradient, exact, batch)
    # gradients of size 1 / std of each action cancel over the batch
    close(descent(exact, after), jax.tree.map(jnp.zeros_like, exact.params.policy))


# ---------------------------------------------------------------- C27: PPO


FIXED = {"pi_theta.scale": "ConstantStd", "pi_theta.scale.value": 0.5}


@pytest.mark.parametrize("trust", ["KLPenalty", "ClippedRatio"])
def test_ppo_starts_an_epoch_along_the_policy_gradient(trust):
    """C27: the ratio is 1, and the penalty has no gradient."""
    config = preset("ppo", PLAIN, {"pi_q_update.trust_region": trust})
    state, data = begin(config), transitions()
    score = np.random.default_rng(4).normal(size=B)
    prior = distribution(config, state, state.params.policy, data.obs)

    def plain(policy):
        net, x = policy["net"], np.asarray(data.obs, np.float64)
        mean, std = forward(net, x), np.exp(policy["scale"])
        log_prob = log_normal(np.asarray(data.action, np.float64), mean, std)
        return -np.mean(log_prob * score)

    expected = gradient(plain, doubles(state.params.policy))
    after, metrics = improve(config, state, scored(data, score, prior))
    close(descent(state, after), expected)
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)


def quadrature(mean, std, *sizes):
    """Actions and weights whose sums are expectations under a Gaussian."""
    grids = [np.polynomial.hermite_e.hermegauss(n) for n in sizes]
    nodes = np.stack(np.meshgrid(*[g[0] for g in grids], indexing="ij"), -1)
    weight = np.prod(np.meshgrid(*[g[1] for g in grids], indexing="ij"), 0).ravel()
    return mean + std * nodes.reshape(-1, len(sizes)), weight / weight.sum()


@pytest.mark.parametrize("shift", [0.0, 0.4, 0.5, 0.6])
def test_ppo_comes_to_rest_where_the_penalty_balances_a_linear_advantage(shift):
    """C27: s^2 = .25, g = 2, beta = 1: shift s^2 g / beta = .5, KL .5 there."""
    config = preset("ppo", LINEAR, PLAIN, FIXED)
    action, weight = quadrature(0.3, 0.5, 15)
    advantage = 2.0 * (action[:, 0] - 0.3)
    data = transitions(np.zeros((15, O)), action)
    start = begin(config, O, 1)
    prior = Normal(jnp.full((15, 1), 0.3), jnp.full((15, 1), 0.5))
    state = bias_only(start, [0.3 + shift])
    batch = scored(data, 15 * weight * advantage, prior)
    after, metrics = improve(config, state, batch)
    pull = bias_of(state) - bias_of(after)
    # d/dshift of shift^2 beta / (2 s^2) - g shift; ratios of the outer nodes reach 1e2
    assert pull[0] == pytest.approx(shift / 0.25 - 2.0, abs=1e-4)
    assert metrics["kl"] == pytest.approx(shift**2 / 0.5, abs=ROUNDING)


@pytest.mark.parametrize(
    "kl, factor", [(0.0060, 0.5), (0.0068, 1.0), (0.0145, 1.0), (0.0155, 2.0)]
)
def test_settling_doubles_and_halves_the_penalty(kl, factor):
    """C27: target .01, edges .00667 and .015; steps that do not count are left out."""
    config = preset("ppo", LINEAR, FIXED)
    state = with_dual(bias_only(begin(config), np.zeros(A)), penalty=3.0)
    mean = np.zeros((B, A))
    mean[:6, 0] = np.sqrt(2 * kl) * 0.5
    mean[6:] = 9.0
    prior = Normal(f32(mean), jnp.full((B, A), 0.5))
    where = jnp.arange(B) < 6
    after, metrics = settle(config, state, jnp.ones((B, O)), jnp.zeros(B), prior, where)
    assert after.params.dual["penalty"] == 3.0 * factor
    assert metrics["kl"] == pytest.approx(kl, rel=1e-4)


def test_a_clipped_ratio_is_still_where_it_is_outside_and_would_gain():
    """Rows of a linear policy on one-hot states are the gradients of single steps."""
    config = preset(
        "ppo", LINEAR, PLAIN, FIXED, {"pi_q_update.trust_region": "ClippedRatio"}
    )
    ratio = np.array([1.5, 0.5, 1.5, 0.5, 1.1, 0.9])
    score = np.array([2.0, -1.0, -1.0, 2.0, 1.0, -1.0])
    # of N(0, .5) at .9, whose ratio is that where the mean was `old`
    old = 0.9 - np.sqrt(0.81 + 0.5 * np.log(ratio))
    data = transitions(np.eye(6), np.full((6, 1), 0.9))
    state = bias_only(begin(config, 6, 1), [0.0])
    prior = Normal(f32(old[:, None]), jnp.full((6, 1), 0.5))
    after, _ = improve(config, state, scored(data, score, prior))
    pull = descent(state, after)["net"]["output"]["kernel"][:, 0]
    inside = np.array([0, 0, 1, 1, 1, 1])  # or outside, where the ratio should return
    close(pull, -inside * score * ratio * 0.9 / 0.25 / 6)


# ---------------------------------------------------------------- C26: TRPO


def surrogate(policy, prior, data, score):
    """E[ratio A] and E KL(pi_p || pi) of a Gaussian with one std for all states."""
    obs, action = (np.asarray(x, np.float64) for x in (data.obs, data.action))
    old, old_std = doubles(prior.mean), doubles(prior.std)
    mean = forward(policy["net"], obs)
    std = np.broadcast_to(np.exp(policy["scale"]), mean.shape)
    ratio = np.exp(log_normal(action, mean, std) - log_normal(action, old, old_std))
    kl = np.log(std / old_std) + (old_std**2 + (old - mean) ** 2) / (2 * std**2) - 0.5
    return np.mean(ratio * score), np.mean(kl.sum(-1))


@pytest.mark.parametrize("radius", [0.01, 0.5])
def test_trpo_gains_within_its_radius(radius):
    config = preset("trpo_table1", {"pi_q_update.max_kl": radius})
    state, data = (
        begin(config),
        transitions(np.random.default_rng(2).normal(size=(32, O))),
    )
    score = np.random.default_rng(6).normal(size=32)
    prior = distribution(config, state, state.params.policy, data.obs)
    after, metrics = improve(config, state, scored(data, score, prior))
    before, _ = surrogate(doubles(state.params.policy), prior, data, score)
    gain, kl = surrogate(doubles(after.params.policy), prior, data, score)
    assert gain > before and 0.1 * radius < kl <= radius * (1 + 1e-4)  # float32
    assert metrics["kl"] == pytest.approx(kl, rel=1e-3, abs=1e-6)
    assert metrics["step_fraction"] in 0.5 ** np.arange(10)


@pytest.mark.long
def test_trpos_step_ends_where_weights_have_length_1():
    """And the KL that it stays within is that of the policy that it ends at."""
    changes = {"networks.policy": "SimbaV2", "networks.policy.blocks": 1}
    config = preset("trpo_table1")
    config = schema.override(config, changes | {"networks.policy.width": 4})
    state = agent.init(config, spec_of(), jax.random.key(0))
    data = transitions(np.random.default_rng(2).normal(size=(32, O)))
    prior = distribution(config, state, state.params.policy, data.obs)
    score = np.random.default_rng(6).normal(size=32)
    after, metrics = improve(config, state, scored(data, score, prior))
    assert metrics["step_fraction"] > 0
    for part in after.params.policy["net"].values():
        if "kernel" in part:
            lengths = np.linalg.norm(part["kernel"], axis=0)
            np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
    dist = distribution(config, after, after.params.policy, data.obs)
    kl = np.mean(np.asarray(config.pi_theta.kl(prior, dist)))
    assert metrics["kl"] == pytest.approx(kl, rel=1e-3) and kl <= 0.01 * (1 + 1e-4)


def test_trpo_takes_the_step_of_the_closed_form():
    """C26: g = (1, 2), var (.25, .04), delta .01, damping .1: the numbers."""
    std = np.array([0.5, 0.2])
    action, weight = quadrature(np.zeros(2), std, 3, 3)
    config = preset("trpo_table1", LINEAR)
    state = bias_only(begin(config), np.zeros(2), np.log(std))
    data = transitions(np.zeros((9, O)), action)
    prior = Normal(jnp.zeros((9, 2)), jnp.broadcast_to(f32(std), (9, 2)))
    score = 9 * weight * (action @ np.array([1.0, 2.0]))
    after, metrics = improve(config, state, scored(data, score, prior))
    np.testing.assert_allclose(bias_of(after), [0.054317, 0.017745], atol=2e-6)
    assert metrics["kl"] == pytest.approx(0.009837, abs=2e-6)
    assert metrics["step_fraction"] == 1.0
    close(after.params.policy["scale"], np.log(std))  # a linear A leaves the std alone


def test_trpos_mean_kl_is_that_of_a_dimension():
    """C26 with delta and damping twice as large, as there are two dimensions."""
    g, std = np.array([1.0, 2.0]), np.array([0.5, 0.2])
    action, weight = quadrature(np.zeros(2), std, 3, 3)
    config = preset("trpo_table1", LINEAR, {"pi_q_update.kl": "mean"})
    state = bias_only(begin(config), np.zeros(2), np.log(std))
    prior = Normal(jnp.zeros((9, 2)), jnp.broadcast_to(f32(std), (9, 2)))
    batch = scored(transitions(np.zeros((9, O)), action), 9 * weight * (action @ g))
    after, metrics = improve(config, state, batch._replace(prior=prior))
    x = g / (std**-2 + 0.2)
    step = np.sqrt(2 * 0.02 / (x @ g)) * x
    np.testing.assert_allclose(bias_of(after), step, atol=2e-6)
    assert metrics["kl"] == pytest.approx(np.sum((step / std) ** 2) / 2, abs=4e-6)


@pytest.mark.parametrize(
    "changes, fraction",
    [
        ({}, 0.5),
        ({"pi_q_update.backtrack_coeff": 0.8}, 0.8),
        ({"pi_q_update.kl_direction": "reverse"}, 1.0),
    ],
    ids=["forward", "a longer second trial", "reverse"],
)
def test_trpo_takes_a_whole_step_to_a_smaller_std_by_the_reverse_kl_alone(
    changes, fraction
):
    """A log std x has 2 x^2 / 2 of the KL either way, and the rest on another side.

    KL(old || new) = x + exp(-2 x) / 2 - 1/2, so .0102 at the whole step of -.0976; its
    reverse -x + exp(2 x) / 2 - 1/2, which is .0089 there.
    """
    action, weight = quadrature(np.zeros(2), np.ones(2), 3, 3)
    config = preset("trpo_table1", LINEAR, changes)
    state = bias_only(begin(config), np.zeros(2), np.zeros(2))
    prior = Normal(jnp.zeros((9, 2)), jnp.ones((9, 2)))
    score = -9 * weight * action[:, 0] ** 2
    batch = scored(transitions(np.zeros((9, O)), action), score, prior)
    after, metrics = improve(config, state, batch)
    x = -fraction * np.sqrt(0.02 / 2.1)  # 0.1 is the damping
    np.testing.assert_allclose(after.params.policy["scale"], [x, 0.0], atol=2e-6)
    assert metrics["step_fraction"] == pytest.approx(fraction, rel=ROUNDING)
    way = -1 if "pi_q_update.kl_direction" in changes else 1
    kl = way * x + np.exp(-2 * way * x) / 2 - 0.5
    assert metrics["kl"] == pytest.approx(kl, abs=2e-6)


@pytest.mark.parametrize(
    "radius, scale", [(0.01, 0.0), (0.01, np.nan), (1e4, 1.0)], ids=["0", "nan", "far"]
)
def test_trpo_stays_where_no_step_is_accepted(radius, scale):
    """No gain at all, nothing finite, or a step so long that it only loses."""
    changes = {"pi_q_update.max_kl": radius, "pi_q_update.max_backtracks": 1}
    config = preset("trpo_table1", changes)
    state, data = begin(config), transitions()
    prior = distribution(config, state, state.params.policy, data.obs)
    score = scale * np.random.default_rng(4).normal(size=B)
    after, metrics = improve(config, state, scored(data, score, prior))
    close(after.params.policy, state.params.policy, 0.0)
    assert metrics["step_fraction"] == 0.0


# ---------------------------------------------------------------- C28: PoWER, RWR


def c28(scale):
    """Four steps of rewards 1 to 4 and one of 0, which is the least: weights 1 to 4."""
    config = preset(
        "power", LINEAR, {"pi_theta.scale": scale},
        {"pi_p_update.ridge": 0.0, "g_estimate.discount": 0.0},
    )  # fmt: skip
    steps = Steps((5,), ("terminated",), 1, 1)
    reward = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 0.0])
    action = np.array([[9.0], [0.0], [1.0], [1.0], [3.0], [2.0]])
    obs = np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [3.0], [1.0], [0.0]])
    assert steps.row.tolist() == [0, 2, 3, 4, 5, 6]
    return (
        config,
        begin(config, 1, 1),
        steps.given(reward=reward, action=action, obs=obs),
    )


@pytest.mark.parametrize("scale", ["LearnedStd", "LearnedLogStd"])
@pytest.mark.parametrize("unit", [1.0, 7.0])
def test_power_is_weighted_regression(scale, unit):
    """C28: theta = (-.3, 1), variance .21, and the same of weights times 7."""
    config, state, steps = c28(scale)
    steps.reward = unit * steps.reward + 2.0  # a shift is taken off again
    computed = compute_returns(config, state, steps.rows, steps.episodes)
    weight = np.exp(computed.score[1:])
    np.testing.assert_allclose(weight[:4] / unit, [1, 2, 3, 4], rtol=ROUNDING)
    assert weight[4] <= 1e-6  # its Q is 0
    data = steps.transition()
    after, metrics = improve(config, state, scored(data, computed.score[1:]))
    policy = distribution(config, after, after.params.policy, data.obs)
    output = after.params.policy["net"]["output"]
    # a condition of 10 times the rounding of sums to 10
    np.testing.assert_allclose(output["bias"], -0.3, atol=2e-5)
    np.testing.assert_allclose(output["kernel"], 1.0, atol=2e-5)
    np.testing.assert_allclose(np.square(policy.std), 0.21, rtol=1e-4)
    rows, w = np.column_stack([[0, 1, 2, 3], np.ones(4)]), np.arange(1, 5) / 10
    condition = np.linalg.cond(rows.T @ (w[:, None] * rows))
    assert metrics["condition"] == pytest.approx(condition, rel=1e-3)


@pytest.mark.parametrize("size", [3333, 5000, 65_537])
def test_equal_weights_are_seen_as_equal(size):
    """What a report says of them rests on it: a mean of float32, to 1e-6."""
    fraction = jax.jit(weights.effective_fraction)
    for weight in (1e-8, 0.3, 7.1):
        assert float(fraction(jnp.full((1, size), weight))) >= 1 - 1e-6


@pytest.mark.parametrize("shift, equal", [("reward", True), ("return", False)])
def test_a_constant_reward_teaches_power_by_its_returns_alone(shift, equal):
    config, state, steps = c28("LearnedStd")
    config = schema.override(config, {"g.shift": shift, "g_estimate.discount": 0.9})
    steps.reward = np.full(6, 2.0)
    computed = compute_returns(config, state, steps.rows, steps.episodes)
    _, metrics = improve(config, state, scored(steps.transition(), computed.score[1:]))
    assert (float(metrics["effective_fraction"]) >= 1 - 1e-6) == equal


def test_power_explores_by_its_features_and_fits_their_noise():
    """Settings 3.1: the regression counts a step by w / var(s), then a step of EM."""
    config = preset("power", LINEAR, {"pi_p_update.ridge": 0.0})
    state, data = begin(config), transitions()
    w = np.random.default_rng(3).random(B) + 0.1
    after, metrics = improve(config, state, scored(data, np.log(w)))
    phi = np.column_stack([np.asarray(data.obs, np.float64), np.ones(B)])
    action, old = np.asarray(data.action, np.float64), doubles(state.params.policy)
    v, conditions = np.exp(old["scale"]), []
    for a in range(A):
        variance = phi**2 @ v[:, a]
        precision = w / variance
        gram = phi.T @ (precision[:, None] * phi)
        theta = np.linalg.solve(gram, phi.T @ (precision * action[:, a]))
        conditions.append(np.linalg.cond(gram))
        found = after.params.policy["net"]["output"]
        # float32 through a system of a condition of some tens
        np.testing.assert_allclose(found["kernel"][:, a], theta[:-1], atol=1e-4)
        np.testing.assert_allclose(found["bias"][a], theta[-1], atol=1e-4)
        gain = v[:, a] * phi / variance[:, None]
        moment = (gain * (action[:, a] - phi @ theta)[:, None]) ** 2
        moment += v[:, a] * (1 - gain * phi)
        expected = np.maximum((w @ moment) / w.sum(), 1e-3)
        fitted = np.exp(after.params.policy["scale"][:, a])
        np.testing.assert_allclose(fitted, expected, rtol=1e-3)
    assert metrics["condition"] == pytest.approx(max(conditions), rel=1e-3)


def bandit_returns(outlier):
    """Sixteen episodes of a step each, one of them far better than the others."""
    steps = Steps((1,) * 16, ("terminated",) * 16)
    steps.reward = np.r_[0.0, outlier, np.random.default_rng(0).normal(size=15)]
    return steps


@pytest.mark.parametrize("outlier, clipped", [(1.0, False), (50.0, True)])
def test_rwr_fits_by_exponential_weights_of_standardised_returns(outlier, clipped):
    """Settings 3.2: w = min(exp((R - mean) / std), 20), loss -mean w log pi."""
    config = preset("rwr", LINEAR, PLAIN, {"bounds": "none"})
    state, steps = begin(config), bandit_returns(outlier)
    computed = compute_returns(config, state, steps.rows, steps.episodes)
    R = steps.reward[1:]
    w = np.minimum(np.exp((R - R.mean()) / R.std()), 20.0)
    assert (w.max() == 20.0) == clipped
    data = steps.transition()
    after, _ = improve(config, state, scored(data, computed.score[1:]))
    obs, action = (np.asarray(x, np.float64) for x in (data.obs, data.action))
    force = w[:, None] * (action - forward(doubles(state.params.policy)["net"], obs))
    force = -force / 0.4**2 / 16
    output = {"kernel": obs.T @ force, "bias": force.sum(0)}
    # the weights are exponentials of float32, up to 20, over a variance of .16
    close(descent(state, after)["net"]["output"], output, 1e-4)


def test_rwr_weights_forget_a_constant_and_are_1_without_differences():
    """C28."""
    config = preset("rwr")
    state, steps = begin(config), bandit_returns(2.0)
    first = compute_returns(config, state, steps.rows, steps.episodes).score
    steps.reward = steps.reward + 10.0
    close(compute_returns(config, state, steps.rows, steps.episodes).score, first, 1e-4)
    steps.reward = np.full(17, 3.0)
    same = compute_returns(config, state, steps.rows, steps.episodes).score[None, 1:]
    close(config.pi_q.weights(same, jnp.float32(1.0)), np.ones((1, 16)))


def test_rwr_finds_its_temperature_as_the_mean_cost_under_the_weights():
    """Settings 3.2: sum u c / sum u, u = exp(-c / eta), of what counts."""
    changes = {"pi_q_update.temperature": "ExponentialTemperature"}
    config = preset("rwr", changes)
    state = with_dual(begin(config), temperature=0.7)
    score = np.random.default_rng(0).normal(size=B)
    score[6:] = 50.0
    obs, where = jnp.zeros((B, O)), jnp.arange(B) < 6
    after, _ = settle(config, state, obs, f32(score), None, where)
    cost = score[:6].max() - score[:6]
    u = np.exp(-cost / 0.7)
    expected = np.sum(u * cost) / u.sum()
    assert after.params.dual["temperature"] == pytest.approx(expected, rel=ROUNDING)


# ---------------------------------------------------------------- C29: REPS


def test_reps_solves_its_dual_and_matches_features():
    """C29: sum p log(n p) = epsilon; features are where they came from, but for the
    starts, which come from outside, and the ridge. A termination leads to a state that
    is never left, which counts gamma / (1 - gamma) times, and whose own inflow and
    outflow balance too."""
    gamma, ridge, epsilon = 0.9, 1e-2, 0.3
    config = preset(
        "reps", LINEAR,
        {"networks.critic.features": "none", "g_estimate.discount": gamma},
        {"g_estimate.ridge": ridge, "pi_q_update.temperature.epsilon": epsilon},
    )  # fmt: skip
    state, steps = begin(config), Steps((6, 7, 5), THREE[1])
    steps.reward[0] = 100.0  # does not count
    after, metrics = solve(config, state, steps.rows, steps.episodes)
    assert metrics["dual_gradient"] < 5e-6  # the tolerance is 1e-6; float32 sums
    value, following = (x[1:] for x in values_of(after, steps))
    goes_on = steps.discount[1:]
    flow, terminal = gamma * goes_on, float(after.params.dual["terminal"])
    delta = steps.reward[1:] + flow * following - value
    delta += gamma * (1 - goes_on) * terminal
    eta = 1e-4 + np.exp(np.float64(after.params.dual["temperature"]))
    ends = np.sum(goes_on == 0) * gamma / (1 - gamma)
    assert ends > 0
    base = np.r_[np.ones(len(delta)), ends]
    base /= base.sum()
    both = base * np.exp(np.r_[delta, (gamma - 1) * terminal] / eta)
    both /= both.sum()
    assert np.sum(both * np.log(both / base)) == pytest.approx(epsilon, abs=2e-3 / eta)
    p, after_end = both[:-1], both[-1]
    inflow = p @ (1 - goes_on)
    assert gamma * inflow == pytest.approx((1 - gamma) * after_end, abs=1e-3)
    n = len(p)
    phi = np.column_stack([steps.obs, np.ones(len(steps.obs))])
    moved = flow[:, None] * phi[steps.row[1:] + 1] - phi[steps.row[1:]]
    first = phi[steps.row[sorted(set(steps.start))]]
    output = doubles(after.params.critic, 0)["output"]
    theta = np.r_[output["kernel"][:, 0], output["bias"]]
    balance = p @ moved + (1 - gamma) * first.mean(0) + ridge * theta
    np.testing.assert_allclose(balance, 0.0, atol=2e-5)
    computed = compute_returns(config, after, steps.rows, steps.episodes)
    close(computed.score[1:], delta, 1e-4)
    weight = config.pi_q.weights(computed.score[None, 1:], f32(eta))
    np.testing.assert_allclose(weight[0] / n, p / p.sum(), atol=1e-4)
    assert np.mean(weight) == pytest.approx(1.0, abs=ROUNDING)


def test_reps_has_one_v_wherever_its_search_begins():
    """The gradient's tolerance of 1e-6 over a ridge of 1e-3, from each side, and as
    much again for float32's rounding of the gradient."""
    config = preset("reps", LINEAR, {"networks.critic.features.number": 8})
    state, steps = begin(config), Steps((6, 7, 5), THREE[1])
    found = []
    for scale in (0.0, 1.0, -10.0):
        critic = jax.tree.map(
            lambda x, s=scale: jnp.full_like(x, s), state.params.critic
        )
        start = state._replace(params=state.params._replace(critic=critic))
        after, _ = solve(config, start, steps.rows, steps.episodes)
        output = after.params.critic["output"]
        assert (output["bias"] == 0).all()
        found.append(np.asarray(output["kernel"]))
    assert np.abs(found[0]).max() > 0.1
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=4e-3)


def test_reps_with_a_given_temperature_solves_for_the_value_alone():
    changes = {
        "networks.critic.features": "none",
        "pi_q_update.temperature": "ConstantTemperature",
        "pi_q_update.temperature.value": 0.8,
        "g_estimate.ridge": 1e-2,
    }
    config = preset("reps", LINEAR, changes)
    state, steps = begin(config), Steps((6, 7, 5), THREE[1])
    after, _ = solve(config, state, steps.rows, steps.episodes)
    seen, end = steps.episodes, float(after.params.dual["terminal"])

    def dual(output):
        value = (steps.obs @ output["kernel"] + output["bias"])[:, 0]
        row = steps.row[1:]
        follows = steps.discount[1:] * value[row + 1] + (1 - steps.discount[1:]) * end
        delta = (steps.reward[1:] + 0.99 * follows - value[row]) / 0.8
        count = 99.0 * np.sum(steps.discount[1:] == 0)
        delta = np.append(delta, -0.01 * end / 0.8 + np.log(count))
        first = value[steps.row[sorted(set(steps.start))]].mean()
        squares = sum(np.sum(x**2) for x in output.values())
        log_mean = logsumexp(delta) - np.log(len(row) + count)
        return 0.8 * log_mean + 0.01 * first + 1e-2 * squares / 2

    assert seen.seen.sum() == 18
    flat = gradient(dual, doubles(after.params.critic, 0)["output"])
    np.testing.assert_allclose(
        np.r_[flat["kernel"].ravel(), flat["bias"]], 0, atol=1e-3
    )
    assert set(after.params.dual) == {"terminal"}


# ---------------------------------------------------------------- C30: UREX


def urex(*changes):
    return preset("urex", LINEAR, PLAIN, {"pi_theta": "Softmax"}, *changes)


UNIFORM = {"pi_p": "Uniform"}


@pytest.mark.parametrize("base", [{}, UNIFORM], ids=["pi_p", "uniform"])
def test_urex_weighs_the_episodes_of_a_bandit(base):
    """C30: R = (1, 2, 3), tau = 1, pi = (.2, .3, .5)."""
    config = urex(base, {"pi_q_update.temperature.value": 1.0})
    state = bias_only(begin(config, O, 3), np.log([0.2, 0.3, 0.5]))
    steps = Steps((1, 1, 1), ("terminated",) * 3, O, 3)
    steps.reward = np.array([7.0, 1.0, 2.0, 3.0])
    steps.action = np.eye(3)[[0, 0, 1, 2]]
    found = compute_returns(config, state, steps.rows, steps.episodes).score[1:]
    expected = [0.173376, 0.314190, 0.512434] if base else softmax(np.arange(3.0))
    np.testing.assert_allclose(found / 3, expected, atol=1e-6)  # as printed


def long_episodes():
    """Of 2, 3 and 1 steps and actions of 3, and an open end that does not count."""
    steps = Steps((2, 3, 1, 2), ("terminated", "limit", "terminated", "open"), O, 3)
    steps.action = np.eye(3)[np.random.default_rng(0).integers(3, size=9)]
    steps.seen = steps.seen & (np.arange(9) < 7)
    return steps, (slice(1, 3), slice(3, 6), slice(6, 7))


def episode_sums(state, steps, parts):
    """Discounted returns and log-probabilities of whole episodes."""
    net = doubles(state.params.policy)["net"]
    logits = forward(net, steps.obs[steps.row])
    log_prob = np.sum(steps.action * logits, -1) - logsumexp(logits, axis=-1)
    power = [0.99 ** np.arange(part.stop - part.start) for part in parts]
    R = [np.sum(g * steps.reward[part]) for g, part in zip(power, parts, strict=True)]
    return np.array(R), np.array([log_prob[part].sum() for part in parts])


@pytest.mark.parametrize("base", [{}, UNIFORM], ids=["pi_p", "uniform"])
@pytest.mark.parametrize("climb", [False, True], ids=["fit", "reward"])
@pytest.mark.parametrize("standard", [False, True], ids=["raw", "standard"])
def test_urex_weighs_every_step_as_its_episode(base, climb, standard):
    """Settings 3.4: the mean over steps is the mean over episodes of their sums."""
    tau = 0.4
    toggles = {"pi_q.expected_return": climb, "pi_q.standardize": standard}
    config = urex(base, toggles, {"pi_q_update.temperature.value": tau})
    state = begin(config, O, 3)
    steps, parts = long_episodes()
    R, log_prob = episode_sums(state, steps, parts)
    R = (R - R.mean()) / R.std() if standard else R
    w = 3 * softmax((R - tau * log_prob if base else R) / tau)
    if climb:
        w = R + tau * w - np.mean(R + tau * w)
    score = np.asarray(compute_returns(config, state, steps.rows, steps.episodes).score)
    for part, weight in zip(parts, w, strict=True):
        np.testing.assert_allclose(score[part], 2 * weight, atol=2e-5)  # 6 / 3 steps
    total = sum(score[part][0] for part in parts)
    assert total == pytest.approx(0.0 if climb else 6.0, abs=2e-5)
    assert np.all(score[7:] == 0)  # the open end


@pytest.mark.parametrize("tau, number", [(1e6, 36 / 14), (1e-3, 1.0)])
def test_episodes_that_urex_weighs_are_counted_by_their_weight(tau, number):
    """By all of their steps, of 2, 3 and 1: equal weights count as 36 / (4 + 9 + 1)."""
    config = urex({"pi_q_update.temperature.value": tau})
    state, (steps, _) = begin(config, O, 3), long_episodes()
    score = compute_returns(config, state, steps.rows, steps.episodes).score
    found = weighed(config, state, score, steps.episodes)
    # float32; the temperature of 1e6 leaves weights of 1 +- 1e-6
    assert float(found["effective_episodes"]) == pytest.approx(number, rel=1e-5)
    one = steps.episodes._replace(seen=jnp.arange(9) == 6)
    assert np.isnan(weighed(config, state, score, one)["effective_episodes"])


def test_episodes_that_power_weighs_are_counted_too():
    """Rewards above the least are its weights: of two episodes 1 and 9, 100 / 82."""
    config = c28("LearnedStd")[0]
    steps = Steps((2, 3), ("terminated", "terminated"), 1, 1)
    steps.reward = np.arange(-1.0, 5.0)
    state = begin(config, 1, 1)
    score = compute_returns(config, state, steps.rows, steps.episodes).score
    found = weighed(config, state, score, steps.episodes)["effective_episodes"]
    assert float(found) == pytest.approx(100 / 82, rel=1e-5)  # float32


def test_urex_climbs_the_log_probabilities_of_episodes():
    config = urex(UNIFORM, {"pi_q.expected_return": True})
    state = begin(config, O, 3)
    steps, parts = long_episodes()
    R, log_prob = episode_sums(state, steps, parts)
    w = R + 0.1 * 3 * softmax((R - 0.1 * log_prob) / 0.1)
    w = w - w.mean()

    def loss(net):
        moved = with_params(state, policy={"net": net, "scale": None})
        return -np.mean(w * episode_sums(moved, steps, parts)[1])

    expected = gradient(loss, doubles(state.params.policy)["net"])
    score = compute_returns(config, state, steps.rows, steps.episodes).score
    data = jax.tree.map(lambda x: x[:6], steps.transition())
    after, _ = improve(config, state, scored(data, score[1:7]))
    close(descent(state, after)["net"], expected, 1e-4)  # scores over tau = .1


# ---------------------------------------------------------------- C31: V-MPO


def vmpo(*changes):
    return preset("vmpo_table1", LINEAR, PLAIN, *changes)


def test_vmpo_learns_from_the_best_half_alone():
    """C31: rows of a linear policy on one-hot states are gradients of single steps."""
    config = vmpo()
    score = np.array([-1.0, 0.0, 1.0, 2.0])
    data = transitions(np.eye(4), np.random.default_rng(1).normal(size=(4, A)))
    state = begin(config, 4)
    prior = distribution(config, state, state.params.policy, data.obs)
    after, _ = improve(config, state, scored(data, score, prior))
    pull = descent(state, after)["net"]["output"]["kernel"]
    psi = np.array([0.0, 0.0, 0.268941, 0.731059])[:, None]
    mean, std = (np.asarray(x, np.float64) for x in prior)
    z = (np.asarray(data.action, np.float64) - mean) / std
    close(pull[:, :A], -psi * z / std, 2e-5)
    head = forward(doubles(state.params.policy)["net"], np.eye(4))[:, A:]
    slope = 0.5 / 0.6931 / (1 + np.exp(-head))
    close(pull[:, A:], -psi * (np.square(z) - 1) / std * slope, 2e-5)
    # a prior at the policy itself has a KL of 0 with a gradient of 0: float32's rest
    assert np.max(np.abs(pull[:2])) < 1e-6


@pytest.mark.parametrize("epsilon, sign", [(0.01, 1), (0.2, -1)])
def test_vmpo_moves_its_temperature_towards_epsilon(epsilon, sign):
    """C31: dL/deta = epsilon - .110944 at eta = 1, and eta = softplus(raw)."""
    config = vmpo({"pi_q_update.temperature.epsilon": epsilon})
    data = transitions(np.eye(4), np.zeros((4, A)))
    state = begin(config, 4)
    prior = distribution(config, state, state.params.policy, data.obs)
    batch = scored(data, [2.0, -1.0, 1.0, 0.0], prior)
    after, metrics = improve(config, state, batch)
    raw = float(state.params.dual["temperature"])
    change = float(after.params.dual["temperature"]) - raw
    slope = 1 / (1 + np.exp(-raw))
    # .5413 has 4 digits of softplus's inverse of 1
    assert change == pytest.approx(-(epsilon - 0.110944) * slope, abs=2e-5)
    assert np.sign(change) == sign
    assert metrics["temperature"] == pytest.approx(1.0, abs=5e-5)


REGION = "pi_p_update.trust_region"


def parts_of_kl(old, old_std, mean, std):
    """KL(old || new) of means and of stds [A], over states."""
    return {
        "mean": np.mean(np.square((mean - old) / old_std), 0) / 2,
        "std": np.mean(np.log(std / old_std) + (old_std / std) ** 2 / 2 - 0.5, 0),
    }


@pytest.mark.parametrize("per_dimension", [False, True])
@pytest.mark.parametrize("likelihood", ["joint", "split"])
def test_vmpo_fits_the_likelihood_that_it_is_told(likelihood, per_dimension):
    """Away from pi_old, where both readings differ, by central differences."""
    config = vmpo({f"{REGION}.likelihood": likelihood})
    config = schema.override(config, {f"{REGION}.per_dimension": per_dimension})
    data, state = transitions(), begin(config)
    prior = distribution(config, state, noisy(state.params.policy, 8), data.obs)
    obs, action = (np.asarray(x, np.float64) for x in (data.obs, data.action))
    old, old_std = doubles(tuple(prior))
    psi = np.where(np.arange(B) < 4, 0.0, np.exp(np.arange(B) - 7.0))
    psi /= psi.sum()

    def loss(net):
        mean, raw = np.split(forward(net, obs), 2, axis=-1)
        std = 0.5 * np.log1p(np.exp(raw)) / 0.6931 + 1e-6
        fit = log_normal(action, mean, std)
        if likelihood == "split":
            fit = log_normal(action, mean, old_std) + log_normal(action, old, std)
        kl = parts_of_kl(old, old_std, mean, std)
        alpha = np.log1p(np.exp(0.5413))
        return sum(alpha * value.sum() for value in kl.values()) - psi @ fit

    expected = gradient(loss, doubles(state.params.policy)["net"])
    after, _ = improve(config, state, scored(data, np.arange(B), prior))
    close(descent(state, after)["net"], expected, 5e-5)  # stds of .3 enter squared


@pytest.mark.parametrize("per_dimension", [False, True])
def test_vmpo_steps_each_multiplier_by_its_kl(per_dimension):
    """Settings 3.5: alpha (epsilon - KL), KL of the mean and of the std apart; of the
    sum over dimensions, or of each."""
    config = vmpo({f"{REGION}.per_dimension": per_dimension})
    data, state = transitions(), begin(config)
    prior = distribution(config, state, noisy(state.params.policy, 8), data.obs)
    after, _ = improve(config, state, scored(data, np.arange(B), prior))
    now = distribution(config, state, state.params.policy, data.obs)
    (mean, std), (old, old_std) = (doubles(tuple(x)) for x in (now, prior))
    epsilon = {"mean": 7e-3, "std": 1.6e-5}
    for name, value in parts_of_kl(old, old_std, mean, std).items():
        value = value if per_dimension else value.sum()
        raw = np.asarray(state.params.dual[name], np.float64)
        expected = raw - (epsilon[name] - value) / (1 + np.exp(-raw))
        close(after.params.dual[name], expected)


# ---------------------------------------------------------------- C32: DDPG, TD3


@pytest.mark.parametrize("name", ["ddpg", "td3"])
def test_a_deterministic_policy_climbs_the_first_critic(name):
    """C32: against central differences of -mean Q_1(s, mu(s))."""
    config = preset(name, SMOOTH, PLAIN)
    state, data = begin(config), transitions()
    obs, critic = np.asarray(data.obs, np.float64), doubles(state.params.critic, 0)

    def loss(net):
        return -np.mean(q_of(critic, obs, np.tanh(forward(net, obs))))

    expected = gradient(loss, doubles(state.params.policy)["net"])
    after, _ = improve(config, state, Batch(data, data.reward, None, None))
    close(descent(state, after)["net"], expected)


def apart(state):
    """The same agent with targets away from its networks."""
    return state._replace(target=noisy(state.target, 11))


@pytest.mark.parametrize("std, limit, clipped", [(0.1, 0.5, False), (2.0, 0.5, True)])
def test_td3_takes_the_minimum_at_a_smoothed_action_in_the_box(std, limit, clipped):
    """C32: noise within +-limit, the action in the box, the lower of both critics."""
    changes = {"g_estimate.smoothing.std": std, "g_estimate.smoothing.limit": limit}
    config = preset("td3", SMOOTH, changes)
    state, data, key = apart(begin(config)), transitions(), jax.random.key(3)
    own = jax.random.fold_in(key, 2)  # apart from the noise of a stochastic policy
    noise = np.asarray(std * jax.random.normal(own, (1, B, A)), np.float64)[0]
    noise = np.clip(noise, -limit, limit)
    obs = np.asarray(data.next_obs, np.float64)
    mu = np.tanh(forward(doubles(state.target.policy)["net"], obs))
    action = np.clip(mu + noise, -1, 1)
    assert np.any(np.abs(noise) == limit) == np.any(np.abs(action) == 1) == clipped
    values = qs_of(state.target.critic, obs, action)
    assert len(set(np.argmin(values, 0))) == 2
    reward, discount = np.asarray(data.reward), np.asarray(data.discount)
    for k in range(2):  # the minimum is at most either
        assert np.all(values.min(0) <= values[k])
    expected = reward + 0.99 * discount * values.min(0)
    close(compute_targets(config, state, data, key).target, expected)


def test_td3_without_its_three_changes_is_ddpg():
    """C32: as values, so in everything they do."""
    changes = {
        "g_estimate.smoothing": "none",
        "g_estimate.critics": 1,
        "schedule.critic_steps": 1,
        "data.update_every": 1,
    }
    config = schema.override(algorithms.preset("td3"), changes)
    assert config == algorithms.preset("ddpg")


def filled(n, spec):
    """A store of n random transitions."""
    store = replay.init(spec, replay.size(n), jnp.zeros(O))
    add = jax.jit(replay.add)
    for i, row in enumerate(np.random.default_rng(0).normal(size=(n, O + A + 1))):
        obs, last = f32(row[:O]), jnp.asarray(i % 5 == 4)
        step = TimeStep(obs, f32(row[-1]), jnp.ones(()), last, obs)
        store = add(store, Action(f32(np.tanh(row[O:-1])), None), step)
    return store


def counts(state):
    """How often each optimiser has stepped."""
    leaves = jax.tree_util.tree_leaves_with_path(state.opt)
    found = {"policy": set(), "critic": set()}
    for path, leaf in leaves:
        if jax.tree_util.keystr(path).endswith(".count"):
            found[path[0].name].update(np.ravel(leaf).tolist())
    return found


def test_td3_moves_policy_and_targets_with_every_second_critic_step():
    """C32: an update is two critic steps, then one of the policy and all targets."""
    config = preset("td3", {"data.batch_size": 4, "target.critic.rate": 0.25})
    state = apart(begin(config))
    store, clock = filled(20, spec_of()), learn.Clock(np.int32(0), np.int32(0))
    update = jax.jit(learn.learn)
    after, _ = update(config, state, store, jnp.uint32(0), clock)
    assert counts(after) == {"policy": {1}, "critic": {2}}
    for name, rate in (("critic", 0.25), ("policy", 5e-3)):
        old = getattr(state.target, name)
        new = getattr(after.params, name)
        expected = jax.tree.map(lambda a, b, r=rate: a + r * (b - a), old, new)
        close(getattr(after.target, name), expected, 1e-6)
    moved = jax.tree.map(jnp.subtract, after.params.critic, state.params.critic)
    largest = max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(moved))
    assert 1.1e-3 < largest <= 2.1e-3  # two steps of Adam at 1e-3


# ---------------------------------------------------------------- C33: BRAC, BEAR


def brac(*changes):
    return preset("brac", SMOOTH, PLAIN, {"data.dataset": "x"}, *changes)


def bear(*changes):
    small = {"pi_p.model.sizes": (5,), "data.dataset": "x"}
    return preset("bear", SMOOTH, PLAIN, small, *changes)


def divergence_of(config, state, obs, key, samples):
    dist = agent.policy(config, state, state.params.policy, obs)
    raw = config.pi_theta.draw(dist, key, samples)
    return raw, divergence(config, state, dist, raw, obs, key)


@jax.jit
def divergence(config, state, dist, raw, obs, key):
    return config.pi_p.divergence(View(config, state), dist, raw, obs, key)


@jax.jit
def model_loss(config, state, params, data, key):
    return config.pi_p.loss(View(config, state), params, data, key)


@jax.jit
def network_loss(config, state, params, obs, key):
    return config.pi_q_update.fit(View(config, state), params, obs, key)


def own(net, obs, config):
    """Mean and std of a tanh-Gaussian before the tanh, in numpy."""
    mean, log_std = np.split(forward(net, obs), 2, -1)
    scale = config.pi_theta.scale
    return mean, np.exp(np.clip(log_std, scale.low, scale.high))


def test_sacs_divergence_is_the_log_probability_of_its_action():
    config = preset("sac", SMOOTH)
    state, obs = begin(config), transitions().obs
    raw, found = divergence_of(config, state, obs, jax.random.key(0), 1)
    dist = agent.policy(config, state, state.params.policy, obs)
    exact = config.pi_theta.log_prob_of(dist, raw)[0]
    np.testing.assert_array_equal(found, jax.jit(lambda x: x)(exact))
    rows = np.asarray(obs, np.float64)
    mean, std = own(doubles(state.params.policy)["net"], rows, config)
    u = np.asarray(raw[0], np.float64)
    expected = log_normal(u, mean, std) - np.log(1 - np.tanh(u) ** 2).sum(-1)
    close(found, expected)


def test_bracs_divergence_is_0_where_the_policy_is_the_behaviours():
    """C33: of every sample, and so its mean."""
    config, obs = brac(), transitions().obs
    state = begin(config)
    state = with_params(state, prior=state.params.policy)
    _, found = divergence_of(config, state, obs, jax.random.key(0), 4)
    # log-probabilities of size 5, one from a program apart: 2 of their roundings
    np.testing.assert_allclose(found, 0.0, atol=1e-6)


def test_bracs_divergence_estimates_the_kl():
    """C33: its mean is KL(pi || pi_b), which a tanh does not change."""
    number = 20_000
    config = brac({"pi_q_update.divergence.samples": number})
    obs, state = transitions().obs, begin(config)
    state = with_params(state, prior=noisy(state.params.policy, 12, 0.1))
    _, found = divergence_of(config, state, obs, jax.random.key(0), number)
    rows = np.asarray(obs, np.float64)
    nets = (doubles(x)["net"] for x in (state.params.policy, state.params.prior))
    (mean, std), (mean_b, std_b) = (own(net, rows, config) for net in nets)
    kl = np.log(std_b / std) + (std**2 + (mean - mean_b) ** 2) / (2 * std_b**2) - 0.5
    kl = kl.sum(-1)
    assert np.all(kl > 1e-3)
    # near the prior, log-ratios have a variance of 2 KL; five standard errors of 1.2
    bound = 1.2 * 5 * np.sqrt(2 * kl.max() / number)
    np.testing.assert_allclose(found, kl, atol=bound)


def test_brac_without_a_temperature_is_a_plain_actor_critic():
    """C33: the gradient of -mean min Q(s, tanh(mean + std noise)), noise held."""
    config = brac({"pi_q_update.temperature.value": 0.0})
    state, data, key = begin(config), transitions(), jax.random.key(4)
    noise = np.asarray(jax.random.normal(key, (4, B, A)), np.float64)[0]
    obs = np.asarray(data.obs, np.float64)

    def loss(net):
        mean, std = own(net, obs, config)
        values = qs_of(state.params.critic, obs, np.tanh(mean + std * noise))
        return -np.mean(values.min(0))

    expected = gradient(loss, doubles(state.params.policy)["net"])
    after, _ = improve(config, state, Batch(data, data.reward, None, None), key)
    close(descent(state, after)["net"], expected)


def brac_divergence(config, state, obs, noise):
    """Mean over samples of log pi - log pi_b, in numpy."""
    nets = (doubles(x)["net"] for x in (state.params.policy, state.params.prior))
    mine, others = (own(net, obs, config) for net in nets)
    u = mine[0] + mine[1] * noise
    return np.mean(log_normal(u, *mine) - log_normal(u, *others), 0)


@pytest.mark.parametrize("mix", [1.0, 0.75])
@pytest.mark.parametrize("g, penalty", [("SoftQ", 0.1), ("Q", 0.0)])
def test_bracs_target_mixes_critics_and_may_take_the_divergence_off(mix, g, penalty):
    """C33: mix = 1 is the minimum; the value penalty is eta times D of 4 samples."""
    config = brac({"g_estimate.mix": mix, "g": g})
    state, data, key = apart(begin(config)), transitions(), jax.random.key(4)
    samples = 4 if penalty else 1
    noise = np.asarray(jax.random.normal(key, (samples, B, A)), np.float64)
    obs = np.asarray(data.next_obs, np.float64)
    mean, std = own(doubles(state.params.policy)["net"], obs, config)
    values = qs_of(state.target.critic, obs, np.tanh(mean + std * noise[0]))
    value = mix * values.min(0) + (1 - mix) * values.max(0)
    value = value - penalty * brac_divergence(config, state, obs, noise)
    reward, discount = np.asarray(data.reward), np.asarray(data.discount)
    found = compute_targets(config, state, data, key).target
    close(found, reward + 0.99 * discount * value)


def test_bears_target_is_the_best_of_ten_mixes():
    """C33: .75 min + .25 max of both critics at each action, then the maximum."""
    config = bear()
    state, data, key = apart(begin(config)), transitions(), jax.random.key(4)
    noise = np.asarray(jax.random.normal(key, (10, B, A)), np.float64)
    obs = np.asarray(data.next_obs, np.float64)
    mean, std = own(doubles(state.target.policy)["net"], obs, config)
    values = qs_of(state.target.critic, obs, np.tanh(mean + std * noise))
    mixed = 0.75 * values.min(0) + 0.25 * values.max(0)  # [10, B]
    reward, discount = np.asarray(data.reward), np.asarray(data.discount)
    expected = reward + 0.99 * discount * mixed.max(0)
    close(compute_targets(config, state, data, key).target, expected)


def laplacian_mmd(x, y, sigma):
    """Of samples [M, A] and [P, A], with plain loops."""

    def mean(a, b):
        return np.mean(
            [[np.exp(-np.abs(i - j).sum() / (2 * sigma)) for j in b] for i in a]
        )

    return np.sqrt(mean(x, x) - 2 * mean(x, y) + mean(y, y) + 1e-6)


def relu(x):
    return np.maximum(x, 0)


def decode(params, obs, latent):
    obs = np.broadcast_to(obs, (*latent.shape[:-1], obs.shape[-1]))
    rows = np.concatenate([obs, latent], -1)
    return forward(doubles(params["decoder"]), rows, relu)


def vae(state, seed=3):
    """The agent with a VAE that has moved from where it started."""
    return with_params(state, prior=noisy(state.params.prior, seed, 0.7))


def test_bears_divergence_is_the_mmd_before_the_tanh():
    """Settings 3.10: ten samples of each, the latents of the VAE clipped to +-.5."""
    config = bear({"pi_q_update.divergence.sigma": 1.0})
    state, obs, key = vae(begin(config)), transitions().obs, jax.random.key(5)
    raw, found = divergence_of(config, state, obs, key, 10)
    latent = jax.random.normal(jax.random.fold_in(key, 1), (10, B, 2 * A))
    latent = np.clip(np.asarray(latent, np.float64), -0.5, 0.5)
    others = decode(state.params.prior, np.asarray(obs, np.float64), latent)
    x = np.asarray(raw, np.float64)
    expected = [laplacian_mmd(x[:, b], others[:, b], 1.0) for b in range(B)]
    # differences of means of size 1, to float32, under a root of .1 and more
    np.testing.assert_allclose(found, expected, atol=1e-4)


CLIMBED = list(
    product(["minimum", "first", "mix"], [(1, "none"), (10, "none"), (3, 0.5)])
)
# each critic, each number of actions, and a limit
CLIMBED_ONCE = [CLIMBED[1], CLIMBED[3], CLIMBED[8]]


@pytest.mark.parametrize(
    "critic, drawn",
    [
        pytest.param(*c, marks=[pytest.mark.long] * (c not in CLIMBED_ONCE))
        for c in CLIMBED
    ],
)
def test_bears_policy_climbs_the_mean_of_its_actions(critic, drawn):
    """Settings 3.10: of each critic the mean over the actions, then one of the two,
    and the noise of every action clipped to +-limit."""
    number, limit = drawn
    config = bear(
        {
            "pi_q.gradient.critic": critic,
            "pi_q.gradient.samples": number,
            "pi_q.gradient.noise_limit": limit,
            "pi_q_update.temperature": "ConstantTemperature",
            "pi_q_update.temperature.value": 0.0,
            "schedule.warm_start": 0,
        }
    )
    state, data, key = vae(apart(begin(config))), transitions(), jax.random.key(4)
    noise = np.asarray(jax.random.normal(key, (10, B, A)), np.float64)[:number]
    assert np.abs(noise).max() > 1
    noise = noise if limit == "none" else np.clip(noise, -limit, limit)
    obs = np.asarray(data.obs, np.float64)

    def loss(net):
        mean, std = own(net, obs, config)
        values = qs_of(state.params.critic, obs, np.tanh(mean + std * noise))
        values = values.mean(1)  # [K, B]
        mixed = 0.75 * values.min(0) + 0.25 * values.max(0)
        taken = {"minimum": values.min(0), "first": values[0], "mix": mixed}
        return -np.mean(taken[critic])

    expected = gradient(loss, doubles(state.params.policy)["net"])
    after, _ = improve(config, state, Batch(data, data.reward, None, None), key)
    close(descent(state, after)["net"], expected)


def test_bears_clipped_noise_is_what_its_divergence_sees():
    """One draw is valued and compared: the metric is the MMD of the clipped samples."""
    config = bear({"pi_q_update.divergence.sigma": 1.0})
    state, data, key = vae(begin(config)), transitions(), jax.random.key(5)
    noise = np.asarray(jax.random.normal(key, (10, B, A)), np.float64)
    rows = np.asarray(data.obs, np.float64)
    mean, std = own(doubles(state.params.policy)["net"], rows, config)
    x = mean + std * np.clip(noise, -0.5, 0.5)
    latent = jax.random.normal(jax.random.fold_in(key, 1), (10, B, 2 * A))
    latent = np.clip(np.asarray(latent, np.float64), -0.5, 0.5)
    others = decode(state.params.prior, rows, latent)
    expected = np.mean([laplacian_mmd(x[:, b], others[:, b], 1.0) for b in range(B)])
    _, metrics = improve(config, state, Batch(data, data.reward, None, None), key)
    # as where the MMD itself is tested
    assert metrics["divergence"] == pytest.approx(expected, abs=1e-4)


SOFTPLUS = {"pi_q_update.divergence": "DualKL"}
DUAL = {
    "softplus": (SOFTPLUS, 5.0),
    "exp": (SOFTPLUS | {"pi_q_update.divergence.ratio": "exp"}, 5.0),
    "unheld": (SOFTPLUS | {"pi_q_update.divergence.slope": 0.0}, 0.0),
    "wasserstein": ({"pi_q_update.divergence": "Wasserstein"}, 5.0),
    "two-sided": (
        {
            "pi_q_update.divergence": "Wasserstein",
            "pi_q_update.divergence.sided": "two",
            "pi_q_update.divergence.slope": 10.0,
        },
        10.0,
    ),
}


def dual_estimate(case, p, b):
    """What f at samples of the two policies says of their divergence. [M, B] -> [B]."""
    if case in ("wasserstein", "two-sided"):
        return np.mean(p - b, 0)
    if case == "exp":
        return np.mean(p, 0) - np.mean(np.exp(b - 1), 0)
    return np.mean(1 + np.log(np.log1p(np.exp(p))) - np.log1p(np.exp(b)), 0)


def test_f_starts_otherwise_than_the_decoder_of_a_vae():
    """Of one shape and one rule, so that their keys alone tell them apart."""
    like = {"networks.critic.hidden": Init(), "pi_p.model.latent": 1}
    config = bear(SOFTPLUS, like)
    prior = begin(config).params.prior
    one, other = (prior[name]["hidden_0"]["kernel"] for name in ("decoder", "dual"))
    assert one.shape == other.shape and (np.asarray(one) != other).all()


@pytest.mark.parametrize("case", DUAL)
def test_bracs_dual_divergence_and_its_penalty(case):
    """Settings 3.10: log softplus(f) - softplus(f) + 1, or f - f, and 5 times the mean
    square of what slopes have beyond 1; by finite differences of f in numpy."""
    changes, weight = DUAL[case]
    # a critic whose slopes lie on both sides of 1
    config = brac({"pi_p.keep_fitting": True}, changes)
    state, data, key = begin(config), transitions(), jax.random.key(9)
    f = jax.tree.map(lambda x: 2.5 * x, state.params.prior["dual"])
    prior = noisy(state.params.prior, 3) | {"dual": f}
    state = with_params(state, prior=prior)
    obs = np.asarray(data.obs, np.float64)
    net = doubles(f)

    def value(action):
        rows = np.broadcast_to(obs, (*action.shape[:-1], obs.shape[-1]))
        return forward(net, np.concatenate([rows, action], -1))[..., 0]

    draws, mixed = jax.random.split(key)
    sides = []
    for params, own_key in (
        (state.params.policy, draws),
        (prior, jax.random.fold_in(draws, 1)),
    ):
        mean, std = own(doubles(params)["net"], obs, config)
        noise = np.asarray(jax.random.normal(own_key, (4, B, A)), np.float64)
        sides.append(np.tanh(mean + std * noise))
    share = np.asarray(jax.random.uniform(mixed, (4, B, 1)), np.float64)
    between = share * sides[0] + (1 - share) * sides[1]
    step = 1e-5
    slopes = np.stack(
        [
            (value(between + step * e) - value(between - step * e)) / (2 * step)
            for e in np.eye(A)
        ],
        -1,
    )
    slope = np.linalg.norm(slopes, axis=-1)
    assert slope.min() < 0.9 and slope.max() > 1.1
    excess = slope - 1 if case == "two-sided" else np.maximum(slope - 1, 0)
    estimated = dual_estimate(case, value(sides[0]), value(sides[1]))
    expected = weight * np.mean(excess**2) - np.mean(estimated)
    found = network_loss(config, state, prior, data.obs, key)
    assert found == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_the_vae_is_error_and_latent_divergence():
    """C33, settings 3.10: mean square error, and half the KL's mean a dimension."""
    config = bear()
    state, data, key = vae(begin(config)), transitions(), jax.random.key(6)
    obs, action = (np.asarray(x, np.float64) for x in (data.obs, data.action))
    params = state.params.prior
    noise = np.asarray(jax.random.normal(key, (B, 2 * A)), np.float64)
    joint = np.concatenate([obs, action], -1)
    head = forward(doubles(params["encoder"]), joint, relu)
    mean, log_std = head[:, : 2 * A], np.clip(head[:, 2 * A :], -4, 15)
    latent = mean + np.exp(log_std) * noise
    error = np.mean((np.tanh(decode(params, obs, latent)) - action) ** 2)
    kl = (mean**2 + np.exp(2 * log_std) - 1) / 2 - log_std
    expected = error + 0.5 * kl.mean()
    found = model_loss(config, state, params, data, key)
    assert found == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("make", [brac, bear])
def test_fitting_the_behaviour_policy_descends_on_its_loss_alone(make):
    config = make({"optim.prior.rate": 1e-3})
    state, data, key = begin(config), transitions(), jax.random.key(6)
    fit = jax.jit(agent.fit_prior)
    after = state
    for _ in range(3):
        after, metrics = fit(config, after, data, key)
    first = model_loss(config, state, state.params.prior, data, key)
    assert (
        model_loss(config, state, after.params.prior, data, key) < metrics["prior_loss"]
    )
    assert metrics["prior_loss"] < first
    rest = [x.params._replace(prior=None) for x in (state, after)]
    close(*rest, tolerance=0.0)


def test_the_network_that_tells_policies_apart_descends_with_the_model():
    """Each on its own loss, by one step on the sum of both."""
    config = brac({"pi_p.keep_fitting": True, "optim.prior.rate": 1e-3}, SOFTPLUS)
    state, data, key = begin(config), transitions(), jax.random.key(6)
    after, _ = jax.jit(agent.fit_prior)(config, state, data, key)
    own = jax.random.fold_in(key, 1)
    old, new = state.params.prior, after.params.prior
    before, now = (
        network_loss(config, state, old | {"dual": f}, data.obs, own)
        for f in (old["dual"], new["dual"])
    )
    assert now < before
    assert model_loss(config, state, new, data, key) < model_loss(
        config, state, old, data, key
    )


def test_the_loss_of_a_clone_is_its_negative_log_likelihood():
    config = brac()
    state, data = begin(config), transitions()
    obs, action = (np.asarray(x, np.float64) for x in (data.obs, data.action))
    mean, std = own(doubles(state.params.prior)["net"], obs, config)
    u = np.arctanh(action)
    expected = -np.mean(log_normal(u, mean, std) - np.log(1 - action**2).sum(-1))
    found = model_loss(config, state, state.params.prior, data, jax.random.key(0))
    # atanh near 1 loses digits: 1 - |a| is .02 here
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("raw, expected", [(9.9, 10.0), (-4.9, -5.0), (0.3, None)])
def test_bears_log_temperature_follows_its_limit_and_stays_in_range(raw, expected):
    """C33: the gradient is -exp(l) (MMD - .05); a step of rate 1e4 reaches an end."""
    limit = 10.0 if raw < 0 else 1e-4  # below it, or above
    rate = 1.0 if expected is None else 1e5
    config = bear(
        {"optim.dual.rate": rate, "pi_q_update.temperature.limit": limit},
    )
    state, data, key = vae(begin(config)), transitions(), jax.random.key(5)
    state = with_dual(state, temperature=raw)
    batch = Batch(data, data.reward, None, None)
    after, metrics = improve(config, state, batch, key)
    found = after.params.dual["temperature"]
    if expected is None:
        expected = raw + np.exp(raw) * (float(metrics["divergence"]) - limit)
    assert found == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("make", [brac, bear])
def test_a_warm_start_leaves_the_critic_out(make):
    """C33: the policy is pulled to its prior alone, with no regard to Q."""
    config = make()
    state, data = begin(config), transitions()
    state = with_params(state, prior=noisy(state.params.prior, 3))
    batch, key = Batch(data, data.reward, None, None), jax.random.key(2)
    zero = jax.tree.map(jnp.zeros_like, state.params.critic)
    blind = with_params(state, critic=zero)
    warm, _ = improve(config, state, batch, key, jnp.array(True))
    late, _ = improve(config, state, batch, key, jnp.array(False))
    expected, _ = improve(config, blind, batch, key, jnp.array(False))
    close(warm.params.policy, expected.params.policy, 0.0)
    plain, _ = improve(config, state, batch, key)
    close(late.params.policy, plain.params.policy, 1e-6)  # another program
    moved = jax.tree.map(jnp.subtract, warm.params.policy, late.params.policy)
    assert max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(moved)) > 1e-3


def test_the_greedy_action_is_the_one_that_the_first_critic_likes_best():
    """Settings 3.10: of ten samples."""
    config = bear()
    state, obs, key = begin(config), transitions().obs, jax.random.key(7)
    noise = np.asarray(jax.random.normal(key, (10, B, A)), np.float64)
    rows = np.asarray(obs, np.float64)
    mean, std = own(doubles(state.params.policy)["net"], rows, config)
    action = np.tanh(mean + std * noise)
    values = qs_of(state.params.critic, rows, action)
    best, second = np.argmax(values[0], 0), np.argmax(values[1], 0)
    assert np.any(best != second)
    expected = np.stack([action[best[b], b] for b in range(B)])
    act = jax.jit(partial(agent.act, greedy=True))
    close(act(config, state, obs, key), expected)
