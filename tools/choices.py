"""Which choice is valid with which preset, and which fields share a program.

A choice is a class, or a value, of a field. The classes of the seven factors themselves
are left to docs/hybrids.md, and so is the kind of data. Configs are made and held
against the rules; nothing is compiled.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmarks import traced
from coadapt import algorithms, schema, taxonomy
from coadapt.config import Config
from coadapt.schema import ConfigError, UnknownFieldError
from coadapt.validation import config_rules, design_space

# fields of one kind: a choice is made in all of them at once
TIED = {"networks": ("policy", "critic"), "optim": ("policy", "critic", "dual")}
SEVEN = (*design_space.UNIONS, "data")
SET = "someone/some-set-v0"  # a data set's name; none is read

# numbers and names that are choices, each by one value
VALUES: dict[str, object] = {
    "g_estimate.critics": 10,
    "g_estimate.samples": 4,
    "g_estimate.steps": 5,
    "g.baseline": 4,
    "pi_q.gradient.samples": 4,
    "pi_q.gradient.noise_limit": 0.5,
    "networks.*.dropout": 0.1,
    "data.envs": 4,
    "data.prefill": SET,
    "data.pretrain_updates": 1000,
    "schedule.critic_steps": 20,
    "schedule.policy_steps": 2,
    "schedule.warm_start": 1000,
}
# what a choice needs beside it, wherever it stands
WITH: dict[str, dict[str, object]] = {
    "g_estimate.ensemble": {"g_estimate.critics": 10},
    "g_estimate.ensemble=Truncated": {"critic.head": "Quantiles"},
    "g.over_value=true": {"g_estimate.value": "Expectile"},
    "g_estimate.over=max": {"g_estimate.samples": 4},
    "data.sampling=SymmetricSampling": {"data.prefill": SET},
    "data.pretrain_updates=1000": {"data.prefill": SET},
}


class Choice(NamedTuple):
    """A value at a path, and the classes that the path needs before it."""

    at: str  # 'networks.*.norm'; '*': in each of TIED
    value: object
    parents: tuple[tuple[str, object], ...] = ()

    @property
    def said(self) -> str:
        """The value as `--set` takes it."""
        if self.value is None:
            return "none"
        return (
            str(self.value).lower() if isinstance(self.value, bool) else str(self.value)
        )

    @property
    def changes(self) -> dict[str, object]:
        """In the order in which they are made."""
        more = WITH.get(self.at, {}) | WITH.get(f"{self.at}={self.said}", {})
        own = {
            _all(path): value for path, value in (*self.parents, (self.at, self.value))
        }
        return more | own


def _all(at: str) -> str:
    """'networks.policy.norm+networks.critic.norm' of 'networks.*.norm'."""
    family, star, rest = at.partition(".*")
    return "+".join(f"{family}.{n}{rest}" for n in TIED[family]) if star else at


# ---------------------------------------------------------------- what there is


def walk(
    cls: type = Config, at: str = "", parents: tuple = ()
) -> Iterator[tuple[str, schema.Field, type, tuple]]:
    """Each field that there may be: its path, itself, its class, what leads there."""
    for field in schema.fields(cls):
        path = _starred(at, field.name)
        if path is None:
            continue
        yield path, field, cls, parents
        many = len(field.classes) > 1 or field.allowed.endswith(" or None")
        for kind in field.classes:
            own = ((path, kind.__name__),) * (many and path not in SEVEN)
            yield from walk(kind, f"{path}.", parents + own)


def _starred(at: str, name: str) -> str | None:
    """The path of a field; None, where another of its kind stands for it."""
    first, *others = TIED.get(at.removesuffix("."), ("",))
    if name in (*others, "prior"):
        return None
    return f"{at}*" if name == first else f"{at}{name}"


@functools.cache
def choices() -> tuple[Choice, ...]:
    """In the order of Config, each once."""
    found = {
        (path, str(value)): Choice(path, value, parents)
        for path, field, _, parents in reversed(list(walk()))
        for value in reversed(_values(path, field))
    }
    return tuple(reversed(found.values()))


def _values(path: str, field: schema.Field) -> list[object]:
    if path in VALUES:
        return [VALUES[path]]
    none: list[object] = [None] * field.allowed.endswith(" or None")
    if path not in SEVEN and len(field.classes) + len(none) > 1:
        return [kind.__name__ for kind in field.classes] + none
    if field.allowed == "true or false":
        return [True, False]
    return list(re.findall(r"'([^']*)'", field.allowed))


# ---------------------------------------------------------------- whether it is legal


def made(choice: Choice, preset: str) -> Config:
    """The preset with the choice. Raises: ConfigError, where it is not valid."""
    config = algorithms.preset(preset)
    for path, value in choice.changes.items():
        config = schema.override(config, {path: value})
    config_rules.check_combination(config)
    return config


def refusal(choice: Choice, preset: str) -> str | None:
    """None if the preset with the choice is valid; else why not, shortened."""
    try:
        made(choice, preset)
    except UnknownFieldError as error:
        owner = error.fact.partition(" is not a field of ")[2].partition(" (")[0]
        return f"{_LACKS}{owner}"
    except ConfigError as error:
        return _why(str(error))
    return None


_LACKS = "there is no such field in "


def _why(sentence: str) -> str:
    """A refusal without what came."""
    sentence = sentence.partition("; did you mean")[0].removesuffix(".")
    field, _, reason = sentence.partition(": ")
    return reason or f"it {field.partition(', but ')[2]}"


@functools.cache
def refusals(choice: Choice) -> Mapping[str, tuple[str, ...]]:
    """Of each reason, the presets that it refuses the choice to."""
    found: dict[str, tuple[str, ...]] = {}
    for name in algorithms.PRESETS:
        why = refusal(choice, name)
        if why is not None:
            found[why] = (*found.get(why, ()), name)
    lacking = [why for why in found if why.startswith(_LACKS)]
    if lacking:
        owners = ", ".join(why.removeprefix(_LACKS) for why in lacking)
        names = [name for why in lacking for name in found.pop(why)]
        found[_LACKS + owners] = tuple(n for n in algorithms.PRESETS if n in names)
    return found


# ---------------------------------------------------------------- what is printed


def groups() -> list[tuple[str, list[Choice]]]:
    """Choices of a path that the same presets take, for the same reasons.

    One below a class that is refused to the same presets is left out.
    """
    found: dict[tuple, list[Choice]] = {}
    for choice in choices():
        refused = tuple(refusals(choice).items())
        if choice.parents and refused:
            *before, (path, value) = choice.parents
            if refused == tuple(refusals(Choice(path, value, tuple(before))).items()):
                continue
        found.setdefault((choice.at, refused), []).append(choice)
    return [(at, alike) for (at, _), alike in found.items()]


def anywhere() -> list[taxonomy.Row]:
    """What every preset takes, by path."""
    return [
        {"field": f"`{at}`", "values": _values_of(alike)}
        for at, alike in groups()
        if not refusals(alike[0])
    ]


def somewhere() -> list[str]:
    """Lines of what some presets take, and why the others do not."""
    lines = []
    for at, alike in groups():
        reasons = refusals(alike[0])
        refused = {name for names in reasons.values() for name in names}
        legal = [name for name in algorithms.PRESETS if name not in refused]
        if reasons:
            said = ", ".join(legal) or "none of them"
            lines.append(f"* `{at}` {_values_of(alike)}: {said}. {_reasons(reasons)}")
    return lines


def _values_of(alike: list[Choice]) -> str:
    return ", ".join(dict.fromkeys(f"`{choice.said}`" for choice in alike))


def _reasons(reasons: Mapping[str, tuple[str, ...]]) -> str:
    """One alone; of several whose each is, but for those that lack the field."""
    if len(reasons) == 1:
        return f"Not the others: {next(iter(reasons))}."
    parts = [
        f"{'others' if why.startswith(_LACKS) else ', '.join(names)}: {why}"
        for why, names in reasons.items()
    ]
    return f"Not {'; not '.join(parts)}."


def shared() -> list[taxonomy.Row]:
    """Of each group of fields, which are traced, and which are the program."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for path, field, cls, _ in walk():
        at, _, name = path.rpartition(".")
        row = found.setdefault(at, {"of": {}, "traced": {}, "program": {}})
        row["of"][cls.__name__] = None
        row["traced" if field.kind == "traced" else "program"][name] = None
    return [
        {
            "at": f"`{at}`" if at else "",
            "of": ", ".join(row["of"]),
            "traced": ", ".join(row["traced"]),
            "static": ", ".join(row["program"]),
        }
        for at, row in found.items()
    ]


def page() -> str:
    """docs/choices.md."""
    parts = [
        "# Choices",
        "Generated by `python -m tools.reference`; a test compares it with the code. "
        "For each class and value of a field: the presets with which it is valid, and "
        "the error message with the others. [Hybrids](hybrids.md) has the classes of "
        "the seven factors, [Config](config.md) fields and defaults.",
        "`networks.*` stands for the networks of policy and critics, changed together; "
        "`optim.*` for the optimisers of policy, critics and multipliers. What a "
        "choice requires is set too: ten critics with an ensemble, `Quantiles` with "
        f"`Truncated`, `data.prefill={SET}` with `SymmetricSampling` and with updates "
        "before the first step. A field of a class is left out if the same presets "
        "refuse it and its class.",
        "## With every preset",
        taxonomy.render(anywhere(), "markdown"),
        "## With some presets",
        "\n".join(somewhere()),
        "## Traced or static",
        "Variants that differ only in traced fields share a compiled program. Each "
        "value of a static field, and each class, is compiled separately.",
        taxonomy.render(shared(), "markdown"),
        "### What a traced choice costs",
        "A program with a traced choice computes it for all of its agents, including "
        "those with a value that changes nothing. The table has an update's CPU time "
        "in such a program over that in a program without the choice: medians of "
        "alternating rounds, with an interval that has the true median with 95% or "
        f"more ({traced.AGENTS} agents, HalfCheetah's shapes, minibatches of the "
        "preset, networks of the sizes above each column, one thread). A separate "
        "program costs some 7.5 s to compile for SAC, 10 s for MPO "
        "([Benchmarks](benchmarks.md#static-or-traced)). Numbers that every program "
        "reads, such as a rate or a discount, cost nothing. Consecutive steps are what "
        "is expensive: set `n_step.most` no larger than the largest n.",
        "```\npython -m benchmarks.traced --only=64,64 --write\n```",
        taxonomy.render(traced.table(), "markdown"),
    ]
    return "\n\n".join(parts) + "\n"
