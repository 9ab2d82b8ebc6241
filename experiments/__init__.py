"""Experiments by name: one module each, with an `EXPERIMENT`; one line adds it."""

import importlib

from coadapt.schema import ConfigError, nearest
from experiments.base import Experiment

MODULES = {
    "every_task": "experiments.every_task",
    "quickstart": "experiments.quickstart",
}


def load(name: str) -> Experiment:
    """The experiment of this name. Raises: ConfigError if there is none."""
    if name not in MODULES:
        raise ConfigError(
            f"experiment is {name!r}: it must be one of {', '.join(MODULES)}"
            f"{nearest(name, MODULES)}"
        )
    return importlib.import_module(MODULES[name]).EXPERIMENT
