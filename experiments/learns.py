"""Does every online preset of Table 1 learn, on tasks that nobody tuned it for?

Presets are those of Table 1 that need no data set, with `trpo` and `vmpo`. REPS and
UREX choose among discrete actions: here among 11 values of each dimension, as no task
of these would have them otherwise. `python -m benchmarks.learns` judges by `PLAN`.
"""

from coadapt.experiments.base import Experiment, Plan, Row, variants

SHORT, USUAL, LONG = 30_000, 100_000, 300_000  # env steps
BINS = {"pi_theta.bins": 11}
ROWS = {
    "mpo": Row("mpo", steps=SHORT),
    "awr": Row("awr", steps=LONG),
    "awac": Row("awac", steps=SHORT),
    "sac": Row("sac", steps=SHORT),
    "power": Row("power", steps=USUAL),
    "rwr": Row("rwr", steps=USUAL),
    "reps": Row("reps", BINS, steps=USUAL),
    "urex": Row("urex", BINS, steps=USUAL),
    "vmpo_table1": Row("vmpo_table1", steps=USUAL),
    "vmpo": Row("vmpo", steps=USUAL),
    "trpo_table1": Row("trpo_table1", steps=USUAL),
    "trpo": Row("trpo", steps=USUAL),
    "ppo": Row("ppo", steps=USUAL),
    "ddpg": Row("ddpg", steps=SHORT),
    "td3": Row("td3", steps=SHORT),
}

PLAN = Plan(
    question="By its own defaults, is what an online preset of Table 1 has learned "
    "better than a random policy and better than doing nothing? On three tasks: one "
    "that ends when poles fall, one that never ends and whose reward is a cost, and "
    "one of the DeepMind Control suite, a robot with contacts and six torques. No "
    "preset has numbers for them and no setting was ever chosen by them; on each, "
    "doing nothing is far from the best.",
    rule="Of each preset and task: the mean score of its seeds is above a random "
    "policy's and above that of doing nothing, each by a lower 97.5% bound (Welch's, "
    "beside 20 episodes of either). A failed run counts as a random policy. All cells "
    "are told; Holm over them beside it.",
    power="A random policy's error left out, 5 seeds: 0.71 where the mean is 1.5 stds "
    "of runs above, 0.91 where it is 2, 1.00 where it is 3; at Holm's first step over "
    "90 bounds 0.70 at 5, 0.99 at 8. What learns at all is further off than 3.",
    budget="Steps differ, as algorithms do: 30,000 with a replay of steps, 300,000 of "
    "AWR, 100,000 of all others; 5 seeds. By the minutes in docs/results.md some 2 "
    "hours of two cores a task, so 6 in all; one program a preset and task, each under "
    "90 minutes. Cheapest first.",
    left_out="Presets of data sets (BRAC, BEAR), and what came later than Table 1. "
    "Reacher, where doing nothing is as good as 10,000 steps of learning, and Pusher, "
    "where it beats a random policy. A preset that does not learn is said not to; none "
    "is tuned here.",
)

EXPERIMENTS = (
    Experiment(
        name="learns",
        plan=PLAN,
        claim="Every online preset of Table 1 learns, by its own defaults, on three "
        "tasks that nobody tuned it for.",
        variants=variants(ROWS),
        tasks=("gym/Pendulum-v1", "gym/InvertedDoublePendulum-v5", "dmc/walker_walk"),
        steps=USUAL,
        seeds=5,
        eval_every=5000,
        eval_episodes=5,
    ),
)
