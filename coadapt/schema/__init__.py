"""Typed configs that are pytrees: `jax.tree.structure(config)` is the compile key.

The type hint of a field, and nothing else, says what the field is:
    traced   Scalar, Count, Toggle: a leaf; vmapped over agents, never retraces
    subtree  a config class, a union of them, or None: its class is the program
    static   int, float, bool, str, Literal, tuple and unions of these: the program
A union is also the registry of its classes: names are looked up in the hint. Where its
classes share an interface, a class of a user's own module that has it may stand there
too, and is called 'module:Name'.
"""

from coadapt.schema.changes import override, single, tied
from coadapt.schema.errors import (
    ConfigError,
    UnknownFieldError,
    must_be,
    near,
    nearest,
    plain,
    shown,
    unknown,
)
from coadapt.schema.kinds import (
    Count,
    Fraction,
    NonNegative,
    Positive,
    Range,
    Scalar,
    Size,
    Spelling,
    Toggle,
    Traced,
    config,
    is_config,
)
from coadapt.schema.own_classes import name_of
from coadapt.schema.programs import (
    Field,
    as_traced,
    diff,
    fields,
    paths,
    stack,
    statics,
)
from coadapt.schema.stored import fingerprint, from_dict, to_dict
from coadapt.schema.values import validate

__all__ = [
    "ConfigError",
    "Count",
    "Field",
    "Fraction",
    "NonNegative",
    "Positive",
    "Range",
    "Scalar",
    "Size",
    "Spelling",
    "Toggle",
    "Traced",
    "UnknownFieldError",
    "as_traced",
    "config",
    "diff",
    "fields",
    "fingerprint",
    "from_dict",
    "is_config",
    "must_be",
    "name_of",
    "near",
    "nearest",
    "override",
    "paths",
    "plain",
    "shown",
    "single",
    "stack",
    "statics",
    "tied",
    "to_dict",
    "unknown",
    "validate",
]
