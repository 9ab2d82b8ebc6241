"""What holds for every test: strict types, strict shapes, warnings are errors."""

import contextlib
import gc
import os
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# The suite is compilation more than anything: code that runs once need not run fast.
# What XLA makes of a program above the machine code (what is fused, the order of
# products) is what users get; how a fusion is written is not: the older way takes half
# the time. Of two equal flags the last one counts, so that
# XLA_FLAGS='--xla_cpu_use_fusion_emitters=true' pytest has it as users have. jaxlib
# 0.11 has the newer way alone, and ends a process that names the flag.
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_backend_optimization_level=1",  # of the fixture `optimised`
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",  # each core has tests of its own
        "--xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
        os.environ.get("XLA_FLAGS", ""),
    ]
)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # level 0; of child processes too
# What is freed goes back to the system, where glibc would keep it for allocations of
# its size, in a place for each thread: the models of DeepMind Control's 28 tasks took
# 183 MiB of a process so, and 57 with this. Read when a process begins: of workers, and
# of child processes.
os.environ.update(MALLOC_ARENA_MAX="2", MALLOC_MMAP_THRESHOLD_=str(2**20))
os.environ["COLUMNS"] = "80"  # what is printed is cut at the terminal's width

import jax
import psutil
import pytest
from jax._src.interpreters import mlir

from coadapt import devices
from coadapt.envs import dmc, host, suites

# Kept between runs, where pytest keeps its own (`--cache-clear` empties it): compiled
# programs, as most of the suite's time is compilation, and what matplotlib knows of
# fonts. The user's own are neither read nor written, by child processes either. Single
# operations are kept too: a worker reads the other's, and its own from before it made
# room.
KEPT = Path(__file__).parents[1] / ".pytest_cache" / "d"
os.environ.setdefault("COADAPT_CACHE", str(KEPT / "xla"))
os.environ["MPLCONFIGDIR"] = str(KEPT / "matplotlib")
jax.config.update("jax_compilation_cache_dir", os.environ["COADAPT_CACHE"] or None)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_num_cpu_devices", 2)  # as on two cores, wherever tests run
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# each line of each function would be written beside each operation
jax.config.update("jax_traceback_in_locations_limit", 0)
# traced programs are millions of objects, which a process of tests keeps: to look
# through them for garbage as often as Python would took a sixth of its time
gc.set_threshold(50_000, 20, 50)
devices.make_room()  # nothing is compiled yet: what comes is counted from here


# Files that take a worker longest. Whole files go to workers: begun first, none is what
# one worker is left with when the other has nothing to do.
EARLY = (
    "runner", "checkpoint", "agent", "failures", "diagnostics", "rows", "faults",
    "learn", "saved", "data_choices", "experiments", "report", "several_envs", "torsos",
    "cost", "wheel", "logs", "cells", "docs", "learning", "hybrids", "suites",
    "cluster", "store", "fidelity", "filling", "retrace",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {f"test_{name}.py": number for number, name in enumerate(EARLY)}
    items.sort(key=lambda item: place.get(item.path.name, len(EARLY)))


ROOM = 1400 * 2**20  # bytes of a worker below which its programs stay


@pytest.fixture(autouse=True)
def _few_programs():
    """The suite compiles hundreds of programs, in one process or two.

    A worker is to stay near 2 GiB, of which what its tests import takes up to one: what
    is dropped has to be traced again. Only a test that compiled is a reason to look:
    with 20,000 memory maps, which a worker has, a look takes 20 ms, and the suite has
    thousands of tests.
    """
    yield
    if _COMPILED:
        _COMPILED.clear()
        full = psutil.Process().memory_info().rss > ROOM
        devices.make_room(most=(384 if full else 1024) * 2**20)


@pytest.fixture(autouse=True)
def _kept_programs():
    """A command keeps programs that took half a second: of a test that runs one, the
    rest of the process would keep no others."""
    yield
    if jax.config.jax_persistent_cache_min_compile_time_secs:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if not jax.config.jax_enable_compilation_cache:
        jax.config.update("jax_enable_compilation_cache", True)


@pytest.fixture(scope="module", autouse=True)
def _few_contexts():
    """The programs of a module, single operations too, share a context of MLIR.

    JAX makes one for each of them: 3 ms, of the 19 that an operation takes that has not
    been compiled before, and 1.2 MiB, which are kept as long as the program.
    """
    kept = threading.local()

    def context(make=mlir.make_ir_context):
        if not hasattr(kept, "context"):
            kept.context = make()
        return kept.context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlir, "make_ir_context", context)
        yield


@pytest.fixture(scope="module", autouse=True)
def _few_simulators():
    """Those that a module made last, models and programs, are of no use to the next."""
    yield
    for kept in (dmc._template, host._template, suites._brax, suites._playground):
        kept.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory):
    """Relative paths, and data sets, are in a folder of the module's own: in the
    checkout and at home there may be what the user has made by the same names."""
    place = tmp_path_factory.mktemp("elsewhere")
    with contextlib.chdir(place), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(place / "minari"))
        yield


@pytest.fixture(scope="module")
def optimised():
    """For programs that run for long enough to repay what better machine code costs."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()


@pytest.fixture(scope="module")
def one_device():
    """Agents are on one device, where it makes no difference to what a module tests: of
    the time that XLA takes for a program over two, a third is their partition."""
    first = jax.local_devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "local_devices", lambda *_, **__: first)
        patch.setattr(jax, "local_device_count", lambda *_, **__: 1)
        yield


@pytest.fixture
def x64():
    """float64 inside a test, for references that a reader can check."""
    with jax.enable_x64(True):
        yield


_TRACED, _COMPILED = Counter(), Counter()  # by the name of a function


def _count(event: str, _: float, **about: object) -> None:
    if event == "/jax/core/compile/jaxpr_trace_duration":
        _TRACED[about.get("fun_name")] += 1
    if event == "/jax/core/compile/backend_compile_duration":  # of those kept, too
        _COMPILED[about.get("fun_name")] += 1


jax.monitoring.register_event_duration_secs_listener(_count)


@pytest.fixture
def traced() -> Iterator[Counter]:
    """How often JAX traced each function since the test began, by the function's name.

    Nothing is compiled without having been traced.
    """
    _TRACED.clear()
    yield _TRACED
