"""The settings at which a run store has each variant, and the score at each.

Of a random design, whose settings are iid uniform in their ranges, or of the tuning of
a study, whose are points of a Sobol sequence: what asks for a sample takes the first
alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coadapt import comparison, manifest, store, tuning, verdict
from coadapt.comparison import Arms
from coadapt.schema import ConfigError
from coadapt.store import Header
from coadapt.tuning import Range
from coadapt.verdict import Effect

HOW = "coadapt sweep --random=16 --vary=path=low..high"


class Setting(NamedTuple):
    """A variant with a value for each field of the design."""

    name: str  # of the variant there
    values: tuple[float, ...]  # of each field
    score: Effect  # the mean over seeds, with its interval
    chosen: bool = False  # by tuning, to be reported


class Design(NamedTuple):
    """The settings of a variant on a task that have finished runs."""

    variant: str
    task: str
    ranges: tuple[Range, ...]
    unit: str  # of the scores: 'returns', or 'reference'
    settings: tuple[Setting, ...]

    @property
    def fields(self) -> list[str]:
        return [each.path for each in self.ranges]

    @property
    def places(self) -> np.ndarray:
        """[settings, fields]: 0 at the low end of a range, 1 at the high one."""
        return np.array(
            [
                [r.share(x) for r, x in zip(self.ranges, each.values, strict=True)]
                for each in self.settings
            ]
        )

    @property
    def scores(self) -> np.ndarray:
        """Means [settings]."""
        return np.array([each.score.value for each in self.settings])


class Read(NamedTuple):
    """What a folder has of a design."""

    header: Header
    ranges: tuple[Range, ...]
    arms: Arms
    chosen: frozenset[tuple[str, str, tuple[float, ...]]] = frozenset()


def is_random(header: Header) -> bool:
    """Whether settings are iid uniform."""
    return header.protocol.get("rule") == tuning.RANDOM


def read(workdir: Path) -> Read:
    """Of a random design's folder, or a tuned study's.

    Raises: ConfigError, of another design, and where tuning dropped settings before
    their end.
    """
    header = store.load(workdir)
    assert header is not None  # the folder was found
    plan = tuning.of(header.protocol)
    if is_random(header):
        ranges = tuple(Range(*each) for each in header.protocol["ranges"])
        return Read(header, ranges, comparison.arms_of(workdir))
    if plan is None:
        raise ConfigError(
            f"a score over settings needs settings that were drawn, and this store has "
            f"none: run {HOW}."
        )
    if plan.rule == tuning.HALVING:
        raise ConfigError(
            "halving dropped settings before their end, so that their scores are of "
            "other lengths: tune by --tune_rule=best, or run " + HOW + "."
        )
    chosen = frozenset(
        (each.task, each.variant, tuple(each.values.values()))
        for each in tuning.choices(header)
    )
    folder = workdir / manifest.TUNING
    tried = store.load(store.folder(folder))
    assert tried is not None
    return Read(tried, plan.ranges, comparison.arms_of(folder), chosen)


def names(found: Read) -> dict[tuple[str, str], list[str]]:
    """(task, variant) -> the names under which it stands at each setting."""
    made: dict[tuple[str, str], list[str]] = {}
    for task, entries in found.header.variants.items():
        for name in entries:
            home = "/".join(name.split("/")[: -len(found.ranges)])
            made.setdefault((task, home), []).append(name)
    return made


def designs(found: Read) -> list[Design]:
    """Of each variant on each task. Raises: ConfigError where none has a score."""
    made = [
        _design(found, task, variant, settings)
        for (task, variant), settings in names(found).items()
    ]
    if not any(each.settings for each in made):
        raise ConfigError("no setting has finished runs yet.")
    return [each for each in made if each.settings]


def _design(found: Read, task: str, variant: str, settings: Sequence[str]) -> Design:
    own = {key: arm for key, arm in found.arms.items() if key[0] == task}
    done = [n for n in settings if (task, n) in own and own[task, n].seeds]
    if not done:
        return Design(variant, task, found.ranges, "", ())
    known = comparison.in_unit(own, done)
    (scores,) = known.scores
    made = []
    for name in done:
        values = _values(found.header.variants[task][name].config, found.ranges)
        made.append(
            Setting(
                name,
                values,
                verdict.effect([(1.0, scores[name])]),
                (task, variant, values) in found.chosen,
            )
        )
    return Design(variant, task, found.ranges, known.unit, tuple(made))


def _values(config: Mapping[str, Any], ranges: Sequence[Range]) -> tuple[float, ...]:
    return tuple(tuning.value_at(config, each.path) for each in ranges)
