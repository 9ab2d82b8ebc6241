"""The flags that `coadapt train` and `coadapt sweep` have in common."""

from absl import flags

from coadapt.cli import compiled, configs, workers
from coadapt.cli.values import Values, definers


def define(values: Values, *, seeds: str) -> None:
    """Flags that `train` and `sweep` have in common.

    Args:
        seeds: their default, in words.
    """
    text, switch = definers(values)
    configs.define_set(values)
    _define_asked(values, seeds)
    text("workdir", "folder for the results, where the same command also resumes")
    text(
        "eval_every",
        "env steps between evaluations (20000, or the next multiple of data.envs)",
    )
    text("eval_episodes", "episodes of each evaluation (10)")
    text(
        "checkpoint_every",
        "env steps between checkpoints, at which running episodes are truncated and "
        "from which a run can resume; if given, a snapshot is written at each, "
        "otherwise at as many as take 5% of the time (20000, or more with data.envs)",
    )
    text(
        "keep",
        "newest snapshots of each program to keep; with 0 a finished program keeps its "
        "agents without their replays (1)",
    )
    switch(
        "allow_other_machine",
        "resume programs that were begun with another CPU, device, number of devices, "
        "jaxlib or simulator, which is refused otherwise",
    )
    switch("dry_run", "print the plan; compile, run and write nothing")
    switch(
        "measure",
        "with --dry_run: also compile each program's update, time it on this device, "
        "and estimate the total time",
    )
    switch("quiet", "print no progress, only the result")
    _define_logs(values)
    workers.define(values)
    text("compile_cache", compiled.ABOUT)


def _define_asked(values: Values, seeds: str) -> None:
    text, _ = definers(values)
    text(
        "seeds",
        "number of seeds (4 means 0, 1, 2, 3), or the seeds themselves: 4-7, or 4,5, "
        f"or 0-3,8 ({seeds})",
    )
    text(
        "steps",
        "env steps of each agent, such as 100000 or 1e5; an algorithm or a variant can "
        "have its own: 1e5,awr:6e5",
    )
    flags.DEFINE_multi_string(
        "reference",
        [],
        "task:value, the return that counts as 1 in the task's unit, in which a random "
        "policy has 0; fixed before the first run; repeat for more tasks (of standard "
        "tasks, the value in docs/statistics.md)",
        flag_values=values,
    )


def _define_logs(values: Values) -> None:
    text, switch = definers(values)
    text(
        "log",
        "metrics and groups of metrics, separated by commas, such as default,norms or "
        "all: docs/logging.md (default)",
    )
    switch(
        "tensorboard",
        "also write each agent's rows as event files into <workdir>/tensorboard",
    )
    text(
        "wandb",
        "also log each agent as a run of this project of Weights & Biases, written "
        "project or entity/project",
    )
