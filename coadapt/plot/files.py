"""Figures as the bytes of files."""

import io
import os
from typing import TYPE_CHECKING

from coadapt.plot.canvas import in_own_style
from coadapt.schema import ConfigError, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@in_own_style
def pdf(figure: "Figure") -> bytes:
    """A figure as the bytes of a PDF, the same for the same figure."""
    out = io.BytesIO()
    figure.savefig(out, format="pdf", metadata={"CreationDate": None})
    return out.getvalue()


@in_own_style
def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a figure as its suffix says: .pdf, .svg, .png.

    Text stays text, in TrueType fonts as journals ask, and the same figure gives the
    same file, to the bit.

    Raises:
        ConfigError: on another suffix.
        OSError:
    """
    date = _DATES[require_suffix(path)]
    figure.savefig(path, metadata={date: None} if date else None)


_DATES = {".pdf": "CreationDate", ".svg": "Date", ".png": None}  # as a file has its own


def require_suffix(path: str | os.PathLike[str]) -> str:
    """That of a file that a figure can be written to.

    Raises: ConfigError.
    """
    suffix = os.path.splitext(path)[1]
    if suffix not in _DATES:
        raise ConfigError(
            f"path is {str(path)!r}: it must end in {', '.join(_DATES)}"
            f"{nearest(suffix, _DATES)}"
        )
    return suffix


@in_own_style
def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
