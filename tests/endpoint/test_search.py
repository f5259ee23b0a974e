"""Search parameters: the span of time that each value means, and what is refused (SR-1; FHIR STU3 search.html)."""

import pytest

from workbench.endpoint.policy import Refusal
from workbench.endpoint.request import Query, read_query, read_span

BASE = "http://127.0.0.1:8080/STU3"

SPANS = {
    "2018": ("2018-01-01T00:00:00.000+00:00", "2019-01-01T00:00:00.000+00:00"),
    "2018-05": ("2018-05-01T00:00:00.000+00:00", "2018-06-01T00:00:00.000+00:00"),
    "2018-12": ("2018-12-01T00:00:00.000+00:00", "2019-01-01T00:00:00.000+00:00"),
    "2018-05-25": ("2018-05-25T00:00:00.000+00:00", "2018-05-26T00:00:00.000+00:00"),
    "2020-02-29": ("2020-02-29T00:00:00.000+00:00", "2020-03-01T00:00:00.000+00:00"),
    "2018-12-31": ("2018-12-31T00:00:00.000+00:00", "2019-01-01T00:00:00.000+00:00"),
    "2018-05-25T16:09Z": ("2018-05-25T16:09:00.000+00:00", "2018-05-25T16:10:00.000+00:00"),
    "2018-05-25T16:09+01:00": ("2018-05-25T15:09:00.000+00:00", "2018-05-25T15:10:00.000+00:00"),
    "2018-05-25T16:09:50Z": ("2018-05-25T16:09:50.000+00:00", "2018-05-25T16:09:51.000+00:00"),
    "2018-05-25T16:09:50+01:00": ("2018-05-25T15:09:50.000+00:00", "2018-05-25T15:09:51.000+00:00"),
    "2018-05-25T16:09:50 01:00": ("2018-05-25T15:09:50.000+00:00", "2018-05-25T15:09:51.000+00:00"),
    "2018-05-25T23:30:00-01:00": ("2018-05-26T00:30:00.000+00:00", "2018-05-26T00:30:01.000+00:00"),
    "2018-05-25T16:09:50.5Z": ("2018-05-25T16:09:50.500+00:00", "2018-05-25T16:09:50.501+00:00"),
    "2018-05-25T16:09:50.123Z": ("2018-05-25T16:09:50.123+00:00", "2018-05-25T16:09:50.124+00:00"),
    "2018-05-25T16:09:50.999+00:00": ("2018-05-25T16:09:50.999+00:00", "2018-05-25T16:09:51.000+00:00"),
    "eq2018-05-25": ("2018-05-25T00:00:00.000+00:00", "2018-05-26T00:00:00.000+00:00"),
    "ge2018-05-25": ("2018-05-25T00:00:00.000+00:00", None),
    "gt2018-05-25": ("2018-05-26T00:00:00.000+00:00", None),
    "sa2018-05-25": ("2018-05-26T00:00:00.000+00:00", None),
    "le2018-05-25": (None, "2018-05-26T00:00:00.000+00:00"),
    "lt2018-05-25": (None, "2018-05-25T00:00:00.000+00:00"),
    "eb2018-05-25": (None, "2018-05-25T00:00:00.000+00:00"),
}


@pytest.mark.parametrize(("text", "span"), SPANS.items(), ids=SPANS.keys())
def test_a_span(text: str, span: tuple[str | None, str | None]) -> None:
    assert read_span(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ge",
        "18",
        "201",
        "20180",
        "2018-",
        "2018-5",
        "2018-13",
        "2018-00",
        "2018-02-29",
        "2018-05-32",
        "20180525",
        "0000",
        "ne2018",
        "ap2018",
        "GE2018",
        "2018-05-25T",
        "2018-05-25T16",
        "2018-05-25T16:09",
        "2018-05-25T16:09:50",
        "2018-05-25T24:00Z",
        "2018-05-25T16:60Z",
        "2018-05-25T16:09:61Z",
        "2018-05-25T16:09:50.Z",
        "2018-05-25T16:09z",
        "2018-05-25T16:09+0100",
        "2018-05-25T16:09+25:00",
        "2018-05-25 16:09Z",
        "2018T16:09Z",
        " 2018",
        "2018\n",
        "\u0662\u0660\u0661\u0668",
        "2018,2019",
        "yesterday",
    ],
    ids=repr,
)
def test_what_is_no_span(text: str) -> None:
    assert read_span(text) is None


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("le9999-12-31", (None, None)),
        ("lt9999-12-31", (None, "9999-12-31T00:00:00.000+00:00")),
        ("ge9999", ("9999-01-01T00:00:00.000+00:00", None)),
        ("ge0001-01-01", ("0001-01-01T00:00:00.000+00:00", None)),
    ],
)
def test_the_ends_of_the_calendar(text: str, span: tuple[str | None, str | None]) -> None:
    """``le9999-12-31`` is a common way to write "no end"; it is not an error."""
    found = read_span(text)
    assert found is not None
    assert found[0] == span[0]
    assert span[1] is None or found[1] == span[1]


QUERIES = [
    ([], Query()),
    ([("_id", "a")], Query(ids=frozenset({"a"}))),
    ([("_id", "a,b.c-D")], Query(ids=frozenset({"a", "b.c-D"}))),
    ([("_id", "a"), ("_id", "b")], Query(ids=frozenset())),
    ([("_count", "0")], Query(count=0)),
    ([("_count", "10"), ("_count", "5")], Query(count=5)),
    ([("_format", "json")], Query()),
    (
        [("_lastUpdated", "ge2018"), ("_lastUpdated", "lt2019"), ("_count", "1")],
        Query(
            span=("2018-01-01T00:00:00.000+00:00", "2019-01-01T00:00:00.000+00:00"),
            count=1,
        ),
    ),
]


@pytest.mark.parametrize(("parameters", "query"), QUERIES)
def test_a_query(parameters: list[tuple[str, str]], query: Query) -> None:
    assert read_query(parameters, "List", BASE) == query


REFUSED = [
    ("_id", ""),
    ("_id", "a_b"),
    ("_id", "a,"),
    ("_id", "a b"),
    ("_id", "a" * 65),
    ("_count", ""),
    ("_count", "-1"),
    ("_count", "1.0"),
    ("_count", "ten"),
    ("_count", "1" * 10),
    ("_count", "\u0663"),
    ("_lastUpdated", "soon"),
    ("title", "x"),
    ("_ID", "x"),
    ("_id:exact", "x"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_parameter_that_cannot_be_used(name: str, value: str) -> None:
    with pytest.raises(Refusal) as raised:
        read_query([("_count", "1"), (name, value)], "List", BASE)
    (issue,) = raised.value.issues
    assert (raised.value.status, issue.code, issue.spine_code) == (400, "invalid", "BAD_REQUEST")
    assert name in issue.diagnostics


def test_a_long_parameter_is_not_given_back_at_length() -> None:
    for parameter in (("x" * 100_000, "1"), ("_id", "!" * 100_000)):
        with pytest.raises(Refusal) as raised:
            read_query([parameter], "List", BASE)
        assert len(raised.value.issues[0].diagnostics) < 300
