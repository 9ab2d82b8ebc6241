"""An agent in numbers, and along the snapshots that a run kept."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from coadapt import agent as agents
from coadapt.config import Offline
from coadapt.diagnostics.e_steps import e_step
from coadapt.diagnostics.networks import layers
from coadapt.diagnostics.policies import entropy, saturated
from coadapt.diagnostics.sampling import key_of, traced
from coadapt.diagnostics.stored import states
from coadapt.ops import weights
from coadapt.runs import checkpoint, store, trained_agent
from coadapt.runs.store import Cell
from coadapt.runs.trained_agent import SavedAgent
from coadapt.types import Rows

if TYPE_CHECKING:
    import pandas as pd


def duals(agent: SavedAgent) -> dict[str, float]:
    """The effective temperature and multipliers, not their stored parameters.

    `temperature` is eta, in units of G; `dual_mean`, `dual_std` or `dual_joint`
    multiplies the KL of a trust region (the mean over dimensions), `dual_bound` is the
    temperature of the weights of `bounds`, `dual_penalty` multiplies the KL of a
    proximal step. Those that the agent does not have are left out.
    """
    found = _told(agent, _DUALS)
    if agent.config.pi_q_update.has_temperature:
        eta = traced(agent).pi_q_update.eta(agent.state.params.dual)
        found["temperature"] = float(eta)
    return found


_DUALS = ("dual_mean", "dual_std", "dual_joint", "dual_bound", "dual_penalty")


def _told(agent: SavedAgent, names: Sequence[str]) -> dict[str, float]:
    """What training would log of the agent's state alone, of these names."""
    key, nothing = key_of(agent, 0), None  # neither is read by such names
    found = agents.update_metrics(traced(agent), agent.state, nothing, key, names)  # type: ignore[arg-type]
    return {name: float(value) for name, value in found.items()}


def vitals(agent: SavedAgent, obs: Rows, *, seed: int = 0) -> dict[str, float]:
    """All scalar diagnostics of the agent, as means over observations.

    The duals; `policy_entropy` (nats); `saturated` (share); `policy_dead` and
    `critic_dead` (share of hidden units); `policy_norm` and `critic_norm` (L2 norm of
    all parameters; the mean over critics). With a replay, also of an E-step:
    `effective_fraction` (over all its weights, as training logs it), `weight_entropy`
    and `weight_kl` (nats). What does not apply to the agent is left out.

    Args:
        obs: [B, O].
    """
    found = duals(agent)
    if agent.config.pi_theta.has_density:
        found["policy_entropy"] = float(entropy(agent, obs).mean())
    if not agent.spec.num_actions:
        found["saturated"] = float(saturated(agent, obs).mean())
    found |= _of_networks(agent, obs)
    there = agent.replay is not None or isinstance(agent.config.data, Offline)
    if there and not agent.config.pi_q.parametric:
        step = e_step(agent, seed=seed)
        whole = weights.effective_fraction(jnp.asarray(step.weight))
        found["effective_fraction"] = float(whole)
        found["weight_entropy"] = float(step.entropy.mean())
        found["weight_kl"] = float(step.kl.mean())
    return found


def _of_networks(agent: SavedAgent, obs: Rows) -> dict[str, float]:
    lines, found = layers(agent, obs), _told(agent, ("policy_norm", "critic_norm"))
    hidden = lines.loc[lines.dead.notna()]
    for name in ("policy", "critic"):
        mine = hidden.loc[hidden.network.str.startswith(name)]
        if len(mine):
            dead = np.average(mine["dead"], weights=mine["units"])
            found[f"{name}_dead"] = float(dead)
    return found


def snapshots(
    workdir: str | os.PathLike[str], *, variant: str, seed: int, task: str | None = None
) -> list[int]:
    """Env steps of the snapshots of an agent that a run kept, in order.

    Raises:
        ConfigError: as `load`.
    """
    agent = trained_agent.load(workdir, variant=variant, seed=seed, task=task)
    cell = Cell(agent.task, agent.variant, agent.seed)
    records = checkpoint.records(store.folder(workdir), reading=True)
    return sorted({n for one in records if cell in one.cells for n in one.steps()})


def history(
    workdir: str | os.PathLike[str],
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    task: str,
    size: int = 256,
) -> "pd.DataFrame":
    """`vitals` of every snapshot that was kept, as rows like those of `store.read`.

    Each is at `size` observations from the agent's replay, or of an episode if there is
    no replay.

    Raises:
        ConfigError: as `load`.
    """
    import pandas as pd

    lines = []
    for variant in variants:
        for seed in seeds:
            who: dict[str, Any] = {"variant": variant, "seed": seed, "task": task}
            for steps in snapshots(workdir, **who):
                agent = _with_replay(workdir, steps=steps, **who)
                for metric, value in vitals(agent, states(agent, size)).items():
                    lines.append([
                        "history", agent.algorithm, variant, task, seed, steps, metric,
                        value, agent.spec.provider,
                    ])  # fmt: skip
    return pd.DataFrame(lines, columns=list(store.COLUMNS))


def layer_history(
    workdir: str | os.PathLike[str],
    *,
    variant: str,
    seed: int,
    task: str | None = None,
    size: int = 256,
) -> "pd.DataFrame":
    """`layers` of every kept snapshot of an agent, in order of env steps.

    For an agent that failed, the last one is its frozen state, one update before the
    failure, at the env step of the failure. All are at the observations of the first,
    at most `size`.

    Returns:
        A frame with the columns `env_steps` and `LAYER_COLUMNS`.

    Raises:
        ConfigError: as `load`.
    """
    import pandas as pd

    who: dict[str, Any] = {"variant": variant, "seed": seed, "task": task}
    obs, found = None, list["pd.DataFrame"]()
    for steps in snapshots(workdir, **who):
        agent = _with_replay(workdir, steps=steps, **who)
        obs = states(agent, size) if obs is None else obs
        at = steps if agent.failure is None else agent.failure.steps
        lines = layers(agent, obs)
        lines.insert(0, "env_steps", at)
        found.append(lines)
        if agent.failure is not None:
            break  # it stands still from here on
    return pd.concat(found, ignore_index=True)


def _with_replay(workdir: str | os.PathLike[str], **which: Any) -> SavedAgent:
    """With what it had stored, where that was kept."""
    try:
        return trained_agent.load(workdir, **which, replay=True)
    except trained_agent.NoReplayError:
        return trained_agent.load(workdir, **which)
