"""One program of a sweep: its rows, and its snapshots."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from coadapt import devices, envs, runner
from coadapt.runs import checkpoint
from coadapt.runs.store import Attempt, Start, Store
from coadapt.sweeps.asked import Checkpoints, Group, Sweep, steps_in
from coadapt.system.deadline import Deadline
from coadapt.system.notes import note


def _all_failed(group: Group, failed: Sequence[runner.Failure]) -> str:
    """Where none is left, the first tells why."""
    first = min(failed, key=lambda each: each.steps)
    agent, cause = group.agents[first.agent], f" ({first.cause})" if first.cause else ""
    return (
        f"all {len(failed)} agents of a program on {group.task} failed; "
        f"{agent.variant.name}, seed {agent.seed}: {first.tensor} was not finite after "
        f"{first.steps:,} env steps{cause}"
    )


def _interval(sweep: Sweep, start: runner.Snapshot | None) -> float:
    """Seconds from one checkpoint to the next, until `start`; 0: nothing says so."""
    done = 0 if start is None else int(start.clock.steps)
    return start.seconds * sweep.checkpoint_every / done if start and done else 0.0


class Job:
    """One program of a sweep: its rows, and its snapshots."""

    def __init__(
        self,
        sweep: Sweep,
        group: Group,
        record: checkpoint.Record,
        spread_over: int,
        store: Store,
        checkpoints: Checkpoints | None,
        stop: Callable[[], bool],
        deadline: Deadline,
        ended: Callable[[Group, runner.Snapshot], None],
    ):
        self.sweep, self.store, self.ended = sweep, store, ended
        self.stop, self.deadline = stop, deadline
        self.halt: runner.Interrupted | None = None  # by the newest checkpoint
        self.group, self.record, self.spread_over = group, record, spread_over
        places = devices.slots(len(group.agents), spread_over)
        self.devices = devices.mesh(places).size  # that there are
        self.steps = steps_in(sweep, group)
        self.rules, self.spent, self.last = checkpoints, 0.0, 0.0

    def require_time(self) -> None:
        """Before it begins.

        Raises: runner.Interrupted.
        """
        if self.stop():
            raise runner.Interrupted(0)
        if self.deadline.near:
            raise runner.TimeOver

    def run(
        self,
        progress: Callable[[runner.Report | None], None],
        start: runner.Snapshot | None,
        origin: Start | None,
    ) -> None:
        sweep, group = self.sweep, self.group
        provider = envs.spec(group.task).provider
        self.deadline.begin(_interval(sweep, start))
        with self.store.begin(
            self.record, origin, devices=self.devices, provider=provider
        ) as attempt:
            keep = self.rules.keep if self.rules else 1
            writer = checkpoint.Writer(self.record, attempt.path, keep)
            progress(None)

            failed: list[runner.Failure] = []

            def report(found: runner.Report) -> None:
                failed[:] = found.failures
                attempt.append(found.steps, found.metrics, provider)
                for failure in failed:
                    place, *what = failure
                    attempt.fail(group.cells[place], *what)
                self.store.refresh(always=False)
                progress(found)

            result = runner.train(
                [agent.variant.config for agent in group.agents],
                [agent.seed for agent in group.agents],
                group.task,
                steps=self.steps,
                eval_every=sweep.eval_every,
                eval_episodes=sweep.eval_episodes,
                checkpoint_every=sweep.checkpoint_every,
                report=report,
                save=partial(self._save, writer, attempt),
                start_at=start,
                stop=self._halted,
                log=sweep.log,
                spread_over=self.spread_over,
            )
            attempt.finish(self.steps, result.seconds)
        if len(failed) == len(group.agents):
            note(_all_failed(group, failed))

    def _halted(self) -> bool:
        """Never true.

        Raises:
            runner.Interrupted: where the newest one was the last.
        """
        if self.halt is not None:
            raise self.halt
        return False

    def _save(
        self, writer: checkpoint.Writer, attempt: Attempt, snapshot: runner.Snapshot
    ) -> None:
        """Write it, if it ends, if all stops, or if that takes little of the time."""
        attempt.lease.require()
        rules, steps = self.rules, int(snapshot.clock.steps)
        ends = runner.is_over(snapshot, self.steps)
        late = self.deadline.reached(self.last)
        if self.stop():  # asked once, as the snapshot that it stops at is written
            self.halt = runner.Interrupted(steps)
        elif late:
            self.halt = runner.TimeOver(steps)
        if ends:
            self.ended(self.group, snapshot)
        if rules is None:
            return
        allowed = rules.share * snapshot.seconds
        if not (ends or self.halt or self.spent + self.last <= allowed):
            return
        begin = time.monotonic()
        goes_on = steps % self.sweep.checkpoint_every == 0
        writer.write(snapshot, ends=ends, goes_on=goes_on, marks=attempt.marks)
        self.last = time.monotonic() - begin
        self.spent += self.last
