"""Ask an endpoint by raw requests, and judge its refusals by the letter of the contract.

Owns: the session (which takes nothing from the environment), the resource each test creates for itself,
the check of an OperationOutcome (ERR-1, ERR-2, ERR-4), and the check that nothing has changed. Uses neither
the package's client nor its rules: what they get wrong must show.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter

FHIR_JSON = "application/fhir+json"
WRITTEN_TYPE = "application/fhir+json;charset=utf-8"
PROFILE = "https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"
CODE_SYSTEM = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"
LIMIT = 5 * 1024 * 1024

NO_VERSION = 'W/"00000000-0000"'
"""The right form, and nobody's version."""

NOBODY = "00000000-0000-4000-8000-000000000000"
"""An id in the right form that was never assigned."""

INSIDES = ("Traceback", "site-packages", ".py", "/srv", "/tmp", "/home", "sqlite", "SELECT ", "UPDATE ", "INSERT ")
"""What an answer never shows (ERR-4)."""

State = tuple[int, bytes, str | None, str | None]


@dataclass(frozen=True)
class Service:
    """An endpoint and a session to ask it by."""

    base_url: str
    session: requests.Session

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | None] | None = None,
        body: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request below the base; a dict is written as JSON, anything else goes out as it is."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        url = f"{self.base_url}/{path}"
        fields = dict(headers or {})
        return self.session.request(
            method, url, headers=fields, data=data, params=params, timeout=30, allow_redirects=False
        )

    def get(self, path: str, **headers: str | None) -> requests.Response:
        """GET, with header fields as keywords: ``if_none_match``."""
        return self.send("GET", path, headers=as_fields(headers))

    def put(
        self, path: str, body: Any, if_match: str | None, *, content_type: str | None = FHIR_JSON, **headers: str | None
    ) -> requests.Response:
        """PUT with this ``If-Match``, or with none."""
        fields = {"Content-Type": content_type, "If-Match": if_match, **as_fields(headers)}
        return self.send("PUT", path, headers=fields, body=body)

    def post(self, path: str, body: Any, *, content_type: str | None = FHIR_JSON, **headers: str) -> requests.Response:
        """POST."""
        return self.send("POST", path, headers={"Content-Type": content_type, **as_fields(headers)}, body=body)

    def delete(self, path: str, if_match: str | None) -> requests.Response:
        """DELETE with this ``If-Match``, or with none."""
        return self.send("DELETE", path, headers={"If-Match": if_match})

    def create(self, body: dict[str, Any] | None = None) -> "Held":
        """A new resource; by default a small List."""
        resource = body or a_list()
        answer = self.post(resource["resourceType"], resource)
        assert answer.status_code == 201, answer.text
        logical_id = answer.headers["Location"].rpartition("/")[2]
        return Held(self, f"{resource['resourceType']}/{logical_id}", logical_id, answer.headers["ETag"])

    def gone(self) -> "Held":
        """A List that was there and has been deleted; its ETag is the last it had."""
        held = self.create()
        assert self.delete(held.path, held.etag).status_code == 204
        return held

    def state(self, path: str) -> State:
        """All that a read shows of a resource."""
        answer = self.get(path)
        return (answer.status_code, answer.content, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))

    @contextmanager
    def unchanged(self, path: str) -> Iterator[None]:
        """Whatever happens inside leaves the resource as it was: body bytes, ETag, Last-Modified."""
        before = self.state(path)
        yield
        assert self.state(path) == before


@dataclass(frozen=True)
class Held:
    """A resource as its creator knows it."""

    service: Service
    path: str
    logical_id: str
    etag: str

    @property
    def version_id(self) -> str:
        """The version id inside the ETag."""
        return self.etag.removeprefix('W/"').removesuffix('"')

    def body(self, **members: Any) -> dict[str, Any]:
        """A valid List with this id."""
        return {"resourceType": "List", "id": self.logical_id} | a_list(**members)


def plain_session(adapter: BaseAdapter | None = None) -> requests.Session:
    """A session with nothing of the environment's: no proxy, no .netrc."""
    session = requests.Session()
    session.trust_env = False
    if adapter is not None:
        session.mount("http://", adapter)
    return session


def a_list(**members: Any) -> dict[str, Any]:
    """A small valid List."""
    return {"resourceType": "List", "status": "current", "mode": "working", **members}


def as_fields(keywords: Mapping[str, str | None]) -> dict[str, str | None]:
    """Keywords as header fields: ``if_none_match`` is ``If-None-Match``."""
    return {name.replace("_", "-").title(): value for name, value in keywords.items()}


def assert_refused(answer: requests.Response, status: int, issue_type: str, spine_code: str) -> dict[str, Any]:
    """The answer is this refusal, in every respect that the contract names; gives back its one issue."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"] == WRITTEN_TYPE
    issues = outcome_issues(answer.content)
    for issue in issues:
        assert (issue["severity"], issue["code"]) == ("error", issue_type)
        assert issue["details"]["coding"][0]["code"] == spine_code
        assert issue["diagnostics"].strip()
    return issues[0]


def outcome_issues(body: bytes) -> list[dict[str, Any]]:
    """The issues of a Spine OperationOutcome, once it is known to be one and to show nothing of the inside."""
    # Imported here: the racing processes use this module too, and start sooner without it.
    from fhir.resources.STU3.operationoutcome import OperationOutcome

    text = body.decode("utf-8")
    outcome = json.loads(text)
    OperationOutcome.model_validate(outcome)
    assert outcome["resourceType"] == "OperationOutcome"
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", outcome["id"])
    assert outcome["meta"]["profile"] == [PROFILE]
    assert outcome["issue"]
    for issue in outcome["issue"]:
        (coding,) = issue["details"]["coding"]
        assert coding["system"] == CODE_SYSTEM
        assert coding["display"].strip()
        assert coding["display"] != coding["code"]
    assert not [sign for sign in INSIDES if sign in text]
    issues: list[dict[str, Any]] = outcome["issue"]
    return issues


@dataclass(frozen=True)
class RawAnswer:
    """What came back over a plain socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def raw_exchange(base_url: str, message: bytes, *, method: str = "GET") -> RawAnswer:
    """Send bytes as they are to the endpoint's port, and read one answer."""
    address = urlsplit(base_url)
    assert address.hostname
    assert address.port
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(message)
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        with answer:
            return RawAnswer(answer.status, {k.title(): v for k, v in answer.getheaders()}, answer.read())


def raw_request(method: str, target: str, *lines: str, body: bytes = b"") -> bytes:
    """An HTTP/1.1 request, header lines just as they are given."""
    length = [f"Content-Length: {len(body)}"] if body else []
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", *lines, *length, "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + body
