"""What an environment is, and the one place of time limits and resets on the device.

Host tasks step `count` environments with numpy; device tasks are pure functions of ONE
environment, which the runner maps and scans. Both speak agent units, always a float32
vector [A]: a box action is in [-1, 1]^A and is mapped affinely, WITHOUT clipping, onto
the task's own box; a discrete action is one-hot, and its argmax is taken. Both reset
within the step that ends an episode: see `TimeStep`.
"""

import contextlib
import dataclasses
import functools
import os
import re
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.schema import ConfigError
from coadapt.types import EnvSpec, TimeStep

Physics = Any  # a pytree: whatever the dynamics carry from step to step


@runtime_checkable
class HostEnv(Protocol):
    """`count` environments on the host, stepped together: numpy in, numpy out.

    `isinstance(env, HostEnv)` tells a host task from a device task.
    """

    @property
    def spec(self) -> EnvSpec: ...

    @property
    def count(self) -> int: ...

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begins new episodes, seeded one by one.

        Returns:
            obs [count, O] float32.
        """
        ...

    def step(self, action: np.ndarray) -> TimeStep:
        """Steps all: action [count, A] float32, agent units; one-hot if discrete.

        Where an action is not finite, nobody reads what comes back, and the environment
        may rest. A simulator that raises, or returns what is no step, takes no other
        down: the reward and next_obs of its environment are NaN, and `causes` says why.

        Returns:
            arrays [count, ...], float32 and bool, that no later step writes to.
        """
        ...

    @property
    def causes(self) -> Mapping[int, str]:
        """What went wrong, in a line, by the number of the environment."""
        ...

    def close(self) -> None: ...


class EnvState(NamedTuple):
    """One environment on the device, between two steps."""

    physics: Physics
    steps: jax.Array  # scalar int32, steps taken in this episode
    key: jax.Array  # scalar typed key; noise and later episodes are drawn from it
    starts: Physics = ()  # a pool of first states, stacked; see `Autoreset`


class DeviceEnv(Protocol):
    """ONE environment as pure functions, to be mapped and scanned by the runner."""

    @property
    def spec(self) -> EnvSpec: ...

    def reset(self, key: jax.Array) -> tuple[EnvState, jax.Array]:
        """Begins the first episode: obs [O]."""
        ...

    def step(self, state: EnvState, action: jax.Array) -> tuple[EnvState, TimeStep]:
        """Steps once: action [A] float32, agent units; one-hot if discrete."""
        ...


class Dynamics(Protocol):
    """The bare task: no time limit, no reset, actions in its own units.

    Those are a vector [A] of a box task, and a scalar int32 of a discrete one.
    """

    def start(self, key: jax.Array) -> Physics:
        """Draws the first state of an episode."""
        ...

    def observe(self, physics: Physics) -> jax.Array:
        """Returns: obs [O] float32."""
        ...

    def advance(
        self, physics: Physics, action: jax.Array, key: jax.Array
    ) -> tuple[Physics, jax.Array, jax.Array]:
        """Returns: the next state, the reward (scalar), terminated (scalar bool)."""
        ...


@dataclasses.dataclass(frozen=True)
class Autoreset:
    """Bare dynamics as a `DeviceEnv`.

    An episode that terminates has discount 0; one that reaches `spec.max_steps` without
    terminating has discount 1; both are `last`, and the next starts in the same step,
    from a state drawn anew.

    Under vmap the choice between going on and starting is a select, which computes both
    at every step. Where a start costs as much as a step, `pool` of them are drawn
    beforehand for each environment, and each episode begins at one of these.
    """

    dynamics: Dynamics
    spec: EnvSpec
    pool: int = 0  # first states of each environment; 0: each is drawn when it is due

    def reset(self, key: jax.Array) -> tuple[EnvState, jax.Array]:
        key, start = jax.random.split(key)
        starts: Physics = ()
        if self.pool:
            key, draw = jax.random.split(key)
            starts = jax.vmap(self.dynamics.start)(jax.random.split(draw, self.pool))
        physics = self._start(starts, start)
        obs = self.dynamics.observe(physics)
        return EnvState(physics, jnp.int32(0), key, starts), obs

    def _start(self, starts: Physics, key: jax.Array) -> Physics:
        if not self.pool:
            return self.dynamics.start(key)
        index = jax.random.randint(key, (), 0, self.pool)
        return jax.tree.map(lambda rows: rows[index], starts)

    def step(self, state: EnvState, action: jax.Array) -> tuple[EnvState, TimeStep]:
        key, noise, start = jax.random.split(state.key, 3)
        physics, reward, terminated = self.dynamics.advance(
            state.physics, self._own_units(action), noise
        )
        terminated = jnp.asarray(terminated, bool)
        steps = state.steps + 1
        last = terminated | (steps >= self.spec.max_steps)
        next_obs = self.dynamics.observe(physics)
        physics, steps = jax.lax.cond(
            last,
            lambda: (self._start(state.starts, start), jnp.int32(0)),
            lambda: (physics, steps),
        )
        return EnvState(physics, steps, key, state.starts), TimeStep(
            obs=self.dynamics.observe(physics),
            reward=jnp.asarray(reward, jnp.float32),
            discount=(~terminated).astype(jnp.float32),
            last=last,
            next_obs=next_obs,
        )

    def _own_units(self, action: jax.Array) -> jax.Array:
        if self.spec.num_actions:
            return jnp.argmax(action).astype(jnp.int32)
        centre, half = centre_and_half(self.spec)
        return (
            jnp.asarray(centre, jnp.float32) + jnp.asarray(half, jnp.float32) * action
        )


def once(env: DeviceEnv) -> DeviceEnv:
    """The same for one episode, after which nobody looks: it needs no pool."""
    if isinstance(env, Autoreset) and env.pool:
        return dataclasses.replace(env, pool=1)
    return env


@functools.cache
def centre_and_half(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """The affine map of box actions: own units = centre + half * agent units.

    In this form, and not as low + (a + 1) / 2 * (high - low), the box [-1, 1] is mapped
    exactly onto itself.

    Returns:
        two arrays [A], float64, not to be written to.
    """
    low = np.array(spec.action_low, np.float64)
    high = np.array(spec.action_high, np.float64)
    return (low + high) / 2, (high - low) / 2


@functools.cache
def _bounds(spec: EnvSpec) -> tuple[np.ndarray, np.ndarray]:
    """Low and high [A] of a box of actions, in its own dtype."""
    low, high = spec.action_low, spec.action_high
    return np.array(low, spec.action_dtype), np.array(high, spec.action_dtype)


def own_units(spec: EnvSpec, action: np.ndarray, count: int) -> np.ndarray:
    """Agent units -> a task's own: action [count, A] -> [count, A], or [count] int.

    Box actions have the dtype of the task's space, and what is within [-1, 1] is within
    its bounds, however it is rounded: environments ask whether the space contains it.
    What is beyond stays beyond.

    Raises:
        ValueError: on another shape.
    """
    if action.shape != (count, spec.action_size):
        raise ValueError(
            f"{spec.task} takes actions of shape {(count, spec.action_size)}, "
            f"got {action.shape}"
        )
    if spec.num_actions:
        return action.argmax(axis=1)
    (centre, half), (low, high) = centre_and_half(spec), _bounds(spec)
    with np.errstate(over="ignore"):  # a policy that runs away is a result
        own = (centre + half * action.astype(np.float64)).astype(spec.action_dtype)
    clipped = np.minimum(np.maximum(own, low), high)
    return np.where(np.abs(action) <= 1, clipped, own)


def require_seeds(seeds: Sequence[int], count: int) -> None:
    """Raises: ValueError, if there is not one for each environment."""
    if len(seeds) != count:
        raise ValueError(
            f"reset needs a seed for each of {count} environments, got {len(seeds)}"
        )


# files of this package, and of what is installed
_OWN = os.path.dirname(os.path.dirname(__file__)) + os.sep
_PACKAGES = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"))
_LONGEST = 1000  # characters of what an environment says


def error_text(error: BaseException) -> str:
    """'ValueError: ...', as `printable` has it; raises nothing."""
    kind = printable(type(error).__name__)
    try:
        text = printable(str(error))
    except BaseException:  # of an environment's own class, which may do anything
        text = "its message cannot be read"
    return f"{kind}: {text}" if text else kind


@contextlib.contextmanager
def in_a_sentence(start: str, way: str = "") -> Iterator[None]:
    """What others' code raises, as a ConfigError that says so, and the way out.

    What was being made is deleted here, and is not heard: half a simulator may print a
    traceback then.

    Args:
        way: the end of the sentence, where it is not OpenGL that lacks.
    """
    hook = sys.unraisablehook
    try:
        yield
    except BaseException as error:
        if not is_own(error):
            raise
        sys.unraisablehook = lambda _: None
        traceback.clear_frames(error.__traceback__)
        said = error_text(error).rstrip(".")
        raise ConfigError(f"{start}: {said}{_opengl(said) or way}") from None
    finally:
        sys.unraisablehook = hook


OPENGL = (
    "egl (apt install libegl1 libgl1-mesa-dri) and osmesa (apt install libosmesa6) "
    "need no screen"
)


def _opengl(text: str) -> str:
    """The end of a sentence on an error: the way out, if it is one of OpenGL's."""
    if not re.search(r"OpenGL|_GL\b|EGL|GLFW|OSMesa|\be?gl[A-Z]", text):
        return ""
    asked = os.environ.get("MUJOCO_GL")
    now = "not set" if asked is None else repr(asked)
    return f"; MUJOCO_GL is {now}: {OPENGL}, and most tasks need neither"


def raised_at(error: BaseException) -> str:
    """', at swing.py:12': where an environment raised; '' if it did not.

    The innermost place in a file of the user's, or else of a package.
    """
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    others = [each for each in frames if not each[0].startswith((_OWN, "<"))]
    own = [each for each in others if not each[0].startswith(_PACKAGES)]
    if not others:
        return ""
    path, line = (own or others)[-1]
    return f", at {printable(os.path.basename(path))}:{line}"


def printable(text: str) -> str:
    """One line that any file can hold, cut at 1,000 characters.

    Control characters and lone surrogates are escaped.
    """
    line = " ".join(text[: 2 * _LONGEST].split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in line
    )


def is_own(error: BaseException) -> bool:
    """Whether an environment has raised it of itself: whatever it is but a Ctrl-C.

    While Python's own handler of SIGINT is there, a KeyboardInterrupt in the main
    thread is the user's. Other handlers, as that of the commands, tell the user's by
    raising a subclass; then one of the very type is the environment's.
    """
    if not isinstance(error, KeyboardInterrupt):
        return True
    python = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()
    return type(error) is KeyboardInterrupt and not (python and main)


def require_limit(task: str, limit: float | None, way: str = "") -> int:
    """The time limit.

    Raises:
        ConfigError: without one.
    Args:
        way: ': ...', how to give it one.
    """
    if limit is None or not limit < 2**31:  # steps are counted in int32
        raise ConfigError(
            f"task {task!r} must have a time limit, so that evaluations end, got none"
            f"{way}"
        )
    return round(limit)


# A bound that no action comes near is a way to have none: the square of an action
# there, which costs are of, is infinite in float32.
_FAR = float(np.sqrt(np.finfo(np.float32).max))


def require_box(
    task: str, low: np.ndarray, high: np.ndarray, space: object
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The bounds of a box of actions.

    Raises:
        ConfigError: if it is not finite, or its bounds are nearly those of its dtype.
    """
    ends = np.abs(np.stack([low, high]).astype(np.float64))
    far = min(_FAR, float(np.finfo(low.dtype).max) / 2)
    if not (ends < far).all():
        raise ConfigError(
            f"task {task!r} must have a finite box of actions, onto which [-1, 1] can "
            f"be mapped (bounds below {far:.0e}), got {space}"
        )
    return tuple(map(float, low.ravel())), tuple(map(float, high.ravel()))
