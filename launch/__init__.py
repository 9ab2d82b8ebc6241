"""Commands: `python -m launch.train` and its like. The only flags of the project."""

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
    sys.stderr.write(f"error: {''.join(given)}JAX can not read it ({error}).\n")
    raise SystemExit(2) from None
