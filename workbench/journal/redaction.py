"""Redaction: personal data is replaced by placeholders before anything keeps it.

Equal values get equal placeholders. A placeholder such as ``redacted-1`` is also a FHIR id that fits into a URL. So a
reference to ``Patient/9990000018`` becomes one to ``Patient/redacted-1``, and readers can still follow it. Numbers are
given in the order in which values are met. A ``Redaction`` keeps the values in memory to restore them; it never writes
or shows them.

Every text passes ``Redaction.text``: URLs, header fields and strings of a body, because each can contain a URL. A body
that is not JSON is left out whole, because no element path leads into it.
Source: NHS Data Dictionary, *NHS NUMBER* (ten digits, the last one a check digit modulo 11).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from workbench.errors import BadInput, MalformedJSON
from workbench.exchange.message import Exchange, Headers, Request, Response
from workbench.fhir import json
from workbench.fhir.resource import ElementPath

NHS_NUMBERS: Final = "NHS numbers"
"""An entry of a list of paths; it means every NHS number, in any text."""

_PEOPLE = ("Patient", "Person", "RelatedPerson", "Practitioner")
_ABOUT_PEOPLE = ("name", "address", "telecom", "birthDate", "photo", "contact", "identifier.value", "text.div")

PERSONAL: Final = (
    NHS_NUMBERS,
    "*.identifier.value where system is https://fhir.nhs.uk/Id/nhs-number",
    *(f"{person}.{element}" for person in _PEOPLE for element in _ABOUT_PEOPLE),
    *("*.family", "*.given", "*.address", "*.birthDate", "*.postalCode", "*.text.div"),
    *("*.subject.display", "*.patient.display", "*.individual.display"),
)
"""The default paths: NHS numbers, names, addresses, dates of birth, narratives."""

NOT_JSON: Final = b"(not JSON, so left out)"

_PARAMETER = re.compile(r"""(?:^|(?<=[?&;]))([^=&#;?\s"<>]{1,128})=([^&#;\s"<>]+)""")
_PERSONAL_PARAMETER = re.compile(
    r"(?:.*[.:])?(?:family|given|name|phonetic|address|address-.*|birthdate|phone|email|telecom|identifier)(?::.*)?",
    re.IGNORECASE | re.DOTALL,
)
_UNQUOTED: Final = "'@:,|/!$()*~"
"""Characters that are not percent-encoded in a parameter, beside letters and digits."""

PLACEHOLDER = re.compile(r"redacted-[0-9]{1,15}(?![0-9])")
MOST_PLACEHOLDERS: Final = 10**12
"""No journal has as many placeholders; a higher number is text."""

_GAP = r"(?:%[0-9A-Fa-f]{2}|[\W_]){0,3}"
_TEN = rf"\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{4}}"
_TEN_DIGITS = re.compile(
    rf"(?:(?<=%[0-9A-Fa-f]{{2}})|(?<![^\W_])(?<!\d[.,])(?<!redacted-))(?P<alone>{_TEN})(?![^\W_]|[.,]\d)"
    rf"|(?<![\w%.,-])(?P<before>[^\W\d_]{{0,20}})(?P<within>{_TEN})(?P<after>[^\W\d_]{{0,20}})(?![\w-]|[.,]\d)"
)
"""Ten digits in groups of three, three and four, with any signs between the groups.

They stand alone, or in a word of letters such as ``nhs9990000018``. They are not part of a longer number. They have no
hyphens around them, because one UUID in three thousand would match.
"""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_SHORTEST_QUOTED: Final = 3
"""Shorter values are not searched for in an OperationOutcome, because they occur in other words."""


def is_nhs_number(text: str) -> bool:
    """Return whether a text is an NHS number: ten digits with a correct check digit.

    >>> is_nhs_number("9990000018"), is_nhs_number("9990000019")
    (True, False)
    """
    digits = [int(sign) for sign in _ESCAPE.sub("", text) if sign.isdecimal()]
    if len(digits) != 10:
        return False
    check = 11 - sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check % 11 == digits[9]


def redacted_paths(redact: bool | Iterable[str] | None, *, live: bool) -> tuple[str, ...]:
    """Return the element paths that a ``redact=`` argument means; ``None`` means ``live``.

    Raises ``BadInput`` for a text in place of a list.
    """
    if isinstance(redact, str):
        raise BadInput(f"redact= takes a list of paths, so write [{redact!r}].")
    wanted = live if redact is None else redact
    return (PERSONAL if wanted else ()) if isinstance(wanted, bool) else tuple(wanted)


class RedactionRule(NamedTuple):
    """What a journal redacts: the element paths, and whether also in exchanges with loopback endpoints."""

    paths: tuple[str, ...]
    everywhere: bool

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain JSON."""
        return {"paths": list(self.paths), "everywhere": self.everywhere}

    @classmethod
    def from_json(cls, found: Any) -> RedactionRule:
        """Return the rule that ``as_json`` wrote; raises ``BadInput`` for anything else."""
        match found:
            case {"paths": list(paths), "everywhere": bool(everywhere)} if all(isinstance(path, str) for path in paths):
                return cls(tuple(paths), everywhere)
        raise BadInput("A redaction rule has a list of paths, and whether it holds everywhere.")


class Redaction:
    """The element paths to redact, and the placeholders given so far. For one thread at a time."""

    def __init__(self, paths: Iterable[str] = PERSONAL) -> None:
        """Take paths as ``ElementPath`` reads them, and ``NHS_NUMBERS``; raises ``BadInput`` for another path."""
        self.paths = tuple(paths)
        self._has_nhs_numbers = NHS_NUMBERS in self.paths
        self._elements: dict[str, list[ElementPath]] = {}
        for path in self.paths:
            if path != NHS_NUMBERS:
                element = ElementPath.read(path)
                self._elements.setdefault(element.steps[-1], []).append(element)
        self._placeholders: dict[tuple[str, str], str] = {}
        self._values: dict[str, Any] = {}
        self._phrases = Phrases()
        self.highest = 0
        """The highest number of a placeholder that is given or reserved."""
        self._key = b""
        self._numbers_by_digest: dict[bytes, int] = {}
        self.unkept: list[tuple[int, bytes]] = []
        """The new numbers and digests that the file does not hold yet; the journal writes them and clears the list."""

    def resume(self, key: bytes, kept: Mapping[bytes, int]) -> None:
        """Continue with the placeholders of a file: the number of each by the digest of its value.

        The digests are keyed BLAKE2b. From now on ``unkept`` collects those that the file lacks.
        """
        self._key, self._numbers_by_digest = key, dict(kept)
        self.highest = max([self.highest, *kept.values()])

    def reserve(self, text: str) -> None:
        """Never give a placeholder that occurs in this text to a value."""
        numbers = map(_placeholder_number, PLACEHOLDER.findall(text))
        self.highest = max([self.highest, *(number for number in numbers if number < MOST_PLACEHOLDERS)])

    # --- redacting ---

    def exchange(self, exchange: Exchange, *, foreign: bool = False) -> Exchange:
        """Return the exchange redacted, with its verdict unchanged.

        ``foreign``: what looks like a placeholder in the exchange is text from elsewhere, so it is replaced too.
        """
        if not self.paths:
            return exchange
        request = self.request(exchange.request, foreign=foreign)  # first, because the response may quote it
        response = exchange.response and self.response(exchange.response, foreign=foreign)
        text = partial(self.text, foreign=foreign)
        redacted = replace(
            exchange,
            request=request,
            response=response,
            failure=self._phrases.replace(text(exchange.failure), str),
            resource_type=text(exchange.resource_type),
            logical_id=text(exchange.logical_id),
        )
        return redacted.judged(exchange.verdict)

    def request(self, request: Request, *, foreign: bool = False) -> Request:
        """Return the request with URL, header fields and body redacted."""
        return replace(
            request,
            url=self.text(request.url, foreign=foreign),
            headers=self._headers(request.headers, foreign=foreign),
            body=self.body(request.body, foreign=foreign),
        )

    def response(self, response: Response, *, foreign: bool = False) -> Response:
        """Return the response with header fields and body redacted."""
        body = self.body(response.body, foreign=foreign)
        return replace(response, headers=self._headers(response.headers, foreign=foreign), body=body)

    def body(self, body: bytes, *, foreign: bool = False) -> bytes:
        """Return a body redacted; without personal elements it stays byte for byte the same."""
        if not body or not self.paths:
            return body
        try:
            content = json.parse(body)
        except MalformedJSON:
            return NOT_JSON
        redacted = self.resource(content, foreign=foreign)
        return body if json.same(content, redacted) else json.dumps(redacted).encode()

    def resource(self, content: Any, *, foreign: bool = False) -> Any:
        """Return a redacted copy of JSON content; other values and decimals stay exact."""
        redacted = self._walk(content, (), "", foreign=foreign)
        return _change_outcomes(redacted, lambda text: self._phrases.replace(text, str))

    def text(self, text: str, *, foreign: bool = False) -> str:
        """Return a text without NHS numbers, and without the values of URL parameters that search for a person."""
        if not self.paths:
            return text
        if foreign:
            text = PLACEHOLDER.sub(lambda found: self._placeholder(found[0], foreign=True), text)
        if "=" in text:
            text = _PARAMETER.sub(self._redact_parameter, text)
        if self._has_nhs_numbers:
            text = _TEN_DIGITS.sub(self._redact_number, text)
        return text

    # --- restoring ---

    def restored(self, request: Request) -> Request:
        """Return the request with the value of each placeholder.

        Raises ``BadInput`` for an unknown placeholder, because it would overwrite the value that it hides.
        """
        url = PLACEHOLDER.sub(lambda found: quote(str(self._value(found[0])), safe=""), request.url)
        if not PLACEHOLDER.search(request.body.decode("utf-8", errors="replace")):
            return replace(request, url=url)
        try:
            content = json.parse(request.body)
        except MalformedJSON:
            return replace(request, url=url)
        restored = _map_leaves(content, self._restore_leaf, self._restore_leaf)
        return replace(request, url=url, body=json.dumps(restored).encode())

    def learn(self, original: Any, redacted: Any) -> None:
        """Take over the placeholders of redacted JSON (or of a redacted URL) by comparing it with the original."""
        if isinstance(original, dict) and isinstance(redacted, dict):
            for (name, value), (redacted_name, other) in zip(original.items(), redacted.items(), strict=False):
                self.learn(name, redacted_name)
                self.learn(value, other)
        elif isinstance(original, list) and isinstance(redacted, list):
            for one, other in zip(original, redacted, strict=False):
                self.learn(one, other)
        elif isinstance(redacted, str) and not isinstance(original, dict | list) and original != redacted:
            for value, placeholder in _placeholder_values(str(original), redacted):
                self._remember(original if value == str(original) else value, placeholder)

    def __repr__(self) -> str:
        return f"<Redaction by {len(self.paths)} paths>"

    def _walk(self, node: Any, at: tuple[str, ...], kind: str, *, foreign: bool) -> Any:
        if isinstance(node, list):
            return [self._walk(item, at, kind, foreign=foreign) for item in node]
        if isinstance(node, str):
            return self.text(node, foreign=foreign)
        if not isinstance(node, dict):
            is_personal = self._has_nhs_numbers and type(node) is int and node > 0 and is_nhs_number(str(node))
            return self._placeholder(node) if is_personal else node
        if isinstance(node.get("resourceType"), str):
            at, kind = (), node["resourceType"]
        walked = {}
        for name, value in node.items():
            step = name.removeprefix("_")
            below = (*at, step)
            written = self.text(name, foreign=foreign)
            if any(path.leads_to(below, kind, node) for path in self._elements.get(step, ())):
                placeholder = partial(self._placeholder, foreign=foreign)
                walked[written] = _map_leaves(value, placeholder, partial(self.text, foreign=foreign))
            else:
                walked[written] = self._walk(value, below, kind, foreign=foreign)
        return walked

    def _placeholder(self, value: Any, *, foreign: bool = False) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if not foreign and isinstance(value, str) and PLACEHOLDER.fullmatch(value):
            return value
        kind = "" if isinstance(value, str) else type(value).__name__
        known = self._placeholders.get((kind, str(value)))
        return known or self._remember(value, f"redacted-{self._number_of(kind, value)}")

    def _number_of(self, kind: str, value: Any) -> int:
        """Return the number that the value has in the file, or the next one."""
        if not self._key:
            return self.highest + 1
        digest = blake2b(f"{kind}\0{value}".encode(), key=self._key, digest_size=16).digest()
        if digest not in self._numbers_by_digest:
            self._numbers_by_digest[digest] = self.highest + 1
            self.unkept.append((self.highest + 1, digest))
        return self._numbers_by_digest[digest]

    def _remember(self, value: Any, placeholder: str) -> str:
        self.highest = max(self.highest, _placeholder_number(placeholder))
        kind = "" if isinstance(value, str) else type(value).__name__
        self._values.setdefault(placeholder, value)
        if isinstance(value, str) and len(value) >= _SHORTEST_QUOTED:
            self._phrases.add(value, placeholder)
        return self._placeholders.setdefault((kind, str(value)), placeholder)

    def _value(self, placeholder: str) -> Any:
        if placeholder not in self._values:
            raise BadInput(
                f"{placeholder} is a placeholder whose value is unknown here, so this cannot be sent: it would "
                "overwrite that value. Read the resource again and edit that copy."
            )
        return self._values[placeholder]

    def _restore_leaf(self, leaf: Any) -> Any:
        if not isinstance(leaf, str):
            return leaf
        if PLACEHOLDER.fullmatch(leaf):
            return self._value(leaf)
        leaf = _PARAMETER.sub(self._restore_parameter, leaf)
        return PLACEHOLDER.sub(lambda found: str(self._value(found[0])), leaf)

    def _headers(self, headers: Headers, *, foreign: bool) -> Headers:
        return Headers((name, self.text(value, foreign=foreign)) for name, value in headers.items())

    def _redact_number(self, found: re.Match[str]) -> str:
        number = found["alone"] or found["within"]
        if not is_nhs_number(number):
            return found[0]
        return f"{found['before'] or ''}{self._placeholder(number)}{found['after'] or ''}"

    def _redact_parameter(self, found: re.Match[str]) -> str:
        """Return a parameter that searches for a person without its value; any other unchanged."""
        name, value = found.groups()
        if not _PERSONAL_PARAMETER.fullmatch(unquote(name)):
            return found[0]
        return f"{name}={self._placeholder(unquote(value.replace('+', ' ')))}"

    def _restore_parameter(self, found: re.Match[str]) -> str:
        name, value = found.groups()
        return f"{name}={quote(str(self._value(value)), safe=_UNQUOTED)}" if PLACEHOLDER.fullmatch(value) else found[0]


def _placeholder_number(placeholder: str) -> int:
    return int(placeholder.partition("-")[2])


def _placeholder_values(original: str, redacted: str) -> list[tuple[str, str]]:
    """Return the value of each placeholder in a redacted text; nothing if the texts do not match.

    Each value is as short as possible, and at least one character long.
    """
    between, placeholders = PLACEHOLDER.split(redacted), PLACEHOLDER.findall(redacted)
    if not placeholders or not original.startswith(between[0]) or not original.endswith(between[-1]):
        return []
    pairs, start = [], len(between[0])
    for placeholder, text in zip(placeholders[:-1], between[1:-1], strict=True):
        end = original.find(text, start + 1)
        if end < 0:
            return []
        pairs.append((original[start:end], placeholder))
        start = end + len(text)
    last = original[start : len(original) - len(between[-1])]
    return [*pairs, (last, placeholders[-1])] if last else []


def _map_leaves(node: Any, change: Callable[[Any], Any], rename: Callable[[str], Any]) -> Any:
    if isinstance(node, dict):
        return {str(rename(name)): _map_leaves(value, change, rename) for name, value in node.items()}
    return [_map_leaves(item, change, rename) for item in node] if isinstance(node, list) else change(node)


def _change_outcomes(node: Any, change: Callable[[str], str]) -> Any:
    """Return JSON with every text of an OperationOutcome changed, because an endpoint quotes there what was sent."""
    if isinstance(node, list):
        return [_change_outcomes(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("resourceType") == "OperationOutcome":
        return _map_leaves(node, lambda leaf: change(leaf) if isinstance(leaf, str) else leaf, str)
    return {name: _change_outcomes(value, change) for name, value in node.items()}


_MOST_WORDS: Final = 32
"""A longer phrase is found by its beginning, and taken to reach to the end of the text."""


class Phrases:
    """Many phrases searched for at once, as whole words, in one pass.

    Each phrase has a text to replace it. The cost of a word does not grow with the number of phrases. ``word`` is a
    regular expression for one character of a word; any other character is a word of its own.
    """

    def __init__(self, word: str = r"\w") -> None:
        self._split = re.compile(rf"{word}+|.", re.DOTALL)
        self._about: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, list[int]] = {}  # of the phrases that begin with a word, the longest first

    def add(self, phrase: str, about: str) -> None:
        """Search for this phrase from now on; a phrase keeps the first text added for it."""
        words = tuple(self._split.findall(phrase)[: _MOST_WORDS + 1])
        if words and words not in self._about:
            self._about[words] = about
            known = self._lengths.setdefault(words[0], [])
            known[:] = sorted({*known, len(words)}, reverse=True)

    def replace(self, text: str, instead: Callable[[str], str]) -> str:
        """Return the text with each phrase replaced by ``instead(about)``; the longest phrase at a word counts."""
        words = self._split.findall(text)
        written: list[str] = []
        position = 0
        while position < len(words):
            lengths = self._lengths.get(words[position], ())
            phrases = (tuple(words[position : position + length]) for length in lengths)
            phrase = next((phrase for phrase in phrases if phrase in self._about), ())
            written.append(instead(self._about[phrase]) if phrase else words[position])
            position = len(words) if len(phrase) > _MOST_WORDS else position + max(1, len(phrase))
        return "".join(written)
