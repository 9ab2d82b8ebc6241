"""coadapt: find out why a reinforcement-learning algorithm works.

    import coadapt

    task, axes = "gym/Hopper-v5", {"g_estimate.critics": [1, 2]}
    variants = coadapt.grid(["sac", "mpo"], axes, task=task)
    rows = coadapt.train(variants, task=task, seeds=10, steps=100_000, workdir="runs/x")
    print(coadapt.compare("runs/x", "g_estimate.critics", 2))
    agent = coadapt.load("runs/x", variant="sac/g_estimate.critics=2", seed=0)

Names are imported when they are first used: `import coadapt` loads nothing heavy.
"""

import importlib
from typing import TYPE_CHECKING, Any

from coadapt import moved
from coadapt.moved import MOVED
from coadapt.version import __version__

if TYPE_CHECKING:
    from coadapt import algorithms as algorithms
    from coadapt import diagnostics as diagnostics
    from coadapt import plot as plot
    from coadapt import report as report
    from coadapt.analysis import effects as effects
    from coadapt.analysis import stats as stats
    from coadapt.analysis.comparison import Comparison as Comparison
    from coadapt.analysis.comparison import compare as compare
    from coadapt.api import train as train
    from coadapt.changes import override as override
    from coadapt.config import Config as Config
    from coadapt.runs import store as store
    from coadapt.runs.trained_agent import SavedAgent as SavedAgent
    from coadapt.runs.trained_agent import load as load
    from coadapt.schema import ConfigError as ConfigError
    from coadapt.sweep import Variant as Variant
    from coadapt.sweep import grid as grid
    from coadapt.sweep import one_at_a_time as one_at_a_time
    from coadapt.sweep import swap as swap

_MODULES = ("algorithms", "diagnostics", "plot", "report")
_HOMES = {
    "Comparison": "coadapt.analysis.comparison",
    "Config": "coadapt.config",
    "ConfigError": "coadapt.schema",
    "SavedAgent": "coadapt.runs.trained_agent",
    "Variant": "coadapt.sweep",
    "compare": "coadapt.analysis.comparison",
    "grid": "coadapt.sweep",
    "load": "coadapt.runs.trained_agent",
    "one_at_a_time": "coadapt.sweep",
    "override": "coadapt.changes",
    "swap": "coadapt.sweep",
    "train": "coadapt.api",
}

__all__ = [
    "Comparison",
    "Config",
    "ConfigError",
    "SavedAgent",
    "Variant",
    "__version__",
    "algorithms",
    "compare",
    "diagnostics",
    "effects",
    "grid",
    "load",
    "one_at_a_time",
    "override",
    "plot",
    "report",
    "stats",
    "store",
    "swap",
    "train",
]

moved.install()


def __getattr__(name: str) -> Any:
    if name in _MODULES or f"coadapt.{name}" in MOVED:
        return importlib.import_module(f"coadapt.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'coadapt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
