"""Random but valid content that uses what FHIR JSON can say, and an exact comparison of two resources (UPD-5).

The same seed gives the same content. The elements are those that every resource type has, and more for a List and a
Flag. Each element is one that some server is known to lose or to rewrite.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from workbench.fhir import json
from workbench.fhir.diff import ABSENT

_URL: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/an-extension-of-a-check"
_SYSTEM: Final = "https://fhir.nhs.uk/Id/a-system-of-a-check"
_LONG_LIST: Final = 120
"""Entries; some servers cut lists at 100."""

_LONG_TEXT: Final = 5000
"""Characters; some databases cut texts at 255 or 4,000."""

_NESTED: Final = 4
_LONGEST_SHOWN: Final = 80

_TEXTS: Final = (
    "caf\u00e9, composed, and cafe\u0301, decomposed",
    "\ufb01ne \uff21 \u00bd \u2460: characters with compatibility forms",
    "Ωμέγα, שלום, ไทย, 𝄞, 👩\u200d👩\u200d👧, \u202ereversed\u202c",
    "a zero\u200bwidth space, a soft\u00adhyphen",
    "two  spaces,\ta tab,\r\na line of Windows,\na line of Unix",
    " white space at both ends ",
    "<b>markup</b> &amp; an entity, \"double\" and 'single', back\\slash, sl/ash",
    "“curly” quotes – a dash … an ellipsis",
    "null",
    "1.10",
    "UPPER and lower",
    "x" * _LONG_TEXT,
)
_PRIMITIVES: Final[dict[str, tuple[Any, ...]]] = {
    "valueBase64Binary": ("AAEC/w==",),
    "valueBoolean": (False, True),
    "valueCode": ("a-Code",),
    "valueDate": ("2018", "2018-05", "2018-05-25"),
    "valueDateTime": ("2018", "2018-05-25T16:09:50.120+01:00", "2018-05-25T00:00:00Z"),
    "valueId": ("An-Id.1",),
    "valueInstant": ("2018-05-25T16:09:50.1200+01:00", "2018-05-25T23:59:59Z"),
    "valueInteger": (0, -1, 2**31 - 1),
    "valueMarkdown": ("* a list\n* _of_ two\n\n  the end  ",),
    "valueOid": ("urn:oid:2.16.840.1.113883",),
    "valuePositiveInt": (1,),
    "valueString": _TEXTS,
    "valueTime": ("09:05:00.120", "23:59:59"),
    "valueUnsignedInt": (0,),
    "valueUri": ("HTTPS://Example.org/%7Ea/./b/?q=%2f", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"),
}
"""The forms of each primitive type, by the name that an extension gives its value."""

_DECIMALS: Final = ("1.10", "0.500", "100.00", "0.0", "-0.25", "12345678901234567.1234567890", "0.1000000000000000055")
_NARRATIVES: Final = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><p class=\'b\' id="a">Ωμέγα  &amp; 𝄞</p>\n<br/><!-- a comment --></div>',
    '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n  <ul><li>one</li><li></li></ul>&#160;</div>',
)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element in which two resources differ: its path, and its value in each; ``ABSENT`` for none."""

    path: str
    sent: Any
    stored: Any

    def __str__(self) -> str:
        return f"{self.path}: sent {_shown(self.sent)}, stored {_shown(self.stored)}"


def first_difference(sent: Any, stored: Any, path: str = "") -> Difference | None:
    """Compare member by member, text by text and digit by digit; return the first difference.

    >>> print(first_difference(json.parse('{"a": [1.10]}'), json.parse('{"a": [1.1]}')))
    a[0]: sent 1.10, stored 1.1
    """
    if isinstance(sent, dict) and isinstance(stored, dict):
        for name in [*sent, *(name for name in stored if name not in sent)]:
            below = f"{path}.{name}" if path else name
            if found := first_difference(sent.get(name, ABSENT), stored.get(name, ABSENT), below):
                return found
        if list(sent) != list(stored):
            return Difference(f"{path or 'the resource'}, the order of its members", list(sent), list(stored))
        return None
    if isinstance(sent, list) and isinstance(stored, list):
        for index in range(max(len(sent), len(stored))):
            left, right = (each[index] if index < len(each) else ABSENT for each in (sent, stored))
            if found := first_difference(left, right, f"{path}[{index}]"):
                return found
        return None
    same = sent is stored or (ABSENT not in (sent, stored) and json.same(sent, stored))
    return None if same else Difference(path, sent, stored)


def _shown(value: Any) -> str:
    """Return a value as JSON. Of a long one the beginning and the length are shown."""
    if value is ABSENT:
        return "nothing"
    text = ascii(value) if isinstance(value, str) else json.dumps(value)  # escapes tell look-alike characters apart
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text):,} characters)"


def rich_content(content: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the resource with random elements of every kind added, its members in random order."""
    return _Writer(random.Random(seed)).resource(content)  # noqa: S311  # the same content for the same seed


class _Writer:
    """Writes random elements; each call of a method returns another value."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def resource(self, content: dict[str, Any]) -> dict[str, Any]:
        meta = content.get("meta", {}) | {
            "profile": [f"{_URL}-1", f"{_URL}-2"],
            "_profile": [None, {"id": "p2"}],
            "security": [self._coding() | {"userSelected": False}],
            "tag": [self._coding(), self._coding()],
        }
        members = content | {
            "language": "en-GB",
            "_language": {"id": "l1", "extension": [self._extension("valueString", self._text())]},
            "text": {"id": "n1", "status": "additional", "div": self._pick(_NARRATIVES)},
            "contained": self._contained(),
            "extension": self._extensions(),
            "modifierExtension": [self._extension("valueBoolean", False)],
        }
        members |= _ELEMENTS.get(content["resourceType"], lambda _: {})(self)
        first = {name: members.pop(name) for name in ("resourceType", "id") if name in members}
        members.pop("meta", None)
        return first | {"meta": self._shuffled(meta)} | self._shuffled(members)

    def _pick(self, options: tuple[str, ...]) -> str:
        return self._chance.choice(options)

    def _text(self) -> str:
        return f"{self._pick(_TEXTS)}{self._chance.randrange(10)}{self._pick(('', ' ', '.'))}"

    def _decimal(self) -> Decimal:
        digits = self._pick(_DECIMALS)
        exact: Decimal = json.parse(digits)
        return exact

    def _shuffled(self, members: dict[str, Any]) -> dict[str, Any]:
        names = list(members)
        self._chance.shuffle(names)
        return {name: members[name] for name in names}

    def _coding(self) -> dict[str, Any]:
        return {"system": _SYSTEM, "code": f"C-{self._chance.randrange(10**6)}", "display": self._text()}

    def _concept(self) -> dict[str, Any]:
        return self._shuffled({"id": "c1", "coding": [self._coding(), self._coding()], "text": self._text()})

    def _quantity(self) -> dict[str, Any]:
        return {"value": self._decimal(), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}

    def _identifier(self) -> dict[str, Any]:
        """Return one of two forms: with a value, or with an extension that says why there is none."""
        absent = self._extension("valueCode", "unknown")
        value: dict[str, Any] = {"value": self._text()} if self._chance.random() < 0.5 else {}
        return {"system": _SYSTEM} | (value or {"_value": {"extension": [absent]}})

    def _extension(self, name: str, value: Any) -> dict[str, Any]:
        return {"id": f"e{self._chance.randrange(1000)}", "url": f"{_URL}-{self._chance.randrange(9)}", name: value}

    def _extensions(self) -> list[dict[str, Any]]:
        """Return an extension for each kind of value, in random order: one is nested, two are equal."""
        values = [(name, value) for name, forms in _PRIMITIVES.items() for value in forms]
        values += [("valueDecimal", json.parse(digits)) for digits in _DECIMALS]
        values += [
            ("valueAddress", {"line": ["1 High Street", None], "_line": [None, {"id": "l2"}], "city": self._text()}),
            ("valueHumanName", {"family": "O'Neill", "given": ["Zoë", "Ann", "Ann", "Beth"]}),
            ("valueCodeableConcept", self._concept()),
            ("valueCoding", self._coding()),
            ("valueQuantity", self._quantity()),
            ("valueRange", {"low": self._quantity(), "high": self._quantity()}),
            ("valuePeriod", {"start": "2018-01", "_end": {"id": "open"}}),
            ("valueIdentifier", self._identifier()),
            ("valueReference", {"reference": "#p1", "display": self._text()}),
            ("valueReference", {"reference": "#o1"}),
            ("valueReference", {"reference": "Patient/9990000018/_history/2"}),
            ("valueReference", {"reference": "https://Example.org/Patient/1"}),
        ]
        extensions = [self._extension(name, value) for name, value in values]
        self._chance.shuffle(extensions)
        nested = self._extension("valueString", self._text())
        for depth in range(_NESTED):
            nested = {"url": f"{_URL}-nested-{depth}", "extension": [nested]}
        equal = {"url": f"{_URL}-equal", "valueString": self._text()}
        return [equal, *extensions, nested, dict(equal)]

    def _contained(self) -> list[dict[str, Any]]:
        patient = {
            "resourceType": "Patient",
            "id": "p1",
            "active": False,
            "name": [{"family": self._text(), "given": ["Ann", "Ann"]}],
            "birthDate": "1950-02",
        }
        observation = {
            "resourceType": "Observation",
            "id": "o1",
            "status": "final",
            "code": self._concept(),
            "valueQuantity": self._quantity(),
        }
        return self._chance.sample([patient, observation], 2)

    def of_list(self) -> dict[str, Any]:
        """Return elements of a List: more entries than some servers keep, and equal ones among them."""
        entries: list[dict[str, Any]] = [
            {"item": {"display": f"{number % 97}, {self._text()[:30]}!"}} for number in range(_LONG_LIST)
        ]
        entries[3]["deleted"] = False
        again = self._identifier()
        return {
            "mode": "changes",
            "identifier": [again, self._identifier(), dict(again)],
            "code": self._concept(),
            "date": "2018-05-25T16:09:50+01:00",
            "note": [{"authorString": "a check", "time": "2018-05-25", "text": self._text()}],
            "entry": [*entries, dict(entries[0]), dict(entries[0])],
        }

    def of_flag(self) -> dict[str, Any]:
        """Return elements of a Flag."""
        again = self._identifier()
        return {
            "identifier": [again, self._identifier(), dict(again)],
            "category": self._concept(),
            "period": {"start": "2018", "end": "2018-12-31T23:59:59.90+01:00"},
        }


_ELEMENTS: Final = {"List": _Writer.of_list, "Flag": _Writer.of_flag}
