"""Learning in bfloat16 beside float32: the plan."""

import pytest

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
