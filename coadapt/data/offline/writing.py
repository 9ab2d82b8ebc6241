"""Transitions written as a data set in Minari's format."""

import contextlib
import dataclasses
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import filelock
import numpy as np

from coadapt.data.offline.folders import FORMAT, check_name, minari_folder, refuse_taken
from coadapt.data.offline.transitions import ends_of, on_host
from coadapt.envs import host
from coadapt.envs.base import own_units
from coadapt.envs.loop import close
from coadapt.schema import ConfigError
from coadapt.types import EnvSpec, Transition

if TYPE_CHECKING:
    import gymnasium
    from minari.data_collector import EpisodeBuffer


def write(
    name: str, spec: EnvSpec, transitions: Sequence[Transition], *, about: str
) -> Path:
    """A new local data set; its folder appears when it is complete.

    Args:
        name: of Minari, with its version, 'half-cheetah/sac-medium-v0'.
        transitions: runs in the order of time, each of numpy arrays [C, ...] in
            agent units. A run may begin within an episode; one that ends within an
            episode is stored as truncated there.
        about: a sentence for the reader of the data set.
    Returns:
        the folder.
    Raises:
        ConfigError: one sentence, if the name is not Minari's or is taken, or if there
            are no transitions or numbers that are not finite.
        ValueError: if a run is not one: an observation within an episode is not the
            successor of the one before.
    """
    target = refuse_taken(name)
    runs = [on_host(map(np.asarray, run)) for run in transitions]
    for run in runs:
        _check_run(name, spec, run)
    if not sum(len(run.reward) for run in runs):
        raise ConfigError(f"the data set {name!r} would be empty: no transitions came")
    with _unfinished(name) as unfinished:
        _fill(unfinished / "data", name, spec, runs, about)
        _make_namespace(check_name(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.rename(target)
    return target


@contextlib.contextmanager
def _unfinished(name: str) -> Iterator[Path]:
    """A folder for a data set that is being written; of one that was killed, its own.

    Hidden, so that Minari lists no half of a data set.

    Raises:
        ConfigError: if another process writes it.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = minari_folder() / f".unfinished-{digest}"
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
    for last in np.flatnonzero(ends_of(run)):
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
