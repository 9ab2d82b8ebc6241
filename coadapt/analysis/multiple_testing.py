"""Many questions at once: p corrected for how many there are.

A study with m questions has m chances to be wrong. Holm's p keeps the chance that any
of what is claimed is wrong below alpha; Benjamini and Hochberg's keeps the expected
share of what is claimed that is wrong below it, which is enough for a screen that is
followed by a study, and for nothing else.
"""

from collections.abc import Sequence

import numpy as np


def holm(ps: Sequence[float]) -> np.ndarray:
    """Adjusted p [m]: valid however they depend. NaN, of what claims nothing, is 1.

    Source: Holm 1979.
    """
    known, order = _ordered(ps)
    factors = np.arange(len(known), 0, -1)
    steps = np.maximum.accumulate(known[order] * factors)
    return _back(np.minimum(steps, 1.0), order)


def benjamini_hochberg(ps: Sequence[float]) -> np.ndarray:
    """Adjusted p [m], of independent or positively dependent ones; NaN is 1.

    Source: Benjamini and Hochberg 1995.
    """
    known, order = _ordered(ps)
    factors = len(known) / np.arange(1, len(known) + 1)
    steps = np.minimum.accumulate((known[order] * factors)[::-1])[::-1]
    return _back(np.minimum(steps, 1.0), order)


def _ordered(ps: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    known = np.array(ps, np.float64).reshape(-1)
    known = np.where(np.isnan(known), 1.0, known)
    return known, np.argsort(known, kind="stable")


def _back(steps: np.ndarray, order: np.ndarray) -> np.ndarray:
    found = np.empty_like(steps)
    found[order] = steps
    return found
