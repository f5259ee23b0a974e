"""The promises of a Spine endpoint as data, by the ids that tests, notebooks and probes use.

Sources: **S** the guide's page *Updating Resources*; **C**, **R**, **D**, **V**, **E** its sibling pages
(*Creating*, *Reading*, *Deleting*, *Versioning of Resources*, *Error handling*); **G** the guide's page
*HTTP Headers*; **P** the NHS Personal Demographics Service API; **F** the FHIR STU3 http page; **H** RFC 9110;
**9111** RFC 9111; **7240** RFC 7240; **N** NHS's own public repositories of today; **W** *our choice*, where the
sources say nothing or disagree. The guide is the NHS Spine Core FHIR guide, 1.1 draft of 2019.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Level(enum.Enum):
    """How binding a promise is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


@dataclass(frozen=True, slots=True)
class Promise:
    """One rule: its stable id, how binding it is, the letters of its sources (``SOURCES``), and its text."""

    id: str
    level: Level
    sources: tuple[str, ...]
    text: str

    @property
    def section(self) -> str:
        """Return the letters before the number, a key of ``SECTIONS``."""
        return self.id.partition("-")[0]


def _must(rule: str, sources: str, text: str) -> Promise:
    return Promise(rule, Level.MUST, tuple(sources.split()), text)


def _should(rule: str, sources: str, text: str) -> Promise:
    return Promise(rule, Level.SHOULD, tuple(sources.split()), text)


PROMISES: Final = (
    _must("UPD-1", "S", "A PUT with the current version in If-Match and a valid body answers 200."),
    _must("UPD-2", "S", "That answer carries Date, Last-Modified, ETag (the new version) and an absolute Location."),
    _must("UPD-3", "S V", "Every accepted update gets a version id never used before; the resource id never changes."),
    _must(
        "UPD-4", "S", "meta.versionId and meta.lastUpdated in the submitted body are no error: they are overwritten."
    ),
    _must("UPD-5", "S F", "Everything else in the body is stored exactly as sent: whatever FHIR JSON can say."),
    _must("UPD-6", "S", "An If-Match that names any version but the current one answers 409; nothing changes."),
    _must("UPD-7", "S", "No If-Match answers 412; nothing changes."),
    _must("UPD-8", "W", 'An If-Match that is not of the form W/"<version id>" answers 412; nothing changes.'),
    _must(
        "UPD-9",
        "F",
        "A body whose id or resourceType is missing or differs from the URL's answers 400; nothing changes.",
    ),
    _must("UPD-10", "F E", "An id that Spine never assigned answers 405 MSG_RESOURCE_ID_FAIL; no resource appears."),
    _must("UPD-11", "W", "A resource that has been deleted answers 404; it stays deleted."),
    _must(
        "UPD-12", "S E", "A type or an interaction the CapabilityStatement does not list answers 501 NOT_IMPLEMENTED."
    ),
    _must(
        "UPD-13",
        "W",
        "Of N clients that send the same If-Match at once, one gets 200 and is stored; each of the others gets 409.",
    ),
    _must(
        "VAL-1",
        "E",
        "JSON that is not a valid STU3 resource of its type answers 422, the element named; nothing changes.",
    ),
    _must("UPD-15", "H", "A PUT with If-None-Match: * to a resource that exists answers 412; nothing changes."),
    _must("UPD-16", "F W", "A body marked as partial (meta.tag SUBSETTED) answers 422; nothing changes."),
    _must("UPD-17", "S W", "A refused request never changes anything, however it is refused."),
    _should(
        "UPD-14", "W", "Identical content with the right If-Match is an update like any other: 200 and a new version."
    ),
    _must("PRF-1", "S C", "No Prefer, or return=minimal: headers only, empty body."),
    _must("PRF-2", "C", "return=representation: the stored resource with its new id, versionId and lastUpdated."),
    _must("PRF-3", "C", "return=OperationOutcome: one informational issue, RESOURCE_UPDATED or RESOURCE_CREATED."),
    _should("PRF-4", "W 7240", "Any other preference is ignored, as return=minimal."),
    _must("PRF-5", "S", "An error answers with its OperationOutcome whatever was preferred."),
    _must(
        "ERR-1", "S E", "Every 4xx and 5xx carries an OperationOutcome of the Spine profile as application/fhir+json."
    ),
    _must(
        "ERR-2", "E", "Each issue has severity error, an issue type, a Spine coding and diagnostics about this request."
    ),
    _must("ERR-3", "E P", "Status, issue type and Spine code go together as the error table says."),
    _must("ERR-4", "W", "An answer never shows a stack trace, a path of the server, or SQL."),
    _must("ERR-5", "E", "An OperationOutcome has an id."),
    _must(
        "RD-1",
        "R V",
        'A read answers 200; ETag is W/"meta.versionId", Last-Modified is meta.lastUpdated to the second.',
    ),
    _must(
        "RD-2",
        "R H",
        "If-None-Match naming the current version answers 304 without a body; it wins over If-Modified-Since.",
    ),
    _must("RD-3", "R H", "If-Modified-Since not older than Last-Modified answers 304."),
    _must("RD-4", "V", "Older versions are not served: _history and vread answer 501."),
    _must(
        "RD-5",
        "W 9111",
        "A 200 or 304 to a GET carries Cache-Control: no-cache and Vary: Accept, Accept-Encoding.",
    ),
    _must("RD-6", "H", "A GET with an If-Match that is not current answers 412."),
    _must("CR-1", "C", "A POST without an id answers 201 with Location, ETag and Last-Modified; Spine assigns the id."),
    _must("CR-2", "C E", "A POST with an id in the body answers 405 MSG_RESOURCE_ID_FAIL."),
    _must("DL-1", "D", "A DELETE with the current If-Match answers 204; reads then answer 404."),
    _must("DL-2", "D", "A DELETE with a stale If-Match answers 409, with none 412; nothing changes."),
    _must(
        "SR-1",
        "S F N",
        "A search by _id, _lastUpdated, _count, and patient, subject, status, category and code where the type has "
        "them, answers a searchset Bundle. Unknown parameters answer 400.",
    ),
    _must("CAP-1", "S F", "GET metadata and OPTIONS answer a STU3 CapabilityStatement that tells the truth."),
    _must("VER-1", "V S N", "An ETag is weak; a version id is a FHIR id, opaque, never used twice for a resource."),
    _must(
        "FMT-1",
        "W",
        "FHIR JSON is read under three names and written under one; XML is refused (415, or 406 for Accept).",
    ),
    _must("FMT-2", "G", "_format overrides Accept; with neither, the request's Content-Type decides; else JSON."),
    _must(
        "FMT-3",
        "G",
        "Accept-Encoding: gzip is honoured; a request body may be chunked and in gzip; other codings answer 415.",
    ),
    _must(
        "HDR-1",
        "G",
        "Strict: Authorization carries an unsigned, unexpired JWT whose claims agree with the other headers, else 400.",
    ),
    _must("HDR-2", "G", "Strict: fromASID is missing or not twelve digits: 400 MISSING_OR_INVALID_HEADER."),
    _must(
        "HDR-3", "G", "Strict: toASID is missing or not twelve digits: 400; another endpoint's: 403 ASID_CHECK_FAILED."
    ),
    _must("HDR-4", "G", "Strict: InteractionID is missing, malformed or of another interaction or type: 400."),
    _must("HDR-5", "G", "Strict: TraceID is missing or not a UUID: 400."),
)
"""Every promise, in the contract's order."""

BY_ID: Final = {promise.id: promise for promise in PROMISES}

SOURCES: Final = {
    "S": "Spine Core guide, Updating Resources",
    "C": "Spine Core guide, Creating Resources",
    "R": "Spine Core guide, Reading Resources",
    "D": "Spine Core guide, Deleting Resources",
    "V": "Spine Core guide, Versioning of Resources",
    "E": "Spine Core guide, Error handling",
    "G": "Spine Core guide, HTTP Headers",
    "P": "NHS Personal Demographics Service API",
    "F": "FHIR STU3, http.html",
    "H": "RFC 9110",
    "9111": "RFC 9111",
    "7240": "RFC 7240",
    "N": "NHS's own public repositories of today",
    "W": "our choice",
}
"""The sources in words, by the letters in ``Promise.sources``."""

SECTIONS: Final = {
    "UPD": "Update",
    "VAL": "Validation",
    "PRF": "Response preference",
    "ERR": "Errors",
    "RD": "Read",
    "CR": "Create",
    "DL": "Delete",
    "SR": "Search",
    "CAP": "Capability",
    "VER": "Versions",
    "FMT": "Formats",
    "HDR": "Headers of a live Spine",
}
"""The sections of the contract in words, by ``Promise.section``."""
