"""What the agents of a run saw, as a data set: kept in the workdir until it is written.

    <workdir>/dataset/seed3.npz    of one agent: transitions in the order of time
    <workdir>/dataset/name         of the data set, once it is being written

An agent's file is there before its cell is finished, and all go once the data set is
there. So a run that was killed goes on as runs do, from the data set's own write too.
"""

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from coadapt import envs, files, store, sweep
from coadapt.data import offline
from coadapt.runner import Snapshot
from coadapt.schema import ConfigError
from coadapt.sweep import Group, Sweep
from coadapt.types import Transition
from coadapt.version import __version__

# what NumPy raises at a file that is not what it says
_BROKEN = (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile)
FOLDER, NAME = "dataset", "name"


def refuse(name: str, asked: Sweep, workdir: Path) -> None:
    """Before anything starts.

    Raises: ConfigError.

    Where the name is taken, unless by the data set that a kill left whole; and where
    what finished agents saw is not there.
    """
    held = set(files.names(workdir / FOLDER))
    if not _is_ours(name, workdir):
        offline.refuse_taken(name)
    done = sweep.done_of(workdir, sweep.header(asked))
    gone = [str(seed) for seed in asked.seeds if _file(seed) not in held]
    lost = [seed for seed in gone if any(cell.seed == int(seed) for cell in done)]
    if lost:
        raise ConfigError(
            f"--save_dataset is {name!r}: nothing was run of seeds {', '.join(lost)}, "
            "which are finished, and what they saw is not kept; use a new --workdir."
        )


def hold(workdir: Path, group: Group, result: Snapshot) -> None:
    """The replays of all agents of a program.

    Raises: StoreError.
    """
    folder = workdir / FOLDER
    files.make(folder)
    stores = jax.device_get(result.learner.store)
    for i, agent in enumerate(group.agents):
        seen = offline.from_store(jax.tree.map(lambda x, i=i: x[i], stores))
        path = folder / _file(agent.seed)
        temporary = path.with_suffix(".tmp")
        with files.writing(path):
            with temporary.open("wb") as file:
                np.savez(file, **seen._asdict())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)


def write(name: str, asked: Sweep, workdir: Path) -> Path:
    """The data set of all agents, in the order of their seeds; what was held goes.

    Returns:
        its folder.
    Raises: ConfigError; StoreError.
    """
    ((task, (variant,)),) = asked.variants.items()
    held = workdir / FOLDER
    if not _is_ours(name, workdir):
        runs = _runs(held, asked.seeds)
        who = f"{variant.name} of coadapt {__version__}"
        about = (
            f"What {len(runs)} agents of {who} saw, the last of it being the newest."
        )
        offline.refuse_taken(name)
        files.replace(held / NAME, name)
        offline.write(name, envs.spec(task), runs, about=about)
    shutil.rmtree(held)
    return offline.place(name)


def _is_ours(name: str, workdir: Path) -> bool:
    """Whether a kill left the data set whole, and what was held beside it."""
    said = files.read(workdir / FOLDER / NAME)
    return said == name and offline.place(name).exists()


def _runs(held: Path, seeds: Sequence[int]) -> list[Transition]:
    found = []
    for seed in seeds:
        try:
            with np.load(held / _file(seed)) as arrays:
                found.append(Transition(**arrays))
        except _BROKEN as error:
            raise store.StoreError(
                f"{str(held / _file(seed))!r} cannot be read ({error}): use a new "
                "--workdir for a data set."
            ) from None
    return found


def _file(seed: int) -> str:
    return f"seed{seed}.npz"
