"""The types that everything shares, and the one legend of shapes.

Axes, always in this order and by these names:
    N agents, E environments of an agent, L steps of a sequence, B states of a batch,
    M action samples of a state, K critics, O observation features, A action dimensions.
Library code is written for ONE agent; the runner alone adds N.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from coadapt.ops.distributions import Atoms
from coadapt.ops.moments import Moments

Rows = jax.Array | np.ndarray  # on the device, or on the host
Tree = Any  # a pytree of arrays: flax parameters, an optimiser's state
Metrics = dict[str, jax.Array]  # name -> scalar; becomes one row of results a name


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """What an agent has to know of a task.

    An action is always a float32 vector [A]. Of a box task it is in [-1, 1]^A; the
    environment maps that box affinely, and without clipping, onto
    [action_low, action_high]. Of a discrete task it is one-hot; the environment takes
    its argmax.
    """

    task: str  # 'gym/HalfCheetah-v5'
    obs_size: int  # O
    action_size: int  # A; num_actions if discrete
    num_actions: int = 0  # of a discrete task; 0 if the actions are a box
    action_low: tuple[float, ...] = ()  # [A], empty if discrete
    action_high: tuple[float, ...] = ()  # [A], empty if discrete
    action_dtype: str = "float32"  # of the task's box, in its own units
    max_steps: int  # env steps until the time limit
    provider: str  # 'gymnasium 1.4.0, mujoco 3.17.0': what made the numbers


class TimeStep(NamedTuple):
    """What a step returns. `obs` is acted on next; `next_obs` is the true successor.

    They differ only where `last` is set: there obs is the first of a new episode.
    """

    obs: Rows  # [..., O]
    reward: Rows  # [...]
    discount: Rows  # [...], 0.0 where the episode terminated, else 1.0
    last: Rows  # [...] bool, the episode ended: termination or time limit
    next_obs: Rows  # [..., O], before any reset


class Transition(NamedTuple):
    """One step of experience, as the learner reads it."""

    obs: jax.Array  # [..., O]
    action: jax.Array  # [..., A], exactly as it was given to the environment
    reward: jax.Array  # [...]
    discount: jax.Array  # [...], 0.0 where the episode terminated, else 1.0
    last: jax.Array  # [...] bool
    next_obs: jax.Array  # [..., O]


class Episodes(NamedTuple):
    """The last C steps in order of time; `seen` marks those of the kept episodes.

    Of several environments, those of one after those of the other.
    """

    index: jax.Array  # [C] int32, where `replay.gather` finds the transition
    row: jax.Array  # [C] int32, row of its obs in `replay.rows`
    next_row: jax.Array  # [C] int32, row of its true successor
    action: jax.Array  # [C, A]
    reward: jax.Array  # [C]
    discount: jax.Array  # [C]
    last: jax.Array  # [C] bool, of an environment's newest step too, if it has several
    seen: jax.Array  # [C] bool, the steps that count


class Action(NamedTuple):
    """What an agent chose."""

    action: jax.Array  # [..., A]
    log_prob: jax.Array | None  # [...], None where the learner does not read it


class Params(NamedTuple):
    """What is learned, one tree for each of the losses; or anything alike."""

    policy: Tree
    critic: Tree  # leaves [K, ...]; None where there is no critic
    dual: dict[str, Any]  # raw multipliers by name, scalars or [A]
    prior: Tree | None = None  # the model of a behaviour policy
    value: Tree | None = None  # V of states beside Q, where the estimate has one


class Targets(NamedTuple):
    """Slowly moving copies; None where an algorithm has none."""

    policy: Tree | None
    critic: Tree | None


class AgentState(NamedTuple):
    """All that an agent learns and remembers, arrays only. Of every algorithm."""

    params: Params
    target: Targets
    opt: Params  # optimiser states, where Params has parameters
    moments: Moments | None  # of observations, where inputs are normalised
    rewards: Tree = None  # what is counted of rewards, where they are scaled
    sampling: Tree = None  # what the sampling remembers of stored transitions
    # of the masks of dropout, within an update; None: nothing is dropped
    masks: jax.Array | None = None
    # what exploration remembers, leaves [E, ...]; None: each action is drawn for itself
    noise: Tree = None


class Support(NamedTuple):
    """Candidate actions at B states, and how good each is."""

    obs: jax.Array  # [B, O]
    action: jax.Array  # [M, B, A]
    score: jax.Array  # [M, B], the G of Table 1
    prior: Tree  # the distribution at obs that drew them


class Batch(NamedTuple):
    """Transitions with what `compute_targets` found for them."""

    transition: Transition  # leaves [B, ...]
    target: jax.Array | Atoms  # [B], what the critic is fitted to
    next: Support | None  # the prior's actions at next_obs, where the target drew them
    # [B], G of the stored action, where it comes with the target
    score: jax.Array | None
    # the prior's distribution at obs, where it was kept with the data
    prior: Tree | None = None
    # next states and actions [B, O], [M, B, A] that critics pass with the batch, where
    # their norms are of both together
    beside: tuple[jax.Array, jax.Array] | None = None
    index: jax.Array | None = None  # [B], numbers of the transitions in a replay
    weight: jax.Array | None = None  # [B], of each in the critics' loss; None: 1
    # [B, n], the critic's outputs when the iteration began, where its loss reads them
    before: jax.Array | None = None
