"""The mistakes that tools/mutations.py makes: each can still be made."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def mutations(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import mutations

    return mutations


def test_each_mistake_can_be_made_in_one_place(mutations):
    """Else it would be no mistake, and its tests' passing no proof."""
    names = [mutations.name(m) for m in mutations.MUTATIONS]
    assert len(set(names)) == len(names) == 30
    for file, old, new, test in mutations.MUTATIONS:
        assert (ROOT / "coadapt" / file).read_text().count(old) == 1, old
        assert old != new and file.split("/")[0] in ("ops", "factors", "agent")
        path, _, function = test.partition("::")
        assert f"\ndef {function}(" in (ROOT / "tests" / path).read_text()


def test_a_mistake_is_made_in_a_copy(mutations, tmp_path):
    mutation = mutations.MUTATIONS[0]
    path = Path("coadapt") / mutation.file
    before = (ROOT / path).read_text()
    mutations.copy(tmp_path, mutation)
    assert (tmp_path / path).read_text() == before.replace(mutation.old, mutation.new)
    assert (ROOT / path).read_text() == before
    assert (tmp_path / "tests" / "conftest.py").is_file()
