"""Mistakes at every door: one sentence, exit status 2, and nothing has happened."""

import copy
import json
import random
import re
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import coadapt
from coadapt import algorithms, runner, schema, sweep
from coadapt.cli import bench, hybrids, report, tasks, taxonomy, train
from coadapt.cli import sweep as sweep_command
from coadapt.config import Config
from coadapt.runs import store
from coadapt.schema import ConfigError

OK = {"algorithm": "sac", "task": "toy/lqr", "steps": "60", "workdir": "{new}"}
STORED = {"workdir": "{store}", "eval_every": "30", "eval_episodes": "1"}
COUNTS = ("steps", "seeds", "eval_every", "eval_episodes", "checkpoint_every", "keep")
BOX = spaces.Box(-1, 1, (2,), np.float32)
SPACES = {  # observations, actions
    "DictObs": (spaces.Dict(a=BOX), BOX),
    "TupleObs": (spaces.Tuple([BOX]), BOX),
    "TextObs": (spaces.Text(3), BOX),
    "DiscreteObs": (spaces.Discrete(4), BOX),
    "MultiDiscrete": (BOX, spaces.MultiDiscrete([2, 3])),
    "MultiBinary": (BOX, spaces.MultiBinary(3)),
    "Endless": (BOX, spaces.Box(-np.inf, np.inf, (1,), np.float32)),
    "NoLimit": (BOX, BOX),
}
CONFIGS = {
    "torn": b"{",
    "empty": b"",
    "list": b"[]",
    "number": b"3",
    "null": b"null",
    "nothing": b"{}",
    "deep": b"[" * 100_000,
    "pickle": b"\x80\x04\x95\x0f\x00\x00\x00cposix\nsystem\n.",
    "field": b'{"pi_z": 1}',
    "kind": b'{"pi_q": {"kind": "Parametrik"}}',
    "nan": b'{"pi_q": NaN}',
    "twice": b'{"g": {"kind": "Q"}, "g": {"kind": "SoftQ"}}',
}


OLD = Path(__file__).parents[1] / "data" / "store_format_3"
SPOILT = {  # a file of an older store, what stands there, and what then does instead
    "word": (store.FAILURES, r"\Z", "toy/lqr,sac,0,30,many,policy,\n"),
}


class Strange(gymnasium.Env):
    def __init__(self, name: str, **_):
        self.observation_space, self.action_space = SPACES[name]


def changed(**flags: str | None) -> list[str]:
    """The flags of a run that would work, but for these."""
    found = OK | flags
    return [f"--{k}={v}" for k, v in found.items() if v is not None]


def setting(*changes: str) -> list[str]:
    return [*changed(), *(f"--set={change}" for change in changes)]


def config(name: str, **flags: str | None) -> list[str]:
    return changed(algorithm=None, config=f"{{configs}}/{name}.json", **flags)


def grid(*words: str) -> list[str]:
    return [
        "--algorithms=sac",
        "--task=toy/lqr",
        "--steps=60",
        "--workdir={new}",
        *words,
    ]


# flags, and what the sentence has to say: the name, what came, what is allowed
TRAIN: list[tuple[list[str], list[str]]] = [
    *(
        (changed(**{name: value}), [f"--{name}", repr(value), "whole number"])
        for name in COUNTS
        for value in ("-1", "1.5", "nan", "inf", "many", "1e30")
    ),
    *((changed(**{n: "0"}), [f"--{n}", "'0'", "1 to"]) for n in COUNTS if n != "keep"),
    *((changed(**{n: ""}), [f"--{n} is missing"]) for n in (*COUNTS, *OK)),
    *((changed(**{n: None}), [f"--{n} is missing"]) for n in OK),
    ([*changed(), "--seedz=3"], ["--seedz is not a flag", "--seeds?"]),
    ([*changed(), "more"], ["'more'", "--name=value"]),
    ([*changed(), "--quiet=perhaps"], ["quiet", "perhaps"]),
    (changed(algorithm="sacc"), ["'sacc'", "mpo", "did you mean 'sac'?"]),
    (changed(algorithm="SAC"), ["'SAC'", "did you mean 'sac'?"]),
    (changed(task="lqr"), ["'lqr'", "family/id", "did you mean 'toy/lqr'?"]),
    (changed(task="toy/lqrr"), ["'toy/lqrr'", "bandit", "did you mean 'toy/lqr'?"]),
    (changed(task="gymm/Hopper-v5"), ["gym, dmc", "did you mean 'gym/Hopper-v5'?"]),
    (changed(task="gym/Hoper-v5"), ["'gym/Hoper-v5'", "did you mean 'gym/Hopper-v5'?"]),
    (changed(task="gym/Hopper-v99"), ["'gym/Hopper-v99'", "version"]),
    (changed(task="gym/"), ["'gym/'", "must be 'gym/Id-v0'"]),
    (changed(task="gym/DictObs-v0"), ["Box of observations", "Dict"]),
    (changed(task="gym/TupleObs-v0"), ["Box of observations", "Tuple"]),
    (changed(task="gym/TextObs-v0"), ["Box of observations", "Text"]),
    (changed(task="gym/DiscreteObs-v0"), ["Box of observations", "Discrete(4)"]),
    (changed(task="gym/MultiDiscrete-v0"), ["Box of floats or Discrete", "Multi"]),
    (changed(task="gym/MultiBinary-v0"), ["Box of floats or Discrete", "MultiB"]),
    (changed(task="gym/Endless-v0"), ["finite box of actions", "inf"]),
    (changed(task="gym/NoLimit-v0"), ["time limit"]),
    (changed(task="gym/CartPole-v1"), ["pi_theta is TanhGaussian", "Softmax"]),
    (setting("g_estimate.critics"), ["'g_estimate.critics'", "path=value"]),
    (setting("=3"), ["'=3'", "path=value"]),
    (setting("g=Q", "g=Q"), ["--set has g twice"]),
    (setting("g_estimate.critcs=1"), ["critcs", "it has", "did you mean 'critics'?"]),
    (setting("nothing=1"), ["nothing is not a field of Config", "it has pi_q"]),
    (setting("a..b=1"), ["a is not a field"]),
    (setting("optim.policy.rate.x=1"), ["optim.policy.rate.x is not a field"]),
    (setting("optim.policy.rate=-1"), ["optim.policy.rate is '-1'", "> 0"]),
    (setting("optim.policy.rate=fast"), ["'fast'", "finite float32 > 0"]),
    (setting("optim.policy.rate=nan"), ["'nan'", "finite"]),
    (setting("g_estimate.discount=1.5"), ["'1.5'", ">= 0 and < 1"]),
    (setting("g_estimate.critics=101"), ["'101'", "<= 100"]),
    (setting("networks.policy.sizes=0"), ["'0'", "tuple", ">= 1"]),
    (setting("networks.policy.sizes=a,b"), ["'a,b'", "tuple"]),
    (setting("networks.policy.activation=rely"), ["'rely'", "did you mean 'relu'?"]),
    (setting("pi_theta=Gausian"), ["'Gausian'", "did you mean 'Gaussian'?"]),
    (setting("pi_theta=Softmax"), ["pi_theta is Softmax", "use pi_q"]),
    (setting("pi_q=None"), ["pi_q is 'None'", "NonParametric or"]),
    (setting("g=Advantage"), ["g_estimate is TD0", "which needs TDLambda"]),
    (setting("data=Trajectories"), ["data is Trajectories", "Replay or Offline"]),
    (setting("data.batch_size=0"), ["data.batch_size is '0'", ">= 1"]),
    (
        setting("data.batch_size=2000000"),
        ["data.capacity is 1000000", "data.batch_size"],
    ),
    (setting("data=Offline"), ["data.dataset is ''"]),
    (setting("data=Offline", "data.dataset=a/b-v0"), ["'a/b-v0'", "no such data set"]),
    (setting("data=Offline", "data.dataset=../x"), ["'../x'", "no such data set"]),
    (setting("networks.policy.sizes=9999999,9999999"), ["GiB for one agent", "lower"]),
    (
        [*setting("data.capacity=2000000000"), "--steps=2000000000"],
        ["GiB for one agent", "lower data.capacity"],
    ),
    (
        setting("data.batch_size=999999", "networks.critic.sizes=1000000"),
        ["GiB for one agent", "lower"],
    ),
    (
        setting("eval_policy=BestOf", "eval_policy.samples=1e9"),
        ["GiB for one agent", "lower"],
    ),
    (
        [*setting("g_estimate.steps=1e9"), "--algorithm=mpo"],
        ["GiB for one agent", "lower"],
    ),
    (setting("schedule.critic_steps=1e9"), ["critic_steps is '1e9'", "<= 100000"]),
    (setting("schedule.policy_steps=1e9"), ["policy_steps is '1e9'", "<= 100000"]),
    (changed(save_dataset="../x"), ["'../x'", "namespace/name-v0"]),
    (changed(save_dataset="x"), ["'x'", "'x-v0'"]),
    (changed(save_dataset="x" * 300 + "-v0"), ["'xxx", "too long", "255 bytes"]),
    (changed(save_dataset=""), ["''", "name-v0"]),
    (
        [*changed(algorithm="brac", save_dataset="name/of-v0")],
        ["'name/of-v0'", "nothing is collected"],
    ),
    (config("torn"), ["torn.json'", "not valid JSON"]),
    (config("empty"), ["empty.json'", "not valid JSON"]),
    (config("deep"), ["deep.json'", "not valid JSON"]),
    (config("pickle"), ["pickle.json'", "not valid JSON"]),
    (config("list"), ["list.json'", "[]", "must be an object with pi_q"]),
    (config("number"), ["3", "must be an object with pi_q"]),
    (config("null"), ["None", "must be an object with pi_q"]),
    (config("nothing"), ["pi_q is missing", "NonParametric"]),
    (config("field"), ["pi_z is not a field", "did you mean 'pi_q'?"]),
    (config("kind"), ["'Parametrik'", "did you mean 'Parametric'?"]),
    (config("twice"), ["twice.json'", "'g' occurs twice"]),
    (config("nan"), ["pi_q is nan", "NonParametric"]),
    (config("gone"), ["gone.json'", "No such file"]),
    (changed(algorithm=None, config="{configs}"), ["it is not a file"]),
    ([*config("list"), "--algorithm=sac"], ["--algorithm and --config", "give one"]),
    (changed(workdir="{configs}/list.json"), ["is a file", "folder"]),
    (changed(workdir="{configs}/list.json/x"), ["cannot be made", "Not a directory"]),
    (changed(workdir="/proc/coadapt"), ["'/proc/coadapt'", "cannot be made"]),
    (changed(workdir="{configs}"), ["not a run store", "choose another"]),
    (changed(workdir="{store}", eval_every="31"), ["eval_every is 30", "31"]),
    ([*changed(**STORED), "--checkpoint_every=9"], ["checkpoint_every is 20000", "9"]),
    (
        [*changed(**STORED), "--set=optim.policy.rate=1"],
        ["optim.policy.rate: 0.0003 there, 1.0 here", "choose another workdir"],
    ),
    (changed(workdir="{damaged}"), ["manifest.json'", "damaged"]),
    (changed(workdir="{word}"), ["format 3", "choose another workdir"]),
    (changed(workdir="{new}/run[1]"), ["'['", "checkpoints cannot be read"]),
]  # fmt: skip
SWEEP: list[tuple[list[str], list[str]]] = [
    (["--workdir={new}"], ["--algorithms is missing"]),
    (["--algorithms=sac", "--steps=60", "--workdir={new}"], ["--task is missing"]),
    (grid("--algorithms=,"), ["--algorithms is missing"]),
    (grid("--algorithms=sac,sac"), ["'sac' is there 2 times", "names must differ"]),
    (grid("--algorithms=sac,sacc"), ["'sacc'", "did you mean 'sac'?"]),
    (grid("--tasks=toy/lqr"), ["--task and --tasks", "give one"]),
    (grid("--task=", "--tasks=toy/lqr,toy/lqr"), ["'toy/lqr' is given twice"]),
    (["--experiment=quikstart"], ["'quikstart'", "did you mean 'quickstart'?"]),
    (["--experiment=quickstart", "--grid=a=1"], ["--grid and --experiment"]),
    (["--experiment=quickstart", "--algorithms=sac"], ["--algorithms and --exp"]),
    (["--experiment=quickstart"], ["--workdir is missing"]),
    (grid("--grid=g_estimate.critics="), ["g_estimate.critics is []", "one value"]),
    (grid("--grid=g_estimate.critics=1,1"), ["there 2 times", "names must differ"]),
    (grid("--grid=g_estimate.critics"), ["path=value"]),
    (grid("--grid=optim.policy.rate=1e-3,0.001"),
     ["rate=1e-3 and", "rate=0.001 are one config", "once"]),
    (grid("--grid=data.overlap=true,on"), ["overlap=on are one config"]),
    (grid("--grid==1,2"), ["'=1,2'", "path=value"]),
    (grid("--grid=nothing=1,2"), ["nothing is not a field"]),
    (grid("--max_seeds=32"), ["--max_seeds applies to seeds until decided"]),
    (grid("--margin=0"), ["--margin is '0'", "positive number"]),
    (
        grid("--task=gym/Hoper-v5", "--algorithms=sac,mpo", "--seeds=16",
             "--grid=g_estimate.critics=1,2", "--until=decided"),
        ["did you mean 'gym/Hopper-v5'?"],
    ),
    (grid("--grid=g_estimate.critics=1,x"), ["critics is 'x'", "int >= 1"]),
    (grid("--grid=pi_theta=Gaussian,Gausian"), ["did you mean 'Gaussian'?"]),
    (grid("--grid=g=Q,SoftQ", "--grid=g=Q"), ["--grid has g twice"]),
    (grid("--algorithms=sac,mpo", "--set=pi_q_update.temperature.target=1"),
     ["temperature.target is not a field of KLTemperature"]),
]  # fmt: skip
OTHERS = [
    (report, [], ["--workdir is missing"]),
    (report, ["--workdir={new}"], ["not a run store"]),
    (report, ["--workdir={configs}"], ["not a run store"]),
    (report, ["--workdir={damaged}"], ["damaged"]),
    (taxonomy, ["--table=7"], ["'7'", "1 or 4"]),
    (taxonomy, ["--format=word"], ["'word'", "text, markdown, csv"]),
    (hybrids, ["--table=x"], ["'x'", "matrix or refusals"]),
    (hybrids, ["--format=word"], ["'word'", "text, markdown, csv"]),
    (bench, ["--agents=0"], ["'0'", "1 or more"]),
    (bench, ["--agents="], ["--agents", "1 or more"]),
    (bench, ["--algorithms=sacc"], ["'sacc'", "did you mean 'sac'?"]),
    (bench, ["--rounds=0"], ["--rounds", "'0'"]),
    (bench, ["--algorithms=sac", "--task=toy/lqr"], ["'toy/lqr'", "of the host"]),
    (bench, ["--algorithms=sac", "--task=gym/CartPole-v1"], ["are discrete"]),
    (bench, ["--envs=lqr"], ["'lqr'", "did you mean 'toy/lqr'?"]),
    (bench, ["--envs=gym/Hoper-v5"], ["did you mean 'gym/Hopper-v5'?"]),
    (bench, ["--products=8", "--project=h100"], ["--products and --project exclude"]),
    (bench, ["--products=8", "--set=g=Q"], ["--set applies to updates"]),
    (tasks, ["--format=word"], ["'word'", "text, markdown, csv"]),
    (tasks, ["--steps=9"], ["--steps applies to --check"]),
]
DOORS = [
    *((train, *row) for row in TRAIN),
    *((sweep_command, *row) for row in SWEEP),
    *OTHERS,
]


def test_there_are_enough_of_them():
    assert len(DOORS) >= 60


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders by name: a run store, a damaged one, configs, and one to be made."""
    top = tmp_path_factory.mktemp("places")
    found = {name: top / name for name in ("store", "damaged", "configs", "new")}
    found["configs"].mkdir()
    for name, data in CONFIGS.items():
        (found["configs"] / f"{name}.json").write_bytes(data)
    small = ["--eval_every=30", "--eval_episodes=1", "--quiet", "--keep=0"]
    words = changed(workdir=str(found["store"]), steps="30")
    assert train.main([*words, *small]) == 0
    found["damaged"].mkdir()
    (found["damaged"] / store.MANIFEST).write_text("{")
    for name, (file, old, new) in SPOILT.items():
        found[name] = top / name
        shutil.copytree(OLD, found[name])
        text = (found[name] / file).read_text()
        (found[name] / file).write_text(re.sub(old, new, text, count=1))
    return found


@pytest.fixture(autouse=True)
def _strange(monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    for name in SPACES:
        limit = None if name == "NoLimit" else 10
        here = f"{__name__}:Strange"
        gymnasium.register(
            f"{name}-v0", here, max_episode_steps=limit, kwargs={"name": name}
        )
    yield
    for name in SPACES:
        gymnasium.registry.pop(f"{name}-v0")


@pytest.fixture
def _nothing_starts(monkeypatch):
    def train(*_, **__):
        raise AssertionError("something started")

    monkeypatch.setattr(runner, "train", train)


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.usefixtures("_nothing_starts")
@pytest.mark.parametrize(
    "module, words, said",
    DOORS,
    ids=[f"{i}-{' '.join(d[1])[-40:]}" for i, d in enumerate(DOORS)],
)
def test_a_mistake_is_one_sentence(module, words, said, places, capsys):
    names = {name: str(path) for name, path in places.items()}
    before = everything(places["new"].parent)
    # a name stands in braces, which a JSON text has too
    argv = [re.sub(r"\{(\w+)\}", lambda m: names[m[1]], word) for word in words]
    assert module.main(argv) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and not out
    assert "Traceback" not in err
    for words in said:
        assert words in err, err
    assert everything(places["new"].parent) == before


# ---------------------------------------------------------------- Python

SAC = algorithms.preset("sac")
LQR = {"task": "toy/lqr", "steps": 10}
FIRST = sweep.Variant("it", "sac", SAC)
RATE = "optim.policy.rate"


def vast() -> Config:
    """With a number that has too many digits for Python to print."""
    return schema.override(SAC, {"data.batch_size": 10**5000})


PYTHON = [
    (lambda: coadapt.train(["sacc"], **LQR), "'sacc'.*did you mean 'sac'"),
    (lambda: coadapt.train([], **LQR), "at least one algorithm"),
    (lambda: coadapt.train({}, **LQR), "no variants"),
    (lambda: coadapt.train([FIRST, FIRST], **LQR), "'it' is there 2 times"),
    (lambda: coadapt.train(["sac"], seeds=0, **LQR), "seeds is 0.*1 to 10,000"),
    (lambda: coadapt.train(["sac"], seeds=-1, **LQR), "seeds is -1"),
    (lambda: coadapt.train(["sac"], seeds=1.5, **LQR), "seeds is 1.5"),  # type: ignore[arg-type]
    (lambda: coadapt.train(["sac"], seeds=True, **LQR), "seeds is True"),
    (lambda: coadapt.train(["sac"], seeds="01", **LQR), "seeds is '01'"),  # type: ignore[arg-type]
    (lambda: coadapt.train(["sac"], seeds=[], **LQR), "seeds are 0: it must be 1 to"),
    (lambda: coadapt.train(["sac"], seeds=[1, 1], **LQR), "seed 1 is there 2 times"),
    (lambda: coadapt.train(["sac"], seeds=[-1], **LQR), "seed is -1.*0 to"),
    (lambda: coadapt.train(["sac"], seeds=[2**31], **LQR), "0 to 2147483647"),
    (lambda: coadapt.train(["sac"], seeds=10**9, **LQR), "seeds is 1000000000"),
    (lambda: coadapt.train(["sac"], task="toy/lqr", steps=0), "steps is 0.*1 to"),
    (lambda: coadapt.train(["sac"], task="toy/lqr", steps=True), "steps is True"),
    (lambda: coadapt.train(["sac"], task="toy/lqr", steps=1e5), "steps is 100000.0"),  # type: ignore[arg-type]
    (lambda: coadapt.train(["sac"], task="toy/lqr", steps=2**31), "1 to 2147483647"),
    (lambda: coadapt.train(["sac"], task="toy/lqrr", steps=1), "mean 'toy/lqr'"),
    (lambda: coadapt.train(["sac"], keep=-1, workdir="x", **LQR), "keep is -1.*>= 0"),
    (lambda: coadapt.train(["sac"], eval_every=0, **LQR), "eval_every is 0"),
    (lambda: coadapt.train(["sac"], seeds=[np.True_], **LQR), "seed is True.*an int"),
    (lambda: coadapt.train(["sac"], seeds=np.eye(2), **LQR), r"seed is \[1.0, 0.0\]"),
    (lambda: coadapt.train(["sac"], seeds=np.float64(2), **LQR), "seeds is 2.0"),  # type: ignore[arg-type]
    (lambda: coadapt.train(["sac"], task="toy/lqr", steps=np.True_), "steps is True"),
    (lambda: coadapt.train(["sac"], progress=3, **LQR), "progress is 3.*a function"),
    (lambda: coadapt.train(["sac"], workdir="~no-one-here/x", **LQR), "home"),
    (lambda: coadapt.train(["sac"], checkpoint_every=0, **LQR), "checkpoint_every is"),
    (lambda: coadapt.grid(["sac"], {"g_estimate.critics": []}), "one value or more"),
    (lambda: coadapt.grid(["sac"], {"g_estimate.critics": "12"}), "a list"),
    (lambda: coadapt.grid(["sac"], {"g_estimate.critcs": [1]}), "mean 'critics'"),
    (lambda: coadapt.grid(["sac"], {"g_estimate.critics": [1, 1]}), "there 2 times"),
    (lambda: coadapt.grid([], {}), "at least one algorithm"),
    (lambda: coadapt.one_at_a_time(FIRST, {"g": []}), "one value or more"),
    (lambda: schema.override(SAC, {"data.batch_size": 1.5}), r"1\.5.*int >= 1"),
    (lambda: schema.override(SAC, {"data.batch_size": None}), "None.*int >= 1"),
    (lambda: schema.from_dict(Config, {"pi_q": []}), r"pi_q is \[\]"),
    (lambda: store.read("nowhere-at-all"), "not a run store"),
    # of another type
    (lambda: algorithms.preset(3), "algorithm is 3.*one of mpo"),
    (lambda: coadapt.train(3, **LQR), "variant is 3.*coadapt.Variant"),
    (lambda: coadapt.train([3], **LQR), "variant is 3.*coadapt.Variant"),
    (lambda: coadapt.train([SAC], **LQR), "variant is a Config.*coadapt.Variant"),
    (lambda: coadapt.train({"a": 3}, **LQR), "config is 3: it must be a Config"),
    (lambda: coadapt.train({"a": "sac"}, **LQR), "config is 'sac': it must be"),
    (lambda: coadapt.train({"a": vast()}, **LQR), r"data\.batch_size is some int"),
    (lambda: coadapt.train({3: SAC}, **LQR), "variant 3 has no name"),
    (lambda: coadapt.train(["sac"], task=None, steps=9), "task is None.*a text"),
    (lambda: coadapt.train({"a": SAC}, task=3, steps=9), "task is 3.*a text"),
    (lambda: coadapt.train(["sac"], workdir=3, **LQR), "workdir is 3.*a path"),
    (lambda: coadapt.train(["sac"], workdir="a\0b", **LQR), "workdir is 'a.x00b'"),
    (lambda: coadapt.train(["sac"], keep=-1, **LQR), "keep is -1"),
    (lambda: coadapt.train(["sac"], keep=None, **LQR), "keep is None"),
    (lambda: coadapt.train(["sac"], task="toy/lqr", steps="many"), "steps is 'many'"),
    (lambda: coadapt.train(["sac"], seeds="a", **LQR), "seeds is 'a'"),
    (lambda: coadapt.train(["sac"], seeds=["a"], **LQR), "seed is 'a'"),
    (lambda: coadapt.train(["sac"], seeds=range(10**12), **LQR), "list of as many"),
    (lambda: coadapt.grid(["sac"], {RATE: 2}), "rate is 2.*a list"),
    (lambda: coadapt.grid(["sac"], {RATE: None}), "rate is None.*a list"),
    (lambda: coadapt.grid(["sac"], [(RATE, [1])]), "axes is .*a dict"),
    (lambda: coadapt.grid(["sac"], {RATE: [1e-3, "1e-3"]}), "are one config"),
    (lambda: coadapt.grid(["sac"], {"data.dataset": ["a\nb"]}), "Offline first"),
    (lambda: coadapt.one_at_a_time(FIRST, {RATE: [1, "1e0"]}), "are one config"),
    (lambda: coadapt.one_at_a_time("sac", {}), "variant is 'sac'"),
    (lambda: coadapt.swap("sac", "mpo"), "variant is 'sac'"),
    (lambda: coadapt.swap(FIRST, SAC), "variant is a Config"),
    (lambda: schema.override(SAC, [("g", "Q")]), "changes is .*a dict"),
    (lambda: store.read(3), "workdir is 3"),
    (lambda: store.failures(None), "workdir is None"),
]  # fmt: skip


@pytest.mark.usefixtures("_nothing_starts")
@pytest.mark.parametrize(
    "call, said", PYTHON, ids=[f"{i}-{said}" for i, (_, said) in enumerate(PYTHON)]
)
def test_a_mistake_in_python_is_one_sentence(call, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value) and not everything(tmp_path)


# ---------------------------------------------------------------- whatever comes

PATHS = [path for path, _ in schema.paths(SAC)]
NEAR = st.sampled_from(PATHS) | st.text(max_size=30)
WORDS = st.text(max_size=20) | st.sampled_from(["none", "1", "-1", "1e9", "Q", "Adam"])


@settings(max_examples=300, deadline=None)
@given(NEAR, st.sampled_from(["=", "", "==", ".="]), WORDS)
def test_any_text_is_a_change_or_a_sentence(path, mark, value):
    """What the flag --set takes, without the command around it."""
    values = train.flags.FlagValues()
    train._define(values)
    try:
        values(["", f"--set={path}{mark}{value}"])
        changes = train.configs.changes(values)
        changed = sweep.change(SAC, changes)
    except (ConfigError, train.flags.Error) as error:
        assert str(error).strip()
    else:
        schema.validate(changed)
        assert schema.from_dict(Config, schema.to_dict(changed)) == changed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["kind", "pi_q", "rate", "x"]), inner)
    ),
    max_leaves=10,
)


def places_in(data: object, path: tuple = ()) -> list[tuple]:
    """The paths to all that is inside of a JSON value."""
    items = data.items() if isinstance(data, dict) else ()
    return [
        found for k, v in items for found in [(*path, k), *places_in(v, (*path, k))]
    ]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(algorithms.PRESETS)), JSON, st.randoms())
def test_any_json_is_a_config_or_a_sentence(name, value, chance: random.Random):
    """A preset's own JSON with anything at any place, removed, or under a new name."""
    whole = schema.to_dict(algorithms.preset(name))
    data = copy.deepcopy(whole)
    *path, last = chance.choice(places_in(data))
    inner = data
    for key in path:
        inner = inner[key]
    how = chance.choice(["replace", "remove", "rename"])
    if how == "replace":
        inner[last] = value
    elif how == "remove":
        del inner[last]
    else:
        inner[f"{last}x"] = inner.pop(last)
    text = json.dumps(data)  # NaN and the infinities too, which Python's JSON has
    try:
        found = schema.from_dict(Config, json.loads(text))
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert schema.from_dict(Config, schema.to_dict(found)) == found


@pytest.mark.usefixtures("_nothing_starts")
@pytest.mark.parametrize(
    "words, said",
    [
        (["--nodry_run=1"], "nodry_run"),
        (["--set=optim.policy.rate=1e-50"], "'1e-50'"),  # 0 in float32
        (["--set=data.random_steps=1e10"], "below 2^31"),
        (["--eval_episodes=1e9"], "at most 10,000"),
        (["--compile_cache={configs}/list.json"], "it must be a folder"),
    ],
)
def test_what_would_have_failed_later_is_refused(words, said, places, tmp_path, capsys):
    words = [word.replace("{configs}", str(places["configs"])) for word in words]
    assert train.main([*changed(workdir=str(tmp_path / "new")), *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert not (tmp_path / "new").exists()


def test_a_name_that_no_table_can_hold_is_refused():
    for name in ("two\nlines", "", "a\udcff"):
        with pytest.raises(ConfigError, match="can be printed, in one line"):
            coadapt.train({name: SAC}, **LQR)


def test_a_config_runs_as_it_is_or_not_at_all(tmp_path, capsys):
    """A penalty that its policy cannot have is refused, not taken away."""
    free = schema.override(SAC, {"bounds": "BoundCost"})
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(schema.to_dict(free)))
    words = changed(algorithm=None, config=str(path), workdir=str(tmp_path / "new"))
    assert train.main(words) == 2
    assert "bounds" in capsys.readouterr().err
