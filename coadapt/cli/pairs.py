"""A part of `coadapt effects`: the pairs of variants that flags name."""

from collections.abc import Sequence

from coadapt.analysis.comparison import Pair
from coadapt.cli.values import Values, get, listed
from coadapt.schema import ConfigError, nearest


def named(values: Values, variants: Sequence[str]) -> list[Pair]:
    """What --pairs or --toggle names.

    Raises: ConfigError.
    """
    pairs, toggle = get(values, "pairs"), get(values, "toggle")
    if bool(pairs) == bool(toggle):
        raise ConfigError(
            "give --pairs=with:without,... or --toggle=field=on,off, one of the two."
        )
    return _toggled(toggle, variants) if toggle else _listed(pairs, variants)


def _listed(text: str, variants: Sequence[str]) -> list[Pair]:
    found = []
    for pair in listed(text):
        on, off = _halves(pair, variants)
        if not on or not off or on == off:
            raise ConfigError(
                f"--pairs has {pair!r}: it must be two variants, with the toggle and "
                "without, as in sac:sac-single-q."
            )
        for name in (on, off):
            if name not in variants:
                raise ConfigError(
                    f"--pairs has {name!r}: it must be one of {', '.join(variants)}"
                    f"{nearest(name, variants)}"
                )
        found.append(Pair(on, (on,), (off,)))
    if not found:
        raise ConfigError("--pairs is empty: write with:without,with:without.")
    return found


def _halves(pair: str, variants: Sequence[str]) -> tuple[str, str]:
    """Cut at the colon that leaves two variants, since a name may have one itself."""
    parts = pair.split(":")
    cuts = [(":".join(parts[:i]), ":".join(parts[i:])) for i in range(1, len(parts))]
    halves = [(on.strip(), off.strip()) for on, off in cuts] or [("", "")]
    known = [(on, off) for on, off in halves if on in variants and off in variants]
    return (known or halves)[0]


def _toggled(text: str, variants: Sequence[str]) -> list[Pair]:
    path, equals, words = text.partition("=")
    settings = listed(words)
    if not path or not equals or len(settings) not in (1, 2):
        raise ConfigError(
            f"--toggle is {text!r}: it must be a field and its values on and off, as "
            "in g_estimate.critics=2,1."
        )
    on, off = f"{path}={settings[0]}", [f"{path}={word}" for word in settings[1:]]
    found = []
    for name in variants:
        parts = name.split("/")
        if on not in parts:
            continue
        i = parts.index(on)
        other = "/".join([*parts[:i], *off, *parts[i + 1 :]])
        if other in variants:
            label = "/".join([*parts[:i], *parts[i + 1 :]])
            found.append(Pair(label, (name,), (other,)))
    if not found:
        raise ConfigError(
            f"--toggle is {text!r}: no two variants differ in it alone, of "
            f"{', '.join(variants)}."
        )
    return found
