"""JSON as clinical data needs it: nothing is changed on the way through, and nothing is guessed.

Owns: parsing and writing FHIR JSON exactly (UPD-5). Decimals keep every digit they were written with
(``1.10`` is not ``1.1`` in FHIR: the digits carry the precision), members keep their order, and what
JSON or FHIR cannot carry is refused with its place in the text: duplicate names, NaN and Infinity,
lone surrogates, text that is not UTF-8, nesting deeper than ``MAX_DEPTH``.

Built on simplejson: its C scanner and writer take a ``Decimal`` subclass as it is, which the standard
library's cannot.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Iterable
from typing import Any, Final, Self, cast

import simplejson

from workbench.errors import BadInput, MalformedJSON

MAX_DEPTH: Final = 100
"""Objects and arrays inside one another. A deep resource has some twenty."""

_MOST_INT_DIGITS: Final = 4000
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


class ExactDecimal(decimal.Decimal):
    """A decimal that remembers how it was written; calculates like any other ``Decimal``.

    >>> parse("[1.10, 1e2]")
    [Decimal('1.10'), Decimal('1e2')]
    >>> dumps(parse("[1.10, 1e2]"))
    '[1.10,1e2]'
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """From the number as JSON writes it."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Decimal({self.text!r})"

    def __format__(self, spec: str, /) -> str:  # type: ignore[override]
        return format(decimal.Decimal(self.text), spec) if spec else self.text

    def __reduce__(self) -> tuple[type[ExactDecimal], tuple[str]]:
        return (ExactDecimal, (self.text,))

    def __deepcopy__(self, memo: object) -> ExactDecimal:
        return self


class _Duplicate(Exception):
    """A name stood twice in one object; where, is worked out afterwards."""


class _TooLarge(Exception):
    """A number that cannot be held; its text is the argument."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Duplicate
    return members


def _exact_decimal(text: str) -> ExactDecimal:
    try:
        return ExactDecimal(text)
    except decimal.InvalidOperation:
        raise _TooLarge(text) from None


def _exact_integer(text: str) -> int | ExactDecimal:
    # Python's int has no minus zero, and refuses to read more than 4,300 digits.
    return _exact_decimal(text) if text == "-0" or len(text) > _MOST_INT_DIGITS else int(text)


_decoder = simplejson.JSONDecoder(
    object_pairs_hook=_members, parse_float=_exact_decimal, parse_int=_exact_integer, allow_nan=False
)


def parse(text: str | bytes) -> Any:
    """Read JSON into plain dicts, lists, strings, ints, bools, None and exact decimals.

    Raises ``MalformedJSON``, which says in one sentence what is wrong and where. Two calls never share
    an object, so what comes back may be edited freely.
    """
    source = _as_text(text)
    try:
        value = _decoder.decode(source)
    except simplejson.JSONDecodeError as error:
        raise _at(source, error.pos, _reworded(source, error)) from None
    except _Duplicate:
        position, name = _first_duplicate(source)
        raise _at(source, position, f"the name {name[:80]} stands twice in one object.") from None
    except _TooLarge as error:
        number = str(error)
        raise _at(source, source.find(number), "this number is too large to be held.") from None
    except RecursionError:
        raise _too_deep(source) from None
    if source.count("{") + source.count("[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise _too_deep(source)
    if (lone := _LONE_SURROGATE.search(source)) and not _encodable(dumps(value)):
        raise _at(source, lone.start(), "half a surrogate pair is not a character.")
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Write JSON: compact, or with ``indent`` spaces a level. Decimals come out digit for digit.

    Raises ``BadInput`` for what JSON cannot carry (NaN, Infinity, an object of some other class).
    """
    try:
        return _encoder(indent).encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"This cannot be written as JSON: {error}.") from None


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON: ``1.10`` is not ``1.1``, ``1`` is not ``true``; order counts in lists only.

    >>> same(parse("1.10"), parse("1.1")), same({"a": 1, "b": 2}, {"b": 2, "a": 1}), same(1, True)
    (False, True, False)
    """
    if left is right:
        return True
    if isinstance(left, str):
        return isinstance(right, str) and left == right
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    if _is_number(left):
        return _is_number(right) and str(left) == str(right)
    return type(left) is type(right) and bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)


def _encoder(indent: int | None) -> simplejson.JSONEncoder:
    return _COMPACT if indent is None else _build_encoder(indent)


def _build_encoder(indent: int | None) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(
        use_decimal=True,
        ensure_ascii=False,
        allow_nan=False,
        encoding=cast(str, None),  # bytes are no text
        indent=indent,
        separators=(",", ":") if indent is None else (",", ": "),
    )


_COMPACT = _build_encoder(None)


def _as_text(text: str | bytes) -> str:
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedJSON(f"byte {error.start} is not UTF-8.", position=0) from None
    elif not _encodable(text):
        raise MalformedJSON("the text holds half a surrogate pair, which is not a character.")
    if text.startswith("\ufeff"):
        raise MalformedJSON("the text starts with a byte order mark, which JSON does not allow.")
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _deeper_than(value: Any, limit: int) -> bool:
    """Level by level rather than recursively: the input may be hostile."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return False
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
    return bool(level)


def _children(node: Any) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node


def _at(source: str, position: int, problem: str) -> MalformedJSON:
    position = max(0, min(position, len(source)))
    line = source.count("\n", 0, position) + 1
    column = position - source.rfind("\n", 0, position)
    return MalformedJSON(problem, position=position, line=line, column=column)


def _reworded(source: str, error: simplejson.JSONDecodeError) -> str:
    if not source.strip():
        return "there is no JSON here."
    for constant in ("NaN", "Infinity", "-Infinity"):
        if source.startswith(constant, error.pos):
            return f"{constant} is not a JSON number."
    if "control character" in error.msg:
        return "a control character (a tab, a line break) must be escaped inside a string."
    if error.msg == "Extra data":
        return "there is more text after the end of the JSON."
    problem = str(error.msg).removesuffix(" starting at").removesuffix(" at")
    return f"{problem[:1].lower()}{problem[1:]}."


def _too_deep(source: str) -> MalformedJSON:
    depth = 0
    for token in _TOKEN.finditer(source):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth > MAX_DEPTH:
            return _at(source, token.start(), f"nested deeper than {MAX_DEPTH} levels.")
    return _at(source, 0, f"nested deeper than {MAX_DEPTH} levels.")


def _first_duplicate(source: str) -> tuple[int, str]:
    """Where the second of two equal names stands: a walk over tokens, taken only once one is known to be there."""
    scopes: list[set[str] | None] = []
    before = ""
    for token in _TOKEN.finditer(source):
        text = token[0]
        if text in ("{", "["):
            scopes.append(set() if text == "{" else None)
        elif text in ("}", "]"):
            scopes.pop()
        elif text[0] == '"' and before in ("{", ",") and scopes and (names := scopes[-1]) is not None:
            name = simplejson.loads(text)
            if name in names:
                return token.start(), text
            names.add(name)
        before = text
    return 0, "?"
