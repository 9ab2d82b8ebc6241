"""The run store: tidy, whole, and refused where it is another's."""

import json

import numpy as np
import pytest

from coadapt import store
from coadapt.schema import ConfigError
from coadapt.store import Cell, Entry, Header, Store

HEADER = "experiment,algorithm,variant,task,seed,env_steps,metric,value\n"


def header(**changes):
    config = {"g_estimate": {"kind": "TD0", "critics": 2}}
    fields = {
        "experiment": "e",
        "steps": 20,
        "seeds": (0, 1),
        "eval_every": 10,
        "eval_episodes": 3,
        "variants": {"toy/lqr": {"sac": Entry("sac", "f00d", config)}},
    }
    return Header(**(fields | changes))


def cells(*seeds):
    return [Cell("toy/lqr", "sac", seed) for seed in seeds]


def write(path, seeds=(0, 1), steps=20, finish=True, about=None, start=0.0):
    about = about or header(seeds=seeds, steps=steps)
    with Store(path, about) as opened:
        opened.begin(cells(*seeds))
        for t in range(10, steps + 1, 10):
            values = np.array([start + t + s for s in seeds], np.float32)
            opened.append(cells(*seeds), t, {"return": values})
        if finish:
            opened.finish(cells(*seeds), steps, 1.25)


def contents(path):
    return {p.name: p.read_bytes() for p in path.iterdir()} if path.exists() else None


def test_rows_are_tidy_and_read_back_to_the_bit(tmp_path):
    values = np.array([0.1, -np.inf], np.float32)
    with Store(tmp_path / "a" / "b", header()) as opened:
        opened.append(cells(0, 1), 10, {"return": values, "x": np.full(2, np.nan)})
    text = (tmp_path / "a" / "b" / "results.csv").read_text()
    assert text.startswith(HEADER)
    assert f"e,sac,sac,toy/lqr,0,10,return,{float(values[0])!r}\n" in text
    assert "e,sac,sac,toy/lqr,1,10,return,-inf\n" in text
    frame = store.read(tmp_path / "a" / "b")
    assert list(frame.columns) == HEADER.strip().split(",")
    got = frame[frame.metric == "return"].value.to_numpy()
    np.testing.assert_array_equal(got, values.astype(float))
    assert frame[frame.metric == "x"].value.isna().all()
    assert frame.seed.dtype == frame.env_steps.dtype == np.int64


def test_names_survive_the_csv(tmp_path):
    name = 'none, "quoted"'
    about = header(variants={"toy/lqr": {name: Entry("sac", "f", {})}})
    with Store(tmp_path, about) as opened:
        cell = Cell("toy/lqr", name, 0)
        opened.append([cell], 10, {"return": np.ones(1)})
        opened.finish([cell], 20, 0.0)
    with Store(tmp_path, about):
        pass  # the rewrite on opening keeps the row
    assert store.read(tmp_path).variant.item() == name
    assert Store.finished(tmp_path, about) == {cell}


def test_the_manifest_says_what_made_the_numbers(tmp_path):
    write(tmp_path)
    data = json.loads((tmp_path / "manifest.json").read_text())
    assert data["experiment"] == "e" and data["tasks"] == ["toy/lqr"]
    assert data["variants"]["toy/lqr"]["sac"]["fingerprint"] == "f00d"
    (session,) = data["sessions"]
    assert {"jax", "mujoco", "gymnasium", "coadapt", "python"} <= set(
        session["versions"]
    )
    assert session["device"] and session["started"]


def test_finished_cells_are_known_and_stay_as_they_are(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    assert Store.finished(tmp_path, header()) == set(cells(0, 1))
    with Store(tmp_path, header()):
        pass
    assert contents(tmp_path) == before


def test_more_seeds_leave_old_rows_to_the_byte(tmp_path):
    write(tmp_path)
    before = (tmp_path / "results.csv").read_bytes()
    write(tmp_path, seeds=(2,))
    after = (tmp_path / "results.csv").read_bytes()
    assert after.startswith(before) and len(after) > len(before)
    assert json.loads((tmp_path / "manifest.json").read_text())["seeds"] == [0, 1, 2]


def test_rows_of_an_unfinished_cell_go_when_the_store_is_opened(tmp_path):
    write(tmp_path)
    before = (tmp_path / "results.csv").read_bytes()
    write(tmp_path, seeds=(2,), finish=False)
    assert len(store.read(tmp_path)) == 6  # a reader sees what is there so far
    with Store(tmp_path, header()):
        pass
    assert (tmp_path / "results.csv").read_bytes() == before


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_is_of_an_unfinished_cell(tmp_path, cut):
    write(tmp_path)
    whole = (tmp_path / "results.csv").read_bytes()
    write(tmp_path, seeds=(2,), finish=False)
    torn = (tmp_path / "results.csv").read_bytes()[:-cut]
    (tmp_path / "results.csv").write_bytes(torn)
    store.read(tmp_path)
    assert Store.finished(tmp_path, header()) == set(cells(0, 1))
    write(tmp_path, seeds=(2,))
    assert (tmp_path / "results.csv").read_bytes().startswith(whole)
    assert len(store.read(tmp_path)) == 6


def test_a_torn_line_of_done_means_not_done(tmp_path):
    write(tmp_path)
    done = (tmp_path / "done.csv").read_bytes()
    (tmp_path / "done.csv").write_bytes(done[:-4])
    assert Store.finished(tmp_path, header()) == set(cells(0))


def test_more_steps_run_a_cell_again_and_replace_its_rows(tmp_path):
    write(tmp_path)
    assert Store.finished(tmp_path, header(steps=30)) == set()
    assert Store.finished(tmp_path, header(steps=10)) == set(cells(0, 1))
    write(tmp_path, steps=30, start=100.0)
    frame = store.read(tmp_path)
    assert len(frame) == 6 and (frame.value > 100).all()
    assert Store.finished(tmp_path, header(steps=30)) == set(cells(0, 1))


OTHER = {"toy/lqr": {"sac": Entry("sac", "beef", {"g_estimate": {"critics": 1}})}}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"experiment": "f"}, "its experiment is 'e', and 'f' is asked for"),
        ({"eval_every": 5}, "its eval_every is 10, and 5"),
        ({"eval_episodes": 5}, "its eval_episodes is 3, and 5"),
        ({"variants": OTHER}, "sac on toy/lqr is config f00d there"),
    ],
    ids=["experiment", "eval_every", "eval_episodes", "config"],
)
def test_another_sweep_is_refused_and_nothing_touched(tmp_path, changes, words):
    write(tmp_path)
    before = contents(tmp_path)
    for attempt in (Store, Store.finished, Store.extend):
        with pytest.raises(ConfigError, match=words):
            attempt(tmp_path, header(**changes))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("notes.txt", "mine", "is not empty and no run store"),
        ("manifest.json", "{", "is damaged"),
        ("manifest.json", "[]", "is damaged"),
        ("manifest.json", '{"format": 2}', "has format 2"),
        ("manifest.json", '{"format": 1}', "is damaged"),
    ],
)
def test_a_foreign_or_damaged_folder_is_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    for attempt in (Store, Store.finished):
        with pytest.raises(ConfigError, match=words):
            attempt(tmp_path, header())
    with pytest.raises(ConfigError, match=words):
        store.read(tmp_path)
    assert contents(tmp_path) == {name: text.encode()}


@pytest.mark.parametrize("name", ["results.csv", "done.csv"])
def test_damaged_tables_are_refused(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).write_text("a,b\nc\n")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="damaged"):
        Store(tmp_path, header(seeds=(0, 1, 2)))
    assert contents(tmp_path) == before


def test_a_file_or_nothing_is_no_store(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        Store(tmp_path / "f", header())
    with pytest.raises(ConfigError, match="nothing is there"):
        store.read(tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_wide_has_a_column_a_cell(tmp_path):
    write(tmp_path)
    table = store.wide(store.read(tmp_path))
    assert table.shape == (2, 2) and list(table.index) == [10, 20]


@pytest.mark.parametrize("writes", [0, 1])
def test_a_kill_while_finished_rows_are_replaced_loses_no_other(
    tmp_path, monkeypatch, writes
):
    write(tmp_path)
    write(tmp_path, seeds=(2,), steps=30)
    kept = (tmp_path / "results.csv").read_bytes().splitlines()[-3:]
    replace, left = store._replace, [writes]

    def killed(path, text):
        if path.name != store.MANIFEST and not left[0]:
            raise KeyboardInterrupt
        left[0] -= path.name != store.MANIFEST
        replace(path, text)

    with Store(tmp_path, header(steps=30)) as opened, monkeypatch.context() as patch:
        patch.setattr(store, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            opened.begin(cells(0, 1))
    assert Store.finished(tmp_path, header(steps=30)) == set(cells(2))
    write(tmp_path, steps=30)
    lines = (tmp_path / "results.csv").read_bytes().splitlines()
    assert lines[1:4] == kept and len(lines) == 1 + 3 + 6
