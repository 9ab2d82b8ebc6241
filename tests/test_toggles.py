"""What variants differ in, by their names and by their configs."""

import numpy as np
import pytest

from coadapt import schema, sweep
from coadapt.analysis import toggles
from coadapt.analysis.toggles import Setting
from coadapt.experiments import load
from coadapt.runs.store import Entry
from coadapt.schema import ConfigError
from coadapt.sweep import Variant

CRITICS, ELU = "g_estimate.critics", "networks.policy.activation"
AXES = {CRITICS: [1, 2], ELU: ["relu", "elu"]}


def entries(variants):
    return {v.name: Entry(v.algorithm, "0", schema.to_dict(v.config)) for v in variants}


def settings(variants):
    return toggles.settings(entries(variants))


def test_a_grids_names_are_believed():
    found = settings(sweep.grid(["sac", "mpo"], AXES))
    name = f"mpo/{CRITICS}=2/{ELU}=relu"
    assert found[name] == Setting("mpo", {CRITICS: "2", ELU: "relu"})
    assert len(found) == 8


def test_one_change_at_a_time_takes_the_rest_from_the_config():
    (sac,) = sweep.presets(["sac"])
    found = settings(sweep.one_at_a_time(sac, AXES))
    assert found["sac"].levels == {CRITICS: "2", ELU: "relu"}
    assert found[f"sac/{CRITICS}=1"].levels == {CRITICS: "1", ELU: "relu"}
    both = "target.policy.period+target.critic.period"
    (mpo,) = sweep.presets(["mpo"])
    mpo = Variant("mpo", "mpo", sweep.change(mpo.config, {"target.critic.period": 50}))
    found = settings(sweep.one_at_a_time(mpo, {both: [25]}))
    assert [each.levels[both] for each in found.values()] == [toggles.AS_IT_WAS, "25"]


PERIOD, SAMPLES = "target.policy.period", "pi_p.samples"


@pytest.mark.parametrize(
    "name",
    ["period={0}, M={1}", "p={1}/x={1}{0}", "mpo/pi_p.samples={0}{1}", "$M={1}_{0}$"],
)
def test_names_are_text_and_effects_come_from_configs(name):
    (mpo,) = sweep.presets(["mpo"])
    made = [
        Variant(
            name.format(period, samples),
            "mpo",
            sweep.change(mpo.config, {PERIOD: period, SAMPLES: samples}),
        )
        for period in (25, 400)
        for samples in (2, 20)
    ]
    found = settings(made)
    assert found[made[1].name] == Setting("mpo", {SAMPLES: "20", PERIOD: "25"})
    (factorial,) = toggles.factorials(found)
    assert set(factorial.levels) == {PERIOD, SAMPLES}
    assert toggles.short(found)[made[0].name] in (made[0].name, "mpo/samples=252")


def test_a_name_that_says_less_than_the_config_is_not_believed():
    rate = "optim.critic.rate"
    (sac,) = sweep.presets(["sac"])
    one = sweep.vary(sac, {CRITICS: 1})
    both = Variant(one.name, "sac", sweep.change(one.config, {rate: 0.1}))
    (only,) = settings([sac, one])["sac"].levels
    assert only == CRITICS
    (joint,) = settings([sac, both])["sac"].levels
    assert joint == f"{CRITICS}, {rate}" or joint == f"{rate}, {CRITICS}"
    assert CRITICS in toggles.settings(entries([sac, one]))["sac"].levels
    axes = {rate: [1e-3, 3e-4]}
    typed = [
        Variant(v.name.replace("0.001", "1e-3"), "sac", v.config)
        for v in sweep.grid([sac], axes)
    ]
    assert [list(s.levels) for s in settings(typed).values()] == [[rate], [rate]]


def test_fields_that_change_together_are_one_toggle():
    both, rate = "target.policy.period+target.critic.period", "optim.policy.rate"
    (mpo,) = sweep.presets(["mpo"])
    single = settings(sweep.one_at_a_time(mpo, {both: [25, 100, 400]}))
    assert [s.levels for s in single.values()] == [
        {both: "100"}, {both: "25"}, {both: "400"}
    ]  # fmt: skip
    found = settings(sweep.grid([mpo], {both: [25, 400], rate: [1e-3, 1e-4]}))
    (made,) = toggles.factorials(found)
    assert made.levels == {both: ("400", "25"), rate: ("0.001", "0.0001")}
    effect = next(c for c in toggles.contrasts(found) if c.toggle == both)
    assert effect.levels == ("400", "25") and len(effect.on) == 2
    assert toggles.short(found)[effect.on[0]] == (
        "mpo/policy.period+critic.period=400/rate=0.001"
    )


def test_a_spelling_of_a_field_is_a_toggle_by_its_own_name():
    both = "networks.policy.layer_norm+networks.critic.layer_norm"
    (sac,) = sweep.presets(["sac"])
    axes = {both: ["none", "first", "after"], "optim.policy.rate": [1e-3, 1e-4]}
    found = settings(sweep.grid([sac], axes))
    assert {s.levels[both] for s in found.values()} == {"none", "first", "after"}
    assert len(found) == 6 and all(len(s.levels) == 2 for s in found.values())


def test_configs_of_the_papers_rows_are_compared():
    """ELU goes into both networks at once, and is one toggle."""
    rows = load("table11").variants("gym/Hopper-v4")
    found = settings([v for v in rows if "alone" not in v.name and v.name != "MPO-L-"])
    nets = "networks.{policy,critic}"
    assert found["SAC-L+"].levels == {
        f"{nets}.activation": "relu", f"{nets}.norm": "LayerNorm"
    }  # fmt: skip
    both = f"{nets}.activation, {nets}.norm"
    assert found["MPO-E-L-"].levels == {both: "relu, none"}
    assert found["AWR"].levels == {}
    (made,) = toggles.factorials(found)
    assert made.algorithm == "sac"
    assert made.variants == ("SAC", "SAC-E+", "SAC-L+", "SAC-E+L+")
    assert made.design.rows.tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert made.levels[f"{nets}.activation"] == ("elu", "relu")


def test_fields_within_a_choice_that_changes_are_not_named():
    tanh, free = load("table3").variants("gym/Hopper-v4")[:2]
    found = settings([tanh, free])
    assert list(found[tanh.name].levels) == ["pi_theta, bounds"]
    assert found[free.name].levels["pi_theta, bounds"] == "Gaussian, BoundCost"


def test_what_is_another_class_s_own_is_no_other_toggle():
    """Each choice of `modern` is set against the algorithm without it, though a torso
    has a `norm` of its own, and another optimiser a decay.
    """
    made = load("modern").variants("gym/Hopper-v5")
    found = toggles.contrasts(settings(made))
    pairs = {(c.on, c.off) for c in found}
    assert pairs == {
        ((v.name,), (v.name.partition("(")[0],)) for v in made if "(" in v.name
    }
    levels = {c.on[0]: (c.toggle, c.levels) for c in found}
    torsos = "networks.policy, networks.critic"
    assert levels["SAC(SimBa)"] == levels["PPO(SimBa)"] == (torsos, ("SimBa", "MLP"))
    n_step = ("g_estimate.n_step", ("on", "none"))
    assert levels["SAC(3-step)"] == levels["MPO(3-step)"] == n_step


def test_those_of_another_class_are_told_apart_by_what_is_its_own():
    path, decay = "optim.policy", "optim.policy.decay"
    (sac,) = sweep.presets(["sac"])
    made = [sac] + [
        Variant(f"x{i}", "sac", sweep.change(sac.config, {path: "AdamW", decay: x}))
        for i, x in enumerate([0.01, 0.1])
    ]
    levels = [setting.levels for setting in settings(made).values()]
    assert [each[path] for each in levels] == ["Adam", "AdamW", "AdamW"]
    assert [each[decay] for each in levels] == ["-", "0.01", "0.1"]


def test_a_contrast_averages_over_what_else_there_is():
    found = toggles.contrasts(settings(sweep.grid(["sac", "mpo"], AXES)))
    assert [(c.algorithm, c.toggle) for c in found] == [
        ("sac", CRITICS), ("sac", ELU), ("mpo", CRITICS), ("mpo", ELU)
    ]  # fmt: skip
    first = found[0]
    assert first.levels == ("2", "1")
    assert first.on == (f"sac/{CRITICS}=2/{ELU}=relu", f"sac/{CRITICS}=2/{ELU}=elu")
    assert first.off == (f"sac/{CRITICS}=1/{ELU}=relu", f"sac/{CRITICS}=1/{ELU}=elu")
    pairs = [(a.toggle, a.algorithm, b.algorithm) for a, b in toggles.alike(found)]
    assert pairs == [(CRITICS, "sac", "mpo"), (ELU, "sac", "mpo")]


def test_of_three_levels_each_is_set_against_the_first():
    axes = {"data.batch_size": [64, 256, 128]}
    found = toggles.contrasts(settings(sweep.grid(["sac"], axes)))
    assert [c.levels for c in found] == [("128", "64"), ("256", "64")]
    words = {ELU: ["tanh", "relu"]}
    found = toggles.contrasts(settings(sweep.grid(["sac"], words)))
    assert [c.levels for c in found] == [("relu", "tanh")]


def test_what_has_no_match_is_in_no_contrast():
    variants = sweep.grid(["sac"], AXES)[:3]
    found = toggles.contrasts(settings(variants))
    assert [(len(c.on), c.toggle) for c in found] == [(1, CRITICS), (1, ELU)]
    assert not toggles.factorials(settings(variants))


def test_one_toggle_and_three_levels_are_no_factorial():
    for axes in ({CRITICS: [1, 2]}, {CRITICS: [1, 2], "data.batch_size": [1, 2, 4]}):
        assert not toggles.factorials(settings(sweep.grid(["sac"], axes)))


def test_a_factorial_of_some_toggles_averages_over_the_others():
    found = settings(sweep.grid(["sac", "mpo"], {**AXES, "data.batch_size": [1, 2, 4]}))
    made = toggles.factorials_of(
        found, {ELU: ("relu", "elu"), "data.batch_size": ("4", "1")}
    )
    assert [each.algorithm for each in made] == ["sac", "mpo"]
    assert made[0].design.names == (ELU, "data.batch_size")
    assert len(made[0].variants) == 8  # and not those with a batch of 2
    assert made[0].levels["data.batch_size"] == ("1", "4")
    on = [f"{ELU}=elu" in name for name in made[0].variants]
    np.testing.assert_array_equal(made[0].design.rows[:, 0] > 0, on)


def test_the_algorithm_is_a_toggle_too():
    found = settings(sweep.grid(["sac", "mpo"], AXES))
    asked = {CRITICS: ("1", "2"), "algorithm": ("sac", "mpo")}
    (made,) = toggles.factorials_of(found, asked)
    assert made.algorithm == "" and len(made.variants) == 8


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"g_estimate.critic": ("1", "2")}, "did you mean 'g_estimate.critics'"),
        ({CRITICS: ("1", "3")}, "is on in"),
        ({CRITICS: ("3", "4")}, "no variant has"),
    ],
)
def test_toggles_that_are_not_there_are_refused(asked, words):
    found = settings(sweep.grid(["sac"], AXES))
    with pytest.raises(ConfigError, match=words):
        toggles.factorials_of(found, asked)


def test_short_names_are_as_long_as_they_must_be():
    names = ["sac", "sac/a.x.rate=1/b.size=2", "sac/a.y.rate=1/b.size=2"]
    assert list(toggles.short(names).values()) == [
        "sac", "sac/x.rate=1/size=2", "sac/y.rate=1/size=2"
    ]  # fmt: skip
    assert toggles.short(["SAC(D)", "a/b"]) == {"SAC(D)": "SAC(D)", "a/b": "a/b"}
    within = ["v/rate=1", "v/optim.rate=1"]
    assert len(set(toggles.short(within).values())) == 2


def test_labels_are_as_names_have_them():
    assert toggles.label([64, 64]) == "64x64" and toggles.label(None) == "none"
    assert toggles.label(3e-4) == "0.0003" and toggles.label(True) == "True"


def test_variants_of_one_name_on_two_tasks_are_one():
    made = Variant("a", "sac", sweep.presets(["sac"])[0].config)
    assert settings([made]) == {"a": Setting("sac", {})}
