"""What is measured of stable-baselines3 and of sbx, whose interfaces are one."""

import importlib

import gymnasium
import numpy as np
import protocol
from gymnasium import spaces
from protocol import ACTIONS, EPOCHS, OBS, ROLLOUT, Cell, Job, Windows
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger


class Noise(gymnasium.Env):
    """The shapes of HalfCheetah, and no more: a frozen replay needs no steps."""

    observation_space = spaces.Box(-np.inf, np.inf, (OBS,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.zeros(OBS, np.float32), {}


def activation(job: Job, name: str):
    if job.library == "sbx":
        from flax import linen

        return getattr(linen, name)
    from torch import nn

    return {"relu": nn.ReLU, "tanh": nn.Tanh}[name]


def agent(job: Job, env, cell: Cell):
    """An agent as the library has it, but for what the job says."""
    library = {"sbx": "sbx", "sb3": "stable_baselines3"}[job.library]
    policy = {
        "net_arch": list(job.sizes),
        "activation_fn": activation(job, cell.activation),
    }
    if job.algorithm not in ("ddpg", "ppo"):  # whose single critic is no option
        policy["n_critics"] = cell.critics
    if job.algorithm == "ppo":
        data = {"n_steps": ROLLOUT, "n_epochs": EPOCHS}
    else:
        data = {
            "buffer_size": job.buffer,
            "learning_starts": job.start,
            "train_freq": 1,
            "gradient_steps": 1,
        }
    return getattr(importlib.import_module(library), job.algorithm.upper())(
        "MlpPolicy",
        env,
        batch_size=job.batch,
        gamma=cell.discount,
        policy_kwargs=policy,
        seed=cell.seed,
        device="cpu",
        **data,
    )


def learner(job: Job) -> None:
    """Updates alone: of all that `train` can do in one call, what is faster."""
    cell = Cell("", 0, activation="tanh" if job.algorithm == "ppo" else "relu")
    model, rng = agent(job, Noise(), cell), np.random.default_rng(0)
    model.set_logger(Logger(None, []))
    if job.algorithm == "ppo":
        rollout = model.rollout_buffer
        for data in (rollout.observations, rollout.advantages, rollout.returns):
            data[...] = rng.standard_normal(data.shape, dtype=np.float32)
        rollout.actions[...] = rng.uniform(-1, 1, rollout.actions.shape)
        rollout.full = True
        protocol.repeat(job, model.train, EPOCHS * ROLLOUT // job.batch, least=2)
        return
    replay = model.replay_buffer
    for data in (replay.observations, replay.next_observations, replay.rewards):
        data[...] = rng.standard_normal(data.shape, dtype=np.float32)
    replay.actions[...] = rng.uniform(-1, 1, replay.actions.shape)
    replay.full = True
    works = {
        n: lambda n=n: model.train(gradient_steps=n, batch_size=job.batch)
        for n in protocol.at_once(job)
    }
    best = protocol.fastest(works)
    protocol.repeat(job, works[best], best)


class Watch(BaseCallback):
    """Ticks at each env step after learning began, and ends it when all is measured."""

    def __init__(self, windows: Windows, start: int):
        super().__init__()
        self.windows, self.start = windows, start

    def _on_step(self) -> bool:
        return self.num_timesteps <= self.start + 1 or not self.windows.tick()


def loop(job: Job) -> None:
    model = agent(job, gymnasium.make(job.task), Cell("", 0))
    windows = Windows(job, least=50)
    model.learn(10**9, callback=Watch(windows, job.start), log_interval=10**9)
    windows.tell(1)


def sweep(job: Job) -> None:
    returns = []
    for cell in job.cells:
        model = agent(job, gymnasium.make(job.task), cell)
        model.learn(job.steps)
        env = gymnasium.make(job.task)
        returns.append(
            evaluate_policy(model, env, n_eval_episodes=job.episodes, warn=False)[0]
        )
    protocol.add_rows(job, returns)


if __name__ == "__main__":
    protocol.serve({"learner": learner, "loop": loop, "sweep": sweep})
