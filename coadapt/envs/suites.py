"""Suites whose simulators are JAX, on the device: 'brax/ant', 'playground/CheetahRun'.

Their bare environments are stepped under `Autoreset`, not under their own wrappers,
which put an episode that ends back to the one state where it first began and lose the
observation that it ended with. Either suite takes seconds to be imported, and is when
its first task is made.
"""

import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import io
import warnings
from typing import Any

import jax
import jax.numpy as jnp

from coadapt.envs.base import Autoreset, in_a_sentence
from coadapt.envs.batch import quiet
from coadapt.schema import ConfigError, nearest
from coadapt.types import EnvSpec

LIMIT = 1000  # steps; what both suites have, in every task
BACKENDS = ("generalized", "spring", "positional", "mjx")  # brax's own default first
# First states of an environment: so many, or as many as fit. On two busy cores, a step
# of eight CheetahRuns took 75 ms where each drew a first state, and 1.5 with pools of
# 32 or of 64, which took 3 and 8 s to be drawn; XLA copies no pool from step to step.
# The largest pool of either suite is the humanoids', 0.9 MiB: little beside an agent.
POOL, BYTES = 32, 4 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Suite:
    """An environment of either suite as `Dynamics`: their interface is one.

    `terminates`: whether its `done` says that an episode terminated. Playground's says
    that a number is not finite: that is a failure, and the learner sees it.
    """

    env: Any
    terminates: bool
    clips: bool  # actions at the bounds of the box

    def start(self, key: jax.Array) -> Any:
        with foreign():
            return self.env.reset(jax.random.key_data(key))  # they know old keys only

    def observe(self, physics: Any) -> jax.Array:
        return jnp.asarray(physics.obs, jnp.float32)

    def advance(
        self, physics: Any, action: jax.Array, key: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        if self.clips:
            action = jnp.clip(action, -1.0, 1.0)
        with foreign():
            # brax writes to the dictionaries of the state that it is given
            after = self.env.step(jax.tree.map(jnp.asarray, physics), action)
        # a number that a reset has as an int may be a float after a step
        after = jax.tree.map(lambda x, was: jnp.asarray(x, was.dtype), after, physics)
        done = after.done > 0 if self.terminates else jnp.array(False)
        return after, after.reward, done


class Apart:
    """A playground environment in warp, whose states are its own alone.

    Warp writes the contacts of all environments that are mapped into one list, of up to
    30 MB, which no one of them can keep in a pool or be put back to. Nothing is read
    from it before it is written, so each step begins with an empty one.
    """

    def __init__(self, env: Any):
        self._env, self.action_size = env, env.action_size
        self._shared = importlib.import_module("mujoco.mjx.warp.types").DATA_NON_VMAP
        self._data = importlib.import_module("mujoco_playground._src.mjx_env").make_data

    def reset(self, key: jax.Array) -> Any:
        return self._put(self._env.reset(key))

    def step(self, state: Any, action: jax.Array) -> Any:
        env, config = self._env, self._env._config
        sizes = {"naconmax": config.naconmax, "njmax": config.njmax}
        empty = self._data(env.mj_model, impl="warp", **sizes)._impl
        return self._put(env.step(self._put(state, empty), action))

    def _put(self, state: Any, source: Any = None) -> Any:
        """A state with what is shared from `source`, or without."""
        own = state.data._impl
        names = [n for n in self._shared if not isinstance(getattr(own, n), int)]
        shared = {name: getattr(source, name, None) for name in names}
        return state.replace(data=state.data.replace(_impl=own.replace(**shared)))


def make_brax(name: str, count: int) -> Autoreset:
    """One environment, to be mapped: see `envs.make`."""
    return _brax(*_brax_name(name))


@functools.cache
def brax_spec(name: str) -> EnvSpec:
    return make_brax(name, 1).spec


def brax_names() -> list[str]:
    """With the backend that each has by default, and the others; [] without brax."""
    if not _installed("brax"):
        return []
    names = [name for name in _BRAX if name != "swimmer"]
    return names + [f"{name}:{backend}" for name in names for backend in BACKENDS]


# brax is slow to import, and its names are wanted for errors about other suites too
_BRAX = {
    "ant": True,
    "halfcheetah": False,
    "hopper": True,
    "humanoid": True,
    "humanoidstandup": False,
    "inverted_double_pendulum": True,
    "inverted_pendulum": True,
    "pusher": False,
    "reacher": False,
    "swimmer": False,
    "walker2d": True,
}  # whether it terminates


def _brax_name(name: str) -> tuple[str, str]:
    """'ant' -> ('ant', 'generalized').

    Raises:
        ConfigError: if there is no such task, or not here.
    """
    task, (base, colon, backend) = f"brax/{name}", name.partition(":")
    _require("brax", task, "brax")
    if base not in _BRAX or (colon and backend not in BACKENDS):
        version = importlib.metadata.version("brax")
        raise ConfigError(
            f"task {task!r} must be an environment of brax {version}, with a backend "
            f"of {', '.join(BACKENDS)} or none{nearest(name, brax_names(), 'brax/')}"
        )
    if base == "swimmer":
        raise ConfigError(
            f"task {task!r} cannot be stepped: brax's fluid forces call jnp.clip with "
            f"an argument that jax {jax.__version__} has no more; use gym/Swimmer-v5"
        )
    return base, backend or BACKENDS[0]


@functools.lru_cache(maxsize=4)  # as below
def _brax(base: str, backend: str) -> Autoreset:
    with _quiet(f"brax/{base}"):
        quiet()
        suite = importlib.import_module("brax.envs")
        env = suite.get_environment(base, backend=backend)
    version = importlib.metadata.version("brax")
    return _autoreset(
        f"brax/{base}:{backend}",
        Suite(env, terminates=_BRAX[base], clips=False),
        f"brax {version} {backend}, jax {jax.__version__}",
    )


def make_playground(name: str, count: int) -> Autoreset:
    """One environment, to be mapped: see `envs.make`."""
    return _playground(*_playground_name(name))


@functools.cache
def playground_spec(name: str) -> EnvSpec:
    return make_playground(name, 1).spec


def playground_names() -> list[str]:
    """The suite's tasks; [] without playground."""
    return list(_PLAYGROUND) if _installed("playground") else []


_PLAYGROUND = """
    AcrobotSwingup AcrobotSwingupSparse BallInCup CartpoleBalance CartpoleBalanceSparse
    CartpoleSwingup CartpoleSwingupSparse CheetahRun FingerSpin FingerTurnEasy
    FingerTurnHard FishSwim HopperHop HopperStand HumanoidRun HumanoidStand HumanoidWalk
    PendulumSwingup PointMass ReacherEasy ReacherHard SwimmerSwimmer6 WalkerRun
    WalkerStand WalkerWalk
""".split()  # noqa: SIM905


def _playground_name(name: str) -> tuple[str, str]:
    """'CheetahRun' -> ('CheetahRun', 'jax').

    Raises:
        ConfigError: if there is no such task, or not here.
    """
    task, (base, colon, impl) = f"playground/{name}", name.partition(":")
    _require("playground", task, "playground")
    if base not in _PLAYGROUND or (colon and impl not in ("jax", "warp")):
        version = importlib.metadata.version("playground")
        raise ConfigError(
            f"task {task!r} must be of the DeepMind Control suite of playground "
            f"{version}, with :jax, :warp or neither; its other suites are downloaded "
            "when they are made, and show more than one vector"
            f"{nearest(name, _PLAYGROUND, 'playground/')}"
        )
    if impl == "warp" and jax.default_backend() != "gpu":
        raise ConfigError(
            f"task {task!r} needs a GPU: leave out ':warp' on another device"
        )
    return base, impl or "jax"


@functools.lru_cache(maxsize=4)  # a model takes 25 MiB
def _playground(base: str, impl: str) -> Autoreset:
    with _quiet(f"playground/{base}"):
        quiet()
        playground = importlib.import_module("mujoco_playground")
        _mend_reacher()
        env = playground.dm_control_suite.load(base, config_overrides={"impl": impl})
        if impl == "warp":
            _hush_warp(env)
            env = Apart(env)
    packages = ("playground", "mujoco-mjx", *["warp-lang"] * (impl == "warp"))
    versions = [f"{p} {importlib.metadata.version(p)}" for p in packages]
    return _autoreset(
        f"playground/{base}" + (":warp" if impl == "warp" else ""),
        Suite(env, terminates=False, clips=True),
        ", ".join(versions),
    )


def _hush_warp(env: Any) -> None:
    """It tells of each kernel that it loads, and, at a step, that the solver stopped
    where playground bids it stop; that contacts are more than fit is still said."""
    warp: Any = importlib.import_module("warp")
    warp.config.log_level = warp.LOG_WARNING
    kinds = importlib.import_module("mujoco.mjx.third_party.mujoco_warp").OverflowType
    option = env._mjx_model.opt
    said = int(option._impl.warn_overflow & ~(kinds.ITERATIONS | kinds.LS_ITERATIONS))
    option = option.replace(_impl=option._impl.replace(warn_overflow=said))
    env._mjx_model = env._mjx_model.replace(opt=option)


def _mend_reacher() -> None:
    """Playground's reachers take '3.17.0' for older than '3.3.0', and call what was."""
    spec = importlib.import_module("mujoco").MjSpec
    if not hasattr(spec, "find_body"):
        spec.find_body = lambda self, name: self.body(name)


def _autoreset(task: str, dynamics: Suite, provider: str) -> Autoreset:
    """Under the time limit, with as many first states as are cheap to keep."""
    first = jax.eval_shape(dynamics.start, jax.random.key(0))
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(first))
    actions = dynamics.env.action_size
    # brax's own step maps this box onto the actuators' where those differ: +-0.4 of the
    # humanoids, +-2 of the pusher, +-3 of the inverted pendulum
    high = (1.0,) * actions
    spec = EnvSpec(
        task=task,
        obs_size=first.obs.shape[-1],
        action_size=actions,
        action_low=tuple(-x for x in high),
        action_high=high,
        max_steps=LIMIT,
        provider=provider,
    )
    return Autoreset(dynamics, spec, pool=max(1, min(POOL, BYTES // size)))


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _require(package: str, task: str, extra: str) -> None:
    if not _installed(package):
        raise ConfigError(
            f"task {task!r} needs {package}, which is not installed: "
            f"pip install -c constraints.txt -e '.[{extra}]'"
        )


@contextlib.contextmanager
def foreign():
    """Suites mix kinds and ranks of arrays, also where a user has told JAX not to, and
    call what is deprecated, which no user of ours can mend."""
    kinds = jax.numpy_dtype_promotion("standard")
    ranks = jax.numpy_rank_promotion("allow")
    with kinds, ranks, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _quiet(task: str):
    """What the suites print when they are imported is not for our users either, and
    what they raise is a sentence."""
    silent = contextlib.redirect_stdout(io.StringIO())
    with foreign(), silent, in_a_sentence(f"task {task!r} cannot be made"):
        yield
