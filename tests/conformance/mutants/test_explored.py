"""Exploring finds faulty endpoints too, each with a sequence of requests that is as short as it can be."""

import pytest
from every_mutant import MUTANTS

from workbench import explore

SHORTEST = {
    "missing accepted": ("missing", 2),
    "409 and 412 swapped": ("stale-made-up", 2),
    "deleted resources revived": ("deleted", 3),
    "If-None-Match ignored": ("if-none-match", 2),
    "representation one version old": ("read", 2),
}
"""Mutant: the rule that disagrees, and the fewest requests that can show it, the create among them."""

SHORTEST_IN_LONG_RUNS = {
    "the URL's id wins": ("id-differs", 2),
    "a PUT creates": ("unknown-id", 1),
    "deletes without a version": ("delete-missing", 2),
    "a cache behind": ("read", 3),
    "any resource's version": ("missing", 2),
    "refused and yet stored": ("refusal-makes-no-version", 3),
    "gone after a refusal": ("read", 3),
    "accepted and not stored": ("update", 3),
    "versions never change": ("versions-are-new", 2),
    "versions come back": ("versions-are-new", 6),
    "old ETag on a PUT": ("versions-are-new", 2),
    "the body's versionId stored": ("read", 3),
    "reading moves the date": ("read-last-modified", 3),
    "a refusal makes a version": ("refusal-makes-no-version", 3),
    "versions in any case": ("malformed-small-letter", 2),
}
"""The same for faults that take longer to find or to shorten."""


@pytest.mark.parametrize("name", SHORTEST)
def test_the_shortest_sequence_of_a_fault_is_found(name: str) -> None:
    found = explore(MUTANTS[name].client(), steps=400, most=1)
    shortest = found.disagreements[0]
    assert (shortest.rule, len(shortest.exchanges), shortest.repeats) == (*SHORTEST[name], True)


@pytest.mark.soak
@pytest.mark.parametrize("name", SHORTEST_IN_LONG_RUNS)
def test_so_it_is_of_a_fault_that_takes_longer(name: str) -> None:
    found = explore(MUTANTS[name].client(), steps=1500, most=1)
    shortest = found.disagreements[0]
    assert (shortest.rule, len(shortest.exchanges), shortest.repeats) == (*SHORTEST_IN_LONG_RUNS[name], True)
