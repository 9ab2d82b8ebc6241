"""Values in the types that hints have."""

import contextlib
import math
import sys
import types
import typing
from typing import Any, Literal

import jax
import numpy as np

from coadapt.schema.errors import wrong_value
from coadapt.schema.kinds import (
    DTYPES,
    Member,
    Members,
    fits_interface,
    members_of,
    walk,
)

_WORDS = {"true": True, "on": True, "yes": True, "1": True}
_WORDS |= {"false": False, "off": False, "no": False, "0": False}
MISFIT = object()  # "this value does not fit"; None is a value
_TRACED_MAX = {float: float(np.finfo(np.float32).max), int: 2**31 - 1}
_STATIC_MAX = {float: sys.float_info.max, int: math.inf}


def validate(config: object, prefix: str = "") -> None:
    """Check type, range and membership of every field below `config`.

    `prefix` is the path of `config` itself, for the message. Not for traced or
    stacked configs. Raises ConfigError at the first bad field, in declared order.
    """
    for path, members, value in walk(config, prefix):
        checked(path, members, value)  # before walk descends


def checked(path: str, members: Members, value: Any, forms: tuple = (tuple,)) -> Any:
    """`value` in the hint's own type; `forms` may stand for tuples and for text."""
    made = fitted(members, value, forms)
    if made is MISFIT:
        raise wrong_value(path, members, value)
    return made


def fitted(members: Members, value: Any, forms: tuple = (tuple,)) -> Any:
    """The first member that fits: 'none' is read as None before it is read as text."""
    order = sorted(members, key=lambda m: (m.base is str, m.base is not types.NoneType))
    fits = (_convert(member, value, forms) for member in order)
    made = next((made for made in fits if made is not MISFIT), MISFIT)
    own = made is MISFIT and fits_interface(members, type(value))
    return value if own else made


def _convert(member: Member, value: Any, forms: tuple) -> Any:
    base, origin = member.base, typing.get_origin(member.base)
    text = isinstance(value, str) and str in forms
    value = str(value) if text else value
    word = value.strip() if text else value
    if origin is tuple:
        return _items(typing.get_args(base), _split(word) if text else word, forms)
    if origin is Literal:
        named = [(str(arg) if text else arg, arg) for arg in typing.get_args(base)]
        same = (arg for key, arg in named if type(key) is type(word) and key == word)
        return next(same, MISFIT)
    if base in DTYPES:
        return _number(member, _parse(base, word) if text else value)
    if base is types.NoneType and text and word.lower() == "none":
        return None
    return value if type(value) is base else MISFIT


def _items(args: tuple, items: Any, forms: tuple) -> Any:
    if not isinstance(items, forms):
        return MISFIT
    if args[1:] == (...,):
        args = args[:1] * len(items)
    pairs = zip(args, items, strict=False)
    made = tuple(fitted(members_of(arg), item, forms) for arg, item in pairs)
    return MISFIT if len(args) != len(items) or MISFIT in made else made


def _split(word: str) -> Any:
    bare = word[1:-1].strip() if word[:1] + word[-1:] in ("()", "[]") else word
    items = [item.strip() for item in bare.removesuffix(",").split(",")]
    return (items if bare else []) if word else MISFIT


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


def _number(member: Member, value: Any) -> Any:
    base, number = member.base, value
    array = isinstance(value, np.ndarray | jax.Array) and value.shape == ()
    if isinstance(value, np.generic) or (member.traced and array):
        number = value.item()
    if type(number) is not base and not (base is float and type(number) is int):
        return MISFIT
    if base is bool:
        return number
    limit = (_TRACED_MAX if member.traced else _STATIC_MAX)[base]
    if not abs(number) <= limit:
        return MISFIT  # NaN is not <= anything
    read = float(np.float32(number)) if member.traced and base is float else number
    if any(number not in r or read not in r for r in member.ranges):
        return MISFIT  # also one that float32 rounds out of its range
    return base(number) + 0  # -0.0 becomes 0.0: equal configs, equal fingerprints
