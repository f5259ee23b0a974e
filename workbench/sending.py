"""One prepared request on its way: its answer, or why there is none, and whether it can have been sent.

Owns: the step between a session and a record. What an answer repeats of a credential is taken out here, before
anything else sees it. Follows nothing and tries nothing again.
"""

from __future__ import annotations

import requests
from requests.cookies import extract_cookies_to_jar
from requests.exceptions import RequestException

from workbench.connection import Connection
from workbench.failure import sent_fields, sentence, surely_not_sent
from workbench.redaction import answered_body, answered_field
from workbench.rules.message import Response


def send(
    prepared: requests.PreparedRequest, session: requests.Session, connection: Connection, base_url: str
) -> tuple[Response | None, str, bool]:
    """The answer, or a sentence on why there is none (or not all of it), and whether it may have been sent."""
    adapter = session.get_adapter(prepared.url or "")
    try:
        # The adapter itself: the session would look where a redirect leads, and fail on one that leads nowhere.
        answer = adapter.send(
            prepared,
            timeout=connection.timeout,
            verify=connection.verify,
            cert=connection.cert,
            stream=True,  # so that an answer whose body breaks off still counts as an answer
        )
        extract_cookies_to_jar(session.cookies, prepared, answer.raw)  # type: ignore[no-untyped-call]
    except RequestException as error:
        return None, sentence(error, base_url), not surely_not_sent(error, adapter)
    status, url = answer.status_code, prepared.url or ""
    secrets = connection.secrets_of(sent_fields(prepared, adapter), url)
    # One by one: requests itself joins those of one name.
    told = ((name, answered_field(name, value, secrets)) for name, value in answer.raw.headers.items())
    fields = connection.recorded(told)
    try:
        return Response(status, fields, answered_body(status, answer.content, secrets, url)), "", True
    except RequestException:
        return Response(status, fields), "The answer's body broke off.", True
    finally:
        answer.close()
