"""Known servers as data, and findings compared with their answers."""

import pytest

from workbench import Endpoint, Finding, Result, check
from workbench.conformance.contract import Level
from workbench.conformance.finding import AS_PROMISED
from workbench.conformance.probes import PROBES
from workbench.conformance.servers import BY_NAME, KNOWN_SERVERS, KnownServer, compare, fits, known_server

NAMES = {probe.name for probe in PROBES}


def finding(probe: str, answer: str) -> Finding:
    """A finding of that probe, as it is before it is compared."""
    result = Result.KEPT if answer == AS_PROMISED else Result.BROKEN if answer else Result.NOT_TESTED
    promise = next(each.promise for each in PROBES if each.name == probe)
    return Finding(promise, Level.MUST, probe, result, "…", answer, answer)


@pytest.mark.parametrize("profile", KNOWN_SERVERS, ids=lambda profile: profile.name)
def test_each_server_answers_existing_probes_and_has_a_source(profile: KnownServer) -> None:
    assert {probe for probes in profile.answers.values() for probe in probes.split()} <= NAMES
    assert profile.source
    assert profile.title


def test_the_profiles_of_the_contract_s_dialects_are_there() -> None:
    nhs = {"nhs-pds", "nhs-gateway", "nhs-immunisation", "nhs-booking", "nhs-wales"}
    servers = nhs | {"microsoft-stu3", "microsoft-r4", "hapi", "medplum", "blaze", "aidbox"}
    assert {"spine", "stu3", "r4"} | servers <= BY_NAME.keys()
    assert known_server("HAPI") is BY_NAME["hapi"]


@pytest.mark.parametrize(
    ("profile", "stale", "missing"),
    [
        ("stu3", AS_PROMISED, AS_PROMISED),
        ("r4", "412", "400"),
        ("nhs-pds", AS_PROMISED, AS_PROMISED),
        ("nhs-gateway", AS_PROMISED, "400"),
        ("nhs-immunisation", "400", "400"),
        ("nhs-booking", AS_PROMISED, AS_PROMISED),
        ("nhs-wales", "412", "428"),
        ("microsoft-stu3", AS_PROMISED, AS_PROMISED),
        ("microsoft-r4", "412", "400"),
        ("hapi", AS_PROMISED, "200"),
        ("hapi-plain", "200", "200"),
        ("medplum", "412", "200"),
        ("blaze", "412", "200"),
        ("aidbox", AS_PROMISED, "200"),
    ],
)
def test_each_server_predicts_the_answers_of_its_lock(profile: str, stale: str, missing: str) -> None:
    assert BY_NAME[profile].predicts("stale-previous") == stale
    assert BY_NAME[profile].predicts("missing") == missing


def test_a_deviation_of_a_known_server_names_it() -> None:
    (found,) = compare([finding("stale-previous", "412")], None)
    assert (found.result, found.dialect) == (Result.DIFFERS, "the R4 specification")
    assert found.why == "answers 412, as the R4 specification does"


def test_a_deviation_of_no_known_server_stays_broken() -> None:
    (found,) = compare([finding("stale-previous", "418")], None)
    assert (found.result, found.dialect, found.why) == (Result.BROKEN, "", "")


def test_a_server_without_a_lock_excuses_no_deviation() -> None:
    findings = [finding("stale-previous", "200"), finding("race", "several won")]
    assert {found.result for found in compare(findings, None)} == {Result.BROKEN}
    assert {found.result for found in compare(findings, BY_NAME["hapi-plain"])} == {Result.DIFFERS}


def test_of_several_servers_with_the_same_answer_the_best_fit_is_named() -> None:
    hapi = [
        finding("missing", "200"),
        finding("deleted", "409"),
        finding("refusals-have-the-profile", "not the profile"),
    ]
    assert {found.dialect for found in compare(hapi, None)} == {"HAPI FHIR with its JPA store"}


def test_an_untested_probe_neither_fits_nor_misses() -> None:
    assert fits([finding("stale-previous", "")]) == ()
    (best, *_) = fits([finding("stale-previous", AS_PROMISED), finding("missing", "")])
    assert (best.known, best.met) == (1, 1)


def test_more_matching_answers_fit_better() -> None:
    found = fits([finding(probe.name, AS_PROMISED) for probe in PROBES])
    assert found[0].profile == "spine"
    assert found[0].met == found[0].known == len(PROBES)
    assert found[0].misses == ()
    assert [fit.score for fit in found] == sorted((fit.score for fit in found), reverse=True)


def test_an_answer_that_the_profile_predicts_is_no_deviation() -> None:
    with Endpoint.in_process(policy="R4") as spine:
        as_spine, as_r4 = check(spine.client()), check(spine.client(), profile="r4")
    assert as_spine.exit_code == 1
    assert as_spine["stale-previous"].result is Result.DIFFERS
    assert "stale-previous" in [found.probe for found in as_spine.deviations]
    assert [found.probe for found in as_r4.deviations] == ["metadata"]
    assert as_r4["stale-previous"].predicted == "412"
    assert as_r4["metadata"].why == "the R4 specification is known to answer FHIR 4.0, but the promise is kept"
    fit = {found.profile: found for found in as_spine.fits}
    assert fit["r4"].misses == ("metadata",)


def test_the_embedded_endpoint_without_a_lock_is_broken_not_different() -> None:
    with Endpoint.in_process(policy="UNPROTECTED") as spine:
        report = check(spine.client())
    for name in ("stale-previous", "stale-again-and-again", "race", "delete-stale"):
        assert report[name].result is Result.BROKEN
    assert report["race"].observed == "8 × 200: 8 updates of the same version were accepted"
