"""Faulty endpoints: each is the real one with one small thing wrong, so that a probe has something to catch.

Owns: how a mutant is written (it changes what is asked, what is answered, or how it is worked out) and how a
client of one is made. In process, so that the real application runs beneath.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from workbench.client.client import Client
from workbench.client.connection import Connection
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings
from workbench.endpoint.store import Store
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json as exact

Answer = Callable[[Request], Response]
BASE = "/STU3/"


class Real:
    """The real application, and what a mutant may ask of it."""

    def __init__(self, settings: Settings) -> None:
        self.application = build_application(settings, BASE_URL)

    @property
    def store(self) -> Store:
        store: Store = self.application._store
        return store

    def answer(self, request: Request) -> Response:
        return self.application.answer(request)

    def get(self, path: str) -> Response:
        """A read, as if asked by nobody."""
        return self.answer(Request("GET", BASE + path, Headers({"Accept": "application/fhir+json"})))

    def tag(self, path: str) -> str | None:
        """The current ETag of a resource, ``None`` where there is none."""
        return self.get(path).headers.get("ETag")


@dataclass(frozen=True)
class Mutant:
    """One faulty endpoint: its name, the probe meant to catch it, and what it does wrong."""

    name: str
    meant: str
    says: str
    make: Callable[[Real], Answer]
    adapter: Callable[[Any], None] = lambda _request: None
    """What happens to a prepared request before the application sees it."""
    connects_with: Callable[[], dict[str, str]] | None = None
    """The header fields of the connection to one in strict mode; ``None`` where it is not strict."""

    def client(self) -> Client:
        """A client of this faulty endpoint, fresh."""
        adapter = FaultyAdapter(self, Real(Settings(strict=self.connects_with is not None)))
        headers = self.connects_with() if self.connects_with else {}
        connection = Connection(adapter=adapter, allow_writes=True, headers=headers)
        return Client(BASE_URL, name="mutant", connection=connection, embedded=True)


class FaultyAdapter(InProcessAdapter):
    """The adapter of the endpoint in process, with a mutant in between."""

    def __init__(self, mutant: Mutant, real: Real) -> None:
        super().__init__(Faulty(real, mutant.make(real)))  # type: ignore[arg-type]
        self._mutant = mutant

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        self._mutant.adapter(request)
        return super().send(request, *arguments, **options)


class Faulty:
    """An application whose answers are a mutant's; all else is the real one's."""

    def __init__(self, real: Real, answer: Answer) -> None:
        self.answer = answer
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real.application, name)


MUTANTS: dict[str, Mutant] = {}


def mutant(name: str, meant: str, says: str) -> Callable[[Callable[[Real], Answer]], None]:
    """A mutant that works out the answer itself: ``def (real) -> answer``."""

    def keep(make: Callable[[Real], Answer]) -> None:
        assert name not in MUTANTS, name
        MUTANTS[name] = Mutant(name, meant, says, make)

    return keep


def asked(name: str, meant: str, says: str) -> Callable[[Callable[[Request, Real], Request]], None]:
    """A mutant that understands a request otherwise: ``def (request, real) -> request``."""

    def keep(change: Callable[[Request, Real], Request]) -> None:
        mutant(name, meant, says)(lambda real: lambda request: real.answer(change(request, real)))

    return keep


def answered(name: str, meant: str, says: str) -> Callable[[Callable[[Request, Response], Response]], None]:
    """A mutant that answers otherwise: ``def (request, response) -> response``."""

    def keep(change: Callable[[Request, Response], Response]) -> None:
        mutant(name, meant, says)(lambda real: lambda request: change(request, real.answer(request)))

    return keep


# --- what mutants are made of ---


def path_of(request: Request) -> str:
    """``List/744e…``, ``List`` or ``metadata``."""
    return request.url.partition("?")[0].removeprefix(BASE)


def is_about_one(request: Request, *methods: str) -> bool:
    """Whether it is one of these methods on a resource."""
    return request.method in methods and path_of(request).count("/") == 1


def is_put(request: Request) -> bool:
    return is_about_one(request, "PUT")


def is_read(request: Request) -> bool:
    return is_about_one(request, "GET")


def is_create(request: Request) -> bool:
    return request.method == "POST" and "/" not in path_of(request)


def is_search(request: Request) -> bool:
    return request.method == "GET" and "/" not in path_of(request) and path_of(request) != "metadata"


def is_statement(request: Request) -> bool:
    return (request.method, path_of(request)) == ("GET", "metadata") or request.method == "OPTIONS"


def accepted(response: Response) -> bool:
    return response.status < 300


def fields(headers: Headers, **changes: str | None) -> Headers:
    """Header fields with these changed (``None``: left out); ``If_Match`` stands for ``If-Match``."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = [(name, value) for name, value in headers.items() if name.lower() not in {key.lower() for key in named}]
    return Headers([*kept, *((name, value) for name, value in named.items() if value is not None)])


def with_headers(message: Any, **changes: str | None) -> Any:
    """A request or a response with these header fields."""
    return replace(message, headers=fields(message.headers, **changes))


def resource_in(message: Request | Response) -> dict[str, Any]:
    """The body as a resource; empty where it is none."""
    try:
        found = exact.parse(message.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def with_body(message: Any, resource: Any) -> Any:
    """A request or a response with this resource as its body."""
    return replace(message, body=exact.dumps(resource).encode())


def edited(message: Any, change: Callable[[dict[str, Any]], object]) -> Any:
    """The message with its resource changed in place, if it carries one."""
    resource = resource_in(message)
    if not resource:
        return message
    change(resource)
    return with_body(message, resource)


def outcome_edited(response: Response, change: Callable[[dict[str, Any]], object]) -> Response:
    """A refusal with each of its issues changed in place; any other answer as it is."""
    if response.status < 400:
        return response

    def every(outcome: dict[str, Any]) -> None:
        for issue in outcome.get("issue", []):
            change(issue)

    edited_response: Response = edited(response, every)
    return edited_response


def refusal(status: int, issue_type: str = "invalid", spine_code: str = "BAD_REQUEST") -> Response:
    """A refusal as the endpoint would write it."""
    coding = {"system": "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"}
    issue = {
        "severity": "error",
        "code": issue_type,
        "details": {"coding": [coding | {"code": spine_code, "display": "refused"}]},
        "diagnostics": "refused by a mutant.",
    }
    body = {
        "resourceType": "OperationOutcome",
        "meta": {"profile": ["https://fhir.nhs.uk/STU3/StructureDefinition/Spine-OperationOutcome-1"]},
        "issue": [issue],
    }
    headers = Headers({"Content-Type": "application/fhir+json;charset=utf-8"})
    return Response(status, headers, json.dumps(body).encode())
