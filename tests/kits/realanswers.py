"""Answers that real servers give to a write, each with its source and the verdict on it.

Data only. ``tests/exchange/test_real_answers.py`` judges each, and ``docs/make_verdicts.py`` writes the page
``docs/verdicts.md`` from the same rows. Of a message only the part that matters for the verdict is quoted.
"""

from __future__ import annotations

from typing import NamedTuple

from exchangekit import exchange, outcome

from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict

CREATED, UPDATED, DELETED, READ = Verdict.CREATED, Verdict.UPDATED, Verdict.DELETED, Verdict.READ
STALE, UNGUARDED, NOT_FOUND, REFUSED = Verdict.STALE, Verdict.UNGUARDED, Verdict.NOT_FOUND, Verdict.REFUSED
UNSUPPORTED, FAILED, UNKNOWN = Verdict.UNSUPPORTED, Verdict.FAILED, Verdict.UNKNOWN


class Answer(NamedTuple):
    """One request and what the server answers to it."""

    request: str
    """Method and header fields, such as ``PUT If-Match: W/"1"``; or method and query, such as ``PUT ?identifier=1``.

    Several fields are joined by a vertical bar.
    """
    status: int
    verdict: Verdict
    code: str = ""
    """The issue type of its OperationOutcome; empty if it has none, or if the source does not say."""
    detail: str = ""
    """The first code in ``details.coding``."""
    says: str = ""
    """Its diagnostics, or the text of its details."""
    headers: str = ""
    """The header fields of the answer that matter, written as those of the request."""

    @property
    def exchange(self) -> Exchange:
        """The exchange as a client records it."""
        method, _, fields = self.request.partition(" ")
        conditional = fields.startswith("?")  # an update of what a search finds, not of one resource
        has_outcome = self.code or self.detail or self.says
        issue = outcome(code=self.code, spine_code=self.detail, diagnostics=self.says) if has_outcome else None
        made = exchange(
            "put" if conditional else _INTERACTIONS[method],
            self.status,
            headers={} if conditional else _fields(fields),
            body=issue,
            method=method,
            answered=_fields(self.headers),
            logical_id="" if method == "POST" or conditional else "1",
        )
        assert made.request.method == method
        return made


class Server(NamedTuple):
    """A server, where its answers are known from, and the answers."""

    name: str
    source: str
    answers: tuple[Answer, ...]


_INTERACTIONS = {"PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create", "GET": "read"}


def _fields(text: str) -> dict[str, str]:
    pairs = (field.partition(": ") for field in text.split(" | ") if field)
    return {name: value for name, _, value in pairs}


_NO_IF_MATCH = "Invalid request with error - If-Match header must be supplied to update this resource"
_NO_REQUEST_ID = "Invalid request with error - X-Request-ID header must be supplied to access this resource"
_CONSTRAINT = "HAPI-0550: HAPI-0823: The operation has failed with a version constraint failure."
_REFERENCED = (
    "HAPI-0550: HAPI-0515: Unable to delete Organization/1 because at least one resource has a reference to it"
)
_IMMS = "Validation errors: "

SERVERS = (
    Server(
        "Spine guide (STU3)",
        "NHS Spine Core FHIR guide: Updating Resources, Deleting Resources, Error handling",
        (
            Answer('PUT If-Match: W/"1"', 200, UPDATED, headers='ETag: W/"2"'),
            Answer("PUT", 412, UNGUARDED, "structure", "PRECONDITION_FAILED"),
            Answer('PUT If-Match: W/"1"', 409, STALE, "conflict", "RESOURCE_VERSION_MISMATCH"),
            Answer('PUT If-Match: W/"1"', 409, STALE, "forbidden", "CONFLICT"),
            Answer('PUT If-Match: W/"1"', 405, REFUSED, "forbidden", "MSG_RESOURCE_ID_FAIL"),
            Answer('PUT If-Match: W/"1"', 422, REFUSED, "invalid", "INVALID_RESOURCE"),
            Answer('PUT If-Match: W/"1"', 501, UNSUPPORTED, "not-supported", "NOT_IMPLEMENTED"),
            Answer('DELETE If-Match: W/"1"', 204, DELETED),
            Answer("DELETE", 412, UNGUARDED, "structure", "PRECONDITION_FAILED"),
        ),
    ),
    Server(
        "NHS PDS, sandbox",
        "NHSDigital/personal-demographics-service-api: karate-tests, mocks/sandbox/patch-patient.js, post-coverage.js",
        (
            Answer('PATCH If-Match: W/"2"', 200, UPDATED, headers='ETag: W/"3"'),
            Answer("PATCH", 412, UNGUARDED, "structure", "PRECONDITION_FAILED", _NO_IF_MATCH),
            Answer('PATCH If-Match: W/"1"', 409, STALE, "conflict", "RESOURCE_VERSION_MISMATCH"),
            Answer("PATCH If-Match: 2", 409, STALE, "conflict", "RESOURCE_VERSION_MISMATCH"),
            Answer('PATCH If-Match: W/"2"', 400, REFUSED, "structure", "INVALID_UPDATE", "No patches found"),
            Answer('PATCH If-Match: W/"2"', 400, REFUSED, "required", "MISSING_VALUE", _NO_REQUEST_ID),
            Answer('PATCH If-Match: W/"2"', 400, REFUSED, "processing", "UNSUPPORTED_SERVICE"),
            Answer('PATCH If-Match: W/"2"', 401, REFUSED, "forbidden", "ACCESS_DENIED", "Missing access token"),
            Answer('PATCH If-Match: W/"2"', 404, NOT_FOUND, "not-found", "RESOURCE_NOT_FOUND"),
            Answer('POST If-Match: W/"2"', 201, CREATED, headers='ETag: W/"3"'),
            Answer("POST", 412, UNGUARDED, "structure", "PRECONDITION_FAILED", _NO_IF_MATCH),
            Answer('POST If-Match: W/"1"', 409, STALE, "conflict", "RESOURCE_VERSION_MISMATCH"),
            Answer('POST If-Match: W/"2"', 400, REFUSED, "required", "MISSING_VALUE", "Missing value - 'status'"),
        ),
    ),
    Server(
        "NHS PDS, specification",
        "NHSDigital/personal-demographics-service-api: specification, paths/patient-patch.yaml, coverage-post.yaml",
        (
            Answer('PATCH If-Match: W/"2"', 403, REFUSED, "forbidden", "FORBIDDEN_UPDATE"),
            Answer('PATCH If-Match: W/"2"', 404, NOT_FOUND, "processing", "INVALIDATED_RESOURCE"),
            Answer('PATCH If-Match: W/"2"', 408, UNKNOWN, "", "UNABLE_TO_CALL_SERVICE"),
            Answer('PATCH If-Match: W/"2"', 412, REFUSED, "structure", "PRECONDITION_FAILED", _NO_REQUEST_ID),
            Answer('PATCH If-Match: W/"2"', 429, REFUSED, "", "TOO_MANY_REQUESTS"),
            Answer('PATCH If-Match: W/"2"', 503, UNKNOWN, "timeout", "SERVICE_UNAVAILABLE", headers="Retry-After: 5"),
            Answer('POST If-Match: W/"2"', 408, UNKNOWN, "", "UNABLE_TO_CALL_SERVICE"),
            Answer('POST If-Match: W/"2"', 503, UNKNOWN, "timeout", "SERVICE_UNAVAILABLE", headers="Retry-After: 5"),
            Answer('POST If-Match: W/"2"', 412, REFUSED, "structure", "PRECONDITION_FAILED", _NO_REQUEST_ID),
        ),
    ),
    Server(
        "NHS Reasonable Adjustments, gateway (STU3)",
        "NHSDigital/reasonable-adjustments-api: RaiseFault.Invalid-If-Match.xml, api_tests, sandbox, specification",
        (
            Answer("PUT", 400, UNGUARDED, "value", "MISSING_OR_INVALID_HEADER", "if-match is missing or invalid"),
            Answer(
                "PUT If-Match: ", 400, UNGUARDED, "value", "MISSING_OR_INVALID_HEADER", "if-match is missing or invalid"
            ),
            Answer(
                "POST If-Match: ",
                400,
                UNGUARDED,
                "value",
                "MISSING_OR_INVALID_HEADER",
                "if-match is missing or invalid",
            ),
            Answer('PUT If-Match: W/"1"', 409, STALE, "", "RESOURCE_VERSION_MISMATCH"),
            Answer("PUT", 412, UNGUARDED, "", "PRECONDITION_FAILED"),
            Answer('PUT If-Match: W/"1" | Prefer: respond-async', 202, UNKNOWN),
            Answer('PUT If-Match: W/"1"', 408, UNKNOWN, "", "UNABLE_TO_CALL_SERVICE"),
            Answer('PUT If-Match: W/"1"', 401, REFUSED, "", "ACCESS_DENIED"),
            Answer('PUT If-Match: W/"1"', 403, REFUSED, "", "FORBIDDEN_UPDATE"),
            Answer(
                'PUT If-Match: W/"1"', 200, UPDATED, headers='ETag: W/"aa755bd6-2be9-4971-972a-6724879c5cb1â\x80\x9d'
            ),
        ),
    ),
    Server(
        "NHS Immunisation",
        "NHSDigital/immunisation-fhir-api: lambdas/backend (fhir_controller.py, errors.py), validation_utils.py",
        (
            Answer("POST", 201, CREATED, headers="E-Tag: 1"),
            Answer("PUT E-Tag: 1", 200, UPDATED, headers="E-Tag: 2"),
            Answer(
                "PUT",
                400,
                UNGUARDED,
                "invariant",
                says=f"{_IMMS}Immunization resource version not specified in the request headers",
            ),
            Answer(
                "PUT E-Tag: one",
                400,
                UNGUARDED,
                "invariant",
                says=f"{_IMMS}Immunization resource version:one in the request headers is invalid.",
            ),
            Answer(
                "PUT E-Tag: 1",
                400,
                STALE,
                "invariant",
                says=f"{_IMMS}The requested immunization resource 1 has changed since the last retrieve.",
            ),
            Answer(
                "PUT E-Tag: 9",
                400,
                STALE,
                "invariant",
                says=f"{_IMMS}The requested immunization resource 1 version is inconsistent with the existing version.",
            ),
            Answer(
                "PUT E-Tag: 1",
                400,
                REFUSED,
                "invariant",
                says=f"{_IMMS}identifier[0].system doesn't match with the stored content",
            ),
            Answer(
                "PUT E-Tag: 1",
                400,
                REFUSED,
                "invariant",
                says=f"{_IMMS}The provided immunization id:1 doesn't match with the content of the request body",
            ),
            Answer("PUT E-Tag: 1", 400, REFUSED, "invalid", says="Request's body contains malformed JSON"),
            Answer("PUT E-Tag: 1", 403, REFUSED, "forbidden", says="Unauthorized request for vaccine type"),
            Answer("PUT E-Tag: 1", 404, NOT_FOUND, "not-found", says="Immunization resource does not exist. ID: 1"),
            Answer("POST", 422, REFUSED, "duplicate", says="The provided identifier: x is duplicated"),
            Answer("PUT E-Tag: 1", 500, FAILED, "server-error", says="Invalid data stored for immunization record"),
            Answer("DELETE", 204, DELETED),
        ),
    ),
    Server(
        "NHS Booking (STU3)",
        "nhsconnect/NHS-Booking-API: pages/explore, cancel_an_appointment.md, book_an_appointment.md",
        (
            Answer("POST", 201, CREATED, headers="Location: Appointment/1/_history/1"),
            Answer("PUT", 412, UNGUARDED),
            Answer('PUT If-Match: W/"1"', 409, STALE),
        ),
    ),
    Server(
        "GP Connect (STU3)",
        "nhsconnect/gpconnect: pages/development/development_general_api_guidance.md (Managing resource contention)",
        (
            Answer('PUT If-Match: W/"23"', 200, UPDATED, headers='ETag: W/"24"'),
            Answer('PUT If-Match: W/"23"', 409, STALE),
        ),
    ),
    Server(
        "NHS Booking and Referral (R4)",
        "NHSDigital/booking-and-referral-fhir-api: specification/examples/OperationOutcome, ErrorRepository.js",
        (
            Answer("POST", 409, REFUSED, "conflict", "REC_CONFLICT", "local data updates conflict with the message"),
            Answer("POST", 409, REFUSED, "duplicate", "REC_CONFLICT", "identified as having already been processed"),
            Answer(
                'PUT If-Match: W/"1"', 409, REFUSED, "duplicate", "BAD_REQUEST", "has resulted in a duplicate record"
            ),
            Answer("POST", 401, REFUSED, "expired", "SEND_UNAUTHORIZED"),
            Answer("PUT", 405, UNSUPPORTED, "not-supported", "SEND_METHOD_NOT_ALLOWED"),
            Answer("POST", 408, UNKNOWN, "timeout", "REC_TIMEOUT", "The connection to the Receiver timed out."),
            Answer("POST", 422, REFUSED, "too-costly", "REC_UNPROCESSABLE_ENTITY"),
            Answer("POST", 429, REFUSED, "throttled", "SEND_TOO_MANY_REQUESTS"),
            Answer("POST", 500, FAILED, "transient", "SERVER_ERROR"),
            Answer("POST", 501, UNSUPPORTED, "not-supported", "REC_NOT_IMPLEMENTED"),
            Answer("POST", 503, UNKNOWN, "transient", "REC_SERVICE_UNAVAILABLE"),
            Answer("POST", 504, UNKNOWN),
        ),
    ),
    Server(
        "NHS National Opt-Out (STU3)",
        "nhsconnect/FHIR-NOO-API: resources_api_codes",
        (
            Answer("PUT", 405, REFUSED, "forbidden", "MSG_RESOURCE_ID_FAIL", "Client is not permitted to assign an id"),
            Answer("POST", 422, REFUSED, "duplicate", "DUPLICATE_REJECTED"),
        ),
    ),
    Server(
        "NHS Wales",
        "the contract's section Dialects (the standard itself was not read)",
        (
            Answer("PUT", 428, UNGUARDED),
            Answer('PUT If-Match: W/"1"', 412, STALE),
        ),
    ),
    Server(
        "FHIR R4 specification",
        "hl7.org/fhir/R4/http.html, Managing Resource Contention",
        (
            Answer('PUT If-Match: W/"1"', 412, STALE),
            Answer("PUT", 400, REFUSED),
            Answer("PUT", 400, UNGUARDED, "required", says="If-Match is required"),
        ),
    ),
    Server(
        "Microsoft FHIR server, STU3",
        "microsoft/fhir-server: Resources.resx, CosmosFhirDataStore.cs, ResourceConflictException.cs",
        (
            Answer(
                "PUT", 412, UNGUARDED, "required", says="A valid if-match header is required for resource type 'List'."
            ),
            Answer('PUT If-Match: W/"1"', 409, STALE, "conflict", says="The supplied version '1' did not match."),
            Answer("PUT If-Match: 1", 400, UNGUARDED, "invalid", says="'1' must be in the weak ETag format."),
        ),
    ),
    Server(
        "Microsoft FHIR server, R4 and later",
        "microsoft/fhir-server: Resources.resx, SqlServerFhirDataStore.cs, OperationOutcomeExceptionFilterAttribute.cs",
        (
            Answer(
                "PUT", 400, UNGUARDED, "invalid", says="A valid if-match header is required for resource type 'List'."
            ),
            Answer('PUT If-Match: W/"1"', 412, STALE, "required", says="The supplied version '1' did not match."),
            Answer(
                "PUT ?identifier=1",
                412,
                REFUSED,
                "required",
                says="Conditional operation on List was not attempted: search criteria was not selective enough.",
            ),
            Answer(
                'PUT If-Match: W/"1"',
                404,
                NOT_FOUND,
                "not-found",
                says="Resource type 'List' with id '1' couldn't be found.",
            ),
            Answer(
                'PUT If-Match: W/"1"',
                409,
                REFUSED,
                "exception",
                says="There was resource contention with another process in the datastore. Please retry.",
            ),
            Answer('PUT If-Match: W/"1"', 408, UNKNOWN),
            Answer("PUT", 429, REFUSED, headers="Retry-After: 1"),
        ),
    ),
    Server(
        "HAPI FHIR JPA",
        "HAPI FHIR 8.4.0, asked in November 2026; hapifhir/hapi-fhir: DaoTestUtils.java, FhirResourceDaoR4Test.java",
        (
            Answer("PUT", 200, UPDATED, headers='ETag: W/"2"'),
            Answer('PUT If-Match: W/"1"', 409, STALE, "processing"),
            Answer("PUT If-Match: 1", 409, STALE, "processing"),
            Answer('PUT If-Match: "1"', 409, STALE, "processing"),
            Answer('PUT If-Match: W/"1", W/"2"', 500, FAILED, "processing"),
            Answer('PUT If-Match: W/"1"', 409, STALE, "processing", says=_CONSTRAINT),
            Answer("PUT", 409, REFUSED, "processing", says=_CONSTRAINT),
            Answer('DELETE If-Match: W/"1"', 409, REFUSED, "processing", says=_REFERENCED),
            Answer("DELETE", 200, DELETED, "informational"),
            Answer('PUT If-Match: W/"1"', 201, CREATED, headers='ETag: W/"1"'),
        ),
    ),
    Server(
        "LinuxForHealth FHIR server",
        "LinuxForHealth/FHIR: FHIRRestHelper.java (before and after R4), issue 3488",
        (
            Answer(
                'PUT If-Match: W/"1"',
                409,
                STALE,
                "conflict",
                says="If-Match version '1' does not match current latest version of resource: 2",
            ),
            Answer(
                'PUT If-Match: W/"1"',
                412,
                STALE,
                "conflict",
                says="If-Match version '1' does not match current latest version of resource: 2",
            ),
            Answer("PUT", 409, REFUSED, "conflict", says="Encountered version id mismatch while inserting Resource"),
        ),
    ),
    Server(
        "Blaze",
        "samply/blaze: docs/api/interaction/update.md, interaction/util.clj, update.clj, tx_indexer/verify.clj",
        (
            Answer("PUT", 200, UPDATED, headers='ETag: W/"24"'),
            Answer('PUT If-Match: W/"23"', 412, STALE, "conflict", says='Precondition `W/"23"` failed on `Patient/0`.'),
            Answer(
                'PUT If-Match: W/"22", W/"23"', 412, STALE, "conflict", says='Precondition `W/"22", W/"23"` failed.'
            ),
            Answer("PUT If-Match: 23", 412, UNGUARDED, "conflict", says="Precondition `23` failed on `Patient/0`."),
            Answer("PUT If-Match: ", 412, UNGUARDED, "conflict", says="Empty precondition failed on `Patient/0`."),
            Answer("PUT If-None-Match: *", 412, REFUSED, "conflict", says="Resource `Patient/0` already exists."),
            Answer(
                'PUT If-Match: W/"23"',
                409,
                REFUSED,
                "conflict",
                says="Referential integrity violated. Resource `Patient/1` doesn't exist.",
            ),
            Answer(
                'DELETE If-Match: W/"23"',
                409,
                REFUSED,
                "conflict",
                says="Referential integrity violated. Resource `Patient/0` should be deleted but is referenced from …",
            ),
            Answer('PUT If-Match: W/"23"', 409, REFUSED, "conflict", says="Can't update the read-only resource `X/1`."),
            Answer(
                'PUT If-Match: W/"23"',
                400,
                REFUSED,
                "processing",
                says="Resources with tag SUBSETTED may be incomplete",
            ),
            Answer("PUT", 400, REFUSED, "required", says="Missing resource id."),
            Answer("DELETE", 204, DELETED),
        ),
    ),
    Server(
        "Helios 0.2.7 (R4)",
        "Helios FHIR Server 0.2.7, asked in November 2026",
        (
            Answer("PUT", 200, UPDATED, headers='ETag: W/"2"'),
            Answer("PUT", 412, UNGUARDED, "conflict", says="If-Match header is required"),
            Answer('PUT If-Match: W/"1"', 412, STALE, "conflict"),
            Answer('PUT If-Match: "1"', 412, STALE, "conflict"),
            Answer('PUT If-Match: W/"1", W/"3"', 412, STALE, "conflict"),
            Answer("PUT If-Match: 1", 412, UNGUARDED, "conflict", says="Malformed If-Match header"),
            Answer('DELETE If-Match: W/"1"', 412, STALE, "conflict"),
        ),
    ),
    Server(
        "Medplum",
        "medplum/medplum: packages/core/src/outcomes.ts; the contract's section Dialects",
        (
            Answer("PUT", 200, UPDATED, headers='ETag: W/"x2"'),
            Answer('PUT If-Match: W/"x1"', 412, STALE),
            Answer('PUT If-Match: W/"x1"', 404, NOT_FOUND, "not-found", says="Not found"),
            Answer('PUT If-Match: W/"x1"', 403, REFUSED, "access-denied", says="Access Denied"),
            Answer("GET", 410, NOT_FOUND, "gone", says="Gone"),
        ),
    ),
    Server(
        "Aidbox",
        "the contract's section Dialects",
        (
            Answer('PUT If-Match: W/"1"', 409, STALE, "conflict"),
            Answer("PUT If-Match: 1", 409, STALE, "conflict"),
        ),
    ),
    Server(
        "Oracle Health Millennium (R4)",
        "Oracle's page Patch an appointment (Errors), and a post in its forum on DocumentReference",
        (
            Answer('PATCH If-Match: W/"1"', 409, STALE),
            Answer("PATCH", 412, UNGUARDED),
            Answer('PATCH If-Match: W/"1"', 423, REFUSED),
            Answer('PATCH If-Match: W/"1"', 424, REFUSED),
            Answer('PUT If-Match: W/"15"', 400, REFUSED, "invalid", says="Invalid request"),
        ),
    ),
    Server(
        "Google Cloud Healthcare, AWS HealthLake, Spark, fhir-candle",
        "Google's conditionalUpdate; AWS's Idempotency and Concurrency; FirelyTeam/spark 1371; FHIR/fhir-candle 56",
        (
            Answer("PUT ?identifier=1", 412, REFUSED),
            Answer("POST", 409, REFUSED),
            Answer('PATCH If-Match: W/"1"', 409, STALE),
            Answer("POST", 409, REFUSED, "duplicate"),
        ),
    ),
)

ANSWERS = tuple((server, answer) for server in SERVERS for answer in server.answers)
