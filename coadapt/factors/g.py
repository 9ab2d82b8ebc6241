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
    """The action value whose return counts -eta KL(pi_q || pi_p) as reward.

    With a uniform prior that is the policy's entropy, eta H; with a behaviour policy,
    BRAC's value penalty.
    """

    @property
    def symbol(self) -> str:
        return "Q_soft"


@config
class Advantage:
    """The estimated return less a state value, the only critic that is learned."""

    @property
    def symbol(self) -> str:
        return "A"


@config
class LogQ:
    """eta log Q, so that the weight exp(G / eta) is Q itself, and eta cancels.

    Q has to be positive: `shift` takes the least reward (or return) of the data off.
    Source: settings 3.1.
    """

    # the least of which is taken off: of the rewards, or of the returns
    shift: Literal["reward", "return"] = "reward"

    @property
    def symbol(self) -> str:
        return "eta log Q"


@config
class LogReward:
    """eta log u(r), u increasing: the weight exp(G / eta) is u, of what was received.

    u = exp(r / eta), r the reward of the step or the return that followed it.
    Source: settings 3.2.
    """

    # the return that followed a step, or its reward
    of: Literal["return", "reward"] = "return"

    @property
    def symbol(self) -> str:
        return "eta log r"


G = Q | SoftQ | Advantage | LogQ | LogReward


def is_action_value(g: G) -> bool:
    """Whether a critic of it reads (s, a), rather than s alone."""
    return not isinstance(g, Advantage)
