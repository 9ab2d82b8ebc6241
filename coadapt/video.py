"""Episodes of a saved agent as pictures: what it did in an evaluation.

    agent = coadapt.load("runs/x", variant="sac", seed=0)
    with video.open_stage(agent.task, (480, 480)) as stage:
        episode = video.perform(agent, stage, show=frames.append)

It acts greedily, on the observations and in the actions that an evaluation has, and an
episode begins where the evaluation's begins. What draws a simulation (OpenGL, ffmpeg)
is imported when it is asked for.
"""

import contextlib
import copy
import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from coadapt import envs
from coadapt.envs import dmc, host
from coadapt.envs.base import OPENGL, Autoreset, HostEnv, error_text, once
from coadapt.envs.loop import Loop, Stepper
from coadapt.rng import Purpose, host_seeds, stream
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError

Size = tuple[int, int]  # width and height, pixels
Show = Callable[[np.ndarray], None]  # takes a frame [H, W, 3] uint8

GL, PLATFORMS = "MUJOCO_GL", ("egl", "osmesa")  # which need no screen
_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco/>")
renderer = mujoco.Renderer(model, 16, 16)
renderer.update_scene(mujoco.MjData(model))
renderer.render()
print("drawn", flush=True)
"""


class Episode(NamedTuple):
    """One episode, and how it ended."""

    total: float  # undiscounted return
    steps: int  # env steps, as many as frames
    end: str  # 'termination', 'time limit', or what broke


class Stage(NamedTuple):
    """One environment, and a camera on it."""

    env: HostEnv
    shoot: Callable[[], np.ndarray]  # the frame [H, W, 3] uint8 of the state now
    fps: float  # frames a second of the simulation's own time


# ---------------------------------------------------------------- OpenGL


def choose_gl() -> str:
    """What MuJoCo draws with, without a screen: set in MUJOCO_GL, and returned.

    To be called before MuJoCo is imported. What the user has set there is kept, if it
    works.

    Raises:
        ConfigError: in a sentence that says what to install.
    """
    asked = os.environ.get(GL)
    for name in (asked,) if asked else PLATFORMS:
        if _draws(name):
            os.environ[GL] = name
            return name
    neither = "neither EGL nor OSMesa works here"
    tried = f"{GL}={asked} does not work here" if asked else neither
    raise ConfigError(f"nothing can be drawn: {tried}; of {GL}, {OPENGL}.")


@functools.cache
def _draws(name: str) -> bool:
    """In a process of its own: a try that failed would keep the next from working."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env=os.environ | {GL: name},
        capture_output=True,
        text=True,
    )
    return "drawn" in done.stdout


# ---------------------------------------------------------------- stages


def family(task: str) -> str:
    """'gym' of 'gym/Hopper-v5'.

    Raises:
        ConfigError: if it cannot be drawn.
    """
    found = task.partition("/")[0]
    if found not in (*_STAGES, "brax"):
        raise ConfigError(
            f"task is {task!r}: videos are of tasks of {', '.join(_STAGES)} and brax."
        )
    return found


@contextlib.contextmanager
def open_stage(task: str, size: Size) -> Iterator[Stage]:
    """A task of gym/ or dmc/, to be drawn.

    Raises: ConfigError.
    """
    kind, _, name = task.partition("/")
    if kind not in _STAGES:
        raise ConfigError(
            f"task is {task!r}: frames are of tasks of {', '.join(_STAGES)}; of one "
            "of brax there is a page, video.page."
        )
    stage = _STAGES[kind](name, size)
    try:
        yield stage
    finally:
        stage.env.close()


def _gym_stage(name: str, size: Size) -> Stage:
    spec, width, height = envs.spec(f"gym/{name}"), *size
    entry = str(host.registered(name).entry_point)
    own = {"width": width, "height": height} if ".mujoco" in entry else {}
    try:
        made: Any = host.gym_env(name, render_mode="rgb_array", **own)
        made.reset()
        made.render()
    except Exception as error:  # Gymnasium's, pygame's, OpenGL's own
        raise ConfigError(
            f"task 'gym/{name}' cannot be drawn: {error_text(error)}"
        ) from None
    space = made.action_space
    loop = Loop(spec, [made], shape=space.shape or (), first=int(_first(space)))
    fps = float(made.metadata.get("render_fps") or 30)
    return Stage(loop, lambda: _fitted(made.render(), size), fps)


def _first(space: Any) -> int:
    return getattr(space, "start", 0)


def _fitted(frame: np.ndarray, size: Size) -> np.ndarray:
    """A frame of another size, scaled."""
    if (frame.shape[1], frame.shape[0]) == size:
        return np.asarray(frame, np.uint8)
    image: Any = importlib.import_module("PIL.Image")
    return np.asarray(image.fromarray(frame).resize(size))


def _dmc_stage(name: str, size: Size) -> Stage:
    spec, render = envs.spec(f"dmc/{name}"), sys.modules.get("dm_control._render")
    backend = getattr(render, "BACKEND", None)
    if backend != os.environ.get(GL):
        raise ConfigError(
            f"task 'dmc/{name}' cannot be drawn: dm_control was imported before {GL} "
            f"was set, and draws with {backend}; call video.choose_gl() first."
        )
    made: Any = copy.deepcopy(dmc._template(name))
    stepper: Stepper = dmc._Stepper(made)
    loop = Loop(spec, [stepper], shape=(spec.action_size,))
    width, height = size

    def shoot() -> np.ndarray:
        return made.physics.render(height, width, camera_id=0)

    return Stage(loop, shoot, 1 / made.control_timestep())


_STAGES = {"gym": _gym_stage, "dmc": _dmc_stage}


# ---------------------------------------------------------------- episodes


def perform(
    agent: SavedAgent,
    stage: Stage,
    *,
    show: Show,
    evaluation: int = 0,
    episode: int = 0,
) -> Episode:
    """One greedy episode, `show` being told the frame of each state that it acts in.

    It is number `episode` of the run's evaluation number `evaluation`, both from 0: it
    begins there, and goes on as that did, but for the rounding of a program of one.
    """
    seeds = host_seeds(agent.seed, Purpose.MEASURE, evaluation, episode + 1)
    obs, key = stage.env.reset([seeds[episode]]), _key(agent, evaluation)
    total, steps = 0.0, 0
    while True:
        show(stage.shoot())
        action = agent.act(obs, jax.random.fold_in(key, steps))
        step, steps = stage.env.step(action), steps + 1
        total += float(np.asarray(step.reward)[0])
        if not np.isfinite(action).all() or np.isnan(total):
            return Episode(float("nan"), steps, _broken(stage.env))
        if np.asarray(step.last)[0]:
            return Episode(total, steps, _end(float(np.asarray(step.discount)[0])))
        obs = np.asarray(step.obs)


def _key(agent: SavedAgent, evaluation: int) -> jax.Array:
    return stream(np.uint32(agent.seed), Purpose.MEASURE, evaluation)  # type: ignore[arg-type]


def _end(discount: float) -> str:
    return "time limit" if discount else "termination"


def _broken(env: HostEnv) -> str:
    return env.causes.get(0, "a number that is not finite")


def page(
    agent: SavedAgent, *, evaluation: int = 0, episodes: int = 10, height: int = 480
) -> tuple[Episode, str]:
    """The first greedy episode of an evaluation on a brax task, as an HTML page.

    Args:
        episodes: as many as that evaluation had.
        height: of the view, pixels.
    Raises:
        ConfigError: of another task.
    """
    if family(agent.task) != "brax":
        raise ConfigError(f"task is {agent.task!r}: only tasks of brax have a page.")
    env: Any = once(envs.make(agent.task, 1))  # type: ignore[arg-type]
    assert isinstance(env, Autoreset)
    key = _key(agent, evaluation)
    state, obs = jax.jit(env.reset)(jax.random.split(key, episodes)[0])
    step, states, total = jax.jit(env.step), [], 0.0
    while True:
        states.append(state.physics.pipeline_state)
        own = jax.random.fold_in(key, len(states) - 1)
        state, found = step(state, agent.act(obs[None], own)[0])
        total, obs = total + float(found.reward), found.obs
        if np.isnan(total):
            end = "a number that is not finite"
        elif not found.last:
            continue
        else:
            end = _end(float(found.discount))
        html: Any = importlib.import_module("brax.io.html")
        suite: Any = env.dynamics
        drawn = html.render(suite.env.sys, states, height=height)
        return Episode(total, len(states), end), drawn


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def writer(path: Path, size: Size, fps: float) -> Iterator[Show]:
    """Frames into an .mp4 or .gif, as they come.

    Raises: ConfigError, OSError.
    """
    try:
        ffmpeg: Any = importlib.import_module("imageio_ffmpeg")
        imageio: Any = importlib.import_module("imageio.v2")
    except ImportError as error:
        raise ConfigError(
            f"video needs {error.name}, which is not installed: "
            "pip install -c constraints.txt -e '.[video]'"
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        with imageio.get_writer(path, mode="I", duration=1000 / fps, loop=0) as made:
            yield made.append_data
        return
    with _encoder(ffmpeg.get_ffmpeg_exe(), path, size, fps) as show:
        yield show


@contextlib.contextmanager
def _encoder(program: str, path: Path, size: Size, fps: float) -> Iterator[Show]:
    """Frames into ffmpeg. imageio's own writer forks, which JAX's threads forbid."""
    shape = f"{size[0]}x{size[1]}"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", shape, "-r", str(fps)]
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    command = [program, "-y", "-loglevel", "error", *raw, "-i", "-", *coded]
    status = 1
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            pipe = process.stdin
            assert pipe is not None

            def show(frame: np.ndarray) -> None:
                pipe.write(np.ascontiguousarray(frame).tobytes())

            yield show
        status = process.returncode
    except BrokenPipeError:  # it ended before us, and has said why
        pass
    if status:
        raise OSError(f"ffmpeg could not write {str(path)!r}")
