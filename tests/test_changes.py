"""Mistyped, foreign and misplaced paths: what is said, and whether it leads on."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

import coadapt
from coadapt import algorithms, aliases, changes, schema
from coadapt.config import Config
from coadapt.schema import ConfigError


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
    ("ppo", "batch_size", "did you mean 'data.batch'?"),
    ("awr", "learning_starts", "did you mean 'data.start'?"),
    ("ppo", "learning_starts", "Replay, Trajectories have it, but data can not be"),
    ("mpo", "tau", "it is 'target.critic.rate' here: Soft has it: set target.critic="),
    ("ppo", "tau", "Soft has it, but target.critic can not be that in this config"),
    ("ppo", "clip_range", "set pi_q_update.trust_region=ClippedRatio first"),
    ("ppo", "ent_coef", "have it, but pi_q_update can not be that in this config"),
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
    ("sac", "xyzzy", "schedule, greedy)"),
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
    assert said(config, path).endswith("can not be that in this config")
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


@pytest.mark.parametrize("name", algorithms.PRESETS)
def test_each_hint_leads_to_a_valid_config_or_says_that_none_does(name):
    config = preset(name)
    for parent, now, classes in unions(config):
        own = names(now) if now in classes else []
        fits = {cls for cls in classes if valid(config, parent, cls)}
        for field in dict.fromkeys(f for cls in classes for f in names(cls)):
            if field in own:
                continue
            words = said(config, f"{parent}.{field}")
            found = re.search(r"(?:has|have) it: set (\S+)=(\w+) first$", words)
            fitting = [c.__name__ for c in fits if field in names(c)]
            if not fitting:
                assert words.endswith(f", but {parent} can not be that in this config")
                continue
            assert found, words
            assert found[1] == parent and found[2] in fitting
            made = changes.change(config, {found[1]: found[2]})
            path = f"{parent}.{field}"
            assert any(f"{p}.".startswith(f"{path}.") for p, _ in schema.paths(made))


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
