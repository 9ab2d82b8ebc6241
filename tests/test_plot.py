"""Curves: what is drawn, read off the figure."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest

from coadapt import plot
from coadapt.algorithms import LATER, PRESETS
from coadapt.analysis import stats
from coadapt.analysis.stats import Counts, Estimate
from coadapt.plot.styles import colors
from coadapt.runs import store
from coadapt.schema import ConfigError


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


@pytest.mark.parametrize("rows_go_on", [True, False])
def test_a_failed_seed_stays_in_the_mean_as_the_table_has_it(rows_go_on):
    """Of three seeds two fail: the mean is not the survivor's."""
    third = frame().assign(seed=2)[frame().seed == 0]
    data = pd.concat([frame(), third], ignore_index=True)
    fails = (data.variant == "sac") & (data.seed != 1) & (data.env_steps > 10)
    data["value"] = data.value.where(~fails, np.nan)
    if not rows_go_on:  # all that is left of a program that ended is its failure
        data = data[~(fails & (data.env_steps > 20))]
    figure = plot.curves(data, "toy/lqr")
    line = thick(figure)[0]
    assert line.get_label() == "sac (2 failed)"
    survivor = np.array([20, 30, 40])
    np.testing.assert_allclose(line.get_ydata(), (10 + 10 + survivor) / 3)
    table = stats.summary(data).set_index("variant").loc["sac"]
    np.testing.assert_allclose(line.get_ydata()[-1], table["mean"])
    crosses = [x for x in figure.axes[0].lines if x.get_marker() == "x"]
    assert [list(x.get_xydata().ravel()) for x in crosses] == [[10, 10, 10, 10]]


def test_a_mean_ends_as_far_as_all_seeds_have_come():
    data = frame()
    figure = plot.curves(data[(data.seed == 0) | (data.env_steps < 30)], "toy/lqr")
    line = thick(figure)[0]
    assert line.get_label() == "sac"  # a seed without rows yet has not failed
    assert line.get_xdata().tolist() == [10, 20]
    thin = [x for x in figure.axes[0].lines if x.get_linewidth() < 1]
    assert thin[0].get_xdata().tolist() == [10, 20, 30]


def test_seeds_that_were_measured_at_other_steps_have_a_mean_of_those_there():
    data = frame()
    data.loc[data.seed == 1, "env_steps"] += 5
    line = thick(plot.curves(data, "toy/lqr"))[0]
    assert line.get_ydata().tolist() == [10, 20, 20, 30, 30, 40]


def test_a_metric_that_an_agent_has_not_is_no_failure():
    data = frame()
    loss = data.assign(metric="critic_loss", value=np.nan)
    loss["value"] = loss.value.where(loss.seed == 1, 7.0)
    rows = pd.concat([data, loss])
    line = thick(plot.curves(rows, "toy/lqr", "critic_loss"))[0]
    assert line.get_label() == "sac" and line.get_ydata().tolist() == [7, 7, 7]


def test_what_an_agent_tells_after_it_failed_is_not_drawn():
    data = frame()
    loss = data.assign(metric="critic_loss")
    fails = (data.seed == 1) & (data.env_steps > 10)
    loss["value"] = loss.value.where(~fails, np.inf)
    data["value"] = data.value.where(~fails, np.nan)
    figure = plot.curves(pd.concat([data, loss]), "toy/lqr", "critic_loss")
    line = thick(figure)[0]
    assert line.get_label() == "sac (1 failed)" and not figure.axes[0].texts
    np.testing.assert_allclose(line.get_ydata(), [15, 20, 25])


def test_a_loss_that_runs_away_upwards_is_named_and_does_not_set_the_axis():
    rows = frame().assign(metric="critic_loss")
    high = rows[rows.variant == "sac"].assign(variant="lost")
    high.loc[high.env_steps > 10, "value"] = 1e30
    both = pd.concat([rows, high])
    axes = plot.curves(both, "toy/lqr", "critic_loss").axes[0]
    assert axes.get_ylim()[1] < 50
    assert [text.get_text() for text in axes.texts] == ["above the picture: lost"]
    axes.figure.savefig(io.BytesIO())
    (axes,) = plot.metrics(both, "toy/lqr", ["critic_loss"], ["critic_loss"])
    assert axes.get_ylim()[1] > 1e29  # a logarithmic axis has room for it
    returns = plot.curves(both.assign(metric="return"), "toy/lqr").axes[0]
    assert returns.get_ylim()[1] > 1e29  # a high return is what is sought


def test_a_return_that_diverged_is_named():
    rows = frame()
    rows.loc[(rows.variant == "sac") & (rows.env_steps > 20), "value"] = -np.inf
    figure = plot.curves(rows, "toy/lqr")
    (note,) = figure.axes[0].texts
    assert note.get_text() == "below the picture: sac"
    figure.savefig(io.BytesIO())


# ---------------------------------------------------------------- looks


def test_an_algorithm_has_its_colour_in_each_figure():
    """Whoever stands beside it, first or last."""
    for names in (["sac"], ["sac", "mpo"], ["mpo", "sac", "mine"], [*PRESETS]):
        found = plot.looks({f"{name}-x": name for name in names})
        for name in set(names) & {"sac", "mpo"}:
            assert found[f"{name}-x"].color == plot.looks(["sac", "mpo"])[name].color
    whose = {f"{a}{i}": a for a in ("sac", "mpo") for i in range(12)}
    assert len(set(plot.looks(whose).values())) == 24
    both = frame()
    both["algorithm"] = np.where(both.variant == "sac", "sac", "mpo")
    drawn = [line.get_color() for line in thick(plot.curves(both, "toy/lqr"))]
    assert drawn == [plot.looks(["sac", "mpo"])[name].color for name in ("sac", "mpo")]


def test_presets_that_stand_together_differ():
    found = plot.looks(list(PRESETS))
    assert len(set(found.values())) == len(PRESETS)
    own = [name for name in PRESETS if "_" not in name and name not in LATER]
    assert len({found[name].color for name in own}) == len(own)
    # of SAC are more than there are dashes: what is over has a shade of its colour
    whose = colors(PRESETS)
    for name, base in LATER.items():
        assert whose[name] == whose[base] == found[base].color
        assert plot.looks([base, name])[name].color == found[base].color


NAMES = ["_hidden", "$x^$", r"\frac{", "<b>x</b>", "a_b^c", "100%", "[red]x[/]"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text(name):
    rows = pd.concat([frame(), frame()[frame().variant == "sac"].assign(variant=name)])
    look = plot.looks(rows.variant)
    for figure in (
        plot.curves(rows, "toy/lqr"),
        plot.panels(rows, ["toy/lqr"], look),
        plot.metrics(rows, "toy/lqr", ["return"])[0].figure,
    ):
        legends = figure.legends or [figure.axes[0].get_legend()]
        assert name in [text.get_text() for text in legends[0].get_texts()]
        figure.savefig(io.BytesIO())


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


def test_what_a_run_begins_with_is_in_the_picture():
    """Nearly all evaluations are near -100, and the first is a random policy's."""
    rows = frame()
    rows["value"] = np.where(rows.env_steps == rows.env_steps.min(), -1300.0, -100.0)
    late = rows[rows.env_steps == rows.env_steps.max()]
    more = [late.assign(env_steps=late.env_steps + i) for i in range(1, 6)]
    axes = plot.curves(pd.concat([rows, *more]), rows.task[0]).axes[0]
    assert axes.get_ylim()[0] < -1300 and not axes.texts


def test_colours_and_dashes_tell_32_variants_apart():
    one = frame()[frame().variant == "sac"]
    each = [one.assign(variant=f"v{i}") for i in range(32)]
    many = pd.concat(each, ignore_index=True)
    looks = {
        (x.get_color(), x.get_linestyle()) for x in thick(plot.curves(many, "toy/lqr"))
    }
    assert len(looks) == 32


def test_one_evaluation():
    data = frame()
    plot.curves(data[data.env_steps == 10], "toy/lqr").savefig(io.BytesIO())


def lost(rows, name="lost", sane=1):
    """Of five seeds all but `sane` run away after the first evaluation."""
    mine = rows[(rows.variant == "sac") & (rows.seed == 0)]
    seeds = [mine.assign(variant=name, seed=seed) for seed in range(5)]
    found = pd.concat(seeds, ignore_index=True)
    away = (found.seed >= sane) & (found.env_steps > 10)
    found.loc[away, "value"] = -7e12 * found.seed
    return found


@pytest.mark.parametrize("sane", [1, 4])
def test_the_axis_is_of_what_did_not_run_away(sane):
    """Even where most values did, and with them the median of all."""
    rows = [frame()[frame().variant == "sac/one"], lost(frame(), sane=sane)]
    axes = plot.curves(pd.concat(rows), "toy/lqr").axes[0]
    bottom, top = axes.get_ylim()
    assert bottom < 10 and top > 40 and top - bottom < 1.2 * 30
    assert [text.get_text() for text in axes.texts] == ["below the picture: lost"]


def test_a_band_is_cut_by_the_axis():
    """One of five: mean - std is -17e12, and mean + std 6e12."""
    rows = [frame()[frame().variant == "sac/one"], lost(frame(), sane=4)]
    axes = plot.curves(pd.concat(rows), "toy/lqr").axes[0]
    edge = axes.collections[1].get_paths()[0].vertices
    low, high = np.min(edge[edge[:, 0] == 30, 1]), np.max(edge[edge[:, 0] == 30, 1])
    bottom, top = axes.get_ylim()
    # far enough for the slope to be as it was, near enough for a PDF to hold it
    assert -1e4 < low < bottom - 10 * (top - bottom)
    assert top + 10 * (top - bottom) < high < 1e4


def test_one_seed_has_no_band():
    rows = frame()
    axes = plot.curves(rows[rows.seed == 0], "toy/lqr").axes[0]
    assert not any(len(path) for c in axes.collections for path in c.get_paths())


def test_of_some_variants_limits_and_notes_are_theirs():
    rows = pd.concat([frame(), *(lost(frame(), f"lost{i}") for i in range(5))])
    names = ["sac", "sac/one"]
    look = plot.looks(names)
    for figure in (
        plot.panels(rows, ["toy/lqr"], look),
        plot.panel(rows, "toy/lqr", look),
        plot.curves(rows, "toy/lqr", look=look),
    ):
        axes = figure.axes[0]
        assert not axes.texts and axes.get_ylim()[0] > 0
    (note,) = plot.curves(rows, "toy/lqr").axes[0].texts
    assert note.get_text() == "below the picture: lost0; lost1; lost2; and 2 more"


ROWS, LOOK = frame(), plot.looks(["sac"])
WRONG = [
    (lambda: plot.curves(ROWS, "toy/lqrr"), "task is 'toy/lqrr'.*mean 'toy/lqr'"),
    (lambda: plot.curves(ROWS, "toy/lqr", "retrun"), "'retrun'.*mean 'return'"),
    (lambda: plot.curves(ROWS[:0], "toy/lqr"), "task is 'toy/lqr': the rows have none"),
    (lambda: plot.curves(pd.DataFrame(), "toy/lqr"), "no column 'task'"),
    (lambda: plot.curves(ROWS, "toy/lqr", look=plot.looks(["sca"])), "mean 'sac'"),
    (lambda: plot.curves(pd.concat([ROWS, ROWS]), "toy/lqr"), "occur twice at 10 env"),
    (lambda: plot.panel(ROWS, "gym/Hopper-v5", LOOK), "task is 'gym/Hopper-v5'"),
    (lambda: plot.panels(ROWS, [], LOOK), "tasks is empty"),
    (lambda: plot.panels(ROWS, ["toy/lqr", "toy/x"], LOOK), "task is 'toy/x'"),
    (lambda: plot.metrics(ROWS, "toy/lqr", []), "metrics is empty"),
    (
        lambda: plot.metrics(ROWS, "toy/lqr", {"kl": "KL"}),
        "rows on toy/lqr have return",
    ),
    (
        lambda: plot.curves(
            pd.concat([ROWS, ROWS.assign(task="x", variant="x")]), "x", look=LOOK
        ),
        "variant is 'sac': rows on x have x",
    ),
    (lambda: plot.intervals({}, "effect"), "estimates is empty"),
    (lambda: plot.calibration({}), "agents is empty"),
    (lambda: plot.overestimation({}), "agents is empty"),
]


@pytest.mark.parametrize(("draw", "said"), WRONG)
def test_what_cannot_be_drawn_is_a_sentence(draw, said):
    with pytest.raises(ConfigError, match=said) as caught:
        draw()
    assert "\n" not in str(caught.value)


def test_a_matplotlibrc_changes_nothing(tmp_path):
    """Not even one that sets text by TeX; names are text, whatever is in them."""
    rows = frame().replace("sac/one", "$x^$")

    def made() -> bytes:
        figure = plot.curves(rows, "toy/lqr")
        assert "$x^$" in [line.get_label() for line in thick(figure)]
        figure.savefig(tmp_path / "shown.png")  # as a notebook does
        return plot.png(figure)

    before = made()
    with matplotlib.rc_context({
        "text.usetex": True, "font.size": 30, "axes.grid": True, "savefig.dpi": 20,
    }):  # fmt: skip
        assert made() == before


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


def test_powers_are_plain_numbers():
    figure = plot.best_of({"all": np.arange(1.0, 17.0)})
    figure.savefig(io.BytesIO())
    texts = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert {"1", "2", "4", "8", "16"} <= {*texts} and not "".join(texts).count("$")


def test_an_estimate_says_itself():
    assert [str(each) for each in FOUND.values()] == [
        "0.40 [0.10, 0.70]",
        "-0.10",
        "nan",
    ]


def test_a_colour_is_seen_on_a_dark_page_too():
    """Those that are light enough stay as they are."""
    from coadapt.plot import styles

    assert styles.luminance("#FFFFFF") == pytest.approx(1) and not styles.luminance(
        "#000000"
    )
    for color in styles.COLORS:
        made = styles.on_dark(color)
        assert styles.luminance(made) >= 0.18 and styles.on_dark(made) == made
    assert styles.on_dark("#E69F00") == "#E69F00"
