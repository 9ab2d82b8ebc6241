"""How fast tasks on the host are stepped, beside what a user would have instead."""

import time
from typing import Any, NamedTuple

import numpy as np

from coadapt import envs
from coadapt.bench.update_throughput import require_host
from coadapt.envs import HostEnv, dmc, host
from coadapt.envs.batch import BatchEnv, quiet, simulations
from coadapt.envs.host import GymEnv

SECONDS = 1.0  # of each window
SNAPSHOTS = 20


class Rates(NamedTuple):
    """Environment steps a second of `count` environments; NaN where there is none."""

    task: str
    count: int
    ours: float
    loop: float  # Gymnasium's or dm_control's own environments, one after the other
    sync: float  # gymnasium.vector.SyncVectorEnv
    parallel: float  # gymnasium.vector.AsyncVectorEnv
    physics: float  # MuJoCo's steps alone, on as many threads, from the same states


def measure(task: str, count: int, rounds: int = 3) -> Rates:
    """The median of each over `rounds`, in turn; resets are in all but the physics.

    Raises:
        ConfigError: if the task is not on the host.
    """
    require_host(task)
    env, spec, (family, _, name) = (
        envs.make(task, count), envs.spec(task), task.partition("/"),
    )  # fmt: skip
    assert isinstance(env, HostEnv)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (64, count, spec.action_size)).astype(np.float32)
    works: dict[str, _Timed] = {"ours": _ours(env, actions)}
    own = {"gym": GymEnv, "dmc": dmc.DmcEnv}.get(family)
    if isinstance(env, BatchEnv):
        works["physics"] = _Physics(env, actions)
        if own is not None:
            works["loop"] = _ours(own(name, count), actions)
    if family == "gym" and not spec.num_actions:
        works["sync"] = _vector(name, "sync", actions)
        works["parallel"] = _vector(name, "async", actions)
    found = {which: [] for which in works}
    for _ in range(rounds):
        for which, work in works.items():
            found[which].append(count / _seconds(work))
    for work in works.values():
        work.close()
    medians = {which: float(np.median(rates)) for which, rates in found.items()}
    return Rates(task, count, *(medians.get(n, np.nan) for n in Rates._fields[2:]))


def _seconds(work: "_Timed") -> float:
    """Of a step, over a window."""
    for t in range(20):  # what is made at the first steps is not what is asked for
        work.step(t)
    taken, steps = 0.0, 0
    while taken < SECONDS:
        taken += work.step(steps)
        steps += 1
    return taken / steps


class _Timed:
    """Something that steps all environments once, and says how long it took."""

    def step(self, t: int) -> float:
        raise NotImplementedError

    def close(self) -> None:
        pass


class _Whole(_Timed):
    """All that an environment's step is; it was reset before."""

    def __init__(self, env: Any, actions: np.ndarray):
        self._env, self._actions = env, actions

    def step(self, t: int) -> float:
        begin = time.perf_counter()
        self._env.step(self._actions[t % len(self._actions)])
        return time.perf_counter() - begin

    def close(self) -> None:
        self._env.close()


def _ours(env: HostEnv, actions: np.ndarray) -> _Timed:
    env.reset(range(env.count))
    return _Whole(env, actions)


def _vector(name: str, mode: str, actions: np.ndarray) -> _Timed:
    """Gymnasium's own, with its defaults."""
    import gymnasium

    quiet()
    # a process that has started threads, as JAX does, is not to be forked
    options = {"context": "forkserver"} if mode == "async" else {}
    env: Any = gymnasium.make_vec(
        host.registered(name).id,
        actions.shape[1],
        vectorization_mode=mode,
        vector_kwargs=options,
        disable_env_checker=True,
        **host.parsed(name).kwargs,
    )
    env.reset(seed=0)
    return _Whole(env, actions * env.single_action_space.high)


class _Physics(_Timed):
    """The simulator from states that the task was in, over and over."""

    def __init__(self, env: BatchEnv, actions: np.ndarray):
        sims: Any = env.task.sims
        self._batch = simulations(sims.model, env.count)
        self._substeps = env.task.substeps
        fields = [self._batch.bind(name) for name in ("qpos", "qvel", "ctrl")]
        self._fields, self._states = fields, []
        for t in range(SNAPSHOTS):
            env.step(actions[t % len(actions)])
            rows = (sims.bind(name).copy() for name in ("qpos", "qvel", "ctrl"))
            self._states.append(tuple(rows))

    def step(self, t: int) -> float:
        for field, rows in zip(self._fields, self._states[t % SNAPSHOTS], strict=True):
            field[...] = rows
        begin = time.perf_counter()
        self._batch.step(nstep=self._substeps)
        return time.perf_counter() - begin


COLUMNS = ("ours", "plain loop", "SyncVectorEnv", "AsyncVectorEnv", "physics")


def table(row: Rates) -> list[str]:
    """The two lines of a header and one of numbers, in Markdown.

    Thousands of steps a second, and ours over the physics.
    """
    numbers = ["-" if np.isnan(x) else f"{x / 1000:.1f}" for x in row[2:]]
    share = "-" if np.isnan(row.physics) else f"{row.ours / row.physics:.0%}"
    names = ("task", "environments", *COLUMNS, "of the physics")
    cells = (row.task, str(row.count), *numbers, share)
    rule = ["---"] * len(names)
    return [f"| {' | '.join(line)} |" for line in (names, rule, cells)]
