"""Column pi_q: what object is the posterior?"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from coadapt.ops import weights
from coadapt.schema import Positive, Range, Size, Toggle, config


@config
class Clip:
    """Weights are at most `limit`."""

    limit: Positive = 20.0  # the largest weight


@config
class NonParametric:
    """Weights on actions of the prior: pi_q = pi_p exp(G / eta) / Z (Eq. 3)."""

    # what Z sums over: the samples of each state, the batch, or nothing (Z = 1)
    normalize: Literal["state", "batch", "none"] = "state"
    standardize: Toggle = False  # G in standard deviations over the data
    clip: Clip | None = None  # of the weights, after Z
    # the share of the batch with the best G that is kept: V-MPO's top half; the rest
    # has weight 0
    keep: Annotated[float, Range(gt=0, le=1)] = 1.0

    @property
    def symbol(self) -> str:
        return "Non-parametric"

    def weights(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        """Weights of the M-step. score [M, B], eta scalar -> [M, B]."""
        if self.keep < 1:
            best, place = weights.top(score, self.keep)
            # one Z: the kept are B / n of the states, as far as an average goes
            share = score.shape[1] / best.size if self.normalize == "batch" else 1.0
            weight = share * self._normalized(best[None], temperature)[0]
            weight = weights.scatter(weight, place, score.shape)
        else:
            weight = self._normalized(score, temperature)
        return weight if self.clip is None else jnp.minimum(weight, self.clip.limit)

    def _normalized(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        if self.normalize == "none":
            return weights.exponential(score, temperature)
        per_batch = self.normalize == "batch"
        return weights.boltzmann(score, temperature, per_batch=per_batch)

    def compared(self, score: jax.Array) -> jax.Array:
        """The scores [M, B] as sets [M', B'] within which weights are normalised."""
        if self.keep < 1:
            score, _ = weights.top(score, self.keep)
        return score.reshape(-1, 1) if self.normalize == "batch" else score


@config
class Episodic:
    """Weights on whole episodes of the prior: pi_q(tau) = pi_p(tau) exp(R / eta) / Z.

    Z is over the episodes of the batch. With pi_p=Uniform an episode's weight is
    divided by its own probability under the policy that drew it; as in the original,
    all episodes are then alike before their returns are known, long ones and short.
    Source: settings 3.4.
    """

    standardize: Toggle = False  # R in standard deviations over the episodes
    # climb E[R] too, by the likelihood ratio, beside the fit to pi_q
    expected_return: Toggle = False

    @property
    def symbol(self) -> str:
        return "Non-parametric"

    def weights(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        """The score of a step is its episode's weight already. [M, B] -> [M, B]."""
        return score


@config
class Pathwise:
    """The gradient of G(s, a) runs through the critic to the policy's own sample."""

    # of two critics: the mix that the target takes, their minimum, or the first
    critic: Literal["minimum", "first", "mix"] = "minimum"
    # actions of the policy that each critic's value is averaged over, before one of the
    # critics is taken
    samples: Size = 1  # settings 3.10
    # where the standard normal noise of these actions is clipped; none: it is not
    noise_limit: Positive | None = None  # settings 3.10


@config
class LikelihoodRatio:
    """The gradient of E_{pi_p}[ pi_theta / pi_p G ], on stored actions of the prior."""

    standardize: Toggle = True  # G in standard deviations over the data; settings 3.6


@config
class Parametric:
    """The policy itself, moved along a gradient of the objective (4.1.2)."""

    # how G's gradient reaches the policy
    gradient: Pathwise | LikelihoodRatio = Pathwise()

    @property
    def symbol(self) -> str:
        return "pi_theta"


PiQ = NonParametric | Episodic | Parametric


def gradient_of(posterior: PiQ) -> Pathwise | LikelihoodRatio | None:
    """How a parametric posterior moves; None where it is a set of weights."""
    return posterior.gradient if isinstance(posterior, Parametric) else None


def standardizes(posterior: PiQ) -> jax.typing.ArrayLike:
    """Whether the scores of steps are put into standard deviations."""
    if isinstance(posterior, NonParametric):
        return posterior.standardize
    gradient = gradient_of(posterior)
    return gradient.standardize if isinstance(gradient, LikelihoodRatio) else False
