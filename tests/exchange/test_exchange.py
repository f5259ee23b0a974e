"""An exchange: what its properties return for any request and response."""

from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest
from exchangekit import BASE, NEXT, VERSION, exchange, outcome

from workbench.errors import WorkbenchError
from workbench.exchange.message import Headers, UnwantedVerdict
from workbench.exchange.verdict import Verdict


@pytest.mark.parametrize(
    ("etag", "wanted"), [(VERSION, VERSION), ('"1"', '"1"'), (None, None), ("1", None), ("*", None), ("", None)]
)
def test_the_etag(etag: str | None, wanted: str | None) -> None:
    found = exchange(etag=etag).etag
    assert (str(found) if found else None) == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [(b"", None), (b"{", None), (b"\xff", None), (b'{"a":1}', {"a": 1}), (b"[1.10]", [Decimal("1.10")])],
)
def test_the_resource(body: bytes, wanted: Any) -> None:
    assert exchange(body=body).resource == wanted


def test_each_access_parses_the_resource_anew() -> None:
    about = exchange(body=b'{"a":[1.10]}')
    about.resource["a"].append(2)
    assert about.resource == {"a": [Decimal("1.10")]}


def test_an_exchange_without_a_response() -> None:
    about = exchange(status=None, if_match=VERSION, failure="It broke off.")
    assert (about.status, about.etag, about.resource, about.outcome, about.ok) == (None, None, None, None, False)
    assert about.if_match == VERSION


def test_the_outcome() -> None:
    found = exchange(status=409, body=outcome(code="conflict", diagnostics="d")).outcome
    assert found is not None
    assert found.diagnostics == "d"
    assert exchange(body=b'{"resourceType":"List"}').outcome is None


@pytest.mark.parametrize(
    ("logical_id", "wanted"),
    [("1", "<alice: update List/1 → 200 updated>"), ("", "<alice: update List → 200 updated>")],
)
def test_its_repr(logical_id: str, wanted: str) -> None:
    assert repr(exchange(logical_id=logical_id)) == wanted


def test_its_repr_without_an_answer() -> None:
    assert repr(exchange(status=None)) == "<alice: update List/1 → no answer unknown>"


def test_raise_for_verdict() -> None:
    done = exchange()
    assert done.raise_for_verdict() is done
    stale = exchange(status=409, if_match=VERSION)
    assert stale.raise_for_verdict(Verdict.STALE, Verdict.UPDATED) is stale
    with pytest.raises(UnwantedVerdict) as caught:
        stale.raise_for_verdict()
    assert str(caught.value) == stale.explain()
    assert caught.value.exchange is stale
    assert isinstance(caught.value, WorkbenchError)
    with pytest.raises(UnwantedVerdict):
        done.raise_for_verdict(Verdict.STALE)


def test_it_cannot_be_changed() -> None:
    about = exchange(etag=NEXT)
    with pytest.raises(FrozenInstanceError):
        about.client = "bob"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        about.request.url = BASE  # type: ignore[misc]


FIELDS = Headers([("ETag", "1"), ("X", "a"), ("x", "b"), ("Empty", "")])


@pytest.mark.parametrize(
    ("name", "value"), [("etag", "1"), ("ETAG", "1"), ("X", "a, b"), ("empty", ""), ("Y", None), ("", None)]
)
def test_header_fields_are_found_in_any_case(name: str, value: str | None) -> None:
    assert FIELDS.get(name) == value
    assert (name in FIELDS) is (value is not None)


def test_header_fields() -> None:
    assert list(FIELDS.items()) == [("ETag", "1"), ("X", "a"), ("x", "b"), ("Empty", "")]
    assert len(FIELDS) == 4
    assert FIELDS["x"] == "a, b"
    assert Headers(FIELDS.items()) == FIELDS
    assert Headers({"a": "1"}) == Headers([("a", "1")]) != Headers({"a": "2"})
    assert len({FIELDS, Headers(FIELDS.items())}) == 1
    assert 5 not in FIELDS
    with pytest.raises(KeyError):
        FIELDS["y"]
