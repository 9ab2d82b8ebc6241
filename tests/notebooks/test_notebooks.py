"""Each notebook runs from a fresh kernel, at a toy size, and has no logic of its own.

Notebooks are kept without outputs; `python -m tools.notebooks` writes them, executed
at the sizes that they have, as pages in docs/notebooks.
"""

import ast
import re
from pathlib import Path

import pytest

from coadapt.schema import ConfigError
from tests.recipes import cases
from tools import notebooks

NAMES = notebooks.names()
NETS = {"networks.policy.sizes": (8, 8), "networks.critic.sizes": (8, 8)}
REPLAY = NETS | {
    "data.batch_size": 8,
    "data.learning_starts": 64,
    "data.random_steps": 64,
}
# toy sizes for each: all that its cell of parameters has, or a part
SMALL: dict[str, dict[str, object]] = {
    "01_taxonomy": {
        "STEPS": 200,
        "SEEDS": 2,
        "EVERY": 100,
        "EPISODES": 2,
        "SETS": NETS
        | {
            "g_estimate.discount": 0.9,
            "data.update_every": 60,
            "data.batch_size": 20,
            "schedule.critic_steps": 2,
            "schedule.policy_steps": 2,
        },
    },
    "04_failure": {
        "STEPS": 200,
        "SEEDS": 2,
        "EVERY": 100,
        "SNAPSHOTS": 4,
        "RATE": 1e6,  # one that breaks within a few updates
        "SETS": REPLAY | {"data.capacity": 300},
    },
    "05_your_ablation": {
        "TASKS": ["toy/lqr"],
        "STEPS": 200,
        "SEEDS": 2,
        "EVERY": 100,
        "TOGGLE": {"optim.policy.rate": [1e-3, 1e-2]},  # traced: two programs of four
        "SETS": {path: [value] for path, value in REPLAY.items()},
    },
    "02_critics": {
        "TASK": "gym/Reacher-v5",  # two dimensions of the action, and short episodes
        "STEPS": 96,
        "SEEDS": 1,
        "EVERY": 96,
        "EPISODES": 2,
        "MAX_TAIL": 1.0,
        "AXES": (0, 1),
        "SETS": NETS
        | {"data.learning_starts": 1000, "data.random_steps": 64},  # nothing is learned
    },
    "03_temperatures": {
        "TASK": "toy/lqr",
        "STEPS": 128,
        "SEEDS": 1,
        "EVERY": 64,
        "SNAPSHOTS": 2,
        "SETS": {k: v for k, v in REPLAY.items() if k != "data.random_steps"},
    },
}
# what a cell may not do: a notebook that computes by itself is not tested elsewhere
LOGIC = (
    ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.While, ast.If, ast.Try, ast.With,
)  # fmt: skip


def code(book) -> list[str]:
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def python(source: str) -> ast.Module:
    """Of a cell, without IPython's own commands."""
    lines = [x for x in source.splitlines() if not x.startswith("%")]
    return ast.parse("\n".join(lines))


# at a rate that breaks within a few updates, it breaks all seeds
SAID = {"04_failure": "all 2 agents of a program on toy/lqr failed"}


@pytest.fixture(scope="module", params=cases(NAMES, NAMES))
def executed(request, tmp_path_factory):
    """The notebook's name and what a fresh kernel made of it."""
    name = request.param
    book = notebooks.resized(notebooks.read(name), SMALL[name])
    return name, notebooks.execute(book, tmp_path_factory.mktemp(name))


def test_it_runs_and_nothing_is_warned_of(executed):
    name, book = executed
    assert all(c.execution_count for c in book.cells if c.cell_type == "code")
    loud = [
        o.text
        for c in book.cells
        for o in c.get("outputs", ())
        if o.get("name") == "stderr" and not o.text.startswith(SAID.get(name, "\n"))
    ]
    assert loud == []
    made = notebooks.page(name, book)
    assert made.pictures, "a notebook shows a figure"
    for file, data in made.pictures.items():
        assert data.startswith(b"\x89PNG") and f"({file})" in made.text


@pytest.mark.parametrize("name", NAMES)
def test_what_it_takes_from_the_library_is_there(name):
    """A usual run executes none of them, and looks its names up."""
    nodes = [
        n for source in code(notebooks.read(name)) for n in ast.walk(python(source))
    ]
    taken: dict[str, object] = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), taken)
    used = [
        (taken[node.value.id], node.attr)
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in taken
    ]
    assert used
    assert [each for each in used if not hasattr(*each)] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stripped(name):
    for cell in notebooks.read(name).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
        assert set(cell.metadata) <= {"tags"}


@pytest.mark.parametrize("name", NAMES)
def test_it_has_no_logic_and_begins_with_its_sizes(name):
    book = notebooks.read(name)
    assert {"WORKDIR", "STEPS"} <= set(notebooks.parameters(book))
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    assert first.metadata.get("tags") == [notebooks.SIZES]
    trees = [python(source) for source in code(book)]
    found = [n for tree in trees for n in ast.walk(tree) if isinstance(n, LOGIC)]
    assert [ast.unparse(node) for node in found] == []


@pytest.mark.parametrize("name", NAMES)
def test_its_page_is_of_this_code(name):
    """What the documents show is what the notebook is now, executed in full."""
    book, page = notebooks.read(name), notebooks.PAGES / f"{name}.md"
    text = page.read_text()
    rest = text
    for source in code(book):  # in order, and one may be there twice
        _, found, rest = rest.partition(f"```python\n{source}\n```")
        assert found, source
    pictures = re.findall(r"\]\((\w+\.png)\)", text)
    assert pictures == [f"{name}_{i + 1}.png" for i in range(len(pictures))]
    for file in pictures:
        assert (page.parent / file).is_file()
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [x for x in links if not (page.parent / x).exists()] == []


def test_the_pages_are_small_enough_for_git():
    files = [path for path in notebooks.PAGES.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3 * 2**20


# ---------------------------------------------------------------- the machinery


def written(folder: Path, *sources: str, sizes: str = "STEPS = 3") -> Path:
    """A notebook named 'book' in a folder."""
    import nbformat

    new = nbformat.v4
    cells = [new.new_markdown_cell("# Title\n\n[runs](../docs/runs.md)")]
    cells += [new.new_code_cell(sizes, metadata={"tags": [notebooks.SIZES]})]
    cells += [new.new_code_cell(source) for source in sources]
    nbformat.write(new.new_notebook(cells=cells), folder / "book.ipynb")
    return folder


def test_sizes_are_replaced_and_the_notebook_is_not(tmp_path):
    book = notebooks.read("book", written(tmp_path, sizes="STEPS = 3\nTASK = 'a'"))
    assert notebooks.parameters(book) == {"STEPS": 3, "TASK": "a"}
    small = notebooks.resized(book, {"STEPS": 1})
    assert notebooks.parameters(small) == {"STEPS": 1, "TASK": "a"}
    assert notebooks.parameters(book)["STEPS"] == 3


@pytest.mark.parametrize(
    ("sizes", "given", "message"),
    [
        ("STEPS = 3", {"STEP": 1}, "has no STEP: it has STEPS; did you mean 'STEPS'"),
        ("if True:\n    STEPS = 3", {}, "plain assignments alone"),
    ],
)
def test_a_mistake_in_the_sizes_is_a_sentence(tmp_path, sizes, given, message):
    book = notebooks.read("book", written(tmp_path, sizes=sizes))
    with pytest.raises(ConfigError, match=message):
        notebooks.resized(book, given)


def test_what_a_cell_gives_becomes_a_page_and_what_it_raises_a_sentence(
    tmp_path, monkeypatch, capsys
):
    books = tmp_path / "books"
    books.mkdir()
    table = "import pandas as pd\npd.DataFrame({'a': [STEPS]})"
    drawn = "%matplotlib inline\nfrom matplotlib.figure import Figure"
    drawn += "\nfigure = Figure((1, 1))\nfigure.subplots()\nfigure"
    book = notebooks.read("book", written(books, "print(STEPS)", table, drawn))
    made = notebooks.page("book", notebooks.execute(book, tmp_path))
    assert made.text.startswith("# Title\n\n[runs](../runs.md)\n\n<!-- Written by")
    assert "```text\n3\n```" in made.text and "<td>3</td>" in made.text
    assert "<style" not in made.text and list(made.pictures) == ["book_1.png"]
    read = notebooks.read
    monkeypatch.setattr(notebooks, "read", lambda name: read(name, books))
    monkeypatch.setattr(notebooks, "names", lambda folder=books: ["book"])
    written(books, "a = 1", "1 / 0")
    assert notebooks.main([f"--out={tmp_path / 'pages'}"]) == 2
    error = capsys.readouterr().err
    assert error == "error: book: code cell 3: ZeroDivisionError: division by zero.\n"
    assert not (tmp_path / "pages").exists()


def test_a_notebook_that_is_not_there_is_a_sentence(capsys):
    assert notebooks.main(["--only=01_taxonmy"]) == 2
    assert "did you mean '01_taxonomy'?" in capsys.readouterr().err
