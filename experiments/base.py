"""What an experiment is."""

import dataclasses
from collections.abc import Callable, Sequence

from coadapt.sweep import Variant


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A question as data: what is compared, on which tasks, and what is claimed."""

    name: str
    claim: str  # one sentence
    variants: Callable[[str], Sequence[Variant]]  # of a task
    tasks: Sequence[str]
    steps: int  # env steps of each agent
    seeds: int
    eval_every: int = 20_000  # env steps
    eval_episodes: int = 10
