"""What critics say beside the returns that followed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coadapt import schema
from coadapt.diagnostics.returns import observed, together
from coadapt.diagnostics.rollouts import Rollouts
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError

if TYPE_CHECKING:
    import pandas as pd


class Overestimation(NamedTuple):
    """What critics say beside what followed, at the steps of some episodes."""

    names: tuple[str, ...]  # 'critic 1', ..., then 'target': what the target takes
    # [len(names), T, E], in units of the rewards that critics learn from
    value: np.ndarray
    returns: np.ndarray  # [T, E], NaN where none is known well enough
    tail: np.ndarray  # [T, E], the weight of the critic's own value in a return

    @property
    def error(self) -> np.ndarray:
        """value - returns: above 0 where the critic promises too much."""
        return self.value - self.returns

    @property
    def counts(self) -> np.ndarray:
        """The steps that have a return. [T, E] bool."""
        return np.isfinite(self.returns)

    def along(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]:
        """Mean and std (ddof=0) of the error over episodes, by step. [T] each.

        NaN where no episode has a return; the std where one alone has.
        """
        error = self.error[self._place(name)]
        number = self.counts.sum(axis=1)
        some = np.where(number > 0, number, np.nan)
        mean = np.where(self.counts, error, 0.0).sum(axis=1) / some
        off = np.where(self.counts, error - mean[:, None], 0.0)
        std = np.sqrt(np.square(off).sum(axis=1) / some)
        return mean, np.where(number > 1, std, np.nan)

    def pairs(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]:
        """Values and returns of the steps that have one. [n] each."""
        return self.value[self._place(name)][self.counts], self.returns[self.counts]

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise ConfigError(
                f"name is {schema.shown(name)}: the values are of "
                f"{', '.join(self.names)}{schema.nearest(name, self.names)}"
            )
        return self.names.index(name)


def overestimation(
    agent: SavedAgent, found: Rollouts, *, max_tail: float = 0.1
) -> Overestimation:
    """Value minus observed return, for each critic and for the value in the target.

    The value is Q(s, a), or V(s) if the critics are of states.

    Args:
        max_tail: steps are left out if more than this share of their return, which a
            time limit cut, is the critic's own value: there the critic is compared
            with itself. 1 leaves none out.

    Raises:
        ConfigError: if there is no critic, or no step is left.
    """
    target = observed(agent, found, max_tail)
    rows = found.obs.reshape(-1, found.obs.shape[-1])
    if agent.config.g.reads_action:
        value = agent.q(rows, found.action.reshape(len(rows), -1))
    else:
        value = agent.v(rows)
    both = np.concatenate([value, together(agent, value[:, None])])
    names = [f"critic {k + 1}" for k in range(len(value))]
    return Overestimation(
        names=(*names, "target"),
        value=both.reshape(-1, *found.reward.shape),
        returns=target.value,
        tail=target.tail,
    )


BIAS_COLUMNS = (
    "agent", "critic", "steps", "mean_value", "mean_return", "mean_error",
    "std_error", "correlation", "mean_tail",
)  # fmt: skip


def bias(found: Mapping[str, Overestimation]) -> "pd.DataFrame":
    """A table of the errors of several agents, in reward units.

    Means, and std (ddof=0), are over steps, which are not independent. The correlation
    of values and returns is Pearson's, and NaN if either is constant.

    Args:
        found: what `overestimation` gives, by the agent's name.

    Returns:
        A row for each agent and critic, with the columns `BIAS_COLUMNS`.
    """
    import pandas as pd

    lines = []
    for agent, one in found.items():
        for name in one.names:
            value, got = (np.asarray(x, np.float64) for x in one.pairs(name))
            error = value - got
            lines.append([
                agent, name, len(got), value.mean(), got.mean(), error.mean(),
                error.std(), correlation(value, got), one.tail[one.counts].mean(),
            ])  # fmt: skip
    return pd.DataFrame(lines, columns=list(BIAS_COLUMNS))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, of [n] and [n]; NaN where either is constant.

    Source: textbook.
    """
    a, b = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (a, b))
    scale = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")
