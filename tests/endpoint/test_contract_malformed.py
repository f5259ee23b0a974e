"""Requests that are not well formed, in the body, in the header, in the URL, on the wire.

No request is answered 500, every refusal is an OperationOutcome, and nothing changes.
"""

import gzip
import socket
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from spinekit import FHIR_JSON, LIMIT, NOBODY, Held, Service, a_list, assert_refused, outcome_issues, raw_exchange
from spinekit import raw_request as raw

NOT_WELL_FORMED = (400, "structure", "MESSAGE_NOT_WELL_FORMED")
BAD_REQUEST = (400, "invalid", "BAD_REQUEST")

BODIES = {
    "nothing": b"",
    "blanks": b" \n\t ",
    "XML": b"<List xmlns='http://hl7.org/fhir'/>",
    "a word": b"List",
    "open": b'{"resourceType":"List"',
    "comma at the end": b'{"resourceType":"List",}',
    "two values": b'{"resourceType":"List"}{}',
    "single quotes": b"{'resourceType':'List'}",
    "a comment": b'{"resourceType":"List"/* a list */}',
    "a leading zero": b'{"resourceType":"List","extension":[{"valueDecimal":01}]}',
    "a bare point": b'{"resourceType":"List","extension":[{"valueDecimal":1.}]}',
    "a plus sign": b'{"resourceType":"List","extension":[{"valueDecimal":+1}]}',
    "NaN": b'{"resourceType":"List","extension":[{"valueDecimal":NaN}]}',
    "Infinity": b'{"resourceType":"List","extension":[{"valueDecimal":Infinity}]}',
    "minus Infinity": b'{"resourceType":"List","extension":[{"valueDecimal":-Infinity}]}',
    "a number beyond holding": b'{"resourceType":"List","extension":[{"valueDecimal":1e99999999999999999999}]}',
    "Latin-1": '{"resourceType":"List","title":"café"}'.encode("latin-1"),
    "UTF-16": '{"resourceType":"List"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"resourceType":"List"}',
    "half a character": b'{"resourceType":"List","title":"caf\xc3"}',
    "a surrogate in UTF-8": b'{"resourceType":"List","title":"\xed\xa0\x80"}',
    "overlong UTF-8": b'{"resourceType":"List","title":"\xc0\xaf"}',
    "a lone high surrogate": b'{"resourceType":"List","title":"\\ud83d"}',
    "a lone low surrogate": b'{"resourceType":"List","title":"\\ude00 x"}',
    "surrogates the wrong way round": b'{"resourceType":"List","title":"\\ude00\\ud83d"}',
    "a lone surrogate in a name": b'{"resourceType":"List","\\udc00":1}',
    "a raw line break in a string": b'{"resourceType":"List","title":"a\nb"}',
    "a raw NUL": b'{"resourceType":"List","title":"a\x00b"}',
    "an unknown escape": b'{"resourceType":"List","title":"\\x41"}',
    "a name twice": b'{"resourceType":"List","title":"a","title":"b"}',
    "a name twice, escaped": b'{"resourceType":"List","title":"a","t\\u0069tle":"b"}',
    "a name twice, deep": b'{"resourceType":"List","code":{"coding":[{"code":"a","code":"b"}]}}',
    "101 arrays": b"[" * 101 + b"]" * 101,
    "101 objects": b'{"a":' * 100 + b"{}" + b"}" * 100,
    "10,000 arrays": b"[" * 10_000 + b"]" * 10_000,
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "10,000 arrays left open": b"[" * 10_000,
    "gzip": gzip.compress(b'{"resourceType":"List"}'),
}


@pytest.mark.promise("ERR-1", "ERR-3")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_not_well_formed(endpoint: Service, held: Held, body: bytes) -> None:
    with endpoint.unchanged(held.path):
        update = endpoint.put(held.path, body, held.etag)
        create = endpoint.post("List", body)
    assert_refused(create, *NOT_WELL_FORMED)
    assert_refused(update, *NOT_WELL_FORMED)


@pytest.mark.parametrize("body", [b"[]", b'"List"', b"5", b"null", b"true", b"1.10", b"[" * 100 + b"]" * 100], ids=repr)
def test_json_that_is_no_object(endpoint: Service, held: Held, body: bytes) -> None:
    with endpoint.unchanged(held.path):
        assert_refused(endpoint.put(held.path, body, held.etag), *BAD_REQUEST)


GZIPPED = gzip.compress(b'{"resourceType":"List"}' + b" " * 1000)
NO_GZIP = {
    "nothing": b"",
    "plain": b'{"resourceType":"List"}',
    "cut": GZIPPED[:-5],
    "cut to its head": GZIPPED[:10],
    "a wrong checksum": GZIPPED[:-8] + b"\0" * 8,
    "bytes behind it": GZIPPED + b"}",
    "two streams": GZIPPED + GZIPPED,
    "zlib": zlib.compress(GZIPPED),
}


@pytest.mark.promise("FMT-3", "UPD-17")
@pytest.mark.parametrize("body", NO_GZIP.values(), ids=NO_GZIP)
def test_a_body_that_is_not_the_gzip_it_says(endpoint: Service, held: Held, body: bytes) -> None:
    headers = {"Content-Type": FHIR_JSON, "If-Match": held.etag, "Content-Encoding": "gzip"}
    with endpoint.unchanged(held.path):
        update = endpoint.send("PUT", held.path, headers=headers, body=body)
        create = endpoint.send("POST", "List", headers=headers, body=body)
    assert_refused(update, *NOT_WELL_FORMED)
    assert_refused(create, *NOT_WELL_FORMED)


@pytest.mark.promise("FMT-3", "UPD-17")
@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, identity", "compress", "x"])
def test_a_content_coding_that_is_not_read(endpoint: Service, held: Held, coding: str) -> None:
    headers = {"Content-Type": FHIR_JSON, "If-Match": held.etag, "Content-Encoding": coding}
    with endpoint.unchanged(held.path):
        answer = endpoint.send("PUT", held.path, headers=headers, body=held.body(title="x"))
    issue = assert_refused(answer, 415, "not-supported", "UNSUPPORTED_MEDIA_TYPE")
    assert coding in issue["diagnostics"]
    assert answer.headers["Accept-Encoding"] == "gzip"


def gzipped(size: int) -> bytes:
    """A few bytes that unpack to a JSON text of this size, most of it blank."""
    return gzip.compress(b'{"resourceType":"List"' + b" " * (size - 23) + b"}")


@pytest.mark.promise("FMT-3", "UPD-17")
@pytest.mark.parametrize("size", [LIMIT + 1, 50_000_000])
def test_the_limit_counts_unpacked_bytes(endpoint: Service, held: Held, size: int) -> None:
    headers = {"Content-Type": FHIR_JSON, "If-Match": held.etag, "Content-Encoding": "gzip"}
    with endpoint.unchanged(held.path):
        answer = endpoint.send("PUT", held.path, headers=headers, body=gzipped(size))
    assert_refused(answer, 413, "too-long", "BAD_REQUEST")


@pytest.mark.promise("ERR-3")
@pytest.mark.parametrize("size", [LIMIT + 1, 8_000_000, 30_000_000])
@pytest.mark.parametrize("way", ["whole", "chunked"])
def test_a_body_over_the_limit(endpoint: Service, held: Held, size: int, way: str) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, size, 100_000):
            yield b" " * min(100_000, size - start)

    with endpoint.unchanged(held.path):
        answer = endpoint.put(held.path, b" " * size if way == "whole" else pieces(), held.etag)
    assert_refused(answer, 413, "too-long", "BAD_REQUEST")


@pytest.mark.promise("UPD-1")
def test_a_body_at_the_limit(endpoint: Service, held: Held) -> None:
    text = f'{{"resourceType":"List","id":"{held.logical_id}","status":"current","mode":"working"}}'
    assert endpoint.put(held.path, text + " " * (LIMIT - len(text)), held.etag).status_code == 200


URLS = [
    ("GET", "List/a%2Fb", BAD_REQUEST),
    ("GET", "List/a_b", BAD_REQUEST),
    ("GET", "List/a%20b", BAD_REQUEST),
    ("GET", "List/%00", BAD_REQUEST),
    ("GET", "List/%FF", BAD_REQUEST),
    ("GET", "List/caf%C3%A9", BAD_REQUEST),
    ("GET", "List/%D9%A3", BAD_REQUEST),
    ("GET", "List/a%0A", BAD_REQUEST),
    ("GET", "List/a%0D%0AX-Injected:%201", BAD_REQUEST),
    ("GET", f"List/{'a' * 65}", BAD_REQUEST),
    ("GET", f"List/{'a' * 5000}", BAD_REQUEST),
    ("GET", "List//", BAD_REQUEST),
    ("GET", "List/%3Cscript%3E", BAD_REQUEST),
    ("GET", "List/'%20OR%201=1--", BAD_REQUEST),
    ("GET", "List/..%2F..%2Fetc%2Fpasswd", BAD_REQUEST),
    ("PUT", "List/a%2Fb", BAD_REQUEST),
    ("DELETE", "List/a%2Fb", BAD_REQUEST),
    ("GET", f"List/{'a' * 64}", (404, "not-found", "NO_RECORD_FOUND")),
    ("GET", "List%2Fabc", (501, "not-supported", "NOT_IMPLEMENTED")),
    ("GET", "L%69st/abc", (404, "not-found", "NO_RECORD_FOUND")),
    ("GET", "%4Cist", None),
    ("GET", "Li%00st/abc", (501, "not-supported", "NOT_IMPLEMENTED")),
]


@pytest.mark.promise("ERR-1", "ERR-4")
@pytest.mark.parametrize(("method", "path", "refusal"), URLS, ids=[f"{method} {path[:40]}" for method, path, _ in URLS])
def test_a_url_that_names_nothing(
    endpoint: Service, method: str, path: str, refusal: tuple[int, str, str] | None
) -> None:
    answer = endpoint.send(method, path, headers={"If-Match": 'W/"a"', "Content-Type": FHIR_JSON}, body=None)
    if refusal is None:
        assert answer.status_code == 200
    else:
        assert_refused(answer, *refusal)
    assert "X-Injected" not in answer.headers


@pytest.mark.parametrize("parameter", ["title=x", "_id=x", "_count=1", "x", "=", "_pretty=true"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.promise("ERR-3")
def test_a_parameter_where_none_means_anything(endpoint: Service, held: Held, method: str, parameter: str) -> None:
    body = held.body(title="x") if method == "PUT" else None
    headers = {"If-Match": held.etag, "Content-Type": FHIR_JSON}
    with endpoint.unchanged(held.path):
        answer = endpoint.send(method, f"{held.path}?{parameter}", headers=headers, body=body)
    assert_refused(answer, *BAD_REQUEST)


@pytest.mark.promise("UPD-12")
def test_a_conditional_create(endpoint: Service) -> None:
    before = endpoint.get("List?_count=0").json()["total"]
    answer = endpoint.post("List", a_list(), if_none_exist="_id=x")
    assert_refused(answer, 501, "not-supported", "NOT_IMPLEMENTED")
    assert endpoint.get("List?_count=0").json()["total"] == before


@pytest.mark.promise("UPD-12")
@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "REPORT"])
def test_other_methods(endpoint: Service, held: Held, method: str) -> None:
    with endpoint.unchanged(held.path):
        answer = endpoint.send(method, held.path, headers={"If-Match": held.etag})
    assert_refused(answer, 501, "not-supported", "NOT_IMPLEMENTED")


HEADERS = {
    "long": {"X-Long": "a" * 60_000},
    "many": {f"X-{number}": "a" for number in range(90)},
    "Latin-1": {"X-Name": "caf\xe9"},
    "If-Match in Latin-1": {"If-Match": 'W/"caf\xe9"'},
    "Content-Type in Latin-1": {"Content-Type": "\xe9"},
    "Prefer in Latin-1": {"Prefer": "return=\xe9"},
    "Accept with a broken quality": {"Accept": "*/*;q=x"},
    "Accept-Encoding with a broken quality": {"Accept-Encoding": "gzip;q=;q=9"},
    "If-None-Match in Latin-1": {"If-None-Match": '"\xe9'},
    "quotes": {"If-Match": '"' * 5000},
    "a date beyond the calendar": {"If-Modified-Since": "Fri, 25 May 99999999999 16:09:50 GMT"},
    "a date with a zone beyond the world": {"If-Modified-Since": "Fri, 25 May 2018 16:09:50 +2500"},
    "a date at the end of the calendar": {"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 -2300"},
    "a date with numbers only": {"If-Modified-Since": "0 0 0 0 0 0 0 0"},
}


@pytest.mark.promise("ERR-1", "ERR-4")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("fields", HEADERS.values(), ids=HEADERS.keys())
def test_an_odd_header_is_no_accident(endpoint: Service, held: Held, method: str, fields: dict[str, str]) -> None:
    headers = {name: value.encode("latin-1") for name, value in fields.items()}
    answer = endpoint.send(method, held.path, headers=headers)  # type: ignore[arg-type]
    of_a_read = {412} if "If-Match" in fields else {200, 304}  # RD-6
    assert answer.status_code in (of_a_read if method == "GET" else {412, 415})
    if answer.status_code >= 400:
        outcome_issues(answer.content)


WIRE = {
    "garbage": b"garbage\r\n\r\n",
    "no method": b" /STU3/List HTTP/1.1\r\n\r\n",
    "an unknown method": raw("FOO", "/STU3/List"),
    "another protocol": b"GET /STU3/List HTTP/9.9\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40,
    "CONNECT": raw("CONNECT", "example.org:443"),
    "a broken header line": raw("GET", "/STU3/List", "No colon"),
    "a space before the colon": raw("GET", "/STU3/List", "If-Match : *"),
    "a NUL in a header": raw("GET", "/STU3/List", "X: a\x00b"),
    "a broken length": raw("PUT", f"/STU3/List/{NOBODY}", "Content-Length: abc"),
    "a negative length": raw("PUT", f"/STU3/List/{NOBODY}", "Content-Length: -1"),
    "two lengths": raw("PUT", f"/STU3/List/{NOBODY}", "Content-Length: 1", "Content-Length: 2"),
    "length and chunks": raw("PUT", f"/STU3/List/{NOBODY}", "Content-Length: 5", "Transfer-Encoding: chunked"),
    "a broken chunk": raw("PUT", f"/STU3/List/{NOBODY}", "Transfer-Encoding: chunked") + b"ZZ\r\n",
    "a raw é in the path": raw("GET", "/STU3/List/\xe9"),
    "a broken authority": raw("GET", "http://[x/STU3/List"),
}


@pytest.mark.promise("ERR-1", "ERR-3")
@pytest.mark.parametrize("message", WIRE.values(), ids=WIRE.keys())
def test_http_that_is_none(over_socket: Service, message: bytes) -> None:
    answer = raw_exchange(over_socket.base_url, message)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/fhir+json;charset=utf-8"
    (issue,) = outcome_issues(answer.body)
    assert (issue["code"], issue["details"]["coding"][0]["code"]) == ("structure", "MESSAGE_NOT_WELL_FORMED")
    assert over_socket.get("metadata").status_code == 200


TARGETS = {
    "//[x": {400, 404},
    "//[::1/STU3/List": {400, 404},
    "//example.org/STU3/metadata": {400, 404},
    "///STU3/metadata": {400, 404},
    "/": {404},
    "/stu3/List": {404},
    "/STU3x/List": {404},
    "/STU3/../STU3/metadata": {501},
    "/STU3/./metadata": {501},
    "/STU3//metadata": {501},
    "/STU3/List/..": {404},
    "/STU3/List/.": {404},
    "/STU3/List/%2e%2e": {404},
    "*": {400, 404},
    "/STU3/List?%": {400},
    "/STU3/List?_id=%FF": {400},
    "/STU3/List?" + "&" * 99: {200},
    "/STU3/List?" + "&" * 100: {400},
    "/STU3/List?" + "a=b&" * 1000: {400},
    "/STU3/List?_id=" + "a" * 70_000: {414},
}


@pytest.mark.promise("ERR-1")
@pytest.mark.parametrize(("target", "statuses"), TARGETS.items(), ids=[target[:40] for target in TARGETS])
def test_a_request_target_as_no_client_would_send_it(over_socket: Service, target: str, statuses: set[int]) -> None:
    answer = raw_exchange(over_socket.base_url, raw("GET", target))
    assert answer.status in statuses
    if answer.status >= 400:
        outcome_issues(answer.body)


def test_a_body_that_breaks_off_changes_nothing(over_socket: Service) -> None:
    held = over_socket.create()
    whole = f'{{"resourceType":"List","id":"{held.logical_id}","status":"current","mode":"working"}}'.encode()
    message = raw("PUT", f"/STU3/{held.path}", f"If-Match: {held.etag}", f"Content-Type: {FHIR_JSON}", body=whole)
    address = urlsplit(over_socket.base_url)
    with over_socket.unchanged(held.path):
        with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as connection:
            connection.sendall(message[:-5])
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1024) == b""
        assert over_socket.get("metadata").status_code == 200
