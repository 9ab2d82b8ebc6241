"""Execute the notebooks at their own sizes, and write them as pages of the documents.

Examples:
  python -m tools.notebooks                               all, into docs/notebooks
  python -m tools.notebooks --only=01_taxonomy,04_failure

Each runs in an empty folder, which is thrown away. Needs the extra 'notebooks'.
"""

import ast
import base64
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import flags

from coadapt.cli import command, compiled
from coadapt.cli.values import Values, get, listed
from coadapt.runs import store
from coadapt.schema import ConfigError, nearest

if TYPE_CHECKING:
    import traitlets.config
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
BOOKS, PAGES = ROOT / "notebooks", ROOT / "docs" / "notebooks"
SIZES = "parameters"  # the tag of the cell that has the sizes, as papermill has it
INSTALL = "pip install -c constraints.txt -e '.[notebooks]'"
_MINUTES = 60  # that a cell may take

# ---------------------------------------------------------------- reading, executing


def names(folder: Path = BOOKS) -> list[str]:
    """The notebooks that there are, without their suffix."""
    return sorted(path.stem for path in folder.glob("*.ipynb"))


def read(name: str, folder: Path = BOOKS) -> "NotebookNode":
    """A notebook by its name. Raises: ConfigError if there is none."""
    import nbformat

    if name not in names(folder):
        raise ConfigError(
            f"notebook is {name!r}: there are {', '.join(names(folder))}"
            f"{nearest(name, names(folder))}"
        )
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


def parameters(book: "NotebookNode") -> dict[str, object]:
    """The sizes that a notebook has, by the name that is assigned.

    Raises: ConfigError unless one cell is tagged so, and has plain assignments alone.
    """
    found = [cell for cell in book.cells if SIZES in cell.metadata.get("tags", ())]
    if len(found) != 1:
        raise ConfigError(f"{len(found)} cells are tagged {SIZES!r}: it must be one.")
    made = {}
    for line in ast.parse(found[0].source).body:
        if not isinstance(line, ast.Assign) or not isinstance(
            line.targets[0], ast.Name
        ):
            raise ConfigError(
                f"the cell {SIZES!r} has {ast.unparse(line)!r}: it must have plain "
                "assignments alone."
            )
        made[line.targets[0].id] = ast.literal_eval(line.value)
    return made


def resized(book: "NotebookNode", sizes: Mapping[str, object]) -> "NotebookNode":
    """A copy whose cell of sizes has these values. Raises: ConfigError, of others."""
    there = parameters(book)
    for name in sizes:
        if name not in there:
            raise ConfigError(
                f"the cell {SIZES!r} has no {name}: it has {', '.join(there)}"
                f"{nearest(name, there)}"
            )
    lines = [f"{name} = {value!r}" for name, value in {**there, **sizes}.items()]
    copy = _copy(book)
    for cell in copy.cells:
        if SIZES in cell.metadata.get("tags", ()):
            cell.source = "\n".join(lines)
    return copy


def _copy(book: "NotebookNode") -> "NotebookNode":
    return type(book)(book, cells=[type(cell)(cell) for cell in book.cells])


def execute(book: "NotebookNode", folder: Path) -> "NotebookNode":
    """The notebook with the outputs of a fresh kernel, which works in `folder`.

    Compiled programs are kept where the commands keep them. Raises: ConfigError, which
    names the cell that raised.
    """
    try:
        import nbclient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError
    except ImportError:
        raise ConfigError(f"nbclient is not installed: {INSTALL}.") from None
    copy = _copy(book)
    try:
        with tempfile.TemporaryDirectory() as home:
            nbclient.NotebookClient(
                copy,
                timeout=60 * _MINUTES,
                kernel_name="python3",
                resources={"metadata": {"path": str(folder)}},
                config=_apart(Path(home)),
            ).execute(env=environment(Path(home)))
    except (CellExecutionError, CellTimeoutError) as error:
        done = sum(cell.get("execution_count") is not None for cell in copy.cells)
        raise ConfigError(f"code cell {done}: {_last_line(error)}") from None
    return copy


def _apart(home: Path) -> "traitlets.config.Config":
    """A kernel that is spoken to through files: no port is opened."""
    from traitlets.config import Config

    how = {"transport": "ipc", "connection_file": str(home / "kernel.json")}
    return Config({"KernelManager": how})


def environment(home: Path) -> dict[str, str]:
    """Of the kernel: this process's, with a home of its own and our compiled programs.

    So nothing that Jupyter keeps of the user is read, or written.
    """
    kept = os.environ.get("COADAPT_CACHE", str(compiled.CACHE))
    ours = {
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "TF_CPP_MIN_LOG_LEVEL": "3",  # a busy machine's slow compilation is no output
    }
    if kept:
        ours["JAX_COMPILATION_CACHE_DIR"] = str(Path(kept).expanduser())
    return {**os.environ, **ours}


def _last_line(error: Exception) -> str:
    """Of what a cell raised: its kind and sentence, without colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return [line for line in plain.splitlines() if line.strip()][-1]


# ---------------------------------------------------------------- pages


class Page(NamedTuple):
    """A notebook as the documents show it."""

    text: str  # Markdown
    pictures: dict[str, bytes]  # PNG, by the name of the file beside it


def page(name: str, book: "NotebookNode") -> Page:
    """An executed notebook as Markdown: its text, its code, and what that gave."""
    parts, pictures = [], dict[str, bytes]()
    for cell in book.cells:
        if cell.cell_type == "markdown":
            # pages stand in docs/, beside which the notebooks are
            text = cell.source.replace("](../docs/", "](../")
            parts.append(text.replace(".ipynb)", ".md)"))
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            for output in cell.outputs:
                parts.append(_output(name, output, pictures))
    about = f"<!-- Written by python -m tools.notebooks, of notebooks/{name}.ipynb. -->"
    text = "\n\n".join([*parts[:1], about, *filter(None, parts[1:])])
    return Page(f"{text}\n", pictures)


def _output(name: str, output: "NotebookNode", pictures: dict[str, bytes]) -> str:
    """One output as Markdown; a picture is added to `pictures`."""
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{name}_{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode(data["image/png"])
        return f"![what the cell above draws]({file})"
    if "text/markdown" in data:
        return data["text/markdown"]
    if "text/html" in data:
        return _plain_html(data["text/html"])
    text = output.get("text", data.get("text/plain", ""))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""


def _plain_html(text: str) -> str:
    """A table without its own style, and without the lines that would end HTML."""
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if line.strip())


def render(name: str, out: Path) -> list[Path]:
    """Execute a notebook at its own sizes; write its page and pictures into `out`."""
    with tempfile.TemporaryDirectory() as folder:
        made = page(name, execute(read(name), Path(folder)))
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{name}_*.png"):
        old.unlink()
    (out / f"{name}.md").write_text(made.text, encoding="utf-8")
    for file, data in made.pictures.items():
        (out / file).write_bytes(data)
    return [out / f"{name}.md", *(out / file for file in made.pictures)]


# ---------------------------------------------------------------- the command


def _define(values: Values) -> None:
    flags.DEFINE_string(
        "only", None, "which: 01_taxonomy,... (all)", flag_values=values
    )
    flags.DEFINE_string(
        "out", str(PAGES), "folder of the pages (docs/notebooks)", flag_values=values
    )


def _run(values: Values) -> None:
    chosen = listed(get(values, "only")) or names()
    out = store.expanded(get(values, "out"), "--out")
    for name in chosen:
        read(name)  # a name that is mistyped is said before anything runs
    for name in chosen:
        try:
            written = render(name, out)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
        print(f"written: {', '.join(map(str, written))}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
