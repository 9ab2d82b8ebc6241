"""What is asked of processes that run programs, and what of it is refused."""

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from coadapt.cli import sweep, train, workers
from coadapt.distributed import engines, local
from coadapt.distributed.engines import LOCAL, RAY, Options
from coadapt.schema import ConfigError

CHEAP = ["--task=toy/lqr", "--steps=100"]


def options(**given) -> Options:
    usual = {"engine": LOCAL, "workers": 2, "address": None, "gpus": 0}
    return Options(**usual | {"memory": None} | given)


@pytest.mark.parametrize(
    "text, number",
    [
        (None, None), ("1000", 1000), ("2k", 2048), ("80GiB", 80 * 2**30),
        ("80 gb", 80 * 2**30), ("1.5M", 3 * 2**19), ("1t", 2**40),
    ],
)  # fmt: skip
def test_bytes_are_read(text, number):
    assert workers.bytes_of(text) == number


@pytest.mark.parametrize("text", ["", "-1", "0", "much", "1.2.3G", "80PiB", "9" * 400])
def test_what_is_no_number_of_bytes_is_refused(text):
    with pytest.raises(ConfigError, match=r"--device_memory is .* such as 80GiB"):
        workers.bytes_of(text)


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({"gpus": 1}, [["0"], ["1"]]),
        ({"gpus": 1, "workers": 0}, [["0"], ["1"], ["2"], ["3"], ["4"]]),
        ({"gpus": 2, "workers": 0}, [["0", "1"], ["2", "3"]]),
        ({"gpus": 2, "workers": 3}, None),
        ({"gpus": 8, "workers": 0}, None),
    ],
)
def test_each_process_has_gpus_of_its_own(asked, expected, monkeypatch):
    monkeypatch.setattr(engines, "_gpus", lambda: [(str(i), 100) for i in range(5)])
    if expected is None:
        with pytest.raises(ConfigError, match="this machine has 5 GPUs"):
            engines.shares(options(**asked))
        return
    assert engines.shares(options(**asked)) == expected
    assert engines.memory(options(**asked)) == 80  # a fifth is left free


@pytest.mark.parametrize(
    "said, found",
    [
        ("echo '0, GPU-a, 81559'; echo '1, GPU-b, 9'", [("0", 81559), ("1", 9)]),
        ("echo '0, GPU-a, [N/A]'", [("0", 0)]),  # it has the machine's
        ("echo 'NVIDIA-SMI has failed because the driver'; exit 9", []),
    ],
)
def test_the_driver_is_asked(said, found, tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert engines._gpus() == [(name, size * 2**20) for name, size in found]


def test_a_gpu_whose_memory_nobody_knows_is_asked_for(monkeypatch):
    monkeypatch.setattr(engines, "_gpus", lambda: [])
    with pytest.raises(ConfigError, match="--device_memory is missing"):
        engines.memory(options(gpus=1))
    assert engines.memory(options(gpus=1, memory=7)) == 7


def test_processes_share_cores_and_memory(monkeypatch):
    monkeypatch.delenv("JAX_NUM_CPU_DEVICES", raising=False)
    monkeypatch.setattr(engines.devices, "cores", lambda: 8)
    monkeypatch.setattr(engines.sweep, "available_memory", lambda: 800)
    assert [engines.number(options(workers=n)) for n in (1, 3, 20)] == [8, 2, 1]
    assert engines.number(options(engine=RAY)) == 1
    assert engines.memory(options(workers=4)) == 200
    assert engines.memory(options(engine=RAY)) == 100


@pytest.mark.parametrize(
    "main, flags, words",
    [
        (train.main, ["--ray_address=auto"], "--ray_address applies to Ray"),
        (train.main, ["--workers=-1"], "--workers is '-1'"),
        (train.main, ["--engine=torque"], "engine"),
        (train.main, ["--workers=2", "--save_dataset=a/b-v0"], "leave out --workers"),
        (train.main, ["--workers=2", "--device_memory=x"], "--device_memory is 'x'"),
        (sweep.main, ["--workers=2", "--lease=0"], "lease"),
    ],
)
def test_a_mistake_is_a_sentence_before_anything_starts(
    main, flags, words, tmp_path, capsys
):
    name = "algorithm" if main is train.main else "algorithms"
    folder = tmp_path / "run"
    assert main([f"--{name}=sac", *CHEAP, f"--workdir={folder}", *flags]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not folder.exists()


def test_workers_get_the_flags_that_are_theirs(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        workers.engines, "run", lambda *each, **_: given.append(each) or ([], {})
    )
    monkeypatch.setattr(train.running.report, "make", lambda *_, **__: None)
    flags = ["--workers=2", "--import=string", "--compile_cache=", "--lease=9"]
    asked = ["--algorithm=sac", *CHEAP, f"--workdir={tmp_path / 'run'}"]
    assert train.main([*asked, *flags]) == 0
    ((_, _, found, _),) = given
    assert list(found.flags) == ["--lease=9.0", "--compile_cache=", "--import=string"]


def test_a_process_is_not_told_by_what_one_before_it_said(tmp_path, monkeypatch):
    """They write to one log."""
    script, record = tmp_path / "python", SimpleNamespace(folder=tmp_path / "program")
    record.folder.mkdir()
    script.write_text("#!/bin/sh\ncat said; exit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(local.sys, "executable", str(script))
    monkeypatch.chdir(tmp_path)
    unit: Any = SimpleNamespace(record=record, job=SimpleNamespace(devices=1))
    with contextlib.closing(local.Local(tmp_path, 1)) as engine:
        for said in ("error: the disk is full\n", "Traceback\nMemoryError\n"):
            (tmp_path / "said").write_text(said)
            engine.start(unit)
            while not (found := engine.ended(0.02)):
                pass
            words = said.splitlines()[-1].removeprefix("error: ")
            assert found == [("program", 1, words)]
