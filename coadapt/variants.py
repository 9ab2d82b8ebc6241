"""Variants: what a sweep compares, and how sets of them are made from axes."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from coadapt import algorithms, schema
from coadapt.changes import change
from coadapt.config import Config
from coadapt.schema import ConfigError
from coadapt.validation.config_rules import check

# path -> the values that it takes; of fields that take them together, 'a.b+c.d', or a
# tuple of paths
Axes = Mapping[Any, Sequence[object]]


@dataclasses.dataclass(frozen=True)
class Variant:
    """What a sweep compares: a config, and its name in the results.

    Variants of one `algorithm` are compared with each other, and have one colour in
    figures; of a config of your own it is any name.
    """

    name: str
    algorithm: str
    config: Config
    steps: int | None = None  # env steps; None: those of the sweep


def presets(names: Sequence[str], task: str | None = None) -> tuple[Variant, ...]:
    """Algorithms by name, as their sources ran them on this task."""
    made = tuple(Variant(n, n, algorithms.preset(n, task)) for n in names)
    distinct(made)
    return made


def vary(variant: Variant, changes: Mapping[str, object]) -> Variant:
    """The variant with these changes, named after them.

    Raises: ConfigError.
    """
    must_be_variant(variant)
    parts = [variant.name, *(f"{path}={label(v)}" for path, v in changes.items())]
    name = "/".join(parts)
    try:
        config = change(variant.config, changes)
        return dataclasses.replace(variant, name=name, config=config)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def label(value: object) -> str:
    """A value as it stands in a variant's name: no commas, no spaces."""
    if isinstance(value, tuple | list):
        return "x".join(map(label, value))
    text = value.__name__ if isinstance(value, type) else str(value)
    text = type(value).__name__ if dataclasses.is_dataclass(value) else text
    return text.strip("()[] ").replace(" ", "").replace(",", "x")


def grid(
    start: Sequence[str | Variant], axes: Axes, *, task: str | None = None
) -> tuple[Variant, ...]:
    """Every variant with every combination of the axes' values.

    Args:
        start: names of presets, or variants, such as one with a config of your own.
        axes: fields with their values, {"g_estimate.critics": [1, 2]}. Fields that
            change together are one axis, "a.b+c.d" or ("a.b", "c.d").
        task: presets take their own settings for it; `coadapt.train` does this itself.

    Returns:
        Variants, named "sac/g_estimate.critics=1".

    Raises:
        ConfigError: if a combination is not valid, or two are equal.
    """
    columns = [[(p, value) for value in values] for p, values in _axes(axes).items()]
    rows = [dict(row) for row in itertools.product(*columns)]
    made = [[vary(v, row) for row in rows] for v in _variants(start, task)]
    found = tuple(itertools.chain(*made))
    distinct(found)
    for variants in made:
        _refuse_equal(variants)
    return found


def one_at_a_time(variant: Variant, axes: Axes) -> tuple[Variant, ...]:
    """The variant itself, then the variant with each single value of the axes.

    Values that the variant already has are left out.

    Args:
        axes: as of `grid`.

    Returns:
        Variants, named "sac/g_estimate.critics=1".

    Raises:
        ConfigError: as `grid`.
    """
    must_be_variant(variant)
    found = _axes(axes).items()
    single = [vary(variant, {p: v}) for p, values in found for v in values]
    made = (variant, *(each for each in single if each.config != variant.config))
    distinct(made)
    _refuse_equal(made)
    return made


def swap(variant: Variant, source: Variant) -> Variant:
    """The variant with another's networks: the whole column of Table 4.

    Exchanged are sizes, activations, norms, initialisers, input normalisation, and the
    optimisers (kind and rate) of policy and critic. Clipping, weight decay and the
    rate of the multipliers belong to the algorithm, and stay. Source: settings 1.7.

    Returns:
        A variant, named "sac/net=mpo".

    Raises:
        ConfigError: if the combination is not valid.
    """
    must_be_variant(variant)
    must_be_variant(source)
    ours, theirs = variant.config, source.config
    optim = dataclasses.replace(
        ours.optim, policy=theirs.optim.policy, critic=theirs.optim.critic
    )
    config = dataclasses.replace(ours, networks=theirs.networks, optim=optim)
    check(config)
    name = f"{variant.name}/net={source.name}"
    return dataclasses.replace(variant, name=name, config=config)


def distinct(variants: Sequence[Variant]) -> None:
    """Refuse two variants of one name, or one that no file can hold.

    Raises: ConfigError.
    """
    names = [variant.name for variant in variants]
    for name in names:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise ConfigError(
                f"variant {name!r} has no name for a table: it must be a text that can "
                "be printed, in one line."
            )
    for name, times in sorted(Counter(names).items()):
        if times > 1:
            raise ConfigError(
                f"variant {name!r} is there {times} times: names must differ, because "
                "results are filed under them."
            )


def _refuse_equal(variants: Iterable[Variant]) -> None:
    """Refuse one config under two names, as 1e-3 and 0.001 would make it."""
    found = dict[Config, str]()
    for variant in variants:
        other = found.setdefault(variant.config, variant.name)
        if other != variant.name:
            raise ConfigError(
                f"{other} and {variant.name} are one config, written in two ways: give "
                "each value once."
            )


def must_be_variant(value: object) -> None:
    schema.must_be(value, Variant, "variant", "a coadapt.Variant")


def _variants(start: Sequence[str | Variant], task: str | None) -> list[Variant]:
    if isinstance(start, str | Variant) or not isinstance(start, Iterable):
        start = [start]
    found = [presets([v], task)[0] if isinstance(v, str) else v for v in start]
    if not found:
        raise ConfigError("variants is empty: name at least one algorithm.")
    return found


def _axes(axes: Axes) -> dict[str, Collection[object]]:
    """With a text for a key: 'a.b+c.d' for fields that take their values together.

    Raises:
        ConfigError: for no values, and for a field in two axes.
    """
    schema.must_be(axes, Mapping, "axes", "a dict of paths and lists of values")
    found: dict[str, Collection[object]] = {}
    for path, values in axes.items():
        name = "+".join(path) if isinstance(path, tuple) else str(path)
        listed = isinstance(values, Collection) and not isinstance(values, str)
        if not listed or not len(values):
            raise ConfigError(
                f"{name} is {values!r}: a grid needs a list of one value or more."
            )
        found[name] = values
    paths = [path for name in found for path in schema.tied(name)]
    for path, times in Counter(paths).items():
        if times > 1:
            raise ConfigError(f"{path} is in {times} axes: give it in one of them.")
    return found
