"""Updates of the other side of `--experiment=parity` on data and noise that are given.

A job comes as JSON, the only argument: see benchmarks/one_update.py. Arrays are read
from one file of NumPy and written to another.
"""

import importlib
import json
import sys
from contextlib import contextmanager
from unittest import mock

import gymnasium
import numpy as np
import torch

CRITICS = {"mpo": "critic", "awac": "critics", "awr": "value", "vmpo": "value"}
DUALS = {"mpo": ("out", "mean", "std", "eta"), "vmpo": ("mean", "std", "eta")}
COLUMNS = ("obs", "action", "reward", "following", "terminated", "ended")


class Noise:
    """Standard normal numbers that were drawn elsewhere, in their order."""

    def __init__(self, draws):
        self.draws = list(draws)

    def take(self, shape):
        return torch.from_numpy(self.draws.pop(0)).reshape(shape)

    @contextmanager
    def given(self):
        """While it lasts, torch draws these."""
        drawn = {
            "randn": lambda *shape: self.take(shape),
            "normal": lambda mean, std: mean + std * self.take(mean.shape),
            "randn_like": torch.zeros_like,  # where conjugate gradients begin
        }
        of_samples = {"_standard_normal": lambda shape, **_: self.take(shape)}
        with (
            mock.patch.multiple(torch, **drawn),
            mock.patch.multiple(torch.distributions.normal, **of_samples),
        ):
            yield


def found(data, prefix):
    """Arrays of a name, in their order."""
    places = range(sum(key.startswith(f"{prefix}/") for key in data))
    return [data[f"{prefix}/{i}"] for i in places]


# ---------------------------------------------------------------- transcriptions


def parts(name, agent):
    """What is learned, by the words of both sides."""
    critic = getattr(agent, CRITICS[name]) if name in CRITICS else []
    nets = critic if isinstance(critic, list) else [critic]
    raw = [] if isinstance(getattr(agent, "raw", None), dict | None) else [agent.raw]
    return {
        "policy": [*agent.policy.parameters(), *raw],
        "critic": [p for net in nets for p in net.parameters()],
        "dual": [agent.raw[key] for key in DUALS.get(name, ())],
    }


def copies(agent):
    """Slow networks begin as the others."""
    for slow, fast in (
        ("policy_target", "policy"),
        ("critic_target", "critic"),
        ("targets", "critics"),
    ):
        if hasattr(agent, slow):
            to, of = getattr(agent, slow), getattr(agent, fast)
            pairs = zip(to, of, strict=True) if isinstance(to, list) else [(to, of)]
            for a, b in pairs:
                a.load_state_dict(b.state_dict())


def learn_steps(agent, rows):
    obs, action, reward, following, terminated, _ = map(torch.from_numpy, rows)
    agent.update(obs, action, reward, following, 1 - terminated)


def learn_episodes(agent, rows):
    for obs, action, reward, following, terminated, ended in zip(*rows, strict=True):
        for column, value in zip(agent.now, (obs, action, reward), strict=True):
            column.append(np.asarray(value, np.float32))
        if ended:
            agent.keep(following, bool(terminated))
        agent.steps += 1
    agent.iterate()


def learn_rollout(agent, rows):
    agent.iterate(*map(torch.from_numpy, rows))


LEARN = {
    "mpo": learn_steps,
    "awac": learn_steps,
    "awr": learn_episodes,
    "vmpo": learn_rollout,
    "rwr": learn_rollout,
    "power": learn_rollout,
    "urex": learn_rollout,
}


def transcription(name, job, data):
    """What it has learned after each update: part -> tensors."""
    made = getattr(importlib.import_module(f"plain_{name}"), name.capitalize())
    agent = made(job["config"], job["obs"], job["actions"])
    for part, tensors in parts(name, agent).items():
        for tensor, value in zip(tensors, found(data, f"{name}/{part}"), strict=True):
            tensor.data.copy_(torch.from_numpy(value))
    copies(agent)
    for update in range(job["updates"]):
        rows = [data[f"{name}/{update}/{column}"] for column in COLUMNS]
        noise = Noise(found(data, f"{name}/{update}/noise"))
        with noise.given():
            LEARN[name](agent, rows)
        assert not noise.draws, "ours draws more"
        yield parts(name, agent)


# ---------------------------------------------------------------- sb3-contrib


class Played(gymnasium.Env):
    """Steps that were made elsewhere, whatever is done; it notes what that was."""

    def __init__(self, rows, obs, actions):
        self.rows, self.at, self.done = rows, -1, []
        whole = np.full(obs, np.inf, np.float32)
        self.observation_space = gymnasium.spaces.Box(-whole, whole)
        one = np.ones(actions, np.float32)
        self.action_space = gymnasium.spaces.Box(-one, one)

    def reset(self, *, seed=None, options=None):
        return self.rows[0][min(self.at + 1, len(self.rows[0]) - 1)], {}

    def step(self, action):
        self.at += 1
        self.done.append(action)
        _, _, reward, following, terminated, ended = (x[self.at] for x in self.rows)
        ended, terminated = bool(ended), bool(terminated)
        return following, float(reward), terminated, ended and not terminated, {}


def contributed(name, job, data):
    """As `transcription`, of sb3-contrib, whose agent acts by itself."""
    import parity_works
    from stable_baselines3.common.callbacks import BaseCallback

    rows = [
        np.concatenate([data[f"{name}/{u}/{column}"] for u in range(job["updates"])])
        for column in COLUMNS
    ]
    played = Played(rows, job["obs"], job["actions"])
    with mock.patch.object(parity_works, "env", lambda _: played):
        agent = parity_works.model({"method": name, "task": "", **job["peer"]}, 0)
    policy = agent.policy
    nets = policy.mlp_extractor
    learned = {
        "policy": [
            *nets.policy_net.parameters(),
            *policy.action_net.parameters(),
            policy.log_std,
        ],
        "critic": [*nets.value_net.parameters(), *policy.value_net.parameters()],
    }
    for part, tensors in learned.items():
        for tensor, value in zip(tensors, found(data, f"{name}/{part}"), strict=True):
            tensor.data.copy_(torch.from_numpy(value))
    kept = []

    class Keep(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_start(self):  # after an update, but for the first
            kept.append({k: [x.clone() for x in v] for k, v in learned.items()})

    noise = [x for u in range(job["updates"]) for x in data[f"{name}/{u}/noise/0"]]
    with Noise(noise).given():
        agent.learn(len(rows[0]), callback=Keep())
    kept.append(learned)
    away = np.abs(np.stack(played.done) - rows[1]).max()
    assert away < 1e-5, f"it acted otherwise, by {away}"
    return kept[1:]


def main():
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    data, told = dict(np.load(job["given"])), {}
    for name, of in job["methods"].items():
        run = transcription if name in LEARN else contributed
        for update, learned in enumerate(run(name, of, data)):
            for part, tensors in learned.items():
                for i, tensor in enumerate(tensors):
                    value = tensor.detach().numpy().copy()
                    told[f"{name}/{update}/{part}/{i}"] = value
    np.savez(job["found"], **told)


if __name__ == "__main__":
    main()
