"""Put mistakes into the maths, one after the other, and see the tests find them.

    python tools/mutations.py         all of mutations_cases.py
        --only=REGEX                  of their names (--list prints them)
        --whole                       where a mistake's own test passes, the whole suite
        --jobs=1 --cache=DIR

Each mistake is made in a copy of the files as they are, and the test that it names
runs there, with --whole then all others, until one fails. It ends with 0 if at most one
mistake was found by no test, else with 1. A mistake takes some ten seconds, and one
that needs the whole suite as long as that. Compiled programs and which tests failed are
kept in the cache, the latter by all files, so that what was broken off goes on.
"""

import argparse
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutations_cases import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
MISSED = 1  # mistakes that no test need find
WHOLE = "the whole suite"
LIST = "tests/test_mutations.py"  # finds each of them, by its text


def name(mutation: Mutation) -> str:
    """As it is printed."""
    removed, put = (" ".join(x.split()) for x in (mutation.old, mutation.new))
    return f"{mutation.file}: {removed}  ->  {put}"


def _files() -> list[Path]:
    """All that a commit of the files as they are would have."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [Path(line) for line in listed.stdout.splitlines()]


def copy(place: Path, mutation: Mutation) -> None:
    """The files with the mistake, below `place`.

    Raises:
        ValueError: the text to be replaced does not stand there exactly once.
    """
    for path in _files():
        if (ROOT / path).exists():  # else it was deleted
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, place / path, follow_symlinks=False)
    path = place / "coadapt" / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.file} has not once: {mutation.old!r}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def _failure(place: Path, cache: Path, tests: list[str]) -> str | None:
    """The first test that fails there; None where all pass."""
    env = os.environ | {
        "PYTHONPATH": str(place),
        "COADAPT_CACHE": str(cache / "xla"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "--no-header", "-rfE", "--tb=no"]
    command += ["-n", "0", "-p", "no:cacheprovider", f"--ignore={LIST}", *tests]
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    found = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", done.stdout)
    if done.returncode != 1 or not found:
        raise RuntimeError(
            f"pytest ended with {done.returncode}: {done.stdout[-2000:]}"
        )
    return found[0]


def found_by(mutation: Mutation, cache: Path, whole: bool) -> str | None:
    """The first test that finds a mistake; None where none does."""
    with tempfile.TemporaryDirectory(dir=cache) as place:
        copy(Path(place), mutation)
        failed = _failure(Path(place), cache, [f"tests/{mutation.test}"])
        if failed is None and whole:
            failed = _failure(Path(place), cache, [])
        return failed


def _kept(mutation: Mutation, cache: Path) -> Path:
    """Where what its tests said is kept."""
    all_of = hashlib.sha256(repr(mutation).encode())
    for path in _files():
        if (ROOT / path).is_file():
            all_of.update((ROOT / path).read_bytes())
    return cache / f"{all_of.hexdigest()[:24]}.txt"


def run(mutation: Mutation, cache: Path, whole: bool) -> bool:
    """Whether a test finds it; prints which."""
    kept = _kept(mutation, cache)
    said = kept.read_text() if kept.exists() else found_by(mutation, cache, whole)
    if said:
        kept.write_text(said)
    tests = WHOLE if whole else mutation.test
    print(f"{name(mutation)}\n    {said or f'NOT FOUND by {tests}'}", flush=True)
    return bool(said)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=re.compile, default=re.compile(""))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/coadapt-mutations"))
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS if args.only.search(name(m))]
    if args.list:
        print(*map(name, chosen), sep="\n")
        return 0
    args.cache.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(lambda m: run(m, args.cache, args.whole), chosen))
    print(f"{sum(found)} of {len(found)} were found")
    return 0 if len(found) - sum(found) <= MISSED else 1


if __name__ == "__main__":
    sys.exit(main())
