"""What an update costs, counted from the shapes of its matrix products."""

from coadapt import networks
from coadapt.config import Config
from coadapt.factors.pi_p import Shape
from coadapt.networks import Torso
from coadapt.types import EnvSpec


def _forward(net: Torso, inputs: int, outputs: int) -> int:
    return networks.count_multiplies(net, inputs, outputs)


def _train(net: Torso, inputs: int, outputs: int) -> int:
    """Forward, weight gradients, and input gradients but those of the first layer."""
    first = networks.count_first(net, inputs, outputs)
    return 3 * _forward(net, inputs, outputs) - first


def _nets(config: Config, spec: EnvSpec) -> tuple[Shape, Shape, int]:
    heads = config.pi_theta.outputs(spec.action_size)
    policy = (config.networks.policy, spec.obs_size, heads)
    inputs = spec.obs_size + (spec.action_size if config.g.reads_action else 0)
    critic = (config.networks.critic, inputs, config.critic.head.outputs)
    return policy, critic, config.g_estimate.critics_of(config.g)


def critic_step(config: Config, spec: EnvSpec) -> int:
    """Multiply-adds of one critic step for one row of the minibatch, targets included.

    What is done once an iteration for sequences (labels, duals) is not a part of it.
    """
    policy, critic, number = _nets(config, spec)
    total = number * _train(*critic)
    if config.g_estimate.value is not None:  # V, from the critics, and in the target
        beside = (config.networks.critic, spec.obs_size, 1)
        total += _train(*beside) + _forward(*beside) + number * _forward(*critic)
    drawn = config.g_estimate.next_samples(config.pi_p.samples)
    states = config.g_estimate.valued
    if drawn:
        total += states * (_forward(*policy) + drawn * number * _forward(*critic))
    if states > 1:  # of a trace: stored actions' values, and how likely they are
        total += states * (_forward(*policy) + number * _forward(*critic))
    return total + (_prior(config, policy, spec) if drawn and config.g.soft else 0)


def _prior(config: Config, policy: Shape, spec: EnvSpec) -> int:
    """A row of the prior's model, as a divergence from it reads it."""
    samples = config.pi_q_update.divergence_samples
    return sum(_forward(*net) for net in config.pi_p.drawn(policy, spec, samples))


def _fit_prior(config: Config, policy: Shape, spec: EnvSpec) -> int:
    """A row of the model's own step, where it goes on with the others."""
    if not config.pi_p.keep_fitting:
        return 0
    return sum(_train(*net) for net in config.pi_p.fitted(policy, spec))


def policy_step(config: Config, spec: EnvSpec) -> int:
    """Multiply-adds of one policy step for one row of the minibatch."""
    policy, critic, number = _nets(config, spec)
    total, prior = _train(*policy) * config.pi_q_update.passes, config.pi_p
    if config.pi_q.by_samples:  # through the critic to the actions
        through = 2 * config.pi_q.critic_rows(number) * _forward(*critic)
        return total + through + _prior(config, policy, spec)
    if config.pi_q.parametric or prior.at_next or config.data.in_order:
        return total  # scored by the labels, or with the critic's target
    if prior.is_policy and config.target.policy is not None:
        total += _forward(*policy)  # the target policy; the online one is run anyway
    scored = prior.samples + config.g.own_samples
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
    scored = config.eval_policy.scored
    return 4 * episodes * (_layers(*policy) + scored * number * _layers(*critic))


def _learning(config: Config, spec: EnvSpec) -> int:
    policy, critic, number = _nets(config, spec)
    batch, estimate = config.data.batch_size, config.g_estimate
    rows, scored = (
        max(batch * steps, config.data.policy_rows)
        for steps in (estimate.length, estimate.valued)
    )
    drawn = config.pi_p.samples
    samples = max(drawn, config.pi_q.samples, estimate.next_samples(drawn))
    floats = rows * _layers(*policy) + scored * number * samples * _layers(*critic)
    return 4 * 2 * floats


def _layers(net: Torso, inputs: int, outputs: int) -> int:
    return networks.count_floats(net, inputs, outputs)


def update_flops(config: Config, spec: EnvSpec) -> int:
    """Floating-point operations of one agent's update: two for each multiply-add.

    An update is `schedule.critic_steps` and `schedule.policy_steps` minibatches.
    """
    schedule, batch = config.schedule, config.data.batch_size
    rows = batch * schedule.critic_steps * critic_step(config, spec)
    rows += config.data.policy_rows * schedule.policy_steps * policy_step(config, spec)
    policy, _, _ = _nets(config, spec)
    return 2 * (rows + batch * _fit_prior(config, policy, spec))
