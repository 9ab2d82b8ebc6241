"""Tuning inside an ablation: each variant at a setting that was chosen for it.

What an ablation finds at one setting of the rates may be tuning. So all variants are
run at the same settings, points of a scrambled Sobol sequence, with seeds of their own;
each is then run at the setting with the best mean, with fresh seeds, beside its preset.
Scores of tuning are never results: the best of n means is too high. They are in a run
store of their own, the folder `tuning`, and a report does not read it.

By the rule 'halving' (Jamieson and Talwalkar 2016) the worse half of a variant's
settings is dropped at a quarter of the tuning steps, and of the rest at a half.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import qmc

from coadapt import schema, sweep
from coadapt.analysis import score, verdict
from coadapt.runs import manifest, store
from coadapt.runs.store import Cell, Entry, Header
from coadapt.schema import ConfigError, nearest
from coadapt.studies import until
from coadapt.sweep import Sweep, Variant

BEST, HALVING = RULES = ("best", "halving")
RANDOM = "random design"  # the rule of a protocol whose settings are iid uniform
SCRAMBLES = "scrambled designs"  # that of Sobol points, scrambled several times
DESIGNS = (RANDOM, SCRAMBLES)  # whose variants are settings, and no levels of a toggle
FIXED = "fixed seeds"  # the rule of a protocol whose reported seeds do not grow
FIRST_SEED = 1_000_000_000  # of those for tuning, apart from what is reported
MOST = 1024  # settings
DIGITS = 4  # of a setting's value
TUNED = "/tuned"  # the end of a variant's name, at its chosen setting

Setting = Mapping[str, float]  # path -> value


class Range(NamedTuple):
    """The values of a field from which settings are taken."""

    path: str
    low: float
    high: float
    log: bool = False  # even in the logarithm

    def value(self, share: float) -> float:
        """That at so much of the way from low to high, to four digits."""
        if self.log:
            found = self.low * (self.high / self.low) ** share
        else:
            found = self.low + share * (self.high - self.low)
        return float(f"{found:.{DIGITS}g}")

    def share(self, value: float) -> float:
        """How much of the way from low to high a value is, 0 to 1."""
        if self.log:
            found = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            found = (value - self.low) / (self.high - self.low)
        return min(max(found, 0.0), 1.0)  # of a value that was rounded


class Tuning(NamedTuple):
    """How each variant's setting is chosen."""

    ranges: tuple[Range, ...]
    budget: int = 16  # settings, a power of 2
    seeds: int = 3
    steps: int | None = None  # env steps of a run; None: those of what is reported
    rule: str = BEST
    scramble: int = 0  # seed of the Sobol points

    @property
    def settings(self) -> list[Setting]:
        """The same for every variant."""
        engine = qmc.Sobol(len(self.ranges), scramble=True, rng=self.scramble)
        points = engine.random_base2(int(math.log2(self.budget)))
        return [
            {r.path: r.value(x) for r, x in zip(self.ranges, point, strict=True)}
            for point in points
        ]

    @property
    def rungs(self) -> list[tuple[int, float]]:
        """How many settings are run to which share of the tuning steps."""
        if self.rule == BEST:
            return [(self.budget, 1.0)]
        return [(self.budget // 2**i, 2.0 ** (i - 2)) for i in range(3)]


def ranged(path: str, text: str, flag: str = "tune") -> Range:
    """Of '1e-5..1e-2:log' or '0.1..0.9'.

    Raises:
        ConfigError: which names the flag.
    """
    ends, _, scale = text.partition(":")
    low, dots, high = ends.partition("..")
    try:
        found = Range(path, float(low), float(high), scale == "log")
        good = dots and scale in ("", "log") and -math.inf < found.low < found.high
        if good and found.high < math.inf and not (found.log and found.low <= 0):
            return found
    except ValueError:
        pass
    raise ConfigError(
        f"{flag} is {path}={text!r}: it must be low..high, or low..high:log with a "
        "positive low, such as 1e-5..1e-2:log."
    )


def require_budget(name: str, budget: int, least: int = 2) -> None:
    """Raises: ConfigError, for a number of settings that Sobol points do not have."""
    if budget & (budget - 1) or not least <= budget <= MOST:
        raise ConfigError(
            f"{name} is {budget}: it must be a power of 2 of {least} to {MOST:,}, "
            "as Sobol points are balanced in such numbers."
        )


def require(tuning: Tuning, asked: Sweep) -> None:
    """Raises: ConfigError, for a budget or fields that can not be."""
    require_budget("tune_budget", tuning.budget, 4 if tuning.rule == HALVING else 2)
    if tuning.rule not in RULES:
        raise ConfigError(
            f"tune_rule is {tuning.rule!r}: it must be one of {', '.join(RULES)}"
            f"{nearest(tuning.rule, RULES)}"
        )
    if len(asked.seeds) < verdict.LEAST or max(asked.seeds) >= FIRST_SEED:
        raise ConfigError(
            f"seeds are {len(asked.seeds)}: what is tuned is reported on "
            f"{verdict.LEAST} seeds or more, all below {FIRST_SEED:,}, where the "
            "seeds of tuning begin."
        )
    require_fields(asked, tuning.ranges)


def require_fields(asked: Sweep, ranges: Sequence[Range]) -> None:
    """Raises: ConfigError, for a field that a variant lacks, or that its name sets."""
    for v in (v for variants in asked.variants.values() for v in variants):
        known = dict(schema.paths(v.config))
        for path, low, *_ in ranges:
            if path in _changed(v.name):
                raise ConfigError(
                    f"{path} is drawn and in the grid too: give it to one of them."
                )
            if path not in known:
                sweep.vary(v, {path: low})  # raises, unless an older version had it
                raise ConfigError(
                    f"{path} was renamed: see docs/config.md{nearest(path, known)}"
                )


def _changed(name: str) -> set[str]:
    """Fields that a variant's name sets."""
    keys = (part.partition("=")[0] for part in name.split("/") if "=" in part)
    return {path for key in keys for path in schema.tied(key)}


def protocol(tuning: Tuning) -> dict[str, Any]:
    """What of it is fixed before the first run, as JSON."""
    made = tuning._asdict()
    return {
        **made,
        "ranges": [list(each) for each in tuning.ranges],
        "settings": [dict(each) for each in tuning.settings],
    }


def of(protocol: Mapping[str, Any]) -> Tuning | None:
    """That of a store's protocol; None of none."""
    found = protocol.get("tuning")
    if not found:
        return None
    fields = {name: found[name] for name in Tuning._fields}
    return Tuning(**{**fields, "ranges": tuple(Range(*x) for x in found["ranges"])})


# ---------------------------------------------------------------- what is run


def parts(
    asked: Sweep,
    workdir: Path,
    rest: Callable[[Sweep, Path], Iterator[Sweep]] | None = None,
) -> Iterator[tuple[Sweep, Path]]:
    """The sweeps of a tuned study, each with its folder; each is due after the last.

    Args:
        asked: variants at their presets, with a protocol that has a tuning.
        rest: the sweeps of presets and tuned variants; None: the one of all seeds.
    Raises: ConfigError.
    """
    tuning = of(asked.protocol)
    assert tuning is not None  # of the caller
    folder, alive = workdir / manifest.TUNING, None
    for number, share in tuning.rungs:
        part = _rung(asked, tuning, share, alive)
        yield part, folder
        alive = _best(part, folder, max(number // 2, 1), len(tuning.ranges))
    assert alive is not None
    chosen = {key: names[0] for key, names in alive.items()}
    made = _reported(asked, tuning, chosen)
    for part in [made] if rest is None else rest(made, workdir):
        yield part, workdir


def _rung(
    asked: Sweep,
    tuning: Tuning,
    share: float,
    alive: Mapping[tuple[str, str], Sequence[str]] | None,
) -> Sweep:
    """The settings that are left, to this share of the tuning steps."""
    variants = {
        task: tuple(
            dataclasses.replace(each, steps=_length(asked, tuning, share, task, v))
            for v in found
            for each in _varied(v, tuning).values()
            if alive is None or each.name in alive[task, v.name]
        )
        for task, found in asked.variants.items()
    }
    seeds = range(FIRST_SEED, FIRST_SEED + tuning.seeds)
    return dataclasses.replace(
        asked, experiment=manifest.TUNING, variants=variants, seeds=seeds
    )


def _length(
    asked: Sweep, tuning: Tuning, share: float, task: str, variant: Variant
) -> int:
    """Env steps of a rung: from where it ends the next goes on."""
    whole = tuning.steps or asked.steps_of(task, variant)
    return _until(share, whole, asked.checkpoint_every)


def _until(share: float, whole: int, every: int) -> int:
    """Env steps of this share of the whole, up to the next checkpoint."""
    return min(-(-int(share * whole) // every) * every, whole)


def _varied(variant: Variant, tuning: Tuning) -> dict[str, Variant]:
    """The variant at each setting, by name: those that round to one are one."""
    return {each.name: each for each in varied([variant], tuning.settings)}


def uniform(ranges: Sequence[Range], number: int, seed: int = 0) -> list[Setting]:
    """So many settings, iid uniform in the ranges.

    The random design of Andrychowicz et al. 2021: of its points, unlike Sobol's, any
    part is a sample, too.
    """
    shares = np.random.default_rng(seed).random((number, len(ranges)))
    return [
        {r.path: r.value(x) for r, x in zip(ranges, row, strict=True)} for row in shares
    ]


def scrambled(
    ranges: Sequence[Range], number: int, times: int, seed: int = 0
) -> list[list[Setting]]:
    """The settings that so many tunings would try, each with a scramble of its own."""
    return [
        Tuning(tuple(ranges), number, scramble=seed + i).settings for i in range(times)
    ]


def varied(variants: Sequence[Variant], settings: Sequence[Setting]) -> list[Variant]:
    """Each variant at each setting.

    Raises: ConfigError.
    """
    made = [sweep.vary(v, _rounded(v, each)) for v in variants for each in settings]
    return list({v.name: v for v in made}.values())


def _rounded(variant: Variant, setting: Setting) -> dict[str, object]:
    """A whole number where the field has one."""
    known = dict(schema.paths(variant.config))
    return {
        path: round(value) if type(known.get(path)) is int else value
        for path, value in setting.items()
    }


def _best(
    part: Sweep, folder: Path, number: int, fields: int
) -> dict[tuple[str, str], list[str]]:
    """Of each variant on each task so many settings, the best mean first.

    As the rows were at the end of this rung: a later one does not change what it chose.
    """
    means = scores(part, folder)
    found: dict[tuple[str, str], list[str]] = {}
    for task, variants in part.variants.items():
        for v in variants:
            found.setdefault((task, home(v.name, fields)), []).append(v.name)
    return {
        (task, own): sorted(names, key=lambda n: -means[task, n])[:number]
        for (task, own), names in found.items()
    }


def home(name: str, fields: int) -> str:
    """The variant's own name, of one at a setting of so many fields."""
    return "/".join(name.split("/")[:-fields])


def scores(part: Sweep, folder: Path) -> dict[tuple[str, str], float]:
    """The mean score of each variant on each task at the end of its steps there.

    Failed runs count as a random policy, and without that as their last score before;
    a variant without a score is the worst.
    """
    header = store.load(folder)
    assert header is not None  # the part has run
    about = sweep.header(part)
    asked = {cell: about.steps_of(cell) for cell in about.cells()}
    done = store.finished(folder, header)
    frame = store.read(folder)
    keys = zip(frame.task, frame.variant, frame.seed, strict=True)
    limit = np.array([asked.get(Cell(*key), 0) for key in keys])
    rows = frame.loc[frame.env_steps.to_numpy() <= limit]
    ends = {cell: min(done.get(cell, 0), n) for cell, n in asked.items()}
    arms = score.arms(rows, header.units, asked, ends)
    found = {}
    for key, arm in arms.items():
        each = arm.scores()
        known = each[~np.isnan(each)]
        found[key] = float(known.mean()) if known.size else -math.inf
    return found


def _reported(
    asked: Sweep, tuning: Tuning, chosen: Mapping[tuple[str, str], str]
) -> Sweep:
    """Each variant at its preset and at its chosen setting."""
    variants = {
        task: (
            *found,
            *(
                dataclasses.replace(
                    _varied(v, tuning)[chosen[task, v.name]],
                    name=f"{v.name}{TUNED}",
                    steps=v.steps,
                )
                for v in found
            ),
        )
        for task, found in asked.variants.items()
    }
    return dataclasses.replace(asked, variants=variants)


# ---------------------------------------------------------------- what came of it


class Choice(NamedTuple):
    """The setting at which a variant is reported."""

    task: str
    variant: str
    values: dict[str, float]
    edges: tuple[str, ...]  # fields of which no setting had a value beyond this one


def choices(header: Header) -> list[Choice]:
    """Of a tuned study, by what its variants are; none of another."""
    tuning = of(header.protocol)
    if tuning is None:
        return []
    return [
        _choice(task, name.removesuffix(TUNED), entry, tuning)
        for task, named in header.variants.items()
        for name, entry in named.items()
        if name.endswith(TUNED)
    ]


def _choice(task: str, name: str, entry: Entry, tuning: Tuning) -> Choice:
    values = {r.path: value_at(entry.config, r.path) for r in tuning.ranges}
    edges = []
    for path, value in values.items():
        every = [
            type(value)(round(s[path]) if isinstance(value, int) else s[path])
            for s in tuning.settings
        ]
        if value in (min(every), max(every)):
            edges.append(path)
    return Choice(task, name, values, tuple(edges))


def value_at(config: Any, path: str) -> float:
    """A field's value in a config as the manifest has it."""
    for part in path.split("."):
        config = config[part]
    return config


def cost(header: Header) -> int:
    """Env steps that tuning took."""
    tuning = of(header.protocol)
    if tuning is None:
        return 0
    total, every = 0, header.checkpoint_every
    lengths = [
        tuning.steps or header.steps_of_variant(task, name)
        for task, named in header.variants.items()
        for name in named
        if not name.endswith(TUNED)
    ]
    for whole in lengths:
        before = 0
        for number, share in tuning.rungs:
            now = _until(share, whole, every)
            total += number * tuning.seeds * (now - before)
            before = now
    return total


def fixed(asked: Sweep, tuning: Tuning, margin: float | None) -> dict[str, Any]:
    """The protocol of a tuned study whose seeds do not grow."""
    return {
        "rule": FIXED,
        "seeds": list(asked.seeds),
        "margin": margin,
        "tuning": protocol(tuning),
        **until.fixed(asked),
    }
