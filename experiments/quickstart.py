"""A first ablation in minutes: four algorithms, and clipped double Q on and off.

Everything is smaller and faster than in the presets, so that six programs compile and
learn within minutes on two cores. An episode is of at most 1000 steps, each of reward
1; a uniformly random policy's return is 3, that of no action 26. These numbers are no
benchmark of the algorithms.
"""

from coadapt import sweep
from coadapt.experiments.base import Experiment
from coadapt.sweep import Variant

SMALL = {
    "networks.policy.sizes": "64,64",  # presets: up to 512 wide
    "networks.critic.sizes": "64,64",
    "data.batch_size": 128,  # presets: 256
}
# presets: 3e-4 (1e-4 for MPO), for millions of steps
FAST = {"optim.policy.rate": 1e-3, "optim.critic.rate": 1e-3}
EARLY = {"data.learning_starts": 500, "data.random_steps": 500}  # presets: 10,000

CHANGES = {
    "awr": SMALL
    | {
        "data.learning_starts": 1500,  # an episode may take 1000 steps
        "data.update_every": 250,  # preset: 3000 with 293 and 1465 steps of learning
        "schedule.critic_steps": 25,  # 293 / 12
        "schedule.policy_steps": 122,  # 1465 / 12
        "optim.policy.rate": 1e-2,  # preset: 5e-5
    },
    "sac": SMALL | FAST | EARLY | {"optim.dual.rate": 1e-3},
    "awac": SMALL | FAST | EARLY,
    "mpo": SMALL
    | FAST
    | {
        "data.learning_starts": 500,  # preset: 1000
        "data.update_every": 2,  # preset: 8
        "target.policy.period": 25,  # preset: 100
        "target.critic.period": 25,
        "pi_p_update.trust_region.epsilon_mean": 1e-2,  # preset: 1e-3
        "pi_p_update.trust_region.epsilon_std": 1e-4,  # preset: 1e-6
    },
}


def variants(task: str) -> tuple[Variant, ...]:
    """Four algorithms, and two of them with a single critic; AWR compiles fastest."""
    made = [
        Variant(v.name, v.algorithm, sweep.change(v.config, CHANGES[v.name]))
        for v in sweep.presets(list(CHANGES), task)
    ]
    single = [
        Variant(
            f"{v.name}-single-q",
            v.algorithm,
            sweep.change(v.config, {"g_estimate.critics": 1}),
        )
        for v in made
        if v.name in ("sac", "awac")
    ]
    return (*made, *single)


EXPERIMENTS = (
    Experiment(
        name="quickstart",
        claim="Two seeds show how four algorithms learn, two of them with one critic "
        "too; whether clipped double Q helps takes at least 10 seeds a variant.",
        variants=variants,
        tasks=("gym/InvertedPendulum-v5",),
        steps=16_000,
        seeds=2,
        eval_every=2000,
        eval_episodes=5,
    ),
)
