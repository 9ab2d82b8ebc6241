"""What an update costs, counted from the shapes of its matrix products."""

from coadapt import networks
from coadapt.config import BestOf, Config, Offline, Replay
from coadapt.factors import g_estimate, pi_p, pi_q, pi_q_update
from coadapt.factors.g import Q, SoftQ, is_action_value
from coadapt.networks import Network
from coadapt.types import EnvSpec

Shape = tuple[Network, int, int]  # a network, its inputs, its outputs


def _forward(net: Network, inputs: int, outputs: int) -> int:
    return networks.count_multiplies(net, inputs, outputs)


def _train(net: Network, inputs: int, outputs: int) -> int:
    """Forward, weight gradients, and input gradients but those of the first layer."""
    first = inputs * (net.sizes[0] if net.sizes else outputs)
    return 3 * _forward(net, inputs, outputs) - first


def _nets(config: Config, spec: EnvSpec) -> tuple[Shape, Shape, int]:
    heads = config.pi_theta.outputs(spec.action_size)
    policy = (config.networks.policy, spec.obs_size, heads)
    inputs = spec.obs_size + (spec.action_size if is_action_value(config.g) else 0)
    critic = (config.networks.critic, inputs, 1)
    return policy, critic, g_estimate.critics(config.g_estimate, config.g)


def critic_step(config: Config, spec: EnvSpec) -> int:
    """Multiply-adds of one critic step for one row of the minibatch, targets included.

    What is done once an iteration for sequences (labels, duals) is not a part of it.
    """
    policy, critic, number = _nets(config, spec)
    total, estimate = number * _train(*critic), config.g_estimate
    if isinstance(estimate, g_estimate.Retrace):
        assert isinstance(config.pi_p, pi_p.Policy)  # legality.check holds it
        total += _forward(*policy) + config.pi_p.samples * number * _forward(*critic)
    if isinstance(estimate, g_estimate.TD0):
        total += _forward(*policy) + estimate.samples * number * _forward(*critic)
        if isinstance(config.g, SoftQ):
            total += _prior(config, policy, spec)
    return total


def _prior(config: Config, policy: Shape, spec: EnvSpec) -> int:
    """A row of the behaviour policy's model, as a divergence from it reads it."""
    if not isinstance(config.pi_p, pi_p.Behavior):
        return 0
    if isinstance(config.pi_p.model, pi_p.Clone):
        return _forward(*policy)
    samples = pi_q_update.divergence_samples(config.pi_q_update)
    return samples * _forward(*_vae(config.pi_p.model, spec)[1])


def _vae(model: pi_p.VAE, spec: EnvSpec) -> tuple[Shape, Shape]:
    net, latent = Network(sizes=model.sizes), model.latent * spec.action_size
    encoder = (net, spec.obs_size + spec.action_size, 2 * latent)
    return encoder, (net, spec.obs_size + latent, spec.action_size)


def _fit_prior(config: Config, policy: Shape, spec: EnvSpec) -> int:
    """A row of the model's own step, where it goes on with the others."""
    if not isinstance(config.pi_p, pi_p.Behavior) or not config.pi_p.follow:
        return 0
    if isinstance(config.pi_p.model, pi_p.Clone):
        return _train(*policy)
    return sum(_train(*net) for net in _vae(config.pi_p.model, spec))


def policy_step(config: Config, spec: EnvSpec) -> int:
    """Multiply-adds of one policy step for one row of the minibatch."""
    policy, critic, number = _nets(config, spec)
    total = _train(*policy)
    if isinstance(config.pi_q_update, pi_q_update.NaturalGradient):
        # a product with the Fisher matrix is a gradient and its derivative
        return total * (1 + 2 * config.pi_q_update.iterations)
    gradient = pi_q.gradient_of(config.pi_q)
    if isinstance(gradient, pi_q.Pathwise):  # through the critic to the actions
        climbed = 1 if gradient.critic == "first" else number
        through = 2 * climbed * gradient.samples * _forward(*critic)
        return total + through + _prior(config, policy, spec)
    prior = config.pi_p
    if isinstance(prior, pi_p.Policy) and prior.states == "next":
        return total  # drawn and scored with the critic's target
    if not isinstance(config.data, Replay | Offline):
        return total  # scored by the labels
    scored = prior.samples if isinstance(prior, pi_p.Policy) else 1
    if isinstance(prior, pi_p.Policy) and config.target.policy is not None:
        total += _forward(*policy)  # the target policy; the online one is run anyway
    if isinstance(config.g, Q):
        scored += config.g.baseline
    return total + scored * number * _forward(*critic)


def working_bytes(config: Config, spec: EnvSpec, episodes: int = 1) -> int:
    """What an update, or an evaluation, holds beside the agent, whichever is more.

    Of an update, the layers of its largest minibatch, forward and backward: of the
    policy at its states and of every critic at the actions that are compared there. Of
    an evaluation, those of one step of all its episodes.
    """
    return max(_learning(config, spec), _acting(config, spec, episodes))


def _acting(config: Config, spec: EnvSpec, episodes: int) -> int:
    policy, critic, number = _nets(config, spec)
    drawn = config.greedy.samples if isinstance(config.greedy, BestOf) else 0
    return 4 * episodes * (_layers(*policy) + drawn * number * _layers(*critic))


def _learning(config: Config, spec: EnvSpec) -> int:
    policy, critic, number = _nets(config, spec)
    own = getattr(config.data, "policy_batch", None) or config.data.batch
    estimate = config.g_estimate
    length = estimate.steps if isinstance(estimate, g_estimate.Retrace) else 1
    rows = max(config.data.batch * length, own)
    drawn = config.pi_p.samples if isinstance(config.pi_p, pi_p.Policy) else 1
    climbed = getattr(pi_q.gradient_of(config.pi_q), "samples", 1)
    samples = max(drawn, climbed, getattr(estimate, "samples", 1))
    floats = _layers(*policy) + number * samples * _layers(*critic)
    return 4 * 2 * rows * floats


def _layers(net: Network, inputs: int, outputs: int) -> int:
    return inputs + sum(net.sizes) + outputs


def update_flops(config: Config, spec: EnvSpec) -> int:
    """Floating-point operations of one agent's update: two for each multiply-add.

    An update is `schedule.critic_steps` and `schedule.policy_steps` minibatches.
    """
    schedule, batch = config.schedule, config.data.batch
    rows = batch * schedule.critic_steps * critic_step(config, spec)
    own = getattr(config.data, "policy_batch", None) or batch
    rows += own * schedule.policy_steps * policy_step(config, spec)
    policy, _, _ = _nets(config, spec)
    return 2 * (rows + batch * _fit_prior(config, policy, spec))
