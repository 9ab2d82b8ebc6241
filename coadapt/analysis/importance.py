"""How much of the score each field explains in a random design, and each pair of them.

Functional ANOVA (Hutter et al. 2014) of random forests: the variance of the forest's
score over the design's ranges, split into what each field explains alone, and each pair
beyond its two fields. A forest finds something in noise, too. So a column of noise
stands beside the fields, and each share has a null: what is found where it is known
that there is nothing.
"""

import importlib
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from coadapt.schema import ConfigError

POINTS = 10  # settings for each field
TREES = 32
LEAF = 3  # settings of a leaf, at least
PERMUTATIONS = 99  # of a null
DEGREE = 3  # of the polynomials by which fields act each for itself
LEVEL = 0.95  # of a null, which a share must be above
DUMMY = "noise"
INSTALL = "pip install -c constraints.txt -e '.[importance]'"

Key = tuple[int, ...]  # a column, or two


class Share(NamedTuple):
    """What fields explain of the variance of the score over the design's ranges."""

    fields: tuple[str, ...]  # one; or two, and then beyond what each explains alone
    value: float  # of the variance that the forest finds, the mean over its trees
    null: float  # the 95% quantile of shares where these fields do nothing

    @property
    def shown(self) -> bool:
        """Whether it is more than what chance explains."""
        return self.value > self.null


class Importance(NamedTuple):
    """Of a variant's score on a task."""

    shares: tuple[Share, ...]  # of each field, then of each pair; the largest first
    dummy: float  # what a column of noise explains
    fit: float  # R^2 of the forest out of bag: what it knows of settings it did not see
    points: int  # settings


def importance(
    points: np.ndarray,
    scores: np.ndarray,
    fields: Sequence[str],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Importance:
    """Of settings that are iid uniform.

    A field's null permutes its column alone: as columns are independent, a field
    without any effect makes with it what it makes without, so that it is shown in 5%
    of designs. A pair's null is of scores that have the two fields' own effects and all
    others', without interactions: permuted residuals on a sum of cubics (Freedman and
    Lane 1983).

    Args:
        points: [settings, fields], 0 being the low end of a field's range and 1 the
            high one, in the scale in which it was drawn.
        scores: [settings].
        fields: names of the columns.
    Raises:
        ConfigError: below 10 settings a field, or without scikit-learn.
    """
    require(len(points), len(fields))
    # apart from what drew the settings, which may have had the same seed
    rng = np.random.default_rng([seed, len(fields), len(points)])
    table = np.column_stack([points, rng.random(len(points))])
    names, pairs = [*fields, DUMMY], [*itertools.combinations(range(len(fields)), 2)]
    forest = _forest(table, scores, oob_score=True)
    found = _shares(_trees(forest))
    nulls = _field_nulls(table, scores, len(fields), permutations, rng)
    nulls |= _pair_nulls(table, scores, len(fields), permutations, rng)
    shares = [
        Share(tuple(names[i] for i in key), found[key], float(nulls[key]))
        for key in [*((i,) for i in range(len(fields))), *pairs]
    ]
    shares.sort(key=lambda each: (len(each.fields), -each.value))
    dummy, fit = found[len(fields),], float(forest.oob_score_)
    return Importance(tuple(shares), dummy, fit, len(points))


def require(points: int, fields: int) -> None:
    """Raises: ConfigError, where so many settings can not rank so many fields."""
    if points < POINTS * fields:
        raise ConfigError(
            f"importance needs {POINTS} settings a field or more: there are {points} "
            f"for {fields}; run coadapt sweep --random={POINTS * fields} or more."
        )


def _field_nulls(
    table: np.ndarray,
    scores: np.ndarray,
    fields: int,
    permutations: int,
    rng: np.random.Generator,
) -> dict[Key, float]:
    """The quantile of each field's shares where its column says nothing."""
    found: dict[Key, float] = {}
    for i in range(fields):
        drawn, other = [], table.copy()
        for _ in range(permutations):
            other[:, i] = rng.permutation(table[:, i])
            drawn.append(_shares(_trees(_forest(other, scores)))[i,])
        found[i,] = _quantile(drawn)
    return found


def _pair_nulls(
    table: np.ndarray,
    scores: np.ndarray,
    fields: int,
    permutations: int,
    rng: np.random.Generator,
) -> dict[Key, float]:
    """The quantile of each pair's shares where fields act each for itself."""
    pairs = [*itertools.combinations(range(fields), 2)]
    if not pairs:
        return {}
    fitted, rest = _additive(table[:, :fields], scores)
    drawn = [
        _shares(_trees(_forest(table, fitted + rng.permutation(rest))))
        for _ in range(permutations)
    ]
    return {pair: _quantile([each[pair] for each in drawn]) for pair in pairs}


def _quantile(drawn: Sequence[float]) -> float:
    """One that was drawn: of 19, and of 99, one more is above it in 5%."""
    return float(np.quantile(drawn, LEVEL, method="higher"))


def _additive(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares by a cubic of each field: its values, and what is left.

    What is left is as large as the noise, not smaller by what the cubics took of it.
    """
    cubics = [
        np.polynomial.legendre.legvander(2 * column - 1, DEGREE)[:, 1:]
        for column in points.T
    ]
    basis = np.column_stack([np.ones(len(points)), *cubics])
    fitted = basis @ np.linalg.lstsq(basis, scores, rcond=None)[0]
    free = len(scores) - basis.shape[1]
    return fitted, (scores - fitted) * np.sqrt(len(scores) / free)


# ---------------------------------------------------------------- a forest's variance


class Tree(NamedTuple):
    """A function of the unit cube that is constant in boxes."""

    low: np.ndarray  # [boxes, columns], a corner of each
    high: np.ndarray  # the opposite one
    value: np.ndarray  # [boxes]

    @property
    def measure(self) -> np.ndarray:
        """[boxes]: of each the value times the volume."""
        return self.value * (self.high - self.low).prod(1)

    def shares(self) -> dict[Key, float]:
        """Of each column and of each pair in the variance; 0 of a constant.

        A marginal's second moment is a sum over pairs of boxes: their measures times
        how much two sides overlap, as a share of both sides' lengths.
        """
        measure, sides = self.measure, self.high - self.low
        mean, columns = measure.sum(), range(self.low.shape[1])
        total = (measure * self.value).sum() - mean**2
        common = np.minimum(self.high[:, None], self.high[None])
        common -= np.maximum(self.low[:, None], self.low[None])
        kernels = np.maximum(common, 0.0) / (sides[:, None] * sides[None])
        found: dict[Key, float] = {
            (i,): measure @ kernels[..., i] @ measure - mean**2 for i in columns
        }
        for i, j in itertools.combinations(columns, 2):
            both = measure @ (kernels[..., i] * kernels[..., j]) @ measure - mean**2
            found[i, j] = both - found[i,] - found[j,]
        return {key: x / total if total > 0 else 0.0 for key, x in found.items()}


def _shares(trees: Sequence[Tree]) -> dict[Key, float]:
    """The mean over trees."""
    found = [tree.shares() for tree in trees]
    return {key: float(np.mean([each[key] for each in found])) for key in found[0]}


def _forest(table: np.ndarray, scores: np.ndarray, **options: bool) -> Any:
    """Scikit-learn's.

    Raises:
        ConfigError: without it.
    """
    try:
        ensemble: Any = importlib.import_module("sklearn.ensemble")
    except ImportError:
        raise ConfigError(f"importance needs scikit-learn: {INSTALL}.") from None
    forest = ensemble.RandomForestRegressor(
        TREES, min_samples_leaf=LEAF, random_state=0, **options
    )
    return forest.fit(table, scores)


def _trees(forest: Any) -> list[Tree]:
    return [_boxes(each.tree_) for each in forest.estimators_]


def _boxes(tree: Any) -> Tree:
    """The leaves of scikit-learn's tree: all boxes of a level are cut at once."""
    shape = tree.node_count, tree.n_features
    low, high = np.zeros(shape), np.ones(shape)
    left, right = tree.children_left, tree.children_right
    at = np.flatnonzero([left[0] >= 0])
    while at.size:
        column, children = tree.feature[at], np.concatenate([left[at], right[at]])
        for corner in (low, high):
            corner[children] = np.tile(corner[at], (2, 1))
        high[left[at], column] = low[right[at], column] = tree.threshold[at]
        at = children[left[children] >= 0]
    leaf = left < 0
    return Tree(low[leaf], high[leaf], tree.value[leaf, 0, 0])
