"""Exact content: what is sent is valid and the same for the same seed, and the first difference is named."""

from typing import Any

import pytest
from every_mutant import MUTANTS

from workbench.conformance.content import first_difference, rich_content
from workbench.conformance.probes import PROBES
from workbench.conformance.run import check
from workbench.conformance.under_check import TEMPLATES
from workbench.endpoint.validation import validate
from workbench.fhir import json


@pytest.mark.parametrize("kind", TEMPLATES)
def test_rich_content_is_valid_and_the_same_for_the_same_seed(kind: str) -> None:
    template = TEMPLATES[kind]
    contents = [json.dumps(rich_content(template, seed)) for seed in range(5)]
    assert [validate(kind, json.parse(content)) for content in contents] == [()] * 5
    assert contents == [json.dumps(rich_content(template, seed)) for seed in range(5)]
    assert len(set(contents)) == 5


def test_rich_content_has_what_servers_lose() -> None:
    content = rich_content(TEMPLATES["List"], 0)
    assert {"contained", "modifierExtension", "text", "_language"} <= content.keys()
    assert {"profile", "_profile", "security", "tag"} <= content["meta"].keys()
    assert len(content["entry"]) > 100
    assert content["extension"][0] == content["extension"][-1]
    written = json.dumps(content)
    assert all(text in written for text in ("1.10", "e\u0301", "\\r\\n", "false", "null", "𝄞"))


DIFFERENCES = {
    "nothing": ('{"a":[1,{"b":"c"}]}', '{"a":[1,{"b":"c"}]}', None),
    "digits": ('{"a":[1.10]}', '{"a":[1.1]}', "a[0]: sent 1.10, stored 1.1"),
    "left out": ('{"a":{"b":1}}', '{"a":{}}', "a.b: sent 1, stored nothing"),
    "added": ('{"a":1}', '{"a":1,"b":2}', "b: sent nothing, stored 2"),
    "shorter": ('{"a":[1,1]}', '{"a":[1]}', "a[1]: sent 1, stored nothing"),
    "order": (
        '{"a":1,"b":2}',
        '{"b":2,"a":1}',
        'the resource, the order of its members: sent ["a","b"], stored ["b","a"]',
    ),
    "composed": ('{"a":"e\u0301"}', '{"a":"\u00e9"}', "a: sent 'e\\u0301', stored '\\xe9'"),
    "kind": ('{"a":true}', '{"a":1}', "a: sent true, stored 1"),
    "null": ('{"a":[null]}', '{"a":[]}', "a[0]: sent null, stored nothing"),
}


@pytest.mark.parametrize(("sent", "stored", "expected"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_the_first_difference_names_its_path_and_both_values(sent: str, stored: str, expected: str | None) -> None:
    found = first_difference(json.parse(sent), json.parse(stored))
    assert (None if found is None else str(found)) == expected


def observed(mutant: str) -> tuple[str, Any]:
    probe = [each for each in PROBES if each.name == MUTANTS[mutant].meant]
    (finding,) = check(MUTANTS[mutant].client(), probes=probe).findings
    return finding.observed, finding.evidence


def test_the_report_names_the_first_path_that_differs_with_what_was_sent_and_stored() -> None:
    text, _ = observed("nulls dropped")
    assert text.startswith("meta._profile[0]: sent null, stored {") or ".line[1]: sent null, stored nothing" in text
    text, _ = observed("left-out members stay")
    assert text.endswith("(an update that leaves all that out again)")


def test_the_evidence_of_an_inconsistent_history_is_its_witness() -> None:
    text, evidence = observed("stale reads under load")
    assert text.startswith("List/")
    assert 2 <= len(evidence) <= 6
