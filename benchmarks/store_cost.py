"""What a run store costs: seconds and bytes of a row and of a checkpoint.

Examples:
  git worktree add ../older 859037d
  python -m benchmarks.store_cost --against=../older --rounds=3

Each round is a process for each number of agents and each checkout, in turn. There a
sweep runs whose training is none: of each agent it hands on 10,000 numbers to store,
and eight metrics at each evaluation. Printed are the median over rounds of a round's
medians, with the range, in wall seconds and in CPU seconds of all threads; and bytes.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TASK, EVERY, EVALUATIONS, ARRAYS, METRICS = "toy/lqr", 100, 10, 10, 8
NUMBERS = 10_000  # of an agent, in all of its arrays
HERE = Path(__file__).parents[1]
COLUMNS = ("row", "checkpoint", "session")
HEAD = ("checkout", "agents", "of a", "wall ms", "CPU ms", "bytes")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.monotonic(), _cpu()
    call()
    return time.monotonic() - wall, _cpu() - cpu


# ---------------------------------------------------------------- in a process


def worker(agents: int) -> dict[str, Any]:
    """Wall and CPU seconds and bytes of each of COLUMNS.

    It uses what both checkouts have.
    """
    from coadapt import algorithms, runner, sweep

    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COLUMNS}
    runner.train = _training(agents, found)  # type: ignore[assignment]
    variant = sweep.Variant("sac", "sac", algorithms.preset("sac", TASK))
    asked = sweep.Sweep(
        experiment="sweep", variants={TASK: [variant]}, seeds=range(agents),
        steps=EVERY * EVALUATIONS, eval_every=EVERY, checkpoint_every=EVERY,
    )  # fmt: skip
    each = sweep.Checkpoints(keep=1, share=math.inf)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run = _timed(lambda: sweep.run(asked, path, memory=2**60, checkpoints=each))
        inner = [*found["row"], *found["checkpoint"]]
        rest = [run[i] - sum(one[i] for one in inner) for i in (0, 1)]
        sizes = _sizes(path, agents)
    rows = agents * METRICS
    middle = {
        name: [statistics.median(one[i] for one in found[name]) for i in (0, 1)]
        for name in ("row", "checkpoint")
    }
    middle["row"] = [value / rows for value in middle["row"]]
    return {"seconds": {**middle, "session": rest}, "bytes": sizes}


def _training(agents: int, found: dict[str, list[tuple[float, float]]]) -> Any:
    """In the place of `runner.train`: numbers as any, and its callbacks timed."""
    import numpy as np

    from coadapt.learn import Clock, Health, Learner
    from coadapt.runner import Report, Snapshot

    draw = np.random.default_rng(0)
    none = np.zeros(agents, np.int32)

    def train(*_: object, report: Any, save: Any, **__: object) -> Snapshot:
        for i in range(1, EVALUATIONS + 1):
            metrics = {f"m{j}": draw.normal(size=agents) for j in range(METRICS - 1)}
            metrics["return"] = draw.normal(size=agents)
            told = Report(i * EVERY, metrics, float(i), [])
            found["row"].append(_timed(lambda told=told: report(told)))
            shape = agents, NUMBERS // ARRAYS
            arrays = {
                f"a{j}": draw.normal(size=shape).astype(np.float32)
                for j in range(ARRAYS)
            }
            learner = Learner(arrays, None, Health(none - 1, none, none))  # type: ignore[arg-type]
            clock = Clock(np.int32(i * EVERY), np.int32(i))
            last = Snapshot(learner, clock, {}, float(i))
            found["checkpoint"].append(_timed(lambda last=last: save(last)))
        return last

    return train


def _sizes(path: Path, agents: int) -> dict[str, float]:
    """Bytes of a row in the tables that have it, and of a checkpoint."""
    files = [each for each in path.rglob("*") if each.is_file()]
    snapshot = str(EVERY * EVALUATIONS)
    tables = [each for each in files if each.name in ("rows.csv", "results.csv")]
    saved = [each for each in files if snapshot in each.parts]
    rows = agents * METRICS * EVALUATIONS
    others = [each for each in files if each not in tables and each not in saved]
    sums = [sum(each.stat().st_size for each in of) for of in (tables, saved, others)]
    return dict(zip(COLUMNS, (sums[0] / rows, *sums[1:]), strict=True))


# ---------------------------------------------------------------- rounds


def _run(checkout: Path, agents: int) -> dict[str, Any]:
    words = [sys.executable, __file__, f"--worker={agents}"]
    ours = {"PYTHONPATH": str(checkout), "JAX_NUM_CPU_DEVICES": "1"}
    out = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **ours}
    )
    if out.returncode:
        raise SystemExit(out.stderr)
    return json.loads(out.stdout.splitlines()[-1])


def _range(values: Sequence[float]) -> str:
    ms = sorted(1000 * value for value in values)
    return f"{statistics.median(ms):.3g} ({ms[0]:.3g} to {ms[-1]:.3g})"


def measure(checkouts: dict[str, Path], agents: Sequence[int], rounds: int) -> None:
    """Prints a line of Markdown for each of COLUMNS, number of agents and checkout."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for i in range(rounds):
        for number in agents:
            for name, path in checkouts.items():
                found.setdefault((name, number), []).append(_run(path, number))
        print(f"round {i + 1}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD))
    for column in COLUMNS:
        for number in agents:
            for name in checkouts:
                each = found[name, number]
                seconds = [[one["seconds"][column][i] for one in each] for i in (0, 1)]
                size = statistics.median(one["bytes"][column] for one in each)
                cells = [name, f"{number:,}", column, *map(_range, seconds)]
                print("| " + " | ".join([*cells, f"{size:,.0f}"]) + " |")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--agents", default="8,1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.worker:
        print(json.dumps(worker(given.worker)))
        return 0
    other = {given.against.name: given.against.absolute()} if given.against else {}
    numbers = [int(each) for each in given.agents.split(",")]
    measure({**other, "here": HERE}, numbers, given.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
