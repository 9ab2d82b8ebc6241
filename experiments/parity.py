"""Our side of a comparison with other implementations, at equal settings.

`python -m benchmarks.peers.parity` runs the other side from the configs of this file,
and `python -m benchmarks.parity` judges both by the rule of `PLAN`. Settings are the
presets', but that PPO clips its ratio, as the other does, and that on cheap tasks
networks and minibatches are small, replays are learned from after 500 steps, and rates,
discounts and iterations are such that 10,000 to 60,000 steps are enough. What the other
side can not have as ours is in its notes, beside its rows.
"""

from collections.abc import Mapping

from coadapt.experiments.base import Experiment, Plan, Row
from coadapt.experiments.learns import LONG, SHORT, USUAL
from coadapt.sweep import Variant

CLIP = {"pi_q_update.trust_region": "ClippedRatio"}
NETS = ("networks.policy.sizes", "networks.critic.sizes")
SMALL = {net: (64, 64) for net in NETS}
REPLAY = SMALL | {
    "data.batch_size": 64,
    "data.learning_starts": 500,
    "data.random_steps": 500,
}
RATES = {f"optim.{one}.rate": 1e-3 for one in ("policy", "critic", "dual")}
CHEAP = {
    "sac": Row("sac", REPLAY | RATES, steps=10_000),
    "td3": Row("td3", REPLAY, steps=10_000),
    "ddpg": Row("ddpg", REPLAY, steps=10_000),
    "ppo": Row("ppo", CLIP, steps=40_000),
    "trpo": Row("trpo", steps=40_000),
}
# without it 40,000 steps do not swing it up: its episodes are 200 costs
SIGHT = {"g_estimate.discount": 0.9}
# whole iterations, and so fewer steps of each than by the presets
WHOLE = {"data.update_every": 2000, "data.policy_batch_size": 2000}
BALANCE = CHEAP | {
    "rwr": Row(
        "rwr", {"optim.policy.rate": 1e-3, "schedule.policy_steps": 200}, steps=40_000
    ),
    "power": Row("power", WHOLE, steps=60_000),
}
# returns in standard deviations, as one episode would have all the weight else
DISCRETE = {
    "reps": Row("reps", steps=60_000),
    "urex": Row(
        "urex",
        WHOLE
        | {
            "pi_q.standardize": True,
            "pi_q_update.temperature.value": 1.0,
            "optim.policy.rate": 5e-3,
        },
        steps=60_000,
    ),
}
PENDULUM = CHEAP | {
    name: row._replace(changes={**row.changes, **SIGHT})
    for name, row in CHEAP.items()
    if name in ("ppo", "trpo")
}
ROBOTS = {
    "sac": Row("sac", steps=SHORT),
    "td3": Row("td3", steps=SHORT),
    "ppo": Row("ppo", CLIP, steps=USUAL),
    "trpo": Row("trpo", steps=USUAL),
    "mpo": Row("mpo", steps=SHORT),
    "awac": Row("awac", steps=SHORT),
    "vmpo": Row("vmpo", steps=USUAL),
    "awr": Row("awr", steps=LONG),
}
TASKS: dict[str, Mapping[str, Row]] = {
    "gym/Pendulum-v1": PENDULUM,
    "gym/InvertedPendulum-v5": BALANCE,
    "gym/CartPole-v1": DISCRETE,
    "gym/Reacher-v5": ROBOTS,
    "gym/HalfCheetah-v5": ROBOTS,
}


def variants(task: str) -> tuple[Variant, ...]:
    """Those of a task of the plan; on another, as on a robot."""
    rows = TASKS.get(task, ROBOTS)
    return tuple(row.variant(name, task) for name, row in rows.items())


PLAN = Plan(
    question="Of each row and task: is ours worse than another implementation of the "
    "same algorithm, at the same settings, task version, steps and evaluation? The "
    "other is Stable-Baselines3 for SAC, TD3, DDPG and PPO, sb3-contrib for TRPO, and "
    "for what neither has a plain transcription of its paper's formulas, in "
    "benchmarks/peers; a row that has none is not judged.",
    rule="d = (ours - theirs) / (theirs - random), of mean scores of runs, a run's "
    "being the mean of its last evaluations. 'did not learn': theirs is not 3 stds of "
    "a random policy's episodes above it. 'worse': the upper bound of d is below 0, at "
    "97.5% after Holm over all cells. 'not worse': the lower 97.5% bound is above "
    "-0.25. 'not decided': all else. Bounds are Welch's, within strata, which are "
    "models of CPU. A failed run counts as a random policy, on either side.",
    power="Of 'not worse' for equal programs, 10 seeds an arm, one task, by the std of "
    "runs over (theirs - random): 1.00 at 0.1, 0.80 at 0.2, 0.38 at 0.3, 0.09 at 0.5.",
    budget="A minute or two a cell on the cheap tasks, ours and theirs, so an hour in "
    "all; on HalfCheetah and Reacher, whose runs differ less, 10 hours where theirs is "
    "as fast as ours. Cheap tasks first; no program is over 90 minutes. 10 seeds an "
    "arm. An arm with fewer when the hours are spent is judged by what it has, and its "
    "power says so.",
    left_out="BRAC and BEAR, for which no such implementation is. A row that is worse "
    "is looked into: a fault is mended, a setting is named, and it is judged again on "
    "fresh seeds of both, in a store of its own; the first verdict stays in a log. "
    "Runs of a model of CPU that the other side has not are left out, and counted.",
)

EXPERIMENTS = (
    Experiment(
        name="parity",
        plan=PLAN,
        claim="No row learns worse than an implementation that the field trusts.",
        variants=variants,
        tasks=tuple(TASKS),
        steps=USUAL,
        seeds=10,
        eval_every=2000,
        eval_episodes=5,
    ),
)
