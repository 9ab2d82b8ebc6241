"""What a traced choice costs: a program that may have it, over one that has it not.

Examples:
  python -m benchmarks.traced --write
  python -m benchmarks.traced --only=clip --rounds=9

Variants that differ in a traced number share a program, so one of them may have the
choice at a number that changes nothing. Each row is such a program over the program
without the choice. They are run in turn; a round is the ratio of their CPU seconds (of
all threads, with one thread to compute, so that what else the machine does counts
little). Printed are the median of the rounds and the interval between two of them that
has the true median with 95% or more. --write puts the rows into traced.csv, which
docs/choices.md shows.
"""

import argparse
import csv
import functools
import os
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # before JAX starts
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["JAX_NUM_CPU_DEVICES"] = "1"

from benchmarks.peers import tables
from coadapt import algorithms, schema
from coadapt.bench import update_throughput
from coadapt.config import Config

PLACE = Path(__file__).with_name("traced.csv")
COLUMNS = ("choice", "algorithm", "networks", "rounds", "ratio", "low", "high")
AGENTS, SECONDS = 2, 0.3  # of a program's share of a round
SIZES = ("64,64", "256,256")
NEVER = 1e9  # a limit that nothing reaches
Changes = Mapping[str, object]


class Pair(NamedTuple):
    """A choice at a number that changes nothing, and the same without it."""

    algorithm: str
    shared: Changes
    alone: Mapping[str, object] = {}


def _of_both(field: str, value: object) -> Changes:
    return {f"optim.{one}{field}": value for one in ("policy", "critic")}


N_STEP = "g_estimate.n_step"
CLIPPED = "optim.clip"
STOP = "pi_q_update.early_stop"
PAIRS = {
    "`n_step`, n of 1 of up to 3": Pair(
        "sac", {N_STEP: "NStepReturn", f"{N_STEP}.steps": 1, f"{N_STEP}.most": 3}
    ),
    "`n_step`, n of 3 of up to 10": Pair(
        "sac",
        {N_STEP: "NStepReturn", f"{N_STEP}.steps": 3, f"{N_STEP}.most": 10},
        {N_STEP: "NStepReturn", f"{N_STEP}.steps": 3, f"{N_STEP}.most": 3},
    ),
    "`schedule`, a cosine that ends at 1": Pair(
        "sac",
        {**_of_both(".schedule", "CosineRate"), **_of_both(".schedule.end", 1.0)},
    ),
    "`optim.clip=Clip`, a norm that is never reached": Pair(
        "sac", {CLIPPED: "Clip", f"{CLIPPED}.norm": NEVER}
    ),
    "`optim.clip=ClipValue`, a limit that is never reached": Pair(
        "sac", {CLIPPED: "ClipValue", f"{CLIPPED}.limit": NEVER}
    ),
    "`beta1`, `beta2` of Adam, as they are": Pair(
        "sac", {**_of_both(".beta1", 0.9), **_of_both(".beta2", 0.999)}
    ),
    "`AdamW`, a decay of 0": Pair(
        "sac", {**_of_both("", "AdamW"), **_of_both(".decay", 0.0)}
    ),
    "`critic.loss=Huber`, a limit that is never reached": Pair(
        "sac", {"critic.loss": "Huber", "critic.loss.limit": NEVER}
    ),
    "`reward=ClipReward`, a limit that is never reached": Pair(
        "sac", {"reward": "ClipReward", "reward.limit": NEVER}
    ),
    "`g_estimate.smoothing`, a std of 1e-9": Pair(
        "td3", {"g_estimate.smoothing.std": 1e-9}, {"g_estimate.smoothing": None}
    ),
    "`early_stop=KLStop`, a target that is never reached": Pair(
        "ppo", {STOP: "KLStop", f"{STOP}.target": NEVER}
    ),
    "`critic.clip=ValueClip`, a limit that is never reached": Pair(
        "ppo", {"critic.clip": "ValueClip", "critic.clip.limit": NEVER}
    ),
}


class Row(NamedTuple):
    """COLUMNS, of one choice."""

    choice: str
    algorithm: str
    networks: str
    rounds: int
    ratio: float
    low: float
    high: float


def configs(pair: Pair, sizes: str) -> tuple[Config, Config]:
    """Shared and alone. Raises: ConfigError."""
    nets = {f"networks.{net}.sizes": sizes for net in ("policy", "critic")}
    base = schema.override(algorithms.preset(pair.algorithm), nets)
    return schema.override(base, pair.shared), schema.override(base, pair.alone)


@functools.cache
def _compiled(algorithm: str, alone: tuple, sizes: str) -> update_throughput.Race:
    """A program without a choice, which stands beside several that have one."""
    return update_throughput.Race(
        configs(Pair(algorithm, {}, dict(alone)), sizes)[1], AGENTS
    )


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Where their true median lies, in 95%; below 6, which do not say, their range."""
    return tables.median_interval(ratios) or (min(ratios), max(ratios))


def _cpu(race: update_throughput.Race, repeats: int) -> float:
    begin = time.process_time()
    metric = [race.step() for _ in range(repeats)][-1]
    metric.block_until_ready()
    return time.process_time() - begin


def measure(name: str, sizes: str, rounds: int) -> Row:
    """Of one choice: its rounds, one after the other."""
    pair = PAIRS[name]
    shared, _ = configs(pair, sizes)
    alone = _compiled(pair.algorithm, tuple(pair.alone.items()), sizes)
    races = [update_throughput.Race(shared, AGENTS), alone]
    once = [min(_cpu(race, 1) for _ in range(3)) for race in races]
    repeats = max(int(SECONDS / once[1]), 2)
    ratios = []
    for number in range(rounds):
        turn = (0, 1) if number % 2 else (1, 0)
        took = {i: _cpu(races[i], repeats) for i in turn}
        ratios.append(took[0] / took[1])
    low, high = interval(ratios)
    middle = statistics.median(ratios)
    return Row(name, pair.algorithm, sizes, rounds, middle, low, high)


def rows() -> list[Row]:
    """What was measured last; nothing, where nothing was."""
    if not PLACE.exists():
        return []
    with PLACE.open(newline="") as file:
        _, *found = csv.reader(file)
    return [
        Row(choice, name, sizes, int(rounds), float(ratio), float(low), float(high))
        for choice, name, sizes, rounds, ratio, low, high in found
    ]


def write(found: Sequence[Row]) -> None:
    """In the place of rows of the same choice and networks."""
    kept = {(x.choice, x.networks): x for x in (*rows(), *found)}
    order = [(name, sizes) for name in PAIRS for sizes in SIZES]
    with PLACE.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for x in (kept[key] for key in order if key in kept):
            out.writerow([*x[:4], *(f"{number:.3f}" for number in x[4:])])


def table() -> list[dict[str, str]]:
    """A row a choice: the ratio of each size of network, with its interval."""
    made: dict[str, dict[str, str]] = {}
    found = rows()
    sizes = dict.fromkeys((x.networks for x in found), "")
    for x in found:
        row = made.setdefault(x.choice, {"choice": x.choice, "of": x.algorithm} | sizes)
        row[x.networks] = f"{x.ratio:.2f} ({x.low:.2f} to {x.high:.2f})"
    return list(made.values())


def _asked(only: str) -> Iterator[tuple[str, str]]:
    for sizes in SIZES:
        for name in PAIRS:
            if re.search(only, f"{name} {sizes}"):
                yield name, sizes


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="a pattern of choice and networks")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(argv)
    for name, sizes in _asked(options.only):
        row = measure(name, sizes, options.rounds)
        print(f"{name} | {row.algorithm} | {sizes} | ", end="")
        print(f"{row.ratio:.3f} ({row.low:.3f} to {row.high:.3f})", flush=True)
        if options.write:
            write([row])


if __name__ == "__main__":
    main()
