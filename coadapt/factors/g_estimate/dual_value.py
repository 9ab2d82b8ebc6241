"""The value function of REPS's dual."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from coadapt.factors.g_estimate.base import Discount, SequenceEstimate
from coadapt.factors.rules import Config, Need, Refusal
from coadapt.factors.view import View
from coadapt.ops import lagrange, minimize
from coadapt.schema import Positive, Size, config
from coadapt.types import Episodes, Metrics, Tree


@config
class DualValue(SequenceEstimate):
    """V minimises the dual of REPS with the temperature, on all data, to convergence.

        eta epsilon + eta log mean exp(delta / eta) + (1 - gamma) mean V(s_0),
    delta = r + gamma V(s') - V(s), s_0 the starts of episodes, and a ridge. A step that
    terminates leads to a state of value V_T that is never left: it counts as gamma /
    (1 - gamma) steps from there to there, without which the best steps of a task that
    pays at its end would have no weight at all. With V linear the dual is convex, and
    the ridge makes V unique: at a gradient of norm x it is at most x / ridge off (Boyd
    and Vandenberghe 2004, Sec. 9.1.2).
    Source: Peters et al. 2010 (settings 3.3); L-BFGS.
    """

    by_gradient: ClassVar[bool] = False

    discount: Discount = 0.99  # gamma, the discount per env step
    iterations: Size = 200  # most iterations of the search
    # norm of the gradient at which the search ends; divided by the ridge, it bounds the
    # error of V's weights
    tolerance: float = 1e-6
    ridge: Positive = 1e-3  # weight of half the squared norm of the critic's parameters

    def maths(self, config: Config) -> Callable[..., Any] | None:
        return self.dual

    @property
    def symbol(self) -> str:
        return "TD(0)"

    def needs(self, config: Config) -> Iterator[Need | Refusal]:
        yield from super().needs(config)
        if not config.pi_q_update.has_temperature:
            yield Refusal(
                "g_estimate",
                type(self).__name__,
                "its dual has a temperature, and "
                f"pi_q_update={type(config.pi_q_update).__name__} has none; use "
                "pi_q_update=Gradient, or MonteCarlo, GAE, NStep or TDLambda",
            )

    def limits(self, config: Config) -> Iterator[Refusal]:
        value = config.pi_q_update.temperature.given
        if value is not None and not value > 0:
            reason = f"the dual of g_estimate={type(self).__name__} needs one above 0"
            yield Refusal("pi_q_update.temperature.value", value, reason)

    def duals(self) -> dict[str, jax.Array]:
        return {"terminal": jnp.zeros(())}  # the value after a termination

    def returns(
        self, view: View, reward: jax.Array, values: jax.Array, episodes: Episodes
    ) -> jax.Array:
        return self.surprise(episodes, values, view.duals["terminal"])

    def solve(
        self, view: View, obs: jax.Array, episodes: Episodes
    ) -> tuple[View, Metrics]:
        """Minimise the dual over V and V_T, and over eta where it is found with V."""
        old, joint = view.duals, view.update.joint_with_value
        raw = old["temperature"] if joint else jnp.zeros(())

        def dual(found: tuple[Tree, jax.Array, jax.Array]) -> jax.Array:
            return self.dual(view, obs, episodes, _anchored(found[0]), *found[1:])

        (critic, raw, terminal), norm, _ = minimize.minimize(
            dual,
            (_anchored(view.critic), raw, old["terminal"]),
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
        duals = {"terminal": terminal} | ({"temperature": raw} if joint else {})
        return view.with_critic(critic).with_duals(**duals), {"dual_gradient": norm}

    def dual(
        self,
        view: View,
        obs: jax.Array,
        episodes: Episodes,
        critic: Tree,
        raw: jax.Array,
        terminal: jax.Array,
    ) -> jax.Array:
        """What `solve` minimises over the critic, the raw temperature and V_T."""
        eta, epsilon = view.update.of_dual(view.duals, raw)
        gamma, counts = jnp.asarray(self.discount), self._counts(episodes)
        value = view.v(critic, obs)[0]
        delta = self.surprise(episodes, value, terminal) - value[episodes.row]
        delta = jnp.append(delta, (gamma - 1) * terminal)
        # what does not count has weight 0, and a finite delta: no NaN of 0 * inf
        delta = jnp.where(counts > 0, delta, -1e9)
        delta += eta * jnp.log(jnp.where(counts > 0, counts, 1.0))
        total = lagrange.temperature_dual(delta[:, None], eta, epsilon)
        ended: Any = episodes.last | ~episodes.seen
        begins = jnp.roll(ended, 1).at[0].set(True)
        starts = begins & episodes.seen  # the first step of the data stands for a start
        start = jnp.mean(value[episodes.row], where=starts)
        squares = sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(critic))
        return total + (1 - gamma) * start + self.ridge * squares / 2

    def _counts(self, episodes: Episodes) -> jax.Array:
        """How often each of C steps counts, and what follows terminations: mean 1."""
        terminal = episodes.seen & (episodes.discount == 0.0)
        ends = jnp.sum(terminal.astype(jnp.float32))
        after = self.discount / (1 - self.discount) * ends
        counts = jnp.append(episodes.seen.astype(jnp.float32), after)
        return counts / jnp.mean(counts)

    def surprise(
        self, episodes: Episodes, value: jax.Array, terminal: jax.Array
    ) -> jax.Array:
        """r + gamma V(s'), V_T after a termination. value [R] -> [C]."""
        goes_on = episodes.discount
        following = goes_on * value[episodes.next_row] + (1 - goes_on) * terminal
        return episodes.reward + self.discount * following


def _anchored(critic: Tree) -> Tree:
    """The critic with an output bias of 0.

    A constant added to V and V_T leaves the dual as it is, so the ridge alone chooses
    the bias. Searched for, it would be the gradient's rounding over the ridge.
    """
    output = critic["output"]
    return critic | {"output": output | {"bias": jnp.zeros_like(output["bias"])}}
