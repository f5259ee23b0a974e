"""Binder, the dev container, the locks, CI and Docker: their files name what there is. No image is built here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import workbench
from workbench.cli import _parser

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


# --- the files of GitHub, pre-commit and Docker, and the citation ---


def test_ci_runs_every_supported_python_and_scripts_that_are_there() -> None:
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    classifiers = "\n".join(PYPROJECT["project"]["classifiers"])
    assert workflow["jobs"]["everything"]["strategy"]["matrix"]["python"] == re.findall(r":: (3\.\d+)", classifiers)
    scripts = re.findall(r"bash (\S+)", text)
    assert scripts == [".ci/run", ".ci/lowest"]
    for script in scripts:
        assert os.access(ROOT / script, os.X_OK)
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


def test_the_run_at_the_lowest_bounds_names_tests_that_are_there() -> None:
    named = re.findall(r"tests/[\w*.]+", (ROOT / ".ci" / "lowest").read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [pattern for pattern in named if not list(ROOT.glob(pattern))] == []


def test_pre_commit_has_the_ruff_of_the_lock_and_stops_the_state_of_widgets(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    ruff, local = config["repos"]
    assert {ruff["rev"].removeprefix("v")} == pins("requirements.txt")["ruff"]
    (hook,) = local["hooks"]
    pattern = re.compile(hook["entry"])
    assert pattern.search('{"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}}')
    notebooks = [path for path in (ROOT / "notebooks").rglob("*.ipynb") if re.search(hook["files"], path.name)]
    assert len(notebooks) > 9
    assert [path.name for path in notebooks if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_dependabot_watches_folders_with_the_files_of_their_kind() -> None:
    files = {
        "pip": "requirements.txt",
        "npm": "package-lock.json",
        "github-actions": ".github/workflows/tests.yml",
        "docker": "Dockerfile",
    }
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    watched = {each["package-ecosystem"]: each["directory"] for each in config["updates"]}
    assert watched.keys() == files.keys()
    for kind, folder in watched.items():
        assert (ROOT / folder.strip("/") / files[kind]).is_file()


def test_the_container_serves_with_options_that_there_are() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    program, *fixed = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])", text, re.MULTILINE)[0])
    default = json.loads(re.findall(r"^CMD (\[.*\])", text, re.MULTILINE)[0])
    options = _parser().parse_args([*fixed, *default])
    assert program in PYPROJECT["project"]["scripts"]
    assert f"EXPOSE {options.port}\n" in text
    assert f":{options.port}/healthz" in text
    assert all(image in NEEDED for image in re.findall(r"^FROM python:([\d.]+)", text, re.MULTILINE))
    (extras,) = re.findall(r"\[([\w,]+)\]\"", text)
    assert set(extras.split(",")) <= PYPROJECT["project"]["optional-dependencies"].keys()


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == workbench.__version__
    assert citation["license"] == PYPROJECT["project"]["license"]
