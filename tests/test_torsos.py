"""Torsos, norms and activations beside plain NumPy, and as every algorithm's."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import agent as agents
from coadapt import algorithms, networks, schema
from coadapt.agent.metrics import dead_share
from coadapt.bench import cost
from coadapt.config import Config
from coadapt.networks import MLP, BroNet, LayerNorm, RMSNorm, SimBa, SimbaV2
from coadapt.runs import migrations
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec, Transition
from coadapt.validation import config_rules
from tests.recipes import cases

O, A, B = 3, 2, 6
SPEC = EnvSpec(task="none", obs_size=O, action_size=A, max_steps=10, provider="numbers")
# float32 beside float64, of some tens of terms of size 1 in a few layers
CLOSE = {"rtol": 0, "atol": 2e-5}


def rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def noisy(params):
    """So that no bias is 0 and no scale is 1."""
    leaves, tree = jax.tree.flatten(params)
    moved = [x + 0.3 * rows(i, *x.shape) for i, x in enumerate(leaves)]
    return jax.tree.unflatten(tree, [x.astype(np.float32) for x in moved])


def started(spec):
    """Its parameters, as one program and not as some tens."""
    return jax.jit(lambda key: networks.init(spec, key, O, A))(jax.random.key(0))


erf = np.vectorize(math.erf)
CURVES = {
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "tanh": np.tanh,
    "gelu": lambda x: x * 0.5 * (1 + erf(x / 2**0.5)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "crelu": lambda x: np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], -1),
}


def dense(params, name, x):
    layer = {k: np.asarray(v, np.float64) for k, v in params[name].items()}
    kernel = layer["kernel"]
    if "gain" in layer:
        kernel = layer["gain"] * kernel / np.linalg.norm(kernel, axis=0)
    return x @ kernel + layer["bias"]


def layer_norm(params, x, epsilon):
    x = x - x.mean(-1, keepdims=True)
    unit = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + epsilon)
    return unit * np.asarray(params["scale"]) + np.asarray(params["bias"])


def rms_norm(params, x, epsilon):
    unit = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + epsilon)
    return unit * np.asarray(params["scale"])


def simba(params, x, blocks, curve, norm):
    x = dense(params, "hidden_0", x)
    for i in range(1, 2 * blocks, 2):
        y = norm(params[f"norm_{i}"], x, 1e-6)
        y = CURVES[curve](dense(params, f"hidden_{i}", y))
        x = x + dense(params, f"hidden_{i + 1}", y)
    return dense(params, "output", norm(params["norm_output"], x, 1e-6))


def bronet(params, x, blocks, curve, norm):
    def layer(i, x):
        return norm(params[f"norm_{i}"], dense(params, f"hidden_{i}", x), 1e-6)

    x = CURVES[curve](layer(0, x))
    for i in range(1, 2 * blocks, 2):
        x = x + layer(i + 1, CURVES[curve](layer(i, x)))
    return dense(params, "output", x)


def unit(x, axis=-1):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def simbav2(params, x, blocks, shift, scaler, alpha):
    """Args: scaler, alpha: how a learned scale starts, and how it is stored."""

    def layer(name, x):
        return x @ np.asarray(params[name]["kernel"], np.float64)

    def scaled(name, numbers, x):
        start, stored = numbers
        return x * np.asarray(params[name]["scale"], np.float64) * start / stored

    beside = np.full((*x.shape[:-1], 1), shift)
    x = unit(np.concatenate([x, beside], -1))
    x = unit(scaled("scaler_0", scaler, layer("hidden_0", x)))
    for i in range(1, 2 * blocks, 2):
        inner = [number / 2 for number in scaler]  # an expansion of 4
        y = np.maximum(scaled(f"scaler_{i}", inner, layer(f"hidden_{i}", x)), 0)
        y = unit(layer(f"hidden_{i + 1}", y))
        x = unit(x + scaled(f"alpha_{i}", alpha, y - x))
    last = 2 * blocks + 1
    x = scaled(f"scaler_{last}", (1, 1), layer(f"hidden_{last}", x))
    return dense(params, "output", x)


def mlp(params, x, sizes, curve, norm=None, at="", epsilon=0.0):
    if at == "input":
        x = norm(params["norm_input"], x, epsilon)
    for i in range(len(sizes)):
        x = dense(params, f"hidden_{i}", x)
        x = norm(params[f"norm_{i}"], x, epsilon) if at == "before" else x
        x = CURVES[curve](x)
        x = norm(params[f"norm_{i}"], x, epsilon) if at == "after" else x
    return dense(params, "output", x)


NORMS = {"layer": layer_norm, "rms": rms_norm}
TORSOS = {  # a network, and what is written of it above
    "simba": (
        SimBa(width=5, blocks=2),
        lambda p, x: simba(p, x, 2, "relu", layer_norm),
    ),
    "simba-rms-crelu": (
        SimBa(width=5, blocks=1, expansion=2, norm="rms", activation="crelu"),
        lambda p, x: simba(p, x, 1, "crelu", rms_norm),
    ),
    "bronet": (
        BroNet(width=5, blocks=2),
        lambda p, x: bronet(p, x, 2, "relu", layer_norm),
    ),
    "bronet-crelu": (
        BroNet(width=5, blocks=1, activation="crelu"),
        lambda p, x: bronet(p, x, 1, "crelu", layer_norm),
    ),
    "simbav2": (
        SimbaV2(width=8, blocks=2),
        lambda p, x: simbav2(p, x, 2, 3.0, (0.5, 0.5), (1 / 3, 8**-0.5)),
    ),
    "simbav2-scaled": (
        SimbaV2(
            width=8, blocks=1, shift=1.0, scaler_init=2.0, scaler_scale=0.1,
            alpha_init=0.7, alpha_scale=1.0,
        ),
        lambda p, x: simbav2(p, x, 1, 1.0, (2.0, 0.1), (0.7, 1.0)),
    ),
    "weight-norm": (
        MLP(sizes=(5, 4), parametrization="weight_norm"),
        lambda p, x: mlp(p, x, (5, 4), "relu"),
    ),
    "input-norm": (
        MLP(sizes=(5,), norm=LayerNorm(at="input", epsilon=0.1)),
        lambda p, x: mlp(p, x, (5,), "relu", layer_norm, "input", 0.1),
    ),
} | {
    f"rms-{at}": (
        MLP(sizes=(5, 4), norm=RMSNorm(at=at, epsilon=0.1), activation="tanh"),
        lambda p, x, at=at: mlp(p, x, (5, 4), "tanh", rms_norm, at, 0.1),
    )
    for at in ("before", "after")
} | {
    curve: (
        MLP(sizes=(5, 4), activation=curve),
        lambda p, x, curve=curve: mlp(p, x, (5, 4), curve),
    )
    for curve in CURVES
}  # fmt: skip


@pytest.mark.parametrize("name", TORSOS)
def test_a_torso_is_the_plain_loop(name):
    """And its count, its width and its layers are those of its parameters."""
    spec, formula = TORSOS[name]
    params = noisy(started(spec))
    x = rows(1, 2, B, O)
    read = jax.jit(lambda params, x: networks.run(spec, params, x)[:2])
    found, last = read(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, formula(params, x), **CLOSE)
    assert last.shape == (2, B, networks.width(spec, O))
    kernels = {k: v["kernel"] for k, v in params.items() if "kernel" in v}
    assert networks.count_multiplies(spec, O, A) == sum(
        k.size for k in kernels.values()
    )
    products = spec.products(O, A)
    assert sorted(k.shape for k in kernels.values()) == sorted(products)
    assert networks.count_first(spec, O, A) == kernels["hidden_0"].size
    layers = {layer.name: layer.size for layer in spec.layers()}
    assert layers == {k: v.shape[1] for k, v in kernels.items() if k != "output"}


@pytest.mark.parametrize("name", ["simba", "bronet", "weight-norm", "rms-before"])
def test_second_derivatives_exist_as_a_natural_gradient_takes_them(name):
    """Along a direction, beside a difference of first derivatives."""
    spec, _ = TORSOS[name]
    params = jax.tree.map(jnp.asarray, noisy(started(spec)))
    x = jnp.asarray(rows(1, B, O), jnp.float32)
    way = jax.tree.map(lambda p: jnp.asarray(rows(9, *p.shape), jnp.float32), params)

    @jax.grad
    def slope(params):
        return jnp.mean(jnp.sin(networks.apply(spec, params, x, "float32")))

    def along(params):
        pairs = zip(jax.tree.leaves(slope(params)), jax.tree.leaves(way), strict=True)
        return sum(jnp.sum(g * v) for g, v in pairs)

    found = jax.tree.leaves(jax.jit(jax.grad(along))(params))
    assert all(np.isfinite(x).all() for x in found)
    assert max(np.abs(x).max() for x in found) > 0


def test_weight_norm_starts_as_the_plain_network_and_keeps_its_lengths():
    plain, normed = MLP(sizes=(5,)), MLP(sizes=(5,), parametrization="weight_norm")
    x = jnp.asarray(rows(1, B, O), jnp.float32)
    first = networks.init(plain, jax.random.key(0), O, A)
    params = networks.init(normed, jax.random.key(0), O, A)
    expected = networks.apply(plain, first, x)
    np.testing.assert_allclose(networks.apply(normed, params, x), expected, **CLOSE)
    params["hidden_0"]["kernel"] = 7.0 * params["hidden_0"]["kernel"]
    np.testing.assert_allclose(networks.apply(normed, params, x), expected, **CLOSE)


def test_a_block_starts_as_he_et_al_and_its_stem_is_orthogonal():
    wide = SimBa(width=64)
    params = jax.jit(lambda key: networks.init(wide, key, 64, A))(jax.random.key(0))
    # 16384 draws: the std of a sample's std is 0.6% of it
    assert np.std(params["hidden_1"]["kernel"]) == pytest.approx((2 / 64) ** 0.5, 0.03)
    stem = np.asarray(params["hidden_0"]["kernel"])
    np.testing.assert_allclose(stem.T @ stem, np.eye(64), atol=1e-4)


@pytest.mark.parametrize(
    ("spec", "dead", "number"),
    [
        (SimBa(width=2, blocks=1, expansion=2), "hidden_1", 4),
        (BroNet(width=4, blocks=1), "norm_1", 8),
        (MLP(sizes=(4,), activation="crelu"), None, 4),
    ],
    ids=["simba", "bronet", "crelu"],
)
def test_dead_units_of_a_torso(spec, dead, number):
    """Of those that have an activation; a concatenated ReLU has none that are dead."""
    params = started(spec)
    if dead:
        params[dead]["bias"] = jnp.array([-100.0, 100.0, 100.0, 100.0])
        if dead == "norm_1":
            params["norm_0"]["bias"] = jnp.full(4, 100.0)
    share_of = jax.jit(lambda params, x: dead_share(spec, params, x))
    share = share_of(params, jnp.asarray(rows(1, 64, O), jnp.float32))
    assert share == pytest.approx(1 / number if dead else 0.0)


# ---------------------------------------------------------------- as fields


def at(config, net="policy"):
    return getattr(config.networks, net)


def test_layer_norm_is_a_spelling_of_norm():
    config = algorithms.preset("mpo")
    path = "networks.policy.layer_norm"
    for word in ("first_tanh", "first", "before", "after"):
        made = schema.override(config, {path: word})
        assert at(made).norm == LayerNorm(at=word)
        same = {"networks.policy.norm": "LayerNorm", "networks.policy.norm.at": word}
        assert schema.override(config, same) == made
    assert at(schema.override(config, {path: "none"})).norm is None
    assert path not in dict(schema.paths(config))
    said = "layer_norm is 'frist', but must be 'after' or.*did you mean 'first'"
    with pytest.raises(ConfigError, match=said):
        schema.override(config, {path: "frist"})
    with pytest.raises(ConfigError, match="layer_norm is not a field of SimBa"):
        schema.override(config, {"networks.policy": "SimBa", path: "first"})


@pytest.mark.parametrize("name", ["sac", "mpo"])
def test_a_config_of_schema_2_means_what_it_meant(name):
    config = algorithms.preset(name)
    written = schema.to_dict(config)
    for net in ("policy", "critic"):
        old = written["networks"][net]
        norm = old.pop("norm")
        old["layer_norm"] = "none" if norm is None else norm["at"]
        assert old.pop("kind") == "MLP"
        old.pop("parametrization")
    assert schema.from_dict(Config, written) == config  # a file says no schema
    now = migrations.migrated(written, 2)
    assert schema.from_dict(Config, now) == config
    assert now["networks"]["policy"]["kind"] == "MLP"
    assert "layer_norm" not in now["networks"]["policy"]


CHOICES = [
    {"": "SimBa"},
    {"": "BroNet"},
    {".norm": "RMSNorm", ".activation": "silu"},
    {".parametrization": "weight_norm", ".activation": "crelu"},
    {"": "SimbaV2"},
]


def chosen(config, choice):
    changes = {
        f"networks.{net}{path}": value
        for path, value in choice.items()
        for net in ("policy", "critic")
    }
    return schema.override(config, changes)


@pytest.mark.parametrize("name", algorithms.TABLE1)
def test_every_algorithm_may_have_each_network(name):
    config = algorithms.preset(name)
    if hasattr(config.data, "dataset"):
        config = schema.override(config, {"data.dataset": "a/b-v0"})
    # nothing projects weights that are solved for, or those of a model like the policy
    unprojected = name in ("power", "reps", "brac")
    for choice in CHOICES[: -1 if unprojected else None]:
        made = chosen(config, choice)
        config_rules.check(made)
        assert schema.from_dict(Config, schema.to_dict(made)) == made
        assert cost.update_flops(made, SPEC) > 0 and cost.working_bytes(made, SPEC) > 0
        assert at(made).output == at(config).output


def test_a_wider_block_costs_more():
    sac = chosen(algorithms.preset("sac"), {"": "SimBa"})
    wide = schema.override(sac, {"networks.critic.expansion": 8})
    assert cost.update_flops(wide, SPEC) > cost.update_flops(sac, SPEC)
    assert cost.working_bytes(wide, SPEC) > cost.working_bytes(sac, SPEC)


UPDATES = {
    "sac-simba": ("sac", CHOICES[0], {"width": 4, "blocks": 1}),
    "mpo-bronet": ("mpo", CHOICES[1], {"width": 4, "blocks": 1}),
    "mpo-rms": ("mpo", CHOICES[2], {"sizes": (5, 4)}),
    "sac-weight-norm": ("sac", CHOICES[3], {"sizes": (5, 4)}),
    "sac-simbav2": ("sac", CHOICES[4], {"width": 4, "blocks": 1}),
}


# one with blocks and one without are left
@pytest.mark.parametrize(
    "name", cases(UPDATES, ["mpo-bronet", "sac-simba", "sac-weight-norm"])
)
def test_an_update_is_finite_moves_every_layer_and_is_of_no_neighbour(name):
    preset, choice, sizes = UPDATES[name]
    config = chosen(algorithms.preset(preset), choice)
    config = chosen(config, {f".{field}": value for field, value in sizes.items()})
    config = schema.override(config, {"pi_p.samples": 3} if preset == "mpo" else {})
    other = schema.override(config, {"optim.policy.rate": 0.1})

    def number(seed, *shape):
        return jnp.asarray(np.tanh(rows(seed, *shape)), jnp.float32)

    step = Transition(
        number(0, B, O), number(1, B, A), number(2, B), jnp.ones(B),
        jnp.zeros(B, bool), number(3, B, O),
    )  # fmt: skip

    def update(config):
        key = jax.random.key(0)
        first = state = agents.init(config, SPEC, key)
        batch = agents.compute_targets(config, state, step, key)
        state, _ = agents.evaluate(config, state, batch)
        state, _ = agents.improve(config, state, batch, key, state.params.critic)
        return first.params, state.params

    update_of = jax.jit(jax.vmap(update))
    both = update_of(schema.stack([config, other]))
    alike = update_of(schema.stack([config, config]))  # beside another neighbour
    for (path, x), y in zip(
        jax.tree.leaves_with_path(both[1]), jax.tree.leaves(alike[1]), strict=True
    ):
        assert np.isfinite(x).all()
        np.testing.assert_array_equal(x[0], y[0], jax.tree_util.keystr(path))
    policies = both[1].policy["net"]["output"]["bias"]
    assert jnp.any(policies[0] != policies[1])
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), *both)
    still = [
        jax.tree_util.keystr(p)
        for p, x in jax.tree.leaves_with_path((moved.policy["net"], moved.critic))
        if not x
    ]
    assert not [p for p in still if not re.search(r"norm|bias", p)]
    if "simbav2" in name:  # after a step, as at the start
        nets = [jax.tree.map(lambda x: x[0], net) for net in (both[1], both[0])]
        for net in (part for n in nets for part in (n.policy["net"], n.critic)):
            kernels = [part["kernel"] for part in net.values() if "kernel" in part]
            for kernel in kernels:
                lengths = np.linalg.norm(kernel, axis=-2)
                np.testing.assert_allclose(lengths, 1.0, atol=1e-5)
