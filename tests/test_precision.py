"""Learning in bfloat16 beside float32: the plan, and the page's section."""

import pytest

from benchmarks import parity, precision, sections
from coadapt import schema
from coadapt.experiments import load
from coadapt.experiments.precision import HALVES


@pytest.mark.parametrize("task", load("precision").tasks)
def test_the_precision_alone_differs(task):
    made = {v.name: v for v in load("precision").variants(task)}
    for name, steps in {v.name: v.steps for v in made.values()}.items():
        base = made[name.removesuffix(HALVES)]
        changed = set(schema.diff(base.config, made[name].config))
        assert changed == ({"networks.precision"} if HALVES in name else set())
        assert steps == base.steps


def test_bfloat16_is_ours_and_the_page_is_what_the_store_says():
    found = precision.judged(precision.PLACE)
    arms, _ = parity.side(precision.PLACE)
    for (task, row), cell in found.items():
        assert cell.ours.mean() == pytest.approx(
            arms[task, row + HALVES].scores().mean()
        )
        assert cell.theirs.mean() == pytest.approx(arms[task, row].scores().mean())
    page = precision.PAGE.read_text(encoding="utf-8")
    assert page == sections.put(page, precision.SECTION, precision.section(found))
