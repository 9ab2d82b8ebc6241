"""A part of `coadapt sweep`: presets by a grid of changes, and by a factorial."""

from collections.abc import Sequence

from coadapt import schema, sweep
from coadapt.analysis import effects
from coadapt.cli import budget, configs, studies
from coadapt.cli import variants as variants_of
from coadapt.cli.values import Values, count, get, listed
from coadapt.config import Config
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep, Variant


def _made(values: Values, presets: Sequence[Variant]) -> Sequence[Variant]:
    """Each preset at the settings of the factorial and of the grid.

    Raises: ConfigError.
    """
    _refuse_both(values, presets[0].config)
    start = _factorial(values, presets)
    return sweep.grid(start, configs.axes(values, start[0].config))


def _refuse_both(values: Values, config: Config) -> None:
    """Raises: ConfigError, where a field is in a grid and in a factorial."""
    grid, factorial = (
        {
            path
            for axis in configs.axes(values, config, name)
            for path in schema.tied(axis)
        }
        for name in ("grid", "factorial")
    )
    for path in sorted(grid & factorial):
        raise ConfigError(
            f"{path} is in --grid and in --factorial: give each field once."
        )


def _factorial(values: Values, start: Sequence[Variant]) -> Sequence[Variant]:
    """Each variant at the settings of the toggles that the design has."""
    toggles = configs.axes(values, start[0].config, "factorial")
    for path, levels in toggles.items():
        if len(levels) != 2:
            raise ConfigError(
                f"--factorial has {path} with {len(levels)} levels: a toggle has two, "
                "off and on; --grid has any number."
            )
    if get(values, "resolution") is None:
        return sweep.grid(start, toggles) if toggles else start
    if not toggles:
        raise ConfigError(
            "--resolution applies to a factorial design: also give --factorial."
        )
    least = count(values, "resolution", least=3, most=12)
    design = effects.fractional(tuple(toggles), least)
    settings = [
        {
            path: toggles[path][int(level > 0)]
            for path, level in zip(toggles, row, strict=True)
        }
        for row in design.rows
    ]
    made = [sweep.vary(variant, setting) for variant in start for setting in settings]
    sweep.distinct(made)
    return made


def asked(values: Values) -> Sweep:
    """The sweep.

    Raises: ConfigError.
    """
    for other in ("scale", "variants"):
        if get(values, other):
            raise ConfigError(
                f"--{other} applies to an experiment: also give --experiment."
            )
    names = listed(get(values, "algorithms"))
    if not names:
        raise ConfigError(
            "--algorithms is missing: give presets, such as sac,mpo, or --experiment."
        )
    tasks = variants_of.tasks(values)
    if not tasks:
        raise ConfigError("--task is missing: give one, such as gym/HalfCheetah-v5.")
    variants = {}
    for task in tasks:
        presets = variants_of.changed(values, sweep.presets(names, task))
        variants[task] = _made(values, presets)
    return Sweep(
        experiment="sweep",
        variants=variants,
        **budget.amounts(values, studies.seeds(values)),
    )
