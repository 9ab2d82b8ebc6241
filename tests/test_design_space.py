"""Points that nobody chose: presets with a few choices of docs/choices.md, trained.

A draw takes a preset and two to four fields, and a value of each that the preset has
not; it counts where the rules let it. So the points follow what there is to choose.
"""

import functools
import random
from typing import NamedTuple

import jax
import numpy as np
import pytest
from recipes import FROM_DATA, SHORT, write_dataset

from coadapt import algorithms, runner, schema
from coadapt.config import Config
from coadapt.schema import ConfigError
from coadapt.validation import config_rules
from tools import choices

DATASET = "space/lqr-v0"
POINTS, SEED = 60, 27
# what a choice has by default and a short test can not afford, where it is
SMALL = {
    **{f"networks.{net}.width": 8 for net in ("policy", "critic")},
    **{f"networks.{net}.blocks": 1 for net in ("policy", "critic")},
    "critic.head.bins": 11,
    "critic.head.number": 5,
    "schedule.resets.period": 5,
    "data.pretrain_updates": 3,
}
STEPS = 184  # env steps: three iterations of a rollout, 120 updates of a replay
LONGER = {"awr": 240, "urex": 270}  # whose iterations are longer


class Point(NamedTuple):
    """A preset and choices of it."""

    preset: str
    chosen: tuple[choices.Choice, ...]

    @property
    def name(self) -> str:
        return " ".join([self.preset, *(f"{c.at}={c.said}" for c in self.chosen)])

    def config(self) -> Config:
        """Raises: ConfigError, where it is not valid."""
        made = schema.override(algorithms.preset(self.preset), SHORT[self.preset])
        for choice in self.chosen:
            made = schema.override(made, choice.changes)
        known = dict(schema.paths(made))
        sizes = {path: x for path, x in SMALL.items() if known.get(path)}
        sets = {path: DATASET for path, x in known.items() if x == choices.SET}
        sets |= {"data.dataset": DATASET} if self.preset in FROM_DATA else {}
        room = {"data.capacity": 2000} if "data.prefill" in sets else {}
        made = schema.override(made, sizes | sets | room)
        config_rules.check(made)
        return made


def _apart(paths: list[str]) -> bool:
    """Whether none lies in another."""
    ends = [f"{path}." for path in paths]
    return not any(a != b and a.startswith(b) for a in ends for b in ends)


def _drawn(draw: random.Random) -> Point | None:
    """A point each of whose choices changes the preset; None, if there is no such."""
    preset, number = draw.choice(list(algorithms.PRESETS)), draw.choice([2, 3, 4])
    paths = draw.sample(list(by_path()), number)
    chosen = tuple(draw.choice(by_path()[path]) for path in paths)
    try:
        alone = [Point(preset, (each,)).config() for each in chosen]
        point = Point(preset, chosen)
        point.config()
    except ConfigError:
        return None
    same = Point(preset, ()).config() in alone
    return point if _apart(paths) and not same else None


@functools.cache
def by_path() -> dict[str, list[choices.Choice]]:
    found: dict[str, list[choices.Choice]] = {}
    for choice in choices.choices():
        found.setdefault(choice.at, []).append(choice)
    return found


@functools.cache
def points() -> tuple[Point, ...]:
    """POINTS that are valid, by SEED."""
    draw, found = random.Random(SEED), dict[str, Point]()
    while len(found) < POINTS:
        point = _drawn(draw)
        if point is not None:
            found[point.name] = point
    return tuple(found.values())


@pytest.mark.long
def test_the_draw_is_wide():
    """Of half of all presets at least, and none twice."""
    assert len({point.name for point in points()}) == POINTS
    assert len({point.preset for point in points()}) >= len(algorithms.PRESETS) // 2


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        write_dataset(DATASET, share=0.3, noise=0.3, episodes=20)
        yield


@pytest.mark.long
@pytest.mark.parametrize("number", range(POINTS))
def test_a_sampled_point_trains_with_finite_numbers(number, dataset):
    trains(points()[number])


@pytest.mark.long
def test_steps_in_a_row_of_a_replay_that_begins_with_a_data_set(dataset):
    trains(Point("d4pg", tuple(by_path()["data.prefill"])))


def trains(point: Point) -> None:
    """Two agents for some updates: all that they are stays finite, and no metric is
    infinite; one that a preset has none of is NaN.
    """
    config, told = point.config(), []
    steps = LONGER.get(point.preset, STEPS)
    last = runner.train(
        [config] * 2, [0, 1], "toy/lqr", steps=steps, eval_every=steps,
        eval_episodes=2, report=told.append,
    )  # fmt: skip
    assert int(last.clock.updates) >= 2, point.name
    assert np.asarray(last.learner.health.alive).all(), point.name
    for path, x in jax.tree.leaves_with_path(last.learner.agent):
        said = f"{point.name}: {jax.tree_util.keystr(path)}"
        assert np.isfinite(np.asarray(x, np.float64)).all(), said
    assert told and np.isfinite(told[-1].metrics["return"]).all(), point.name
    for name, x in told[-1].metrics.items():
        assert not np.isinf(x).any(), f"{point.name}: {name}"
