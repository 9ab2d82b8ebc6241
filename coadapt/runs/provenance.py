"""What makes a session's numbers: versions, the code, the machine and its settings."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from coadapt.factors.rules import Ruled
from coadapt.version import __version__

_PACKAGE = Path(__file__).parents[1]
# XLA's names of instruction sets, each with all before it, as its flag
# --xla_cpu_max_isa takes them; and the feature that LLVM calls each by
LEVELS = {
    "SSE4_2": "sse4.2", "AVX": "avx", "AVX2": "avx2", "AVX512": "avx512f",
    "AVX512_VNNI": "avx512vnni", "AVX512_BF16": "avx512bf16", "AMX": "amx-bf16",
    "AMX_FP16": "amx-fp16",
}  # fmt: skip
INSTRUCTIONS, DEVICES, CPU = "instruction set", "number of devices", "CPU"
# of a CPU's flags in /proc/cpuinfo, those by which products of matrices may differ
_WIDE = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
         "amx_tile", "amx_bf16")  # fmt: skip
# facts that decide how products round: see `facts`
DECIDE = ("jaxlib", "device", INSTRUCTIONS)


def here() -> dict[str, Any]:
    """As plain JSON types. Sessions of which all of this is the same are one."""
    own = own_modules()
    return {
        "versions": versions(),
        **_code(),
        **({"own modules": own} if own else {}),
        "host": socket.gethostname(),
        "device": device(),
        "cpu": cpu(),
        "instructions": instructions(),
        "devices": jax.local_device_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def versions() -> dict[str, str]:
    """Of whatever makes the numbers."""
    found = {"coadapt": __version__, "python": platform.python_version()}
    for name in ("jax", "jaxlib", "mujoco", "gymnasium"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def device() -> str:
    """'cpu, x86_64, 2 cores', or the accelerator's own name."""
    found = jax.devices()[0]
    if found.platform == "cpu":
        return f"cpu, {platform.machine()}, {os.cpu_count()} cores"
    return f"{found.platform}, {found.device_kind}"


@functools.cache
def cpu() -> str:
    """Its model, and which wide instructions it has: also where XLA uses them not.

    'AMD EPYC, family 26, model 2: avx2, fma, avx512f', of Linux; elsewhere what Python
    calls it, which may be ''.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return cpu_of(text) or platform.processor()


def cpu_of(text: str) -> str:
    """As `cpu`, of the text of /proc/cpuinfo; '' where it names no model."""
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    said = {name.strip(): value.strip() for name, _, value in pairs}
    if "model name" not in said:
        return ""
    # a virtual machine may be told no more than the brand
    numbers = [f"{n.removeprefix('cpu ')} {said[n]}"
               for n in ("cpu family", "model") if n in said]  # fmt: skip
    flags = [name for name in _WIDE if name in said.get("flags", "").split()]
    model = ", ".join([" ".join(said["model name"].split()), *numbers])
    return f"{model}: {', '.join(flags)}" if flags else model


@functools.cache
def instructions() -> str:
    """The newest of `LEVELS` that XLA compiles for here, flags counted.

    Read from what it has compiled. '' on an accelerator, on another kind of CPU, and
    where a version of XLA does not say.
    """
    if jax.default_backend() != "cpu":
        return ""
    compiled = jax.jit(lambda x: x + 1).lower(jnp.zeros(1, jnp.float32)).compile()
    try:
        words = compiled.runtime_executable().serialize()  # type: ignore[union-attr]
    except (AttributeError, TypeError, jax.errors.JaxRuntimeError):
        return ""
    there = set(re.findall(rb"\+([a-z0-9.-]+)(?=,)", words))
    found = [level for level, name in LEVELS.items() if name.encode() in there]
    return found[-1] if found else ""


# ---------------------------------------------------------------- sessions compared


def facts(session: Mapping[str, Any]) -> dict[str, str]:
    """What a session's record says of it, in words; nothing of what it does not say."""
    device, code = session.get("device", ""), session.get("commit", "")
    if session.get("changed"):
        code = f"{code or 'none'} and changes {session['changed']}"
    found = {
        **session.get("versions", {}),
        "device": device.rpartition(", ")[0] if device.startswith("cpu") else device,
        INSTRUCTIONS: session.get("instructions", ""),
        CPU: session.get("cpu", ""),
        "commit": code,
        "host": session.get("host", ""),
    }
    found |= {f"module {k}": v for k, v in session.get("own modules", {}).items()}
    if "xla_flags" in session:
        found["XLA_FLAGS"] = session["xla_flags"] or "none"
    return {name: word for name, word in found.items() if word}


def deciding(session: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a session that decide how its products round."""
    found = facts(session)
    return {name: found[name] for name in DECIDE if name in found}


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """The facts of which both say something, and not the same."""
    return [name for name, word in there.items() if here.get(name, word) != word]


def ways_back(names: Sequence[str], there: Mapping[str, str]) -> list[str]:
    """How to have again what was there, of what can be had on any machine."""
    found = {
        "jaxlib": "jaxlib=={}",
        DEVICES: "JAX_NUM_CPU_DEVICES={} on a CPU",
    }
    if LEVELS.keys() >= {there.get(INSTRUCTIONS), instructions()}:
        known = [*LEVELS]
        if known.index(there[INSTRUCTIONS]) < known.index(instructions()):
            found[INSTRUCTIONS] = "XLA_FLAGS=--xla_cpu_max_isa={}"
    return [found[name].format(there[name]) for name in names if name in found]


def compared(sessions: Sequence[Mapping[str, Any]]) -> str:
    """In what sessions differ: 'host: a (1), b (2, 3)' and so on; '' where in nothing.

    What decides how products round comes first.
    """
    said: dict[str, dict[str, list[str]]] = {name: {} for name in DECIDE}
    for session in sessions:
        for name, word in facts(session).items():
            said.setdefault(name, {}).setdefault(word, []).append(str(session["id"]))
    each = [
        f"{name}: " + ", ".join(f"{w} ({', '.join(ids)})" for w, ids in words.items())
        for name, words in said.items()
        if len(words) > 1
    ]
    return "; ".join(each)


# ---------------------------------------------------------------- the code


def own_modules() -> dict[str, str]:
    """Hashes of the sources of imported modules that add a class to a factor."""
    kinds: list[Any] = [Ruled]
    names = set[str]()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        names.add(kind.__module__)
    others = {name for name in names if name.split(".")[0] != "coadapt"}
    found = {}
    for name in sorted(others & sys.modules.keys()):
        source = Path(sys.modules[name].__file__ or "")
        if source.is_file():
            found[name] = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    return found


@functools.cache
def _code() -> dict[str, str]:
    """The commit of the package's checkout, and a hash of its files if they are others.

    No commit, where the package is of no checkout, or where there is no git.
    """
    if _git("ls-files", "--error-unmatch", "version.py") is None:
        return {"commit": "", "changed": _files()}
    commit, diff = _git("rev-parse", "HEAD"), _git("diff", "HEAD", "--", ".")
    new = _git("ls-files", "--others", "--exclude-standard", "--", ".")
    if commit is None or diff is None or new is None:
        return {"commit": "", "changed": _files()}
    return {
        "commit": commit.decode().strip(),
        "changed": _files() if diff or new else "",
    }


def _files() -> str:
    """A hash of the names and contents of the package's files."""
    found = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(_PACKAGE)} {content}\n".encode())
    return found.hexdigest()[:8]


def _git(*words: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_PACKAGE), *words], capture_output=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
