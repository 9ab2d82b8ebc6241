"""Compile the programs of a sweep while an earlier one runs.

JAX keeps what is compiled, in memory and, where that is on, in its persistent cache,
and the program finds it there when its turn comes.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from coadapt import devices, envs, runner, schema
from coadapt.config import Config, Offline
from coadapt.learn import Clock
from coadapt.metrics.registry import DEFAULT, Log
from coadapt.types import TimeStep

# configs, task, env steps, episodes of an evaluation, metrics
Task = tuple[Sequence[Config], str, int, int, Log]
_AHEAD = 2  # how far: what is compiled waits for its turn in memory


class Ahead:
    """A thread that compiles tasks in their order, until it is left.

    The first tasks are compiled at once, and one more after each `turn`; None stands
    for a program that is compiled already. On leaving, the program that is being
    compiled is waited for.
    """

    def __init__(self, tasks: Sequence[Task | None]):
        self._tasks, self._ended = list(tasks), threading.Event()
        self._turns = threading.Semaphore(_AHEAD)
        # held while something is traced: caches must not be cleared under it
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._compile, name="ahead")

    def __enter__(self) -> "Ahead":
        devices.make_room()  # of what this process compiled before
        self._thread.start()
        return self

    def finish(self) -> None:
        """Wait until all is compiled."""
        self._turns.release(max(len(self._tasks), 1))
        self._thread.join()

    def turn(self) -> None:
        """To be called where a program has ended, and no array of it is left."""
        with self._lock:
            devices.make_room()
        self._turns.release()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.finish()

    def _compile(self) -> None:
        for task in self._tasks:
            self._turns.acquire()
            if self._ended.is_set():
                return
            if task is None:
                continue
            try:
                with self._lock:
                    found = list(lowered(*task))
            except Exception:  # the program itself will tell, when its turn comes
                continue
            for program in found:
                if self._ended.is_set():
                    return
                program.compile()


def lowered(
    configs: Sequence[Config], task: str, steps: int, episodes: int, log: Log = DEFAULT
) -> Iterator[Any]:
    """What `runner.train` will compile for these agents, those that fill up devices
    among them (`devices.filled`), in its order.

    Nothing is allocated but the configs. Learning from a data set is left out.
    """
    if isinstance(configs[0].data, Offline):
        return
    number, spec = len(configs), envs.spec(task)
    stacked, seeds = devices.spread(
        number, (schema.stack(configs), np.zeros(number, np.uint32))
    )
    size = runner.store_size(configs[0], spec, steps)
    each = configs[0].data.envs
    obs: Any = np.zeros((number * each, spec.obs_size), np.float32)
    count = np.int32(0)
    env: Any = None if envs.on_host(task) else envs.make(task, 1)
    states: Any = None
    if env is not None:
        begin, how = runner.reset_device, {"env": env, "each": each}
        states, obs = _placed(number, begin.eval_shape(seeds, count, **how))
        yield begin.lower(seeds, count, **how)
    obs = runner.by_agent(stacked, obs)
    yield runner.start.lower(stacked, seeds, obs, spec=spec, size=size)
    learner = _placed(
        number, runner.start.eval_shape(stacked, seeds, obs, spec=spec, size=size)
    )
    period = configs[0].data.period
    last = steps // period * period  # that may update
    learns = last > 0 and runner.due(configs[0], last) > 0
    args = configs[0], spec, episodes, stacked, learner, seeds, learns, log
    yield from _on_host(*args) if env is None else _on_device(env, states, *args)


def _on_host(config, spec, episodes, stacked, learner, seeds, learns, log):
    number, count = len(seeds), np.int32(0)
    clock = Clock(count, count)
    if learns:
        yield runner.update.lower(stacked, *learner, seeds, clock, log=log)
    action = _placed(number, runner.act.eval_shape(stacked, learner, seeds, count))
    data = config.data
    words = np.zeros(number * data.envs, np.float32)
    obs = np.zeros((number * data.envs, spec.obs_size), np.float32)
    step = TimeStep(obs, words, words, np.zeros(words.shape, bool), obs)
    step = runner.by_agent(config, step)
    if data.overlap:
        yield runner.add_and_act.lower(
            stacked, learner.seen, learner.unseen, action, step, seeds, clock
        )
    else:
        yield runner.add.lower(stacked, learner.seen, action, step, seeds, clock)
    seen = np.zeros((number, episodes, spec.obs_size), np.float32)
    when = np.zeros(2, np.int32)
    yield runner.greedy.lower(stacked, learner.agent, seen, seeds, when)
    yield runner.act.lower(stacked, learner, seeds, count)


def _on_device(
    env, states, config, spec, episodes, stacked, learner, seeds, learns, log
):
    count = np.int32(0)
    waits = config.data.learning_starts > config.data.period or not learns
    for updates in [True] * learns + [False] * waits:
        yield runner.iterate_device.lower(
            stacked, learner, states, seeds, Clock(count, count), count,
            env=env, learns=updates, log=log,
        )  # fmt: skip
    yield runner.measure_device.lower(
        stacked, learner.agent, seeds, count, env=env, each=episodes, log=log
    )


def _placed(number: int, shapes: Any) -> Any:
    place = devices.place(number)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
    )
