"""`python -m launch.effects` on the paper's cells and on run stores made by hand."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from coadapt import store
from launch import effects

PAGE = Path(__file__).parents[2] / "docs" / "effects.md"
TASKS = ("toy/lqr", "toy/bandit")
GAINS = {  # of a variant, on average
    "sac": 100, "sac-single-q": 50, "awac": 50, "awac-single-q": 95,
    "mpo/critics=2": 90, "mpo/critics=1": 45, "mpo": 45,
}  # fmt: skip

LOST = (
    "2 runs without a finite score, or with one that ran away: each counts as the worst"
)


def made(folder, seeds=4, gains=GAINS, lost=(), score_of_lost="nan"):
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
    assert found["3", "tanh", "MPO"] == "co-adapted"
    assert found["5-10", "network of MPO, not AWR", "AWR"] == "co-adapted"
    assert found["11, 12", "ELU, layer norm", "SAC"] == "transfers"
    assert found["2", "clipped double Q", "AWAC"] == "not decided"
    assert "without them no verdict changes" in notes[-1]


def test_the_page_shows_what_is_printed(capsys):
    assert effects.main(["--published", "--format=markdown"]) == 0
    assert capsys.readouterr().out in PAGE.read_text()


def test_pairs_of_variants(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    pairs = "sac:sac-single-q,awac:awac-single-q,mpo/critics=2:mpo"
    rows, notes = run(capsys, f"--workdir={workdir}", f"--pairs={pairs}")
    assert [(r["A"], r["B"], r["verdict"]) for r in rows] == [
        ("sac", "awac", "co-adapted"),
        ("sac", "mpo/critics=2", "transfers"),
        ("awac", "mpo/critics=2", "co-adapted"),
    ]
    assert rows[0]["toggle"] == "sac : sac-single-q"
    assert rows[0]["effect on A"].startswith("+0.9") and float(rows[0]["p"]) < 0.05
    assert notes[0] == (
        "4 seeds of each variant on toy/lqr at 100 env steps, toy/bandit at 100 env "
        "steps"
    )
    assert len(notes) == 2


def test_the_names_of_the_papers_rows(capsys, tmp_path):
    gains = {
        "SAC(Net: SAC)": 100, "SAC(Net: MPO)": 50,
        "MPO(Net: SAC)": 50, "MPO(Net: MPO)": 100,
    }  # fmt: skip
    workdir = made(tmp_path / "runs", gains=gains)
    pairs = "SAC(Net: SAC):SAC(Net: MPO),MPO(Net: SAC) : MPO(Net: MPO)"
    rows, _ = run(capsys, f"--workdir={workdir}", f"--pairs={pairs}")
    assert (rows[0]["B"], rows[0]["verdict"]) == ("MPO(Net: SAC)", "co-adapted")


@pytest.mark.parametrize("values", ["2,1", "2"])
def test_a_toggle_of_a_grid(capsys, tmp_path, values):
    workdir = made(tmp_path / "runs")
    rows, _ = run(capsys, f"--workdir={workdir}", f"--toggle=critics={values}")
    off = "mpo/critics=1" if "," in values else "mpo"
    assert [r["toggle"] for r in rows] == [f"mpo/critics=2 : {off}"]
    assert rows[0]["effect"].startswith("+")


def test_a_task_and_a_baseline_are_chosen(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    flags = ("--tasks=toy/lqr", "--scale=baseline", "--pairs=sac:sac-single-q")
    rows, notes = run(capsys, f"--workdir={workdir}", *flags)
    assert rows[0]["effect"].startswith("+0.5")  # 50 of 100
    assert "bandit" not in notes[0]


def test_one_seed_has_no_interval_and_it_is_said(capsys, tmp_path):
    workdir = made(tmp_path / "runs", seeds=1)
    pairs = "--pairs=sac:sac-single-q,awac:awac-single-q"
    rows, notes = run(capsys, f"--workdir={workdir}", pairs)
    assert rows[0]["verdict"] == "not decided" and rows[0]["A - B"].endswith("[-]")
    assert "no interval: there is one seed of each variant" in notes


def test_what_was_lost_is_counted(capsys, tmp_path):
    lost = {("sac-single-q", "toy/lqr", seed) for seed in (0, 2)}
    workdir = made(tmp_path / "runs", lost=lost)
    rows, notes = run(capsys, f"--workdir={workdir}", "--pairs=sac:sac-single-q")
    assert "2 runs failed: each counts as it was before" in notes
    assert LOST in notes
    assert "[-]" not in rows[0]["effect"]


def test_a_return_that_ran_away_is_not_the_scale(capsys, tmp_path):
    """It counts as -inf does, and the others' effects stay what they were."""
    lost = {("sac-single-q", "toy/lqr", seed) for seed in (0, 2)}
    pairs = "--pairs=sac:sac-single-q,awac:awac-single-q"
    found = []
    for score in ("-8e12", "-inf"):
        workdir = made(tmp_path / score, lost=lost, score_of_lost=score)
        found.append(run(capsys, f"--workdir={workdir}", pairs))
    assert found[0] == found[1]
    rows, notes = found[0]
    assert LOST in notes
    assert 0 < float(rows[0]["effect on A"].split()[0]) < 2  # of the range


def test_a_task_on_which_all_score_the_same_is_left_out_and_named(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    path = workdir / store.RESULTS
    rows = [line.split(",") for line in path.read_text().splitlines()]
    same = [[*r[:7], "1.0", r[8]] if r[3] == "toy/bandit" else r for r in rows]
    path.write_text("".join(",".join(row) + "\n" for row in same))
    _, notes = run(capsys, f"--workdir={workdir}", "--pairs=sac:sac-single-q")
    assert notes[-1].endswith("differ in their means there: toy/bandit")
    assert "bandit" not in notes[0]


def test_seeds_that_others_lack_are_counted(capsys, tmp_path):
    workdir = made(tmp_path / "runs")
    path = workdir / store.RESULTS
    kept = [x for x in path.read_text().splitlines(True) if ",sac,toy/lqr,3," not in x]
    path.write_text("".join(kept))
    _, notes = run(capsys, f"--workdir={workdir}", "--pairs=sac:sac-single-q")
    assert notes[0].startswith("3 seeds")
    assert notes[-1] == "3 runs left out: another variant has no match"


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "--workdir is missing"),
        (["--workdir={store}"], "give --pairs=with:without,... or --toggle"),
        (["--workdir={store}", "--pairs=sac:awac", "--toggle=a=1"], "one of the two"),
        (["--workdir={new}", "--pairs=sac:awac"], "nothing is there"),
        (["--workdir={store}", "--pairs=sac"], "must be two variants"),
        (["--workdir={store}", "--pairs=sac:sac"], "must be two variants"),
        (["--workdir={store}", "--pairs=,"], "--pairs has none"),
        (["--workdir={store}", "--pairs=sac:sac-singel-q"], "mean 'sac-single-q'"),
        (["--workdir={store}", "--toggle=critics"], "a field and its values"),
        (["--workdir={store}", "--toggle=critics=1,2,3"], "a field and its values"),
        (["--workdir={store}", "--toggle=critics=7"], "no two variants differ"),
        (["--workdir={store}", "--pairs=sac:awac", "--tasks=toy/lqt"], "'toy/lqr'"),
        (["--published", "--margin=0"], "--margin is '0'"),
        (["--published", "--margin=wide"], "--margin is 'wide'"),
        (["--published", "--scale=log"], "--scale is 'log'"),
        (["--published", "--format=pdf"], "format is 'pdf'"),
        (["--published", "--workdir={store}"], "exclude each other"),
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


def test_variants_that_score_the_same_have_no_scale(capsys, tmp_path):
    workdir = made(tmp_path / "runs", seeds=1, gains={"a": np.nan, "b": np.nan})
    assert effects.main([f"--workdir={workdir}", "--pairs=a:b"]) == 2
    assert "toy/lqr cannot be put on a scale" in capsys.readouterr().err
