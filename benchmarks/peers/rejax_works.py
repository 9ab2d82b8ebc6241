"""What is measured of rejax: agents mapped over, in one program."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import protocol
import rejax
from gymnax.environments import environment, spaces
from protocol import ACTIONS, EPOCHS, OBS, ROLLOUT, Cell, Job, Windows
from rejax.algos.ppo import AdvantageMinibatch, Trajectory
from rejax.evaluate import evaluate

CHUNK = 16  # iterations of one call
POLYAK = 0.995  # of targets, as the other programs have them; rejax's own is 0.99


class Noise(environment.Environment):
    """The shapes of HalfCheetah, and no more: a frozen replay needs no steps."""

    def reset_env(self, key, params):
        return jnp.zeros(OBS), environment.EnvState(time=0)

    def observation_space(self, params):
        return spaces.Box(-jnp.inf, jnp.inf, (OBS,))

    def action_space(self, params=None):
        return spaces.Box(-1.0, 1.0, (ACTIONS,))


def algorithm(job: Job, env, steps: int, cell: Cell | None = None):
    """An algorithm as rejax has it, but for what the job says; nothing is evaluated."""
    cell = cell or Cell("", 0)
    names = {"sac": ("agent_kwargs",), "td3": ("actor_kwargs", "critic_kwargs")}
    made = getattr(rejax, job.algorithm.upper()).create(
        env=env,
        buffer_size=job.buffer,
        batch_size=job.batch,
        fill_buffer=job.start,
        num_critics=cell.critics,
        gamma=cell.discount,
        total_timesteps=steps,
        eval_freq=steps,
        skip_initial_evaluation=True,
        polyak=POLYAK,
        **{name: {"activation": cell.activation} for name in names[job.algorithm]},
    )
    return made.replace(  # TD3 takes no sizes when it is made
        actor=made.actor.clone(hidden_layer_sizes=job.sizes),
        critic=made.critic.clone(hidden_layer_sizes=job.sizes),
        eval_callback=lambda algo, ts, rng: 0,
    )


def filled(ts, key):
    """A train state with a full replay of noise."""

    def noise(x):
        return jax.random.uniform(key, x.shape, minval=-1.0).astype(x.dtype)

    replay = ts.replay_buffer
    data = jax.tree.map(noise, replay.data)._replace(done=jnp.zeros_like(replay.done))
    return ts.replace(replay_buffer=replay.replace(data=data, full=True))


def update(job: Job, algo, ts):
    """What a training iteration does but for its env step."""

    def sampled(ts):
        rng, key = jax.random.split(ts.rng)
        return ts.replace(rng=rng), ts.replay_buffer.sample(job.batch, key)

    def tracked(new, old):
        return jax.tree.map(
            lambda x, y: (1 - algo.polyak) * x + algo.polyak * y, new, old
        )

    if job.algorithm == "sac":
        ts = algo.update(*sampled(ts))
    else:
        for _ in range(algo.policy_delay):
            ts, minibatch = sampled(ts)
            ts = algo.update_critic(ts, minibatch)
        ts = algo.update_actor(ts, minibatch)
        ts = ts.replace(
            actor_target_params=tracked(ts.actor_ts.params, ts.actor_target_params)
        )
    return ts.replace(
        critic_target_params=tracked(ts.critic_ts.params, ts.critic_target_params)
    )


def repeat(job: Job, work, ts, units: int, agents: int) -> None:
    """Measure what makes so many units of each agent, over and over, and answer."""
    windows, done = Windows(job, least=2), False
    while not done:
        ts = jax.block_until_ready(work(ts))
        done = windows.tick(units * agents)
    windows.tell(agents)


def learner_of_ppo(job: Job) -> None:
    """What its iteration does with a rollout, which is noise."""
    algo = rejax.PPO.create(
        env=Noise(),
        agent_kwargs={"hidden_layer_sizes": job.sizes, "activation": "tanh"},
        num_envs=1,
        num_steps=ROLLOUT,
        num_epochs=EPOCHS,
        num_minibatches=ROLLOUT // job.batch,
    )

    def advantages(key):
        number = jax.random.normal(key, (ROLLOUT, 1))
        obs, action = (jnp.tile(number[..., None], n) for n in (OBS, ACTIONS))
        done = jnp.zeros_like(number, bool)
        rollout = Trajectory(obs, action, number, number, number, done)
        return AdvantageMinibatch(rollout, *algo.calculate_gae(rollout, number[0]))

    @partial(jax.jit, donate_argnums=0)
    @jax.vmap
    def iteration(ts):
        data = advantages(ts.rng)

        def epoch(ts, _):
            rng, key = jax.random.split(ts.rng)
            pieces = algo.shuffle_and_split(data, key)
            return jax.lax.scan(
                lambda ts, piece: (algo.update(ts, piece), None),
                ts.replace(rng=rng),
                pieces,
            )

        return jax.lax.scan(epoch, ts, None, EPOCHS)[0]

    for agents in job.agents:
        keys = jax.random.split(jax.random.PRNGKey(0), agents)
        ts = jax.jit(jax.vmap(algo.init_state))(keys)
        repeat(job, iteration, ts, EPOCHS * ROLLOUT // job.batch, agents)


def learner(job: Job) -> None:
    if job.algorithm == "ppo":
        learner_of_ppo(job)
        return
    algo = algorithm(job, Noise(), CHUNK)
    critic_updates = 1 if job.algorithm == "sac" else algo.policy_delay

    @partial(jax.jit, donate_argnums=0)
    @jax.vmap
    def many(ts):
        return jax.lax.fori_loop(0, CHUNK, lambda _, t: update(job, algo, t), ts)

    for agents in job.agents:
        keys = jax.random.split(jax.random.PRNGKey(0), agents)
        ts = jax.jit(jax.vmap(lambda key: filled(algo.init_state(key), key)))(keys)
        repeat(job, many, ts, CHUNK * critic_updates, agents)


def counters(ts, value):
    """A train state with this in place of what all agents count alike."""
    replay = ts.replay_buffer
    return ts.replace(
        global_step=value(ts.global_step),
        replay_buffer=replay.replace(
            index=value(replay.index), full=value(replay.full)
        ),
    )


def loop(job: Job) -> None:
    """Its `train`, over and over: counters are not mapped, as within one call."""
    algo = algorithm(job, job.task, CHUNK)
    for agents in job.agents:
        keys = jax.random.split(jax.random.PRNGKey(0), agents)
        ts = jax.jit(jax.vmap(algo.init_state))(keys)
        ts = counters(ts, lambda x: x[0])
        where = counters(jax.tree.map(lambda _: 0, ts), lambda _: None)
        train = jax.jit(
            jax.vmap(
                lambda ts: algo.train(train_state=ts)[0],
                in_axes=(where,),
                out_axes=where,
            ),
            donate_argnums=0,
        )
        while int(ts.global_step) <= job.start:
            ts = train(ts)
        repeat(job, train, ts, CHUNK, agents)


def sweep(job: Job) -> None:
    """All cells in one program: they may differ in what rejax traces, and in seed.

    The activation is the critics', as ours is, and an evaluation takes the policy's
    median action, where rejax's own would draw one.
    """
    algo = algorithm(job, job.task, job.steps, job.cells[0])
    actor = algo.actor.clone(activation=jax.nn.relu)

    def median(actor, obs):
        drawn = actor._action_dist(obs)
        return actor.action_loc + jnp.tanh(drawn.mean()) * actor.action_scale

    def measured(algo, ts, rng):
        def act(obs, rng):
            params = ts.actor_ts.params
            return algo.actor.apply(params, obs[None], method=median)[0]

        most = algo.env_params.max_steps_in_episode
        return evaluate(act, rng, algo.env, algo.env_params, job.episodes, most)[1]

    algo = algo.replace(actor=actor, eval_callback=measured)

    @jax.jit
    @jax.vmap
    def train(discount, key):
        return algo.replace(gamma=discount).train(key)[1].mean()

    discounts = np.array([cell.discount for cell in job.cells], np.float32)
    keys = jnp.stack([jax.random.PRNGKey(cell.seed) for cell in job.cells])
    protocol.add_rows(job, np.asarray(train(discounts, keys)))


if __name__ == "__main__":
    protocol.serve({"learner": learner, "loop": loop, "sweep": sweep})
