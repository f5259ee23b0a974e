"""Known servers as data, and a comparison of findings with what those servers answer.

A server is described by its answers alone: probe name to ``Finding.answer``. Nothing else in the package depends on
which server an endpoint is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from workbench.conformance.finding import AS_PROMISED, Finding, Result
from workbench.errors import BadInput

_READ: Final = "its source and documentation, read in November 2026"
_ASKED: Final = "HAPI FHIR 8.4.0 for DSTU3, asked with these probes in November 2026"
_ASKED_HELIOS: Final = "Helios FHIR Server 0.2.7 for R4, asked with these probes in November 2026"
_GUIDE: Final = "the contract"
_STU3: Final = "the FHIR STU3 specification, http.html (Managing Resource Contention; update)"
_R4: Final = "the FHIR R4 specification, http.html (Managing Resource Contention; update)"
_PDS: Final = "NHSDigital/personal-demographics-service-api: sandbox and specification (Update patient)"
_GATEWAY: Final = "NHSDigital/reasonable-adjustments-api: RaiseFault.Invalid-If-Match.xml, api_tests, specification"
_IMMUNISATION: Final = "NHSDigital/immunisation-fhir-api: fhir_controller.py, errors.py, validation_utils.py"
_BOOKING: Final = "nhsconnect/NHS-Booking-API: cancel_an_appointment.md, book_an_appointment.md; nhsconnect/gpconnect"
_WALES: Final = "the contract's section Dialects; the standard itself was not read"


@dataclass(frozen=True)
class KnownServer:
    """One known server: its name, how a sentence names it, where its answers are known from, and the answers.

    ``answers`` maps an answer to the names of the probes that get it; of two answers to one probe the later counts.
    ``otherwise`` is the answer to every other probe, empty if unknown. ``locks=False``: it accepts every update, so
    a broken promise is not excused by being like it.
    """

    name: str
    title: str
    source: str
    answers: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    locks: bool = True

    def predicts(self, probe: str) -> str:
        """Return the answer that this probe will get; empty if it is unknown."""
        return self._by_probe.get(probe, self.otherwise)

    @cached_property
    def _by_probe(self) -> dict[str, str]:
        return {probe: answer for answer, probes in self.answers.items() for probe in probes.split()}


@dataclass(frozen=True, slots=True)
class Fit:
    """How well the answers fit one known server: of ``known`` predictions tested, ``met`` came true.

    ``misses`` names the probes whose answer was another.
    """

    profile: str
    title: str
    met: int
    known: int
    misses: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """From 0 to 1, by the rule of succession: 5 of 5 counts less than 80 of 80."""
        return (self.met + 1) / (self.known + 2)


_OLD: Final = "stale-previous stale-same-content stale-again-and-again stale-every-older stale-however-sent"
_STALE: Final = f"{_OLD} race"
_EVERY_STALE: Final = f"{_STALE} stale-made-up stale-near-miss stale-body-version stale-foreign delete-stale"
_EVERY_MISSING: Final = "missing missing-with-other-conditions delete-missing"
_MALFORMED: Final = "malformed-bare malformed-strong malformed-unquoted malformed-list malformed-star"
_PDS_AS_PROMISED: Final = """
    stale-previous stale-again-and-again missing codes-409 codes-412
    malformed-bare malformed-strong malformed-star malformed-list
"""

_NOT_SPINES: Final = {
    "not the profile": "refusals-have-the-profile",
    "no Spine code": "issues-have-a-spine-code",
}
"""The answers of every server that is not a Spine. It sends the promised statuses without Spine's codes."""

_SAME: Final = "200, same version"

_NOT_ASKED: Final = {
    "": """
        exact-content exact-representation exact-search exact-create every-update-is-stored
        reads-are-never-older others-stay date-is-the-clock deleted-stays-deleted stale-every-older
        stale-however-sent if-none-match-star history-of-the-check null-entry sibling-too-long
        narrative-unclosed narrative-no-namespace blank-in-uri fhir-comments partial-body
        outcomes-have-an-id refusals-change-nothing refused-never-applied allow-on-405 caches-ask-again
        vary-is-named read-if-match search-by-status search-by-code search-by-patient search-by-subject
        gzip-sent other-coding-sent ids-are-exact
    """,
}
"""Probes that are newer than what is known of HAPI and Helios: their answers are unknown."""

_HAPI_JPA: Final = (
    _NOT_SPINES
    | _NOT_ASKED
    | {
        "no Location": "update-location",
        "another order": "stored-in-order",
        "another text": "text-stays",
        "500": "stale-made-up malformed-unquoted malformed-small-letter malformed-list malformed-star",
        "200": """
        stale-near-miss missing missing-with-other-conditions malformed-bare malformed-strong
        malformed-empty unknown-element missing-element wrong-type not-repeating codes-406 codes-412
        codes-422 if-modified-since history-of-a-resource vread history-of-a-type delete delete-stale
        delete-missing xml-sent xml-asked format-refuses content-type-decides
    """,
        "201": "unknown-id unknown-id-without-version codes-405 create-with-an-id",
        "409": "deleted",
        "400": "unknown-code codes-413 codes-415",
        "200, same version": "identical-content",
        "a body": "prefer-nothing prefer-nothing-create prefer-unknown",
        "another content": "prefer-representation",
        "another code": "prefer-outcome prefer-outcome-create",
        "400, other codes": "codes-400-structure codes-400-invalid codes-400-parameter",
        "404, other codes": "codes-404",
        "409, other codes": "codes-409",
        "304": "if-none-match-wins",
        "Location with the version": "create-headers",
        "a parameter is unknown": "search-parameters-are-known",
        "versioning is not true": "versioning-is-true",
        "application/json+fhir": "one-name-is-written",
    }
)
"""Answer to probe names. Every other probe is answered as promised, or cannot be tried."""

_HAPI_PLAIN: Final = (
    _NOT_SPINES
    | _NOT_ASKED
    | {
        "no Last-Modified": "update-last-modified read-last-modified",
        "no Location": "update-location",
        "lastUpdated stored": "sent-version-is-overwritten",
        "another order": "stored-in-order",
        "another text": "text-stays",
        "200": """
        stale-previous stale-made-up stale-near-miss stale-same-content stale-body-version
        stale-again-and-again stale-foreign missing missing-with-other-conditions malformed-bare
        malformed-strong malformed-unquoted malformed-small-letter malformed-list malformed-star
        malformed-empty unknown-element missing-element wrong-type not-repeating prefer-on-error
        codes-400-parameter codes-406 codes-409 codes-412 codes-422 history-of-a-resource vread
        history-of-a-type search-unknown-parameter search-unusable-value xml-sent xml-asked format-refuses
        content-type-decides
    """,
        "201": "unknown-id unknown-id-without-version codes-405 create-with-an-id",
        "revived": "deleted",
        "404": "type-not-listed type-not-listed-read",
        "400": "interaction-not-listed unknown-code codes-413 codes-415",
        "several won": "race",
        "a body": "prefer-nothing prefer-nothing-create prefer-unknown",
        "another date": "prefer-representation prefer-representation-create",
        "no OperationOutcome": "prefer-outcome prefer-outcome-create",
        "400, other codes": "codes-400-structure codes-400-invalid",
        "404, other codes": "codes-404",
        "Location with the version": "create-headers",
        "204, then 410": "delete",
        "204": "delete-stale delete-missing",
        "conditionalUpdate is not true": "conditional-update-is-true",
        "application/json+fhir": "one-name-is-written",
    }
)
"""Answer to probe names. The plain server ignores ``If-Match``: every update replaces the resource."""

_HELIOS: Final = (
    _NOT_SPINES
    | _NOT_ASKED
    | {
        "no Location": "update-location",
        "412": """
        stale-previous stale-made-up stale-near-miss stale-same-content stale-body-version
        stale-again-and-again stale-foreign unknown-id deleted race codes-405 codes-409 delete-stale
    """,
        "200": """
        missing missing-with-other-conditions malformed-strong malformed-list malformed-star id-missing
        unknown-element missing-element wrong-type unknown-code not-repeating codes-400-parameter
        codes-406 codes-412 codes-422 if-modified-since history-of-a-resource vread history-of-a-type
        search-unknown-parameter search-unusable-value content-type-decides
    """,
        "201": "unknown-id-without-version create-with-an-id",
        "400": "codes-413",
        "a body": "prefer-nothing prefer-nothing-create prefer-unknown",
        "another code": "prefer-outcome prefer-outcome-create",
        "another Content-Type": "refusals-are-fhir-json",
        "no diagnostics": "issues-say-what-was-wrong",
        "diagnostics of no request": "diagnostics-of-this-request",
        "400, other codes": "codes-400-structure codes-400-invalid",
        "404, other codes": "codes-404",
        "415, other codes": "codes-415",
        "204, then 410": "delete",
        "204": "delete-missing",
        "FHIR 4.0": "metadata",
        "no statement": "options",
        "a parameter is unknown": "search-parameters-are-known",
        "application/fhir+json": "one-name-is-written",
    }
)
"""Answer to probe names. It locks; every refusal about ``If-Match`` is 412 with issue type *conflict*."""

_HELIOS_STRICT: Final = {
    AS_PROMISED: "missing missing-with-other-conditions unknown-id-without-version delete-missing",
    "412, other codes": "codes-412",
    "versioning is not true": "versioning-is-true",
    "updateCreate is not true": "update-create-is-true",
}
"""What differs when it is configured to demand ``If-Match``. Its CapabilityStatement does not change."""

KNOWN_SERVERS: Final = (
    KnownServer("spine", "a Spine endpoint", _GUIDE, otherwise=AS_PROMISED),
    KnownServer("stu3", "the STU3 specification", _STU3, {AS_PROMISED: f"{_EVERY_STALE} {_EVERY_MISSING}"}),
    KnownServer(
        "r4",
        "the R4 specification",
        _R4,
        {"412": f"{_EVERY_STALE} codes-409", "400": f"{_EVERY_MISSING} codes-412", "FHIR 4.0": "metadata"},
    ),
    KnownServer(
        "nhs-pds",
        "the NHS PDS API",
        _PDS,
        {AS_PROMISED: _PDS_AS_PROMISED, "404": "unknown-id", "FHIR 4.0": "metadata"},
    ),
    KnownServer(
        "nhs-gateway",
        "the gateway of NHS Reasonable Adjustments",
        _GATEWAY,
        {AS_PROMISED: _OLD, "400": "missing missing-with-other-conditions codes-412 malformed-empty"},
    ),
    KnownServer(
        "nhs-immunisation",
        "the NHS Immunisation API",
        _IMMUNISATION,
        # It reads E-Tag and not If-Match, so to it every If-Match is missing.
        {"400": f"{_OLD} missing missing-with-other-conditions codes-409 codes-412", "FHIR 4.0": "metadata"},
    ),
    KnownServer(
        "nhs-booking",
        "NHS Booking and GP Connect",
        _BOOKING,
        {AS_PROMISED: f"{_OLD} missing", "Location with the version": "create-headers"},
    ),
    KnownServer(
        "nhs-wales",
        "the NHS Wales standard",
        _WALES,
        {"412": f"{_OLD} codes-409", "428": "missing missing-with-other-conditions codes-412"},
    ),
    KnownServer(
        "microsoft-stu3",
        "Microsoft's FHIR server for STU3",
        _READ,
        _NOT_SPINES
        | {AS_PROMISED: f"{_STALE} missing", "409, other codes": "codes-409", "412, other codes": "codes-412"}
        | {"404": "unknown-id", "400": _MALFORMED, _SAME: "identical-content"},
    ),
    KnownServer(
        "microsoft-r4",
        "Microsoft's FHIR server for R4",
        _READ,
        _NOT_SPINES
        | {"412": f"{_STALE} codes-409", "400": f"missing codes-412 {_MALFORMED}"}
        | {"404": "unknown-id", _SAME: "identical-content", "FHIR 4.0": "metadata"},
    ),
    KnownServer("hapi", "HAPI FHIR with its JPA store", _ASKED, _HAPI_JPA, AS_PROMISED),
    KnownServer("hapi-plain", "a plain HAPI FHIR server", _ASKED, _HAPI_PLAIN, AS_PROMISED, locks=False),
    KnownServer(
        "medplum",
        "Medplum",
        _READ,
        _NOT_SPINES
        | {"412": f"{_STALE} codes-409", "200": "missing codes-412 malformed-unquoted malformed-star"}
        | {"404": "unknown-id", "FHIR 4.0": "metadata"},
    ),
    KnownServer(
        "blaze",
        "Blaze",
        _READ,
        _NOT_SPINES
        | {"412": f"{_STALE} codes-409 unknown-id", "200": "missing codes-412 malformed-list"}
        | {AS_PROMISED: "malformed-bare", _SAME: "identical-content", "FHIR 4.0": "metadata"},
    ),
    KnownServer("helios", "Helios", _ASKED_HELIOS, _HELIOS, AS_PROMISED),
    KnownServer("helios-strict", "Helios that demands If-Match", _ASKED_HELIOS, _HELIOS | _HELIOS_STRICT, AS_PROMISED),
    KnownServer(
        "aidbox",
        "Aidbox",
        _READ,
        _NOT_SPINES | {AS_PROMISED: _STALE, "409, other codes": "codes-409", "200": "missing codes-412 malformed-bare"},
    ),
)
"""The known servers; Spine first."""

EXPLORED: Final[dict[str, dict[str, str]]] = {
    "hapi": {
        "cache-control": "none",
        "if-none-match": "by its form",  # one tag 304 without an ETag, a list 200
        "unusable-date": "500",
        "read-deleted": "410",
        "delete-deleted": "200",
        "if-match-on-read": "200",
        "null-entry": "accepted",
        "uri-without-blanks": "accepted",
        "stale-made-up": "by its form",  # a number 409, anything else 500
        "deleted": "by its If-Match",  # revived without one and with the version of the deletion, else 409
    },
}
"""What exploring adds to the answers of ``KNOWN_SERVERS``, by rule (``rules.RULES``); a text allows any status."""

BY_NAME: Final = {server.name: server for server in KNOWN_SERVERS}


def known_server(name: str) -> KnownServer:
    """Return the known server of this name; raises ``BadInput`` with all names for any other."""
    server = BY_NAME.get(name.lower())
    if server is None:
        raise BadInput(f"There is no profile {name!r}; there are {', '.join(BY_NAME)}.")
    return server


def fits(findings: Sequence[Finding]) -> tuple[Fit, ...]:
    """Return how well the findings fit each known server, the best fit first; empty if nothing was tested."""
    found = []
    for server in KNOWN_SERVERS:
        known = [finding for finding in findings if finding.tested and server.predicts(finding.probe)]
        misses = tuple(finding.probe for finding in known if finding.answer != server.predicts(finding.probe))
        if known:
            found.append(Fit(server.name, server.title, len(known) - len(misses), len(known), misses))
    return tuple(sorted(found, key=lambda fit: fit.score, reverse=True))


def compare(findings: Sequence[Finding], profile: KnownServer | None) -> tuple[Finding, ...]:
    """Return the findings, compared with the known servers.

    A broken promise DIFFERS if a known server breaks it in the same way; the finding then names the server that fits
    best. With a profile, each finding also has the answer that it predicts.
    """
    by_fit = [BY_NAME[fit.profile] for fit in fits(findings)]
    candidates = [server for server in by_fit if server.locks and server is not profile]
    if profile is not None:
        candidates.insert(0, profile)
    return tuple(_compare(finding, candidates, profile) for finding in findings)


def _compare(finding: Finding, candidates: Sequence[KnownServer], profile: KnownServer | None) -> Finding:
    predicted = profile.predicts(finding.probe) if profile is not None else ""
    finding = replace(finding, predicted=predicted)
    if finding.result is Result.BROKEN:
        alike = (server for server in candidates if server.predicts(finding.probe) == finding.answer)
        if (server := next(alike, None)) is not None:
            why = f"answers {finding.answer}, as {server.title} does"
            finding = replace(finding, result=Result.DIFFERS, dialect=server.title, why=why)

    if profile is not None and finding.tested and predicted not in ("", finding.answer):
        known_to = "keep the promise" if predicted == AS_PROMISED else f"answer {predicted}"
        kept = finding.result is Result.KEPT
        found = "the promise is kept" if kept else f"the answer is {finding.answer}"
        finding = replace(finding, why=f"{profile.title} is known to {known_to}, but {found}")
    return finding
