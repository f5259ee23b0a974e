"""Validation of a body as an STU3 resource (VAL-1), by ``fhir.resources`` and a stricter walk before it.

``fhir.resources`` checks required elements, unknown ones, cardinality and formats against the STU3
definitions, but it is lenient. It accepts ``"true"`` as a boolean and ``"5"`` as an integer, ignores null and
empty arrays, and accepts its own field names besides FHIR's. It lists the codes of a required binding without
enforcing them, and accepts any text as a narrative or a URI. ``_check_strictly`` closes those gaps by walking the
same definitions.

Nearly every resource that arrives is valid, so ``is_plainly_valid`` comes first. It is built once for each type from
the same definitions, and accepts only what both checks would accept; it leaves every other resource to them.

Not checked: invariants (such as which XHTML elements a narrative may have), terminology beyond required codes, and
profiles.
"""

from __future__ import annotations

import decimal
import functools
import itertools
import re
import types
import typing
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any
from xml.parsers import expat

from fhir.resources.STU3 import get_fhir_model_class
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from workbench.fhir.outcome import Issue

MOST_ISSUES = 10
"""Issues in one response; the rest follow once these are corrected."""

MOST_TAGS = 50_000
"""Tags in one narrative, opening and closing ones. They bound the memory of the XML parser."""

_XHTML = "http://www.w3.org/1999/xhtml"

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
    problem_of: Callable[[str], str] | None = None
    """Returns the problem of a text of this type, or an empty string."""

    any_resource: bool = False
    may_skip: bool = False
    """Whether an item may be null: in a repeating primitive, for an item that has only an extension."""

    is_sibling: bool = False
    """Whether it is the sibling of a primitive, such as ``_given``."""


def validate(resource_type: str, resource: dict[str, Any]) -> tuple[Issue, ...]:
    """Return the issues of a resource, each with its element; none if the resource is valid."""
    model = _model(resource_type)
    return () if is_plainly_valid(model)(resource) else find_issues(model, resource, resource_type)


def find_issues(model: type[FHIRAbstractModel], resource: dict[str, Any], resource_type: str) -> tuple[Issue, ...]:
    """Return the issues that the two full checks find: those of the library only if the strict walk finds none."""
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
        if name in elements:
            sibling = value.get(name[1:] if name.startswith("_") else f"_{name}")
            yield from _check_element(elements[name], content, sibling, f"{path}.{name}")
        elif name == "fhir_comments":
            yield f"{path}.{name}", "is DSTU2's element for comments, which STU3 does not have; remove it."
        else:
            yield f"{path}.{name}", f"is not an element of {model.get_resource_type()}."


def _check_element(element: _Element, content: Any, sibling: Any, path: str) -> Iterator[tuple[str, str]]:
    """Check the content of an element.

    ``sibling`` is the content of the element that belongs to it: ``_given`` beside ``given``, and the reverse. In a
    pair of arrays, a null keeps the place of an item that only the other array has (STU3, json.html#primitive).
    """
    if not element.repeats:
        yield from _check_single(element, content, path)
    elif not isinstance(content, list):
        yield path, "must be an array."
    elif not content:
        yield path, "must not be an empty array."
    else:
        others = sibling if isinstance(sibling, list) else []
        beside = element.is_sibling and bool(others)  # a place without both is reported once, beside the sibling
        if beside and len(content) > len(others):
            yield path, f"has {len(content)} items, but the array that it belongs to has {len(others)}."
        for index, item in enumerate(content):
            if item is not None or not element.may_skip:
                yield from _check_single(element, item, f"{path}[{index}]")
            elif not beside and others[index : index + 1] in ([], [None]):
                yield f"{path}[{index}]", "must not be null where its sibling array has nothing."


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
    elif isinstance(content, str) and element.problem_of and (problem := element.problem_of(content)):
        yield path, problem


def _check_contained(content: Any, path: str) -> Iterator[tuple[str, str]]:
    model = _contained_model(content)
    if model is None:
        yield f"{path}.resourceType", "must name a FHIR resource type."
    else:
        yield from _check_strictly(model, content, path)


def _contained_model(content: Any) -> type[FHIRAbstractModel] | None:
    """Return the model of a resource inside another; ``None`` if it names no type that a resource can have."""
    kind = content.get("resourceType") if isinstance(content, dict) else None
    try:
        model = _model(kind) if isinstance(kind, str) else None
    except ValueError:
        return None
    return None if model is None or not issubclass(model, _model("Resource")) or kind in _ABSTRACT else model


# --- the quick check ---

_QUICKLY_READ = 64 * 1024
"""Characters of a URI or narrative beyond which it is left to the full checks, so that no long text is read twice."""

_Check = Callable[[Any], bool]
"""Whether a content is certainly valid; ``False`` leaves it to the full checks."""


@functools.cache
def is_plainly_valid(model: type[FHIRAbstractModel]) -> _Check:
    """Return the quick check of a type: true only for a value in which the full checks find nothing.

    A value with a null or with a sibling, such as ``_given``, is never plainly valid.
    """
    checks = _Checks(model)
    required, choices = _needed(model)

    def check(value: Any) -> bool:
        if type(value) is not dict or not value:
            return False
        for name, content in value.items():
            if not checks[name](content):
                return False
        if not required <= value.keys():
            return False
        return all(at_least <= len(names & value.keys()) <= 1 for names, at_least in choices)

    return check


class _Checks(dict[str, _Check]):
    """The quick check of each element of a type, by name; built when first needed, because types contain themselves."""

    def __init__(self, model: type[FHIRAbstractModel]) -> None:
        super().__init__()
        self._model = model
        self._elements = _elements(model)
        self._fields = {field.alias or name: field for name, field in model.model_fields.items()}

    def __missing__(self, name: str) -> _Check:
        if name == "resourceType" and issubclass(self._model, _model("Resource")):
            wanted = self._model.get_resource_type()
            check: _Check = lambda content: content == wanted  # noqa: E731
        elif name in self._elements:
            check = _check_of(self._elements[name], self._fields[name])
        else:
            return _leave  # not kept: a client can think of any number of names
        self[name] = check
        return check


def _check_of(element: _Element, field: FieldInfo) -> _Check:
    if element.is_sibling:
        return _leave
    if element.any_resource:
        item: _Check = _is_plainly_valid_contained
    elif element.model is not None:
        item = is_plainly_valid(element.model)
    else:
        return _check_of_primitive(element, field)
    if not element.repeats:
        return item
    return lambda content: type(content) is list and bool(content) and all(map(item, content))


def _check_of_primitive(element: _Element, field: FieldInfo) -> _Check:
    # The library's own check of this field, without the model around it.
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    by_library = TypeAdapter(annotation).validator.isinstance_python
    kinds, codes, problem_of = element.kinds, element.codes, element.problem_of

    def has_no_problem(text: Any) -> bool:
        return problem_of is None or (len(text) <= _QUICKLY_READ and not problem_of(text))

    def item(content: Any) -> bool:
        return (
            isinstance(content, kinds)
            and (bool in kinds or not isinstance(content, bool))
            and (not codes or content in codes)
            and has_no_problem(content)
        )

    if not element.repeats:
        return lambda content: item(content) and by_library(content)
    return lambda content: type(content) is list and bool(content) and all(map(item, content)) and by_library(content)


def _is_plainly_valid_contained(content: Any) -> bool:
    model = _contained_model(content)
    return model is not None and is_plainly_valid(model)(content)


def _leave(_content: Any) -> bool:
    return False


def _needed(model: type[FHIRAbstractModel]) -> tuple[frozenset[str], list[tuple[frozenset[str], int]]]:
    """Return the elements that a type requires; and of each choice the names, and how many of them it requires."""
    fields: dict[str, Any] = dict(model.model_fields)
    names = {name: field.alias or name for name, field in fields.items()}
    empty = model.model_construct()
    of_library = {element for element, _ in empty.get_required_fields()}
    required = of_library | {names[name] for name, field in fields.items() if field.is_required()}
    choices = [
        (frozenset(names[name] for name in group), int(fields[group[0]].json_schema_extra["one_of_many_required"]))
        for group in empty.get_one_of_many_fields().values()
    ]
    return frozenset(required), choices


def _uri_problem(text: str) -> str:
    return "must not contain a blank." if re.search(r"\s", text) else ""


class _NoNarrative(Exception):
    """A text is not a narrative, although it may be well-formed XML."""


def _narrative_problem(text: str) -> str:
    """Check that a text is one ``div``, well-formed, in the namespace of XHTML.

    A document type is refused, so that no entity is ever expanded. Only the first element calls Python: the rest of the
    parsing is expat's, which reads 5 MiB in less than half a second.
    """
    if text.count("<") > MOST_TAGS:
        return f"must not have more than {MOST_TAGS} tags."
    parser = expat.ParserCreate(namespace_separator=" ")

    def on_element(name: str, _attributes: object) -> None:
        parser.StartElementHandler = None
        if name != f"{_XHTML} div":
            raise _NoNarrative(f"must be a div in the namespace {_XHTML}.")

    def on_document_type(*_: object) -> None:
        raise _NoNarrative("must not have a document type.")

    parser.StartElementHandler = on_element
    parser.StartDoctypeDeclHandler = on_document_type
    try:
        parser.Parse(text, True)
    except _NoNarrative as error:
        return str(error)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]:
            why += "; write the character itself"
        return f"must be well-formed XHTML: {why} (line {error.lineno}, column {error.offset + 1})."
    return ""


_PROBLEMS: dict[str, Callable[[str], str]] = {
    "uri": _uri_problem,
    "oid": _uri_problem,
    "uuid": _uri_problem,
    "xhtml": _narrative_problem,
}
"""The check of a text, by FHIR type."""


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
        is_sibling = name.startswith("_")
        return _Element(
            repeats,
            model,
            kinds=(),
            codes=frozenset(),
            any_resource=any_resource,
            may_skip=is_sibling,
            is_sibling=is_sibling,
        )
    written = [getattr(part, "__visit_name__", "") for part in getattr(annotation, "__metadata__", ())]
    kind = written[0] if written else "boolean" if annotation is bool else "string"
    codes = extra.get("enum_values", ()) if kind == "code" else ()
    return _Element(
        repeats,
        model=None,
        kinds=_KINDS.get(kind, (str,)),
        codes=frozenset(codes),
        problem_of=_PROBLEMS.get(kind),
        may_skip=True,
    )
