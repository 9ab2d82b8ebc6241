"""What the experiments of the paper have in common: its tasks, its budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from coadapt.experiments.base import PAPER_SEEDS, Experiment, Row, paper_steps, variants
from coadapt.tasks import registry

NEAREST = registry.nearest()
MUJOCO = tuple(
    NEAREST[f"{name}-v2"]
    for name in ("Hopper", "Walker2d", "HalfCheetah", "Ant", "Humanoid", "Swimmer")
)
# where episodes end by falling, and where they do not; both are stepped fast
CHEAP = (NEAREST["Hopper-v2"], NEAREST["HalfCheetah-v2"])


def experiment(
    name: str,
    claim: str,
    rows: Mapping[str, Row],
    *,
    tasks: Sequence[str] = MUJOCO,
    cheap: Sequence[str] = CHEAP,
    **fields: Any,
) -> Experiment:
    """An experiment at the paper's budget; `rows` has the readings too."""
    given: dict[str, Any] = {
        "variants": variants(rows),
        "steps": paper_steps,
        "seeds": PAPER_SEEDS,
    }
    return Experiment(
        name=name, claim=claim, tasks=tasks, cheap=cheap, **(given | fields)
    )
