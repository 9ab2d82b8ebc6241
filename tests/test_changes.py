"""Mistyped, foreign and misplaced paths: what is said, and whether it leads on."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from recipes import cases

import coadapt
from coadapt import algorithms, aliases, changes, schema
from coadapt.algorithms import PRESETS
from coadapt.config import Config
from coadapt.runs import migrations
from coadapt.schema import ConfigError
from coadapt.system import notes


def preset(name: str) -> Config:
    """One that is valid, so that only what is changed can be wrong."""
    config = algorithms.preset(name)
    offline = hasattr(config.data, "dataset")
    return schema.override(config, {"data.dataset": "a/b-v0"} if offline else {})


def said(config: Config, path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        changes.change(config, {path: None})
    return str(caught.value)


FOREIGN = [
    ("sac", "discount", "did you mean 'g_estimate.discount'?"),
    ("sac", "gamma", "did you mean 'g_estimate.discount'?"),
    ("sac", "g_estimate.gamma", "did you mean 'g_estimate.discount'?"),
    ("sac", "lr", "did you mean 'optim.policy.rate' or 'optim.critic.rate'?"),
    ("sac", "optim.critic.lr", "); did you mean 'optim.critic.rate'?"),
    ("sac", "policy.learning_rate", "); did you mean 'optim.policy.rate'?"),
    ("ppo", "batch_size", "did you mean 'data.batch_size'?"),
    ("awr", "learning_starts", "did you mean 'data.learning_starts'?"),
    ("ppo", "learning_starts", "Replay, Trajectories have it, but data cannot be"),
    ("mpo", "tau", "it is 'target.critic.rate' here: Soft has it: set target.critic="),
    ("ppo", "tau", "Soft has it, but target.critic cannot be that in this config"),
    ("ppo", "clip_range", "set pi_q_update.trust_region=ClippedRatio first"),
    ("ppo", "ent_coef", "have it, but pi_q_update cannot be that in this config"),
    ("sac", "ent_coef", "did you mean 'pi_q_update.temperature'?"),
    ("sac", "critics", "did you mean 'g_estimate.critics'?"),
    ("sac", "discuont", "did you mean 'g_estimate.discount'?"),
    ("sac", "g_estimate.critcs", "did you mean 'critics'?"),
    ("sac", "g_estimate.lamda", "'lam'? Retrace, TDLambda, GAE have it, but"),
    (
        "trpo_table1",
        "g_estimate.lamda",
        "did you mean 'lam'? Retrace, TDLambda, GAE have it:",
    ),
    ("sac", "xyzzy", "schedule, eval_policy, reward, exploration)"),
]


@pytest.mark.parametrize(("name", "path", "words"), FOREIGN)
def test_other_programs_names_are_found(name, path, words):
    assert words in said(preset(name), path)


def test_the_public_override_says_the_same():
    config = preset("sac")
    with pytest.raises(ConfigError) as caught:
        coadapt.override(config, {"gamma": 0.9})
    assert str(caught.value) == said(config, "gamma")


def test_a_hint_of_a_class_counts_on_the_changes_beside_it():
    """An estimate of REPS's that has no dual needs a critic's steps, and no dual."""
    config = preset("reps")
    more = {
        "schedule.critic_steps": 5,
        "pi_q_update.temperature": "ConstantTemperature",
    }
    path = "g_estimate.lam"
    assert said(config, path).endswith("cannot be that in this config.")
    with pytest.raises(ConfigError, match="set g_estimate=TDLambda first"):
        changes.change(config, {path: 0.9, **more})
    changes.change(config, {"g_estimate": "TDLambda", path: 0.9, **more})


def test_a_later_mistake_is_not_held_against_a_hint():
    with pytest.raises(ConfigError, match="set pi_theta=TanhGaussian first"):
        changes.change(preset("awr"), {"pi_theta.inverse": "clip", "foo": 1})


# ---------------------------------------------------------------- all that can be asked


def unions(config: Any, at: str = "") -> Iterator[tuple[str, type, tuple[type, ...]]]:
    """Each path of a config that may be of several classes: what it is, and may be."""
    for field in schema.fields(type(config)):
        value, path = getattr(config, field.name), f"{at}{field.name}"
        if field.classes:
            yield path, type(value), field.classes
        if type(value) in field.classes:
            yield from unions(value, f"{path}.")


def names(cls: type) -> list[str]:
    return [field.name for field in schema.fields(cls)]


def valid(config: Config, path: str, cls: type) -> Config | None:
    try:
        return changes.change(config, {path: cls})
    except ConfigError:
        return None


# a usual run has one of each of the data's kinds, and of the networks'
KINDS = ("sac", "mpo", "ppo", "awr", "reps", "bear", "crossq", "sac_simbav2")


@pytest.mark.parametrize(
    "name", cases(algorithms.PRESETS, set(algorithms.PRESETS) - {*KINDS})
)
def test_each_hint_leads_to_a_valid_config_or_says_that_none_does(name):
    config = preset(name)
    for parent, now, classes in unions(config):
        own = names(now) if now in classes else []
        fits = {cls for cls in classes if valid(config, parent, cls)}
        for field in dict.fromkeys(f for cls in classes for f in names(cls)):
            older = aliases.RENAMED.get(getattr(now, "__name__", ""), {})
            if field in own or field in older:
                continue
            words = said(config, f"{parent}.{field}")
            found = re.search(r"(?:has|have) it: set (\S+)=(\w+) first\.$", words)
            fitting = [c.__name__ for c in fits if field in names(c)]
            if not fitting:
                assert words.endswith(f", but {parent} cannot be that in this config.")
                continue
            assert found, words
            assert found[1] == parent and found[2] in fitting
            made = changes.change(config, {found[1]: found[2]})
            path = f"{parent}.{field}"
            assert any(f"{p}.".startswith(f"{path}.") for p, _ in schema.paths(made))


ETA, TRUST = "pi_q_update.temperature", "pi_p_update.trust_region"
OLDER = [  # today's path is set, and stderr says which that is
    ("sac", "data.batch", 32, "data.batch_size"),
    ("sac", "data.steps", "2", "data.update_every"),
    ("sac", "data.start", "5", "data.learning_starts"),
    ("sac", "data.warmup", "5", "data.random_steps"),
    ("trpo", "data.policy_batch", "500", "data.policy_batch_size"),
    ("trpo", "pi_q_update.radius", "0.02", "pi_q_update.max_kl"),
    ("trpo", "pi_q_update.halvings", "3", "pi_q_update.max_backtracks"),
    ("trpo", "greedy", "Sampled", "eval_policy"),
    ("bear", "greedy.samples", "3", "eval_policy.samples"),
    ("vmpo", "pi_q.keep", "0.25", "pi_q.top_fraction"),
    ("brac", "pi_p.steps", "7", "pi_p.pretrain_updates"),
    ("brac", "pi_p.follow", "true", "pi_p.keep_fitting"),
    ("mpo", f"{ETA}.floor", "clamp", f"{ETA}.floor_rule"),
    ("mpo", f"{TRUST}.floor", "clamp", f"{TRUST}.floor_rule"),
    ("mpo", "bounds.floor", "clamp", "bounds.floor_rule"),
    ("mpo", "pi_theta.scale.floor", "0.1", "pi_theta.scale.std_offset"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "value", "now"), OLDER)
def test_an_older_versions_name_is_understood(name, path, value, now, capsys):
    config, note_once = preset(name), notes.note_once
    note_once.cache_clear()
    made = changes.override(config, {path: value})
    moved = f"{path.removesuffix('.samples')} is called {now.removesuffix('.samples')}"
    assert f"{moved} now.\n" == capsys.readouterr().err
    assert schema.to_dict(made) == schema.to_dict(
        changes.override(config, {now: value})
    )
    assert schema.to_dict(made) != schema.to_dict(config)
    assert capsys.readouterr().err == ""


def test_files_of_an_older_version_are_read_by_its_names():
    """All fields that have been renamed, in a file of a user's and in a store."""
    renamed = set()
    joint = {"pi_p_update.trust_region": "JointKL"}
    for config in [*map(preset, PRESETS), changes.override(preset("mpo"), joint)]:
        today = schema.to_dict(config)
        older, found = before(today, "Config")
        renamed |= found
        assert schema.to_dict(schema.from_dict(Config, older)) == today
        assert migrations.migrated(older, 3) == today
    fields = {(kind, old) for kind, names in aliases.RENAMED.items() for old in names}
    assert fields - renamed == set()


def before(part: Any, kind: str) -> tuple[Any, set[tuple[str, str]]]:
    """A config as it was written before, and the fields that had another name."""
    if not isinstance(part, dict):
        return part, set()
    was = {now: old for old, now in aliases.RENAMED.get(kind, {}).items()}
    found = {(kind, was[name]) for name in part if name in was}
    made = {}
    for name, value in part.items():
        inner = value.get("kind", "") if isinstance(value, dict) else ""
        made[was.get(name, name)], more = before(value, inner)
        found |= more
    return made, found


def test_the_table_of_names_leads_to_fields_that_there_are():
    """By class: whatever the factors are, there is a config with each path."""

    def below(cls: type, at: str) -> Iterator[str]:
        for field in schema.fields(cls):
            yield f"{at}{field.name}"
            for other in field.classes:
                yield from below(other, f"{at}{field.name}.")

    known = {*below(Config, "")}
    assert {p for paths in aliases.FIELDS.values() for p in paths} - known == set()
    assert aliases.FIELDS.keys() & known == set()  # else it would never be looked up
