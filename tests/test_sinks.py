"""Rows in TensorBoard and Weights & Biases are those of the run store, each once."""

import importlib
import json
import re
import shutil
import struct
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import stores
from recipes import TINY_FLAGS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from coadapt import report, sweep
from coadapt.cli import logs, train
from coadapt.cli import sweep as launch_sweep
from coadapt.metrics import writers
from coadapt.runs import files, store
from coadapt.runs.store import Cell
from coadapt.schema import ConfigError
from tests.test_store_model import no_training

TASK = "toy/lqr"
TINY = [
    f"--task={TASK}", "--seeds=2", "--eval_every=30", "--eval_episodes=1", "--quiet",
    *TINY_FLAGS,
]  # fmt: skip
GRID = ["--algorithms=sac", "--grid=optim.policy.rate=1e-3,1e-4", *TINY]


def events(workdir, cell: Cell) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (env steps, value), as TensorBoard reads them."""
    found = EventAccumulator(str(writers.event_folder(workdir, cell))).Reload()
    return {
        name: [(e.step, e.value) for e in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def same_as_the_store(workdir) -> None:
    """Every row is there once, and nothing else; event files have float32."""
    rows = writers.rows_of(workdir)
    assert rows
    for cell, by_step in rows.items():
        expected = Counter(
            (name, steps, str(np.float32(value)))
            for steps, values in by_step.items()
            for name, value in values.items()
        )
        found = Counter(
            (name, steps, str(np.float32(value)))
            for name, points in events(workdir, cell).items()
            for steps, value in points
        )
        assert found == expected


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two variants, two seeds, with event files, and a session of more steps."""
    workdir = tmp_path_factory.mktemp("run") / "work"
    args = [*GRID, f"--workdir={workdir}", "--checkpoint_every=30"]
    with pytest.MonkeyPatch.context() as patch, no_training():
        patch.setattr(report, "make", lambda *_, **__: None)  # it takes longer
        assert launch_sweep.main([*args, "--steps=60", "--tensorboard"]) == 0
        assert launch_sweep.main([*args, "--steps=90", "--tensorboard"]) == 0
    return workdir


def test_tensorboard_has_the_rows_of_a_sweep_that_went_on(run):
    assert len(writers.rows_of(run)) == 4
    same_as_the_store(run)
    cell = Cell(TASK, "sac/optim.policy.rate=1e-3", 1)
    assert [step for step, _ in events(run, cell)["return"]] == [30, 60, 90]
    assert (run / "tensorboard" / cell.variant / TASK / "seed1").is_dir()


def test_a_store_is_copied_and_copied_again(run, tmp_path, capsys):
    made = {TASK: sweep.presets(["sac", "mpo"])}
    dead = [Cell(TASK, "mpo", 1)]  # its return is NaN from there on
    stores.build(tmp_path, "test", made, {TASK: 300}, dead=dead)
    before = (tmp_path / store.RESULTS).read_bytes()
    for _ in range(2):
        assert logs.main([f"--workdir={tmp_path}", "--to=tensorboard"]) == 0
        same_as_the_store(tmp_path)
    assert (tmp_path / store.RESULTS).read_bytes() == before
    assert capsys.readouterr().out.splitlines()[-1].endswith(", 6 agents")
    assert np.isnan(events(tmp_path, dead[0])["return"][-1][1])


def test_rows_that_are_made_again_are_there_once(tmp_path):
    """A session that was killed after its last checkpoint leaves rows behind it."""
    cell = Cell(TASK, "sac", 0)
    made = {TASK: sweep.presets(["sac"])}
    stores.build(tmp_path, "test", made, {TASK: 300}, seeds=1, begun=[cell])
    killed = writers.Feed(tmp_path, [writers.TensorBoard(tmp_path)])
    killed.begin([cell])
    for steps in (200, 300):
        killed.land([cell], steps, {"return": np.array([7.0])})
    assert [p for p in events(tmp_path, cell)["return"] if p[1] == 7.0]
    again = writers.Feed(tmp_path, [writers.TensorBoard(tmp_path)])
    again.begin([cell])
    same_as_the_store(tmp_path)
    again.land([cell], 100, {"return": np.array([8.0])})  # the store has that row
    again.land([cell], 200, {"return": np.array([9.0])})
    first, second = events(tmp_path, cell)["return"]
    assert first[0] == 100 and first[1] != 8.0 and second == (200, 9.0)
    again.close()
    killed.close()


def test_many_agents_do_not_keep_many_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "MOST_OPEN", 2)
    made = {TASK: sweep.presets(["sac"])}
    stores.build(tmp_path, "test", made, {TASK: 300}, seeds=5)
    sink = writers.TensorBoard(tmp_path)
    feed = writers.Feed(tmp_path, [sink])
    cells = list(writers.rows_of(tmp_path))
    feed.begin(cells)
    assert len(sink._open) <= 2
    feed.close()
    same_as_the_store(tmp_path)


def test_what_earlier_sessions_left_out_is_written_at_the_end(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr(report, "make", lambda *_, **__: None)
    workdir = tmp_path / "work"
    shutil.copytree(run, workdir)
    shutil.rmtree(workdir / writers.TENSORBOARD)
    args = [*GRID, f"--workdir={workdir}", "--checkpoint_every=30", "--steps=90"]
    assert launch_sweep.main(args) == 0  # nothing is left to be run
    assert not (workdir / writers.TENSORBOARD).exists()
    assert launch_sweep.main([*args, "--tensorboard"]) == 0
    same_as_the_store(workdir)


@pytest.mark.parametrize("variant", ["../../x", "/x", "a//b", "."])
def test_a_name_leads_nowhere_else(tmp_path, variant):
    folder = writers.event_folder(tmp_path, Cell(TASK, variant, 0))
    assert folder.resolve().is_relative_to(tmp_path / writers.TENSORBOARD)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--to=tensorbord"], "sink is 'tensorbord'.*did you mean 'tensorboard'"),
        ([], "--to is missing"),
        (["--to=tensorboard", "--project=x"], "give --to=wandb"),
        (["--to=tensorboard"], "is not a run store"),
    ],
)
def test_mistakes_are_a_sentence(tmp_path, capsys, args, words):
    assert logs.main([f"--workdir={tmp_path}", *args]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert re.search(words, said)


def test_a_package_that_is_missing_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(writers.PACKAGES, writers.TENSORBOARD, "no_such_package")
    args = ["--algorithm=sac", *TINY, f"--workdir={tmp_path / 'x'}", "--steps=60"]
    assert train.main([*args, "--tensorboard"]) == 2
    assert "pip install -c constraints.txt -e '.[tensorboard]'" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "x").exists()
    with pytest.raises(ConfigError):
        writers.TensorBoard(tmp_path)


# ---------------------------------------------------------------- what fails


class Failing(writers.TensorBoard):
    """Fails at one of its calls."""

    at = ""

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "at"):
            raise OSError(28, "No space left\non device")
        return super().__getattribute__(name)


@pytest.mark.parametrize("at", ["begin", "add", "flush", "close", "has"])
def test_a_sink_that_fails_is_left_out_and_said_once(tmp_path, capsys, at):
    made = {TASK: sweep.presets(["sac", "mpo"])}
    stores.build(tmp_path, "test", made, {TASK: 300}, seeds=2)
    rows = writers.rows_of(tmp_path)
    broken, whole = Failing(tmp_path / "elsewhere"), writers.TensorBoard(tmp_path)
    broken.at = at
    feed = writers.Feed(tmp_path, [broken, whole])
    first, *others = rows
    feed.begin([first])
    feed.land([first], 900, {"return": np.zeros(1)})
    feed.rest()
    feed.close()
    broken.at = ""
    broken.close()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("tensorboard failed ([Errno 28] No space left on device)")
    assert f"coadapt logs --workdir={tmp_path} --to=tensorboard" in said
    assert [*events(tmp_path, first)["return"]][-1] == (900, 0.0)
    for cell in others:
        assert len(events(tmp_path, cell)["return"]) == len(rows[cell])


def test_a_sweep_goes_on_without_its_event_files(run, tmp_path, monkeypatch, capsys):
    """Of its second program, the first file is a folder."""
    monkeypatch.setattr(report, "make", lambda *_, **__: None)
    workdir = tmp_path / "work"
    shutil.copytree(run, workdir)
    shutil.rmtree(workdir / writers.TENSORBOARD)
    (workdir / writers.TENSORBOARD).write_text("no folder")
    args = [*GRID, f"--workdir={workdir}", "--checkpoint_every=30", "--steps=120"]
    with no_training():
        assert launch_sweep.main([*args, "--tensorboard"]) == 0
    assert capsys.readouterr().err.count("tensorboard failed") == 1
    assert {max(steps) for steps in writers.rows_of(workdir).values()} == {120}
    assert logs.main([f"--workdir={workdir}", "--to=tensorboard"]) == 1
    said = capsys.readouterr().err
    assert "the same command copies it anew" in said and said.count("\n") == 1


def test_a_store_is_read_once_however_many_agents_it_has(tmp_path, monkeypatch):
    made = {TASK: sweep.presets(["sac", "mpo"])}
    stores.build(tmp_path, "test", made, {TASK: 300}, seeds=20)
    read, found = files.read, Counter()

    def counted(path):
        found[path] += 1
        return read(path)

    monkeypatch.setattr(files, "read", counted)
    assert logs.main([f"--workdir={tmp_path}", "--to=tensorboard"]) == 0
    rows = {path: number for path, number in found.items() if path.name == "rows.csv"}
    assert rows and set(rows.values()) == {1}
    assert found[tmp_path / store.MANIFEST] < 10  # and not once an agent


# ---------------------------------------------------------------- Weights & Biases


class FakeWandB:
    """What `sinks` asks of the package; `refuses` is raised at that call."""

    def __init__(self, refuses="", mode="online"):
        self.refuses, self.mode, self.runs = refuses, mode, []

    def _called(self, name):
        if name == self.refuses:
            raise RuntimeError(f"no {name},\nat all")

    def Settings(self, **_):
        self._called("Settings")

    def setup(self):
        self._called("setup")
        return SimpleNamespace(settings=SimpleNamespace(mode=self.mode))

    def login(self, *, verify):
        assert not verify  # that takes the network
        self._called("login")

    def init(self, **what):
        self._called("init")
        self.runs.append(what)
        return SimpleNamespace(step=0, log=lambda *_, **__: None, finish=lambda: None)


@pytest.fixture
def fake(monkeypatch):
    made = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", made)
    return made


def ids(fake, folder) -> set[str]:
    fake.runs.clear()
    writers.copy(folder, writers.named(writers.WANDB, folder, "team/project"))
    assert {(run["entity"], run["project"]) for run in fake.runs} == {
        ("team", "project")
    }
    return {run["id"] for run in fake.runs}


def test_ids_are_of_the_store_and_not_of_its_place(fake, tmp_path):
    """Another run in a place that had one is another, and one that was moved is it."""
    made = {TASK: sweep.presets(["sac"])}
    stores.build(tmp_path / "one", "test", made, {TASK: 300})
    first = ids(fake, tmp_path / "one")
    assert len(first) == 3 and ids(fake, tmp_path / "one") == first
    (tmp_path / "one").rename(tmp_path / "two")
    assert ids(fake, tmp_path / "two") == first
    stores.build(tmp_path / "one", "test", made, {TASK: 300})
    assert not ids(fake, tmp_path / "one") & first


@pytest.mark.parametrize("refuses", ["Settings", "setup", "login"])
@pytest.mark.parametrize("project", ["p", "/p", "p/"])
def test_what_no_run_could_have_is_refused_at_the_door(
    fake, tmp_path, capsys, refuses, project
):
    fake.refuses = refuses
    args = ["--algorithm=sac", *TINY, f"--workdir={tmp_path / 'x'}", "--steps=60"]
    assert train.main([*args, f"--wandb={project}"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert (f"no {refuses}, at all" if project == "p" else repr(project)) in said
    assert not (tmp_path / "x").exists()


def test_offline_needs_no_key(fake, tmp_path):
    fake.mode, fake.refuses = "offline", "login"
    writers.named(writers.WANDB, tmp_path, "p")


def test_a_name_of_wandb_is_refused_by_its_own_rules(tmp_path):
    pytest.importorskip("wandb")
    with pytest.raises(ConfigError, match=r"a\?b.*cannot contain"):
        writers.named(writers.WANDB, tmp_path, "team/a?b")


def test_a_network_that_is_away_ends_no_sweep(fake, tmp_path, capsys):
    """The second of three programs cannot begin; the third does not try."""
    made = {TASK: sweep.presets(["sac", "mpo", "awr"])}
    stores.build(tmp_path, "test", made, {TASK: 300}, seeds=1)
    feed = writers.Feed(tmp_path, [writers.named(writers.WANDB, tmp_path, "p")])
    for name in ("sac", "mpo", "awr"):
        feed.close()
        fake.refuses = "init" if name == "mpo" else ""
        feed.begin([Cell(TASK, name, 0)])
        feed.land([Cell(TASK, name, 0)], 400, {"return": np.zeros(1)})
    feed.close()
    (said,) = capsys.readouterr().err.splitlines()
    assert "wandb failed (no init, at all)" in said and "--to=wandb" in said
    assert [run["group"] for run in fake.runs] == ["sac"]


def test_wandb_has_a_run_of_each_agent(tmp_path, monkeypatch):
    """Offline: what would be sent is in files, which wandb's own reader reads."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    made = {TASK: sweep.presets(["sac"])}
    stores.build(tmp_path, "test", made, {TASK: 300}, seeds=1)
    for _ in range(2):
        assert logs.main([f"--workdir={tmp_path}", "--to=wandb", "--project=p"]) == 0
    (folder,) = (tmp_path / writers.WANDB).glob("offline-run-*")
    run, history, config = offline(folder)
    (values,) = writers.rows_of(tmp_path).values()
    assert history == {n: v["return"] for n, v in values.items()}
    assert (run.run_group, run.project, run.job_type) == ("sac", "p", "sac")
    assert run.display_name == f"sac/{TASK}/seed0"
    assert config["config"]["g_estimate"]["critics"] == 2


def records(path):
    """Of wandb's own file: after 7 bytes, LevelDB's log of blocks of 32 KiB.

    A record has a checksum (4 bytes), a length (2) and a kind (1: whole; 2, 3, 4: its
    first, a middle and its last part) before it.
    """
    data, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        room = 2**15 - at % 2**15
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


def offline(folder):
    """The run, step -> return, and the config, of an offline run's file.

    A process of wandb's own writes it, and on a busy machine is not always through.
    """
    proto: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    (path,) = folder.glob("*.wandb")
    run, history, found = None, {}, []
    for _ in range(100):
        found = [proto.Record.FromString(data) for data in records(path)]
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            break
        time.sleep(0.1)
    for record in found:
        if record.WhichOneof("record_type") == "run":
            run = run or record.run
        if record.WhichOneof("record_type") == "history":
            row = {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
            history[int(row["_step"])] = json.loads(row["return"])
    assert run is not None
    return run, history, {i.key: json.loads(i.value_json) for i in run.config.update}
