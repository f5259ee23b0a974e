"""Mutants of reads, searches, the CapabilityStatement and formats (RD, SR-1, CAP-1, FMT)."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from faulty import (
    MUTANTS,
    Answer,
    Mutant,
    Real,
    accepted,
    answered,
    asked,
    edited,
    is_about_one,
    is_put,
    is_read,
    is_search,
    is_statement,
    mutant,
    path_of,
    refusal,
    resource_in,
    with_body,
    with_headers,
)

from workbench.exchange.message import Headers, Request, Response

# --- conditional reads ---


@mutant("304 with a body", "if-none-match", "a 304 carries the resource")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        response = real.answer(request)
        return replace(response, body=real.get(path_of(request)).body) if response.status == 304 else response

    return answer


def condition_otherwise(name: str, meant: str, says: str, **changes: Callable[[str | None], str | None]) -> None:
    """A mutant that reads a condition of a GET otherwise."""

    @asked(name, meant, says)
    def _(request: Request, real: Real) -> Request:
        if not is_read(request):
            return request
        values = {field: change(request.headers.get(field.replace("_", "-"))) for field, change in changes.items()}
        changed: Request = with_headers(request, **values)
        return changed


condition_otherwise(
    "If-None-Match ignored", "if-none-match", "If-None-Match is not looked at", If_None_Match=lambda v: None
)
condition_otherwise(
    "any If-None-Match matches",
    "if-none-match-other",
    "any If-None-Match is answered 304",
    If_None_Match=lambda v: v and "*",
)
condition_otherwise(
    "If-Modified-Since ignored",
    "if-modified-since",
    "If-Modified-Since is not looked at",
    If_Modified_Since=lambda v: None,
)
condition_otherwise(
    "never modified",
    "if-modified-since-older",
    "any If-Modified-Since is answered 304",
    If_Modified_Since=lambda v: v and "Fri, 31 Dec 2100 23:59:59 GMT",
)


@asked("If-Modified-Since wins", "if-none-match-wins", "where both conditions are sent the date decides")
def _(request: Request, real: Real) -> Request:
    both = is_read(request) and request.headers.get("If-Modified-Since") is not None
    return with_headers(request, If_None_Match=None) if both else request


@mutant("a cache behind", "if-none-match-after-update", "an ETag that was current once is answered 304")
def _(real: Real) -> Answer:
    seen: set[str | None] = set()

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if is_read(request) and request.headers.get("If-None-Match") in seen - {None}:
            return Response(304, response.headers)
        seen.add(response.headers.get("ETag"))
        return response

    return answer


def served(name: str, meant: str, says: str, pattern: str) -> None:
    """A mutant that serves a path of the past."""

    @answered(name, meant, says)
    def _(request: Request, response: Response) -> Response:
        there = request.method == "GET" and re.fullmatch(pattern, path_of(request))
        bundle = b'{"resourceType":"Bundle","type":"history","total":0}'
        return Response(200, Headers({"Content-Type": "application/fhir+json"}), bundle) if there else response


served("history served", "history-of-a-resource", "the history of a resource is answered 200", r"\w+/[^/_]+/_history")
served("old versions served", "vread", "a version by its id is answered 200", r"\w+/[^/]+/_history/.+")
served("history of types served", "history-of-a-type", "the history of a type is answered 200", r"\w+/_history")
served("history of all served", "history-of-a-type", "the history of everything is answered 200", r"_history")


# --- searches ---


def searching(name: str, meant: str, says: str, change: Callable[[str], str]) -> None:
    """A mutant that reads the query of a search otherwise."""

    @asked(name, meant, says)
    def _(request: Request, real: Real) -> Request:
        path, mark, query = request.url.partition("?")
        return replace(request, url=path + mark + change(query)) if is_search(request) else request


def without(name: str) -> Callable[[str], str]:
    return lambda query: "&".join(part for part in query.split("&") if not part.startswith(f"{name}="))


searching(
    "unknown parameters ignored",
    "search-unknown-parameter",
    "a search parameter that is not known is left out",
    without("no-such-parameter"),
)
searching("_count ignored", "search-count", "_count is not looked at", without("_count"))
searching("_lastUpdated ignored", "search-by-last-updated", "_lastUpdated is not looked at", without("_lastUpdated"))
searching("_id ignored", "search-by-id", "_id is not looked at", without("_id"))
searching(
    "unusable values ignored",
    "search-unusable-value",
    "a value that cannot be understood is left out",
    lambda query: "&".join(part for part in query.split("&") if part not in ("_lastUpdated=yesterday", "_count=many")),
)


def bundled(name: str, meant: str, says: str, change: Callable[[dict[str, Any]], object]) -> None:
    """A mutant whose searches bring another Bundle."""

    @answered(name, meant, says)
    def _(request: Request, response: Response) -> Response:
        return edited(response, change) if is_search(request) and accepted(response) else response


bundled(
    "entries without a version",
    "search-shows-versions",
    "the entries of a search have no versionId",
    lambda bundle: [entry["resource"]["meta"].pop("versionId") for entry in bundle.get("entry", [])],
)
bundled("a collection", "search-by-id", "the Bundle is a collection", lambda bundle: bundle.update(type="collection"))
bundled(
    "a summary",
    "search-by-id",
    "the entries of a search lack their status",
    lambda bundle: [entry["resource"].pop("status", None) for entry in bundle.get("entry", [])],
)


@mutant("a search behind", "search-after-update", "a search shows the version from before the last update")
def _(real: Real) -> Answer:
    before: dict[str, dict[str, Any]] = {}

    def answer(request: Request) -> Response:
        if is_put(request):
            before[path_of(request).partition("/")[2]] = resource_in(real.get(path_of(request)))
        response = real.answer(request)
        old = before.get(request.url.partition("_id=")[2].partition("&")[0]) if is_search(request) else None
        if old and resource_in(response).get("entry"):
            return edited(response, lambda bundle: bundle["entry"][0].update(resource=old))
        return response

    return answer


@answered("nothing found is not found", "search-for-nobody", "a search that finds nothing is answered 404")
def _(request: Request, response: Response) -> Response:
    empty = is_search(request) and accepted(response) and not resource_in(response).get("entry")
    return refusal(404, "not-found", "NO_RECORD_FOUND") if empty else response


# --- the CapabilityStatement ---


def claiming(name: str, meant: str, says: str, change: Callable[[dict[str, Any]], object]) -> None:
    """A mutant whose CapabilityStatement says something that is not so."""
    answered(name, meant, says)(
        lambda request, response: edited(response, change) if is_statement(request) and accepted(response) else response
    )


def claims(element: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda statement: [each.update({element: value}) for each in statement["rest"][0]["resource"]]


for _element, _value, _probe in (
    ("versioning", "versioned", "versioning-is-true"),
    ("readHistory", True, "read-history-is-true"),
    ("updateCreate", True, "update-create-is-true"),
    ("conditionalCreate", True, "conditional-create-is-true"),
    ("conditionalRead", "not-supported", "conditional-read-is-true"),
    ("conditionalUpdate", True, "conditional-update-is-true"),
    ("conditionalDelete", "single", "conditional-delete-is-true"),
):
    claiming(f"{_element} not true", _probe, f"it says {_element}: {_value}", claims(_element, _value))

claiming("FHIR R4 claimed", "metadata", "it says fhirVersion 4.0.1", lambda found: found.update(fhirVersion="4.0.1"))
claiming(
    "XML claimed",
    "format-is-true",
    "it lists XML as a format",
    lambda found: found["format"].append("application/fhir+xml"),
)
claiming(
    "a type claimed",
    "types-are-served",
    "it lists a type that it does not serve",
    lambda found: found["rest"][0]["resource"].insert(0, {"type": "Basic", "interaction": [{"code": "search-type"}]}),
)
claiming(
    "a parameter claimed",
    "search-parameters-are-known",
    "it lists a search parameter that it does not know",
    lambda found: [
        each["searchParam"].append({"name": "title", "type": "string"}) for each in found["rest"][0]["resource"]
    ],
)


@answered("another statement for OPTIONS", "options", "OPTIONS answers another statement than metadata")
def _(request: Request, response: Response) -> Response:
    if request.method != "OPTIONS":
        return response
    return edited(response, lambda found: found["software"].update(name="another"))


@answered("no OPTIONS", "options", "OPTIONS is answered 405")
def _(request: Request, response: Response) -> Response:
    return Response(405, response.headers, response.body) if request.method == "OPTIONS" else response


@answered(
    "delete is missing", "interactions-are-offered", "the statement lists delete, and a second one is answered 501"
)
def _(request: Request, response: Response) -> Response:
    read = is_about_one(request, "DELETE") and request.headers.get("If-Match") is not None
    return refusal(501, "not-supported", "NOT_IMPLEMENTED") if read and response.status == 204 else response


@mutant("criteria understood", "conditional-update-is-true", "a PUT by _id is carried out, and the statement says no")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        path, _, logical_id = request.url.partition("?_id=")
        put = request.method == "PUT" and bool(logical_id)
        return real.answer(replace(request, url=f"{path}/{logical_id}") if put else request)

    return answer


# --- formats ---


@asked("one name read", "three-names-are-read", "a body as application/json is not understood")
def _(request: Request, real: Real) -> Request:
    plain = request.headers.get("Content-Type") == "application/json"
    return with_headers(request, Content_Type="text/plain") if plain and is_put(request) else request


@answered("plain JSON written", "one-name-is-written", "a read is answered as application/json")
def _(request: Request, response: Response) -> Response:
    return (
        with_headers(response, Content_Type="application/json") if is_read(request) and accepted(response) else response
    )


@answered("no charset", "one-name-is-written", "a read's Content-Type has no charset")
def _(request: Request, response: Response) -> Response:
    return (
        with_headers(response, Content_Type="application/fhir+json")
        if is_read(request) and accepted(response)
        else response
    )


@answered("XML is malformed", "xml-sent", "a body in XML is answered 400")
def _(request: Request, response: Response) -> Response:
    return Response(400, response.headers, response.body) if response.status == 415 else response


def asking(name: str, meant: str, says: str, change: Callable[[Request], Request]) -> None:
    """A mutant that understands what a read asks for otherwise."""
    asked(name, meant, says)(lambda request, real: change(request) if is_read(request) else request)


def _in_xml(value: str | None) -> bool:
    return "xml" in (value or "")


asking(
    "XML asked, JSON given",
    "xml-asked",
    "Accept for XML is answered in JSON",
    lambda r: with_headers(r, Accept=None) if _in_xml(r.headers.get("Accept")) else r,
)
asking(
    "_format ignored",
    "format-refuses",
    "_format is not looked at",
    lambda r: replace(r, url=r.url.partition("?_format=")[0]),
)
asking(
    "Accept wins",
    "format-allows",
    "where both are sent Accept overrides _format",
    lambda r: replace(r, url=r.url.partition("?")[0]) if _in_xml(r.headers.get("Accept")) else r,
)
asking(
    "Content-Type of no account",
    "content-type-decides",
    "the Content-Type of a read is not looked at",
    lambda r: with_headers(r, Content_Type=None),
)
asking(
    "XML by default",
    "json-by-default",
    "a read that says nothing is taken to ask for XML",
    lambda r: r if r.headers.get("Accept") or "?" in r.url else with_headers(r, Accept="application/fhir+xml"),
)


@mutant("chunks refused", "chunked-body", "a body in chunks is answered 411")
def _(real: Real) -> Answer:
    chunked = "Transfer-Encoding"
    return lambda request: refusal(411) if request.headers.get(chunked) else real.answer(request)


@asked("chunks lost", "chunked-body", "of a body in chunks nothing is stored")
def _(request: Request, real: Real) -> Request:
    if request.headers.get("Transfer-Encoding") and is_put(request):
        return with_body(request, resource_in(real.get(path_of(request))))
    return request


def coded(name: str, meant: str, says: str, accept_encoding: str) -> None:
    """A mutant that codes answers as if every request had this ``Accept-Encoding``."""

    def adapter(request: Any) -> None:
        request.headers["Accept-Encoding"] = accept_encoding

    MUTANTS[name] = Mutant(name, meant, says, lambda real: real.answer, adapter)


coded("never compressed", "gzip-asked", "Accept-Encoding: gzip is not looked at", "identity")
coded("always compressed", "gzip-not-asked", "every answer is compressed", "gzip")


@asked("gzip not read", "gzip-sent", "a body in gzip is read as if it were not")
def _(request: Request, real: Real) -> Request:
    return with_headers(request, Content_Encoding=None)


@asked("every coding read", "other-coding-sent", "a body in a coding other than gzip is read as if it had none")
def _(request: Request, real: Real) -> Request:
    other = request.headers.get("Content-Encoding") not in (None, "gzip")
    return with_headers(request, Content_Encoding=None) if other else request


@answered("codings not named", "other-coding-sent", "a 415 does not say which codings are read")
def _(request: Request, response: Response) -> Response:
    return with_headers(response, Accept_Encoding=None) if response.status == 415 else response


# --- caches and If-Match on reads (RD-5, RD-6) ---


def cached(name: str, meant: str, says: str, wanted: Callable[[Request, Response], bool], **fields: str | None) -> None:
    """A mutant whose reads have these header fields, where ``wanted(request, response)``."""

    @answered(name, meant, says)
    def _(request: Request, response: Response) -> Response:
        concerned = request.method == "GET" and response.status in (200, 304) and wanted(request, response)
        return with_headers(response, **fields) if concerned else response


cached(
    "reads kept a minute", "caches-ask-again", "reads have max-age=60", lambda q, r: True, Cache_Control="max-age=60"
)
cached("304 kept", "caches-ask-again", "a 304 has no Cache-Control", lambda q, r: r.status == 304, Cache_Control=None)
cached(
    "searches kept", "caches-ask-again", "searches have no Cache-Control", lambda q, r: is_search(q), Cache_Control=None
)
cached("Vary on Accept alone", "vary-is-named", "Vary does not name Accept-Encoding", lambda q, r: True, Vary="Accept")
cached("304 without Vary", "vary-is-named", "a 304 has no Vary", lambda q, r: r.status == 304, Vary=None)


@asked("If-Match ignored on reads", "read-if-match", "If-Match on a GET is not looked at")
def _(request: Request, real: Real) -> Request:
    return with_headers(request, If_Match=None) if request.method == "GET" else request


# --- searches by what a resource says (SR-1) ---

for _parameter in ("status", "code", "patient", "subject"):
    searching(
        f"{_parameter} ignored",
        f"search-by-{_parameter}",
        f"a search does not look at {_parameter}",
        without(_parameter),
    )
searching(
    "codes without a system",
    "search-by-code",
    "a search by system and code finds nothing",
    lambda query: query.replace("%7C", "%20"),
)


# --- which resource a read means ---


@asked("ids in any case", "ids-are-exact", "a read finds a resource by its id in capitals too")
def _(request: Request, real: Real) -> Request:
    return (
        replace(request, url=request.url.replace(path_of(request), _lowered(request))) if is_read(request) else request
    )


def _lowered(request: Request) -> str:
    kind, _, logical_id = path_of(request).partition("/")
    return f"{kind}/{logical_id.lower()}"


@mutant("ids without types", "ids-are-exact", "a read of another type finds the resource with that id")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        response = real.answer(request)
        if is_read(request) and response.status == 404:
            logical_id = path_of(request).partition("/")[2]
            found = [real.get(f"{kind}/{logical_id}") for kind in ("List", "Flag")]
            return next((each for each in found if accepted(each)), response)
        return response

    return answer
