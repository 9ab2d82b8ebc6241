"""The programs that speed is compared with: their pins, and what they can do.

Each runs under a Python of its own, in a script beside this file that imports nothing
of ours but `protocol`.
"""

from typing import NamedTuple


class Peer(NamedTuple):
    """One program, as it is installed and asked."""

    script: str  # beside this file
    home: str  # its environment; two may share one
    pins: tuple[str, ...]  # requirements of pip
    told: tuple[str, ...]  # distributions whose versions a table tells
    algorithms: tuple[str, ...]  # whose updates alone it can run
    tasks: tuple[str, ...]  # of gym, whose loop it can run; none: all
    axes: tuple[str, ...]  # of the sweep, that it can express
    together: bool = False  # several agents in one program


# the simulator that is ours too, so that its speed is the same for all; mujoco is
# pinned because gymnasium takes any, and 4 is another simulator
_GYM = ("gymnasium[mujoco]==1.4.0", "mujoco==3.17.0", "numpy==2.4.6")
_JAX = ("jax==0.10.2", "jaxlib==0.10.2", "flax==0.12.8", "optax==0.2.8")
# that of the CPU is a fifth of the download where an index has it
_TORCH = ("torch==2.13.0",)
_AXES = ("critics", "activation", "discount")

_BASELINES = Peer(
    script="baselines_works.py",
    home="sbx",
    pins=("sbx-rl==0.28.0", "stable_baselines3==2.9.2", *_JAX, *_TORCH, *_GYM),
    told=("sbx-rl", "jax", "flax", "gymnasium", "mujoco", "numpy"),
    algorithms=("sac", "td3", "ddpg", "ppo"),
    tasks=(),
    axes=_AXES,
)

PEERS = {
    "sbx": _BASELINES,
    "sb3": _BASELINES._replace(
        told=("stable_baselines3", "torch", "gymnasium", "mujoco", "numpy")
    ),
    "rejax": Peer(
        script="rejax_works.py",
        home="rejax",
        # it asks for any gymnax, and fails when it traces with 1.0 and later
        pins=("rejax==0.1.3", "gymnax==0.0.9", "numpy==2.4.6", *_JAX),
        told=("rejax", "gymnax", "jax", "flax"),
        algorithms=("sac", "td3", "ppo"),
        tasks=("Pendulum-v1",),
        axes=_AXES,
        together=True,
    ),
    "pfrl": Peer(
        script="pfrl_works.py",
        home="pfrl",
        pins=("pfrl==0.4.0", *_TORCH, *_GYM),
        told=("pfrl", "torch", "gymnasium", "mujoco", "numpy"),
        algorithms=("sac", "td3", "ddpg", "ppo"),
        tasks=(),
        axes=("activation", "discount"),  # its SAC takes two critics, no fewer
    ),
    "authors": Peer(
        script="authors_works.py",
        home="torch",
        pins=(*_TORCH, *_GYM),
        told=("torch", "gymnasium", "mujoco", "numpy"),
        algorithms=("sac", "mpo", "awr"),
        tasks=(),
        axes=_AXES,
    ),
}
# what ours is laid beside for what it learns, not for its speed
PARITY = Peer(
    script="parity_works.py",
    home="parity",
    pins=("stable_baselines3==2.9.2", "sb3-contrib==2.9.2", *_TORCH, *_GYM),
    told=("stable_baselines3", "sb3-contrib", "torch", "gymnasium", "mujoco", "numpy"),
    algorithms=("sac", "td3", "ddpg", "ppo", "trpo"),
    tasks=(),
    axes=(),
)
