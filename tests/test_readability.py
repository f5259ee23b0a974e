"""The checker of the documents finds what it should, and nothing in plain prose. `make check` runs it on every page."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

CHECKER = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "check_words.py"))
LONG = "One " + "more " * 24 + "word."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LONG, ["26 words"]),
        (f"| a | {LONG} |", ["26 words"]),
        (f"* {LONG}\n* {LONG}", ["26 words", "26 words"]),
        ("Alice was told 409.", ["the word “told”"]),
        ("Plain. " * 30, []),
        (LONG.replace("more more", "more [more](a%20link%20that%20is%20long.md)", 1), ["26 words"]),
        (f"```text\n{LONG}\n```", []),
        ("`a` " * 30, []),
        ("* One.\n" * 30, []),
        (f"{LONG[:60]} end. Then {LONG[60:]}", []),
    ],
)
def test_what_is_found(text: str, why: list[str]) -> None:
    assert [finding.why for finding in CHECKER["check"](text)] == why


def test_every_document_is_checked() -> None:
    names = {page.relative_to(CHECKER["ROOT"]).as_posix() for page in CHECKER["pages"]()}
    assert {"README.md", "docs/demo.md", "notebooks/00-start-here.ipynb"} <= names
    assert names >= CHECKER["NOT_MENDED"]
