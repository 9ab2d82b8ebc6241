"""What the numbers say: means over seeds, with failures counted."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_COLUMNS = (
    "task", "algorithm", "variant", "env_steps", "mean", "std", "n", "failed",
    "provider",
)  # fmt: skip


_KEYS = ["task", "variant", "seed"]


def last(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """The last row of each (task, variant, seed), in the order of the first ones."""
    rows = frame[frame.metric == metric]
    return rows.loc[rows.groupby(_KEYS, sort=False).env_steps.idxmax()]


def summary(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """The last evaluation of each (task, variant), over its seeds.

    A seed whose last value is NaN has failed: its score is the last one before, which
    is that of the agent as it was left, and it counts in `failed`. mean and std
    (numpy's, ddof=0) are of the `n` seeds that have a score: with an infinite one the
    mean is infinite and the std NaN, as in the paper's tables; with n = 0 both are NaN.
    env_steps is that of the seed that is furthest behind; provider is what made the
    rows, all that did where there are several. Columns: `SUMMARY_COLUMNS`.
    """
    import pandas as pd

    ends = last(frame, metric)
    known = last(frame.dropna(subset="value"), metric)
    scored = ends.drop(columns="value").merge(known[[*_KEYS, "value"]], "left", _KEYS)
    scored["failed"] = ends.value.isna().to_numpy()
    made = frame.groupby(["task", "variant"], sort=False).provider.unique()
    rows = []
    for _, group in scored.groupby(["task", "variant"], sort=False):
        values = group.value.dropna().to_numpy()
        with np.errstate(invalid="ignore"):  # inf - inf
            mean, std = (
                (values.mean(), values.std()) if values.size else (np.nan, np.nan)
            )
        rows.append(
            (
                group.task.iloc[0],
                group.algorithm.iloc[0],
                group.variant.iloc[0],
                group.env_steps.min(),
                mean,
                std,
                values.size,
                group.failed.sum(),
                "; ".join(made[group.task.iloc[0], group.variant.iloc[0]]),
            )
        )
    return pd.DataFrame(rows, columns=pd.Index(SUMMARY_COLUMNS))
