"""The shuffle is a permutation, a fair one, and compiles once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from coadapt.ops import shuffle as ours

shuffle = jax.jit(ours.shuffle)
FAIR = 0.999  # quantile that a fair shuffle stays below; the seeds are fixed


def indices(n):
    return jnp.arange(n, dtype=jnp.int32)


def permutation(seed, n):
    return np.asarray(shuffle(jax.random.key(seed), indices(n), jnp.int32(n)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 3, 7, 256, 1000, 4097])
def test_is_a_bijection(n, seed):
    got = permutation(seed, n)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(np.sort(got), np.arange(n))


def test_keys_differ():
    orders = np.stack([permutation(seed, 256) for seed in range(10)])
    assert len(np.unique(orders, axis=0)) == 10
    # two random permutations share 1 place on average; P(more than 8) is about 1e-6
    same = (orders[:, None] == orders[None]).sum(axis=-1)[np.triu_indices(10, 1)]
    assert same.max() <= 8
    np.testing.assert_array_equal(permutation(3, 256), permutation(3, 256))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(64, 2**31 - 1), st.data())
def test_a_batch_comes_back_distinct(n, data):
    """Any 64 neighbours, up to the largest int32: no overflow, no collision."""
    start = data.draw(st.integers(0, n - 64))
    got = np.asarray(shuffle(jax.random.key(0), indices(64) + start, jnp.int32(n)))
    assert got.min() >= 0 and got.max() < n
    assert len(np.unique(got)) == 64


of_many = jax.jit(jax.vmap(ours.shuffle, in_axes=(0, None, None)))


def orders(n, keys, *, index):
    """Where each of many keys sends `index`, [keys, len(index)]."""
    many = jax.random.split(jax.random.key(0), keys)
    index = jnp.asarray(index, jnp.int32)
    return np.asarray(of_many(many, index, jnp.int32(n)))


def assert_fair(cells, count):
    """Chi-square of observed cells against equal ones."""
    observed = np.bincount(cells, minlength=count)
    expected = len(cells) / count
    statistic = np.sum((observed - expected) ** 2 / expected)
    assert statistic < stats.chi2.ppf(FAIR, count - 1)


@pytest.mark.parametrize(("n", "total"), [(2, 2), (3, 6), (5, 120)])
def test_every_permutation_is_equally_likely(n, total):
    got = orders(n, 24_000, index=range(n))
    assert_fair(np.unique(got @ n ** np.arange(n), return_inverse=True)[1], total)


@pytest.mark.parametrize("n", [1000, 4097, 1_000_000])
@pytest.mark.parametrize("index", [(0, 1), (0, 999), (500, 501)])
def test_pairs_land_anywhere(n, index):
    """Two indices, neighbours or far apart: independent, in 8 x 8 cells of the range.

    n = 1 000 000 has fewer rounds than two for each bit and passes all the same.
    """
    cell = orders(n, 24_000, index=index).astype(np.int64) * 8 // n
    assert_fair(cell[:, 0] * 8 + cell[:, 1], 64)


def test_new_n_is_not_a_new_trace():
    traces = []

    @jax.jit
    def run(key, n):
        traces.append(1)
        return shuffle(key, indices(7), n)

    for n in (7, 100, 4097):
        got = run(jax.random.key(1), jnp.int32(n))
        np.testing.assert_array_equal(got, permutation(1, n)[:7])
    assert len(traces) == 1


def test_same_alone_and_under_vmap():
    sizes = (7, 256, 4097)
    keys = jnp.stack([jax.random.key(seed) for seed in range(3)])
    each = jax.jit(jax.vmap(ours.shuffle, in_axes=(0, None, 0)))
    many = each(keys, indices(7), jnp.asarray(sizes, jnp.int32))
    for seed, (row, n) in enumerate(zip(many, sizes, strict=True)):
        np.testing.assert_array_equal(row, permutation(seed, n)[:7])


def test_each_index_may_have_its_own_n():
    sizes = jnp.asarray([7, 256, 4097], jnp.int32)
    got = shuffle(jax.random.key(2), jnp.asarray([3, 3, 3], jnp.int32), sizes)
    np.testing.assert_array_equal(got, [permutation(2, int(n))[3] for n in sizes])
