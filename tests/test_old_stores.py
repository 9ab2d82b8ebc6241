"""Run stores of older versions are read, reported and loaded from, for good.

tests/data/store_format_3 was written by coadapt at commit 859037d:

    python -m launch.sweep --algorithms=sac,mpo,trpo --task=toy/lqr --seeds=2 \\
        --steps=400 --eval_every=200 --eval_episodes=2 --checkpoint_every=200 \\
        --keep=1 --set=networks.policy.sizes=4,4 \\
        --set=networks.critic.sizes=4,4 --set=data.batch=16
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

import coadapt
from coadapt.cli import report
from coadapt.runs import attempts, store
from coadapt.schema import ConfigError

OLD = Path(__file__).parent / "data" / "store_format_3"
ALGORITHMS = ("sac", "mpo", "trpo")


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(OLD, tmp_path / "old")


def test_rows_are_read(old):
    rows = store.read(old)
    scores = rows[rows.metric == "return"]
    assert len(scores) == len(ALGORITHMS) * 2 * 2  # seeds x evaluations
    assert set(scores.algorithm) == set(ALGORITHMS)
    at_the_end = scores[scores.env_steps == 400].set_index(["variant", "seed"]).value
    written = {  # what the command above printed and results.csv has
        (line.split(",")[2], int(line.split(",")[4])): float(line.split(",")[7])
        for line in (OLD / "results.csv").read_text().splitlines()
        if ",400,return," in line
    }
    assert at_the_end.to_dict() == written and len(written) == 6


def test_a_report_is_made(old, capsys):
    assert report.main([f"--workdir={old}"]) == 0
    said = capsys.readouterr()
    assert "state: all of 6 cells finished." in said.out and not said.err


@pytest.mark.parametrize("variant", ALGORITHMS)
def test_agents_are_loaded(old, variant):
    """With the config that they were trained with, whatever a preset is today."""
    agent = coadapt.load(old, variant=variant, seed=1)
    assert (agent.steps, agent.alive) == (400, True)
    assert agent.config.networks.policy.sizes == (4, 4)
    obs = np.zeros((3, agent.spec.obs_size), np.float32)
    assert np.isfinite(agent.act(obs)).all()


ROW = b"sweep,mpo,mpo,toy/lqr,1,400,return,"
NO_ROWS = {
    "no number": (ROW, ROW + b"x"),
    "too large": (ROW, ROW.replace(b"400", b"9" * 30)),
    "too short": (ROW, b"return,"),
    "no text": (ROW, ROW + b"\xff"),
    "open quote": (ROW, b'"' + ROW),
    "no such variant": (ROW, ROW.replace(b"mpo,toy", b"mqo,toy")),
    "header": (b"experiment,", b"experiments,"),
}


@pytest.mark.parametrize(("was", "comes"), NO_ROWS.values(), ids=NO_ROWS)
def test_a_line_that_is_no_row_costs_itself_alone(old, was, comes, caplog):
    """It is said once, with its line and the way out; all other rows are read."""
    attempts._SAID.clear()
    path, rows = old / "results.csv", store.read(OLD)
    path.write_bytes(path.read_bytes().replace(was, comes, 1))
    place = rows[["variant", "seed", "env_steps", "metric"]].eq(
        ["mpo", 1, 400, "return"]
    )
    lost = place.all(axis=1) & (was == ROW)
    assert lost.sum() == (was == ROW)
    for _ in range(2):
        assert store.read(old).equals(rows[~lost].reset_index(drop=True))
    (said,) = [r.message for r in caplog.records]
    line = 1 if was != ROW else 2 + int(lost.argmax())
    assert f"1 of its lines are none (line {line}: " in said and "from a copy" in said


@pytest.mark.parametrize("table", ["results", "failures", "done"])
def test_a_report_is_made_of_the_rest(old, tmp_path, table, capsys, caplog):
    """A finished cell whose row, or mark, is none is not finished any more."""
    attempts._SAID.clear()
    path, lost = old / f"{table}.csv", table != "failures"
    lines = path.read_text().splitlines(True)
    path.write_text("".join([*lines[:1], "x,y\n", *lines[1 + lost :]]))
    assert report.main([f"--workdir={old}", f"--out={tmp_path / 'out'}"]) == 0
    said = [
        r.message for r in caplog.records if f"{table}.csv' is damaged" in r.message
    ]
    assert "1 of its lines are none (line 2: 2 columns, and not " in said[0]
    state = "1 of 6 cells are not finished" if lost else "all of 6 cells finished"
    assert f"state: {state}" in capsys.readouterr().out


DAMAGES = {
    "cut": lambda text: text[:-9],
    "empty": lambda _: "",
    "number": lambda _: "1",
    "endless": lambda text: text.replace("0\n", "Infinity\n", 1),
    "list": lambda text: text.replace('"cells"', '"cell"'),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_program_costs_its_own_agents_alone(old, how, caplog):
    """All rows are read, other agents are loaded, and it is said with the way out."""
    attempts._SAID.clear()
    (path,) = old.glob("checkpoints/*-mpo-*/program.json")
    whole = path.read_text()
    path.write_text(DAMAGES[how](whole))
    assert path.read_text() != whole
    assert store.read(old).equals(store.read(OLD))
    about = store.load(old)
    assert store.finished(old, about) == dict.fromkeys(about.cells(), 400)
    assert coadapt.load(old, variant="sac", seed=0).steps == 400
    (said,) = [r.message for r in caplog.records]
    assert str(path) in said and "the file is damaged" in said and "from a copy" in said
    with pytest.raises(ConfigError, match=r"a program\.json is damaged"):
        coadapt.load(old, variant="mpo", seed=0)
    path.write_text(whole)
    assert coadapt.load(old, variant="mpo", seed=0).steps == 400
