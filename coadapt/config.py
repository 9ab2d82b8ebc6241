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

    rate: Fraction = 5e-3  # what an update takes over

    def follow(self, online: Tree, target: Tree, updates: jax.Array | np.int32) -> Tree:
        return jax.tree.map(
            lambda new, old: old + self.rate * (new - old), online, target
        )


@config
class Hard(Copied):
    """target <- online, every `period` updates."""

    period: Size = 100  # updates from one copy to the next

    def follow(self, online: Tree, target: Tree, updates: jax.Array | np.int32) -> Tree:
        due = updates % self.period == 0
        return jax.lax.cond(due, lambda: online, lambda: target)


@config
class Target:
    """Slowly moving copies of the networks."""

    policy: Hard | Soft | None = None  # of the policy; none: the policy itself is read
    # of the critics; none: targets bootstrap from the critics themselves
    critic: Hard | Soft | None = Soft()
    # the critics' copy follows each of their gradient steps, else each update; a period
    # is then in such steps
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
    """Minibatches from the transitions of a long past."""

    capacity: Size = 1_000_000  # transitions, a whole and equal share of each of envs
    batch_size: Size = 256  # transitions of a minibatch
    # env steps from one update to the next; with fewer than envs, there are as many
    # updates after a step of all environments as make it so
    update_every: Size = 1
    # environments of an agent, E, which are stepped together. All counts of env steps
    # are sums over them
    envs: Size = 1
    learning_starts: Annotated[int, Range(ge=0)] = (
        10_000  # env steps before the first update
    )
    random_steps: Annotated[int, Range(ge=0)] = (
        10_000  # env steps of uniform random actions
    )
    # An update runs while the environment takes the step before it, so the newest
    # transition joins from the update after on; False waits for it, and so does an
    # update that would have nothing to read yet.
    overlap: bool = True
    # of stored observations and actions; rewards stay float32. What is acted on is
    # stored first, so an agent sees no more than it learns from. float16 holds numbers
    # up to 65,504 in 11 bits, bfloat16 all of float32's range in 8.
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    # an episode that its time limit ends is stored as one that terminated: no value
    # follows its last step
    terminate_at_limit: bool = False  # settings 2.12
    sampling: Samplings = UniformSampling()  # which transitions a minibatch has
    # a data set of Minari's, on this machine, that the replay begins with; '': none.
    # Each agent has a copy, and its transitions are the oldest
    prefill: str = ""
    # updates on it before the first env step
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
    """Whole episodes, all of them relabelled before each phase of learning."""

    in_order: ClassVar[bool] = True

    capacity: Size = 50_000  # transitions of finished episodes, as Replay
    batch_size: Size = 256  # transitions of a minibatch
    update_every: Size = 3000  # env steps from one iteration to the next
    envs: Size = 1  # as Replay
    learning_starts: Annotated[int, Range(ge=0)] = (
        3000  # env steps before the first iteration
    )
    relabel: bool = True  # estimate G anew between the critic's and the policy's phase
    # leave the last step of each episode out (settings 2.14): not for tasks that pay at
    # their end
    drop_last: bool = True
    terminate_at_limit: bool = False  # as Replay


@config
class Rollout(Source):
    """The newest steps only, all by the policy that then learns from them."""

    in_order: ClassVar[bool] = True
    newest: ClassVar[bool] = True

    batch_size: Size = 64  # transitions of a minibatch
    update_every: Size = 2048  # env steps from one iteration to the next
    envs: Size = 1  # as Replay; update_every is a multiple of it
    # of the policy's steps; none: as `batch_size`. With as many as `update_every`, each
    # step of the policy is on all of the data; where some steps wait for their
    # episode's end, some of the others count twice
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
    """Uniform minibatches from a data set that is there; a step is an update."""

    stored: ClassVar[bool] = False

    dataset: str = ""  # of Minari's, on this machine
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
    """What one update is made of."""

    # gradient steps of the critic in an update
    critic_steps: Annotated[int, Range(ge=0, le=_MOST_STEPS)] = 1
    # gradient steps of the policy in an update
    policy_steps: Annotated[int, Range(ge=1, le=_MOST_STEPS)] = 1
    # the first updates in which the policy is pulled to its prior alone; settings 3.10
    warm_start: Annotated[Count, Range(ge=0)] = 0
    # the policy's step uses the critic as it was before this update's critic step
    # (AWAC), rather than as it is after (SAC); where the target critic scores actions
    # (g.critic), neither
    simultaneous: bool = False
    # networks that start anew while the data stay; none: they never do
    resets: Resets | None = None


class EvalPolicy(Protocol):
    """How the agent acts when it is measured."""

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
    """Of some that the policy draws, the one that the first critic values most."""

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

    pi_q: pi_q.PiQ  # what object the posterior is
    # the prior: where candidate actions come from, and how likely they are
    pi_p: pi_p.PiP
    # the E-step: how pi_q, or its temperature, is found
    pi_q_update: pi_q_update.PiQUpdate
    pi_p_update: pi_p_update.PiPUpdate  # the M-step: how the prior follows
    g: g.G  # what optimal means
    g_estimate: g_estimate.GEstimate  # how it is estimated
    pi_theta: pi_theta.PiTheta  # what distribution the parameters make
    networks: Networks = Networks()  # the networks of policy and critics
    critic: Critic = Critic()  # what critics say, and how they are fitted
    optim: Optim = Optim()  # how gradients become steps
    bounds: Bounds | None = None  # what keeps actions in the box
    target: Target = Target()  # slow copies of the networks
    data: Data = Replay()  # which data an update reads, and how often there is one
    schedule: Schedule = Schedule()  # the steps of an update
    eval_policy: EvalPolicies = Mode()  # how the agent acts when it is measured
    # what rewards become before critics learn from them; none: they stay as they are
    reward: RewardRule | None = None
    # the noise that it acts with while it learns
    exploration: Exploration = Exploration()
