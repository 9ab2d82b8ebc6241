"""What an accelerator makes of the updates: one script, at most nine minutes, no store.

Examples:
  python -m benchmarks.gpu --out=gpu.txt
  python -m benchmarks.gpu --small --parts=limits,updates,resume
  ncu --csv --metrics dram__bytes.sum python -m benchmarks.gpu --parts=once --agents=64

Parts, in the order in which they run; each line is written as soon as it is known:
  limits   one large product in each precision, one large copy
  updates  updates of whole groups of agents on a frozen replay, in each precision
  ratio    SAC on a device task, 32 updates of 10 agents after each env step
  resume   an update that is compiled anew gives the same bits, with the choice of
           kernels kept and without
  once     three updates of SAC, for a profiler
"""

import hashlib
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.core
import jax.interpreters.xla
import jax.numpy as jnp
import numpy as np
from absl import app, flags

# tensorflow-probability, which distrax reads, still asks for it where jax 0.11 has none
if not hasattr(jax.interpreters.xla, "pytype_aval_mappings"):
    jax.interpreters.xla.pytype_aval_mappings = (  # pyright: ignore
        jax.core.pytype_aval_mappings
    )

from coadapt import algorithms, schema
from coadapt.bench import cost, update_throughput
from coadapt.networks import Precision

PARTS = ("limits", "updates", "ratio", "resume")
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bfloat16")
PUBLISHED = 6350  # agent-updates/s of SAC, 10 seeds, 32 updates a step, on an A100

_PARTS = flags.DEFINE_list("parts", list(PARTS), "which parts run, in this order")
_AGENTS = flags.DEFINE_integer("agents", 64, "agents of the part once")
_PRECISION = flags.DEFINE_enum("precision", "tf32", PRECISIONS, "of the part once")
_OUT = flags.DEFINE_string("out", None, "a file for the lines, too")
_SECONDS = flags.DEFINE_float("seconds", 500, "no program is begun after so long")
_SMALL = flags.DEFINE_bool("small", False, "sizes that a CPU tries in a minute")
_STATE = flags.DEFINE_string("state", None, "of the part resume: a state in a file")
_BEGIN = time.perf_counter()


class Case(NamedTuple):
    """One program of the part `updates`."""

    algorithm: str
    agents: int
    precision: Precision

    def race(self) -> update_throughput.Race:
        config = update_throughput.scaled(algorithms.preset(self.algorithm))
        changes: dict[str, object] = {"networks.precision": self.precision}
        if _SMALL.value:
            changes |= {"networks.policy.sizes": (16,), "networks.critic.sizes": (16,)}
        return update_throughput.Race(schema.override(config, changes), self.agents)


def cases() -> list[Case]:
    """The dearest to lose first: a run that is cut off keeps what it has."""
    few, most = (2, 3) if _SMALL.value else (64, 512)
    found = [Case("sac", n, p) for n in (few, most, 1) for p in PRECISIONS]
    others = itertools.product(("mpo", "td3", "ppo"), (few, most), PRECISIONS[1:])
    return found + [Case(*each) for each in others]


def write(line: str) -> None:
    """A line, at once, with the seconds since the start."""
    text = f"{time.perf_counter() - _BEGIN:6.1f} {line}"
    print(text, flush=True)
    if _OUT.value:
        with Path(_OUT.value).open("a") as file:
            file.write(text + "\n")


def late() -> bool:
    return time.perf_counter() - _BEGIN > _SECONDS.value


def _best(work: Callable[[], object], times: int = 5) -> float:
    jax.block_until_ready(work())
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        jax.block_until_ready([work() for _ in range(4)])
        took.append((time.perf_counter() - begin) / 4)
    return min(took)


def product_rate(precision: Precision, size: int) -> float:
    """Operations a second of one large product of noise, as a layer makes it."""
    x = jax.random.normal(jax.random.key(0), (size, size))
    how = "highest" if precision == "float32" else "high"
    if precision == "bfloat16":
        x = x.astype(jnp.bfloat16)
    product = jax.jit(
        lambda a: jnp.matmul(a, a, precision=how, preferred_element_type=jnp.float32)
    )
    return 2 * size**3 / _best(partial(product, x))


def copy_rate(elements: int) -> float:
    """Bytes a second, read and written, of one large copy."""
    x = jax.random.normal(jax.random.key(0), (elements,))
    return 8 * elements / _best(partial(jax.jit(lambda a: a + 1), x))


def limits() -> dict[str, float]:
    """By precision, and `bytes`."""
    size, elements = (256, 10**6) if _SMALL.value else (8192, 10**9)
    found = {p: product_rate(p, size) for p in PRECISIONS}
    found["bytes"] = copy_rate(elements)
    for p in PRECISIONS:
        write(f"limit {p} {found[p] / 1e12:.1f} TFLOP/s")
    write(f"limit copy {found['bytes'] / 1e12:.3f} TB/s")
    return found


def updates(found: dict[str, float]) -> None:
    """Compiled some at a time, and then measured alone, so that neither waits long."""
    write("algorithm agents precision compile_s ms agent-updates/s TFLOP/s ratio MB")
    pending = cases()
    # the first alone, whose seconds of compilation no other program shares
    for size in (1, 8, 12):
        group, pending = pending[:size], pending[size:]
        if late() or not group:
            return
        with ThreadPoolExecutor(4) as pool:
            races = list(pool.map(Case.race, group))
        for case, race in zip(group, races, strict=True):
            _measure(case, race, found)


def _measure(case: Case, race: update_throughput.Race, found: dict[str, float]) -> None:
    for _ in range(3):
        race.round(0.2 if _SMALL.value else 0.7)
    update = float(np.median(race.times))
    flops = (
        race.agents * cost.update_flops(race.config, update_throughput.SPEC) / update
    )
    limit = found.get(case.precision)
    write(
        f"{case.algorithm} {case.agents} {case.precision} {race.compile:.1f} "
        f"{1e3 * update:.3f} {race.agents / update:.0f} {flops / 1e12:.2f} "
        f"{'-' if limit is None else f'{flops / limit:.3f}'} {race.held / 1e6:.0f}"
    )


def ratio(found: dict[str, float]) -> None:
    """SAC, 10 agents, 32 updates after each env step of a device task."""
    number = 4 if _SMALL.value else 32
    config = schema.override(
        algorithms.preset("sac"),
        {
            "schedule.critic_steps": number,
            "schedule.policy_steps": number,
            "data.learning_starts": 300,
            "data.random_steps": 300,
        },
    )
    for precision in PRECISIONS[1:]:
        own = schema.override(config, {"networks.precision": precision})
        loop = update_throughput.start_loop(own, "toy/lqr", 10, 100_000)
        begin, steps = 400, 20 if _SMALL.value else 200
        begun = time.perf_counter()
        made = loop.advance(0, begin, 0)
        jax.block_until_ready(loop.learner.agent)
        first, took = time.perf_counter() - begun, []
        for _ in range(3):
            then = time.perf_counter()
            made = loop.advance(begin, begin + steps, made)
            jax.block_until_ready(loop.learner.agent)
            took.append((time.perf_counter() - then) / steps)
            begin += steps
        loop.close()
        rate = 10 * number / float(np.median(took))
        line = f"ratio {precision} first {first:.1f} s, {rate:.0f} agent-updates/s"
        if bytes_ := found.get("bytes"):
            each = rate / (bytes_ / 1e12)
            line += f", {each:.0f} a TB/s (published: {PUBLISHED / 2.04:.0f} to "
            line += f"{PUBLISHED / 1.56:.0f})"
        write(line)


def _hash(race: update_throughput.Race) -> str:
    words = [np.asarray(x).tobytes() for x in jax.tree.leaves(race.learner.agent)]
    return hashlib.sha256(b"".join(words)).hexdigest()[:16]


def half(name: str) -> None:
    """Ten updates from the start, or from the state in the file; both are printed."""
    race, kept = Case("sac", 8, "tf32").race(), Path(name)
    if kept.exists():
        # the file is this script's own, written a moment ago
        learner, number = pickle.loads(kept.read_bytes())
        race.learner = jax.tree.map(
            lambda old, new: jax.device_put(new, old.sharding), race.learner, learner
        )
        race.number = number
    else:
        for _ in range(10):
            race.step()
        kept.write_bytes(pickle.dumps((jax.device_get(race.learner), race.number)))
    for _ in range(10):
        race.step()
    print(f"bits {_hash(race)}")


def resume(_: dict[str, float]) -> None:
    """Three processes: one makes 20 updates, two go on from its tenth."""
    with tempfile.TemporaryDirectory() as folder:
        kept, state = Path(folder) / "kernels", Path(folder) / "state"
        kept.mkdir()
        flag = f"--xla_gpu_per_fusion_autotune_cache_dir={kept}"
        keeping = flag if jax.default_backend() == "gpu" else ""
        first = _process(state, keeping)
        again, anew = _process(state, keeping), _process(state, "")
    write(f"resume bits: kernels kept {again == first}, chosen anew {anew == first}")


def _process(state: Path, xla: str) -> str:
    command = [sys.executable, "-m", "benchmarks.gpu", "--parts=half"]
    command += [f"--state={state}"] + ["--small"] * _SMALL.value
    env = os.environ | {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.05"}
    env |= {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {xla}".strip()}
    env.pop("JAX_COMPILATION_CACHE_DIR", None)
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = [x for x in run.stdout.splitlines() if x.startswith("bits")]
    return lines[0] if lines else f"failed: {run.stderr[-300:]}"


def once() -> None:
    """Three updates, for a profiler."""
    precision: Precision = next(p for p in PRECISIONS if p == _PRECISION.value)
    race = Case("sac", _AGENTS.value, precision).race()
    for _ in range(3):
        race.step()
    jax.block_until_ready(race.learner.agent)


def main(_: Sequence[str]) -> None:
    if "half" in _PARTS.value:
        half(_STATE.value or "")
        return
    if "once" in _PARTS.value:
        once()
        return
    device = jax.devices()[0]
    write(f"{device.device_kind}, jax {jax.__version__}, {os.cpu_count()} cores")
    found: dict[str, float] = {}
    if "limits" in _PARTS.value:
        found = limits()
    for name, part in (("updates", updates), ("ratio", ratio), ("resume", resume)):
        if name in _PARTS.value and not late():
            part(found)
    write("end")


if __name__ == "__main__":
    app.run(main)
