"""The terminal: streams that outlast their reader, and lines that fit."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

_USUAL = (120, 24)  # where there is no terminal, and COLUMNS does not say


class _Lasting:
    """A stream whose reader may go, `head` say: what is written then is dropped."""

    def __init__(self, stream: Any):
        self.stream = stream

    def write(self, text: str) -> int:
        with self._nowhere_without_a_reader():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._nowhere_without_a_reader():
            self.stream.flush()

    @contextlib.contextmanager
    def _nowhere_without_a_reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # of what is buffered, too
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Both streams take any text, and the work goes on when nobody reads it.

    What the terminal has no letters for is written as its escape.
    """
    # a stream that was closed before, by `>&-` say, is none
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    out, err = _Lasting(sys.stdout), _Lasting(sys.stderr)
    with (
        contextlib.redirect_stdout(out),  # type: ignore[type-var]
        contextlib.redirect_stderr(err),  # type: ignore[type-var]
    ):
        try:
            yield
        finally:
            out.flush()
            err.flush()


def width() -> int:
    """Letters in a line."""
    return shutil.get_terminal_size(_USUAL).columns


def cut(text: str, limit: int) -> str:
    """At most so many letters, of which the last say that there are more."""
    return text if len(text) <= limit else f"{text[: max(limit - 3, 0)]}..."
