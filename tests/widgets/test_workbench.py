"""The workbench as a person drives it, without a browser: every control is an attribute, every answer a text.

Owns: the whole job by its controls, what can and cannot be sent, what is asked before work is lost, that nothing
that goes wrong becomes an exception, and that no text of a resource is ever markup. How it looks and how keys reach
it is the browser tests' business.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from html import unescape
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ipywidgets as widgets
import pytest

from workbench import Client, Connection, Endpoint, Exchange, Journal, Landing, Verdict, Workbench
from workbench.exchange.text import as_python, request_text
from workbench.widgets import html
from workbench.widgets.draft import Guard, Method
from workbench.widgets.workbench import _BY_HAND

LOGICAL_ID = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
LOADED = 'W/"25777f7d-27bc"'
HELD = {"resourceType": "List", "id": LOGICAL_ID, "status": "current", "mode": "working"}


def a_list(title: str) -> dict[str, Any]:
    """A List to create: it has no id yet."""
    return {"resourceType": "List", "status": "current", "mode": "working", "title": title}


@pytest.fixture(autouse=True)
def _no_error_in_a_callback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What goes wrong behind a button is only logged by ipywidgets; here it fails the test."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if "Exception" in record.getMessage()] == []


# --- what a person sees ---


def seen(widget: widgets.Widget) -> list[str]:
    """The HTML of every HTML widget in it, of the hidden ones too."""
    found = [widget.value] if isinstance(widget, widgets.HTML) else []
    return found + [value for child in getattr(widget, "children", ()) for value in seen(child)]


def text_of(shown: widgets.HTML) -> str:
    """What an HTML widget says, without its tags."""
    return unescape(re.sub(r"<[^>]*>", " ", shown.value)).strip()


def messages_of(bench: Workbench) -> str:
    """Both messages of the HTTP tab, which is drawn while it is open."""
    bench.tabs.selected_index = 2
    return f"{bench.messages.request.value}\n\n{bench.messages.response.value}"


def shown(widget: widgets.Widget) -> bool:
    return widget.layout.display != "none"


def edit(bench: Workbench, old: str = "Reasonable adjustments", new: str = "Reasonable adjustments, reviewed") -> None:
    assert old in bench.editor.value
    bench.editor.value = bench.editor.value.replace(old, new, 1)


@pytest.fixture
def spine(spine_in_process: Endpoint) -> Endpoint:
    """No test here needs a port of its own, or a process; those that need a socket make one."""
    return spine_in_process


@pytest.fixture
def bench(spine: Endpoint) -> Iterator[Workbench]:
    opened = Workbench(spine.client("carol"), "List", LOGICAL_ID)
    yield opened
    opened.close()


@pytest.fixture
def loaded(bench: Workbench) -> Workbench:
    """On the embedded endpoint it opens loaded."""
    return bench


@pytest.fixture
def moved_on(loaded: Workbench) -> Workbench:
    """One update later, so that there is an older version to choose."""
    edit(loaded, new="Second version")
    assert loaded.send()
    return loaded


# --- the whole job ---


def test_it_opens_with_the_story_loaded_and_nothing_red(spine: Endpoint) -> None:
    bench = Workbench(spine.client("carol"))
    assert (bench.resource_type.value, bench.logical_id.value) == ("List", LOGICAL_ID)
    assert [exchange.interaction for exchange in bench.client.journal] == ["read"]
    assert "Reasonable adjustments" in bench.editor.value
    assert bench.editor.diagnostics == []
    assert text_of(bench._notice) == ""
    assert shown(bench._by_hand) is False
    assert not any('swb-bad"' in value or "swb-warn" in value for value in seen(bench) if value != BY_HAND)
    assert not bench.send_button.disabled
    hidden: tuple[widgets.Widget, ...] = (
        bench.found,
        bench._question,
        bench.older,
        bench.typed,
        bench.merge_view,
        bench.compare_button,
    )
    assert not any(map(shown, (*hidden, bench.cancel_button, bench.newer_button, bench.use_current_button)))
    bench.close()


def test_on_any_other_endpoint_opening_it_sends_nothing(server: Server) -> None:
    bench = Workbench(Client(server.url, name="carol"), "List", LOGICAL_ID)
    assert len(bench.client.journal) == 0
    assert text_of(bench._chip) == "Nothing loaded yet"
    assert text_of(bench._request) == "Load a resource to see the request."
    assert text_of(bench._notice) == text_of(bench._answer) == bench.editor.value == ""
    assert bench.editor.diagnostics == []
    assert bench.send_button.disabled
    assert not shown(bench.colleague_button)
    bench.close()


BY_HAND = html.notice(_BY_HAND)
"""The one notice that is always there; it is hidden."""


def ticked(bench: Workbench) -> str:
    """The steps, with a tick at each that is done."""
    return " ".join(text_of(bench._steps).split())


def test_the_three_steps_tick_themselves(loaded: Workbench) -> None:
    assert ticked(loaded) == "✓ Load 2 Edit 3 Send"
    edit(loaded)
    assert ticked(loaded) == "✓ Load ✓ Edit 3 Send"
    loaded.send()
    assert ticked(loaded) == "✓ Load ✓ Edit ✓ Send"


def test_a_colleague_makes_a_real_conflict_with_one_click(loaded: Workbench, spine: Endpoint) -> None:
    edit(loaded)
    loaded.colleague_button.click()
    assert [(row.client, row.verdict) for row in spine.journal.rows()][-1] == ("bob", "updated")
    assert "a newer version exists" in text_of(loaded._chip)
    assert shown(loaded.newer_button)
    put = loaded.send()
    assert put is not None
    assert put.verdict is Verdict.STALE
    assert "Bob changed it in step 3" in text_of(loaded._answer)
    assert shown(loaded.compare_button)
    merge = loaded.compare()
    assert merge is not None
    assert [decision.path for decision in merge.conflicts] == ["title"]


def test_the_chip_says_so_before_anybody_sends(loaded: Workbench, spine: Endpoint) -> None:
    bob = spine.client("bob")
    draft = bob.read("List", LOGICAL_ID).resource
    assert "newer" not in text_of(loaded._chip)
    bob.update(draft | {"status": "retired"}).raise_for_verdict()
    assert "swb-warn" in loaded._chip.value
    assert "a newer version exists" in text_of(loaded._chip)
    loaded.newer_button.click()
    assert "newer" not in text_of(loaded._chip)
    assert json.loads(loaded.editor.value)["status"] == "retired"


def test_load_edit_send(bench: Workbench) -> None:
    read = bench.load()
    assert read is not None
    assert read.verdict is Verdict.READ
    assert text_of(bench._chip).startswith(f"version  {LOADED}")
    assert "Fri, 25 May 2018 16:09:50 GMT" in text_of(bench._chip)
    assert "versionId" not in bench.editor.value, "the version is the endpoint's to write"
    assert text_of(bench._changes) == "Nothing has been changed since loading."
    assert not bench.send_button.disabled

    edit(bench)
    changed = re.sub(r"\s+", " ", text_of(bench._changes))
    assert 'title changed "Reasonable adjustments" "Reasonable adjustments, reviewed"' in changed
    put = bench.send()
    assert put is not None
    assert (put.status, put.verdict, put.if_match) == (200, Verdict.UPDATED, LOADED)
    assert b"Reasonable adjustments, reviewed" in put.request.body
    assert b"versionId" not in put.request.body
    answer = re.sub(r"\s+", " ", text_of(bench._answer))
    assert answer.startswith(f"200 OK updated {LOADED} → {put.etag}")
    assert text_of(bench._chip).startswith(f"version  {put.etag}")
    assert text_of(bench._changes) == "Nothing has been changed since loading."
    assert "HTTP/1.1 200 OK" in messages_of(bench)

    edit(bench, new="Reasonable adjustments, again")
    again = bench.send()
    assert again is not None
    assert (again.verdict, again.if_match) == (Verdict.UPDATED, str(put.etag))


@pytest.mark.parametrize(
    ("guard", "typed", "status", "verdict"),
    [
        (Guard.LOADED, "", 200, Verdict.UPDATED),
        (Guard.NONE, "", 412, Verdict.UNGUARDED),
        (Guard.OLDER, "", 409, Verdict.STALE),
        (Guard.TYPED, LOADED, 409, Verdict.STALE),
        (Guard.TYPED, "25777f7d-27bc", 412, Verdict.UNGUARDED),
        (Guard.TYPED, "*", 412, Verdict.UNGUARDED),
    ],
    ids=lambda value: value.name if isinstance(value, Guard | Verdict) else str(value),
)
@pytest.mark.parametrize("prefer", ["minimal", "representation", "OperationOutcome"])
def test_what_is_previewed_is_what_is_sent(
    moved_on: Workbench, guard: Guard, typed: str, status: int, verdict: Verdict, prefer: str
) -> None:
    edit(moved_on, "Second version", "Third — é 🩺 <b>")
    moved_on.guard.value, moved_on.typed.value, moved_on.prefer.value = guard, typed, prefer
    assert (shown(moved_on.older), shown(moved_on.typed)) == (guard is Guard.OLDER, guard is Guard.TYPED)
    preview = text_of(moved_on._request)
    exchange = moved_on.send()
    assert exchange is not None
    assert (exchange.status, exchange.verdict) == (status, verdict)
    assert preview == request_text(exchange.request)
    assert ("If-Match" in exchange.request.headers) == (guard is not Guard.NONE)
    assert exchange.request.headers.get("Prefer") == (None if prefer == "minimal" else f"return={prefer}")
    assert text_of(moved_on._answer).startswith(f"{status} ")


def test_what_was_refused_stays_in_the_editor_and_can_be_sent_again(moved_on: Workbench) -> None:
    edit(moved_on, "Second version", "Third version")
    moved_on.guard.value = Guard.NONE
    text = moved_on.editor.value
    moved_on.send()
    assert moved_on.editor.value == text
    assert "title" in text_of(moved_on._changes)
    moved_on.guard.value = Guard.LOADED
    exchange = moved_on.send()
    assert exchange is not None
    assert exchange.verdict is Verdict.UPDATED


def test_the_older_versions_are_offered_the_latest_first(moved_on: Workbench) -> None:
    assert list(moved_on.older.options) == [LOADED]
    second = moved_on.draft.etag
    edit(moved_on, "Second version", "Third version")
    moved_on.send()
    assert list(moved_on.older.options) == [second, LOADED]
    assert moved_on.older.value == LOADED, "a choice made stays made"


def test_without_an_older_version_none_can_be_sent(loaded: Workbench) -> None:
    loaded.guard.value = Guard.OLDER
    assert loaded.send_button.disabled
    assert "No older version is known yet" in text_of(loaded._request)
    assert loaded.send() is None
    assert len(loaded.client.journal) == 1


# --- nobody has said what became of it ---


def unanswered(bench: Workbench, spine: Endpoint, fault: str) -> None:
    """An update of the loaded List that meets a fault."""
    edit(bench)
    spine.set_faults(f"{fault}:update:times=1")
    put = bench.send()
    assert put is not None
    assert not put.ok
    assert shown(bench.find_out_button)
    assert not shown(bench.compare_button)


@pytest.mark.parametrize("fault", ["drop-answer", "cut-body"])
def test_an_update_without_an_answer_is_found_to_have_landed(loaded: Workbench, spine: Endpoint, fault: str) -> None:
    unanswered(loaded, spine, fault)
    text = loaded.editor.value
    loaded.find_out_button.click()
    assert text_of(loaded._notice).startswith("Landed: version ")
    assert not shown(loaded.find_out_button)
    assert loaded.draft.etag == loaded.client.last_seen("List", LOGICAL_ID) != LOADED
    assert loaded.editor.value == text
    assert "Nothing has been changed" in text_of(loaded._changes)
    edit(loaded, "reviewed", "reviewed again")
    sent = loaded.send()
    assert sent is not None
    assert sent.verdict is Verdict.UPDATED


@pytest.mark.parametrize("fault", ["drop-request", "refuse"])
def test_an_update_without_an_answer_is_found_not_to_have_landed(
    loaded: Workbench, spine: Endpoint, fault: str
) -> None:
    unanswered(loaded, spine, fault)
    found = loaded.find_out()
    assert found is not None
    assert found.outcome is Landing.NOT_SO_FAR
    assert "with the same If-Match" in text_of(loaded._notice)
    assert shown(loaded.find_out_button), "it may yet arrive"
    assert loaded.draft.etag == LOADED
    sent = loaded.send()
    assert sent is not None
    assert sent.verdict is Verdict.UPDATED
    assert not shown(loaded.find_out_button)


def test_without_a_lock_nobody_is_told_to_send_it_again(loaded: Workbench, spine: Endpoint) -> None:
    loaded.guard.value = Guard.NONE
    unanswered(loaded, spine, "drop-request")
    loaded.find_out()
    assert text_of(loaded._notice).startswith("Not landed so far")
    assert "then overwrite any version" in text_of(loaded._notice)
    assert "Send it again" not in text_of(loaded._notice)


def test_sent_again_and_refused_because_the_first_had_landed(loaded: Workbench, spine: Endpoint) -> None:
    unanswered(loaded, spine, "drop-answer")
    sent = loaded.send()
    assert sent is not None
    assert sent.verdict is Verdict.STALE
    assert shown(loaded.find_out_button), "a 409 does not say whose the new version is"
    assert shown(loaded.compare_button)
    loaded.find_out()
    assert text_of(loaded._notice).startswith("Landed")
    assert not shown(loaded.find_out_button)
    assert not shown(loaded.compare_button)


def test_somebody_has_written_since_and_reload_and_compare_is_offered(loaded: Workbench, spine: Endpoint) -> None:
    unanswered(loaded, spine, "drop-request")
    dora = spine.client("dora")
    dora.update(dora.read("List", LOGICAL_ID).resource | {"title": "<b>Dora's</b>"}).raise_for_verdict()
    found = loaded.find_out()
    assert found is not None
    assert found.outcome is Landing.CANNOT_BE_KNOWN
    assert shown(loaded.compare_button)
    assert loaded.draft.etag == LOADED, "nobody has looked at the new version yet"
    loaded.send()
    found = loaded.find_out()
    assert found is not None
    assert found.outcome is Landing.DID_NOT_LAND
    assert not shown(loaded.find_out_button)
    assert loaded.compare() is not None


def test_nobody_answers_the_question_either(loaded: Workbench, spine: Endpoint) -> None:
    unanswered(loaded, spine, "drop-answer")
    spine.set_faults("drop-answer:read:times=1")
    loaded.find_out()
    assert "ask again" in text_of(loaded._notice)
    assert shown(loaded.find_out_button)
    loaded.find_out()
    assert text_of(loaded._notice).startswith("Landed")
    assert loaded.find_out() is None
    assert "nothing to find out" in text_of(loaded._notice)


def test_a_stale_update_says_what_to_do_and_the_merge_can_be_sent(loaded: Workbench, spine: Endpoint) -> None:
    bob = spine.client("bob")
    theirs = bob.read("List", LOGICAL_ID).resource
    bob.update(theirs | {"status": "retired"}).raise_for_verdict()

    edit(loaded)
    stale = loaded.send()
    assert stale is not None
    assert stale.verdict is Verdict.STALE
    assert "a newer version exists" in text_of(loaded._chip)
    assert "Bob changed it in step 3" in text_of(loaded._answer)
    assert "RESOURCE_VERSION_MISMATCH" in text_of(loaded._answer)
    assert "Read it again, compare" in text_of(loaded._answer)
    assert shown(loaded.compare_button)

    loaded.compare_button.click()
    assert not shown(loaded.compare_button)
    merged = json.loads(loaded.editor.value)
    assert (merged["title"], merged["status"]) == ("Reasonable adjustments, reviewed", "retired")
    put = loaded.send()
    assert put is not None
    assert put.verdict is Verdict.UPDATED
    assert not shown(loaded.merge_view)


def test_a_refusal_of_an_older_version_says_nothing_about_the_version_held(moved_on: Workbench) -> None:
    moved_on.guard.value = Guard.OLDER
    exchange = moved_on.send()
    assert exchange is not None
    assert exchange.verdict is Verdict.STALE
    assert "newer" not in text_of(moved_on._chip), "the version held is still the current one"
    assert "You changed it yourself, in step 2." in text_of(moved_on._answer)
    assert not shown(moved_on.compare_button)
    moved_on.use_current_button.click()
    assert moved_on.guard.value is Guard.LOADED
    assert not shown(moved_on.use_current_button)
    sent = moved_on.send()
    assert sent is not None
    assert sent.verdict is Verdict.UPDATED


def test_every_stale_answer_offers_the_next_action(moved_on: Workbench, spine: Endpoint) -> None:
    bob = spine.client("bob")
    bob.update(bob.read("List", LOGICAL_ID).resource | {"status": "retired"}).raise_for_verdict()
    for guard, typed in ((Guard.LOADED, ""), (Guard.OLDER, ""), (Guard.TYPED, LOADED)):
        moved_on.guard.value, moved_on.typed.value = guard, typed
        exchange = moved_on.send()
        assert exchange is not None
        assert exchange.verdict is Verdict.STALE
        assert "Bob changed it in step 4" in text_of(moved_on._answer)
        assert shown(moved_on.compare_button)


def test_the_resource_asked_for_comes_back_and_is_shown(loaded: Workbench) -> None:
    loaded.prefer.value = "representation"
    loaded.send()
    raw = messages_of(loaded)
    assert "Prefer: return=representation" in raw
    assert '"versionId"' in raw.partition("HTTP/1.1 200 OK")[2]


def test_control_enter_sends_only_what_can_be_sent(loaded: Workbench) -> None:
    def submit() -> None:
        data = {"method": "custom", "content": {"kind": "submit"}}
        loaded.editor._handle_msg({"content": {"data": data}, "buffers": []})

    loaded.editor.value = "{"
    submit()
    assert len(loaded.client.journal) == 1
    loaded.editor.value = loaded.draft.text
    submit()
    assert [exchange.interaction for exchange in loaded.client.journal] == ["read", "update"]


# --- what cannot be sent ---


@pytest.mark.parametrize(
    ("text", "start", "end", "words"),
    [
        ('{"a": }', 6, 7, "line 1, column 7"),
        ('{\n  "a": 1,\n}', 10, 11, "line 2, column 9"),
        ('{"🩺": "é", "b": oops}', 17, 18, "line 1, column 17"),
        ('{"🩺🩺": 1,\n "🩺": 01}', None, None, "line 2"),
        ('{"a": 1, "🩺": 2, "a": 3}', 18, 19, 'the name "a" stands twice'),
        ("{", 1, 1, "line 1, column 2"),
        ('{"a": NaN}', 6, 7, "NaN"),
    ],
)
def test_bad_json_cannot_be_sent_and_the_editor_says_where(
    loaded: Workbench, text: str, start: int | None, end: int, words: str
) -> None:
    good = loaded.editor.value
    loaded.editor.value = text
    (found,) = loaded.editor.diagnostics
    assert words in found["message"]
    assert found["severity"] == "error"
    if start is not None:
        assert (found["from"], found["to"]) == (start, end)
    units = text.encode("utf-16-le")
    assert 0 <= found["from"] <= found["to"] <= len(units) // 2
    units[: 2 * found["from"]].decode("utf-16-le")  # an offset inside an emoji would not decode

    assert loaded.send_button.disabled
    assert words in text_of(loaded._request)
    assert loaded.send() is None
    assert len(loaded.client.journal) == 1

    loaded.editor.value = good
    assert loaded.editor.diagnostics == []
    assert not loaded.send_button.disabled


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (LOGICAL_ID, "another", f"This text is List/another, but List/{LOGICAL_ID} was loaded"),
        ('"List"', '"Flag"', f"This text is Flag/{LOGICAL_ID}, but List/{LOGICAL_ID} was loaded"),
        ('"id"', '"_id"', "This List has no id"),
        (LOGICAL_ID, "a/b", "'a/b' is not a FHIR id"),
        ('"resourceType"', '"type"', "no usable resourceType"),
    ],
)
def test_another_resource_is_refused_in_words(loaded: Workbench, old: str, new: str, words: str) -> None:
    edit(loaded, old, new)
    assert loaded.send_button.disabled
    assert words in text_of(loaded._request)
    assert loaded.send() is None
    assert words in text_of(loaded._notice)
    assert loaded.editor.diagnostics == []
    assert len(loaded.client.journal) == 1


def test_a_list_is_refused_in_words(loaded: Workbench) -> None:
    loaded.editor.value = "[]"
    assert "A resource is a JSON object" in text_of(loaded._request)


# --- work is not lost ---


@pytest.mark.parametrize("edited", ['"title": "mine"', '"title": broken'], ids=["edited", "no JSON just now"])
def test_loading_over_unsent_edits_asks_first(loaded: Workbench, edited: str) -> None:
    edit(loaded, '"title": "Reasonable adjustments"', edited)
    mine = loaded.editor.value

    loaded.load_button.click()
    assert shown(loaded._question)
    assert "changes that were not sent" in text_of(loaded._notice)
    assert (loaded.editor.value, len(loaded.client.journal)) == (mine, 1)

    loaded._keep_button.click()
    assert not shown(loaded._question)
    assert text_of(loaded._notice) == ""
    assert (loaded.editor.value, len(loaded.client.journal)) == (mine, 1)

    loaded.load_button.click()
    loaded._discard_button.click()
    assert not shown(loaded._question)
    assert text_of(loaded._notice) == ""
    assert loaded.editor.value == loaded.draft.text != mine
    assert len(loaded.client.journal) == 2


def test_loading_over_no_edits_does_not_ask(loaded: Workbench) -> None:
    loaded.editor.value = json.dumps(json.loads(loaded.editor.value))  # laid out anew, but the same
    loaded.load_button.click()
    assert not shown(loaded._question)
    assert loaded.editor.value == loaded.draft.text
    assert len(loaded.client.journal) == 2


@pytest.mark.parametrize(
    ("resource_type", "logical_id", "words"),
    [
        ("List", "nobody", "404 Not Found"),
        ("Patient", "1", "501 Not Implemented"),
        ("List", "", "Which List? Give its id."),
        ("List", "a b", "'a b' is not a FHIR id"),
        ("", LOGICAL_ID, "No resource type was given"),
        ("list", LOGICAL_ID, "'list' is not a resource type"),
    ],
)
def test_a_load_that_fails_says_so_and_keeps_the_text(
    loaded: Workbench, resource_type: str, logical_id: str, words: str
) -> None:
    edit(loaded)
    mine = loaded.editor.value
    loaded.load(resource_type, logical_id)
    assert words in text_of(loaded._notice) + text_of(loaded._answer)
    assert loaded.editor.value == mine
    assert loaded.draft.name == ("List", LOGICAL_ID)
    assert not loaded.send_button.disabled


# --- search ---


def test_search_fills_the_list_to_pick_from(bench: Workbench, spine: Endpoint) -> None:
    made = spine.client().create(a_list("Another list"))
    bench.search_button.click()
    assert shown(bench.found)
    assert dict(bench.found.options) == {
        f"Another list ({made.logical_id})": made.logical_id,
        f"Reasonable adjustments ({LOGICAL_ID})": LOGICAL_ID,
    }
    bench.found.value = made.logical_id
    assert bench.logical_id.value == made.logical_id
    bench.load_button.click()
    assert "Another list" in bench.editor.value


@pytest.mark.parametrize(
    ("resource_type", "words"),
    [
        ("Patient", "501 Not Implemented"),
        ("", "'' is not a resource type"),
        ("../List", "'../List' is not a resource type"),
    ],
)
def test_a_search_that_fails_says_so(bench: Workbench, resource_type: str, words: str) -> None:
    bench.resource_type.value = resource_type
    bench.search_button.click()
    assert words in text_of(bench._notice) + text_of(bench._answer)
    assert not shown(bench.found)


def test_a_search_that_finds_nothing_offers_nothing(bench: Workbench, spine: Endpoint) -> None:
    client = spine.client()
    client.read("List", LOGICAL_ID)
    client.delete("List", LOGICAL_ID).raise_for_verdict()
    bench.search_button.click()
    assert not shown(bench.found)
    assert "200 OK" in text_of(bench._answer)


# --- servers that are no Spine ---


class _Handler(BaseHTTPRequestHandler):
    """Answers each method as its server has been told."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, fields, body = self.server.answers[self.command]  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server on loopback whose answers a test sets, by method."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.url = f"http://127.0.0.1:{self.server_port}/STU3"

    def says(self, method: str, status: int, body: object, **fields: str) -> None:
        """Answer ``method`` so; an object is sent as FHIR JSON, bytes as they are."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields = {"Content-Type": "application/fhir+json"} | fields
        self.answers[method] = (status, {name.replace("_", "-"): value for name, value in fields.items()}, body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        serving.says("GET", 200, HELD | {"title": "Reasonable adjustments"}, ETag='W/"a"')
        serving.says("PUT", 200, b"", ETag='W/"b"')
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def elsewhere(server: Server) -> Iterator[Workbench]:
    """A workbench that has loaded from that server, over a socket, and has been edited."""
    bench = Workbench(Client(server.url, name="carol"), "List", LOGICAL_ID)
    bench.load()
    edit(bench)
    yield bench
    bench.close()


@pytest.mark.parametrize(
    "body",
    [b"<html>Sign in</html>", b"", b'{"half":', [HELD], "text", None],
    ids=["a web page", "nothing", "half a JSON", "a list", "a string", "null"],
)
def test_an_answer_that_is_no_resource_replaces_nothing(elsewhere: Workbench, server: Server, body: object) -> None:
    mine = elsewhere.editor.value
    server.says("GET", 200, body, ETag='W/"newer"')
    elsewhere.load()
    assert elsewhere.editor.value == mine
    assert elsewhere.draft.etag == 'W/"a"'
    put = elsewhere.send()
    assert put is not None
    assert put.if_match == 'W/"a"'


Press = Callable[[Workbench], object]
PRESSES: dict[str, Press] = {
    "load": lambda bench: bench._discard_button.click(),
    "search": lambda bench: bench.search_button.click(),
    "send": lambda bench: bench.send_button.click(),
    "compare": lambda bench: bench.compare_button.click(),
}


def assert_said_in_one_sentence(bench: Workbench, words: str) -> None:
    said = f"{text_of(bench._notice)} {text_of(bench._answer)}"
    assert words in said
    assert "Traceback" not in said
    assert "Error(" not in said


@pytest.mark.parametrize("press", PRESSES)
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, b"<html>Bad gateway</html>", "502 Bad Gateway"),
        (500, b"oops", "500 Internal Server Error"),
        (404, b"", "404 Not Found"),
        (501, {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "not here"}]}, "not here"),
        (403, {"resourceType": "OperationOutcome", "issue": None}, "403 Forbidden"),
        (299, b"odd", "299"),
        (600, b"odder", "600"),
    ],
)
def test_no_answer_becomes_an_exception(
    elsewhere: Workbench, server: Server, press: str, status: int, body: object, words: str
) -> None:
    mine = elsewhere.editor.value
    for method in ("GET", "PUT"):
        server.says(method, status, body)
    PRESSES[press](elsewhere)
    assert_said_in_one_sentence(elsewhere, words)
    assert elsewhere.editor.value == mine


@pytest.mark.parametrize("press", PRESSES)
def test_a_refused_connection_is_said_and_the_text_is_kept(elsewhere: Workbench, server: Server, press: str) -> None:
    mine = elsewhere.editor.value
    server.shutdown()
    server.server_close()
    PRESSES[press](elsewhere)
    assert_said_in_one_sentence(elsewhere, f"Nothing listens at 127.0.0.1:{server.server_port}")
    assert elsewhere.client.journal[-1].verdict is Verdict.FAILED
    assert elsewhere.editor.value == mine
    assert not elsewhere.send_button.disabled, "it may be sent once the endpoint is back"


@pytest.mark.parametrize(
    ("typed", "words"),
    [('W/"…"', "cannot be sent"), ('W/"a"\r\nX: y', "cannot be sent"), ("🩺", "cannot be sent")],
    ids=["the placeholder itself", "a field of its own", "an emoji"],
)
def test_an_if_match_that_no_header_can_hold_is_said(elsewhere: Workbench, typed: str, words: str) -> None:
    before = len(elsewhere.client.journal)
    elsewhere.guard.value, elsewhere.typed.value = Guard.TYPED, typed
    elsewhere.send()
    assert_said_in_one_sentence(elsewhere, words)
    assert len(elsewhere.client.journal) == before
    elsewhere.guard.value = Guard.LOADED
    assert not elsewhere.send_button.disabled


@pytest.mark.parametrize(
    "entries",
    [
        [{"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome"}}, {"resource": HELD}],
        [{"fullUrl": "urn:x"}, {"resource": HELD}],
        [None, {"resource": None}, {"resource": HELD}],
        [{"resource": HELD | {"title": 5}}],
    ],
    ids=["an outcome among them", "no resource", "nulls", "a title that is no text"],
)
def test_a_bundle_as_other_servers_write_them_can_be_picked_from(
    elsewhere: Workbench, server: Server, entries: list[Any]
) -> None:
    server.says("GET", 200, {"resourceType": "Bundle", "entry": entries})
    elsewhere.search_button.click()
    assert [value for _, value in elsewhere.found.options] == [LOGICAL_ID]


@pytest.mark.parametrize("bundle", [{"entry": None}, {"entry": {}}, {}, [], b"<html>"])
def test_what_is_no_bundle_has_nothing_to_pick_from(elsewhere: Workbench, server: Server, bundle: object) -> None:
    server.says("GET", 200, bundle)
    elsewhere.search_button.click()
    assert not shown(elsewhere.found)


# --- somebody else's endpoint ---


@pytest.fixture
def live() -> Iterator[Workbench]:
    bench = Workbench(Client("http://nosuch.invalid:8443/STU3", name="carol"), "List", LOGICAL_ID)
    yield bench
    bench.close()


def test_which_endpoint_it_is_cannot_be_overlooked(bench: Workbench, elsewhere: Workbench, live: Workbench) -> None:
    assert text_of(bench._badge) == "EMBEDDED"
    assert text_of(elsewhere._badge).startswith("LOCAL 127.0.0.1:")
    assert re.sub(r"\s+", " ", text_of(live._badge)) == "LIVE nosuch.invalid:8443"
    assert "swb-live" in live._badge.value


def test_sending_to_a_live_endpoint_needs_the_yes(live: Workbench) -> None:
    live.guard.value = Guard.NONE
    live.editor.value = json.dumps(HELD)
    assert live.send() is None
    said = text_of(live._notice)
    assert "nosuch.invalid is not this machine, so nothing was sent" in said
    assert "Connection(allow_writes=True)" in said
    assert len(live.client.journal) == 0


@pytest.mark.parametrize("press", ["load", "search"])
def test_an_unknown_host_is_said(live: Workbench, press: str) -> None:
    PRESSES[press](live)
    assert_said_in_one_sentence(live, "The host of nosuch.invalid:8443 is not known")


def test_no_credential_is_shown(server: Server) -> None:
    server.says("GET", 200, HELD, ETag='W/"a"', Set_Cookie="session=planted-cookie")
    connection = Connection(headers={"Authorization": "Bearer planted-token"})
    bench = Workbench(Client(server.url, connection=connection), "List", LOGICAL_ID)
    bench.load()
    bench.send()
    told = " ".join(seen(bench)) + json.dumps([dict(row) for row in bench.table.rows])
    assert "planted" not in told
    assert "Authorization: ***" in text_of(bench._request)
    assert "Cookie: ***" in messages_of(bench)
    bench.close()


# --- the messages, and other methods ---


def test_a_long_message_is_shown_whole(bench: Workbench, spine: Endpoint) -> None:
    long = [{"item": {"reference": f"Condition/{number:036d}"}} for number in range(2_000)]
    made = spine.client().create(a_list("Long") | {"entry": long}).raise_for_verdict()
    bench.load("List", made.logical_id)
    assert f"Condition/{1_999:036d}" in messages_of(bench)


def test_a_request_is_copied_and_sent_again(moved_on: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(moved_on.frame, "copy", copied.append)
    put = moved_on.client.journal[-1]
    assert messages_of(moved_on)
    for button in (moved_on.messages.copy_button, moved_on.messages.curl_button, moved_on.messages.python_button):
        assert not button.disabled
        button.click()
    assert copied == [put.as_http(), put.as_curl(), as_python(put)]
    moved_on.messages.again_button.click()
    again = moved_on.client.journal[-1]
    assert (again.request.body, again.if_match, again.verdict) == (put.request.body, put.if_match, Verdict.STALE)


def test_further_headers_are_sent(loaded: Workbench) -> None:
    loaded.headers.fill({"X-Test": "1", "Prefer": "return=representation"})
    put = loaded.send()
    assert put is not None
    assert (put.request.headers["X-Test"], put.request.headers["Prefer"]) == ("1", "return=representation")
    loaded.headers.children[0].remove_button.click()
    put = loaded.send()
    assert put is not None
    assert "X-Test" not in put.request.headers


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("", "1")], "The header with the value '1' has no name"),
        ([("X-Test", "1"), ("x-test", "2")], "The header x-test is there twice"),
        ([("X Test", "1")], "X Test"),
    ],
)
def test_headers_that_cannot_be_sent(loaded: Workbench, rows: list[tuple[str, str]], why: str) -> None:
    for name, value in rows:
        loaded.headers.add(name, value)
    assert loaded.send_button.disabled
    assert why in text_of(loaded._request)
    while len(loaded.headers.children) > 1:
        loaded.headers.children[0].remove_button.click()
    assert not loaded.send_button.disabled


def test_a_long_request_is_shown_whole_on_demand(loaded: Workbench) -> None:
    assert loaded.whole_button.layout.display == "none"
    loaded.editor.value = json.dumps(json.loads(loaded.editor.value) | {"note": [{"text": "x" * 30_000}]})
    assert loaded.whole_button.layout.display is None
    loaded.whole_button.click()
    assert "x" * 30_000 in loaded._whole_request.value
    assert loaded._whole_place.children == (loaded._whole_request,)
    loaded.guard.value = Guard.NONE
    assert loaded._whole_place.children == (), "it would show the request before this change"


def test_create_and_delete(loaded: Workbench) -> None:
    loaded.method.value = Method.CREATE
    loaded.editor.value = json.dumps(a_list("Made here"))
    assert "POST /STU3/List" in text_of(loaded._request)
    assert loaded.send_button.description == "Send POST"
    created = loaded.send()
    assert created is not None
    assert created.verdict is Verdict.CREATED
    assert loaded.logical_id.value == created.logical_id

    loaded.load()
    loaded.method.value = Method.DELETE
    loaded.guard.value = Guard.TYPED
    loaded.typed.value = 'W/"old"'
    stale = loaded.send()
    assert stale is not None
    assert (stale.interaction, stale.status) == ("delete", 409)
    loaded.guard.value = Guard.LOADED
    deleted = loaded.send()
    assert deleted is not None
    assert (deleted.verdict, deleted.if_match) == (Verdict.DELETED, str(created.etag))


def test_the_versions_of_a_history_can_be_chosen(elsewhere: Workbench, server: Server) -> None:
    elsewhere.guard.value = Guard.OLDER
    assert shown(elsewhere.history_button)
    versions = [{"resource": HELD | {"meta": {"versionId": version}}} for version in ("c", "a", "0")]
    server.says("GET", 200, {"resourceType": "Bundle", "entry": [*versions, None]})
    elsewhere.history_button.click()
    assert elsewhere.client.journal[-1].request.url.endswith(f"/List/{LOGICAL_ID}/_history")
    assert list(elsewhere.older.options) == ['W/"c"', 'W/"0"']
    assert "a newer version exists" in text_of(elsewhere._chip)
    server.says("GET", 404, b"")
    elsewhere.history_button.click()
    assert "404 Not Found" in text_of(elsewhere._answer)
    assert list(elsewhere.older.options) == ['W/"c"', 'W/"0"']


def test_typed_never_sends_an_empty_field_by_accident(loaded: Workbench) -> None:
    loaded.guard.value = Guard.TYPED
    assert loaded.send_button.disabled
    assert "No If-Match was typed" in text_of(loaded._request)
    assert loaded.send() is None
    assert len(loaded.client.journal) == 1


# --- the table ---


def rows(bench: Workbench) -> list[tuple[Any, ...]]:
    return [
        tuple(row.get(name) for name in ("seq", "client", "interaction", "status", "verdict"))
        for row in bench.table.rows
    ]


def test_what_other_clients_of_the_journal_do_appears(loaded: Workbench, spine: Endpoint) -> None:
    bob = spine.client("bob")
    bob.read("List", LOGICAL_ID)
    bob.update(HELD, if_match='W/"old"')
    assert rows(loaded) == [
        (1, "carol", "read", 200, "read"),
        (2, "bob", "read", 200, "read"),
        (3, "bob", "update", 409, "stale"),
    ]
    row = loaded.table.rows[2]
    assert (row["time"], row["resource"], row["if_match"]) == ("16:10:02", f"List/{LOGICAL_ID}", 'W/"old"')
    assert (row["etag_before"], row["etag_after"], row["_tone"]) == (LOADED, LOADED, "bad")
    assert row["spine_code"] == "RESOURCE_VERSION_MISMATCH"
    assert {column["key"] for column in loaded.table.columns} >= row.keys() - {"_tone"}


def test_what_came_before_it_was_opened_is_there_too(spine: Endpoint) -> None:
    spine.client("bob").read("List", LOGICAL_ID)
    bench = Workbench(spine.client("carol"))
    assert rows(bench) == [(1, "bob", "read", 200, "read"), (2, "carol", "read", 200, "read")]
    bench.close()


def test_a_row_that_is_chosen_shows_its_messages(moved_on: Workbench) -> None:
    content = {"kind": "select", "generation": 0, "index": 0}
    moved_on.table._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert moved_on.tabs.selected_index == 2
    moved_on.messages.form.value = "as sent"
    assert messages_of(moved_on) == moved_on.client.journal[0].as_http()


def test_closed_it_follows_no_longer(loaded: Workbench, spine: Endpoint) -> None:
    loaded.close()
    spine.client("bob").read("List", LOGICAL_ID)
    assert len(loaded.table) == 1
    loaded.close()


def test_the_answer_is_that_of_the_own_exchange(loaded: Workbench, spine: Endpoint) -> None:
    """Another client's exchange may be recorded before the answer is drawn."""
    bob = spine.client("bob")

    def at_once() -> None:
        if spine.journal[-1].client == "carol":
            bob.read("Flag", "3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1")

    spine.journal.watch(at_once)
    put = loaded.send()
    assert put is not None
    assert f"{LOADED} → {put.etag}" in re.sub(r"\s+", " ", text_of(loaded._answer))


def test_rows_from_many_threads_come_once_each_and_in_order(bench: Workbench) -> None:
    journal, each = bench.client.journal, 50
    exchange = Client("http://127.0.0.1:9/STU3", connection=Connection(timeout=(1, 1))).read("List", "1")
    line = threading.Barrier(8)

    def append() -> None:
        line.wait()
        for _ in range(each):
            journal.append(exchange)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert [row["seq"] for row in bench.table.rows] == list(range(1, 8 * each + 2))


# --- text is never markup ---

EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "</div></code></td></table><h1>out</h1>",
    "\"'><svg onload=alert(3)>",
    "&lt;b&gt;already&amp;escaped",
    "<!-- <style>*{display:none}</style>",
]
ALL_EVIL = " ".join(EVIL)
TAGS = {
    "ol",
    "li",
    "div",
    "span",
    "b",
    "code",
    "p",
    "h3",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "dl",
    "dt",
    "dd",
    "style",
}
ATTRIBUTES = {"class", "role", "tabindex", "aria-label", "aria-current"}


class Markup(HTMLParser):
    """What a browser would make of a fragment: its tags, their attributes, and the text."""

    def __init__(self, fragment: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.said = ""
        self.comments = 0
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.said += data

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def assert_harmless(bench: Workbench) -> str:
    """Only our own tags and attributes; gives back all the text."""
    parsed = [Markup(value) for value in seen(bench)]
    for each in parsed:
        assert each.tags <= TAGS
        assert each.attributes <= ATTRIBUTES
        assert each.comments == 0
    return "\n".join(each.said for each in parsed)


def test_no_text_of_a_server_is_markup(server: Server) -> None:
    evil = {"resourceType": "List", "id": "1", "title": ALL_EVIL, "note": [{"text": text} for text in EVIL]}
    evil[EVIL[0]] = EVIL[1]
    coding = [{"code": EVIL[0], "display": EVIL[1]}]
    issue = {"severity": EVIL[2], "code": EVIL[3], "details": {"coding": coding}, "diagnostics": ALL_EVIL}
    tag = 'W/"<img/src=x/onerror=alert(4)>"'
    server.says("GET", 200, evil, ETag=tag, Last_Modified=EVIL[1])
    server.says("PUT", 409, {"resourceType": "OperationOutcome", "issue": [issue]}, ETag=tag, X_Evil=EVIL[0])
    bench = Workbench(Client(server.url, name=EVIL[1]), "List", "1")

    bench.load()
    said = assert_harmless(bench)
    assert EVIL[1] in said, "it is shown, as text"
    bench.editor.value = bench.editor.value.replace("alert(1)", "alert(5)")
    assert "alert(5)" in assert_harmless(bench)
    bench.send()
    assert ALL_EVIL in assert_harmless(bench)
    assert "<img/src=x/onerror=alert(4)>" in assert_harmless(bench)

    server.says("GET", 200, json.loads(json.dumps(evil).replace("alert(1)", "alert(6)")), ETag='W/"2"')
    bench.compare()
    assert bench.merge_view.merge is not None
    assert "alert(6)" in str(bench.merge_view.merge)
    assert_harmless(bench)

    server.says("GET", 200, {"resourceType": "Bundle", "entry": [{"resource": evil}]})
    bench.search()
    assert ALL_EVIL in bench.found.options[0][0], "an option of a list is text by itself"
    assert_harmless(bench)
    bench.close()


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_typed_is_markup(bench: Workbench, evil: str) -> None:
    bench.load(evil, "1")
    assert evil in assert_harmless(bench).replace("\\'", "'")
    bench.load("List", evil)
    assert evil in assert_harmless(bench).replace("\\'", "'")
    bench.load("List", LOGICAL_ID)
    bench.guard.value, bench.typed.value = Guard.TYPED, evil
    assert evil in assert_harmless(bench)
    bench.send()
    assert evil in assert_harmless(bench)
    bench.editor.value = f'{{"resourceType": "List", "id": {json.dumps(evil)}}}'
    assert_harmless(bench)
    bench.editor.value = f"{{{json.dumps(evil)}: 1, {json.dumps(evil)}: 2}}"
    assert_harmless(bench)


# --- and else ---


def test_it_says_the_same_of_itself_in_every_run(spine: Endpoint) -> None:
    first, second = (Workbench(spine.client("carol"), "List", LOGICAL_ID) for _ in range(2))
    assert repr(first) == repr(second) == "Workbench(carol)"
    assert first._repr_mimebundle_()["text/plain"] == "Workbench(carol)"
    for bench in (first, second):
        bench.close()


def test_a_megabyte_loads_is_edited_and_sent(bench: Workbench, spine: Endpoint) -> None:
    entry = [
        {"item": {"reference": f"Condition/{number:036d}", "display": "Uses a wheelchair"}} for number in range(10_000)
    ]
    made = spine.client().create(a_list("Long") | {"entry": entry}).raise_for_verdict()
    read = bench.load("List", made.logical_id)
    assert read is not None
    assert read.response is not None
    assert len(read.response.body) > 1_000_000
    edit(bench, f"Condition/{9_999:036d}", "Condition/changed")
    assert "entry[9999]" in text_of(bench._changes)
    put = bench.send()
    assert put is not None
    assert put.verdict is Verdict.UPDATED
    stored = spine.client().read("List", made.logical_id).resource
    assert stored["entry"][9_999]["item"]["reference"] == "Condition/changed"
    assert sum(map(len, seen(bench))) < 300_000, "a page is not asked to draw all of it"


def test_each_workbench_has_its_own_text(spine: Endpoint) -> None:
    journal = Journal()
    benches = [Workbench(spine.client(name), "List", LOGICAL_ID) for name in ("alice", "bob")]
    exchanges: list[Exchange | None] = [bench.load() for bench in benches]
    edit(benches[0])
    assert benches[1].editor.value == benches[1].draft.text
    assert all(exchanges)
    assert len(journal) == 0
    for bench in benches:
        bench.close()
