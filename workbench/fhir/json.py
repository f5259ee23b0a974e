"""Read and write FHIR JSON exactly (UPD-5).

Decimals keep their digits, because in FHIR ``1.10`` and ``1.1`` differ in precision. Members keep their
order. Text that JSON or FHIR does not allow is rejected with its line and column: duplicate names, NaN and
Infinity, lone surrogates, text that is not UTF-8, and nesting deeper than ``MAX_DEPTH``.

It uses simplejson, because the C code of simplejson accepts a ``Decimal`` subclass and that of the
standard library does not.
"""

from __future__ import annotations

import decimal
import re
from typing import Any, Final, Self, cast

import simplejson

from workbench.errors import BadInput, MalformedJSON

MAX_DEPTH: Final = 100
"""The deepest nesting of objects and arrays. A deep resource has about twenty levels."""

_MOST_INT_DIGITS: Final = 4000
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


class ExactDecimal(decimal.Decimal):
    """A ``Decimal`` that is written as it was read.

    >>> parse("[1.10, 1e2]")
    [Decimal('1.10'), Decimal('1e2')]
    >>> dumps(parse("[1.10, 1e2]"))
    '[1.10,1e2]'
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Build the decimal from the text of a JSON number."""
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
    """An object has two members of the same name; ``parse`` then looks for the position."""


class _TooLarge(Exception):
    """A number is too large for a ``Decimal``; the argument is its text."""


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
    # Python's int has no minus zero, and int() rejects more than 4,300 digits.
    return _exact_decimal(text) if text == "-0" or len(text) > _MOST_INT_DIGITS else int(text)


_decoder = simplejson.JSONDecoder(
    object_pairs_hook=_members, parse_float=_exact_decimal, parse_int=_exact_integer, allow_nan=False
)


def parse(text: str | bytes) -> Any:
    """Parse JSON into dicts, lists, strings, ints, bools, ``None`` and exact decimals.

    Raises ``MalformedJSON``. Two calls never share an object, so you can edit the result.
    """
    source = _as_text(text)
    try:
        value = _decoder.decode(source)
    except simplejson.JSONDecodeError as error:
        raise _error_at(source, error.pos, _describe(source, error)) from None
    except _Duplicate:
        position, name = _first_duplicate(source)
        raise _error_at(source, position, f"the name {name[:80]} stands twice in one object.") from None
    except _TooLarge as error:
        number = str(error)
        raise _error_at(source, source.find(number), "this number is too large to be held.") from None
    except RecursionError:
        raise _too_deep_error(source) from None
    if source.count("{") + source.count("[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise _too_deep_error(source)
    if (lone := _LONE_SURROGATE.search(source)) and not _encodable(dumps(value)):
        raise _error_at(source, lone.start(), "half a surrogate pair is not a character.")
    return value


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Write JSON, compact or with ``indent`` spaces a level. An exact decimal keeps its digits.

    Raises ``BadInput`` for a value that JSON does not have (NaN, Infinity, an object of another class).
    """
    encoder = _COMPACT if indent is None else _build_encoder(indent)
    try:
        return encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"This cannot be written as JSON: {error}.") from None


def same(left: Any, right: Any) -> bool:
    """Return whether two values are the same JSON. Digits count, the order of members does not.

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


def _build_encoder(indent: int | None) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(
        use_decimal=True,
        ensure_ascii=False,
        allow_nan=False,
        encoding=cast(str, None),  # do not write bytes as text
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
    # Level by level, because a recursive walk fails on hostile input.
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return False
        below = (child for node in level for child in (node.values() if isinstance(node, dict) else node))
        level = [child for child in below if isinstance(child, dict | list)]
    return bool(level)


def _error_at(source: str, position: int, problem: str) -> MalformedJSON:
    position = max(0, min(position, len(source)))
    line = source.count("\n", 0, position) + 1
    column = position - source.rfind("\n", 0, position)
    return MalformedJSON(problem, position=position, line=line, column=column)


def _describe(source: str, error: simplejson.JSONDecodeError) -> str:
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


def _too_deep_error(source: str) -> MalformedJSON:
    depth = 0
    for token in _TOKEN.finditer(source):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth > MAX_DEPTH:
            return _error_at(source, token.start(), f"nested deeper than {MAX_DEPTH} levels.")
    return _error_at(source, 0, f"nested deeper than {MAX_DEPTH} levels.")


def _first_duplicate(source: str) -> tuple[int, str]:
    """Return the position and the text of the first name that repeats another of its object."""
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
