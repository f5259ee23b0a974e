"""Write docs/reference.md from the docstrings of the face: ``python docs/make_reference.py``.

A test compares the page with what this gives, so that it is in step with the code.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import workbench

PAGE = Path(__file__).with_name("reference.md")

_OPENING = """# Reference

Every name of `import workbench as wb`, from its docstring. Made by `python docs/make_reference.py`; not edited by hand.
"""


def page() -> str:
    """The whole page."""
    names = sorted(workbench.__all__, key=str.lower)
    index = " · ".join(f"[{name}](#{name.lower()})" for name in names)
    return (
        "\n".join([_OPENING, index, *(line for name in names for line in _entry(name, getattr(workbench, name)))])
        + "\n"
    )


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"\n## {name}\n"
    if inspect.ismodule(value):
        yield _prose(value)
        for member, function in inspect.getmembers(value, inspect.isfunction):
            if function.__module__ == value.__name__ and not member.startswith("_"):
                yield f"\n**`{name}.{member}{_signature(function)}`**  \n{_prose(function)}"
        return
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        yield (
            f"A value of {value.__class__.__module__}.{value.__class__.__name__}."
            if _is_ours(value)
            else _constant(value)
        )
        return
    plain = inspect.isclass(value) and issubclass(value, enum.Enum | BaseException)
    if not plain:
        yield f"```text\nwb.{name}{_signature(value)}\n```\n"
    yield _prose(value)
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        yield "\n" + " ".join(f"`{member.name}`" for member in value)
    elif inspect.isclass(value):
        for member, kind, documented in _members(value):
            yield f"\n**`{member}{kind}`**  \n{_prose(documented)}"


def _is_ours(value: Any) -> bool:
    return type(value).__module__.startswith("workbench")


def _constant(value: Any) -> str:
    if isinstance(value, dict | tuple) and not all(isinstance(item, str) for item in value):
        return f"A {type(value).__name__} of {len(value)}."
    shown = ", ".join(f"`{item}`" for item in value) if isinstance(value, dict | tuple) else f"`{value}`"
    return f"{shown}."


def _members(owner: type) -> Iterator[tuple[str, str, Any]]:
    for name, value in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            yield name, "", value.fget
        elif isinstance(value, classmethod | staticmethod):
            yield name, _signature(getattr(owner, name)), value.__func__
        elif inspect.isfunction(value):
            yield name, _signature(value, without_self=True), value


def _signature(value: Any, *, without_self: bool = False) -> str:
    try:
        signature = inspect.signature(value)
    except ValueError:
        return "(…)"
    parameters = [_brief(each) for each in list(signature.parameters.values())[1 if without_self else 0 :]]
    if inspect.isclass(value):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    text = str(signature.replace(parameters=parameters))
    text = re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", text)
    text = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _brief(parameter: inspect.Parameter) -> inspect.Parameter:
    many = isinstance(parameter.default, tuple) and len(parameter.default) > 1
    return parameter.replace(default=_Many()) if many else parameter


class _Many:
    def __repr__(self) -> str:
        return "(…)"


def _prose(value: Any) -> str:
    """The docstring as Markdown, without its examples, which a test of their own runs."""
    documented = inspect.cleandoc(value.__doc__ or "")
    before = re.split(r"\n*^>>> ", documented, maxsplit=1, flags=re.MULTILINE)[0]
    return before.replace("``", "`").rstrip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
