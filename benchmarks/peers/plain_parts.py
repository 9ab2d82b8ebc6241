"""What the plain transcriptions have in common: networks, a replay, the loop.

A job comes as JSON, the only argument: see parity.py. `config` in it is ours, as a
manifest has it, so that settings are equal; what is done with them is each script's.
Torch, NumPy and Gymnasium alone, under a Python of their own.
"""

import csv
import json
import sys
from contextlib import contextmanager
from pathlib import Path

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import RescaleAction
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}


class OneHot(gymnasium.ActionWrapper):
    """A discrete action is the largest of so many numbers."""

    def __init__(self, around):
        super().__init__(around)
        self.action_space = Box(0.0, 1.0, (int(around.action_space.n),))

    def action(self, action):
        return int(np.argmax(action)) + int(self.env.action_space.start)


def env(task):
    """Actions in [-1, 1], beyond which nothing clips them; or one-hot."""
    made = gymnasium.make(task.removeprefix("gym/"))
    if isinstance(made.action_space, Discrete):
        return OneHot(made)
    return RescaleAction(made, -1.0, 1.0)


# ---------------------------------------------------------------- networks


def start(layer, init):
    """Weights and biases of a linear layer, by the name of an initialiser of ours."""
    scale, fan_in, fan_out = init["scale"], layer.in_features, layer.out_features
    weights = layer.weight
    if init["weights"] == "xavier_uniform":
        nn.init.xavier_uniform_(weights, scale)
    elif init["weights"] == "orthogonal":
        nn.init.orthogonal_(weights, scale)
    elif init["weights"] == "fan_in_normal":  # of variance scale / fan_in
        nn.init.normal_(weights, 0.0, (scale / fan_in) ** 0.5)
    else:
        bounds = {
            "uniform": scale,
            "fan_in_uniform": (3 * scale / fan_in) ** 0.5,
            "fan_out_uniform": (3 * scale / fan_out) ** 0.5,
        }
        nn.init.uniform_(weights, -bounds[init["weights"]], bounds[init["weights"]])
    if init["bias"] == "zeros":
        nn.init.zeros_(layer.bias)
    else:
        nn.init.uniform_(layer.bias, -(fan_in**-0.5), fan_in**-0.5)


def network(spec, inputs, outputs):
    """Linear layers; the first normed and behind a tanh where the config has it so."""
    layers, hidden = [], ACTIVATIONS[spec["activation"]]
    for i, width in enumerate(spec["sizes"]):
        layer = nn.Linear(inputs, width)
        start(layer, spec["hidden"])
        if spec["norm"] and i == 0:
            assert spec["norm"]["at"] == "first_tanh", spec["norm"]
            norm = nn.LayerNorm(width, spec["norm"]["epsilon"])
            layers += [layer, norm, nn.Tanh()]
        else:
            layers += [layer, hidden()]
        inputs = width
    last = nn.Linear(inputs, outputs)
    start(last, spec["output"])
    return nn.Sequential(*layers, last)


def q_value(net, obs, action):
    return net(torch.cat([obs, action], -1))[..., 0]


def optimiser(spec, parameters, decay=0.0):
    """Adam, or SGD with momentum."""
    if spec["kind"] == "SGD":
        return torch.optim.SGD(parameters, spec["rate"], spec["momentum"])
    return torch.optim.Adam(
        parameters, spec["rate"], eps=spec["epsilon"], weight_decay=decay, fused=True
    )


def descend(step, loss, limit=None):
    """A step on a loss, whose gradient has at most this norm."""
    step.zero_grad()
    loss.backward()
    if limit is not None:
        of = [p for group in step.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(of, limit)
    step.step()


class Moments:
    """Running mean and variance of observations, by which they are normalised."""

    def __init__(self, spec, size):
        self.spec = spec
        self.mean, self.var, self.count = torch.zeros(size), torch.ones(size), 0

    def normed(self, obs):
        limit, epsilon = self.spec["limit"], self.spec["epsilon"]
        return ((obs - self.mean) / (self.var + epsilon).sqrt()).clamp(-limit, limit)

    def take(self, obs):
        """Those of rows [N, O] too; the mean of 0 and variance of 1 count as none."""
        number, total = len(obs), self.count + len(obs)
        away = obs.mean(0) - self.mean
        squares = self.var * self.count + obs.var(0, unbiased=False) * number
        self.var = (squares + away**2 * (self.count * number / total)) / total
        self.mean, self.count = self.mean + away * (number / total), total


class Replay:
    """Observations, actions, rewards, the next observations, 1 where they go on."""

    def __init__(self, capacity, obs, actions):
        widths = (obs, actions, 1, obs, 1)
        self.data = [torch.zeros(capacity, width) for width in widths]
        self.capacity, self.count = capacity, 0

    def add(self, obs, action, reward, following, terminated):
        row = (obs, action, reward, following, float(not terminated))
        for column, value in zip(self.data, row, strict=True):
            column[self.count % self.capacity] = torch.as_tensor(value)
        self.count += 1

    def sample(self, number):
        """Rewards and what goes on are [B]."""
        rows = torch.randint(min(self.count, self.capacity), (number,))
        obs, action, reward, following, goes_on = (x[rows] for x in self.data)
        return obs, action, reward[:, 0], following, goes_on[:, 0]


class OnPolicy:
    """Learns from every n steps, once; `iterate` takes their columns."""

    def __init__(self, config):
        self.config, self.data, self.steps = config, config["data"], []

    def observe(self, *step):
        self.steps.append([np.asarray(each, np.float32) for each in step])
        if len(self.steps) == self.data["update_every"]:
            columns = [torch.from_numpy(np.stack(x))
                       for x in zip(*self.steps, strict=True)]  # fmt: skip
            self.steps = []
            self.iterate(*columns)


def until_last_end(ended):
    """How many steps belong to episodes that have ended."""
    ends = torch.nonzero(ended)
    return int(ends[-1]) + 1 if len(ends) else 0


def returns(gamma, reward, ended):
    """Of each step to the end of its episode, discounted."""
    found, ahead = torch.empty(len(reward)), torch.tensor(0.0)
    for t in reversed(range(len(reward))):
        ahead = found[t] = reward[t] + gamma * (1 - ended[t]) * ahead
    return found


def standardised(x):
    """In standard deviations of all of them."""
    return (x - x.mean()) / (x.std(unbiased=False) + 1e-8)


def choice(logits):
    """An action of a softmax over logits [A], one-hot."""
    probs = torch.softmax(logits, -1)
    return nn.functional.one_hot(torch.multinomial(probs, 1)[0], len(probs)).float()


def choice_log_prob(logits, action):
    """Of one-hot actions [N, A]: [N]."""
    return (torch.log_softmax(logits, -1) * action).sum(-1)


def minibatches(data, size, number):
    """So many of rows of the data, all rows once before any twice."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(number):
        while len(order) < size:
            order = torch.cat([order, torch.randperm(len(data[0]))])
        taken, order = order[:size], order[size:]
        yield [x[taken] for x in data]


# ---------------------------------------------------------------- the loop


@contextmanager
def begun():
    """The job, on one thread, and the file to which its rows are added."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    path = Path(job["rows"])
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(job["columns"])
        yield job, writer, file


def serve(make):
    """Run the job: `make` is of a config, and numbers of observations and actions.

    What it makes has act(obs), greedy(obs [N, O]) and observe(obs, action, reward,
    following, terminated, ended).
    """
    with begun() as (job, writer, file):
        for seed in job["seeds"]:
            for step, value in curve(job, make, seed):
                row = (job["method"], job["task"], step, seed)
                writer.writerow([*row, f"{value:.4f}", job["cpu"]])
                file.flush()


def curve(job, make, seed):
    """Env steps and mean returns of the evaluations of a seed."""
    torch.manual_seed(seed)
    around = env(job["task"])
    sizes = (around.observation_space.shape[0], around.action_space.shape[0])
    agent, envs = make(job["config"], *sizes), [env(job["task"]) for _ in
                                                range(job["episodes"])]  # fmt: skip
    obs = around.reset(seed=seed)[0].astype(np.float32)
    for step in range(1, job["steps"] + 1):
        action = np.asarray(agent.act(obs), np.float32)
        following, reward, terminated, truncated, _ = around.step(action)
        following, ended = following.astype(np.float32), terminated or truncated
        agent.observe(obs, action, float(reward), following, terminated, ended)
        obs = around.reset()[0].astype(np.float32) if ended else following
        if step % job["every"] == 0:
            yield step, evaluate(agent, envs, 10**6 * (seed + 1))


def evaluate(agent, envs, seed):
    """The mean return of an episode in each of the environments, greedily."""
    obs = np.stack([each.reset(seed=seed + i)[0] for i, each in enumerate(envs)])
    total, running = np.zeros(len(envs)), np.ones(len(envs), bool)
    while running.any():
        with torch.no_grad():
            actions = agent.greedy(torch.as_tensor(obs, dtype=torch.float32)).numpy()
        for i in np.flatnonzero(running):
            obs[i], reward, terminated, truncated, _ = envs[i].step(actions[i])
            total[i] += reward
            running[i] = not (terminated or truncated)
    return total.mean()
