"""Optimisers, schedules and clipping, beside plain formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coadapt import algorithms, optim, schema
from coadapt.optim import (
    SGD,
    Adam,
    AdamW,
    Clip,
    ClipValue,
    ConstantRate,
    CosineRate,
    LinearRate,
    Lion,
    Muon,
    RMSProp,
)
from coadapt.runs import migrations
from coadapt.validation import config_rules

STEPS = 5
# float32 beside float64: some tens of roundings of numbers of size 1, times the rate
CLOSE = {"rtol": 0, "atol": 3e-6}


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def adam(grads, x, rate, beta1, beta2, epsilon, decay=0.0):
    """Kingma and Ba's Algorithm 1, with the decay of Loshchilov and Hutter's 2."""
    m = v = np.zeros_like(x)
    for t, g in enumerate(grads, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        mean, square = m / (1 - beta1**t), v / (1 - beta2**t)
        x = x - rate * (mean / (np.sqrt(square) + epsilon) + decay * x)
    return x


def rmsprop(grads, x, rate, beta, epsilon, momentum):
    v = step = np.zeros_like(x)
    for g in grads:
        v = beta * v + (1 - beta) * g**2
        step = momentum * step + g / (np.sqrt(v) + epsilon)
        x = x - rate * step
    return x


def lion(grads, x, rate, beta1, beta2, decay):
    m = np.zeros_like(x)
    for g in grads:
        x = x - rate * (np.sign(beta1 * m + (1 - beta1) * g) + decay * x)
        m = beta2 * m + (1 - beta2) * g
    return x


def muon(grads, x, rate, momentum, size, iterations, decay):
    m = np.zeros_like(x)
    for g in grads:
        m = momentum * m + g
        y = g + momentum * m
        y = y / np.linalg.norm(y)
        for _ in range(iterations):
            s = y @ y.T
            y = 3.4445 * y + (-4.7750 * s + 2.0315 * s @ s) @ y
        x = x - rate * (size * max(x.shape) ** 0.5 * y + decay * x)
    return x


NUMBERS = {"rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.01}
CASES = {
    "adam": (Adam, adam, NUMBERS),
    "adamw": (AdamW, adam, NUMBERS | {"decay": 0.3}),
    "rmsprop": (
        RMSProp,
        rmsprop,
        {"rate": 0.1, "beta": 0.9, "epsilon": 0.01, "momentum": 0.5},
    ),
    "lion": (Lion, lion, {"rate": 0.1, "beta1": 0.8, "beta2": 0.9, "decay": 0.3}),
    "muon": (
        Muon,
        muon,
        {"rate": 0.1, "momentum": 0.9, "size": 0.3, "iterations": 4, "decay": 0.3},
    ),
}


def moved(optimizer, grads, params, clip=None):
    """The parameters after a step for each of grads, and the optimiser's state."""
    opt = optim.init(optimizer, clip, params)
    for grad in grads:
        params, opt = optim.step(optimizer, clip, grad, opt, params)
    return params, opt


def tree(x):
    return {"w": jnp.asarray(x, jnp.float32)}


@pytest.mark.parametrize("name", CASES)
def test_steps_are_the_papers_formula(name):
    """In the traced numbers, of which two agents of a program have each their own."""
    kind, formula, fields = CASES[name]
    grads, x = numbers(0, STEPS, 3, 4), numbers(1, 3, 4)
    other = {k: v if k == "iterations" else 0.7 * v for k, v in fields.items()}
    both = schema.stack([kind(**fields), kind(**other)])

    def run(optimizer):
        return moved(optimizer, [tree(g) for g in grads], tree(x))[0]["w"]

    found = jax.vmap(run)(both)
    for one, given in zip(found, (fields, other), strict=True):
        np.testing.assert_allclose(one, formula(grads, x, **given), **CLOSE)
    alone = run(schema.stack([kind(**fields)]).__class__(**fields))
    np.testing.assert_allclose(alone, found[0], **CLOSE)


def test_adams_betas_may_be_none_and_are_then_the_papers():
    grads, x = numbers(0, STEPS, 3), numbers(1, 3)
    found = moved(Adam(rate=0.1), [tree(g) for g in grads], tree(x))[0]["w"]
    expected = adam(grads, x, 0.1, 0.9, 0.999, 1e-8)
    # float32 holds 1 - 0.999 to 6e-5 of itself, which two roots halve
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)
    given = Adam(rate=0.1, beta1=0.9, beta2=0.999)
    again = moved(given, [tree(g) for g in grads], tree(x))[0]["w"]
    np.testing.assert_allclose(found, again, rtol=0, atol=3e-5)


def test_muon_leaves_what_is_no_matrix_to_adam():
    params = {"bias": jnp.ones(3), "scalar": jnp.ones(())}
    grads = [jax.tree.map(lambda x, i=i: x * (i + 1.0), params) for i in range(3)]
    found, _ = moved(Muon(rate=0.1), grads, params)
    expected, _ = moved(Adam(rate=0.1), grads, params)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_an_orthogonalized_matrix_has_singular_values_near_one(shape):
    found = optim.orthogonalized(jnp.asarray(numbers(0, *shape), jnp.float32), 5)
    singular = np.linalg.svd(np.asarray(found), compute_uv=False)
    assert singular.min() > 0.65 and singular.max() < 1.25  # the quintic's own band


# ---------------------------------------------------------------- schedules

RATES = {
    "constant": (
        ConstantRate(warmup=4),
        optax.linear_schedule(0.0, 1.0, 4),
    ),
    "linear": (
        LinearRate(length=6, end=0.25),
        optax.linear_schedule(1.0, 0.25, 6),
    ),
    "cosine": (
        CosineRate(length=6, end=0.25, warmup=3),
        optax.warmup_cosine_decay_schedule(0.0, 1.0, 3, 9, 0.25),
    ),
    "linear after a rise": (
        LinearRate(length=5, warmup=3),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 1.0, 3), optax.linear_schedule(1.0, 0.0, 5)],
            [3],
        ),
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_a_schedule_is_that_of_optax_at_every_step(name):
    ours, theirs = RATES[name]
    steps = jnp.arange(14)
    with jax.numpy_dtype_promotion("standard"):
        expected = [float(theirs(int(t))) for t in steps]
    np.testing.assert_allclose(jax.vmap(ours.factor)(steps), expected, atol=1e-6)


def test_the_factor_multiplies_the_rate_and_lengths_are_traced():
    """The decay of AdamW too; a longer run begins as a shorter one."""
    grads = [tree(numbers(i, 3)) for i in range(4)]
    lengths = [schema.stack([LinearRate(length=n)]) for n in (2, 4)]
    assert jax.tree.structure(lengths[0]) == jax.tree.structure(lengths[1])
    rates = AdamW(rate=0.1, schedule=LinearRate(length=2))
    found, _ = moved(rates, grads, tree(np.ones(3)))
    x, opt = tree(np.ones(3)), optim.init(AdamW(), None, tree(np.ones(3)))
    for grad, factor in zip(grads, (1.0, 0.5), strict=False):
        x, opt = optim.step(AdamW(rate=0.1 * factor), None, grad, opt, x)
    np.testing.assert_allclose(found["w"], x["w"], **CLOSE)


# ---------------------------------------------------------------- clipping


def test_clipping_is_by_the_norm_of_all_or_number_by_number():
    grads = {"a": jnp.array([3.0, -0.5]), "b": jnp.float32(-4.0)}
    zero = jax.tree.map(jnp.zeros_like, grads)
    plain = SGD(rate=1.0, momentum=0.0)
    found, _ = moved(plain, [grads], zero, ClipValue(limit=1.0))
    np.testing.assert_allclose(found["a"], [-1.0, 0.5])
    np.testing.assert_allclose(found["b"], 1.0)
    found, _ = moved(plain, [grads], zero, Clip(norm=1.0))
    size = np.sqrt(9 + 0.25 + 16)
    np.testing.assert_allclose(found["a"], np.array([-3.0, 0.5]) / size, rtol=1e-6)


# ---------------------------------------------------------------- as fields


def test_an_older_file_names_no_class_of_clipping():
    config = algorithms.preset("mpo")
    written = schema.to_dict(config)
    assert written["optim"]["clip"] == {"kind": "Clip", "norm": 40.0}
    written["optim"]["clip"] = {"norm": 40.0}
    assert schema.from_dict(type(config), written) == config
    now = migrations.migrated(written, 2)
    assert now["optim"]["clip"] == {"kind": "Clip", "norm": 40.0}


@pytest.mark.parametrize("name", [*algorithms.TABLE1])
def test_every_algorithm_may_have_each_optimizer(name):
    config = algorithms.preset(name)
    if hasattr(config.data, "dataset"):
        config = schema.override(config, {"data.dataset": "a/b-v0"})
    for kind in ("AdamW", "RMSProp", "Lion", "Muon", "SGD"):
        change = {f"optim.{net}": kind for net in ("policy", "critic")}
        made = schema.override(config, change | {"optim.policy.schedule": "CosineRate"})
        config_rules.check(made)
        assert made.optim.policy.rate == config.optim.policy.rate
