"""Whether ours is worse than another implementation: docs/parity.md from the rows.

    python -m benchmarks.parity            the page, printed
    python -m benchmarks.parity --write    docs/parity.md

Ours is a run store of `--experiment=parity`, theirs are files that
`python -m benchmarks.peers.parity` writes beside it. The rule is in
experiments/parity.py: of each row and task d = (ours - theirs) / (theirs - random).
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats as distributions

from coadapt import manifest, score, store
from coadapt.comparison import arms_of
from coadapt.provenance import CPU, facts
from coadapt.schema import ConfigError
from coadapt.score import Arm
from coadapt.tables import SESSION
from coadapt.units import Unit

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
PLACE, PAGE = ROOT / "docs" / "results" / "parity", ROOT / "docs" / "parity.md"
OURS, PEERS, NOTES = "ours", "peers", "notes.json"  # a store; a folder; a file in it
MARGIN, ALPHA, ABOVE = 0.25, 0.025, 3.0  # the rule's; ABOVE in a random policy's stds
UNLEARNED, WORSE, NOT_WORSE, OPEN = (
    "did not learn",
    "worse",
    "not worse",
    "not decided",
)
Stratum = tuple[np.ndarray, np.ndarray]  # scores of ours and of theirs, of a CPU's kind


class Found(NamedTuple):
    """Of a row on a task; ratios are of (theirs - random)."""

    ours: np.ndarray  # scores
    theirs: np.ndarray
    d: float
    low: float  # each bound 97.5%
    high: float
    p: float  # of theirs being better, one-sided
    learned: bool  # whether theirs did
    power: float  # of 'not worse', of equal programs with these stds
    left_out: int  # runs of a kind of CPU that the other side has not


def found(strata: Sequence[Stratum], random: float, std: float) -> Found:
    """What two arms say. Welch's bounds within strata, by the delta method.

    Args:
        random: the mean return of a random policy; `std` is that of its episodes.
    Raises: ConfigError, where no stratum has two runs of either.
    """
    whole = [each for each in strata if min(map(len, each)) > 1]
    if not whole:
        raise ConfigError("no kind of CPU has two runs of ours and of theirs.")
    sizes = np.array([len(o) + len(t) for o, t in whole], float)
    means = np.array([(o.mean(), t.mean()) for o, t in whole])
    ours, theirs = sizes / sizes.sum() @ means
    scale = theirs - random
    d = (ours - theirs) / scale
    error, freedom = _error(whole, sizes / sizes.sum(), (1.0, 1.0 + d))
    error, reach = error / abs(scale), distributions.t.isf(ALPHA, freedom)
    level, _ = _error(whole, sizes / sizes.sum(), (1.0, 1.0))
    shift = MARGIN * abs(scale) / max(level, 1e-12)
    kept = int(sizes.sum())
    return Found(
        np.concatenate([o for o, _ in whole]),
        np.concatenate([t for _, t in whole]),
        float(d),
        float(d - reach * error),
        float(d + reach * error),
        float(distributions.t.cdf(d / max(error, 1e-12), freedom)),
        bool(theirs - random >= ABOVE * std),
        float(distributions.nct.sf(reach, freedom, shift)),
        sum(len(o) + len(t) for o, t in strata) - kept,
    )


def _error(
    strata: Sequence[Stratum], shares: np.ndarray, factors: tuple[float, float]
) -> tuple[float, float]:
    """Standard error of a weighted contrast, and Satterthwaite's degrees of freedom."""
    parts = [
        ((share * factor) ** 2 * arm.var(ddof=1) / len(arm), len(arm) - 1)
        for share, arms in zip(shares, strata, strict=True)
        for factor, arm in zip(factors, arms, strict=True)
    ]
    total = sum(v for v, _ in parts)
    squares = sum(v**2 / f for v, f in parts)
    least = float(min(f for _, f in parts))
    return math.sqrt(total), total**2 / squares if squares > 0 else least


def verdicts(cells: Mapping[tuple[str, str], Found]) -> dict[tuple[str, str], str]:
    """The word of each cell; 'worse' by Holm (1979) over those that learned."""
    judged = sorted((c.p, key) for key, c in cells.items() if c.learned)
    worse = set()
    for i, (p, key) in enumerate(judged):
        if p >= ALPHA / (len(judged) - i):
            break
        worse.add(key)
    said = {}
    for key, cell in cells.items():
        if not cell.learned:
            said[key] = UNLEARNED
        elif key in worse:
            said[key] = WORSE
        else:
            said[key] = NOT_WORSE if cell.low > -MARGIN else OPEN
    return said


# ---------------------------------------------------------------- reading


def theirs(folder: Path, units: Mapping[str, Unit]):
    """Arms of the peers' files, and the kind of CPU of each of their runs."""
    import pandas as pd

    files = sorted(folder.glob("*.csv"))
    if not files:
        raise ConfigError(f"{str(folder)!r} has no rows of a peer, which are *.csv.")
    rows = pd.concat([pd.read_csv(each) for each in files], ignore_index=True)
    names = {"method": "variant", "step": "env_steps", "return": "value"}
    rows = rows.rename(columns=names).assign(metric="return")
    return score.arms(rows, units), _kinds(rows, rows.cpu)


def _kinds(rows: "pd.DataFrame", of: Sequence[str]) -> dict[tuple[str, str, int], str]:
    keys = zip(rows.task, rows.variant, rows.seed, strict=True)
    return dict(zip(keys, of, strict=True))


def cells(place: Path) -> dict[tuple[str, str], Found]:
    """What each row and task that both sides have says. Raises: ConfigError."""
    folder = store.folder(place / OURS)
    header, rows = store.load(folder), store.read(folder)
    assert header is not None  # or read would have raised
    by_id = {
        str(each["id"]): facts(each).get(CPU, "") for each in manifest.sessions(folder)
    }
    kinds = _kinds(rows, [by_id.get(str(s), "") for s in rows[SESSION]])
    ours = arms_of(folder)
    others, their_kinds = theirs(place / PEERS, header.units)
    return {
        key: _found(ours[key], kinds, others[key], their_kinds)
        for key in ours
        if key in others and ours[key].seeds
    }


def _found(
    ours: Arm,
    our_kinds: Mapping[tuple[str, str, int], str],
    theirs: Arm,
    their_kinds: Mapping[tuple[str, str, int], str],
) -> Found:
    what, unit = f"{ours.variant} on {ours.task}", ours.unit
    if (ours.env_steps, ours.evaluations) != (theirs.env_steps, theirs.evaluations):
        raise ConfigError(
            f"{what}: ours has {ours.evaluations} evaluations in {ours.env_steps} "
            f"steps, theirs {theirs.evaluations} in {theirs.env_steps}."
        )
    if unit.random is None or unit.error is None:
        raise ConfigError(f"{what}: the store has no random policy's return.")
    sides = [_by_kind(ours, our_kinds), _by_kind(theirs, their_kinds)]
    none = np.zeros(0)
    strata = [
        (sides[0].get(kind, none), sides[1].get(kind, none))
        for kind in sorted({*sides[0], *sides[1]})
    ]
    try:
        return found(strata, unit.random, unit.error * math.sqrt(unit.episodes - 1))
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from None


def _by_kind(
    arm: Arm, kinds: Mapping[tuple[str, str, int], str]
) -> dict[str, np.ndarray]:
    of = np.array([kinds[arm.task, arm.variant, seed] for seed in arm.seeds])
    return {kind: arm.scores()[of == kind] for kind in dict.fromkeys(of.tolist())}


# ---------------------------------------------------------------- the page

HEAD = """\
# Parity

Generated by `python -m benchmarks.parity --write` from `docs/results/parity`. Ours is \
`--experiment=parity`, theirs another implementation at the same settings, task \
version, steps and evaluation. Scores are means of a run's last evaluations; mean ± \
std (n - 1) of so many seeds. d is (ours - theirs) / (theirs - random) with a 97.5% \
bound on each side, within a kind of CPU. *not worse*: the lower bound is above -0.25. \
*worse*: the upper is below 0, by Holm over all lines, whatever the lower one is. *did \
not learn*: theirs is not three stds of a random policy above it. Power is how often \
equal programs with these stds are found not worse, at least.
"""
COLUMNS = ("row", "task", "ours", "theirs", "d", "verdict", "power")


def page(found: Mapping[tuple[str, str], Found], notes: Mapping[str, str]) -> str:
    """Markdown; `notes` are what the peers are, and what of them is not as ours."""
    said = verdicts(found)
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for (task, row), cell in found.items():
        lines.append(
            (
                row,
                task,
                _scores(cell.ours),
                _scores(cell.theirs),
                f"{cell.d:+.2f} [{cell.low:+.2f}, {cell.high:+.2f}]",
                said[task, row],
                f"{cell.power:.2f}",
            )
        )
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    out = sum(cell.left_out for cell in found.values())
    rest = f"\n{out} runs are left out: no peer of their kind of CPU.\n" if out else ""
    about = "".join(f"* **{name}**: {text}\n" for name, text in notes.items())
    return f"{HEAD}\n{table}\n{rest}\n## The other side\n\n{about}"


def _scores(scores: np.ndarray) -> str:
    return f"{scores.mean():,.1f} ± {scores.std(ddof=1):,.1f} ({len(scores)})"


def made(place: Path = PLACE) -> str:
    """The page of a store. Raises: ConfigError."""
    notes = place / PEERS / NOTES
    return page(cells(place), json.loads(notes.read_text()) if notes.exists() else {})


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--place", type=Path, default=PLACE)
    asked = parser.parse_args(argv)
    try:
        text = made(asked.place)
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    if asked.write:
        PAGE.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
