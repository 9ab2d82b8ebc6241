"""Variants, programs, the plan, and running what is missing."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from recipes import KNOBS, RATES, TINY, get, init

from coadapt import algorithms, devices, schema, sweep
from coadapt.config import BoundCost, BoundLoss, BoundWeights
from coadapt.envs import toy
from coadapt.runs import store
from coadapt.runs.store import Cell
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep, Variant
from coadapt.validation.config_rules import check
from tests.test_store_model import no_training

TASK = "toy/lqr"


def tiny(name="sac", **config):
    made = sweep.change(algorithms.preset(name), {**TINY, **config})
    return Variant(name, name, made)


def asked(list_of=None, **changes):
    fields = {
        "experiment": "e",
        "variants": {TASK: list_of or [tiny()]},
        "seeds": (0, 1),
        "steps": 60,
        "eval_every": 30,
        "eval_episodes": 2,
    }
    return Sweep(**(fields | changes))


# ---------------------------------------------------------------- variants


def test_grid_is_the_full_factorial_with_names_that_say_so():
    axes = {"g_estimate.critics": ["1", "2"], "optim.policy.rate": [1e-3, 1e-4, 1e-5]}
    made = sweep.grid(["sac", "awac"], axes)
    assert len({v.name for v in made}) == len(made) == 12
    assert made[0].name == "sac/g_estimate.critics=1/optim.policy.rate=0.001"
    assert made[0].algorithm == "sac"
    assert made[0].config.g_estimate.critics == 1
    assert made[0].config.optim.policy.rate == 1e-3
    assert len(sweep.groups(TASK, made, [0])) == 4  # rates share a program


PERIODS = ("target.policy.period", "target.critic.period")


@pytest.mark.parametrize("axis", ["+".join(PERIODS), PERIODS], ids=str)
def test_an_axis_may_be_of_fields_that_change_together(axis):
    made = sweep.grid(["mpo"], {axis: ["25", 400], "optim.policy.rate": [1e-3]})
    targets = [variant.config.target for variant in made]
    assert [(t.policy.period, t.critic.period) for t in targets] == [
        (25, 25), (400, 400)
    ]  # fmt: skip
    name = "mpo/target.policy.period+target.critic.period=25/optim.policy.rate=0.001"
    assert made[0].name == name


def test_grid_without_axes_is_the_presets_for_the_task():
    (made,) = sweep.grid(["mpo"], {}, task="gym/Hopper-v5")
    assert made == Variant("mpo", "mpo", algorithms.preset("mpo", "gym/Hopper-v5"))


def test_the_public_example_of_a_grid_runs_through():
    axes = {
        "g_estimate.critics": ["1", "2"],
        "pi_theta": ["Gaussian", "TanhGaussian"],
    }
    made = sweep.grid(["sac", "mpo"], axes)
    assert len(made) == 8
    for variant in made:
        check(variant.config)


@pytest.mark.parametrize(
    "name, theta, bounds",
    [
        ("sac", "Gaussian", BoundCost),
        ("sac", "TanhGaussian", type(None)),
        ("mpo", "TanhGaussian", type(None)),
        ("mpo", "Gaussian", BoundWeights),
        ("awr", "TanhGaussian", type(None)),
        ("awac", "TanhGaussian", type(None)),
        ("awac", "Gaussian", type(None)),  # its mean's own tanh is not this one
    ],
)
def test_tanh_and_the_penalty_take_each_others_place(name, theta, bounds):
    made = sweep.change(algorithms.preset(name), {"pi_theta": theta})
    assert type(made.bounds) is bounds


def test_the_penalty_comes_back_and_a_named_one_wins():
    squashed = sweep.change(algorithms.awr(), {"pi_theta": "TanhGaussian"})
    assert sweep.change(squashed, {"pi_theta": "Gaussian"}).bounds == BoundLoss()
    plain = sweep.change(algorithms.sac(), {"pi_theta": "Gaussian", "bounds": "none"})
    assert plain.bounds is None


def test_one_at_a_time_changes_one_thing_and_skips_what_changes_nothing():
    axes = {"g_estimate.critics": [1, 2], "networks.policy.sizes": [(64, 64)]}
    made = sweep.one_at_a_time(tiny(), axes)
    assert [v.name for v in made] == [
        "sac",
        "sac/g_estimate.critics=1",
        "sac/networks.policy.sizes=64x64",
    ]
    for variant in made[1:]:
        assert len(schema.diff(made[0].config, variant.config)) == 1


def test_swap_exchanges_table_4_and_nothing_else():
    mpo, awr = sweep.presets(["mpo", "awr"])
    made = sweep.swap(mpo, awr)
    assert (made.name, made.algorithm) == ("mpo/net=awr", "mpo")
    assert made.config.networks == awr.config.networks
    assert made.config.optim.policy == awr.config.optim.policy
    assert made.config.optim.critic == awr.config.optim.critic
    for name in ("clip", "weight_decay", "dual"):
        assert getattr(made.config.optim, name) == getattr(mpo.config.optim, name)
    rest = {"networks": mpo.config.networks, "optim": mpo.config.optim}
    assert dataclasses.replace(made.config, **rest) == mpo.config


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: sweep.grid(["sac", "sac"], {}), "variant 'sac' is there 2 times"),
        (lambda: sweep.grid(["sca"], {}), "did you mean 'sac'"),
        (lambda: sweep.grid([], {}), "at least one algorithm"),
        (lambda: sweep.grid(["sac"], {"g_estimate.critics": []}), "one value or more"),
        (lambda: sweep.grid(["sac"], {"g_estimate.critics": "12"}), "a list"),
        (
            lambda: sweep.grid(
                ["sac"], {"g+data.learning_starts": [9], "data.learning_starts": [2]}
            ),
            "data.learning_starts is in 2 axes",
        ),
        (
            lambda: sweep.grid(["awr"], {"g_estimate.critics": [1]}),
            "awr/g_estimate.critics=1: ",
        ),
        (lambda: sweep.grid(["sac"], {"g_estimate.critics": ["2", "2"]}), "2 times"),
        (lambda: sweep.grid(["sac"], {"g": ["Advantage"]}), "g_estimate"),
        (lambda: sweep.plan(asked([tiny(), tiny()])), "variant 'sac' is there 2 times"),
        (lambda: sweep.plan(asked(seeds=())), "seeds are 0"),
        (lambda: sweep.plan(asked(seeds=(1, 1))), "seed 1 is there 2 times"),
        (lambda: sweep.plan(asked(seeds=(-1,))), "seed is -1"),
        (lambda: sweep.plan(asked(steps=0)), "steps is 0"),
        (lambda: sweep.plan(asked(eval_every=0)), "eval_every is 0"),
        (lambda: sweep.plan(asked(eval_episodes=0)), "eval_episodes is 0"),
        (lambda: sweep.plan(asked(checkpoint_every=0)), "checkpoint_every is 0"),
        (lambda: sweep.plan(asked(variants={})), "tasks is empty"),
        (lambda: sweep.plan(asked(variants={TASK: []})), "no variants"),
        (lambda: sweep.plan(asked(variants={"toy/lqrr": [tiny()]})), "did you mean"),
        (lambda: sweep.plan(asked(), memory=1000), "for one agent, but 1000 B"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


# ---------------------------------------------------------------- groups and plan


def test_groups_are_by_structure_and_in_order():
    one, two = tiny(), tiny(**{"g_estimate.critics": 1})
    fast = dataclasses.replace(tiny(**{"optim.policy.rate": 1e-2}), name="fast")
    variants = [one, dataclasses.replace(two, name="single"), fast]
    first, second = sweep.groups(TASK, variants, [3, 4])
    names = [(a.variant.name, a.seed) for a in first.agents]
    assert names == [("sac", 3), ("sac", 4), ("fast", 3), ("fast", 4)]
    assert [a.variant.name for a in second.agents] == ["single", "single"]
    done = [Cell(TASK, "single", 3), Cell(TASK, "single", 4), Cell(TASK, "sac", 3)]
    (left,) = sweep.groups(TASK, variants, [3, 4], done)
    assert left.cells[0] == Cell(TASK, "sac", 4) and len(left.agents) == 3


@pytest.mark.parametrize("name", list(algorithms.PRESETS))
def test_rates_and_the_knob_of_a_row_share_a_program(name):
    config = algorithms.preset(name)
    made = [Variant("as it is", name, config)]
    for path in (*RATES, KNOBS[name]):
        changed = sweep.change(config, {path: 1.5 * get(config, path)})
        made.append(Variant(path, name, changed))
    task = "toy/arms" if name in ("reps", "urex") else TASK
    (group,) = sweep.groups(task, made, [0, 1])
    assert len(group.agents) == 8


@pytest.mark.parametrize(
    ("programs", "mib"),
    [(0, 750), (1, 750), (2, 777), (19, 1236), (20, 1262), (90, 1262)],
)
def test_a_plan_counts_what_earlier_programs_leave(programs, mib):
    """27 MiB each, up to the 512 at which `devices.make_room` drops them."""
    plan = dataclasses.replace(sweep.plan(asked()), programs=programs)
    assert plan.base_bytes == mib * 2**20
    peak = sweep.human_bytes(plan.base_bytes + plan.memory_bytes)
    assert f"peak memory: about {peak}, of which" in "\n".join(plan.lines())


def test_every_group_is_traced_once(tmp_path, traced, monkeypatch):
    """Six agents of three variants in two programs: two traces of the update."""
    # hundreds of programs of other tests may be there, which would be dropped
    monkeypatch.setattr(devices, "make_room", lambda: None)
    variants = [
        tiny(**{"networks.policy.sizes": "9"}),  # of no other test, so not traced yet
        dataclasses.replace(
            tiny(**{"networks.policy.sizes": "9", "optim.policy.rate": 1e-3}), name="b"
        ),
        dataclasses.replace(
            tiny(**{"networks.policy.sizes": "9", "g_estimate.critics": 1}), name="c"
        ),
    ]
    host = "gym/Pendulum-v1"
    sweep_of = asked(variants={host: variants}, steps=30)
    assert len(sweep.groups(host, variants, [0, 1])) == sweep.plan(sweep_of).programs
    sweep.run(sweep_of, tmp_path)
    assert traced["update"] == sweep.plan(sweep_of).programs == 2
    traced.clear()
    sweep.run(dataclasses.replace(sweep_of, seeds=(2, 3)), tmp_path)
    assert traced == {}  # the plan's shapes neither


def test_plan_counts_and_compiles_nothing():
    compiled = []

    def listen(event, seconds, **_):
        compiled.extend([event] if "backend_compile" in event else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    found = sweep.plan(asked([tiny(), dataclasses.replace(tiny("awac"), name="a")]))
    assert not compiled
    assert (found.agents, found.programs, found.env_steps) == (4, 2, 240)
    # updates at steps 20 to 60, a critic's and a policy's step each, of four agents
    assert found.gradient_steps == 4 * 41 * 2
    group = sweep.groups(TASK, [tiny()], range(2))[0]
    assert found.memory_bytes >= 2 * sweep.cost_of(group, asked()).memory
    lines = found.lines()
    assert lines[:2] == ["agents: 4", "programs: 2"]
    assert all(line.count(": ") == 1 for line in lines)


@pytest.mark.parametrize("period, start", [(1, 0), (1, 20), (8, 20), (7, 21), (50, 0)])
@pytest.mark.parametrize("steps", [1, 19, 20, 56, 57])
def test_updates_are_those_of_the_runner(period, start, steps):
    from coadapt import runner

    config = tiny(**{"data.update_every": period, "data.learning_starts": start}).config
    counted = sum(runner.due(config, t) for t in range(1, steps + 1))
    assert sweep.updates(config, steps) == counted


@pytest.mark.parametrize(
    ("period", "start", "first"), [(1, 0, 1), (1, 20, 20), (30, 0, 30), (30, 31, 60)]
)
def test_a_plan_says_who_makes_no_update(period, start, first):
    variant = tiny(**{"data.update_every": period, "data.learning_starts": start})
    assert sweep.plan(asked([variant], steps=first)).notes == ()
    if first > 1:
        plan = sweep.plan(asked([variant], steps=first - 1))
        (told,) = plan.notes
        assert f"sac on toy/lqr: 0 (the first update follows env step {first}" in told
        assert plan.gradient_steps == 0 and plan.lines()[-1] == told


def test_parameter_bytes_are_those_of_an_agent():
    from coadapt import envs

    group = sweep.groups(TASK, [tiny()], [0])[0]
    state = init(group.agents[0].variant.config, envs.spec(TASK), jax.random.key(0))
    held = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state))
    assert sweep.cost_of(group, asked()).parameter_bytes == held


def test_a_group_that_does_not_fit_is_cut_into_even_packs():
    many = asked(seeds=range(7))
    need = sweep.cost_of(sweep.groups(TASK, [tiny()], [0])[0], many).memory
    sizes = [len(g.agents) for g in sweep.packs(many, memory=3 * need + 1, most=1)]
    assert sizes == [3, 3, 1]
    # over two devices a third one would be filled up to four
    sizes = [len(g.agents) for g in sweep.packs(many, memory=3 * need + 1)]
    assert sizes == [2, 2, 2, 1]
    sizes = [len(g.agents) for g in sweep.packs(many, memory=4 * need)]
    assert sizes == [4, 3]
    assert sweep.plan(many, memory=4 * need).programs == 2
    assert sweep.plan(many, memory=7 * need, most=1).programs == 1
    assert sweep.plan(many, memory=8 * need).programs == 1


@pytest.mark.parametrize(
    "number, text",
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**40, "3072.0 GiB")],
)
def test_human_bytes(number, text):
    assert sweep.human_bytes(number) == text


# ---------------------------------------------------------------- running


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def untrained():
    with no_training():
        yield


@pytest.mark.usefixtures("untrained")
def test_a_sweep_runs_what_is_missing_and_nothing_else(tmp_path):
    events = []
    assert sweep.run(asked(), tmp_path, events.append) == 2
    assert [e.report and e.report.steps for e in events] == [None, 30, 60]
    assert (events[0].program, events[0].programs) == (1, 1)
    frame = store.read(tmp_path)
    score = frame[frame.metric == "return"]
    assert len(score) == 4 and set(score.seed) == {0, 1}
    assert set(score.env_steps) == {30, 60}
    assert np.isfinite(score.value).all()
    before = contents(tmp_path)
    assert sweep.run(asked(), tmp_path) == 0
    assert contents(tmp_path) == before
    assert sweep.run(asked(seeds=(0, 1, 2)), tmp_path) == 1
    after = (tmp_path / "results.csv").read_bytes()
    assert after.startswith(before[tmp_path / "results.csv"])


@pytest.mark.usefixtures("untrained")
def test_a_sweep_that_breaks_off_is_taken_up_again(tmp_path):
    def stop(event):
        if event.report is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(asked(), tmp_path, stop)
    assert not store.read(tmp_path).empty
    assert sweep.run(asked(), tmp_path) == 2
    whole = tmp_path / "whole"
    sweep.run(asked(), whole)
    assert (whole / "results.csv").read_bytes() == (
        tmp_path / "results.csv"
    ).read_bytes()


@pytest.mark.usefixtures("untrained")
def test_each_task_has_its_own_number_of_steps(tmp_path):
    other = "toy/chain"
    both = asked(
        variants={TASK: [tiny()], other: [tiny("awac")]}, steps={TASK: 60, other: 30}
    )
    found = sweep.plan(both)
    assert found.env_steps == 2 * (60 + 30)
    assert sweep.run(both, tmp_path) == 4 and sweep.run(both, tmp_path) == 0
    frame = store.read(tmp_path)
    assert frame.groupby("task").env_steps.max().to_dict() == {TASK: 60, other: 30}
    about = store.load(tmp_path)
    assert (about.steps_on(TASK), about.steps_on(other)) == (60, 30)
    longer = dataclasses.replace(both, steps={TASK: 60, other: 90})
    assert sweep.run(longer, tmp_path) == 2
    about = store.load(tmp_path)
    assert (about.steps_on(TASK), about.steps_on(other)) == (60, 90)
    with pytest.raises(ConfigError, match=f"steps are missing for {other}"):
        sweep.plan(dataclasses.replace(both, steps={TASK: 60}))


@pytest.mark.usefixtures("untrained")
def test_each_variant_has_its_own_number_of_steps(tmp_path):
    """Of one structure they would be one program, if they were as long."""
    long = dataclasses.replace(tiny(), name="long", steps=90)
    both = asked(variants={TASK: [tiny(), long]}, steps=60)
    found = sweep.plan(both)
    assert (found.env_steps, len(found.each)) == (2 * (60 + 90), 2)
    assert sweep.run(both, tmp_path) == 4 and sweep.run(both, tmp_path) == 0
    rows, about = store.read(tmp_path), store.load(tmp_path)
    lengths = rows.groupby("variant").env_steps.max().to_dict()
    assert lengths == {tiny().name: 60, "long": 90}
    assert about.steps_of_variant(TASK, "long") == 90
    # a program of both goes on in two parts
    longer = asked(variants={TASK: [tiny(), dataclasses.replace(long, steps=60)]})
    where = tmp_path / "together"
    assert sweep.run(longer, where) == 4 and sweep.run(both, where) == 2
    mine = store.read(where).query("variant == 'long'")
    assert mine.env_steps.max() == 90
    with pytest.raises(ConfigError, match="steps of long is 0"):
        sweep.plan(asked(variants={TASK: [dataclasses.replace(long, steps=0)]}))


@pytest.mark.usefixtures("untrained")
def test_units_are_fixed_before_the_first_run(tmp_path):
    own = asked(references={TASK: -2.0})
    sweep.run(own, tmp_path)
    unit = store.load(tmp_path).units[TASK]
    assert unit.random == pytest.approx(toy.baseline(TASK))
    assert (unit.reference, unit.source) == (-2.0, "given")
    sweep.run(asked(seeds=range(3)), tmp_path)  # says nothing of it
    assert store.load(tmp_path).units[TASK] == unit
    with pytest.raises(ConfigError, match="fixed before its first run"):
        sweep.run(asked(references={TASK: -1.0}), tmp_path)
    other = "toy/chain"
    more = asked(variants={other: [tiny("awac")]})
    sweep.run(more, tmp_path)
    units = store.load(tmp_path).units
    assert units[TASK] == unit and units[other].reference == toy.optimum(other)


@pytest.mark.parametrize(
    "references, words",
    [
        ({"toy/lqt": 1.0}, "did you mean 'toy/lqr'"),
        ({TASK: math.nan}, "a finite number"),
        ({TASK: -1e6}, "above a random policy's"),
    ],
)
def test_a_reference_that_is_none_leaves_nothing_behind(tmp_path, references, words):
    with pytest.raises(ConfigError, match=words):
        sweep.run(asked(references=references), tmp_path / "x")
    assert not (tmp_path / "x").exists()
