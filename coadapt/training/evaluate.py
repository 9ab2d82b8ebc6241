"""Greedy episodes of the online policies, in environments of their own."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import devices, envs
from coadapt.agent import models
from coadapt.config import Config
from coadapt.envs.base import DeviceEnv, HostEnv, once
from coadapt.metrics.registry import DEFAULT, Log
from coadapt.rewards import as_learned
from coadapt.rng import Purpose, host_seeds, stream
from coadapt.training.loops import Loop
from coadapt.training.program import Program
from coadapt.types import AgentState, Rows

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


def _greedy(
    config: Config, state: AgentState, obs: jax.Array, seed: jax.Array, when: jax.Array
) -> jax.Array:
    """obs [E, O] -> greedy actions [E, A] at step when[1] of evaluation when[0]."""
    key = jax.random.fold_in(stream(seed, Purpose.MEASURE, when[0]), when[1])
    return agents.act(config, state, obs, key, greedy=True)


_greedy_all = jax.vmap(_greedy, in_axes=(0, 0, 0, 0, None))
greedy = jax.jit(devices.spread_out(shared=(4,))(_greedy_all))


values = jax.jit(devices.spread_out()(jax.vmap(_value)))
_as_learned = jax.jit(devices.spread_out()(jax.vmap(as_learned)))


class Episodes(NamedTuple):
    """Greedy episodes, [N, E]; None where that is not logged."""

    total: Rows  # undiscounted return
    length: Rows | None = None  # env steps
    discounted: Rows | None = None  # return, of rewards as the critics learn from them
    value: Rows | None = None  # of the critics, at the start


def measure_host(env: HostEnv, loop: Loop, index: int, alive: np.ndarray) -> Episodes:
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
            if configs.reward is not None:
                own = reward.reshape(number, each)
                own = _as_learned(configs.reward, state.rewards, own)
                reward = np.asarray(own).reshape(-1)
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
    """As `measure_host`; what is not logged is not computed."""
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
            learned = as_learned(config.reward, state.rewards, step.reward)
            own = step.reward, jnp.ones(each), weight * learned, 0.0
            sums = Episodes._make(
                None if total is None else total + jnp.where(running, x, 0.0)
                for total, x in zip(sums, own, strict=True)
            )
            return (states, step.obs, sums, running & ~step.last), None

        carry = (states, obs, zeros, jnp.ones(each, bool))
        carry, _ = jax.lax.scan(body, carry, jnp.arange(env.spec.max_steps))
        return carry[2]._replace(value=value)

    return jax.vmap(one_agent)(configs, state, seeds)


def measure(
    about: Program, loop: Loop, index: int, each: int, alive: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[int, str]]:
    """Means over episodes of each agent, NaN of one that has failed; and why it has, of
    those that do so here.

    In environments made anew: what one did before cannot reach the numbers.
    """
    env, causes = envs.make(about.task, len(about.seeds) * each), dict[int, str]()
    if isinstance(env, HostEnv):
        try:
            found = measure_host(env, loop, index, alive)
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
    told, fails = agent_metrics(jax.tree.map(np.asarray, found)), ~alive
    for place in np.flatnonzero(np.isnan(told["return"]) & alive):
        causes.setdefault(int(place), "a reward or an action was NaN")
    fails[list(causes)] = True
    return {name: np.where(fails, np.nan, x) for name, x in told.items()}, causes


def agent_metrics(found: Episodes) -> dict[str, np.ndarray]:
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
