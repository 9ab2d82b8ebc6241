"""Critic estimates against observed returns; E-step weights, networks, policies.

    agent = coadapt.load("runs/x", variant="sac", seed=0, replay=True)
    landscape = diagnostics.critic_slice(agent, obs, axes=(0, 1))
    bias = diagnostics.overestimation(agent, diagnostics.rollout(agent))

All functions read a `SavedAgent` and change nothing. They weigh, estimate and act with
the functions that train the agent. `plot` draws what they return. Letters of shapes are
those of `types.py`, with S the states that were asked about, G the points of a grid and
T the steps of an episode.
"""

from coadapt.diagnostics.critic_errors import (
    BIAS_COLUMNS,
    Overestimation,
    bias,
    correlation,
    overestimation,
)
from coadapt.diagnostics.e_steps import EStep, e_step
from coadapt.diagnostics.landscapes import Slice, critic_slice
from coadapt.diagnostics.networks import LAYER_COLUMNS, dead_share, layers
from coadapt.diagnostics.policies import entropy, sampled_entropy, saturated
from coadapt.diagnostics.returns import Returns, discounted_returns, monte_carlo
from coadapt.diagnostics.rollouts import Rollouts, rollout
from coadapt.diagnostics.sampling import policy_samples
from coadapt.diagnostics.stored import batch, states
from coadapt.diagnostics.summaries import (
    duals,
    history,
    layer_history,
    snapshots,
    vitals,
)
from coadapt.diagnostics.surfaces import Surface, value_surface

__all__ = [
    "BIAS_COLUMNS",
    "LAYER_COLUMNS",
    "EStep",
    "Overestimation",
    "Returns",
    "Rollouts",
    "Slice",
    "Surface",
    "batch",
    "bias",
    "correlation",
    "critic_slice",
    "dead_share",
    "discounted_returns",
    "duals",
    "e_step",
    "entropy",
    "history",
    "layer_history",
    "layers",
    "monte_carlo",
    "overestimation",
    "policy_samples",
    "rollout",
    "sampled_entropy",
    "saturated",
    "snapshots",
    "states",
    "value_surface",
    "vitals",
]
