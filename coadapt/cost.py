"""What an update costs, counted from the shapes of its matrix products."""

from coadapt import networks
from coadapt.config import Config, Replay
from coadapt.factors import g_estimate, pi_p, pi_q
from coadapt.factors.g import Q, is_action_value
from coadapt.networks import Network
from coadapt.types import EnvSpec


def _forward(net: Network, inputs: int, outputs: int) -> int:
    return networks.count_multiplies(net, inputs, outputs)


def _train(net: Network, inputs: int, outputs: int) -> int:
    """Forward, weight gradients, and input gradients but those of the first layer."""
    first = inputs * (net.sizes[0] if net.sizes else outputs)
    return 3 * _forward(net, inputs, outputs) - first


def _nets(config: Config, spec: EnvSpec) -> tuple[tuple, tuple, int]:
    heads = spec.action_size + config.pi_theta.scale.outputs(spec.action_size)
    policy = (config.networks.policy, spec.obs_size, heads)
    inputs = spec.obs_size + (spec.action_size if is_action_value(config.g) else 0)
    critic = (config.networks.critic, inputs, 1)
    return policy, critic, g_estimate.critics(config.g_estimate)


def critic_step(config: Config, spec: EnvSpec) -> int:
    """Multiply-adds of one critic step for one row of the minibatch, targets included.

    The relabelling of whole episodes (`data=Trajectories`) is not a part of a step.
    """
    policy, critic, number = _nets(config, spec)
    total = number * _train(*critic)
    if isinstance(config.data, Replay):
        expected = isinstance(config.g_estimate, g_estimate.Retrace)
        fresh = isinstance(config.pi_p, pi_p.Policy)
        samples = config.pi_p.samples if expected and fresh else 1  # type: ignore[union-attr]
        total += _forward(*policy) + samples * number * _forward(*critic)
    return total


def policy_step(config: Config, spec: EnvSpec) -> int:
    """Multiply-adds of one policy step for one row of the minibatch."""
    policy, critic, number = _nets(config, spec)
    total = _train(*policy)
    if isinstance(config.pi_q, pi_q.Parametric):  # through the critic to the actions
        return total + 2 * number * _forward(*critic)
    prior = config.pi_p
    if isinstance(prior, pi_p.Policy) and prior.states == "next":
        return total  # drawn and scored with the critic's target
    if not isinstance(config.data, Replay):
        return total  # scored by the labels
    scored = prior.samples if isinstance(prior, pi_p.Policy) else 1
    if isinstance(prior, pi_p.Policy) and config.target.policy is not None:
        total += _forward(*policy)  # the target policy; the online one is run anyway
    if isinstance(config.g, Q):
        scored += config.g.baseline
    return total + scored * number * _forward(*critic)


def update_flops(config: Config, spec: EnvSpec) -> int:
    """Floating-point operations of one agent's update: two for each multiply-add.

    An update is `schedule.critic_steps` and `schedule.policy_steps` minibatches.
    """
    schedule = config.schedule
    rows = schedule.critic_steps * critic_step(config, spec)
    rows += schedule.policy_steps * policy_step(config, spec)
    return 2 * config.data.batch * rows
