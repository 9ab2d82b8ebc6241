"""Others' curves: that each layout gives the same rows, and mistakes one sentence."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import stores
from html_pages import read

from coadapt import report, sweep
from coadapt.analysis import curve_files
from coadapt.cli import report as command
from coadapt.schema import ConfigError

TASK = "gym/Hopper-v5"
STEPS, SEEDS = (1000, 2000, 3000), (4, 7)


def value(method, step, seed):
    return len(method) * step / 10 + seed


def plain(methods=("SAC", "TD3")):
    rows = [
        (m, "Hopper-v5", at, seed, value(m, at, seed))
        for m in methods for at in STEPS for seed in SEEDS
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(curve_files.COLUMNS))


def simba(path):
    """With an index of its own, steps that are floats, and other metrics."""
    columns = dict(
        zip(curve_files.COLUMNS, curve_files.LAYOUTS["SimbaV2"], strict=True)
    )
    rows = plain().rename(columns=columns).assign(metric="avg_return")
    rows = rows.assign(env_step=rows.env_step.astype(float))
    pd.concat([rows, rows.assign(metric="avg_success", value=0.5)]).to_csv(path)


def open_rl(path):
    """Two episodes around each evaluation, at steps of each seed's own."""
    own = curve_files.LAYOUTS["Open RL Benchmark"]
    rows = plain()
    parts = [
        rows.assign(step=rows.step - rows.seed - k, **{"return": rows["return"] + off})
        for k, off in ((0, 5.0), (200, -5.0))
    ]
    ends = rows.loc[rows.step == STEPS[-1]]
    made = pd.concat([*parts, ends.assign(step=STEPS[-1])])
    made.set_axis(list(own), axis=1).to_csv(path, index=False)


def rliable(path):
    arrays = {
        m: np.array([[[value(m, at, s) for at in STEPS]] for s in SEEDS])
        for m in ("SAC", "TD3")
    }
    np.savez(path, tasks=np.array(["Hopper-v5"]), frames=np.array(STEPS), **arrays)


FILES = {
    "plain.csv": lambda path: plain().to_csv(path, index=False),
    "simba.csv": simba,
    "orb.csv": open_rl,
    "rliable.npz": rliable,
}


@pytest.mark.parametrize("name", FILES)
def test_each_layout_has_the_same_curves(name, tmp_path):
    FILES[name](tmp_path / name)
    found = curve_files.read(
        tmp_path / name, [TASK, "toy/lqr"], every=1000, steps={TASK: 3000}
    )
    assert tuple(found.columns) == curve_files.COLUMNS and set(found.task) == {TASK}
    curves = found.pivot(index=["method", "seed"], columns="step", values="return")
    assert list(curves.columns) == list(STEPS) and len(curves) == 4
    for i, (method, seeds) in enumerate(curves.groupby(level=0)):
        expected = [[value(method, at, s) for at in STEPS] for s in SEEDS]
        assert i < 2 and seeds.to_numpy() == pytest.approx(np.array(expected))


def test_a_method_that_was_measured_twice_changes_no_others_curve(tmp_path):
    """SAC's are averaged to evaluations; TD3 stays where all of its seeds are."""
    made, off = plain(), {1000: 900, 2000: 1900, 3000: 2900}
    theirs = made.loc[made.method == "TD3"]
    theirs = theirs.assign(step=theirs.step.map(off))
    ours = made.loc[made.method == "SAC"]
    pd.concat([ours, ours, theirs]).to_csv(tmp_path / "x.csv", index=False)
    found = curve_files.read(tmp_path / "x.csv", [TASK], every=1000, steps={})
    steps = {name: set(rows.step) for name, rows in found.groupby("method")}
    assert steps == {"SAC": set(STEPS), "TD3": set(off.values())}
    assert len(found) == 12


def test_scores_without_steps_are_of_the_tasks_own(tmp_path):
    scores = np.array([[1.0, 2.0], [3.0, 4.0]])
    names = np.array([TASK, "Ant-v5"])
    np.savez(tmp_path / "x.npz", tasks=names, ours=scores)
    found = curve_files.read(tmp_path / "x.npz", [TASK], every=10, steps={TASK: 77})
    assert found.values.tolist() == [
        ["ours", TASK, 77, 0, 1.0],
        ["ours", TASK, 77, 1, 3.0],
    ]


WRONG = [
    (lambda p: p.write_text("a,b\n1,2\n"), "has the columns a, b: it must have"),
    (lambda p: plain().assign(task="Hoper-v5").to_csv(p), "has no task of the store's"),
    (lambda p: plain().assign(step="x").to_csv(p), "step is 'x' in row 1: it must be"),
    (lambda _: None, "cannot be read: No such file"),
]  # fmt: skip


@pytest.mark.parametrize(("write", "said"), WRONG)
def test_a_mistake_is_a_sentence(write, said, tmp_path):
    write(tmp_path / "x.csv")
    with pytest.raises(ConfigError) as error:
        curve_files.read(tmp_path / "x.csv", [TASK], every=10, steps={})
    assert said in str(error.value) and "\n" not in str(error.value)


def test_objects_are_refused_and_not_run(tmp_path):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    np.savez(tmp_path / "x.npz", tasks=np.array([TASK]), sac=np.array([Trap()], object))
    with pytest.raises(ConfigError, match="would need pickle"):
        curve_files.read(tmp_path / "x.npz", [TASK], every=10, steps={})
    assert not ran.exists()


def test_a_report_has_them_beside(tmp_path, capsys):
    """In one picture, in the tables, and compared by Welch's t."""
    made = {TASK: sweep.presets(["sac", "mpo"])}
    ends = stores.build(tmp_path / "x", "sweep", made, {TASK: 3000})
    plain(("SAC", "sac", "DrQ")).to_csv(tmp_path / "theirs.csv", index=False)
    flags = [f"--workdir={tmp_path / 'x'}", f"--beside={tmp_path / 'theirs.csv'}"]
    assert command.main(flags) == 0 and not capsys.readouterr().err
    page = read((tmp_path / "x" / "report" / "index.html").read_text())
    names = [each["name"] for each in page.series["variants"]]
    assert names == ["sac", "mpo", "SAC", "sac (beside)", "DrQ"]
    colors = {each["name"]: each["light"] for each in page.series["variants"]}
    assert colors["SAC"] == colors["sac"] and colors["DrQ"] != colors["sac"]
    table = next(t for t in page.tables if t.caption.startswith("Returns of others"))
    assert [row[0] for row in table.rows[1:]] == ["SAC", "sac (beside)", "DrQ"]
    found = pd.read_csv(tmp_path / "x" / "report" / "beside.csv")
    row = found[(found.variant == "mpo") & (found.method == "DrQ")].iloc[0]
    ours = np.array([x for cell, x in ends.items() if cell.variant == "mpo"]) * 2 / 3
    theirs = np.array([np.mean([value("DrQ", at, s) for at in STEPS]) for s in SEEDS])
    welch = scipy.stats.ttest_ind(ours, theirs, equal_var=False)
    ends = welch.confidence_interval(0.95)
    assert row.difference == pytest.approx(ours.mean() - theirs.mean())
    assert (row.difference_low, row.difference_high) == pytest.approx(tuple(ends))
    wrong = [flags[0], f"--beside={tmp_path / 'none.csv'}"]
    assert command.main(wrong) == 2 and capsys.readouterr().err.count("\n") == 1
    assert report.make(tmp_path / "x")  # and without them they are gone
    assert not (tmp_path / "x" / "report" / "beside.csv").exists()
