"""How variants are drawn: an algorithm has one colour in all figures.

Colours are Okabe and Ito's, told apart with any colour vision, then Paul Tol's muted.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from coadapt.algorithms import LATER

_OWN = {
    "sac": "#0072B2", "mpo": "#E69F00", "awr": "#009E73", "awac": "#D55E00",
    "td3": "#CC79A7", "ddpg": "#56B4E9", "ppo": "#8C6D1F", "trpo": "#000000",
    "vmpo": "#332288", "reps": "#44AA99", "power": "#882255", "rwr": "#999933",
    "urex": "#AA4499", "brac": "#117733", "bear": "#661100",
}  # fmt: skip
COLORS = (*_OWN.values(), "#888888")
Dash = Literal["-", "--", ":", "-."]
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
_SHADES = (0.0, 0.45, -0.45)  # towards white, and black; once through the dashes each


_DIM = 0.18  # relative luminance, below which a colour is lost on a dark page


class Look(NamedTuple):
    """How a variant is drawn, on every task alike."""

    color: str
    dash: Dash


def looks(variants: Iterable[str] | Mapping[str, str]) -> dict[str, Look]:
    """A look for each variant, of those that stand in one figure.

    A preset has its own colour wherever it is drawn, and an algorithm of another name
    one that is free. Variants of one algorithm differ in dashes, then in shade: 12 do.
    Where all are of one, the first has its colour, and the others those that are left:
    64 differ.

    Args:
        variants: names, or names and whose they are; a name alone is its own
            algorithm's.
    """
    named = variants if isinstance(variants, Mapping) else {v: v for v in variants}
    own = colors(named.values())
    if len(own) == 1:
        (first,) = own.values()
        order = [first, *(color for color in COLORS if color != first)]
        return {
            name: Look(order[i % len(order)], DASHES[i // len(order) % len(DASHES)])
            for i, name in enumerate(named)
        }
    found, seen = dict[str, Look](), dict[str, int]()
    for name, algorithm in named.items():
        color = own[algorithm]
        i = seen[color] = seen.get(color, -1) + 1
        shade = _SHADES[i // len(DASHES) % len(_SHADES)]
        found[name] = Look(_mixed(color, shade), DASHES[i % len(DASHES)])
    return found


def colors(algorithms: Iterable[str]) -> dict[str, str]:
    """Of each algorithm; 'trpo_table1' has that of 'trpo', 'redq' that of 'sac'."""
    names = list(dict.fromkeys(algorithms))
    whose = {name: LATER.get(name, name.partition("_")[0]) for name in names}
    found = {name: _OWN.get(whose[name], "") for name in names}
    free = [color for color in COLORS if color not in found.values()] or list(COLORS)
    others = [name for name in names if not found[name]]
    return found | {name: free[i % len(free)] for i, name in enumerate(others)}


def _mixed(color: str, shade: float) -> str:
    """With so much white in it, or black where it is negative."""
    goal = 255 if shade > 0 else 0
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    mixed = (round(part + abs(shade) * (goal - part)) for part in parts)
    return "#" + "".join(f"{part:02X}" for part in mixed)


def on_dark(color: str) -> str:
    """The colour as a dark page has it: with white in it, where it is dark itself."""
    for tenth in range(10):
        lighter = _mixed(color, tenth / 10)
        if luminance(lighter) >= _DIM:
            return lighter
    return "#FFFFFF"


def luminance(color: str) -> float:
    """Relative, 0 to 1. Source: WCAG 2.2, 'relative luminance'."""
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    )
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
