"""Commands: `coadapt train` and its like; a file here is one, or a part of some.

They parse flags, and call the library.
"""

import os
import re
import sys

try:  # JAX reads its environment variables when it is imported
    import jax as jax
except ValueError as error:
    names = [word.upper() for word in re.findall(r"(?i)jax_\w+", str(error))]
    given = [
        f"{name} is {os.environ.get(name)!r} in the environment: " for name in names
    ]
    sys.stderr.write(f"error: {''.join(given)}JAX cannot read it ({error}).\n")
    raise SystemExit(2) from None

COMMANDS = (  # as they are listed
    "train",
    "sweep",
    "work",
    "report",
    "pack",
    "unpack",
    "status",
    "merge",
    "effects",
    "power",
    "sensitivity",
    "importance",
    "show",
    "tasks",
    "taxonomy",
    "hybrids",
    "logs",
    "render",
    "bench",
)
