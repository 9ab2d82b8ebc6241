"""Figure 2 and Tables 5 to 10: every algorithm with every other's networks.

A swap is the whole column of the paper's Table 4; its text leaves layer normalisation
out, and says nothing of what becomes of AWR's own input normaliser (settings 1.7).
"""

from coadapt.experiments.base import Row
from coadapt.experiments.paper import CHEAP, MUJOCO, experiment

NAMES = ("mpo", "awr", "sac")
NO_NORM = {f"networks.{net}.layer_norm": "none" for net in ("policy", "critic")}
OWN_INPUTS = {"networks.input_norm": "InputNorm"}
CLAIM = (
    "Each algorithm does best with the networks that it came with, but for a few: SAC "
    "with MPO's on Ant, HalfCheetah and Humanoid, and AWR's swaps on Swimmer."
)


def swapped(algorithm: str, net: str) -> str:
    """'SAC(Net: MPO)', as the paper's rows are called."""
    return f"{algorithm.upper()}(Net: {net.upper()})"


ROWS = {swapped(a, b): Row(a, {}, b) for a in NAMES for b in NAMES}
# what examples/train_sac2.py has of MPO's networks (settings 1.2): initialisers and
# optimisers are SAC's
SHAPE = f"{swapped('sac', 'mpo')} (sizes and ELU)"
OF_MPO = {
    "networks.policy.sizes": (256, 256, 256),
    "networks.critic.sizes": (512, 512, 256),
    "networks.policy.activation": "elu",
    "networks.critic.activation": "elu",
}
READINGS = {SHAPE: Row("sac", OF_MPO)} | {
    f"{swapped(a, b)} ({said})": Row(a, changes, b)
    for a, b, said, changes in (
        ("awr", "mpo", "no layer norm", NO_NORM),
        ("sac", "mpo", "no layer norm", NO_NORM),
        ("awr", "mpo", "own input norm", OWN_INPUTS),
        ("awr", "sac", "own input norm", OWN_INPUTS),
    )
}
TABLES = dict(zip(MUJOCO, (f"table{n}" for n in range(5, 11)), strict=True))


def _swaps(name: str, tasks: tuple[str, ...], cheap: tuple[str, ...]):
    return experiment(
        name,
        CLAIM,
        ROWS | READINGS,
        tasks=tasks,
        cheap=cheap,
        tables=[TABLES[task] for task in tasks],
        readings={name: name[: name.index(") (") + 1] for name in READINGS},
    )


EXPERIMENTS = (
    _swaps("figure2", MUJOCO, CHEAP),
    *(_swaps(table, (task,), (task,)) for task, table in TABLES.items()),
)
