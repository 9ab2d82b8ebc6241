"""A user's mistake in one sentence."""

import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from coadapt.schema.kinds import (
    Members,
    classes_of,
    fields_of,
    is_config,
    join,
    members_of,
)


class ConfigError(ValueError):
    """A user's mistake, in one sentence: the path, what came, what is allowed.

    It is one line with one end, whatever came and however it was put together.
    """

    def __init__(self, sentence: str):
        line = " ".join(sentence.split())
        super().__init__(line if line.endswith((".", "?", "!")) else f"{line}.")


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
        others = [cls.__name__ for cls in self.union if self.name in fields_of(cls)]
        if others:
            return f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
        elsewhere = [field for cls in self.union for field in fields_of(cls)]
        return nearest(self.name, [*self.own, *elsewhere])


_WIDTH = 60  # of a value in a message


def nearest(word: object, allowed: Iterable[str], before: str = "") -> str:
    """The phrase "; did you mean 'x'?" for the likeliest of `allowed`, or ''.

    Args:
        before: what stands before that name, such as 'toy/'.
    """
    found = near(word, allowed)
    return f"; did you mean {before + found!r}?" if found else ""


def near(word: object, allowed: Iterable[str]) -> str | None:
    """The likeliest of `allowed`, if one is alike."""
    names = {name.lower(): name for name in reversed(list(allowed))}
    found = difflib.get_close_matches(str(word).lower()[:80], names, n=1)
    return names[found[0]] if found else None


def must_be(value: object, kinds: type | tuple, name: str, words: str) -> None:
    """Refuse an argument of another type.

    Raises: ConfigError.
    """
    if not isinstance(value, kinds):
        raise ConfigError(f"{name} is {shown(value)}: it must be {words}.")


def unknown(what: str, got: object, has: str, names: Iterable[str]) -> ConfigError:
    """'task is 'x': the run store has a, b; did you mean 'a'?'; `has`: whose names."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return ConfigError(
        f"{what} is {shown(got)}: {has} {', '.join(known[:8]) or 'none'}{more}"
        f"{nearest(got, known)}"
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


def wrong_value(path: str, members: Members, value: object) -> ConfigError:
    literals = [m.base for m in members if typing.get_origin(m.base) is Literal]
    names = [str(arg) for base in literals for arg in typing.get_args(base)]
    word = value if isinstance(value, str) else getattr(value, "__name__", "")
    near = nearest(str(word), [*names, *classes_of(members)])
    return ConfigError(
        f"{path} is {shown(value)}, but must be {described(members)}{near}"
    )


def unknown_field(
    parent: str, names: Sequence[str], at: object, union: Sequence[Any] = ()
) -> UnknownFieldError:
    """`at` is the class or the value at `parent`; `union`, the classes it may have."""
    cls: Any = at if isinstance(at, type) else type(at)
    has = list(fields_of(cls)) if is_config(cls) else []
    owner = cls.__name__ if is_config(cls) else shown(at)
    here, path = join(parent, names[0]), join(parent, ".".join(names))
    text = f"{here or repr('')} is not a field of {owner} (it has "
    text += f"{', '.join(has) or 'none'})"
    if union and not has and not any(names[0] in fields_of(other) for other in union):
        text += f"; {parent} may be {' or '.join(other.__name__ for other in union)}"
    return UnknownFieldError(text, path, parent, names[0], has, union)


def described(members: Members) -> str:
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
            items = [described(members_of(arg)) for arg in args if arg is not ...]
            text = f"a tuple of ({', '.join(items)})"
            text = f"a tuple, each item {items[0]}" if ... in args else text
        bits = "32" if traced and base is not bool else ""
        texts.append(" ".join([text + bits, *map(str, ranges)]))
    return " or ".join(texts)
