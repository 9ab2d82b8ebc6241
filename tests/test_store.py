"""The run store: tidy, whole, and refused where it is another's."""

import contextlib
import csv
import dataclasses
import errno
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coadapt import schema
from coadapt.algorithms import preset
from coadapt.config import Config
from coadapt.factors.pi_q_update import KL, DualKL, Wasserstein
from coadapt.report import run_data
from coadapt.runs import attempts, files, manifest, migrations, store, tables
from coadapt.runs.store import (
    Cell,
    Entry,
    Header,
    Start,
    Store,
    StoreError,
    finished,
    owned,
)
from coadapt.runs.tables import Mark
from coadapt.schema import ConfigError

HEADER = (
    "experiment,algorithm,variant,task,seed,env_steps,metric,value,provider,session\n"
)


def header(**changes):
    config = {"g_estimate": {"kind": "TD0", "critics": 2}}
    fields = {
        "experiment": "e",
        "steps": 20,
        "seeds": (0, 1),
        "eval_every": 10,
        "eval_episodes": 3,
        "checkpoint_every": 10,
        "variants": {"toy/lqr": {"sac": Entry("sac", "f00d", config)}},
    }
    return Header(**(fields | changes))


def cells(*seeds):
    return [Cell("toy/lqr", "sac", seed) for seed in seeds]


def origin(program, after):
    """The newest attempt, as if it had a snapshot there; None: at its start."""
    if not after:
        return None
    path = program.attempts()[-1]
    marks = []
    for name, columns in (
        (attempts.ROWS, store.COLUMNS),
        (attempts.FAILURES, store.FAILURE_COLUMNS),
    ):
        table = tables.read(path / name, columns)
        place = columns.index("env_steps")
        number = sum(int(x[place]) <= after for x in tables.fields(table.lines))
        marks.append(Mark(number, table.checks[number - 1] if number else 0))
    return Start(path, after, *marks)


def write(path, seeds=(0, 1), steps=20, *, after=0, finish=True, start=0.0):
    """A session: rows at 10, 20, ... of these seeds, which go on `after` env steps."""
    with owned(path), Store(path, header(seeds=seeds, steps=steps)) as out:
        program = out.note(cells(*seeds), 1)
        with out.begin(program, origin(program, after)) as attempt:
            for t in range(after + 10, steps + 1, 10):
                values = np.array([start + t + s for s in seeds], np.float32)
                attempt.append(t, {"return": values}, "tests 1")
            if finish:
                attempt.finish(steps, 1.25)


@contextlib.contextmanager
def session(path, about, of):
    """An attempt of these cells, from their start."""
    with Store(path, about) as out, out.begin(out.note(of, 1)) as attempt:
        yield attempt


def scores(path):
    """Seed -> the values of its rows, in their order."""
    frame = store.read(path)
    return {int(seed): list(rows.value) for seed, rows in frame.groupby("seed")}


def homes(path):
    """The folders of all attempts, in order."""
    return [home for each in attempts.programs(path) for home in each.attempts()]


def contents(path):
    """The files, but for when a session started, and the checksum of that."""
    if not path.exists():
        return None
    return {
        str(p.relative_to(path)): re.sub(
            rb'"(started|checksum)": [^\n]*', b"", p.read_bytes()
        )
        for p in path.rglob("*")
        if p.is_file()
    }


def results(path):
    return (path / "results.csv").read_bytes()


def one_sentence(error):
    text = str(error)
    return text.endswith(".") and ". " not in text and "\n" not in text


@pytest.fixture(autouse=True)
def _said_anew():
    """What is damaged is said once a process, of each file."""
    attempts._SAID.clear()


def test_rows_are_tidy_and_read_back_to_the_bit(tmp_path):
    values = np.array([0.1, -np.inf], np.float32)
    folder = tmp_path / "a" / "b"
    with owned(folder), session(folder, header(), cells(0, 1)) as attempt:
        attempt.append(10, {"return": values, "x": np.full(2, np.nan)}, "tests 1")
    text = (folder / "results.csv").read_text()
    assert text.startswith(HEADER)
    assert f"e,sac,sac,toy/lqr,0,10,return,{float(values[0])!r},tests 1,1\n" in text
    assert "e,sac,sac,toy/lqr,1,10,return,-inf,tests 1,1\n" in text
    frame = store.read(folder)
    assert list(frame.columns) == HEADER.strip().split(",")
    got = frame[frame.metric == "return"].value.to_numpy()
    np.testing.assert_array_equal(got, values.astype(float))
    assert frame[frame.metric == "x"].value.isna().all()
    assert frame.seed.dtype == frame.env_steps.dtype == np.int64


FORMULAS = ['=HYPERLINK("http://x")', "+1+1", "-2+3", "@SUM(1)", "'=1", "\uff1d1"]


@pytest.mark.parametrize(
    "name", ['none, "quoted"', "-1", "1e3", "'x'", "-", "'-", "+1 [-2, 3]", *FORMULAS]
)
def test_names_survive_the_csv(tmp_path, name):
    about = header(variants={"toy/lqr": {name: Entry("sac", "f", {})}})
    cell = Cell("toy/lqr", name, 0)
    with Store(tmp_path, about) as out, out.begin(out.note([cell], 1)) as attempt:
        attempt.append(10, {"return": np.ones(1)}, "tests 1")
        attempt.fail(cell, 10, 3, "nan", 'KeyError: "a, b", \u00e9\n\ud800')
        attempt.finish(20, 0.0)
    assert store.read(tmp_path).variant.item() == name
    assert finished(tmp_path, about) == {cell: 20}
    cause = 'KeyError: "a, b", \u00e9 \\ud800'  # UTF-8 has no lone surrogate
    assert failed(tmp_path) == [[*cell, 10, 3, "nan", cause]]
    for view in ("results.csv", "failures.csv", "done.csv"):
        _, *rows = csv.reader((tmp_path / view).read_text().splitlines())
        shown = f"'{name}" if name in FORMULAS else name
        assert all(shown in row for row in rows) and rows


def test_what_a_simulator_says_commands_no_terminal_and_no_spreadsheet(tmp_path):
    said = "=1+1\t\x1b[2J\x07\u202e\x9b31m\r\n+2 \u00e9"
    cell = cells(0)[0]
    with Store(tmp_path, header()) as out, out.begin(out.note([cell], 1)) as attempt:
        attempt.append(10, {"return": -np.ones(1)}, "tests 1")
        attempt.fail(cell, 10, 3, "nan", said)
    escaped = "=1+1 \\x1b[2J\\x07\\u202e\\x9b31m  +2 \u00e9"
    assert failed(tmp_path) == [[*cell, 10, 3, "nan", escaped]]
    text = (tmp_path / "failures.csv").read_text()
    assert f",'{escaped}," in text and text.replace("\n", "").isprintable()
    assert ",-1.0," in (tmp_path / "results.csv").read_text()  # a number is one


def test_the_manifest_says_what_made_the_numbers(tmp_path):
    write(tmp_path)
    data = json.loads((tmp_path / "manifest.json").read_text())
    assert data["experiment"] == "e" and data["tasks"] == ["toy/lqr"]
    assert data["variants"]["toy/lqr"]["sac"]["fingerprint"] == "f00d"
    (session,) = data["sessions"]
    assert {"jax", "mujoco", "gymnasium", "coadapt", "python"} <= set(
        session["versions"]
    )
    assert session["device"] and session["started"] and session["devices"] >= 1
    assert session["host"] == socket.gethostname()
    assert session["xla_flags"] == os.environ["XLA_FLAGS"]
    assert set(store.read(tmp_path).session) == {session["id"]} == {"1"}


def test_rows_of_changed_code_have_another_session(tmp_path, monkeypatch):
    write(tmp_path)
    write(tmp_path, seeds=(1, 2))
    changed = {"commit": "c0de", "changed": "beef"}
    monkeypatch.setattr("coadapt.runs.provenance._code", lambda: changed)
    write(tmp_path, seeds=(3,))
    frame = store.read(tmp_path)
    assert dict(zip(frame.seed, frame.session, strict=True)) == {
        0: "1", 1: "1", 2: "1", 3: "2"
    }  # fmt: skip
    one, other = json.loads((tmp_path / "manifest.json").read_text())["sessions"]
    assert other["commit"] == "c0de" and one["commit"] != "c0de"
    last = results(tmp_path).splitlines()[-1]
    assert last.endswith(b",2") and b",3,20,return," in last


def test_finished_cells_are_known_and_stay_as_they_are(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    assert finished(tmp_path, header()) == dict.fromkeys(cells(0, 1), 20)
    with owned(tmp_path), Store(tmp_path, header()):
        pass
    assert contents(tmp_path) == before


def test_more_seeds_leave_old_rows_to_the_byte(tmp_path):
    write(tmp_path)
    before = results(tmp_path)
    write(tmp_path, seeds=(2,))
    after = results(tmp_path)
    assert after.startswith(before) and len(after) > len(before)
    assert json.loads((tmp_path / "manifest.json").read_text())["seeds"] == [0, 1, 2]


def test_what_was_asked_for_is_kept_for_each_cell(tmp_path):
    """A part that is extended leaves the others as finished as they were."""
    two = {"toy/lqr": {n: Entry(n, n, {"name": n}) for n in ("sac", "td3")}}
    third = {"toy/lqr": {"ddpg": Entry("ddpg", "ddpg", {"name": "ddpg"})}}
    only = {"toy/lqr": {"sac": two["toy/lqr"]["sac"]}}
    for about in (
        header(variants=two),
        header(variants=only, seeds=(0, 1, 2, 3)),
        header(variants=third, steps=40),
    ):
        with session(tmp_path, about, about.cells()) as attempt:
            attempt.append(10, {"return": np.ones(len(about.cells()))}, "tests 1")
            attempt.finish(about.steps, 0.0)
    asked = store.load(tmp_path)
    assert run_data.read(tmp_path).behind == ()
    there = {(c.variant, c.seed): asked.steps_of(c) for c in asked.cells()}
    assert there == (
        {("sac", seed): 20 for seed in range(4)}
        | {("td3", seed): 20 for seed in range(2)}
        | {("ddpg", seed): 40 for seed in range(2)}
    )


# ---------------------------------------------------------------- going on


def test_rows_of_an_unfinished_cell_stay_until_they_are_passed(tmp_path):
    write(tmp_path, steps=40, finish=False)
    old = {0: [10.0, 20.0, 30.0, 40.0], 1: [11.0, 21.0, 31.0, 41.0]}
    assert scores(tmp_path) == old
    write(tmp_path, steps=30, finish=False, start=100.0)  # from the start, and less far
    assert scores(tmp_path) == old
    with session(tmp_path, header(steps=40), cells(0, 1)) as attempt:
        for t in (10, 20, 30, 40):
            assert scores(tmp_path) == old
            attempt.append(t, {"return": np.array([t, t], np.float32)}, "tests 1")
    assert scores(tmp_path) == {seed: [10.0, 20.0, 30.0, 40.0] for seed in (0, 1)}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_write_that_was_cut_short_is_none(tmp_path, cut):
    """Of the rows of an evaluation all are there, or none."""
    write(tmp_path, seeds=(0, 1, 2), finish=False)
    (home,) = homes(tmp_path)
    whole = (home / "rows.csv").read_bytes()
    (home / "rows.csv").write_bytes(whole[:-cut])
    assert scores(tmp_path) == {seed: [10.0 + seed] for seed in range(3)}
    write(tmp_path, seeds=(0, 1, 2), after=10)
    assert scores(tmp_path) == {seed: [10.0 + seed, 20.0 + seed] for seed in range(3)}
    assert not [p for p in tmp_path.glob("*edited*")]


@pytest.mark.parametrize("after", [10, 20], ids=["from before its end", "from its end"])
def test_a_finished_cell_that_is_extended_keeps_its_rows_to_the_byte(tmp_path, after):
    write(tmp_path)
    before = results(tmp_path)
    # other numbers, so that a row that is written again shows
    write(tmp_path, steps=40, after=after, start=100.0)
    assert results(tmp_path).startswith(before)
    assert scores(tmp_path) == {s: [10 + s, 20 + s, 130 + s, 140 + s] for s in (0, 1)}
    done = dict.fromkeys(cells(0, 1), 40)
    assert finished(tmp_path, header()) == done
    assert len((tmp_path / "done.csv").read_text().splitlines()) == 1 + 2
    assert len(homes(tmp_path)) == 1  # the other was passed


def test_a_finished_cell_that_starts_anew_is_finished_all_the_while(tmp_path):
    write(tmp_path)
    write(tmp_path, steps=40, finish=False, start=100.0)
    assert finished(tmp_path, header()) == dict.fromkeys(cells(0, 1), 20)
    write(tmp_path, steps=40, start=200.0)
    assert scores(tmp_path) == {
        s: [t + 200 + s for t in (10, 20, 30, 40)] for s in (0, 1)
    }
    assert finished(tmp_path, header()) == dict.fromkeys(cells(0, 1), 40)


def test_a_part_of_a_program_goes_on_in_one_of_its_own(tmp_path):
    write(tmp_path, finish=False)
    (home,) = homes(tmp_path)
    with owned(tmp_path), Store(tmp_path, header(seeds=(1,), steps=30)) as out:
        there = attempts.attempt(home)
        marks = [Mark(len(t.checks), (t.checks or [0])[-1]) for t in there[1:3]]
        program = out.note(cells(1), 1)
        with out.begin(program, Start(home, 20, *marks)) as attempt:
            attempt.append(30, {"return": np.array([7.0])}, "tests 1")
            attempt.finish(30, 0.0)
    assert scores(tmp_path) == {0: [10.0, 20.0], 1: [11.0, 21.0, 7.0]}
    assert finished(tmp_path, header()) == {cells(1)[0]: 30}


def test_it_is_read_beside_a_process_that_writes(tmp_path):
    """Whatever is written meanwhile: nothing is missing, and nothing goes back."""
    write(tmp_path)
    script = "import sys; from pathlib import Path; from test_store import grow\n"
    script += "print('begins', flush=True)\ngrow(Path(sys.argv[1]))"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == "begins\n"  # it has imported all
    reached, reads = 20, 0
    while writer.poll() is None:
        for seed, values in scores(tmp_path).items():
            assert values == [t + seed for t in range(10, len(values) * 10 + 1, 10)]
        done = set(finished(tmp_path, header()).values())
        assert len(done) == 1 and max(done) >= reached
        reached, reads = max(done), reads + 1
    writer.communicate()
    assert writer.returncode == 0 and reads > 5
    assert len(scores(tmp_path)[0]) == 13


def grow(path):
    """Sessions that go on, or start anew, one after the other."""
    for steps in range(30, 131, 10):
        write(path, steps=steps, after=steps - 20 if steps % 30 else 0)


def test_what_others_are_asked_for_changes_nothing_of_a_program(tmp_path):
    """A store is read in the order in which its programs were made."""
    for seeds in ((5,), (0, 1), (3,)):
        write(tmp_path, seeds=seeds)
    numbers = [each.number for each in attempts.programs(tmp_path)]
    assert numbers == sorted(set(numbers))
    assert list(dict.fromkeys(store.read(tmp_path).seed)) == [5, 0, 1, 3]


# ---------------------------------------------------------------- damage


def row(seed, steps):
    return f"e,sac,sac,toy/lqr,{seed},{steps},return,{steps + seed}.0,tests 1,1"


@pytest.mark.parametrize(
    "seed, steps, change, left",
    [
        (0, 10, lambda line: "", []),
        (1, 20, lambda line: "", [10]),
        (0, 20, lambda line: line.replace("20.0", "21.0"), [10]),
        (0, 20, lambda line: line.replace(",0,20,", ",0,21,"), [10]),
        (0, 10, lambda line: line.replace(",0,10,", ",5,10,"), []),
        (0, 10, lambda line: line + line, []),
        (1, 20, lambda line: line[:-5], [10]),
        (1, 30, lambda line: line + line, [10, 20, 30]),
    ],
    ids=["first", "last", "value", "steps", "seed", "twice", "torn", "end twice"],
)
def test_a_changed_row_is_found_out(tmp_path, caplog, seed, steps, change, left):
    """What is whole before it counts; it is said once, and nothing is written."""
    write(tmp_path, steps=30)
    (home,) = homes(tmp_path)
    path = home / "rows.csv"
    text = path.read_text()
    (line,) = [x for x in text.splitlines(True) if x.startswith(row(seed, steps))]
    path.write_text(text.replace(line, change(line)))
    before = contents(tmp_path)
    done = finished(tmp_path, header(steps=30))
    assert done == (dict.fromkeys(cells(0, 1), 30) if left == [10, 20, 30] else {})
    assert scores(tmp_path) == (
        {s: [t + s for t in left] for s in (0, 1)} if left else {}
    )
    (said,) = [r.message for r in caplog.records]
    assert str(path) in said and "is damaged" in said and "\n" not in said
    assert contents(tmp_path) == before
    write(tmp_path, steps=30, start=100.0)  # as a sweep does without a snapshot
    assert scores(tmp_path) == {s: [110.0 + s, 120.0 + s, 130.0 + s] for s in (0, 1)}
    assert (home.with_name("0001.damaged") / "rows.csv").exists()


@pytest.mark.parametrize("name", ["done.json", "failures.csv"])
def test_what_is_damaged_beside_the_rows_leaves_them(tmp_path, caplog, name):
    write(tmp_path, finish=False)
    fails(tmp_path, [(0, 20)], after=20, finish=[30])
    (home,) = homes(tmp_path)
    (home / name).write_text("x")
    assert finished(tmp_path, header()) == {}
    assert scores(tmp_path) == {0: [10.0, 20.0, 0.0], 1: [11.0, 21.0, 0.0]}
    assert name in caplog.records[0].message


def flipped(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(data)


def bit_by_bit(path):
    """The file with one bit flipped, sixty times; then as it was.

    White space is left alone, which says nothing.
    """
    whole = path.read_bytes()
    places = [i for i, x in enumerate(whole) if not chr(x).isspace()]
    bits = np.random.default_rng(0).choice(places, 60) * 8
    for number, bit in enumerate(bits):
        flipped(path, int(bit) + number % 8)
        yield
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.copy"])
def test_one_bit_of_the_manifest_is_found_out_and_its_copy_serves(
    tmp_path, caplog, name
):
    write(tmp_path, steps=30)
    frame, known = store.read(tmp_path), store.load(tmp_path)
    for _ in bit_by_bit(tmp_path / name):
        before = contents(tmp_path)
        assert store.read(tmp_path).equals(frame)
        assert store.load(tmp_path) == known
        assert finished(tmp_path, header(steps=30)) == dict.fromkeys(cells(0, 1), 30)
        assert contents(tmp_path) == before
    said = [r.message for r in caplog.records]
    assert len(said) == (name == "manifest.json")
    assert all("its copy serves" in each for each in said)


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_session_makes_a_damaged_manifest_anew(tmp_path, how):
    write(tmp_path)
    path = tmp_path / "manifest.json"
    whole = path.read_bytes()
    path.unlink()
    if how == "damaged":
        path.write_bytes(whole[:-20])
    write(tmp_path, steps=30)
    assert store.load(tmp_path).steps == 30
    assert path.read_bytes() == (tmp_path / "manifest.json.copy").read_bytes()
    aside = [p.read_bytes() for p in tmp_path.glob("manifest.json.damaged")]
    assert aside == ([whole[:-20]] if how == "damaged" else [])


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", None])
def test_rows_are_read_without_any_manifest(tmp_path, caplog, text):
    """As of a store that has no copy yet; nothing else does, in one sentence."""
    write(tmp_path, steps=30)
    fails(tmp_path, [(0, 20)], after=20, finish=[30])
    frame, failed = store.read(tmp_path), store.failures(tmp_path)
    (tmp_path / "manifest.json.copy").unlink()
    (tmp_path / "manifest.json").unlink()
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text)
    before = contents(tmp_path)
    assert store.read(tmp_path).equals(frame)
    assert store.failures(tmp_path).equals(failed)
    assert [r.message.count("bring it back") for r in caplog.records] == [1]
    for refused in (
        lambda: Store(tmp_path, header()),
        lambda: finished(tmp_path, header()),
        lambda: store.load(tmp_path),
    ):
        with pytest.raises(ConfigError, match="no whole copy of it") as caught:
            refused()
        assert one_sentence(caught.value)
    assert contents(tmp_path) == before


def test_a_damaged_session_is_left_out_and_its_number_is_not_taken_again(
    tmp_path, monkeypatch, caplog
):
    write(tmp_path)
    hosts = iter("abcd")
    monkeypatch.setattr(manifest.provenance, "here", lambda: {"host": next(hosts)})
    assert manifest.own_session(tmp_path) == "2"
    (tmp_path / "sessions" / "2.json").write_text("x")
    assert [each["id"] for each in store.sessions(tmp_path)] == ["1"]
    assert manifest.own_session(tmp_path) == "3"
    assert [each["id"] for each in store.sessions(tmp_path)] == ["1", "3"]
    assert [r.message.count("2.json") for r in caplog.records] == [1]


def test_one_bit_of_a_program_leaves_its_rows_to_read(tmp_path, caplog):
    """Nothing goes on from it, nothing is changed, and it is said once."""
    write(tmp_path, steps=30)
    frame, done = store.read(tmp_path), finished(tmp_path, header(steps=30))
    (path,) = tmp_path.rglob("program.json")
    for _ in bit_by_bit(path):
        before = contents(tmp_path)
        assert store.read(tmp_path).equals(frame)
        assert finished(tmp_path, header(steps=30)) == done
        with pytest.raises(StoreError, match="bring the file back"):
            Store(tmp_path, header(steps=30))
        assert contents(tmp_path) == before
    assert [r.message.count(str(path)) for r in caplog.records] == [1]


def test_a_program_file_that_is_missing_leaves_its_rows_to_read(tmp_path, caplog):
    """As one that is damaged; where no attempt was begun, there is nothing to lose."""
    write(tmp_path, steps=30)
    frame, done = store.read(tmp_path), finished(tmp_path, header(steps=30))
    (path,) = tmp_path.rglob("program.json")
    path.unlink()
    path.with_name("0002").mkdir()
    (path.parents[1] / "killed-1").mkdir()
    before = contents(tmp_path)
    assert store.read(tmp_path).equals(frame)
    assert finished(tmp_path, header(steps=30)) == done
    with pytest.raises(StoreError, match=r"it is missing.*bring the file back"):
        Store(tmp_path, header(steps=30))
    assert contents(tmp_path) == before
    assert [r.message.count(str(path)) for r in caplog.records] == [1]


@pytest.mark.parametrize("finish", [True, False])
def test_an_attempt_that_lost_its_first_file_is_read(tmp_path, caplog, finish):
    """What came after that file says that it was one; without it, none was begun."""
    write(tmp_path, finish=finish)
    (home,) = homes(tmp_path)
    frame, old = store.read(tmp_path), finished(tmp_path, header())
    if not finish:
        (home / "20").mkdir()
        (home / "20" / attempts.ABOUT).write_text("{}")
    (home / attempts.ATTEMPT).unlink()
    home.with_name("0002").mkdir()
    assert store.read(tmp_path).equals(frame)
    assert finished(tmp_path, header()) == old
    assert [r.message.count("it is missing") for r in caplog.records] == [1]
    write(tmp_path, steps=30)
    assert len(store.read(tmp_path)) == 6


@pytest.mark.parametrize("lost", [False, True])
def test_rows_that_a_snapshot_counts_and_that_are_missing_are_said(
    tmp_path, caplog, lost
):
    """Their file ends at the end of a write, as if no more had come."""
    write(tmp_path, finish=False)
    (program,) = attempts.programs(tmp_path)
    (home,) = program.attempts()
    start, old = origin(program, 20), scores(tmp_path)
    (home / "20").mkdir()
    said = {"program": program.folder.name, "steps": 20}
    said |= {"rows": start.rows, "failures": start.failures}
    (home / "20" / attempts.ABOUT).write_text(files.sealed(said))
    if lost:
        lines = (home / attempts.ROWS).read_text().splitlines(True)
        (home / attempts.ROWS).write_text("".join(lines[:3]))
    assert scores(tmp_path) == (
        {seed: values[:1] for seed, values in old.items()} if lost else old
    )
    words = "lines up to its snapshot 20 are missing"
    assert [words in r.message for r in caplog.records] == [True] * lost


@pytest.mark.parametrize("name", ["rows.csv", "program.json", "manifest.json"])
def test_memory_that_is_short_while_reading_is_no_damage(tmp_path, monkeypatch, name):
    write(tmp_path, finish=False)
    before, old, real = contents(tmp_path), scores(tmp_path), Path.open

    def short(path, *how, **encoding):
        if path.name == name:
            raise MemoryError
        return real(path, *how, **encoding)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", short)
        for attempt in (lambda: Store(tmp_path, header()), lambda: scores(tmp_path)):
            with pytest.raises(StoreError, match=f"{name}.*memory is short") as caught:
                attempt()
            assert one_sentence(caught.value)
    assert contents(tmp_path) == before and scores(tmp_path) == old


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize(
    "what, how",
    [
        ("programs", ("a link to nowhere", "nothing")),
        ("programs", ("an empty folder", "an empty folder")),
        ("programs/*", ("a link to nowhere",)),
        ("programs/*/0001", ("a link to nowhere",)),
    ],
    ids=["programs", "unmounted", "program", "attempt"],
)
def test_programs_that_are_away_are_a_sentence_before_any_write(
    tmp_path, what, how, finish
):
    """As where a disk is not mounted; once it is back, all is as it was."""
    write(tmp_path, finish=finish)
    before, old = contents(tmp_path), scores(tmp_path)
    (there,) = tmp_path.glob(what)
    there.rename(tmp_path.with_name("disk"))
    for instead in how:
        if instead == "an empty folder":
            there.mkdir()
        elif instead == "a link to nowhere":
            there.symlink_to(tmp_path / "nowhere")
        with owned(tmp_path):
            without = contents(tmp_path)
            for attempt in (
                lambda: Store(tmp_path, header()),
                lambda: finished(tmp_path, header()),
                lambda: store.read(tmp_path),
            ):
                with pytest.raises(StoreError, match="bring it back") as caught:
                    attempt()
                assert one_sentence(caught.value)
            assert contents(tmp_path) == without
        if instead == "an empty folder":
            there.rmdir()
        there.unlink(missing_ok=True)
    tmp_path.with_name("disk").rename(there)
    assert contents(tmp_path) == before and scores(tmp_path) == old


def test_without_its_programs_and_its_table_a_store_begins_anew(tmp_path):
    write(tmp_path)
    before = scores(tmp_path)
    shutil.rmtree(tmp_path / "programs")
    (tmp_path / "programs").mkdir()
    (tmp_path / "results.csv").unlink()
    write(tmp_path, start=100.0)
    again = {seed: [v + 100 for v in values] for seed, values in before.items()}
    assert scores(tmp_path) == again


@pytest.mark.parametrize("lost", ["program", "attempt"])
def test_a_table_keeps_scores_that_no_program_has_any_more(tmp_path, caplog, lost):
    """A folder that was moved away is begun anew: its old rows stay readable."""
    write(tmp_path)
    write(tmp_path, seeds=(2,))
    old, values = results(tmp_path), scores(tmp_path)
    home = homes(tmp_path)[0]
    shutil.rmtree(home if lost == "attempt" else home.parent)
    write(tmp_path, seeds=(2,))
    assert (tmp_path / "results.csv.kept-1").read_bytes() == old
    assert [r.message.count("'results.csv.kept-1'") for r in caplog.records] == [1]
    assert list(scores(tmp_path)) == [2]
    write(tmp_path)
    assert len(list(tmp_path.glob("*.kept-*"))) == 1 and scores(tmp_path) == values


@pytest.mark.parametrize("name", ["manifest.json", "attempt.json"])
def test_a_folder_that_may_not_be_entered_is_a_sentence(tmp_path, monkeypatch, name):
    write(tmp_path)
    before, real = contents(tmp_path), Path.stat

    def refused(path, **how):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        for attempt in (lambda: Store(tmp_path, header()), lambda: scores(tmp_path)):
            with pytest.raises(StoreError, match=f"{name}.*denied.*once it can be"):
                attempt()
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["results.csv", "done.csv", ".views.json"])
def test_a_table_that_cannot_be_replaced_leaves_the_request(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with owned(tmp_path):
        before = contents(tmp_path)
        with pytest.raises(StoreError, match=name):
            Store(tmp_path, header(steps=40))
        assert contents(tmp_path) == before


# ---------------------------------------------------------------- tables for people


def edited(path, how):
    text = path.read_text()
    lines = text.splitlines(True)
    path.unlink()  # as an editor does: a new file under the old name
    path.write_text({
        "emptied": "",
        "half": text[: len(text) // 2],
        "value": text.replace(",10.0,", ",99.0,"),
        "lines gone": "".join(lines[:2]),
        "twice": text + "".join(lines[1:]),
    }[how])  # fmt: skip


@pytest.mark.parametrize("how", ["emptied", "half", "value", "lines gone", "twice"])
@pytest.mark.parametrize("when", ["between", "meanwhile"])
def test_a_table_that_was_edited_is_kept_and_made_anew(tmp_path, caplog, how, when):
    write(tmp_path, finish=False)
    whole, path = results(tmp_path), tmp_path / "results.csv"
    with owned(tmp_path):
        if when == "between":
            edited(path, how)
        with Store(tmp_path, header()):
            if when == "meanwhile":
                edited(path, how)
    assert results(tmp_path) == whole
    aside = tmp_path / "results.csv.edited-1"
    assert aside.read_bytes() != whole
    (said,) = [r.message for r in caplog.records]
    assert "results.csv" in said and aside.name in said
    edited(path, "half")
    with owned(tmp_path), Store(tmp_path, header()):
        pass
    assert (tmp_path / "results.csv.edited-2").exists() and results(tmp_path) == whole


def test_tables_that_are_away_are_made_anew(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    for name in ("results.csv", "done.csv", ".views.json"):
        (tmp_path / name).unlink()
        with owned(tmp_path), Store(tmp_path, header()):
            pass
        assert {**contents(tmp_path), ".views.json": before[".views.json"]} == before


def test_a_kill_between_a_table_and_its_record_is_no_edit(tmp_path, monkeypatch):
    write(tmp_path, finish=False)
    replace, left = files.replace, [0]

    def killed(path, text, **how):
        if path.parent == tmp_path and path.name in ("results.csv", "failures.csv"):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        replace(path, text, **how)

    for number in range(3):
        left[0] = number
        with monkeypatch.context() as patch:
            patch.setattr(files, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                write(tmp_path, seeds=(number + 2,), finish=False)
    write(tmp_path, seeds=(2,))
    assert not [p for p in tmp_path.glob("*edited*")]


# ---------------------------------------------------------------- another's


OTHER = {"toy/lqr": {"sac": Entry("sac", "beef", {"g_estimate": {"critics": 1}})}}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"experiment": "f"}, "its experiment is 'e', not 'f'"),
        (
            {"experiment": "train"},
            "or continue with what began it, as .*--experiment=e.",
        ),
        ({"eval_every": 5}, "its eval_every is 10, not 5"),
        ({"eval_episodes": 5}, "its eval_episodes is 3, not 5"),
        ({"checkpoint_every": 5}, "its checkpoint_every is 10, not 5"),
        ({"variants": OTHER}, "sac on toy/lqr is config f00d there"),
    ],
    ids=[
        "experiment",
        "named",
        "eval_every",
        "eval_episodes",
        "checkpoint_every",
        "config",
    ],
)
def test_another_sweep_is_refused_and_nothing_touched(tmp_path, changes, words):
    write(tmp_path)
    before = contents(tmp_path)
    for attempt in (Store, finished):
        with pytest.raises(ConfigError, match=words):
            attempt(tmp_path, header(**changes))
    assert contents(tmp_path) == before


def test_what_has_no_name_goes_on_under_that_which_the_store_has(tmp_path):
    """The commands' `train` and `sweep`, and Python's: rows keep one experiment."""
    for number, name in enumerate(("sweep", "train", "sweep")):
        about = header(experiment=name, seeds=(number,))
        with session(tmp_path, about, cells(number)) as attempt:
            attempt.append(10, {"return": np.zeros(1, np.float32)}, "tests 1")
    assert list(store.read(tmp_path).experiment) == ["sweep"] * 3
    assert store.load(tmp_path).experiment == "sweep"
    for name in ("table3@reduced", "mine"):
        with pytest.raises(ConfigError, match=f"{name}.*continue with coadapt.train"):
            Store(tmp_path, header(experiment=name))
    other = tmp_path / "other"
    Store(other, header(experiment="table3@reduced"))
    with pytest.raises(ConfigError, match=r"--experiment=table3 --scale=reduced\.$"):
        Store(other, header(experiment="sweep"))


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("notes.txt", "mine", "is not empty and not a run store"),
        ("manifest.json", "{", "is damaged"),
        ("manifest.json", "[]", "is damaged"),
        ("manifest.json", '{"format": 2}', "has format 2"),
        ("manifest.json", '{"format": 3}', "is damaged"),
        ("manifest.json", '{"format": 4}', "is damaged"),
    ],
)
def test_a_foreign_or_damaged_folder_is_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    for attempt in (Store, finished):
        with pytest.raises(ConfigError, match=words):
            attempt(tmp_path, header())
    with pytest.raises(ConfigError, match=words):
        store.read(tmp_path)
    assert contents(tmp_path) == {name: text.encode()}


def test_a_file_or_nothing_is_no_store(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        Store(tmp_path / "f", header())
    with pytest.raises(ConfigError, match="there is nothing at this path"):
        store.read(tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_wide_has_a_column_a_cell(tmp_path):
    write(tmp_path)
    table = store.wide(store.read(tmp_path))
    assert table.shape == (2, 2) and list(table.index) == [10, 20]


# ---------------------------------------------------------------- older configs


def of_config(config, name="f00d"):
    return header(variants={"toy/lqr": {"sac": Entry("sac", name, config)}})


def test_configs_are_compared_by_their_values(tmp_path):
    """A field that came later, with its default, leaves a store what it was."""
    now = schema.to_dict(preset("sac"))
    before = {name: value for name, value in now.items() if name != "eval_policy"}
    with Store(tmp_path, of_config(before, "old")) as out:
        first = out.note(cells(0, 1), 1)
    with Store(tmp_path, of_config(now, "new")) as out:
        assert out.note(cells(0, 1), 1) == first
    entry = store.load(tmp_path).variants["toy/lqr"]["sac"]
    assert entry.fingerprint == "old"
    other = {**now, "data": {**now["data"], "batch_size": 17}}
    with pytest.raises(ConfigError, match=r"data\.batch_size: 256 there, 17 here"):
        finished(tmp_path, of_config(other))


def test_a_renamed_field_is_found_under_its_new_name(tmp_path, monkeypatch):
    now = schema.to_dict(preset("sac"))
    data = {k: v for k, v in now["data"].items() if k != "batch_size"}
    old = {**now, "data": {**data, "minibatch": now["data"]["batch_size"]}}
    with Store(tmp_path, of_config(old, "old")):
        pass
    number = migrations.SCHEMA
    monkeypatch.setattr(migrations, "SCHEMA", number + 2)
    monkeypatch.setattr("coadapt.runs.manifest.SCHEMA", number + 2)
    monkeypatch.setitem(migrations.RENAMED, "Replay", {"minibatch": "batch_size"})
    way = migrations.MIGRATIONS[3]
    later = {number: way, number + 1: lambda config: {**config, "eval_policy": None}}
    monkeypatch.setattr(migrations, "MIGRATIONS", later)
    found = store.load(tmp_path).variants["toy/lqr"]["sac"].config
    assert found == {**now, "eval_policy": None}
    monkeypatch.setattr("coadapt.runs.manifest.SCHEMA", 0)
    with pytest.raises(ConfigError, match="by a newer version"):
        store.load(tmp_path)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (
            {"kind": "DualKL", "samples": 4},
            DualKL(samples=4, ratio="exp", slope=0.0),
        ),
        (
            {"kind": "Wasserstein", "samples": 4, "slope": 10.0},
            Wasserstein(samples=4, slope=10.0, sided="two"),
        ),
        ({"kind": "KL", "samples": 4}, KL(samples=4)),
    ],
    ids=lambda x: x["kind"] if isinstance(x, dict) else "",
)
def test_a_config_of_schema_1_means_what_it_meant(was, now):
    """Its DualKL had neither a ratio nor a slope, its Wasserstein no side."""
    brac = schema.to_dict(preset("brac"))
    old = {**brac, "pi_q_update": {**brac["pi_q_update"], "divergence": was}}
    found = schema.from_dict(Config, migrations.migrated(old, 1))
    assert found == dataclasses.replace(
        preset("brac"),
        pi_q_update=dataclasses.replace(preset("brac").pi_q_update, divergence=now),
    )


# ---------------------------------------------------------------- failures


def failed(path):
    return store.failures(path)[[*store.FAILURE_COLUMNS]].to_numpy().tolist()


def fails(path, steps, finish=(), after=0, seeds=(0, 1)):
    """A session in which cells fail at these env steps, after those before them."""
    with owned(path), Store(path, header()) as out:
        program = out.note(cells(*seeds), 1)
        with out.begin(program, origin(program, after)) as attempt:
            for seed, at in steps:
                attempt.fail(cells(seed)[0], at, 6, "reward", "ValueError: a, b")
            for at in finish:
                attempt.append(at, {"return": np.zeros(len(seeds))}, "tests 1")
                attempt.finish(at, 0.0)


def test_a_failure_is_noted_once_a_cell(tmp_path):
    first, second = cells(0, 1)
    fails(tmp_path, [(1, 15), (1, 19), (0, 18)], finish=[20])
    both = [
        [*second, 15, 6, "reward", "ValueError: a, b"],
        [*first, 18, 6, "reward", "ValueError: a, b"],
    ]
    assert failed(tmp_path) == both
    fails(tmp_path, [(1, 16)], after=20, finish=[30])  # nor again in another session
    assert failed(tmp_path) == both
    assert len((tmp_path / "failures.csv").read_text().splitlines()) == 3


def test_a_failure_after_the_checkpoint_goes_and_may_come_again(tmp_path):
    write(tmp_path, steps=20, finish=False)
    fails(tmp_path, [(0, 10), (1, 11)], after=10)
    fails(tmp_path, [(1, 12)], after=10, finish=[30])
    at = {seed: steps for _, _, seed, steps, *_ in failed(tmp_path)}
    assert at == {0: 10, 1: 12}


def test_where_nothing_failed_there_is_an_empty_table(tmp_path):
    write(tmp_path)
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert store.failures(folder).shape == (0, 8)


# ---------------------------------------------------------------- one owner

HOLD = """
import sys, time
from pathlib import Path
from coadapt import store
with store.owned(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    write(tmp_path)
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == "ready\n"
        before = contents(tmp_path)
        who = f"in use by process {first.pid} on {socket.gethostname()} since 20"
        with pytest.raises(ConfigError, match=who) as caught, owned(tmp_path):
            pass
        assert one_sentence(caught.value) and str(tmp_path) in str(caught.value)
        assert contents(tmp_path) == before
    finally:
        first.kill()  # SIGKILL
        first.communicate()
    left = json.loads((tmp_path / "owner.json").read_text())
    assert left["process"] == first.pid
    with owned(tmp_path):
        mine = json.loads((tmp_path / "owner.json").read_text())
        assert (mine["process"], mine["host"]) == (os.getpid(), socket.gethostname())
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
            owned(tmp_path).__enter__()
    assert not (tmp_path / "owner.json").exists()


def test_an_owner_that_raises_lets_go(tmp_path):
    with pytest.raises(KeyboardInterrupt), owned(tmp_path / "a"):
        raise KeyboardInterrupt
    assert store.load(tmp_path / "a") is None  # nothing that is in the way
    write(tmp_path / "a")


# ---------------------------------------------------------------- the disk


def fill_the_disk(path, limit):
    """What a session says that may write no file of more than `limit` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # Python ignores the signal, so that a write is an error
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        with (
            owned(path),
            Store(path, header(seeds=(2,))) as out,
            out.begin(out.note(cells(2), 1)) as attempt,
        ):
            for t in range(10, 10_000, 10):
                attempt.append(t, {"return": np.ones(1)}, "tests 1")
    except StoreError as error:
        return str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_another_process_writes_meanwhile_is_one_of_both(
    tmp_path, monkeypatch
):
    path, put = tmp_path / "a.csv", files.put

    def slow(file, data):
        monkeypatch.setattr(files, "put", put)
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "getpid", lambda: -1)
            files.replace(path, "theirs", alone=False)
        put(file, data)

    monkeypatch.setattr(files, "put", slow)
    files.replace(path, "ours", alone=False)
    assert path.read_text() == "ours" and [*tmp_path.iterdir()] == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_name_is_on_the_disk_after_what_it_names(tmp_path, monkeypatch):
    """As far as a process can tell: what is synced before and after a rename."""
    done, fsync, rename = [], os.fsync, os.replace

    def synced(number):
        done.append(Path(os.readlink(f"/proc/self/fd/{number}")).name)
        fsync(number)

    def renamed(path, to):
        done.append(f"{Path(path).name} -> {Path(to).name}")
        rename(path, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    folder = tmp_path / "folder"
    assert files.make(folder)
    files.replace(folder / "a", "text")
    files.replace(folder / "view", "text", sync=False)
    (folder / "snapshot").mkdir()
    (folder / "snapshot" / "array").write_bytes(b"1")
    files.sync(folder / "snapshot")
    assert done == [
        tmp_path.name,
        "a.tmp", "a.tmp -> a", "folder",
        "view.tmp -> view",
        "array", "snapshot", "folder",
    ]  # fmt: skip


@pytest.mark.parametrize("number, raises", [(22, False), (95, False), (5, True)])
def test_a_file_system_that_syncs_no_folders_is_used(
    tmp_path, monkeypatch, number, raises
):
    def fail(_):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError) if raises else contextlib.nullcontext():
        files.make(tmp_path / "x")


def test_a_full_disk_is_a_sentence_and_what_was_finished_is_whole(tmp_path):
    write(tmp_path / "full")
    before = results(tmp_path / "full")
    limit = (tmp_path / "full" / "manifest.json").stat().st_size + 2000
    said = fill_the_disk(tmp_path / "full", limit)
    path = Path(said.split("'")[1])
    assert path.name == "rows.csv" and path.is_relative_to(tmp_path / "full")
    assert "cannot be written (File too large)" in said and one_sentence(said)
    assert path.stat().st_size == limit  # it was as full as can be
    assert len(store.read(tmp_path / "full")) > 5
    assert finished(tmp_path / "full", header()) == dict.fromkeys(cells(0, 1), 20)
    write(tmp_path / "full", seeds=(2,), steps=10_000)
    assert results(tmp_path / "full").startswith(before)


@pytest.mark.parametrize(
    "limit, name",
    [(0, "owner.json"), (200, "manifest.json.copy"), (5000, "rows.csv")],
)
def test_a_new_folder_on_a_full_disk_is_used_when_there_is_room(tmp_path, limit, name):
    said = fill_the_disk(tmp_path / "a", limit)
    assert said.startswith(f"'{tmp_path / 'a'}/") and one_sentence(said)
    assert f"/{name}' cannot be written" in said
    assert finished(tmp_path / "a", header()) == {}  # a sweep asks this first
    write(tmp_path / "a")
    assert finished(tmp_path / "a", header()) == dict.fromkeys(cells(0, 1), 20)


@pytest.mark.parametrize(
    "place",
    ["{}/file/a", "{}/file/a/b", "/proc/coadapt", "/proc/self/a/b", "{}/" + "a" * 300],
    ids=["below a file", "far below", "in proc", "below proc", "a name too long"],
)
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, place):
    (tmp_path / "file").write_text("mine")
    path = Path(place.format(tmp_path))
    for attempt in (lambda: owned(path).__enter__(), lambda: Store(path, header())):
        with pytest.raises((StoreError, ConfigError)) as caught:
            attempt()
        assert one_sentence(caught.value) and str(path) in str(caught.value)
    try:  # to look there first, as a sweep does, is no other exception
        assert finished(path, header()) == {}
    except ConfigError as error:
        assert one_sentence(error)
    assert (tmp_path / "file").read_text() == "mine"


# ---------------------------------------------------------------- its path


def test_a_tilde_is_home(tmp_path, monkeypatch):
    """A shell leaves it as it is in --workdir=~/x."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.folder("~/runs/x") == tmp_path / "runs" / "x"
    assert store.folder("a~/x") == Path("a~/x")
    with pytest.raises(ConfigError, match=r"^workdir is '~nobody-here/x': .*home"):
        store.folder("~nobody-here/x")


def test_letters_that_a_locale_does_not_have_are_refused_at_the_door(tmp_path):
    """As Orbax would refuse them at the first checkpoint, without naming a reason."""
    ours = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    made = subprocess.run(
        [sys.executable, "-m", "coadapt", "train", "--algorithm=sac", "--task=toy/lqr",
         "--steps=60", f"--workdir={tmp_path / 'rün'}"],
        env=os.environ | ours, capture_output=True,
    )  # fmt: skip
    assert made.returncode == 2
    error = made.stderr.decode()
    assert "locale" in error and "LC_ALL=C.UTF-8" in error and error.count("\n") == 1
    assert not any(tmp_path.iterdir())
