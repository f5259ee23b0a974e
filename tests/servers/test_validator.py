"""The endpoint's validation (VAL-1) beside HAPI FHIR's validator for STU3, over whole resources and broken ones.

``WORKBENCH_SERVERS=validator`` asks for it; ``docs/other-servers.md`` has the table. Broken resources are made from the
endpoint's own examples, and from FHIR's official ones if ``WORKBENCH_STU3_EXAMPLES`` names a folder with their JSON
(``examples-json.zip`` of the specification). The validator checks more than the endpoint promises: invariants,
terminology and profiles are left out of the comparison, since the endpoint says that it does not check them.
"""

import base64
import copy
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fetched import Unavailable, is_asked_for, skipped_where_unavailable
from serverkit import hapi

from workbench.endpoint import examples
from workbench.endpoint.request import TYPES
from workbench.endpoint.validation import validate
from workbench.fhir import json

PAGE = (Path(__file__).parents[2] / "docs" / "other-servers.md").read_text(encoding="utf-8")

_UNPROMISED = re.compile(
    r"Terminology_|Reference_|Extension_|.*#[a-z]{2,4}-\d+$|.*Profile|Type_Specific_Checks_DT_Identifier_System|XHTML_.*_Illegal|CONTAINED_ORPHAN",
    re.IGNORECASE,
)
"""Message ids of what the endpoint does not check: terminology, references, extensions' definitions, invariants."""


class Case(NamedTuple):
    """A resource to validate, and the kind of fault in it; empty if it is a whole one."""

    fault: str
    name: str
    body: str


class Error(NamedTuple):
    """An error of the validator: the id of its message, the element, and the message."""

    message_id: str
    element: str
    text: str


# --- the edges of VAL-1 ---

XHTML = 'xmlns=\\"http://www.w3.org/1999/xhtml\\"'


def _narrative(div: str) -> str:
    return f'"text": {{"status": "generated", "div": "{div}"}}'


def _extended(value: str) -> str:
    return f'"extension": [{{"url": "http://example.org/e", {value}}}]'


_STRING = '"valueString": "x"'


def _given(names: str) -> str:
    patient = f'{{"resourceType": "Patient", "id": "p", "name": [{{{names}}}]}}'
    return f'"contained": [{patient}], "subject": {{"reference": "#p"}}'


EDGES = {
    "a whole List": '"title": "whole"',
    "an id beside a value": '"title": "x", "_title": {"id": "a"}',
    "an extension instead of a value": '"_title": {"extension": [{"url": "http://a.example", "valueString": "x"}]}',
    "a sibling of another kind": '"_title": "x"',
    "a null with its sibling": _given(f'"given": [null, "x"], "_given": [{{{_extended(_STRING)}}}, null]'),
    "a null without its sibling": _given('"given": ["x", null]'),
    "a null in both arrays": _given('"given": ["x", null], "_given": [{"id": "a"}, null]'),
    "a sibling longer than its array": _given(f'"given": ["x"], "_given": [null, {{{_extended(_STRING)}}}]'),
    "a sibling shorter than its array": _given('"given": ["x", "y"], "_given": [{"id": "a"}]'),
    "a null among entries": '"entry": [null, {"item": {"display": "x"}}]',
    "a narrative": _narrative(f"<div {XHTML}><p>x</p></div>"),
    "a narrative with an entity": _narrative(f"<div {XHTML}>a &amp; b &#160;</div>"),
    "a narrative not closed": _narrative(f"<div {XHTML}>unclosed"),
    "a narrative without its namespace": _narrative("<div>x</div>"),
    "a narrative that is no div": _narrative(f"<p {XHTML}>x</p>"),
    "a narrative with two roots": _narrative(f"<div {XHTML}>x</div><div {XHTML}>y</div>"),
    "a narrative with an unknown entity": _narrative(f"<div {XHTML}>&nobody;</div>"),
    "a narrative of plain text": _narrative("x"),
    "an empty narrative": _narrative(f"<div {XHTML}></div>"),
    "a narrative with a script": _narrative(f"<div {XHTML}><script>x</script></div>"),
    "a blank in a uri": '"identifier": [{"system": "http://a.example/a b", "value": "x"}]',
    "a blank around a uri": '"identifier": [{"system": " http://a.example", "value": "x"}]',
    "an empty uri": '"identifier": [{"system": "", "value": "x"}]',
    "comments of DSTU2": '"fhir_comments": ["x"]',
    "a year": '"date": "2018"',
    "a month": '"date": "2018-05"',
    "a time without a zone": '"date": "2018-05-25T16:09:50"',
    "a time without seconds": '"date": "2018-05-25T16:09Z"',
    "a month that is not": '"date": "2018-13"',
    "a day that is not": '"date": "2018-02-30"',
    "a leap second": '"date": "2016-12-31T23:59:60Z"',
    "a zone that is not": '"date": "2018-05-25T16:09:50+15:00"',
    "a decimal": _extended('"valueDecimal": 1.10'),
    "a decimal with an exponent": _extended('"valueDecimal": 1e2'),
    "a decimal in a text": _extended('"valueDecimal": "1.0"'),
    "an integer with a point": _extended('"valueInteger": 1.0'),
    "an integer beyond 32 bits": _extended('"valueInteger": 2147483648'),
    "a negative unsignedInt": _extended('"valueUnsignedInt": -1'),
    "a positiveInt of nothing": _extended('"valuePositiveInt": 0'),
    "an oid": _extended('"valueOid": "urn:oid:2.16.840.1.113883.2.1.4.1"'),
    "an oid that is not": _extended('"valueOid": "1.2.3"'),
    "an id with an underscore": _extended('"valueId": "a_b"'),
    "an id of 65 characters": _extended(f'"valueId": "{"a" * 65}"'),
    "a code with two blanks": _extended('"valueCode": "a  b"'),
    "base64": _extended('"valueBase64Binary": "YWJj"'),
    "base64 that is not": _extended('"valueBase64Binary": "YWJ"'),
    "two values of one choice": _extended('"valueString": "a", "valueCode": "b"'),
    "an extension with neither": '"extension": [{"url": "http://example.org/e"}]',
    "an extension without a url": '"extension": [{"valueString": "x"}]',
    "a modifier extension": '"modifierExtension": [{"url": "http://example.org/e", "valueString": "x"}]',
    "a contained resource": '"contained": [{"resourceType": "Patient", "id": "p"}], "subject": {"reference": "#p"}',
    "a contained resource of no type": '"contained": [{"id": "p"}]',
    "a contained resource of another version": '"contained": [{"resourceType": "MolecularSequence", "id": "p"}]',
    "a control character": '"title": "a\\u0001b"',
    "an element in another case": '"Title": "x"',
    "implicit rules": '"implicitRules": "http://example.org/rules"',
    "a language that is not": '"language": "no language"',
}
"""Members of a List, each with one question about JSON or a type; the answer is the validator's."""


def edges() -> Iterator[Case]:
    """Yield a List for each edge."""
    for name, members in EDGES.items():
        yield Case(name, name, f'{{"resourceType": "List", "status": "current", "mode": "working", {members}}}')


# --- broken resources ---

REPLACED: dict[str, Any] = {
    "null": None,
    "an empty text": "",
    "an empty object": {},
    "an empty array": [],
    "a text": "text",
    "a text with a blank": "a b",
    "a text of blanks": "  ",
    "a number": 5,
    "a boolean": True,
    "an array around it": ...,
    "an array with null": ...,
}


def broken(resource: dict[str, Any], name: str) -> Iterator[Case]:
    """Yield the resource with one fault, for each fault and each place."""
    for path in _paths(resource):
        *outer, last = path
        for fault, value in REPLACED.items():
            changed = copy.deepcopy(resource)
            place = _at(changed, outer)
            old = place[last]
            place[last] = [old] if "around" in fault else [old, None] if "with null" in fault else value
            if place[last] != old and path != ("resourceType",):
                yield _case(fault, name, path, changed)
        changed = copy.deepcopy(resource)
        del _at(changed, outer)[last]
        if path != ("resourceType",):
            yield _case("left out", name, path, changed)
        if isinstance(_at(resource, path), dict):
            changed = copy.deepcopy(resource)
            _at(changed, path)["unknown"] = "x"
            yield _case("an unknown element", name, path, changed)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from _paths(member, (*path, key))


def _at(value: Any, path: Sequence[Any]) -> Any:
    for step in path:
        value = value[step]
    return value


def _case(fault: str, name: str, path: tuple[Any, ...], resource: dict[str, Any]) -> Case:
    return Case(fault, f"{name}: {'.'.join(map(str, path))} {fault}", json.dumps(resource))


# --- both validators ---


class Comparison(NamedTuple):
    """What both say of one case: the endpoint's issues, and the validator's errors."""

    case: Case
    ours: tuple[str, ...]
    errors: tuple[Error, ...]

    @property
    def promised(self) -> tuple[Error, ...]:
        """The validator's errors about what the endpoint checks too."""
        return tuple(error for error in self.errors if not _UNPROMISED.match(error.message_id))

    @property
    def verdict(self) -> str:
        """Both accept, both refuse, or one of the two alone."""
        if self.ours:
            return "both refuse" if self.errors else "the endpoint alone refuses"
        if self.promised:
            return "the validator alone refuses"
        return "not promised" if self.errors else "both accept"


@pytest.fixture(scope="module")
def validator() -> list[str]:
    """The command that starts the validator; skips where it was not asked for, or cannot be had."""
    with skipped_where_unavailable("validator"):
        if not is_asked_for("validator"):
            raise Unavailable("it takes minutes; WORKBENCH_SERVERS=validator runs it")
        return list(hapi("validator", "Validator.java").command)
    raise AssertionError("skipped before")


def compare(command: list[str], cases: Sequence[Case]) -> list[Comparison]:
    lines = b"".join(base64.b64encode(case.body.encode()) + b"\n" for case in cases)
    done = subprocess.run(command, input=lines, capture_output=True, timeout=3600, check=True)
    answers = done.stdout.decode("ascii").splitlines()
    assert len(answers) == len(cases)
    return [Comparison(case, _ours(case), _theirs(line)) for case, line in zip(cases, answers, strict=True)]


def _ours(case: Case) -> tuple[str, ...]:
    resource = json.parse(case.body)
    return tuple(issue.diagnostics for issue in validate(resource["resourceType"], resource))


def _theirs(line: str) -> tuple[Error, ...]:
    errors = (base64.b64decode(error).decode() for error in line.split(",") if error)
    return tuple(Error(*error.split("\t", 2)) for error in errors)


def disagreements(found: Sequence[Comparison]) -> dict[str, str]:
    """The cases on which one of the two stands alone, by name."""
    return {each.case.name: each.verdict for each in found if "alone" in each.verdict}


EDGE_DISAGREEMENTS = {
    "a sibling longer than its array": "the endpoint alone refuses",
    "a narrative not closed": "the endpoint alone refuses",
    "a narrative with two roots": "the endpoint alone refuses",
    "an empty uri": "the validator alone refuses",
    "an id of 65 characters": "the validator alone refuses",
}
"""The page has each in its table."""


def test_the_edges(validator: list[str]) -> None:
    assert disagreements(compare(validator, list(edges()))) == EDGE_DISAGREEMENTS


def test_the_page_has_the_table_of_the_edges() -> None:
    for name, verdict in EDGE_DISAGREEMENTS.items():
        assert f"| {name} | {verdict} |" in PAGE


_RIGHTLY_REFUSED = re.compile(
    r"must not be an empty array|must not contain a blank|should match pattern '\^\[\^\\s\]\+"
)
"""What FHIR forbids and the validator overlooks: empty arrays, and a code or a ``uri`` of blanks."""


def _is_known(found: Comparison) -> bool:
    """Whether the page's table has this disagreement."""
    if found.ours:
        return all(_RIGHTLY_REFUSED.search(issue) for issue in found.ours)
    return all(error.message_id == "Type_Specific_Checks_DT_Primitive_NotEmpty" for error in found.promised)


def test_the_examples_and_each_with_a_fault(validator: list[str]) -> None:
    whole = [Case("", example["resourceType"], json.dumps(example)) for example in examples.load()]
    faulty = [case for example in examples.load() for case in broken(example, example["resourceType"])]
    found = compare(validator, [*whole, *faulty])
    assert {each.verdict for each in found[: len(whole)]} <= {"both accept", "not promised"}
    print(Counter(each.verdict for each in found))
    assert [each for each in found if "alone" in each.verdict and not _is_known(each)] == []


def test_the_official_examples(validator: list[str]) -> None:
    folder = os.environ.get("WORKBENCH_STU3_EXAMPLES")
    if folder is None:
        pytest.skip("WORKBENCH_STU3_EXAMPLES names no folder with FHIR's official examples")
    parsed = {file.stem: json.parse(file.read_bytes()) for file in sorted(Path(folder).glob("*.json"))}
    ours = {name: resource for name, resource in parsed.items() if resource.get("resourceType") in TYPES}
    assert ours
    found = compare(validator, [Case("", name, json.dumps(resource)) for name, resource in ours.items()])
    assert disagreements(found) == {}

    faulty = [case for name, resource in ours.items() for case in broken(resource, name)]
    sampled = compare(validator, faulty[:: max(1, len(faulty) // MOST_OFFICIAL)])
    print(Counter(each.verdict for each in sampled))
    assert [each for each in sampled if "alone" in each.verdict and not _is_known(each)] == []


MOST_OFFICIAL = 1500
"""Broken official examples that are tried, evenly spread; all are some 36,000, which take an hour."""
