"""Data sets in Minari's format, and the store of transitions that one becomes.

On disk a data set is in the environment's own units, as others write and expect it:
actions in the task's own box, or integers. Everything in memory is in agent units: box
actions in [-1, 1]^A, mapped affinely and without clipping; discrete actions one-hot,
A = n. Minari is imported when a data set is opened, not with this module.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import filelock
import jax
import jax.numpy as jnp
import numpy as np

from coadapt.data import replay
from coadapt.envs import host
from coadapt.envs.base import centre_and_half, own_units
from coadapt.envs.loop import close
from coadapt.notes import note_once
from coadapt.schema import ConfigError, nearest, shown
from coadapt.types import EnvSpec, Transition

if TYPE_CHECKING:
    import gymnasium
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

_LONGEST = 255  # bytes of a name
FIELD = "data.dataset"  # what a message of `read` calls the name
FORMAT = "hdf5"
# What Minari, h5py and numpy raise at a file that is not what it says: there is no one
# type, and asserts are among them. NotImplementedError is a RuntimeError.
_BROKEN = (
    MemoryError,
    OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError,
    RuntimeError, OverflowError,
)  # fmt: skip


class Summary(NamedTuple):
    """How good the policy was that made a data set: undiscounted returns."""

    transitions: int
    episodes: int  # those whose returns are counted
    mean: float
    std: float  # over episodes, the population's


def read(name: str, spec: EnvSpec) -> Transition:
    """A local data set in agent units, its episodes one after the other.

    Nothing is downloaded, and no code that comes with the data is run: spaces are JSON
    and HDF5 holds plain arrays. See `_open` for the one door there is.

    Args: name: of Minari, 'half-cheetah/sac-medium-v0'; spec: of the task it is for.
    Returns: numpy arrays [C, ...], float32 and bool. `last` is set where an episode
    terminated, was truncated, or just stops; `next_obs` is the true successor.
    Raises: ConfigError, one sentence, if there is no such data set, it does not fit the
    task, is empty or broken, or holds numbers that are not finite.
    """
    return _read(name, spec, _stamp(name))


def digest(name: str, spec: EnvSpec) -> str:
    """A hash of the numbers that `read` gives: equal where agents learn from the same.

    Raises: as `read`.
    """
    return _digest(name, spec, _stamp(name))


def _stamp(name: str) -> tuple:
    """Another one whenever a file of the data set was written. Raises: ConfigError."""
    with _in_a_sentence(name):
        files = sorted(_find(name).rglob("*"))
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
    return _on_host(map(np.concatenate, zip(*parts, strict=True)))


def write(
    name: str, spec: EnvSpec, transitions: Sequence[Transition], *, about: str
) -> Path:
    """A new local data set; its folder appears when it is complete.

    Args: name: of Minari, with its version, 'half-cheetah/sac-medium-v0'; transitions:
    runs in the order of time, each of numpy arrays [C, ...] in agent units. A run may
    begin within an episode; one that ends within an episode is stored as truncated
    there. about: a sentence for the reader of the data set.
    Returns: the folder.
    Raises: ConfigError, one sentence, if the name is not Minari's or is taken, or if
    there are no transitions or numbers that are not finite. ValueError if a run is not
    one: an observation within an episode is not the successor of the one before.
    """
    target = refuse_taken(name)
    runs = [_on_host(map(np.asarray, run)) for run in transitions]
    for run in runs:
        _check_run(name, spec, run)
    if not sum(len(run.reward) for run in runs):
        raise ConfigError(f"the data set {name!r} would be empty: no transitions came")
    with _unfinished(name) as unfinished:
        _fill(unfinished / "data", name, spec, runs, about)
        _make_namespace(_check_name(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.rename(target)
    return target


@contextlib.contextmanager
def _unfinished(name: str) -> Iterator[Path]:
    """A folder for a data set that is being written; of one that was killed, its own.

    Hidden, so that Minari lists no half of a data set. Raises: ConfigError, if another
    process writes it.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = _root() / f".unfinished-{digest}"
    lock = filelock.FileLock(f"{folder}.lock", timeout=0)
    try:
        with lock:
            shutil.rmtree(folder, ignore_errors=True)  # what a kill left
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                Path(lock.lock_file).unlink(missing_ok=True)
    except filelock.Timeout:
        raise ConfigError(
            f"the data set {name!r} is being written by another process"
        ) from None


def place(name: str) -> Path:
    """The folder that a data set has, or would have. Raises: ConfigError."""
    _check_name(name)
    return _root() / name


def refuse_taken(name: str) -> Path:
    """The folder that `write` would make.

    Raises: ConfigError, one sentence, if `write` would refuse the name.
    """
    target, root = place(name), _root()
    above = [root / folder for folder in Path(name).parents[:-1]]
    if os.path.lexists(target) or any((path / "data").is_dir() for path in above):
        raise ConfigError(
            f"the data set {name!r} exists already, or another in place of its folder, "
            f"at {target}, and nothing is overwritten: raise the version"
        )
    return target


def store(transitions: Transition) -> replay.Store:
    """A full store of exactly these transitions, in agent units: count C, tail 0.

    Each observation is stored once within an episode, as `replay.add` does; a
    successor that the next transition does not start at takes a row of its own, whether
    or not the episode ended there. `head` is the last successor's row: nothing acts.
    Args: leaves [C, ...], C at least 1. Returns: R = C + 1 + such successors rows.
    """
    obs, action, reward, discount, last, next_obs = map(np.asarray, transitions)
    count = len(reward)
    ends = _ends(transitions)
    before = np.cumsum(ends) - ends  # rows that went to successors, up to each
    row = np.arange(count) + before
    rows = np.empty((row[-1] + 2, obs.shape[1]), np.float32)
    # where an episode goes on the second is the same number as the first
    rows[row + 1] = next_obs
    rows[row] = obs
    return replay.Store(
        obs=jnp.array(rows),
        action=jnp.array(action, jnp.float32),
        reward=jnp.array(reward, jnp.float32),
        discount=jnp.array(discount, jnp.float32),
        last=jnp.array(last, bool),
        row=jnp.array(row, jnp.int32),
        head=jnp.int32(row[-1] + 1),
        count=jnp.int32(count),
        tail=jnp.int32(0),
    )


def from_store(store: replay.Store) -> Transition:
    """All that the store of ONE agent holds, oldest first: numpy arrays [C, ...].

    Of several environments, all of one's before the next one's.
    """
    held: Any = jax.tree.map(np.asarray, store)
    ends = zip(np.atleast_1d(held.tail), np.atleast_1d(held.count), strict=True)
    index: Any = [
        replay.places(held, env, np.arange(tail, count, dtype=np.int32))  # type: ignore[arg-type]
        for env, (tail, count) in enumerate(ends)
    ]
    return replay.gather(held, np.concatenate(index))  # type: ignore[arg-type]


def describe(transitions: Transition) -> Summary:
    """Returns of the episodes that came to an end; of all that there is, if none did.

    One that begins within an episode, as the oldest of a ring may, cannot be told from
    a whole one, nor can one that a data set stored as truncated.
    Args: leaves [C, ...], in the order of time, C at least 1.
    """
    ends = np.flatnonzero(_ends(transitions))
    starts = np.concatenate([[0], ends[:-1] + 1])
    returns = np.add.reduceat(np.asarray(transitions.reward, np.float64), starts)
    finished = np.asarray(transitions.last)[ends]
    kept = returns[finished] if finished.any() else returns
    return Summary(
        transitions=len(transitions.reward),
        episodes=len(kept),
        mean=float(kept.mean()),
        std=float(kept.std()),
    )


def _on_host(columns: Iterable[Any]) -> Transition:
    """A Transition of numpy arrays, which its hints do not name."""
    return Transition(*columns)


def _ends(transitions: Transition) -> np.ndarray:
    """Where the next transition does not start at this one's successor. [C] bool."""
    obs, next_obs = np.asarray(transitions.obs), np.asarray(transitions.next_obs)
    ends = np.array(transitions.last, bool)
    ends[:-1] |= (obs[1:] != next_obs[:-1]).any(axis=1)
    ends[-1:] = True
    return ends


# Reading


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

    data = _find(name) / "data"
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
    _check_task(name, spec, metadata)
    storage = MinariStorage.read(data)
    _check_obs_space(name, spec, storage.observation_space)
    _check_action_space(name, spec, storage.action_space)
    return storage


def _root() -> Path:
    """Minari's folder, made if it is not there. Raises: ConfigError."""
    from minari.storage.datasets_root_dir import get_dataset_path

    try:
        return get_dataset_path()
    except OSError as error:
        raise ConfigError(
            f"Minari's folder {error.filename!r} cannot be made: {error.strerror}; "
            "another is set by MINARI_DATASETS_PATH"
        ) from None


def _find(name: str) -> Path:
    """The folder of a local data set."""
    root = _root()
    # a name that is not Minari's is not looked for: '../x' would lead elsewhere
    if _parse(name) is not None and (root / name / "data").is_dir():
        return root / name
    found = root.glob("**/data/metadata.json")
    names = (path.parents[1].relative_to(root).as_posix() for path in found)
    local = sorted(other for other in names if not other.startswith("."))
    where = "which" if "MINARI_DATASETS_PATH" in os.environ else "unless another folder"
    raise ConfigError(
        f"{FIELD} is {name!r}, but Minari's folder {root} ({where} is set by "
        "MINARI_DATASETS_PATH) has no such data set, and none is downloaded: "
        "--save_dataset writes one"
        f"{nearest(name, local)}"
    )


def _check_task(name: str, spec: EnvSpec, metadata: dict[str, Any]) -> None:
    """Refuse data of another task; of another version of it, a note.

    Sizes alone do not tell: those of HalfCheetah and Walker2d are equal.
    """
    theirs = _task_of(metadata)
    if theirs in ("", spec.task):
        return
    if _without_version(theirs) == _without_version(spec.task):
        note_once(f"{FIELD} is {name!r}, whose data are of {theirs}, not {spec.task}")
        return
    raise ConfigError(
        f"{FIELD} is {name!r}, whose data are of {theirs}, but the task is "
        f"{spec.task}: choose that task, or another data set; where both are one, "
        f"write {spec.task!r} as 'task' into its metadata.json"
    )


def _task_of(metadata: dict[str, Any]) -> str:
    """Of which task a data set says that it is, in our names; '' if it does not."""
    if isinstance(metadata.get("task"), str):
        return metadata["task"]
    try:
        found = json.loads(metadata["env_spec"])["id"]
    except (LookupError, TypeError, ValueError):
        return ""
    return f"gym/{found}" if isinstance(found, str) else ""


def _without_version(task: str) -> str:
    """'gym/Hopper' of 'gym/package:Hopper-v5?key=value', 'brax/ant' of
    'brax/ant:spring'."""
    family, _, name = task.partition("?")[0].partition("/")
    parts = name.split(":")
    return f"{family}/{re.sub(r'-v[0-9]+$', '', parts[-1 if family == 'gym' else 0])}"


def _check_obs_space(name: str, spec: EnvSpec, space: "gymnasium.Space") -> None:
    from gymnasium.spaces import Box

    if not isinstance(space, Box):
        raise ConfigError(
            f"{FIELD} is {name!r}, whose observations are of {_show(space)}, but must "
            f"be a Box"
        )
    size = int(np.prod(space.shape))
    if size != spec.obs_size:
        raise ConfigError(
            f"{FIELD} is {name!r}, whose observations have size {size}, but those of "
            f"{spec.task} have {spec.obs_size}"
        )


def _check_action_space(name: str, spec: EnvSpec, space: "gymnasium.Space") -> None:
    from gymnasium.spaces import Box, Discrete

    has = f"{FIELD} is {name!r}, whose actions"
    if spec.num_actions:
        if not isinstance(space, Discrete) or int(space.n) != spec.num_actions:
            raise ConfigError(
                f"{has} are of {_show(space)}, but those of {spec.task} are "
                f"Discrete({spec.num_actions})"
            )
        return
    if not isinstance(space, Box):
        raise ConfigError(
            f"{has} are of {_show(space)}, but those of {spec.task} are a Box of size "
            f"{spec.action_size}"
        )
    size = int(np.prod(space.shape))
    if size != spec.action_size:
        raise ConfigError(
            f"{has} have size {size}, but those of {spec.task} have {spec.action_size}"
        )
    # Other bounds are other units, such as of a wrapper that rescales: the numbers
    # would be read as actions that they are not. No bounds say nothing.
    for side, ours in (("low", spec.action_low), ("high", spec.action_high)):
        theirs = np.ravel(getattr(space, side)).astype(np.float64)
        differ = ~np.isclose(theirs, ours, rtol=1e-4, atol=1e-6) & np.isfinite(theirs)
        if differ.any():
            i = int(np.argmax(differ))
            raise ConfigError(
                f"{has} have {theirs[i]:g} for {side} of dimension {i}, but those of "
                f"{spec.task} have {ours[i]:g}"
            )


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
    return _on_host(columns)


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


# Units


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


# Writing


def _parse(name: str) -> tuple[str | None, str, int] | None:
    """Namespace, name and version of a data set's name; None if it is not Minari's."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        return parse_dataset_id(name)
    except (ValueError, TypeError):  # the latter, of Minari 0.5.4, without a version
        return None


def _check_name(name: str) -> str | None:
    """The namespace, or ConfigError with the name that was probably meant."""
    if len(os.fsencode(name)) > _LONGEST:
        raise ConfigError(
            f"the data set's name is {shown(name)}, which is too long: it must have at "
            f"most {_LONGEST} bytes, as a file's name has"
        )
    parsed = _parse(name)
    folders = name.split("/")[:-1]
    # Minari takes a folder that has a folder 'data' for a data set
    if parsed is not None and "data" not in folders and "" not in folders:
        return parsed[0]
    clean = re.sub(r"[^-\w/]+", "-", name).strip("-/") or "data-set"
    parts = ["dataset" if part == "data" else part for part in clean.split("/") if part]
    meant = "/".join(parts)
    meant = meant if re.search(r"-v\d+$", meant) else f"{meant}-v0"
    hint = f": {meant!r}" if meant != name and _parse(meant) is not None else ""
    raise ConfigError(
        f"the data set's name is {name!r}, but must be 'name-v0' or "
        f"'namespace/name-v0', of letters, digits, - and _, no namespace of one letter "
        f"or called 'data', and with a version{hint}"
    )


def _check_run(name: str, spec: EnvSpec, run: Transition) -> None:
    """Shapes, finite numbers, and that the run is one in time."""
    count = len(run.reward)
    wide = {"obs": spec.obs_size, "action": spec.action_size, "next_obs": spec.obs_size}
    for key, column in run._asdict().items():
        shape = (count, wide[key]) if key in wide else (count,)
        if column.shape != shape:
            raise ValueError(f"{key} must have shape {shape}, got {column.shape}")
        if not np.isfinite(column).all():
            raise ConfigError(
                f"the data set {name!r} would have numbers in {key} that are not "
                f"finite: none is written"
            )
    obs, next_obs, last = map(np.asarray, (run.obs, run.next_obs, run.last))
    broken = (obs[1:] != next_obs[:-1]).any(axis=1) & ~last[:-1]
    if broken.any():
        raise ValueError(
            f"transition {np.argmax(broken) + 1} does not start where the one before "
            f"ended, although the episode goes on: these are several runs"
        )
    if spec.num_actions and not (
        np.isin(run.action, (0, 1)).all() and (np.sum(run.action, axis=1) == 1).all()
    ):
        raise ValueError("discrete actions must be one-hot")


class _Spaces(NamedTuple):
    obs: "gymnasium.spaces.Box"
    action: Any  # Box or Discrete
    env: Any  # gymnasium's EnvSpec, for Minari to make the environment again, or None


def _spaces(spec: EnvSpec) -> _Spaces:
    """Those of the environment, where gymnasium makes it, else those of the task."""
    import gymnasium
    from gymnasium.spaces import Box, Discrete

    family, _, name = spec.task.partition("/")
    if family == "gym" and host.parsed(name).id in gymnasium.registry:
        env = host.gym_env(name)
        obs, action = env.observation_space, env.action_space
        close(env)
        if isinstance(obs, Box) and isinstance(action, Box | Discrete):
            return _Spaces(obs, action, _env_spec(name))
    if spec.num_actions:
        action = Discrete(spec.num_actions)
    else:
        low, high = (
            np.array(x, np.float32) for x in (spec.action_low, spec.action_high)
        )
        action = Box(low, high, dtype=np.float32)
    return _Spaces(Box(-np.inf, np.inf, (spec.obs_size,), np.float32), action, None)


def _env_spec(name: str) -> Any:
    """What gymnasium registers, if it can be written as JSON, else None."""
    entry = host.registered(name)
    kwargs = {**entry.kwargs, **host.parsed(name).kwargs}
    env_spec = dataclasses.replace(entry, kwargs=kwargs)
    try:
        env_spec.to_json()
    except (TypeError, ValueError, AssertionError):  # such as a function, not its name
        return None
    return env_spec


def _fill(
    folder: Path, name: str, spec: EnvSpec, runs: Sequence[Transition], about: str
) -> None:
    """Writes the runs as Minari's storage into a new folder."""
    from minari import __version__
    from minari.dataset.minari_storage import MinariStorage

    spaces = _spaces(spec)
    # Minari's own create_dataset_from_buffers makes the environment once more and
    # warns of every field that a paper's data set would have.
    storage = MinariStorage.new(
        folder,
        observation_space=spaces.obs,
        action_space=spaces.action,
        env_spec=spaces.env,
        data_format=FORMAT,
        jpeg_encoding=False,  # images are to come back as they were
    )
    storage.update_metadata(
        {
            "dataset_id": name,
            "minari_version": __version__,
            "description": about,
            "task": spec.task,
            "provider": spec.provider,
        }
    )
    storage.update_episodes(
        buffer for run in runs for buffer in _buffers(spec, spaces, run)
    )


def _buffers(
    spec: EnvSpec, spaces: _Spaces, run: Transition
) -> Iterator["EpisodeBuffer"]:
    """The episodes of a run in own units and in the shapes of the environment."""
    from minari.data_collector import EpisodeBuffer

    start = int(getattr(spaces.action, "start", 0))
    own = own_units(spec, np.asarray(run.action), len(run.reward))
    own = (own + start).reshape(-1, *spaces.action.shape).astype(spaces.action.dtype)
    # floats stay float32, which is all that they are; pixels become bytes again
    whole = np.issubdtype(spaces.obs.dtype, np.integer)
    dtype = spaces.obs.dtype if whole else np.float32
    begin = 0
    for last in np.flatnonzero(_ends(run)):
        end = int(last) + 1
        rows = np.concatenate([run.obs[begin:end], run.next_obs[last:end]])
        terminated = np.asarray(run.discount[begin:end]) == 0
        truncated = np.zeros(end - begin, bool)
        truncated[-1] = not terminated[-1]
        columns: dict[str, Any] = {  # arrays, where Minari's hints say lists
            "observations": rows.reshape(-1, *spaces.obs.shape).astype(dtype),
            "actions": own[begin:end],
            "rewards": np.asarray(run.reward[begin:end], np.float32),
            "terminations": terminated,
            "truncations": truncated,
            "infos": {},  # and not None, at which Minari cannot print an episode
        }
        yield EpisodeBuffer(**columns)
        begin = end


def _make_namespace(namespace: str | None) -> None:
    """The note that Minari keeps in the folder of a namespace."""
    from minari.namespace import create_namespace, list_local_namespaces

    if namespace is not None and namespace not in list_local_namespaces():
        create_namespace(namespace)


def _show(space: object) -> str:
    """'Dict', 'MultiDiscrete', 'Discrete(3)': short, for a message."""
    n = getattr(space, "n", "")
    return type(space).__name__ + (f"({n})" if np.ndim(n) == 0 and n else "")
