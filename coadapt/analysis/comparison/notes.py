"""What is to be known of a comparison, a line each."""

from collections.abc import Sequence

from coadapt.analysis import score, stats
from coadapt.analysis.comparison.question import PAIRED, Asked
from coadapt.analysis.score import Arm


def notes_on(asked: Asked) -> tuple[str, ...]:
    names = dict.fromkeys(n for pair in asked.pairs for n in (*pair.on, *pair.off))
    arms = [asked.arms[t, n] for t in asked.tasks for n in names]
    notes = [f"horizon: {_horizons(arms)}"]
    left = sum(arm.unfinished for arm in arms)
    if left:
        notes.append(f"{_runs(left)} left out: not finished")
    few = [arm for arm in arms if arm.evaluations < score.FEWEST]
    if few and asked.metric == "final":
        least = min(arm.evaluations for arm in few)
        notes.append(
            f"a run has {least} evaluation{'s' * (least > 1)}, fewer than the "
            f"{score.FEWEST} that the score is the mean of"
        )
    for arm in (arm for arm in arms if arm.rate.failed):
        failed, runs, low, high = arm.rate
        notes.append(
            f"{arm.variant} on {arm.task}: {failed} of {runs} runs failed "
            f"[{low:.0%}, {high:.0%}]"
        )
    for task, unit in {arm.task: arm.unit for arm in arms if arm.rate.failed}.items():
        if unit.now and unit.random is not None:
            notes.append(
                f"a random policy on {task}, {stats.number(unit.random)}, was measured "
                "now, after the runs"
            )
    if asked.paired:
        notes.append(f"paired by seed: a pilot's correlation exceeds {PAIRED}")
    return tuple(notes)


def _horizons(arms: Sequence[Arm]) -> str:
    """'20,000 env steps', or of which variant on which task."""
    if len({arm.env_steps for arm in arms}) == 1:
        return f"{arms[0].env_steps:,} env steps"
    by_task: dict[str, set[int]] = {}
    for arm in arms:
        by_task.setdefault(arm.task, set()).add(arm.env_steps)
    if all(len(found) == 1 for found in by_task.values()):
        parts = [f"{task} {min(found):,}" for task, found in by_task.items()]
    else:
        parts = [f"{arm.variant} on {arm.task} {arm.env_steps:,}" for arm in arms]
    return f"{', '.join(parts)} env steps"


def _runs(number: int) -> str:
    return f"{number} run{'s' * (number > 1)}"
