"""Mutants whose lock fails, or that refuse in another way (UPD-6, UPD-7, UPD-8, UPD-13)."""

import threading
from collections import Counter

from faulty import (
    Answer,
    Real,
    accepted,
    answered,
    asked,
    is_put,
    mutant,
    path_of,
    refusal,
    resource_in,
    with_headers,
)

from workbench.conformance.probes.lock import CLIENTS, RACING_CLIENT
from workbench.exchange.message import Request, Response


def version_in(tag: str | None) -> str:
    return (tag or "").removeprefix('W/"').removesuffix('"')


@answered("409 and 412 swapped", "stale-previous", "stale is answered 412, missing 409")
def _(request: Request, response: Response) -> Response:
    pair = {409: 412, 412: 409}
    return Response(pair.get(response.status, response.status), response.headers, response.body)


@answered("missing is 400", "missing", "no If-Match is answered 400, as R4 has it")
def _(request: Request, response: Response) -> Response:
    if response.status == 412 and request.headers.get("If-Match") is None:
        return Response(400, response.headers, response.body)
    return response


@asked("missing accepted", "missing", "a PUT without If-Match replaces the resource")
def _(request: Request, real: Real) -> Request:
    if not is_put(request) or request.headers.get("If-Match") is not None:
        return request
    return with_headers(request, If_Match=real.tag(path_of(request)))


@mutant("stale accepted now and then", "stale-again-and-again", "every fifth stale PUT of a resource goes through")
def _(real: Real) -> Answer:
    refused: Counter[str] = Counter()

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if response.status == 409 and is_put(request):
            refused[path_of(request)] += 1
            if refused[path_of(request)] % 5 == 0:
                return real.answer(with_headers(request, If_Match=real.tag(path_of(request))))
        return response

    return answer


@mutant("check, then act", "race", "the version is compared with an earlier read, and a gap is left before the write")
def _(real: Real) -> Answer:
    # The gap is as wide as the race: no client writes before the version of each was found to be current.
    gap = threading.Barrier(CLIENTS)

    turn = threading.Lock()  # what is written is written whole: the fault is in the comparing

    def answer(request: Request) -> Response:
        if not is_put(request) or not threading.current_thread().name.startswith(RACING_CLIENT):
            return real.answer(request)
        current = real.tag(path_of(request)) == request.headers.get("If-Match")
        gap.wait(30)
        with turn:
            tag = real.tag(path_of(request)) if current else request.headers.get("If-Match")
            return real.answer(with_headers(request, If_Match=tag))

    return answer


@mutant("no winner", "race", "of several updates at once all are refused")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        racing = is_put(request) and threading.current_thread().name.startswith(RACING_CLIENT)
        return refusal(409, "conflict", "RESOURCE_VERSION_MISMATCH") if racing else real.answer(request)

    return answer


@asked(
    "stale accepted if nothing would change", "stale-same-content", "a stale PUT of what is stored already is accepted"
)
def _(request: Request, real: Real) -> Request:
    if is_put(request):
        stored, sent = resource_in(real.get(path_of(request))), resource_in(request)
        stored.pop("meta", None)
        sent.pop("meta", None)
        if stored == sent:
            return with_headers(request, If_Match=real.tag(path_of(request)))
    return request


@asked(
    "the body's version counts",
    "stale-body-version",
    "where If-Match is stale, meta.versionId of the body is looked at",
)
def _(request: Request, real: Real) -> Request:
    meta = resource_in(request).get("meta") if is_put(request) else None
    tag = real.tag(path_of(request)) if isinstance(meta, dict) else None
    return with_headers(request, If_Match=tag) if tag and meta.get("versionId") == version_in(tag) else request


@asked("versions in any case", "stale-near-miss", "version ids are compared without regard to case")
def _(request: Request, real: Real) -> Request:
    if not is_put(request):
        return request
    tag = real.tag(path_of(request))
    same = tag is not None and tag.lower() == (request.headers.get("If-Match") or "").lower()
    return with_headers(request, If_Match=tag) if same else request


@asked("versions cut short", "stale-near-miss", "the beginning of a version id is enough")
def _(request: Request, real: Real) -> Request:
    sent = version_in(request.headers.get("If-Match"))
    tag = real.tag(path_of(request)) if is_put(request) and len(sent) > 6 else None
    return with_headers(request, If_Match=tag) if tag and version_in(tag).startswith(sent) else request


@mutant("any resource's version", "stale-foreign", "the current version of any resource is accepted for every resource")
def _(real: Real) -> Answer:
    current: dict[str, str | None] = {}

    def answer(request: Request) -> Response:
        sent = request.headers.get("If-Match")
        if is_put(request) and sent in set(current.values()):
            request = with_headers(request, If_Match=real.tag(path_of(request)))
        response = real.answer(request)
        if request.method == "GET" and accepted(response):
            current[path_of(request)] = response.headers.get("ETag")
        return response

    return answer


@mutant("made-up versions accepted", "stale-made-up", "a version that never was is taken for the current one")
def _(real: Real) -> Answer:
    seen: set[str] = set()

    def answer(request: Request) -> Response:
        sent = request.headers.get("If-Match") or ""
        if is_put(request) and sent.startswith('W/"') and sent not in seen:
            request = with_headers(request, If_Match=real.tag(path_of(request)))
        response = real.answer(request)
        seen.add(response.headers.get("ETag") or "")
        return response

    return answer


@mutant("refused and yet stored", "stale-previous", "a stale PUT is answered 409, and stored")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        response = real.answer(request)
        if response.status == 409 and is_put(request):
            real.answer(with_headers(request, If_Match=real.tag(path_of(request))))
        return response

    return answer


@mutant("gone after a refusal", "stale-previous", "once a stale PUT was refused, reads of the resource answer 404")
def _(real: Real) -> Answer:
    hidden: set[str] = set()

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if response.status == 409 and is_put(request):
            hidden.add(path_of(request))
        if request.method == "GET" and path_of(request) in hidden:
            return refusal(404, "not-found", "NO_RECORD_FOUND")
        return response

    return answer


@asked("other conditions will do", "missing-with-other-conditions", "If-Unmodified-Since takes the place of If-Match")
def _(request: Request, real: Real) -> Request:
    if is_put(request) and request.headers.get("If-Match") is None and request.headers.get("If-Unmodified-Since"):
        return with_headers(request, If_Match=real.tag(path_of(request)))
    return request


def lenient(name: str, probe: str, says: str, rewritten: str) -> None:
    """A mutant that understands another form of ``If-Match``; ``{}`` is the version id."""

    @asked(name, probe, says)
    def _(request: Request, real: Real) -> Request:
        if not is_put(request):
            return request
        tag = real.tag(path_of(request))
        understood = request.headers.get("If-Match") == rewritten.format(version_in(tag))
        return with_headers(request, If_Match=tag) if understood else request


lenient("bare versions accepted", "malformed-bare", "If-Match may be the version id alone", "{}")
lenient("strong tags accepted", "malformed-strong", "If-Match may be a strong tag", '"{}"')
lenient("unquoted tags accepted", "malformed-unquoted", "If-Match needs no quotation marks", "W/{}")
lenient("small letters accepted", "malformed-small-letter", "If-Match may begin with a small w", 'w/"{}"')
lenient("lists accepted", "malformed-list", "If-Match may be a list", 'W/"{}", W/"00000000-0000"')
lenient("any version accepted", "malformed-star", "If-Match may be a star", "*")
lenient("an empty If-Match accepted", "malformed-empty", "an empty If-Match is as good as the current version", "")


@asked("If-None-Match ignored on updates", "if-none-match-star", "If-None-Match: * is not looked at on a PUT")
def _(request: Request, real: Real) -> Request:
    star = is_put(request) and request.headers.get("If-None-Match") == "*"
    return with_headers(request, If_None_Match=None) if star else request


@mutant(
    "If-None-Match: * refused and stored",
    "if-none-match-star",
    "a PUT with If-None-Match: * is answered 412, and stored",
)
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        response = real.answer(request)
        if is_put(request) and response.status == 412 and request.headers.get("If-None-Match") == "*":
            real.answer(with_headers(request, If_None_Match=None))
        return response

    return answer
