"""What is measured of this library, for the jobs that the peers have."""

import sys
from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from benchmarks.peers import protocol
from benchmarks.peers.protocol import Job, Windows
from coadapt import algorithms, devices, envs, schema
from coadapt.bench import cost, update_throughput
from coadapt.cli import compiled
from coadapt.config import Config, Replay, Trajectories

OWN = ("mpo", "awr")  # compared at the paper's own sizes


def config_of(job: Job) -> Config:
    """The preset, with the job's networks and minibatch where all have them equal."""
    found = update_throughput.scaled(algorithms.preset(job.algorithm))
    if job.algorithm in OWN:
        return found
    return schema.override(
        found,
        {
            "networks.policy.sizes": job.sizes,
            "networks.critic.sizes": job.sizes,
            "data.batch_size": job.batch,
        },
    )


def learner(job: Job) -> None:
    """The critics' updates are counted, but of AWR its short iterations.

    Where an update is a minibatch's, a short trial says how many are a call.
    """
    config = config_of(job)
    each = 1 if isinstance(config.data, Trajectories) else config.schedule.critic_steps
    for agents in job.agents:
        at_once = 1
        if isinstance(config.data, Replay):
            trial = partial(update_throughput.update_seconds, config, agents)
            choices = protocol.at_once(job)
            at_once = min(choices, key=lambda n: trial(at_once=n) if choices[1:] else 0)
        (row,) = update_throughput.measure(
            config, [agents], rounds=job.windows, seconds=job.seconds, at_once=at_once
        )
        protocol.answer(
            agents=agents, rates=[each * row.updates], fraction=row.fraction
        )


def loop(job: Job) -> None:
    """One update after each env step, of all agents in one program."""
    task = job.own_task
    config = schema.override(
        config_of(job),
        {
            "data.capacity": job.buffer,
            "data.learning_starts": job.start,
            "data.random_steps": job.start,
        },
    )
    for agents in job.agents:
        running = update_throughput.start_loop(config, task, agents, job.buffer)
        windows, limit = Windows(job, least=3), update_throughput.matmul_rate()
        updates, steps, done = running.advance(0, job.start, 0), job.start, False
        while not done:
            # on the device a chunk is one call, which has to be worth its while
            chunk = max(64 // agents, 8) if envs.on_host(task) else 128
            updates = running.advance(steps, steps + chunk, updates)
            jax.block_until_ready(running.learner)
            steps, done = steps + chunk, windows.tick(chunk * agents)
        running.close()
        flops = cost.update_flops(config, envs.spec(task)) * np.median(windows.rates)
        windows.tell(agents, fraction=float(flops / limit))


WORKS: dict[str, Callable[[Job], None]] = {"learner": learner, "loop": loop}


if __name__ == "__main__":
    devices.use_cores()
    compiled.keep(None)
    asked = protocol.read(sys.argv)
    WORKS[asked.work](asked)
