"""How much there is to run, as flags say: seeds, env steps, evaluations, references."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from coadapt import sweep
from coadapt.cli.values import Values, count, get, listed, number
from coadapt.metrics import registry
from coadapt.schema import ConfigError, nearest
from coadapt.sweep import Variant


def amounts(
    values: Values,
    seeds: int = 1,
    steps: int | None = None,
    every: int = sweep.DEFAULT,
    episodes: int = 10,
) -> dict[str, Any]:
    """What flags say of how much there is to run, as arguments of `Sweep`."""
    return {
        "seeds": seeds_of(values, seeds),
        "steps": _steps(values, steps),
        "references": _references(values),
        "eval_every": _interval(values, "eval_every", every),
        "eval_episodes": count(values, "eval_episodes", episodes),
        "checkpoint_every": _interval(values, "checkpoint_every", sweep.DEFAULT),
        "log": registry.chosen(listed(get(values, "log")) or ("default",)),
    }


def _interval(values: Values, name: str, default: int) -> int:
    """Env steps; what is not given is left to the sweep.

    Raises: ConfigError.
    """
    return default if get(values, name) is None else count(values, name)


def steps_for_all(values: Values) -> list[str]:
    """What --steps has beside steps of single algorithms or variants."""
    return [part for part in listed(get(values, "steps")) if ":" not in part]


def _steps(values: Values, default: int | None) -> int:
    """Raises: ConfigError."""
    text, first = get(values, "steps"), steps_for_all(values)
    if not text:
        return count(values, "steps", default)
    if len(first) > 1 or (not first and default is None):
        raise ConfigError(
            f"--steps is {text!r}: it must have one number for all, as in 1e5,awr:6e5."
        )
    return number("steps", first[0]) if first else int(default or 0)


def own_steps(values: Values, variants: Sequence[Variant]) -> list[Variant]:
    """With the env steps that --steps has of their name, of their algorithm, or of all.

    Raises: ConfigError.
    """
    own = {}
    for part in listed(get(values, "steps")):
        name, colon, text = part.rpartition(":")
        if name in own:
            raise ConfigError(f"--steps has {name!r} twice: give it once.")
        if colon:
            own[name] = number("steps", text)
    known = dict.fromkeys(name for v in variants for name in (v.algorithm, v.name))
    for name in own:
        if name not in known:
            raise ConfigError(
                f"--steps has {name!r}: it must be one of {', '.join(known)}"
                f"{nearest(name, known)}"
            )
    of_all = bool(steps_for_all(values))  # it goes before a row's own
    return [
        dataclasses.replace(
            v, steps=own.get(v.name, own.get(v.algorithm, None if of_all else v.steps))
        )
        for v in variants
    ]


def _references(values: Values) -> dict[str, float]:
    """Raises: ConfigError."""
    found = {}
    for text in get(values, "reference"):
        task, _, word = text.strip().rpartition(":")
        if task in found:
            raise ConfigError(f"--reference has {task} twice: give it once.")
        try:
            found[task] = float(word)
        except ValueError:
            task = ""
        if not task:
            raise ConfigError(
                f"--reference is {text!r}: it must be task:value, such as "
                "gym/Hopper-v5:3000."
            )
    return found


_SEEDS = re.compile(r"\d{1,99}(-\d{1,99})?(,\d{1,99}(-\d{1,99})?)*,?")


def seeds_of(values: Values, default: int) -> tuple[int, ...]:
    """Seeds of --seeds: a number of them, or '4-7', '4,5', '0-3,8'.

    Raises: ConfigError.
    """
    text = (get(values, "seeds") or "").replace(" ", "")
    if not _SEEDS.fullmatch(text) or text.isdecimal():
        try:
            number = count(values, "seeds", default, most=sweep.MOST_SEEDS)
        except ConfigError as error:
            words = str(error).rstrip(".")
            raise ConfigError(f"{words}, or say which: 4-7, or 4,5.") from None
        return sweep.seeds_of(number)
    ends = [[int(n) for n in part.split("-")] for part in listed(text)]
    if sum(part[-1] - part[0] + 1 for part in ends) > sweep.MOST_SEEDS:
        raise ConfigError(
            f"--seeds is {text!r}: it must be at most {sweep.MOST_SEEDS:,} seeds."
        )
    for first, *last in ends:
        if last and last[0] < first:
            raise ConfigError(
                f"--seeds has {first}-{last[0]}: write {last[0]}-{first}."
            )
    return tuple(seed for part in ends for seed in range(part[0], part[-1] + 1))
