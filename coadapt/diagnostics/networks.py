"""Layers of networks: dead units and norms."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from coadapt import networks
from coadapt.agent import models
from coadapt.agent.metrics import slopes
from coadapt.diagnostics.sampling import policy_samples
from coadapt.runs.trained_agent import SavedAgent
from coadapt.types import Rows, Tree

if TYPE_CHECKING:
    import pandas as pd

LAYER_COLUMNS = ("network", "layer", "units", "dead", "kernel_norm", "bias_norm")


def layers(agent: SavedAgent, obs: Rows, *, slope: float = 1e-3) -> "pd.DataFrame":
    """Dead units and norms of each layer of the policy and of each critic.

    A hidden unit is dead on a batch if the slope of its activation is at most `slope`
    for every row; a dead ReLU is 0 for all rows. `dead` is the share of such units, NaN
    for the output layer. Norms are L2 norms of a kernel or a bias.

    Args:
        obs: [B, O]; critics of actions get the policy's own actions.

    Returns:
        A row for each layer, with the columns `LAYER_COLUMNS`.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            [name, *line]
            for name, spec, params, rows in _networks(agent, obs)
            for line in _layers(spec, params, rows, slope)
        ],
        columns=list(LAYER_COLUMNS),
    )


def _networks(
    agent: SavedAgent, obs: Rows
) -> list[tuple[str, networks.Torso, Tree, np.ndarray]]:
    """Name, network, parameters and what it reads [B, ...], of each."""
    config, params = agent.config, agent.state.params
    rows = np.asarray(models.inputs(config, agent.state, jnp.asarray(obs, jnp.float32)))
    found: list[tuple[str, networks.Torso, Tree, np.ndarray]]
    found = [("policy", config.networks.policy, params.policy["net"], rows)]
    if params.critic is None:
        return found
    if config.g.reads_action:
        rows = np.concatenate([rows, policy_samples(agent, obs, 1)[0]], axis=-1)
    number = jax.tree.leaves(params.critic)[0].shape[0]
    for k in range(number):
        one = jax.tree.map(lambda x, k=k: x[k], params.critic)
        found.append((f"critic {k + 1}", config.networks.critic, one, rows))
    return found


def _layers(
    spec: networks.Torso, params: Tree, rows: np.ndarray, slope: float
) -> list[list]:
    """Name, units, share of the dead, norms: of each layer."""
    slopes = iter(_slopes(spec, params, rows))
    lines = [
        [one.name, one.size, dead_share(next(slopes), slope) if one.read else np.nan]
        for one in spec.layers()
    ]
    lines.append(["output", params["output"]["bias"].shape[-1], np.nan])
    return [
        [
            *line,
            *(_norm(params[line[0]].get(x, np.nan)) for x in ("kernel", "bias")),
        ]
        for line in lines
    ]


def _norm(x: Rows) -> float:
    """L2, in float64: what is about to break has squares that float32 has not."""
    return float(np.linalg.norm(np.asarray(x, np.float64)))


_slopes = jax.jit(slopes)


def dead_share(slopes: Rows, limit: float) -> float:
    """The share of units whose slope [B, units] is at most `limit` at every row."""
    return float((np.abs(slopes) <= limit).all(axis=0).mean())
