"""What a network keeps beside what it learns: running moments, spectral vectors.

It stands in a tree of the network's own under the key "state". Slow copies are copied
with it; no gradient and no optimiser reads it. A network that keeps nothing has no such
key.
"""

from typing import Any

STATE = "state"


def learned(tree: Any) -> Any:
    """A tree without what its networks keep: what an optimiser steps."""
    if not isinstance(tree, dict):
        return tree
    return {name: learned(part) for name, part in tree.items() if name != STATE}


def rejoined(tree: Any, kept: Any) -> Any:
    """The learned part of a tree, with what the networks of `kept` keep."""
    if not isinstance(tree, dict):
        return tree
    found = {name: rejoined(part, kept[name]) for name, part in tree.items()}
    return found | {name: part for name, part in kept.items() if name == STATE}


def keeping(net: Any, kept: Any) -> Any:
    """The tree of a network, keeping this: nothing, if it is None."""
    return net if kept is None else net | {STATE: kept}
