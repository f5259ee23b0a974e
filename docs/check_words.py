"""Check that the documents are easy to read: ``python docs/check_words.py [PAGE…]``.

A sentence has at most 25 words, and some words are ruled out because they make a reader guess. The share of sentences
in the passive voice is reported; it fails nothing. Pages in ``NOT_MENDED`` may fail, until they pass.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
MOST_WORDS: Final = 25
RULED_OUT: Final = re.compile(
    r"\b(told|whoever|nobody|(?:be|be)came of|came of|is none|are none|hence|lest|thereof"
    r"|holds? good|sooner or later|to be had|on its way|what is there|gives? way)\b",
    re.IGNORECASE,
)
PASSIVE: Final = re.compile(
    r"\b(?:is|are|was|were|be|been|being)\s+(?:not\s+|\w+ly\s+)?"
    r"(?:\w+ed|built|chosen|done|given|held|kept|known|lost|made|read|run|sent|shown|taken|written)\b"
)
NOT_MENDED: Final = frozenset(
    {
        "CHANGELOG.md",
        "benchmarks/README.md",
    }
)
"""Pages that still fail; a page here that passes must leave the list."""

_BLOCK: Final = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_NEW_PARAGRAPH: Final = re.compile(r"\n\s*\n|\n(?=\s*(?:[*+-]|\d+\.)\s)|\n(?=#)|\n(?=\|)|\|| · ")
_END: Final = re.compile(r"(?<=[.!?…])[\"'”’)*_]*\s+(?=[\"'“‘(*_]*[A-Z0-9`]|\*|[\w/-]+\.md)|(?<=[.!?:][*_])\s+|:\s*$")


class Finding(NamedTuple):
    """A sentence that fails, and why."""

    why: str
    sentence: str


def pages() -> list[Path]:
    """Return every document and notebook."""
    folders = ("*.md", "docs/*.md", "benchmarks/*.md", "notebooks/**/*.ipynb")
    return [page for pattern in folders for page in sorted(ROOT.glob(pattern)) if page.name != "reference.md"]


def prose(page: Path) -> str:
    """Return the Markdown of a page, or of a notebook's Markdown cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def sentences(markdown: str) -> list[str]:
    """Return the sentences, without code blocks. Inline code and a link each count as what a reader sees."""
    text = re.sub(r"<!--.*?-->|<[a-z/][^>]*>", "", _BLOCK.sub("\n\n", markdown), flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`\n]+`", "`code`", text))
    found = [sentence.strip() for part in _NEW_PARAGRAPH.split(text) for sentence in _END.split(" ".join(part.split()))]
    return [sentence for sentence in found if re.search(r"\w", sentence.replace("`code`", ""))]


def check(markdown: str) -> list[Finding]:
    """Return what fails in a text."""
    found = []
    for sentence in sentences(markdown):
        count = len(re.findall(r"[\w`][\w`'’./-]*", sentence))
        if count > MOST_WORDS:
            found.append(Finding(f"{count} words", sentence))
        if word := RULED_OUT.search(sentence):
            found.append(Finding(f"the word “{word[0]}”", sentence))
    return found


def main(names: list[str]) -> int:
    """Print what fails, and the share of the passive voice; return 1 if a page fails or may leave the list."""
    failed = False
    for page in [Path(name).resolve() for name in names] or pages():
        name, text = page.relative_to(ROOT).as_posix(), prose(page)
        found = check(text)
        exempt = name in NOT_MENDED
        failed |= bool(found) != exempt
        if found and (names or not exempt):
            print(*(f"{name}: {each.why}: {each.sentence}" for each in found), sep="\n")
        elif exempt and not found:
            print(f"{name} passes. Take it out of NOT_MENDED.")
        if names:
            all_of_it = sentences(text)
            share = sum(1 for each in all_of_it if PASSIVE.search(each)) / max(len(all_of_it), 1)
            print(f"{name}: {len(all_of_it)} sentences, {share:.0%} in the passive voice, {len(found)} findings")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
