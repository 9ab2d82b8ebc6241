"""Our statistics against those of statsmodels and AdaStop on the same scores.

tools/statistics_numbers.py has made theirs, with the versions that the file names.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from coadapt.analysis import alpha_spending, multiple_testing, score, stats, verdict

THEIRS = json.loads((Path(__file__).parent / "data" / "statistics.json").read_text())
SAMPLES = THEIRS["samples"]
EXACT = 1e-9  # a t quantile of either library, of numbers of size 1


@pytest.mark.parametrize("their", SAMPLES, ids=[each["name"] for each in SAMPLES])
def test_intervals_and_p_are_those_of_statsmodels(their):
    x, y = (np.array(each) for each in their["scores"])
    mean = verdict.effect([(1.0, x)])
    apart = verdict.effect([(1.0, x), (-1.0, y)])
    assert (mean.low, mean.high) == pytest.approx(their["mean"], abs=EXACT)
    assert (apart.low, apart.high) == pytest.approx(their["difference"], abs=EXACT)
    margin = THEIRS["margin"]
    assert apart.p("up", margin) == pytest.approx(their["larger p"], abs=EXACT)
    assert apart.p("within", margin) == pytest.approx(their["within p"], abs=EXACT)


@pytest.mark.parametrize("their", SAMPLES, ids=[each["name"] for each in SAMPLES])
def test_effect_sizes_are_those_of_statsmodels(their):
    x, y = (np.array(each) for each in their["scores"])
    # statsmodels corrects by 1 - 3 / (4 n - 9), which is off the gamma function's value
    # by less than 0.03% with 24 runs
    assert verdict.hedges(x, y) == pytest.approx(their["g"], rel=3e-4)
    found = float(stats.improvement(x[:, None], y[:, None]))
    assert found == pytest.approx(their["improvement"], abs=EXACT)


def test_families_are_those_of_statsmodels():
    made = THEIRS["families"]
    for i, given in enumerate(made["p"]):
        assert multiple_testing.holm(given) == pytest.approx(made["holm"][i], abs=EXACT)
        found = multiple_testing.benjamini_hochberg(given)
        assert found == pytest.approx(made["fdr_bh"][i], abs=EXACT)


@pytest.mark.parametrize(("failed", "runs", "low", "high"), THEIRS["rates"])
def test_a_rates_interval_is_that_of_statsmodels(failed, runs, low, high):
    found = score.rate(int(failed), int(runs))
    assert (found.low, found.high) == pytest.approx((low, high), abs=EXACT)


def test_a_study_that_grows_decides_what_adastop_decides():
    """Of clear gaps and of none; AdaStop permutes and spends evenly, so that it looks
    away from zero sooner, by one look at most."""
    spent = alpha_spending.looks((6, 12, 18), verdict.ALPHA)
    decided = 0
    for their in THEIRS["adastop"]:
        first, second = np.array(their["scores"])
        signs = [
            verdict.effect(
                [(1.0, first[: look.seeds]), (-1.0, second[: look.seeds])],
                alpha=look.alpha,
            ).sign
            for look in spent
        ]
        said = next((i for i, sign in enumerate(signs) if sign), None)
        words = {1: "larger", -1: "smaller", 0: "equal"}
        assert words[0 if said is None else signs[said]] == their["decision"]
        if said is not None:
            decided += 1
            assert their["look"] <= said <= their["look"] + 1
    assert decided == 6
