"""Which metrics an algorithm has: read off the programs that would compute them."""

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import algorithms, envs, learn, runner, schema
from coadapt.agent import models
from coadapt.config import Config, Offline
from coadapt.data import replay
from coadapt.learn import Clock
from coadapt.metrics import registry
from coadapt.types import EnvSpec

TASK = "toy/lqr"


def of(config: Config, spec: EnvSpec) -> registry.Log:
    """All that can be logged of such an agent. Traces an update, and runs nothing."""
    like = runner.shapes(config, spec, 1000)
    store = like.store
    if store is None:  # the data set's
        size, obs = replay.size(1000), jnp.zeros(spec.obs_size)
        store = jax.eval_shape(lambda: replay.init(spec, size, obs))
    clock = Clock(np.int32(1), np.int32(1))
    traced = schema.as_traced(config)

    def update(state, store, health):
        seed = jnp.uint32(0)
        return learn.update(
            traced, state, store, health, seed, clock, registry.GROUPS["all"]
        )[2]

    found = set(jax.eval_shape(update, like.agent, store, like.health))
    found |= {"return", "return_std", "length", "steps_per_second"}
    if models.critics(config):
        found |= {"start_value", "overestimation"}
    if isinstance(config.data, Offline):
        found.add("behavior_return")
    return tuple(name for name in registry.METRICS if name in found)


def of_preset(name: str) -> registry.Log:
    """Of an algorithm, with actions in bins where it needs them."""
    config = algorithms.preset(name)
    if config.pi_theta.one_hot:
        config = schema.override(config, {"pi_theta.bins": 5})
    return of(config, envs.spec(TASK))


def table() -> str:
    """Every metric, in Markdown: group, unit, definition, who has it."""
    lines = [
        "| metric | group | unit | default | what it is | algorithms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    having = {name: of_preset(name) for name in algorithms.PRESETS}
    for name, metric in registry.METRICS.items():
        who = [algorithm for algorithm, found in having.items() if name in found]
        lacking = [algorithm for algorithm in having if algorithm not in who]
        words = "all" if not lacking else ", ".join(who)
        if 0 < len(lacking) < len(who):
            words = f"all but {', '.join(lacking)}"
        lines.append(
            f"| `{name}` | {metric.group} | {metric.unit} | "
            f"{'yes' if metric.default else ''} | {metric.about} | {words} |"
        )
    return "\n".join(lines)
