"""A part of `coadapt sweep`: settings that are tuned for each variant, or drawn."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from coadapt import sweep
from coadapt.cli import configs
from coadapt.cli.values import Values, count, get, refuse_both
from coadapt.schema import ConfigError
from coadapt.studies import procedure, tuning
from coadapt.sweep import Sweep

_PARTS = ("budget", "seeds", "scramble", "steps", "rule")


def define(values: Values) -> None:
    """Flags of both."""
    _define_tuning(values)
    _define_random(values)


def _define_tuning(values: Values) -> None:
    flags.DEFINE_multi_string(
        "tune",
        [],
        "tune this field for each variant, field=low..high or field=low..high:log: "
        "--tune=optim.policy.rate=1e-5..1e-2:log; repeat for more",
        flag_values=values,
    )
    for name, about in (
        ("tune_budget", "settings tried for each variant, a power of 2 (16)"),
        ("tune_seeds", "seeds of each setting, separate from --seeds (3)"),
        ("tune_scramble", "seed of the Sobol sequence of settings (0)"),
        ("tune_steps", "env steps of each tuning run (those of --steps)"),
        (
            "tune_rule",
            "best: all settings run to their end; halving: the worse half is dropped "
            "at a quarter of the steps, and again at a half (best)",
        ),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _define_random(values: Values) -> None:
    flags.DEFINE_string(
        "random",
        None,
        "run each variant at this number of settings, drawn uniformly from --vary",
        flag_values=values,
    )
    flags.DEFINE_string(
        "random_seed",
        None,
        "seed from which the settings of --random are drawn (0)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "scrambles",
        None,
        "number of searches, 4 or more: each is a scramble of a Sobol sequence with as "
        "many settings as --random says, to see what tuning is worth: docs/tuning.md",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "vary",
        [],
        "field and range for --random, field=low..high or field=low..high:log; repeat "
        "for more",
        flag_values=values,
    )


def tuned(values: Values) -> tuning.Tuning | None:
    """What --tune and its like say, or a ConfigError."""
    ranges = configs.changes(values, "tune")
    if not ranges:
        for name in (f"tune_{part}" for part in _PARTS):
            if get(values, name) is not None:
                raise ConfigError(f"--{name} applies to tuning: also give --tune.")
        return None
    steps = get(values, "tune_steps")
    return tuning.Tuning(
        tuple(tuning.ranged(path, text) for path, text in ranges.items()),
        count(values, "tune_budget", 16),
        count(values, "tune_seeds", 3, most=sweep.MOST_SEEDS),
        steps and count(values, "tune_steps"),
        get(values, "tune_rule") or tuning.BEST,
        count(values, "tune_scramble", 0, least=0),
    )


def drawn(values: Values, asked: Sweep) -> Sweep:
    """With each variant at the settings of --random, or a ConfigError."""
    texts = configs.changes(values, "vary")
    if (get(values, "random") is None) != (not texts):
        raise ConfigError(
            "--random and --vary go together: how many settings, and of which fields."
        )
    if not texts:
        for name in ("random_seed", "scrambles"):
            if get(values, name) is not None:
                raise ConfigError(f"--{name} applies to --random: also give --random.")
        return asked
    for other in ("tune", "until"):
        refuse_both(values, other, "random")
    ranges = [tuning.ranged(path, text, "vary") for path, text in texts.items()]
    tuning.require_fields(asked, ranges)
    settings, said = _settings(values, ranges)
    return dataclasses.replace(
        asked,
        variants={
            task: tuple(tuning.varied(variants, settings))
            for task, variants in asked.variants.items()
        },
        protocol={
            **said,
            "ranges": [list(each) for each in ranges],
            "variants": [v.name for vs in asked.variants.values() for v in vs],
            "seeds": list(asked.seeds),
        },
    )


def _settings(
    values: Values, ranges: Sequence[tuning.Range]
) -> tuple[list[tuning.Setting], dict[str, Any]]:
    """Iid uniform, or of scrambles of a Sobol sequence; what a protocol says of them.

    Raises: ConfigError.
    """
    number = count(values, "random", least=4, most=tuning.MOST)
    seed = count(values, "random_seed", 0, least=0)
    said = {"number": number, "seed": seed}
    if get(values, "scrambles") is None:
        return tuning.uniform(ranges, number, seed), {"rule": tuning.RANDOM, **said}
    tuning.require_budget("random", number)
    times = count(values, "scrambles", least=procedure.LEAST, most=tuning.MOST)
    said |= {"rule": tuning.SCRAMBLES, "scrambles": times}
    made = tuning.scrambled(ranges, number, times, seed)
    return [setting for each in made for setting in each], said
