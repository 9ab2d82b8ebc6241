"""Made sections of a page, each between two marks on lines of their own."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from coadapt.schema import ConfigError

END = "<!-- end -->"


def mark(name: str) -> str:
    """The line above the section of this name; `END` is the line below it."""
    return f"<!-- {name} -->"


def put(page: str, name: str, text: str) -> str:
    """The page with its section of this name made anew; all else is as it was.

    Raises: ConfigError, if the page has no such section.
    """
    before, begin, rest = page.partition(f"{mark(name)}\n")
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ConfigError(f"the page has no line {mark(name)}, with {END} below it.")
    return f"{before}{begin}{text.rstrip()}\n{end}{after}"


def asked_of(
    about: str | None, place: Path, page: Path, argv: Sequence[str] | None
) -> argparse.Namespace:
    """`place` of a store, `page` that is made of it, and whether to `write` that."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--place", type=Path, default=place)
    parser.add_argument("--page", type=Path, default=page)
    return parser.parse_args(argv)


def command(
    about: str | None,
    made: Callable[[Path], str],
    place: Path,
    page: Path,
    name: str,
    argv: Sequence[str] | None,
) -> None:
    """Print a section that is made from a store's place, or write it into its page."""
    asked = asked_of(about, place, page, argv)
    try:
        text = made(asked.place)
        if asked.write:
            old = asked.page.read_text(encoding="utf-8")
            asked.page.write_text(put(old, name, text), encoding="utf-8")
        else:
            print(text, end="")
    except (ConfigError, OSError) as error:
        raise SystemExit(str(error)) from None
