"""The path of a run store, as a user gives it."""

import os
from pathlib import Path

from coadapt.schema import ConfigError, shown


def folder(workdir: str | os.PathLike[str]) -> Path:
    """The path, `~` being home.

    Raises:
        ConfigError: if there can be no such path.
    """
    try:
        path = expanded(workdir, "workdir")
    except TypeError:
        path = None
    if path is None or "\0" in str(path) or not os.fspath(workdir):
        raise ConfigError(f"workdir is {shown(workdir)}: it must be a path.")
    try:
        str(path.absolute()).encode()  # as what writes checkpoints wants it
    except UnicodeEncodeError:
        raise ConfigError(
            f"workdir is {str(path.absolute())!a}: this locale has no such "
            "letters; set LC_ALL=C.UTF-8, or choose a path of ASCII letters."
        ) from None
    return path


def expanded(path: str | os.PathLike[str], name: str) -> Path:
    """With `~` and `~user` for home: a shell leaves it in --name=~/x.

    Raises:
        ConfigError: if there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name} is {shown(path)}: {str(error).rstrip('.')}; name a folder without "
            "a '~', or set HOME."
        ) from None
