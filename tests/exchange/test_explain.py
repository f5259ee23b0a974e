"""The paragraph for each verdict: what happened, whether anything changed, and what to do next."""

import re
from dataclasses import replace

import pytest
from exchangekit import NEXT, VERSION, exchange, outcome

from workbench.exchange.message import Exchange, Headers
from workbench.exchange.verdict import Verdict, explain

SAID = outcome(code="conflict", spine_code="RESOURCE_VERSION_MISMATCH", diagnostics="the current version is 9.")

PARAGRAPHS: dict[Verdict, tuple[Exchange, list[str]]] = {
    Verdict.READ: (exchange("read", etag=VERSION), ["List/1", "25777f7d-27bc", "If-Match"]),
    Verdict.NOT_MODIFIED: (exchange("read", 304), ["List/1", "has not changed", "304"]),
    Verdict.CREATED: (exchange("create", 201, etag=VERSION), ["List/1", "25777f7d-27bc"]),
    Verdict.UPDATED: (exchange("update", 200, if_match=VERSION, etag=NEXT), [VERSION, NEXT, "accepted"]),
    Verdict.DELETED: (exchange("delete", 204, if_match=VERSION), ["List/1", "204"]),
    Verdict.STALE: (
        exchange("update", 409, if_match=VERSION, body=SAID),
        [VERSION, "409", "Nothing was changed", "Read it again", "the current version is 9."],
    ),
    Verdict.UNGUARDED: (
        exchange("update", 412),
        ["without If-Match", "412", "Nothing was changed", "Read the resource", "ETag"],
    ),
    Verdict.NOT_FOUND: (exchange("read", 404), ["List/1", "404", "Check the type and the id"]),
    Verdict.REFUSED: (
        exchange("update", 422, if_match=VERSION, body=outcome(code="invalid", diagnostics="List.mode is wrong.")),
        ["422", "Nothing was changed", "Correct the request", "List.mode is wrong."],
    ),
    Verdict.UNSUPPORTED: (exchange("update", 501), ["501", "CapabilityStatement"]),
    Verdict.FAILED: (exchange("update", 500), ["500", "Read the resource before you send it again"]),
    Verdict.UNKNOWN: (
        exchange("update", None, if_match=VERSION, failure="127.0.0.1 took the request but did not answer in time."),
        ["It may have been carried out, or not", "Read the resource", "did not answer in time"],
    ),
}


def test_there_is_a_paragraph_for_every_verdict() -> None:
    assert set(PARAGRAPHS) == set(Verdict)


@pytest.mark.parametrize("verdict", Verdict, ids=lambda verdict: verdict.name)
def test_a_paragraph(verdict: Verdict) -> None:
    about, wanted = PARAGRAPHS[verdict]
    text = about.explain()
    assert about.verdict is verdict
    assert not [words for words in wanted if words not in text]
    assert text[0].isupper()
    assert text.endswith(".")
    assert not re.search(r"[{}\n]|None|  |\.\.", text), text


VARIANTS = {
    "malformed": (
        exchange("update", 412, if_match="abc"),
        Verdict.UNGUARDED,
        ["is not usable: abc", "Read the resource"],
    ),
    "stale delete": (exchange("delete", 409, if_match=VERSION), Verdict.STALE, ["Alice's delete of List/1", VERSION]),
    "a read without an ETag": (exchange("read"), Verdict.READ, ["no ETag"]),
    "update without an ETag": (exchange("update", 200), Verdict.UPDATED, ["accepted", "no ETag"]),
    "update without If-Match": (
        exchange("update", 200, etag=NEXT),
        Verdict.UPDATED,
        ["without a version", f"The ETag is now {NEXT}"],
    ),
    "an update that changes nothing": (
        exchange("update", 200, if_match=VERSION, etag=VERSION),
        Verdict.UPDATED,
        ["accepted", "did not change", f"still {VERSION}"],
    ),
    "a patch": (exchange("patch", 200, if_match=VERSION, etag=NEXT), Verdict.UPDATED, ["Alice's patch of List/1"]),
    "created by an update": (exchange("update", 201, etag=NEXT), Verdict.CREATED, ["alice chose the id"]),
    "credentials": (exchange("update", 401), Verdict.REFUSED, ["401", "token"]),
    "permissions": (exchange("update", 403), Verdict.REFUSED, ["403", "not allowed"]),
    "too many requests": (exchange("update", 429), Verdict.REFUSED, ["429", "Wait"]),
    "a search": (exchange("search-type", logical_id=""), Verdict.READ, ["search", "200"]),
    "capabilities": (exchange("capabilities", logical_id=""), Verdict.READ, ["capabilities", "200"]),
    "redirected": (
        exchange("update", 308, if_match=VERSION, location="https://elsewhere.example/List/1"),
        Verdict.REFUSED,
        ["https://elsewhere.example/List/1", "308", "base URL"],
    ),
    "redirected nowhere": (exchange("update", 308), Verdict.REFUSED, ["an address that it did not name"]),
    "never sent": (
        exchange("update", None, sent=False, failure="Nothing listens at 127.0.0.1:1; start the endpoint."),
        Verdict.FAILED,
        ["was not sent", "Nothing listens"],
    ),
    "an unanswered read": (exchange("read", None, failure="It broke off."), Verdict.UNKNOWN, ["send it again"]),
    "a failed read": (exchange("read", 500), Verdict.FAILED, ["500"]),
}


@pytest.mark.parametrize(("about", "verdict", "wanted"), VARIANTS.values(), ids=VARIANTS.keys())
def test_a_variant(about: Exchange, verdict: Verdict, wanted: list[str]) -> None:
    assert about.verdict is verdict
    assert not [words for words in wanted if words not in about.explain()]
    assert "None" not in about.explain()


@pytest.mark.parametrize("status", [202, 502, 504])
def test_an_answer_that_leaves_it_open_is_an_answer(status: int) -> None:
    text = exchange("update", status, if_match=VERSION).explain()
    assert str(status) in text
    assert "no answer came" not in text
    assert "It may have been carried out, or not" in text


def test_a_failed_read_can_be_sent_again() -> None:
    assert "before you send it again" not in exchange("read", 500).explain()


# --- an explanation says only what the exchange shows ---


@pytest.mark.parametrize("etag", [NEXT, VERSION, None])
@pytest.mark.parametrize("if_match", [VERSION, 'W/"another"', "*", None])
def test_an_accepted_update_says_nothing_about_later_updates(if_match: str | None, etag: str | None) -> None:
    """The endpoint may have no lock, the version may not have moved, and it need not be the one that was named."""
    text = exchange("update", 200, if_match=if_match, etag=etag).explain()
    assert not re.search(r"older|now reject|will be|refuse|changed from", text), text


def test_who_chose_the_id() -> None:
    assert "alice chose the id" in exchange("update", 201, if_match=VERSION, etag=NEXT).explain()
    assert "The endpoint assigned the id" in exchange("create", 201, etag=NEXT).explain()
    assert "the id" not in exchange("create", 201, etag=NEXT, logical_id="").explain()
    assert "created" not in exchange("create", 200).explain().replace("was created", "")
    assert "does not say that a resource was created" in exchange("create", 200).explain()


def test_a_delete_says_nothing_about_later_requests() -> None:
    """HAPI's plain server takes an update of a deleted resource, and it is there again."""
    text = exchange("delete", 204, if_match=VERSION).explain()
    assert text == "Alice's delete of List/1 was accepted (204)."


def test_a_stale_version_says_nothing_about_who_changed_it() -> None:
    """The client may have changed it itself, or the version never existed."""
    text = exchange("update", 409, if_match=VERSION).explain()
    assert not re.search(r"somebody|someone|another client|quicker|changed after", text), text


UNSURE = [
    exchange("update", 408, if_match=VERSION, body=outcome(code="timeout")),
    exchange("update", 503, if_match=VERSION, body=outcome(code="timeout")),
    exchange("update", 503, if_match=VERSION),
    exchange("update", 202, if_match=VERSION),
    exchange("update", 423, if_match=VERSION),
    exchange("update", 429, if_match=VERSION),
    exchange("update", 308, if_match=VERSION),
    exchange("update", 404, if_match=VERSION),
    exchange("update", 409, if_match=VERSION, body=outcome(code="exception")),
    exchange("update", 400, if_match=VERSION, body=outcome(code="incomplete")),
    exchange("update", 499, if_match=VERSION),
]


@pytest.mark.parametrize("about", UNSURE, ids=repr)
def test_nothing_was_changed_is_said_only_where_the_status_promises_it(about: Exchange) -> None:
    assert "Nothing was changed" not in about.explain()


@pytest.mark.parametrize("status", [400, 401, 403, 409, 412, 413, 415, 422, 428])
def test_a_status_that_promises_it_is_quoted(status: int) -> None:
    assert "Nothing was changed" in exchange("update", status, if_match=VERSION).explain()


@pytest.mark.parametrize("status", [401, 403, 423, 429])
def test_a_correct_request_is_not_to_be_corrected(status: int) -> None:
    assert "Correct the request" not in exchange("update", status, if_match=VERSION).explain()


def test_a_server_says_how_long_to_wait() -> None:
    about = exchange("update", 429)
    assert about.response is not None
    answer = replace(about.response, headers=Headers({"Retry-After": "7"}))
    assert "Wait 7 s, and send it again" in replace(about, response=answer).explain()


def test_no_precondition_arrived_although_a_version_was_sent() -> None:
    text = exchange("update", 428, if_match=VERSION).explain()
    assert f"although If-Match {VERSION} was sent" in text
    assert "not usable" not in text


def test_a_lost_race_without_a_version_is_named() -> None:
    """LinuxForHealth and HAPI answer 409 where two writes without a version meet."""
    text = exchange("update", 409, body=outcome(code="conflict")).explain()
    assert "conflicts with the current state" in text
    assert "No version was sent" in text
    assert "conflicts with" not in exchange("update", 409, body=outcome(code="duplicate")).explain()
    assert "conflicts with" not in exchange("create", 409).explain()


def test_the_header_of_nhs_immunisation_is_named() -> None:
    assert "E-Tag 2 is not its current version" in exchange("update", 409, headers={"E-Tag": "2"}).explain()


@pytest.mark.parametrize("verdict", Verdict, ids=lambda verdict: verdict.name)
def test_no_credential_is_in_a_paragraph(verdict: Verdict) -> None:
    about, _ = PARAGRAPHS[verdict]
    with_secrets = exchange(
        about.interaction,
        about.status,
        if_match=about.if_match,
        headers={"Authorization": "Bearer s3cret", "fromASID": "s3cret", "Cookie": "s3cret"},
        failure=about.failure,
    )
    assert "s3cret" not in with_secrets.explain()


def test_curly_brackets_in_a_name_or_a_diagnostic_are_only_text() -> None:
    body = outcome(diagnostics="{0} {client} %s")
    assert "{0} {client} %s" in exchange("update", 422, body=body, logical_id="1").explain()
    assert "{x}" in exchange("update", 409, if_match="{x}").explain()


def test_the_endpoint_s_own_words_can_be_left_out() -> None:
    about, _ = PARAGRAPHS[Verdict.STALE]
    assert "the current version is 9." not in explain(about, diagnostics=False)
    assert explain(about) == about.explain()


def test_a_reason_that_was_not_recorded() -> None:
    assert "no answer came. The reason is not known. It may" in exchange("update", None).explain()


def test_an_update_by_you_is_your_update() -> None:
    about = replace(exchange("update", 200, if_match=VERSION, etag=NEXT), client="you")
    assert about.explain().startswith("Your update of List/1 with If-Match")
