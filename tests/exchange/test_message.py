"""What a message may contain, and what remains of a body that is no longer stored."""

import hashlib

import pytest
from exchangekit import exchange

from workbench.errors import BadInput
from workbench.exchange.message import (
    Headers,
    can_be_sent,
    check_answered,
    check_field,
    check_method,
    check_url,
    size_of,
    without_body,
)
from workbench.exchange.verdict import Verdict, left_open


@pytest.mark.parametrize("method", ["GET", "PATCH", "M"])
def test_a_method(method: str) -> None:
    check_method(method)


@pytest.mark.parametrize("method", ["", "get", "GET ", "G\n", None, 5, "A" * 41])
def test_a_method_that_is_rejected(method: object) -> None:
    with pytest.raises(BadInput, match="is not an HTTP method"):
        check_method(method)


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://h/a b", "http://h/é", "http://h/\n", None])
def test_a_url_that_is_rejected(url: object) -> None:
    check_url("http://host/STU3")
    with pytest.raises(BadInput, match="must begin with http"):
        check_url(url)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "v"),
        ("a b", "v"),
        ("A:", "v"),
        (None, "v"),
        ("A", "a\nb"),
        ("A", " a"),
        ("A", "a "),
        ("A", "€"),
        ("A", None),
    ],
)
def test_a_request_field_that_is_rejected(name: object, value: object) -> None:
    check_field("A", "a b")
    check_field("A", "")
    with pytest.raises(BadInput, match="cannot be sent"):
        check_field(name, value)


def test_the_value_of_a_rejected_field_is_not_quoted() -> None:
    with pytest.raises(BadInput) as caught:
        check_field("Authorization", "planted-secret\n")
    assert "planted-secret" not in str(caught.value)
    assert not can_be_sent("planted-secret\n")


@pytest.mark.parametrize("status", [99, 1000, True, "200", 200.0])
def test_a_status_that_is_rejected(status: object) -> None:
    with pytest.raises(BadInput, match="is not a status code"):
        check_answered(status, [])


def test_a_response_may_have_fields_that_a_request_may_not() -> None:
    check_answered(200, [("Server", "a\x01b"), ("Folded", "a\r\n b"), ("Odd(name)", "")])


@pytest.mark.parametrize(("name", "value"), [("a b", ""), ("", ""), (5, ""), ("A", "a\nb"), ("A", "\0"), ("A", None)])
def test_a_response_field_that_is_rejected(name: object, value: object) -> None:
    with pytest.raises(BadInput, match="header field"):
        check_answered(200, [(name, value)])


def test_an_exchange_without_its_bodies() -> None:
    whole = exchange("update", 409, if_match='W/"1"', body=b"{}", sent_body=b"[1]")
    lean = whole.without_bodies()
    assert (whole.is_whole, lean.is_whole) == (True, False)
    assert (lean.request.body, lean.resource, lean.verdict) == (b"", None, Verdict.STALE)
    assert size_of(lean.request) == size_of(whole.request) == 3
    assert hashlib.sha256(b"[1]").hexdigest() in str(lean.request.dropped)
    assert without_body(lean.request) is lean.request
    assert exchange(status=None).without_bodies().response is None
    assert "no longer kept" in lean.explain()


def test_an_incomplete_response_is_explained() -> None:
    broken = exchange("update", 200, if_match='W/"1"', body=b"{", failure="The response broke off.")
    assert broken.verdict is Verdict.UNKNOWN
    assert broken.explain().endswith("The response broke off.")


@pytest.mark.parametrize(
    ("interaction", "status", "wanted"),
    [
        ("update", None, True),
        ("update", 500, True),
        ("update", 502, True),
        ("update", 200, False),
        ("update", 422, False),
        ("read", None, False),
        ("read", 500, False),
    ],
)
def test_left_open(interaction: str, status: int | None, wanted: bool) -> None:
    assert left_open(exchange(interaction, status)) is wanted


def test_a_write_that_was_not_sent_is_not_open() -> None:
    assert not left_open(exchange("update", None, sent=False))


def test_the_repr_of_headers() -> None:
    assert repr(Headers({"A": "1"})) == "Headers({'A': '1'})"
    assert Headers() != ()
