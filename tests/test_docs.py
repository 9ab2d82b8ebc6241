"""What the documents say is so: links, the table, the error shown, the guide's code."""

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coadapt import envs, sweep, taxonomy
from coadapt.cli import train
from coadapt.data import offline
from coadapt.runs import store
from coadapt.sweeps import packing
from coadapt.sweeps import plan as plans
from coadapt.types import Transition
from tools import reference

ROOT = Path(__file__).parents[1]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
PAGES = [*(ROOT / name for name in TOP), *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_on_the_site():
    """With the README as its first page."""
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    listed = re.findall(r": ([\w./-]+)$", nav, re.MULTILINE)
    docs = ROOT / "docs"
    pages = [str(page.relative_to(docs)) for page in docs.rglob("*.md")]
    generated = ["index.md", "changelog.md", "contributing.md"]  # from the top folder
    assert sorted(listed) == sorted([*pages, *generated])


def test_the_architecture_page_names_files_and_functions_that_there_are():
    """`file.py`, `module.name` and `config.field.name`, in text, tables and picture."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "coadapt"
    lines = "\n".join(path.read_text() for path in package.rglob("*.py"))
    files = set(re.findall(r"\b[\w/]+\.py\b", text)) - {"test_architecture.py"}
    known = {path.name for path in [*package.rglob("*.py"), *ROOT.glob("tests/*.py")]}
    assert {name for name in files if Path(name).name not in known} == set()
    named = re.findall(r"`(?:[\w]+\.)+(\w+)(?:\(\))?`", text)
    defined = set(re.findall(r"(?:def|class) (\w+)|^    (\w+):", lines, re.MULTILINE))
    names = {name for pair in defined for name in pair}
    places = [path.relative_to(package) for path in package.rglob("*.py")]
    names |= {part for place in places for part in place.with_suffix("").parts}
    beyond = {"py", "json", "rate", "sizes", "structure"}
    assert {name for name in named if name not in names | beyond} == set()


def test_table_1_of_the_readme_is_generated():
    text = (ROOT / "README.md").read_text()
    table = re.search(r"<!-- table 1 -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    assert table and table[1] == taxonomy.render(taxonomy.table1(), "markdown")


MISTAKES = [
    (page, *shown)
    for page in PAGES
    for shown in re.findall(
        r"\$ (?:python -m launch\.|coadapt )train (.*)\n(error: .*)\n", page.read_text()
    )
]

# shown in a block of its own, below a command of a page's own code
REFUSED = [
    args
    for page in PAGES
    for args in re.findall(
        r"^coadapt train (.*)\n```\n\n```text\nerror: ",
        page.read_text(),
        re.M,
    )
]


@pytest.mark.parametrize(("page", "args", "error"), MISTAKES, ids=str)
def test_a_mistake_is_answered_as_the_page_says(page, args, error, capsys):
    """What is free on this machine is not what was free on another."""
    assert train.main(args.split()) == 2
    free = re.compile(r"[\d.]+ GiB may be used")
    assert free.sub("", capsys.readouterr().err) == free.sub("", error) + "\n"


# ---------------------------------------------------------------- commands


def joined(text: str) -> str:
    """Without the ends of lines within a command."""
    return re.sub(r"\\\n\s*", "", text)


# a program of one file, and a tool, have tests of their own
TYPED = (
    r"(?:python -m (?:launch|tools|benchmarks)\.|(?<!`)coadapt )"
    r"(?!gpu\b|bits\b|traced\b|parity\b|learns\b|several_envs\b|peers\.parity\b|precision\b)"
    r"(\w+)(.*)$"
)
FENCED = r"^```(\w*)\n(.*?)^```"
# each once, in the order of reading, the README's first
COMMANDS = list(
    dict.fromkeys(
        [
            (name, line.split(" # ")[0])
            for page in PAGES
            # of a language too, or the end of one would begin another
            for kind, block in re.findall(FENCED, page.read_text(), re.M | re.S)
            for name, line in re.findall(TYPED, joined(block), re.M)
            if not kind
        ]
        + [
            (name, line.partition("   ")[0])  # what follows says what it does
            for name, module in reference.commands().items()
            for name, line in re.findall(
                f"^  {TYPED}", joined(module.__doc__ or ""), re.M
            )
        ]
    )
)
# what the reader has from elsewhere: an algorithm of the guide, a config
OWN = ("soft_mpo", "mine.json")


def words(line: str) -> list[str]:
    return [word for word in shlex.split(line) if word != "..."]


@pytest.mark.parametrize(("name", "line"), COMMANDS, ids=str)
def test_a_command_has_flags_that_there_are(name, line):
    values = reference.flags_of(reference.commands()[name])
    rest = values(["", *words(line)])[1:]
    assert not rest or name == "merge"  # whose run stores are words


PLANNED = [
    (name, line)
    for name, line in COMMANDS
    if name in ("train", "sweep") and len(words(line)) > 1
    if not any(word in line for word in OWN)
]
QUICK = [
    (name, line)
    for name, line in COMMANDS
    if name in ("taxonomy", "effects") and "--workdir" not in line
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Where a reader types one command after another: what they wrote lies there."""
    folder = tmp_path_factory.mktemp("checkout")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "minari"))
        for page in PAGES:
            for name, code in re.findall(
                r"^`(\w+\.py)`[^\n]*\n\n```python\n(.*?)```",
                page.read_text(),
                re.M | re.S,
            ):
                (folder / name).write_text(code)
        patch.syspath_prepend(str(folder))
        yield


def leave(line: str, asked: sweep.Sweep) -> None:
    """Of a run its manifest, and of its data set two steps."""
    for workdir in re.findall(r"--workdir=(\S+)", line):
        path, about = Path(workdir), sweep.header(asked)
        with store.owned(path), store.Store(path, about, session=False):
            pass
    for name in re.findall(r"--save_dataset=(\S+)", line):
        spec = envs.spec(*asked.variants)
        obs, action = np.zeros((2, spec.obs_size)), np.zeros((2, spec.action_size))
        ends = np.array([False, True])
        steps = Transition(obs, action, np.zeros(2), np.ones(2), ends, obs)
        offline.write(name, spec, [steps], about="Two steps.")


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(("name", "line"), PLANNED, ids=str)
def test_a_command_has_a_plan_after_those_before_it(name, line, capsys, monkeypatch):
    """Its values are checked, and what lies in its workdir; the run itself is long.

    Except for what is shown beside its mistake.
    """
    line = line.replace("--workdir=/", "--workdir=")  # in the checkout, not there
    mistaken = [*(shown for _, shown, _ in MISTAKES), *REFUSED]
    mistake = any(line.split() == shown.split() for shown in mistaken)
    if (
        not mistake
    ):  # what agents cost is asked of test_cost: to trace all takes minutes
        for home in (packing, plans):
            monkeypatch.setattr(home, "cost_of", lambda *_: packing.Cost(1, 1, 1))
    asked, plan = list[sweep.Sweep](), sweep.plan
    monkeypatch.setattr(sweep, "plan", lambda x, *m: asked.append(x) or plan(x, *m))
    args = [word for word in words(line) if word not in ("--measure", "--dry_run")]
    status = reference.commands()[name].main([*args, "--dry_run"])
    said = capsys.readouterr()
    if mistake:
        assert status == 2
        return
    assert (status, said.err) == (0, "") and "programs: " in said.out
    if "--dry_run" not in line:
        leave(line, *asked)


@pytest.mark.parametrize(("name", "line"), QUICK, ids=str)
def test_a_quick_command_runs(name, line, capsys):
    assert reference.commands()[name].main(words(line)) == 0
    said = capsys.readouterr()
    assert said.out and not said.err


def test_every_extra_that_is_installed_is_there():
    setup = (ROOT / "setup.cfg").read_text()
    extras = setup.split("[options.extras_require]\n")[1].split("\n[")[0]
    known = set(re.findall(r"^(\w+) =$", extras, re.MULTILINE))
    asked = {
        extra
        for page in PAGES
        for extra in re.findall(r"pip install .*?'\.\[(\w+)\]'", page.read_text())
    }
    assert asked and asked - known == set()


@pytest.mark.parametrize("trains", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_algorithm_of_the_guide_is_one_file_and_one_line(tmp_path, trains):
    """Added to a copy of the packages as the guide says, it has a plan, a row of the
    taxonomy, and trains."""
    guide = (ROOT / "docs" / "extending.md").read_text()
    name, code = re.search(
        r"`coadapt/algorithms/(\w+)\.py`:\n\n```python\n(.*?)```", guide, re.DOTALL
    ).groups()
    line = f"from coadapt.algorithms.{name} import {name} as {name}\n"
    assert line in guide
    for package in ("coadapt", "experiments"):
        shutil.copytree(ROOT / package, tmp_path / package)
    home = tmp_path / "coadapt" / "algorithms"
    (home / f"{name}.py").write_text(code)
    registry = (home / "__init__.py").read_text()
    bare = code.replace("TASKS, ", "").replace('"TASKS", ', "").replace(name, "bare")
    assert "TASKS" not in bare  # a file need not have any
    (home / "bare.py").write_text(bare)
    line += "from coadapt.algorithms.bare import bare as bare\n"
    last = "from coadapt.algorithms.sac import sac as sac\n"
    (home / "__init__.py").write_text(registry.replace(last, last + line))

    sizes = [f"--set=networks.{net}.sizes=8,8,8" for net in ("policy", "critic")]
    sizes += ["--set=data.batch_size=8", "--set=data.learning_starts=100"]
    flags = [f"--algorithm={name}", "--task=toy/lqr", "--steps=200", "--workdir=runs"]
    flags += [] if trains else ["--dry_run"]
    # both commands in one process: to start it takes as long as either
    calls = f"taxonomy.main([]); train.main({[*flags, *sizes]})"
    script = f"from coadapt.cli import taxonomy, train; {calls}"
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"\n{name.upper()}" in said and "\nBARE" in said
    assert re.search(rf"{name} +200 +-" if trains else r"env steps: +200", said)


def test_every_source_that_the_code_cites_is_listed():
    page = (ROOT / "docs" / "sources.md").read_text()
    listed = set(re.findall(r"^\| (\d\.\d+) \|", page, re.MULTILINE))
    files = [
        f for top in ("coadapt", "experiments") for f in ROOT.glob(f"{top}/**/*.py")
    ]
    files += ROOT.glob("docs/**/*.md")
    lists = r"settings ((?:\d\.\d+)(?:(?:, | and )\d\.\d+)*)"
    cited = {
        number
        for file in files
        for group in re.findall(lists, file.read_text())
        for number in re.findall(r"\d\.\d+", group)
    }
    assert cited and cited - listed == set()
