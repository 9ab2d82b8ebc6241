"""The networks of an agent, read at observations, and the view that factors have."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from coadapt import networks, optim
from coadapt.config import Config
from coadapt.factors import critic as critic_parts
from coadapt.factors import g, g_estimate, pi_p, pi_q_update, pi_theta, view
from coadapt.factors.rules import critics as critics
from coadapt.factors.view import Descent, concat_obs
from coadapt.networks import learned, rejoined
from coadapt.ops import lagrange, moments
from coadapt.types import AgentState, Batch, Params, Tree

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


def policy(
    config: Config,
    state: AgentState,
    params: Tree,
    obs: jax.Array,
    how: "How | None" = None,
) -> Tree:
    """The action distribution at obs [B, O]."""
    found = policy_pass(config, state, params, obs, how)
    return config.pi_theta.distribution(params, found.head, found.features)


def policy_pass(
    config: Config,
    state: AgentState,
    params: Tree,
    obs: jax.Array,
    how: "How | None" = None,
) -> networks.Pass:
    """A pass through the policy's network: obs [B, O]."""
    nets, seen, how = config.networks, inputs(config, state, obs), how or How()
    return networks.run(
        nets.policy, params["net"], seen, nets.precision, learning=how.learning,
        masks=how.masks,
    )  # fmt: skip


class How(NamedTuple):
    """How networks are passed through. Where nothing is learned, the default."""

    learning: bool = False  # norms are by the moments of the rows at hand
    masks: jax.Array | None = None  # the key of dropout; none: nothing is dropped


def action_outputs(
    config: Config,
    state: AgentState,
    params: Tree,
    obs: jax.Array,
    action: jax.Array,
    masks: jax.Array | None = None,
) -> jax.Array:
    """Of all critics of (s, a): obs [B, O], action [..., B, A] -> [K, ..., B, n]."""
    rows = concat_obs(inputs(config, state, obs), action)
    return _ensemble(config, params, rows, How(masks=masks))[0]


def action_values(
    config: Config,
    state: AgentState,
    params: Tree,
    obs: jax.Array,
    action: jax.Array,
) -> jax.Array:
    """Q of all critics: obs [B, O], action [..., B, A] -> [K, ..., B]."""
    return config.critic.head.mean(action_outputs(config, state, params, obs, action))


def _rows(
    config: Config, state: AgentState, pair: tuple[jax.Array, jax.Array]
) -> jax.Array:
    """Rows of states and actions [B, O], [..., B, A] in a line: [... B, O + A]."""
    rows = concat_obs(inputs(config, state, pair[0]), pair[1])
    return rows.reshape(-1, rows.shape[-1])


def joint_outputs(
    config: Config,
    state: AgentState,
    params: Tree,
    now: tuple[jax.Array, jax.Array],
    after: tuple[jax.Array, jax.Array],
    how: How,
) -> tuple[jax.Array, jax.Array, Tree]:
    """Of all critics in one pass over a batch and what follows: Bhatt et al. 2024.

    Args:
        now: obs [B, O], action [B, A].
        after: next obs [B, O], actions there [M, B, A].

    Returns:
        [K, B, n], [K, M, B, n], and what the critics keep after it.
    """
    rows = jnp.concatenate([_rows(config, state, pair) for pair in (now, after)])
    found, kept = _ensemble(config, params, rows, how)
    number, size, width = found.shape[0], now[1].shape[0], found.shape[-1]
    later = found[:, size:].reshape(number, *after[1].shape[:-1], width)
    return found[:, :size], later, kept


def fitted_outputs(
    config: Config, state: AgentState, params: Tree, batch: Batch, masks: Tree = None
) -> tuple[jax.Array, Tree]:
    """Of critics that learn of a batch, [K, B, n], and what they keep after it."""
    obs, action = batch.transition.obs, batch.transition.action
    how = How(learning=True, masks=masks)
    if batch.beside is not None:
        now, after = (obs, action), batch.beside
        found, _, kept = joint_outputs(config, state, params, now, after, how)
        return found, kept
    rows = inputs(config, state, obs)
    rows = concat_obs(rows, action) if config.g.reads_action else rows
    return _ensemble(config, params, rows, how)


def state_values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """V of all critics, in units of reward: obs [B, O] -> [K, B]."""
    outputs = state_outputs(config, state, params, obs)
    return config.critic.head.mean(outputs) / config.g_estimate.scale()


def state_outputs(
    config: Config, state: AgentState, params: Tree, obs: jax.Array
) -> jax.Array:
    """Of all critics of s alone: obs [B, O] -> [K, B, n]."""
    return _ensemble(config, params, inputs(config, state, obs), How())[0]


def values(
    config: Config, state: AgentState, params: Tree, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """What the critics say of g: of (s, a), or of s alone. [K, ..., B]."""
    if config.g.reads_action:
        return action_values(config, state, params, obs, action)
    return state_values(config, state, params, obs)


def _ensemble(
    config: Config, params: Tree, rows: jax.Array, how: How
) -> tuple[jax.Array, Tree]:
    """Outputs of all critics, [K, ..., n], and what they keep after it."""
    nets = config.networks

    def one(critic: Tree, masks: jax.Array | None) -> tuple[jax.Array, Tree]:
        found = networks.run(
            nets.critic, critic, rows, nets.precision, learning=how.learning,
            masks=masks,
        )  # fmt: skip
        return found.head, found.kept

    # numpy's arrays, as of an agent that was read, have to be JAX's within a map
    params = jax.tree.map(jnp.asarray, params)
    keys, number = None, jax.tree.leaves(params)[0].shape[0]
    if how.masks is not None:
        keys = jax.random.split(how.masks, number)
    return jax.vmap(one)(params, keys)


# ---------------------------------------------------------------- what factors see


class Phase(NamedTuple):
    """How a part of an update passes through the networks."""

    policy: How = How()
    critic: How = How()
    # the states and actions of the batch [B, O], [B, A], which critics pass in one with
    # those that are asked for
    beside: tuple[jax.Array, jax.Array] | None = None


def masks(state: AgentState, part: int) -> jax.Array | None:
    """The key of dropout in a part of an update: 0 targets, 1 critics, 2 policy."""
    return None if state.masks is None else jax.random.fold_in(state.masks, part)


def with_new_masks(state: AgentState) -> AgentState:
    """The agent after a gradient step: the next has masks of its own."""
    if state.masks is None:
        return state
    return state._replace(masks=jax.random.fold_in(state.masks, 3))


def targets_phase(
    config: Config, state: AgentState, obs: jax.Array, action: jax.Array
) -> Phase:
    """Of the targets of a batch of states and actions [B, O], [B, A]."""
    key, joint = masks(state, 0), config.networks.critic.of_batch
    critic = How(learning=joint, masks=key)
    return Phase(How(masks=key), critic, (obs, action) if joint else None)


def policy_phase(state: AgentState) -> Phase:
    """Of a step of the policy."""
    key = masks(state, 2)
    return Phase(How(learning=True, masks=key), How(masks=key))


class View(NamedTuple):
    """One agent, as `factors.view.View` says. Each step gives the view after it."""

    config: Config
    state: AgentState
    scorer: Tree = None  # the critics that score actions; None: the agent's
    phase: Phase = Phase()

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
    def head(self) -> critic_parts.Head:
        return self.config.critic.head

    @property
    def policy_params(self) -> Tree:
        return self.state.params.policy

    @property
    def critic(self) -> Tree:
        return self.state.params.critic if self.scorer is None else self.scorer

    @property
    def target_critic(self) -> Tree:
        slow = self.state.target.critic
        return self.state.params.critic if slow is None else slow

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
        return policy(self.config, self.state, params, obs, self.phase.policy)

    def target_policy(self, obs: jax.Array) -> view.Dist:
        params, how = self.state.target.policy, self.phase.policy
        params = self.policy_params if params is None else params
        how = how._replace(learning=False)
        return policy(self.config, self.state, params, obs, how)

    def features(self, obs: jax.Array) -> jax.Array:
        return features(self.config, self.state, self.policy_params, obs)

    def q(self, critic: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        return self.head.mean(self.outputs(critic, obs, action))

    def outputs(self, critic: Tree, obs: jax.Array, action: jax.Array) -> jax.Array:
        config, state, (_, how, beside) = self.config, self.state, self.phase
        if beside is None:
            return action_outputs(config, state, critic, obs, action, how.masks)
        return joint_outputs(config, state, critic, beside, (obs, action), how)[1]

    def v(self, critic: Tree, obs: jax.Array) -> jax.Array:
        return state_values(self.config, self.state, critic, obs)

    def state_value(self, obs: jax.Array) -> jax.Array:
        spec, params = self.config.networks.critic, self.state.params.value
        return self.network(spec, params, self.inputs(obs))[..., 0]

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

    def projected(self, params: Tree) -> Tree:
        net = self.config.networks.policy.project(params["net"])
        return params | {"net": net}

    # ------------------------------------------------ steps

    def descend(
        self, loss: Callable[[Tree], tuple[jax.Array, Any]]
    ) -> tuple["View", Descent]:
        both = jax.value_and_grad(loss, has_aux=True)(self.policy_params)
        (total, aux), grads = both
        optimisers, opt, grads = self.config.optim, self.state.opt, learned(grads)
        params, new = optim.step(
            optimisers.policy, optimisers.clip, grads, opt.policy,
            learned(self.policy_params), optimisers.weight_decay,
        )  # fmt: skip
        params = rejoined(self.projected(params), self.policy_params)
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
