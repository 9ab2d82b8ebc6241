"""What a container or a job's manager allows: Linux's control groups, v1 and v2.

A group's own limit and those of the groups above it hold. What cannot be read limits
nothing.
"""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# of version 2, and of version 1 by controller: the limit, what is used, and of that
# what the system gives up where memory is short
_MEMORY = ("memory.max", "memory.current", "inactive_file")
_MEMORY_1 = (
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)  # fmt: skip
_STAT, _NO_LIMIT = "memory.stat", 2**60  # version 1 writes a vast number for none


class _Group(NamedTuple):
    folder: Path
    version: int


def memory(root: Path = Path("/")) -> float:
    """Bytes that this process may still take; infinite, where nothing limits it."""
    return min((_free(group) for group in _groups("memory", root)), default=math.inf)


def cores(root: Path = Path("/")) -> float:
    """As much time as so many cores have; infinite, where nothing limits it."""
    return min((_cores(group) for group in _groups("cpu", root)), default=math.inf)


def _free(group: _Group) -> float:
    most, used, cache = _MEMORY if group.version == 2 else _MEMORY_1
    limit = _number(_words(group.folder / most))
    if limit >= _NO_LIMIT:
        return math.inf
    lines = _lines(group.folder / _STAT)
    given_up = dict(line.split(None, 1) for line in lines if " " in line).get(cache)
    taken = _number(_words(group.folder / used), 0.0)
    return max(limit - taken + _number([given_up or ""], 0.0), 0.0)


def _cores(group: _Group) -> float:
    if group.version == 2:
        quota, period = [*_words(group.folder / "cpu.max"), "", ""][:2]
    else:
        names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
        quota, period = ("".join(_words(group.folder / name)) for name in names)
    number = _number([quota]) / _number([period], 100_000.0)
    return number if number > 0 else math.inf  # version 1 writes -1 for none


def _groups(controller: str, root: Path) -> Iterator[_Group]:
    """That of this process, and those above it, as far as they can be seen."""
    for line in _lines(root / "proc/self/cgroup"):
        _, names, path = [*line.split(":", 2), "", ""][:3]
        version = 2 if not names else 1
        if version == 1 and controller not in names.split(","):
            continue
        for top, place in _mounts(version, controller, root):
            own = PurePosixPath(path)
            # a container may see its own group at the mount, under another name
            below = own.relative_to(top) if own.is_relative_to(top) else "."
            folder = place / below
            yield from (
                _Group(each, version)
                for each in (folder, *folder.parents)
                if each == place or place in each.parents
            )


def _mounts(version: int, controller: str, root: Path) -> Iterator[tuple[str, Path]]:
    """The group at the top of each mount, and where it is mounted."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        words, (kind, *_, options) = before.split(), [*after.split(), "", ""][:3]
        if version == 2:
            same = kind == "cgroup2"
        else:
            same = kind == "cgroup" and controller in options.split(",")
        if same and len(words) > 4:
            yield words[3], root / words[4].lstrip("/")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(words: list[str], other: float = math.inf) -> float:
    """The first word's; `other`, where it is none, such as 'max'."""
    try:
        return float(int(words[0]))
    except (IndexError, ValueError):
        return other
