"""A program that was stopped goes on, and ends as if it had not been: to the bit."""

import errno
import functools
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from coadapt import envs, learn, runner, schema, sweep
from coadapt.runs import array_files, attempts, checkpoint, files, store
from coadapt.sweep import Checkpoints, Sweep, Variant
from tests.recipes import cases, small, write_dataset

ALL = Checkpoints(keep=1, share=float("inf"))  # every snapshot is written
# what moves the data, and what it is kept in
CASES = {
    "device-replay": ("toy/lqr", small("sac", data__capacity=1000)),
    "device-full-ring": ("toy/lqr", small("awac", data__precision="bfloat16")),
    "device-rollout": ("toy/lqr", small("ppo")),
    "device-trajectories": ("toy/lqr", small("awr")),
    "device-half": ("toy/lqr", small("sac", data__precision="bfloat16")),
    "host-replay": ("gym/Pendulum-v1", small("sac")),
    "host-rollout": ("gym/CartPole-v1", small("reps", pi_theta__bins=None)),
}


def asked(task: str, config, steps: int = 400, seeds=(0, 1), **changes) -> Sweep:
    """Evaluations and checkpoints fall together and apart; updates end at neither."""
    rates = (1e-3, 2e-3)
    variants = [
        Variant(f"rate{rate}", "it", schema.override(config, {PATH: rate}))
        for rate in rates
    ]
    return Sweep(
        experiment="test",
        variants={task: changes.pop("variants", variants)},
        seeds=seeds,
        steps=steps,
        **{"eval_every": 150, "eval_episodes": 2, "checkpoint_every": 100} | changes,
    )


PATH = "optim.policy.rate"


def stop_after(number: int) -> Callable[[], bool]:
    """Says yes when it is asked at checkpoint `number` and later."""
    asked = iter(range(10**6))
    # a program asks when it begins, and then once at each checkpoint
    return lambda: next(asked) >= number


def interrupted(work: Sweep, folder: Path, number: int) -> int:
    """Runs until checkpoint `number`; returns its env steps."""
    with pytest.raises(runner.Interrupted) as stopped:
        sweep.run(work, folder, checkpoints=ALL, stop=stop_after(number))
    return stopped.value.steps


def arrays(
    work: Sweep, folder: Path, steps: int | None = None
) -> dict[str, np.ndarray]:
    """All that the newest snapshots hold, by the names of cells and arrays."""
    found = {}
    for record in checkpoint.records(folder):
        cell = record.cells[0]
        variants = {v.name: v for v in work.variants[cell.task]}
        config, spec = variants[cell.variant].config, envs.spec(cell.task)
        snapshot = checkpoint.read(
            record,
            steps or record.steps()[-1],
            runner.shapes(config, spec, work.steps),
            range(len(record.cells)),
            runner.store_size(config, spec, work.steps),
        )
        leaves, _ = jax.tree.flatten_with_path((snapshot.learner, snapshot.metrics))
        for path, leaf in leaves:
            found[f"{record.folder.name}{jax.tree_util.keystr(path)}"] = leaf
    return found


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """To the bit: the same programs with the same numbers ran on the same machine."""
    assert one.keys() == other.keys() and len(one) > 20
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def rows(folder: Path) -> bytes:
    return (folder / store.RESULTS).read_bytes()


class Whole(NamedTuple):
    """A sweep that nothing interrupted, and what it left. To be read, or copied."""

    work: Sweep
    folder: Path
    arrays: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The whole of a case, which is run once."""

    @functools.cache
    def run(case: str) -> Whole:
        work, folder = asked(*CASES[case]), tmp_path_factory.mktemp("whole") / "run"
        assert sweep.run(work, folder, checkpoints=ALL) == 4
        return Whole(work, folder, arrays(work, folder))

    return run


# what they would show, others do: a replay that is full and in half the bits, episodes
# of the host
ALIKE = ["device-replay", "device-trajectories", "device-half", "host-rollout"]


@pytest.fixture(params=cases(CASES, ALIKE))
def whole(request, uninterrupted):
    return uninterrupted(request.param)


# before the first evaluation, and with one; a usual run has one of both of each case
STOPS = [(case, number) for case in CASES for number in (1, 3)]
ALSO = [
    (case, number)
    for case, number in STOPS
    if case in ALIKE or (number == 1) != (case == "device-full-ring")
]


@pytest.mark.parametrize("stop", cases(STOPS, ALSO), ids=str)
def test_stopped_and_resumed_is_not_stopped(uninterrupted, stop, tmp_path):
    work, folder, held = uninterrupted(stop[0])
    number = stop[1]
    assert interrupted(work, tmp_path, number) == 100 * number
    sweep.run(work, tmp_path, checkpoints=ALL)
    assert rows(tmp_path) == rows(folder)
    assert_equal(arrays(work, tmp_path), held)


def test_what_is_written_changes_nothing(whole, tmp_path):
    work, folder, _ = whole
    sweep.run(work, tmp_path, checkpoints=None)
    assert rows(tmp_path) == rows(folder)
    assert not any(record.steps() for record in checkpoint.records(tmp_path))


def test_more_steps_go_on_from_the_end(whole, tmp_path):
    work, folder, held = whole
    short = asked_again(work, steps=250)  # 200 is a checkpoint, 250 an evaluation
    sweep.run(short, tmp_path, checkpoints=ALL)
    before = rows(tmp_path).splitlines()
    sweep.run(work, tmp_path, checkpoints=ALL)
    after = rows(tmp_path).splitlines()
    assert set(before) <= set(after) and len(after) == len(set(after))
    # the evaluation at 250 is of the shorter run alone
    assert [row for row in after if b",250," not in row] == rows(folder).splitlines()
    assert_equal(arrays(work, tmp_path), held)


def asked_again(work: Sweep, **changes) -> Sweep:
    fields = {name: getattr(work, name) for name in work.__dataclass_fields__}
    return Sweep(**(fields | changes))


# ---------------------------------------------------------------- extensions


@pytest.fixture(scope="module")
def lqr() -> Sweep:
    return asked(*CASES["device-replay"])


@pytest.fixture(scope="module")
def end(uninterrupted) -> Whole:
    """What `lqr` came to."""
    return uninterrupted("device-replay")


@pytest.fixture(scope="module")
def begun(lqr, tmp_path_factory):
    """Copies `lqr`, stopped at a checkpoint, to a folder that is not there."""

    @functools.cache
    def run(number: int, keep: int) -> Path:
        folder = tmp_path_factory.mktemp("begun") / "run"
        rules = Checkpoints(keep=keep, share=float("inf"))
        with pytest.raises(runner.Interrupted):
            sweep.run(lqr, folder, checkpoints=rules, stop=stop_after(number))
        return folder

    def copy(folder: Path, number: int, keep: int = 1) -> Path:
        return shutil.copytree(run(number, keep), folder)

    return copy


def test_more_seeds_and_variants_leave_what_is_there(lqr, tmp_path):
    (task, variants), *_ = lqr.variants.items()
    first = asked_again(lqr, variants={task: variants[:1]}, seeds=(0,))
    interrupted(first, tmp_path, 2)
    sweep.run(lqr, tmp_path, checkpoints=ALL)  # the first program is still its own
    alone = tmp_path / "alone"
    sweep.run(first, alone, checkpoints=ALL)
    theirs = [
        line for line in rows(tmp_path).splitlines() if b"rate0.001,toy/lqr,0" in line
    ]
    assert theirs == rows(alone).splitlines()[1:]
    assert sorted(len(r.cells) for r in checkpoint.records(tmp_path)) == [1, 3]


def test_a_part_of_a_program_goes_on_without_the_others(lqr, tmp_path):
    interrupted(lqr, tmp_path, 2)
    (task, variants), *_ = lqr.variants.items()
    part = asked_again(lqr, variants={task: variants[:1]}, seeds=(1,))
    told = []
    sweep.run(part, tmp_path, told.append, checkpoints=ALL)
    assert [t.report.steps for t in told if t.report] == [300, 400]
    sweep.run(lqr, tmp_path, checkpoints=ALL)  # and the others go on from theirs
    frame = store.read(tmp_path)
    assert len(frame[frame.metric == "return"]) == 4 * 3  # agents x evaluations


def test_finished_cells_are_not_run_again(lqr, end, tmp_path):
    work = shutil.copytree(end.folder, tmp_path / "work")
    before = everything(work)
    assert sweep.run(lqr, work) == 0
    assert everything(work) == before


@pytest.mark.parametrize("part", cases([False, True], [False]), ids=["all", "a part"])
def test_fewer_steps_in_between_lose_no_row(lqr, end, begun, part, tmp_path):
    """The snapshot beyond them stays, and so does what led to it."""
    (task, variants), *_ = lqr.variants.items()
    fewer = asked_again(lqr, steps=160)  # 150 is an evaluation, and 160 of its own
    if part:
        fewer = asked_again(fewer, variants={task: variants[:1]}, seeds=(1,))
    work = begun(tmp_path / "work", 3)
    sweep.run(fewer, work, checkpoints=ALL)
    sweep.run(lqr, work, checkpoints=ALL)
    there = [row for row in rows(work).splitlines() if b",160," not in row]
    assert there == rows(end.folder).splitlines()
    assert set(store.finished(work, sweep.header(lqr)).values()) == {400}


# ---------------------------------------------------------------- what stays


@pytest.mark.parametrize(
    "keep, steps, left",
    [
        (1, 400, [400]),
        pytest.param(2, 400, [300, 400], marks=pytest.mark.long),
        # the end alone has no replay
        pytest.param(1, 350, [300, 350], marks=pytest.mark.long),
        (2, 350, [200, 300, 350]),
        # all that there are
        pytest.param(4, 400, [100, 200, 300, 400], marks=pytest.mark.long),
        pytest.param(0, 400, [400], marks=pytest.mark.long),
        (0, 350, [350]),
    ],
)
def test_old_snapshots_go(keep, steps, left, tmp_path):
    work = asked(*CASES["device-full-ring"], steps=steps)  # one program, of each length
    sweep.run(work, tmp_path, checkpoints=Checkpoints(keep=keep, share=float("inf")))
    (record,) = checkpoint.records(tmp_path)
    assert record.steps() == left
    said = checkpoint.about(record, steps)
    assert said["goes_on"] == (bool(keep) and steps == 400)


def test_writing_takes_its_share_of_the_time_and_no_more(lqr, tmp_path):
    """With a share of nothing, only the end is written."""
    never = Checkpoints(keep=9, share=0.0)
    sweep.run(lqr, tmp_path, checkpoints=never)
    (record,) = checkpoint.records(tmp_path)
    # the first costs nothing as far as is known, and the end is always written
    assert record.steps() == [100, 400]


def test_a_snapshot_is_the_run(lqr, tmp_path):
    """What is written is what the loop had, with the data that it learned from."""
    seen = []
    (task, variants), *_ = lqr.variants.items()
    configs = [v.config for v in variants for _ in lqr.seeds]
    last = runner.train(
        configs, [0, 1, 0, 1], task, steps=400, eval_every=150, checkpoint_every=100,
        save=lambda s: seen.append(int(s.clock.steps)),
    )  # fmt: skip
    assert seen == [100, 200, 300, 400]
    assert int(last.clock.updates) == 400 - 64 + 1
    assert last.learner.store.count.tolist() == [400] * 4
    ends = np.flatnonzero(np.asarray(last.learner.store.last[0]))
    # episodes of 30 steps, cut at every checkpoint but the last: 100 = 3 * 30 + 10
    assert np.diff(np.r_[-1, ends]).tolist() == [30, 30, 30, 10] * 3 + [30] * 3


# ---------------------------------------------------------------- damage


def damage(record: checkpoint.Record, steps: int, how: str) -> None:
    folder = record.at(steps)
    data = max(folder.rglob("d/*"), key=lambda p: p.stat().st_size)
    if how == "flipped":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    if how == "truncated":
        data.write_bytes(data.read_bytes()[:100])
    if how == "missing":
        data.unlink()
    if how == "about":
        text = (folder / "about.json").read_text()
        (folder / "about.json").write_text(text.replace('"updates": 2', '"updates": 3'))
        assert text != (folder / "about.json").read_text()
    if how == "torn":
        text = (folder / "about.json").read_text()
        (folder / "about.json").write_text(text[: len(text) // 2])


HOWS = ["flipped", "truncated", "missing", "about", "torn"]
DAMAGES = [(keep, how) for keep in (1, 2) for how in HOWS]
# how it is damaged makes no difference to what follows: a usual run reads all of them,
# and goes on from one with another and one without
ALIKE_DAMAGES = [case for case in DAMAGES if case not in [(1, "flipped"), (2, "torn")]]


@pytest.mark.parametrize("how", HOWS)
def test_damage_is_found(lqr, begun, how, tmp_path):
    work = begun(tmp_path / "work", 3)
    (record,) = checkpoint.records(work)
    arrays(lqr, work, 300)  # it can be read
    damage(record, 300, how)
    with pytest.raises(checkpoint.DamagedError, match="cannot be read"):
        arrays(lqr, work, 300)


@pytest.mark.parametrize("case", cases(DAMAGES, ALIKE_DAMAGES), ids=str)
def test_a_damaged_snapshot_is_set_aside(lqr, end, begun, case, tmp_path, caplog):
    """With another one the run goes on from there, without from its start."""
    keep, how = case
    work = begun(tmp_path / "work", 3, keep)
    rules = Checkpoints(keep=keep, share=float("inf"))
    (record,) = checkpoint.records(work)
    damage(record, 300, how)
    steps = []
    with caplog.at_level(logging.WARNING):
        sweep.run(
            lqr, work, lambda p: steps.append(p.report and p.report.steps),
            checkpoints=rules,
        )  # fmt: skip
    (said,) = [r.message for r in caplog.records if r.name == "coadapt.runs.checkpoint"]
    assert "/300" in said and "cannot be read" in said and "\n" not in said
    assert "300.damaged" in said
    assert steps == ([None, 300, 400] if keep == 2 else [None, 150, 300, 400])
    (aside,) = record.folder.glob("*/300.damaged")
    assert aside.is_dir()
    assert rows(work) == rows(end.folder)
    assert_equal(arrays(lqr, work), end.arrays)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


ERRORS = {
    "memory": MemoryError(),
    "device": RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
    "disk": OSError(errno.EIO, "Input/output error"),
    "permission": PermissionError(errno.EACCES, "Permission denied"),
    "dtype": None,
}


@pytest.mark.parametrize("why", ERRORS)
def test_what_cannot_be_read_is_no_damage(lqr, end, why, tmp_path, monkeypatch):
    """More steps of a finished run, here and now impossible: all is left as it is."""
    work = shutil.copytree(end.folder, tmp_path / "work")
    before, read = everything(work), array_files.read

    def arrays(*args, **how):
        if ERRORS[why] is not None:
            raise ERRORS[why]
        return {name: np.asarray(x, np.float64) for name, x in read(*args).items()}

    monkeypatch.setattr(array_files, "read", arrays)
    with pytest.raises(store.StoreError, match="nothing was changed") as caught:
        sweep.run(asked_again(lqr, steps=800), work, checkpoints=ALL)
    assert not isinstance(caught.value, checkpoint.DamagedError)
    assert "\n" not in str(caught.value)
    assert everything(work) == before


def test_older_snapshots_stay_until_the_new_one_was_opened(lqr, tmp_path, monkeypatch):
    read = array_files.read

    def arrays(folder, *args, **how):
        if folder.name == "300":
            raise ValueError("no such file")
        return read(folder, *args, **how)

    monkeypatch.setattr(array_files, "read", arrays)
    with pytest.raises(store.StoreError, match="no such file"):
        sweep.run(lqr, tmp_path, checkpoints=ALL)
    (record,) = checkpoint.records(tmp_path)
    assert record.steps() == [200]


def test_snapshots_that_are_gone_take_no_rows_with_them(uninterrupted, tmp_path):
    """With more steps it starts anew, and the old rows are there until it passed."""
    end = uninterrupted("device-full-ring")
    work = shutil.copytree(end.folder, tmp_path / "work")
    (record,) = checkpoint.records(work)
    shutil.rmtree(record.at(400))
    longer = asked_again(end.work, steps=500)
    seen = []

    def tell(event):
        if event.report:
            seen.append((event.report.steps, store.read(work).env_steps.max()))
        if event.report and event.report.steps == 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(longer, work, tell, checkpoints=None)
    assert seen == [(150, 400), (300, 400)]
    assert rows(work) == rows(end.folder)
    assert set(store.finished(work, sweep.header(end.work)).values()) == {400}


def test_another_number_of_devices_is_refused(lqr, begun, tmp_path):
    work = begun(tmp_path / "work", 1)
    (record,) = checkpoint.records(work)
    path = record.folder / checkpoint.PROGRAM
    data = files.unsealed(path)
    assert data["devices"] == 2
    path.write_text(files.sealed({**data, "devices": 1}))
    (home,) = record.attempts()
    made = files.unsealed(home / attempts.ATTEMPT)
    assert made.pop("devices") == 2  # of which an older version says nothing
    (home / attempts.ATTEMPT).write_text(files.sealed(made))
    before = everything(work)
    with pytest.raises(schema.ConfigError, match="JAX_NUM_CPU_DEVICES=1"):
        sweep.run(lqr, work)
    assert everything(work) == before
    assert store.devices(work) == 2


def test_another_version_is_refused(lqr, begun, tmp_path, monkeypatch):
    work = begun(tmp_path / "work", 1)
    before = everything(work)
    monkeypatch.setattr(checkpoint, "__version__", "9.9.9")
    with pytest.raises(
        checkpoint.OtherError, match=r"of coadapt .*and this is 9\.9\.9"
    ):
        sweep.run(lqr, work)
    assert everything(work) == before


def test_another_config_is_refused(lqr, begun, tmp_path):
    work = begun(tmp_path / "work", 1)
    (record,) = checkpoint.records(work)
    path = record.folder / checkpoint.PROGRAM
    data = files.unsealed(path)
    data["fingerprints"][0] = "0" * 16
    path.write_text(files.sealed(data))
    before = everything(work)
    with pytest.raises(checkpoint.OtherError, match="choose another workdir"):
        sweep.run(lqr, work)
    assert everything(work) == before


def test_what_cannot_be_made_or_moved_is_a_sentence(tmp_path):
    folder, cell = tmp_path / "program", store.Cell("toy/lqr", "sac", 0)
    (tmp_path / "file").write_text("mine")
    (folder / "9").mkdir(parents=True)
    (folder / "9.damaged").write_text("mine")
    record = checkpoint.Record(folder, (cell,), ("beef",))
    lost = checkpoint.DamagedError("It is lost.")
    for attempt in (
        lambda: files.make(tmp_path / "file" / "a"),
        lambda: checkpoint.set_aside(record, 9, lost),
    ):
        with pytest.raises(store.StoreError, match="cannot be written") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_what_a_kill_left_half_written_goes(lqr, begun, tmp_path):
    work = begun(tmp_path / "work", 1)
    (record,) = checkpoint.records(work)
    half = record.attempts()[0] / "200.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "something").write_text("")
    sweep.run(lqr, work, checkpoints=ALL)
    assert record.steps() == [400] and not half.exists()


# ---------------------------------------------------------------- offline


def test_offline_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    write_dataset("lqr/test-v0", 0.7, 0.3, 20)
    config = small("brac", data__dataset="lqr/test-v0")
    work = asked("toy/lqr", config)
    sweep.run(work, tmp_path / "whole", checkpoints=ALL)
    interrupted(work, tmp_path / "work", 2)
    sweep.run(work, tmp_path / "work", checkpoints=ALL)
    assert rows(tmp_path / "work") == rows(tmp_path / "whole")
    one, other = (arrays(work, tmp_path / name) for name in ("work", "whole"))
    assert not any("store" in name for name in one)  # the data set is not ours to keep
    assert_equal(one, other)


def test_names_of_tensors_follow_the_order_of_an_update():
    config, spec = CASES["device-replay"][1], envs.spec("toy/lqr")
    names = learn.tensors(runner.shapes(config, spec, 100).agent)
    assert names[:4] == ["action", "reward", "next_obs", "obs"]
    parts = list(dict.fromkeys(name.split(".")[0] for name in names[4:]))
    assert parts == ["critic", "policy", "dual", "evaluation_return"]
