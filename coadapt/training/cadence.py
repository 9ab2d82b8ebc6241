"""At which env steps there is an evaluation or a checkpoint, and a run's end.

An agent's E environments step together, so its env steps, which are summed over them,
come E at a time: what happens at one of them happens at a multiple of E.
"""

import math
from collections.abc import Iterable

from coadapt.config import Config
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec

EVERY = 20_000  # env steps, where nothing else is asked for
# episodes that each of several environments may have, at least, between checkpoints
_WHOLE = 2


def evaluations(configs: Iterable[Config]) -> int:
    """Env steps from one evaluation to the next, by default."""
    return _next(EVERY, configs)


def checkpoints(agents: Iterable[tuple[Config, EnvSpec | None]]) -> int:
    """Env steps from one checkpoint to the next, by default; None: no such task."""
    each = list(agents)
    least = [_least(config, spec) for config, spec in each if spec is not None]
    return _next(max([EVERY, *least]), [config for config, _ in each])


def _next(number: int, configs: Iterable[Config]) -> int:
    """That number, or the next at which all these agents have made whole steps."""
    together = math.lcm(*(config.data.envs for config in configs))
    return -(-number // together) * together


def _least(config: Config, spec: EnvSpec) -> int:
    """Env steps between checkpoints, at least: they end all running episodes.

    Of one environment any number will do: what an interval of 20,000 cuts is little.
    Of E it would be as many episodes of each as of one in 20,000 / E.
    """
    each = config.data.envs
    return _WHOLE * each * spec.max_steps if each > 1 else 1


def check(
    config: Config, spec: EnvSpec, steps: int, eval_every: int, checkpoint_every: int
) -> None:
    """Refuse what does not fit an agent's environments.

    Raises: ConfigError.
    """
    each = config.data.envs
    if each == 1:
        return
    counts = {
        "steps": steps,
        "eval_every": eval_every,
        "checkpoint_every": checkpoint_every,
    }
    for name, number in counts.items():
        before = number // each * each
        if before != number:
            near = f"{before:,} or {before + each:,}" if before else f"{each:,}"
            raise ConfigError(
                f"{name} is {number:,}: the {each:,} environments of an agent "
                f"(data.envs) step together, so it must be a multiple of {each:,}, "
                f"such as {near}."
            )
    least = _least(config, spec)
    if checkpoint_every < least:
        raise ConfigError(
            f"checkpoint_every is {checkpoint_every:,}: it ends the episodes of all "
            f"{each:,} environments of an agent, of up to {spec.max_steps:,} steps "
            f"each on {spec.task}, so it must be at least {least:,} "
            f"({_WHOLE} * data.envs * {spec.max_steps})."
        )
