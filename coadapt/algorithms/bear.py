"""Bootstrapping error accumulation reduction (Kumar et al. 2019)."""

from coadapt.algorithms.ddpg import networks as ddpg_networks
from coadapt.config import BestOf, Config, Offline, Schedule, Soft, Target
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
    """400-300, as DDPG's; settings 3.10."""
    return ddpg_networks()


def bear() -> Config:
    """BEAR with its VAE (settings 3.10), offline. Set data.dataset."""
    return Config(
        pi_q=pi_q.Parametric(
            gradient=pi_q.Pathwise(
                critic="minimum",  # settings 3.10
                samples=10,  # settings 3.10
                noise_limit=0.5,  # settings 3.10
            )
        ),
        pi_p=pi_p.Behavior(
            model=pi_p.VAE(
                sizes=(750, 750),  # settings 3.10
                latent=2,  # settings 3.10
                kl_weight=0.5,  # settings 3.10
            ),
            pretrain_updates=0,  # settings 3.10
            keep_fitting=True,  # settings 3.10
        ),
        pi_q_update=pi_q_update.Gradient(
            temperature=pi_q_update.DivergenceTemperature(
                limit=0.05,  # settings 3.10
                low=-5.0,  # settings 3.10
                high=10.0,  # settings 3.10
            ),
            divergence=pi_q_update.MMD(
                samples=10,  # settings 3.10
                kernel="laplacian",  # settings 3.10
                sigma=20.0,  # settings 3.10
            ),
        ),
        pi_p_update=pi_p_update.Fixed(),
        g=g.Q(),
        g_estimate=g_estimate.TD0(
            discount=0.99,  # settings 3.10 names none
            critics=2,  # settings 3.10
            mix=0.75,  # settings 3.10
            samples=10,  # settings 3.10
            over="max",  # settings 3.10
        ),
        pi_theta=pi_theta.TanhGaussian(
            scale=pi_theta.StateLogStd(low=-4.0, high=2.0)  # settings 3.10 names none
        ),
        networks=networks(),
        optim=Optim(
            policy=Adam(rate=1e-3),  # settings 3.10
            critic=Adam(rate=1e-3),  # settings 3.10
            dual=Adam(rate=1e-3),  # settings 3.10
            prior=Adam(rate=1e-3),  # settings 3.10
        ),
        target=Target(policy=Soft(rate=5e-3), critic=Soft(rate=5e-3)),  # settings 3.10
        data=Offline(batch_size=100),  # settings 3.10
        schedule=Schedule(warm_start=100_000),  # 20 epochs of 5000; settings 3.10
        eval_policy=BestOf(samples=10),  # settings 3.10
    )


TASKS: dict[str, dict[str, object]] = {  # settings 3.10
    "gym/HalfCheetah": {"pi_q_update.divergence.sigma": 10.0},
    "gym/Hopper": {"pi_q_update.divergence.sigma": 10.0},
}
