"""Our side of updates from the same data: the other side is other programs' own."""

import numpy as np
import pytest

from benchmarks import one_update
from benchmarks.peers import parity as peers


def test_each_method_has_another_side():
    """REPS has random features, which either side draws by itself."""
    assert set(one_update.CHANGES) == {*peers.PLAIN, "trpo"} - {"reps"}


@pytest.mark.long
@pytest.mark.parametrize("name", one_update.CHANGES)
def test_updates_are_made_of_what_is_handed_over(name):
    """Each part that is learned moves, and all that an update read is told."""
    given, made = one_update.ours(name, one_update.config_of(name))
    assert len(made) == one_update.UPDATES_MADE
    for update in range(one_update.UPDATES_MADE):
        for column in one_update.COLUMNS:
            rows = given[f"{name}/{update}/{column}"]
            assert len(rows) == one_update.ROWS and np.isfinite(rows).all()
    for part, arrays in made[-1].items():
        start = [given[f"{name}/{part}/{i}"] for i in range(len(arrays))]
        pairs = zip(start, arrays, strict=True)
        assert not arrays or any((a != b).any() for a, b in pairs)
