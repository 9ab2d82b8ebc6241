"""The value of tuning, by hand and from a store; its coverage is on the page."""

import itertools

import numpy as np
import pytest
import test_importance as design

from coadapt.cli import sensitivity as command
from coadapt.cli import sweep as sweep_command
from coadapt.schema import ConfigError
from coadapt.studies import procedure, tuning

TASK, RATE = design.TASK, design.RATE
SCRAMBLED = ["--algorithms=sac", f"--task={TASK}", "--seeds=8", "--steps=300"]
SCRAMBLED += [f"--vary={RATE}=1e-5..1e-2:log", "--random=4", "--scrambles=4"]


def test_a_search_is_the_mean_over_all_splits_of_its_seeds():
    runs = np.random.default_rng(0).normal(size=(3, 8))
    expected = []
    for part in itertools.combinations(range(8), 3):
        rest = [i for i in range(8) if i not in part]
        best = max(range(3), key=lambda i: runs[i, list(part)].mean())
        expected.append(runs[best, rest].mean())
    assert procedure.found(runs, 3) == pytest.approx(np.mean(expected))


def test_of_many_seeds_splits_are_a_sample():
    assert procedure._splits(20, 3).shape == (procedure.SPLITS, 20)
    assert set(procedure._splits(20, 3).sum(1)) == {3.0}


@pytest.mark.parametrize(
    ("scrambles", "seeds", "tries"), [(3, 8, 3), (4, 7, 3), (4, 8, 5), (4, 8, 0)]
)
def test_what_has_no_interval_is_refused_with_the_design_that_has(
    scrambles, seeds, tries
):
    with pytest.raises(ConfigError, match=r"here are .*run coadapt sweep .*--scram"):
        procedure.value([np.zeros((4, seeds))] * scrambles, tries)


@pytest.fixture(scope="module")
def scrambles(tmp_path_factory):
    """Scores are the decades of the rate; seeds do not matter."""
    folder, asked = tmp_path_factory.mktemp("scrambles"), design.planned(SCRAMBLED)

    def score(cell):
        return 1.5 * 10 * (5 + np.log10(float(cell.variant.partition(f"{RATE}=")[2])))

    design.written(folder, asked, score, seeds=8)
    return folder, asked


def test_each_scramble_is_a_search_of_its_own(scrambles, capsys):
    folder, asked = scrambles
    ranges = [tuning.Range(RATE, 1e-5, 1e-2, log=True)]
    parts = tuning.scrambled(ranges, 4, 4)
    expected = {x[RATE] for part in parts for x in part}
    assert {v.config.optim.policy.rate for v in asked.variants[TASK]} == expected
    flags = [f"--workdir={folder}", "--procedure=3", "--format=csv"]
    assert command.main(flags) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head == "variant,task,unit,scrambles,score,low,high"
    best = [0.1 * (5 + np.log10(max(x[RATE] for x in part))) for part in parts]
    half = 3.182 * np.std(best, ddof=1) / 2  # t of 3 degrees of freedom, 4 searches
    shown = [float(x) for x in row.split(",")[3:]]
    middle = np.mean(best)
    assert shown == pytest.approx([4, middle, middle - half, middle + half], abs=0.006)


def test_a_sample_of_settings_is_asked_for_what_it_has(scrambles, capsys):
    folder, _ = scrambles
    assert command.main([f"--workdir={folder}"]) == 2
    assert (
        "a part of a Sobol sequence is not a random sample" in capsys.readouterr().err
    )
    few = [*SCRAMBLED[:-2], "--random=6", "--scrambles=4", "--dry_run"]
    assert sweep_command.main(few) == 2
    assert "random is 6: it must be a power of 2" in capsys.readouterr().err
