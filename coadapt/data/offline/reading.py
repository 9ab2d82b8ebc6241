"""A data set in Minari's format, read into agent units."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from coadapt.data.offline.folders import FIELD, FORMAT, find
from coadapt.data.offline.matching import (
    check_action_space,
    check_obs_space,
    check_task,
)
from coadapt.data.offline.transitions import on_host
from coadapt.envs.base import centre_and_half
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec, Transition

if TYPE_CHECKING:
    from minari.dataset.minari_storage import MinariStorage

# What Minari, h5py and numpy raise at a file that is not what it says: there is no one
# type, and asserts are among them. NotImplementedError is a RuntimeError.
_BROKEN = (
    MemoryError,
    OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError,
    RuntimeError, OverflowError,
)  # fmt: skip


def read(name: str, spec: EnvSpec) -> Transition:
    """A local data set in agent units, its episodes one after the other.

    Nothing is downloaded, and no code that comes with the data is run: spaces are JSON
    and HDF5 holds plain arrays. See `_open` for the one door there is.

    Args:
        name: of Minari, 'half-cheetah/sac-medium-v0'.
        spec: of the task it is for.
    Returns:
        numpy arrays [C, ...], float32 and bool. `last` is set where an episode
        terminated, was truncated, or just stops; `next_obs` is the true successor.
    Raises:
        ConfigError: one sentence, if there is no such data set, it does not fit the
            task, is empty or broken, or holds numbers that are not finite.
    """
    return _read(name, spec, _stamp(name))


def digest(name: str, spec: EnvSpec) -> str:
    """A hash of the numbers that `read` gives: equal where agents learn from the same.

    Raises: as `read`.
    """
    return _digest(name, spec, _stamp(name))


def _stamp(name: str) -> tuple:
    """Another one whenever a file of the data set was written.

    Raises: ConfigError.
    """
    with _in_a_sentence(name):
        files = sorted(find(name).rglob("*"))
        return tuple((str(file), file.stat().st_mtime_ns) for file in files)


@functools.lru_cache(maxsize=64)
def _digest(name: str, spec: EnvSpec, stamp: tuple) -> str:
    found = hashlib.sha256()
    for column in _read(name, spec, stamp):
        found.update(f"{column.dtype}{column.shape}".encode())
        found.update(np.ascontiguousarray(column).data)
    return found.hexdigest()[:16]


@functools.lru_cache(maxsize=1)  # checked at the door, and read again to train
def _read(name: str, spec: EnvSpec, stamp: tuple) -> Transition:
    with _in_a_sentence(name):
        storage = _open(name, spec)
        start = int(getattr(storage.action_space, "start", 0))
        episodes = storage.get_episodes(range(storage.total_episodes))
        parts = [_episode(name, spec, start, raw) for raw in episodes]
    if not sum(len(part.reward) for part in parts):
        raise ConfigError(f"{FIELD} is {name!r}, which is empty: it has no transitions")
    return on_host(map(np.concatenate, zip(*parts, strict=True)))


@contextlib.contextmanager
def _in_a_sentence(name: str) -> Iterator[None]:
    """Whatever a broken file raises, as a ConfigError."""
    try:
        yield
    except ConfigError:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200] or "it is not what it should be"
        raise ConfigError(
            f"{FIELD} is {name!r}, which cannot be read: "
            f"{type(error).__name__}: {reason}"
        ) from None


def _open(name: str, spec: EnvSpec) -> "MinariStorage":
    """Minari's reader of a data set that fits the task; no data is read yet."""
    from minari import __version__, supported_dataset_versions
    from minari.dataset.minari_storage import MinariStorage

    data = find(name) / "data"
    metadata = MinariStorage.read_raw_metadata(data)
    # The only door to foreign code: where the spaces are not in the metadata, Minari
    # makes the environment that the metadata name, and its entry point may be any
    # function of any module. MinariDataset would read that entry too, though it does
    # not call it, and fails at one of another version of gymnasium.
    for key in ("observation_space", "action_space"):
        if not isinstance(metadata.get(key), str):
            raise ConfigError(
                f"{FIELD} is {name!r}, whose metadata have no {key}: to find it, the "
                f"code of an environment that the data name would have to be run"
            )
    if metadata["data_format"] != FORMAT:
        raise ConfigError(
            f"{FIELD} is {name!r}, whose format is {metadata['data_format']!r}, but "
            f"must be {FORMAT!r}"
        )
    if metadata["minari_version"] not in supported_dataset_versions:
        raise ConfigError(
            f"{FIELD} is {name!r}, written by Minari {metadata['minari_version']}, "
            f"which the installed Minari {__version__} does not read"
        )
    check_task(name, spec, metadata)
    storage = MinariStorage.read(data)
    check_obs_space(name, spec, storage.observation_space)
    check_action_space(name, spec, storage.action_space)
    return storage


def _episode(name: str, spec: EnvSpec, start: int, raw: dict[str, Any]) -> Transition:
    """One episode of T steps as Minari hands it out -> arrays [T, ...], agent units."""
    length, size = len(raw["rewards"]), spec.obs_size
    ends = np.zeros(length, bool)
    ends[-1:] = True
    obs = _numbers(name, raw, "observations", (length + 1, size))
    flags = [np.asarray(raw[key], bool) for key in ("terminations", "truncations")]
    for flag in flags:
        if flag.shape != (length,):
            raise ValueError(f"episode {raw['id']} has {flag.shape} flags of {length}")
    width = 1 if spec.num_actions else spec.action_size
    own = _numbers(name, raw, "actions", (length, width))
    columns = (
        obs[:-1].astype(np.float32),
        _agent_units(name, spec, own, start),
        _numbers(name, raw, "rewards", (length,)).astype(np.float32),
        1 - flags[0].astype(np.float32),
        flags[0] | flags[1] | ends,
        obs[1:].astype(np.float32),
    )
    return on_host(columns)


def _numbers(
    name: str, raw: dict[str, Any], key: str, shape: tuple[int, ...]
) -> np.ndarray:
    """raw[key] in `shape`, flattened row by row, if float32 can hold every number."""
    array = np.asarray(raw[key])
    if len(array) != shape[0]:
        raise ValueError(f"episode {raw['id']} has {len(array)} {key}, not {shape[0]}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"episode {raw['id']} has {key} of type {array.dtype}")
    array = array.reshape(shape)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused
        finite = np.isfinite(array.astype(np.float32)).all()
    if not finite:
        raise ConfigError(
            f"{FIELD} is {name!r}, whose {key} of episode {raw['id']} are not all "
            f"finite float32"
        )
    return array


def _agent_units(name: str, spec: EnvSpec, own: np.ndarray, start: int) -> np.ndarray:
    """Own units [T, A], or integers [T, 1] from `start` -> [T, A] float32."""
    if spec.num_actions:
        choice = own[:, 0].astype(np.int64) - start
        allowed = (choice >= 0) & (choice < spec.num_actions)
        if not (allowed & (own[:, 0] == choice + start)).all():
            raise ConfigError(
                f"{FIELD} is {name!r}, which has actions other than the integers "
                f"{start}..{start + spec.num_actions - 1}"
            )
        return np.eye(spec.num_actions, dtype=np.float32)[choice]
    centre, half = centre_and_half(spec)
    # a dimension that can have one value only has no units
    scaled = (own - centre) / np.where(half > 0, half, 1)
    return np.where(half > 0, scaled, 0).astype(np.float32)
