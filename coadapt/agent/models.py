"""The networks of an agent, read at observations, and the view that factors have."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from coadapt import networks, optim
from coadapt.config import Config
from coadapt.factors import g, g_estimate, pi_p, pi_q_update, pi_theta, view
from coadapt.factors.view import Descent, concat_obs
from coadapt.ops import lagrange, moments
from coadapt.types import AgentState, Params, Tree

# ---------------------------------------------------------------- networks


def inputs(config: Config, state: AgentState, obs: jax.Array) -> jax.Array:
    """Observations as the networks read them. [..., O] -> [..., O]."""
    norm = config.networks.input_norm
    if norm is None or state.moments is None:
        return obs
    return moments.normalize(state.moments, obs, norm.epsilon, norm.limit)


def features(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """What the policy's last layer reads: obs [B, O] -> [B, F + 1]."""
    nets, seen = config.networks, inputs(config, state, obs)
    return networks.last_features(nets.policy, params["net"], seen, nets.precision)


def policy(config: Config, state: AgentState, params: Tree, obs: jax.Array) -> Tree:
    """The action distribution at obs [B, O]."""
    nets, seen = config.networks, inputs(config, state, obs)
    head, known = networks.read(nets.policy, params["net"], seen, nets.precision)
    return config.pi_theta.distribution(params, head, known)


def action_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Q of all critics: obs [B, O], action [..., B, A] -> [K, ..., B]."""
    return _ensemble(config, params, concat_obs(inputs(config, state, obs), action))


def state_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """V of all critics, in units of reward: obs [B, O] -> [K, B]."""
    outputs = _ensemble(config, params, inputs(config, state, obs))
    return outputs / config.g_estimate.scale()


def values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """What the critics say of g: of (s, a), or of s alone. [K, ..., B]."""
    if config.g.reads_action:
        return action_values(config, state, params, obs, action)
    return state_values(config, state, params, obs)


def _ensemble(config: Config, params: Tree, rows: jax.Array) -> jax.Array:
    nets = config.networks

    def one(critic: Tree) -> jax.Array:
        return networks.apply(nets.critic, critic, rows, nets.precision)[..., 0]

    # numpy's arrays, as of an agent that was read, have to be JAX's within a map
    return jax.vmap(one)(jax.tree.map(jnp.asarray, params))


def critics(config: Config) -> int:
    """K, the number of critics."""
    return config.g_estimate.critics_of(config.g)


# ---------------------------------------------------------------- what factors see


class View(NamedTuple):
    """One agent, as `factors.view.View` says. Each step gives the view after it."""

    config: Config
    state: AgentState
    scorer: Tree = None  # the critics that score actions; None: the agent's

    @property
    def pi(self) -> pi_theta.PiTheta:
        return self.config.pi_theta

    @property
    def prior(self) -> pi_p.PiP:
        return self.config.pi_p

    @property
    def g(self) -> g.G:
        return self.config.g

    @property
    def estimate(self) -> g_estimate.GEstimate:
        return self.config.g_estimate

    @property
    def update(self) -> pi_q_update.PiQUpdate:
        return self.config.pi_q_update

    @property
    def policy_params(self) -> Tree:
        return self.state.params.policy

    @property
    def critic(self) -> Tree:
        return self.state.params.critic if self.scorer is None else self.scorer

    @property
    def target_critic(self) -> Tree:
        return self.state.target.critic

    @property
    def prior_params(self) -> Tree:
        return self.state.params.prior

    @property
    def duals(self) -> view.Duals:
        return self.state.params.dual

    @property
    def eta(self) -> jax.Array:
        return self.update.eta(self.duals)

    def inputs(self, obs: jax.Array) -> jax.Array:
        return inputs(self.config, self.state, obs)

    def policy(self, obs: jax.Array, params: Tree = None) -> view.Dist:
        params = self.policy_params if params is None else params
        return policy(self.config, self.state, params, obs)

    def following(self, obs: jax.Array) -> view.Dist:
        return self.policy(obs, self.state.target.policy)

    def features(self, obs: jax.Array) -> jax.Array:
        return features(self.config, self.state, self.policy_params, obs)

    def q(self, critic: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        return action_values(self.config, self.state, critic, obs, action)

    def v(self, critic: Tree, obs: jax.Array) -> jax.Array:
        return state_values(self.config, self.state, critic, obs)

    def network(self, spec: networks.Torso, params: Tree, rows: jax.Array) -> jax.Array:
        return networks.apply(spec, params, rows, self.config.networks.precision)

    def readout(self, features: jax.Array) -> jax.Array:
        net, nets = self.policy_params["net"], self.config.networks
        return networks.readout(net, features, nets.precision)

    def f(self, params: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        rows = concat_obs(self.inputs(obs), action)
        return self.network(self.config.networks.critic, params, rows)[..., 0]

    # ------------------------------------------------ bounds of actions

    def bound_loss(
        self, dist: view.Dist, action: jax.Array | None
    ) -> jax.Array | float:
        bounds = self.config.bounds
        return 0.0 if bounds is None else bounds.loss(dist, action)

    def bound_weights(self, action: jax.Array) -> tuple["View", jax.Array | None]:
        bounds = self.config.bounds
        if bounds is None:
            return self, None
        seen, weight = bounds.weights(cast(Any, self), action)
        return cast(View, seen), weight

    # ------------------------------------------------ steps

    def descend(
        self, loss: Callable[[Tree], tuple[jax.Array, Any]]
    ) -> tuple["View", Descent]:
        both = jax.value_and_grad(loss, has_aux=True)(self.policy_params)
        (total, aux), grads = both
        optimisers, opt = self.config.optim, self.state.opt
        params, new = optim.step(
            optimisers.policy, optimisers.clip, grads, opt.policy, self.policy_params,
            optimisers.weight_decay,
        )  # fmt: skip
        after = self._having(policy=params)._optimised(policy=new)
        return after, Descent(total, aux, grads)

    def step_dual(self, name: str, grad: jax.Array, *, project: bool) -> "View":
        optimisers, opt = self.config.optim, self.state.opt.dual
        raw, new = optim.step(
            optimisers.dual, optimisers.clip, grad, opt[name], self.duals[name]
        )
        raw = lagrange.project(raw) if project else raw
        return self.with_duals(**{name: raw})._optimised(dual=opt | {name: new})

    def with_policy(self, params: Tree) -> "View":
        return self._having(policy=params)

    def with_critic(self, params: Tree) -> "View":
        return self._having(critic=params)

    def with_duals(self, **raw: jax.Array) -> "View":
        return self._having(dual=self.duals | raw)

    def _having(self, **parts: Tree) -> "View":
        params: Params = self.state.params._replace(**parts)
        return self._replace(state=self.state._replace(params=params))

    def _optimised(self, **parts: Tree) -> "View":
        opt: Params = self.state.opt._replace(**parts)
        return self._replace(state=self.state._replace(opt=opt))
