"""One update of each algorithm against its transcription from settings 1.1 to 1.5.

The transcriptions are float64 numpy in the order of the settings, their gradients
central differences. They share with coadapt the layout of the parameters and the
noise, nothing else. Optimisers start in the middle of a run, with moments of the size
of a gradient: Adam's first step alone would hide how large a gradient is.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy import exp, log, mean, sqrt, square, tanh

from coadapt import agent, algorithms, schema
from coadapt.data.episodes import Episodes
from coadapt.ops.moments import Moments
from coadapt.types import Batch, EnvSpec, Targets, Transition

B, O, A, M = 6, 3, 2, 4
SPEC = EnvSpec(
    task="none", obs_size=O, action_size=A, max_steps=1000, provider="numbers"
)
SIZES = {"networks.policy.sizes": (5, 4), "networks.critic.sizes": (5, 4)}
SEED = 28
H = 1e-6  # half the width of a central difference
# Of the largest change of an array: coadapt rounds rates and temperatures to float32
# (6e-8), central differences of a loss of 1e6 lose some digits (measured: 7e-7).
TOLERANCE = 3e-6


@pytest.fixture(autouse=True)
def double():
    """float64 throughout, where coadapt's own constants stay float32."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


# ---------------------------------------------------------------- numpy


def perceptron(net, x, activation, *, norm=False):
    """Linear layers, each followed by `activation`; with norm LN and tanh at first."""
    for i in range(len(SIZES["networks.policy.sizes"])):
        x = x @ net[f"hidden_{i}"]["kernel"] + net[f"hidden_{i}"]["bias"]
        if norm and i == 0:
            centred = x - x.mean(-1, keepdims=True)
            x = centred / sqrt(square(centred).mean(-1, keepdims=True) + 1e-5)
            x = tanh(x * net["norm_0"]["scale"] + net["norm_0"]["bias"])
        else:
            x = activation(x)
    return x @ net["output"]["kernel"] + net["output"]["bias"]


def relu(x):
    return np.where(x > 0, x, 0)


def elu(x):
    return np.where(x > 0, x, exp(np.minimum(x, 0)) - 1)


def softplus(x):
    return log(1 + exp(x))


def logsumexp(x):
    return log(exp(x).sum(0))


def softmax(x):
    return exp(x) / exp(x).sum(0)


def log_normal(x, mu, std):
    """log N(x; mu, std), summed over the action's dimensions."""
    return (-square((x - mu) / std) / 2 - log(std) - log(2 * np.pi) / 2).sum(-1)


def joint(s, a):
    """(s, a) as the critic's input: s [B, O], a [..., B, A]."""
    return np.concatenate([np.broadcast_to(s, (*a.shape[:-1], O)), a], -1)


def gradient(loss, params):
    """Central differences of loss(), which reads `params`, over each of its numbers."""

    def one(array):
        grad = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            kept = array[i]
            array[i] = kept + H
            above = loss()
            array[i] = kept - H
            grad[i] = (above - loss()) / (2 * H)
            array[i] = kept
        return grad

    return jax.tree.map(one, params)


def norm_of(grads):
    return sqrt(sum(square(g).sum() for g in jax.tree.leaves(grads)))


@dataclasses.dataclass
class Adam:
    """Parameters, and the memory of torch's Adam for them."""

    params: Any
    m: Any
    v: Any
    t: int

    def step(self, grads, rate, *, clip=np.inf, l2=0.0):
        self.t += 1
        shrink = min(1, clip / norm_of(grads))
        trees = (self.params, self.m, self.v, grads)
        for p, m, v, g in zip(*map(jax.tree.leaves, trees), strict=True):
            g = g * shrink + l2 * p
            m[...] = 0.9 * m + 0.1 * g
            v[...] = 0.999 * v + 0.001 * square(g)
            unit = (m / (1 - 0.9**self.t)) / (sqrt(v / (1 - 0.999**self.t)) + 1e-8)
            p[...] = p - rate * unit


@dataclasses.dataclass
class Momentum:
    """Parameters, and the velocity of torch's SGD for them."""

    params: Any
    velocity: Any

    def step(self, grads, rate, momentum):
        trees = (self.params, self.velocity, grads)
        for p, v, g in zip(*map(jax.tree.leaves, trees), strict=True):
            v[...] = momentum * v + g
            p[...] = p - rate * v


# ---------------------------------------------------------------- from and to coadapt


def preset(name, **changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return schema.override(algorithms.preset(name), SIZES | changes)


start = jax.jit(agent.init, static_argnums=1)


def is_adam(opt):
    return isinstance(opt, optax.ScaleByAdamState)


def begin(config):
    """A state in the middle of a run, every number of it at random."""
    rng = np.random.default_rng(SEED)

    def some(x):
        return jnp.asarray(0.6 * rng.normal(size=x.shape))

    def near(x):
        return x + 0.2 * some(x)

    def memory(opt):
        if not is_adam(opt):
            return some(opt)
        second = jax.tree.map(lambda x: jnp.abs(some(x)) + 0.1, opt.nu)
        mu = jax.tree.map(some, opt.mu)
        return opt._replace(count=jnp.full_like(opt.count, 3), mu=mu, nu=second)

    state = start(config, SPEC, jax.random.key(0))
    params = jax.tree.map(some, state.params)
    followed = Targets(
        policy=None if state.target.policy is None else params.policy,
        critic=None if state.target.critic is None else params.critic,
    )
    return state._replace(
        params=params,
        target=jax.tree.map(near, followed),
        opt=jax.tree.map(memory, state.opt, is_leaf=is_adam),
    )


def numpy_of(tree, critic=None):
    """A copy; of one of the stacked critics, where a number is given."""
    part = ... if critic is None else critic
    return jax.tree.map(lambda x: np.array(x[part]), tree)


def adam_of(params, opt, critic=None):
    (memory,) = (x for x in jax.tree.leaves(opt, is_leaf=is_adam) if is_adam(x))
    t = np.unique(memory.count).item()
    return Adam(*(numpy_of(x, critic) for x in (params, memory.mu, memory.nu)), t)


def critics_of(state):
    number = state.params.critic["output"]["bias"].shape[0]
    online = [adam_of(state.params.critic, state.opt.critic, k) for k in range(number)]
    return online, [numpy_of(state.target.critic, k) for k in range(number)]


def duals_of(state):
    return {
        name: adam_of(raw, state.opt.dual[name])
        for name, raw in state.params.dual.items()
    }


def agree(name, before, after, expected):
    """The change of every number is the expected one."""
    old = jax.tree_util.tree_leaves_with_path(before)
    rest = map(jax.tree.leaves, (after, expected))
    for (path, was), new, want in zip(old, *rest, strict=True):
        where = name + jax.tree_util.keystr(path)
        change = want - np.asarray(was)
        bound = TOLERANCE * np.abs(change).max()
        np.testing.assert_allclose(
            np.asarray(new) - np.asarray(was), change, rtol=0, atol=bound, err_msg=where
        )


def agree_on_critics(before, after, critics, targets):
    for k, critic in enumerate(critics):
        was, new = (numpy_of(x.params.critic, k) for x in (before, after))
        agree(f"critic {k}", was, new, critic.params)
    for k, target in enumerate(targets):
        was, new = (numpy_of(x.target.critic, k) for x in (before, after))
        agree(f"target {k}", was, new, target)


def transitions(seed, reward=1.0):
    """Six of them, the third a termination, the fifth a time limit."""
    rng = np.random.default_rng(seed)
    return Transition(
        obs=rng.normal(size=(B, O)),
        action=np.tanh(rng.normal(size=(B, A))),
        reward=reward * rng.normal(size=B),
        discount=np.array([1, 1, 0, 1, 1, 1.0]),
        last=np.array([0, 0, 1, 0, 1, 0], bool),
        next_obs=rng.normal(size=(B, O)),
    )


@jax.jit
def update(config, state, transition, keys, number):
    before = state.params.critic
    batch = agent.compute_targets(config, state, transition, keys[0])
    state, _ = agent.evaluate(config, state, batch)
    critic = before if config.schedule.simultaneous else state.params.critic
    state, _ = agent.improve(config, state, batch, keys[1], critic)
    return agent.track(config, state, number)


# ---------------------------------------------------------------- SAC, settings 1.1


def sac_policy(params, s, eps, config):
    """The action and its log-probability: tanh of a Gaussian, or the Gaussian."""
    head = perceptron(params["net"], s, relu)
    low, high = config.pi_theta.scale.low, config.pi_theta.scale.high
    mu, std = head[:, :A], exp(np.clip(head[:, A:], low, high))
    u = mu + std * eps
    log_prob = log_normal(u, mu, std)
    if config.bounds is not None:
        return u, log_prob
    return tanh(u), log_prob - log(1 - square(tanh(u))).sum(-1)


def sac(config, policy, qs, targets, log_alpha, data, noise):
    def q(net, s, a):
        return perceptron(net, joint(s, a), relu)[:, 0]

    # 1. y = r + gamma (1 - d) [ min_i Qbar_i(s', a') - alpha log pi(a'|s') ]
    alpha = exp(log_alpha.params)
    a, log_prob = sac_policy(policy.params, data.next_obs, noise[0], config)
    value = np.min([q(t, data.next_obs, a) for t in targets], axis=0)
    y = data.reward + 0.99 * data.discount * (value - alpha * log_prob)
    # 2. L_Qi = 0.5 mean (y - Q_i(s, a))^2
    for each in qs:
        params = each.params
        grads = gradient(
            lambda net=params: 0.5 * mean(square(y - q(net, data.obs, data.action))),
            params,
        )
        each.step(grads, 3e-4)

    # 3. L_pi = -mean( min_i Q_i(s, a~) - alpha log pi(a~|s) ), the updated Q, old alpha
    def policy_loss():
        a, log_prob = sac_policy(policy.params, data.obs, noise[1], config)
        value = np.min([q(each.params, data.obs, a) for each in qs], axis=0)
        loss = -mean(value - alpha * log_prob)
        if config.bounds is not None:  # settings 1.7: lambda_c E ||a~ - clip(a~)||
            outside = sqrt(square(a - np.clip(a, -1, 1)).sum(-1))
            loss += config.bounds.scale * mean(outside)
        return loss

    _, log_prob = sac_policy(policy.params, data.obs, noise[1], config)
    policy.step(gradient(policy_loss, policy.params), 3e-4)
    # 4. L_alpha = -mean( exp(log_alpha) (log pi(a~|s) - D) ), the same samples
    grads = gradient(
        lambda: -mean(exp(log_alpha.params) * (log_prob - A)), log_alpha.params
    )
    log_alpha.step(grads, 3e-4)
    # 5. theta' <- (1 - tau) theta' + tau theta
    for target, each in zip(targets, qs, strict=True):
        for old, new in zip(*map(jax.tree.leaves, (target, each.params)), strict=True):
            old[...] = (1 - 5e-3) * old + 5e-3 * new


FREE = {  # SAC without tanh, settings 1.7
    "pi_theta": "Gaussian",
    "pi_theta.scale": "StateLogStd",
    "bounds": "BoundCost",
    "bounds.scale": 3.0,
}


# a usual run has each number of critics, and each of the two ways, once
@pytest.mark.parametrize(
    "critics, changes",
    [
        (2, {}),
        (1, FREE),
        pytest.param(1, {}, marks=pytest.mark.long),
        pytest.param(2, FREE, marks=pytest.mark.long),
    ],
    ids=["2-tanh", "1-free", "1-tanh", "2-free"],
)
def test_sac(critics, changes):
    narrow = {"pi_theta.scale.low": -0.5, "pi_theta.scale.high": 0.4}
    config = preset("sac", g_estimate__critics=critics, **changes, **narrow)
    before = state = begin(config)
    policy = adam_of(state.params.policy, state.opt.policy)
    qs, targets = critics_of(state)
    log_alpha = duals_of(state)["temperature"]
    for number in (1, 2):
        keys = jax.random.split(jax.random.key(number))
        data = transitions(number)
        noise = [np.asarray(jax.random.normal(key, (1, B, A)))[0] for key in keys]
        log_std = perceptron(policy.params["net"], data.obs, relu)[:, A:]
        assert log_std.min() < -0.5 < 0.4 < log_std.max()  # both clamps are active
        state = update(config, state, data, keys, np.int32(number))
        sac(config, policy, qs, targets, log_alpha, data, noise)
    agree("policy", before.params.policy, state.params.policy, policy.params)
    agree_on_critics(before, state, qs, targets)
    raws = (x.params.dual["temperature"] for x in (before, state))
    agree("log alpha", *raws, log_alpha.params)


# ---------------------------------------------------------------- MPO, settings 1.3


def mpo_policy(params, s, init_scale):
    head = perceptron(params["net"], s, elu, norm=True)
    return head[:, :A], softplus(head[:, A:]) * init_scale / 0.6931 + 1e-6


def mpo_dual(raw, cost, epsilon):
    """L_eta = eta (eps + mean_s[ logsumexp_j(q_j / eta) ] - log M)."""
    eta = softplus(raw) + 1e-8
    return eta * (epsilon + mean(logsumexp(cost / eta)) - log(M))


def mpo(config, policy, qs, duals, targets, data, eps):
    """Returns the norms of the gradients, to be compared with the clip."""
    init_scale = config.pi_theta.scale.init_std
    trust = config.pi_p_update.trust_region
    s = data.next_obs
    norms = {}

    def q(net, s, a):
        return perceptron(net, joint(s, a), elu, norm=True)[..., 0]

    def dual_step(name, loss):
        dual = duals[name]
        grads = gradient(lambda: loss(dual.params), dual.params)
        norms[name] = norm_of(grads)
        return lambda: dual.step(grads, 1e-2, clip=40)

    # 1. a_j ~ pi_target(.|s'), q_j = Q_target(s', a_j); of two, the minimum (1.7)
    mu_t, s_t = mpo_policy(targets["policy"], s, init_scale)
    a = mu_t + s_t * eps
    q_j = np.min([q(net, s, a) for net in targets["critics"]], axis=0)
    # 2. y = r + gamma (1 - d) mean_j q_j; L_Q = 0.5 mean (Q - y)^2; clip 40
    y = data.reward + 0.99 * data.discount * q_j.mean(0)
    for each in qs:
        params = each.params
        grads = gradient(
            lambda net=params: 0.5 * mean(square(q(net, data.obs, data.action) - y)),
            params,
        )
        norms["critic"] = norm_of(grads)
        each.step(grads, 1e-4, clip=40)
    # 3. the temperature's loss and the weights, of the temperature as it is
    step_temperature = dual_step("temperature", lambda raw: mpo_dual(raw, q_j, 0.1))
    w = softmax(q_j / (softplus(duals["temperature"].params) + 1e-8))
    # 4. the cost of leaving the box; its temperature steps before it weighs
    cost = -sqrt(square(a - np.clip(a, -1, 1)).sum(-1))
    assert (cost < 0).any()
    dual_step("bound", lambda raw: mpo_dual(raw, cost, 1e-3))()
    w = w + softmax(cost / (softplus(duals["bound"].params) + 1e-8))

    # 5. the M-step, decoupled, with its two KLs for each dimension
    def kls():
        mu, std = mpo_policy(policy.params, s, init_scale)
        kl_mu = square(mu_t - mu) / (2 * square(s_t))
        kl_std = log(std / s_t) + square(s_t) / (2 * square(std)) - 0.5
        return kl_mu.mean(0), kl_std.mean(0)

    alpha_mu = softplus(duals["mean"].params) + 1e-8
    alpha_std = softplus(duals["std"].params) + 1e-8

    def policy_loss():
        mu, std = mpo_policy(policy.params, s, init_scale)
        loss_mu = -(w * log_normal(a, mu, s_t)).sum(0).mean()
        loss_std = -(w * log_normal(a, mu_t, std)).sum(0).mean()
        kl_mu, kl_std = kls()
        return loss_mu + loss_std + alpha_mu @ kl_mu + alpha_std @ kl_std

    kl_mu, kl_std = kls()
    grads = gradient(policy_loss, policy.params)
    norms["policy"] = norm_of(grads)
    policy.step(grads, 1e-4, clip=40)
    # 6. the temperature
    step_temperature()
    # 7. L_alpha = sum_d alpha_d (eps - KL_d), of the KLs before the policy's step
    of_mu = (trust.epsilon_mean - kl_mu, trust.epsilon_std - kl_std)
    dual_step("mean", lambda raw: ((softplus(raw) + 1e-8) * of_mu[0]).sum())()
    dual_step("std", lambda raw: ((softplus(raw) + 1e-8) * of_mu[1]).sum())()
    return norms


@pytest.mark.parametrize(
    "critics, large",
    [
        (1, True),
        (2, False),
        pytest.param(1, False, marks=pytest.mark.long),
        pytest.param(2, True, marks=pytest.mark.long),
    ],
    ids=["1-clipped", "2-unclipped", "1-unclipped", "2-clipped"],
)
def test_mpo(critics, large):
    """Hard copies every second update; large: rewards and 1 / std, so the clip."""
    config = preset(
        "mpo",
        g_estimate__critics=critics,
        pi_p__samples=M,
        pi_theta__scale__init_std=0.015 if large else 0.7,
        pi_p_update__trust_region__epsilon_mean=0.2,
        pi_p_update__trust_region__epsilon_std=0.1,
        target__policy__period=2,
        target__critic__period=2,
    )
    before = state = begin(config)
    policy = adam_of(state.params.policy, state.opt.policy)
    qs, target_qs = critics_of(state)
    duals = duals_of(state)
    targets = {"policy": numpy_of(state.target.policy), "critics": target_qs}
    for number in (1, 2, 3):
        keys = jax.random.split(jax.random.key(number))
        data = transitions(number, reward=1e3 if large else 1.0)
        eps = np.asarray(jax.random.normal(keys[0], (M, B, A)))
        state = update(config, state, data, keys, np.int32(number))
        norms = mpo(config, policy, qs, duals, targets, data, eps)
        if number % 2 == 0:  # 8. copy both
            targets["policy"] = numpy_of(policy.params)
            targets["critics"] = [numpy_of(each.params) for each in qs]
        if number == 1:
            exceeds = {name for name, norm in norms.items() if norm > 40}
            assert exceeds == ({"critic", "policy", "mean"} if large else set())
    agree("policy", before.params.policy, state.params.policy, policy.params)
    agree("target", before.target.policy, state.target.policy, targets["policy"])
    agree_on_critics(before, state, qs, targets["critics"])
    raws = {name: dual.params for name, dual in duals.items()}
    agree("dual", before.params.dual, state.params.dual, raws)


# ---------------------------------------------------------------- AWAC, settings 1.5


def awac_policy(params, s):
    mu = tanh(perceptron(params["net"], s, relu))
    return mu, np.broadcast_to(sqrt(softplus(params["scale"])), mu.shape)


def awac(policy, qs, targets, data, noise, *, l2, clip):
    def q(nets, s, a):
        return np.min([perceptron(net, joint(s, a), relu)[:, 0] for net in nets], 0)

    # y = r + gamma (1 - d) min_i Qbar_i(s', a'), a' ~ pi(.|s')
    mu, std = awac_policy(policy.params, data.next_obs)
    value = q(targets, data.next_obs, mu + std * noise[0])
    y = data.reward + 0.99 * data.discount * value
    # with the pre-step Qs: A = min_i Q_i(s, a) - min_i Q_i(s, a~), a~ ~ pi(.|s)
    nets = [each.params for each in qs]
    mu, std = awac_policy(policy.params, data.obs)
    own = q(nets, data.obs, mu + std * noise[1])
    advantage = q(nets, data.obs, data.action) - own
    # w = N softmax over the batch, clipped
    w = np.minimum(B * softmax(advantage), clip)
    assert (w == clip).any() and (w < clip).any()

    # L_pi = -mean( w log N(a; mu(s), Sigma) )
    def policy_loss():
        mu, std = awac_policy(policy.params, data.obs)
        return -mean(w * log_normal(data.action, mu, std))

    # steps: Q1, Q2, policy, each with coupled L2, then the targets
    for each in qs:
        params = each.params
        grads = gradient(
            lambda net=params: 0.5 * mean(square(q([net], data.obs, data.action) - y)),
            params,
        )
        each.step(grads, 3e-4, l2=l2)
    policy.step(gradient(policy_loss, policy.params), 3e-4, l2=l2)
    for target, each in zip(targets, qs, strict=True):
        for old, new in zip(*map(jax.tree.leaves, (target, each.params)), strict=True):
            old[...] = (1 - 5e-3) * old + 5e-3 * new


@pytest.mark.parametrize("critics", [pytest.param(1, marks=pytest.mark.long), 2])
def test_awac(critics):
    """The decay is raised and the clip lowered until both show in so small a batch."""
    config = preset(
        "awac",
        g_estimate__critics=critics,
        optim__weight_decay=0.1,
        pi_q__clip__limit=1.2,
    )
    before = state = begin(config)
    policy = adam_of(state.params.policy, state.opt.policy)
    qs, targets = critics_of(state)
    for number in (1, 2):
        keys = jax.random.split(jax.random.key(number))
        own = jax.random.split(keys[1])[1]  # the other half draws the prior's actions
        noise = [
            np.asarray(jax.random.normal(key, (1, B, A)))[0] for key in (keys[0], own)
        ]
        data = transitions(number)
        state = update(config, state, data, keys, np.int32(number))
        awac(policy, qs, targets, data, noise, l2=0.1, clip=1.2)
    agree("policy", before.params.policy, state.params.policy, policy.params)
    agree_on_critics(before, state, qs, targets)


# ---------------------------------------------------------------- AWR, settings 1.4


# rows of the store: an episode that terminates, one that is cut, an unfinished one
EPISODES = Episodes(
    index=np.arange(8),
    row=np.array([0, 1, 2, 4, 5, 6, 7, 9]),
    next_row=np.array([1, 2, 3, 5, 6, 7, 8, 10]),
    action=np.zeros((8, 1)),
    reward=np.array([1.0, -2.0, 0.5, 0.3, 2.0, -1.0, 0.7, 9.0]),
    discount=np.array([1, 1, 0, 1, 1, 1, 1, 1.0]),
    last=np.array([0, 0, 1, 0, 0, 0, 1, 0], bool),
    seen=np.array([1, 1, 1, 1, 1, 1, 1, 0], bool),
)
ENDS = (3, 7)  # of the finished episodes
USED = np.array([0, 1, 3, 4, 5])  # both last steps are left out


def awr_normalize(moments, x):
    return np.clip((x - moments.mean) / sqrt(moments.var + 0.01), -5, 5)


def awr_value(net, moments, obs):
    """V(s) = net(s) / (1 - gamma)."""
    return perceptron(net, awr_normalize(moments, obs), relu)[:, 0] / (1 - 0.99)


def awr_label(net, moments, obs):
    """Lambda-returns backwards in each episode, and A = G - V."""
    v = awr_value(net, moments, obs)
    returns = np.zeros(8)
    for begin, end in zip((0, *ENDS), ENDS, strict=False):
        for t in reversed(range(begin, end)):
            v_next = v[EPISODES.next_row[t]]
            mixed = v_next if t == end - 1 else 0.05 * v_next + 0.95 * returns[t + 1]
            returns[t] = EPISODES.reward[t] + 0.99 * EPISODES.discount[t] * mixed
    return returns, returns - v[EPISODES.row]


def awr(policy, critic, old, new, obs, action, *, clip, std):
    """One critic step and one policy step; `new` moments are those of training."""
    rows = obs[EPISODES.row[USED]]
    # (i, ii) V by the normaliser as it was, lambda-returns
    returns, _ = awr_label(critic.params, old, obs)
    # (iii) 0.5 MSE of net(s) and (1 - gamma) G
    grads = gradient(
        lambda: (
            0.5
            * mean(
                square(
                    perceptron(critic.params, awr_normalize(new, rows), relu)[:, 0]
                    - (1 - 0.99) * returns[USED]
                )
            )
        ),
        critic.params,
    )
    critic.step(grads, 1e-2, 0.9)
    # (iv) V, G, A anew; standardised over all finished steps, the last ones too
    _, advantage = awr_label(critic.params, new, obs)
    there = advantage[EPISODES.seen]
    advantage = (advantage - there.mean()) / (there.std() + 1e-8)
    # (v) -mean( w log N(a; mu(s), sigma) ) + bound loss
    w = np.minimum(exp(advantage[USED]), clip)
    assert (w == clip).any() and (w < clip).any()

    def policy_loss():
        mu = perceptron(policy.params["net"], awr_normalize(new, rows), relu)
        low, high = np.minimum(mu + 1, 0), np.maximum(mu - 1, 0)
        assert (low < 0).any() and (high > 0).any()
        bound = 10 * 0.5 * mean((square(low) + square(high)).sum(-1))
        return -mean(w * log_normal(action, mu, np.full(mu.shape, std))) + bound

    policy.step(gradient(policy_loss, policy.params), 5e-5, 0.9)


@jax.jit
def awr_update(config, state, new, obs, action):
    def batch(computed, score):
        rows = obs[EPISODES.row[USED]]
        nothing = jnp.zeros(len(USED))
        transition = Transition(rows, action, nothing, nothing, nothing > 0, rows)
        return Batch(transition, computed.target[USED], None, score)

    computed = agent.compute_returns(config, state, obs, EPISODES)
    state = state._replace(moments=new)
    state, _ = agent.evaluate(config, state, batch(computed, None))
    computed = agent.compute_returns(config, state, obs, EPISODES)
    last = batch(computed, computed.score[USED])
    key = jax.random.key(0)  # draws nothing
    return agent.improve(config, state, last, key, state.params.critic)[0]


def test_awr():
    """The clip is lowered until it shows in so small a batch; one input is clipped."""
    config = preset("awr", pi_q__clip__limit=1.5)
    rng = np.random.default_rng(5)
    obs = rng.normal(size=(11, O))
    obs[1, 0] = 40.0
    action = rng.normal(size=(len(USED), A))
    old = Moments(np.array(30.0), np.array([0.1, -0.2, 0.3]), np.array([1.0, 0.5, 2]))
    new = Moments(np.array(41.0), np.array([0.2, -0.1, 0.1]), np.array([2.0, 0.6, 1]))
    state = begin(config)._replace(moments=jax.tree.map(jnp.asarray, old))
    # means on both sides of the box
    net = state.params.policy["net"]
    wide = jax.tree.map(lambda x: 4.0 * x, net["output"])
    params = {"net": net | {"output": wide}, "scale": None}
    state = state._replace(params=state.params._replace(policy=params))
    policy = Momentum(numpy_of(params), numpy_of(state.opt.policy[-1].trace))
    critic = Momentum(
        numpy_of(state.params.critic, 0), numpy_of(state.opt.critic[-1].trace, 0)
    )
    after = awr_update(config, state, jax.tree.map(jnp.asarray, new), obs, action)
    awr(policy, critic, old, new, obs, action, clip=1.5, std=0.4)
    agree("policy", params, after.params.policy, policy.params)
    agree_on_critics(state, after, [critic], [])
