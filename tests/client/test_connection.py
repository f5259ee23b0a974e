"""The connection: which hosts may be written to, which addresses are refused, and that no credential is ever shown.

Owns: the loopback table and the write guard, the checks of base URL and TLS, and one hunt for planted secrets
through everything the package can be asked to show. The server it talks to is real, and keeps what arrived, so
that "not shown" is never "not sent".
"""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from requests.adapters import HTTPAdapter
from stranger import answers, stranger

from workbench import (
    BadInput,
    Client,
    Connection,
    Exchange,
    UnwantedVerdict,
    Verdict,
    WorkbenchError,
    WriteNotAllowed,
    record,
)
from workbench.client.connection import check_base_url
from workbench.exchange.hosts import is_loopback

LOGICAL_ID = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
HELD = {"resourceType": "List", "id": LOGICAL_ID, "status": "current", "mode": "working"}

COOKIE = "planted-cookie-4f1d"
CHALLENGE = "planted-challenge-77ab"


class _Handler(BaseHTTPRequestHandler):
    """Answers every request 200, sets a cookie, and keeps the header fields that arrived."""

    def _answer(self) -> None:
        self.server.heard.append((self.command, dict(self.headers)))  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(409 if self.command == "DELETE" else 200)
        self.send_header("Set-Cookie", f"session={COOKIE}; Path=/; HttpOnly")
        self.send_header("WWW-Authenticate", f'Negotiate {CHALLENGE}, Bearer realm="a realm"')
        self.send_header("ETag", 'W/"a-1"')
        self.send_header("Content-Type", "application/fhir+json")
        body = json.dumps(HELD).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server on every address of this machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _Handler)
        self.heard: list[tuple[str, dict[str, str]]] = []

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}/STU3"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


# --- loopback, and the write guard ---


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("LocalHost:80", True),
        ("[::1]", True),
        ("[::1]:8080", True),
        ("[0:0:0:0:0:0:0:1]", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("10.0.0.1", False),
        ("192.168.1.1", False),
        ("128.0.0.1", False),
        ("localhost.example", False),
        ("localhost.", False),
        ("127.0.0.1.example", False),
        ("127.1", False),
        ("2130706433", False),
        ("0x7f000001", False),
        ("example.nhs.uk", False),
        ("[2001:db8::1]", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    base_url = check_base_url(f"http://{host}/STU3")
    assert is_loopback(base_url) is loopback
    assert Client(base_url).is_local is loopback


TWO_WAYS_TO_READ = [
    "http://example.nhs.uk\\[::1]/STU3",
    "http://example.nhs.uk\\@127.0.0.1/STU3",
    "http://127.0.0.1\\@example.nhs.uk/STU3",
    "http://example.nhs.uk%2f[::1]/STU3",
    "http://[::1]example.nhs.uk/STU3",
    "http://[::1].example.nhs.uk/STU3",
    "http://example.nhs.uk;[::1]/STU3",
    "http://exam\nple.nhs.uk/STU3",
    "http://127.0.0.1\t.example.nhs.uk/STU3",
    " http://127.0.0.1/STU3",
    "http://127.0.0.1 /STU3",
]
"""``urlsplit`` reads one host in these, and the library that connects may read another."""


@pytest.mark.parametrize("base_url", TWO_WAYS_TO_READ)
def test_a_base_url_that_can_be_read_two_ways_is_refused(base_url: str) -> None:
    with pytest.raises(BadInput):
        Client(base_url)


WRITES: dict[str, Callable[[Client], Exchange]] = {
    "update": lambda c: c.update(HELD, if_match='W/"a-1"'),
    "create": lambda c: c.create({"resourceType": "List"}),
    "delete": lambda c: c.delete("List", LOGICAL_ID, if_match='W/"a-1"'),
    "PATCH": lambda c: c.send("PATCH", f"List/{LOGICAL_ID}", body="[]"),
    "an unknown method": lambda c: c.send("FROBNICATE", "List"),
    "put in small letters": lambda c: c.send("put", f"List/{LOGICAL_ID}"),
}

READS: dict[str, Callable[[Client], Exchange]] = {
    "read": lambda c: c.read("List", LOGICAL_ID),
    "search": lambda c: c.search("List"),
    "capabilities": lambda c: c.capabilities(),
    "OPTIONS": lambda c: c.send("OPTIONS", ""),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_another_host_must_be_allowed(server: Server, write: str) -> None:
    client = Client(server.url("0.0.0.0"))  # reaches this machine, but by no loopback address
    with pytest.raises(WriteNotAllowed) as refused:
        WRITES[write](client)
    assert str(refused.value) == (
        "0.0.0.0 is not this machine, so nothing was sent; to write there, allow it: "
        "Connection(allow_writes=True), allow_writes = true in a profile, --allow-writes on the command line."
    )
    assert (len(client.journal), server.heard) == (0, [])


@pytest.mark.parametrize("write", [name for name in WRITES if name != "an unknown method"])
def test_an_allowed_write_is_sent(server: Server, write: str) -> None:
    client = Client(server.url("0.0.0.0"), connection=Connection(allow_writes=True))
    assert WRITES[write](client).sent
    assert len(server.heard) == len(client.journal) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_write_to_loopback_is_allowed(server: Server, host: str) -> None:
    assert WRITES["update"](Client(server.url(host))).verdict is Verdict.UPDATED


@pytest.mark.parametrize("read", READS)
def test_a_read_is_always_allowed(server: Server, read: str) -> None:
    assert READS[read](Client(server.url("0.0.0.0"))).verdict is Verdict.READ


# --- a proxy, and what is called embedded ---

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
PATIENT = b'{"resourceType": "Patient", "id": "1", "name": [{"family": "Planted"}]}'


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("write", WRITES)
def test_through_a_proxy_loopback_is_the_proxys_machine(host: str, write: str) -> None:
    with stranger(answers(200)) as proxy:
        connection = Connection(proxy=f"http://127.0.0.1:{proxy.port}")
        client = Client(f"http://{host}/STU3", connection=connection)
        with pytest.raises(WriteNotAllowed, match=r"Through a proxy, .* is not this machine, so nothing was sent"):
            WRITES[write](client)
        assert (client.is_local, client.may_write) == (False, False)
    assert (proxy.requests, len(client.journal)) == ([], 0)


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_comes_through_a_proxy_is_redacted(host: str) -> None:
    with stranger(answers(200, PATIENT, "Content-Type: application/fhir+json")) as proxy:
        connection = Connection(proxy=f"http://127.0.0.1:{proxy.port}", allow_writes=True)
        client = Client(f"http://{host}/STU3", connection=connection)
        exchange = client.read("Patient", "1")
    assert exchange.resource["name"] == [{"family": "Planted"}]
    kept = client.journal[0].response
    assert kept is not None
    assert b"Planted" not in kept.body


def test_what_is_recorded_through_a_proxy_is_redacted(tmp_path: Path) -> None:
    with stranger(answers(200, PATIENT, "Content-Type: application/fhir+json")) as proxy:
        through = Client("http://localhost/STU3", connection=Connection(proxy=f"http://127.0.0.1:{proxy.port}"))
        with record(tmp_path / "tape.json", through, mode="record") as session:
            session.client().read("Patient", "1")
    assert "Planted" not in (tmp_path / "tape.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("base_url", "proxy"),
    [
        ("http://spine.example/STU3", None),
        ("http://0.0.0.0/STU3", None),
        ("http://10.0.0.1/STU3", None),
        ("http://localhost/STU3", "http://127.0.0.1:9"),
        ("http://nowhere.invalid/STU3", "http://127.0.0.1:9"),
    ],
)
def test_a_live_host_is_not_embedded(base_url: str, proxy: str | None) -> None:
    with pytest.raises(BadInput, match="so it is not an embedded endpoint"):
        Client(base_url, embedded=True, connection=Connection(proxy=proxy))


# --- base URLs, TLS ---


@pytest.mark.parametrize(
    ("base_url", "kept"),
    [
        ("http://127.0.0.1:8080/STU3", "http://127.0.0.1:8080/STU3"),
        ("http://127.0.0.1:8080/STU3///", "http://127.0.0.1:8080/STU3"),
        ("https://example.nhs.uk", "https://example.nhs.uk"),
        ("HTTPS://Example.nhs.uk/fhir/STU3/", "HTTPS://Example.nhs.uk/fhir/STU3"),
    ],
)
def test_a_base_url_is_kept_but_for_the_slash_at_its_end(base_url: str, kept: str) -> None:
    assert check_base_url(base_url) == kept


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("", "is not a base URL"),
        ("127.0.0.1:8080", "is not a base URL"),
        ("ftp://127.0.0.1/STU3", "is not a base URL"),
        ("file:///etc/passwd", "is not a base URL"),
        ("http://", "is not a base URL"),
        ("http:///STU3", "is not a base URL"),
        ("http://127.0.0.1:eighty/STU3", "is not a base URL"),
        ("http://127.0.0.1:99999/STU3", "is not a base URL"),
        ("http://[::1/STU3", "is not a base URL"),
        ("http://127.0.0.1/STU3?apikey=planted", "must end before its question mark"),
        ("http://127.0.0.1/STU3#part", "must end before"),
        ("http://me@127.0.0.1/STU3", "user name or a password"),
        ("http://me:planted@127.0.0.1/STU3", "user name or a password"),
        ("http://:planted@127.0.0.1/STU3", "user name or a password"),
        ("ftp://me:planted@127.0.0.1/STU3", "password|base URL"),
        ("http://me:planted@[::1/STU3", "password|URL"),
        ("http://me:planted@127.0.0.1:99999/STU3", "password|URL"),
    ],
)
def test_an_unusable_base_url_is_refused_in_a_sentence_without_its_password(base_url: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        Client(base_url)
    assert "planted" not in "".join(traceback.format_exception(refused.value))
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("verify", [False, None, "", 0])
def test_tls_cannot_be_left_unverified(verify: Any) -> None:
    """``requests`` verifies nothing for any of these; ``None`` is what an unset variable gives."""
    with pytest.raises(BadInput, match="TLS is always verified"):
        Connection(verify=verify)


def test_a_connection_cannot_be_changed() -> None:
    headers = {"X-ASID": "1"}
    connection = Connection(headers=headers)
    headers["X-Other"] = "2"
    assert dict(connection.headers) == {"X-ASID": "1"}
    with pytest.raises(TypeError):
        connection.headers["X-Other"] = "2"  # type: ignore[index]
    with pytest.raises(AttributeError):
        connection.allow_writes = True  # type: ignore[misc]


def test_a_session_tries_once_and_takes_nothing_from_the_environment() -> None:
    session = Connection().session()
    adapters = [session.get_adapter(url) for url in ("http://h/", "https://h/", "HTTP://h/")]
    assert session.trust_env is False
    assert [adapter.max_retries.total for adapter in adapters if isinstance(adapter, HTTPAdapter)] == [0, 0, 0]


# --- secrets ---

SECRETS = {
    "Authorization": "Bearer planted-token-1c2b",
    "X-Custom-Pass": "planted-custom-93fe",
    "fromASID": "planted-asid-200000",
}
PER_REQUEST = {
    "Proxy-Authorization": "planted-proxy-5510",
    "X-Api-Key": "planted-api-key-8841",
    "APIKEY": "planted-apikey-0042",
}
ALL = [*SECRETS.values(), *PER_REQUEST.values(), COOKIE, CHALLENGE]


def everything_shown(client: Client, folder: Path) -> dict[str, str]:
    """Everything the package shows of a client and what it did, by name."""
    saved = folder / "journal.jsonl"
    client.journal.save(saved)
    shown = {
        "client": f"{client!r} {client}",
        "connection": f"{client.connection!r} {client.connection}",
        "journal": repr(client.journal),
        "saved": saved.read_text(encoding="utf-8"),
        "transitions": client.journal.transitions().to_csv(),
        "conflicts": client.journal.conflicts().to_csv(),
        "frame": client.journal.to_frame().to_csv(),
        "preview": repr(client.preview_update(HELD, if_match=None)),
    }
    for number, exchange in enumerate(client.journal):
        try:
            exchange.raise_for_verdict(Verdict.NOT_MODIFIED)
        except UnwantedVerdict as error:
            shown[f"{number} raised"] = "".join(traceback.format_exception(error))
        shown |= {
            f"{number} repr": f"{exchange!r} {exchange.request!r} {exchange.response!r}",
            f"{number} http": exchange.as_http() + exchange.as_http(base=client.base_url, indent=2),
            f"{number} curl": exchange.as_curl(),
            f"{number} explain": exchange.explain(),
        }
    return shown


def found_in(shown: dict[str, str]) -> list[tuple[str, str]]:
    # The words alone, too: a secret cut in two by quoting is still a secret.
    needles = {secret.removeprefix("Bearer ") for secret in ALL}
    return [(name, needle) for name, text in shown.items() for needle in needles if needle in text]


def test_no_credential_is_ever_shown(server: Server, tmp_path: Path) -> None:
    client = Client(server.url(), connection=Connection(headers=SECRETS))
    client.read("List", LOGICAL_ID)
    client.update(HELD)
    client.create({"resourceType": "List"})
    client.delete("List", LOGICAL_ID)
    client.search("List", _count=1)
    client.capabilities()
    sent = client.send("GET", "List", headers=PER_REQUEST | {"Cookie": f"mine={COOKIE}"})
    assert found_in(everything_shown(client, tmp_path)) == []

    # And yet all of it went over the wire, and the records say that something was there.
    for secret in [*SECRETS.values(), *PER_REQUEST.values(), f"session={COOKIE}", f"mine={COOKIE}"]:
        assert any(secret in fields.values() for _, fields in server.heard), secret
    assert {sent.request.headers[name] for name in (*SECRETS, *PER_REQUEST, "Cookie")} == {"***"}
    assert sent.response is not None
    assert sent.response.headers["Set-Cookie"] == "***"
    assert sent.response.headers["WWW-Authenticate"] == 'Negotiate ***, Bearer realm="a realm"'


def test_a_credential_is_not_shown_when_the_exchange_fails(tmp_path: Path) -> None:
    client = Client("http://nosuch.invalid/STU3", connection=Connection(headers=SECRETS, allow_writes=True))
    exchange = client.update(HELD, if_match=None)
    client.send("PUT", f"List/{LOGICAL_ID}", headers=PER_REQUEST)
    assert exchange.verdict is Verdict.FAILED
    assert found_in(everything_shown(client, tmp_path)) == []


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("Bearer planted-token-1c2b\n", id="newline at its end, as read from a file"),
        pytest.param(" planted-token-1c2b", id="space at its start"),
        pytest.param("Bearer planted-token-1c2b…", id="beyond Latin-1"),
        pytest.param("Bearer planted\r\nX: planted-token-1c2b", id="a second field"),
        pytest.param(b"planted-token-1c2b\n", id="bytes"),
        pytest.param(["planted-token-1c2b"], id="no text"),
    ],
)
@pytest.mark.parametrize("given", ["connection", "request"])
def test_a_credential_that_cannot_be_sent_is_not_shown(server: Server, given: str, secret: Any) -> None:
    headers: dict[str, Any] = {"Authorization": secret}

    def try_it() -> Exchange:
        if given == "request":
            return Client(server.url()).send("GET", "List/1", headers=headers)
        return Client(server.url(), connection=Connection(headers=headers)).read("List", "1")

    with pytest.raises(WorkbenchError) as refused:
        try_it()
    shown = "".join(traceback.format_exception(refused.value))
    assert "planted-token" not in shown
    assert "Authorization" in str(refused.value)
    assert server.heard == []


def test_a_write_that_is_not_allowed_shows_no_credential(server: Server) -> None:
    client = Client(server.url("0.0.0.0"), connection=Connection(headers=SECRETS))
    with pytest.raises(WriteNotAllowed) as refused:
        client.update(HELD, if_match=None)
    assert found_in({"raised": "".join(traceback.format_exception(refused.value))}) == []
