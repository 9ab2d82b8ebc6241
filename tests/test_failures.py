"""A number that is not finite is a result: of one agent, and of no other."""

import re
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import learn, runner, sweep
from coadapt.analysis import stats
from coadapt.cli import report as report_command
from coadapt.rng import Purpose, host_seeds, stream
from coadapt.runs import checkpoint, store
from coadapt.tasks import references
from tests.recipes import small
from tests.test_checkpoint import ALL, asked, interrupted, rows

pytestmark = pytest.mark.usefixtures("one_device")

SEEDS = tuple(range(8))
STEPS, EVERY = 160, 80  # env steps; the first update is after 64 of them


REAL = learn.learn


@pytest.fixture
def traced_anew():
    """Programs are kept by their functions, which some tests change inside."""
    forget()
    yield
    forget()


def forget() -> None:
    for function in vars(runner).values():  # all that are compiled are named there
        if hasattr(function, "clear_cache"):
            function.clear_cache()


@pytest.fixture
def poison(traced_anew, monkeypatch):
    """Makes tensors NaN in one update, inside of the program: of each part of the
    agent, those of some seeds."""

    def poison(update: int, **parts: int | list[int]) -> None:
        def poisoned(config, state, store, seed, clock, *log):
            new, metrics = REAL(config, state, store, seed, clock, *log)
            params = new.params._asdict()
            for part, seeds in parts.items():
                hit = jnp.isin(seed, jnp.asarray(seeds, jnp.uint32))
                hit &= clock.updates == update
                params[part] = jax.tree.map(
                    lambda x, hit=hit: jnp.where(hit, jnp.nan, x), params[part]
                )
            return new._replace(params=type(new.params)(**params)), metrics

        monkeypatch.setattr(learn, "learn", poisoned)

    return poison


def leaves(tree) -> list[np.ndarray]:
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def train(seeds=SEEDS, task="toy/lqr", config=None, steps=STEPS, **changes):
    config = config or small("sac")  # a full ring: one program for each length
    return runner.train(
        [config] * len(seeds), seeds, task, steps=steps,
        eval_every=EVERY, eval_episodes=2, **changes,
    )  # fmt: skip


PARTS = {"critic": 1, "policy": 3, "dual": 6}  # and whose is poisoned


def test_three_of_eight_are_poisoned_and_the_five_do_not_notice(poison):
    update = int(np.random.default_rng(0).integers(20, 90))
    nobody, one = [], []
    poison(update, **PARTS)
    bad = np.isin(SEEDS, list(PARTS.values()))
    others = ~bad
    # the same program, and nothing happens: in their place are seeds that it spares
    clean = train(tuple(np.where(bad, 100, SEEDS).tolist()), report=nobody.append)
    found = train(report=one.append)
    assert all(not report.failures for report in nobody)
    for a, b in zip(leaves(clean.learner), leaves(found.learner), strict=True):
        np.testing.assert_array_equal(a[others], b[others])
    for before, after in zip(nobody, one, strict=True):
        for name, values in before.metrics.items():
            np.testing.assert_array_equal(values[others], after.metrics[name][others])
    failed = {each.tensor.split(".")[0]: each.agent for each in one[-1].failures}
    assert failed == PARTS
    for each in one[-1].failures:
        # update number `update`, counted from 0, follows env step 64 + update
        assert (each.steps, each.updates, each.cause) == (64 + update, update + 1, "")
    assert np.isnan(one[-1].metrics["return"][bad]).all()
    assert np.isfinite(one[-1].metrics["return"][others]).all()
    # the last finite state is kept: of one that was trained to the update before
    before = train(steps=64 + update - 1)
    for a, b in zip(
        leaves(found.learner.agent), leaves(before.learner.agent), strict=True
    ):
        np.testing.assert_array_equal(a[bad], b[bad])
    assert all(np.isfinite(x[bad]).all() for x in leaves(found.learner))
    # of the env step that the update followed, the store has the transition
    assert found.learner.store.count.tolist() == [
        64 + update if gone else STEPS for gone in bad
    ]


ROTTEN = 100, [1, 8, 9]  # the update, and the seeds whose policies it poisons


def test_a_failed_agent_comes_back_nowhere(poison, tmp_path):
    """Not after a checkpoint, and not when more steps are asked for."""
    work = asked("toy/lqr", small("sac"))
    poison(ROTTEN[0], policy=ROTTEN[1])  # seed 1 of both variants, step 164
    sweep.run(work, tmp_path / "whole", checkpoints=ALL)
    interrupted(work, tmp_path / "work", 2)
    sweep.run(work, tmp_path / "work", checkpoints=ALL)
    assert rows(tmp_path / "work") == rows(tmp_path / "whole")
    for folder in ("whole", "work"):
        failed = store.failures(tmp_path / folder)
        assert failed[["seed", "env_steps", "updates"]].to_numpy().tolist() == [
            [1, 164, 101],
            [1, 164, 101],
        ]
        assert set(failed.tensor.str.split(".").str[0]) == {"policy"}
    frame = store.read(tmp_path / "work")
    scores = frame[(frame.metric == "return") & (frame.seed == 1)]
    failed = scores.env_steps.to_numpy() > 164
    np.testing.assert_array_equal(np.isnan(scores.value.to_numpy()), failed)
    for row in stats.summary(frame).to_dict("records"):
        assert row["failed"] == 1 and np.isfinite(row["mean"])


def test_when_all_have_failed_the_sweep_ends_with_a_report(poison, tmp_path, capsys):
    seeds = ROTTEN[1][1:]
    work = asked("toy/lqr", small("sac"), 100_000, seeds)  # would take minutes
    poison(ROTTEN[0], policy=ROTTEN[1])
    assert sweep.run(work, tmp_path, checkpoints=ALL) == 4
    assert sweep.run(work, tmp_path, checkpoints=ALL) == 0
    (record,) = checkpoint.records(tmp_path)
    assert record.steps()[-1] == 200  # the checkpoint after step 164
    assert store.read(tmp_path).env_steps.max() == 200
    more = asked("toy/lqr", small("sac"), 200_000, seeds)
    assert sweep.run(more, tmp_path, checkpoints=ALL) == 4  # and nothing is computed
    assert report_command.main([f"--workdir={tmp_path}"]) == 0
    out = capsys.readouterr().out
    assert out.count("†") == 2 + 4  # variants in the table, and agents below
    assert "seed 9: policy." in out and "after 164 env steps, 101 updates" in out


# ---------------------------------------------------------------- simulators


class Line(gymnasium.Env):
    """A point on a line that breaks in some way at some step of the seed's choice."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    bad, how, at, taken = -1, "", 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.own = seed
        if self.own == self.bad and self.how == "never starts":
            raise RuntimeError("no start")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        type(self).taken += 1
        self.steps = getattr(self, "steps", 0) + 1
        obs, reward = np.array([float(action[0]), 0.5], np.float32), 0.0
        if self.own == self.bad and self.steps == self.at:
            if self.how == "raises":
                raise RuntimeError("the solver\ngave up")
            if self.how == "obs":
                obs[1] = np.nan
            if self.how == "reward":
                reward = np.inf
            if self.how == "NaN":
                reward = np.nan
        return obs, reward, False, False, {}


@pytest.fixture
def line(monkeypatch):
    """The task, its seed 1 to break at step 70 of its own life."""
    gymnasium.register("Line-v0", f"{__name__}:Line", max_episode_steps=20)
    monkeypatch.setattr(Line, "bad", host_seeds(1, Purpose.RESET, 0, 1)[0])
    monkeypatch.setattr(Line, "at", 70)
    monkeypatch.setattr(Line, "taken", 0)
    yield "gym/Line-v0"
    gymnasium.registry.pop("Line-v0")


def without_place(failure: runner.Failure) -> runner.Failure:
    """Where an environment raised is a file and a line of this file."""
    cause, place, _ = failure.cause.partition(f", at {Path(__file__).name}:")
    assert bool(place) == bool(cause)
    return failure._replace(cause=cause)


@pytest.mark.parametrize(
    "how, tensor, cause",
    [
        ("raises", "reward", "RuntimeError: the solver gave up"),
        ("obs", "next_obs", ""),
        ("reward", "reward", ""),
    ],
)
def test_a_simulator_that_breaks_is_the_same(monkeypatch, line, how, tensor, cause):
    seeds, nobody, one = (0, 1, 2), [], []
    clean = train(seeds, line, report=nobody.append)
    monkeypatch.setattr(Line, "how", how)
    monkeypatch.setattr(Line, "taken", 0)
    found = train(seeds, line, report=one.append)
    for a, b in zip(leaves(clean.learner), leaves(found.learner), strict=True):
        np.testing.assert_array_equal(a[[0, 2]], b[[0, 2]])
        assert np.isfinite(b).all()  # nothing of it was stored, or learned
    (failure,) = one[-1].failures
    # updates follow steps 64 to 69
    assert without_place(failure) == (1, 70, 6, tensor, cause)
    assert found.learner.store.count.tolist() == [STEPS, 69, STEPS]
    assert all(not report.failures for report in nobody)
    # its environment rests: 90 steps fewer, and no evaluation at step 160 or 80
    evaluated = 2 * 20  # episodes x steps of an agent, at each evaluation
    assert Line.taken == 3 * STEPS - 90 + 2 * 3 * evaluated - 2 * evaluated


def test_a_simulator_that_never_starts_fails_at_its_first_step(monkeypatch, line):
    monkeypatch.setattr(Line, "how", "never starts")
    reports = []
    found = train((0, 1, 2), line, report=reports.append)
    (failure,) = reports[-1].failures
    assert without_place(failure) == (1, 1, 0, "reward", "RuntimeError: no start")
    assert found.learner.store.count.tolist() == [STEPS, 0, STEPS]


@pytest.mark.parametrize("how", ["raises", "NaN", "obs"])
def test_one_that_breaks_in_an_evaluation_alone_has_failed(monkeypatch, line, how):
    """From then on it stands still, and no other notices."""
    seeds, nobody, one = (0, 1, 2), [], []
    clean = train(seeds, line, report=nobody.append)
    before = train(seeds, line, steps=EVERY)  # where the first evaluation is
    monkeypatch.setattr(Line, "bad", host_seeds(1, Purpose.MEASURE, 0, 2)[1])
    monkeypatch.setattr(Line, "at", 5)
    monkeypatch.setattr(Line, "how", how)
    found = train(seeds, line, report=one.append)
    updates = EVERY - 64 + 1
    cause = "a reward or an action was NaN"
    if how == "raises":
        cause = "RuntimeError: the solver gave up"
    failure = (1, EVERY, updates, "evaluation_return", cause)
    told = [
        [each._replace(cause=each.cause.split(", at ")[0]) for each in report.failures]
        for report in one
    ]
    assert told == [[failure], [failure]]
    for a, b in zip(leaves(clean.learner), leaves(found.learner), strict=True):
        np.testing.assert_array_equal(a[[0, 2]], b[[0, 2]])
    then, now = (leaves(end.learner.agent) for end in (before, found))
    for a, b in zip(then, now, strict=True):
        np.testing.assert_array_equal(a[1], b[1])
    assert found.learner.store.count.tolist() == [STEPS, EVERY, STEPS]
    for all_well, report in zip(nobody, one, strict=True):
        for name in ("return", "return_std"):
            np.testing.assert_array_equal(
                np.delete(all_well.metrics[name], 1), np.delete(report.metrics[name], 1)
            )
            assert np.isnan(report.metrics[name][1])


def test_a_failure_in_an_evaluation_is_in_the_store(monkeypatch, line, tmp_path):
    """With its words, also when the sweep is stopped after it and goes on."""
    work = asked(line, small("sac"), steps=250)
    monkeypatch.setattr(Line, "bad", host_seeds(1, Purpose.MEASURE, 0, 1)[0])
    monkeypatch.setattr(Line, "at", 5)
    monkeypatch.setattr(Line, "how", "raises")
    sweep.run(work, tmp_path / "whole", checkpoints=ALL)
    interrupted(work, tmp_path / "work", 2)
    sweep.run(work, tmp_path / "work", checkpoints=ALL)
    assert rows(tmp_path / "work") == rows(tmp_path / "whole")
    for folder in ("whole", "work"):
        failed = store.failures(tmp_path / folder)
        assert failed[["seed", "env_steps"]].to_numpy().tolist() == [[1, 150]] * 2
        assert set(failed.tensor) == {"evaluation_return"}
        (cause,) = set(failed.cause)
        assert re.fullmatch(
            r"RuntimeError: the solver gave up, at test_failures\.py:\d+", cause
        )


class Exits(Line):
    """Leaves when it is made, and the next when it is stepped."""

    made = 0
    # so many are before these: one to read the spaces of, others for the unit
    whole = 1 + references.EPISODES

    def __init__(self):
        type(self).made += 1
        self.number = self.made
        if self.made == self.whole + 2:
            raise SystemExit(0)

    def step(self, action):
        if self.number == self.whole + 3:
            raise SystemExit("at a \ud800 step")
        return super().step(action)

    def close(self):
        raise OSError("no end")


@pytest.fixture
def exits(monkeypatch):
    gymnasium.register("Exits-v0", f"{__name__}:Exits", max_episode_steps=20)
    monkeypatch.setattr(Exits, "made", 0)
    yield "gym/Exits-v0"
    gymnasium.registry.pop("Exits-v0")


def test_one_that_leaves_the_process_ends_alone(exits, tmp_path, capsys):
    config = small("sac")
    work = asked(
        exits, config, 100, (0, 1, 2), variants=[sweep.Variant("a", "a", config)]
    )
    assert sweep.run(work, tmp_path, checkpoints=None) == 3
    failed = store.failures(tmp_path).sort_values("seed")
    assert failed[["seed", "env_steps"]].to_numpy().tolist() == [[1, 1], [2, 1]]
    said = [
        cause.partition(f", at {Path(__file__).name}:")[0] for cause in failed.cause
    ]
    assert said == ["SystemExit: 0", r"SystemExit: at a \ud800 step"]
    frame = store.read(tmp_path)
    scores = frame[frame.metric == "return"].set_index("seed").value
    assert np.isfinite(scores[0]) and np.isnan(scores[[1, 2]]).all()
    assert "failed" not in capsys.readouterr().err  # one is left


def test_that_all_have_failed_is_said_with_the_reason(
    exits, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(Exits, "whole", 0)
    config = small("sac")
    work = asked(exits, config, 100, variants=[sweep.Variant("a", "a", config)])
    sweep.run(work, tmp_path, checkpoints=None)
    said = (
        "all 2 agents of a program on gym/Exits-v0 failed; a, seed 0: reward was not "
        f"finite after 1 env steps (SystemExit: 0, at {Path(__file__).name}:"
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_the_greedy_policy_may_break_alone(traced_anew, monkeypatch):
    """Finite parameters whose actions are not: the evaluation is NaN, and ends."""
    from coadapt import agent

    real = agent.act

    def act(config, state, obs, key, *, greedy=False, noise=None):
        action = real(config, state, obs, key, greedy=greedy, noise=noise)
        return action * jnp.nan if greedy else action

    monkeypatch.setattr(agent, "act", act)
    reports = []
    config = small("sac", data__capacity=200)
    train((0, 1), "gym/Pendulum-v1", config, report=reports.append)
    assert np.isnan(reports[-1].metrics["return"]).all()
    failed = [(each.agent, each.tensor) for each in reports[-1].failures]
    assert failed == [(0, "evaluation_return"), (1, "evaluation_return")]


def test_streams_do_not_know_of_failures():
    """What a dead agent would have drawn, nobody else draws."""
    keys = [stream(jnp.uint32(seed), Purpose.ACT, 5) for seed in (0, 1)]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 2
