"""`coadapt report`: what is on the page, on the terminal and in the tables."""

import contextlib
import csv
import dataclasses
import io
import math
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import stores
from html_pages import read

import coadapt
from coadapt import plot, sweep
from coadapt.analysis import effects, stats
from coadapt.cli import effects as effects_command
from coadapt.cli import report
from coadapt.experiments import published
from coadapt.report import results, run_data, score_tables, sections
from coadapt.report.html import MINUS
from coadapt.report.score_tables import DAGGER, NONE
from coadapt.runs import store
from coadapt.runs.store import Cell
from coadapt.sweep import Variant
from coadapt.tasks.units import Unit

HOPPER, CHEETAH, SWIMMER = "gym/Hopper-v4", "gym/HalfCheetah-v4", "gym/Swimmer-v4"
AXES = {
    "g_estimate.critics": ["1", "2"],
    "networks.policy.activation": ["relu", "elu"],
}
TIMES = " \u00d7 "
PAPER = {(c.table, c.task, c.variant): c for c in published.cells()}


def run(capsys, workdir):
    """The page, and what was printed."""
    assert report.main([f"--workdir={workdir}"]) == 0
    shown = capsys.readouterr()
    assert not shown.err
    return read((workdir / "report" / "index.html").read_text()), shown.out


def frame(workdir, name):
    return pd.read_csv(workdir / "report" / f"{name}.csv", keep_default_na=False)


def cells(table):
    """{(head, what): {column: text}} of a table of scores."""
    columns, *rows = table.rows
    found, head = {}, ""
    for row in rows:
        if len(row) == len(columns):
            head, *row = row
        found[head, row[0]] = dict(zip(columns[2:], row[1:], strict=True))
    return found


def scores_of(page):
    """The first table of last evaluations."""
    return next(t for t in page.tables if "at the last evaluation" in t.caption)


def numbers(text):
    """The mean and std of a cell."""
    text = text.replace(MINUS, "-").replace(",", "")
    found = re.match(r"(-?[\d.]+) ± ([\d.]+)", text)
    assert found, text
    return float(found[1]), float(found[2])


def of(ends, task, variant):
    return np.array([x for (t, v, _), x in ends.items() if (t, v) == (task, variant)])


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


SCORES = [
    ((98.12, 3.2, 4, 0), "98.1 +- 3.2"),
    ((98.12, 3.2, 4, 1), f"98.1 +- 3.2 {DAGGER}"),
    ((-9.1, np.nan, 1, 0), "-9.10 (n = 1)"),
    ((np.mean([0.1] * 3), np.std([0.1] * 3), 3, 0), "0.10 (n = 3, all equal)"),
    ((1000.0, 0.31, 2, 0), "1,000 +- 0.3"),
    ((-7_855_309_552_326.0, 13_229_620_936_668.0, 5, 0), "-7.9e12 +- 1.3e13"),
    ((-np.inf, np.nan, 2, 1), f"-inf {DAGGER}"),
    ((np.nan, np.nan, 0, 2), f"no score {DAGGER}"),
]


@pytest.mark.parametrize(("row", "said"), SCORES)
def test_a_score_has_the_spread_that_is_known_and_no_other(row, said):
    assert score_tables.score(*row) == said


# ---------------------------------------------------------------- the paper's tables


@pytest.mark.parametrize(
    "name, task, reading, row",
    [
        ("table2", CHEETAH, "MPO(D) (minimum of means)", "MPO(D)"),
        ("table11", SWIMMER, "SAC-L+ (norm alone)", "SAC-L+"),
    ],
)
def test_a_table_of_the_paper_has_its_rows_and_its_numbers(
    capsys, tmp_path, name, task, reading, row
):
    ends = stores.of_experiment(tmp_path / "x", name, [task, HOPPER])
    page, shown = run(capsys, tmp_path / "x")
    paper = [key for key in PAPER if key[0] == name]
    rows = list(dict.fromkeys(variant for _, _, variant in paper))
    table = scores_of(page)
    assert table.rows[0][:2] == ["task", ""]
    assert table.rows[0][2 : 2 + len(rows)] == rows  # then readings of them
    found = cells(table)
    tasks = [head for head, what in found if what == "ours"]
    assert tasks == [HOPPER, task]  # as the paper has them
    for (head, what), line in found.items():
        theirs = head.removeprefix("gym/").replace("-v4", "-v2")
        for variant, text in line.items():
            if what == "ours":
                values = of(ends, head, variant)
                expected = values.mean(), values.std()
                assert numbers(text) == pytest.approx(expected, abs=0.06)
            else:
                own = row if variant == reading else variant
                cell = PAPER.get((name, theirs, own))
                if cell and math.isinf(cell.mean):
                    assert text == f"{MINUS}∞"
                elif cell:
                    assert numbers(text) == (cell.mean, cell.std)
    assert f"{PAPER[name, 'Hopper-v2', rows[0]].mean:,g} +- " in shown
    claim, budget = re.findall(r"^(?:the paper's claim|budget): (.*)$", shown, re.M)
    assert claim in page.words and budget in page.words
    assert "scale reduced; 3 seeds (the paper: 10)" in budget and "5% of the" in budget
    assert reading in page.words


def test_networks_that_are_swapped_stand_as_in_tables_5_to_10(capsys, tmp_path):
    ends = stores.of_experiment(tmp_path / "x", "table5", [HOPPER], seeds=2)
    page, _ = run(capsys, tmp_path / "x")
    found = cells(scores_of(page))
    assert scores_of(page).rows[0] == [
        "algorithm", "", "Net: MPO", "Net: AWR", "Net: SAC"
    ]  # fmt: skip
    assert [head for head, what in found if what == "ours"][:3] == ["MPO", "AWR", "SAC"]
    mean, _ = numbers(found["SAC", "ours"]["Net: AWR"])
    expected = of(ends, HOPPER, "SAC(Net: AWR)").mean()
    assert mean == pytest.approx(expected, abs=0.06)
    assert found["SAC", "paper"]["Net: AWR"] == "651 ± 381 †"
    assert found["SAC (no layer norm)", "ours"]["Net: SAC"] == NONE
    assert found["SAC (no layer norm)", "paper"]["Net: MPO"] == "2,239 ± 669"


def test_the_papers_names_are_enough(capsys, tmp_path):
    """A sweep of one's own with the names of the paper's rows."""
    made = {HOPPER: [Variant(n, "sac", config()) for n in ("SAC(D)", "SAC(S)")]}
    stores.build(tmp_path / "x", "mine", made, {HOPPER: 3000}, seeds=2)
    page, shown = run(capsys, tmp_path / "x")
    assert cells(scores_of(page))[HOPPER, "paper"]["SAC(S)"] == "1,601 ± 733"
    assert "Clipped double Q" in shown and "0.3% of the paper's" in shown


def config():
    return sweep.presets(["sac"])[0].config


def test_the_papers_numbers_are_in_the_summary(capsys, tmp_path):
    ends = stores.of_experiment(tmp_path / "x", "table3", [CHEETAH], seeds=2)
    run(capsys, tmp_path / "x")
    found = frame(tmp_path / "x", "summary").set_index("variant")
    own = found.loc["AWR(tanh) (safe inverse)"]
    assert own["paper_variant"] == "AWR(tanh)" and own["paper_error"] in (True, "True")
    values = of(ends, CHEETAH, "AWR(tanh) (safe inverse)")
    assert own["mean"] == pytest.approx(values.mean())
    assert found.loc["SAC(no tanh)"]["paper_mean"] == -math.inf


# ---------------------------------------------------------------- verdicts


def tanh(cell):
    """SAC gains 80, AWR and MPO lose 60; seeds are a little apart."""
    own = 80 if cell.variant.startswith("SAC") else -60
    return 200 + own * ("(tanh)" in cell.variant) + 5 * cell.seed + len(cell.variant)


def test_the_papers_comparisons_have_verdicts(capsys, tmp_path):
    where = tmp_path / "x"
    stores.of_experiment(where, "table3", [HOPPER, CHEETAH], score=tanh, seeds=10)
    page, shown = run(capsys, where)
    said = "co-adapted: helps SAC only (MPO harmed)"
    assert f"tanh, SAC and MPO: {said}: SAC +0." in shown
    table = next(t for t in page.tables if t.caption.startswith("What each toggle"))
    row = dict(zip(table.rows[0], table.rows[1], strict=True))
    assert (row["toggle"], row["A"], row["B"]) == ("tanh", "SAC", "MPO")
    assert row["verdict"] == said and row["paper's text"] == "co-adapted"
    assert row["paper's cells"] == "co-adapted: helps SAC only"
    pairs = "SAC(tanh):SAC(no tanh),MPO(tanh):MPO(no tanh)"
    flags = [f"--workdir={where}", f"--pairs={pairs}", "--format=csv"]
    assert effects_command.main(flags) == 0
    (alone,) = csv.DictReader(capsys.readouterr().out.splitlines())
    for name, other in (("effect on A", "effect on A"), (f"A {MINUS} B", "A - B")):
        assert row[name].replace(MINUS, "-") == alone[other]
    on = {"SAC": ("SAC(tanh)", "SAC(no tanh)"), "MPO": ("MPO(tanh)", "MPO(no tanh)")}
    library = coadapt.compare(where, "tanh", on)
    found = frame(where, "effects").iloc[0]
    assert found.effect_A == pytest.approx(library.effects[0].value)
    assert found.verdict == library.word and found.p == pytest.approx(library.verdict.p)
    assert found.paper_text == "co-adapted" and found.gap_low > 0


def test_returns_come_first(capsys, tmp_path):
    where = tmp_path / "x"
    stores.of_experiment(where, "table3", [HOPPER], score=tanh, seeds=4)
    page, _ = run(capsys, where)
    first = page.tables[0]
    assert first.caption.startswith("Returns")
    found = store.read(where).query("variant == 'SAC(tanh)' and metric == 'return'")
    scores = found.groupby("seed").value.mean()  # three evaluations: the last tenth
    ends = scipy.stats.t.interval(0.95, 3, scores.mean(), scipy.stats.sem(scores))
    row = next(row for row in first.rows if row[0] == "SAC(tanh)")
    low, high = (f"{end:.1f}" for end in ends)
    assert row[3] == f"{scores.mean():.1f} [{low}, {high}]"
    assert "a random policy 0.00, the reference 100.0 (made up)" in page.words
    rows = frame(where, "returns")
    own = rows[(rows.variant == "SAC(tanh)") & (rows.metric == "final")]
    assert own["mean"].iloc[0] == pytest.approx(scores.mean())
    assert set(rows.metric) == {"final", "last", "area"}
    assert set(rows.failed_as) == {"random", "before"}


def test_one_seed_decides_nothing_and_it_is_said(capsys, tmp_path):
    stores.of_experiment(tmp_path / "x", "table3", [HOPPER], score=tanh, seeds=1)
    page, shown = run(capsys, tmp_path / "x")
    said = "no verdict (1 seed per arm: a verdict needs 10)"
    assert (
        f"SAC and MPO: {said}: SAC +" in shown and "[" not in shown.split(said)[1][:20]
    )
    assert said in page.words
    text = cells(scores_of(page))[HOPPER, "ours"]["SAC(tanh)"]
    assert text.endswith(" (n = 1)") and "±" not in text


def test_without_a_unit_returns_are_compared_task_by_task(capsys, tmp_path):
    where = tmp_path / "x"
    fields = {"score": tanh, "seeds": 10, "unit": Unit()}
    stores.of_experiment(where, "table3", [HOPPER, CHEETAH], **fields)
    _, shown = run(capsys, where)
    said = [x for x in shown.splitlines() if "tanh, SAC and MPO" in x]
    assert [x.split(": ")[0] for x in said] == [HOPPER, CHEETAH]
    assert all("give a margin in returns" in x for x in said)
    assert report.main([f"--workdir={where}", "--margin=10"]) == 0
    assert f"{HOPPER}: tanh, SAC and MPO: co-adapted: " in capsys.readouterr().out


def test_a_toggle_whose_variants_are_not_there_yet_is_not_judged(capsys, tmp_path):
    absent = [Cell(HOPPER, "MPO(tanh)", seed) for seed in range(10)]
    fields = {"score": tanh, "absent": absent, "seeds": 10}
    stores.of_experiment(tmp_path / "x", "table3", [HOPPER], **fields)
    _, shown = run(capsys, tmp_path / "x")
    assert "tanh, SAC and MPO: not yet (variant 'MPO(tanh)' has no rows" in shown
    assert "tanh, SAC and AWR: co-adapted" in shown


def test_the_answer_is_a_sentence_and_a_picture(capsys, tmp_path):
    """Of each toggle, beside the paper's own cells in the same unit."""
    where = tmp_path / "x"
    stores.of_experiment(where, "table3", [HOPPER, CHEETAH], score=tanh, seeds=10)
    page, _ = run(capsys, where)
    told = "Tanh helps SAC and not MPO: it is co-adapted to SAC (MPO harmed); with it "
    assert f"{told}SAC gains 0.5" in page.words and "MPO loses 0.4" in page.words
    for fact in (
        "decided by 10 seeds of each variant",
        "failed runs: none of 80",
        "measured on 2 tasks: says nothing of other tasks",
        "the paper's text: co-adapted; its cells, by the same rule: co-adapted: ",
    ):
        assert fact in page.words
    ours, paper = page.forests[:2]
    found = frame(where, "effects").iloc[0]
    assert ours.caption == "here, of the task's unit"
    assert [row[0] for row in ours.rows if len(row) == 1] == [
        "all 2 tasks", HOPPER, CHEETAH
    ]  # fmt: skip
    pooled = [row[2].replace(MINUS, "-") for row in ours.rows[1:4]]
    values = found[["effect_A", "effect_B", "gap"]]
    assert [text.split(" ")[0] for text in pooled] == [f"{x:+.2f}" for x in values]
    on, off = (PAPER["table3", "Hopper-v2", f"SAC({x}tanh)"] for x in ("", "no "))
    assert paper.rows[0] == ["Hopper-v2"]
    assert paper.rows[1][2].split(" ")[0] == f"{(on.mean - off.mean) / 100:+.2f}"
    assert paper.rows[5][2] == "diverged"  # SAC without it, on HalfCheetah


def test_the_answer_waits_for_seeds_and_says_what_failed(capsys, tmp_path):
    fields = {"score": tanh, "seeds": 4, "dead": [Cell(HOPPER, "MPO(tanh)", 1)]}
    stores.of_experiment(tmp_path / "x", "table3", [HOPPER], **fields)
    page, _ = run(capsys, tmp_path / "x")
    said = "What tanh does to SAC and MPO cannot be said yet: there are 4 seeds of each"
    assert said in page.words
    assert "failed runs: MPO with it 1 of 4 [1%, 81%]" in page.words


# ---------------------------------------------------------------- grids


def gains(cell):
    """Two critics gain SAC 60 and MPO nothing; ELU gains 30, and 20 more with both."""
    two, elu = "critics=2" in cell.variant, "=elu" in cell.variant
    own = 60 * two * cell.variant.startswith("sac")
    return 200 + own + 30 * elu + 20 * (two and elu) + 4 * cell.seed


@pytest.fixture(scope="module")
def grid(places):
    variants = sweep.grid(["sac", "mpo"], AXES, task="gym/Hopper-v5")
    tasks = ("gym/Hopper-v5", "gym/HalfCheetah-v5")
    made = {task: variants for task in tasks}
    steps = dict.fromkeys(tasks, 3000)
    stores.build(places / "grid", "sweep", made, steps, score=gains)
    return places / "grid"


@pytest.fixture(scope="module")
def reported(grid):
    """Its page, and what was printed: made once, as most of the time is pictures."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert report.main([f"--workdir={grid}"]) == 0
    return read((grid / "report" / "index.html").read_text()), out.getvalue()


def test_a_report_from_python_prints_nothing(tmp_path, grid, capsys):
    """The same files as the command's; nothing of the store is written."""
    before = {path for path in grid.rglob("*")}
    made = coadapt.report.make(str(grid), out=tmp_path / "from python")
    assert capsys.readouterr() == ("", "") and before == {*grid.rglob("*")}
    assert sorted(made) == sorted((tmp_path / "from python").iterdir())
    where = [f"--workdir={grid}", f"--out={tmp_path / 'by command'}"]
    assert report.main(where) == 0
    for path in made:
        if path.suffix == ".csv":
            other = tmp_path / "by command" / path.name
            assert path.read_bytes() == other.read_bytes()


def test_tables_are_there_when_drawing_fails(tmp_path, monkeypatch, grid):
    def fail(*_, **__):
        raise RuntimeError("no picture")

    monkeypatch.setattr(results.plot, "panels", fail)
    shutil.copytree(grid, tmp_path / "work")
    with pytest.raises(RuntimeError, match="no picture"):
        results.make(tmp_path / "work", printed=True)
    assert (tmp_path / "work" / "report" / "summary.csv").stat().st_size


def test_a_grid_has_its_names_down_and_no_paper(reported):
    page, shown = reported
    table = scores_of(page)
    assert table.rows[0] == ["variant", "gym/Hopper-v5", "gym/HalfCheetah-v5"]
    names = [row[0] for row in table.rows[1:]]
    assert names[0] == "sac/critics=1/activation=relu" and len(names) == 8
    assert numbers(table.rows[1][1]) == pytest.approx((204, 3.3), abs=0.04)
    full = "sac/g_estimate.critics=1/networks.policy.activation=relu"
    assert full in page.words  # what the short names stand for
    assert "paper" not in page.words and "paper" not in shown
    assert "budget: 3 seeds; 3,000 env steps;" in shown


def test_a_toggle_that_two_algorithms_have_is_judged(reported):
    _, shown = reported
    lines = [x for x in shown.splitlines() if "sac and mpo: " in x]
    assert len(lines) == 2
    assert lines[0].startswith(
        "g_estimate.critics: 2, not 1, sac and mpo: no verdict (3"
    )
    assert lines[1].startswith("networks.policy.activation: elu, not relu, sac and mpo")


def test_a_factorial_is_as_computed_by_hand(capsys, grid, reported):
    page, shown = reported
    tables = [t for t in page.tables if "main effects" in t.caption]
    assert [t.caption.split(":")[0] for t in tables] == ["sac", "mpo"]
    # last: 200, 230, 260, 310, of a unit of 100; (60+80)/2, (30+50)/2, (50-30)/2.
    # The mean of the three evaluations, a third, two thirds and the whole, is 2/3.
    by_hand = [2 / 3 * 0.7, 2 / 3 * 0.4, 2 / 3 * 0.1]
    rows = tables[0].rows
    assert rows[0] == ["term", "effect"]  # nothing is aliased
    assert [row[0] for row in rows[1:]] == [*AXES, TIMES.join(AXES)]
    assert [row[1].split()[0] for row in rows[1:]] == [f"{x:+.2f}" for x in by_hand]
    flags = [f"--workdir={grid}", "--factorial=all", "--format=csv"]
    assert effects_command.main(flags) == 0
    alone = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [r["effect"] for r in alone[:3]] == [
        r[1].replace(MINUS, "-") for r in rows[1:]
    ]
    assert f"sac, g_estimate.critics: {alone[0]['effect']}\n" in shown


def test_a_fraction_says_what_it_cannot_tell(capsys, tmp_path):
    axes = {**AXES, "data.batch_size": ["32", "64"]}
    design = effects.fractional(list(axes), 3)
    (start,) = sweep.presets(["sac"])
    made = [
        sweep.vary(
            start, {p: axes[p][int(x > 0)] for p, x in zip(axes, row, strict=True)}
        )
        for row in design.rows
    ]
    where, task = tmp_path / "x", "toy/lqr"
    stores.build(where, "sweep", {task: made}, {task: 300}, score=gains)
    page, shown = run(capsys, where)
    table = next(t for t in page.tables if "main effects" in t.caption)
    assert table.rows[0] == ["term", "effect", "not told from"]
    batch = next(row for row in table.rows if row[0] == "data.batch_size")
    assert batch[2] == f"+ {TIMES.join(AXES)}"
    assert "(not told from + " in shown


def test_names_that_say_nothing_are_compared_by_their_configs(capsys, tmp_path):
    """As in the quickstart."""
    one = {"g_estimate.critics": 1}
    made = []
    for v in sweep.presets(["sac", "awac"]):
        changed = sweep.change(v.config, one)
        made += [v, Variant(f"{v.name}-single", v.algorithm, changed)]
    where, task = tmp_path / "x", "toy/lqr"

    def score(cell):
        lost = 50 * cell.variant.startswith("sac-") + 45 * cell.variant.startswith("aw")
        return 100 - lost + cell.seed

    stores.build(where, "sweep", {task: made}, {task: 300}, score=score, seeds=10)
    _, shown = run(capsys, where)
    said = "g_estimate.critics: 2, not 1, sac and awac: co-adapted: helps sac only "
    assert said in shown


EQUAL = {  # of two agents' last weights; what g=LogQ takes off -> what is said
    ("reward", 1.0, 1.0): "power on toy/lqr, 2 of 2 agents: all were equal in "
    "the last update, which fits good actions and bad alike; a reward that is always "
    "the same does that: g.shift=return.",
    ("return", 1.0, 0.5): "power on toy/lqr, 1 of 2 agents: all were equal in "
    "the last update, which fits good actions and bad alike.",
    ("reward", 0.999, 0.5): None,
}


@pytest.mark.parametrize("case", EQUAL, ids=str)
def test_weights_that_are_all_equal_are_said(case, tmp_path):
    shift, *ends = case
    (made,) = sweep.presets(["power"])
    made = dataclasses.replace(
        made, config=sweep.change(made.config, {"g.shift": shift})
    )
    stores.build(
        tmp_path / "x", "sweep", {"toy/lqr": [made]}, {"toy/lqr": 300}, seeds=2
    )
    found = run_data.read(tmp_path / "x")
    rows = found.frame.assign(metric="effective_fraction")
    last = rows.env_steps == rows.env_steps.max()
    rows["value"] = np.where(last, rows.seed.map(dict(enumerate(ends))), 1.0)
    frame = pd.concat([found.frame, rows], ignore_index=True)
    said = dict(sections.facts(found._replace(versions={"": frame})))
    assert said.get("weights") == EQUAL[case]
    assert "weights" not in dict(sections.facts(found))


# ---------------------------------------------------------------- statistics


def test_statistics_are_those_of_the_library(grid, reported):
    page, _ = reported
    table = next(t for t in page.tables if "IQM" in t.caption)
    assert table.rows[0] == ["variant", "mean", "median over tasks", "IQM"]
    found = frame(grid, "statistics").set_index("variant")
    rows = store.read(grid).query("metric == 'return'")
    for name in found.index:
        mine = rows[rows.variant == name]
        scores = mine.groupby(["task", "seed"], sort=False).value.mean()
        scores = scores.unstack(0).to_numpy() / 100  # the unit
        alone = stats.interval(stats.iqm, scores, seed=0)
        ends = found.loc[name, ["iqm", "iqm_low", "iqm_high"]].astype(float)
        assert tuple(ends) == pytest.approx(alone[:3])
        trimmed = scipy.stats.trim_mean(scores, 0.25, axis=None)  # as rliable's
        assert float(ends.iloc[0]) == pytest.approx(trimmed)
    text = table.rows[1][3].replace(MINUS, "-")
    assert text.startswith(f"{found.iqm.iloc[0]:.2f} [")
    few = f"with {len(scores)} runs of a variant on a task, the bootstrap's intervals"
    assert (few in page.words) == (1 < len(scores) < 10)


# ---------------------------------------------------------------- parts of a sweep


def test_what_is_missing_is_said(capsys, tmp_path):
    where = tmp_path / "x"
    absent = [Cell(CHEETAH, "MPO(S)", seed) for seed in range(3)]
    begun = [Cell(CHEETAH, "MPO(D)", seed) for seed in (0, 1)]
    ends = stores.of_experiment(
        where, "table2", [HOPPER, CHEETAH], absent=absent, begun=begun
    )
    page, shown = run(capsys, where)
    line = cells(scores_of(page))[CHEETAH, "ours"]
    assert line["MPO(S)"] == f"{NONE}no score yet"
    assert line["MPO(D)"].endswith("at 50,000 steps")
    mean = of(ends, CHEETAH, "MPO(D)").mean()
    assert numbers(line["MPO(D)"])[0] == pytest.approx(mean, abs=0.06)
    assert "5 of 42 cells are not finished" in shown
    assert "missing: gym/HalfCheetah-v4, MPO(S), seeds 0 to 2: 0 of 150,000" in shown
    assert "MPO(D), seeds 0, 1: 50,000 of 150,000 env steps" in shown
    assert page.tables[-1].rows[1:] == [
        ["MPO(D)", CHEETAH, "0, 1", "50,000 of 150,000"],
        ["MPO(S)", CHEETAH, "0 to 2", "0 of 150,000"],
    ]
    found = frame(where, "missing")
    assert set(zip(found.task, found.variant, found.seed, strict=True)) == {
        *absent, *begun
    }  # fmt: skip
    stores.of_experiment(where, "table2", [HOPPER, CHEETAH])  # the rest
    page, shown = run(capsys, where)
    assert not (where / "report" / "missing.csv").exists()
    assert "state: all of 42 cells finished." in shown and "Missing" not in page.words


def test_dead_agents_have_daggers_and_are_listed(capsys, tmp_path):
    where = tmp_path / "x"
    dead = [Cell(HOPPER, "MPO(tanh)", 1)]

    def score(cell):
        lost = cell.variant == "SAC(no tanh)" and cell.seed == 2
        return -math.inf if lost else tanh(cell)

    ends = stores.of_experiment(where, "table3", [HOPPER], dead=dead, score=score)
    page, shown = run(capsys, where)
    line = cells(scores_of(page))[HOPPER, "ours"]
    values = of(ends, HOPPER, "MPO(tanh)")
    assert "†" in line["MPO(tanh)"] and line["MPO(tanh)"].endswith("1 of 3 failed")
    assert numbers(line["MPO(tanh)"]) == pytest.approx(
        (values.mean(), values.std()), abs=0.06
    )
    assert line["SAC(no tanh)"] == f"{MINUS}∞"
    assert f"{MINUS}∞: a return diverged" in page.words
    assert "a seed ended in a numerical error" in page.words
    table = next(t for t in page.tables if t.caption.startswith("Agents"))
    assert table.rows[1] == [
        "MPO(tanh)", HOPPER, "policy.net.kernel", NONE, "1", "17", "3"
    ]  # fmt: skip
    assert "† gym/Hopper-v4, MPO(tanh), seed 1: policy.net.kernel was not" in shown


def test_with_another_folder_nothing_of_the_store_changes(tmp_path, grid, capsys):
    def state(folder):
        every = [folder, *folder.rglob("*")]
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in every}

    where, out = tmp_path / "work", tmp_path / "elsewhere" / "report"
    shutil.copytree(grid, where, ignore=shutil.ignore_patterns("report"))
    before = state(where)
    assert report.main([f"--workdir={where}", f"--out={out}"]) == 0
    assert state(where) == before
    (where / "report").write_text("no folder")
    assert report.main([f"--workdir={where}"]) == 1
    said = capsys.readouterr().err
    assert "coadapt report has --out" in said and said.count("\n") == 1
    (where / "report").unlink()
    assert report.main([f"--workdir={where}"]) == 0
    for path in out.iterdir():
        assert path.read_bytes() == (where / "report" / path.name).read_bytes()


def test_a_run_without_any_score_has_none(capsys, tmp_path):
    where, task = tmp_path / "x", "toy/lqr"
    made = {task: [Variant("sac", "sac", config())]}
    score = {"score": lambda _: math.nan}
    stores.build(where, "train", made, {task: 300}, seeds=1, **score)
    page, shown = run(capsys, where)
    assert "no score †" in shown and scores_of(page).rows[1][1].startswith("no score †")


@pytest.mark.parametrize("kind", ["no store", "no rows", "no scores"])
def test_nothing_to_report_is_one_sentence(capsys, tmp_path, kind):
    where = tmp_path / "x"
    if kind != "no store":
        every = [Cell(HOPPER, name, s) for name in names_of("table2") for s in range(2)]
        stores.of_experiment(where, "table2", [HOPPER], seeds=2, absent=every)
    if kind == "no scores":
        about = store.load(where)
        with store.Store(where, about) as out, out.begin(out.note(every[:1], 1)) as one:
            one.append(10, {"loss": np.ones(1)}, "mujoco")
    assert report.main([f"--workdir={where}"]) == 2
    shown = capsys.readouterr()
    assert not shown.out and shown.err.count("\n") == 1
    words = (
        "there is nothing at this path"
        if kind == "no store"
        else "has no scores yet: none of"
    )
    assert words in shown.err
    assert not (where / "report").exists()


def names_of(name):
    rows = dict.fromkeys(v for table, _, v in PAPER if table == name)
    return [*rows, "MPO(D) (minimum of means)"]


def test_the_same_rows_give_the_same_files(capsys, grid, reported):
    before = {p.name: p.read_bytes() for p in (grid / "report").iterdir()}
    run(capsys, grid)
    assert before == {p.name: p.read_bytes() for p in (grid / "report").iterdir()}
    assert {"index.html", "summary.csv", "effects.csv", "factorial.csv"} <= set(before)
    assert {"statistics.csv", "table.csv", "curves.png"} <= set(before)
    assert "gym_Hopper-v5.png" in before


# ---------------------------------------------------------------- the page


def test_suites_and_their_versions_are_never_in_one_table(capsys, tmp_path):
    tasks = ("gym/Hopper-v5", "brax/hopper:spring", "gym/Ant-v5")
    by = dict(
        zip(tasks, ("mujoco 3.17.0", "brax 0.14.2", "mujoco 3.18.0"), strict=True)
    )
    made = {task: [Variant("sac", "sac", config())] for task in tasks}
    steps = dict.fromkeys(tasks, 300)
    stores.build(tmp_path / "x", "train", made, steps, seeds=1, provider=by)
    page, _ = run(capsys, tmp_path / "x")
    tables = [t for t in page.tables if "return at the last" in t.caption]
    assert sorted(t.rows[0][1] for t in tables) == sorted(tasks)
    for table in tables:
        assert by[table.rows[0][1]] in table.caption


def test_the_page_is_whole_and_needs_nothing_else(grid, reported):
    page, _ = reported
    for tag, attrs in page.tags:
        assert (tag not in ("link", "iframe", "object") and "src" not in attrs) or (
            tag == "img" and (grid / "report" / attrs["src"]).exists()
        )
        assert not {"href", "action", "xlink:href"} & set(attrs)
    text = (grid / "report" / "index.html").read_text()
    assert "url(" not in text and "@import" not in text and "connect-src" not in text
    assert "default-src 'none'" in text  # a browser itself refuses to load anything
    assert page.named("html") == [{"lang": "en"}] and len(page.named("h1")) == 1
    assert page.named("meta")[1]["name"] == "viewport"
    assert len(page.images) == 2
    for image, task in zip(page.images, ("Hopper-v5", "HalfCheetah-v5"), strict=True):
        assert task in image["alt"] and "up to 3,000" in image["alt"]
    assert all(table.caption for table in page.tables)
    assert len(page.tables + page.forests) == len(page.named("caption"))


# ---------------------------------------------------------------- the study in docs/


def test_a_study_is_drawn_as_its_table_has_it():
    """Of MPO(tanh) 4 of 5 seeds failed, and the one that is left is the best of all."""
    found = run_data.read(Path(__file__).parents[1] / "data" / "shortened")
    assert len(results.pictures(found)) == len(found.tasks) + 1
    figure = plot.curves(found.drawn(), CHEETAH, look=found.looks)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    line = lines["MPO(tanh) (4 failed)"]
    table = found.scores[CHEETAH, "MPO(tanh)"]
    end = line.get_ydata()[-1]
    assert end == pytest.approx(table.mean) and end == pytest.approx(1205, abs=1)
    assert end < lines["MPO"].get_ydata()[-1]


def test_a_name_with_brackets_is_text_on_a_terminal(monkeypatch, capsys):
    name = "[red]x[/] [/b]"
    row = ("toy/lqr", "sac", name, 10, 1.0, 0.5, 2, 0, "coadapt")
    screen = partial(results.Console, force_terminal=True, width=200)
    monkeypatch.setattr(results, "Console", screen)
    results.show(pd.DataFrame([row], columns=list(stats.SUMMARY_COLUMNS)))
    assert name in capsys.readouterr().out
