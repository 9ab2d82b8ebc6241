"""What several environments an agent bring to PPO: env steps a second, and returns.

    python -m benchmarks.several_envs --rounds=3

Each round has a process for each task and number of environments, in turn. A process is
one program of all seeds, of the preset, which makes as many env steps whatever their
number, with as many updates. Timed is the second half of a run with the evaluation at
its end, in seconds by the clock and in CPU seconds of all threads: the first half has
the compiling in it. Printed are medians over rounds, with the range, and the returns of
the last evaluation, mean and std over seeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.peers import tables

EPISODES = 5  # of an evaluation


def run(task: str, number: int, most: int, steps: int, seeds: int) -> dict[str, Any]:
    """Env steps a second of all agents, and their last returns.

    Args:
        most: the largest number of environments that this is compared with:
            checkpoints, which cut episodes, are as far apart.
    """
    from coadapt import algorithms, changes, devices, envs, runner

    devices.use_cores()
    ends: list[tuple[float, float, list[float]]] = []

    def report(made: Any) -> None:
        returns = [float(x) for x in made.metrics["return"]]
        ends.append((time.monotonic(), time.process_time(), returns))

    config = changes.change(algorithms.preset("ppo", task), {"data.envs": str(number)})
    runner.train(
        [config] * seeds, range(seeds), task, steps=steps, eval_every=steps // 2,
        eval_episodes=EPISODES, report=report,
        checkpoint_every=max(steps, 2 * most * envs.spec(task).max_steps),
    )  # fmt: skip
    (wall, cpu, _), (wall_end, cpu_end, returns) = ends[-2:]
    made = seeds * steps // 2
    return {
        "clock": made / (wall_end - wall),
        "CPU": made / (cpu_end - cpu),
        "returns": returns,
    }


def measured(*words: object) -> dict[str, Any]:
    """A run in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.several_envs", "--one", json.dumps(words)],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(found.stdout.splitlines()[-1])


def line(task: str, number: int, rounds: Sequence[dict[str, Any]]) -> str:
    speeds = (
        tables.spread([found[of] for found in rounds], "{:,.0f}")
        for of in ("CPU", "clock")
    )
    returns = rounds[-1]["returns"]
    std = statistics.stdev(returns) if len(returns) > 1 else 0.0
    score = f"{statistics.mean(returns):,.1f} ± {std:,.1f} ({len(returns)})"
    words = (task, number, *speeds, score)
    return f"| {' | '.join(map(str, words))} |"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", default="phys2d/Pendulum-v0,gym/HalfCheetah-v5")
    parser.add_argument("--envs", default="1,64")
    parser.add_argument("--steps", type=int, default=131_072)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.one:
        print(json.dumps(run(*json.loads(asked.one))))
        return
    numbers = [int(each) for each in asked.envs.split(",")]
    rounds: dict[tuple[str, int], list[dict[str, Any]]] = {
        (task, number): [] for task in asked.tasks.split(",") for number in numbers
    }
    for _ in range(asked.rounds):
        for task, number in rounds:
            found = measured(task, number, max(numbers), asked.steps, asked.seeds)
            rounds[task, number].append(found)
            print(
                task, number, found, f"load {os.getloadavg()[0]:.1f}", file=sys.stderr
            )
    print("| task | environments | steps a CPU second | steps a second | return |")
    print("| --- | --- | --- | --- | --- |")
    for (task, number), found in rounds.items():
        print(line(task, number, found))


if __name__ == "__main__":
    main()
