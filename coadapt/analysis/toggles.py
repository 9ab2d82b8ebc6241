"""What the variants of a sweep differ in: toggles, contrasts and factorial designs.

The configs of an algorithm's variants are compared, and fields that change together are
one toggle. Names are text; but where each says what the configs do, as `sweep.vary`
makes them, they tell which fields were changed together: of 'sac/g_estimate.critics=1'
the toggle is g_estimate.critics, and its level 1.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from coadapt.analysis import effects
from coadapt.analysis.effects import Design
from coadapt.runs.store import Entry
from coadapt.schema import ConfigError, nearest, tied

AS_IT_WAS = "as it was"  # the level of a toggle that a variant's name does not have
ALGORITHM = "algorithm"
ON = "on"  # the level of a field that holds its only class, or none


class Setting(NamedTuple):
    """A variant: whose it is, and at which level each toggle stands."""

    algorithm: str
    levels: dict[str, str]


class Contrast(NamedTuple):
    """Variants of an algorithm with a toggle and without, in order, else alike."""

    algorithm: str
    toggle: str
    levels: tuple[str, str]  # on, off
    on: tuple[str, ...]
    off: tuple[str, ...]


class Factorial(NamedTuple):
    """Variants that set some toggles, of two levels each, in balance."""

    algorithm: str
    design: Design
    variants: tuple[str, ...]  # of the design's rows
    levels: dict[str, tuple[str, str]]  # toggle -> on, off


def settings(variants: Mapping[str, Entry]) -> dict[str, Setting]:
    """The setting of each variant."""
    if any("=" in part for name in variants for part in name.split("/")):
        named = _from_names(variants)
        if _agree(named, variants):
            return named
    found: dict[str, Setting] = {}
    for algorithm in dict.fromkeys(entry.algorithm for entry in variants.values()):
        ours = {n: e.config for n, e in variants.items() if e.algorithm == algorithm}
        found |= {n: Setting(algorithm, x) for n, x in _from_configs(ours).items()}
    return {name: found[name] for name in variants}


# ---------------------------------------------------------------- names


def short(names: Iterable[str]) -> dict[str, str]:
    """Names with each toggle's path cut to the end that no other shares.

    'sac/critics=1' for 'sac/g_estimate.critics=1'. All stay, if two would be one.
    """
    names = list(dict.fromkeys(names))
    parts = (part for name in names for part in name.split("/"))
    keys = dict.fromkeys(p.split("=")[0] for p in parts if "=" in p)
    paths = list(dict.fromkeys(path for key in keys for path in tied(key)))
    ends = {path: _end(path, paths) for path in paths}

    def cut(part: str) -> str:
        key, equals, value = part.partition("=")
        ended = "+".join(ends.get(path, path) for path in tied(key))
        return f"{ended}{equals}{value}" if equals else part

    found = {name: "/".join(map(cut, name.split("/"))) for name in names}
    return found if len(set(found.values())) == len(names) else {n: n for n in names}


def _end(path: str, paths: Sequence[str]) -> str:
    words = path.split(".")
    ends = [".".join(words[i:]) for i in range(len(words) - 1, -1, -1)]
    others = [other for other in paths if other != path]
    alone = (e for e in ends if not any(f".{o}".endswith(f".{e}") for o in others))
    return next(alone, path)


def _from_names(variants: Mapping[str, Entry]) -> dict[str, Setting]:
    parts = {name: name.split("/") for name in variants}
    homes = {n: "/".join(p for p in ps if "=" not in p) for n, ps in parts.items()}
    changed = {
        n: dict(part.split("=", 1) for part in ps if "=" in part)
        for n, ps in parts.items()
    }
    found = {}
    for name, entry in variants.items():
        paths = dict.fromkeys(
            path for n in variants if homes[n] == homes[name] for path in changed[n]
        )
        own = _flat(entry.config)
        levels = {p: changed[name].get(p, _level(own, p)) for p in paths}
        found[name] = Setting(homes[name], levels)
    return found


def _agree(named: Mapping[str, Setting], variants: Mapping[str, Entry]) -> bool:
    """Whether the configs differ in just what the names say, to these values."""
    for names in _homes(named).values():
        paths = [path for t in named[names[0]].levels for path in tied(t)]
        flat = {name: _flat(variants[name].config) for name in names}
        rests = {frozenset(_without(own, paths).items()) for own in flat.values()}
        settled = {tuple(named[name].levels.values()) for name in names}
        true = all(
            _is(flat[name], toggle, level)
            for name in names
            for toggle, level in named[name].levels.items()
        )
        if not true or len(rests) > 1 or len(settled) < len(names):
            return False
    return True


_SPELLING, _FIELD = ".layer_norm", ".norm"  # of networks: where a layer norm stands


def _read(own: Mapping[str, str], path: str) -> str | None:
    """What a config has at a path, or at what the path is a spelling of."""
    if not path.endswith(_SPELLING):
        return own.get(path)
    norm = path.removesuffix(_SPELLING) + _FIELD
    kind = own.get(norm)
    return own.get(f"{norm}.at") if kind == "LayerNorm" else kind


def _without(own: Mapping[str, str], paths: Sequence[str]) -> dict[str, str]:
    """What a config has, except at these paths and below them."""
    paths = [
        path.removesuffix(_SPELLING) + _FIELD if path.endswith(_SPELLING) else path
        for path in paths
    ]
    below = tuple(f"{path}." for path in paths)
    return {k: v for k, v in own.items() if k not in paths and not k.startswith(below)}


def _is(own: Mapping[str, str], toggle: str, level: str) -> bool:
    """Whether a config has this level of a toggle, as a name writes it."""
    if level == AS_IT_WAS:
        return True
    return all(_same(_read(own, path) or "", level) for path in tied(toggle))


def _same(value: str, word: str) -> bool:
    """'0.001' and '1e-3', 'none' and 'None'."""
    with contextlib.suppress(ValueError):
        return float(value) == float(word)
    return value.casefold() == word.casefold()


def _level(own: Mapping[str, str], key: str) -> str:
    """What a config has there; of fields that are changed together, if it is one."""
    values = {_read(own, path) for path in tied(key)}
    (level,) = values if len(values) == 1 else (None,)
    return AS_IT_WAS if level is None else level


# ---------------------------------------------------------------- configs


def _flat(config: object, path: str = "") -> dict[str, str]:
    """Each path of a config as a store has it, with its value as names have it."""
    if not isinstance(config, dict):
        return {path: label(config)} if path else {}
    found = {path: str(config.get("kind", ON))} if path else {}
    for key, value in config.items():
        if key != "kind":
            found |= _flat(value, f"{path}.{key}" if path else key)
    return found


def label(value: object) -> str:
    """A value of a manifest: 'none' for nothing, '64x64' for a list."""
    if isinstance(value, list):
        return "x".join(map(label, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _from_configs(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict]:
    """Levels of what differs, fields that always change together being one toggle."""
    flat = _comparable({name: _flat(config) for name, config in configs.items()})
    together: dict[tuple[int, ...], list[str]] = {}
    for path in _paths(flat):
        values = [each.get(path, "-") for each in flat.values()]
        order = list(dict.fromkeys(values))
        if len(order) > 1:
            alike = tuple(order.index(value) for value in values)
            together.setdefault(alike, []).append(path)
    levels: dict[str, dict[str, str]] = {name: {} for name in configs}
    for paths in map(_outermost, together.values()):
        for name, each in flat.items():
            words = dict.fromkeys(each.get(path, "-") for path in paths)
            levels[name][_joined(paths)] = ", ".join(_few(list(words)))
    return levels


def _comparable(flat: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Configs in which what lies below another class than the first has is as there.

    It is that class's own: a torso's `norm` is not another torso's. Where those of a
    class differ in it among each other it stays, as they are told apart by it.
    """
    first = next(iter(flat.values()))
    found, paths = {name: dict(each) for name, each in flat.items()}, _paths(flat)
    for at in first:
        others: dict[str, list[str]] = {}
        for name, each in flat.items():
            if each.get(at, first[at]) != first[at]:
                others.setdefault(each[at], []).append(name)
        below = [path for path in paths if path.startswith(f"{at}.")]
        for names in others.values():
            for path in below:
                if len({flat[name].get(path) for name in names}) == 1:
                    for name in names:
                        found[name].pop(path, None)
                        found[name] |= {path: first[path]} if path in first else {}
    return found


def _paths(flat: Mapping[str, Mapping[str, str]]) -> dict[str, None]:
    return dict.fromkeys(path for each in flat.values() for path in each)


def _outermost(paths: Sequence[str]) -> list[str]:
    """Without those that lie in another."""
    return [p for p in paths if not any(p.startswith(f"{q}.") for q in paths)]


def _joined(paths: Sequence[str]) -> str:
    """Both networks' fields as one: 'networks.{policy,critic}.activation'."""
    found = []
    for path in paths:
        ours, theirs = (f"networks.{net}." for net in ("policy", "critic"))
        if path.startswith(ours) and path.replace(ours, theirs) in paths:
            found.append(path.replace(ours, "networks.{policy,critic}."))
        elif not (path.startswith(theirs) and path.replace(theirs, ours) in paths):
            found.append(path)
    return ", ".join(_few(found))


def _few(words: list[str], most: int = 3) -> list[str]:
    rest = len(words) - most
    return words if rest <= 0 else [*words[:most], f"{rest} more"]


# ---------------------------------------------------------------- contrasts


def contrasts(found: Mapping[str, Setting]) -> list[Contrast]:
    """Each toggle of each algorithm, averaged over what its other toggles stand at.

    Off is the lower of two numbers, and otherwise the level that comes first; of three
    levels and more each is set against that one.
    """
    made = []
    for algorithm, names in _homes(found).items():
        for toggle in found[names[0]].levels:
            first, *others = ordered([found[n].levels[toggle] for n in names])
            for other in others:
                pairs = [
                    (name, twin)
                    for name in names
                    if found[name].levels[toggle] == other
                    for twin in names
                    if found[twin].levels == {**found[name].levels, toggle: first}
                ]
                if pairs:
                    on, off = zip(*pairs, strict=True)
                    made.append(Contrast(algorithm, toggle, (other, first), on, off))
    return made


def _homes(found: Mapping[str, Setting]) -> dict[str, list[str]]:
    homes: dict[str, list[str]] = {}
    for name, setting in found.items():
        homes.setdefault(setting.algorithm, []).append(name)
    return homes


def ordered(levels: Sequence[str]) -> list[str]:
    """Each once: numbers from the least, and otherwise as they come."""
    once = list(dict.fromkeys(levels))
    try:
        return sorted(once, key=float)
    except ValueError:
        return once


# ---------------------------------------------------------------- designs


def factorials(found: Mapping[str, Setting]) -> list[Factorial]:
    """Those of algorithms whose variants are a factorial of two toggles or more."""
    made = []
    for names in _homes(found).values():
        ours = {name: found[name] for name in names}
        levels = {
            toggle: ordered([ours[name].levels[toggle] for name in names])
            for toggle in ours[names[0]].levels
        }
        varied = {t: (x[0], x[1]) for t, x in levels.items() if len(x) == 2}
        if len(varied) < 2 or any(len(each) > 2 for each in levels.values()):
            continue
        each = _factorial(ours, varied)
        try:
            effects.aliasing(each.design)
        except ConfigError:  # one change at a time, or a sweep cut short
            continue
        made.append(each)
    return made


def factorials_of(
    found: Mapping[str, Setting], toggles: Mapping[str, tuple[str, str]]
) -> list[Factorial]:
    """The factorial of each algorithm that has variants with these toggles, off, on.

    What the variants differ in beside them is averaged over. 'algorithm' is a toggle
    too: then there is one factorial, of both.

    Raises: ConfigError.
    """
    if ALGORITHM in toggles:
        found = {n: Setting("", {ALGORITHM: a, **x}) for n, (a, x) in found.items()}
    known = dict.fromkeys(t for setting in found.values() for t in setting.levels)
    for toggle in toggles:
        if toggle not in known:
            raise ConfigError(
                f"unknown toggle {toggle!r}; the variants differ in "
                f"{', '.join(known) or 'nothing'}{nearest(toggle, known)}"
            )
    made = []
    for names in _homes(found).values():
        ours = {
            name: found[name]
            for name in names
            if all(found[name].levels.get(t) in toggles[t] for t in toggles)
        }
        if ours:
            made.append(_factorial(ours, toggles))
            effects.aliasing(made[-1].design)  # raises
    if not made:
        words = ", ".join(f"{t}={off},{on}" for t, (off, on) in toggles.items())
        raise ConfigError(f"no variant has toggles at these levels: {words}.")
    return made


def _factorial(
    ours: Mapping[str, Setting], levels: Mapping[str, tuple[str, str]]
) -> Factorial:
    rows = [
        [
            1 if setting.levels[toggle] == on else -1
            for toggle, (_, on) in levels.items()
        ]
        for setting in ours.values()
    ]
    return Factorial(
        next(iter(ours.values())).algorithm,
        Design(tuple(levels), np.array(rows, int).reshape(len(ours), -1)),
        tuple(ours),
        {toggle: (on, off) for toggle, (off, on) in levels.items()},
    )


def alike(found: Sequence[Contrast]) -> Iterator[tuple[Contrast, Contrast]]:
    """Pairs of contrasts of one toggle at the same levels, of two algorithms."""
    for first, second in itertools.combinations(found, 2):
        if first[1:3] == second[1:3] and first.algorithm != second.algorithm:
            yield first, second
