"""The HTML that a notebook shows for each kind of result: escaped, bounded, and without a remote record."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from exchangekit import exchange, outcome

from workbench import Endpoint, Exchange, Journal, Verdict, check, history, merge, play, race
from workbench.client.unanswered import Landing, Resolution
from workbench.fhir import markup

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>\u202egnp\u2066"
LOST_UPDATE = "alice reads, bob reads, alice puts, bob puts"
TAGS = {"div", "b", "code", "span", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre"}


class Page(HTMLParser):
    """The text of an HTML fragment, and every element and attribute in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.attributes = "", set[str](), set[str]()
        self.feed(str(html))  # a Markup would escape its own parts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def html_of(value: Any) -> Page:
    return Page(value._repr_html_())


def hostile_exchange() -> Exchange:
    body = outcome(diagnostics=HOSTILE)
    sent = json.dumps({"resourceType": "List", "title": HOSTILE}, ensure_ascii=False).encode()
    made = exchange(status=409, if_match=f'W/"{HOSTILE}"', etag=HOSTILE, body=body, sent_body=sent)
    return replace(made, client=HOSTILE)


def hostile_journal() -> Journal:
    journal = Journal()
    journal.append(hostile_exchange())
    return journal


def list_titled(title: str, **members: Any) -> dict[str, Any]:
    return {"resourceType": "List", "id": "1", "title": title, **members}


HOSTILE_VALUES = {
    "exchange": hostile_exchange,
    "journal": hostile_journal,
    "merge": lambda: merge(list_titled("base"), list_titled(HOSTILE), list_titled("theirs", **{HOSTILE: HOSTILE})),
    "resolution": lambda: Resolution(Landing.LANDED, HOSTILE, None),
}


@pytest.mark.parametrize("name", HOSTILE_VALUES)
def test_a_text_from_outside_is_text_and_its_controls_are_visible(name: str) -> None:
    shown = html_of(HOSTILE_VALUES[name]())
    assert shown.tags <= TAGS
    assert shown.attributes <= {"style"}
    assert "<script>window.pwned=1</script>" in shown.text
    assert "\\u202egnp\\u2066" in shown.text
    assert "\u202e" not in shown.text


def test_an_exchange_shows_its_answer_and_both_messages() -> None:
    shown = html_of(exchange(status=200, if_match='W/"1"', etag='W/"2"', sent_body=b'{"title":"kept"}'))
    assert shown.text.startswith('alice PUT List/1 → 200 OK updated W/"2"')
    assert 'If-Match: W/"1"' in shown.text
    assert '"title": "kept"' in shown.text


def test_an_exchange_with_a_remote_endpoint_shows_no_record() -> None:
    here = exchange(status=409, if_match='W/"1"', sent_body=b'{"title":"private"}', body=outcome(diagnostics="private"))
    there = replace(here, request=replace(here.request, url="https://int.spine.example/STU3/List/1"))
    assert "private" in html_of(here).text
    assert "private" not in html_of(there).text
    assert "409 Conflict" in html_of(there).text


def test_what_is_long_is_cut() -> None:
    found = exchange(body=list_titled("x" * 1_000_000))
    assert len(found._repr_html_()) < 30_000
    assert "… and 5 more" in markup.table(("one",), [("row",)] * 45)
    journal = Journal()
    for _ in range(30):
        journal.append(exchange("read"))
    assert "Journal of 30 exchanges, the last 20" in html_of(journal).text
    assert journal._repr_html_().count("<tr>") == 21


def test_a_merge_shows_its_open_conflicts_first() -> None:
    merged = merge(list_titled("a"), list_titled("b", note="mine"), list_titled("c", status="current"))
    text = html_of(merged).text
    assert text.startswith("3 decisions, 1 open conflict")
    assert text.index("title") < text.index("note")
    assert "open" in text
    assert "(absent)" in text


@pytest.mark.parametrize(
    ("policy", "sentences"),
    [
        ("SPINE", ("409 Conflict: nothing is stored", "No accepted update is lost.")),
        ("UNPROTECTED", ("v3 replaces v2, which Bob has not read", "Alice's update was accepted and then overwritten")),
    ],
)
def test_a_play_says_each_step_and_what_was_lost(policy: str, sentences: tuple[str, str]) -> None:
    with Endpoint.in_process(policy=policy) as endpoint:
        text = html_of(play(LOST_UPDATE, endpoint)).text
    assert all(sentence in text for sentence in sentences)


def test_a_proof_names_its_violations_and_the_lost_update() -> None:
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        play(LOST_UPDATE, endpoint)
        text = html_of(history(endpoint.journal, in_turn=True).check()).text
    assert text.startswith("Inconsistent: ")
    assert "lost update of" in text
    assert "alice" in text


def test_a_race_counts_what_was_lost() -> None:
    with Endpoint.in_process() as endpoint:
        run = race(endpoint, clients=2, updates=2, progress=False)
    text = html_of(run).text
    assert text.startswith(f"4 accepted 0 lost {run.conflicts} conflicts")


def test_a_report_lists_what_deviates() -> None:
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        report = check(endpoint.client("me"))
    text = html_of(report).text
    assert report.headline in text
    assert all(found.probe in text for found in report.deviations[:40])
    assert report.deviations


def test_plain_text_stays_short() -> None:
    assert repr(exchange()) == "<alice: update List/1 → 200 updated>"
    assert exchange().verdict is Verdict.UPDATED
