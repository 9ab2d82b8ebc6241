"""Flags of what is printed and drawn, known before anything is computed."""

from pathlib import Path

from absl import flags

from coadapt import taxonomy
from coadapt.cli.values import Values, get
from coadapt.plot import files
from coadapt.runs import store


def define_style(values: Values) -> None:
    """--format, of tables."""
    *most, last = taxonomy.STYLES
    words = f"{', '.join(most)} or {last} (text)"
    flags.DEFINE_string("format", "text", words, flag_values=values)


def style(values: Values) -> str:
    """That of --format.

    Raises:
        ConfigError: of one that there is not.
    """
    found = get(values, "format")
    taxonomy.require_style(found)
    return found


def figure(values: Values) -> Path | None:
    """The file of --figure; None, where there is to be none.

    Raises:
        ConfigError: where no picture can be called so.
    """
    text = get(values, "figure")
    if not text:
        return None
    path = store.expanded(text, "--figure")
    files.require_suffix(path)
    return path
