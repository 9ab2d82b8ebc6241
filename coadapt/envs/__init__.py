"""Tasks by name, 'family/id': 'gym/HalfCheetah-v5', 'dmc/walker_run', 'toy/lqr'."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from coadapt.envs import dmc, host, phys2d, striker, suites, toy
from coadapt.envs.base import Autoreset, DeviceEnv, Dynamics, EnvState, HostEnv
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec

__all__ = [
    "Autoreset",
    "DeviceEnv",
    "Dynamics",
    "EnvState",
    "HostEnv",
    "make",
    "on_host",
    "spec",
]


class Family(NamedTuple):
    """How the tasks of one family are made; each function imports what it needs."""

    make: Callable[[str, int], HostEnv | DeviceEnv]  # id, count
    spec: Callable[[str], EnvSpec]  # id
    names: Callable[[], Iterable[str]]  # the ids, for the nearest match in an error
    on_host: bool


FAMILIES = {
    "gym": Family(host.make_gym, host.gym_spec, host.gym_names, True),
    "dmc": Family(dmc.make_dmc, dmc.dmc_spec, dmc.dmc_names, True),
    "ours": Family(striker.make_ours, striker.ours_spec, striker.ours_names, True),
    "brax": Family(suites.make_brax, suites.brax_spec, suites.brax_names, False),
    "playground": Family(
        suites.make_playground, suites.playground_spec, suites.playground_names, False
    ),
    "phys2d": Family(
        phys2d.make_phys2d, phys2d.phys2d_spec, phys2d.phys2d_names, False
    ),
    "toy": Family(lambda name, _: toy.toy(name), toy.toy_spec, toy.toy_names, False),
}


def make(task: str, count: int) -> HostEnv | DeviceEnv:
    """Makes a task: `count` environments on the host, or one to be mapped, on a device.

    Raises:
        ConfigError: if there is no such task, or it is not supported.
    """
    family, name = _split(task)
    return FAMILIES[family].make(name, count)


def spec(task: str) -> EnvSpec:
    """What an agent has to know of a task; cheap after the first call."""
    family, name = _split(task)
    return FAMILIES[family].spec(name)


def on_host(task: str) -> bool:
    """Whether `make` gives a `HostEnv`."""
    return FAMILIES[_split(task)[0]].on_host


def _split(task: str) -> tuple[str, str]:
    family, slash, name = task.partition("/")
    if slash and family in FAMILIES:
        return family, name
    tasks = [f"{key}/{name}" for key, f in FAMILIES.items() for name in f.names()]
    package, colon, _ = task.partition(":")
    ours = colon and package.isidentifier() and not slash  # as gymnasium.make has it
    meant = f"; did you mean 'gym/{task}'?" if ours else nearest(task, tasks)
    raise ConfigError(
        f"task {task!r} must be 'family/id' with a family of {', '.join(FAMILIES)}"
        f"{meant}"
    )
