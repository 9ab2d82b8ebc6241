"""A run's replay becomes a data set, from which offline methods learn."""

import numpy as np
import pytest

from coadapt import envs
from coadapt.cli import train
from coadapt.data import offline
from coadapt.data.offline import writing
from coadapt.runs import store
from coadapt.sweeps import dataset, packing
from tests.recipes import cases

pytestmark = pytest.mark.usefixtures("one_device")

NETS = ["--set=networks.policy.sizes=8,8", "--set=networks.critic.sizes=8,8"]
SAC = ["--algorithm=sac", "--task=toy/lqr", "--steps=150", "--seeds=2", *NETS]
SAC += [
    "--set=data.learning_starts=100",
    "--set=data.random_steps=100",
    "--set=data.batch_size=8",
]
NAME = "lqr/sac-v0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a data set of what two agents saw."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("minari")
        patch.setenv("MINARI_DATASETS_PATH", str(place))
        flags = ["--quiet", f"--workdir={place / 'run'}", f"--save_dataset={NAME}"]
        assert train.main([*SAC, *flags]) == 0
        yield place


def test_all_that_the_agents_saw_is_in_it(folder):
    transitions = offline.read(NAME, envs.spec("toy/lqr"))
    assert transitions.reward.shape == (300,)
    assert transitions.last.sum() == 10  # episodes of 30 steps
    assert abs(transitions.action).max() <= 1


def test_an_offline_method_learns_from_it(folder, tmp_path):
    flags = ["--algorithm=brac", "--task=toy/lqr", "--steps=30", "--eval_every=10"]
    flags += [
        f"--set=data.dataset={NAME}",
        "--set=data.batch_size=8",
        "--set=pi_p.pretrain_updates=10",
    ]
    assert train.main([*flags, *NETS, "--quiet", f"--workdir={tmp_path}"]) == 0
    rows = store.read(tmp_path)
    assert set(rows.env_steps) == {10, 20, 30}  # updates
    made = rows[rows.metric == "behavior_return"].value.unique()
    expected = offline.describe(offline.read(NAME, envs.spec("toy/lqr"))).mean
    assert made == pytest.approx([expected])
    losses = rows[rows.metric == "critic_loss"].value
    assert losses.isna().tolist() == [True, False, False]  # the model alone, first


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([*SAC, f"--save_dataset={NAME}"], "exists already"),
        ([*SAC, "--save_dataset=lqr"], "'lqr-v0'"),
        ([*SAC, "--set=data=Offline", f"--set=data.dataset={NAME}",
          "--save_dataset=x-v0"], "data=Offline nothing is collected"),
        (["--algorithm=brac", "--task=toy/lqr", "--steps=9",
          "--set=data.dataset=lqr/sca-v0"], "did you mean 'lqr/sac-v0'"),
        (["--algorithm=brac", "--task=toy/chain", "--steps=9",
          f"--set=data.dataset={NAME}"], "data come from toy/lqr, but the task is toy"),
    ],
    ids=["taken", "no version", "offline", "missing", "another task"],
)  # fmt: skip
def test_a_mistake_is_a_sentence_before_anything_starts(
    folder, tmp_path, capsys, flags, words
):
    assert train.main([*flags, f"--workdir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_what_was_not_run_cannot_be_saved(folder, capsys):
    flags = [f"--workdir={folder / 'run'}", "--save_dataset=lqr/again-v0", "--quiet"]
    assert train.main([*SAC, *flags]) == 2
    assert "nothing was run" in capsys.readouterr().err


def held_by(*folders):
    """What is in them, but for what a report makes anew and who held the store."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not {"report", ".lock"} & {*path.parts}
    }


def test_the_same_command_again_finds_it_whole(folder, capsys):
    """And changes nothing; one that asks for more of that name is refused."""
    again = [*SAC, f"--workdir={folder / 'run'}", f"--save_dataset={NAME}"]
    before = held_by(folder)
    assert train.main(again) == 0
    assert capsys.readouterr().out.rstrip().endswith(", whole already")
    assert train.main([*again, "--dry_run"]) == 0
    capsys.readouterr()
    for more in (["--steps=180"], ["--seeds=3"], ["--algorithm=td3"]):
        assert train.main([*again, *more]) == 2
        error = capsys.readouterr().err
        assert "exists already" in error and error.count("\n") == 1
    assert held_by(folder) == before


def test_one_whose_numbers_are_others_is_not_taken_for_its_own(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    spec, again = envs.spec("toy/lqr"), [*SAC, f"--workdir={folder / 'run'}"]
    with monkeypatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        seen = offline.read(NAME, spec)
    offline.write(NAME, spec, [seen._replace(reward=seen.reward + 1)], about="other")
    assert train.main([*again, f"--save_dataset={NAME}"]) == 2
    assert "exists already" in capsys.readouterr().err


class Kill(BaseException):
    """The process is no more."""


def kill(*_, **__):
    raise Kill


KILLS = {
    "while it is held": (np, "savez"),
    "once it is held": (store.Attempt, "finish"),
    "before it is written": (offline, "write"),
    "while it is written": (writing, "_make_namespace"),
    "once it is there": (dataset.shutil, "rmtree"),
}


@pytest.mark.parametrize("when", cases(KILLS, ["while it is held"], pytest.mark.faults))
def test_a_run_that_was_killed_writes_it_at_the_end(folder, tmp_path, when, capsys):
    """And nothing else stays, in the workdir or in Minari's folder."""
    name = f"lqr/{when.replace(' ', '-')}-v0"
    args = [*SAC, f"--workdir={tmp_path / 'run'}", f"--save_dataset={name}"]
    rmtree = dataset.shutil.rmtree
    with pytest.MonkeyPatch.context() as patch:
        if when == "once it is there":  # others remove folders, too

            def kill_at(path, **rest):
                kill() if path.name == dataset.FOLDER else rmtree(path, **rest)

            patch.setattr(*KILLS[when], kill_at)
        else:
            patch.setattr(*KILLS[when], kill)
        with pytest.raises(Kill):
            train.main([*args, "--quiet"])
    assert train.main(args) == 0
    assert f"data set: {name}" in capsys.readouterr().out
    spec = envs.spec("toy/lqr")
    for one, other in zip(
        offline.read(name, spec), offline.read(NAME, spec), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "run" / dataset.FOLDER).exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.faults
def test_several_programs_write_one(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "number_fitting", lambda *_: 1)
    flags = ["--quiet", f"--workdir={tmp_path}", "--save_dataset=lqr/two-v0"]
    assert train.main([*SAC, *flags]) == 0
    found = offline.read("lqr/two-v0", envs.spec("toy/lqr"))
    assert found.reward.shape == (300,)


def test_one_of_that_name_that_is_anothers_is_kept(
    folder, tmp_path, monkeypatch, capsys
):
    args = [*SAC, "--quiet", f"--workdir={tmp_path / 'run'}"]
    with monkeypatch.context() as patch:
        patch.setattr(offline, "write", kill)
        with pytest.raises(Kill):
            train.main([*args, "--save_dataset=lqr/mine-v0"])
    assert train.main([*args, f"--save_dataset={NAME}"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert train.main([*args, "--save_dataset=lqr/mine-v0"]) == 0
