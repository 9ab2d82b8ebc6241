"""The details of PPO's implementations against their formulas in NumPy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt.factors import critic, pi_q, pi_q_update
from coadapt.rewards import ScaleReward
from coadapt.types import Batch, TimeStep
from tests.recipes import small

B, A = 6, 2  # rows, dimensions of an action
RNG = np.random.default_rng(3)
KEY = jax.random.key(0)


def test_the_loss_of_a_value_is_the_larger_of_it_and_it_kept_near():
    own = critic.Critic(clip=critic.ValueClip(limit=0.2))
    before = np.array([0.0, 0.0, 0.0, 0.0], np.float32)
    value = np.array([0.1, 0.5, 0.5, -0.5], np.float32)
    target = np.array([1.0, 1.0, 0.0, 1.0], np.float32)

    def loss(value):
        return own.losses(value[None, :, None], target, 1.0, before[:, None])

    near = before + np.clip(value - before, -0.2, 0.2)
    plain = np.maximum((value - target) ** 2, (near - target) ** 2) / 2
    # float32 of single squares: some of their last bits
    np.testing.assert_allclose(loss(value)[0], plain, rtol=1e-6)
    slope = jax.grad(lambda value: jnp.sum(loss(value)))(jnp.asarray(value))
    # within the clip; towards the target, too far already; away from it: both others
    np.testing.assert_allclose(slope, [-0.9, 0.0, 0.5, -1.5], rtol=1e-5, atol=1e-6)
    unclipped = critic.Critic().losses(value[None, :, None], target, 1.0)
    np.testing.assert_allclose(unclipped[0], (value - target) ** 2 / 2, rtol=1e-6)


def normal(mean, std, x):
    """Its log-density, summed over dimensions."""
    return -np.sum((x - mean) ** 2 / (2 * std**2) + np.log(std * np.sqrt(2 * np.pi)), 1)


@pytest.mark.parametrize("weight", [None, 0.3])
@pytest.mark.parametrize("over", ["data", "minibatch"])
def test_a_gain_is_of_advantages_of_the_minibatch_and_has_the_entropy(over, weight):
    mean, old, action = RNG.normal(size=(3, B, A))
    std, score = np.array([0.5, 2.0]), RNG.normal(3.0, 2.0, B)
    bonus = None if weight is None else pi_q.EntropyBonus(weight=weight)
    gradient = pi_q.LikelihoodRatio(over=over, entropy=bonus)
    entropy = np.full(B, np.sum(0.5 * np.log(2 * np.pi * np.e * std**2)))
    view = SimpleNamespace(
        pi=SimpleNamespace(
            log_prob=lambda mean, x: normal(np.asarray(mean), std, np.asarray(x)),
            kl=lambda p, q: jnp.sum((p - q) ** 2 / (2 * std**2), 1),
            entropy=lambda _: entropy,
            has_kl=True,
        ),
        policy=lambda obs, params: mean,
        update=pi_q_update.Proximal(trust_region=pi_q_update.ClippedRatio()),
    )
    batch = Batch(
        SimpleNamespace(obs=None, action=action), None, None,
        gradient.standardized(jnp.asarray(score, jnp.float32)), old,
    )  # fmt: skip
    found = gradient.terms(view, batch, KEY, None, None)
    advantage = (score - score.mean()) / score.std()
    ratio = np.exp(normal(mean, std, action) - normal(old, std, action))
    clipped = np.clip(ratio, 0.8, 1.2)
    plain = np.minimum(ratio * advantage, clipped * advantage)
    # float32 of sums of six numbers; 1e-8 or less is added to their spread
    np.testing.assert_allclose(
        found.gain, plain + (weight or 0.0) * entropy, rtol=1e-4, atol=1e-5
    )


def test_over_data_a_minibatch_is_not_standardised_again():
    score = jnp.asarray([3.0, 5.0, 10.0])
    own, other = (pi_q.LikelihoodRatio(over=o) for o in ("minibatch", "data"))
    np.testing.assert_array_equal(own.standardized(score), score)
    assert abs(np.mean(other.standardized(score))) < 1e-6


def test_a_scaled_reward_is_clipped_after_it_is_scaled():
    whole, clipped = ScaleReward(), ScaleReward(limit=0.5)
    kept = whole.init(1)
    for reward in (1.0, -2.0, 3.0):
        step = TimeStep(
            jnp.zeros(1), jnp.float32(reward), jnp.float32(1.0), jnp.bool_(False),
            jnp.zeros(1),
        )  # fmt: skip
        kept = whole.counted(kept, step, jnp.float32(0.9), jnp.bool_(True))
    for reward in (0.1, 100.0, -100.0):
        scaled = float(whole.stored(kept, jnp.float32(reward)))
        assert clipped.stored(kept, jnp.float32(reward)) == np.clip(scaled, -0.5, 0.5)


def test_the_preset_has_what_its_source_has():
    config = small("ppo_details")
    gradient = config.pi_q.gradient
    assert gradient.over == "minibatch" and gradient.entropy.weight == 0.0
    assert config.critic.clip.limit == 0.2 and config.reward.limit == 10.0
    assert config.optim.policy.epsilon == 1e-5 and config.optim.clip.norm == 0.5
