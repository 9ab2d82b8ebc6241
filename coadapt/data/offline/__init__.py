"""Data sets in Minari's format, and the store of transitions that one becomes.

On disk a data set is in the environment's own units, as others write and expect it:
actions in the task's own box, or integers. Everything in memory is in agent units: box
actions in [-1, 1]^A, mapped affinely and without clipping; discrete actions one-hot,
A = n. Minari is imported when a data set is opened, not with this module.
"""

from coadapt.data.offline.folders import FIELD, FORMAT, place, refuse_taken
from coadapt.data.offline.reading import digest, read
from coadapt.data.offline.transitions import Summary, describe, from_store, store
from coadapt.data.offline.writing import write

__all__ = [
    "FIELD",
    "FORMAT",
    "Summary",
    "describe",
    "digest",
    "from_store",
    "place",
    "read",
    "refuse_taken",
    "store",
    "write",
]
