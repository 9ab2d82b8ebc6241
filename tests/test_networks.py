"""Features and readouts of networks; the plain loops are in test_agent.py."""

from functools import partial
from itertools import combinations_with_replacement

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import algorithms, learn, networks, runner, schema
from coadapt.bench import update_throughput
from coadapt.learn import Clock
from coadapt.networks import Fourier, Init, LayerNorm, Network, Quadratic, products

O, A, B = 3, 2, 8
ROUNDING = 1e-5  # float32, some tens of terms of size 1


def rows(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_quadratic_features_are_the_inputs_and_their_products():
    x = rows(2, B, O)
    found = Quadratic().apply(x)
    assert found.shape == (2, B, Quadratic().size(O)) == (2, B, 9)
    pairs = combinations_with_replacement(range(O), 2)
    products = [x[..., i] * x[..., j] for i, j in pairs]
    expected = np.concatenate([x, np.stack(products, -1)], -1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_products_of_fourier_features_are_the_gaussian_kernel(width):
    features, number = Fourier(number=20_000, width=width), 20_000
    x = rows(B, O)
    found = features.apply(x)
    assert found.shape == (B, number) and features.size(O) == number
    distance = np.square(x[:, None] - x[None]).sum(-1)
    expected = np.exp(-distance / (2 * width**2))
    # the mean of `number` terms 2 cos cos of std at most sqrt(3 / 2); 5 of its stds
    bound = 5 * np.sqrt(1.5 / number)
    np.testing.assert_allclose(found @ found.T, expected, atol=bound)
    assert np.max(np.abs(found)) <= np.sqrt(2 / number) * (1 + 1e-6)


def test_fourier_features_take_any_leading_axes_and_are_the_same_for_all():
    features, x = Fourier(number=10), rows(2, B, O)
    found = features.apply(x)
    assert found.shape == (2, B, 10)
    np.testing.assert_allclose(found[1], features.apply(x[1]), atol=ROUNDING)
    each = jax.vmap(jax.vmap(features.apply))(x)
    np.testing.assert_allclose(found, each, atol=ROUNDING)


@pytest.mark.parametrize("features, size", [(Quadratic(), 9), (Fourier(number=6), 6)])
@pytest.mark.parametrize("sizes", [(), (5,)])
def test_the_first_layer_reads_the_features(features, size, sizes):
    spec = Network(features=features, sizes=sizes)
    params = networks.init(spec, jax.random.key(0), O, A)
    first = params["hidden_0" if sizes else "output"]["kernel"]
    assert first.shape[0] == size
    plain = Network(sizes=sizes)
    x = rows(B, O)
    expected = networks.apply(plain, params, features.apply(x))
    np.testing.assert_array_equal(networks.apply(spec, params, x), expected)
    kernels = sum(x.size for x in jax.tree.leaves(params) if x.ndim == 2)
    assert networks.count_multiplies(spec, O, A) == kernels


SPECS = [
    Network(sizes=()),
    Network(sizes=(5, 4)),
    Network(sizes=(5,), norm=LayerNorm(at="after"), activation="tanh"),
    Network(features=Quadratic(), sizes=()),
]


@pytest.mark.parametrize("spec", SPECS)
def test_reading_out_the_last_features_is_the_network(spec):
    params = networks.init(spec, jax.random.key(0), O, A)
    x = rows(2, B, O)
    last = networks.last_features(spec, params, x)
    assert last.shape == (2, B, networks.width(spec, O))
    np.testing.assert_array_equal(last[..., -1], 1.0)
    found = networks.readout(params, last)
    np.testing.assert_allclose(found, networks.apply(spec, params, x), atol=ROUNDING)


def test_without_hidden_layers_a_network_is_linear():
    spec = Network(sizes=())
    params = networks.init(spec, jax.random.key(0), O, A)
    x = rows(B, O)
    kernel, bias = (np.asarray(params["output"][k]) for k in ("kernel", "bias"))
    assert params.keys() == {"output"}
    found = networks.apply(spec, params, x)
    np.testing.assert_allclose(found, np.asarray(x) @ kernel + bias, atol=ROUNDING)


@pytest.mark.parametrize("leading", [(B,), (2, 3, B)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradients_of_a_network_are_those_of_plain_products(leading, activation):
    """The first and the second, of parameters and inputs, of few rows and of many."""
    spec = Network(sizes=(5, 4), activation=activation)
    params = networks.init(spec, jax.random.key(0), O, A)
    x, layers = rows(*leading, O), ("hidden_0", "hidden_1", "output")

    def plain(params, x):
        for name in layers:
            x = x @ params[name]["kernel"]
            x = x + jnp.broadcast_to(params[name]["bias"], x.shape)
            x = networks.ACTIVATIONS[activation](x) if name != "output" else x
        return x

    def ours(params, x):
        return networks.apply(spec, params, x)

    def first_and_second(net):
        def loss(params, x):
            return jnp.sum(jnp.sin(net(params, x)))

        def slope(params, x):
            found = jax.grad(loss, (0, 1))(params, x)
            return sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(found))

        grads = jax.grad(loss, (0, 1)), jax.grad(slope, (0, 1))
        return jax.jit(lambda *at: [grad(*at) for grad in grads])(params, x)

    chex.assert_trees_all_close(
        first_and_second(ours), first_and_second(plain), rtol=0, atol=48 * ROUNDING
    )  # sums over up to 48 rows


def test_gradients_of_weights_come_out_as_they_are_stored():
    """Nothing transposes them on the way to the optimiser, but of narrow layers."""
    spec = Network(sizes=(O,))
    params = networks.init(spec, jax.random.key(0), O, A)

    def loss(params):
        return jnp.sum(networks.apply(spec, params, rows(B, O)) ** 2)

    program = jax.make_jaxpr(jax.grad(loss))(params).jaxpr
    turned = [e for e in _equations(program) if e.primitive.name == "transpose"]
    shapes = {e.outvars[0].aval.shape for e in turned}
    assert shapes == {(O, B), (A, B), (O, A)}


def test_products_in_bfloat16_are_those_of_rounded_factors_summed_in_float32():
    """A layer, and the gradients of its inputs and weights, beside float64's sums."""
    spec = Network(sizes=())
    params, x = networks.init(spec, jax.random.key(0), O, A), rows(B, O)

    def net(params, x):
        return networks.apply(spec, params, x, "bfloat16")

    found, back = jax.vjp(net, params, x)
    grad = rows(B, A, seed=1)
    of_params, of_x = back(grad)
    kernel, bias = params["output"]["kernel"], params["output"]["bias"]
    x2, w2, g2 = (
        np.asarray(y.astype(jnp.bfloat16), np.float64) for y in (x, kernel, grad)
    )
    close = partial(np.testing.assert_allclose, rtol=0, atol=ROUNDING)
    close(found, x2 @ w2 + np.asarray(bias))
    close(of_x, g2 @ w2.T)
    close(of_params["output"]["kernel"], x2.T @ g2)
    close(of_params["output"]["bias"], np.sum(grad, 0))
    assert {y.dtype for y in jax.tree.leaves((found, of_params, of_x))} == {
        jnp.dtype(jnp.float32)
    }
    exact = np.asarray(x) @ np.asarray(kernel) + np.asarray(bias)
    assert np.max(np.abs(found - exact)) > 10 * ROUNDING  # so that it is no float32


def _equations(jaxpr):
    """Of a program and of all that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("name", ["sac", "mpo"])
def test_an_update_has_nothing_in_bfloat16_but_the_factors_of_products(
    name, halves, monkeypatch
):
    """So parameters, optimisers, targets, losses and log-probabilities are float32.

    A processor that does not multiply in bfloat16 rounds the same factors.
    """
    monkeypatch.setattr(products, "multiplies_halves", lambda: halves)
    given = {"networks.precision": "bfloat16"}
    config = schema.override(algorithms.preset(name), given)
    shapes = runner.shapes(config, update_throughput.SPEC, 300)
    clock = Clock(np.int32(300), np.int32(0))
    update = partial(learn.update, config)
    program = jax.make_jaxpr(update)(*shapes, jnp.uint32(0), clock).jaxpr

    def halved(variables) -> bool:
        return any(v.aval.dtype == jnp.bfloat16 for v in variables)

    makers, readers, rounded = set(), set(), 0
    for each in _equations(program):
        makers |= {each.primitive.name} if halved(each.outvars) else set()
        readers |= {each.primitive.name} if halved(each.invars) else set()
        rounded += each.primitive.name == "reduce_precision"
    if halves:
        assert makers == {"convert_element_type"} and readers == {"dot_general"}
        assert not rounded
    else:
        assert not makers and not readers and rounded
    assert not halved(program.outvars)


# ---------------------------------------------------------------- initialisation


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (30, 30)])
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_an_orthogonal_kernel_has_one_singular_value(shape, scale):
    init = Init(weights="orthogonal", scale=scale)
    kernel = np.asarray(init.kernel(jax.random.key(0), shape), np.float64)
    singular = np.linalg.svd(kernel, compute_uv=False)
    np.testing.assert_allclose(singular, scale, rtol=ROUNDING)  # float32 QR
    other = init.kernel(jax.random.key(1), shape)
    assert np.all(kernel != np.asarray(other))


def test_a_third_of_fan_in_uniform_is_torchs_default():
    """U(+-1/sqrt(in)): a variance of 1 / (3 in)."""
    kernel = np.asarray(
        Init(weights="fan_in_uniform", scale=1 / 3).kernel(
            jax.random.key(0), (400, 300)
        ),
        np.float64,
    )
    limit = 400**-0.5
    assert 0.995 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)  # float32
    # 120 000 draws: the std of a sample's std is 0.2% of it; 5 of these
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.01)
    quarters = np.histogram(kernel, bins=4, range=(-limit, limit))[0] / kernel.size
    np.testing.assert_allclose(quarters, 0.25, atol=5 * 0.433 / 120_000**0.5)
