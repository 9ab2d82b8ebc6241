"""What `config.check` refuses: one test for each of its rules, and no preset."""

import dataclasses

import pytest

from coadapt import algorithms, config, schema
from coadapt.algorithms import PRESETS
from coadapt.schema import ConfigError

TASKS = [(name, task) for name, (_, tasks) in PRESETS.items() for task in tasks]

# Each row: a preset, changes of it, the field that is refused, a part of the reason.
REFUSED = {
    # fields that would be read by nothing
    "climb-baseline": (
        "sac",
        {"g": "Q", "g.baseline": 1},
        "g.baseline",
        "it changes no gradient of a parametric pi_q",
    ),
    "climb-target": (
        "sac",
        {"g": "Q", "g.critic": "target"},
        "g.critic",
        "a parametric pi_q climbs the critic itself, so it must be 'online'",
    ),
    "next-baseline": ("mpo", {"g.baseline": 2}, "g.baseline", "so it must be 0"),
    "one-action-kl": (
        "awac",
        {"pi_q_update.temperature": "KLTemperature"},
        "pi_q_update.temperature",
        "with one action a state the KL is 0",
    ),
    "one-sample-kl": (
        "mpo",
        {"pi_p.samples": 1},
        "pi_q_update.temperature",
        "samples of 2 or more",
    ),
    "temperature-zero": (
        "awac",
        {"pi_q_update.temperature.value": 0.0},
        "pi_q_update.temperature.value",
        "need one above 0",
    ),
    "one-action-state": (
        "awac",
        {"pi_q.normalize": "state"},
        "pi_q.normalize",
        "with one action a state its weight is 1 whatever its G",
    ),
    "bound-loss-inside": (
        "awac",
        {"bounds": "BoundLoss"},
        "bounds",
        "a mean under a tanh never leaves the box",
    ),
    "minimum-of-one": (
        "mpo",
        {"g_estimate.minimum": "mean"},
        "g_estimate.minimum",
        "with g_estimate.critics=2 only",
    ),
    "capacity-below-batch": (
        "sac",
        {"data.capacity": 100},
        "data.capacity",
        "it must be at least data.batch, which is 256",
    ),
    "simultaneous-episodes": (
        "awr",
        {"schedule.simultaneous": True},
        "schedule.simultaneous",
        "the policy's steps follow all of the critic's",
    ),
    "std-range-empty": (
        "sac",
        {"pi_theta.scale.low": 3.0},
        "pi_theta.scale.low",
        "it must be below pi_theta.scale.high",
    ),
    # pi_q is the policy: KL control
    "kl-analytic": (
        "sac",
        {"pi_q_update": "Analytic"},
        "pi_q_update",
        "a parametric pi_q is found by SG, so with pi_q=Parametric it must be Gradient",
    ),
    "kl-prior-policy": (
        "sac",
        {"pi_p": "Policy"},
        "pi_p",
        "KL control holds its prior fixed, so with pi_q=Parametric it must be Uniform",
    ),
    "kl-prior-mixture": ("sac", {"pi_p": "Mixture"}, "pi_p", "must be Uniform"),
    "kl-prior-moves": (
        "sac",
        {"pi_p_update": "Gradient"},
        "pi_p_update",
        "KL control holds its prior fixed, so with pi_q=Parametric it must be Fixed",
    ),
    "kl-episodes": (
        "sac",
        {"data": "Trajectories"},
        "data",
        "reads single transitions, so with pi_q=Parametric it must be Replay",
    ),
    # pi_q is a set of weights: EM control
    "em-gradient": (
        "awac",
        {"pi_q_update": "Gradient"},
        "pi_q_update",
        "so with pi_q=NonParametric it must be Analytic",
    ),
    "em-prior-uniform": (
        "awac",
        {"pi_p": "Uniform"},
        "pi_p",
        "so with pi_q=NonParametric it must be Policy or Mixture",
    ),
    "em-prior-fixed": (
        "mpo",
        {"pi_p_update": "Fixed"},
        "pi_p_update",
        "so with pi_q=NonParametric it must be Gradient",
    ),
    # G and its estimate
    "lambda-of-q": (
        "awac",
        {"g_estimate": "TDLambda"},
        "g_estimate",
        "TDLambda fits the state value of g=Advantage",
    ),
    "td0-of-advantage": ("awr", {"g_estimate": "TD0"}, "g_estimate", "g is Advantage"),
    "q-by-lambda": ("awr", {"g": "Q"}, "g_estimate", "and g is Q"),
    "advantage-by-retrace": (
        "mpo",
        {"g": "Advantage"},
        "g_estimate",
        "Retrace an action value, and g is Advantage",
    ),
    "lambda-of-transitions": (
        "awr",
        {"data": "Replay"},
        "data",
        "TDLambda sums along whole episodes and needs data=Trajectories",
    ),
    "td0-of-episodes": (
        "awac",
        {"data": "Trajectories"},
        "data",
        "bootstrap from a copy and need data=Replay; g_estimate is TD0",
    ),
    "soft-em-stored": ("awac", {"g": "SoftQ"}, "g", "so it needs pi_q=Parametric"),
    "soft-em-fresh": ("mpo", {"g": "SoftQ"}, "g", "so it needs pi_q=Parametric"),
    "retrace-stored": (
        "awac",
        {"g_estimate": "Retrace"},
        "g_estimate",
        "its expectation runs over the M actions of pi_p=Policy; use TD0",
    ),
    "retrace-kl": ("sac", {"g_estimate": "Retrace"}, "g_estimate", "use TD0"),
    "next-without-retrace": (
        "mpo",
        {"g_estimate": "TD0"},
        "pi_p.states",
        "the actions at next states are those of g_estimate=Retrace; use 'current'",
    ),
    "advantage-of-fresh": (
        "awr",
        {"pi_p": "Policy", "pi_p.states": "current"},
        "pi_p",
        "a state value cannot score fresh actions",
    ),
    # the box
    "weights-under-tanh": (
        "mpo",
        {"pi_theta": "TanhGaussian"},
        "bounds",
        "actions of a TanhGaussian never leave the box, so it must be none",
    ),
    "loss-under-tanh": ("awr", {"pi_theta": "TanhGaussian"}, "bounds", "must be none"),
    "cost-under-tanh": ("sac", {"bounds": "BoundCost"}, "bounds", "must be none"),
    "weights-of-stored": (
        "awac",
        {"bounds": "BoundWeights"},
        "bounds",
        "its weights compare the actions of a state",
    ),
    "weights-of-kl": (
        "sac",
        {"pi_theta": "Gaussian", "bounds": "BoundWeights"},
        "bounds",
        "compare the actions of a state",
    ),
    "cost-of-em": ("awr", {"bounds": "BoundCost"}, "bounds", "use BoundLoss"),
    # target networks
    "trust-in-nothing": (
        "mpo",
        {"target.policy": "none"},
        "target.policy",
        "a trust region is measured from the target policy; use Hard or Soft",
    ),
    "td0-without-copy": (
        "sac",
        {"target.critic": "none"},
        "target.critic",
        "one-step targets bootstrap from a target critic",
    ),
    "lambda-with-copy": (
        "awr",
        {"target.critic": "Soft"},
        "target.critic",
        "lambda-returns from the critic itself (none)",
    ),
    "next-by-online": (
        "mpo",
        {"g.critic": "online"},
        "g.critic",
        "at pi_p.states='next' the actions were scored by the target critic",
    ),
}

# Meaningful neighbours of the refused ones: the same field, set right.
ACCEPTED = {
    "sac-single": ("sac", {"g_estimate.critics": 1}),
    "sac-free": ("sac", {"pi_theta": "Gaussian", "bounds": "BoundCost"}),
    "sac-mean": ("sac", {"pi_theta": "Gaussian", "bounds": "BoundLoss"}),
    "sac-constant": ("sac", {"pi_q_update.temperature": "ConstantTemperature"}),
    "kl-of-q": ("sac", {"g": "Q"}),
    "mpo-double": ("mpo", {"g_estimate.critics": 2}),
    "mpo-double-mean": (
        "mpo",
        {"g_estimate.critics": 2, "g_estimate.minimum": "mean"},
    ),
    "mpo-tanh": ("mpo", {"bounds": "none", "pi_theta": "TanhGaussian"}),
    "mpo-mean": ("mpo", {"bounds": "BoundLoss"}),
    "mpo-free-step": ("mpo", {"pi_p_update.trust_region": "none"}),
    "mpo-current": ("mpo", {"pi_p.states": "current", "g.critic": "online"}),
    "mpo-td0": (
        "mpo",
        {"pi_p.states": "current", "g_estimate": "TD0", "g.critic": "online"},
    ),
    "awr-tanh": ("awr", {"bounds": "none", "pi_theta": "TanhGaussian"}),
    "awac-trusted": (
        "awac",
        {"pi_p_update.trust_region": "DecoupledKL", "target.policy": "Soft"},
    ),
    "awac-net": ("awac", {"networks.input_norm": "InputNorm"}),
}


def altered(name: str, changes: dict[str, object]) -> config.Config:
    return schema.override(algorithms.preset(name), changes)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_passes(name):
    config.check(algorithms.preset(name))


@pytest.mark.parametrize(
    "name, task", TASKS, ids=[f"{name}-{task}" for name, task in TASKS]
)
def test_every_preset_passes_on_its_tasks(name, task):
    config.check(algorithms.preset(name, task))


@pytest.mark.parametrize("case", list(ACCEPTED))
def test_a_meaningful_change_passes(case):
    config.check(altered(*ACCEPTED[case]))


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_meaningless_change_is_refused_by_its_field(case):
    name, changes, field, reason = REFUSED[case]
    with pytest.raises(ConfigError) as error:
        config.check(altered(name, changes))
    message = str(error.value)
    assert message.startswith(f"{field} is ")
    assert reason in message
    assert message.endswith(".") and "\n" not in message  # one sentence, on one line


def test_what_came_is_said():
    with pytest.raises(ConfigError, match=r"^pi_p\.states is 'next': "):
        config.check(altered("mpo", {"g_estimate": "TD0"}))
    with pytest.raises(ConfigError, match=r"^target\.policy is None: "):
        config.check(altered("mpo", {"target.policy": None}))


@pytest.mark.parametrize(
    "path, value",
    [
        ("g_estimate.discount", 1.0),
        ("g_estimate.critics", 3),
        ("optim.policy.rate", 0.0),
        ("optim.policy.rate", float("nan")),
        ("data.batch", 0),
        ("target.critic.rate", 1.5),
    ],
)
def test_a_value_out_of_range_is_refused_before_any_rule(path, value):
    """Whoever replaced it without `override`, which would have refused it already."""
    parents = path.split(".")
    broken = _replace(algorithms.preset("sac"), parents, value)
    with pytest.raises(ConfigError) as error:
        config.check(broken)
    assert str(error.value).startswith(f"{path} is ")


def _replace(value, names, leaf):
    if not names:
        return leaf
    inner = _replace(getattr(value, names[0]), names[1:], leaf)
    return dataclasses.replace(value, **{names[0]: inner})


@pytest.mark.parametrize("name", ["mpoo", "ppo", ""])
def test_an_unknown_preset_is_refused(name):
    with pytest.raises(ConfigError, match="it must be one of mpo, awr, awac, sac"):
        algorithms.preset(name)


def test_the_longest_prefix_of_a_task_counts():
    tasks = {"gym/A": {"x": 1}, "gym/Ant": {"x": 2}, "dmc/": {"x": 3}}
    assert algorithms.for_task(tasks, "gym/Ant-v5") == {"x": 2}
    assert algorithms.for_task(tasks, "gym/Acrobot-v1") == {"x": 1}
    assert algorithms.for_task(tasks, "toy/lqr") == {}
    assert algorithms.for_task(tasks, None) == {}
