"""What becomes of a write that was not answered: what is concluded from which evidence, and what is not."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from exchangekit import exchange, outcome

from workbench.client.unanswered import Landing, check_open, holds, resolve, unreadable
from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.fhir import json

LANDED, SO_FAR, DID_NOT, CANNOT = (
    Landing.LANDED,
    Landing.NOT_SO_FAR,
    Landing.DID_NOT_LAND,
    Landing.CANNOT_BE_KNOWN,
)

START = datetime.fromisoformat("2018-05-25T16:10:00+00:00")


def text(title: str, version: str | None = None) -> str:
    meta = f'"meta":{{"versionId":"{version}","lastUpdated":"2018-05-25T16:09:50Z"}},' if version else ""
    return f'{{"resourceType":"List","id":"1",{meta}"title":"{title}","n":1.10}}'


def by(client: str, at: float, made: Exchange, elapsed: float | None = 0.1) -> Exchange:
    return dataclasses.replace(made, client=client, sent_at=START + timedelta(seconds=at), elapsed=elapsed)


def tag(version: str | None) -> str | None:
    return None if version is None else f'W/"{version}"'


def put(
    client: str, at: float, base: str | None, title: str, made: str | None = None, status: int | None = 200, **more: Any
) -> Exchange:
    """A PUT; ``made`` is the version in the answer. ``status`` ``None``: no answer."""
    sent = text(title).encode()
    return by(client, at, exchange("update", status, if_match=tag(base), etag=tag(made), sent_body=sent), **more)


def get(client: str, at: float, version: str, title: str, **more: Any) -> Exchange:
    body = text(title, version).encode()
    return by(client, at, exchange("read", 200, etag=tag(version), body=body), **more)


def delete(client: str, at: float, base: str | None, status: int | None = 204) -> Exchange:
    return by(client, at, exchange("delete", status, if_match=tag(base)))


def gone(at: float = 50, status: int = 404) -> Exchange:
    return by("alice", at, exchange("read", status))


MINE = put("alice", 10, "1", "mine", status=None, elapsed=5)
"""Sent at second 10 with version 1, given up at second 15."""

BLIND = put("alice", 10, None, "mine", status=None, elapsed=5)
NO = put("carol", 1, "0", "other", status=409)
"""Shows that the endpoint looks at If-Match."""
BOB = put("bob", 12, "1", "bobs", "2")
READ_1 = get("alice", 5, "1", "first")

CASES: dict[str, tuple[Landing, Exchange, Exchange, list[Exchange], str]] = {
    # what: outcome, the write, the read, the rest of the journal, a part of the sentence
    "the old version is there": (SO_FAR, MINE, get("alice", 50, "1", "first"), [], "may yet arrive"),
    "what was sent is there": (LANDED, MINE, get("alice", 50, "2", "mine"), [], "exactly what was sent"),
    "something else is there": (CANNOT, MINE, get("alice", 50, "3", "bobs"), [], "keeps no history"),
    "something else, and bob wrote it": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "bobs"),
        [put("bob", 30, "2", "bobs", "3")],
        "version 3, which bob wrote, is there now",
    ),
    "a digit differs": (
        CANNOT,
        MINE,
        by("alice", 50, exchange("read", 200, etag='W/"2"', body=text("mine").replace("1.10", "1.1").encode())),
        [],
        "holds something else",
    ),
    "the same text was there before": (
        CANNOT,
        MINE,
        get("alice", 50, "1", "mine"),
        [],
        "makes no difference",
    ),
    "bob was accepted from the same version, by a lock": (
        DID_NOT,
        MINE,
        get("alice", 50, "2", "bobs"),
        [NO, BOB],
        "bob's update named version 1 too",
    ),
    "the same, and bob's text is word for word mine": (
        DID_NOT,
        MINE,
        get("alice", 50, "2", "mine"),
        [NO, put("bob", 12, "1", "mine", "2")],
        "keeps to its lock",
    ),
    "bob was accepted, and no lock was seen": (
        CANNOT,
        MINE,
        get("alice", 50, "2", "bobs"),
        [BOB],
        "if the endpoint keeps to its lock",
    ),
    "two were accepted from one version: there is no lock": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "dans"),
        [NO, BOB, put("dan", 13, "1", "dans", "3")],
        "if the endpoint keeps to its lock",
    ),
    "bob changed nothing and no version was made": (
        SO_FAR,
        MINE,
        get("alice", 50, "1", "first"),
        [NO, put("bob", 12, "1", "first", "1")],
        "still the current one",
    ),
    "bob wrote the same later": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "mine"),
        [put("bob", 30, "2", "mine", "3")],
        "version 3, which bob wrote, holds exactly what was sent",
    ),
    "bob sent the very same and was not answered": (
        CANNOT,
        MINE,
        get("alice", 50, "2", "mine"),
        [put("bob", 12, "1", "mine", status=None)],
        "its author is unknown",
    ),
    "bob sent the very same, but from a version that dan replaced": (
        LANDED,
        MINE,
        get("alice", 50, "3", "mine"),
        [NO, put("bob", 12, "0", "mine", status=None), put("dan", 2, "0", "dans", "1")],
        "exactly what was sent (",
    ),
    "the same, and no lock was seen": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "mine"),
        [put("bob", 12, "0", "mine", status=None), put("dan", 2, "0", "dans", "1")],
        "its author is unknown",
    ),
    "bob sent the very same and got no version": (
        CANNOT,
        MINE,
        get("alice", 50, "2", "mine"),
        [put("bob", 30, "7", "mine")],
        "its author is unknown",
    ),
    "what was sent is there, though bob replaced the version": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "mine"),
        [BOB],
        "who wrote this is not known",
    ),
    "I sent the very same again and was not answered": (
        LANDED,
        MINE,
        get("alice", 50, "2", "mine"),
        [put("alice", 20, "1", "mine", status=None)],
        "sent 2 times in all",
    ),
    "I sent the same text again, from another version": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "mine"),
        [put("alice", 20, "2", "mine", status=None)],
        "alice sent the very same",
    ),
    "I sent it again and that was accepted": (
        DID_NOT,
        MINE,
        get("alice", 50, "2", "mine"),
        [NO, put("alice", 20, "1", "mine", "2")],
        "another update of alice",
    ),
    "bob saw it before he replaced it": (
        LANDED,
        MINE,
        get("alice", 50, "3", "bobs"),
        [get("bob", 20, "2", "mine"), put("bob", 21, "2", "bobs", "3")],
        "bob was shown version 2",
    ),
    "bob saw it, and then it was deleted": (LANDED, MINE, gone(), [get("bob", 20, "2", "mine")], "bob was shown"),
    "bob saw the same text, but in a read begun before": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "bobs"),
        [get("bob", 9, "0", "mine", elapsed=30)],
        "holds something else",
    ),
    "bob saw the same text, but as the version named": (
        CANNOT,
        MINE,
        get("alice", 50, "3", "bobs"),
        [get("bob", 20, "1", "mine")],
        "holds something else",
    ),
    "a stale version was named, and the current one was there before": (
        SO_FAR,
        MINE,
        get("alice", 50, "2", "bobs"),
        [put("bob", 8, "x", "bobs", "2")],
        "still the current one",
    ),
    "the same text, perhaps there before": (
        CANNOT,
        MINE,
        get("alice", 50, "2", "mine"),
        [get("bob", 8, "2", "mine", elapsed=None)],
        "may have been there before",
    ),
    "it is gone": (CANNOT, MINE, gone(), [], "it was deleted"),
    "it is gone, for good": (CANNOT, MINE, gone(status=410), [], "it was deleted"),
    "bob deleted the version named, by a lock": (DID_NOT, MINE, gone(), [NO, delete("bob", 12, "1")], "bob's delete"),
    "the read was not answered": (CANNOT, MINE, by("alice", 50, exchange("read", None)), [], "yet; ask again"),
    "the read brought a web page": (CANNOT, MINE, by("alice", 50, exchange("read", 200, body=b"<p>")), [], "ask again"),
    "the read was refused": (CANNOT, MINE, by("alice", 50, exchange("read", 403)), [], "ask again"),
    "the read tells no version": (
        CANNOT,
        MINE,
        by("alice", 50, exchange("read", 200, body=text("mine").encode())),
        [],
        "which version",
    ),
    "bob's answer was a 503, which leaves it open": (
        CANNOT,
        MINE,
        get("alice", 50, "2", "mine"),
        [put("bob", 12, "1", "mine", status=503)],
        "its author is unknown",
    ),
    # without a lock
    "blind, and the version from before is there": (
        SO_FAR,
        BLIND,
        get("alice", 50, "1", "first"),
        [READ_1],
        "overwrite any version",
    ),
    "blind, and what was sent is there": (LANDED, BLIND, get("alice", 50, "2", "mine"), [READ_1], "exactly"),
    "blind, and what was there is unknown": (
        CANNOT,
        BLIND,
        get("alice", 50, "2", "mine"),
        [],
        "what was there before",
    ),
    "blind, and something else": (CANNOT, BLIND, get("alice", 50, "2", "bobs"), [READ_1], "keeps no history"),
    "an If-Match that names no version": (
        LANDED,
        by("alice", 10, exchange("update", None, if_match="*", sent_body=text("mine").encode())),
        get("alice", 50, "2", "mine"),
        [READ_1],
        "exactly",
    ),
    # deletes
    "deleted": (LANDED, delete("alice", 10, "1", None), gone(), [], "as was asked"),
    "deleted, sent twice": (LANDED, delete("alice", 10, "1", None), gone(), [delete("alice", 20, "1", None)], "asked"),
    "not deleted": (SO_FAR, delete("alice", 10, "1", None), get("alice", 50, "1", "first"), [], "delete may yet"),
    "not deleted, and changed": (
        CANNOT,
        delete("alice", 10, "1", None),
        get("alice", 50, "2", "bobs"),
        [],
        "nothing to compare",
    ),
    "deleted by bob, from another version": (
        DID_NOT,
        delete("alice", 10, "1", None),
        gone(),
        [NO, delete("bob", 12, "2")],
        "bob's delete",
    ),
    "deleted by bob, and no lock was seen": (
        CANNOT,
        delete("alice", 10, "1", None),
        gone(),
        [delete("bob", 12, "1")],
        "whether this one was too is not known",
    ),
    "bob tried to delete it too": (
        CANNOT,
        delete("alice", 10, "1", None),
        gone(),
        [delete("bob", 12, "1", None)],
        "bob tried",
    ),
    "a blind delete of an unseen resource": (CANNOT, delete("alice", 10, None, None), gone(), [], "ever was one"),
    # what cannot be compared
    "a patch": (
        CANNOT,
        by("alice", 10, exchange("patch", None, if_match='W/"1"', sent_body=b"[]")),
        get("alice", 50, "2", "mine"),
        [],
        "nothing to compare",
    ),
    "a patch of the version that is there": (
        SO_FAR,
        by("alice", 10, exchange("patch", None, if_match='W/"1"', sent_body=b"[]")),
        get("alice", 50, "1", "first"),
        [],
        "patch may yet arrive",
    ),
    "a body that is no JSON": (
        CANNOT,
        by("alice", 10, exchange("update", None, if_match='W/"1"', sent_body=b"{")),
        get("alice", 50, "2", "mine"),
        [],
        "nothing to compare",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_each_outcome_and_its_reason(what: str) -> None:
    outcome, write, read, rest, words = CASES[what]
    found = resolve(write, read, [*rest, write, read])
    assert (found.outcome, found.read) == (outcome, read)
    assert words in found.because
    assert found.because[-1] == "."
    assert "\n" not in found.because
    assert str(found) == f"{outcome.value}: {found.because}"
    assert found.landed is (outcome is LANDED)


@pytest.mark.parametrize("what", CASES)
def test_the_order_of_the_journal_does_not_matter(what: str) -> None:
    outcome, write, read, rest, _ = CASES[what]
    copy = dataclasses.replace(write)
    assert resolve(copy, read, [read, write, *reversed(rest)]).outcome is outcome


@pytest.mark.parametrize("what", CASES)
def test_exchanges_about_something_else_prove_nothing(what: str) -> None:
    outcome, write, read, rest, _ = CASES[what]
    elsewhere = [
        dataclasses.replace(
            each,
            logical_id="2",
            request=dataclasses.replace(each.request, url="http://127.0.0.1:9/STU3/List/1"),
        )
        for each in (BOB, NO, get("bob", 20, "2", "mine"), delete("bob", 12, "1"))
    ]
    assert resolve(write, read, [*elsewhere, *rest, write, read]).outcome is outcome


KEPT_ENOUGH = {
    # cases whose outcome does not hang on the bodies that others sent
    "the old version is there",
    "what was sent is there",
    "bob was accepted from the same version, by a lock",
    "bob sent the very same and was not answered",
    "I sent the very same again and was not answered",
    "I sent it again and that was accepted",
}


@pytest.mark.parametrize("what", CASES)
def test_a_journal_without_bodies_never_gives_another_outcome_than_cannot_be_known(what: str) -> None:
    outcome, write, read, rest, _ = CASES[what]
    kept = [each.without_bodies() for each in [*rest, write, read]]
    found = resolve(write, read, kept).outcome
    assert found in (outcome, CANNOT)
    if what in KEPT_ENOUGH:
        assert found is outcome


def test_an_unanswered_write_whose_body_is_not_kept_may_have_been_the_very_same() -> None:
    other = put("bob", 12, "1", "something else", status=None)
    read = get("alice", 50, "2", "mine")
    assert resolve(MINE, read, [MINE, other]).outcome is LANDED
    assert resolve(MINE, read, [MINE, other.without_bodies()]).outcome is CANNOT


def test_a_write_whose_own_body_is_not_kept() -> None:
    mine = MINE.without_bodies()
    assert resolve(mine, get("alice", 50, "1", "first"), [mine]).outcome is SO_FAR
    found = resolve(mine, get("alice", 50, "2", "mine"), [mine])
    assert (found.outcome, "no longer kept" in found.because) == (CANNOT, True)


def test_a_version_in_the_sent_body_is_ignored() -> None:
    """UPD-4: what a client sends in ``meta.versionId`` is overwritten, so it is no difference; a profile is one."""

    def sent(meta: str) -> Exchange:
        body = f'{{"resourceType":"List","id":"1"{meta},"title":"mine"}}'.encode()
        return by("alice", 10, exchange("update", None, if_match='W/"1"', sent_body=body))

    def read(meta: str) -> Exchange:
        body = f'{{"resourceType":"List","id":"1","meta":{{"versionId":"2"{meta}}},"title":"mine"}}'.encode()
        return by("alice", 50, exchange("read", 200, etag='W/"2"', body=body))

    profile = ',"profile":["p"]'
    for meta in ("", ',"meta":{}', ',"meta":{"versionId":"1","lastUpdated":"x"}'):
        assert resolve(sent(meta), read(""), []).outcome is LANDED
        assert resolve(sent(meta), read(profile), []).outcome is CANNOT
    assert resolve(sent(',"meta":{"profile":["p"],"versionId":"9"}'), read(profile), []).outcome is LANDED
    assert holds(sent(""), read(""))
    assert not holds(sent(""), read(profile))
    assert not holds(delete("alice", 10, "1", None), read(""))


def test_a_server_that_shows_the_version_only_in_the_body() -> None:
    read = by("alice", 50, exchange("read", 200, body=text("mine", "2").encode()))
    assert resolve(MINE, read, []).outcome is LANDED


OPEN: dict[str, Callable[[], Exchange]] = {
    "no answer": lambda: MINE,
    "503": lambda: put("alice", 10, "1", "mine", status=503),
    "504": lambda: put("alice", 10, "1", "mine", status=504),
    "202": lambda: put("alice", 10, "1", "mine", status=202),
}


@pytest.mark.parametrize("what", OPEN)
def test_an_open_write_can_be_resolved(what: str) -> None:
    write = OPEN[what]()
    check_open(write)
    assert resolve(write, get("alice", 50, "2", "mine"), [write]).outcome is LANDED


SETTLED = {
    "accepted": (put("alice", 10, "1", "mine", "2"), "was answered 200 (updated)"),
    "stale": (put("alice", 10, "1", "mine", status=409), "was answered 409 (stale)"),
    "refused": (
        by("alice", 1, exchange("update", 422, if_match='W/"1"', body=outcome(code="invalid"))),
        "answered 422",
    ),
    "never sent": (by("alice", 1, exchange("update", None, sent=False, failure="Nothing listens.")), "never sent"),
    "a read": (by("alice", 1, exchange("read", None)), "changes nothing"),
}


@pytest.mark.parametrize("what", SETTLED)
def test_an_answered_write_cannot_be_resolved(what: str) -> None:
    write, words = SETTLED[what]
    with pytest.raises(BadInput) as caught:
        resolve(write, gone(), [])
    assert words in str(caught.value)


def test_a_create_cannot_be_known() -> None:
    body = json.dumps({"resourceType": "List"}).encode()
    found = unreadable(by("alice", 1, exchange("create", None, logical_id="", sent_body=body)))
    assert found is not None
    assert (found.outcome, found.read) == (CANNOT, None)
    assert "the endpoint chooses the id" in found.because
    batch = unreadable(by("alice", 1, exchange("post", None, logical_id="", method="POST")))
    assert batch is not None
    assert "not about one resource" in batch.because
    assert unreadable(MINE) is None
