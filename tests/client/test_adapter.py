"""A request leaves an exchange once a byte of it was sent, and every exchange ends, whatever the server sends.

Each hostile answer is sent by a real server; the limits come in by the ``Connection``, so that each test is short.
"""

from __future__ import annotations

import contextlib
import gzip
import http.cookiejar
import signal
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import tlskit
from requests.adapters import BaseAdapter
from stranger import After, Script, Stranger, answers, chunked, says, sends_for_ever, stranger

from workbench import BadInput, Client, Connection, Exchange, Verdict
from workbench.client import adapter
from workbench.client.adapter import Attempt, LimitedCookies, LimitExceeded

LIST = {"resourceType": "List", "id": "1", "status": "current", "mode": "working"}
BODY = b'{"resourceType": "List", "id": "1"}'
SHORT = Connection(timeout=(600, 600), deadline=0.3, max_body=2**20)
"""An exchange ends after 0.3 seconds; without the deadline it would last longer than any server here waits."""

WHOLE = Connection(timeout=(5.0, 5.0), max_body=2**20)

HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nETag: W/"b"\r\n'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KB = b"x" * 1024


def updated(server: Stranger, connection: Connection) -> Exchange:
    """The exchange of one update, found in the journal too; the request arrived once."""
    client = Client(server.url, connection=connection)
    exchange = client.update(LIST, if_match='W/"a"')
    client.close()
    assert list(client.journal) == [exchange]
    assert (server.connections, len(server.requests), exchange.sent) == (1, 1, True)
    assert exchange.explain()
    return exchange


# --- A1: an exchange once a byte was sent ---


BROKEN = {
    "a negative chunk size": says(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size of -1": says(CHUNKED + b"-1\r\nhello\r\n0\r\n\r\n"),
    "a chunk size that is no number": says(CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n"),
    "a chunk size beyond all measure": says(CHUNKED + b"f" * 40 + b"\r\nhello"),
    "a chunk size of a megabyte of digits": says(CHUNKED + b"0" * 2**20),
    "no gzip": answers(200, b"gone", 'ETag: W/"b"', "Content-Encoding: gzip"),
    "half a gzip": answers(200, gzip.compress(BODY)[:-9], 'ETag: W/"b"', "Content-Encoding: gzip"),
    "a gzip whose checksum is wrong": answers(
        200, gzip.compress(BODY)[:-8] + bytes(8), 'ETag: W/"b"', "Content-Encoding: gzip"
    ),
    "a coding that was not asked for": answers(200, zlib.compress(BODY), 'ETag: W/"b"', "Content-Encoding: deflate"),
    "two codings": answers(200, gzip.compress(gzip.compress(BODY)), 'ETag: W/"b"', "Content-Encoding: gzip, gzip"),
    "two codings in two lines": answers(
        200, gzip.compress(gzip.compress(BODY)), 'ETag: W/"b"', "Content-Encoding: gzip", "Content-Encoding: gzip"
    ),
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_a_body_that_cannot_be_read_keeps_status_and_headers(script: Script) -> None:
    with stranger(script) as server:
        exchange = updated(server, WHOLE)
    assert (exchange.status, exchange.verdict, str(exchange.etag)) == (200, Verdict.UPDATED, 'W/"b"')
    assert exchange.failure.startswith("The answer's body broke off")
    assert exchange.response is not None
    assert exchange.response.body == b""


NO_HEAD = {
    "too many header fields": says(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n"),
    "a header line without end": says(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000),
    "a status line without end": says(b"HTTP/1.1 200 " + b"x" * 70_000),
    "another protocol": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + CHUNKED),
    "another version": says(b"HTTP/3.0 200 OK\r\n\r\n"),
    "words of ours": says(b"HTTP/1.1 ALERT_CERTIFICATE_REQUIRED Connection refused NameResolutionError\r\n\r\n"),
}


@pytest.mark.parametrize("script", NO_HEAD.values(), ids=NO_HEAD)
def test_a_head_that_cannot_be_read_is_unknown(script: Script) -> None:
    with stranger(script) as server:
        exchange = updated(server, WHOLE)
    assert (exchange.verdict, exchange.response) == (Verdict.UNKNOWN, None)


class Raising(BaseAdapter):
    """An adapter that raises as it sends, or as the body is read."""

    def __init__(self, error: BaseException, *, at: str) -> None:
        super().__init__()
        self.error, self.at = error, at

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        if self.at == "send":
            raise self.error
        answer = requests.Response()
        answer.status_code, answer.raw = 200, self
        return answer

    @property
    def headers(self) -> Any:
        if self.at == "head":
            raise self.error
        return {"ETag": 'W/"b"'}

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield b"{"
        raise self.error

    def close(self) -> None:
        """Nothing is open."""

    release_conn = close
    _original_response = None


ERRORS = [ValueError("of a chunk"), MemoryError(), zlib.error("planted"), RecursionError(), OSError(5, "planted")]


@pytest.mark.parametrize("at", ["send", "head", "body"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_the_transport_leaves_an_exchange(error: Exception, at: str) -> None:
    connection = Connection(adapter=Raising(error, at=at), allow_writes=True)
    client = Client("http://nowhere.invalid/STU3", connection=connection)
    exchange = client.update(LIST, if_match='W/"a"')
    assert list(client.journal) == [exchange]
    assert exchange.verdict is (Verdict.UPDATED if at == "body" else Verdict.UNKNOWN)
    assert "planted" not in exchange.failure


@pytest.mark.parametrize("at", ["send", "head", "body"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__)
def test_an_interruption_is_recorded_and_raised_again(error: BaseException, at: str) -> None:
    connection = Connection(adapter=Raising(error, at=at), allow_writes=True)
    client = Client("http://nowhere.invalid/STU3", connection=connection)
    with pytest.raises(type(error)) as raised:
        client.update(LIST, if_match='W/"a"')
    assert raised.value is error
    (exchange,) = client.journal
    assert exchange.verdict is (Verdict.UPDATED if at == "body" else Verdict.UNKNOWN)
    assert "interrupted" in exchange.failure


def test_ctrl_c_while_an_answer_drips() -> None:
    """Pressed for real, once the first byte of the answer is there."""

    def presses(connection: socket.socket) -> After:
        connection.sendall(b"H")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return sends_for_ever(b"T", b"T", pause=0.01)(connection)

    with stranger(presses) as server:
        client = Client(server.url)
        with pytest.raises(KeyboardInterrupt):
            client.update(LIST, if_match='W/"a"')
        (exchange,) = client.journal
        assert (exchange.verdict, exchange.sent) == (Verdict.UNKNOWN, True)
        assert exchange.failure.endswith("was interrupted.")
        client.close()


def test_ctrl_c_while_an_exchange_is_recorded_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger(answers(200, b"", 'ETag: W/"b"')) as server:
        client = Client(server.url)
        append = client.journal.append

        def pressed_meanwhile(*arguments: Any, **options: Any) -> int:
            signal.raise_signal(signal.SIGINT)
            return append(*arguments, **options)

        monkeypatch.setattr(client.journal, "append", pressed_meanwhile)
        with pytest.raises(KeyboardInterrupt):
            client.update(LIST, if_match='W/"a"')
    assert [each.verdict for each in client.journal] == [Verdict.UPDATED]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- A2: every exchange ends ---


ENDLESS = {
    "100 Continue": (sends_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500), None),
    "103 Early Hints": (sends_for_ever(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 500), None),
    "a body with a length": (sends_for_ever(HEAD + b"Content-Length: 99999999999\r\n\r\n", KB * 64), 200),
    "a body without one": (sends_for_ever(HEAD + b"\r\n", KB * 64), 200),
    "chunks": (sends_for_ever(CHUNKED, (b"400\r\n" + KB + b"\r\n") * 64), 200),
    "one chunk": (sends_for_ever(CHUNKED + b"fffffffffffff\r\n", KB * 64), 200),
    "chunk extensions": (sends_for_ever(CHUNKED, b"1;" + b"x" * 60_000 + b"\r\nx\r\n"), 200),
    "trailers": (sends_for_ever(CHUNKED + b"0\r\n", b"A: b\r\n" * 500), 200),
    "one trailer": (sends_for_ever(CHUNKED + b"0\r\nA: ", KB), 200),
    "gzip of nothing": (
        sends_for_ever(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 500),
        200,
    ),
}


@pytest.mark.parametrize(("script", "status"), ENDLESS.values(), ids=ENDLESS)
def test_an_endless_answer_ends_by_its_size(script: Script, status: int | None) -> None:
    with stranger(script) as server:
        exchange = updated(server, WHOLE)
    assert server.hung_up == 1
    assert exchange.status == status
    assert exchange.verdict is (Verdict.UPDATED if status else Verdict.UNKNOWN)
    words = ("do not end", "more than 1,048,576 bytes (max_body)", "broke off.")
    assert any(each in exchange.failure for each in words)


DRIPPING = {
    "the status line": (sends_for_ever(b"H", b"x", pause=0.02), None),
    "interim answers": (sends_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.02), None),
    "header fields": (sends_for_ever(b"HTTP/1.1 200 OK\r\nA: ", b"x", pause=0.02), None),
    "the body": (sends_for_ever(HEAD + b"Content-Length: 1000\r\n\r\n", b"x", pause=0.02), 200),
    "a body without length": (sends_for_ever(HEAD + b"\r\n", b"x", pause=0.02), 200),
    "a chunk size": (sends_for_ever(CHUNKED, b"0", pause=0.02), 200),
    "trailers": (sends_for_ever(CHUNKED + b"0\r\n", b"A: b\r\n", pause=0.02), 200),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tlskit.Certificates:
    return tlskit.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["plain", "tls"])
def secured(request: pytest.FixtureRequest, certificates: tlskit.Certificates) -> tuple[ssl.SSLContext | None, Any]:
    """The server's TLS, and whom the client then trusts."""
    if request.param == "plain":
        return None, True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server)
    return context, certificates.ca


@pytest.mark.parametrize(("script", "status"), DRIPPING.values(), ids=DRIPPING)
def test_an_answer_that_drips_ends_at_the_deadline(
    secured: tuple[ssl.SSLContext | None, Any], script: Script, status: int | None
) -> None:
    tls, trusted = secured
    connection = Connection(timeout=(600, 600), deadline=0.3, verify=trusted)
    with stranger(script, tls=tls) as server:
        started = time.monotonic()
        exchange = updated(server, connection)
        assert time.monotonic() - started >= 0.3
    assert server.hung_up == 1
    assert (exchange.status, exchange.sent) == (status, True)
    assert exchange.verdict is (Verdict.UPDATED if status else Verdict.UNKNOWN)
    assert exchange.failure


def test_a_silent_server_is_waited_for_no_longer_than_the_deadline() -> None:
    ended = threading.Event()
    waited: list[bool] = []

    def silent_until_the_exchange_ended(_connection: socket.socket) -> After:
        waited.append(ended.wait(60))
        return After.CLOSE

    with stranger(silent_until_the_exchange_ended) as server:
        exchange = updated(server, SHORT)
        ended.set()
    assert waited == [True]
    assert exchange.verdict is Verdict.UNKNOWN


@pytest.fixture
def listening() -> Iterator[Callable[[Callable[[socket.socket], object]], int]]:
    """Serve one connection by a function, below HTTP and TLS; gives the port. The caller must hang up first."""
    threads: list[threading.Thread] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(60)

    def serve(script: Callable[[socket.socket], object]) -> int:
        def run() -> None:
            connection, _ = server.accept()
            connection.settimeout(60)
            with connection, contextlib.suppress(ConnectionError):
                script(connection)
                while connection.recv(65536):  # a time-out fails the test: the caller should have hung up
                    pass

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return int(server.getsockname()[1])

    yield serve
    for thread in threads:
        thread.join()
    server.close()


def says_nothing(_connection: socket.socket) -> None:
    """Only read what comes."""


def drips_a_tls_record(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x40\x00")
    for _ in range(3000):
        connection.sendall(b"\x02")
        threading.Event().wait(0.02)


@pytest.mark.parametrize("script", [says_nothing, drips_a_tls_record])
def test_a_handshake_that_does_not_end_has_sent_nothing(listening: Any, script: Any) -> None:
    client = Client(
        f"https://127.0.0.1:{listening(script)}/STU3", connection=Connection(timeout=(600, 600), deadline=0.3)
    )
    exchange = client.update(LIST, if_match='W/"a"')
    client.close()
    assert (exchange.verdict, exchange.sent) == (Verdict.FAILED, False)


def test_a_host_with_many_silent_addresses_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address has its time to connect; all of them together have the exchange's."""
    connect = socket.socket.connect
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # fill the queue, so that further connections wait
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", listening.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found] * 50)
        tried: list[Any] = []
        monkeypatch.setattr(
            socket.socket, "connect", lambda sock, address: tried.append(address) or connect(sock, address)
        )
        client = Client("http://localhost/STU3", connection=Connection(timeout=(0.2, 5), deadline=0.5))
        exchange = client.update(LIST, if_match='W/"a"')
        client.close()
    assert 1 <= len(tried) <= 3
    assert (exchange.verdict, exchange.sent) == (Verdict.FAILED, False)


def test_a_proxy_that_drips_its_answer_has_sent_nothing(listening: Any) -> None:
    def drips(connection: socket.socket) -> None:
        connection.recv(65536)
        for _ in range(3000):
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
            threading.Event().wait(0.02)

    proxy = f"http://127.0.0.1:{listening(drips)}"
    connection = Connection(timeout=(600, 600), deadline=0.3, proxy=proxy, allow_writes=True)
    client = Client("https://spine.example/STU3", connection=connection)
    exchange = client.update(LIST, if_match='W/"a"')
    client.close()
    assert (exchange.verdict, exchange.sent) == (Verdict.FAILED, False)


def test_a_server_that_does_not_take_the_request_is_unknown(listening: Any) -> None:
    """A part of it may have arrived, and who knows what that server makes of a part."""
    over = threading.Event()

    def takes_nothing(connection: socket.socket) -> None:
        assert over.wait(60)

    base_url = f"http://127.0.0.1:{listening(takes_nothing)}/STU3"
    client = Client(base_url, connection=Connection(timeout=(600, 600), deadline=0.3))
    exchange = client.update(LIST | {"title": "x" * 2**24}, if_match='W/"a"')
    client.close()
    over.set()
    assert (exchange.verdict, exchange.sent) == (Verdict.UNKNOWN, True)


def test_each_exchange_has_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a connection is made again by the same object: three exchanges last longer than one may."""
    now = [0.0]
    monkeypatch.setattr(adapter, "Attempt", lambda seconds=0.0: Attempt(seconds, lambda: now[0]))

    def takes_50_seconds(connection: socket.socket) -> After:
        now[0] += 50
        connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        return After.CLOSE

    with stranger(takes_50_seconds) as server:
        client = Client(server.url, connection=Connection(deadline=60))
        assert [client.read("List", "1").status for _ in range(3)] == [200] * 3
        client.close()
    assert (server.connections, now) == (3, [150])


def test_interim_answers_are_skipped() -> None:
    hints = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    )
    with stranger(says(hints + HEAD + b"Content-Length: 0\r\n\r\n")) as server:
        assert updated(server, WHOLE).verdict is Verdict.UPDATED


# --- how large an answer may be ---


BOMB = gzip.compress(bytes(2**27))
"""128 MiB of zeros in 130 KB."""


@pytest.mark.parametrize("how", ["length", "chunks"])
def test_a_small_body_that_unpacks_to_a_huge_one_takes_no_memory(how: str) -> None:
    fields = b"Content-Encoding: gzip\r\n"
    head = HEAD.replace(b"\r\n", b"\r\n" + fields, 1)
    sent = {
        "length": head + b"Content-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked([BOMB]),
    }
    with stranger(says(sent[how])) as server:
        tracemalloc.start()
        try:
            exchange = updated(server, WHOLE)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * 2**20
    assert exchange.failure == "The answer's body broke off: it has more than 1,048,576 bytes (max_body)."


@pytest.mark.parametrize("size", [2**20 - 1, 2**20, 2**20 + 1])
@pytest.mark.parametrize("coding", ["", "gzip", "GZip", "x-gzip", "identity"])
def test_the_limit_is_exact(size: int, coding: str) -> None:
    body = b"x" * size
    sent = gzip.compress(body) if "zip" in coding.lower() else body
    fields = [f"Content-Encoding: {coding}"] if coding else []
    with stranger(answers(200, sent, 'ETag: W/"b"', *fields)) as server:
        exchange = updated(server, WHOLE)
    assert exchange.response is not None
    assert exchange.response.body == (body if size <= 2**20 else b"")
    assert bool(exchange.failure) is (size > 2**20)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_gzip_in_several_members_and_small_chunks(members: int) -> None:
    packed = gzip.compress(BODY) * members
    parts = [packed[place : place + 3] for place in range(0, len(packed), 3)]
    head = HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    with stranger(says(head + chunked(parts))) as server:
        exchange = updated(server, WHOLE)
    assert exchange.response is not None
    assert (exchange.response.body, exchange.failure) == (BODY * members, "")


def test_a_body_in_many_small_chunks_is_read() -> None:
    """The lines of an honest answer may outgrow any fixed limit: they grow with the body."""
    parts = [b"x" * 16] * 2**15
    with stranger(says(CHUNKED + chunked(parts))) as server:
        exchange = updated(server, WHOLE)
    assert exchange.failure == ""
    assert exchange.response is not None
    assert len(exchange.response.body) == 2**19


@pytest.mark.parametrize("script", [answers(200, KB * 2048), BROKEN["a negative chunk size"]])
def test_after_a_limit_the_next_request_has_its_own_connection(script: Script) -> None:
    def keeps_on(connection: socket.socket) -> After:
        script(connection)
        return After.NEXT

    with stranger(keeps_on, answers(404)) as server:
        client = Client(server.url, connection=WHOLE)
        assert client.read("List", "1").failure
        assert client.read("List", "1").status == 404
        client.close()
    assert server.connections == 2


def test_a_page_that_breaks_off_says_nothing_about_a_write() -> None:
    """No ETag, no body: a sign-in page may have answered."""
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 900\r\n\r\n<html>"
    with stranger(says(page)) as server:
        assert updated(server, WHOLE).verdict is Verdict.UNKNOWN


# --- the limits themselves ---


def test_no_wait_lasts_beyond_the_deadline() -> None:
    now = [100.0]
    attempt = Attempt(2.0, lambda: now[0])
    assert (attempt.wait(5), attempt.wait(1), attempt.wait(None)) == (2, 1, 2)
    now[0] = 102.0
    with pytest.raises(LimitExceeded, match="did not end within 2 s"):
        attempt.wait(5)


@pytest.mark.parametrize(
    "setting",
    [
        *({"deadline": value} for value in (0, -1, float("inf"), float("nan"), True)),
        *({"max_body": value} for value in (0, -1, 1.5, True)),
        *({"timeout": value} for value in (5, (5,), (5, None), (0, 5), [5, 5], "55")),
        *({"allow_writes": value} for value in ("no", 1, None)),
    ],
)
def test_a_limit_that_cannot_be_used_is_refused(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(BadInput, match=name):
        Connection(**setting)


# --- cookies ---


def cookies(client: Client) -> list[http.cookiejar.Cookie]:
    return list(client._session.cookies)


def test_cookies_are_bounded() -> None:
    numbers = iter(range(10_000))

    def gives(connection: socket.socket) -> After:
        fields = [f"Set-Cookie: c{next(numbers)}=v; Path=/" for _ in range(90)]
        return answers(404, b"", *fields, after=After.NEXT)(connection)

    with stranger(gives) as server:
        client = Client(server.url)
        for _ in range(5):
            client.read("List", "1")
        assert len(cookies(client)) == 50
        client.close()
    assert server.requests[-1].count(b"=v") == 50


def test_a_cookie_that_is_kept_can_change_and_a_huge_one_is_not_kept() -> None:
    first = [f"Set-Cookie: c{number}=old; Path=/" for number in range(60)] + [f"Set-Cookie: huge={'x' * 5000}; Path=/"]
    second = ["Set-Cookie: c7=new; Path=/", "Set-Cookie: c99=late; Path=/"]
    with stranger(answers(404, b"", *first), answers(404, b"", *second)) as server:
        client = Client(server.url)
        client.read("List", "1")
        client.read("List", "1")
        kept = {each.name: each.value for each in cookies(client)}
        client.close()
    assert (len(kept), kept["c7"], "c99" in kept, "huge" in kept) == (50, "new", False, False)
    assert "new" not in repr(client._session.cookies)
    assert isinstance(client._session.cookies, LimitedCookies)
