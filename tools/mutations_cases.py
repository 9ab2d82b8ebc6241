"""Mistakes that the tests must find: one line of the maths each, as mutations.py reads.

Of each: the file below coadapt/, the text that stands there once, what is put in its
place, and the tests most likely to find it, which run first.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    file: str
    old: str
    new: str
    tests: str  # files below tests/, between spaces


RETURNS, ROWS, AGENT = "ops/test_returns.py", "test_rows.py", "test_agent.py"
FIDELITY, WEIGHTS = "test_fidelity.py", "ops/test_weights.py"
LAGRANGE, DIVERGENCES = "ops/test_lagrange.py", "ops/test_divergences.py"

MUTATIONS = (
    # ------------------------------------------------ ops
    Mutation(
        "ops/returns.py",
        "return reward + discount * next_value\n",
        "return reward - discount * next_value\n",
        RETURNS,
    ),
    Mutation(
        "ops/returns.py",
        "return c * (total - q), total",
        "return c * (total - v), total",
        RETURNS,
    ),
    Mutation(
        "ops/returns.py",
        "mixed = (1 - lam) * v + lam * following",
        "mixed = lam * v + (1 - lam) * following",
        RETURNS,
    ),
    Mutation(
        "ops/returns.py",
        "[shorter[1:], next_value[-1:]]",
        "[shorter[:-1], next_value[-1:]]",
        RETURNS,
    ),
    Mutation(
        "ops/weights.py",
        "return jax.nn.softmax(score / temperature, axis=0)",
        "return jax.nn.softmax(score / temperature, axis=1)",
        WEIGHTS,
    ),
    Mutation(
        "ops/weights.py",
        "bracket - jnp.sum(bracket) / number",
        "bracket + jnp.sum(bracket) / number",
        WEIGHTS,
    ),
    Mutation(
        "ops/lagrange.py",
        "axis=0) - jnp.log(samples)",
        "axis=0) + jnp.log(samples)",
        LAGRANGE,
    ),
    Mutation(
        "ops/lagrange.py",
        "multiplier * (epsilon - divergence)",
        "multiplier * (divergence - epsilon)",
        LAGRANGE,
    ),
    Mutation(
        "ops/divergences.py",
        "return jnp.log(std_q / std_p) +",
        "return jnp.log(std_p / std_q) +",
        DIVERGENCES,
    ),
    Mutation(
        "ops/moments.py",
        "jnp.square(delta) * moments.count * share",
        "jnp.square(delta) * added * share",
        "ops/test_moments.py",
    ),
    Mutation(
        "ops/natural.py",
        "(gain > 0) & (divergence <= radius)",
        "(gain > 0) | (divergence <= radius)",
        "ops/test_natural.py",
    ),
    Mutation(
        "ops/squash.py",
        "- pre_tanh - jax.nn.softplus(-2.0 * pre_tanh)",
        "- pre_tanh - jax.nn.softplus(2.0 * pre_tanh)",
        "ops/test_squash.py",
    ),
    # ------------------------------------------------ factors
    Mutation(
        "factors/g.py",
        "return value - view.eta * view.prior.divergence(",
        "return value + view.eta * view.prior.divergence(",
        f"{FIDELITY} {ROWS}",
    ),
    Mutation(
        "factors/g_estimate.py",
        "in_time(log_ratio) - log_prob,",
        "log_prob - in_time(log_ratio),",
        "test_retrace.py",
    ),
    Mutation(
        "factors/g_estimate.py",
        "jnp.clip(noise, -self.limit, self.limit), -1.0, 1.0)",
        "noise, -1.0, 1.0)",
        f"{ROWS} {FIDELITY}",
    ),
    Mutation(
        "factors/g_estimate.py",
        "return total + (1 - gamma) * start + self.ridge * squares / 2",
        "return total - (1 - gamma) * start + self.ridge * squares / 2",
        ROWS,
    ),
    Mutation(
        "factors/pi_p.py",
        "(summed - summed[start] + log_prob[start])",
        "(summed - summed[start])",
        ROWS,
    ),
    Mutation(
        "factors/pi_p_update.py",
        "dist._replace(std=prior.std), dist._replace(mean=prior.mean)",
        "dist._replace(std=prior.std), dist",
        AGENT,
    ),
    Mutation(
        "factors/pi_q.py",
        "return jnp.mean(eta * terms.divergence - terms.gain)",
        "return jnp.mean(eta * terms.divergence + terms.gain)",
        f"{FIDELITY} {ROWS}",
    ),
    Mutation(
        "factors/pi_q.py",
        "return Terms(gain, pi.kl(prior, dist), dist, None)",
        "return Terms(gain, pi.kl(dist, prior), dist, None)",
        ROWS,
    ),
    Mutation(
        "factors/pi_q_update.py",
        "return jnp.minimum(ratio * score, clipped * score)",
        "return jnp.maximum(ratio * score, clipped * score)",
        ROWS,
    ),
    Mutation(
        "factors/temperature.py",
        "divergence, self.target * action_size)",
        "divergence, self.target)",
        FIDELITY,
    ),
    Mutation(
        "factors/pi_theta.py",
        "return jnp.clip(action + noise, -1.0, 1.0)",
        "return action + noise",
        ROWS,
    ),
    # ------------------------------------------------ agent
    Mutation(
        "agent/__init__.py",
        "each = 0.5 * jnp.mean(jnp.square(error), axis=1)",
        "each = jnp.mean(jnp.square(error), axis=1)",
        FIDELITY,
    ),
    Mutation(
        "agent/__init__.py",
        "config.target.critic, state.params.critic, state.target.critic",
        "config.target.critic, state.target.critic, state.params.critic",
        AGENT,
    ),
    Mutation(
        "agent/models.py",
        "return self.policy(obs, self.state.target.policy)",
        "return self.policy(obs, self.state.params.policy)",
        AGENT,
    ),
    Mutation(
        "agent/models.py",
        "return self.state.target.critic\n",
        "return self.state.params.critic\n",
        f"{FIDELITY} {AGENT}",
    ),
    Mutation(
        "agent/improve.py",
        "weight = weight + bound_weight",
        "weight = weight - bound_weight",
        f"{FIDELITY} {AGENT}",
    ),
    Mutation(
        "agent/estimate.py",
        "target, values[episodes.row])",
        "target, values[episodes.next_row])",
        ROWS,
    ),
    Mutation(
        "agent/behavior.py",
        "return of_model + of_dual, of_model",
        "return of_model - of_dual, of_model",
        ROWS,
    ),
)
