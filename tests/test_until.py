"""Seeds until decided: on made-up stores, and on one that is trained and cut short."""

import dataclasses
import json

import numpy as np
import pytest
import stores
from recipes import TINY_FLAGS
from scipy import stats as distributions

from coadapt import report, sweep
from coadapt.analysis import alpha_spending, comparison, verdict
from coadapt.analysis.comparison import Pair
from coadapt.analysis.score import Arm
from coadapt.cli import effects
from coadapt.cli import sweep as command
from coadapt.report import protocols, results, sections
from coadapt.runs import manifest, store
from coadapt.schema import ConfigError
from coadapt.studies import until
from coadapt.sweep import Sweep
from coadapt.tasks.units import Unit

TASK = "toy/lqr"
SEEDS = 40
SIZES = (10, 20, 40)


def arm(name, mean, std, seeds=SEEDS):
    """Scores in the unit; each look has this mean and std of its own seeds."""
    z = np.tile([-1.0, 1.0], seeds // 2) * std
    scores = {metric: mean + z for metric in ("final", "last", "area")}
    failed = np.zeros(seeds, bool)
    unit = Unit(0.0, 0.0, 20, 1.0)
    return Arm(TASK, name, 100, 9, tuple(range(seeds)), scores, failed, 0, unit)


def arms(effects, std, seeds=SEEDS):
    """Of each algorithm, without the toggle and with it."""
    found = {}
    for name, effect in effects.items():
        found[TASK, name] = arm(name, 0.5, std, seeds)
        found[TASK, f"{name}+"] = arm(f"{name}+", 0.5 + effect, std, seeds)
    return found


def question(*names):
    pairs = tuple(Pair(name, (f"{name}+",), (name,)) for name in names)
    return until.Question("t", pairs, (TASK,))


def plan(*questions, **fields):
    made = until.Plan(questions, tuple(range(SEEDS)), SIZES, 0.1, 0.05, "final")
    return made._replace(**fields)


@pytest.mark.parametrize(
    ("effects", "std", "word", "seeds"),
    [
        ({"a": 0.8, "b": 0.0}, 0.05, verdict.HELPS_A, 20),
        ({"a": 0.25, "b": 0.0}, 0.1, verdict.HELPS_A, 40),
        ({"a": 0.25, "b": 0.0}, 0.5, verdict.UNDECIDED, 40),
        ({"a": 0.0, "b": 0.0}, 0.02, verdict.NEITHER, 10),
        ({"a": 0.09}, 0.05, until.ABOVE, 20),
        ({"a": -0.09}, 0.05, until.BELOW, 20),
        ({"a": 0.0}, 0.1, verdict.NOTHING, 40),
    ],
)
def test_a_question_ends_at_the_first_look_that_decides_it(effects, std, word, seeds):
    asked = question(*effects)
    found = until.settle(arms(effects, std), plan(asked), asked, 1)
    assert found.found is not None
    assert (found.found.verdict.word, found.seeds) == (word, seeds)
    assert found.decided == (word != verdict.UNDECIDED)
    # its interval is of that look: by hand, Welch's with the level of the look
    level = alpha_spending.looks(SIZES, 0.025)[SIZES.index(seeds)].alpha
    off, on = (arms(effects, std)[TASK, n].scores()[:seeds] for n in ("a", "a+"))
    error = np.sqrt((on.var(ddof=1) + off.var(ddof=1)) / seeds)
    high = (
        on.mean() - off.mean() + error * verdict.t_quantile(1 - level, 2 * (seeds - 1))
    )
    assert found.found.effects[0].high == pytest.approx(high, 1e-3)
    if found.decided:  # by this look or one before
        assert found.found.verdict.wrong == 0.025


def test_p_is_of_all_looks_and_not_of_the_last_alone():
    """Of the first, by hand: the alpha of which so much is spent at a quarter."""
    there, asked = arms({"a": 0.0, "b": 0.0}, 0.02), question("a", "b")
    look = until.settle(there, plan(asked), asked, 1).found
    (settled,) = until.decide(there, plan(asked))
    assert look is not None and settled.found is not None and settled.seeds == 10
    z = distributions.norm.isf(look.verdict.p / 2) * np.sqrt(10 / 40)
    assert settled.found.verdict.p == pytest.approx(2 * distributions.norm.sf(z), 1e-3)
    assert look.verdict.p < 1e-4 < settled.found.verdict.p < 0.025
    (one,) = until.decide(there, plan(asked, looks=(40,)))
    assert one.found is not None
    assert one.found.verdict.p == one.effects[0][0].p("within", 0.1)


def test_questions_share_alpha_and_by_holm_what_is_decided_leaves_its_share():
    """One is decided at a third of alpha, the second at a half, the last at none."""
    effects = {"a": 0.5, "b": 0.16, "c": 0.02}
    there = arms(effects, 0.13)
    asked = [question(name) for name in effects]
    p = plan(*asked, looks=(40,))
    apart = [until.settle(there, p, each, 3).decided for each in asked]
    # what b is alone at a half but not at a third
    edge = until.settle(there, p, asked[1], 1).found
    assert edge is not None
    p_b = edge.effects[0].p("up", 0.0)
    scaled = p._replace(alpha=2 * p_b * 2.5)  # between two and three times it
    apart = [until.settle(there, scaled, each, 3).decided for each in asked]
    assert apart == [True, False, False]
    found = until.decide(there, scaled)
    assert [each.decided for each in found] == [True, True, False]


def test_while_a_question_may_go_on_none_takes_the_share_of_another():
    effects = {"a": 0.9, "b": 0.05}
    there = arms(effects, 0.13, seeds=20)
    asked = [question(name) for name in effects]
    found = until.decide(there, plan(*asked))
    assert [each.decided for each in found] == [True, False] and found[1].left


def test_a_question_waits_for_all_of_its_arms():
    there = arms({"a": 0.5}, 0.1, seeds=20)
    there[TASK, "a"] = arm("a", 0.5, 0.1, seeds=8)
    found = until.settle(there, plan(question("a")), question("a"), 1)
    assert found.found is None and not found.decided and found.left


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"seeds": 9}, "seeds are 9: the first look takes 10"),
        ({"most": 12}, "max_seeds is 12: it must be at least 16"),
        ({"named": []}, "there is nothing to decide"),
        ({"task": "gym/Reacher-v5?reward_dist_weight=2"}, "has no reference"),
    ],
)
def test_what_can_not_be_planned_is_a_sentence(fields, said):
    task = fields.get("task", TASK)
    variants = {task: sweep.presets(["sac", "mpo"])}
    asked = Sweep(
        experiment="x",
        variants=variants,
        seeds=fields.get("seeds", 16),
        steps=100,
    )
    named = fields.get("named", [("t", [Pair("a", ("sac",), ("mpo",))])])
    with pytest.raises(ConfigError, match=said):
        until.protocol(asked, named, most=fields.get("most", 64))


def test_a_manifest_has_the_protocol_its_hash_and_what_was_changed_since(tmp_path):
    variants = {TASK: sweep.presets(["sac", "mpo"])}
    asked = Sweep(experiment="sweep", variants=variants, seeds=16, steps=300)
    named = [("t", [Pair("a", ("sac",), ("mpo",))])]
    asked = dataclasses.replace(asked, protocol=until.protocol(asked, named))

    def write(asked, session=True):
        with store.owned(tmp_path):
            store.Store(tmp_path, sweep.header(asked), session=session)
        header = store.load(tmp_path)
        assert header is not None
        return header

    first = write(asked)
    assert first.protocol == asked.protocol and not first.deviations
    said = json.loads((tmp_path / store.MANIFEST).read_text())["protocol"]
    assert said["hash"] == manifest.digest(asked.protocol)
    part = dataclasses.replace(asked, seeds=32, variants={TASK: variants[TASK][:1]})
    assert not write(part).deviations  # a later look is no other study
    other = until.protocol(asked, named, margin=0.2)
    changed = write(dataclasses.replace(asked, protocol=other))
    assert changed.protocol == asked.protocol
    assert [each["changed"] for each in changed.deviations] == [{"margin": [0.1, 0.2]}]
    said = [what for name, what in protocols.facts(changed) if name == "deviation"]
    assert len(said) == 1 and "margin: 0.1, then 0.2; verdicts are of the" in said[0]
    assert len(write(dataclasses.replace(asked, protocol={})).deviations) == 2
    assert write(asked, session=False).deviations[0] == changed.deviations[0]


# ---------------------------------------------------------------- a study that runs

FLAGS = [
    "--algorithms=awac",
    f"--task={TASK}",
    "--grid=optim.policy.rate=1e-4,1e-2",  # traced: both arms share a program
    *TINY_FLAGS,
    "--steps=90",
    "--eval_every=30",
    "--eval_episodes=2",
    "--checkpoint_every=30",
    "--quiet",
    "--until=decided",
    "--seeds=10",
    "--max_seeds=20",
    "--margin=1e-6",  # so that no effect is none: one that is off zero ends it
]


def score(config, seed: int) -> float:
    """Luck, of which another rate makes next to nothing."""
    luck = np.random.default_rng(seed).normal()
    return float(luck - config.optim.policy.rate)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """One that ran through, and one that was killed after its first look."""
    with stores.scored(score):
        yield _studies(tmp_path_factory)


def _studies(tmp_path_factory):
    whole, cut = (tmp_path_factory.mktemp(name) for name in ("whole", "cut"))
    assert command.main([*FLAGS, f"--workdir={whole}"]) == 0
    parts = until.parts

    def killed(asked, workdir):
        yield next(iter(parts(asked, workdir)))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(until, "parts", killed)
        assert command.main([*FLAGS, f"--workdir={cut}"]) != 0
    there = store.read(cut).seed.nunique()
    assert command.main([*FLAGS, f"--workdir={cut}"]) == 0
    return whole, cut, there


def test_a_study_that_was_killed_ends_as_one_that_was_not(studies):
    whole, cut, there = studies
    assert there == 10
    one, other = (
        store.read(path)
        .drop(columns="session")
        .sort_values(["variant", "seed", "env_steps", "metric"], ignore_index=True)
        for path in (whole, cut)
    )
    one.pop("provider"), other.pop("provider")
    assert one.equals(other)
    ours, theirs = (store.load(path) for path in (whole, cut))
    assert ours is not None and theirs is not None
    assert ours.protocol == theirs.protocol and not theirs.deviations


def test_its_report_has_the_protocol_and_the_look(studies, capsys):
    whole, _, _ = studies
    header = store.load(whole)
    assert header is not None
    report.make(whole, printed=True)
    said = capsys.readouterr().out
    found = until.decide(
        comparison.arms_of(whole),
        until.plan(header.protocol),  # type: ignore[arg-type]
    )
    assert found[0].seeds == 20 and "at 20 seeds per arm" in said
    assert f"SHA-256 {manifest.digest(header.protocol)}" in said
    assert "looks at 10, 20 seeds per arm" in said


def test_an_answer_that_counts_no_looks_says_so(studies, capsys):
    whole, _, _ = studies
    header = store.load(whole)
    assert header is not None
    names = tuple(header.variants[TASK])
    found = comparison.compare(whole, "rate", {"awac": names}, margin=0.1)
    assert found.notes[-1].startswith("the study's protocol has looks at 10, 20 seeds")
    words = [f"--workdir={whole}", f"--pairs={':'.join(names)}", "--margin=0.1"]
    assert effects.main(words) == 0
    assert found.notes[-1] in " ".join(capsys.readouterr().out.split())


def test_a_page_says_what_is_off_zero_alone_and_what_waits(tmp_path):
    """Of 16 seeds; those that other questions ran on with are of no answer here.

    An effect of 0.09 with an error of 0.02 is above 0, and neither above nor within the
    margin of 0.1. A run's score is the mean of its three evaluations, which grow: two
    thirds of the last.
    """
    on, off = "sac/g_estimate.critics=2", "sac/g_estimate.critics=1"
    tasks = (TASK, "toy/chain")
    variants = {
        task: sweep.grid(["sac"], {"g_estimate.critics": [1, 2]}) for task in tasks
    }
    made = {
        "rule": until.RULE,
        "looks": [16],
        "seeds": list(range(16)),
        "alpha": 0.05,
        "margin": 0.1,
        "metric": "final",
        "questions": [
            {"toggle": "critics", "tasks": [task], "pairs": [["sac", [on], [off]]]}
            for task in tasks
        ],
    }

    def score(cell):
        two = cell.variant == on
        mean = 50 + 9 * two if cell.seed < 16 else -100 * two
        return 1.5 * (mean + 5 * (-1) ** cell.seed)

    cells = [store.Cell(tasks[1], on, seed) for seed in range(10, 20)]
    how = {"seeds": 20, "score": score, "absent": cells, "protocol": made}
    stores.build(tmp_path, "sweep", variants, dict.fromkeys(tasks, 300), **how)
    found = results.read(tmp_path)
    answers = next(s for s in sections.page(found).sections if s.answers).answers
    answer = answers[0]  # then those of the grid
    assert answer.sentence == (
        "On toy/lqr, critics has an effect above 0 on sac; whether it is of note is "
        "open; with it sac gains 0.09 [+0.05, +0.13] of the unit. On toy/chain, what "
        "critics does to sac cannot be said yet: not all arms have the 16 seeds of the "
        "first look."
    )
    assert answer.facts[0] == "decided by 16 seeds of each variant"
    words, none, _ = found.multiverse
    assert words["final", "random", 0.1] == until.ABOVE and not none


def test_a_mistake_is_a_sentence(capsys):
    assert command.main([*FLAGS, "--until=done", "--dry_run"]) == 2
    assert "--until is 'done': it must be decided" in capsys.readouterr().err


def test_the_plan_has_the_looks_and_the_hash(studies, capsys):
    whole, _, _ = studies
    header = store.load(whole)
    assert header is not None
    assert command.main([*FLAGS, "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "looks: at 10, 20 seeds per arm, up to 2 times the above" in said
    assert f"protocol: {manifest.digest(header.protocol)}" in said
