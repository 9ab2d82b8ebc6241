"""What a traced choice costs: its pairs have a meaning, and its interval is right."""

import pytest
from scipy import stats

from benchmarks import traced
from coadapt import schema
from coadapt.validation import config_rules


@pytest.mark.parametrize("name", traced.PAIRS)
def test_a_pair_is_legal_and_differs_in_the_choice_alone(name):
    pair = traced.PAIRS[name]
    shared, alone = traced.configs(pair, "8,8")
    config_rules.check(shared)
    config_rules.check(alone)
    changed = tuple(pair.shared | pair.alone)
    assert all(path.startswith(changed) for path in schema.diff(shared, alone))
    assert shared != alone


@pytest.mark.parametrize("rounds", [6, 7, 9, 15, 30])
def test_the_interval_has_the_median_as_often_as_it_says(rounds):
    """By the binomial distribution, and one step in it would not."""
    low, high = traced.interval(range(1, rounds + 1))  # ranks
    assert low + high == rounds + 1

    def covers(rank):
        return 1 - 2 * stats.binom.cdf(rank - 1, rounds, 0.5)

    assert covers(low) >= 0.95 > covers(low + 1)


def test_rows_are_written_in_order_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(traced, "PLACE", tmp_path / "rows.csv")
    first, second = list(traced.PAIRS)[:2]
    small, large = traced.SIZES
    rows = [
        traced.Row(second, "sac", small, 9, 1.25, 1.2, 1.3),
        traced.Row(first, "sac", large, 9, 1.0, 0.9, 1.1),
        traced.Row(second, "sac", small, 7, 1.5, 1.4, 1.6),
    ]
    for row in rows:
        traced.write([row])
    assert traced.rows() == [rows[1], rows[2]]
    table = {row["choice"]: row for row in traced.table()}
    assert table[second][small] == "1.50 (1.40 to 1.60)" and table[second][large] == ""


def test_all_rows_that_are_shown_are_of_pairs_that_there_are():
    assert {row.choice for row in traced.rows()} <= set(traced.PAIRS)
