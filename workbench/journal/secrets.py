"""Credentials are removed from an exchange before anything keeps it.

This module holds the list of names that carry a credential. It replaces the values in URLs, header fields, bodies that
repeat a value, and the log lines of the HTTP library. The secrets of a connection are arguments.

A repeated secret is found in any mixture of these encodings: plain, percent, JSON and HTML escapes (each also nested),
base64 and base64url at any position within a longer text, UTF-16. It is not found compressed, hashed, in hexadecimal,
in other letter case, split over lines, or if it is shorter than eight characters.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html.entities import html5
from itertools import groupby
from typing import AnyStr, Final
from urllib.parse import unquote, unquote_plus

from workbench.errors import MalformedJSON
from workbench.fhir import json

REDACTED: Final = "***"

_SECRET_NAMES: Final = re.compile(
    r"""
    .* (?: (?<!page) (?<!continuation) token (?:hint)? | secret | password | passwd | passphrase | passcode | pwd | jwt
         | assertion | signature (?:256)? | credentials? | authorization | cookie2? | sessionid | sessid
         | (?: api | access | auth | functions | private | secret | session | shared | subscription ) key (?:id)?
       )
    | key | sig | hmac | x?auth | pass | pw | otp | pin | session | (?:connect)? sid | bearer | dpop | samlresponse
    | samlrequest | samlart | wresult | codeverifier | (?: auth | authorization | device ) code
    | (?:proxy)? authenticationinfo
    """,
    re.VERBOSE,
)
"""Names of header fields, parameters and members that carry a credential, in lower case, letters and digits only."""

_SHORTEST: Final = 8
"""Shorter values are not searched for in a response, because they occur in other words."""


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Return whether a header field, parameter or member of this name carries a credential.

    >>> is_secret("X-Amz-Signature"), is_secret("clientSecret"), is_secret("identifier")
    (True, True, False)
    """
    for _ in range(4):  # a URL within a URL encodes a name more than once
        name = unquote(name)
    return _SECRET_NAMES.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


# --- by name: parameters ---

_ENCODED = r"(?:%(?:25){{0,4}}|\\u00)(?:{})"
_NAMED: Final = re.compile(
    rf"(?:^|[?&;#,\s\"'<(]|{_ENCODED.format('3[fFbB]|2[36]')})"
    rf"([\w.~+%\[\]:-]{{1,100}}?)(=|{_ENCODED.format('3[dD]')})"
)
"""The name of a parameter with its equals sign; a URL within a URL encodes both."""

_VALUE: Final = re.compile(r'"[^"]*|[^&#;\s"\'<>]*')
_ENCODED_VALUE: Final = re.compile(rf'(?:(?!{_ENCODED.format("2[36]")})[^&#;\s"\'<>])*')
_MAY_NAME: Final = re.compile(r"[=%@\\]")
_USER: Final = re.compile(r"(?<=://)[^/?#@\s\"'<>]{1,500}@")

_CODE: Final = frozenset({"code"})
_BESIDE_A_CODE: Final = re.compile(
    r"(?<![\w-])(?:state|session_state|grant_type|redirect_uri|code_verifier)(?:=|%(?:25){0,4}3[dD])"
)
"""FHIR has a search parameter ``code``. OAuth's ``code`` is a credential, and always has one of these beside it."""


def without_credentials(text: str) -> str:
    """Return a URL, a form, or a text that holds URLs, with the values of credentials replaced.

    >>> without_credentials("https://h/STU3/List?_count=1&api_key=abc")
    'https://h/STU3/List?_count=1&api_key=***'
    """
    if not _MAY_NAME.search(text):
        return text
    return _USER.sub(f"{REDACTED}@", _without(text, _credentials(text), REDACTED))


def _credentials(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each parameter value that is a credential."""
    codes = _CODE if _BESIDE_A_CODE.search(text) else frozenset()
    after = 0
    for found in _NAMED.finditer(text):
        if found.start(1) < after or not (is_secret(found[1]) or found[1].lower() in codes):
            continue
        value = (_VALUE if found[2] == "=" else _ENCODED_VALUE).match(text, found.end())
        assert value is not None  # it may be empty
        start = value.start() + value[0].startswith('"')
        if start < (after := value.end()):
            yield start, after


# --- by value: what a request carried ---


def secrets_in(fields: Iterable[tuple[str, str]], secret_names: frozenset[str], url: str) -> frozenset[str]:
    """Return the secrets of a request: the values of its secret fields, and the credentials in its URL.

    ``secret_names`` are the connection's own secret names, in lower case.
    """
    values = {unquote_plus(url[start:end]) for start, end in _credentials(url)}
    for name, value in fields:
        if name.lower() in secret_names or is_secret(name):
            values |= _parts(value)
    return frozenset(value for value in values if len(value) >= _SHORTEST)


def _parts(value: str) -> set[str]:
    """Return the parts of a field's value that a server may repeat: a token, a cookie's value, a password."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):  # without valid base64 there is no password
            return {rest, base64.b64decode(rest, validate=True).decode().partition(":")[2]}
    if len(rest) >= _SHORTEST and " " not in rest:
        return {rest}
    return {value, *(crumb.partition("=")[2] for crumb in value.split("; "))}


# --- in a response ---

_ENTITY_TAGS: Final = frozenset({"etag", "e-tag"})
"""A client sends an ETag back unchanged, so only a secret of the request itself is replaced in it."""

_CHALLENGES: Final = frozenset({"www-authenticate", "proxy-authenticate"})
_CHALLENGE: Final = re.compile(r"(?<![\w-])([A-Za-z]{1,30} +)[\w.~+/-]{8,}=*(?=\s*(?:,|$))")
"""A scheme with a token (RFC 9110, 11.2), as Negotiate has it."""

_MEMBER: Final = re.compile(rb'"([\w-]{1,60})"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_FORM: Final = re.compile(rb"[\w.%+~\[\]-]{1,100}=[^\s<>{}\"]*")


def redact_response_header(name: str, value: str, secrets: frozenset[str]) -> str:
    """Return the value of a response's header field without repeated secrets and named credentials."""
    body = value.encode("utf-8", "surrogateescape") if secrets else b""
    if spans := _spans(body, secrets):
        value = _without(body, spans, REDACTED.encode()).decode("utf-8", "surrogateescape")
    if name.lower() in _ENTITY_TAGS:
        return value
    value = without_credentials(value)
    return _CHALLENGE.sub(rf"\1{REDACTED}", value) if name.lower() in _CHALLENGES else value


def redact_response_body(status: int, body: bytes, secrets: frozenset[str], url: str) -> bytes:
    """Return a response's body without the secrets that it repeats; without any it stays byte for byte the same.

    The user edits and sends a resource that a success returns. So only parameters of URLs are replaced in it, as in
    the links of a Bundle.
    """
    body = _without_short_parameters(body, url)
    spans = _spans(body, secrets)
    if spans and status < 300 and _is_resource(body):
        spans = [span for span in spans if _is_parameter(body, span[0])]
    return without_named_credentials(_without(body, spans, REDACTED.encode()))


def without_named_credentials(body: bytes) -> bytes:
    """Return a form, or JSON that is no FHIR resource, with the values of credentials replaced."""
    if b'"resourceType"' in body:
        return body
    if body[:1] in (b"{", b"["):
        return _MEMBER.sub(_without_member, body)
    if _FORM.fullmatch(body):
        return without_credentials(body.decode("latin-1")).encode("latin-1")
    return body


def _without_member(found: re.Match[bytes]) -> bytes:
    if not found[2] or not is_secret(found[1].decode("latin-1")):
        return found[0]
    start = found.start(2) - found.start()
    return found[0][:start] + REDACTED.encode() + b'"'


def _without_short_parameters(body: bytes, url: str) -> bytes:
    """Replace the URL's short credentials, but only together with their parameter names."""
    for start, end in _credentials(url):
        if end - start < _SHORTEST:
            name = re.split(r"[?&;#]", url[:start])[-1]
            whole = re.escape(f"{name}{url[start:end]}".encode()) + rb"(?![^&#;\s\"'<>\\])"
            body = re.sub(whole, f"{name}{REDACTED}".encode(), body)
    return body


def _is_resource(body: bytes) -> bool:
    try:
        content = json.parse(body)
    except MalformedJSON:
        return False
    kind = content.get("resourceType") if isinstance(content, dict) else None
    return isinstance(kind, str) and kind != "OperationOutcome"


_NAME_BEFORE: Final = re.compile(_NAMED.pattern + r"\Z")


def _is_parameter(body: bytes, start: int) -> bool:
    before = _NAME_BEFORE.search(body[max(0, start - 120) : start].decode("latin-1"))
    return before is not None and is_secret(before[1])


def _without(text: AnyStr, spans: Iterable[tuple[int, int]], instead: AnyStr) -> AnyStr:
    """Return the text with each span of it replaced."""
    kept: list[AnyStr] = []
    at = 0
    for start, end in spans:
        kept += [text[at:start], instead]
        at = end
    kept.append(text[at:])
    return text[:0].join(kept)


# --- how a value is found in any encoding ---
#
# A needle is a secret, or its base64, as a sequence of positions; each position is the set of characters that match it.
# A first, small expression finds the beginnings of all needles together; tokens with equal beginnings, as JSON web
# tokens have, share it. Then the needles whose beginning was found are searched for as a whole, the longest first. All
# of it takes linear time.

_Needle = tuple[str, ...]

_FIRST: Final = 12

_BETWEEN: Final = r"\x00{0,3}+"
"""The zero bytes between two characters of UTF-16 and UTF-32."""


def _spans(body: bytes, secrets: frozenset[str]) -> list[tuple[int, int]]:
    """Return the start and end of each secret in the body, in order and without overlap."""
    if not (body and secrets):
        return []
    needles, firsts, together = _sought(secrets)
    there: set[_Needle] = set()
    possible = together.search(body)
    while possible and len(there) < len(firsts):
        if found := _compiled(firsts).match(body, possible.start()):
            there.add(firsts[(found.lastindex or 0) - 1])
        possible = together.search(body, possible.start() + 1)
    wanted = tuple(needle for needle in needles if needle[:_FIRST] in there)
    return [found.span() for found in _compiled(wanted).finditer(body)] if wanted else []


@lru_cache(maxsize=64)
def _sought(secrets: frozenset[str]) -> tuple[tuple[_Needle, ...], tuple[_Needle, ...], re.Pattern[bytes]]:
    """Return the needles, their beginnings, and one expression that finds any of the beginnings."""
    needles = _needles(secrets)
    firsts = tuple(dict.fromkeys(needle[:_FIRST] for needle in needles))
    together = tuple("".join(sorted(set("".join(positions)))) for positions in zip(*firsts, strict=False))
    return needles, firsts, _compiled((together,))


def _needles(secrets: frozenset[str]) -> tuple[_Needle, ...]:
    """Return the secrets and their base64, the longest first, in a fixed order."""
    found = {needle for secret in secrets for needle in (tuple(secret), *_in_base64(secret))}
    return tuple(sorted(found, key=lambda needle: (-len(needle), needle)))


def _in_base64(secret: str) -> Iterator[_Needle]:
    """Yield the base64 characters that depend on the secret alone, after 0, 1 or 2 other bytes."""
    plain = secret.encode()
    for before in range(3):
        written = base64.b64encode(bytes(before) + plain).decode()
        own = written[-(-before * 8 // 6) : (before + len(plain)) * 8 // 6]
        yield tuple({"+": "+-", "/": "/_"}.get(sign, sign) for sign in own)  # base64url


@lru_cache(maxsize=64)
def _compiled(needles: tuple[_Needle, ...]) -> re.Pattern[bytes]:
    return re.compile("|".join(f"({_whole(needle)})" for needle in needles).encode("latin-1"))


def _whole(needle: _Needle) -> str:
    """Return an expression for a needle; runs of letters and digits are tried unencoded first, which is faster."""
    runs = []
    for is_plain, positions in groupby(
        needle, key=lambda chars: len(chars) == 1 and chars.isascii() and chars.isalnum()
    ):
        run = tuple(positions)
        plain, encoded = "".join(run), _BETWEEN.join(map(_position, run))
        runs.append(f"(?:{plain}|(?!{plain}){encoded})" if is_plain else encoded)
    return _BETWEEN.join(runs)


_ENTITIES: Final[dict[str, list[str]]] = defaultdict(list)
for _entity, _sign in html5.items():
    if _entity.endswith(";"):
        _ENTITIES[_sign].append(_entity.removesuffix(";"))


@lru_cache(maxsize=4096)
def _position(signs: str) -> str:
    """Return an expression for one of these characters, however it is encoded; each repetition is bounded."""
    codes = [ord(sign) for sign in signs]
    forms = {form for sign in signs for form in (sign.encode("latin-1", "ignore"), sign.encode("utf-8", "replace"))}
    forms -= {b""}
    plain = [re.escape(form.decode("latin-1")) for form in sorted(forms)] + ([r"\+"] if " " in signs else [])
    percent = ["%(?:25){0,4}".join(_hexadecimal([byte], 2) for byte in form) for form in sorted(forms)]
    marks = "".join(re.escape(sign) for sign in signs if sign.isascii() and not sign.isalnum())
    escaped = [f"u{_hexadecimal(codes, 4)}", f"x{_hexadecimal(codes, 2)}", *([f"[{marks}]"] if marks else [])]
    entities = [name for sign in signs for name in _ENTITIES.get(sign, ())]
    numbered = [f"#0{{0,6}}{_either(map(str, codes))}", f"#[xX]0{{0,6}}{_hexadecimal(codes, 1)}"]
    return _either(
        [
            *plain,
            f"%(?:25){{0,4}}{_either(percent)}",
            rf"\\{{1,7}}+{_either(escaped)}",
            rf"(?:&|\\{{1,7}}+u0026)(?:amp;){{0,3}}{_either([*numbered, *sorted(entities)])};?",
        ]
    )


def _hexadecimal(codes: Iterable[int], width: int) -> str:
    digits = (f"{code:0{width}x}" for code in codes)
    return _either("".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in each) for each in digits)


def _either(forms: Iterable[str]) -> str:
    return "(?:" + "|".join(forms) + ")"


# --- in logs ---


class _LogFilter(logging.Filter):
    """Remove credentials from log lines of the HTTP library, which contain URLs and malformed header fields."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_logged(each) for each in record.args)
        record.exc_info = None
        return True


def _logged(value: object) -> object:
    if isinstance(value, BaseException):
        return type(value).__name__
    return without_credentials(value) if isinstance(value, str) else value


_FILTER: Final = _LogFilter()


def guard_logs() -> None:
    """Remove credentials from the HTTP library's log lines; a second call changes nothing."""
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response"):
        logging.getLogger(name).addFilter(_FILTER)
