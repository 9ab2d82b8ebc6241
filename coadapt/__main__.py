"""`coadapt sweep ...` and `python -m coadapt sweep ...`: a command by its name."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from coadapt import cli
from coadapt.schema import ConfigError, nearest
from coadapt.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: that of the command, 2 for one that there is not."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv), ""]
    if name in cli.COMMANDS:
        return importlib.import_module(f"coadapt.cli.{name}").main(rest[:-1])
    if name in ("", "help", "-h", "-help", "--help"):
        print(listed())
        return 0
    if name == "--version":
        print(f"coadapt {__version__}")
        return 0
    refused = ConfigError(
        f"{name!r} is not a command; the commands are {', '.join(cli.COMMANDS)}"
        f"{nearest(name, cli.COMMANDS)}"
    )
    print(f"error: {refused}", file=sys.stderr)
    return 2


def listed() -> str:
    """All commands, each with the first line of what it says of itself."""
    width = max(map(len, cli.COMMANDS))
    lines = [f"  {name:<{width}}  {_about(name)}" for name in cli.COMMANDS]
    start = "coadapt COMMAND --flag=value ...; coadapt COMMAND --help lists its flags."
    return "\n".join([start, "", *lines])


def _about(name: str) -> str:
    """Read from its file, since to import them all would take seconds."""
    file = Path(cli.__path__[0], f"{name}.py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
