"""Experiments by name; a module has some, and one line here adds each."""

import importlib

from coadapt.schema import ConfigError, nearest
from experiments.base import Experiment

MODULES = {
    "quickstart": "experiments.quickstart",
    "every_task": "experiments.every_task",
    "figure1": "experiments.figure1",
    "figure2": "experiments.figure2",
    "figure3": "experiments.table11",
    "figure4": "experiments.figure1",
    "figure5": "experiments.figure1",
    "table2": "experiments.table2",
    "table3": "experiments.table3",
    "table5": "experiments.figure2",
    "table6": "experiments.figure2",
    "table7": "experiments.figure2",
    "table8": "experiments.figure2",
    "table9": "experiments.figure2",
    "table10": "experiments.figure2",
    "table11": "experiments.table11",
    "table12": "experiments.table12",
    "confounds": "experiments.confounds",
    "shortened": "experiments.shortened",
}
# the paper shows the curves of these tables in its appendix
CURVES = {
    "figure6": "table2",
    "figure7": "table3",
    "figure8": "table11",
    "figure9": "table12",
}


def load(name: str) -> Experiment:
    """The experiment of this name. Raises: ConfigError if there is none."""
    name = CURVES.get(name, name)
    if name not in MODULES:
        names = (*MODULES, *CURVES)
        raise ConfigError(
            f"experiment is {name!r}: it must be one of {', '.join(names)}"
            f"{nearest(name, names)}"
        )
    found = importlib.import_module(MODULES[name]).EXPERIMENTS
    return next(each for each in found if each.name == name)
