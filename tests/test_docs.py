"""The documents say what the code does: its tables name what there is, the contract's page holds every promise.

That every code block in them runs stands in test_code_blocks.py."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import workbench
from workbench import PROMISES, cli
from workbench.client.profiles import KEYS
from workbench.client.transport import Stage
from workbench.endpoint.faults import KINDS
from workbench.endpoint.policy import POLICIES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_has_every_public_name_in_one_task() -> None:
    tasks = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["TASKS"]
    assert sorted(name for task in tasks for name in task.names) == workbench.__all__


def test_the_reference_names_the_verdict_and_nothing_private() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert "**`verdict`**" in page
    signatures = re.findall(r"^(?:wb\..*|\*\*`.*)$", page, re.MULTILINE)
    assert len(signatures) > 100
    assert [line for line in signatures if re.search(r"\b_[a-zA-Z]", line.replace("_lastUpdated", ""))] == []


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_the_contracts_page_holds_every_promise(promise: workbench.conformance.contract.Promise) -> None:
    row = f"| {promise.id} | {promise.level.value} | {promise.text} | {' '.join(promise.sources)} |"
    assert row in (ROOT / "docs" / "contract.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT).as_posix() for page in (*PAGES, *(ROOT / "notebooks").rglob("*.ipynb"))]
    assert [page for page in pages if not re.search(rf"^ +(- |/){re.escape(page)}$", site, re.MULTILINE)] == []


def test_the_endpoint_page_tells_of_every_policy_and_fault() -> None:
    page = (ROOT / "docs" / "endpoint.md").read_text(encoding="utf-8")
    for name in (*POLICIES, *KINDS):
        assert f"| `{name}` |" in page


def test_the_example_of_your_own_endpoint_runs() -> None:
    page = (ROOT / "docs" / "your-own-endpoint.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    try:
        exec(example, names)
    finally:
        names["spine"].stop()  # type: ignore[attr-defined]
    assert names["tried"].ok  # type: ignore[attr-defined]
    assert names["read"].status == 200  # type: ignore[attr-defined]


def test_the_profiles_of_your_own_endpoint_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "your-own-endpoint.md").read_text(encoding="utf-8")
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).touch()
    path = tmp_path / "profiles.toml"
    path.write_text("\n".join(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)), encoding="utf-8")
    names = workbench.profile_names(path)
    assert names == ["hapi", "integration", "gateway", "pds", "pds-int"]
    for name in names:
        workbench.read_profile(name, path)


def test_the_page_of_your_own_endpoint_tells_of_every_setting_and_step() -> None:
    page = (ROOT / "docs" / "your-own-endpoint.md").read_text(encoding="utf-8")
    stages = [stage.value for stage in Stage]
    assert [name for name in (*KEYS, *stages) if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("name", ["serve", "lab", "app", "race", "connect"])
def test_every_command_of_the_readme_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"spine-workbench {name}" in README
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    assert "Example:" in capsys.readouterr().out
