"""AWR from its formulas: settings 1.4, as Furuta et al. 2021 ran it.

every n steps   V is fitted to lambda-returns of all episodes that are kept, then
                the policy to their actions, by min(exp(A / beta), limit), A in
                standard deviations over all of them; V = net / (1 - gamma).
"""

import collections

import numpy as np
import torch
from plain_parts import (
    Moments,
    descend,
    minibatches,
    network,
    optimiser,
    serve,
    standardised,
)
from torch.distributions import Normal
from torch.nn import functional as F


class Awr:
    def __init__(self, config, obs, actions):
        nets, optim = config["networks"], config["optim"]
        self.config, self.data, self.steps = config, config["data"], 0
        self.gamma, self.lam = (config["g_estimate"][n] for n in ("discount", "lam"))
        self.std = config["pi_theta"]["scale"]["value"]
        self.policy = network(nets["policy"], obs, actions)
        self.value = network(nets["critic"], obs, 1)
        self.policy_step = optimiser(optim["policy"], self.policy.parameters())
        self.value_step = optimiser(optim["critic"], self.value.parameters())
        self.moments = Moments(nets["input_norm"], obs)
        self.episodes, self.kept = collections.deque(), 0
        self.now = [], [], []  # observations, actions, rewards of the episode

    def act(self, obs):
        with torch.no_grad():
            mean = self.greedy(torch.from_numpy(obs))
        return mean + self.std * torch.randn_like(mean)

    def greedy(self, obs):
        return self.policy(self.moments.normed(obs))

    def observe(self, obs, action, reward, following, terminated, ended):
        for column, value in zip(self.now, (obs, action, reward), strict=True):
            column.append(np.asarray(value, np.float32))
        if ended:
            self.keep(following, terminated)
        self.steps += 1
        due = self.steps % self.data["update_every"] == 0
        if due and self.kept >= self.data["batch_size"]:
            self.iterate()

    def keep(self, following, terminated):
        """The episode, with the observation after it; the oldest make room."""
        obs, action, reward = (torch.from_numpy(np.stack(x)) for x in self.now)
        after = torch.from_numpy(following)[None]
        self.episodes.append((torch.cat([obs, after]), action, reward, terminated))
        self.kept, self.now = self.kept + len(reward), ([], [], [])
        while self.kept > self.data["capacity"]:
            self.kept -= len(self.episodes.popleft()[2])

    @torch.no_grad()
    def labels(self, observed):
        """Lambda-returns and advantages of all steps; `observed` is normalised."""
        returns, advantages = [], []
        for obs, (_, _, reward, terminated) in zip(
            observed, self.episodes, strict=True
        ):
            v = self.value(obs)[:, 0] / (1 - self.gamma)
            g, found = v[-1] * (not terminated), torch.empty(len(reward))
            for t in reversed(range(len(reward))):
                last = t == len(reward) - 1
                ahead = g if last else (1 - self.lam) * v[t + 1] + self.lam * g
                g = found[t] = reward[t] + self.gamma * ahead
            returns.append(found)
            advantages.append(found - v[:-1])
        return torch.cat(returns), torch.cat(advantages)

    def iterate(self):
        schedule, until = self.config["schedule"], self.moments.spec["until"]
        before = [self.moments.normed(each[0]) for each in self.episodes]
        returns, _ = self.labels(before)
        if self.steps <= until:
            self.moments.take(torch.cat([each[0][:-1] for each in self.episodes]))
        observed = [self.moments.normed(each[0]) for each in self.episodes]
        # an episode's last step is not learned from
        learned = torch.cat([torch.arange(len(e[2])) < len(e[2]) - 1
                             for e in self.episodes])  # fmt: skip
        obs = torch.cat([each[:-1] for each in observed])[learned]
        action = torch.cat([each[1] for each in self.episodes])[learned]
        target = ((1 - self.gamma) * returns)[learned]
        size = self.data["batch_size"]
        for x, y in minibatches([obs, target], size, schedule["critic_steps"]):
            descend(self.value_step, 0.5 * F.mse_loss(self.value(x)[:, 0], y))
        _, advantages = self.labels(observed)
        scaled = standardised(advantages)
        beta = self.config["pi_q_update"]["temperature"]["value"]
        limit = self.config["pi_q"]["clip"]["limit"]
        weights = (scaled / beta).exp().clamp(max=limit)[learned]
        data = [obs, action, weights]
        for x, a, w in minibatches(data, size, schedule["policy_steps"]):
            improve(self, x, a, w)


def improve(agent, obs, action, weight):
    """A step on the weighted likelihood, and on how far the mean is outside."""
    mean = agent.policy(obs)
    fit = Normal(mean, agent.std).log_prob(action).sum(-1)
    outside = (mean - mean.clamp(-1, 1)).pow(2).sum(-1).mean()
    price = 0.5 * agent.config["bounds"]["scale"]
    descend(agent.policy_step, -(weight * fit).mean() + price * outside)


if __name__ == "__main__":
    serve(Awr)
