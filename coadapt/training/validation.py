"""What of a config is not valid on a task: refused before anything starts."""

import jax

from coadapt import devices, learn, schema
from coadapt.config import Config, Offline, Rollout, Trajectories
from coadapt.data import offline
from coadapt.training.schedule import first_update
from coadapt.types import EnvSpec


def refuse_float64() -> None:
    """Raises: ConfigError, where JAX is set to make float64 of what has no type."""
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise schema.ConfigError(
            "JAX_ENABLE_X64 is set: agents, replays and tasks are float32 throughout, "
            "and memory is planned so, so it must be unset (JAX_ENABLE_X64=0)."
        )


def admissible(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse a config that is not valid on this task.

    Raises: ConfigError.
    """
    data, pi = config.data, config.pi_theta
    if spec.num_actions and not pi.one_hot:
        raise schema.ConfigError(
            f"pi_theta {pi.kind}: the actions of {spec.task} are discrete, so it must "
            f"be a Softmax with bins of none{_discrete_way(config)}."
        )
    if pi.one_hot and not spec.num_actions:
        raise schema.ConfigError(
            f"pi_theta.bins is None: the actions of {spec.task} are continuous, so it "
            "must be the number of values that each dimension may take, such as 11."
        )
    if isinstance(data, Offline):
        offline.read(data.dataset, spec)
        return
    if data.begins_with:
        _room_for(config, spec, steps)
    if data.drop_last and spec.max_steps == 1:
        raise schema.ConfigError(
            f"data.drop_last is True: the episodes of {spec.task} have one step each, "
            "and none would be left, so it must be false."
        )
    _enough(config, spec, steps)


def _room_for(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse a replay without room for what it begins with.

    Raises: ConfigError.
    """
    data = config.data
    given = len(offline.read(data.begins_with, spec).reward)
    least, why = given, f"it begins with the {given:,} transitions of data.prefill"
    if data.draws.two_sources:
        least, why = given + steps, f"{why}, half of each minibatch, and {steps:,} come"
    if data.capacity < least:  # type: ignore[union-attr]
        raise schema.ConfigError(
            f"data.capacity is {data.capacity:,}: {why}, so it must be at "  # type: ignore[union-attr]
            f"least {least:,}."
        )


def _discrete_way(config: Config) -> str:
    """How, or instead of which algorithms, discrete actions are learned."""
    if config.pi_q.by_samples:
        return (
            ", which a policy that climbs its critic's gradient cannot be (SAC, DDPG, "
            "TD3 and the like): use PPO, TRPO, AWR, AWAC or another with "
            "pi_theta=Softmax"
        )
    if config.pi_p_update.needs_moments:
        return ": pi_theta=Softmax, with pi_p_update.trust_region=JointKL"
    return ": pi_theta=Softmax"


def _other_half(precision: str) -> str:
    other = {"float16": "bfloat16", "bfloat16": "float16"}[precision]
    return f" or {other}" if devices.converts(other) else ""


def _enough(config: Config, spec: EnvSpec, steps: int) -> None:
    """Refuse updates that would have nothing to learn from.

    Raises: ConfigError.
    """
    data, of_each = config.data, ""
    if data.envs > 1:
        of_each = f" in each of {data.envs:,} environments (data.envs)"
    if isinstance(data, Trajectories) and data.capacity // data.envs < spec.max_steps:
        raise schema.ConfigError(
            f"data.capacity is {data.capacity}: whole episodes are held, and those of "
            f"{spec.task} have up to {spec.max_steps:,} steps{of_each}, so it must be "
            f"at least {f'{spec.max_steps * data.envs:,}' if of_each else 'that'}."
        )
    if data.precision != "float32" and not devices.converts(data.precision):
        other = _other_half(data.precision)
        raise schema.ConfigError(
            f"data.precision is {data.precision}: XLA cannot convert it on this "
            f"processor (or with these XLA_FLAGS), so it must be float32{other}."
        )
    sequence = config.g_estimate.length
    if steps >= first_update(config) < sequence * data.envs:
        raise schema.ConfigError(
            f"data.learning_starts is {data.learning_starts}: it must be at least "
            f"{sequence * data.envs}, because an update reads so many steps in a row "
            f"{f'({sequence}) of each environment ' if of_each else ''}"
            "(g_estimate.steps, n_step.most)."
        )
    unfinished = learn.unfinished(config, spec.max_steps)
    if (
        steps >= data.learning_starts
        and unfinished
        and data.learning_starts < data.batch_size + unfinished
    ):
        field = (
            "data.update_every" if isinstance(data, Rollout) else "data.learning_starts"
        )
        raise schema.ConfigError(
            f"{field} is {data.learning_starts}: on {spec.task} (episodes of up to "
            f"{spec.max_steps} steps{of_each}) it must be at least "
            f"{data.batch_size + unfinished}, so that a minibatch of finished steps "
            "is there."
        )
