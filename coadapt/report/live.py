"""A report that is kept current while its sweep runs."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coadapt.report import results
from coadapt.runs import store
from coadapt.schema import ConfigError

SECONDS = 30.0  # from one look to the next


def watch(
    workdir: str | os.PathLike[str],
    *,
    seconds: float = SECONDS,
    said: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> list[Path]:
    """Make the report again whenever there are new rows, until all cells are finished.

    Each file is replaced as a whole.

    Args:
        workdir: folder of the run store.
        seconds: between two checks; an open page reloads as often.
        said: called with a line for each report.
        options: of `report.make`.

    Returns:
        The files of the last report.

    Raises:
        ConfigError: as `report.make`; a store without a score is waited for.
        StoreError: as `report.make`.
    """
    folder, before = store.folder(workdir), None
    store.read(folder)  # what is no run store is no sweep that has only begun
    while True:
        now = _state(folder)
        if now != before:
            before, whole = now, _finished(folder)
            try:
                written = results.make(
                    folder, every=0.0 if whole else seconds, **options
                )
            except ConfigError as error:
                said(f"waiting: {error}")
            else:
                said(f"written at {time.strftime('%H:%M:%S')}: {written[-1].parent}")
                if whole:
                    return written
        time.sleep(seconds)


def _state(folder: Path) -> tuple[int, int, int]:
    """What changes with each write, of all but the report."""
    number = size = newest = 0
    for path in folder.rglob("*"):
        if "report" not in path.relative_to(folder).parts[:1]:
            try:
                found = path.stat()
            except FileNotFoundError:  # it was replaced since it was listed
                continue
            number, size = number + 1, size + found.st_size
            newest = max(newest, found.st_mtime_ns)
    return number, size, newest


def _finished(folder: Path) -> bool:
    header = store.load(folder)
    if header is None:
        return False
    done = store.finished(folder, header)
    return all(done.get(c, 0) >= header.steps_of(c) for c in header.cells())
