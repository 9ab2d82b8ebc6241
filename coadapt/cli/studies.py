"""A part of `coadapt sweep`: studies that are run in several sweeps, one by one."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from coadapt import manifest, sweep, tuning, until, verdict
from coadapt.cli import command, power
from coadapt.cli.values import Values, count, get, positive
from coadapt.report import verdicts
from coadapt.schema import ConfigError, nearest
from coadapt.sweep import Sweep

UNTIL = "decided"


def define(values: Values) -> None:
    """Flags of the study; those of its power among them."""
    power.define(values)
    _define_tuning(values)
    _define_random(values)
    flags.DEFINE_string(
        "until",
        None,
        "decided: seeds are added, from --seeds (16) to --max_seeds (64), until each "
        "toggle of two algorithms has a verdict, and of one is off zero or within the "
        "margin",
        flag_values=values,
    )


def _define_tuning(values: Values) -> None:
    flags.DEFINE_multi_string(
        "tune",
        [],
        "choose this field for each variant, path=low..high or path=low..high:log: "
        "--tune=optim.policy.rate=1e-5..1e-2:log; repeat for more",
        flag_values=values,
    )
    for name, about in (
        ("tune_budget", "settings that each variant is tried at, a power of 2 (16)"),
        ("tune_seeds", "of each setting, apart from those of --seeds (3)"),
        ("tune_steps", "env steps of a run that tunes (those of --steps)"),
        (
            "tune_rule",
            "best: all settings run to their end; halving: the worse half is dropped "
            "at a quarter of the steps, and again at a half (best)",
        ),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _define_random(values: Values) -> None:
    flags.DEFINE_string(
        "random",
        None,
        "run each variant at so many settings, drawn uniformly from --vary",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "vary",
        [],
        "a field of the random design, path=low..high or path=low..high:log; repeat "
        "for more",
        flag_values=values,
    )


def drawn(values: Values, asked: Sweep) -> Sweep:
    """With each variant at the settings of --random. Raises: ConfigError."""
    texts = command.changes(values, "vary")
    if (get(values, "random") is None) != (not texts):
        raise ConfigError(
            "--random and --vary go together: how many settings, and of which fields."
        )
    if not texts:
        return asked
    for other in ("tune", "until"):
        if get(values, other):
            raise ConfigError(
                f"--{other} and --random exclude each other: give one of them."
            )
    ranges = [tuning.ranged(path, text) for path, text in texts.items()]
    tuning.require_fields(asked, ranges)
    number = count(values, "random", least=4, most=tuning.MOST)
    return dataclasses.replace(
        asked,
        variants={
            task: tuple(tuning.uniform(variants, ranges, number))
            for task, variants in asked.variants.items()
        },
        protocol={
            "rule": tuning.RANDOM,
            "ranges": [list(each) for each in ranges],
            "number": number,
            "variants": [v.name for vs in asked.variants.values() for v in vs],
            "seeds": list(asked.seeds),
        },
    )


def seeds(values: Values) -> int:
    """How many, where --seeds does not say."""
    if get(values, "until"):
        return until.FIRST
    return verdict.LEAST if get(values, "tune") else 1


def planned(values: Values, asked: Sweep) -> tuple[Sweep, command.Parts | None]:
    """The sweep with its protocol, and the parts in which it is run.

    Raises: ConfigError.
    """
    word, tuned = get(values, "until"), _tuning(values)
    if word not in (None, UNTIL):
        raise ConfigError(
            f"--until is {word!r}: it must be {UNTIL}{nearest(word, [UNTIL])}"
        )
    if tuned is not None:
        tuning.require(tuned, asked)
    made: dict[str, Any] = {}
    if word:
        made = _until(values, asked, tuned is not None)
    if tuned is not None:
        margin = positive(values, "margin")
        made = tuning.fixed(asked, tuned, margin) | made
    if not made:
        return drawn(values, asked), None
    asked = dataclasses.replace(asked, protocol=made)
    if tuned is not None:
        rest = until.parts if word else None
        return asked, partial(tuning.parts, asked, rest=rest)
    return asked, partial(_looks, asked)


def _looks(asked: Sweep, folder: Path):
    return ((part, folder) for part in until.parts(asked, folder))


def _tuning(values: Values) -> tuning.Tuning | None:
    """What --tune and its like say. Raises: ConfigError."""
    ranges = command.changes(values, "tune")
    if not ranges:
        for name in ("tune_budget", "tune_seeds", "tune_steps", "tune_rule"):
            if get(values, name) is not None:
                raise ConfigError(f"--{name} is of tuning: give --tune with it.")
        return None
    steps = get(values, "tune_steps")
    return tuning.Tuning(
        tuple(tuning.ranged(path, text) for path, text in ranges.items()),
        count(values, "tune_budget", 16),
        count(values, "tune_seeds", 3, most=sweep.MOST_SEEDS),
        steps and count(values, "tune_steps"),
        get(values, "tune_rule") or tuning.BEST,
    )


def _until(values: Values, asked: Sweep, tuned: bool) -> dict[str, Any]:
    questions = verdicts.questions(sweep.header(asked))
    if tuned:
        questions = [verdicts.tuned(each) for each in questions]
    return until.protocol(
        asked,
        [(each.toggle, each.pairs) for each in questions],
        margin=positive(values, "margin"),
        most=count(values, "max_seeds", until.MOST, most=sweep.MOST_SEEDS),
        alpha=power.alpha(values),
    )


def about(values: Values, asked: Sweep) -> list[str]:
    """Lines of the plan: what it can decide, and what of it is fixed."""
    design = asked.protocol.get("rule") == tuning.RANDOM
    lines = [] if design else power.paragraph(values, asked)
    plan = until.plan(asked.protocol)
    if asked.protocol.get("tuning"):
        lines += _of_tuning(asked)
    if plan is not None:
        sizes = ", ".join(map(str, plan.looks))
        share = plan.looks[-1] / plan.looks[0]
        lines += [
            f"looks: at {sizes} seeds an arm, up to {share:g} times the above",
        ]
    if asked.protocol:
        lines.append(f"protocol: {manifest.digest(asked.protocol)}")
    return lines


def _of_tuning(asked: Sweep) -> list[str]:
    plan, header = tuning.of(asked.protocol), sweep.header(asked)
    assert plan is not None
    arms = sum(len(variants) for variants in asked.variants.values())
    return [
        f"tuning: {plan.budget} settings x {plan.seeds} seeds of each of {arms} "
        f"variants, by {plan.rule}: {tuning.cost(header):,} env steps before the above",
        "reported: each variant at its preset, as above, and as often at its setting",
    ]
