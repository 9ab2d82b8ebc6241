"""An experiment in a file of a user's own: its value `experiment`."""

import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from coadapt.envs.base import error_text, raised_at
from coadapt.experiments.base import Experiment
from coadapt.runs.manifest import NAMELESS
from coadapt.runs.paths import expanded
from coadapt.schema import ConfigError
from coadapt.sweep import Variant


def load_file(name: str, taken: Sequence[str]) -> Experiment:
    """The experiment of a file, which may import modules that lie beside it.

    Args:
        taken: names of experiments that it cannot have.
    Raises:
        ConfigError: there is no such file, it cannot be imported, or has no experiment.
    """
    module = _imported(name, expanded(name, "experiment").absolute())
    found = getattr(module, "experiment", None)
    if not isinstance(found, Experiment):
        what = "none" if found is None else f"a {type(found).__name__}"
        raise ConfigError(
            f"experiment is {name!r}: its value `experiment` is {what}; it must be a "
            "coadapt.experiments.Experiment."
        )
    names = (*taken, *NAMELESS)
    if found.name in names or "@" in found.name or not found.name.isprintable():
        raise ConfigError(
            f"experiment is {name!r}, with the name {found.name!r}: it must be one "
            f"line without '@', and none of {', '.join(names)}."
        )

    def variants(task: str) -> Sequence[Variant]:
        try:
            made = tuple(found.variants(task))
        except ConfigError:
            raise
        except Exception as error:
            raise _refused(name, error) from None
        if not made or not all(isinstance(each, Variant) for each in made):
            raise ConfigError(
                f"experiment is {name!r}: its variants on {task!r} are {made!r:.80}; "
                "they must be one coadapt.Variant or more."
            )
        return made

    return dataclasses.replace(found, variants=variants)


def _imported(name: str, path: Path) -> object:
    """The module of a file, under its own name, so that its classes have a home."""
    if not path.is_file():
        raise ConfigError(f"experiment is {name!r}: there is no such file.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    importlib.invalidate_caches()  # a file may be newer than what is known
    try:
        module = importlib.import_module(path.stem)
    except ConfigError as error:
        raise ConfigError(f"experiment is {name!r}: {error}") from None
    except Exception as error:
        raise _refused(name, error) from None
    there = getattr(module, "__file__", None) or "Python's own"
    if Path(there) != path:
        raise ConfigError(
            f"experiment is {name!r}: {path.stem} is the name of another module "
            f"({there}); call the file otherwise."
        )
    return module


def _refused(name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"experiment is {name!r}: {error_text(error)}{raised_at(error)}."
    )
