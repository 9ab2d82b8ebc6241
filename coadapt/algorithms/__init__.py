"""The rows of Table 1, as values. Adding one is a file, and its line in `PRESETS`."""

from collections.abc import Callable, Mapping

from coadapt import schema
from coadapt.algorithms import awac as _awac
from coadapt.algorithms import awr as _awr
from coadapt.algorithms import mpo as _mpo
from coadapt.algorithms import sac as _sac
from coadapt.algorithms.awac import awac
from coadapt.algorithms.awr import awr
from coadapt.algorithms.mpo import mpo
from coadapt.algorithms.sac import sac
from coadapt.config import Config
from coadapt.schema import ConfigError

Tasks = Mapping[str, Mapping[str, object]]  # 'gym/Ant' -> changes of the preset there

PRESETS: dict[str, tuple[Callable[[], Config], Tasks]] = {
    "mpo": (mpo, _mpo.TASKS),
    "awr": (awr, _awr.TASKS),
    "awac": (awac, _awac.TASKS),
    "sac": (sac, _sac.TASKS),
}


def preset(name: str, task: str | None = None) -> Config:
    """The algorithm of this name, as its source ran it on this task.

    Raises: ConfigError if there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"algorithm is {name!r}: it must be one of {', '.join(PRESETS)}"
            f"{schema.nearest(name, PRESETS)}."
        )
    make, tasks = PRESETS[name]
    return schema.override(make(), for_task(tasks, task))


def for_task(tasks: Tasks, task: str | None) -> Mapping[str, object]:
    """The changes under the longest prefix of the task's name that is listed."""
    fitting = [prefix for prefix in tasks if task and task.startswith(prefix)]
    return tasks[max(fitting, key=len)] if fitting else {}


__all__ = ["PRESETS", "awac", "awr", "for_task", "mpo", "preset", "sac"]
