"""An exchange: what was sent, what came back, and what can be read off the two.

Owns: the frozen record that a client gives back and a journal keeps. Must not know how anything is
sent, or who keeps the records. Credentials have been replaced before an exchange is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workbench.errors import MalformedETag, MalformedJSON, UnwantedVerdict
from workbench.exchange import text as wire
from workbench.exchange.explain import explain
from workbench.exchange.message import Request, Response, without_body
from workbench.exchange.verdict import DONE, Verdict, judge
from workbench.fhir import json, outcome
from workbench.fhir.etag import ETag
from workbench.fhir.outcome import OperationOutcome
from workbench.fhir.printable import printable

if TYPE_CHECKING:
    from workbench.client.retrying import Retried


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answer, or with the reason why there is none.

    ``elapsed`` is in seconds, ``None`` where a lesson's clock stands still. ``failure`` is one sentence
    where the answer is missing or broke off, and ``sent`` says whether the request can have arrived.
    """

    client: str
    interaction: str
    resource_type: str
    logical_id: str
    request: Request
    response: Response | None
    sent_at: datetime
    elapsed: float | None = None
    failure: str = ""
    sent: bool = True
    retried: Retried | None = field(default=None, compare=False)
    """The attempts before this one, and what became of them; only what a client gives back from ``retry=`` has it."""
    verdict: Verdict = field(init=False, compare=False)
    """What became of the request; worked out once, from what was sent and what came back."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", judge(self))

    @property
    def status(self) -> int | None:
        """The status code; ``None`` where no answer came."""
        return self.response.status if self.response else None

    @property
    def etag(self) -> ETag | None:
        """The answer's entity tag; ``None`` where there is none that can be read as one."""
        value = self.response.headers.get("ETag") if self.response else None
        try:
            return ETag.parse(value) if value is not None else None
        except MalformedETag:
            return None

    @property
    def if_match(self) -> str | None:
        """The ``If-Match`` that was sent, as it was sent."""
        return self.request.headers.get("If-Match")

    @property
    def resource(self) -> Any:
        """The answer's body as plain JSON, decimals exact; parsed afresh each time, so yours to edit.

        ``None`` where there is no body, where it is no longer kept, and where it is not JSON.
        """
        if self.response is None or not self.response.body:
            return None
        try:
            return json.parse(self.response.body)
        except MalformedJSON:
            return None

    @property
    def outcome(self) -> OperationOutcome | None:
        """The OperationOutcome that came back, if one did."""
        return outcome.read(self.resource)

    @property
    def is_whole(self) -> bool:
        """Whether its bodies are still kept; a journal keeps them up to a budget, and then their digests."""
        return not (self.request.dropped or (self.response and self.response.dropped))

    def without_bodies(self) -> Exchange:
        """The same with its bodies' digests in place of the bodies; what was made of them, the verdict, stays."""
        response = without_body(self.response) if self.response else None
        return replace(self, request=without_body(self.request), response=response).judged(self.verdict)

    def judged(self, verdict: Verdict) -> Exchange:
        """Set the verdict to what it was while the bodies were kept, and give the exchange back."""
        object.__setattr__(self, "verdict", verdict)
        return self

    @property
    def ok(self) -> bool:
        """Whether the request did what it asked for."""
        return self.verdict in DONE

    def explain(self) -> str:
        """One plain paragraph: what was asked, what came of it, and what to do next."""
        return explain(self)

    def as_http(self, *, base: str = "", indent: int | None = None) -> str:
        """The request and the answer as HTTP/1.1 messages, credentials replaced.

        For reading: ``base`` is written ``[base]`` wherever it stands, ``indent`` lays out JSON bodies.
        """
        return wire.as_http(self, base=base, indent=indent)

    def as_curl(self) -> str:
        """A curl command line that sends the same request, credentials replaced by a placeholder."""
        return wire.as_curl(self)

    def raise_for_verdict(self, *wanted: Verdict) -> Exchange:
        """Return this exchange if its verdict is one of ``wanted`` (by default: it did what it asked for).

        Raises ``UnwantedVerdict``, whose message is ``explain()``.
        """
        if self.verdict in (wanted or DONE):
            return self
        raise UnwantedVerdict(self)

    def __repr__(self) -> str:
        answer = self.status if self.status is not None else "no answer"
        before = self.retried.resolution if self.retried else None
        earlier = f", an earlier attempt: {before.outcome.value}" if before else ""
        text = f"<{self.client}: {self.interaction} {self.target} → {answer} {self.verdict.value}{earlier}>"
        return printable(text, one_line=True)

    @property
    def target(self) -> str:
        """What it was about, as FHIR writes a relative reference: ``List/744e…``, or the type alone."""
        if self.resource_type and self.logical_id:
            return f"{self.resource_type}/{self.logical_id}"
        return self.resource_type or self.logical_id or "(the endpoint)"
