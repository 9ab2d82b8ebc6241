"""What every command shares: flags are parsed, it is run, an error is a sentence."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from absl import flags

from coadapt import devices
from coadapt.cli import parsing, signals
from coadapt.cli.values import Values, get
from coadapt.distributed.pool import TIME_OVER
from coadapt.runner import Interrupted, TimeOver
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.system import console

MISTAKE, TROUBLE = 2, 1  # exit statuses: of the user's, of the disk's
_SHORT = (
    "memory is short ({}): finished work is kept, and the same command continues "
    "from there."
)


def execute(
    text: str,
    define: Callable[[Values], None],
    run: Callable[[Values], int | None],
    argv: Sequence[str] | None,
    *,
    words: str = "",
) -> int:
    """Parse, run, and return the exit status: that of `run`, by default 0.

    `text` stands on top of the help; `words` names the flag that has what is no flag.
    """
    with console.lasting() as lost:
        status = _executed(text, define, run, argv, words)
    for error in lost[:1]:  # what was computed is whole
        reason = error.strerror
        print(f"error: the output could not be written: {reason}", file=sys.stderr)
    return status or (TROUBLE if lost else 0)


def _executed(
    text: str,
    define: Callable[[Values], None],
    run: Callable[[Values], int | None],
    argv: Sequence[str] | None,
    words: str,
) -> int:
    values, args = Values(), sys.argv[1:] if argv is None else list(argv)
    define(values)
    flags.DEFINE_multi_string(
        "import",
        [],
        "module to import first, whose classes configs name as module:Name; repeat for "
        "more",
        flag_values=values,
    )
    if any(arg in ("-h", "-help", "--help") for arg in args):
        print(parsing.help_of(text, values))
        return 0
    try:
        devices.require_flags()
        devices.use_cores()
        _take(values, words, parsing.parse(values, args))
        _import(get(values, "import"))
        return _with_devices(run, values) or 0
    except (flags.Error, ConfigError, OSError, store.StoreError) as error:
        print(f"error: {_line(str(error))}", file=sys.stderr)
        return TROUBLE if isinstance(error, OSError | store.StoreError) else MISTAKE
    except MemoryError as error:
        print(f"error: {_line(_SHORT.format(error))}", file=sys.stderr)
        return TROUBLE
    except Interrupted as stopped:
        print(
            f"{stopped}: run the same command again to continue from there",
            file=sys.stderr,
        )
        return TIME_OVER if isinstance(stopped, TimeOver) else signals.status()
    except KeyboardInterrupt:
        print(
            "interrupted: run the same command again to continue from the last "
            "checkpoint",
            file=sys.stderr,
        )
        return signals.status()


def _take(values: Values, words: str, rest: Sequence[str]) -> None:
    """What is no flag.

    Raises:
        ConfigError: where the command takes none.
    """
    if rest and not words:
        raise ConfigError(f"argument {rest[0]!r} is not a flag: write --name=value.")
    if rest:
        values[words].value = [*get(values, words), *rest]


def _line(text: str) -> str:
    return console.printable(" ".join(text.split()))


def _import(modules: Sequence[str]) -> None:
    """Modules of a user's own.

    Raises: ConfigError.
    """
    if modules and not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # as `python -m` has it, and a script has not
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f"--import is {name!r}: {error}") from None


def _with_devices(run: Callable[[Values], int | None], values: Values) -> int | None:
    """`run`; where it failed because JAX has no device, that is what is said.

    They are asked for after a failure alone: what computes nothing takes no GPU.
    """
    try:
        return run(values)
    except (RuntimeError, AssertionError):
        devices.available()
        raise
