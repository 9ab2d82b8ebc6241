"""The flags that `coadapt train` and `coadapt sweep` have in common."""

from absl import flags

from coadapt.cli import compiled, configs, workers
from coadapt.cli.values import Values, definers


def define(values: Values) -> None:
    """Flags that `train` and `sweep` have in common."""
    text, switch = definers(values)
    configs.define_set(values)
    _define_asked(values)
    text(
        "workdir", "folder of the results; the same command again continues from there"
    )
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
        f"(the environment's COADAPT_CACHE, or {compiled.CACHE})",
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
