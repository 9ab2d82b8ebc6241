"""Gymnasium's robots over many simulations at once, held to Gymnasium itself."""

import dataclasses
import warnings
from typing import Any, cast

import gymnasium
import numpy as np
import pytest

from coadapt import envs
from coadapt.envs import base, batch, gym_mujoco, host

TASKS = list(gym_mujoco.TASKS)


def drive(name, count, actions, seeds, threads=None):
    """Ours with actions [L, count, A]: first obs, TimeStep [L, count, ...]."""
    env = make(name, count, threads)
    first = env.reset(seeds)
    steps = [env.step(action) for action in actions]
    return first, base.TimeStep(*(np.stack(x) for x in zip(*steps, strict=True)))


def make(name, count, threads=None):
    task = gym_mujoco.TASKS[name](host._template(name), count, threads)
    return batch.BatchEnv(envs.spec(f"gym/{name}"), task, count)


def random_actions(name, steps, count, scale=1.2):
    """Beyond the box too: Gymnasium takes its cost before MuJoCo clips."""
    size = envs.spec(f"gym/{name}").action_size
    rng = np.random.default_rng(0)
    return rng.uniform(-scale, scale, (steps, count, size)).astype(np.float32)


def hold_to_gymnasium(name, seeds, steps, threads):
    """Asserts equality in float64, step by step. Returns: ends, terminations."""
    env = make(name, len(seeds), threads)
    theirs = [host.gym_env(name) for _ in seeds]
    pairs = zip(theirs, seeds, strict=True)
    first = np.array([each.reset(seed=seed)[0] for each, seed in pairs])
    np.testing.assert_array_equal(env.reset(seeds), first.astype(np.float32))
    ends = terminations = 0
    for action in random_actions(name, steps, len(seeds)):
        own = base.own_units(env.spec, action, len(seeds))
        assert own.dtype == theirs[0].action_space.dtype == np.float32
        step = env.step(action)
        exact = (
            env.task.observe()
        )  # float64, already of the next episode where one ends
        for i, each in enumerate(theirs):
            obs, reward, terminated, truncated, _ = each.step(own[i])
            assert not (terminated and truncated)
            last = terminated or truncated
            np.testing.assert_array_equal(step.next_obs[i], obs.astype(np.float32))
            assert step.reward[i] == np.float32(reward)
            assert (step.last[i], step.discount[i]) == (last, 1.0 - terminated)
            if last:
                obs = each.reset()[0]
                ends, terminations = ends + 1, terminations + terminated
            np.testing.assert_array_equal(exact[i], obs)
            np.testing.assert_array_equal(step.obs[i], obs.astype(np.float32))
    return ends, terminations


@pytest.mark.parametrize("name", TASKS)
def test_equals_gymnasium_to_the_bit(name):
    """Past ends, where there are any within this many steps."""
    ends, terminations = hold_to_gymnasium(name, (3, 4), 100, threads=2)
    robot = name.split("-")[0]
    if robot in ("Hopper", "Walker2d", "Humanoid"):
        assert terminations >= 2
    elif robot == "Reacher":
        assert (ends, terminations) == (4, 0)


@pytest.mark.long
@pytest.mark.parametrize("name", TASKS)
def test_equals_gymnasium_over_whole_episodes_of_twenty_seeds(name):
    steps = envs.spec(f"gym/{name}").max_steps + 20
    ends, _ = hold_to_gymnasium(name, tuple(range(20)), steps, threads=3)
    assert ends >= 20


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Ant-v5"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_and_any_company(name, threads):
    actions, seeds = random_actions(name, 20, 5), [11, 12, 13, 14, 15]
    first, together = drive(name, 5, actions, seeds, threads)
    for i in (0, 3):
        alone_first, alone = drive(name, 1, actions[:, [i]], [seeds[i]])
        np.testing.assert_array_equal(first[i], alone_first[0])
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(many[:, i], one[:, 0])


@pytest.mark.parametrize("name", ["Hopper-v5", "Humanoid-v5", "Reacher-v4"])
def test_rests_where_an_action_is_not_finite(name):
    """Nothing is stepped there, and it goes on where it stood."""
    actions = random_actions(name, 12, 2)
    without = np.delete(actions[:, [0]], range(4, 8), axis=0)
    broken = actions.copy()
    broken[4:8, 0, 1] = np.nan
    _, got = drive(name, 2, broken, [0, 1])
    _, alone = drive(name, 1, actions[:, [1]], [1])
    _, moved = drive(name, 1, without, [0])
    for mine, neighbour, self in zip(got, alone, moved, strict=True):
        np.testing.assert_array_equal(mine[:, 1], neighbour[:, 0])
        on = np.delete(mine[:, 0], range(4, 8), axis=0)
        np.testing.assert_array_equal(on, self[:, 0])
    rest = base.TimeStep(*(x[4:8, 0] for x in got))
    assert not rest.next_obs.any() and not rest.reward.any() and not rest.last.any()
    assert (rest.discount == 1).all()


@pytest.mark.parametrize("name", ["Hopper-v5", "Ant-v5"])
@pytest.mark.parametrize("where", ["step", "reset"])
def test_one_that_raises_takes_no_other_down(name, where, monkeypatch):
    """MuJoCo raises of itself only where memory ends, so that it is made to here."""
    actions = random_actions(name, 30, 3, scale=1.0)
    _, expected = drive(name, 3, actions, [1, 2, 3])
    env = make(name, 3)
    env.reset([1, 2, 3])
    sims, status = env.task.sims, np.zeros(3, np.int32)

    def failing(call):
        def failed(ids=None, *args, **kwargs):
            call(ids, *args, **kwargs)
            if calls.setdefault(where, 0) >= 3 and (ids is None or 1 in ids):
                status[1] = 1
                raise RuntimeError("simulation 1")
            calls[where] += 1

        return failed

    calls = {}
    name = "step" if where == "step" else "forward"
    broken = Broken(sims, status, {name: failing(getattr(sims, name))})
    env.task.sims = cast(Any, broken)
    if where == "reset":
        calls["reset"] = 3
        env._steps[1] = env.spec.max_steps - 4
    got = [env.step(action) for action in actions]
    assert env.causes == {1: "mj_stackAlloc: out of memory"}
    at = 3
    for t, (mine, *theirs) in enumerate(zip(got, *expected, strict=True)):
        for ours, reference in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(ours[[0, 2]], reference[[0, 2]])
        lost = t > at or (t == at and where == "step")
        assert np.isnan(mine.reward[1]) == np.isnan(mine.next_obs[1]).all() == lost
        assert mine.last[1] == (t == at and where == "reset")
    assert np.isnan(got[at].obs[1]).all()


class Broken:
    """Simulations some of whose calls are others."""

    def __init__(self, sims, status, calls):
        self._sims, self.status = sims, status
        self.__dict__.update(calls)

    def __getattr__(self, name):
        return getattr(self._sims, name)

    def error(self, sim):
        return "mj_stackAlloc:\n out of memory"


@pytest.fixture
def registered(monkeypatch):
    """Registers 'Hopper-v5' anew, changed, until the test ends."""
    spec = gymnasium.registry["Hopper-v5"]
    return lambda **changes: monkeypatch.setitem(
        gymnasium.registry, "Hopper-v5", dataclasses.replace(spec, **changes)
    )


class Other(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))


def test_a_robot_that_another_registered_is_stepped_as_it_is(registered):
    """The name alone does not make it Gymnasium's."""
    assert envs.spec("gym/Hopper-v5").obs_size == 11
    registered(entry_point=lambda **_: Other(), max_episode_steps=5)
    env = envs.make("gym/Hopper-v5", 1)
    assert isinstance(env, host.GymEnv) and env.spec.obs_size == 3
    assert envs.spec("gym/Hopper-v5").max_steps == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"kwargs": {"terminate_when_unhealthy": False}},
        {"kwargs": {"exclude_current_positions_from_observation": False}},
        {"entry_point": "gymnasium.envs.mujoco.hopper_v4:HopperEnv"},
        {
            "additional_wrappers": (
                gymnasium.wrappers.ClipReward.wrapper_spec(max_reward=0.25),
            )
        },
    ],
    ids=["not falling", "places seen", "another class", "a wrapper"],
)
def test_what_is_registered_with_changes_is_made_with_them(registered, changes):
    """It is what gymnasium.make makes, and none of it is Gymnasium's stock."""
    registered(**changes)
    env = envs.make("gym/Hopper-v5", 1)
    assert not isinstance(env, batch.BatchEnv)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        plain = gymnasium.make("Hopper-v5", disable_env_checker=True)
    obs = plain.reset(seed=3)[0]
    np.testing.assert_array_equal(env.reset([3])[0], obs.astype(np.float32))
    rng = np.random.default_rng(0)
    for _ in range(40):  # it falls after some 20
        action = rng.uniform(-1, 1, (1, 3)).astype(np.float32)
        step, (obs, reward, *ends, _) = env.step(action), plain.step(action[0])
        assert step.reward[0] == np.float32(reward)
        np.testing.assert_array_equal(step.next_obs[0], obs.astype(np.float32))
        assert step.last[0] == any(ends)
        if any(ends):
            plain.reset()


def test_stock_robots_are_stepped_in_c():
    for name in TASKS:
        assert isinstance(envs.make(f"gym/{name}", 1), batch.BatchEnv)


def test_shapes_types_and_no_aliases():
    env = envs.make("gym/Ant-v5", 3)
    assert isinstance(env, base.HostEnv)
    assert env.reset([1, 2, 3]).shape == (3, 105)
    one = env.step(np.zeros((3, 8), np.float32))
    kept = base.TimeStep(*(np.copy(x) for x in one))
    two = env.step(np.ones((3, 8), np.float32))
    env.close()
    assert [x.dtype.name for x in one] == ["float32"] * 3 + ["bool", "float32"]
    for then, now, later in zip(kept, one, two, strict=True):
        np.testing.assert_array_equal(then, now)
        assert not np.shares_memory(now, later)
    with pytest.raises(ValueError, match="a seed for each of 3"):
        env.reset([1])
    with pytest.raises(ValueError, match=r"shape \(3, 8\)"):
        env.step(np.zeros((2, 8), np.float32))
