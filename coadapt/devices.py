"""Agents spread over the local devices: the cores of a CPU, or the accelerators.

Agents never wait for each other, so N of them run as d programs of N / d agents, one on
each device, without a message between them. On a CPU a device is a core: the products
of one agent's layers are too small to gain much from being shared between cores.
"""

import ctypes
import gc
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from coadapt.schema import ConfigError
from coadapt.system import cgroups

T = TypeVar("T")

_AXIS = "agents"
_MAPS, _MANY_MAPS = Path("/proc/self/maps"), 20_000
# bytes of compiled programs, and of what was traced for them, that a process may keep
PROGRAMS_BYTES = 512 * 2**20
_LEAST = [math.inf]  # bytes that the process has had at a call, since the last release
# of agents' states that are computed together: more fall out of the core's cache
# (measured in docs/benchmarks.md)
_CACHE = 4 * 2**20
# what a user sets who wants another number of devices
_PLATFORMS = "JAX_PLATFORMS"
_FLAGS = "XLA_FLAGS"
_READ_FLAGS = "from jaxlib import xla_client; xla_client.CompileOptions()"
_FLAG, _VARIABLE = "xla_force_host_platform_device_count", "JAX_NUM_CPU_DEVICES"


def use_cores(number: int | None = None) -> None:
    """Make a device of each core of the CPU, unless the user or JAX was faster.

    Args:
        number: so many devices, whatever cores there are: as a run was begun.
    """
    if _FLAG in os.environ.get(_FLAGS, "") or _VARIABLE in os.environ:
        return
    try:
        jax.config.update("jax_num_cpu_devices", number or cores())
    except RuntimeError:  # something was computed before: one device it is
        return


def require_flags() -> None:
    """Refuse flags at which XLA would end the process.

    It reads them in a process of its own, which takes a tenth of a second.
    Raises: ConfigError.
    """
    given = os.environ.get(_FLAGS)
    said = _wrong_with(given) if given else None
    if said:
        raise ConfigError(f"{_FLAGS} is {given!r}: {said}.")


@cache
def _wrong_with(given: str) -> str | None:
    """What XLA says of these flags; None, where it takes them."""
    done = subprocess.run(
        [sys.executable, "-c", _READ_FLAGS],
        env={**os.environ, _FLAGS: given},
        capture_output=True,
        text=True,
    )
    said = re.findall(r"(?m)^[EF]\d+ .*?\] (.*flag.*)$", done.stderr)
    return said[0].rstrip(".") if done.returncode and said else None


def available() -> Sequence[Any]:
    """The local devices, which JAX looks for at the first call.

    Raises:
        ConfigError: where it finds none, or an environment variable is wrong.
    """
    try:
        return jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        names = (_PLATFORMS, _VARIABLE, _FLAGS)
        given = [f"{n} is {os.environ[n]!r}" for n in names if os.environ.get(n)]
        reason = str(error).partition(" (")[0].rstrip(".")
        platform = _PLATFORMS in os.environ
        needs = " or install what it needs, as coadapt[cuda] for NVIDIA's GPUs"
        raise ConfigError(
            f"{' and '.join(given) or 'no variable names a device'}: JAX cannot use "
            f"it here{f' ({reason})' if reason else ''}; unset it to compute on what "
            f"there is{',' + needs if platform else ''}."
        ) from None


def cores() -> int:
    """Those that this process may use, a part of one being one."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    there = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(math.ceil(min(cgroups.cores(), there)), 1)


@cache
def converts(precision: str) -> bool:
    """Whether XLA can store numbers of this type here, and read them as float32.

    On a CPU without instructions for it, float16 takes functions that XLA may lack.
    """
    try:
        kept = jax.jit(lambda x: x.astype(precision))(jnp.ones(3))
        jax.jit(lambda x: x.astype(jnp.float32))(kept).block_until_ready()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def make_room(most: int = PROGRAMS_BYTES) -> None:
    """Drop compiled programs where they hold much of what a process may have.

    To be called between the programs of every loop over programs, where no array of an
    earlier one is left: what the process has gained since its least is theirs. A small
    program and what was traced for it take 30 MiB or more. On a CPU each also takes
    some hundreds of memory maps, of which Linux allows 65,530, and a process that asks
    for more is killed.

    Args:
        most: bytes that may stay.
    """
    _LEAST[0] = min(_LEAST[0], _resident())
    if _gained() > most:
        _trim()  # it may be nothing but what was freed
    if _gained() > most or _maps() > _MANY_MAPS:
        jax.clear_caches()
        gc.collect()
        _trim()
        _LEAST[0] = _resident()


def _gained() -> float:
    """Bytes."""
    return _resident() - _LEAST[0]


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return psutil.Process().memory_info().rss


def _maps() -> int:
    """Memory maps of this process; 0 where the system does not say."""
    return _MAPS.read_bytes().count(b"\n") if _MAPS.exists() else 0


def _trim() -> None:
    """Give freed memory back to the system: glibc would keep most of it."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    trim = getattr(libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


def dividing(agents: int, most: int) -> int:
    """The most devices, of so many, that divide the number of agents evenly."""
    return max(d for d in range(1, most + 1) if agents % d == 0)


def filling(agents: int, most: int) -> int:
    """Over how many devices, of so many, agents are spread.

    None has more of them than it must, and of the numbers with which that is so, it is
    the smallest: 9 agents on 8 devices are 2 on each of 5, as with 2 on each of 8 they
    would not be ready sooner.
    """
    return -(-agents // -(-agents // most))


def slots(agents: int, number: int) -> int:
    """Places of agents, as many on each of so many devices: those that are left over
    have agents that stand still."""
    return -(-agents // number) * number


def filled(items: Sequence[T], number: int) -> list[T]:
    """An item for each slot of so many devices: those left over have the last."""
    return [*items, *[items[-1]] * (slots(len(items), number) - len(items))]


def mesh(agents: int) -> Mesh:
    """The most local devices that divide the number of agents evenly."""
    found = jax.local_devices()
    number = dividing(agents, len(found))
    return Mesh(np.array(found[:number]), (_AXIS,))


def place(agents: int) -> NamedSharding:
    """Of the arrays [N, ...] of N agents."""
    return NamedSharding(mesh(agents), PartitionSpec(_AXIS))


def spread(agents: int, tree: T) -> T:
    """Arrays [N, ...], where the programs of N agents want them.

    What comes from the host is copied: a program may write over what it was given.
    """

    def put(x: Any) -> jax.Array:
        alias = None if isinstance(x, jax.Array) else False
        return jax.device_put(x, place(agents), may_alias=alias)

    return jax.tree.map(put, tree)


def spread_out(
    *, shared: Sequence[int] = ()
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorates a function of arrays [N, ...]: each device runs it for its own agents.

    `shared` has the positions of arguments that all agents have in common; keyword
    arguments are constants. The caller jits.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        @wraps(function)
        def spread_function(*args: Any, **constants: Any) -> T:
            common, own = PartitionSpec(), PartitionSpec(_AXIS)
            specs = tuple(common if i in shared else own for i in range(len(args)))
            agents = next(
                leaf.shape[0]
                for arg, spec in zip(args, specs, strict=True)
                if spec == own
                for leaf in jax.tree.leaves(arg)
            )
            return jax.shard_map(
                lambda *local: function(*local, **constants),
                mesh=mesh(agents),
                in_specs=specs,
                out_specs=own,
                check_vma=False,  # all that comes out is of single agents
            )(*args)

        return spread_function

    return decorate


def over_agents(
    function: Callable[..., tuple],
    *,
    shared: Sequence[int] = (),
    becomes: Mapping[int, int],
) -> Callable[..., tuple]:
    """A function of one agent, of all agents of a device: arrays [N, ...].

    As `jax.vmap`, but on a CPU no more agents at once than its cache holds, block
    after block. `becomes` says which arguments are state, and the result that takes the
    place of each; `shared` has the positions of arguments that all agents have in
    common.
    """

    @wraps(function)
    def over(*args: Any) -> tuple:
        axes = tuple(None if i in shared else 0 for i in range(len(args)))
        together = jax.vmap(function, axes)
        state = {i: args[i] for i in becomes}
        number, size = _block(state)
        if size == number:
            return together(*args)

        def block(state: dict[int, Any], first: jax.Array):
            now = [state.get(i, arg) for i, arg in enumerate(args)]
            own = [
                x if i in shared else _rows(x, first, size) for i, x in enumerate(now)
            ]
            results = list(together(*own))
            for i, place in becomes.items():
                state[i] = _with_rows(state[i], first, results[place])
                results[place] = None
            return state, results

        firsts = jnp.arange(0, number, size, dtype=jnp.int32)
        state, results = jax.lax.scan(block, state, firsts)
        results = jax.tree.map(lambda x: x.reshape(number, *x.shape[2:]), results)
        for i, place in becomes.items():
            results[place] = state[i]
        return tuple(results)

    return over


def _block(state: Any) -> tuple[int, int]:
    """The number of agents, and how many at once: a divisor of it."""
    leaves = jax.tree.leaves(state)
    number, nbytes = leaves[0].shape[0], sum(leaf.nbytes for leaf in leaves)
    if jax.default_backend() != "cpu":
        return number, number
    most = max(_CACHE * number // nbytes, 1)
    return number, max(n for n in range(1, min(most, number) + 1) if number % n == 0)


def _rows(tree: T, first: jax.Array, size: int) -> T:
    take = partial(jax.lax.dynamic_slice_in_dim, start_index=first, slice_size=size)
    return jax.tree.map(take, tree)


def _with_rows(tree: T, first: jax.Array, rows: T) -> T:
    put = partial(jax.lax.dynamic_update_slice_in_dim, start_index=first, axis=0)
    return jax.tree.map(put, tree, rows)
