"""What a sweep says while it runs."""

import time

import numpy as np
import pytest

from coadapt import algorithms, progress, runner, sweep

EARLY = {
    "data.learning_starts": 50,
    "data.random_steps": 50,
}  # so that they learn, and no note says
VARIANTS = [sweep.Variant("sac", "sac", sweep.change(algorithms.sac(), EARLY))]


def asked(steps: int) -> sweep.Sweep:
    return sweep.Sweep(
        experiment="e", variants={"toy/lqr": VARIANTS}, seeds=2, steps=steps
    )


def events():
    group = sweep.Group(
        "toy/lqr", tuple(sweep.Agent(VARIANTS[0], seed) for seed in (0, 1))
    )
    metrics = {"return": np.array([-10.0, -14.0])}
    reports = [
        runner.Report(steps, metrics, seconds, [])
        for steps, seconds in ((100, 5.0), (200, 6.0))
    ]
    return [sweep.Progress(1, 1, group, report) for report in (None, *reports)]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """As without a terminal, whatever this is run in."""
    monkeypatch.setenv("COLUMNS", "120")


def test_lines_tell_speed_without_compilation_and_when_the_first_row_came(capsys):
    since = time.time() - 100.0
    with progress.shown(asked(400), since) as tell:
        for event in events():
            tell(event)
    out, err = capsys.readouterr()
    assert not out  # which is for results
    lines = err.splitlines()
    head = "[1/1] toy/lqr, sac, 2 agents:"
    assert lines[0] == f"{head} compiling ..."
    start, _, rest = lines[1].partition("first row after ")
    assert start.split("  ")[:3] == [head, "100 of 400 steps", "return -12.0"]
    assert 100.0 <= float(rest.removesuffix(" s")) < 110.0
    # 100 steps of two agents in the second between the reports
    assert lines[2] == (
        f"{head}  200 of 400 steps  return -12.0  200 agent-steps/s  0:02 left"
    )


@pytest.mark.parametrize(
    "seconds, shown",
    [
        (0.4, "0:00"),
        (59.6, "1:00"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (1e5, "27:46:40"),
    ],
)
def test_what_is_left_is_told_by_the_clock(seconds, shown):
    assert progress.clock(seconds) == shown


def test_a_sweep_without_a_program_says_that_all_was_there(capsys):
    with progress.shown(asked(400)):
        pass
    assert capsys.readouterr().err == "all 2 cells were finished: nothing to run\n"


BETWEEN = (
    "and no checkpoint is left to go on from (one is made every 20,000 env steps; an "
    "end between two is none, and keep=0 leaves none)"
)
ORIGINS = [
    ([(0, 0)], ""),
    ([(0, 0)] * 3, ""),
    ([(20_000, 25_000)], "goes on from env step 20,000"),
    ([(0, 300)], f"starts again from env step 0: it had come to 300, {BETWEEN}"),
    (
        [(0, 0), (40_000, 40_000), (20_000, 20_000), (0, 300), (0, 900)],
        "2 of 5 programs go on from env step 20,000 to 40,000; 2 of 5 programs start "
        f"again from env step 0: they had come to 300 to 900, {BETWEEN}",
    ),
]


@pytest.mark.parametrize(("found", "said"), ORIGINS)
def test_it_says_once_from_where_programs_go_on(found, said, capsys):
    origins = tuple(sweep.Origin(*each) for each in found)
    with progress.shown(asked(400)) as tell:
        for event in events():
            tell(event._replace(origins=origins))
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == (said or "[1/1] toy/lqr, sac, 2 agents: compiling ...")
    assert said not in "\n".join(rest) or not said


def test_it_says_once_in_what_the_sessions_of_the_store_differ(capsys):
    with progress.shown(asked(400)) as tell:
        for event in events():
            tell(event._replace(sessions="host: a (1), b (2)"))
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "the store's sessions differ in host: a (1), b (2)"
    assert "differ" not in "".join(rest)
