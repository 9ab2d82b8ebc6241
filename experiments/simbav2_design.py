"""SimbaV2's design study: one departure at a time from SimbaV2-SAC.

Published are returns at 1M env steps of the authors' tasks (simbav2.csv: MuJoCo's v4,
mean and std of the seeds), of the repository DAVIAN-Robotics/SimbaV2 at 86899c2. Rows
bear the names of its files; each is a change of the preset, as --set takes it. Of the
thirteen one is not here: d_resize_proj, whose projection its code does not have.
"""

from coadapt.experiments.base import Row
from coadapt.experiments.paper import MUJOCO, experiment

NETS = ("networks.policy", "networks.critic")
OPTIMIZERS = ("policy", "critic", "dual")
LENGTHS = tuple(f"optim.{one}.schedule.length" for one in OPTIMIZERS)
# settings 4.14: two updates for each env step, and rates that fall over all of them
TWICE = {
    "schedule.critic_steps": 2,
    "schedule.policy_steps": 2,
    "target.each_step": True,
    **{path: 2_000_000 for path in LENGTHS},
}


def _both(field: str, value: object) -> dict[str, object]:
    return {f"{net}.{field}": value for net in NETS}


DEPARTURES: dict[str, dict[str, object]] = {
    "simbaV2_utd2": {},
    "a_no_input_norm": _both("unit_input", False),
    "b_no_shift": _both("shift", None),
    "c_shift_1": _both("shift", 1.0),
    "e_mse_loss": {"critic.head": "ScalarHead"},
    "f_no_rew_normalize": {"reward": None},
    "g_no_rew_bound": {"reward.most": None},
    # how often is not said: as often as the soft copy takes over all of itself
    "h_hard_target_copy": {"target.critic": "Hard", "target.critic.period": 200},
    "i_no_lr_decay": {f"optim.{one}.schedule": None for one in OPTIMIZERS},
    "j_scaler_init_1": _both("scaler_init", 1.0),
    "k_scaler_scale_1": _both("scaler_scale", 1.0),
    "l_alpha_init_05": _both("alpha_init", 0.5),
    "m_alpha_scale_1": _both("alpha_scale", 1.0),
}
ROWS = {
    name: Row("sac_simbav2", TWICE | changes) for name, changes in DEPARTURES.items()
}
TASKS = tuple(task for task in MUJOCO if "Swimmer" not in task)

EXPERIMENTS = (
    experiment(
        "simbav2_design",
        "Each part of SimbaV2 matters: without it, or with another value, returns "
        "are lower.",
        ROWS,
        tasks=TASKS,
        steps=1_000_000,
        seeds=4,
        tables=("simbav2",),
        of_paper=False,
        lengths=LENGTHS,
        # as they are its critics take 8 million products a state: hours of two cores
        at_smoke={
            **_both("width", 32),
            "data.batch_size": 64,
            "data.update_every": 4,
        },
    ),
)
