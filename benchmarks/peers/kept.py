"""A file of what was measured, a line as soon as it is known: a run that ended early
goes on from there."""

import json
import os
from pathlib import Path

from benchmarks.peers import protocol
from benchmarks.peers.protocol import Job
from benchmarks.peers.tables import Record
from coadapt.schema import ConfigError


class Kept:
    """Records by the job that they are of; without a file, nothing is kept."""

    def __init__(self, path: Path | None = None, on: str = ""):
        """`on`: machine and versions. Raises: ConfigError, of a file of others."""
        self._path, self._on = path, on
        self._known: list[tuple[str, Record]] = []
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                for said, job, record in _read(line):
                    _refuse_other(path, said, on)
                    self._known.append((job, record))

    def of(self, job: Job, who: str, number: int) -> list[Record]:
        """What was measured of a job in a round."""
        text = protocol.write(job)
        return [r for of, r in self._known if of == text and r[1:3] == (who, number)]

    def add(self, job: Job, record: Record) -> Record:
        """Raises: OSError."""
        self._known.append((protocol.write(job), record))
        if self._path is not None:
            where = {"job": protocol.write(job), "on": self._on}
            line = json.dumps({**where, **record._asdict()})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # below a line that was torn
                file.flush()
                os.fsync(file.fileno())
        return record


def _refuse_other(path: Path, there: str, here: str) -> None:
    if there and here and there != here:
        raise ConfigError(
            f"--rows is {str(path)!r}, whose rows are of {there}, and this is {here}: "
            "one table cannot have both, so choose another file."
        )


def _read(line: str) -> list[tuple[str, str, Record]]:
    """Machine and versions, the job and the record; none of a line that was not written
    to its end."""
    try:
        found = json.loads(line)
        on, job = found.pop("on", ""), found.pop("job")
        return [(on, job, Record(tuple(found.pop("setting")), **found))]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
