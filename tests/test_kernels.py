"""Where a program for a CPU is cut into kernels."""

import jax
import jax.numpy as jnp
import numpy as np

from coadapt.system import kernels


def _twice(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What is read twice, and would be computed in both kernels that read it."""
    kept = kernels.apart(jnp.tanh(x))
    return kept + 1, jnp.sum(kept.T, axis=0)


def _barriers(program) -> int:
    return program.lower(jnp.ones((4, 8))).compile().as_text().count("opt-barrier(")


def test_what_is_apart_stays_apart_in_a_program_of_its_own_kind():
    jitted = kernels.Jitted(_twice)
    assert (_barriers(jitted), _barriers(jax.jit(_twice))) == (1, 0)
    x = jnp.linspace(-1, 1, 32).reshape(4, 8)
    for found, expected in zip(jitted(x), _twice(x), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_on_an_accelerator_nothing_is_kept_apart(monkeypatch):
    monkeypatch.setattr(kernels, "on_cpu", lambda: False)
    program = jax.make_jaxpr(lambda x: _twice(x))(jnp.ones((4, 8)))  # not kept by name
    assert "barrier" not in str(program)


def test_a_cleared_program_is_traced_anew():
    factor = [2.0]
    jitted = kernels.Jitted(lambda x: factor[0] * x)
    first, factor[0] = jitted(1.0), 3.0
    assert (first, jitted(1.0)) == (2.0, 2.0)
    jitted.clear_cache()
    assert jitted(1.0) == 3.0
