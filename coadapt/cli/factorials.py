"""A part of `coadapt effects`: main effects and interactions of factorials."""

from collections.abc import Sequence
from pathlib import Path

from coadapt.analysis import toggles
from coadapt.analysis.comparison import Arms
from coadapt.cli import configs
from coadapt.cli.values import Values, get, listed, refuse_both
from coadapt.report import compare
from coadapt.runs import store
from coadapt.schema import ConfigError

EVERY = "all"  # toggles of the variants


def table(
    values: Values, workdir: Path, arms: Arms
) -> tuple[list[dict[str, str]], list[str]]:
    """Main effects and interactions, of each algorithm; and notes.

    Raises: ConfigError.
    """
    for other in ("pairs", "toggle", "margin"):
        refuse_both(values, "factorial", other)
    rows, notes = [], []
    for each in _designs(values, workdir, [name for _, name in arms]):
        found = compare.contrast(arms, each, get(values, "metric"))
        if found.reason:
            raise ConfigError(found.reason)
        rows += compare.rows(found)
        notes += compare.legend(found)
    return rows, notes


def _designs(
    values: Values, workdir: Path, seen: Sequence[str]
) -> list[toggles.Factorial]:
    header = store.load(workdir)
    assert header is not None  # or its rows could not have been read
    entries = compare.entries_of(header)
    settings = toggles.settings({n: e for n, e in entries.items() if n in seen})
    asked = get(values, "factorial")
    if asked != [EVERY]:
        return toggles.factorials_of(settings, _levels(values))
    found = toggles.factorials(settings)
    if not found:
        raise ConfigError(
            "--factorial is 'all': no algorithm's variants are a factorial of two "
            "toggles or more, each of two levels and in balance; name the toggles, as "
            "in g_estimate.critics=1,2."
        )
    return found


def _levels(values: Values) -> dict[str, tuple[str, str]]:
    """Off and on of each --factorial.

    Raises: ConfigError.
    """
    found = {}
    for path, words in configs.changes(values, "factorial").items():
        levels = listed(words)
        if len(set(levels)) != 2 or len(levels) != 2:
            raise ConfigError(
                f"--factorial is {f'{path}={words}'!r}: it must be 'all', or a toggle "
                "and its levels off and on, as in g_estimate.critics=1,2."
            )
        found[path] = (levels[0], levels[1])
    return found
