"""Units of tasks: what a random policy scores, and where references come from."""

import numpy as np
import pytest

from coadapt import envs
from coadapt.envs import toy
from coadapt.experiments import published
from coadapt.schema import ConfigError
from coadapt.tasks import references, registry
from coadapt.tasks.units import GIVEN, Unit


def test_the_table_is_the_papers():
    cells = {
        c.task: c.mean
        for c in published.cells()
        if (c.table, c.variant) == ("table11", "SAC")
    }
    for robot, value in references.SAC.items():
        for version in (4, 5):
            task = f"gym/{robot}-v{version}"
            assert references.reference(task) == (value, references.PAPER)
            assert cells[registry.paper_name(task)] == value


@pytest.mark.parametrize(
    "task, expected",
    [
        ("dmc/walker_run", (1000.0, references.SUITE)),
        ("toy/lqr", (toy.optimum("toy/lqr"), references.OPTIMUM)),
        ("gym/CartPole-v1", (475.0, references.THRESHOLD)),
        ("gym/Pendulum-v1", None),
        ("gym/InvertedPendulum-v5?reset_noise_scale=0.5", None),
        ("gym/Hopper-v5?terminate_when_unhealthy=false", None),
        ("brax/ant", None),
    ],
)
def test_a_reference_has_a_source(task, expected):
    assert references.reference(task) == expected


def test_a_random_policy_is_measured():
    """On the host, discrete; an episode of CartPole is of 22 steps, std 12."""
    found = references.measured("gym/CartPole-v1", Unit(reference=475.0))
    assert found.random == pytest.approx(22, abs=4 * 12 / np.sqrt(20))
    assert (found.episodes, found.reference) == (20, 475.0)
    again = references.random_returns.__wrapped__("gym/CartPole-v1")
    assert again.mean() == found.random  # of fixed seeds


@pytest.mark.parametrize("task", ["toy/arms", "toy/chain"])
def test_on_a_device_too(task):
    """As what is known of it, within four errors of 20 episodes."""
    env = envs.make(task, 1)
    returns = np.asarray(references._on_device(env))
    error = returns.std(ddof=1) / np.sqrt(returns.size)
    assert returns.shape == (references.EPISODES,)
    assert returns.mean() == pytest.approx(toy.baseline(task), abs=4 * error)


def test_a_reference_is_above_a_random_policy():
    task = "toy/chain"
    with pytest.raises(ConfigError, match="above a random policy's"):
        references.measured(task, Unit(reference=0.1, source=GIVEN))
    found = references.measured(task, Unit(reference=0.1, source="a table"))
    assert found.reference is None and found.random == toy.baseline(task)


def test_a_simulator_that_fails_leaves_it_unknown():
    found = references.measured("gym/NoSuchThing-v0", Unit(reference=1.0))
    assert found == Unit()
