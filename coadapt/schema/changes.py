"""Configs with the values at some paths replaced."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from coadapt.schema.errors import ConfigError, described, must_be, unknown_field
from coadapt.schema.kinds import (
    Members,
    T,
    classes_of,
    fields_of,
    fits_interface,
    is_config,
    join,
    members_of,
    name_today,
    spellings_of,
)
from coadapt.schema.own_classes import own_class
from coadapt.schema.values import MISFIT, checked, fitted, validate
from coadapt.system.notes import note_once

FLAGS = (tuple, list, str)  # what may stand for a value in override; JSON: lists


def override(config: T, changes: Mapping[str, object]) -> T:
    """`config` with the value at each dotted path replaced, in order.

    A string is read by the hint of its field: '3e-4', '1e6', 'off', '256,256',
    'none', or the name of a class of a union. A new class keeps the old value's
    fields of the same name where they are valid; its own name changes nothing.
    Fields that are changed together have one key, 'a.b+c.d'. Raises ConfigError.
    """
    changed: Any = config
    for path, value in single(changes).items():
        changed = set_at(changed, path.split("."), value)
    return changed


def single(changes: Mapping[str, object]) -> dict[str, object]:
    """Each path by itself, of changes whose keys may be several: 'a.b+c.d'.

    Raises: ConfigError.
    """
    must_be(changes, Mapping, "changes", "a dict of paths and values")
    pairs = [(tied(path), value) for path, value in changes.items()]
    return {path: value for paths, value in pairs for path in paths}


def tied(path: object) -> list[str]:
    """The paths of one key of changes: ['a.b', 'c.d'] of 'a.b+c.d'."""
    return str(path).split("+")


def set_at(
    at: Any, names: list[str], value: Any, parent: str = "", union: Any = ()
) -> Any:
    name, *rest = names
    if (now := name_today(type(at), name)) != name:
        note_once(f"{join(parent, name)} is called {join(parent, now)} now.")
        name = now
    other = spellings_of(type(at)).get(name)
    if other is not None and not rest:
        read = checked(join(parent, name), members_of(other.hint), value, FLAGS)
        return dataclasses.replace(at, **{other.field: other.value(read)})
    if not is_config(type(at)) or name not in fields_of(type(at)):
        raise unknown_field(parent, [name, *rest], at, union)
    path, members, old = (
        join(parent, name),
        fields_of(type(at))[name],
        getattr(at, name),
    )
    if rest:
        new = set_at(old, rest, value, path, list(classes_of(members).values()))
    elif classes_of(members):
        new = _assign(path, members, old, value)
    else:
        new = checked(path, members, value, FLAGS)
    return dataclasses.replace(at, **{name: new})


def _assign(path: str, members: Members, old: Any, value: Any) -> Any:
    """A subtree: by the name of a class, the class, an instance, or None."""
    classes, new = classes_of(members), value
    if isinstance(new, str):
        new = classes.get(new.strip(), new)
    if isinstance(new, str) and ":" in new:
        new = own_class(path, members, new.strip(), imports=True)
    if isinstance(new, type) and (
        new in classes.values() or fits_interface(members, new)
    ):
        new = old if type(old) is new else _switch(path, old, new)
    new = checked(path, members, new, FLAGS)
    if new is not None:
        validate(new, path)
    return new


def _switch(path: str, old: Any, cls: Any) -> Any:
    """A `cls` with the fields that `old` has too, where they are valid for it."""
    shared = fields_of(type(old)) if is_config(type(old)) else {}
    names = [name for name in fields_of(cls) if name in shared]
    kept = {name: fitted(fields_of(cls)[name], getattr(old, name)) for name in names}
    return make(path, cls, {name: v for name, v in kept.items() if v is not MISFIT})


def make(path: str, cls: Any, values: dict[str, Any]) -> Any:
    none = dataclasses.MISSING
    for field in dataclasses.fields(cls):
        has_default = field.default is not none or field.default_factory is not none
        if field.name not in values and not has_default:
            raise ConfigError(
                f"{join(path, field.name)} is missing: {cls.__name__} has no default "
                f"for it, and it must be {described(fields_of(cls)[field.name])}"
            )
    return cls(**values)
