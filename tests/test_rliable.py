"""Statistics of many tasks against rliable's own numbers on the same scores.

tools/rliable_numbers.py has made them, with the version that the file names.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from coadapt.analysis import stats

THEIRS = json.loads((Path(__file__).parent / "data" / "rliable.json").read_text())
X, Y = (np.array(THEIRS["scores"][name]) for name in "xy")
SINGLE = {"mean": stats.mean, "median": stats.median, "iqm": stats.iqm}
EXACT = 1e-12  # sums of 40 numbers of size 1 in float64
# of an end of a 95% interval: five standard errors of a quantile of a normal statistic,
# from 2,000 resamples 5 sqrt(0.025 * 0.975 / 2,000) / 0.058 = 0.30 stds, from ours of
# 20,000 0.10, together 0.32; a std is a quarter of the width
CLOSE = 0.32 / 4


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("key, scores", [("x", X), ("y", Y)])
def test_an_aggregate_and_its_interval_are_rliables(name, key, scores):
    found = stats.interval(SINGLE[name], scores, seed=0, resamples=20_000)
    assert found.value == pytest.approx(THEIRS[name][key], rel=EXACT)
    low, high = THEIRS[f"{name} interval"][key]
    ends = pytest.approx((low, high), abs=CLOSE * (high - low))
    assert (found.low, found.high) == ends


def test_the_probability_of_improvement_is_rliables():
    found = stats.interval(stats.improvement, X, Y, seed=0, resamples=20_000)
    assert found.value == pytest.approx(THEIRS["improvement"], rel=EXACT)
    low, high = THEIRS["improvement interval"]
    ends = pytest.approx((low, high), abs=CLOSE * (high - low))
    assert (found.low, found.high) == ends


@pytest.mark.parametrize("key, scores", [("x", X), ("y", Y)])
def test_the_profile_is_rliables(key, scores):
    found = stats.profile(scores, np.array(THEIRS["taus"]))
    np.testing.assert_allclose(found, THEIRS["profile"][key], atol=EXACT)
