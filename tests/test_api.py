"""The library from Python."""

import subprocess
import sys

import pytest

import coadapt


def test_importing_is_light():
    code = (
        "import sys, coadapt; heavy = {'jax', 'mujoco', 'gymnasium', 'pandas'}; "
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", coadapt.__all__)
def test_names_are_there(name):
    assert getattr(coadapt, name) is not None
    assert name in dir(coadapt)


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="'trian'"):
        coadapt.trian  # noqa: B018


def test_train_returns_tidy_rows(tmp_path):
    small = {"networks.policy.sizes": (8,), "networks.critic.sizes": (8,)}
    small |= {"data.batch": 8, "data.start": 20, "data.warmup": 20}
    config = coadapt.override(coadapt.algorithms.sac(), small)
    rows = coadapt.train(
        {"mine": config}, task="toy/lqr", seeds=2, steps=60, eval_every=30
    )
    score = rows[rows.metric == "return"]
    assert set(score.variant) == {"mine"} and set(score.seed) == {0, 1}
    with pytest.raises(coadapt.ConfigError, match="steps is 0"):
        coadapt.train(["sac"], task="toy/lqr", steps=0)
