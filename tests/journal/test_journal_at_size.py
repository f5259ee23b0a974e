"""A journal that outgrows its memory, or outlives its process: bodies as digests, and exchanges in a file."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_journal import COLUMNS, KINDS, made, one_of_every_kind, outcome

from workbench import BadInput, Endpoint, Exchange, Journal, Verdict, Workbench, history
from workbench.errors import WorkbenchError
from workbench.exchange.message import Digest

A = 'W/"a"'
STALE = made("update", 409, if_match=A, body=outcome("RESOURCE_VERSION_MISMATCH", "the current version is another"))
PAGE = made("read", 200, body=b"<html>Sign in</html>")
LESS = 10


def with_a_path(tmp_path: Path, keep_bodies: int = 10**9) -> Journal:
    return Journal(tmp_path / "journal.db", keep_bodies=keep_bodies)


def filled(journal: Journal, exchanges: Any) -> Journal:
    for exchange in exchanges:
        journal.append(exchange)
    return journal


NewJournal = Callable[[Path, int], Journal]

STORES: dict[str, NewJournal] = {"in memory": lambda _, keep: Journal(keep_bodies=keep), "in a file": with_a_path}


@pytest.fixture(params=STORES)
def new_journal(request: pytest.FixtureRequest) -> NewJournal:
    return STORES[request.param]


# --- a file ---


def test_a_journal_in_a_file_is_the_same_as_one_in_memory(tmp_path: Path) -> None:
    memory = one_of_every_kind()
    file = filled(with_a_path(tmp_path), memory)
    assert list(file) == list(memory)
    assert [each.verdict for each in file] == [each.verdict for each in memory]
    assert file.rows() == memory.rows()
    assert file.rows(3) == memory.rows(3)
    assert file.transitions().equals(memory.transitions())
    assert file.to_frame().equals(memory.to_frame())
    assert file.conflicts().equals(memory.conflicts())
    assert (file[0], file[-1], len(file), repr(file)) == (memory[0], memory[-1], len(memory), repr(memory))
    assert file.timeline().svg == memory.timeline().svg
    assert file.diagram().svg == memory.diagram().svg
    with pytest.raises(IndexError):
        file[len(file)]


def test_an_existing_file_is_continued(tmp_path: Path) -> None:
    first = filled(with_a_path(tmp_path), [made("read", 200, etag=A), STALE])
    first.close()
    again = Journal(tmp_path / "journal.db")
    assert list(again) == [made("read", 200, etag=A), STALE]
    assert again.append(made("update", 422)) == 3
    assert [(row.etag_before, row.etag_after) for row in again.rows()] == [(None, A), (A, None), (None, None)]
    again.close()
    loaded = Journal.load(tmp_path / "journal.db")
    assert len(loaded.rows()) == 3


def test_it_is_saved_as_lines_and_loaded_from_them(tmp_path: Path) -> None:
    file = filled(with_a_path(tmp_path), one_of_every_kind())
    file.save(tmp_path / "file.jsonl")
    loaded = Journal.load(tmp_path / "file.jsonl")
    assert list(loaded) == list(file)
    assert loaded.rows() == file.rows()


def test_an_empty_one_has_its_columns(tmp_path: Path) -> None:
    frame = with_a_path(tmp_path).transitions()
    assert list(frame.columns) == COLUMNS
    assert {name: str(frame[name].dtype) for name in COLUMNS} == dict.fromkeys(COLUMNS, "str") | KINDS


def test_rows_are_readable_after_each_append(tmp_path: Path) -> None:
    journal = with_a_path(tmp_path)
    for number in range(2500):
        journal.append(made("read", 200, etag=f'W/"{number}"', elapsed=number / 1000))
        if number in (0, 999, 1000, 2499):
            assert journal.rows(number)[0].etag_after == f'W/"{number}"'
    frame = journal.transitions()
    assert list(frame["seq"]) == list(range(1, 2501))
    assert list(frame["ms"]) == [float(number) for number in range(2500)]
    assert sum(1 for _ in journal) == 2500


def test_threads_append_and_read_at_once(tmp_path: Path) -> None:
    journal = with_a_path(tmp_path)
    line = threading.Barrier(8)

    def work(name: int) -> None:
        line.wait(60)
        for number in range(50):
            journal.append(made("read", 200, etag=f'W/"{number}"', logical_id=str(name)))
            assert sum(1 for _ in journal) >= number

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = journal.rows()
    for name in range(8):
        mine = [row.etag_after for row in rows if row.resource == f"List/{name}"]
        assert mine == [f'W/"{number}"' for number in range(50)]


def test_a_journal_in_a_file_uses_constant_memory(tmp_path: Path) -> None:
    journal = with_a_path(tmp_path)
    one = made("update", 200, if_match=A, etag=A, body=b"x" * 2000)
    held = []
    tracemalloc.start()
    try:
        for _ in range(3):
            filled(journal, [one] * 2000)
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(journal) == 6000
    assert held[2] - held[0] < 100_000, "noise beside the eight megabytes that were appended"


def test_an_unusable_file_is_rejected_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a shopping list, longer than the header of a database " * 20)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE patient (id)")
    other.close()
    for name, problem in (
        ("text", "file is not a database. Choose another file"),
        ("other.db", "something else than a journal; choose another file"),
        ("no/such/folder.db", "cannot be written: No such file or directory"),
    ):
        with pytest.raises(BadInput, match=rf"{problem}\.$"):
            Journal(tmp_path / name)
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("patient",)], "it is left as it was"
    other.close()


def test_a_journal_is_not_saved_over_its_own_file(tmp_path: Path) -> None:
    journal = filled(with_a_path(tmp_path), [STALE])
    with pytest.raises(BadInput, match="kept already"):
        journal.save(tmp_path / "journal.db")
    assert list(journal) == [STALE]


def test_an_exchange_that_cannot_be_recorded_took_place(tmp_path: Path) -> None:
    journal = with_a_path(tmp_path)
    journal.close()
    with pytest.raises(WorkbenchError, match=r"^The exchange took place, but"):
        journal.append(STALE)


def test_the_workbench_works_with_a_file_and_without_bodies(tmp_path: Path, spine_in_process: Endpoint) -> None:
    for journal in (with_a_path(tmp_path), Journal(keep_bodies=0)):
        client = spine_in_process.client("alice", journal=journal)
        logical_id = client.create({"resourceType": "List", "status": "current", "mode": "working"}).logical_id
        bench = Workbench(client, "List", logical_id)
        assert bench.load() is not None
        bench.editor.value = bench.editor.value.replace("working", "changes")
        sent = bench.send()
        assert sent is not None
        assert sent.verdict is Verdict.UPDATED
        bench.close()
        assert client.last_seq == len(journal)


def test_a_picture_reads_only_what_it_shows(tmp_path: Path) -> None:
    filled(
        with_a_path(tmp_path), [made("read", 200, etag=A, logical_id=str(number % 2)) for number in range(40)]
    ).close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE exchange SET line = 'no exchange' WHERE seq = 1")
    database.close()
    journal = Journal(tmp_path / "journal.db")
    with pytest.raises(BadInput, match="Exchange 1 of"):
        journal.diagram(start=1)
    assert str(journal.diagram()).startswith("exchanges 11–40 of 40")
    assert str(journal.timeline(last=39)).startswith("exchanges 2–40 of 40")
    assert str(journal.timeline(resource="List/1")).startswith("20 exchanges about List/1")
    journal.close()


# --- a killed process ---

WRITER = """
import sys
from test_journal import made
from workbench import Journal

journal = Journal(sys.argv[1])
number = len(journal)
while True:
    number += 1
    journal.append(made("update", 200, etag=f'W/"{number}"', body=b"x" * 3000))
    print(number, flush=True)
"""


def test_a_killed_process_loses_at_most_the_exchange_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    held = 0
    for rounds in range(3):
        command = [sys.executable, "-c", WRITER, str(path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths})
        assert child.stdout is not None
        for _ in range(400 + 7 * rounds):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        printed = [int(line) for line in child.stdout.read().split()]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        appended = max([held + 400 + 7 * rounds, *printed])
        journal = Journal(path)
        assert len(journal) - appended in (0, 1), "the one in flight may be there already"
        assert [str(exchange.etag) for exchange in journal] == [f'W/"{n}"' for n in range(1, len(journal) + 1)]
        assert [row.etag_after for row in journal.rows()][-1] == f'W/"{len(journal)}"'
        assert {len(exchange.response.body) for exchange in journal if exchange.response} == {3000}
        held = len(journal)
        journal.close()


# --- bodies over the budget ---


def lean(new_journal: NewJournal, tmp_path: Path) -> Journal:
    read = made("read", 200, etag=A, body=b"{}")
    update = made("update", 200, if_match=A, etag='W/"b"', body=b'{"resourceType":"List","id":"1"}')
    return filled(new_journal(tmp_path, LESS), [read, update, STALE, PAGE, made("read", 304)])


def test_after_the_budget_only_digests_are_kept(new_journal: NewJournal, tmp_path: Path) -> None:
    journal = lean(new_journal, tmp_path)
    first, update, stale, page, empty = journal
    assert [each.is_whole for each in journal] == [True, False, False, False, True]
    assert repr(journal) == "<Journal of 5 exchanges, of 3 without their bodies>"
    assert update.response is not None
    body = b'{"resourceType":"List","id":"1"}'
    left = Digest(len(body), hashlib.sha256(body).hexdigest())
    assert (update.response.body, update.response.dropped, update.request.dropped) == (b"", left, None)
    assert (first.resource, update.resource, stale.outcome, empty.is_whole) == ({}, None, None, True)
    # The verdicts stay: a page instead of a resource is a failed read, body or not.
    verdicts = [Verdict.READ, Verdict.UPDATED, Verdict.STALE, Verdict.FAILED, Verdict.NOT_MODIFIED]
    assert [each.verdict for each in (first, update, stale, page, empty)] == verdicts


def test_the_tables_are_the_same_without_bodies(new_journal: NewJournal, tmp_path: Path) -> None:
    journal = lean(new_journal, tmp_path)
    whole = filled(Journal(), [made("read", 200, etag=A, body=b"{}")])
    assert journal.rows()[0] == whole.rows()[0]
    stale = journal.rows()[2]
    assert (stale.spine_code, stale.diagnostics) == ("RESOURCE_VERSION_MISMATCH", "the current version is another")
    assert len(journal.conflicts()) == 1
    frame = journal.to_frame()
    assert list(frame["received_bytes"])[:2] == [2, 32]
    assert list(frame["received"].isna()) == [False, True, True, True, False]


def test_exports_say_that_a_body_is_not_kept(new_journal: NewJournal, tmp_path: Path) -> None:
    journal = lean(new_journal, tmp_path)
    update = journal[1]
    gone = "a body of 32 bytes that is no longer kept; SHA-256 "
    assert f"({gone}" in update.as_http()
    assert "no longer kept" in update.explain()
    entry = journal.to_har()["log"]["entries"][1]["response"]
    assert (entry["content"]["size"], entry["bodySize"], entry["content"]["text"]) == (32, 32, "")
    assert entry["content"]["comment"].startswith(gone)
    sent = with_a_body(b'{"resourceType":"List"}').without_bodies()
    assert "--data-binary '@(a body of 23 bytes" in sent.as_curl(), "curl finds no such file, and sends nothing"
    for picture in (journal.diagram(), journal.timeline()):
        assert "200 updated" in str(picture) or "U" in str(picture)


def with_a_body(body: bytes) -> Exchange:
    whole = made("update", 200, if_match=A)
    request = type(whole.request)("PUT", whole.request.url, whole.request.headers, body)
    return Exchange("alice", "update", "List", "1", request, whole.response, whole.sent_at)


def test_digests_are_saved_and_loaded(new_journal: NewJournal, tmp_path: Path) -> None:
    journal = lean(new_journal, tmp_path)
    journal.save(tmp_path / "lean.jsonl")
    loaded = Journal.load(tmp_path / "lean.jsonl")
    assert list(loaded) == list(journal)
    assert [each.verdict for each in loaded] == [each.verdict for each in journal]
    assert loaded.rows() == journal.rows()
    assert (repr(loaded), loaded.transitions().equals(journal.transitions())) == (repr(journal), True)
    lines = [json.loads(line) for line in (tmp_path / "lean.jsonl").read_text(encoding="utf-8").splitlines()]
    assert ["body" in line["response"] for line in lines[1:]] == [True, False, False, False, True]


def test_a_continued_file_knows_how_many_bodies_it_keeps(tmp_path: Path) -> None:
    lean(with_a_path, tmp_path).close()
    again = with_a_path(tmp_path, LESS)
    assert repr(again) == "<Journal of 5 exchanges, of 3 without their bodies>"
    again.append(PAGE)
    assert not again[-1].is_whole


def test_the_check_works_without_bodies_and_names_no_elements(new_journal: NewJournal, tmp_path: Path) -> None:
    journal = new_journal(tmp_path, 0)
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        alice, bob = (endpoint.client(name, journal=journal) for name in ("alice", "bob"))
        logical_id = alice.create({"resourceType": "List", "status": "current", "mode": "working"}).logical_id
        drafts = [client.read("List", logical_id).resource for client in (alice, bob)]
        alice.update(drafts[0] | {"title": "alice's"})
        bob.update(drafts[1] | {"title": "bob's"})
    proof = history(journal).check()
    assert proof.witness == (4, 5)
    assert [(loss.client, loss.elements) for loss in proof.losses] == [("alice", ())]
    assert "Lost: alice's update (4); the bodies that would name its elements are not kept." in proof.explain()
