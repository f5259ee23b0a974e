"""The example resources: one of each type, valid, of a test patient, with NHS's profiles (contract, *The stories*)."""

import re
from typing import Any

import pytest

from workbench import Endpoint
from workbench.endpoint import examples
from workbench.endpoint.request import TYPES
from workbench.endpoint.validation import validate
from workbench.fhir import json

NHS = "https://fhir.nhs.uk/STU3/StructureDefinition"
EXAMPLES = {resource["resourceType"]: resource for resource in examples.load()}
PROFILES = {
    "Condition": "CareConnect-RARecord-Condition-1",
    "Consent": "RARecord-Consent-1",
    "Flag": "RARecord-Flag-1",
    "List": "CareConnect-RARecord-List-1",
    "Subscription": "EMS-Subscription-1",
}
RECORD = ("Condition", "Consent", "Flag", "List")


def test_there_is_one_of_each_type() -> None:
    assert sorted(resource["resourceType"] for resource in examples.load()) == sorted(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_an_example_is_valid_and_has_its_profile(kind: str) -> None:
    assert validate(kind, EXAMPLES[kind]) == ()
    assert EXAMPLES[kind]["meta"]["profile"] == [f"{NHS}/{PROFILES[kind]}"]


@pytest.mark.parametrize("kind", TYPES)
def test_every_nhs_number_is_a_test_patients(kind: str) -> None:
    """Ten digits from the 999 range, with the right check digit."""
    numbers = re.findall(r"(?:Patient/|nhs-number\|)(\d+)", json.dumps(EXAMPLES[kind]))
    assert numbers
    for number in numbers:
        assert re.fullmatch(r"999\d{7}", number)
        total = sum(int(digit) * weight for digit, weight in zip(number, range(10, 1, -1), strict=False))
        assert int(number[9]) == -total % 11


def test_the_ids_and_versions_of_the_guide() -> None:
    for kind, logical_id in {
        "List": "744eec7d-8951-4722-ad74-dc34e86d4e1a",
        "Subscription": "ea0a4851-8720-4b49-b978-bdcf7102388c",
    }.items():
        meta = EXAMPLES[kind]["meta"]
        assert EXAMPLES[kind]["id"] == logical_id
        assert (meta["versionId"], meta["lastUpdated"]) == ("25777f7d-27bc", "2018-05-25T16:09:50.000+00:00")


@pytest.mark.promise("SR-1")
@pytest.mark.parametrize("kind", RECORD)
def test_a_record_is_found_as_nhs_finds_it(kind: str) -> None:
    asked: dict[str, Any] = {"patient": "9990000018"}
    if kind in ("Consent", "Flag"):
        category = "https://fhir.nhs.uk/STU3/CodeSystem/RARecord-FlagCategory-1|NRAF"
        asked |= {"status": "active", "category": category}
    if kind == "List":
        asked |= {"status": "current", "code": "http://snomed.info/sct|1094391000000102"}
    with Endpoint.in_process() as spine:
        bundle = spine.client("alice").search(kind, **asked).resource
    assert bundle is not None
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [EXAMPLES[kind]["id"]]


def test_the_list_names_the_condition() -> None:
    (entry,) = EXAMPLES["List"]["entry"]
    assert entry["item"]["reference"] == f"Condition/{EXAMPLES['Condition']['id']}"
