"""How fast updates are, beside what the machine's matrix products allow."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import devices, envs, runner, schema
from coadapt.bench import cost
from coadapt.config import Config, Trajectories
from coadapt.data import replay
from coadapt.learn import Clock
from coadapt.tasks import registry
from coadapt.types import EnvSpec

SPEC = EnvSpec(  # the shapes of HalfCheetah
    task="random/17-6", obs_size=17, action_size=6, max_steps=100, provider="random"
)
STEPS = 10_000  # transitions in the frozen replay
LOOP = 100_000  # env steps of a loop on a task, of which only the first are made
_REPEATS = 50  # of a product, in a call


class Speed(NamedTuple):
    """One row of the benchmark: medians over the rounds."""

    agents: int
    compile: float  # seconds
    compile_cpu: float  # seconds of CPU time, of all threads
    update: float  # seconds for one update of all agents
    update_cpu: float  # seconds of CPU time: beside other programs it says more
    flops: int  # floating-point operations in it, counted from the networks' shapes
    limit: float  # of the machine's float32 matrix products in the same rounds, per s
    held: int  # bytes of all devices that an update holds beside agents and replays

    @property
    def updates(self) -> float:
        """Agent-updates a second."""
        return self.agents / self.update

    @property
    def fraction(self) -> float:
        """Of the limit."""
        return self.flops / self.update / self.limit


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - begin


def matmul_rate() -> float:
    """Float32 operations a second of one large product: the best of BLAS and XLA.

    On an accelerator XLA's alone, at the precision that JAX is set to.
    """
    accelerated = jax.default_backend() != "cpu"
    size = 8192 if accelerated else 1536  # rows that fill it
    b = jax.random.normal(jax.random.key(0), (size, size))
    works: list[Callable[[], object]] = [lambda: jnp.matmul(b, b)]
    if not accelerated:
        a = np.asarray(b)
        works.append(lambda: a @ a)
    return 2 * size**3 / min(_seconds(work) for work in works for _ in range(3))


def _frozen_replay(config: Config, key: jax.Array) -> replay.Store:
    """A full store of noise, in episodes of `max_steps`."""
    keys, capacity = jax.random.split(key, 3), STEPS
    likely = config.g_estimate.reads_log_prob
    count = jnp.arange(capacity, dtype=jnp.int32)
    last = (count + 1) % SPEC.max_steps == 0
    ends = jnp.cumsum(last) - last.astype(jnp.int32)
    return replay.Store(
        obs=jax.random.normal(keys[0], (replay.size(capacity).rows, SPEC.obs_size)),
        action=jax.random.uniform(keys[1], (capacity, SPEC.action_size), minval=-1.0),
        reward=jax.random.normal(keys[2], (capacity,)),
        discount=jnp.ones(capacity),
        last=last,
        row=count + ends.astype(jnp.int32),
        head=jnp.int32(capacity + capacity // SPEC.max_steps),
        count=jnp.int32(capacity),
        tail=jnp.int32(0),
        log_prob=jnp.zeros(capacity) if likely else None,
    )


class Race:
    """Compiled updates of N agents, and what one takes.

    One update a call, each agent with a replay of its own, or many, as of a data set.
    """

    def __init__(self, config: Config, agents: int, at_once: int = 1):
        configs, self.seeds = devices.spread(
            agents, (schema.stack([config] * agents), np.arange(agents, dtype="u4"))
        )
        learner = runner.start(
            configs, self.seeds, np.zeros((agents, SPEC.obs_size), np.float32),
            spec=SPEC, size=replay.size(STEPS),
        )  # fmt: skip
        stored = partial(_frozen_replay, config)
        if at_once == 1:
            keys = jax.random.split(jax.random.key(0), agents)
            store = devices.spread(agents, jax.vmap(stored)(keys))
        else:
            store = stored(jax.random.key(0))
        self.configs, self.learner = configs, learner._replace(store=store)
        self.agents, self.config, self.number = agents, config, 0
        self.at_once = at_once
        begin, cpu = time.perf_counter(), time.process_time()
        of = runner.update if at_once == 1 else runner.iterate_offline
        self.program = of.lower(*self._arguments()).compile()
        self.compile = time.perf_counter() - begin
        self.compile_cpu = time.process_time() - cpu
        held: Any = self.program.memory_analysis()
        self.held = held.temp_size_in_bytes * devices.mesh(agents).size
        self.times: list[float] = []
        self.cpu_times: list[float] = []

    def _arguments(self) -> tuple:
        clock = Clock(np.int32(STEPS), np.int32(self.number))
        found = (self.configs, *self.learner, self.seeds, clock)
        return found if self.at_once == 1 else (*found, np.int32(self.at_once))

    def step(self) -> jax.Array:
        """One call: returns a metric, to wait for."""
        state, health, metrics = self.program(*self._arguments())
        self.number += self.at_once
        self.learner = self.learner._replace(agent=state, health=health)
        return next(iter(metrics.values()))

    def round(self, seconds: float) -> None:
        """Updates for about so long, one after another, timed together."""
        once = _seconds(self.step)
        repeats = max(int(seconds / once), 1)
        cpu = time.process_time()
        took = _seconds(lambda: [self.step() for _ in range(repeats)])
        self.times.append(took / repeats / self.at_once)
        took = time.process_time() - cpu
        self.cpu_times.append(took / repeats / self.at_once)


# The three products of a layer: what it gives, and the gradients of its inputs and of
# its weights. x, y [batch, width], w [width, width].
PRODUCTS: dict[str, Callable] = {
    "x w": lambda x, w, y: x @ w,
    "y w^T": lambda x, w, y: y @ w.T,
    "x^T y": lambda x, w, y: x.T @ y,
}


class ProductSpeed(NamedTuple):
    """A product of a layer, and nothing else: medians over the rounds."""

    name: str  # of PRODUCTS
    width: int
    rate: float  # float32 operations a second, all devices together
    limit: float  # of the machine's large products in the same rounds

    @property
    def fraction(self) -> float:
        """Of the limit: what an update of nothing but such products could reach."""
        return self.rate / self.limit


def measure_products(
    widths: Sequence[int], *, agents: int = 8, batch: int = 256, rounds: int = 5
) -> Iterator[ProductSpeed]:
    """XLA's products of layers so wide, alone: of the twin critics of all agents, which
    are spread over the devices, and come one after the other so that they stay in the
    cache, as in an update. Many are one call.
    """

    def race(product: Callable, width: int) -> Callable[[], object]:
        x, w = (jnp.ones((agents, 2, n, width)) for n in (batch, width))
        arrays = devices.spread(agents, (x, w, x))

        def again(_: int, carry):  # the barrier makes each wait for the last
            factors, _ = jax.lax.optimization_barrier(carry)
            return factors, jax.vmap(product)(*factors)

        def of_agent(factors):
            first = factors, jax.vmap(product)(*factors)
            return jax.lax.fori_loop(1, _REPEATS, again, first)[1]

        of_all = devices.spread_out()(lambda *own: jax.lax.map(of_agent, own))
        program = jax.jit(of_all).lower(*arrays).compile()
        return lambda: program(*arrays)

    races = {(n, w): race(p, w) for w in widths for n, p in PRODUCTS.items()}
    times: dict[tuple[str, int], list[float]] = {key: [] for key in races}
    limits = []
    for _ in range(rounds):
        limits.append(matmul_rate())
        for key, work in races.items():
            times[key].append(_seconds(work) / _REPEATS)
    for (name, width), took in times.items():
        flops = agents * 2 * 2 * batch * width**2
        rate = flops / float(np.median(took))
        yield ProductSpeed(name, width, rate, float(np.median(limits)))


def measure(
    config: Config,
    agents: Sequence[int],
    *,
    rounds: int = 5,
    seconds: float = 1.0,
    at_once: int = 1,
) -> Iterator[Speed]:
    """Updates of one config for each number of agents, on a frozen random replay.

    The rounds of all numbers and of the matrix product alternate, so that a machine
    whose speed drifts slows all of them. Shapes are HalfCheetah's (17 observations, 6
    actions). So many updates `at_once` are one call, as of a run on a data set.
    Config.data=Trajectories relabels 10,000 steps in each update, which its arithmetic
    does not count.
    """
    races = [Race(config, n, at_once) for n in agents]
    rates = []
    for _ in range(rounds):
        rates.append(matmul_rate())
        for race in races:
            race.round(seconds)
    for race in races:
        flops = race.agents * cost.update_flops(config, SPEC)
        yield Speed(
            race.agents,
            race.compile,
            race.compile_cpu,
            float(np.median(race.times)),
            float(np.median(race.cpu_times)),
            flops,
            float(np.median(rates)),
            race.held,
        )


def update_seconds(
    config: Config, agents: int, seconds: float = 0.5, at_once: int = 1
) -> float:
    """Of one update of so many agents: as `measure`, once and for about so long."""
    race = Race(config, agents, at_once)
    race.round(seconds)
    return race.times[0]


class Overhead(NamedTuple):
    """What acting, stepping and storing add to the updates. Medians over the rounds."""

    agents: int
    step: float  # seconds from one update to the next, env steps included
    update: float  # seconds of the update alone

    @property
    def fraction(self) -> float:
        """Of the update's own time."""
        return self.step / self.update - 1


def require_host(task: str) -> None:
    """Raises: ConfigError if there is no such task, or it is not on the host."""
    registry.spec_of(task)
    if not envs.on_host(task):
        raise schema.ConfigError(f"task is {task!r}: it must be a task of the host.")


def start_loop(config: Config, task: str, agents: int, steps: int) -> runner.Loop:
    """Agents at the start of a run of so many steps."""
    stacked, spec = schema.stack([config] * agents), envs.spec(task)
    about = runner.Program(stacked, np.arange(agents, dtype="u4"), task, spec, 1)
    return runner.loop(about, steps, None)


def measure_overhead(
    config: Config, task: str, agents: Sequence[int], *, rounds: int = 5
) -> Iterator[Overhead]:
    """The loop on a host task, against its updates alone, in alternating rounds.

    Updates start at once, so that nothing is waited for: `data.learning_starts` and
    `random_steps` are replaced.

    Raises:
        ConfigError: if the task is not on the host.
    """
    require_host(task)
    early = {"data.learning_starts": 300, "data.random_steps": 300}
    known = dict(schema.paths(config))
    config = schema.override(config, {k: v for k, v in early.items() if k in known})
    period, at_once = config.data.period, config.data.updates_at_once
    begin = -(-300 // period) * period + period
    for number in agents:
        loop = start_loop(config, task, number, LOOP)
        assert isinstance(loop, runner.HostLoop)
        updates = loop.advance(0, begin, 0)
        repeats = max(40 // number, 4)
        times: list[tuple[float, float]] = []
        for _ in range(rounds + 1):  # the first compiles
            end = begin + repeats * period
            whole = _seconds(partial(_advance, loop, begin, end, updates))
            alone = _seconds(partial(_learn, loop, repeats * at_once))
            times.append((whole / repeats, alone / repeats))
            begin = end
        loop.close()
        whole, alone = np.median(np.asarray(times[1:]), axis=0)
        yield Overhead(number, float(whole), float(alone))


def _advance(loop: runner.HostLoop, begin: int, end: int, updates: int):
    loop.advance(begin, end, updates)
    return loop.learner.agent


def _learn(loop: runner.HostLoop, repeats: int):
    for i in range(repeats):
        loop.learn(Clock(np.int32(1), np.int32(i)))
    return loop.learner.agent


def scaled(config: Config) -> Config:
    """The config with fewer steps an update, where it takes thousands (AWR)."""
    if not isinstance(config.data, Trajectories):
        return config
    return schema.override(
        config,
        {
            "schedule.critic_steps": max(config.schedule.critic_steps // 10, 1),
            "schedule.policy_steps": max(config.schedule.policy_steps // 10, 1),
        },
    )
