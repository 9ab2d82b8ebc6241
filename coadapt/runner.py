"""The loop: act, step, add, learn, measure. It stands once, and knows no algorithm.

Functions with a leading underscore and a `config` are for one agent; `_over_agents`
and, for updates, `devices.over_agents` map them over agents. Counters are the same for
all agents of a program and stay outside of it, so that branches stay branches.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import cadence, devices, envs, learn, logs, schema
from coadapt.agent import models
from coadapt.config import Config, Offline, Replay, Rollout, Trajectories
from coadapt.data import episodes, offline, replay
from coadapt.data.replay import Store
from coadapt.envs.base import DeviceEnv, EnvState, HostEnv, once
from coadapt.learn import Clock, Health, Learner, Seen
from coadapt.logs import DEFAULT, Log
from coadapt.notes import note
from coadapt.ops import moments
from coadapt.streams import Purpose, host_seeds, pin, stream
from coadapt.types import Action, AgentState, EnvSpec, Metrics, Rows, TimeStep

T = TypeVar("T")


class Failure(NamedTuple):
    """Where an agent's numbers stopped being finite, or its environment raised."""

    agent: int  # its place in the program
    steps: int  # env steps taken by then
    updates: int  # updates made by then, the one that broke included
    tensor: str  # of `learn.tensors`
    cause: str  # what the simulator said, if it was that


class Report(NamedTuple):
    """What a program tells while it runs."""

    steps: int  # env steps
    metrics: dict[str, np.ndarray]  # name -> [N]
    seconds: float  # since the program started, compilation included
    failures: list[Failure]  # all of them so far


class Snapshot(NamedTuple):
    """A program between two env steps: all that it needs to go on, or to be read."""

    learner: Learner  # leaves [N, ...]; the store is None where a data set is read
    clock: Clock  # whole numbers
    metrics: dict[str, Any]  # of the newest update, [N] each
    seconds: float  # that the program took until here


class Interrupted(Exception):  # noqa: N818 (it is none)
    """A program was asked to stop, and did, after a checkpoint at `steps`."""

    def __init__(self, steps: int):
        super().__init__(f"stopped after {steps} env steps")
        self.steps = steps


class TimeOver(Interrupted):
    """It stopped there because the next checkpoint would come too late."""

    def __init__(self, steps: int = 0):
        """`steps`: 0 of more than one program."""
        super().__init__(steps)
        what = f"stopped after {steps} env steps" if steps else "stopped"
        self.args = (f"{what}, as the next checkpoint would come too late",)


# ---------------------------------------------------------------- one agent

_SHORTEST = 4  # env steps of an episode, on average, for which a short run has room


def store_size(config: Config, spec: EnvSpec, steps: int) -> replay.Size:
    """What to hold on the device for each agent: never more than a run can make.

    Each of its environments holds an equal share.
    """
    data, given, beside = config.data, 0, 0
    if isinstance(data, Offline):
        return replay.Size(0, 0)  # all agents read one store
    if isinstance(data, Rollout):  # and the step before; an episode may have one step
        return replay.size(
            data.update_every // data.envs + 1, shortest=1, envs=data.envs
        )
    most = data.capacity // data.envs
    if data.begins_with:
        first = offline.store(offline.read(data.begins_with, spec))
        given = first.reward.shape[0]
        beside = first.obs.shape[0] - given
    if isinstance(data, Trajectories):
        most = episodes.capacity_of_store(most, spec.max_steps)
    sized = partial(
        replay.size,
        log_prob=config.g_estimate.reads_log_prob,
        precision=getattr(data, "precision", "float32"),
        envs=data.envs,
    )
    # a store that the run cannot fill drops nothing that a longer run's would keep
    room = min(most, given + max(steps // data.envs, 1))
    made = sized(room, shortest=min(_SHORTEST, spec.max_steps))
    full = sized(most, shortest=min(50, spec.max_steps))
    return made._replace(rows=min(made.rows, full.rows) + beside)


def shapes(config: Config, spec: EnvSpec, steps: int) -> Learner:
    """Those of one agent's learner; a store is there if it is its own."""
    if isinstance(config.data, Offline):
        state = jax.eval_shape(lambda: _start_agent(config, jnp.uint32(0), spec))
        return Learner(state, None, jax.eval_shape(learn.healthy))  # type: ignore[arg-type]
    size = store_size(config, spec, steps)
    obs = _first(config, np.zeros((config.data.envs, spec.obs_size), np.float32))
    return jax.eval_shape(lambda: _start(config, jnp.uint32(0), obs, spec, size))


def _start(
    config: Config, seed: jax.Array, obs: jax.Array, spec: EnvSpec, size: replay.Size
) -> Learner:
    store = replay.init(spec, size, obs)
    return Learner(_start_agent(config, seed, spec), store, learn.healthy())


def _start_agent(config: Config, seed: jax.Array, spec: EnvSpec) -> AgentState:
    return agents.init(config, spec, stream(seed, Purpose.INIT, 0))


def _act(config: Config, learner: Learner, seed: jax.Array, steps: jax.Array) -> Action:
    """The action that follows env step `steps`, or of each environment one, [E, ...].

    NaN of an agent that has failed: no environment has to be stepped for it.
    """
    obs = replay.current(learner.store)
    choose = partial(_choose, config, learner, seed, steps)
    if config.data.envs == 1:
        return choose(obs, 0)
    return jax.vmap(choose)(obs, jnp.arange(config.data.envs, dtype=jnp.int32))


def _choose(
    config: Config,
    learner: Learner,
    seed: jax.Array,
    steps: jax.Array,
    obs: jax.Array,
    environment: jax.typing.ArrayLike,
) -> Action:
    """The action at obs [O]: the policy's, or uniform while warming up."""
    key = stream(seed, Purpose.ACT, steps, environment)
    size, kept = learner.store.action.shape[-1], learner.store.log_prob is not None

    def chosen(action: jax.Array, log_prob: jax.Array | None) -> Action:
        return Action(jnp.where(learner.health.alive, action, jnp.nan), log_prob)

    def uniform() -> Action:
        action, log_prob = config.pi_theta.uniform(key, size)
        return chosen(action, log_prob if kept else None)

    def sample() -> Action:
        action = agents.act(config, learner.agent, obs[None], key)
        if not kept:
            return chosen(action[0], None)
        log_prob = agents.log_prob(config, learner.agent, obs[None], action)
        return chosen(action[0], log_prob[0])

    if isinstance(config.data, Replay) and config.data.random_steps:
        return jax.lax.cond(steps < config.data.random_steps, uniform, sample)
    return sample()


def as_stored(config: Config, step: TimeStep) -> TimeStep:
    """The step as the agent learns from it: whether a time limit is a termination."""
    if not getattr(config.data, "terminate_at_limit", False):
        return step
    return step._replace(discount=jnp.where(step.last, 0.0, step.discount))


def _add(
    config: Config, seen: Seen, chosen: Action, step: TimeStep, clock: Clock
) -> Seen:
    """Store the env step after `clock`, or one of each environment.

    A replay learner also counts its observation.
    A step that is not finite is not stored, nor is any after it.
    """
    came, step = step, as_stored(config, step)
    known, norm = seen.moments, config.networks.input_norm
    steps = clock.steps
    after = clock._replace(steps=steps + config.data.envs)
    health = learn.look(seen.health, chosen, step, after)
    if norm is not None and isinstance(config.data, Replay):
        assert known is not None
        obs = jnp.atleast_2d(replay.current(seen.store))  # [E, O]
        counts = jnp.asarray(health.alive & norm.counts(steps))
        known = moments.merge(known, obs, jnp.broadcast_to(counts, obs.shape[:1]))
    rewards, rule = seen.rewards, config.reward
    if rule is not None:
        gamma = jnp.asarray(config.g_estimate.discount, jnp.float32)
        rewards = rule.counted(rewards, came, gamma, health.alive)
        step = step._replace(reward=rule.stored(rewards, step.reward))
    sampling = config.data.draws.added(seen.sampling, seen.store.count, health.alive)
    store = replay.add(seen.store, chosen, step, health.alive)
    return Seen(store, known, health, rewards, sampling)


def _greedy(
    config: Config, state: AgentState, obs: jax.Array, seed: jax.Array, when: jax.Array
) -> jax.Array:
    """obs [E, O] -> greedy actions [E, A] at step when[1] of evaluation when[0]."""
    key = jax.random.fold_in(stream(seed, Purpose.MEASURE, when[0]), when[1])
    return agents.act(config, state, obs, key, greedy=True)


# ---------------------------------------------------------------- all agents

_over_agents = jax.vmap
_SHARED = None  # the in_axes of a counter


def by_agent(configs: Config, tree: T) -> T:
    """Arrays [N E, ...] as [N, E, ...], if agents have several environments."""
    number = configs.data.envs
    if number == 1:
        return tree
    return jax.tree.map(lambda x: x.reshape(-1, number, *x.shape[1:]), tree)


def _first(config: Config, obs: Any) -> Any:
    """First observations [E, O] as an agent's store begins with: [O] of one."""
    return by_agent(config, obs)[0]


def by_environment(action: Any) -> Any:
    """Actions of all agents, [N, A] or [N, E, A], as [N E, A]."""
    return action.reshape(-1, action.shape[-1])


# Run once: time spent on making these fast is lost. (A fifth of the compile time.)
_ONCE = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


@partial(jax.jit, static_argnames=("spec", "size"), compiler_options=_ONCE)
@devices.spread_out()
def start(configs: Config, seeds: jax.Array, obs: jax.Array, *, spec, size):
    """New learners. seeds [N], first observations [N, O], or [N, E, O]."""
    begin = partial(_start, spec=spec, size=size)
    return _over_agents(begin)(configs, seeds, obs)


def _begin_with(config: Config, learner: Learner, first: Store) -> Learner:
    """A new learner whose replay begins with a data set, which it has seen."""
    state, number = learner.agent, first.reward.shape[0]
    known, sampling = state.moments, config.data.draws.began(state.sampling, number)
    if known is not None:
        known = moments.merge(known, first.obs, jnp.ones(first.obs.shape[0], bool))
    state = state._replace(moments=known, sampling=sampling)
    return learner._replace(agent=state, store=replay.begun_with(learner.store, first))


_begin_with_all = _over_agents(_begin_with, in_axes=(0, 0, _SHARED))


@partial(jax.jit, donate_argnums=1)
@devices.spread_out(shared=(2,))
def begin_with(configs: Config, learners: Learner, first: Store) -> Learner:
    """New learners, [N], whose replays begin with a data set."""
    return _begin_with_all(configs, learners, first)


@partial(jax.jit, static_argnames="spec", compiler_options=_ONCE)
@devices.spread_out(shared=(2,))
def start_offline(configs: Config, seeds: jax.Array, obs: jax.Array, *, spec):
    """New agents, [N], that know the moments of a data set's observations [R, O]."""

    def begin(config: Config, seed: jax.Array) -> tuple[AgentState, Health]:
        state, known = _start_agent(config, seed, spec), None
        if state.moments is not None:
            known = moments.merge(state.moments, obs, jnp.ones(obs.shape[0], bool))
        return state._replace(moments=known), learn.healthy()

    return _over_agents(begin)(configs, seeds)


_LEARNT = {1: 0, 3: 1}  # learn.update's agent and health
_act_all = _over_agents(_act, in_axes=(0, 0, 0, _SHARED))
_add_all = _over_agents(_add, in_axes=(0, 0, 0, 0, _SHARED))


def _learn_all(log: Log, *args: Any) -> tuple:
    """An update of all agents of a device, with the metrics that are logged."""
    one = wraps(learn.update)(partial(learn.update, log=log))
    return devices.over_agents(one, shared=(5,), becomes=_LEARNT)(*args)


def _once_traced(function: Callable[..., tuple]) -> Callable[..., tuple]:
    """A function whose shapes are asked for before a loop takes it as its body."""
    return jax.jit(function, inline=True)


act = jax.jit(devices.spread_out(shared=(3,))(_act_all))
add = jax.jit(devices.spread_out(shared=(4,))(_add_all), donate_argnums=1)
cut = jax.jit(devices.spread_out()(_over_agents(replay.cut)), donate_argnums=0)
_greedy_all = _over_agents(_greedy, in_axes=(0, 0, 0, 0, _SHARED))
greedy = jax.jit(devices.spread_out(shared=(4,))(_greedy_all))


@partial(jax.jit, static_argnames="log", donate_argnums=1)
@devices.spread_out(shared=(5,))
def update(configs, states, store, health, seeds, clock, *, log: Log = DEFAULT):
    """One update of all agents: their states, healths and metrics."""
    return _learn_all(log, configs, states, store, health, seeds, clock)


@partial(jax.jit, donate_argnums=1)
@devices.spread_out(shared=(6,))
def add_and_act(configs, seen, states, actions, step, seeds, clock):
    """Store the env step after `clock` and choose the action of the next.

    `states` [N, ...] are without what is in `seen`.
    """
    seen = _add_all(configs, seen, actions, step, clock)
    learners = Learner(states, seen.store, seen.health).having(seen)
    steps = clock.steps + configs.data.envs
    return seen, _act_all(configs, learners, seeds, steps)


# ---------------------------------------------------------------- the loop


class Program(NamedTuple):
    """The agents of one program, and what they are trained on.

    N counts those that fill up devices, too: they are the last, and stand still.
    """

    configs: Config  # leaves [N]
    seeds: np.ndarray  # [N]
    task: str
    spec: EnvSpec
    checkpoint_every: int  # env steps
    log: Log = DEFAULT  # the metrics that are computed and reported
    real: int | None = None  # agents that are asked for; None: all

    @property
    def agents(self) -> int:
        """That are asked for."""
        return len(self.seeds) if self.real is None else self.real

    def of_agents(self, tree: Any) -> Any:
        """Arrays [N, ...] without what stands still: as they are, or on the host."""
        if self.agents == len(self.seeds):
            return tree
        return jax.tree.map(lambda x: np.asarray(x)[: self.agents], tree)

    def with_all(self, tree: Any) -> Any:
        """Arrays [agents, ...], the last repeated for what stands still."""
        more = len(self.seeds) - self.agents
        if not more:
            return tree

        def fill(x: Any) -> np.ndarray:
            x = np.asarray(x)
            return np.concatenate([x, np.repeat(x[-1:], more, axis=0)])

        return jax.tree.map(fill, tree)

    def still(self, learner: Learner) -> Learner:
        """With those that fill up devices as agents that have failed: nothing of theirs
        is computed further, and no environment is stepped for them."""
        number = len(self.seeds)
        if self.agents == number:
            return learner
        fills = np.arange(number) >= self.agents
        failed = Health(*map(np.int32, (0, 0, 0)))  # type: ignore[arg-type]
        health = jax.tree.map(
            lambda new, old: np.where(fills, new, np.asarray(old)),
            failed,
            learner.health,
        )
        return learner._replace(health=devices.spread(number, health))

    def spread(self) -> tuple[Config, np.ndarray]:
        """Configs and seeds on the devices."""
        return devices.spread(len(self.seeds), (self.configs, self.seeds))

    def spread_snapshot(self, snapshot: Snapshot) -> Learner:
        """The learner on the devices, as `start` leaves one there."""
        learner = devices.spread(len(self.seeds), self.with_all(snapshot.learner))
        return self.still(learner)


def first_update(config: Config) -> int:
    """The env step, counted from 1, that the first update follows: see `due`."""
    period = config.data.period
    return max(-(-config.data.learning_starts // period), 1) * period


def due(config: Config, steps: int) -> int:
    """How many updates follow env step number `steps` (counted from 1)."""
    data = config.data
    if steps < data.learning_starts or steps % data.period:
        return 0
    return data.updates_at_once


class _Acting:
    """A loop whose agents have a replay of their own."""

    about: Program
    configs: Config
    seeds: Any
    learner: Learner
    metrics: Metrics

    def _start(self, obs: Any, size: replay.Size) -> None:
        """New learners at first observations [N, O], that know a data set, if any."""
        spec, name = self.about.spec, self.configs.data.begins_with
        self.learner = start(self.configs, self.seeds, obs, spec=spec, size=size)
        if name:
            first = offline.store(offline.read(name, spec))
            self.learner = begin_with(self.configs, self.learner, first)
        self.learner = self.about.still(self.learner)
        for i in range(first_updates(self.configs)):
            self.learn(Clock(np.int32(0), np.int32(i)))

    def learn(self, clock: Clock, updates: int = 1) -> None:
        """So many updates; returns before they are finished."""
        state, store, health = self.learner
        for i in range(updates):
            now = clock._replace(updates=np.int32(clock.updates + i))
            state, health, self.metrics = update(
                self.configs, state, store, health, self.seeds, now, log=self.about.log
            )
        self.learner = Learner(state, store, health)


def first_updates(config: Config) -> int:
    """How many updates come before the first env step."""
    return config.data.pretrain_updates if isinstance(config.data, Replay) else 0


class HostLoop(_Acting):
    """Environments on the host: a Python loop that keeps the device busy."""

    def __init__(self, about: Program, size: replay.Size, start_at: Snapshot | None):
        self.about, self._causes = about, dict[int, str]()
        self.configs, self.seeds = about.spread()
        self.metrics: Metrics = {}
        self.env = self._make()
        if start_at is not None:
            self.learner = about.spread_snapshot(start_at)
            self._cut(int(start_at.clock.steps))
            return
        self._start(self._begin(0), size)
        # chosen, not yet taken
        self.action = act(self.configs, self.learner, self.seeds, np.int32(0))

    def _make(self) -> HostEnv:
        about = self.about
        env = envs.make(about.task, len(about.seeds) * about.configs.data.envs)
        assert isinstance(env, HostEnv)
        return env

    def _begin(self, index: int) -> np.ndarray:
        """The first observations of the episodes that checkpoint `index` begins."""
        configs, seeds = self.about.configs, self.about.seeds
        each = configs.data.envs
        words = [host_seeds(int(s), Purpose.RESET, index, each) for s in seeds]
        obs = self.env.reset([word for own in words for word in own])
        return by_agent(configs, obs)

    def renew(self, steps: int) -> None:
        """End the running episodes, and begin others in environments made anew."""
        self.close()
        self.env = self._make()
        self._cut(steps)

    def _cut(self, steps: int) -> None:
        obs = self._begin(steps // self.about.checkpoint_every)
        self.learner = self.learner._replace(store=cut(self.learner.store, obs))
        self.action = act(self.configs, self.learner, self.seeds, np.int32(steps))

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Env steps begin + 1 to end; returns the number of updates made so far."""
        configs, data = self.configs, self.configs.data
        overlaps, needed = isinstance(data, Replay) and data.overlap, 1
        if overlaps:
            needed = learn.steps_of_sequence(configs) * data.envs
        for t in range(begin, end, data.envs):
            after, action = t + data.envs, self.action
            learns = due(configs, after)
            overlap = overlaps and t >= needed  # else what it reads is not there yet
            before = Clock(np.int32(t), np.int32(updates))
            clock = before._replace(steps=np.int32(after))
            if learns and overlap:  # not waited for: the environments step meanwhile
                self.learn(clock, learns)
            step = self._step(action)
            if learns and not overlap:
                seen = add(configs, self.learner.seen, action, step, before)
                self.learner = self.learner.having(seen)
                self.learn(clock, learns)
                self.action = act(configs, self.learner, self.seeds, np.int32(after))
            else:
                self.add_and_act(action, step, before)
            updates += learns
        return updates

    def _step(self, action: Action) -> TimeStep:
        step = self.env.step(by_environment(np.asarray(action.action)))
        return by_agent(self.configs, step)

    def add_and_act(self, action: Action, step: TimeStep, clock: Clock) -> None:
        """Store the env step after `clock`; choose the next action.

        Returns before both.
        """
        seen, self.action = add_and_act(
            self.configs, self.learner.seen, self.learner.unseen, action, step,
            self.seeds, clock,
        )  # fmt: skip
        self.learner = self.learner.having(seen)

    @property
    def causes(self) -> dict[int, str]:
        """What simulators raised, the first of each agent."""
        each, found = self.about.configs.data.envs, sorted(self.env.causes.items())
        return {**{i // each: said for i, said in reversed(found)}, **self._causes}

    def close(self) -> None:
        self._causes = self.causes
        self.env.close()


@partial(jax.jit, static_argnames=("env", "each"))
@devices.spread_out(shared=(1,))
def reset_device(seeds: jax.Array, index: jax.Array, *, env: DeviceEnv, each: int = 1):
    """`each` environments of N agents: states and first observations, [N E, ...]."""
    if each == 1:
        return jax.vmap(lambda s: env.reset(stream(s, Purpose.RESET, index)))(seeds)

    def begin(seed: jax.Array, number: jax.Array) -> tuple[EnvState, jax.Array]:
        return env.reset(stream(seed, Purpose.RESET, index, number))

    numbers = jnp.arange(each, dtype=jnp.int32)
    owners = jnp.repeat(seeds, each)
    return jax.vmap(begin)(owners, jnp.tile(numbers, seeds.shape[0]))


def _no_metrics(function: Callable, *args: Any) -> Metrics:
    """Zeros in the shapes of what an update tells."""
    shapes = jax.eval_shape(function, *args)[-1]
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def _collect(
    configs: Config,
    seeds: jax.Array,
    env: DeviceEnv,
    clock: Clock,
    moments: jax.Array,
    carry: tuple[Learner, EnvState],
) -> tuple[Learner, EnvState]:
    """So many steps of all environments together, from `clock` on."""

    def step_all(i: jax.Array, carry: tuple[Learner, EnvState]):
        learners, states = carry
        steps = i * configs.data.envs
        now = clock._replace(steps=steps)
        actions = _act_all(configs, learners, seeds, steps)
        states, step = jax.vmap(env.step)(states, by_environment(actions.action))
        step = by_agent(configs, step)
        seen = _add_all(configs, learners.seen, actions, step, now)
        return learners.having(seen), states

    begin: Any = clock.steps // configs.data.envs
    return jax.lax.fori_loop(begin, begin + moments, step_all, carry)


@partial(jax.jit, static_argnames=("env", "learns", "log"), donate_argnums=(1, 2))
@devices.spread_out(shared=(4, 5))
def iterate_device(
    configs: Config,
    learners: Learner,
    states: EnvState,
    seeds: jax.Array,
    clock: Clock,
    iterations: jax.Array,
    *,
    env: DeviceEnv,
    learns: bool,
    log: Log = DEFAULT,
):
    """Iterations of (env steps until updates are due, the updates), on the device."""
    period = configs.data.period if learns else configs.data.envs
    at_once = configs.data.updates_at_once if learns else 0

    def learn_once(_: Any, carry):
        learners, clock, _ = carry
        state, health, metrics = learn_all(configs, *learners, seeds, clock)
        learners = learners._replace(agent=state, health=health)
        return learners, clock._replace(updates=clock.updates + 1), metrics

    def iterate(_: jax.Array, carry):
        learners, states, clock, metrics = carry
        end = (clock.steps // period + 1) * period
        moments = (end - clock.steps) // configs.data.envs
        learners, states = _collect(
            configs, seeds, env, clock, moments, (learners, states)
        )
        carry = learners, clock._replace(steps=end), metrics
        if at_once == 1:
            carry = learn_once(None, carry)
        elif at_once:
            carry = jax.lax.fori_loop(0, at_once, learn_once, carry)
        learners, clock, metrics = carry
        return learners, states, clock, metrics

    metrics, learn_all = {}, _once_traced(partial(_learn_all, log))
    if learns:
        metrics = _no_metrics(learn_all, configs, *learners, seeds, clock)
    carry = (learners, states, clock, metrics)
    learners, states, _, metrics = jax.lax.fori_loop(0, iterations, iterate, carry)
    return learners, states, metrics


class DeviceLoop(_Acting):
    """Environments on the device: whole chunks are one call."""

    causes: Mapping[int, str] = {}  # a pure function raises nothing

    def __init__(
        self,
        env: DeviceEnv,
        about: Program,
        size: replay.Size,
        start_at: Snapshot | None,
    ):
        self.env, self.about = env, about
        self.configs, self.seeds = about.spread()
        self.metrics: Metrics = {}
        if start_at is not None:
            self.learner = about.spread_snapshot(start_at)
            self.renew(int(start_at.clock.steps))
            return
        self._start(self._begin(0), size)

    def _begin(self, index: int) -> jax.Array:
        self.states, obs = reset_device(
            self.seeds, np.int32(index), env=self.env, each=self.configs.data.envs
        )
        return by_agent(self.configs, obs)

    def renew(self, steps: int) -> None:
        """End the running episodes, and begin others."""
        obs = self._begin(steps // self.about.checkpoint_every)
        self.learner = self.learner._replace(store=cut(self.learner.store, obs))

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Env steps begin + 1 to end; returns the number of updates made so far."""
        data = self.configs.data
        period, each = data.period, data.envs
        first = max(first_update(self.configs), (begin // period + 1) * period)
        quiet = min(max(first - period, begin), end)
        count = max((end - first) // period + 1, 0)
        rest = first + (count - 1) * period if count else quiet
        made = updates + count * data.updates_at_once
        self._iterate(begin, updates, (quiet - begin) // each, learns=False)
        self._iterate(quiet, updates, count, learns=True)
        self._iterate(rest, made, (end - rest) // each, learns=False)
        return made

    def _iterate(self, begin: int, updates: int, count: int, *, learns: bool) -> None:
        if count == 0:
            return
        self.learner, self.states, metrics = iterate_device(
            self.configs,
            self.learner,
            self.states,
            self.seeds,
            Clock(np.int32(begin), np.int32(updates)),
            np.int32(count),
            env=self.env,
            learns=learns,
            log=self.about.log,
        )
        self.metrics = metrics or self.metrics

    def close(self) -> None:
        pass


@partial(jax.jit, static_argnames="log", donate_argnums=1)
@devices.spread_out(shared=(2, 5, 6))
def iterate_offline(
    configs: Config,
    states: AgentState,
    store: Store,
    health: Health,
    seeds: jax.Array,
    clock: Clock,
    updates: jax.Array,
    *,
    log: Log = DEFAULT,
):
    """So many updates of all agents on the one data set.

    Nothing acts between two of them, so that a block of agents makes all of its own
    while its states are in the core's cache.
    """
    learn_one = _once_traced(partial(learn.update, log=log))

    def learn_many(config, state, store, health, seed, clock, updates):
        def body(i: jax.Array, carry):
            state, health, _ = carry
            now = Clock(clock.steps + i + 1, clock.updates + i)
            return learn_one(config, state, store, health, seed, now)

        metrics = _no_metrics(learn_one, config, state, store, health, seed, clock)
        return jax.lax.fori_loop(0, updates, body, (state, health, metrics))

    over = devices.over_agents(learn_many, shared=(2, 5, 6), becomes=_LEARNT)
    return over(configs, states, store, health, seeds, clock, updates)


class OfflineLoop:
    """A data set, which all agents read: a step is an update, and nothing acts."""

    causes: Mapping[int, str] = {}

    def __init__(self, dataset: str, about: Program, start_at: Snapshot | None):
        transitions = offline.read(dataset, about.spec)
        self.store = offline.store(transitions)
        self.behavior = np.full(
            len(about.seeds), offline.describe(transitions).mean, np.float32
        )
        self.about, (self.configs, self.seeds) = about, about.spread()
        self.metrics: dict[str, Any] = {}
        if start_at is not None:
            learner = about.spread_snapshot(start_at)
            self.learner = learner._replace(store=self.store)
            return
        state, health = start_offline(
            self.configs, self.seeds, self.store.obs, spec=about.spec
        )
        self.learner = about.still(Learner(state, self.store, health))

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Updates begin + 1 to end; returns the number of updates made so far."""
        state, health, self.metrics = iterate_offline(
            self.configs,
            *self.learner,
            self.seeds,
            Clock(np.int32(begin), np.int32(updates)),
            np.int32(end - begin),
            log=self.about.log,
        )
        self.learner = Learner(state, self.store, health)
        self.metrics["behavior_return"] = self.behavior
        return updates + end - begin

    def renew(self, steps: int) -> None:
        """Nothing runs that could end."""

    def close(self) -> None:
        pass


# ---------------------------------------------------------------- measure

_VALUES = ("start_value", "overestimation")  # for which the critics are asked


def _wants(log: Log, config: Config) -> bool:
    """Whether the evaluation asks the critics, which are there."""
    asked = any(name in log for name in _VALUES)
    return asked and models.critics(config) > 0


def _value(
    config: Config, state: AgentState, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Mean over critics of Q, or of V: obs [E, O], action [E, A] -> [E]."""
    critic = state.params.critic
    return jnp.mean(models.values(config, state, critic, obs, action), 0)


values = jax.jit(devices.spread_out()(_over_agents(_value)))


class Episodes(NamedTuple):
    """Greedy episodes, [N, E]; None where that is not logged."""

    total: Rows  # undiscounted return
    length: Rows | None = None  # env steps
    discounted: Rows | None = None  # return
    value: Rows | None = None  # of the critics, at the start


def _measure_host(
    env: HostEnv, loop: "Loop", index: int, alive: np.ndarray
) -> Episodes:
    """One greedy episode in each environment.

    NaN where an action or a reward is, and of agents that have failed.
    """
    seeds, log = loop.about.seeds, loop.about.log
    number, each = len(seeds), env.count // len(seeds)
    state, configs = loop.learner.agent, loop.configs
    starts = [host_seeds(int(s), Purpose.MEASURE, index, each) for s in seeds]
    obs = env.reset([word for words in starts for word in words])
    running = np.repeat(alive, each)
    total = np.where(running, 0.0, np.nan)
    discounted, length, value, t = total.copy(), np.zeros(env.count), None, 0
    gamma = np.repeat(np.asarray(configs.g_estimate.discount, np.float64), each)
    asks = _wants(log, configs)
    while running.any():
        when = np.array([index, t], np.int32)
        seen = obs.reshape(number, each, -1)
        actions = np.array(greedy(configs, state, seen, loop.seeds, when))
        if asks and value is None:
            value = np.asarray(values(configs, state, seen, actions))
        actions = actions.reshape(env.count, -1)
        broken = ~np.isfinite(actions).all(axis=1)
        actions[~running] = np.nan  # their environments rest
        step = env.step(actions)
        reward = np.where(broken, np.nan, step.reward)
        total += np.where(running, reward, 0.0)
        if asks:
            discounted += np.where(running, gamma**t * reward, 0.0)
        length += running
        t += 1
        running &= ~np.asarray(step.last) & ~np.isnan(total)
        obs = step.obs
    found = Episodes(total, length, discounted, value)
    return jax.tree.map(lambda x: x.reshape(number, each), found)


@partial(jax.jit, static_argnames=("env", "each", "log"))
@devices.spread_out(shared=(3,))
def measure_device(
    configs: Config,
    state: AgentState,
    seeds: jax.Array,
    index: jax.Array,
    *,
    env: DeviceEnv,
    each: int,
    log: Log = DEFAULT,
) -> Episodes:
    """As `_measure_host`; what is not logged is not computed."""
    env = once(env)

    def one_agent(config: Config, state: AgentState, seed: jax.Array) -> Episodes:
        keys = jax.random.split(stream(seed, Purpose.MEASURE, index), each)
        states, obs = jax.vmap(env.reset)(keys)
        gamma, value = jnp.asarray(config.g_estimate.discount, jnp.float32), None
        zeros = Episodes(jnp.zeros(each))
        if "length" in log:
            zeros = zeros._replace(length=jnp.zeros(each))
        if _wants(log, config):
            zeros = zeros._replace(discounted=jnp.zeros(each))
            begin = jnp.stack([index, jnp.zeros_like(index)])
            value = _value(config, state, obs, _greedy(config, state, obs, seed, begin))

        def body(carry, t):
            states, obs, sums, running = carry
            action = _greedy(config, state, obs, seed, jnp.stack([index, t]))
            states, step = jax.vmap(env.step)(states, action)
            weight = jnp.power(gamma, t.astype(jnp.float32))
            own = step.reward, jnp.ones(each), weight * step.reward, 0.0
            sums = Episodes._make(
                None if total is None else total + jnp.where(running, x, 0.0)
                for total, x in zip(sums, own, strict=True)
            )
            return (states, step.obs, sums, running & ~step.last), None

        carry = (states, obs, zeros, jnp.ones(each, bool))
        carry, _ = jax.lax.scan(body, carry, jnp.arange(env.spec.max_steps))
        return carry[2]._replace(value=value)

    return _over_agents(one_agent)(configs, state, seeds)


# ---------------------------------------------------------------- a program


def refuse_float64() -> None:
    """Raises: ConfigError, where JAX is set to make float64 of what has no type."""
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise schema.ConfigError(
            "JAX_ENABLE_X64 is set: agents, replays and tasks are float32 throughout, "
            "and memory is planned so, so it must be unset (JAX_ENABLE_X64=0)."
        )


def admissible(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse a config that has no meaning on this task. Raises: ConfigError."""
    data, pi = config.data, config.pi_theta
    if spec.num_actions and not pi.one_hot:
        raise schema.ConfigError(
            f"pi_theta {pi.kind}: the actions of {spec.task} are discrete, so it must "
            f"be a Softmax with bins of none{_discrete_way(config)}."
        )
    if pi.one_hot and not spec.num_actions:
        raise schema.ConfigError(
            f"pi_theta.bins is None: the actions of {spec.task} are continuous, so it "
            "must be the number of values that each dimension may take, such as 11."
        )
    if isinstance(data, Offline):
        offline.read(data.dataset, spec)
        return
    if data.begins_with:
        _room_for(config, spec, steps)
    if isinstance(data, Trajectories) and data.drop_last and spec.max_steps == 1:
        raise schema.ConfigError(
            f"data.drop_last is True: the episodes of {spec.task} have one step each, "
            "and none would be left, so it must be false."
        )
    _enough(config, spec, steps)


def _room_for(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse a replay without room for what it begins with. Raises: ConfigError."""
    data = config.data
    given = len(offline.read(data.begins_with, spec).reward)
    least, why = given, f"it begins with the {given:,} transitions of data.prefill"
    if data.draws.two_sources:
        least, why = given + steps, f"{why}, half of each minibatch, and {steps:,} come"
    if data.capacity < least:  # type: ignore[union-attr]
        raise schema.ConfigError(
            f"data.capacity is {data.capacity:,}: {why}, so it must be at "  # type: ignore[union-attr]
            f"least {least:,}."
        )


def _discrete_way(config: Config) -> str:
    """How, or instead of which algorithms, discrete actions are learned."""
    if config.pi_q.by_samples:
        return (
            ", which a policy that climbs its critic's gradient cannot be (SAC, DDPG, "
            "TD3 and the like): use PPO, TRPO, AWR, AWAC or another with "
            "pi_theta=Softmax"
        )
    if config.pi_p_update.needs_moments:
        return ": pi_theta=Softmax, with pi_p_update.trust_region=JointKL"
    return ": pi_theta=Softmax"


def _other_half(precision: str) -> str:
    other = {"float16": "bfloat16", "bfloat16": "float16"}[precision]
    return f" or {other}" if devices.converts(other) else ""


def _enough(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse updates that would have nothing to learn from. Raises: ConfigError."""
    data, of_each = config.data, ""
    if data.envs > 1:
        of_each = f" in each of {data.envs:,} environments (data.envs)"
    if isinstance(data, Trajectories) and data.capacity // data.envs < spec.max_steps:
        raise schema.ConfigError(
            f"data.capacity is {data.capacity}: whole episodes are held, and those of "
            f"{spec.task} have up to {spec.max_steps:,} steps{of_each}, so it must be "
            f"at least {f'{spec.max_steps * data.envs:,}' if of_each else 'that'}."
        )
    precision = getattr(data, "precision", "float32")
    if precision != "float32" and not devices.converts(precision):
        raise schema.ConfigError(
            f"data.precision is {precision}: XLA cannot convert it on this processor "
            f"(or with these XLA_FLAGS), so it must be float32{_other_half(precision)}."
        )
    sequence = learn.steps_of_sequence(config)
    if steps >= first_update(config) < sequence * data.envs:
        raise schema.ConfigError(
            f"data.learning_starts is {data.learning_starts}: it must be at least "
            f"{sequence * data.envs}, because an update reads so many steps in a row "
            f"{f'({sequence}) of each environment ' if of_each else ''}"
            "(g_estimate.steps, n_step.most)."
        )
    unfinished = learn.unfinished(config, spec.max_steps)
    if (
        steps >= data.learning_starts
        and unfinished
        and data.learning_starts < data.batch_size + unfinished
    ):
        field = (
            "data.update_every" if isinstance(data, Rollout) else "data.learning_starts"
        )
        raise schema.ConfigError(
            f"{field} is {data.learning_starts}: on {spec.task} (episodes of up to "
            f"{spec.max_steps} steps{of_each}) it must be at least "
            f"{data.batch_size + unfinished}, so that a minibatch of finished steps "
            "is there."
        )


Loop = HostLoop | DeviceLoop | OfflineLoop


def loop(about: Program, steps: int, start_at: Snapshot | None) -> Loop:
    """What moves the data: environments here, on the device, or none."""
    data = about.configs.data
    if isinstance(data, Offline):
        return OfflineLoop(data.dataset, about, start_at)
    size = store_size(about.configs, about.spec, steps)
    if envs.on_host(about.task):
        return HostLoop(about, size, start_at)
    env: Any = envs.make(about.task, 1)
    return DeviceLoop(env, about, size, start_at)


def _program(
    configs: Sequence[Config],
    seeds: Sequence[int],
    spec: EnvSpec,
    every: int,
    log: Sequence[str],
    spread_over: int | None,
) -> Program:
    number = spread_over or devices.filling(len(configs), jax.local_device_count())
    return Program(
        schema.stack(devices.filled(configs, number)),
        np.asarray(devices.filled(seeds, number), np.uint32),
        spec.task, spec, every, logs.chosen(log), len(configs),
    )  # fmt: skip


def train(
    configs: Sequence[Config],
    seeds: Sequence[int],
    task: str,
    *,
    steps: int,
    eval_every: int = cadence.EVERY,
    eval_episodes: int = 10,
    checkpoint_every: int = cadence.EVERY,
    report: Callable[[Report], None] = lambda _: None,
    save: Callable[[Snapshot], None] = lambda _: None,
    start_at: Snapshot | None = None,
    stop: Callable[[], bool] = lambda: False,
    log: Sequence[str] = ("default",),
    spread_over: int | None = None,
) -> Snapshot:
    """Train agents of one structure in one program: agent i is configs[i], seeds[i].

    Evaluations are greedy episodes of the online policies, every `eval_every` env steps
    and at the end, in environments of their own: they touch nothing that learns. With
    data=Offline, steps are updates. An agent whose environment raises there, or whose
    return is NaN, has failed, as in training: it stands still from then on.

    Every `checkpoint_every` env steps the running episodes end as time limits do, and
    environments are made anew: there, and at the end, `save` is told all that the
    program has, and one that starts at such a snapshot, whose arrays it takes over, is
    to the bit the one that was not interrupted. There too, `stop` is asked. When no
    agent is left with finite numbers, it ends. What `log` lacks is not computed.
    The agents are `spread_over` so many devices, by default those of
    `devices.filling`; results are equal to the bit for as many.
    Raises: ValueError if the configs differ in structure, or on an unknown task;
    Interrupted, after `save`, where `stop` says so.
    """
    refuse_float64()
    if start_at is not None and is_over(start_at, steps):  # it may have no replay
        return start_at
    spec = envs.spec(task)
    for config in configs:
        admissible(config, spec, steps)
        cadence.check(config, spec, steps, eval_every, checkpoint_every)
    about = _program(configs, seeds, spec, checkpoint_every, log, spread_over)
    return _Training(about, steps, eval_every, eval_episodes, start_at).run(
        report, save, stop
    )


def is_over(snapshot: Snapshot, steps: int) -> bool:
    """Whether nothing follows of a program of so many env steps."""
    alive = np.asarray(snapshot.learner.health.alive)
    return int(snapshot.clock.steps) == steps or not alive.any()


class _Training:
    """A program on its way, from a snapshot or from the start."""

    def __init__(
        self,
        about: Program,
        steps: int,
        eval_every: int,
        eval_episodes: int,
        start_at: Snapshot | None,
    ):
        pin()
        self.about, self.steps = about, steps
        self.eval_every, self.eval_episodes = eval_every, eval_episodes
        self.began = time.monotonic()
        self.done = self.updates = 0
        self.told = 0, 0.0  # env steps and seconds at the newest report
        self.causes = dict[int, str]()  # of those that failed in an evaluation
        self.noted = False  # that updates change nothing
        if start_at is not None:
            self.done, self.updates = map(int, start_at.clock)
            self.began -= start_at.seconds
            self.told = self.done, start_at.seconds
        self.loop = loop(about, steps, start_at)
        if start_at is None:
            self.updates = first_updates(about.configs)
        if start_at is not None:
            self.loop.metrics = about.with_all(dict(start_at.metrics))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def run(
        self,
        report: Callable[[Report], None],
        save: Callable[[Snapshot], None],
        stop: Callable[[], bool],
    ) -> Snapshot:
        every, last = self.about.checkpoint_every, self.steps
        stops = _stops(self.done, last, self.eval_every, every)
        try:
            for end in stops if self._alive().any() else ():
                self.updates = self.loop.advance(self.done, end, self.updates)
                self.done = end
                ends = end == last or not self._alive().any()
                if ends or end % self.eval_every == 0:
                    report(self._report())
                ends |= not self._alive().any()  # the evaluation may have been the end
                if ends or end % every == 0:
                    save(self.snapshot())
                if ends:
                    break
                if end % every == 0:
                    if stop():
                        raise Interrupted(end)
                    self.loop.renew(end)
        finally:
            self.loop.close()
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        clock = Clock(np.int32(self.done), np.int32(self.updates))
        learner = self.loop.learner
        if isinstance(self.loop, OfflineLoop):
            learner = learner._replace(store=None)  # type: ignore[arg-type]
        found = self.about.of_agents((learner, dict(self.loop.metrics)))
        return Snapshot(found[0], clock, found[1], self.seconds)

    def _alive(self) -> np.ndarray:
        return np.asarray(self.loop.learner.health.alive)

    def _report(self) -> Report:
        index = -(-self.done // self.eval_every) - 1
        metrics = {k: np.asarray(v) for k, v in self.loop.metrics.items()}
        self._note_empty(metrics, self._alive())
        measured, causes = _measure(
            self.about, self.loop, index, self.eval_episodes, self._alive()
        )
        metrics |= measured
        self._fail(causes)
        seconds, number = self.seconds, len(self.about.seeds)
        rate = (self.done - self.told[0]) / max(seconds - self.told[1], 1e-9)
        metrics["steps_per_second"] = np.full(number, rate)
        self.told = self.done, seconds
        # a snapshot may have metrics that are not asked for now
        metrics = self.about.of_agents(logs.kept(metrics, self.about.log))
        return Report(self.done, metrics, seconds, self._failures())

    def _fail(self, causes: Mapping[int, str]) -> None:
        """These agents have failed in an evaluation, and stand still from now on."""
        self.causes |= causes
        if not causes:
            return
        learner, number = self.loop.learner, len(self.about.seeds)
        failed = np.isin(np.arange(number), list(causes))
        last = len(learn.tensors(learner.agent)) - 1
        found = Health(*map(np.int32, (self.done, self.updates, last)))  # type: ignore[arg-type]
        health = jax.tree.map(
            lambda new, old: np.where(failed, new, np.asarray(old)),
            found,
            learner.health,
        )
        self.loop.learner = learner._replace(health=devices.spread(number, health))

    def _note_empty(self, metrics: dict[str, Any], alive: np.ndarray) -> None:
        """Once, where the newest update found no step to learn from: see `learn`."""
        data = self.about.configs.data
        if not metrics or not isinstance(data, Trajectories | Rollout) or self.noted:
            return
        unknown = np.all([np.isnan(x) for x in metrics.values()], axis=0) & alive
        if not unknown.any():
            return
        self.noted = True
        why = "data.drop_last leaves out the last step of each episode, and "
        note(
            f"{self.about.task}: the newest update of {unknown.sum()} of "
            f"{self.about.agents} agents, by env step {self.done:,}, changed nothing: "
            f"{why if getattr(data, 'drop_last', False) else ''}no step is left to "
            "learn from."
        )

    def _failures(self) -> list[Failure]:
        health = self.about.of_agents(self.loop.learner.health)
        health = jax.tree.map(np.asarray, health)
        names = learn.tensors(self.loop.learner.agent)
        causes = {**self.loop.causes, **self.causes}
        return [
            Failure(
                int(i),
                int(health.steps[i]),
                int(health.updates[i]),
                names[health.tensor[i]],
                causes.get(int(i), ""),
            )
            for i in np.flatnonzero(health.steps >= 0)
        ]


def _stops(begin: int, end: int, *periods: int) -> list[int]:
    """The multiples of the periods after `begin`, and the end."""
    found = {end} if end > begin else set()
    for period in periods:
        found.update(range((begin // period + 1) * period, end, period))
    return sorted(found)


def _measure(
    about: Program, loop: Loop, index: int, each: int, alive: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """Means over episodes of each agent, NaN of one that has failed; and why it has, of
    those that do so here.

    In environments made anew: what one did before cannot reach the numbers.
    """
    env, causes = envs.make(about.task, len(about.seeds) * each), dict[int, str]()
    if isinstance(env, HostEnv):
        try:
            found = _measure_host(env, loop, index, alive)
        finally:
            env.close()
        for place in sorted(env.causes, reverse=True):  # the first episode's is kept
            if alive[place // each]:
                causes[place // each] = env.causes[place]
    else:
        found = measure_device(
            loop.configs,
            loop.learner.agent,
            loop.seeds,
            np.int32(index),
            env=env,
            each=each,
            log=about.log,
        )
    told, fails = _told(jax.tree.map(np.asarray, found)), ~alive
    for place in np.flatnonzero(np.isnan(told["return"]) & alive):
        causes.setdefault(int(place), "a reward or an action was NaN")
    fails[list(causes)] = True
    return {name: np.where(fails, np.nan, x) for name, x in told.items()}, causes


def _told(found: Episodes) -> dict[str, np.ndarray]:
    """Metrics [N] of episodes [N, E]."""
    with np.errstate(invalid="ignore"):  # inf - inf
        told: dict[str, Any] = {
            "return": found.total.mean(axis=1),
            "return_std": found.total.std(axis=1),
        }
        if found.total.shape[1] == 1:  # of one episode no spread is known
            told["return_std"] = np.full(len(found.total), np.nan)
        if found.length is not None:
            told["length"] = found.length.mean(axis=1)
        if found.value is not None:
            assert found.discounted is not None  # they come together
            told["start_value"] = found.value.mean(axis=1)
            told["overestimation"] = (found.value - found.discounted).mean(axis=1)
    return told
