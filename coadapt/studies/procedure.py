"""What tuning is worth as a procedure: search, choose, and run what was chosen.

A tuned study reports a setting that was chosen once, and its interval does not say what
another search would have found. Here each of several scrambles of the Sobol points is a
search of its own: its seeds are split again and again into those that choose and those
that score what they chose, and the means of the scrambles, which have nothing in
common, have Student's interval.
"""

import itertools
import math

import numpy as np

from coadapt.analysis import simulation, verdict
from coadapt.analysis.simulation import BUDGET, RUNS, STDS, TRIES, Surface
from coadapt.analysis.verdict import Effect
from coadapt.schema import ConfigError

LEAST = 4  # scrambles
SEEDS = 8  # of each setting, at least
SPLITS = 256  # of the seeds, if there are more: a sample of them


def value(runs: list[np.ndarray], tries: int) -> Effect:
    """The mean score of a run at the setting that a search chooses.

    Args:
        runs: of each scramble, scores [settings, seeds].
        tries: seeds of a setting by which is chosen.
    Raises:
        ConfigError: of fewer than 4 scrambles or 8 seeds, or where more than half
            of the seeds would choose.
    """
    seeds = min(each.shape[1] for each in runs)
    if len(runs) < LEAST or seeds < SEEDS or not 0 < tries <= seeds // 2:
        raise ConfigError(
            f"the value of tuning is of {LEAST} scrambles and {SEEDS} seeds or more, "
            f"at most half of which choose: here are {len(runs)}, {seeds} and {tries}; "
            f"run coadapt sweep --random=16 --scrambles={LEAST} --seeds={SEEDS}."
        )
    return verdict.effect([(1.0, np.array([found(each, tries) for each in runs]))])


def found(runs: np.ndarray, tries: int) -> float:
    """Of one search, [settings, seeds]: the mean over splits of its seeds."""
    chooses = _splits(runs.shape[1], tries)
    chosen = np.argmax(runs @ chooses.T, 0)
    kept = runs[chosen] * (1 - chooses)
    return float(kept.sum() / (1 - chooses).sum())


def _splits(seeds: int, tries: int) -> np.ndarray:
    """[splits, seeds]: 1 where a seed chooses; all there are, or so many at random."""
    if math.comb(seeds, tries) <= SPLITS:
        parts = list(itertools.combinations(range(seeds), tries))
    else:
        rng = np.random.default_rng(0)
        parts = [rng.permutation(seeds)[:tries] for _ in range(SPLITS)]
    made = np.zeros((len(parts), seeds))
    for row, part in zip(made, parts, strict=True):
        row[list(part)] = 1
    return made


# ---------------------------------------------------------------- the page's table


def coverage_table() -> list[dict[str, str]]:
    """How often intervals have the true value of the procedure, by simulation."""
    return [{"std": f"{std:g}", **_covered(std)} for std in STDS]


def _covered(std: float) -> dict[str, str]:
    rng, surface = np.random.default_rng(0), Surface(1.0)
    _, chosen = simulation.tuned(surface, std, 1, 10 * RUNS, rng)
    truth = surface.at(chosen).mean()
    searches, high = _searches(surface, std, rng)
    fresh, _ = simulation.tuned(surface, std, verdict.LEAST, RUNS, rng)
    groups = {
        "4 scrambles": searches.reshape(-1, 4),
        "8 scrambles": searches.reshape(-1, 8),
        "one search, 10 fresh seeds": fresh,
    }
    row = {"best tuning mean": f"{high - truth:+.3f}"}
    for name, values in groups.items():
        made = [verdict.effect([(1.0, each)]) for each in values]
        row[name] = f"{np.mean([each.low <= truth <= each.high for each in made]):.3f}"
    return row


def _searches(
    surface: Surface, std: float, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """What 4,000 searches find, and the mean of the best tuning means of all."""
    found_, high = [], []
    for _ in range(2 * RUNS):
        places = (np.arange(BUDGET) + rng.random(BUDGET)) / BUDGET
        noise = std * rng.standard_normal((BUDGET, SEEDS))
        runs = surface.at(places)[:, None] + noise
        found_.append(found(runs, TRIES))
        high.append(runs[:, :TRIES].mean(1).max())
    return np.array(found_), float(np.mean(high))
