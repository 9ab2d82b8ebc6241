"""The arithmetic of the paper's authors in plain torch: SAC, MPO and AWR.

Written from the settings (sections 1.1, 1.3, 1.4), in the order and with the batch
sizes that they give: MPO's policy, the target's and the newest, on each of M copies of
a minibatch. A replay is arrays, of which minibatches are gathered.
"""

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import protocol
import torch
import torch_parts
from protocol import ACTIONS, OBS, Cell, Job
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

SAMPLES = 20  # M
EPISODE = 100  # steps of an episode in the learner's replay
Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class Replay:
    """Observations, actions, rewards, the next observations, 1 where they go on."""

    def __init__(self, capacity: int, obs: int, actions: int):
        widths = (obs, actions, 1, obs, 1)
        self.data = [torch.zeros(capacity, width) for width in widths]
        self.capacity, self.count = capacity, 0

    def add(self, *step: np.ndarray | float) -> None:
        for column, value in zip(self.data, step, strict=True):
            column[self.count % self.capacity] = torch.as_tensor(value)
        self.count += 1

    def fill(self) -> None:
        for column in self.data[:4]:
            column.uniform_(-1, 1)
        self.data[4].fill_(1)
        self.count = self.capacity

    def sample(self, number: int) -> Batch:
        rows = torch.randint(min(self.count, self.capacity), (number,))
        obs, action, reward, following, goes_on = (x[rows] for x in self.data)
        return obs, action, reward[:, 0], following, goes_on[:, 0]


def adam(net: nn.Module | Sequence[Tensor], rate: float) -> torch.optim.Optimizer:
    parameters = net.parameters() if isinstance(net, nn.Module) else net
    return torch.optim.Adam(parameters, lr=rate, fused=True)


def descend(
    optimiser: torch.optim.Optimizer,
    loss: Tensor,
    of: Sequence[Tensor] | None = None,
    limit: float | None = None,
) -> None:
    """A step on a loss; its gradient's norm is limited if `of` has the parameters."""
    optimiser.zero_grad()
    loss.backward()
    if of is not None and limit is not None:
        clip_grad_norm_(of, limit)
    optimiser.step()


def q_value(net: nn.Module, obs: Tensor, action: Tensor) -> Tensor:
    return net(torch.cat([obs, action], -1))[..., 0]


# ---------------------------------------------------------------- SAC


class Sac:
    def __init__(self, job: Job, cell: Cell, obs: int, actions: int):
        hidden = torch_parts.ACTIVATIONS[cell.activation]

        def net(inputs: int, outputs: int) -> nn.Module:
            return nn.Sequential(*torch_parts.mlp(inputs, job.sizes, outputs, hidden))

        self.job, self.gamma, self.actions = job, cell.discount, actions
        self.policy = net(obs, 2 * actions)
        self.critics = [net(obs + actions, 1) for _ in range(cell.critics)]
        self.targets = [copy.deepcopy(c).requires_grad_(False) for c in self.critics]
        self.log_temperature = torch.zeros((), requires_grad=True)
        self.steps = [adam(n, 3e-4) for n in (self.policy, *self.critics)]
        self.temperature_step = adam([self.log_temperature], 3e-4)
        self.replay = Replay(job.buffer, obs, actions)

    def sample(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Actions, and the logarithms of their densities."""
        mean, log_std = self.policy(obs).chunk(2, -1)
        normal = torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp())
        raw = normal.rsample()
        bend = 2 * (math.log(2) - raw - F.softplus(-2 * raw))
        return raw.tanh(), (normal.log_prob(raw) - bend).sum(-1)

    def least(self, nets: list[nn.Module], obs: Tensor, action: Tensor) -> Tensor:
        return torch.stack([q_value(n, obs, action) for n in nets]).amin(0)

    def update(self) -> None:
        obs, action, reward, following, goes_on = self.replay.sample(self.job.batch)
        temperature = self.log_temperature.detach().exp()
        with torch.no_grad():
            chosen, log_prob = self.sample(following)
            value = self.least(self.targets, following, chosen) - temperature * log_prob
            y = reward + self.gamma * goes_on * value
        for critic, step in zip(self.critics, self.steps[1:], strict=True):
            descend(step, 0.5 * F.mse_loss(q_value(critic, obs, action), y))
        chosen, log_prob = self.sample(obs)
        value = self.least(self.critics, obs, chosen)
        descend(self.steps[0], (temperature * log_prob - value).mean())
        excess = log_prob.detach() - self.actions
        descend(self.temperature_step, -(self.log_temperature.exp() * excess).mean())
        with torch.no_grad():
            for new, old in zip(self.critics, self.targets, strict=True):
                for x, y in zip(new.parameters(), old.parameters(), strict=True):
                    y.lerp_(x, 5e-3)

    def act(self, obs: np.ndarray) -> np.ndarray:
        if self.replay.count < self.job.start:
            return (
                np.random.default_rng(self.replay.count)
                .uniform(-1, 1, self.actions)
                .astype("f4")
            )
        with torch.no_grad():
            return self.sample(torch.from_numpy(obs))[0].numpy()

    def observe(self, obs, action, reward, following, terminated, ended) -> None:
        self.replay.add(obs, action, reward, following, float(not terminated))
        if self.replay.count >= self.job.start:
            self.update()

    def greedy(self, obs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.policy(torch.from_numpy(obs)).chunk(2, -1)[0].tanh().numpy()


# ---------------------------------------------------------------- MPO


def normed(inputs: int, sizes: Sequence[int], outputs: int) -> nn.Module:
    """The first layer normed and behind a tanh, the others behind ELU."""
    layers = torch_parts.mlp(inputs, sizes, outputs, nn.ELU)
    return nn.Sequential(layers[0], nn.LayerNorm(sizes[0]), nn.Tanh(), *layers[2:])


class Mpo:
    LIMIT = 40.0  # of gradients

    def __init__(self, job: Job):
        self.job, self.updates = job, 0
        self.replay = Replay(job.buffer, OBS, ACTIONS)
        self.policy = normed(OBS, (256, 256, 256), 2 * ACTIONS)
        self.critic = normed(OBS + ACTIONS, (512, 512, 256), 1)
        self.target_policy = copy.deepcopy(self.policy)
        self.target_critic = copy.deepcopy(self.critic)
        self.policy_step, self.critic_step = (
            adam(self.policy, 1e-4),
            adam(self.critic, 1e-4),
        )
        raw = {"temperature": (1.0, 1), "penalty": (1.0, 1)}
        raw |= {"mean": (1.0, ACTIONS), "std": (10.0, ACTIONS)}
        self.raw = {
            name: torch.full((size,), start, requires_grad=True)
            for name, (start, size) in raw.items()
        }
        self.dual_steps = {name: adam([x], 1e-2) for name, x in self.raw.items()}

    def dual(self, name: str) -> Tensor:
        return F.softplus(self.raw[name].clamp(min=-18)) + 1e-8

    def descend_dual(self, name: str, loss: Tensor) -> None:
        descend(self.dual_steps[name], loss, [self.raw[name]], self.LIMIT)

    def gaussian(self, net: nn.Module, obs: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = net(obs).chunk(2, -1)
        return mean, F.softplus(raw) * (0.5 / math.log(2)) + 1e-6

    def dual_loss(self, name: str, score: Tensor, epsilon: float) -> Tensor:
        eta = self.dual(name)
        means = torch.logsumexp(score / eta, 0) - math.log(SAMPLES)
        return (eta * (epsilon + means.mean())).sum()

    def weights(self, name: str, score: Tensor) -> Tensor:
        return torch.softmax(score / self.dual(name).detach(), 0)

    def update(self) -> None:
        batch = self.replay.sample(self.job.batch)
        following = batch[3].repeat(SAMPLES, 1)  # [M B, O]
        with torch.no_grad():
            mean, std = self.gaussian(self.target_policy, following)
            actions = mean + std * torch.randn_like(std)
            q = q_value(self.target_critic, following, actions).view(SAMPLES, -1)
            outside = (actions - actions.clamp(-1, 1)).norm(dim=-1)
            cost = -outside.view(SAMPLES, -1)
        self.critic_update(batch, q.mean(0))
        temperature_loss = self.dual_loss("temperature", q, 0.1)
        weights = self.weights("temperature", q)
        self.descend_dual("penalty", self.dual_loss("penalty", cost, 1e-3))
        weights = (weights + self.weights("penalty", cost)).view(-1)
        kls = self.policy_update(following, actions, weights, (mean, std))
        self.descend_dual("temperature", temperature_loss)
        for name, kl, epsilon in zip(("mean", "std"), kls, (1e-3, 1e-6), strict=True):
            self.descend_dual(name, (self.dual(name) * (epsilon - kl)).sum())
        self.updates += 1
        if self.updates % 100 == 0:
            self.target_policy.load_state_dict(self.policy.state_dict())
            self.target_critic.load_state_dict(self.critic.state_dict())

    def critic_update(self, batch: Batch, value: Tensor) -> None:
        obs, action, reward, _, goes_on = batch
        y = reward + 0.99 * goes_on * value
        loss = 0.5 * F.mse_loss(q_value(self.critic, obs, action), y)
        descend(self.critic_step, loss, list(self.critic.parameters()), self.LIMIT)

    def policy_update(
        self, obs: Tensor, actions: Tensor, weights: Tensor, target: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """The M-step; the two divergences before it, of each dimension."""
        (mean, std), (mean_t, std_t) = self.gaussian(self.policy, obs), target
        normal, count = torch.distributions.Normal, self.job.batch
        likelihood = normal(mean, std_t).log_prob(actions).sum(-1)
        likelihood = likelihood + normal(mean_t, std).log_prob(actions).sum(-1)
        kl_mean = ((mean_t - mean) ** 2 / (2 * std_t**2)).mean(0)
        kl_std = ((std / std_t).log() + std_t**2 / (2 * std**2) - 0.5).mean(0)
        prices = [self.dual(name).detach() for name in ("mean", "std")]
        loss = -(weights * likelihood).sum() / count
        loss = loss + (prices[0] * kl_mean).sum() + (prices[1] * kl_std).sum()
        descend(self.policy_step, loss, list(self.policy.parameters()), self.LIMIT)
        return kl_mean.detach(), kl_std.detach()


# ---------------------------------------------------------------- AWR


class Awr:
    GAMMA, LAMBDA, STD = 0.99, 0.95, 0.4

    def __init__(self, job: Job):
        self.job, number = job, job.buffer // EPISODE
        self.obs = torch.randn(number, EPISODE + 1, OBS)
        self.action = torch.rand(number, EPISODE, ACTIONS) * 2 - 1
        self.reward = torch.randn(number, EPISODE)
        self.policy = nn.Sequential(*torch_parts.mlp(OBS, (128, 64), ACTIONS))
        self.value = nn.Sequential(*torch_parts.mlp(OBS, (128, 64), 1))
        sgd = torch.optim.SGD
        self.policy_step = sgd(self.policy.parameters(), lr=5e-5, momentum=0.9)
        self.value_step = sgd(self.value.parameters(), lr=1e-2, momentum=0.9)
        self.mean, self.var, self.count = torch.zeros(OBS), torch.ones(OBS), 0

    def normed(self, obs: Tensor) -> Tensor:
        return ((obs - self.mean) / (self.var + 0.01).sqrt()).clamp(-5, 5)

    def count_in(self, obs: Tensor) -> None:
        """Merge the moments of all observations of the buffer into the known ones."""
        number, mean = len(obs), obs.mean(0)
        var, total, away = (
            obs.var(0, unbiased=False),
            self.count + number,
            mean - self.mean,
        )
        among = away**2 * self.count * number / total
        self.var = (self.var * self.count + var * number + among) / total
        self.mean, self.count = self.mean + away * number / total, total

    @torch.no_grad()
    def labels(self) -> tuple[Tensor, Tensor]:
        """Returns G and advantages [episodes, steps]; no episode was terminated."""
        v = self.value(self.normed(self.obs))[..., 0] / (1 - self.GAMMA)
        g, found = v[:, -1], []
        for t in reversed(range(EPISODE)):
            ahead = (1 - self.LAMBDA) * v[:, t + 1] + self.LAMBDA * g
            g = self.reward[:, t] + self.GAMMA * ahead
            found.append(g)
        returns = torch.stack(found[::-1], 1)
        return returns, returns - v[:, :-1]

    def minibatches(self, data: list[Tensor], number: int) -> Iterator[list[Tensor]]:
        """Of steps but the episodes' last, all once before any twice."""
        rows = [x[:, :-1].flatten(0, 1) for x in data]
        size, order = self.job.batch, torch.empty(0, dtype=torch.int64)
        for _ in range(number):
            if len(order) < size:
                order = torch.cat([order, torch.randperm(len(rows[0]))])
            taken, order = order[:size], order[size:]
            yield [x[taken] for x in rows]

    def update(self) -> None:
        """One iteration."""
        returns, _ = self.labels()
        self.count_in(self.obs[:, :-1].flatten(0, 1))
        obs = self.normed(self.obs[:, :-1])
        targets = (1 - self.GAMMA) * returns
        for x, y in self.minibatches([obs, targets], self.job.critic_steps):
            descend(self.value_step, 0.5 * F.mse_loss(self.value(x)[:, 0], y))
        _, advantages = self.labels()
        away = advantages - advantages.mean()
        scaled = away / (advantages.std(unbiased=False) + 1e-8)
        weights = scaled.exp().clamp(max=20)
        data = [obs, self.action, weights]
        for x, action, weight in self.minibatches(data, self.job.policy_steps):
            mean = self.policy(x)
            density = torch.distributions.Normal(mean, self.STD)
            outside = (mean + 1).clamp(max=0) ** 2 + (mean - 1).clamp(min=0) ** 2
            loss = -(weight * density.log_prob(action).sum(-1)).mean()
            descend(self.policy_step, loss + 5.0 * outside.sum(-1).mean())


# ---------------------------------------------------------------- the learner


def learner(job: Job) -> None:
    torch.manual_seed(0)
    if job.algorithm == "awr":
        protocol.repeat(job, Awr(job).update)
        return
    sac = job.algorithm == "sac"
    agent = Sac(job, Cell("", 0), OBS, ACTIONS) if sac else Mpo(job)
    agent.replay.fill()
    protocol.repeat(job, agent.update)


if __name__ == "__main__":
    torch_parts.serve(Sac, learner)
