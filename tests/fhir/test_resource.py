"""A resource's identity and version: read, left out, stamped on (UPD-4, UPD-5, RD-1)."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from workbench.errors import BadInput
from workbench.fhir.resource import ElementPath, identity, instant, stamped, version_of, without_version

AT = datetime(2018, 5, 25, 16, 9, 50, tzinfo=UTC)
WRITTEN = {"versionId": "v", "lastUpdated": "2018-05-25T16:09:50.000+00:00"}


def test_identity() -> None:
    assert identity({"resourceType": "List", "id": "a-1.B"}) == ("List", "a-1.B")


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        (None, "a JSON object"),
        ([], "a JSON object"),
        ("List/1", "a JSON object"),
        ({}, "no usable resourceType"),
        ({"resourceType": "list", "id": "1"}, "no usable resourceType"),
        ({"resourceType": "L", "id": "1"}, "no usable resourceType"),
        ({"resourceType": "../List", "id": "1"}, "no usable resourceType"),
        ({"resourceType": 5, "id": "1"}, "no usable resourceType"),
        ({"resourceType": "List"}, "has no id"),
        ({"resourceType": "List", "id": None}, "has no id"),
        ({"resourceType": "List", "id": ""}, "is not a FHIR id"),
        ({"resourceType": "List", "id": "a/b"}, "is not a FHIR id"),
        ({"resourceType": "List", "id": "a\n"}, "is not a FHIR id"),
        ({"resourceType": "List", "id": "a" * 65}, "is not a FHIR id"),
        ({"resourceType": "List", "id": 5}, "is not a FHIR id"),
        ({"resourceType": "List", "id": ["a"]}, "is not a FHIR id"),
    ],
)
def test_a_missing_or_malformed_identity(resource: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        identity(resource)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("resource", "version"),
    [
        ({"meta": {"versionId": "a"}}, "a"),
        ({"meta": {"versionId": 5}}, None),
        ({"meta": {}}, None),
        ({"meta": []}, None),
        ({"meta": None}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_version_of(resource: Any, version: str | None) -> None:
    assert version_of(resource) == version


WITHOUT = [
    ({"id": "1"}, {"id": "1"}),
    ({"meta": {"versionId": "a"}, "id": "1"}, {"id": "1"}),
    ({"meta": {"versionId": "a", "lastUpdated": "b"}}, {}),
    ({"meta": {"lastUpdated": "b", "profile": ["p"]}}, {"meta": {"profile": ["p"]}}),
    ({"meta": {"profile": ["p"], "versionId": 5, "tag": []}}, {"meta": {"profile": ["p"], "tag": []}}),
    ({"meta": {}}, {"meta": {}}),
    ({"meta": None}, {"meta": None}),
    ({"meta": "x"}, {"meta": "x"}),
    ({"meta": {"_versionId": {"id": "a"}}}, {"meta": {"_versionId": {"id": "a"}}}),
    ({"contained": [{"meta": {"versionId": "a"}}]}, {"contained": [{"meta": {"versionId": "a"}}]}),
]


@pytest.mark.parametrize(("resource", "wanted"), WITHOUT)
def test_without_version(resource: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = repr(resource)
    found = without_version(resource)
    assert found == wanted
    assert list(found) == list(wanted)
    assert found is not resource
    assert repr(resource) == before


STAMPED = {
    "as little as can be": (
        {"resourceType": "List", "status": "current"},
        {"resourceType": "List", "id": "x", "meta": WRITTEN, "status": "current"},
    ),
    "an id, no meta": (
        {"resourceType": "List", "id": "x", "status": "current"},
        {"resourceType": "List", "id": "x", "meta": WRITTEN, "status": "current"},
    ),
    "a meta, no id": (
        {"resourceType": "List", "meta": {"profile": ["p"]}, "status": "current"},
        {"resourceType": "List", "id": "x", "meta": WRITTEN | {"profile": ["p"]}, "status": "current"},
    ),
    "both": (
        {"resourceType": "List", "id": "x", "status": "current", "meta": {"versionId": "old", "tag": [1]}},
        {"resourceType": "List", "id": "x", "status": "current", "meta": WRITTEN | {"tag": [1]}},
    ),
    "another order": (
        {"status": "current", "meta": {"tag": [1], "profile": ["p"]}, "id": "x", "resourceType": "List"},
        {
            "status": "current",
            "meta": WRITTEN | {"tag": [1], "profile": ["p"]},
            "id": "x",
            "resourceType": "List",
        },
    ),
    "an extension of the version": (
        {"resourceType": "List", "id": "x", "meta": {"versionId": "old", "_versionId": {"id": "a"}}},
        {"resourceType": "List", "id": "x", "meta": WRITTEN | {"_versionId": {"id": "a"}}},
    ),
}


@pytest.mark.parametrize(("resource", "wanted"), STAMPED.values(), ids=STAMPED.keys())
def test_stamped(resource: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = repr(resource)
    found = stamped(resource, "v", AT, logical_id="x")
    assert repr(found) == repr(wanted)
    assert repr(resource) == before


@pytest.mark.parametrize(
    "names",
    [
        ["resourceType", "id", "status"],
        ["id", "resourceType", "status"],
        ["status", "id", "resourceType"],
        ["status", "resourceType"],
    ],
    ids=", ".join,
)
def test_stamping_keeps_the_order_of_what_was_sent(names: list[str]) -> None:
    resource = {name: {"resourceType": "List", "id": "x", "status": "current"}[name] for name in names}
    found = stamped(resource, "v", AT, logical_id="x")
    assert [name for name in found if name in names] == names


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (AT, "2018-05-25T16:09:50.000+00:00"),
        (AT.replace(microsecond=123_999), "2018-05-25T16:09:50.123+00:00"),
        (AT.astimezone(timezone(timedelta(hours=1))), "2018-05-25T16:09:50.000+00:00"),
        (AT.replace(year=1), "0001-05-25T16:09:50.000+00:00"),
    ],
)
def test_an_instant_has_a_fixed_width(moment: datetime, text: str) -> None:
    assert instant(moment) == text


PATHS = [
    ("Patient.name", ("name",), "Patient", {}, True),
    ("Patient.name", ("name",), "List", {}, False),
    ("Patient.name", ("contact", "name"), "Patient", {}, False),
    ("subject.display", ("entry", "subject", "display"), "Bundle", {}, True),
    ("*.subject.display", ("subject", "display"), "List", {}, True),
    ("subject.display", ("display",), "List", {}, False),
    ("identifier.value where system is urn:x", ("identifier", "value"), "Patient", {"system": "urn:x"}, True),
    ("identifier.value where system is urn:x", ("identifier", "value"), "Patient", {"system": "urn:y"}, False),
    ("identifier.value where system is urn:x", ("identifier", "value"), "Patient", {}, False),
]


@pytest.mark.parametrize(("text", "at", "resource_type", "parent", "wanted"), PATHS)
def test_an_element_path(text: str, at: tuple[str, ...], resource_type: str, parent: Any, wanted: bool) -> None:
    assert ElementPath.read(text).leads_to(at, resource_type, parent) is wanted


@pytest.mark.parametrize("text", ["", "Patient", "Name.", "a..b", "a where b", "[0]"])
def test_an_element_path_that_is_rejected(text: str) -> None:
    with pytest.raises(BadInput, match="is not an element path"):
        ElementPath.read(text)
