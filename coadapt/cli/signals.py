"""Ctrl-C and SIGTERM: once, to stop at the next checkpoint; twice, to stop at once."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


class AtOnce(KeyboardInterrupt):
    """The user's second Ctrl-C, and no environment's own (`envs.base.is_own`)."""


@contextlib.contextmanager
def held(told: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Whether to stop, to be asked where stopping loses nothing.

    `told` is called at the first signal.
    """
    _received.clear()

    def receive(number: int, _: object) -> None:
        _received.append(number)
        if len(_received) > 1:
            raise AtOnce
        print(
            "stopping at the next checkpoint; a second signal stops at once",
            file=sys.stderr,
            flush=True,
        )
        told()

    before = {number: signal.signal(number, receive) for number in _SIGNALS}
    try:
        yield lambda: bool(_received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def received() -> bool:
    """Whether the process was asked to stop."""
    return bool(_received)


def status() -> int:
    """The exit status of a process that was asked to stop, as shells have it."""
    return 128 + (_received[-1] if _received else signal.SIGINT)
