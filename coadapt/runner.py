"""The loop: act, step, add, learn, measure. It stands once, and knows no algorithm.

Functions with a leading underscore and a `config` are for one agent; `_over_agents` is
the only vmap over agents in the library. Counters are the same for all agents of a
program and stay outside of it, so that branches stay branches.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import devices, envs, learn, schema
from coadapt.config import Config, Offline, Replay, Rollout, Trajectories
from coadapt.data import episodes, offline, replay
from coadapt.data.replay import Store
from coadapt.envs.base import DeviceEnv, EnvState, HostEnv
from coadapt.factors import g_estimate, pi_theta
from coadapt.learn import Clock, Learner, Seen
from coadapt.ops import moments
from coadapt.streams import Purpose, host_seeds, stream
from coadapt.types import Action, AgentState, EnvSpec, Metrics, TimeStep


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


def store_size(config: Config, spec: EnvSpec, steps: int) -> replay.Size:
    """What to hold on the device for each agent: never more than a run can make."""
    data = config.data
    if isinstance(data, Offline):
        return replay.Size(0, 0)  # all agents read one store
    if isinstance(data, Rollout):  # and the step before; an episode may have one step
        return replay.size(data.steps + 1, shortest=1)
    most = data.capacity
    if isinstance(data, Trajectories):
        most = episodes.capacity_of_store(most, spec.max_steps)
    kept = g_estimate.keeps_log_prob(config.g_estimate)
    return replay.size(min(most, max(steps, 1)), log_prob=kept)


def _start(
    config: Config, seed: jax.Array, obs: jax.Array, spec: EnvSpec, size: replay.Size
) -> Learner:
    return Learner(_start_agent(config, seed, spec), replay.init(spec, size, obs))


def _start_agent(config: Config, seed: jax.Array, spec: EnvSpec) -> AgentState:
    return agents.init(config, spec, stream(seed, Purpose.INIT, 0))


def _act(config: Config, learner: Learner, seed: jax.Array, steps: jax.Array) -> Action:
    """The action of env step `steps`: the policy's, or uniform while warming up."""
    key = stream(seed, Purpose.ACT, steps)
    obs = replay.current(learner.store)
    size, kept = learner.store.action.shape[1], learner.store.log_prob is not None

    def uniform() -> Action:
        action, log_prob = pi_theta.uniform(config.pi_theta, key, size)
        return Action(action, log_prob if kept else None)

    def sample() -> Action:
        action = agents.act(config, learner.agent, obs[None], key)
        if not kept:
            return Action(action[0], None)
        log_prob = agents.log_prob(config, learner.agent, obs[None], action)
        return Action(action[0], log_prob[0])

    if isinstance(config.data, Replay) and config.data.warmup:
        return jax.lax.cond(steps < config.data.warmup, uniform, sample)
    return sample()


def _add(
    config: Config, seen: Seen, chosen: Action, step: TimeStep, steps: jax.Array
) -> Seen:
    """Store env step `steps`; a replay learner also counts its observation."""
    known, norm = seen.moments, config.networks.input_norm
    if norm is not None and isinstance(config.data, Replay):
        assert known is not None
        obs = replay.current(seen.store)[None]
        counts = jnp.asarray(steps < norm.until)[None]
        known = moments.merge(known, obs, counts)
    return Seen(replay.add(seen.store, chosen, step), known)


def _greedy(
    config: Config, state: AgentState, obs: jax.Array, seed: jax.Array, when: jax.Array
) -> jax.Array:
    """obs [E, O] -> greedy actions [E, A] at step when[1] of evaluation when[0]."""
    key = jax.random.fold_in(stream(seed, Purpose.MEASURE, when[0]), when[1])
    return agents.act(config, state, obs, key, greedy=True)


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


@partial(jax.jit, static_argnames=("spec", "size"), compiler_options=_ONCE)
@devices.spread_out()
def start(configs: Config, seeds: jax.Array, obs: jax.Array, *, spec, size):
    """New learners. seeds [N], first observations [N, O]."""
    begin = partial(_start, spec=spec, size=size)
    return _over_agents(begin)(configs, seeds, obs)


@partial(jax.jit, static_argnames="spec", compiler_options=_ONCE)
@devices.spread_out(shared=(2,))
def start_offline(configs: Config, seeds: jax.Array, obs: jax.Array, *, spec):
    """New agents, [N], that know the moments of a data set's observations [R, O]."""

    def begin(config: Config, seed: jax.Array) -> AgentState:
        state = _start_agent(config, seed, spec)
        if state.moments is None:
            return state
        known = moments.merge(state.moments, obs, jnp.ones(obs.shape[0], bool))
        return state._replace(moments=known)

    return _over_agents(begin)(configs, seeds)


_act_all = _over_agents(_act, in_axes=(0, 0, 0, _SHARED))
_add_all = _over_agents(_add, in_axes=(0, 0, 0, 0, _SHARED))
_learn_all = _over_agents(learn.update, in_axes=(0, 0, 0, 0, _SHARED))

act = jax.jit(devices.spread_out(shared=(3,))(_act_all))
add = jax.jit(devices.spread_out(shared=(4,))(_add_all), donate_argnums=1)
update = jax.jit(devices.spread_out(shared=(4,))(_learn_all), donate_argnums=1)
_greedy_all = _over_agents(_greedy, in_axes=(0, 0, 0, 0, _SHARED))
greedy = jax.jit(devices.spread_out(shared=(4,))(_greedy_all))
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

    def __init__(
        self, env: HostEnv, configs: Config, seeds: np.ndarray, size: replay.Size
    ):
        self.env = env
        self.configs, self.seeds = devices.spread(len(seeds), (configs, seeds))
        first = [host_seeds(int(s), Purpose.RESET, 0, 1)[0] for s in seeds]
        obs = env.reset(first)
        self.learner: Learner = start(
            self.configs, self.seeds, obs, spec=env.spec, size=size
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
            step = self.env.step(np.asarray(action.action))
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
        state, self.metrics = update(self.configs, state, store, self.seeds, clock)
        self.learner = Learner(state, store)

    def add_and_act(self, action: Action, step: TimeStep, steps: np.int32) -> None:
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
        states, step = jax.vmap(env.step)(states, actions.action)
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
        self, env: DeviceEnv, configs: Config, seeds: np.ndarray, size: replay.Size
    ):
        self.env = env
        self.configs, self.seeds = devices.spread(len(seeds), (configs, seeds))
        self.states, obs = _reset_device(self.seeds, env=env)
        self.learner: Learner = start(
            self.configs, self.seeds, obs, spec=env.spec, size=size
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


_learn_offline = _over_agents(learn.update, in_axes=(0, 0, _SHARED, 0, _SHARED))


@partial(jax.jit, donate_argnums=1)
@devices.spread_out(shared=(2, 4, 5))
def _iterate_offline(
    configs: Config,
    states: AgentState,
    store: Store,
    seeds: jax.Array,
    clock: Clock,
    updates: jax.Array,
):
    """So many updates of all agents on the one data set."""
    shapes = jax.eval_shape(_learn_offline, configs, states, store, seeds, clock)[1]
    metrics = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def body(i: jax.Array, carry):
        now = Clock(clock.steps + i + 1, clock.updates + i)
        return _learn_offline(configs, carry[0], store, seeds, now)

    return jax.lax.fori_loop(0, updates, body, (states, metrics))


class OfflineLoop:
    """A data set, which all agents read: a step is an update, and nothing acts."""

    def __init__(self, dataset: str, spec: EnvSpec, configs: Config, seeds: np.ndarray):
        transitions = offline.read(dataset, spec)
        self.store = offline.store(transitions)
        self.behavior = np.full(len(seeds), offline.describe(transitions).mean)
        self.configs, self.seeds = devices.spread(len(seeds), (configs, seeds))
        state = start_offline(self.configs, self.seeds, self.store.obs, spec=spec)
        self.learner = Learner(state, self.store)
        self.metrics: dict[str, Any] = {}

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Updates begin + 1 to end; returns the number of updates made so far."""
        state, self.metrics = _iterate_offline(
            self.configs,
            self.learner.agent,
            self.store,
            self.seeds,
            Clock(np.int32(begin), np.int32(updates)),
            np.int32(end - begin),
        )
        self.learner = Learner(state, self.store)
        self.metrics["behavior_return"] = self.behavior
        return updates + end - begin

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
    t = 0
    while running.any():
        when = np.array([index, t], np.int32)
        actions = greedy(configs, state, obs.reshape(number, each, -1), seeds, when)
        t += 1
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

        def body(carry, t):
            states, obs, total, running = carry
            action = _greedy(config, state, obs, seed, jnp.stack([index, t]))
            states, step = jax.vmap(env.step)(states, action)
            total += jnp.where(running, step.reward, 0.0)
            return (states, step.obs, total, running & ~step.last), None

        carry = (states, obs, jnp.zeros(each), jnp.ones(each, bool))
        carry, _ = jax.lax.scan(body, carry, jnp.arange(env.spec.max_steps))
        return carry[2]

    return _over_agents(one_agent)(configs, state, seeds)


# ---------------------------------------------------------------- a program


def admissible(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse a config that has no meaning on this task. Raises: ConfigError."""
    data, pi = config.data, config.pi_theta
    native = isinstance(pi, pi_theta.Softmax) and pi.bins is None
    if spec.num_actions and not native:
        came = f"is {type(pi).__name__}"
        if isinstance(pi, pi_theta.Softmax):
            came = f"has {pi.bins} bins"
        raise schema.ConfigError(
            f"pi_theta {came}: the actions of {spec.task} are discrete, so it must be "
            "a Softmax with bins of none."
        )
    if native and not spec.num_actions:
        raise schema.ConfigError(
            f"pi_theta.bins is None: the actions of {spec.task} are continuous, so it "
            "must be the number of values that each dimension may take, such as 11."
        )
    if isinstance(data, Offline):
        offline.read(data.dataset, spec)
        return
    if isinstance(data, Trajectories) and data.drop_last and spec.max_steps == 1:
        raise schema.ConfigError(
            f"data.drop_last is True: the episodes of {spec.task} have one step each, "
            "and none would be left, so it must be false."
        )
    unfinished = learn.unfinished(config, spec.max_steps)
    if steps >= data.start and unfinished and data.start < data.batch + unfinished:
        field = "data.steps" if isinstance(data, Rollout) else "data.start"
        raise schema.ConfigError(
            f"{field} is {data.start}: on {spec.task} (episodes of up to "
            f"{spec.max_steps} steps) it must be at least "
            f"{data.batch + unfinished}, so that a minibatch of finished steps "
            "is there."
        )


def _loop(
    stacked: Config, task: str, spec: EnvSpec, seeds: np.ndarray, steps: int
) -> "HostLoop | DeviceLoop | OfflineLoop":
    """What moves the data: environments here, on the device, or none."""
    if isinstance(stacked.data, Offline):
        return OfflineLoop(stacked.data.dataset, spec, stacked, seeds)
    env, size = envs.make(task, len(seeds)), store_size(stacked, spec, steps)
    if isinstance(env, HostEnv):
        return HostLoop(env, stacked, seeds, size)
    return DeviceLoop(env, stacked, seeds, size)


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
    and at the end, in environments of their own: they touch nothing that learns. With
    data=Offline, steps are updates.
    Raises: ValueError if the configs differ in structure, or on an unknown task.
    """
    began = time.monotonic()
    stacked, spec = schema.stack(configs), envs.spec(task)
    seed_array = np.asarray(seeds, np.uint32)
    for config in configs:
        admissible(config, spec, steps)
    loop = _loop(stacked, task, spec, seed_array, steps)
    measured = envs.make(task, len(configs) * eval_episodes)
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
