"""What in a store is no result though its runs came to their end: a fact each.

Of agents that are finite, by the last row of what is logged by default: what makes no
update, and updates that move nothing, or that one action decides.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from coadapt import schema
from coadapt.analysis import stats
from coadapt.config import Config
from coadapt.metrics import registry
from coadapt.report.run_data import METRIC, Findings
from coadapt.schema import ConfigError
from coadapt.validation import foreseen

_ALIKE = 1 - 1e-6  # effective fraction: weights differ by less than 1 in 1,000
_ALONE = 1.5  # effective number of actions or episodes: one has four fifths of all
_FRACTION, _EPISODES = "effective_fraction", "effective_episodes"
_APART = ("episodes", "speed")  # groups that are of no update
_OF_UPDATES = [n for n, m in registry.METRICS.items() if m.group not in _APART]

Ends = Mapping[str, float]  # the last value of each metric of an agent
Stored = Mapping[str, Any]  # a config


def of(found: Findings) -> list[tuple[str, str]]:
    """Name and sentence of each; variants of which one is true share it."""
    said = [("untrained", sentence) for sentence in _untrained(found)]
    whose: dict[tuple[str, str], list[str]] = {}
    for (task, variant), ends in _agents(found).items():
        config = found.header.variants[found.tasks.get(task, task)][variant].config
        for name, rule in _RULES.items():
            number, sentence = rule(config, ends)
            if number:
                those = f"{variant} on {task}, {number} of {len(ends)} agents"
                whose.setdefault((name, sentence), []).append(those)
    order = sorted(whose, key=lambda key: list(_RULES).index(key[0]))
    return said + [(k[0], f"{'; '.join(whose[k])}: {k[1]}.") for k in order]


def _agents(found: Findings) -> dict[tuple[str, str], list[Ends]]:
    """Of each variant on each task, its agents whose last score is finite.

    Of each version of a simulator apart, as `Findings` has them.
    """
    frame, each = found.frame, dict[tuple[str, str, int], dict[str, float]]()
    for metric in frame.metric.unique():
        for row in stats.last(frame, metric).to_dict("records"):
            key = row["task"], row["variant"], row["seed"]
            each.setdefault(key, {})[metric] = row["value"]
    made: dict[tuple[str, str], list[Ends]] = {}
    for (task, variant, _), ends in each.items():
        known = variant in found.header.variants.get(found.tasks.get(task, task), {})
        if known and math.isfinite(ends.get(METRIC, math.nan)):
            made.setdefault((task, variant), []).append(ends)
    return made


def _untrained(found: Findings) -> tuple[str, ...]:
    """What makes no update within the steps that were asked for."""
    agents, header = [], found.header
    for task, entries in header.variants.items():
        for name, entry in entries.items():
            with contextlib.suppress(ConfigError):  # another version's config
                config = schema.from_dict(Config, entry.config)
                steps = header.steps_of_variant(task, name), header.eval_every
                agents.append(
                    foreseen.Asked(task, name, entry.algorithm, config, *steps)
                )
    return foreseen.untrained(agents)


def _number(ends: list[Ends], holds: Callable[[Ends], bool]) -> int:
    """Of how many agents it holds."""
    return sum(map(holds, ends))


def _nothing_to_learn_from(config: Stored, ends: list[Ends]) -> tuple[int, str]:
    """An iteration that found no step tells nothing: see `learn`."""

    def holds(each: Ends) -> bool:
        told = [each[name] for name in _OF_UPDATES if name in each]
        return bool(told) and all(map(math.isnan, told))

    if config["data"]["kind"] not in ("Trajectories", "Rollout"):
        return 0, ""
    why = ""
    if config["data"].get("drop_last"):
        why = ", as data.drop_last leaves out the last of each episode"
    return _number(ends, holds), f"the last update had no step to learn from{why}"


def _alike(config: Stored, ends: list[Ends]) -> tuple[int, str]:
    hint = ""
    if config["g"] == {"kind": "LogQ", "shift": "reward"}:
        hint = "; a reward that is always the same does that: g.shift=return"
    return (
        _number(ends, lambda each: each.get(_FRACTION, 0.0) >= _ALIKE),
        "all were equal in the last update, which fits good actions and bad alike"
        f"{hint}",
    )


def _alone(config: Stored, ends: list[Ends]) -> tuple[int, str]:
    number, what = _compared(config)
    return (
        _number(ends, lambda each: each.get(_FRACTION, 1.0) * number < _ALONE),
        f"in the last update one of the {number} actions {what} had nearly all the "
        "weight, so that the policy is fitted to that one; a higher temperature "
        "spreads it",
    )


def _one_episode(config: Stored, ends: list[Ends]) -> tuple[int, str]:
    return (
        _number(ends, lambda each: each.get(_EPISODES, math.inf) < _ALONE),
        "in the last update one episode had nearly all the weight, so that the policy "
        "is fitted to that one; a higher temperature, or more episodes an iteration, "
        "spreads it",
    )


def _compared(config: Stored) -> tuple[float, str]:
    """Among how many actions weights are normalised; inf where that is not known."""
    posterior, prior, data = config["pi_q"], config["pi_p"], config["data"]
    if posterior["kind"] != "NonParametric":
        return math.inf, ""
    samples = prior["samples"] if prior["kind"] == "Policy" else 1
    if posterior["normalize"] == "state":
        return samples, "of each state"
    return samples * (
        data.get("policy_batch_size") or data["batch_size"]
    ), "of a minibatch"


def _unmoved(config: Stored, ends: list[Ends]) -> tuple[int, str]:
    """Of iterations whose gradient or step was 0.

    Where each makes one plain step of the policy, the KL is measured before it.
    """
    update = config["pi_q_update"]
    trust = update.get("trust_region", {"kind": ""})["kind"]
    after = update["kind"] == "NaturalGradient" or trust == "KLPenalty"
    after |= trust == "ClippedRatio" and config["schedule"]["policy_steps"] > 1
    return (
        _number(ends, lambda each: after and each.get("kl", 1.0) == 0.0),
        "the last update did not move it (kl is 0): G was the same at all steps, or no "
        "step was better",
    )


_RULES: dict[str, Callable[[Stored, list[Ends]], tuple[int, str]]] = {
    "updates": _nothing_to_learn_from,
    "weights": _alike,
    "one weight": _alone,
    "one episode": _one_episode,
    "policy": _unmoved,
}
