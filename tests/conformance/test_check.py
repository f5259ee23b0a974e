"""``wb.check``: what it probes, what it leaves alone, and what it leaves behind."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from workbench import BadInput, Client, Connection, Endpoint, Exchange, Finding, Result, WorkbenchError, check
from workbench.conformance.contract import PROMISES
from workbench.conformance.probes import PROBES
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings
from workbench.errors import CannotCheck
from workbench.exchange.message import Headers, Request, Response

FLAG = "Flag/3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1"
STORIES = 4
NAMES = {probe.name for probe in PROBES}


@pytest.fixture
def fresh() -> Iterator[Endpoint]:
    with Endpoint.in_process() as running:
        yield running


class Watched(InProcessAdapter):
    """An endpoint in process that remembers what it was asked, and may refuse by method."""

    def __init__(self, *refused: str, status: int = 501, base_url: str = BASE_URL) -> None:
        super().__init__(build_application(Settings(), base_url))
        self.asked: list[tuple[str, str]] = []
        self._refused = refused
        self._status = status

    def _answer(self, asked: Request, fault: Any) -> Response:
        self.asked.append((asked.method, asked.url))
        if asked.method in self._refused:
            return Response(self._status)
        return super()._answer(asked, fault)

    def client(self, base_url: str = BASE_URL, *, allow_writes: bool = True) -> Client:
        return Client(base_url, connection=Connection(adapter=self, allow_writes=allow_writes))

    def asked_to_write(self) -> list[tuple[str, str]]:
        return [asked for asked in self.asked if asked[0] not in ("GET", "HEAD", "OPTIONS")]


def everything(spine: Endpoint) -> dict[str, bytes]:
    """Every resource that there is, by name."""
    client = spine.client("looking", journal=None)
    found = {}
    for kind in ("Condition", "Consent", "Flag", "List", "Subscription"):
        for entry in client.search(kind).resource.get("entry", []):
            read = client.read(kind, entry["resource"]["id"])
            assert read.response
            found[read.target] = read.response.body
    return found


# --- the catalogue ---


def test_every_promise_has_a_probe() -> None:
    assert [promise.id for promise in PROMISES if not any(probe.promise == promise.id for probe in PROBES)] == []


def test_each_probe_has_a_unique_name_and_says_what_it_tries_and_expects() -> None:
    assert len(NAMES) == len(PROBES)
    assert [probe.name for probe in PROBES if not probe.tries.endswith(".") or not probe.expected] == []


def test_probes_are_in_the_order_of_the_contract() -> None:
    places = [promise.id for promise in PROMISES]
    order = [places.index(probe.promise) for probe in PROBES]
    assert order == sorted(order)


# --- the embedded endpoint, over a socket ---


def test_the_embedded_endpoint_keeps_every_promise(spine: Endpoint) -> None:
    client = spine.client("checking", journal=None)
    before = everything(spine)
    report = check(client)
    assert report.deviations == ()
    assert {finding.promise for finding in report.findings if not finding.tested} == {f"HDR-{n}" for n in range(1, 6)}
    assert (report.ok, report.exit_code, report.notes, report.interrupted) == (True, 0, (), False)
    assert everything(spine) == before


def test_a_check_writes_nothing_to_the_journal_of_its_client(fresh: Endpoint) -> None:
    client = fresh.client("alice")
    client.read("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    check(client)
    assert len(fresh.journal) == len(client.journal) == 1


def test_every_finding_that_was_tested_has_its_evidence(fresh: Endpoint) -> None:
    report = check(fresh.client())
    assert [finding for finding in report.findings if finding.tested and not finding.evidence] == []
    assert all(isinstance(exchange, Exchange) for finding in report.findings for exchange in finding.evidence)
    race = report["race"].evidence
    assert (
        sorted(exchange.status or 0 for exchange in race if exchange.request.method == "PUT") == [200] * 3 + [409] * 21
    )


def test_progress_is_called_after_each_probe_in_the_caller_s_thread(fresh: Endpoint) -> None:
    calls: list[tuple[int, int, Finding, threading.Thread]] = []
    check(
        fresh.client(),
        progress=lambda done, total, finding: calls.append((done, total, finding, threading.current_thread())),
    )
    assert [done for done, *_ in calls] == list(range(1, len(PROBES) + 1))
    assert {total for _, total, *_ in calls} == {len(PROBES)}
    assert {finding.probe for _, _, finding, _ in calls} == NAMES
    assert {thread for *_, thread in calls} == {threading.current_thread()}


def test_probes_side_by_side_and_one_by_one_find_the_same(fresh: Endpoint) -> None:
    side_by_side, alone = check(fresh.client()), check(fresh.client(), side_by_side=1)
    assert [f.result for f in side_by_side.findings] == [f.result for f in alone.findings]


# --- writing where it is not allowed ---


def test_a_live_endpoint_is_only_read_unless_writing_is_allowed() -> None:
    url = "https://fhir.example/STU3"
    watched = Watched()
    report = check(watched.client(url, allow_writes=False))
    assert watched.asked_to_write() == []
    untested = {finding.probe: finding.why for finding in report.findings if not finding.tested}
    writes = {"update", "stale-previous", "race", "create", "delete", "unknown-id", "update-create-is-true"}
    assert writes <= set(untested)
    other_reasons = {probe for probe, why in untested.items() if "was not allowed" not in why}
    assert {probe for probe in other_reasons if not probe.endswith("-demanded")} == {
        "conditional-delete-is-true",  # tried on this machine only
        "gzip-asked",  # the resource is too small
        "gzip-not-asked",
    }
    assert report["read"].result is Result.KEPT
    assert report["search-by-id"].result is Result.KEPT
    assert report["refusals-are-outcomes"].result is Result.KEPT


def test_a_named_resource_is_only_read_without_consent() -> None:
    watched = Watched("POST")
    report = check(watched.client(), resource=FLAG)
    assert all(method == "POST" or "3f6a1c9e" not in url for method, url in watched.asked_to_write())
    assert report["read"].result is Result.KEPT
    assert report["stale-previous"].result is Result.NOT_TESTED
    assert "no consent was given" in report["stale-previous"].why


# --- one resource for all ---


def test_a_named_resource_is_changed_and_put_back_if_none_can_be_created() -> None:
    watched = Watched("POST", "DELETE")
    client = watched.client()
    before = client.read(*FLAG.split("/")).resource
    report = check(client, resource=FLAG, consent=True)
    assert [
        f for f in report.findings if f.result is Result.BROKEN and f.promise not in ("CAP-1", "CR-1", "CR-2")
    ] == []
    assert report["stale-previous"].result is Result.KEPT
    assert report["race"].result is Result.KEPT
    assert "No Flag can be created here: 501" in report["deleted"].why
    after = client.read(*FLAG.split("/")).resource
    assert after["meta"].pop("versionId") != before["meta"].pop("versionId")
    assert after["meta"].pop("lastUpdated") != before["meta"].pop("lastUpdated")
    assert after == before
    assert report.notes == (f"{FLAG} was changed and has its content back, at a new version.",)
    assert {url for method, url in watched.asked if method == "PUT" and "3f6a1c9e" not in url} <= {
        url for method, url in watched.asked if "Flag" in url or "Linkage" in url
    }


def test_a_resource_that_cannot_be_put_back_is_named() -> None:
    class RefusesTheOriginal(Watched):
        def _answer(self, asked: Request, fault: Any) -> Response:
            if asked.method == "PUT" and b"en-x-c" not in asked.body:
                return Response(503)
            return super()._answer(asked, fault)

    update = [probe for probe in PROBES if probe.name == "update"]
    report = check(RefusesTheOriginal("POST", "DELETE").client(), resource=FLAG, consent=True, probes=update)
    assert report["update"].result is Result.KEPT
    assert report.notes == (f"{FLAG} was changed and could NOT be put back: 503.",)


def test_probes_share_one_created_resource_if_none_can_be_deleted() -> None:
    watched = Watched("DELETE")
    report = check(watched.client())
    made = [url for method, url in watched.asked if method == "POST" and url == "/STU3/List"]
    assert report["stale-previous"].result is Result.KEPT
    assert report["delete"].result is Result.BROKEN
    assert report["deleted"].result is Result.NOT_TESTED
    (note,) = report.notes
    assert "was made by this check and could not be deleted" in note
    assert len(made) <= 4  # the one, and the attempts to create that the statement is held to


def test_findings_say_why_no_resource_can_be_created() -> None:
    report = check(Watched("POST").client())
    assert "No List can be created here: 501" in report["update"].why
    assert report["metadata"].result is Result.KEPT


def test_a_resource_of_another_client_is_never_deleted() -> None:
    """A Location that names another's resource does not make it the check's own."""

    class Elsewhere(Watched):
        def _answer(self, asked: Request, fault: Any) -> Response:
            answer = super()._answer(asked, fault)
            if answer.status != 201:
                return answer
            fields = [(n, v if n != "Location" else f"{BASE_URL}/{FLAG}") for n, v in answer.headers.items()]
            return replace(answer, headers=type(answer.headers)(fields))

    watched = Elsewhere()
    report = check(watched.client())
    assert watched.client().read(*FLAG.split("/")).status == 200
    assert [url for method, url in watched.asked if method == "DELETE"] == []
    assert any("cannot be found" in note for note in report.notes)


# --- ended early ---


def test_ctrl_c_ends_a_check_with_a_report_and_deletes_what_it_created(fresh: Endpoint) -> None:
    before = everything(fresh)

    def interrupt(done: int, total: int, finding: Finding) -> None:
        if done == 20:
            raise KeyboardInterrupt

    report = check(fresh.client(), progress=interrupt)
    assert report.interrupted
    assert report.exit_code == 130
    assert sum(finding.tested for finding in report.findings) >= 15
    untested = [finding for finding in report.findings if finding.why.startswith("The check was ended")]
    assert len(untested) > 50
    assert {finding.probe for finding in report.findings} == NAMES
    assert everything(fresh) == before


def test_ctrl_c_during_the_survey() -> None:
    class Interrupted(Watched):
        def _answer(self, asked: Request, fault: Any) -> Response:
            answer = super()._answer(asked, fault)
            if answer.status == 201:
                raise KeyboardInterrupt
            return answer

    report = check(Interrupted().client())
    assert (report.interrupted, report.exit_code) == (True, 130)
    assert {finding.result for finding in report.findings} == {Result.NOT_TESTED}


def test_an_error_of_the_progress_callback_is_raised_after_the_cleanup(fresh: Endpoint) -> None:
    before = everything(fresh)

    def fail(done: int, total: int, finding: Finding) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check(fresh.client(), progress=fail)
    assert everything(fresh) == before


# --- what cannot be checked ---


def test_an_endpoint_that_nothing_serves_cannot_be_checked() -> None:
    with pytest.raises(CannotCheck, match=r"Nothing listens at 127\.0\.0\.1:1"):
        check(Client("http://127.0.0.1:1/STU3"))


def test_a_strict_endpoint_names_the_header_that_the_client_lacks() -> None:
    with Endpoint.in_process(strict=True) as spine, pytest.raises(CannotCheck, match="Authorization is missing"):
        check(spine.client())


def test_a_named_resource_that_cannot_be_read(fresh: Endpoint) -> None:
    with pytest.raises(CannotCheck, match="Flag/no-such-flag cannot be read here"):
        check(fresh.client(), resource="Flag/no-such-flag")


@pytest.mark.parametrize("given", ["Flag", "flag/1", "Flag/a_b", "Flag/1/2", ""])
def test_a_name_that_is_not_type_and_id(fresh: Endpoint, given: str) -> None:
    if not given:
        assert check(fresh.client(), resource=given, probes=PROBES[:1]).ok
        return
    with pytest.raises(BadInput, match="does not name a resource"):
        check(fresh.client(), resource=given)


def test_an_unknown_profile_and_an_impossible_number_of_probes(fresh: Endpoint) -> None:
    with pytest.raises(BadInput, match="There is no profile 'nonesuch'; there are spine, stu3, r4"):
        check(fresh.client(), profile="nonesuch")
    with pytest.raises(BadInput, match="At least one"):
        check(fresh.client(), side_by_side=0)
    assert issubclass(CannotCheck, WorkbenchError)


def test_a_truncated_response_is_a_finding_and_does_not_end_the_check() -> None:
    with Endpoint.in_process(faults=["cut-body:search-type"]) as spine:
        report = check(spine.client(), probes=[probe for probe in PROBES if probe.promise in ("SR-1", "RD-1")])
    assert report["search-by-id"].result is Result.BROKEN
    assert report["search-by-id"].answer == "no answer"
    assert report["read"].result is Result.KEPT


def test_evidence_holds_the_digest_of_a_very_large_body(fresh: Endpoint) -> None:
    report = check(fresh.client(), probes=[probe for probe in PROBES if probe.name == "codes-413"])
    (sent,) = [exchange for exchange in report["codes-413"].evidence if exchange.status == 413]
    assert sent.request.body == b""
    assert sent.request.dropped
    assert sent.request.dropped.size == 5 * 1024 * 1024 + 1
    assert sent.resource["resourceType"] == "OperationOutcome"


def test_credentials_never_reach_the_evidence() -> None:
    application = InProcessAdapter(build_application(Settings(), BASE_URL))
    secret = {"Authorization": "Bearer swordfish", "X-Private": "swordfish"}
    client = Client(BASE_URL, connection=Connection(adapter=application, allow_writes=True, headers=secret))
    report = check(client)
    shown = "".join(exchange.as_http() for finding in report.findings for exchange in finding.evidence)
    assert "swordfish" not in shown
    assert "Authorization: ***" in shown


# --- what an endpoint says that cannot be said back to it ---


class Odd(Watched):
    """An endpoint whose answers are changed before they are seen."""

    def __init__(self, **fields: str) -> None:
        super().__init__()
        self._fields = fields

    def _answer(self, asked: Request, fault: Any) -> Response:
        answer = super()._answer(asked, fault)
        found = [(name, self._fields.get(name, value)) for name, value in answer.headers.items()]
        body = answer.body.replace(b'"versionId":"', self._fields.get("version", '"versionId":"').encode())
        return replace(answer, headers=Headers(found), body=body)


ODD = {
    "an ETag": {"ETag": 'W/"a\x01"'},
    "an ETag and a version": {"ETag": 'W/"a\x01"', "version": '"versionId":"\\u0001'},
    "a Location above": {"Location": f"{BASE_URL}/List/.."},
    "a Location elsewhere": {"Location": "http://evil.example/../../x"},
}


@pytest.mark.parametrize("fields", ODD.values(), ids=ODD)
def test_values_that_cannot_be_sent_back_do_not_end_a_check(fields: dict[str, str]) -> None:
    odd = Odd(**fields)
    few = [probe for probe in PROBES if probe.promise in ("UPD-1", "UPD-6", "DL-1", "RD-2")]
    report = check(odd.client(), probes=few)
    assert [finding.probe for finding in report.findings] == [probe.name for probe in few]
    assert not report.interrupted
