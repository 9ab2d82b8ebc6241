"""An instant by which programs have to have stopped, each at a checkpoint before it."""

import math
import time


class Deadline:
    """How long it is from one checkpoint to the next is measured, program by program.

    The first interval of a program has its compiling in it, so it counts only until
    there is another; of the others the longest counts.
    """

    def __init__(self, seconds: float = math.inf):
        """`seconds` from now; inf: there is none."""
        self._end = time.monotonic() + seconds
        self._last, self._longest, self._number = time.monotonic(), 0.0, 0

    @property
    def seconds(self) -> float:
        """That are left."""
        return self._end - time.monotonic()

    @property
    def until(self) -> float | None:
        """Its Unix time."""
        return None if math.isinf(self._end) else time.time() + self.seconds

    @property
    def near(self) -> bool:
        """Whether no program can be begun that would come to a checkpoint in time."""
        return self.seconds <= self._longest

    def begin(self, seconds: float = 0.0) -> None:
        """A program begins. `seconds` from one checkpoint to the next, as it was before
        it was stopped; 0: as in the program before."""
        self._last, self._number = time.monotonic(), 0
        self._longest = seconds or self._longest

    def reached(self, writing: float = 0.0) -> bool:
        """At a checkpoint: whether to stop here, as the next would come too late.

        Args:
            writing: seconds that a snapshot takes.
        """
        now = time.monotonic()
        took, self._last, self._number = now - self._last, now, self._number + 1
        self._longest = took if self._number <= 2 else max(self._longest, took)
        return self.seconds <= self._longest + writing
