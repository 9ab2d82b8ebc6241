"""Tuning inside an ablation: points and choices by hand, and a study cut short."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import stores
from recipes import TINY_FLAGS
from scipy.stats import qmc

from coadapt import report, sweep
from coadapt.analysis import comparison
from coadapt.cli import sensitivity
from coadapt.cli import sweep as command
from coadapt.report import compare, results
from coadapt.runs import manifest, store
from coadapt.schema import ConfigError
from coadapt.studies import tuning, until
from coadapt.studies.tuning import Range, Tuning
from coadapt.sweep import Sweep

TASK = "toy/lqr"
RATE = "optim.policy.rate"
LOG = Range(RATE, 1e-5, 1e-2, log=True)


def test_settings_are_scipys_scrambled_sobol_points():
    plan = Tuning((LOG, Range("discount", 0.9, 0.99)), budget=8, scramble=3)
    points = qmc.Sobol(2, scramble=True, rng=3).random(8)
    found = np.array([[each[RATE], each["discount"]] for each in plan.settings])
    expected = np.stack([10 ** (-5 + 3 * points[:, 0]), 0.9 + 0.09 * points[:, 1]], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-3)  # of four digits
    # each eighth of each range has one
    shares = np.log10(found[:, 0] / 1e-5) / 3
    assert sorted((8 * shares).astype(int)) == list(range(8))


def test_halving_drops_a_half_at_a_quarter_and_at_a_half():
    assert Tuning((LOG,), 16, rule="halving").rungs == [(16, 0.25), (8, 0.5), (4, 1.0)]
    assert Tuning((LOG,), 16).rungs == [(16, 1.0)]


@pytest.mark.parametrize(
    "text", ["", "1e-3", "2..1", "0..1:log", "1..x", "1..2:ln", "-inf..1", "1..inf"]
)
def test_a_range_that_is_none_is_a_sentence(text):
    with pytest.raises(ConfigError, match=r"it must be low..high, or low..high:log"):
        tuning.ranged(RATE, text)


def asked(**fields):
    made = Sweep(
        experiment="sweep",
        variants={TASK: sweep.grid(["sac"], {"g_estimate.critics": [1, 2]})},
        seeds=10,
        steps=300,
        eval_every=100,
        checkpoint_every=50,
    )
    return dataclasses.replace(made, **fields)


@pytest.mark.parametrize(
    ("plan", "fields", "said"),
    [
        (Tuning((Range("optim.x", 1, 3),)), {}, "optim.x is not a field of Optim"),
        (
            Tuning((Range("data.batch", 1, 3),)),
            {},
            "data.batch was renamed: .*; did you mean 'data.batch_size'",
        ),
        (Tuning((LOG,), 12), {}, "tune_budget is 12: it must be a power of 2"),
        (Tuning((LOG,), 2, rule="halving"), {}, "power of 2 of 4 to 1,024"),
        (Tuning((LOG,), rule="bets"), {}, "tune_rule is 'bets'.*did you mean 'best'"),
        (Tuning((LOG,)), {"seeds": 9}, "seeds are 9: what is tuned is reported on 10"),
        (
            Tuning((Range("g_estimate.critics", 1, 3),)),
            {},
            "g_estimate.critics is drawn and in the grid too",
        ),
    ],
)
def test_what_can_not_be_tuned_is_a_sentence(plan, fields, said):
    with pytest.raises(ConfigError, match=said):
        tuning.require(plan, asked(**fields))


def planned(plan):
    made = asked()
    return dataclasses.replace(made, protocol=tuning.fixed(made, plan, None))


def written(folder, part, score):
    """The store of a part that has run; scores are of all evaluations alike."""
    units = dict.fromkeys(part.variants, stores.UNIT)
    about = dataclasses.replace(sweep.header(part), units=units)
    cells = about.cells()
    (steps,) = {about.steps_of(cell) for cell in cells}
    with (
        store.owned(folder),
        store.Store(folder, about) as out,
        out.begin(out.note(cells, 1)) as attempt,
    ):
        for at in range(50, steps + 1, 50):
            values = np.array([score(cell, at) for cell in cells])
            attempt.append(at, {"return": values}, "")
        attempt.finish(steps, 1.0)


def test_the_best_mean_is_chosen_and_halving_by_what_each_rung_saw(tmp_path):
    """A setting that is best at first and worst in the end is kept, then dropped."""
    plan = Tuning((LOG,), 4, seeds=2, steps=200, rule="halving")
    made = planned(plan)
    names = [f"{v.name}/{RATE}={s[RATE]}" for v in made.variants[TASK]
             for s in plan.settings]  # fmt: skip
    order = {name: i % 4 for i, name in enumerate(names)}

    def score(cell, at):
        return 10 * order[cell.variant] if at <= 50 else -10 * order[cell.variant]

    parts = tuning.parts(made, tmp_path)
    rungs = []
    for part, folder in parts:
        rungs.append(part)
        if folder == tmp_path:
            break
        written(folder, part, score)
    first, second, third, last = rungs
    ends = [{v.steps for v in part.variants[TASK]} for part in rungs]
    assert ends == [{50}, {100}, {200}, {None}]
    assert [len(p.variants[TASK]) for p in rungs] == [8, 4, 2, 4]
    left = {v.name for v in second.variants[TASK]}
    assert left == {name for name in names if order[name] >= 2}
    assert {v.name for v in third.variants[TASK]} == {
        name for name in names if order[name] == 2
    }
    assert [v.name for v in last.variants[TASK]][2:] == [
        f"{v.name}{tuning.TUNED}" for v in made.variants[TASK]
    ]
    chosen = [v.config.optim.policy.rate for v in last.variants[TASK][2:]]
    assert chosen == [plan.settings[2][RATE]] * 2
    assert set(last.seeds) & set(first.seeds) == set()
    # what is chosen again from the rows of all rungs is the same
    again = [part for part, _ in tuning.parts(made, tmp_path)]
    assert [p.variants for p in again] == [p.variants for p in rungs]


def test_a_setting_at_the_edge_is_flagged_and_what_tuning_took_is_counted():
    plan = Tuning((LOG,), 8, seeds=3, steps=100)
    made = planned(plan)
    first = made.variants[TASK][0].name
    names = {(TASK, v.name): [*tuning._varied(v, plan)] for v in made.variants[TASK]}
    rates = [each[RATE] for each in plan.settings]
    at = {
        key: each[int(np.argmax(rates))] if key[1] == first else each[
            int(np.argsort(rates)[3])
        ]
        for key, each in names.items()
    }  # fmt: skip
    header = sweep.header(tuning._reported(made, plan, at))
    edge, inner = tuning.choices(header)
    assert edge.edges == (RATE,) and edge.values[RATE] == max(rates)
    assert inner.edges == ()
    assert tuning.cost(header) == 8 * 3 * 100 * 2
    halved = plan._replace(rule="halving")
    about = dataclasses.replace(
        header, protocol={**header.protocol, "tuning": tuning.protocol(halved)}
    )
    # a quarter ends at the next checkpoint, which is the half
    assert tuning.cost(about) == 3 * 2 * (8 * 50 + 2 * 50)
    often = dataclasses.replace(about, checkpoint_every=25)
    assert tuning.cost(often) == 3 * 2 * (8 * 25 + 4 * 25 + 2 * 50)


def test_each_question_is_asked_at_the_chosen_settings_and_at_the_presets():
    plan = Tuning((LOG,), 8)
    made = planned(plan)
    at = {
        (TASK, v.name): next(iter(tuning._varied(v, plan))) for v in made.variants[TASK]
    }
    header = sweep.header(tuning._reported(made, plan, at))
    first, second = compare.questions(header)
    assert first.toggle == "g_estimate.critics: 2, not 1, tuned"
    assert first.pairs[0].on == ("sac/g_estimate.critics=2/tuned",)
    assert second.toggle == "g_estimate.critics: 2, not 1, at the presets"
    assert second.pairs[0].off == ("sac/g_estimate.critics=1",)


# ---------------------------------------------------------------- a study that runs

FLAGS = [
    "--algorithms=awac",
    f"--task={TASK}",
    "--grid=g_estimate.discount=0.5,0.99",  # traced: all share a program
    "--tune=optim.policy.rate=1e-4..1e-2:log",
    "--tune_budget=4",
    "--tune_seeds=2",
    "--tune_steps=60",
    "--margin=0.3",
    *TINY_FLAGS,
    "--steps=90",
    "--eval_every=30",
    "--eval_episodes=2",
    "--checkpoint_every=30",
    "--quiet",
]


def score(config, seed: int) -> float:
    """Of any setting another one, and a seed's own luck."""
    rate, discount = np.log10(config.optim.policy.rate), config.g_estimate.discount
    luck = np.random.default_rng(seed).normal()
    return float(luck - 10 * abs(rate + 2.6) - 30 * abs(discount - 0.9))


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """One that ran through, and one that was killed once its settings were tried."""
    with stores.scored(score):
        yield _studies(tmp_path_factory)


def _studies(tmp_path_factory):
    whole, cut = (tmp_path_factory.mktemp(name) for name in ("whole", "cut"))
    assert command.main([*FLAGS, f"--workdir={whole}"]) == 0
    parts = tuning.parts

    def killed(*args, **options):
        yield next(iter(parts(*args, **options)))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "parts", killed)
        assert command.main([*FLAGS, f"--workdir={cut}"]) != 0
    assert not (cut / store.MANIFEST).exists()
    assert command.main([*FLAGS, f"--workdir={cut}"]) == 0
    return whole, cut


def rows(folder) -> pd.DataFrame:
    frame = store.read(folder).drop(columns=["session", "provider"])
    keys = ["variant", "seed", "env_steps", "metric"]
    return frame.sort_values(keys, ignore_index=True)


def test_a_study_that_was_killed_ends_as_one_that_was_not(studies):
    whole, cut = studies
    for name in ("", manifest.TUNING):
        assert rows(whole / name).equals(rows(cut / name))


def test_its_report_has_no_score_of_tuning_and_says_what_it_rests_on(studies, capsys):
    whole, _ = studies
    frame, tried = rows(whole), rows(whole / manifest.TUNING)
    assert set(frame.seed) == set(range(10)) and min(tried.seed) >= tuning.FIRST_SEED
    assert frame.variant.nunique() == 4 and tried.variant.nunique() == 8
    # the best mean, by pandas: a score is of both evaluations of 60 steps, and a run
    # that is ten units below a random policy failed and counts as one
    tuned = store.load(whole / manifest.TUNING)
    assert tuned is not None
    random, size = tuned.units[TASK].random, tuned.units[TASK].size
    returns = tried[tried.metric == "return"].groupby(["variant", "seed"]).value
    runs = returns.mean().where(returns.min() >= random - 10 * size, random)
    means = runs.groupby("variant").mean()
    header = store.load(whole)
    assert header is not None
    for each in tuning.choices(header):
        own = means[[n for n in means.index if n.startswith(f"{each.variant}/")]]
        # so short a run may fail at all settings: then all are as good
        assert own[f"{each.variant}/{RATE}={each.values[RATE]}"] == own.max()
    report.make(whole, printed=True)
    said = capsys.readouterr().out
    assert "g_estimate.discount: 0.99, not 0.5, tuned" in said
    assert "verdicts rest on the chosen settings" in said
    assert "it took 960 env steps, 0.27 times the reported runs'" in said
    assert "which favours fast learners" in said
    page = (whole / "report" / "index.html").read_text()
    assert "The setting that was chosen for each variant." in page
    assert str(tuning.FIRST_SEED) not in page


def test_its_margin_is_that_of_its_protocol_wherever_it_is_asked(studies):
    whole, _ = studies
    said = [each.found for each in results.read(whole).answers]
    assert len(said) == 2 and {each.margin for each in said if each} == {0.3}
    again = [each.found for each in results.read(whole, margin=0.2).answers]
    assert {each.margin for each in again if each} == {0.2}
    on = {"awac": [f"awac/g_estimate.discount={x}/tuned" for x in (0.99, 0.5)]}
    assert comparison.compare(whole, "discount", on).margin == 0.3
    assert comparison.compare(whole, "discount", on, margin=0.1).margin == 0.1
    assert comparison.compare(store.read(whole), "discount", on).margin is None


def test_the_score_at_each_setting_is_shown_and_the_best_of_n_refused(
    studies, tmp_path, capsys
):
    whole, _ = studies
    picture = tmp_path / "settings.svg"
    flags = [f"--workdir={whole}", "--by_setting", "--format=csv"]
    assert sensitivity.main([*flags, f"--figure={picture}"]) == 0
    shown = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert shown.groupby("variant").size().tolist() == [4, 4]
    header, tried = store.load(whole), whole / manifest.TUNING
    assert header is not None
    arms = comparison.arms_of(tried)
    names = {(v.rpartition("/")[0], v.rpartition("=")[2]): v for _, v in arms}
    unit = arms[TASK, next(iter(names.values()))].unit
    assert unit.size is not None and unit.random is not None
    for row in shown.itertuples():
        arm = arms[TASK, names[row.variant, str(row[3])]]
        expected = (arm.scores().mean() - unit.random) / unit.size
        assert row.score == pytest.approx(expected, rel=0.01, abs=0.01)
    chosen = shown[shown.chosen == "*"].set_index("variant")[RATE].to_dict()
    assert chosen == {c.variant: c.values[RATE] for c in tuning.choices(header)}
    assert RATE in picture.read_text()
    assert sensitivity.main([f"--workdir={tried}", "--by_setting", "--format=csv"]) == 0
    again = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert again.score.equals(shown.score)
    assert sensitivity.main([f"--workdir={whole}"]) == 2
    assert "is not a random sample: run" in capsys.readouterr().err


def test_the_plan_has_what_tuning_will_take(capsys):
    assert command.main([*FLAGS, "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "tuning: 4 settings x 2 seeds of each of 2 variants, by best: 960" in said
    assert command.main([*FLAGS[:3], "--steps=90", "--tune_budget=4", "--dry_run"]) == 2
    assert (
        "--tune_budget applies to tuning: also give --tune" in capsys.readouterr().err
    )


def test_another_scramble_has_other_settings_and_another_protocol(capsys):
    hashes = []
    for flags in ([], ["--tune_scramble=0"], ["--tune_scramble=1"]):
        assert command.main([*FLAGS, *flags, "--dry_run"]) == 0
        hashes += [x for x in capsys.readouterr().out.split() if len(x) == 64]
    first, same, other = hashes
    assert first == same != other


def test_a_study_can_be_tuned_and_grow(tmp_path):
    """The looks are of the tuned variants; presets have the first look's seeds."""
    plan = Tuning((LOG,), 4, seeds=2, steps=100)
    made = asked()
    asks = [compare.tuned(q) for q in compare.questions(sweep.header(made))]
    looks = until.protocol(made, [(q.toggle, q.pairs) for q in asks], most=20)
    made = dataclasses.replace(made, protocol=tuning.fixed(made, plan, None) | looks)
    rng, found = np.random.default_rng(0), []
    for part, folder in tuning.parts(made, tmp_path, until.parts):
        found.append(part)
        noise = {c: rng.normal() for c in sweep.header(part).cells()}
        if folder == tmp_path and len(part.seeds) == 20:
            break
        written(folder, part, lambda c, _: 50 + 30 * noise[c])  # noqa: B023
    assert [len(p.seeds) for p in found] == [2, 10, 20]
    assert all(v.name.endswith("/tuned") for v in found[-1].variants[TASK])
