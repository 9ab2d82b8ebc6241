"""What a class needs of those that it stands beside: rules, which validation reads.

Every interface of a factor, or of a part of one, is `Ruled`. A rule asks what another
class says of itself, never which class it is, so that one that a user adds is judged
like ours.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, Self

Config = Any  # coadapt.config.Config, which is made of these classes
Combination = Any  # coadapt.validation.design_space.Combination, a class of each factor


class Need(NamedTuple):
    """What stands at another field must fit, or the config is not valid."""

    field: str  # its path
    fits: Callable[[Any], bool]
    reason: str


class Refusal(NamedTuple):
    """A field that is not valid as it is."""

    field: str  # its path
    came: object  # as it is printed; a text is quoted where it is one
    reason: str  # and the way out


class Ruled(Protocol):
    """What has rules."""

    @classmethod
    def at(cls, point: Combination) -> Self:
        """One of the class that suits the others of a point, if any does."""
        return cls()

    def maths(self, config: Config) -> Callable[..., Any] | None:
        """The method that has its line of maths, in this config.

        None: it has nothing to compute, as its docstring says.
        """
        return None

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        """Which classes it can stand beside."""
        yield from ()

    def limits(self, config: Config) -> Iterator[Refusal]:
        """What its own fields may be, in a config whose classes fit each other."""
        yield from ()


def critics(config: Config) -> int:
    """K, the number of critics."""
    return config.g_estimate.critics_of(config.g)


def several(config: Config) -> bool:
    """Whether the E-step compares actions of one state."""
    return config.pi_p.samples > 1
