"""The check at real servers: it finds what each does with the lock, and whose answers they are.

The answers stand here literally, so that a probe and its profile cannot go wrong together.
"""

from collections.abc import Callable

import pytest
from serverkit import ServerNamed

from workbench import Client, check, cli
from workbench.conformance.finding import Result
from workbench.conformance.report import Report

Checked = Callable[[str], Report]

KEPT = "as promised"

LOCK: dict[str, dict[str, str]] = {
    "hapi-plain": {
        "update": KEPT,
        "stale-previous": "200",
        "stale-made-up": "200",
        "missing": "200",
        "malformed-bare": "200",
        "malformed-strong": "200",
        "malformed-list": "200",
        "malformed-star": "200",
        "unknown-id": "201",
        "deleted": "revived",
        "identical-content": KEPT,
        "race": "several won",
        "delete-stale": "204",
        "delete-missing": "204",
    },
    "hapi-jpa": {
        "update": KEPT,
        "stale-previous": KEPT,
        "stale-made-up": "500",
        "missing": "200",
        "malformed-bare": "200",
        "malformed-strong": "200",
        "malformed-list": "500",
        "malformed-star": "500",
        "unknown-id": "201",
        "deleted": "409",
        "identical-content": "200, same version",
        "race": KEPT,
        "delete-stale": "200",
        "delete-missing": "200",
    },
    "helios": {
        "update": KEPT,
        "stale-previous": "412",
        "stale-made-up": "412",
        "missing": "200",
        "malformed-bare": KEPT,
        "malformed-strong": "200",
        "malformed-list": "200",
        "malformed-star": "200",
        "unknown-id": "412",
        "deleted": "412",
        "identical-content": KEPT,
        "delete-stale": "412",
        "delete-missing": "204",
    },
}
LOCK["helios-strict"] = LOCK["helios"] | {"missing": KEPT, "delete-missing": KEPT}

FITS_BEST = {"hapi-plain": "hapi-plain", "hapi-jpa": "hapi", "helios": "helios", "helios-strict": "helios-strict"}

MAY_VARY = {"race"}
"""Who loses a race at Helios is told 412, or 409 where the winner came between its look and its write."""

every_server = pytest.mark.parametrize("name", LOCK)


@pytest.fixture(scope="module")
def checked(server_named: ServerNamed) -> Checked:
    """The report on the server of a name; each server is checked once."""
    reports: dict[str, Report] = {}

    def report_on(name: str) -> Report:
        server = server_named(name)
        if name not in reports:
            client = Client(server.base_url, name="checking")
            reports[name] = check(client)
            client.close()
        return reports[name]

    return report_on


@every_server
def test_what_each_does_with_the_lock(name: str, checked: Checked) -> None:
    report = checked(name)
    assert {probe: report[probe].answer for probe in LOCK[name]} == LOCK[name]


@every_server
def test_its_own_profile_fits_best_and_everywhere(name: str, checked: Checked) -> None:
    best = checked(name).fits[0]
    assert best.profile == FITS_BEST[name]
    assert set(best.misses) <= MAY_VARY


@every_server
def test_nothing_is_left_behind(name: str, checked: Checked) -> None:
    assert checked(name).notes == ()


def test_a_server_that_locks_differs(checked: Checked) -> None:
    finding = checked("hapi-jpa")["missing"]
    assert (finding.result, finding.dialect) == (Result.DIFFERS, "HAPI FHIR with its JPA store")


def test_a_server_without_a_lock_is_not_excused(checked: Checked) -> None:
    assert checked("hapi-plain")["stale-previous"].result is Result.BROKEN
    assert checked("hapi-plain")["race"].result is Result.BROKEN


def test_one_command_names_the_server_that_answers_so(
    server_named: ServerNamed, capsys: pytest.CaptureFixture[str]
) -> None:
    base_url = server_named("hapi-plain").base_url
    assert cli.main(["check", base_url]) == 1
    assert "answers like a plain HAPI FHIR server: " in capsys.readouterr().out
    assert cli.main(["check", base_url, "--profile", "hapi-plain"]) == 0
