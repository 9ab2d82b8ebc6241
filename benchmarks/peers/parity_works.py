"""Learning curves of stable-baselines3 and sb3-contrib, by settings that are given.

A job comes as JSON, the only argument: see parity.py. Rows are written as evaluations
end, so that a program that is killed has lost one seed at the most.
"""

import gymnasium
import numpy as np
import sb3_contrib
import stable_baselines3
from plain_parts import ACTIVATIONS, begun, env, start
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

CLASSES = {
    "sac": stable_baselines3.SAC,
    "td3": stable_baselines3.TD3,
    "ddpg": stable_baselines3.DDPG,
    "ppo": stable_baselines3.PPO,
    "trpo": sb3_contrib.TRPO,
}


class Unclipped(gymnasium.ActionWrapper):
    """Tells of a wider box, to which a Gaussian is clipped before it acts."""

    def __init__(self, around):
        super().__init__(around)
        wide = np.full(around.action_space.shape, 1e3, np.float32)
        self.action_space = gymnasium.spaces.Box(-wide, wide)

    def action(self, action):
        return action


def model(job, seed):
    """The agent, and its environment with the normaliser if it has one.

    What is beyond the box goes to the task as ours does, where a policy is a Gaussian.
    """
    gaussian = job["method"] in ("ppo", "trpo")
    around = DummyVecEnv(
        [lambda: Unclipped(env(job["task"])) if gaussian else env(job["task"])]
    )
    if job["inputs"]:
        around = VecNormalize(around, norm_reward=False, **job["inputs"])
    keywords = dict(job["keywords"])
    if "noise" in keywords:
        size = around.action_space.shape
        std = keywords.pop("noise") * np.ones(size)
        keywords["action_noise"] = NormalActionNoise(np.zeros(size), std)
    policy = {
        "net_arch": job["sizes"],
        "activation_fn": ACTIVATIONS[job["activation"]],
        "optimizer_kwargs": {"eps": job["epsilon"]},
    }
    made = CLASSES[job["method"]](
        "MlpPolicy", around, policy_kwargs=policy, seed=seed, device="cpu", **keywords
    )
    initialise(made, job)
    return made


def initialise(made, job):
    """Weights as ours start; a layer that has the last is told by what it gives."""
    hidden, output, critic = (
        *(job["initial"][place] for place in ("hidden", "output")), job["critic"],
    )  # fmt: skip
    outputs = ("mu", "log_std", "action_net")
    for name, layer in made.policy.named_modules():
        if not isinstance(layer, nn.Linear):
            continue
        last = name.split(".")[-1] in outputs or name.endswith("mu.4")
        value = layer.out_features == 1 and not last
        start(layer, critic if value else output if last else hidden)
    for one in ("actor", "critic"):
        target = getattr(made, f"{one}_target", None)
        if target is not None:
            target.load_state_dict(getattr(made, one).state_dict())


class Curve(BaseCallback):
    """Evaluations at env steps that are multiples of `every`."""

    def __init__(self, job, seed, writer, file):
        super().__init__()
        self.job, self.seed, self.writer, self.file = job, seed, writer, file
        self.envs = [env(job["task"]) for _ in range(job["episodes"])]

    def _on_step(self):
        steps = self.num_timesteps
        # the last rollout goes on beyond the horizon
        if steps % self.job["every"] == 0 and steps <= self.job["steps"]:
            self.tell()
        return True

    def tell(self):
        job = self.job
        value = evaluate(self.model, self.envs, 10**6 * (self.seed + 1))
        row = (job["method"], job["task"], self.num_timesteps, self.seed)
        self.writer.writerow([*row, f"{value:.4f}", job["cpu"]])
        self.file.flush()


def evaluate(made, envs, seed):
    """The mean return of an episode in each of the environments, greedily."""
    around = made.get_vec_normalize_env()
    obs = np.stack([each.reset(seed=seed + i)[0] for i, each in enumerate(envs)])
    total, running = np.zeros(len(envs)), np.ones(len(envs), bool)
    while running.any():
        seen = around.normalize_obs(obs) if around is not None else obs
        actions = made.predict(seen, deterministic=True)[0]
        for i in np.flatnonzero(running):
            obs[i], reward, terminated, truncated, _ = envs[i].step(actions[i])
            total[i] += reward
            running[i] = not (terminated or truncated)
    return total.mean()


def main():
    with begun() as (job, writer, file):
        for seed in job["seeds"]:
            curve = Curve(job, seed, writer, file)
            model(job, seed).learn(job["steps"], callback=curve)


if __name__ == "__main__":
    main()
