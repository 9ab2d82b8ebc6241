"""A comparison with other programs: what is asked, how it is measured, what it says."""

import ast
import dataclasses
import re
import sys
from pathlib import Path

import pytest

from benchmarks import against
from benchmarks.peers import PEERS, homes, processes, protocol, rounds, sweeping, tables
from benchmarks.peers.homes import Failed
from benchmarks.peers.kept import Kept
from benchmarks.peers.processes import Program
from benchmarks.peers.protocol import Cell, Job, Windows
from benchmarks.peers.rounds import Rounds, Setting, Way
from benchmarks.peers.tables import Record
from coadapt.cli import sweep as sweep_command
from coadapt.schema import ConfigError

SCRIPTS = Path(processes.__file__).parent
JOB = Job(work="learner", library="sbx")


def cases(of: dict[str, tuple]) -> list:
    return [pytest.param(*values, id=name) for name, values in of.items()]


@pytest.fixture
def script(tmp_path):
    """Makes a program of a body, which has the job and the protocol at hand."""

    def made(body: str) -> Program:
        path = tmp_path / "script.py"
        path.write_text(
            "import sys, time, protocol\njob = protocol.read(sys.argv)\n" + body
        )
        return Program(sys.executable, (str(path),))

    return made


@pytest.fixture(autouse=True)
def _protocol_at_hand(monkeypatch):
    """As it is beside the scripts of peers."""
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))


@pytest.mark.parametrize(
    ("flags", "words"),
    cases(
        {
            "peer": (["--against=sbxx"], "--against has 'sbxx': .*mean 'sbx'?"),
            "no peer": (["--against="], "--against is missing"),
            "twice": (["--against=sbx,sbx"], "each once"),
            "work": (["--against=sbx", "--works=lop"], "'lop'.*mean 'loop'?"),
            "algorithm": (["--against=sbx", "--algorithms=trpo"], "'trpo'"),
            "task": (["--against=sbx", "--task=toy/lqr"], "--task has 'toy/lqr'"),
            "sizes": (["--against=sbx", "--sizes=64,x"], "--sizes has '64,x'"),
            "buffers": (["--against=sbx", "--buffers=0"], "--buffers has '0'"),
            "one axis": (["--against=sbx", "--axes=discount"], "two axes"),
            "cells": (["--against=sbx", "--cells=17"], "1 to 16"),
            "write": (
                ["--against=sbx", "--write=nowhere.md"],
                "--write is 'nowhere.md'",
            ),
            "set": (["--against=sbx", "--set=a=b"], "--set is not a flag"),
            "agents": (["--against=sbx", "--agents=0"], "--agents is '0'"),
            "nobody": (["--works=loop"], "--against is missing"),
        }
    ),
)
def test_a_mistake_is_told_in_one_sentence(flags, words, capsys):
    assert against.main(flags) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(words, error), error


def test_a_script_imports_nothing_of_ours_but_the_protocol():
    scripts = {peer.script for peer in PEERS.values()}
    scripts |= {path.name for path in SCRIPTS.glob("plain_*.py")} | {"parity_works.py"}
    for name in (*scripts, "protocol.py", "torch_parts.py"):
        tree = ast.parse((SCRIPTS / name).read_text())
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {
            a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
        }
        heads = {str(module).split(".")[0] for module in modules}
        assert not heads & {"coadapt", "launch", "experiments", "benchmarks"}
    standard = set(sys.stdlib_module_names)
    tree = ast.parse((SCRIPTS / "protocol.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert str(node.module).split(".")[0] in standard


def test_every_requirement_is_pinned():
    pins = [pin for peer in PEERS.values() for pin in peer.pins]
    assert [pin for pin in pins if "==" not in pin] == []


def test_a_job_arrives_as_it_was_sent():
    job = Job(work="sweep", library="sbx", sizes=(64, 64), cells=(Cell("a", 1),))
    assert protocol.read(["script", protocol.write(job)]) == job


def test_windows_count_what_comes_after_the_warmth(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(protocol.time, "perf_counter", lambda: float(next(now)))
    monkeypatch.setattr(protocol, "ready", lambda: None)
    job = Job(work="loop", library="sbx", windows=2, seconds=3.0)
    windows, ticks = Windows(job, warm=2.0, least=2), 1
    while not windows.tick(10):
        ticks += 1
    # a clock that goes on by 1 whenever it is read
    assert windows.rates == [10.0, 10.0] and ticks == 9


# ---------------------------------------------------------------- processes


def test_processes_begin_together_and_answer(script):
    body = (
        "time.sleep(0.4 * (job.core or 0))\nprotocol.ready()\n"
        "print('a word of its own')\n"
        "protocol.answer(agents=1, rates=[time.time()])\n"
    )
    found = processes.side_by_side(script(body), [JOB, JOB], 60)
    times = [answers[0]["rates"][0] for answers in found]
    assert len(times) == 2 and abs(times[0] - times[1]) < 0.3


@pytest.mark.parametrize(
    ("body", "reason"),
    cases(
        {
            "raises": (
                "raise ValueError('no such thing')",
                "ValueError: no such thing",
            ),
            "raises when asked": (
                "protocol.ready()\nraise ValueError('later')",
                "later",
            ),
            "says nothing": ("pass", "without a number"),
            "takes long": ("time.sleep(60)", "longer than 1 s"),
        }
    ),
)
def test_a_failure_is_one_sentence(script, body, reason):
    with pytest.raises(Failed, match=reason) as failed:
        processes.side_by_side(script(body), [JOB, JOB], 1 if "60" in body else 60)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("together", "agents", "cores", "expected"),
    [
        (False, 1, 2, [Way(1, 1)]),
        (False, 8, 2, [Way(1, 1), Way(2, 1)]),
        (False, 2, 4, [Way(1, 1), Way(2, 1)]),
        (True, 1, 2, [Way(1, 1)]),
        (True, 8, 2, [Way(1, 8), Way(2, 4)]),
        (True, 8, 1, [Way(1, 8)]),
    ],
)
def test_the_ways_of_running_agents(together, agents, cores, expected):
    assert rounds.ways(together, agents, cores) == expected


# alone 5 a second, and 3 each side by side: two are at 6, one at 5
SIDE_BY_SIDE = (
    "protocol.ready()\nrate = 5.0 if job.core is None else 3.0\n"
    "for n in job.agents: protocol.answer(agents=n, rates=[rate])\n"
)


def test_the_better_way_counts_and_each_is_told(script, capsys):
    wanted = {k: rounds.ways(False, k, 2) for k in (1, 2, 8)}
    found = rounds.rates(script(SIDE_BY_SIDE), JOB, wanted)
    assert found == {1: 5.0, 2: 6.0, 8: 6.0}
    told = "sbx: 1 processes of 1 agents: 5.0/s\nsbx: 2 processes of 1 agents: 6.0/s\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(("only", "rate"), [(0, 6.0), (1, 5.0), (2, 6.0)])
def test_a_peer_is_measured_in_one_way_only_where_that_is_asked(
    script, monkeypatch, only, rate
):
    monkeypatch.setattr(rounds, "of_ours", lambda job, agents: [])
    measured = Rounds({"sbx": script(SIDE_BY_SIDE)}, 2, Kept(), only)
    (record,) = measured.run([Setting(("sac",), JOB)], [8], 1)
    assert record.value == rate


def test_a_peer_that_fails_has_no_cell_and_is_told_once(script, monkeypatch, capsys):
    answers = [{"agents": 1, "rates": [4.0], "fraction": 0.5}]
    monkeypatch.setattr(rounds, "of_ours", lambda job, agents: answers)
    broken = script("raise ValueError('broken')")
    programs = {"sbx": Program("nowhere", ()), "pfrl": broken}
    found = Rounds(programs, 1, Kept()).run([Setting(("sac",), JOB)], [1], 2)
    error = capsys.readouterr().err
    assert {r.who for r in found} == {"coadapt"} and len(found) == 2
    assert error.count("pfrl failed on learner, sac: ValueError: broken\n") == 1
    assert error.count("sbx failed on learner, sac: nowhere: No such file") == 1
    assert "Traceback" not in error


def test_a_run_that_ended_early_goes_on_with_what_its_file_lacks(
    script, monkeypatch, tmp_path
):
    asked = []

    def of_ours(job, agents):
        asked.append(agents)
        return [{"agents": n, "rates": [4.0], "fraction": 0.5} for n in agents]

    monkeypatch.setattr(rounds, "of_ours", of_ours)
    rows, settings = tmp_path / "rows.jsonl", [Setting(("sac",), JOB)]
    answer = "protocol.ready()\nprotocol.answer(agents=1, rates=[2.0])\n"
    peers = {"sbx": script(answer)}

    def run(number: int, agents: list[int]) -> list[Record]:
        return Rounds(peers, 1, Kept(rows)).run(settings, agents, number)

    first = run(1, [1])
    with rows.open("a") as file:  # ended while it wrote
        file.write('{"job": "')
    assert run(1, [1]) == first and asked == [[1]]
    kept = Kept(rows)  # a line after the torn one is whole
    kept.add(JOB, Record(("sac", "1"), "coadapt", 1, 3.0))
    assert [r.value for r in run(2, [1]) if r.who == "coadapt"] == [4.0, 3.0]
    longer = Setting(("sac",), Job(work="learner", library="-", seconds=9.0))
    Rounds({}, 1, Kept(rows)).run([longer], [1], 1)
    assert asked == [[1], [1]]  # another job: it is measured


def test_rows_of_another_machine_are_no_part_of_a_table(tmp_path):
    rows = tmp_path / "rows.jsonl"
    Kept(rows).add(JOB, Record(("sac", "1"), "coadapt", 0, 3.0))  # which says nothing
    Kept(rows, "a Xeon").add(JOB, Record(("sac", "1"), "coadapt", 1, 3.0))
    assert len(Kept(rows, "a Xeon").of(JOB, "coadapt", 1)) == 1
    with pytest.raises(ConfigError, match="rows are of a Xeon, and this is an EPYC: "):
        Kept(rows, "an EPYC")


# ---------------------------------------------------------------- tables


def records() -> list[Record]:
    values = {"coadapt": (200.0, 260.0), "sbx": (100.0, 130.0), "pfrl": (5.0, 4.0)}
    return [
        Record(("sac", "8"), who, i, x, 0.5 if who == "coadapt" else None)
        for who, both in values.items()
        for i, x in enumerate(both)
    ]


def test_the_table_has_medians_ranges_and_the_ratio_of_each_round():
    lines = tables.table(records(), ("algorithm", "agents"), ("sbx", "rejax", "pfrl"))
    assert lines == [
        "| algorithm | agents | coadapt | of the limit | sbx | rejax | pfrl "
        "| coadapt / best peer |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| sac | 8 | 230 (200 to 260) | 50% | 115 (100 to 130) | - "
        "| 4.50 (4.00 to 5.00) | 2.00 (2.00 to 2.00) |",
    ]


@pytest.mark.parametrize("number", range(1, 16))
def test_the_median_lies_in_its_interval_in_95_of_100_samples(number):
    """Counted over all ways in which values fall below or above the median."""
    values = [float(i) for i in range(1, number + 1)]
    found = tables.median_interval(values)
    ways = [bin(way).count("1") for way in range(2**number)]  # values below it

    def covered(low: int) -> float:
        return sum(low <= below <= number - low for below in ways) / len(ways)

    most = [low for low in range(1, (number + 1) // 2 + 1) if covered(low) >= 0.95]
    expected = (float(most[-1]), float(number + 1 - most[-1])) if most else None
    assert found == expected and (number < 15 or found == (4.0, 12.0))


def test_the_table_of_sweeps_says_what_was_scaled():
    found = [
        Record(("-150",), "coadapt", 0, 50.0),
        Record(("-150",), "coadapt, compiled before", 0, 25.0),
        Record(("-151",), "coadapt, phys2d", 0, 10.0),
        Record(("-140",), "sbx", 0, 200.0, note=", of 4 cells"),
    ]
    assert tables.sweeps(found, ["sbx", "pfrl"])[2:] == [
        "| coadapt | 50.0 | 1.00 | 2.00 | 5.00 | -150 |",
        "| coadapt, compiled before | 25.0 | 0.50 | 1.00 | 2.50 | -150 |",
        "| coadapt, phys2d | 10.0 | 0.20 | 0.40 | 1.00 | -151 |",
        "| sbx | 200, of 4 cells | 4.00 | 8.00 | 20.00 | -140 |",
        "| pfrl | - | - | - | - | - |",
    ]


def test_a_section_of_a_file_is_replaced_and_no_other(tmp_path):
    path = tmp_path / "page.md"
    sections = [
        f"<!-- against: {work} -->\nold\n<!-- end -->" for work in against.WORKS
    ]
    path.write_text("\n\n".join(["# Page", *sections, "the rest\n"]))
    against._put(path, "loop", "new")
    expected = [s.replace("old", "new") if "loop" in s else s for s in sections]
    assert path.read_text() == "\n\n".join(["# Page", *expected, "the rest\n"])


def test_the_page_of_benchmarks_has_the_sections():
    page = Path(__file__).parents[2] / "docs" / "benchmarks.md"
    assert against._writable(str(page)) == page


# ---------------------------------------------------------------- the sweep


@pytest.mark.parametrize(
    ("axes", "task"),
    [
        (("discount", "activation"), "gym/Pendulum-v1"),
        (("critics", "activation"), sweeping.INSIDE),
    ],
)
def test_our_sweep_has_the_cells_that_the_peers_have(axes, task, tmp_path, capsys):
    job = Job(work="sweep", library="coadapt", sizes=(64, 64), start=500, steps=1000)
    job = dataclasses.replace(job, own_task=task)
    command = sweeping.our_command(job, axes, tmp_path / "run")
    assert command[1:4] == ["-m", "coadapt", "sweep"]
    assert sweep_command.main([*command[4:], "--dry_run"]) == 0
    assert "agents: 16\n" in capsys.readouterr().out
    cells = sweeping.cells(axes)
    assert len({(c.variant, c.seed) for c in cells}) == len(cells) == 16


def test_a_peer_has_a_process_a_cell_or_one_a_structure():
    job, cells = (
        Job(work="sweep", library="-"),
        sweeping.cells(("discount", "activation")),
    )
    assert len(sweeping.jobs_of("sbx", job, cells)) == 16
    mapped = sweeping.jobs_of("rejax", job, cells)
    assert [len(j.cells) for j in mapped] == [8, 8]
    assert all(len({c.activation for c in j.cells}) == 1 for j in mapped)


def test_the_sweep_of_a_peer_is_read_and_a_missing_row_is_a_failure(script):
    cells = sweeping.cells(("discount", "activation"))[:2]
    job = Job(work="sweep", library="sbx")
    rows = "protocol.add_rows(job, [float(cell.seed) for cell in job.cells])"
    seconds, mean = sweeping.theirs("sbx", script(rows), job, cells, 2)
    assert seconds > 0 and mean == 0.0
    with pytest.raises(Failed, match="2 cells of its sweep have no row"):
        answer = "open(job.rows, 'a').close()\nprotocol.answer(cells=1)"
        sweeping.theirs("sbx", script(answer), job, cells, 2)


def test_a_sweep_that_fails_is_told_and_has_no_row(monkeypatch, script, capsys):
    tasks = []

    def ours(job, axes, cache):
        cache.joinpath("compiled").touch()
        tasks.append(job.own_task)
        return 2.0, -1.0

    monkeypatch.setattr(sweeping, "ours", ours)
    asked = sweeping.Sweeps(("critics", "activation"), 1000, 2, 2, 2, Kept())
    rows = "protocol.add_rows(job, [1.0 for cell in job.cells])"
    programs = {"sbx": script(rows), "pfrl": script(rows), "rejax": Program("no", ())}
    found = asked.measure(programs)
    ours_and_theirs = ["coadapt", "coadapt, compiled before", "coadapt, phys2d", "sbx"]
    assert [r.who for r in found] == ours_and_theirs * 2
    assert tasks == [*["gym/Pendulum-v1"] * 2, "phys2d/Pendulum-v0"] * 2
    assert found[3].note == ", of 2 cells"
    error = capsys.readouterr().err
    assert error.count("rejax failed on the sweep: no: No such file") == 1


# ---------------------------------------------------------------- environments


def test_an_environment_is_made_again_only_for_other_pins(tmp_path, monkeypatch):
    ran: list[list[str]] = []

    def run(command: list[str]) -> str:
        ran.append(command)
        home = tmp_path / "rejax"
        home.mkdir(exist_ok=True)
        (home / "pyvenv.cfg").touch()
        return ""

    monkeypatch.setattr(homes, "_run", run)
    peer = PEERS["rejax"]
    first = homes.python(peer, tmp_path)
    assert len(ran) == 2 and ran[1][-len(peer.pins) :] == list(peer.pins)
    assert homes.python(peer, tmp_path) == first and len(ran) == 2
    homes.python(peer._replace(pins=("rejax==0.1.2",)), tmp_path)
    assert len(ran) == 4


def test_a_folder_that_is_no_environment_is_not_touched(tmp_path):
    (tmp_path / "rejax").mkdir()
    (tmp_path / "rejax" / "mine.txt").touch()
    with pytest.raises(Failed, match="no virtual environment"):
        homes.python(PEERS["rejax"], tmp_path)
    assert (tmp_path / "rejax" / "mine.txt").exists()
