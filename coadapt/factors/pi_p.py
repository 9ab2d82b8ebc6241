"""Column pi_p: the prior. Where do candidate actions come from?"""

from typing import Literal

from coadapt.schema import Size, config


@config
class Policy:
    """The policy (its target copy, where one is kept): M fresh actions a state."""

    samples: Size = 20  # M
    # whose states the E-step stands on: those of the transition, or its successors,
    # where the critic's target has drawn and scored the same actions already
    states: Literal["next", "current"] = "next"

    @property
    def symbol(self) -> str:
        return "pi_theta"


@config
class Mixture:
    """All past policies, as the replay holds them: one stored action a state."""

    @property
    def symbol(self) -> str:
        return "pi_theta"


@config
class Uniform:
    """The uniform density on the box, whose log is a constant and left out."""

    @property
    def symbol(self) -> str:
        return "Fixed"


PiP = Policy | Mixture | Uniform
