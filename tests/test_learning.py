"""Each algorithm, small, reaches the known optimum of the linear-quadratic task."""

import numpy as np
import pytest

from coadapt import algorithms, runner, schema
from coadapt.envs import toy

TASK = "toy/lqr"
SMALL = {
    "networks.policy.sizes": (32, 32),
    "networks.critic.sizes": (32, 32),
    "data.batch": 128,
    "g_estimate.discount": 0.97,  # episodes have 30 steps
    "optim.policy.rate": 3e-4,
    "optim.critic.rate": 1e-3,
}
EARLY = {"data.start": 300, "data.warmup": 300}
RECIPES = {  # env steps, changes of the preset
    "mpo": (
        24_000,
        {
            "data.start": 300,
            "data.steps": 2,
            "target.policy.period": 25,
            "target.critic.period": 25,
            "pi_theta.scale.init_std": 0.3,
            "pi_p.samples": 10,
            "data.batch": 64,
            "pi_p_update.trust_region.epsilon_mean": 1e-2,
            "pi_p_update.trust_region.epsilon_std": 1e-4,
        },
    ),
    "awr": (
        16_000,
        {
            "data.start": 600,
            "data.steps": 600,
            "data.capacity": 6000,
            "schedule.critic_steps": 100,
            "schedule.policy_steps": 300,
            "optim.policy.rate": 1e-3,
            "optim.critic.rate": 3e-3,
        },
    ),
    "awac": (10_000, EARLY),
    "sac": (10_000, EARLY | {"optim.dual.rate": 1e-3}),
}
# The optimum is -4.3, a uniformly random policy's return -131, that of no action -38.5:
# a gap of 2 is 1.6% of the way from random. Of it 0.3 is the luck of 200 start states;
# the rest is what constant learning rates leave at this length. The median of three
# seeds, for one in three of AWAC's and MPO's is still at -9 here.
GAP = 2.0


@pytest.mark.parametrize("name", list(RECIPES))
def test_reaches_the_known_optimum(name):
    steps, changes = RECIPES[name]
    config = schema.override(algorithms.preset(name), SMALL | changes)
    returns = []
    runner.train(
        [config] * 3, [0, 1, 2], TASK, steps=steps, eval_every=steps,
        eval_episodes=200, report=lambda r: returns.append(r.metrics["return"]),
    )  # fmt: skip
    optimum = toy.optimum(TASK)
    assert np.median(returns[-1]) > optimum - GAP
    assert np.max(returns[-1]) < optimum + 1.0  # nothing beats it but luck of starts
