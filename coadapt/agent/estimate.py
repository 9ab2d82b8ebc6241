"""G and the critic's targets: of single transitions, and along sequences."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coadapt.agent import behavior, models
from coadapt.config import Config
from coadapt.factors import g, g_estimate, pi_p, pi_q, pi_q_update
from coadapt.factors.pi_theta import likelihood
from coadapt.ops import divergences, lagrange, minimize, returns, weights
from coadapt.types import AgentState, Batch, Metrics, Support, Transition, Tree


class Labels(NamedTuple):
    """What the estimate says of each of C stored steps."""

    target: jax.Array  # [C], what the critic is fitted to
    score: jax.Array  # [C], G, standardised where the config says so


# ---------------------------------------------------------------- single transitions


def annotate(
    config: Config, state: AgentState, transition: Transition, key: jax.Array
) -> Batch:
    """One-step targets for transitions [B, ...], and the support drawn for them."""
    estimate, obs = config.g_estimate, transition.next_obs
    expected = isinstance(estimate, g_estimate.Retrace)
    dist = models.policy(config, state, models.following(state), obs)
    raw = config.pi_theta.draw(dist, key, _samples(config))
    action = _smooth(config, config.pi_theta.bound(raw), key)
    number = action.shape[0] if expected else estimate.samples  # type: ignore[union-attr]
    values = models.action_values(
        config, state, state.target.critic, obs, action[:number]
    )
    score = models.pessimistic(config, values)
    over = jnp.max if getattr(estimate, "over", "mean") == "max" else jnp.mean
    value = over(score, axis=0)
    if isinstance(config.g, g.SoftQ):
        eta = models.temperature(config, state.params.dual)
        value = value - eta * divergence(config, state, dist, raw, obs, key)
    target = returns.td_target(
        transition.reward, estimate.discount * transition.discount, value
    )
    support = Support(obs, action, score, dist) if expected else None
    return Batch(
        transition, jax.lax.stop_gradient(target), jax.lax.stop_gradient(support), None
    )


def annotate_sequences(
    config: Config,
    state: AgentState,
    sequence: Transition,
    log_prob: jax.Array,
    key: jax.Array,
) -> Batch:
    """Retrace targets of the first steps of sequences [L, B, ...], and their support.

    Args: log_prob [L, B], of the actions, under the policy that took them.
    """
    estimate, prior = config.g_estimate, config.pi_p
    assert isinstance(estimate, g_estimate.Retrace)
    assert isinstance(prior, pi_p.Policy)  # legality.check holds it
    length, batch = sequence.reward.shape
    flat = jax.tree.map(lambda x: x.reshape(length * batch, *x.shape[2:]), sequence)
    following, scorer = models.following(state), state.target.critic
    dist = models.policy(config, state, following, flat.next_obs)
    action = config.pi_theta.bound(config.pi_theta.draw(dist, key, prior.samples))
    values = models.action_values(config, state, scorer, flat.next_obs, action)
    score = models.pessimistic(config, values)  # [M, L B]
    taken = flat.action[None]
    value = models.action_values(config, state, scorer, flat.obs, taken)
    own = models.policy(config, state, following, flat.obs)
    log_ratio = likelihood(config.pi_theta).log_prob(own, flat.action)

    def in_time(x: jax.Array) -> jax.Array:
        return x.reshape(length, batch)

    target = returns.retrace_return(
        sequence.reward,
        estimate.discount * sequence.discount,
        in_time(jnp.mean(score, axis=0)),
        in_time(models.pessimistic(config, value)[0]),
        in_time(log_ratio) - log_prob,
        sequence.last,
        estimate.lam,
    )[0]
    first = jax.tree.map(lambda x: x[0], sequence)
    dist = jax.tree.map(lambda x: x[:batch], dist)
    support = Support(first.next_obs, action[:, :batch], score[:, :batch], dist)
    stop = jax.lax.stop_gradient
    return Batch(first, stop(target), stop(support), None)


def _samples(config: Config) -> int:
    """Actions to draw at a next state: for the value, and for a divergence."""
    estimate = config.g_estimate
    if isinstance(estimate, g_estimate.Retrace):
        return config.pi_p.samples if isinstance(config.pi_p, pi_p.Policy) else 1
    assert isinstance(estimate, g_estimate.TD0)  # legality.check holds it
    if not isinstance(config.g, g.SoftQ):
        return estimate.samples
    samples = pi_q_update.divergence_samples(config.pi_q_update)
    return max(estimate.samples, samples)


def _smooth(config: Config, action: jax.Array, key: jax.Array) -> jax.Array:
    rule = getattr(config.g_estimate, "smoothing", None)
    if rule is None:
        return action
    own = jax.random.fold_in(key, 2)  # the policy's draw has the key itself
    noise = rule.std * jax.random.normal(own, action.shape)
    return jnp.clip(action + jnp.clip(noise, -rule.limit, rule.limit), -1.0, 1.0)


def divergence(
    config: Config,
    state: AgentState,
    dist: Tree,
    raw: jax.Array,
    obs: jax.Array,
    key: jax.Array,
) -> jax.Array:
    """D(pi_q, pi_p) at B states, from samples raw [M, B, A] of pi_q = dist. [B].

    A uniform prior's log-density is a constant and left out, an ignored one's is 0.
    """
    if isinstance(config.pi_p, pi_p.Ignored):
        return jnp.zeros(obs.shape[0])
    assert isinstance(config.pi_q_update, pi_q_update.Gradient)  # legality.check
    kind, own = config.pi_q_update.divergence, jax.random.fold_in(key, 1)
    raw = raw[: kind.samples]
    if isinstance(kind, pi_q_update.MMD):
        others = behavior.draw(config, state, obs, own, kind.samples)
        return divergences.mmd(raw, others, sigma=kind.sigma, kernel=kind.kernel)
    if isinstance(kind, pi_q_update.Dual):
        return behavior.found(config, state, obs, raw, own)
    log_ratio = likelihood(config.pi_theta).log_prob_of(dist, raw)
    if isinstance(config.pi_p, pi_p.Behavior):
        log_ratio = log_ratio - behavior.log_prob(config, state, obs, raw)
    return jnp.mean(log_ratio, axis=0)


# ---------------------------------------------------------------- sequences


def solve(
    config: Config, state: AgentState, obs: jax.Array, episodes: Tree
) -> tuple[AgentState, Metrics]:
    """Minimise the dual of REPS over V, and over eta where it is found with V.

        eta epsilon + eta log mean exp(delta / eta) + (1 - gamma) mean V(s_0),
    delta = r + gamma V(s') - V(s), s_0 the starts of episodes, and a ridge. A step that
    terminates leads to a state of value V_T that is never left: it counts as gamma /
    (1 - gamma) steps from there to there, without which the best steps of a task that
    pays at its end would have no weight at all. With V linear the dual is convex, and
    the ridge makes V unique: at a gradient of norm x it is at most x / ridge off (Boyd
    and Vandenberghe 2004, Sec. 9.1.2).
    Source: Peters et al. 2010 (settings 3.3). Nothing is done for other estimates.
    """
    estimate, rule = config.g_estimate, pi_q_update.temperature_of(config.pi_q_update)
    if not isinstance(estimate, g_estimate.DualValue):
        return state, {}
    joint, old = isinstance(rule, pi_q_update.DualTemperature), state.params.dual
    raw = old["temperature"] if joint else jnp.zeros(())
    (critic, raw, terminal), norm, _ = minimize.minimize(
        partial(_dual, config, state, obs, episodes, estimate),
        (_anchored(state.params.critic), raw, old["terminal"]),
        iterations=estimate.iterations,
        tolerance=estimate.tolerance,
    )
    duals = old | {"terminal": terminal} | ({"temperature": raw} if joint else {})
    params = state.params._replace(critic=critic, dual=duals)
    return state._replace(params=params), {"dual_gradient": norm}


def _anchored(critic: Tree) -> Tree:
    """The critic with an output bias of 0.

    A constant added to V and V_T leaves the dual as it is, so the ridge alone chooses
    the bias. Searched for, it would be the gradient's rounding over the ridge.
    """
    output = critic["output"]
    return critic | {"output": output | {"bias": jnp.zeros_like(output["bias"])}}


def _dual(
    config: Config,
    state: AgentState,
    obs: jax.Array,
    episodes: Tree,
    estimate: g_estimate.DualValue,
    found: tuple[Tree, jax.Array, jax.Array],
) -> jax.Array:
    """What `solve` minimises over the critic, the raw temperature and V_T."""
    critic, raw, terminal = _anchored(found[0]), *found[1:]
    rule = pi_q_update.temperature_of(config.pi_q_update)
    eta, epsilon = models.temperature(config, state.params.dual), 0.0
    if isinstance(rule, pi_q_update.DualTemperature):
        eta, epsilon = rule.value_of(raw), rule.epsilon
    gamma, counts = jnp.asarray(estimate.discount), _counts(estimate, episodes)
    value = models.state_values(config, state, critic, obs)[0]
    delta = _surprise(estimate, episodes, value, terminal) - value[episodes.row]
    delta = jnp.append(delta, (gamma - 1) * terminal)
    # what does not count has weight 0, and a finite delta: no NaN of 0 * inf
    delta = jnp.where(counts > 0, delta, -1e9)
    delta += eta * jnp.log(jnp.where(counts > 0, counts, 1.0))
    total = lagrange.temperature_dual(delta[:, None], eta, epsilon)
    ended: Any = episodes.last | ~episodes.seen
    begins = jnp.roll(ended, 1).at[0].set(True)
    starts = begins & episodes.seen  # the first step of the data stands for a start
    start = jnp.mean(value[episodes.row], where=starts)
    squares = sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(critic))
    return total + (1 - gamma) * start + estimate.ridge * squares / 2


def _counts(estimate: g_estimate.DualValue, episodes: Tree) -> jax.Array:
    """How often each of C steps counts, and what follows terminations, averaging 1."""
    terminal = episodes.seen & (episodes.discount == 0.0)
    ends = jnp.sum(terminal.astype(jnp.float32))
    after = estimate.discount / (1 - estimate.discount) * ends
    counts = jnp.append(episodes.seen.astype(jnp.float32), after)
    return counts / jnp.mean(counts)


def _surprise(
    estimate: g_estimate.DualValue,
    episodes: Tree,
    value: jax.Array,
    terminal: jax.Array,
) -> jax.Array:
    """r + gamma V(s'), V_T after a termination. value [R] -> [C]."""
    goes_on = episodes.discount
    following = goes_on * value[episodes.next_row] + (1 - goes_on) * terminal
    return episodes.reward + estimate.discount * following


def label(config: Config, state: AgentState, obs: jax.Array, episodes: Tree) -> Labels:
    """Returns and scores of stored steps; the critic runs once a row.

    Args: obs [R, O], the store's rows; episodes of length C (data.episodes.Episodes).
    """
    reward = episodes.reward
    if isinstance(config.g, g.LogQ) and config.g.shift == "reward":
        reward = reward - jnp.min(reward, where=episodes.seen, initial=jnp.inf)
    values = jnp.zeros(obs.shape[0], reward.dtype)  # [R], where there is no critic
    if g_estimate.critics(config.g_estimate, config.g):
        values = models.state_values(config, state, state.params.critic, obs)[0]
    value, next_value = values[episodes.row], values[episodes.next_row]
    estimate, discount = config.g_estimate, config.g_estimate.discount
    if isinstance(estimate, g_estimate.DualValue):
        target = _surprise(estimate, episodes, values, state.params.dual["terminal"])
    else:
        discount = discount * episodes.discount
        target = _returns(estimate, reward, discount, next_value, episodes.last)
    if isinstance(config.pi_q, pi_q.Episodic):
        score = _weigh_episodes(config, state, obs, episodes, target)
    else:
        score = _score(config, state, episodes, target, value)
        score = standardize(config, score, episodes.seen)
    return Labels(jax.lax.stop_gradient(target), jax.lax.stop_gradient(score))


def _returns(
    estimate: g_estimate.GEstimate,
    reward: jax.Array,
    discount: jax.Array,
    next_value: jax.Array,
    last: jax.Array,
) -> jax.Array:
    if isinstance(estimate, g_estimate.NStep):
        return returns.n_step_return(reward, discount, next_value, last, estimate.steps)
    lam = getattr(estimate, "lam", 1.0)
    return returns.lambda_return(reward, discount, next_value, last, lam)


def _score(
    config: Config,
    state: AgentState,
    episodes: Tree,
    target: jax.Array,
    value: jax.Array,
) -> jax.Array:
    """G of each step, [C]."""
    if isinstance(config.g, g.Advantage):
        return target - value
    if isinstance(config.g, g.LogReward) and config.g.of == "reward":
        return episodes.reward
    if isinstance(config.g, g.LogQ):
        if config.g.shift == "return":
            target = target - jnp.min(target, where=episodes.seen, initial=jnp.inf)
        eta = models.temperature(config, state.params.dual)
        return eta * jnp.log(jnp.maximum(target, 1e-8))  # a weight of 0 is of no use
    return target


def _weigh_episodes(
    config: Config, state: AgentState, obs: jax.Array, episodes: Tree, target: jax.Array
) -> jax.Array:
    """The weight of each step: its episode's, times the mean length of an episode.

    So the mean over steps of weight * grad log pi is the mean over episodes of their
    weights and the gradients of their whole log-probabilities. Source: settings 3.4.
    """
    assert isinstance(config.pi_q, pi_q.Episodic)  # legality.check holds it
    where, position = episodes.last & episodes.seen, jnp.arange(target.shape[0])
    began = jnp.where(jnp.roll(episodes.last, 1).at[0].set(True), position, 0)
    start = jax.lax.cummax(began)  # of the episode that a step is in
    end = jax.lax.cummin(
        jnp.where(episodes.last, position, target.size - 1), reverse=True
    )
    total = target[start]  # [C], at the end of an episode, its return
    score = jnp.where(config.pi_q.standardize, weights.standardize(total, where), total)
    eta = models.temperature(config, state.params.dual)
    climbed = score
    if isinstance(config.pi_p, pi_p.Uniform):
        dist = models.policy(config, state, state.params.policy, obs[episodes.row])
        log_prob = likelihood(config.pi_theta).log_prob(dist, episodes.action)
        summed = jnp.cumsum(log_prob)
        score = score - eta * (summed - summed[start] + log_prob[start])
    weight = weights.of_episodes(score, temperature=eta, reward=None, where=where)
    both = weights.of_episodes(score, temperature=eta, reward=climbed, where=where)
    weight = jnp.where(config.pi_q.expected_return, both, weight)
    length = jnp.sum(episodes.seen) / jnp.maximum(jnp.sum(where), 1)
    return weight[end] * length


def standardize(
    config: Config, score: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    """The scores in standard deviations, where the config says so."""
    toggle = pi_q.standardizes(config.pi_q)
    if toggle is False:
        return score
    return jnp.where(jnp.asarray(toggle), weights.standardize(score, where), score)


def priors(
    config: Config, state: AgentState, obs: jax.Array, episodes: Tree
) -> Tree | None:
    """The prior's distributions [C, ...] at stored steps, where learning reads them."""
    gradient = pi_q.gradient_of(config.pi_q)
    bounded = getattr(config.pi_p_update, "trust_region", None) is not None
    if not bounded and not isinstance(gradient, pi_q.LikelihoodRatio):
        return None
    rows = obs[episodes.row]
    dist = models.policy(config, state, models.following(state), rows)
    return jax.lax.stop_gradient(dist)
