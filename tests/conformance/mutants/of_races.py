"""Mutants whose lock fails only sometimes: in a race, at a distance, or for some way of asking (UPD-6, UPD-13)."""

import threading
from collections import Counter
from collections.abc import Callable

from faulty import (
    Answer,
    Real,
    Request,
    Response,
    accepted,
    asked,
    is_put,
    is_read,
    mutant,
    path_of,
    with_headers,
)

from workbench.conformance.probes.lock import RACING_CLIENT


def is_racing() -> bool:
    return threading.current_thread().name.startswith(RACING_CLIENT)


@mutant("winners swapped", "race", "one client is answered 200, and what another sent is stored")
def _(real: Real) -> Answer:
    turn = threading.Lock()
    refused: dict[str, bytes] = {}

    def answer(request: Request) -> Response:
        if not (is_put(request) and is_racing()):
            return real.answer(request)
        with turn:
            body = refused.pop(path_of(request), request.body)
            response = real.answer(Request(request.method, request.url, request.headers, body))
            if not accepted(response):
                refused[path_of(request)] = request.body
            return response

    return answer


@mutant("stale reads under load", "history-of-the-check", "while clients race, every fifth read is one version old")
def _(real: Real) -> Answer:
    turn = threading.Lock()
    before: dict[str, Response] = {}
    reads: Counter[str] = Counter()

    def answer(request: Request) -> Response:
        path = path_of(request)
        with turn:
            older = real.get(path) if is_put(request) and is_racing() else None
            response = real.answer(request)
            if older is not None and accepted(response):
                before[path] = older
            if is_read(request) and is_racing() and path in before:
                reads[path] += 1
                return before[path] if reads[path] % 5 == 0 else response
            return response

    return answer


@mutant("accepted and forgotten", "history-of-the-check", "every fifth lost race is answered 200 with a made-up ETag")
def _(real: Real) -> Answer:
    turn = threading.Lock()
    lost: Counter[str] = Counter()

    def answer(request: Request) -> Response:
        with turn:
            response = real.answer(request)
            if is_put(request) and is_racing() and response.status == 409:
                lost[path_of(request)] += 1
                if lost[path_of(request)] % 5 == 0:
                    kept = {name: response.headers.get(name) for name in ("Date",)}
                    done: Response = with_headers(Response(200), ETag='W/"5eb1f0c2-9d31"', **kept)
                    return done
            return response

    return answer


def reaching_back(name: str, meant: str, says: str, chosen: Callable[[list[str]], list[str]]) -> None:
    """A mutant that also accepts some of the versions that a resource has had: ``chosen(tags, oldest first)``."""

    @mutant(name, meant, says)
    def _(real: Real) -> Answer:
        tags: dict[str, list[str]] = {}

        def answer(request: Request) -> Response:
            path, sent = path_of(request), request.headers.get("If-Match")
            if is_put(request) and sent in chosen(tags.get(path, [])):
                request = with_headers(request, If_Match=real.tag(path))
            response = real.answer(request)
            tag = response.headers.get("ETag")
            if (is_put(request) or is_read(request)) and tag and tag not in tags.setdefault(path, []):
                tags[path].append(tag)
            return response

        return answer


reaching_back(
    "two versions back", "stale-every-older", "the version before the previous one is accepted", lambda t: t[-3:-2]
)
reaching_back(
    "the first for ever",
    "stale-every-older",
    "the first version seen is accepted for ever",
    lambda t: t[:1] if len(t) > 3 else [],
)
reaching_back(
    "a window of old versions", "stale-every-older", "versions three to five back are accepted", lambda t: t[-6:-3]
)


def unlocked(name: str, says: str, wanted: Callable[[Request], bool]) -> None:
    """A mutant whose lock does not look at requests sent in some way."""

    @asked(name, "stale-however-sent", says)
    def _(request: Request, real: Real) -> Request:
        stale = is_put(request) and request.headers.get("If-Match") is not None and wanted(request)
        return with_headers(request, If_Match=real.tag(path_of(request))) if stale else request


def has(field: str, value: str) -> Callable[[Request], bool]:
    return lambda request: request.headers.get(field) == value


unlocked(
    "no lock for a representation",
    "return=representation switches the lock off",
    has("Prefer", "return=representation"),
)
unlocked(
    "no lock for plain JSON",
    "Content-Type application/json switches the lock off",
    has("Content-Type", "application/json"),
)
unlocked("no lock with a query", "a query switches the lock off", lambda request: "?" in request.url)
unlocked(
    "no lock with a date",
    "If-Unmodified-Since takes precedence over If-Match",
    lambda request: request.headers.get("If-Unmodified-Since") is not None,
)
unlocked(
    "no lock in chunks",
    "a body in chunks switches the lock off",
    lambda request: request.headers.get("Transfer-Encoding") == "chunked",
)
