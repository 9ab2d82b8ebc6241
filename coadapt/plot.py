"""Learning curves. Figures are made without pyplot, so no window system is touched."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; black last
COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D1F",
    "#000000",
)  # fmt: skip
DASHES = ("-", "--", ":", "-.")  # once through the colours for each


def curves(frame: "pd.DataFrame", task: str, metric: str = "return") -> "Figure":
    """Metric over env steps on one task: a line a variant, its mean over seeds.

    Shaded: one std (ddof=0) around it; thin lines: the seeds. Where a seed has failed
    or has no row yet, its line ends, and the mean is of those that have one.
    """
    from matplotlib.figure import Figure

    rows = frame.loc[(frame.task == task) & (frame.metric == metric)]
    figure = Figure(figsize=(7.0, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for i, (variant, group) in enumerate(rows.groupby("variant", sort=False)):
        color = COLORS[i % len(COLORS)]
        dash = DASHES[i // len(COLORS) % len(DASHES)]
        _curve(axes, group, str(variant), color, dash)
    _dress(axes, task, metric, rows.variant.nunique())
    return figure


def _curve(axes: "Axes", rows: "pd.DataFrame", name: str, color: str, dash: str):
    table = rows.pivot(index="env_steps", columns="seed", values="value")
    steps, values = table.index.to_numpy(), table.to_numpy(float)
    finite = np.isfinite(values)
    values = np.where(finite, values, np.nan)
    count = finite.sum(axis=1)
    some = count > 0
    total = np.where(finite, values, 0.0).sum(axis=1)
    mean = np.where(some, total / np.maximum(count, 1), np.nan)
    square = np.where(finite, np.square(values - mean[:, None]), 0.0).sum(axis=1)
    std = np.where(some, np.sqrt(square / np.maximum(count, 1)), np.nan)
    failed = rows.seed[~np.isfinite(rows.value)].nunique()
    label = f"{name} ({failed} failed)" if failed else name
    mark = "o" if len(steps) == 1 else None  # a line of one point cannot be seen
    axes.plot(steps, values, dash, color=color, lw=0.6, alpha=0.4)
    axes.fill_between(steps, mean - std, mean + std, color=color, alpha=0.15, lw=0)
    axes.plot(steps, mean, dash, color=color, lw=1.8, label=label, marker=mark)


def _dress(axes: "Axes", task: str, metric: str, variants: int) -> None:
    axes.set_title(task, loc="left")
    axes.set_xlabel("environment steps")
    unit = " (sum of rewards of an episode)" if metric == "return" else ""
    axes.set_ylabel(f"{metric.replace('_', ' ')}{unit}")
    axes.grid(True, color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if variants:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(frameon=False, fontsize="small", **place)
