"""Running moments against one pass over everything, and the normaliser's C19."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coadapt.ops.moments import empty, merge, normalize

EXACT = 1e-11  # float64, hundreds of merges of numbers of size 10


def merged(chunks, masks):
    moments = empty(chunks[0].shape[1])
    for rows, where in zip(chunks, masks, strict=True):
        moments = merge(moments, jnp.asarray(rows), jnp.asarray(where))
    return moments


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([1, 3, 8]), min_size=1, max_size=5),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_c19_merged_chunks_are_one_pass_over_all_rows(seed, sizes, share):
    rng = np.random.default_rng(seed)
    chunks = [rng.normal(size=(n, 2)) * 5 + 3 for n in sizes]
    masks = [rng.random(n) < share for n in sizes]
    kept = np.concatenate(chunks)[np.concatenate(masks)]
    with jax.enable_x64(True):
        moments = merged(chunks, masks)
    assert int(moments.count) == len(kept)
    for o in range(2):
        column = [float(row[o]) for row in kept]
        mean = sum(column) / len(kept) if column else 0.0
        var = sum((x - mean) ** 2 for x in column) / len(kept) if column else 1.0
        assert np.asarray(moments.mean)[o] == pytest.approx(mean, abs=EXACT)
        assert np.asarray(moments.var)[o] == pytest.approx(var, abs=EXACT)


def test_c19_normalised_rows(x64):
    rows = jnp.asarray([[1.0, 2.0], [3.0, 6.0]])
    moments = merge(empty(2), rows, jnp.ones(2, bool))
    got = normalize(moments, rows, 0.01, 5.0)
    expected = [[-0.995037, -0.998752], [0.995037, 0.998752]]
    np.testing.assert_allclose(got, expected, atol=5e-7)  # as printed


def test_c19_rows_seen_twice_count_twice(x64):
    """The authors feed the whole buffer at each iteration."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, 6, 3))
    got = merged(
        [old, np.concatenate([old, new])], [np.ones(6, bool), np.ones(12, bool)]
    )
    everything = np.concatenate([old, old, new])
    np.testing.assert_allclose(got.mean, everything.mean(axis=0), atol=EXACT)
    np.testing.assert_allclose(got.var, everything.var(axis=0), atol=EXACT)
    assert got.count == 18


def test_nothing_seen_is_mean_0_and_variance_1(x64):
    moments = empty(2)
    moments = merge(moments, jnp.full((3, 2), 9.0), jnp.zeros(3, bool))
    assert (moments.count, *moments.mean, *moments.var) == (0, 0, 0, 1, 1)
    got = normalize(moments, jnp.asarray([0.3, -9.0]), 0.0, 5.0)
    np.testing.assert_array_equal(got, (0.3, -5.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_rows_that_do_not_count_may_be_anything(value):
    rows = jnp.asarray([[1.0], [value], [3.0]], jnp.float32)
    moments = merge(empty(1), rows, jnp.asarray([True, False, True]))
    assert (moments.count, *moments.mean, *moments.var) == (2, 2, 1)


def test_a_row_that_counts_is_not_hidden():
    moments = merge(empty(1), jnp.asarray([[1.0], [np.nan]]), jnp.ones(2, bool))
    assert np.isnan(moments.mean).all()


def test_float32_keeps_a_small_variance_far_from_zero():
    """Sums of squares would leave nothing of a variance of 0.01 at a mean of 1000."""
    rng = np.random.default_rng(1)
    chunks = np.float32(1000 + 0.1 * rng.normal(size=(20, 50, 2)))
    moments = merged(list(chunks), [np.ones(50, bool)] * 20)
    rows = chunks.reshape(-1, 2).astype(float)
    # means are known to 1e3 * 6e-8 = 6e-5, so the variance to (6e-5)^2 and a rounding
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(moments.var, rows.var(axis=0), rtol=1e-3)


def test_merging_one_row_at_a_time_under_scan(x64):
    rows = np.random.default_rng(2).normal(size=(200, 2))

    def step(moments, row):
        return merge(moments, row[None], jnp.ones(1, bool)), None

    moments, _ = jax.lax.scan(step, empty(2), jnp.asarray(rows))
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), atol=EXACT)
    np.testing.assert_allclose(moments.var, rows.var(axis=0), atol=EXACT)


def test_normalize_is_the_loop_over_any_batch(x64):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(10, 3)) * 4
    moments = merge(empty(3), jnp.asarray(rows), jnp.ones(10, bool))
    obs = rng.normal(size=(2, 5, 3)) * 20
    got = normalize(moments, jnp.asarray(obs), 0.01, 1.5)
    for i, j, k in np.ndindex(obs.shape):
        scaled = (obs[i, j, k] - rows[:, k].mean()) / (rows[:, k].var() + 0.01) ** 0.5
        assert got[i, j, k] == pytest.approx(max(-1.5, min(1.5, scaled)), abs=EXACT)
    assert np.max(np.abs(got)) == 1.5  # some rows were cut


def test_what_never_varied_is_0_and_not_its_rounding():
    """Epsilon 0 is allowed; the var of equal numbers is 0, or a mean's rounding."""
    moments, rows = empty(3), jnp.asarray([[0.1, -7.8142405, 1e6]])
    for size in (1, 3, 5, 7) * 4:
        moments = merge(moments, jnp.repeat(rows, size, axis=0), jnp.ones(size, bool))
    assert moments.var.max() > 0  # so it is not exact
    np.testing.assert_array_equal(normalize(moments, rows[0], 0.0, 5.0), np.zeros(3))


def test_merge_refuses_a_mask_of_another_length():
    with pytest.raises(AssertionError, match="shape"):
        merge(empty(2), jnp.ones((3, 2)), jnp.ones(2, bool))
