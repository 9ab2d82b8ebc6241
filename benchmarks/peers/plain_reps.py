"""REPS from its formulas: settings 3.3, with V linear in random Fourier features.

every n steps   eta and V minimise eta epsilon + eta log mean exp(delta / eta) + (1 -
                gamma) mean V(s_0) + a ridge, delta = r + gamma V(s') - V(s); a step
                that terminates goes on from a state of value V_T to itself, for gamma /
                (1 - gamma) steps; then the policy is fitted to the actions by
                exp(delta / eta), normalised over a minibatch
"""

import math

import torch
from plain_parts import (
    Moments,
    OnPolicy,
    choice,
    choice_log_prob,
    descend,
    minibatches,
    network,
    optimiser,
    serve,
)


class Reps(OnPolicy):
    def __init__(self, config, obs, actions):
        super().__init__(config)
        nets, rule = config["networks"], config["pi_q_update"]["temperature"]
        spec = nets["critic"]["features"]
        self.policy = network(nets["policy"], obs, actions)
        self.policy_step = optimiser(
            config["optim"]["policy"], self.policy.parameters()
        )
        self.moments = Moments(nets["input_norm"], obs)
        self.w = torch.randn(obs, spec["number"]).double() / spec["width"]
        self.b = 2 * math.pi * torch.rand(spec["number"]).double()
        start = nets["critic"]["output"]["scale"]
        self.v = (2 * torch.rand(spec["number"]).double() - 1) * start
        self.terminal = torch.zeros((), dtype=torch.float64)
        # eta = floor + exp(raw)
        self.raw = torch.tensor(math.log(rule["init"] - rule["floor"])).double()

    def act(self, obs):
        with torch.no_grad():
            return choice(self.greedy(torch.from_numpy(obs)))

    def greedy(self, obs):
        return self.policy(self.moments.normed(obs))

    def features(self, obs):
        angle = self.moments.normed(obs).double() @ self.w + self.b
        return angle.cos() * math.sqrt(2 / len(self.b))

    def iterate(self, obs, action, reward, following, terminated, ended):
        delta = self.solve(obs, reward, following, terminated, ended)
        self.moments.take(obs)
        data = [self.moments.normed(obs), action, delta / self.eta(self.raw)]
        steps = self.config["schedule"]["policy_steps"]
        for x, a, scaled in minibatches(data, self.data["batch_size"], steps):
            weight = len(x) * torch.softmax(scaled, 0).float()
            fit = choice_log_prob(self.policy(x), a)
            descend(self.policy_step, -(weight * fit).mean())

    def eta(self, raw):
        return self.config["pi_q_update"]["temperature"]["floor"] + raw.exp()

    def solve(self, obs, reward, following, terminated, ended):
        """Minimise the dual, from where the last iteration left it; delta [N]."""
        rule, goes_on = self.config["g_estimate"], 1 - terminated.double()
        gamma = rule["discount"]
        epsilon = self.config["pi_q_update"]["temperature"]["epsilon"]
        here, after = self.features(obs), self.features(following)
        starts = torch.cat([torch.tensor([True]), ended[:-1] > 0])
        count = gamma / (1 - gamma) * terminated.double().sum()
        total = len(obs) + count

        def delta(v, terminal):
            ahead = goes_on * (after @ v) + (1 - goes_on) * terminal
            return reward.double() + gamma * ahead - here @ v

        def dual(v, terminal, raw):
            eta = self.eta(raw)
            of_steps = delta(v, terminal) / eta
            stays = (gamma - 1) * terminal / eta + count.clamp(min=1e-300).log()
            spread = torch.logsumexp(torch.cat([of_steps, stays[None]]), 0)
            value = eta * (epsilon + spread - total.log())
            start = (1 - gamma) * (here @ v)[starts].mean()
            return value + start + rule["ridge"] * (v**2).sum() / 2

        found = [x.clone().requires_grad_() for x in (self.v, self.terminal, self.raw)]
        search = torch.optim.LBFGS(
            found, max_iter=rule["iterations"], tolerance_grad=rule["tolerance"],
            tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure():
            search.zero_grad()
            value = dual(*found)
            value.backward()
            return value

        search.step(closure)
        self.v, self.terminal, self.raw = (x.detach() for x in found)
        return delta(self.v, self.terminal)


if __name__ == "__main__":
    serve(Reps)
