"""Text from a server that is safe to print: no character in it controls a terminal."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), line and paragraph separators, marks that change the direction of writing
(Unicode bidirectional algorithm), and lone surrogates."""

_LONGEST_QUOTE: Final = 80


def printable(text: str, *, one_line: bool = False) -> str:
    r"""Replace each unsafe character by an escape. Newlines and tabs stay, unless ``one_line``.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    kept = "" if one_line else "\n\t"
    return _UNSAFE.sub(lambda found: found[0] if found[0] in kept else _escape(found[0]), text.replace("\r\n", "\n"))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def printable_json(text: str) -> str:
    """Replace each unsafe character in JSON text by its JSON escape, so that the strings keep their values."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else f"\\u{ord(found[0]):04x}", text)


def quoted(value: object) -> str:
    """Return a value for use in a sentence: its ``repr``, cut after 80 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
