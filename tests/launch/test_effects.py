"""`python -m launch.effects` on the paper's cells and on run stores made by hand."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import coadapt
from coadapt import taxonomy
from coadapt.analysis.comparison import interval
from coadapt.cli import effects
from coadapt.experiments import published
from coadapt.runs import store

PAGE = Path(__file__).parents[2] / "docs" / "effects.md"
TASKS = ("toy/lqr", "toy/bandit")
GAINS = {  # of a variant, on average
    "sac": 100, "sac-single-q": 50, "awac": 50, "awac-single-q": 95,
    "mpo/critics=2": 90, "mpo/critics=1": 45, "mpo": 45,
}  # fmt: skip


def made(folder, seeds=12, gains=GAINS, lost=(), score_of_lost="nan", units=TASKS):
    """A run store with these variants; `lost` are cells that fail at once, or score."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for task in TASKS:
        for seed in range(seeds):
            luck = 10 * rng.normal()
            for name, gain in gains.items():
                for steps in (50, 100):
                    score = gain + luck + rng.normal()
                    gone = (name, task, seed) in lost
                    score = score_of_lost if gone else str(score)
                    row = ("e", name, name, task, seed, steps, "return", score, "ours")
                    rows.append(row)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([store.COLUMNS, *rows])
    (folder / store.RESULTS).write_text(out.getvalue())
    entry = {"algorithm": "sac", "fingerprint": "0", "config": {}}
    manifest = {
        "format": 3,  # the rows are in one file
        "experiment": "e",
        "steps": 100,
        "seeds": list(range(seeds)),
        "evaluation": {"every": 50, "episodes": 1},
        "checkpoint_every": 50,
        "variants": {task: {name: entry for name in gains} for task in TASKS},
        "units": {task: {"random": 0.0, "reference": 100.0} for task in units},
        "sessions": [],
    }
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    return folder


def run(capsys, *flags):
    """Its rows as dicts, and its notes."""
    assert effects.main([*flags, "--format=csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert effects.main(list(flags)) == 0
    table, notes = capsys.readouterr().out.split("\n\n")
    assert len(table.splitlines()) == len(rows) + 2
    return rows, notes.splitlines()


def test_the_papers_cells(capsys):
    rows, notes = run(capsys, "--published")
    found = {(r["tables"], r["toggle"], r["B"]): r["verdict"] for r in rows}
    assert found["3", "tanh", "MPO"] == "co-adapted: helps SAC only (MPO harmed)"
    assert found["5-10", "network of SAC, not MPO", "MPO"] == (
        "co-adapted: harms MPO only (SAC unchanged or helped)"
    )
    assert found["11, 12", "ELU, layer norm", "SAC"] == "not decided"
    assert found["2", "clipped double Q", "AWAC"] == "not decided"
    assert "without them no verdict changes" in notes[-1]
    assert "ELU, layer norm: MPO's cells have ELU and layer norm at once" in notes[-2]
    said = {each.toggle for each in published.COMPARISONS if each.remark}
    assert said == {"ELU", "layer norm"}  # not of both at once, as MPO lost them


def test_the_page_shows_what_is_printed(capsys):
    assert effects.main(["--published", "--format=markdown"]) == 0
    assert capsys.readouterr().out in PAGE.read_text()


PAIRS = "--pairs=sac:sac-single-q,awac:awac-single-q"


def test_pairs_of_variants(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    rows, notes = run(capsys, f"--workdir={workdir}", f"{PAIRS},mpo/critics=2:mpo")
    assert [(r["A"], r["B"], r["verdict"]) for r in rows] == [
        ("sac", "awac", "co-adapted: helps sac only (awac harmed)"),
        ("sac", "mpo/critics=2", "helps both"),
        ("awac", "mpo/critics=2", "co-adapted: helps mpo/critics=2 only (awac harmed)"),
    ]
    assert rows[0]["toggle"] == "sac : sac-single-q"
    assert rows[0]["tasks"] == "toy/lqr, toy/bandit"
    assert rows[0]["effect on A"].startswith("+0.5") and rows[0]["p"] == "<1e-4"
    assert rows[0]["wrong"].startswith("at most 2.5%; ")
    assert "(score - random) / (reference - random)" in notes[0]
    assert "horizon: 100 env steps" in notes


def test_names_are_as_safe_on_a_terminal_as_in_a_file(capsys, tmp_path):
    """For spreadsheets, to which CSV is handed on, and for the terminal itself."""
    name = '=HYPERLINK("http://x")'
    workdir = made(tmp_path / "runs", gains={name: 100, "sac": 50})
    rows, _ = run(capsys, f"--workdir={workdir}", f"--pairs={name}:sac")
    assert rows[0]["toggle"] == f"'{name} : sac"
    assert rows[0]["effect"].startswith("+0.5")  # a number is as it was
    table = taxonomy.render([{"method": "a\x1b[31m\nb"}], "text")
    assert table.splitlines()[-1] == r"a\x1b[31m b"


def test_the_answer_is_the_librarys(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    rows, _ = run(capsys, f"--workdir={workdir}", PAIRS)
    on = {"A": ("sac", "sac-single-q"), "B": ("awac", "awac-single-q")}
    found = coadapt.compare(workdir, "clipped double Q", on)
    for name, effect in zip("AB", found.effects, strict=True):
        assert rows[0][f"effect on {name}"] == interval(effect, "reference")
    assert rows[0]["verdict"].startswith("co-adapted: helps sac only")
    assert found.word == "co-adapted: helps A only"


def test_a_margin_in_returns_where_there_is_no_unit(capsys, tmp_path):
    """Task by task, as their returns have no unit in common."""
    workdir = made(tmp_path / "runs", units=())
    rows, notes = run(capsys, f"--workdir={workdir}", PAIRS)
    assert [r["tasks"] for r in rows] == list(TASKS)
    assert "give a margin in returns" in rows[0]["verdict"]
    assert rows[0]["effect on A"].startswith("+5") and "in returns" in notes[0]
    rows, _ = run(capsys, f"--workdir={workdir}", PAIRS, "--margin=10")
    assert rows[0]["verdict"] == "co-adapted: helps sac only (awac harmed)"


def test_below_ten_seeds_there_is_no_verdict(capsys, tmp_path):
    workdir = made(tmp_path / "runs", seeds=4)
    rows, _ = run(capsys, f"--workdir={workdir}", PAIRS)
    said = "no verdict (4 seeds per arm: a verdict needs 10)"
    assert rows[0]["verdict"] == said and rows[0]["seeds"] == "10"


def test_the_names_of_the_papers_rows(capsys, tmp_path):
    gains = {
        "SAC(Net: SAC)": 100, "SAC(Net: MPO)": 50,
        "MPO(Net: SAC)": 50, "MPO(Net: MPO)": 100,
    }  # fmt: skip
    workdir = made(tmp_path / "runs", gains=gains)
    pairs = "SAC(Net: SAC):SAC(Net: MPO),MPO(Net: SAC) : MPO(Net: MPO)"
    rows, _ = run(capsys, f"--workdir={workdir}", f"--pairs={pairs}")
    assert rows[0]["B"] == "MPO(Net: SAC)"
    assert rows[0]["verdict"].startswith("co-adapted: helps SAC(Net: SAC) only")


@pytest.mark.parametrize("values", ["2,1", "2"])
def test_a_toggle_of_a_grid(capsys, tmp_path, values):
    workdir = made(tmp_path / "runs")
    rows, _ = run(capsys, f"--workdir={workdir}", f"--toggle=critics={values}")
    off = "mpo/critics=1" if "," in values else "mpo"
    assert [r["toggle"] for r in rows] == [f"mpo/critics=2 : {off}"]
    assert rows[0]["effect"].startswith("+") and rows[0]["verdict"] == "helps"


def test_a_task_and_a_metric_are_chosen(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    flags = ("--tasks=toy/lqr", "--metric=last", "--pairs=sac:sac-single-q")
    rows, _ = run(capsys, f"--workdir={workdir}", *flags)
    assert rows[0]["tasks"] == "toy/lqr"
    found = coadapt.compare(
        workdir, "x", {"A": ("sac", "sac-single-q")}, metric="last", tasks=TASKS[:1]
    )
    assert rows[0]["effect"] == interval(found.effects[0], "reference")


@pytest.mark.parametrize("score", ["nan", "-inf", "-8e12"])
def test_what_was_lost_is_counted(capsys, tmp_path, score):
    lost = {("sac-single-q", "toy/lqr", seed) for seed in (0, 2)}
    workdir = made(tmp_path / "runs", lost=lost, score_of_lost=score)
    rows, notes = run(capsys, f"--workdir={workdir}", "--pairs=sac:sac-single-q")
    assert "sac-single-q on toy/lqr: 2 of 12 runs failed [2%, 48%]" in notes
    # two of 24 count as 0 and not as 50
    assert float(rows[0]["effect"].split()[0]) == pytest.approx(0.5 + 0.04, abs=0.02)


def test_seeds_that_are_not_finished_are_counted(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    path = workdir / store.RESULTS
    text = path.read_text().splitlines(True)
    path.write_text("".join(x for x in text if ",sac,toy/lqr,3,100," not in x))
    _, notes = run(capsys, f"--workdir={workdir}", "--pairs=sac:sac-single-q")
    assert "1 run left out: not finished" in notes


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "--workdir is missing"),
        (["--workdir={store}"], "give --pairs=with:without,... or --toggle"),
        (["--workdir={store}", "--pairs=sac:awac", "--toggle=a=1"], "one of the two"),
        (["--workdir={new}", "--pairs=sac:awac"], "there is nothing at this path"),
        (["--workdir={store}", "--pairs=sac"], "must be two variants"),
        (["--workdir={store}", "--pairs=sac:sac"], "must be two variants"),
        (["--workdir={store}", "--pairs=,"], "--pairs is empty"),
        (["--workdir={store}", "--pairs=sac:sac-singel-q"], "mean 'sac-single-q'"),
        (["--workdir={store}", "--toggle=critics"], "a field and its values"),
        (["--workdir={store}", "--toggle=critics=1,2,3"], "a field and its values"),
        (["--workdir={store}", "--toggle=critics=7"], "no two variants differ"),
        (["--workdir={store}", "--pairs=sac:awac", "--tasks=toy/lqt"], "'toy/lqr'"),
        (["--published", "--margin=0"], "--margin is '0'"),
        (["--published", "--margin=wide"], "--margin is 'wide'"),
        (["--workdir={store}", "--pairs=sac:awac", "--metric=lst"], "mean 'last'"),
        (["--published", "--format=pdf"], "format is 'pdf'"),
        (["--published", "--workdir={store}"], "exclude each other"),
        (["--published", "--metric=last"], "--published and --metric exclude"),
        (["--published", "--paper"], "--paper is not a flag of this command"),
        (["published"], "argument 'published' is not a flag"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_a_mistake_is_answered_in_one_sentence(capsys, tmp_path, flags, words):
    places = {"store": made(tmp_path / "runs", seeds=1), "new": tmp_path / "new"}
    assert effects.main([flag.format(**places) for flag in flags]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert words in shown.err
