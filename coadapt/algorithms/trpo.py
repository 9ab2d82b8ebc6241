"""Trust-region policy optimisation (Schulman et al. 2015): to learn, and of Table 1."""

from coadapt import schema
from coadapt.algorithms import small
from coadapt.config import Config, Mode, Rollout, Sampled, Schedule, Target
from coadapt.factors import (
    g,
    g_estimate,
    pi_p,
    pi_p_update,
    pi_q,
    pi_q_update,
    pi_theta,
)
from coadapt.networks import Networks
from coadapt.optim import Adam, Optim


def trpo() -> Config:
    """TRPO that learns within 10^5 steps: Table 1's, with sb3-contrib's numbers.

    Of Table 1's remain the observation normaliser, which sb3-contrib leaves to a
    wrapper, and Adam's epsilon (1e-5 there).
    """
    return schema.override(
        trpo_table1(),
        {
            "networks.policy": small.network(0.01, hidden=2**0.5),  # settings 3.12
            "networks.critic": small.network(1.0, hidden=2**0.5),  # settings 3.12
            "g_estimate": g_estimate.GAE(
                discount=0.99,  # settings 3.12
                lam=0.95,  # settings 3.12
            ),
            "pi_q_update.kl": "mean",  # settings 3.12
            "pi_q_update.kl_direction": "reverse",  # settings 3.12
            "pi_q_update.backtrack_coeff": 0.8,  # settings 3.12
            "pi_q_update.iterations": 15,  # settings 3.12
            "data.batch_size": 128,  # settings 3.12, the critic's
            "data.update_every": 2048,  # settings 3.12
            "data.policy_batch_size": 2048,  # settings 3.12
            "schedule.critic_steps": 160,  # 10 epochs of 2048 / 128; settings 3.12
            "eval_policy": Mode(),  # settings 3.12
        },
    )


def networks() -> Networks:
    """Separate, 64-64, tanh, small outputs of both; settings 3.6."""
    net = small.network(0.01)  # settings 3.6
    return Networks(policy=net, critic=net, input_norm=small.input_norm())


def trpo_table1() -> Config:
    """TRPO as PFRL has it (settings 3.6), with TD(1) as in Table 1.

    PFRL's own estimate is GAE, with lambda 0.97 (settings 3.6).

    After 100,000 steps at these numbers it is above a random policy and above doing
    nothing on InvertedDoublePendulum-v5, not on Pendulum-v1 (docs/results.md).
    """
    return Config(
        pi_q=pi_q.Parametric(
            gradient=pi_q.LikelihoodRatio(standardize=True)  # settings 3.6
        ),
        pi_p=pi_p.Posterior(),
        pi_q_update=pi_q_update.NaturalGradient(
            max_kl=0.01,  # settings 3.6
            iterations=20,  # settings 3.6
            damping=0.1,  # settings 3.6
            max_backtracks=10,  # settings 3.6
        ),
        pi_p_update=pi_p_update.Copy(),
        g=g.Advantage(),
        g_estimate=g_estimate.MonteCarlo(discount=0.995),  # settings 3.6
        pi_theta=pi_theta.Gaussian(
            mean="free",  # settings 3.6
            scale=pi_theta.LearnedLogStd(raw=0.0),  # settings 3.6
        ),
        networks=networks(),
        optim=Optim(critic=Adam(rate=1e-3)),  # settings 3.6
        target=Target(policy=None, critic=None),
        data=Rollout(
            batch_size=64,  # settings 3.6, the critic's
            update_every=5000,  # settings 3.6
            policy_batch_size=5000,  # settings 3.6
        ),
        schedule=Schedule(
            critic_steps=391,  # 5 epochs of 5000 / 64; settings 3.6
            policy_steps=1,  # settings 3.6
        ),
        eval_policy=Sampled(),  # settings 3.6
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.6
