"""Rows of two versions of a simulator are scores on two tasks, wherever they are read.

Two seeds of mujoco 3.2.0 end at 100 and 99.2, two of 3.17.0 at 500 and 499.2, of each
of two variants; pooled, they would be 299.6 +- 200.0.
"""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest

import coadapt
from coadapt import plot, sweep
from coadapt.analysis import stats
from coadapt.cli import effects
from coadapt.experiments import load
from coadapt.report import results, run_data, score_tables, sections
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep
from tests.stores import build

TASKS = ("gym/Hopper-v5", "toy/lqr")
OLD, NEW = "gymnasium 1.3.0, mujoco 3.2.0", "gymnasium 1.3.0, mujoco 3.17.0"
TOY = "coadapt, jax 0.10.2"
AMOUNTS = {"steps": 30, "eval_every": 30, "eval_episodes": 1}
VARIANTS = sweep.grid(["sac"], {"g_estimate.critics": [1, 2]})


def write(folder, seeds, by, first, tasks=TASKS):
    """Returns begin at `first`, 0.8 lower of each seed, 10 higher of critics=2."""
    asked = Sweep(
        experiment="sweep",
        variants={task: VARIANTS for task in tasks},
        seeds=seeds,
        **AMOUNTS,
    )
    with store.owned(folder), store.Store(folder, sweep.header(asked)) as out:
        for task in tasks:
            cells = [c for c in sweep.header(asked).cells() if c.task == task]
            values = [
                first - 0.8 * seeds.index(c.seed) + 10 * c.variant.endswith("2")
                for c in cells
            ]
            provider = by if task == TASKS[0] else TOY
            with out.begin(out.note(cells, 1)) as attempt:
                attempt.append(30, {"return": np.array(values)}, provider)
                attempt.finish(30, 1.0)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "run"
    write(folder, (0, 1), OLD, 100.0)
    write(folder, (2, 3), NEW, 500.0)
    return folder


NAMES = [f"{TASKS[0]} ({by})" for by in (OLD, NEW)]


def lines(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_report_has_them_apart(two, tmp_path, capsys):
    folder = shutil.copytree(two, tmp_path / "run")
    results.make(folder, printed=True)
    out, report = capsys.readouterr().out, folder / "report"
    assert f"simulators: rows are apart by what made them: {OLD}; {NEW}." in out
    assert f"gym ({OLD})" in out and f"gym ({NEW})" in out and ";" not in out[:200]
    found = {
        (row["task"], row["variant"]): (float(row["mean"]), row["n"], row["provider"])
        for row in lines(report / "summary.csv")
        if row["task"] != TASKS[1]
    }
    one, other = (variant.name for variant in VARIANTS)
    assert found == {
        (NAMES[0], one): (99.6, "2", OLD), (NAMES[0], other): (109.6, "2", OLD),
        (NAMES[1], one): (499.6, "2", NEW), (NAMES[1], other): (509.6, "2", NEW),
    }  # fmt: skip
    means = {
        (row["provider"], row["variant"]): float(row["mean"])
        for row in lines(report / "statistics.csv")
    }
    assert means[OLD, one] == 99.6 and means[NEW, other] == 509.6
    # those of the other task, which one version made: all four seeds
    assert means["", one] == pytest.approx(299.6) and len(means) == 6
    toggles = [row["toggle"] for row in lines(report / "effects.csv")]
    assert [f"({by})" in t for by, t in zip((OLD, NEW), toggles[:2], strict=True)]
    pictures = {path.name for path in report.glob("*.png")}
    assert len(pictures) == 4 and "toy_lqr.png" in pictures  # and all in one
    page = (report / "index.html").read_text()
    for of in (OLD, NEW, "all other tasks"):
        assert f"Statistics ({of})" in page


def test_what_one_version_made_is_together(tmp_path):
    write(tmp_path / "run", (0, 1), OLD, 100.0)
    write(tmp_path / "run", (2, 3), OLD, 500.0)
    found = run_data.read(tmp_path / "run")
    assert list(found.versions) == [""] and found.tasks == {t: t for t in TASKS}
    made = sections.compute(found)
    assert list(made.aggregates) == [""] and "simulators" not in dict(
        sections.facts(found)
    )


def test_all_cells_are_finished_however_many_made_them(two):
    found = run_data.read(two)
    assert found.behind == () and found.cells == 16
    assert list(found.tasks.items()) == [
        (NAMES[0], TASKS[0]), (NAMES[1], TASKS[0]), (TASKS[1], TASKS[1])
    ]  # fmt: skip


def test_rows_of_several_stores_are_apart_too(tmp_path):
    for name, by, first in (("a", OLD, 100.0), ("b", NEW, 500.0)):
        write(tmp_path / name, (0, 1), by, first)
    union = pd.concat([store.read(tmp_path / name) for name in "ab"])
    rows = union[union.task == TASKS[0]]
    summary = stats.summary(rows)
    assert list(summary["mean"]) == pytest.approx([99.6, 109.6, 499.6, 509.6])
    assert list(stats.versions(rows)) == [OLD, NEW]
    with pytest.raises(ConfigError, match="are of 2 versions of a simulator"):
        coadapt.compare(rows, "g_estimate.critics", 2)
    with pytest.raises(ConfigError, match="are of 2 versions of a simulator"):
        plot.curves(rows, TASKS[0])
    part = stats.versions(rows)[NEW]
    assert sorted(part[part.env_steps == part.env_steps.max()].value)[0] == 499.2


def test_effects_are_of_each_version(two, capsys):
    """The toggle has 10 more with either, in returns."""
    asked = [
        f"--workdir={two}", "--toggle=g_estimate.critics=2,1", f"--tasks={TASKS[0]}",
        "--format=csv",
    ]  # fmt: skip
    assert effects.main(asked) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["provider"] for row in rows] == [OLD, NEW]
    assert [float(row["effect"].split()[0]) for row in rows] == [10.0, 10.0]


def test_the_papers_cells_are_beside_each(tmp_path):
    experiment = load("table3")
    task, variants = TASKS[0], experiment.variants(TASKS[0])[:2]
    named = {task: variants}
    build(tmp_path, "table3", named, {task: 30}, seeds=2, provider={task: OLD})
    asked = sweep.header(
        Sweep(experiment="table3", variants=named, seeds=(2,), steps=30, eval_every=10)
    )
    with store.owned(tmp_path), store.Store(tmp_path, asked) as out:
        cells = [c for c in asked.cells() if c.seed == 2]
        with out.begin(out.note(cells, 1)) as attempt:
            attempt.append(30, {"return": np.ones(len(cells))}, NEW)
            attempt.finish(30, 1.0)
    found = run_data.read(tmp_path)
    assert found.beside is not None
    for variant in variants:
        cells = [found.beside.cell(name, variant.name) for name in found.tasks]
        assert cells[0] == cells[1] and cells[0] is not None
    tables = score_tables.tables(found)
    assert [[line.head for line in t.groups[0].lines] for t in tables] == [
        ["ours", "paper"]
    ] * 2
