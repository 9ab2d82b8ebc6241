"""Figures 1, 4 and 5: the algorithms as they are, and AWR as its authors had it."""

from coadapt.experiments.base import Row
from coadapt.experiments.paper import MUJOCO, NEAREST, experiment

ROWS = {"SAC": Row("sac"), "MPO": Row("mpo"), "AWR": Row("awr")}
MANIPULATION = tuple(
    NEAREST[name] for name in ("Reacher-v2", "Pusher-v2", "Striker-v2")
)

# what differs in the implementation of Peng et al. 2019: settings 2.14
ORIGINAL: dict[str, object] = {
    "data.drop_last": False,
    "data.update_every": 2048,
    "data.learning_starts": 2048,
    "schedule.critic_steps": 200,
    "schedule.policy_steps": 1000,
    "networks.policy.hidden.bias": "zeros",
    "networks.critic.hidden.bias": "zeros",
    "networks.critic.output.bias": "zeros",
}
HUMANOID = {"optim.policy.rate": 5e-5, "pi_theta.scale.value": 0.2}


def _awr(task: str):
    own = HUMANOID if task == NEAREST["Humanoid-v2"] else {}
    return (
        ROWS["AWR"].variant("AWR", task),
        Row("awr", ORIGINAL | own).variant("AWR (original)", task),
    )


EXPERIMENTS = (
    experiment(
        "figure1",
        "SAC is the best of the four on most locomotion tasks, but MPO is on Ant and "
        "AWR on Swimmer.",
        ROWS | {"AWAC": Row("awac")},
        tables=("table11", "table2"),
        same={"AWAC": "AWAC(D)"},
    ),
    experiment(
        "figure4",
        "On the manipulation tasks the order is that of locomotion, but AWR is the "
        "best on Striker.",
        ROWS,
        tasks=MANIPULATION,
        cheap=MANIPULATION[:1],
    ),
    experiment(
        "figure5",
        "This implementation of AWR reaches what Peng et al. reported.",
        {},
        variants=_awr,
        tasks=MUJOCO[:5],  # Peng et al. have no Swimmer
        readings={"AWR (original)": ""},
    ),
)
