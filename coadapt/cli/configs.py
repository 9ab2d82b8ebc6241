"""A config, as flags have it: changes of its fields, axes of them, and a JSON file."""

import json
from collections import Counter
from typing import Any

from absl import flags

from coadapt import schema
from coadapt.cli.values import Values, get
from coadapt.config import Config
from coadapt.runs import store
from coadapt.schema import ConfigError, paths


def define_set(values: Values) -> None:
    flags.DEFINE_multi_string(
        "set",
        [],
        "change a field of the config: --set=optim.policy.rate=1e-3; repeat for more",
        flag_values=values,
    )


def changes(values: Values, name: str = "set") -> dict[str, str]:
    """'path=value' of every --set.

    Raises: ConfigError.
    """
    found: dict[str, str] = {}
    for text in get(values, name):
        path, equals, value = text.strip().partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--{name} is {text!r}: it must be path=value, such as "
                "g_estimate.critics=2."
            )
        if path in found:
            raise ConfigError(f"--{name} has {path} twice: give it once.")
        found[path] = value
    return found


def axes(values: Values, config: Config, name: str = "grid") -> dict[str, list[str]]:
    """The axes of every --grid: 'path=v1,v2', of tuples 'path=64,64;256,256'.

    Of fields that take their values together, 'a.b+c.d=v1,v2'.
    """
    tuples = {path for path, value in paths(config) if isinstance(value, tuple)}
    found = {}
    for path, text in changes(values, name).items():
        mark = ";" if ";" in text or tuples & {*schema.tied(path)} else ","
        found[path] = [part.strip() for part in text.split(mark) if part.strip()]
    return found


def read_config(path: str) -> Config:
    """A config in a JSON file.

    Raises:
        ConfigError: which names the file.
    """
    file = store.expanded(path, "--config")
    try:
        if file.exists() and not file.is_file():
            raise ConfigError("it is not a file.")
        text = file.read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_no_key_twice)
        return schema.from_dict(Config, data)
    except ConfigError as error:
        raise ConfigError(f"--config {path!r}: {error}") from None
    except OSError as error:
        raise ConfigError(f"--config is {path!r}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"--config is {path!r}: it is not valid JSON ({error})."
        ) from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two, JSON would take the last and say nothing.

    Raises: ConfigError.
    """
    found = dict(pairs)
    for key, times in Counter(key for key, _ in pairs).items():
        if times > 1:
            raise ConfigError(f"{key!r} occurs twice: give it once.")
    return found
