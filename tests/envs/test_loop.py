"""An environment may do what it likes: it ends alone, in its own words."""

import random
import signal
import threading

import numpy as np
import pytest

from coadapt.envs import base, loop
from coadapt.system import notes
from coadapt.types import EnvSpec

SPEC = EnvSpec(
    task="gym/Free-v0", obs_size=3, action_size=1, action_low=(-1.0,),
    action_high=(1.0,), max_steps=100, provider="",
)  # fmt: skip
OBS = np.array([0.5, -1.0, 2.0])
BAD, AT = 1, 2  # which one of three, and at which of its steps


class Free:
    """Returns what it is given, at one step or reset; otherwise an ordinary step."""

    def __init__(self, step=None, reset=None, close=lambda: None):
        self.other, self.first, self.close, self.taken = step, reset, close, 0

    def reset(self, *, seed=None):
        return (OBS, {}) if self.first is None else self.first()

    def step(self, action):
        self.taken += 1
        if self.taken == AT and self.other is not None:
            return self.other()
        return OBS, float(self.taken), False, False, {}


def drive(bad, threads=1, steps=4):
    """Three environments, of which the middle one is `bad`: steps, causes."""
    made = [Free(), bad, Free()]
    env = loop.Loop(SPEC, made, shape=(1,), threads=threads)
    first = env.reset([0, 1, 2])
    found = [env.step(np.zeros((3, 1), np.float32)) for _ in range(steps)]
    env.close()
    return first, base.TimeStep(*(np.stack(x) for x in zip(*found, strict=True))), env


def assert_others_whole(first, found):
    for i in (0, 2):
        np.testing.assert_array_equal(first[i], OBS.astype(np.float32))
        np.testing.assert_array_equal(found.reward[:, i], [1, 2, 3, 4])
        assert (found.next_obs[:, i] == OBS.astype(np.float32)).all()
        assert not found.last[:, i].any()


def one(obs=OBS, reward=1.0, terminated=False, truncated=False):
    return lambda: (obs, reward, terminated, truncated, {})


def raises(error):
    def call():
        raise error

    return call


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Shy:
    def __array__(self, *_, **__):
        raise RuntimeError("not an array")


REAL = "not of real numbers"
WRONG = {
    "two of three": (one(OBS[:2]), "step returned 2 observations, 3 are declared"),
    "one number": (one(7.0), "step returned 1 observations, 3 are declared"),
    "four": (one(np.zeros((2, 2))), "step returned 4 observations"),
    "text": (one("good"), f"step returned observations of type str, {REAL}"),
    "a dict": (one({"x": 1.0}), f"of type dict, {REAL}"),
    "none": (one(None), f"of type NoneType, {REAL}"),
    "ragged": (one([[1.0, 2.0], [3.0]]), "ValueError: setting an array element"),
    "complex": (one(OBS + 1j), f"observations of type complex128, {REAL}"),
    "objects": (one([10**400] * 3), f"observations of type list, {REAL}"),
    "no array": (one(Shy()), "RuntimeError: not an array"),
    "reward text": (one(reward="good"), f"a reward of type str, {REAL}"),
    "reward complex": (one(reward=1j), f"a reward of type complex, {REAL}"),
    "reward huge": (one(reward=10**400), "OverflowError: int too large to convert"),
    "reward none": (one(reward=None), f"a reward of type NoneType, {REAL}"),
    "rewards": (one(reward=np.ones(2)), "a reward of shape (2,), not one number"),
    "no reward": (one(reward=[]), "a reward of shape (0,), not one number"),
    "ends": (one(terminated=np.zeros(2, bool)), "an end of shape (2,), not one"),
    "end text": (one(truncated="no"), f"an end of type str, {REAL}"),
    "end half": (one(truncated=0.5), "step returned 0.5 for terminated or trunc"),
    "four values": (lambda: (OBS, 1.0, False, {}), "ValueError: not enough values"),
    "no step": (lambda: None, "TypeError: cannot unpack"),
    "error": (raises(RuntimeError("gave\n  up")), "RuntimeError: gave up"),
    "exit": (raises(SystemExit(0)), "SystemExit: 0"),
    "interrupt": (raises(GeneratorExit()), "GeneratorExit"),
    "surrogate": (raises(ValueError("a \ud800 b")), r"ValueError: a \ud800 b"),
    "escape": (raises(ValueError("\x1b[2Jx\0")), r"ValueError: \x1b[2Jx\x00"),
    "long": (raises(ValueError("x" * 10**6)), f"ValueError: {'x' * 900}"),
    "unsayable": (raises(Unsayable()), "Unsayable: its message cannot be read"),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_step_ends_that_environment_alone(kind, threads):
    result, words = WRONG[kind]
    first, found, env = drive(Free(step=result), threads)
    assert_others_whole(first, found)
    assert list(env.causes) == [BAD]
    cause = env.causes[BAD]
    assert words in cause and len(cause) < 1100, cause
    assert cause.isprintable() and cause.encode()
    assert found.reward[0, BAD] == 1  # it was itself until then
    assert np.isnan(found.reward[AT - 1 :, BAD]).all()
    assert np.isnan(found.next_obs[AT - 1 :, BAD]).all()
    assert not found.last[:, BAD].any()


RESETS = {
    "no info": (lambda: OBS, "ValueError: too many values to unpack"),
    "two of three": (lambda: (OBS[:2], {}), "reset returned 2 observations, 3 are"),
    "a number": (lambda: (1.0, {}), "reset returned 1 observations"),
    "exit": (raises(SystemExit("done")), "SystemExit: done"),
}


@pytest.mark.parametrize("kind", RESETS)
def test_what_is_no_start_ends_that_environment_alone(kind):
    result, words = RESETS[kind]
    first, found, env = drive(Free(reset=result))
    assert_others_whole(first, found)
    assert np.isnan(first[BAD]).all() and np.isnan(found.reward[:, BAD]).all()
    assert list(env.causes) == [BAD] and words in env.causes[BAD]


@pytest.mark.parametrize(
    ("result", "obs", "reward", "discount"),
    [
        (one(reward=np.array([2.5])), OBS, 2.5, 1),
        (one(reward=np.float32(2.5)), OBS, 2.5, 1),
        (one(reward=np.array(2)), OBS, 2, 1),
        (one(reward=True), OBS, 1, 1),
        (one(OBS.reshape(3, 1).tolist()), OBS, 1, 1),
        (one(np.array([1, 2, 3], np.uint8)), [1, 2, 3], 1, 1),
        (one(OBS * 1e300, -1e300), OBS * np.inf, -np.inf, 1),
        (one(OBS * np.nan, np.nan), OBS * np.nan, np.nan, 1),
        (one(terminated=np.array([True])), OBS, 1, 0),
        (one(terminated=np.bool_(True)), OBS, 1, 0),
        (one(terminated=1), OBS, 1, 0),
        (one(truncated=np.array(True)), OBS, 1, 1),
    ],
)
def test_what_holds_the_declared_numbers_is_a_step(result, obs, reward, discount):
    """A number that is not finite is for the runner to judge."""
    _, found, env = drive(Free(step=result))
    assert env.causes == {}
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found.next_obs[AT - 1, BAD], np.float32(obs))
    assert np.array_equal(found.reward[AT - 1, BAD], np.float32(reward), equal_nan=True)
    assert found.discount[AT - 1, BAD] == discount
    assert found.reward[AT, BAD] == AT + 1  # it goes on


@pytest.mark.parametrize("error", [OSError("gone"), SystemExit(1)], ids=repr)
def test_a_close_that_raises_loses_nothing(error):
    closed = []
    made = [Free(close=raises(error)), Free(close=lambda: closed.append(1))]
    env = loop.Loop(SPEC, made, shape=(1,))
    env.close()
    assert closed == [1]


class Stop(KeyboardInterrupt):
    """As the commands' own handler raises."""


@pytest.mark.parametrize(
    ("handler", "error", "thread", "own"),
    [
        (signal.default_int_handler, KeyboardInterrupt(), False, False),
        (signal.default_int_handler, KeyboardInterrupt(), True, True),
        (lambda *_: None, KeyboardInterrupt(), False, True),
        (lambda *_: None, Stop(), False, False),
        (signal.default_int_handler, SystemExit(), False, True),
    ],
    ids=["ctrl-c", "in a thread", "handled", "handled, twice", "exit"],
)
def test_a_ctrl_c_of_the_users_is_not_the_environments(handler, error, thread, own):
    before, found = signal.signal(signal.SIGINT, handler), []
    ask = lambda: found.append(base.is_own(error))  # noqa: E731
    try:
        if thread:
            asking = threading.Thread(target=ask)
            asking.start()
            asking.join()
        else:
            ask()
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [own]


def test_a_ctrl_c_goes_through_a_step(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            drive(Free(step=lambda: signal.raise_signal(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------- units

BOXES = {
    "thirds": ([-1 / 3], [0.1], np.float32),
    "far apart": ([-1e8], [1e-3], np.float32),  # the sum of the two loses bits
    "halves": ([-0.1], [0.3], np.float16),
    "doubles": ([-1e16], [3.3], np.float64),
}


@pytest.mark.parametrize("box", BOXES)
def test_actions_are_of_the_space_and_contained_in_it(box):
    import gymnasium

    low, high, dtype = BOXES[box]
    space = gymnasium.spaces.Box(
        np.array(low, dtype), np.array(high, dtype), (1,), dtype
    )
    spec = EnvSpec(
        task="x", obs_size=1, action_size=1, max_steps=1, provider="",
        action_low=tuple(map(float, space.low)),
        action_high=tuple(map(float, space.high)), action_dtype=str(space.dtype),
    )  # fmt: skip
    edge = np.nextafter(np.float32(1), np.float32(0))
    actions = np.float32([[-1], [-edge], [0], [1e-9], [edge], [1]])
    own = base.own_units(spec, actions, len(actions))
    assert own.dtype == dtype and all(space.contains(each) for each in own)
    assert (own[[0, -1], 0] == [space.low[0], space.high[0]]).all()
    assert (np.diff(own[:, 0]) >= 0).all()
    beyond = base.own_units(spec, np.float32([[-2], [2]]), 2)
    width = (float(space.high[0]) - float(space.low[0])) / 2
    expected = [float(space.low[0]) - width, float(space.high[0]) + width]
    # to the rounding of its dtype; float64 sums lose what the larger end hides
    np.testing.assert_allclose(
        beyond[:, 0].astype(float), expected, rtol=2 * np.finfo(dtype).eps
    )


# ---------------------------------------------------------------- chance


@pytest.mark.parametrize(
    ("draw", "named"),
    [
        (lambda: np.random.random(), "numpy.random's global generator"),
        (lambda: random.random(), "Python's module random"),
        (lambda: np.random.default_rng(0).random(), ""),
    ],
    ids=["numpy", "python", "its own"],
)
@pytest.mark.parametrize("where", ["reset", "step"])
def test_draws_from_a_global_generator_are_said_once(draw, named, where, capsys):
    def reset():
        draw()
        return OBS, {}

    def step():
        draw()
        return OBS, 0.0, False, False, {}

    notes.note_once.cache_clear()
    for _ in range(2):
        drive(Free(**{where: {"reset": reset, "step": step}[where]}))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(named)
    if named:
        assert lines[0].startswith(f"gym/Free-v0 draws from {named}, which no seed")


def test_nothing_is_watched_for_ever(monkeypatch):
    """What finds global draws costs as much as many steps of a small environment."""
    calls = []
    monkeypatch.setattr(loop, "_global_generators", lambda: calls.append(1) or ((), ()))
    drive(Free(), steps=loop.WATCHED + 30)
    assert len(calls) == 2 * (1 + loop.WATCHED)
