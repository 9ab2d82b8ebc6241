"""Print a config as it would run: each field, its value, and the source of that.

Examples:
  coadapt show --algorithm=sac --task=gym/Hopper-v5
  coadapt show --algorithm=mpo --task=gym/Ant-v5 --set=g_estimate.critics=2
  coadapt show --config=mine.json --format=csv

The column `from` says who set a value: --set, the preset's own settings for the task,
the preset or the file, or the default of the class. An invalid combination is refused,
as by coadapt train.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from coadapt import algorithms, changes, field_docs, schema, taxonomy
from coadapt.cli import command, configs, output
from coadapt.cli.values import Values, get, required
from coadapt.config import Config
from coadapt.schema import ConfigError
from coadapt.tasks import registry


def _define(values: Values) -> None:
    for name, about in (
        ("algorithm", "preset to show: sac, mpo, ppo, ..."),
        ("config", "JSON file with a whole config, instead of --algorithm"),
        ("task", "task, family/id, whose own settings of the preset apply (none)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)
    output.define_style(values)
    configs.define_set(values)


def _run(values: Values) -> None:
    style, rows = output.style(values), _rows(values)
    print(taxonomy.render(rows, style).rstrip("\n"))
    if style != "csv":
        print(*field_docs.cited(" ".join(row["source"] for row in rows)), sep="\n")


def _rows(values: Values) -> list[taxonomy.Row]:
    """A line for each field, in the order of the config."""
    asked, notes = configs.changes(values), dict[str, str]()
    file, name = get(values, "config"), get(values, "algorithm")
    if file is None:
        name = required(values, "algorithm")
        before, origins, notes = _preset(name, get(values, "task"))
    elif name:
        raise ConfigError("--algorithm and --config are both given: give one.")
    else:
        before = configs.read_config(file)
        origins = {path: str(file) for path, _ in field_docs.differing(before)}
    config = changes.change(before, asked)
    if get(values, "task") is not None:
        registry.spec_of(get(values, "task"))
    origins |= dict.fromkeys(schema.single(asked), "--set")
    rows = []
    for path, value, owner in _fields(config):
        origin = _origin(path, owner, origins, (before, config))
        said = field_docs.said_of(owner)[path.split(".")[-1]].source
        if origin != f"default of {owner.__name__}":
            said = _noted(notes, path) if origin.endswith(f"preset {name}") else ""
        if origin.startswith(f"preset {name}, row "):
            said = field_docs.source_of_tasks(algorithms.PRESETS[name][0])
        rows.append(
            {
                "field": path,
                "value": field_docs.written(value),
                "from": origin,
                "source": said,
            }
        )
    return rows


def _noted(notes: dict[str, str], path: str) -> str:
    """The comment beside a value of a preset, or the source of what it is in."""
    return notes.get(path, "") or field_docs.nearest(notes, path)


def _preset(
    name: str, task: str | None
) -> tuple[Config, dict[str, str], dict[str, str]]:
    """A preset on a task, which of its paths are from where, and their comments."""
    config = algorithms.preset(name, task)
    make, tasks = algorithms.PRESETS[name]
    notes = field_docs.noted(make)
    own = [path for path, _ in field_docs.differing(make())]
    origins = dict.fromkeys([*own, *notes], f"preset {name}")
    there = algorithms.for_task(tasks, task)
    row = next((key for key, found in tasks.items() if found is there), "")
    origins |= dict.fromkeys(there, f"preset {name}, row {row}")
    return config, origins, notes


def _fields(config: Any, at: str = "") -> Iterator[tuple[str, object, type]]:
    """As `schema.paths`, with the class that has the field."""
    known = dict(schema.paths(config))
    for field in schema.fields(type(config)):
        value, path = getattr(config, field.name), f"{at}{field.name}"
        if field.name in known:
            own = known[field.name] if schema.is_config(type(value)) else value
            yield path, own, type(config)
        if schema.is_config(type(value)):
            yield from _fields(value, f"{path}.")


def _origin(
    path: str, owner: type, origins: Mapping[str, str], pair: tuple[Config, Config]
) -> str:
    before, after = (dict(schema.paths(config)) for config in pair)
    if origins.get(path) == "--set" or before.get(path) == after[path]:
        return origins.get(path, f"default of {owner.__name__}")
    above = [p for p, origin in origins.items() if origin == "--set"]
    near = [p for p in above if path.startswith(f"{p}.")] or above
    return f"default of {owner.__name__}, with --set={near[0]}"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
