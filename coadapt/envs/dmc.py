"""DeepMind Control on the host: 'dmc/walker_run'.

dm_control is imported when the first task is made: it and MuJoCo take a second.
"""

import contextlib
import copy
import functools
import importlib.metadata
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from coadapt.envs import dmc_batch
from coadapt.envs.base import (
    HostEnv,
    in_a_sentence,
    require_box,
    require_limit,
)
from coadapt.envs.batch import BatchEnv, quiet
from coadapt.envs.loop import Loop
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec

if TYPE_CHECKING:
    from dm_control.rl.control import Environment

INSTALL = "pip install -c constraints.txt -e '.[dmc]'"


def make_dmc(name: str, count: int) -> HostEnv:
    """`count` environments: all in C where the domain is a small one, or a loop."""
    spec, task = dmc_spec(name), dmc_batch.TASKS.get(name)
    if task is None or count < 1:
        return DmcEnv(name, count)
    return BatchEnv(spec, task(_template(name), count), count)


class DmcEnv(Loop):
    """`count` environments of one task of the suite, stepped one after the other.

    Observations are those of the task in its own order, joined; actions are clipped to
    the task's box. An episode ends by the suite's time limit, after 1000 steps: it is
    truncated, not terminated.
    """

    def __init__(self, name: str, count: int):
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        spec = dmc_spec(name)
        steppers = [_Stepper(copy.deepcopy(_template(name))) for _ in range(count)]
        super().__init__(spec, steppers, shape=(spec.action_size,))


class _Stepper:
    """One environment of dm_control, with Gymnasium's methods."""

    def __init__(self, env: "Environment"):
        self._env = env
        box = env.action_spec()
        self._low, self._high = box.minimum, box.maximum

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, None]:
        if seed is not None:  # as `suite.load(..., task_kwargs={"random": seed})` does
            self._env.task._random = np.random.RandomState(seed)
        return _joined(self._env.reset()), None

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, None]:
        found = self._env.step(np.clip(action, self._low, self._high))
        assert found.reward is not None
        ends, terminated = found.last(), found.last() and found.discount == 0.0
        return _joined(found), found.reward, terminated, ends and not terminated, None

    def close(self) -> None:
        self._env.close()


def _joined(found: Any) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in found.observation.values()])


@functools.lru_cache(maxsize=4)  # a model and its state are some 10 MiB
def _template(name: str) -> "Environment":
    """What is copied, or lent its resets: loading takes 50 to 120 ms, a copy 10."""
    from dm_control import suite

    quiet()  # dm_control has its own way, which is to say it for every model
    with _said(name):
        return suite.load(*_tasks()[name])


@contextlib.contextmanager
def _said(name: str) -> Iterator[None]:
    """What keeps a task from being made, as a sentence, without warnings of GLFW's."""
    with warnings.catch_warnings(), in_a_sentence(f"task 'dmc/{name}' cannot be made"):
        warnings.simplefilter("ignore")
        yield


@functools.cache
def dmc_spec(name: str) -> EnvSpec:
    """The spec of a task of the suite; loads it, the first time.

    Raises:
        ConfigError: if there is no such task, or no dm_control, or no OpenGL where one
            of them draws.
    """
    needs = f"task 'dmc/{name}' needs dm_control, which cannot be imported"
    with in_a_sentence(needs, f": {INSTALL}"):
        tasks = _tasks()
    version = importlib.metadata.version("dm_control")
    if name not in tasks:
        raise ConfigError(
            f"task 'dmc/{name}' must be a task of the suite of dm_control {version}"
            f"{nearest(name, tasks, 'dmc/')}"
        )
    env = _template(name)
    limit, box = require_limit(f"dmc/{name}", env._step_limit), env.action_spec()
    low, high = require_box(f"dmc/{name}", box.minimum, box.maximum, box)
    with _said(name):  # quadruped_escape draws its terrain, by OpenGL
        obs = _joined(env.reset())
    return EnvSpec(
        task=f"dmc/{name}",
        obs_size=len(obs),
        action_size=box.shape[0],
        action_low=low,
        action_high=high,
        action_dtype=str(box.dtype),
        max_steps=limit,
        provider=f"dm_control {version}, mujoco {importlib.metadata.version('mujoco')}",
    )


def dmc_names() -> list[str]:
    """The tasks of the suite; none where dm_control cannot be imported."""
    try:
        return list(_tasks())
    except Exception:  # of a driver of OpenGL's that is none, too
        return []


@functools.cache
def _tasks() -> dict[str, tuple[str, str]]:
    """'walker_run' -> ('walker', 'run')."""
    with warnings.catch_warnings():  # of GLFW, which looks for a screen
        warnings.filterwarnings("ignore", ".*DISPLAY")
        from dm_control import suite

    return {f"{domain}_{task}": (domain, task) for domain, task in suite.ALL_TASKS}
