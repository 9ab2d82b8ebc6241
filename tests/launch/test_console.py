"""Terminals: narrow ones, those without letters, those that go, wrong variables."""

import io
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from coadapt import algorithms, api, devices, progress, runner, schema, sweep
from coadapt import plan as plans
from coadapt.cli import command, compiled, report, train
from coadapt.cli import sweep as sweep_command
from coadapt.schema import ConfigError
from coadapt.system import console, notes

TRAIN = ["--algorithm=sac", "--task=toy/lqr", "--steps=1000", "--dry_run"]


# ---------------------------------------------------------------- streams


def test_the_work_goes_on_when_the_reader_has_gone(monkeypatch):
    """As in `coadapt sweep ... | head -2`: more than a pipe holds, and nobody reads."""
    end, begin = os.pipe()
    with os.fdopen(begin, "w") as stream:
        os.close(end)
        monkeypatch.setattr(sys, "stdout", stream)
        reached = []
        with console.lasting():
            for i in range(3):
                print("x" * 100_000, flush=True)
                reached.append(i)
            print("left in the buffer")
    assert reached == [0, 1, 2]  # and closing the stream raised nothing


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("length", [10, 100_000])  # in the buffer to the end, and not
def test_the_work_goes_on_when_the_disk_is_full_and_the_status_says_so(
    length, monkeypatch, capsys
):
    reached = []

    def run(values):
        for i in range(2):
            print("x" * length)
            reached.append(i)

    with monkeypatch.context() as patch, open("/dev/full", "w") as stream:
        patch.setattr(sys, "stdout", stream)
        assert command.execute("", lambda values: None, run, []) == command.TROUBLE
    assert reached == [0, 1]
    said = "error: the output could not be written: No space left on device"
    assert capsys.readouterr().err.splitlines() == [said]


def test_what_a_terminal_has_no_letter_for_is_escaped(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with console.lasting():
        print("1 ± 2 \ud800")
    assert raw.getvalue() == b"1 \\xb1 2 \\ud800\n"


# ---------------------------------------------------------------- lines that fit


@pytest.fixture(params=[60, 80, 120])
def columns(request, monkeypatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def fifty(seeds: int = 2) -> sweep.Sweep:
    rates = [1e-5 * (i + 1) for i in range(25)]
    axes = {"g_estimate.critics": [1, 2], "optim.policy.rate": rates}
    made = sweep.grid(["sac"], axes)
    return sweep.Sweep(
        experiment="x", variants={"toy/lqr": made}, seeds=range(seeds), steps=20_000
    )


def test_progress_of_fifty_variants_fits_a_line(columns, capsys):
    asked = fifty(1)
    agents = tuple(sweep.Agent(v, 0) for v in asked.variants["toy/lqr"])
    group = sweep.Group("toy/lqr", agents)
    tell = progress._Lines(progress._Pace(asked, 0.0))
    for steps, seconds in ((None, 0.0), (10_000, 5.0), (20_000, 6.0)):
        scores = {"return": np.arange(50.0)}
        told = None if steps is None else runner.Report(steps, scores, seconds, [])
        tell(sweep.Progress(1, 1, group, told))
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].endswith(": compiling ...")
    assert (" and 49 more, 50 agents" in lines[0]) == (columns > 60)
    assert "  20,000 of 20,000 steps  returns 0.00 to 49.0" in lines[2]
    assert ("0:00 left" in lines[2]) == (columns == 120)


def test_a_dry_run_names_its_programs_and_what_keeps_them_apart(columns, capsys):
    found = sweep.plan(fifty())
    assert [each.differs for each in found.each] == [
        {"g_estimate.critics": 1}, {"g_estimate.critics": 2}
    ]  # fmt: skip
    assert [(len(e.variants), e.agents, e.env_steps) for e in found.each] == [
        (25, 50, 1_000_000)
    ] * 2
    assert sum(e.gradient_steps for e in found.each) == found.gradient_steps > 0
    assert max(e.memory_bytes for e in found.each) == found.memory_bytes
    lines = plans.lines(found)[len(found.lines()) :]
    names = [line for line in lines if not line.startswith(" " * 5)]
    assert [name.split(".", 1)[0].strip() for name in names] == ["1", "2"]
    for name, each in zip(names, found.each, strict=True):  # as the rows have it, whole
        assert name.partition(". ")[2].startswith(f"{each.variants[0]}")
    assert max(len(line) for line in lines if line not in names) <= columns
    assert "and 24 more, toy/lqr" in " ".join(lines[:2])
    assert "     g_estimate.critics=1" in lines


def test_a_field_below_a_choice_that_differs_is_not_named():
    made = sweep.grid(["awr", "sac"], {"pi_theta": ["Gaussian", "TanhGaussian"]})
    asked = sweep.Sweep(
        experiment="x", variants={"toy/lqr": made}, seeds=[0], steps=5000
    )
    found = {each.variants[0]: each.differs for each in sweep.plan(asked).each}
    assert found["sac/pi_theta=Gaussian"] == {
        "pi_theta": "Gaussian", "bounds": "BoundCost"
    }  # fmt: skip
    # static: what keeps compiled programs apart is what is named, all of it
    for variant in made:
        traced = schema.override(variant.config, {"optim.policy.rate": 0.5})
        assert schema.statics(traced) == schema.statics(variant.config)


def test_programs_that_differ_in_their_task_alone_are_told_together(capsys):
    args = ["--algorithms=sac", "--tasks=toy/lqr,toy/chain", "--steps=1000"]
    assert sweep_command.main([*args, "--set=pi_theta=Softmax"]) == 2
    capsys.readouterr()
    args[1] = "--tasks=toy/lqr,gym/Pendulum-v1"
    assert sweep_command.main([*args, "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert "  1. sac, on each of 2 tasks\n     agents: 2; memory: " in out


def test_a_program_cut_by_memory_is_one_of_several_runs():
    (sac,) = sweep.presets(["sac"])
    asked = sweep.Sweep(
        experiment="x", variants={"toy/lqr": [sac]}, seeds=range(4), steps=1000
    )
    (whole,) = sweep.plan(asked).each
    found = sweep.plan(asked, memory=whole.memory_bytes // 2)
    lines = plans.lines(found)[len(found.lines()) :]
    assert lines[0] == "  1. sac, toy/lqr, 2 runs one after the other"
    assert lines[1].startswith("     agents: 4; ") and len(lines) == 3


# ---------------------------------------------------------------- flags


@pytest.mark.parametrize(
    "text, seeds",
    [
        ("3", (0, 1, 2)),
        ("1e1", tuple(range(10))),
        ("4-7", (4, 5, 6, 7)),
        ("4,5", (4, 5)),
        ("4,", (4,)),
        ("7-7", (7,)),
        ("0-3, 8", (0, 1, 2, 3, 8)),
    ],
)
def test_seeds_are_a_number_or_named(text, seeds, monkeypatch):
    made = []
    monkeypatch.setattr(train.running, "run_sweep", lambda _, asked: made.append(asked))
    assert train.main([*TRAIN, f"--seeds={text}"]) == 0
    assert made[0].seeds == seeds


MISTAKES = [
    ("--seeds=7-4", "--seeds has 7-4: write 4-7."),
    ("--seeds=0-99999999999", "at most 10,000 seeds"),
    ("--seeds=0-2,2", "seed 2 is there 2 times"),
    ("--seeds=-1", "a whole number of 1 to 10,000, or say which: 4-7, or 4,5."),
    ("--seeds=a-b", "--seeds is 'a-b': it must be a whole number of 1 to 10,000"),
    ("--dry_run=maybe", "--dry_run is 'maybe': it must be true or false.\n"),
    ("--engine=slrum", "it must be one of local, ray, slurm; did you mean 'slurm'?"),
    ("--lease=x", "--lease is 'x': it must be a number >= 0.1.\n"),
    ("--env=x", "--env is not a flag of this command; did you mean --task?"),
    ("--total-timesteps=9", "did you mean --steps?"),
    ("--seed=1", "did you mean --seeds?"),
    ("--gamma=0.9", "did you mean --set=g_estimate.discount=0.9?"),
    ("--lr", "did you mean --set=optim.policy.rate=...?"),
    ("--g_estimate.critics=1", "did you mean --set=g_estimate.critics=1?"),
    ("--quux=1", "--quux is not a flag of this command.\n"),
]


@pytest.mark.parametrize("flag, words", MISTAKES)
def test_a_flag_of_another_program_is_answered_with_ours(flag, words, capsys):
    assert train.main([*TRAIN, flag]) == 2
    assert words in capsys.readouterr().err


def test_a_flag_is_of_the_command_and_a_field_of_the_algorithm(capsys):
    assert report.main(["--lr=1"]) == 2
    assert capsys.readouterr().err == "error: --lr is not a flag of this command.\n"
    assert train.main(["--algorithm=rwr", *TRAIN[1:], "--n_critics=1"]) == 2
    assert "--set=" not in capsys.readouterr().err  # RWR has no critics
    assert "g_estimate.critics" not in dict(schema.paths(algorithms.rwr()))


# ---------------------------------------------------------------- variables


@pytest.mark.parametrize("given", [{"JAX_PLATFORMS": "cuda"}, {}])
def test_without_a_device_the_variable_is_named(given, monkeypatch, capsys, tmp_path):
    def none():
        raise AssertionError  # as JAX does

    for name in ("JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jax, "local_devices", none)
    words = "JAX_PLATFORMS is 'cuda'" if given else "no variable names a device"
    with pytest.raises(ConfigError, match=words):
        devices.available()
    with pytest.raises(ConfigError, match=words):
        api.train(["sac"], task="toy/lqr", steps=10, workdir=tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert train.main(TRAIN) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_fault_that_is_no_devices_stays_a_traceback():
    def run(_):
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        train.command.execute("", lambda _: None, run, [])


def test_memory_that_is_short_is_one_sentence(capsys):
    def run(_):
        raise MemoryError("Unable to allocate\n9 GiB")

    assert train.command.execute("", lambda _: None, run, []) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: memory is short (Unable to allocate 9 GiB): ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "name, value, status",
    [
        ("JAX_PLATFORMS", "foo", 2),
        ("JAX_NUM_CPU_DEVICES", "abc", 2),
        ("XLA_FLAGS", "--no_such_flag", 2),
        pytest.param(
            "XLA_FLAGS",
            "--xla_force_host_platform_device_count=abc",
            2,
            marks=pytest.mark.long,
        ),
        pytest.param("MPLBACKEND", "foo", 2, marks=pytest.mark.long),
    ],
)
def test_a_wrong_variable_is_one_sentence(name, value, status):
    done = subprocess.run(
        [sys.executable, "-m", "coadapt", "train", *TRAIN],
        env=os.environ | {name: value}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == status
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert f"{name} is {value!r}" in done.stderr


@pytest.mark.parametrize("place", ["file/x", "new/x"])
def test_a_cache_that_cannot_be_written_is_one_line(place, tmp_path, capsys):
    """The run goes on without: JAX would warn at each program."""
    (tmp_path / "file").write_text("mine")
    least = "jax_persistent_cache_min_compile_time_secs"
    names = "jax_enable_compilation_cache", "jax_compilation_cache_dir", least
    before = {name: getattr(jax.config, name) for name in names}
    try:
        jax.config.update(least, 9.0)
        compiled.keep_in(tmp_path / place)
        kept, seconds = (
            jax.config.jax_enable_compilation_cache,
            getattr(jax.config, least),
        )
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
    said = capsys.readouterr().err
    assert seconds == (0 if kept else 9)  # the smallest program is kept
    assert kept == (place == "new/x") and said.count("\n") == (not kept)
    assert kept or (str(tmp_path / place) in said and "--compile_cache" in said)


@pytest.mark.parametrize("home", [None, "/nowhere"])
def test_a_home_that_is_not_known_is_one_sentence(home, monkeypatch, capsys):
    if home is None:  # and no name for the user
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.delenv("COADAPT_CACHE", raising=False)
        monkeypatch.setattr("posixpath.expanduser", lambda path: path)
        assert train.main(TRAIN) == 2
        assert "--compile_cache is '~/.cache/coadapt/xla': " in capsys.readouterr().err
    monkeypatch.setenv("COADAPT_CACHE", "~nobody-of-this-name/x")
    assert train.main(TRAIN) == 2
    assert "COADAPT_CACHE is '~nobody-of-this-name/x': " in capsys.readouterr().err
    assert train.main([*TRAIN, "--compile_cache="]) == 0


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain \u00e9 \U0001f600", "plain \u00e9 \U0001f600"),
        ("a\tb\r\nc\x0bd", "a b  c d"),
        ("\x1b[31mred\x1b[0m\x07", "\\x1b[31mred\\x1b[0m\\x07"),
        ("\u202egnp.exe\u2028", "\\u202egnp.exe "),
        ("\ud800\x9b", "\\ud800\\x9b"),
    ],
)
def test_what_is_said_commands_no_terminal(text, shown, capsys):
    assert console.printable(text) == shown and shown.isprintable()
    notes.note(text)
    assert capsys.readouterr().err == f"{shown}\n"

    def run(_):
        raise ConfigError(text)

    assert train.command.execute("", lambda _: None, run, []) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.rstrip("\n").isprintable()
