"""A distinct secret in every place where one can be, and a search of everything that can be shown: none is found.

The endpoint here is the worst there is: it repeats whatever it is sent, in header fields, links and error texts.
It keeps what arrived, so that "not found" is never "not sent". The same server is the proxy.
"""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ipywidgets
import jwt
import nbformat
import pytest
import tlskit
from loopback import serving
from nbclient import NotebookClient

from workbench import BadInput, Client, Connection, Exchange, Journal, UnwantedVerdict, Verdict, Workbench, connect
from workbench.client.connection import check_base_url

LIST = {"resourceType": "List", "id": "1", "status": "current", "mode": "working"}

SECRETS = {
    "bearer token": "planted-bearer-1c2b9d",
    "header that only the profile names": "planted-header-93fe01",
    "proxy password": "planted/proxy?5510aa",
    "cookie": "planted-cookie-4f1d77",
    "Set-Cookie": "planted-setcookie-8e20",
    "query parameter": "planted query 77ab/12",
    "basic password": "planted-basic-6af3:x",
    "client key passphrase": tlskit.PASSPHRASE,
    "JWT claim": "planted-claim-0e5b44",
}

_BASIC = base64.b64encode(f"me:{SECRETS['basic password']}".encode()).decode()
_PROXY = base64.b64encode(f"me:{SECRETS['proxy password']}".encode()).decode()

PROFILE = """
[loud]
base_url = "http://spine.example/STU3"
allow_writes = true
token = "env:PLANTED_TOKEN"
proxy = "http://127.0.0.1:{port}"
proxy_user = "me"
proxy_password = "env:PLANTED_PROXY"

[loud.headers]
X-Only-Here = "env:PLANTED_HEADER"
Cookie = "env:PLANTED_COOKIE"

[basic]
base_url = "http://127.0.0.1:{port}/STU3"

[basic.headers]
Authorization = "env:PLANTED_BASIC"
"""


class _Loud(BaseHTTPRequestHandler):
    """Repeats everything it hears."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        heard = {name: value for name, value in self.headers.items() if name not in ("Host", "Accept")}
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.heard.append(f"{self.path} {heard}")  # type: ignore[attr-defined]
        refused = self.command in ("PUT", "DELETE") or "metadata" in self.path
        diagnostics = f"I do not like {self.path} nor {heard}"
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "invalid", "diagnostics": diagnostics}],
        }
        link = {"relation": "self", "url": f"http://spine.example{self.path}"}
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": [link]}
        body = json.dumps(outcome if refused else bundle if "?" in self.path else LIST).encode()
        self.send_response(409 if refused else 201 if self.command == "POST" else 200)
        self.send_header("Set-Cookie", f"session={SECRETS['Set-Cookie']}; Path=/; HttpOnly")
        self.send_header(
            "Location", f"http://elsewhere.example/List/1?access_token={quote(SECRETS['query parameter'])}"
        )
        self.send_header("Warning", f'199 - "you sent {" ".join(heard.values())}"')
        self.send_header("ETag", 'W/"a-1"')
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Loud(ThreadingHTTPServer):
    daemon_threads = True
    heard: list[str]


@pytest.fixture
def loud() -> Iterator[Loud]:
    with serving(Loud(("127.0.0.1", 0), _Loud)) as server:
        server.heard = []
        yield server


@pytest.fixture
def profiles(loud: Loud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two profiles of the loud endpoint, their secrets in the environment."""
    monkeypatch.setenv("PLANTED_TOKEN", SECRETS["bearer token"])
    monkeypatch.setenv("PLANTED_PROXY", SECRETS["proxy password"])
    monkeypatch.setenv("PLANTED_HEADER", SECRETS["header that only the profile names"])
    monkeypatch.setenv("PLANTED_COOKIE", f"mine={SECRETS['cookie']}")
    monkeypatch.setenv("PLANTED_BASIC", f"Basic {_BASIC}")
    path = tmp_path / "profiles.toml"
    path.write_text(PROFILE.format(port=loud.server_port), encoding="utf-8")
    return path


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that anybody logs, at the lowest level."""
    caplog.set_level(logging.NOTSET)
    for name in ("", "urllib3", "urllib3.connectionpool", "requests", "workbench", "truststore", "keyring", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def needles() -> dict[str, str]:
    """Each secret in every form in which it might be written."""
    found = {}
    for name, secret in SECRETS.items():
        found |= {name: secret, f"{name}, quoted": quote(secret, safe=""), f"{name}, quoted but slashes": quote(secret)}
        found[f"{name}, as base64"] = base64.b64encode(secret.encode()).decode().rstrip("=")
    return found | {"Basic": _BASIC, "Proxy-Authorization": _PROXY}


def found_in(shown: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, place) for place, text in shown.items() for name, each in needles().items() if each in text]


def use(client: Client) -> None:
    """One of each interaction, with a credential in the query of some."""
    query = f"api_key={quote(SECRETS['query parameter'], safe='')}"
    client.read("List", "1")
    client.update(LIST, if_match='W/"a-1"')
    client.create({"resourceType": "List"})
    client.delete("List", "1", if_match='W/"a-1"')
    client.search("List", _count=1, api_key=SECRETS["query parameter"])
    client.send("GET", f"List?{query}")
    client.send("DELETE", f"List/1?{query}&_format=json")
    client.capabilities()


def everything_shown(client: Client, folder: Path) -> dict[str, str]:
    """Whatever the package can be asked to show of a client and of what it did, by name."""
    journal = client.journal
    for suffix in ("har", "csv", "jsonl", "svg"):
        journal.export(folder / f"journal.{suffix}", overwrite=True)
    shown = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("journal.*")}
    again = Journal.load(folder / "journal.jsonl")
    for name, each in (("journal", journal), ("loaded", again)):
        frames = (each.transitions(), each.conflicts(), each.to_frame())
        shown |= {f"{name} frame {n}": frame.to_csv() + frame.to_html() for n, frame in enumerate(frames)}
        pictures = (each.diagram(), each.timeline())
        shown |= {f"{name} picture {n}": repr(vars_of(picture)) for n, picture in enumerate(pictures)}
        shown[f"{name} HAR"] = json.dumps(each.to_har(), default=str, ensure_ascii=False)
    shown["reprs"] = f"{client!r} {client.connection!r} {client.connection} {journal!r} {client.__dict__.keys()}"
    shown["preview"] = repr(client.preview_update(LIST, if_match=None))
    for number, exchange in enumerate(journal):
        shown |= {f"{number} {name}": text for name, text in of_exchange(exchange, client).items()}
    return shown


def vars_of(picture: Any) -> list[str]:
    return [str(getattr(picture, name)) for name in dir(picture) if name in ("svg", "mermaid", "text")] + [
        repr(picture)
    ]


def of_exchange(exchange: Exchange, client: Client) -> dict[str, str]:
    try:
        exchange.raise_for_verdict(Verdict.NOT_MODIFIED)
    except UnwantedVerdict as error:
        raised = "".join(traceback.format_exception(error))
    return {
        "raised": raised,
        "repr": f"{exchange!r} {exchange.request!r} {exchange.response!r} {exchange.outcome!r} {exchange.resource!r}",
        "http": exchange.as_http() + exchange.as_http(base=client.base_url, indent=2),
        "curl": exchange.as_curl(),
        "explain": exchange.explain(),
    }


def test_the_loud_endpoint_and_its_proxy(
    loud: Loud, profiles: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    client = connect("loud", profiles=profiles)
    use(client)
    bench = Workbench(client, "List", "1")
    bench.load()
    bench.send()
    bench.search()
    for tab in range(4):
        bench.tabs.selected_index = tab
    shown = everything_shown(client, tmp_path)
    shown |= {"widget": widget_texts(bench), "logs": logged.text + repr([vars(record) for record in logged.records])}
    bench.close()
    assert found_in(shown) == []

    sent = " ".join(loud.heard)
    names = ("bearer token", "header that only the profile names", "cookie")
    assert [name for name in names if SECRETS[name] not in sent] == [], "it was sent all the same"
    assert quote(SECRETS["query parameter"], safe="") in sent
    assert _PROXY in sent
    assert "urllib3.connectionpool" in {record.name for record in logged.records}, "the log was listened to"
    assert "api_key=***" in logged.text


def widget_texts(bench: Workbench) -> str:
    """The state of a widget and of all within it, and what private ones send beside it, as the page is sent it."""
    states, waiting, seen = [], [bench], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        states.append({name: getattr(each, name) for name in each.keys})
        if hasattr(each, "_content"):
            states.append(each._content())
        for value in states[-1].values():
            waiting += [part for part in (value if isinstance(value, list | tuple) else [value]) if is_widget(part)]
    assert len(states) > 30
    return repr(states) + json.dumps([dict(row) for row in bench.table.rows])


def is_widget(value: object) -> bool:
    return isinstance(value, ipywidgets.Widget)


def test_basic_credentials(loud: Loud, profiles: Path, tmp_path: Path, logged: pytest.LogCaptureFixture) -> None:
    client = connect("basic", profiles=profiles)
    use(client)
    assert found_in(everything_shown(client, tmp_path) | {"logs": logged.text}) == []
    sent = " ".join(loud.heard)
    assert _BASIC in sent
    assert SECRETS["Set-Cookie"] in sent, "the cookie was taken and sent back"


REFUSED = ["http://me:{}@127.0.0.1/STU3", "http://{}@127.0.0.1/STU3", "ftp://me:{}@h:99999", "http://h/STU3?token={}"]


@pytest.mark.parametrize("url", REFUSED)
def test_basic_credentials_in_the_url_are_refused_unseen(url: str, logged: pytest.LogCaptureFixture) -> None:
    whole = url.format(quote(SECRETS["basic password"], safe=""))
    for attempt in (check_base_url, Client, connect):
        with pytest.raises(BadInput) as refused:
            attempt(whole)
        told = "".join(traceback.format_exception(refused.value))
        assert found_in({"raised": told, "logs": logged.text}) == []


def test_a_proxy_that_is_not_there_is_told_without_its_password(tmp_path: Path, logged: Any) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Loud) as closed:
        port = closed.server_port
    for base_url in ("http://spine.example/STU3", "https://spine.example/STU3"):
        auth = ("me", lambda: SECRETS["proxy password"])
        client = Client(base_url, connection=Connection(proxy=f"http://127.0.0.1:{port}", proxy_auth=auth))
        client.read("List", "1")
        assert client.journal[0].failure.startswith("The proxy on the way to spine.example")
        assert found_in(everything_shown(client, tmp_path) | {"logs": logged.text}) == []


STRICT = """
[strict]
base_url = "{base_url}"
ca = "ca.pem"
cert = "client.pem"
key = "locked.key"
passphrase = "env:PLANTED_PASSPHRASE"

[strict.spine]
from_asid = "200000000115"
to_asid = "{to_asid}"
issuer = "https://client.example"
user = "{user}"
"""

NOTEBOOK = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
import workbench as wb
client = wb.connect("strict", profiles=os.environ["PLANTED_PROFILES"])
read = client.read("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
print(client, client.connection, client.connection.identity, client.connection.passphrase, read)
print(read.as_http(), read.as_curl(), read.explain())
---
client.journal
---
client.journal.to_frame()
---
client.journal.diagram()
---
bench = wb.Workbench(client, "List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
bench.load()
bench
---
client.send("GET", "List?api_key=" + os.environ["PLANTED_QUERY"]).as_http()
---
read.raise_for_verdict(wb.Verdict.STALE)
---
wb.connect(os.environ["PLANTED_URL"])
"""


@pytest.mark.parametrize("to_asid", ["999999999999", "200000000999"], ids=["answered", "refused"])
def test_passphrase_and_claims_in_an_executed_notebook(
    to_asid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    certificates = tlskit.make(tmp_path)
    monkeypatch.setenv("PLANTED_PASSPHRASE", tlskit.PASSPHRASE)
    monkeypatch.setenv("PLANTED_URL", f"https://me:{SECRETS['basic password']}@spine.example/STU3")
    monkeypatch.setenv("PLANTED_QUERY", quote(SECRETS["query parameter"]))
    monkeypatch.setenv("PLANTED_PROFILES", str(tmp_path / "profiles.toml"))
    with tlskit.strict_endpoint(certificates) as base_url:
        profile = STRICT.format(base_url=base_url, to_asid=to_asid, user=SECRETS["JWT claim"])
        (tmp_path / "profiles.toml").write_text(profile, encoding="utf-8")
        client = connect("strict", profiles=tmp_path / "profiles.toml")
        minted = client.connection.new_fields("read", "List")["Authorization"].removeprefix("Bearer ")
        assert jwt.decode(minted, options={"verify_signature": False})["sub"] == SECRETS["JWT claim"]
        use(client)
        shown = everything_shown(client, tmp_path) | {"logs": logged.text}
        cells = [nbformat.v4.new_code_cell(each.strip()) for each in NOTEBOOK.split("---")]
        notebook = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(notebook, timeout=120, allow_errors=True, store_widget_state=True).execute()
    outputs = json.dumps([cell.outputs for cell in cells] + [notebook.metadata], ensure_ascii=False)
    assert found_in(shown | {"notebook": outputs}) == []
    head, claims = minted.split(".")[:2]
    assert not [name for name, text in (shown | {"notebook": outputs}).items() if f"{head}." in text or claims in text]
    statuses = {exchange.status for exchange in client.journal}
    assert (statuses == {403}) is (to_asid == "200000000999"), statuses
    assert "urllib3.connectionpool" in outputs, "the log was listened to"
