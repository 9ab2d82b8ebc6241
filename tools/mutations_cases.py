"""Mistakes that the tests must find: one line of the maths each, as mutations.py reads.

Of each: the file below coadapt/, the text that stands there once, what is put in its
place, and the test most likely to find it, which runs first.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    file: str
    old: str
    new: str
    test: str  # below tests/, as pytest names it


MUTATIONS = (
    # ------------------------------------------------ ops
    Mutation(
        "ops/returns.py",
        "return reward + discount * next_value\n",
        "return reward - discount * next_value\n",
        "ops/test_returns.py::test_td_0_is_the_definition_and_lambda_0_and_n_1",
    ),
    Mutation(
        "ops/returns.py",
        "return c * (total - q), total",
        "return c * (total - v), total",
        "ops/test_returns.py::test_retrace_is_the_definition",
    ),
    Mutation(
        "ops/returns.py",
        "mixed = (1 - lam) * v + lam * following",
        "mixed = lam * v + (1 - lam) * following",
        "ops/test_returns.py::test_c16_numbers",
    ),
    Mutation(
        "ops/returns.py",
        "[shorter[1:], next_value[-1:]]",
        "[shorter[:-1], next_value[-1:]]",
        "ops/test_returns.py::test_n_step_is_the_definition",
    ),
    Mutation(
        "ops/weights.py",
        "return jax.nn.softmax(score / temperature, axis=0)",
        "return jax.nn.softmax(score / temperature, axis=1)",
        "ops/test_weights.py::test_boltzmann_is_the_loop",
    ),
    Mutation(
        "ops/weights.py",
        "bracket - jnp.sum(bracket) / number",
        "bracket + jnp.sum(bracket) / number",
        "ops/test_weights.py::test_c30_bracket_is_the_loop_and_sums_to_0",
    ),
    Mutation(
        "ops/lagrange.py",
        "axis=0) - jnp.log(samples)",
        "axis=0) + jnp.log(samples)",
        "ops/test_lagrange.py::test_c1_one_state",
    ),
    Mutation(
        "ops/lagrange.py",
        "multiplier * (epsilon - divergence)",
        "multiplier * (divergence - epsilon)",
        "ops/test_lagrange.py::test_c9_multiplier_rises_where_the_constraint_is_violated",
    ),
    Mutation(
        "factors/pi_theta/normal.py",
        "moved.kl_divergence(centred)",
        "centred.kl_divergence(moved)",
        "test_densities.py::test_c7_parts_and_full",
    ),
    Mutation(
        "ops/moments.py",
        "jnp.square(delta) * moments.count * share",
        "jnp.square(delta) * added * share",
        "ops/test_moments.py::test_c19_merged_chunks_are_one_pass_over_all_rows",
    ),
    Mutation(
        "ops/natural.py",
        "(gain > 0) & (divergence <= radius)",
        "(gain > 0) | (divergence <= radius)",
        "ops/test_natural.py::test_backtracking",
    ),
    Mutation(
        "factors/pi_theta/gaussian.py",
        "return normal_log_prob(dist, raw) - change",
        "return normal_log_prob(dist, raw) + change",
        "test_densities.py::test_c11_log_prob_under_a_tanh",
    ),
    # ------------------------------------------------ factors
    Mutation(
        "factors/g.py",
        "return value - view.eta * view.prior.divergence(",
        "return value + view.eta * view.prior.divergence(",
        "test_rows.py::test_bracs_target_mixes_critics_and_may_take_the_divergence_off",
    ),
    Mutation(
        "factors/multistep.py",
        "return steps.log_prob - cast(jax.Array, steps.log_mu)",
        "return cast(jax.Array, steps.log_mu) - steps.log_prob",
        "test_retrace.py::test_targets_are_those_of_the_definition",
    ),
    Mutation(
        "factors/g_estimate/one_step.py",
        "jnp.clip(noise, -self.limit, self.limit), -1.0, 1.0)",
        "noise, -1.0, 1.0)",
        "test_rows.py::test_td3_takes_the_minimum_at_a_smoothed_action_in_the_box",
    ),
    Mutation(
        "factors/g_estimate/dual_value.py",
        "return total + (1 - gamma) * start + self.ridge * squares / 2",
        "return total - (1 - gamma) * start + self.ridge * squares / 2",
        "test_rows.py::test_reps_solves_its_dual_and_matches_features",
    ),
    Mutation(
        "factors/pi_p/priors.py",
        "(summed - summed[start] + log_prob[start])",
        "(summed - summed[start])",
        "test_rows.py::test_urex_weighs_every_step_as_its_episode",
    ),
    Mutation(
        "factors/pi_p_update.py",
        '"std": dist._replace(mean=prior.mean)',
        '"std": dist',
        "test_agent.py::test_the_mean_does_not_learn_from_the_std_nor_the_std_from_the_mean",
    ),
    Mutation(
        "factors/pi_q/parametric.py",
        "return jnp.mean(eta * terms.divergence - terms.gain)",
        "return jnp.mean(eta * terms.divergence + terms.gain)",
        "test_rows.py::test_brac_without_a_temperature_is_a_plain_actor_critic",
    ),
    Mutation(
        "factors/pi_q/parametric.py",
        "return Terms(gain, pi.kl(prior, dist), dist, None)",
        "return Terms(gain, pi.kl(dist, prior), dist, None)",
        "test_rows.py::test_trpo_gains_within_its_radius",
    ),
    Mutation(
        "factors/ratio_bound.py",
        "return jnp.minimum(ratio * score, clipped * score)",
        "return jnp.maximum(ratio * score, clipped * score)",
        "test_rows.py::test_a_clipped_ratio_is_still_where_it_is_outside_and_would_gain",
    ),
    Mutation(
        "factors/temperature.py",
        "divergence, self.target * action_size)",
        "divergence, self.target)",
        "test_fidelity.py::test_sac",
    ),
    Mutation(
        "factors/pi_theta/deterministic.py",
        "return jnp.clip(action + std * unit, -1.0, 1.0)",
        "return action + std * unit",
        "test_factors.py::test_exploration_adds_noise_of_its_std_and_stays_in_the_box",
    ),
    # ------------------------------------------------ agent
    Mutation(
        "agent/__init__.py",
        "each = 0.5 * jnp.mean(2.0 * rows, axis=1)",
        "each = jnp.mean(2.0 * rows, axis=1)",
        "test_fidelity.py::test_awac",
    ),
    Mutation(
        "agent/__init__.py",
        "config.target.critic, state.params.critic, state.target.critic",
        "config.target.critic, state.target.critic, state.params.critic",
        "test_rows.py::test_td3_moves_policy_and_targets_with_every_second_critic_step",
    ),
    Mutation(
        "agent/models.py",
        "params, how = self.state.target.policy, self.phase.policy",
        "params, how = self.state.params.policy, self.phase.policy",
        "test_agent.py::test_the_target_policy_acts_in_targets_where_there_is_one",
    ),
    Mutation(
        "agent/models.py",
        "return self.state.params.critic if slow is None else slow",
        "return self.state.params.critic",
        "test_rows.py::test_bears_target_is_the_best_of_ten_mixes",
    ),
    Mutation(
        "agent/improve.py",
        "weight = weight + bound_weight",
        "weight = weight - bound_weight",
        "test_fidelity.py::test_mpo",
    ),
    Mutation(
        "agent/estimate.py",
        "target, values[episodes.row])",
        "target, values[episodes.next_row])",
        "test_rows.py::test_returns_end_where_episodes_do_and_bootstrap_unless_they_terminate",
    ),
    Mutation(
        "agent/behavior.py",
        "return of_model + of_dual, of_model",
        "return of_model - of_dual, of_model",
        "test_rows.py::test_the_network_that_tells_policies_apart_descends_with_the_model",
    ),
)
