"""Column pi_q: what object is the posterior?"""

from typing import Literal

import jax
import jax.numpy as jnp

from coadapt.ops import weights
from coadapt.schema import Positive, Toggle, config


@config
class Clip:
    """Weights are at most `limit`."""

    limit: Positive = 20.0


@config
class NonParametric:
    """Weights on actions of the prior: pi_q = pi_p exp(G / eta) / Z (Eq. 3)."""

    # what Z sums over: the samples of each state, the batch, or nothing (Z = 1)
    normalize: Literal["state", "batch", "none"] = "state"
    standardize: Toggle = False  # G in standard deviations over the data
    clip: Clip | None = None

    @property
    def symbol(self) -> str:
        return "Non-parametric"

    def weights(self, score: jax.Array, temperature: jax.Array) -> jax.Array:
        """Weights of the M-step. score [M, B], eta scalar -> [M, B]."""
        if self.normalize == "none":
            weight = weights.exponential(score, temperature)
        else:
            per_batch = self.normalize == "batch"
            weight = weights.boltzmann(score, temperature, per_batch=per_batch)
        return weight if self.clip is None else jnp.minimum(weight, self.clip.limit)


@config
class Parametric:
    """The policy itself, moved along the gradient through its own samples (4.1.2)."""

    @property
    def symbol(self) -> str:
        return "pi_theta"


PiQ = NonParametric | Parametric
