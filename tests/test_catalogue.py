"""Every task: what the catalogue says of it, and what an agent meets in it."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from coadapt import devices, envs
from coadapt.cli import tasks
from coadapt.envs import base
from coadapt.tasks import registry
from coadapt.types import TimeStep

ROOT = Path(__file__).parents[1]
ON_DEVICE = ("brax", "playground")  # each task compiles for a minute
HOST = [
    entry
    for suite, entries in registry.SUITES.items()
    if suite not in ON_DEVICE
    for entry in entries
]


def test_the_papers_tasks_are_thirty_seven():
    names = registry.paper()
    assert len(names) == len(set(names)) == 37
    families = [name.split("/")[0] for name in names]
    assert families == ["gym"] * 8 + ["ours"] + ["dmc"] * 28
    for name in ("gym/Hopper-v4", "gym/Pusher-v5", "dmc/manipulator_bring_ball"):
        assert name in names


@pytest.mark.parametrize("entry", HOST, ids=lambda entry: entry.task)
def test_each_task_keeps_the_rules(entry):
    assert registry.faults(entry, registry.walk(entry.task, 60)) == []


@pytest.mark.long
@pytest.mark.parametrize("entry", HOST, ids=lambda entry: entry.task)
def test_each_task_keeps_the_rules_past_two_resets(entry):
    length = 2 * envs.spec(entry.task).max_steps + 10
    found = registry.walk(entry.task, length)
    assert registry.faults(entry, found) == []
    assert (found.steps.last.sum(axis=0) >= 2).all()
    assert entry.terminates != registry.NEVER or (found.steps.discount == 1).all()


def good():
    """A walk of the toy LQR, which is cut at 20 steps; the entry too."""
    entry = next(e for e in registry.TOY if e.task == "toy/lqr")
    limit = envs.spec(entry.task).max_steps
    found = registry.walk(entry.task, 2 * limit + 3)
    steps = TimeStep(*(np.array(x) for x in found.steps))
    assert steps.last[limit - 1].all() and registry.faults(entry, found) == []
    return entry, limit, steps, found


@pytest.mark.parametrize(
    "field, at, value, said",
    [
        ("reward", 3, np.nan, "not finite"),
        ("next_obs", 3, np.inf, "not finite"),
        ("discount", 3, 0.5, "neither 0 nor 1"),
        ("discount", 3, 0.0, "termination within an episode"),
        ("discount", -1, 0.0, "termination where there is none"),
        ("last", 3, True, "end without a cause"),
        ("last", -1, False, "beyond its limit"),
        ("obs", 3, 7.0, "step lost"),
    ],
)
def test_a_broken_walk_is_seen(field, at, value, said):
    """`at`: the number of a step, -1 for that of the first end."""
    entry, limit, steps, found = good()
    getattr(steps, field)[limit - 1 if at < 0 else at, 1] = value
    wrong = registry.faults(entry, registry.Walk(found.first, steps))
    assert any(said in each for each in wrong), wrong


@pytest.mark.parametrize("name", ["Hopper-v5", "Reacher-v5", "CartPole-v1"])
def test_returns_are_those_of_gymnasiums_own_statistics(name):
    """RecordEpisodeStatistics sums rewards; ours are rounded to float32 each."""
    env = envs.make(f"gym/{name}", 1)
    assert isinstance(env, base.HostEnv)
    theirs = gymnasium.wrappers.RecordEpisodeStatistics(
        gymnasium.make(name, disable_env_checker=True)
    )
    env.reset([3])
    theirs.reset(seed=3)
    rng, total, ended = np.random.default_rng(0), 0.0, 0
    for _ in range(160):
        action = rng.uniform(-1, 1, (1, env.spec.action_size)).astype(np.float32)
        own = base.own_units(env.spec, action, 1)[0]
        step, (*_, info) = env.step(action), theirs.step(own)
        total += float(step.reward[0])
        assert bool(step.last[0]) == ("episode" in info)
        if step.last[0]:
            np.testing.assert_allclose(total, info["episode"]["r"], rtol=1e-6)
            total, ended = 0.0, ended + 1
            theirs.reset()
    env.close()
    assert ended >= 2


PAGE = (ROOT / "docs" / "tasks.md").read_text()


def test_the_page_is_generated():
    suites = [suite for suite in registry.SUITES if suite not in ON_DEVICE]
    assert registry.report(suites, "markdown") in PAGE


@pytest.mark.long
def test_the_whole_page_is_generated():
    """The suites on the device take a minute to say how much they show."""
    found = re.search(r"<!-- tasks -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert found and found[1] == registry.report(registry.SUITES, "markdown")


def test_the_command_lists_and_steps(capsys):
    assert tasks.main(["--suite=toy"]) == 0
    assert "toy/lqr" in capsys.readouterr().out
    assert tasks.main(["--suite=toy", "--check", "--steps=5"]) == 0
    out = capsys.readouterr().out
    assert out.count(" ok ") == len(registry.TOY) and "none wrong" in out


def test_the_command_makes_room_after_each_task(monkeypatch):
    """A hundred tasks' programs are more than a process may have."""
    made = []
    monkeypatch.setattr(registry, "walk", lambda *_: made.append("walk"))
    monkeypatch.setattr(registry, "faults", lambda *_: [])
    monkeypatch.setattr(devices, "make_room", lambda: made.append("room"))
    assert tasks.main(["--suite=toy", "--check", "--steps=5"]) == 0
    assert made == ["walk", "room"] * len(registry.TOY)


def test_the_command_says_what_is_wrong(capsys, monkeypatch):
    monkeypatch.setattr(
        registry, "SUITES", {"toy": (registry.Entry("toy/nosuch"), registry.TOY[0])}
    )
    assert tasks.main(["--check", "--steps=5"]) == 1
    out = capsys.readouterr().out
    assert "toy/nosuch" in out and "1 wrong" in out
    assert tasks.main(["--suite=tyo"]) == 2
    assert "did you mean 'toy'" in capsys.readouterr().err
