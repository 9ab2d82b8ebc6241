"""Tables of a study's power: what is found, and how often."""

from coadapt.analysis import verdict
from coadapt.analysis.stats import number
from coadapt.report import compare
from coadapt.studies import power

Named = tuple[tuple[str, float], ...]  # algorithms with their stds


def rows(named: Named, plan: power.Plan) -> list[dict[str, str]]:
    labels, sizes = zip(*named, strict=True)
    return [
        {
            "std": ", ".join(f"{x:.3g}" for x in dict.fromkeys(sizes)),
            "effect on A": _signed(each.effects[0]),
            "effect on B": _signed(each.effects[1]) if len(each.effects) > 1 else "-",
            "true verdict": verdict.named(each.word, labels),
            "found": f"{each.found:.2f}",
            "seeds": f"{each.seeds:.0f}",
            "seeds for 0.8": compare.count(each.needed),
        }
        for each in power.chances(sizes, plan).values()
    ]


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def notes(plan: power.Plan) -> list[str]:
    sizes = ", ".join(str(look.seeds) for look in plan.looks)
    notes = [
        f"margin {number(plan.margin)}; {plan.tasks} task{'s' * (plan.tasks > 1)}; "
        f"seeds of each arm: {sizes}",
        "found: in how many of 2,000 simulated studies the true verdict is reached "
        "(to about 0.02)",
        "seeds: that an arm takes, the mean over studies; seeds for 0.8: of a study "
        "without looks, for a power of 0.8",
    ]
    if plan.seeds < verdict.LEAST:
        notes.append(f"nothing is found with fewer than {verdict.LEAST} seeds per arm")
    return notes
