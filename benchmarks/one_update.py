"""Ours beside the other side of `--experiment=parity`: updates from the same data.

    python -m benchmarks.one_update --homes=/tmp/homes          the table, printed
    python -m benchmarks.one_update --python=PYTHON --write     and kept, for parity.md

Both sides begin with the same parameters, and learn from the same steps by the same
noise: some updates, one after the other, so that Adam's moments and slow networks count
too. A minibatch is all of the data, as its order is each side's own. Told is the
largest difference that any parameter has, beside the largest way that one has gone.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.parity import PLACE, UPDATES
from benchmarks.peers import PARITY, homes
from benchmarks.peers import parity as peers
from coadapt import agent as agents
from coadapt import algorithms, learn, schema
from coadapt.config import Config, Rollout, Trajectories
from coadapt.data import episodes, replay
from coadapt.types import Action, AgentState, EnvSpec, TimeStep

WORKS = Path(__file__).parent / "peers" / "one_update_works.py"
UPDATES_MADE, OBS, ACTIONS = 4, 5, 3
ROWS = 24  # of an update
COLUMNS = ("obs", "action", "reward", "following", "terminated", "ended")
NETS = {"networks.policy.sizes": (16, 16), "networks.critic.sizes": (16, 16)}
REPLAY = NETS | {"data.capacity": ROWS, "data.batch_size": ROWS}
SLOW = {"target.policy.period": 2, "target.critic.period": 2}
PASSES = {"schedule.critic_steps": 5, "schedule.policy_steps": 5}
ROLLOUT = {"data.update_every": ROWS, "data.batch_size": ROWS}
# of each method the preset, but small; four episodes fit into AWR's memory, and the
# last step of each is not learned from
CHANGES: dict[str, dict[str, Any]] = {
    "mpo": REPLAY | SLOW | {"pi_p.samples": 4},
    "awac": REPLAY,
    "awr": REPLAY | PASSES | {"data.batch_size": ROWS - 4},
    "vmpo": NETS | ROLLOUT | PASSES,
    "trpo": NETS
    | ROLLOUT
    | {
        "data.policy_batch_size": ROWS,
        "schedule.critic_steps": 5,
        # the other's are of each step as it comes
        "networks.input_norm": None,
    },
    # of the steps of episodes that have ended alone, 18 of each 24
    "rwr": NETS | ROLLOUT | {"data.batch_size": 18, "schedule.policy_steps": 5},
    "power": {"data.update_every": ROWS, "data.policy_batch_size": 18},
    "urex": NETS | {"data.update_every": ROWS, "data.policy_batch_size": 234},
}
# of a step of 24, how its episode ends there
ENDS = {4: "terminated", 9: "truncated", 17: "terminated", 23: "truncated"}
OPEN = {4: "terminated", 9: "truncated", 17: "terminated"}


class Line(NamedTuple):
    """Of a part of a method's parameters, after all updates."""

    method: str
    part: str
    difference: float  # the largest between both sides
    moved: float  # the largest from where they began


def config_of(name: str) -> Config:
    return schema.override(algorithms.preset(name), CHANGES[name])


# ---------------------------------------------------------------- data


def steps(
    rng: np.random.Generator, ends: Mapping[int, str], *, discrete: bool = False
) -> dict[str, np.ndarray]:
    """Made up: columns [ROWS, ...], of episodes that end at these places."""
    obs = rng.standard_normal((ROWS + 1, OBS))
    after, ended = obs[1:].copy(), np.array([i in ends for i in range(ROWS)])
    after[ended] = rng.standard_normal((ended.sum(), OBS))
    action = 1.5 * np.tanh(rng.standard_normal((ROWS, ACTIONS)))
    columns = {
        "obs": obs[:-1],
        "action": np.eye(ACTIONS)[action.argmax(-1)] if discrete else action,
        "reward": rng.standard_normal(ROWS),
        "following": after,
        "terminated": [ends.get(i) == "terminated" for i in range(ROWS)],
        "ended": ended,
    }
    return {name: np.asarray(x, np.float32) for name, x in columns.items()}


def joined(before: dict | None, now: dict) -> dict:
    """The steps, the first of which goes on where the last of those before led."""
    if before is not None and not before["ended"][-1]:
        now["obs"][0] = before["following"][-1]
    return now


_add = jax.jit(replay.add)


def kept(store: replay.Store, rows: Mapping[str, np.ndarray], first: Any):
    """The store with these steps, after which comes the observation `first`."""
    following = np.concatenate([rows["obs"][1:], first[None]])
    for i in range(len(rows["reward"])):
        step = TimeStep(
            obs=following[i],
            reward=rows["reward"][i],
            discount=1 - rows["terminated"][i],
            last=rows["ended"][i] > 0,
            next_obs=rows["following"][i],
        )
        store = _add(store, Action(rows["action"][i], None), step)
    return store


# ---------------------------------------------------------------- ours


def layers(net: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """Arrays of a network in the order and the shapes of torch's."""
    places = sorted(int(key.split("_")[1]) for key in net if "hidden" in key)
    names = [f"{part}_{i}" for i in places for part in ("hidden", "norm")]
    for name in (*names, "output"):
        for array in ("kernel", "scale", "bias"):
            if array in net.get(name, {}):
                yield np.asarray(net[name][array]).T


def parts(state: AgentState) -> dict[str, list[np.ndarray]]:
    """What is learned, by the words of both sides; duals by their names."""
    policy, critic = state.params.policy, state.params.critic
    number = len(jax.tree.leaves(critic)[0]) if jax.tree.leaves(critic) else 0
    each = [jax.tree.map(lambda x, k=k: x[k], critic) for k in range(number)]
    scale = [] if policy["scale"] is None else [np.asarray(policy["scale"])]
    duals = [np.asarray(x) for _, x in sorted(state.params.dual.items())]
    return {
        "policy": [*layers(policy["net"]), *scale],
        "critic": [array for net in each for array in layers(net)],
        "dual": duals,
    }


class Update(NamedTuple):
    """What an update read, and what it made."""

    state: AgentState
    noise: list[jax.Array]
    drawn: list[Any]  # transitions of replays, in the order of the minibatch


def _update(config: Config, state: AgentState, store: replay.Store, clock: Any):
    """`learn.learn`, and what it drew."""
    noise, drawn = [], []
    normal, of_replay = jax.random.normal, replay.drawn

    def told_normal(*args: Any, **keywords: Any) -> jax.Array:
        made = normal(*args, **keywords)
        if made.ndim == 3:  # of actions [M, B, A]; flax asks for weights, too
            noise.append(made)
        return made

    def told_drawn(*args: Any, **keywords: Any) -> Any:
        drawn.append(of_replay(*args, **keywords))
        return drawn[-1]

    with (
        mock.patch.object(jax.random, "normal", told_normal),
        mock.patch.object(replay, "drawn", told_drawn),
    ):
        state, _ = learn.learn(config, state, store, jnp.uint32(0), clock, ())
    return Update(state, noise, drawn)


def acted(config: Config, state: AgentState, rows: dict, rng: np.random.Generator):
    """The noise of the policy's own actions, which take the place of others."""
    noise = rng.standard_normal((ROWS, ACTIONS)).astype(np.float32)
    dist = agents.policy(config, state, state.params.policy, jnp.asarray(rows["obs"]))
    rows["action"] = np.asarray(dist.mean + dist.std * noise)
    return noise


def ours(name: str, config: Config) -> tuple[dict, list[dict]]:
    """What the other side is given, and what was learned after each update."""
    rng = np.random.default_rng(0)
    discrete = not config.pi_theta.continuous
    spec = EnvSpec(
        task="", obs_size=OBS, action_size=ACTIONS, max_steps=8, provider="",
        num_actions=ACTIONS * discrete,
    )  # fmt: skip
    state, before = agents.init(config, spec, jax.random.key(0)), None
    given, made = _arrays(name, parts(state)), []
    in_order = isinstance(config.data, Trajectories)
    ends = ENDS if in_order else OPEN
    capacity = ROWS + 1 if isinstance(config.data, Rollout) else ROWS
    if in_order:
        capacity = episodes.capacity_of_store(ROWS, spec.max_steps)
    every = [
        joined(before, before := steps(rng, ends, discrete=discrete))
        for _ in range(UPDATES_MADE)
    ]
    store = replay.init(
        spec, replay.size(capacity, shortest=1), jnp.asarray(every[0]["obs"][0])
    )
    compiled = jax.jit(_update)
    for i, rows in enumerate(every):
        noise = []
        if name == "trpo":
            noise = [acted(config, state, rows, rng)]
        following = every[i + 1]["obs"][0] if i + 1 < len(every) else rows["obs"][0]
        store = kept(store, rows, following)
        clock = learn.Clock(np.int32(ROWS * (i + 1)), np.int32(i))
        state, drew, drawn = compiled(config, state, store, clock)
        rows = _as_drawn(rows, drawn)
        noise = noise or [np.asarray(x) for x in drew]
        given |= {f"{name}/{i}/{column}": rows[column] for column in COLUMNS}
        given |= {f"{name}/{i}/noise/{j}": x for j, x in enumerate(noise)}
        made.append(parts(state))
    return given, made


def _arrays(name: str, of: Mapping[str, Sequence[np.ndarray]]) -> dict:
    return {f"{name}/{p}/{i}": x for p, each in of.items() for i, x in enumerate(each)}


def _as_drawn(rows: dict, drawn: Sequence[Any]) -> dict:
    """The steps in the order of the minibatch, where a replay drew one."""
    if not drawn:
        return rows
    (batch,) = (jax.tree.map(np.asarray, each) for each in drawn)
    return {
        "obs": batch.obs,
        "action": batch.action,
        "reward": batch.reward,
        "following": batch.next_obs,
        "terminated": 1 - batch.discount,
        "ended": batch.last.astype(np.float32),
    }


# ---------------------------------------------------------------- both sides


def theirs(interpreter: str, given: Mapping[str, Any], place: Path) -> dict:
    """What the other side has learned, as `_arrays` names it.

    Args:
        given: of each method, arrays by name.
    Raises:
        CalledProcessError: where it fails.
    """
    methods = {}
    for name in given:
        config = config_of(name)
        methods[name] = {"updates": UPDATES_MADE, "obs": OBS, "actions": ACTIONS}
        if name in peers.PLAIN:
            methods[name] |= peers.settings(config, name)
        else:
            methods[name]["peer"] = peers.settings(config, name)
    files = {"given": str(place / "given.npz"), "found": str(place / "found.npz")}
    np.savez(
        files["given"], **{k: x for each in given.values() for k, x in each.items()}
    )
    job = json.dumps({"methods": methods, **files})
    subprocess.run([interpreter, str(WORKS), job], check=True)
    return dict(np.load(files["found"]))


def lines(
    name: str, given: Mapping[str, Any], made: Sequence[dict], found: Mapping[str, Any]
) -> Iterator[Line]:
    """Of each part, over all updates. Raises: AssertionError."""
    for part, arrays in made[0].items():
        if not arrays:
            continue
        difference, moved = 0.0, 0.0
        for update, learned in enumerate(made):
            for i, array in enumerate(learned[part]):
                other = found[f"{name}/{update}/{part}/{i}"].reshape(array.shape)
                difference = max(difference, np.abs(array - other).max())
                moved = max(moved, np.abs(array - given[f"{name}/{part}/{i}"]).max())
        yield Line(name, part, float(difference), float(moved))


def table(interpreter: str, names: Sequence[str]) -> list[Line]:
    """Both sides of each method."""
    sides = {name: ours(name, config_of(name)) for name in names}
    given = {name: side[0] for name, side in sides.items()}
    with tempfile.TemporaryDirectory() as place:
        found = theirs(interpreter, given, Path(place))
    return [
        line
        for name, (start, made) in sides.items()
        for line in lines(name, start, made, found)
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--homes", type=Path, help="folder of environments to install")
    where.add_argument("--python", help="one that has it all")
    parser.add_argument("--methods", default=",".join(CHANGES))
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args(argv)
    interpreter = asked.python or homes.python(PARITY, asked.homes)
    found = table(interpreter, asked.methods.split(","))
    for line in found:
        print(f"{line.method} {line.part}: {line.difference:.1e} of {line.moved:.1e}")
    if asked.write:
        with (PLACE / UPDATES).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Line._fields)
            writer.writerows((*x[:2], f"{x[2]:.2g}", f"{x[3]:.2g}") for x in found)


if __name__ == "__main__":
    main()
