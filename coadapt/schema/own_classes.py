"""Classes of a user's own, by their module."""

import importlib
import sys
from collections.abc import Iterable
from typing import Any

from coadapt.schema.errors import ConfigError, described, wrong_value
from coadapt.schema.kinds import Members, fits_interface, interface_of


def name_of(kind: type, union: Iterable[type]) -> str:
    """How a class of a union is called; one that is not in it with its module."""
    own = kind.__name__
    return own if kind in union else f"{kind.__module__}:{own}"


def own_class(path: str, members: Members, word: str, *, imports: bool) -> Any:
    """The class that 'module:Name' names.

    Raises: ConfigError.
    """
    module, _, name = word.partition(":")
    face = interface_of(members)
    if face is None or not module or not name:
        raise wrong_value(path, members, word)
    if module not in sys.modules and not imports:
        raise ConfigError(
            f"{path} is {word}: a file imports nothing by itself, so import {module} "
            f"first (--import={module})."
        )
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(f"{path} is {word}: {error}") from None
    if not fits_interface(members, kind):
        raise ConfigError(
            f"{path} is {word}: it must be a class made with @config after "
            f"{face.__module__}.{face.__name__}, as {described(members)} are."
        )
    return kind
