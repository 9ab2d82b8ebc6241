"""Print the state of each program of a sweep: what runs where, and what is left.

Examples:
  coadapt status --workdir=runs/grid

It can be called while the sweep runs, and changes nothing. For each program it prints
the env steps so far, where it runs and since when, and why it failed. Exit status: 1 if
a program has failed.
"""

import sys
from collections import Counter
from collections.abc import Sequence

from absl import flags

from coadapt.cli import command
from coadapt.cli.values import Values, required
from coadapt.distributed import work
from coadapt.runs import store
from coadapt.system import console


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "workdir", None, "folder that was the --workdir of a sweep", flag_values=values
    )


def _run(values: Values) -> int:
    folder = store.folder(required(values, "workdir"))
    header = store.header(folder)
    found = work.states(folder, header)
    for each in found:
        print(console.printable(line(each)))
    print(sums(found))
    return command.TROUBLE if any(s.word == work.GIVEN_UP for s in found) else 0


def line(state: work.State) -> str:
    """'<name>: running, 300 of 600 steps, 4 agents, process 17 on a since 2026-...'."""
    agents = f"{state.agents} agent{'s' if state.agents > 1 else ''}"
    parts = [state.word, f"{state.steps:,} of {state.total:,} steps", agents]
    said = state.lease
    if said is not None and state.word in (work.RUNS, work.LOST):
        parts.append(f"process {said.process} on {said.host} since {said.since}")
    if state.reason:
        parts.append(state.reason)
    return f"{state.folder.name}: {', '.join(parts)}"


def sums(found: Sequence[work.State]) -> str:
    """'12 programs: 7 finished, 2 running; 1,200 agent-steps are left'."""
    counts = Counter(state.word for state in found)
    words = ", ".join(f"{counts[w]} {w}" for w in work.WORDS if counts[w])
    left = sum(
        max(state.total - state.steps, 0) * state.agents
        for state in found
        if state.word != work.FINISHED
    )
    return f"{len(found)} programs: {words}; {left:,} agent-steps are left"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
