"""How actions differ from the policy's while an agent learns: colour and std of noise.

The interface of a colour is `Noise`; the classes below it are final. What is remembered
from one env step to the next is in `AgentState.noise`.
"""

import functools
from collections.abc import Iterator
from typing import Annotated, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from coadapt.factors.rules import Config, Need, Refusal, Ruled
from coadapt.factors.view import lacks
from coadapt.schema import Fraction, NonNegative, Range, config


class Noise(Ruled, Protocol):
    """Noise of one environment's actions: at each step, each element is N(0, 1).

    What is remembered is N(0, 1) in each element too, from an episode's first step on.
    """

    white: ClassVar[bool] = False  # no step depends on another: nothing is remembered

    def shape(self, action_size: int) -> tuple[int, ...] | None:
        """Of what is remembered from a step to the next; None where `white`."""
        ...

    def after(self, kept: jax.Array, key: jax.Array) -> jax.Array:
        """What is remembered at the next step of the same episode."""
        raise lacks(self, "memory")

    def read(self, kept: jax.Array) -> jax.Array:
        """The noise of a step, [A]."""
        raise lacks(self, "memory")


@config
class WhiteNoise(Noise):
    """Each step's noise is drawn for itself, when the action is."""

    white: ClassVar[bool] = True

    def shape(self, action_size: int) -> None:
        return None


@config
class OrnsteinUhlenbeck(Noise):
    """x <- (1 - theta) x + sqrt(1 - (1 - theta)^2) N(0, 1), from N(0, 1) on.

    Source: Lillicrap et al. 2016 (DDPG), whose x starts at 0 and grows to a std of
    sigma / sqrt(1 - (1 - theta)^2), 0.38 with their sigma of 0.2. Here the std is 1
    from the first step on, so that what a policy multiplies it by is the action's std.
    """

    # rate of mean reversion per step; 1 is white noise. Lillicrap et al. 2016
    theta: Fraction = 0.15

    def shape(self, action_size: int) -> tuple[int]:
        return (action_size,)

    def after(self, kept: jax.Array, key: jax.Array) -> jax.Array:
        keep = jnp.asarray(1.0 - self.theta, jnp.float32)
        return _next(keep, kept, key)

    def read(self, kept: jax.Array) -> jax.Array:
        return kept


_PROCESSES = 12  # of which pink noise is the sum
_SHORTEST = 0.2  # steps; what so fast a process adds is white


@config
class PinkNoise(Noise):
    """Noise of power 1 / f: slow and fast parts alike, between white and a random walk.

    Source: Eberhard et al. 2023, who draw a whole episode by an inverse Fourier
    transform. Here each step is drawn when it comes, from the stream of that step, so
    that an agent that is stopped in the middle goes on to the bit, and nothing is as
    long as an episode: the noise is a weighted sum of 12 processes x <- a x +
    sqrt(1 - a^2) N(0, 1), whose time constants lie evenly in logarithm from 0.2 steps
    to half the horizon. The weights are fitted once, by least squares that are not
    negative, so that f times the power is constant: within 5% from one cycle a horizon
    to one in 4 steps, within 20% up to one in 2, for horizons from 30 to 10,000.
    Slower than the horizon it is flat, as theirs.
    """

    # steps of an episode; Eberhard et al. 2023
    horizon: Annotated[int, Range(ge=10)] = 1000

    def shape(self, action_size: int) -> tuple[int, int]:
        return _PROCESSES, action_size

    def after(self, kept: jax.Array, key: jax.Array) -> jax.Array:
        keep, _ = processes(self.horizon)
        return _next(jnp.asarray(keep, jnp.float32)[:, None], kept, key)

    def read(self, kept: jax.Array) -> jax.Array:
        _, weight = processes(self.horizon)
        return jnp.sum(jnp.asarray(weight, jnp.float32)[:, None] * kept, axis=0)


def _next(keep: jax.Array, kept: jax.Array, key: jax.Array) -> jax.Array:
    """A step of processes whose std stays 1."""
    fresh = jax.random.normal(key, kept.shape)
    return keep * kept + jnp.sqrt(1.0 - jnp.square(keep)) * fresh


@functools.cache
def processes(horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """What each process of pink noise keeps in a step, and its weight, [12] each.

    The squares of the weights sum to 1.
    """
    keep = np.exp(-1.0 / np.geomspace(_SHORTEST, horizon / 2, _PROCESSES))
    f = np.geomspace(1.0 / horizon, 0.5, 400)[:, None]  # cycles a step
    power = (1.0 - keep**2) / (1.0 - 2.0 * keep * np.cos(2.0 * np.pi * f) + keep**2)
    square, _ = optimize.nnls(f * power, np.ones(len(f)))
    return keep, np.sqrt(square / square.sum())


@config
class EpisodeStd(Ruled):
    """A std for each episode, uniform in [low, high]: Seo et al. 2025 (FastTD3).

    With several environments each has its own, drawn anew when its episode ends.
    """

    low: NonNegative = 0.001  # smallest std, agent units; settings 4.10
    high: NonNegative = 0.4  # largest std, agent units; settings 4.10

    def limits(self, config: Config) -> Iterator[Refusal]:
        if self.low > self.high:
            reason = "it must be at most exploration.std.high"
            yield Refusal("exploration.std.low", self.low, reason)

    def draw(self, key: jax.Array) -> jax.Array:
        """A std, [1]."""
        low, high = (jnp.asarray(x, jnp.float32) for x in (self.low, self.high))
        return low + (high - low) * jax.random.uniform(key, (1,))


class Remembered(NamedTuple):
    """Of one environment, from env step to env step."""

    noise: jax.Array | None  # of `Noise.shape`
    std: jax.Array | None  # [1], of this episode; None: the policy's own


class Added(NamedTuple):
    """What actions at B states are explored with."""

    unit: jax.Array | None  # [B, A], each element N(0, 1); None: it is drawn
    std: jax.Array | None  # [B, 1]; None: the policy's own


@config
class Exploration(Ruled):
    """The noise that an agent acts with while it learns."""

    # colour of the noise, its correlation over time; Eberhard et al. 2023
    noise: WhiteNoise | OrnsteinUhlenbeck | PinkNoise = WhiteNoise()
    # std drawn for each episode, instead of pi_theta.noise; none: pi_theta.noise
    std: EpisodeStd | None = None

    @property
    def remembers(self) -> bool:
        """Whether anything is kept from one env step to the next."""
        return not self.noise.white or self.std is not None

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        if not self.remembers:
            return
        if not config.data.stored:
            field = "exploration.noise" if self.std is None else "exploration.std"
            came = type(self.noise if self.std is None else self.std).__name__
            allowed = "WhiteNoise" if self.std is None else "none"
            reason = "with a data set no agent acts in training, so it must be"
            yield Refusal(field, came, f"{reason} {allowed}")
        pi = config.pi_theta
        if self.std is not None and pi.has_density:
            said = f"pi_theta is {type(pi).__name__}, which is stochastic already"
            came = type(self.std).__name__
            yield Refusal("exploration.std", came, f"{said}, so it must be none")
        if not pi.adds_noise:
            reason = "no noise is added to its actions, so it must be WhiteNoise"
            named = f"pi_theta is {type(pi).__name__}, and {reason}"
            yield Refusal("exploration.noise", type(self.noise).__name__, named)

    def begin(self, key: jax.Array, action_size: int) -> Remembered | None:
        """At the first step of an episode; None, where nothing is remembered."""
        if not self.remembers:
            return None
        return self._begun(key, self.noise.shape(action_size))

    def _begun(self, key: jax.Array, shape: tuple[int, ...] | None) -> Remembered:
        first, own = jax.random.split(key)
        noise = None if shape is None else jax.random.normal(first, shape)
        return Remembered(noise, None if self.std is None else self.std.draw(own))

    def drawn(self, key: jax.Array, rows: int, action_size: int) -> Added | None:
        """What each of B actions is explored with, were it an episode's first."""
        own = jax.random.split(jax.random.fold_in(key, 1), rows)
        each = jax.vmap(lambda one: self.read(self.begin(one, action_size)))(own)
        return jax.tree.map(lambda x: x[:, 0], each)

    def after(
        self, kept: Remembered | None, key: jax.Array, last: jax.Array
    ) -> Remembered | None:
        """After an env step, `last` where an episode ended with it: scalar."""
        if kept is None:
            return None
        noise, shape = kept.noise, None
        if noise is not None:
            shape = noise.shape
            noise = self.noise.after(noise, jax.random.fold_in(key, 2))
        fresh, goes_on = self._begun(key, shape), kept._replace(noise=noise)
        return jax.tree.map(lambda a, b: jnp.where(last, a, b), fresh, goes_on)

    def read(self, kept: Remembered | None) -> Added | None:
        """What the next action is explored with, of one state; None: white noise."""
        if kept is None:
            return None
        unit = None if kept.noise is None else self.noise.read(kept.noise)[None]
        return Added(unit, None if kept.std is None else kept.std[None])
