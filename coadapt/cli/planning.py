"""The plan of a sweep, as `--dry_run` prints it."""

from coadapt import plan as plans
from coadapt import sweep
from coadapt.bench import duration
from coadapt.cli import slurm
from coadapt.cli.values import Values, get
from coadapt.distributed import engines
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep


def lines(
    values: Values, asked: Sweep, plan: sweep.Plan, others: engines.Options | None
) -> list[str]:
    """The plan, and what of it is finished, a line each; then what flags ask for."""
    workdir, found = get(values, "workdir"), plans.lines(plan)
    if workdir:
        found += _done(values, asked, others)
    if others is not None and others.engine == engines.SLURM:
        found += ["", slurm.script(values, others, asked, workdir).rstrip()]
    if get(values, "measure"):
        found.append(duration.line(duration.of_updates(sweep.packs(asked), asked)))
    return found


def _done(values: Values, asked: Sweep, others: engines.Options | None) -> list[str]:
    """What of the plan is finished.

    Raises:
        ConfigError: where the run would be refused.
        StoreError: where the run would be refused.
    """
    done = sweep.require_admitted(
        asked,
        get(values, "workdir"),
        *(engines.room(others) if others else ()),
        elsewhere=others is not None,
        allow_other_machine=get(values, "allow_other_machine"),
    )
    return [f"finished: {done}"]


def refuse_measure(values: Values) -> None:
    """Raises: ConfigError, where --measure is given without --dry_run."""
    if get(values, "measure") and not get(values, "dry_run"):
        raise ConfigError("--measure applies to a plan: also give --dry_run.")
