"""A report's numbers as tidy frames, to be written as CSV and read by programs."""

from typing import TYPE_CHECKING

from coadapt.stats import Estimate
from launch import verdicts
from launch.findings import Findings
from launch.sections import Report

if TYPE_CHECKING:
    import pandas as pd


def frames(made: Report) -> dict[str, "pd.DataFrame"]:
    """By the name of the file, without its ending; empty where there is nothing."""
    import pandas as pd

    return {
        "summary": summary(made.of),
        "effects": pd.DataFrame([_effect(each) for each in made.answers]),
        "factorial": pd.DataFrame(
            [
                {
                    "algorithm": each.of.algorithm,
                    "term": verdicts.term(one.term),
                    **_ends("effect", one.estimate),
                    "not_told_from": verdicts.aliases(one),
                }
                for each in made.factorials
                for one in each.found
            ]
        ),
        "statistics": pd.DataFrame(
            [
                {
                    "variant": each.variant,
                    **_ends("mean", each.mean),
                    **_ends("median", each.median),
                    **_ends("iqm", each.iqm),
                    "scaled": found.scaled,
                    **({"provider": version} if len(made.aggregates) > 1 else {}),
                }
                for version, found in made.aggregates.items()
                for each in found.found
            ]
        ),
        "missing": pd.DataFrame([each._asdict() for each in made.of.behind]),
    }


def summary(found: Findings) -> "pd.DataFrame":
    """That of `stats.summary`; the paper's cells beside it, where it has any."""
    known = found.beside
    keys = zip(found.summary.task, found.summary.variant, strict=True)
    cells = [known.cell(*key) if known else None for key in keys]
    if not any(cells):
        return found.summary
    return found.summary.assign(
        paper_table=[cell.table if cell else "" for cell in cells],
        paper_task=[cell.task if cell else "" for cell in cells],
        paper_variant=[cell.variant if cell else "" for cell in cells],
        paper_mean=[cell.mean if cell else None for cell in cells],
        paper_std=[cell.std if cell else None for cell in cells],
        paper_error=[cell.numerical_error if cell else "" for cell in cells],
    )


def _effect(found: verdicts.Answer) -> dict[str, object]:
    labels = [pair.label for pair in found.question.pairs]
    row: dict[str, object] = {"toggle": found.question.toggle}
    row |= dict(zip("AB", labels, strict=False)) | {"verdict": verdicts.word(found)}
    for name, each in zip("AB", found.found, strict=False):
        row |= _ends(f"effect_{name}", each)
    if found.verdict:
        row |= _ends("gap", found.verdict.gap) | {"p": found.verdict.p}
    paper = {"paper_cells": found.question.cells, "paper_text": found.question.paper}
    papers = paper if found.question.paper else {}
    return row | {"seeds_needed": found.seeds} | papers | {"not_yet": found.reason}


def _ends(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
