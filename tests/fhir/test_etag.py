"""Entity tags: what is one, what a request's ``If-Match`` amounts to, and the two ways of comparing (VER-1, UPD-8)."""

import pytest

from workbench.errors import BadInput, MalformedETag
from workbench.fhir.etag import ETag, Precondition, read_if_match

VERSION = Precondition.VERSION
MISSING = Precondition.MISSING
MALFORMED = Precondition.MALFORMED

PARSED = [
    ('W/"25777f7d-27bc"', "25777f7d-27bc", True),
    ('"25777f7d-27bc"', "25777f7d-27bc", False),
    ('W/"1"', "1", True),
    ('""', "", False),
    ('W/""', "", True),
    (' \tW/"a" ', "a", True),
    ('"W/"', "W/", False),
    ('"a b"', None, None),
    ('"!#~"', "!#~", False),
    ('"\x80\xff"', "\x80\xff", False),
    ('"a\x7fb"', None, None),
    ('"a\tb"', None, None),
    ('"a"b"', None, None),
    ('"a", "b"', None, None),
    ('w/"a"', None, None),
    ('W/ "a"', None, None),
    ('W"a"', None, None),
    ("W/a", None, None),
    ("W/'a'", None, None),
    ('"a', None, None),
    ('a"', None, None),
    ('"', None, None),
    ("a", None, None),
    ("*", None, None),
    ("", None, None),
    ('\nW/"a"', None, None),
    ('W/"a"\n', None, None),
    ('"\u0101"', None, None),
]


@pytest.mark.parametrize(("text", "version_id", "weak"), PARSED, ids=[repr(text) for text, *_ in PARSED])
def test_parse(text: str, version_id: str | None, weak: bool | None) -> None:
    if version_id is None:
        with pytest.raises(MalformedETag, match="is not an entity tag") as caught:
            ETag.parse(text)
        assert isinstance(caught.value, BadInput)
        assert str(caught.value).endswith(".")
    else:
        tag = ETag.parse(text)
        assert (tag.version_id, tag.weak) == (version_id, weak)


@pytest.mark.parametrize("text", ['W/"25777f7d-27bc"', '"25777f7d-27bc"', '""', 'W/"!#~"'])
def test_a_tag_is_written_as_it_was_read(text: str) -> None:
    assert str(ETag.parse(text)) == text
    assert repr(ETag.parse(text)) == f"ETag({text!r})"


def test_a_tag_is_weak_by_default() -> None:
    assert str(ETag("a")) == 'W/"a"'
    assert ETag("a") == ETag.parse('W/"a"') != ETag("a", weak=False)


COMPARED = [
    ('W/"a"', 'W/"a"', True, False),
    ('W/"a"', '"a"', True, False),
    ('"a"', '"a"', True, True),
    ('W/"a"', 'W/"b"', False, False),
    ('"a"', '"b"', False, False),
    ('"a"', '"A"', False, False),
]


@pytest.mark.parametrize(("left", "right", "same_version", "strongly"), COMPARED)
def test_the_two_comparisons(left: str, right: str, same_version: bool, strongly: bool) -> None:
    one, two = ETag.parse(left), ETag.parse(right)
    assert one.names_same_version(two) is two.names_same_version(one) is same_version
    assert one.matches_strongly(two) is two.matches_strongly(one) is strongly


IF_MATCH = [
    (None, MISSING, None),
    ('W/"25777f7d-27bc"', VERSION, "25777f7d-27bc"),
    ('W/"1"', VERSION, "1"),
    ('  W/"1"\t', VERSION, "1"),
    (f'W/"{"a" * 64}"', VERSION, "a" * 64),
    ('W/"A.b-9"', VERSION, "A.b-9"),
    (f'W/"{"a" * 65}"', MALFORMED, None),
    ("", MALFORMED, None),
    (" ", MALFORMED, None),
    ("25777f7d-27bc", MALFORMED, None),
    ('"25777f7d-27bc"', MALFORMED, None),
    ("*", MALFORMED, None),
    ('W/"*"', MALFORMED, None),
    ('W/""', MALFORMED, None),
    ('W/"a_b"', MALFORMED, None),
    ('W/"a b"', MALFORMED, None),
    ('W/"a\n"', MALFORMED, None),
    ('W/"é"', MALFORMED, None),
    ('W/"\u0663"', MALFORMED, None),
    ('W/"a", W/"b"', MALFORMED, None),
    ('W/"a",', MALFORMED, None),
    (', W/"a"', MALFORMED, None),
    ('w/"a"', MALFORMED, None),
]


@pytest.mark.parametrize(("value", "found", "version_id"), IF_MATCH, ids=[repr(value) for value, *_ in IF_MATCH])
def test_read_if_match(value: str | None, found: Precondition, version_id: str | None) -> None:
    assert read_if_match(value) == (found, version_id)
