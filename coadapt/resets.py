"""Networks that start anew while the data stay: Nikishin et al. 2022."""

from typing import Any, Literal

import jax

from coadapt.networks import Torso
from coadapt.schema import Size, config
from coadapt.types import AgentState, Params, Targets, Tree


@config
class Resets:
    """Every `period` updates, networks start anew: all of them, or their last layers.

    Source: Nikishin et al. 2022, who reset all of SAC, with its optimisers, targets and
    temperature, every 200,000 updates, and the last layers of deeper networks.
    """

    period: Size = 200_000  # updates between resets
    of: Literal["both", "policy", "critic"] = "both"  # whose networks are reset
    # number of last layers that are reset, with the output layer; none: all parameters
    last: Size | None = None
    # whether the optimisers' statistics of these parameters are reset, and with all
    # parameters the schedules of their rates
    optimizer: bool = True
    # whether target networks take the new parameters, or keep theirs
    target: Literal["copy", "keep"] = "copy"
    dual: bool = True  # whether multipliers, such as the temperature, are reset

    def layers(self, spec: Torso) -> tuple[str, ...] | None:
        """The names of the layers that start anew; none: all."""
        if self.last is None:
            return None
        names = (*(layer.name for layer in spec.layers()), "output")
        return names[-self.last :]

    def renewed(
        self, state: AgentState, fresh: AgentState, policy: Torso, critic: Torso
    ) -> AgentState:
        """The agent with parts of a new one.

        Args:
            policy: the network of the policy, whose layers are counted.
            critic: that of each critic.
        """
        chosen = {
            name: self.layers(spec)
            for name, spec in (("policy", policy), ("critic", critic))
            if self.of in ("both", name)
        }
        params = _mixed(state.params, fresh.params, chosen, self.dual)
        opt = state.opt
        if self.optimizer:
            opt = _mixed(opt, fresh.opt, chosen, self.dual)
        target = state.target
        if self.target == "copy":
            target = Targets(
                _picked(target.policy, params.policy, chosen.get("policy", ())),
                _picked(target.critic, params.critic, chosen.get("critic", ())),
            )
        return state._replace(params=params, opt=opt, target=target)


Chosen = dict[str, tuple[str, ...] | None]


def _mixed(old: Params, new: Params, chosen: Chosen, dual: bool) -> Params:
    return old._replace(
        policy=_picked(old.policy, new.policy, chosen.get("policy", ())),
        critic=_picked(old.critic, new.critic, chosen.get("critic", ())),
        dual=new.dual if dual else old.dual,
        value=_picked(old.value, new.value, chosen.get("critic", ())),
    )


def _picked(old: Tree, new: Tree, layers: tuple[str, ...] | None) -> Tree:
    """The new leaves below these layers, and the old ones; all new, if it is None."""
    if old is None or layers == ():
        return old
    if layers is None:
        return new

    def one(path: tuple[Any, ...], old: jax.Array, new: jax.Array) -> jax.Array:
        names = {getattr(part, "key", None) for part in path}
        return new if names & set(layers) else old

    return jax.tree.map_with_path(one, old, new)
