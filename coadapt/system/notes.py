"""What a user should know and no code can decide: a line on stderr."""

import functools
import sys

from coadapt.system.console import printable


def note(sentence: str) -> None:
    print(printable(sentence), file=sys.stderr, flush=True)


@functools.cache
def note_once(sentence: str) -> None:
    """Nothing, if this process has said it before."""
    note(sentence)
