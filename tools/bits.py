"""Compare what two commits compute, to the bit: a net below refactoring.

    python tools/bits.py BASE HEAD    commits; HEAD may be '.', the files as they are
        --only=REGEX                  of the names of cases (--list prints them)
        --updates=50 --jobs=2 --cache=DIR

Each case of bits_cases.py is a config. Of it are compared: a new agent, the agent and
its metrics after one update and after 50, the actions that it takes, and its critics'
values. Leaves are compared in order, not by name. Programs are compiled as a user's
are. Both commits run on this machine, each in processes of its own with the commit's
files alone on the path; what a commit gave is kept by its hash, and compiled programs
are kept too, so that a program that did not change is not compiled again.

It ends with 0 if all is equal, else with 1.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import bits_cases

ROOT, HERE = Path(__file__).resolve().parents[1], "."
Leaves = dict[str, list[list[str]]]  # by moment: names and hashes


def _git(*words: str, at: Path = ROOT) -> str:
    done = subprocess.run(
        ["git", *words], cwd=at, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _tree(name: str, cache: Path) -> tuple[str, Path]:
    """The commit's hash, and a folder with its files."""
    if name == HERE:
        return HERE, ROOT
    commit = _git("rev-parse", "--verify", f"{name}^{{commit}}")
    place = cache / "trees" / commit
    if not place.exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", "--force", str(place), commit)
    return commit, place


def _kept(commit: str, cache: Path, updates: int) -> Path | None:
    """Where results of a commit are kept; none of files as they are."""
    if commit == HERE:
        return None
    made = hashlib.sha256(Path(bits_cases.__file__).read_bytes())
    made.update(version("jaxlib").encode())  # which decides bits, too
    return cache / f"{commit}-{made.hexdigest()[:12]}-{updates}.json"


def _child(
    place: Path, cases: list[str], cache: Path, updates: int
) -> Iterator[tuple[str, dict]]:
    """Each case as soon as it is there."""
    env = os.environ | {
        "PYTHONPATH": str(place),
        "BITS_TREE": str(place),
        "BITS_XLA": str(cache / "xla"),
        "BITS_UPDATES": str(updates),
        "JAX_NUM_CPU_DEVICES": "1",
    }
    command = [sys.executable, bits_cases.__file__, *cases]
    with subprocess.Popen(
        command, env=env, cwd=cache, text=True, stdout=subprocess.PIPE
    ) as child:
        for text in child.stdout or ():
            line = json.loads(text)
            yield line.pop("case"), line


def run(name: str, cases: list[str], cache: Path, updates: int, jobs: int) -> dict:
    """{case: {"leaves": ...} or {"error": ...}} of a commit."""
    commit, place = _tree(name, cache)
    kept = _kept(commit, cache, updates)
    known = json.loads(kept.read_text()) if kept and kept.exists() else {}
    todo = [case for case in cases if "leaves" not in known.get(case, {})]
    lock = threading.Lock()
    parts = [part for part in (todo[i::jobs] for i in range(jobs)) if part]

    def measure(part: list[str]) -> None:
        for case, found in _child(place, part, cache, updates):
            with lock:
                known[case] = found
                if kept:
                    kept.write_text(json.dumps(known))

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(measure, parts))
    return {case: known.get(case, {"error": "no answer"}) for case in cases}


def first_difference(base: Leaves, head: Leaves) -> str | None:
    """The first leaf that differs, in words; None where all are equal."""
    for moment in base | head:
        left, right = base.get(moment, []), head.get(moment, [])
        if len(left) != len(right):
            return f"{moment}: {len(left)} leaves, then {len(right)}"
        differ = [r[0] for b, r in zip(left, right, strict=True) if b[1] != r[1]]
        if differ:
            return f"{moment}: {differ[0]}, of {len(differ)} of {len(left)} leaves"
    return None


def compare(base: dict, head: dict) -> dict[str, str]:
    """{case: what differs}, of those that do."""
    found = {}
    for case, left in base.items():
        right = head[case]
        if "error" in left or "error" in right:
            said = (left.get("error", "ran"), right.get("error", "ran"))
            found[case] = f"{said[0]!r}, then {said[1]!r}"
        elif difference := first_difference(left["leaves"], right["leaves"]):
            found[case] = difference
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", nargs="?", default="origin/main")
    parser.add_argument("head", nargs="?", default=HERE)
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    default = Path(tempfile.gettempdir()) / f"coadapt-bits-{os.getuid()}"
    parser.add_argument("--cache", type=Path, default=default)
    options = parser.parse_args(argv)
    cases = [name for name in bits_cases.names() if re.search(options.only, name)]
    if options.list:
        print("\n".join(cases))
        return 0
    cache = options.cache.resolve()
    (cache / "xla").mkdir(parents=True, exist_ok=True)
    base, head = (
        run(name, cases, cache, options.updates, options.jobs)
        for name in (options.base, options.head)
    )
    differ = compare(base, head)
    for case, difference in differ.items():
        print(f"{case}: {difference}")
    print(f"{len(cases) - len(differ)} of {len(cases)} cases are equal to the bit")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
