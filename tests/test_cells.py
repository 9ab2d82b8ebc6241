"""Each cell of Table 1 computes by the method that its own class names."""

import functools

import jax
import numpy as np
import pytest

from coadapt import algorithms, envs, logs, runner, schema, taxonomy
from coadapt.data import replay
from coadapt.learn import Clock, learn


def traced(config):
    """An update of an agent, and an action: their programs, without compiling."""
    spec = envs.spec("toy/lqr")
    if config.pi_theta.one_hot:
        config = schema.override(config, {"pi_theta.bins": 3})
    like = runner.shapes(config, spec, 1000)
    size, obs = replay.size(1000), np.zeros(spec.obs_size, np.float32)
    store = like.store or jax.eval_shape(lambda: replay.init(spec, size, obs))
    clock = Clock(np.int32(1), np.int32(1))
    config = jax.tree.map(lambda x: x[0], schema.stack([config]))

    def update(state, store):
        return learn(config, state, store, np.uint32(0), clock, logs.DEFAULT)

    jax.eval_shape(update, like.agent, store)


@pytest.mark.parametrize("name", [*algorithms.TABLE1, *algorithms.LATER])
def test_a_cell_computes_by_its_own_method(name, monkeypatch):
    config, called = algorithms.preset(name), set()
    cells = {column: taxonomy.maths(config, column) for column in taxonomy.COLUMNS}
    assert len(cells) == 7

    def recorded(column, owner, method):
        own = getattr(owner, method)

        @functools.wraps(own)
        def call(*args, **kwargs):
            called.add(column)
            return own(*args, **kwargs)

        monkeypatch.setattr(owner, method, call)

    for column, method in cells.items():
        if method is None:
            words = " ".join(type(getattr(config, column)).__doc__.split())
            assert "there is nothing to compute" in words
        else:
            recorded(column, type(method.__self__), method.__name__)
    traced(config)
    assert called == {column for column, method in cells.items() if method}


def test_what_computes_nothing_is_what_follows_by_itself():
    """A prior that stays, and one that is the policy that acts next."""
    presets = {name: algorithms.preset(name) for name in algorithms.TABLE1}
    idle = {
        (name, column)
        for name, config in presets.items()
        for column in taxonomy.COLUMNS
        if taxonomy.maths(config, column) is None
    }
    offline = {(name, "pi_p_update") for name in ("brac", "bear")}
    fixed = {(name, "pi_p_update") for name in ("sac", "ddpg", "td3")}
    last = {(name, "pi_p_update") for name in ("trpo_table1", "ppo")}
    assert idle == offline | fixed | last
