"""What may be sent again, and how long the endpoint asks to wait."""

import dataclasses

import pytest
from exchangekit import exchange
from hypothesis import given
from hypothesis import strategies as st

from workbench.client.retry import Retried, is_unanswered, retry_after
from workbench.exchange.message import Exchange, Headers, Response

DATE = "Fri, 25 May 2018 16:10:00 GMT"


def answered(retry_after: str | None, date: str | None = DATE, status: int = 503) -> Exchange:
    """An exchange sent at 16:10:00 that was answered with these two header fields."""
    named = {"Retry-After": retry_after, "Date": date}
    fields = Headers({name: value for name, value in named.items() if value is not None})
    return dataclasses.replace(exchange("update", status), response=Response(status, fields))


WAITS = {
    "7": 7,
    " 120 ": 120,
    "0": 0,
    "Fri, 25 May 2018 16:12:30 GMT": 150,
    "Friday, 25-May-18 16:10:01 GMT": 1,
    "Fri May 25 16:10:02 2018": 2,
    "Fri, 25 May 2018 16:09:00 GMT": 0,
    "Fri, 25 May 2018 18:10:30 +0200": 30,
    "": None,
    "soon": None,
    "-1": None,
    "1.5": None,
    "٣": None,
    "7, 8": None,
    "Fri, 99 May 2018 16:10:00 GMT": None,
}


@pytest.mark.parametrize("value", WAITS)
def test_what_retry_after_asks(value: str) -> None:
    assert retry_after(answered(value)) == WAITS[value]


def test_a_date_counts_from_the_answers_own_date_or_else_from_when_it_was_sent() -> None:
    later = "Fri, 25 May 2018 16:12:00 GMT"
    assert retry_after(answered(later, "Fri, 25 May 2018 16:11:00 GMT")) == 60
    assert retry_after(answered(later, None)) == 120
    assert retry_after(answered(later, "today")) == 120


@given(st.text())
def test_any_text_is_a_wait_or_none(value: str) -> None:
    asked = retry_after(answered(value))
    assert asked is None or asked >= 0


def test_no_answer_no_wait() -> None:
    assert retry_after(exchange("update", None)) is None
    assert retry_after(answered(None)) is None


@pytest.mark.parametrize(
    ("status", "unanswered"),
    [(None, True), (502, True), (504, True), (200, False), (202, False), (409, False), (500, False), (503, False)],
)
def test_what_counts_as_no_answer(status: int | None, unanswered: bool) -> None:
    assert is_unanswered(exchange("update", status, if_match='W/"1"')) is unanswered


def test_one_attempt_is_explained_as_its_exchange() -> None:
    only = exchange()
    assert Retried((only,)).explain() == only.explain()
    assert repr(Retried((only,))) == f"<Retried: 1 attempt, last {only!r}>"


def test_what_stopped_the_attempts_comes_last() -> None:
    last = exchange()
    explained = Retried((exchange(), last), "Not again.").explain()
    assert explained == f"{last.explain()} The update was sent 2 times with the same If-Match. Not again."
