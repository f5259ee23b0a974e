"""Redaction: personal elements replaced by placeholders, the same value always by the same one.

Owns: which elements are personal unless somebody says otherwise, and what stands in their place wherever they occur: in
JSON bodies (all else stays exact, decimals digit for digit), URLs, header fields and the words of a failure. A
placeholder is written ``redacted-1``, which is also a FHIR id and fits into a URL, so that a reference to
``Patient/9990000018`` becomes one to ``Patient/redacted-1`` and can still be followed. Placeholders are numbered in the
order in which their values are met. A ``Redaction`` remembers what it replaced, and so can put it back (``restored``);
what it remembers is never written or shown.

Every text goes through ``Redaction.text``, whether it is a URL, a header field or a string of a body, because a URL may
stand in each of them. A body that is not JSON is left out whole: no path leads into it. Source: the NHS number is ten
digits in groups of three, three and four, the last a check digit modulo 11 (NHS Data Dictionary, *NHS NUMBER*).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote, unquote

from workbench.errors import BadInput, MalformedJSON
from workbench.exchange.message import Exchange, Headers, Request, Response
from workbench.fhir import json
from workbench.fhir.resource import ElementPath

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

_PARAMETER = re.compile(r"""(?:^|(?<=[?&;]))([^=&#;?\s"<>]{1,128})=([^&#;\s"<>]+)""")
_PERSONAL_PARAMETER = re.compile(
    r"(?:.*[.:])?(?:family|given|name|phonetic|address|address-.*|birthdate|phone|email|telecom|identifier)(?::.*)?",
    re.IGNORECASE | re.DOTALL,
)
_UNQUOTED: Final = "'@:,|/!$()*~"
"""What servers and people leave as it is in a parameter, beside letters and digits."""

_PLACEHOLDER = re.compile(r"redacted-[0-9]{1,15}(?![0-9])")
_MOST: Final = 10**12
"""No journal numbers as far; what looks like a placeholder beyond is text."""

_GAP = r"(?:%[0-9A-Fa-f]{2}|[\W_]){0,3}"
_TEN = rf"\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{4}}"
_TEN_DIGITS = re.compile(
    rf"(?:(?<=%[0-9A-Fa-f]{{2}})|(?<![^\W_])(?<!\d[.,])(?<!redacted-))(?P<alone>{_TEN})(?![^\W_]|[.,]\d)"
    rf"|(?<![\w%.,-])(?P<before>[^\W\d_]{{0,20}})(?P<within>{_TEN})(?P<after>[^\W\d_]{{0,20}})(?![\w-]|[.,]\d)"
)
"""Ten digits in three groups with any signs between them: alone, or in a word of letters such as ``nhs9990000018``.

Not in what has more digits, and not in a word with hyphens around it: every three-thousandth UUID would look like one.
"""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_TOLD_IN_WORDS: Final = 3
"""Shorter values are not looked for in the words of an OperationOutcome: they would be found in other words."""


def is_nhs_number(text: str) -> bool:
    """Whether this is an NHS number: ten digits, the last of which checks the others.

    >>> is_nhs_number("9990000018"), is_nhs_number("9990000019")
    (True, False)
    """
    digits = [int(sign) for sign in _ESCAPE.sub("", text) if sign.isdecimal()]
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
        self._elements: dict[str, list[ElementPath]] = {}
        for path in self.paths:
            if path != NHS_NUMBERS:
                element = ElementPath.read(path)
                self._elements.setdefault(element.steps[-1], []).append(element)
        self._placeholders: dict[tuple[str, str], str] = {}
        self._values: dict[str, Any] = {}
        self._phrases = Phrases()
        self._highest = 0
        self._key = b""
        self._kept: dict[bytes, int] = {}
        self.unkept: list[tuple[int, bytes]] = []
        """The numbers and digests that the file gone on with has not got yet; whoever has kept them clears this."""

    # --- going on ---

    def resume(self, key: bytes, kept: Mapping[bytes, int]) -> None:
        """Go on with the placeholders of a file: by digest of the value, the number that it has there.

        The digests are BLAKE2b's with this key. Those that the file lacks are in ``unkept`` from now on.
        """
        self._key, self._kept = key, dict(kept)
        self._highest = max([self._highest, *kept.values()])

    def reserve(self, text: str) -> None:
        """Give none of the placeholders of this text to another value."""
        numbers = map(_number_of, _PLACEHOLDER.findall(text))
        self._highest = max([self._highest, *(number for number in numbers if number < _MOST)])

    @property
    def highest(self) -> int:
        """The highest number that a placeholder has, or is reserved."""
        return self._highest

    # --- blanking ---

    def exchange(self, exchange: Exchange, *, foreign: bool = False) -> Exchange:
        """The exchange as it may be kept. ``foreign``: what looks like a placeholder in it is not one of these."""
        if not self.paths:
            return exchange
        request = self.request(exchange.request, foreign=foreign)  # first: what it holds, an answer may quote
        response = exchange.response and self.response(exchange.response, foreign=foreign)
        text = partial(self.text, foreign=foreign)
        blanked = replace(
            exchange,
            request=request,
            response=response,
            failure=self._in_words(text(exchange.failure)),
            resource_type=text(exchange.resource_type),
            logical_id=text(exchange.logical_id),
        )
        return blanked.judged(exchange.verdict)

    def request(self, request: Request, *, foreign: bool = False) -> Request:
        """The request, blanked: URL, header fields and body."""
        return replace(
            request,
            url=self.text(request.url, foreign=foreign),
            headers=self._headers(request.headers, foreign=foreign),
            body=self.body(request.body, foreign=foreign),
        )

    def response(self, response: Response, *, foreign: bool = False) -> Response:
        """The answer, blanked."""
        body = self.body(response.body, foreign=foreign)
        return replace(response, headers=self._headers(response.headers, foreign=foreign), body=body)

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
        return _outcomes(self._walk(content, (), "", foreign=foreign), self._in_words)

    def text(self, text: str, *, foreign: bool = False) -> str:
        """A text with the NHS numbers in it blanked, and in its URLs the parameters that search for a person."""
        if not self.paths:
            return text
        if foreign:
            text = _PLACEHOLDER.sub(lambda found: self._placeholder(found[0], foreign=True), text)
        if "=" in text:
            text = _PARAMETER.sub(self._parameter, text)
        if self._numbers:
            text = _TEN_DIGITS.sub(self._number, text)
        return text

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
        return replace(request, url=url, body=json.dumps(_leaves(content, self._put_back, self._put_back)).encode())

    def learn(self, clear: Any, blanked: Any) -> None:
        """Take over the placeholders of JSON (or of a URL) that was blanked before, beside the same in the clear."""
        if isinstance(clear, dict) and isinstance(blanked, dict):
            for (name, value), (blanked_name, other) in zip(clear.items(), blanked.items(), strict=False):
                self.learn(name, blanked_name)
                self.learn(value, other)
        elif isinstance(clear, list) and isinstance(blanked, list):
            for one, other in zip(clear, blanked, strict=False):
                self.learn(one, other)
        elif isinstance(blanked, str) and not isinstance(clear, dict | list) and clear != blanked:
            for value, placeholder in _pairs(str(clear), blanked):
                self._know(clear if value == str(clear) else value, placeholder)

    def __repr__(self) -> str:
        return f"<Redaction by {len(self.paths)} paths>"

    # --- how ---

    def _walk(self, node: Any, at: tuple[str, ...], kind: str, *, foreign: bool) -> Any:
        if isinstance(node, list):
            return [self._walk(item, at, kind, foreign=foreign) for item in node]
        if isinstance(node, str):
            return self.text(node, foreign=foreign)
        if not isinstance(node, dict):
            return self._placeholder(node) if self._is_number(node) else node
        if isinstance(node.get("resourceType"), str):
            at, kind = (), node["resourceType"]
        walked = {}
        for name, value in node.items():
            step = name.removeprefix("_")
            below = (*at, step)
            written = self.text(name, foreign=foreign)
            if any(path.leads_to(below, kind, node) for path in self._elements.get(step, ())):
                blank = partial(self._placeholder, foreign=foreign)
                walked[written] = _leaves(value, blank, partial(self.text, foreign=foreign))
            else:
                walked[written] = self._walk(value, below, kind, foreign=foreign)
        return walked

    def _is_number(self, node: Any) -> bool:
        """Whether this is an NHS number that JSON holds as a number."""
        return self._numbers and type(node) is int and 10**9 <= node < 10**10 and is_nhs_number(str(node))

    def _placeholder(self, value: Any, *, foreign: bool = False) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if not foreign and isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            return value  # blanked already
        kind = "" if isinstance(value, str) else type(value).__name__
        known = self._placeholders.get((kind, str(value)))
        return known or self._know(value, f"redacted-{self._numbered(kind, value)}")

    def _numbered(self, kind: str, value: Any) -> int:
        """The number that the value has in the file, or the next."""
        if not self._key:
            return self._highest + 1
        digest = blake2b(f"{kind}\0{value}".encode(), key=self._key, digest_size=16).digest()
        if digest not in self._kept:
            self._kept[digest] = self._highest + 1
            self.unkept.append((self._highest + 1, digest))
        return self._kept[digest]

    def _know(self, value: Any, placeholder: str) -> str:
        self._highest = max(self._highest, _number_of(placeholder))
        kind = "" if isinstance(value, str) else type(value).__name__
        self._values.setdefault(placeholder, value)
        if isinstance(value, str) and len(value) >= _TOLD_IN_WORDS:
            self._phrases.add(value, placeholder)
        return self._placeholders.setdefault((kind, str(value)), placeholder)

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
        leaf = _PARAMETER.sub(self._parameter_put_back, leaf)
        return _PLACEHOLDER.sub(lambda found: str(self._value(found[0])), leaf)

    def _headers(self, headers: Headers, *, foreign: bool) -> Headers:
        return Headers((name, self.text(value, foreign=foreign)) for name, value in headers.items())

    def _number(self, found: re.Match[str]) -> str:
        number = found["alone"] or found["within"]
        if not is_nhs_number(number):
            return found[0]
        return f"{found['before'] or ''}{self._placeholder(number)}{found['after'] or ''}"

    def _parameter(self, found: re.Match[str]) -> str:
        """A parameter that searches for a person, its value blanked whole; any other as it was."""
        name, value = found.groups()
        if not _PERSONAL_PARAMETER.fullmatch(unquote(name)):
            return found[0]
        return f"{name}={self._placeholder(unquote(value.replace('+', ' ')))}"

    def _parameter_put_back(self, found: re.Match[str]) -> str:
        name, value = found.groups()
        return f"{name}={quote(str(self._value(value)), safe=_UNQUOTED)}" if _PLACEHOLDER.fullmatch(value) else found[0]

    def _in_words(self, text: str) -> str:
        return self._phrases.replace(text, str)


def _number_of(placeholder: str) -> int:
    return int(placeholder.partition("-")[2])


def _pairs(clear: str, blanked: str) -> list[tuple[str, str]]:
    """What each placeholder of a text stands for, from the same text in the clear; nothing where they do not fit.

    Each stands for as little as there can be, and at least for one character.
    """
    between, placeholders = _PLACEHOLDER.split(blanked), _PLACEHOLDER.findall(blanked)
    if not placeholders or not clear.startswith(between[0]) or not clear.endswith(between[-1]):
        return []
    pairs, start = [], len(between[0])
    for placeholder, text in zip(placeholders[:-1], between[1:-1], strict=True):
        end = clear.find(text, start + 1)
        if end < 0:
            return []
        pairs.append((clear[start:end], placeholder))
        start = end + len(text)
    last = clear[start : len(clear) - len(between[-1])]
    return [*pairs, (last, placeholders[-1])] if last else []


def _leaves(node: Any, change: Callable[[Any], Any], rename: Callable[[str], Any]) -> Any:
    if isinstance(node, dict):
        return {str(rename(name)): _leaves(value, change, rename) for name, value in node.items()}
    return [_leaves(item, change, rename) for item in node] if isinstance(node, list) else change(node)


def _outcomes(node: Any, change: Callable[[str], str]) -> Any:
    """The same, with the texts of every OperationOutcome in it changed: an endpoint quotes there what it was sent."""
    if isinstance(node, list):
        return [_outcomes(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("resourceType") == "OperationOutcome":
        return _leaves(node, lambda leaf: change(leaf) if isinstance(leaf, str) else leaf, str)
    return {name: _outcomes(value, change) for name, value in node.items()}


_DEPTH: Final = 32
"""Words and signs by which a phrase is known; a longer one is taken to go on to the end of the text."""

_ENDS: Final = ""
_GOES_ON: Final = "  "
"""Keys of the tree that cannot be words of a text: none is empty, and none is two signs."""


class Phrases:
    """Phrases, each with a text of its own; ``word`` is what a word is made of, as in a regular expression."""

    def __init__(self, word: str = r"\w") -> None:
        self._split = re.compile(rf"{word}+|.", re.DOTALL)
        self._tree: dict[str, Any] = {}

    def add(self, phrase: str, about: str) -> None:
        """Look for this phrase from now on; the first that was added stays."""
        words = self._split.findall(phrase)
        if not words:
            return
        node = self._tree
        for word in words[:_DEPTH]:
            node = node.setdefault(word, {})
        node.setdefault(_ENDS if len(words) <= _DEPTH else _GOES_ON, about)

    def replace(self, text: str, instead: Callable[[str], str]) -> str:
        """The text with each phrase in it, the longest that begins at a word, replaced by what is to stand instead."""
        words = self._split.findall(text)
        written: list[str] = []
        place = 0
        while place < len(words):
            end, about = self._longest(words, place)
            written.append(words[place] if end == place else instead(about))
            place = max(end, place + 1)
        return "".join(written)

    def _longest(self, words: list[str], start: int) -> tuple[int, str]:
        """Where the longest phrase from ``start`` on ends, and what it is about; ``start`` where there is none."""
        node, found = self._tree, (start, "")
        for place in range(start, min(start + _DEPTH, len(words))):
            node = node.get(words[place], {})
            if not node:
                break
            if _GOES_ON in node:
                return len(words), node[_GOES_ON]
            if _ENDS in node:
                found = (place + 1, node[_ENDS])
        return found
