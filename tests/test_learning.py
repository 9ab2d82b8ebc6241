"""Each row of Table 1, small, reaches an optimum that is known in closed form."""

from typing import NamedTuple

import numpy as np
import pytest
from recipes import behaviour, cases, write_dataset

from coadapt import algorithms, runner, schema
from coadapt.envs import toy

pytestmark = pytest.mark.usefixtures(
    "optimised", "one_device"
)  # a third less time in all

DATASET = "learning/lqr-v0"
NETS = {"networks.policy.sizes": (32, 32), "networks.critic.sizes": (32, 32)}
NEAR = NETS | {"g_estimate.discount": 0.97}  # episodes have 30 steps
RATES = {"optim.policy.rate": 3e-4, "optim.critic.rate": 1e-3}
FAST = {"optim.policy.rate": 1e-3, "optim.critic.rate": 3e-3}
EARLY = (
    NEAR
    | RATES
    | {"data.batch_size": 64, "data.learning_starts": 300, "data.random_steps": 300}
)
NOISY = EARLY | {
    "data.learning_starts": 1000,
    "data.random_steps": 1000,
    "pi_theta.noise": 0.3,
}
RESIDUAL = {name: value for name, value in EARLY.items() if "sizes" not in name} | {
    "networks.policy.width": 32,
    "networks.critic.width": 32,
    "optim.dual.rate": 1e-3,
}
SIXTY = {"data.update_every": 600, "schedule.critic_steps": 60}
BINS = {"pi_theta.bins": 11}


class Recipe(NamedTuple):
    """What the median of three seeds comes near, how near, and by which changes."""

    steps: int  # env steps; updates, offline
    gap: float  # from the optimum
    changes: dict[str, object]


# toy/lqr: the optimum is -4.3, a uniformly random policy's return -131, that of no
# action -38.5. A gap of 2 is 1.6% of the way from random. Of it 0.3 is the luck of 200
# start states; the rest is what constant learning rates leave at this length. The
# comments have the measured median. Of six seeds of MPO, SAC and AWAC, and of three of
# PPO, TRPO and V-MPO, none was below -6.4 with these changes.
NEARLY = 2.0
# 4% of the way. RWR, UREX and PoWER learn from returns, with no critic for a baseline;
# REPS and UREX take one of 11 actions, whose rounding alone costs 0.5; DDPG and TD3
# swing about the optimum (of six seeds, -4.4 to -8.5 here; trained twice as long, half
# of DDPG's stand at -9 to -12).
ROUGHLY = 5.0
LQR = {
    "mpo": Recipe(  # -5.0
        12_000,
        NEARLY,
        NEAR
        | {
            "optim.policy.rate": 6e-4,
            "optim.critic.rate": 2e-3,
            "data.learning_starts": 300,
            "data.update_every": 4,
            "target.policy.period": 25,
            "target.critic.period": 25,
            "pi_theta.scale.init_std": 0.3,
            "pi_p.samples": 10,
            "data.batch_size": 64,
            "pi_p_update.trust_region.epsilon_mean": 1e-2,
            "pi_p_update.trust_region.epsilon_std": 1e-4,
        },
    ),
    "awr": Recipe(
        16_000,
        NEARLY,
        NEAR
        | FAST
        | {
            "data.batch_size": 128,
            "data.learning_starts": 600,
            "data.update_every": 600,
            "data.capacity": 6000,
            "schedule.critic_steps": 100,
            "schedule.policy_steps": 300,
        },
    ),
    "awac": Recipe(6000, NEARLY, EARLY),  # -5.4
    "sac": Recipe(6000, NEARLY, EARLY | {"optim.dual.rate": 1e-3}),  # -5.6
    "power": Recipe(  # -6.6; linear networks, and 2 s for all of it
        200_000,
        ROUGHLY,
        {
            "data.update_every": 3000,
            "data.policy_batch_size": 3000,
            "g.shift": "return",
            "g_estimate.discount": 0.9,
        },
    ),
    "rwr": Recipe(  # -7.5
        60_000,
        ROUGHLY,
        NETS
        | {
            "data.update_every": 2000,
            "data.batch_size": 256,
            "schedule.policy_steps": 100,
            "optim.policy": "Adam",
            "optim.policy.rate": 1e-3,
            "pi_theta.scale.value": 0.3,
            "g_estimate.discount": 0.9,
        },
    ),
    "reps": Recipe(  # -6.7
        40_000,
        ROUGHLY,
        BINS
        | {
            "networks.policy.sizes": (32, 32),
            "networks.critic.features": "Quadratic",
            "data.update_every": 1000,
            "data.batch_size": 100,
            "g_estimate.discount": 0.97,
        },
    ),
    "urex": Recipe(  # -6.8
        60_000,
        ROUGHLY,
        NETS
        | BINS
        | {
            "data.update_every": 1000,
            "data.policy_batch_size": 1000,
            "schedule.policy_steps": 10,
            "pi_q.standardize": True,
            "pi_q_update.temperature.value": 0.5,
            "optim.policy.rate": 3e-3,
        },
    ),
    "vmpo_table1": Recipe(  # -5.1
        22_500,
        NEARLY,
        NEAR | FAST | {"data.update_every": 600, "optim.dual.rate": 1e-2},
    ),
    "trpo_table1": Recipe(  # -5.0; without its noise, which a greedy action has there
        20_000,
        NEARLY,
        NEAR
        | SIXTY
        | {
            "data.policy_batch_size": 600,
            "optim.critic.rate": 3e-3,
            "eval_policy": "Mode",
        },
    ),
    "vmpo": Recipe(  # -5.3
        20_000, NEARLY, NEAR | SIXTY | {"schedule.policy_steps": 60}
    ),
    # -5.2; at the preset's gains of sqrt(2) its seeds swing to -128 after 18,000 steps
    "trpo": Recipe(
        20_000,
        NEARLY,
        NEAR
        | SIXTY
        | {
            "data.policy_batch_size": 600,
            "optim.critic.rate": 3e-3,
            "networks.policy.hidden.scale": 1.0,
            "networks.critic.hidden.scale": 1.0,
        },
    ),
    "ppo": Recipe(  # -5.2
        20_000, NEARLY, NEAR | FAST | SIXTY | {"schedule.policy_steps": 60}
    ),
    "ppo_details": Recipe(
        20_000, 2 * NEARLY, NEAR | FAST | SIXTY | {"schedule.policy_steps": 60}
    ),
    "ddpg": Recipe(4000, ROUGHLY, NOISY | {"optim.policy.rate": 1e-4}),  # -6.2
    "td3": Recipe(5000, ROUGHLY, NOISY),  # -7.0
}
# returns of toy/lqr by gamma = 0.9: from those of random actions to the best
ATOMS = {"critic.head.low": -60.0, "critic.head.high": 2.0}
LQR |= {
    "redq": Recipe(
        2000,
        NEARLY,
        EARLY | {"optim.dual.rate": 1e-3, "schedule.critic_steps": 5},
    ),
    "tqc": Recipe(6000, NEARLY, EARLY | {"optim.dual.rate": 1e-3}),
    "crossq": Recipe(  # -5.9
        6000,
        NEARLY,
        EARLY | {"optim.dual.rate": 1e-3, "data.update_every": 1},
    ),
    "droq": Recipe(  # -5.1
        2000,
        NEARLY,
        EARLY | {"optim.dual.rate": 1e-3, "schedule.critic_steps": 5},
    ),
    "sac_simba": Recipe(6000, NEARLY, RESIDUAL),  # -5.4
    "sac_simbav2": Recipe(6000, NEARLY, RESIDUAL),  # -5.8
    "sac_bro": Recipe(  # -4.9
        2000,
        NEARLY,
        RESIDUAL | {"schedule.critic_steps": 4, "schedule.policy_steps": 4},
    ),
    "d4pg": Recipe(
        6000,
        ROUGHLY,
        NOISY
        | ATOMS
        | {
            "optim.policy.rate": 1e-4,
            "data.update_every": 1,
            "target.policy.period": 25,
            "target.critic.period": 25,
        },
    ),
    "dmpo": LQR["mpo"]._replace(changes=LQR["mpo"].changes | ATOMS),
    "fast_td3": Recipe(  # -4.9
        12_000, ROUGHLY, EARLY | ATOMS | {"data.envs": 4, "data.update_every": 4}
    ),
}
# toy/corridor (optimum 1, random 0.5): two actions, and always the same one is best. A
# greedy policy is at 1 or, where one state is still wrong, at 0.8 or less.
WHOLE = 0.01
CHOOSE = NETS | {"pi_theta": "Softmax", "g_estimate.discount": 0.97}
THREE = {
    "data.update_every": 300,
    "schedule.critic_steps": 40,
    "optim.critic.rate": 3e-3,
}
JOINT = {"pi_p_update.trust_region": "JointKL"}
CORRIDOR = {
    "ppo": Recipe(
        3000,
        WHOLE,
        CHOOSE | THREE | {"schedule.policy_steps": 40, "optim.policy.rate": 3e-3},
    ),
    "trpo": Recipe(
        6000,
        WHOLE,
        CHOOSE | THREE | {"data.policy_batch_size": 300, "eval_policy": "Mode"},
    ),
    "vmpo": Recipe(
        3000,
        WHOLE,
        CHOOSE
        | THREE
        | JOINT
        | {
            "schedule.policy_steps": 40,
            "optim.policy.rate": 3e-3,
            "optim.dual.rate": 1e-2,
        },
    ),
    "mpo": Recipe(
        6000,
        WHOLE,
        CHOOSE
        | JOINT
        | {
            "bounds": "none",
            "data.learning_starts": 300,
            "data.update_every": 4,
            "data.batch_size": 64,
            "pi_p.samples": 4,
            "target.policy.period": 25,
            "target.critic.period": 25,
            "optim.policy.rate": 1e-3,
            "optim.critic.rate": 1e-3,
        },
    ),
    "awr": Recipe(
        6000,
        WHOLE,
        CHOOSE
        | {
            "bounds": "none",
            # else the step that pays is never seen: only the wrong way is, beside it
            "data.drop_last": False,
            "data.learning_starts": 300,
            "data.update_every": 300,
            "data.capacity": 3000,
            "data.batch_size": 64,
            "schedule.critic_steps": 50,
            "schedule.policy_steps": 100,
            "optim.policy.rate": 1e-2,
        },
    ),
    "awac": Recipe(
        3000,
        WHOLE,
        CHOOSE
        | {
            "data.learning_starts": 300,
            "data.random_steps": 300,
            "data.batch_size": 64,
            "pi_q_update.temperature.value": 0.1,
            "optim.policy.rate": 1e-3,
            "optim.critic.rate": 1e-3,
        },
    ),
    "urex": Recipe(
        4000,
        WHOLE,
        NETS
        | {
            "data.update_every": 400,
            "data.policy_batch_size": 400,
            "schedule.policy_steps": 10,
            "optim.policy.rate": 3e-3,
        },
    ),
    "reps": Recipe(
        3000,
        WHOLE,
        {
            "networks.policy.sizes": (32, 32),
            "networks.critic.features.number": 32,
            "data.update_every": 300,
            "data.batch_size": 64,
            "schedule.policy_steps": 50,
        },
    ),
}
# toy/arms: three of them, which pay 1, 2 and 3: C23, that exact REPS and EM end at the
# best one, and nothing is between 2 and 3 for a greedy action.
ARMS = {
    "reps": Recipe(
        2500,
        WHOLE,
        {
            "networks.policy.sizes": (32, 32),
            "networks.critic.features.number": 16,
            "data.update_every": 500,
            "data.batch_size": 100,
            "schedule.policy_steps": 50,
        },
    ),
}
UREX_ARMS = {
    "data.update_every": 500,
    "data.policy_batch_size": 500,
    "schedule.policy_steps": 10,
    "optim.policy.rate": 1e-2,
}
ARMS["urex"] = Recipe(2500, WHOLE, NETS | UREX_ARMS)
PROBES = {"toy/lqr": LQR, "toy/corridor": CORRIDOR, "toy/arms": ARMS}


def returns(name: str, task: str, recipe: Recipe) -> np.ndarray:
    """Of three seeds, the mean return of 200 greedy episodes at the end."""
    config = schema.override(algorithms.preset(name), recipe.changes)
    told: list[np.ndarray] = []
    runner.train(
        [config] * 3, [0, 1, 2], task, steps=recipe.steps, eval_every=recipe.steps,
        eval_episodes=200, report=lambda r: told.append(r.metrics["return"]),
    )  # fmt: skip
    return told[-1]


def test_every_row_has_a_probe():
    assert {*LQR, *OFFLINE} >= set(algorithms.PRESETS)


ALL = [(task, row) for task in PROBES for row in PROBES[task]]
# a usual run sees one learn from a replay, and one from whole episodes by a Softmax
SEEN = [("toy/lqr", "mpo"), ("toy/arms", "urex")]


@pytest.mark.parametrize(
    "case", cases(ALL, [case for case in ALL if case not in SEEN]), ids="-".join
)
def test_reaches_the_known_optimum(case):
    task, name = case
    recipe, optimum = PROBES[task][name], toy.optimum(task)
    found = returns(name, task, recipe)
    assert np.median(found) > optimum - recipe.gap
    assert np.max(found) < optimum + 1.0  # nothing beats it but luck of starts


CRITICS: dict[str, dict[str, object]] = {
    "mean": {"g_estimate.ensemble": "Mean"},
    "median": {"g_estimate.critics": 3, "g_estimate.ensemble": "Median"},
    "c51": {"critic.head": "C51"} | ATOMS,
    "hl-gauss": {"critic.head": "HLGauss"} | ATOMS,
    "two-hot": {"critic.head": "TwoHot", "critic.head.spacing": "symlog"} | ATOMS,
    "symlog": {"critic.head": "SymlogHead"},
    "huber": {"critic.loss": "Huber"},
    "log-cosh": {"critic.loss": "LogCosh"},
    "no-copy": {"target.critic": "none"},
    "n-step": {"g_estimate.n_step": "NStepReturn"},
}


@pytest.mark.long
@pytest.mark.parametrize("name", CRITICS)
def test_sac_learns_with_each_choice_of_critics(name):
    recipe = LQR["sac"]
    changes = recipe.changes | CRITICS[name]
    found = returns("sac", "toy/lqr", recipe._replace(changes=changes))
    assert np.median(found) > toy.optimum("toy/lqr") - ROUGHLY


@pytest.mark.long
def test_sac_learns_something_with_ratios_that_nothing_bounds():
    """Of three seeds one ended at -564, the others at -7.8 and -10.5; idle is -38.5."""
    recipe, path = LQR["sac"], "g_estimate.n_step"
    changes = recipe.changes | {path: "NStepReturn", f"{path}.importance": True}
    found = returns("sac", "toy/lqr", recipe._replace(changes=changes))
    assert np.median(found) > toy.LQR().idle()


# at lam = 1 Uncut ends at -9.9: it is safe for small ones alone (Harutyunyan et al.)
TRACES = {"FullRatio": 1.0, "Uncut": 0.5, "Peng": 1.0}


@pytest.mark.long
@pytest.mark.parametrize("trace", TRACES)
def test_mpo_learns_with_each_trace(trace):
    recipe, changes = LQR["mpo"], {"g_estimate.steps": 3, "g_estimate.trace": trace}
    changes = recipe.changes | changes | {"g_estimate.lam": TRACES[trace]}
    found = returns("mpo", "toy/lqr", recipe._replace(changes=changes))
    assert np.median(found) > toy.optimum("toy/lqr") - ROUGHLY


@pytest.mark.long
def test_power_finds_the_best_action_of_a_bandit():
    """Optimum 0, random -0.58: what the step-based weight r - min r leaves is a std of
    0.03, the least that its closed form allows, and a mean as near as that."""
    changes = {"data.update_every": 1000, "data.policy_batch_size": 1000}
    found = returns("power", "toy/bandit", Recipe(20_000, 0.0, changes))
    assert np.min(found) > -0.01


# ---------------------------------------------------------------- others' settings

VARIANTS = {  # -5.7: the clip holds the ratio, not the KL, and the std stays larger
    "ppo, clipped": (
        "ppo",
        "toy/lqr",
        LQR["ppo"]._replace(
            gap=2 * NEARLY,
            changes=LQR["ppo"].changes | {"pi_q_update.trust_region": "ClippedRatio"},
        ),
    ),
    "trpo, as PFRL": (  # -4.8
        "trpo_table1",
        "toy/lqr",
        LQR["trpo_table1"]._replace(
            changes=LQR["trpo_table1"].changes
            | {"g_estimate": "GAE", "g_estimate.lam": 0.97}
        ),
    ),
    # -10 to -20: at a std of 0.3 and with returns that differ by their starts, the mean
    # cost is small where a batch has one bad outlier; it beats no action (-38.5)
    "rwr, its own temperature": (
        "rwr",
        "toy/lqr",
        LQR["rwr"]._replace(
            steps=30_000,
            gap=25.0,
            changes=LQR["rwr"].changes
            | {"pi_q_update.temperature": "ExponentialTemperature"},
        ),
    ),
    "urex, the original": (
        "urex",
        "toy/arms",
        Recipe(
            2500,
            WHOLE,
            NETS | UREX_ARMS | {"pi_p": "Uniform", "pi_q.expected_return": True},
        ),
    ),
}


def _also(name: str, gap: float, changes: dict[str, object]) -> tuple:
    """A row of LQR with these changes more."""
    recipe = LQR[name]
    return name, "toy/lqr", recipe._replace(gap=gap, changes=recipe.changes | changes)


STD = "exploration.std"
VARIANTS |= {
    # -8.4; at its theta of 0.15, noise of this std swings a double integrator so far
    # that of three seeds one ended at -4.5, one at -18 and one at -56
    "td3, OU": _also(
        "td3",
        ROUGHLY,
        {"exploration.noise": "OrnsteinUhlenbeck", "exploration.noise.theta": 0.5},
    ),
    "td3, pink": _also(  # -9.0
        "td3",
        ROUGHLY,
        {"exploration.noise": "PinkNoise", "exploration.noise.horizon": 30},
    ),
    "td3, a std for each episode": _also(  # -7.1
        "td3", ROUGHLY, {STD: "EpisodeStd", f"{STD}.low": 0.1, f"{STD}.high": 0.5}
    ),
    "sac, Beta": _also("sac", NEARLY, {"pi_theta": "Beta"}),  # -5.0
    "ppo, Beta": _also("ppo", NEARLY, {"pi_theta": "Beta"}),  # -5.3
    # -5.7
    "awac, mixture": _also("awac", NEARLY, {"pi_theta": "MixtureOfGaussians"}),
    "ppo, steps that end early": _also(  # -5.4
        "ppo", NEARLY, {"pi_q_update.early_stop": "KLStop"}
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_another_point_of_a_row_learns_too(variant):
    name, task, recipe = VARIANTS[variant]
    assert np.median(returns(name, task, recipe)) > toy.optimum(task) - recipe.gap


# ---------------------------------------------------------------- offline

WARM = {"schedule.warm_start": 200}
FOLLOWED = WARM | {"pi_p.pretrain_updates": 500, "pi_p.keep_fitting": True}
OFFLINE = {
    "brac": (3000, WARM | {"pi_p.pretrain_updates": 500}),
    "brac, dual KL": (3000, FOLLOWED | {"pi_q_update.divergence": "DualKL"}),
    "brac, Wasserstein": (3000, FOLLOWED | {"pi_q_update.divergence": "Wasserstein"}),
    "bear": (2000, WARM | {"pi_p.model.sizes": (32, 32)}),
    "td3_bc": (3000, {}),
    "rebrac": (
        3000,
        {"g_estimate.cloning.weight": 0.1, "pi_q.gradient.cloning.weight": 0.1},
    ),
    "crr": (
        3000,
        ATOMS | {"target.policy.period": 25, "target.critic.period": 25},
    ),
    "iql": (3000, {"optim.policy.schedule.length": 3000}),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        write_dataset(DATASET, share=0.3, noise=0.3, episodes=100)
        yield DATASET


@pytest.mark.long
@pytest.mark.parametrize("name", OFFLINE)
def test_offline_ends_above_the_policy_that_made_the_data(name, dataset):
    """3000 steps by 0.3 of the best gains and noise of std 0.3, whose return is -22.4;
    -7.8 without the noise. Measured: BRAC -4.5, BEAR -5.7."""
    _, made = behaviour(0.3, 0.3)
    _, mean = behaviour(0.3, 0.0)
    assert made == pytest.approx(-22.4, abs=0.05)
    assert mean == pytest.approx(-7.8, abs=0.05)
    changes = NEAR | {"data.dataset": dataset}
    (steps, own), row = OFFLINE[name], name.split(",")[0]
    found = returns(row, "toy/lqr", Recipe(steps, 0.0, changes | own))
    # above what a perfect clone without the noise has, by more than the luck of starts;
    # CRR is that clone of the better actions (measured: -7.6)
    assert np.median(found) > mean + (-1.0 if name == "crr" else 1.0)
    assert np.max(found) < toy.optimum("toy/lqr") + 1.0
