"""V-MPO from its formulas: settings 3.5 and 3.13.

each n steps    V is fitted to lambda-returns of the steps, then the policy to the
                better half of the actions of a minibatch, by softmax(A / eta) over
                it, A in standard deviations over all steps; eta descends its dual
KL              of the policy before, of mean and of std apart, over all dimensions,
                on all states of the minibatch, each at a price that its dual sets
"""

import math

import torch
from plain_parts import (
    Moments,
    OnPolicy,
    descend,
    minibatches,
    network,
    optimiser,
    serve,
    standardised,
)
from torch.distributions import Normal
from torch.nn import functional as F


class Vmpo(OnPolicy):
    def __init__(self, config, obs, actions):
        super().__init__(config)
        nets, optim = config["networks"], config["optim"]
        trust = config["pi_p_update"]["trust_region"]
        temperature = config["pi_q_update"]["temperature"]
        self.gamma, self.lam = (config["g_estimate"][n] for n in ("discount", "lam"))
        self.policy = network(nets["policy"], obs, 2 * actions)
        self.value = network(nets["critic"], obs, 1)
        self.policy_step = optimiser(optim["policy"], self.policy.parameters())
        self.value_step = optimiser(optim["critic"], self.value.parameters())
        self.moments = Moments(nets["input_norm"], obs)
        self.raw, self.epsilon = {}, {}
        for name, value, epsilon in (
            ("eta", temperature["init"], temperature["epsilon"]),
            ("mean", trust["init_mean"], trust["epsilon_mean"]),
            ("std", trust["init_std"], trust["epsilon_std"]),
        ):
            self.raw[name] = torch.tensor(float(value), requires_grad=True)
            self.epsilon[name] = epsilon
        self.dual_steps = {
            name: optimiser(optim["dual"], [x]) for name, x in self.raw.items()
        }

    def gaussian(self, normed):
        mean, raw = self.policy(normed).chunk(2, -1)
        scale = self.config["pi_theta"]["scale"]
        std = F.softplus(raw) * (scale["init_std"] / 0.6931) + scale["std_offset"]
        return mean, std

    def act(self, obs):
        with torch.no_grad():
            normed = self.moments.normed(torch.from_numpy(obs))
            return torch.normal(*self.gaussian(normed))

    def greedy(self, obs):
        return self.gaussian(self.moments.normed(obs))[0]

    def dual(self, name):
        return F.softplus(self.raw[name].clamp(min=-18.0)) + 1e-8

    @torch.no_grad()
    def labels(self, obs, reward, following, terminated, ended):
        """Lambda-returns and advantages [N]; an episode that is cut goes on by V."""
        v, after = (self.value(self.moments.normed(x))[:, 0] for x in (obs, following))
        errors = reward + self.gamma * (1 - terminated) * after - v
        found, ahead = torch.empty(len(v)), torch.tensor(0.0)
        for t in reversed(range(len(v))):
            goes_on = self.gamma * self.lam * (1 - ended[t])
            ahead = found[t] = errors[t] + goes_on * ahead
        return found + v, found

    def iterate(self, obs, action, reward, following, terminated, ended):
        returns, advantages = self.labels(obs, reward, following, terminated, ended)
        self.moments.take(obs)
        normed, schedule = self.moments.normed(obs), self.config["schedule"]
        size = self.data["batch_size"]
        each = minibatches([normed, returns], size, schedule["critic_steps"])
        for x, y in each:
            descend(self.value_step, 0.5 * F.mse_loss(self.value(x)[:, 0], y))
        scaled = standardised(advantages)
        with torch.no_grad():
            before = self.gaussian(normed)
        data = [normed, action, scaled, *before]
        for batch in minibatches(data, size, schedule["policy_steps"]):
            self.improve(*batch)

    def improve(self, obs, action, advantage, mean_b, std_b):
        half = round(len(obs) * self.config["pi_q"]["top_fraction"])
        best, rows = advantage.topk(half)
        eta = self.dual("eta")
        value = torch.logsumexp(best / eta, 0) - math.log(half)
        eta_loss = eta * (self.epsilon["eta"] + value)
        weights = torch.softmax(best / eta.detach(), 0)
        mean, std = self.gaussian(obs)
        fit = Normal(mean[rows], std[rows]).log_prob(action[rows]).sum(-1)
        kl_mean = ((mean_b - mean) ** 2 / (2 * std_b**2)).sum(-1).mean()
        kl_std = ((std / std_b).log() + std_b**2 / (2 * std**2) - 0.5).sum(-1).mean()
        loss = -(weights * fit).sum()
        loss = loss + self.dual("mean").detach() * kl_mean
        loss = loss + self.dual("std").detach() * kl_std
        descend(self.policy_step, loss)
        descend(self.dual_steps["eta"], eta_loss)
        for name, kl in (("mean", kl_mean.detach()), ("std", kl_std.detach())):
            price = self.dual(name) * (self.epsilon[name] - kl)
            descend(self.dual_steps[name], price)


if __name__ == "__main__":
    serve(Vmpo)
