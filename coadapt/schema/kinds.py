"""Config classes, and what the hints of their fields say."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import jax
import numpy as np

from coadapt.aliases import RENAMED

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Traced:
    """Marks a hint whose value is an array leaf: float32, int32 or bool."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number, written beside its hint: `Annotated[int, Range(ge=1)]`."""

    gt: float = -math.inf
    ge: float = -math.inf
    lt: float = math.inf
    le: float = math.inf

    def __contains__(self, number: float) -> bool:
        return self.ge <= number <= self.le and self.gt < number < self.lt

    def __str__(self) -> str:
        bounds = {">": self.gt, ">=": self.ge, "<": self.lt, "<=": self.le}
        kept = [f"{sign} {v:g}" for sign, v in bounds.items() if math.isfinite(v)]
        return " and ".join(kept)


class Spelling(NamedTuple):
    """Another name of a field, which a class has in `spelled`, by that name.

    It is read where configs are changed and where files are read, never written.
    """

    field: str
    hint: Any  # of the values that are written under the other name
    value: Callable[[Any], Any]  # what the field is then


Scalar = Annotated[float, Traced()]
Count = Annotated[int, Traced()]
Toggle = Annotated[bool, Traced()]
Positive = Annotated[Scalar, Range(gt=0)]
NonNegative = Annotated[Scalar, Range(ge=0)]
Fraction = Annotated[Scalar, Range(ge=0, le=1)]
Size = Annotated[int, Range(ge=1)]
DTYPES = {float: np.float32, int: np.int32, bool: np.bool_}


@typing.dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,)
)
def config(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, keyword-only dataclass and a pytree.

    Nothing is validated when an instance is made (JAX makes them of tracers): call
    `validate` at the door. Raises TypeError for a hint that has no meaning here.
    """
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    hints = typing.get_type_hints(made, include_extras=True)
    members, data, meta = {}, [], []
    for name in (field.name for field in dataclasses.fields(made)):
        if name == "kind":
            raise TypeError(f"{made.__name__}.kind: the name is taken by to_dict")
        try:
            members[name] = members_of(hints[name])
            (meta if kind_of(members[name]) == "static" else data).append(name)
        except TypeError as error:
            raise TypeError(f"{made.__name__}.{name}: {error}") from None
    made.__config__ = members
    _register(made, tuple(data), tuple(meta))
    return made


def _register(cls: type, data: tuple[str, ...], meta: tuple[str, ...]) -> None:
    """Make `cls` a pytree: fields of `data` are its children, of `meta` its program.

    Not by `jax.tree_util.register_dataclass`: with jaxlib 0.10.2 structures that differ
    in the class alone compare equal there. Their hashes differ, but a table compares
    wherever a part of them is alike, so that `jax.jit` now and then (some 1% of pairs
    and processes) ran the program of LearnedStd for LearnedLogStd.
    """
    keys, names = [jax.tree_util.GetAttrKey(name) for name in data], data + meta

    def parts(x: Any) -> tuple[list[Any], tuple[Any, ...]]:
        own = x.__dict__
        return [own[name] for name in data], tuple([own[name] for name in meta])

    def keyed(x: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children, fixed = parts(x)
        return list(zip(keys, children, strict=True)), fixed

    def joined(fixed: Iterable[Any], children: Iterable[Any]) -> Any:
        made = object.__new__(cls)  # as often as a program is called: no checks here
        made.__dict__.update(zip(names, (*children, *fixed), strict=True))
        return made

    jax.tree_util.register_pytree_with_keys(cls, keyed, joined, parts)


class Member(NamedTuple):
    base: Any  # float, int, bool, str, NoneType, Literal[...], tuple[...] or a config
    ranges: tuple[Range, ...] = ()
    traced: bool = False

    def marked(self, ranges: tuple[Range, ...], traced: bool) -> "Member":
        if self.base is types.NoneType:
            return self
        if ranges and self.base not in (int, float):
            raise TypeError(f"a Range is of numbers, not of {self.base}")
        return Member(self.base, self.ranges + ranges, self.traced or traced)


Members = tuple[Member, ...]


@functools.cache
def members_of(hint: Any) -> Members:
    args, origin = typing.get_args(hint), typing.get_origin(hint)
    if origin is Annotated:
        ranges = tuple(e for e in hint.__metadata__ if isinstance(e, Range))
        traced = any(isinstance(e, Traced) for e in hint.__metadata__)
        return tuple(m.marked(ranges, traced) for m in members_of(args[0]))
    if origin in (typing.Union, types.UnionType):
        return tuple(member for arg in args for member in members_of(arg))
    known = is_config(hint) or hint in (*DTYPES, str, types.NoneType)
    if origin is Literal:
        known = all(isinstance(arg, str | int) for arg in args)
    if origin is tuple:
        known = all(
            kind_of(members_of(arg)) == "static" for arg in args if arg is not ...
        )
    if not known:
        raise TypeError(f"a config cannot hold {hint}")
    return (Member(hint),)


def kind_of(members: Members) -> str:
    some = [member for member in members if member.base is not types.NoneType]
    if some and len(classes_of(members)) == len(some):
        return "subtree"
    if len(some) == 1 and some[0].traced:
        return "traced"
    if classes_of(members) or any(member.traced for member in some):
        raise TypeError("a union is of configs of distinct names, or of static types")
    return "static"


def is_config(cls: object) -> bool:
    """Whether it is a class made with @config."""
    return isinstance(cls, type) and "__config__" in vars(cls)


def fields_of(cls: type) -> dict[str, Members]:
    if not is_config(cls):
        raise TypeError(f"{cls.__name__} is not a class made with @config")
    return vars(cls)["__config__"]


def spellings_of(cls: type) -> Mapping[str, Spelling]:
    return vars(cls).get("spelled", {}) if is_config(cls) else {}


def name_today(cls: type, name: str) -> str:
    """The field's name: today's, if an older version had this one."""
    has = fields_of(cls) if is_config(cls) else {}
    now = RENAMED.get(cls.__name__, {}).get(name, name)
    return now if name not in has and now in has else name


def classes_of(members: Members) -> dict[str, Any]:
    return {m.base.__name__: m.base for m in members if is_config(m.base)}


def walk(config: Any, prefix: str) -> Iterator[tuple[str, Members, Any]]:
    for name, members in fields_of(type(config)).items():
        path, value = join(prefix, name), getattr(config, name)
        yield path, members, value
        if is_config(type(value)):
            yield from walk(value, path)


@functools.cache
def interface_of(members: Members) -> type | None:
    """What all classes of a union are made after, if there is such a thing."""
    kinds = [*classes_of(members).values()]
    first = kinds[0].__mro__ if len(kinds) > 1 else ()
    shared = (
        base
        for base in first
        if getattr(base, "_is_protocol", False) and base is not typing.Protocol
    )
    return next((b for b in shared if all(b in k.__mro__ for k in kinds)), None)


def fits_interface(members: Members, kind: object) -> bool:
    face = interface_of(members)
    return is_config(kind) and face is not None and face in kind.__mro__  # type: ignore[union-attr]


def join(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name
