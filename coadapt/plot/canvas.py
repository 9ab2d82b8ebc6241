"""A figure in our own style, its axes and its legend."""

import functools
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from coadapt.plot.styles import Look
from coadapt.schema import ConfigError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BESIDE, LONG = 16, 32  # names that stand beside the lines; more, or longer, stand below
P = ParamSpec("P")
T = TypeVar("T")


def in_own_style(draw: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(draw)
    def drawn(*args: P.args, **how: P.kwargs) -> T:
        from coadapt.plot.figure import own_style  # and with it matplotlib

        with own_style():
            return draw(*args, **how)

    return drawn


def require_some(what: str, found: Collection) -> None:
    if not found:
        raise ConfigError(f"{what} is empty: give one or more to draw.")


def figure_of(width: float, height: float) -> "Figure":
    """In inches."""
    from coadapt.plot.figure import OwnFigure

    return OwnFigure(figsize=(width, height), dpi=150, layout="constrained")


def legend_below(
    figure: "Figure", lines: list, names: list[str], letters: float | str = "small"
) -> None:
    """A legend, for which the figure grows, in as many columns as its width holds."""
    if not lines:
        return
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (0.6 + 0.075 * max(map(len, names)))))
    figure.set_size_inches(width, height + 0.2 * math.ceil(len(names) / columns))
    place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(lines, names, frameon=False, fontsize=letters, **place)


def line_of(look: Look):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.color, linestyle=look.dash, lw=1.8)


def thousands():
    """Ticks as 50k, 3M."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")


def label_axes(axes: "Axes", metric: str) -> None:
    axes.set_xlabel("environment steps")
    unit = " (sum of rewards of an episode)" if metric == "return" else ""
    axes.set_ylabel(f"{metric.replace('_', ' ')}{unit}")


def plain_axes(axes: "Axes") -> None:
    axes.grid(True, color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_beside(axes: "Axes", lines: "Sequence[Artist]") -> None:
    """A legend on the right of what is drawn.

    Its lines are given: matplotlib itself leaves out one whose name begins with '_'.
    """
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    names = [str(line.get_label()) for line in lines]
    axes.legend(lines, names, frameon=False, fontsize="small", **place)


def logarithmic_axis(
    axes: "Axes",
    side: Literal["x", "y"],
    digits: Sequence[int] = (1,),
    base: float = 10,
) -> None:
    """A logarithmic axis of what is drawn, with few and plain numbers.

    Matplotlib's own are mathtext, which is off. They begin with these digits: over many
    decades with 1 alone, because it has no others there.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (axes.set_xscale if side == "x" else axes.set_yscale)("log", base=base)
    axis = axes.xaxis if side == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    subs = digits if high < 1e4 * low else (1,)
    axis.set_major_locator(LogLocator(base, subs=subs, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
