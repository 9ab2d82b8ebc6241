"""Writes tests/data/statistics.json: what statsmodels and AdaStop make of fixed scores.

    pip install statsmodels adastop && python -m tools.statistics_numbers

tests/test_peer_statistics.py holds our statistics against it, and needs neither.
"""

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np

PLACE = Path(__file__).parents[1] / "tests" / "data" / "statistics.json"
MARGIN = 0.5  # of 'within', in the unit of the scores
# of a sequential study, and seeds an arm at each: with 8 or more there are more
# permutations than AdaStop 0.1.3 draws, and its second look takes their number for 1
LOOKS, SEEDS = 3, 6
GAPS = (-3.0, -2.0, -1.5, 0.0, 0.1, 1.5, 2.0, 3.0)  # of two arms, in stds
ALPHA = 0.025  # AdaStop's is of one side of a difference


def samples() -> dict[str, list[list[float]]]:
    """Two arms each: alike, of unequal stds and sizes, and with ties."""
    rng = np.random.default_rng(0)
    made = {
        "alike": (rng.normal(0, 1, 12), rng.normal(0.2, 1, 12)),
        "unequal": (rng.normal(1, 0.2, 10), rng.normal(0, 2, 17)),
        "ties": (rng.integers(0, 4, 15), rng.integers(1, 5, 11)),
    }
    return {name: [x.round(6).tolist() for x in two] for name, two in made.items()}


def of_statsmodels(two: list[list[float]]) -> dict[str, Any]:
    weights: Any = importlib.import_module("statsmodels.stats.weightstats")
    meta: Any = importlib.import_module("statsmodels.stats.meta_analysis")
    ranks: Any = importlib.import_module("statsmodels.stats.nonparametric")
    x, y = map(np.array, two)
    both = weights.CompareMeans(weights.DescrStatsW(x), weights.DescrStatsW(y))
    sizes = [(a.mean(), a.std(ddof=1), a.size) for a in (x, y)]
    g, _ = meta.effectsize_smd(*sizes[0], *sizes[1])
    within, *_ = weights.ttost_ind(x, y, -MARGIN, MARGIN, usevar="unequal")
    return {
        "mean": weights.DescrStatsW(x).tconfint_mean(),
        "difference": both.tconfint_diff(usevar="unequal"),
        "larger p": both.ttest_ind("larger", "unequal", MARGIN)[1],
        "within p": within,
        "g": g,
        "improvement": ranks.rank_compare_2indep(x, y).prob1,
    }


def families() -> dict[str, Any]:
    """Of p with ties, and of many."""
    multiple: Any = importlib.import_module("statsmodels.stats.multitest")
    rng = np.random.default_rng(1)
    given = [[0.01, 0.04, 0.03, 0.04, 0.5], (rng.random(20) ** 3).tolist()]
    return {
        "p": given,
        **{
            name: [multiple.multipletests(p, method=name)[1].tolist() for p in given]
            for name in ("holm", "fdr_bh")
        },
    }


def rates() -> list[list[float]]:
    """Clopper and Pearson's intervals: failed, runs, low, high."""
    shares: Any = importlib.import_module("statsmodels.stats.proportion")
    pairs = [(0, 10), (1, 10), (7, 64), (59, 59)]
    return [[k, n, *shares.proportion_confint(k, n, method="beta")] for k, n in pairs]


def sequential() -> list[dict[str, Any]]:
    """What AdaStop decides of two arms, and at which look, 0 being the first."""
    adastop: Any = importlib.import_module("adastop")
    rng, found = np.random.default_rng(2), []
    for gap in GAPS:
        scores = rng.normal(0, 1, (2, LOOKS * SEEDS)).round(6)
        scores[0] += gap
        made = adastop.MultipleAgentsComparator(
            n=SEEDS, K=LOOKS, B=10_000, alpha=ALPHA, seed=0
        )
        looks = 0
        while not made.is_finished:
            looks += 1
            shown = {k: x[: looks * SEEDS] for k, x in zip("ab", scores, strict=True)}
            made.partial_compare(shown, verbose=False)
        (said,) = made.decisions.values()
        found.append({"scores": scores.tolist(), "decision": said, "look": looks - 1})
    return found


def main() -> None:
    made = {
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("statsmodels", "adastop")
        },
        "margin": MARGIN,
        "samples": [
            {"name": name, "scores": two, **of_statsmodels(two)}
            for name, two in samples().items()
        ],
        "families": families(),
        "rates": rates(),
        "adastop": sequential(),
    }
    text = json.dumps(made, indent=1, default=float)
    PLACE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
