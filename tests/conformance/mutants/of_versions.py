"""Mutants of versions, of what an accepted update answers, and of what is stored (UPD-1 to UPD-5, UPD-14, VER-1)."""

import re
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from faulty import (
    Answer,
    Real,
    accepted,
    answered,
    asked,
    edited,
    is_put,
    is_read,
    mutant,
    path_of,
    resource_in,
    with_body,
    with_headers,
)

from workbench.endpoint.in_process import BASE_URL
from workbench.exchange.message import Request, Response


def moved(date: str | None, seconds: int) -> str:
    return format_datetime(parsedate_to_datetime(date or "") + timedelta(seconds=seconds), usegmt=True)


def answered_to_a_put(name: str, meant: str, says: str, **changes: Any) -> None:
    """A mutant whose answer to an accepted PUT has these header fields; a function is given the real value."""

    @answered(name, meant, says)
    def _(request: Request, response: Response) -> Response:
        if not is_put(request) or not accepted(response):
            return response
        values = {
            field: value(response.headers.get(field.replace("_", "-"))) if callable(value) else value
            for field, value in changes.items()
        }
        changed: Response = with_headers(response, **values)
        return changed


answered_to_a_put("no Date", "update-date", "an accepted PUT is answered without a Date", Date=None)
answered_to_a_put(
    "an unreadable Date", "update-date", "Date is an ISO 8601 date", Date=lambda _date: "2018-05-25T16:10:00Z"
)
answered_to_a_put("no Last-Modified", "update-last-modified", "no Last-Modified on a PUT", Last_Modified=None)
answered_to_a_put(
    "Last-Modified backwards",
    "update-last-modified",
    "a PUT's Last-Modified is a year back",
    Last_Modified=lambda date: moved(date, -31_536_000),
)
answered_to_a_put("no ETag on a PUT", "update-etag", "an accepted PUT is answered without an ETag", ETag=None)
answered_to_a_put(
    "strong ETag on a PUT",
    "etag-is-weak-after-update",
    "a PUT's ETag is a strong one",
    ETag=lambda tag: tag.removeprefix("W/"),
)
answered_to_a_put("no Location", "update-location", "an accepted PUT is answered without a Location", Location=None)
answered_to_a_put(
    "relative Location", "update-location", "Location is a path", Location=lambda url: "/STU3" + url[len(BASE_URL) :]
)
answered_to_a_put(
    "Location of another resource",
    "update-location",
    "Location names another id",
    Location=lambda url: url[:-12] + "000000000000",
)
answered_to_a_put(
    "Location with the version",
    "update-location",
    "Location is that of a version",
    Location=lambda url: url + "/_history/1",
)


@answered("a PUT answers 201", "update", "an accepted PUT is answered 201")
def _(request: Request, response: Response) -> Response:
    done = is_put(request) and response.status == 200
    return Response(201, response.headers, response.body) if done else response


@mutant("accepted and not stored", "update", "a PUT is answered 200 with a new version, and the old content stays")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        if is_put(request) and resource_in(request).get("id"):
            real_one = resource_in(real.get(path_of(request)))
            first = real.answer(request)
            return (
                real.answer(with_body(with_headers(request, If_Match=first.headers["ETag"]), real_one))
                if accepted(first)
                else first
            )
        return real.answer(request)

    return answer


@answered("old ETag on a PUT", "update-etag", "a PUT is answered with the ETag that it replaced")
def _(request: Request, response: Response) -> Response:
    done = is_put(request) and accepted(response)
    return with_headers(response, ETag=request.headers.get("If-Match")) if done else response


@mutant("ETag of another resource", "update-etag", "a PUT is answered with the ETag of the resource updated before it")
def _(real: Real) -> Answer:
    last: list[tuple[str, str | None]] = []

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if not (is_put(request) and accepted(response)):
            return response
        other = next((tag for path, tag in reversed(last) if path != path_of(request)), 'W/"03c7a9e4-77b8"')
        last.append((path_of(request), response.headers.get("ETag")))
        changed: Response = with_headers(response, ETag=other)
        return changed

    return answer


@mutant("versions never change", "versions-are-new", "an accepted update keeps the version id")
def _(real: Real) -> Answer:
    real.store.versions.after = lambda resource, version: version  # type: ignore[method-assign]
    return real.answer


@mutant("versions come back", "versions-are-new", "after four updates the version ids begin again")
def _(real: Real) -> Answer:
    ids = ["5eb1f0c2-9d31", "03c7a9e4-77b8", "c2d80f16-0a5e", "9f40b7d3-e6c1"]
    place = {version: ids[(number + 1) % 4] for number, version in enumerate(ids)}
    real.store.versions.after = lambda resource, version: place.get(version, ids[0])  # type: ignore[method-assign]
    return real.answer


_SPINE_SHAPE = re.compile(rb"\b([0-9a-f]{8})-([0-9a-f]{4})(?![0-9a-f-])")


@mutant("versions of another shape", "version-id-shape", "a version id is v, a colon and twelve hex digits")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        sent = request.headers.get("If-Match")
        inward = re.sub(r"v:([0-9a-f]{8})([0-9a-f]{4})", r"\1-\2", sent) if sent else None
        response = real.answer(with_headers(request, If_Match=inward))
        tag = response.headers.get("ETag")
        outward = tag and re.sub(r'"([0-9a-f]{8})-([0-9a-f]{4})"', r'"v:\1\2"', tag)
        body = re.sub(rb'("versionId":")([0-9a-f]{8})-([0-9a-f]{4})', rb"\1v:\2\3", response.body)
        changed: Response = with_headers(Response(response.status, response.headers, body), ETag=outward)
        return changed

    return answer


@mutant("strong ETags", "etag-is-weak", "every ETag is a strong one, and understood as such")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        sent = request.headers.get("If-Match")
        if sent and sent.startswith('"'):
            request = with_headers(request, If_Match=f"W/{sent}")
        response = real.answer(request)
        tag = response.headers.get("ETag")
        changed: Response = with_headers(response, ETag=tag.removeprefix("W/")) if tag else response
        return changed

    return answer


@answered("ETag and versionId differ", "read", "a read's ETag names another version than its body")
def _(request: Request, response: Response) -> Response:
    if is_read(request) and accepted(response):
        return edited(response, lambda resource: resource["meta"].update(versionId="5eb1f0c2-9d31"))
    return response


@answered("no ETag on a read", "read", "a read is answered without an ETag")
def _(request: Request, response: Response) -> Response:
    return with_headers(response, ETag=None) if is_read(request) else response


@answered("Last-Modified a second off", "read-last-modified", "a read's Last-Modified is a second late")
def _(request: Request, response: Response) -> Response:
    date = response.headers.get("Last-Modified")
    return with_headers(response, Last_Modified=moved(date, 1)) if is_read(request) and date else response


@mutant("reading moves the date", "read-again", "each read shows a later Last-Modified")
def _(real: Real) -> Answer:
    reads: dict[str, int] = {}

    def answer(request: Request) -> Response:
        response = real.answer(request)
        date = response.headers.get("Last-Modified")
        if is_read(request) and accepted(response) and date:
            reads[path_of(request)] = reads.get(path_of(request), -1) + 1
            changed: Response = with_headers(response, Last_Modified=moved(date, reads[path_of(request)]))
            return changed
        return response

    return answer


@mutant("a refusal makes a version", "refusal-makes-no-version", "a PUT that is not JSON leaves a new version behind")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        response = real.answer(request)
        if response.status == 400 and is_put(request) and real.tag(path_of(request)):
            stored = resource_in(real.get(path_of(request)))
            real.answer(with_body(with_headers(request, If_Match=real.tag(path_of(request))), stored))
        return response

    return answer


@mutant(
    "identical content ignored", "identical-content", "a PUT of what is stored already is 200 without a new version"
)
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        if is_put(request):
            read = real.get(path_of(request))
            stored, sent = resource_in(read), resource_in(request)
            stored.pop("meta", None)
            sent.pop("meta", None)
            if stored == sent and request.headers.get("If-Match") == read.headers.get("ETag"):
                kept = {name: read.headers.get(name) for name in ("Date", "ETag", "Last-Modified")}
                response: Response = with_headers(Response(200), **kept)
                return response
        return real.answer(request)

    return answer


def _claimed(real: Real, element: str) -> Answer:
    """Reads show this element of meta as the last accepted body claimed it."""
    claims: dict[str, str] = {}

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if is_put(request) and accepted(response):
            meta = resource_in(request).get("meta", {})
            claims.pop(path_of(request), None)
            if element in meta:
                claims[path_of(request)] = meta[element]
        elif is_read(request) and path_of(request) in claims:
            return edited(response, lambda found: found["meta"].update({element: claims[path_of(request)]}))
        return response

    return answer


@mutant("the body's versionId stored", "sent-version-is-overwritten", "meta.versionId is stored as it was sent")
def _(real: Real) -> Answer:
    return _claimed(real, "versionId")


@mutant("the body's lastUpdated stored", "sent-version-is-overwritten", "meta.lastUpdated is stored as it was sent")
def _(real: Real) -> Answer:
    return _claimed(real, "lastUpdated")


@asked(
    "a body with a version refused", "sent-version-is-overwritten", "a body that carries a versionId is no JSON to it"
)
def _(request: Request, real: Real) -> Request:
    meta = resource_in(request).get("meta", {}) if is_put(request) else {}
    return Request(request.method, request.url, request.headers, b"{") if "versionId" in meta else request


def stored_otherwise(name: str, meant: str, says: str, change: Any) -> None:
    """A mutant that stores another content than was sent."""

    @asked(name, meant, says)
    def _(request: Request, real: Real) -> Request:
        resource = resource_in(request) if is_put(request) else {}
        return with_body(request, change(resource)) if resource else request


def without_profile(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name != "profile"}
    kept = {name: value for name, value in resource.items() if name != "meta"}
    return kept | {"meta": meta} if meta else kept


def plain_text(resource: dict[str, Any]) -> dict[str, Any]:
    text = resource.get("text")
    if not isinstance(text, dict) or "div" not in text:
        return resource
    return resource | {"text": text | {"div": text["div"].replace("𝄞", "?")}}


def rounded(resource: dict[str, Any]) -> dict[str, Any]:
    extension = resource.get("extension")
    if not isinstance(extension, list):
        return resource
    return resource | {"extension": [each | {"valueDecimal": float(each["valueDecimal"])} for each in extension]}


stored_otherwise("profiles dropped", "profiles-stay", "meta.profile is not stored", without_profile)
stored_otherwise("decimals as floats", "decimals-keep-their-digits", "1.10 is stored as 1.1", rounded)
stored_otherwise("characters lost", "text-stays", "a letter beyond 16 bits is stored as a question mark", plain_text)
stored_otherwise(
    "members sorted",
    "stored-in-order",
    "members are stored in alphabetical order",
    lambda found: dict(sorted(found.items())),
)
stored_otherwise(
    "a default added", "stored-in-order", "implicitRules is filled in", lambda found: found | {"implicitRules": "urn:x"}
)
