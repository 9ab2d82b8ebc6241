"""An agent that a run left is what the run had, to the bit."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

import coadapt
from coadapt import diagnostics, envs, learn, runner, schema, sweep
from coadapt.runs import array_files, checkpoint, files
from coadapt.sweep import Checkpoints, Sweep, Variant
from tests.recipes import small
from tests.test_store_model import no_training

pytestmark = pytest.mark.usefixtures("one_device")

HOST = {"data__learning_starts": 64, "data__capacity": 1000}
CASES = {
    "lqr": ("toy/lqr", small("sac", data__capacity=1000)),
    "pendulum": ("gym/Pendulum-v1", small("sac", **HOST)),
}
STEPS = 300


def asked(task: str, *variants: Variant, seeds=(0, 3)) -> Sweep:
    return Sweep(
        experiment="test",
        variants={task: variants},
        seeds=seeds,
        steps=STEPS,
        eval_every=STEPS,
        eval_episodes=1,
        checkpoint_every=100,
    )


def two(config) -> list[Variant]:
    other = schema.override(config, {"optim.policy.rate": 2e-3})
    return [Variant("one", "sac", config), Variant("two", "sac", other)]


@pytest.fixture(scope="module", params=CASES)
def run(request, tmp_path_factory):
    """A finished run, and the learner that it ended with."""
    folder = tmp_path_factory.mktemp("run") / "work"
    task, config = CASES[request.param]
    ended = {}
    with pytest.MonkeyPatch.context() as patch:
        whole = checkpoint.Writer.write

        def write(self, snapshot, **how):
            ended["last"] = jax.tree.map(np.array, snapshot)
            whole(self, snapshot, **how)

        patch.setattr(checkpoint.Writer, "write", write)
        rules = Checkpoints(keep=2, share=float("inf"))
        sweep.run(asked(task, *two(config)), folder, checkpoints=rules)
    return folder, task, ended["last"]


def same(one, other) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("variant", "seed", "place"), [("one", 0, 0), ("one", 3, 1), ("two", 3, 3)]
)
def test_it_is_the_learner_of_the_run(run, variant, seed, place):
    folder, task, last = run
    found = coadapt.load(folder, variant=variant, seed=seed, replay=True)
    assert (found.task, found.variant, found.seed) == (task, variant, seed)
    assert found.steps == STEPS and found.updates == last.clock.updates > 0
    assert found.alive and found.health == "alive"
    mine = jax.tree.map(lambda x: x[place], last.learner)
    same(found.state, mine.agent)
    same(found.replay, mine.store)


def test_the_replay_is_read_when_it_is_asked_for(run, monkeypatch):
    folder, _, _ = run
    read, seen = array_files.read, []

    def arrays(*args, **how):
        found = read(*args, **how)
        seen.extend(found)
        return found

    monkeypatch.setattr(array_files, "read", arrays)
    assert coadapt.load(folder, variant="one", seed=0).replay is None
    assert seen and not [name for name in seen if "/store/" in name]


def test_an_older_snapshot(run):
    folder, _, _ = run
    assert coadapt.load(folder, variant="one", seed=0, steps=200).steps == 200
    with pytest.raises(coadapt.ConfigError, match="300, 200; did you mean 200"):
        coadapt.load(folder, variant="one", seed=0, steps=190)


def test_what_it_does_is_what_the_runner_measures(run):
    """Programs of one agent and of many round differently, in the last bits."""
    folder, task, last = run
    agent = coadapt.load(folder, variant="two", seed=0)
    spec = envs.spec(task)
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(5, spec.obs_size)).astype(np.float32)
    configs = schema.stack([v.config for v in two(CASES_OF[task]) for _ in range(2)])
    seeds, when = np.array([0, 3, 0, 3], np.uint32), np.zeros(2, np.int32)
    wide = np.broadcast_to(obs, (4, *obs.shape))
    theirs = runner.greedy(configs, last.learner.agent, wide, seeds, when)
    action = agent.act(obs)
    np.testing.assert_allclose(action, theirs[2], rtol=1e-4, atol=1e-5)
    critics = jax.tree.leaves(agent.state.params.critic)[0].shape[0]
    q = agent.q(obs, action)
    assert q.shape == (critics, 5)
    many = agent.q(obs, np.stack([action, action]))
    np.testing.assert_allclose(many[:, 1], q, rtol=1e-4, atol=1e-5)
    drawn = agent.explore(obs, jax.random.key(1))
    assert drawn.shape == action.shape and agent.log_prob(obs, drawn).shape == (5,)
    mean = agent.policy(obs).mean
    np.testing.assert_allclose(np.tanh(mean), action, rtol=1e-4, atol=1e-5)


CASES_OF = dict(CASES.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "oen"}, "variant is 'oen'.*did you mean 'one'"),
        ({"seed": 7}, "seed is 7: the run store has 0, 3"),
        ({"task": "toy/lqrs"}, "task is 'toy/lqrs'"),
    ],
)
def test_mistakes_are_a_sentence(run, changes, message):
    with pytest.raises(coadapt.ConfigError, match=message) as caught:
        coadapt.load(run[0], **({"variant": "one", "seed": 0} | changes))
    assert "\n" not in str(caught.value)


def test_shapes_and_questions_that_do_not_fit_are_a_sentence(run):
    agent = coadapt.load(run[0], variant="one", seed=0)
    with pytest.raises(coadapt.ConfigError, match=r"must be \[B, "):
        agent.act(np.zeros(agent.spec.obs_size))
    with pytest.raises(coadapt.ConfigError, match=r"use q\(obs, action\)"):
        agent.v(np.zeros((1, agent.spec.obs_size)))


def test_a_damaged_snapshot_is_passed_over_and_left_alone(run, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(run[0], work)
    (record,) = checkpoint.records(work)
    (record.at(300) / checkpoint.ABOUT).write_text("{")
    assert coadapt.load(work, variant="one", seed=0).steps == 200
    with pytest.raises(checkpoint.DamagedError, match="300"):
        coadapt.load(work, variant="one", seed=0, steps=300)
    assert record.steps() == [200, 300]
    for steps in record.steps():
        shutil.rmtree(record.at(steps))
    with pytest.raises(coadapt.ConfigError, match="no snapshot"):
        coadapt.load(work, variant="one", seed=0)


def test_snapshots_that_changed_places_are_no_agents(run, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(run[0], work)
    (record,) = checkpoint.records(work)
    one, two, aside = record.at(200), record.at(300), tmp_path / "aside"
    for path, to in ((one, aside), (two, one), (aside, two)):
        path.rename(to)
    with pytest.raises(checkpoint.DamagedError, match="it is of env step"):
        coadapt.load(work, variant="one", seed=0)


def test_without_a_replay_it_says_why_and_what_to_do(tmp_path):
    """A run that ends between two checkpoints, as the quickstart at its defaults."""
    config = small("awac", data__capacity=1000)
    work = dataclasses.replace(
        asked("toy/lqr", Variant("it", "awac", config)), steps=250
    )
    sweep.run(work, tmp_path, checkpoints=Checkpoints(share=float("inf")))
    mine = {"variant": "it", "seed": 3}
    with pytest.raises(coadapt.ConfigError) as caught:
        coadapt.load(tmp_path, **mine, replay=True)
    assert str(caught.value) == (
        "it on toy/lqr with seed 3 has no replay at 250 env steps: a run that ends "
        "between two checkpoints, every 100, leaves none; take steps=200, where it has "
        "one, or run it with checkpoint_every=250, or another number of which 250 is a "
        "multiple, in a new workdir."
    )
    agent = coadapt.load(tmp_path, **mine, replay=True, steps=200)
    assert diagnostics.e_step(agent).weight.size
    found = diagnostics.history(tmp_path, variants=["it"], seeds=[3], task="toy/lqr")
    weighed = found[found.metric == "effective_fraction"]
    assert set(found.env_steps) == {200, 250} and set(weighed.env_steps) == {200}


def test_one_that_a_run_removes_meanwhile_is_passed_over(run, tmp_path, monkeypatch):
    work = shutil.copytree(run[0], tmp_path / "work")
    (record,) = checkpoint.records(work)
    read, left = array_files.read, [record.at(300)]

    def arrays(*args, **how):
        for path in left:
            left.remove(path)
            files.remove(path)
        return read(*args, **how)

    monkeypatch.setattr(array_files, "read", arrays)
    assert coadapt.load(work, variant="one", seed=0).steps == 200
    assert not left and record.steps() == [200]


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(coadapt.ConfigError, match="is not a run store"):
        coadapt.load(tmp_path / "none", variant="one", seed=0)


def test_agents_alone_several_tasks_and_one_that_failed(tmp_path):
    config = small("ppo")
    broken = schema.override(config, {"optim.policy.rate": 1e38})
    variants = [Variant("good", "ppo", config), Variant("bad", "ppo", broken)]
    idle = Variant("good", "ppo", config)
    rules = Checkpoints(keep=0)
    sweep.run(asked("toy/lqr", *variants, seeds=(0,)), tmp_path, checkpoints=rules)
    with no_training():
        sweep.run(asked("toy/chain", idle, seeds=(0,)), tmp_path, checkpoints=rules)
    with pytest.raises(coadapt.ConfigError, match="on toy/lqr, toy/chain"):
        coadapt.load(tmp_path, variant="good", seed=0)
    mine = {"variant": "good", "seed": 0, "task": "toy/lqr"}
    with pytest.raises(coadapt.ConfigError, match=r"with keep=0 leaves none.*keep=1"):
        coadapt.load(tmp_path, **mine, replay=True)
    good = coadapt.load(tmp_path, **mine)
    assert good.alive and good.replay is None
    assert good.v(np.zeros((4, 2))).shape[1:] == (4,)
    bad = coadapt.load(tmp_path, variant="bad", seed=0, task="toy/lqr")
    assert not bad.alive and bad.health.startswith("failed at env step ")
    name = bad.health.split(": ")[1].split()[0]
    assert name in learn.tensors(bad.state)
    for leaf in jax.tree.leaves(bad.state.params):
        assert np.isfinite(leaf).all()
