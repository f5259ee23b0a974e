"""VAL-1: what is a valid STU3 resource and what is not, each fault with the element it is about."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.STU3 import get_fhir_model_class

from workbench.conformance.content import rich_content
from workbench.conformance.under_check import TEMPLATES
from workbench.endpoint import examples
from workbench.endpoint.validation import MOST_ISSUES, MOST_TAGS, find_issues, is_plainly_valid, validate
from workbench.fhir.json import dumps, parse

SUBJECT = {"reference": "Patient/1"}


def a_list(**members: Any) -> dict[str, Any]:
    return {"resourceType": "List", "status": "current", "mode": "working", **members}


def extended(**value: Any) -> dict[str, Any]:
    return a_list(extension=[{"url": "http://a", **value}])


def narrated(div: Any) -> dict[str, Any]:
    return a_list(text={"status": "generated", "div": div})


def named(**names: Any) -> dict[str, Any]:
    return a_list(contained=[{"resourceType": "Patient", "name": [names]}])


XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
BOMB = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))


def parsed(resource: dict[str, Any]) -> Any:
    return parse(json.dumps(resource))


def places(resource: dict[str, Any], resource_type: str = "List") -> list[str]:
    """The elements that are at fault."""
    return [issue.expression[0] for issue in validate(resource_type, parsed(resource))]


VALID = {
    "as little as can be": a_list(),
    "an id": a_list(id="a-1.b"),
    "a boolean": a_list(entry=[{"item": SUBJECT, "deleted": True}], mode="changes"),
    "an integer": extended(valueInteger=-5),
    "zero": extended(valueUnsignedInt=0),
    "a decimal": extended(valueDecimal=1.5),
    "a whole decimal": extended(valueDecimal=5),
    "a large decimal": extended(valueDecimal=10**300),
    "a year": a_list(date="2018"),
    "a month": a_list(date="2018-05"),
    "a day": a_list(date="2018-05-25"),
    "a moment": a_list(date="2018-05-25T16:09:50+01:00"),
    "a moment with a fraction": a_list(date="2018-05-25T16:09:50.123Z"),
    "a time": extended(valueTime="16:09:50"),
    "an instant": extended(valueInstant="2018-05-25T16:09:50.000Z"),
    "a code of a required binding": a_list(status="retired"),
    "a code of another binding": a_list(language="cy"),
    "contained": a_list(contained=[{"resourceType": "Patient", "id": "p", "gender": "female"}]),
    "a primitive with an extension only": a_list(_title={"extension": [{"url": "http://a", "valueCode": "unknown"}]}),
    "a primitive with both": a_list(title="a", _title={"id": "t"}),
    "null to keep a place": a_list(
        contained=[{"resourceType": "Patient", "name": [{"given": ["A", None], "_given": [None, {"id": "x"}]}]}]
    ),
    "a choice": a_list(note=[{"text": "a", "authorString": "me"}]),
    "a narrative": a_list(text={"status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}),
    "a narrative with a prefix": narrated('<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>'),
    "a narrative with everything": narrated(
        f"\n <div {XHTML} lang='cy'>&lt;&#233;&#xe9;é<br/><!-- a --><a href='http://a?b&amp;c'>d</a>"
        "<![CDATA[<e>]]><table><tr><td>f</td></tr></table></div> "
    ),
    "a narrative that is long": narrated(f"<div {XHTML}>{'<b>x</b>' * 20_000}</div>"),
    "siblings that are shorter": named(given=["A", "B"], _given=[{"id": "x"}]),
    "siblings alone": named(_given=[{"id": "x"}]),
    "a URI with characters of every kind": extended(valueUri="urn:oid:1.2|é%20<>"),
}


@pytest.mark.parametrize("resource", VALID.values(), ids=VALID.keys())
def test_a_valid_resource(resource: dict[str, Any]) -> None:
    assert validate("List", parsed(resource)) == ()


INVALID = {
    "required: missing": ({"resourceType": "List", "mode": "working"}, "List.status"),
    "required: missing inside": (a_list(entry=[{"deleted": True}]), "List.entry[0].item"),
    "required: missing in an extension": (a_list(extension=[{"valueString": "a"}]), "List.extension[0].url"),
    "unknown element": (a_list(colour="red"), "List.colour"),
    "unknown element inside": (a_list(code={"texts": "a"}), "List.code.texts"),
    "unknown element in a list": (a_list(entry=[{"item": SUBJECT}, {"item": SUBJECT, "x": 1}]), "List.entry[1].x"),
    "an element of another type": (a_list(clinicalStatus="active"), "List.clinicalStatus"),
    "a name of the library's own": (a_list(fhir_comments="a"), "List.fhir_comments"),
    "a field of the library's own": (a_list(resource_type="List"), "List.resource_type"),
    "an alias of the library's own": (a_list(implicitRules__ext={"id": "a"}), "List.implicitRules__ext"),
    "in other letters": (a_list(Title="a"), "List.Title"),
    "resourceType inside": (a_list(code={"resourceType": "CodeableConcept"}), "List.code.resourceType"),
    "text for boolean": (a_list(entry=[{"item": SUBJECT, "deleted": "true"}]), "List.entry[0].deleted"),
    "number for boolean": (a_list(entry=[{"item": SUBJECT, "deleted": 1}]), "List.entry[0].deleted"),
    "text for integer": (extended(valueInteger="5"), "List.extension[0].valueInteger"),
    "boolean for integer": (extended(valueInteger=True), "List.extension[0].valueInteger"),
    "fraction for integer": (extended(valueInteger=5.5), "List.extension[0].valueInteger"),
    "point for integer": (extended(valueInteger=5.0), "List.extension[0].valueInteger"),
    "integer too large": (extended(valueInteger=2**31), "List.extension[0].valueInteger"),
    "integer too small": (extended(valueInteger=-(2**31) - 1), "List.extension[0].valueInteger"),
    "negative for unsignedInt": (extended(valueUnsignedInt=-1), "List.extension[0].valueUnsignedInt"),
    "zero for positiveInt": (extended(valuePositiveInt=0), "List.extension[0].valuePositiveInt"),
    "text for decimal": (extended(valueDecimal="1.5"), "List.extension[0].valueDecimal"),
    "boolean for decimal": (extended(valueDecimal=False), "List.extension[0].valueDecimal"),
    "number for string": (a_list(title=5), "List.title"),
    "boolean for string": (a_list(title=True), "List.title"),
    "object for string": (a_list(title={"text": "a"}), "List.title"),
    "list for string": (a_list(title=["a"]), "List.title"),
    "number for a date": (a_list(date=2018), "List.date"),
    "number for a code": (a_list(status=1), "List.status"),
    "string for an object": (a_list(code="a"), "List.code"),
    "list for an object": (a_list(code=[{"text": "a"}]), "List.code"),
    "object for a list": (a_list(entry={"item": SUBJECT}), "List.entry"),
    "a list in a list": (a_list(entry=[[{"item": SUBJECT}]]), "List.entry[0]"),
    "string for a list of strings": (a_list(meta={"profile": "http://p"}), "List.meta.profile"),
    "null": (a_list(title=None), "List.title"),
    "null for an object": (a_list(code=None), "List.code"),
    "null for a list": (a_list(entry=None), "List.entry"),
    "null in a list of objects": (a_list(entry=[None]), "List.entry[0]"),
    "null for a required element": (a_list(status=None), "List.status"),
    "empty list": (a_list(entry=[]), "List.entry"),
    "empty list of strings": (a_list(meta={"profile": []}), "List.meta.profile"),
    "empty object": (a_list(code={}), "List.code"),
    "empty object in a list": (a_list(entry=[{}]), "List.entry[0]"),
    "empty object for an extension": (a_list(_title={}), "List._title"),
    "empty string": (a_list(title=""), "List.title"),
    "a code outside a required binding": (a_list(mode="idle"), "List.mode"),
    "a code in other letters": (a_list(mode="Working"), "List.mode"),
    "a code outside, deeper": (a_list(identifier=[{"use": "my own"}]), "List.identifier[0].use"),
    "a choice given twice": (
        a_list(note=[{"text": "a", "authorString": "me", "authorReference": SUBJECT}]),
        "List.note[0]",
    ),
    "two values in an extension": (extended(valueString="a", valueCode="b"), "List.extension[0]"),
    "a month that is none": (a_list(date="2018-13"), "List.date"),
    "a day that is none": (a_list(date="2018-02-30"), "List.date"),
    "a moment without a zone": (a_list(date="2018-05-25T16:09:50"), "List.date"),
    "a date in another form": (a_list(date="25/05/2018"), "List.date"),
    "a date for an instant": (extended(valueInstant="2018-05-25"), "List.extension[0].valueInstant"),
    "an id that is none": (a_list(id="a_b"), "List.id"),
    "a blank before a code": (a_list(language=" cy"), "List.language"),
    "a null without a sibling": (named(given=["A", None]), "List.contained[0].name[0].given[1]"),
    "a null with a null sibling": (
        named(given=["A", None], _given=[{"id": "x"}, None]),
        "List.contained[0].name[0].given[1]",
    ),
    "a null with a sibling of another item": (
        named(given=[None, "B"], _given=[None, {"id": "x"}]),
        "List.contained[0].name[0].given[0]",
    ),
    "a null in siblings alone": (named(_given=[None, {"id": "x"}]), "List.contained[0].name[0]._given[0]"),
    "more siblings than items": (
        named(given=["A"], _given=[{"id": "x"}, {"id": "y"}]),
        "List.contained[0].name[0]._given",
    ),
    "more siblings than items, nulls": (
        named(given=["A"], _given=[{"id": "x"}, None]),
        "List.contained[0].name[0]._given",
    ),
    "a null among profiles": (a_list(meta={"profile": ["http://p", None]}), "List.meta.profile[1]"),
    "a blank in a URI": (extended(valueUri="http://a/b c"), "List.extension[0].valueUri"),
    "a blank after a URI": (
        a_list(code={"coding": [{"system": "http://a ", "code": "b"}]}),
        "List.code.coding[0].system",
    ),
    "a line break in a URI": (a_list(implicitRules="http://a\nb"), "List.implicitRules"),
    "a blank in the URL of an extension": (
        a_list(extension=[{"url": "a b", "valueCode": "c"}]),
        "List.extension[0].url",
    ),
    "a blank in a profile": (a_list(meta={"profile": ["http://a b"]}), "List.meta.profile[0]"),
    "a blank in an oid": (extended(valueOid="urn:oid:1.2 .3"), "List.extension[0].valueOid"),
    "a narrative: not closed": (narrated("<div>unclosed"), "List.text.div"),
    "a narrative: not closed inside": (narrated(f"<div {XHTML}><p>x</div>"), "List.text.div"),
    "a narrative: text": (narrated("just text"), "List.text.div"),
    "a narrative: blank": (narrated(" "), "List.text.div"),
    "a narrative: no namespace": (narrated("<div>x</div>"), "List.text.div"),
    "a narrative: another namespace": (narrated('<div xmlns="http://www.w3.org/2000/svg">x</div>'), "List.text.div"),
    "a narrative: not a div": (narrated(f"<p {XHTML}>x</p>"), "List.text.div"),
    "a narrative: two": (narrated(f"<div {XHTML}/><div {XHTML}/>"), "List.text.div"),
    "a narrative: an entity of HTML": (narrated(f"<div {XHTML}>&nbsp;</div>"), "List.text.div"),
    "a narrative: an ampersand": (narrated(f"<div {XHTML}>a & b</div>"), "List.text.div"),
    "a narrative: an attribute without quotes": (narrated(f"<div {XHTML} class=a>x</div>"), "List.text.div"),
    "a narrative: an attribute twice": (narrated(f"<div {XHTML} id='a' id='b'>x</div>"), "List.text.div"),
    "a narrative: a prefix that is not declared": (narrated(f"<div {XHTML}><o:p/></div>"), "List.text.div"),
    "a narrative: a control character": (narrated(f"<div {XHTML}>\x00</div>"), "List.text.div"),
    "a narrative: an entity of its own": (
        narrated(f'<!DOCTYPE div [<!ENTITY a "b">]><div {XHTML}>&a;</div>'),
        "List.text.div",
    ),
    "a narrative: a file": (
        narrated(f'<!DOCTYPE div [<!ENTITY a SYSTEM "file:///etc/hostname">]><div {XHTML}>&a;</div>'),
        "List.text.div",
    ),
    "a narrative: a bomb": (
        narrated(f'<!DOCTYPE d [<!ENTITY e0 "lol">{BOMB}]><div {XHTML}>&e9;</div>'),
        "List.text.div",
    ),
    "a narrative: too many tags": (narrated(f"<div {XHTML}>{'<b>x</b>' * 25_000}</div>"), "List.text.div"),
    "a narrative inside": (
        a_list(contained=[{"resourceType": "Patient", "text": {"status": "empty", "div": "<div>x</div>"}}]),
        "List.contained[0].text.div",
    ),
    "a narrative: no text": (narrated(5), "List.text.div"),
    "contained: an unknown type": (a_list(contained=[{"resourceType": "Foo"}]), "List.contained[0].resourceType"),
    "contained: a data type": (a_list(contained=[{"resourceType": "HumanName"}]), "List.contained[0].resourceType"),
    "contained: an abstract type": (
        a_list(contained=[{"resourceType": "DomainResource"}]),
        "List.contained[0].resourceType",
    ),
    "contained: no type": (a_list(contained=[{"id": "a"}]), "List.contained[0].resourceType"),
    "contained: a type that is no text": (a_list(contained=[{"resourceType": 5}]), "List.contained[0].resourceType"),
    "contained: no object": (a_list(contained=["Patient"]), "List.contained[0].resourceType"),
    "contained: a fault": (
        a_list(contained=[{"resourceType": "Patient", "gender": "other", "colour": "red"}]),
        "List.contained[0].colour",
    ),
    "contained: a code": (a_list(contained=[{"resourceType": "Patient", "gender": "f"}]), "List.contained[0].gender"),
    "contained: required": (
        a_list(contained=[{"resourceType": "Flag", "status": "active", "code": {"text": "a"}}]),
        "List.contained[0].subject",
    ),
}


@pytest.mark.parametrize(("resource", "place"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_resource(resource: dict[str, Any], place: str) -> None:
    assert places(resource) == [place]


def test_what_an_issue_says() -> None:
    (issue,) = validate("List", a_list(mode="idle"))
    assert (issue.severity, issue.code, issue.spine_code) == ("error", "invalid", "INVALID_RESOURCE")
    assert issue.diagnostics == "List.mode: must be one of changes, snapshot, working."


SENTENCES = [
    (narrated(f"<div {XHTML}><p>\n</div>"), "must be well-formed XHTML: mismatched tag (line 2, column 3)."),
    (
        narrated(f"<div {XHTML}>&nbsp;</div>"),
        "must be well-formed XHTML: undefined entity; write the character itself (line 1, column 43).",
    ),
    (narrated(f"<!DOCTYPE div><div {XHTML}/>"), "must not have a document type."),
    (narrated("<div/>"), "must be a div in the namespace http://www.w3.org/1999/xhtml."),
    (a_list(fhir_comments=["a"]), "is DSTU2's element for comments, which STU3 does not have; remove it."),
    (
        a_list(title="a", _title={"fhir_comments": ["a"]}),
        "is DSTU2's element for comments, which STU3 does not have; remove it.",
    ),
    (a_list(meta={"profile": [None]}), "must not be null where its sibling array has nothing."),
    (
        a_list(meta={"profile": ["http://p"], "_profile": [{"id": "a"}, {"id": "b"}]}),
        "has 2 items, but the array that it belongs to has 1.",
    ),
    (a_list(implicitRules="a b"), "must not contain a blank."),
]


@pytest.mark.parametrize(("resource", "sentence"), SENTENCES, ids=[sentence for _, sentence in SENTENCES])
def test_each_problem_has_its_sentence(resource: dict[str, Any], sentence: str) -> None:
    (issue,) = validate("List", parsed(resource))
    assert issue.diagnostics == f"{issue.expression[0]}: {sentence}"


HOSTILE = {
    "deep": "<b>" * (MOST_TAGS - 1),
    "attributes": "<a " + " ".join(f"a{n}=''" for n in range(450_000)) + "/></div>",
    "namespaces": "<a " + " ".join(f"xmlns:a{n}='b{n}'" for n in range(200_000)) + "/></div>",
    "text": "x" * 5_000_000,
}


@pytest.mark.parametrize("inside", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_narrative_costs_less_than_a_second(inside: str) -> None:
    began = time.process_time()
    validate("List", narrated(f"<div {XHTML}>{inside}"))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("resource_type", "resource", "missing"),
    [
        ("Condition", {}, ["Condition.subject"]),
        ("Flag", {"status": "active"}, ["Flag.code", "Flag.subject"]),
        ("Consent", {"status": "active"}, ["Consent.patient"]),
        (
            "Subscription",
            {"status": "off", "channel": {"type": "message"}},
            ["Subscription.criteria", "Subscription.reason"],
        ),
    ],
)
def test_every_type_has_its_own_rules(resource_type: str, resource: dict[str, Any], missing: list[str]) -> None:
    assert sorted(places({"resourceType": resource_type, **resource}, resource_type)) == missing


def test_exact_decimals_are_decimals() -> None:
    for number in ("1.10", "1E+400", "-0.0", "9" * 5000):
        resource = parse(
            f'{{"resourceType":"List","status":"current","mode":"working","extension":['
            f'{{"url":"http://a","valueDecimal":{number}}}]}}'
        )
        assert validate("List", resource) == ()
    assert validate("List", extended(valueDecimal=Decimal("1.10"))) == ()


def test_no_more_issues_than_a_reader_takes_in() -> None:
    resource = a_list(**{f"unknown{number}": number for number in range(50)})
    assert len(validate("List", resource)) == MOST_ISSUES == 10


def test_validation_changes_nothing() -> None:
    resource = parsed(VALID["contained"] | {"meta": {"tag": [{"code": "a"}]}})
    before = json.dumps(resource)
    validate("List", resource)
    assert json.dumps(resource) == before


EXAMPLES = [(kind, parse(stored.body or b"")) for kind, _, stored in examples.rows()]
RICH = [(kind, parse(dumps(rich_content(template, 1)))) for kind, template in TEMPLATES.items()]
SMALL = [("List", parsed(resource)) for resource in [*VALID.values(), *(each for each, _ in INVALID.values())]]
SWAPPED_IN: tuple[Any, ...] = (
    *(None, True, 5, -1, Decimal("1.5"), "", " ", "a", "a ", "a\x1cb", "a\n", "\x0b", "_", "é", "2018-02-30", "x" * 65),
    *([], {}, [None], ["a"], [{}], {"a": "b"}, {"resourceType": "List"}, {"id": "a"}, [{"url": "a"}], {"text": "a"}),
)


def broken(value: Any) -> Iterator[Any]:
    """The value with one part of it left out, put twice under another name, or swapped for something else."""
    yield from SWAPPED_IN
    if isinstance(value, dict):
        for name, content in value.items():
            without = {other: value[other] for other in value if other != name}
            yield without
            yield from (without | {other: content} for other in (f"_{name}", f"{name}s", "resourceType"))
            yield from ({**value, name: other} for other in broken(content))
    elif isinstance(value, list) and value:
        yield [*value, None]
        yield from ([other, *value[1:]] for other in broken(value[0]))


@pytest.mark.parametrize(("kind", "resource"), EXAMPLES)
def test_an_example_takes_the_quick_check(kind: str, resource: dict[str, Any]) -> None:
    assert is_plainly_valid(get_fhir_model_class(kind))(resource)


def test_the_quick_check_accepts_nothing_that_the_full_ones_refuse() -> None:
    accepted = refused = 0
    small = [(kind, each) for kind, resource in [*EXAMPLES, *SMALL] for each in (resource, *broken(resource))]
    for kind, resource in [*small, *RICH]:
        model = get_fhir_model_class(kind)
        if is_plainly_valid(model)(resource):
            accepted += 1
            assert find_issues(model, resource, kind) == (), dumps(resource)
        else:
            refused += 1
    assert accepted > 500
    assert refused > 5000
