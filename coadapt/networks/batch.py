"""Norms over the rows of a batch, with running moments for rows that come alone."""

from typing import Annotated, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from coadapt.networks.norms import Norm, Place, placed
from coadapt.networks.state import STATE
from coadapt.schema import Count, NonNegative, Positive, Range, Scalar, config

Follow = Annotated[Scalar, Range(ge=0, lt=1)]


@config
class BatchNorm(Norm):
    """(x - mean) / sqrt(var + epsilon) over the rows, scaled and shifted.

    A learning pass takes the moments of its own rows; every other pass, as to act, the
    running ones. Source: Ioffe and Szegedy 2015; in a critic Bhatt et al. 2024.
    """

    of_batch: ClassVar[bool] = True

    at: Place = "input_after"  # as of LayerNorm
    epsilon: Positive = 1e-3  # added to the variance
    keep: Follow = 0.99  # share of the running moments that each pass keeps

    @property
    def symbol(self) -> str:
        return f"batch, {placed(self.at)}"

    def module(self, name: str) -> nn.Module:
        return _Batch(self.epsilon, self.keep, name=name)


@config
class BatchRenorm(Norm):
    """Batch norm, corrected towards the running moments: Ioffe 2017.

    x' = (x - mean) / std * r + d with r = std / std_run clipped to [1 / most, most] and
    d = (mean - mean_run) / std_run clipped to +-shift, both without gradient. In the
    first `warmup` learning passes r is 1 and d is 0. Numbers: Bhatt et al. 2024.
    """

    of_batch: ClassVar[bool] = True

    at: Place = "input_after"  # as of LayerNorm
    epsilon: Positive = 1e-3  # added to the variance
    keep: Follow = 0.99  # share of the running moments that each pass keeps
    # number of first learning passes with plain batch norm
    warmup: Annotated[Count, Range(ge=0)] = 100_000
    most: Annotated[Scalar, Range(ge=1)] = 3.0  # largest correction r of the std
    shift: NonNegative = 5.0  # largest correction d of the mean

    @property
    def symbol(self) -> str:
        return f"batch renorm, {placed(self.at)}"

    def module(self, name: str) -> nn.Module:
        renorm = (self.warmup, self.most, self.shift)
        return _Batch(self.epsilon, self.keep, renorm, name=name)


class _Batch(nn.Module):
    """[..., F] -> [..., F]; the rows are all axes but the last."""

    epsilon: float
    keep: float
    renorm: tuple[float, float, float] | None = None  # warmup, most, shift

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = x.shape[-1]
        scale = self.param("scale", lambda _: jnp.ones(size))
        bias = self.param("bias", lambda _: jnp.zeros(size))
        mean = self.variable(STATE, "mean", lambda: jnp.zeros(size))
        var = self.variable(STATE, "var", lambda: jnp.ones(size))
        passes = self.variable(STATE, "passes", lambda: jnp.zeros(()))
        learns = self.is_mutable_collection(STATE) and not self.is_initializing()
        known = mean.value, var.value
        if not learns:
            return self._scaled(x, known, scale, bias)
        rows = x.reshape(-1, size)
        of_rows = jnp.mean(rows, axis=0), jnp.var(rows, axis=0)
        keep = jnp.asarray(self.keep, x.dtype)
        stop = jax.lax.stop_gradient
        mean.value, var.value = (
            keep * old + (1.0 - keep) * stop(new)
            for old, new in zip(known, of_rows, strict=True)
        )
        made = self._unit(x, of_rows)
        if self.renorm is not None:
            made = self._corrected(made, of_rows, known, passes.value)
        passes.value = passes.value + 1.0
        return made * _row(scale, x) + _row(bias, x)

    def _std(self, var: jax.Array) -> jax.Array:
        return jnp.sqrt(var + jnp.asarray(self.epsilon, var.dtype))

    def _unit(self, x: jax.Array, moments: tuple[jax.Array, jax.Array]) -> jax.Array:
        return (x - _row(moments[0], x)) / _row(self._std(moments[1]), x)

    def _scaled(
        self,
        x: jax.Array,
        moments: tuple[jax.Array, jax.Array],
        scale: jax.Array,
        bias: jax.Array,
    ) -> jax.Array:
        return self._unit(x, moments) * _row(scale, x) + _row(bias, x)

    def _corrected(
        self,
        unit: jax.Array,
        of_rows: tuple[jax.Array, jax.Array],
        known: tuple[jax.Array, jax.Array],
        passes: jax.Array,
    ) -> jax.Array:
        assert self.renorm is not None
        warmup, most, shift = (jnp.asarray(x, unit.dtype) for x in self.renorm)
        run = self._std(known[1])
        r = jnp.clip(self._std(of_rows[1]) / run, 1.0 / most, most)
        d = jnp.clip((of_rows[0] - known[0]) / run, -shift, shift)
        r, d = (jnp.where(passes < warmup, x, y) for x, y in ((1.0, r), (0.0, d)))
        r, d = jax.lax.stop_gradient((r, d))
        return unit * _row(r, unit) + _row(d, unit)


def _row(x: jax.Array, like: jax.Array) -> jax.Array:
    """[F] in the rank of rows [..., F]."""
    return x.reshape((1,) * (like.ndim - 1) + x.shape)
