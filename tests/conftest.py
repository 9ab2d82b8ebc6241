"""What holds for every test: strict types, strict shapes, warnings are errors."""

import os
from pathlib import Path

# The suite is compilation more than anything: code that runs once need not run fast.
# What XLA makes of a program above the machine code (fusion, the order of products) is
# what users get.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
)

import jax
import pytest

# compiled programs are kept between runs: most of the suite's time is compilation
CACHE = Path(
    os.environ.get("COADAPT_CACHE", Path.home() / ".cache" / "coadapt" / "xla")
)
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def x64():
    """float64 inside a test, for references that a reader can check."""
    with jax.enable_x64(True):
        yield
