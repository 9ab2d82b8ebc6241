"""Heads, losses and ensembles of critics: targets and losses against plain NumPy."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coadapt import agent, algorithms, envs, runner, schema
from coadapt.agent import models
from coadapt.bench import cost
from coadapt.config import Config
from coadapt.factors import critic as heads
from coadapt.factors import ensembles, pi_q
from coadapt.ops.distributions import Atoms
from coadapt.schema import ConfigError
from coadapt.types import Transition
from coadapt.validation import config_rules
from tests.recipes import FROM_DATA, SHORT, compute_targets, init
from tests.test_cells import traced

RNG = np.random.default_rng(0)
K, M, B, N = 4, 3, 5, 6
KEY = jax.random.key(7)
SMALL = {
    "networks.policy.sizes": (8,),
    "networks.critic.sizes": (8,),
    "pi_p.samples": M,
    "data.batch_size": B,
}


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def small(name: str, **changes: object) -> Config:
    config = algorithms.preset(name)
    paths = dict(schema.paths(config))
    config = schema.override(config, {p: v for p, v in SMALL.items() if p in paths})
    for path, value in changes.items():
        config = schema.override(config, {path: value})
    config_rules.check(config)
    return config


# ---------------------------------------------------------------- ensembles


def taken(ensemble, values):
    return np.asarray(ensemble.target(jnp.asarray(values), KEY))


def test_a_mean_and_a_median_are_those_of_the_critics():
    for number in (3, 4):
        values = numbers(number, M, B)
        for kind, plain in (
            (ensembles.Mean(), np.mean),
            (ensembles.Median(), np.median),
        ):
            np.testing.assert_allclose(taken(kind, values), plain(values, 0), rtol=1e-5)


def test_a_minimum_of_a_subset_is_of_one_subset_for_the_minibatch():
    """And every pair of critics is drawn as often as any other."""
    values = np.arange(K, dtype=np.float32)[:, None, None] * np.ones((1, M, B))
    pair = ensembles.SubsetMinimum(size=2)
    draw = jax.jit(jax.vmap(lambda key: pair.target(jnp.asarray(values), key)))
    drawn = np.asarray(draw(jax.random.split(KEY, 3000)))  # [draws, M, B]
    assert np.all(drawn == drawn[:, :1, :1])
    least = [min(two) for two in itertools.combinations(range(K), 2)]
    for critic in range(K):
        share = np.mean(drawn[:, 0, 0] == critic)
        p = least.count(critic) / len(least)
        assert abs(share - p) <= 5 * np.sqrt(p * (1 - p) / 3000)
    own = numbers(K, M, B)
    whole = ensembles.SubsetMinimum(size=K)
    np.testing.assert_array_equal(taken(whole, own), own.min(0))
    np.testing.assert_allclose(whole.combine(own), own.mean(0), rtol=1e-5, atol=1e-6)


def atoms_of(kind: str) -> Atoms:
    if kind == "quantiles":
        return Atoms(numbers(K, M, B, N), np.full(N, 1 / N, np.float32))
    weight = RNG.uniform(size=(K, M, B, N)).astype(np.float32)
    return Atoms(np.linspace(-1, 1, N), weight / weight.sum(-1, keepdims=True))


def whole(atoms: Atoms, *shape: int):
    """Values and weights of each place, sorted."""
    value = np.broadcast_to(atoms.value, (*shape, np.shape(atoms.value)[-1]))
    weight = np.broadcast_to(atoms.weight, value.shape)
    order = np.argsort(value, -1)
    return np.take_along_axis(value, order, -1), np.take_along_axis(weight, order, -1)


@pytest.mark.parametrize("kind", ["quantiles", "categories"])
def test_of_distributions_the_one_of_the_least_mean_counts(kind):
    atoms = atoms_of(kind)
    value, weight = whole(atoms, K, M, B)
    found = whole(ensembles.Minimum().pool(atoms, KEY), M, B)
    least = (value * weight).sum(-1).argmin(0)
    for m, b in itertools.product(range(M), range(B)):
        np.testing.assert_allclose(found[0][m, b], value[least[m, b], m, b])
        np.testing.assert_allclose(found[1][m, b], weight[least[m, b], m, b])
    alike = ensembles.SubsetMinimum(size=K).pool(atoms, KEY)
    for ours, theirs in zip(whole(alike, M, B), found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_truncated_quantiles_are_the_least_of_all_critics():
    """Kuznetsov et al. 2020: of K n the k n least, of which k n is K (n - drop)."""
    atoms = atoms_of("quantiles")
    found = ensembles.Truncated(drop=2).pool(atoms, KEY)
    value, weight = whole(found, M, B)
    assert value.shape[-1] == K * N
    kept = K * (N - 2)
    for m, b in itertools.product(range(M), range(B)):
        expected = np.sort(atoms.value[:, m, b].ravel())[:kept]
        np.testing.assert_array_equal(value[m, b, :kept], expected)
        np.testing.assert_allclose(weight[m, b, :kept], 1 / kept, rtol=1e-6)
        assert not weight[m, b, kept:].any()


# ---------------------------------------------------------------- heads


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_means_of_heads():
    outputs = numbers(K, B, N)
    middles = np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    p = softmax(outputs)
    expected = {
        heads.C51(low=-2.0, high=3.0, bins=N): (p * np.linspace(-2, 3, N)).sum(-1),
        heads.HLGauss(low=-2.0, high=4.0, bins=N): (p * middles).sum(-1),
        heads.Quantiles(number=N): outputs.mean(-1),
        heads.ScalarHead(): outputs[..., 0],
        heads.SymlogHead(): np.sign(outputs[..., 0])
        * (np.exp(np.abs(outputs[..., 0])) - 1),
    }
    for head, mean in expected.items():
        np.testing.assert_allclose(head.mean(outputs), mean, rtol=1e-4, atol=1e-5)


def test_a_symlog_support_is_even_in_symlog_and_ends_at_returns():
    head = heads.TwoHot(low=-9.0, high=99.0, bins=5, spacing="symlog")
    even = np.linspace(-np.log(10.0), np.log(100.0), 5)
    expected = np.sign(even) * (np.exp(np.abs(even)) - 1)
    np.testing.assert_allclose(head.support, expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_head_of_a_number_is_fitted_to_the_scaled_target(scale):
    """Its loss has no gradient where its mean over the scale is the target."""
    target, squared = np.array([0.4, -1.0], np.float32), heads.Squared()
    aim = scale * target
    classes = heads.HLGauss(low=-2.0, high=2.0, bins=41)
    two_hot = heads.TwoHot(low=-2.0, high=2.0, bins=9)
    dirac = Atoms(jnp.asarray(aim)[:, None], jnp.ones(1))
    for head, outputs in (
        (heads.ScalarHead(), aim[:, None]),
        (heads.SymlogHead(), (np.sign(aim) * np.log1p(np.abs(aim)))[:, None]),
        (classes, np.log(np.asarray(classes.weights(dirac)) + 1e-9)),
        (two_hot, np.log(np.asarray(two_hot.weights(dirac)) + 1e-9)),
    ):
        loss = lambda out, head=head: jnp.sum(  # noqa: E731
            head.losses(out, jnp.asarray(target), jnp.float32(scale), squared)
        )
        outputs = jnp.asarray(outputs)[None]
        np.testing.assert_allclose(jax.grad(loss)(outputs), 0.0, atol=1e-6)
        # the normal is cut into bins of 0.1, which keeps its mean to a part of one
        np.testing.assert_allclose(head.mean(outputs)[0], aim, atol=1e-3)


@pytest.mark.parametrize(
    "loss, plain",
    [
        (heads.Squared(), lambda e: e**2 / 2),
        (
            heads.Huber(limit=0.5),
            lambda e: np.where(np.abs(e) <= 0.5, e**2 / 2, 0.5 * (np.abs(e) - 0.25)),
        ),
        (heads.LogCosh(), lambda e: np.log(np.cosh(e))),
    ],
)
def test_a_loss_is_of_the_error_in_units_of_the_output(loss, plain):
    outputs, target = numbers(2, B, 1), numbers(B)
    found = heads.ScalarHead().losses(outputs, target, 0.5, loss)
    expected = plain(outputs[..., 0] - 0.5 * target[None])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- targets of an agent


def started(config: Config):
    spec = envs.spec("toy/lqr")
    state = init(config, spec, jax.random.key(0))
    state = state._replace(  # a copy that differs
        target=state.target._replace(
            critic=jax.tree.map(lambda x: np.asarray(x) + 0.01, state.target.critic)
        )
    )
    rows = Transition(
        numbers(B, spec.obs_size),
        np.tanh(numbers(B, spec.action_size)),
        numbers(B),
        np.array([1, 1, 0, 1, 1], np.float32),  # one that terminated
        np.zeros(B, bool),
        numbers(B, spec.obs_size),
    )
    return state, jax.tree.map(jnp.asarray, rows)


@jax.jit
def next_outputs(config, state, rows):
    """Of the target critics, at the actions that targets draw, and their entropy."""
    view = models.View(config, state)
    dist, count = view.target_policy(rows.next_obs), config.g_estimate.next_samples(M)
    raw = view.pi.draw(dist, KEY, count)
    outputs = view.outputs(view.target_critic, rows.next_obs, view.pi.bound(raw))
    bonus = jnp.zeros(B)
    if config.g.soft:
        bonus = view.eta * view.prior.divergence(view, dist, raw, rows.next_obs, KEY)
    return outputs, bonus


def test_soft_truncated_quantiles_are_targets_of_tqc():
    """Kuznetsov et al. 2020, Eq. 11: r + gamma (z - alpha log pi), of the kept z."""
    config = small(
        "sac",
        **{
            "g_estimate.critics": 3,
            "critic.head": "Quantiles",
            "critic.head.number": 5,
            "g_estimate.ensemble": "Truncated",
            "g_estimate.ensemble.drop": 1,
        },
    )
    state, rows = started(config)
    target = compute_targets(config, state, rows, KEY).target
    outputs, bonus = jax.device_get(next_outputs(config, state, rows))  # [3, 1, B, 5]
    value, weight = whole(target, B)
    for b in range(B):
        z = np.sort(outputs[:, 0, b].ravel())[:12]
        expected = rows.reward[b] + 0.99 * rows.discount[b] * (z - bonus[b])
        np.testing.assert_allclose(value[b][weight[b] > 0], expected, rtol=1e-5)


def test_a_distribution_over_the_priors_actions_is_their_mixture():
    """Distributional MPO: the mean of the actions' categorical distributions."""
    config = small("mpo", **{"critic.head": "C51", "critic.head.bins": 7})
    state, rows = started(config)
    batch = compute_targets(config, state, rows, KEY)
    outputs, _ = jax.device_get(next_outputs(config, state, rows))  # [1, M, B, 7]
    weight = softmax(outputs[0]).mean(0)
    np.testing.assert_allclose(batch.target.weight, weight, rtol=1e-5)
    z = np.linspace(-150, 150, 7)
    expected = rows.reward[:, None] + 0.99 * rows.discount[:, None] * z[None]
    np.testing.assert_allclose(batch.target.value, expected, rtol=1e-5, atol=1e-5)
    means = (softmax(outputs[0]) * z).sum(-1)
    np.testing.assert_allclose(batch.next.score, means, rtol=1e-3, atol=1e-3)


def test_without_a_copy_targets_read_the_critics_themselves():
    config = small("sac", **{"target.critic": "none"})
    state, rows = started(small("sac"))
    alone = state._replace(target=state.target._replace(critic=None))
    copied = state._replace(target=state.target._replace(critic=state.params.critic))
    found = compute_targets(config, alone, rows, KEY).target
    expected = compute_targets(small("sac"), copied, rows, KEY).target
    np.testing.assert_array_equal(found, expected)
    assert agent.track(config, alone, jnp.int32(1)).target.critic is None


def test_a_policy_climbs_the_mean_of_all_critics():
    gradient = algorithms.preset("sac").pi_q.gradient
    values = jnp.asarray(numbers(K, 1, B))
    mean = dataclasses.replace(gradient, critic="mean").climbed(None, values)
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-6)


def test_cloning_is_the_loss_of_its_source():
    """Fujimoto and Gu 2021, Eq. 5: lambda Q - (pi(s) - a)^2, lambda by mean |Q|."""
    value, action, stored = numbers(B), numbers(1, B, 2), numbers(B, 2)
    distance = ((action[0] - stored) ** 2).mean(-1)
    for alpha in (2.5, None):
        scale = 1.0 if alpha is None else alpha / np.abs(value).mean()
        rule = pi_q.Cloning(weight=0.5, alpha=alpha)
        found = rule.gain(*map(jnp.asarray, (value, action, stored)))
        np.testing.assert_allclose(found, scale * value - 0.5 * distance, rtol=1e-5)
    whole = lambda v: jnp.sum(  # noqa: E731
        pi_q.Cloning().gain(v, jnp.asarray(action), jnp.asarray(stored))
    )
    slope = jax.grad(whole)(jnp.asarray(value))  # lambda itself is not moved
    np.testing.assert_allclose(slope, 2.5 / np.abs(value).mean(), rtol=1e-5)


def test_an_indicator_weighs_what_is_above_0():
    score = jnp.asarray([[-1.0, 0.0, 1e-6, 3.0]])
    rule = pi_q.NonParametric(normalize="none", form="indicator")
    np.testing.assert_array_equal(rule.weights(score, 1.0), [[0, 0, 1, 1]])


def test_a_cloned_target_is_that_of_its_source():
    """Tarasov et al. 2023: min Q' - beta (a' - next action of the data)^2, summed."""
    changes = {"g_estimate.smoothing": "none", "g_estimate.cloning.weight": 0.3}
    config = small("rebrac", **changes)
    state, rows = started(config)
    other = numbers(B, 1)
    sequence = jax.tree.map(lambda x: jnp.stack([x, x]), rows)
    sequence = sequence._replace(
        action=jnp.stack([rows.action, other]),
        last=jnp.asarray([[False, True, False, False, False], [False] * B]),
    )
    found = agent.compute_sequence_targets(config, state, sequence, None, KEY).target
    view = models.View(config, state)
    action = view.pi.mode(view.target_policy(rows.next_obs))
    values = view.q(view.target_critic, rows.next_obs, action)
    distance = np.sum((np.asarray(action) - other) ** 2, -1)
    distance[1] = 0.0  # the episode ended there
    value = np.asarray(values).min(0) - 0.3 * distance
    expected = rows.reward + 0.99 * rows.discount * value
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # and its policy climbs the least too
    np.testing.assert_array_equal(config.pi_q.combine(view, values), values.min(0))


# ---------------------------------------------------------------- any of them trains

CHOICES: dict[str, tuple[str, dict[str, object]]] = {
    "subset": (
        "sac",
        {"g_estimate.critics": 5, "g_estimate.ensemble": "SubsetMinimum"},
    ),
    "median": ("td3", {"g_estimate.critics": 3, "g_estimate.ensemble": "Median"}),
    "mean-quantiles": (
        "awac",
        {"g_estimate.ensemble": "Mean", "critic.head": "Quantiles"},
    ),
    "truncated": (
        "td3",
        {"critic.head": "Quantiles", "g_estimate.ensemble": "Truncated"},
    ),
    "categories-best": (
        "sac",
        {"critic.head": "C51", "g_estimate.samples": 3, "g_estimate.over": "max"},
    ),
    "classes": ("ddpg", {"critic.head": "HLGauss"}),
    "classes-retrace": ("mpo", {"critic.head": "HLGauss", "g_estimate.steps": 3}),
    "two-hot": ("bear", {"g_estimate.mix": 1.0, "critic.head": "TwoHot"}),
    "distributions": ("brac", {"critic.head": "C51"}),
    "classes-of-states": ("awr", {"critic.head": "HLGauss"}),
    "symlog-huber": ("ppo", {"critic.head": "SymlogHead", "critic.loss": "Huber"}),
    "log-cosh": ("vmpo", {"critic.loss": "LogCosh"}),
    "no-copy": ("mpo", {"target.critic": "none"}),
    "kept-near": ("vmpo", {"critic.clip": "ValueClip"}),
    "kept-near-symlog": (
        "ppo",
        {"critic.clip": "ValueClip", "critic.head": "SymlogHead"},
    ),
    "entropy-bonus": (
        "trpo",
        {"pi_q.gradient.entropy": "EntropyBonus", "pi_q.gradient.over": "minibatch"},
    ),
    "cloned-target": ("rebrac", {}),
    "norm-beside-a-model": ("brac", {"networks.critic.norm": "BatchNorm"}),
    "indicator": ("crr", {"pi_q.form": "indicator"}),
    "copy-each-step": ("td3", {"target.each_step": True}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_legal_and_all_of_its_update_is_traced(name):
    preset, changes = CHOICES[name]
    traced(small(preset, **changes))


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in CHOICES if CHOICES[n][0] not in FROM_DATA])
def test_a_choice_trains(name):
    preset, changes = CHOICES[name]
    config = schema.override(small(preset, **changes), SHORT[preset])
    run = runner.train([config], [0], "toy/lqr", steps=160, eval_every=160)
    assert run.learner.health.alive[0]


# ---------------------------------------------------------------- what is refused

REFUSED: dict[str, tuple[str, dict[str, object], str]] = {
    "retrace": (
        "mpo",
        {"critic.head": "C51", "g_estimate.steps": 3},
        "critic.head is C51: g_estimate=Retrace gives the expected return, and no "
        "distribution of it with g_estimate.steps above 1, but n_step does; use "
        "HLGauss or TwoHot, whose target is a number.",
    ),
    "states": (
        "ppo",
        {"critic.head": "Quantiles"},
        "critic.head is Quantiles: g_estimate=GAE gives the expected return, and no "
        "distribution of it; use HLGauss or TwoHot, whose target is a number.",
    ),
    "clip of single steps": (
        "sac",
        {"critic.clip": "ValueClip"},
        "critic.clip is ValueClip: it is for critics that SG fits to returns along "
        "sequences",
    ),
    "clip of bins": (
        "ppo",
        {"critic.clip": "ValueClip", "critic.head": "HLGauss"},
        "use ScalarHead or SymlogHead",
    ),
    "entropy of none": (
        "ppo",
        {"pi_q.gradient.entropy": "EntropyBonus", "pi_theta": "TanhGaussian"},
        "the bonus needs the entropy in closed form",
    ),
    "no critic": ("rwr", {"critic.head": "HLGauss"}, "it must be ScalarHead."),
    "no steps": ("reps", {"critic.loss": "Huber"}, "no critic is fitted by SG"),
    "two losses": ("sac", {"critic.head": "C51", "critic.loss": "Huber"}, "Squared."),
    "ends": ("sac", {"critic.head": "C51", "critic.head.low": 200.0}, "below"),
    "one": (
        "sac",
        {"g_estimate.critics": 1, "g_estimate.ensemble": "Mean"},
        "use g_estimate.critics of 2 or more.",
    ),
    "subset": (
        "sac",
        {"g_estimate.ensemble": "SubsetMinimum", "g_estimate.ensemble.size": 3},
        "g_estimate.ensemble.size is 3: it must be at most g_estimate.critics, which "
        "is 2.",
    ),
    "median": (
        "sac",
        {"critic.head": "C51", "g_estimate.ensemble": "Median"},
        "use Mean, or critic.head=HLGauss.",
    ),
    "truncated": ("sac", {"g_estimate.ensemble": "Truncated"}, "must be Quantiles."),
    "all dropped": (
        "tqc",
        {"g_estimate.ensemble.drop": 25},
        "g_estimate.ensemble.drop is 25: it must be below critic.head.number, which "
        "is 25.",
    ),
    "mix": ("bear", {"critic.head": "C51"}, "g_estimate.mix is 0.75"),
    "best of one": ("sac", {"g_estimate.over": "max"}, "over is 'max': of one action"),
    "four that are one": (
        "ddpg",
        {"g_estimate.samples": 4},
        "must be 1, or g_estimate.smoothing must be Smoothing.",
    ),
    "divergence from none": (
        "td3",
        {"pi_q_update.divergence.samples": 4},
        "with pi_p=Ignored no divergence counts, so it must be 1.",
    ),
    "least mean": (
        "mpo",
        {
            "g_estimate.critics": 2,
            "g_estimate.minimum": "mean",
            "g_estimate.ensemble": "Mean",
        },
        "so it must be 'sample'.",
    ),
    "indicator": (
        "awac",
        {"pi_q.form": "indicator"},
        "pi_q.form is 'indicator': weights of 0 or 1 have no temperature to "
        "adapt, and are not normalised; use pi_q.normalize='none' and "
        "pi_q_update.temperature=ConstantTemperature.",
    ),
    "a copy": (
        "ppo",
        {"target.critic": "Soft"},
        "sums along sequences bootstrap from the critic itself, so it must be none.",
    ),
    "no copy": (
        "sac",
        {"target.critic": "none", "target.each_step": True},
        "target.each_step is True: no copy of the critics is kept",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_in_a_sentence(name):
    preset, changes, said = REFUSED[name]
    with pytest.raises(ConfigError) as error:
        small(preset, **changes)
    assert said in str(error.value)


# ---------------------------------------------------------------- what it costs


def test_costs_count_every_critic_and_every_output():
    spec = envs.spec("toy/lqr")
    ten = small("sac", **{"g_estimate.critics": 10})
    nets = [cost.critic_step(c, spec) for c in (small("sac"), ten)]
    policy = 8 * spec.obs_size + 8 * 2 * spec.action_size  # of the next action
    assert nets[1] - policy == 5 * (nets[0] - policy)
    wide = small("sac", **{"critic.head": "C51"})
    one = cost.critic_step(small("sac"), spec)
    more = 50 * 8  # multiply-adds of the other 50 outputs
    assert cost.critic_step(wide, spec) - one == 2 * (3 * more + more)
    n_step = small("td3", **{"g_estimate.n_step": "NStepReturn"})
    single = small("td3")
    more = (
        9
        * B
        * cost.networks.count_floats(
            single.networks.policy, spec.obs_size, spec.action_size
        )
    )  # the policy's rows alone: critics are read at one state, whatever n
    working = [cost.working_bytes(c, spec) for c in (single, n_step)]
    assert working[1] - working[0] == 4 * 2 * more
    state = runner.shapes(ten, spec, 1000).agent
    assert state.params.critic["output"]["kernel"].shape == (10, 8, 1)
