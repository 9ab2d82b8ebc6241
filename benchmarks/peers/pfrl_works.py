"""What is measured of PFRL."""

import numpy as np
import pfrl
import protocol
import torch
import torch_parts
from pfrl import agents, explorers, replay_buffers
from pfrl.nn.lmbda import Lambda
from protocol import ACTIONS, EPOCHS, OBS, ROLLOUT, Cell, Job
from torch import distributions, nn
from torch.optim import Adam


def squashed(outputs: torch.Tensor) -> distributions.Distribution:
    """A Gaussian behind a tanh."""
    mean, log_std = outputs.chunk(2, dim=-1)
    normal = distributions.Normal(mean, log_std.clamp(-20, 2).exp())
    return distributions.TransformedDistribution(
        distributions.Independent(normal, 1),
        [distributions.TanhTransform(cache_size=1)],
    )


class Made:
    """An agent of PFRL for so many observations and actions."""

    def __init__(self, job: Job, cell: Cell, obs: int, actions: int):
        rng, activation = np.random.default_rng(0), torch_parts.ACTIVATIONS

        def net(inputs: int, outputs: int, *more: nn.Module) -> nn.Sequential:
            hidden = activation[cell.activation]
            return nn.Sequential(
                *torch_parts.mlp(inputs, job.sizes, outputs, hidden), *more
            )

        def critic() -> nn.Sequential:
            joined = pfrl.nn.ConcatObsAndAction()
            return nn.Sequential(joined, net(obs + actions, 1))

        stochastic = job.algorithm == "sac"
        head = Lambda(squashed) if stochastic else pfrl.policies.DeterministicHead()
        bound = () if stochastic else (nn.Tanh(),)
        policy = net(obs, actions * (2 if stochastic else 1), *bound, head)
        critics = [critic() for _ in range(1 if job.algorithm == "ddpg" else 2)]
        options = {
            "replay_buffer": replay_buffers.ReplayBuffer(job.buffer),
            "gamma": cell.discount,
            "replay_start_size": max(job.start, job.batch),
            "minibatch_size": job.batch,
            "burnin_action_func": lambda: rng.uniform(-1, 1, actions).astype("f4"),
            "soft_update_tau": 5e-3,
        }
        if stochastic:
            options |= {"entropy_target": -actions, "temperature_optimizer_lr": 3e-4}
        else:
            options["explorer"] = explorers.AdditiveGaussian(0.1, -1.0, 1.0)
        if job.algorithm == "ddpg":
            options |= {"target_update_interval": 1, "target_update_method": "soft"}
        names = {"sac": "SoftActorCritic", "td3": "TD3", "ddpg": "DDPG"}
        nets = [policy, *critics]
        optimisers = [Adam(n.parameters(), lr=3e-4) for n in nets]
        self.agent = getattr(agents, names[job.algorithm])(
            *nets, *optimisers, **options
        )

    def act(self, obs: np.ndarray) -> np.ndarray:
        return self.agent.act(obs)

    def observe(self, obs, action, reward, following, terminated, ended) -> None:
        self.agent.observe(following, reward, terminated, ended and not terminated)

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        with self.agent.eval_mode():
            return self.agent.act(obs)


def learner_of_ppo(job: Job) -> None:
    """Its update by a rollout, which is noise."""
    rng = np.random.default_rng(0)
    policy = nn.Sequential(
        *torch_parts.mlp(OBS, job.sizes, ACTIONS, nn.Tanh),
        pfrl.policies.GaussianHeadWithStateIndependentCovariance(ACTIONS),
    )
    value = nn.Sequential(*torch_parts.mlp(OBS, job.sizes, 1, nn.Tanh))
    model = pfrl.nn.Branched(policy, value)
    agent = agents.PPO(
        model,
        Adam(model.parameters(), lr=3e-4),
        update_interval=ROLLOUT,
        minibatch_size=job.batch,
        epochs=EPOCHS,
    )
    numbers = ("adv", "log_prob", "v_pred", "v_teacher")
    rollout = [
        {
            "state": rng.standard_normal(OBS).astype(np.float32),
            "action": rng.standard_normal(ACTIONS).astype(np.float32),
            **{name: float(rng.standard_normal()) for name in numbers},
        }
        for _ in range(ROLLOUT)
    ]
    updates = EPOCHS * ROLLOUT // job.batch
    protocol.repeat(job, lambda: agent._update(rollout), updates, least=2)


def learner(job: Job) -> None:
    if job.algorithm == "ppo":
        learner_of_ppo(job)
        return
    agent, rng = Made(job, Cell("", 0), OBS, ACTIONS).agent, np.random.default_rng(0)
    replay = agent.replay_buffer
    obs = rng.standard_normal((job.buffer + 1, OBS), dtype=np.float32)
    actions = rng.uniform(-1, 1, (job.buffer, ACTIONS)).astype(np.float32)
    for i in range(job.buffer):
        replay.append(obs[i], actions[i], rng.standard_normal(), obs[i + 1])
    protocol.repeat(job, lambda: agent.update(replay.sample(job.batch)))


if __name__ == "__main__":
    torch_parts.serve(Made, learner)
