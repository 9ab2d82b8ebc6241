"""The loop: act, step, add, learn, measure. It stands once, and knows no algorithm.

Functions with a leading underscore and a `config` are for one agent; `_over_agents` is
the only vmap over agents in the library. Counters are the same for all agents of a
program and stay outside of it, so that branches stay branches.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import devices, envs, schema
from coadapt.config import Config, Replay, Trajectories
from coadapt.data import episodes, replay
from coadapt.data.replay import Store
from coadapt.envs.base import DeviceEnv, EnvState, HostEnv
from coadapt.ops import moments
from coadapt.ops.moments import Moments
from coadapt.streams import Purpose, host_seeds, stream
from coadapt.types import AgentState, EnvSpec, Metrics, TimeStep

Counter = jax.Array | np.int32


class Seen(NamedTuple):
    """What an env step changes. Apart from the agent, which only learning changes: a
    program that passes all of an agent's arrays through is slow to start."""

    store: Store
    moments: Moments | None  # of observations, as in AgentState


class Learner(NamedTuple):
    """One agent with what it has seen; stacked [N, ...] in a program."""

    agent: AgentState
    store: Store

    @property
    def seen(self) -> Seen:
        return Seen(self.store, self.agent.moments)

    def having(self, seen: Seen) -> "Learner":
        """The learner after an env step."""
        return Learner(self.agent._replace(moments=seen.moments), seen.store)


class Clock(NamedTuple):
    """Counters that all agents of a program share."""

    steps: Counter  # env steps taken by each agent
    updates: Counter  # updates made by each agent


class Report(NamedTuple):
    """What a program tells while it runs."""

    steps: int  # env steps
    metrics: dict[str, np.ndarray]  # name -> [N]
    seconds: float  # since the program started, compilation included


class Result(NamedTuple):
    """What is left when a program has ended."""

    learner: Learner  # leaves [N, ...]
    clock: Clock


# ---------------------------------------------------------------- one agent


def store_capacity(config: Config, spec: EnvSpec, steps: int) -> int:
    """Transitions to hold on the device: never more than a run can make."""
    data = config.data
    if isinstance(data, Trajectories):
        return min(
            episodes.capacity_of_store(data.capacity, spec.max_steps), max(steps, 1)
        )
    return min(data.capacity, max(steps, 1))


def _start(
    config: Config, seed: jax.Array, obs: jax.Array, spec: EnvSpec, capacity: int
) -> Learner:
    state = agents.init(config, spec, stream(seed, Purpose.INIT, 0))
    return Learner(state, replay.init(spec, capacity, obs))


def _act(config: Config, learner: Learner, seed: jax.Array, steps: jax.Array):
    """The action of env step `steps`: the policy's, or uniform while warming up."""
    key = stream(seed, Purpose.ACT, steps)
    obs = replay.current(learner.store)
    size = learner.store.action.shape[1]

    def uniform() -> jax.Array:
        return jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)

    def sample() -> jax.Array:
        return agents.act(config, learner.agent, obs[None], key)[0]

    if isinstance(config.data, Replay) and config.data.warmup:
        return jax.lax.cond(steps < config.data.warmup, uniform, sample)
    return sample()


def _add(
    config: Config, seen: Seen, action: jax.Array, step: TimeStep, steps: jax.Array
) -> Seen:
    """Store env step `steps`; a replay learner also counts its observation."""
    known, norm = seen.moments, config.networks.input_norm
    if norm is not None and isinstance(config.data, Replay):
        assert known is not None
        obs = replay.current(seen.store)[None]
        counts = jnp.asarray(steps < norm.until)[None]
        known = moments.merge(known, obs, counts)
    return Seen(replay.add(seen.store, action, step), known)


def _learn(
    config: Config, state: AgentState, store: Store, seed: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    """One update: critic steps, policy steps, targets."""
    key, learner = stream(seed, Purpose.LEARN, clock.updates), Learner(state, store)
    if isinstance(config.data, Trajectories):
        return _learn_episodes(config, config.data, learner, key, clock)
    return _learn_replay(config, config.data, learner, key, clock)


def _learn_replay(
    config: Config, data: Replay, learner: Learner, key: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    """Every step on a fresh minibatch; the policy's first on the critic's last."""
    (state, store), schedule = learner, config.schedule
    keys = jax.random.split(key, schedule.critic_steps + schedule.policy_steps)
    metrics: Metrics = {}

    def draw(state: AgentState, key: jax.Array):
        choose, annotate, improve = jax.random.split(key, 3)
        transition = replay.sample(store, choose, data.batch)
        return agents.annotate(config, state, transition, annotate), improve

    batch, improve = draw(state, keys[0])
    before = state.params.critic
    for i in range(schedule.critic_steps):
        if i:
            batch, improve = draw(state, keys[i])
            before = state.params.critic
        state, found = agents.evaluate(config, state, batch)
        metrics |= found
    critic = before if schedule.simultaneous else state.params.critic
    for i in range(schedule.policy_steps):
        if i:
            batch, improve = draw(state, keys[schedule.critic_steps + i])
        state, found = agents.improve(config, state, batch, improve, critic)
        metrics |= found
    return agents.track(config, state, clock.updates + 1), metrics


def _learn_episodes(
    config: Config, data: Trajectories, learner: Learner, key: jax.Array, clock: Clock
) -> tuple[AgentState, Metrics]:
    """Two phases, the critic's and the policy's, on shuffled passes over all steps."""
    state, store = learner
    kept = episodes.view(store, data.capacity)
    positions, n = episodes.entries(kept.seen & ~(kept.last & data.drop_last))
    labels = agents.label(config, state, store.obs, kept)
    norm = config.networks.input_norm
    if norm is not None:  # values were of the old moments, training is of the new
        assert state.moments is not None
        seen = kept.seen & (clock.steps <= norm.until)
        known = moments.merge(state.moments, store.obs[kept.row], seen)
        state = state._replace(moments=known)
    critic_key, policy_key = jax.random.split(key)

    def minibatch(key: jax.Array, labels: agents.Labels, step: jax.Array):
        chosen = episodes.minibatch(key, positions, n, step, data.batch)
        transition = replay.gather(store, kept.index[chosen])
        return agents.Batch(
            transition, labels.target[chosen], None, labels.score[chosen]
        )

    def critic_step(state: AgentState, step: jax.Array):
        return agents.evaluate(config, state, minibatch(critic_key, labels, step))

    state, critic_metrics = jax.lax.scan(
        critic_step, state, jnp.arange(config.schedule.critic_steps)
    )
    if data.relabel:
        labels = agents.label(config, state, store.obs, kept)

    def policy_step(state: AgentState, step: jax.Array):
        batch = minibatch(policy_key, labels, step)
        own = jax.random.fold_in(policy_key, step)
        return agents.improve(config, state, batch, own, state.params.critic)

    state, policy_metrics = jax.lax.scan(
        policy_step, state, jnp.arange(config.schedule.policy_steps)
    )
    metrics = jax.tree.map(lambda x: x[-1], critic_metrics | policy_metrics)
    return agents.track(config, state, clock.updates + 1), metrics


def _greedy(config: Config, state: AgentState, obs: jax.Array) -> jax.Array:
    """obs [E, O] -> the online policy's greedy actions [E, A]."""
    return agents.act(config, state, obs, jax.random.key(0), greedy=True)


def _finite(state: AgentState) -> jax.Array:
    """Whether everything that an agent learns is finite."""
    leaves = jax.tree.leaves((state.params, state.target))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves]))


# ---------------------------------------------------------------- all agents

_over_agents = jax.vmap
_SHARED = None  # the in_axes of a counter


# Run once: time spent on making these fast is lost. (A fifth of the compile time.)
_ONCE = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


@partial(jax.jit, static_argnames=("spec", "capacity"), compiler_options=_ONCE)
@devices.spread_out()
def start(configs: Config, seeds: jax.Array, obs: jax.Array, *, spec, capacity):
    """New learners. seeds [N], first observations [N, O]."""
    begin = partial(_start, spec=spec, capacity=capacity)
    return _over_agents(begin)(configs, seeds, obs)


_act_all = _over_agents(_act, in_axes=(0, 0, 0, _SHARED))
_add_all = _over_agents(_add, in_axes=(0, 0, 0, 0, _SHARED))
_learn_all = _over_agents(_learn, in_axes=(0, 0, 0, 0, _SHARED))

act = jax.jit(devices.spread_out(shared=(3,))(_act_all))
add = jax.jit(devices.spread_out(shared=(4,))(_add_all), donate_argnums=1)
learn = jax.jit(devices.spread_out(shared=(4,))(_learn_all), donate_argnums=1)
greedy = jax.jit(devices.spread_out()(_over_agents(_greedy)))
finite = jax.jit(devices.spread_out()(_over_agents(_finite)))


@partial(jax.jit, donate_argnums=1)
@devices.spread_out(shared=(6,))
def add_and_act(configs, seen, states, actions, step, seeds, steps):
    """Store env step `steps` and choose the action of the one after.

    Of `states` [N, ...] the moments are left out: they are in `seen`.
    """
    seen = _add_all(configs, seen, actions, step, steps)
    learners = Learner(states, seen.store).having(seen)
    return seen, _act_all(configs, learners, seeds, steps + 1)


# ---------------------------------------------------------------- the loop


def due(config: Config, steps: int) -> bool:
    """Whether an update follows env step number `steps` (counted from 1)."""
    return steps >= config.data.start and steps % config.data.steps == 0


class HostLoop:
    """Environments on the host: a Python loop that keeps the device busy."""

    def __init__(self, env: HostEnv, configs: Config, seeds: np.ndarray, capacity: int):
        self.env = env
        self.configs, self.seeds = devices.spread(len(seeds), (configs, seeds))
        first = [host_seeds(int(s), Purpose.RESET, 0, 1)[0] for s in seeds]
        obs = env.reset(first)
        self.learner: Learner = start(
            self.configs, self.seeds, obs, spec=env.spec, capacity=capacity
        )
        # chosen, not yet taken
        self.action = act(self.configs, self.learner, self.seeds, np.int32(0))
        self.metrics: Metrics = {}

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Env steps begin + 1 to end; returns the number of updates made so far."""
        configs, data = self.configs, self.configs.data
        overlap = isinstance(data, Replay) and data.overlap
        for t in range(begin, end):
            learns, action = due(configs, t + 1), self.action
            clock = Clock(np.int32(t + 1), np.int32(updates))
            if learns and overlap:  # not waited for: the environments step meanwhile
                self.learn(clock)
            step = self.env.step(np.asarray(action))
            if learns and not overlap:
                seen = add(configs, self.learner.seen, action, step, np.int32(t))
                self.learner = self.learner.having(seen)
                self.learn(clock)
                self.action = act(configs, self.learner, self.seeds, np.int32(t + 1))
            else:
                self.add_and_act(action, step, np.int32(t))
            updates += learns
        return updates

    def learn(self, clock: Clock) -> None:
        """One update; returns before it is finished."""
        state, store = self.learner
        state, self.metrics = learn(self.configs, state, store, self.seeds, clock)
        self.learner = Learner(state, store)

    def add_and_act(self, action: jax.Array, step: TimeStep, steps: np.int32) -> None:
        """Store env step `steps`; choose the next action. Returns before both."""
        state = self.learner.agent._replace(moments=None)
        seen, self.action = add_and_act(
            self.configs, self.learner.seen, state, action, step, self.seeds, steps
        )
        self.learner = self.learner.having(seen)

    def close(self) -> None:
        self.env.close()


@partial(jax.jit, static_argnames="env")
@devices.spread_out()
def _reset_device(seeds: jax.Array, *, env: DeviceEnv):
    return jax.vmap(lambda s: env.reset(stream(s, Purpose.RESET, 0)))(seeds)


@partial(jax.jit, static_argnames=("env", "learns"), donate_argnums=(1, 2))
@devices.spread_out(shared=(4, 5))
def _iterate_device(
    configs: Config,
    learners: Learner,
    states: EnvState,
    seeds: jax.Array,
    clock: Clock,
    iterations: jax.Array,
    *,
    env: DeviceEnv,
    learns: bool,
):
    """Iterations of (env steps until an update is due, the update), on the device."""

    def collect(steps: jax.Array, carry):
        learners, states = carry
        actions = _act_all(configs, learners, seeds, steps)
        states, step = jax.vmap(env.step)(states, actions)
        seen = _add_all(configs, learners.seen, actions, step, steps)
        return learners.having(seen), states

    def iterate(_: jax.Array, carry):
        learners, states, clock, metrics = carry
        period = configs.data.steps if learns else 1
        end = (clock.steps // period + 1) * period
        learners, states = jax.lax.fori_loop(
            clock.steps, end, collect, (learners, states)
        )
        clock = clock._replace(steps=end)
        if learns:
            state, store = learners
            state, metrics = _learn_all(configs, state, store, seeds, clock)
            learners = Learner(state, store)
            clock = clock._replace(updates=clock.updates + 1)
        return learners, states, clock, metrics

    metrics: Metrics = {}
    if learns:
        shapes = jax.eval_shape(
            _learn_all, configs, learners.agent, learners.store, seeds, clock
        )
        metrics = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes[1])
    carry = (learners, states, clock, metrics)
    learners, states, _, metrics = jax.lax.fori_loop(0, iterations, iterate, carry)
    return learners, states, metrics


class DeviceLoop:
    """Environments on the device: whole chunks are one call."""

    def __init__(
        self, env: DeviceEnv, configs: Config, seeds: np.ndarray, capacity: int
    ):
        self.env = env
        self.configs, self.seeds = devices.spread(len(seeds), (configs, seeds))
        self.states, obs = _reset_device(self.seeds, env=env)
        self.learner: Learner = start(
            self.configs, self.seeds, obs, spec=env.spec, capacity=capacity
        )
        self.metrics: Metrics = {}

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Env steps begin + 1 to end; returns the number of updates made so far."""
        period, start_at = self.configs.data.steps, self.configs.data.start
        first = max(-(-start_at // period), begin // period + 1) * period  # update
        quiet = min(max(first - period, begin), end)
        count = max((end - first) // period + 1, 0)
        rest = first + (count - 1) * period if count else quiet
        self._iterate(begin, updates, quiet - begin, learns=False)
        self._iterate(quiet, updates, count, learns=True)
        self._iterate(rest, updates + count, end - rest, learns=False)
        return updates + count

    def _iterate(self, begin: int, updates: int, count: int, *, learns: bool) -> None:
        if count == 0:
            return
        self.learner, self.states, metrics = _iterate_device(
            self.configs,
            self.learner,
            self.states,
            self.seeds,
            Clock(np.int32(begin), np.int32(updates)),
            np.int32(count),
            env=self.env,
            learns=learns,
        )
        self.metrics = metrics or self.metrics

    def close(self) -> None:
        pass


# ---------------------------------------------------------------- measure


def _measure_host(
    env: HostEnv, configs: Config, state: AgentState, seeds: np.ndarray, index: int
) -> np.ndarray:
    """Undiscounted returns [N, E] of one greedy episode in each environment."""
    number, each = len(seeds), env.count // len(seeds)
    starts = [host_seeds(int(s), Purpose.MEASURE, index, each) for s in seeds]
    obs = env.reset([word for words in starts for word in words])
    total = np.zeros(env.count)
    running = np.ones(env.count, bool)
    while running.any():
        actions = greedy(configs, state, obs.reshape(number, each, -1))
        step = env.step(np.asarray(actions).reshape(env.count, -1))
        total += np.where(running, step.reward, 0.0)
        running &= ~np.asarray(step.last)
        obs = step.obs
    return total.reshape(number, each)


@partial(jax.jit, static_argnames=("env", "each"))
@devices.spread_out(shared=(3,))
def _measure_device(
    configs: Config,
    state: AgentState,
    seeds: jax.Array,
    index: jax.Array,
    *,
    env: DeviceEnv,
    each: int,
):
    def one_agent(config: Config, state: AgentState, seed: jax.Array):
        keys = jax.random.split(stream(seed, Purpose.MEASURE, index), each)
        states, obs = jax.vmap(env.reset)(keys)

        def body(carry, _):
            states, obs, total, running = carry
            states, step = jax.vmap(env.step)(states, _greedy(config, state, obs))
            total += jnp.where(running, step.reward, 0.0)
            return (states, step.obs, total, running & ~step.last), None

        carry = (states, obs, jnp.zeros(each), jnp.ones(each, bool))
        carry, _ = jax.lax.scan(body, carry, length=env.spec.max_steps)
        return carry[2]

    return _over_agents(one_agent)(configs, state, seeds)


# ---------------------------------------------------------------- a program


def admissible(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse a config that has no meaning on this task. Raises: ConfigError."""
    data = config.data
    if spec.num_actions:
        raise schema.ConfigError(
            f"task is {spec.task!r}: its actions are discrete, and "
            f"pi_theta={type(config.pi_theta).__name__} makes continuous ones."
        )
    if isinstance(data, Trajectories):
        finished = data.start - spec.max_steps
        if steps >= data.start and finished < data.batch:
            raise schema.ConfigError(
                f"data.start is {data.start}: on {spec.task} (episodes of up to "
                f"{spec.max_steps} steps) it must be at least "
                f"{data.batch + spec.max_steps}, so that a minibatch of finished steps "
                "is there."
            )


def train(
    configs: Sequence[Config],
    seeds: Sequence[int],
    task: str,
    *,
    steps: int,
    eval_every: int = 20_000,
    eval_episodes: int = 10,
    report: Callable[[Report], None] = lambda _: None,
) -> Result:
    """Train agents of one structure in one program: agent i is configs[i], seeds[i].

    Evaluations are greedy episodes of the online policies, every `eval_every` env steps
    and at the end, in environments of their own: they touch nothing that learns.
    Raises: ValueError if the configs differ in structure, or on an unknown task.
    """
    began = time.monotonic()
    stacked = schema.stack(configs)
    number, seed_array = len(configs), np.asarray(seeds, np.uint32)
    env = envs.make(task, number)
    for config in configs:
        admissible(config, env.spec, steps)
    capacity = store_capacity(stacked, env.spec, steps)
    kind = HostLoop if isinstance(env, HostEnv) else DeviceLoop
    loop = kind(env, stacked, seed_array, capacity)  # type: ignore[arg-type]
    measured = (
        envs.make(task, number * eval_episodes) if isinstance(env, HostEnv) else env
    )
    done = updates = 0
    try:
        for index, end in enumerate(_stops(steps, eval_every)):
            updates = loop.advance(done, end, updates)
            done = end
            metrics = {k: np.asarray(v) for k, v in loop.metrics.items()}
            metrics |= _measure(measured, loop, seed_array, index, eval_episodes)
            report(Report(done, metrics, time.monotonic() - began))
    finally:
        loop.close()
        if isinstance(measured, HostEnv):
            measured.close()
    return Result(loop.learner, Clock(np.int32(done), np.int32(updates)))


def _stops(steps: int, every: int) -> Iterator[int]:
    for i in range(1, math.ceil(steps / every) + 1):
        yield min(i * every, steps)


def _measure(env, loop, seeds: np.ndarray, index: int, each: int):
    """Mean and std over episodes of each agent; NaN where an agent is not finite."""
    configs, state = loop.configs, loop.learner.agent
    if isinstance(env, HostEnv):
        returns = _measure_host(env, configs, state, seeds, index)
    else:
        returns = np.asarray(
            _measure_device(configs, state, seeds, np.int32(index), env=env, each=each)
        )
    alive = np.asarray(finite(state))
    return {
        "return": np.where(alive, returns.mean(axis=1), np.nan),
        "return_std": np.where(alive, returns.std(axis=1), np.nan),
    }
