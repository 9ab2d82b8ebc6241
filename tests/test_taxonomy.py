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
