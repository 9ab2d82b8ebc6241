"""Column G estimate: how is G fitted?

TD0 and Retrace bootstrap from a slow copy of the critic, after the steps that a replay
gave; all others sum along whole sequences.
"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from coadapt.factors.g import Advantage, G
from coadapt.schema import Fraction, Positive, Range, Scalar, Size, Toggle, config

Discount = Annotated[Scalar, Range(ge=0, lt=1)]
# critics trained side by side; two and their minimum are clipped double Q
Critics = Annotated[int, Range(ge=1, le=2)]


@config
class Smoothing:
    """Clipped Gaussian noise on the policy's action at the next state.

    Source: Fujimoto et al. 2018 (settings 3.9).
    """

    std: Positive = 0.2  # of the noise, in actions of [-1, 1]
    limit: Positive = 0.5  # where the noise is clipped


@config
class TD0:
    """One step of reward, then the value of the policy's own actions."""

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    critics: Critics = 2  # trained side by side, K
    # of the critics: mix * minimum + (1 - mix) * maximum; settings 3.10
    mix: Fraction = 1.0
    samples: Size = 1  # actions at the next state, and which of their values counts
    # what of the values of those actions is the target's
    over: Literal["mean", "max"] = "mean"  # settings 3.10
    smoothing: Smoothing | None = None  # noise on the target's actions

    @property
    def symbol(self) -> str:
        return "TD(0)"


@config
class Retrace:
    """Rewards of some steps, then the mean value of the prior's M actions.

    Of a single step in the authors' reading, where no trace is left to cut (settings
    1.3, 2.4). Of more, each later step counts by lam * min(1, pi / mu), mu being the
    policy that acted: Munos et al. 2016.
    """

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    critics: Critics = 1  # trained side by side, K
    # of two critics: the minimum at each action, or the critic of the lower mean
    minimum: Literal["sample", "mean"] = "sample"  # settings 1.7, MPO (D)
    steps: Size = 1  # of a sequence
    lam: Fraction = 1.0  # with more than one step

    @property
    def symbol(self) -> str:
        return "Retrace(1)"


@config
class TDLambda:
    """Lambda-returns along whole episodes, bootstrapped at time limits."""

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    lam: Fraction = 0.95  # lambda: 0 is one step, 1 the whole return
    scaled: Toggle = True  # the network fits (1 - discount) V; settings 1.4

    @property
    def symbol(self) -> str:
        return "TD(lambda)"

    def scale(self) -> jax.Array:
        """Network output over value."""
        horizon = 1.0 - jnp.asarray(self.discount, jnp.float32)
        return jnp.where(jnp.asarray(self.scaled), horizon, 1.0)


@config
class GAE:
    """Generalised advantages: the lambda-return's difference from V, which fits it."""

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    lam: Fraction = 0.95  # lambda: 0 is one step, 1 the whole return; settings 3.7

    @property
    def symbol(self) -> str:
        return "GAE"


@config
class NStep:
    """Rewards of `steps` steps (fewer where an episode ends), then V."""

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    steps: Size = 32  # rewards before the bootstrap; settings 3.5

    @property
    def symbol(self) -> str:
        return "n-step TD"


@config
class MonteCarlo:
    """All rewards that follow, TD(1).

    With g=Advantage a critic V is fitted to them, bootstraps where a time limit or the
    end of the data cuts a return short, and is the baseline. Else there is no critic,
    only finished episodes count, and a return ends with its episode.
    """

    discount: Discount = 0.99  # gamma: what a reward a step later counts

    @property
    def symbol(self) -> str:
        return "TD(1)"


@config
class DualValue:
    """V minimises the dual of REPS with the temperature, on all data, to convergence.

    Source: Peters et al. 2010 (settings 3.3); L-BFGS.
    """

    discount: Discount = 0.99  # gamma: what a reward a step later counts
    iterations: Size = 200  # at most
    # of the gradient's norm; over the ridge, it is how far V's weights may be off
    tolerance: float = 1e-6
    ridge: Positive = 1e-3  # of the critic's parameters, half their squared norm

    @property
    def symbol(self) -> str:
        return "TD(0)"


@config
class NoEstimate:
    """Nothing is fitted: what was received is taken as it is."""

    discount: Discount = 0.99  # of the return that g=LogReward may read

    @property
    def symbol(self) -> str:
        return "-"


OneStep = TD0 | Retrace
Sequence = TDLambda | GAE | NStep | MonteCarlo | DualValue | NoEstimate
GEstimate = OneStep | Sequence


def keeps_log_prob(estimate: GEstimate) -> bool:
    """Whether it has to know how likely the stored actions were."""
    return isinstance(estimate, Retrace) and estimate.steps > 1


def is_one_step(estimate: GEstimate) -> bool:
    """Whether it reads a replay, and bootstraps from a slow copy."""
    return isinstance(estimate, TD0 | Retrace)


def critics(estimate: GEstimate, g: G) -> int:
    """K, the number of critics."""
    if isinstance(estimate, TD0 | Retrace):
        return estimate.critics
    return 1 if isinstance(g, Advantage) else 0
