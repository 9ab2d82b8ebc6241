"""The other side of `--experiment=parity`: its rows, by other implementations.

    python -m benchmarks.peers.parity --task=gym/Pendulum-v1 --homes=/tmp/homes \\
        --out=docs/results/parity/peers
    ... --methods=sac,ppo --seeds=0-4 --steps=2000     a part, or a shorter try

Each config of the experiment is put into Stable-Baselines3's words here, or read as it
is by a plain transcription of the algorithm's formulas, where that has none. A script
beside this one runs it, one seed after the other, under a Python of its own. Seeds that
are in the file are not run again. What is not as ours is in `NOTES`, which is written
beside the rows.
"""

import argparse
import csv
import io
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.parity import NOTES as NOTES_FILE
from benchmarks.peers import PARITY, homes
from coadapt import schema
from coadapt.experiments import load
from coadapt.runs import files, provenance
from coadapt.sweep import Variant

COLUMNS = ("method", "task", "step", "seed", "return", "cpu")
_PLAIN = "a transcription of its formulas in plain torch, benchmarks/peers/"
NOTES = {
    "all": "one environment, torch on one thread, float32; actions rescaled to [-1, "
    "1]; greedy evaluations with seeds of their own.",
    "sac": "mean and log std are two layers, so that their initial weights are a "
    "little wider.",
    "td3": "an update of critics each env step and of the policy each second one; ours "
    "does two and one at once, every two env steps.",
    "ddpg": "its class is TD3's with one critic, no delay and no smoothing.",
    "ppo": "advantages in standard deviations of a minibatch, where ours are of all "
    "the data; one Adam for both networks (vf_coef 1, gradients not clipped); moments "
    "of observations count at each step, and a rollout keeps what was normalised then.",
    "trpo": "observations as PPO's.",
    "mpo": f"{_PLAIN}plain_mpo.py; minibatches with replacement.",
    "awr": f"{_PLAIN}plain_awr.py; what it kept of an episode that has not ended is "
    "not learned from, as in ours.",
    "awac": f"{_PLAIN}plain_awac.py; minibatches with replacement.",
    "vmpo": f"{_PLAIN}plain_vmpo.py.",
    "rwr": f"{_PLAIN}plain_rwr.py.",
    "power": f"{_PLAIN}plain_power.py.",
    "reps": f"{_PLAIN}plain_reps.py; its dual by torch's L-BFGS in float64; random "
    "features of each seed's own, where ours has the same for all.",
    "urex": f"{_PLAIN}plain_urex.py.",
}
WORKS = "parity_works.py"  # Stable-Baselines3's
PLAIN = {name: f"plain_{name}.py" for name in (
    "mpo", "awr", "awac", "vmpo", "rwr", "power", "reps", "urex",
)}  # fmt: skip
METHODS = (*PARITY.algorithms, *PLAIN)


def settings(config: Any, method: str) -> dict[str, Any]:
    """Keywords of the other's class, and what is done to it once it is made.

    A transcription takes the config itself.
    """
    if method in PLAIN:
        return {"config": schema.to_dict(config)}
    made = _of_rollouts(config) if method in ("ppo", "trpo") else _of_replay(config)
    made |= _SPECIFIC[method](config)
    policy = config.networks.policy
    return {
        "keywords": made,
        "sizes": list(policy.sizes),
        "activation": policy.activation,
        "initial": {"hidden": _layer(policy.hidden), "output": _layer(policy.output)},
        "critic": _layer(config.networks.critic.output),
        "epsilon": config.optim.critic.epsilon,
        "inputs": _inputs(config),
    }


def _layer(init: Any) -> dict[str, Any]:
    return {"weights": init.weights, "scale": init.scale, "bias": init.bias}


def _inputs(config: Any) -> dict[str, float] | None:
    norm = config.networks.input_norm
    return norm and {"clip_obs": norm.limit, "epsilon": norm.epsilon}


def _of_replay(config: Any) -> dict[str, Any]:
    data = config.data
    return {
        "learning_rate": config.optim.critic.rate,
        "buffer_size": data.capacity,
        "learning_starts": data.learning_starts,
        "batch_size": data.batch_size,
        "tau": config.target.critic.rate,
        "gamma": config.g_estimate.discount,
        "train_freq": 1,
        "gradient_steps": 1,
    }


def _of_rollouts(config: Any) -> dict[str, Any]:
    return {
        "learning_rate": config.optim.critic.rate,
        "n_steps": config.data.update_every,
        "batch_size": config.data.batch_size,
        "gamma": config.g_estimate.discount,
        "gae_lambda": config.g_estimate.lam,
    }


def _epochs(config: Any) -> int:
    data, steps = config.data, config.schedule.critic_steps
    return round(steps * data.batch_size / data.update_every)


def _td3(config: Any) -> dict[str, Any]:
    smoothing = config.g_estimate.smoothing
    return {
        "noise": config.pi_theta.noise,
        "policy_delay": config.schedule.critic_steps,
        "target_policy_noise": smoothing.std,
        "target_noise_clip": smoothing.limit,
    }


def _trpo(config: Any) -> dict[str, Any]:
    rule = config.pi_q_update
    return {
        "target_kl": rule.max_kl,
        "cg_max_steps": rule.iterations,
        "cg_damping": rule.damping,
        "line_search_max_iter": rule.max_backtracks,
        "line_search_shrinking_factor": rule.backtrack_coeff,
        "n_critic_updates": _epochs(config),
    }


_SPECIFIC: dict[str, Callable[[Any], dict[str, Any]]] = {
    "sac": lambda c: {"ent_coef": f"auto_{c.pi_q_update.temperature.init}"},
    "td3": _td3,
    "ddpg": lambda c: {"noise": c.pi_theta.noise},
    "ppo": lambda c: {
        "clip_range": c.pi_q_update.trust_region.epsilon,
        "n_epochs": _epochs(c),
        "vf_coef": 1.0,
        "max_grad_norm": 1e9,
    },
    "trpo": _trpo,
}


# ---------------------------------------------------------------- running


def todo(file: Path, seeds: Sequence[int], steps: int) -> list[int]:
    """Seeds whose last evaluation is not in the file; parts of theirs are dropped."""
    if not file.is_file():
        return list(seeds)
    text = file.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()  # without one that was torn
    rows = list(csv.DictReader(lines))
    done = {row["seed"] for row in rows if int(row["step"]) >= steps}
    kept = io.StringIO(newline="")
    writer = csv.DictWriter(kept, list[str](COLUMNS))
    writer.writeheader()
    writer.writerows(row for row in rows if row["seed"] in done)
    files.replace(file, kept.getvalue())  # as a whole: hours are in it
    return [seed for seed in seeds if str(seed) not in done]


def run(
    interpreter: str, variant: Variant, task: str, asked: Mapping[str, Any], out: Path
) -> None:
    """All seeds of a method that are due, in one program. Raises: CalledProcessError.

    Args:
        asked: steps, every (env steps between evaluations), episodes and seeds.
    """
    file = out / f"{task.replace('/', '_')}-{variant.name}.csv"
    seeds = todo(file, asked["seeds"], asked["steps"])
    job = {
        **asked,
        "method": variant.name,
        "task": task,
        "seeds": seeds,
        "cpu": provenance.cpu(),
        "rows": str(file),
        "columns": COLUMNS,
        **settings(variant.config, variant.name),
    }
    script = Path(__file__).with_name(PLAIN.get(variant.name, WORKS))
    if seeds:
        subprocess.run([interpreter, str(script), json.dumps(job)], check=True)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--task", required=True)
    parser.add_argument("--methods", default=",".join(METHODS))
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--homes", type=Path, help="folder of environments to install")
    where.add_argument("--python", help="one that has it all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0-9", help="first-last")
    parser.add_argument("--steps", type=int, help="those of the plan")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    asked = arguments(argv)
    plan, (first, last) = load("parity"), map(int, asked.seeds.split("-"))
    interpreter = asked.python or homes.python(PARITY, asked.homes)
    asked.out.mkdir(parents=True, exist_ok=True)
    told = homes.versions(interpreter, PARITY.told)
    notes = {"versions": ", ".join(f"{k} {v}" for k, v in told.items()) + ".", **NOTES}
    (asked.out / NOTES_FILE).write_text(f"{json.dumps(notes, indent=1)}\n")
    chosen = asked.methods.split(",")
    for variant in plan.variants(asked.task):
        if variant.name in chosen and variant.name in METHODS:
            amounts = {
                "steps": asked.steps or variant.steps or plan.steps_on(asked.task),
                "every": plan.eval_every,
                "episodes": plan.eval_episodes,
                "seeds": range(first, last + 1),
            }
            run(interpreter, variant, asked.task, amounts, asked.out)


if __name__ == "__main__":
    main()
