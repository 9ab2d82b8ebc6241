"""What is installed: one package, which works from any folder."""

import configparser
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from recipes import TINY_FLAGS

from coadapt.experiments import MODULES

pytestmark = pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) < 77, reason="setuptools>=77 builds it"
)
ROOT = Path(__file__).parents[1]
DECOY = "raise SystemExit('not ours: a folder of the user')\n"
KINDS = (".py", ".csv", ".html", ".css", ".js", ".typed")
TINY = [
    "--algorithms=sac", "--task=toy/lqr", "--steps=60", "--eval_every=30",
    "--eval_episodes=2", *TINY_FLAGS, "--grid=optim.policy.rate=1e-3,1e-4", "--quiet",
]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, so that nothing is left in the checkout."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    for name in ("coadapt", "experiments", "launch", "tools", "benchmarks"):
        ours = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ours)
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools import build_meta as b; b.build_wheel({str(out)!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, check=True
    )
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """Of a fresh environment with the wheel; what it needs is found where it is."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    install = ["install", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(home), *install, str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    (packages,) = home.glob("lib/python*/site-packages")
    there = [p for p in map(Path, sys.path) if p.name.endswith("-packages")]
    (packages / "needed.pth").write_text("".join(f"{path}\n" for path in there))
    return home / "bin"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Of a user who has packages of the names of our folders."""
    for name in ("experiments", "launch", "tools", "benchmarks", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(DECOY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)


def said(*command: object) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_one_package_and_all_of_it(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (entry,) = [name for name in names if name.endswith("entry_points.txt")]
        found = configparser.ConfigParser()
        found.read_string(file.read(entry).decode())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"coadapt"}
    assert dict(found["console_scripts"]) == {"coadapt": "coadapt.__main__:main"}
    homes = {"coadapt": "coadapt", "experiments": "coadapt/experiments"}
    ours = {
        f"{home}/{path.relative_to(ROOT / top)}"
        for top, home in homes.items()
        for path in (ROOT / top).rglob("*")
        if (path.is_file() and path.suffix in KINDS) or path.parent.name == "uplot"
    }
    assert {name for name in names if name.startswith("coadapt/")} == ours


@pytest.mark.usefixtures("folder")
def test_it_runs_beside_folders_of_these_names(scripts, tmp_path):
    """An experiment by its name; a sweep, and its report, by both ways to call them."""
    script, module = [scripts / "coadapt"], [scripts / "python", "-m", "coadapt"]
    plan = said(*module, "sweep", "--experiment=quickstart", "--dry_run")
    assert "agents: 12\n" in plan and "programs: 6\n" in plan
    where = f"--workdir={tmp_path / 'run'}"
    assert "rate=1e-4" in said(*script, "sweep", *TINY, where)
    assert (tmp_path / "run" / "report" / "index.html").exists()


@pytest.mark.usefixtures("folder")
def test_it_is_what_was_installed_that_runs(scripts):
    code = (
        "import coadapt, coadapt.cli, coadapt.experiments as e; "
        "print(coadapt.__file__, *map(e.load, e.MODULES), sep='\\n')"
    )
    place, *found = said(scripts / "python", "-c", code).splitlines()
    assert Path(place).is_relative_to(scripts.parent) and len(found) == len(MODULES)


def test_the_commands_are_listed_and_a_mistake_is_a_sentence(scripts, capfd):
    text = said(scripts / "coadapt")
    assert text == said(scripts / "python", "-m", "coadapt", "--help")
    for name in ("train", "sweep", "report"):
        assert f"\n  {name} " in text
    wrong = [str(scripts / "coadapt"), "swep", "--dry_run"]
    done = subprocess.run(wrong, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.endswith("did you mean 'sweep'?\n")
