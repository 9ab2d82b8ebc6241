"""Agents on the devices: the suite has two, whatever machine it runs on."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import devices, rng


@pytest.mark.parametrize(("agents", "number"), [(1, 1), (2, 2), (3, 1), (8, 2)])
def test_every_device_has_as_many_agents(agents, number):
    placed = devices.spread(agents, np.zeros((agents, 5)))
    assert devices.mesh(agents).size == number
    assert len(placed.sharding.device_set) == number


def test_no_number_of_agents_takes_longer_than_it_must():
    """By brute force: of all numbers of devices, the smallest with which the fullest
    device has as few agents as it can; and a program of as many slots runs over it."""
    for most in range(1, 17):
        for agents in range(1, 70):
            loads = {d: -(-agents // d) for d in range(1, most + 1)}
            best = min(d for d in loads if loads[d] == min(loads.values()))
            assert devices.filling(agents, most) == best
            slots = devices.slots(agents, best)
            assert devices.dividing(slots, most) == best
            assert agents <= slots < agents + loads[best]
            assert len(devices.filled([0] * agents, best)) == slots
            # a store of before had a divisor: nothing is filled up
            before = devices.dividing(agents, most)
            assert devices.slots(agents, before) == agents
    found = [devices.filling(agents, 8) for agents in (9, 11, 13, 80)]
    assert found == [5, 6, 7, 8]


@pytest.mark.parametrize("agents", [1, 2, 3, 4])
def test_spreading_changes_no_number(agents):
    def scaled(x, by):
        return jax.vmap(lambda row: {"sum": by * jnp.sum(row), "row": row})(x)

    rows = np.arange(agents * 3, dtype=np.float32).reshape(agents, 3)
    spread = jax.jit(devices.spread_out(shared=(1,))(scaled))(rows, np.float32(2))
    for name, expected in scaled(rows, np.float32(2)).items():
        np.testing.assert_array_equal(spread[name], expected)
        assert len(spread[name].sharding.device_set) == devices.mesh(agents).size


def test_a_keyword_is_a_constant():
    spread = devices.spread_out()(lambda x, *, by: x * by)
    np.testing.assert_array_equal(spread(np.ones(2, np.float32), by=3), [3, 3])


def test_no_agent_waits_for_another():
    """A program over both devices has no collective: nothing goes between agents."""

    def gathered(x, i):
        return jax.vmap(lambda row, j: row[j])(x, i)

    program = jax.jit(devices.spread_out()(gathered))
    text = program.lower(np.zeros((4, 8)), np.zeros((4, 2), np.int32)).compile()
    words = ("all-gather", "all-reduce", "all-to-all", "collective-permute")
    assert [word for word in words if word in text.as_text()] == []


@pytest.fixture
def unset(monkeypatch):
    """No number of devices is the user's."""
    for name in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(
    ("name", "value"),
    [("JAX_NUM_CPU_DEVICES", "3"),
     ("XLA_FLAGS", "--xla_force_host_platform_device_count=4")],
)  # fmt: skip
def test_use_cores_leaves_the_users_choice(name, value, monkeypatch):
    told = []
    monkeypatch.setattr(jax.config, "update", lambda *setting: told.append(setting))
    devices.use_cores()
    assert told == [("jax_num_cpu_devices", len(os.sched_getaffinity(0)))]
    monkeypatch.setenv(name, value)
    devices.use_cores()
    devices.use_cores(3)
    assert len(told) == 1


@pytest.mark.usefixtures("unset")
def test_as_many_devices_as_a_run_was_begun_with():
    code = (
        "import jax; from coadapt import devices; devices.use_cores();"
        "devices.use_cores(3); print(jax.local_device_count());"
        "devices.use_cores()"  # too late, and no error
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out == "3\n"


def test_a_users_settings_of_jax_change_no_stream():
    def draw():
        return jax.random.normal(rng.stream(3, rng.Purpose.ACT, 7), (5,))

    expected = draw()
    with jax.threefry_partitionable(False):
        assert not np.array_equal(draw(), expected)
    jax.config.update("jax_default_prng_impl", "rbg")
    jax.config.update("jax_threefry_partitionable", False)
    try:
        rng.pin()
        np.testing.assert_array_equal(draw(), expected)
    finally:
        jax.config.update("jax_default_prng_impl", "threefry2x32")
        rng.pin()


MIB = 2**20


@pytest.fixture
def process(monkeypatch, tmp_path):
    """Of a process with so many MiB and memory maps: whether its programs go."""
    state = {"mib": 300, "freed": 0, "maps": 0, "dropped": 0}
    maps = tmp_path / "maps"

    def make_room(**now):
        state.update(now, dropped=0)
        maps.write_text("one map\n" * state["maps"])
        devices.make_room()
        return state["dropped"]

    def drop():
        state.update(mib=350, dropped=1)

    def trim():  # what was freed, and not given back
        state.update(mib=state["mib"] - state["freed"], freed=0)

    monkeypatch.setattr(devices, "_MAPS", maps)
    monkeypatch.setattr(devices, "_LEAST", [float("inf")])
    monkeypatch.setattr(devices, "_resident", lambda: state["mib"] * MIB)
    monkeypatch.setattr(devices, "_trim", trim)
    monkeypatch.setattr(jax, "clear_caches", drop)
    return make_room


def test_programs_are_dropped_where_a_process_has_gained_much(process):
    assert [process(mib=m) for m in (300, 812, 813)] == [0, 0, 1]
    # it has 350 now, and gains from there; what it gives back counts
    assert [process(mib=m) for m in (862, 863)] == [0, 1]
    assert [process(mib=m) for m in (100, 612, 613)] == [0, 0, 1]


def test_what_was_freed_is_given_back_before_programs_are_dropped(process):
    assert process() == 0
    assert process(mib=2000, freed=1500) == 0
    assert process(mib=2000, freed=1000) == 1


def test_programs_are_dropped_where_they_have_most_of_the_memory_maps(process):
    assert [process(maps=n) for n in (20_000, 20_001)] == [0, 1]


def test_a_system_that_tells_no_maps_has_memory_alone(process, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_MAPS", tmp_path / "none")
    assert process(maps=20_001) == 0


def test_a_program_that_is_dropped_is_compiled_again(monkeypatch):
    """Of this process, and not of a made-up one."""
    program = jax.jit(lambda x: 2 * x)
    assert program(3) == 6
    monkeypatch.setattr(devices, "_LEAST", [float("inf")])
    devices.make_room()  # of nothing, as nothing was gained
    assert program._cache_size() == 1
    # as if all that the process has were programs'
    monkeypatch.setattr(devices, "_LEAST", [-devices.PROGRAMS_BYTES])
    devices.make_room()
    assert program._cache_size() == 0 and program(3) == 6
    assert devices._LEAST[0] > 0


def test_several_agents_start_on_each_of_two_devices():
    """LAPACK's QR, of several layers of several agents at once, waited for ever here.

    At full size, in a process of its own: a hang is a failure after two minutes.
    """
    code = (
        "import jax, numpy as np\n"
        "from coadapt import algorithms, devices, envs, runner, schema\n"
        "jax.config.update('jax_num_cpu_devices', 2)\n"
        "spec, n = envs.spec('toy/lqr'), 4\n"
        "configs = schema.stack([algorithms.preset('ppo')] * n)\n"
        "configs, seeds = devices.spread(n, (configs, np.arange(n, dtype=np.uint32)))\n"
        "obs = np.zeros((n, spec.obs_size), np.float32)\n"
        "size = runner.store_size(configs, spec, 100)\n"
        "for _ in range(3):\n"
        "    found = runner.start(configs, seeds, obs, spec=spec, size=size)\n"
        "    jax.block_until_ready(found)\n"
        "print('started')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert result.stdout == "started\n"


# ---------------------------------------------------------------- in turn


def _count(rate, state, seed, by):
    new = {"sum": state["sum"] + rate * by * seed, "n": state["n"] + 1}
    return 2 * state["sum"], new


def _counters(agents):
    state = {"sum": jnp.arange(agents, dtype=jnp.float32), "n": jnp.zeros(agents)}
    return jnp.linspace(0.1, 0.9, agents), state, jnp.ones(agents), jnp.float32(3.0)


@pytest.mark.parametrize("agents", [1, 2, 5, 6])
@pytest.mark.parametrize("cache", [0, 16, 2**22])  # an agent's state has 8 bytes
def test_agents_in_turn_are_agents_together(agents, cache, monkeypatch):
    monkeypatch.setattr(devices, "_CACHE", cache)
    over = devices.over_agents(_count, shared=(3,), becomes={1: 1})
    args = _counters(agents)
    found = jax.jit(over)(*args)
    jax.tree.map(
        np.testing.assert_array_equal,
        found,
        jax.vmap(_count, (0, 0, 0, None))(*args),
    )


@pytest.mark.parametrize(
    ("agents", "cache", "blocks"),
    [(6, 0, 6), (6, 16, 3), (6, 39, 2), (6, 47, 2), (6, 48, 1), (5, 39, 5), (1, 0, 1)],
)
def test_as_many_at_once_as_the_cache_holds(agents, cache, blocks, monkeypatch):
    """Blocks are even: of 5 agents 4 would fit, but only 1 divides them."""
    monkeypatch.setattr(devices, "_CACHE", cache)
    over = devices.over_agents(_count, shared=(3,), becomes={1: 1})
    text = str(jax.make_jaxpr(over)(*_counters(agents)))
    assert ("scan[" in text) == (blocks > 1)
    assert blocks == 1 or f"length={blocks}" in text
