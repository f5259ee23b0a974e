"""The rules that a model endpoint follows, as a table, and the policy that says which of them an endpoint must keep.

A known server's answers replace the contract's: a rule has the same name as the probe that tries the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from workbench.conformance.finding import AS_PROMISED
from workbench.conformance.servers import EXPLORED, KnownServer


class Rule(NamedTuple):
    """What one promise says about one situation: the status, where it is about a status.

    A rule has the name of the probe that tries the same, so a known server's answer to that probe replaces it.
    """

    promise: str
    status: int = 0


RULES: Final = {
    "answered": Rule("ERR-1"),
    # --- the order of checks on a PUT ---
    "codes-415": Rule("FMT-1", 415),
    "missing": Rule("UPD-7", 412),
    **{
        f"malformed-{form}": Rule("UPD-8", 412)
        for form in ("bare", "strong", "unquoted", "small-letter", "list", "star", "empty")
    },
    "if-none-match-star": Rule("UPD-15", 412),
    "codes-400-structure": Rule("ERR-3", 400),
    **{name: Rule("UPD-9", 400) for name in ("id-missing", "id-differs", "type-differs")},
    **{
        name: Rule("VAL-1", 422)
        for name in ("unknown-element", "wrong-type", "null-entry", "narrative-is-xhtml", "uri-without-blanks")
    },
    "subsetted": Rule("UPD-16", 422),
    "unknown-id": Rule("UPD-10", 405),
    "deleted": Rule("UPD-11", 404),
    **{name: Rule("UPD-6", 409) for name in ("stale-previous", "stale-foreign", "stale-made-up")},
    "update": Rule("UPD-1", 200),
    # --- what an accepted write answers, and what is stored ---
    "update-etag": Rule("UPD-2"),
    "update-last-modified": Rule("UPD-2"),
    "update-location": Rule("UPD-2"),
    "versions-are-new": Rule("UPD-3"),
    "identical-content": Rule("UPD-14"),
    "stored-in-order": Rule("UPD-5"),
    "text-stays": Rule("UPD-5"),
    "refusal-makes-no-version": Rule("UPD-17"),
    "prefer-nothing": Rule("PRF-1"),
    "prefer-representation": Rule("PRF-2"),
    "prefer-outcome": Rule("PRF-3"),
    # --- refusals ---
    **{f"refusals-{shape}": Rule("ERR-1") for shape in ("are-outcomes", "are-fhir-json", "have-the-profile")},
    **{name: Rule("ERR-2") for name in ("issues-are-errors", "issues-say-what-was-wrong")},
    **{f"codes-{status}": Rule("ERR-3") for status in (404, 405, 409, 412, 422, 501)},
    "codes-400-invalid": Rule("ERR-3"),
    # --- create, delete, read, search ---
    "create": Rule("CR-1", 201),
    "create-headers": Rule("CR-1"),
    "create-with-an-id": Rule("CR-2", 405),
    "delete": Rule("DL-1", 204),
    "delete-stale": Rule("DL-2", 409),
    "delete-missing": Rule("DL-2", 412),
    "delete-deleted": Rule("DL-1", 404),
    "read": Rule("RD-1", 200),
    "read-unknown": Rule("ERR-3", 404),
    "read-deleted": Rule("DL-1", 404),
    "read-last-modified": Rule("RD-1"),
    "if-match-on-read": Rule("RD-6", 412),
    "if-none-match": Rule("RD-2", 304),
    "if-modified-since": Rule("RD-3", 304),
    "unusable-date": Rule("RD-3", 200),
    "cache-control": Rule("RD-5"),
    "one-name-is-written": Rule("FMT-1"),
    "search-by-id": Rule("SR-1", 200),
    "search-after-update": Rule("SR-1"),
    "history-of-a-resource": Rule("RD-4", 501),
}
"""The rules by name, those about the status of a PUT in the contract's *Order of checks*."""

CODES: Final = {
    400: "invalid BAD_REQUEST",
    404: "not-found NO_RECORD_FOUND",
    405: "forbidden MSG_RESOURCE_ID_FAIL",
    409: "conflict RESOURCE_VERSION_MISMATCH",
    412: "structure PRECONDITION_FAILED",
    415: "not-supported UNSUPPORTED_MEDIA_TYPE",
    422: "invalid INVALID_RESOURCE",
    501: "not-supported NOT_IMPLEMENTED",
}
"""Issue type and Spine code of a refusal with this status (ERR-3)."""


@dataclass(frozen=True)
class Policy:
    """The rules of the contract; a known server's answers in their place; rules or promises left ``without``."""

    server: KnownServer | None = None
    without: Collection[str] = ()

    def status(self, rule: str) -> int | None:
        """Return the status that the rule demands; ``None`` for any."""
        answer = self._answer(rule)
        found = re.match(r"\d{3}", answer)
        return RULES[rule].status if answer == AS_PROMISED else int(found[0]) if found else None

    def holds(self, rule: str) -> bool:
        """Return whether the endpoint must keep this rule to the letter."""
        return self._answer(rule) == AS_PROMISED

    @property
    def in_order(self) -> bool:
        """Whether the first rule broken decides the status; other servers check in an order of their own."""
        return self.server is None or self.server.name == "spine"

    def _answer(self, rule: str) -> str:
        if rule in self.without or RULES[rule].promise in self.without:
            return ""
        if self.server is None:
            return AS_PROMISED
        return EXPLORED.get(self.server.name, {}).get(rule) or self.server.predicts(rule)
