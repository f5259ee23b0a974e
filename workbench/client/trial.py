"""Does a connection work, and if not, where does it fail? One read of the CapabilityStatement, told in words.

Owns: naming the step. How far a request without an answer got is ``failure``'s to say; what an answer says of
token and path is said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workbench.client.client import Client
from workbench.client.failure import Failure, Step
from workbench.exchange.message import Exchange
from workbench.fhir.printable import printable

TOKEN: Final = "token"  # noqa: S105  # the name of a step
PATH: Final = "path"
ENDPOINT: Final = "endpoint"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a connection: ``words`` for people, ``failed_at`` for programs (empty: it works).

    The steps: DNS, proxy, TCP, TLS, certificate, answer, token, path, endpoint.
    """

    failed_at: str
    words: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", printable(self.words, one_line=True))

    @property
    def ok(self) -> bool:
        """Whether the endpoint answered with its CapabilityStatement."""
        return not self.failed_at


def try_connection(client: Client) -> Trial:
    """Read the CapabilityStatement and say in words what that shows; the exchange stands in the client's journal.

    Raises ``BadInput`` as any request does, where a secret cannot be had.
    """
    exchange = client.capabilities()
    if exchange.response is None:
        failure = exchange.failure
        step = failure.step if isinstance(failure, Failure) else Step.ANSWER
        return Trial(step.value, str(failure) + _hint(client, step))
    return _answered(exchange, client.base_url.split("/")[2])


def _hint(client: Client, step: Step) -> str:
    """What else may be behind a connection that broke off: some servers do not say what they have against a client."""
    if step is not Step.ANSWER:
        return ""
    if not client.base_url.lower().startswith("https:"):
        return " Perhaps it speaks HTTPS only; then its base URL begins with https://."
    shown = client.connection.cert is not None
    return f" Perhaps it {'does not accept the client certificate shown' if shown else 'wants a client certificate'}."


def _answered(exchange: Exchange, host: str) -> Trial:
    status, told = exchange.status or 0, exchange.outcome.diagnostics if exchange.outcome else ""
    because = f" It says: {told}" if told else ""
    resource = exchange.resource
    if exchange.ok and isinstance(resource, dict) and resource.get("resourceType") == "CapabilityStatement":
        version = resource.get("fhirVersion")
        return Trial("", f"It works: {host} answers as a FHIR endpoint, version {version}.")
    if status in (401, 403, 407) or _about_headers(exchange):
        return Trial(TOKEN, f"{host} answers {status}: it does not accept who you say you are.{because}")
    if 300 <= status < 400:
        place = exchange.response.headers.get("Location") if exchange.response else None
        return Trial(PATH, f"{host} sends you elsewhere, which was not followed; is this the base URL: {place}?")
    if status in (404, 405, 410, 501) or exchange.ok:
        return Trial(
            PATH, f"{host} answers {status}, but there is no CapabilityStatement at [base]/metadata; check the path."
        )
    return Trial(ENDPOINT, f"{host} answers {status}: it is reached, but not well.{because}")


def _about_headers(exchange: Exchange) -> bool:
    code = exchange.outcome.spine_code if exchange.outcome else ""
    return code in ("MISSING_OR_INVALID_HEADER", "ASID_CHECK_FAILED")
