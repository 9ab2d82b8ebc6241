"""What a projection counts."""

import jax
import jax.numpy as jnp
import pytest

from coadapt import algorithms, schema
from coadapt.bench import roofline
from coadapt.bench.roofline import Accelerator, Work
from coadapt.cli import bench

TINY = {"networks.policy.sizes": (8, 8), "networks.critic.sizes": (8, 8)}


def test_seconds_are_the_formula():
    device = Accelerator("it", flops=1e3, bandwidth=1e2, launch=0.5)
    # 2 agents: 20 operations in 0.02 s, 60 bytes in 0.6 s, 4 launches in 2 s
    assert device.seconds(Work(10, 30.0, 4), 2) == pytest.approx(2.6)
    # of 1,000 operations and a byte, arithmetic takes longer
    assert device.seconds(Work(500, 0.5, 0), 2) == pytest.approx(1.0)


def test_kernels_of_a_loop_count_as_often_as_it_turns():
    def turns(times):
        def program(x):
            # a product and a fusion, or two
            return jax.lax.fori_loop(0, times, lambda _, x: jnp.sin(x @ x), x)

        text = jax.jit(program).lower(jnp.ones((9, 9))).compile().as_text()
        return roofline.kernels(text)

    each = (turns(21) - turns(11)) / 10
    assert each == int(each) >= 2


def test_kernels_do_not_grow_with_the_agents():
    """An accelerator launches as many for 8 agents as for 3, to 2%: some are merged."""
    config = schema.override(algorithms.preset("sac"), TINY | {"data.batch_size": 8})
    few, many = (
        roofline.kernels(roofline.together(config, n).as_text()) for n in (3, 8)
    )
    assert many == pytest.approx(few, rel=0.02)


def test_a_loop_of_minibatches_is_refused(capsys):
    assert bench.main(["--algorithms=awr", "--project=h100"]) == 2
    assert "data is Trajectories" in capsys.readouterr().err


def test_an_unknown_accelerator_is_refused(capsys):
    assert bench.main(["--algorithms=sac", "--project=h10"]) == 2
    assert "did you mean 'h100'?" in capsys.readouterr().err


def test_bench_projects(capsys):
    flags = [f"--set={k}={','.join(map(str, v))}" for k, v in TINY.items()]
    assert (
        bench.main(["--algorithms=sac", "--agents=1,64", "--project=a100", *flags]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert "projected" in lines[0] and "A100" in lines[0]
    one, many = (float(line.split()[3]) for line in lines[1:3])
    assert many > 30 * one  # small agents are bound by the launches, which they share
