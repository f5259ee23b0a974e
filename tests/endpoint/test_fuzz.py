"""Requests of every kind, half of them nearly right: never a 5xx, never an error without an OperationOutcome,
never a change from a refused request, and memory flat.

Bytes on a socket, so that a client's manners are not in the way. A thousand with the other tests, twenty thousand by
``make fuzz``, which draws new ones every time.
"""

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from spinekit import PROFILE, RawAnswer, raw_exchange
from test_hostile import memory

from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings
from workbench.fhir import json

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
FLAG = "Flag"

junk = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00"), max_size=20)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "PUT", "PUT"])
types = st.sampled_from(["List", "Flag", "Condition", "Subscription", "Patient", "metadata", "_search", ""])
ids = st.one_of(
    st.just(LIST), st.sampled_from(["", "_search", "_history", "$op", "..", "%2e", "a" * 65]), st.uuids().map(str)
)
names = st.sampled_from(["_id", "_lastUpdated", "_count", "_sort", "_page", "_format", "_summary"])
values = st.one_of(
    st.sampled_from([LIST, "ge2018", "lt2018-05", "0", "1", "-1", "_lastUpdated", "-_lastUpdated", "json", "xml"]), junk
)
queries = st.lists(st.tuples(names, values), max_size=3).map(
    lambda pairs: "".join(f"{'?' if not n else '&'}{k}={v}" for n, (k, v) in enumerate(pairs)).replace(" ", "%20")
)
targets = st.one_of(
    st.builds(lambda kind, key, query: f"/STU3/{kind}/{key}{query}", types, ids, queries),
    st.builds(lambda kind, query: f"/STU3/{kind}{query}", types, queries),
    junk.map(lambda text: "/" + text.replace(" ", "+")),
)
etags = st.one_of(
    st.sampled_from(['W/"CURRENT"', 'W/"CURRENT"', '"CURRENT"', "CURRENT", "*", 'W/"00000000-0000"', 'W/""']), junk
)
media = st.one_of(
    st.sampled_from(
        ["application/fhir+json", "application/fhir+json", "application/json", "application/fhir+xml", "*/*"]
    ),
    junk,
)
fields = st.one_of(
    st.tuples(st.just("If-Match"), etags),
    st.tuples(st.just("If-None-Match"), etags),
    st.tuples(st.sampled_from(["Content-Type", "Accept", "Accept-Encoding"]), media),
    st.tuples(
        st.just("Prefer"), st.one_of(st.sampled_from(["return=representation", "return=OperationOutcome"]), junk)
    ),
    st.tuples(st.just("If-Modified-Since"), st.one_of(st.just("Fri, 25 May 2018 16:09:50 GMT"), junk)),
    st.tuples(
        st.just("Content-Length"),
        st.one_of(st.integers(-1, 50).map(str), junk.filter(lambda text: not text.strip().isdigit())),
    ),
    st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "gzip", "identity"])),
    st.tuples(st.sampled_from(["X-Any", "Authorization", "If-None-Exist", "Expect", "Host", "Upgrade"]), junk),
)
right = st.fixed_dictionaries(
    {"resourceType": st.just("List"), "status": st.just("current"), "mode": st.just("working")},
    optional={
        "id": st.just(LIST),
        "title": st.text(max_size=20),
        "entry": st.just([]),
        "meta": st.just({"versionId": "x"}),
    },
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "resourceType", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
bodies = st.one_of(
    right.map(json.dumps).map(str.encode), any_json.map(json.dumps).map(str.encode), st.binary(max_size=60)
)


REST = b"\r\n0\r\n\r\n" * 1000
"""Follows every request, so that one which claims to be longer than it is comes to its end all the same."""


def update(if_match: str, kind: str, resource: dict[str, object]) -> bytes:
    """A PUT that would be accepted, but for what is given."""
    body = json.dumps(resource).encode()
    lines = [
        "Host: localhost",
        f"If-Match: {if_match}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([f"PUT /STU3/List/{LIST} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body + REST


mostly_current = st.one_of(st.just('W/"CURRENT"'), st.just('W/"CURRENT"'), st.just('W/"00000000-0000"'), etags)
mostly_json = st.one_of(st.just("application/fhir+json"), st.just("application/fhir+json"), media)
nearly = st.tuples(
    right, st.dictionaries(st.sampled_from(["id", "status", "entry", "note", "x"]), any_json, max_size=1)
)
nearly_right = st.builds(update, mostly_current, mostly_json, nearly.map(lambda pair: {"id": LIST} | pair[0] | pair[1]))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request as bytes; ``CURRENT`` is replaced by the current version."""
    if draw(st.booleans()):
        return draw(nearly_right)
    method, body = draw(methods), draw(bodies)
    lines = [f"{name}: {value}" for name, value in draw(st.lists(fields, max_size=5))]
    if method in ("PUT", "POST", "DELETE") and draw(st.booleans()):
        lines += ['If-Match: W/"CURRENT"', "Content-Type: application/fhir+json"]
    if not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([f"{method} {draw(targets)} HTTP/1.1", "Host: localhost", *lines, "Connection: close", "", ""])
    assume(not re.match(rb"[0-9a-fA-F]{4}", body))  # a chunk longer than the rest
    return head.encode("latin-1") + body + REST


class Fuzzed:
    """An endpoint on a file, and what its file says."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "spine.db"
        self.server = ServerProcess(Settings(db=str(self.file)), Serving())
        self.statuses: Counter[int] = Counter()

    def stored(self) -> list[tuple[str, ...]]:
        """Every resource with its version."""
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(
                "SELECT type, id, version_id, body IS NULL FROM resource ORDER BY 1, 2"
            ).fetchall()

    def ask(self, message: bytes) -> None:
        """Send one, and hold the answer to what is promised of every answer."""
        before = self.stored()
        current = next((row[2] for row in before if row[1] == LIST), "none")
        message = message.replace(b"CURRENT", current.encode())
        answer = raw_exchange(self.server.base_url, message, method=message.partition(b" ")[0].decode())
        self.statuses[answer.status] += 1
        assert answer.status < 500 or answer.status == 501
        after = self.stored()
        if answer.status >= 400:
            assert after == before
            assert_outcome(message, answer)
        if not message.startswith((b"PUT", b"POST", b"DELETE")):
            assert after == before
        if any(row[1] == LIST and row[3] for row in after):
            self.server.run_command("reset")  # it was deleted, by the rules; the next ones need it


def assert_outcome(message: bytes, answer: RawAnswer) -> None:
    if message.startswith(b"HEAD"):
        return
    body = json.parse(answer.body)
    assert answer.headers["Content-Type"] == "application/fhir+json;charset=utf-8"
    assert (body["resourceType"], body["meta"]["profile"]) == ("OperationOutcome", [PROFILE])
    assert body["issue"][0]["severity"] == "error"


@pytest.fixture
def fuzzed(tmp_path: Path) -> Iterator[Fuzzed]:
    made = Fuzzed(tmp_path)
    yield made
    made.server.stop()


@pytest.mark.parametrize(
    ("examples", "again"),
    [
        pytest.param(1_000, True, id="1,000"),
        pytest.param(int(os.environ.get("FUZZ", "20000")), False, id="20,000", marks=pytest.mark.fuzz),
    ],
)
def test_any_request(fuzzed: Fuzzed, examples: int, again: bool) -> None:
    phases = [Phase.explicit, Phase.generate, Phase.shrink]
    asked = given(requests())(fuzzed.ask)
    fuzzed.ask(b"GET /STU3/List HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    first = memory(fuzzed.server.pid)
    settings(max_examples=examples, derandomize=again, phases=phases, suppress_health_check=list(HealthCheck))(asked)()
    grown = memory(fuzzed.server.pid) - first
    assert grown < 32 * 1024 * 1024
    total = fuzzed.statuses.total()
    assert total >= examples
    assert {200, 400, 404, 409, 412, 415, 422, 501} <= set(fuzzed.statuses)
    print(
        f"{total} requests, no 5xx but 501; {dict(sorted(fuzzed.statuses.items()))}; memory grew by {grown >> 20} MiB"
    )
