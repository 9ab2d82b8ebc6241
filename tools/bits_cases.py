"""What `bits.py` compares: presets, points without a name, and each choice of a factor.

    python bits_cases.py CASE ...    prints a line of JSON for each: its leaves' hashes

It runs with the package of another commit on its path, so it imports only what is
public or has stood for long, and names classes by text.
"""

import dataclasses
import hashlib
import importlib
import json
import os
import sys
from typing import Any

TABLE1 = [
    "mpo",
    "awr",
    "awac",
    "sac",
    "power",
    "rwr",
    "reps",
    "urex",
    "vmpo",
    "trpo",
    "ppo",
    "ddpg",
    "td3",
    "brac",
    "bear",
]
OTHERS = ["vmpo_table1", "trpo_table1"]
# legal points that the paper does not name, with each class of each factor
HYBRIDS = """
LikelihoodRatio Posterior NaturalGradient Copy Advantage MonteCarlo TanhGaussian
NonParametric Policy Analytic Gradient Q TD0 Gaussian
Pathwise Behavior Gradient Fixed SoftQ TD0 Deterministic
NonParametric Mixture Analytic ClosedForm LogReward NoEstimate Gaussian
NonParametric OnPolicy Analytic Gradient Advantage GAE Softmax
LikelihoodRatio Posterior Proximal Copy Advantage TDLambda TanhGaussian
Episodic Uniform Analytic Gradient Q MonteCarlo Softmax
NonParametric Mixture Analytic Gradient Advantage NStep TanhGaussian
NonParametric OnPolicy Analytic Gradient LogQ MonteCarlo Gaussian
NonParametric Policy Analytic ClosedForm Q Retrace Gaussian
Pathwise Ignored Gradient Fixed Q TD0 Gaussian
LikelihoodRatio Posterior Gradient Copy Advantage DualValue Softmax
""".strip().splitlines()

TEMPERATURE, TRUST = "pi_q_update.temperature", "pi_p_update.trust_region"
GAUSSIAN = {"pi_theta": "Gaussian"}
ON_BOX = {**GAUSSIAN, "pi_theta.mean": "free"}
# a choice that no preset has: its name, the preset, and the changes
CHOICES: dict[str, tuple[str, dict[str, object]]] = {
    # temperatures
    "temperature-constant": ("mpo", {TEMPERATURE: "ConstantTemperature"}),
    "temperature-kl-batch": (
        "awac",
        {TEMPERATURE: "KLTemperature", "pi_q.clip": "none"},
    ),
    "temperature-clamp": ("mpo", {f"{TEMPERATURE}.floor": "clamp"}),
    "temperature-constant-dual": ("reps", {TEMPERATURE: "ConstantTemperature"}),
    "temperature-constant-reward": ("rwr", {TEMPERATURE: "ConstantTemperature"}),
    "temperature-constant-entropy": ("sac", {TEMPERATURE: "ConstantTemperature"}),
    "temperature-divergence": ("brac", {TEMPERATURE: "DivergenceTemperature"}),
    # trust regions
    "trust-joint": ("mpo", {TRUST: "JointKL"}),
    "trust-none": ("mpo", {TRUST: "none"}),
    "trust-clamp": ("mpo", {f"{TRUST}.floor": "clamp"}),
    "trust-sum": ("mpo", {f"{TRUST}.per_dimension": False}),
    "trust-joint-likelihood": ("mpo", {f"{TRUST}.likelihood": "joint"}),
    "trust-stored": ("vmpo", {TRUST: "JointKL"}),
    "trust-clip": ("ppo", {"pi_q_update.trust_region": "ClippedRatio"}),
    "trust-mean": ("trpo", {"pi_q_update.kl": "mean"}),
    # bounds
    "bound-loss": ("mpo", {"bounds": "BoundLoss"}),
    "bound-none": ("mpo", {"bounds": "none"}),
    "bound-clamp": ("mpo", {"bounds.floor_rule": "clamp"}),
    "bound-cost": ("sac", {**ON_BOX, "bounds": "BoundCost"}),
    "bound-loss-sac": ("sac", {**ON_BOX, "bounds": "BoundLoss"}),
    "bound-loss-ppo": ("ppo", {"bounds": "BoundLoss"}),
    "bound-loss-trpo": ("trpo", {"bounds": "BoundLoss"}),
    # estimates
    "estimate-retrace-3": ("mpo", {"g_estimate.steps": 3, "g_estimate.critics": 2}),
    "estimate-minimum-mean": (
        "mpo",
        {"g_estimate.critics": 2, "g_estimate.minimum": "mean"},
    ),
    "estimate-td0-max": ("sac", {"g_estimate.samples": 3, "g_estimate.over": "max"}),
    "estimate-td0-mpo": (
        "mpo",
        {"g_estimate": "TD0", "pi_p.states": "current", "g.critic": "online"},
    ),
    "estimate-nstep": ("awr", {"g_estimate": "NStep"}),
    "estimate-gae": ("awr", {"g_estimate": "GAE"}),
    "estimate-monte-carlo": ("awr", {"g_estimate": "MonteCarlo"}),
    "estimate-unscaled": ("awr", {"g_estimate.scaled": False}),
    "g-baseline-target": (
        "mpo",
        {"pi_p.states": "current", "g.critic": "target", "g.baseline": 2},
    ),
    "g-shift-return": ("power", {"g.shift": "return"}),
    "g-reward": ("rwr", {"g.of": "reward"}),
    "episodes-return": ("urex", {"pi_q.expected_return": True}),
    "weights-keep": ("awac", {"pi_q.top_fraction": 0.5}),
    # divergences
    "divergence-mmd": ("brac", {"pi_q_update.divergence": "MMD"}),
    "divergence-dual-kl": (
        "brac",
        {"pi_q_update.divergence": "DualKL", "pi_p.keep_fitting": True},
    ),
    "divergence-wasserstein": (
        "brac",
        {"pi_q_update.divergence": "Wasserstein", "pi_p.keep_fitting": True},
    ),
    "divergence-kl-q": ("brac", {"g": "Q", "pi_q.gradient.samples": 3}),
    # distributions
    "pi-softplus": ("sac", {"pi_theta.scale": "StateSoftplusStd"}),
    "pi-learned": ("mpo", {"pi_theta.scale": "LearnedStd"}),
    "pi-log-std": ("mpo", {"pi_theta.scale": "LearnedLogStd"}),
    "pi-constant": ("mpo", {"pi_theta.scale": "ConstantStd"}),
    "pi-features": ("mpo", {"pi_theta.scale": "FeatureStd"}),
    "pi-tanh-mpo": ("mpo", {"pi_theta": "TanhGaussian", "bounds": "none"}),
    "pi-tanh-naive": (
        "awac",
        {"pi_theta": "TanhGaussian", "pi_theta.inverse": "naive"},
    ),
    "pi-bins-awac": (
        "awac",
        {"pi_theta": "Softmax", "pi_theta.bins": 5},
    ),
    "pi-closed-constant": ("power", {"pi_theta.scale": "ConstantStd"}),
    "pi-closed-learned": ("power", {"pi_theta.scale": "LearnedStd"}),
    # what acts, and when
    "greedy-sampled": ("sac", {"eval_policy": "Sampled"}),
    "greedy-best": ("sac", {"eval_policy": "BestOf", "eval_policy.samples": 3}),
    "targets-hard": ("sac", {"target.critic": "Hard", "target.policy": "Hard"}),
    "steps-many": ("sac", {"schedule.critic_steps": 3, "schedule.policy_steps": 2}),
    "norms": ("sac", {"networks.input_norm": "InputNorm"}),
}
DISCRETE = {  # on a task of three choices
    "discrete-ppo": ("ppo", {"pi_theta": "Softmax"}),
    "discrete-mpo": (
        "mpo",
        {"pi_theta": "Softmax", TRUST: "JointKL", "bounds": "none"},
    ),
    "discrete-awr": ("awr", {"pi_theta": "Softmax", "bounds": "none"}),
    "discrete-urex": ("urex", {"pi_theta": "Softmax", "bounds": "none"}),
}
ROWS, EPISODE, AGENTS, OBS, ACTIONS, CHOICE = 200, 20, 2, 3, 2, 3

SMALL = {
    "networks.policy.sizes": (16,),
    "networks.critic.sizes": (16,),
    "data.batch_size": 16,
    "pi_p.samples": 4,
    "pi_p.model.sizes": (16,),
    "pi_p.pretrain_updates": 3,
    "g_estimate.iterations": 20,
    "pi_q_update.iterations": 5,
    "target.critic.period": 4,
    "target.policy.period": 3,
    "schedule.warm_start": 5,
}
ITERATIONS = {
    "data.update_every": 60,
    "data.learning_starts": 60,
    "data.policy_batch_size": 40,
}
DATA = {
    "Replay": {"data.capacity": 150, "data.learning_starts": 1, "data.random_steps": 5},
    "Trajectories": ITERATIONS | {"data.capacity": 150},
    "Rollout": ITERATIONS,
    "Offline": {"data.dataset": "none"},
}


def names() -> list[str]:
    """All cases, in order."""
    points = [f"hybrid-{i}" for i in range(len(HYBRIDS))]
    return [*TABLE1, *OTHERS, *points, *CHOICES, *DISCRETE]


# ---------------------------------------------------------------- configs


def _module(place: str, before: str) -> Any:
    """A module of the package, at its place of today or at that of older commits."""
    try:
        return importlib.import_module(f"coadapt.{place}")
    except ModuleNotFoundError:
        return importlib.import_module(f"coadapt.{before}")


def config_of(case: str) -> Any:
    """The config of a case, with networks and numbers that compile soon."""
    from coadapt import algorithms, schema

    if case.startswith("hybrid-"):
        config, changes = _hybrid(int(case.removeprefix("hybrid-"))), {}
    else:
        preset, changes = {**CHOICES, **DISCRETE}.get(case, (case, {}))
        config = algorithms.preset(preset)
    for path, value in changes.items():  # one by one: later paths lie in earlier ones
        config = schema.override(config, {path: value})
    small = SMALL | DATA[type(config.data).__name__]
    for field, most in (("critic_steps", 3), ("policy_steps", 3)):
        if getattr(config.schedule, field) > most:
            small[f"schedule.{field}"] = most
    paths = dict(schema.paths(config))
    # a None or a 0 is a choice, and stays one
    small = {p: v for p, v in small.items() if paths.get(p)}
    config = schema.override(config, small)
    _module("validation.config_rules", "legality").check(config)
    return config


def _hybrid(number: int) -> Any:
    hybrids = _module("validation.design_space", "hybrids")

    words = HYBRIDS[number].split()
    kinds = {
        name: {kind.__name__: kind for kind in union}
        for name, union in hybrids.FACTORS.items()
    }
    point = [of[word] for of, word in zip(kinds.values(), words, strict=True)]
    return hybrids.complete(hybrids.Point(*point))


# ---------------------------------------------------------------- data and programs


def _spec(case: str) -> Any:
    from coadapt.types import EnvSpec

    spec = EnvSpec(
        task="none",
        obs_size=OBS,
        action_size=ACTIONS,
        max_steps=EPISODE,
        provider="numbers",
    )
    if case in DISCRETE:
        return dataclasses.replace(spec, action_size=CHOICE, num_actions=CHOICE)
    return spec


def _filled(store: Any, spec: Any) -> Any:
    """Random steps of AGENTS agents: every second episode terminates."""
    import jax
    import numpy as np

    from coadapt.data import replay
    from coadapt.types import Action, TimeStep

    rng = np.random.default_rng(0)
    shape = (AGENTS, ROWS)

    def numbers(*more: int) -> np.ndarray:
        return rng.normal(size=(*shape, *more)).astype(np.float32)

    action = np.tanh(numbers(spec.action_size))
    if spec.num_actions:
        action = np.eye(spec.action_size, dtype=np.float32)[np.argmax(action, -1)]
    time = np.arange(1, ROWS + 1)
    last = np.broadcast_to(time % EPISODE == 0, shape)
    ends = np.broadcast_to(time % (2 * EPISODE) == 0, shape)
    step = TimeStep(
        numbers(spec.obs_size), numbers(), (~ends).astype(np.float32), last,
        numbers(spec.obs_size),
    )  # fmt: skip
    rows = Action(action, numbers() - 2.0), step

    def fill(store: Any, rows: Any) -> Any:
        return jax.lax.scan(lambda s, row: (replay.add(s, *row), None), store, rows)[0]

    return jax.jit(jax.vmap(fill))(store, rows)


def measure(case: str, updates: int) -> dict[str, list[tuple[str, str]]]:
    """Hashes of the leaves that a case makes, in order, with their names: by moment."""
    import numpy as np

    from coadapt import runner, schema
    from coadapt.data import replay
    from coadapt.learn import Clock

    config, spec = config_of(case), _spec(case)
    configs, seeds = schema.stack([config] * AGENTS), np.arange(AGENTS, dtype=np.uint32)
    size = runner.store_size(config, spec, ROWS)
    if not size.capacity:  # a data set's, of which each agent has its own here
        size = replay.size(ROWS)
    obs = np.ones((AGENTS, spec.obs_size), np.float32)
    learner = runner.start(configs, seeds, obs, spec=spec, size=size)
    found = {"start": _leaves(learner.agent)}
    learner = learner._replace(store=_filled(learner.store, spec))
    logs = _module("metrics.registry", "logs")
    log = logs.chosen(logs.METRICS)
    act = runner.act.lower(configs, learner, seeds, np.int32(0)).compile()
    state, health = learner.agent, learner.health
    clock, update = Clock(np.int32(0), np.int32(0)), None
    for number in range(updates):
        clock = Clock(np.int32(ROWS + number), np.int32(number))
        args = (configs, state, learner.store, health, seeds, clock)
        update = update or runner.update.lower(*args, log=log).compile()
        state, health, metrics = update(*args)
        if number == 0:
            found["1 update"] = _leaves((state, health))
            found["1 update's metrics"] = _leaves(metrics)
    found[f"{updates} updates"] = _leaves((state, health))
    found[f"{updates} updates' metrics"] = _leaves(metrics)
    learner = learner._replace(agent=state)
    found["actions"] = _leaves(
        [act(configs, learner, seeds, np.int32(t)) for t in (0, 1000)]
    )
    seen = np.ones((AGENTS, 4, spec.obs_size), np.float32)
    best = runner.greedy(configs, state, seen, seeds, np.array([0, 1], np.int32))
    found["greedy actions"] = _leaves(best)
    if state.params.critic is not None:
        found["values"] = _leaves(runner.values(configs, state, seen, best))
    return found


def _leaves(tree: Any) -> list[tuple[str, str]]:
    import jax
    import numpy as np

    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        kind = f"{array.dtype}{list(array.shape)}".encode()
        digest = hashlib.sha256(kind + array.tobytes()).hexdigest()[:16]
        found.append((jax.tree_util.keystr(path), digest))
    return found


def main(cases: list[str]) -> None:
    import jax

    import coadapt

    place = os.path.dirname(os.path.dirname(os.path.abspath(coadapt.__file__)))
    assert place == os.environ["BITS_TREE"], f"imported {place}"
    jax.config.update("jax_compilation_cache_dir", os.environ["BITS_XLA"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    for number, case in enumerate(cases):
        if number % 8 == 0:  # what was traced for some is used by the next
            jax.clear_caches()
        try:
            line = {"leaves": measure(case, int(os.environ["BITS_UPDATES"]))}
        except Exception as error:  # of this case; the others are measured
            line = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"case": case, **line}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
