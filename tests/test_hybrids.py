"""Hybrids: what is valid trains, what is not is refused, and docs say which."""

import random
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from coadapt import agent, algorithms, envs, learn, runner, schema
from coadapt.cli import hybrids as command
from coadapt.cli import train
from coadapt.config import Config, Offline
from coadapt.data import offline, replay
from coadapt.envs import toy
from coadapt.schema import ConfigError
from coadapt.types import Transition
from coadapt.validation import config_rules, design_space
from coadapt.validation.design_space import Point
from tests.recipes import cases

ROOT = Path(__file__).parents[1]
TASK, KEY = "toy/lqr", jax.random.key(0)
DATASET = "toy/lqr-random-v0"

# ---------------------------------------------------------------- which are legal


def test_the_page_is_what_is_generated():
    text = (ROOT / "docs" / "hybrids.md").read_text()
    shown = re.search(r"<!-- hybrids -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    assert shown and shown[1] == design_space.report("markdown")


def test_the_commands_of_the_page_do_as_it_says(capsys):
    """The mistake gives the error shown; the other one is a legal, nameless point."""
    text = (ROOT / "docs" / "hybrids.md").read_text()
    good, bad = re.findall(r"\$ coadapt train (.*)\n", text)
    assert train.main(bad.split()) == 2
    assert capsys.readouterr().err in text
    changes = dict(re.findall(r"--set=([\w.]+)=(\S+)", good))
    config = schema.override(algorithms.preset("ppo"), changes)
    config_rules.check(config)
    assert design_space.point_of(config) not in design_space.named().values()


def test_the_product_is_of_all_classes():
    sizes = [len(kinds) for kinds in design_space.FACTORS.values()]
    assert len(design_space.verdicts()) == np.prod(sizes)
    for point in random.Random(0).sample(list(design_space.points()), 100):
        assert design_space.point_of(design_space.complete(point)) == point


@pytest.mark.parametrize("name", list(algorithms.TABLE1))
def test_every_method_of_the_paper_is_at_a_legal_point(name):
    assert design_space.verdicts()[design_space.named()[name]] is None


def test_every_illegal_point_is_refused_in_a_sentence_that_blames_a_factor():
    """Not a number or the data, which were chosen so that they are no reason."""
    for point, sentence in design_space.verdicts().items():
        if sentence is None:
            continue
        assert sentence.endswith(".") and "\n" not in sentence
        field = sentence.split(" is ")[0]
        assert field in Point._fields, sentence
        came = sentence.split(":")[0].removeprefix(f"{field} is ")
        assert came == getattr(point, field).__name__, sentence


def test_legal_points_pass_the_whole_check():
    for point in design_space.legal():
        config_rules.check(design_space.complete(point))


def test_illegal_points_are_refused_by_check():
    illegal = [point for point, reason in design_space.verdicts().items() if reason]
    for point in random.Random(0).sample(illegal, 2000):
        with pytest.raises(ConfigError) as error:
            config_rules.check(design_space.complete(point))
        assert str(error.value) == design_space.verdicts()[point]


def test_every_reason_has_an_example():
    rows = design_space.refusals()
    assert all(row["example"] for row in rows)
    total = sum(int(row["points"]) for row in rows)
    assert total + len(design_space.legal()) == len(design_space.verdicts())


# ---------------------------------------------------------------- what is printed


def test_the_command_prints_the_matrix_and_the_reasons(capsys):
    assert command.main([]) == 0
    assert capsys.readouterr().out == design_space.report("text") + "\n"
    assert command.main(["--format=csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("pi_q,pi_q update,pi_p,pi_p update,Q TD0,")
    assert command.main(["--format=csv", "--table=refusals"]) == 0
    assert capsys.readouterr().out.startswith("field,points,reason,example\n")


def test_a_mistake_in_its_flags_is_named(capsys):
    assert command.main(["--table=metrix"]) == 2
    assert "--table is 'metrix': it must be" in capsys.readouterr().err
    assert command.main(["--format=html"]) == 2
    assert "it must be one of text, markdown, csv" in capsys.readouterr().err


# ---------------------------------------------------------------- they train


def _sample(number: int, seed: int) -> list[Point]:
    """Legal points without a name, by luck, that have each class of each factor."""
    nameless = sorted(  # by names alone, wherever a class lies
        set(design_space.legal()) - set(design_space.named().values()),
        key=lambda point: [kind.__name__ for kind in point],
    )
    random.Random(seed).shuffle(nameless)
    missing = {(name, k) for name, kinds in design_space.FACTORS.items() for k in kinds}
    chosen: list[Point] = []
    while missing:
        best = max(nameless, key=lambda point: len(missing & {*_classes(point)}))
        assert missing & {*_classes(best)}, missing  # else a class is never legal
        chosen.append(best)
        missing -= {*_classes(best)}
    rest = [point for point in nameless if point not in chosen]
    return chosen + rest[: max(number - len(chosen), 0)]


def _classes(point: Point) -> list[tuple[str, type]]:
    return list(zip(Point._fields, point, strict=True))


SAMPLE = _sample(12, seed=0)
# the first of each pi_q; the others' updates are traced, and they train in a long run
TRAINED = list({point.pi_q: point for point in reversed(SAMPLE)}.values())
REST = [point for point in SAMPLE if point not in TRAINED]
SMALL = {
    "networks.policy.sizes": (16,),
    "networks.critic.sizes": (32,),
    "g_estimate.discount": 0.9,
    "optim.policy.rate": 1e-3,
    "optim.critic.rate": 3e-3,
}
SEQUENCES = {
    "data.batch_size": 100,
    "data.update_every": 300,
    "optim.policy.rate": 3e-3,
}
DATA = {  # by the class of data
    "Replay": {
        "data.capacity": 4000,
        "data.batch_size": 64,
        "data.learning_starts": 1,
        "data.random_steps": 300,
    },
    "Trajectories": SEQUENCES | {"data.learning_starts": 300, "data.capacity": 900},
    "Rollout": SEQUENCES,
    "Offline": {"data.dataset": DATASET, "data.batch_size": 32},
}
CHANGES = {  # where there is such a field
    "pi_p.samples": 8,
    "pi_q_update.max_kl": 0.03,
    "g_estimate.iterations": 20,
    "pi_p.model.sizes": (16,),
    "pi_theta.bins": 7,
}
STEPS = {"Replay": 2000, "Trajectories": 6000, "Rollout": 6000, "Offline": 100}
# What was received says little of one action among 30: such hybrids get the bandit.
# Returns to exceed: of doing nothing, which is what a new policy does.
IDLE = {"toy/lqr": toy.LQR().idle(), "toy/bandit": -(toy.Bandit().best ** 2)}


def _small(point: Point) -> Config:
    """The point, completed, with networks and numbers for a task of two numbers."""
    config = design_space.complete(point)
    changes = SMALL | DATA[type(config.data).__name__]
    for field, number in (("critic_steps", 30), ("policy_steps", 30)):
        if getattr(config.schedule, field) > 1:
            changes[f"schedule.{field}"] = number
    for field, value in CHANGES.items():
        if field in dict(schema.paths(config)):
            changes[field] = value
    if config.data.batch_size > 1000:  # one step, on most of the data
        changes["data.batch_size"] = 200
    if getattr(config.data, "policy_batch_size", None):
        changes["data.policy_batch_size"] = 300
    return schema.override(config, changes)


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """A data set of random actions, where hybrids with pi_p=Behavior look for it."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = envs.make(TASK, 1)
    state, obs = env.reset(jax.random.key(0))
    step, rows = jax.jit(env.step), []
    for action in np.random.default_rng(0).uniform(-1, 1, (120, 1)):
        action = action.astype(np.float32)
        state, seen = step(state, action)
        rows.append(
            Transition(
                obs, action, seen.reward, seen.discount, seen.last, seen.next_obs
            )
        )
        obs = seen.obs
    run = Transition(*(np.stack(column) for column in zip(*rows, strict=True)))
    offline.write(DATASET, env.spec, [run], about="Random actions.")


def test_the_sample_has_every_class_and_no_named_point():
    assert {pair for point in SAMPLE for pair in _classes(point)} == {
        (name, kind) for name, kinds in design_space.FACTORS.items() for kind in kinds
    }
    assert not {*SAMPLE} & {*design_space.named().values()}
    assert len(SAMPLE) >= 12


def _name(point: Point) -> str:
    return "-".join(kind.__name__ for kind in point)


@pytest.mark.parametrize("point", REST, ids=_name)
def test_an_update_of_a_legal_hybrid_is_traced(point):
    config, spec = _small(point), envs.spec(TASK)
    config_rules.check(config)
    state = jax.eval_shape(lambda key: agent.init(config, spec, key), KEY)
    kept = config.g_estimate.length > 1
    size = replay.size(config.data.update_every + 1, shortest=1, log_prob=kept)
    store = jax.eval_shape(lambda obs: replay.init(spec, size, obs), np.zeros(2))
    clock = learn.Clock(np.int32(1), np.int32(1))
    after, _ = jax.eval_shape(learn.learn, config, state, store, np.uint32(0), clock)
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(
        lambda x: x.shape, state
    )


@pytest.mark.parametrize("point", cases(SAMPLE, REST), ids=_name)
def test_a_legal_hybrid_trains(point, dataset):
    config, returns = _small(point), []
    task = TASK if config.g_estimate.critics_of(config.g) else "toy/bandit"
    config_rules.check(config)
    steps = STEPS[type(config.data).__name__]
    result = runner.train(
        [config], [0], task, steps=steps, eval_every=steps, eval_episodes=20,
        report=lambda report: returns.append(report.metrics["return"][0]),
    )  # fmt: skip
    assert result.learner.health.alive[0]
    if not isinstance(config.data, Offline):  # of which there are too few to learn
        assert returns[-1] > IDLE[task] > toy.baseline(task)
