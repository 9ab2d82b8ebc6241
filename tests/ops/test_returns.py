"""Returns against plain loops, the settings' numbers (C16, C20) and identities."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.returns import lambda_return, td_target

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


def ours(reward, discount, next_value, last, lam):
    arrays = (jnp.asarray(x) for x in (reward, discount, next_value, last))
    return np.asarray(lambda_return(*arrays, lam))


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
