"""A virtual environment for each peer, kept while its pins are the same."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import Peer

PINS = "pins.txt"  # written when all is installed
_TELL = (
    "import json, sys; from importlib.metadata import version; "
    "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
)


class Failed(Exception):  # noqa: N818 (its text is the sentence that is shown)
    """Why a peer has no number."""


def python(peer: Peer, homes: Path) -> str:
    """The peer's interpreter, installed if need be. Raises: Failed, OSError."""
    home, wanted = homes / peer.home, "\n".join(peer.pins) + "\n"
    interpreter = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    marker = home / PINS
    if marker.is_file() and marker.read_text() == wanted:
        return str(interpreter)
    if home.exists():
        if not (home / "pyvenv.cfg").is_file():
            raise Failed(f"{home} is there, and is no virtual environment")
        shutil.rmtree(home)
    print(f"installing {', '.join(peer.pins)} in {home}", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(home)])
    _run([str(interpreter), "-m", "pip", "install", "--quiet", *peer.pins])
    marker.write_text(wanted)
    return str(interpreter)


def versions(interpreter: str, names: Sequence[str]) -> dict[str, str]:
    """Of installed distributions. Raises: Failed."""
    return json.loads(_run([interpreter, "-c", _TELL, *names]))


def last_line(text: str) -> str:
    """What a failed program said last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(last_line(done.stderr or done.stdout))
    return done.stdout
