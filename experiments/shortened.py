"""The paper's toggles at a budget of two cores: smaller, shorter, and by other means.

Networks are a quarter as wide, minibatches half as large, and rates are those that
`quickstart` found for short runs: without them MPO and AWR would hardly have begun.
Rows bear the paper's names, so that a report asks the paper's questions of them, but
what they answer holds for these sizes and this budget. Tasks are the cheap ones that
every experiment of the paper has at scale 'reduced'; rows, seeds and steps were fixed
before any of them ran.
"""

import dataclasses

from coadapt import sweep
from coadapt.experiments import figure2, quickstart, table2, table3, table11
from coadapt.experiments.base import Experiment, Row
from coadapt.experiments.paper import CHEAP
from coadapt.sweep import Variant

SWAPS = {
    figure2.swapped(a, b): Row(a, {}, b) for a in ("sac", "mpo") for b in ("sac", "mpo")
}
# as it was when it ran; the quickstart has the preset's 1 now
SHARP = {"awac": {"pi_q_update.temperature.value": 0.1}}
# what the paper calls by several names
TWINS = {
    "SAC(D)": "SAC",
    "SAC(tanh)": "SAC",
    "SAC(Net: SAC)": "SAC",
    "MPO(S)": "MPO",
    "MPO(no tanh)": "MPO",
    "MPO(Net: MPO)": "MPO",
}
PAPERS = {**table2.ROWS, **table3.ROWS, **table11.ROWS, **SWAPS}
ROWS = {n: r for n, r in PAPERS.items() if n not in TWINS and n != "AWR"}


def shortened(row: Row, name: str, task: str) -> Variant:
    """The row's variant, with narrow networks and quickstart's rates and periods."""
    made = row.variant(name, task)
    nets = made.config.networks
    narrow = {
        f"networks.{net}.sizes": tuple(width // 4 for width in getattr(nets, net).sizes)
        for net in ("policy", "critic")
    }
    own = SHARP.get(row.algorithm, {})
    changes = quickstart.CHANGES[row.algorithm] | own | narrow
    return dataclasses.replace(made, config=sweep.change(made.config, changes))


def variants(task: str) -> tuple[Variant, ...]:
    """The rows of Tables 2, 3 and 11, and the swaps of SAC's and MPO's networks."""
    return tuple(shortened(row, name, task) for name, row in ROWS.items())


EXPERIMENTS = (
    Experiment(
        name="shortened",
        claim="What the paper's toggles do within 20,000 steps at a quarter of its "
        "sizes: five seeds describe it, and a verdict takes ten.",
        variants=variants,
        tasks=CHEAP,
        steps=20_000,
        seeds=5,
        eval_every=2500,
        eval_episodes=5,
        twins=TWINS,
        tables=("table2", "table3", "table11", *figure2.TABLES.values()),
    ),
)
