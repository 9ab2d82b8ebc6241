"""`ours/Striker-v0`, held to a plain loop over MuJoCo and to what its words say."""

import mujoco
import numpy as np
import pytest

from coadapt import envs
from coadapt.envs import base, batch, striker

TASK = "ours/Striker-v0"
BALL, GOAL = [8, 7], [10, 9]  # x and y in qpos and qvel, whose order is y, x


class Plain:
    """One environment, as a reader of the docs would write it: float64."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.data = mujoco.MjData(striker.model())

    def reset(self):
        data = self.data
        mujoco.mj_resetData(striker.model(), data)
        data.qpos[[1, 3]] = 1.1, -1.35
        data.qpos[BALL] = 0.5, -0.175
        data.qpos[GOAL] = self.rng.uniform([-0.5, 0.4], [0.5, 0.9])
        data.qvel[:7] = self.rng.uniform(-0.1, 0.1, 7)
        mujoco.mj_forward(striker.model(), data)
        self.steps, self.far, self.near = 0, np.inf, np.inf
        self.look()
        return self.observe()

    def look(self):
        hand, ball, goal = self.places()
        self.far = min(self.far, np.linalg.norm(ball - goal))
        self.near = min(self.near, np.linalg.norm(ball - hand))

    def places(self):
        return [self.data.body(n).xpos for n in ("tips_arm", "object", "goal")]

    def observe(self):
        return np.concatenate([self.data.qpos[:7], self.data.qvel[:7], *self.places()])

    def step(self, action):
        self.data.ctrl[:] = action
        for _ in range(5):
            mujoco.mj_step(striker.model(), self.data)
        self.steps += 1
        self.look()
        effort = np.square(action).sum()
        reward = -3.0 * self.far - 0.01 * effort - 0.5 * self.near
        return self.observe(), reward, self.steps == 100


def make(count, threads=None):
    task = striker.Striker(striker.Table(striker.model()), count, threads)
    return batch.BatchEnv(envs.spec(TASK), task, count)


def actions(steps, count):
    """Swings beyond the box, held for a while, so that some strike."""
    rng = np.random.default_rng(0)
    swing = rng.uniform(-1.5, 1.5, (steps // 10 + 1, count, 7)).repeat(10, axis=0)
    swing[..., 0] = np.abs(swing[..., 0])
    swing[..., 1] = np.abs(swing[..., 1])
    return swing[:steps].astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_equals_a_plain_loop_to_the_bit(threads):
    """Rewards and observations in float64, over whole episodes and past their ends."""
    seeds = [0, 1, 2, 3, 4, 5]
    env, plain = make(len(seeds), threads), [Plain(seed) for seed in seeds]
    exact = env.reset(seeds)
    np.testing.assert_array_equal(exact, np.float32([one.reset() for one in plain]))
    struck = set()
    for action in actions(210, len(seeds)):
        own = base.own_units(env.spec, action, len(seeds))
        step, found = env.step(action), env.task.observe()
        assert (step.discount == 1).all()
        for i, one in enumerate(plain):
            obs, reward, last = one.step(own[i])
            np.testing.assert_array_equal(step.next_obs[i], np.float32(obs))
            assert (step.reward[i], step.last[i]) == (np.float32(reward), last)
            struck |= {i} if np.abs(one.data.qvel[BALL]).max() > 0.1 else set()
            if last:
                obs = one.reset()
            np.testing.assert_array_equal(found[i], obs)
            np.testing.assert_array_equal(step.obs[i], np.float32(obs))
    assert struck, "no ball was ever struck: the test would not see contacts"


def drive(seeds, swings):
    """First obs [count, O], then a TimeStep of [L, count, ...]."""
    env = make(len(seeds))
    first = env.reset(seeds)
    steps = [env.step(action) for action in swings]
    return first, base.TimeStep(*(np.stack(x) for x in zip(*steps, strict=True)))


def test_the_same_alone_in_company_and_again():
    swings, seeds = actions(130, 4), [7, 8, 9, 7]
    swings[:, 3] = swings[:, 0]
    first, together = drive(seeds, swings)
    for i in range(4):
        alone_first, alone = drive([seeds[i]], swings[:, [i]])
        np.testing.assert_array_equal(first[i], alone_first[0])
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(many[:, i], one[:, 0])
    np.testing.assert_array_equal(together.obs[:, 0], together.obs[:, 3])
    assert (first[0] != first[1]).any()


def test_ends_by_its_time_limit_alone_and_draws_anew():
    _, steps = drive([3, 4], np.zeros((250, 2, 7), np.float32))
    np.testing.assert_array_equal(np.flatnonzero(steps.last[:, 0]), [99, 199])
    np.testing.assert_array_equal(steps.last[:, 0], steps.last[:, 1])
    assert (steps.discount == 1).all()
    goals = steps.obs[[0, 99, 199], 0, 20:22]
    assert len(np.unique(goals, axis=0)) == 3
    np.testing.assert_array_equal(steps.next_obs[99, 0, 20:22], goals[0])


def test_what_is_seen_and_where_it_begins():
    env = make(200)
    obs, task = env.reset(range(200)), env.task
    angles, speeds, hand, ball, goal = np.split(obs, [7, 14, 17, 20], axis=1)
    np.testing.assert_allclose(angles, [[0, 1.1, 0, -1.35, 0, 0, 0]] * 200, atol=1e-6)
    assert 0.09 < np.abs(speeds).max() <= 0.1
    # as far from the axis of the shoulder as the ball, and at its height
    assert np.ptp(hand, axis=0).max() == 0
    np.testing.assert_allclose(hand[0], [0.65, -0.6, -0.26], atol=0.01)
    np.testing.assert_allclose(ball, [[0.5, -0.175, -0.285]] * 200, atol=1e-6)
    np.testing.assert_array_equal(goal[:, :2], np.float32(task.qpos[:, GOAL]))
    np.testing.assert_allclose(goal[:, 2], -0.285, atol=1e-6)
    for got, (low, high) in zip(goal.T, striker.GOALS, strict=False):
        assert low <= got.min() < low + 0.01 and high - 0.01 < got.max() <= high
    # the hand's middle and half a paddle reach 0.94 m from the shoulder's axis
    assert np.hypot(goal[:, 0], goal[:, 1] + 0.6).min() > 0.99


def place(env, ball, goal=(0.0, 0.6)):
    """Puts ball and goal somewhere, at rest, with the hand far from both."""
    task = env.task
    task.qpos[:, BALL], task.qpos[:, GOAL] = ball, goal
    task.qvel[:] = 0.0
    task.sims.forward()


def reward(env, action=None):
    """Of a step with `action` [7] in agent units."""
    action = np.zeros(7) if action is None else action
    return env.step(np.tile(action, (env.count, 1)).astype(np.float32)).reward


def test_the_nearest_that_the_ball_has_been_counts():
    env = make(1)
    env.reset([0])
    place(env, (0.0, -1.5))  # farther than at the start: not what counts
    start = np.linalg.norm(Plain(0).reset()[17:20] - Plain(0).reset()[20:23])
    worst = reward(env)
    assert worst < -3.0 * start
    got = []
    for y in (0.3, 0.5, 0.3, 0.6, 0.0):
        place(env, (0.0, y))
        got.append(reward(env)[0])
    near = 0.5 * env.task._least[1]
    expected = -3.0 * np.array([0.3, 0.1, 0.1, 0.0, 0.0]) - near
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert (np.diff(got) >= 0).all() and got[-1] <= 0


def test_a_new_episode_forgets_the_nearest():
    env = make(1)
    env.reset([0])
    place(env, (0.0, 0.6))
    reward(env)
    assert env.task._least[0, 0] == pytest.approx(0.0)
    obs = env.reset([1])[0]
    far = np.linalg.norm(obs[17:20] - obs[20:23])
    assert env.task._least[0, 0] == pytest.approx(far, abs=1e-6)


def test_effort_costs_by_its_square():
    env = make(1)
    costs = []
    for push in (0.0, 0.5, 1.0):
        env.reset([0])
        place(env, (0.5, -0.2))
        action = np.zeros(7)
        action[6] = push  # a roll of the wrist hardly moves the hand
        costs.append(reward(env, action)[0])
    np.testing.assert_allclose(np.diff(costs), [-0.0225, -0.0675], atol=1e-4)


def test_a_ball_rolls_as_far_as_its_speed_says():
    env = make(1)
    env.reset([0])
    place(env, (0.0, 0.0))
    env.task.qvel[:, BALL] = 0.6, 0.8
    for _ in range(99):
        obs = env.step(np.zeros((1, 7), np.float32)).next_obs
    gone = np.hypot(*obs[0, 17:19])
    # 1 - exp(-t) of 1 m after 4.95 s; MuJoCo's places are those of a substep before
    assert gone == pytest.approx(1 - np.exp(-4.94), abs=2e-3)
    np.testing.assert_allclose(obs[0, 17] / obs[0, 18], 0.75, rtol=1e-5)


def test_a_swing_strikes_the_ball_and_only_the_paddle_does():
    """Beside the ball and turning, the paddle sends it off faster than it went."""
    env = make(2)
    env.reset([0, 0])
    place(env, (0.5, -0.175), goal=(0.0, 0.7))
    ball = np.arctan2(0.425, 0.5)  # as seen from the axis of the shoulder
    env.task.qpos[:, 0] = ball - 0.12, ball - 0.05
    env.task.qpos[1, 1] = 0.6  # the second stands higher, above the ball
    env.task.qvel[:, 0] = 2.0  # rad/s
    env.task.sims.forward()
    for _ in range(10):
        obs = env.step(np.zeros((2, 7), np.float32)).next_obs
    way = obs[0, 17:19] - (0.5, -0.175)
    assert np.hypot(*way) > 0.2
    assert 90 < np.degrees(np.arctan2(way[1], way[0])) < 150  # to where goals are
    np.testing.assert_allclose(obs[1, 17:19], (0.5, -0.175), atol=1e-6)
    assert obs[0, 22] == obs[1, 22] and obs[0, 19] == pytest.approx(-0.285)


def test_spec_and_refusals():
    spec = envs.spec(TASK)
    assert (spec.obs_size, spec.action_size, spec.max_steps) == (23, 7, 100)
    assert (spec.action_low, spec.action_high) == ((-3.0,) * 7, (3.0,) * 7)
    assert (spec.task, spec.num_actions) == (TASK, 0)
    version = mujoco.__version__
    assert spec.provider.startswith("coadapt ") and f"mujoco {version}" in spec.provider
    assert envs.on_host(TASK) and isinstance(envs.make(TASK, 2), base.HostEnv)
    model = striker.model()
    np.testing.assert_array_equal(model.actuator_ctrlrange, [[-3.0, 3.0]] * 7)
    for call in (envs.spec, lambda name: envs.make(name, 1)):
        with pytest.raises(
            ValueError, match="must have one of the ids Striker-v0; did you"
        ):
            call("ours/Striker-v2")
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        envs.make(TASK, 0)
