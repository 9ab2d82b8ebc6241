"""Which points of the seven factors are valid: all others are refused.

A rule says what a field must be, given another, and why. What a class needs of those
that it stands beside, it says itself (`factors.rules`): first which classes fit, factor
by factor, then what their fields may be. Here stand the rules on data, copies and the
schedule, which are no factor's own.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from coadapt import schema
from coadapt.config import Config
from coadapt.factors.rules import Need, Refusal, critics
from coadapt.schema import ConfigError


def check(config: Config) -> None:
    """Refuse a config that is ill-typed or is not valid, before anything starts.

    Raises:
        ConfigError: one sentence: the field, what came, what is allowed and why.
    """
    schema.must_be(config, Config, "the config", "a Config")
    schema.validate(config)
    for path, value in schema.paths(config):
        numbers = value if isinstance(value, tuple) else (value,)
        _require(
            all(not isinstance(n, int) or abs(n) < 2**31 for n in numbers),
            path,
            schema.shown(value),
            "it must be below 2^31, as it meets numbers of int32",
        )
    check_combination(config)


def check_combination(config: Config) -> None:
    """As `check`, of a config that is known to be well typed: many, in little time.

    Raises: ConfigError.
    """
    _check_estimate(config)
    parts = list(_parts(config))
    for path, part in parts:
        _hold(config, path, part, part.needs(config))
    for path, part in parts:
        _hold(config, path, part, part.limits(config))
    for rule in (
        _schedule,
        _targets,
        _environments,
        _one_environment,
        _numbers,
        _networks,
        _replay,
    ):
        for refusal in rule(config):
            _require(False, *refusal)


def _require(holds: bool, field: str, came: object, reason: str) -> None:
    if not holds:
        raise ConfigError(f"{field} is {came}: {reason}.")


def _name(value: object) -> str:
    return "none" if value is None else type(value).__name__


def _either(names: list[str]) -> str:
    """'A', 'A or B', 'A, B or C'."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


# ---------------------------------------------------------------- what factors need

# whose rules come first: the objective's, then how it is reached
_ORDER = (
    "g", "pi_q", "pi_p_update", "g_estimate", "pi_p", "pi_q_update", "pi_theta",
    "bounds", "critic", "exploration",
)  # fmt: skip


def _parts(config: Config) -> Iterator[tuple[str, Any]]:
    """The factors and their own parts that have rules, with their paths."""
    for name in _ORDER:
        yield from _below(name, getattr(config, name))


def _below(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(part, "needs"):
        yield path, part
    for name in _subtrees(type(part)):
        yield from _below(f"{path}.{name}", getattr(part, name))


@functools.cache
def _subtrees(kind: type) -> tuple[str, ...]:
    if not dataclasses.is_dataclass(kind):
        return ()
    return tuple(f.name for f in schema.fields(kind) if f.kind == "subtree")


def _hold(
    config: Config, path: str, part: Any, rules: Iterator[Need | Refusal]
) -> None:
    for rule in rules:
        if isinstance(rule, Refusal):
            _require(False, *rule)
        else:
            _fit(config, f"{path}={_name(part)}", rule)


def _fit(config: Config, given: str, need: Need) -> None:
    """What stands at the need's field must fit, because of what is given."""
    *parents, name = need.field.split(".")
    parent: Any = functools.reduce(getattr, parents, config)
    value = getattr(parent, name)
    if need.fits(value):
        return
    allowed = _either(_fitting(type(parent), name, need.fits))
    why = f"{need.reason}, so with {given} it must be {allowed}"
    _require(False, need.field, _name(value), why)


def _fitting(kind: type, name: str, fits: Callable[[Any], bool]) -> list[str]:
    """The names of the classes at a field that fit."""
    return [type(one).__name__ for one in _examples(kind, name) if fits(one)]


@functools.cache
def _examples(kind: type, name: str) -> tuple[Any, ...]:
    """One of each class that a field may hold."""
    (field,) = (f for f in schema.fields(kind) if f.name == name)
    return tuple(cls() for cls in field.classes)


def _check_estimate(config: Config) -> None:
    """What each estimate gives."""
    estimate, g = config.g_estimate, config.g
    if estimate.estimates(g):
        return
    allowed = _either(_fitting(Config, "g", estimate.estimates))
    others = _either(_fitting(Config, "g_estimate", lambda other: other.estimates(g)))
    _require(
        False,
        "g_estimate",
        _name(estimate),
        f"it estimates {allowed}, and g is {_name(g)}, which needs {others}",
    )


# ---------------------------------------------------------------- all that is no factor


def _schedule(config: Config) -> Iterator[Refusal]:
    free = not config.g_estimate.by_gradient or not critics(config)
    schedule, steps = config.schedule, config.schedule.critic_steps
    if free != (steps == 0):
        yield Refusal(
            "schedule.critic_steps",
            steps,
            f"with g={_name(config.g)} and g_estimate={_name(config.g_estimate)} "
            + ("no critic is fitted by SG, so it must be 0" if free else
               "a critic is fitted by SG, so it must be 1 or more"),
        )  # fmt: skip
    if schedule.simultaneous and not config.g_estimate.one_step:
        reason = "with sequences the policy's steps follow all of the critic's"
        yield Refusal("schedule.simultaneous", True, reason)
    warm, field = schedule.warm_start, "schedule.warm_start"
    if warm and not config.pi_p.by_others:
        reason = "it pulls the policy to the model of pi_p=Behavior; else it must be 0"
        yield Refusal(field, warm, reason)
    if warm and config.pi_q_update.temperature.given == 0:  # type: ignore[union-attr]
        reason = "a temperature of 0 pulls to nothing, so it must be 0"
        yield Refusal(field, warm, reason)


def _targets(config: Config) -> Iterator[Refusal]:
    """The slow copies, and who acts."""
    trust, one_step = config.pi_p_update.reads_prior, config.g_estimate.one_step
    policy, critic = config.target.policy, config.target.critic
    if trust and one_step and policy is None:
        reason = "a trust region is measured from the target policy; use Hard or Soft"
        yield Refusal("target.policy", None, reason)
    if config.data.newest and policy is not None:
        yield Refusal(
            "target.policy",
            _name(policy),
            f"with data={_name(config.data)} the prior is the policy at the start of "
            "an iteration, so it must be none",
        )
    if not one_step and not trust and policy is not None:
        reason = "along sequences only a trust region uses it, so it must be"
        yield Refusal("target.policy", _name(policy), f"{reason} none")
    if not one_step and critic is not None:
        reason = "sums along sequences bootstrap from the critic itself, so it must be"
        yield Refusal("target.critic", _name(critic), f"{reason} none")
    if config.target.each_step and critic is None:
        reason = "no copy of the critics is kept, so it must be false"
        yield Refusal("target.each_step", True, reason)
    if config.eval_policy.scored and not (critics(config) and config.g.reads_action):
        reason = "it compares actions by an action value's critic; use Mode or Sampled"
        yield Refusal("eval_policy", _name(config.eval_policy), reason)


def _replay(config: Config) -> Iterator[Refusal]:
    """What a replay begins with, and what is counted of rewards."""
    data, rule = config.data, config.reward
    begins, acts = bool(data.begins_with), data.stored
    if data.draws.two_sources and not begins:
        reason = "half of each minibatch is of a data set, which data.prefill must name"
        yield Refusal("data.sampling", _name(data.draws), reason)
    if not begins and data.pretrain_updates:
        reason = (
            "before the first env step there is nothing to learn from but a data set, "
            "which data.prefill must name, so it must be 0"
        )
        yield Refusal("data.pretrain_updates", data.pretrain_updates, reason)
    if begins and config.g_estimate.reads_log_prob:
        reason = "a data set does not say how likely its actions were, so it must be ''"
        yield Refusal("data.prefill", repr(data.begins_with), reason)
    if begins and rule is not None and rule.on_arrival:
        reason = (
            "it scales rewards as they arrive, which those of data.prefill never did; "
            "use BoundReward, which scales what is read, or ClipReward"
        )
        yield Refusal("reward", _name(rule), reason)
    if rule is not None and rule.counts and not acts:
        reason = (
            "it counts rewards as they arrive, and a data set has none; use ClipReward"
        )
        yield Refusal("reward", _name(rule), reason)


def _networks(config: Config) -> Iterator[Refusal]:
    """Where a network that its gradient steps alone keep as it has to be is valid."""
    estimate = config.g_estimate
    for name in ("policy", "critic"):
        net = getattr(config.networks, name)
        if net.drops or net.of_batch:
            what = "dropout" if net.drops else "norm"
            field, came = f"networks.{name}.{what}", getattr(net, what, None)
            came = came if net.drops else _name(came)
            yield from _of_learning_passes(config, field, came)
            for found in _without_learning_passes(config, name):
                reason = f"{found}, but not in training mode, so it must be none"
                yield Refusal(field, came, reason)
        for found in _without_learning_passes(config, name):
            if net.projects:
                reason = f"{found}, which nothing projects; use MLP, SimBa or BroNet"
                yield Refusal(f"networks.{name}", _name(net), reason)
            if net.iterates:
                reason = f"{found}, but not in training mode, so it must be"
                yield Refusal(
                    f"networks.{name}.parametrization",
                    "'spectral_norm'",
                    f"{reason} 'plain' or 'weight_norm'",
                )
        if net.of_batch and estimate.length > 1:
            yield Refusal(
                f"networks.{name}.norm",
                _name(getattr(net, "norm", None)),
                "moments of a batch need single transitions, and g_estimate="
                f"{_name(estimate)} reads {estimate.length} consecutive steps",
            )


def _of_learning_passes(config: Config, field: str, came: object) -> Iterator[Refusal]:
    """A network that learns otherwise than it acts."""
    if not config.g_estimate.one_step:
        reason = (
            "the forward pass of an update differs from the one that acted, so ratios "
            "and returns along sequences would be of another policy; use an estimate "
            "of single transitions (TD0 or Retrace), or none"
        )
        yield Refusal(field, came, reason)


def _without_learning_passes(config: Config, name: str) -> Iterator[str]:
    """What finds the weights of a network of this kind by other steps than its own."""
    prior, update, step = config.pi_p, config.pi_q_update, config.pi_p_update
    if name == "policy" and prior.like_policy:
        yield f"the model that pi_p={_name(prior)} fits has a network like it"
    if name == "policy" and step.closed_form:
        yield f"pi_p_update={_name(step)} solves for its output layer"
    if name == "critic" and update.by_network:
        kind = _name(update.divergence)  # type: ignore[union-attr]
        yield f"pi_q_update.divergence={kind} fits a network like it"
    if name == "critic" and critics(config) and not config.g_estimate.by_gradient:
        yield f"g_estimate={_name(config.g_estimate)} solves for its weights"


def _environments(config: Config) -> Iterator[Refusal]:
    """How many an agent has, beside what is counted over all of them."""
    data = config.data
    if data.update_every % data.envs and (data.newest or data.envs % data.update_every):
        before = data.update_every // data.envs * data.envs
        near = [str(n) for n in (before, before + data.envs) if n]
        reason = "" if data.newest else "divide it, or "
        yield Refusal(
            "data.update_every",
            data.update_every,
            f"the environments of an agent step together, and data.envs is "
            f"{data.envs}, so it must {reason}be a multiple of it, such as "
            f"{_either(near)}",
        )
    if data.stored and data.capacity < data.envs:  # type: ignore[union-attr]
        yield Refusal(
            "data.capacity",
            data.capacity,  # type: ignore[union-attr]
            f"each environment holds a share, so it must be at least data.envs, which "
            f"is {data.envs}",
        )


def _one_environment(config: Config) -> Iterator[Refusal]:
    """A replay that begins with a data set."""
    data = config.data
    if data.envs == 1:
        return
    reason = (
        f"data.envs is {data.envs}, but a replay that begins with a data set has one "
        "environment, so it must be"
    )
    if data.draws.two_sources:
        others = "UniformSampling, PrioritizedSampling or RecentSampling"
        yield Refusal("data.sampling", _name(data.draws), f"{reason} {others}")
    if data.begins_with:
        yield Refusal("data.prefill", repr(data.begins_with), f"{reason} ''")


def _numbers(config: Config) -> Iterator[Refusal]:
    data = config.data
    if data.stored and data.capacity < data.batch_size:  # type: ignore[union-attr]
        yield Refusal(
            "data.update_every" if data.newest else "data.capacity",
            data.capacity,  # type: ignore[union-attr]
            f"it must be at least data.batch_size, which is {data.batch_size}",
        )
    if data.policy_rows != data.batch_size and data.policy_rows > data.update_every:
        reason = f"it must be at most data.update_every, which is {data.update_every}"
        yield Refusal("data.policy_batch_size", data.policy_rows, reason)
