"""Where XLA for a CPU ends one kernel and begins the next.

It fuses what is cheap into every kernel that reads it. That is wrong where a kernel
then reads against the grain, computes the same numbers several times, or can not be
vectorised. `apart` says so; `Jitted` compiles such that it counts.
"""

from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from pathlib import Path
from typing import Any, TypeVar

import jax

T = TypeVar("T")

# XLA for a CPU drops barriers before it fuses, unless this pass is left out. Where a
# version of XLA has no pass of that name, programs are as they would be without.
_BARRIERS_STAY = {"xla_disable_hlo_passes": "cse_barrier_expander"}


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


@cache
def multiplies_halves() -> bool:
    """Whether the device has products of bfloat16: every accelerator, some CPUs."""
    if not on_cpu():
        return True
    path = Path("/proc/cpuinfo")
    words = set(path.read_text().split()) if path.exists() else set[str]()
    return bool(words & {"avx512_bf16", "amx_bf16"})


def apart(x: T) -> T:
    """The same arrays, which on a CPU are written before anything reads them."""
    return jax.lax.optimization_barrier(x) if on_cpu() else x


class Jitted:
    """As `jax.jit`; on a CPU, what is `apart` stays apart.

    Made at its first use, as only then the backend is known.
    """

    def __init__(self, function: Callable, **how: Any):
        self._function, self._how = function, how
        update_wrapper(self, function)

    @cached_property
    def _jitted(self) -> Any:
        options = _BARRIERS_STAY if on_cpu() else None
        return jax.jit(self._function, compiler_options=options, **self._how)

    def __call__(self, *args: Any, **constants: Any) -> Any:
        return self._jitted(*args, **constants)

    def lower(self, *args: Any, **constants: Any) -> Any:
        return self._jitted.lower(*args, **constants)

    def clear_cache(self) -> None:
        """Forget what was traced and compiled."""
        self._jitted.clear_cache()
