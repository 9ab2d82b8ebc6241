"""Verdicts on ours beside another implementation, by formulas of their own."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stores
from scipy import stats

import coadapt
from benchmarks import parity, parity_rule
from benchmarks.peers import PARITY
from benchmarks.peers import parity as peers
from coadapt import schema, sweep
from coadapt.config import Config
from coadapt.experiments import load
from coadapt.schema import ConfigError

RNG = np.random.default_rng(0)


def scores(mean, std, n=10):
    """Of exactly this mean and std (n - 1)."""
    z = RNG.standard_normal(n)
    return mean + std * (z - z.mean()) / z.std(ddof=1)


def one(ours, theirs, random=0.0, std=10.0):
    return parity.found([(ours, theirs)], random, std)


def test_the_numbers_are_welchs():
    """Written out for one stratum, sides of other sizes and stds, random not 0."""
    ours, theirs, random = scores(80, 12, 9), scores(100, 6, 7), -50.0
    d = (80 - 100) / 150
    a, b = 12**2 / 9 / 150**2, (1 + d) ** 2 * 6**2 / 7 / 150**2
    freedom = (a + b) ** 2 / (a**2 / 8 + b**2 / 6)
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(a + b)
    got = one(ours, theirs, random)
    assert [got.d, got.low, got.high] == pytest.approx([d, d - reach, d + reach])
    assert got.p == pytest.approx(stats.t.cdf(d / math.sqrt(a + b), freedom))


def test_a_difference_of_kinds_of_cpu_is_none_of_programs():
    """Both sides 100 lower on one kind, in other shares: d is 0, but pooled it is not;
    runs whose kind the other side has not are left out, and counted."""
    strata = [
        (scores(300, 5, 8), scores(300, 5, 3)),
        (scores(200, 5, 3), scores(200, 5, 8)),
        (scores(900, 5, 4), np.zeros(0)),
    ]
    got = parity.found(strata, 0.0, 1.0)
    assert got.d == pytest.approx(0) and got.left_out == 4 and len(got.ours) == 11
    pooled = [np.concatenate([s[i] for s in strata[:2]]) for i in (0, 1)]
    assert one(*pooled).d > 0.1
    with pytest.raises(ConfigError, match="two runs"):
        parity.found(strata[2:], 0.0, 1.0)


def test_the_rule_is_the_plans():
    rule = load("parity").plan.rule
    assert f"above -{parity_rule.MARGIN:g}." in rule and "at 97.5%" in rule
    assert parity_rule.ALPHA == 0.025
    assert f"is not {parity_rule.ABOVE:g} stds" in rule
    words = [parity_rule.UNLEARNED, parity_rule.WORSE, parity_rule.NOT_WORSE]
    assert re.findall(r"'([\w ]+)'", rule) == [*words, parity_rule.OPEN]


def test_power_is_what_equal_programs_show():
    """Or a little less: a low d has a smaller error too, which power leaves out."""
    draws = np.random.default_rng(1).normal(1, 0.2, (2000, 2, 10))
    shown = np.mean([one(o, t, std=0.01).low > -0.25 for o, t in draws])
    told = one(scores(1, 0.2), scores(1, 0.2), std=0.01).power
    assert 0.7 < told < shown + 0.03 < told + 0.08  # 0.03: 3 errors of a share of 2000


def test_runs_that_are_all_alike_are_surely_not_worse():
    same = one(np.full(10, 1000.0), np.full(10, 1000.0), std=1.0)
    assert (same.low, same.high, same.power) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "ours, theirs, word",
    [
        ((100, 10), (100, 10), parity_rule.NOT_WORSE),
        ((90, 1), (100, 1), parity_rule.WORSE),  # within the margin, and yet worse
        ((100, 60), (100, 60), parity_rule.OPEN),
        ((130, 5), (100, 5), parity_rule.NOT_WORSE),
        ((10, 1), (29, 1), parity_rule.UNLEARNED),  # not three stds of 10 above 0
    ],
)
def test_each_verdict(ours, theirs, word):
    cells = {("t", "a"): one(scores(*ours), scores(*theirs))}
    assert parity.verdicts(cells) == {("t", "a"): word}


def test_tasks_of_a_row_are_pooled():
    """A mean of independent d, by formulas of their own; where the other learned."""
    cells = {("t", "a"): one(scores(95, 20), scores(100, 25), std=1.0),
             ("u", "a"): one(scores(6, 3), scores(7, 2), std=0.1),
             ("v", "a"): one(scores(1, 1), scores(1, 1), std=100.0),
             ("t", "b"): one(scores(95, 20), scores(100, 25), std=1.0)}  # fmt: skip
    got = parity_rule.pooled(cells)
    assert list(got) == ["a"] and got["a"].tasks == 2
    first, second = cells["t", "a"], cells["u", "a"]
    d = (-0.05 - 1 / 7) / 2
    widths = [x.high - x.d for x in (first, second)]
    freedoms, errors = [], []
    for (m, s), (n, t), w in zip(
        ((95, 20), (6, 3)), ((100, 25), (7, 2)), widths, strict=True
    ):
        a, b = (s / n) ** 2 / 10, (m / n) ** 2 * (t / n) ** 2 / 10
        freedoms.append((a + b) ** 2 / (a**2 / 9 + b**2 / 9))
        errors.append(math.sqrt(a + b))
        assert w == pytest.approx(stats.t.isf(0.025, freedoms[-1]) * errors[-1])
    a, b = (x**2 / 4 for x in errors)
    freedom = (a + b) ** 2 / (a**2 / freedoms[0] + b**2 / freedoms[1])
    reach = stats.t.isf(0.025, freedom) * math.sqrt(a + b)
    assert got["a"][1:4] == pytest.approx((d, d - reach, d + reach))
    assert first.power < got["a"].power and second.power < got["a"].power


def test_worse_is_holms():
    """p near 0.015 is worse alone; beside another of its kind and a small one not."""
    weak = one(scores(90, 10.5), scores(100, 9.5))
    strong = one(scores(50, 5), scores(100, 5))
    assert 0.025 / 2 < weak.p < 0.025
    assert parity.verdicts({("t", "a"): weak})["t", "a"] == parity_rule.WORSE
    said = parity.verdicts({("t", "a"): weak, ("t", "b"): weak, ("t", "c"): strong})
    assert said["t", "c"] == parity_rule.WORSE
    assert parity_rule.WORSE not in (said["t", "a"], said["t", "b"])


KEY = "gym/Pendulum-v1", "sac"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A store, and rows of a peer that are its own, 1 lower."""
    place, task = tmp_path_factory.mktemp("parity"), KEY[0]
    made = {task: sweep.presets(["sac"], task)}
    stores.build(place / parity.OURS, "sweep", made, {task: 600}, seeds=2)
    rows = coadapt.store.read(place / parity.OURS)
    rows = rows[rows.metric == "return"]
    kind = coadapt.runs.manifest.sessions(place / parity.OURS)[0]["cpu"]
    peer = pd.DataFrame({
        "method": rows.variant, "task": rows.task, "step": rows.env_steps,
        "seed": rows.seed, "return": rows.value - 1, "cpu": kind,
    })  # fmt: skip
    (place / "peers").mkdir()
    peer.to_csv(place / "peers" / "sb3.csv", index=False)
    (place / "peers" / "notes.json").write_text(json.dumps({"sb3": "a peer"}))
    return place


def test_a_store_and_a_peers_rows_make_a_page(study, tmp_path, capsys):
    """With a picture that it shows; `--write` and none say the same."""
    cell = parity.study(study).cells[KEY]
    assert cell.theirs == pytest.approx(cell.ours - 1)
    parity.main([f"--place={study}"])
    text = capsys.readouterr().out
    assert text == parity.made(study) and "* **sb3**: a peer" in text
    assert f"| sac | gym/Pendulum-v1 | {cell.ours.mean():,.1f} ±" in text
    assert f"* {study.name}: coadapt {coadapt.__version__}, " in text and "CPU " in text
    parity.main(["--write", f"--place={study}", f"--page={tmp_path / 'parity.md'}"])
    assert (tmp_path / "parity.md").read_text() == text
    (shown,) = re.findall(r"!\[.*\]\((.*)\)", text)
    assert (tmp_path / shown).read_bytes().startswith(b"\x89PNG")


def test_the_page_tells_of_updates_from_the_same_data(study, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    assert parity.ABOUT_UPDATES not in parity.made(study)
    (tmp_path / "study" / parity.UPDATES).write_text("method,part\nawr,policy\n")
    text = parity.made(tmp_path / "study")
    assert f"{parity.ABOUT_UPDATES}\n| method | part |\n" in text
    assert "| awr | policy |\n" in text


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda rows: rows[rows.step < 600],
         "ours has 3 evaluations in 600 steps, theirs 2 in 400"),
        (lambda rows: rows.assign(cpu="other"), "no kind of CPU has two runs"),
        (lambda rows: rows.assign(method="td3"), "nothing of the other side"),
    ],
)  # fmt: skip
def test_what_can_not_be_judged_is_told(study, tmp_path, change, said):
    """Sides of other lengths, on other CPUs, or of which there is one alone."""
    shutil.copytree(study, tmp_path / "study")
    file = tmp_path / "study" / parity.PEERS / "sb3.csv"
    change(pd.read_csv(file)).to_csv(file, index=False)
    found = parity.study(tmp_path / "study")
    assert not found.cells and said in found.open[KEY]
    assert f"## Not judged\n\n* sac on {KEY[0]}: {said}" in parity.page([found])


def test_a_row_that_is_judged_again_takes_fresh_seeds(study, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    shutil.copytree(study, tmp_path / "study" / "again-1")
    with pytest.raises(ConfigError, match="again in again-1 with seeds 0, 1, which"):
        parity.studies(tmp_path / "study")


def test_a_study_of_other_tasks_stands_beside_the_first(study, tmp_path):
    """Before those of rows that are judged again; notes that are alike, once."""
    place = tmp_path / "study"
    shutil.copytree(study, place)
    for name in ("again-1", "robots"):
        shutil.copytree(study, place / name)
    (place / "robots" / "peers" / "notes.json").write_text('{"sb3": "another"}')
    with pytest.raises(ConfigError, match="again in robots with seeds"):
        parity.studies(place)  # read before again-1
    found = [parity.study(each) for each in (place, place / "again-1")]
    assert parity.page(found).count("* **sb3**: a peer\n") == 1
    text = parity.page([*found, parity.study(place / "robots")])
    assert "* **sb3** (study, again-1): a peer\n* **sb3** (robots): another\n" in text


def test_an_earlier_verdict_stays_in_the_log(study):
    """The newest is the page's; what was not judged again keeps its own."""
    cells = {("t", "a"): one(scores(50, 5), scores(100, 5)),
             ("t", "b"): one(scores(80, 60), scores(100, 5))}  # fmt: skip
    old = parity.study(study)._replace(
        name="first", cells=cells, words=parity.verdicts(cells)
    )
    better = {("t", "a"): one(scores(99, 5), scores(100, 5))}
    new = old._replace(
        name="again-1",
        cells=better,
        words=parity.verdicts(better),
        mended={"a": "Its rate was 3."},
    )
    top, rest = parity.page([old, new]).split("## Earlier verdicts")
    assert re.findall(r"^\| (\w) \|.* \| ([a-z ]+) \| [\d.]+ \|$", top, re.M) == [
        ("a", parity_rule.NOT_WORSE),
        ("b", parity_rule.OPEN),
    ]
    (line,) = re.findall(r"^\| first .*$", rest, re.M)
    assert "| worse |" in line and line.endswith("| Its rate was 3. |")


def test_the_page_is_what_the_stores_say():
    if not (parity.PLACE / parity.OURS).is_dir():
        assert not parity.PAGE.exists()
        pytest.skip("docs/results/parity has no store, and so there is no page")
    assert parity.PAGE.read_text() == parity.made()
    readme = parity.README.read_text()
    assert readme == parity.in_readme(readme, parity.studies(parity.PLACE))


# ---------------------------------------------------------------- the other side

OF_REPLAY = {
    "buffer_size": 1_000_000, "tau": 0.005, "gamma": 0.99, "train_freq": 1,
    "gradient_steps": 1, "batch_size": 64, "learning_starts": 500,
    "learning_rate": 1e-3,
}  # fmt: skip
OF_ROLLOUTS = {"n_steps": 2048, "gamma": 0.99, "gae_lambda": 0.95}
KEYWORDS = {
    "sac": OF_REPLAY | {"ent_coef": "auto_1.0"},
    "ddpg": OF_REPLAY | {"noise": 0.1},
    "td3": OF_REPLAY
    | {
        "noise": 0.1,
        "policy_delay": 2,
        "target_policy_noise": 0.2,
        "target_noise_clip": 0.5,
    },
    "ppo": OF_ROLLOUTS
    | {
        "learning_rate": 3e-4,
        "batch_size": 64,
        "n_epochs": 10,
        "clip_range": 0.2,
        "vf_coef": 1.0,
        "max_grad_norm": 1e9,
    },
    "trpo": OF_ROLLOUTS
    | {
        "learning_rate": 1e-3,
        "batch_size": 128,
        "target_kl": 0.01,
        "cg_max_steps": 15,
        "cg_damping": 0.1,
        "line_search_max_iter": 10,
        "line_search_shrinking_factor": 0.8,
        "n_critic_updates": 10,
    },
}


@pytest.mark.parametrize("method", PARITY.algorithms)
def test_the_other_side_has_our_settings(method):
    """In its words, by hand from the plan's docstring and the presets' sources."""
    named = {
        v.name: v.config for v in load("parity").variants("gym/InvertedPendulum-v5")
    }
    got = peers.settings(named[method], method)
    assert got["keywords"] == KEYWORDS[method]
    on_policy = method in ("ppo", "trpo")
    assert got["sizes"] == [64, 64]
    assert got["activation"] == ("tanh" if on_policy else "relu")
    assert got["inputs"] == ({"clip_obs": 5.0, "epsilon": 0.01} if on_policy else None)
    weights = {"sac": "xavier_uniform"}.get(
        method, "orthogonal" if on_policy else "fan_in_uniform"
    )
    assert {i["weights"] for i in got["initial"].values()} == {weights}
    json.dumps(got)


@pytest.mark.parametrize("method", peers.PLAIN)
def test_a_transcription_takes_the_config_as_it_is(method):
    """So that no setting is written twice; and it is said what it is."""
    plan = load("parity")
    each = [v for task in plan.tasks for v in plan.variants(task) if v.name == method]
    for variant in each:
        got = json.loads(json.dumps(peers.settings(variant.config, method)))
        assert schema.from_dict(Config, got["config"]) == variant.config
    assert each
    script = Path(peers.__file__).with_name(peers.PLAIN[method])
    assert script.name in peers.NOTES[method]
    assert len(script.read_text().splitlines()) < 200


def test_every_row_of_the_plan_has_another_side():
    plan = load("parity")
    rows = {v.name for task in plan.tasks for v in plan.variants(task)}
    assert rows == {*peers.METHODS}


def test_a_seed_that_is_whole_is_not_run_again(tmp_path):
    file = tmp_path / "a.csv"
    assert peers.todo(file, [0, 1, 2], 400) == [0, 1, 2]
    lines = [",".join(peers.COLUMNS), "sac,t,200,0,1.0,k", "sac,t,400,0,2.0,k"]
    torn = "sac,t,400,2,3.0,a"  # of a CPU whose name is longer
    file.write_text("\n".join([*lines, "sac,t,200,1,3.0,k", torn]))
    assert peers.todo(file, [0, 1, 2], 400) == [1, 2]
    assert file.read_text().splitlines() == lines


def test_the_page_shows_commands_that_there_are():
    page = Path(__file__).parents[1] / "docs" / "experiments.md"
    (line,) = re.findall(r"^python -m benchmarks\.peers\.parity (.*)$",
                         page.read_text(), re.M)  # fmt: skip
    asked = peers.arguments(line.split())
    assert asked.task in load("parity").tasks
    assert asked.out == (parity.PLACE / "peers").relative_to(parity.ROOT)
