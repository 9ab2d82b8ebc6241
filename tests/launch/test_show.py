"""A resolved config: every field once, its value, and where it is from."""

import csv
import io
import json
import re

import pytest

from coadapt import algorithms, schema, sweep
from coadapt.cli import show
from coadapt.system.csv_text import text_of

TASK = "gym/Ant-v5"


@pytest.fixture
def shown(capsys):
    def run(*args: str) -> dict[str, dict[str, str]]:
        assert show.main([*args, "--format=csv"]) == 0
        return {
            r["field"]: r for r in csv.DictReader(io.StringIO(capsys.readouterr().out))
        }

    return run


@pytest.mark.parametrize("name", ["sac", "mpo", "ppo"])
def test_it_has_each_field_once_with_the_value_that_runs(name, shown):
    rows = shown(
        f"--algorithm={name}", f"--task={TASK}", "--set=optim.policy.rate=0.01"
    )
    made = sweep.change(algorithms.preset(name, TASK), {"optim.policy.rate": "0.01"})
    known = dict(schema.paths(made))
    assert list(rows) == list(known)
    assert rows["optim.policy.rate"]["value"] == "0.01"
    assert rows["networks.policy.sizes"]["value"] == str(known["networks.policy.sizes"])


def test_each_value_says_where_it_is_from(shown):
    rows = shown(
        "--algorithm=mpo", f"--task={TASK}", "--set=g_estimate.critics=2",
        "--set=pi_theta=TanhGaussian",
    )  # fmt: skip
    # a spreadsheet would take '--set' for a formula: it is escaped
    found = {path: text_of(row["from"]) for path, row in rows.items()}
    assert found["g_estimate.critics"] == found["pi_theta"] == "--set"
    assert found["data.update_every"] == "preset mpo"
    assert found["pi_p_update.trust_region.epsilon_mean"] == "preset mpo, row gym/Ant"
    assert found["data.overlap"] == "default of Replay"
    # what comes with a change, and what goes
    assert found["pi_theta.inverse"] == "default of TanhGaussian, with --set=pi_theta"
    assert found["bounds"] == "default of Config, with --set=pi_theta"
    assert rows["data.update_every"]["source"] == "settings 1.3"
    assert rows["bounds"]["source"] == ""


def test_what_is_cited_is_told_below(capsys):
    assert show.main(["--algorithm=sac"]) == 0
    out = capsys.readouterr().out
    assert "\nsettings 1.1: SAC: networks, " in out and "\nsettings 1.3: " not in out


def test_a_file_is_named(shown, tmp_path):
    config = schema.override(algorithms.sac(), {"data.batch_size": 7})
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(schema.to_dict(config)))
    rows = shown(f"--config={path}")
    assert (rows["data.batch_size"]["value"], rows["data.batch_size"]["from"]) == (
        "7",
        str(path),
    )
    assert rows["data.capacity"]["from"] == "default of Replay"


@pytest.mark.parametrize(
    "args, words",
    [
        ([], "--algorithm is missing"),
        (["--algorithm=sac", "--config=x"], "both given"),
        (["--algorithm=sac", "--set=gamma=1"], "did you mean 'g_estimate.discount'"),
        (["--algorithm=sac", "--set=g=Advantage"], "g_estimate is TD0"),
        (["--algorithm=sac", "--format=txt"], "did you mean 'text'"),
    ],
)
def test_a_mistake_is_one_sentence(args, words, capsys):
    assert show.main(args) == 2
    said = capsys.readouterr()
    assert words in said.err and not said.out and said.err.count("\n") == 1


ROWS = [name for name, (_, tasks) in algorithms.PRESETS.items() if tasks]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_changes_for_a_task_has_its_source(name, shown):
    row = next(iter(algorithms.PRESETS[name][1]))
    data = ["--set=data.dataset=x"] if name == "bear" else []
    rows = shown(f"--algorithm={name}", f"--task={row}-v5", *data)
    there = [r for r in rows.values() if r["from"] == f"preset {name}, row {row}"]
    assert there
    assert all(re.match(r"settings \d\.\d+", each["source"]) for each in there)
