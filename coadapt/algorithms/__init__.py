"""The rows of Table 1, and later methods, as values.

Adding one is a file, and its line below.
"""

import inspect
import sys
from collections.abc import Callable, Mapping

from coadapt import schema
from coadapt.algorithms import robots
from coadapt.config import Config
from coadapt.schema import ConfigError

# in the order of Table 1
from coadapt.algorithms.mpo import mpo as mpo
from coadapt.algorithms.awr import awr as awr
from coadapt.algorithms.awac import awac as awac
from coadapt.algorithms.sac import sac as sac
from coadapt.algorithms.power import power as power
from coadapt.algorithms.rwr import rwr as rwr
from coadapt.algorithms.reps import reps as reps
from coadapt.algorithms.urex import urex as urex
from coadapt.algorithms.vmpo import vmpo as vmpo
from coadapt.algorithms.vmpo import vmpo_table1 as vmpo_table1
from coadapt.algorithms.trpo import trpo as trpo
from coadapt.algorithms.trpo import trpo_table1 as trpo_table1
from coadapt.algorithms.ppo import ppo as ppo
from coadapt.algorithms.ddpg import ddpg as ddpg
from coadapt.algorithms.td3 import td3 as td3

# below its rule: offline
from coadapt.algorithms.brac import brac as brac
from coadapt.algorithms.bear import bear as bear

# what came later, each made of one above, its file's BASE
from coadapt.algorithms.redq import redq as redq
from coadapt.algorithms.tqc import tqc as tqc
from coadapt.algorithms.d4pg import d4pg as d4pg
from coadapt.algorithms.dmpo import dmpo as dmpo
from coadapt.algorithms.fast_td3 import fast_td3 as fast_td3
from coadapt.algorithms.td3_bc import td3_bc as td3_bc
from coadapt.algorithms.rebrac import rebrac as rebrac
from coadapt.algorithms.crr import crr as crr
from coadapt.algorithms.iql import iql as iql
from coadapt.algorithms.ppo_details import ppo_details as ppo_details
from coadapt.algorithms.crossq import crossq as crossq
from coadapt.algorithms.droq import droq as droq
from coadapt.algorithms.sac_simba import sac_simba as sac_simba
from coadapt.algorithms.sac_simbav2 import sac_simbav2 as sac_simbav2
from coadapt.algorithms.sac_bro import sac_bro as sac_bro

Tasks = Mapping[str, Mapping[str, object]]  # 'gym/Ant' -> changes of the preset there

# every function imported above is a preset, and TASKS of its file, if it has any, stand
# beside it
PRESETS: dict[str, tuple[Callable[[], Config], Tasks]] = {
    name: (value, getattr(sys.modules[value.__module__], "TASKS", {}))
    for name, value in tuple(globals().items())
    if inspect.isfunction(value)
}

# preset -> the one of Table 1 that it is made of, of those that the table lacks
LATER = {
    name: base
    for name, (make, _) in PRESETS.items()
    if (base := getattr(sys.modules[make.__module__], "BASE", None))
}
# the rows of Table 1, in its order: `trpo` and `vmpo` learn sooner than theirs do
TABLE1 = tuple(
    name for name in PRESETS if name not in LATER and f"{name}_table1" not in PRESETS
)


def preset(name: str, task: str | None = None) -> Config:
    """The algorithm of this name, as its source ran it on this task.

    Raises:
        ConfigError: if there is none of that name.
    """
    schema.must_be(task, (str, type(None)), "task", "a text, such as 'gym/Hopper-v5'")
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(
            f"algorithm is {schema.shown(name)}: it must be one of {', '.join(PRESETS)}"
            f"{schema.nearest(name, PRESETS)}"
        )
    make, tasks = PRESETS[name]
    return schema.override(make(), for_task(tasks, task))


def for_task(tasks: Tasks, task: str | None) -> Mapping[str, object]:
    """The row of the task's robot, or of its suite; {} if there is none."""
    key = robots.longest(tasks, task)
    return {} if key is None else tasks[key]


def stand_in(name: str, task: str) -> str:
    """Whose numbers an algorithm takes on a task that its table lacks.

    '' where the table has it, and of an algorithm that has none: it is the same on
    every task.
    """
    make, tasks = PRESETS.get(name, (None, {}))
    if make is None or not tasks or robots.longest(tasks, task) is not None:
        return ""
    own = make()
    same = (key for key, row in tasks.items() if schema.override(own, row) == own)
    return next(same, "the preset")
