"""What makes a session's numbers: versions, the code, the machine and its settings."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import jax

from coadapt.version import __version__

_PACKAGE = Path(__file__).parent


def here() -> dict[str, Any]:
    """As plain JSON types. Sessions of which all of this is the same are one."""
    return {
        "versions": versions(),
        **_code(),
        "host": socket.gethostname(),
        "device": device(),
        "devices": jax.local_device_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def versions() -> dict[str, str]:
    """Of whatever makes the numbers."""
    found = {"coadapt": __version__, "python": platform.python_version()}
    for name in ("jax", "jaxlib", "mujoco", "gymnasium"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def device() -> str:
    """'cpu, x86_64, 2 cores', or the accelerator's own name."""
    found = jax.devices()[0]
    if found.platform == "cpu":
        return f"cpu, {platform.machine()}, {os.cpu_count()} cores"
    return f"{found.platform}, {found.device_kind}"


@functools.cache
def _code() -> dict[str, str]:
    """The commit of the package's checkout, and a hash of what was changed since.

    Both are empty where the package is of no checkout, or where there is no git.
    """
    clean = {"commit": "", "changed": ""}
    if _git("ls-files", "--error-unmatch", "version.py") is None:
        return clean
    commit, diff = _git("rev-parse", "HEAD"), _git("diff", "HEAD", "--", ".")
    new = _git("ls-files", "--others", "--exclude-standard", "--", ".")
    if commit is None or diff is None or new is None:
        return clean
    changed = hashlib.sha256(diff + new).hexdigest()[:8] if diff + new else ""
    return {"commit": commit.decode().strip(), "changed": changed}


def _git(*words: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_PACKAGE), *words], capture_output=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
