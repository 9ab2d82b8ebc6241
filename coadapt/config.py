"""The configuration of one agent: the seven factors of Table 1, in its order, and more.

A field annotated Scalar, Count or Toggle is traced: variants that differ in it share a
program; all else is part of the program. `jax.tree.structure(config)` is the key.
"""

from typing import Annotated, Literal

from coadapt import schema
from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.networks import Networks
from coadapt.optim import Optim
from coadapt.schema import ConfigError, Fraction, Positive, Range, Scalar, Size, config


@config
class BoundWeights:
    """A second set of E-step weights, for staying in the box, its temperature a dual.

    Source: the authors' MPO (settings 1.3, step 4). Weights then sum to 2 over M.
    """

    epsilon: Positive = 1e-3  # nats
    init: Scalar = 1.0  # of the raw variable
    floor: Literal["project", "clamp"] = "project"  # settings 2.11


@config
class BoundLoss:
    """scale * half the squared distance of the mean from the box. Settings 1.4."""

    scale: Positive = 10.0


@config
class BoundCost:
    """scale * the distance of sampled actions from the box, with its gradient.

    What takes tanh's place in SAC without it (settings 1.7).
    """

    scale: Positive = 1.0


Bounds = BoundWeights | BoundLoss | BoundCost


@config
class Soft:
    """target <- (1 - rate) target + rate online, after every update."""

    rate: Fraction = 5e-3


@config
class Hard:
    """target <- online, every `period` updates."""

    period: Size = 100


@config
class Target:
    """Slowly moving copies of the networks."""

    policy: Hard | Soft | None = None
    critic: Hard | Soft | None = Soft()


@config
class Replay:
    """Uniform minibatches from the transitions of a long past."""

    capacity: Size = 1_000_000  # transitions
    batch: Size = 256
    steps: Size = 1  # env steps from one update to the next
    start: Annotated[int, Range(ge=0)] = 10_000  # env steps before the first update
    warmup: Annotated[int, Range(ge=0)] = 10_000  # env steps of uniform random actions
    # An update runs while the environment takes the step before it, so the newest
    # transition joins from the update after on; False waits for it.
    overlap: bool = True


@config
class Trajectories:
    """Whole episodes, all of them relabelled before each phase of learning."""

    capacity: Size = 50_000  # transitions of finished episodes
    batch: Size = 256
    steps: Size = 3000  # env steps from one iteration to the next
    start: Annotated[int, Range(ge=0)] = 3000  # env steps before the first iteration
    relabel: bool = True  # estimate G anew between the critic's and the policy's phase
    drop_last: bool = True  # leave the last step of each episode out; settings 2.14


Data = Replay | Trajectories


@config
class Schedule:
    """What one update is made of."""

    critic_steps: Size = 1
    policy_steps: Size = 1
    # the policy's step uses the critic as it was before this update's critic step
    # (AWAC), rather than as it is after (SAC)
    simultaneous: bool = False


@config
class Config:
    """One agent, as a value. The presets of coadapt.algorithms are such values."""

    pi_q: pi_q.PiQ
    pi_p: pi_p.PiP
    pi_q_update: pi_q_update.PiQUpdate
    pi_p_update: pi_p_update.PiPUpdate
    g: g.G
    g_estimate: g_estimate.GEstimate
    pi_theta: pi_theta.PiTheta
    networks: Networks = Networks()
    optim: Optim = Optim()
    bounds: Bounds | None = None
    target: Target = Target()
    data: Data = Replay()
    schedule: Schedule = Schedule()


def _require(holds: bool, field: str, came: object, reason: str) -> None:
    if not holds:
        raise ConfigError(f"{field} is {came}: {reason}.")


def check(config: Config) -> None:
    """Refuse a config that is ill-typed or has no meaning, before anything starts.

    Raises: ConfigError, one sentence: the field, what came, what is allowed and why.
    """
    schema.validate(config)
    _check_pi_q(config)
    _check_e_step(config)
    _check_g(config)
    _check_scores(config)
    _check_data(config)
    _check_bounds(config)
    _check_targets(config)


def _name(value: object) -> str:
    return type(value).__name__


def _check_pi_q(config: Config) -> None:
    if isinstance(config.pi_q, pi_q.Parametric):
        needs = (
            ("pi_q_update", pi_q_update.Gradient, "a parametric pi_q is found by SG"),
            ("pi_p", pi_p.Uniform, "KL control holds its prior fixed"),
            ("pi_p_update", pi_p_update.Fixed, "KL control holds its prior fixed"),
            ("data", Replay, "the gradient through Q reads single transitions"),
        )
    else:
        needs = (
            ("pi_q_update", pi_q_update.Analytic, "a non-parametric pi_q is a formula"),
            ("pi_p", (pi_p.Policy, pi_p.Mixture), "the E-step weighs actions of pi_p"),
            ("pi_p_update", pi_p_update.Gradient, "the M-step fits pi_p to pi_q by SG"),
        )
    for field, allowed, reason in needs:
        value = getattr(config, field)
        kinds = allowed if isinstance(allowed, tuple) else (allowed,)
        names = " or ".join(kind.__name__ for kind in kinds)
        why = f"{reason}, so with pi_q={_name(config.pi_q)} it must be {names}"
        _require(isinstance(value, kinds), field, _name(value), why)


def _check_g(config: Config) -> None:
    by_lambda = isinstance(config.g_estimate, g_estimate.TDLambda)
    on_state = isinstance(config.g, g.Advantage)
    estimate = _name(config.g_estimate)
    _require(
        by_lambda == on_state,
        "g_estimate",
        estimate,
        "TDLambda fits the state value of g=Advantage, TD0 and Retrace an action "
        f"value, and g is {_name(config.g)}",
    )
    _require(
        by_lambda == isinstance(config.data, Trajectories),
        "data",
        _name(config.data),
        "TDLambda sums along whole episodes and needs data=Trajectories, TD0 and "
        f"Retrace bootstrap from a copy and need data=Replay; g_estimate is {estimate}",
    )
    soft = isinstance(config.g, g.SoftQ)
    _require(
        not soft or isinstance(config.pi_q, pi_q.Parametric),
        "g",
        "SoftQ",
        "the entropy of Q_soft is a parametric pi_q's, so it needs pi_q=Parametric",
    )


def _check_scores(config: Config) -> None:
    """Whose values score which actions."""
    on_state = isinstance(config.g, g.Advantage)
    expected = isinstance(config.g_estimate, g_estimate.Retrace)
    at_next = isinstance(config.pi_p, pi_p.Policy) and config.pi_p.states == "next"
    _require(
        not expected or isinstance(config.pi_p, pi_p.Policy),
        "g_estimate",
        "Retrace",
        "its expectation runs over the M actions of pi_p=Policy; use TD0",
    )
    _require(
        not at_next or expected,
        "pi_p.states",
        "'next'",
        "the actions at next states are those of g_estimate=Retrace; use 'current'",
    )
    minimum = getattr(config.g_estimate, "minimum", "sample")
    _require(
        minimum == "sample" or g_estimate.critics(config.g_estimate) > 1,
        "g_estimate.minimum",
        f"{minimum!r}",
        "there is a minimum to take with g_estimate.critics=2 only",
    )
    scored = getattr(config.g, "critic", "online")
    baseline = getattr(config.g, "baseline", 0)
    _require(
        not isinstance(config.pi_q, pi_q.Parametric) or scored == "online",
        "g.critic",
        f"{scored!r}",
        "a parametric pi_q climbs the critic itself, so it must be 'online'",
    )
    _require(
        not baseline or not (isinstance(config.pi_q, pi_q.Parametric) or at_next),
        "g.baseline",
        baseline,
        "it changes no gradient of a parametric pi_q, and no weights at "
        "pi_p.states='next', so it must be 0",
    )
    _require(
        not (isinstance(config.pi_p, pi_p.Policy) and on_state),
        "pi_p",
        "Policy",
        "a state value cannot score fresh actions; use g=Q, or pi_p=Mixture",
    )


def _check_e_step(config: Config) -> None:
    """Nothing that the E-step would ignore, or that would ignore it."""
    prior, update = config.pi_p, config.pi_q_update
    several = isinstance(prior, pi_p.Policy) and prior.samples > 1
    temperature = update.temperature
    _require(
        several or not isinstance(temperature, pi_q_update.KLTemperature),
        "pi_q_update.temperature",
        "KLTemperature",
        "with one action a state the KL is 0 and the temperature only falls, so it "
        "needs pi_p=Policy with samples of 2 or more; use ConstantTemperature",
    )
    constant = isinstance(temperature, pi_q_update.ConstantTemperature)
    _require(
        not (isinstance(update, pi_q_update.Analytic) and constant)
        or temperature.value > 0,
        "pi_q_update.temperature.value",
        getattr(temperature, "value", None),
        "the weights exp(G / temperature) need one above 0",
    )
    by_state = getattr(config.pi_q, "normalize", "none") == "state"
    _require(
        several or not by_state,
        "pi_q.normalize",
        "'state'",
        "with one action a state its weight is 1 whatever its G; use 'batch' or "
        "'none', or pi_p=Policy with samples of 2 or more",
    )
    _require(
        several or not isinstance(config.bounds, BoundWeights),
        "bounds",
        "BoundWeights",
        "its weights compare the actions of a state, and need pi_p=Policy with "
        "samples of 2 or more",
    )


def _check_data(config: Config) -> None:
    data = config.data
    _require(
        data.capacity >= data.batch,
        "data.capacity",
        data.capacity,
        f"it must be at least data.batch, which is {data.batch}",
    )
    _require(
        not (config.schedule.simultaneous and isinstance(data, Trajectories)),
        "schedule.simultaneous",
        True,
        "with data=Trajectories the policy's steps follow all of the critic's",
    )
    scale = config.pi_theta.scale
    _require(
        not isinstance(scale, pi_theta.StateLogStd) or scale.low < scale.high,
        "pi_theta.scale.low",
        getattr(scale, "low", None),
        "it must be below pi_theta.scale.high",
    )


def _check_bounds(config: Config) -> None:
    free = isinstance(config.pi_theta, pi_theta.Gaussian)
    bounds = config.bounds
    _require(
        free or bounds is None,
        "bounds",
        _name(bounds),
        "actions of a TanhGaussian never leave the box, so it must be none",
    )
    _require(
        not isinstance(bounds, BoundLoss)
        or getattr(config.pi_theta, "mean", "free") == "free",
        "bounds",
        "BoundLoss",
        "a mean under a tanh never leaves the box; use pi_theta.mean='free', or none",
    )
    _require(
        not isinstance(bounds, BoundCost) or isinstance(config.pi_q, pi_q.Parametric),
        "bounds",
        "BoundCost",
        "its gradient runs through the actions of pi_q=Parametric; use BoundLoss",
    )


def _check_targets(config: Config) -> None:
    trust = getattr(config.pi_p_update, "trust_region", None)
    _require(
        trust is None or config.target.policy is not None,
        "target.policy",
        None,
        "a trust region is measured from the target policy; use Hard or Soft",
    )
    _require(
        isinstance(config.data, Replay) == (config.target.critic is not None),
        "target.critic",
        _name(config.target.critic),
        "one-step targets bootstrap from a target critic (Soft or Hard), "
        "lambda-returns from the critic itself (none)",
    )
    scored = getattr(config.g, "critic", "online")
    shared = isinstance(config.pi_p, pi_p.Policy) and config.pi_p.states == "next"
    _require(
        not shared or scored == "target",
        "g.critic",
        f"{scored!r}",
        "at pi_p.states='next' the actions were scored by the target critic",
    )
