"""Tables for people and spreadsheets, made from the attempts: nothing reads them back.

Each is replaced as a whole. `.views.json` has the checksums of what was written last;
a table that is another was edited, and is kept beside the new one.
"""

import logging
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from coadapt.runs import attempts, files, tables
from coadapt.runs.attempts import Attempt, Program

_LOG = logging.getLogger(__name__)

RESULTS = tables.RESULTS
FAILURES, DONE, WRITTEN = "failures.csv", "done.csv", ".views.json"
DONE_COLUMNS = ("task", "variant", "seed", "steps", "seconds", tables.SESSION)


def refresh(workdir: Path, found: Sequence[tuple[Program, Attempt]]) -> None:
    """Make all of them anew.

    Raises: files.StoreError.
    """
    taken = attempts.shown(found)
    rows = (line for each in taken for line in each.rows)
    failed = [line for each in taken for line in each.failures]
    failed += attempts.lost(workdir, failed)
    _replace(workdir, {
        RESULTS: _text(tables.COLUMNS, rows),
        FAILURES: _text(tables.FAILURE_COLUMNS, failed),
        DONE: tables.text(DONE_COLUMNS, _done(found)),
    })  # fmt: skip


def _text(columns: Sequence[str], lines: Iterable[str]) -> str:
    return tables.text((*columns, tables.SESSION), lines)


def _done(found: Sequence[tuple[Program, Attempt]]) -> list[str]:
    return [
        tables.line([*cell, one.done.steps, f"{one.done.seconds:.1f}", one.session])
        for cell, one in attempts.finished(found).items()
        if one.done is not None
    ]


def _replace(workdir: Path, texts: dict[str, str]) -> None:
    """What is written is known before it is there: a kill in between is no edit."""
    try:
        known = files.unsealed(workdir / WRITTEN) or {}
    except files.DamagedError:
        known = {}
    sums = {name: zlib.crc32(text.encode()) for name, text in texts.items()}
    there: dict[str, int | None] = {}
    for name, text in texts.items():
        old = _content(workdir / name)
        now = there[name] = None if old is None else zlib.crc32(old)
        if now not in (None, sums[name], *known.get(name, ())):
            _keep(workdir / name, "edited", _EDITED)
        elif name == RESULTS and (old or b"").count(_SCORE) > text.count(
            _SCORE.decode()
        ):
            _keep(workdir / name, "kept", _GONE)
    ours = {
        name: sorted({sums[name], *known.get(name, ())} & {sums[name], now})
        for name, now in there.items()
    }
    if there != sums or not known:
        files.replace(workdir / WRITTEN, files.sealed(ours), sync=False)
    for name, text in texts.items():
        files.replace(workdir / name, text, sync=False)


def _content(path: Path) -> bytes | None:
    """Of a file that is there."""
    with files.writing(path):
        return path.read_bytes() if path.exists() else None


_SCORE = b",return,"  # in a row of the table of results that is a score
_EDITED = (
    "%r was changed by another program: it is kept as %r, and the table is made anew "
    "from the programs' own rows."
)
_GONE = (
    "%r has scores that no program has any more (a folder of programs/ was moved, "
    "emptied or damaged): it is kept as %r, and the table is made anew from the rows "
    "that are there."
)


def _keep(path: Path, how: str, words: str) -> None:
    """What cannot be made anew stays, under another name, and is said."""
    number = 1
    while files.there(aside := path.with_name(f"{path.name}.{how}-{number}")):
        number += 1
    files.move(path, aside)
    _LOG.warning(words, str(path), aside.name)
