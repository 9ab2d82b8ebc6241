"""A config with changes, checked; where a path is unknown, a way out that was tried."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from coadapt import aliases, schema
from coadapt.config import BoundCost, BoundLoss, BoundWeights, Config
from coadapt.schema import ConfigError, UnknownFieldError
from coadapt.validation.config_rules import check

T = TypeVar("T")

_MOST = 3  # paths that a hint names
# who has another name for a field does not ask for another algorithm
_ALGORITHM = ("pi_q", "pi_p", "pi_q_update", "pi_p_update", "g")


def override(config: T, changes: Mapping[str, object]) -> T:
    """`config` with the value at each dotted path replaced, in order.

    A string is read by the hint of its field: '3e-4', '1e6', 'off', '256,256',
    'none', or the name of a class of a union. A new class keeps the old value's
    fields of the same name where they are valid; its own name changes nothing.
    Fields that are changed together have one key, 'a.b+c.d'.

    Raises:
        ConfigError: for a path or a value that does not fit. Whether the whole is a
            valid combination is checked where it is used.
    """
    try:
        return schema.override(config, changes)
    except UnknownFieldError as error:
        if not isinstance(config, Config):
            raise
        asked = _Asked(config, schema.single(changes), error)
        raise ConfigError(error.fact + _way_out(asked)) from None


def change(config: Config, changes: Mapping[str, object]) -> Config:
    """`override`, and checked.

    Where pi_theta gains or loses its tanh and `bounds` is not set too, the penalty that
    keeps actions in the box goes or comes with it: one of the two has to (settings
    1.7).

    Raises:
        ConfigError: for a path, a value or a combination that is not valid.
    """
    changed = _with_bounds(config, override(config, changes), changes)
    check(changed)
    return changed


def _with_bounds(
    config: Config, changed: Config, changes: Mapping[str, object]
) -> Config:
    named = any(path.split(".")[0] == "bounds" for path in schema.single(changes))
    before, free = (not c.pi_theta.bounded for c in (config, changed))
    if not named and before and not free:
        return dataclasses.replace(changed, bounds=None)
    if not named and free and config.pi_theta.has_moments and not before:
        return dataclasses.replace(changed, bounds=_penalty(changed))
    return changed


def _penalty(config: Config) -> BoundCost | BoundLoss | BoundWeights:
    """The penalty that fits how the policy is found."""
    if config.pi_q.by_samples:
        return BoundCost()
    return BoundWeights() if config.pi_p.samples > 1 else BoundLoss()


# ---------------------------------------------------------------- ways out


class _Asked(NamedTuple):
    """Changes of which one is of an unknown field."""

    config: Config
    changes: dict[str, object]
    error: UnknownFieldError

    def others(self, switch: Mapping[str, object]) -> list[dict[str, object]]:
        """The changes with a switch in the place of the unknown; or without later ones,
        which may have mistakes of their own."""
        items = list(self.changes.items())
        at = list(self.changes).index(self.error.path)
        before, after = dict(items[:at]), dict(items[at + 1 :])
        return [before | {**switch} | after, before | {**switch}]

    @property
    def found(self) -> Config:
        """The config as it is where the unknown is met."""
        return schema.override(self.config, self.others({})[1])


def _way_out(asked: _Asked) -> str:
    """The first hint that there is, or ''."""
    return next((hint for hint in _hints(asked) if hint), "")


def _hints(asked: _Asked) -> Iterator[str]:
    error, known = asked.error, dict(schema.paths(asked.found))
    yield _switched(asked, error.path, "")
    yield from _alias(asked, known)
    own = schema.near(error.name, error.own)
    elsewhere = [field.name for cls in error.union for field in schema.fields(cls)]
    other = schema.near(error.name, elsewhere)
    if own or other is None:
        yield f"; did you mean {own!r}?" if own else ""
    else:
        path = f"{error.parent}.{other}"
        yield _switched(asked, path, f"; did you mean {other!r}? ")
    leaves: dict[str, list[str]] = {}
    for path in known:
        leaves.setdefault(path.split(".")[-1], []).append(path)
    yield _meant(leaves.get(error.name.lower(), []))
    near = schema.near(error.path.split(".")[-1], leaves)
    yield _meant(leaves[near]) if near else ""


def _alias(asked: _Asked, known: Mapping[str, object]) -> Iterator[str]:
    """What another program's name is here."""
    paths = aliases.fields(asked.error.path)
    yield _meant([path for path in paths if path in known])
    for path in paths:
        yield _switched(asked, path, f"; it is {path!r} here: ")


def _meant(paths: list[str]) -> str:
    return f"; did you mean {' or '.join(map(repr, paths[:_MOST]))}?" if paths else ""


def _switched(asked: _Asked, path: str, head: str) -> str:
    """With which class of a union the config has the path; '' where with none.

    A class is named to be set only if the config is then valid.
    """
    try:
        schema.override(asked.found, {path: None})
    except UnknownFieldError as missing:
        parent, name, union = missing.parent, missing.name, missing.union
    except ConfigError:  # it is there
        return ""
    having = [cls for cls in union if name in (f.name for f in schema.fields(cls))]
    if not having:
        return ""
    names = ", ".join(cls.__name__ for cls in having)
    words = f"{head or '; '}{names} {'has' if len(having) == 1 else 'have'} it"
    allowed = not head or parent not in _ALGORITHM
    tried = (cls.__name__ for cls in having if _fits(asked, parent, cls, path))
    fitting = next(tried, None) if allowed else None
    if fitting is None:
        return f"{words}, but {parent} cannot be that in this config"
    return f"{words}: set {parent}={fitting} first"


def _fits(asked: _Asked, parent: str, cls: Any, path: str) -> bool:
    """Whether, with this class at `parent`, the config is valid and has the path."""
    for changes in asked.others({parent: cls.__name__}):
        try:
            made = schema.override(asked.config, changes)
            made = _with_bounds(asked.config, made, changes)
            check(made)
        except ConfigError:
            continue
        if any(p == path or p.startswith(f"{path}.") for p, _ in schema.paths(made)):
            return True
    return False
