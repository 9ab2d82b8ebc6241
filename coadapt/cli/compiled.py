"""Where compiled programs are kept between runs: compiling is most of a short sweep."""

import os
import tempfile
from pathlib import Path

import jax

from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.system.notes import note

CACHE = Path("~/.cache/coadapt/xla")
ABOUT = (  # of the flag
    "folder that keeps compiled programs; if empty, none are kept (the environment "
    f"variable COADAPT_CACHE, or {CACHE})"
)


def keep(flag: str | None) -> None:
    """Keep compiled programs between runs: compiling is most of a short sweep.

    Raises: ConfigError.
    """
    keep_in(folder_of(flag))


def keep_in(folder: Path | None) -> None:
    """None: nowhere, and so where the folder cannot be written, which is said."""
    if folder is None or not _writable(folder):
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    # small programs too, single operations among them: a run has dozens
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        note(
            f"compiled programs are not kept: {str(folder)!r} cannot be written "
            f"({error.strerror or error}); --compile_cache and COADAPT_CACHE name "
            "another folder."
        )
        return False


def folder_of(flag: str | None) -> Path | None:
    """The folder of compiled programs, None for none.

    Raises: ConfigError.
    """
    given = "COADAPT_CACHE" in os.environ and flag is None
    place = os.environ.get("COADAPT_CACHE", str(CACHE)) if flag is None else flag
    if not place:
        return None
    name = "COADAPT_CACHE" if given else "--compile_cache"
    folder = store.expanded(place, name)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"{name} is {place!r}: it must be a folder.")
    return folder
