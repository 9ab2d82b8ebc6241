"""Flags as they are parsed, what was meant by one that there is not, and the help."""

import contextlib
import re
import textwrap
from collections.abc import Sequence

from absl import flags

from coadapt import algorithms, aliases, schema
from coadapt.cli.values import Values, get, listed
from coadapt.schema import ConfigError, paths

REPEAT = "; repeat this option to specify a list of values"  # absl adds it


def parse(values: Values, args: Sequence[str]) -> list[str]:
    """What is no flag.

    Raises: flags.Error, ConfigError.
    """
    try:
        return values(["", *args])[1:]
    except flags.UnrecognizedFlagError as error:
        name, value = error.flagname, error.flagvalue.partition("=")[2]
        raise ConfigError(
            f"--{name} is not a flag of this command{_meant(values, args, name, value)}"
        ) from None
    except (ValueError, flags.IllegalFlagValueError) as error:
        raise _no_value(values, str(error)) from None


def _no_value(values: Values, said: str) -> ConfigError:
    """For what absl says of a wrong value: 'flag --name=value: ...'."""
    found = re.match(r"flag --(\w+)=(.*?): ", said, re.DOTALL)
    if found is None or found[1] not in values:  # a switch that is given as --noname=x
        return ConfigError(said)
    name, value, flag = found[1], found[2], values[found[1]]
    allowed = getattr(flag.parser, "enum_values", [])
    words = f"one of {', '.join(allowed)}" if allowed else "a number"
    if flag.boolean:
        words = "true or false"
    elif not allowed and flag.parser.syntactic_help:
        words = f"a {flag.parser.syntactic_help}"
    end = schema.nearest(value, allowed)
    return ConfigError(f"--{name} is {value!r}: it must be {words}{end}")


def _meant(values: Values, args: Sequence[str], name: str, value: str) -> str:
    """'; did you mean --task?', or --set=path=value, or ''."""
    word = name.lower().replace("-", "_")
    known = aliases.FLAGS.get(word, word)
    paths = [path for path in (name, *aliases.fields(name)) if "set" in values]
    there = _paths_at_hand(values, args) if paths and known == word else set()
    path = next((path for path in paths if path in there), None)
    if path is not None:
        return f"; did you mean --set={path}={value or '...'}?"
    found = schema.near(known, values)
    return f"; did you mean --{found}?" if found else ""


def _paths_at_hand(values: Values, args: Sequence[str]) -> set[str]:
    """Fields of the algorithm that is asked for, or of any."""
    with contextlib.suppress(flags.Error, ValueError):
        values(["", *args], known_only=True)
    given = [get(values, n) for n in ("algorithm", "algorithms") if n in values]
    asked = [name for text in given for name in listed(text)]
    names = [name for name in asked if name in algorithms.PRESETS]
    made = [algorithms.preset(name) for name in names or algorithms.PRESETS]
    return {path for config in made for path, _ in paths(config)}


def help_of(text: str, values: Values) -> str:
    lines = [text.strip(), "", "Flags: (defaults in brackets)"]
    width = 2 + max(len(name) for name in values)
    for name in values:  # in the order of their definition
        words = " ".join((values[name].help or "").split())
        about = textwrap.wrap(words.removesuffix(REPEAT) or "-", 84 - width)
        indent = "\n" + " " * (width + 4)
        lines.append(f"  --{name:<{width}}{indent.join(about)}")
    return "\n".join(lines)
