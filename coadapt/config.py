"""The configuration of one agent: the seven factors of Table 1, in its order, and more.

A field annotated Scalar, Count or Toggle is traced: variants that differ in it share a
program; all else is part of the program. `jax.tree.structure(config)` is the key.
"""

from typing import Annotated, ClassVar, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.factors.bounds import BoundCost as BoundCost
from coadapt.factors.bounds import BoundLoss as BoundLoss
from coadapt.factors.bounds import Bounds as Bounds
from coadapt.factors.bounds import BoundWeights as BoundWeights
from coadapt.factors.critic import Critic as Critic
from coadapt.factors.noise import Exploration
from coadapt.factors.view import View
from coadapt.networks import Networks
from coadapt.optim import Optim
from coadapt.resets import Resets
from coadapt.rewards import RewardRule
from coadapt.sampling import Sampling, Samplings, UniformSampling
from coadapt.schema import (
    Count,
    Fraction,
    Range,
    Size,
    config,
)
from coadapt.types import Tree


class Copied(Protocol):
    """How a slow copy follows what it is a copy of."""

    def follow(self, online: Tree, target: Tree, updates: jax.Array | np.int32) -> Tree:
        """The copy after update number `updates`, counted from 1.

        The number is the same for all agents of a program, so that a copy every so
        many updates stays a branch under vmap, and costs nothing in between.
        """
        ...


@config
class Soft(Copied):
    """target <- (1 - rate) target + rate online, after every update."""

    rate: Fraction = 5e-3  # share of the online parameters in each update

    def follow(self, online: Tree, target: Tree, updates: jax.Array | np.int32) -> Tree:
        return jax.tree.map(
            lambda new, old: old + self.rate * (new - old), online, target
        )


@config
class Hard(Copied):
    """target <- online, every `period` updates."""

    period: Size = 100  # updates between copies

    def follow(self, online: Tree, target: Tree, updates: jax.Array | np.int32) -> Tree:
        due = updates % self.period == 0
        return jax.lax.cond(due, lambda: online, lambda: target)


@config
class Target:
    """Target networks: copies of the networks that change slowly."""

    policy: Hard | Soft | None = None  # of the policy; none: the policy itself is used
    # of the critics; none: targets bootstrap from the critics themselves
    critic: Hard | Soft | None = Soft()
    # the target critics are updated after each gradient step of the critics, not after
    # each update; their period is then counted in gradient steps
    each_step: bool = False


class Source(Protocol):
    """What a class of data has.

    All that is counted is in env steps of an agent, summed over its environments.
    """

    in_order: ClassVar[bool] = False  # whole sequences are read, else single steps
    stored: ClassVar[bool] = True  # on the device; else a data set is read
    newest: ClassVar[bool] = False  # nothing that is older than the last update

    batch_size: int  # transitions of a minibatch
    update_every: int  # env steps from one update to the next
    # fields of some of the classes below, and what holds of the others
    envs: int = 1  # E, the environments of an agent, which are stepped together
    random_steps: int = 0
    pretrain_updates: int = 0
    overlap: bool = False
    precision: str = "float32"
    terminate_at_limit: bool = False
    relabel: bool = False
    drop_last: bool = False

    @property
    def draws(self) -> Sampling:
        """How minibatches of single transitions are drawn."""
        return UniformSampling()

    @property
    def begins_with(self) -> str:
        """The data set that a replay begins with; '': empty."""
        return ""

    def remembers(self) -> Tree:
        """What the sampling remembers of the data, before there are any."""
        return None

    @property
    def policy_rows(self) -> int:
        """Transitions of a minibatch of the policy's steps."""
        return self.batch_size

    @property
    def period(self) -> int:
        """Env steps between two moments at which updates may be due."""
        return max(self.update_every, self.envs)

    @property
    def updates_at_once(self) -> int:
        """Updates at such a moment."""
        return self.period // self.update_every


@config
class Replay(Source):
    """Minibatches from a replay of past transitions."""

    capacity: Size = 1_000_000  # transitions, divided equally among the environments
    batch_size: Size = 256  # transitions of a minibatch
    # env steps between updates; below envs, several updates follow each step of all
    # environments
    update_every: Size = 1
    # environments of each agent, E, which are stepped together. All counts of env steps
    # are sums over them
    envs: Size = 1
    learning_starts: Annotated[int, Range(ge=0)] = (
        10_000  # env steps before the first update
    )
    random_steps: Annotated[int, Range(ge=0)] = (
        10_000  # env steps of uniform random actions
    )
    # An update runs while the environment takes its step, so the newest transition is
    # used one update later; False: the update waits for it, as one does in any case
    # that would have nothing to read yet.
    overlap: bool = True
    # of stored observations and actions; rewards stay float32. The policy acts on the
    # rounded observation, too. float16 has numbers up to 65,504 with 11 significant
    # bits, bfloat16 the range of float32 with 8.
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    # an episode that reaches its time limit is stored as terminated: its last target
    # does not bootstrap
    terminate_at_limit: bool = False  # settings 2.12
    sampling: Samplings = UniformSampling()  # which transitions a minibatch has
    # a local Minari data set with which the replay begins; '': none. Each agent has a
    # copy, whose transitions count as the oldest
    prefill: str = ""
    # updates on that data set before the first env step
    pretrain_updates: Annotated[int, Range(ge=0)] = 0

    @property
    def draws(self) -> Sampling:
        return self.sampling

    @property
    def begins_with(self) -> str:
        return self.prefill

    def remembers(self) -> Tree:
        return self.sampling.init(self.capacity)


@config
class Trajectories(Source):
    """Whole episodes; G of all their steps is computed anew in each iteration."""

    in_order: ClassVar[bool] = True

    capacity: Size = 50_000  # transitions of finished episodes, as Replay
    batch_size: Size = 256  # transitions of a minibatch
    update_every: Size = 3000  # env steps between iterations
    envs: Size = 1  # as Replay
    learning_starts: Annotated[int, Range(ge=0)] = (
        3000  # env steps before the first iteration
    )
    relabel: bool = True  # also compute G anew between the critic's and policy's phase
    # leave out the last step of each episode (settings 2.14); set it to false for tasks
    # with a reward at the end
    drop_last: bool = True
    terminate_at_limit: bool = False  # as Replay


@config
class Rollout(Source):
    """Only the newest steps, all taken by the policy that learns from them."""

    in_order: ClassVar[bool] = True
    newest: ClassVar[bool] = True

    batch_size: Size = 64  # transitions of a minibatch
    update_every: Size = 2048  # env steps between iterations
    envs: Size = 1  # as Replay; update_every is a multiple of it
    # transitions of a minibatch of the policy; none: `batch_size`. If it is
    # `update_every`, each step of the policy is on all of the data; while steps of
    # running episodes wait for their end, some of the others count twice
    policy_batch_size: Size | None = None
    relabel: bool = False  # as Trajectories
    terminate_at_limit: bool = False  # as Replay

    @property
    def policy_rows(self) -> int:
        return self.policy_batch_size or self.batch_size

    @property
    def learning_starts(self) -> int:
        return self.update_every

    @property
    def capacity(self) -> int:
        return self.update_every


@config
class Offline(Source):
    """Uniform minibatches from a local data set; an env step is then an update."""

    stored: ClassVar[bool] = False

    dataset: str = ""  # name of a local Minari data set
    batch_size: Size = 256  # transitions of a minibatch

    @property
    def learning_starts(self) -> int:
        return 0

    @property
    def update_every(self) -> int:
        return 1


Data = Replay | Trajectories | Rollout | Offline


_MOST_STEPS = 100_000  # of an update: more would not end


@config
class Schedule:
    """The gradient steps of one update."""

    # gradient steps of the critic in an update
    critic_steps: Annotated[int, Range(ge=0, le=_MOST_STEPS)] = 1
    # gradient steps of the policy in an update
    policy_steps: Annotated[int, Range(ge=1, le=_MOST_STEPS)] = 1
    # number of first updates in which the policy only follows its prior; settings 3.10
    warm_start: Annotated[Count, Range(ge=0)] = 0
    # the policy's step uses the critic as it was before this update's critic step
    # (AWAC), rather than as it is after (SAC); where the target critic scores actions
    # (g.critic), neither
    simultaneous: bool = False
    # when networks are reinitialised while the data stay; none: never
    resets: Resets | None = None


class EvalPolicy(Protocol):
    """How the agent acts in evaluations."""

    @property
    def scored(self) -> int:
        """Actions of a state that critics score."""
        return 0

    @property
    def draws(self) -> bool:
        """Whether two calls may give two actions."""
        return True

    def act(self, view: View, obs: jax.Array, key: jax.Array) -> jax.Array:
        """Actions at obs [B, O], [B, A]."""
        ...


@config
class Mode(EvalPolicy):
    """The likeliest action."""

    @property
    def draws(self) -> bool:
        return False

    def act(self, view: View, obs: jax.Array, key: jax.Array) -> jax.Array:
        return view.pi.mode(view.policy(obs))


@config
class Sampled(EvalPolicy):
    """An action as the policy draws it."""

    def act(self, view: View, obs: jax.Array, key: jax.Array) -> jax.Array:
        return view.pi.sample(view.policy(obs), key, 1)[0]


@config
class BestOf(EvalPolicy):
    """The best of several actions of the policy, by the value of the first critic."""

    samples: Size = 10  # actions drawn; settings 3.10

    @property
    def scored(self) -> int:
        return self.samples

    def act(self, view: View, obs: jax.Array, key: jax.Array) -> jax.Array:
        action = view.pi.sample(view.policy(obs), key, self.samples)
        value = view.q(view.critic, obs, action)[0]
        best = jnp.argmax(value, axis=0)  # [B]
        return jnp.take_along_axis(action, best[None, :, None], axis=0)[0]


EvalPolicies = Mode | Sampled | BestOf


@config
class Config:
    """One agent, as a value. The presets of coadapt.algorithms are such values."""

    # the posterior: weights on actions or on episodes of the prior, or a policy
    pi_q: pi_q.PiQ
    # the prior: where candidate actions come from, and how likely they are
    pi_p: pi_p.PiP
    # the E-step: how pi_q, or its temperature, is found
    pi_q_update: pi_q_update.PiQUpdate
    pi_p_update: pi_p_update.PiPUpdate  # the M-step: how the prior is updated
    g: g.G  # the optimality score G, by which actions are weighted or improved
    g_estimate: g_estimate.GEstimate  # how G is estimated, by critics or by returns
    pi_theta: pi_theta.PiTheta  # the action distribution of the policy
    networks: Networks = Networks()  # the networks of policy and critics
    critic: Critic = Critic()  # the output of critics, and their loss
    optim: Optim = Optim()  # optimisers, learning rates, clipping
    # the penalty that keeps actions in the box; none: there is no penalty
    bounds: Bounds | None = None
    target: Target = Target()  # target networks
    data: Data = Replay()  # which data an update reads, and when updates are due
    schedule: Schedule = Schedule()  # gradient steps of an update, and resets
    eval_policy: EvalPolicies = Mode()  # how the agent acts in evaluations
    # how rewards are clipped or scaled for the critics; none: they are used as they are
    reward: RewardRule | None = None
    exploration: Exploration = Exploration()  # noise of actions during training
