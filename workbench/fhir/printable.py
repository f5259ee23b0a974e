"""Text that a terminal or a page shows as it is, whatever a server put into it."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, the marks that turn the direction of writing
(Unicode, bidirectional algorithm), and halves of characters, which cannot be printed."""


def printable(text: str, *, one_line: bool = False) -> str:
    r"""Return the text with every character that a terminal would obey written as an escape.

    Newlines and tabs stay, unless it must be ``one_line``.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    kept = "" if one_line else "\n\t"
    return _UNSAFE.sub(lambda found: found[0] if found[0] in kept else _escape(found[0]), text.replace("\r\n", "\n"))


def printable_json(text: str) -> str:
    """Return JSON text whose strings hold the same characters, those that a terminal would obey as JSON escapes."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else f"\\u{ord(found[0]):04x}", text)


def _escape(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


_LONGEST_QUOTE: Final = 80


def quoted(value: object) -> str:
    """A value for a sentence: as Python writes it, cut short, because it may be anything at all."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
