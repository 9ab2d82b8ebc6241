"""A file of what was measured, a line as soon as it is known: a run that ended early
goes on from there."""

import json
import os
from pathlib import Path

from benchmarks.peers import protocol
from benchmarks.peers.protocol import Job
from benchmarks.peers.tables import Record


class Kept:
    """Records by the job that they are of; without a file, nothing is kept."""

    def __init__(self, path: Path | None = None):
        self._path = path
        self._known: list[tuple[str, Record]] = []
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._known.extend(_read(line))

    def of(self, job: Job, who: str, number: int) -> list[Record]:
        """What was measured of a job in a round."""
        text = protocol.write(job)
        return [r for of, r in self._known if of == text and r[1:3] == (who, number)]

    def add(self, job: Job, record: Record) -> Record:
        """Raises: OSError."""
        self._known.append((protocol.write(job), record))
        if self._path is not None:
            line = json.dumps({"job": protocol.write(job), **record._asdict()})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # below a line that was torn
                file.flush()
                os.fsync(file.fileno())
        return record


def _read(line: str) -> list[tuple[str, Record]]:
    """None of a line that was not written to its end."""
    try:
        found = json.loads(line)
        job, setting = found.pop("job"), tuple(found.pop("setting"))
        return [(job, Record(setting, **found))]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
