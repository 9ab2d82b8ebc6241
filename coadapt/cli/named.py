"""A part of `coadapt sweep`: an experiment by name, at its scale or at one's own."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from coadapt.cli import budget
from coadapt.cli import variants as variants_of
from coadapt.cli.values import Values, get, listed
from coadapt.experiments import load
from coadapt.experiments.base import PAPER, Experiment, scaled
from coadapt.schema import ConfigError, nearest
from coadapt.studies import until
from coadapt.sweep import Sweep, Variant


def _budgeted(values: Values, name: str) -> Experiment:
    """The experiment at its scale; what flags change is no scale's: 'table3@own'."""
    found, scale = load(name), get(values, "scale")
    if scale is None and found.cheap is None:
        return found
    made = scaled(found, scale or PAPER)
    own = ("set", "steps", "eval_every", "eval_episodes")
    if any(get(values, flag) for flag in own):
        made = dataclasses.replace(made, name=f"{found.name}@own")
    return made


def _chosen(
    values: Values, variants: Mapping[str, Sequence[Variant]]
) -> Mapping[str, Sequence[Variant]]:
    """Those of --variants, on the tasks that have any.

    Raises: ConfigError.
    """
    names = listed(get(values, "variants"))
    known = dict.fromkeys(v.name for found in variants.values() for v in found)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--variants has {name!r}: it must be one of {', '.join(known)}"
                f"{nearest(name, known)}"
            )
    if not names:
        return variants
    kept = {t: [v for v in vs if v.name in names] for t, vs in variants.items()}
    return {task: found for task, found in kept.items() if found}


def remarks(name: str) -> list[str]:
    """Lines of the plan: what is claimed of each choice, and what has no variant."""
    found = load(name)
    claims = [f"claim of {each}: {claim}" for each, claim in found.claims.items()]
    return claims + [f"left out: {each}: {why}" for each, why in found.left_out.items()]


def asked(values: Values, name: str) -> Sweep:
    """The sweep.

    Raises: ConfigError.
    """
    for other in ("algorithms", "grid", "factorial"):
        if get(values, other):
            raise ConfigError(
                f"--{other} and --experiment are both given: an experiment has its own "
                "variants; change them with --set."
            )
    if (get(values, "tasks") or get(values, "task")) and not variants_of.tasks(values):
        raise ConfigError("--tasks is empty: give a task, such as gym/Hopper-v5.")
    found = _budgeted(values, name)
    tasks = variants_of.tasks(values) or found.tasks
    variants = {
        task: variants_of.changed(values, found.variants(task)) for task in tasks
    }
    chosen = _chosen(values, variants)
    amounts = budget.amounts(
        values, found.seeds, 1, found.eval_every, found.eval_episodes
    )
    if not budget.steps_for_all(values):
        amounts["steps"] = {task: found.steps_on(task) for task in chosen}
    made = Sweep(experiment=found.name, variants=chosen, **amounts)
    return dataclasses.replace(made, protocol=_protocol(values, found, made))


def _protocol(values: Values, found: Experiment, asked: Sweep) -> dict[str, Any]:
    """What the plan fixes: of the whole, whichever part is asked for; {} of none.

    Seeds are how many an arm has, since they are split, and chosen anew.

    Raises: ConfigError.
    """
    if found.plan is None:
        return {}
    tasks = dict.fromkeys([*found.tasks, *asked.variants])
    all_alike = budget.steps_for_all(values)
    whole = dataclasses.replace(
        asked,
        variants={task: _changed(values, found, task) for task in tasks},
        steps=asked.steps if all_alike else {t: found.steps_on(t) for t in tasks},
    )
    return {
        "plan": found.plan._asdict(),
        "seeds": max(found.seeds, len(asked.seeds)),
        **until.fixed(whole),
    }


def _changed(values: Values, found: Experiment, task: str) -> Sequence[Variant]:
    """As flags change them, or as they are where a flag is of other tasks alone."""
    variants = found.variants(task)
    try:
        return variants_of.changed(values, variants)
    except ConfigError:
        return variants
