"""Curves of ours beside theirs: pictures with a panel for each row on a task."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coadapt.plot.figure import OwnFigure, own_style

if TYPE_CHECKING:
    import pandas as pd

ABOUT = """\
Mean and std (n - 1) over seeds of the mean return of an evaluation's episodes: ours \
in blue, theirs in orange.
"""
ACROSS, WIDTH, HEIGHT = 4, 3.2, 2.4  # panels in a line; inches of each
SIDES = (("ours", "tab:blue"), ("theirs", "tab:orange"))
Rows = tuple["pd.DataFrame", "pd.DataFrame"]  # of ours and of theirs


class Panel(NamedTuple):
    """A row on a task."""

    task: str
    row: str
    rows: Rows
    title: str


def name(task: str) -> str:
    """Of the picture's file."""
    return f"parity_{task.replace('/', '_')}.png"


def write(panels: Sequence[Panel], place: Path, across: int = ACROSS) -> None:
    """A picture, so many panels in a line."""
    place.parent.mkdir(parents=True, exist_ok=True)
    across = min(across, len(panels))
    down = -(-len(panels) // across)
    with own_style():
        from matplotlib.ticker import EngFormatter

        figure = OwnFigure(figsize=(WIDTH * across, HEIGHT * down), layout="tight")
        for i, panel in enumerate(panels):
            axes = figure.add_subplot(down, across, i + 1, title=panel.title)
            for (label, color), frame in zip(SIDES, panel.rows, strict=True):
                _curve(axes, curve(frame, panel.task, panel.row), label, color)
            axes.tick_params(labelsize=7)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 10k
            axes.set_xlabel("env steps", fontsize=8)
            if i % across == 0:
                axes.set_ylabel("return", fontsize=8)
        figure.savefig(place, dpi=80)


def curve(frame: "pd.DataFrame", task: str, row: str) -> "pd.DataFrame":
    """Mean and std over seeds, by env steps."""
    counts = (frame.task == task) & (frame.variant == row) & (frame.metric == "return")
    own = frame.loc[counts]
    return own.groupby("env_steps").value.agg(["mean", "std"])


def _curve(axes, found: "pd.DataFrame", label: str, color: str) -> None:
    axes.plot(found.index, found["mean"], color=color, label=label)
    ends = found["mean"] - found["std"], found["mean"] + found["std"]
    axes.fill_between(found.index, *ends, color=color, alpha=0.2, lw=0)
