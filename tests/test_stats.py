"""Summaries over seeds, failures counted."""

import numpy as np
import pandas as pd
import pytest

from coadapt.analysis import stats
from coadapt.runs import store


def rows(*cells):
    """(variant, seed, env_steps, value) -> a frame."""
    return pd.DataFrame(
        [
            ("e", "sac", v, "toy/lqr", s, t, "return", x, "gymnasium 1")
            for v, s, t, x in cells
        ],
        columns=list(store.COLUMNS),
    )


def test_mean_and_std_are_of_the_last_evaluation():
    frame = rows(("a", 0, 10, 99.0), ("a", 0, 20, 1.0), ("a", 1, 20, 4.0))
    (found,) = stats.summary(frame).to_dict("records")
    assert found["mean"] == 2.5
    assert found["std"] == np.std([1.0, 4.0])
    assert (found["n"], found["failed"], found["env_steps"]) == (2, 0, 20)


def test_a_failed_seed_has_the_score_that_it_had_before():
    nan = np.nan
    frame = rows(
        ("a", 0, 10, 0.0), ("a", 0, 20, 1.0),
        ("a", 1, 10, 5.0), ("a", 1, 20, nan), ("a", 1, 30, nan),
        ("b", 0, 20, nan), ("b", 1, 20, 4.0),
        ("c", 0, 20, nan),
    )  # fmt: skip
    a, b, c = stats.summary(frame).to_dict("records")
    assert (a["mean"], a["std"], a["n"], a["failed"]) == (3.0, 2.0, 2, 1)
    assert (b["mean"], b["n"], b["failed"]) == (4.0, 1, 1)  # the other had none
    assert np.isnan(b["std"])  # of one number no spread is known
    assert np.isnan(c["mean"]) and np.isnan(c["std"])
    assert (c["n"], c["failed"]) == (0, 1)


@pytest.mark.parametrize("bad", [-np.inf, np.inf])
def test_an_infinite_score_is_a_score(bad):
    frame = rows(("a", 0, 20, 1.0), ("a", 1, 20, bad))
    (a,) = stats.summary(frame).to_dict("records")
    assert (a["mean"], a["n"], a["failed"]) == (bad, 2, 0) and np.isnan(a["std"])


def test_order_is_that_of_first_appearance_and_other_metrics_are_left_out():
    frame = rows(("z", 0, 20, 1.0), ("a", 0, 20, 2.0))
    other = frame.assign(metric="loss", value=7.0)
    found = stats.summary(pd.concat([other, frame], ignore_index=True))
    assert list(found.variant) == ["z", "a"]
    assert list(found["mean"]) == [1.0, 2.0]


def test_no_rows_give_an_empty_summary():
    assert list(stats.summary(rows()).columns) == list(stats.SUMMARY_COLUMNS)
    assert stats.summary(rows()).empty


def test_an_unfinished_seed_shows_in_env_steps():
    frame = rows(("a", 0, 20, 1.0), ("a", 1, 10, 3.0))
    assert stats.summary(frame).env_steps.item() == 10


@pytest.mark.parametrize(
    ("value", "beside", "said"),
    [
        (9213.4, 0, "9,213"),
        (98.12, 0, "98.1"),
        (98.12, 5e3, "98"),
        (9_999_999, 0, "9,999,999"),
        (-7_855_309_552_326, 13_229_620_936_668, "-7.9e12"),
        (12.0, 1.3e13, "1.2e1"),
        (-np.inf, 0, "-inf"),
    ],
)
def test_a_number_as_text(value, beside, said):
    assert stats.number(value, beside) == said
