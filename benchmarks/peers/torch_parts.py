"""What the scripts of torch have in common: a network, the loop, an evaluation."""

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

import gymnasium
import numpy as np
import protocol
import torch
from gymnasium.wrappers import RescaleAction
from protocol import Cell, Job, Windows
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Agent(Protocol):
    def act(self, obs: np.ndarray) -> np.ndarray: ...

    def observe(
        self,
        obs: np.ndarray,
        action: np.ndarray,
        reward: float,
        following: np.ndarray,
        terminated: bool,
        ended: bool,
    ) -> None: ...

    def greedy(self, obs: np.ndarray) -> np.ndarray: ...


Make = Callable[[Job, Cell, int, int], Agent]  # numbers of observations and actions


def mlp(
    inputs: int, sizes: Sequence[int], outputs: int, activation: type = nn.ReLU
) -> list[nn.Module]:
    """Its layers, Xavier's uniform in their weights."""
    layers, widths = [], (inputs, *sizes, outputs)
    for before, after in itertools.pairwise(widths):
        layer = nn.Linear(before, after)
        nn.init.xavier_uniform_(layer.weight)
        layers += [layer, activation()]
    return layers[:-1]


def make(task: str) -> gymnasium.Env:
    """Actions in [-1, 1]."""
    return RescaleAction(gymnasium.make(task), -1.0, 1.0)


def train(job: Job, agent: Agent, tick: Callable[[int], bool]) -> None:
    """Env steps, each observed by the agent, until `tick` of their number says so."""
    env = make(job.task)
    obs, steps = env.reset(seed=0)[0].astype(np.float32), 0
    while not tick(steps):
        action = agent.act(obs)
        following, reward, terminated, truncated, _ = env.step(action)
        following, ended = following.astype(np.float32), terminated or truncated
        agent.observe(obs, action, float(reward), following, terminated, ended)
        obs = env.reset()[0].astype(np.float32) if ended else following
        steps += 1


def evaluate(job: Job, agent: Agent) -> float:
    """The mean return of the job's episodes."""
    env, total = make(job.task), 0.0
    for episode in range(job.episodes):
        obs, ended = env.reset(seed=episode)[0], False
        while not ended:
            obs, reward, terminated, truncated, _ = env.step(
                agent.greedy(obs.astype(np.float32))
            )
            total, ended = total + float(reward), terminated or truncated
    return total / job.episodes


def of_task(job: Job, cell: Cell, make_agent: Make) -> Agent:
    torch.manual_seed(cell.seed)
    env = gymnasium.make(job.task)
    sizes = (env.observation_space.shape[0], env.action_space.shape[0])
    return make_agent(job, cell, *sizes)


def serve(make_agent: Make, learner: Callable[[Job], None]) -> None:
    """Do what was asked: `learner` is the script's own, the rest is of its agents."""

    def loop(job: Job) -> None:
        windows = Windows(job)

        def tick(steps: int) -> bool:
            return steps > job.start and windows.tick()

        train(job, of_task(job, Cell("", 0), make_agent), tick)
        windows.tell(1)

    def sweep(job: Job) -> None:
        returns = []
        for cell in job.cells:
            agent = of_task(job, cell, make_agent)
            train(job, agent, lambda steps: steps == job.steps)
            returns.append(evaluate(job, agent))
        protocol.add_rows(job, returns)

    protocol.serve({"learner": learner, "loop": loop, "sweep": sweep})
