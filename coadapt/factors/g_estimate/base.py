"""The interfaces of the column G estimate."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.ensembles import Ensemble, Minimum
from coadapt.factors.g import G
from coadapt.factors.multistep import (
    NStepReturn,
)
from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.state_value import Expectile
from coadapt.factors.view import View, lacks
from coadapt.ops import distributions, ensemble
from coadapt.ops.distributions import Atoms
from coadapt.schema import Range, Scalar
from coadapt.types import Episodes, Metrics, Support, Transition

Discount = Annotated[Scalar, Range(ge=0, lt=1)]
# critics trained side by side; two and their minimum are clipped double Q
Critics = Annotated[int, Range(ge=1, le=100)]


class Estimate(Ruled, Protocol):
    """What every class of this column has."""

    discount: Scalar  # gamma: what a reward a step later counts
    one_step: ClassVar[bool]  # it reads a replay, and bootstraps from a slow copy
    expects: ClassVar[bool] = False  # the value of a state is the mean of the prior's M
    by_gradient: ClassVar[bool] = True  # critics, where there are any, are fitted by SG
    whole_return: ClassVar[bool] = False  # all rewards that follow
    reads_log_prob: ClassVar[bool] = False  # how likely stored actions were
    instead: ClassVar[str] = ""  # with what it would give a distribution
    value: Expectile | None = None  # V of states, beside a critic of (s, a)

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def distributes(self) -> bool:
        """Whether its target may be a distribution of returns."""
        return False

    def ensemble_symbol(self) -> str:
        """What Table 1 adds where a policy climbs its critics; '' for nothing."""
        return ""

    @property
    def best_counts(self) -> bool:
        """Whether of several actions the best one's value counts, else their mean."""
        return False

    def estimates(self, g: G) -> bool:
        """Whether it is an estimate of g."""
        ...

    def critics_of(self, g: G) -> int:
        """K, the number of critics of g; 0: nothing is fitted."""
        ...

    def next_samples(self, prior: int) -> int:
        """Actions at a next state that critics score, `prior` being those of pi_p."""
        return 0

    def duals(self) -> dict[str, jax.Array]:
        """Raw variables of its own, by name, as they start."""
        return {}

    def scale(self) -> jax.Array | float:
        """Network output over value."""
        return 1.0

    def combine(self, values: jax.Array) -> jax.Array:
        """What several critics say together: [K, M, B] -> [M, B]."""
        return ensemble.minimum(values)


class OneStepEstimate(Estimate, Protocol):
    """An estimate from single transitions, or from sequences of a few."""

    one_step: ClassVar[bool] = True

    ensemble: Ensemble = Minimum()
    n_step: NStepReturn | None = None

    def estimates(self, g: G) -> bool:
        return g.reads_action and not g.logarithmic

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if config.pi_p.collects:
            yield Refusal(
                "g_estimate",
                type(self).__name__,
                "it learns from single transitions of a replay, but "
                f"pi_p={type(config.pi_p).__name__} has only the newest data; use an "
                "estimate along sequences",
            )
        reason = "it bootstraps single transitions from a target network"
        yield Need("data", lambda data: not data.in_order, reason)

    @property
    def length(self) -> int:
        """Steps in a row that a sample has."""
        return 1 if self.n_step is None else self.n_step.most

    @property
    def valued(self) -> int:
        """Of those, at how many critics are read."""
        return 1 if self.n_step is not None else self.length

    def targets(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array | Atoms, Support | None]:
        """What the critics are fitted to at transitions [B, ...]: [B].

        With it the actions at the next states, where the E-step stands on them.
        """
        ...

    def next_rows(
        self, view: View, transition: Transition, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The states and actions [B, O], [M, B, A] whose values `targets` asks for."""
        ...

    def sequence_targets(
        self,
        view: View,
        sequence: Transition,
        log_prob: jax.Array | None,
        key: jax.Array,
    ) -> tuple[jax.Array | Atoms, Support | None]:
        """As `targets`, of the first steps of sequences [L, B, ...], where L > 1.

        Args:
            log_prob: [L, B], of the actions, under the policy that took them; None
                where nothing keeps it.
        """
        if self.n_step is None:
            raise lacks(self, "estimate of sequences")
        own = jax.random.fold_in(key, 4)  # the targets' draws have the key itself
        one = self.n_step.as_one(view, sequence, log_prob, self.discount, own)
        return self.targets(view, one, key)

    def future(
        self, view: View, outputs: jax.Array, key: jax.Array, *, best: bool = False
    ) -> jax.Array | Atoms:
        """What next states are worth, by K critics' outputs at M actions.

        Args:
            outputs: [K, M, B, n].
            best: the best action counts, else all do.
        Returns:
            [B], or of a distribution [B, m].
        """
        own = jax.random.fold_in(key, 3)
        if view.head.distributional:
            atoms = self.ensemble.pool(view.head.atoms(outputs), own)
            if not best:
                return distributions.mixture(atoms)
            highest = jnp.argmax(distributions.mean(atoms), axis=0)
            return distributions.take(atoms, highest)
        values = view.head.mean(outputs)
        if values.shape[0] == 1 or self.ensemble.pessimistic:
            values = self.combine(values)
        else:
            values = self.ensemble.target(values, own)
        return jnp.max(values, axis=0) if best else jnp.mean(values, axis=0)


class SequenceEstimate(Estimate, Protocol):
    """An estimate along sequences, in the order of time."""

    one_step: ClassVar[bool] = False

    def estimates(self, g: G) -> bool:
        return not g.reads_action

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield Need("data", lambda data: data.in_order, "it sums along sequences")

    @property
    def length(self) -> int:
        """Whole sequences are read, whatever their length."""
        return 1

    @property
    def valued(self) -> int:
        """As `length`."""
        return 1

    def critics_of(self, g: G) -> int:
        return 0 if g.reads_action else 1

    def solve(
        self, view: View, obs: jax.Array, episodes: Episodes
    ) -> tuple[View, Metrics]:
        """What is fitted on all the data at once, before returns are taken.

        Args:
            obs: [R, O], the store's rows.
        """
        return view, {}

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        """What the critic is fitted to, and scores are taken from: [C].

        Args:
            reward: [C].
            values: [R], V of the store's rows; 0 where there is no critic.
        """
        ...
