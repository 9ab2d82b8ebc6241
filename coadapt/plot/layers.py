"""The norms of an agent's layers over its snapshots."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from coadapt.plot.canvas import (
    figure_of,
    in_own_style,
    legend_below,
    line_of,
    logarithmic_axis,
    plain_axes,
    require_some,
    thousands,
)
from coadapt.plot.styles import COLORS, Dash, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_PARTS: dict[str, Dash] = {"kernel": "-", "bias": "--"}


@in_own_style
def layers(frame: "pd.DataFrame", broken: str = "") -> "list[Axes]":
    """Norms of kernels and biases over the snapshots of an agent: a panel a network.

    Args:
        frame: of `diagnostics.layer_history`.
        broken: of an agent that failed, the tensor that was not finite first, as
            failures.csv names it. Crosses are then the frozen state, and a ring stands
            round that tensor: all critics are one, so it stands in each one's panel.
    """
    networks = list(dict.fromkeys(frame.network))
    require_some("networks", networks)
    look = dict(zip(dict.fromkeys(frame.layer), itertools.cycle(COLORS), strict=False))
    figure = figure_of(2.9 * len(networks) + 0.6, 3.0)
    grid = np.ravel(figure.subplots(1, len(networks), squeeze=False, sharey=True))
    for axes, network in zip(grid, networks, strict=True):
        rows = frame.loc[frame.network == network]
        for layer, mine in rows.groupby("layer", sort=False):
            for part, dash in _PARTS.items():
                _norm(axes, mine, part, Look(look[layer], dash), broken)
        axes.set_title(network, loc="left", fontsize="medium")
        axes.set_xlabel("environment steps")
        axes.xaxis.set_major_formatter(thousands())
        plain_axes(axes)
    logarithmic_axis(grid[0], "y", (1, 2, 5))
    grid[0].set_ylabel("L2 norm")
    legend_below(figure, *_keys(look, broken))
    return list(grid)


def _norm(
    axes: "Axes", rows: "pd.DataFrame", part: str, look: Look, broken: str
) -> None:
    """One tensor of a network, over the snapshots; the last is the frozen state."""
    steps, norms = rows.env_steps.to_numpy(), rows[f"{part}_norm"].to_numpy()
    axes.plot(steps, norms, look.dash, color=look.color, lw=1.6)
    if not broken:
        return
    axes.plot(steps[-1], norms[-1], "x", color=look.color, ms=5)
    where = broken.split(".")
    network, layer = rows.network.iloc[0], rows.layer.iloc[0]
    if network.startswith(where[0]) and where[-2:] == [layer, part]:
        axes.plot(steps[-1], norms[-1], "o", **_RING)


_RING = {"color": "none", "markeredgecolor": "#D00000", "ms": 13, "mew": 2.0}


def _keys(look: Mapping[str, str], broken: str) -> tuple[list, list[str]]:
    """Lines and names of a legend of layers."""
    from matplotlib.lines import Line2D

    lines = [line_of(Look(color, "-")) for color in look.values()]
    lines += [line_of(Look("0.3", dash)) for dash in _PARTS.values()]
    names = [*look, *_PARTS]
    if broken:
        lines.append(Line2D([], [], color="0.3", marker="x", lw=0))
        lines.append(Line2D([], [], marker="o", lw=0, **{**_RING, "ms": 9}))
        names += ["frozen state, the update before", f"first not finite: {broken}"]
    return lines, names
