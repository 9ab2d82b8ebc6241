"""Which points of the seven factors have a meaning: all others are refused.

A rule says what a field must be, given another, and why. They go from the posterior to
its data: what kind of control it is, what is estimated from which data, what the
policy's distribution can do, and what nothing would read.
"""

from typing import Any

from coadapt import schema
from coadapt.config import (
    BestOf,
    BoundCost,
    BoundLoss,
    BoundWeights,
    Config,
    Mode,
    Offline,
    Replay,
    Rollout,
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

Kinds = type | tuple[type, ...]


def check(config: Config) -> None:
    """Refuse a config that is ill-typed or has no meaning, before anything starts.

    Raises: ConfigError, one sentence: the field, what came, what is allowed and why.
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
    check_meaning(config)


def check_meaning(config: Config) -> None:
    """As `check`, of a config that is known to be well typed: many, in little time.

    Raises: ConfigError.
    """
    _check_g(config)
    _check_control(config)
    _check_data(config)
    _check_scores(config)
    _check_critic_steps(config)
    _check_scorer(config)
    _check_weights(config)
    _check_alone(config)
    _check_temperature(config)
    _check_prior(config)
    _check_behavior(config)
    _check_pi_theta(config)
    _check_smoothing(config)
    _check_m_step(config)
    _check_bounds(config)
    _check_targets(config)
    _check_numbers(config)


def _require(holds: bool, field: str, came: object, reason: str) -> None:
    if not holds:
        raise ConfigError(f"{field} is {came}: {reason}.")


def _name(value: object) -> str:
    return "none" if value is None else type(value).__name__


def _either(kinds: Kinds) -> str:
    """'A', 'A or B', 'A, B or C'."""
    *most, last = [k.__name__ for k in (kinds if isinstance(kinds, tuple) else [kinds])]
    return f"{', '.join(most)} or {last}" if most else last


def _must(config: Config, field: str, kinds: Kinds, given: str, reason: str) -> None:
    """`field` must be of these kinds, because of what another one is."""
    value: Any = config
    for name in field.split("."):
        value = getattr(value, name)
    why = f"{reason}, so with {given} it must be {_either(kinds)}"
    _require(isinstance(value, kinds), field, _name(value), why)


# ---------------------------------------------------------------- what kind of control


def _check_control(config: Config) -> None:
    posterior = config.pi_q
    if isinstance(posterior, pi_q.NonParametric):
        needs = _EM
    elif isinstance(posterior, pi_q.Episodic):
        needs = _EPISODIC
    elif isinstance(posterior.gradient, pi_q.LikelihoodRatio):
        needs = _RATIO
    else:
        needs = _PATHWISE
    given = f"pi_q={_name(posterior)}"
    if isinstance(posterior, pi_q.Parametric):
        given = f"pi_q.gradient={_name(posterior.gradient)}"
    for field, kinds, reason in needs:
        _must(config, field, kinds, given, reason)
    moves = isinstance(config.pi_p, pi_p.Posterior)
    _require(
        moves == isinstance(config.pi_p_update, pi_p_update.Copy),
        "pi_p_update",
        _name(config.pi_p_update),
        "a prior that becomes the posterior (pi_p=Posterior) is updated by Copy, and "
        f"only that one is; pi_p is {_name(config.pi_p)}",
    )


_FIXED = "KL control holds its prior fixed"
_EM = (
    ("pi_q_update", pi_q_update.Analytic, "a non-parametric pi_q is a formula"),
    (
        "pi_p",
        (pi_p.Policy, pi_p.OnPolicy, pi_p.Posterior, pi_p.Mixture),
        "the E-step weighs actions of a pi_p that the M-step then improves",
    ),
    (
        "pi_p_update",
        (pi_p_update.Gradient, pi_p_update.ClosedForm, pi_p_update.Copy),
        "the M-step fits pi_p to pi_q, and a fixed prior is KL control's",
    ),
)
_EPISODIC = (
    ("pi_q_update", pi_q_update.Analytic, "a non-parametric pi_q is a formula"),
    (
        "pi_p",
        (pi_p.OnPolicy, pi_p.Uniform),
        "whole episodes are drawn by the policy, and their base is it or uniform",
    ),
    ("pi_p_update", pi_p_update.Gradient, "episodes are fitted by SG"),
    ("g", g.Q, "what weighs an episode is its return"),
    ("g_estimate", g_estimate.MonteCarlo, "what weighs an episode is its return"),
    (
        "pi_q_update.temperature",
        pi_q_update.ConstantTemperature,
        "the weights of episodes are taken once an iteration",
    ),
)
_PATHWISE = (
    ("pi_q_update", pi_q_update.Gradient, "a pi_q that climbs a critic is found by SG"),
    ("pi_p", (pi_p.Uniform, pi_p.Ignored, pi_p.Behavior), _FIXED),
    ("pi_p_update", pi_p_update.Fixed, _FIXED),
    ("g", (g.Q, g.SoftQ), "a gradient to the action runs through an action value"),
    (
        "g_estimate",
        (g_estimate.TD0, g_estimate.Retrace),
        "the gradient runs through a critic of (s, a), which single transitions fit",
    ),
    ("data", (Replay, Offline), "the gradient through Q reads single transitions"),
)
_RATIO = (
    (
        "pi_q_update",
        (pi_q_update.Gradient, pi_q_update.Proximal, pi_q_update.NaturalGradient),
        "a parametric pi_q is moved along a gradient",
    ),
    (
        "pi_p",
        pi_p.Posterior,
        "the ratio is to the policy that collected the data, the last pi_q",
    ),
    (
        "g",
        (g.Q, g.Advantage),
        "the ratio multiplies a return or an advantage, and a logarithm is of weights",
    ),
)


# ---------------------------------------------------------------- G and its estimate

_ESTIMATED = {  # what each estimate gives
    g_estimate.TD0: (g.Q, g.SoftQ),
    g_estimate.Retrace: (g.Q, g.SoftQ),
    g_estimate.TDLambda: g.Advantage,
    g_estimate.GAE: g.Advantage,
    g_estimate.NStep: g.Advantage,
    g_estimate.DualValue: g.Advantage,
    g_estimate.MonteCarlo: (g.Q, g.Advantage, g.LogQ),
    g_estimate.NoEstimate: g.LogReward,
}


def _check_g(config: Config) -> None:
    estimate, kind = config.g_estimate, config.g
    allowed = _ESTIMATED[type(estimate)]
    others = tuple(e for e, kinds in _ESTIMATED.items() if isinstance(kind, kinds))
    _require(
        isinstance(kind, allowed),
        "g_estimate",
        _name(estimate),
        f"it estimates {_either(allowed)}, and g is {_name(kind)}, which needs "
        f"{_either(others)}",
    )
    _require(
        not isinstance(kind, g.SoftQ) or isinstance(config.pi_q, pi_q.Parametric),
        "g",
        "SoftQ",
        "the entropy of Q_soft is a parametric pi_q's, so it needs pi_q=Parametric",
    )
    _require(
        not isinstance(kind, g.SoftQ) or not isinstance(config.pi_p, pi_p.Ignored),
        "g",
        "SoftQ",
        "with pi_p=Ignored there is no divergence to count as reward; use Q",
    )


def _check_data(config: Config) -> None:
    estimate, prior = config.g_estimate, config.pi_p
    collects = isinstance(prior, pi_p.OnPolicy | pi_p.Posterior)
    _require(
        not (collects and estimate.one_step),
        "g_estimate",
        _name(estimate),
        "it bootstraps single transitions of a long past, and the data of "
        f"pi_p={_name(prior)} are the newest alone; use an estimate along sequences",
    )
    given = f"g_estimate={_name(estimate)}"
    if estimate.one_step:
        reason = "it bootstraps single transitions from a slow copy"
        _must(config, "data", (Replay, Offline), given, reason)
    else:
        reason = "it sums along sequences"
        _must(config, "data", (Trajectories, Rollout), given, reason)
    given = f"pi_p={_name(prior)}"
    episodic = isinstance(config.pi_q, pi_q.Episodic)
    if collects or episodic:
        given = "pi_q=Episodic" if episodic else given
        _must(config, "data", Rollout, given, "the policy itself collects the data")
    if isinstance(prior, pi_p.Mixture):
        reason = "past policies made the data"
        _must(config, "data", (Replay, Trajectories, Offline), given, reason)
    if isinstance(prior, pi_p.Behavior):
        _must(config, "data", Offline, given, "others made the data")
    _require(
        not isinstance(config.data, Offline) or estimate.length == 1,
        "g_estimate.steps",
        getattr(estimate, "steps", 1),
        "a data set does not say how likely its actions were, so with data=Offline it "
        "must be 1",
    )


def _critics(config: Config) -> int:
    return config.g_estimate.critics_of(config.g)


def _pathwise(config: Config) -> bool:
    """Whether the policy climbs a critic."""
    return config.pi_q.by_samples


def _several(config: Config) -> bool:
    """Whether the E-step compares actions of one state."""
    return isinstance(config.pi_p, pi_p.Policy) and config.pi_p.samples > 1


def _check_scores(config: Config) -> None:
    """Whose values score which actions."""
    prior, estimate = config.pi_p, config.g_estimate
    expected = isinstance(estimate, g_estimate.Retrace)
    fresh = isinstance(prior, pi_p.Policy)
    at_next = isinstance(prior, pi_p.Policy) and prior.states == "next"
    _require(
        not (fresh and isinstance(config.g, g.Advantage)),
        "pi_p",
        "Policy",
        "a state value cannot score fresh actions; use g=Q, or stored actions "
        "(Mixture, OnPolicy)",
    )
    _require(
        not (fresh and not estimate.one_step),
        "pi_p",
        "Policy",
        "what was received cannot score fresh actions; use g_estimate=TD0 or Retrace, "
        "or stored actions (Mixture, OnPolicy)",
    )
    _require(
        not expected or fresh,
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


def _check_critic_steps(config: Config) -> None:
    estimate = config.g_estimate
    critic_free = isinstance(estimate, g_estimate.DualValue) or not _critics(config)
    steps = config.schedule.critic_steps
    _require(
        critic_free == (steps == 0),
        "schedule.critic_steps",
        steps,
        f"with g={_name(config.g)} and g_estimate={_name(estimate)} "
        + ("no critic is fitted by SG, so it must be 0" if critic_free else
           "a critic is fitted by SG, so it must be 1 or more"),
    )  # fmt: skip


def _check_scorer(config: Config) -> None:
    """Which critic scores, and less what."""
    at_next = getattr(config.pi_p, "states", "current") == "next"
    scored = getattr(config.g, "critic", "online")
    baseline = getattr(config.g, "baseline", 0)
    parametric = isinstance(config.pi_q, pi_q.Parametric)
    _require(
        bool(_critics(config)) or scored == "online",
        "g.critic",
        f"{scored!r}",
        "what was received is scored by no critic, so it must be 'online'",
    )
    _require(
        not parametric or scored == "online",
        "g.critic",
        f"{scored!r}",
        "a parametric pi_q climbs the critic itself, so it must be 'online'",
    )
    _require(
        not at_next or scored == "target",
        "g.critic",
        f"{scored!r}",
        "at pi_p.states='next' the actions were scored by the target critic",
    )
    useless = parametric or at_next or not _critics(config)
    _require(
        not baseline or not useless,
        "g.baseline",
        baseline,
        "it changes no gradient of a parametric pi_q, no weights at "
        "pi_p.states='next', and needs a critic, so it must be 0",
    )


# ---------------------------------------------------------------- eta, and the prior


def _check_weights(config: Config) -> None:
    """What the weights of the E-step compare."""
    several = _several(config)
    normalize = getattr(config.pi_q, "normalize", "none")
    keep, rule = getattr(config.pi_q, "keep", 1.0), _temperature(config)
    bounded = isinstance(rule, pi_q_update.KLTemperature)
    _require(
        several or normalize == "batch" or not bounded,
        "pi_q_update.temperature",
        "KLTemperature",
        "with one action a state the KL is 0 and the temperature only falls, so it "
        "needs pi_p=Policy with samples of 2 or more, or pi_q.normalize='batch'",
    )
    _require(
        several or normalize != "state",
        "pi_q.normalize",
        "'state'",
        "with one action a state its weight is 1 whatever its G; use 'batch' or "
        "'none', or pi_p=Policy with samples of 2 or more",
    )
    _require(
        keep == 1.0 or normalize != "state",
        "pi_q.keep",
        keep,
        "the best of a batch are not all of any state's; use pi_q.normalize='batch'",
    )
    _require(
        keep == 1.0 or normalize == "batch" or not bounded,
        "pi_q.keep",
        keep,
        "the KL of KLTemperature is then of the best of the batch; use "
        "pi_q.normalize='batch'",
    )
    _require(
        not isinstance(rule, pi_q_update.DualTemperature)
        or not getattr(config.pi_q, "standardize", False),
        "pi_q.standardize",
        True,
        "the temperature of a DualTemperature is in units of G as it is, so it must "
        "be false",
    )


def _check_alone(config: Config) -> None:
    """Nothing is compared where the one action of a minibatch has all the weight."""
    normalize = getattr(config.pi_q, "normalize", "none")
    size = getattr(config.data, "policy_batch", None) or config.data.batch
    _require(
        _several(config) or normalize != "batch" or size > 1,
        "data.batch",
        size,
        "its one action has weight 1 whatever its G with pi_q.normalize='batch', so "
        "the policy's minibatch must be 2 or more",
    )


def _temperature(config: Config) -> object:
    return getattr(config.pi_q_update, "temperature", None)


def _check_temperature(config: Config) -> None:
    """Nothing that would ignore the temperature, or that it would ignore."""
    rule = _temperature(config)
    value = getattr(rule, "value", 1.0)
    dual = isinstance(config.g_estimate, g_estimate.DualValue)
    _require(
        not isinstance(config.pi_q_update, pi_q_update.Analytic) or value > 0,
        "pi_q_update.temperature.value",
        value,
        "the weights exp(G / temperature) need one above 0",
    )
    if isinstance(rule, pi_q_update.DualTemperature):
        given = "pi_q_update.temperature=DualTemperature"
        reason = "the dual is minimised over the value too"
        _must(config, "g_estimate", g_estimate.DualValue, given, reason)
    if isinstance(rule, pi_q_update.ExponentialTemperature):
        given = "pi_q_update.temperature=ExponentialTemperature"
        reason = "the rule is for rewards as they were received"
        _must(config, "g", g.LogReward, given, reason)
    free = not getattr(config.pi_q, "standardize", False)
    if isinstance(config.g, g.LogQ) and free:
        kind, reason = pi_q_update.ConstantTemperature, "eta cancels in the weights"
        _must(config, "pi_q_update.temperature", kind, "g=LogQ", reason)
    ratio = config.pi_q.parametric and not config.pi_q.by_samples
    if ratio and rule is not None:
        given = "pi_q.gradient=LikelihoodRatio"
        reason = "eta multiplies KL(pi_p || pi_theta), which Proximal adapts"
        kind = pi_q_update.ConstantTemperature
        _must(config, "pi_q_update.temperature", kind, given, reason)
    _require(
        not dual or rule is not None,
        "g_estimate",
        "DualValue",
        f"its dual has a temperature, and pi_q_update={_name(config.pi_q_update)} has "
        "none; use pi_q_update=Gradient, or MonteCarlo, GAE, NStep or TDLambda",
    )
    _require(
        not dual or value > 0,
        "pi_q_update.temperature.value",
        value,
        "the dual of g_estimate=DualValue needs one above 0",
    )


def _check_prior(config: Config) -> None:
    """The divergence from a prior that is held fixed."""
    if not isinstance(config.pi_q_update, pi_q_update.Gradient):
        return
    rule, prior = config.pi_q_update.temperature, config.pi_p
    if isinstance(prior, pi_p.Ignored):
        kind, reason = pi_q_update.ConstantTemperature, "a temperature of 0 ignores it"
        _must(config, "pi_q_update.temperature", kind, "pi_p=Ignored", reason)
        _require(
            getattr(rule, "value", 0.0) == 0.0,
            "pi_q_update.temperature.value",
            getattr(rule, "value", None),
            "a temperature of 0 ignores the prior, so with pi_p=Ignored it must be 0",
        )
    if isinstance(rule, pi_q_update.EntropyTemperature):
        given = "pi_q_update.temperature=EntropyTemperature"
        _must(config, "pi_p", pi_p.Uniform, given, "entropy is the KL from uniform")
    if isinstance(rule, pi_q_update.DivergenceTemperature):
        given = "pi_q_update.temperature=DivergenceTemperature"
        reason = "the divergence is from a model of the data's policy"
        _must(config, "pi_p", pi_p.Behavior, given, reason)
    kind = config.pi_q_update.divergence
    if not isinstance(kind, pi_q_update.KL):
        given = f"pi_q_update.divergence={_name(kind)}"
        reason = "it compares samples with those of a model"
        _must(config, "pi_p", pi_p.Behavior, given, reason)


_DUAL = (pi_q_update.DualKL, pi_q_update.Wasserstein)


def _check_behavior(config: Config) -> None:
    """The model of others' policy: how it is compared with, fitted and followed."""
    prior, warm = config.pi_p, config.schedule.warm_start
    _require(
        warm == 0 or isinstance(prior, pi_p.Behavior),
        "schedule.warm_start",
        warm,
        "it pulls the policy to the model of pi_p=Behavior; else it must be 0",
    )
    if not isinstance(prior, pi_p.Behavior):
        return
    if isinstance(prior.model, pi_p.VAE):
        reason = "a VAE has samples but no density"
        kinds, given = (pi_q_update.MMD, *_DUAL), "pi_p.model=VAE"
        _must(config, "pi_q_update.divergence", kinds, given, reason)
    divergence = getattr(config.pi_q_update, "divergence", None)
    _require(
        prior.follow or not isinstance(divergence, _DUAL),
        "pi_p.follow",
        False,
        f"the network of {_name(divergence)} follows the policy, and is fitted with "
        "the model, so it must be true",
    )
    _require(
        prior.follow or prior.steps > 0,
        "pi_p.follow",
        False,
        "the model would never be fitted; use true, or pi_p.steps of 1 or more",
    )
    _require(
        warm == 0 or getattr(_temperature(config), "value", 1.0) > 0,
        "schedule.warm_start",
        warm,
        "a temperature of 0 pulls to nothing, so it must be 0",
    )


# ---------------------------------------------------------------- pi_theta


def _check_pi_theta(config: Config) -> None:
    pi, pathwise = config.pi_theta, _pathwise(config)
    if isinstance(pi, pi_theta.Softmax):
        _require(
            not pathwise,
            "pi_theta",
            "Softmax",
            "a discrete choice has no pathwise gradient; use "
            "pi_q.gradient=LikelihoodRatio, or weights (pi_q=NonParametric)",
        )
    if isinstance(pi, pi_theta.Deterministic):
        _require(
            pathwise,
            "pi_theta",
            "Deterministic",
            "it has no likelihood, which weights and ratios need; use Gaussian, or "
            "pi_q.gradient=Pathwise",
        )
        prior = config.pi_p
        _require(
            isinstance(prior, pi_p.Ignored)
            or isinstance(getattr(prior, "model", None), pi_p.VAE),
            "pi_theta",
            "Deterministic",
            "its entropy and its KL are infinite; use pi_p=Ignored, or a VAE and MMD",
        )
        _require(
            isinstance(config.greedy, Mode),
            "greedy",
            _name(config.greedy),
            "all actions that Deterministic draws are one, so it must be Mode",
        )
    _check_samples(config)
    scale = getattr(pi, "scale", None)
    _require(
        not isinstance(scale, pi_theta.StateLogStd) or scale.low < scale.high,
        "pi_theta.scale.low",
        getattr(scale, "low", None),
        "it must be below pi_theta.scale.high",
    )


def _check_samples(config: Config) -> None:
    """The policy's own actions, at which it climbs."""
    gradient = getattr(config.pi_q, "gradient", None)
    if not isinstance(gradient, pi_q.Pathwise):
        return
    point = isinstance(config.pi_theta, pi_theta.Deterministic)
    kl = isinstance(getattr(config.pi_q_update, "divergence", None), pi_q_update.KL)
    counted = kl and not isinstance(config.pi_p, pi_p.Ignored)
    _require(
        gradient.samples == 1 or not point,
        "pi_q.gradient.samples",
        gradient.samples,
        "all actions that Deterministic draws are one, so it must be 1",
    )
    _require(
        gradient.noise_limit is None or not point,
        "pi_q.gradient.noise_limit",
        gradient.noise_limit,
        "Deterministic draws no noise, so it must be none",
    )
    _require(
        gradient.noise_limit is None or not counted,
        "pi_q.gradient.noise_limit",
        gradient.noise_limit,
        "an action of clipped noise has not the policy's log-probability, which "
        "pi_q_update.divergence=KL counts; use none, or MMD",
    )


def _check_smoothing(config: Config) -> None:
    smoothing = getattr(config.g_estimate, "smoothing", None)
    _require(
        smoothing is None or isinstance(config.g, g.Q),
        "g_estimate.smoothing",
        _name(smoothing),
        "a smoothed action has not the policy's log-probability, which "
        f"g={_name(config.g)} counts; use g=Q",
    )
    _require(
        smoothing is None or not isinstance(config.pi_theta, pi_theta.Softmax),
        "g_estimate.smoothing",
        _name(smoothing),
        "a discrete choice cannot be smoothed",
    )


def _check_m_step(config: Config) -> None:
    trust, pi = getattr(config.pi_p_update, "trust_region", None), config.pi_theta
    _require(
        not isinstance(trust, pi_p_update.DecoupledKL)
        or not isinstance(pi, pi_theta.Softmax),
        "pi_p_update.trust_region",
        "DecoupledKL",
        "a Softmax has no mean and no std to hold apart; use JointKL",
    )
    if not isinstance(config.pi_p_update, pi_p_update.ClosedForm):
        return
    given = "pi_p_update=ClosedForm"
    _must(config, "pi_theta", pi_theta.Gaussian, given, "it is a regression on actions")
    _require(
        getattr(pi, "mean", "free") == "free",
        "pi_theta.mean",
        f"{getattr(pi, 'mean', None)!r}",
        "a mean under a tanh has no closed form; use 'free'",
    )
    scale = getattr(pi, "scale", None)
    _require(
        getattr(scale, "closed_form", False),
        "pi_theta.scale",
        _name(scale),
        "a std that is a network's output has no closed form; use FeatureStd, "
        "LearnedStd, LearnedLogStd or ConstantStd",
    )
    _require(
        config.bounds is None,
        "bounds",
        _name(config.bounds),
        "a regression has no gradient to bend, so it must be none",
    )


def _check_bounds(config: Config) -> None:
    pi, bounds = config.pi_theta, config.bounds
    reasons = {
        pi_theta.TanhGaussian: "actions of a TanhGaussian never leave the box",
        pi_theta.Deterministic: "actions of Deterministic never leave the box",
        pi_theta.Softmax: "actions of a Softmax never leave the box",
    }
    _require(
        bounds is None or type(pi) not in reasons,
        "bounds",
        _name(bounds),
        f"{reasons.get(type(pi))}, so it must be none",
    )
    _require(
        not isinstance(bounds, BoundLoss) or getattr(pi, "mean", "free") == "free",
        "bounds",
        "BoundLoss",
        "a mean under a tanh never leaves the box; use pi_theta.mean='free', or none",
    )
    _require(
        not isinstance(bounds, BoundCost) or _pathwise(config),
        "bounds",
        "BoundCost",
        "its gradient runs through the actions of pi_q=Parametric; use BoundLoss",
    )
    _require(
        _several(config) or not isinstance(bounds, BoundWeights),
        "bounds",
        "BoundWeights",
        "its weights compare the actions of a state, and need pi_p=Policy with "
        "samples of 2 or more",
    )


# ---------------------------------------------------------------- copies and numbers


def _check_targets(config: Config) -> None:
    trust = getattr(config.pi_p_update, "trust_region", None)
    one_step = config.g_estimate.one_step
    _require(
        trust is None or not one_step or config.target.policy is not None,
        "target.policy",
        None,
        "a trust region is measured from the target policy; use Hard or Soft",
    )
    _require(
        not isinstance(config.data, Rollout) or config.target.policy is None,
        "target.policy",
        _name(config.target.policy),
        "with data=Rollout the prior is the policy at the start of an iteration, so it "
        "must be none",
    )
    _require(
        one_step or trust is not None or config.target.policy is None,
        "target.policy",
        _name(config.target.policy),
        "along sequences a trust region alone would read it, so it must be none",
    )
    _require(
        one_step == (config.target.critic is not None),
        "target.critic",
        _name(config.target.critic),
        "one-step targets bootstrap from a target critic (Soft or Hard), "
        "sums along sequences from the critic itself (none)",
    )
    _require(
        not isinstance(config.greedy, BestOf)
        or (_critics(config) > 0 and config.g.reads_action),
        "greedy",
        "BestOf",
        "it compares actions by an action value's critic; use Mode or Sampled",
    )
    _require(
        not config.schedule.simultaneous or one_step,
        "schedule.simultaneous",
        True,
        "with sequences the policy's steps follow all of the critic's",
    )


def _check_numbers(config: Config) -> None:
    data, estimate = config.data, config.g_estimate
    if not isinstance(data, Offline):
        _require(
            data.capacity >= data.batch,
            "data.steps" if isinstance(data, Rollout) else "data.capacity",
            data.capacity,
            f"it must be at least data.batch, which is {data.batch}",
        )
    larger = getattr(data, "policy_batch", None)
    _require(
        larger is None or larger <= data.steps,
        "data.policy_batch",
        larger,
        f"it must be at most data.steps, which is {data.steps}",
    )
    minimum = getattr(estimate, "minimum", "sample")
    _require(
        minimum == "sample" or _critics(config) > 1,
        "g_estimate.minimum",
        f"{minimum!r}",
        "there is a minimum to take with g_estimate.critics=2 only",
    )
    mix = getattr(estimate, "mix", 1.0)
    _require(
        mix == 1.0 or _critics(config) > 1,
        "g_estimate.mix",
        mix,
        "there is a maximum to mix in with g_estimate.critics=2 only",
    )
