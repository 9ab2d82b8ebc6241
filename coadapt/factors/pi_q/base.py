"""What every class of the column pi_q has."""

from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Ruled
from coadapt.factors.view import View
from coadapt.ops import weights
from coadapt.types import Episodes, Metrics


class Posterior(Ruled, Protocol):
    """What every class of this column has."""

    parametric: ClassVar[bool]  # it is the policy itself, else weights on actions
    whole_episodes: ClassVar[bool] = False  # it reads episodes from their first step

    @property
    def symbol(self) -> str:
        """As Table 1 prints it."""
        ...

    @property
    def in_stds(self) -> object:
        """Whether weights are of scores in standard deviations: traced, or False."""
        return False

    @property
    def samples(self) -> int:
        """Of the policy's own actions at a state, how many move it."""
        return 1

    def critic_rows(self, critics: int) -> int:
        """Values of K critics at a state that its gradient runs through."""
        return 0

    @property
    def by_samples(self) -> bool:
        """Whether G's gradient runs through the policy's own actions."""
        return False

    @property
    def reads_prior(self) -> bool:
        """Whether it reads the distributions that stored actions were drawn from."""
        return False

    def standardized(
        self, score: jax.Array, where: jax.Array | None = None
    ) -> jax.Array:
        """Scores [...], in standard deviations of those that count, or as they are."""
        return score

    def combine(self, view: View, values: jax.Array) -> jax.Array:
        """What its step makes of K critics' values of actions: [K, M, B] -> [M, B]."""
        return view.estimate.combine(values)

    def scores(
        self, view: View, score: jax.Array, obs: jax.Array, episodes: Episodes
    ) -> jax.Array:
        """What is made of G of stored steps, once for all minibatches: [C] -> [C].

        Args:
            obs: [R, O], the store's rows.
        """
        return self.standardized(score, episodes.seen)

    def episode_metrics(
        self, view: View, score: jax.Array, episodes: Episodes
    ) -> Metrics:
        """What there is to know of the weights of whole episodes, once an iteration.

        Args:
            score: [C], what `scores` made of G.
        """
        return {}


def standardized_if(
    toggle: jax.typing.ArrayLike, score: jax.Array, where: jax.Array | None
) -> jax.Array:
    if toggle is False:
        return score
    return jnp.where(jnp.asarray(toggle), weights.standardize(score, where), score)
