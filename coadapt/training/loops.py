"""Act, step, add, learn: the loop on the host, on the device, and on a data set.

Counters are the same for all agents of a program and stay outside of it, so that
branches stay branches.
"""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import devices, envs, learn
from coadapt.config import Config, Offline
from coadapt.data import offline, replay
from coadapt.data.replay import Store
from coadapt.envs.base import DeviceEnv, EnvState, HostEnv
from coadapt.learn import Clock, Health, Learner
from coadapt.metrics.registry import DEFAULT, Log
from coadapt.rng import Purpose, host_seeds, stream
from coadapt.system.kernels import Jitted
from coadapt.training.program import Program, Snapshot
from coadapt.training.schedule import due, first_update, first_updates
from coadapt.training.steps import (
    act,
    act_all,
    add,
    add_all,
    add_and_act,
    begin_noise,
    begin_with,
    by_agent,
    by_environment,
    cut,
    start,
    start_offline,
    store_size,
)
from coadapt.types import Action, AgentState, Metrics, TimeStep

_LEARNT = {1: 0, 3: 1}  # learn.update's agent and health


def _learn_all(log: Log, *args: Any) -> tuple:
    """An update of all agents of a device, with the metrics that are logged."""
    one = wraps(learn.update)(partial(learn.update, log=log))
    return devices.over_agents(one, shared=(5,), becomes=_LEARNT)(*args)


def _once_traced(function: Callable[..., tuple]) -> Callable[..., tuple]:
    """A function whose shapes are asked for before a loop takes it as its body."""
    return jax.jit(function, inline=True)


@partial(Jitted, static_argnames="log", donate_argnums=1)
@devices.spread_out(shared=(5,))
def update(configs, states, store, health, seeds, clock, *, log: Log = DEFAULT):
    """One update of all agents: their states, healths and metrics."""
    return _learn_all(log, configs, states, store, health, seeds, clock)


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

    def _begin_anew(self, obs: Any, steps: int) -> None:
        """The running episodes end, and those of these first observations begin."""
        store, state = cut(self.learner.store, obs), self.learner.agent
        if self.configs.exploration.remembers:
            noise = begin_noise(
                self.configs, self.seeds, np.int32(steps),
                action_size=self.about.spec.action_size,
            )  # fmt: skip
            state = state._replace(noise=noise)
        self.learner = self.learner._replace(agent=state, store=store)

    def learn(self, clock: Clock, updates: int = 1) -> None:
        """So many updates; returns before they are finished."""
        state, store, health = self.learner
        for i in range(updates):
            now = clock._replace(updates=np.int32(clock.updates + i))
            state, health, self.metrics = update(
                self.configs, state, store, health, self.seeds, now, log=self.about.log
            )
        self.learner = Learner(state, store, health)


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
        self._begin_anew(self._begin(steps // self.about.checkpoint_every), steps)
        self.action = act(self.configs, self.learner, self.seeds, np.int32(steps))

    def advance(self, begin: int, end: int, updates: int) -> int:
        """Env steps begin + 1 to end; returns the number of updates made so far."""
        configs, data = self.configs, self.configs.data
        needed = configs.g_estimate.length * data.envs
        for t in range(begin, end, data.envs):
            after, action = t + data.envs, self.action
            learns = due(configs, after)
            # an update that reads what is not there yet waits for the step
            overlap = data.overlap and t >= needed
            before = Clock(np.int32(t), np.int32(updates))
            clock = before._replace(steps=np.int32(after))
            if learns and overlap:  # not waited for: the environments step meanwhile
                self.learn(clock, learns)
            step = self._step(action)
            if learns and not overlap:
                args = (configs, self.learner.seen, action, step, self.seeds)
                seen = add(*args, before)
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
        actions = act_all(configs, learners, seeds, steps)
        states, step = jax.vmap(env.step)(states, by_environment(actions.action))
        step = by_agent(configs, step)
        seen = add_all(configs, learners.seen, actions, step, seeds, now)
        return learners.having(seen), states

    begin: Any = clock.steps // configs.data.envs
    return jax.lax.fori_loop(begin, begin + moments, step_all, carry)


@partial(Jitted, static_argnames=("env", "learns", "log"), donate_argnums=(1, 2))
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
        self._begin_anew(self._begin(steps // self.about.checkpoint_every), steps)

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


@partial(Jitted, static_argnames="log", donate_argnums=1)
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
