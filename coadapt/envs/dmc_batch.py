"""Small domains of DeepMind Control over many simulations at once, equal to the bit.

Nine tenths of a step of these are Python, so that they gain the most. First states are
drawn by dm_control's own environment; what stands here is what it computes of a state,
in its order, over the rows of all agents.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from coadapt.envs.batch import BatchTask, simulations

VELOCITY = 2  # mjSTAGE_VEL
XX, XZ, ZZ = 0, 2, 8  # entries of a rotation matrix by their names in dm_control


class DmcTask(BatchTask):
    """Simulations of the model of `env`, which is dm_control's and is only reset."""

    stage = VELOCITY  # dm_control brings positions and velocities up to date too

    def __init__(self, env: Any, count: int, threads: int | None = None):
        self.env, self.substeps = env, env._n_sub_steps
        model = env.physics.model.ptr
        self.sims: Any = simulations(model, count, threads, persistent=True)
        self.qpos, self.qvel = self.sims.bind("qpos"), self.sims.bind("qvel")
        self.turn = self.sims.bind("xmat")  # [count, bodies, 9]
        box = env.action_spec()
        self._low, self._high = box.minimum, box.maximum
        self._streams: list[Any] = [None] * count

    def seed(self, i: int, seed: int) -> None:
        self._streams[i] = np.random.RandomState(seed)

    def begin(self, ids: np.ndarray) -> None:
        mujoco: Any = importlib.import_module("mujoco")
        what = mujoco.mjtState.mjSTATE_INTEGRATION.value
        model, data = self.env.physics.model.ptr, self.env.physics.data.ptr
        for i in ids:
            self.env.task._random = self._streams[i]
            self.env.reset()
            mujoco.mj_getState(model, data, self.sims.state[i], what)
        self.sims.forward(ids, self.stage)  # nothing of which the next step depends on

    def control(self, action: np.ndarray) -> np.ndarray:
        return np.clip(action, self._low, self._high)

    def reward(self, before: None, action: np.ndarray) -> np.ndarray:
        """dm_control raises where MuJoCo warns of a bad state: here it is a NaN."""
        bad = self.sims.warning[..., 1].any(axis=1)
        return np.where(bad, np.nan, self.merit(self.control(action)))

    def merit(self, control: np.ndarray) -> np.ndarray:
        """The reward of a good state, after controls [count, A]: [count]."""
        raise NotImplementedError


class Cartpole(DmcTask):
    """A pole on a cart; bodies are the world, the cart, the pole."""

    def observe(self) -> np.ndarray:
        pole = self.turn[:, 2]
        parts = self.qpos[:, :1], pole[:, [ZZ, XZ]], self.qvel
        return np.concatenate(parts, axis=1)

    def merit(self, control: np.ndarray) -> np.ndarray:
        task, place, cosine = self.env.task, self.qpos[:, 0], self.turn[:, 2, ZZ]
        if task._sparse:
            centred = tolerance(place, *task._CART_RANGE)
            return centred * tolerance(cosine, *task._ANGLE_COSINE_RANGE)
        upright = (cosine + 1) / 2
        centred = (1 + tolerance(place, margin=2, sigmoid=gaussian)) / 2
        small = tolerance(control[:, 0], margin=1, sigmoid=quadratic)
        slow = tolerance(self.qvel[:, 1], margin=5, sigmoid=gaussian_of_many)
        return upright * ((4 + small) / 5) * ((1 + slow) / 2) * centred


class Pendulum(DmcTask):
    def observe(self) -> np.ndarray:
        return np.concatenate([self.turn[:, 1][:, [ZZ, XZ]], self.qvel], axis=1)

    def merit(self, control: np.ndarray) -> np.ndarray:
        from dm_control.suite import pendulum

        return tolerance(self.turn[:, 1, ZZ], pendulum._COSINE_BOUND, 1)


class Acrobot(DmcTask):
    def __init__(self, env: Any, count: int, threads: int | None = None):
        super().__init__(env, count, threads)
        names, model = ("target", "tip"), env.physics.model
        self._sites = [model.name2id(name, "site") for name in names]
        self._radius = env.physics.named.model.site_size["target", 0]
        self._places = self.sims.bind("site_xpos")

    def observe(self) -> np.ndarray:
        arms = self.turn[:, 1:3]
        return np.concatenate([arms[..., XZ], arms[..., ZZ], self.qvel], axis=1)

    def merit(self, control: np.ndarray) -> np.ndarray:
        target, tip = (self._places[:, site] for site in self._sites)
        way = target - tip
        far = np.sqrt(np.vecdot(way, way))  # as np.linalg.norm of one has it
        margin = 0 if self.env.task._sparse else 1
        return tolerance(far, 0, self._radius, margin=margin, sigmoid=gaussian)


class Cheetah(DmcTask):
    def observe(self) -> np.ndarray:
        return np.concatenate([self.qpos[:, 1:], self.qvel], axis=1)

    def merit(self, control: np.ndarray) -> np.ndarray:
        from dm_control.suite import cheetah

        fast = cheetah._RUN_SPEED
        return tolerance(speed(self), fast, np.inf, margin=fast, sigmoid=linear(0))


class Walker(DmcTask):
    """Bodies are the world, the torso, the legs."""

    def observe(self) -> np.ndarray:
        turns = self.turn[:, 1:][..., [XX, XZ]].reshape(len(self.turn), -1)
        return np.concatenate([turns, self._height()[:, None], self.qvel], axis=1)

    def _height(self) -> np.ndarray:
        return self.sims.bind("xpos")[:, 1, 2]

    def merit(self, control: np.ndarray) -> np.ndarray:
        from dm_control.suite import walker

        tall, fast = walker._STAND_HEIGHT, self.env.task._move_speed
        standing = tolerance(
            self._height(), tall, np.inf, margin=tall / 2, sigmoid=gaussian
        )
        upright = (1 + self.turn[:, 1, ZZ]) / 2
        stand = (3 * standing + upright) / 4
        if fast == 0:
            return stand
        move = tolerance(
            speed(self), fast, np.inf, margin=fast / 2, sigmoid=linear(0.5)
        )
        return stand * (5 * move + 1) / 6


def speed(task: DmcTask) -> np.ndarray:
    """Of the centre of mass, forwards: [count], from the sensor of both robots."""
    address = task.env.physics.model.sensor("torso_subtreelinvel").adr[0]
    return task.sims.bind("sensordata")[:, address]


def tolerance(
    x: np.ndarray,
    low: float = 0.0,
    high: float = 0.0,
    *,
    margin: float = 0.0,
    sigmoid: Callable[[np.ndarray], np.ndarray] = np.zeros_like,
) -> np.ndarray:
    """1 where low <= x <= high, and `sigmoid` of the way there over `margin` elsewhere.

    Source: dm_control.utils.rewards.tolerance
    """
    inside = (low <= x) & (x <= high)
    if margin == 0:
        return np.where(inside, 1.0, 0.0)
    away = np.where(x < low, low - x, x - high) / margin
    return np.where(inside, 1.0, sigmoid(away))


def gaussian(x: np.ndarray) -> np.ndarray:
    """0.1 at 1, as dm_control has it of a number.

    NumPy takes the square of an array as x * x and that of a number as C's pow, and the
    two differ in the last bit of one result in a thousand.
    """
    scaled = x * np.sqrt(-2 * np.log(0.1))
    return np.exp(-0.5 * np.array([math.pow(value, 2.0) for value in scaled]))


def gaussian_of_many(x: np.ndarray) -> np.ndarray:
    """0.1 at 1, as dm_control has it of an array."""
    return np.exp(-0.5 * np.square(x * np.sqrt(-2 * np.log(0.1))))


def quadratic(x: np.ndarray) -> np.ndarray:
    """0 at 1."""
    return np.where(abs(x) < 1, 1 - np.square(x), 0.0)


def linear(at_margin: float) -> Callable[[np.ndarray], np.ndarray]:
    def sigmoid(x: np.ndarray) -> np.ndarray:
        scaled = x * (1 - at_margin)
        return np.where(abs(scaled) < 1, 1 - scaled, 0.0)

    return sigmoid


TASKS = {
    "acrobot_swingup": Acrobot,
    "acrobot_swingup_sparse": Acrobot,
    "cartpole_balance": Cartpole,
    "cartpole_balance_sparse": Cartpole,
    "cartpole_swingup": Cartpole,
    "cartpole_swingup_sparse": Cartpole,
    "cheetah_run": Cheetah,
    "pendulum_swingup": Pendulum,
    "walker_run": Walker,
    "walker_stand": Walker,
    "walker_walk": Walker,
}
