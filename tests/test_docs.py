"""The documents say what the code does: its tables name what there is, the contract's page holds every promise.

That every code block in them runs stands in test_code_blocks.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import workbench
from workbench import PROMISES, cli
from workbench.endpoint.faults import KINDS
from workbench.rules.update import POLICIES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_name_of_the_readmes_table_is_there() -> None:
    named = {name.split("(")[0].split(".")[0] for name in re.findall(r"^\| `([A-Za-z_.()]+)`", README, re.MULTILINE)}
    assert {"Endpoint", "Client", "Workbench", "ConflictBench", "merge"} <= named
    assert named <= set(workbench.__all__)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_the_contracts_page_holds_every_promise(promise: workbench.rules.contract.Promise) -> None:
    row = f"| {promise.id} | {promise.level.value} | {promise.text} | {' '.join(promise.sources)} |"
    assert row in (ROOT / "docs" / "contract.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_endpoint_page_tells_of_every_policy_and_fault() -> None:
    page = (ROOT / "docs" / "endpoint.md").read_text(encoding="utf-8")
    for name in (*POLICIES, *KINDS):
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("name", ["serve", "lab", "app", "race"])
def test_every_command_of_the_readme_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"spine-workbench {name}" in README
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    assert "Example:" in capsys.readouterr().out
