"""Flags of a Slurm job, its script, and submitting it."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from coadapt import sweep
from coadapt.cli.values import Values, definers, get
from coadapt.distributed import engines, slurm
from coadapt.distributed.engines import Options
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Group, Sweep
from coadapt.system.deadline import Deadline

_ROOM = 1.25  # of the memory that is planned: Slurm ends what takes more


def define(values: Values) -> None:
    text, _ = definers(values)
    flags.DEFINE_multi_string(
        "slurm",
        [],
        "an option of sbatch for --engine=slurm: --slurm=partition=gpu, "
        "--slurm=time=8:00:00; repeat for more",
        flag_values=values,
    )
    text(
        "slurm_file",
        "file with more lines for the script of --engine=slurm, such as module load; "
        "they follow the script's own options",
    )


def refuse(values: Values, engine: str) -> None:
    """Raises: ConfigError."""
    given = [n for n in ("slurm", "slurm_file") if get(values, n)]
    if given and engine != engines.SLURM:
        raise ConfigError(f"--{given[0]} applies to Slurm: also give --engine=slurm.")
    for option in get(values, "slurm"):
        name = option.partition("=")[0].strip()
        if not name or name.startswith("-") or option.strip() != option:
            raise ConfigError(
                f"--slurm is {option!r}: it must be name=value, as sbatch has it after "
                "'--', such as partition=gpu."
            )
        if name in slurm.OWN:
            raise ConfigError(
                f"--slurm has {name}, which is the script's own: --workers says how "
                "many tasks there are at once; change a copy of the script for more."
            )


def _lines(values: Values) -> list[str]:
    """Of the user's file.

    Raises: ConfigError.
    """
    path = get(values, "slurm_file")
    if path is None:
        return []
    try:
        text = store.expanded(path, "--slurm_file").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"--slurm_file is {path!r}: {reason}.") from None
    return [line for line in text.splitlines() if not line.startswith("#!")]


def job(
    values: Values, options: Options, asked: Sweep, groups: Sequence[Group]
) -> slurm.Asked:
    """What the tasks of these programs need.

    Raises: ConfigError.
    """
    plan = sweep.plan_of(groups, asked, engines.number(options))
    hours = get(values, "max_hours")
    return slurm.Asked(
        programs=len(groups),
        at_once=options.workers,
        cores=1 if options.gpus else engines.number(options),
        gpus=options.gpus,
        memory=int(_ROOM * (plan.base_bytes + plan.memory_bytes)),
        options=get(values, "slurm"),
        lines=_lines(values),
        flags=[*options.flags, *([f"--max_hours={hours}"] if hours else [])],
    )


def script(values: Values, options: Options, asked: Sweep, workdir: str | None) -> str:
    """That would be submitted.

    Raises: ConfigError, files.StoreError.
    """
    path = store.folder(workdir or "WORKDIR").absolute()
    about = store.adopted(path, sweep.header(asked))
    todo = sweep.planned(asked, path, about, *engines.room(options))
    groups = [each.group for each in todo]
    return slurm.script(path, job(values, options, asked, groups))


def submit(
    values: Values, options: Options, asked: Sweep, workdir: Path, rules: Checkpoints
) -> str:
    """Plan, and submit what the store lacks; says what was. '' where nothing is left.

    Raises:
        ConfigError: before anything is written.
        files.StoreError:
    """
    _lines(values)  # a file that is not there is known before anything is written
    path = sweep.admitted(asked, workdir)
    slurm.require(path)
    with store.owned(path):
        units = engines.plan(
            asked, path, options, checkpoints=rules, deadline=Deadline(),
            allow_other_machine=get(values, "allow_other_machine"),
        )  # fmt: skip
        if not units:
            return ""
        what = job(values, options, asked, [unit.group for unit in units])
        most = max(unit.job.devices for unit in units)
        what = what._replace(cores=1 if options.gpus else most)
        names = [unit.record.folder.name for unit in units]
        jobs = slurm.submit(path, names, what)
    return f"submitted {len(names)} programs to Slurm: job {' and '.join(jobs)}"
