"""A study as one archive: what was asked for, what came of it, and on what.

A pack is a ZIP of the run store's manifest (with all configs), its rows and failures,
done marks and sessions, and the report; no snapshot. `pack.json` lists each file with
its size and SHA-256, the hash of the plan, when it was first run, and where. `read`
refuses what is not as it is listed, and what would be written outside of its folder.
"""

import contextlib
import datetime
import hashlib
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from coadapt import report
from coadapt.runs import attempts, leases, manifest, store
from coadapt.runs.store import StoreError
from coadapt.schema import ConfigError
from coadapt.version import __version__

LIST = "pack.json"
FORMAT = 1
DEEP = 3  # names in the path of a file of an attempt, below programs/; more: a snapshot
FIRST = (1980, 1, 1, 0, 0, 0)  # the time of each file: the same store, the same archive
MOST_LISTED = 64 * 1024**2  # bytes of pack.json
MOST = 100 * 1024**3  # bytes of all files
CHUNK = 1024**2
_TOP = ("manifest.json", "results.csv", "failures.csv", "done.csv")
_ABOUT = (
    "protocol",
    "variants",
    "tasks",
    "seeds",
    "steps",
    "cells",
    "evaluation",
    "units",
)


class Pack(NamedTuple):
    """What an archive is of."""

    study: str  # SHA-256 of its list: who has it knows whether a file was changed
    plan: str  # SHA-256 of what was asked for
    since: str  # when it was first run
    experiment: str
    files: int
    sessions: list[dict[str, Any]]  # versions, hosts, devices
    differs: tuple[str, ...] = ()  # tables that a report of here has otherwise


# ---------------------------------------------------------------- writing


def write(workdir: str | os.PathLike[str], out: str | os.PathLike[str]) -> Pack:
    """Pack a run store and its report into one archive; the store is only read.

    Raises:
        ConfigError: if there is no run store, it has no score, a process writes to it,
            or the file exists.
        StoreError: if the run store cannot be read, or one of its programs runs.
    """
    folder, path = store.folder(workdir), store.expanded(out, "out")
    if path.exists():
        raise ConfigError(f"out is {str(path)!r}, which exists: choose another name.")
    _require_ended(folder)
    with tempfile.TemporaryDirectory() as home:
        report.make(folder, out=Path(home) / "report")
        places = {f"report/{p.name}": p for p in (Path(home) / "report").iterdir()}
        places |= {name: folder / name for name in _kept(folder)}
        return _written(path, folder, dict(sorted(places.items())))


def _require_ended(folder: Path) -> None:
    """Refuse a store that is written to: its report would be of other rows.

    Raises: ConfigError, StoreError.
    """
    for home in (folder, folder / manifest.TUNING):
        store.require_free(home)
        for attempt in home.glob(f"{attempts.PROGRAMS}/*/*"):
            leases.require_ended(attempt, "pack")


def _kept(folder: Path) -> Iterator[str]:
    """Names of files of the store, and of the one within by which it was tuned."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        own = parts[1:] if parts[0] == manifest.TUNING else parts
        inside = own[:1] == (attempts.PROGRAMS,) and len(own) <= 1 + DEEP
        inside |= own[:1] == (manifest.SESSIONS,) or (len(own) == 1 and own[0] in _TOP)
        if inside and path.is_file() and not path.is_symlink():
            yield "/".join(parts)


def _written(path: Path, folder: Path, places: dict[str, Path]) -> Pack:
    about = _about(manifest.read(folder), store.sessions(folder))
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        listed = {}
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, place in places.items():
                data = place.read_bytes()
                sha = hashlib.sha256(data).hexdigest()
                listed[name] = {"bytes": len(data), "sha256": sha}
                archive.writestr(_entry(name), data)
            text = json.dumps({**about, "files": listed}, indent=1).encode()
            archive.writestr(_entry(LIST), text)
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written ({error.strerror or error})."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return _pack(text, {**about, "files": listed})


def _entry(name: str) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, FIRST)
    made.compress_type, made.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return made


def _about(made: dict[str, Any], sessions: list[dict[str, Any]]) -> dict[str, Any]:
    asked = {name: made.get(name) for name in _ABOUT}
    plan = json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "format": FORMAT,
        "coadapt": __version__,
        "experiment": made.get("experiment", ""),
        "plan": hashlib.sha256(plan).hexdigest(),
        "since": min((x["started"] for x in sessions if "started" in x), default=""),
        "packed": now,
        "sessions": sessions,
    }


def _pack(text: bytes, about: dict[str, Any]) -> Pack:
    return Pack(
        hashlib.sha256(text).hexdigest(),
        about["plan"],
        about["since"],
        about["experiment"],
        len(about["files"]),
        about["sessions"],
    )


# ---------------------------------------------------------------- reading


def read(
    archive: str | os.PathLike[str],
    workdir: str | os.PathLike[str],
    *,
    study: str = "",
) -> Pack:
    """Check an archive, unpack it into a new folder, and make its report again there.

    Args:
        archive: file that `write` wrote.
        workdir: the folder, which must be new or empty.
        study: the SHA-256 that the archive's list must have; '': any.

    Raises:
        ConfigError: with nothing written, if the folder is not empty, or if the
            archive was changed, is none, or has a path outside the folder.
        StoreError: if the disk is at fault.
    """
    path, folder = store.expanded(archive, "archive"), store.folder(workdir)
    if folder.is_symlink() or (folder.exists() and _full(folder)):
        raise ConfigError(f"workdir is {str(folder)!r}: it must be new, or empty.")
    with _opened(path) as whole:
        text, about = _list(path, whole)
        made = _pack(text, about)
        if study and study.lower() != made.study:
            raise _changed(path, f"its list has the SHA-256 {made.study}, not {study}")
        entries = _entries(path, whole.infolist(), about["files"])
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as home:
            place = Path(home) / "store"
            place.mkdir()
            for entry in entries:
                _extract(path, whole, entry, about["files"][entry.filename], place)
            differs = _reported(place)
            if folder.exists():
                folder.rmdir()
            place.rename(folder)  # whole or not at all
    return made._replace(differs=differs)


def _full(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Raises: ConfigError, also for what is found to be broken later."""
    try:
        with zipfile.ZipFile(path) as whole:
            yield whole
    except FileNotFoundError:
        raise ConfigError(f"archive is {str(path)!r}: there is no such file.") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _changed(path, f"it is not an archive, or damaged ({error})") from None
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be unpacked ({error.strerror or error})."
        ) from None


def _changed(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{str(path)!r} differs from what was packed: {why}.")


def _list(path: Path, whole: zipfile.ZipFile) -> tuple[bytes, dict[str, Any]]:
    try:
        with whole.open(LIST) as file:
            text = file.read(MOST_LISTED + 1)
        about = json.loads(text[:MOST_LISTED])
        known = {
            name: (int(one["bytes"]), str(one["sha256"]))
            for name, one in about["files"].items()
        }
        ok = about["format"] == FORMAT and isinstance(about["sessions"], list)
        ok &= all(isinstance(about[n], str) for n in ("plan", "since", "experiment"))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _changed(path, f"its {LIST} cannot be read ({error!r})") from None
    if not ok:
        raise _changed(path, f"its {LIST} is of another format")
    if sum(size for size, _ in known.values()) > MOST:
        raise _changed(path, f"its files are more than {MOST:,} bytes")
    return text, {**about, "files": known}


def _entries(
    path: Path, found: Iterable[zipfile.ZipInfo], listed: dict[str, tuple[int, str]]
) -> list[zipfile.ZipInfo]:
    """All but the list, each a plain file within the folder, as it is listed."""
    entries = [each for each in found if each.filename != LIST]
    for each in entries:
        name, kind = each.filename, stat.S_IFMT(each.external_attr >> 16)
        if not _inside(name):
            raise _changed(path, f"{name!r} would be written elsewhere")
        if kind not in (0, stat.S_IFREG):
            raise _changed(path, f"{name!r} is a link, or no plain file")
        if name not in listed:
            raise _changed(path, f"{name!r} is not in its list")
        if each.file_size != listed[name][0]:
            raise _changed(path, f"{name!r} is of another size")
    names = [each.filename for each in entries]
    # of two names that are one where case is not told apart, one would win
    if len({name.casefold() for name in names}) < len(names):
        raise _changed(path, "a name is there twice")
    missing = set(listed) - set(names)
    if missing:
        raise _changed(path, f"{min(missing)!r} is missing")
    return entries


def _inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    plain = not set(name) & set("\\:\0") and name.isprintable()
    return bool(parts) and plain and name == "/".join(parts) and ".." not in parts


def _extract(
    path: Path,
    whole: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    listed: tuple[int, str],
    folder: Path,
) -> None:
    place, sha, size = folder / entry.filename, hashlib.sha256(), 0
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole.open(entry) as source, place.open("xb") as target:
        while data := source.read(CHUNK):
            size += len(data)
            if size > listed[0]:
                break
            sha.update(data)
            target.write(data)
    if (size, sha.hexdigest()) != listed:
        raise _changed(path, f"{entry.filename!r} has another checksum")


def _reported(folder: Path) -> tuple[str, ...]:
    """The report made anew; the tables in which it differs from that of the pack."""
    packed = {p.name: p.read_bytes() for p in (folder / "report").glob("*.csv")}
    report.make(folder)
    now = {p.name: p.read_bytes() for p in (folder / "report").glob("*.csv")}
    return tuple(sorted(n for n in {*packed, *now} if packed.get(n) != now.get(n)))
