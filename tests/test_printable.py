"""What a server says controls no terminal: not in a command's output, not in a text about an exchange."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pytest
from loopback import serving

from workbench import Client, Exchange, UnwantedVerdict, Verdict, try_connection
from workbench.cli import main, say
from workbench.client.unanswered import Landing, Resolution
from workbench.conformance.contract import Level
from workbench.conformance.finding import Finding, Result
from workbench.conformance.report import Report, console_for, print_report, to_html, to_junit
from workbench.errors import WorkbenchError
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir.outcome import read
from workbench.fhir.printable import printable

HOSTILE = {
    "colour": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "clipboard (OSC 52)": ("\x1b]52;c;cm0gLXJmIH4=\x07", r"\x1b]52;c;cm0gLXJmIH4=\x07"),
    "link (OSC 8)": ("\x1b]8;;http://evil.example\x1b\\here", r"\x1b]8;;http://evil.example\x1b\here"),
    "title, eight-bit": ("\x9d0;title\x9c", r"\x9d0;title\x9c"),
    "CSI, eight-bit": ("\x9b2J", r"\x9b2J"),
    "the line again": ("bad\rgood", r"bad\x0dgood"),
    "backspace": ("bad\b\b\bgood", r"bad\x08\x08\x08good"),
    "NUL and DEL": ("a\0b\x7fc", r"a\x00b\x7fc"),
    "right to left": ("\u202egnp.exe\u202c", r"\u202egnp.exe\u202c"),
    "isolates": ("\u2066a\u2069\u200f\u061c", r"\u2066a\u2069\u200f\u061c"),
    "separators": ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
    "half a character": ("\ud800", r"\ud800"),
}
MARKUP = "[red]bold[/red] [link=http://evil.example]here[/link]"
_WHOLE = [each for name, each in HOSTILE.items() if name != "half a character"]  # which no FHIR JSON holds
EVIL = " ".join(hostile for hostile, _ in _WHOLE) + f" {MARKUP}"
SAID = " ".join(escaped for _, escaped in _WHOLE) + f" {MARKUP}"
SIGNS = {sign for hostile, _ in HOSTILE.values() for sign in hostile if not sign.isascii() or not sign.isprintable()}

IN_A_FIELD = EVIL.replace("\r", "").encode("latin-1", "ignore").decode("latin-1").replace("\x85", "").replace("\0", "")
"""What the HTTP library lets pass in a header field."""


@pytest.mark.parametrize("what", HOSTILE)
def test_each_is_written_as_an_escape(what: str) -> None:
    hostile, escaped = HOSTILE[what]
    assert printable(hostile) == escaped
    assert printable(escaped) == escaped


def test_what_people_write_stays() -> None:
    text = "naïve → 日本語 \N{GRINNING FACE}\u200d \t a\nb שלום"
    assert printable(text) == text
    assert printable("a\r\nb\tc\n", one_line=True) == r"a\x0ab\x09c\x0a"
    assert printable("a\r\nb") == "a\nb"


def is_clean(text: str) -> bool:
    return not SIGNS & set(text)


def test_what_is_said_of_an_exchange() -> None:
    body = json.dumps({"resourceType": "OperationOutcome", "issue": [{"diagnostics": EVIL, "code": EVIL}]}).encode()
    fields = Headers({"Location": f"http://h/{EVIL}", "ETag": f'W/"{EVIL}"'})
    request = Request("PUT", "http://h/List/1", Headers({"If-Match": EVIL}), EVIL.encode())
    for status in (200, 201, 302, 404, 409, 412, 422, 500, None):
        answer = Response(status, fields, body) if status else None
        moment = datetime(2018, 5, 25, tzinfo=UTC)
        about = Exchange("me", "update", "List", EVIL, request, answer, moment, failure="" if answer else EVIL)
        with pytest.raises(UnwantedVerdict) as raised:
            about.raise_for_verdict(Verdict.NOT_MODIFIED)
        texts = [repr(about), about.explain(), str(raised.value), repr(about.outcome), about.as_http(), repr(answer)]
        assert about.outcome is None or about.outcome.diagnostics == SAID
        texts += [str(Resolution(Landing.CANNOT_BE_KNOWN, EVIL, about))]
        assert [text for text in texts if not is_clean(text)] == []
        assert repr(about).isprintable()
    found = read(json.loads(body))
    assert found is not None
    assert (found.diagnostics, found.issues[0].code) == (SAID, SAID)


def test_what_is_said_of_a_check() -> None:
    request = Request("PUT", "http://h/List/1", Headers({"If-Match": EVIL}), b"{}")
    about = Exchange("check", "update", "List", "1", request, Response(500), datetime(2018, 5, 25, tzinfo=UTC))
    broken = Finding("UPD-6", Level.MUST, "stale-previous", Result.BROKEN, "409", EVIL, EVIL, EVIL, evidence=(about,))
    untested = Finding("UPD-7", Level.MUST, "missing", Result.NOT_TESTED, "412", why=EVIL)
    report = Report("http://h/STU3", datetime(2018, 5, 25, tzinfo=UTC), (broken, untested), notes=(EVIL,))
    printed = StringIO()
    print_report(report, console_for(printed), since=report.changes_since(report))
    assert printed.getvalue().count(SAID) >= 3
    for text in (printed.getvalue(), to_html(report), to_junit(report), report.to_frame().to_string()):
        assert is_clean(text)


def test_a_console_obeys_nothing_however_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    printed = StringIO()
    console_for(printed).print(EVIL, {"a": EVIL}, soft_wrap=True)
    say(EVIL, printed)
    assert is_clean(printed.getvalue())
    assert printed.getvalue().count(MARKUP) == 3


class _Evil(BaseHTTPRequestHandler):
    """Accepts what it is sent, or refuses it, and says something hostile wherever it can."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        outcome = {"resourceType": "OperationOutcome", "issue": [{"code": EVIL, "diagnostics": EVIL}]}
        statement = {"resourceType": "CapabilityStatement", "fhirVersion": EVIL}
        kind = self.path.split("/")[1]
        told = statement if kind == "works" else {"resourceType": "List", "id": "1"} if kind == "else" else outcome
        body = json.dumps(told).encode()
        self.send_response({"works": 200, "token": 401, "moved": 302, "else": 200}.get(kind, 500))
        for name in ("Location", "Warning", "X-Evil"):
            self.send_header(name, f"http://h/{IN_A_FIELD}")
        self.send_header("ETag", f'W/"{IN_A_FIELD}"')
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_HEAD = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def evil() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Evil)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("kind", ["works", "token", "moved", "else", "broken"])
def test_connect(kind: str, evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["connect", f"{evil}/{kind}"])
    assert code == (0 if kind == "works" else 1)
    printed = capsys.readouterr().out
    assert is_clean(printed)
    assert printed.count("\n") == 1, "a server forges no second line"
    assert ("here[/link]" in printed) is (kind != "else"), "it is said what the server says"
    trial = try_connection(Client(f"{evil}/{kind}"))
    assert is_clean(str(trial) + trial.words)


def test_check(evil: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = [f"--{kind}={tmp_path / kind}" for kind in ("junit", "html", "json")]
    main(["check", f"{evil}/works", *files])
    printed = capsys.readouterr()
    assert is_clean(printed.out + printed.err)
    for path in tmp_path.iterdir():
        assert is_clean(path.read_text(encoding="utf-8"))


def test_race(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["race", f"{evil}/works", "--clients", "2", "--updates", "1"])
    printed = capsys.readouterr()
    assert printed.out + printed.err
    assert is_clean(printed.out + printed.err)


def test_an_error_that_quotes_a_server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*_: object, **__: object) -> None:
        raise WorkbenchError(EVIL)

    monkeypatch.setattr("workbench.client.profiles.try_connection", fails)
    assert main(["connect", "http://127.0.0.1:1/STU3"]) == 2
    assert capsys.readouterr().err == f"spine-workbench: {SAID}\n"
