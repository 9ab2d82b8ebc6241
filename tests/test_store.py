"""The run store: tidy, whole, and refused where it is another's."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coadapt import store
from coadapt.schema import ConfigError
from coadapt.store import Cell, Entry, Header, Store, StoreError, finished, owned

HEADER = "experiment,algorithm,variant,task,seed,env_steps,metric,value,provider\n"


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


def write(path, seeds=(0, 1), steps=20, *, after=0, finish=True, start=0.0):
    """A session: rows at 10, 20, ... of these seeds, which go on `after` env steps."""
    about, kept = header(seeds=seeds, steps=steps), dict.fromkeys(cells(*seeds), after)
    with owned(path), Store(path, about, kept) as opened:
        opened.begin(dict.fromkeys(cells(*seeds), after))
        for t in range(after + 10, steps + 1, 10):
            values = np.array([start + t + s for s in seeds], np.float32)
            opened.append(cells(*seeds), t, {"return": values}, "tests 1")
        if finish:
            opened.finish(cells(*seeds), steps, 1.25)


def contents(path):
    """The files, but for when a session started."""
    if not path.exists():
        return None
    return {
        p.name: re.sub(rb'"started": "[^"]*"', b"", p.read_bytes())
        for p in path.iterdir()
    }


def results(path):
    return (path / "results.csv").read_bytes()


def one_sentence(error):
    text = str(error)
    return text.endswith(".") and ". " not in text and "\n" not in text


def test_rows_are_tidy_and_read_back_to_the_bit(tmp_path):
    values = np.array([0.1, -np.inf], np.float32)
    folder = tmp_path / "a" / "b"
    with owned(folder), Store(folder, header()) as opened:
        opened.append(
            cells(0, 1), 10, {"return": values, "x": np.full(2, np.nan)}, "tests 1"
        )
    text = (folder / "results.csv").read_text()
    assert text.startswith(HEADER)
    assert f"e,sac,sac,toy/lqr,0,10,return,{float(values[0])!r},tests 1\n" in text
    assert "e,sac,sac,toy/lqr,1,10,return,-inf,tests 1\n" in text
    frame = store.read(folder)
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
        opened.append([cell], 10, {"return": np.ones(1)}, "tests 1")
        opened.finish([cell], 20, 0.0)
    with Store(tmp_path, about):
        pass  # the rewrite on opening keeps the row
    assert store.read(tmp_path).variant.item() == name
    assert finished(tmp_path, about) == {cell: 20}


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


def test_rows_of_an_unfinished_cell_go_when_the_store_is_opened_for_it(tmp_path):
    write(tmp_path)
    before = results(tmp_path)
    write(tmp_path, seeds=(2,), finish=False)
    more = results(tmp_path)
    assert len(store.read(tmp_path)) == 6  # a reader sees what is there so far
    with Store(tmp_path, header()):  # for others
        pass
    assert results(tmp_path) == more
    with Store(tmp_path, header(seeds=(0, 1, 2))):
        pass
    assert results(tmp_path) == before


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_is_of_an_unfinished_cell(tmp_path, cut):
    write(tmp_path)
    whole = results(tmp_path)
    write(tmp_path, seeds=(2,), finish=False)
    torn = results(tmp_path)[:-cut]
    (tmp_path / "results.csv").write_bytes(torn)
    store.read(tmp_path)
    assert finished(tmp_path, header()) == dict.fromkeys(cells(0, 1), 20)
    write(tmp_path, seeds=(2,))
    assert results(tmp_path).startswith(whole)
    assert len(store.read(tmp_path)) == 6


def test_a_torn_line_of_done_means_not_done(tmp_path):
    write(tmp_path)
    done = (tmp_path / "done.csv").read_bytes()
    (tmp_path / "done.csv").write_bytes(done[:-4])
    assert finished(tmp_path, header()) == {cells(0)[0]: 20}


def test_a_cell_that_starts_anew_with_more_steps_has_its_rows_replaced(tmp_path):
    write(tmp_path)
    for steps in (10, 30):  # however many are asked for
        found = finished(tmp_path, header(steps=steps))
        assert found == dict.fromkeys(cells(0, 1), 20)
    write(tmp_path, steps=30, start=100.0)
    frame = store.read(tmp_path)
    assert len(frame) == 6 and (frame.value > 100).all()
    assert finished(tmp_path, header()) == dict.fromkeys(cells(0, 1), 30)


OTHER = {"toy/lqr": {"sac": Entry("sac", "beef", {"g_estimate": {"critics": 1}})}}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"experiment": "f"}, "its experiment is 'e', and 'f' is asked for"),
        ({"eval_every": 5}, "its eval_every is 10, and 5"),
        ({"eval_episodes": 5}, "its eval_episodes is 3, and 5"),
        ({"checkpoint_every": 5}, "its checkpoint_every is 10, and 5"),
        ({"variants": OTHER}, "sac on toy/lqr is config f00d there"),
    ],
    ids=["experiment", "eval_every", "eval_episodes", "checkpoint_every", "config"],
)
def test_another_sweep_is_refused_and_nothing_touched(tmp_path, changes, words):
    write(tmp_path)
    before = contents(tmp_path)
    for attempt in (Store, finished, Store.extend):
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
        ("manifest.json", '{"format": 3}', "is damaged"),
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


@pytest.mark.parametrize("name", ["results.csv", "failures.csv", "done.csv"])
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


@pytest.mark.parametrize("writes", [0, 1, 2])  # of done, failures and results
def test_a_kill_while_finished_rows_are_replaced_loses_no_other(
    tmp_path, monkeypatch, writes
):
    write(tmp_path)
    write(tmp_path, seeds=(2,), steps=30)
    kept = results(tmp_path).splitlines()[-3:]
    replace, left = store.replace, [writes]

    def killed(path, text):
        if path.name != store.MANIFEST and not left[0]:
            raise KeyboardInterrupt
        left[0] -= path.name != store.MANIFEST
        replace(path, text)

    with Store(tmp_path, header(steps=30)) as opened, monkeypatch.context() as patch:
        patch.setattr(store, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            opened.begin(dict.fromkeys(cells(0, 1), 0))
    done = {cells(2)[0]: 30} | ({} if writes else dict.fromkeys(cells(0, 1), 20))
    assert finished(tmp_path, header()) == done
    write(tmp_path, steps=30)
    lines = results(tmp_path).splitlines()
    assert lines[1:4] == kept and len(lines) == 1 + 3 + 6


# ---------------------------------------------------------------- going on


def test_rows_of_an_unfinished_cell_stay_up_to_its_checkpoint(tmp_path):
    write(tmp_path / "whole", seeds=(1, 2), steps=60)
    write(tmp_path / "cut", seeds=(1, 2), steps=60, finish=False)
    torn = results(tmp_path / "cut")[:-5]
    (tmp_path / "cut" / "results.csv").write_bytes(torn)
    about, kept = header(seeds=(1, 2), steps=60), dict.fromkeys(cells(1, 2), 40)
    with Store(tmp_path / "cut", about, kept) as opened:
        assert results(tmp_path / "cut").splitlines() == torn.splitlines()[:9]
        opened.begin(dict.fromkeys(cells(1, 2), 40))
        assert results(tmp_path / "cut").splitlines() == torn.splitlines()[:9]
        opened.begin(
            dict.fromkeys(cells(1, 2), 30)
        )  # the newest checkpoint could not be read
        assert results(tmp_path / "cut").splitlines() == torn.splitlines()[:7]
    write(tmp_path / "cut", seeds=(1, 2), steps=60, after=30)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert finished(tmp_path / "cut", header()) == dict.fromkeys(cells(1, 2), 60)


def test_each_cell_keeps_the_rows_up_to_its_own_checkpoint(tmp_path):
    write(tmp_path, seeds=(0, 1, 2), steps=40, finish=False)
    about = header(seeds=(0, 1, 2), steps=40)
    with Store(tmp_path, about, {cells(0)[0]: 10, cells(1)[0]: 30}):
        pass
    frame = store.read(tmp_path)
    left = {seed: list(rows.env_steps) for seed, rows in frame.groupby("seed")}
    assert left == {0: [10], 1: [10, 20, 30]}


@pytest.mark.parametrize("after", [10, 20], ids=["from before its end", "from its end"])
def test_a_finished_cell_that_is_extended_keeps_its_rows_to_the_byte(tmp_path, after):
    write(tmp_path)
    write(tmp_path, seeds=(2,))
    before = results(tmp_path)
    # other numbers, so that a row that is written again shows
    write(tmp_path, steps=40, after=after, start=100.0)
    assert results(tmp_path).startswith(before)
    frame = store.read(tmp_path)
    for seed in (0, 1):
        rows = frame[frame.seed == seed]
        assert list(rows.env_steps) == [10, 20, 30, 40]
        assert list(rows.value) == [10 + seed, 20 + seed, 130 + seed, 140 + seed]
    done = dict.fromkeys(cells(0, 1), 40) | {cells(2)[0]: 20}
    assert finished(tmp_path, header()) == done
    with Store(tmp_path, header(steps=40)):
        pass
    assert len((tmp_path / "done.csv").read_text().splitlines()) == 1 + 3
    assert finished(tmp_path, header()) == done


def test_an_extension_that_is_cut_short_loses_nothing_that_was_finished(tmp_path):
    write(tmp_path / "whole")
    write(tmp_path / "whole", steps=50, after=20)
    write(tmp_path / "cut")
    before = results(tmp_path / "cut")
    write(tmp_path / "cut", steps=50, after=20, finish=False)
    assert finished(tmp_path / "cut", header()) == dict.fromkeys(cells(0, 1), 20)
    write(tmp_path / "cut", steps=50, after=30)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    # and without any checkpoint, what was finished is there until the cell begins
    write(tmp_path / "lost")
    write(tmp_path / "lost", steps=50, after=20, finish=False)
    with Store(tmp_path / "lost", header(steps=50)):
        pass
    assert results(tmp_path / "lost") == before


def row(seed, steps):
    return f"e,sac,sac,toy/lqr,{seed},{steps},return,{steps + seed}.0,tests 1\n"


@pytest.mark.parametrize(
    "seed, old, new",
    [
        (0, row(0, 10), ""),
        (1, row(1, 20), ""),
        (0, row(0, 20), row(0, 20).replace("20.0", "21.0")),
        (0, row(0, 20), row(0, 21)),  # after its end
        (0, row(0, 10), row(5, 10)),  # another's
        (0, row(0, 10), row(0, 10) + row(0, 10)),
        (1, row(1, 20), row(1, 20)[:-3]),
    ],
    ids=["first", "last", "value", "steps", "seed", "twice", "torn"],
)
def test_a_changed_row_of_a_finished_cell_is_found_out(tmp_path, seed, old, new):
    write(tmp_path)
    path = tmp_path / "results.csv"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    before = contents(tmp_path)
    words = f"rows of sac on toy/lqr, seed {seed}, which was finished, are missing or"
    for attempt in (finished, Store):
        with pytest.raises(ConfigError, match=words) as caught:
            attempt(tmp_path, header())
        assert one_sentence(caught.value) and str(path) in str(caught.value)
    assert contents(tmp_path) == before


def test_rows_of_finished_cells_that_are_all_gone_are_found_out(tmp_path):
    write(tmp_path)
    (tmp_path / "results.csv").unlink()
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="missing or changed"):
        finished(tmp_path, header())
    assert contents(tmp_path) == before


# ---------------------------------------------------------------- failures


def failed(path):
    return store.failures(path).to_numpy().tolist()


def test_a_failure_is_noted_once_a_cell(tmp_path):
    (cell,) = cells(1)
    with owned(tmp_path), Store(tmp_path, header()) as opened:
        opened.fail(cell, 15, 6, "reward", "ValueError: a, b")
        opened.fail(cell, 19, 9, "action", "")
        assert failed(tmp_path) == [[*cell, 15, 6, "reward", "ValueError: a, b"]]
        opened.fail(cells(0)[0], 18, 8, "critic.hidden_0.kernel", "")
    both = [
        [*cell, 15, 6, "reward", "ValueError: a, b"],
        [*cells(0)[0], 18, 8, "critic.hidden_0.kernel", ""],
    ]
    assert failed(tmp_path) == both
    kept = dict.fromkeys(cells(0, 1), 20)
    with Store(tmp_path, header(), kept) as opened:  # nor again in another session
        opened.fail(cell, 16, 7, "obs", "")
    assert failed(tmp_path) == both


def test_a_failure_after_the_checkpoint_goes_and_may_come_again(tmp_path):
    first, second = cells(0, 1)
    with owned(tmp_path), Store(tmp_path, header()) as opened:
        opened.fail(first, 10, 1, "obs", "")
        opened.fail(second, 11, 2, "obs", "")
    kept = dict.fromkeys(cells(0, 1), 10)
    with Store(tmp_path, header(), kept) as opened:
        assert failed(tmp_path) == [[*first, 10, 1, "obs", ""]]
        opened.fail(second, 12, 3, "reward", "")
        assert failed(tmp_path)[1:] == [[*second, 12, 3, "reward", ""]]
        opened.begin({first: 0})  # from its start
        assert failed(tmp_path) == []
        opened.finish([second], 20, 0.0)
        opened.fail(second, 12, 3, "reward", "")
    for kept in ({}, {second: 5}):  # finished, it stays
        with Store(tmp_path, header(), kept):
            pass
        assert failed(tmp_path) == [[*second, 12, 3, "reward", ""]]


def test_names_survive_the_csv_of_failures(tmp_path):
    name, cause = 'none, "quoted"', 'KeyError: "a, b", \u00e9'
    about = header(variants={"toy/lqr": {name: Entry("sac", "f", {})}})
    cell = Cell("toy/lqr", name, 0)
    with owned(tmp_path), Store(tmp_path, about) as opened:
        opened.fail(cell, 10, 3, "nan", cause)
    with Store(tmp_path, about, {cell: 10}) as opened:  # rewritten, and known
        opened.fail(cell, 10, 3, "nan", cause)
    assert failed(tmp_path) == [[*cell, 10, 3, "nan", cause]]
    assert list(store.failures(tmp_path).columns) == [*store.FAILURE_COLUMNS]


def test_where_nothing_failed_there_is_an_empty_table(tmp_path):
    write(tmp_path)
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert store.failures(folder).shape == (0, 7)


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

# the disk is full where a file would grow beyond so many bytes
FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from coadapt import store
from test_store import cells, header
path, limit = Path(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with store.owned(path), store.Store(path, header(seeds=(2,))) as opened:
        opened.begin(dict.fromkeys(cells(2), 0))
        for _ in range(1000):
            opened.append(cells(2), 10, {"return": np.ones(1)}, "tests 1")
except store.StoreError as error:
    print(error)
"""


def fill_the_disk(path, limit):
    """What a session says that may write no file of more than `limit` bytes."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit)],
        cwd=Path(__file__).parent, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.removesuffix("\n")


def test_a_full_disk_is_a_sentence_and_what_was_finished_is_whole(tmp_path):
    write(tmp_path / "whole")
    write(tmp_path / "whole", seeds=(2,))
    write(tmp_path / "full")
    before = results(tmp_path / "full")
    limit = (tmp_path / "full" / "manifest.json").stat().st_size + 500
    said = fill_the_disk(tmp_path / "full", limit)
    assert said.startswith(repr(str(tmp_path / "full" / "results.csv")))
    assert "cannot be written (File too large)" in said and one_sentence(said)
    assert len(results(tmp_path / "full")) == limit  # it was as full as can be
    assert finished(tmp_path / "full", header()) == dict.fromkeys(cells(0, 1), 20)
    write(tmp_path / "full", seeds=(2,))
    assert results(tmp_path / "full").startswith(before)
    assert results(tmp_path / "full") == results(tmp_path / "whole")


@pytest.mark.parametrize(
    "limit, name",
    [(0, "owner.json"), (200, "manifest.json"), (5000, "results.csv")],
)
def test_a_new_folder_on_a_full_disk_is_used_when_there_is_room(tmp_path, limit, name):
    said = fill_the_disk(tmp_path / "a", limit)
    assert said.startswith(repr(str(tmp_path / "a" / name))) and one_sentence(said)
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
        [sys.executable, "-m", "launch.train", "--algorithm=sac", "--task=toy/lqr",
         "--steps=60", f"--workdir={tmp_path / 'rün'}"],
        env=os.environ | ours, capture_output=True,
    )  # fmt: skip
    assert made.returncode == 2
    error = made.stderr.decode()
    assert "locale" in error and "LC_ALL=C.UTF-8" in error and error.count("\n") == 1
    assert not any(tmp_path.iterdir())
