"""The settings at which a run store has each variant, and the score at each.

Of a random design, whose settings are iid uniform in their ranges, or of the tuning of
a study, whose are points of a Sobol sequence: what asks for a sample takes the first
alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coadapt.analysis import comparison, verdict
from coadapt.analysis.comparison import Arms
from coadapt.analysis.verdict import Effect
from coadapt.runs import manifest, store
from coadapt.runs.store import Header
from coadapt.schema import ConfigError
from coadapt.studies import tuning
from coadapt.studies.tuning import Range

HOW = "coadapt sweep --random=16 --vary=path=low..high"


class Setting(NamedTuple):
    """A variant with a value for each field of the design."""

    name: str  # of the variant there
    values: tuple[float, ...]  # of each field
    runs: np.ndarray  # [seeds], their scores
    chosen: bool = False  # by tuning, to be reported

    @property
    def score(self) -> Effect:
        """The mean over seeds, with its interval."""
        return verdict.effect([(1.0, self.runs)])


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
    """Of the folder of a random design, of scrambled ones, or of a tuned study.

    Raises:
        ConfigError: of another design, and where tuning dropped settings before
            their end.
    """
    header = store.header(workdir)
    plan = tuning.of(header.protocol)
    if header.protocol.get("rule") in tuning.DESIGNS:
        ranges = tuple(Range(*each) for each in header.protocol["ranges"])
        return Read(header, ranges, comparison.arms_of(workdir))
    if plan is None:
        raise ConfigError(
            "a score over settings needs settings that were drawn, and this store has "
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
    own = header.experiment == manifest.TUNING  # the folder of the tuning itself
    folder = workdir if own else workdir / manifest.TUNING
    return Read(store.header(folder), plan.ranges, comparison.arms_of(folder), chosen)


def scrambles(found: Read, design: Design) -> list[list[Setting]]:
    """The settings of each scramble.

    Raises:
        ConfigError: of another design.
    """
    said = found.header.protocol
    if said.get("rule") != tuning.SCRAMBLES:
        raise ConfigError(
            "the value of tuning needs several scrambles of a Sobol sequence: run "
            "coadapt sweep --random=16 --scrambles=4 --seeds=8 --vary=path=low..high."
        )
    made = tuning.scrambled(
        found.ranges, said["number"], said["scrambles"], said["seed"]
    )
    known = {each.values: each for each in design.settings}
    keys = [[_key(each, design.settings[0].values) for each in part] for part in made]
    if any(key not in known for part in keys for key in part):
        raise ConfigError(
            f"{design.variant} on {design.task} has settings without finished runs: "
            "the value of tuning is of all; let the sweep end."
        )
    return [[known[key] for key in dict.fromkeys(part)] for part in keys]


def _key(setting: tuning.Setting, like: tuple[float, ...]) -> tuple[float, ...]:
    """Its values as a config has them: whole where the field's are."""
    return tuple(
        round(x) if isinstance(old, int) else x
        for x, old in zip(setting.values(), like, strict=True)
    )


def names(found: Read) -> dict[tuple[str, str], list[str]]:
    """(task, variant) -> the names under which it stands at each setting."""
    made: dict[tuple[str, str], list[str]] = {}
    for task, entries in found.header.variants.items():
        for name in entries:
            home = tuning.home(name, len(found.ranges))
            made.setdefault((task, home), []).append(name)
    return made


def designs(found: Read) -> list[Design]:
    """Of each variant on each task.

    Raises:
        ConfigError: where none has a score.
    """
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
                scores[name],
                (task, variant, values) in found.chosen,
            )
        )
    return Design(variant, task, found.ranges, known.unit, tuple(made))


def _values(config: Mapping[str, Any], ranges: Sequence[Range]) -> tuple[float, ...]:
    return tuple(tuning.value_at(config, each.path) for each in ranges)


def points(workdir: Path) -> tuple[Arms, dict[str, dict[str, tuple[object, ...]]]]:
    """Of each variant the values of each setting, by its name: a design's, or a grid's.

    Raises: ConfigError.
    """
    header = store.header(workdir)
    if header.protocol.get("rule") in tuning.DESIGNS or tuning.of(header.protocol):
        found = read(workdir)
        made: dict[str, dict[str, tuple[object, ...]]] = {}
        for (task, variant), settings in names(found).items():
            entries = found.header.variants[task]
            made.setdefault(variant, {}).update(
                {n: _values(entries[n].config, found.ranges) for n in settings}
            )
        return found.arms, made
    grid = _grid([name for named in header.variants.values() for name in named])
    if not any(len(found) > 1 for found in grid.values()):
        raise ConfigError(
            "this store has one setting of each variant: run a design, "
            f"{HOW}, or a grid, --grid=path=v1,v2."
        )
    return comparison.arms_of(workdir), grid


def _grid(variants: Sequence[str]) -> dict[str, dict[str, tuple[object, ...]]]:
    """Of each variant of a grid, the values in the names of its settings."""
    made: dict[str, dict[str, tuple[object, ...]]] = {}
    for name in dict.fromkeys(variants):
        parts = name.split("/")
        home = "/".join(part for part in parts if "=" not in part)
        values = tuple(part.partition("=")[2] for part in parts if "=" in part)
        made.setdefault(home, {})[name] = values
    return made
