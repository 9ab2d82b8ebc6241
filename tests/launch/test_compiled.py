"""Compiled programs are kept: what a first run has compiled, a second reads."""

import os
import subprocess
import sys
import textwrap

import pytest

COUNT = """
    import sys
    import jax
    from coadapt.cli import sweep
    asked, read = [], []
    def note(event, seconds, **about):
        if event.endswith("backend_compile_duration"):  # of those read, too
            asked.append(about.get("fun_name"))
    def hit(event, **_):
        if event == "/jax/compilation_cache/cache_hits":
            read.append(event)
    jax.monitoring.register_event_duration_secs_listener(note)
    jax.monitoring.register_event_listener(hit)
    status = sweep.main(sys.argv[1:])
    print("counted", status, len(asked), len(asked) - len(read))
"""
TINY = {
    "networks.policy.sizes": 8,
    "networks.critic.sizes": 8,
    "data.batch_size": 8,
    "data.learning_starts": 20,
    "data.random_steps": 10,
}


@pytest.mark.long
@pytest.mark.parametrize("task", ["gym/Pendulum-v1", "toy/lqr"])
def test_the_second_run_of_a_sweep_compiles_nothing(task, tmp_path):
    """In a process of its own, with two structures: not even a single operation."""

    def run(number: int) -> list[int]:
        command = [
            *(sys.executable, "-c", textwrap.dedent(COUNT), "--algorithms=sac"),
            *(f"--task={task}", "--steps=60", "--eval_every=30", "--eval_episodes=2"),
            *("--seeds=2", "--grid=g_estimate.critics=1,2"),
            *(f"--set={name}={value}" for name, value in TINY.items()),
            f"--workdir={tmp_path / str(number)}",
        ]
        done = subprocess.run(
            command,
            env=os.environ | {"COADAPT_CACHE": str(tmp_path / "compiled")},
            capture_output=True,
            text=True,
            check=True,
        )
        counted = [x for x in done.stdout.splitlines() if x.startswith("counted ")]
        status, asked, compiled = map(int, counted[0].split()[1:])
        assert status == 0
        return [asked, compiled]

    few = 10  # programs of two structures, and operations beside them
    asked, compiled = run(1)
    assert asked >= compiled > few
    asked, compiled = run(2)
    assert asked > few and compiled == 0
