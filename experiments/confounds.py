"""What the paper changes at once, one thing at a time.

A swap of networks changes sizes, activation, layer normalisation, initialisers, input
normalisation and optimisers together: here each alone. Without a tanh a penalty comes:
here neither is there. Algorithms differ in updates per env step too (settings 1.6), and
MPO's trust region in what it is divided by (settings 2.7).
"""

from collections.abc import Iterator
from functools import reduce

from coadapt import envs, sweep
from coadapt.config import Config
from coadapt.experiments.base import Row
from coadapt.experiments.figure2 import NAMES, READINGS, ROWS, SHAPE, TABLES, swapped
from coadapt.experiments.paper import MUJOCO, experiment
from coadapt.sweep import Variant

PIECES = {
    "sizes": ("networks.policy.sizes", "networks.critic.sizes"),
    "activation": ("networks.policy.activation", "networks.critic.activation"),
    "layer norm": ("networks.policy.norm", "networks.critic.norm"),
    "initialisers": (
        "networks.policy.hidden",
        "networks.policy.output",
        "networks.critic.hidden",
        "networks.critic.output",
    ),
    "input norm": ("networks.input_norm",),
    "optimisers": ("optim.policy", "optim.critic"),
}
FREE = {"bounds": None}
OTHERS = {
    "SAC(no tanh) (no penalty)": Row("sac", FREE | {"pi_theta": "Gaussian"}),
    "AWR(no tanh) (no penalty)": Row("awr", FREE),
    "MPO(no tanh) (no penalty)": Row("mpo", FREE),
    "SAC (an update in 8 steps)": Row("sac", {"data.update_every": 8}),
    "MPO (an update each step)": Row("mpo", {"data.update_every": 1}),
    SHAPE: READINGS[SHAPE],
}
TRUST = "MPO (bounds by dimension)"


def _pieces(task: str) -> Iterator[Variant]:
    """Each algorithm with each piece of another's networks that is not its own."""
    presets = {name: sweep.presets([name], task)[0] for name in NAMES}
    for ours in presets.values():
        for theirs in presets.values():
            for piece, paths in PIECES.items():
                taken = {path: _get(theirs.config, path) for path in paths}
                config = sweep.change(ours.config, taken)
                if config != ours.config:
                    name = f"{ours.name.upper()}({piece}: {theirs.name.upper()})"
                    yield Variant(name, ours.name, config)


def _get(config: Config, path: str) -> object:
    return reduce(getattr, path.split("."), config)


def _by_dimension(task: str) -> Iterator[Variant]:
    """MPO where the authors did not divide its bounds by the number of actions."""
    size, trust = envs.spec(task).action_size, "pi_p_update.trust_region"
    bounds = {"epsilon_mean": 1e-3 / size, "epsilon_std": 1e-6 / size}
    changes = {f"{trust}.{name}": value for name, value in bounds.items()}
    made = Row("mpo", changes).variant(TRUST, task)
    if made.config != Row("mpo").variant(TRUST, task).config:
        yield made


def variants(task: str) -> tuple[Variant, ...]:
    """The nine swaps, and what lies between them."""
    swaps = (row.variant(name, task) for name, row in ROWS.items())
    others = (row.variant(name, task) for name, row in OTHERS.items())
    return (*swaps, *_pieces(task), *others, *_by_dimension(task))


NOT_THEIRS = (
    *(f"{a.upper()}({p}: {b.upper()})" for a in NAMES for b in NAMES for p in PIECES),
    *OTHERS,
    TRUST,
)
EXPERIMENTS = (
    experiment(
        "confounds",
        "What the paper lays to an algorithm's networks, or to its tanh, may be a part "
        f"of it: {swapped('sac', 'mpo')}, say, differs from SAC in five things.",
        {},
        variants=variants,
        tasks=MUJOCO,
        tables=list(TABLES.values()),
        readings=dict.fromkeys(NOT_THEIRS, "") | {SHAPE: swapped("sac", "mpo")},
    ),
)
