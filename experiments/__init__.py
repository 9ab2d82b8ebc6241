"""Experiments by name, each of which a line here adds, or in a file of a user's own.

The paper's lie beside this file. `Experiment`, `Row` and `variants` are what they are
written in: a file of your own is like one of them, and has one value, `experiment`.
"""

import importlib

from coadapt.experiments.base import Experiment as Experiment
from coadapt.experiments.base import Plan as Plan
from coadapt.experiments.base import Row as Row
from coadapt.experiments.base import variants as variants
from coadapt.experiments.own import load_file
from coadapt.schema import ConfigError, nearest

MODULES = {
    "quickstart": "coadapt.experiments.quickstart",
    "every_task": "coadapt.experiments.every_task",
    "figure1": "coadapt.experiments.figure1",
    "figure2": "coadapt.experiments.figure2",
    "figure3": "coadapt.experiments.table11",
    "figure4": "coadapt.experiments.figure1",
    "figure5": "coadapt.experiments.figure1",
    "table2": "coadapt.experiments.table2",
    "table3": "coadapt.experiments.table3",
    "table5": "coadapt.experiments.figure2",
    "table6": "coadapt.experiments.figure2",
    "table7": "coadapt.experiments.figure2",
    "table8": "coadapt.experiments.figure2",
    "table9": "coadapt.experiments.figure2",
    "table10": "coadapt.experiments.figure2",
    "table11": "coadapt.experiments.table11",
    "table12": "coadapt.experiments.table12",
    "confounds": "coadapt.experiments.confounds",
    "shortened": "coadapt.experiments.shortened",
    "learns": "coadapt.experiments.learns",
    "hundred": "coadapt.experiments.hundred",
    "parity": "coadapt.experiments.parity",
    "precision": "coadapt.experiments.precision",
    "simbav2_design": "coadapt.experiments.simbav2_design",
    "modern": "coadapt.experiments.modern",
    "tuned": "coadapt.experiments.tuned",
}
# the paper shows the curves of these tables in its appendix
CURVES = {
    "figure6": "table2",
    "figure7": "table3",
    "figure8": "table11",
    "figure9": "table12",
}


def load(name: str) -> Experiment:
    """The experiment of this name, or of a file. Raises: ConfigError, of none."""
    name, names = CURVES.get(name, name), (*MODULES, *CURVES)
    if name.endswith(".py"):
        return load_file(name, names)
    if name not in MODULES:
        raise ConfigError(
            f"experiment is {name!r}: it must be a file, as mine.py, or one of "
            f"{', '.join(names)}{nearest(name, names)}"
        )
    found = importlib.import_module(MODULES[name]).EXPERIMENTS
    return next(each for each in found if each.name == name)
