"""Curves: what is drawn, read off the figure."""

import io

import numpy as np
import pandas as pd
import pytest

from coadapt import plot, store
from coadapt.schema import ConfigError
from coadapt.stats import Counts, Estimate


def frame():
    rows = [
        ("e", "sac", v, "toy/lqr", s, t, "return", float(t + 10 * s), "")
        for v in ("sac", "sac/one")
        for s in (0, 1)
        for t in (10, 20, 30)
    ]
    return pd.DataFrame(rows, columns=list(store.COLUMNS))


def thick(figure):
    return [line for line in figure.axes[0].lines if line.get_linewidth() > 1]


def test_a_line_a_variant_with_its_mean_and_thin_seeds():
    figure = plot.curves(frame(), "toy/lqr")
    (axes,) = figure.axes
    assert [line.get_label() for line in thick(figure)] == ["sac", "sac/one"]
    np.testing.assert_allclose(thick(figure)[0].get_ydata(), [15, 25, 35])
    assert len(axes.lines) == 2 * (1 + 2)
    assert len(axes.collections) == 2
    assert axes.get_xlabel() == "environment steps"
    assert "return" in axes.get_ylabel()
    assert axes.get_title(loc="left") == "toy/lqr"
    figure.savefig(io.BytesIO())


def test_a_failed_seed_is_named_and_its_line_ends():
    data = frame()
    data.loc[
        (data.variant == "sac") & (data.seed == 1) & (data.env_steps > 10), "value"
    ] = np.nan
    figure = plot.curves(data, "toy/lqr")
    line = thick(figure)[0]
    assert line.get_label() == "sac (1 failed)"
    np.testing.assert_allclose(line.get_ydata(), [15, 20, 30])


def test_a_seed_without_rows_yet_has_not_failed():
    data = frame()
    figure = plot.curves(data[(data.seed == 0) | (data.env_steps < 30)], "toy/lqr")
    assert thick(figure)[0].get_label() == "sac"


def test_what_runs_away_downwards_is_named_and_does_not_flatten_the_rest():
    rows = frame()
    low = rows[rows.variant == rows.variant[0]].assign(variant="lost", value=-1e12)
    axes = plot.curves(pd.concat([rows, low]), rows.task[0]).axes[0]
    kept = rows.value[np.isfinite(rows.value)]
    bottom, top = axes.get_ylim()
    assert bottom < kept.min() and kept.max() < top
    assert top - bottom < 1.2 * np.ptp(kept)
    assert "below the picture: lost" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("solved", [False, True])
def test_a_low_return_is_no_runaway(solved):
    rows = frame()
    if solved:  # nearly all are at the top
        rows["value"] = 1000.0
    low = rows[rows.variant == rows.variant[0]]
    deep = -4 * rows.value.max()
    axes = plot.curves(
        pd.concat([rows, low.assign(variant="low", value=deep)]), rows.task[0]
    ).axes[0]
    assert axes.get_ylim()[0] < deep and not axes.texts


def test_colours_and_dashes_tell_32_variants_apart():
    one = frame()[frame().variant == "sac"]
    each = [one.assign(variant=f"v{i}") for i in range(32)]
    many = pd.concat(each, ignore_index=True)
    looks = {
        (x.get_color(), x.get_linestyle()) for x in thick(plot.curves(many, "toy/lqr"))
    }
    assert len(looks) == 32


def test_one_evaluation_and_none():
    data = frame()
    plot.curves(data[data.env_steps == 10], "toy/lqr").savefig(io.BytesIO())
    plot.curves(data[data.env_steps == 0], "toy/lqr").savefig(io.BytesIO())


# ---------------------------------------------------------------- for a paper

SOME = Counts(10, 2, 0, 0)
FOUND = {
    "SAC": Estimate(0.4, 0.1, 0.7, SOME),
    "MPO": Estimate(-0.1, np.nan, np.nan, SOME),
    "TD3": Estimate(np.nan, np.nan, np.nan, SOME),
}


def test_intervals_are_lines_from_top_to_bottom():
    (axes,) = plot.intervals(FOUND, "effect (score)").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(FOUND)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top
    bars = [tuple(x.get_xdata()) for x in axes.lines if x.get_linewidth() == 1.6]
    assert bars == [(0.1, 0.7)]
    dots = [x.get_xdata()[0] for x in axes.lines if x.get_marker() == "o"]
    np.testing.assert_array_equal(dots, [0.4, -0.1, np.nan])
    assert [text.get_text() for text in axes.texts] == ["no estimate"]
    assert axes.get_xlabel() == "effect (score)"


def test_a_figure_is_saved_the_same_each_time_and_its_text_is_text(tmp_path):
    figure = plot.intervals(FOUND, "effect")
    for suffix in ("pdf", "svg", "png"):
        for name in ("one", "two"):
            plot.save(figure, tmp_path / f"{name}.{suffix}")
        one, two = ((tmp_path / f"{n}.{suffix}").read_bytes() for n in ("one", "two"))
        assert one == two and one
    made = (tmp_path / "one.pdf").read_bytes()
    assert b"/FontFile2" in made and b"/Type3" not in made  # TrueType
    assert ">effect</text>" in (tmp_path / "one.svg").read_text()
    with pytest.raises(ConfigError, match=r"must end in .pdf, .svg, .png"):
        plot.save(figure, tmp_path / "one.gif")


def test_an_estimate_says_itself():
    assert [str(each) for each in FOUND.values()] == [
        "0.40 [0.10, 0.70]",
        "-0.10",
        "nan",
    ]
