"""Does a row learn as well where its layers multiply in bfloat16 as in float32?

`python -m benchmarks.precision` judges by `PLAN`, with the rule of parity.
"""

from collections.abc import Mapping

from coadapt.experiments.base import Experiment, Plan, Row
from coadapt.sweep import Variant

HALVES = " (bfloat16)"  # ends the name of a row that multiplies so
EARLY = {"data.learning_starts": 500, "data.random_steps": 500}
# env steps, and what is changed: 10,000 steps are few where a replay waits for as many
TASKS: dict[str, tuple[int, Mapping[str, object]]] = {
    "gym/Pendulum-v1": (10_000, EARLY),
    "gym/HalfCheetah-v5": (50_000, {}),
}
ALGORITHMS = ("sac", "mpo")


def variants(task: str) -> tuple[Variant, ...]:
    """Both precisions of each algorithm; on a task of its own as on HalfCheetah."""
    steps, changes = TASKS.get(task, TASKS["gym/HalfCheetah-v5"])
    return tuple(
        Row(one, {**changes, "networks.precision": to}, steps=steps).variant(name, task)
        for one in ALGORITHMS
        for name, to in ((one, "float32"), (one + HALVES, "bfloat16"))
    )


PLAN = Plan(
    question="Of SAC and MPO with their presets' networks: is what they learn with "
    "networks.precision=bfloat16 worse than with float32?",
    rule="That of experiments/parity.py, with bfloat16 as ours and float32 as theirs: "
    "d = (bfloat16 - float32) / (float32 - random), within models of CPU.",
    power="Of 'not worse' for equal programs, 10 seeds an arm, by the std of runs over "
    "(float32 - random): 1.00 at 0.1, 0.80 at 0.2, 0.38 at 0.3, 0.09 at 0.5.",
    budget="Both precisions of an algorithm on a task are a block, on one model of CPU "
    "and one commit. At 190 updates of SAC a second (two cores without AVX-512) 17 "
    "minutes on Pendulum and 70 on HalfCheetah; at 22 of MPO, which makes one in 8 "
    "steps, 19 and 93. Pendulum first, SAC first; blocks are told as they are done.",
    left_out="A processor without products of bfloat16 rounds the factors and "
    "multiplies in float32, which learns the same but for the order of sums. "
    "Steps are those of both precisions, not of equal time.",
)

EXPERIMENTS = (
    Experiment(
        name="precision",
        plan=PLAN,
        claim="With products in bfloat16 SAC and MPO learn as well as in float32.",
        variants=variants,
        tasks=tuple(TASKS),
        steps=50_000,
        seeds=10,
        eval_every=2000,
        eval_episodes=5,
    ),
)
