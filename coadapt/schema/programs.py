"""The leaves of configs: what differs, what is the program, and many as one."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.schema.errors import described
from coadapt.schema.kinds import (
    DTYPES,
    T,
    classes_of,
    fields_of,
    is_config,
    kind_of,
    walk,
)
from coadapt.schema.own_classes import name_of


def paths(config: object) -> Iterator[tuple[str, object]]:
    """Every leaf path and its value, as declared; a union gives its class's name."""
    for path, members, value in walk(config, ""):
        if not is_config(type(value)):
            yield path, value
        elif len(members) > 1:
            yield path, name_of(type(value), classes_of(members).values())


def statics(config: object) -> dict[str, object]:
    """Every path of `paths` that is part of the program: the compile key, in words."""
    traced = {p for p, members, _ in walk(config, "") if kind_of(members) == "traced"}
    return {path: value for path, value in paths(config) if path not in traced}


def diff(a: object, b: object) -> dict[str, tuple[object, object]]:
    """Paths whose values differ: (in a, in b), None where a side has no such path."""
    left, right = dict(paths(a)), dict(paths(b))
    pairs = {path: (left.get(path), right.get(path)) for path in {**left, **right}}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


class Field(NamedTuple):
    """What a field of a config may hold."""

    name: str
    kind: str  # traced, static or subtree
    allowed: str  # in words, as messages have it
    classes: tuple[type, ...]  # of a subtree


def fields(cls: type) -> list[Field]:
    """The fields of a class made with @config, in their order.

    Raises:
        TypeError: for another class.
    """
    return [
        Field(name, kind_of(hint), described(hint), tuple(classes_of(hint).values()))
        for name, hint in fields_of(cls).items()
    ]


def stack(configs: Sequence[T]) -> T:
    """One config whose leaves are arrays [N] over the N configs of one program.

    dtypes are float32, int32 and bool as the hints say, never weak, so a second
    stack does not retrace. Raises ValueError for none, or for unequal structures.
    """
    if not configs:
        raise ValueError("stack needs at least one config, got none")
    first, structure = configs[0], jax.tree.structure(configs[0])
    leaves = {
        path: next(member.base for member in members if member.traced)
        for path, members, value in walk(first, "")
        if kind_of(members) == "traced" and value is not None
    }
    for i, other in enumerate(configs):
        if jax.tree.structure(other) != structure:
            differ = [path for path in diff(first, other) if path not in leaves]
            raise ValueError(
                f"configs[{i}] is not the same program as configs[0]: they differ in "
                f"{', '.join(differ) or 'type'}, and only Scalar, Count and Toggle may"
            )
    columns = zip(*map(jax.tree.leaves, configs), strict=True)
    typed = zip(columns, leaves.values(), strict=True)
    arrays = [jnp.asarray(np.array(column, DTYPES[base])) for column, base in typed]
    return jax.tree.unflatten(structure, arrays)


def as_traced(config: T) -> T:
    """One config in the types that a program has it in: each traced field an array."""
    return jax.tree.map(lambda x: x[0], stack([config]))
