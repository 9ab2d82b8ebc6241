"""AWAC from its formulas: settings 1.5, as Furuta et al. 2021 ran it.

critic   r + gamma min_i Qbar_i(s', a'), a' of the policy
policy   likelihood of the replay's actions by N softmax over the minibatch of
         A / beta, at most a limit; A = min_i Q_i(s, a) - min_i Q_i(s, a~), of the
         critics before their step
"""

import copy

import torch
from plain_parts import Replay, descend, network, optimiser, q_value, serve
from torch.distributions import Normal
from torch.nn import functional as F


class Awac:
    def __init__(self, config, obs, actions):
        nets, optim = config["networks"], config["optim"]
        decay = optim["weight_decay"]
        self.config, self.data, self.actions = config, config["data"], actions
        self.gamma = config["g_estimate"]["discount"]
        self.policy = network(nets["policy"], obs, actions)
        raw = config["pi_theta"]["scale"]["raw"]
        self.raw = torch.full((actions,), float(raw), requires_grad=True)
        number = config["g_estimate"]["critics"]
        self.critics = [network(nets["critic"], obs + actions, 1)
                        for _ in range(number)]  # fmt: skip
        self.targets = copy.deepcopy(self.critics)
        self.policy_step = optimiser(
            optim["policy"], [*self.policy.parameters(), self.raw], decay
        )
        self.critic_steps = [
            optimiser(optim["critic"], each.parameters(), decay)
            for each in self.critics
        ]
        self.replay = Replay(self.data["capacity"], obs, actions)

    def policy_of(self, obs):
        return Normal(self.greedy(obs), F.softplus(self.raw).sqrt())

    def act(self, obs):
        if self.replay.count < self.data["random_steps"]:
            return 2 * torch.rand(self.actions) - 1
        with torch.no_grad():
            return self.policy_of(torch.from_numpy(obs)).sample()

    def greedy(self, obs):
        return self.policy(obs).tanh()

    def observe(self, obs, action, reward, following, terminated, ended):
        self.replay.add(obs, action, reward, following, terminated)
        if self.replay.count >= self.data["learning_starts"]:
            self.update(*self.replay.sample(self.data["batch_size"]))

    @staticmethod
    def least(nets, obs, action):
        return torch.stack([q_value(each, obs, action) for each in nets]).amin(0)

    def update(self, obs, action, reward, following, goes_on):
        with torch.no_grad():
            after = self.policy_of(following).sample()
            y = reward + self.gamma * goes_on * self.least(
                self.targets, following, after
            )
            here = self.policy_of(obs).sample()
            advantage = self.least(self.critics, obs, action)
            advantage = advantage - self.least(self.critics, obs, here)
        for critic, step in zip(self.critics, self.critic_steps, strict=True):
            descend(step, 0.5 * F.mse_loss(q_value(critic, obs, action), y))
        beta = self.config["pi_q_update"]["temperature"]["value"]
        weights = len(obs) * torch.softmax(advantage / beta, 0)
        weights = weights.clamp(max=self.config["pi_q"]["clip"]["limit"])
        fit = self.policy_of(obs).log_prob(action).sum(-1)
        descend(self.policy_step, -(weights * fit).mean())
        rate = self.config["target"]["critic"]["rate"]
        with torch.no_grad():
            for new, old in zip(self.critics, self.targets, strict=True):
                for x, y in zip(new.parameters(), old.parameters(), strict=True):
                    y.lerp_(x, rate)


if __name__ == "__main__":
    serve(Awac)
