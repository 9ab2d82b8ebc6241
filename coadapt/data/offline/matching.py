"""Data of another task, or of other spaces, are refused."""

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from coadapt.data.offline.folders import FIELD
from coadapt.schema import ConfigError
from coadapt.system.notes import note_once
from coadapt.types import EnvSpec

if TYPE_CHECKING:
    import gymnasium


def check_task(name: str, spec: EnvSpec, metadata: dict[str, Any]) -> None:
    """Refuse data of another task; of another version of it, a note.

    Sizes alone do not tell: those of HalfCheetah and Walker2d are equal.
    """
    theirs = _task_of(metadata)
    if theirs in ("", spec.task):
        return
    if _without_version(theirs) == _without_version(spec.task):
        note_once(
            f"{FIELD} is {name!r}, whose data come from {theirs}, not {spec.task}"
        )
        return
    raise ConfigError(
        f"{FIELD} is {name!r}, whose data come from {theirs}, but the task is "
        f"{spec.task}: choose that task, or another data set; where both are one, "
        f"write {spec.task!r} as 'task' into its metadata.json"
    )


def _task_of(metadata: dict[str, Any]) -> str:
    """Of which task a data set says that it is, in our names; '' if it does not."""
    if isinstance(metadata.get("task"), str):
        return metadata["task"]
    try:
        found = json.loads(metadata["env_spec"])["id"]
    except (LookupError, TypeError, ValueError):
        return ""
    return f"gym/{found}" if isinstance(found, str) else ""


def _without_version(task: str) -> str:
    """'gym/Hopper' of 'gym/package:Hopper-v5?key=value', 'brax/ant' of
    'brax/ant:spring'."""
    family, _, name = task.partition("?")[0].partition("/")
    parts = name.split(":")
    return f"{family}/{re.sub(r'-v[0-9]+$', '', parts[-1 if family == 'gym' else 0])}"


def check_obs_space(name: str, spec: EnvSpec, space: "gymnasium.Space") -> None:
    from gymnasium.spaces import Box

    if not isinstance(space, Box):
        raise ConfigError(
            f"{FIELD} is {name!r}, whose observations are of {_show(space)}, but must "
            "be a Box"
        )
    size = int(np.prod(space.shape))
    if size != spec.obs_size:
        raise ConfigError(
            f"{FIELD} is {name!r}, whose observations have size {size}, but those of "
            f"{spec.task} have {spec.obs_size}"
        )


def check_action_space(name: str, spec: EnvSpec, space: "gymnasium.Space") -> None:
    from gymnasium.spaces import Box, Discrete

    has = f"{FIELD} is {name!r}, whose actions"
    if spec.num_actions:
        if not isinstance(space, Discrete) or int(space.n) != spec.num_actions:
            raise ConfigError(
                f"{has} are of {_show(space)}, but those of {spec.task} are "
                f"Discrete({spec.num_actions})"
            )
        return
    if not isinstance(space, Box):
        raise ConfigError(
            f"{has} are of {_show(space)}, but those of {spec.task} are a Box of size "
            f"{spec.action_size}"
        )
    size = int(np.prod(space.shape))
    if size != spec.action_size:
        raise ConfigError(
            f"{has} have size {size}, but those of {spec.task} have {spec.action_size}"
        )
    # Other bounds are other units, such as of a wrapper that rescales: the numbers
    # would be read as actions that they are not. No bounds say nothing.
    for side, ours in (("low", spec.action_low), ("high", spec.action_high)):
        theirs = np.ravel(getattr(space, side)).astype(np.float64)
        differ = ~np.isclose(theirs, ours, rtol=1e-4, atol=1e-6) & np.isfinite(theirs)
        if differ.any():
            i = int(np.argmax(differ))
            raise ConfigError(
                f"{has} have {theirs[i]:g} for {side} of dimension {i}, but those of "
                f"{spec.task} have {ours[i]:g}"
            )


def _show(space: object) -> str:
    """'Dict', 'MultiDiscrete', 'Discrete(3)': short, for a message."""
    n = getattr(space, "n", "")
    return type(space).__name__ + (f"({n})" if np.ndim(n) == 0 and n else "")
