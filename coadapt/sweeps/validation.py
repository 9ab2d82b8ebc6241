"""What a sweep may ask for: refused before anything starts."""

from collections import Counter
from collections.abc import Sequence

from coadapt import devices, runner, schema
from coadapt.metrics.registry import chosen
from coadapt.schema import ConfigError
from coadapt.sweeps.asked import MOST, MOST_EPISODES, MOST_SEEDS, Sweep, is_int
from coadapt.tasks import references, registry
from coadapt.training import cadence
from coadapt.validation.config_rules import check
from coadapt.variants import Variant, distinct


def validate(sweep: Sweep) -> None:
    """Refuse what cannot be run, before anything starts.

    Raises: ConfigError.
    """
    devices.available()
    runner.refuse_float64()
    for name in ("eval_every", "eval_episodes", "checkpoint_every"):
        _validate_count(name, getattr(sweep, name))
    if sweep.eval_episodes > MOST_EPISODES:
        raise ConfigError(
            f"eval_episodes is {sweep.eval_episodes}: it must be at most "
            f"{MOST_EPISODES:,}, because they run side by side."
        )
    _validate_seeds(sweep)
    chosen(sweep.log)
    if not sweep.variants:
        raise ConfigError("tasks is empty: give at least one.")
    for task, variants in sweep.variants.items():
        _validate_count("steps", sweep.steps_on(task))
        _validate_task(task, variants, sweep)
    references.asked(sweep.variants, sweep.references)


def _validate_count(name: str, value: object) -> None:
    if not is_int(value) or not 1 <= value <= MOST:  # type: ignore[operator]
        raise ConfigError(f"{name} is {value!r}: it must be an int of 1 to {MOST}.")


def _validate_seeds(sweep: Sweep) -> None:
    seeds = list(sweep.seeds)
    if not 1 <= len(seeds) <= MOST_SEEDS:
        raise ConfigError(f"seeds are {len(seeds)}: it must be 1 to {MOST_SEEDS:,}.")
    for seed in seeds:
        if not is_int(seed) or not 0 <= seed <= MOST:
            raise ConfigError(f"seed is {seed!r}: it must be an int of 0 to {MOST}.")
    for seed, times in Counter(seeds).items():
        if times > 1:
            raise ConfigError(f"seed {seed} is there {times} times.")


def _validate_task(task: str, variants: Sequence[Variant], sweep: Sweep) -> None:
    schema.must_be(task, str, "task", "a text, such as 'gym/Hopper-v5'")
    if not variants:
        raise ConfigError(f"{task} has no variants: at least one is needed.")
    distinct(variants)
    spec = registry.spec_of(task)
    for variant in variants:
        if variant.steps is not None:
            _validate_count(f"steps of {variant.name}", variant.steps)
        check(variant.config)
        steps = sweep.steps_of(task, variant)
        runner.admissible(variant.config, spec, steps)
        every = sweep.eval_every, sweep.checkpoint_every
        cadence.check(variant.config, spec, steps, *every)
