"""Print what every flag and every field of a config is, as docs/ has it.

Examples:
  python -m tools.reference --page=flags
  python -m tools.reference --page=config        fields, and the values of presets
  python -m tools.reference --write              all, into docs/
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from coadapt import algorithms, cli, field_docs, taxonomy
from coadapt.cli import command, parsing
from coadapt.cli.values import Values, get
from coadapt.config import Config
from coadapt.schema import ConfigError, nearest
from tools import choices

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# commands of a checkout alone
OTHERS = ("benchmarks.against", "tools.notebooks", "tools.reference")
TYPES = {"bool": "switch", "string": "text", "multi string": "text, repeated"}


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "page", "", f"one of them only: {', '.join(PAGES)} (all)", flag_values=values
    )
    flags.DEFINE_bool(
        "write", False, "into docs/, instead of printing", flag_values=values
    )


def _run(values: Values) -> None:
    chosen = get(values, "page")
    if chosen and chosen not in PAGES:
        raise ConfigError(
            f"--page is {chosen!r}: it must be one of {', '.join(PAGES)}"
            f"{nearest(chosen, PAGES)}."
        )
    for name in [chosen] if chosen else list(PAGES):
        text = PAGES[name]()
        if get(values, "write"):
            (DOCS / f"{name}.md").write_text(text, encoding="utf-8")
        else:
            print(text, end="")


# ---------------------------------------------------------------- flags


def commands() -> dict[str, ModuleType]:
    """By the last word of their name: modules that define flags and run."""
    homes = [*(f"coadapt.cli.{name}" for name in sorted(cli.COMMANDS)), *OTHERS]
    return {home.split(".")[-1]: importlib.import_module(home) for home in homes}


def typed(module: ModuleType) -> str:
    """What begins a line that calls the command."""
    home, _, name = module.__name__.rpartition(".")
    return f"coadapt {name}" if home == "coadapt.cli" else f"python -m {home}.{name}"


def flags_of(module: ModuleType) -> Values:
    """The flags of a command, none of them given."""
    values = Values()
    module._define(values)
    return values


def flags_page() -> str:
    """docs/flags.md."""
    parts = [
        "# Flags",
        "Printed by `python -m tools.reference`, and held to the code by a test. In a "
        "checkout, `python -m launch.sweep` is `coadapt sweep`, and so for each. A "
        "flag is written `--name=value`, a switch `--name`; `--help` of each command "
        "prints the same. A number may be written 100000, 100_000 or 1e5. Where the "
        "default is empty, its text says what holds without the flag.",
    ]
    for module in commands().values():
        about = (inspect.getdoc(module) or "").partition("\n")[0]
        values = flags_of(module)
        table = [_flag_row(values[flag]) for flag in values]
        parts += [f"## {typed(module)}", about, taxonomy.render(table, "markdown")]
    return "\n\n".join(parts) + "\n"


def _flag_row(flag: flags.Flag) -> taxonomy.Row:
    about = " ".join((flag.help or "").split()).removesuffix(parsing.REPEAT)
    kind = flag.flag_type()
    usual = "" if flag.default in (None, False, "", []) else f"`{_path(flag.default)}`"
    return {
        "flag": f"`--{flag.name}`",
        "type": TYPES.get(kind, kind),
        "default": "off" if kind == "bool" and not usual else usual,
        "what": _cell(about),
    }


def _path(value: object) -> str:
    """A default; a file of the repository without where the repository is."""
    return str(value).removeprefix(f"{DOCS.parent}/")


def _cell(text: str) -> str:
    """Words as a cell of a table: no bar, no tag."""
    return re.sub(r"<(?=[A-Za-z/!])", "&lt;", text.replace("|", "\\|"))


# ---------------------------------------------------------------- cells


def taxonomy_page() -> str:
    """docs/taxonomy.md."""
    parts = [
        "# Taxonomy",
        "Printed by `python -m tools.reference`, and held to the code by a test. "
        "Table 1 of the paper, from the presets, and below its rule later methods. A "
        "cell leads to the line where the "
        "method begins that computes it, or to its class where there is nothing to "
        "compute; a test sees each of these methods called in an update of its row.",
        taxonomy.render(taxonomy.table1() + taxonomy.later(), "markdown"),
        "A row is a method, not a promise: which presets have been shown to learn a "
        "task at their defaults, and which have not, is in [Results](results.md).",
        "## Where it is computed",
    ]
    rows = [
        {"method": row["method"]} | _places(algorithms.preset(name))
        for names, rows in (
            (algorithms.TABLE1, taxonomy.table1()),
            (algorithms.LATER, taxonomy.later()),
        )
        for name, row in zip(names, rows, strict=True)
    ]
    return "\n\n".join([*parts, taxonomy.render(rows, "markdown")]) + "\n"


def _places(config: Config) -> taxonomy.Row:
    """Of each cell a link to its source, as `Class.method`."""
    found = {}
    for column, title in taxonomy.COLUMNS.items():
        method: Any = taxonomy.maths(config, column)
        owner = type(getattr(config, column) if method is None else method.__self__)
        source: Any = owner if method is None else method.__func__
        name = owner.__name__ + ("" if method is None else f".{method.__name__}")
        path = Path(inspect.getsourcefile(source) or "").relative_to(ROOT)
        line = inspect.getsourcelines(source)[1]
        found[title] = f"[{name}](../{path.as_posix()}#L{line})"
    return found


# ---------------------------------------------------------------- fields


def config_page() -> str:
    """docs/config.md."""
    parts = [
        "# Config",
        "Printed by `python -m tools.reference` from the code, and held to it by a "
        "test. `--set=path=value` changes a field: `--set=g_estimate.critics=2`, or, "
        "to another class of a union, `--set=g_estimate=GAE`. Variants that differ in "
        "*traced* fields share a compiled program; a *static* field and the class of "
        "a *subtree* are part of the program ([Extending](extending.md)). `settings "
        "N.M` is a line of [Sources](sources.md).",
        "## Fields",
    ]
    parts.append(_table(field_docs.rows(Config)))
    for name, allowed, classes in field_docs.sections():
        parts += [f"## {name}", f"{allowed}."]
        for cls in classes:
            parts += [f"### {cls.__name__}", _cell(inspect.getdoc(cls) or "")]
            parts += [_table(field_docs.rows(cls))] if field_docs.rows(cls) else []
    parts += [
        "## Presets",
        "The values of each preset that are not the defaults above, and the changes "
        "of it on the tasks of some robots and suites: 'gym/Ant' is every version of "
        "that task, and brax's ant; 'dmc/walker' every task of that domain, and of "
        "playground's.",
    ]
    for name, (_, tasks) in algorithms.PRESETS.items():
        parts += [f"### {name}", _table(field_docs.preset_rows(name))]
        changes = [_changes(task, change) for task, change in tasks.items()]
        parts += ["\n".join(changes)] if changes else []
    return "\n\n".join(parts) + "\n"


def _changes(task: str, change) -> str:
    words = [f"`{path}={field_docs.written(value)}`" for path, value in change.items()]
    return f"* {task}: {', '.join(words)}"


def _table(rows: Sequence[taxonomy.Row]) -> str:
    """Without the columns that are empty."""
    kept = [key for key in rows[0] if any(row[key] for row in rows)]
    cells = [{key: _cell(row[key]) for key in kept} for row in rows]
    for row in cells:
        row["field"] = f"`{row['field']}`"
    return taxonomy.render(cells, "markdown")


PAGES: dict[str, Callable[[], str]] = {
    "flags": flags_page,
    "config": config_page,
    "taxonomy": taxonomy_page,
    "choices": choices.page,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
