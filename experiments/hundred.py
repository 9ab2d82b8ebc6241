"""The paper's boldest claims at 100,000 env steps, by its own networks and rates.

Rows bear the paper's names, so that a report lays its cells beside them; a stored
action goes back through MPO's tanh without a clip, as the row of that name does.
"""

from coadapt.experiments import figure2, table3
from coadapt.experiments.base import Experiment, Plan, variants

SAC, MPO = "SAC(tanh)", "MPO(no tanh)"  # as presets are
SWAPS = (figure2.swapped("sac", "mpo"), figure2.swapped("mpo", "sac"))
ROWS = {n: table3.ROWS[n] for n in (SAC, "SAC(no tanh)", MPO, "MPO(tanh)")} | {
    n: figure2.ROWS[n] for n in SWAPS
}

PLAN = Plan(
    question="Two: what does a tanh do to SAC and to MPO, and what do the other's "
    "networks do to each? On HalfCheetah, because SAC and MPO have both learned much "
    "of it by 100,000 steps.",
    rule="The verdicts of docs/statistics.md on the primary score, margin m = 0.1 of "
    "the unit (a random policy is 0, the reference 15,254 is 1), each part at alpha / "
    "2 for two questions, Holm at the end. Welch's intervals; where seeds ran on two "
    "models of CPU, differences within each, weighted by their seeds. A failed run "
    "counts as a random policy, and by the second rule as its last score before.",
    power="At 12 seeds an arm and two questions, simulated (coadapt power --seeds=12 "
    "--questions=2 --std=...), by the std of runs in the unit. 'A gains 2 m, B is "
    "unchanged' is found in 1.00 at 0.03, 0.98 at 0.05, 0.54 at 0.08, 0.27 at 0.1; 'no "
    "effect on either' in 1.00, 0.96, 0.21, 0.02. Of two seeds at 100,000 steps, all "
    "that is known, stds are some 0.01. What it can not see is an effect below 1,550 "
    "returns, a third of what SAC has by then.",
    budget="Some 70 minutes of two cores for a seed of all six, so 14 hours for 12 "
    "seeds. A block is all six of a seed, on one model of CPU and one commit (--seeds "
    "of a block in a store of its own, which coadapt merge joins); blocks in the order "
    "of seeds, and what is there after the hours are spent is judged if it is 10 or "
    "more.",
    left_out="AWR, whose rate has hardly moved it by 100,000 steps; clipped double Q, "
    "ELU and layer norm, which the paper's own cells say need 38 to 74 seeds; other "
    "tasks, of which these say nothing. No run of a whole block is left out.",
)

EXPERIMENTS = (
    Experiment(
        name="hundred",
        plan=PLAN,
        claim="A tanh makes SAC and breaks MPO, and MPO's networks do more for SAC "
        "than SAC's do for MPO: within 100,000 steps of HalfCheetah.",
        variants=variants(ROWS),
        tasks=("gym/HalfCheetah-v5",),
        steps=100_000,
        seeds=12,
        eval_every=5000,
        eval_episodes=5,
        twins={
            figure2.swapped("sac", "sac"): SAC,
            figure2.swapped("mpo", "mpo"): MPO,
        },
        tables=("table3", figure2.TABLES["gym/HalfCheetah-v4"]),
    ),
)
