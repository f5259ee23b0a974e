"""Pictures and files made of a journal: content, layout, and escaping.

Owns: the two pictures in all their forms, HAR as another library reads it, CSV as a spreadsheet reads it, and that
no export holds a credential, and every text is escaped for Mermaid, SVG and spreadsheets.
"""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from html import unescape
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd
import pytest
from haralyzer import HarParser
from IPython.core.formatters import DisplayFormatter

from workbench import BadInput, Client, Connection, Endpoint, Exchange, Journal, Verdict
from workbench.exchange.message import Headers, Request, Response
from workbench.exchange.verdict import TONES
from workbench.journal.diagram import LOOKS, MERMAID_LIMIT, Diagram, text_width
from workbench.journal.timeline import Timeline

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
TARGET = f"List/{LIST}"
BASE = "https://spine.example/STU3"
NOON = datetime(2018, 5, 25, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]><b>&amp;",
    "end",
    "participant x",
    "a;b#c",
    "#35;",
    '%%{init: {"theme": 1}}%%',
    "%% comment",
    "p1->>p2: forged",
    "two\nlines",
    "\r\n\t",
    "wrap:style",
    "$$x^2$$",
    "`b` __c__",
    "nul\x00 bell\x07",
    "right\u202eleft",
    "\ufffe\uffff",
    "日本語 ✓ 😀",
    "ﬂ°°60¶ß",
    "",
)
"""Texts for a client's name, a header or a path that have a meaning in Mermaid, SVG or HTML."""


def exchange(
    client: str = "alice", *, method: str = "PUT", path: str = TARGET, base: str = BASE, **more: Any
) -> Exchange:
    """An exchange that was not sent; ``status=None`` has no answer."""
    status, etag, if_match = more.pop("status", 200), more.pop("etag", None), more.pop("if_match", None)
    body, sent_body = more.pop("body", b""), more.pop("sent_body", b"")
    asked = Headers({} if if_match is None else {"If-Match": if_match})
    answered = Headers({} if etag is None else {"ETag": etag})
    kind, _, logical_id = path.partition("/")
    return Exchange(
        client=client,
        interaction={"GET": "read", "PUT": "update", "DELETE": "delete"}.get(method, method.lower()),
        resource_type=kind,
        logical_id=logical_id,
        request=Request(method, f"{base}/{path}", asked, sent_body),
        response=None if status is None else Response(status, answered, body),
        sent_at=more.pop("sent_at", NOON),
        **more,
    )


def journal_of(*exchanges: Exchange) -> Journal:
    journal = Journal(redact=False)  # the endpoint of these stories is not this machine
    for each in exchanges:
        journal.append(each)
    return journal


def long_journal(count: int, clients: Sequence[str] = ("alice", "bob")) -> Journal:
    """Every client reads; each third exchange is an update that changes the ETag, each fifth one is stale."""
    journal, version = Journal(redact=False), 0
    for number in range(count):
        client, tag = clients[number % len(clients)], f'W/"{version:04x}aaaa-bbbb"'
        if number % 5 == 4:
            journal.append(exchange(client, if_match='W/"ffff0000-0000"', status=409))
        elif number % 3 == 2:
            version += 1
            journal.append(exchange(client, if_match=tag, etag=f'W/"{version:04x}aaaa-bbbb"'))
        else:
            journal.append(exchange(client, method="GET", etag=tag))
    return journal


@pytest.fixture
def story(spine_in_process: Endpoint) -> Journal:
    """Alice and Bob read, both update, Bob's is stale; then one update is never answered and one never sent."""
    alice, bob = spine_in_process.client("alice"), spine_in_process.client("bob")
    draft = alice.read("List", LIST).resource
    bob.read("List", LIST)
    draft["title"] = "Reviewed"
    alice.update(draft)
    bob.update(draft)
    base = alice.base_url
    for sent in (False, True):
        about: dict[str, Any] = {"base": base, "if_match": 'W/"25777f7d-27bc"', "sent_at": NOON + timedelta(hours=9)}
        lost = exchange("bob", status=None, sent=sent, failure="It is gone.", **about)
        spine_in_process.journal.append(lost)
    return spine_in_process.journal


# --- the sequence diagram ---


def test_diagram_as_text(story: Journal) -> None:
    assert str(story.diagram()).splitlines() == [
        "6 exchanges",
        "1  alice → Spine  GET List/744eec7d…",
        '   alice ← Spine  200 read ETag W/"25777f7d…"',
        "2  bob → Spine  GET List/744eec7d…",
        '   bob ← Spine  200 read ETag W/"25777f7d…"',
        '3  alice → Spine  PUT List/744eec7d… If-Match W/"25777f7d…"',
        '   alice ← Spine  200 updated ETag W/"99f08f1a…"',
        '4  bob → Spine  PUT List/744eec7d… If-Match W/"25777f7d…"',
        "   bob ← Spine  409 stale",
        '5  bob → Spine  PUT List/744eec7d… If-Match W/"25777f7d…"',
        "   bob ← Spine  not sent: failed",
        '6  bob → Spine  PUT List/744eec7d… If-Match W/"25777f7d…"',
        "   bob ← Spine  no answer: unknown",
    ]


def test_diagram_in_mermaid(story: Journal) -> None:
    assert story.diagram().mermaid.splitlines() == [
        "sequenceDiagram",
        "accTitle: Sequence of exchanges",
        "accDescr: 6 exchanges",
        "participant p1 as alice",
        "participant p2 as bob",
        "participant p3 as Spine",
        "p1->>p3: 1. GET List/744eec7d…",
        'p3-->>p1: 200 read ETag W/"25777f7d…"',
        "p2->>p3: 2. GET List/744eec7d…",
        'p3-->>p2: 200 read ETag W/"25777f7d…"',
        'p1->>p3: 3. PUT List/744eec7d… If-Match W/"25777f7d…"',
        'p3-->>p1: 200 updated ETag W/"99f08f1a…"',
        'p2->>p3: 4. PUT List/744eec7d… If-Match W/"25777f7d…"',
        "p3-->>p2: 409 stale",
        'p2-xp3: 5. PUT List/744eec7d… If-Match W/"25777f7d…"',
        "Note over p2,p3: not sent#58; failed",
        'p2->>p3: 6. PUT List/744eec7d… If-Match W/"25777f7d…"',
        "p3--xp2: no answer#58; unknown",
    ]


@pytest.mark.parametrize(
    ("method", "path", "more", "label"),
    [
        ("PUT", "Flag/short", {}, "PUT Flag/short no If-Match"),
        ("DELETE", "Flag/short", {"if_match": "*"}, "DELETE Flag/short If-Match *"),
        ("PUT", "Flag/short", {"if_match": ""}, "PUT Flag/short If-Match (empty)"),
        ("PUT", "Flag/short", {"if_match": '"strong-and-long"'}, 'PUT Flag/short If-Match "strong-a…"'),
        ("PUT", "Flag/short", {"if_match": "x" * 99}, f"PUT Flag/short If-Match {'x' * 16}…{'x' * 15}"),
        ("GET", "List?_count=2&secret-name=x", {}, "GET List?…"),
        ("GET", f"{TARGET}/_history/25777f7d-27bc", {}, "GET List/744eec7d…/_history/25777f7d…"),
        ("GET", "metadata", {}, "GET metadata"),
        ("BREW", "Flag", {}, "BREW Flag"),
    ],
)
def test_request_labels(method: str, path: str, more: dict[str, Any], label: str) -> None:
    kind = path.partition("?")[0]
    sent = exchange(method=method, path=kind, **more)
    sent = Exchange(
        *(sent.client, sent.interaction, kind.split("/")[0] if kind != "metadata" else "", sent.logical_id),
        *(Request(method, f"{BASE}/{path}", sent.request.headers), sent.response, NOON),
    )
    assert journal_of(sent).diagram().text.splitlines()[1] == f"1  alice → Spine  {label}"


def test_ids_with_a_common_beginning_stay_distinct() -> None:
    tags = ['W/"00000000-0000-0001"', 'W/"00000000-0000-0002"']
    text = journal_of(*(exchange(etag=tag) for tag in tags)).diagram().text
    assert all(tag in text for tag in tags)


def test_each_endpoint_has_a_lifeline() -> None:
    bases = ("http://127.0.0.1:8001/STU3", "https://sandbox.example/STU3")
    root = exchange(method="GET", path="", base=bases[0])
    diagram = journal_of(*(exchange(base=base) for base in bases), root).diagram()
    assert re.findall("participant (.*)", diagram.mermaid) == [
        "p1 as alice",
        "p2 as 127.0.0.1#58;8001",
        "p3 as sandbox.example",
    ]
    same_host = journal_of(exchange(base=f"{BASE}/a"), exchange(base=f"{BASE}/b")).diagram(last=9)
    assert "alice → spine.example/STU3/a" in same_host.text
    assert "alice → spine.example/STU3/b" in same_host.text


@pytest.mark.parametrize(
    ("count", "window", "note", "first", "last"),
    [
        (1000, {}, "exchanges 971–1,000 of 1,000", 971, 1000),
        (40, {"last": 5}, "exchanges 36–40 of 40", 36, 40),
        (40, {"start": 3, "last": 4}, "exchanges 3–6 of 40", 3, 6),
        (40, {"start": 40}, "exchange 40 of 40", 40, 40),
        (30, {}, "30 exchanges", 1, 30),
        (1, {}, "1 exchange", 1, 1),
        (40, {"start": 41}, "0 of 40 exchanges", None, None),
        (0, {}, "no exchanges", None, None),
        (40, {"resource": TARGET, "last": 7}, f"7 of 40 exchanges about {TARGET}", 34, 40),
        (40, {"resource": "Flag/1"}, "no exchanges about Flag/1", None, None),
    ],
)
def test_the_note_says_which_exchanges_are_shown(
    count: int, window: dict[str, Any], note: str, first: int | None, last: int | None
) -> None:
    diagram = long_journal(count).diagram(**window)
    lines = diagram.text.splitlines()
    assert lines[0] == note
    assert repr(diagram) == f"<Diagram: {note}>"
    numbers = [int(line.split()[0].replace(",", "")) for line in lines[1::2]]
    assert (numbers[:1], numbers[-1:]) == (([first], [last]) if first else ([], []))
    cut = note in [text.text for text in texts(diagram.svg)]
    assert cut == (len(numbers) < count or not count)
    assert ("Note over p1" in diagram.mermaid) == cut


def test_exchanges_of_one_resource_keep_their_numbers() -> None:
    journal = journal_of(exchange(), exchange(path="Flag/1"), exchange(path="Flag/2"), exchange())
    assert [line[:1] for line in journal.diagram(resource=TARGET).text.splitlines()[1::2]] == ["1", "4"]
    assert journal.diagram(resource=TARGET, start=2).text.startswith(f"1 of 2 exchanges about {TARGET}\n4")


@pytest.mark.parametrize("window", [{"last": 0}, {"start": 0}, {"start": -1}])
def test_start_and_last_below_1_are_rejected(window: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="count exchanges from 1"):
        long_journal(2).diagram(**window)


def test_lifelines_keep_their_order() -> None:
    journal = journal_of(exchange("alice"), exchange("bob"), exchange("bob"), exchange("alice"))
    assert re.findall(r"participant p\d as (\w+)", journal.diagram(last=2).mermaid) == ["alice", "bob", "Spine"]


# --- the formats for Jupyter ---


def test_mimebundles(story: Journal) -> None:
    shown, _ = DisplayFormatter().format(story.diagram())
    assert list(shown) == ["text/vnd.mermaid", "image/svg+xml", "text/plain"]
    assert shown["text/plain"] == story.diagram().text
    shown, _ = DisplayFormatter().format(story.timeline())
    assert list(shown) == ["image/svg+xml", "text/plain"]


def test_a_diagram_too_long_for_mermaid_is_shown_as_svg() -> None:
    diagram = long_journal(900).diagram(last=900)
    assert len(diagram.mermaid) > MERMAID_LIMIT
    assert list(diagram._repr_mimebundle_()) == ["image/svg+xml", "text/plain"]


def test_the_same_journal_gives_the_same_bytes(story: Journal, tmp_path: Path) -> None:
    story.save(tmp_path / "story.jsonl")
    again = Journal.load(tmp_path / "story.jsonl")
    assert again.diagram() == story.diagram()
    assert again.timeline() == story.timeline()
    assert again.to_har() == story.to_har()


# --- hostile texts ---


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_escaped(text: str) -> None:
    journal = journal_of(
        exchange("alice"), exchange(text, if_match=text, etag=text), exchange(text, path=f"List/{text}", status=None)
    )
    diagram = journal.diagram()
    lines = diagram.mermaid.splitlines()
    assert len(lines) == 3 + 3 + 6
    safe = r'(?:[^\W_]|[ /."…-]|#\d+;)*'
    for line in lines[3:]:
        assert re.fullmatch(rf"(participant p[123] as|p[123](->>|-->>|-x|--x)p[123]:) {safe}", line), line
    shown = [unescape(re.sub(r"#(\d+);", r"&#\1;", line.partition(" as ")[2])) for line in lines[3:6]]
    assert shown[1] in [each.text for each in texts(diagram.svg)]
    check_harmless(diagram)
    check_layout(diagram.svg)
    check_timeline(journal.timeline())


def check_timeline(timeline: Timeline) -> None:
    """Drawing elements only; every link leads to a part of the same picture."""
    root = ElementTree.fromstring(timeline.svg)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "defs", "g", "path", "use", "text", "clipPath", "rect"}
    attributes = [item for element in root.iter() for item in element.attrib.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in attributes if name.endswith("href"))
    assert all("url(#" in value for _, value in attributes if "url(" in value)


def check_harmless(picture: Diagram) -> None:
    """Well-formed, of drawing elements only, with no way to load or run anything."""
    root = ElementTree.fromstring(picture.svg)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "rect", "line", "circle", "polygon", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert attributes <= {
        *(
            "width",
            "height",
            "viewBox",
            "role",
            "style",
            "x",
            "y",
            "rx",
            "x1",
            "x2",
            "y1",
            "y2",
            "cx",
            "cy",
            "r",
            "fill",
        ),
        *("points", "stroke", "stroke-width", "stroke-dasharray", "font-family", "font-size", "text-anchor"),
        *("textLength", "lengthAdjust"),
    }
    values = {value for element in root.iter() for value in element.attrib.values()}
    assert not [value for value in values if "url(" in value or "//" in value]
    assert picture.svg.encode()


def test_two_names_with_equal_short_forms_stay_distinct() -> None:
    names = ["integration-test-number-1-client", "integration-test-number-2-client"]
    mermaid = journal_of(*map(exchange, names)).diagram().mermaid
    assert "participant p1 as integratio…-2-client" not in mermaid
    assert len(set(re.findall(r"participant p\d as (.*)", mermaid))) == 3


# --- layout ---


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float
    text: str = ""

    def overlaps(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def texts(svg: str) -> list[Box]:
    """Every text with its bounding box: as wide as ``textLength`` says, or as a monospaced font makes it."""
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        size, said = int(element.attrib["font-size"]), element.text or ""
        width = int(element.get("textLength") or text_width(said, size))
        shift = {"middle": width / 2, "end": width}.get(element.get("text-anchor", ""), 0)
        x, y = float(element.attrib["x"]) - shift, float(element.attrib["y"])
        found.append(Box(x, y - 0.8 * size, x + width, y + 0.25 * size, said))
    return found


def check_layout(svg: str) -> None:
    """No text overlaps another, leaves the card, or is crossed by a line from top to bottom."""
    root = ElementTree.fromstring(svg)
    written = texts(svg)
    for one, other in combinations(written, 2):
        assert not one.overlaps(other), (one, other)
    card = Box(0, 0, float(root.attrib["width"]), float(root.attrib["height"]))
    for each in written:
        assert 0 <= each.left <= each.right <= card.right, each
        assert 0 <= each.top <= each.bottom <= card.bottom, each
    if "Sequence" in svg:
        for line in root.iter(f"{SVG}line"):
            if line.attrib["x1"] == line.attrib["x2"]:
                x, *ends = (float(line.attrib[name]) for name in ("x1", "y1", "y2"))
                crossed = [each for each in written if each.overlaps(Box(x, min(ends), x, max(ends)))]
                assert not crossed, (x, crossed)


NAMES = {
    "short": ["a", "b", "c", "d", "e", "f"],
    "usual": ["alice", "bob", "carol", "Dr Deborah Ng", "erin", "integration test"],
    "wide": ["W" * 20, "M" * 20, "@" * 20, "m" * 20, "日本語の名前" * 3, "😀" * 20],
    "long": [f"a client with a rather long name, {number}" for number in range(6)],
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("clients", [1, 2, 3, 6])
def test_nothing_overlaps(kind: str, clients: int) -> None:
    journal = long_journal(60, NAMES[kind][:clients])
    check_layout(journal.diagram().svg)


def test_nothing_overlaps_with_large_numbers_and_several_endpoints() -> None:
    journal = long_journal(12_000)
    for number in range(4):
        journal.append(exchange("bob", base=f"https://a-rather-long-host-name-{number}.example/STU3"))
    check_layout(journal.diagram().svg)


def test_every_verdict_is_distinct_without_colour() -> None:
    assert set(LOOKS) == set(Verdict)
    assert len({look.letter for look in LOOKS.values()}) == len({look.colour for look in LOOKS.values()}) == len(LOOKS)
    assert {(look.shape, TONES[verdict]) for verdict, look in LOOKS.items()} == {
        ("circle", "neutral"),
        ("square", "good"),
        ("diamond", "warn"),
        ("hexagon", "bad"),
    }


@pytest.mark.parametrize("look", LOOKS.values(), ids=lambda look: look.letter)
def test_colours_have_enough_contrast(look: Any) -> None:
    """At least 4.5 to 1 (WCAG AA) on the card and on its stripes, and for the letter in the mark."""
    assert contrast(look.colour, "#f3f5f8") >= 4.5


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_a_picture_has_a_title_and_a_description_for_screen_readers(story: Journal) -> None:
    for picture, title in ((story.diagram(), "Sequence of exchanges"), (story.timeline(), "Versions over time")):
        root = ElementTree.fromstring(picture.svg)
        assert root.attrib["role"] == "img"
        assert (root[0].tag, root[0].text) == (f"{SVG}title", title)
        assert (root[1].tag, root[1].text) == (f"{SVG}desc", picture.text)


def test_the_answer_has_the_colour_of_its_verdict(story: Journal) -> None:
    fills = {element.text: element.get("fill") for element in ElementTree.fromstring(story.diagram().svg).iter()}
    assert fills["409 stale"] == LOOKS[Verdict.STALE].colour
    assert fills["no answer: unknown"] == LOOKS[Verdict.UNKNOWN].colour


# --- the timeline ---


def test_timeline_as_text(story: Journal) -> None:
    assert str(story.timeline()).splitlines() == [
        "6 exchanges",
        "alice           R·U···",
        "bob             ·R·SF?",
        "List/744eec7d…  2577… (1) → 99f0… (3) → unknown (6)",
        "R read, U updated, S stale, F failed, ? unknown",
    ]
    assert repr(story.timeline()) == "<Timeline: 6 exchanges>"


def test_a_deleted_resource_ends_its_chain() -> None:
    journal = journal_of(exchange(etag='W/"aaaa-1"'), exchange(method="DELETE", if_match='W/"aaaa-1"', status=204))
    assert "List/744eec7d…  aaaa-1 (1) → deleted (2)" in journal.timeline().text


def test_a_part_begins_with_the_version_known_before_it() -> None:
    journal = long_journal(1000)
    text = journal.timeline(last=10).text
    assert text.startswith("exchanges 991–1,000 of 1,000\n")
    assert re.search(r"List/744eec7d…  \w+… → \w+… \(\d+\)", text)


def test_a_long_timeline_is_drawn_in_rows_and_stays_as_wide_as_a_page() -> None:
    svg = long_journal(400).timeline(last=400).svg
    root = ElementTree.fromstring(svg)
    assert int(root.attrib["width"]) < 1000
    numbers = [element.text for element in root.iter(f"{SVG}text")]
    assert {"1", "24", "25", "400"} <= set(numbers)


def test_a_timeline_draws_versions_clients_and_verdicts(story: Journal) -> None:
    drawn = [element.text for element in ElementTree.fromstring(story.timeline().svg).iter(f"{SVG}text")]
    assert [text for text in drawn if text in ("2577…", "99f0…", "unknown")] == ["2577…", "99f0…", "unknown"]
    assert {"List/744eec7d…", "alice", "bob", "R read", "U updated", "S stale", "? unknown"} <= set(drawn)


def test_a_timeline_without_exchanges() -> None:
    assert journal_of().timeline().text == "no exchanges\n"
    check_timeline(journal_of().timeline())


def test_the_resources_that_changed_most_have_a_track() -> None:
    moves = [exchange(path=f"Flag/{n}", etag=f'W/"{n}-{m}"') for n in range(6) for m in range(n + 1)]
    text = journal_of(*moves).timeline().text
    assert "; the versions of 4 of 6 resources" in text
    assert re.findall(r"^Flag/\d", text, re.MULTILINE) == ["Flag/5", "Flag/4", "Flag/3", "Flag/2"]


# --- HAR ---

HAR_FIELDS = {
    "log": {"version", "creator", "entries"},
    "entry": {"startedDateTime", "time", "request", "response", "cache", "timings"},
    "request": {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"},
    "response": {
        *("status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize"),
        "bodySize",
    },
    "content": {"size", "mimeType", "text"},
    "timings": {"send", "wait", "receive"},
}
HAR_MAY_HAVE = {"postData", "comment", "pages", "encoding"}


def test_har_as_another_library_reads_it(story: Journal) -> None:
    archive = HarParser(json.loads(json.dumps(story.to_har())))
    assert archive.version == "1.2"
    assert archive.creator["name"] == "spine-workbench"
    read = [entry for page in archive.pages for entry in page.entries]
    for entry, kept in zip(read, story, strict=True):
        assert entry.request.method == kept.request.method
        assert entry.request.url == kept.request.url
        assert entry.startTime == kept.sent_at
        assert entry.response.status == (kept.status or 0)
        assert entry.request.headers == [{"name": n, "value": v} for n, v in kept.request.headers.items()]
        if kept.response:
            assert entry.response.text == kept.response.body.decode()
            assert entry.response.mimeType == (kept.response.headers.get("Content-Type") or "x-unknown")


def test_har_has_the_fields_of_har_1_2_and_its_own_begin_with_an_underscore(story: Journal) -> None:
    log = story.to_har()["log"]
    assert log["version"] == "1.2"
    assert set(log["creator"]) == {"name", "version"}
    parts = [("log", log)]
    for entry in log["entries"]:
        parts += [("entry", entry), ("timings", entry["timings"])]
        parts += [(name, entry[name]) for name in ("request", "response")]
        parts.append(("content", entry["response"]["content"]))
    for name, part in parts:
        assert HAR_FIELDS[name] <= set(part), name
        assert not [each for each in set(part) - HAR_FIELDS[name] - HAR_MAY_HAVE if not each.startswith("_")], name


def test_har_without_an_answer(story: Journal) -> None:
    response = story.to_har()["log"]["entries"][-1]["response"]
    assert (response["status"], response["statusText"], response["_error"]) == (0, "", "It is gone.")
    assert response["content"] == {"size": 0, "mimeType": "x-unknown", "text": ""}
    assert response["bodySize"] == -1


def test_har_times() -> None:
    east = timezone(timedelta(hours=1))
    journal = journal_of(exchange(elapsed=0.0125, sent_at=NOON.astimezone(east)), exchange(elapsed=None))
    timed, untimed = journal.to_har()["log"]["entries"]
    assert timed["startedDateTime"] == "2018-05-25T13:00:00.000+01:00"
    assert timed["time"] == 12.5
    assert timed["timings"] == {"send": 0, "wait": 12.5, "receive": 0}
    assert untimed["time"] == 0
    assert untimed["timings"] == {"send": 0, "wait": 0, "receive": 0, "comment": "not timed"}


def test_har_bodies_and_queries() -> None:
    sent = exchange(method="POST", path="List", status=302, body=b"\xff\xfe", sent_body="{é}".encode())
    sent = Exchange(
        *(sent.client, "create", "List", "", Request("POST", f"{BASE}/List?a=1&b=&a=%20x", body=sent.request.body)),
        *(Response(302, Headers({"Location": "/x", "Content-Encoding": "gzip"}), b"\xff\xfe"), NOON),
    )
    entry = journal_of(sent).to_har()["log"]["entries"][0]
    assert entry["request"]["postData"] == {"mimeType": "x-unknown", "text": "{é}"}
    assert entry["request"]["bodySize"] == 4
    assert [(each["name"], each["value"]) for each in entry["request"]["queryString"]] == [
        ("a", "1"),
        ("b", ""),
        ("a", " x"),
    ]
    content = entry["response"]["content"]
    assert content == {"size": 2, "mimeType": "x-unknown", "text": "//4=", "encoding": "base64"}
    assert (entry["response"]["redirectURL"], entry["response"]["bodySize"]) == ("/x", -1)


# --- CSV ---


def test_csv_is_the_transitions(story: Journal, tmp_path: Path) -> None:
    story.to_csv(tmp_path / "story.csv")
    read = pd.read_csv(tmp_path / "story.csv")
    frame = story.transitions()
    assert list(read.columns) == list(frame.columns)
    assert list(read["verdict"]) == list(frame["verdict"])
    assert list(read["etag_after"].dropna()) == list(frame["etag_after"].dropna())
    assert list(pd.to_datetime(read["time"])) == list(frame["time"])
    assert list(read["status"].fillna(0)) == [200, 200, 200, 409, 0, 0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝", "＠"])
def test_csv_escapes_formulas(start: str, tmp_path: Path) -> None:
    formula = f'{start}HYPERLINK("http://x";A1)'
    journal_of(exchange(formula, if_match=formula, status=None, failure=formula)).to_csv(tmp_path / "x.csv")
    row = rows_of(tmp_path / "x.csv")[0]
    assert row["client"] == row["if_match"] == row["diagnostics"] == f"'{formula}"


def test_csv_changes_nothing_else(tmp_path: Path) -> None:
    plain = 'W/"a", b; "c"\nÉ 日 -x =y'
    journal_of(exchange(plain, if_match=plain, elapsed=0.0015)).to_csv(tmp_path / "x.csv")
    row = rows_of(tmp_path / "x.csv")[0]
    assert (row["client"], row["if_match"], row["ms"], row["spine_code"]) == (plain, plain, "1.5", "")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# --- files by suffix ---


def test_export_chooses_the_format_by_the_suffix(story: Journal, tmp_path: Path) -> None:
    for name in ("j.har", "j.csv", "j.jsonl", "j.SVG"):
        story.export(tmp_path / name)
    assert json.loads((tmp_path / "j.har").read_text(encoding="utf-8")) == json.loads(json.dumps(story.to_har()))
    assert len(rows_of(tmp_path / "j.csv")) == len(story)
    assert list(Journal.load(tmp_path / "j.jsonl")) == list(story)
    assert (tmp_path / "j.SVG").read_text(encoding="utf-8") == story.diagram().svg
    story.export(str(tmp_path / "k.har"))
    assert (tmp_path / "k.har").read_bytes() == (tmp_path / "j.har").read_bytes()


@pytest.mark.parametrize("name", ["j.txt", "j", "j.har.gz", ".har"])
def test_export_rejects_another_suffix(name: str, tmp_path: Path, story: Journal) -> None:
    with pytest.raises(BadInput, match=r"end its name in \.har, \.csv, \.jsonl or \.svg\."):
        story.export(tmp_path / name)
    assert not list(tmp_path.iterdir())


# --- no export holds a credential ---

SECRET = "s3cr3t-of-mine"


class CookieSetter(BaseHTTPRequestHandler):
    """Answers everything with a cookie and a challenge that hold a secret."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", f"session={SECRET}")
        self.send_header("WWW-Authenticate", f"Bearer {SECRET}")
        self.send_header("ETag", 'W/"a"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cookie_setter() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), CookieSetter) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/STU3"
        server.shutdown()
        thread.join()


def test_no_export_holds_a_credential(cookie_setter: str, tmp_path: Path) -> None:
    headers = {
        "Authorization": f"Bearer {SECRET}",
        "X-My-Own": SECRET,
        "Cookie": f"a={SECRET}",
        "If-None-Match": SECRET,
    }
    client = Client(cookie_setter, connection=Connection(headers=headers))
    client.read("List", LIST)
    client.send("GET", TARGET, headers={"Authorization": SECRET, "X-API-Key": SECRET})
    client.close()
    for name in ("j.har", "j.csv", "j.jsonl", "j.svg"):
        client.journal.export(tmp_path / name)
        assert SECRET not in (tmp_path / name).read_text(encoding="utf-8-sig")
    for picture in (client.journal.diagram(), client.journal.timeline()):
        assert not [form for form in picture._repr_mimebundle_().values() if SECRET in form]
    assert "***" in (tmp_path / "j.har").read_text(encoding="utf-8")
