"""`ours/Striker-v0`: an arm strikes a ball, which rolls to a goal out of its reach.

The arm is that of Gymnasium's Pusher; paddle, ball, goal and reward are our own, in the
spirit of the Striker-v2 of old releases of gym, which it is not: docs/decisions.md has
the differences. MuJoCo and Gymnasium are imported when the first task is made.
"""

import functools
import importlib
import importlib.metadata
import importlib.resources
from typing import Any, NamedTuple

import numpy as np

from coadapt.envs.base import HostEnv, in_a_sentence
from coadapt.envs.batch import BatchEnv, MjModel, quiet
from coadapt.envs.gym_mujoco import Pusher, length
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec
from coadapt.version import __version__

NAME = "Striker-v0"
STEPS = 100  # of an episode: 5 s
TORQUE = 3.0  # N m, the largest of each of the 7 joints
PADDLE = (0.06, 0.01, 0.06)  # m, half sizes: a plate that faces sideways
GRIP = 0.06  # m, from the wrist to the middle of the paddle
RADIUS, MASS = 0.04, 0.1  # m and kg, of the ball
DRAG = 0.1  # N s/m: the ball rolls 1 m for each m/s it is struck with
TABLE = -0.325  # m, the height of the table in Gymnasium's model
START = (0.5, -0.175)  # m, x and y where the ball lies first
GOALS = ((-0.5, 0.5), (0.4, 0.9))  # m, at least 1 from the shoulder; it reaches 0.94
POSE = (
    0.0,
    1.1,
    0.0,
    -1.35,
    0.0,
    0.0,
    0.0,
)  # rad: at the ball's height, 40 degrees off
SWAY = 0.1  # rad/s, the largest first velocity of a joint
FAR, EFFORT, NEAR = 3.0, 0.01, 0.5  # weights of the reward


class Table(NamedTuple):
    """What `GymTask` reads of an environment: a `gym_mujoco.Robot`."""

    model: MjModel
    frame_skip: int = 5  # of 0.01 s


class Striker(Pusher):
    """The ball should come near the goal, if only for a moment, and so the hand to it.

    reward = -3 d(ball, goal) - 0.01 |a|^2 - 0.5 d(hand, ball), where both distances (m)
    are the least since the episode began, its first state included, and a is in N m.
    A ball that rolls over the goal has earned what there is, and a hand that has struck
    need not follow it. Both terms only get better within an episode.
    """

    def __init__(self, env: Table, count: int, threads: int | None = None):
        super().__init__(env, count, threads)
        self._least = np.full((2, count), np.inf)

    def begin(self, ids: np.ndarray) -> None:
        super().begin(ids)
        self._least[:, ids] = self.gaps()[:, ids]

    def gaps(self) -> np.ndarray:
        """From ball to goal, and from hand to ball: [2, count], m."""
        ball = self.body("object")
        ways = ball - self.body("goal"), ball - self.body("tips_arm")
        return np.stack([length(way) for way in ways])

    def reward(self, before: None, action: np.ndarray) -> np.ndarray:
        self._least = np.minimum(self._least, self.gaps())
        far, near = self._least
        return -FAR * far - EFFORT * np.square(action).sum(axis=1) - NEAR * near

    def _draw(self, stream: np.random.Generator | None) -> tuple[np.ndarray, ...]:
        """A first state (qpos, qvel): goal and velocities of the arm are drawn."""
        assert stream is not None
        qpos, qvel = np.zeros(11), np.zeros(11)
        qpos[:7] = POSE
        qpos[[8, 7]] = START
        qpos[[10, 9]] = stream.uniform(*np.transpose(GOALS))
        qvel[:7] = stream.uniform(-SWAY, SWAY, 7)
        return qpos, qvel


@functools.cache
def model() -> MjModel:
    """The Pusher of the installed Gymnasium, with another hand, ball and table."""
    with in_a_sentence(f"task 'ours/{NAME}' cannot be made"):
        mujoco: Any = importlib.import_module("mujoco")
    quiet()
    assets = importlib.resources.files("gymnasium.envs.mujoco") / "assets"
    spec = mujoco.MjSpec.from_string((assets / "pusher_v5.xml").read_text())
    hand, ball, goal = map(spec.body, ("tips_arm", "object", "goal"))
    for body in (spec.body("r_wrist_roll_link"), hand, ball):
        for geom in body.geoms:
            spec.delete(geom)
    hand.pos = GRIP, 0, 0
    # The paddle touches the table and the ball, which touches nothing else: it slides
    # on its two joints at the height of its radius, and drag is what slows it down.
    box, sphere = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_SPHERE
    hand.add_geom(type=box, size=PADDLE, contype=1, conaffinity=3)
    ball.add_geom(type=sphere, size=(RADIUS, 0, 0), mass=MASS, contype=2, conaffinity=0)
    # The goal is a mark on the table, but its place is at the height of the ball's, so
    # that a hit is a distance of 0.
    ball.pos = goal.pos = 0, 0, TABLE + RADIUS
    goal.first_geom().pos = 0, 0, -RADIUS + 0.002
    for joint in ball.joints:
        joint.armature, joint.damping = 0, (DRAG, 0, 0)
    for motor in spec.actuators:
        motor.ctrlrange = -TORQUE, TORQUE
    return spec.compile()


def make_ours(name: str, count: int) -> HostEnv:
    """`count` environments, stepped together in C."""
    spec = ours_spec(name)
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    return BatchEnv(spec, Striker(Table(model()), count), count)


def ours_spec(name: str) -> EnvSpec:
    """The spec.

    Raises:
        ConfigError: on another name.
    """
    if name not in ours_names():
        raise ConfigError(
            f"task 'ours/{name}' must have one of the ids {', '.join(ours_names())}"
            f"{nearest(name, ours_names(), 'ours/')}"
        )
    version = importlib.metadata.version("mujoco")
    return EnvSpec(
        task=f"ours/{name}",
        obs_size=23,
        action_size=7,
        action_low=(-TORQUE,) * 7,
        action_high=(TORQUE,) * 7,
        action_dtype="float64",  # MuJoCo's
        max_steps=STEPS,
        provider=f"coadapt {__version__}, mujoco {version}",
    )


def ours_names() -> list[str]:
    return [NAME]
