"""Beta and mixture policies beside SciPy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import small
from scipy import integrate, stats

from coadapt import algorithms, runner, schema
from coadapt.factors.pi_theta import Beta, Components, Concentrations
from coadapt.factors.pi_theta import MixtureOfGaussians as Mixture
from coadapt.schema import ConfigError
from coadapt.validation import config_rules

KEY, A = jax.random.key(1), 2
CLOSE = {"rtol": 2e-5, "atol": 2e-5}  # float32 through logarithms of gammas
P = Concentrations(jnp.array([[1.2, 4.0]]), jnp.array([[3.0, 1.01]]))
Q = Concentrations(jnp.array([[2.0, 1.5]]), jnp.array([[1.1, 2.5]]))


def of(dist):
    """SciPy's distributions of each dimension, on [-1, 1]."""
    alpha, beta = (np.asarray(x[0], float) for x in dist)
    return [stats.beta(a, b, -1, 2) for a, b in zip(alpha, beta, strict=True)]


def test_a_beta_policys_formulas_are_scipys():
    pi, action = Beta(), np.array([[[0.3, -0.2]], [[-0.95, 0.99]]], np.float32)
    expected = sum(d.logpdf(action[:, 0, i]) for i, d in enumerate(of(P)))
    np.testing.assert_allclose(pi.log_prob(P, action)[:, 0], expected, **CLOSE)
    entropy = sum(d.entropy() for d in of(P))
    np.testing.assert_allclose(pi.entropy(P), [entropy], **CLOSE)

    def between(p, q):
        log_ratio = lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x))  # noqa: E731
        return integrate.quad(log_ratio, -1, 1)[0]

    kl = sum(between(p, q) for p, q in zip(of(P), of(Q), strict=True))
    np.testing.assert_allclose(pi.kl(P, Q), [kl], rtol=1e-4)
    grid = np.linspace(-1, 1, 20_001)[1:-1]
    best = [grid[np.argmax(d.pdf(grid))] for d in of(Q)]
    np.testing.assert_allclose(pi.mode(Q)[0], best, rtol=0, atol=2e-4)
    head = jnp.array([[0.0, -3.0, 2.0, -200.0]])
    dist = pi.distribution({}, head)
    np.testing.assert_allclose(dist.alpha, 1 + np.log1p(np.exp([[0.0, -3.0]])), **CLOSE)
    assert np.isfinite(pi.log_prob(dist, np.array([[1.0, -1.0]], np.float32))).all()
    assert np.isfinite(pi.mode(pi.distribution({}, jnp.full((1, 4), -200.0)))).all()


def test_samples_of_a_beta_policy_have_its_distribution_and_its_gradient():
    pi, number = Beta(), 5000

    def mean(dist):
        return jnp.mean(pi.draw(dist, KEY, number), axis=0)

    drawn = np.asarray(pi.draw(P, KEY, number))[:, 0]
    for i, d in enumerate(of(P)):
        assert stats.kstest(drawn[:, i], d.cdf).pvalue > 1e-3
    # of the mean 2 a / (a + b) - 1
    found = jax.grad(lambda dist: jnp.sum(mean(dist)))(Q)
    a, b = (np.asarray(x) for x in Q)
    # an average of 5,000 terms of size 1, over which signs are common
    np.testing.assert_allclose(found.alpha, 2 * b / (a + b) ** 2, rtol=0, atol=0.04)
    np.testing.assert_allclose(found.beta, -2 * a / (a + b) ** 2, rtol=0, atol=0.04)


def test_a_mixture_is_its_formula_and_draws_from_it():
    rng, pi = np.random.default_rng(0), Mixture(components=3)
    head = rng.normal(size=(1, pi.outputs(A))).astype(np.float32)
    dist = pi.distribution({}, jnp.asarray(head))
    logits, mean, raw = np.split(head[0].astype(float), [3, 9])
    weight = np.exp(logits) / np.exp(logits).sum()
    mean, std = mean.reshape(3, A), np.exp(raw.reshape(3, A))
    u = rng.normal(size=(5, A))
    density = weight @ stats.norm.pdf(u[:, None], mean, std).prod(-1).T
    slope = (1 - np.tanh(u) ** 2).prod(-1)
    action = np.tanh(u)[:, None].astype(np.float32)
    found = pi.log_prob(dist, action)[:, 0]
    # float32's tanh and back
    np.testing.assert_allclose(found, np.log(density / slope), rtol=1e-3, atol=1e-3)
    drawn = np.asarray(pi.draw(dist, KEY, 5000))[:, 0]
    for i in range(A):

        def cdf(x, i=i):
            return weight @ stats.norm.cdf(x, mean[:, i, None], std[:, i, None])

        assert stats.kstest(drawn[:, i], cdf).pvalue > 1e-3
    np.testing.assert_allclose(
        pi.mode(dist)[0], np.tanh(mean[weight.argmax()]), **CLOSE
    )
    several = Components(*(jnp.tile(x, (4,) + (1,) * (x.ndim - 1)) for x in dist))
    alike = pi.log_prob(several, jnp.tile(action, (1, 4, 1)))
    np.testing.assert_allclose(alike, np.tile(found[:, None], (1, 4)), **CLOSE)


FREE = {"bounds": "none"}  # actions stay inside
JOINT = FREE | {"pi_p_update.trust_region": "JointKL"}
NONE = FREE | {"pi_p_update.trust_region": "none"}
CLIPPED = {"pi_q_update.trust_region": "ClippedRatio"}
LEGAL = [
    *(("Beta", name, {}) for name in ("sac", "ddpg", "td3", "ppo", "trpo", "urex")),
    *(("Beta", name, FREE) for name in ("awr", "awac", "rwr", "reps")),
    *(("Beta", name, JOINT) for name in ("mpo", "vmpo")),
    *(("MixtureOfGaussians", name, FREE) for name in ("awr", "awac", "rwr", "urex")),
    *(("MixtureOfGaussians", name, NONE) for name in ("mpo", "vmpo")),
    ("MixtureOfGaussians", "ppo", CLIPPED),
]


def test_it_stands_in_each_algorithm_that_has_a_meaning_with_it():
    for kind, name, changes in LEGAL:
        changes = {"pi_theta": kind} | changes
        config_rules.check(schema.override(algorithms.preset(name), changes))


@pytest.mark.parametrize(
    "preset, change, said",
    [
        ("sac", {}, "no pathwise gradient; use"),
        ("ppo", {}, "trust_region is KLPenalty: .*no formula for its KL; use Clipped"),
        ("trpo", {}, "pi_theta is MixtureOfGaussians: .*KL.*it must be Gaussian,"),
        ("mpo", {"pi_p_update.trust_region": "JointKL"}, "KL, so it must be none"),
        ("mpo", {}, "no mean and no std to hold apart; use none"),
        ("power", {}, "it must be Gaussian"),
        ("awr", {"exploration.noise": "PinkNoise"}, "must be WhiteNoise"),
        ("ppo_details", {}, "the bonus needs the entropy in closed form"),
    ],
)
def test_what_a_mixture_lacks_is_said(preset, change, said):
    changes = {"pi_theta": "MixtureOfGaussians", "bounds": "none"} | change
    with pytest.raises(ConfigError, match=said):
        config_rules.check(schema.override(algorithms.preset(preset), changes))


@pytest.mark.long
@pytest.mark.parametrize(
    "preset, changes",
    [
        ("sac", {"pi_theta": "Beta"}),
        ("ppo", {"pi_theta": "Beta"}),
        (
            "ppo",
            {
                "pi_theta": "MixtureOfGaussians",
                "pi_q_update.trust_region": "ClippedRatio",
            },
        ),
        ("awac", {"pi_theta": "MixtureOfGaussians"}),
    ],
)
def test_it_trains_alike_alone_and_in_a_group(preset, changes):
    config = schema.override(small(preset), changes)
    other = schema.override(config, {"optim.policy.rate": 1e-2})

    def trained(configs):
        return runner.train(
            configs, [3] * len(configs), "toy/lqr", steps=240, eval_every=240,
            eval_episodes=1, checkpoint_every=120,
        ).learner  # fmt: skip

    group, alone = trained([config, other]), trained([config])
    assert np.asarray(group.health.alive).all()
    for x, y in zip(
        jax.tree.leaves(group.agent.params),
        jax.tree.leaves(alone.agent.params),
        strict=True,
    ):
        np.testing.assert_allclose(x[0], y[0], rtol=1e-2, atol=1e-3)
