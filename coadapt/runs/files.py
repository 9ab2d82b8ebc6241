"""What is written to a run store, one step of the disk after the other.

A step is done or not. What a disk refuses, or what cannot be read, is a StoreError of
one sentence. Tests replace `step` and `put`, to fail or to end at any of them.
"""

import contextlib
import errno
import json
import os
import shutil
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

OLD = ".old"  # ends the names of folders that are on their way out


class StoreError(Exception):
    """What keeps a run store from being written or read, in one sentence."""


class DamagedError(StoreError):
    """A file that is not what was written: a checksum or a format says so."""


def step(what: str, path: Path) -> None:
    """Called before each change of the disk."""


def put(file: BinaryIO, data: bytes) -> None:
    """All bytes into an open file."""
    file.write(data)
    file.flush()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the disk refuses becomes one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be written ({error.strerror or error}): finished "
            "work is kept, and the same command continues from there."
        ) from error


def replace(
    path: Path, text: str | bytes, *, sync: bool = True, alone: bool = True
) -> None:
    """Write a file whole or not at all; one that has this text is left alone.

    Args:
        sync: the text is on the disk before its name is. What can be made again from
            other files need not wait for that.
        alone: no other process writes this file meanwhile.
    Raises: StoreError.
    """
    data = text if isinstance(text, bytes) else text.encode()
    with writing(path):
        if path.exists() and path.read_bytes() == data:
            return
        own = "" if alone else f".{os.getpid()}"
        temporary = path.with_name(f"{path.name}{own}.tmp")
        step("write", temporary)
        with temporary.open("wb") as file:
            put(file, data)
            if sync:
                os.fsync(file.fileno())
        step("replace", path)
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)


def create(path: Path, text: str) -> None:
    """A file that was not there, whole or not at all, of one process alone.

    Raises:
        FileExistsError: if another was faster.
        StoreError:
    """
    temporary = path.with_name(f".{path.name}-{socket.gethostname()}-{os.getpid()}")
    replace(temporary, text)
    try:
        os.link(temporary, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        with writing(path):
            raise error
    finally:
        temporary.unlink(missing_ok=True)


def append(file: BinaryIO, path: Path, text: str) -> None:
    """Text at the end of an open file, and on the disk.

    Raises: StoreError.
    """
    with writing(path):
        step("append", path)
        put(file, text.encode())
        os.fsync(file.fileno())


def make(path: Path) -> bool:
    """Make a folder, and those above; whether it was not there.

    Raises: StoreError.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        step("mkdir", path)
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():  # a file, or a link that leads nowhere
                raise
            return False
        _sync_folder(path.parent)
    return True


def move(path: Path, to: Path) -> None:
    """Rename what is there.

    Raises: StoreError.
    """
    with writing(path):
        step("rename", path)
        path.rename(to)
        _sync_folder(to.parent)


def sync(folder: Path) -> None:
    """All that is in a folder, and its name, is on the disk.

    Raises: OSError.
    """
    for top, _, found in os.walk(folder):
        for name in found:
            with Path(top, name).open("rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(top))
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Names in it outlast a crash of the machine, where its file system can do that."""
    if os.name == "nt":  # folders cannot be opened there
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(number)


def remove(path: Path) -> None:
    """Remove a folder: nobody sees half of it. What cannot go yet goes next time."""
    out = path if path.name.endswith(OLD) else path.with_name(path.name + OLD)
    try:
        if out != path:
            shutil.rmtree(out, ignore_errors=True)
            step("rename", path)
            path.rename(out)
        step("remove", out)
    except OSError:
        return
    shutil.rmtree(out, ignore_errors=True)


# ---------------------------------------------------------------- reading


def names(folder: Path) -> list[str]:
    """What is in a folder, in order; nothing where it is not there.

    Raises:
        StoreError: if it cannot be looked at.
    """
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def there(path: Path) -> bool:
    """Whether a file or folder is there; a link that leads nowhere is not.

    Raises:
        StoreError: if it cannot be looked at.
    """
    try:
        path.stat()
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error


def read(path: Path, errors: str = "strict") -> str | None:
    """The text of a file; None where it is not there.

    Args:
        errors: what becomes of bytes that are no text, as `bytes.decode` has it.
    Raises:
        DamagedError: if it is no text.
        StoreError: if it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors=errors, newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise damaged(path, str(error)) from None
    except (OSError, MemoryError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | MemoryError) -> StoreError:
    words = "memory is short" if isinstance(error, MemoryError) else error.strerror
    return StoreError(
        f"{str(path)!r} cannot be read ({words or error}): nothing was changed, and "
        "the same command continues once it can be read."
    )


def damaged(path: Path, reason: str) -> DamagedError:
    line = " ".join(reason.split())
    line = line if len(line) < 300 else line[:300] + "..."
    return DamagedError(f"{str(path)!r} cannot be read ({line}): the file is damaged.")


def sealed(data: dict[str, Any]) -> str:
    """JSON with a checksum of its own."""
    return json.dumps({**data, "checksum": _checksum(data)}, indent=1) + "\n"


def unsealed(path: Path) -> dict[str, Any] | None:
    """What `sealed` made, checked; None where it is not there.

    Raises:
        DamagedError:
        StoreError: if it cannot be read.
    """
    text = read(path)
    if text is None:
        return None
    try:
        return checked(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, str(error) or type(error).__name__) from None


def checked(data: dict[str, Any]) -> dict[str, Any]:
    """What was `sealed`, of all that its text says.

    Raises:
        ValueError: if it is another.
        KeyError: if it is another.
        TypeError: if it is another.
        AttributeError: if it is another.
    """
    checksum = data.pop("checksum")
    if checksum != _checksum(data):
        raise ValueError("its checksum is wrong")
    return data


def _checksum(data: dict[str, Any]) -> int:
    rest = {name: value for name, value in data.items() if name != "checksum"}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())
