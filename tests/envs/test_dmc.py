"""DeepMind Control behind the one interface, held to dm_control itself."""

import sys

import numpy as np
import pytest
from dm_control import suite
from recipes import cases

from coadapt import envs
from coadapt.envs import batch, dmc, dmc_batch

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


FAST = list(dmc_batch.TASKS)
EACH = [(name, False) for name in PAPER] + [(name, True) for name in FAST]
# the one class of all of them shows what it does by one of each kind of observation
FEW = {"manipulator_bring_ball", "humanoid_run", "cartpole_swingup", "finger_turn_hard",
       "swimmer_swimmer6"}  # fmt: skip
LEFT = [each for each in EACH if not each[1] and each[0] not in FEW]


def make(name, count, fast, threads=None):
    if not fast:
        return dmc.DmcEnv(name, count)
    task = dmc_batch.TASKS[name](dmc._template(name), count, threads)
    return batch.BatchEnv(envs.spec(f"dmc/{name}"), task, count)


def hold_to_dm_control(name, fast, seeds, steps):
    """Beside those that the suite loads with the seeds. Returns: ends."""
    env, count, ends = make(name, len(seeds), fast, threads=3), len(seeds), 0
    theirs = [suite.load(*dmc._tasks()[name], {"random": seed}) for seed in seeds]
    obs = env.reset(seeds)
    now = [each.reset() for each in theirs]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        np.testing.assert_array_equal(obs, [joined(found) for found in now])
        # also beyond the box, which is clipped
        size = env.spec.action_size
        action = rng.uniform(-1.2, 1.2, (count, size)).astype(np.float32)
        step = env.step(action)
        own = np.clip(action.astype(np.float64), -1, 1)
        now = [each.step(a) for each, a in zip(theirs, own, strict=True)]
        reward = np.array([found.reward for found in now])
        np.testing.assert_array_equal(step.reward, reward.astype(np.float32))
        np.testing.assert_array_equal(step.next_obs, [joined(f) for f in now])
        np.testing.assert_array_equal(step.last, [found.last() for found in now])
        assert np.all(step.discount == 1)
        if isinstance(env, batch.BatchEnv) and not step.last.any():  # in float64 too
            np.testing.assert_array_equal(env.task.reward(None, own), reward)
            exact = [joined(found, np.float64) for found in now]
            np.testing.assert_array_equal(env.task.observe(), exact)
        ends += np.sum(step.last)
        now = [e.reset() if f.last() else f for e, f in zip(theirs, now, strict=True)]
        obs = step.obs
    env.close()
    return ends


@pytest.mark.parametrize("each", cases(EACH, LEFT), ids=str)
def test_each_is_its_own_to_the_bit(each):
    name, fast = each
    assert hold_to_dm_control(name, fast, seeds=(3, 4), steps=40) == 0


@pytest.mark.long
@pytest.mark.parametrize("name", FAST)
def test_the_fast_ones_are_over_whole_episodes_of_twenty_seeds(name):
    assert hold_to_dm_control(name, True, tuple(range(20)), 1010) == 20


def test_any_number_of_threads_and_any_company():
    seeds, rng = [11, 12, 13, 14, 15], np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (20, 5, 6)).astype(np.float32)
    together = make("walker_run", 5, True, threads=2)
    first = together.reset(seeds)
    steps = [together.step(action) for action in actions]
    alone = make("walker_run", 1, True)
    np.testing.assert_array_equal(alone.reset(seeds[3:4])[0], first[3])
    for action, step in zip(actions, steps, strict=True):
        for one, many in zip(alone.step(action[3:4]), step, strict=True):
            np.testing.assert_array_equal(one[0], many[3])


def test_a_state_that_dm_control_would_refuse_is_a_reward_that_is_none():
    """MuJoCo warns and begins anew; whoever reads it must know."""
    env = make("cheetah_run", 3, True)
    env.reset([1, 2, 3])
    assert isinstance(env, batch.BatchEnv)
    env.task.sims.bind("qvel")[1] = 1e12
    step = env.step(np.zeros((3, 6), np.float32))
    np.testing.assert_array_equal(np.isnan(step.reward), [False, True, False])


def joined(found, dtype: type = np.float32) -> np.ndarray:
    parts = [np.ravel(part) for part in found.observation.values()]
    return np.concatenate(parts).astype(dtype)


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
