"""Where nothing can be drawn, a task that draws is refused, and no other is."""

import os
import subprocess
import sys

import pytest

TRIED = """
import sys
from coadapt import envs
for task in sys.argv[1:]:
    try:
        envs.make(task, 1)
        print("made")
    except ValueError as error:
        print(error)
"""
MUJOCO = ("ours/Striker-v0", "gym/Hopper-v5", "brax/ant", "playground/CheetahRun")


def tried(value, *tasks):
    """What each task says, in a process of its own, as what draws is chosen once."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    env = {name: text for name, text in os.environ.items() if name not in screens}
    done = subprocess.run(
        [sys.executable, "-c", TRIED, *tasks],
        env=env | {"MUJOCO_GL": value},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


NO_SCREEN = pytest.mark.skipif(sys.platform != "linux", reason="has its screen always")


@pytest.mark.parametrize("value", [pytest.param("glfw", marks=NO_SCREEN), "disable"])
def test_of_the_quadrupeds_one_draws_its_terrain(value):
    """Which it does at a reset; what it leaves behind there is not heard."""
    escape, run = tried(value, "dmc/quadruped_escape", "dmc/quadruped_run")
    assert escape.startswith("task 'dmc/quadruped_escape' cannot be made: ")
    assert "OpenGL" in escape and f"MUJOCO_GL is '{value}': egl (apt install" in escape
    assert run == "made"


def test_a_way_to_draw_that_is_none_is_a_sentence_of_every_family():
    """MuJoCo and dm_control raise it when they are imported."""
    tasks = ("dmc/walker_run", *MUJOCO)
    for task, said in zip(tasks, tried("what", *tasks), strict=True):
        assert said.startswith(f"task '{task}' ") and "MUJOCO_GL is 'what': egl" in said
