"""The picture of the rooms in docs/design.md is the one that import-linter enforces; named modules exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def layers() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[str] = next(
        contract["layers"] for contract in settings["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"
    )
    return found


def test_the_picture_shows_the_layers_that_are_enforced() -> None:
    (picture,) = re.findall(r"```text\n(cli .*?)```", DESIGN, re.DOTALL)
    assert [re.split(r"\s{2,}", line)[0] for line in picture.splitlines()] == layers()


def test_the_root_holds_the_rooms_and_files_that_are_drawn() -> None:
    drawn = {name for layer in layers() for name in layer.split(" | ")} | {"__init__", "__main__"}
    package = ROOT / "workbench"
    found = {path.name for path in package.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert found | {path.stem for path in package.glob("*.py")} == drawn


MODULES = re.findall(r"`([a-z]+/[a-z_/]+)(?:\.[a-zA-Z_.]+\(?\)?)?`", DESIGN + CONTRIBUTING)
FOLDERS = re.findall(r"\| `([a-z]+)/`: (`[^|;]*`)", CONTRIBUTING)
NAMED = {*MODULES, *(f"{room}/{name}" for room, names in FOLDERS for name in re.findall(r"`([a-z_]+)/?`", names))}


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_module_that_is_named_exists(name: str) -> None:
    roots = [ROOT / "workbench", ROOT]
    assert any((root / name).is_dir() or (root / f"{name}.py").is_file() for root in roots)
