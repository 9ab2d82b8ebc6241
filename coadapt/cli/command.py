"""What the commands share: flags, help, exit status, and flags that become sweeps."""

import contextlib
import dataclasses
import importlib
import json
import os
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import psutil
from absl import flags

from coadapt import (
    algorithms,
    aliases,
    console,
    devices,
    duration,
    engines,
    logs,
    progress,
    report,
    schema,
    sinks,
    store,
    sweep,
)
from coadapt import plan as plans
from coadapt.cli import signals, slurm, workers
from coadapt.cli.values import Values, count, definers, get, listed, number, required
from coadapt.config import Config
from coadapt.deadline import Deadline
from coadapt.pool import TIME_OVER
from coadapt.runner import Interrupted, Snapshot, TimeOver
from coadapt.schema import ConfigError, nearest, paths
from coadapt.sweep import Sweep, Variant

CACHE = Path("~/.cache/coadapt/xla")  # of compiled programs
MISTAKE, TROUBLE = 2, 1  # exit statuses: of the user's, of the disk's
REPEAT = "; repeat this option to specify a list of values"  # absl adds it

Parts = Callable[[Path], Iterable[tuple[Sweep, Path]]]


def execute(
    text: str,
    define: Callable[[Values], None],
    run: Callable[[Values], int | None],
    argv: Sequence[str] | None,
    *,
    words: str = "",
) -> int:
    """Parse, run, and return the exit status: that of `run`, by default 0.

    `text` stands on top of the help; `words` names the flag that has what is no flag.
    """
    with console.lasting() as lost:
        status = _executed(text, define, run, argv, words)
    for error in lost[:1]:  # what was computed is whole
        reason = error.strerror
        print(f"error: what was told could not be written: {reason}", file=sys.stderr)
    return status or (TROUBLE if lost else 0)


def _executed(
    text: str,
    define: Callable[[Values], None],
    run: Callable[[Values], int | None],
    argv: Sequence[str] | None,
    words: str,
) -> int:
    values, args = Values(), sys.argv[1:] if argv is None else list(argv)
    define(values)
    flags.DEFINE_multi_string(
        "import",
        [],
        "a module of your own, whose classes a config names as module:Name; repeat for "
        "more",
        flag_values=values,
    )
    if any(arg in ("-h", "-help", "--help") for arg in args):
        print(_help(text, values))
        return 0
    try:
        devices.require_flags()
        devices.use_cores()
        _take(values, words, _parse(values, args))
        _import(get(values, "import"))
        return _with_devices(run, values) or 0
    except (flags.Error, ConfigError, OSError, store.StoreError) as error:
        print(f"error: {_line(str(error))}", file=sys.stderr)
        return TROUBLE if isinstance(error, OSError | store.StoreError) else MISTAKE
    except Interrupted as stopped:
        print(f"{stopped}: the same command again goes on from there", file=sys.stderr)
        return TIME_OVER if isinstance(stopped, TimeOver) else signals.status()
    except KeyboardInterrupt:
        print(
            "interrupted: the same command again goes on from the last checkpoint",
            file=sys.stderr,
        )
        return signals.status()


def _take(values: Values, words: str, rest: Sequence[str]) -> None:
    """What is no flag. Raises: ConfigError, where the command takes none."""
    if rest and not words:
        raise ConfigError(f"argument {rest[0]!r} is not a flag: write --name=value.")
    if rest:
        values[words].value = [*get(values, words), *rest]


def _line(text: str) -> str:
    return console.printable(" ".join(text.split()))


def _import(modules: Sequence[str]) -> None:
    """Modules of a user's own. Raises: ConfigError."""
    if modules and not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # as `python -m` has it, and a script has not
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"--import is {name!r}: {error}.") from None


def _with_devices(run: Callable[[Values], int | None], values: Values) -> int | None:
    """`run`; where it failed because JAX has no device, that is what is said.

    They are asked for after a failure alone: what computes nothing takes no GPU.
    """
    try:
        return run(values)
    except (RuntimeError, AssertionError):
        devices.available()
        raise


def _parse(values: Values, args: Sequence[str]) -> list[str]:
    """What is no flag. Raises: flags.Error, ConfigError."""
    try:
        return values(["", *args])[1:]
    except flags.UnrecognizedFlagError as error:
        name, value = error.flagname, error.flagvalue.partition("=")[2]
        raise ConfigError(
            f"--{name} is not a flag of this command{_meant(values, args, name, value)}"
        ) from None
    except ValueError as error:  # of absl, for a switch with a value
        raise ConfigError(str(error)) from None


def _meant(values: Values, args: Sequence[str], name: str, value: str) -> str:
    """'; did you mean --task?', or --set=path=value, or ''."""
    word = name.lower().replace("-", "_")
    known = aliases.FLAGS.get(word, word)
    paths = [path for path in (name, *aliases.fields(name)) if "set" in values]
    there = _paths_at_hand(values, args) if paths and known == word else set()
    path = next((path for path in paths if path in there), None)
    if path is not None:
        return f"; did you mean --set={path}={value or '...'}?"
    found = schema.near(known, values)
    return f"; did you mean --{found}?" if found else ""


def _paths_at_hand(values: Values, args: Sequence[str]) -> set[str]:
    """Fields of the algorithm that is asked for, or of any."""
    with contextlib.suppress(flags.Error, ValueError):
        values(["", *args], known_only=True)
    given = [get(values, n) for n in ("algorithm", "algorithms") if n in values]
    asked = [name for text in given for name in listed(text)]
    names = [name for name in asked if name in algorithms.PRESETS]
    made = [algorithms.preset(name) for name in names or algorithms.PRESETS]
    return {path for config in made for path, _ in paths(config)}


def _help(text: str, values: Values) -> str:
    lines = [text.strip(), "", "Flags:"]
    width = 2 + max(len(name) for name in values)
    for name in values:  # in the order of their definition
        words = " ".join((values[name].help or "").split())
        about = textwrap.wrap(words.removesuffix(REPEAT) or "-", 84 - width)
        indent = "\n" + " " * (width + 4)
        lines.append(f"  --{name:<{width}}{indent.join(about)}")
    return "\n".join(lines)


# ---------------------------------------------------------------- flags of a sweep


def define_set(values: Values) -> None:
    flags.DEFINE_multi_string(
        "set",
        [],
        "change a field of the config: --set=optim.policy.rate=1e-3; repeat for more",
        flag_values=values,
    )


def define_sweep(values: Values) -> None:
    """Flags that `train` and `sweep` have in common."""
    text, switch = definers(values)
    define_set(values)
    _define_asked(values)
    text("workdir", "folder of the results; the same command again goes on from there")
    text(
        "eval_every",
        "env steps from one evaluation to the next (20000, or the next multiple of "
        "data.envs)",
    )
    text("eval_episodes", "episodes of an evaluation (10)")
    text(
        "checkpoint_every",
        "env steps from one checkpoint to the next (20000, or more with data.envs), "
        "where running episodes end and the same command can go on; given here, each "
        "is written, and otherwise as many as take 5% of the time",
    )
    text(
        "keep",
        "newest checkpoints of a program to keep (1); 0: when it has finished, its "
        "agents without their replay",
    )
    switch(
        "allow_other_machine",
        "go on with programs that another CPU, device, number of devices, jaxlib or "
        "simulator began, which is refused else",
    )
    switch("dry_run", "print the plan; compile, run and write nothing")
    switch(
        "measure",
        "with --dry_run, an estimate of the time too: compiles each program's update "
        "and times it on this device",
    )
    switch("quiet", "show no progress, only the result")
    _define_logs(values)
    workers.define(values)
    text(
        "compile_cache",
        "folder that keeps compiled programs; empty: none "
        f"(the environment's COADAPT_CACHE, or {CACHE})",
    )


def _define_asked(values: Values) -> None:
    text, _ = definers(values)
    text("seeds", "how many, 4 being 0, 1, 2, 3; or which: 4-7, or 4,5, or 0-3,8")
    text(
        "steps",
        "env steps of each agent, such as 100000 or 1e5; some algorithms or variants "
        "can have their own: 1e5,awr:6e5",
    )
    flags.DEFINE_multi_string(
        "reference",
        [],
        "task:value, a return that is 1 in the task's unit, a random policy's being 0; "
        "it is fixed before the first run; repeat for more tasks (of standard tasks, "
        "a table's)",
        flag_values=values,
    )


def _define_logs(values: Values) -> None:
    text, switch = definers(values)
    text(
        "log",
        "metrics and groups of them, by comma, such as default,norms or all; "
        "docs/logging.md lists them (default)",
    )
    switch(
        "tensorboard",
        "also write each agent's rows to <workdir>/tensorboard, as event files",
    )
    text(
        "wandb",
        "also log each agent as a run of this project of Weights & Biases, or "
        "entity/project",
    )


def changes(values: Values, name: str = "set") -> dict[str, str]:
    """'path=value' of every --set. Raises: ConfigError."""
    found: dict[str, str] = {}
    for text in get(values, name):
        path, equals, value = text.strip().partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--{name} is {text!r}: it must be path=value, such as "
                "g_estimate.critics=2."
            )
        if path in found:
            raise ConfigError(f"--{name} has {path} twice: give it once.")
        found[path] = value
    return found


def read_config(path: str) -> Config:
    """A config in a JSON file. Raises: ConfigError, which names the file."""
    file = store.expanded(path, "--config")
    try:
        if file.exists() and not file.is_file():
            raise ConfigError("it is no file.")
        text = file.read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_no_key_twice)
        return schema.from_dict(Config, data)
    except ConfigError as error:
        raise ConfigError(f"--config {path!r}: {error}") from None
    except OSError as error:
        raise ConfigError(f"--config is {path!r}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--config is {path!r}: it is no JSON ({error}).") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two, JSON would take the last and say nothing. Raises: ConfigError."""
    found = dict(pairs)
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise ConfigError(f"{key!r} is there twice: give it once.")
    return found


def axes(values: Values, config: Config, name: str = "grid") -> dict[str, list[str]]:
    """The axes of every --grid: 'path=v1,v2', of tuples 'path=64,64;256,256'.

    Of fields that take their values together, 'a.b+c.d=v1,v2'.
    """
    tuples = {path for path, value in paths(config) if isinstance(value, tuple)}
    found = {}
    for path, text in changes(values, name).items():
        mark = ";" if ";" in text or tuples & {*schema.tied(path)} else ","
        found[path] = [part.strip() for part in text.split(mark) if part.strip()]
    return found


def amounts(
    values: Values,
    seeds: int = 1,
    steps: int | None = None,
    every: int = sweep.DEFAULT,
    episodes: int = 10,
) -> dict[str, Any]:
    """What flags say of how much there is to run, as arguments of `Sweep`."""
    return {
        "seeds": seeds_of(values, seeds),
        "steps": _steps(values, steps),
        "references": _references(values),
        "eval_every": _interval(values, "eval_every", every),
        "eval_episodes": count(values, "eval_episodes", episodes),
        "checkpoint_every": _interval(values, "checkpoint_every", sweep.DEFAULT),
        "log": logs.chosen(listed(get(values, "log")) or ("default",)),
    }


def _interval(values: Values, name: str, default: int) -> int:
    """Env steps; what is not given is left to the sweep. Raises: ConfigError."""
    return default if get(values, name) is None else count(values, name)


def steps_for_all(values: Values) -> list[str]:
    """What --steps has beside steps of single algorithms or variants."""
    return [part for part in listed(get(values, "steps")) if ":" not in part]


def _steps(values: Values, default: int | None) -> int:
    """Raises: ConfigError."""
    text, first = get(values, "steps"), steps_for_all(values)
    if not text:
        return count(values, "steps", default)
    if len(first) > 1 or (not first and default is None):
        raise ConfigError(
            f"--steps is {text!r}: it must have one number for all, as in 1e5,awr:6e5."
        )
    return number("steps", first[0]) if first else int(default or 0)


def own_steps(values: Values, variants: Sequence[Variant]) -> list[Variant]:
    """With the env steps that --steps has of their name, or of their algorithm.

    Raises: ConfigError.
    """
    own = {}
    for part in listed(get(values, "steps")):
        name, colon, text = part.rpartition(":")
        if colon:
            own[name] = number("steps", text)
    known = dict.fromkeys(name for v in variants for name in (v.algorithm, v.name))
    for name in own:
        if name not in known:
            raise ConfigError(
                f"--steps has {name!r}: it must be of {', '.join(known)}"
                f"{nearest(name, known)}"
            )
    return [
        dataclasses.replace(v, steps=own.get(v.name, own.get(v.algorithm, v.steps)))
        for v in variants
    ]


def _references(values: Values) -> dict[str, float]:
    """Raises: ConfigError."""
    found = {}
    for text in get(values, "reference"):
        task, _, word = text.strip().rpartition(":")
        try:
            found[task] = float(word)
        except ValueError:
            task = ""
        if not task:
            raise ConfigError(
                f"--reference is {text!r}: it must be task:value, such as "
                "gym/Hopper-v5:3000."
            )
    return found


_SEEDS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*,?")


def seeds_of(values: Values, default: int) -> tuple[int, ...]:
    """Seeds of --seeds: a number of them, or '4-7', '4,5', '0-3,8'.

    Raises: ConfigError.
    """
    text = (get(values, "seeds") or "").replace(" ", "")
    if not _SEEDS.fullmatch(text) or text.isdecimal():
        try:
            number = count(values, "seeds", default, most=sweep.MOST_SEEDS)
        except ConfigError as error:
            words = str(error).rstrip(".")
            raise ConfigError(f"{words}, or say which: 4-7, or 4,5.") from None
        return sweep.seeds_of(number)
    ends = [[int(n) for n in part.split("-")] for part in listed(text)]
    if sum(part[-1] - part[0] + 1 for part in ends) > sweep.MOST_SEEDS:
        raise ConfigError(
            f"--seeds is {text!r}: it must be at most {sweep.MOST_SEEDS:,} seeds."
        )
    for first, *last in ends:
        if last and last[0] < first:
            raise ConfigError(
                f"--seeds has {first}-{last[0]}: write {last[0]}-{first}."
            )
    return tuple(seed for part in ends for seed in range(part[0], part[-1] + 1))


def run_sweep(
    values: Values,
    asked: Sweep,
    ended: Callable[[sweep.Group, Snapshot], None] = lambda *_: None,
    about: Callable[[], Sequence[str]] = tuple,
    parts: Parts | None = None,
) -> int:
    """Print the plan, or run and report; `ended` as `sweep.run` has it.

    `about` has further lines of the plan, `parts` a study's sweeps with their folders.
    Returns the exit status.
    """
    keep = count(values, "keep", 1, least=0)
    rules = sweep.checkpoints(get(values, "checkpoint_every"), keep)
    workdir = get(values, "workdir")
    _refuse_measure(values)
    others, deadline = workers.asked(values), workers.deadline(values)
    if others is not None:
        jax.config.update("jax_platforms", "cpu")  # GPUs are for those that compute
    elif workdir:  # rounding hangs on their number
        devices.use_cores(store.devices(workdir))
    kept = _kept_at(get(values, "compile_cache"))
    if "MPLBACKEND" in os.environ:  # of the report's figures, before they are due
        importlib.import_module("coadapt.figure")
    plan = sweep.plan(asked, *(engines.room(others) if others else ()))
    if get(values, "dry_run"):
        print("\n".join([*_plan(values, asked, plan, others), *about()]))
        return 0
    folder = store.folder(required(values, "workdir")).absolute()  # it may change
    if others is None:
        _keep_compiled(kept)
    elif _submitted(values, asked, folder, rules, others, parts):
        return 0
    todo = [(asked, folder)] if parts is None else parts(folder)

    def run(part: Sweep, place: Path) -> bool:
        if others is not None:
            return _run_elsewhere(values, part, place, rules, deadline, others)
        _run_here(values, part, place, rules, deadline, ended)
        return True

    whole = all(run(part, place) for part, place in todo)  # ends where one is not
    report.make(folder, printed=True)
    return 0 if whole else TROUBLE


def _refuse_measure(values: Values) -> None:
    if get(values, "measure") and not get(values, "dry_run"):
        raise ConfigError("--measure is of a plan: give it with --dry_run.")


def _done(values: Values, asked: Sweep, others: engines.Options | None) -> list[str]:
    """What of the plan is finished.

    Raises: ConfigError and StoreError, where the run would be refused.
    """
    done = sweep.require_admitted(
        asked,
        get(values, "workdir"),
        *(engines.room(others) if others else ()),
        elsewhere=others is not None,
        allow_other_machine=get(values, "allow_other_machine"),
    )
    return [f"finished: {done}"]


def _run_here(
    values: Values,
    asked: Sweep,
    folder: Path,
    rules: sweep.Checkpoints,
    deadline: Deadline,
    ended: Callable[[sweep.Group, Snapshot], None],
) -> None:
    """Run it in this process."""
    show = progress.quiet if get(values, "quiet") else progress.shown
    since = psutil.Process().create_time()
    with (
        show(asked, since) as tell,
        signals.held() as stop,
        _fed(values, folder) as feed,
    ):
        told = partial(_tell, tell, feed)
        sweep.run(
            asked,
            folder,
            told,
            checkpoints=rules,
            ended=ended,
            stop=stop,
            deadline=deadline,
            allow_other_machine=get(values, "allow_other_machine"),
        )


def _submitted(
    values: Values,
    asked: Sweep,
    folder: Path,
    rules: sweep.Checkpoints,
    others: engines.Options,
    parts: Parts | None,
) -> bool:
    """Whether there is something that Slurm will run, which nobody waits for here.

    Raises: ConfigError, of a study whose next sweep hangs on what the last has shown.
    """
    if others.engine != engines.SLURM:
        return False
    if parts is not None:
        raise ConfigError(
            "--engine=slurm is given, and a study that looks at its results before it "
            "goes on: it needs a process that waits, so use --engine=ray or --workers."
        )
    said = slurm.submit(values, others, asked, folder, rules)
    if said:
        print(said)
    return bool(said)


def _run_elsewhere(
    values: Values,
    asked: Sweep,
    folder: Path,
    rules: sweep.Checkpoints,
    deadline: Deadline,
    others: engines.Options,
) -> bool:
    """Run it in other processes. Returns whether no program failed."""
    with signals.held() as stop, _fed(values, folder) as feed:
        units, failed = workers.run(
            values, asked, folder, others, rules, stop, deadline
        )
        feed.begin([cell for unit in units for cell in unit.record.cells])
    return not failed


@contextlib.contextmanager
def _fed(values: Values, folder: Path) -> Iterator[sinks.Feed]:
    """Where rows go beside results.csv, as flags say. Raises: ConfigError."""
    project = get(values, "wandb")
    asked: list[sinks.Sink] = []
    if get(values, "tensorboard"):
        asked.append(sinks.named(sinks.TENSORBOARD, folder, ""))
    if project is not None:
        asked.append(sinks.named(sinks.WANDB, folder, project or sinks.PROJECT))
    feed = sinks.Feed(folder, asked)
    try:
        yield feed
        feed.rest()
    finally:
        feed.close()


def _tell(tell: progress.Tell, feed: sinks.Feed, event: sweep.Progress) -> None:
    """A program that begins, or its newest rows, to the screen and to the feed."""
    tell(event)
    if event.report is None:
        feed.close()
        feed.begin(event.group.cells)
    else:
        feed.land(event.group.cells, event.report.steps, event.report.metrics)


def _plan(
    values: Values, asked: Sweep, plan: sweep.Plan, others: engines.Options | None
) -> list[str]:
    """The plan, and what of it is finished, a line each; then what flags ask for."""
    workdir, lines = get(values, "workdir"), plans.lines(plan)
    if workdir:
        lines += _done(values, asked, others)
    if others is not None and others.engine == engines.SLURM:
        lines += ["", slurm.script(values, others, asked, workdir).rstrip()]
    if get(values, "measure"):
        lines.append(duration.line(duration.of_updates(sweep.packs(asked), asked)))
    return lines


def keep_compiled(flag: str | None) -> None:
    """Keep compiled programs between runs: compiling is most of a short sweep.

    Raises: ConfigError.
    """
    _keep_compiled(_kept_at(flag))


def _keep_compiled(folder: Path | None) -> None:
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _kept_at(flag: str | None) -> Path | None:
    """The folder of compiled programs, None for none. Raises: ConfigError."""
    given = "COADAPT_CACHE" in os.environ and flag is None
    place = os.environ.get("COADAPT_CACHE", str(CACHE)) if flag is None else flag
    if not place:
        return None
    name = "COADAPT_CACHE" if given else "--compile_cache"
    folder = store.expanded(place, name)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"{name} is {place!r}: it must be a folder.")
    return folder
