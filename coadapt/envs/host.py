"""Gymnasium's environments on the host.

Gymnasium is imported when the first task is made, not with this module: it and MuJoCo
take a second, and tasks on the device do not need them.
"""

import copy
import dataclasses
import functools
import importlib
import importlib.metadata
import json
import re
import urllib.parse
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from coadapt.envs import gym_mujoco
from coadapt.envs.base import (
    HostEnv,
    in_a_sentence,
    is_own,
    require_box,
    require_limit,
)
from coadapt.envs.batch import BatchEnv, quiet
from coadapt.envs.loop import Loop, Stepper, close, global_draws_noted
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec

if TYPE_CHECKING:
    import gymnasium


class Name(NamedTuple):
    """'package:Id-v0?key=value', taken apart."""

    package: str  # imported first, because it registers the id; '' where none is named
    id: str
    kwargs: Mapping[str, Any]  # of the environment's constructor


class Known(NamedTuple):
    """What is read of one environment for all that are made by its name."""

    registered: Any  # Gymnasium's EnvSpec, of which it was made
    spec: EnvSpec
    shape: tuple[int, ...]  # of an action
    first: int  # of the discrete actions


def make_gym(name: str, count: int) -> HostEnv:
    """`count` environments: all in C where it is a robot of Gymnasium's, or a loop."""
    task = gym_mujoco.TASKS.get(name)
    if task is None or count < 1 or not _is_stock(name):
        return GymEnv(name, count)
    return BatchEnv(gym_spec(name), task(_template(name), count), count)


def _is_stock(name: str) -> bool:
    """Whether a robot's name is registered as Gymnasium registers it, which others may
    do anew: with arguments, with wrappers, with a class of their own."""
    import gymnasium

    found, (robot, _, version) = gymnasium.registry.get(name), name.partition("-")
    file = re.sub("(?<=[a-z])(?=[A-Z])", "_", robot).lower()  # half_cheetah
    entry = f"gymnasium.envs.mujoco.{file}_{version}:{robot}Env"
    if found is None or found.entry_point != entry:
        return False
    return not found.kwargs and not found.additional_wrappers


@functools.lru_cache(maxsize=4)  # a model and its state are some 10 MiB
def _template(name: str) -> Any:
    return _make(name).unwrapped


class GymEnv(Loop):
    """`count` environments of one Gymnasium id.

    One that cannot be made is one that raises at its first reset.

    Args:
        threads: how many share a step. One is the default because Gymnasium's
            Python holds the interpreter's lock: on 2 cores, 8 HalfCheetah-v5 go at
            22k steps/s with one thread and at 12k with two; 8 Ant-v5 at 3.6k and at
            4.4k, for half as much again of the CPU time that the learner could use.
            What is stepped does not depend on it.
    """

    def __init__(self, name: str, count: int, threads: int = 1):
        if count < 1 or threads < 1:
            raise ValueError(
                f"count and threads must be at least 1, got {count} and {threads}"
            )
        known = _known(name)
        with global_draws_noted(known.spec.task):
            steppers = [_made(name) for _ in range(count)]
        shape, first = known.shape, known.first
        super().__init__(
            known.spec, steppers, shape=shape, first=first, threads=threads
        )


@dataclasses.dataclass
class _Unmade:
    """An environment whose constructor has raised; its resets do."""

    error: BaseException

    def reset(self, *, seed: int | None = None) -> tuple[Any, Any]:
        raise self.error

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Any]:
        raise self.error

    def close(self) -> None:
        pass


def _made(name: str) -> Stepper:
    try:
        return gym_env(name)
    except BaseException as error:
        if not is_own(error):
            raise
        return _Unmade(error)


_KNOWN: dict[str, Known] = {}


def _known(name: str) -> Known:
    """Makes one environment, the first time, and when its id was registered anew.

    Raises:
        ConfigError: of a task that is not supported.
    """
    from gymnasium.spaces import Discrete

    entry, known = registered(name), _KNOWN.get(name)
    if known is None or known.registered is not entry:
        env = _make(name)
        try:
            spec, space = _read_spec(name, env), env.action_space
        finally:
            close(env)
        first = int(space.start) if isinstance(space, Discrete) else 0
        known = _KNOWN[name] = Known(entry, spec, space.shape or (), first)
    return known


def gym_spec(name: str) -> EnvSpec:
    """The spec of a Gymnasium id; see `_known`."""
    return _known(name).spec


def gym_names() -> list[str]:
    """The ids that Gymnasium registers, without the compatibility shims."""
    import gymnasium

    return [name for name in gymnasium.registry if not name.startswith("GymV2")]


@functools.cache
def parsed(name: str) -> Name:
    """'package:Id-v0?key=value&other=1.5', taken apart.

    Values are JSON, or text where they are none. A name has one way to be written, as
    results are filed under it: keys in their order, values as JSON writes them, and
    what separates names or arguments (a comma, a space, &, %) as %2C and so on.

    Raises:
        ConfigError: with that way.
    """
    place, mark, query = name.partition("?")
    found = re.fullmatch("(?:([^:]+):)?([^:]+)", place)
    words = [word.partition("=") for word in query.split("&")] if mark else []
    kwargs = {key: _value(text) for key, _, text in words}
    whole = all(key.isidentifier() and equals for key, equals, _ in words)
    if not found or not whole or len(kwargs) < len(words):
        raise ConfigError(
            f"task 'gym/{name}' must be 'gym/Id-v0', 'gym/package:Id-v0' or "
            "'gym/Id-v0?key=value&other=1.5', each key once"
        )
    written = "&".join(f"{key}={_text(kwargs[key])}" for key in sorted(kwargs))
    right = f"{place}?{written}" if kwargs else place
    if right != name:
        raise ConfigError(f"task 'gym/{name}' must be written 'gym/{right}'")
    return Name(found[1] or "", found[2], kwargs)


_PYTHON = {"True": True, "False": False, "None": None}
_AS_THEY_ARE = '[]{}":.+-_/*()!'  # in a value


def _value(text: str) -> Any:
    text = urllib.parse.unquote(text)
    try:
        return json.loads(text)
    except ValueError:
        return _PYTHON.get(text, text)


def _text(value: Any) -> str:
    plain = isinstance(value, str) and _value(urllib.parse.quote(value)) == value
    text = value if plain else json.dumps(value, separators=(",", ":"), sort_keys=True)
    return urllib.parse.quote(text, safe=_AS_THEY_ARE)


def registered(name: str) -> Any:
    """Gymnasium's entry of an id, its package imported.

    Raises: ConfigError.
    """
    import gymnasium

    package, env_id, _ = parsed(name)
    if package:
        with in_a_sentence(
            f"task 'gym/{name}' needs {package}, which cannot be imported"
        ):
            importlib.import_module(package)
    if env_id not in gymnasium.registry:
        before = f"gym/{package}:" if package else "gym/"
        raise ConfigError(
            f"task 'gym/{name}' must name an id that gymnasium "
            f"{gymnasium.__version__} registers, version included, or one that a "
            "package registers when it is imported, as 'gym/package:Id-v0'"
            f"{nearest(env_id, gym_names(), before)}"
        )
    return gymnasium.registry[env_id]


def _make(name: str) -> "gymnasium.Env":
    """Raises: ConfigError."""
    registered(name)
    with in_a_sentence(f"task 'gym/{name}' cannot be made"):
        return gym_env(name)


def gym_env(name: str, **options: Any) -> "gymnasium.Env":
    """An environment.

    Raises: whatever it may raise.
    """
    import gymnasium

    entry, kwargs = registered(name), copy.deepcopy(parsed(name).kwargs)
    if str(entry.entry_point).startswith("gymnasium.envs.mujoco"):
        quiet()
    with warnings.catch_warnings():
        # The old versions are asked for on purpose: they are the ones papers report.
        warnings.filterwarnings("ignore", ".*out of date", DeprecationWarning)
        return gymnasium.make(entry.id, disable_env_checker=True, **kwargs, **options)


def _read_spec(name: str, env: "gymnasium.Env") -> EnvSpec:
    """Reads spaces and time limit, or refuses the task in a sentence."""
    from gymnasium.spaces import Box, Discrete

    task = f"gym/{name}"
    with in_a_sentence(f"task {task!r} has no spaces that can be read"):
        _, space = env.observation_space, env.action_space
    limit = _checked_limit(task, env)
    assert env.observation_space.shape is not None
    num_actions = int(space.n) if isinstance(space, Discrete) else 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        low, high = require_box(task, space.low, space.high, space)
    elif not num_actions:
        raise ConfigError(
            f"task {task!r} must have a Box of floats or Discrete for actions, "
            f"got {space}"
        )
    return EnvSpec(
        task=task,
        obs_size=int(np.prod(env.observation_space.shape)),
        action_size=num_actions or len(low),
        num_actions=num_actions,
        action_low=low,
        action_high=high,
        action_dtype=str(space.dtype),
        max_steps=limit,
        provider=_provider(env),
    )


_FLATTENED = (
    "additional_wrappers=(gymnasium.wrappers.FlattenObservation.wrapper_spec(),)"
)


def _checked_limit(task: str, env: "gymnasium.Env") -> int:
    """The time limit.

    Raises:
        ConfigError: without one, or on a space with nothing.
    """
    from gymnasium.spaces import Box

    space = env.action_space
    if not isinstance(env.observation_space, Box):
        raise ConfigError(
            f"task {task!r} must have a Box of observations, "
            f"got {env.observation_space}: register it with {_FLATTENED}"
        )
    shape, dtype = env.observation_space.shape, env.observation_space.dtype
    if len(shape) > 2 or (len(shape) > 1 and dtype == np.uint8):
        raise ConfigError(
            f"task {task!r} must have a vector of observations, not images, got "
            f"{env.observation_space}: networks here have no convolutions; register it "
            f"with {_FLATTENED} to have the pixels as they are, in a row"
        )
    limit = require_limit(
        task,
        env.spec.max_episode_steps if env.spec else None,
        ": register it with max_episode_steps",
    )
    shapes = (env.observation_space.shape, getattr(space, "shape", None) or ())
    if any(0 in shape for shape in shapes):
        raise ConfigError(
            f"task {task!r} must have observations and actions, got "
            f"{env.observation_space} and {space}"
        )
    return limit


def _provider(env: "gymnasium.Env") -> str:
    """'gymnasium 1.4.0, mujoco 3.17.0': the packages that compute the steps."""
    modules = [base.__module__ for base in type(env.unwrapped).__mro__]
    packages = ["gymnasium"]
    if any(module.startswith("gymnasium.envs.mujoco") for module in modules):
        packages.append("mujoco")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
