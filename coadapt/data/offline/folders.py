"""Minari's folder, and the names of data sets in it."""

import os
import re
from pathlib import Path

from coadapt.schema import ConfigError, nearest, shown

_LONGEST = 255  # bytes of a name
FIELD = "data.dataset"  # what a message of `read` calls the name
FORMAT = "hdf5"


def place(name: str) -> Path:
    """The folder that a data set has, or would have.

    Raises: ConfigError.
    """
    check_name(name)
    return minari_folder() / name


def refuse_taken(name: str) -> Path:
    """The folder that `write` would make.

    Raises:
        ConfigError: one sentence, if `write` would refuse the name.
    """
    target, root = place(name), minari_folder()
    above = [root / folder for folder in Path(name).parents[:-1]]
    if os.path.lexists(target) or any((path / "data").is_dir() for path in above):
        raise ConfigError(
            f"the data set {name!r} exists already, or another in place of its folder, "
            f"at {target}, and nothing is overwritten: raise the version"
        )
    return target


def minari_folder() -> Path:
    """Minari's folder, made if it is not there.

    Raises: ConfigError.
    """
    from minari.storage.datasets_root_dir import get_dataset_path

    try:
        return get_dataset_path()
    except OSError as error:
        raise ConfigError(
            f"Minari's folder {error.filename!r} cannot be made: {error.strerror}; "
            "another is set by MINARI_DATASETS_PATH"
        ) from None


def find(name: str) -> Path:
    """The folder of a local data set."""
    root = minari_folder()
    # a name that is not Minari's is not looked for: '../x' would lead elsewhere
    if parsed_name(name) is not None and (root / name / "data").is_dir():
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


def parsed_name(name: str) -> tuple[str | None, str, int] | None:
    """Namespace, name and version of a data set's name; None if it is not Minari's."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        return parse_dataset_id(name)
    except (ValueError, TypeError):  # the latter, of Minari 0.5.4, without a version
        return None


def check_name(name: str) -> str | None:
    """The namespace, or ConfigError with the name that was probably meant."""
    if len(os.fsencode(name)) > _LONGEST:
        raise ConfigError(
            f"the data set's name is {shown(name)}, which is too long: it must have at "
            f"most {_LONGEST} bytes, as a file's name has"
        )
    parsed = parsed_name(name)
    folders = name.split("/")[:-1]
    # Minari takes a folder that has a folder 'data' for a data set
    if parsed is not None and "data" not in folders and "" not in folders:
        return parsed[0]
    clean = re.sub(r"[^-\w/]+", "-", name).strip("-/") or "data-set"
    parts = ["dataset" if part == "data" else part for part in clean.split("/") if part]
    meant = "/".join(parts)
    meant = meant if re.search(r"-v\d+$", meant) else f"{meant}-v0"
    hint = f": {meant!r}" if meant != name and parsed_name(meant) is not None else ""
    raise ConfigError(
        f"the data set's name is {name!r}, but must be 'name-v0' or "
        f"'namespace/name-v0', of letters, digits, - and _, no namespace of one letter "
        f"or called 'data', and with a version{hint}"
    )
