"""What is guarded of run stores of format 3, and that nothing is written to them."""

import shutil
from pathlib import Path

import pytest

from coadapt import sweep
from coadapt.config import Config
from coadapt.runs import attempts, store
from coadapt.schema import ConfigError, from_dict
from coadapt.sweep import Sweep, Variant

OLD = Path(__file__).parent / "data" / "store_format_3"


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(OLD, tmp_path / "old")


def asked(folder, steps):
    """The sweep that the store is of, with its own configs."""
    about = store.load(folder)
    ((task, named),) = about.variants.items()
    variants = [
        Variant(name, entry.algorithm, from_dict(Config, entry.config))
        for name, entry in named.items()
    ]
    return Sweep(
        experiment=about.experiment,
        variants={task: variants},
        seeds=about.seeds,
        steps=steps,
        eval_every=about.eval_every,
        eval_episodes=about.eval_episodes,
        checkpoint_every=about.checkpoint_every,
    )


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("steps", [400, 800], ids=["finished", "more"])
def test_it_goes_on_under_its_own_version_alone(old, steps):
    before = contents(old)
    with pytest.raises(ConfigError, match="under that version alone") as caught:
        sweep.run(asked(old, steps), old)
    assert "\n" not in str(caught.value)
    assert contents(old) == before


def test_all_of_its_cells_are_finished(old):
    about = store.load(old)
    assert store.finished(old, about) == dict.fromkeys(about.cells(), 400)


CHANGES = {
    "first": (lambda lines: lines[:1] + lines[2:], 1),
    "steps": (lambda lines: [*lines[:-1], lines[-1].replace(",400,", ",300,")], 1),
    "twice": (lambda lines: [*lines, lines[-1]], 1),
    "all": (lambda lines: lines[:1], 6),
}


@pytest.mark.parametrize(("change", "lost"), CHANGES.values(), ids=CHANGES)
def test_a_changed_row_of_a_finished_cell_is_found_out(old, change, lost, caplog):
    """That cell is not finished any more, which is said once; all others are."""
    attempts._SAID.clear()
    path, about = old / "results.csv", store.load(old)
    path.write_text("".join(change(path.read_text().splitlines(True))))
    for _ in range(2):
        assert len(store.finished(old, about)) == len(about.cells()) - lost
    words = "which was finished, are missing or changed"
    assert [words in r.message for r in caplog.records] == [True] * lost
