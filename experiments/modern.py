"""Choices of 2018 to 2025 on five algorithms: does each help where it was not tried?

Questions, of each choice: what its source claims of one algorithm (CLAIMS), and what it
does to the others. An arm is a preset with one choice, beside the preset; a combination
that is not valid is left out, by the sentence that refuses it.

All is for two cores, as in `shortened`: networks a quarter as wide, smaller minibatches
and the quickstart's rates. So a choice is here at these sizes, not at its source's; of
REDQ its critics without its twenty steps an update, of CrossQ the norm and the missing
target without its wider layers. Lengths (a schedule's, a period of resets, the warm-up
of a norm) are those of runs of STEPS, and shrink as the budget does.

Rule: the verdicts of docs/statistics.md, margin m = 0.1 of the unit; they take 10 seeds
an arm. `--scale=reduced` has five: it describes.

Budget: 10,000 env steps of five seeds on the cheap task, 36 programs. By the update
speeds of five agents some 40 minutes of two idle cores, with compiling (10) and
environments (10) an hour.
"""

from collections.abc import Mapping
from typing import NamedTuple

from coadapt import sweep
from coadapt.algorithms import for_task
from coadapt.experiments import quickstart
from coadapt.experiments.base import Experiment
from coadapt.schema import ConfigError
from coadapt.sweep import Variant
from coadapt.validation import config_rules

STEPS = 200_000
NETS = ("policy", "critic")
TASKS = ("gym/InvertedDoublePendulum-v5", "gym/Hopper-v5", "gym/HalfCheetah-v5")

# ---------------------------------------------------------------- algorithms


class Base(NamedTuple):
    """An algorithm at this budget, and what it takes of a run's env steps."""

    changes: Mapping[str, object]
    updates: float  # an env step
    steps: tuple[float, float]  # gradient steps of policy and critic, an env step


BASES = {
    "sac": Base(quickstart.CHANGES["sac"], 1.0, (1.0, 1.0)),
    "mpo": Base(quickstart.CHANGES["mpo"], 0.5, (0.5, 0.5)),
    "awac": Base(quickstart.CHANGES["awac"], 1.0, (1.0, 1.0)),
    "td3": Base(quickstart.SMALL | quickstart.FAST | quickstart.EARLY, 0.5, (0.5, 1.0)),
    # ten epochs of 500 / 64, where the preset has ten of 2048 / 64
    "ppo": Base(
        quickstart.FAST
        | {
            "data.update_every": 500,
            "schedule.critic_steps": 80,
            "schedule.policy_steps": 80,
        },
        1 / 500,
        (0.16, 0.16),
    ),
}
CLIMBS = ("sac", "td3")  # their policies climb a critic

# ---------------------------------------------------------------- choices

# what a source says that its choice does, and to which algorithm
CLAIMS = {
    "SimBa": "residual blocks with layer norm raise the returns of SAC, and of DDPG "
    "and PPO (Lee et al. 2025).",
    "CrossQ": "with batch renorm in its networks SAC needs no target network and "
    "learns in fewer steps; TD3 too (Bhatt et al. 2024).",
    "HL-Gauss": "values by classification learn better than by regression: of discrete "
    "actions, as DQN; of SAC nothing is said (Farebrother et al. 2024).",
    "REDQ": "ten critics, the least of a random pair in targets, keep the bias of "
    "SAC's values small, at twenty updates a step (Chen et al. 2021).",
    "3-step": "returns of three steps make DQN learn sooner (Hessel et al. 2018); of "
    "five, D4PG (Barth-Maron et al. 2018).",
    "AdamW": "decoupled decay and a cosine of the rate generalise better, in "
    "supervised learning (Loshchilov and Hutter 2017, 2019).",
    "resets": "networks that start anew while the data stay end higher: of SAC, the "
    "more so at many updates a step (Nikishin et al. 2022).",
}
# discounted returns of a task lie within
RETURNS: dict[str, dict[str, object]] = {
    "gym/InvertedDoublePendulum": {"critic.head.low": -100.0, "critic.head.high": 1e3},
    "gym/Hopper": {"critic.head.low": -50.0, "critic.head.high": 500.0},
    "gym/HalfCheetah": {"critic.head.low": -200.0, "critic.head.high": 1500.0},
}
LENGTHS = (
    *(f"networks.{net}.norm.warmup" for net in NETS),
    *(f"optim.{net}.schedule.length" for net in NETS),
    "schedule.resets.period",
)


ALIKE: dict[str, Mapping[str, object]] = {  # whatever algorithm and task
    "SimBa": {
        "networks.policy": "SimBa",
        "networks.policy.width": 32,  # its source's 128, a quarter
        "networks.policy.blocks": 1,
        "networks.critic": "SimBa",
        "networks.critic.width": 64,  # an eighth: its critics are wide
        "networks.critic.blocks": 1,
    },
    "CrossQ": {
        **{f"networks.{net}.norm": "BatchRenorm" for net in NETS},
        **{f"networks.{net}.norm.warmup": STEPS // 10 for net in NETS},
        "target.critic": None,
    },
    "HL-Gauss": {"critic.head": "HLGauss"},
    "REDQ": {
        "g_estimate.critics": 10,
        "g_estimate.ensemble": "SubsetMinimum",
        "g_estimate.ensemble.size": 2,
    },
    "3-step": {
        "g_estimate.n_step": "NStepReturn",
        "g_estimate.n_step.steps": 3,
        "g_estimate.n_step.most": 3,
    },
    "AdamW": {
        **{f"optim.{net}": "AdamW" for net in NETS},
        **{f"optim.{net}.schedule": "CosineRate" for net in NETS},
        **quickstart.FAST,
    },
    "resets": {"schedule.resets": "Resets"},
}


def _own(choice: str, algorithm: str, task: str) -> Mapping[str, object]:
    """What more a choice is, of an algorithm on a task."""
    base = BASES[algorithm]
    if choice == "HL-Gauss":
        return for_task(RETURNS, task)
    if choice == "REDQ":
        return {"pi_q.gradient.critic": "mean"} if algorithm in CLIMBS else {}
    if choice == "AdamW":
        shares = zip(NETS, base.steps, strict=True)
        return {f"optim.{n}.schedule.length": round(x * STEPS) for n, x in shares}
    if choice == "resets":  # two in a run, the second long before its end
        return {"schedule.resets.period": round(0.35 * base.updates * STEPS)}
    return {}


# what no rule refuses
NO_MEANING = {
    ("ppo", "resets"): "its source's data stay while networks start anew, and "
    "data=Rollout keeps none: a reset would be a new run."
}

# ---------------------------------------------------------------- variants


def name_of(algorithm: str, choice: str) -> str:
    """'SAC(SimBa)'; of no choice 'SAC'."""
    return f"{algorithm.upper()}({choice})" if choice else algorithm.upper()


def variant(algorithm: str, choice: str, task: str) -> Variant:
    """Raises: ConfigError, where the combination is not valid."""
    (made,) = sweep.presets([algorithm], task)
    config = sweep.change(made.config, BASES[algorithm].changes)
    if choice:
        config = sweep.change(
            config, {**ALIKE[choice], **_own(choice, algorithm, task)}
        )
    if (algorithm, choice) in NO_MEANING:
        raise ConfigError(NO_MEANING[algorithm, choice])
    config_rules.check(config)
    return Variant(name_of(algorithm, choice), algorithm, config)


def _found(task: str) -> tuple[list[Variant], dict[str, str]]:
    """What there is, and why all else is not."""
    made, refused = [], {}
    for algorithm in BASES:
        for choice in ("", *CLAIMS):
            try:
                made.append(variant(algorithm, choice, task))
            except ConfigError as error:
                refused[name_of(algorithm, choice)] = str(error)
    return made, refused


def variants(task: str) -> tuple[Variant, ...]:
    """Each algorithm, alone and with each choice that is valid."""
    return tuple(_found(task)[0])


EXPERIMENTS = (
    Experiment(
        name="modern",
        claim="Residual blocks, batch renorm without a target, values by "
        "classification, ten critics, returns of three steps, AdamW with a cosine and "
        "resets help algorithms that their sources did not try.",
        variants=variants,
        tasks=TASKS,
        steps=STEPS,
        seeds=10,
        eval_every=10_000,
        cheap=TASKS[:1],
        of_paper=False,
        lengths=LENGTHS,
        claims=CLAIMS,
        left_out=_found(TASKS[0])[1],
    ),
)
