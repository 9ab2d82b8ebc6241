"""`coadapt.compare`: the effect of a toggle on one algorithm or on two, from rows.

The report, `coadapt effects`, the tutorial and the notebooks call it, so that one
question has one answer.
"""

from coadapt.analysis.comparison.answers import (
    MARGIN,
    MARGINS,
    OTHERS,
    Comparison,
    compare,
    interval,
    multiverse,
)
from coadapt.analysis.comparison.arms import (
    Arms,
    apart,
    arms_of,
    by_version,
    correlation,
    looks_note,
    margin_of,
)
from coadapt.analysis.comparison.pairs import Names, Pair, named
from coadapt.analysis.comparison.question import PAIRED, REFERENCE, RETURNS, Beside
from coadapt.analysis.comparison.rules import CLEAN, RARE
from coadapt.analysis.comparison.scores import InUnit, in_unit, mean_of
from coadapt.analysis.score import METRICS, RULES, Rate

__all__ = [
    "CLEAN",
    "MARGIN",
    "MARGINS",
    "METRICS",
    "OTHERS",
    "PAIRED",
    "RARE",
    "REFERENCE",
    "RETURNS",
    "RULES",
    "Arms",
    "Beside",
    "Comparison",
    "InUnit",
    "Names",
    "Pair",
    "Rate",
    "apart",
    "arms_of",
    "by_version",
    "compare",
    "correlation",
    "in_unit",
    "interval",
    "looks_note",
    "margin_of",
    "mean_of",
    "multiverse",
    "named",
]
