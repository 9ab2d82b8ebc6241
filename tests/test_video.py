"""Films of saved agents show the episodes of their evaluations."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recipes import small

import coadapt
from coadapt import envs, sweep, video
from coadapt.cli import render
from coadapt.rng import Purpose, host_seeds
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep, Variant

GYM, DMC, TOY = "gym/InvertedPendulum-v5", "dmc/cartpole_swingup", "toy/lqr"
SHORT = "gym/Reacher-v5"  # 50 steps
EPISODES = 2
# an update is not needed, so none is compiled
PLAIN = small(
    "ppo",
    networks__policy__sizes=(8,),
    networks__critic__sizes=(8,),
    data__update_every=5000,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Agents as they begin."""
    workdir = tmp_path_factory.mktemp("run") / "work"
    asked = Sweep(
        experiment="test",
        variants={task: (Variant("ppo", "ppo", PLAIN),) for task in (GYM, SHORT)},
        seeds=(0,),
        steps=2,
        eval_every=2,
        eval_episodes=EPISODES,
    )
    sweep.run(asked, workdir)
    return workdir


def has_dmc() -> bool:
    try:
        return bool(envs.spec(DMC))
    except ValueError:
        return False


def drawn_by() -> str | None:
    try:
        return video.choose_gl()
    except ConfigError:
        return None


@pytest.fixture
def gl(monkeypatch):
    """Where something draws; the environment is put back."""
    monkeypatch.setenv(video.GL, os.environ.get(video.GL, ""))
    found = drawn_by()
    if not found:
        pytest.skip("neither EGL nor OSMesa works here, so nothing can be drawn")
    return found


def blind(task: str) -> video.Stage:
    """A stage without a camera: the environment of an evaluation, alone."""
    env = envs.make(task, 1)
    assert isinstance(env, envs.HostEnv)
    return video.Stage(env, lambda: np.zeros((2, 2, 3), np.uint8), 30.0)


def test_an_episode_is_that_of_the_evaluation(run):
    """Both episodes of the last evaluation: their mean is the row of the store."""
    agent, frames = coadapt.load(run, variant="ppo", seed=0, task=GYM), []
    stage = blind(GYM)
    found = [
        video.perform(agent, stage, show=frames.append, episode=i)
        for i in range(EPISODES)
    ]
    rows = store.read(run)
    row = rows[(rows.task == GYM) & (rows.metric == "return")].value.item()
    # programs of one agent and of many round differently; episodes are short
    np.testing.assert_allclose(np.mean([e.total for e in found]), row, rtol=1e-3)
    assert len(frames) == sum(e.steps for e in found)
    # a pole that nobody balances falls long before 1000 steps
    assert [e.end for e in found] == ["termination"] * EPISODES


def test_a_time_limit_is_named(run):
    agent = coadapt.load(run, variant="ppo", seed=0, task=SHORT)
    found = video.perform(agent, blind(SHORT), show=lambda frame: None)
    assert (found.end, found.steps) == ("time limit", 50)


def compare(task: str) -> None:
    """The stage, which is drawn, gives what the evaluation's environment gives."""
    (seed,), rng = host_seeds(0, Purpose.MEASURE, 0, 1), np.random.default_rng(0)
    plain = blind(task).env
    with video.open_stage(task, (64, 48)) as stage:
        np.testing.assert_array_equal(stage.env.reset([seed]), plain.reset([seed]))
        first = stage.shoot()
        assert first.shape == (48, 64, 3) and first.dtype == np.uint8
        assert first.std() > 0
        for _ in range(8):
            action = rng.uniform(-1, 1, (1, plain.spec.action_size)).astype(np.float32)
            one, two = stage.env.step(action), plain.step(action)
            for name in ("obs", "reward", "discount", "last", "next_obs"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert (stage.shoot() != first).any()


def test_frames_and_observations_are_of_one_episode(gl):
    """In a process of its own: dm_control draws with what it found when imported."""
    tasks = [GYM, *[DMC] * has_dmc()]
    code = f"import test_video; [test_video.compare(task) for task in {tasks}]"
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{here.parent}:{here}", video.GL: gl},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_dm_control_that_was_imported_too_early_is_a_sentence(monkeypatch):
    if not has_dmc():
        pytest.skip("dm_control is not installed")
    monkeypatch.setenv(video.GL, "another")
    with (
        pytest.raises(ConfigError, match="was imported before MUJOCO_GL"),
        video.open_stage(DMC, (64, 48)),
    ):
        pass


def test_a_film_is_written(run, gl, tmp_path, capsys):
    """As a command: frames that a reader of films reads, and what happened."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    out = tmp_path / "film.mp4"
    args = [f"--workdir={run}", "--variant=ppo", "--seed=0", f"--task={GYM}"]
    assert render.main([*args, f"--out={out}", "--size=64x48", "--episodes=2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("episode 0: return ")
    assert said[0].endswith("ended by termination")
    assert said[2] == f"written: {out}"
    read = [ffmpeg, "-i", out, "-map", "0:v:0", "-c", "copy", "-f", "null", "-"]
    found = subprocess.run(read, capture_output=True, text=True, check=True).stderr
    steps = [int(line.split(", ")[1].split()[0]) for line in said[:2]]
    assert int(re.findall(r"frame= *(\d+)", found)[-1]) == sum(steps)
    assert ", 64x48" in found


def test_a_gif_has_the_frames(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("imageio_ffmpeg")
    out, frames = tmp_path / "a.gif", np.zeros((3, 8, 16, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 4 * i : 4 * i + 4] = 255
    with video.writer(out, (16, 8), 10) as show:
        for frame in frames:
            show(frame)
    with image.open(out) as read:
        assert (read.n_frames, read.size, read.info["duration"]) == (3, (16, 8), 100)


def test_a_film_that_cannot_be_written_is_an_error(tmp_path, capfd):
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "a.mp4").mkdir()
    frame = np.zeros((16, 16, 3), np.uint8)
    with (
        pytest.raises(OSError, match="could not write") as caught,
        video.writer(tmp_path / "a.mp4", (16, 16), 10) as show,
    ):
        for _ in range(2000):  # more than a pipe holds
            show(frame)
    assert not isinstance(caught.value, BrokenPipeError)
    assert "a.mp4" in capfd.readouterr().err


def test_where_nothing_draws_the_sentence_says_what_to_install(
    run, monkeypatch, capsys
):
    monkeypatch.setattr(video, "_draws", lambda name: False)
    monkeypatch.delenv(video.GL, raising=False)
    args = [f"--workdir={run}", "--variant=ppo", "--seed=0", f"--task={GYM}"]
    assert render.main(args) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "apt install libegl1" in said and "apt install libosmesa6" in said


def test_what_draws_is_found_out_and_what_was_chosen_is_kept(monkeypatch):
    monkeypatch.setattr(video, "_draws", lambda name: name == "osmesa")
    monkeypatch.delenv(video.GL, raising=False)
    assert video.choose_gl() == os.environ[video.GL] == "osmesa"
    monkeypatch.setenv(video.GL, "egl")
    with pytest.raises(ConfigError, match="MUJOCO_GL=egl does not work here"):
        video.choose_gl()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([f"--task={TOY}"], "videos are of tasks of gym, dmc and brax"),
        ([f"--task={GYM}", "--size=63x48"], "--size is '63x48'"),
        ([f"--task={GYM}", "--variant=pop"], "did you mean 'ppo'"),
        ([f"--task={GYM}", "--out=x.avi"], "it must end in .mp4 or .gif"),
        (["--workdir=nothing-is-here", f"--task={GYM}"], "is not a run store"),
    ],
)
def test_mistakes_are_a_sentence(run, monkeypatch, capsys, args, words):
    monkeypatch.setattr(video, "_draws", lambda name: True)
    monkeypatch.setenv(video.GL, "egl")
    base = [f"--workdir={run}", "--variant=ppo", "--seed=0"]
    assert render.main([*base, *args]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert words in said
