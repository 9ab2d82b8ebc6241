"""Many simulations of one MuJoCo model on the host, stepped together in C threads.

`BatchEnv` is what such tasks share: the time limit, resets, agents that broke. What a
task computes of its simulations, all at once and in float64, is a `BatchTask`.
MuJoCo is imported when the first is made.
"""

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from coadapt.devices import cores
from coadapt.envs.base import error_text, own_units, printable, require_seeds
from coadapt.system.notes import note_once
from coadapt.types import EnvSpec, TimeStep

MjModel = Any  # MuJoCo's module has no types
MjData = Any
Ids = np.ndarray | None  # [k] int32, ascending; None for all
STATES = ("qpos", "qvel", "ctrl")  # what tasks write to


class Simulations(Protocol):
    """Simulations of one model: what is used here of `mujoco.batch.Batch`."""

    @property
    def status(self) -> np.ndarray:
        """[count]: not 0 where the last call raised."""
        ...

    def error(self, sim: int) -> str: ...

    def bind(self, name: str) -> np.ndarray:
        """A field of MjData, [count, ...], live; states may be written to."""
        ...

    def step(self, ids: Ids = None, nstep: int = 1, stage: int = 0) -> None:
        """`nstep` times mj_step.

        Raises:
            RuntimeError: once all are done, if any did.
        Args:
            stage: what of the state after the last is computed, an mjtStage.
        """
        ...

    def reset(self, ids: Ids = None, *, stage: int) -> None:
        """The model's first state.

        Args:
            stage: what of it is computed, an mjtStage.
        """
        ...

    def forward(self, ids: Ids = None) -> None:
        """mj_forward."""
        ...


class BatchTask:
    """What one task computes of its simulations; arrays are float64.

    Actions are in the task's own units, and of its space's dtype.
    """

    substeps: int  # calls to mj_step in a step
    stage: int = 0  # see Simulations.step; mjSTAGE_NONE
    sims: Simulations

    def seed(self, i: int, seed: int) -> None:
        """Begins the random stream of environment i anew."""
        raise NotImplementedError

    def begin(self, ids: np.ndarray) -> None:
        """Begins episodes in `ids` [k]."""
        raise NotImplementedError

    def control(self, action: np.ndarray) -> np.ndarray:
        """The controls of an action [k, A] in the task's own units."""
        return action

    def before(self) -> Any:
        """What the reward of a step needs of the state before it."""
        return None

    def observe(self) -> np.ndarray:
        """Returns: obs [count, O]."""
        raise NotImplementedError

    def reward(self, before: Any, action: np.ndarray) -> np.ndarray:
        """Returns: [count], of the step by action [count, A], in own units."""
        raise NotImplementedError

    def terminated(self) -> np.ndarray | bool:
        """Returns: [count] bool, or one for all."""
        return False


class BatchEnv:
    """A `HostEnv` of simulations that are stepped together."""

    def __init__(self, spec: EnvSpec, task: BatchTask, count: int):
        self.spec, self.count, self.task = spec, count, task
        self.causes: dict[int, str] = {}
        self._all = np.arange(count, dtype=np.int32)
        self._ctrl = task.sims.bind("ctrl")
        self._steps = np.zeros(count, np.int64)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begins a new episode everywhere.

        Returns:
            obs [count, O] float32.
        """
        require_seeds(seeds, self.count)
        for i, seed in enumerate(seeds):
            self.task.seed(i, int(seed))
        return self._begin(self._all)

    def step(self, action: np.ndarray) -> TimeStep:
        """Steps all: see `HostEnv.step`."""
        action = np.asarray(action)
        own = own_units(self.spec, action, self.count)
        moves = np.asarray(np.isfinite(action).all(axis=1))
        moves[list(self.causes)] = False
        found, reward, terminated = self._advance(moves, own)
        self._steps += moves
        last = moves & (terminated | (self._steps >= self.spec.max_steps))
        # New arrays, because a caller's jax.device_put may alias them without a copy;
        # what is beyond float32 becomes infinite in silence: divergence is a result,
        # and the runner records it.
        with np.errstate(over="ignore"):
            next_obs, reward = found.astype(np.float32), reward.astype(np.float32)
        if self.causes or not moves.all():
            next_obs[~moves], reward[~moves] = 0.0, 0.0
            broken = list(self.causes)
            next_obs[broken], reward[broken], last[broken] = np.nan, np.nan, False
        obs = next_obs.copy()
        if last.any():
            ended = self._all[last]
            obs[ended] = self._begin(ended)
        discount = (~(last & terminated)).astype(np.float32)
        return TimeStep(obs, reward, discount, last, next_obs)

    def _advance(
        self, moves: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | bool]:
        """Steps where `moves`; those that raise are noted, and rest from then on."""
        task, sims = self.task, self.task.sims
        before = task.before()
        ids = None if moves.all() else self._all[moves]
        self._ctrl[moves] = task.control(action[moves])
        try:
            sims.step(ids, task.substeps, task.stage)
        except RuntimeError:
            self._note(self._all[moves])
        return task.observe(), task.reward(before, action), task.terminated()

    def _begin(self, ids: np.ndarray) -> np.ndarray:
        """Begins episodes in `ids` [k].

        Returns:
            their first obs [k, O] float32.
        """
        try:
            self.task.begin(ids)
        except RuntimeError:
            self._note(ids)
        self._steps[ids] = 0
        obs = self.task.observe()[ids].astype(np.float32)
        obs[np.isin(ids, list(self.causes))] = np.nan
        return obs

    def _note(self, ids: np.ndarray) -> None:
        """Why those of `ids` that raised in the last call have."""
        sims = self.task.sims
        for i in ids[sims.status[ids] != 0]:
            self.causes[int(i)] = printable(sims.error(int(i)))

    def close(self) -> None:
        pass


def simulations(
    model: MjModel,
    count: int,
    threads: int | None = None,
    *,
    forces: bool = False,
    persistent: bool = False,
) -> Simulations:
    """Simulations on `threads` threads, by default one for each core.

    What is stepped does not depend on it.

    Args:
        forces: whether contact forces (cfrc_ext) are read.
        persistent: whether each keeps its MjData, so that a `stage` costs nothing.
    """
    from mujoco.batch import Batch

    threads = min(threads or cores(), count)
    if forces:
        return ForceBatch(model, count, threads)
    return Batch(model, count, threads, persistent)


def quiet() -> None:
    """Say each of MuJoCo's warnings once, and on stderr.

    Left alone, MuJoCo writes each to the screen and to a file in the current folder,
    for every environment: a notice on a tag of the suites' own models, to which no user
    can do anything, and which is not passed on at all.
    """

    def tell(message: str) -> None:
        if "settotalmass" not in message:
            note_once(f"mujoco: {message}")

    mujoco: Any = importlib.import_module("mujoco")
    mujoco.set_mju_user_warning(tell)


class ForceBatch:
    """`Simulations` that know cfrc_ext after each step, an MjData each.

    `mujoco.batch` does not compute it. Gymnasium has it from mj_rnePostConstraint after
    the step, of what the last substep left; a sensor that needs it would have it from
    before that substep, which is another number.
    """

    def __init__(self, model: MjModel, count: int, threads: int):
        self._mj: Any = importlib.import_module("mujoco")
        self.model, self.status = model, np.zeros(count, np.int32)
        self._datas = [self._mj.MjData(model) for _ in range(count)]
        self._fields: dict[str, tuple[np.ndarray, list[np.ndarray]]] = {}
        self._errors: dict[int, str] = {}
        self._all = np.arange(count, dtype=np.int32)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "simulation") if threads > 1 else None

    def error(self, sim: int) -> str:
        return self._errors[sim]

    def bind(self, name: str) -> np.ndarray:
        if name not in self._fields:
            views = [getattr(data, name) for data in self._datas]
            self._fields[name] = np.stack(views), views
        return self._fields[name][0]

    def step(self, ids: Ids = None, nstep: int = 1, stage: int = 0) -> None:
        def step(data: MjData) -> None:
            self._mj.mj_step(self.model, data, nstep)
            self._mj.mj_rnePostConstraint(self.model, data)

        self._call(ids, step)

    def reset(self, ids: Ids = None, *, stage: int) -> None:
        self._call(ids, lambda data: self._mj.mj_resetData(self.model, data))

    def forward(self, ids: Ids = None) -> None:
        self._call(ids, lambda data: self._mj.mj_forward(self.model, data))

    def _call(self, ids: Ids, function: Callable[[MjData], None]) -> None:
        """On each of `ids`: its states in, the function, all bound fields out."""
        chosen = self._all if ids is None else ids
        self.status[chosen] = 0
        states = [self._fields[name] for name in STATES if name in self._fields]

        def call(chunk: np.ndarray) -> None:
            for i in chunk:
                for rows, views in states:
                    views[i][...] = rows[i]
                try:
                    function(self._datas[i])
                except Exception as error:  # whatever MuJoCo may raise
                    self.status[i], self._errors[i] = 1, error_text(error)
                for rows, views in self._fields.values():
                    rows[i] = views[i]

        if self._pool is None:
            call(chosen)
        else:  # a task for each thread, not each simulation: handing over costs too
            list(self._pool.map(call, np.array_split(chosen, self._threads)))
        if self.status[chosen].any():
            raise RuntimeError(f"MuJoCo raised in {np.flatnonzero(self.status)}")
