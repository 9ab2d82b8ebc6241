"""Returns against plain loops, the settings' numbers (C16, C20) and identities.

The loops are the definitions: for each t a sum forward in time, to the episode's end.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.returns import _all_at_once as all_at_once
from coadapt.ops.returns import (
    lambda_return,
    n_step_return,
    retrace_return,
    td_target,
)

EXACT = 1e-12  # float64, sums of a dozen terms of size 10
PRINTED = 5e-7  # half a unit of the last decimal that the settings print

REWARD = (1.0, 2.0, 3.0)
VALUE = (0.5, 1.0, 1.5)
END = 2.0  # V of the state after the last step
GAMMA, LAM = 0.99, 0.95
TIMEOUT, TERMINAL = (1, 1, 1), (1, 1, 0)


def backward(reward, discount, next_value, last, lam):
    """The recursion, one step at a time from the end."""
    total = np.zeros(len(reward))
    for t in reversed(range(len(reward))):
        if last[t] or t == len(reward) - 1:
            total[t] = reward[t] + discount[t] * next_value[t]
        else:
            mixed = (1 - lam) * next_value[t] + lam * total[t + 1]
            total[t] = reward[t] + discount[t] * mixed
    return total


def n_step(reward, discount, next_value, t, n):
    """n rewards from step t on, then the value of the state reached."""
    total, factor = 0.0, 1.0
    for k in range(t, t + n):
        total += factor * reward[k]
        factor *= discount[k]
    return total + factor * next_value[t + n - 1]


def forward(reward, discount, next_value, last, lam):
    """The definition: n-step returns, weighted (1 - lambda) lambda^(n - 1).

    The longest, up to the end of the episode, takes the weight that is left over.
    """
    total = []
    for t in range(len(reward)):
        end = next(k for k in range(t, len(reward)) if last[k] or k == len(reward) - 1)
        longest = end - t + 1
        weight = [(1 - lam) * lam ** (n - 1) for n in range(1, longest)]
        weight.append(lam ** (longest - 1))
        total.append(
            sum(
                w * n_step(reward, discount, next_value, t, n)
                for n, w in enumerate(weight, start=1)
            )
        )
    return np.array(total)


def episode(alive):
    """The arrays of C16; alive[t] is 0 at a termination."""
    discount = GAMMA * np.array(alive, float)
    last = np.array([False, False, True])
    return np.array(REWARD), discount, np.array((*VALUE[1:], END)), last


# compiled once for each length, where a loop or a choice would be compiled at each call
lambda_return_jit, all_at_once_jit = jax.jit(lambda_return), jax.jit(all_at_once)


def ours(reward, discount, next_value, last, lam):
    """On this machine; an accelerator's form of it agrees in every case of this file.

    Sums of up to 1000 terms in another order: 1e-12 of the largest.
    """
    arrays = [jnp.asarray(x) for x in (reward, discount, next_value, last)]
    found = np.asarray(lambda_return_jit(*arrays, lam))
    other = all_at_once_jit(jnp.asarray(lam, found.dtype), *arrays)
    near = EXACT * max(np.abs(found).max(), 1)
    np.testing.assert_allclose(other, found, rtol=0, atol=near)
    return found


@st.composite
def sequences(draw):
    """Several episodes in one sequence, ended by terminations and by time limits."""
    length = draw(st.sampled_from([1, 2, 7, 12]))  # few lengths: one compilation each
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    terminated = rng.random(length) < 0.2
    last = terminated | (rng.random(length) < 0.2)
    discount = rng.uniform(0.5, 1) * ~terminated
    reward, next_value = rng.normal(size=(2, length)) * 3
    return reward, discount, next_value, last, draw(st.sampled_from([0.0, 0.3, 1.0]))


@pytest.mark.parametrize(
    ("alive", "returns", "advantage"),
    [
        pytest.param(
            TIMEOUT, (7.405343, 6.75794, 4.98), (6.905343, 5.75794, 3.48), id="timeout"
        ),
        pytest.param(
            TERMINAL, (5.653953, 4.89575, 3), (5.153953, 3.89575, 1.5), id="terminal"
        ),
    ],
)
def test_c16_numbers(x64, alive, returns, advantage):
    got = ours(*episode(alive), LAM)
    np.testing.assert_allclose(got, returns, rtol=0, atol=PRINTED)
    np.testing.assert_allclose(got - VALUE, advantage, rtol=0, atol=PRINTED)


ENDS = pytest.mark.parametrize(
    "alive", [TIMEOUT, TERMINAL], ids=["timeout", "terminal"]
)


@ENDS
def test_c16_lambda_0_is_one_step(x64, alive):
    reward, discount, next_value, last = episode(alive)
    one_step = td_target(*(jnp.asarray(x) for x in (reward, discount, next_value)))
    got = ours(reward, discount, next_value, last, 0.0)
    np.testing.assert_allclose(got, np.asarray(one_step), rtol=0, atol=EXACT)
    np.testing.assert_allclose(got, reward + discount * next_value, rtol=0, atol=EXACT)


@ENDS
def test_c16_lambda_1_is_monte_carlo_with_a_bootstrap_at_time_limits(x64, alive):
    bootstrap = END if alive == TIMEOUT else 0.0
    rewards = (*REWARD, bootstrap)
    expected = [
        sum(GAMMA**i * r for i, r in enumerate(rewards[t:])) for t in range(len(REWARD))
    ]
    got = ours(*episode(alive), 1.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=EXACT)


@ENDS
@pytest.mark.parametrize("lam", [0.0, 0.5, LAM, 1.0])
def test_c16_generalised_advantage_plus_value_is_the_return(x64, alive, lam):
    reward, discount, next_value, last = episode(alive)
    advantage = np.zeros(len(reward) + 1)
    for t in reversed(range(len(reward))):
        error = reward[t] + discount[t] * next_value[t] - VALUE[t]
        advantage[t] = error + discount[t] * lam * advantage[t + 1]
    got = ours(reward, discount, next_value, last, lam)
    np.testing.assert_allclose(got - VALUE, advantage[:-1], rtol=0, atol=EXACT)


@ENDS
@pytest.mark.parametrize("lam", [0.0, 0.5, LAM, 1.0])
def test_c16_is_the_mixture_of_n_step_returns(x64, alive, lam):
    arrays = episode(alive)
    expected = forward(*arrays, lam)
    np.testing.assert_allclose(ours(*arrays, lam), expected, rtol=0, atol=EXACT)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sequences())
def test_c16_several_episodes_in_a_sequence(case):
    with jax.enable_x64(True):
        got = ours(*case)
    np.testing.assert_allclose(got, backward(*case), rtol=0, atol=EXACT)
    np.testing.assert_allclose(got, forward(*case), rtol=0, atol=EXACT)


def test_c16_an_episode_knows_nothing_of_its_neighbours(x64):
    """Every order of a time limit, a termination and an unfinished episode's cut."""
    parts = [episode(TIMEOUT), episode(TERMINAL), episode(TIMEOUT)]
    alone = [ours(*part, LAM) for part in parts]
    for order in itertools.permutations(range(3)):
        columns = zip(*(parts[i] for i in order), strict=True)
        joined = [np.concatenate(column) for column in columns]
        joined[3][-1] = False  # the last row bootstraps, marked or not
        expected = np.concatenate([alone[i] for i in order])
        np.testing.assert_array_equal(ours(*joined, LAM), expected)


def test_columns_are_independent(x64):
    rng = np.random.default_rng(0)
    shape = (9, 2, 3)
    reward, next_value = rng.normal(size=(2, *shape))
    last = rng.random(shape) < 0.3
    discount = GAMMA * ~(last & (rng.random(shape) < 0.5))
    got = ours(reward, discount, next_value, last, LAM)
    for i, j in itertools.product(range(2), range(3)):
        column = (x[:, i, j] for x in (reward, discount, next_value, last))
        np.testing.assert_allclose(
            got[:, i, j], backward(*column, LAM), rtol=0, atol=EXACT
        )


@pytest.mark.parametrize("lam", [0.0, LAM, 1.0])
def test_c20_constant_reward_has_value_100_up_to_a_time_limit(x64, lam):
    """V = 1 / (1 - gamma) is a fixed point; were the limit terminal, it would be 1."""
    length = 1000
    last = np.arange(length) == length - 1
    ones, value = np.ones(length), np.full(length, 100.0)
    limit = ours(ones, GAMMA * ones, value, last, lam)
    np.testing.assert_allclose(limit, value, rtol=0, atol=1e-9)  # 1000 roundings at 100
    terminal = ours(ones, GAMMA * ~last, value, last, 1.0)
    assert terminal[-1] == 1.0
    assert terminal[0] == pytest.approx(99.9957, abs=5e-5)  # as printed


def test_in_one_pass_infinity_stays_in_its_episode(x64):
    reward, last = jnp.array([1.0, 2.0, jnp.inf, 3.0]), jnp.array([0, 1, 0, 1], bool)
    arrays = reward, jnp.full(4, GAMMA), jnp.ones(4), last
    expected = lambda_return(*arrays, LAM)
    assert np.isfinite(expected).tolist() == [True, True, False, True]
    got = all_at_once(jnp.asarray(LAM), *arrays)
    np.testing.assert_allclose(got, expected, rtol=EXACT)


def test_an_accelerator_has_no_loop():
    rows = [jnp.ones((3, 50))] * 3 + [jnp.zeros((3, 50), bool), jnp.ones(3)]
    traced = jax.jit(jax.vmap(lambda_return)).trace(*rows)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.while" not in text


def test_a_core_runs_one_loop_and_no_other_form():
    """Only what the platform takes is compiled, also mapped over agents."""
    rows = [jnp.ones((3, 50))] * 3 + [jnp.zeros((3, 50), bool), jnp.ones(3)]
    text = jax.jit(jax.vmap(lambda_return)).lower(*rows).compile().as_text()
    assert text.count(" while(") == 1
    assert " conditional(" not in text


def test_lambda_may_be_traced_and_float32_stays(x64):
    arrays = [jnp.asarray(x) for x in episode(TERMINAL)]
    arrays = [x if x.dtype == bool else x.astype(jnp.float32) for x in arrays]
    got = jax.jit(lambda_return)(*arrays, jnp.float32(LAM))
    assert got.dtype == jnp.float32
    expected = backward(*episode(TERMINAL), LAM)
    np.testing.assert_allclose(got, expected, rtol=1e-6)  # float32, three steps


@pytest.mark.parametrize("which", range(3))
def test_td_target_refuses_shapes_that_would_broadcast(which):
    arrays = [jnp.ones((4,))] * 3
    arrays[which] = jnp.ones((4, 1))
    with pytest.raises(AssertionError, match="shape"):
        td_target(*arrays)


def end_of(last, t):
    """The last step of the episode that t is in, or of the array."""
    return next(k for k in range(t, len(last)) if last[k] or k == len(last) - 1)


def forward_n_step(reward, discount, next_value, last, n):
    longest = [end_of(last, t) - t + 1 for t in range(len(reward))]
    return np.array(
        [
            n_step(reward, discount, next_value, t, min(n, m))
            for t, m in enumerate(longest)
        ]
    )


def forward_advantage(reward, discount, next_value, value, last, lam):
    """GAE: sum_k (prod of k gamma lambda) delta_{t+k}."""
    total = np.zeros(len(reward))
    for t in range(len(reward)):
        factor = 1.0
        for k in range(t, end_of(last, t) + 1):
            error = reward[k] + discount[k] * next_value[k] - value[k]
            total[t] += factor * error
            factor *= lam * discount[k]
    return total


def forward_retrace(reward, discount, next_value, value, log_ratio, last, lam):
    """Munos et al. 2016, Eq. 3: Q_t plus TD errors times gammas and traces so far."""
    total = np.array(value)
    for t in range(len(reward)):
        gammas = traces = 1.0
        for k in range(t, end_of(last, t) + 1):
            if k > t:
                gammas *= discount[k - 1]
                traces *= lam * min(1.0, np.exp(log_ratio[k]))
            error = reward[k] + discount[k] * next_value[k] - value[k]
            total[t] += gammas * traces * error
    return total


def consistent(next_value, last, rng):
    """Values along the sequence: V(s_{t+1}) is the next value, within an episode."""
    value = rng.normal(size=len(next_value)) * 3
    value[1:] = np.where(last[:-1], value[1:], next_value[:-1])
    return value


def arrays_of(*columns):
    return [jnp.asarray(x) for x in columns]


n_step_jit = jax.jit(n_step_return, static_argnums=4)
retrace_jit = jax.jit(retrace_return)
examples = settings(max_examples=40, deadline=None, derandomize=True)


@examples
@given(sequences())
def test_td_0_is_the_definition_and_lambda_0_and_n_1(case):
    reward, discount, next_value, _, _ = case
    rows = zip(reward, discount, next_value, strict=True)
    expected = [r + g * v for r, g, v in rows]
    with jax.enable_x64(True):
        target = np.asarray(td_target(*arrays_of(*case[:3])))
        ones = np.asarray(n_step_jit(*arrays_of(*case[:4]), 1))
    np.testing.assert_allclose(target, expected, rtol=0, atol=EXACT)
    np.testing.assert_array_equal(ones, target)
    with jax.enable_x64(True):
        zeros = ours(*case[:4], 0.0)
    np.testing.assert_allclose(zeros, target, rtol=0, atol=EXACT)


@examples
@given(sequences(), st.sampled_from([1, 2, 5, 12]))
def test_n_step_is_the_definition(case, n):
    with jax.enable_x64(True):
        got = n_step_jit(*arrays_of(*case[:4]), n)
    np.testing.assert_allclose(got, forward_n_step(*case[:4], n), rtol=0, atol=EXACT)


@examples
@given(sequences(), st.sampled_from([12, 40]))
def test_n_of_the_sequence_or_more_is_lambda_1(case, n):
    with jax.enable_x64(True):
        got = n_step_jit(*arrays_of(*case[:4]), n)
        monte_carlo = ours(*case[:4], 1.0)
    np.testing.assert_allclose(got, monte_carlo, rtol=0, atol=EXACT)


@examples
@given(sequences(), st.integers(0, 2**32 - 1))
def test_generalised_advantage_is_the_definition(case, seed):
    reward, discount, next_value, last, lam = case
    value = consistent(next_value, last, np.random.default_rng(seed))
    expected = forward_advantage(reward, discount, next_value, value, last, lam)
    with jax.enable_x64(True):
        got = ours(*case) - value
    np.testing.assert_allclose(got, expected, rtol=0, atol=EXACT)


@examples
@given(sequences(), st.integers(0, 2**32 - 1))
def test_retrace_is_the_definition(case, seed):
    reward, discount, next_value, last, lam = case
    value, log_ratio = np.random.default_rng(seed).normal(size=(2, len(reward))) * 2
    columns = (reward, discount, next_value, value, log_ratio, last)
    with jax.enable_x64(True):
        got = retrace_jit(*arrays_of(*columns), lam)
    np.testing.assert_allclose(got, forward_retrace(*columns, lam), rtol=0, atol=EXACT)


@examples
@given(sequences(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 50.0]))
def test_retrace_on_policy_with_v_for_q_is_the_lambda_return(case, seed, log_ratio):
    """Lambda 1: all rewards to the end, then the bootstrap. A ratio above 1 is 1."""
    reward, discount, next_value, last, lam = case
    value = consistent(next_value, last, np.random.default_rng(seed))
    ratios = np.full(len(reward), log_ratio)
    with jax.enable_x64(True):
        columns = arrays_of(reward, discount, next_value, value, ratios, last)
        got = retrace_jit(*columns, lam)
        full = retrace_jit(*columns, 1.0)
    expected = forward(*case)
    np.testing.assert_allclose(got, expected, rtol=0, atol=EXACT)
    to_end = forward_n_step(reward, discount, next_value, last, len(reward))
    np.testing.assert_allclose(full, to_end, rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("log_ratio", "lam"), [(-np.inf, 1.0), (0.3, 0.0)], ids=["ratio 0", "lambda 0"]
)
def test_retrace_without_a_trace_is_one_step(x64, log_ratio, lam):
    reward, discount, next_value, last = episode(TIMEOUT)
    columns = (reward, discount, next_value, np.array(VALUE), np.full(3, log_ratio))
    got = retrace_return(*arrays_of(*columns, last), lam)
    expected = reward + discount * next_value
    np.testing.assert_allclose(got, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("estimate", ["n-step", "retrace"])
def test_other_returns_have_independent_columns_and_stay_in_float32(x64, estimate):
    rng = np.random.default_rng(1)
    shape = (9, 2, 3)
    reward, next_value, value, log_ratio = rng.normal(size=(4, *shape))
    last = rng.random(shape) < 0.3
    discount = GAMMA * ~(last & (rng.random(shape) < 0.5))
    if estimate == "n-step":
        columns, argument = (reward, discount, next_value, last), 3
        function, reference = n_step_return, forward_n_step
    else:
        columns, argument = (reward, discount, next_value, value, log_ratio, last), LAM
        function, reference = retrace_return, forward_retrace
    got = function(*arrays_of(*columns), argument)
    for i, j in itertools.product(range(2), range(3)):
        alone = reference(*(x[:, i, j] for x in columns), argument)
        np.testing.assert_allclose(got[:, i, j], alone, rtol=0, atol=EXACT)
    single = [x if x.dtype == bool else x.astype(np.float32) for x in columns]
    coarse = function(*arrays_of(*single), argument)
    assert coarse.dtype == jnp.float32
    # float32: 9 steps, each of a few roundings of numbers of size 10
    np.testing.assert_allclose(coarse, got, rtol=0, atol=5e-5)


@pytest.mark.parametrize("which", range(6))
def test_other_returns_refuse_shapes_that_would_broadcast(which):
    arrays = [jnp.ones((4,))] * 6
    arrays[which] = jnp.ones((4, 1))
    with pytest.raises(AssertionError, match="shape"):
        retrace_return(*arrays, LAM)
    if which < 4:
        with pytest.raises(AssertionError, match="shape"):
            n_step_return(*arrays[:4], 2)


def test_n_steps_beyond_the_last_are_those_that_there_are():
    arrays = episode(TIMEOUT)
    found = n_step_return(*arrays, 10**9)
    np.testing.assert_array_equal(found, n_step_return(*arrays, len(REWARD)))
