"""Export the journal from the widget: into one folder, asking before it overwrites, or as a download."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from workbench import Endpoint, Workbench
from workbench.widgets.export import Export

NAMES = ["journal.har", "journal.csv", "journal.jsonl", "journal.svg"]


@pytest.fixture
def export(spine_in_process: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    monkeypatch.chdir(tmp_path)
    bench = Workbench(spine_in_process.client("alice"), "List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    bench.load()
    return bench.exporter


def asks(export: Export) -> bool:
    return export.overwrite.layout.display != "none"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("name", NAMES)
def test_it_writes_into_one_folder_for_its_owner_alone(export: Export, tmp_path: Path, name: str) -> None:
    export.path.value = name
    export.button.click()
    assert files(tmp_path) == [f"exports/{name}"]
    assert "Written: " in export.outcome.value
    assert stat.S_IMODE((tmp_path / "exports" / name).stat().st_mode) == 0o600
    assert not asks(export)


@pytest.mark.parametrize(
    "name", ["../journal.har", "/tmp/journal.har", "a/journal.har", "a\\journal.har", ".har", ".."]
)
def test_it_writes_nowhere_else(export: Export, tmp_path: Path, name: str) -> None:
    export.path.value = name
    for press in (export.button, export.overwrite, export.download_button):
        press.click()
        assert "is not a file name" in export.outcome.value
    assert files(tmp_path) == []


def test_it_asks_before_it_overwrites(export: Export, tmp_path: Path) -> None:
    there = tmp_path / "exports" / "journal.har"
    there.parent.mkdir()
    there.write_text("the user's own")
    export.button.click()
    assert asks(export)
    assert "exports/journal.har already exists" in export.outcome.value
    assert there.read_text() == "the user's own"
    export.path.value = "other.har"
    assert not asks(export), "the question was about another file"
    export.path.value = "journal.har"
    export.button.click()
    export.overwrite.click()
    assert not asks(export)
    assert there.read_text().startswith("{")
    assert files(tmp_path) == ["exports/journal.har"]


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symbolic_link_is_neither_followed_nor_replaced(export: Export, tmp_path: Path, dangling: bool) -> None:
    target, link = tmp_path / "target", tmp_path / "exports" / "journal.har"
    link.parent.mkdir()
    link.symlink_to(target)
    if not dangling:
        target.write_text("the user's own")
    for press in (export.button, export.overwrite):
        press.click()
        assert "is a symbolic link" in export.outcome.value
        assert not asks(export)
    assert link.is_symlink()
    assert target.exists() is not dangling
    assert dangling or target.read_text() == "the user's own"


def test_another_ending_is_a_sentence(export: Export, tmp_path: Path) -> None:
    export.path.value = "journal.txt"
    export.button.click()
    assert "end its name in .har, .csv, .jsonl or .svg" in export.outcome.value
    assert files(tmp_path) == []


def test_a_download_goes_to_the_page_and_into_no_file_or_state(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Any, list[bytes]]] = []
    monkeypatch.setattr(export.download, "send", lambda content, buffers: sent.append((content, buffers)))
    export.path.value = "journal.jsonl"
    export.download_button.click()
    ((about, (content,)),) = sent
    assert about == {"name": "journal.jsonl"}
    assert b"744eec7d-8951-4722-ad74-dc34e86d4e1a" in content
    assert files(tmp_path) == []
    assert "744eec7d" not in repr(export.download.get_state())
