"""Redaction: personal elements replaced by placeholders, the same value always by the same one.

Owns: which elements are personal unless somebody says otherwise, and what stands in their place wherever they occur: in
JSON bodies (all else stays exact, decimals digit for digit), URLs, header fields and the words of a failure. A
placeholder is written ``redacted-1``, which is also a FHIR id and fits into a URL, so that a reference to
``Patient/9990000018`` becomes one to ``Patient/redacted-1`` and can still be followed. A ``Redaction`` remembers what
it replaced, and so can put it back (``restored``); what it remembers is never written or shown.

A body that is not JSON is left out whole: no path leads into it. Source: the NHS number is ten digits, the last a check
digit modulo 11 (NHS Data Dictionary, *NHS NUMBER*).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from workbench.exceptions import BadInput, MalformedJSON
from workbench.rules import json
from workbench.rules.element_path import ElementPath
from workbench.rules.exchange import Exchange
from workbench.rules.message import Headers, Request, Response

NHS_NUMBERS: Final = "NHS numbers"
"""In a list of paths: every NHS number, in whatever text it stands."""

_PEOPLE = ("Patient", "Person", "RelatedPerson", "Practitioner")
_ABOUT_PEOPLE = ("name", "address", "telecom", "birthDate", "photo", "contact", "identifier.value", "text.div")

PERSONAL: Final = (
    NHS_NUMBERS,
    "*.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number",
    *(f"{person}.{element}" for person in _PEOPLE for element in _ABOUT_PEOPLE),
    *("*.family", "*.given", "*.address", "*.birthDate", "*.postalCode", "*.text.div"),
    *("*.subject.display", "*.patient.display", "*.individual.display"),
)
"""What is blanked for a live endpoint: NHS numbers, names, addresses, dates of birth, narratives."""

NOT_JSON: Final = b"(not JSON, so left out)"

_PERSONAL_PARAMETERS = re.compile(
    r"(?:.*\.)?(?:family|given|name|phonetic|address|address-.*|birthdate|phone|email|telecom)(?::.*)?", re.IGNORECASE
)
_PLACEHOLDER = re.compile(r"(?<![\w-])redacted-[0-9]+(?![\w-])")
_TEN_DIGITS = re.compile(r"(?<![0-9A-Za-z.-])[0-9]{3}([ -]?)[0-9]{3}\1[0-9]{4}(?![0-9A-Za-z-]|\.[0-9])")
_TOLD_IN_WORDS: Final = 3
"""Shorter values are not looked for in the words of an OperationOutcome: they would be found in other words."""


def is_nhs_number(text: str) -> bool:
    """Whether this is an NHS number: ten digits, the last of which checks the others.

    >>> is_nhs_number("9990000018"), is_nhs_number("9990000019")
    (True, False)
    """
    digits = [int(sign) for sign in text if sign.isdigit()]
    if len(digits) != 10:
        return False
    check = 11 - sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check % 11 == digits[9]


class Redaction:
    """What to blank, and what has been blanked by what; used from one thread at a time."""

    def __init__(self, paths: Iterable[str] = PERSONAL) -> None:
        """``paths`` as ``ElementPath`` reads them, and ``NHS_NUMBERS``; raises ``BadInput`` for one it cannot read."""
        self.paths = tuple(paths)
        self._numbers = NHS_NUMBERS in self.paths
        self._elements = [ElementPath.read(path) for path in self.paths if path != NHS_NUMBERS]
        self._placeholders: dict[tuple[str, str], str] = {}
        self._values: dict[str, Any] = {}
        self._highest = 0

    # --- blanking ---

    def exchange(self, exchange: Exchange) -> Exchange:
        """The exchange as it may be kept and shown."""
        if not self.paths:
            return exchange
        request = self.request(exchange.request)  # first: what it holds, an answer may quote
        response = exchange.response and self.response(exchange.response)
        words = self._in_words(self.text(exchange.failure))
        logical_id = self.text(exchange.logical_id)
        return replace(exchange, request=request, response=response, failure=words, logical_id=logical_id)

    def request(self, request: Request) -> Request:
        """The request, blanked: URL, header fields and body."""
        return replace(
            request,
            url=self.url(request.url),
            headers=self._headers(request.headers),
            body=self.body(request.body),
        )

    def response(self, response: Response, *, foreign: bool = False) -> Response:
        """The answer, blanked. ``foreign``: from an endpoint, where what looks like a placeholder is none of ours."""
        body = self.body(response.body, foreign=foreign)
        return replace(response, headers=self._headers(response.headers), body=body)

    def body(self, body: bytes, *, foreign: bool = False) -> bytes:
        """A body with its personal elements blanked; byte for byte the same where there are none."""
        if not body or not self.paths:
            return body
        try:
            content = json.parse(body)
        except MalformedJSON:
            return NOT_JSON
        blanked = self.resource(content, foreign=foreign)
        return body if json.same(content, blanked) else json.dumps(blanked).encode()

    def resource(self, content: Any, *, foreign: bool = False) -> Any:
        """JSON with its personal elements blanked; a new object, and everything else as it was."""
        blanked = self._walk(content, (), "", foreign=foreign)
        return _outcomes(blanked, self._in_words)

    def url(self, url: str) -> str:
        """A URL: NHS numbers anywhere, the values of parameters that search for a person."""
        split = urlsplit(url)
        path = "/".join(self._part(part) for part in split.path.split("/"))
        query = "&".join(self._parameter(pair) for pair in split.query.split("&")) if split.query else ""
        return urlunsplit(split._replace(path=path, query=query))

    def text(self, text: str, *, foreign: bool = False) -> str:
        """A text with the NHS numbers in it blanked."""
        if foreign:
            text = _PLACEHOLDER.sub(lambda found: self._placeholder(found[0], foreign=True), text)
        if not self._numbers:
            return text
        return _TEN_DIGITS.sub(lambda f: self._placeholder(f[0]) if is_nhs_number(f[0]) else f[0], text)

    # --- putting back ---

    def restored(self, request: Request) -> Request:
        """The request with what each placeholder stands for.

        Raises ``BadInput`` for a placeholder that stands for nothing here: it would overwrite what it hides.
        """
        url = _PLACEHOLDER.sub(lambda found: quote(str(self._value(found[0])), safe=""), request.url)
        if not _PLACEHOLDER.search(request.body.decode("utf-8", errors="replace")):
            return replace(request, url=url)
        try:
            content = json.parse(request.body)
        except MalformedJSON:
            return replace(request, url=url)
        return replace(request, url=url, body=json.dumps(_leaves(content, self._put_back)).encode())

    def learn(self, clear: Any, blanked: Any) -> None:
        """Take over the placeholders of JSON (or of a URL) that was blanked before, beside the same in the clear."""
        if isinstance(clear, dict) and isinstance(blanked, dict):
            for name in clear.keys() & blanked.keys():
                self.learn(clear[name], blanked[name])
        elif isinstance(clear, list) and isinstance(blanked, list):
            for one, other in zip(clear, blanked, strict=False):
                self.learn(one, other)
        elif isinstance(blanked, str) and not isinstance(clear, dict | list) and clear != blanked:
            pattern = "(.+?)".join(map(re.escape, _PLACEHOLDER.split(blanked)))
            found = re.fullmatch(pattern, str(clear), re.DOTALL)
            for value, placeholder in zip(found.groups() if found else (), _PLACEHOLDER.findall(blanked), strict=False):
                self._know(clear if value == str(clear) else value, placeholder)

    def reserve(self, text: str) -> None:
        """Give none of the placeholders of this text to another value."""
        for placeholder in _PLACEHOLDER.findall(text):
            self._highest = max(self._highest, int(placeholder.partition("-")[2]))

    def __repr__(self) -> str:
        return f"<Redaction by {len(self.paths)} paths>"

    # --- how ---

    def _walk(self, node: Any, at: tuple[str, ...], kind: str, *, foreign: bool) -> Any:
        if isinstance(node, list):
            return [self._walk(item, at, kind, foreign=foreign) for item in node]
        if not isinstance(node, dict):
            return self.text(node, foreign=foreign) if isinstance(node, str) else node
        if isinstance(node.get("resourceType"), str):
            at, kind = (), node["resourceType"]
        walked = {}
        for name, value in node.items():
            below = (*at, name.removeprefix("_"))
            if any(path.leads_to(below, kind, node) for path in self._elements):
                walked[name] = _leaves(value, partial(self._placeholder, foreign=foreign))
            else:
                walked[name] = self._walk(value, below, kind, foreign=foreign)
        return walked

    def _placeholder(self, value: Any, *, foreign: bool = False) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if not foreign and isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            return value  # blanked already
        key = (type(value).__name__ if not isinstance(value, str) else "", str(value))
        if key not in self._placeholders:
            self._know(value, f"redacted-{self._highest + 1}")
        return self._placeholders[key]

    def _know(self, value: Any, placeholder: str) -> None:
        self._highest = max(self._highest, int(placeholder.partition("-")[2]))
        self._placeholders.setdefault(("" if isinstance(value, str) else type(value).__name__, str(value)), placeholder)
        self._values.setdefault(placeholder, value)

    def _value(self, placeholder: str) -> Any:
        if placeholder not in self._values:
            raise BadInput(
                f"{placeholder} stands for something that was blanked elsewhere, so this cannot be sent: "
                "it would overwrite it; read the resource anew and edit that."
            )
        return self._values[placeholder]

    def _put_back(self, leaf: Any) -> Any:
        if not isinstance(leaf, str):
            return leaf
        if _PLACEHOLDER.fullmatch(leaf):
            return self._value(leaf)
        return _PLACEHOLDER.sub(lambda found: str(self._value(found[0])), leaf)

    def _headers(self, headers: Headers) -> Headers:
        return Headers((name, self.text(value)) for name, value in headers.items())

    def _part(self, part: str) -> str:
        plain = unquote(part)
        blanked = self.text(plain)
        return part if blanked == plain else quote(blanked, safe="")

    def _parameter(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if value and self.paths and _PERSONAL_PARAMETERS.fullmatch(unquote(name)):
            return f"{name}{equals}{self._placeholder(unquote(value.replace('+', ' ')))}"
        return f"{name}{equals}{self._part(value)}"

    def _in_words(self, text: str) -> str:
        values = [value for value in self._values.values() if isinstance(value, str) and len(value) >= _TOLD_IN_WORDS]
        told = [value for value in values if value in text]
        for value in sorted(told, key=len, reverse=True):
            pattern = rf"(?<!\w){re.escape(value)}(?!\w)"
            text = re.sub(pattern, self._placeholders["", value], text)
        return text


def _leaves(node: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(node, dict):
        return {name: _leaves(value, change) for name, value in node.items()}
    return [_leaves(item, change) for item in node] if isinstance(node, list) else change(node)


def _outcomes(node: Any, change: Callable[[str], str]) -> Any:
    """The same, with the texts of every OperationOutcome in it changed: an endpoint quotes there what it was sent."""
    if isinstance(node, list):
        return [_outcomes(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("resourceType") == "OperationOutcome":
        return _leaves(node, lambda leaf: change(leaf) if isinstance(leaf, str) else leaf)
    return {name: _outcomes(value, change) for name, value in node.items()}
