"""Norms of a layer's numbers, row by row, and where in a network they stand."""

from typing import ClassVar, Literal, Protocol

import flax.linen as nn
import jax.numpy as jnp

from coadapt.schema import Positive, config

Place = Literal["first_tanh", "first", "before", "after", "input", "input_after"]


class Norm(Protocol):
    """What every norm has."""

    at: Place  # where in a network it stands
    of_batch: ClassVar[bool] = False  # of the rows of a batch together

    @property
    def symbol(self) -> str:
        """As Table 4 prints it."""
        ...

    def module(self, name: str) -> nn.Module:
        """[..., F] -> [..., F], with its parameters under this name."""
        ...


def placed(at: Place) -> str:
    """As Table 4 prints it."""
    words = {
        "first_tanh": "first + tanh",
        "first": "first",
        "input": "input",
        "input_after": "input and all, after",
    }
    return words.get(at, f"all, {at}")


@config
class LayerNorm(Norm):
    """(x - mean) / sqrt(var + epsilon), times a scale, plus a bias: Ba et al. 2016."""

    # after every hidden layer, before or after its activation; after the first layer;
    # the same, with a tanh in the place of its activation (the authors, Acme); on the
    # inputs; on the inputs and after every activation
    at: Place = "before"
    epsilon: Positive = 1e-5  # added to the variance

    @property
    def symbol(self) -> str:
        return placed(self.at)

    def module(self, name: str) -> nn.Module:
        # the slow variance is the one that cannot turn negative
        epsilon = jnp.asarray(self.epsilon, jnp.float32)
        return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)  # type: ignore[arg-type]


@config
class RMSNorm(Norm):
    """x / sqrt(mean x^2 + epsilon), times a scale: Zhang and Sennrich 2019."""

    at: Place = "before"  # as of LayerNorm
    epsilon: Positive = 1e-6  # added to the mean square

    @property
    def symbol(self) -> str:
        return f"RMS, {placed(self.at)}"

    def module(self, name: str) -> nn.Module:
        epsilon = jnp.asarray(self.epsilon, jnp.float32)
        return nn.RMSNorm(epsilon=epsilon, name=name)  # type: ignore[arg-type]
