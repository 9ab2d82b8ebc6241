"""A report's numbers as tidy frames, to be written as CSV and read by programs."""

from typing import TYPE_CHECKING

from coadapt.analysis.stats import Estimate
from coadapt.analysis.verdict import Effect, named
from coadapt.report import compare
from coadapt.report.run_data import Findings
from coadapt.report.sections import Report

if TYPE_CHECKING:
    import pandas as pd


def frames(made: Report) -> dict[str, "pd.DataFrame"]:
    """By the name of the file, without its ending; empty where there is nothing."""
    import pandas as pd

    return {
        "summary": summary(made.of),
        "returns": pd.DataFrame(
            [row for each in made.returns for row in _returns(each)]
        ),
        "effects": pd.DataFrame(_effects(made)),
        "choices": pd.DataFrame(_choices(made)),
        "factorial": pd.DataFrame(
            [
                {
                    "algorithm": each.of.algorithm,
                    "term": compare.term(one.term),
                    **_ends("effect", one.estimate),
                    "unit": each.unit,
                    "not_told_from": compare.aliases(one),
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
                    "unit": found.unit,
                    **({"provider": version} if len(made.aggregates) > 1 else {}),
                }
                for version, found in made.aggregates.items()
                for each in found.found
            ]
        ),
        "beside": pd.DataFrame([_beside(*each) for each in made.besides.differences]),
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


def _returns(found: compare.Returns) -> list[dict[str, object]]:
    """A row for each metric and each rule of failed runs."""
    failed, runs, low, high = found.rate
    return [
        {
            "task": found.task,
            "variant": found.variant,
            "env_steps": found.env_steps,
            "metric": metric,
            "failed_as": rule,
            **_ends("mean", each),
            "runs": runs,
            "failed": failed,
            "failed_low": low,
            "failed_high": high,
            "unfinished": found.unfinished,
        }
        for (metric, rule), each in found.means.items()
    ]


def _effects(made: Report) -> list[dict[str, object]]:
    """The verdicts, with p as it is corrected for all of them."""
    corrected = zip(
        made.answers,
        compare.holm(made.answers),
        compare.screened(made.answers),
        strict=True,
    )
    return [
        _effect(each) | ({"p_holm": holm, "p_bh": bh} if each.found else {})
        for each, holm, bh in corrected
    ]


def _choices(made: Report) -> list[dict[str, object]]:
    """Each verdict under other choices, a row for each."""
    return [
        {
            "toggle": each.toggle,
            **dict(zip("AB", [p.label for p in each.question.pairs], strict=False)),
            "metric": metric,
            "failed_as": rule,
            "margin": margin,
            "verdict": word,
        }
        for each, words in zip(made.answers, made.multiverse, strict=True)
        for (metric, rule, margin), word in words.items()
    ]


def _effect(answer: compare.Answer) -> dict[str, object]:
    labels, found = [pair.label for pair in answer.question.pairs], answer.found
    row: dict[str, object] = {"toggle": answer.question.toggle}
    row |= {"tasks": ", ".join(answer.found.tasks) if answer.found else ""}
    row |= dict(zip("AB", labels, strict=False))
    if found is None:
        row |= {"verdict": "not yet", "detail": answer.reason}
    else:
        row |= {"verdict": found.word, "detail": found.detail}
        row |= {"unit": found.unit, "margin": found.margin}
        for name, each in zip("AB", found.effects, strict=False):
            row |= _ends(f"effect_{name}", each) | {f"g_{name}": each.g}
        for i, name in zip(range(len(found.effects)), "AB", strict=False):
            beside = [own[i] for own in found.beside.values()]
            row |= {
                f"improvement_{name}": sum(b.improvement for b in beside) / len(beside),
                f"failed_{name}_with": sum(b.on.failed for b in beside),
                f"failed_{name}_without": sum(b.off.failed for b in beside),
            }
        row |= _ends("gap", found.gap) if found.gap else {}
        said = found.verdict
        row |= {"p": said.p, "wrong": said.wrong, "seeds": said.seeds}
        row |= {"wrong_if_arms_fail": said.wrong_with_failures}
        row |= {"verdict_if_failed_as_before": named(found.before.word, labels)}
    cells, paper = answer.question.cells, answer.question.paper
    said = {"paper_cells": named(cells.word, labels) if cells else ""}
    return row | (said | {"paper_text": paper} if paper else {})


def _beside(task: str, variant: str, method: str, found: Effect) -> dict[str, object]:
    row: dict[str, object] = {"task": task, "variant": variant, "method": method}
    return row | _ends("difference", found) | {"g": found.g}


def _ends(name: str, found: Estimate | Effect) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
