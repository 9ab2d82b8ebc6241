"""The unit of a task: what a random policy scores there, and a reference.

A score in it is (score - random) / (reference - random): one scale of a task for all
algorithms. Both numbers are fixed before the first run, and the manifest has them.
"""

import dataclasses

GIVEN = "given"  # the source of a reference that the user named


@dataclasses.dataclass(frozen=True)
class Unit:
    """Of a task; None is a number that is not known."""

    random: float | None = None  # mean return of a uniformly random policy
    error: float | None = None  # its standard error
    episodes: int = 0  # of which it is the mean
    reference: float | None = None
    source: str = ""  # of the reference
    now: bool = False  # measured by who reads the store, after the runs; in no manifest

    @property
    def size(self) -> float | None:
        """reference - random, in returns; None where one of them is not known."""
        if self.random is None or self.reference is None:
            return None
        return self.reference - self.random
