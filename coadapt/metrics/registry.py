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
        "episodes", "reward", "its standard deviation over the episodes, NaN of one"
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
        "half the mean square of (output - target), or the loss of critic.head and "
        "critic.loss, mean over critics; where the output is scaled, in its units",
    ),
    "policy_loss": Metric(
        "losses",
        "1",
        "what the policy's step descends, before it, penalties included",
        False,
    ),
    "prior_loss": Metric(
        "losses",
        "1",
        "of the model of the behaviour policy: -log-likelihood (nats) or a VAE's loss",
    ),
    "value_loss": Metric(
        "losses",
        "reward^2",
        "of g_estimate.value, the V beside Q: its expectile loss before the step",
    ),
    "dual_gradient": Metric(
        "losses", "1", "norm of the gradient where the search for REPS's V stopped"
    ),
    "value": Metric(
        "values",
        "reward",
        "what the critics say of the minibatch before their step, mean over critics: Q "
        "of stored actions, or V",
    ),
    "start_value": Metric(
        "values",
        "reward",
        "what the critics say of the evaluation's first observations, mean over "
        "critics: Q of the greedy actions, or V",
        False,
    ),
    "overestimation": Metric(
        "values",
        "reward",
        "start_value minus the discounted return of the same greedy episodes, each "
        "until it ended, by a time limit too",
        False,
    ),
    "temperature": Metric(
        "duals", "reward", "eta before the step; where there is none, 0"
    ),
    "dual_bound": Metric(
        "duals", "1", "temperature of the weights for actions in the box", False
    ),
    "dual_mean": Metric(
        "duals",
        "reward/nat",
        "multiplier of the KL of the mean, mean over action dimensions",
        False,
    ),
    "dual_std": Metric(
        "duals",
        "reward/nat",
        "multiplier of the KL of the std, mean over action dimensions",
        False,
    ),
    "dual_joint": Metric(
        "duals", "reward/nat", "multiplier of the KL of a JointKL trust region", False
    ),
    "dual_penalty": Metric(
        "duals", "reward/nat", "what multiplies the KL, after it was adapted", False
    ),
    "dual_terminal": Metric(
        "duals", "reward", "the value of REPS after a termination", False
    ),
    "kl": Metric(
        "divergences", "nat", "of the old policy from the new one, at the minibatch"
    ),
    "kl_mean": Metric(
        "divergences",
        "nat",
        "of the means before the step, sum over dimensions; 0 where target.policy was "
        "copied just before",
    ),
    "kl_std": Metric(
        "divergences",
        "nat",
        "of the stds before the step, sum over dimensions; 0 as kl_mean",
    ),
    "kl_joint": Metric(
        "divergences",
        "nat",
        "of the whole distribution before the step, of a JointKL; 0 as kl_mean",
    ),
    "divergence": Metric(
        "divergences",
        "nat",
        "of the policy from its prior (of BEAR, the MMD, which has no unit)",
    ),
    "step_fraction": Metric(
        "divergences", "1", "of the natural step, what was taken; 0: none"
    ),
    "effective_fraction": Metric(
        "weights",
        "1",
        "effective number of the weighed actions over their number: 1 where all count "
        "alike",
    ),
    "effective_episodes": Metric(
        "weights",
        "1",
        "effective number of the episodes whose steps are weighed, where weights do "
        "not hang on the minibatch; NaN where there is one episode",
    ),
    "condition": Metric(
        "weights", "1", "condition number of the closed form's regression"
    ),
    "entropy": Metric(
        "entropies", "nat", "of the policy at the minibatch, by the step's own samples"
    ),
    "policy_entropy": Metric(
        "entropies",
        "nat",
        "the same after the update, by one fresh action of each state, and of every "
        "policy that has a density",
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
        "activation is at most 1e-3 at all of the minibatch, of a ReLU 0 throughout",
        False,
    ),
    "critic_dead": Metric(
        "units", "1", "the same of the critics, mean over critics", False
    ),
    "steps_per_second": Metric(
        "speed",
        "1/s",
        "env steps of each agent a second since the row before, evaluations included "
        "and at first compilation; the one metric that a run does not repeat",
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
            hint = nearest(name, allowed) if isinstance(name, str) else "."
            raise ConfigError(
                f"log has {shown(name)}: it must be one of the groups "
                f"{', '.join(GROUPS)}, or a metric that docs/logging.md "
                f"lists{hint or '.'}"
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
