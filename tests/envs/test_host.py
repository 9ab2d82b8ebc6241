"""The Gymnasium adapter against plain Gymnasium loops."""

import dataclasses
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest

from coadapt import envs
from coadapt.envs import base, host
from coadapt.envs.host import GymEnv


class Scripted(gymnasium.Env):
    """Shows the action it was given; terminates after `length` steps."""

    def __init__(self, action_space, length=100, observation_space=None):
        self.action_space, self.length = action_space, length
        box = gymnasium.spaces.Box(-np.inf, np.inf, (2, 2), np.float64)
        self.observation_space = observation_space or box

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.normal(size=(2, 2)), {}

    def step(self, action):
        self.steps += 1
        obs = np.full((2, 2), float(self.steps))
        obs[:, 0] = np.ravel(action)
        return obs, 1e60, self.steps >= self.length, False, {}


class Breaking(Scripted):
    """Raises in one call of `where`, counted from 1, if its first seed was 13."""

    calls = 0  # of any such environment, for tests that count them

    def __init__(self, where, at, **kwargs):
        super().__init__(**kwargs)
        self.where, self.at, self.first, self.made = where, at, None, 0

    def _called(self, name):
        type(self).calls += 1
        self.made += name == self.where
        if self.first == 13 and name == self.where and self.made == self.at:
            raise RuntimeError("the solver\n  gave up,\tat 5%")

    def reset(self, *, seed=None, options=None):
        self.first = seed if self.first is None else self.first
        self._called("reset")
        return super().reset(seed=seed)

    def step(self, action):
        self._called("step")
        return super().step(action)


def box(low, high, shape):
    return gymnasium.spaces.Box(low, high, shape, np.float32)


@pytest.fixture
def scripted():
    """Registers scripted environments, and takes them out again."""
    names = []

    def register(limit=100, kind=Scripted, **kwargs):
        name = f"Scripted{len(names)}-v0"
        gymnasium.register(name, lambda: kind(**kwargs), max_episode_steps=limit)
        names.append(name)
        return name

    yield register
    for name in names:
        del gymnasium.registry[name]


def play(name, seed, actions, own):
    """A plain loop of one environment: the first obs, then a row for each step."""
    env = gymnasium.make(name, disable_env_checker=True)
    obs, _ = env.reset(seed=seed)
    rows = []
    for action in actions:
        successor, reward, terminated, truncated, _ = env.step(own(action))
        last = terminated or truncated
        rows.append((successor, reward, 1.0 - terminated, last))
        if last:
            rows[-1] += (env.reset()[0],)
        else:
            rows[-1] += (successor,)
    env.close()
    next_obs, reward, discount, last, after = zip(*rows, strict=True)
    floats = (np.array(x, np.float32) for x in (obs, after, reward, discount, next_obs))
    first, after, reward, discount, next_obs = floats
    return first, envs.base.TimeStep(after, reward, discount, np.array(last), next_obs)


def drive(env, seeds, actions):
    """The adapter with actions [L, count, ...]: first obs, TimeStep [L, count, ...]."""
    first = env.reset(seeds)
    steps = [env.step(action) for action in actions]
    env.close()
    return first, base.TimeStep(*(np.stack(x) for x in zip(*steps, strict=True)))


def one_hot(index, size):
    return np.eye(size, dtype=np.float32)[index]


def random_actions(steps, count, size, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-scale, scale, (steps, count, size)).astype(np.float32)


@pytest.mark.parametrize(
    "name, steps, scale, high, ends",
    [
        ("Hopper-v5", 120, 1.0, 1.0, 2),
        ("HalfCheetah-v5", 30, 1.5, 1.0, 0),  # beyond the box: its cost is not clipped
        ("Humanoid-v5", 40, 1.5, np.float32(0.4), 1),
        ("Pendulum-v1", 205, 1.5, 2.0, 1),
    ],
)
def test_equals_a_plain_loop(name, steps, scale, high, ends):
    env = GymEnv(name, 1)
    spec = env.spec
    assert spec.action_high == (float(high),) * spec.action_size
    assert spec.action_low == (-float(high),) * spec.action_size
    actions = random_actions(steps, 1, spec.action_size, scale)
    first, got = drive(env, [7], actions)
    expected_first, expected = play(
        name,
        7,
        actions[:, 0],
        lambda action: np.float32(float(high) * np.float64(action)),
    )
    np.testing.assert_array_equal(first[0], expected_first)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine[:, 0], theirs)
    assert got.last.sum() >= ends
    different = (got.obs != got.next_obs).any(axis=-1)
    np.testing.assert_array_equal(different, got.last)


def test_an_old_version_is_made_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = GymEnv("Ant-v4", 1)
    assert env.spec.obs_size == 27
    env.close()


def test_making_mujoco_tasks_says_nothing_and_writes_no_log(tmp_path):
    code = "from coadapt import envs; envs.make('gym/HalfCheetah-v5', 2)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name, size, steps, terminates",
    [("CartPole-v1", 2, 60, True), ("Acrobot-v1", 3, 505, False)],
)
def test_one_hot_actions_equal_a_plain_loop_of_ints(name, size, steps, terminates):
    spec = envs.spec(f"gym/{name}")
    assert (spec.num_actions, spec.action_size) == (size, size)
    assert spec.action_low == spec.action_high == ()
    actions = np.random.default_rng(0).integers(0, size, (steps, 2))
    first, got = drive(GymEnv(name, 2), [3, 4], one_hot(actions, size))
    for i, seed in enumerate([3, 4]):
        expected_first, expected = play(name, seed, actions[:, i], int)
        np.testing.assert_array_equal(first[i], expected_first)
        for mine, theirs in zip(got, expected, strict=True):
            np.testing.assert_array_equal(mine[:, i], theirs)
    assert got.last.any(axis=0).all()
    assert (got.discount[got.last] == (0 if terminates else 1)).all()


def test_time_limit_is_not_a_termination():
    _, got = drive(GymEnv("Pendulum-v1", 2), [0, 1], random_actions(201, 2, 1))
    ends = np.arange(201) == 199
    np.testing.assert_array_equal(got.last, np.stack([ends, ends], axis=1))
    assert (got.discount == 1).all()


def test_termination_wins_over_the_time_limit(scripted):
    name = scripted(limit=3, action_space=box(-1, 1, (2,)), length=3)
    _, got = drive(GymEnv(name, 1), [0], random_actions(6, 1, 2))
    assert got.last[:, 0].tolist() == [False, False, True] * 2
    assert got.discount[:, 0].tolist() == [1, 1, 0] * 2
    assert (got.next_obs[2, 0, [1, 3]] == 3).all()
    assert not np.array_equal(got.obs[2], got.obs[5])  # the generator went on


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_environment_is_the_same_in_any_company(threads):
    actions, seeds = random_actions(60, 5, 3), [11, 12, 13, 14, 15]
    first, together = drive(GymEnv("Hopper-v5", 5, threads), seeds, actions)
    assert together.last.any(axis=0).all()
    for i in (0, 3):
        alone_first, alone = drive(GymEnv("Hopper-v5", 1), [seeds[i]], actions[:, [i]])
        np.testing.assert_array_equal(first[i], alone_first[0])
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(many[:, i], one[:, 0])


@pytest.mark.parametrize("threads", [1, 2])
def test_shapes_types_and_no_aliases(threads):
    env = GymEnv("Pendulum-v1", 3, threads)
    assert isinstance(env, base.HostEnv)
    assert env.reset([1, 2, 3]).shape == (3, 3)
    one = env.step(np.zeros((3, 1), np.float32))
    kept = base.TimeStep(*(np.copy(x) for x in one))
    two = env.step(np.ones((3, 1), np.float32))
    env.close()
    assert [x.dtype.name for x in one] == ["float32"] * 3 + ["bool", "float32"]
    for then, now, later in zip(kept, one, two, strict=True):
        np.testing.assert_array_equal(then, now)
        assert not np.shares_memory(now, later)
    assert not np.shares_memory(one.obs, one.next_obs)


def test_the_map_to_the_box_is_affine_and_does_not_clip(scripted):
    env = GymEnv(scripted(action_space=box(-1.0, 5.0, (2, 1))), 2)
    env.reset([0, 0])
    action = np.array([[-1.0, 0.0], [1.0, 2.0]], np.float32)
    step = env.step(action)
    env.close()
    assert env.spec.action_size == 2 and env.spec.obs_size == 4
    assert step.obs.tolist() == [[-1.0, 1.0, 2.0, 1.0], [5.0, 1.0, 8.0, 1.0]]
    assert np.isposinf(step.reward).all()  # 1e60 in float32, without a warning


@pytest.mark.parametrize(
    "row, own",
    [
        ([0, 0, 1], 7),
        ([1, 0, 0], 5),
        ([-0.1, 0.5, 0.2], 6),
        ([-3, -2, -1], 7),
    ],
    ids=str,
)
def test_discrete_actions_are_the_argmax_and_count_from_the_first(scripted, row, own):
    env = GymEnv(scripted(action_space=gymnasium.spaces.Discrete(3, start=5)), 1)
    env.reset([0])
    assert env.step(np.array([row], np.float32)).obs[0, 0] == own
    env.close()


def assert_rests(steps):
    """What comes of an environment that was not stepped: zeros, and no end."""
    for part in (*steps[:2], steps.discount - 1, *steps[3:]):
        np.testing.assert_array_equal(part, np.zeros_like(part))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize(("name", "size"), [("HalfCheetah-v5", 6), ("Acrobot-v1", 3)])
def test_an_environment_rests_where_an_action_is_not_finite(name, size, bad, threads):
    """Nothing is stepped there, and the neighbour goes on as it would."""
    actions = random_actions(12, 2, size)
    without = np.delete(actions[:, [0]], range(4, 8), axis=0)
    broken = actions.copy()
    broken[4:8, 0, 2] = bad
    _, got = drive(GymEnv(name, 2, threads), [0, 1], broken)
    _, alone = drive(GymEnv(name, 1), [1], actions[:, [1]])
    for mine, expected in zip(got, alone, strict=True):
        np.testing.assert_array_equal(mine[:, 1], expected[:, 0])
    assert_rests(base.TimeStep(*(x[4:8, 0] for x in got)))
    # with finite actions again, it goes on where it stood
    _, moved = drive(GymEnv(name, 1), [0], without)
    for mine, expected in zip(got, moved, strict=True):
        np.testing.assert_array_equal(
            np.delete(mine[:, 0], range(4, 8), axis=0), expected[:, 0]
        )


SEEDS = [11, 12, 13, 14]  # the third is of the one that breaks
BROKEN = 2


def assert_broken(step: base.TimeStep) -> None:
    """Whoever still reads it, an evaluation say, sees that there is nothing."""
    assert np.isnan(step.reward).all() and np.isnan(step.next_obs).all()
    assert not np.any(step.last)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("where", "at", "step"),
    [("step", 8, 7), ("reset", 3, 9), ("reset", 1, -1)],
    ids=["in a step", "at an episode's end", "at the start"],
)
def test_a_simulator_that_raises_takes_no_other_down(
    scripted, where, at, step, threads
):
    """`step` is the number of the env step that broke, from 0; episodes have 5."""
    space = {"action_space": box(-1, 1, (2,)), "length": 5}
    clean = scripted(**space)
    name = scripted(kind=Breaking, where=where, at=at, **space)
    actions = random_actions(20, 4, 2)
    env = GymEnv(name, 4, threads)
    first, got = drive(env, SEEDS, actions)
    expected_first, expected = drive(GymEnv(clean, 4, threads), SEEDS, actions)
    others = [i for i in range(4) if i != BROKEN]
    np.testing.assert_array_equal(first[others], expected_first[others])
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(mine[:, others], theirs[:, others])
        # and it was itself until then
        before = max(step, 0)
        np.testing.assert_array_equal(mine[:before, BROKEN], theirs[:before, BROKEN])
    said = "RuntimeError: the solver gave up, at 5%, at test_host.py:"
    assert [*env.causes] == [BROKEN] and env.causes[BROKEN].startswith(said)
    assert np.isnan(first[BROKEN]).all() == (step < 0)
    if step >= 0:
        broke = base.TimeStep(*(x[step, BROKEN] for x in got))
        whole = base.TimeStep(*(x[step, BROKEN] for x in expected))
        if where == "step":
            assert np.isnan(broke.reward) and np.isnan(broke.next_obs).all()
            assert not broke.last
        else:  # the step was good, and what should follow it is not there
            assert np.isnan(broke.obs).all()
            for mine, theirs in zip(broke[1:], whole[1:], strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert_broken(base.TimeStep(*(x[step + 1 :, BROKEN] for x in got)))


def test_one_that_raised_rests_until_it_is_made_anew(scripted, monkeypatch):
    name = scripted(kind=Breaking, where="step", at=2, action_space=box(-1, 1, (2,)))
    actions = random_actions(6, 2, 2)
    env = GymEnv(name, 2)
    env.reset([13, 14])
    for action in actions[:2]:
        env.step(action)
    env.reset([15, 16])  # no reset heals it
    monkeypatch.setattr(Breaking, "calls", 0)
    for action in actions[2:]:
        assert_broken(base.TimeStep(*(x[0] for x in env.step(action))))
    assert Breaking.calls == 4  # of its neighbour alone
    env.close()
    again = GymEnv(name, 2)
    assert again.causes == {}
    _, got = drive(again, [15, 16], actions)
    assert np.isfinite(got.obs).all() and (got.obs[:, 0] != 0).any()
    assert again.causes == {}


def test_several_that_raise_have_a_cause_each(scripted):
    name = scripted(kind=Breaking, where="step", at=1, action_space=box(-1, 1, (2,)))
    env = GymEnv(name, 4, 2)
    env.reset([13, 12, 13, 13])
    step = env.step(np.zeros((4, 2), np.float32))
    env.close()
    assert set(env.causes) == {0, 2, 3}
    np.testing.assert_array_equal(np.isnan(step.reward), [True, False, True, True])


def test_specs():
    spec = envs.spec("gym/HalfCheetah-v5")
    assert (spec.task, spec.obs_size, spec.action_size) == ("gym/HalfCheetah-v5", 17, 6)
    assert (spec.max_steps, spec.num_actions) == (1000, 0)
    assert spec.provider.startswith("gymnasium ") and ", mujoco " in spec.provider
    assert envs.spec("gym/HalfCheetah-v5") is spec
    env = envs.make("gym/HalfCheetah-v5", 1)
    assert env.spec == spec
    env.close()
    assert "mujoco" not in envs.spec("gym/CartPole-v1").provider


@pytest.mark.parametrize(
    "task, sentence",
    [
        ("gym/HalfCheetah-v9", "did you mean 'gym/HalfCheetah-v5'?"),
        ("gym/CartPole", "did you mean 'gym/CartPole-v1'?"),
        ("Hopper-v5", "did you mean 'gym/Hopper-v5'?"),
        ("gym/Hopper-v2", "cannot be made: ImportError: The mujoco v2 and v3"),
        ("gym/FrozenLake-v1", "must have a Box of observations, got Discrete(16)"),
    ],
)
def test_unknown_and_unsupported_tasks_are_refused_in_a_sentence(task, sentence):
    for call in (envs.spec, lambda name: envs.make(name, 2)):
        with pytest.raises(ValueError) as caught:
            call(task)
        message = str(caught.value)
        assert message.startswith(f"task {task!r}") and sentence in message
        assert message.endswith((".", "?")) and "?;" not in message
        assert "\n" not in message and caught.value.__cause__ is None


@pytest.mark.parametrize(
    "kwargs, sentence",
    [
        ({"action_space": box(-np.inf, np.inf, (2,))}, "must have a finite box"),
        ({"action_space": gymnasium.spaces.MultiDiscrete([2, 2])}, "or Discrete for"),
        (
            {"action_space": gymnasium.spaces.Box(0, 9, (2,), np.int32)},
            "must have a Box of floats",
        ),
        ({"action_space": box(-1, 1, (2,)), "limit": None}, "must have a time limit"),
        ({"action_space": None}, "Discrete for actions, got None"),
    ],
    ids=["infinite", "multi-discrete", "integers", "no limit", "no actions"],
)
def test_unsupported_spaces_are_refused_in_a_sentence(scripted, kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        GymEnv(scripted(**kwargs), 2)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8), "FlattenObservation"),
        (gymnasium.spaces.Box(0, 255, (16, 16), np.uint8), "not images"),
        (gymnasium.spaces.Box(0, 1, (2, 2, 1), np.float32), "not images"),
        (gymnasium.spaces.Box(0, 255, (256,), np.uint8), ""),  # flattened on purpose
        (gymnasium.spaces.Box(0, 1, (2, 2), np.float64), ""),
    ],
    ids=str,
)
def test_images_are_refused_with_a_way_out(scripted, space, sentence):
    name = scripted(action_space=box(-1, 1, (2,)), observation_space=space)
    if not sentence:
        assert envs.spec(f"gym/{name}").obs_size == np.prod(space.shape)
        return
    with pytest.raises(ValueError, match=f"'gym/{name}' must have a vector") as caught:
        envs.spec(f"gym/{name}")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("high", "dtype", "taken"),
    [
        (np.finfo(np.float32).max, np.float32, False),
        (np.finfo(np.float32).max, np.float64, False),
        (np.finfo(np.float64).max, np.float64, False),
        (np.finfo(np.float16).max, np.float16, False),
        (1e38, np.float32, False),
        (1e6, np.float32, True),
        (1e3, np.float16, True),
    ],
)
def test_bounds_that_are_none_are_refused_as_infinite_ones(
    scripted, high, dtype, taken
):
    ends = np.full(2, high, dtype)
    space = gymnasium.spaces.Box(-ends, ends, (2,), dtype)
    name = scripted(action_space=space)
    if taken:
        assert envs.spec(f"gym/{name}").action_high == (float(space.high[0]),) * 2
        return
    with pytest.raises(ValueError, match="must have a finite box"):
        envs.spec(f"gym/{name}")


class Strict(Scripted):
    """Ends, and raises, at an action that its space does not contain."""

    def step(self, action):
        obs, *rest = super().step(action)
        assert self.action_space.contains(action), action.dtype
        return obs, *rest


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_actions_are_contained_in_the_space(scripted, dtype):
    low, high = np.array([[-0.1, -3], [0.7, 3]], dtype)
    space = gymnasium.spaces.Box(low, high, (2,), dtype)
    env = GymEnv(scripted(kind=Strict, action_space=space), 2)
    actions = random_actions(20, 2, 2)
    actions[::2] = np.sign(actions[::2])  # the bounds themselves
    _, got = drive(env, [0, 1], actions)
    assert env.causes == {} and not got.last.any()


class Counted(Scripted):
    """Raises when it is made, at these times."""

    made, at = 0, ()

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        type(self).made += 1
        if self.made in self.at:
            raise SystemExit("no display")


def test_one_that_cannot_be_made_ends_alone(scripted, monkeypatch):
    name = scripted(kind=Counted, action_space=box(-1, 1, (2,)))
    monkeypatch.setattr(Counted, "made", 0)
    monkeypatch.setattr(Counted, "at", (1, 3))
    with pytest.raises(ValueError, match="cannot be made: SystemExit: no display"):
        envs.spec(f"gym/{name}")  # before anything starts
    Counted.made = 0
    monkeypatch.setattr(Counted, "at", (3,))
    env = GymEnv(name, 3)  # of which the second; one was made to be read
    first, got = drive(env, [1, 2, 3], random_actions(4, 3, 2))
    assert [*env.causes] == [1]
    assert env.causes[1].startswith("SystemExit: no display, at test_host.py:")
    assert np.isnan(first[1]).all() and np.isfinite(first[[0, 2]]).all()
    assert np.isnan(got.reward[:, 1]).all()
    assert (got.next_obs[:, [0, 2], 1] == [[1], [2], [3], [4]]).all()


def test_a_name_that_is_registered_anew_is_read_anew(scripted, monkeypatch):
    name = scripted(limit=7, action_space=box(-1, 1, (2,)))
    assert envs.spec(f"gym/{name}").max_steps == 7
    changed = dataclasses.replace(gymnasium.registry[name], max_episode_steps=9)
    monkeypatch.setitem(gymnasium.registry, name, changed)
    assert (
        envs.spec(f"gym/{name}").max_steps
        == envs.make(f"gym/{name}", 1).spec.max_steps
        == 9
    )


# ---------------------------------------------------------------- names


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that registers 'Own-v0', which shows its arguments, when imported."""
    (tmp_path / "own_package.py").write_text(
        "import gymnasium, numpy as np\n"
        "class Own(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-9, 9, (2,))\n"
        "    action_space = gymnasium.spaces.Box(-1, 1, (1,))\n"
        "    def __init__(self, scale=1.0, mode='x', goals=()):\n"
        "        self.shown = np.float32([scale, len(goals) + (mode == 'fast')])\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        return self.shown, {}\n"
        "    def step(self, action):\n"
        "        return self.shown, 0.0, False, False, {}\n"
        "gymnasium.register('Own-v0', Own, max_episode_steps=5)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "gym/own_package:Own-v0"
    gymnasium.registry.pop("Own-v0", None)
    sys.modules.pop("own_package", None)


def test_a_package_is_imported_and_arguments_are_passed_on(package):
    with pytest.raises(ValueError, match="as 'gym/package:Id-v0'"):
        envs.spec("gym/Own-v0")
    for name, shown in {
        package: [1, 0],
        f"{package}?scale=-2.5": [-2.5, 0],
        f"{package}?goals=[1%2C2]&mode=fast&scale=3": [3, 3],
    }.items():
        env = envs.make(name, 2)
        assert isinstance(env, GymEnv) and env.spec.task == name
        assert env.reset([0, 1]).tolist() == [shown, shown]
        env.close()
    assert envs.spec(f"{package}?max_episode_steps=3").max_steps == 3
    with pytest.raises(ValueError, match=r"cannot be made: TypeError: .*'size'"):
        envs.spec(f"{package}?size=3")


def test_arguments_of_a_robot_are_in_its_name():
    task = "gym/Hopper-v5?terminate_when_unhealthy=false"
    env = envs.make(task, 1)
    assert isinstance(env, GymEnv) and env.spec.task == task
    _, got = drive(env, [0], random_actions(60, 1, 3))
    _, stock = drive(GymEnv("Hopper-v5", 1), [0], random_actions(60, 1, 3))
    assert stock.last.any() and not got.last.any()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Own-v0?b=1&a=2", "must be written 'gym/Own-v0?a=2&b=1'"),
        ("Own-v0?a=False", "must be written 'gym/Own-v0?a=false'"),
        ("Own-v0?a=None", "must be written 'gym/Own-v0?a=null'"),
        ('Own-v0?a="fast"', "must be written 'gym/Own-v0?a=fast'"),
        ("Own-v0?a=1e1", "must be written 'gym/Own-v0?a=10.0'"),
        ("Own-v0?a=[1, 2]", "must be written 'gym/Own-v0?a=[1%2C2]'"),
        ("Own-v0?a=x y", "must be written 'gym/Own-v0?a=x%20y'"),
        ("Own-v0?", "must be 'gym/Id-v0', 'gym/package:Id-v0' or"),
        ("Own-v0?a", "must be 'gym/Id-v0', 'gym/package:Id-v0' or"),
        ("Own-v0?a=1&a=2", "each key once"),
        (":Own-v0", "must be 'gym/Id-v0', 'gym/package:Id-v0' or"),
        ("no_such_package:Own-v0", "needs no_such_package, which cannot be imported"),
        ("leaving_package:Own-v0", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_task_has_one_name(tmp_path, monkeypatch, name, sentence):
    (tmp_path / "leaving_package.py").write_text("import sys; sys.exit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError) as caught:
        envs.spec(f"gym/{name}")
    message = str(caught.value)
    assert message.startswith(f"task 'gym/{name}' ") and sentence in message
    assert "\n" not in message and caught.value.__cause__ is None


VALUES = [
    1,
    1.5,
    True,
    None,
    "fast",
    "1.5",
    "true",
    "True",
    "a&b=c%",
    "é",
    "",
    [1, "x"],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_written_as_the_right_name_is_the_value(value):
    name = f"Own-v0?key={host._text(value)}"
    assert host.parsed(name).kwargs == {"key": value}
    assert not set(name) & set(", ") and name.isascii()


def test_wrong_shapes_are_refused():
    env = GymEnv("Pendulum-v1", 2)
    with pytest.raises(ValueError, match="a seed for each of 2 environments, got 1"):
        env.reset([0])
    env.reset([0, 1])
    with pytest.raises(ValueError, match=r"shape \(2, 1\), got \(2,\)"):
        env.step(np.zeros(2, np.float32))
    env.close()
    env = GymEnv("CartPole-v1", 3)
    with pytest.raises(ValueError, match=r"shape \(3, 2\), got \(3,\)"):
        env.step(np.zeros(3, np.int32))  # not one-hot
    env.close()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("gym/Hoper-v5", "did you mean 'gym/Hopper-v5'?"),
        ("gym/gymnasium:Hoper-v5", "did you mean 'gym/gymnasium:Hopper-v5'?"),
        ("gymnasium:Hopper-v5", "did you mean 'gym/gymnasium:Hopper-v5'?"),
        ("Hopper-v5", "did you mean 'gym/Hopper-v5'?"),
    ],
)
def test_a_typo_leads_to_the_whole_name(task, said):
    with pytest.raises(ValueError) as caught:
        envs.spec(task)
    assert said in str(caught.value)


class Bare(gymnasium.Env):
    """Declares nothing."""


class Broken(gymnasium.Env):
    @property
    def action_space(self):
        raise ZeroDivisionError("no space")

    observation_space = gymnasium.spaces.Box(-1, 1, (3,))


@pytest.mark.parametrize("cls", [Bare, Broken])
def test_an_environment_without_spaces_is_refused_in_a_sentence(cls, monkeypatch):
    about = gymnasium.envs.registration.EnvSpec("Odd-v0", cls, max_episode_steps=5)
    monkeypatch.setitem(gymnasium.registry, "Odd-v0", about)
    with pytest.raises(ValueError, match="'gym/Odd-v0' has no spaces that can be read"):
        envs.spec("gym/Odd-v0")


def test_a_limit_that_nobody_lives_to_see_is_none(monkeypatch):
    about = gymnasium.envs.registration.EnvSpec(
        "Long-v0", "gymnasium.envs.classic_control:PendulumEnv",
        max_episode_steps=10**12,
    )  # fmt: skip
    monkeypatch.setitem(gymnasium.registry, "Long-v0", about)
    with pytest.raises(ValueError, match=r"time limit.*max_episode_steps"):
        envs.spec("gym/Long-v0")
