"""The tutorial is typed as it stands, in a copy of the packages, from top to bottom."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import notebooks

pytestmark = pytest.mark.long  # a minute, most of it JAX's start in many processes
ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FILES = re.findall(
    r"`([\w.]+)`[^`]*:\n\n```(?:python|diff)\n(.*?)^```$",
    TEXT,
    re.MULTILINE | re.DOTALL,
)
INSTALL = "pip install -c constraints.txt -e ."  # of the clone, as these tests have it


class Typed:
    """What the reader has after typing all of it: output of each command, in order."""

    def __init__(self, folder: Path):
        self.folder, self.outputs = folder, dict[str, str]()
        for package in ("coadapt", "experiments", "launch"):
            shutil.copytree(ROOT / package, folder / package)

    def write(self, name: str, code: str) -> None:
        (self.folder / name).write_text(code)

    def run(self, command: str) -> None:
        made = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=environment(self.folder),
            capture_output=True, text=True,
        )  # fmt: skip
        # a mistake that is shown on purpose has its sentence below it
        assert made.returncode == 0 or "--set=pi_q.rankd" in command, made.stderr
        self.outputs[command] = made.stdout + made.stderr


def environment(folder: Path) -> dict[str, str]:
    """Ours, with compiled programs kept, and no code from elsewhere than the folder."""
    return notebooks.environment(folder / ".home") | {
        "PYTHONPATH": str(folder),
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", ""),
    }


@pytest.fixture(scope="module")
def typed(tmp_path_factory) -> Typed:
    """Each file is written and each command run, in the order of the page."""
    found, files = Typed(tmp_path_factory.mktemp("clone")), list(FILES)
    for kind, block in BLOCKS:
        if kind in ("python", "diff"):
            name, code = files.pop(0)
            assert code == block, "each block of code has its file's name above it"
            found.write(name, code)
        elif kind == "" and block.strip() != INSTALL:
            for command in block.strip().splitlines():
                found.run(command)
    assert not files
    return found


def shown(command: str) -> list[str]:
    """The lines that the page shows below a command."""
    found = re.search(
        rf"^```\n{re.escape(command)}\n```\n\n```text\n(.*?)^```$",
        TEXT,
        re.MULTILINE | re.DOTALL,
    )
    return found[1].splitlines() if found else []


def without_numbers(line: str) -> str:
    """Runs on other machines round differently: their numbers are theirs."""
    return re.sub(r"[-+]?\d[\d,.]*", "#", " ".join(line.split()))


def test_commands_print_what_the_page_shows(typed):
    compared = 0
    for command, output in typed.outputs.items():
        lines = [without_numbers(line) for line in output.splitlines()]
        for line in shown(command):
            assert without_numbers(line) in lines
            compared += 1
    assert compared > 8


def test_it_installs_as_the_readme_does():
    (install,) = [b.strip() for kind, b in BLOCKS if kind == "" and "pip" in b]
    assert install == INSTALL
    assert f"\n{INSTALL} && " in (ROOT / "README.md").read_text()


def test_the_toggle_is_one_program_and_makes_a_difference(typed):
    folder = typed.folder / "runs" / "corner"
    programs = list((folder / "programs").iterdir())
    assert len([each for each in programs if each.is_dir()]) == 2
    rows = (folder / "results.csv").read_text().splitlines()
    returns = [line.split(",") for line in rows if ",return," in line]
    # experiment,algorithm,variant,task,seed,env_steps,metric,value,provider,session
    curves = {}
    for _, _, variant, task, seed, _, _, value, *_ in returns:
        assert task == "gym/Corner-v0"
        curves.setdefault((variant, seed), []).append(float(value))
    assert len(curves) == 12
    for name in ("awr", "awac"):
        for seed in "012":
            off, on = (
                curves[f"{name}/pi_q.ranked={x}", seed] for x in ("False", "True")
            )
            assert off != on


def test_the_report_and_the_figure_are_there(typed):
    folder = typed.folder / "runs" / "corner"
    for name in ("report/index.html", "report/gym_Corner-v0.png", "effect.pdf"):
        assert (folder / name).stat().st_size > 1000
