"""Run stores that were made apart become one, or are refused.

The training is the number of test_store_model; a kill comes at each step of the disk.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

import coadapt
from coadapt import sweep
from coadapt.cli import merge as command
from coadapt.runs import attempts, files, leases, manifest, store
from coadapt.runs import merge as merging
from coadapt.runs.files import StoreError
from coadapt.runs.merge import Merged, merge
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints
from tests import test_store_model
from tests.test_store_model import TASK, Kill, state
from tests.test_work import asked, planned, rows
from tests.test_work import run as run_unit

ALWAYS = Checkpoints(share=float("inf"))


@pytest.fixture
def disk():
    found = test_store_model.Disk(lambda: None)
    with test_store_model.stubs(found):
        yield found


@pytest.fixture
def parts(disk, tmp_path) -> list[Path]:
    """A variant and a seed each, of which the second was made elsewhere."""
    run(tmp_path / "a", variants=("one",), seeds=(0, 1))
    here = manifest.provenance.here()
    with pytest.MonkeyPatch.context() as patch:
        there = here | {"host": "far"}
        patch.setattr(manifest.provenance, "here", lambda: there)
        run(tmp_path / "b", variants=("one", "other"), seeds=(2,))
    return [tmp_path / "a", tmp_path / "b"]


def run(folder: Path, stop: int = 10**6, steps: int = 60, **which) -> None:
    calls = iter(range(10**6))
    try:
        sweep.run(
            asked(steps, **which), folder, checkpoints=ALWAYS,
            stop=lambda: next(calls) >= stop,
        )  # fmt: skip
    except coadapt.runner.Interrupted:
        assert stop < 10**6


def contents(*folders: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_all_is_there_and_nothing_else_is_touched(parts, tmp_path):
    before = contents(*parts)
    assert merge(parts, tmp_path / "c") == Merged(3, 3)
    assert contents(*parts) == before
    found = store.read(tmp_path / "c")
    assert rows(tmp_path / "c") == sorted(rows(parts[0]) + rows(parts[1]), key=str)
    hosts = {s["id"]: s["host"] for s in manifest.sessions(tmp_path / "c")}
    assert {hosts[id] == "far" for id in found[found.seed == 2].session} == {True}
    assert {hosts[id] == "far" for id in found[found.seed < 2].session} == {False}
    header = store.load(tmp_path / "c")
    assert len(header.cells()) == 4  # 'other' was asked for with seed 2 alone
    assert {*store.finished(tmp_path / "c", header).values()} == {60}
    agent = coadapt.load(tmp_path / "c", task=TASK, variant="other", seed=2)
    assert agent.state["state"] == state(2, 60)
    assert (tmp_path / "c" / "results.csv").read_text().count("\n") == 1 + len(found)


def test_once_more_changes_nothing_and_what_is_new_is_brought(parts, tmp_path):
    into = tmp_path / "c"
    merge(parts, into)
    before = contents(into / attempts.PROGRAMS)
    assert merge([*parts, *parts], into).copied == 0
    assert contents(into / attempts.PROGRAMS) == before
    run(parts[0], steps=80, variants=("one",), seeds=(0, 1))
    assert merge(parts, into).copied == 1
    found = store.read(into)
    last = found[(found.seed < 2) & (found.metric == "return")]
    assert last[last.env_steps == 80].value.tolist() == [state(0, 80), state(1, 80)]


def test_a_sweep_goes_on_with_what_was_merged(disk, tmp_path):
    """One of the two was stopped: the sweep of both has nothing to begin anew."""
    run(tmp_path / "a", variants=("one",))
    run(tmp_path / "b", stop=2, variants=("other",))
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    begun = []
    sweep.run(asked(), tmp_path / "c", begun.append, checkpoints=ALWAYS)
    origins = [event.origins[0].begin for event in begun if event.report is None]
    assert origins == [40]
    run(tmp_path / "whole")
    assert rows(tmp_path / "c") == rows(tmp_path / "whole")


def test_a_program_that_two_stores_went_on_with_is_taken_where_it_is_further(
    disk, tmp_path
):
    run(tmp_path / "a", stop=1, variants=("one",))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    run(tmp_path / "b", variants=("one",))
    merge([tmp_path / "b", tmp_path / "a"], tmp_path / "c")
    assert rows(tmp_path / "c") == rows(tmp_path / "b")
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "d")
    assert rows(tmp_path / "d") == rows(tmp_path / "b")


def test_a_kill_at_any_step_leaves_what_a_repeat_completes(parts, disk, tmp_path):
    into, whole = tmp_path / "c", tmp_path / "whole"
    merge(parts, whole)
    seen, number = set(), 0
    while True:
        number += 1
        disk.how, disk.left, disk.dead = "kill", number, False
        folder = tmp_path / f"c{number}"
        try:
            merge(parts, folder)
        except Kill:
            pass
        else:
            break
        finally:
            disk.__init__(disk.look)
        if (folder / manifest.MANIFEST).exists():  # what is there can be read
            there = {tuple(row) for row in rows(folder)}
            assert there <= {tuple(row) for row in rows(whole)}
            seen.add(len(there))
        merge(parts, folder)
        assert rows(folder) == rows(whole)
        names = [path.name for path in folder.glob("programs/*/*")]
        assert not [name for name in names if name.endswith(".copy")]
    assert number > 20 and len(seen) == 4  # after none, one, two and three attempts
    assert not into.exists()


def test_what_came_into_the_folder_meanwhile_stays(parts, tmp_path, monkeypatch):
    into, real = tmp_path / "c", merging._refuse_contradiction

    def refuse(*both):
        if not into.exists():
            run(into, variants=("other",), seeds=(5,))
        real(*both)

    monkeypatch.setattr(merging, "_refuse_contradiction", refuse)
    merge(parts, into)
    header = store.load(into)
    assert header is not None and len(header.cells()) == 5
    assert {*store.finished(into, header)} == {*header.cells()}


def test_rows_of_a_session_that_was_lost_are_of_no_other(disk, tmp_path):
    folder, into = tmp_path / "a", tmp_path / "c"
    (unit,) = planned(folder, asked(variants=("one",)))
    run_unit(folder, unit)
    (folder / manifest.SESSIONS / "1.json").write_text("x")
    run(into, variants=("other",))
    merge([folder], into)
    found = store.read(into)
    assert set(found[found.variant == "one"].session) == {""}
    run(folder, variants=("other",))  # and its number is not given again
    assert set(store.read(folder).session) == {"1", "2"}


# ---------------------------------------------------------------- refused


def other_value(folder: Path) -> None:
    """Seed 0 of another machine: the last bit of a return differs."""
    with pytest.MonkeyPatch.context() as patch:
        real = test_store_model.Report
        patch.setattr(
            test_store_model, "Report",
            lambda done, values, *rest: real(
                done, values | {"return": values["return"] + 1e-9}, *rest
            ),
        )  # fmt: skip
        run(folder, variants=("one",), seeds=(0,))


def damaged(folder: Path) -> None:
    run(folder, variants=("other",), seeds=(3,))
    (path,) = folder.rglob("arrays.npz")
    path.write_bytes(b"x")


def torn(folder: Path) -> None:
    run(folder, variants=("other",), seeds=(3,))
    (path,) = folder.glob("programs/*/0001/rows.csv")
    path.write_text(path.read_text().replace("60", "61"))


def running(folder: Path) -> None:
    run(folder, variants=("other",), seeds=(3,))
    (program,) = attempts.programs(folder)
    lease = leases.take(program.folder)
    lease._over.set()
    files.replace(lease.attempt / attempts.ATTEMPT, files.sealed({"session": "1"}))
    for name in (attempts.ROWS, attempts.FAILURES):
        files.replace(
            lease.attempt / name, (program.folder / "0001" / name).read_text()
        )


def another(**other):
    def make(folder: Path) -> None:
        usual = asked(variants=("other",))
        sweep.run(dataclasses.replace(usual, **other), folder)

    return make


def other_unit(folder: Path) -> None:
    run(folder, variants=("other",), seeds=(3,))
    with_unit(folder, random=0.5)


def with_unit(folder: Path, **unit: float) -> None:
    data = manifest.read(folder)
    data.pop("checksum", None)
    data["units"][TASK] |= unit
    files.replace(folder / manifest.MANIFEST, files.sealed(data))


@pytest.mark.parametrize(
    "make, error, words",
    [
        (other_value, ConfigError, "seed 0, has return .* report them separately"),
        (another(eval_every=20), ConfigError, "its eval_every is 10, not 20"),
        (another(experiment="else"), ConfigError, "its experiment is 'model'"),
        (other_unit, ConfigError, "the unit of toy/lqr differs"),
        (damaged, StoreError, "arrays.npz is not what was written"),
        (torn, StoreError, "rows.csv.* is not what was written"),
        (running, StoreError, "is run by process .* merge when that has ended"),
        (lambda folder: folder.mkdir(), ConfigError, "is not a run store"),
    ],
)
def test_what_contradicts_is_refused_before_anything_is_written(
    make, error, words, disk, tmp_path
):
    run(tmp_path / "a", variants=("one",), seeds=(0, 1))
    make(tmp_path / "b")
    for order in (["a", "b"], ["b", "a"])[: 1 if "its " in words else 2]:
        with pytest.raises(error, match=words) as said:
            merge([tmp_path / name for name in order], tmp_path / "c")
        assert "\n" not in str(said.value) and not (tmp_path / "c").exists()


def test_a_random_policy_that_was_measured_twice_is_one_unit(disk, tmp_path):
    for name, random in (("one", -3.0), ("other", -3.5)):
        run(tmp_path / name, variants=(name,))
        with_unit(tmp_path / name, random=random, error=0.2)
    merge([tmp_path / "one", tmp_path / "other"], tmp_path / "all")
    found = manifest.load(tmp_path / "all")
    assert found is not None and found.units[TASK].random == -3.0


def test_protocols_that_differ_are_a_deviation_and_none_is_lost(disk, tmp_path):
    plans = {"a": {"rule": "r", "margin": 0.1}, "b": {"rule": "r", "margin": 0.2}}
    for seed, name in enumerate("abc"):
        usual = asked(variants=("one",), seeds=(seed,))
        plan = plans.get(name, {})
        sweep.run(dataclasses.replace(usual, protocol=plan), tmp_path / name)
    folders = [tmp_path / name for name in "abc"]
    for _ in range(2):  # the second time, nothing is new
        merge(folders, tmp_path / "all")
        found = manifest.load(tmp_path / "all")
        assert found is not None and found.protocol == plans["a"]
        assert [each["changed"] for each in found.deviations] == [
            {"margin": [0.1, 0.2]},
            {"protocol": ["followed", "runs without it"]},
        ]
    merge([folders[0]], tmp_path / "again")
    merge([tmp_path / "all"], tmp_path / "again")  # theirs are kept
    again = manifest.load(tmp_path / "again")
    assert again is not None and again.deviations == found.deviations


def test_a_folder_is_not_merged_into_itself(parts):
    with pytest.raises(ConfigError, match="must be another folder"):
        merge(parts, parts[0])


def test_the_command_takes_folders_as_words(parts, tmp_path, capsys):
    into = tmp_path / "c"
    assert command.main([*map(str, parts), "--into", str(into)]) == 0
    assert capsys.readouterr().out == f"{into}: 3 programs; attempts copied: 3\n"
    assert command.main([f"--store={parts[0]}", str(parts[1]), f"--into={into}"]) == 0
    assert command.main([str(parts[0])]) == 2
    assert "--into is missing" in capsys.readouterr().err


def test_what_was_given_up_is_given_up_there_too(disk, tmp_path):
    run(tmp_path / "a", stop=1, variants=("one",))
    (program,) = attempts.programs(tmp_path / "a")
    attempts.give_up(program.folder, "no memory", 20)
    merge([tmp_path / "a"], tmp_path / "c")
    assert set(store.failures(tmp_path / "c").cause) == {"no memory"}
    (there,) = attempts.programs(tmp_path / "c")
    said = json.loads((there.folder / "0001" / leases.LEASE).read_text())
    assert said["ended"] == leases.STOPPED
