"""Many phrases looked for in a text at once, whole words only, in one pass.

Owns: a tree of phrases by their words. It takes about as long for a hundred thousand phrases as for ten, and no text
makes it slow: at each word it goes down the tree by at most ``_DEPTH`` words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

_DEPTH: Final = 32
"""Words and signs by which a phrase is known; a longer one is taken to go on to the end of the text."""

_ENDS: Final = ""
_GOES_ON: Final = "  "
"""Keys of the tree that cannot be words of a text: none is empty, and none is two signs."""


class Phrases:
    """Phrases, each with a text of its own; ``word`` is what a word is made of, as in a regular expression."""

    def __init__(self, word: str = r"\w") -> None:
        self._split = re.compile(rf"{word}+|.", re.DOTALL)
        self._tree: dict[str, Any] = {}

    def add(self, phrase: str, about: str) -> None:
        """Look for this phrase from now on; the first that was added stays."""
        words = self._split.findall(phrase)
        if not words:
            return
        node = self._tree
        for word in words[:_DEPTH]:
            node = node.setdefault(word, {})
        node.setdefault(_ENDS if len(words) <= _DEPTH else _GOES_ON, about)

    def replace(self, text: str, instead: Callable[[str], str]) -> str:
        """The text with each phrase in it, the longest that begins at a word, replaced by what is to stand instead."""
        words = self._split.findall(text)
        written: list[str] = []
        place = 0
        while place < len(words):
            end, about = self._longest(words, place)
            written.append(words[place] if end == place else instead(about))
            place = max(end, place + 1)
        return "".join(written)

    def _longest(self, words: list[str], start: int) -> tuple[int, str]:
        """Where the longest phrase from ``start`` on ends, and what it is about; ``start`` where there is none."""
        node, found = self._tree, (start, "")
        for place in range(start, min(start + _DEPTH, len(words))):
            node = node.get(words[place], {})
            if not node:
                break
            if _GOES_ON in node:
                return len(words), node[_GOES_ON]
            if _ENDS in node:
                found = (place + 1, node[_ENDS])
        return found
