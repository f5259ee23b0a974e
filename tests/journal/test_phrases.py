"""Phrases in a text: whole words, the longest, in one pass however many there are."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from workbench.journal.redaction import Phrases


def replaced(text: str, *phrases: str) -> str:
    found = Phrases()
    for phrase in phrases:
        found.add(phrase, phrase)
    return found.replace(text, lambda phrase: f"[{phrase}]")


def test_whole_words_and_the_longest() -> None:
    assert replaced("Ann, Anna and Ann Example-Ann", "Ann", "Ann Example") == "[Ann], Anna and [Ann Example]-[Ann]"
    assert replaced("O'Example (O'Example)", "O'Example") == "[O'Example] ([O'Example])"
    assert replaced("a b c a b d", "a b c d", "a b") == "[a b] c [a b] d"
    assert replaced("nothing", "") == "nothing"


words = st.lists(st.sampled_from(["Ann", "Bea", " ", "-", "x"]), min_size=1, max_size=4).map("".join)


@given(st.lists(words, min_size=1, max_size=5), st.lists(words, max_size=8).map(" ".join))
def test_it_is_what_a_regular_expression_would_do(phrases: list[str], text: str) -> None:
    longest_first = sorted(set(phrases), key=len, reverse=True)
    pattern = "|".join(
        (r"(?<!\w)" if phrase[0].isalpha() else "") + re.escape(phrase) + (r"(?!\w)" if phrase[-1].isalpha() else "")
        for phrase in longest_first
    )
    assert replaced(text, *phrases) == re.sub(pattern, lambda found: f"[{found[0]}]", text)


def test_of_what_begins_like_a_long_phrase_nothing_is_left() -> None:
    """A long phrase is known by its beginning, so nothing behind that beginning may stay."""
    long = "the same beginning of many narratives " * 4 + "of Ann Example"
    other = "the same beginning of many narratives " * 4 + "of Bea Sample"
    assert replaced(f"It said: {other}. Not good.", long) == f"It said: [{long}]"


def test_it_takes_one_pass_whatever_the_phrases_are() -> None:
    """Sixteen thousand names, and then names that begin with one another."""
    for phrases in ([f"Family{n} Given{n}" for n in range(16_000)], ["a " * n + "c" for n in range(1, 3000)]):
        found = Phrases()
        for phrase in phrases:
            found.add(phrase, phrase)
        text = "a " * 100_000 + " ".join(f"Family{n} Given{n}" for n in range(16_000))
        before = time.process_time()
        found.replace(text, str)
        assert time.process_time() - before < 10, "the product of the two would take hours"
