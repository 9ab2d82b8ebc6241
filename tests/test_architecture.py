"""The shape of the house: who imports whom, how long a function is, who cites what."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coadapt import schema, taxonomy
from coadapt.algorithms import PRESETS
from coadapt.config import Config

ROOT = Path(__file__).parents[1]
# lower layers first; a module imports lower layers, and its own only within a package
LAYERS = [
    ["coadapt.version", "coadapt.moved", "coadapt.aliases", "coadapt.system"],
    ["coadapt.ops"],
    ["coadapt.types", "coadapt.schema", "coadapt.rng"],
    [
        "coadapt.networks",
        "coadapt.optim",
        "coadapt.rewards",
        "coadapt.sampling",
        "coadapt.metrics.registry",
        "coadapt.devices",
    ],
    ["coadapt.resets"],
    ["coadapt.factors"],
    ["coadapt.config"],
    [
        "coadapt.algorithms",
        "coadapt.agent",
        "coadapt.bench.cost",
        "coadapt.validation.config_rules",
    ],
    ["coadapt.envs", "coadapt.changes"],
    ["coadapt.data", "coadapt.variants"],
    ["coadapt.learn"],
    ["coadapt.training"],
    ["coadapt.runner", "coadapt.taxonomy"],
    [
        "coadapt.validation",
        "coadapt.tasks",
        "coadapt.field_docs",
        "coadapt.training.precompile",
        "coadapt.metrics.available",
    ],
    ["coadapt.runs"],
    ["coadapt.sweeps", "coadapt.metrics.writers"],
    ["coadapt.sweep"],
    ["coadapt.analysis", "coadapt.bench"],
    ["coadapt.plan", "coadapt.progress", "coadapt.plot", "coadapt.studies"],
    ["coadapt.distributed"],
    ["coadapt.api", "coadapt.diagnostics", "coadapt.video"],
    ["coadapt"],
    ["coadapt.experiments"],
    ["coadapt.report"],
    ["coadapt.cli"],
    ["coadapt.__main__", "launch"],
    ["benchmarks"],
    ["tools"],
]
TOPS = ("coadapt", "experiments", "launch", "benchmarks", "tools")
FILES = [path for top in TOPS for path in sorted((ROOT / top).rglob("*.py"))]
LONGEST = 45  # lines, without the docstring
TABLE = 65  # of a preset, which is a table of numbers with their sources
COMMANDS = (ROOT / "coadapt" / "cli", ROOT / "coadapt" / "__main__.py")
LIBRARY = [
    path
    for path in FILES
    if path.is_relative_to(ROOT / "coadapt")
    if not any(path.is_relative_to(place) for place in COMMANDS)
]


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("coadapt", *parts) if parts[0] == "experiments" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def layer(name: str) -> tuple[int, str]:
    """The number of a module's layer, and the package or file of it."""
    found = [
        (len(home), i, home)
        for i, homes in enumerate(LAYERS)
        for home in homes
        if name == home or name.startswith(home + ".")
    ]
    _, number, home = max(found)
    return number, home


def imported(path: Path) -> set[str]:
    """Our own modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                place = ROOT / full.replace(".", "/")
                is_module = place.is_dir() or place.with_suffix(".py").exists()
                names.add(full if is_module else node.module)
    return {n for n in names if n.split(".")[0] in TOPS}


def upwards(path: Path) -> list[str]:
    """What a file imports that is not below it."""
    number, home = layer(module(path))
    others = [(name, *layer(name)) for name in imported(path)]
    return [name for name, n, place in others if n >= number and place != home]


def test_imports_run_one_way():
    # the public API imports everything, lazily
    files = [path for path in FILES if module(path) != "coadapt"]
    assert len(files) > 300
    found = {module(path): upwards(path) for path in files}
    assert {name: others for name, others in found.items() if others} == {}


def test_the_library_has_no_flags():
    words = re.compile(r"(import|from) absl|argparse|sys\.argv")
    assert len(LIBRARY) > 200
    assert [module(path) for path in LIBRARY if words.search(path.read_text())] == []


def test_commands_are_short():
    """They parse flags and call the library: what takes more lines is the library's."""
    parts = [path for path in FILES if path.parent.name in ("cli", "launch")]
    lines = {module(path): len(path.read_text().splitlines()) for path in parts}
    assert len(lines) > 40 and {m: n for m, n in lines.items() if n > 150} == {}


def lines_of(node: ast.FunctionDef) -> int:
    """Without the docstring's."""
    first = node.body[0]
    told = ast.get_docstring(node) is not None
    text = first.end_lineno - first.lineno + 1 if told else 0
    return node.end_lineno - node.lineno + 1 - text


def test_functions_are_short():
    lengths = [
        (module(path), node.name, lines_of(node))
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
    ]
    most = {True: TABLE, False: LONGEST}
    assert len(lengths) > 2000
    assert [
        (place, name, length)
        for place, name, length in lengths
        if length > most[place.startswith("coadapt.algorithms.")]
    ] == []


def test_agent_and_runner_know_no_algorithm_by_name():
    names = {name.upper() for name in PRESETS}
    knowing = [*(ROOT / "coadapt" / "agent").glob("*.py")]
    knowing += [*(ROOT / "coadapt" / "training").glob("*.py")]
    knowing += [ROOT / "coadapt" / file for file in ("learn.py", "runner.py")]
    assert len(knowing) >= 12
    for path in knowing:
        tree = ast.parse(path.read_text())
        words = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        words |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
        assert not [w for w in words if str(w).upper() in names]
        assert "algorithms" not in words


COLUMNS = ("g", "g_estimate", "pi_p", "pi_p_update", "pi_q", "pi_q_update", "pi_theta")
# of factors' names
HOMES = ("coadapt.factors", "coadapt.algorithms", "coadapt.experiments")


def _choices(kind: type) -> set[str]:
    """The names of a class and of those that its fields may hold."""
    below = (_choices(c) for field in schema.fields(kind) for c in field.classes)
    return {kind.__name__}.union(*below)


CHOICES = {
    name
    for field in schema.fields(Config)
    if field.name in COLUMNS
    for kind in field.classes
    for name in _choices(kind)
}


def named_choices(path: Path) -> set[str]:
    tree, named, columns = parsed(path), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "coadapt.factors":
            columns |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module.startswith("coadapt.factors.")
            named |= {alias.name for alias in node.names if inside}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named |= {node.attr} if node.value.id in columns else set()
    return named & CHOICES


def test_no_choice_of_a_factor_is_named_outside_its_home():
    """Who asks which class it has in hand has to be edited for each new one."""
    found = {module(path): named_choices(path) for path in FILES}
    assert sum(map(bool, found.values())) > 10  # at home they are
    assert {
        name: choices
        for name, choices in found.items()
        if choices and not name.startswith(HOMES)
    } == {}


def test_the_agent_asks_for_no_class():
    """It calls what the interface of a column has."""
    for path in (ROOT / "coadapt" / "agent").glob("*.py"):
        tree = ast.parse(path.read_text())
        called = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
        words = {f.id for f in called if isinstance(f, ast.Name)}
        assert not words & {"isinstance", "getattr", "hasattr", "issubclass"}
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "coadapt" / "algorithms").glob("[a-z]*.py")), ids=module
)
def test_every_number_of_a_preset_has_its_source(path):
    """A line that sets a number or a choice names the settings' section or a table."""
    inside = False
    for line in path.read_text().splitlines():
        inside = inside or line.startswith("def ")
        sets = re.search(r"\w+=(-?[\d(]|\"|True|False)", line)
        if inside and sets and "def " not in line and "Init(" not in line:
            assert re.search(r"#.*(settings \d|Table 4)", line), line


MARK = re.compile(r"(?<![\w`])(Args|Returns|Raises):(?= |$)", re.MULTILINE)


def documented(path: Path) -> list[tuple[str, str]]:
    """Names and docstrings of a file's functions and classes."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, kinds)]
    return [(node.name, ast.get_docstring(node) or "") for node in nodes]


def test_sections_of_docstrings_begin_a_line():
    """So that the site reads them; a docstring that is one section may be one line."""
    every = [(module(p), *each) for p in LIBRARY for each in documented(p)]
    marks = [
        (f"{place}.{name}", text, mark)
        for place, name, text in every
        for mark in MARK.finditer(text)
    ]
    assert len(marks) > 400
    assert [
        (where, mark[1])
        for where, text, mark in marks
        if text[: mark.start()].rpartition("\n")[2].strip()
    ] == []
    # arguments, and errors with their reasons, have lines of their own below
    one_line = re.compile(
        r"Args: .|Raises: [\w.]+Error,? (if|where|before|on|of|for)\b"
    )
    assert [
        (where, mark[1])
        for where, text, mark in marks
        if mark.start() and one_line.match(text, mark.start())
    ] == []


def arguments(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """What a call of it may name: a function's parameters, a class's fields."""
    if isinstance(node, ast.ClassDef):
        made = [f for f in node.body if isinstance(f, ast.FunctionDef)]
        inits = [arguments(f) for f in made if f.name in ("__init__", "__call__")]
        fields = {
            ast.unparse(f.target) for f in node.body if isinstance(f, ast.AnnAssign)
        }
        return fields.union(*inits)
    a = node.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
    return {each.arg for each in every if each}


def test_each_argument_of_a_docstring_is_one_of_the_function():
    """The site reads a name a line; it stops at one that no call could use."""
    wrong, count = [], 0
    for path in LIBRARY:
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            text = ast.get_docstring(node) or ""
            section = re.search(
                r"^Args:\n((?:    .*\n|\n(?=    ))*)", text + "\n", re.M
            )
            named = re.findall(r"^    (\S.*?):", section[1], re.M) if section else []
            count += len(named)
            known = arguments(node)
            wrong += [(module(path), node.name, n) for n in named if n not in known]
    assert count > 300
    assert wrong == []


def test_importing_the_library_loads_no_simulator():
    code = (
        "import sys, coadapt, coadapt.envs, coadapt.runner, coadapt.video\n"
        "heavy = ('gymnasium', 'mujoco', 'brax', 'pandas')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_readme_shows_table_1_as_the_code_prints_it():
    text = (ROOT / "README.md").read_text()
    shown = text.split("<!-- table 1 -->")[1].split("<!-- end -->")[0].strip()
    assert shown == taxonomy.render(taxonomy.table1(), "markdown").strip()


def test_the_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert (
        "\npip install -c constraints.txt -e . && python -m launch.sweep "
        "--experiment=quickstart --workdir=runs/quickstart\n"
    ) in text
    assert "\npip install -c constraints.txt -e '.[test]' && pytest\n" in text
