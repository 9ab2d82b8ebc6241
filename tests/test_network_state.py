"""Batch norms, spectral norm and dropout beside plain NumPy, and where they act."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import compute_targets, evaluate, improve, init

from coadapt import agent as agents
from coadapt import algorithms, learn, networks, schema
from coadapt.agent import models
from coadapt.bench import update_throughput
from coadapt.networks import MLP, BatchNorm, BatchRenorm, Init
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec, Transition
from coadapt.validation import config_rules

O, A, B = 3, 2, 6
SPEC = EnvSpec(task="none", obs_size=O, action_size=A, max_steps=10, provider="numbers")
# float32 beside float64, of some tens of terms of size 1 in a few layers
CLOSE = {"rtol": 0, "atol": 3e-5}


def rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def renormed(spec, state, x):
    """The norm on inputs [B, F], in NumPy: what comes, and the state after it."""
    mean, var, passes = (np.asarray(state[k], float) for k in ("mean", "var", "passes"))
    x = np.asarray(x, float)
    own, spread = x.mean(0), x.var(0)
    std, run = np.sqrt(spread + spec.epsilon), np.sqrt(var + spec.epsilon)
    r, d = np.ones_like(std), np.zeros_like(std)
    if isinstance(spec, BatchRenorm) and passes >= spec.warmup:
        r = np.clip(std / run, 1 / spec.most, spec.most)
        d = np.clip((own - mean) / run, -spec.shift, spec.shift)
    after = {
        "mean": spec.keep * mean + (1 - spec.keep) * own,
        "var": spec.keep * var + (1 - spec.keep) * spread,
        "passes": passes + 1,
    }
    return (x - own) / std * r + d, after


@pytest.mark.parametrize(
    "norm",
    [
        BatchNorm(at="input", keep=0.5),
        BatchRenorm(at="input", keep=0.9, warmup=2, most=1.5, shift=0.3),
    ],
)
def test_a_batch_norm_is_its_formula_and_acts_by_running_moments(norm):
    spec = MLP(sizes=(), norm=norm)
    params = networks.init(spec, jax.random.key(0), O, 2)
    kernel, bias = (np.asarray(params["output"][k], float) for k in ("kernel", "bias"))
    scale, shift = rows(8, O), rows(9, O)
    params["norm_input"] = {"scale": scale, "bias": shift}
    for step in range(4):
        x = 2.0 * rows(step, B, O) + 1.0
        found = networks.run(spec, params, x, learning=True)
        unit, after = renormed(norm, params["state"]["norm_input"], x)
        expected = (unit * scale + shift) @ kernel + bias
        np.testing.assert_allclose(found.head, expected, **CLOSE)
        for name, value in after.items():
            np.testing.assert_allclose(
                found.kept["norm_input"][name], value, err_msg=name, **CLOSE
            )
        params = networks.keeping(params, found.kept)
    x, (mean, var) = rows(7, B, O), (after["mean"], after["var"])
    unit = (x - mean) / np.sqrt(var + norm.epsilon)
    acted = networks.run(spec, params, x)
    np.testing.assert_allclose(
        acted.head, (unit * scale + shift) @ kernel + bias, **CLOSE
    )
    np.testing.assert_allclose(
        networks.apply(spec, params, x[:1]), acted.head[:1], **CLOSE
    )


def test_spectral_norm_finds_the_largest_singular_value():
    spec = MLP(sizes=(5,), parametrization="spectral_norm", hidden=Init(bias="zeros"))
    params = networks.init(spec, jax.random.key(1), O, 2)
    start = params["state"]["hidden_0"]["left"]
    for _ in range(200):
        found = networks.run(spec, params, rows(0, B, O), learning=True)
        params = networks.keeping(params, found.kept)
    kernel = np.asarray(params["hidden_0"]["kernel"], float)
    x = rows(1, B, O)
    hidden = np.maximum(x @ kernel / np.linalg.svd(kernel)[1][0], 0.0)
    acted = networks.run(spec, params, x)
    np.testing.assert_allclose(acted.features[:, :-1], hidden, **CLOSE)
    # a pass that does not learn keeps nothing
    jax.tree.map(np.testing.assert_array_equal, acted.kept, params["state"])
    assert np.linalg.norm(start) == pytest.approx(1.0, abs=1e-6)

    # the gradient is of u' W v, the vectors held: d sigma / d W = u v'
    def loss(kernel):
        made = params | {"hidden_0": params["hidden_0"] | {"kernel": kernel}}
        return jnp.sum(networks.run(spec, made, x).features[:, :-1])

    def of_vectors(kept):
        return jnp.sum(networks.run(spec, params | {"state": kept}, x).features)

    for slope in jax.tree.leaves(jax.grad(of_vectors)(params["state"])):
        np.testing.assert_array_equal(slope, 0.0)
    found = jax.grad(loss)(params["hidden_0"]["kernel"])
    u, s, vt = np.linalg.svd(kernel, full_matrices=False)
    on = (x @ kernel > 0).astype(float)
    direct = x.T @ on / s[0]
    through = np.sum(on * (x @ kernel)) / s[0] ** 2 * np.outer(u[:, 0], vt[0])
    np.testing.assert_allclose(found, direct - through, rtol=0, atol=1e-4)


def test_dropout_drops_a_share_before_the_norm_and_only_where_masks_are_given():
    layer = MLP(sizes=(4000,), dropout=0.25, activation="leaky_relu")
    params = networks.init(layer, jax.random.key(0), O, 1)
    x = rows(0, 2, O)
    whole = networks.run(layer, params, x, learning=True).features[:, :-1]
    some = networks.run(layer, params, x, masks=jax.random.key(1)).features[:, :-1]
    kept = np.asarray(some != 0)
    # 8000 numbers of std sqrt(0.25 * 0.75): within 5 stds of their mean
    assert abs(kept.mean() - 0.75) < 5 * (0.25 * 0.75 / 8000) ** 0.5
    np.testing.assert_allclose(some[kept], whole[kept] / 0.75, rtol=1e-6)
    normed = schema.override(layer, {"norm": "LayerNorm"})
    params = networks.init(normed, jax.random.key(0), O, 1)
    features = networks.run(normed, params, x, masks=jax.random.key(1)).features
    kernel, bias = (np.asarray(params["hidden_0"][k]) for k in ("kernel", "bias"))
    dropped = np.where(kept, x @ kernel + bias, 0.0) / 0.75
    unit = (dropped - dropped.mean(-1, keepdims=True)) / np.sqrt(
        dropped.var(-1, keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(
        features[:, :-1], np.where(unit > 0, unit, 0.01 * unit), **CLOSE
    )


# ---------------------------------------------------------------- in an update

SMALL = {"networks.policy.sizes": (5, 4), "networks.critic.sizes": (5, 4)}


def transitions():
    def number(seed, *shape):
        return jnp.asarray(np.tanh(rows(seed, *shape)))

    return Transition(
        number(0, B, O), number(1, B, A), number(2, B), jnp.ones(B),
        jnp.zeros(B, bool), number(3, B, O),
    )  # fmt: skip


def changed(**fields):
    config = schema.override(algorithms.preset("sac"), SMALL)
    return schema.override(config, {k.replace("__", "."): v for k, v in fields.items()})


def test_critics_pass_a_batch_and_what_follows_it_in_one():
    """Targets and values have the moments of both; the policy has running ones."""
    config = changed(
        networks__critic__norm="BatchNorm",
        networks__critic__norm__at="input",
        networks__critic__sizes=(),
        g_estimate__critics=2,
    )
    state = init(config, SPEC, jax.random.key(0))
    step, key = transitions(), jax.random.key(5)
    batch = compute_targets(config, state, step, key)
    view = models.View(config, state)
    dist = view.target_policy(step.next_obs)
    raw = view.pi.draw(dist, key, 1)
    following = view.pi.bound(raw)[0]
    now = np.concatenate([step.obs, step.action], -1)
    after = np.concatenate([step.next_obs, following], -1)
    both = np.concatenate([now, after]).astype(float)
    unit = (both - both.mean(0)) / np.sqrt(both.var(0) + 1e-3)

    def values(critic, x):
        kernel, bias = (np.asarray(critic["output"][k]) for k in ("kernel", "bias"))
        return np.einsum("bi,kio->kb", x, kernel) + bias

    value = values(state.target.critic, unit[B:]).min(0)
    entropy = -np.asarray(view.pi.log_prob_of(dist, raw))[0]
    target = step.reward + 0.99 * (value + np.asarray(view.eta) * entropy)
    np.testing.assert_allclose(batch.target, target, **CLOSE)
    after, metrics = evaluate(config, state, batch)
    now = values(state.params.critic, unit[:B])
    np.testing.assert_allclose(metrics["value"], now.mean(), **CLOSE)
    kept = after.params.critic["state"]["norm_input"]
    for k in range(2):
        np.testing.assert_allclose(kept["mean"][k], 0.01 * both.mean(0), **CLOSE)
        np.testing.assert_allclose(kept["var"][k], 0.99 + 0.01 * both.var(0), **CLOSE)
    # the policy's step reads running moments, and leaves them
    improved, _ = improve(config, after, batch, key)
    jax.tree.map(
        np.testing.assert_array_equal, improved.params.critic, after.params.critic
    )


@pytest.mark.parametrize(("name", "states"), [("sac", "obs"), ("mpo", "next_obs")])
def test_the_policy_s_own_norm_follows_the_states_of_its_steps(name, states):
    """Of MPO the successors, where its actions are."""
    few = {"pi_p.samples": 2} if name == "mpo" else {}
    norm = {"networks.policy.norm": "BatchNorm", "networks.policy.norm.at": "input"}
    changes = SMALL | few | norm
    config = schema.override(algorithms.preset(name), changes)
    state = init(config, SPEC, jax.random.key(0))
    step, key = transitions(), jax.random.key(5)
    batch = compute_targets(config, state, step, key)
    after, _ = improve(config, state, batch, key)
    kept = after.params.policy["net"]["state"]["norm_input"]
    mean = 0.01 * np.mean(getattr(step, states), 0)
    np.testing.assert_allclose(kept["mean"], mean, **CLOSE)
    assert float(kept["passes"]) == 1.0
    # no optimiser has moments of what is kept
    assert not [
        path for path, _ in jax.tree.leaves_with_path(after.opt) if "state" in str(path)
    ]


def test_masks_are_of_the_seed_the_update_the_critic_and_the_part():
    config = changed(networks__critic__dropout=0.5)
    state = init(config, SPEC, jax.random.key(0))
    same = jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), state.params.critic)
    state = state._replace(params=state.params._replace(critic=same))
    step = transitions()

    @jax.jit
    def program(seed, updates):
        begun = agents.begin(config, state, seed, updates)
        batch = agents.compute_targets(config, begun, step, jax.random.key(5))
        value, _ = models.fitted_outputs(
            config, begun, same, batch, models.masks(begun, 1)
        )
        again = models.with_new_masks(begun)
        next_value, _ = models.fitted_outputs(
            config, again, same, batch, models.masks(again, 1)
        )
        return batch.target, value, next_value

    def at(seed, updates):
        return jax.device_get(program(np.uint32(seed), np.int32(updates)))

    target, value, later = at(0, 0)
    for one, other in zip((target, value, later), at(0, 0), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(value[0], value[1])  # each critic its own
    assert not np.allclose(value, later)  # each gradient step its own
    assert not np.allclose(value, at(0, 1)[1]) and not np.allclose(value, at(1, 0)[1])
    assert not np.allclose(target, at(0, 1)[0])
    begun = agents.begin(config, state, jnp.uint32(0), 0)
    assert agents.end(config, begun, SPEC, jnp.uint32(0), 1).masks is None
    acted = models.action_values(config, state, same, step.obs, step.action)
    np.testing.assert_array_equal(acted[0], acted[1])  # nothing is dropped to measure


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("ppo", {"networks.policy.norm": "BatchNorm"}, "networks.policy.norm is Batch"),
        ("awr", {"networks.critic.dropout": 0.1}, "networks.critic.dropout is 0.1"),
        ("brac", {"networks.policy.norm": "BatchRenorm"}, "pi_p=Behavior"),
        (
            "brac",
            {"networks.policy.parametrization": "spectral_norm"},
            "the model that pi_p=Behavior fits has a network like it, but not in "
            "training mode, so it must be 'plain' or 'weight_norm'.",
        ),
        (
            "bear",
            {
                "pi_q_update.divergence": "DualKL",
                "networks.critic.parametrization": "spectral_norm",
            },
            "pi_q_update.divergence=DualKL fits a network like it, but not in training",
        ),
        (
            "reps",
            {"networks.critic": "SimbaV2"},
            "networks.critic is SimbaV2: g_estimate=DualValue solves for its weights, "
            "which nothing projects; use MLP, SimBa or BroNet.",
        ),
        ("power", {"networks.policy": "SimbaV2"}, "pi_p_update=ClosedForm solves for"),
        (
            "mpo",
            {"networks.critic.norm": "BatchNorm", "g_estimate.steps": 3},
            "networks.critic.norm is BatchNorm: moments of a batch",
        ),
    ],
)
def test_what_learns_otherwise_than_it_acts_is_refused_elsewhere(preset, changes, said):
    with pytest.raises(ConfigError) as found:
        config_rules.check(schema.override(algorithms.preset(preset), changes))
    assert said in str(found.value)


# ---------------------------------------------------------------- alone and in a group

RENORMED = {
    "networks.policy.sizes": (16, 16),
    "networks.critic.sizes": (16, 16),
    "networks.policy.norm.warmup": 50,  # both of what it does is passed
    "networks.critic.norm.warmup": 50,
    "data.batch_size": 32,
}
KEPT, UPDATES = 500, 400  # transitions; updates of three steps of the critics


def learned_together(number: int, dtype) -> list:
    """Parameters of agent 0 of so many, which differ in rates, on data of their own."""
    config = schema.override(algorithms.preset("crossq"), RENORMED)
    rates = [{"optim.critic.rate": 1e-3 * (1 + i)} for i in range(number)]
    configs = schema.stack([schema.override(config, rate) for rate in rates])
    seeds = jnp.arange(number, dtype=jnp.uint32)

    def wide(tree):
        return jax.tree.map(
            lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x,
            tree,
        )

    def of_one(config, seed):
        key = jax.random.key(seed)
        state = wide(agents.init(config, update_throughput.SPEC, key))
        store = wide(update_throughput._frozen_replay(KEPT, key))

        def step(state, number):
            clock = learn.Clock(jnp.int32(KEPT), number)
            state, _ = learn.learn(config, state, store, seed, clock)
            return wide(state), None

        return jax.lax.scan(step, state, jnp.arange(UPDATES, dtype=jnp.int32))[0]

    made = jax.jit(jax.vmap(of_one))(configs, seeds)
    return [np.asarray(x)[0] for x in jax.tree.leaves(made.params)]


def drift(dtype) -> float:
    """How far agent 0 is from itself in a group, of the largest of each array."""
    pairs = zip(learned_together(1, dtype), learned_together(4, dtype), strict=True)
    return max(np.abs(a - b).max() / max(np.abs(a).max(), 1e-3) for a, b in pairs)


@pytest.mark.long
def test_what_sets_crossq_apart_in_a_group_is_rounding():
    """In float64 an agent is the same alone and among others after many updates, where
    in float32 it has become another.
    """
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        fine = drift(np.float64)
    # some ten roundings of float64 (measured: 2e-15), and what 400 updates of Adam make
    # of float32's, which is a tenth of a parameter (measured: 0.13)
    assert fine < 1e-12 and drift(np.float32) > 1e-6
