"""What in a store is no result though its runs came to their end: a fact each.

Of agents that are finite, by the last row of what is logged by default: what makes no
update, and updates that move nothing, or that one action decides.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from coadapt import foreseen, logs, schema, stats
from coadapt.config import Config
from coadapt.schema import ConfigError
from launch.findings import METRIC, Findings

_ALIKE = 1 - 1e-6  # effective fraction: weights differ by less than 1 in 1,000
_ALONE = 1.5  # effective number of actions: one has four fifths of the weight
_APART = ("episodes", "speed")  # groups that are of no update
_OF_UPDATES = [n for n, m in logs.METRICS.items() if m.group not in _APART]

Ends = Mapping[str, float]  # the last value of each metric of an agent
Stored = Mapping[str, Any]  # a config


def of(found: Findings) -> list[tuple[str, str]]:
    """Name and sentence of each, variant by variant."""
    agents = _agents(found)
    said = [("untrained", sentence) for sentence in _untrained(found)]
    rules: dict[str, Callable[[Stored, list[Ends]], str]] = {
        "updates": _nothing_to_learn_from, "weights": _weights, "policy": _unmoved
    }  # fmt: skip
    for name, rule in rules.items():
        for (task, variant), ends in agents.items():
            sentence = rule(found.header.variants[task][variant].config, ends)
            if sentence:
                said.append((name, f"{variant} on {task}, {sentence}."))
    return said


def _agents(found: Findings) -> dict[tuple[str, str], list[Ends]]:
    """Of each variant on each task, its agents whose last score is finite."""
    frame, each = found.frame, dict[tuple[str, str, int], dict[str, float]]()
    for metric in frame.metric.unique():
        for row in stats.last(frame, metric).to_dict("records"):
            key = row["task"], row["variant"], row["seed"]
            each.setdefault(key, {})[metric] = row["value"]
    made: dict[tuple[str, str], list[Ends]] = {}
    for (task, variant, _), ends in each.items():
        known = variant in found.header.variants.get(task, {})
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
                steps = header.steps_on(task), header.eval_every
                agents.append(
                    foreseen.Asked(task, name, entry.algorithm, config, *steps)
                )
    return foreseen.untrained(agents)


def _some(ends: list[Ends], holds: Callable[[Ends], bool]) -> str:
    """'1 of 2 agents' of which it holds; '' if of none."""
    number = sum(map(holds, ends))
    return f"{number} of {len(ends)} agents" if number else ""


def _nothing_to_learn_from(config: Stored, ends: list[Ends]) -> str:
    """An iteration that found no step tells nothing: see `learn`."""

    def holds(each: Ends) -> bool:
        told = [each[name] for name in _OF_UPDATES if name in each]
        return bool(told) and all(map(math.isnan, told))

    if config["data"]["kind"] not in ("Trajectories", "Rollout"):
        return ""
    some, why = _some(ends, holds), ""
    if config["data"].get("drop_last"):
        why = ", as data.drop_last leaves out the last of each episode"
    return some and f"{some}: the last update had no step to learn from{why}"


def _weights(config: Stored, ends: list[Ends]) -> str:
    """Of updates that weighed all actions alike, or one alone: they taught little."""
    name, hint = "effective_fraction", ""
    if config["g"] == {"kind": "LogQ", "shift": "reward"}:
        hint = "; a reward that is always the same does that: g.shift=return"
    some = _some(ends, lambda each: each.get(name, 0.0) >= _ALIKE)
    if some:
        return (
            f"{some}: all were equal in the last update, which fits good actions and "
            f"bad alike{hint}"
        )
    number, what = _compared(config)
    some = _some(ends, lambda each: each.get(name, 1.0) * number < _ALONE)
    return some and (
        f"{some}: in the last update one of the {number} actions {what} had nearly all "
        "the weight, so that the policy is fitted to that one; a higher temperature "
        "spreads it"
    )


def _compared(config: Stored) -> tuple[float, str]:
    """Among how many actions weights are normalised; inf where that is not known."""
    posterior, prior, data = config["pi_q"], config["pi_p"], config["data"]
    if posterior["kind"] != "NonParametric":
        return math.inf, ""
    samples = prior["samples"] if prior["kind"] == "Policy" else 1
    if posterior["normalize"] == "state":
        return samples, "of each state"
    return samples * (data.get("policy_batch") or data["batch"]), "of a minibatch"


def _unmoved(config: Stored, ends: list[Ends]) -> str:
    """Of iterations whose gradient or step was 0.

    Where each makes one plain step of the policy, the KL is measured before it.
    """
    update = config["pi_q_update"]
    after = update["kind"] == "NaturalGradient" or (
        update["kind"] == "Proximal"
        and (
            update["trust_region"]["kind"] == "KLPenalty"
            or config["schedule"]["policy_steps"] > 1
        )
    )
    some = _some(ends, lambda each: after and each.get("kl", 1.0) == 0.0)
    return some and (
        f"{some}: the last update did not move it (kl is 0): G was the same at all "
        "steps, or no step was better"
    )
