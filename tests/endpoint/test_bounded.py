"""Bounded work: any body up to 5 MiB costs less than a second of CPU, and delays no other client."""

import gzip
import http.client
import os
import random
import socket
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from spinekit import FHIR_JSON, LIMIT, a_list, outcome_issues, raw_request

from workbench.endpoint.application import Application, build_application
from workbench.endpoint.policy import MOST_VALUES
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.request import PAGE_BYTES, Query
from workbench.endpoint.settings import Serving, Settings
from workbench.endpoint.store import Store, Stored
from workbench.exchange.message import Headers, Request

CPU_SECONDS = 4.0
FORM = "application/x-www-form-urlencoded"
START = b'{"resourceType":"List","status":"current","mode":"working",'


def many(member: str, item: bytes, count: int) -> bytes:
    return START + b'"%s":[' % member.encode() + b",".join([item] * count) + b"]}"


def as_many_as_fit(member: str, item: bytes) -> bytes:
    """A List that fills the limit of bytes."""
    return many(member, item, (LIMIT - 100) // (len(item) + 1))


def as_many_as_count(member: str, item: bytes) -> bytes:
    """A List that fills the limit of values."""
    return many(member, item, (MOST_VALUES - 10) // sum(map(item.count, (b",", b"{", b"[")), start=1))


ITEMS = {
    "bad dates": ("entry", b'{"date":"x"}'),
    "bad dates in sound entries": ("entry", b'{"date":"x","item":{"reference":"a"}}'),
    "entries": ("entry", b'{"item":{"reference":"Condition/1"}}'),
    "entries without their item": ("entry", b'{"deleted":true}'),
    "empty entries": ("entry", b"{}"),
    "nulls": ("entry", b"null"),
    "numbers": ("entry", b"1"),
    "decimals": ("entry", b"1e5"),
    "texts": ("entry", b'""'),
    "lists": ("entry", b"[]"),
    "unknown elements": ("entry", b'{"x":1}'),
    "extensions": ("extension", b'{"url":"a"}'),
    "extensions with two values": ("extension", b'{"url":"a","valueString":"b","valueCode":"c"}'),
    "extensions deep inside": ("extension", b'{"url":"a","valueTiming":{"repeat":{"count":1}}}'),
    "contained resources": ("contained", b'{"resourceType":"Patient"}'),
    "contained resources that are not valid": ("contained", b'{"resourceType":"Basic"}'),
}

BODIES = {
    "one list of names": START + b",".join(b'"x%d":1' % number for number in range(400_000)) + b"}",
    "a name twice": START + b",".join(b'"x%d":1' % number for number in range(40_000)) + b',"x1":2}',
    "a number": START + b'"a":' + b"1" * (LIMIT - 100) + b"}",
    "a decimal": START + b'"a":1.' + b"1" * (LIMIT - 100) + b"}",
    "arrays": b"[" * LIMIT,
    "objects": b'{"a":' * (LIMIT // 5),
    "quotation marks": b'"' * LIMIT,
    "backslashes in a text": b'"' + b"\\" * (LIMIT - 1),
    "escaped quotation marks": b'["' + b'\\",' * (LIMIT // 3 - 1),
    "escapes": START + b'"title":"' + b"\\ud800\\udc00" * (LIMIT // 12 - 20) + b'"}',
    "half a surrogate": START + b'"title":"' + b"\\ud800\\udc00" * (LIMIT // 12 - 20) + b'\\ud800"}',
    "blanks": b" " * LIMIT,
    "a narrative": START + b'"text":{"status":"generated","div":"' + b"<p>" * (LIMIT // 3 - 100) + b'"}}',
    "narratives": many(
        "contained",
        b'{"resourceType":"Basic","code":{"text":"a"},"text":{"status":"generated","div":"<div xmlns=\'%s\'>%s</div>"}}'
        % (b"http://www.w3.org/1999/xhtml", b"<b a=''/>" * 45_000),
        12,
    ),
    "a base64 text": START + b'"extension":[{"url":"a","valueBase64Binary":"' + b"A" * (LIMIT - 200) + b'"}]}',
    "a date": START + b'"date":"' + b"1" * (LIMIT - 100) + b'"}',
    "zeros": b"\x00" * LIMIT,
    "no UTF-8": b"\xff" * LIMIT,
}

FORMS = {
    "spans": b"_lastUpdated=2018&" * (LIMIT // 18),
    "ids": b"_id=a&" * (LIMIT // 6),
    "a list of ids": b"_id=" + b"a," * (LIMIT // 2 - 2),
    "escapes": b"_id=" + b"%41" * (LIMIT // 3 - 2),
    "ampersands": b"&" * LIMIT,
    "unknown parameters": b"x=y&" * (LIMIT // 4),
    "half a megabyte of spans": b"_lastUpdated=2018&" * 30_000,
    "64 KiB of spans": b"_lastUpdated=2018&" * 3_640,
    "64 KiB of one id": b"_id=" + b"a," * 32_000,
    "99 sets of ids": b"&".join([b"_id=" + b",".join([b"a"] * 300)] * 99),
}

QUERIES = {
    "600 spans": "&".join(["_lastUpdated=2018"] * 600),
    "100 spans": "&".join(["_lastUpdated=2018"] * 100),
    "999 ids, one by one": "&".join(f"_id=a{number}" for number in range(999)),
    "100 ids, one by one": "&".join(f"_id=a{number}" for number in range(100)),
    "1,000 ids": "_id=" + ",".join(f"a{number}" for number in range(1000)),
    "10,000 ids": "_id=" + ",".join(f"a{number}" for number in range(10_000)),
    "3,000 orders": "&".join(["_sort=_lastUpdated"] * 3000),
    "blanks": "_id=" + "+" * 60_000,
}

HEADERS = {
    f"{name}: {what}": (name, value)
    for name in ("If-None-Match", "If-Modified-Since", "Accept", "Accept-Encoding", "Prefer", "If-Match")
    for what, value in {
        "quotation marks": '"' * 60_000,
        "commas": "," * 60_000,
        "semicolons": ";" * 60_000,
        "blanks": "a;" + " " * 60_000 + "b",
        "parentheses": "(" * 60_000,
        "digits": "1" * 60_000,
        "tags": 'W/"a",' * 10_000,
    }.items()
}


@pytest.fixture(scope="module")
def application() -> Application:
    return build_application(Settings(), "http://127.0.0.1/STU3")


def assert_cheap(application: Application, method: str, url: str, *fields: tuple[str, str], body: bytes = b"") -> int:
    assert len(body) <= LIMIT
    began = time.thread_time()
    answer = application.answer(Request(method, url, Headers(fields), body))
    assert time.thread_time() - began < CPU_SECONDS
    assert answer.status not in (500, 503)
    assert answer.status == 200 or len(answer.body) < 10_000
    if answer.status >= 400:
        outcome_issues(answer.body)
    return answer.status


@pytest.mark.parametrize(("member", "item"), ITEMS.values(), ids=ITEMS)
def test_a_list_of_five_megabytes(application: Application, member: str, item: bytes) -> None:
    body = as_many_as_fit(member, item)
    assert assert_cheap(application, "POST", "/STU3/List", ("Content-Type", FHIR_JSON), body=body) == 413


@pytest.mark.parametrize(("member", "item"), ITEMS.values(), ids=ITEMS)
def test_a_list_of_as_much_as_is_taken(application: Application, member: str, item: bytes) -> None:
    body = as_many_as_count(member, item)
    assert assert_cheap(application, "POST", "/STU3/List", ("Content-Type", FHIR_JSON), body=body) in (201, 422)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body(application: Application, body: bytes) -> None:
    assert_cheap(application, "POST", "/STU3/List", ("Content-Type", FHIR_JSON), body=body[:LIMIT])


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_gzipped_body(application: Application, body: bytes) -> None:
    fields = (("Content-Type", FHIR_JSON), ("Content-Encoding", "gzip"))
    assert_cheap(application, "POST", "/STU3/List", *fields, body=gzip.compress(body[:LIMIT], compresslevel=1))


EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
"""A block of deflate that holds nothing, and is not the last."""

PACKED = {
    "much more than fits": gzip.compress(b" " * 100_000_000, compresslevel=1),
    "blocks of nothing": gzip.compress(b"")[:10] + EMPTY_BLOCK * (LIMIT // 5 - 10),
    "streams of nothing": gzip.compress(b"") * (LIMIT // 20),
}


@pytest.mark.parametrize("body", PACKED.values(), ids=PACKED)
def test_what_gzip_can_do(application: Application, body: bytes) -> None:
    fields = (("Content-Type", FHIR_JSON), ("Content-Encoding", "gzip"))
    assert assert_cheap(application, "POST", "/STU3/List", *fields, body=body) in (400, 413)


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_a_search_by_form(application: Application, body: bytes) -> None:
    assert_cheap(application, "POST", "/STU3/List/_search", ("Content-Type", FORM), body=body)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_search(application: Application, query: str) -> None:
    assert_cheap(application, "GET", f"/STU3/List?{query}")


@pytest.mark.parametrize("field", HEADERS.values(), ids=HEADERS)
def test_a_header_field(application: Application, field: tuple[str, str]) -> None:
    method, content = ("PUT", [("Content-Type", FHIR_JSON)]) if field[0] == "If-Match" else ("GET", [])
    assert_cheap(application, method, "/STU3/List/744eec7d-8951-4722-ad74-dc34e86d4e1a", field, *content, body=b"{}")


def test_a_text_may_hold_any_number_of_commas(application: Application) -> None:
    """Only what stands outside of texts counts."""
    body = START + b'"title":"' + b',[{\\"' * 500_000 + b'"}'
    assert assert_cheap(application, "POST", "/STU3/List", ("Content-Type", FHIR_JSON), body=body) == 201


AT = "2018-05-25T16:09:50.000+00:00"


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_page_is_bounded_in_bytes(shared_db: str, oldest_first: bool) -> None:
    """The pages together hold every resource, and only the last resource of a page crosses the bound."""
    sizes = random.Random(1)
    with closing(Store(shared_db)) as store:
        for number in range(60):
            store.insert(
                "List", f"r{number:02}", Stored("1", AT, b" " * sizes.choice([1, PAGE_BYTES // 7, PAGE_BYTES]))
            )
        found, query, more = [], Query(count=25, oldest_first=oldest_first), True
        while more:
            page = store.search("List", query)
            assert 0 < len(page.found) <= 25
            assert sum(len(stored.body or b"") for _, stored in page.found[:-1]) < PAGE_BYTES
            assert page.total == 60
            found += [logical_id for logical_id, _ in page.found]
            query.after, more = (AT, found[-1]), page.more
    assert sorted(found) == [f"r{number:02}" for number in range(60)]


@pytest.fixture(scope="module")
def server() -> ServerProcess:
    running = ServerProcess(Settings(), Serving())
    yield running
    running.stop()


PACKED_EXTENSIONS = gzip.compress(as_many_as_count(*ITEMS["extensions"]))

HOSTILE = {
    "large bodies": [
        raw_request("POST", "/STU3/List", f"Content-Type: {FHIR_JSON}", body=as_many_as_fit(*ITEMS["texts"])),
        raw_request("POST", "/STU3/List", f"Content-Type: {FHIR_JSON}", body=as_many_as_count(*ITEMS["extensions"])),
        raw_request("POST", "/STU3/List", f"Content-Type: {FHIR_JSON}", body=BODIES["half a surrogate"]),
        raw_request("POST", "/STU3/List/_search", f"Content-Type: {FORM}", body=FORMS["spans"]),
    ],
    "a small body that unpacks to a large one": [
        raw_request(
            "POST", "/STU3/List", f"Content-Type: {FHIR_JSON}", "Content-Encoding: gzip", body=PACKED_EXTENSIONS
        ),
    ],
}


@pytest.mark.parametrize("messages", HOSTILE.values(), ids=HOSTILE)
def test_health_is_told_beside_hostile_bodies(server: ServerProcess, messages: list[bytes]) -> None:
    url = urlsplit(server.base_url)
    address = (url.hostname or "", url.port or 0)

    def send(message: bytes) -> None:
        for _ in range(3):
            with closing(socket.create_connection(address, timeout=30)) as connection:
                connection.sendall(message)
                while connection.recv(65536):
                    pass

    senders = [threading.Thread(target=send, args=(message,)) for message in messages]
    for sender in senders:
        sender.start()
    taken = []
    with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        while any(sender.is_alive() for sender in senders):
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"pass"}'
            taken.append(time.perf_counter() - began)
    assert len(taken) > 20
    assert sorted(taken)[len(taken) * 9 // 10] < 0.1


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
def test_readers_that_do_not_read_hold_little(server: ServerProcess) -> None:
    url = urlsplit(server.base_url)
    address = (url.hostname or "", url.port or 0)
    with closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        for _ in range(100):
            body = str(a_list(title="a" * 400_000)).replace("'", '"')
            connection.request("POST", "/STU3/List", body=body, headers={"Content-Type": FHIR_JSON})
            assert connection.getresponse().read() == b""
        before = memory(server.pid)
        with ExitStack() as stack:
            for _ in range(30):
                reader = stack.enter_context(closing(socket.create_connection(address)))
                reader.sendall(b"GET /STU3/List?_count=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
            connection.request("GET", "/STU3/metadata")  # answered behind them
            assert connection.getresponse().read()
            assert memory(server.pid) - before < 30 * 3 * PAGE_BYTES


def memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
