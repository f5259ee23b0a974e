"""Known servers: what each is known to answer to each probe, with where that is known from.

Data alone, and nothing is worked out from a server's name anywhere else: a verdict comes from what was sent and
what came back. A profile only says, once an answer is in, whose it is like. A probe is named as in the
conformance package; an answer is the short form that its finding gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

AS_PROMISED: Final = "as promised"
"""The answer of a probe that found its promise kept."""

_READ: Final = "its source and documentation, read in November 2026"
_ASKED: Final = "HAPI FHIR 8.4.0 for DSTU3, asked with these probes in November 2026"
_ASKED_HELIOS: Final = "Helios FHIR Server 0.2.7 for R4, asked with these probes in November 2026"
_GUIDE: Final = "the contract"
_STU3: Final = "the FHIR STU3 specification, http.html (Managing Resource Contention; update)"
_R4: Final = "the FHIR R4 specification, http.html (Managing Resource Contention; update)"
_PDS: Final = "the NHS Personal Demographics Service FHIR API, its documentation (Update patient)"


@dataclass(frozen=True, slots=True)
class Profile:
    """One known server. ``answers`` maps a probe to its answer; ``otherwise`` is that of every other probe.

    An empty ``otherwise``: what the others get is not known. ``title`` is how a sentence names it. One that does not
    lock (``locks=False``) lets every update through: to be like it excuses nothing.
    """

    name: str
    title: str
    source: str
    answers: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    locks: bool = True

    def predicts(self, probe: str) -> str:
        """The answer that this probe will get; empty where it is not known."""
        return self.answers.get(probe, self.otherwise)


def _by_probe(*groups: Mapping[str, str]) -> dict[str, str]:
    """Answer to probes, turned into probe to answer."""
    return {probe: answer for group in groups for answer, probes in group.items() for probe in probes.split()}


def _lock(*, stale: str, missing: str, unknown: str = "", unchanged: str = "", **malformed: str) -> dict[str, str]:
    """The answers to the probes of the lock, from one row of the contract's *Dialects*.

    Statuses as text; *accepted* is 200. ``malformed`` by the form: ``bare="200"``. Empty: not known.
    """
    known = dict.fromkeys(("stale-previous", "stale-same-content", "stale-again-and-again", "race"), _as(stale, "409"))
    known |= {"codes-409": _codes(stale, "409")}
    known |= {"missing": _as(missing, "412"), "codes-412": _codes(missing, "412")}
    known |= {"unknown-id": _unknown(unknown), "identical-content": unchanged}
    known |= {f"malformed-{form.replace('_', '-')}": _as(status, "412") for form, status in malformed.items()}
    return {probe: answer for probe, answer in known.items() if answer}


def _specified(*, stale: str, missing: str) -> dict[str, str]:
    """The answers of a server that does what a specification says of every stale and every missing ``If-Match``.

    The specifications leave open which codes go with a status.
    """
    stales = ("stale-made-up", "stale-near-miss", "stale-body-version", "stale-foreign", "delete-stale")
    without = ("missing-with-other-conditions", "delete-missing")
    known = (
        _lock(stale=stale, missing=missing)
        | dict.fromkeys(stales, _as(stale, "409"))
        | dict.fromkeys(without, _as(missing, "412"))
    )
    return {probe: answer for probe, answer in known.items() if not answer.endswith("other codes")}


def _as(status: str, promised: str) -> str:
    return AS_PROMISED if status == promised else status


def _codes(status: str, promised: str) -> str:
    """Nobody but Spine uses Spine's codes: the right status comes with others."""
    return f"{status}, other codes" if status == promised else status


def _unknown(status: str) -> str:
    return _codes(status, "405") if status else ""


_NOT_SPINES: Final = {
    "refusals-have-the-profile": "not the profile",
    "issues-have-a-spine-code": "no Spine code",
    "version-id-shape": "another shape",
}
"""What holds for every server that is not a Spine."""

_SAME: Final = "200, same version"
_MALFORMED_400: Final = dict.fromkeys(("bare", "strong", "unquoted", "list", "star"), "400")

_HAPI_JPA: Final = {
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
    "not the profile": "refusals-have-the-profile",
    "no Spine code": "issues-have-a-spine-code",
    "400, other codes": "codes-400-structure codes-400-invalid codes-400-parameter",
    "404, other codes": "codes-404",
    "409, other codes": "codes-409",
    "304": "if-none-match-wins",
    "Location with the version": "create-headers",
    "a parameter is unknown": "search-parameters-are-known",
    "versioning is not true": "versioning-is-true",
    "another shape": "version-id-shape",
    "counted up": "version-ids-are-opaque",
    "application/json+fhir": "one-name-is-written",
}
"""Answer to probes. Whatever is not listed it answers as promised, or it cannot be tried there."""

_HAPI_PLAIN: Final = {
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
    "not the profile": "refusals-have-the-profile",
    "no Spine code": "issues-have-a-spine-code",
    "400, other codes": "codes-400-structure codes-400-invalid",
    "404, other codes": "codes-404",
    "Location with the version": "create-headers",
    "204, then 410": "delete",
    "204": "delete-stale delete-missing",
    "conditionalUpdate is not true": "conditional-update-is-true",
    "another shape": "version-id-shape",
    "counted up": "version-ids-are-opaque",
    "application/json+fhir": "one-name-is-written",
}
"""The plain server checks no ``If-Match`` at all: every update replaces what is there."""

_HELIOS: Final = {
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
    "not the profile": "refusals-have-the-profile",
    "no Spine code": "issues-have-a-spine-code",
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
    "another shape": "version-id-shape",
    "counted up": "version-ids-are-opaque",
    "application/fhir+json": "one-name-is-written",
}
"""R4, with a lock: every refusal about ``If-Match`` is 412, and its issue type *conflict*."""

_HELIOS_STRICT: Final = {
    AS_PROMISED: "missing missing-with-other-conditions unknown-id-without-version delete-missing",
    "412, other codes": "codes-412",
    "versioning is not true": "versioning-is-true",
    "updateCreate is not true": "update-create-is-true",
}
"""The same where it is told to insist on ``If-Match``: what differs. Its CapabilityStatement does not learn of it."""

PROFILES: Final = (
    Profile("spine", "a Spine endpoint", _GUIDE, otherwise=AS_PROMISED),
    Profile("stu3", "the STU3 specification", _STU3, _specified(stale="409", missing="412")),
    Profile(
        "r4",
        "the R4 specification",
        _R4,
        _specified(stale="412", missing="400") | {"metadata": "FHIR 4.0"},
    ),
    Profile(
        "pds",
        "the NHS PDS API",
        _PDS,
        {"codes-409": AS_PROMISED, "codes-412": AS_PROMISED, "unknown-id": "404", "metadata": "FHIR 4.0"}
        | dict.fromkeys(("stale-previous", "stale-again-and-again", "missing"), AS_PROMISED)
        | dict.fromkeys(("malformed-bare", "malformed-strong", "malformed-star", "malformed-list"), AS_PROMISED),
    ),
    Profile(
        "microsoft-stu3",
        "Microsoft's FHIR server for STU3",
        _READ,
        _NOT_SPINES | _lock(stale="409", missing="412", unknown="404", unchanged=_SAME, **_MALFORMED_400),
    ),
    Profile(
        "microsoft-r4",
        "Microsoft's FHIR server for R4",
        _READ,
        _NOT_SPINES
        | _lock(stale="412", missing="400", unknown="404", unchanged=_SAME, **_MALFORMED_400)
        | {"metadata": "FHIR 4.0"},
    ),
    Profile("hapi", "HAPI FHIR with its JPA store", _ASKED, _by_probe(_HAPI_JPA), AS_PROMISED),
    Profile("hapi-plain", "a plain HAPI FHIR server", _ASKED, _by_probe(_HAPI_PLAIN), AS_PROMISED, locks=False),
    Profile(
        "medplum",
        "Medplum",
        _READ,
        _NOT_SPINES
        | _lock(stale="412", missing="200", unknown="404", unquoted="200", star="200")
        | {"metadata": "FHIR 4.0"},
    ),
    Profile(
        "blaze",
        "Blaze",
        _READ,
        _NOT_SPINES
        | _lock(stale="412", missing="200", unknown="412", unchanged=_SAME, bare="412", list="200")
        | {"metadata": "FHIR 4.0"},
    ),
    Profile("helios", "Helios", _ASKED_HELIOS, _by_probe(_HELIOS), AS_PROMISED),
    Profile(
        "helios-strict",
        "Helios that insists on If-Match",
        _ASKED_HELIOS,
        _by_probe(_HELIOS, _HELIOS_STRICT),
        AS_PROMISED,
    ),
    Profile("aidbox", "Aidbox", _READ, _NOT_SPINES | _lock(stale="409", missing="200", bare="200")),
)
"""The known servers; Spine first."""

BY_NAME: Final = {profile.name: profile for profile in PROFILES}
