"""Metrics: which there are, that they are right, and that the others cost nothing."""

import os
import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import cases, small

from coadapt import agent as agents
from coadapt import envs, learn, optim, runner, schema
from coadapt.agent.metrics import dead_share, entropy
from coadapt.data import replay
from coadapt.factors.view import Descent
from coadapt.learn import Clock
from coadapt.metrics import available, registry
from coadapt.metrics.registry import DEFAULT, GROUPS, METRICS
from coadapt.networks import Network
from coadapt.schema import ConfigError

ALL, SPEC = GROUPS["all"], envs.spec("toy/lqr")
EIGHT = {"networks__policy__sizes": (8,), "networks__critic__sizes": (8,)}
PLAIN = schema.override(
    small("ppo", **EIGHT, schedule__critic_steps=1, schedule__policy_steps=1),
    {
        # one step of plain descent each: what moved is rate times the gradient
        **{f"optim.{part}": "SGD" for part in ("policy", "critic")},
        **{f"optim.{part}.momentum": 0.0 for part in ("policy", "critic")},
        **{f"optim.{part}.rate": 1e-3 for part in ("policy", "critic")},
    },
)
# sequences learn in a loop, offline agents in a branch
CASES = {"loop": PLAIN, "branch": small("brac", **EIGHT, pi_p__pretrain_updates=0)}


@pytest.fixture(scope="module", params=cases(CASES, ["branch"]))
def case(request):
    """A config, and what one update of an agent of it reads."""
    config = CASES[request.param]
    state = agents.init(config, SPEC, jax.random.key(0))
    size = replay.size(61, shortest=1)
    rng = np.random.default_rng(0)
    store = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype),
        replay.init(SPEC, size, jnp.zeros(SPEC.obs_size)),
    )
    count = jnp.arange(61, dtype=jnp.int32)
    last = (count + 1) % 30 == 0
    store = store._replace(
        action=jnp.tanh(store.action),
        discount=jnp.ones(61),
        last=last,
        row=count + jnp.cumsum(last, dtype=jnp.int32) - last.astype(jnp.int32),
        head=jnp.int32(63),
        count=jnp.int32(61),
        tail=jnp.int32(0),
    )
    traced = schema.as_traced(config)
    clock = Clock(np.int32(60), np.int32(1))
    return traced, state, store, learn.healthy(), jnp.uint32(3), clock


def compiled(args, log):
    """As users compile it: conftest's older way of writing fusions rounds otherwise."""
    lowered = jax.jit(partial(learn.update, log=log)).lower(*args)
    older = "xla_cpu_use_fusion_emitters=false" in os.environ["XLA_FLAGS"]
    return lowered.compile({"xla_cpu_use_fusion_emitters": True} if older else None)


def instructions(program) -> int:
    return len(re.findall(r"^\s+(?:ROOT )?%?\S+ = ", program.as_text(), re.MULTILINE))


def test_what_is_left_out_is_not_in_the_program(case, monkeypatch):
    """The default is the program of an agent that could tell of nothing more; and
    what is learned does not depend on what is told, to the bit."""
    usual, full = compiled(case, DEFAULT), compiled(case, ALL)
    with monkeypatch.context() as patch:
        patch.setattr(optim, "norm", lambda tree: jnp.zeros(()))
        patch.setattr(Descent, "metrics", {})
        patch.setattr(agents, "update_metrics", lambda *args: {})
        bare = compiled(case, DEFAULT)
    assert instructions(usual) == instructions(bare) < instructions(full)
    (state, health, some), (other, _, every) = usual(*case), full(*case)
    assert bool(health.alive)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(some) < set(every) and set(some) <= set(DEFAULT)
    assert set(every) <= set(available.of(_config(case), SPEC))
    _check_numbers(case, state, every)


def _config(case):
    return next(c for c in CASES.values() if type(c.data) is type(case[0].data))


def _check_numbers(case, after, every):
    config, before = case[0], case[1]
    assert all(np.isfinite(x) or name == "prior_loss" for name, x in every.items())
    # float32 sums of some dozens of squares
    norm = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(after.params.policy)))
    np.testing.assert_allclose(every["policy_norm"], norm, rtol=1e-5)
    if not isinstance(config.optim.policy, optim.SGD):
        return
    for part in ("policy", "critic"):
        moved = jax.tree.map(
            lambda new, old: (old - new) / 1e-3,
            getattr(after.params, part),
            getattr(before.params, part),
        )
        length = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(moved)))
        # parameters of size 1 have 1e-7, and a move of 1e-3 of them 1e-4 of itself
        np.testing.assert_allclose(every[f"{part}_gradient_norm"], length, rtol=1e-2)
    np.testing.assert_array_equal(every["dual_penalty"], after.params.dual["penalty"])


def test_dead_units_are_those_that_no_row_wakes():
    spec, rows = Network(sizes=(4, 4)), jnp.ones((5, 2))
    first = {"kernel": jnp.ones((2, 4)), "bias": jnp.array([0.0, -9.0, 0.0, -1.0])}
    second = {"kernel": jnp.ones((4, 4)), "bias": jnp.array([-99.0, 0.0, 0.0, 0.0])}
    params = {
        "hidden_0": first,
        "hidden_1": second,
        "output": {"kernel": jnp.ones((4, 1)), "bias": jnp.zeros(1)},
    }
    assert dead_share(spec, params, rows) == 2 / 8
    tanh = Network(sizes=(4,), activation="tanh")
    assert dead_share(tanh, params, rows) == 1 / 4  # tanh'(-7) is 3e-6, tanh'(2) 0.07


def test_the_entropy_of_a_gaussian_is_the_closed_form():
    state = agents.init(PLAIN, SPEC, jax.random.key(0))
    obs = jax.random.normal(jax.random.key(1), (4000, SPEC.obs_size))
    dist = agents.policy(PLAIN, state, state.params.policy, obs)
    exact = np.mean(np.log(np.asarray(dist.std)) + 0.5 * np.log(2 * np.pi * np.e))
    found = jax.jit(entropy)(PLAIN, state, obs, jax.random.key(2))
    # -log pi has std sqrt(1/2) nats a state: the mean of 4000 has 0.011
    np.testing.assert_allclose(found, exact, atol=0.05)


@pytest.mark.parametrize("task", ["toy/lqr", "gym/Pendulum-v1"])
def test_episodes_are_told_of_on_the_device_and_on_the_host(task):
    """With a discount of nearly 1, the discounted return is the return, over what
    rewards are divided by before the critic learns from them."""
    changes = {"reward": "BoundReward", "reward.most": 0.01}
    config = schema.override(PLAIN, changes | {"g_estimate.discount": 0.999999})
    if task != "toy/lqr":
        config = schema.override(config, {"data.update_every": 600})
    told = []
    how = {"steps": 5, "eval_every": 5, "eval_episodes": 2, "report": told.append}
    log = ["episodes", "values", "speed"]
    last = runner.train([config], [0], task, log=log, **how)
    (row,) = [report.metrics for report in told]
    assert row["length"] == envs.spec(task).max_steps
    # 200 steps of 1e-6 less each, and float32
    scale = last.learner.agent.rewards.largest / 0.01
    assert scale > 10.0
    gap = row["start_value"] - row["overestimation"]
    np.testing.assert_allclose(gap * scale, row["return"], rtol=1e-3)
    assert abs(row["start_value"]) < 2.0 < abs(row["return"])  # a new critic's
    assert row["steps_per_second"] > 0
    runner.train([config], [0], task, **how)
    assert set(told[-1].metrics) == {"return", "return_std"}
    for name in ("return", "return_std"):
        np.testing.assert_array_equal(told[-1].metrics[name], row[name])


def test_names_groups_and_mistakes():
    assert registry.chosen(["default"]) == DEFAULT and registry.chosen(["all"]) == ALL
    assert registry.chosen([]) == ("return",)  # a cell without a score is none
    found = registry.chosen(["norms", "length"])
    assert found == ("return", "length", *GROUPS["norms"])
    assert not set(GROUPS) & set(METRICS)
    with pytest.raises(ConfigError, match="did you mean 'policy_norm'") as caught:
        registry.chosen(["polcy_norm"])
    assert "\n" not in str(caught.value)
    with pytest.raises(KeyError):
        registry.kept({"no_such_metric": 1.0}, ALL)


def shown() -> str:
    page = (Path(__file__).parents[1] / "docs" / "logging.md").read_text()
    found = re.search(r"<!-- metrics -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.long
def test_the_table_of_the_page_is_generated():
    assert shown() == available.table()


# one of each table's kind: tracing all fifteen takes 20 s
SOME = ("sac", "power", "brac")


def test_the_table_of_the_page_has_all_metrics_and_who_has_them():
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in shown().splitlines()[2:]
    ]
    assert {row[0].strip("`"): row[1:-1] for row in rows} == {
        name: [m.group, m.unit, "yes" if m.default else "", m.about]
        for name, m in METRICS.items()
    }
    for algorithm in SOME:
        listed = set()
        for name, *_, words in rows:
            but = words.startswith("all but ")
            named = words.removeprefix("all but ").split(", ")
            if words == "all" or (algorithm in named) != but:
                listed.add(name.strip("`"))
        assert listed == set(available.of_preset(algorithm))
