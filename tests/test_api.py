"""The library from Python."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
from recipes import TINY

import coadapt
from coadapt import sweep
from coadapt.moved import MOVED
from coadapt.runs import store
from tests.test_store_model import no_training

pytestmark = pytest.mark.usefixtures("one_device")


def test_importing_is_light():
    code = (
        "import sys, coadapt; heavy = {'jax', 'mujoco', 'gymnasium', 'pandas'}; "
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", coadapt.__all__)
def test_names_are_there(name):
    assert getattr(coadapt, name) is not None
    assert name in dir(coadapt)


@pytest.mark.parametrize(("name", "place"), MOVED.items())
def test_a_moved_module_is_one_module(name, place):
    module = importlib.import_module(name)
    assert module is importlib.import_module(place)
    assert module.__spec__ is not None and module.__spec__.name == place
    assert getattr(coadapt, name.removeprefix("coadapt.")) is module


def test_a_module_within_a_moved_one_is_one_module():
    by_name = importlib.import_module("coadapt.comparison.pairs")
    assert by_name is importlib.import_module("coadapt.analysis.comparison.pairs")


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="'trian'"):
        coadapt.trian  # noqa: B018


MINE = {"mine": coadapt.override(coadapt.algorithms.sac(), TINY)}
AMOUNTS = {"task": "toy/lqr", "eval_every": 30, "eval_episodes": 2}


@pytest.fixture
def untrained():
    with no_training():
        yield


def test_train_returns_tidy_rows(capsys):
    rows = coadapt.train(MINE, seeds=2, steps=60, **AMOUNTS)
    score = rows[rows.metric == "return"]
    assert set(score.variant) == {"mine"} and set(score.seed) == {0, 1}
    out, err = capsys.readouterr()
    assert not out
    first, *_, last = err.splitlines()
    assert first == "[1/1] toy/lqr, mine, 2 agents: compiling ..."
    assert last.startswith("[1/1] toy/lqr, mine, 2 agents:  60 of 60 steps  return -")


@pytest.mark.usefixtures("untrained")
def test_progress_is_silenced_or_told_to_a_function(tmp_path, capsys):
    told = []
    for progress, steps in ((None, 30), (False, 60), (told.append, 90)):
        coadapt.train(MINE, steps=steps, workdir=tmp_path, progress=progress, **AMOUNTS)
    assert capsys.readouterr() == ("", "")
    assert [event.report and event.report.steps for event in told] == [None, 30, 60, 90]
    assert told[0].origins == (sweep.Origin(begin=0, reached=60),)


@pytest.mark.usefixtures("untrained")
def test_what_is_said_of_a_start_is_what_happens(tmp_path, capsys):
    amounts = AMOUNTS | {"checkpoint_every": 60, "workdir": tmp_path}
    for steps, said in (
        (40, ""),
        (60, "starts again from env step 0: it had come to 40"),
        (90, "goes on from env step 60"),
        (90, "all 1 cells were finished"),
    ):
        rows = coadapt.train(MINE, steps=steps, **amounts)
        assert said in capsys.readouterr().err.splitlines()[0]
    # rows of before stay until new ones have passed them: the end's at 40 is no more
    assert list(rows[rows.metric == "return"].env_steps) == [30, 60, 90]


@pytest.mark.parametrize(
    ("seeds", "meant"),
    [(np.arange(2), (0, 1)), ([np.int64(3)], (3,)), (np.int64(2), (0, 1))],
)
def test_numbers_of_numpy_are_numbers(seeds, meant):
    """They reach the sweep as Python's own, which the manifest's JSON needs."""
    number = np.int64(60)
    asked = sweep.Sweep(
        experiment="e",
        variants={"toy/lqr": [coadapt.Variant("mine", "sac", MINE["mine"])]},
        seeds=seeds,
        steps={"toy/lqr": number},
        eval_every=number,
        eval_episodes=number,
        checkpoint_every=number,
    )
    sweep.validate(asked)
    assert asked.seeds == meant == sweep.seeds_of(seeds)
    numbers = [*asked.seeds, *asked.steps.values(), asked.eval_every]
    numbers += [asked.eval_episodes, asked.checkpoint_every]
    numbers += [sweep.Checkpoints(keep=np.int32(1)).keep]
    assert {type(n) for n in numbers} == {int}


def test_a_checkpoint_that_is_asked_for_is_written(tmp_path, monkeypatch):
    """As by the command, which else writes as many as take 5% of the time."""
    seen = []
    monkeypatch.setattr(
        sweep, "run", lambda *_, checkpoints, **__: seen.append(checkpoints)
    )
    monkeypatch.setattr(store, "read", lambda _: None)
    for every in (None, np.int64(7)):
        coadapt.train(
            MINE, steps=9, checkpoint_every=every, workdir=tmp_path, **AMOUNTS
        )
    assert [rules.share for rules in seen] == [0.05, float("inf")]
