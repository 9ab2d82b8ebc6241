"""Whether rows learn worse in bfloat16 than float32: part of docs/benchmarks.md.

    python -m benchmarks.precision            the section, printed
    python -m benchmarks.precision --write    docs/benchmarks.md

The store is of `--experiment=precision`, and its rule is in experiments/precision.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import parity, sections
from benchmarks.parity_rule import Found, verdicts
from coadapt.experiments.precision import HALVES
from coadapt.runs import store

ROOT = Path(__file__).parents[1]
PLACE, PAGE = ROOT / "docs" / "results" / "precision", ROOT / "docs" / "benchmarks.md"
SECTION = "made by benchmarks.precision"
COLUMNS = ("algorithm", "task", "bfloat16", "float32", "d", "verdict", "power")
HEAD = """\
```
python -m launch.sweep --experiment=precision --workdir=docs/results/precision
python -m benchmarks.precision --write
```

Scores are the mean of a run's last evaluations: mean ± std (n - 1) over seeds (number \
of seeds). d = (bfloat16 - float32) / (float32 - random), with a 97.5% bound on either \
side; the verdicts and the power are those of [parity](parity.md), with float32 as the \
other implementation.
"""


def judged(place: Path) -> dict[parity.Key, Found]:
    """Of each task and algorithm with both precisions. Raises: ConfigError."""
    arms, kinds = parity.side(store.folder(place))
    return {
        (task, row): parity.beside(arms[task, row + HALVES], kinds, arm, kinds)
        for (task, row), arm in arms.items()
        if (task, row + HALVES) in arms
    }


def section(found: Mapping[parity.Key, Found]) -> str:
    """Markdown."""
    words = verdicts(found)
    lines = [parity.line(key, cell, words[key]) for key, cell in found.items()]
    return f"{HEAD}\n{parity.table(COLUMNS, lines)}"


def made(place: Path = PLACE) -> str:
    """The section of a store. Raises: ConfigError."""
    return section(judged(place))


def main(argv: Sequence[str] | None = None) -> None:
    sections.command(__doc__, made, PLACE, PAGE, SECTION, argv)


if __name__ == "__main__":
    main()
