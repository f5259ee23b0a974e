"""Send one prepared request, and record the outcome or why no answer came.

The line between FAILED and UNKNOWN is drawn here. A request surely was not sent if it failed before
one of its bytes left: no address, no connection, no TLS. Otherwise the endpoint may have carried it out.
"""

from __future__ import annotations

import enum
import ssl
from typing import Final, NamedTuple, Self

import requests
from requests.adapters import BaseAdapter
from requests.cookies import extract_cookies_to_jar
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException

from workbench.client.adapter import ConnectingAdapter, LimitExceeded, read_body
from workbench.client.connection import Connection
from workbench.errors import WorkbenchError
from workbench.exchange.message import Response
from workbench.journal.secrets import redact_response_body, redact_response_header


class Stage(enum.Enum):
    """The stages at which a connection can fail, in their order."""

    DNS = "DNS"
    PROXY = "proxy"
    TCP = "TCP"
    TLS = "TLS"
    CERTIFICATE = "certificate"
    ANSWER = "answer"
    TOKEN = "token"  # noqa: S105  # the name of a stage
    PATH = "path"
    ENDPOINT = "endpoint"


class Failure(str):
    """A sentence on why no answer came, with the ``stage`` that failed. A saved journal keeps the text only."""

    __slots__ = ("stage",)
    stage: Stage

    def __new__(cls, sentence: str, stage: Stage = Stage.ANSWER) -> Self:
        """Return the sentence with its stage."""
        failure = super().__new__(cls, sentence)
        failure.stage = stage
        return failure


class KnownFailure(RequestException):
    """Raised by an adapter that knows the failure, such as a recording's.

    ``sent``: whether the request can have arrived.
    """

    def __init__(self, sentence: str, *, sent: bool) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.sent = sent


class Outcome(NamedTuple):
    """What became of one request."""

    response: Response | None
    failure: str
    """Why there is no answer, or not all of it; empty for a complete answer."""
    sent: bool
    """Whether the request can have arrived."""
    interruption: BaseException | None = None
    """Ctrl-C or the end of the program, to be raised once the exchange is recorded."""


def send(
    prepared: requests.PreparedRequest,
    session: requests.Session,
    connection: Connection,
    base_url: str,
) -> Outcome:
    """Send a request through its session's adapter and read the answer.

    Every exception becomes an outcome, because the endpoint may have carried out the request.
    The exception to this is ``WorkbenchError``, which an adapter of this package raises before it sends.
    Credentials that the answer repeats are replaced.
    """
    url = prepared.url or ""
    adapter = session.get_adapter(url)
    answer, head = None, None
    try:
        # Not session.send: it resolves the target of a redirect, and raises for one that is malformed.
        answer = adapter.send(
            prepared,
            timeout=connection.timeout,
            verify=connection.verify,
            cert=connection.cert,
            stream=True,  # an answer whose body breaks off still counts as an answer
        )

        to_proxy = adapter.proxy_headers("") if isinstance(adapter, ConnectingAdapter) else {}
        sent_fields = {name: str(value) for name, value in prepared.headers.items()} | to_proxy
        secrets = connection.secrets_of(sent_fields, url)
        # From `raw`, because requests joins fields of one name.
        received = answer.raw.headers.items()
        fields = ((name, redact_response_header(name, value, secrets)) for name, value in received)
        head = Response(answer.status_code, connection.recorded(fields))

        extract_cookies_to_jar(session.cookies, prepared, answer.raw)  # type: ignore[no-untyped-call]
        connection.forget_refused(answer.status_code)

        coding = (head.headers.get("Content-Encoding") or "").strip().lower()
        body = read_body(answer, coding, connection.max_body)
        body = redact_response_body(head.status, body, secrets, url)
        return Outcome(Response(head.status, head.headers, body), "", sent=True)
    except WorkbenchError:
        raise
    except BaseException as error:  # noqa: BLE001  # see the docstring
        interruption = None if isinstance(error, Exception) else error
        if head is not None:
            return Outcome(head, _why_cut_short(error), sent=True, interruption=interruption)
        if _PROXY_REFUSED in str(error):
            connection.forget_refused(407)
        sent = not _surely_not_sent(error, adapter)
        if isinstance(adapter, ConnectingAdapter) and adapter.attempt.cancelled and not adapter.aborted:
            return Outcome(None, Failure(_CANCELLED, Stage.ANSWER), sent, interruption)
        return Outcome(None, _why_unanswered(error, base_url), sent, interruption)
    finally:
        if answer is not None:
            answer.close()


def _surely_not_sent(error: BaseException, adapter: BaseAdapter) -> bool:
    """Return whether the request failed before one of its bytes left.

    The same holds where the server rejected the client certificate. In TLS 1.3 this alert comes
    after the request was sent, but a server reads no request before the handshake ends.
    """
    if isinstance(error, KnownFailure):
        return not error.sent
    if isinstance(adapter, ConnectingAdapter) and not adapter.attempt.sent:
        return True
    reason = _tls_reason(error)
    return any(alert in reason for alert in _CERTIFICATE_ALERTS)


def _tls_reason(error: BaseException) -> str:
    """Return OpenSSL's reason, however deep the HTTP libraries wrapped its error.

    Not the message: it may repeat what a server wrote.
    """
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ssl.SSLError):
            return each.reason or ""
        if isinstance(each, BaseException):
            waiting += [each.__context__, each.__cause__, *each.args]
    return ""


def _why_cut_short(error: BaseException) -> str:
    if isinstance(error, LimitExceeded):
        return f"The answer's body broke off: {error}."
    if isinstance(error, Exception):
        return "The answer's body broke off."
    return "The answer's body was interrupted."


def _why_unanswered(error: BaseException, base_url: str) -> Failure:
    """Return a sentence without header fields, credentials and memory addresses."""
    if isinstance(error, KnownFailure):
        return Failure(error.sentence)
    host = base_url.split("/")[2]
    if isinstance(error, LimitExceeded):
        return Failure(f"The exchange with {host} was ended: {error}.")
    if not isinstance(error, Exception):
        return Failure(f"The exchange with {host} was interrupted.")
    text, name = str(error), type(error).__name__
    for stage, sentences in _FAILURES:
        for sign, sentence in sentences.items():
            if sign in text or sign == name:
                return Failure(sentence.format(host=host), stage)
    if isinstance(error, RequestsConnectionError):
        return Failure(f"The connection to {host} broke off before an answer came.")
    return Failure(f"The exchange with {host} failed ({name}).")


_CANCELLED: Final = "The request was cancelled before an answer came."

_CERTIFICATE_ALERTS: Final = (
    "ALERT_CERTIFICATE",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_UNSUPPORTED_CERT",
)
_PROXY_REFUSED: Final = "Tunnel connection failed: 407"
"""The text of ``http.client`` for a proxy that rejects its credentials."""

_OTHER_HOST: Final = "The certificate of {host} is for another host; check the base URL."
_REJECTED: Final = "{host} does not accept your client certificate; check which one it expects."

_FAILURES: Final = (
    (
        Stage.PROXY,
        {
            _PROXY_REFUSED: "The proxy on the way to {host} wants other credentials.",
            "ProxyError": "The proxy on the way to {host} cannot be used; check its address and its password.",
        },
    ),
    (Stage.DNS, {"NameResolutionError": "The host of {host} is not known; check the base URL and the network."}),
    (
        Stage.TCP,
        {
            "Connection refused": "Nothing listens at {host}; start the endpoint or check the port.",
            "ConnectTimeout": "{host} did not take the connection in time; check the address and the network.",
        },
    ),
    (Stage.ANSWER, {"ReadTimeout": "{host} took the request but did not answer in time."}),
    (
        Stage.CERTIFICATE,
        {
            "certificate has expired": "The certificate of {host} has expired; its owner must renew it.",
            "certificate is not yet valid": "The certificate of {host} is not valid yet; check this machine's clock.",
            "certificate is not valid for": _OTHER_HOST,
            "Hostname mismatch": _OTHER_HOST,
            "IP address mismatch": _OTHER_HOST,
            "CERTIFICATE_VERIFY_FAILED": "The certificate of {host} is not trusted; name the CA that signed it: "
            "Connection(verify=…), ca in a profile, --ca on the command line.",
            "ALERT_CERTIFICATE_REQUIRED": "{host} wants a client certificate and was shown none; name yours: "
            "Connection(cert=…), cert in a profile, --cert on the command line.",
            "ALERT_CERTIFICATE_EXPIRED": "{host} says that your client certificate has expired; have it renewed.",
            "ALERT_CERTIFICATE_REVOKED": "{host} says that your client certificate was revoked; have a new one made.",
            "ALERT_UNKNOWN_CA": "{host} does not know the CA of your client certificate; show one of a CA that it "
            "knows.",
            "ALERT_UNSUPPORTED_CERT": "{host} does not take your client certificate for this use; it must be made "
            "for clients.",
            "ALERT_CERTIFICATE": _REJECTED,
            "ALERT_BAD_CERTIFICATE": _REJECTED,
        },
    ),
    (Stage.TLS, {"SSLError": "No TLS with {host}; check whether it speaks https and which certificates it wants."}),
    (Stage.TCP, {"NewConnectionError": "There is no way to {host}; check the address and the network."}),
)
"""By stage: part of the libraries' message or the name of their error, and the sentence. The first match counts."""
