"""Binder and the dev container: their files name what there is. Neither image is built here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
NEEDED = SpecifierSet(
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
)


def test_binder_installs_the_pinned_environment_under_a_python_that_will_do() -> None:
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK), "mybinder runs it as a program"
    subprocess.run(["bash", "-n", str(script)], check=True)
    (named,) = re.findall(r"-r (\S+)", script.read_text(encoding="utf-8"))
    assert "-e ." in (ROOT / named).read_text(encoding="utf-8").splitlines()
    python = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    assert python.removeprefix("python-") in NEEDED


def test_the_dev_container_is_set_up_as_everybody_is() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    program, target = container["postCreateCommand"].split()
    assert program == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert container["image"].rpartition(":")[2] in NEEDED
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
