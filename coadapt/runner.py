"""Train the agents of one program: the loop, evaluations and checkpoints, in turn.

It stands once, and knows no algorithm. Its parts are in `coadapt.training`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from coadapt import devices, envs, learn, schema
from coadapt.config import Config
from coadapt.learn import Clock
from coadapt.metrics import registry
from coadapt.rng import pin
from coadapt.system.notes import note
from coadapt.training import cadence
from coadapt.training.evaluate import Episodes as Episodes
from coadapt.training.evaluate import greedy as greedy
from coadapt.training.evaluate import measure as measure
from coadapt.training.evaluate import measure_device as measure_device
from coadapt.training.evaluate import values as values
from coadapt.training.loops import HostLoop as HostLoop
from coadapt.training.loops import Loop as Loop
from coadapt.training.loops import OfflineLoop as OfflineLoop
from coadapt.training.loops import iterate_device as iterate_device
from coadapt.training.loops import iterate_offline as iterate_offline
from coadapt.training.loops import loop as loop
from coadapt.training.loops import reset_device as reset_device
from coadapt.training.loops import update as update
from coadapt.training.program import Failure as Failure
from coadapt.training.program import Interrupted as Interrupted
from coadapt.training.program import Program as Program
from coadapt.training.program import Report as Report
from coadapt.training.program import Snapshot as Snapshot
from coadapt.training.program import TimeOver as TimeOver
from coadapt.training.schedule import due as due
from coadapt.training.schedule import first_update as first_update
from coadapt.training.schedule import first_updates as first_updates
from coadapt.training.steps import act as act
from coadapt.training.steps import add as add
from coadapt.training.steps import add_and_act as add_and_act
from coadapt.training.steps import as_stored as as_stored
from coadapt.training.steps import by_agent as by_agent
from coadapt.training.steps import shapes as shapes
from coadapt.training.steps import start as start
from coadapt.training.steps import store_size as store_size
from coadapt.training.validation import admissible as admissible
from coadapt.training.validation import refuse_float64 as refuse_float64
from coadapt.types import EnvSpec


def _program(
    configs: Sequence[Config],
    seeds: Sequence[int],
    spec: EnvSpec,
    every: int,
    log: Sequence[str],
    spread_over: int | None,
) -> Program:
    number = spread_over or devices.filling(len(configs), jax.local_device_count())
    return Program(
        schema.stack(devices.filled(configs, number)),
        np.asarray(devices.filled(seeds, number), np.uint32),
        spec.task, spec, every, registry.chosen(log), len(configs),
    )  # fmt: skip


def train(
    configs: Sequence[Config],
    seeds: Sequence[int],
    task: str,
    *,
    steps: int,
    eval_every: int = cadence.EVERY,
    eval_episodes: int = 10,
    checkpoint_every: int = cadence.EVERY,
    report: Callable[[Report], None] = lambda _: None,
    save: Callable[[Snapshot], None] = lambda _: None,
    start_at: Snapshot | None = None,
    stop: Callable[[], bool] = lambda: False,
    log: Sequence[str] = ("default",),
    spread_over: int | None = None,
) -> Snapshot:
    """Train agents of one structure in one program: agent i is configs[i], seeds[i].

    Evaluations are greedy episodes of the online policies, every `eval_every` env steps
    and at the end, in environments of their own: they touch nothing that learns. With
    data=Offline, steps are updates. An agent whose environment raises there, or whose
    return is NaN, has failed, as in training: it stands still from then on.

    Every `checkpoint_every` env steps the running episodes end as time limits do, and
    environments are made anew: there, and at the end, `save` is told all that the
    program has, and one that starts at such a snapshot, whose arrays it takes over, is
    to the bit the one that was not interrupted. There too, `stop` is asked. When no
    agent is left with finite numbers, it ends. What `log` lacks is not computed.
    The agents are `spread_over` so many devices, by default those of
    `devices.filling`; results are equal to the bit for as many.

    Raises:
        ValueError: if the configs differ in structure, or on an unknown task.
        Interrupted: after `save`, where `stop` says so.
    """
    refuse_float64()
    if start_at is not None and is_over(start_at, steps):  # it may have no replay
        return start_at
    spec = envs.spec(task)
    for config in configs:
        admissible(config, spec, steps)
        cadence.check(config, spec, steps, eval_every, checkpoint_every)
    about = _program(configs, seeds, spec, checkpoint_every, log, spread_over)
    return _Training(about, steps, eval_every, eval_episodes, start_at).run(
        report, save, stop
    )


def is_over(snapshot: Snapshot, steps: int) -> bool:
    """Whether nothing follows of a program of so many env steps."""
    alive = np.asarray(snapshot.learner.health.alive)
    return int(snapshot.clock.steps) == steps or not alive.any()


class _Training:
    """A program on its way, from a snapshot or from the start."""

    def __init__(
        self,
        about: Program,
        steps: int,
        eval_every: int,
        eval_episodes: int,
        start_at: Snapshot | None,
    ):
        pin()
        self.about, self.steps = about, steps
        self.eval_every, self.eval_episodes = eval_every, eval_episodes
        self.began = time.monotonic()
        self.done = self.updates = 0
        self.told = 0, 0.0  # env steps and seconds at the newest report
        self.causes = dict[int, str]()  # of those that failed in an evaluation
        self.noted = False  # that updates change nothing
        if start_at is not None:
            self.done, self.updates = map(int, start_at.clock)
            self.began -= start_at.seconds
            self.told = self.done, start_at.seconds
        self.loop = loop(about, steps, start_at)
        if start_at is None:
            self.updates = first_updates(about.configs)
        else:
            self.loop.metrics = about.with_all(dict(start_at.metrics))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def run(
        self,
        report: Callable[[Report], None],
        save: Callable[[Snapshot], None],
        stop: Callable[[], bool],
    ) -> Snapshot:
        every, last = self.about.checkpoint_every, self.steps
        stops = _stops(self.done, last, self.eval_every, every)
        try:
            for end in stops if self._alive().any() else ():
                self.updates = self.loop.advance(self.done, end, self.updates)
                self.done = end
                ends = end == last or not self._alive().any()
                if ends or end % self.eval_every == 0:
                    report(self._report())
                ends |= not self._alive().any()  # the evaluation may have been the end
                if ends or end % every == 0:
                    save(self.snapshot())
                if ends:
                    break
                if end % every == 0:
                    if stop():
                        raise Interrupted(end)
                    self.loop.renew(end)
        finally:
            self.loop.close()
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        clock = Clock(np.int32(self.done), np.int32(self.updates))
        learner = self.loop.learner
        if isinstance(self.loop, OfflineLoop):
            learner = learner._replace(store=None)  # type: ignore[arg-type]
        found = self.about.of_agents((learner, dict(self.loop.metrics)))
        return Snapshot(found[0], clock, found[1], self.seconds)

    def _alive(self) -> np.ndarray:
        return np.asarray(self.loop.learner.health.alive)

    def _report(self) -> Report:
        index = -(-self.done // self.eval_every) - 1
        metrics = {k: np.asarray(v) for k, v in self.loop.metrics.items()}
        self._note_empty(metrics, self._alive())
        measured, causes = measure(
            self.about, self.loop, index, self.eval_episodes, self._alive()
        )
        metrics |= measured
        self._fail(causes)
        seconds, number = self.seconds, len(self.about.seeds)
        rate = (self.done - self.told[0]) / max(seconds - self.told[1], 1e-9)
        metrics["steps_per_second"] = np.full(number, rate)
        self.told = self.done, seconds
        # a snapshot may have metrics that are not asked for now
        metrics = self.about.of_agents(registry.kept(metrics, self.about.log))
        return Report(self.done, metrics, seconds, self._failures())

    def _fail(self, causes: Mapping[int, str]) -> None:
        """These agents have failed in an evaluation, and stand still from now on."""
        self.causes |= causes
        if not causes:
            return
        learner, number = self.loop.learner, len(self.about.seeds)
        failed = np.isin(np.arange(number), list(causes))
        at = self.done, self.updates, len(learn.tensors(learner.agent)) - 1
        self.loop.learner = self.about.with_failed(learner, failed, at)

    def _note_empty(self, metrics: dict[str, Any], alive: np.ndarray) -> None:
        """Once, where the newest update found no step to learn from: see `learn`."""
        data = self.about.configs.data
        if not metrics or not data.in_order or self.noted:
            return
        unknown = np.all([np.isnan(x) for x in metrics.values()], axis=0) & alive
        if not unknown.any():
            return
        self.noted = True
        why = "data.drop_last leaves out the last step of each episode, and "
        note(
            f"{self.about.task}: the newest update of {unknown.sum()} of "
            f"{self.about.agents} agents, by env step {self.done:,}, changed nothing: "
            f"{why if data.drop_last else ''}no step is left to learn from."
        )

    def _failures(self) -> list[Failure]:
        health = self.about.of_agents(self.loop.learner.health)
        health = jax.tree.map(np.asarray, health)
        names = learn.tensors(self.loop.learner.agent)
        causes = {**self.loop.causes, **self.causes}
        return [
            Failure(
                int(i),
                int(health.steps[i]),
                int(health.updates[i]),
                names[health.tensor[i]],
                causes.get(int(i), ""),
            )
            for i in np.flatnonzero(health.steps >= 0)
        ]


def _stops(begin: int, end: int, *periods: int) -> list[int]:
    """The multiples of the periods after `begin`, and the end."""
    found = {end} if end > begin else set()
    for period in periods:
        found.update(range((begin // period + 1) * period, end, period))
    return sorted(found)
