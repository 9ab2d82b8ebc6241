"""Variants with a toggle and without, by algorithm, and the tasks of all."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from coadapt.analysis.comparison.arms import Arms
from coadapt.schema import ConfigError, nearest
from coadapt.sweep import label

Names = str | Sequence[str]


class Pair(NamedTuple):
    """Variants of an algorithm with a toggle and without, over which is averaged."""

    label: str
    on: tuple[str, ...]
    off: tuple[str, ...]

    @property
    def twins(self) -> list[tuple[str, str]]:
        """With it and without, in order; each with each where they are not as many."""
        if len(self.on) == len(self.off):
            return list(zip(self.on, self.off, strict=True))
        return list(itertools.product(self.on, self.off))


def pairs_of(
    toggle: str, on: object, off: object, variants: Sequence[str]
) -> list[Pair]:
    """Raises: ConfigError unless there are one or two, of variants that have rows."""
    if isinstance(on, Mapping):
        pairs = [Pair(str(label), *map(_names, two)) for label, two in on.items()]
    else:
        pairs = named(toggle, on, off, variants)
    if not 1 <= len(pairs) <= 2:
        whose = listed(pair.label for pair in pairs)
        raise ConfigError(
            f"{toggle} is of {len(pairs)} algorithms ({whose}): "
            "name one or two, as in on={'sac': ('sac', 'sac-single-q')}."
        )
    for name in (name for pair in pairs for name in (*pair.on, *pair.off)):
        if name not in variants:
            raise ConfigError(
                f"variant {name!r} has no rows of 'return'{nearest(name, variants)}"
            )
    return pairs


def require_twins(pairs: Sequence[Pair]) -> None:
    """Raises: ConfigError, where runs cannot be paired, as a variant has no other."""
    for pair in pairs:
        if len(pair.on) != len(pair.off):
            raise ConfigError(
                f"runs of {pair.label} cannot be paired by seed: variants with the "
                f"toggle are {len(pair.on)}, and without it {len(pair.off)}; they must "
                "be as many, or leave out correlation."
            )


def _names(value: Names) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


def named(path: str, on: object, off: object, variants: Sequence[str]) -> list[Pair]:
    """Of a grid's variants, those that differ in a field alone, by algorithm.

    Raises:
        ConfigError: where none do, or where `off` could be several.
    """
    with_it, found = f"{path}={label(on)}", dict[str, tuple[list[str], list[str]]]()
    for name in variants:
        parts = name.split("/")
        if with_it not in parts:
            continue
        i = parts.index(with_it)
        rest = [*parts[:i], *parts[i + 1 :]]
        twins = [
            other
            for other in variants
            if other != name and _without(other, path) == rest
            if off is None or f"{path}={label(off)}" in other.split("/")
        ]
        if len(twins) > 1:
            raise ConfigError(
                f"{name} has {len(twins)} counterparts ({listed(twins)}): choose one "
                "with off=value."
            )
        for twin in twins:
            home = "/".join(part for part in rest if "=" not in part)
            ours = found.setdefault(home, ([], []))
            ours[0].append(name)
            ours[1].append(twin)
    if not found:
        raise ConfigError(
            f"no variant with {path}={label(on)} has a counterpart that differs in "
            f"this field alone; the variants are {listed(variants)}."
        )
    return [Pair(home, tuple(a), tuple(b)) for home, (a, b) in found.items()]


def _without(name: str, path: str) -> list[str]:
    return [part for part in name.split("/") if not part.startswith(f"{path}=")]


def common_tasks(
    arms: Arms, pairs: Sequence[Pair], asked: Sequence[str]
) -> tuple[str, ...]:
    """Tasks on which all variants have finished runs.

    Raises: ConfigError.
    """
    names = [name for pair in pairs for name in (*pair.on, *pair.off)]
    there = list(dict.fromkeys(task for task, _ in arms))
    for task in asked:
        if task not in there:
            near = nearest(task, there)
            raise ConfigError(f"there are no rows of task {task!r}{near}")
    tasks = tuple(
        task
        for task in asked or there
        if all((task, n) in arms and arms[task, n].seeds for n in names)
    )
    if not tasks:
        raise ConfigError(
            f"no task has finished runs of all of {listed(dict.fromkeys(names))}."
        )
    return tasks
