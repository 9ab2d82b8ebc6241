"""Policy steps of an iteration that end once the policy is too far from its prior."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import small

from coadapt import learn, runner, schema
from coadapt.factors.pi_q_update import KLStop, Proximal
from coadapt.schema import ConfigError
from coadapt.validation import config_rules

STOP = {"pi_q_update.early_stop": "KLStop"}


@pytest.mark.parametrize("target", [0.001, 0.01, 0.05, 10.0])
def test_the_steps_are_those_before_the_kl_is_too_large(target):
    """The KL before a step falls again later, which begins nothing anew."""
    kls = np.array([0.0, 0.01, 0.014, 0.03, 0.08, 0.001, 0.0], np.float32)
    made = 0.0
    for kl in kls:
        if kl > 1.5 * target:
            break
        made = 2 * made + 1
    rule = Proximal(early_stop=KLStop(target=target))

    def step(state, drawn):
        return 2 * state + 1, {"kl": drawn[1]}

    config = SimpleNamespace(pi_q_update=rule)
    state, metrics = jax.jit(
        lambda: learn._policy_phase(config, ("kl",), step, jnp.float32(0.0), kls)
    )()
    assert state == made and metrics["kl"] == kls[-1]


def test_it_is_of_updates_whose_policy_climbs_a_ratio():
    config_rules.check(schema.override(small("ppo"), STOP))
    config_rules.check(schema.override(small("ppo_details"), STOP))
    with pytest.raises(ConfigError, match="early_stop is not a field of NaturalGrad"):
        schema.override(small("trpo"), STOP)


def trained(*configs):
    return runner.train(
        configs, [3] * len(configs), "toy/lqr", steps=60, eval_every=60,
        eval_episodes=1, checkpoint_every=60,
    ).learner.agent  # fmt: skip


@pytest.mark.long
def test_an_agent_that_stops_at_once_has_made_one_step_and_its_neighbour_all():
    """Of one program, whose agents differ in the target alone."""
    never = schema.override(small("ppo"), STOP | {"pi_q_update.early_stop.target": 1e9})
    at_once = schema.override(never, {"pi_q_update.early_stop.target": 1e-12})
    one = schema.override(small("ppo"), {"schedule.policy_steps": 1})
    group = trained(never, at_once)
    for place, other in enumerate((trained(small("ppo")), trained(one))):
        for x, y in zip(
            jax.tree.leaves(group.params.policy),
            jax.tree.leaves(other.params.policy),
            strict=True,
        ):
            # float32 in another order, through at most 20 steps
            np.testing.assert_allclose(x[place], y[0], rtol=1e-3, atol=1e-5)
    # the critic learns on
    np.testing.assert_allclose(
        *(jax.tree.leaves(group.params.critic)[0]), rtol=1e-4, atol=1e-6
    )
