"""brax and MuJoCo playground under our own resets, held to their bare environments."""

import dataclasses
import importlib
import importlib.metadata
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import coadapt
from coadapt import envs
from coadapt.envs import base, suites
from coadapt.tasks import registry
from coadapt.types import TimeStep
from tests.recipes import cases

LENGTH, COUNT = 40, 3
BROKEN_AT = 5  # step of the first action that is no number, of one more environment
# a pole that falls within some ten steps of random actions, and one that may not fall
TASKS = {"brax/inverted_pendulum:spring": 12, "playground/CartpoleBalance": 7}  # limits


@dataclasses.dataclass(frozen=True)
class Driven:
    """Some environments under a short limit, with all their states."""

    env: base.Autoreset
    actions: np.ndarray  # [L, count + 1, A]
    first: np.ndarray
    states: base.EnvState  # after each step, [L, count + 1, ...]
    begin: base.EnvState
    steps: TimeStep


@partial(jax.jit, static_argnames="env")
def roll(keys, actions, *, env):
    begin, first = jax.vmap(env.reset)(keys)

    def step(states, action):
        states, step = jax.vmap(env.step)(states, action)
        return states, (states, step)

    return begin, first, *jax.lax.scan(step, begin, actions)[1]


def short(task, limit, pool):
    """A task with an end to its episodes that a test can wait for."""
    made = envs.make(task, 1)
    assert isinstance(made, base.Autoreset)
    spec = dataclasses.replace(made.spec, max_steps=limit)
    return dataclasses.replace(made, spec=spec, pool=pool)


def random_actions(env, length, count):
    shape = length, count, env.spec.action_size
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


# one of the two is left: their step is compiled for as long as ten of ours
@pytest.fixture(scope="module", params=cases(TASKS, ["playground/CartpoleBalance"]))
def driven(request):
    env = short(request.param, TASKS[request.param], pool=4)
    actions = random_actions(env, LENGTH, COUNT + 1)
    actions[BROKEN_AT, COUNT] = np.nan
    begin, first, states, steps = jax.device_get(roll(KEYS, actions, env=env))
    return Driven(env, actions, first, states, begin, steps)


KEYS = jax.random.split(jax.random.key(3), COUNT + 1)


def row(tree, *at):
    return jax.tree.map(lambda x: x[at], tree)


def test_equals_the_bare_environment(driven):
    """From each state to the next by the suite's own step, and from a start of the pool
    where an episode ended. The bare step is compiled alone, so that sums may be rounded
    in another order: 1e-5, of numbers near 1."""
    bare, spec = driven.env.dynamics.env, driven.env.spec
    with suites.foreign():
        step = (
            jax.jit(bare.step)
            .lower(row(driven.begin.physics, 0), driven.actions[0, 0])
            .compile()
        )
    ends = 0
    for i in range(COUNT):
        physics, age = row(driven.begin.physics, i), 0
        pool = row(driven.begin.starts, i)
        for t in range(LENGTH):
            after = step(physics, driven.actions[t, i])
            got, age = row(driven.steps, t, i), age + 1
            np.testing.assert_allclose(got.next_obs, after.obs, atol=1e-5)
            np.testing.assert_allclose(got.reward, after.reward, atol=1e-5)
            fell = bool(after.done) and driven.env.dynamics.terminates
            assert got.last == (fell or age == spec.max_steps)
            assert got.discount == (0.0 if fell else 1.0)
            physics = row(driven.states.physics, t, i)
            np.testing.assert_array_equal(got.obs, physics.obs)
            if got.last:
                ends, age = ends + 1, 0
                among = [np.array_equal(got.obs, start) for start in pool.obs]
                assert sum(among) == 1
            else:
                np.testing.assert_array_equal(got.obs, got.next_obs)
    assert ends >= 2 * COUNT


def test_starts_are_many_and_the_pool_stays(driven):
    for first, pool in zip(driven.first, driven.begin.starts.obs, strict=True):
        assert sum(np.array_equal(first, start) for start in pool) == 1
    after = driven.steps.obs[driven.steps.last]
    assert len(np.unique(np.concatenate([driven.first, after]), axis=0)) > COUNT + 1
    for kept, was in zip(
        jax.tree.leaves(driven.states.starts), jax.tree.leaves(driven.begin.starts),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(kept[-1], was)


def test_one_that_falls_terminates_and_one_that_is_cut_does_not(driven):
    cut = driven.steps.last & (driven.steps.discount == 1)
    fell = driven.steps.last & (driven.steps.discount == 0)
    assert cut.any()
    assert fell.any() == driven.env.dynamics.terminates
    assert (driven.steps.discount[~driven.steps.last] == 1).all()


def test_a_number_that_is_not_finite_ends_no_episode(driven):
    """It flows to where the learner looks for it, until the time limit."""
    spec, broken = driven.env.spec, row(driven.steps, slice(BROKEN_AT, None), COUNT)
    ended = driven.steps.last[:BROKEN_AT, COUNT]
    age = BROKEN_AT - (np.flatnonzero(ended)[-1] + 1 if ended.any() else 0)
    left = spec.max_steps - age - 1  # steps until the limit, after the broken one
    for t in range(left + 1):
        bad = np.append(broken.next_obs[t], broken.reward[t])
        assert np.isnan(bad).any()
        assert broken.discount[t] == 1 and broken.last[t] == (t == left)
    assert np.isfinite(broken.obs[left]).all()  # a start of the pool


@pytest.mark.parametrize(
    "driven", cases(TASKS, ["playground/CartpoleBalance"]), indirect=True
)
def test_an_environment_is_the_same_in_any_company(driven):
    """Alone, by the key that it had among others. XLA rounds sums of one and of three
    in orders of their own, and a pole that falls doubles that at every step: 1e-3."""

    @jax.jit
    def alone(key):
        state, first = driven.env.reset(key)
        actions = driven.actions[:6, 1]
        return first, jax.lax.scan(driven.env.step, state, actions)[1]

    first, steps = alone(KEYS[1])
    np.testing.assert_allclose(first, driven.first[1], atol=1e-6)
    np.testing.assert_allclose(steps.next_obs, driven.steps.next_obs[:6, 1], atol=1e-3)


def test_an_evaluation_needs_no_pool():
    env = envs.make("brax/inverted_pendulum:spring", 1)
    assert isinstance(env, base.Autoreset) and env.pool == suites.POOL
    assert base.once(env) == dataclasses.replace(env, pool=1)
    toy = envs.make("toy/lqr", 1)
    assert not isinstance(toy, base.HostEnv) and base.once(toy) is toy


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
def test_a_task_trains_inside_the_program(task):
    small = {f"networks.{net}.sizes": (8,) for net in ("policy", "critic")}
    small |= {"data.batch_size": 4, "data.learning_starts": 8, "data.random_steps": 8}
    rows = coadapt.train(
        [coadapt.vary("sac", small)],
        task=task, seeds=2, steps=24, eval_every=24, eval_episodes=1,
    )  # fmt: skip
    score = rows[rows.metric == "return"]
    assert len(score) == 2 and np.isfinite(score.value).all()


def each_task():
    for entry in registry.SUITES["brax"]:
        for backend in suites.BACKENDS:
            task = f"{entry.task}:{backend}"
            yield pytest.param(task, entry.terminates, id=task)
    for entry in registry.SUITES["playground"]:
        yield pytest.param(entry.task, entry.terminates, id=entry.task)


@pytest.mark.long
@pytest.mark.parametrize("task, terminates", [*each_task()])
def test_each_task_goes_on_past_its_ends(task, terminates):
    env = short(task, limit=5, pool=2)
    actions = random_actions(env, 12, 2)
    _, first, _, steps = jax.device_get(roll(KEYS[:2], actions, env=env))
    for array in (first, steps.obs, steps.next_obs, steps.reward):
        assert np.isfinite(array).all()
    on, terminated = ~steps.last, steps.discount == 0
    assert steps.last.sum(0).min() >= 2 and not (terminated & on).any()
    assert terminates != registry.NEVER or not terminated.any()
    np.testing.assert_array_equal(steps.obs[on], steps.next_obs[on])
    assert (steps.obs != steps.next_obs)[steps.last].any(-1).all()


@pytest.mark.parametrize(
    "rule",
    cases([lambda env: env, base.once], [base.once]),
    ids=["training", "evaluation"],
)
def test_warp_keeps_a_pool_of_what_is_its_own(rule):
    """Shapes alone, of environments mapped twice, as agents and their episodes are:
    warp is for GPUs, and its contacts are one list for all."""
    env = suites._playground("CheetahRun", "warp")
    keys = jax.random.split(jax.random.key(0), (2, 3))
    actions = jax.ShapeDtypeStruct((2, 3, env.spec.action_size), np.float32)
    assert env.pool == suites.POOL
    one = rule(env)
    begin, _ = jax.eval_shape(jax.vmap(jax.vmap(one.reset)), keys)
    state, step = jax.eval_shape(jax.vmap(jax.vmap(one.step)), begin, actions)
    assert jax.tree.structure(begin) == jax.tree.structure(state)
    shapes = [(x.shape, x.dtype) for x in jax.tree.leaves(begin)]
    assert shapes == [(x.shape, x.dtype) for x in jax.tree.leaves(state)]
    assert {shape[:2] for shape, _ in shapes} == {(2, 3)}
    assert step.obs.shape == (2, 3, env.spec.obs_size)


@pytest.mark.long
@pytest.mark.parametrize("name", ["CartpoleBalance", "CheetahRun"])
def test_warp_is_the_bare_environment_and_near_mjx_in_jax(name, capfd):
    """Warp's kernels for the CPU, of a task without contacts and of one with them: to
    the bit, and to 1e-3 of another implementation of the same physics."""
    warp: Any = suites._playground(name, "warp").dynamics
    mjx: Any = suites._playground(name, "jax").dynamics
    apart, envs_ = warp.env, (warp.env, warp.env._env, mjx.env)
    keys = jax.vmap(jax.random.key_data)(KEYS[:3])
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 3, apart.action_size))
    with suites.foreign():
        states = [jax.jit(jax.vmap(env.reset))(keys) for env in envs_]
        steps = [jax.jit(jax.vmap(env.step)) for env in envs_]
        for action in actions.astype(np.float32):
            states = [f(x, action) for f, x in zip(steps, states, strict=True)]
            ours, bare, other = jax.device_get([(x.obs, x.reward) for x in states])
            for got, same, near in zip(ours, bare, other, strict=True):
                np.testing.assert_array_equal(got, same)
                np.testing.assert_allclose(got, near, atol=1e-3)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "task, said",
    [
        ("brax/swimmer", "cannot be stepped: brax's fluid forces"),
        ("brax/antt", "did you mean 'brax/ant'"),
        ("brax/ant:springs", "a backend of generalized, spring, positional, mjx"),
        ("playground/CheetaRun", "did you mean 'playground/CheetahRun'"),
        ("playground/Go1JoystickFlatTerrain", "its other suites are downloaded"),
        ("playground/CheetahRun:warp", "needs a GPU: leave out ':warp'"),
    ],
)
def test_others_are_refused_in_a_sentence(task, said):
    with pytest.raises(ValueError, match=said) as caught:
        envs.spec(task)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", TASKS)
def test_without_the_package_a_sentence_says_what_to_install(task, monkeypatch):
    monkeypatch.setattr(suites, "_installed", lambda package: False)
    suite = task.split("/")[0]
    with pytest.raises(ValueError, match=rf"not installed: pip .*\[{suite}\]"):
        envs.spec(task)
    assert suites.brax_names() == suites.playground_names() == []


def test_names_are_those_of_the_suites():
    """They stand here so that an error about another suite imports none."""
    with suites._quiet("brax"):
        theirs = importlib.import_module("brax.envs")._envs
        playground = importlib.import_module("mujoco_playground").dm_control_suite
    assert {*theirs} == {*suites._BRAX, "fast"}  # which is not an environment: a mock
    assert [*suites._PLAYGROUND] == sorted(playground.ALL_ENVS)


def test_no_suite_is_imported_before_its_first_task_which_says_nothing(tmp_path):
    """Nor leaves a file: two models of which MuJoCo has something to say, on the screen
    and in a file."""
    tasks = ["brax/halfcheetah:spring", "playground/CheetahRun"]
    code = (
        "import sys, coadapt, coadapt.tasks.registry; coadapt.train; "
        "import coadapt.envs as envs; "
        "envs.spec('toy/lqr'); list(envs.FAMILIES['brax'].names()); "
        "suites = 'gymnasium mujoco dm_control brax mujoco_playground warp'.split(); "
        "assert not {*suites} & {*sys.modules}, {*suites} & {*sys.modules}; "
        f"[envs.spec(task) for task in {tasks}]"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True
    )
    assert (said.stdout, said.stderr) == (b"", b"")
    assert not [*tmp_path.iterdir()]
    place = importlib.metadata.distribution("playground").locate_file("")
    assert not [*Path(str(place), "mujoco_playground").rglob("external_deps")]
