"""The paper's experiments: that they are its rows, no more and no less, and legal."""

import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import jax
import pytest

from coadapt import schema, sweep
from coadapt.cli import planning
from coadapt.cli import sweep as command
from coadapt.config import BoundCost, BoundLoss, Replay
from coadapt.experiments import CURVES, MODULES, figure2, load, shortened
from coadapt.experiments.base import PAPER, SCALES, Plan, paper_steps, scaled
from coadapt.report import protocols
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.sweep import Sweep
from coadapt.tasks import registry

ROOT = Path(__file__).parents[1]
RECORD = ("learns", "hundred", "tuned", "parity", "precision")
BY_SETS = ("simbav2_design", "modern")  # of no paper's table here, with budgets
OURS = ("quickstart", "every_task", "shortened", *BY_SETS, *RECORD)
PAPERS = [name for name in MODULES if name not in OURS]
TABLES = [name for name in PAPERS if name.startswith("table")]
SWAPS = tuple(figure2.TABLES.values())  # figure2 has their variants
HOPPER, CHEETAH, ANT = "gym/Hopper-v4", "gym/HalfCheetah-v4", "gym/Ant-v4"
MUCH = 2**50  # bytes


def published(name: str = "scores.csv") -> dict[tuple[str, str], set[str]]:
    """(table, task) -> the names of its rows."""
    found = {}
    with (ROOT / "experiments" / name).open() as file:
        for row in csv.DictReader(file):
            key = row["table"], row["task"]
            found.setdefault(key, set()).add(row["variant"])
    return found


def asked(experiment, tasks) -> Sweep:
    return Sweep(
        experiment=experiment.name,
        variants={task: experiment.variants(task) for task in tasks},
        seeds=range(experiment.seeds),
        steps={task: experiment.steps_on(task) for task in tasks},
        eval_every=experiment.eval_every,
        eval_episodes=experiment.eval_episodes,
    )


def config(name, variant, task=HOPPER):
    return next(v.config for v in load(name).variants(task) if v.name == variant)


# ---------------------------------------------------------------- the paper's rows


def test_the_tables_are_the_papers_rows():
    """288 cells: none is missing, and what is more is a reading by name."""
    ours = {}
    for name in TABLES:
        found = load(name)
        for task in found.tasks:
            names = {v.name for v in found.variants(task)}
            assert set(found.readings) <= names
            key = name, registry.paper_name(task)
            ours[key] = names - set(found.readings)
    assert ours == published()
    assert sum(map(len, ours.values())) == 288


@pytest.mark.parametrize("name", PAPERS)
def test_every_variant_has_its_row_or_is_a_reading(name):
    found, rows = load(name), published()
    assert found.name == name and found.claim.endswith(".")
    assert set(found.tables) <= {table for table, _ in rows}
    for task in found.tasks:
        keys = [(table, registry.paper_name(task)) for table in found.tables]
        there = set[str]().union(*(rows.get(key, ()) for key in keys))
        for variant in found.variants(task):
            assert "," not in variant.name  # --variants lists them by comma
            row = found.row(variant.name)
            assert row in there or not found.tables or not row, variant.name
    made = {v.name for task in found.tasks for v in found.variants(task)}
    assert set(found.same) <= made


def test_simbav2s_design_study_has_its_published_rows():
    """But one, whose formula its paper does not give."""
    found, rows = load("simbav2_design"), published("simbav2.csv")
    missing = {"d_resize_proj"}
    for task in found.tasks:
        made = {v.name for v in found.variants(task)}
        name = task.removeprefix("gym/").replace("-v5", "-v4")
        assert rows["simbav2", name] - made == missing and made <= rows["simbav2", name]


def test_modern_choices_stand_alone_or_are_left_out_with_a_reason():
    """Five algorithms by seven choices: an arm differs in its choice's fields."""
    found = load("modern")
    fields = {
        "SimBa": ("networks.",),
        "CrossQ": ("networks.", "target.critic"),
        "HL-Gauss": ("critic.head",),
        "REDQ": ("g_estimate.", "pi_q.gradient.critic"),
        "3-step": ("g_estimate.n_step",),
        "AdamW": ("optim.",),
        "resets": ("schedule.resets",),
    }
    assert set(found.claims) == set(fields)
    for task in found.tasks:
        made = {v.name: v for v in found.variants(task)}
        bases = {v.algorithm: v for v in made.values() if "(" not in v.name}
        assert list(bases) == ["sac", "mpo", "awac", "td3", "ppo"]
        names = {f"{a.upper()}({choice})" for a in bases for choice in fields}
        assert set(made) - {a.upper() for a in bases} == names - set(found.left_out)
        for name in names & set(made):
            choice = name.partition("(")[2].removesuffix(")")
            base = bases[made[name].algorithm].config
            differing = set(schema.diff(base, made[name].config))
            assert differing, name
            assert all(path.startswith(fields[choice]) for path in differing), name
    # by hand: nothing follows an action value of one step, and no data stay
    assert set(found.left_out) == {
        f"PPO({choice})" for choice in ("CrossQ", "REDQ", "3-step", "resets")
    }


def test_a_smaller_budget_shortens_the_lengths_that_an_experiment_names():
    """A twentieth: resets after 0.35 of the run, and one cosine over all of it."""
    whole, less = load("modern"), scaled(load("modern"), "reduced")
    (task,) = less.tasks
    ratios = {"sac": (1, 1), "mpo": (1 / 2, 1 / 2), "td3": (1 / 2, 1)}  # grad. steps
    for found, steps in ((whole, 200_000), (less, 10_000)):
        assert found.steps_on(task) == steps
        made = {v.name: v.config for v in found.variants(task)}
        for name, (policy, critic) in ratios.items():
            optim = made[f"{name.upper()}(AdamW)"].optim
            assert optim.policy.schedule.length == policy * steps
            assert optim.critic.schedule.length == critic * steps
            period = made[f"{name.upper()}(resets)"].schedule.resets.period
            assert period == 0.35 * steps * policy
        renorm = made["SAC(CrossQ)"].networks.critic.norm
        assert renorm.warmup == steps / 10


def test_smoke_alone_has_the_changes_that_an_experiment_names_for_it():
    """SimbaV2's rates fall over two updates of each of a million env steps."""
    whole = load("simbav2_design")
    for scale, width, length in (
        (PAPER, 512, 2_000_000),
        ("reduced", 512, 100_000),
        ("smoke", 32, 8_000),
    ):
        found = scaled(whole, scale)
        for variant in found.variants(found.tasks[0]):
            assert variant.config.networks.critic.width == width
            schedule = variant.config.optim.dual.schedule
            assert (schedule is None) == (variant.name == "i_no_lr_decay")
            assert schedule is None or schedule.length == length


def test_a_plan_says_the_claims_and_what_is_left_out(capsys):
    assert command.main(["--experiment=modern", "--scale=reduced", "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "claim of SimBa: residual blocks" in said
    assert "left out: PPO(CrossQ): networks.policy.norm is BatchRenorm: the" in said
    assert "agents: 180\nprograms: 36\n" in said


def test_the_shortened_study_has_every_row_once():
    """And its twins are the agents that they are said to be: one config, two names."""
    found, swaps = load("shortened"), {"SAC(Net: SAC)", "SAC(Net: MPO)"}
    swaps |= {"MPO(Net: SAC)", "MPO(Net: MPO)"}
    for task in found.tasks:
        made = {v.name: v.config for v in found.variants(task)}
        rows = {row for key, names in published().items() for row in names
                if key[0] in ("table2", "table3", "table11")}  # fmt: skip
        assert {*made, *found.twins} == (rows | swaps) - {"AWR"}
        assert len({*made, *found.twins}) == len(made) + len(found.twins)
        for row, twin in found.twins.items():
            made_anew = shortened.shortened(shortened.PAPERS[row], row, task)
            assert made_anew.config == made[twin], row


@pytest.mark.parametrize(
    "name, agents, steps",
    # by hand: rows x seeds x steps, over all tasks
    [
        ("learns", 15 * 3 * 5, 3 * 5 * (5 * 30_000 + 9 * 100_000 + 300_000)),
        ("hundred", 6 * 12, 6 * 12 * 100_000),
        ("tuned", 6 * 16, 6 * 16 * 8000),
        ("precision", 2 * 4 * 10, 4 * 10 * (10_000 + 50_000)),
        (
            "parity",
            (5 + 7 + 2 + 8 + 8) * 10,
            2 * 10 * (3 * 10_000 + 2 * 40_000)
            + 10 * (40_000 + 3 * 60_000)
            + 2 * 10 * (4 * 30_000 + 3 * 100_000 + 300_000),
        ),
    ],
)
def test_a_study_of_the_record_is_one_command(name, agents, steps, capsys):
    """Its plan is legal, and printed before anything compiles."""
    found = load(name)
    assert found.name == name and found.claim.endswith(".")
    plan = sweep.plan(asked(found, found.tasks), memory=MUCH)
    assert (plan.agents, plan.env_steps) == (agents, steps)
    assert command.main([f"--experiment={name}", "--dry_run"]) == 0
    assert f"env steps: {steps:,}" in capsys.readouterr().out


def test_the_record_leaves_presets_as_they_are():
    """But for what its plans say."""
    own = {"reps": {"pi_theta.bins"}, "urex": {"pi_theta.bins"}}
    for task in load("learns").tasks:
        for v in load("learns").variants(task):
            (preset,) = sweep.presets([v.name], task)
            assert set(schema.diff(preset.config, v.config)) == own.get(v.name, set())
    for v in load("parity").variants("gym/HalfCheetah-v5"):
        (preset,) = sweep.presets([v.name], "gym/HalfCheetah-v5")
        changed = {p.partition(".")[0] for p in schema.diff(preset.config, v.config)}
        assert changed == ({"pi_q_update"} if v.name == "ppo" else set())
    hundred, task = load("hundred"), "gym/HalfCheetah-v5"
    made = {v.name: v.config for v in hundred.variants(task)}
    for twin, name in hundred.twins.items():
        assert figure2.ROWS[twin].variant(twin, task).config == made[name]


@pytest.fixture
def made(monkeypatch):
    """The sweep of flags, as the command has it."""
    found, plan = [], sweep.plan
    monkeypatch.setattr(sweep, "plan", lambda x, *m: found.append(x) or plan(x, *m))

    def make(*flags: str) -> Sweep:
        assert command.main([*flags, "--dry_run"]) == 0
        return found.pop()

    return make


HUNDRED, OTHER = "--experiment=hundred", "--set=data.batch_size=32"


@pytest.mark.parametrize(
    "flags, changed",
    [
        (["--seeds=3-5"], set()),  # a block
        (["--variants=SAC(tanh),MPO(tanh)"], set()),
        (["--seeds=40-51"], set()),  # as many, fresh ones
        (["--steps=2000"], {"variants"}),
        ([OTHER], {"variants"}),
        (["--seeds=13"], {"seeds"}),
        (["--eval_every=1000"], {"evaluation"}),
        (["--task=gym/Hopper-v5"], {"variants", "reference"}),
    ],
)
def test_a_part_of_a_planned_study_has_the_plan_of_the_whole(flags, changed, made):
    whole, part = made(HUNDRED).protocol, made(HUNDRED, *flags).protocol
    assert {name for name in whole if whole[name] != part[name]} == changed
    assert whole["plan"] == load("hundred").plan._asdict()
    assert whole["seeds"] == 12 and len(whole["variants"]["gym/HalfCheetah-v5"]) == 6


def test_tasks_rows_and_seeds_in_turn_are_one_store(made, tmp_path):
    """Each command adds its cells, and none is lost or a deviation."""
    parts = [
        ("gym/Pendulum-v1", "sac,td3", "0-4"),
        ("gym/Pendulum-v1", "ppo", "0-4"),
        ("gym/HalfCheetah-v5", "mpo", "2-3"),
        ("gym/Pendulum-v1", "sac,td3", "5-9"),
    ]
    for task, names, seeds in parts:
        flags = (f"--task={task}", f"--variants={names}", f"--seeds={seeds}")
        with store.owned(tmp_path):
            store.Store(tmp_path, sweep.header(made("--experiment=parity", *flags)))
    found = store.load(tmp_path)
    assert found is not None and not found.deviations
    assert list(found.protocol["variants"]) == list(load("parity").tasks)  # all of it
    count = {(t, n): [] for t, names, _ in parts for n in names.split(",")}
    for cell in found.cells():
        count[cell.task, cell.variant].append(cell.seed)
    assert [sorted(seeds) for seeds in count.values()] == [
        [*range(10)], [*range(10)], [*range(5)], [2, 3]
    ]  # fmt: skip


def test_a_store_keeps_its_plan_and_notes_what_is_otherwise(made, tmp_path):
    """Blocks and their seeds are the plan's; steps, and a 13th seed, are not."""

    def write(*flags: str) -> store.Header:
        with store.owned(tmp_path):
            store.Store(tmp_path, sweep.header(made(HUNDRED, *flags)))
        found = store.load(tmp_path)
        assert found is not None
        return found

    write("--seeds=0-5", "--variants=SAC(tanh)")
    kept = write("--seeds=6-11")
    assert not kept.deviations
    said = json.loads((tmp_path / store.MANIFEST).read_text())["protocol"]
    text = json.dumps(said["plan"], sort_keys=True, separators=(",", ":"))
    assert said["hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert said["plan"]["plan"] == load("hundred").plan._asdict()
    shown = dict(protocols.facts(kept))
    assert shown["plan's left out"] == said["plan"]["plan"]["left_out"]
    (off,) = write("--seeds=12-12").deviations
    assert off["changed"] == {"seeds": [12, 13]}
    off = write("--steps=2000", "--seeds=1").deviations[1:]
    assert [set(each["changed"]) for each in off] == [{"variants", "seeds"}]


def test_a_plan_says_all_that_is_settled(capsys):
    for name in RECORD:
        plan = load(name).plan
        assert isinstance(plan, Plan) and all(text.strip() for text in plan)
        assert all(text.endswith((".", "?")) for text in plan)
    assert command.main([HUNDRED, "--dry_run"]) == 0
    said = capsys.readouterr().out
    plan = load("hundred").plan
    assert f"plan's question: {plan.question}\n" in said
    assert f"plan's rule: {plan.rule}\n" in said


def test_figures_are_tables_or_are_there():
    shown = {f"figure{n}" for n in range(1, 10)}
    assert shown <= {*MODULES, *CURVES}
    assert all(load(figure) is load(table) for figure, table in CURVES.items())
    cells = {(t, v.name) for t in load("figure2").tasks for v in figure2_of(t)}
    apart = [load(table) for table in figure2.TABLES.values()]
    assert cells == {(t, v.name) for e in apart for t in e.tasks for v in e.variants(t)}


def figure2_of(task):
    return load("figure2").variants(task)


def test_the_experiments_have_the_papers_budget():
    steps = {"Hopper-v2": 1_000_000, "Humanoid-v2": 10_000_000}  # settings 1.0
    for name in PAPERS:
        found = load(name)
        assert (found.seeds, found.eval_every, found.eval_episodes) == (10, 20_000, 10)
        for task in found.tasks:
            default = 2_500_000 if task.startswith("dmc/") else 3_000_000
            default = 14_000_000 if task.startswith("dmc/humanoid") else default
            expected = steps.get(registry.paper_name(task), default)
            assert found.steps_on(task) == expected
    assert paper_steps("gym/Hopper-v5") == paper_steps("brax/hopper") == 1_000_000


# ---------------------------------------------------------------- readings


def differences(name, first, second, task=HOPPER):
    return schema.diff(config(name, first, task), config(name, second, task))


def test_what_a_reading_changes_is_what_it_says():
    nets = {f"networks.{net}" for net in ("policy", "critic")}
    found = differences("table11", "MPO-E-L-", "MPO-L-")
    assert {p: v for p, v in found.items()} == {
        f"{net}.activation": ("relu", "elu") for net in nets
    }
    found = differences("table11", "SAC-L+", "SAC-L+ (norm alone)")
    assert found == {f"{net}.norm.at": ("first_tanh", "first") for net in nets}
    for name in ("AWR", "MPO"):
        found = differences("table3", f"{name}(tanh)", f"{name}(tanh) (safe inverse)")
        assert found == {"pi_theta.inverse": ("naive", "safe")}
    means = "MPO(D) (minimum of means)"
    found = differences("table2", "MPO(D)", means)
    assert found == {"g_estimate.minimum": ("sample", "mean")}
    swap = "SAC(Net: MPO)"
    own = ("norm", "hidden", "output")  # of SAC's networks, and its optimisers
    for path in differences("figure2", f"{swap} (sizes and ELU)", swap):
        assert path.startswith("optim.") or path.split(".")[2] in own
    mpos = sweep.presets(["mpo"])[0].config.networks
    for name in ("figure2", "table7", "confounds"):
        nets_of = config(name, f"{swap} (sizes and ELU)").networks
        for net in ("policy", "critic"):
            ours, theirs = getattr(nets_of, net), getattr(mpos, net)
            assert (ours.sizes, ours.activation) == (theirs.sizes, theirs.activation)
    assert config("table3", "SAC(no tanh)").bounds == BoundCost()
    mean = config("table3", "SAC(no tanh) (penalty of the mean)")
    assert mean.bounds == BoundLoss()


def test_a_swap_is_taken_apart_into_pieces_that_make_it_up():
    found = {v.name: v for v in load("confounds").variants(HOPPER)}
    for ours in figure2.NAMES:
        for theirs in figure2.NAMES:
            whole = found[figure2.swapped(ours, theirs)].config
            own = found[figure2.swapped(ours, ours)].config
            name = f"{ours.upper()}(", f": {theirs.upper()})"
            pieces = [
                v.config
                for k, v in found.items()
                if k.startswith(name[0]) and k.endswith(name[1]) and "(Net" not in k
            ]
            parts = [set(schema.diff(own, piece)) for piece in pieces]
            assert set().union(*parts) == set(schema.diff(own, whole))
            assert sum(map(len, parts)) == len(schema.diff(own, whole))
    assert sum(": " in k for k in found) == 9 + 30 + 1  # a reading of one swap


def test_bounds_are_divided_where_they_were_not():
    name = "MPO (bounds by dimension)"
    trust = {t: config("confounds", name, t).pi_p_update.trust_region for t in [ANT]}
    assert trust[ANT].epsilon_mean == 1e-3 / 8
    assert name not in {v.name for v in load("confounds").variants(HOPPER)}


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize("scale", [PAPER, *SCALES])
@pytest.mark.parametrize("name", [*PAPERS, *BY_SETS])
def test_every_experiment_is_legal_at_every_scale(name, scale, traced):
    found = scaled(load(name), scale)
    assert found.name == f"{name}@{scale}"
    sweep.validate(asked(found, found.tasks))
    assert not traced


@pytest.mark.parametrize("scale", [PAPER, *SCALES])
@pytest.mark.parametrize("name", [n for n in PAPERS if n not in SWAPS])
def test_every_experiment_has_a_plan_at_every_scale(name, scale):
    """On its cheapest task: what differs between tasks are shapes."""
    compiled = []

    def listen(event, seconds, **_):
        compiled.extend([event] if "backend_compile" in event else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    found = scaled(load(name), scale)
    tasks = load(name).cheap[:1]
    plan = sweep.plan(asked(found, tasks), memory=MUCH)
    assert plan.agents == found.seeds * sum(len(found.variants(t)) for t in tasks)
    assert plan.gradient_steps > 0 and not compiled


def test_a_scale_changes_the_budget_and_keeps_what_is_compared():
    whole, less = load("table3"), scaled(load("table3"), "reduced")
    assert less.seeds == 5 and less.steps_on(HOPPER) == 50_000
    assert less.variants(HOPPER) == whole.variants(HOPPER)
    smoke = scaled(whole, "smoke")
    assert (smoke.seeds, len(smoke.tasks), smoke.steps_on(HOPPER)) == (2, 1, 4000)
    for ours, theirs in zip(
        smoke.variants(HOPPER), whole.variants(HOPPER), strict=True
    ):
        assert set(schema.diff(ours.config, theirs.config)) <= {
            "data.learning_starts",
            "data.random_steps",
        }
        if isinstance(ours.config.data, Replay):
            assert ours.config.data.learning_starts == 1000
        assert sweep.updates(ours.config, 4000) > 0


def test_the_name_of_a_run_says_its_budget(capsys, monkeypatch):
    made = []
    monkeypatch.setattr(command.running, "run_sweep", lambda _, a, **__: made.append(a))
    for flags in (
        [],
        ["--scale=reduced"],
        ["--scale=reduced", "--steps=1e4"],
        ["--scale=smoke", "--seeds=3", f"--task={CHEETAH}"],
        ["--set=optim.critic.rate=1e-3"],
        ["--variants=SAC(tanh),AWR(tanh)"],
    ):
        assert command.main(["--experiment=figure7", *flags]) == 0
    names = [each.experiment for each in made]
    assert names == [
        f"table3@{s}" for s in ("paper", "reduced", "own", "smoke", "own", "paper")
    ]
    assert made[0].steps_on(HOPPER) == 1_000_000
    assert made[0].steps_on(CHEETAH) == 3_000_000
    assert made[2].steps_on(HOPPER) == 10_000
    assert list(made[3].variants) == [CHEETAH] and len(made[3].seeds) == 3
    assert {v.name for v in made[5].variants[HOPPER]} == {"SAC(tanh)", "AWR(tanh)"}


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--experiment=table2", "--scale=reducd"], "did you mean 'reduced'"),
        (["--experiment=table4"], "did you mean 'table"),
        (["--experiment=quickstart", "--scale=smoke"], "one budget"),
        (["--experiment=table2", "--variants=SAC(T)"], "did you mean 'SAC("),
        (
            ["--algorithms=sac", "--task=toy/lqr", "--scale=smoke"],
            "--scale applies to an",
        ),
        (["--experiment=table2", "--measure"], "also give --dry_run"),
    ],
)
def test_a_mistake_is_answered(flags, words, capsys):
    assert command.main(flags) == 2
    assert words in capsys.readouterr().err


def test_variants_that_a_task_lacks_leave_it_out(capsys, monkeypatch):
    made = []
    monkeypatch.setattr(command.running, "run_sweep", lambda _, a, **__: made.append(a))
    assert command.main(["--experiment=table12", "--variants=SAC-E+"]) == 0
    assert len(made[0].variants) == 12
    with pytest.raises(ConfigError, match="steps are missing"):
        dataclasses.replace(made[0], steps={}).steps_on(HOPPER)


def test_the_time_is_measured_where_it_is_asked_for(capsys, monkeypatch):
    """Each program once, scaled by shapes and updates."""
    calls = []
    monkeypatch.setattr(
        planning.duration.update_throughput,
        "update_seconds",
        lambda config, agents: calls.append(agents) or 0.5,
    )
    flags = ["--algorithms=sac", "--task=gym/HalfCheetah-v4", "--steps=10719"]
    assert command.main([*flags, "--seeds=3", "--dry_run", "--measure"]) == 0
    assert calls == [3]  # 720 updates of half a second
    assert "time of updates: about 6 min" in capsys.readouterr().out
