"""What is removed from a URL and from an answer, and what is left as it is."""

from __future__ import annotations

import base64
import html
import itertools
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from workbench import Client, Connection, Endpoint
from workbench.exchange.message import Request
from workbench.journal.secrets import (
    guard_logs,
    is_secret,
    redact_response_body,
    redact_response_header,
    secrets_in,
    without_credentials,
    without_named_credentials,
)
from workbench.recording.cassette import as_request

SECRET = "pLanted/t0ken+12&34"
NAMES = frozenset({"x-only-here"})
URL = "http://h/STU3/List/1"

_SECRET = """
    X-Amz-Signature X-Amz-Credential X-Amz-Security-Token AWSAccessKeyId client_assertion client_secret clientSecret
    access_token accessToken id_token id_token_hint refresh_token code_verifier device_code sig signature Signature
    api_key api-key apikey API-KEY key subscription-key Ocp-Apim-Subscription-Key X-Auth-Token X-Auth-Key X-Api-Key
    x-functions-key x-goog-signature X-Hub-Signature-256 X-CSRF-Token Cookie Set-Cookie Authorization
    X-Forwarded-Authorization Proxy-Authorization password passwd pwd passphrase user[password] user_password token jwt
    assertion SAMLResponse SAMLRequest session sid connect.sid sessionid jsessionid PHPSESSID ASP.NET_SessionId
    secret auth otp DPoP private_key hmac api%5Fkey access%255Ftoken
"""

_OTHER = """
    code identifier _id _lastUpdated _count _page_token patient subject status category name family key-word tokens
    client_assertion_type token_type state redirect_uri realm error error_description X-Request-ID X-Correlation-ID
    TraceID InteractionID fromASID NHSD-Session-URID ETag If-Match If-None-Match Content-Type WWW-Authenticate Location
    Idempotency-Key Sec-WebSocket-Key Content-Security-Policy monkey passage author encoding design
"""
SECRET_NAMES, OTHER_NAMES = _SECRET.split(), _OTHER.split()


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_name_that_carries_a_credential(name: str) -> None:
    assert len(SECRET_NAMES) >= 40
    assert is_secret(name)
    assert without_credentials(f"/List?_count=1&{name}=abc&x=1") == f"/List?_count=1&{name}=***&x=1"
    assert (
        without_credentials(f"/List?{name}=a;{name}=b#{name}=c") == f"/List?{name}=***;{name}=***#{name}=c"[:-1] + "***"
    )
    assert without_credentials(f"http://h/callback#{name}=abc&x=1") == f"http://h/callback#{name}=***&x=1"
    assert without_credentials(f"{name}=abc&x=1") == f"{name}=***&x=1", "a form"
    assert (
        without_credentials(f"/login?to=%2FList%3F{name}%3Dabc%26x%3D1") == f"/login?to=%2FList%3F{name}%3D***%26x%3D1"
    )
    for field, value in (
        ("Refresh", f"0;url=http://h/?{name}=abc"),
        ("Refresh", f"0; url='http://h/?{name}=abc'"),
        ("Location", f"http://h/List/1?{name}=abc"),
        ("Content-Location", f"/List/1?x=1&{name}=abc"),
        ("Link", f'<http://h/?{name}=abc>; rel="next", </x?{name}=abc>; rel="self"'),
        ("WWW-Authenticate", f'Bearer realm="a", {name}="abc"'),
        ("X-Anything", f"http://h/?{name}=abc"),
    ):
        assert redact_response_header(field, value, frozenset()) == value.replace("abc", "***"), field
    form = f"grant_type=x&{name}=abc&y=2".encode()
    assert (
        without_named_credentials(form)
        == redact_response_body(200, form, frozenset(), URL)
        == form.replace(b"abc", b"***")
    )
    if "%" not in name and "[" not in name and "." not in name:
        body = json.dumps({name: 'a"bc', "expires_in": 3600}).encode()
        assert json.loads(redact_response_body(200, body, frozenset(), URL)) == {name: "***", "expires_in": 3600}


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_another_name_stays(name: str) -> None:
    assert not is_secret(name)
    url = f"http://127.0.0.1/STU3/List?{name}=http%3A%2F%2Floinc.org%7C1&_count=2"
    assert without_credentials(url) == url
    assert redact_response_header("Location", url, frozenset()) == url


def test_a_code_is_secret_beside_what_oauth_sends_with_it() -> None:
    assert without_credentials("/cb?code=abc&state=1") == "/cb?code=***&state=1"
    assert without_credentials("grant_type=authorization_code&code=abc") == "grant_type=authorization_code&code=***"
    assert without_credentials("/List?code=http://snomed.info/sct|1094") == "/List?code=http://snomed.info/sct|1094"
    assert without_credentials("/Patient?code=a&address-state=b") == "/Patient?code=a&address-state=b"


def test_user_and_password_in_a_url() -> None:
    assert redact_response_header("Location", "https://me:abc@h/List/1", frozenset()) == "https://***@h/List/1"


@pytest.mark.parametrize(
    ("challenge", "kept"),
    [
        ('Bearer realm="spine", error="invalid_token"', 'Bearer realm="spine", error="invalid_token"'),
        ('Digest realm="r", nonce="abc", algorithm=MD5', 'Digest realm="r", nonce="abc", algorithm=MD5'),
        ("Negotiate dG9rZW4tdG9rZW4=", "Negotiate ***"),
        ("Basic, NTLM TlRMTVNTUAACAAAA, Bearer", "Basic, NTLM ***, Bearer"),
    ],
)
def test_a_challenge_stays_readable(challenge: str, kept: str) -> None:
    assert redact_response_header("WWW-Authenticate", challenge, frozenset()) == kept


def test_an_etag_stays() -> None:
    assert redact_response_header("ETag", 'W/"key=1&token=2"', frozenset()) == 'W/"key=1&token=2"'


def test_a_response_does_not_repeat_a_secret() -> None:
    basic = base64.b64encode(b"me:planted:password").decode()
    fields = {
        "Authorization": f"Bearer {SECRET}",
        "Cookie": "a=planted-one; b=short",
        "Accept": "planted-accept",
        "Proxy-Authorization": f"Basic {basic}",
        "X-Only-Here": "planted-own",
    }
    url = "http://h/List?token=planted%20query&code=planted-code#id_token=planted-fragment"
    expected = {SECRET, "a=planted-one; b=short", "planted-one", basic, "planted:password", "planted-own"}
    assert secrets_in(fields.items(), NAMES, url) == expected | {"planted query", "planted-fragment"}


def percent(text: str, times: int = 1) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode()) if times == 1 else quote(percent(text, times - 1), safe="")


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "JSON": lambda s: json.dumps(s)[1:-1].encode(),
    "JSON, its slash escaped": lambda s: s.replace("/", r"\/").encode(),
    "JSON, all escaped": lambda s: "".join(f"\\u{ord(c):04x}" for c in s).encode(),
    "JSON, all escaped in capitals": lambda s: "".join(f"\\u{ord(c):04X}" for c in s).encode(),
    "JSON within JSON": lambda s: json.dumps("".join(f"\\u{ord(c):04x}" for c in s))[1:-1].encode(),
    "JavaScript": lambda s: "".join(f"\\x{ord(c):02x}" for c in s).encode(),
    "percent": lambda s: quote(s, safe="").encode(),
    "percent, slash kept": lambda s: quote(s).encode(),
    "percent, lower case": lambda s: quote(s, safe="").lower().encode() if s.islower() else percent(s).lower().encode(),
    "percent, all": lambda s: percent(s).encode(),
    "percent twice": lambda s: quote(quote(s, safe=""), safe="").encode(),
    "percent three times, all": lambda s: percent(s, 3).encode(),
    "HTML": lambda s: html.escape(s).encode(),
    "HTML, decimal": lambda s: "".join(f"&#{ord(c)};" for c in s).encode(),
    "HTML, decimal with zeros, no semicolons": lambda s: "".join(f"&#{ord(c):06}" for c in s).encode(),
    "HTML, hexadecimal": lambda s: "".join(f"&#x{ord(c):x};" for c in s).encode(),
    "HTML, hexadecimal in capitals": lambda s: "".join(f"&#X{ord(c):X};" for c in s).encode(),
    "HTML, named": lambda s: s.replace("&", "&amp;").replace("/", "&sol;").replace("+", "&plus;").encode(),
    "HTML within HTML": lambda s: html.escape("".join(f"&#{ord(c)};" for c in s)).encode(),
    "HTML within JSON": lambda s: json.dumps(html.escape(s)).replace("&", r"\u0026").encode(),
    "mixed": lambda s: "".join(
        (c, percent(c), f"\\u{ord(c):04x}", f"&#{ord(c)};")[n % 4] for n, c in enumerate(s)
    ).encode(),
    "base64": lambda s: base64.b64encode(s.encode()),
    "base64, after one byte": lambda s: base64.b64encode(b"1" + s.encode() + b"2"),
    "base64, after two bytes": lambda s: base64.b64encode(b"12" + s.encode() + b"34567"),
    "base64url": lambda s: base64.urlsafe_b64encode(s.encode()),
    "base64 of user and secret": lambda s: base64.b64encode(b"somebody:" + s.encode()),
    "base64 in JSON, its slashes escaped": lambda s: base64.b64encode(s.encode()).replace(b"/", rb"\/"),
    "base64 in a URL": lambda s: quote(base64.b64encode(b"?" + s.encode()), safe="").encode(),
    "UTF-16, little end first": lambda s: s.encode("utf-16-le"),
    "UTF-16, big end first": lambda s: s.encode("utf-16-be"),
}

SECRETS = [
    SECRET,
    "12345678",
    "planted 'spaces' <and> \"marks\" \\ %41 ~",
    "ÿ-Latin-1-ü",
    "eyJhbGciOiJub25lIn0." + "a1_B-" * 200,
]


@pytest.mark.parametrize("secret", SECRETS, ids=["marks", "short", "spaces", "Latin-1", "long"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_secret_that_an_answer_repeats(encoding: str, secret: str) -> None:
    if encoding == "percent, lower case" and not secret.isascii():
        secret = secret.lower()
    echoed = ENCODINGS[encoding](secret)
    text = b"<p>You sent " + echoed + b", and that is wrong.</p>"
    for status, body in ((403, text), (200, text), (403, b'{"resourceType": "List", "title": "' + echoed + b'"}')):
        left = redact_response_body(status, body, frozenset({secret, "another-secret"}), URL)
        # What the encoding makes of no secret at all stays, and at each end of base64 a character of its neighbours'.
        most = len(body) - len(echoed) + len("***") + len(ENCODINGS[encoding]("")) + (4 if "base64" in encoding else 2)
        assert len(left) <= most, left
        assert b"***" in left
        assert echoed not in left
    field = redact_response_header("Warning", text.decode("latin-1"), frozenset({secret}))
    if secret.isascii():
        assert "***" in field
        assert echoed.decode("latin-1") not in field


def test_the_longest_is_replaced_whatever_the_order() -> None:
    prefixes = [SECRET[:8], SECRET[:12], SECRET, SECRET + "-tail"]
    body = f"you sent {SECRET}-tail and {SECRET} and {SECRET[:12]} and {SECRET[:8]}".encode()
    for order in itertools.permutations(prefixes):
        assert redact_response_body(403, body, frozenset(order), URL) == b"you sent *** and *** and *** and ***"


RESOURCE = f'{{ "resourceType": "List",\n "note": [{{"text": "{SECRET} \\u0041"}}], "x": 1.10 }}'.encode()
OUTCOME = f'{{"resourceType": "OperationOutcome", "issue": [{{"diagnostics": "{SECRET}"}}]}}'.encode()


def test_only_an_accepted_resource_stays_unchanged() -> None:
    secrets = frozenset({SECRET})
    assert redact_response_body(200, RESOURCE, secrets, URL) == RESOURCE
    for status, body in ((403, RESOURCE), (200, OUTCOME), (200, RESOURCE[:-1]), (200, b"[" + RESOURCE + b"]")):
        left = redact_response_body(status, body, secrets, URL)
        assert SECRET.encode() not in left
        assert left == body.replace(SECRET.encode(), b"***")


@pytest.mark.parametrize(
    "written", ["api_key={}", "x=1&amp;api_key={}", r"x=1\u0026api_key\u003d{}", "to=%3Fapi_key%3D{}"]
)
@pytest.mark.parametrize("value", ["planted query/12", "short"])
def test_the_links_of_a_bundle(written: str, value: str) -> None:
    url = f"http://h/List?_count=1&api_key={quote(value, safe='')}"
    link = f"http://h/List?{written.format(quote(value))}"
    bundle = f'{{"resourceType": "Bundle", "title": "{value}", "link": [{{"url": "{link}"}}]}}'.encode()
    left = redact_response_body(200, bundle, secrets_in((), frozenset(), url), url)
    if value == "short" and written != "api_key={}" and "amp" not in written:
        return  # a short value is looked for as it was sent
    assert left == bundle.replace(quote(value).encode(), b"***") if "%" in quote(value) else left
    assert f'"title": "{value}"'.encode() in left
    assert quote(value).encode() not in left.partition(b'"link"')[2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe not UTF-8 \x00",
        b'{"resourceType": "List", "note": [{"text": "token=1&password=2 \\u0041"}]}',
        b"<html><a href='/x?y=1'>&#65;%41\\u0041</a></html>",
        b'{"error": "invalid", "error_description": "a token is missing"}',
        base64.b64encode(bytes(range(256))),
        SECRET[:-1].encode(),
        SECRET[1:].encode(),
        b"\\" * 99 + b"%" * 99 + b"&#" * 99,
    ],
)
@pytest.mark.parametrize("status", [200, 403])
def test_a_body_without_a_secret_stays_unchanged(body: bytes, status: int) -> None:
    assert redact_response_body(status, body, frozenset({SECRET, "another-secret"}), f"{URL}?_count=1") == body


_MUCH = 5 * 2**20
JWT = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + "kj3-x_" * 100
HOSTILE = {
    "a resource": b'{"resourceType":"List","text":{"div":"<div xmlns=\\"x\\">Ann Example</div>"},"code":"eyJ"}',
    "percent": b"%41",
    "percent of percent": b"%25",
    "backslashes": b"\\",
    "escapes": b"\\u0041",
    "ampersands": b"&",
    "entities": b"&amp;",
    "zeros": b"&#0000000",
    "NUL": b"e\0\0\0",
    "first character": b"e",
    "near misses": JWT[:11].encode(),
    "long near misses": JWT[:-1].encode(),
    "near misses, encoded": percent(JWT[:11]).encode(),
    "echoes": JWT.encode() + b" ",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_the_cost_of_a_body_grows_with_its_size_only(what: str) -> None:
    body = (HOSTILE[what] * (_MUCH // len(HOSTILE[what]) + 1))[:_MUCH]
    secrets = frozenset({JWT, "another-secret-of-mine", "planted-password"})

    def cost(size: int) -> float:
        began = time.process_time()
        redact_response_body(403, body[:size], secrets, URL)
        return time.process_time() - began

    redact_response_body(403, b"warm up" + JWT.encode() + percent(JWT).encode(), secrets, URL)
    quarter = cost(_MUCH // 4)
    assert cost(_MUCH) < 8 * quarter + 0.5, "four times as much is expected; sixteen times where it is not linear"


def test_a_form_that_is_sent(spine_in_process: Endpoint) -> None:
    adapter = spine_in_process.client().connection.adapter
    client = Client("http://in-process.invalid/STU3", connection=Connection(adapter=adapter), embedded=True)
    fields = {"Content-Type": "application/x-www-form-urlencoded", "X-Auth-Token": "planted-unnamed"}
    sent = client.send("GET", "metadata", headers=fields, body="client_secret=planted&scope=x")
    assert sent.request.body == b"client_secret=***&scope=x"
    assert sent.request.headers["X-Auth-Token"] == "***"


def test_a_cassette_holds_no_credential() -> None:
    kept = as_request(Request("POST", f"{URL}?X-Amz-Signature=planted", body=b"password=planted&x=1"), "http://h/STU3")
    assert kept == {"method": "POST", "path": "List/1?X-Amz-Signature=***", "text": "password=***&x=1"}


def test_there_is_one_list_of_names() -> None:
    package = Path(__file__).parents[2] / "workbench"
    listing = [path.name for path in package.rglob("*.py") if "samlresponse" in path.read_text("utf-8").lower()]
    assert listing == ["secrets.py"]
    others = [path for path in package.rglob("*.py") if "client_secret|" in path.read_text("utf-8")]
    assert others == []


def test_the_log_of_the_http_library(caplog: pytest.LogCaptureFixture) -> None:
    guard_logs()
    guard_logs()
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("urllib3.connectionpool")
    logger.debug('%s "%s"', "GET", "/List?api_key=planted")
    try:
        raise ValueError("planted")
    except ValueError as error:
        logger.warning("it failed: %s", error, exc_info=True)
    assert "planted" not in caplog.text
    assert "it failed: ValueError" in caplog.text
    assert len(logger.filters) == len(set(map(id, logger.filters)))
