"""The probes can fail: each faulty endpoint is caught by the probe meant for it, and the faithful one by none.

The ordinary run tries each mutant against its own probe, and the faithful endpoint a few times. The long one
(``-m soak``) tries every mutant against every probe, compares the table of docs/mutants.md with what it found
(or writes it, with ``WORKBENCH_WRITE_DOCS=1``), and the faithful endpoint a hundred times.
"""

import os
from pathlib import Path

import pytest
from every_mutant import MUTANTS, Mutant, found_by_exploring, of_headers
from faulty import Answer, Real

from workbench import Endpoint
from workbench.conformance.finding import Result
from workbench.conformance.probes import PROBES
from workbench.conformance.run import check

BY_NAME = {probe.name: probe for probe in PROBES}
TABLE = Path(__file__).parents[3] / "docs" / "mutants.md"

CAUGHT = (Result.BROKEN, Result.DIFFERS)
FEW, MANY = 3, 100


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_each_mutant_is_caught_by_the_probe_meant_for_it(mutant: Mutant) -> None:
    report = check(mutant.client(), probes=[BY_NAME[mutant.meant]], side_by_side=1)
    finding = report[mutant.meant]
    assert finding.result in CAUGHT, finding.why
    assert finding.observed
    assert finding.evidence


def test_there_are_enough_of_them_and_every_probe_has_one() -> None:
    assert len(MUTANTS) >= 250
    assert {mutant.meant for mutant in MUTANTS.values()} == set(BY_NAME)


def faithful(times: int) -> None:
    for _ in range(times):
        with Endpoint.in_process() as spine:
            report = check(spine.client())
            wrong = [f for f in report.findings if f.result is not Result.KEPT and not f.promise.startswith("HDR-")]
            assert wrong == []
            assert report.notes == ()


def test_the_faithful_endpoint_passes_every_probe() -> None:
    faithful(FEW)


def test_the_faithful_endpoint_in_strict_mode_passes_every_probe_of_its_headers() -> None:
    def make(real: Real) -> Answer:
        return real.answer

    strict = Mutant("none", "", "", make, connects_with=of_headers.reading_fields)
    report = check(strict.client(), probes=[probe for probe in PROBES if probe.promise.startswith("HDR-")])
    assert [finding.result for finding in report.findings] == [Result.KEPT] * 5


@pytest.mark.soak
def test_the_faithful_endpoint_passes_every_probe_a_hundred_times() -> None:
    faithful(MANY)


def rows() -> list[tuple[str, str, str, str, str]]:
    """The table in the docs: mutant, what it does wrong, the probe meant, the others that catch it, exploring."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]  # type: ignore[misc]


def test_the_table_names_every_mutant() -> None:
    assert [row[:3] for row in rows()] == [(m.name, m.says, f"`{m.meant}`") for m in MUTANTS.values()]


@pytest.mark.soak
def test_the_table_says_which_probes_catch_which_mutant() -> None:
    found = []
    for mutant in MUTANTS.values():
        broken = [f.probe for f in check(mutant.client()).findings if f.result in CAUGHT]
        others = ", ".join(f"`{probe}`" for probe in broken if probe != mutant.meant)
        assert mutant.meant in broken, mutant.name
        explored = "yes" if found_by_exploring(mutant) else "no"
        found.append((mutant.name, mutant.says, f"`{mutant.meant}`", others, explored))
    if os.environ.get("WORKBENCH_WRITE_DOCS"):
        TABLE.write_text(_page(found), encoding="utf-8")
    assert rows() == found


def _page(found: list[tuple[str, str, str, str, str]]) -> str:
    table = "\n".join("| " + " | ".join(row) + " |" for row in found)
    return f"""# Mutants: the checks can fail

A check that never fails says nothing. Below are {len(found)} faulty endpoints, each the embedded one with one small
thing wrong, and the probes that catch each. Every one of the {len(PROBES)} probes is meant for at least one of them;
the faithful endpoint is caught by none. So every mutant that loses or changes content is found by a probe. The last
column says whether 400 steps of random sequences (`check --explore --steps 400`) find it too.

The mutants are in `tests/conformance/mutants/`. `pytest -m soak` there tries all against all, and compares this table
with what it finds (with `WORKBENCH_WRITE_DOCS=1` it writes it).

| mutant | what it does wrong | caught by the probe meant | and by | by exploring |
| --- | --- | --- | --- | --- |
{table}
"""
