"""What is certain of agents before they start: a sentence each, ': ' after whose.

It is about runs that come to an end and are none, or tell less than they seem to.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from coadapt import algorithms, envs, runner
from coadapt.config import Config, Hard, Rollout
from coadapt.factors.rules import critics
from coadapt.networks import Networks
from coadapt.optim import Optim


class Asked(NamedTuple):
    """A variant on a task, and how long."""

    task: str
    variant: str
    algorithm: str
    config: Config
    steps: int  # env steps
    eval_every: int  # env steps

    @property
    def place(self) -> str:
        return f"{self.variant} on {self.task}"


def notes(agents: Iterable[Asked]) -> tuple[str, ...]:
    """All that is known of them, each sentence once."""
    rules: tuple[Callable[[Asked], str], ...] = (
        _unread, _untrained, _unguided, _stale, _just_copied
    )  # fmt: skip
    every = list(agents)
    found = [rule(each) for rule in rules for each in every]
    found += [said for task in {a.task: 0 for a in every} for said in _no_choice(task)]
    return tuple(dict.fromkeys(filter(None, found)))


def untrained(agents: Iterable[Asked]) -> tuple[str, ...]:
    """Of those whose policy makes no step within the steps that are asked for."""
    said = (_untrained(each) or _unguided(each) for each in agents)
    return tuple(filter(None, said))


def updates(config: Config, steps: int) -> int:
    """Updates within env steps 1 to `steps`: see `runner.due`."""
    data, first = config.data, max(config.data.learning_starts, 1)
    moments = max(steps // data.period - (first - 1) // data.period, 0)
    return moments * data.updates_at_once


def _untrained(of: Asked) -> str:
    config = of.config
    if updates(config, of.steps):
        return ""
    why = f"data.update_every is {config.data.update_every:,}"
    if not isinstance(config.data, Rollout):
        why = f"data.learning_starts is {config.data.learning_starts:,} and {why}"
    return (
        f"gradient steps of {of.place}: 0 (the first update follows env step "
        f"{runner.first_update(config):,}, as {why}, and steps are {of.steps:,}: no "
        "agent will learn)"
    )


def _unguided(of: Asked) -> str:
    """Of a policy that is not moved by its critic before the end."""
    prior, warm = of.config.pi_p, int(of.config.schedule.warm_start)
    number = updates(of.config, of.steps)
    if not number or not prior.by_others:
        return ""
    if prior.pretrain_updates >= number:
        return (
            f"policy steps of {of.place}: 0 (the first {prior.pretrain_updates:,} "
            "updates fit the model of the data's policy alone, as "
            f"pi_p.pretrain_updates has it, and there are {number:,}; no policy will "
            "learn)"
        )
    if prior.pretrain_updates + warm >= number:
        return (
            f"{of.place}: the critic never moves the policy, as the first "
            f"{prior.pretrain_updates + warm:,} updates (pi_p.pretrain_updates and "
            f"schedule.warm_start) pull it to its prior alone, and there are {number:,}"
        )
    return ""


def _unread(of: Asked) -> str:
    """Of what was changed, though nothing reads it."""
    config, known = of.config, of.algorithm in algorithms.PRESETS
    usual = algorithms.preset(of.algorithm, of.task) if known else None
    optim = Optim() if usual is None else usual.optim
    nets = Networks() if usual is None else usual.networks
    said = dict[str, str]()
    if config.optim.policy != optim.policy:
        said["optim.policy"] = _no_policy_gradient(config)
    if config.optim.critic != optim.critic:
        said["optim.critic"] = _no_critic_gradient(config)
    if config.networks.critic != nets.critic and not critics(config):
        said["networks.critic"] = _no_critic_gradient(config)
    if config.optim.prior != optim.prior and not config.pi_p.by_others:
        name = type(config.pi_p).__name__
        said["optim.prior"] = f"pi_p is {name}, which has no model"
    found = [f"nothing reads {field}, as {why}" for field, why in said.items() if why]
    return f"{of.variant}: {'; '.join(found)}" if found else ""


def _no_policy_gradient(config: Config) -> str:
    update, step = config.pi_q_update, config.pi_p_update
    if update.own_length:
        name = type(update).__name__
        return f"pi_q_update is {name}, which finds the length of its own step"
    if step.closed_form:
        return f"pi_p_update is {type(step).__name__}, which is no gradient step"
    return ""


def _no_critic_gradient(config: Config) -> str:
    g, estimate = type(config.g).__name__, config.g_estimate
    if not critics(config):
        return f"with g={g} and g_estimate={type(estimate).__name__} there is no critic"
    if not estimate.by_gradient:
        return f"g_estimate is {type(estimate).__name__}, which is no gradient step"
    return ""


def _stale(of: Asked) -> str:
    """Of a schedule that was left as it is, for other data than it was made for."""
    if of.algorithm not in algorithms.PRESETS or not isinstance(
        of.config.data, Rollout
    ):
        return ""
    usual = algorithms.preset(of.algorithm, of.task)
    if not isinstance(usual.data, Rollout) or usual.schedule != of.config.schedule:
        return ""
    ours, theirs = dict(_passes(of.config)), dict(_passes(usual))
    moved = [name for name in ours if ours[name] != theirs[name]]
    if not moved:
        return ""
    said = " and ".join(
        f"{name} makes {ours[name]:g} passes over data.update_every, where the preset "
        f"makes {theirs[name]:g} ({round(theirs[name] / ours[name] * steps)} steps do)"
        for name, steps in _steps(of.config).items()
        if name in moved
    )
    return f"{of.variant}: {said}"


def _steps(config: Config) -> dict[str, int]:
    schedule = config.schedule
    return {
        "schedule.critic_steps": schedule.critic_steps,
        "schedule.policy_steps": schedule.policy_steps,
    }


def _passes(config: Config) -> Iterator[tuple[str, float]]:
    """How often an update reads each of its steps."""
    data = config.data
    assert isinstance(data, Rollout)
    sizes = (data.batch_size, data.policy_batch_size or data.batch_size)
    for (name, steps), size in zip(_steps(config).items(), sizes, strict=True):
        if steps:
            yield name, steps * size / data.update_every


def _just_copied(of: Asked) -> str:
    """Of a KL from the prior that is always measured when it has just been copied."""
    target, config = of.config.target.policy, of.config
    bounded = config.pi_p_update.reads_prior
    if not bounded or not isinstance(target, Hard) or target.period < 2:
        return ""
    stops = range(of.eval_every, of.steps + 1, of.eval_every)
    made = [updates(config, steps) for steps in [*stops, of.steps]]
    made = [number for number in made if number]
    if not made or any((number - 1) % target.period for number in made):
        return ""
    return (
        f"{of.place}: kl of a trust region is 0 at each evaluation, as target.policy "
        f"is copied just before (every {target.period} updates); an eval_every that is "
        f"no multiple of {target.period * config.data.update_every:,} shows what it "
        "grows to"
    )


def _no_choice(task: str) -> Iterator[str]:
    """Of a task on which some action, or each, is one with all others."""
    spec = envs.spec(task)
    if spec.num_actions == 1:
        yield f"{task}: there is one action, so that all policies are the same"
    flat = [
        i
        for i, (low, high) in enumerate(
            zip(spec.action_low, spec.action_high, strict=True)
        )
        if low == high
    ]
    if not flat:
        return
    where = ", ".join(map(str, flat[:4])) + (", ..." if flat[4:] else "")
    end = "so that all policies are the same"
    if len(flat) < len(spec.action_low):
        end = "so that what is chosen there changes nothing"
    yield f"{task}: low equals high in action dimension {where}, {end}"
