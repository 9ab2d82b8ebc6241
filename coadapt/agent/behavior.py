"""The model of a behaviour policy pi_b, where the prior has one: a step of its fit."""

import jax

from coadapt import networks, optim
from coadapt.agent.models import View
from coadapt.config import Config
from coadapt.networks import learned, rejoined
from coadapt.types import AgentState, EnvSpec, Metrics, Transition, Tree


def init(config: Config, spec: EnvSpec, policy: Tree, key: jax.Array) -> Tree | None:
    """The model's parameters; None where the prior has none.

    With a divergence that is found by a network f, f is "dual" among them.
    """
    params = config.pi_p.init(spec, policy, key)
    if params is not None and config.pi_q_update.by_network:
        # a VAE splits the key, and split(key)[1] is fold_in(key, 1)
        own, joint = jax.random.fold_in(key, 2), spec.obs_size + spec.action_size
        params["dual"] = networks.init(config.networks.critic, own, joint, 1)
    return params


def fit(
    config: Config, state: AgentState, transition: Transition, key: jax.Array
) -> tuple[AgentState, Metrics]:
    """One step of the model towards the data, and of f where the divergence has one."""
    view = View(config, state)

    def both(params: Tree) -> tuple[jax.Array, jax.Array]:
        of_model = config.pi_p.loss(view, params, transition, key)
        other = jax.random.fold_in(key, 1)
        of_dual = config.pi_q_update.fit(view, params, transition.obs, other)
        return of_model + of_dual, of_model

    grads, of_model = jax.grad(both, has_aux=True)(state.params.prior)
    prior, opt = optim.step(
        config.optim.prior,
        config.optim.clip,
        learned(grads),
        state.opt.prior,
        learned(state.params.prior),
    )
    prior = rejoined(prior, state.params.prior)
    return state._replace(
        params=state.params._replace(prior=prior), opt=state.opt._replace(prior=opt)
    ), {"prior_loss": of_model}
