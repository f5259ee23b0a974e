"""Searching by content: the patient, subject, status, category and code of a resource (SR-1). Pure.

Each resource is stored with ``Keys``: one digest for every way in which a search can name one of its values. A search
names the same digests, so the database compares short texts and reads no JSON. ``index`` makes the keys of a resource,
and ``read_criterion`` those of a search parameter.

The meaning is FHIR STU3's (search.html, *token* and *reference*). A code matches in upper or lower case, and a system
exactly. Our choice (W): a bare id and ``Patient/id`` also match a reference to that patient on another server, because
NHS's records refer to patients by the URL of the demographics service, and are searched by NHS number alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from workbench.fhir.resource import LOGICAL_ID


class Parameter(NamedTuple):
    """A search parameter: its FHIR type, the element that it searches, and the system that a plain code implies."""

    kind: str
    element: str
    system: str = ""


_SUBJECT: Final = {"patient": Parameter("reference", "subject"), "subject": Parameter("reference", "subject")}
_CATEGORY: Final = {"category": Parameter("token", "category")}
_CODE: Final = {"code": Parameter("token", "code")}


def _status(system: str) -> dict[str, Parameter]:
    return {"status": Parameter("token", "status", f"http://hl7.org/fhir/{system}")}


PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "Condition": _SUBJECT | _CATEGORY | _CODE,
    "Consent": {"patient": Parameter("reference", "patient")} | _status("consent-state-codes") | _CATEGORY,
    "Flag": _SUBJECT | _status("flag-status") | _CATEGORY | _CODE,
    "List": _SUBJECT | _status("list-status") | _CODE,
    "Subscription": _status("subscription-status"),
}
"""The parameters of each type that search its content.

They are STU3's own, but for a Flag's status, category and code: NHS's Reasonable Adjustments service has these.
"""

MOST_VALUES: Final = 10
"""Values of these parameters in one search. The database compares each of them with every resource of the type."""

_REFERENCE: Final = re.compile(
    r"(?:(?P<base>[^?#]+)/)?(?P<type>[A-Z][A-Za-z]{0,63})/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?",
    re.ASCII,
)
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Keys:
    """What a search can find a resource by: the digest of its subject's id, and the digests of all its values."""

    subject: str | None = None
    values: str = ""


NO_KEYS: Final = Keys()
"""The keys of a deleted resource: no search finds it."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """What one search parameter asks for: any of these ``values``, and for a reference any of these ``subjects``."""

    values: frozenset[str]
    subjects: frozenset[str] | None = None


# --- the keys of a resource ---


def index(resource: Mapping[str, Any]) -> Keys:
    """Return the keys of a valid resource."""
    subject = None
    values: set[str] = set()
    for name, parameter in PARAMETERS[resource["resourceType"]].items():
        content = resource.get(parameter.element)
        if content is None:
            continue
        if parameter.kind == "token":
            values.update(_token_keys(name, content, parameter.system))
        elif reference := content.get("reference"):
            subject = _subject_key(reference)
            values.update(_reference_keys(name, reference, parameter.element))
    return Keys(subject, " ".join(sorted(values)))


def _token_keys(name: str, content: Any, implied_system: str) -> Iterator[str]:
    if isinstance(content, str):
        codings = [{"code": content}, {"code": content, "system": implied_system}]
    else:
        concepts = content if isinstance(content, list) else [content]
        codings = [coding for concept in concepts for coding in concept.get("coding", [])]
    for coding in codings:
        system, code = coding.get("system", ""), coding.get("code")
        if code is not None:
            yield _key(name, None, code.casefold())
            yield _key(name, system, code.casefold())
        if system:
            yield _key(name, system, None)


def _reference_keys(name: str, reference: str, element: str) -> Iterator[str]:
    found = _REFERENCE.fullmatch(reference)
    if name == "patient" != element and (found is None or found["type"] != "Patient"):
        return
    if found is None:
        yield _key(name, "url", reference)
        return
    local = f"{found['type']}/{found['id']}"
    yield _key(name, "id", found["id"])
    yield _key(name, "type and id", local)
    yield _key(name, "url", f"{found['base']}/{local}") if found["base"] else _key(name, "local", local)


def _subject_key(reference: str) -> str:
    """Return the key of a subject's id, which the database has an index of; other servers' subjects may share it."""
    found = _REFERENCE.fullmatch(reference)
    return _key("id", found["id"] if found else reference)


def _key(*parts: str | None) -> str:
    """Return a digest: a key has the same length for every value."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


# --- the keys that a search asks for ---


def read_criterion(name: str, parameter: Parameter, value: str, base_url: str) -> Criterion | None:
    """Return what a parameter asks for; ``None`` if its value is not one of its type. Commas mean *or*."""
    values: set[str] = set()
    subjects = set()
    for part in _split(value, ","):
        if parameter.kind == "token":
            wanted = _read_token(name, part)
        else:
            reference = _unescape(part)
            wanted = _read_reference(name, reference, base_url)
            subjects.add(_subject_key(reference))
        if not wanted:
            return None
        values.update(wanted)
    return Criterion(frozenset(values), None if parameter.kind == "token" else frozenset(subjects))


def _read_token(name: str, text: str) -> list[str]:
    """Read ``code``, ``system|code``, ``|code`` (without a system), or ``system|`` (any code of that system)."""
    *systems, code = map(_unescape, _split(text, "|"))
    if len(systems) > 1 or not (code or any(systems)):
        return []
    return [_key(name, systems[0] if systems else None, code.casefold() or None)]


def _read_reference(name: str, text: str, base_url: str) -> list[str]:
    """Read ``id``, ``Type/id``, or an absolute URL; one of this endpoint also finds the relative reference."""
    if LOGICAL_ID.fullmatch(text):
        return [_key(name, "id", text)]
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return [_key(name, "url", text)] if _ABSOLUTE.fullmatch(text) else []
    local = f"{found['type']}/{found['id']}"
    if not found["base"]:
        return [_key(name, "type and id", local)]
    here = [_key(name, "local", local)] if found["base"] == base_url else []
    return [_key(name, "url", f"{found['base']}/{local}"), *here]


def _split(text: str, separator: str) -> list[str]:
    """Split at each separator that no backslash escapes (FHIR STU3, search, *Escaping Search Parameters*)."""
    return re.findall(rf"(?:^|[{separator}])((?:\\.|[^{separator}])*)", text, re.DOTALL)


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\,|$])", r"\1", text)
