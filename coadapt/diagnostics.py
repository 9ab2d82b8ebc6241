"""What an agent believes beside what is so: critics, E-step weights, networks, policy.

    agent = coadapt.load("runs/x", variant="sac", seed=0, replay=True)
    landscape = diagnostics.critic_slice(agent, obs, axes=(0, 1))
    bias = diagnostics.overestimation(agent, diagnostics.rollout(agent))

All functions read a `SavedAgent` and change nothing. They weigh, estimate and act with
the functions that train the agent. `plot` draws what they return. Letters of shapes are
those of `types.py`, with S the states that were asked about, G the points of a grid and
T the steps of an episode.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt import (
    checkpoint,
    envs,
    learn,
    networks,
    runner,
    saved,
    schema,
    store,
)
from coadapt.agent import models
from coadapt.agent.vitals import slopes
from coadapt.config import Config, Offline, Rollout, Trajectories
from coadapt.data import episodes, offline, replay
from coadapt.data.replay import Store
from coadapt.envs.base import DeviceEnv, HostEnv, once
from coadapt.factors import pi_q
from coadapt.ops import returns, weights
from coadapt.saved import SavedAgent
from coadapt.schema import ConfigError
from coadapt.store import Cell
from coadapt.streams import Purpose, host_seeds, stream
from coadapt.types import AgentState, Rows, TimeStep, Tree

if TYPE_CHECKING:
    import pandas as pd

_SAMPLES = 32  # actions that stand for a policy at a state


def _key(agent: SavedAgent, number: int) -> jax.Array:
    return stream(np.uint32(agent.seed), Purpose.MEASURE, number)  # type: ignore[arg-type]


def _traced(agent: SavedAgent) -> Config:
    """The config in the types that a program has it in."""
    return jax.tree.map(lambda x: x[0], schema.stack([agent.config]))


# ---------------------------------------------------------------- landscapes


class Slice(NamedTuple):
    """Critics, policy and posterior over a line or a plane through the actions.

    The G points are the middles of equal cells, the last of the axes running fastest.
    """

    axes: tuple[int, ...]  # dimensions of the action that vary: one or two
    grid: tuple[np.ndarray, ...]  # the values that each of them takes
    q: np.ndarray  # [K, G, S], of each critic, reward units
    score: np.ndarray  # [G, S], what the policy's step makes of the critics
    value: np.ndarray  # [S], the score's mean over the policy's own actions
    density: np.ndarray | None  # [G, S], exp log pi; None of a deterministic policy
    # [G, S], exp(score / eta) as the E-step weighs, adding up to 1 over the points;
    # None where neither the E-step nor the temperature makes one
    weight: np.ndarray | None
    # [G, S], pi_q, the prior's density times the weights, adding up to 1; None unless
    # the prior is the policy, or its slow copy
    posterior: np.ndarray | None

    @property
    def advantage(self) -> np.ndarray:
        """score - value, [G, S]."""
        return self.score - self.value

    @property
    def share(self) -> np.ndarray | None:
        """The density, adding up to 1 over the points. [G, S].

        Of a policy whose dimensions are independent, what lies in each cell of the
        marginal over these axes.
        """
        return None if self.density is None else _shares(self.density)

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """[..., G, S] -> [..., G_0(, G_1), S]."""
        sizes = [len(one) for one in self.grid]
        return values.reshape(*values.shape[:-2], *sizes, values.shape[-1])


def _shares(values: np.ndarray) -> np.ndarray:
    total = values.sum(axis=0)
    return values / np.where(total > 0, total, np.nan)  # nowhere: nothing to share


def critic_slice(
    agent: SavedAgent,
    obs: Rows,
    axes: Sequence[int] = (0,),
    *,
    points: int = 101,
    limits: tuple[float, float] = (-1.0, 1.0),
    around: Rows | None = None,
) -> Slice:
    """The critics over actions that differ in one or two dimensions, at obs [S, O].

    Args:
        axes: which dimensions of the action, of A.
        points: along each axis.
        limits: of each axis, agent units; actions of a Gaussian may lie outside of +-1.
        around: actions [S, A] that give the other dimensions; None: the policy's mode.
    Raises: ConfigError, where the critic knows no actions, or they are discrete.
    """
    axes = tuple(int(axis) for axis in axes)
    _require_slice(agent, axes, points, limits)
    if around is None:
        mode = agent.config.pi_theta.mode(agent.policy(obs))
        around = np.asarray(mode, np.float32)
    action, grid = _grid(np.asarray(around, np.float32), axes, points, limits)
    config, state, seen = _traced(agent), agent.state, np.asarray(obs, np.float32)
    q = agent.q(seen, action)
    score = np.asarray(_scores(config, state, seen, action))
    drawn = policy_samples(agent, obs)
    value = np.asarray(_scores(config, state, seen, drawn)).mean(axis=0)
    density = None
    if agent.config.pi_theta.has_density:
        density = np.exp(agent.log_prob(seen, action))
    weight = _weights(config, state, score)
    weight = None if weight is None else np.asarray(weight)
    posterior = None
    if weight is not None and agent.config.pi_p.is_policy:
        posterior = _shares(np.exp(_prior(config, state, seen, action)) * weight)
    return Slice(axes, grid, q, score, value, density, weight, posterior)


def _require_slice(
    agent: SavedAgent, axes: tuple[int, ...], points: int, limits: tuple[float, float]
) -> None:
    size = agent.spec.action_size
    if agent.spec.num_actions:
        raise ConfigError(
            f"the actions of {agent.task} are discrete: no line runs through them."
        )
    known = len(set(axes)) == len(axes) in (1, 2)
    if not known or not all(0 <= axis < size for axis in axes):
        raise ConfigError(
            f"axes is {schema.shown(axes)}: it must name one or two different "
            f"dimensions of the action, each from 0 to {size - 1}."
        )
    schema.must_be(points, int, "points", "a whole number of 2 or more")
    if points < 2 or not limits[0] < limits[1]:
        raise ConfigError(
            f"points is {points} and limits are {limits}: there must be 2 points or "
            "more between a lower limit and a higher one."
        )


def _grid(
    around: np.ndarray, axes: tuple[int, ...], points: int, limits: tuple[float, float]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Actions [G, S, A], and the values along each axis."""
    edges = np.linspace(*limits, points + 1)
    middles = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)
    mesh = np.meshgrid(*[middles] * len(axes), indexing="ij")
    action = np.tile(around, (mesh[0].size, 1, 1))
    for axis, values in zip(axes, mesh, strict=True):
        action[:, :, axis] = values.reshape(-1, 1)
    return action, (middles,) * len(axes)


@jax.jit
def _scores(config: Config, state: AgentState, obs: jax.Array, action: jax.Array):
    """What a policy's step makes of the critics: action [M, B, A] -> [M, B]."""
    view, slow = models.View(config, state), config.pi_p.at_next or config.g.slow
    values = view.q(view.target_critic if slow else view.critic, obs, action)
    return config.g_estimate.combine(values)


@jax.jit
def _prior(config: Config, state: AgentState, obs: jax.Array, action: jax.Array):
    """log pi_p of actions [M, B, A], the policy that draws the E-step's samples."""
    return config.pi_theta.log_prob(models.View(config, state).following(obs), action)


@jax.jit
def _weights(config: Config, state: AgentState, score: jax.Array) -> jax.Array | None:
    """The E-step's weights on a grid [G, S], each state by itself, summing to 1."""
    eta = config.pi_q_update.eta(state.params.dual)
    if not config.pi_q.parametric and not config.pi_q.whole_episodes:
        rule = cast(pi_q.Weights, config.pi_q)
        score = rule.standardized(score)
        one = jax.vmap(lambda s: rule.weights(s[:, None], eta)[:, 0], 1, 1)(score)
        return one / jnp.sum(one, axis=0, keepdims=True)
    if config.g.soft and config.pi_p.is_uniform:
        return weights.boltzmann(score, eta, per_batch=False)
    return None


def policy_samples(
    agent: SavedAgent, obs: Rows, number: int = _SAMPLES, key: jax.Array | None = None
) -> np.ndarray:
    """Actions of the policy at obs [B, O], without noise for exploration: [M, B, A]."""
    return _actions(agent, obs, number, _key(agent, 0) if key is None else key)


def _actions(agent: SavedAgent, obs: Rows, number: int, key: jax.Array) -> np.ndarray:
    seen = np.asarray(obs, np.float32)
    return np.asarray(_draw(_traced(agent), agent.state, seen, key, number=number)[1])


@partial(jax.jit, static_argnames="number")
def _draw(
    config: Config, state: AgentState, obs: jax.Array, key: jax.Array, *, number: int
) -> tuple[jax.Array, jax.Array, Tree]:
    """The policy's samples [M, B, A] before their bound and after, and the policy."""
    dist = agents.policy(config, state, state.params.policy, obs)
    raw = config.pi_theta.draw(dist, key, number)
    return raw, config.pi_theta.bound(raw), dist


# ---------------------------------------------------------------- returns


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
    """Whole episodes of the agent on its own task, from the task's first states.

    Args:
        greedy: whether it acts as it is measured, or as it explores; None: as the
            policy that its critic is of, which draws actions and adds no noise to them.
        seed: other numbers give other episodes, alike for all agents of one seed.
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
        key = _key(agent, seed)
        found = _on_device(
            _traced(agent), agent.state, key, env=once(env), number=episodes,
            greedy=greedy,
        )  # fmt: skip
    obs, action, step = found
    step = runner.as_stored(agent.config, step)  # returns end where its targets do
    obs, action, step = jax.tree.map(np.asarray, (obs, action, step))
    return _first_episodes(obs, action, step, float(agent.config.g_estimate.discount))


def _as_the_target(agent: SavedAgent) -> bool:
    """Whether the critic's target has greedy actions follow."""
    deterministic = not agent.config.pi_theta.has_density
    return deterministic or _best_counts(agent.config)


def _best_counts(config: Config) -> bool:
    """Whether of several actions the best one's value counts, rather than the mean."""
    return config.g_estimate.best_counts


def _on_host(agent: SavedAgent, env: HostEnv, greedy: bool, seed: int):
    """Steps until each of the environments has ended an episode. [T, E, ...]."""
    config, key = _traced(agent), _key(agent, seed)
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


class Returns(NamedTuple):
    """Discounted returns along episodes; NaN where no step was taken."""

    value: np.ndarray  # [T, E]
    tail: np.ndarray  # [T, E], what multiplies the value of the cut end: in [0, 1)


def discounted_returns(
    reward: np.ndarray,
    discount: np.ndarray,
    last: np.ndarray,
    gamma: float,
    end_value: np.ndarray | None = None,
) -> Returns:
    """What followed each step, as far as it was seen; then the value of the cut end.

        G_t = r_t + gamma d_t G_{t+1},   but   G_t = r_t + gamma d_t V(s_{t+1})
    where an episode ends; d is 0 at a termination, so V counts at time limits alone. It
    is an opinion, not an observation: `tail` says how much of it is in a return.
    Source: Sutton and Barto 2018, Sec. 3.3; Pardo et al. 2018 for time limits.
    Args: arrays [T, E]; end_value [T, E], of the true successors, None: zero, which
    leaves the tail out.
    """
    values = np.zeros_like(reward) if end_value is None else end_value
    rows = np.asarray(gamma * discount, np.float32), np.asarray(last, bool)
    none = np.zeros_like(rows[0])

    def summed(reward: np.ndarray, value: np.ndarray) -> np.ndarray:
        both = np.asarray(reward, np.float32), np.asarray(value, np.float32)
        return np.asarray(_summed(both[0], rows[0], both[1], rows[1]))

    return Returns(summed(reward, values), summed(none, none + 1))


@jax.jit
def _summed(reward: jax.Array, discount: jax.Array, value: jax.Array, last: jax.Array):
    return returns.lambda_return(reward, discount, value, last, 1.0)


def monte_carlo(agent: SavedAgent, found: Rollouts) -> Returns:
    """The returns that the agent's critic is an estimate of, from each step on. [T, E].

    Of a soft critic, -eta D(pi_q, pi_p) of every state after the first counts as reward
    (with a uniform prior the entropy, eta H), as its target has it. Where a time limit
    cuts an episode the agent's own value of the last state follows, as in its target.
    NaN where no step was taken, and in an episode that a simulator did not end.
    """
    end = np.maximum(found.there.sum(axis=0) - 1, 0)
    cut = found.next_obs[end, np.arange(len(end))]  # [E, O]
    whole = discounted_returns(
        np.where(found.there, found.reward + _bonus(agent, found), 0.0),
        found.discount,
        found.last,
        found.gamma,
        np.broadcast_to(_own_values(agent, cut), found.reward.shape),
    )
    counts = found.there & (found.last & found.there).any(axis=0)
    return Returns(*(np.where(counts, x, np.nan) for x in whole))


def _bonus(agent: SavedAgent, found: Rollouts) -> np.ndarray:
    """What a soft critic counts as reward of the step before a state. [T, E]."""
    if not agent.config.g.soft:
        return np.zeros_like(found.reward)
    rows = found.next_obs.reshape(-1, found.next_obs.shape[-1])
    bonus = np.asarray(_penalty(_traced(agent), agent.state, rows, _key(agent, 1)))
    return -found.gamma * found.discount * bonus.reshape(found.reward.shape)


@jax.jit
def _penalty(config: Config, state: AgentState, obs: jax.Array, key: jax.Array):
    """eta D(pi_q, pi_p) at obs [B, O], the mean over some sets of samples. [B]."""
    number = config.pi_q_update.divergence_samples
    keys = jax.random.split(key, max(1, _SAMPLES // number))

    def once(key: jax.Array) -> jax.Array:
        raw, _, dist = _draw(config, state, obs, key, number=number)
        seen = models.View(config, state)
        return config.pi_p.divergence(seen, dist, raw, obs, key)

    eta = config.pi_q_update.eta(state.params.dual)
    return eta * jnp.mean(jax.lax.map(once, keys), axis=0)


def _own_values(agent: SavedAgent, obs: np.ndarray) -> np.ndarray:
    """The value of the policy's own actions, or of the state: obs [B, O] -> [B]."""
    if agent.state.params.critic is None:
        raise ConfigError(f"{agent.variant} has no critic, and so no values.")
    if not agent.config.g.reads_action:
        return agent.v(obs)[0]
    action = policy_samples(agent, obs, key=_key(agent, 1))
    value = _together(agent, agent.q(obs, action))
    return value.max(axis=0) if _best_counts(agent.config) else value.mean(axis=0)


def _together(agent: SavedAgent, values: np.ndarray) -> np.ndarray:
    """What the critics say together, as the target takes it: [K, M, B] -> [M, B]."""
    return np.asarray(_mixed(_traced(agent), values))


@jax.jit
def _mixed(config: Config, values: jax.Array) -> jax.Array:
    return config.g_estimate.combine(values)


# ---------------------------------------------------------------- over-estimation


class Overestimation(NamedTuple):
    """What critics say beside what followed, at the steps of some episodes."""

    names: tuple[str, ...]  # 'critic 1', ..., then 'target': what the target takes
    value: np.ndarray  # [len(names), T, E], reward units
    returns: np.ndarray  # [T, E], NaN where none is known well enough
    tail: np.ndarray  # [T, E], the weight of the critic's own value in a return

    @property
    def error(self) -> np.ndarray:
        """value - returns: above 0 where the critic promises too much."""
        return self.value - self.returns

    @property
    def counts(self) -> np.ndarray:
        """The steps that have a return. [T, E] bool."""
        return np.isfinite(self.returns)

    def along(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]:
        """Mean and std (ddof=0) of the error over episodes, by step. [T] each.

        NaN where no episode has a return; the std where one alone has.
        """
        error = self.error[self._place(name)]
        number = self.counts.sum(axis=1)
        some = np.where(number > 0, number, np.nan)
        mean = np.where(self.counts, error, 0.0).sum(axis=1) / some
        off = np.where(self.counts, error - mean[:, None], 0.0)
        std = np.sqrt(np.square(off).sum(axis=1) / some)
        return mean, np.where(number > 1, std, np.nan)

    def pairs(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]:
        """Values and returns of the steps that have one. [n] each."""
        return self.value[self._place(name)][self.counts], self.returns[self.counts]

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise ConfigError(
                f"name is {schema.shown(name)}: the values are of "
                f"{', '.join(self.names)}{schema.nearest(name, self.names)}."
            )
        return self.names.index(name)


def overestimation(
    agent: SavedAgent, found: Rollouts, *, max_tail: float = 0.1
) -> Overestimation:
    """Q(s, a) - the return that followed, of each critic and of what the target takes.

    Of an agent whose critic knows states alone, V(s) - the return.
    Args:
        max_tail: the most that the critic's own value may weigh in a return that a time
            limit cut: what is above does not count, because there the critic is
            compared with itself. 1 lets all of them count.
    Raises: ConfigError, where there is no critic, or nothing that counts.
    """
    target = monte_carlo(agent, found)
    rows = found.obs.reshape(-1, found.obs.shape[-1])
    if agent.config.g.reads_action:
        value = agent.q(rows, found.action.reshape(len(rows), -1))
    else:
        value = agent.v(rows)
    both = np.concatenate([value, _together(agent, value[:, None])])
    names = [f"critic {k + 1}" for k in range(len(value))]
    counts = target.tail <= max_tail  # false of NaN
    if not counts.any():
        least = np.nanmin(target.tail) if np.isfinite(target.tail).any() else np.nan
        raise ConfigError(
            f"max_tail is {max_tail}: in no return on {agent.task} does the critic's "
            f"own value at the time limit weigh so little; the least is {least:.2g}."
        )
    return Overestimation(
        names=(*names, "target"),
        value=both.reshape(-1, *found.reward.shape),
        returns=np.where(counts, target.value, np.nan),
        tail=target.tail,
    )


BIAS_COLUMNS = (
    "agent", "critic", "steps", "mean_value", "mean_return", "mean_error",
    "std_error", "correlation", "mean_tail",
)  # fmt: skip


def bias(found: Mapping[str, Overestimation]) -> "pd.DataFrame":
    """A line for each agent and critic, reward units. Columns: `BIAS_COLUMNS`.

    Means, and std (ddof=0), over steps, which are not independent; the correlation of
    values and returns is Pearson's, NaN where either is constant.
    """
    import pandas as pd

    lines = []
    for agent, one in found.items():
        for name in one.names:
            value, got = (np.asarray(x, np.float64) for x in one.pairs(name))
            error = value - got
            lines.append([
                agent, name, len(got), value.mean(), got.mean(), error.mean(),
                error.std(), correlation(value, got), one.tail[one.counts].mean(),
            ])  # fmt: skip
    return pd.DataFrame(lines, columns=list(BIAS_COLUMNS))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, of [n] and [n]; NaN where either is constant.

    Source: textbook.
    """
    a, b = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (a, b))
    scale = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


# ---------------------------------------------------------------- E-step weights


class EStep(NamedTuple):
    """The weights of one E-step, on a batch as an update draws it."""

    weight: np.ndarray  # [M, B]
    score: np.ndarray  # [M, B], G, standardised where the config says so
    temperature: float  # eta, in units of the score
    per_state: bool  # whether Z is of each state, or of the batch

    @property
    def effective(self) -> np.ndarray:
        """Effective samples, as a share: of each state [B], or of the batch [1].

        (sum w)^2 / (n sum w^2). Source: Kong 1992.
        """
        w = self._normal()
        return 1.0 / (len(w) * np.square(w).sum(axis=0))

    @property
    def entropy(self) -> np.ndarray:
        """-sum w log w, nats: of each state [B], or of the batch [1]."""
        w = self._normal()
        return -np.where(w > 0, w * np.log(np.where(w > 0, w, 1.0)), 0.0).sum(axis=0)

    @property
    def kl(self) -> np.ndarray:
        """log n - entropy: KL(pi_q || pi_p) on the samples, what epsilon bounds."""
        return np.log(len(self._normal())) - self.entropy

    def _normal(self) -> np.ndarray:
        """Weights [n, sets], adding up to 1 in each set. float64."""
        w = np.asarray(self.weight, np.float64)
        w = w if self.per_state else w.reshape(-1, 1)
        w = w / w.max(axis=0)
        return w / w.sum(axis=0)


def e_step(agent: SavedAgent, *, seed: int = 0) -> EStep:
    """The weights that the agent's next E-step may have, on a batch of what it stored.

    Before a bound's second weights are added. Per state where an agent weighs several
    actions of a state against each other, else over the batch.
    Raises: ConfigError, if its posterior is no set of weights, or nothing was loaded.
    """
    if agent.config.pi_q.parametric:
        raise ConfigError(
            f"{agent.variant} has a parametric posterior: it weighs no samples."
        )
    config, key = _traced(agent), _key(agent, 2 + seed)
    found = _e_step(config, agent.state, _stored(agent), key)
    weight, score, eta = (np.asarray(x) for x in found)
    rule = cast(pi_q.Weights, agent.config.pi_q)
    return EStep(weight, score, float(eta), rule.per_state)


@jax.jit
def _e_step(config: Config, state: AgentState, store: Store, key: jax.Array):
    choose, noise, draws = jax.random.split(key, 3)
    if isinstance(config.data, Trajectories | Rollout):
        kept = learn._sequences(config, store)
        positions, n = episodes.entries(kept.seen)
        score = agents.label(config, state, replay.rows(store), kept).score
        size = config.data.policy_rows
        chosen = episodes.minibatch(key, positions, jnp.maximum(n, 1), 0, size)  # type: ignore[arg-type]
        score = score[chosen][None]
    else:
        batch = learn.minibatch(config, state, store, choose, noise)
        support = config.pi_p.support(models.View(config, state), batch, draws)
        score = config.pi_q.standardized(support.score)
    eta = config.pi_q_update.eta(state.params.dual)
    return config.pi_q.weights(score, eta), score, eta  # type: ignore[union-attr]


def _stored(agent: SavedAgent) -> Store:
    """What the agent learns from. Raises: ConfigError."""
    if isinstance(agent.config.data, Offline):
        return offline.store(offline.read(agent.config.data.dataset, agent.spec))
    if agent.replay is None:
        raise ConfigError(
            f"what {agent.variant} had stored was not loaded: ask "
            "coadapt.load(..., replay=True)."
        )
    return agent.replay


def batch(agent: SavedAgent, size: int = 256, *, seed: int = 0) -> np.ndarray:
    """Observations of what the agent had stored, uniform, [size, O].

    Raises: ConfigError, if nothing was loaded.
    """
    schema.must_be(size, int, "size", "a whole number of 1 or more")
    store = jax.tree.map(jnp.asarray, _stored(agent))
    return np.asarray(replay.sample(store, _key(agent, 2 + seed), size).obs)


# ---------------------------------------------------------------- networks

LAYER_COLUMNS = ("network", "layer", "units", "dead", "kernel_norm", "bias_norm")


def layers(agent: SavedAgent, obs: Rows, *, slope: float = 1e-3) -> "pd.DataFrame":
    """A line for each layer of the policy and of each critic. Columns: `LAYER_COLUMNS`.

    A hidden unit is dead on a batch if the slope of its activation is at most `slope`
    at every row: of a ReLU, if it is 0 throughout. `dead` is their share, NaN of the
    output layer. Norms are L2, of all numbers of a kernel or a bias.
    Args: obs [B, O]; critics of actions read them with the policy's own actions.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            [name, *line]
            for name, spec, params, rows in _networks(agent, obs)
            for line in _layers(spec, params, rows, slope)
        ],
        columns=list(LAYER_COLUMNS),
    )


def _networks(
    agent: SavedAgent, obs: Rows
) -> list[tuple[str, networks.Torso, Tree, np.ndarray]]:
    """Name, network, parameters and what it reads [B, ...], of each."""
    config, params = agent.config, agent.state.params
    rows = np.asarray(models.inputs(config, agent.state, jnp.asarray(obs, jnp.float32)))
    found: list[tuple[str, networks.Torso, Tree, np.ndarray]]
    found = [("policy", config.networks.policy, params.policy["net"], rows)]
    if params.critic is None:
        return found
    if config.g.reads_action:
        rows = np.concatenate([rows, policy_samples(agent, obs, 1)[0]], axis=-1)
    number = jax.tree.leaves(params.critic)[0].shape[0]
    for k in range(number):
        one = jax.tree.map(lambda x, k=k: x[k], params.critic)
        found.append((f"critic {k + 1}", config.networks.critic, one, rows))
    return found


def _layers(
    spec: networks.Torso, params: Tree, rows: np.ndarray, slope: float
) -> list[list]:
    """Name, units, share of the dead, norms: of each layer."""
    slopes = iter(_slopes(spec, params, rows))
    lines = [
        [one.name, one.size, dead_share(next(slopes), slope) if one.read else np.nan]
        for one in spec.layers()
    ]
    lines.append(["output", params["output"]["bias"].shape[-1], np.nan])
    return [
        [
            *line,
            *(_norm(params[line[0]].get(x, np.nan)) for x in ("kernel", "bias")),
        ]
        for line in lines
    ]


def _norm(x: Rows) -> float:
    """L2, in float64: what is about to break has squares that float32 has not."""
    return float(np.linalg.norm(np.asarray(x, np.float64)))


_slopes = jax.jit(slopes)


def dead_share(slopes: Rows, limit: float) -> float:
    """The share of units whose slope [B, units] is at most `limit` at every row."""
    return float((np.abs(slopes) <= limit).all(axis=0).mean())


# ---------------------------------------------------------------- the policy


def entropy(agent: SavedAgent, obs: Rows, *, samples: int = 256) -> np.ndarray:
    """The policy's entropy at obs [B, O], nats: [B].

    In closed form where there is one: of a Gaussian, sum log std + A/2 log(2 pi e), of
    a Softmax, whose options are counted, - sum p log p. Else the mean of -log pi over
    so many samples. Source: textbook.
    Raises: ConfigError, of a deterministic policy.
    """
    pi, dist = agent.config.pi_theta, agent.policy(obs)
    if pi.has_entropy:
        return np.asarray(pi.entropy(dist))
    return sampled_entropy(agent, obs, samples=samples)


def sampled_entropy(agent: SavedAgent, obs: Rows, *, samples: int = 256) -> np.ndarray:
    """The mean of -log pi over so many of the policy's actions at obs [B, O]: [B].

    Raises: ConfigError, of a deterministic policy.
    """
    if not agent.config.pi_theta.has_density:
        raise ConfigError(
            f"{agent.variant} has a deterministic policy: it has no entropy."
        )
    seen, key = np.asarray(obs, np.float32), _key(agent, 3)
    found = _surprise(_traced(agent), agent.state, seen, key, number=samples)
    return np.asarray(found).mean(axis=0)


@partial(jax.jit, static_argnames="number")
def _surprise(config: Config, state: AgentState, obs, key, *, number: int):
    raw, _, dist = _draw(config, state, obs, key, number=number)
    return -config.pi_theta.log_prob_of(dist, raw)


def saturated(
    agent: SavedAgent, obs: Rows, *, limit: float = 0.99, samples: int = 32
) -> np.ndarray:
    """The share of the policy's actions at the border of the box or beyond it: [A].

    Per dimension, |a| >= limit in agent units, of so many actions at each of obs
    [B, O]. Raises: ConfigError, of discrete actions.
    """
    if agent.spec.num_actions:
        raise ConfigError(
            f"the actions of {agent.task} are discrete: no box holds them."
        )
    action = _actions(agent, obs, samples, _key(agent, 3))
    return (np.abs(action) >= limit).mean(axis=(0, 1))


# ---------------------------------------------------------------- through training


def duals(agent: SavedAgent) -> dict[str, float]:
    """The temperature and the multipliers as they act, not as they are stored.

    `temperature` is eta, in units of G, where there is one; `dual_mean`, `dual_std` or
    `dual_joint` multiplies the KL of a trust region (the mean over dimensions),
    `dual_bound` is the temperature of a bound's weights, `dual_penalty` multiplies the
    KL of a proximal step.
    """
    found = _told(agent, _DUALS)
    if agent.config.pi_q_update.has_temperature:
        eta = _traced(agent).pi_q_update.eta(agent.state.params.dual)
        found["temperature"] = float(eta)
    return found


_DUALS = ("dual_mean", "dual_std", "dual_joint", "dual_bound", "dual_penalty")


def _told(agent: SavedAgent, names: Sequence[str]) -> dict[str, float]:
    """What training would log of the agent's state alone, of these names."""
    key, nothing = _key(agent, 0), None  # neither is read by such names
    found = agents.vitals(_traced(agent), agent.state, nothing, key, names)  # type: ignore[arg-type]
    return {name: float(value) for name, value in found.items()}


def vitals(agent: SavedAgent, obs: Rows, *, seed: int = 0) -> dict[str, float]:
    """What can be said of the agent in numbers, at obs [B, O]: means over them.

    The duals; `policy_entropy` (nats); `saturated` (share); `policy_dead` and
    `critic_dead` (share of hidden units), `policy_norm` and `critic_norm` (L2, of all
    parameters; the mean over critics); with its replay, of an E-step,
    `effective_fraction` (of all its weights, as training logs it), and `weight_entropy`
    and `weight_kl` (nats). What does not apply to the agent is left out.
    """
    found = duals(agent)
    if agent.config.pi_theta.has_density:
        found["policy_entropy"] = float(entropy(agent, obs).mean())
    if not agent.spec.num_actions:
        found["saturated"] = float(saturated(agent, obs).mean())
    found |= _of_networks(agent, obs)
    there = agent.replay is not None or isinstance(agent.config.data, Offline)
    if there and not agent.config.pi_q.parametric:
        step = e_step(agent, seed=seed)
        whole = weights.effective_fraction(jnp.asarray(step.weight))
        found["effective_fraction"] = float(whole)
        found["weight_entropy"] = float(step.entropy.mean())
        found["weight_kl"] = float(step.kl.mean())
    return found


def _of_networks(agent: SavedAgent, obs: Rows) -> dict[str, float]:
    lines, found = layers(agent, obs), _told(agent, ("policy_norm", "critic_norm"))
    hidden = lines.loc[lines.dead.notna()]
    for name in ("policy", "critic"):
        mine = hidden.loc[hidden.network.str.startswith(name)]
        if len(mine):
            dead = np.average(mine["dead"], weights=mine["units"])
            found[f"{name}_dead"] = float(dead)
    return found


def snapshots(
    workdir: str | os.PathLike[str], *, variant: str, seed: int, task: str | None = None
) -> list[int]:
    """Env steps of the snapshots of an agent that a run kept, in order.

    Raises: ConfigError, as `load`.
    """
    agent = saved.load(workdir, variant=variant, seed=seed, task=task)
    cell = Cell(agent.task, agent.variant, agent.seed)
    records = checkpoint.records(store.folder(workdir))
    return sorted({n for one in records if cell in one.cells for n in one.steps()})


def history(
    workdir: str | os.PathLike[str],
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    task: str,
    size: int = 256,
) -> "pd.DataFrame":
    """`vitals` of every snapshot that was kept, as rows of `store.read`'s columns.

    At observations of what each had stored, `size` of them; of an agent whose replay is
    not there, of an episode of its own. Raises: ConfigError, as `load`.
    """
    import pandas as pd

    lines = []
    for variant in variants:
        for seed in seeds:
            who: dict[str, Any] = {"variant": variant, "seed": seed, "task": task}
            for steps in snapshots(workdir, **who):
                agent = _with_replay(workdir, steps=steps, **who)
                for metric, value in vitals(agent, states(agent, size)).items():
                    lines.append([
                        "history", agent.algorithm, variant, task, seed, steps, metric,
                        value, agent.spec.provider,
                    ])  # fmt: skip
    return pd.DataFrame(lines, columns=list(store.COLUMNS))


def _with_replay(workdir: str | os.PathLike[str], **which: Any) -> SavedAgent:
    """With what it had stored, where that was kept."""
    try:
        return saved.load(workdir, **which, replay=True)
    except saved.NoReplayError:
        return saved.load(workdir, **which)


def states(agent: SavedAgent, size: int = 256, *, seed: int = 0) -> np.ndarray:
    """Observations to ask about, at most `size`: of what it had stored, or its own.

    Its own are those of an episode, where no replay was loaded or kept. [B, O].
    """
    if agent.replay is not None or isinstance(agent.config.data, Offline):
        return batch(agent, size, seed=seed)
    found = rollout(agent, episodes=1, seed=seed).states()
    rng = np.random.default_rng(seed)
    return found[rng.permutation(len(found))[:size]]
