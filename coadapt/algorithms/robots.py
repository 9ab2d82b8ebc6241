"""Whose row of a preset's table a task takes: that of its robot, by the whole name."""

import re
from collections.abc import Iterable

BRAX = {  # Gymnasium's robots, as brax calls them
    "ant": "Ant",
    "halfcheetah": "HalfCheetah",
    "hopper": "Hopper",
    "humanoid": "Humanoid",
    "pusher": "Pusher",
    "reacher": "Reacher",
    "swimmer": "Swimmer",
    "walker2d": "Walker2d",
}


def named(task: str) -> str:
    """The task by the name that tables have, without its keyword arguments.

    'brax/ant:spring' is 'gym/Ant', and 'playground/CheetahRun' is 'dmc/cheetah_run'.
    """
    family, _, name = task.partition("/")
    if family not in ("brax", "playground"):
        return task.partition("?")[0]
    name = name.partition(":")[0]  # the rest says who computes it
    if family == "brax":
        return f"gym/{BRAX[name]}" if name in BRAX else task
    words = re.findall("[A-Z][a-z0-9]*", name)
    return "dmc/" + "_".join(words).lower()


def longest(keys: Iterable[str], task: str | None) -> str | None:
    """The longest of the keys that a task is under; None if there is none.

    A key is a robot ('gym/Ant', with any version), a domain or a task of DeepMind
    Control ('dmc/humanoid', 'dmc/cartpole_swingup'), a suite ('dmc/') or '', which is
    all tasks.
    """
    name = "" if task is None else named(task)
    return max((key for key in keys if _under(key, name)), key=len, default=None)


def _under(key: str, name: str) -> bool:
    if key == "" or key.endswith("/"):
        return name.startswith(key)
    rest = r"(_\w+)?" if key.startswith("dmc/") else r"(-v\d+)?"
    return re.fullmatch(re.escape(key) + rest, name) is not None
