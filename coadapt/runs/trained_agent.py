"""Saved agents: read from a run store, to act and to be examined.

    agent = coadapt.load("runs/quickstart", variant="sac", seed=0)
    agent.act(obs)          # greedy actions
    agent.q(obs, action)    # of each critic

Nothing in the run store is changed, and a run may be going on in it.
"""

import dataclasses
import os
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from coadapt import agent as agents
from coadapt import envs, learn, runner, schema
from coadapt.config import Config, Offline
from coadapt.data import offline
from coadapt.data.replay import Store
from coadapt.rng import Purpose, stream
from coadapt.runs import checkpoint, files, store
from coadapt.runs.store import Cell, Entry, Header
from coadapt.schema import ConfigError, unknown
from coadapt.types import AgentState, EnvSpec, Rows, Tree

_TRIES = 100  # to read beside a run that goes on
_HAS = "the run store has"


class Failure(NamedTuple):
    """An agent's first number that was not finite."""

    steps: int  # env steps taken by then
    updates: int  # updates made by then, the one that broke too
    tensor: str  # as failures.csv names it


class NoReplayError(ConfigError):
    """A snapshot that has no replay, in one sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedAgent:
    """One agent of a snapshot: its state, and its policy and critics as functions.

    B is a number of states, O the size of an observation, A of an action, K the number
    of critics. Observations are those of the task, float32. Actions are in agent units:
    for a box [-1, 1]^A, whatever the task's bounds (`envs.base.own_units` maps them
    to the task's); discrete actions are one-hot.
    """

    task: str
    variant: str
    seed: int
    algorithm: str
    config: Config
    spec: EnvSpec
    # NumPy arrays, no agent axis; of one that failed, the last finite
    state: AgentState = dataclasses.field(repr=False)
    steps: int  # env steps that the snapshot has
    updates: int  # updates that it has
    alive: bool  # all of its numbers were finite until then
    health: str  # 'alive', or where and at which tensor it failed
    replay: Store | None = dataclasses.field(default=None, repr=False)
    failure: Failure | None = None  # None while all of its numbers are finite

    def act(self, obs: Rows, key: jax.Array | None = None) -> np.ndarray:
        """Greedy actions, as in evaluations.

        Args:
            obs: [B, O].
            key: of the samples, where `config.eval_policy` draws any; None: the same
                in every call.

        Returns:
            [B, A], agent units.
        """
        return self._act(obs, key, greedy=True)

    def explore(self, obs: Rows, key: jax.Array) -> np.ndarray:
        """Actions as training draws them.

        Each has the noise of the first step of an episode (`config.exploration`).

        Args:
            obs: [B, O].
            key: of the samples.

        Returns:
            [B, A], agent units.
        """
        return self._act(obs, key, greedy=False)

    def _act(self, obs: Rows, key: jax.Array | None, *, greedy: bool) -> np.ndarray:
        if key is None:
            key = stream(np.uint32(self.seed), Purpose.MEASURE, 0)  # type: ignore[arg-type]
        seen = self._rows(obs)
        how = {"greedy": greedy, "size": self.spec.action_size}
        return np.asarray(
            _act(schema.as_traced(self.config), self.state, seen, key, **how)
        )

    def q(self, obs: Rows, action: Rows) -> np.ndarray:
        """Q of each critic.

        Args:
            obs: [B, O].
            action: [..., B, A], agent units.

        Returns:
            [K, ..., B], in units of the rewards that critics learn from.

        Raises:
            ConfigError: if the critics are of states (`v`), or there are none.
        """
        if self.state.params.critic is None or not self.config.g.reads_action:
            raise self._without("values of actions", "v(obs)")
        seen, action = self._rows(obs), np.asarray(action, np.float32)
        return np.asarray(_q(schema.as_traced(self.config), self.state, seen, action))

    def v(self, obs: Rows) -> np.ndarray:
        """V of each critic.

        Args:
            obs: [B, O].

        Returns:
            [K, B], in units of the rewards that critics learn from.

        Raises:
            ConfigError: if the critics are of actions (`q`), or there are none.
        """
        if self.state.params.critic is None or self.config.g.reads_action:
            raise self._without("values of states", "q(obs, action)")
        return np.asarray(
            _v(schema.as_traced(self.config), self.state, self._rows(obs))
        )

    def policy(self, obs: Rows) -> Tree:
        """The parameters of the action distribution, by name.

        Args:
            obs: [B, O].

        Returns:
            Arrays [B, ...]; of a squashed Gaussian, those before the tanh.
        """
        found = _policy(schema.as_traced(self.config), self.state, self._rows(obs))
        return jax.tree.map(np.asarray, found)

    def log_prob(self, obs: Rows, action: Rows) -> np.ndarray:
        """Log-density of actions under the policy, or log-probability of discrete ones.

        Args:
            obs: [B, O].
            action: [B, A], agent units.

        Returns:
            [B], nats.

        Raises:
            ConfigError: if the policy is deterministic.
        """
        if not self.config.pi_theta.has_density:
            raise ConfigError(
                f"{self.variant} has a deterministic policy: its actions have no "
                "log_prob."
            )
        seen, action = self._rows(obs), np.asarray(action, np.float32)
        return np.asarray(
            _log_prob(schema.as_traced(self.config), self.state, seen, action)
        )

    def _rows(self, obs: Rows) -> np.ndarray:
        rows = np.asarray(obs, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.spec.obs_size:
            raise ConfigError(
                f"obs has shape {rows.shape}: it must be [B, {self.spec.obs_size}], "
                "a row for each state."
            )
        return rows

    def _without(self, what: str, instead: str) -> ConfigError:
        if self.state.params.critic is None:
            return ConfigError(f"{self.variant} has no critic, and so no {what}.")
        return ConfigError(
            f"{self.variant} has a critic without {what}: use {instead}."
        )


@partial(jax.jit, static_argnames=("greedy", "size"))
def _act(
    config: Config, state: AgentState, obs: jax.Array, key: jax.Array, *, greedy, size
):
    noise = config.exploration.drawn(key, len(obs), size)
    return agents.act(config, state, obs, key, greedy=greedy, noise=noise)


@jax.jit
def _q(config: Config, state: AgentState, obs: jax.Array, action: jax.Array):
    return agents.action_values(config, state, state.params.critic, obs, action)


@jax.jit
def _v(config: Config, state: AgentState, obs: jax.Array):
    return agents.state_values(config, state, state.params.critic, obs)


@jax.jit
def _policy(config: Config, state: AgentState, obs: jax.Array):
    return agents.policy(config, state, state.params.policy, obs)


_log_prob = jax.jit(agents.log_prob)


# ---------------------------------------------------------------- reading


def load(
    workdir: str | os.PathLike[str],
    *,
    variant: str,
    seed: int,
    task: str | None = None,
    steps: int | None = None,
    replay: bool = False,
) -> SavedAgent:
    """The agent of a run, from its newest complete snapshot.

    Args:
        workdir: folder of the run store, in which a run may be going on.
        variant: name of the variant in the results.
        seed: of the agent.
        task: of the agent, if several tasks have the variant.
        steps: env steps of the snapshot; None: the newest.
        replay: also read its replay; of an agent that learns offline, its data set.

    Returns:
        The agent. One that failed is at its last finite state.

    Raises:
        ConfigError: if there is no such agent or snapshot.
        NoReplayError: if the snapshot has no replay, with the reason and the way out.
        StoreError: if the snapshot is damaged, or of another version of coadapt.
    """
    where = store.folder(workdir)
    header = store.header(where)
    cell = _cell(header, variant, seed, task)
    entry = header.variants[cell.task][cell.variant]
    config = schema.from_dict(Config, entry.config)
    spec = envs.spec(cell.task)
    like = runner.shapes(config, spec, header.steps_of(cell))
    found, held = _newest(where, cell, header, like, steps, replay)
    clock, failure = found.clock, _failure(found.learner)
    return SavedAgent(
        **cell._asdict(),
        algorithm=entry.algorithm,
        config=config,
        spec=spec,
        state=found.learner.agent,
        steps=int(clock.steps),
        updates=int(clock.updates),
        alive=failure is None,
        health="alive" if failure is None else _words(where, cell, failure),
        replay=held,
        failure=failure,
    )


def _newest(
    workdir: Path,
    cell: Cell,
    header: Header,
    like: learn.Learner,
    steps: int | None,
    replay: bool,
) -> tuple[runner.Snapshot, Store | None]:
    """The newest snapshot of an agent that can be read, and its replay if it is wanted.

    Where a run goes on, one may be removed while it is read: there is a newer one then.
    """
    entry = header.entry(cell)
    for _ in range(_TRIES):
        damaged, gone = checkpoint.DamagedError(""), False
        for number, record in _places(workdir, cell, entry, steps):
            path = record.at(number)
            try:
                found = checkpoint.read_agent(record, number, like, cell)
                held = _replay(record, header, like, cell, found) if replay else None
                return found, held
            except store.StoreError as error:
                gone = not files.there(path)
                if gone:
                    break
                if not isinstance(error, checkpoint.DamagedError):
                    raise
                damaged = error
        if not gone:
            raise damaged
    raise store.StoreError(f"{str(workdir)!r} changes faster than it can be read.")


def _places(
    workdir: Path, cell: Cell, entry: Entry, steps: int | None
) -> list[tuple[int, checkpoint.Record]]:
    """Where an agent has snapshots, the newest first.

    Raises: ConfigError.
    """
    places = [
        (number, record)
        for record in checkpoint.records(workdir, reading=True)
        if cell in record.cells
        and record.fingerprints[record.cells.index(cell)] == entry.fingerprint
        for number in record.steps()
    ]
    there = sorted({number for number, _ in places}, reverse=True)
    name = f"{cell.variant} on {cell.task} with seed {cell.seed}"
    if not there:
        raise ConfigError(
            f"{name} has no snapshot in {str(workdir)!r}: it has not reached its "
            "first checkpoint, its checkpoints were removed, or a program.json is "
            "damaged."
        )
    if steps is not None and steps not in there:
        close = min(there, key=lambda n: abs(n - steps))
        raise ConfigError(
            f"{name} has no snapshot at {steps} env steps, but at "
            f"{', '.join(map(str, there))}; did you mean {close}?"
        )
    found = [each for each in places if steps in (None, each[0])]
    return sorted(found, key=lambda each: -each[0])


def _replay(
    record: checkpoint.Record,
    header: Header,
    like: learn.Learner,
    cell: Cell,
    found: runner.Snapshot,
) -> Store:
    """What an agent learns from.

    Raises: NoReplayError, DamagedError, ConfigError.
    """
    entry, steps = header.variants[cell.task][cell.variant], int(found.clock.steps)
    data = schema.from_dict(Config, entry.config).data
    if isinstance(data, Offline):
        spec = envs.spec(cell.task)
        if entry.dataset not in ("", offline.digest(data.dataset, spec)):
            raise NoReplayError(
                f"{cell.variant} on {cell.task} has no replay: the data set "
                f"{data.dataset!r} is not the one that it learned from, of hash "
                f"{entry.dataset}; bring that back."
            )
        return offline.store(offline.read(data.dataset, spec))
    held = checkpoint.read_replay(record, steps, like, cell)
    if held is None:
        raise _no_replay(record, cell, steps, header.checkpoint_every)
    return held


def _no_replay(
    record: checkpoint.Record, cell: Cell, steps: int, every: int
) -> NoReplayError:
    """Why a snapshot is without one, and what to do."""
    there = [
        n for n in record.steps() if checkpoint.about(record, n, old=True)["goes_on"]
    ]
    if steps % every:
        why = f"a run that ends between two checkpoints, every {every:,}, leaves none"
        do = f"with checkpoint_every={steps}, or another number of which {steps:,} is "
        do += "a multiple"
    else:
        why, do = "a run that ends with keep=0 leaves none", "with keep=1"
    older = f"take steps={there[-1]}, where it has one, or " if there else ""
    return NoReplayError(
        f"{cell.variant} on {cell.task} with seed {cell.seed} has no replay at "
        f"{steps:,} env steps: {why}; {older}run it {do}, in a new workdir."
    )


def _cell(header: Header, variant: str, seed: int, task: str | None) -> Cell:
    """The agent that is meant.

    Raises: ConfigError.
    """
    if task is not None and task not in header.variants:
        raise unknown("task", task, _HAS, header.variants)
    having = [t for t, named in header.variants.items() if variant in named]
    named = header.variants if task is None else {task: header.variants[task]}
    if not any(variant in variants for variants in named.values()):
        every = [name for variants in named.values() for name in variants]
        raise unknown("variant", variant, _HAS, dict.fromkeys(every))
    if task is None and len(having) > 1:
        raise ConfigError(
            f"task is missing: {variant} is there on {', '.join(having)}."
        )
    if seed not in header.seeds:
        raise unknown("seed", seed, _HAS, map(str, header.seeds))
    return Cell(task or having[0], variant, int(seed))


def _failure(learner: learn.Learner) -> Failure | None:
    health = learner.health
    if health.alive:
        return None
    tensor = learn.tensors(learner.agent)[int(health.tensor)]
    return Failure(int(health.steps), int(health.updates), tensor)


def _words(where: Path, cell: Cell, failure: Failure) -> str:
    rows = store.failures(where)
    mine = (rows.task == cell.task) & (rows.variant == cell.variant)
    causes = [c for c in rows.cause[mine & (rows.seed == cell.seed)] if c]
    return (
        f"failed at env step {failure.steps}, update {failure.updates}: "
        f"{failure.tensor} was not finite{f' ({causes[0]})' if causes else ''}"
    )
