"""RWR from its formulas: settings 3.2, the baseline of the AWR paper.

every n steps   the policy is fitted to the actions of episodes that have ended, by
                min(exp(R / beta), limit), R the returns in standard deviations
"""

from plain_awr import Awr, improve
from plain_parts import (
    Moments,
    OnPolicy,
    minibatches,
    network,
    optimiser,
    returns,
    serve,
    standardised,
    until_last_end,
)


class Rwr(OnPolicy):
    def __init__(self, config, obs, actions):
        super().__init__(config)
        nets = config["networks"]
        self.std, self.seen = config["pi_theta"]["scale"]["value"], 0
        self.policy = network(nets["policy"], obs, actions)
        self.policy_step = optimiser(
            config["optim"]["policy"], self.policy.parameters()
        )
        self.moments = Moments(nets["input_norm"], obs)

    act, greedy = Awr.act, Awr.greedy

    def iterate(self, obs, action, reward, _, __, ended):
        self.seen += len(obs)
        n, config = until_last_end(ended), self.config
        if not n:
            return
        gamma = config["g_estimate"]["discount"]
        value = standardised(returns(gamma, reward[:n], ended[:n]))
        beta = config["pi_q_update"]["temperature"]["value"]
        weight = (value / beta).exp().clamp(max=config["pi_q"]["clip"]["limit"])
        if self.seen <= self.moments.spec["until"]:
            self.moments.take(obs[:n])
        data = [self.moments.normed(obs[:n]), action[:n], weight]
        steps = config["schedule"]["policy_steps"]
        for x, a, w in minibatches(data, self.data["batch_size"], steps):
            improve(self, x, a, w)


if __name__ == "__main__":
    serve(Rwr)
