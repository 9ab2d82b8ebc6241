"""Data sets on disk against Minari's own reading, and the store against the ring."""

import dataclasses
import json
import warnings

import gymnasium
import h5py
import jax
import jax.numpy as jnp
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from walks import SPEC, fill

from coadapt import envs
from coadapt.data import offline, replay
from coadapt.data.offline import writing
from coadapt.schema import ConfigError
from coadapt.system.notes import note_once
from coadapt.types import Transition

NAME = "test/walk-v0"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def spec_of(task: str):
    spec = envs.spec(task)
    # one-hot, as everywhere inside
    return dataclasses.replace(spec, action_size=spec.num_actions or spec.action_size)


def run(spec, lengths, terminal=True, cut=False, seed=0) -> Transition:
    """Episodes of random numbers in agent units; `cut`: the last one goes on."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, length in enumerate(lengths):
        # within the observations' boxes of the tasks below
        shape = (length + 1, spec.obs_size)
        obs = rng.uniform(-0.4, 0.4, shape).astype(np.float32)
        if spec.num_actions:
            choice = rng.integers(spec.num_actions, size=length)
            action = np.eye(spec.num_actions, dtype=np.float32)[choice]
        else:
            shape = (length, spec.action_size)
            action = rng.uniform(-1, 1, shape).astype(np.float32)
        last = np.arange(length) == length - 1
        if cut and i == len(lengths) - 1:
            last[:] = False
        done = last & terminal & (i % 2 == 0)
        reward = rng.normal(size=length).astype(np.float32)
        discount = 1 - done.astype(np.float32)
        parts.append((obs[:-1], action, reward, discount, last, obs[1:]))
    return Transition(*map(np.concatenate, zip(*parts, strict=True)))


def foreign(obs, act, episodes, name=NAME):
    """A data set as someone else would make it, with Minari's own function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like an author and more
        return minari.create_dataset_from_buffers(
            name, episodes, observation_space=obs, action_space=act
        )


def box(size):
    return spaces.Box(-np.inf, np.inf, (size,), np.float64)


def episode(observations, actions, **changes):
    length = len(actions)
    columns = {
        "observations": observations,
        "actions": actions,
        "rewards": np.arange(length, dtype=np.float64),
        "terminations": np.zeros(length, bool),
        "truncations": np.zeros(length, bool),
    }
    return EpisodeBuffer(**(columns | changes))


def cartpole(length=4, **changes):
    obs, actions = np.ones((length + 1, 4)), np.zeros(length, np.int64)
    return episode(changes.pop("obs", obs), changes.pop("actions", actions), **changes)


def same(a: Transition, b: Transition, atol=0.0):
    for key in Transition._fields:
        x, y = np.asarray(getattr(a, key)), np.asarray(getattr(b, key))
        assert x.dtype == y.dtype and x.shape == y.shape, key
        np.testing.assert_allclose(x, y, atol=atol if key == "action" else 0, rtol=0)


def joined(*runs):
    return Transition(*map(np.concatenate, zip(*runs, strict=True)))


TASKS = ["gym/Pendulum-v1", "toy/lqr", "gym/CartPole-v1", "gym/HalfCheetah-v5"]


@pytest.mark.parametrize("task", TASKS)
def test_what_is_written_is_read(task):
    spec = spec_of(task)
    runs = [run(spec, [3, 1, 5]), run(spec, [4, 2], terminal=False, seed=1)]
    path = offline.write(NAME, spec, runs, about="numbers")
    assert (path / "data" / "main_data.hdf5").is_file()
    same(offline.read(NAME, spec), joined(*runs), atol=2e-7)


@pytest.mark.parametrize("task", TASKS)
def test_on_disk_is_what_others_expect(task):
    spec = spec_of(task)
    made = run(spec, [3, 5])
    offline.write(NAME, spec, [made], about="numbers")
    assert list(minari.list_local_datasets()) == [NAME]
    data = minari.load_dataset(NAME)
    assert (data.total_episodes, data.total_steps) == (2, 8)
    assert data.storage.metadata["description"] == "numbers"
    for each in data:
        assert all(each.observations[i] in data.observation_space for i in (0, -1))
        assert each.actions[0] in data.action_space
        assert "EpisodeData" in repr(each)
    assert [bool(e.terminations[-1]) for e in data] == [True, False]
    assert [bool(e.truncations[-1]) for e in data] == [False, True]
    own = np.concatenate([e.actions for e in data])
    if spec.num_actions:
        np.testing.assert_array_equal(own, made.action.argmax(1))
    else:
        half = (np.subtract(spec.action_high, spec.action_low) / 2).astype(np.float32)
        np.testing.assert_allclose(own, half[None] * made.action, atol=1e-6)
    if task.startswith("gym/"):
        env = data.recover_environment()
        assert env.spec.id == task[4:]
        assert env.action_space == data.action_space
        assert env.observation_space == data.observation_space
        env.close()


def test_the_map_reaches_beyond_the_box_without_clipping():
    spec = spec_of("gym/Pendulum-v1")  # torque in [-2, 2]
    obs, own = np.zeros((4, 3)), np.float32([[2.0], [-2.0], [3.0]])
    foreign(box(3), spaces.Box(-2, 2, (1,), np.float32), [episode(obs, own)])
    read = offline.read(NAME, spec)
    np.testing.assert_array_equal(read.action, np.float32([[1], [-1], [1.5]]))
    offline.write("test/again-v0", spec, [read], about="")
    stored = minari.load_dataset("test/again-v0")[0].actions
    np.testing.assert_array_equal(stored, own)


def test_read_equals_minaris_own_iteration():
    rng = np.random.default_rng(0)
    flags = np.array([False, False, True])
    episodes = [
        episode(rng.normal(size=(4, 2, 2)), rng.integers(3, 5, 3), terminations=flags),
        episode(rng.normal(size=(4, 2, 2)), rng.integers(3, 5, 3), truncations=flags),
        episode(rng.normal(size=(3, 2, 2)), rng.integers(3, 5, 2)),  # just stops
    ]
    obs = spaces.Box(-np.inf, np.inf, (2, 2), np.float64)
    data = foreign(obs, spaces.Discrete(2, start=3), episodes)
    read, at = offline.read(NAME, spec_of("gym/CartPole-v1")), 0
    for each in data:
        for t in range(len(each)):
            first, second = (np.ravel(each.observations[t + i]) for i in (0, 1))
            np.testing.assert_array_equal(read.obs[at], first.astype(np.float32))
            np.testing.assert_array_equal(read.next_obs[at], second.astype(np.float32))
            assert read.action[at].tolist() == np.eye(2)[each.actions[t] - 3].tolist()
            assert read.reward[at] == each.rewards[t]
            assert read.discount[at] == 1 - each.terminations[t]
            assert read.last[at] == (t == len(each) - 1)
            at += 1
    assert at == len(read.reward) == 8


def test_what_is_cut_is_stored_as_truncated():
    spec = spec_of("toy/lqr")
    runs = [run(spec, [3, 4], cut=True), run(spec, [2], cut=True, seed=1)]
    offline.write(NAME, spec, runs, about="")
    read = offline.read(NAME, spec)
    assert np.flatnonzero(read.last).tolist() == [2, 6, 8]
    assert read.discount.tolist() == [1, 1, 0, 1, 1, 1, 1, 1, 1]


def test_pixels_come_back_as_they_were():
    space = spaces.Box(0, 255, (40, 40, 1), np.uint8)
    rng = np.random.default_rng(0)
    spec = dataclasses.replace(SPEC, obs_size=1600, action_low=(-1,), action_high=(1,))
    made = run(spec, [3])
    pixels = rng.integers(0, 256, (4, 1600)).astype(np.float32)
    made = made._replace(obs=pixels[:-1], next_obs=pixels[1:])

    class Pixels(gymnasium.Env):
        observation_space = space
        action_space = spaces.Box(-1, 1, (1,), np.float32)

    gymnasium.register("OfflinePixels-v0", Pixels)
    try:
        spec = dataclasses.replace(spec, task="gym/OfflinePixels-v0")
        offline.write(NAME, spec, [made], about="")
    finally:
        gymnasium.registry.pop("OfflinePixels-v0")
    same(offline.read(NAME, spec), made, atol=2e-7)
    data = minari.load_dataset(NAME)
    assert data[0].observations.dtype == np.uint8
    assert data.env_spec is None  # a class cannot be written as JSON


# the store


@pytest.mark.parametrize("lengths", [[1], [4], [3, 1, 1, 5], [1] * 6], ids=str)
@pytest.mark.parametrize("cut", [False, True], ids=["finished", "cut"])
def test_a_store_gives_back_exactly_its_transitions(lengths, cut):
    made = run(spec_of("gym/CartPole-v1"), lengths, cut=cut)
    store = offline.store(made)
    count = len(made.reward)
    assert (int(store.count), int(store.tail)) == (count, 0)
    # one for each transition, one for the last successor of each episode
    assert store.obs.shape[0] == count + len(lengths) == int(store.head) + 1
    same(replay.gather(store, jnp.arange(count, dtype=jnp.int32)), made)
    same(offline.from_store(store), made)


def test_a_store_has_the_types_and_rows_of_the_ring():
    ring, _ = fill(50, [5, 4, 6])
    store = offline.store(offline.from_store(ring))
    leaves = zip(*map(jax.tree.leaves, (store, ring)), strict=True)
    for ours, theirs in leaves:
        assert ours.dtype == theirs.dtype and ours.ndim == theirs.ndim
    np.testing.assert_array_equal(store.row, ring.row[:15])
    np.testing.assert_array_equal(store.obs, ring.obs[: len(store.obs)])


def test_runs_that_were_cut_stay_apart():
    spec = spec_of("toy/lqr")
    made = joined(run(spec, [3], cut=True), run(spec, [2], cut=True, seed=1))
    store = offline.store(made)
    assert store.obs.shape[0] == 7
    same(replay.gather(store, jnp.arange(5, dtype=jnp.int32)), made)


def test_a_sample_draws_every_transition_and_no_other():
    made = run(spec_of("toy/lqr"), [7, 5, 8])
    store = offline.store(made)
    t = jax.jit(replay.sample, static_argnums=2)(store, jax.random.key(0), 20)
    order = np.argsort(made.reward)
    drawn = Transition(*(np.asarray(x)[np.argsort(t.reward)] for x in t))
    same(drawn, Transition(*(x[order] for x in made)))


def test_a_ring_that_came_round_is_put_in_order():
    ring, kept = fill(50, [7, 3] * 12)
    held = offline.from_store(ring)
    columns = [held.obs[:, 0], held.action[:, 0], *held[2:5], held.next_obs[:, 0]]
    rows = [tuple(map(float, row)) for row in zip(*columns, strict=True)]
    count = int(ring.count) - int(ring.tail)
    assert rows == [tuple(map(float, row)) for row in kept[-count:]]


def test_describe_counts_the_episodes_that_ended():
    spec = spec_of("toy/lqr")
    made = run(spec, [2, 3, 4], cut=True)._replace(
        reward=np.float32([1, 2, 0, 4, 3, 9, 9, 9, 9])
    )
    assert offline.describe(made) == offline.Summary(9, 2, 5.0, 2.0)
    tail = Transition(*(x[5:] for x in made))
    assert offline.describe(tail) == offline.Summary(4, 1, 36.0, 0.0)


# refusals


def refused(call, *words):
    with pytest.raises(ConfigError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text
    assert text.endswith((".", "?")), text
    return text


def test_a_data_set_that_is_not_there_names_the_folder_and_the_nearest(folder):
    spec = spec_of("toy/lqr")
    offline.write(NAME, spec, [run(spec, [3])], about="")
    words = ("data.dataset is 'test/wolk-v0'", str(folder), "MINARI_DATASETS_PATH")
    read = lambda: offline.read("test/wolk-v0", spec)  # noqa: E731
    refused(read, *words, "did you mean 'test/walk-v0'?")
    for name in ("../walk-v0", "walk", "", "/etc"):
        refused(lambda name=name: offline.read(name, spec), f"data.dataset is {name!r}")


@pytest.mark.parametrize(
    ("obs", "act", "words"),
    [
        (
            box(5),
            spaces.Discrete(2),
            "have size 5, but those of gym/CartPole-v1 have 4",
        ),
        (box(4), spaces.Discrete(3), "Discrete(3), but those of gym/CartPole-v1 are "),
        (box(4), box(2), "Box, but those of gym/CartPole-v1 are Discrete(2)"),
        (spaces.Dict({"x": box(4)}), spaces.Discrete(2), "of Dict, but must be a Box"),
        (spaces.Discrete(4), spaces.Discrete(2), "of Discrete(4), but must be a Box"),
        (box(4), spaces.MultiDiscrete([2, 2]), "of MultiDiscrete, but those of"),
        (box(4), spaces.Tuple([spaces.Discrete(2)]), "are of Tuple, but those of"),
    ],
    ids=["obs", "n", "box", "dict", "discrete obs", "multi", "tuple"],
)
def test_spaces_that_do_not_fit(obs, act, words):
    foreign(obs, act, [])
    refused(lambda: offline.read(NAME, spec_of("gym/CartPole-v1")), NAME, words)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (spaces.Discrete(2), "of Discrete(2), but those of gym/Pendulum-v1 are a Box"),
        (box(2), "have size 2, but those of gym/Pendulum-v1 have 1"),
        (spaces.Box(-1, 1, (1,)), "have -1 for low of dimension 0, but those of"),
    ],
    ids=["discrete", "size", "bounds"],
)
def test_a_box_that_does_not_fit(act, words):
    foreign(box(3), act, [])
    refused(lambda: offline.read(NAME, spec_of("gym/Pendulum-v1")), NAME, words)


@pytest.mark.parametrize(
    ("episodes", "words"),
    [
        ([], "is empty"),
        ([cartpole(obs=np.full((5, 4), np.nan))], "observations of episode 0 are not"),
        ([cartpole(), cartpole(rewards=np.full(4, 1e300))], "rewards of episode 1"),
        ([cartpole(actions=np.array([0, 1, 2, 0]))], "other than the integers 0..1"),
        ([cartpole(actions=np.array([0, 0.5, 1, 0]))], "other than the integers 0..1"),
        ([cartpole(obs=np.ones((4, 4)))], "episode 0 has 4 observations, not 5"),
        ([cartpole(truncations=np.zeros(3, bool))], "cannot be read"),
        ([cartpole(obs=np.ones((5, 3)))], "cannot be read"),
    ],
    ids=["empty", "nan", "huge", "beyond", "half", "short", "flags", "narrow"],
)
def test_episodes_that_are_wrong(episodes, words):
    foreign(box(4), spaces.Discrete(2), episodes)
    refused(lambda: offline.read(NAME, spec_of("gym/CartPole-v1")), NAME, words)


def change(folder, **entries):
    path = folder / NAME / "data" / "metadata.json"
    data = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


CHEETAH = "gym/HalfCheetah-v5"  # of the sizes of Walker2d


def of(theirs):
    return {"task": theirs, "env_spec": None}


def of_minari(theirs):
    return {"task": None, "env_spec": json.dumps({"id": theirs})}


@pytest.mark.parametrize(
    ("entries", "task", "found"),
    [
        ({}, CHEETAH, ""),
        (of(CHEETAH), "gym/Walker2d-v5", "refused"),
        (of_minari("HalfCheetah-v5"), "gym/Walker2d-v5", "refused"),
        (of("dmc/cheetah_run"), CHEETAH, "refused"),
        (of_minari("HalfCheetah-v5"), CHEETAH, ""),
        (of("gym/HalfCheetah-v4"), CHEETAH, "noted"),
        (of_minari("HalfCheetah-v4"), CHEETAH, "noted"),
        (of("gym/package:HalfCheetah-v5?size=1"), CHEETAH, "noted"),
        (of(None), CHEETAH, ""),  # nothing says what it is of
        ({"task": None, "env_spec": "junk"}, CHEETAH, ""),
        ({"task": None, "env_spec": "[]"}, CHEETAH, ""),
    ],
)
def test_data_of_another_task_are_refused(folder, capsys, entries, task, found):
    """And of another version of it noted, although all sizes are equal."""
    spec = spec_of(CHEETAH)
    offline.write(NAME, spec, [run(spec, [3])], about="")
    change(folder, **entries)
    theirs = json.loads(entries.get("env_spec") or "{}") if found else {}
    theirs = f"gym/{theirs['id']}" if theirs else entries.get("task")
    read = lambda: offline.read(NAME, spec_of(task))  # noqa: E731
    note_once.cache_clear()
    if found == "refused":
        refused(read, NAME, f"data come from {theirs}, but the task is {task}")
    else:
        read()
    said = capsys.readouterr().err
    assert said == (
        f"data.dataset is {NAME!r}, whose data come from {theirs}, not {task}\n"
        if found == "noted"
        else ""
    )


def test_arguments_of_a_task_are_in_its_data_set():
    spec = envs.spec("gym/Hopper-v5?terminate_when_unhealthy=false")
    offline.write(NAME, spec, [run(spec, [3])], about="")
    same(offline.read(NAME, spec), run(spec, [3]), atol=2e-7)
    data = minari.load_dataset(NAME)
    assert data.env_spec is not None
    assert data.env_spec.kwargs == {"terminate_when_unhealthy": False}
    assert gymnasium.spec("Hopper-v5").kwargs == {}


def test_no_code_is_run_to_find_out_the_spaces(folder, monkeypatch):
    spec = spec_of("gym/CartPole-v1")
    offline.write(NAME, spec, [run(spec, [3])], about="")
    monkeypatch.setattr(gymnasium, "make", lambda *_, **__: pytest.fail("was made"))
    offline.read(NAME, spec)  # as it is, it can be read, its env_spec unread
    change(folder, env_spec='{"entry_point": "os:abort"}')
    offline.read(NAME, spec)
    change(folder, action_space=None)
    refused(lambda: offline.read(NAME, spec), NAME, "have no action_space")


def test_files_that_are_broken(folder):
    spec = spec_of("gym/CartPole-v1")
    read = lambda: offline.read(NAME, spec)  # noqa: E731
    offline.write(NAME, spec, [run(spec, [3, 3])], about="")
    for entries, words in [
        ({"minari_version": "9.0.0"}, "written by Minari 9.0.0"),
        ({"data_format": "arrow"}, "format is 'arrow', but must be 'hdf5'"),
        ({"observation_space": "junk"}, "cannot be read"),
        ({"observation_space": '{"type": "Sphere"}'}, "cannot be read"),
        ({"total_episodes": 3}, "cannot be read"),
        ({"total_episodes": "x"}, "cannot be read"),
    ]:
        good = (folder / NAME / "data" / "metadata.json").read_text()
        change(folder, **entries)
        refused(read, f"data.dataset is {NAME!r}", words)
        (folder / NAME / "data" / "metadata.json").write_text(good)
    file = folder / NAME / "data" / "main_data.hdf5"
    with h5py.File(file, "a") as data:
        del data["episode_1/rewards"]
    refused(read, "cannot be read")
    file.write_bytes(file.read_bytes()[:1000])
    refused(read, "cannot be read")
    file.write_bytes(b"no hdf5")
    refused(read, "cannot be read")
    file.unlink()
    refused(read, "cannot be read")
    (folder / NAME / "data" / "metadata.json").write_text("{")
    refused(read, "cannot be read")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("half-cheetah/sac-medium", ": 'half-cheetah/sac-medium-v0'"),
        ("sac medium!", ": 'sac-medium-v0'"),
        ("../sac-v1", ": 'sac-v1'"),
        ("x/sac-v0", "no namespace of one letter"),
        ("my/data/sac-v0", ": 'my/dataset/sac-v0'"),
        ("", ": 'data-set-v0'"),
    ],
)
def test_names_that_are_not_minaris(folder, name, meant):
    spec = spec_of("toy/lqr")
    made = [run(spec, [3])]
    refused(lambda: offline.write(name, spec, made, about=""), repr(name), meant)
    assert not list(folder.iterdir())


def test_nothing_is_overwritten(folder):
    spec = spec_of("toy/lqr")
    first = run(spec, [3])
    path = offline.write(NAME, spec, [first], about="")
    for name in (NAME, f"{NAME}/more-v0"):
        write = lambda name=name: offline.write(name, spec, [first], about="")  # noqa: E731
        refused(write, name, str(path), "nothing is overwritten")
    same(offline.read(NAME, spec), first, atol=2e-7)


def test_what_cannot_be_written_leaves_nothing(folder, monkeypatch):
    spec = spec_of("gym/CartPole-v1")
    made = run(spec, [3, 3])
    write = lambda *runs: offline.write(NAME, spec, runs, about="")  # noqa: E731
    refused(write, "would be empty")
    refused(lambda: write(made._replace(reward=made.reward * np.inf)), "in reward")
    with pytest.raises(ValueError, match="one-hot"):
        write(made._replace(action=made.action / 2))
    with pytest.raises(ValueError, match="action must have shape"):
        write(made._replace(action=made.action[:, :1]))
    with pytest.raises(ValueError, match="transition 3 does not start"):
        write(made._replace(last=np.zeros(6, bool)))

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(writing, "_buffers", full)
    with pytest.raises(OSError, match="disk full"):
        write(made)
    assert not list(folder.iterdir())


def test_a_folder_of_data_sets_that_is_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="file' cannot be made: File exists"):
        offline.refuse_taken("x-v0")
