"""Tables of effects: of comparisons of a run store, and of the paper's own cells."""

from collections.abc import Sequence

from coadapt import taxonomy
from coadapt.analysis.comparison import Comparison, interval
from coadapt.analysis.verdict import Verdict, named
from coadapt.experiments import published
from coadapt.report import compare


def paper(margin: float, style: str) -> list[str]:
    """The verdicts on the paper's cells, and what they depend on."""
    rows, otherwise = [], []
    for each in published.COMPARISONS:
        first, second, gap, found = published.judged(each, margin=margin)
        ours, theirs = published.scaled(each)
        finite = published.judged(each, margin=margin, diverged=False).verdict
        labels = (each.first, each.second)
        rows.append(
            {
                "tables": _numbers(each.tables),
                "toggle": each.toggle,
                "A": each.first,
                "B": each.second,
                "effect on A": interval(first, ""),
                "effect on B": interval(second, ""),
                "A - B": interval(gap, ""),
                "verdict": _said(found, labels),
                "seeds": compare.count(found.seeds),
                "tasks A": _signs(published.signs(ours)),
                "tasks B": _signs(published.signs(theirs)),
                "-inf": str(int(ours.diverged.sum() + theirs.diverged.sum())),
                "paper": each.paper,
            }
        )
        if finite.word != found.word:
            otherwise.append(f"{each.toggle} of {each.first}, {each.second}")
    notes = [
        "effects are differences of means of ten seeds with Welch's 95% intervals, in "
        "units of each table's range, since the paper fixed no unit",
        "tasks: how many have an effect above 0 (+), below 0 (-), and undecided (?); A "
        "and B may have different tasks",
        "seeds: per arm, to decide the observed effects (power 0.8)",
        *_remarks(),
        "-inf: tasks with a cell that diverged, which counts as the task's worst; "
        + (
            f"without them these verdicts change: {'; '.join(otherwise)}"
            if otherwise
            else "without them no verdict changes"
        ),
    ]
    return lines(rows, style, notes)


def _remarks() -> list[str]:
    """'A, B: what their cells are besides', in the order of the table."""
    toggles: dict[str, dict[str, None]] = {}
    for each in published.COMPARISONS:
        if each.remark:
            toggles.setdefault(each.remark, {})[each.toggle] = None
    return [f"{', '.join(named)}: {remark}" for remark, named in toggles.items()]


def _said(found: Verdict, labels: Sequence[str]) -> str:
    detail = f" ({named(found.detail, labels)})" if found.detail else ""
    return f"{named(found.word, labels)}{detail}"


def _numbers(tables: Sequence[str]) -> str:
    """'3', '5-10', '11, 12'."""
    numbers = [table.removeprefix("table") for table in tables]
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 2 else ", ".join(numbers)


def _signs(signs: Sequence[int]) -> str:
    return f"{signs.count(1)}+ {signs.count(-1)}- {signs.count(0)}?"


def row(found: Comparison) -> dict[str, str]:
    shown = dict(zip("AB", found.labels, strict=False))
    row = {"toggle": found.toggle, **(shown if len(shown) > 1 else {})}
    many = len(found.tasks) > 2
    row |= {"tasks": str(len(found.tasks)) if many else ", ".join(found.tasks)}
    for name, each in zip(shown, found.effects, strict=False):
        title = f"effect on {name}" if len(shown) > 1 else "effect"
        row |= {title: interval(each, found.unit)}
    if found.gap:
        row |= {"A - B": interval(found.gap, found.unit)}
    return row | {
        "verdict": _said(found.verdict, found.labels),
        "wrong": compare.wrong(found.verdict),
        "p": compare.p(found.verdict.p),
        "seeds": compare.count(found.verdict.seeds),
    }


def lines(
    rows: Sequence[dict[str, str]], style: str, notes: Sequence[str]
) -> list[str]:
    """The table; what is to be known of it below, unless it is to be read by programs.

    Raises:
        ConfigError: on a style that there is not.
    """
    shown = taxonomy.render(rows, style)
    if style == "csv":
        return [shown]
    mark = "* " if style == "markdown" else ""
    return [shown, "", *(f"{mark}{note}" for note in notes)]
