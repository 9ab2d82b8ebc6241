"""Programs compiled ahead are those that training compiles."""

import json
import subprocess
import sys
import textwrap
import threading

import pytest

from coadapt.training import precompile

PROGRAM = """
    import json, sys
    import jax
    from coadapt import algorithms, devices, runner, schema
    from coadapt.training import precompile
    devices.use_cores()
    name, task = sys.argv[1:]
    small = {"data.batch_size": 8, "data.learning_starts": 30,
             "data.random_steps": 30, "data.update_every": 10}
    if name == "awr":
        small = {"data.batch_size": 8, "data.learning_starts": 300,
                 "data.update_every": 100,
                 "schedule.critic_steps": 2, "schedule.policy_steps": 2}
    small |= {"networks.policy.sizes": (8, 8), "networks.critic.sizes": (8, 8)}
    configs = [schema.override(algorithms.preset(name), small)] * 2
    steps = 450
    with precompile.Ahead([(configs, task, steps, 2)]) as others:
        others.finish()
    compiled = []
    def note(event, seconds, **about):
        if event.endswith("backend_compile_duration"):
            compiled.append(about.get("fun_name"))
    jax.monitoring.register_event_duration_secs_listener(note)
    runner.train(configs, [0, 1], task, steps=steps, eval_episodes=2)
    print(json.dumps(compiled))
"""


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("sac", "gym/Pendulum-v1"),
        ("awr", "toy/lqr"),
        pytest.param("awr", "gym/Pendulum-v1", marks=pytest.mark.long),
        pytest.param("sac", "toy/lqr", marks=pytest.mark.long),
    ],
)
def test_training_compiles_nothing_of_its_own(name, task):
    """But for a comparison of a few numbers, made eagerly."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), name, task],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout.splitlines()[-1])) <= 2


def test_no_more_is_compiled_than_the_next_two_programs(monkeypatch):
    """What waits for its turn is in memory: of a hundred programs it would be all."""
    compiled, some = [], threading.Semaphore(0)

    def lowered(name):
        compiled.append(name)
        some.release()
        return []

    monkeypatch.setattr(precompile, "lowered", lowered)
    tasks: list = [("a",), ("b",), None, ("c",), ("d",), ("e",)]

    def wait(number):
        return all(some.acquire(timeout=60) for _ in range(number))

    with precompile.Ahead(tasks) as others:
        assert wait(2) and not some.acquire(timeout=0.2)
        others.turn()  # the third is known
        assert not some.acquire(timeout=0.2)
        others.turn()
        assert wait(1) and compiled == ["a", "b", "c"]
    assert compiled == ["a", "b", "c"]
    with precompile.Ahead(tasks) as others:
        others.finish()
    assert compiled[3:] == ["a", "b", "c", "d", "e"]
