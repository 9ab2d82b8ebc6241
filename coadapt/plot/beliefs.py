"""What `diagnostics` finds: landscapes, values beside returns, weights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from coadapt.plot.canvas import (
    figure_of,
    in_own_style,
    legend_below,
    legend_beside,
    line_of,
    logarithmic_axis,
    plain_axes,
    require_some,
)
from coadapt.plot.styles import COLORS, DASHES, Look, looks
from coadapt.schema import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Landscape(Protocol):
    """Of `diagnostics.Slice` what is drawn: its axes, and [..., G, S] over them."""

    @property
    def axes(self) -> tuple[int, ...]: ...
    @property
    def grid(self) -> tuple[np.ndarray, ...]: ...
    @property
    def q(self) -> np.ndarray: ...
    @property
    def advantage(self) -> np.ndarray: ...
    @property
    def gap(self) -> np.ndarray: ...
    @property
    def share(self) -> np.ndarray | None: ...
    @property
    def weight(self) -> np.ndarray | None: ...
    @property
    def posterior(self) -> np.ndarray | None: ...


class Bias(Protocol):
    """Of `diagnostics.Overestimation` what is drawn."""

    def along(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]: ...
    def pairs(self, name: str = "target") -> tuple[np.ndarray, np.ndarray]: ...


class Surface(Protocol):
    """Of `diagnostics.Surface` what is drawn."""

    @property
    def axes(self) -> tuple[int, int]: ...
    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray]: ...
    @property
    def value(self) -> np.ndarray: ...
    @property
    def obs(self) -> np.ndarray: ...
    @property
    def returns(self) -> np.ndarray: ...


class Weights(Protocol):
    """Of `diagnostics.EStep` what is drawn."""

    @property
    def weight(self) -> np.ndarray: ...
    @property
    def per_state(self) -> bool: ...


_SHARES = {  # how what adds up to 1 over a slice is called, and drawn
    "share": ("policy", Look(COLORS[0], "-")),
    "weight": ("weights, exp(Q/η)/Z", Look(COLORS[3], "--")),
    "posterior": ("posterior, πₚ exp(Q/η)/Z", Look(COLORS[2], "-.")),
}


@in_own_style
def action_line(found: Landscape, state: int = 0) -> "list[Axes]":
    """The critics' values over one dimension of the action, and densities below.

    The densities are those of the policy, of the E-step's weights, and of pi_q if it is
    the policy's density times these weights. Dotted lines are the bounds of the box.

    Args:
        found: a slice along one axis.
        state: which of its states.

    Returns:
        2 axes.
    """
    _require_state(found, state, axes=1)
    figure = figure_of(5.0, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    line, critics, actors = found.grid[0], [], []
    for k, q in enumerate(found.q[..., state]):
        again, k_color = divmod(4 + k, len(COLORS))
        color, dash = COLORS[k_color], DASHES[(k + again) % len(DASHES)]
        critics += above.plot(
            line, q, dash, color=color, lw=1.8, label=f"critic {k + 1}"
        )
    above.set_ylabel("Q (reward units)")
    width = line[1] - line[0]
    for name, (label, look) in _SHARES.items():
        values = getattr(found, name)
        if values is not None:
            density = values[:, state] / width
            style = {"color": look.color, "lw": 1.8, "label": label}
            actors += below.plot(line, density, look.dash, **style)
            below.fill_between(line, density, color=look.color, alpha=0.12, lw=0)
    below.set_ylabel("density")
    below.set_ylim(bottom=0)
    below.set_xlabel(_dimension(found.axes[0]))
    for axes, lines in ((above, critics), (below, actors)):
        plain_axes(axes)
        legend_beside(axes, lines)
        for border in (-1.0, 1.0):
            if line[0] < border < line[-1]:
                axes.axvline(border, color="0.3", lw=1, ls=":", zorder=1)
    return [above, below]


@in_own_style
def action_plane(found: Landscape, state: int = 0) -> "list[Axes]":
    """The advantage over two dimensions of the action, and contours of distributions.

    A contour encloses half of the mass of the policy, of the E-step's weights, or of
    their product, on the plane.

    Args:
        found: a slice along two axes.
        state: which of its states.

    Returns:
        One axes.
    """
    _require_state(found, state, axes=2)
    figure = figure_of(5.2, 4.0)
    axes = figure.subplots()
    sizes = [len(one) for one in found.grid]
    table = found.advantage[:, state].reshape(sizes).T
    most = float(np.abs(table).max()) or 1.0
    style = {"cmap": "PuOr", "vmin": -most, "vmax": most, "shading": "gouraud"}
    cells = axes.pcolormesh(*found.grid, table, rasterized=True, **style)
    figure.colorbar(cells, label="advantage (reward units)", shrink=0.9)
    lines, names = [], []
    for name, (label, look) in _SHARES.items():
        values = getattr(found, name)
        if values is not None and np.isfinite(values[:, state]).all():
            share = values[:, state].reshape(sizes).T
            style = {"colors": look.color, "linestyles": look.dash, "linewidths": 1.8}
            axes.contour(*found.grid, share, levels=[half_level(share)], **style)
            lines.append(line_of(look))
            names.append(f"half of the {label}")
    axes.set_xlabel(_dimension(found.axes[0]))
    axes.set_ylabel(_dimension(found.axes[1]))
    axes.set_aspect("equal")
    axes.locator_params(nbins=5)
    legend_below(figure, lines, names)
    return [axes]


def _require_state(found: Landscape, state: int, axes: int) -> None:
    """Raises: ConfigError."""
    if len(found.axes) != axes:
        ask = "action_plane" if axes == 1 else "action_line"
        raise ConfigError(
            f"the slice is along axes {found.axes}: plot.{ask} draws those, and here "
            f"{axes} must vary."
        )
    states = found.q.shape[-1]
    if not -states <= state < states:
        raise ConfigError(f"state is {state}: it must be 0 to {states - 1}.")


def half_level(shares: np.ndarray) -> float:
    """The level at and above which half of what adds up to 1 lies."""
    most = np.sort(shares, axis=None)[::-1]
    return float(most[np.searchsorted(np.cumsum(most), 0.5 * most.sum())])


@in_own_style
def calibration(found: Mapping[str, Bias], name: str = "target") -> "Axes":
    """Values against observed returns, a colour for each agent; equal on the diagonal.

    Args:
        found: agents by their name in the legend.
        name: which of their critics.
    """
    require_some("agents", found)
    axes, named = figure_of(4.6, 3.6).subplots(), []
    drawn = looks(list(found)).values()
    for (label, one), look in zip(found.items(), drawn, strict=True):
        value, got = one.pairs(name)
        few = np.linspace(0, len(got) - 1, min(len(got), 1000)).astype(int)
        style = {"s": 8, "alpha": 0.35, "lw": 0, "rasterized": True}
        axes.scatter(got[few], value[few], color=look.color, **style)
        named.append(axes.scatter([], [], s=20, color=look.color, label=label))
    low, high = axes.get_xlim()
    axes.axline((low, low), (high, high), color="0.3", lw=1, ls="--", zorder=1)
    axes.set_xlabel("return that followed (discounted)")
    axes.set_ylabel("value that the critic gave")
    plain_axes(axes)
    legend_beside(axes, named)
    return axes


@in_own_style
def overestimation(found: Mapping[str, Bias], name: str = "target") -> "Axes":
    """Value minus return along an episode: mean and one std (ddof=0) over episodes.

    Args:
        found: agents by their name in the legend.
        name: which of their critics.
    """
    require_some("agents", found)
    axes, lines = figure_of(5.6, 3.2).subplots(), []
    drawn = looks(list(found)).values()
    for (label, one), look in zip(found.items(), drawn, strict=True):
        mean, std = one.along(name)
        steps, color = np.arange(len(mean)), look.color
        axes.fill_between(steps, mean - std, mean + std, color=color, alpha=0.15, lw=0)
        lines += axes.plot(steps, mean, look.dash, color=color, lw=1.8, label=label)
    axes.axhline(0, color="0.3", lw=1, ls="--", zorder=1)
    axes.set_xlabel("step of the episode")
    axes.set_ylabel("value - return (reward units)")
    plain_axes(axes)
    legend_beside(axes, lines)
    return axes


@in_own_style
def value_surface(
    found: Mapping[str, Surface], names: Sequence[str] = ()
) -> "list[Axes]":
    """The critic's value over two dimensions of the observation, for each agent.

    Points are visited states in the colour of their observed return; where the critic
    is right they are hard to see. All panels have the same colour scale.

    Args:
        found: agents by the titles of their panels.
        names: of the two dimensions.
    """
    require_some("agents", found)
    figure = figure_of(3.2 * len(found) + 1.0, 3.4)
    grid = np.ravel(figure.subplots(1, len(found), squeeze=False))
    seen = np.concatenate(
        [x for f in found.values() for x in (f.value.ravel(), f.returns)]
    )
    style = {"cmap": "viridis", "vmin": seen.min(), "vmax": seen.max()}
    for axes, (label, one) in zip(grid, found.items(), strict=True):
        cells = axes.pcolormesh(
            *one.grid, one.value.T, shading="gouraud", rasterized=True, **style
        )
        few = np.linspace(0, len(one.obs) - 1, min(len(one.obs), 300)).astype(int)
        edge = {"edgecolors": "white", "linewidths": 0.6}
        axes.scatter(*one.obs[few].T, c=one.returns[few], s=22, **edge, **style)
        axes.set_title(label, loc="left", fontsize="medium")
        axes.set_xlabel(_observed(one.axes[0], names))
        axes.locator_params(nbins=5)
    grid[0].set_ylabel(_observed(next(iter(found.values())).axes[1], names))
    figure.colorbar(
        cells,
        ax=list(grid),
        label="critic's value, and return that followed\n(discounted, reward units)",
    )
    return list(grid)


def _observed(axis: int, names: Sequence[str]) -> str:
    return names[axis] if names else f"observation, dimension {axis}"


@in_own_style
def action_gap(
    found: Mapping[str, Landscape], errors: Mapping[str, Bias], name: str = "target"
) -> "Axes":
    """The distribution of action gaps over states, with that of the critic's errors.

    For each agent, the share of states whose action gap is at most x (solid), and of
    steps whose |value - return| is at most x (dashed).

    Args:
        found: slices by their name in the legend.
        errors: of the same agents.
        name: which of their critics.
    """
    require_some("agents", found)
    axes, lines = figure_of(5.6, 3.2).subplots(), []
    for (label, one), look in zip(
        found.items(), looks(list(found)).values(), strict=True
    ):
        value, got = errors[label].pairs(name)
        parts = {"action gap": (one.gap, "-"), "error": (np.abs(value - got), "--")}
        for part, (numbers, dash) in parts.items():
            share = np.arange(1, numbers.size + 1) / numbers.size
            style = {"color": look.color, "lw": 1.8, "label": f"{label}: {part}"}
            lines += axes.step(np.sort(numbers), share, dash, where="post", **style)
    axes.set_ylim(0, 1)
    everything = np.concatenate([line.get_xdata() for line in lines])
    axes.set_xlim(left=np.quantile(everything, 0.02))  # the smallest errors are luck
    logarithmic_axis(axes, "x", (1, 2, 5))
    axes.set_xlabel("action gap, and |value - return| (reward units)")
    axes.set_ylabel("share of states, or steps, up to here")
    plain_axes(axes)
    legend_beside(axes, lines)
    return axes


@in_own_style
def weights(found: Weights) -> "Axes":
    """The share of an E-step's weight that its best samples have, against their share.

    On the diagonal all weights are equal. The line is the median over states, the band
    goes from their lowest tenth to the highest; weights that are normalised over a
    batch have one line.
    """
    table = np.asarray(found.weight, np.float64)
    table = np.sort(table if found.per_state else table.reshape(-1, 1), axis=0)[::-1]
    held = np.cumsum(table, axis=0) / table.sum(axis=0)
    held = np.concatenate([np.zeros((1, held.shape[1])), held])
    share = np.linspace(0, 1, len(held))
    low, middle, high = np.quantile(held, [0.1, 0.5, 0.9], axis=1)
    axes = figure_of(4.0, 3.2).subplots()
    if found.per_state:
        style = {"alpha": 0.2, "lw": 0, "label": "states, 10% to 90%"}
        axes.fill_between(share, low, high, color=COLORS[0], **style)
    label = "median state" if found.per_state else "batch"
    axes.plot(share, middle, color=COLORS[0], lw=1.8, label=label)
    axes.plot([0, 1], [0, 1], color="0.3", lw=1, ls="--", label="all alike")
    axes.set_xlabel("share of the samples, best first")
    axes.set_ylabel("share of the weight")
    plain_axes(axes)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return axes


def _dimension(axis: int) -> str:
    return f"action, dimension {axis} (agent units)"
