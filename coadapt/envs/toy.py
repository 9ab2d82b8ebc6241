"""Small tasks on the device whose values are known in closed form.

They answer "does this algorithm learn?" in seconds, with a number to compare with:
`optimum` and `baseline` are expected returns of an episode, undiscounted.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.envs.base import Autoreset, Dynamics
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec

UNIFORM_VARIANCE = 1 / 3  # of an action uniform in [-1, 1]


class Toy(Dynamics, Protocol):
    """Dynamics that know their own returns."""

    @property
    def obs_size(self) -> int: ...

    @property
    def max_steps(self) -> int: ...

    @property
    def num_actions(self) -> int: ...  # 0 if the action is a box, of one dimension

    def optimum(self) -> float: ...

    def baseline(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class OneStep:
    """What tasks of one state and one step share: there is nothing to see."""

    obs_size: int = 1
    max_steps: int = 1

    def start(self, key: jax.Array) -> jax.Array:
        return jnp.ones(1, jnp.float32)

    def observe(self, physics: jax.Array) -> jax.Array:
        return physics


@dataclasses.dataclass(frozen=True)
class Bandit(OneStep):
    """One state, one step, one action a: reward -(a - best)^2. Terminates at once."""

    best: float = 0.5
    num_actions: int = 0

    def advance(
        self, physics: jax.Array, action: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        return physics, -jnp.square(action[0] - self.best), jnp.array(True)

    def optimum(self) -> float:
        return 0.0

    def baseline(self) -> float:
        return -(UNIFORM_VARIANCE + self.best**2)


@dataclasses.dataclass(frozen=True)
class Arms(OneStep):
    """One state, one step, an action for each of `rewards`. Terminates at once."""

    rewards: tuple[float, ...] = (1.0, 2.0, 3.0)

    @property
    def num_actions(self) -> int:
        return len(self.rewards)

    def advance(
        self, physics: jax.Array, action: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        return physics, jnp.array(self.rewards, jnp.float32)[action], jnp.array(True)

    def optimum(self) -> float:
        return max(self.rewards)

    def baseline(self) -> float:
        return sum(self.rewards) / len(self.rewards)


@dataclasses.dataclass(frozen=True)
class LQR:
    """A double integrator to be brought to rest at zero: x = (position, velocity).

        x' = A x + B a,    reward = -(position^2 + action_cost * a^2),

    both of the reward's terms from before the step. It starts uniformly in
    [-1, 1]^2 and never terminates: it ends by the time limit. The numbers are such that
    the optimal action stays within [-1, 1] from every start (0.87 at most), so that the
    box binds no policy that is near the optimum.
    """

    dt: float = 0.1  # seconds
    force: float = 5.0  # acceleration of an action of 1
    action_cost: float = 4.0
    obs_size: int = 2
    max_steps: int = 30
    num_actions: int = 0

    @property
    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """A [2, 2] and B [2, 1], float64: the integrator's exact solution over dt."""
        transition = np.array([[1.0, self.dt], [0.0, 1.0]])
        control = self.force * np.array([[self.dt**2 / 2], [self.dt]])
        return transition, control

    def start(self, key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, (2,), jnp.float32, -1.0, 1.0)

    def observe(self, physics: jax.Array) -> jax.Array:
        return physics

    def advance(
        self, physics: jax.Array, action: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        # Written out, because a matrix product may run at reduced precision on a GPU.
        position, velocity = physics[0], physics[1]
        acceleration = self.force * action[0]
        reward = -(jnp.square(position) + self.action_cost * jnp.square(action[0]))
        position = position + self.dt * velocity + self.dt**2 / 2 * acceleration
        velocity = velocity + self.dt * acceleration
        return jnp.stack([position, velocity]), reward, jnp.array(False)

    def gains(self, horizon: int, discount: float = 1.0) -> np.ndarray:
        """The optimal policy a_t = -gains[t] x_t of `horizon` steps, by Riccati.

            P_T = 0,    K_t = (R + d B'P B)^-1 d B'P A,    P_t = Q + d A'P (A - B K_t)

        with P = P_{t+1}, d the discount. The first gain of a long horizon is that of
        the infinite one.

        Returns:
            [horizon, 2], float64.
        """
        a, b = self.matrices
        p = np.zeros((2, 2))
        gains = np.zeros((horizon, 2))
        for t in reversed(range(horizon)):
            gain = (
                discount * (b.T @ p @ a) / (self.action_cost + discount * b.T @ p @ b)
            )
            p = np.diag([1.0, 0.0]) + discount * a.T @ p @ (a - b @ gain)
            gains[t] = gain[0]
        return gains

    def linear_return(self, gains: np.ndarray, action_variance: float = 0.0) -> float:
        """The expected return of a_t = -gains[t] x_t + noise over the starts, exactly.

        Only the second moment S = E[x x'] counts, the policy being linear and the noise
        of mean zero.

        Args:
            gains: [T, 2].
            action_variance: of the noise.
        """
        a, b = self.matrices
        moment, cost = UNIFORM_VARIANCE * np.eye(2), 0.0
        for gain in gains[:, None]:
            action_moment = (gain @ moment @ gain.T).item() + action_variance
            cost += moment[0, 0] + self.action_cost * action_moment
            closed = a - b @ gain
            moment = closed @ moment @ closed.T + action_variance * b @ b.T
        return -cost

    def optimum(self) -> float:
        return self.linear_return(self.gains(self.max_steps))

    def idle(self) -> float:
        """The expected return of action zero."""
        return self.linear_return(np.zeros((self.max_steps, 2)))

    def baseline(self) -> float:
        return self.linear_return(np.zeros((self.max_steps, 2)), UNIFORM_VARIANCE)


@dataclasses.dataclass(frozen=True)
class Chain:
    """A walk on a line; both ends terminate, and the right one pays 1.

    Action a goes right with probability (1 + clip(a, -1, 1)) / 2, else left. It starts
    uniformly between the ends. The observation is the state, one-hot.
    """

    obs_size: int = 7
    max_steps: int = 50
    num_actions: int = 0

    def start(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, (), 1, self.obs_size - 1, jnp.int32)

    def observe(self, physics: jax.Array) -> jax.Array:
        return jax.nn.one_hot(physics, self.obs_size, dtype=jnp.float32)

    def advance(
        self, physics: jax.Array, action: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        right = self.probability_right(action)
        # Uniform in [0, 1): probability 0 never goes right, probability 1 always does.
        move = jnp.where(jax.random.uniform(key, (), jnp.float32) < right, 1, -1)
        physics = physics + move.astype(jnp.int32)
        won = physics == self.obs_size - 1
        return physics, won.astype(jnp.float32), won | (physics == 0)

    def probability_right(self, action: jax.Array) -> jax.Array:
        return (1 + jnp.clip(action[0], -1.0, 1.0)) / 2

    def matrix(self, probability_right: float) -> np.ndarray:
        """[S, S] probabilities of the moves; zero from the ends: nothing follows."""
        size = self.obs_size
        matrix = np.zeros((size, size))
        inner = np.arange(1, size - 1)
        matrix[inner, inner + 1] = probability_right
        matrix[inner, inner - 1] = 1 - probability_right
        return matrix

    def values(self, probability_right: float, discount: float = 1.0) -> np.ndarray:
        """V = P (r + discount V) of a constant policy, without the time limit.

        What a critic that bootstraps at the time limit should find.

        Returns:
            [S], zero at the ends, float64.
        """
        matrix = self.matrix(probability_right)
        return np.linalg.solve(
            np.eye(self.obs_size) - discount * matrix, matrix[:, self.obs_size - 1]
        )

    def optimum(self) -> float:
        return 1.0

    def baseline(self) -> float:
        matrix, value = self.matrix(0.5), np.zeros(self.obs_size)
        for _ in range(self.max_steps):
            value = matrix[:, self.obs_size - 1] + matrix @ value
        return float(value[1:-1].mean())


@dataclasses.dataclass(frozen=True)
class Corridor(Chain):
    """The chain with two actions, which never miss: 0 goes left, 1 goes right."""

    num_actions: int = 2

    def probability_right(self, action: jax.Array) -> jax.Array:
        return action.astype(jnp.float32)


TOYS: dict[str, Callable[[], Toy]] = {
    "bandit": Bandit,
    "lqr": LQR,
    "chain": Chain,
    "arms": Arms,
    "corridor": Corridor,
}


def toy(name: str) -> Autoreset:
    """The task 'toy/<name>' as an environment on the device."""
    return Autoreset(_dynamics(name), toy_spec(name))


def toy_spec(name: str) -> EnvSpec:
    dynamics = _dynamics(name)
    discrete = dynamics.num_actions > 0
    return EnvSpec(
        task=f"toy/{name}",
        obs_size=dynamics.obs_size,
        action_size=dynamics.num_actions or 1,
        num_actions=dynamics.num_actions,
        action_low=() if discrete else (-1.0,),
        action_high=() if discrete else (1.0,),
        max_steps=dynamics.max_steps,
        provider=f"coadapt, jax {jax.__version__}",
    )


def toy_names() -> list[str]:
    return list(TOYS)


def optimum(task: str) -> float:
    """The best expected return of an episode of 'toy/<name>'; of 'toy/lqr', the exact
    one of its finite horizon, whose policy knows the time."""
    return _dynamics(task.removeprefix("toy/")).optimum()


def baseline(task: str) -> float:
    """The expected return of an episode of 'toy/<name>' with uniformly random
    actions."""
    return _dynamics(task.removeprefix("toy/")).baseline()


def lqr_gain(discount: float = 1.0) -> np.ndarray:
    """The stationary optimal policy a = -gain x of 'toy/lqr'.

    Returns:
        [2], float64.
    """
    # The closed loop contracts by 0.85 a step: after 500, nothing is left in float64.
    return LQR().gains(500, discount)[0]


def chain_values(probability_right: float, discount: float = 1.0) -> np.ndarray:
    """The values of 'toy/chain' under a constant policy.

    Returns:
        [7], float64.
    """
    return Chain().values(probability_right, discount)


def _dynamics(name: str) -> Toy:
    if name not in TOYS:
        raise ConfigError(
            f"task 'toy/{name}' must have one of the ids {', '.join(TOYS)}"
            f"{nearest(name, TOYS, 'toy/')}"
        )
    return TOYS[name]()
