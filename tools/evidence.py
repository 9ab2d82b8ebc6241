"""The simulated tables of docs/statistics.md: print them, or write them into the page.

python -m tools.evidence
python -m tools.evidence --write
"""

import sys
from pathlib import Path

from coadapt import taxonomy
from coadapt.analysis import simulation
from coadapt.studies import procedure

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"


def tables() -> dict[str, list[dict[str, str]]]:
    """Those of the page, by their marks."""
    return simulation.tables() | {"procedure": procedure.coverage_table()}


def written(page: str) -> str:
    """The page with each table between its marks made anew."""
    for name, rows in tables().items():
        head, mark, rest = page.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        table = taxonomy.render(rows, "markdown").strip()
        page = f"{head}{mark}{table}\n{end}{tail}"
    return page


def main() -> None:
    if "--write" in sys.argv[1:]:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    for name, rows in tables().items():
        print(f"{name}\n\n{taxonomy.render(rows, 'text')}\n")


if __name__ == "__main__":
    main()
