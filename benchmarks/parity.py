"""Whether ours is worse than another implementation: docs/parity.md from the rows.

    python -m benchmarks.parity            the page, printed
    python -m benchmarks.parity --write    docs/parity.md, its curves, and README's part

A study is a folder with `ours`, a run store of `--experiment=parity`, and `peers`,
files that `python -m benchmarks.peers.parity` writes. docs/results/parity is the first;
a folder in it with `ours` is another, whose runs are of another commit. In `again-1`,
`again-2` and so on rows are judged again, on fresh seeds: their verdict is the page's,
and the earlier stays in its log, with what was mended since, a sentence a row in
`mended.json`. The rule is in experiments/parity.py.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks import parity_curves, sections
from benchmarks.parity_rule import Found, Pooled, found, pooled, verdicts
from benchmarks.peers import tables
from coadapt.analysis import curve_files, score
from coadapt.analysis.comparison import arms_of
from coadapt.analysis.score import Arm
from coadapt.runs import manifest, store
from coadapt.runs.provenance import CPU, facts
from coadapt.runs.tables import SESSION
from coadapt.schema import ConfigError
from coadapt.tasks.units import Unit

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[1]
PLACE, PAGE = ROOT / "docs" / "results" / "parity", ROOT / "docs" / "parity.md"
README, ALL = ROOT / "README.md", "parity.png"  # the picture with all rows
MOST = 5  # panels in a line of it
OURS, PEERS = "ours", "peers"  # of a study: a run store, and a folder of rows
AGAIN, MENDED, NOTES = "again-", "mended.json", "notes.json"  # the last, of peers
UPDATES = "one_update.csv"  # of benchmarks.one_update
Key = tuple[str, str]  # task, row
Kinds = Mapping[tuple[str, str, int], str]  # of a run, its kind of CPU


class Study(NamedTuple):
    """What a folder of both sides says, by task and row."""

    name: str
    place: Path
    cells: Mapping[Key, Found]
    words: Mapping[Key, str]  # verdicts
    open: Mapping[Key, str]  # why there is none
    seeds: Mapping[Key, set[int]]  # of either side
    ours: str  # versions
    notes: Mapping[str, str]  # of the other side, its versions among them
    mended: Mapping[str, str]  # row -> what was, before this study


# ---------------------------------------------------------------- reading


def studies(place: Path) -> list[Study]:
    """The first, and those in it; rows judged again come last. Raises: ConfigError."""
    inner = [each.parent for each in place.glob(f"*/{OURS}")]
    inner.sort(key=lambda each: (each.name.startswith(AGAIN), each.name))
    made = [study(each) for each in (place, *inner)]
    seen: dict[Key, set[int]] = {}
    for each in made:
        for key, seeds in each.seeds.items():
            again = seeds & seen.get(key, set())
            if again:
                raise ConfigError(
                    f"{key[1]} on {key[0]} is judged again in {each.name} with seeds "
                    f"{', '.join(map(str, sorted(again)))}, which an earlier study has:"
                    " it takes fresh ones, of both sides."
                )
            seen.setdefault(key, set()).update(seeds)
    return made


def study(place: Path) -> Study:
    """Of one folder. Raises: ConfigError."""
    folder = store.folder(place / OURS)
    header = store.load(folder)
    (ours, kinds), sessions = side(folder), manifest.sessions(folder)
    assert header is not None  # or there would be no rows
    others, their_kinds = theirs(place / PEERS, header.units)
    cells, left = dict[Key, Found](), dict[Key, str]()
    for key, arm in ours.items():
        try:
            cells[key] = beside(arm, kinds, others.get(key), their_kinds)
        except ConfigError as error:
            left[key] = str(error)
    seeds = {k: {*ours[k].seeds, *(others[k].seeds if k in others else ())}
             for k in ours}  # fmt: skip
    return Study(
        place.name, place, cells, verdicts(cells), left, seeds, _versions(sessions),
        _json(place / PEERS / NOTES), _json(place / MENDED),
    )  # fmt: skip


def _json(path: Path) -> dict[str, str]:
    return json.loads(path.read_text()) if path.exists() else {}


def _versions(sessions: Sequence[Mapping[str, Any]]) -> str:
    """Of ours; each that there was, of each fact."""
    names = ("coadapt", "commit", "jax", "jaxlib", "gymnasium", "mujoco", CPU)
    said = [facts(each) for each in sessions]
    words = {n: dict.fromkeys(f[n] for f in said if n in f) for n in names}
    told = {name: " and ".join(found) for name, found in words.items() if found}
    return ", ".join(f"{name} {text}" for name, text in told.items())


def side(folder: Path) -> tuple[Mapping[Key, Arm], Kinds]:
    """Arms of a run store, and the kind of CPU of each of its runs."""
    rows, sessions = store.read(folder), manifest.sessions(folder)
    by_id = {str(each["id"]): facts(each).get(CPU, "") for each in sessions}
    return arms_of(folder), _kinds(rows, [by_id.get(str(s), "") for s in rows[SESSION]])


def theirs(folder: Path, units: Mapping[str, Unit]) -> tuple[dict[Key, Arm], Kinds]:
    """Arms of the peers' files, and the kind of CPU of each of their runs."""
    rows = their_rows(folder)
    return score.arms(rows, units), _kinds(rows, rows.cpu)


def their_rows(folder: Path) -> "pd.DataFrame":
    """As a store's. Raises: ConfigError, where there are none."""
    import pandas as pd

    files = sorted(folder.glob("*.csv"))
    if not files:
        raise ConfigError(f"{str(folder)!r} has no rows of a peer, which are *.csv.")
    rows = pd.concat([pd.read_csv(each) for each in files], ignore_index=True)
    return curve_files.as_rows(rows)


def _kinds(rows: "pd.DataFrame", of: Sequence[str]) -> Kinds:
    keys = zip(rows.task, rows.variant, rows.seed, strict=True)
    return dict(zip(keys, of, strict=True))


def beside(
    ours: Arm, our_kinds: Kinds, theirs: Arm | None, their_kinds: Kinds
) -> Found:
    """What both sides of a cell say. Raises: ConfigError, where that is nothing."""
    unit = ours.unit
    if theirs is None:
        raise ConfigError("nothing of the other side is there.")
    if not (ours.seeds and theirs.seeds):
        raise ConfigError("no run has come to its end.")
    if (ours.env_steps, ours.evaluations) != (theirs.env_steps, theirs.evaluations):
        raise ConfigError(
            f"ours has {ours.evaluations} evaluations in {ours.env_steps} steps, "
            f"theirs {theirs.evaluations} in {theirs.env_steps}."
        )
    if unit.random is None or unit.error is None:
        raise ConfigError("the store has no random policy's return.")
    sides = [_by_kind(ours, our_kinds), _by_kind(theirs, their_kinds)]
    none = np.zeros(0)
    strata = [
        (sides[0].get(kind, none), sides[1].get(kind, none))
        for kind in sorted({*sides[0], *sides[1]})
    ]
    return found(strata, unit.random, unit.error * math.sqrt(unit.episodes - 1))


def _by_kind(arm: Arm, kinds: Kinds) -> dict[str, np.ndarray]:
    of = np.array([kinds[arm.task, arm.variant, seed] for seed in arm.seeds])
    return {kind: arm.scores()[of == kind] for kind in dict.fromkeys(of.tolist())}


# ---------------------------------------------------------------- the page

HEAD = """\
# Parity

*ours* is coadapt's run of `--experiment=parity`, *theirs* another implementation with \
the same settings, task version, steps and evaluation; the page is generated by \
`python -m benchmarks.parity --write` from `docs/results/parity`. Scores are the mean \
of a run's last evaluations: mean ± std (n - 1) over seeds (number of seeds). \
d = (ours - theirs) / (theirs - random), with a 97.5% bound on either side; only runs \
on the same model of CPU are compared.

| verdict | the first that holds |
| --- | --- |
| did not learn | theirs is less than three stds of a random policy above it |
| worse | the upper bound is below 0, after Holm's correction over the rows of a study |
| not worse | the lower bound is above -0.25 |
| not decided | none of these |

Power is a lower bound on the probability that equal programs with these stds are \
found not worse.
"""
COLUMNS = ("row", "task", "ours", "theirs", "d", "verdict", "power")


def page(found: Sequence[Study]) -> str:
    """Markdown. Each row has its newest verdict, and earlier ones stay in a log."""
    newest = _newest(found)
    lines = _lines(newest)
    log = [
        (each.name, *_line(each, key), newest[key].mended.get(key[1], ""))
        for each in found
        for key in each.cells
        if newest[key] is not each
    ]
    parts = [HEAD, table(COLUMNS, lines)]
    left_out = sum(each.cells[key].left_out for key, each in newest.items())
    if left_out:
        parts.append(f"{left_out} runs are left out: no peer of their model of CPU.\n")
    updates = _updates(found[0].place / UPDATES)
    over = pooled({key: each.cells[key] for key, each in newest.items()})
    parts += [_over_tasks(over), _curves(newest), updates, _log(log)]
    parts.append(_not_judged(found))
    parts += [_ours(found), _theirs(found)]
    return "\n".join(filter(None, parts))


def _newest(found: Sequence[Study]) -> dict[Key, Study]:
    """Of each row on a task the study that judged it last."""
    return {key: each for each in found for key in each.cells}


def _lines(newest: Mapping[Key, Study]) -> list[tuple[str, ...]]:
    return [_line(newest[key], key) for key in sorted(newest)]


def _line(study: Study, key: Key) -> tuple[str, ...]:
    return line(key, study.cells[key], study.words[key])


def line(key: Key, cell: Found, word: str) -> tuple[str, ...]:
    """Of the page's table, in the order of `COLUMNS`."""
    task, row = key
    return (
        row,
        task,
        _scores(cell.ours),
        _scores(cell.theirs),
        _interval(cell),
        word,
        f"{cell.power:.2f}",
    )


ABOUT_TASKS = """\
## Over tasks

The mean of d over the tasks that the other implementation learned, for rows with at \
least two. *worse* is not corrected for the number of rows here.
"""


def _over_tasks(rows: Mapping[str, Pooled]) -> str:
    if not rows:
        return ""
    lines = [
        (row, str(x.tasks), _interval(x), x.word, f"{x.power:.2f}")
        for row, x in rows.items()
    ]
    columns = ("row", "tasks", "d", "verdict", "power")
    return f"{ABOUT_TASKS}\n{table(columns, lines)}"


def _interval(of: Found | Pooled) -> str:
    return f"{of.d:+.2f} [{of.low:+.2f}, {of.high:+.2f}]"


def _scores(scores: np.ndarray) -> str:
    return f"{scores.mean():,.1f} ± {scores.std(ddof=1):,.1f} ({len(scores)})"


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "".join(f"{line}\n" for line in tables.markdown(columns, lines))


def _curves(newest: Mapping[Key, Study]) -> str:
    tasks = sorted({task for task, _ in newest})
    shown = [f"![{t}](img/{parity_curves.name(t)})\n" for t in tasks]
    return "\n".join(["## Curves\n", parity_curves.ABOUT, *shown])


ABOUT_UPDATES = """\
## The same data

Both sides start with the same parameters and make four updates from the same steps \
and the same noise, so no randomness remains: `python -m benchmarks.one_update`. \
*difference* is the largest difference between the sides after any of the updates, \
*moved* how far the parameter that changed most has moved. A minibatch is all of the \
data; sb3-contrib's conjugate gradients start at 0. The largest difference of a \
multiplier is that of the KL of the std, because its bound of 1e-6 or 1.6e-5 is \
only 10 or 160 times a rounding error of 1e-7.
"""


def _updates(file: Path) -> str:
    if not file.exists():
        return ""
    columns, *lines = csv.reader(file.read_text().splitlines())
    return f"{ABOUT_UPDATES}\n{table(columns, lines)}"


def _log(lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return ""
    columns = ("study", *COLUMNS, "what was fixed since")
    return f"## Earlier verdicts\n\n{table(columns, lines)}"


def _not_judged(found: Sequence[Study]) -> str:
    lines = [
        f"* {row} on {task}: {why}\n"
        for each in found
        for (task, row), why in each.open.items()
    ]
    return "## Not judged\n\n" + "".join(lines) if lines else ""


def _ours(found: Sequence[Study]) -> str:
    lines = "".join(f"* {each.name}: {each.ours}.\n" for each in found)
    return f"## Versions of ours, by study\n\n{lines}"


def _theirs(found: Sequence[Study]) -> str:
    """Notes of the other side; one that studies differ in, once for each text."""
    studies: dict[tuple[str, str], list[str]] = {}
    for each in found:
        for note in each.notes.items():
            studies.setdefault(note, []).append(each.name)
    lines = [
        f"* **{name}**{_of(named, found)}: {text}\n"
        for (name, text), named in studies.items()
    ]
    return f"## The other side\n\n{''.join(lines)}"


def _of(named: Sequence[str], found: Sequence[Study]) -> str:
    return "" if len(named) == len(found) else f" ({', '.join(named)})"


def made(place: Path = PLACE) -> str:
    """The page of a study, and of those in it. Raises: ConfigError."""
    return page(studies(place))


def in_readme(text: str, found: Sequence[Study]) -> str:
    """README with the newest verdicts between its marks."""
    lines = _lines(_newest(found))
    short = [(row, task, a, b, word) for row, task, a, b, _, word, _ in lines]
    columns = ("row", "task", "coadapt", "the other", "verdict")
    return sections.put(text, "parity", table(columns, short))


def _draw(there: Sequence[Study], folder: Path) -> None:
    """The pictures of each task, and that of all."""
    newest = {key: each.place for key, each in _newest(there).items()}
    rows = {
        place: (store.read(place / OURS), their_rows(place / PEERS))
        for place in dict.fromkeys(newest.values())
    }
    panels = [
        parity_curves.Panel(task, row, rows[place], row)
        for (task, row), place in sorted(newest.items())
    ]
    tasks = {x.task: [y for y in panels if y.task == x.task] for x in panels}
    for task, own in tasks.items():
        parity_curves.write(own, folder / parity_curves.name(task))
    titled = [x._replace(title=f"{x.row}, {x.task.partition('/')[2]}") for x in panels]
    parity_curves.write(titled, folder / ALL, MOST)


def main(argv: Sequence[str] | None = None) -> None:
    asked = sections.asked_of(__doc__, PLACE, PAGE, argv)
    try:
        there = studies(asked.place)
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    if asked.write:
        asked.page.write_text(page(there), encoding="utf-8")
        _draw(there, asked.page.parent / "img")
        if asked.page == PAGE:
            text = in_readme(README.read_text(encoding="utf-8"), there)
            README.write_text(text, encoding="utf-8")
    else:
        print(page(there), end="")


if __name__ == "__main__":
    main()
