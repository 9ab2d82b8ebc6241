"""Figures that look the same whatever the user's matplotlibrc says."""

import contextlib
import os
from collections.abc import Iterator

from coadapt.schema import ConfigError

try:
    import matplotlib
except ValueError as error:  # it reads MPLBACKEND, which nothing here needs
    raise ConfigError(
        f"MPLBACKEND is {os.environ.get('MPLBACKEND')!r}: Matplotlib cannot read it "
        f"({error}); unset it."
    ) from None
from matplotlib.figure import Figure


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib's defaults, and no TeX or mathtext: a name may have a dollar in it.

    In files text stays text, in TrueType fonts as journals ask, and the same figure
    gives the same file.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        matplotlib.rcParams["pdf.fonttype"] = 42
        matplotlib.rcParams["svg.fonttype"] = "none"
        matplotlib.rcParams["svg.hashsalt"] = "coadapt"
        yield


class OwnFigure(Figure):
    """A figure that is drawn in its own style too: ticks are made when it is."""

    def draw(self, renderer) -> None:
        with own_style():
            super().draw(renderer)
