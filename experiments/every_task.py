"""Does everything train? SAC and MPO on each of the paper's 37 tasks, briefly.

Networks and numbers are small: it is no benchmark, and its returns are those of agents
that have hardly begun.
"""

from coadapt import sweep
from coadapt.experiments.base import Experiment
from coadapt.sweep import Variant
from coadapt.tasks import registry

SMALL = {
    "networks.policy.sizes": "32,32",  # presets: up to 512 wide
    "networks.critic.sizes": "32,32",
    "data.batch_size": 32,  # presets: 256
    "data.learning_starts": 500,  # presets: 10,000 and 1000
    "data.random_steps": 500,
}


def variants(task: str) -> tuple[Variant, ...]:
    return tuple(
        Variant(v.name, v.algorithm, sweep.change(v.config, SMALL))
        for v in sweep.presets(["sac", "mpo"], task)
    )


EXPERIMENTS = (
    Experiment(
        name="every_task",
        claim="Each of the paper's tasks can be stepped, learned from and evaluated.",
        variants=variants,
        tasks=tuple(registry.paper()),
        steps=3000,
        seeds=2,
        eval_every=3000,
        eval_episodes=1,
    ),
)
