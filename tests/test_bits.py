"""The comparison of commits to the bit: what it compares, and what it says."""

import json
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def bits(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import bits

    return bits


def test_every_case_is_a_config_that_has_a_meaning(bits):
    """Their checks run when they are made; some are made here."""
    names = bits.bits_cases.names()
    assert len(names) == len(set(names)) >= 15 + 12 + 40
    for name in ["trust-joint", "discrete-urex", "hybrid-2", "bear"]:
        config = bits.bits_cases.config_of(name)
        assert config.data.batch_size == 16


@pytest.mark.parametrize(
    "head, said",
    [
        ({"a": [["x", "1"], ["y", "2"]]}, None),
        ({"a": [["renamed", "1"], ["y", "2"]]}, None),
        ({"a": [["x", "1"], ["y", "3"]]}, "a: y, of 1 of 2 leaves"),
        ({"a": [["y", "2"], ["x", "1"]]}, "a: y, of 2 of 2 leaves"),
        ({"a": [["x", "1"]]}, "a: 2 leaves, then 1"),
        ({}, "a: 2 leaves, then 0"),
    ],
)
def test_leaves_are_compared_in_their_order(bits, head, said):
    assert bits.first_difference({"a": [["x", "1"], ["y", "2"]]}, head) == said


def test_a_case_that_fails_is_not_equal(bits):
    error = {"error": "ValueError: no"}
    assert bits.compare({"sac": error}, {"sac": error}) == {
        "sac": "'ValueError: no', then 'ValueError: no'"
    }


def test_results_of_a_commit_are_kept_and_those_of_files_are_not(
    bits, tmp_path, monkeypatch, capsys
):
    ran = []

    def child(place, cases, cache, updates):
        ran.append((place.name, cases))
        for case in cases:
            yield case, {"leaves": {"start": [["x", str(len(ran))]]}}

    monkeypatch.setattr(bits, "_child", child)
    monkeypatch.setattr(bits, "_tree", lambda name, cache: (name, Path(name)))
    command = ["abc", ".", f"--cache={tmp_path}", "--only=^sac$", "--jobs=1"]
    assert bits.main(command) == 1
    assert capsys.readouterr().out.splitlines() == [
        "sac: start: x, of 1 of 1 leaves",
        "0 of 1 cases are equal to the bit",
    ]
    assert bits.main(["abc", "abc", *command[2:]]) == 0
    assert ran == [("abc", ["sac"]), ("", ["sac"])]  # the commit ran once, in all
    (kept,) = tmp_path.glob("*.json")
    assert json.loads(kept.read_text()).keys() == {"sac"}


def test_a_folder_of_another_commit_is_what_is_imported(bits, tmp_path):
    """A child of one whose package is not the folder's does not measure anything."""
    (tmp_path / "xla").mkdir()
    assert not [*bits._child(tmp_path / "nowhere", ["sac"], tmp_path, 1)]
