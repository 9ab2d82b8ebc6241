"""What can be logged of an agent, by name; what is not named is not computed.

A metric becomes rows of results.csv, one an evaluation. Those of an update are of the
newest update before it, and of its last step of the kind; those of the episodes are of
the evaluation itself. Not all algorithms have all of them: docs/logging.md has the
table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from coadapt.schema import ConfigError, nearest, shown

T = TypeVar("T")
Log = tuple[str, ...]  # names of METRICS, in their order

SCORE = "return"  # the rows without which a cell has no score: always there


class Metric(NamedTuple):
    """A name of results.csv."""

    group: str
    unit: str
    about: str
    default: bool = True  # whether it is logged where nothing is asked for


METRICS: dict[str, Metric] = {
    SCORE: Metric(
        "episodes",
        "reward",
        "undiscounted return of the evaluation's greedy episodes, mean; always logged",
    ),
    "return_std": Metric(
        "episodes",
        "reward",
        "its standard deviation over the episodes; NaN with one episode",
    ),
    "length": Metric(
        "episodes", "env steps", "length of the evaluation's episodes, mean", False
    ),
    "behavior_return": Metric(
        "episodes", "reward", "mean return of the episodes of a data set"
    ),
    "critic_loss": Metric(
        "losses",
        "1",
        "loss of critic.head and critic.loss (by default half the mean square of "
        "output - target), mean over critics; in the output's units if it is scaled",
    ),
    "policy_loss": Metric(
        "losses",
        "1",
        "the policy's loss before its step, penalties included",
        False,
    ),
    "prior_loss": Metric(
        "losses",
        "1",
        "loss of the behaviour policy's model: -log-likelihood (nats), or a VAE's loss",
    ),
    "value_loss": Metric(
        "losses",
        "reward^2",
        "expectile loss of g_estimate.value, the V beside Q, before its step",
    ),
    "dual_gradient": Metric(
        "losses",
        "1",
        "norm of the gradient at which the search for REPS's V stopped",
    ),
    "value": Metric(
        "values",
        "reward",
        "values of the minibatch before the critics' step, mean over critics: Q of "
        "stored actions, or V",
    ),
    "start_value": Metric(
        "values",
        "reward",
        "values of the evaluation's first observations, mean over critics: Q of the "
        "greedy actions, or V",
        False,
    ),
    "overestimation": Metric(
        "values",
        "reward",
        "start_value minus the discounted return of the same greedy episodes, up to "
        "their end or time limit; with `reward`, of rewards as the critics learn them",
        False,
    ),
    "temperature": Metric(
        "duals",
        "reward",
        "eta before the step; 0 if there is none",
    ),
    "dual_bound": Metric(
        "duals", "1", "temperature of the weights for actions in the box", False
    ),
    "dual_mean": Metric(
        "duals",
        "1",
        "multiplier of the KL of the mean, mean over action dimensions",
        False,
    ),
    "dual_std": Metric(
        "duals",
        "1",
        "multiplier of the KL of the std, mean over action dimensions",
        False,
    ),
    "dual_joint": Metric(
        "duals", "1", "multiplier of the KL of a JointKL trust region", False
    ),
    "dual_penalty": Metric(
        "duals",
        "reward/nat",
        "PPO's penalty on the KL, after it was adapted",
        False,
    ),
    "dual_terminal": Metric(
        "duals",
        "reward",
        "REPS's value of a termination",
        False,
    ),
    "kl": Metric(
        "divergences",
        "nat",
        "KL between the old and the new policy, in the direction that the method "
        "bounds: after an iteration's steps, over its data (KLPenalty), or at the "
        "minibatch, after its step (NaturalGradient) or before it (ClippedRatio)",
    ),
    "kl_mean": Metric(
        "divergences",
        "nat",
        "KL of the means before the step, sum over dimensions; 0 if target.policy was "
        "just copied",
    ),
    "kl_std": Metric(
        "divergences",
        "nat",
        "KL of the stds before the step, sum over dimensions; 0 as kl_mean",
    ),
    "kl_joint": Metric(
        "divergences",
        "nat",
        "KL of a JointKL trust region, before the step; 0 as kl_mean",
    ),
    "divergence": Metric(
        "divergences",
        "nat",
        "divergence of the policy from its prior (BEAR: the MMD, which has no unit)",
    ),
    "step_fraction": Metric(
        "divergences",
        "1",
        "share of the natural step that the line search took; 0: none",
    ),
    "effective_fraction": Metric(
        "weights",
        "1",
        "effective number of the weighted actions over their number; 1 if all weights "
        "are equal",
    ),
    "effective_episodes": Metric(
        "weights",
        "1",
        "effective number of the episodes whose steps are weighted, if weights do not "
        "depend on the minibatch; NaN with one episode",
    ),
    "condition": Metric(
        "weights", "1", "condition number of the closed form's regression"
    ),
    "entropy": Metric(
        "entropies",
        "nat",
        "entropy of the policy at the minibatch, from the step's own samples",
    ),
    "policy_entropy": Metric(
        "entropies",
        "nat",
        "the same after the update, from one new action per state; for every policy "
        "with a density",
        False,
    ),
    "policy_gradient_norm": Metric(
        "norms", "1", "L2 norm of policy_loss's gradient, before clipping", False
    ),
    "critic_gradient_norm": Metric(
        "norms",
        "1",
        "L2 norm of critic_loss's gradient, before clipping, mean over critics",
        False,
    ),
    "policy_norm": Metric(
        "norms", "1", "L2 norm of the policy's parameters, after the update", False
    ),
    "critic_norm": Metric(
        "norms",
        "1",
        "L2 norm of a critic's parameters, after the update, mean over critics",
        False,
    ),
    "policy_dead": Metric(
        "units",
        "1",
        "share of the policy's hidden units that are dead: the slope of their "
        "activation is at most 1e-3 on the whole minibatch (a ReLU's output is 0)",
        False,
    ),
    "critic_dead": Metric(
        "units",
        "1",
        "the same for the critics, mean over critics",
        False,
    ),
    "steps_per_second": Metric(
        "speed",
        "1/s",
        "env steps of each agent per second since the row before, with evaluations "
        "and compilation; the only metric in which identical runs differ",
        False,
    ),
}
GROUPS: dict[str, Log] = {
    "default": tuple(n for n, m in METRICS.items() if m.default),
    "all": tuple(METRICS),
    **{
        group: tuple(n for n, m in METRICS.items() if m.group == group)
        for group in dict.fromkeys(m.group for m in METRICS.values())
    },
}
DEFAULT = GROUPS["default"]


def chosen(names: Iterable[str]) -> Log:
    """Metrics by their names and those of groups, in the table's order.

    Raises:
        ConfigError: on another name.
    """
    if not isinstance(names, Iterable):
        raise ConfigError(f"log is {shown(names)}: it must be a list of metrics.")
    names = [names] if isinstance(names, str) else list(names)
    found = {SCORE}
    for name in names:
        if not isinstance(name, str) or name not in METRICS | GROUPS:
            allowed = [*GROUPS, *METRICS]
            hint = nearest(name, allowed) if isinstance(name, str) else ""
            raise ConfigError(
                f"log has {shown(name)}: it must be one of the groups "
                f"{', '.join(GROUPS)}, or a metric that docs/logging.md "
                f"lists{hint}"
            )
        found.update(GROUPS.get(name, (name,)))
    return tuple(name for name in METRICS if name in found)


def kept(found: Mapping[str, T], log: Sequence[str]) -> dict[str, T]:
    """Those of the metrics that are logged.

    To be called where metrics are made, before a loop or a branch carries them: then
    what is not logged is dead code, and is not in the compiled program.

    Raises:
        KeyError: if one has no entry in METRICS.
    """
    for name in found:
        METRICS[name]
    return {name: x for name, x in found.items() if name in log}
