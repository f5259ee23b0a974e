"""Mutants of ids, types, validation, creating and deleting (UPD-9 to UPD-12, VAL-1, CR, DL)."""

from dataclasses import replace
from typing import Any

from faulty import (
    Answer,
    Real,
    answered,
    asked,
    is_about_one,
    is_create,
    is_put,
    is_read,
    is_search,
    mutant,
    outcome_edited,
    path_of,
    refusal,
    resource_in,
    with_body,
    with_headers,
)

from workbench.endpoint.store import Stored
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json as exact


def understood(name: str, meant: str, says: str, change: Any) -> None:
    """A mutant that mends the body of a PUT: ``change(resource, type, id)``."""

    @asked(name, meant, says)
    def _(request: Request, real: Real) -> Request:
        resource = resource_in(request) if is_put(request) else {}
        return with_body(request, change(resource, *path_of(request).split("/"))) if resource else request


understood(
    "a missing id filled in",
    "id-missing",
    "a body without id gets the URL's",
    lambda r, t, i: r if "id" in r else r | {"id": i},
)
understood(
    "the URL's id wins",
    "id-differs",
    "another id in the body is replaced",
    lambda r, t, i: r | {"id": i} if "id" in r else r,
)
understood(
    "a missing type filled in",
    "type-missing",
    "a body without resourceType gets the URL's",
    lambda r, t, i: r if "resourceType" in r else r | {"resourceType": t},
)


@mutant("another type accepted", "type-differs", "a Flag may be put where a List is")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        sent = resource_in(request) if is_put(request) else {}
        if sent.get("resourceType", path_of(request).partition("/")[0]) == path_of(request).partition("/")[0]:
            return real.answer(request)
        stored = resource_in(real.get(path_of(request)))
        return real.answer(with_body(request, stored)) if stored else real.answer(request)

    return answer


def creating(name: str, meant: str, says: str, wanted: Any) -> None:
    """A mutant that creates what a PUT to an unknown id names, where ``wanted(request)``."""

    @mutant(name, meant, says)
    def _(real: Real) -> Answer:
        def answer(request: Request) -> Response:
            if is_put(request) and wanted(request):
                kind, logical_id = path_of(request).split("/")
                sent = resource_in(request)
                if sent.get("id") == logical_id and real.store.read(kind, logical_id) is None:
                    new = Stored("5eb1f0c2-9d31", "2018-05-25T16:10:00.000+00:00", b"")
                    meta = {"versionId": new.version_id, "lastUpdated": new.last_updated}
                    body = exact.dumps(sent | {"meta": meta}).encode()
                    real.store.insert(kind, logical_id, replace(new, body=body))
                    return Response(201, Headers({"ETag": 'W/"5eb1f0c2-9d31"'}))
            return real.answer(request)

        return answer


creating("a PUT creates", "unknown-id", "a PUT to an unknown id creates it", lambda r: r.headers.get("If-Match"))
creating(
    "a PUT without version creates",
    "unknown-id-without-version",
    "a PUT without If-Match to an unknown id creates it",
    lambda r: r.headers.get("If-Match") is None,
)
creating(
    "a PUT creates, and says nothing", "update-create-is-true", "a PUT creates, updateCreate says no", lambda r: True
)


@answered("unknown ids are not found", "unknown-id", "a PUT to an unknown id is answered 404")
def _(request: Request, response: Response) -> Response:
    unknown = is_put(request) and response.status == 405
    return refusal(404, "not-found", "NO_RECORD_FOUND") if unknown else response


@mutant("deleted resources revived", "deleted", "a PUT brings a deleted resource back")
def _(real: Real) -> Answer:
    revived: dict[str, Response] = {}

    def answer(request: Request) -> Response:
        response = real.answer(request)
        if is_put(request) and response.status == 404:
            done = Response(200, Headers({"ETag": 'W/"5eb1f0c2-9d31"'}))
            revived[path_of(request)] = replace(done, body=request.body)
            return done
        return revived.get(path_of(request), response) if is_read(request) else response

    return answer


@answered("deleted is gone", "deleted", "a PUT to a deleted resource is answered 410")
def _(request: Request, response: Response) -> Response:
    return Response(410, response.headers, response.body) if is_put(request) and response.status == 404 else response


@answered("unlisted types are not found", "type-not-listed", "a PUT to a type not served is answered 404")
def _(request: Request, response: Response) -> Response:
    return refusal(404, "not-found", "NO_RECORD_FOUND") if is_put(request) and response.status == 501 else response


@answered("unlisted types have nothing", "type-not-listed-read", "a read of a type not served is answered 404")
def _(request: Request, response: Response) -> Response:
    return refusal(404, "not-found", "NO_RECORD_FOUND") if is_read(request) and response.status == 501 else response


@answered("PATCH not allowed", "interaction-not-listed", "a PATCH is answered 405")
def _(request: Request, response: Response) -> Response:
    return Response(405, response.headers, response.body) if request.method == "PATCH" else response


@mutant("PATCH taken for a PUT", "interaction-not-listed", "a PATCH makes a new version")
def _(real: Real) -> Answer:
    def answer(request: Request) -> Response:
        if request.method != "PATCH":
            return real.answer(request)
        stored = with_body(request, resource_in(real.get(path_of(request))))
        return real.answer(with_headers(replace(stored, method="PUT"), Content_Type="application/fhir+json"))

    return answer


# --- validation ---


def lenient(name: str, meant: str, says: str, mended: Any) -> None:
    """A mutant that takes an invalid resource for a valid one, by mending it."""
    understood(name, meant, says, lambda resource, kind, logical_id: mended(resource))


lenient(
    "unknown elements dropped",
    "unknown-element",
    "an element that STU3 does not know is left out",
    lambda r: {name: value for name, value in r.items() if name != "colour"},
)
lenient(
    "required elements optional",
    "missing-element",
    "a narrative needs no text",
    lambda r: {name: value for name, value in r.items() if name != "text" or "div" in value},
)
lenient(
    "numbers for text",
    "wrong-type",
    "a number is taken where text belongs",
    lambda r: r | {"language": str(r["language"])} if isinstance(r.get("language"), int) else r,
)
lenient(
    "any code",
    "unknown-code",
    "a code outside the binding is taken",
    lambda r: r | {"text": r["text"] | {"status": "generated"}} if r.get("text", {}).get("status") == "nonsense" else r,
)
lenient(
    "a list for one",
    "not-repeating",
    "of a list where one belongs the first is taken",
    lambda r: r | {"language": r["language"][0]} if isinstance(r.get("language"), list) else r,
)


@answered("invalid is a bad request", "unknown-element", "an invalid resource is answered 400")
def _(request: Request, response: Response) -> Response:
    return Response(400, response.headers, response.body) if response.status == 422 else response


@answered("the element not named", "missing-element", "an invalid resource is refused without saying where")
def _(request: Request, response: Response) -> Response:
    def change(issue: dict[str, Any]) -> None:
        issue.pop("expression", None)
        issue["diagnostics"] = "the resource is not valid."

    return outcome_edited(response, change) if response.status == 422 else response


# --- creating ---


@answered("created is 200", "create", "a create is answered 200")
def _(request: Request, response: Response) -> Response:
    return Response(200, response.headers, response.body) if response.status == 201 else response


@answered("create is missing", "create-is-offered", "a create is answered 501, and the statement lists it")
def _(request: Request, response: Response) -> Response:
    return refusal(501, "not-supported", "NOT_IMPLEMENTED") if response.status == 201 else response


@answered("created elsewhere", "create", "the Location of a create is that of another resource")
def _(request: Request, response: Response) -> Response:
    elsewhere = f"{(response.headers.get('Location') or '').rpartition('/')[0]}/744eec7d-8951-4722-ad74-dc34e86d4e1a"
    return with_headers(response, Location=elsewhere) if response.status == 201 else response


def created_with(name: str, says: str, **changes: Any) -> None:
    """A mutant whose answer to a create has these header fields."""

    @answered(name, "create-headers", says)
    def _(request: Request, response: Response) -> Response:
        url = response.headers.get("Location") or ""
        values = {field: value(url) if callable(value) else value for field, value in changes.items()}
        return with_headers(response, **values) if response.status == 201 else response


created_with("created without ETag", "a create is answered without an ETag", ETag=None)
created_with("created without date", "a create is answered without a Last-Modified", Last_Modified=None)
created_with(
    "created at a path",
    "the Location of a create is a path",
    Location=lambda url: "/STU3/" + url.partition("/STU3/")[2],
)


@mutant("creates are remembered", "create-twice", "a create of the same content gives back the first resource")
def _(real: Real) -> Answer:
    known: dict[bytes, Response] = {}

    def answer(request: Request) -> Response:
        return known.setdefault(request.body, real.answer(request)) if is_create(request) else real.answer(request)

    return answer


@asked("ids dropped on create", "create-with-an-id", "an id in the body of a create is left out")
def _(request: Request, real: Real) -> Request:
    sent = resource_in(request) if is_create(request) else {}
    return (
        with_body(request, {name: value for name, value in sent.items() if name != "id"}) if "id" in sent else request
    )


# --- deleting ---


def is_delete(request: Request) -> bool:
    return is_about_one(request, "DELETE")


@answered("deleted is 200", "delete", "a delete is answered 200")
def _(request: Request, response: Response) -> Response:
    return Response(200, response.headers) if response.status == 204 else response


@mutant("deleted and still there", "delete", "a delete is answered 204, and reads still find the resource")
def _(real: Real) -> Answer:
    kept: dict[str, Response] = {}

    def answer(request: Request) -> Response:
        before = real.get(path_of(request)) if is_delete(request) else Response(404)
        response = real.answer(request)
        if response.status == 204:
            kept[path_of(request)] = before
        return kept.get(path_of(request), response) if is_read(request) else response

    return answer


@mutant("deleted and still found", "deleted-is-not-found", "searches find what was deleted")
def _(real: Real) -> Answer:
    kept: dict[str, dict[str, Any]] = {}

    def answer(request: Request) -> Response:
        before = resource_in(real.get(path_of(request))) if is_delete(request) else {}
        response = real.answer(request)
        if response.status == 204:
            kept[before["id"]] = before
        found = resource_in(response) if is_search(request) else {}
        gone = kept.get(request.url.partition("_id=")[2])
        return with_body(response, found | {"entry": [{"resource": gone}]}) if gone else response

    return answer


@asked("stale deletes", "delete-stale", "a delete with any version in the right form is carried out")
def _(request: Request, real: Real) -> Request:
    stale = is_delete(request) and request.headers.get("If-Match") is not None
    return with_headers(request, If_Match=real.tag(path_of(request))) if stale else request


@asked("deletes without a version", "delete-missing", "a delete needs no If-Match")
def _(request: Request, real: Real) -> Request:
    missing = is_delete(request) and request.headers.get("If-Match") is None
    return with_headers(request, If_Match=real.tag(path_of(request))) if missing else request


@answered("stale deletes are 412", "delete-stale", "a stale delete is answered 412")
def _(request: Request, response: Response) -> Response:
    return Response(412, response.headers, response.body) if is_delete(request) and response.status == 409 else response


# --- structure (VAL-1) and partial bodies (UPD-16) ---


def _given(resource: dict[str, Any], change: Any) -> dict[str, Any]:
    """The resource with the given names in its extension changed."""
    for extension in resource.get("extension", []):
        if "valueHumanName" in extension:
            change(extension["valueHumanName"])
    return resource


def _without_nulls(name: dict[str, Any]) -> None:
    name["given"] = [each for each in name["given"] if each is not None]


def _with_div(resource: dict[str, Any], wrong: str, right: str) -> dict[str, Any]:
    text = resource.get("text", {})
    return resource | {"text": text | {"div": right}} if text.get("div") == wrong else resource


_RIGHT = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a check</p></div>'

lenient("nulls allowed", "null-entry", "a null in a list is left out", lambda r: _given(r, _without_nulls))
lenient(
    "siblings without values",
    "sibling-too-long",
    "more siblings than values are left out",
    lambda r: _given(r, lambda name: name.pop("_given", None)),
)
lenient(
    "narratives closed",
    "narrative-unclosed",
    "a narrative that is not well-formed is mended",
    lambda r: _with_div(r, _RIGHT.replace("</p>", ""), _RIGHT),
)
lenient(
    "narratives without a namespace",
    "narrative-no-namespace",
    "a narrative needs no namespace",
    lambda r: _with_div(r, "<div>a check</div>", _RIGHT),
)
lenient(
    "blanks escaped",
    "blank-in-uri",
    "a blank in a uri is stored as %20",
    lambda r: (
        r
        | {
            "extension": [
                each | {"valueUri": each["valueUri"].replace(" ", "%20")} if "valueUri" in each else each
                for each in r["extension"]
            ]
        }
        if isinstance(r.get("extension"), list)
        else r
    ),
)
lenient(
    "comments dropped",
    "fhir-comments",
    "DSTU2's fhir_comments are left out",
    lambda r: {name: value for name, value in r.items() if name != "fhir_comments"},
)


def _whole(resource: dict[str, Any]) -> dict[str, Any]:
    tags = resource.get("meta", {}).get("tag", [])
    kept = [tag for tag in tags if tag.get("code") != "SUBSETTED"]
    if kept == tags:
        return resource
    meta = {name: value for name, value in resource["meta"].items() if name != "tag"} | ({"tag": kept} if kept else {})
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return rest | ({"meta": meta} if meta else {})


lenient("partial bodies stored", "partial-body", "a body with the tag SUBSETTED is taken for a whole one", _whole)


def _first_only(resource: dict[str, Any]) -> dict[str, Any]:
    tags = resource.get("meta", {}).get("tag", [])
    first = bool(tags) and tags[0].get("code") != "SUBSETTED"
    return _whole(resource) if first else resource


lenient("the first tag counts", "partial-body", "SUBSETTED is looked for in the first tag alone", _first_only)
