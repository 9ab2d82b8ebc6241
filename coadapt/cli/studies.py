"""A part of `coadapt sweep`: studies that are run in several sweeps, one by one."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags

from coadapt import manifest, sweep, until
from coadapt.cli import command, power
from coadapt.cli.command import Values, get
from coadapt.cli.values import positive
from coadapt.report import verdicts
from coadapt.schema import ConfigError, nearest
from coadapt.sweep import Sweep

UNTIL = "decided"


def define(values: Values) -> None:
    """Flags of the study; those of its power among them."""
    power.define(values)
    flags.DEFINE_string(
        "until",
        None,
        "decided: seeds are added, from --seeds (16) to --max_seeds (64), until each "
        "toggle of two algorithms has a verdict, and of one is off zero or within the "
        "margin",
        flag_values=values,
    )


def seeds(values: Values) -> int:
    """How many, where --seeds does not say."""
    return until.FIRST if get(values, "until") else 1


def planned(values: Values, asked: Sweep) -> tuple[Sweep, command.Parts | None]:
    """The sweep with its protocol, and the parts in which it is run.

    Raises: ConfigError.
    """
    word = get(values, "until")
    if word is None:
        return asked, None
    if word != UNTIL:
        raise ConfigError(
            f"--until is {word!r}: it must be {UNTIL}{nearest(word, [UNTIL])}"
        )
    asked = dataclasses.replace(asked, protocol=_until(values, asked))
    return asked, partial(_looks, asked)


def _looks(asked: Sweep, folder: Path):
    return ((part, folder) for part in until.parts(asked, folder))


def _until(values: Values, asked: Sweep) -> dict[str, Any]:
    questions = verdicts.questions(sweep.header(asked))
    return until.protocol(
        asked,
        [(each.toggle, each.pairs) for each in questions],
        margin=positive(values, "margin"),
        most=command.count(values, "max_seeds", until.MOST, most=sweep.MOST_SEEDS),
        alpha=power.alpha(values),
    )


def about(values: Values, asked: Sweep) -> list[str]:
    """Lines of the plan: what it can decide, and what of it is fixed."""
    lines = power.paragraph(values, asked)
    plan = until.plan(asked.protocol)
    if plan is not None:
        sizes = ", ".join(map(str, plan.looks))
        share = plan.looks[-1] / plan.looks[0]
        lines += [
            f"looks: at {sizes} seeds an arm, up to {share:g} times the above",
            f"protocol: {manifest.digest(asked.protocol)}",
        ]
    return lines
