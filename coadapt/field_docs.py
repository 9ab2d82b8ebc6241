"""What the source says beside the fields of configs, and beside the numbers of presets.

Comments are the documentation of a field: those above it, and the one at its end. The
parts of a comment that name where a number comes from are its source.
"""

import ast
import dataclasses
import functools
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from coadapt import algorithms, schema, taxonomy
from coadapt.config import Config

SOURCE = re.compile(r"(settings \d|Table \d|[A-Z]\w+ (et al\.|and \w+) \d)")
SOURCES = Path(__file__).parents[1] / "docs" / "sources.md"  # of a checkout
_NONE = dataclasses.MISSING


class Said(NamedTuple):
    """A comment, taken apart."""

    about: str
    source: str


class _Source(NamedTuple):
    tree: ast.Module
    comments: dict[int, str]  # of a line
    alone: frozenset[int]  # lines that have nothing but a comment


@functools.cache
def _source(module: ModuleType) -> _Source:
    text = inspect.getsource(module)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token for token in tokens if token.type == tokenize.COMMENT]
    return _Source(
        ast.parse(text),
        {token.start[0]: token.string.lstrip("# ") for token in found},
        frozenset(t.start[0] for t in found if t.line.lstrip().startswith("#")),
    )


def taken_apart(comment: str) -> Said:
    """Of 'nats; settings 1.3' what it says, and where that is from."""
    parts = [part.strip() for part in comment.split(";") if part.strip()]
    about = [part for part in parts if not SOURCE.match(part)]
    return Said("; ".join(about), "; ".join(p for p in parts if SOURCE.match(p)))


# ---------------------------------------------------------------- fields


def said_of(cls: type) -> dict[str, Said]:
    """What the comments of each field of a config class say."""
    source = _source(sys.modules[cls.__module__])
    body = next(
        node.body
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    return {
        node.target.id: taken_apart(_beside(node, source))
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _beside(node: ast.stmt, source: _Source) -> str:
    first, last = node.lineno, node.end_lineno or node.lineno
    while first - 1 in source.alone:
        first -= 1
    lines = range(first, last + 1)
    found = [source.comments[line] for line in lines if line in source.comments]
    return " ".join(f"; {c}" if SOURCE.match(c) else c for c in found)


def default_of(cls: Any, name: str) -> Any:
    """The default of a field; `dataclasses.MISSING` if it has none."""
    return cls.__dataclass_fields__[name].default


def written(value: object) -> str:
    """A value as it stands in a table."""
    if value is _NONE:
        return "required"
    if dataclasses.is_dataclass(value):
        return type(value).__name__
    return f"{value:g}" if isinstance(value, float) else str(value)


def sections() -> Iterator[tuple[str, str, list[type]]]:
    """Each field of Config, what it may be, and the classes that stand below it.

    A class stands where it is met first.
    """
    seen: set[type] = set()
    for field in schema.fields(Config):
        yield field.name, field.allowed, list(_below(field.classes, seen))


def _below(classes: tuple[type, ...], seen: set[type]) -> Iterator[type]:
    for cls in classes:
        if cls in seen:
            continue
        seen.add(cls)
        yield cls
        for field in schema.fields(cls):
            yield from _below(field.classes, seen)


def rows(cls: type) -> list[taxonomy.Row]:
    """A line for each field of a class."""
    said = said_of(cls)
    return [
        {
            "field": field.name,
            "kind": field.kind,
            "must be": field.allowed,
            "default": written(default_of(cls, field.name)),
            "what": said[field.name].about,
            "source": said[field.name].source,
        }
        for field in schema.fields(cls)
    ]


# ---------------------------------------------------------------- presets


def preset_rows(name: str) -> list[taxonomy.Row]:
    """A line for each value of a preset that is not its field's default."""
    make, _ = algorithms.PRESETS[name]
    notes = noted(make)
    return [
        {"field": path, "value": written(value), "source": nearest(notes, path)}
        for path, value in differing(make())
    ]


def differing(config: Any, base: Any = None, at: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of `config` that are not the defaults of their classes.

    `base` is what stands by default in the place of `config`, if anything does.
    """
    alike = type(base) is type(config)
    for field in schema.fields(type(config)):
        value, path = getattr(config, field.name), f"{at}{field.name}"
        usual = default_of(type(config), field.name)
        usual = getattr(base, field.name) if alike else usual
        below = schema.is_config(type(value))
        if not below and value != usual:
            yield path, value
        if below and type(value) is not type(usual):
            yield path, value
        if below:
            yield from differing(value, usual, f"{path}.")


def nearest(notes: dict[str, str], path: str) -> str:
    """The source of a value, or else of the nearest subtree that it is in."""
    while path:
        said = taken_apart(notes.get(path, ""))
        if said.source:
            return said.source
        path = path.rpartition(".")[0]
    return ""


def noted(make: Callable[..., Any]) -> dict[str, str]:
    """Of a function that returns a config, each path's comment in its source."""
    module = sys.modules[make.__module__]
    tree = _source(module).tree
    body = next(
        node.body
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == make.__name__
    )
    values = {
        node.targets[0].id: node.value
        for node in (*tree.body, *body)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    returned = next(node.value for node in body if isinstance(node, ast.Return))
    return dict(_notes(returned, "", module, values))


def source_of_tasks(make: Callable[..., Any]) -> str:
    """Where a preset's rows of changes for tasks are from: the comment beside TASKS."""
    source = _source(sys.modules[make.__module__])
    lines = (
        node.lineno
        for node in source.tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == "TASKS"
    )
    return taken_apart(source.comments.get(next(lines, 0), "")).source


def _notes(
    node: Any, at: str, module: ModuleType, values: dict[str, ast.expr]
) -> Iterator[tuple[str, str]]:
    """Paths and comments below an expression that makes what stands at `at`."""
    if isinstance(node, ast.Name) and node.id in values:
        yield from _comment(values[node.id], at.removesuffix("."), module)
        yield from _notes(values[node.id], at, module, values)
    if isinstance(node, ast.Dict):  # of override
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                path = f"{at}{key.value}"
                yield from _comment(value, path, module)
                yield from _notes(value, f"{path}.", module, values)
    if not isinstance(node, ast.Call):
        return
    made = _object(node.func, module)
    if made is schema.override:
        for part in node.args:
            yield from _notes(part, at, module, values)
    elif inspect.isfunction(made):
        yield from ((f"{at}{path}", said) for path, said in noted(made).items())
    for keyword in node.keywords:
        path = f"{at}{keyword.arg}"
        yield from _notes(keyword.value, f"{path}.", module, values)
        yield from _comment(keyword.value, path, module)


def _comment(
    node: ast.expr, path: str, module: ModuleType
) -> Iterator[tuple[str, str]]:
    said = _source(module).comments.get(node.end_lineno or 0)
    if said:
        yield path, said


def _object(node: ast.expr, module: ModuleType) -> Any:
    if isinstance(node, ast.Attribute):
        return getattr(_object(node.value, module), node.attr)
    return vars(module)[node.id] if isinstance(node, ast.Name) else None


def cited(words: str) -> list[str]:
    """What docs/sources.md has of each line that is cited, where the file is there."""
    if not SOURCES.exists():
        return []
    row = re.compile(r"^\| (\d\.\d+) \| (.*) \| (.*) \|$", re.MULTILINE)
    known: dict[str, str] = {}
    for number, what, where in row.findall(SOURCES.read_text(encoding="utf-8")):
        known.setdefault(number, f"settings {number}: {what}; {where}")
    found = dict.fromkeys(re.findall(r"\b\d\.\d+\b", words))
    return ["", *(known[number] for number in sorted(found) if number in known)]
