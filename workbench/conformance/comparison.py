"""Comparing one answer with what is expected: the parts of an answer that do not depend on what came before it."""

from __future__ import annotations

import re
from typing import Any, Final

from workbench.conformance.responses import header, json_object
from workbench.conformance.rules import CODES, RULES, Policy
from workbench.exchange.message import Exchange
from workbench.fhir import json

_PROFILE: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"


class Disagreement(Exception):
    """The model does not allow this answer: the rule, what was expected, and what was observed."""

    def __init__(self, rule: str, expected: str, observed: str) -> None:
        super().__init__(f"{RULES[rule].promise} {rule}: expected {expected}; observed {observed}")
        self.rule, self.expected, self.observed = rule, expected, observed


class Comparison:
    """Compares answers with expectations, by the rules that the policy holds; every method raises ``Disagreement``."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def agree(self, rule: str, condition: bool, expected: str, observed: str) -> None:
        """Raise ``Disagreement`` unless the condition or the policy allows it."""
        if not condition and self.policy.holds(rule):
            raise Disagreement(rule, expected, observed)

    def refusal(self, exchange: Exchange) -> None:
        """Compare what a refusal carries: an OperationOutcome of the profile, with the codes of its status."""
        issues = exchange.outcome.issues if exchange.outcome else ()
        self.agree("refusals-are-outcomes", bool(issues), "an OperationOutcome", "none")
        status = exchange.status or 0
        structure = status == 400 and any(issue.code == "structure" for issue in issues)
        code = "structure MESSAGE_NOT_WELL_FORMED" if structure else CODES.get(status)
        rule = {400: "codes-400-structure" if structure else "codes-400-invalid"}.get(status, f"codes-{status}")
        found = {f"{issue.code} {issue.spine_code}" for issue in issues}
        if code and rule in RULES:
            self.agree(rule, found == {code}, f"{status} with {code}", f"{status} with {', '.join(sorted(found))}")
        self.agree(
            "issues-are-errors", all(issue.severity == "error" for issue in issues), "errors", "other severities"
        )
        self.agree("issues-say-what-was-wrong", all(issue.diagnostics for issue in issues), "diagnostics", "none")
        self._media_type(exchange, "refusals-are-fhir-json")
        profiles = json_object(json_object(exchange.resource).get("meta")).get("profile")
        self.agree("refusals-have-the-profile", profiles == [_PROFILE], f"the profile {_PROFILE}", str(profiles))

    def accepted_body(self, exchange: Exchange) -> None:
        """Compare the body of an accepted write with what ``Prefer`` asked for (PRF-1 to PRF-4)."""
        prefer, resource = exchange.request.headers.get("Prefer"), json_object(exchange.resource)
        kind = str(resource.get("resourceType", "an empty body"))
        if prefer == "return=representation":
            self.agree("prefer-representation", kind == exchange.resource_type, "the resource", kind)
        elif prefer == "return=OperationOutcome":
            issues = exchange.outcome.issues if exchange.outcome else ()
            code = "RESOURCE_CREATED" if exchange.request.method == "POST" else "RESOURCE_UPDATED"
            found = [f"{issue.severity} {issue.code} {issue.spine_code}" for issue in issues]
            expected = f"information informational {code}"
            self.agree("prefer-outcome", found == [expected], expected, ", ".join(found) or kind)
        else:
            empty = exchange.response is None or not exchange.response.body
            self.agree("prefer-nothing", empty, "an empty body", kind)

    def content(self, shown: dict[str, Any], stored: dict[str, Any], rule: str, where: str) -> None:
        """Compare a resource with what was sent; ``rule``: what another ``title`` breaks, if not UPD-1."""
        for name in ("id", "title", "language"):
            observed = f"{shown.get(name)!r} in {where}"
            self.agree(rule or "update", shown.get(name) == stored.get(name), f"{name} {stored.get(name)!r}", observed)
        differing = sorted(
            name for name in {**shown, **stored} if json.dumps(shown.get(name)) != json.dumps(stored.get(name))
        )
        self.agree("text-stays", not differing, "the content as sent", f"another {', '.join(differing)}")
        in_order = [name for name in shown if name != "id"] == [name for name in stored if name != "id"]
        self.agree("stored-in-order", in_order, "the order as sent", "another order")

    def readable(self, exchange: Exchange) -> None:
        """Compare the headers of every 200 and 304: the media type, and that a cache asks again (RD-5)."""
        if exchange.status == 200:
            self._media_type(exchange, "one-name-is-written")
        cached, vary = header(exchange, "Cache-Control"), header(exchange, "Vary").lower()
        kept = "no-cache" in cached and "accept" in re.split(r"[,\s]+", vary) and "accept-encoding" in vary
        self.agree("cache-control", kept, "Cache-Control: no-cache and Vary: Accept, Accept-Encoding", cached or "none")

    def _media_type(self, exchange: Exchange, rule: str) -> None:
        written = header(exchange, "Content-Type")
        is_fhir_json = written.replace(" ", "").lower() == "application/fhir+json;charset=utf-8"
        self.agree(rule, is_fhir_json, "application/fhir+json;charset=utf-8", written or "no Content-Type")
