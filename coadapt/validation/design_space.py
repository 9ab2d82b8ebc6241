"""Every point of the seven factors: which are valid, and why the others are not.

A point is a class for each factor. `complete` chooses all else, numbers and data among
it, so that the point is valid if any choice makes it so, by the rules of config_rules.
"""

import collections
import functools
import itertools
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from coadapt import algorithms, schema, taxonomy
from coadapt.config import (
    BoundLoss,
    Config,
    Data,
    Offline,
    Replay,
    Rollout,
    Schedule,
    Soft,
    Target,
    Trajectories,
)
from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.schema import ConfigError
from coadapt.validation import config_rules


class Point(NamedTuple):
    """A class of each factor's union; of a parametric pi_q, that of its gradient."""

    pi_q: Any
    pi_p: Any
    pi_q_update: Any
    pi_p_update: Any
    g: Any
    g_estimate: Any
    pi_theta: Any


def _kinds(union: Any) -> tuple[type, ...]:
    """The classes of a union; of a parametric pi_q, those of its gradient."""
    return tuple(
        kind for cls in typing.get_args(union) for kind in _gradients(cls) or (cls,)
    )


def _gradients(cls: Any) -> tuple[type, ...]:
    return next((f.classes for f in schema.fields(cls) if f.name == "gradient"), ())


UNIONS: Mapping[str, Any] = {
    "pi_q": pi_q.PiQ,
    "pi_p": pi_p.PiP,
    "pi_q_update": pi_q_update.PiQUpdate,
    "pi_p_update": pi_p_update.PiPUpdate,
    "g": g.G,
    "g_estimate": g_estimate.GEstimate,
    "pi_theta": pi_theta.PiTheta,
}
FACTORS: Mapping[str, tuple[type, ...]] = {
    name: _kinds(union) for name, union in UNIONS.items()
}


def points() -> Iterator[Point]:
    """The whole product, pi_theta fastest."""
    yield from itertools.starmap(Point, itertools.product(*FACTORS.values()))


def point_of(config: Config) -> Point:
    """The classes of a config's factors."""
    posterior = getattr(config.pi_q, "gradient", config.pi_q)
    others = (getattr(config, name) for name in Point._fields[1:])
    return Point(type(posterior), *map(type, others))


def named() -> dict[str, Point]:
    """The points of the paper's methods, in the order of Table 1."""
    return {name: point_of(algorithms.preset(name)) for name in algorithms.TABLE1}


# ---------------------------------------------------------------- all that is no class


def complete(point: Point) -> Config:
    """A config of these classes, on continuous tasks, legal if any of them is.

    A data set (data.dataset, with pi_p=Behavior) is left for the caller to name.
    """
    made: dict[str, Any] = {name: getattr(point, name).at(point) for name in FACTORS}
    data = _data(point)
    return Config(
        **made,
        bounds=_bounds(point),
        target=Target(critic=Soft() if point.g_estimate.one_step else None),
        data=data,
        schedule=_schedule(point, data),
    )


def _bounds(point: Point) -> BoundLoss | None:
    """Of a distribution that may leave the box, where a gradient can keep it in."""
    free = not point.pi_theta.bounded and not point.pi_p_update.closed_form
    return BoundLoss() if free else None


def _at_once(point: Point) -> bool:
    """Whether a step of the policy's is one on all of an iteration's data."""
    whole = point.pi_q_update.own_length or point.pi_p_update.closed_form
    return whole and not point.g_estimate.one_step


def _data(point: Point) -> Data:
    if point.pi_p.by_others:
        return Offline()
    if point.g_estimate.one_step:
        return Replay()
    if point.pi_p.past_policies:
        batch = 1500 if _at_once(point) else 256
        return Trajectories(batch_size=batch, drop_last=False)
    return Rollout(policy_batch_size=2048) if _at_once(point) else Rollout()


PASSES = 10  # over an iteration's data, where there are iterations


def _schedule(point: Point, data: Data) -> Schedule:
    if not data.in_order:
        return Schedule()
    steps = PASSES * data.update_every // data.batch_size
    learned = not point.g.reads_action and point.g_estimate.by_gradient
    return Schedule(
        critic_steps=steps if learned else 0,
        policy_steps=1 if _at_once(point) else steps,
    )


# ---------------------------------------------------------------- the rules' answer


def verdict(point: Point) -> str | None:
    """None if the point is valid; else the sentence that refuses it."""
    try:
        config_rules.check_combination(complete(point))
    except ConfigError as error:
        return str(error)
    return None


@functools.cache
def verdicts() -> Mapping[Point, str | None]:
    """Of the whole product, in its order."""
    return {point: verdict(point) for point in points()}


def legal() -> list[Point]:
    """All points that are valid."""
    return [point for point, reason in verdicts().items() if reason is None]


# ---------------------------------------------------------------- what is printed

_LABELS = {
    "pi_q": "pi_q",
    "pi_q_update": "pi_q update",
    "pi_p": "pi_p",
    "pi_p_update": "pi_p update",
}


def matrix() -> list[taxonomy.Row]:
    """A row for each way to update the policies, a column for each G and estimate.

    A cell has the initials of the pi_theta that are legal there, and the methods that
    the paper names.
    """
    found: dict[tuple[type, ...], dict[str, str]] = {}
    columns: dict[str, None] = {}
    for point in legal():
        column = f"{point.g.__name__} {point.g_estimate.__name__}"
        cells = found.setdefault(_row(point), {})
        cells[column] = cells.get(column, "") + point.pi_theta.__name__[0]
        columns[column] = None
    for method, point in _methods().items():
        column = f"{point.g.__name__} {point.g_estimate.__name__}"
        cell = found[_row(point)][column]
        found[_row(point)][column] = f"{cell}{',' if ':' in cell else ':'} {method}"
    order = sorted(columns, key=_order)
    return [
        {
            label: kind.__name__
            for label, kind in zip(_LABELS.values(), row, strict=True)
        }
        | {column: cells.get(column, "-") for column in order}
        for row, cells in found.items()
    ]


def _row(point: Point) -> tuple[type, ...]:
    return tuple(getattr(point, name) for name in _LABELS)


def _order(column: str) -> tuple[int, int]:
    """Of a column: that of the unions."""
    names = (column.split()[i] for i in (0, 1))
    unions = (FACTORS["g"], FACTORS["g_estimate"])
    first, second = (
        [kind.__name__ for kind in union].index(name)
        for name, union in zip(names, unions, strict=True)
    )
    return first, second


def _methods() -> dict[str, Point]:
    """As the paper writes them."""
    names = [row["method"] for row in taxonomy.table1()]
    return dict(zip(names, named().values(), strict=True))


def refusals() -> list[taxonomy.Row]:
    """A row for each reason: the field, how many points it refuses, and an example."""
    counts = collections.Counter(_reason(v) for v in verdicts().values() if v)
    examples = _examples(set(counts))
    return [
        {
            "field": field,
            "points": str(number),
            "reason": reason,
            "example": examples[field, reason],
        }
        for (field, reason), number in counts.most_common()
    ]


def _reason(sentence: str) -> tuple[str, str]:
    """The field that a sentence refuses, and why, without what came."""
    came, reason = sentence.removesuffix(".").split(": ", 1)
    return came.split(" is ")[0], reason


def _examples(reasons: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Of each reason, a method of the paper's with as few other classes as can be."""
    found: dict[tuple[str, str], str] = {}
    for number in range(1, len(Point._fields) + 1):
        for method, point in _methods().items():
            for names in itertools.combinations(Point._fields, number):
                for kinds in itertools.product(*(FACTORS[name] for name in names)):
                    changes = dict(zip(names, kinds, strict=True))
                    sentence = verdicts()[point._replace(**changes)]
                    if sentence and _reason(sentence) not in found:
                        said = ", ".join(_flag(*change) for change in changes.items())
                        found[_reason(sentence)] = f"{method} with {said}"
        if found.keys() >= reasons:
            break
    return found


def _flag(name: str, kind: type) -> str:
    path = name if kind in typing.get_args(UNIONS[name]) else f"{name}.gradient"
    return f"{path}={kind.__name__}"


TABLES = {"matrix": matrix, "refusals": refusals}


def report(style: str) -> str:
    """The counts and both tables, as 'text' or 'markdown'; the matrix alone as 'csv'.

    Raises:
        ConfigError: for another style.
    """
    if style == "csv":
        return taxonomy.render(matrix(), style)
    known, methods = legal(), _methods()
    places = len(set(methods.values()))
    counts = (
        f"{len(known)} of {len(verdicts())} points are valid. The {len(methods)} "
        f"methods of Table 1 are at {places} of them; {len(known) - places} have no "
        "name."
    )
    return "\n\n".join(
        [counts, *(taxonomy.render(table(), style) for table in TABLES.values())]
    )
