"""What the numbers say: means over seeds, with failures counted."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_COLUMNS = (
    "task", "algorithm", "variant", "env_steps", "mean", "std", "n", "failed"
)  # fmt: skip


def last(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """The last row of each (task, variant, seed), in the order of the first ones."""
    rows = frame[frame.metric == metric]
    keys = ["task", "variant", "seed"]
    return rows.loc[rows.groupby(keys, sort=False).env_steps.idxmax()]


def summary(frame: "pd.DataFrame", metric: str = "return") -> "pd.DataFrame":
    """The last evaluation of each (task, variant), over its seeds.

    mean and std (numpy's, ddof=0) are of the `n` seeds whose value is finite; `failed`
    counts the seeds whose value is NaN or infinite, so n + failed seeds were run; with
    n = 0 both are NaN. env_steps is that of the seed that is furthest behind.
    Columns: `SUMMARY_COLUMNS`.
    """
    import pandas as pd

    rows = []
    for _, group in last(frame, metric).groupby(["task", "variant"], sort=False):
        values = group.value.to_numpy()
        finite = values[np.isfinite(values)]
        rows.append(
            (
                group.task.iloc[0],
                group.algorithm.iloc[0],
                group.variant.iloc[0],
                group.env_steps.min(),
                finite.mean() if finite.size else np.nan,
                finite.std() if finite.size else np.nan,
                finite.size,
                values.size - finite.size,
            )
        )
    return pd.DataFrame(rows, columns=pd.Index(SUMMARY_COLUMNS))
