"""One update of one agent: which data each of its steps reads, and in what order."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt.agent import models
from coadapt.config import Config, Rollout, Trajectories
from coadapt.data import episodes, replay
from coadapt.data.episodes import Episodes
from coadapt.data.replay import Store
from coadapt.factors.pi_p import Prior
from coadapt.metrics.registry import DEFAULT, Log, kept
from coadapt.ops import moments
from coadapt.ops.moments import Moments
from coadapt.rng import Purpose, stream
from coadapt.sampling import Drawn
from coadapt.system.kernels import apart
from coadapt.types import (
    Action,
    AgentState,
    Batch,
    EnvSpec,
    Metrics,
    TimeStep,
    Transition,
    Tree,
)

Counter = jax.Array | np.int32
Steps = TypeVar("Steps", Transition, Episodes)
Carry = TypeVar("Carry")


class Health(NamedTuple):
    """When, and in which tensor, an agent first had a number that was not finite."""

    steps: jax.Array  # int32 scalar, env steps taken by then; -1 while all is finite
    updates: jax.Array  # int32 scalar, updates made by then, the one that broke too
    tensor: jax.Array  # int32 scalar, its place in `tensors`

    @property
    def alive(self) -> jax.Array:
        return self.steps < 0


def healthy() -> Health:
    return Health(*(jnp.full((), number, jnp.int32) for number in (-1, -1, -1)))


class Seen(NamedTuple):
    """What an env step changes. Apart from the agent, which only learning changes: a
    program that passes all of an agent's arrays through is slow to start."""

    store: Store
    moments: Moments | None  # of observations, as in AgentState
    health: Health
    rewards: Tree = None  # as in AgentState
    sampling: Tree = None  # as in AgentState
    noise: Tree = None  # as in AgentState


class Learner(NamedTuple):
    """One agent with what it has seen; stacked [N, ...] in a program."""

    agent: AgentState
    store: Store
    health: Health

    @property
    def seen(self) -> Seen:
        agent = self.agent
        return Seen(
            self.store, agent.moments, self.health, agent.rewards, agent.sampling,
            agent.noise,
        )  # fmt: skip

    @property
    def unseen(self) -> AgentState:
        """The agent without what is in `seen`."""
        return self.agent._replace(
            moments=None, rewards=None, sampling=None, noise=None
        )

    def having(self, seen: Seen) -> "Learner":
        """The learner after an env step."""
        state = self.agent._replace(
            moments=seen.moments, rewards=seen.rewards, sampling=seen.sampling,
            noise=seen.noise,
        )  # fmt: skip
        return Learner(state, seen.store, seen.health)


class Clock(NamedTuple):
    """Counters that all agents of a program share."""

    steps: Counter  # env steps taken by each agent
    updates: Counter  # updates made by each agent


# ---------------------------------------------------------------- failure

_STEP = ("action", "reward", "next_obs", "obs")  # of an env step


def _learned(state: AgentState) -> list[tuple[str, jax.Array]]:
    """What an update makes, by name, in the order in which it is made.

    Optimisers are left out: what is not finite there makes a parameter so, or stands
    still by itself.
    """
    params = state.params
    parts = {
        "moments": state.moments,
        "prior": params.prior,
        "value": params.value,
        "critic": params.critic,
        "policy": params.policy,
        "dual": params.dual,
    }
    found, _ = jax.tree.flatten_with_path(parts)
    order = {name: i for i, name in enumerate(parts)}  # trees sort their keys
    found.sort(key=lambda leaf: order[leaf[0][0].key])
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), x) for path, x in found
    ]


def tensors(state: AgentState) -> list[str]:
    """The names that `Health.tensor` counts.

    First those of an env step, then those of an update; the last is that of an
    evaluation whose environment raised, or whose return was NaN.
    """
    return [*_STEP, *(name for name, _ in _learned(state)), "evaluation_return"]


def _note(health: Health, bad: list[jax.Array], clock: Clock, first: int) -> Health:
    """The health after looking at numbers of which some are `bad`."""
    each = jnp.stack(bad)
    fails = health.alive & jnp.any(each)
    found = Health(clock.steps, clock.updates, first + jnp.argmax(each))  # type: ignore[arg-type]
    return jax.tree.map(
        lambda new, old: jnp.where(fails, jnp.asarray(new, jnp.int32), old),
        found,
        health,
    )


def _broken(x: jax.Array) -> jax.Array:
    return ~jnp.all(jnp.isfinite(x))


def look(health: Health, chosen: Action, step: TimeStep, clock: Clock) -> Health:
    """The health after an env step."""
    seen = (chosen.action, step.reward, step.next_obs, step.obs)
    return _note(health, [_broken(x) for x in seen], clock, 0)  # type: ignore[arg-type]


def update(
    config: Config,
    state: AgentState,
    store: Store,
    health: Health,
    seed: jax.Array,
    clock: Clock,
    log: Log = DEFAULT,
) -> tuple[AgentState, Health, Metrics]:
    """One update of one agent; if it gives NaN or infinity, the agent stays as it was.

    Args:
        config: of the agent; its traced fields are scalars.
        state: the agent.
        store: its replay, or its newest steps.
        health: before the update.
        seed: of the agent, uint32 scalar.
        clock: the counters before the update.
        log: the metrics to return; others are not computed.

    Returns:
        The agent, its health, and the metrics.
    """
    new, metrics = learn(config, state, store, seed, clock, log)
    bad, after = [_broken(x) for _, x in _learned(new)], clock.updates + 1
    # else each select of an array would look at all flags anew
    health = apart(_note(health, bad, clock._replace(updates=after), len(_STEP)))
    # what is remembered of the data is large, and of no use where numbers break
    whole, new, state = new.sampling, *(x._replace(sampling=None) for x in (new, state))
    lasts = jax.tree.map(lambda n, o: jnp.where(health.alive, n, o), new, state)
    return lasts._replace(sampling=whole), health, metrics


# ---------------------------------------------------------------- learning


class _Reads(NamedTuple):
    """What an update reads, and the metrics that are logged of it."""

    agent: AgentState
    store: Store
    log: Log


def learn(
    config: Config,
    state: AgentState,
    store: Store,
    seed: jax.Array,
    clock: Clock,
    log: Log = DEFAULT,
) -> tuple[AgentState, Metrics]:
    """One update without a check: critic steps, policy steps, target networks.

    The arguments are those of `update`.

    Returns:
        The agent, and the metrics.
    """
    state = agents.begin(config, state, seed, clock.updates)
    key, learner = stream(seed, Purpose.LEARN, clock.updates), _Reads(state, store, log)
    state, metrics = _learned_from(config, learner, key, clock)
    sizes = EnvSpec(  # all that a new agent asks for
        task="", max_steps=1, provider="", obs_size=store.obs.shape[-1],
        action_size=store.action.shape[-1],
    )  # fmt: skip
    return agents.end(config, state, sizes, seed, clock.updates + 1), metrics


def _learned_from(
    config: Config, learner: _Reads, key: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    if config.data.in_order:
        return _learn_sequences(config, learner, key, clock)
    if learner.agent.params.prior is None:
        return _learn_steps(config, learner, key, clock)
    return _learn_from_others(config, config.pi_p, learner, key, clock)


def _learn_from_others(
    config: Config, prior: Prior, learner: _Reads, key: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    """First updates of the behaviour policy's model alone, then of all else too.

    As `pi_p.keep_fitting` says, the model is fitted on, or stays.
    """
    # split(key, n)[i] is fold_in(key, i): of these, `_learn_steps` leaves this one out
    own = jax.random.fold_in(key, config.schedule.critic_steps)
    batch, (choose, noise) = config.data.batch_size, jax.random.split(own)

    def fit(state: AgentState) -> tuple[AgentState, Metrics]:
        transition = replay.sample(learner.store, choose, batch)
        state, metrics = agents.fit_prior(config, state, transition, noise)
        return state, kept(metrics, learner.log)

    def everything(state: AgentState) -> tuple[AgentState, Metrics]:
        metrics = kept({"prior_loss": jnp.array(jnp.nan)}, learner.log)
        if prior.keep_fitting:
            state, metrics = fit(state)
        now = learner._replace(agent=state)
        state, found = _learn_steps(config, now, key, clock)
        return state, metrics | found

    if not prior.pretrain_updates:
        return everything(learner.agent)
    everything = jax.jit(everything, inline=True)  # traced once for both uses
    metrics = jax.eval_shape(everything, learner.agent)[1]
    unknown = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), metrics)

    def model_alone(state: AgentState) -> tuple[AgentState, Metrics]:
        state, found = fit(state)
        return state, unknown | found

    first = clock.updates < prior.pretrain_updates
    return jax.lax.cond(first, model_alone, everything, learner.agent)


def _warm(config: Config, state: AgentState, clock: Clock) -> jax.Array | None:
    """Whether the policy is pulled to its prior alone, in this update."""
    if state.params.prior is None:
        return None
    first = config.pi_p.pretrain_updates + jnp.asarray(config.schedule.warm_start)
    return jnp.less(clock.updates, first)


class _Taken(NamedTuple):
    """What a replay gave for a minibatch."""

    steps: Transition  # leaves [B, ...], or of sequences [L, B, ...]
    log_prob: jax.Array | None  # [L, B], of a sequence's actions, where it is kept
    drawn: Drawn


def _taken(
    config: Config, learner: _Reads, choose: jax.Array, updates: Counter
) -> _Taken:
    """Transitions, or the sequences that the estimate asks for."""
    (state, store, _), length = learner, config.g_estimate.length
    draws, in_order = config.data.draws, config.data.draws.in_order
    held = replay.held(store, length, in_order=in_order)
    drawn = draws.draw(state.sampling, choose, config.data.batch_size, held, updates)
    if length == 1:
        steps, mu = replay.drawn(store, drawn.index, in_order=in_order), None
    else:
        steps, mu = replay.sequences(store, drawn.index, length, in_order=in_order)
    return _Taken(_rewarded(config, state, steps), mu, drawn)


def _with_value(
    config: Config, state: AgentState, taken: _Taken, key: jax.Array
) -> tuple[AgentState, Metrics]:
    """After a step of V beside Q at the first of the steps, where there is a V."""
    steps, single = taken.steps, config.g_estimate.length == 1
    first = steps if single else jax.tree.map(lambda x: x[0], steps)
    return agents.fit_value(config, state, first, jax.random.fold_in(key, 5))


def _with_targets(
    config: Config, state: AgentState, taken: _Taken, key: jax.Array
) -> Batch:
    """The minibatch with its targets."""
    steps, mu, drawn = taken
    if config.g_estimate.length == 1:
        batch = agents.compute_targets(config, state, steps, key)
    else:
        batch = agents.compute_sequence_targets(config, state, steps, mu, key)
    return batch._replace(index=drawn.index, weight=drawn.weight)


def minibatch(
    config: Config, state: AgentState, store: Store, choose: jax.Array, key: jax.Array
) -> Batch:
    """Transitions of a replay with their targets, as the next update would have them.

    Nothing is learned of them.

    Args:
        choose: a key, of which transitions are drawn.
        key: of the samples that targets take an average of.
    """
    taken = _taken(config, _Reads(state, store, ()), choose, np.int32(0))
    return _with_targets(config, state, taken, key)


def _rewarded(config: Config, state: AgentState, steps: Steps) -> Steps:
    """Stored steps with their rewards as the critics learn from them."""
    if config.reward is None:
        return steps
    return steps._replace(reward=config.reward.read(state.rewards, steps.reward))


_UNROLLED = 8  # steps; more are a loop, or compiling them would take minutes


def _learn_steps(
    config: Config, learner: _Reads, key: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    """Every step on a fresh minibatch; the policy's first on the critic's last."""
    (state, _, log), schedule = learner, config.schedule
    keys = jax.random.split(key, schedule.critic_steps + schedule.policy_steps)
    warm = _warm(config, state, clock)

    def draw(state: AgentState, key: jax.Array):
        choose, targets, improve = jax.random.split(key, 3)
        taken = _taken(config, learner._replace(agent=state), choose, clock.updates)
        return taken, targets, improve

    def evaluate(state: AgentState, key: jax.Array, step: Counter):
        taken, targets, improve = draw(state, key)
        state, fitted = _with_value(config, state, taken, targets)
        batch = _with_targets(config, state, taken, targets)
        state, found = agents.evaluate(config, state, batch)
        metrics = kept(fitted | found, log)
        if config.target.each_step:
            number = clock.updates * schedule.critic_steps + step + 1
            state = agents.track_critic(config, state, number)
        return state, metrics, batch, improve

    def critic_step(state: AgentState, drawn: tuple[jax.Array, jax.Array]):
        step, key = drawn
        return evaluate(state, key, step)[:2]

    def policy_step(state: AgentState, key: jax.Array):
        taken, targets, improve = draw(state, key)
        batch = _with_targets(config, state, taken, targets)
        return _kept(log, agents.improve(config, state, batch, improve, critic, warm))

    last = schedule.critic_steps - 1  # 0 or more, by validation.config_rules
    steps = jnp.arange(last, dtype=jnp.int32)
    state, _ = _repeat(critic_step, state, (steps, keys[:last]), _UNROLLED)
    before = state.params.critic
    state, metrics, batch, improve = evaluate(state, keys[last], np.int32(last))
    critic = before if schedule.simultaneous else state.params.critic
    found = agents.improve(config, state, batch, improve, critic, warm)
    state, found = _kept(log, found)
    metrics |= found
    state, found = _repeat(policy_step, state, keys[last + 2 :], _UNROLLED)
    told, data = jax.random.fold_in(key, len(keys)), batch.transition
    metrics |= found | agents.update_metrics(config, state, data, told, log)
    return agents.track(config, state, clock.updates + 1), metrics


def _kept(log: Log, told: tuple[AgentState, Metrics]) -> tuple[AgentState, Metrics]:
    """What a step gave, with those of its metrics that are logged."""
    state, metrics = told
    return state, kept(metrics, log)


def _sequences(config: Config, store: Store) -> Episodes:
    """The stored steps in order of time, and which of them count."""
    data = config.data
    if isinstance(data, Trajectories):
        return episodes.view(store, data.capacity // data.envs)
    steps = data.update_every // data.envs
    return episodes.newest(
        store, steps, finished=_needs_ends(config), whole=_needs_starts(config)
    )


def _needs_ends(config: Config) -> bool:
    """Whether a return counts only if its episode came to an end: no critic has V."""
    return not models.critics(config) and not config.g.received


def _needs_starts(config: Config) -> bool:
    return config.pi_q.whole_episodes


def unfinished(config: Config, max_steps: int) -> int:
    """How many of the newest steps, at most, wait for the ends of their episodes."""
    most = max_steps * config.data.envs
    if isinstance(config.data, Trajectories):
        return most
    if not isinstance(config.data, Rollout):
        return 0
    return most * (int(_needs_ends(config)) + int(_needs_starts(config)))


class _Pool(NamedTuple):
    """What the minibatches of an iteration are drawn from."""

    store: Store
    kept: Episodes
    positions: jax.Array  # [C], of the steps to learn from: the first n
    n: jax.Array
    returns: agents.ReturnsAndScores
    prior: Tree  # the prior's distributions [C, ...], or None

    def passes(self, key: jax.Array, steps: int, size: int) -> jax.Array:
        """Of shuffled passes, the first minibatches' places in `kept`: [steps, size].

        All in one go: drawn one by one, they would take longer than small networks.
        """

        def chosen(step: jax.Array) -> jax.Array:
            return episodes.minibatch(key, self.positions, self.n, step, size)

        return jax.vmap(chosen)(jnp.arange(steps, dtype=jnp.int32))

    def batch(self, chosen: jax.Array) -> Batch:
        """The minibatch of these places in `kept`."""
        transition = replay.gather(self.store, self.kept.index[chosen])
        prior = jax.tree.map(lambda x: x[chosen], self.prior)
        target, score, before = jax.tree.map(lambda x: x[chosen], self.returns)
        return Batch(transition, target, None, score, prior, before=before)


def steps_to_learn_from(
    config: Config, state: AgentState, store: Store
) -> tuple[Episodes, tuple[jax.Array, jax.Array]]:
    """The stored steps in order of time, rewards as the critics learn from them; and
    the places of those that minibatches are of, first in [C], with their number."""
    steps = _rewarded(config, state, _sequences(config, store))
    left_out = steps.last & config.data.drop_last
    return steps, episodes.entries(steps.seen & ~left_out)


def _learn_sequences(
    config: Config, learner: _Reads, key: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    """One iteration on the steps that count; where none does, nothing, metrics NaN."""
    old = learner.agent
    steps, entries = steps_to_learn_from(config, old, learner.store)
    state, metrics = _iterate(config, learner, steps, entries, key, clock)
    some = entries[1] > 0
    state = jax.tree.map(lambda new, old: jnp.where(some, new, old), state, old)
    return state, {k: jnp.where(some, x, jnp.nan) for k, x in metrics.items()}


def _iterate(
    config: Config,
    learner: _Reads,
    steps: Episodes,
    entries: tuple[jax.Array, jax.Array],
    key: jax.Array,
    clock: Clock,
) -> tuple[AgentState, Metrics]:
    """Two phases, the critic's and the policy's, on shuffled passes over all steps.

    Args:
        entries: places in `steps` to learn from, and their number.
    """
    (state, store, log), data, (positions, n) = learner, config.data, entries
    obs = replay.rows(store)
    rows = obs[steps.row]
    state, metrics = _kept(log, agents.solve(config, state, obs, steps))
    returns = agents.compute_returns(config, state, obs, steps)
    state = _look(config, state, rows, steps.seen, clock)
    pool = _Pool(store, steps, positions, jnp.maximum(n, 1), returns, None)
    critic_key, policy_key = jax.random.split(key)

    def critic_step(state: AgentState, chosen: jax.Array):
        return _kept(log, agents.evaluate(config, state, pool.batch(chosen)))

    passes = pool.passes(critic_key, config.schedule.critic_steps, data.batch_size)
    state, found = _repeat(critic_step, state, passes)
    metrics |= found
    if data.relabel:
        pool = pool._replace(returns=agents.compute_returns(config, state, obs, steps))
    pool = pool._replace(prior=agents.priors(config, state, obs, steps))

    def policy_step(state: AgentState, drawn: tuple[jax.Array, jax.Array]):
        step, chosen = drawn
        own = jax.random.fold_in(policy_key, step)
        batch, critic = pool.batch(chosen), state.params.critic
        return agents.improve(config, state, batch, own, critic)

    passes = pool.passes(policy_key, config.schedule.policy_steps, data.policy_rows)
    state, found = _policy_phase(config, log, policy_step, state, passes)
    score = pool.returns.score
    metrics |= found | kept(agents.weight_metrics(config, state, score, steps), log)
    found = agents.end_of_iteration(config, state, rows, score, pool.prior, steps.seen)
    state, found = _kept(log, found)
    told, data = jax.random.fold_in(key, 2), pool.batch(passes[0]).transition
    metrics |= found | agents.update_metrics(config, state, data, told, log)
    return agents.track(config, state, clock.updates + 1), metrics


def _policy_phase(
    config: Config,
    log: Log,
    step: Callable[[AgentState, Any], tuple[AgentState, Metrics]],
    state: AgentState,
    passes: jax.Array,
) -> tuple[AgentState, Metrics]:
    """The policy's steps on minibatches, and what the last told; they may end early.

    A step that is left out is computed all the same, so that agents share a program.
    """
    rule, over = config.pi_q_update, (jnp.arange(len(passes)), passes)
    if not rule.stops_early:
        return _repeat(lambda *args: _kept(log, step(*args)), state, over)

    def stopping(carry: tuple[AgentState, jax.Array], each: Any):
        state, going = carry
        new, told = step(state, each)
        going &= ~rule.ends(told)
        state = jax.tree.map(lambda a, b: jnp.where(going, a, b), new, state)
        return (state, going), kept(told, log)

    (state, _), told = _repeat(stopping, (state, jnp.array(True)), over)
    return state, told


def _look(
    config: Config, state: AgentState, obs: jax.Array, seen: jax.Array, clock: Clock
) -> AgentState:
    """Moments with observations [C, O], once values were taken by the old moments."""
    norm = config.networks.input_norm
    if norm is None:
        return state
    assert state.moments is not None
    # the newest of them was there before the step that the clock has counted
    known = moments.merge(state.moments, obs, seen & norm.counts(clock.steps - 1))
    return state._replace(moments=known)


def _repeat(
    step: Callable[[Carry, Any], tuple[Carry, Metrics]],
    state: Carry,
    over: Any,
    unrolled: int = 0,
) -> tuple[Carry, Metrics]:
    """A step for each row of `over`, and the metrics of the last.

    Up to `unrolled` of them are written out; more are a loop.
    """
    metrics: Metrics = {}
    number = len(jax.tree.leaves(over)[0])
    if number <= unrolled:
        for i in range(number):
            state, metrics = step(state, jax.tree.map(lambda x, i=i: x[i], over))
        return state, metrics
    state, metrics = jax.lax.scan(step, state, over)
    return state, jax.tree.map(lambda x: x[-1], metrics)
