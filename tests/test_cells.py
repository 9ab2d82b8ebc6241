"""Updates of the presets, traced: each cell of Table 1 computes by the method that its
own class names, and products are in the precision that is set."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import SHORT, cases, small

from coadapt import algorithms, envs, learn, runner, taxonomy
from coadapt.data import replay
from coadapt.metrics import registry
from coadapt.networks import products


class Update(NamedTuple):
    """A traced one."""

    config: object
    precision: str
    called: set[str]  # the columns whose methods were
    jaxpr: object


def recorded(owner, method, told):
    """The method, which tells that it is called."""
    own = getattr(owner, method)

    @functools.wraps(own)
    def call(*args, **kwargs):
        told()
        return own(*args, **kwargs)

    return call


def traced(config):
    """An update of an agent: its program, without compiling."""
    spec = envs.spec("toy/lqr")
    like = runner.shapes(config, spec, 1000)
    size, obs = replay.size(1000), np.zeros(spec.obs_size, np.float32)
    store = like.store or jax.eval_shape(lambda: replay.init(spec, size, obs))
    clock = learn.Clock(np.int32(1), np.int32(1))

    @jax.jit
    def update(config, state, store, seed, clock):
        return learn.learn(config, state, store, seed, clock, registry.DEFAULT)

    return update.trace(config, like.agent, store, np.uint32(0), clock).jaxpr


PAIRS = [(name, p) for name in sorted(SHORT) for p in ("float32", "tf32", "bfloat16")]
# each row in one of the three, and all three of one that solves and one that does not
IN_ONE = [pair for i, pair in enumerate(PAIRS)
          if pair[0] not in ("sac", "reps") and i % 3 != i // 3 % 3]  # fmt: skip


@pytest.fixture(scope="module", params=cases(PAIRS, IN_ONE), ids="-".join)
def update(request) -> Update:
    name, precision = request.param
    # a reset makes networks anew by a pass whose products are thrown away
    changes = {"networks__precision": precision, "schedule__resets": None}
    config, called = small(name, **changes), set[str]()
    with (
        pytest.MonkeyPatch.context() as patch,
        jax.default_matmul_precision("bfloat16"),  # JAX's own setting has no say
    ):
        # whatever this processor has: test_networks.py has both
        patch.setattr(products, "multiplies_halves", lambda: True)
        for column in taxonomy.COLUMNS:
            method = taxonomy.maths(config, column)
            if method is not None:
                owner, word = type(method.__self__), method.__name__
                tell = functools.partial(called.add, column)
                patch.setattr(owner, word, recorded(owner, word, tell))
        jaxpr = traced(config)
    return Update(config, precision, called, jaxpr)


def test_a_cell_computes_by_its_own_method(update):
    cells = {c: taxonomy.maths(update.config, c) for c in taxonomy.COLUMNS}
    assert len(cells) == 7
    for column, method in cells.items():
        if method is None:
            words = " ".join(type(getattr(update.config, column)).__doc__.split())
            assert "there is nothing to compute" in words
    assert update.called == {column for column, method in cells.items() if method}


def multiplied(jaxpr):
    """Every matrix product of a program, inner ones included."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            yield eqn
        for inner in jax.core.jaxprs_in_params(eqn.params):
            yield from multiplied(inner)


def test_an_update_multiplies_in_the_precision_that_is_set(update):
    """Of each layer and gradient; what is solved is always exact (`highest`)."""
    found = {
        (str(eqn.invars[0].aval.dtype), str(eqn.params["precision"][0]))
        for eqn in multiplied(update.jaxpr.jaxpr)
    }
    layers = {
        "float32": ("float32", "HIGHEST"),
        "tf32": ("float32", "HIGH"),
        "bfloat16": ("bfloat16", "HIGH"),
    }[update.precision]
    assert layers in found and found <= {layers, ("float32", "HIGHEST")}
    assert all(x.aval.dtype != jnp.bfloat16 for x in update.jaxpr.jaxpr.outvars)


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
