"""The agents of one program, what it tells while it runs, and what is kept of it."""

from typing import Any, NamedTuple

import jax
import numpy as np

from coadapt import devices
from coadapt.config import Config
from coadapt.learn import Clock, Health, Learner
from coadapt.metrics.registry import DEFAULT, Log
from coadapt.types import EnvSpec


class Failure(NamedTuple):
    """Where an agent's numbers stopped being finite, or its environment raised."""

    agent: int  # its place in the program
    steps: int  # env steps taken by then
    updates: int  # updates made by then, the one that broke included
    tensor: str  # of `learn.tensors`
    cause: str  # what the simulator said, if it was that


class Report(NamedTuple):
    """What a program tells while it runs."""

    steps: int  # env steps
    metrics: dict[str, np.ndarray]  # name -> [N]
    seconds: float  # since the program started, compilation included
    failures: list[Failure]  # all of them so far


class Snapshot(NamedTuple):
    """A program between two env steps: all that it needs to go on, or to be read."""

    learner: Learner  # leaves [N, ...]; the store is None where a data set is read
    clock: Clock  # whole numbers
    metrics: dict[str, Any]  # of the newest update, [N] each
    seconds: float  # that the program took until here


class Interrupted(Exception):  # noqa: N818 (it is none)
    """A program was asked to stop, and did, after a checkpoint at `steps`."""

    def __init__(self, steps: int):
        super().__init__(f"stopped after {steps} env steps")
        self.steps = steps


class TimeOver(Interrupted):
    """It stopped there because the next checkpoint would come too late."""

    def __init__(self, steps: int = 0):
        """`steps`: 0 of more than one program."""
        super().__init__(steps)
        what = f"stopped after {steps} env steps" if steps else "stopped"
        self.args = (f"{what}, as the next checkpoint would come too late",)


class Program(NamedTuple):
    """The agents of one program, and what they are trained on.

    N counts those that fill up devices, too: they are the last, and stand still.
    """

    configs: Config  # leaves [N]
    seeds: np.ndarray  # [N]
    task: str
    spec: EnvSpec
    checkpoint_every: int  # env steps
    log: Log = DEFAULT  # the metrics that are computed and reported
    real: int | None = None  # agents that are asked for; None: all

    @property
    def agents(self) -> int:
        """That are asked for."""
        return len(self.seeds) if self.real is None else self.real

    def of_agents(self, tree: Any) -> Any:
        """Arrays [N, ...] without what stands still: as they are, or on the host."""
        if self.agents == len(self.seeds):
            return tree
        return jax.tree.map(lambda x: np.asarray(x)[: self.agents], tree)

    def with_all(self, tree: Any) -> Any:
        """Arrays [agents, ...], the last repeated for what stands still."""
        more = len(self.seeds) - self.agents
        if not more:
            return tree

        def fill(x: Any) -> np.ndarray:
            x = np.asarray(x)
            return np.concatenate([x, np.repeat(x[-1:], more, axis=0)])

        return jax.tree.map(fill, tree)

    def still(self, learner: Learner) -> Learner:
        """With those that fill up devices as agents that have failed: nothing of theirs
        is computed further, and no environment is stepped for them."""
        number = len(self.seeds)
        if self.agents == number:
            return learner
        return self.with_failed(learner, np.arange(number) >= self.agents, (0, 0, 0))

    def with_failed(
        self, learner: Learner, which: np.ndarray, at: tuple[int, int, int]
    ) -> Learner:
        """With these agents, [N] bool, as failed `at` env steps, updates, a tensor."""
        health = jax.tree.map(
            lambda new, old: np.where(which, np.int32(new), np.asarray(old)),
            Health(*at),  # type: ignore[arg-type]
            learner.health,
        )
        return learner._replace(health=devices.spread(len(self.seeds), health))

    def spread(self) -> tuple[Config, np.ndarray]:
        """Configs and seeds on the devices."""
        return devices.spread(len(self.seeds), (self.configs, self.seeds))

    def spread_snapshot(self, snapshot: Snapshot) -> Learner:
        """The learner on the devices, as `start` leaves one there."""
        learner = devices.spread(len(self.seeds), self.with_all(snapshot.learner))
        return self.still(learner)
