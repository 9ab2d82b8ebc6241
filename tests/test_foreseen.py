"""What is certain of agents before they start."""

import dataclasses

import pytest

from coadapt import envs, sweep
from coadapt.config import Config
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec
from coadapt.validation import foreseen
from coadapt.validation.foreseen import Asked

TASK = "toy/lqr"


def said(name, changes=None, *, steps=100_000, every=20_000, task=TASK):
    config = made(name, changes or {}, task)
    return foreseen.notes([Asked(task, name, name, config, steps, every)])


def made(name, changes, task=TASK) -> Config:
    (variant,) = sweep.presets([name], task)
    offline = {"data.dataset": "x"} if name in ("brac", "bear") else {}
    return sweep.change(variant.config, {**offline, **changes})


@pytest.mark.parametrize("name", ["sac", "mpo", "awr", "ppo", "trpo", "vmpo", "brac"])
def test_nothing_is_said_of_a_preset(name):
    assert said(name, steps=1_000_000) == ()


UNREAD = {
    "trpo": ("optim.policy.rate", "pi_q_update is NaturalGradient, which finds the"),
    "power": ("optim.policy.rate", "pi_p_update is ClosedForm, which is no gradient"),
    "reps": ("optim.critic.rate", "g_estimate is DualValue, which is no gradient"),
    "rwr": ("networks.critic.sizes", "with g=LogReward and g_estimate=NoEstimate"),
    "sac": ("optim.critic.rate", ""),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_was_changed_and_is_not_read(name):
    field, why = UNREAD[name]
    value = (7,) if field.endswith("sizes") else 1e-2
    (sentence,) = said(name, {field: value}) or ("",)
    begin = f"{name}: nothing reads {field.rpartition('.')[0]}, as {why}"
    assert sentence.startswith(begin) if why else not sentence


MODEL = {"pi_p.pretrain_updates": 500, "schedule.warm_start": 300}
GUIDED = {  # updates -> the beginning and the end of what is said
    500: ("policy steps of brac on toy/lqr: 0 (the first 500 updates", "will learn)"),
    800: ("brac on toy/lqr: the critic never moves the policy", "there are 800"),
    801: ("", ""),
}


@pytest.mark.parametrize("steps", GUIDED)
def test_a_policy_that_no_critic_moves(steps):
    (sentence,) = said("brac", MODEL, steps=steps) or ("",)
    begin, end = GUIDED[steps]
    assert sentence.startswith(begin) and sentence.endswith(end)
    assert bool(sentence) == bool(begin)
    config = made("brac", MODEL)
    asked = Asked(TASK, "brac", "brac", config, steps, steps)
    assert foreseen.untrained([asked]) == ((sentence,) if sentence else ())


def test_a_schedule_that_was_made_for_other_data():
    """PPO's 320 steps are 10 passes over 2,048 steps by 64."""
    assert said("ppo", {"data.update_every": 512}) == (
        "ppo: schedule.critic_steps makes 40 passes over data.update_every, where the "
        "preset makes 10 (80 steps do) and schedule.policy_steps makes 40 passes over "
        "data.update_every, where the preset makes 10 (80 steps do)",
    )
    right = {"schedule.critic_steps": 80, "schedule.policy_steps": 80}
    assert said("ppo", {"data.update_every": 512, **right}) == ()
    assert said("ppo", {"data.update_every": 4096, "data.batch_size": 128}) == ()
    assert len(said("ppo", {"data.batch_size": 32})) == 1


@pytest.mark.parametrize(
    ("every", "start", "zero"),
    [(200, 200, True), (200, 208, False), (300, 200, False), (400, 200, True)],
)
def test_a_kl_that_is_always_measured_after_a_copy(every, start, zero):
    """An update each 8 steps, a copy each 25 updates: each 200 steps."""
    changes = {
        "target.policy.period": 25,
        "data.learning_starts": start,
        "data.batch_size": 16,
    }
    found = said("mpo", changes, steps=1200, every=every)
    assert len(found) == zero
    assert not zero or "no multiple of 200" in found[0]


def no_choice(monkeypatch, **of):
    like = envs.spec(TASK)
    spec = EnvSpec(**{**dataclasses.asdict(like), **of})
    monkeypatch.setattr(foreseen.envs, "spec", lambda _: spec)
    return said("sac")


def test_a_task_without_a_choice(monkeypatch):
    flat = {"action_size": 3, "action_high": (1.0, 2.0, 3.0)}
    assert no_choice(monkeypatch, **flat, action_low=(1.0, 0.0, 3.0)) == (
        "toy/lqr: low equals high in action dimension 0, 2, so that what is chosen "
        "there changes nothing",
    )
    (sentence,) = no_choice(monkeypatch, **flat, action_low=(1.0, 2.0, 3.0))
    assert sentence.endswith("0, 1, 2, so that all policies are the same")
    (sentence,) = no_choice(
        monkeypatch, num_actions=1, action_size=1, action_low=(), action_high=()
    )
    assert sentence == "toy/lqr: there is one action, so that all policies are the same"


def test_a_minibatch_of_one_has_nothing_to_compare():
    with pytest.raises(ConfigError, match="its one action has weight 1 whatever its G"):
        made("awac", {"data.batch_size": 1})
    made("mpo", {"data.batch_size": 1})  # of each state there are 20
