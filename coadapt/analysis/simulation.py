"""How often each verdict is given, by simulation: arms that may fail, unequal stds.

A run of an arm is its mean plus noise, or, with the probability of a failure, what a
failed run counts as. What is true of an effect is the mean with failures and all.
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats as distributions

from coadapt.analysis import alpha_spending, verdict
from coadapt.analysis.alpha_spending import Look

Noise = Literal["normal", "t3"]  # t3: Student's with 3 degrees of freedom, of that std
RUNS = 2000  # that are simulated


class Source(NamedTuple):
    """What the runs of an arm are drawn from, in the unit of the margin."""

    mean: float  # of runs that do not fail
    std: float
    failing: float = 0.0  # probability of a failure
    lost: float = 0.0  # what a failed run counts as

    @property
    def truth(self) -> float:
        """The mean with failures and all."""
        return self.mean + self.failing * (self.lost - self.mean)


Sources = tuple[Sequence[Source], Sequence[Source]]  # with the toggle, without


def drawn(
    source: Source, shape: tuple[int, ...], rng: np.random.Generator, noise: Noise
) -> np.ndarray:
    """Scores of runs, of this shape."""
    if noise == "t3":
        off = rng.standard_t(3, shape) / math.sqrt(3)
    else:
        off = rng.standard_normal(shape)
    failed = rng.random(shape) < source.failing
    return np.where(failed, source.lost, source.mean + source.std * off)


@functools.cache
def _table(alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """1 / degrees of freedom, in order, and Student's quantile there."""
    inverse = np.linspace(0, 1, 2001)
    quantiles = distributions.t.ppf(1 - alpha, 1 / inverse[1:])
    return inverse, np.array([distributions.norm.ppf(1 - alpha), *quantiles])


def _quantiles(freedom: np.ndarray, alpha: float) -> np.ndarray:
    """Interpolated: to 1e-4 from three degrees of freedom on."""
    return np.interp(1 / freedom, *_table(alpha))


class Frequencies(NamedTuple):
    """Of simulated studies: how often each word is said, and with how many seeds."""

    words: dict[str, float]  # 'not decided' is the rest
    seeds: float  # an arm, the mean over studies


def frequencies(
    pairs: Sequence[Sources],
    *,
    seeds: int,
    margin: float,
    noise: Noise = "normal",
    runs: int = RUNS,
    seed: int = 0,
) -> dict[str, float]:
    """How often each word is said, 'not decided' being the rest.

    Args:
        pairs: of each algorithm, what its arms with the toggle and those without are
            drawn from; an effect is the difference of their means.
        seeds: of each arm.
        runs: that are simulated; the error of a frequency f is sqrt(f (1 - f) / runs).
    """
    looks = [Look(seeds, verdict.ALPHA)]
    return studied(
        pairs, looks=looks, margin=margin, noise=noise, runs=runs, seed=seed
    ).words


def studied(
    pairs: Sequence[Sources],
    *,
    looks: Sequence[Look],
    margin: float,
    noise: Noise = "normal",
    runs: int = RUNS,
    seed: int = 0,
) -> Frequencies:
    """The same of studies that end at the first look that decides.

    Args:
        looks: seeds of each arm, and what lies beyond each end of an interval then.
    """
    rng, shape = np.random.default_rng(seed), (runs, looks[-1].seeds)
    effects = [
        [
            (sign / len(arms), drawn(each, shape, rng, noise))
            for sign, arms in ((1.0, on), (-1.0, off))
            for each in arms
        ]
        for on, off in pairs
    ]
    return judged(effects, looks, margin)


def judged(
    effects: Sequence[Sequence[verdict.Part]], looks: Sequence[Look], margin: float
) -> Frequencies:
    """Of studies whose scores are there: a row of each arm is one study's.

    Args:
        effects: on each algorithm, its arms with their weights, [runs, seeds].
    """
    runs, most = effects[0][0][1].shape
    found, taken = dict[str, float](), np.full(runs, float(most))
    still = np.ones(runs, bool)
    for look in looks:
        ends = [_ends(parts, look) for parts in effects]
        low, high = (np.array(each) for each in zip(*ends, strict=True))
        for word, holds in verdict.claims(low, high, margin).items():
            said = holds & still
            found[word] = found.get(word, 0.0) + float(said.mean())
            taken[said] = look.seeds
        still &= taken == most  # a word is said once
    return Frequencies(
        {**found, verdict.UNDECIDED: 1.0 - sum(found.values())}, float(taken.mean())
    )


def _ends(parts: Sequence[verdict.Part], look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Of the interval of an effect, [runs] each."""
    value, error, freedom = verdict.welch([(w, x[:, : look.seeds]) for w, x in parts])
    half = error * _quantiles(freedom, look.alpha)
    return value - half, value + half


def wrong(
    word: str,
    pairs: Sequence[Sources],
    *,
    looks: Sequence[Look],
    margin: float,
    runs: int = RUNS,
) -> float:
    """How often a verdict is given where it is wrong, arms failing as `pairs` say.

    Co-adapted: of two effects that are the same, -m, -m/2, 0, m/2 or m, the worst.
    Of other words the effects are on the edge of what it says. Stds are those of
    `pairs`, and the level is that of the better side.
    """
    words, truths = [word], [margin]
    if word in verdict.SPLIT:
        words = list(verdict.SPLIT)
        truths = [margin * share for share in (-1, -0.5, 0, 0.5, 1)]
    elif word in (verdict.HARMS, verdict.HARMS_BOTH):
        truths = [-margin]
    elif word in (verdict.NOTHING, verdict.NEITHER):
        truths = [margin, -margin]
    found = []
    for truth in truths:
        shifted = [moved(pair, truth) for pair in pairs]
        said = studied(shifted, looks=looks, margin=margin, runs=runs).words
        found.append(sum(said[each] for each in words))
    return max(found)


def moved(pair: Sources, truth: float) -> Sources:
    """The lower side raised, so that the effect is `truth`: failures cost as much."""
    on, off = (np.mean([each.truth for each in side]) for side in pair)
    apart = float(on - off - truth)
    if apart < 0:
        return _raised(pair[0], -apart), pair[1]
    return pair[0], _raised(pair[1], apart)


def _raised(side: Sequence[Source], by: float) -> list[Source]:
    shift = by / np.mean([1 - each.failing for each in side])
    return [each._replace(mean=float(each.mean + shift)) for each in side]


# ---------------------------------------------------------------- the page's tables

STDS = (0.05, 0.1, 0.15, 0.2, 0.35, 0.5)
SIZES = (10, 16, 32, 64)
MARGIN = 0.1
LOOKS = alpha_spending.looks((16, 32, 64), verdict.ALPHA)
NAIVE = tuple(Look(n, verdict.ALPHA) for n in range(4, 65, 4))


def power_table() -> list[dict[str, str]]:
    """How often 'helps A only' is found: A gains twice the margin, no arm fails."""
    return [
        {
            "B's effect": f"{share:+g} m" if share else "0",
            "std": f"{std:g}",
            **{f"{n} seeds": f"{_found(share, std, n):.2f}" for n in SIZES},
        }
        for share in (-1.0, 0.0, 0.5)
        for std in STDS
    ]


def _found(share: float, std: float, seeds: int) -> float:
    effects = (2 * MARGIN, share * MARGIN)
    pairs = [([Source(each, std)], [Source(0.0, std)]) for each in effects]
    return frequencies(pairs, seeds=seeds, margin=MARGIN)[verdict.HELPS_A]


def error_table() -> list[dict[str, str]]:
    """How often two equal effects are called co-adapted, by what arms are like."""
    kinds: dict[str, tuple[float, float, float, Noise]] = {
        "std 0.2": (0.2, 1.0, 0.0, "normal"),
        "std 0.05": (0.05, 1.0, 0.0, "normal"),
        "std 0.5": (0.5, 1.0, 0.0, "normal"),
        "std 0.2, a quarter of it without the toggle": (0.2, 0.25, 0.0, "normal"),
        "std 0.2, t with 3 degrees of freedom": (0.2, 1.0, 0.0, "t3"),
        "std 0.03, one arm fails in 5%": (0.03, 1.0, 0.05, "normal"),
        "std 0.03, one arm fails in 10%": (0.03, 1.0, 0.1, "normal"),
        "std 0.03, one arm fails in 20%": (0.03, 1.0, 0.2, "normal"),
        "std 0.2, one arm fails in 10%": (0.2, 1.0, 0.1, "normal"),
    }
    return [
        {
            "arms": name,
            **{f"{n} seeds": f"{_called(*kind, _fixed(n)):.3f}" for n in SIZES},
            "looks": f"{_called(*kind, LOOKS):.3f}",
            "every 4 at 95%": f"{_called(*kind, NAIVE):.3f}",
        }
        for name, kind in kinds.items()
    ]


def _fixed(seeds: int) -> tuple[Look, ...]:
    return (Look(seeds, verdict.ALPHA),)


def _called(
    std: float, share: float, failing: float, noise: Noise, looks: Sequence[Look]
) -> float:
    """The worst of two effects of 0, m/2 or m; a failure costs 0.9 of the unit."""
    found = []
    for effect in (0.0, MARGIN / 2, MARGIN):
        pairs = [
            moved(([Source(0.9, std, rate)], [Source(0.9, share * std)]), effect)
            for rate in (failing, 0.0)
        ]
        said = studied(pairs, looks=looks, margin=MARGIN, noise=noise).words
        found.append(sum(said[word] for word in verdict.SPLIT))
    return max(found)


def looks_table() -> list[dict[str, str]]:
    """What looks find, and the seeds that they take, beside a study of 64 seeds."""
    truths = {
        "A gains 2 m, B nothing": ((2.0, 0.0), verdict.HELPS_A),
        "no effect on either": ((0.0, 0.0), verdict.NEITHER),
    }
    rows = []
    for truth, (shares, word) in truths.items():
        for std in sorted({*STDS, 0.17}):
            pairs = [
                ([Source(share * MARGIN, std)], [Source(0.0, std)]) for share in shares
            ]
            fixed, by = (
                studied(pairs, looks=looks, margin=MARGIN)
                for looks in (_fixed(LOOKS[-1].seeds), LOOKS)
            )
            rows.append(
                {
                    "truth": truth,
                    "std": f"{std:g}",
                    "64 seeds": f"{fixed.words[word]:.2f}",
                    "looks": f"{by.words[word]:.2f}",
                    "seeds, mean": f"{by.seeds:.0f}",
                }
            )
    return rows


# ---------------------------------------------------------------- tuned studies

BUDGET, TRIES = 16, 3  # settings of each variant, and seeds of each
PRESET, MOVED = 0.5, 0.8  # places in the range of the field that is tuned
STEEP = 2 * MARGIN / (MOVED - PRESET) ** 2  # 2 m are lost at the preset, where it moved


class Surface(NamedTuple):
    """The true score of a variant at a place of the tuned range, 0 to 1: a parabola."""

    best: float  # the score at the optimum
    optimum: float = PRESET

    def at(self, place: np.ndarray | float) -> np.ndarray:
        return np.asarray(self.best - STEEP * (place - self.optimum) ** 2)


def tuned(
    surface: Surface, std: float, seeds: int, runs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scores [runs, seeds] at the setting that each study chose; its place [runs].

    Settings are points of a scrambled Sobol sequence of one field: one, uniform, in
    each of as many equal parts of its range.
    """
    places = (np.arange(BUDGET) + rng.random((runs, BUDGET))) / BUDGET
    noise = std / math.sqrt(TRIES) * rng.standard_normal((runs, BUDGET))
    best = np.argmax(surface.at(places) + noise, 1)
    chosen = places[np.arange(runs), best]
    fresh = std * rng.standard_normal((runs, seeds))
    return surface.at(chosen)[:, None] + fresh, chosen


def tuning_table() -> list[dict[str, str]]:
    """What the same toggle is called at the presets and at chosen settings.

    A's optimum moves with the toggle, so that its preset loses 2 m of what it would
    have; all other optima are the presets.
    """
    truths = {
        "tuning alone: co-adapted is wrong": (Surface(0.0, MOVED), verdict.SPLIT),
        "A gains 2 m: helps A only is right": (
            Surface(2 * MARGIN, MOVED),
            (verdict.HELPS_A,),
        ),
    }
    return [
        {"truth": truth, "std": f"{std:g}", **_tuned_row(with_it, std, words)}
        for truth, (with_it, words) in truths.items()
        for std in STDS
    ]


def _tuned_row(with_it: Surface, std: float, words: Sequence[str]) -> dict[str, str]:
    rng, seeds, row = np.random.default_rng(0), SIZES[-1], dict[str, str]()
    arms = (with_it, Surface(0.0), Surface(0.0), Surface(0.0))
    at_presets = [
        arm.at(PRESET) + std * rng.standard_normal((RUNS, seeds)) for arm in arms
    ]
    made = [tuned(arm, std, seeds, RUNS, rng) for arm in arms]
    chosen = [scores for scores, _ in made]
    for name, scores in (("presets", at_presets), ("tuned", chosen)):
        effects = [[(1.0, scores[i]), (-1.0, scores[i + 1])] for i in (0, 2)]
        for looks in (_fixed(SIZES[1]), _fixed(seeds)):
            said = judged(effects, looks, MARGIN).words
            number = sum(said[word] for word in words)
            row[f"{name}, {looks[0].seeds} seeds"] = f"{number:.3f}"
    lost = [
        arm.best - arm.at(place) for arm, (_, place) in zip(arms, made, strict=True)
    ]
    return {**row, "below the best": f"{np.mean(lost):.3f}"}


def tables() -> dict[str, list[dict[str, str]]]:
    """Those of docs/statistics.md, by their marks."""
    return {
        "power": power_table(),
        "errors": error_table(),
        "looks": looks_table(),
        "tuned": tuning_table(),
    }
