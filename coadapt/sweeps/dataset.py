"""What the agents of a run saw, as a data set: kept in the workdir until it is written.

    <workdir>/dataset/seed3.npz    of one agent: transitions in the order of time
    <workdir>/dataset.json         the data set's name, what it is of, and its hash

An agent's file is there before its cell is finished, and all go once the data set is
there. So a run that was killed goes on as runs do, from the data set's own write too,
and the same command again finds the data set whole.
"""

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from coadapt import envs
from coadapt.data import offline
from coadapt.runner import Snapshot
from coadapt.runs import files, store
from coadapt.schema import ConfigError
from coadapt.sweeps.asked import Group, Sweep
from coadapt.sweeps.header import header
from coadapt.sweeps.resume import done_of
from coadapt.types import Transition
from coadapt.version import __version__

# what NumPy raises at a file that is not what it says
_BROKEN = (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile)
FOLDER, RECORD = "dataset", "dataset.json"


def refuse(name: str, asked: Sweep, workdir: Path) -> None:
    """Before anything starts.

    Raises: ConfigError.

    Where the name is taken, unless by the data set of this run; and where what finished
    agents saw is not there.
    """
    if is_whole(name, asked, workdir):
        return
    offline.refuse_taken(name)
    held = set(files.names(workdir / FOLDER))
    done = done_of(workdir, header(asked))
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
    held, about = workdir / FOLDER, _about(name, asked)
    if not is_whole(name, asked, workdir):
        runs = _runs(held, asked.seeds)
        offline.refuse_taken(name)
        # before it is there: what a kill leaves whole is this run's, too
        files.replace(workdir / RECORD, files.sealed({**about, "hash": ""}))
        said = (
            f"What {len(runs)} agents of {about['variant']} of coadapt {__version__} "
            "saw, the last of it being the newest."
        )
        offline.write(name, envs.spec(about["task"]), runs, about=said)
    found = offline.digest(name, envs.spec(about["task"]))
    files.replace(workdir / RECORD, files.sealed({**about, "hash": found}))
    shutil.rmtree(held, ignore_errors=True)
    return offline.place(name)


def is_whole(name: str, asked: Sweep, workdir: Path) -> bool:
    """Whether it is there, of just what is asked for, with the numbers it was made of.

    Raises: ConfigError; StoreError.
    """
    said, about = files.unsealed(workdir / RECORD), _about(name, asked)
    if said is None or said != {**about, "hash": said.get("hash")}:
        return False
    if not offline.place(name).exists():
        return False
    return said["hash"] in ("", offline.digest(name, envs.spec(about["task"])))


def _about(name: str, asked: Sweep) -> dict[str, Any]:
    """Of whose transitions it is."""
    ((task, (variant,)),) = asked.variants.items()
    return {
        "name": name,
        "task": task,
        "variant": variant.name,
        "seeds": list(asked.seeds),
        "steps": asked.steps_of(task, variant),
    }


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
