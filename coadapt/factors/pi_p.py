"""Column pi_p: the prior. Where do candidate actions come from?"""

from typing import Annotated, Literal

from coadapt.schema import Positive, Range, Size, config


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
class OnPolicy:
    """The policy that collected the data: one stored action a state."""

    @property
    def symbol(self) -> str:
        return "pi_theta"


@config
class Posterior:
    """pi_q of the iteration before, which collected the data: a stored action a state.

    In iteration n + 1 the prior is what iteration n found.
    """

    @property
    def symbol(self) -> str:
        return "pi_q"


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


@config
class Ignored:
    """Any fixed prior at all: a temperature of 0 leaves it out."""

    @property
    def symbol(self) -> str:
        return "Fixed"


@config
class Clone:
    """A policy of pi_theta's own kind, fitted by maximum likelihood: BRAC's."""


@config
class VAE:
    """A conditional variational auto-encoder: actions, but no density. BEAR's."""

    # hidden layers of encoder and decoder
    sizes: tuple[Size, ...] = (750, 750)  # settings 3.10
    latent: Size = 2  # dimensions of the latent for each of the action's; settings 3.10
    # of the latents' KL from N(0, 1), beside the squared error
    kl_weight: Positive = 0.5  # settings 3.10
    limit: Positive = 0.5  # of the latents that actions are drawn from


@config
class Behavior:
    """The policy that made the data, pi_b, as a model fitted to them shows it."""

    model: Clone | VAE = Clone()  # what is fitted to the data
    # updates that fit the model and nothing else, before all others start
    steps: Annotated[int, Range(ge=0)] = 0
    follow: bool = True  # whether the model is fitted on with every update after

    @property
    def symbol(self) -> str:
        return "pi_b"


PiP = Policy | OnPolicy | Posterior | Mixture | Uniform | Ignored | Behavior
