"""PoWER from its formulas: settings 3.1, with exploration in the weights.

every n steps   a = (K + E)^T phi(s), E ~ N(0, v) of each weight; of episodes that have
                ended w = Q, of rewards above their least; K by ridge regression of the
                actions, weighed by w / var(s), var(s) = sum_f phi_f^2 v_f; then v is
                the weighted moment of the noise, given what of it was seen (EM)
"""

import torch
from plain_parts import Moments, OnPolicy, network, returns, serve, until_last_end


class Power(OnPolicy):
    def __init__(self, config, obs, actions):
        super().__init__(config)
        nets, scale = config["networks"], config["pi_theta"]["scale"]
        self.policy = network(nets["policy"], obs, actions)  # its weights and bias: K
        start = 2 * torch.tensor(scale["init_std"]).log()
        self.raw = start.expand(obs + 1, actions).clone()  # log v
        self.moments, self.seen = Moments(nets["input_norm"], obs), 0

    def features(self, obs):
        normed = self.moments.normed(obs)
        return torch.cat([normed, torch.ones(*normed.shape[:-1], 1)], -1)

    def variance(self, features):
        return features**2 @ self.raw.exp()

    def act(self, obs):
        with torch.no_grad():
            obs = torch.from_numpy(obs)
            return torch.normal(
                self.greedy(obs), self.variance(self.features(obs)).sqrt()
            )

    def greedy(self, obs):
        return self.policy(self.moments.normed(obs))

    @torch.no_grad()
    def iterate(self, obs, action, reward, _, __, ended):
        self.seen += len(obs)
        n = until_last_end(ended)
        if not n:
            return
        obs, action, reward, ended = (x[:n] for x in (obs, action, reward, ended))
        gamma = self.config["g_estimate"]["discount"]
        weight = returns(gamma, reward - reward.min(), ended).clamp(min=1e-8)
        if self.seen <= self.moments.spec["until"]:
            self.moments.take(obs)
        phi, rule = self.features(obs), self.config["pi_p_update"]
        var, prior = self.variance(phi), self.raw.exp()  # [B, A], [F, A]
        for i in range(action.shape[1]):
            w = weight / var[:, i]
            w = w / w.sum()
            gram = phi.T @ (w[:, None] * phi) + rule["ridge"] * torch.eye(phi.shape[1])
            gain = torch.linalg.solve(gram, phi.T @ (w * action[:, i]))
            share = prior[:, i] * phi / var[:, i, None]  # [B, F]
            mean = share * (action[:, i] - phi @ gain)[:, None]
            moment = mean**2 + prior[:, i] * (1 - share * phi)
            fitted = (weight[:, None] * moment).sum(0) / weight.sum()
            self.raw[:, i] = fitted.clamp(min=rule["min_std"] ** 2).log()
            self.policy[-1].weight[i] = gain[:-1]
            self.policy[-1].bias[i] = gain[-1]


if __name__ == "__main__":
    serve(Power)
