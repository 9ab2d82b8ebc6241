"""DeepMind Control behind the one interface, held to dm_control itself."""

import sys

import numpy as np
import pytest
from dm_control import suite

from coadapt import envs
from coadapt.envs import dmc

# the 28 tasks of the paper's Table 12
PAPER = """
    acrobot_swingup acrobot_swingup_sparse ball_in_cup_catch cartpole_balance
    cartpole_balance_sparse cartpole_swingup cartpole_swingup_sparse cheetah_run
    finger_spin finger_turn_easy finger_turn_hard fish_swim fish_upright hopper_hop
    hopper_stand humanoid_run humanoid_stand humanoid_walk manipulator_bring_ball
    pendulum_swingup point_mass_easy reacher_easy reacher_hard swimmer_swimmer15
    swimmer_swimmer6 walker_run walker_stand walker_walk
""".split()  # noqa: SIM905
SIZES = {  # observations and actions, as dm_control's own paper lists them
    "manipulator_bring_ball": (44, 5),
    "swimmer_swimmer15": (61, 14),
    "fish_upright": (21, 5),
    "humanoid_run": (67, 21),
    "cheetah_run": (17, 6),
    "pendulum_swingup": (3, 1),
}


def test_all_tasks_of_the_paper_are_there():
    assert len(PAPER) == 28 and set(PAPER) <= set(dmc.dmc_names())
    for name, sizes in SIZES.items():
        spec = envs.spec(f"dmc/{name}")
        assert (spec.obs_size, spec.action_size) == sizes
        assert spec.max_steps == 1000 and "dm_control 1." in spec.provider


@pytest.mark.parametrize("name", PAPER)
def test_each_is_its_own_to_the_bit(name):
    """Two environments of ours, beside two that the suite loads with the seeds."""
    seeds, steps = (3, 4), 40
    env = dmc.DmcEnv(name, 2)
    theirs = [suite.load(*dmc._tasks()[name], {"random": seed}) for seed in seeds]
    obs = env.reset(seeds)
    now = [each.reset() for each in theirs]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        np.testing.assert_array_equal(obs, [joined(found) for found in now])
        # also beyond the box, which is clipped
        action = rng.uniform(-1.2, 1.2, (2, env.spec.action_size)).astype(np.float32)
        step = env.step(action)
        own = np.clip(action.astype(np.float64), -1, 1)
        now = [each.step(a) for each, a in zip(theirs, own, strict=True)]
        expected = np.array([found.reward for found in now], np.float32)
        np.testing.assert_array_equal(step.reward, expected)
        assert not np.any(step.last) and np.all(np.asarray(step.discount) == 1)
        obs = step.obs
    env.close()


def joined(found) -> np.ndarray:
    parts = [np.ravel(part) for part in found.observation.values()]
    return np.concatenate(parts).astype(np.float32)


def test_the_time_limit_truncates_and_an_episode_follows():
    name, seed = "pendulum_swingup", 5
    env, theirs = (
        dmc.DmcEnv(name, 1),
        suite.load("pendulum", "swingup", {"random": seed}),
    )
    env.reset([seed])
    theirs.reset()
    action = np.full((1, 1), 0.5, np.float32)
    for t in range(1, 2001):  # two episodes
        step, found = env.step(action), theirs.step([0.5])
        assert bool(step.last[0]) == (t % 1000 == 0) == found.last()
        assert step.discount[0] == 1.0  # never terminated
        np.testing.assert_array_equal(step.next_obs[0], joined(found))
        if found.last():
            found = theirs.reset()
        np.testing.assert_array_equal(step.obs[0], joined(found))
    env.close()


def test_a_reset_does_not_know_what_was_before():
    """Of tasks that change their model at a reset too."""
    for name in ("reacher_hard", "fish_swim", "finger_turn_hard", "swimmer_swimmer6"):
        env = dmc.DmcEnv(name, 1)
        first = env.reset([7])
        for _ in range(5):
            env.step(np.ones((1, env.spec.action_size), np.float32))
        np.testing.assert_array_equal(env.reset([7]), first)
        assert np.any(env.reset([8]) != first)


@pytest.mark.parametrize(
    "name, said",
    [
        ("walker_ru", "did you mean 'dmc/walker_run'"),
        ("lqr_lqr_2_1", "must have a time limit"),
    ],
)
def test_others_are_refused_in_a_sentence(name, said):
    with pytest.raises(ValueError, match=said) as caught:
        envs.spec(f"dmc/{name}")
    assert "\n" not in str(caught.value)


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    dmc._tasks.cache_clear()
    dmc.dmc_spec.cache_clear()
    with pytest.raises(ValueError, match=r"needs dm_control.*pip install .*\[dmc\]"):
        envs.spec("dmc/walker_run")
    assert dmc.dmc_names() == []
    with pytest.raises(ValueError, match="did you mean 'gym/Hopper-v5'"):
        envs.spec("gymm/Hopper-v5")
