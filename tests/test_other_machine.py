"""Going on elsewhere: what is refused, what is said, and what is never pooled.

Sessions of other machines are made up, in the manifest or where an attempt says it. In
the place of the training is the number of `test_store_model`.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import coadapt
from coadapt import envs, runner
from coadapt import sweep as sweeps
from coadapt.data import offline
from coadapt.data.offline import folders
from coadapt.report import run_data, sections
from coadapt.runs import attempts, files, manifest, provenance, store, trained_agent
from coadapt.runs.store import Cell
from coadapt.schema import ConfigError
from coadapt.sweep import Checkpoints, Sweep, Variant
from coadapt.types import Transition
from tests.recipes import small
from tests.test_store_model import Disk, stubs

TASK = "toy/lqr"
ONE = Variant("one", "sac", small("sac"))
HERE = "AVX2"  # whatever the tests run on
ALL = Checkpoints(share=float("inf"))


@pytest.fixture(autouse=True)
def _stubbed(monkeypatch):
    monkeypatch.setattr(provenance, "instructions", lambda: HERE)
    with stubs(Disk(lambda: None)):
        yield


def asked(steps=40, seeds=(0, 1), variant=ONE):
    return Sweep(
        experiment="e",
        variants={TASK: (variant,)},
        seeds=seeds,
        steps=steps,
        eval_every=10,
        eval_episodes=1,
        checkpoint_every=20,
    )


def run(folder, *, stop=False, tell=lambda _: None, allow=False, **of):
    """A session; one that is to stop does so at its first checkpoint."""
    times = iter(range(10))
    return sweeps.run(
        asked(**of),
        folder,
        tell,
        checkpoints=ALL,
        stop=lambda: stop and next(times) > 0,
        allow_other_machine=allow,
    )


@pytest.fixture
def begun(tmp_path):
    """A run of two seeds that has come to 20 of 40 env steps."""
    with pytest.raises(runner.Interrupted):
        run(tmp_path / "run", stop=True)
    return tmp_path / "run"


def change(path, edit):
    """A file of the store, its checksum being right."""
    data = files.unsealed(path)
    edit(data)
    files.replace(path, files.sealed(data))


def as_of(folder, said, session=-1):
    """As if a session had said so; of versions, these; None: as if it had not."""

    def edit(data):
        there = data["sessions"][session]
        for name, value in said.items():
            if name == "versions":
                there[name] = {**there[name], **value}
            else:
                there[name] = value
            if value is None:
                del there[name]

    change(folder / store.MANIFEST, edit)


def homes(folder):
    return [home for each in attempts.programs(folder) for home in each.attempts()]


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder, *, allow=False, **of):
    """The sentence, with nothing changed; a plan says the same."""
    before = contents(folder)
    with pytest.raises(ConfigError) as error:
        run(folder, allow=allow, **of)
    assert contents(folder) == before
    text = str(error.value)
    with pytest.raises(ConfigError) as planned:
        sweeps.require_admitted(asked(**of), folder, allow_other_machine=allow)
    assert str(planned.value) == text and contents(folder) == before
    assert text.endswith(".") and ". " not in text and "\n" not in text
    return text


JAXLIB = importlib.metadata.version("jaxlib")
CPU = f"cpu, {platform.machine()}"
# what the session says of there; how that is refused; how to have it here
OTHERS = [
    ({"versions": {"jaxlib": "0.1"}}, f"jaxlib 0.1 (here: {JAXLIB})", "jaxlib==0.1"),
    (
        {"instructions": "AVX"},
        "instruction set AVX (here: AVX2)",
        "XLA_FLAGS=--xla_cpu_max_isa=AVX",
    ),
    # there is no way to have more than the CPU has
    ({"instructions": "AMX"}, "instruction set AMX (here: AVX2)", ""),
    ({"device": "gpu, H200"}, f"device gpu, H200 (here: {CPU})", ""),
    ({"device": "cpu, riscv, 9 cores"}, f"device cpu, riscv (here: {CPU})", ""),
]


@pytest.mark.parametrize(
    ("said", "differs", "back"), OTHERS, ids=[o[1] for o in OTHERS]
)
def test_what_decides_bits_is_refused_without_the_flag(begun, said, differs, back):
    as_of(begun, said)
    sentence = refused(begun)
    assert f"was computed with {differs}, and" in sentence
    ways = f"go on where it was{f' or with {back}' if back else ''}, choose another"
    assert ways in sentence and "--allow_other_machine" in sentence
    assert run(begun, allow=True) == 2
    assert run(begun) == 0  # what is finished needs nothing
    assert run(begun, steps=60) == 2  # and what goes on, goes on from here


def test_a_plan_is_of_what_would_run(begun):
    assert sweeps.require_admitted(asked(), begun) == 0
    as_of(begun, {"instructions": "AVX"})
    assert sweeps.require_admitted(asked(), begun, allow_other_machine=True) == 0
    assert sweeps.require_admitted(asked(), begun, elsewhere=True) == 0
    before = contents(begun)
    with store.owned(begun), pytest.raises(ConfigError, match="in use by process"):
        sweeps.require_admitted(asked(), begun, allow_other_machine=True)
    assert contents(begun) == before
    run(begun, allow=True)
    assert sweeps.require_admitted(asked(), begun) == 2


def test_all_that_differs_is_in_one_sentence(begun):
    as_of(begun, {"versions": {"jaxlib": "0.1"}, "instructions": "AVX"})
    sentence = refused(begun)
    assert f"jaxlib 0.1 (here: {JAXLIB}), instruction set AVX (here: AVX2)" in sentence
    assert "or with jaxlib==0.1 and XLA_FLAGS=--xla_cpu_max_isa=AVX," in sentence


# what does not decide bits; and what an older version did not note
FREE = [
    {"host": "b"},
    {"commit": "c0de", "changed": "beef"},
    {"xla_flags": "--xla_dump_to=x"},
    {"versions": {"python": "3.1", "jax": "0.1"}},
    {"device": f"{CPU}, 999 cores"},
    {"devices": 7},  # of which the program had as many as it has here
    {"instructions": None},
    {"instructions": ""},
]


@pytest.mark.parametrize("said", FREE, ids=str)
def test_what_does_not_goes_on(begun, said):
    as_of(begun, said)
    assert run(begun) == 2


def test_another_number_of_devices_is_refused_of_a_whole_program(begun):
    (home,) = homes(begun)
    change(home / attempts.ATTEMPT, lambda data: data.update(devices=1))
    sentence = refused(begun)
    assert "number of devices 1 (here: 2)" in sentence
    assert "or with JAX_NUM_CPU_DEVICES=1 on a CPU," in sentence
    # a part of it rounds by its own size in any case
    assert run(begun, seeds=(0,)) == 1
    assert run(begun, allow=True) == 1


def test_a_part_of_a_program_is_of_its_machine_too(begun):
    as_of(begun, {"instructions": "AVX"})
    assert "instruction set" in refused(begun, seeds=(0,))


def test_an_agent_is_of_one_version_of_its_simulator(begun):
    (home,) = homes(begun)
    change(home / attempts.ATTEMPT, lambda data: data.update(provider="toys 1"))
    assert f"provider toys 1 (here: {envs.spec(TASK).provider})" in refused(begun)
    assert run(begun, allow=True) == 2


def test_an_attempt_of_an_older_version_says_nothing_of_it(begun):
    (home,) = homes(begun)
    change(home / attempts.ATTEMPT, lambda data: [data.pop(n) for n in MADE])
    assert run(begun) == 2


MADE = ("devices", "provider")


def test_nor_does_one_whose_note_is_damaged(begun):
    (home,) = homes(begun)
    (home / attempts.ATTEMPT).write_text("{}")
    assert run(begun) == 2


def test_what_counts_is_the_attempt_that_it_goes_on_from(begun, monkeypatch):
    """Elsewhere it was begun and came to no checkpoint: here it goes on as if not."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(provenance, "instructions", lambda: "AMX")
        with pytest.raises(KeyboardInterrupt):
            run(begun, allow=True, tell=interrupt)
        assert "instruction set AVX2 (here: AMX)" in refused(begun)
    assert len(homes(begun)) == 2
    assert run(begun) == 2


def interrupt(event):
    raise KeyboardInterrupt


def test_new_programs_of_a_store_may_be_of_another_machine_and_it_is_said(begun):
    assert run(begun) == 2
    as_of(begun, {"instructions": "AVX", "host": "b"})
    told = []
    assert run(begun, seeds=(0, 1, 2), tell=told.append) == 1
    here = manifest.sessions(begun)[-1]["host"]
    said = f"instruction set: AVX (1), AVX2 (2); host: b (1), {here} (2)"
    assert told[0].sessions == said
    found = run_data.read(begun)
    facts = dict(sections.facts(found))
    assert facts["sessions"] == f"the rows' sessions differ in {said}."
    assert "simulators" not in facts


def test_sessions_that_agree_are_not_spoken_of(begun):
    told = []
    assert run(begun, tell=told.append) == 2
    assert told[0].sessions == ""
    assert "sessions" not in dict(sections.facts(run_data.read(begun)))


def test_sessions_are_compared_by_what_they_say():
    one = {"id": "1", "host": "a", "commit": "c0", "changed": "", "xla_flags": ""}
    two = {**one, "id": "2", "commit": "c0", "changed": "d1", "xla_flags": "--x"}
    assert provenance.compared([one, two]) == (
        "commit: c0 (1), c0 and changes d1 (2); XLA_FLAGS: none (1), --x (2)"
    )
    old = {"id": "3", "host": "a", "commit": ""}
    assert provenance.compared([one, old]) == ""
    assert provenance.compared([]) == ""
    installed = {**old, "changed": "d2"}
    assert provenance.compared([one, installed]) == (
        "commit: c0 (1), none and changes d2 (3)"
    )


@pytest.mark.parametrize("checkout", [True, False])
def test_code_is_told_by_its_files_where_no_commit_tells_it(
    checkout, tmp_path, monkeypatch
):
    """An installed package, and a file of a checkout that git does not know yet."""
    monkeypatch.setattr(provenance, "_PACKAGE", tmp_path)
    (tmp_path / "version.py").write_text("1")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        if checkout:
            subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    said = [provenance._code.__wrapped__()]
    for content in ("a", "b", "a"):
        (tmp_path / "own.py").write_text(content)
        said.append(provenance._code.__wrapped__())
    assert len({one["commit"] for one in said}) == 1
    assert bool(said[0]["commit"]) == checkout == (not said[0]["changed"])
    changed = [one["changed"] for one in said]
    assert len(set(changed)) == 3 and changed[1] == changed[3]


CPUINFO = """\
processor\t: 0
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R)  Xeon(R) Platinum 8481C CPU
flags\t\t: fpu sse4_2 avx2 avx512f amx_tile avx512_vnni

processor\t: 1
model name\t: another
flags\t\t: fma
"""


def test_a_session_notes_the_cpus_model_and_its_wide_instructions():
    """Of the first core; a virtual machine may be told no numbers, an ARM no model."""
    model = "Intel(R) Xeon(R) Platinum 8481C CPU"
    wide = "avx2, avx512f, avx512_vnni, amx_tile"
    assert provenance.cpu_of(CPUINFO) == f"{model}, family 6, model 143: {wide}"
    assert provenance.cpu_of("model name : QEMU\nflags : fpu\n") == "QEMU"
    assert provenance.cpu_of("") == provenance.cpu_of("processor : 0\n") == ""
    assert provenance.here()["cpu"] == provenance.cpu()
    one, two = {"id": "1", "cpu": "A: avx2"}, {"id": "2", "cpu": "B"}
    assert provenance.compared([one, two]) == "CPU: A: avx2 (1), B (2)"
    assert "CPU" not in provenance.deciding(one)  # it is said, and refuses nothing


@pytest.mark.skipif(platform.machine() != "x86_64", reason="XLA's names are of x86")
def test_the_instruction_set_is_what_xla_uses():
    """Every x86 CPU has SSE 4.2, and XLA keeps to what its flag allows."""
    code = "from coadapt.runs import provenance; print(provenance.instructions())"
    env = os.environ | {
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env
    )
    assert done.stdout == "SSE4_2\n", done.stderr


# ---------------------------------------------------------------- data sets

DATA = "lqr/pool-v0"
OFFLINE = Variant("brac", "brac", small("brac", data__dataset=DATA))


def put(scale):
    """The data set, in the place of one that was there."""
    shutil.rmtree(folders.minari_folder() / DATA, ignore_errors=True)
    spec, rng = envs.spec(TASK), np.random.default_rng(0)
    obs = rng.normal(size=(65, spec.obs_size)).astype(np.float32)
    action = rng.uniform(-1, 1, (64, spec.action_size)).astype(np.float32)
    ones, last = np.ones(64, np.float32), np.zeros(64, bool)
    numbers = (obs[:-1], action, scale * ones, ones, last, obs[1:])
    run = Transition(*numbers)  # type: ignore[arg-type]
    offline.write(DATA, spec, [run], about="A test's.")


def test_another_hash_of_the_data_set_is_always_refused(tmp_path):
    put(1.0)
    one = {"variant": OFFLINE}
    assert run(tmp_path / "run", **one) == 2
    noted = json.loads((tmp_path / "run" / store.MANIFEST).read_text())
    there = noted["variants"][TASK]["brac"]["dataset"]
    assert there == offline.digest(DATA, envs.spec(TASK)) and len(there) == 16
    put(1.0)  # the same numbers in new files are the same
    assert run(tmp_path / "run", seeds=(0, 1, 2), **one) == 1
    put(2.0)
    now = offline.digest(DATA, envs.spec(TASK))
    for of in ({}, {"steps": 60}, {"seeds": (9,)}, {"allow": True}):
        said = f"data set {DATA!r} has hash {there} there, and {now} now"
        assert said in refused(tmp_path / "run", **of, **one)
    header = store.load(tmp_path / "run")
    found = SimpleNamespace(clock=SimpleNamespace(steps=40))
    with pytest.raises(
        trained_agent.NoReplayError, match=f"learned from, of hash {there}"
    ):
        trained_agent._replay(None, header, None, Cell(TASK, "brac", 0), found)


def test_a_store_that_has_no_hash_is_given_one(tmp_path):
    put(1.0)
    assert run(tmp_path / "run", variant=OFFLINE) == 2

    def older(data):
        del data["variants"][TASK]["brac"]["dataset"]

    change(tmp_path / "run" / store.MANIFEST, older)
    assert run(tmp_path / "run", variant=OFFLINE, seeds=(0, 1, 2)) == 1
    put(2.0)
    assert "has hash" in refused(tmp_path / "run", variant=OFFLINE)


def test_what_learns_from_no_data_set_has_no_hash(begun):
    noted = json.loads((begun / store.MANIFEST).read_text())
    assert set(noted["variants"][TASK]["one"]) == {"algorithm", "fingerprint", "config"}


def test_the_flag_is_an_argument_of_train(tmp_path):
    again = {
        "variants": {"one": ONE.config}, "task": TASK, "seeds": 2, "eval_every": 10,
        "eval_episodes": 1, "checkpoint_every": 20, "workdir": tmp_path / "run",
        "progress": None,
    }  # fmt: skip
    coadapt.train(steps=20, **again)
    as_of(tmp_path / "run", {"instructions": "AVX"})
    with pytest.raises(ConfigError, match="allow_other_machine=True"):
        coadapt.train(steps=40, **again)
    rows = coadapt.train(steps=40, allow_other_machine=True, **again)
    assert rows.env_steps.max() == 40
