"""Factorial designs and their effects; published means on one scale.

Effects of a run store are in the unit of its tasks: see verdict.py and comparison/.
Published means have no such unit: `by_range` puts them on the range of their table.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from coadapt.analysis import verdict
from coadapt.analysis.verdict import Effect
from coadapt.schema import ConfigError

# ---------------------------------------------------------------- published means


class Scale(NamedTuple):
    """A score x of a task is (x - low) / (high - low)."""

    low: float
    high: float


def by_range(means: Sequence[float], task: str) -> Scale:
    """From the worst finite mean (0) to the best (1).

    Raises:
        ConfigError: if equal.
    """
    finite = [mean for mean in means if np.isfinite(mean)]
    if not finite or not min(finite) < max(finite):
        raise ConfigError(f"{task} cannot be put on a scale: no two means differ.")
    return Scale(min(finite), max(finite))


class Cells(NamedTuple):
    """Published cells of a variant, arrays [tasks]."""

    mean: np.ndarray
    std: np.ndarray  # over seeds, taken to have ddof=1; NaN where the mean is infinite
    seeds: int

    def scaled(self, scales: Sequence[Scale]) -> "Cells":
        """A cell that diverged is the worst of its task, exactly: its std is 0 then."""
        low, high = np.array(scales, np.float64).reshape(-1, 2).T
        lost = ~np.isfinite(self.mean)
        mean = np.where(
            lost, 0.0, (np.where(lost, low, self.mean) - low) / (high - low)
        )
        return Cells(mean, np.where(lost, 0.0, self.std / (high - low)), self.seeds)


def of_cells(parts: Sequence[tuple[float, Cells]]) -> Effect:
    """A sum of means over tasks, each with its weight: the difference of two, say."""
    return verdict.of_means([
        (weight / len(cells.mean), float(mean), float(std), cells.seeds)
        for weight, cells in parts
        for mean, std in zip(cells.mean, cells.std, strict=True)
    ])  # fmt: skip


# ---------------------------------------------------------------- factorials

Term = tuple[str, ...]  # () is the mean, (a,) a main effect, (a, b) an interaction


class Design(NamedTuple):
    """Which toggles are on (1) or off (-1) in each variant."""

    names: tuple[str, ...]
    rows: np.ndarray  # [variants, toggles] of 1 and -1


class FactorialEffect(NamedTuple):
    """A contrast, and what it cannot be told from."""

    term: Term
    estimate: Effect
    aliases: dict[Term, float]  # coefficient of each other term in this contrast


def full(names: Sequence[str]) -> Design:
    """All 2^n settings of n toggles, the last varying fastest."""
    rows = list(itertools.product((-1, 1), repeat=len(names)))
    return Design(tuple(names), np.array(rows, int).reshape(-1, len(names)))


def fraction(names: Sequence[str], generators: Mapping[str, Sequence[str]]) -> Design:
    """The full factorial of `names`, with further toggles as products of some of them.

    fraction("abc", {"d": "abc"}) is the half of 2^4 in which d = abc. Source: Box,
    Hunter and Hunter 2005, ch. 6.

    Raises:
        ConfigError: on names that are not there.
    """
    base = full(names)
    for name, of in generators.items():
        unknown = [each for each in of if each not in base.names]
        if unknown or not of or name in base.names:
            raise ConfigError(
                f"generator {name!r} is {list(of)}: it must be a new toggle, as a "
                f"product of some of {', '.join(base.names)}."
            )
    made = [_column(base, tuple(of)) for of in generators.values()]
    rows = np.column_stack([base.rows, *made]) if made else base.rows
    return Design((*base.names, *generators), rows)


def fractional(names: Sequence[str], resolution: int) -> Design:
    """The smallest 2^(n-k) design of n toggles that has at least this resolution.

    In one of 3 no two main effects are aliased, in one of 4 no main effect with an
    interaction, in one of 5 no two interactions. Source: Box, Hunter and Hunter 2005,
    ch. 6.

    Raises:
        ConfigError: below 3 or above 12 toggles.
    """
    if resolution < 3 or not 1 <= len(names) <= 12:
        raise ConfigError(
            f"resolution is {resolution} of {len(names)} toggles: it must be 3 or "
            "more, of 1 to 12 toggles."
        )
    for size in range(1, len(names) + 1):
        base, rest = tuple(names[:size]), tuple(names[size:])
        words = [
            word
            for length in range(size, resolution - 2, -1)
            for word in itertools.combinations(range(size), length)
        ]
        found = _generated(size, len(rest), words, (0,), resolution)
        if found is not None:
            products = [tuple(base[i] for i in word) for word in found]
            return fraction(base, dict(zip(rest, products, strict=True)))
    raise AssertionError("the full factorial has no words")


def _generated(
    size: int,
    more: int,
    words: Sequence[tuple[int, ...]],
    relation: tuple[int, ...],
    resolution: int,
) -> list[tuple[int, ...]] | None:
    """Products for `more` toggles after `size`; None where there are not as many.

    `relation` has the products of columns that are constant so far, as bits.
    """
    if not more:
        return []
    for i, word in enumerate(words):
        made = sum(1 << j for j in word) | 1 << size
        new = tuple(made ^ old for old in relation)
        if min(each.bit_count() for each in new) < resolution:
            continue
        rest = _generated(
            size + 1, more - 1, words[i + 1 :], (*relation, *new), resolution
        )
        if rest is not None:
            return [word, *rest]
    return None


def terms(design: Design, order: int = 2) -> list[Term]:
    """Main effects, and interactions of up to `order` toggles."""
    sizes = range(1, order + 1)
    return [t for size in sizes for t in itertools.combinations(design.names, size)]


def aliasing(design: Design, order: int = 2) -> dict[Term, dict[Term, float]]:
    """What each contrast also measures: term -> {other: coefficient}, of not 0.

    The mean of the product of two terms' columns. A coefficient of 1 or -1 says that
    the two cannot be told apart; a full factorial has none.

    Raises:
        ConfigError: unless each toggle is on in half of the variants, and each two
            in a quarter.
    """
    _refuse_unbalanced(design)
    columns = {term: _column(design, term) for term in [(), *terms(design, order)]}
    return {
        term: {
            other: float((ours * theirs).mean())
            for other, theirs in columns.items()
            if other != term and (ours * theirs).sum()
        }
        for term, ours in columns.items()
        if term
    }


def factorial(
    design: Design, arms: Sequence[Sequence[np.ndarray]]
) -> list[FactorialEffect]:
    """Main effects and two-way interactions of scores in one unit.

    A main effect is the mean of the variants with the toggle less that of those
    without. An interaction of a and b is half of effect(a | b on) - effect(a | b off),
    as in Box, Hunter and Hunter 2005: half of a gap of `coadapt.compare`.

    Args:
        arms: of each variant of the design, and of each task, scores [seeds].
    Returns:
        a contrast for each term, with Welch's interval, and its aliases.
    Raises:
        ConfigError: if there is not one list of arms for each variant.
    """
    if len(arms) != len(design.rows) or len({len(each) for each in arms}) != 1:
        raise ConfigError(
            f"arms are of {len(arms)} variants: they must be of the design's "
            f"{len(design.rows)}, on the same tasks."
        )
    found = []
    for term, others in aliasing(design).items():
        signs = 2 * _column(design, term) / len(arms)
        parts = [
            (float(sign) / len(tasks), scores)
            for sign, tasks in zip(signs, arms, strict=True)
            for scores in tasks
        ]
        found.append(FactorialEffect(term, verdict.effect(parts), others))
    return found


def _column(design: Design, term: Term) -> np.ndarray:
    at = [design.names.index(name) for name in term]
    return design.rows[:, at].prod(1)


def _refuse_unbalanced(design: Design) -> None:
    rows = design.rows
    if rows.ndim != 2 or not rows.size or not (abs(rows) == 1).all():
        raise ConfigError("a design must have rows of 1 and -1, one for each variant.")
    product = rows.T @ rows
    for i, name in enumerate(design.names):
        if rows[:, i].sum():
            raise ConfigError(
                f"toggle {name!r} is on in {int((rows[:, i] > 0).sum())} of "
                f"{len(rows)} variants: it must be in half of them."
            )
        for j in range(i):
            if product[i, j]:
                raise ConfigError(
                    f"toggles {design.names[j]!r} and {name!r} go together: each must "
                    "be on as often with the other as without."
                )
