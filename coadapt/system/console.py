"""The terminal: streams that outlast their reader, and lines that fit."""

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any

_USUAL = (120, 24)  # where there is no terminal, and COLUMNS does not say


class _Lasting:
    """A stream whose reader may go, `head` say: what is written then is dropped.

    So is what a full disk does not take, which is noted in `lost`.
    """

    def __init__(self, stream: Any, lost: list[OSError]):
        self.stream, self.lost = stream, lost

    def write(self, text: str) -> int:
        with self._or_nowhere():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._or_nowhere():
            self.stream.flush()

    @contextlib.contextmanager
    def _or_nowhere(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._drop()
        except OSError as error:
            self.lost.append(error)
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())  # of what is buffered, too
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def lasting() -> Iterator[list[OSError]]:
    """Both streams take any text, and the work goes on when nobody reads it.

    What the terminal has no letters for is written as its escape. Yields what kept text
    from being written, which is known once the context is left.
    """
    # a stream that was closed before, by `>&-` say, is none
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    lost: list[OSError] = []
    out, err = _Lasting(sys.stdout, lost), _Lasting(sys.stderr, lost)
    with (
        contextlib.redirect_stdout(out),  # type: ignore[type-var]
        contextlib.redirect_stderr(err),  # type: ignore[type-var]
    ):
        try:
            yield lost
        finally:
            out.flush()
            err.flush()


def printable(text: str) -> str:
    """In one line: control characters, which a terminal would obey, are escaped.

    So are those that show nothing or turn letters around, and lone surrogates.
    """
    if text.isprintable():
        return text
    words = re.sub(r"\s", " ", text)
    return "".join(
        c if c == " " or c.isprintable() else c.encode("unicode_escape").decode()
        for c in words
    )


def width() -> int:
    """Letters in a line."""
    return shutil.get_terminal_size(_USUAL).columns


def cut(text: str, limit: int) -> str:
    """At most so many letters, of which the last say that there are more."""
    return text if len(text) <= limit else f"{text[: max(limit - 3, 0)]}..."
