"""MPO from its formulas: settings 1.3, as Furuta et al. 2021 ran it.

E-step   q_j over M actions of the target policy at s'; weights softmax(q / eta),
         and of how far an action is out of the box; eta descends its dual.
M-step   weighted likelihood of mean and of std apart, each within its own KL of the
         target policy, for each dimension, at a price that its dual sets.
critic   r + gamma mean_j q_j, one step.
"""

import copy
import math

import torch
from plain_parts import Replay, descend, network, optimiser, q_value, serve
from torch.distributions import Normal
from torch.nn import functional as F


class Mpo:
    def __init__(self, config, obs, actions):
        self.config, self.data = config, config["data"]
        trust, nets = config["pi_p_update"]["trust_region"], config["networks"]
        temperature, bounds = config["pi_q_update"]["temperature"], config["bounds"]
        self.samples, self.updates, self.steps = config["pi_p"]["samples"], 0, 0
        self.gamma = config["g_estimate"]["discount"]
        self.limit = config["optim"]["clip"]["norm"]
        self.policy = network(nets["policy"], obs, 2 * actions)
        self.critic = network(nets["critic"], obs + actions, 1)
        self.policy_target = copy.deepcopy(self.policy)
        self.critic_target = copy.deepcopy(self.critic)
        optim = config["optim"]
        self.policy_step = optimiser(optim["policy"], self.policy.parameters())
        self.critic_step = optimiser(optim["critic"], self.critic.parameters())
        self.raw, self.epsilon = {}, {}
        for name, value, epsilon, size in (
            ("eta", temperature["init"], temperature["epsilon"], 1),
            ("out", bounds["init"], bounds["epsilon"], 1),
            ("mean", trust["init_mean"], trust["epsilon_mean"], actions),
            ("std", trust["init_std"], trust["epsilon_std"], actions),
        ):
            self.raw[name] = torch.full((size,), float(value), requires_grad=True)
            self.epsilon[name] = epsilon
        self.dual_steps = {
            name: optimiser(optim["dual"], [x]) for name, x in self.raw.items()
        }
        self.replay = Replay(self.data["capacity"], obs, actions)

    def gaussian(self, net, obs):
        """Mean and std; at an output of 0 the std is the config's."""
        mean, raw = net(obs).chunk(2, -1)
        scale = self.config["pi_theta"]["scale"]
        std = F.softplus(raw) * (scale["init_std"] / 0.6931) + scale["std_offset"]
        return mean, std

    def act(self, obs):
        with torch.no_grad():
            return torch.normal(*self.gaussian(self.policy, torch.from_numpy(obs)))

    def greedy(self, obs):
        return self.gaussian(self.policy, obs)[0]

    def observe(self, obs, action, reward, following, terminated, ended):
        self.replay.add(obs, action, reward, following, terminated)
        self.steps += 1
        begun = self.steps >= self.data["learning_starts"]
        if begun and self.steps % self.data["update_every"] == 0:
            self.update(*self.replay.sample(self.data["batch_size"]))

    def dual(self, name):
        return F.softplus(self.raw[name].clamp(min=-18.0)) + 1e-8

    def dual_loss(self, name, scores):
        """eta (epsilon + E_s log mean_j exp(score / eta)), scores [M, B]."""
        eta = self.dual(name)
        value = torch.logsumexp(scores / eta, 0) - math.log(self.samples)
        return (eta * (self.epsilon[name] + value.mean())).sum()

    def weights(self, name, scores):
        return torch.softmax(scores / self.dual(name).detach(), 0)

    def step_dual(self, name, loss):
        descend(self.dual_steps[name], loss, self.limit)

    def update(self, obs, action, reward, following, goes_on):
        with torch.no_grad():
            mean_t, std_t = self.gaussian(self.policy_target, following)
            drawn = mean_t + std_t * torch.randn(self.samples, *mean_t.shape)
            states = following.expand(self.samples, *following.shape)
            q = q_value(self.critic_target, states, drawn)  # [M, B]
            cost = -(drawn - drawn.clamp(-1, 1)).norm(dim=-1)
            y = reward + self.gamma * goes_on * q.mean(0)
        loss = 0.5 * F.mse_loss(q_value(self.critic, obs, action), y)
        descend(self.critic_step, loss, self.limit)
        eta_loss, weights = self.dual_loss("eta", q), self.weights("eta", q)
        self.step_dual("out", self.dual_loss("out", cost))
        weights = weights + self.weights("out", cost)
        kls = self.improve(following, drawn, weights, mean_t, std_t)
        self.step_dual("eta", eta_loss)
        for name, kl in zip(("mean", "std"), kls, strict=True):
            self.step_dual(name, (self.dual(name) * (self.epsilon[name] - kl)).sum())
        self.updates += 1
        if self.updates % self.config["target"]["policy"]["period"] == 0:
            self.policy_target.load_state_dict(self.policy.state_dict())
        if self.updates % self.config["target"]["critic"]["period"] == 0:
            self.critic_target.load_state_dict(self.critic.state_dict())

    def improve(self, obs, drawn, weights, mean_t, std_t):
        """The M-step; returns both divergences before it, of each dimension [D]."""
        mean, std = self.gaussian(self.policy, obs)
        fit = Normal(mean, std_t).log_prob(drawn) + Normal(mean_t, std).log_prob(drawn)
        kl_mean = ((mean_t - mean) ** 2 / (2 * std_t**2)).mean(0)
        kl_std = ((std / std_t).log() + std_t**2 / (2 * std**2) - 0.5).mean(0)
        loss = -(weights * fit.sum(-1)).sum(0).mean()
        loss = loss + (self.dual("mean").detach() * kl_mean).sum()
        loss = loss + (self.dual("std").detach() * kl_std).sum()
        descend(self.policy_step, loss, self.limit)
        return kl_mean.detach(), kl_std.detach()


if __name__ == "__main__":
    serve(Mpo)
