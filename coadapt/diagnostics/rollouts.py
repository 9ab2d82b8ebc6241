"""Whole episodes of an agent on its own task."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import envs, runner, schema
from coadapt.config import Config
from coadapt.diagnostics.sampling import key_of, traced
from coadapt.envs.base import DeviceEnv, HostEnv, once
from coadapt.rng import Purpose, host_seeds
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError
from coadapt.types import AgentState, TimeStep


class Rollouts(NamedTuple):
    """E episodes side by side, T steps the longest; after its end one has no steps."""

    obs: np.ndarray  # [T, E, O]
    action: np.ndarray  # [T, E, A], agent units
    reward: np.ndarray  # [T, E]
    discount: np.ndarray  # [T, E], 0.0 where the episode terminated, else 1.0
    last: np.ndarray  # [T, E] bool, the episode ended: termination or time limit
    next_obs: np.ndarray  # [T, E, O], the true successor
    there: np.ndarray  # [T, E] bool, the step was taken
    gamma: float  # the agent's discount

    @property
    def returns(self) -> np.ndarray:
        """Undiscounted, of each episode. [E]."""
        return np.where(self.there, self.reward, 0.0).sum(axis=0)

    def states(self) -> np.ndarray:
        """The observations of all steps that were taken, [B, O]."""
        return self.obs[self.there]


def rollout(
    agent: SavedAgent, *, episodes: int = 10, greedy: bool | None = None, seed: int = 0
) -> Rollouts:
    """Complete episodes of the agent on its task.

    Args:
        episodes: E, side by side.
        greedy: True: it acts as in evaluations; False: as in training, with white
            noise; None: as the policy that its critic's target has, which samples
            actions and adds no noise.
        seed: of the episodes, which are alike for all agents of one seed.
    """
    schema.must_be(episodes, int, "episodes", "a whole number of 1 or more")
    if episodes < 1:
        raise ConfigError(f"episodes is {episodes}: it must be 1 or more.")
    greedy = _as_the_target(agent) if greedy is None else greedy
    env = envs.make(agent.task, episodes)
    if isinstance(env, HostEnv):
        try:
            found = _on_host(agent, env, greedy, seed)
        finally:
            env.close()
    else:
        key = key_of(agent, seed)
        found = _on_device(
            traced(agent), agent.state, key, env=once(env), number=episodes,
            greedy=greedy,
        )  # fmt: skip
    obs, action, step = found
    step = runner.as_stored(agent.config, step)  # returns end where its targets do
    obs, action, step = jax.tree.map(np.asarray, (obs, action, step))
    return _first_episodes(obs, action, step, float(agent.config.g_estimate.discount))


def _as_the_target(agent: SavedAgent) -> bool:
    """Whether the critic's target has greedy actions follow."""
    deterministic = not agent.config.pi_theta.has_density
    return deterministic or best_counts(agent.config)


def best_counts(config: Config) -> bool:
    """Whether of several actions the best one's value counts, rather than the mean."""
    return config.g_estimate.best_counts


def _on_host(agent: SavedAgent, env: HostEnv, greedy: bool, seed: int):
    """Steps until each of the environments has ended an episode. [T, E, ...]."""
    config, key = traced(agent), key_of(agent, seed)
    seen = env.reset(host_seeds(agent.seed, Purpose.MEASURE, seed, env.count))
    running, rows = np.ones(env.count, bool), []
    while running.any():
        own = jax.random.fold_in(key, len(rows))
        action = np.array(_act(config, agent.state, seen, own, greedy=greedy))
        action[~running] = np.nan  # their environments rest
        step = env.step(action)
        rows.append((seen, action, step))
        running &= ~np.asarray(step.last) & np.isfinite(step.reward)
        seen = np.asarray(step.obs)
    return jax.tree.map(lambda *each: np.stack(each), *rows)


@partial(jax.jit, static_argnames="greedy")
def _act(config: Config, state: AgentState, obs: jax.Array, key: jax.Array, *, greedy):
    return agents.act(config, state, obs, key, greedy=greedy)


@partial(jax.jit, static_argnames=("env", "number", "greedy"))
def _on_device(
    config: Config,
    state: AgentState,
    key: jax.Array,
    *,
    env: DeviceEnv,
    number: int,
    greedy: bool,
):
    """As many steps as the longest episode may have. [T, E, ...]."""
    begin, act = jax.random.split(key)
    states, obs = jax.vmap(env.reset)(jax.random.split(begin, number))

    def body(carry, t):
        states, obs = carry
        own = jax.random.fold_in(act, t)
        action = agents.act(config, state, obs, own, greedy=greedy)
        states, step = jax.vmap(env.step)(states, action)
        return (states, step.obs), (obs, action, step)

    _, rows = jax.lax.scan(body, (states, obs), jnp.arange(env.spec.max_steps))
    return rows


def _first_episodes(
    obs: np.ndarray, action: np.ndarray, step: TimeStep, gamma: float
) -> Rollouts:
    """The first episode of each environment, up to the longest's end."""
    last, reward = np.asarray(step.last), np.asarray(step.reward)
    ended = np.cumsum(last, axis=0) - last > 0
    there = ~ended & np.isfinite(reward)  # a simulator that raised has taken no step
    length = int(there.any(axis=1).sum())
    return Rollouts(
        *(np.asarray(x)[:length] for x in (obs, action, reward)),
        *(np.asarray(x)[:length] for x in (step.discount, last, step.next_obs)),
        there=there[:length],
        gamma=gamma,
    )
