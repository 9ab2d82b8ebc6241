"""Tables 1 and 4: the first against the paper, cell by cell."""

import csv
import io
from pathlib import Path

import pytest

from coadapt import algorithms, schema, taxonomy

PAPER = Path(__file__).parent / "data" / "taxonomy.csv"


def _paper() -> dict[str, dict[str, str]]:
    with PAPER.open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


ONLINE = [row for row in taxonomy.table1() if row["pi_p"] != "pi_b"]


@pytest.mark.parametrize("row", ONLINE, ids=lambda row: row["method"])
def test_table_1_is_the_papers(row):
    assert row == _paper()[row["method"]]


def test_every_row_of_the_paper_is_there_in_its_order():
    assert [row["method"] for row in ONLINE] == list(_paper())


# stable-baselines3's and sb3-contrib's defaults; what was found to work
TO_LEARN = {
    "trpo": {
        "pi_q_update.kl": "mean",
        "pi_q_update.kl_direction": "reverse",
        "pi_q_update.backtrack_coeff": 0.8,
        "pi_q_update.iterations": 15,
        "g_estimate": "GAE",
        "g_estimate.discount": 0.99,
        "g_estimate.lam": 0.95,
        "networks.policy.hidden.scale": 2**0.5,
        "networks.critic.hidden.scale": 2**0.5,
        "networks.critic.output.scale": 1.0,
        "data.batch_size": 128,
        "data.update_every": 2048,
        "data.policy_batch_size": 2048,
        "schedule.critic_steps": 10 * 2048 // 128,
        "eval_policy": "Mode",
    },
    "vmpo": {
        "pi_q.standardize": True,
        "pi_p_update.trust_region.epsilon_mean": 0.02,
        "g_estimate": "GAE",
        "g_estimate.steps": None,
        "g_estimate.lam": 0.95,
        "optim.policy.rate": 3e-4,
        "optim.critic.rate": 1e-3,
        "optim.dual.rate": 1e-2,
        "data.batch_size": 64,
        "schedule.critic_steps": 10 * 2048 // 64,
        "schedule.policy_steps": 10 * 2048 // 64,
    },
}


@pytest.mark.parametrize("name", list(TO_LEARN))
def test_what_learns_by_its_name_is_its_row_but_for_these(name):
    """And only the row is in Table 1."""
    assert name not in algorithms.TABLE1 and f"{name}_table1" in algorithms.TABLE1
    row, own = algorithms.preset(f"{name}_table1"), algorithms.preset(name)
    changed = schema.diff(row, own)
    assert {path: new for path, (_, new) in changed.items()} == TO_LEARN[name]


def test_what_learns_offline_stands_below_a_rule():
    """Appendix C: BRAC and BEAR are KL control from a fixed behaviour policy."""
    rows = taxonomy.table1()
    below = [row for row in rows if row["method"] in ("BRAC", "BEAR")]
    assert rows[-2:] == below
    for row in below:
        assert (row["control"], row["pi_p"], row["pi_p update"]) == (
            "KL", "pi_b", "(Fixed)",
        )  # fmt: skip
    lines = taxonomy.render(rows, "text").splitlines()
    assert set(lines[-3]) == {"-"} and lines[-2].startswith("BRAC")
    assert taxonomy.render(ONLINE, "text").count("\n-") == 1


def test_columns_are_in_the_papers_order():
    assert list(taxonomy.table1()[0]) == list(next(iter(_paper().values())))


def test_cells_follow_from_fields_and_not_from_names():
    sac = schema.override(algorithms.sac(), {"g_estimate.critics": 1})
    assert taxonomy.table1({"x": sac})[0]["G estimate"] == "TD(0)"
    awac = schema.override(algorithms.awac(), {"pi_theta": "TanhGaussian"})
    row = taxonomy.table1({"y": awac})[0]
    assert row["method"] == "Y"
    assert row["pi_theta"] == "Tanh(N(mu_theta(s), Sigma_theta))"


def test_table_4_says_what_the_presets_have():
    rows = {row["method"]: row for row in taxonomy.table4()}
    assert rows["MPO"]["sizes (value)"] == "(512, 512, 256)"
    assert rows["MPO"]["layer norm"] == "first + tanh"
    assert rows["AWR"]["optimizer"] == "SGD, momentum 0.9"
    assert rows["AWR"]["rate (policy)"] == "5e-5"
    assert rows["AWR"]["rate (value)"] == "0.01"
    assert rows["SAC"]["input norm"] == "-"


def test_formats():
    rows = taxonomy.table1()
    text = taxonomy.render(rows, "text").splitlines()
    assert text[0].startswith("method") and set(text[1]) == {"-"}
    assert len(text) == len(rows) + 3
    markdown = taxonomy.render(rows, "markdown").splitlines()
    assert len({len(line) for line in markdown}) == 1
    assert markdown[1].startswith("| -")
    again = list(csv.DictReader(io.StringIO(taxonomy.render(rows, "csv"))))
    assert again == rows
    with pytest.raises(schema.ConfigError, match="did you mean 'markdown'"):
        taxonomy.render(rows, "markdwn")
