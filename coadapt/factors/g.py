"""Column G: what does optimal mean?"""

from typing import Annotated, Literal

from coadapt.schema import Range, config


@config
class Q:
    """The action value, less the mean over `baseline` of the policy's own actions."""

    critic: Literal["online", "target"] = "online"  # whose Q scores the actions
    baseline: Annotated[int, Range(ge=0)] = 0  # actions; 0 leaves the value as it is

    @property
    def symbol(self) -> str:
        return "Q"


@config
class SoftQ:
    """The action value whose return counts the policy's entropy, eta H, as reward."""

    @property
    def symbol(self) -> str:
        return "Q_soft"


@config
class Advantage:
    """The estimated return less a state value, the only critic that is learned."""

    @property
    def symbol(self) -> str:
        return "A"


G = Q | SoftQ | Advantage


def is_action_value(g: G) -> bool:
    """Whether the critic reads (s, a), rather than s alone."""
    return not isinstance(g, Advantage)
