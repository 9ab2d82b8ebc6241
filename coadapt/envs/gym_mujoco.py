"""Gymnasium's MuJoCo tasks over many simulations at once, equal to them to the bit.

Numbers (weights, ranges, time steps) and the draws of first states are read from
Gymnasium's own environment; what stands here is its arithmetic, in its order, over the
rows of all agents.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from coadapt.envs.batch import BatchTask, MjModel, simulations

if TYPE_CHECKING:
    from gymnasium.envs.mujoco import MujocoEnv


class Robot(Protocol):
    """What is read of every environment."""

    @property
    def model(self) -> MjModel: ...

    @property
    def frame_skip(self) -> int: ...


class GymTask(BatchTask):
    """Simulations of the model of `env`, which is Gymnasium's and is never stepped.

    `forces` says whether contact forces are read.
    """

    forces = False

    def __init__(self, env: Robot, count: int, threads: int | None = None):
        self.env: Any = env
        self.substeps = env.frame_skip
        self.sims = simulations(env.model, count, threads, forces=self.forces)
        self.qpos, self.qvel = self.sims.bind("qpos"), self.sims.bind("qvel")
        self._streams: list[np.random.Generator | None] = [None] * count

    def seed(self, i: int, seed: int) -> None:
        from gymnasium.utils import seeding

        self._streams[i], _ = seeding.np_random(seed)

    def begin(self, ids: np.ndarray) -> None:
        self.sims.reset(ids, stage=0)
        for i in ids:
            self.qpos[i], self.qvel[i] = self._draw(self._streams[i])
        self.sims.forward(ids)

    def _draw(self, stream: np.random.Generator | None) -> tuple[np.ndarray, ...]:
        """A first state (qpos, qvel): what Gymnasium would have set."""
        drawn: list[tuple[np.ndarray, ...]] = []
        self.env._np_random = stream
        self.env.set_state = lambda *state: drawn.append(state)
        self.env.reset_model()
        return drawn[0]


class Runner(GymTask):
    """A robot that is paid for going forward and, if it can fall, for being healthy.

    The versions differ in that until v4 the step on which it falls is paid for too.
    """

    hidden = 1  # coordinates of its place, which are not observed
    fastest = np.inf  # to which observed velocities are clipped

    def __init__(self, env: "MujocoEnv", count: int, threads: int | None = None):
        super().__init__(env, count, threads)
        self._falls = getattr(env, "_terminate_when_unhealthy", False)
        self._old = hasattr(type(env), "terminated")

    def before(self) -> np.ndarray:
        return self.place().copy()

    def place(self) -> np.ndarray:
        """Of which the speed is taken, [count]."""
        return self.qpos[:, 0]

    def observe(self) -> np.ndarray:
        return np.concatenate(self.seen(), axis=1)

    def seen(self) -> Sequence[np.ndarray]:
        velocity = np.clip(self.qvel, -self.fastest, self.fastest)
        return self.qpos[:, self.hidden :], velocity

    def reward(self, before: np.ndarray, action: np.ndarray) -> np.ndarray:
        speed = (self.place() - before) / self.env.dt
        forward = getattr(self.env, "_forward_reward_weight", 1.0) * speed
        return forward + self.health_reward() - self.cost(action)

    def health_reward(self) -> np.ndarray | float:
        if not self._falls:
            return 0.0
        paid = self.env._healthy_reward
        return paid if self._old else self.healthy() * paid

    def cost(self, action: np.ndarray) -> np.ndarray:
        return self.env._ctrl_cost_weight * np.square(action).sum(axis=1)

    def terminated(self) -> np.ndarray | bool:
        return ~self.healthy() if self._falls else False

    def healthy(self) -> np.ndarray:
        """[count] bool."""
        raise NotImplementedError

    def within(self, name: str, value: np.ndarray) -> np.ndarray:
        """Whether a value is inside, not on, the environment's range of that name."""
        low, high = getattr(self.env, name)
        return (low < value) & (value < high)


class Swimmer(Runner):
    hidden = 2


class Walker2d(Runner):
    fastest = 10.0

    def healthy(self) -> np.ndarray:
        height = self.within("_healthy_z_range", self.qpos[:, 1])
        return height & self.within("_healthy_angle_range", self.qpos[:, 2])


class Hopper(Walker2d):
    def healthy(self) -> np.ndarray:
        state = np.concatenate([self.qpos, self.qvel], axis=1)[:, 2:]
        return super().healthy() & self.within("_healthy_state_range", state).all(1)


class Ant(Runner):
    """Its speed is that of the torso's frame, a substep late, as MuJoCo has it."""

    hidden = 2

    def __init__(self, env: "MujocoEnv", count: int, threads: int | None = None):
        super().__init__(env, count, threads)
        self._torso = self.sims.bind("xpos")[:, 1]

    def place(self) -> np.ndarray:
        return self._torso[:, 0]

    def healthy(self) -> np.ndarray:
        low, high = self.env._healthy_z_range
        height, finite = self.qpos[:, 2], np.isfinite(self.qpos).all(axis=1)
        finite &= np.isfinite(self.qvel).all(axis=1)
        return finite & (low <= height) & (height <= high)


class AntWithForces(Ant):
    """From v5: contact forces are seen, and cost."""

    forces = True

    def contact(self) -> np.ndarray:
        """[count, bodies, 6]."""
        return np.clip(self.sims.bind("cfrc_ext"), *self.env._contact_force_range)

    def seen(self) -> Sequence[np.ndarray]:
        return *super().seen(), flat(self.contact()[:, 1:])

    def cost(self, action: np.ndarray) -> np.ndarray:
        square = np.square(flat(self.contact())).sum(axis=1)
        return super().cost(action) + self.env._contact_cost_weight * square


class Humanoid(Runner):
    """Its speed is that of its centre of mass; it sees inertias and forces."""

    hidden, forces = 2, True
    bodies, joints = 0, 0  # the first that are seen

    def __init__(self, env: "MujocoEnv", count: int, threads: int | None = None):
        super().__init__(env, count, threads)
        bind = self.sims.bind
        self._mass, self._centres = env.model.body_mass, bind("xipos")
        self._inertias = [bind(name) for name in ("cinert", "cvel")]
        self._forces, self._contact = bind("qfrc_actuator"), bind("cfrc_ext")

    def place(self) -> np.ndarray:
        total = np.einsum("b,nbj->nj", self._mass, self._centres)
        return (total / self._mass.sum())[:, 0]

    def seen(self) -> Sequence[np.ndarray]:
        inertias = [flat(part[:, self.bodies :]) for part in self._inertias]
        contact = flat(self._contact[:, self.bodies :])
        return *super().seen(), *inertias, self._forces[:, self.joints :], contact

    def cost(self, action: np.ndarray) -> np.ndarray:
        return super().cost(action.astype(np.float64))  # of MjData's, not of the given

    def healthy(self) -> np.ndarray:
        return self.within("_healthy_z_range", self.qpos[:, 2])


class HumanoidWithCost(Humanoid):
    """From v5: contact forces cost, and what is always 0 is not seen."""

    bodies, joints = 1, 6

    def cost(self, action: np.ndarray) -> np.ndarray:
        square = np.square(flat(self._contact)).sum(axis=1)
        contact = np.clip(
            self.env._contact_cost_weight * square, *self.env._contact_cost_range
        )
        return super().cost(action) + contact


class Arm(GymTask):
    """Something that is to be brought to its goal; what counts are places of bodies."""

    def __init__(self, env: Robot, count: int, threads: int | None = None):
        super().__init__(env, count, threads)
        self._places = self.sims.bind("xpos")

    def body(self, name: str) -> np.ndarray:
        """[count, 3]."""
        return self._places[:, self.env.model.body(name).id]


class Reacher(Arm):
    seen = 2  # dimensions of the way to the target

    def way(self) -> np.ndarray:
        return self.body("fingertip") - self.body("target")

    def observe(self) -> np.ndarray:
        angle = np.ascontiguousarray(self.qpos[:, :2])
        parts = np.cos(angle), np.sin(angle), self.qpos[:, 2:], self.qvel[:, :2]
        return np.concatenate([*parts, self.way()[:, : self.seen]], axis=1)

    def reward(self, before: np.ndarray | None, action: np.ndarray) -> np.ndarray:
        way = self.way() if before is None else before
        return -length(way) + -np.square(action).sum(axis=1)


class OldReacher(Reacher):
    """Until v4: paid for the way before the step, and sees three dimensions."""

    seen = 3

    def before(self) -> np.ndarray:
        return self.way()


class Pusher(Arm):
    def observe(self) -> np.ndarray:
        bodies = [self.body(name) for name in ("tips_arm", "object", "goal")]
        return np.concatenate([self.qpos[:, :7], self.qvel[:, :7], *bodies], axis=1)

    def reward(self, before: None, action: np.ndarray) -> np.ndarray:
        thing, env = self.body("object"), self.env
        near = -length(thing - self.body("tips_arm")) * env._reward_near_weight
        far = -length(thing - self.body("goal")) * env._reward_dist_weight
        cost = -np.square(action).sum(axis=1) * env._reward_control_weight
        return far + cost + near


def flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), -1)


def length(rows: np.ndarray) -> np.ndarray:
    """Euclidean, [n, k] -> [n], through the same product as np.linalg.norm of one."""
    return np.sqrt(np.vecdot(rows, rows))


TASKS = {
    "HalfCheetah-v4": Runner,
    "HalfCheetah-v5": Runner,
    "Hopper-v4": Hopper,
    "Hopper-v5": Hopper,
    "Walker2d-v4": Walker2d,
    "Walker2d-v5": Walker2d,
    "Swimmer-v4": Swimmer,
    "Swimmer-v5": Swimmer,
    "Ant-v4": Ant,
    "Ant-v5": AntWithForces,
    "Humanoid-v4": Humanoid,
    "Humanoid-v5": HumanoidWithCost,
    "Reacher-v4": OldReacher,
    "Reacher-v5": Reacher,
    "Pusher-v5": Pusher,
}
