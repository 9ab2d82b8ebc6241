"""Every point of the seven factors: which have a meaning, and why the others have none.

A point is a class for each factor. `complete` chooses all else, numbers and data among
it, so that the point is legal if any choice makes it so; the rules are legality's.
"""

import collections
import functools
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from coadapt import algorithms, legality, taxonomy
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


class Point(NamedTuple):
    """A class of each factor's union; of a parametric pi_q, that of its gradient."""

    pi_q: type
    pi_p: type
    pi_q_update: type
    pi_p_update: type
    g: type
    g_estimate: type
    pi_theta: type


FACTORS: Mapping[str, tuple[type, ...]] = {
    "pi_q": (pi_q.NonParametric, pi_q.Episodic, pi_q.Pathwise, pi_q.LikelihoodRatio),
    "pi_p": typing.get_args(pi_p.PiP),
    "pi_q_update": typing.get_args(pi_q_update.PiQUpdate),
    "pi_p_update": typing.get_args(pi_p_update.PiPUpdate),
    "g": typing.get_args(g.G),
    "g_estimate": typing.get_args(g_estimate.GEstimate),
    "pi_theta": typing.get_args(pi_theta.PiTheta),
}


def points() -> Iterator[Point]:
    """The whole product, pi_theta fastest."""
    yield from itertools.starmap(Point, itertools.product(*FACTORS.values()))


def point_of(config: Config) -> Point:
    """The classes of a config's factors."""
    posterior = config.pi_q
    if isinstance(posterior, pi_q.Parametric):
        posterior = posterior.gradient
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
    made = {name: _part(name, point) for name in Point._fields}
    data = _data(point)
    return Config(
        **made,
        bounds=_bounds(point),
        target=Target(critic=Soft() if _one_step(point) else None),
        data=data,
        schedule=_schedule(point, data),
    )


def _part(name: str, point: Point) -> Any:
    kind = getattr(point, name)
    return CHOICES[kind](point) if kind in CHOICES else kind()


def _weights(point: Point) -> pi_q.NonParametric:
    """Among the actions of a state, where the prior has several.

    In standard deviations, so that a temperature of 1 suits any task, but where the
    temperature is in units of G or cancels.
    """
    fresh = point.pi_p is pi_p.Policy
    own_units = point.g is g.LogQ or point.g_estimate is g_estimate.DualValue
    return pi_q.NonParametric(
        normalize="state" if fresh else "batch", standardize=not own_units
    )


def _analytic(point: Point) -> pi_q_update.Analytic:
    if point.g_estimate is g_estimate.DualValue:
        return pi_q_update.Analytic(temperature=pi_q_update.DualTemperature())
    return pi_q_update.Analytic()


def _gradient(point: Point) -> pi_q_update.Gradient:
    rules = {
        pi_p.Uniform: pi_q_update.EntropyTemperature(),
        pi_p.Ignored: pi_q_update.ConstantTemperature(value=0.0),
    }
    return pi_q_update.Gradient(
        temperature=rules.get(point.pi_p, pi_q_update.ConstantTemperature(value=0.1)),
        divergence=pi_q_update.MMD() if _by_samples(point) else pi_q_update.KL(),
    )


def _by_samples(point: Point) -> bool:
    """Whether the policy, without a density, is compared with a prior."""
    others = point.pi_p is pi_p.Behavior
    return others and point.pi_theta is pi_theta.Deterministic


def _gaussian(point: Point) -> pi_theta.Gaussian:
    """A regression has no std that a network puts out."""
    regression = point.pi_p_update is pi_p_update.ClosedForm
    scale = pi_theta.LearnedLogStd() if regression else pi_theta.StateSoftplusStd()
    return pi_theta.Gaussian(scale=scale)


# what a class needs to be told of the others; all else is as its class says
CHOICES: Mapping[type, Callable[[Point], Any]] = {
    pi_q.NonParametric: _weights,
    pi_q.Episodic: lambda _: pi_q.Episodic(standardize=True),
    pi_q.Pathwise: lambda _: pi_q.Parametric(gradient=pi_q.Pathwise()),
    pi_q.LikelihoodRatio: lambda _: pi_q.Parametric(gradient=pi_q.LikelihoodRatio()),
    pi_p.Policy: lambda _: pi_p.Policy(states="current"),
    pi_p.Behavior: lambda point: pi_p.Behavior(
        model=pi_p.VAE() if _by_samples(point) else pi_p.Clone()
    ),
    pi_q_update.Analytic: _analytic,
    pi_q_update.Gradient: _gradient,
    pi_theta.Gaussian: _gaussian,
    pi_theta.Softmax: lambda _: pi_theta.Softmax(bins=11),
}


def _bounds(point: Point) -> BoundLoss | None:
    """Of a distribution that may leave the box, where a gradient can keep it in."""
    regression = point.pi_p_update is pi_p_update.ClosedForm
    return (
        BoundLoss() if point.pi_theta is pi_theta.Gaussian and not regression else None
    )


def _one_step(point: Point) -> bool:
    return point.g_estimate in typing.get_args(g_estimate.OneStep)


# steps that are one on all of an iteration's data
_AT_ONCE = (pi_q_update.NaturalGradient, pi_p_update.ClosedForm)


def _at_once(point: Point) -> bool:
    return not _one_step(point) and any(kind in point for kind in _AT_ONCE)


def _data(point: Point) -> Data:
    if point.pi_p is pi_p.Behavior:
        return Offline()
    if _one_step(point):
        return Replay()
    if point.pi_p is pi_p.Mixture:
        batch = 1500 if _at_once(point) else 256
        return Trajectories(batch=batch, drop_last=False)
    return Rollout(policy_batch=2048) if _at_once(point) else Rollout()


PASSES = 10  # over an iteration's data, where there are iterations


def _schedule(point: Point, data: Data) -> Schedule:
    if isinstance(data, Replay | Offline):
        return Schedule()
    steps = PASSES * data.steps // data.batch
    learned = point.g is g.Advantage and point.g_estimate is not g_estimate.DualValue
    return Schedule(
        critic_steps=steps if learned else 0,
        policy_steps=1 if _at_once(point) else steps,
    )


# ---------------------------------------------------------------- the rules' answer


def verdict(point: Point) -> str | None:
    """None if the point has a meaning; else the sentence that refuses it."""
    try:
        legality.check_meaning(complete(point))
    except ConfigError as error:
        return str(error)
    return None


@functools.cache
def verdicts() -> Mapping[Point, str | None]:
    """Of the whole product, in its order."""
    return {point: verdict(point) for point in points()}


def legal() -> list[Point]:
    """All points that have a meaning."""
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
    gradient = kind in (pi_q.Pathwise, pi_q.LikelihoodRatio)
    return f"{name}.gradient={kind.__name__}" if gradient else f"{name}={kind.__name__}"


TABLES = {"matrix": matrix, "refusals": refusals}


def report(style: str) -> str:
    """The counts and both tables, as 'text' or 'markdown'; the matrix alone as 'csv'.

    Raises: ConfigError for another style.
    """
    if style == "csv":
        return taxonomy.render(matrix(), style)
    known, methods = legal(), _methods()
    places = len(set(methods.values()))
    counts = (
        f"{len(known)} of {len(verdicts())} points have a meaning. The {len(methods)} "
        f"methods of Table 1 are at {places} of them; {len(known) - places} have no "
        "name."
    )
    return "\n\n".join(
        [counts, *(taxonomy.render(table(), style) for table in TABLES.values())]
    )
