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
    compiled, steps = [], 450
    def note(event, seconds, **about):
        if event.endswith("backend_compile_duration"):
            compiled.append(about.get("fun_name"))
    jax.monitoring.register_event_duration_secs_listener(note)

    def train(name, task):
        small = {"data.batch_size": 8, "data.learning_starts": 30,
                 "data.random_steps": 30, "data.update_every": 10}
        if name == "awr":
            small = {"data.batch_size": 8, "data.learning_starts": 300,
                     "data.update_every": 100,
                     "schedule.critic_steps": 2, "schedule.policy_steps": 2}
        small |= {"networks.policy.sizes": (8, 8), "networks.critic.sizes": (8, 8)}
        configs = [schema.override(algorithms.preset(name), small)] * 2
        with precompile.Ahead([(configs, task, steps, 2)]) as others:
            others.finish()
        compiled.clear()
        runner.train(configs, [0, 1], task, steps=steps, eval_episodes=2)
        return list(compiled)

    print(json.dumps([train(*case.split(",")) for case in sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    "cases",
    [
        ["sac,gym/Pendulum-v1"],
        pytest.param(
            ["awr,toy/lqr", "awr,gym/Pendulum-v1", "sac,toy/lqr"],
            marks=pytest.mark.long,
        ),
    ],
    ids=" ".join,
)
def test_training_compiles_nothing_of_its_own(cases):
    """But for a comparison of a few numbers, made eagerly."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *cases],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == len(cases) and all(len(compiled) <= 2 for compiled in found)


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
