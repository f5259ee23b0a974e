"""The face: what ``import workbench`` offers, and what it costs.

Owns: ``__all__``, the lazy loading, and the example that a reader of the
docstring would type first.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

HEAVY = (
    *("pandas", "ipywidgets", "anywidget", "requests", "sqlalchemy"),
    *("uvicorn", "fhir", "simplejson", "matplotlib", "tqdm"),
)


def test_all_is_sorted_and_every_name_can_be_imported() -> None:
    assert workbench.__all__ == sorted(set(workbench.__all__))
    scope: dict[str, object] = {}
    exec("from workbench import *", scope)
    assert set(workbench.__all__) <= scope.keys()
    assert not [name for name in workbench.__all__ if scope[name] is None]


LISTED = {
    alias.asname: (line.module or alias.name, alias.name)
    for line in ast.parse(Path(workbench.__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(line, ast.ImportFrom)
    for alias in line.names
}
"""The public names, by the stub that is their only list: each with its module and its name there."""


@pytest.mark.parametrize("name", workbench.__all__)
def test_a_name_is_what_its_own_module_calls_so(name: str) -> None:
    module, own_name = LISTED[name]
    assert own_name == name, "`import X as X` is what makes a name public"
    owner = importlib.import_module(f"workbench.{module}")
    value = getattr(workbench, name)
    if value is owner:
        return  # a module that is public as a whole
    assert value is getattr(owner, name)
    if isinstance(value, type):
        assert value.__module__ == owner.__name__, "listed under the module that defines it"
        assert value.__doc__


def test_the_list_is_the_stub() -> None:
    assert set(workbench.__all__) == set(LISTED)


def test_a_function_keeps_its_name_from_the_room_of_that_name() -> None:
    importlib.import_module("workbench.history.events")
    assert callable(workbench.history)


def test_dir_lists_the_public_names() -> None:
    assert dir(workbench) == workbench.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Sesame"):
        workbench.Sesame  # noqa: B018
    with pytest.raises(ImportError):
        exec("from workbench import Sesame")
    assert not hasattr(workbench, "Sesame")


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import workbench", []),
        ("import workbench; dir(workbench), workbench.__all__, workbench.__version__", []),
        ("import workbench; workbench.Verdict, workbench.BadInput, workbench.ETag, workbench.LESSON_START", []),
        ("import workbench; workbench.Client", ["requests", "simplejson"]),
    ],
    ids=["the package", "its lists", "its small names", "the client"],
)
def test_importing_costs_what_is_used(code: str, loaded: list[str]) -> None:
    probe = f"{code}; import json, sys; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == loaded


def test_the_docstrings_example_runs() -> None:
    found = doctest.testmod(workbench)
    assert found.attempted >= 5
    assert found.failed == 0
