"""Validation of a body as an STU3 resource (VAL-1), by ``fhir.resources`` and a stricter walk before it.

``fhir.resources`` checks required elements, unknown ones, cardinality and formats against the STU3
definitions, but it is lenient. It accepts ``"true"`` as a boolean and ``"5"`` as an integer, ignores null and
empty arrays, and accepts its own field names besides FHIR's. It lists the codes of a required binding without
enforcing them. ``_check_strictly`` closes those gaps by walking the same definitions.
"""

from __future__ import annotations

import decimal
import functools
import itertools
import types
import typing
from collections.abc import Generator, Iterator
from typing import Any

from fhir.resources.STU3 import get_fhir_model_class
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import ValidationError

from workbench.fhir.outcome import Issue

MOST_ISSUES = 10
"""Issues in one response; the rest follow once these are corrected."""

_KINDS: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "positiveInt": (int,),
    "unsignedInt": (int,),
    "decimal": (int, decimal.Decimal),
}
_ABSTRACT = frozenset({"Resource", "DomainResource"})
_NAMES = {bool: "true or false", int: "a whole number", decimal.Decimal: "a number", str: "a string"}


class _Element(typing.NamedTuple):
    """One element of a FHIR type: its ``model`` if it is complex, else the Python types in ``kinds``."""

    repeats: bool
    model: type[FHIRAbstractModel] | None
    kinds: tuple[type, ...]
    codes: frozenset[str]
    any_resource: bool = False
    may_skip: bool = False
    """Whether an item may be null: in a repeating primitive, for an item that has only an extension."""


def validate(resource_type: str, resource: dict[str, Any]) -> tuple[Issue, ...]:
    """Return the issues of a resource, each with its element; none if the resource is valid."""
    model = _model(resource_type)
    for check in (_check_strictly, _check_by_library):
        found = list(itertools.islice(check(model, resource, resource_type), MOST_ISSUES))
        if found:
            break
    return tuple(_issue(path, problem) for path, problem in found)


def _issue(path: str, problem: str) -> Issue:
    return Issue("error", "invalid", "INVALID_RESOURCE", "", f"{path}: {problem}", (path,))


def _check_by_library(
    model: type[FHIRAbstractModel], value: dict[str, Any], path: str
) -> Generator[tuple[str, str], None, FHIRAbstractModel]:
    """Validate an element that passed the strict walk, its own elements first; return the library's model of it.

    Given the whole resource at once, the library would collect all issues before it reported the first.
    """
    members = dict(value)
    for name, element in _elements(model).items():
        if name not in value or not (element.model or element.any_resource):
            continue
        items = value[name] if element.repeats else [value[name]]
        built = []
        for index, item in enumerate(items):
            item_path = f"{path}.{name}[{index}]" if element.repeats else f"{path}.{name}"
            inner = _model(item["resourceType"]) if element.any_resource else element.model
            built.append(
                None if item is None or inner is None else (yield from _check_by_library(inner, item, item_path))
            )
        members[name] = built if element.repeats else built[0]
    try:
        return model.model_validate(members)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            yield _path(path, problem["loc"]), _sentence(problem["msg"])
        return model.model_construct()  # the element around it is validated too


def _path(path: str, location: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location if step != "root")
    return path + "".join(steps)


def _sentence(message: str) -> str:
    text = " ".join(message.removeprefix("Value error, ").split()).rstrip(".")
    if text.startswith("Any of one field value is expected from this list"):
        return "only one of the choices may be given."
    return f"{text[:1].lower()}{text[1:]}."


def _check_strictly(model: type[FHIRAbstractModel], value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, "must be an object."
        return
    if not value:
        yield path, "must not be empty."
    elements = _elements(model)
    for name, content in value.items():
        if name == "resourceType" and issubclass(model, _model("Resource")):
            continue
        if name not in elements:
            yield f"{path}.{name}", f"is not an element of {model.get_resource_type()}."
        else:
            yield from _check_element(elements[name], content, f"{path}.{name}")


def _check_element(element: _Element, content: Any, path: str) -> Iterator[tuple[str, str]]:
    if not element.repeats:
        yield from _check_single(element, content, path)
    elif not isinstance(content, list):
        yield path, "must be an array."
    elif not content:
        yield path, "must not be an empty array."
    else:
        for index, item in enumerate(content):
            if item is not None or not element.may_skip:
                yield from _check_single(element, item, f"{path}[{index}]")


def _check_single(element: _Element, content: Any, path: str) -> Iterator[tuple[str, str]]:
    if element.any_resource:
        yield from _check_contained(content, path)
    elif element.model is not None:
        yield from _check_strictly(element.model, content, path)
    elif content is None:
        yield path, "must not be null."
    elif not isinstance(content, element.kinds) or (isinstance(content, bool) and bool not in element.kinds):
        yield path, f"must be {_NAMES[element.kinds[-1]]}."
    elif element.codes and content not in element.codes:
        yield path, f"must be one of {', '.join(sorted(element.codes))}."


def _check_contained(content: Any, path: str) -> Iterator[tuple[str, str]]:
    kind = content.get("resourceType") if isinstance(content, dict) else None
    try:
        model = _model(kind) if isinstance(kind, str) else None
    except ValueError:
        model = None
    if model is None or not issubclass(model, _model("Resource")) or kind in _ABSTRACT:
        yield f"{path}.resourceType", "must name a FHIR resource type."
    else:
        yield from _check_strictly(model, content, path)


@functools.cache
def _model(resource_type: str) -> type[FHIRAbstractModel]:
    model: type[FHIRAbstractModel] = get_fhir_model_class(resource_type)
    return model


@functools.cache
def _elements(model: type[FHIRAbstractModel]) -> dict[str, _Element]:
    return {
        field.alias or name: _read_field(field.alias or name, field.annotation, field.json_schema_extra)
        for name, field in model.model_fields.items()
        if name != "fhir_comments"
    }


def _read_field(name: str, annotation: Any, extra: Any) -> _Element:
    """Read an annotation such as ``Optional[List[ListEntryType]]`` or ``Optional[Annotated[str, Code()]]``."""
    repeats = False
    while typing.get_origin(annotation) in (typing.Union, types.UnionType, list):
        repeats = repeats or typing.get_origin(annotation) is list
        annotation = next(part for part in typing.get_args(annotation) if part is not types.NoneType)
    if hasattr(annotation, "get_model_klass"):
        model = annotation.get_model_klass()
        any_resource = model.get_resource_type() == "Resource"
        return _Element(repeats, model, (), frozenset(), any_resource, may_skip=name.startswith("_"))
    written = [getattr(part, "__visit_name__", "") for part in getattr(annotation, "__metadata__", ())]
    kind = written[0] if written else "boolean" if annotation is bool else "string"
    codes = extra.get("enum_values", ()) if kind == "code" else ()
    return _Element(repeats, None, _KINDS.get(kind, (str,)), frozenset(codes), may_skip=True)
