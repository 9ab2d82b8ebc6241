"""Rows of a run store in other programs: TensorBoard's event files, Weights & Biases.

The run store is what counts; a sink is a copy of it, one run an agent, with the rows'
metrics as names and their env steps as the step. A run that begins or goes on is
written anew from the rows that the store has, and then row by row as they land: a
session that was killed leaves nothing twice. A sink that fails is left out from there
on, which is said once: the work goes on. Both packages are imported when they are asked
for.
"""

import contextlib
import functools
import hashlib
import importlib
import itertools
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from coadapt.runs import files, store
from coadapt.runs.store import Cell, Header
from coadapt.schema import ConfigError, nearest
from coadapt.system.console import cut
from coadapt.system.notes import note

TENSORBOARD, WANDB = "tensorboard", "wandb"  # the folders in a workdir, and the extras
PROJECT = "coadapt"  # of Weights & Biases, unless another is named
MOST_OPEN = 256  # event files
WANDB_ID = ".wandb.json"  # in a workdir: what the ids of its runs are made of
_FINISH = 60  # seconds that the end of a run may wait for Weights & Biases
_FILES = itertools.count()  # that this process has begun
PACKAGES = {TENSORBOARD: "tensorboardX", WANDB: "wandb"}


class Run(NamedTuple):
    """One agent, and what is said of it beside its numbers."""

    cell: Cell
    algorithm: str
    config: Mapping[str, Any]  # schema.to_dict


class Sink(Protocol):
    """Where rows go. Any call may raise whatever its package does."""

    name: str  # of PACKAGES

    def has(self, run: Run) -> bool:
        """Whether it holds rows of the run, of this session or an earlier one."""
        ...

    def begin(self, run: Run) -> None:
        """What it holds of the run is to be replaced."""
        ...

    def add(self, run: Run, env_steps: int, values: Mapping[str, float]) -> None:
        """The rows of one evaluation; those of a run come in the order of steps."""
        ...

    def flush(self) -> None:
        """What was added can be seen by others."""
        ...

    def close(self) -> None:
        """The runs that were begun have ended, for now."""
        ...


class TensorBoard:
    """Event files, in <workdir>/tensorboard/<variant>/<task>/seed<k>."""

    name = TENSORBOARD

    def __init__(self, workdir: Path):
        """Raises: ConfigError, without tensorboardX."""
        self.workdir = workdir
        _require(TENSORBOARD)
        self._open: dict[Cell, Any] = {}

    def has(self, run: Run) -> bool:
        return any(event_folder(self.workdir, run.cell).glob("events.out.tfevents.*"))

    def begin(self, run: Run) -> None:
        events, folder = _events(), event_folder(self.workdir, run.cell)
        old = [*folder.glob("events.out.tfevents.*")]
        writer = self._writer(run.cell)
        # a TensorBoard that has read the old ones is told to forget all from step 0
        writer.write_event(events.Event(session_log=events.SessionLog(status="START")))
        writer.flush()
        for path in old:
            path.unlink()

    def add(self, run: Run, env_steps: int, values: Mapping[str, float]) -> None:
        event = _events().Event(step=env_steps, wall_time=time.time())
        for name, value in values.items():
            event.summary.value.add(tag=name, simple_value=value)
        self._writer(run.cell).write_event(event)

    def _writer(self, cell: Cell) -> Any:
        """tensorboardX's own, which writes at once: its SummaryWriter has two threads
        and a queue for each file, and its flush does not wait for them."""
        from tensorboardX.event_file_writer import EventsWriter

        if cell not in self._open:
            if len(self._open) >= MOST_OPEN:
                self.close()
            folder = event_folder(self.workdir, cell)
            # files of one second have one name, and are read in the order of names
            suffix = f".{os.getpid()}.{next(_FILES):06}"
            folder.mkdir(parents=True, exist_ok=True)
            self._open[cell] = EventsWriter(str(folder / "events"), suffix)
        return self._open[cell]

    def flush(self) -> None:
        for writer in self._open.values():
            writer.flush()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def _events() -> Any:
    """The messages that event files are of."""
    return importlib.import_module("tensorboardX.proto.event_pb2")


def event_folder(workdir: Path, cell: Cell) -> Path:
    """<workdir>/tensorboard/<variant>/<task>/seed<k>; a name leads nowhere else."""
    parts = [*cell.variant.split("/"), *cell.task.split("/"), f"seed{cell.seed}"]
    safe = ["_" + p if p in ("", ".", "..") else p.replace("\\", "_") for p in parts]
    return workdir.joinpath(TENSORBOARD, *safe)


class WandB:
    """Runs of Weights & Biases, grouped by variant, with the config beside them.

    WANDB_MODE=offline keeps them in <workdir>/wandb, for `wandb sync`.
    """

    name = WANDB

    def __init__(self, workdir: Path, project: str):
        """`project`: 'name', or 'entity/name'.

        Raises:
            ConfigError: without wandb, and where it would refuse each run: a name,
                a WANDB_* variable, no key.
        """
        self.workdir = workdir
        self._module = _require(WANDB)
        *entity, self.project = project.split("/", 1)
        self.entity = entity[0] if entity else None
        if not self.project or self.entity == "":
            raise ConfigError(
                f"--wandb is {project!r}: it must be a project, or entity/project."
            )
        try:
            self._module.Settings(project=self.project)
            if self._module.setup().settings.mode == "online":
                self._module.login(verify=False)
        except Exception as error:  # of pydantic, of wandb: there is no common one
            raise ConfigError(
                f"wandb cannot log to {project!r} ({_line(error)}): mend that, or with "
                "WANDB_MODE=offline it writes to the workdir alone."
            ) from None
        self._open: dict[Cell, Any] = {}

    def _name(self, run: Run) -> str:
        """The id of a run: that of its workdir, which was drawn once, and its cell."""
        path = self.workdir / WANDB_ID
        found = files.unsealed(path)
        if found is None:  # older stores have runs that are named after their place
            old = (self.workdir / WANDB).is_dir()
            found = {"id": str(self.workdir.resolve()) if old else secrets.token_hex()}
            files.replace(path, files.sealed(found))
        words = found["id"], *map(str, run.cell)
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]

    def _folders(self, run: Run, mode: str = "") -> list[Path]:
        return [*(self.workdir / WANDB).glob(f"{mode}run-*-{self._name(run)}")]

    def has(self, run: Run) -> bool:
        return bool(self._folders(run) or self._folders(run, "offline-"))

    def begin(self, run: Run) -> None:
        for old in self._folders(run, "offline-"):  # it is written anew as a whole
            shutil.rmtree(old)
        task, variant, seed = run.cell
        settings = {"silent": True, "console": "off", "finish_timeout": _FINISH}
        self._open[run.cell] = self._module.init(
            project=self.project,
            entity=self.entity,
            dir=str(self.workdir),
            id=self._name(run),
            name=f"{variant}/{task}/seed{seed}",
            group=variant,
            job_type=run.algorithm,
            config={"task": task, "seed": seed, "config": dict(run.config)},
            resume="allow",  # what the server has of a run stays as it is
            reinit="create_new",
            settings=self._module.Settings(**settings),
        )

    def add(self, run: Run, env_steps: int, values: Mapping[str, float]) -> None:
        made = self._open[run.cell]
        if env_steps >= made.step:  # the server has what is before
            made.log(dict(values), step=env_steps)

    def flush(self) -> None:
        """wandb does it by itself."""

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].finish()


def _require(name: str) -> Any:
    try:
        return importlib.import_module(PACKAGES[name])
    except ImportError:
        raise ConfigError(
            f"{name} needs {PACKAGES[name]}, which is not installed: "
            f"pip install -c constraints.txt -e '.[{name}]'"
        ) from None


def named(name: str, workdir: Path, project: str) -> Sink:
    """'tensorboard' or 'wandb'.

    Raises: ConfigError.
    """
    if name not in PACKAGES:
        raise ConfigError(
            f"sink is {name!r}: it must be one of {', '.join(PACKAGES)}"
            f"{nearest(name, PACKAGES)}"
        )
    if name == TENSORBOARD:
        return TensorBoard(workdir)
    return WandB(workdir, project)


# ---------------------------------------------------------------- rows


Rows = dict[Cell, dict[int, dict[str, float]]]  # env steps -> metric -> value


class Feed:
    """Rows of a run store into sinks: those that are there, then those that land.

    A sink that fails is left out from there on.
    """

    def __init__(
        self,
        workdir: Path,
        sinks: Sequence[Sink],
        lost: Callable[[Path, Sink, Exception], None] | None = None,
    ):
        """`lost` is called once for each sink that fails; None: it is said."""
        self.workdir, self.sinks, self._lost = workdir, list(sinks), lost or _say
        self._begun: dict[Cell, tuple[Run, set[tuple[int, str]]]] = {}

    @functools.cached_property
    def _there(self) -> tuple[Header, Rows]:
        """The store as it is when the first cell begins: no cell changes before it
        does."""
        header = store.load(self.workdir)
        assert header is not None  # whoever tells of cells has made it
        return header, rows_of(self.workdir)

    def begin(self, cells: Iterable[Cell]) -> None:
        """Write these anew, from the rows that the store has."""
        if not self.sinks:
            return
        header, rows = self._there
        for cell in cells:
            run = _run(header, cell)
            self._begun[cell] = run, set()
            self._each(lambda sink, run=run: sink.begin(run))
            for steps, values in sorted(rows.get(cell, {}).items()):
                self.add(cell, steps, values)
        self.flush()

    def add(self, cell: Cell, env_steps: int, values: Mapping[str, float]) -> None:
        """Rows of a cell that was begun; what was written stays as it is."""
        run, there = self._begun[cell]
        new = {k: v for k, v in values.items() if (env_steps, k) not in there}
        there.update((env_steps, name) for name in new)
        if new:
            self._each(lambda sink: sink.add(run, env_steps, new))

    def land(
        self, cells: Sequence[Cell], env_steps: int, metrics: Mapping[str, Any]
    ) -> None:
        """The rows of one evaluation of a program: metrics [N], one for each cell."""
        for i, cell in enumerate(cells if self.sinks else ()):
            self.add(cell, env_steps, {k: float(v[i]) for k, v in metrics.items()})
        self.flush()

    def flush(self) -> None:
        self._each(lambda sink: sink.flush())

    def close(self) -> None:
        self._each(lambda sink: sink.close())

    def rest(self) -> None:
        """Whatever the store has of cells that a sink has nothing of."""
        if not self.sinks or store.load(self.workdir) is None:
            return
        header, rows = self._there
        lack = set[Cell]()

        def look(sink: Sink, run: Run) -> None:
            if not sink.has(run):
                lack.add(run.cell)

        for cell in [cell for cell in rows if cell not in self._begun]:
            self._each(functools.partial(look, run=_run(header, cell)))
        self.begin([cell for cell in rows if cell in lack])

    def _each(self, call: Callable[[Sink], object]) -> None:
        for sink in list(self.sinks):
            try:
                call(sink)
            except Exception as error:  # of a network, a disk, a package: of any type
                self.sinks.remove(sink)
                with contextlib.suppress(Exception):
                    sink.close()
                self._lost(self.workdir, sink, error)


def _say(workdir: Path, sink: Sink, error: Exception) -> None:
    place = shlex.quote(str(workdir))
    note(
        f"{sink.name} failed ({_line(error)}): rows go to the run store alone from "
        f"here on; `coadapt logs --workdir={place} --to={sink.name}` copies "
        "them later."
    )


def _refuse(_: Path, sink: Sink, error: Exception) -> None:
    raise store.StoreError(
        f"{sink.name} failed ({_line(error)}): the run store is as it was, and the "
        "same command copies it anew."
    )


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return cut(text, 300)


def _run(header: Header, cell: Cell) -> Run:
    entry = header.variants[cell.task][cell.variant]
    return Run(cell, entry.algorithm, entry.config)


def rows_of(workdir: Path) -> Rows:
    """Cell -> env steps -> metric -> value.

    Raises:
        ConfigError: without a store.
    """
    found: Rows = {}
    frame = store.read(workdir)
    columns = ("task", "variant", "seed", "env_steps", "metric", "value")
    for task, variant, seed, steps, metric, value in zip(
        *(frame[name] for name in columns), strict=True
    ):
        of_cell = found.setdefault(Cell(task, variant, int(seed)), {})
        of_cell.setdefault(int(steps), {})[metric] = float(value)
    return found


def copy(workdir: Path, sink: Sink) -> int:
    """All rows of a run store into a sink; returns how many agents have any.

    Raises:
        ConfigError: if there is no run store.
        StoreError: if the sink fails.
    """
    store.header(workdir)
    feed = Feed(workdir, [sink], _refuse)
    _, rows = feed._there
    for cell in rows:  # one after the other: few files and runs are open
        feed.begin([cell])
        feed.close()
    return len(rows)
