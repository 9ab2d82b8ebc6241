"""An experiment in a file of a user's own: it is found, and its mistakes are told."""

import sys

import pytest

from coadapt import sweep
from coadapt.cli import sweep as command
from coadapt.experiments import load
from coadapt.schema import ConfigError

START = "from coadapt.experiments import Experiment, Row, variants\n"
ROWS = (
    'variants({"SAC(D)": Row("sac"), "SAC(S)": Row("sac", {"g_estimate.critics": 1})})'
)


def text(name: str = "critics", rows: str = ROWS, more: str = "") -> str:
    return (
        f"{START}experiment = Experiment(name={name!r}, claim='One.', variants={rows}, "
        f"tasks=('toy/lqr',), steps=1000, seeds=2{more})\n"
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What is imported of it is forgotten, and so is where it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize("path", ["mine_1.py", "below/mine_2.py", "{}/mine_3.py"])
def test_a_file_is_an_experiment(path, folder, capsys):
    path = path.format(folder)
    (folder / "below").mkdir()
    (folder / path).write_text(text())
    assert command.main([f"--experiment={path}", "--dry_run"]) == 0
    said = capsys.readouterr()
    assert "agents: 4\n" in said.out and said.err == ""


def test_what_lies_beside_it_can_be_imported(folder):
    (folder / "own_rows.py").write_text(f"{START}rows = {ROWS}\n")
    (folder / "mine_4.py").write_text(f"from own_rows import rows\n{text(rows='rows')}")
    assert [v.name for v in load("mine_4.py").variants("toy/lqr")] == [
        "SAC(D)",
        "SAC(S)",
    ]


def test_flags_and_budgets_are_as_of_ours(folder, capsys, monkeypatch):
    asked, plan = [], sweep.plan
    monkeypatch.setattr(sweep, "plan", lambda x, *m: asked.append(x) or plan(x, *m))
    (folder / "mine_5.py").write_text(text(more=", cheap=('toy/lqr',)"))
    args = ["--experiment=mine_5.py", "--dry_run"]
    assert command.main([*args, "--scale=smoke", "--variants=SAC(S)"]) == 0
    assert command.main([*args, "--seeds=3", "--steps=500"]) == 0
    assert [each.experiment for each in asked] == ["critics@smoke", "critics@own"]
    assert [v.name for v in asked[0].variants["toy/lqr"]] == ["SAC(S)"]
    assert [each.seeds for each in asked] == [(0, 1), (0, 1, 2)]


BAD = {
    "nowhere": (None, "there is no such file"),
    "syntax": ("experiment = (\n", r"SyntaxError: .*line 1"),
    "raises": ("import nothing_there\n", "ModuleNotFoundError: .*nothing_there"),
    "ends": ("raise ConfigError\n", "NameError"),
    "without": ("claim = 1\n", "its value `experiment` is none"),
    "other": ("experiment = {}\n", "`experiment` is a dict"),
    "papers": (text(name="table2"), "with the name 'table2'"),
    "nameless": (text(name="sweep"), "with the name 'sweep'"),
    "scale": (text(name="a@paper"), "without '@'"),
    "variants": (text(rows="lambda task: [1]"), r"on 'toy/lqr' are \(1,\)"),
    "none": (text(rows="lambda task: ()"), r"on 'toy/lqr' are \(\)"),
    "fails": (
        text(rows="lambda task: 1 / 0"),
        r"ZeroDivisionError.*, at bad_fails.py:2",
    ),
    "preset": (text(rows="variants({'a': Row('sca')})"), "did you mean 'sac'"),
}


@pytest.mark.parametrize(("name", "code", "words"), [(n, *b) for n, b in BAD.items()])
def test_a_mistake_is_one_sentence(name, code, words, folder, capsys):
    if code is not None:
        (folder / f"bad_{name}.py").write_text(code)
    assert command.main([f"--experiment=bad_{name}.py", "--dry_run"]) == 2
    said = capsys.readouterr()
    assert (
        said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    )
    with pytest.raises(ConfigError, match=words):
        load(f"bad_{name}.py").variants("toy/lqr")


def test_a_module_of_its_name_is_not_taken_for_it(folder):
    (folder / "json.py").write_text(text())
    with pytest.raises(ConfigError, match="json is the name of another module"):
        load("json.py")


def test_a_name_that_is_mistyped_has_the_nearest():
    with pytest.raises(ConfigError, match=r"a file, as mine.py, or one of .*'table2'"):
        load("tabel2")
