"""Configs of older versions as this one reads them.

A store says the number of the schema that its configs have. Where a field is renamed or
changes its meaning, SCHEMA goes up by one and its way goes into a table here, for good;
names that changed stand in `aliases.RENAMED`, which the command line reads too.
A field that is added, with a default that is what was done before, needs nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from coadapt.aliases import RENAMED

SCHEMA = 4  # of the configs that this version writes
Config = dict[str, Any]  # of schema.to_dict


def _dual_divergences(config: Config) -> Config:
    """Schema 1 had one DualKL and one Wasserstein, which are no defaults any more."""
    was = {"DualKL": {"ratio": "exp", "slope": 0.0}, "Wasserstein": {"sided": "two"}}
    update = config.get("pi_q_update") or {}
    divergence = update.get("divergence") or {}
    if divergence.get("kind") not in was:
        return config
    own = {**was[divergence["kind"]], **divergence}
    return {**config, "pi_q_update": {**update, "divergence": own}}


def _named_kinds(config: Config) -> Config:
    """Schema 2 had one kind of network and one of clipping, which had no names."""
    config = _within(config, ("optim", "clip"), lambda clip: {"kind": "Clip", **clip})
    for net in ("policy", "critic"):
        config = _within(config, ("networks", net), _perceptron)
    return config


def _perceptron(net: Config) -> Config:
    """Its `layer_norm` said where a norm stands, or that there is none."""
    if "layer_norm" not in net:
        return {"kind": "MLP", **net}
    rest = {key: value for key, value in net.items() if key != "layer_norm"}
    norm = {"kind": "LayerNorm", "at": net["layer_norm"]}
    none = net["layer_norm"] == "none"
    return {"kind": "MLP", **rest, "norm": None if none else norm}


def _renamed_fields(config: Config) -> Config:
    """Schema 3 had names of its own for some fields."""
    today = _renamed({"kind": "Config", **config})
    return {name: value for name, value in today.items() if name != "kind"}


def _renamed(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    today = RENAMED.get(part.get("kind", ""), {})
    return {today.get(name, name): _renamed(value) for name, value in part.items()}


def _within(
    config: Config, path: tuple[str, str], change: Callable[[Config], Config]
) -> Config:
    """With the object at a path changed, where there is one."""
    outer, inner = path
    parent = config.get(outer)
    if not isinstance(parent, dict) or not isinstance(parent.get(inner), dict):
        return config
    return {**config, outer: {**parent, inner: change(parent[inner])}}


# number k: from schema k to k + 1
MIGRATIONS: Mapping[int, Callable[[Config], Config]] = {
    1: _dual_divergences,
    2: _named_kinds,
    3: _renamed_fields,
}


def migrated(config: Config, schema: int) -> Config:
    """A config of that schema, as SCHEMA has it."""
    for number in range(schema, SCHEMA):
        config = MIGRATIONS.get(number, lambda same: same)(config)
    return config
