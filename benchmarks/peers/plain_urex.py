"""UREX from its formulas: settings 3.4, in Table 1's version, whose base is the policy.

every n steps   a step up the log-probabilities of whole episodes, by their weights
                K softmax(R / tau) over the K episodes that began and ended in them
"""

import torch
from plain_parts import (
    OnPolicy,
    choice,
    choice_log_prob,
    descend,
    minibatches,
    network,
    optimiser,
    returns,
    serve,
    standardised,
    until_last_end,
)


class Urex(OnPolicy):
    def __init__(self, config, obs, actions):
        super().__init__(config)
        self.policy = network(config["networks"]["policy"], obs, actions)
        self.policy_step = optimiser(
            config["optim"]["policy"], self.policy.parameters()
        )
        self.begins = True  # the first of the steps begins an episode

    def act(self, obs):
        with torch.no_grad():
            return choice(self.greedy(torch.from_numpy(obs)))

    def greedy(self, obs):
        return self.policy(obs)

    def iterate(self, obs, action, reward, _, __, ended):
        first = 0 if self.begins else int(torch.nonzero(ended)[0]) + 1
        whole = slice(first, until_last_end(ended))
        self.begins = bool(ended[-1])
        obs, action, reward, ended = (x[whole] for x in (obs, action, reward, ended))
        if not len(obs):
            return
        ends = torch.nonzero(ended)[:, 0]
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1] + 1])
        gamma = self.config["g_estimate"]["discount"]
        total = returns(gamma, reward, ended)[starts]
        tau = self.config["pi_q_update"]["temperature"]["value"]
        if self.config["pi_q"]["standardize"]:
            total = standardised(total)
        weight = len(ends) * torch.softmax(total / tau, 0)
        # a mean over episodes of sums over their steps, as a mean over steps
        each = weight.repeat_interleave(ends - starts + 1) * len(obs) / len(ends)
        size = self.data["policy_batch_size"]
        for x, a, w in minibatches([obs, action, each], size, 1):
            fit = choice_log_prob(self.policy(x), a)
            limit = self.config["optim"]["clip"]["norm"]
            descend(self.policy_step, -(w * fit).mean(), limit)


if __name__ == "__main__":
    serve(Urex)
