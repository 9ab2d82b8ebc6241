"""A part of `coadapt sweep`: studies that are run in several sweeps, one by one."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from coadapt import sweep
from coadapt.analysis import verdict
from coadapt.cli import power_flags, running, settings
from coadapt.cli.values import Values, count, get, positive
from coadapt.report import compare, protocols
from coadapt.runs import manifest
from coadapt.schema import ConfigError, nearest
from coadapt.studies import tuning, until
from coadapt.sweep import Sweep

UNTIL = "decided"


def define(values: Values) -> None:
    """Flags of the study; those of its power among them."""
    power_flags.define(values)
    settings.define(values)
    flags.DEFINE_string(
        "until",
        None,
        "'decided': add seeds, from --seeds (16) to --max_seeds (64), until each "
        "toggle is decided: docs/tuning.md",
        flag_values=values,
    )


def seeds(values: Values) -> int:
    """How many, where --seeds does not say."""
    if get(values, "until"):
        return until.FIRST
    return verdict.LEAST if get(values, "tune") else 1


def planned(values: Values, asked: Sweep) -> tuple[Sweep, running.Parts | None]:
    """The sweep with its protocol, and the parts in which it is run.

    Raises: ConfigError.
    """
    word, tuned = get(values, "until"), settings.tuned(values)
    if word not in (None, UNTIL):
        raise ConfigError(
            f"--until is {word!r}: it must be {UNTIL}{nearest(word, [UNTIL])}"
        )
    if word is None and get(values, "max_seeds") is not None:
        raise ConfigError(
            "--max_seeds applies to seeds until decided: also give --until=decided."
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
        return settings.drawn(values, asked), None
    asked = dataclasses.replace(asked, protocol={**asked.protocol, **made})
    if tuned is not None:
        rest = until.parts if word else None
        return asked, partial(tuning.parts, asked, rest=rest)
    return asked, partial(_looks, asked)


def _looks(asked: Sweep, folder: Path):
    return ((part, folder) for part in until.parts(asked, folder))


def _until(values: Values, asked: Sweep, tuned: bool) -> dict[str, Any]:
    questions = compare.questions(sweep.header(asked))
    if tuned:
        questions = [compare.tuned(each) for each in questions]
    return until.protocol(
        asked,
        [(each.toggle, each.pairs) for each in questions],
        margin=positive(values, "margin"),
        most=count(values, "max_seeds", until.MOST, most=sweep.MOST_SEEDS),
        alpha=power_flags.alpha(values),
    )


def about(values: Values, asked: Sweep) -> list[str]:
    """Lines of the plan: what it can decide, and what of it is fixed."""
    design = asked.protocol.get("rule") in tuning.DESIGNS
    lines = [] if design else power_flags.paragraph(values, asked)
    lines += [f"{name}: {text}" for name, text in protocols.planned(asked.protocol)]
    plan = until.plan(asked.protocol)
    if asked.protocol.get("tuning"):
        lines += _of_tuning(asked)
    if plan is not None:
        sizes = ", ".join(map(str, plan.looks))
        share = plan.looks[-1] / plan.looks[0]
        lines += [
            f"looks: at {sizes} seeds per arm, up to {share:g} times the above",
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
