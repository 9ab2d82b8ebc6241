"""EM control and KL control, exactly: Sec. 4.1.3 of the paper as a test.

Both maximise J(pi_p, pi_q) = E_{pi_q}[G] / eta - KL(pi_q || pi_p). KL control holds the
prior pi_p and ends at softmax(G / eta); EM control moves it to pi_q after each E-step
and ends at the argmax of G. All arms are enumerated, so nothing is sampled: where the
agents weigh samples of pi_p by exp(G / eta), log pi_p is added to the score here.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.ops.weights import boltzmann

ARMS = (1.0, 2.0, 3.0)
EXACT = 1e-12  # float64, sums of a few dozen terms of size 1
PRINTED = 5e-7  # half a unit of the last decimal that the settings print


def e_step(prior, gain, eta):
    """The posterior pi_p exp(G / eta) / Z over all arms. prior, gain [A, S]."""
    return boltzmann(gain + eta * jnp.log(prior), jnp.asarray(eta), per_batch=False)


def m_step(posterior):
    """argmin_p KL(pi_q || p) = argmax_p sum_a pi_q log p over tables: pi_q itself."""
    return posterior


def kl(q, p):
    """[A, S] -> [S], nats; 0 log 0 is 0."""
    return jnp.sum(jnp.where(q > 0, q * jnp.log(jnp.where(q > 0, q / p, 1)), 0), axis=0)


def objective(prior, q, gain, eta):
    """J, summed over the states."""
    return jnp.sum(jnp.sum(q * gain / eta, axis=0) - kl(q, prior))


def evidence(prior, gain, eta):
    """log p(O) = log sum_a pi_p exp(G / eta), summed over the states, as a loop."""
    total = 0.0
    for s in range(gain.shape[1]):
        total += np.log(
            sum(
                p * np.exp(g / eta)
                for p, g in zip(prior[:, s], gain[:, s], strict=True)
            )
        )
    return float(total)


def bandit():
    return jnp.full((3, 1), 1 / 3), jnp.asarray(ARMS)[:, None]


def softmax(gain):
    raw = np.exp(np.asarray(gain) - np.max(gain))
    return raw / raw.sum()


def test_c23_kl_control_is_the_softmax_forever(x64):
    prior, gain = bandit()
    for _ in range(50):
        q = e_step(prior, gain, 1.0)  # the prior stays
        np.testing.assert_allclose(
            q[:, 0], (0.090031, 0.244728, 0.665241), atol=PRINTED
        )
    np.testing.assert_allclose(q[:, 0], softmax(ARMS), atol=EXACT)
    value = objective(prior, q, gain, 1.0)
    assert value == pytest.approx(2.308994, abs=PRINTED)
    assert value == pytest.approx(evidence(prior, gain, 1.0), abs=EXACT)  # J = log Z


def test_c23_em_control_is_greedy(x64):
    prior, gain = bandit()
    printed = {
        1: (0.090031, 0.244728, 0.665241),  # the first step is KL control's
        2: (0.015876, 0.117310, 0.866813),
        5: (0.000045, 0.006693, 0.993262),
    }
    for k in range(1, 51):
        prior = m_step(e_step(prior, gain, 1.0))
        np.testing.assert_allclose(prior[:, 0], softmax(k * np.array(ARMS)), atol=EXACT)
        if k in printed:
            np.testing.assert_allclose(prior[:, 0], printed[k], atol=PRINTED)
    np.testing.assert_allclose(prior[:, 0], (0, 0, 1), atol=EXACT)
    assert evidence(prior, gain, 1.0) == pytest.approx(3, abs=EXACT)  # J: the best arm


@pytest.mark.parametrize("eta", [0.1, 0.5, 4.0])
def test_c23_the_temperature_decides_where_kl_control_ends_and_em_control_does_not(
    x64, eta
):
    start, gain = bandit()
    fixed = e_step(start, gain, eta)
    np.testing.assert_allclose(fixed[:, 0], softmax(np.array(ARMS) / eta), atol=EXACT)
    prior = start
    for _ in range(int(40 * eta) + 1):  # exp(-40) of the runner-up is left
        prior = m_step(e_step(prior, gain, eta))
    np.testing.assert_allclose(prior[:, 0], (0, 0, 1), atol=EXACT)


def test_c23_gradient_ascent_on_a_parametric_policy_ends_at_the_same_softmax(x64):
    """KL control as the paper's Sec. 4.1.2 does it: pi_q = pi_theta, moved along dJ."""
    prior, gain = bandit()

    @jax.jit
    @jax.grad
    def slope(logits):
        return objective(prior, jax.nn.softmax(logits, axis=0), gain, 1.0)

    logits = jnp.zeros((3, 1))
    for _ in range(300):  # the slowest direction shrinks by 1 - 0.09 in each step
        logits = logits + slope(logits)
    q = jax.nn.softmax(logits, axis=0)
    np.testing.assert_allclose(q, e_step(prior, gain, 1.0), atol=1e-9)


def test_c23_m_step_by_gradient_ends_at_the_posterior(x64):
    """-sum_a w log pi_theta(a), the agents' M-step, is least at pi_theta = w."""
    prior, gain = bandit()
    weight = e_step(prior, gain, 1.0)

    @jax.jit
    @jax.grad
    def slope(logits):
        return -jnp.sum(weight * jax.nn.log_softmax(logits, axis=0))

    logits = jnp.zeros((3, 1))
    for _ in range(300):  # as above
        logits = logits - slope(logits)
    np.testing.assert_allclose(jax.nn.softmax(logits, axis=0), weight, atol=1e-9)


def tables(seed, *, arms=5, states=4):
    """A random problem: prior and gain, [A, S]."""
    rng = np.random.default_rng(seed)
    prior = rng.dirichlet(np.ones(arms), size=states).T
    return jnp.asarray(prior), jnp.asarray(rng.normal(size=(arms, states)) * 2)


@pytest.mark.parametrize("eta", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_c24_each_step_of_em_raises_the_objective(x64, seed, eta):
    prior, gain = tables(seed)
    q = prior
    value = objective(prior, q, gain, eta)
    for _ in range(15):
        before = evidence(prior, gain, eta)
        q = e_step(prior, gain, eta)
        after_e = objective(prior, q, gain, eta)
        prior = m_step(q)
        after_m = objective(prior, q, gain, eta)
        # rounding of values up to 60, four states of at most 5 / 0.3
        assert value - 1e-11 <= after_e <= after_m + 1e-11
        assert after_e == pytest.approx(before, abs=1e-11)  # the E-step is tight
        assert evidence(prior, gain, eta) >= before - 1e-11
        value = after_m


@pytest.mark.parametrize("eta", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_c24_log_evidence_is_the_objective_plus_the_gap_to_the_posterior(
    x64, seed, eta
):
    prior, gain = tables(seed)
    q, _ = tables(seed + 100)  # any distribution at all
    gap = jnp.sum(kl(q, e_step(prior, gain, eta)))
    total = objective(prior, q, gain, eta) + gap
    assert total == pytest.approx(evidence(prior, gain, eta), abs=1e-11)  # as above
    assert gap > 0
