"""What a sweep says while it runs."""

import numpy as np

from coadapt import progress, runner, sweep


def events():
    variants = sweep.presets(["sac"])
    group = sweep.Group(
        "toy/lqr", tuple(sweep.Agent(variants[0], seed) for seed in (0, 1))
    )
    metrics = {"return": np.array([-10.0, -14.0])}
    reports = [
        runner.Report(steps, metrics, seconds, [])
        for steps, seconds in ((100, 5.0), (200, 6.0))
    ]
    return [sweep.Progress(1, 1, group, report) for report in (None, *reports)]


def test_lines_tell_speed_without_compilation_and_when_the_first_row_came(capsys):
    tell = progress._Lines(lambda task: 400)
    for event in events():
        tell(event)
    lines = capsys.readouterr().out.splitlines()
    head = "[1/1] toy/lqr, sac, 2 agents:"
    assert lines[0] == f"{head} compiling ..."
    start, _, rest = lines[1].partition("first row after ")
    assert start.split("  ")[:3] == [head, "100 of 400 steps", "return -12.0"]
    # of the process that runs the tests
    assert float(rest.removesuffix(" s")) > 0
    # 100 steps of two agents in the second between the reports
    assert lines[2] == (
        f"{head}  200 of 400 steps  return -12.0  200 agent-steps/s  0:02 left"
    )
