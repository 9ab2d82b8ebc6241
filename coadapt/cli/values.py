"""What flags have: their values, numbers and lists of them."""

import contextlib
import math
import re
from typing import Any

from absl import flags

from coadapt import sweep
from coadapt.schema import ConfigError, shown

Values = flags.FlagValues

NEGLIGIBLE = (  # what --margin is; without the flag, what is in brackets
    "largest effect that counts as negligible, in the task's unit, or in returns if a "
    "task has no reference ({})"
)
OF_PROTOCOL = NEGLIGIBLE.format("that of the protocol, else 0.1 of the unit")

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_MEMORY = re.compile(r"([\d.]+) ?([kmgt]?)(i?b)?")


def get(values: Values, name: str) -> Any:
    return values[name].value


def required(values: Values, name: str) -> Any:
    """The flag's value.

    Raises:
        ConfigError: if it was not given.
    """
    if get(values, name) in (None, ""):
        raise ConfigError(f"--{name} is missing: {values[name].help}")
    return get(values, name)


def count(
    values: Values,
    name: str,
    default: int | None = None,
    least: int = 1,
    most: int = sweep.MOST,
) -> int:
    """A whole number, written 100000, 100_000 or 1e5.

    Raises: ConfigError.
    """
    if get(values, name) is None and default is not None:
        return default
    return number(name, required(values, name), least, most)


def number(name: str, text: str, least: int = 1, most: int = sweep.MOST) -> int:
    """A whole number as flags have it.

    Raises: ConfigError.
    """
    try:
        found = float(text.replace("_", ""))
        if found.is_integer() and least <= found <= most:
            return int(found)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(
        f"--{name} is {shown(text)}: it must be a whole number of {least:,} to "
        f"{most:,}."
    )


def positive(values: Values, name: str) -> float | None:
    """A positive number; None where it is not given.

    Raises: ConfigError.
    """
    text = get(values, name)
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ConfigError(f"--{name} is {text!r}: it must be a positive number.")
    return found


def bytes_of(text: str | None) -> int | None:
    """'80GiB' in bytes, K, M, G and T being of 1,024.

    Raises: ConfigError.
    """
    if text is None:
        return None
    found = _MEMORY.fullmatch(text.strip().lower())
    with contextlib.suppress(ValueError, OverflowError):
        if found and (number := float(found[1])) > 0:
            return int(number * _UNITS[found[2]])
    raise ConfigError(
        f"--device_memory is {text!r}: it must be a number of bytes, such as 80GiB."
    )


def refuse_both(values: Values, *names: str) -> None:
    """Raises: ConfigError, where two of these are given."""
    first, *others = [name for name in names if get(values, name)] or [""]
    if others:
        raise ConfigError(
            f"--{first} and --{others[0]} exclude each other: give one of them."
        )


def listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def definers(values: Values):
    """What defines a flag with a text, and a switch."""

    def text(name: str, about: str) -> None:
        flags.DEFINE_string(name, None, about, flag_values=values)

    def switch(name: str, about: str) -> None:
        flags.DEFINE_boolean(name, False, about, flag_values=values)

    return text, switch
