"""What the documents say is so: links, the table, the error shown, the guide's code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coadapt import taxonomy
from launch import train

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_on_the_site():
    """With the README as its first page and the changelog as its last."""
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    listed = re.findall(r": ([\w./-]+)$", nav, re.MULTILINE)
    docs = ROOT / "docs"
    pages = [str(page.relative_to(docs)) for page in docs.rglob("*.md")]
    assert sorted(listed) == sorted([*pages, "index.md", "changelog.md"])


def test_table_1_of_the_readme_is_generated():
    text = (ROOT / "README.md").read_text()
    table = re.search(r"<!-- table 1 -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    assert table and table[1] == taxonomy.render(taxonomy.table1(), "markdown")


def test_the_mistake_in_the_readme_is_answered_as_it_says(capsys):
    shown = re.search(
        r"\$ python -m launch\.train (.*)\n(error: .*)\n",
        (ROOT / "README.md").read_text(),
    )
    assert shown
    assert train.main(shown[1].split()) == 2
    assert capsys.readouterr().err == shown[2] + "\n"


def test_the_algorithm_of_the_guide_is_one_file_and_one_line(tmp_path):
    """Added to a copy of the packages as the guide says, it trains and has a row."""
    guide = (ROOT / "docs" / "extending.md").read_text()
    name, code = re.search(
        r"`coadapt/algorithms/(\w+)\.py`:\n\n```python\n(.*?)```", guide, re.DOTALL
    ).groups()
    line = f"from coadapt.algorithms.{name} import {name} as {name}\n"
    assert line in guide
    for package in ("coadapt", "experiments", "launch"):
        shutil.copytree(ROOT / package, tmp_path / package)
    home = tmp_path / "coadapt" / "algorithms"
    (home / f"{name}.py").write_text(code)
    registry = (home / "__init__.py").read_text()
    last = "from coadapt.algorithms.sac import sac as sac\n"
    (home / "__init__.py").write_text(registry.replace(last, last + line))

    def run(*command: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    assert f"\n{name.upper()}" in run("launch.taxonomy")
    sizes = [f"--set=networks.{net}.sizes=8,8,8" for net in ("policy", "critic")]
    sizes += ["--set=data.batch=8", "--set=data.start=100"]
    flags = [f"--algorithm={name}", "--task=toy/lqr", "--steps=200", "--workdir=runs"]
    assert re.search(rf"{name} +200 +-", run("launch.train", *flags, *sizes))


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
