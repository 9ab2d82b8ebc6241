"""Texts as they stand in a table of CSV, in a store's and in all that people are shown.

One that a spreadsheet would take for a formula has an apostrophe before it, which
`text_of` takes off. Control characters are escaped.
"""

import re

from coadapt.system.console import printable

# what spreadsheets compute, in the letters of East Asia too; a sign alone is none
_FORMULA = re.compile("'*[=+@\uff1d\uff0b\uff0d\uff20-].")
_PLAIN = r"[-+]?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|inf|nan)"
_INTERVAL = re.compile(rf"{_PLAIN}(?: \[{_PLAIN}, {_PLAIN}\])?")  # '+1.5 [-2, +5]'


def word(value: object) -> object:
    """A text as it stands in a table; a number is as it was, as a text too, and so is
    one with its interval."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def text_of(word: str) -> str:
    """The text of which `word` made this."""
    return word[1:] if word.startswith("'") and _FORMULA.match(word) else word


def _is_number(text: str) -> bool:
    if _INTERVAL.fullmatch(text):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
