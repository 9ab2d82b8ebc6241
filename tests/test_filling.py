"""Three agents on two devices: a fourth stands still beside them, and is never seen."""

import numpy as np
import pytest

from coadapt import devices, runner, sweep
from coadapt.runner import Interrupted
from coadapt.runs import array_files, attempts, checkpoint, store
from coadapt.sweep import Checkpoints, Sweep, Variant
from tests.recipes import cases, small
from tests.test_cluster import NETS, assert_same, everything

ALWAYS, STEPS, EVERY = Checkpoints(share=float("inf")), 120, 40
HOST, DEVICE = "gym/Pendulum-v1", "toy/lqr"


def run(folder, task: str, stop: int = 100, seeds=range(3)) -> None:
    calls = iter(range(1000))
    asked = Sweep(
        experiment="filling",
        variants={task: [Variant("sac", "sac", small("sac", **NETS))]},
        seeds=seeds,
        steps=STEPS,
        eval_every=EVERY,
        eval_episodes=1,
        checkpoint_every=EVERY,
    )
    try:
        sweep.run(asked, folder, checkpoints=ALWAYS, stop=lambda: next(calls) >= stop)
    except Interrupted:
        assert stop < 100


# on the host three agents of four places are in a usual run too: test_failures
@pytest.fixture(scope="module", params=cases([DEVICE, HOST], [HOST]))
def whole(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder, request.param)
    return request.param, folder


def test_the_store_has_the_agents_that_were_asked_for(whole):
    _, folder = whole
    (program,) = attempts.programs(folder)
    assert program.devices == 2 and len(program.cells) == 3
    found = store.read(folder)
    assert set(found.seed) == {0, 1, 2} and found.value.notna().any()
    assert not len(store.failures(folder))
    about = checkpoint.about(program, STEPS)
    assert about["alive"] == 3
    arrays = array_files.read(program.at(STEPS))
    assert {array.shape[0] for array in arrays.values()} == {3}


def test_it_resumes_to_the_bit(whole, tmp_path):
    task, folder = whole
    run(tmp_path, task, stop=2)
    run(tmp_path, task)
    assert_same(everything(tmp_path), everything(folder))


def test_on_one_device_it_is_the_same_to_rounding(whole, tmp_path, monkeypatch):
    """The first return, after a third of the steps: what rounds otherwise has hardly
    grown. A store that one device began goes on over it, to the bit."""
    task, folder = whole
    with monkeypatch.context() as patch:
        patch.setattr(devices, "filling", devices.dividing)  # as older versions had it
        run(tmp_path / "old", task)
        run(tmp_path / "begun", task, stop=2)
    (program,) = attempts.programs(tmp_path / "begun")
    assert program.devices == 1
    run(tmp_path / "begun", task)
    assert_same(everything(tmp_path / "begun"), everything(tmp_path / "old"))
    ours, theirs = (store.read(f) for f in (folder, tmp_path / "old"))
    early = [f[(f.env_steps == EVERY) & (f.metric == "return")] for f in (ours, theirs)]
    np.testing.assert_allclose(early[0].value, early[1].value, rtol=1e-3)


def test_an_agent_that_fails_does_so_alone():
    """One of the three has broken numbers; the others learn, and it ends for all."""
    config = small("sac", **NETS)
    broken = small("sac", optim__policy__rate=float(np.float32(3e38)), **NETS)
    reports = []
    last = runner.train(
        [config, config, broken], [0, 1, 2], DEVICE, steps=80, eval_every=80,
        eval_episodes=1, report=reports.append,
    )  # fmt: skip
    (report,) = reports
    assert [failure.agent for failure in report.failures] == [2]
    assert np.isfinite(report.metrics["return"]).tolist() == [True, True, False]
    assert np.asarray(last.learner.health.alive).tolist() == [True, True, False]
