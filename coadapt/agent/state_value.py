"""The state value beside Q, where the estimate has one: a step of its fit."""

from typing import cast

import jax
import jax.numpy as jnp

from coadapt import networks, optim
from coadapt.agent.models import View
from coadapt.config import Config
from coadapt.factors.g_estimate import OneStepEstimate
from coadapt.networks import learned
from coadapt.types import AgentState, EnvSpec, Metrics, Transition, Tree


def init(config: Config, spec: EnvSpec, key: jax.Array) -> Tree | None:
    """Its parameters; None where the estimate has none."""
    if config.g_estimate.value is None:
        return None
    return networks.init(config.networks.critic, key, spec.obs_size, 1)


def fit(
    config: Config, state: AgentState, transition: Transition, key: jax.Array
) -> tuple[AgentState, Metrics]:
    """One step of V towards the slow critics at stored actions [B, ...].

    The key is of the ensemble's draw, where it draws critics.
    """
    estimate = cast(OneStepEstimate, config.g_estimate)
    value = estimate.value
    if value is None:
        return state, {}
    view, (obs, action) = View(config, state), (transition.obs, transition.action)
    outputs = view.outputs(view.target_critic, obs, action[None])
    aim = cast(jax.Array, estimate.future(view, outputs, key))  # a number: no atoms
    aim = jax.lax.stop_gradient(aim)
    nets, rows, rules = config.networks, view.inputs(obs), config.optim

    def loss(params: Tree) -> tuple[jax.Array, Tree]:
        found = networks.run(nets.critic, params, rows, nets.precision, learning=True)
        return jnp.mean(value.each(aim - found.head[..., 0])), found.kept

    old = state.params.value
    (before, kept), grads = jax.value_and_grad(loss, has_aux=True)(old)
    new, opt = optim.step(
        rules.critic, rules.clip, learned(grads), state.opt.value, learned(old),
        rules.weight_decay,
    )  # fmt: skip
    new = networks.keeping(nets.critic.project(new), kept)
    state = state._replace(
        params=state.params._replace(value=new), opt=state.opt._replace(value=opt)
    )
    return state, {"value_loss": before}
