"""Send one prepared request and return its outcome, whatever happens.

Owns: the step between a session and a record. From the first byte on, every exception becomes an outcome: an answer
of which not everything came, or none. Credentials that an answer repeats are replaced here, before anything else
sees it. No redirect is followed and nothing is sent again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import requests
from requests.adapters import BaseAdapter
from requests.cookies import extract_cookies_to_jar

from workbench.client.bounds import OverLimit, read_body
from workbench.client.connection import Connection
from workbench.client.failure import PROXY_REFUSED, sent_fields, sentence, surely_not_sent
from workbench.errors import WorkbenchError
from workbench.exchange.message import Response
from workbench.journal.secrets import redact_response_body, redact_response_header

_PIECE: Final = 2**16


class Outcome(NamedTuple):
    """What became of one request."""

    response: Response | None
    failure: str
    """A sentence on why there is no answer, or not all of it; empty where all of it came."""
    sent: bool
    """Whether the request can have arrived."""
    stop: BaseException | None = None
    """What interrupted it (Ctrl-C, or the end of the program): to be raised once the exchange is recorded."""


def send(
    prepared: requests.PreparedRequest, session: requests.Session, connection: Connection, base_url: str
) -> Outcome:
    """Send a request by its session's adapter and read the answer, within the connection's limits.

    Raises only ``WorkbenchError``, which an adapter of this package raises before it sends.
    """
    adapter = session.get_adapter(prepared.url or "")
    answer, head = None, None
    try:
        # The adapter itself: the session would look where a redirect leads, and fail on one that leads nowhere.
        answer = adapter.send(
            prepared,
            timeout=connection.timeout,
            verify=connection.verify,
            cert=connection.cert,
            stream=True,  # so that an answer whose body breaks off still counts as an answer
        )
        secrets = connection.secrets_of(sent_fields(prepared, adapter), prepared.url or "")
        head = _head(answer, connection, secrets)
        extract_cookies_to_jar(session.cookies, prepared, answer.raw)  # type: ignore[no-untyped-call]
        connection.forget_refused(answer.status_code)
        coding = (head.headers.get("Content-Encoding") or "").strip().lower()
        body = read_body(answer.raw.stream(_PIECE, decode_content=False), coding, connection.max_body)
        return Outcome(Response(head.status, head.headers, _clean(head, body, secrets, prepared)), "", sent=True)
    except WorkbenchError:
        raise
    except BaseException as error:  # noqa: BLE001  # what may have been carried out must be recorded
        stop = None if isinstance(error, Exception) else error
        if head is not None:
            return Outcome(head, _broke_off(error), sent=True, stop=stop)
        if PROXY_REFUSED in str(error):
            connection.forget_refused(407)
        return _unanswered(error, adapter, base_url, stop)
    finally:
        if answer is not None:
            answer.close()


def _head(answer: requests.Response, connection: Connection, secrets: frozenset[str]) -> Response:
    # One by one: requests itself joins those of one name.
    came = ((name, redact_response_header(name, value, secrets)) for name, value in answer.raw.headers.items())
    return Response(answer.status_code, connection.recorded(came))


def _clean(head: Response, body: bytes, secrets: frozenset[str], prepared: requests.PreparedRequest) -> bytes:
    return redact_response_body(head.status, body, secrets, prepared.url or "")


def _broke_off(error: BaseException) -> str:
    if isinstance(error, OverLimit):
        return f"The answer's body broke off: {error}."
    return "The answer's body broke off." if isinstance(error, Exception) else "The answer's body was interrupted."


def _unanswered(error: BaseException, adapter: BaseAdapter, base_url: str, stop: BaseException | None) -> Outcome:
    return Outcome(None, sentence(error, base_url), sent=not surely_not_sent(error, adapter), stop=stop)
