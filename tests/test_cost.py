"""Counted arithmetic against the compiled program's, and the benchmark's rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import cases

from coadapt import algorithms, devices, learn, runner, schema
from coadapt.bench import cost, env_throughput, update_throughput
from coadapt.cli import bench
from coadapt.data import replay


@pytest.mark.parametrize(
    ("name", "expected"), [("mpo", 5.0e9), ("sac", 0.58e9)], ids=["mpo", "sac"]
)
def test_count_is_the_formula_of_the_settings(name, expected):
    """MPO with the policy network on B rows, SAC without unused weight gradients."""
    counted = cost.update_flops(algorithms.preset(name), update_throughput.SPEC)
    assert counted == pytest.approx(expected, rel=0.02)  # the formulas have two digits


COUNTED = {name: {} for name in ("mpo", "sac", "awac")}
COUNTED["mpo, traces"] = {"g_estimate.steps": 3}


@pytest.mark.parametrize("name", cases(COUNTED, ["awac", "mpo, traces"]))
def test_compiled_update_does_little_more_than_the_count(name):
    """At most 1.15 times the products; what is above them is elementwise work.

    A tenth of the batch: the ratio is of rows, and this size compiles as fast but runs
    in less memory.
    """
    preset, *_ = name.split(",")
    changes = COUNTED[name] | {"data.batch_size": 32}
    config = schema.override(algorithms.preset(preset), changes)
    configs, seeds = schema.stack([config]), jnp.zeros(1, jnp.uint32)
    obs = jnp.zeros((1, update_throughput.SPEC.obs_size))
    size = replay.size(1000, log_prob=config.g_estimate.reads_log_prob)
    shapes = runner.start.eval_shape(
        configs, seeds, obs, spec=update_throughput.SPEC, size=size
    )
    clock = learn.Clock(np.int32(1000), np.int32(1))
    program = runner.update.lower(configs, *shapes, seeds, clock).compile()
    done = program.cost_analysis()["flops"]
    counted = cost.update_flops(config, update_throughput.SPEC)
    # Adam and the targets touch every parameter once an update, whatever the batch:
    # some 20 operations each, which 256 rows would hide
    parameters = sum(x.size for x in jax.tree.leaves(shapes.agent.params))
    assert counted <= done <= 1.15 * counted + 20 * parameters


def test_a_frozen_replay_has_what_a_trace_reads():
    mpo, key = algorithms.preset("mpo"), jax.random.key(0)
    traced = schema.override(mpo, {"g_estimate.steps": 2})
    for config, has in ((mpo, False), (traced, True)):
        store = jax.eval_shape(partial(update_throughput._frozen_replay, config), key)
        assert (store.log_prob is not None) == has


def test_bench_prints_a_row_for_each_number_of_agents(capsys):
    tiny = "networks.policy.sizes=8,8", "networks.critic.sizes=8,8", "data.batch_size=8"
    flags = [f"--set={change}" for change in tiny]
    assert bench.main(["--algorithms=sac", "--agents=1,2", "--rounds=1", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert [line.split()[:2] for line in lines[1:]] == [["sac", "1"], ["sac", "2"]]
    for line in lines[1:]:
        seconds, cpu, ms, cpu_ms = map(float, line.split()[2:6])
        # no more than all cores' time
        assert 0 <= cpu <= devices.cores() * seconds + 0.2  # rounded, to 0 where kept
        assert 0 < cpu_ms <= devices.cores() * ms + 0.02


def test_a_call_of_the_bench_makes_as_many_updates_as_it_counts():
    small = {f"networks.{net}.sizes": (8,) for net in ("policy", "critic")}
    config = schema.override(algorithms.preset("sac"), small | {"data.batch_size": 8})
    race = update_throughput.Race(config, 2, at_once=3)
    race.round(0.0)  # one call to see how long it takes, one that is timed
    made = {
        int(n)
        for path, x in jax.tree.leaves_with_path(race.learner.agent.opt)
        if "count" in jax.tree_util.keystr(path)
        for n in np.ravel(x)
    }
    assert race.number == 6 and made == {6}


def test_bench_has_the_products_alone(capsys):
    assert bench.main(["--products=32,64", "--rounds=1"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    rows = [(line[:7].strip(), line.split()[-4]) for line in lines]
    assert rows == [(p, w) for w in ("32", "64") for p in update_throughput.PRODUCTS]
    assert all(float(line.split()[-3]) > 0 for line in lines)  # GFLOP/s


def test_the_products_are_those_of_a_layer():
    """y = x w, and what jax.grad makes of it."""
    key = jax.random.key(0)
    x, w, y = (jax.random.normal(key, (4, 4)) for _ in range(3))
    out, pull = jax.vjp(lambda x, w: x @ w, x, w)
    expected = {"x w": out, **dict(zip(("y w^T", "x^T y"), pull(y), strict=True))}
    for name, product in update_throughput.PRODUCTS.items():
        assert jnp.allclose(product(x, w, y), expected[name], rtol=1e-6), name


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--agents=1,x", "--agents is '1,x'"),
        ("--agents=0", "--agents is '0'"),
        ("--products=64,y", "--products is '64,y'"),
        ("--algorithms=sca", "did you mean 'sac'?"),
        ("--set=data.batch_size=0", "data.batch_size is"),
    ],
)
def test_bench_refuses_bad_input(flag, sentence, capsys):
    assert bench.main([flag]) == 2
    assert sentence in capsys.readouterr().err


def test_bench_has_the_rates_of_environments_beside_others(capsys, monkeypatch):
    monkeypatch.setattr(env_throughput, "SECONDS", 0.01)
    tasks = "gym/HalfCheetah-v5,dmc/pendulum_swingup,gym/CartPole-v1"
    assert bench.main([f"--envs={tasks}", "--agents=1,2", "--rounds=1"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert [row[0] for row in cells] == [t for t in tasks.split(",") for _ in "12"]
    assert [row[1] for row in cells] == ["1", "2"] * 3
    given = [[cell != "-" for cell in row[2:]] for row in cells[::2]]
    # ours, loop, sync, async, physics, of the physics
    assert given == [
        [True] * 6,
        [True, True, False, False, True, True],
        [True] + [False] * 5,
    ]
    # in thousands a second, so that a loaded machine may well show 0.0
    assert all(float(cell) >= 0 for row in cells for cell in row[2:7] if cell != "-")
