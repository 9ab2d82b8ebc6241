"""Trust-region policy optimisation (Schulman et al. 2015)."""

from coadapt.algorithms import small
from coadapt.config import Config, Rollout, Sampled, Schedule, Target
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


def networks() -> Networks:
    """Separate, 64-64, tanh, small outputs of both; settings 3.6."""
    net = small.network(0.01)  # settings 3.6
    return Networks(policy=net, critic=net, input_norm=small.input_norm())


def trpo() -> Config:
    """TRPO as PFRL has it (settings 3.6), with TD(1) as in Table 1.

    PFRL's own estimate is GAE, with lambda 0.97 (settings 3.6).
    """
    return Config(
        pi_q=pi_q.Parametric(
            gradient=pi_q.LikelihoodRatio(standardize=True)  # settings 3.6
        ),
        pi_p=pi_p.Posterior(),
        pi_q_update=pi_q_update.NaturalGradient(
            radius=0.01,  # settings 3.6
            iterations=20,  # settings 3.6
            damping=0.1,  # settings 3.6
            halvings=10,  # settings 3.6
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
            batch=64,  # settings 3.6, the critic's
            steps=5000,  # settings 3.6
            policy_batch=5000,  # settings 3.6
        ),
        schedule=Schedule(
            critic_steps=391,  # 5 epochs of 5000 / 64; settings 3.6
            policy_steps=1,  # settings 3.6
        ),
        greedy=Sampled(),  # settings 3.6
    )


TASKS: dict[str, dict[str, object]] = {}  # none; settings 3.6
