"""Binder, the dev container and the locks: their files name what there is. No image is built here."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED = SpecifierSet(PYPROJECT["project"]["requires-python"])
LAB = ["lab", "check", "races", "tables"]
EVERYTHING = [extra for extra in PYPROJECT["project"]["optional-dependencies"] if extra != "all"]


def pins(file: str) -> dict[str, set[str]]:
    """The versions of each package in a lock; a package can have two, by version of Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==([^\s;\\]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
    ):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize(
    ("file", "extras", "groups"),
    [
        ("requirements.txt", EVERYTHING, ["test", "check", "bench"]),
        ("requirements-hashed.txt", EVERYTHING, []),
        ("binder/requirements.txt", LAB, []),
    ],
)
def test_a_lock_pins_what_pyproject_asks_for(file: str, extras: list[str], groups: list[str]) -> None:
    project, all_pins, ours = PYPROJECT["project"], pins("requirements.txt"), pins(file)
    wanted = [
        *project["dependencies"],
        *(text for extra in extras for text in project["optional-dependencies"][extra]),
        *(text for group in groups for text in PYPROJECT["dependency-groups"][group]),
    ]
    for each in map(Requirement, wanted):
        if each.name != project["name"]:
            versions = ours.get(canonicalize_name(each.name))
            assert versions, f"{each.name} is not in {file}; run: make locks"
            assert all(version in each.specifier for version in versions), f"{each} in {file}; run: make locks"
    assert all(versions <= all_pins[name] for name, versions in ours.items()), "the locks disagree; run: make locks"


def test_every_file_in_the_hashed_lock_has_a_hash() -> None:
    entries = re.findall(r"^[\w.-]+==.*(?:\n .*)*", (ROOT / "requirements-hashed.txt").read_text(), re.MULTILINE)
    assert len(entries) > 100
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_binder_installs_the_package_under_a_python_that_it_supports() -> None:
    assert "-e ." in (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    python = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    assert python.removeprefix("python-") in NEEDED


def test_the_dev_container_runs_make_setup() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    program, target = container["postCreateCommand"].split()
    assert program == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert container["image"].rpartition(":")[2] in NEEDED
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
