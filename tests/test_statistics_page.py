"""The tables of docs/statistics.md are what the simulation gives."""

from pathlib import Path

import pytest

from coadapt import taxonomy
from coadapt.analysis import simulation
from coadapt.studies import procedure

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
TABLES = {
    "power": simulation.power_table,
    "errors": simulation.error_table,
    "looks": simulation.looks_table,
    "tuned": simulation.tuning_table,
    "procedure": procedure.coverage_table,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_simulated(name):
    """2,000 studies a number, of a fixed seed."""
    shown = PAGE.read_text().split(f"<!-- {name} -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == taxonomy.render(TABLES[name](), "markdown").strip()
