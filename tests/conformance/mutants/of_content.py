"""Mutants that lose or rewrite content on its way into the store or out of it (UPD-5).

Each is known of some real server, database, framework or well-meant filter.
"""

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from faulty import (
    Request,
    Response,
    accepted,
    answered,
    asked,
    is_create,
    is_put,
    is_read,
    is_search,
    path_of,
    resource_in,
    with_body,
)

from workbench.fhir import json as exact

LOST = object()
"""What a change returns to leave a value out."""


def rewritten(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """The value with ``change(name, value)`` done to it and to every value in it; items have the name of their list."""
    if isinstance(value, dict):
        members = {key: rewritten(item, change, key) for key, item in value.items()}
        value = {key: item for key, item in members.items() if item is not LOST}
    elif isinstance(value, list):
        value = [item for item in (rewritten(each, change, name) for each in value) if item is not LOST]
    return change(name, value)


def storing(
    name: str, says: str, change: Callable[[str, Any], Any], *, meant: str = "exact-content", on: Any = None
) -> None:
    """A mutant that stores content otherwise; ``on`` says which requests it does that to."""
    concerned = on or (lambda request: is_put(request) or is_create(request))

    @asked(name, meant, says)
    def _(request: Request, real: Any) -> Request:
        resource = resource_in(request) if concerned(request) else {}
        return with_body(request, rewritten(resource, change)) if resource else request


def losing(name: str, says: str, *members: str, meant: str = "exact-content", on: Any = None) -> None:
    """A mutant that does not store the members of these names, wherever they are."""
    storing(name, says, lambda key, value: LOST if key in members else value, meant=meant, on=on)


def texts(change: Callable[[str], str], *names: str) -> Callable[[str, Any], Any]:
    """A change of every text, or of those of these names."""

    def changed(name: str, value: Any) -> Any:
        concerned = isinstance(value, str) and name != "div" and (not names or name in names)
        return change(value) if concerned else value

    return changed


def lists(change: Callable[[list[Any]], list[Any]]) -> Callable[[str, Any], Any]:
    """A change of every list."""
    return lambda name, value: change(value) if isinstance(value, list) else value


# --- lists and members ---

storing(
    "inner members sorted",
    "members below the resource are stored in alphabetical order",
    lambda name, value: dict(sorted(value.items())) if isinstance(value, dict) and name else value,
)
storing(
    "equal entries dropped",
    "of equal entries of a list one is stored",
    lists(lambda items: [item for place, item in enumerate(items) if item is None or item not in items[:place]]),
)
storing("lists cut at 100", "the first hundred entries of a list are stored", lists(lambda items: items[:100]))
storing(
    "lists sorted",
    "texts in a list are stored in alphabetical order",
    lists(lambda items: sorted(items) if all(isinstance(item, str) for item in items) else items),
)
storing("lists turned", "lists of codings are stored last first", lambda k, v: v[::-1] if k == "coding" else v)
storing(
    "nulls dropped", "a null in a list of texts is left out", lists(lambda items: [i for i in items if i is not None])
)
storing(
    "false and zero dropped",
    "values that a programming language takes for empty are not stored",
    lambda name, value: LOST if value is False or (value == 0 and isinstance(value, int | Decimal)) else value,
)
storing(
    "siblings dropped",
    "id and extensions of primitive values (_element) are not stored",
    lambda name, value: LOST if name.startswith("_") and isinstance(value, dict | list) else value,
)
storing(
    "element ids dropped",
    "ids of elements are not stored",
    lambda name, value: (
        {key: item for key, item in value.items() if key != "id"}
        if isinstance(value, dict) and name and "resourceType" not in value and value.keys() - {"id"}
        else value
    ),
)
storing(
    "deep extensions dropped",
    "an extension within an extension within an extension is not stored",
    lambda name, value: (
        {key: item for key, item in value.items() if key != "extension"} | {"valueString": ""}
        if name == "extension" and isinstance(value, dict) and str(value.get("url", "")).endswith("nested-1")
        else value
    ),
)
losing("contained dropped", "contained resources are not stored", "contained")
losing("modifiers dropped", "modifierExtension is not stored", "modifierExtension")
losing("tags lost", "meta.tag is not stored", "tag")
losing("labels lost", "meta.security is not stored", "security")


# --- texts ---

storing("texts composed", "texts are stored in Unicode's form NFC", texts(lambda t: unicodedata.normalize("NFC", t)))
storing("texts compatible", "texts are stored in form NFKC", texts(lambda t: unicodedata.normalize("NFKC", t)))
storing("white space trimmed", "texts are stored without the white space at their ends", texts(str.strip))
storing("white space collapsed", "two spaces are stored as one", texts(lambda text: text.replace("  ", " ")))
storing("line ends of Unix", "CR LF is stored as LF", texts(lambda text: text.replace("\r\n", "\n")))
storing("texts cut", "texts are stored up to 255 characters", texts(lambda text: text[:255]))
storing(
    "invisible characters dropped",
    "zero-width spaces, joiners and marks of direction are not stored",
    texts(lambda text: "".join(each for each in text if unicodedata.category(each) != "Cf")),
)
storing(
    "quotes straightened",
    "curly quotes are stored as straight ones",
    texts(lambda text: text.replace("“", '"').replace("”", '"')),
)
storing("markup escaped", "a < in a text is stored as an entity", texts(lambda text: text.replace("<", "&lt;")))
storing(
    "the word null", "the text null is stored as no value", texts(lambda t: "(none)" if t.startswith("null") else t)
)
storing(
    "numbers recognised",
    "a text that looks like a number is stored as one, and shown as a text again",
    texts(lambda text: str(float(text)) if text.replace(".", "", 1).isdigit() and "." in text else text),
)
storing("codes in small letters", "codes are stored in small letters", texts(str.lower, "valueCode", "valueId", "code"))


# --- values with a form ---


def in_utc(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return text if moment.tzinfo is None or text.endswith("Z") else moment.astimezone(UTC).isoformat()


storing("times in UTC", "a time is stored in UTC", texts(in_utc, "valueDateTime", "valueInstant"))
storing(
    "partial dates completed",
    "2018 is stored as 2018-01-01",
    texts(lambda t: f"{t}-01-01" if len(t) == 4 else t, "valueDate"),
)
storing("fractions dropped", "fractions of a second are not stored", texts(lambda t: t.partition(".")[0], "valueTime"))
storing("uris normalised", "%7e in a uri is stored as ~", texts(lambda text: text.replace("%7E", "~"), "valueUri"))
storing(
    "references without version",
    "the version in a reference is not stored",
    texts(lambda text: text.partition("/_history/")[0], "reference"),
)
storing(
    "decimals rounded",
    "decimals are stored with ten places",
    lambda name, value: (
        (exact.parse(str(round(Decimal(str(value)), 10).normalize())) if len(str(value)) > 20 else value)
        if isinstance(value, Decimal)
        else value
    ),
)
storing(
    "whole decimals as integers",
    "0.0 is stored as 0",
    lambda name, value: int(value) if isinstance(value, Decimal) and value == int(value) else value,
)


# --- narrative ---


def narrative(name: str, says: str, change: Callable[[str], str]) -> None:
    """A mutant that stores another narrative."""
    storing(name, says, lambda key, value: change(value) if key == "div" and isinstance(value, str) else value)


narrative(
    "narrative cleaned", "comments in a narrative are not stored", lambda div: div.replace("<!-- a comment -->", "")
)
narrative("narrative on one line", "line ends in a narrative are stored as spaces", lambda div: div.replace("\n", " "))
narrative("narrative written anew", "<br/> is stored as <br></br>", lambda div: div.replace("<br/>", "<br></br>"))
narrative("entities resolved", "&#160; is stored as the character", lambda div: div.replace("&#160;", "\u00a0"))
storing(
    "narrative generated",
    "the endpoint writes the narrative itself",
    lambda name, value: (
        {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A resource.</div>'}
        if name == "text" and isinstance(value, dict)
        else value
    ),
)


# --- one way in, one way out ---

losing(
    "contained dropped on create", "a create does not store contained", "contained", meant="exact-create", on=is_create
)
storing(
    "texts composed on create",
    "a create stores texts in Unicode's form NFC",
    texts(lambda text: unicodedata.normalize("NFC", text)),
    meant="exact-create",
    on=is_create,
)


@answered("searches show less", "exact-search", "the entries of a search have no contained resources")
def _(request: Request, response: Response) -> Response:
    if not (is_search(request) and accepted(response)):
        return response
    changed: Response = with_body(
        response, rewritten(resource_in(response), lambda key, value: LOST if key == "contained" else value)
    )
    return changed


@answered("representations show less", "exact-representation", "the representation after a PUT has no element ids")
def _(request: Request, response: Response) -> Response:
    found = resource_in(response) if is_put(request) and accepted(response) else {}
    lost: Response = with_body(response, rewritten(found, lambda key, value: LOST if key == "_language" else value))
    return lost if found else response


@answered("reads round", "exact-content", "decimals are stored exactly, and shown as floating-point numbers")
def _(request: Request, response: Response) -> Response:
    if not (is_read(request) and accepted(response)):
        return response
    floats = rewritten(resource_in(response), lambda key, value: float(value) if isinstance(value, Decimal) else value)
    shown: Response = with_body(response, floats)
    return shown


# --- what was there before stays ---


def keeping(name: str, says: str, merge: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]) -> None:
    """A mutant that stores ``merge(stored, sent)``."""

    @asked(name, "exact-content", says)
    def _(request: Request, real: Any) -> Request:
        stored, sent = resource_in(real.get(path_of(request))), resource_in(request)
        return with_body(request, merge(stored, sent)) if is_put(request) and stored and sent else request


def gathered(stored: Any, sent: Any) -> list[Any]:
    """The sent items, and those stored before that are not among them."""
    return [*(sent or []), *(item for item in stored or [] if item not in (sent or []))]


def with_tags(stored: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    tags = gathered(stored["meta"].get("tag"), sent.get("meta", {}).get("tag"))
    return sent | {"meta": sent.get("meta", {}) | {"tag": tags}} if tags else sent


keeping("tags gathered", "tags are added to those of the version before", with_tags)
keeping(
    "left-out members stay",
    "a member that a PUT leaves out keeps its value",
    lambda stored, sent: sent | {name: value for name, value in stored.items() if name not in sent},
)
keeping(
    "lists gathered",
    "extensions are added to those of the version before",
    lambda stored, sent: (
        sent | {"extension": gathered(stored.get("extension"), sent["extension"])} if "extension" in sent else sent
    ),
)
