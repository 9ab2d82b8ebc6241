"""The tasks of the paper, and what an agent meets in each: sizes, limits, how it ends.

What is known of a task beyond its spec stands here: what the paper calls it, when it
terminates, and in what it differs from Gym's v2, with which the paper was made.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import envs, taxonomy
from coadapt.envs import DeviceEnv, HostEnv
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec, TimeStep

NEVER = "never"
FALLS = "when it falls"
OUT = "when the pole or the cart is out of range"


class Entry(NamedTuple):
    """A task; `differs` in what matters where numbers are laid beside the paper's."""

    task: str
    paper: str = ""  # what the paper calls it; empty if it is not in the paper
    terminates: str = NEVER
    differs: str = ""


_FELL = "no reward for the step on which it falls"
_MODEL = "the model: collisions, names"
GYM = (
    Entry("gym/Hopper-v4", "Hopper-v2", FALLS),
    Entry("gym/Hopper-v5", "Hopper-v2", FALLS, _FELL),
    Entry("gym/Walker2d-v4", "Walker2d-v2", FALLS),
    Entry(
        "gym/Walker2d-v5",
        "Walker2d-v2",
        FALLS,
        f"{_FELL}; more friction at the right foot",
    ),
    Entry("gym/HalfCheetah-v4", "HalfCheetah-v2"),
    Entry("gym/HalfCheetah-v5", "HalfCheetah-v2"),
    Entry(
        "gym/Ant-v4",
        "Ant-v2",
        FALLS,
        "27 observations: the other 84, contact forces, are always 0 in v2 with "
        "mujoco-py above 2.0",
    ),
    Entry(
        "gym/Ant-v5",
        "Ant-v2",
        FALLS,
        f"contact forces, always 0 in v2, are observed and penalised; {_FELL}",
    ),
    Entry(
        "gym/Humanoid-v4",
        "Humanoid-v2",
        FALLS,
        "contact forces are observed, presumably 0 in v2; the model changed at Gym "
        "0.21",
    ),
    Entry(
        "gym/Humanoid-v5",
        "Humanoid-v2",
        FALLS,
        "contact forces are observed and penalised; entries that are always 0 are left "
        f"out; {_FELL}",
    ),
    Entry("gym/Swimmer-v4", "Swimmer-v2", differs=_MODEL),
    Entry("gym/Swimmer-v5", "Swimmer-v2", differs=_MODEL),
    Entry("gym/Reacher-v4", "Reacher-v2", differs="the model"),
    Entry(
        "gym/Reacher-v5",
        "Reacher-v2",
        differs="reward of the state after the step; without an observation that is "
        "always 0",
    ),
    Entry(
        "gym/Pusher-v5",
        "Pusher-v2",
        differs="reward of the state after the step; a heavier object",
    ),
)  # of the versions of a task, the nearest to the paper's first
DMC = tuple(
    Entry(f"dmc/{name}", name)
    for name in """
    cartpole_balance manipulator_bring_ball ball_in_cup_catch point_mass_easy
    reacher_easy reacher_hard hopper_hop walker_run finger_spin hopper_stand
    walker_stand fish_swim swimmer_swimmer15 swimmer_swimmer6 acrobot_swingup
    cartpole_swingup pendulum_swingup acrobot_swingup_sparse finger_turn_easy
    finger_turn_hard fish_upright cheetah_run walker_walk humanoid_run
    cartpole_balance_sparse cartpole_swingup_sparse humanoid_stand humanoid_walk
    """.split()  # noqa: SIM905
)  # in the order of Table 12
OURS = (Entry("ours/Striker-v0", "Striker-v2", NEVER, "a task of our own"),)
CLASSIC = (
    Entry("gym/Pendulum-v1"),
    Entry("gym/MountainCarContinuous-v0", terminates="at the goal"),
    Entry("gym/CartPole-v1", terminates=OUT),
    Entry("gym/Acrobot-v1", terminates="at the goal"),
    Entry("gym/MountainCar-v0", terminates="at the goal"),
    Entry("gym/InvertedPendulum-v5", terminates="when the pole is out of range"),
    Entry("gym/InvertedDoublePendulum-v5", terminates="when the poles are too low"),
)
TOY = tuple(
    Entry(f"toy/{name}", terminates=terminates)
    for name, terminates in {
        "bandit": "after each step",
        "arms": "after each step",
        "lqr": NEVER,
        "chain": "at the end of the chain",
        "corridor": "at the end of the corridor",
    }.items()
)
PHYS2D = (
    Entry("phys2d/CartPole-v0", terminates=OUT),
    Entry("phys2d/CartPole-v1", terminates=OUT),
    Entry("phys2d/Pendulum-v0"),
)
BRAX = (
    Entry("brax/ant", "Ant-v2", FALLS),
    Entry("brax/halfcheetah", "HalfCheetah-v2"),
    Entry("brax/hopper", "Hopper-v2", FALLS),
    Entry("brax/humanoid", "Humanoid-v2", FALLS),
    Entry("brax/humanoidstandup"),
    Entry("brax/inverted_double_pendulum", terminates="when the poles are too low"),
    Entry("brax/inverted_pendulum", terminates="when the pole is out of range"),
    Entry("brax/pusher", "Pusher-v2"),
    Entry("brax/reacher", "Reacher-v2"),
    Entry("brax/walker2d", "Walker2d-v2", FALLS),
)
PLAYGROUND = tuple(
    Entry(f"playground/{name}", paper)
    for name, paper in {
        "AcrobotSwingup": "acrobot_swingup",
        "AcrobotSwingupSparse": "acrobot_swingup_sparse",
        "BallInCup": "ball_in_cup_catch",
        "CartpoleBalance": "cartpole_balance",
        "CartpoleBalanceSparse": "cartpole_balance_sparse",
        "CartpoleSwingup": "cartpole_swingup",
        "CartpoleSwingupSparse": "cartpole_swingup_sparse",
        "CheetahRun": "cheetah_run",
        "FingerSpin": "finger_spin",
        "FingerTurnEasy": "finger_turn_easy",
        "FingerTurnHard": "finger_turn_hard",
        "FishSwim": "fish_swim",
        "HopperHop": "hopper_hop",
        "HopperStand": "hopper_stand",
        "HumanoidRun": "humanoid_run",
        "HumanoidStand": "humanoid_stand",
        "HumanoidWalk": "humanoid_walk",
        "PendulumSwingup": "pendulum_swingup",
        "PointMass": "point_mass_easy",
        "ReacherEasy": "reacher_easy",
        "ReacherHard": "reacher_hard",
        "SwimmerSwimmer6": "swimmer_swimmer6",
        "WalkerRun": "walker_run",
        "WalkerStand": "walker_stand",
        "WalkerWalk": "walker_walk",
    }.items()
)
SUITES = {
    "gym": (*GYM, *CLASSIC),
    "ours": OURS,
    "dmc": DMC,
    "toy": TOY,
    "phys2d": PHYS2D,
    "brax": BRAX,
    "playground": PLAYGROUND,
}


NOTES = {
    "gym": "Gymnasium's MuJoCo tasks and classic control; any other id of Gymnasium is "
    "a task too. v4 and v5 are not the paper's v2, and are never called so. The MuJoCo "
    "tasks of the paper are stepped in C threads, bit-identical to Gymnasium's own.",
    "ours": "Written for coadapt, because no package has it.",
    "dmc": "The DeepMind Control suite of dm_control: none of its tasks terminates, "
    "each has 1000 steps with a reward in [0, 1]. Acrobot, cartpole, cheetah, pendulum "
    "and walker are stepped in C threads, bit-identical to dm_control.",
    "toy": "Small tasks on the device whose optimum is known.",
    "phys2d": "Gymnasium's classic control in JAX, compiled into the agents' program, "
    "so small networks train faster. The pendulum has the equations of "
    "gym/Pendulum-v1. The cart-pole differs from gym/CartPole-v1: Gymnasium adds the "
    "pole's mass and length here, where the equations multiply them.",
    "brax": "brax's environments on the device, with the backend after a colon "
    "(`brax/ant:spring`; `generalized` by default). Their physics differ from "
    "Gymnasium's and between backends. `pip install -c constraints.txt -e '.[brax]'`. "
    "`brax/swimmer` fails with this version of JAX, and is refused.",
    "playground": "MuJoCo playground's DeepMind Control suite on the device: 25 of the "
    "28 tasks, with other solvers, iterations and time steps than dm_control's. "
    "`pip install -c constraints.txt -e '.[playground]'`. MJX in JAX by default, "
    "`:warp` after the name on a GPU.",
}


def nearest() -> dict[str, str]:
    """Of each of the paper's 37 tasks, ours that is nearest to it: 'Ant-v2': 'gym/...'.

    In the paper's names, as scores are filed under them.
    """
    names: dict[str, str] = {}
    for entry in (*GYM, *OURS, *DMC):
        names.setdefault(entry.paper, entry.task)
    return names


def paper() -> list[str]:
    """The paper's 37 tasks under our names, the nearest where there are several."""
    return list(nearest().values())


_PAPERS = {e.task: e.paper for entries in SUITES.values() for e in entries}


def paper_name(task: str) -> str:
    """What the paper calls a task, or the one that this is a version of; '' if none."""
    return _PAPERS.get(task, "")


def spec_of(task: str) -> EnvSpec:
    """What an agent meets in a task.

    Raises:
        ConfigError: if there is no such task, or none that is supported.
    """
    try:
        return envs.spec(task)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def report(suites: Iterable[str], style: str) -> str:
    """A section for each suite: what it is, who computes it, its tasks.

    Args:
        style: 'text', 'markdown' or 'csv'.
    Raises:
        ConfigError: for another.
    """
    parts = []
    for suite in suites:
        try:
            found = rows(suite)
        except ConfigError as error:
            table = str(error)
        else:
            table = taxonomy.render(found, style)
        title = [] if style == "csv" else [f"## {suite}", NOTES[suite]]
        parts += [*title, table]
    return "\n\n".join(parts)


def rows(suite: str) -> list[dict[str, str]]:
    """A suite's tasks, to be printed; an empty column is left out.

    Raises:
        ValueError: in one sentence, if the suite is not installed.
    """
    lines = [_row(entry, envs.spec(entry.task)) for entry in SUITES[suite]]
    empty = {name for name in lines[0] if not any(line[name] for line in lines)}
    return [{k: v for k, v in line.items() if k not in empty} for line in lines]


def _row(entry: Entry, spec: EnvSpec) -> dict[str, str]:
    actions = f"{spec.action_size}, discrete" if spec.num_actions else _box(spec)
    return {
        "task": entry.task,
        "in the paper": "" if entry.task.endswith(f"/{entry.paper}") else entry.paper,
        "observations": str(spec.obs_size),
        "actions": actions,
        "steps": str(spec.max_steps),
        "terminates": entry.terminates,
        "differs from v2": entry.differs,
    }


def _box(spec: EnvSpec) -> str:
    """'6 in [-1, 1]'."""
    low, high = min(spec.action_low), max(spec.action_high)
    return f"{spec.action_size} in [{low:g}, {high:g}]"


class Walk(NamedTuple):
    """What some environments did: first [count, O], steps [L, count, ...]."""

    first: Any
    steps: TimeStep


def walk(task: str, length: int, count: int = 2) -> Walk:
    """Environments of a task under uniformly random actions; seeded."""
    env, spec = envs.make(task, count), envs.spec(task)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (length, count, spec.action_size)).astype(np.float32)
    if not isinstance(env, HostEnv):
        keys = jax.random.split(jax.random.key(0), count)
        return jax.device_get(_walk_device(env, keys, jnp.asarray(actions)))
    try:
        first = env.reset(range(count))
        steps = [env.step(action) for action in actions]
    finally:
        env.close()
    return Walk(first, TimeStep(*map(np.stack, zip(*steps, strict=True))))


@partial(jax.jit, static_argnames="env")
def _walk_device(env: DeviceEnv, keys: jax.Array, actions: jax.Array) -> Walk:
    states, first = jax.vmap(env.reset)(keys)
    _, steps = jax.lax.scan(jax.vmap(env.step), states, actions)
    return Walk(first, steps)


def faults(entry: Entry, found: Walk) -> list[str]:
    """What is wrong with a walk, a few words each; [] if nothing is."""
    first, steps = found
    age, limit = _ages(np.asarray(steps.last)), envs.spec(entry.task).max_steps
    on, terminated = ~steps.last, steps.discount == 0
    arrays = (first, steps.obs, steps.next_obs, steps.reward)
    checks = {
        "a number is not finite": all(np.isfinite(x).all() for x in arrays),
        "a discount is neither 0 nor 1": np.isin(steps.discount, (0, 1)).all(),
        "a termination within an episode": not (terminated & on).any(),
        "a termination where there is none": entry.terminates != NEVER
        or not terminated.any(),
        "an episode beyond its limit": (age <= limit).all(),
        "an end without a cause": (terminated | on | (age == limit)).all(),
        "a step lost within an episode": (steps.obs == steps.next_obs)[on].all(),
    }
    return [said for said, holds in checks.items() if not holds]


def _ages(last: np.ndarray) -> np.ndarray:
    """The steps that an episode has taken, after each: [L, count]."""
    age = np.zeros(last.shape, int)
    for t in range(len(last)):
        age[t] = 1 if t == 0 else np.where(last[t - 1], 1, age[t - 1] + 1)
    return age
