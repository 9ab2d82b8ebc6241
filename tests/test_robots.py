"""Whose row a task takes: the whole name of the robot, in any suite that has it."""

import importlib

import pytest

from coadapt import algorithms, envs, schema
from coadapt.algorithms import robots
from coadapt.cli import sweep
from coadapt.experiments.base import paper_steps
from coadapt.tasks import registry

DMC = importlib.import_module("coadapt.algorithms.mpo").DMC  # not the preset's function
ROWS = {
    "": 0,
    "gym/Ant": 1,
    "gym/Humanoid": 2,
    "dmc/": 3,
    "dmc/humanoid": 4,
    "dmc/cartpole_swingup": 5,
    "ours/Striker": 6,
}
FOUND = {
    "gym/Ant-v4": "gym/Ant",
    "gym/Ant-v5?ctrl_cost_weight=0&healthy_reward=1": "gym/Ant",
    "gym/AntMaze-v0": "",
    "gym/Ant_Maze-v0": "",
    "gym/mypkg:Ant-v0": "",
    "gym/HumanoidStandup-v5": "",
    "gym/Humanoid-v5": "gym/Humanoid",
    "brax/ant": "gym/Ant",
    "brax/ant:spring": "gym/Ant",
    "brax/humanoidstandup": "",
    "dmc/humanoid_run": "dmc/humanoid",
    "dmc/humanoid": "dmc/humanoid",
    "dmc/humanoids_run": "dmc/",
    "dmc/cartpole_swingup": "dmc/cartpole_swingup",
    "dmc/cartpole_swingup_sparse": "dmc/cartpole_swingup",
    "dmc/cartpole_balance": "dmc/",
    "playground/HumanoidRun": "dmc/humanoid",
    "playground/CartpoleSwingup:warp": "dmc/cartpole_swingup",
    "playground/PointMass": "dmc/",
    "ours/Striker-v0": "ours/Striker",
    "toy/lqr": "",
}


@pytest.mark.parametrize("task", FOUND)
def test_a_row_is_of_the_whole_name(task):
    assert robots.longest(ROWS, task) == FOUND[task]


def test_without_a_row_the_preset_stays():
    rows = {"gym/Ant": {"x": 1}}
    assert algorithms.for_task(rows, "gym/AntMaze-v0") == {}
    assert algorithms.for_task(rows, None) == {}
    assert algorithms.for_task(rows, "brax/ant:spring") == {"x": 1}
    for name in ("mpo", "awr", "sac"):
        own = algorithms.preset(name)
        for task in ("gym/AntMaze-v0", "gym/HumanoidStandup-v5"):
            assert algorithms.preset(name, task) == own


@pytest.mark.parametrize("suite, home", [("brax", "gym"), ("playground", "dmc")])
def test_other_suites_take_the_row_of_the_same_robot(suite, home):
    """By the catalogue, which says what the paper calls each task."""
    nearest = registry.nearest()
    for entry in registry.SUITES[suite]:
        if not entry.paper:
            continue
        theirs = nearest[entry.paper]
        assert theirs.startswith(f"{home}/")
        for name in ("mpo", "awr", "bear"):
            ours = algorithms.preset(name, entry.task)
            assert not schema.diff(ours, algorithms.preset(name, theirs)), entry.task
        assert paper_steps(entry.task) == paper_steps(theirs)


def test_no_row_is_of_a_task_that_there_is_not():
    for key in (key for _, rows in algorithms.PRESETS.values() for key in rows):
        assert key.split("/")[0] in ("gym", "dmc", "ours")  # others take these


# of each domain one task; the suite's own spec says how many actions it has
DOMAINS = {
    **{domain: f"dmc/{domain}" for domain in DMC if "_" in domain},
    "acrobot": "dmc/acrobot_swingup",
    "ball_in_cup": "dmc/ball_in_cup_catch",
    "cartpole": "dmc/cartpole_balance",
    "cheetah": "dmc/cheetah_run",
    "dog": "dmc/dog_walk",
    "finger": "dmc/finger_spin",
    "fish": "dmc/fish_swim",
    "hopper": "dmc/hopper_hop",
    "humanoid": "dmc/humanoid_run",
    "humanoid_CMU": "dmc/humanoid_CMU_run",
    "manipulator": "dmc/manipulator_bring_ball",
    "pendulum": "dmc/pendulum_swingup",
    "point_mass": "dmc/point_mass_easy",
    "quadruped": "dmc/quadruped_walk",
    "reacher": "dmc/reacher_easy",
    "stacker": "dmc/stacker_stack_2",
    "walker": "dmc/walker_run",
}


@pytest.mark.parametrize("domain", DMC)
def test_mpos_bounds_are_over_the_number_of_actions(domain):
    """settings 1.3: a std of 0.3, and 1e-3 and 1e-6 over the dimensions."""
    pytest.importorskip("dm_control")
    task = DOMAINS[domain]
    size, found = envs.spec(task).action_size, algorithms.preset("mpo", task)
    trust = found.pi_p_update.trust_region
    assert found.pi_theta.scale.init_std == 0.3
    assert trust.epsilon_mean == 1e-3 / size
    assert trust.epsilon_std == 1e-6 / size


def test_every_task_of_the_suite_has_mpos_rule():
    suite = pytest.importorskip("dm_control.suite")
    for domain, task in suite.ALL_TASKS:
        if domain == "lqr":  # without a time limit: not supported
            continue
        assert not algorithms.stand_in("mpo", f"dmc/{domain}_{task}")


SAID = {
    ("mpo", "gym/AntMaze-v0"): "gym/HalfCheetah",
    ("awr", "toy/lqr"): "gym/HalfCheetah",
    ("bear", "gym/Walker2d-v5"): "the preset",
    ("mpo", "gym/Ant-v5"): "",
    ("awr", "dmc/walker_run"): "",
    ("sac", "toy/lqr"): "",  # no table: the same everywhere
    ("mine", "toy/lqr"): "",  # an algorithm of one's own
}


@pytest.mark.parametrize("name, task", SAID)
def test_whose_numbers_stand_in(name, task):
    assert algorithms.stand_in(name, task) == SAID[name, task]


def test_the_plan_says_where_there_is_no_row(capsys):
    flags = ["--algorithms=mpo,sac", "--tasks=toy/lqr,gym/Hopper-v5", "--steps=1e4"]
    assert sweep.main([*flags, "--dry_run"]) == 0
    said = "mpo: no row for toy/lqr; the numbers of gym/HalfCheetah are used"
    assert [x for x in capsys.readouterr().out.splitlines() if "no row" in x] == [said]
