"""Learning curves, and what `diagnostics` finds.

Figures are made without pyplot, so no window system is touched, and in a style of their
own, which no matplotlibrc changes. What cannot be drawn is a ConfigError.
"""

from coadapt.plot.beliefs import (
    Bias,
    Landscape,
    Surface,
    Weights,
    action_gap,
    action_line,
    action_plane,
    calibration,
    half_level,
    overestimation,
    value_surface,
    weights,
)
from coadapt.plot.canvas import BESIDE, LONG
from coadapt.plot.design import Explained, Settings, by_task, importance, settings
from coadapt.plot.estimates import Interval, best_of, forest, intervals
from coadapt.plot.files import pdf, png, save
from coadapt.plot.layers import layers
from coadapt.plot.lines import (
    COLUMN,
    COLUMNS,
    LETTERS,
    NAMED,
    column,
    curves,
    metrics,
    panel,
    panels,
)
from coadapt.plot.styles import Look, looks

__all__ = [
    "BESIDE",
    "COLUMN",
    "COLUMNS",
    "LETTERS",
    "LONG",
    "NAMED",
    "Bias",
    "Explained",
    "Interval",
    "Landscape",
    "Look",
    "Settings",
    "Surface",
    "Weights",
    "action_gap",
    "action_line",
    "action_plane",
    "best_of",
    "by_task",
    "calibration",
    "column",
    "curves",
    "forest",
    "half_level",
    "importance",
    "intervals",
    "layers",
    "looks",
    "metrics",
    "overestimation",
    "panel",
    "panels",
    "pdf",
    "png",
    "save",
    "settings",
    "value_surface",
    "weights",
]
