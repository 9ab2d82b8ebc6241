"""The same works by this library and by its peers, on this machine, in one run.

Each peer has a virtual environment of its own, made at the first run and kept. `Rounds`
alternate, and where an agent is a process, the better of two ways counts: one after the
other with all threads, or one a core side by side.

Examples:
  python -m benchmarks.against --against=sbx,rejax,pfrl,authors --rounds=3
  python -m benchmarks.against --against=sbx,rejax --works=learner --algorithms=sac
  python -m benchmarks.against --against=sbx --works=learner --algorithms=sac,td3,ddpg
    --agents=8 --rounds=15 --seconds=20 --rows=sbx.jsonl
  python -m benchmarks.against --against=sbx --works=learner --algorithms=sac
    --agents=8 --rounds=15 --seconds=20 --processes=2 --at_once=64
  python -m benchmarks.against --against=rejax --works=sweep --rows=rejax.jsonl

Works: updates alone (learner), with env steps (loop), a whole sweep by the clock
(sweep).

With --rows a run that was ended goes on with the first number that the file lacks, on
the same machine and with the same versions.
"""

import dataclasses
import functools
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags

from benchmarks import sections
from benchmarks.peers import PEERS, homes, rounds, sweeping, tables
from benchmarks.peers.homes import Failed
from benchmarks.peers.kept import Kept
from benchmarks.peers.processes import Program
from benchmarks.peers.protocol import Job
from benchmarks.peers.rounds import Setting
from benchmarks.peers.sweeping import Sweeps
from benchmarks.peers.tables import OURS
from coadapt import devices
from coadapt.cli import bench, command, compiled
from coadapt.cli.values import Values, count, get, listed, required
from coadapt.runs import provenance, store
from coadapt.schema import ConfigError, nearest

WORKS = ("learner", "loop", "sweep")
ALGORITHMS = ("sac", "td3", "ddpg", "ppo", "mpo", "awr")
OF_PPO = {"sizes": (64, 64), "batch": 64}  # all programs' default
TASKS = {  # of ours, and of gym for a peer
    "gym/Pendulum-v1": "Pendulum-v1",
    "gym/HalfCheetah-v5": "HalfCheetah-v5",
    sweeping.INSIDE: "Pendulum-v1",
}
SCRIPTS = Path(__file__).parent / "peers"
OWN = ("coadapt", "jax", "jaxlib", "flax", "gymnasium", "mujoco", "numpy")
ABOUT = {
    "learner": "Updates a second of all agents together, on a frozen replay of 10,000 "
    "random transitions with HalfCheetah's shapes; the minibatch is sampled in each. "
    "SAC, TD3 and DDPG: 256x256 networks, minibatches of 256; of TD3 the critics' "
    "updates are counted. PPO: 64x64 networks, whose updates are the minibatches of 64 "
    "in ten passes over 2,048 steps, policy and critic together. MPO and AWR: the "
    "paper's networks; an update of AWR is a tenth of its iteration.",
    "loop": "Env steps a second of all agents together, one update of SAC after each "
    "env step.",
    "sweep": "By the clock, from the command to the table: SAC, {cells} agents ({axes} "
    "by seeds), {steps:,} steps of Pendulum-v1 with the first {start:,} at random, "
    "64x64 networks, the mean return of 10 episodes at the end. A peer has a process "
    "for each agent, one a core; rejax one for each structure, in which the other "
    "agents are mapped. phys2d: Gymnasium's pendulum in JAX, within our program as "
    "gymnax's is within rejax's, and with rejax's settings where it does not let one "
    "choose.",
}


def _define(values: Values) -> None:
    for name, about in (
        ("against", f"compare with these programs: {','.join(PEERS)}"),
        ("works", f"{','.join(WORKS)} (all)"),
        ("algorithms", f"whose updates are measured: {','.join(ALGORITHMS)} (all)"),
        ("rounds", "repeats, of which the median is told (3)"),
        ("task", f"of the loop: {', '.join(TASKS)} (the first two)"),
        ("peers_dir", f"folder of the peers' environments ({_homes()})"),
        ("sizes", "of the loop: networks ('256,256;64,64')"),
        ("buffers", "of the loop: capacities of the replay (1e6,131072)"),
        ("axes", f"of the sweep: two of {','.join(sweeping.AXES)}"),
        ("steps", "of the sweep: env steps of each agent (20000)"),
        ("cells", "of the sweep: measure so many agents of a peer, and scale to all"),
        ("seconds", "of each of three windows of updates, or of a loop (1)"),
        ("at_once", "updates of a call, where a program lets one choose (1 or 64)"),
        ("processes", "of a peer: measure only its way of so many (the best of all)"),
        ("rows", "a file of what is measured: with the same one a run goes on"),
        ("write", "a Markdown file with marked sections to put the tables in"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    flags.DEFINE_string("agents", "1,2,4,8", "numbers of agents", flag_values=values)


NAMES = (
    "works", "sizes", "buffers", "axes", "steps", "cells", "seconds", "at_once",
    "processes",
)  # fmt: skip


def _homes() -> Path:
    return compiled.CACHE.parent / "peers"


class Asked(NamedTuple):
    """A comparison, checked."""

    peers: list[str]
    works: list[str]
    algorithms: list[str]
    tasks: list[str]
    sizes: list[tuple[int, ...]]
    buffers: list[int]
    axes: list[str]
    steps: int
    cells: int
    agents: list[int]
    rounds: int
    seconds: float
    at_once: int
    processes: int
    homes: Path
    rows: Path | None
    write: Path | None

    @property
    def kept(self) -> Kept:
        """Raises: ConfigError, of a file of another machine."""
        return Kept(self.rows, f"{_own_versions()}, {_machine()}")

    @property
    def job(self) -> Job:
        """What all updates and loops have in common."""
        return Job("", OURS, seconds=self.seconds, at_once=self.at_once)


def _chosen(
    values: Values, flag: str, allowed: Sequence[str], default: Sequence[str]
) -> list[str]:
    """The words of a flag, each once. Raises: ConfigError."""
    words = listed(get(values, flag)) if values[flag].present else list(default)
    for word in words:
        if word not in allowed:
            raise ConfigError(
                f"--{flag} has {word!r}: it must be one of {', '.join(allowed)}"
                f"{nearest(word, allowed)}"
            )
    if not words or len(set(words)) < len(words):
        raise ConfigError(
            f"--{flag} is {get(values, flag)!r}: it must be one or more of "
            f"{', '.join(allowed)}, each once."
        )
    return words


def _whole(flag: str, words: Sequence[str], most: int) -> tuple[int, ...]:
    """Raises: ConfigError if one is no whole number of 1 to `most`."""
    try:
        numbers = [float(word) for word in words]
        if words and all(n.is_integer() and 1 <= n <= most for n in numbers):
            return tuple(int(n) for n in numbers)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(
        f"--{flag} has {','.join(words)!r}: it must be whole numbers of 1 to {most:,}."
    )


def _tasks(values: Values) -> list[str]:
    if get(values, "task") is None:
        return [task for task in TASKS if task != sweeping.INSIDE]
    return _chosen(values, "task", tuple(TASKS), ())


def asked(values: Values) -> Asked:
    """Raises: ConfigError."""
    required(values, "against")
    sizes = (get(values, "sizes") or "256,256;64,64").split(";")
    buffers = listed(get(values, "buffers") or "1e6,131072")
    axes = _chosen(values, "axes", tuple(sweeping.AXES), ("discount", "activation"))
    if len(axes) != 2:
        raise ConfigError(f"--axes is {get(values, 'axes')!r}: it must be two axes.")
    all_cells = len(sweeping.cells(axes))
    write, rows = get(values, "write"), get(values, "rows")
    return Asked(
        peers=_chosen(values, "against", tuple(PEERS), ()),
        works=_chosen(values, "works", WORKS, WORKS),
        algorithms=_chosen(values, "algorithms", ALGORITHMS, ALGORITHMS),
        tasks=_tasks(values),
        sizes=[_whole("sizes", listed(part), 10_000) for part in sizes],
        buffers=list(_whole("buffers", buffers, 10**8)),
        axes=axes,
        steps=count(values, "steps", 20_000, least=1000),
        cells=count(values, "cells", all_cells, most=all_cells),
        agents=bench.numbers(values, "agents"),
        rounds=count(values, "rounds", 3),
        seconds=count(values, "seconds", 1),
        at_once=count(values, "at_once", 0),
        processes=count(values, "processes", 0, most=devices.cores()),
        homes=Path(get(values, "peers_dir") or _homes()).expanduser(),
        rows=Path(rows).expanduser() if rows else None,
        write=_writable(write) if write else None,
    )


def _writable(path: str) -> Path:
    """Raises: ConfigError if the file lacks a section for the tables."""
    text = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    for work in WORKS:
        mark = sections.mark(_section(work))
        if mark not in text:
            raise ConfigError(
                f"--write is {path!r}: it must be a file with the line {mark}, "
                f"and {sections.END} below it."
            )
    return Path(path)


def _section(work: str) -> str:
    return f"against: {work}"


def _run(values: Values) -> None:
    """Measure, print, and write where that was asked. Raises: ConfigError, OSError."""
    found = asked(values)
    kept = found.kept  # of another machine it is refused before peers are installed
    programs = _programs(found)
    if not programs:
        raise OSError("none of the peers could be installed.")
    try:
        told = _told(found, programs)
    except Failed as reason:
        raise OSError(f"an environment is damaged: {reason}") from None
    line = _command(values)
    works = {
        "learner": functools.partial(_rates, found, kept, programs, _learners(found)),
        "loop": functools.partial(_rates, found, kept, programs, _loops(found)),
        "sweep": functools.partial(_sweep, found, kept, programs),
    }
    for work in found.works:
        lines = works[work]()
        about = ABOUT[work].format(
            cells=len(sweeping.cells(found.axes)),
            axes=" by ".join(found.axes),
            steps=found.steps,
            start=found.steps // 2,
        )
        text = "\n".join([f"```\n{line}\n```", "", f"{about} {told}", "", *lines])
        print(text, flush=True)
        if found.write is not None:
            _put(found.write, work, text)


def _command(values: Values) -> str:
    """That which measures the same again; what only names files is left out."""
    flags_given = [
        f"--{name}={get(values, name)}"
        for name in ("against", *NAMES, "algorithms", "task", "agents", "rounds")
        if values[name].present
    ]
    return f"python -m benchmarks.against {' '.join(map(shlex.quote, flags_given))}"


def _programs(found: Asked) -> dict[str, Program]:
    """Of the peers that could be installed."""
    programs = {}
    for peer in found.peers:
        try:
            interpreter = homes.python(PEERS[peer], found.homes)
        except Failed as reason:
            print(f"{peer} could not be installed: {reason}", file=sys.stderr)
            continue
        programs[peer] = Program(interpreter, (str(SCRIPTS / PEERS[peer].script),))
    return programs


def _told(found: Asked, programs: dict[str, Program]) -> str:
    """Rounds, versions and the machine, in sentences."""
    parts = [f"{OURS}: {_own_versions()}"]
    for peer, program in programs.items():
        known = homes.versions(program.interpreter, PEERS[peer].told)
        parts.append(f"{peer}: {_listed(known)}")
    only = ""
    if found.processes:
        only = (
            f"Of a peer only its way with {found.processes} processes is measured, but "
            "in rounds that a file had. "
        )
    return (
        f"Medians (and ranges) of {found.rounds} rounds, in turn. {only}"
        f"{'; '.join(parts)}. {_machine()}."
    )


def _own_versions() -> str:
    return _listed({name: importlib.metadata.version(name) for name in OWN})


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _machine() -> str:
    cores = f"{devices.cores()} cores of {provenance.cpu()}"
    return f"Python {platform.python_version()}, {cores}"


def _learners(found: Asked) -> list[Setting]:
    jobs = {
        name: dataclasses.replace(found.job, work="learner", algorithm=name)
        for name in found.algorithms
    }
    if "ppo" in jobs:
        jobs["ppo"] = dataclasses.replace(jobs["ppo"], **OF_PPO)
    return [Setting((name,), job) for name, job in jobs.items()]


def _loops(found: Asked) -> list[Setting]:
    return [
        Setting(
            (task, "x".join(map(str, sizes)), f"{buffer:,}"),
            dataclasses.replace(
                found.job,
                work="loop",
                task=TASKS[task],
                own_task=task,
                sizes=sizes,
                buffer=buffer,
            ),
        )
        for task in found.tasks
        for sizes in found.sizes
        for buffer in found.buffers
    ]


def _rates(
    found: Asked, kept: Kept, programs: dict[str, Program], settings: list[Setting]
) -> list[str]:
    measured = rounds.Rounds(programs, devices.cores(), kept, found.processes)
    records = measured.run(settings, found.agents, found.rounds)
    names = ("algorithm",) if len(settings[0].columns) == 1 else (
        "task", "networks", "replay"
    )  # fmt: skip
    return tables.table(records, (*names, "agents"), list(programs))


def _sweep(found: Asked, kept: Kept, programs: dict[str, Program]) -> list[str]:
    asked = Sweeps(
        found.axes, found.steps, found.cells, found.rounds, devices.cores(), kept
    )
    return tables.sweeps(asked.measure(programs), list(programs))


def _put(path: Path, work: str, text: str) -> None:
    """The text in the file's section of this work."""
    old = path.read_text(encoding="utf-8")
    store.replace(path, sections.put(old, _section(work), text))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
