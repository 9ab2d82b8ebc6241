"""Modules by a name that is shorter than their place, or that an older version had.

`import coadapt.stats` and `from coadapt import stats` give the module
`coadapt.analysis.stats` itself, and not a copy of it.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

MOVED = {
    # what `import coadapt` gives
    "coadapt.comparison": "coadapt.analysis.comparison",
    "coadapt.effects": "coadapt.analysis.effects",
    "coadapt.stats": "coadapt.analysis.stats",
    "coadapt.store": "coadapt.runs.store",
    # of an older version
    "coadapt.hybrids": "coadapt.validation.design_space",
    "coadapt.importance": "coadapt.analysis.importance",
    "coadapt.pack": "coadapt.report.pack",
    "coadapt.saved": "coadapt.runs.trained_agent",
    "coadapt.sensitivity": "coadapt.analysis.sensitivity",
    "coadapt.simulation": "coadapt.analysis.simulation",
    "coadapt.tuning": "coadapt.studies.tuning",
    "coadapt.until": "coadapt.studies.until",
    "coadapt.verdict": "coadapt.analysis.verdict",
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a moved module, and those within it, at its place."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        place = _place(fullname)
        if not place:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=place)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(spec.origin or "")
        spec.loader_state = module.__spec__  # which the import of a name replaces
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def _place(name: str) -> str:
    """Of a moved module or one within it; else ''."""
    parts = name.split(".")
    home = MOVED.get(".".join(parts[:2]), "")
    return ".".join([home, *parts[2:]]) if home else ""


def install() -> None:
    """Before all other finders, since a moved package would find a copy of its own."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
