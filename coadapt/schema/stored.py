"""Configs as JSON, and their fingerprints."""

import hashlib
import json
from typing import Any

from coadapt.schema.changes import make, set_at
from coadapt.schema.errors import ConfigError, shown, unknown_field, wrong_value
from coadapt.schema.kinds import (
    Member,
    Members,
    T,
    classes_of,
    fields_of,
    interface_of,
    is_config,
    join,
    name_today,
    spellings_of,
)
from coadapt.schema.own_classes import name_of, own_class
from coadapt.schema.values import checked


def to_dict(config: object) -> dict[str, Any]:
    """`config` as plain JSON types; a member of a union carries its class as 'kind'.

    `from_dict` is the exact inverse. Raises ConfigError if `config` is not valid.
    """
    items = fields_of(type(config)).items()
    return {name: _to_json(name, hint, getattr(config, name)) for name, hint in items}


def from_dict(cls: type[T], data: object) -> T:
    """Read what `to_dict` wrote; a field with a default may be absent.

    Raises ConfigError for an unknown or missing key, a wrong type or shape, an
    unknown kind and a value out of range, whatever `data` is.
    """
    return _from_json("", cls, data)


def fingerprint(config: object) -> str:
    """16 hex characters that name the values of `config` on every machine.

    sha256 over canonical JSON; a Scalar given as 1 and as 1.0 is the same.
    """
    text = json.dumps(to_dict(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _to_json(path: str, members: Members, value: Any) -> Any:
    made = checked(path, members, value)
    if not is_config(type(made)):
        return _listed(made)
    items = fields_of(type(made)).items()
    inner = {k: _to_json(join(path, k), hint, getattr(made, k)) for k, hint in items}
    classes, own = classes_of(members), type(made)
    kind = {"kind": name_of(own, classes.values())} if len(classes) > 1 else {}
    return kind | inner


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _from_json(path: str, cls: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        if not path:
            fields = ", ".join(fields_of(cls))
            raise ConfigError(
                f"the config is {shown(data)}, but must be an object with {fields}"
            )
        raise wrong_value(path, (Member(cls),), data)
    fields, others = fields_of(cls), spellings_of(cls)
    data = {name_today(cls, key): value for key, value in data.items()}
    for key in data:
        if key not in fields and key not in others:
            raise unknown_field(path, [str(key)], cls)
    own = {key: value for key, value in data.items() if key in fields}
    values = {key: _read(join(path, key), fields[key], v) for key, v in own.items()}
    made = make(path, cls, values)
    for key in data.keys() - own.keys():
        made = set_at(made, [key], data[key], path)
    return made


def _read(path: str, members: Members, data: Any) -> Any:
    classes = classes_of(members)
    if not classes or data is None:
        return checked(path, members, data, (list,))
    if len(classes) == 1:
        return _from_json(path, next(iter(classes.values())), data)
    if not isinstance(data, dict):
        raise wrong_value(path, members, data)
    # a file that is older than all classes but one does not name it
    kind = data.get("kind", getattr(interface_of(members), "unnamed", None))
    some = tuple(member for member in members if is_config(member.base))
    if isinstance(kind, str) and ":" in kind:
        classes = {kind: own_class(join(path, "kind"), some, kind, imports=False)}
    if not isinstance(kind, str) or kind not in classes:
        raise wrong_value(join(path, "kind"), some, kind)
    rest = {key: value for key, value in data.items() if key != "kind"}
    return _from_json(path, classes[kind], rest)
