"""How agents begin, and what they do at an env step: of one agent, then of all.

Functions of a `config` are for one agent; `_over_agents` maps them over the agents of
a program, whose `configs` are stacked.
"""

from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import devices, learn
from coadapt.config import Config, Offline, Rollout, Trajectories
from coadapt.data import episodes, offline, replay
from coadapt.data.replay import Store
from coadapt.learn import Clock, Health, Learner, Seen
from coadapt.ops import moments
from coadapt.rng import Purpose, stream
from coadapt.types import Action, AgentState, EnvSpec, Rows, TimeStep

T = TypeVar("T")


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
        precision=data.precision,
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
    state = agents.init(config, spec, stream(seed, Purpose.INIT, 0))
    return state._replace(noise=_noise(config, seed, jnp.int32(0), spec.action_size))


def _noise(config: Config, seed: jax.Array, steps: jax.Array, action_size: int) -> Any:
    """What exploration remembers as all environments begin an episode, [E, ...]."""

    def begin(environment: jax.Array) -> Any:
        key = stream(seed, Purpose.NOISE, steps, environment)
        return config.exploration.begin(key, action_size)

    return jax.vmap(begin)(jnp.arange(config.data.envs, dtype=jnp.int32))


def _noise_after(
    config: Config, kept: Any, seed: jax.Array, steps: learn.Counter, last: Rows
) -> Any:
    """The same after env step `steps`: `last`, [E] or scalar, where episodes ended."""

    def after(kept: Any, last: jax.Array, environment: jax.Array) -> Any:
        key = stream(seed, Purpose.NOISE, steps, environment)
        return config.exploration.after(kept, key, last)

    numbers = jnp.arange(config.data.envs, dtype=jnp.int32)
    return jax.vmap(after)(kept, jnp.atleast_1d(last), numbers)


def act_one(
    config: Config, learner: Learner, seed: jax.Array, steps: jax.Array
) -> Action:
    """The action that follows env step `steps`, or of each environment one, [E, ...].

    NaN of an agent that has failed: no environment has to be stepped for it.
    """
    obs = replay.current(learner.store)
    choose = partial(_choose, config, learner, seed, steps)
    noise = learner.agent.noise
    if config.data.envs == 1:
        return choose(obs, 0, jax.tree.map(lambda x: x[0], noise))
    numbers = jnp.arange(config.data.envs, dtype=jnp.int32)
    return jax.vmap(choose)(obs, numbers, noise)


def _choose(
    config: Config,
    learner: Learner,
    seed: jax.Array,
    steps: jax.Array,
    obs: jax.Array,
    environment: jax.typing.ArrayLike,
    noise: Any,
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
        added = config.exploration.read(noise)
        action = agents.act(config, learner.agent, obs[None], key, noise=added)
        if not kept:
            return chosen(action[0], None)
        # of the action as it is stored and read, which a ratio is of too
        as_read = action.astype(learner.store.action.dtype).astype(action.dtype)
        log_prob = agents.log_prob(config, learner.agent, obs[None], as_read)
        return chosen(action[0], log_prob[0])

    if config.data.random_steps:
        return jax.lax.cond(steps < config.data.random_steps, uniform, sample)
    return sample()


def as_stored(config: Config, step: TimeStep) -> TimeStep:
    """The step as the agent learns from it: whether a time limit is a termination."""
    if not config.data.terminate_at_limit:
        return step
    return step._replace(discount=jnp.where(step.last, 0.0, step.discount))


def add_one(
    config: Config,
    seen: Seen,
    chosen: Action,
    step: TimeStep,
    seed: jax.Array,
    clock: Clock,
) -> Seen:
    """Store the env step after `clock`, or one of each environment.

    A replay learner also counts its observation.
    A step that is not finite is not stored, nor is any after it.
    """
    raw, step = step, as_stored(config, step)
    known, norm = seen.moments, config.networks.input_norm
    steps = clock.steps
    after = clock._replace(steps=steps + config.data.envs)
    health = learn.look(seen.health, chosen, step, after)
    if norm is not None and not config.data.in_order:
        assert known is not None
        obs = jnp.atleast_2d(replay.current(seen.store))  # [E, O]
        counts = jnp.asarray(health.alive & norm.counts(steps))
        known = moments.merge(known, obs, jnp.broadcast_to(counts, obs.shape[:1]))
    rewards, rule = seen.rewards, config.reward
    if rule is not None:
        gamma = jnp.asarray(config.g_estimate.discount, jnp.float32)
        rewards = rule.counted(rewards, raw, gamma, health.alive)
        step = step._replace(reward=rule.stored(rewards, step.reward))
    store = replay.add(seen.store, chosen, step, health.alive)
    sampling = seen.sampling
    if sampling is not None:  # it remembers what came
        came = replay.came(store, seen.store)
        sampling = config.data.draws.added(sampling, came, health.alive)
    noise = _noise_after(config, seen.noise, seed, after.steps, step.last)
    return Seen(store, known, health, rewards, sampling, noise)


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


act_all = _over_agents(act_one, in_axes=(0, 0, 0, _SHARED))
add_all = _over_agents(add_one, in_axes=(0, 0, 0, 0, 0, _SHARED))


act = jax.jit(devices.spread_out(shared=(3,))(act_all))
add = jax.jit(devices.spread_out(shared=(5,))(add_all), donate_argnums=1)
cut = jax.jit(devices.spread_out()(_over_agents(replay.cut)), donate_argnums=0)


@partial(jax.jit, static_argnames="action_size")
@devices.spread_out(shared=(2,))
def begin_noise(configs: Config, seeds: jax.Array, steps: jax.Array, *, action_size):
    """What exploration remembers as episodes begin after env step `steps`."""
    begin = partial(_noise, action_size=action_size)
    return _over_agents(begin, in_axes=(0, 0, _SHARED))(configs, seeds, steps)


@partial(jax.jit, donate_argnums=1)
@devices.spread_out(shared=(6,))
def add_and_act(configs, seen, states, actions, step, seeds, clock):
    """Store the env step after `clock` and choose the action of the next.

    `states` [N, ...] are without what is in `seen`.
    """
    seen = add_all(configs, seen, actions, step, seeds, clock)
    learners = Learner(states, seen.store, seen.health).having(seen)
    steps = clock.steps + configs.data.envs
    return seen, act_all(configs, learners, seeds, steps)
