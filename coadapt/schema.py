"""Typed configs that are pytrees: `jax.tree.structure(config)` is the compile key.

The type hint of a field, and nothing else, says what the field is:
    traced   Scalar, Count, Toggle: a leaf; vmapped over agents, never retraces
    subtree  a config class, a union of them, or None: its class is the program
    static   int, float, bool, str, Literal, tuple and unions of these: the program
A union is also the registry of its classes: names are looked up in the hint. Where its
classes share an interface, a class of a user's own module that has it may stand there
too, and is called 'module:Name'.
"""

import contextlib
import dataclasses
import difflib
import functools
import hashlib
import importlib
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.aliases import RENAMED
from coadapt.notes import note_once

T = TypeVar("T")


class ConfigError(ValueError):
    """A user's mistake, in one sentence: the path, what came, what is allowed."""

    def __init__(self, sentence: str):
        super().__init__(" ".join(sentence.split()))  # in one line, whatever came


class UnknownFieldError(ConfigError):
    """A path that a config does not have; who knows more can say a way out.

    Args:
        fact: the sentence, without one.
        path: all of the path that was asked for.
        parent: the part of it that there is.
        name: the next part, which there is not.
        own: the fields at `parent`.
        union: the classes that may stand there.
    """

    def __init__(
        self,
        fact: str,
        path: str,
        parent: str,
        name: str,
        own: Sequence[str],
        union: Sequence[type],
    ):
        self.fact, self.path, self.parent, self.name = fact, path, parent, name
        self.own, self.union = own, union
        super().__init__(fact + self._hint())

    def _hint(self) -> str:
        others = [cls.__name__ for cls in self.union if self.name in _fields(cls)]
        if others:
            return f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
        elsewhere = [field for cls in self.union for field in _fields(cls)]
        return nearest(self.name, [*self.own, *elsewhere])


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

_DTYPES = {float: np.float32, int: np.int32, bool: np.bool_}
_WORDS = {"true": True, "on": True, "yes": True, "1": True}
_WORDS |= {"false": False, "off": False, "no": False, "0": False}
_NO = object()  # "this value does not fit"; None is a value
_WIDTH = 60  # of a value in a message
_FLAGS = (tuple, list, str)  # what may stand for a value in override; JSON: lists
_TRACED_MAX = {float: float(np.finfo(np.float32).max), int: 2**31 - 1}
_STATIC_MAX = {float: sys.float_info.max, int: math.inf}


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
            members[name] = _members(hints[name])
            (meta if _kind(members[name]) == "static" else data).append(name)
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


def nearest(word: object, allowed: Iterable[str]) -> str:
    """The phrase "; did you mean 'x'?" for the likeliest of `allowed`, or ''."""
    found = near(word, allowed)
    return f"; did you mean {found!r}?" if found else ""


def near(word: object, allowed: Iterable[str]) -> str | None:
    """The likeliest of `allowed`, if one is alike."""
    names = {name.lower(): name for name in reversed(list(allowed))}
    found = difflib.get_close_matches(str(word).lower()[:80], names, n=1)
    return names[found[0]] if found else None


def must_be(value: object, kinds: type | tuple, name: str, words: str) -> None:
    """Refuse an argument of another type. Raises: ConfigError."""
    if not isinstance(value, kinds):
        raise ConfigError(f"{name} is {shown(value)}: it must be {words}.")


def unknown(what: str, got: object, has: str, names: Iterable[str]) -> ConfigError:
    """'task is 'x': the run store has a, b; did you mean 'a'?'; `has`: whose names."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return ConfigError(
        f"{what} is {shown(got)}: {has} {', '.join(known[:8]) or 'none'}{more}"
        f"{nearest(got, known) or '.'}"
    )


def plain(value: Any) -> Any:
    """Numbers and arrays of NumPy and its like as Python's; all else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def shown(value: object) -> str:
    """A value as it stands in a sentence: in one line, and not too long."""
    if is_config(type(value)):
        return f"a {type(value).__name__}"
    try:
        text = value.__name__ if isinstance(value, type) else repr(value)
    except (ValueError, RecursionError):  # an int of 5000 digits, a list 1000 deep
        text = f"some {type(value).__name__}"
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}..."


def validate(config: object, prefix: str = "") -> None:
    """Check type, range and membership of every field below `config`.

    `prefix` is the path of `config` itself, for the message. Not for traced or
    stacked configs. Raises ConfigError at the first bad field, in declared order.
    """
    for path, members, value in _walk(config, prefix):
        _check(path, members, value)  # before _walk descends


def override(config: T, changes: Mapping[str, object]) -> T:
    """`config` with the value at each dotted path replaced, in order.

    A string is read by the hint of its field: '3e-4', '1e6', 'off', '256,256',
    'none', or the name of a class of a union. A new class keeps the old value's
    fields of the same name where they are valid; its own name changes nothing.
    Fields that are changed together have one key, 'a.b+c.d'. Raises ConfigError.
    """
    changed: Any = config
    for path, value in single(changes).items():
        changed = _set(changed, path.split("."), value)
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


def to_dict(config: object) -> dict[str, Any]:
    """`config` as plain JSON types; a member of a union carries its class as 'kind'.

    `from_dict` is the exact inverse. Raises ConfigError if `config` is not valid.
    """
    items = _fields(type(config)).items()
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


def paths(config: object) -> Iterator[tuple[str, object]]:
    """Every leaf path and its value, as declared; a union gives its class's name."""
    for path, members, value in _walk(config, ""):
        if not is_config(type(value)):
            yield path, value
        elif len(members) > 1:
            yield path, name_of(type(value), _classes(members).values())


def statics(config: object) -> dict[str, object]:
    """Every path of `paths` that is part of the program: the compile key, in words."""
    traced = {p for p, members, _ in _walk(config, "") if _kind(members) == "traced"}
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

    Raises: TypeError for another class.
    """
    return [
        Field(name, _kind(hint), _describe(hint), tuple(_classes(hint).values()))
        for name, hint in _fields(cls).items()
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
        for path, members, value in _walk(first, "")
        if _kind(members) == "traced" and value is not None
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
    arrays = [jnp.asarray(np.array(column, _DTYPES[base])) for column, base in typed]
    return jax.tree.unflatten(structure, arrays)


# Hints, read as a tuple of members: one, or as many as the union has.


class _Member(NamedTuple):
    base: Any  # float, int, bool, str, NoneType, Literal[...], tuple[...] or a config
    ranges: tuple[Range, ...] = ()
    traced: bool = False

    def marked(self, ranges: tuple[Range, ...], traced: bool) -> "_Member":
        if self.base is types.NoneType:
            return self
        if ranges and self.base not in (int, float):
            raise TypeError(f"a Range is of numbers, not of {self.base}")
        return _Member(self.base, self.ranges + ranges, self.traced or traced)


_Members = tuple[_Member, ...]


@functools.cache
def _members(hint: Any) -> _Members:
    args, origin = typing.get_args(hint), typing.get_origin(hint)
    if origin is Annotated:
        ranges = tuple(e for e in hint.__metadata__ if isinstance(e, Range))
        traced = any(isinstance(e, Traced) for e in hint.__metadata__)
        return tuple(m.marked(ranges, traced) for m in _members(args[0]))
    if origin in (typing.Union, types.UnionType):
        return tuple(member for arg in args for member in _members(arg))
    known = is_config(hint) or hint in (*_DTYPES, str, types.NoneType)
    if origin is Literal:
        known = all(isinstance(arg, str | int) for arg in args)
    if origin is tuple:
        known = all(_kind(_members(arg)) == "static" for arg in args if arg is not ...)
    if not known:
        raise TypeError(f"a config cannot hold {hint}")
    return (_Member(hint),)


def _kind(members: _Members) -> str:
    some = [member for member in members if member.base is not types.NoneType]
    if some and len(_classes(members)) == len(some):
        return "subtree"
    if len(some) == 1 and some[0].traced:
        return "traced"
    if _classes(members) or any(member.traced for member in some):
        raise TypeError("a union is of configs of distinct names, or of static types")
    return "static"


def is_config(cls: object) -> bool:
    """Whether it is a class made with @config."""
    return isinstance(cls, type) and "__config__" in vars(cls)


def _fields(cls: type) -> dict[str, _Members]:
    if not is_config(cls):
        raise TypeError(f"{cls.__name__} is not a class made with @config")
    return vars(cls)["__config__"]


def _spelled(cls: type) -> Mapping[str, Spelling]:
    return vars(cls).get("spelled", {}) if is_config(cls) else {}


def _today(cls: type, name: str) -> str:
    """The field's name: today's, if an older version had this one."""
    has = _fields(cls) if is_config(cls) else {}
    now = RENAMED.get(cls.__name__, {}).get(name, name)
    return now if name not in has and now in has else name


def _classes(members: _Members) -> dict[str, Any]:
    return {m.base.__name__: m.base for m in members if is_config(m.base)}


def _walk(config: Any, prefix: str) -> Iterator[tuple[str, _Members, Any]]:
    for name, members in _fields(type(config)).items():
        path, value = _join(prefix, name), getattr(config, name)
        yield path, members, value
        if is_config(type(value)):
            yield from _walk(value, path)


# Classes of a user's own, by their module


def name_of(kind: type, union: Iterable[type]) -> str:
    """How a class of a union is called; one that is not in it with its module."""
    own = kind.__name__
    return own if kind in union else f"{kind.__module__}:{own}"


@functools.cache
def _interface(members: _Members) -> type | None:
    """What all classes of a union are made after, if there is such a thing."""
    kinds = [*_classes(members).values()]
    first = kinds[0].__mro__ if len(kinds) > 1 else ()
    shared = (
        base
        for base in first
        if getattr(base, "_is_protocol", False) and base is not typing.Protocol
    )
    return next((b for b in shared if all(b in k.__mro__ for k in kinds)), None)


def _fits_interface(members: _Members, kind: object) -> bool:
    face = _interface(members)
    return is_config(kind) and face is not None and face in kind.__mro__  # type: ignore[union-attr]


def _own(path: str, members: _Members, word: str, *, imports: bool) -> Any:
    """The class that 'module:Name' names. Raises: ConfigError."""
    module, _, name = word.partition(":")
    face = _interface(members)
    if face is None or not module or not name:
        raise _wrong(path, members, word)
    if module not in sys.modules and not imports:
        raise ConfigError(
            f"{path} is {word}: a file imports nothing by itself, so import {module} "
            f"first (--import={module})."
        )
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(f"{path} is {word}: {error}.") from None
    if not _fits_interface(members, kind):
        raise ConfigError(
            f"{path} is {word}: it must be a class made with @config after "
            f"{face.__module__}.{face.__name__}, as {_describe(members)} are."
        )
    return kind


def _join(parent: str, name: str) -> str:
    return f"{parent}.{name}" if parent else name


# Values


def _check(path: str, members: _Members, value: Any, forms: tuple = (tuple,)) -> Any:
    """`value` in the hint's own type; `forms` may stand for tuples and for text."""
    made = _fit(members, value, forms)
    if made is _NO:
        raise _wrong(path, members, value)
    return made


def _fit(members: _Members, value: Any, forms: tuple = (tuple,)) -> Any:
    """The first member that fits: 'none' is read as None before it is read as text."""
    order = sorted(members, key=lambda m: (m.base is str, m.base is not types.NoneType))
    fits = (_convert(member, value, forms) for member in order)
    made = next((made for made in fits if made is not _NO), _NO)
    own = made is _NO and _fits_interface(members, type(value))
    return value if own else made


def _convert(member: _Member, value: Any, forms: tuple) -> Any:
    base, origin = member.base, typing.get_origin(member.base)
    text = isinstance(value, str) and str in forms
    value = str(value) if text else value
    word = value.strip() if text else value
    if origin is tuple:
        return _items(typing.get_args(base), _split(word) if text else word, forms)
    if origin is Literal:
        named = [(str(arg) if text else arg, arg) for arg in typing.get_args(base)]
        same = (arg for key, arg in named if type(key) is type(word) and key == word)
        return next(same, _NO)
    if base in _DTYPES:
        return _number(member, _parse(base, word) if text else value)
    if base is types.NoneType and text and word.lower() == "none":
        return None
    return value if type(value) is base else _NO


def _items(args: tuple, items: Any, forms: tuple) -> Any:
    if not isinstance(items, forms):
        return _NO
    if args[1:] == (...,):
        args = args[:1] * len(items)
    pairs = zip(args, items, strict=False)
    made = tuple(_fit(_members(arg), item, forms) for arg, item in pairs)
    return _NO if len(args) != len(items) or _NO in made else made


def _split(word: str) -> Any:
    bare = word[1:-1].strip() if word[:1] + word[-1:] in ("()", "[]") else word
    items = [item.strip() for item in bare.removesuffix(",").split(",")]
    return (items if bare else []) if word else _NO


def _parse(base: Any, word: str) -> Any:
    if base is bool:
        return _WORDS.get(word.lower(), word)
    with contextlib.suppress(ValueError):
        return base(word)
    with contextlib.suppress(ValueError):
        number = float(word)  # an int may be '1e6', while floats hold it exactly
        if number.is_integer() and abs(number) <= 2**53:
            return int(number)
    return word


def _number(member: _Member, value: Any) -> Any:
    base, number = member.base, value
    array = isinstance(value, np.ndarray | jax.Array) and value.shape == ()
    if isinstance(value, np.generic) or (member.traced and array):
        number = value.item()
    if type(number) is not base and not (base is float and type(number) is int):
        return _NO
    if base is bool:
        return number
    limit = (_TRACED_MAX if member.traced else _STATIC_MAX)[base]
    if not abs(number) <= limit:
        return _NO  # NaN is not <= anything
    read = float(np.float32(number)) if member.traced and base is float else number
    if any(number not in r or read not in r for r in member.ranges):
        return _NO  # also one that float32 rounds out of its range
    return base(number) + 0  # -0.0 becomes 0.0: equal configs, equal fingerprints


# Errors


def _wrong(path: str, members: _Members, value: object) -> ConfigError:
    literals = [m.base for m in members if typing.get_origin(m.base) is Literal]
    names = [str(arg) for base in literals for arg in typing.get_args(base)]
    word = value if isinstance(value, str) else getattr(value, "__name__", "")
    near = nearest(str(word), [*names, *_classes(members)])
    return ConfigError(
        f"{path} is {shown(value)}, but must be {_describe(members)}{near}"
    )


def _unknown(
    parent: str, names: Sequence[str], at: object, union: Sequence[Any] = ()
) -> UnknownFieldError:
    """`at` is the class or the value at `parent`; `union`, the classes it may have."""
    cls: Any = at if isinstance(at, type) else type(at)
    has = list(_fields(cls)) if is_config(cls) else []
    owner = cls.__name__ if is_config(cls) else shown(at)
    here, path = _join(parent, names[0]), _join(parent, ".".join(names))
    text = f"{here or repr('')} is not a field of {owner} (it has "
    text += f"{', '.join(has) or 'none'})"
    if union and not has and not any(names[0] in _fields(other) for other in union):
        text += f"; {parent} may be {' or '.join(other.__name__ for other in union)}"
    return UnknownFieldError(text, path, parent, names[0], has, union)


def _describe(members: _Members) -> str:
    words = {float: "a finite float", int: "an int", bool: "true or false"}
    words |= {str: "a string", types.NoneType: "None"}
    texts = []
    for base, ranges, traced in members:
        args, text = typing.get_args(base), words.get(base) or shown(base)
        if typing.get_origin(base) is Literal:
            # sorted: typing takes Literals for equal in whatever order they stand,
            # and hands out the one that it met first
            text = " or ".join(sorted(map(repr, args)))
        elif typing.get_origin(base) is tuple:
            items = [_describe(_members(arg)) for arg in args if arg is not ...]
            text = f"a tuple of ({', '.join(items)})"
            text = f"a tuple, each item {items[0]}" if ... in args else text
        bits = "32" if traced and base is not bool else ""
        texts.append(" ".join([text + bits, *map(str, ranges)]))
    return " or ".join(texts)


# Changes, and JSON


def _set(
    at: Any, names: list[str], value: Any, parent: str = "", union: Any = ()
) -> Any:
    name, *rest = names
    if (now := _today(type(at), name)) != name:
        note_once(f"{_join(parent, name)} is called {_join(parent, now)} now.")
        name = now
    other = _spelled(type(at)).get(name)
    if other is not None and not rest:
        read = _check(_join(parent, name), _members(other.hint), value, _FLAGS)
        return dataclasses.replace(at, **{other.field: other.value(read)})
    if not is_config(type(at)) or name not in _fields(type(at)):
        raise _unknown(parent, [name, *rest], at, union)
    path, members, old = _join(parent, name), _fields(type(at))[name], getattr(at, name)
    if rest:
        new = _set(old, rest, value, path, list(_classes(members).values()))
    elif _classes(members):
        new = _assign(path, members, old, value)
    else:
        new = _check(path, members, value, _FLAGS)
    return dataclasses.replace(at, **{name: new})


def _assign(path: str, members: _Members, old: Any, value: Any) -> Any:
    """A subtree: by the name of a class, the class, an instance, or None."""
    classes, new = _classes(members), value
    if isinstance(new, str):
        new = classes.get(new.strip(), new)
    if isinstance(new, str) and ":" in new:
        new = _own(path, members, new.strip(), imports=True)
    if isinstance(new, type) and (
        new in classes.values() or _fits_interface(members, new)
    ):
        new = old if type(old) is new else _switch(path, old, new)
    new = _check(path, members, new, _FLAGS)
    if new is not None:
        validate(new, path)
    return new


def _switch(path: str, old: Any, cls: Any) -> Any:
    """A `cls` with the fields that `old` has too, where they are valid for it."""
    shared = _fields(type(old)) if is_config(type(old)) else {}
    names = [name for name in _fields(cls) if name in shared]
    kept = {name: _fit(_fields(cls)[name], getattr(old, name)) for name in names}
    return _make(path, cls, {name: v for name, v in kept.items() if v is not _NO})


def _make(path: str, cls: Any, values: dict[str, Any]) -> Any:
    none = dataclasses.MISSING
    for field in dataclasses.fields(cls):
        has_default = field.default is not none or field.default_factory is not none
        if field.name not in values and not has_default:
            raise ConfigError(
                f"{_join(path, field.name)} is missing: {cls.__name__} has no default "
                f"for it, and it must be {_describe(_fields(cls)[field.name])}"
            )
    return cls(**values)


def _to_json(path: str, members: _Members, value: Any) -> Any:
    made = _check(path, members, value)
    if not is_config(type(made)):
        return _listed(made)
    items = _fields(type(made)).items()
    inner = {k: _to_json(_join(path, k), hint, getattr(made, k)) for k, hint in items}
    classes, own = _classes(members), type(made)
    kind = {"kind": name_of(own, classes.values())} if len(classes) > 1 else {}
    return kind | inner


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _from_json(path: str, cls: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        if not path:
            fields = ", ".join(_fields(cls))
            raise ConfigError(
                f"the config is {shown(data)}, but must be an object with {fields}"
            )
        raise _wrong(path, (_Member(cls),), data)
    fields, others = _fields(cls), _spelled(cls)
    data = {_today(cls, key): value for key, value in data.items()}
    for key in data:
        if key not in fields and key not in others:
            raise _unknown(path, [str(key)], cls)
    own = {key: value for key, value in data.items() if key in fields}
    values = {key: _read(_join(path, key), fields[key], v) for key, v in own.items()}
    made = _make(path, cls, values)
    for key in data.keys() - own.keys():
        made = _set(made, [key], data[key], path)
    return made


def _read(path: str, members: _Members, data: Any) -> Any:
    classes = _classes(members)
    if not classes or data is None:
        return _check(path, members, data, (list,))
    if len(classes) == 1:
        return _from_json(path, next(iter(classes.values())), data)
    if not isinstance(data, dict):
        raise _wrong(path, members, data)
    # a file that is older than all classes but one does not name it
    kind = data.get("kind", getattr(_interface(members), "unnamed", None))
    some = tuple(member for member in members if is_config(member.base))
    if isinstance(kind, str) and ":" in kind:
        classes = {kind: _own(_join(path, "kind"), some, kind, imports=False)}
    if not isinstance(kind, str) or kind not in classes:
        raise _wrong(_join(path, "kind"), some, kind)
    rest = {key: value for key, value in data.items() if key != "kind"}
    return _from_json(path, classes[kind], rest)
