"""What a journal redacts it goes on redacting, in the file that it is kept in and in the one that it is saved to."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_journal import made

from workbench import BadInput, Exchange, Journal, history
from workbench.errors import WorkbenchError
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json
from workbench.journal.records import as_json
from workbench.journal.redaction import PERSONAL

ANN, BEA = "9990000018", "9990000026"


def about(number: str, family: str, version: str = "1", host: str = "fhir.example") -> Exchange:
    """A read of a patient, whose id is the NHS number."""
    patient = {"resourceType": "Patient", "id": number, "name": [{"family": family}]}
    response = Response(200, Headers({"ETag": f'W/"{version}"'}), json.dumps(patient).encode())
    request = Request("GET", f"https://{host}/STU3/Patient/{number}")
    exchange = made("read", 200, logical_id=number)
    return replace(exchange, resource_type="Patient", request=request, response=response)


def reopened(journal: Journal, tmp_path: Path) -> Journal:
    journal.close()
    return Journal(tmp_path / "journal.db")


def saved_and_loaded(journal: Journal, tmp_path: Path) -> Journal:
    journal.save(tmp_path / "journal.jsonl", overwrite=True)
    journal.close()
    return Journal.load(tmp_path / "journal.jsonl")


Again = Callable[[Journal, Path], Journal]


@pytest.fixture(params=[reopened, saved_and_loaded])
def again(request: pytest.FixtureRequest) -> Again:
    found: Again = request.param
    return found


def ids(journal: Journal) -> list[str]:
    return [each.resource["id"] for each in journal]


@pytest.mark.parametrize("redact", [None, True, False, ["Patient.id"], ["Patient.name", "NHS numbers"]], ids=str)
@pytest.mark.parametrize("host", ["fhir.example", "127.0.0.1"])
def test_a_loaded_journal_keeps_its_redaction(
    again: Again, redact: bool | list[str] | None, host: str, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.db", redact=redact)
    journal.append(about(ANN, "Example", host=host))
    before = re.sub("[0-9]+", "n", repr(journal[0].resource))
    for _ in range(2):
        journal = again(journal, tmp_path)
        journal.append(about(BEA, "Sample", host=host).without_bodies())
        journal.append(about(BEA, "Example", host=host))
        after = re.sub("[0-9]+", "n", repr(journal[-1].resource))
        assert after == before
    journal.close()


def test_two_people_never_share_a_placeholder(again: Again, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(about(ANN, "Example", "7"))
    for number, family, version in ((BEA, "Sample", "3"), (ANN, "Example", "7"), ("9990000034", "Third", "1")):
        journal = again(journal, tmp_path)
        journal.append(about(number, family, version))
    found = ids(journal)
    assert len({found[0], found[1], found[3]}) == 3
    assert history(journal).check().sound
    journal.close()


def test_in_its_own_file_a_person_keeps_the_placeholder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.append(about(ANN, "Example"))
    journal.append(about(BEA, "Sample"))
    journal = reopened(journal, tmp_path)
    journal.append(about(BEA, "Example"))
    assert journal[2].resource == journal[1].resource | {"name": journal[0].resource["name"]}
    journal.close()


def test_redact_on_reopening_holds_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for redact in (True, False):
        journal = Journal(path, redact=redact)
        journal.append(about(ANN, "Example"))
        journal.close()
    journal = Journal(path)
    journal.append(about(ANN, "Example"))
    assert [ANN in text for text in ids(journal)] == [False, True, True]
    journal.close()


def test_no_file_holds_a_value_and_only_a_journals_own_a_digest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        journal = Journal(tmp_path / f"{name}.db")
        journal.append(about(ANN, "Example"))
        journal.save(tmp_path / f"{name}.jsonl")
        journal.close()
    for path in tmp_path.iterdir():
        assert not [value for value in (ANN.encode(), b"Example") if value in path.read_bytes()], path
    digests = []
    for name in ("one.db", "two.db"):
        connection = sqlite3.connect(tmp_path / name)
        digests.append({digest for (digest,) in connection.execute("SELECT digest FROM placeholder")})
        connection.close()
    assert [len(each) for each in digests] == [2, 2]
    assert not digests[0] & digests[1], "each file has a key of its own"
    first = json.parse((tmp_path / "one.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first == {"journal": 3, "redaction": {"paths": list(PERSONAL), "everywhere": False}, "last": 2}


def test_a_placeholder_is_in_the_file_before_anything_says_it(tmp_path: Path) -> None:
    """However a process ends, the file knows whom its exchanges are about."""
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.append(about(ANN, "Example"))
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    (tmp_path / "copy.db-wal").write_bytes(Path(f"{path}-wal").read_bytes())
    copy = Journal(tmp_path / "copy.db")  # as a killed process would have left it
    copy.append(about(BEA, "Example"))
    copy.append(about(ANN, "Sample"))
    assert ids(copy) == [ids(journal)[0], "redacted-3", ids(journal)[0]]
    copy.close()
    journal.close()


def test_a_placeholder_of_a_failed_append_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.append(about(ANN, "Example"))
    store: Any = journal._store
    store._connection.execute("PRAGMA query_only = ON")  # a full disk
    with pytest.raises(WorkbenchError, match="The exchange took place"):
        journal.append(about(BEA, "Sample"))
    store._connection.execute("PRAGMA query_only = OFF")
    journal.append(about(BEA, "Sample"))
    first = ids(journal)
    journal = reopened(journal, tmp_path)
    journal.append(about("9990000034", "Third"))
    journal.append(about(BEA, "Sample"))
    assert ids(journal) == [*first, "redacted-5", first[1]]
    journal.close()


@pytest.mark.parametrize("redact", [None, True, False, ["Patient.name"]], ids=str)
def test_redacted_is_what_append_would_keep(redact: Any) -> None:
    journal = Journal(redact=redact)
    shown = [journal.redacted(about(number, "Example")) for number in (ANN, BEA, ANN)]
    assert len(journal) == 0
    for number in (ANN, BEA, ANN):
        journal.append(about(number, "Example"))
    assert list(journal) == shown


def test_threads_never_give_two_people_one_placeholder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    line = threading.Barrier(8)

    def work(name: int) -> None:
        line.wait(60)
        for number in range(25):
            journal.append(about(f"p-{name}-{number}", f"Family {name} {number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    families = {each.resource["id"]: each.resource["name"][0]["family"] for each in journal}
    assert len(set(families.values())) == len(families) == 200
    journal.close()


def test_redaction_does_not_change_the_verdict() -> None:
    page = replace(about(ANN, "x"), response=Response(200, Headers(), b"<html>Sign in</html>"))
    journal = Journal()
    journal.append(page)
    assert (journal[0].verdict, journal[0].is_whole) == (page.verdict, True)


@pytest.mark.parametrize("number", [7, 10**15 - 1])
def test_a_line_that_was_added_by_hand_keeps_its_placeholders(number: int, tmp_path: Path) -> None:
    journal = Journal()
    journal.append(about(ANN, "Example"))
    journal.save(tmp_path / "j.jsonl")
    with (tmp_path / "j.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(as_json(about(f"redacted-{number}", "x"))) + "\n")
    loaded = Journal.load(tmp_path / "j.jsonl")
    loaded.append(about(BEA, "Sample"))
    assert ids(loaded) == ["redacted-1", f"redacted-{number}", "redacted-8" if number == 7 else "redacted-3"]


def test_a_saved_journals_paths_are_checked(tmp_path: Path) -> None:
    rule = {"paths": ["Patient"], "everywhere": True}
    first = json.dumps({"journal": 3, "redaction": rule, "last": 0})
    (tmp_path / "j.jsonl").write_text(f"{first}\n{json.dumps(as_json(about(ANN, 'x')))}\n", encoding="utf-8")
    with pytest.raises(BadInput, match="is not an element path"):
        Journal.load(tmp_path / "j.jsonl")


def test_a_cassette_of_five_hundred_bytes_replays(tmp_path: Path) -> None:
    """One that took for ever: many placeholders, and a request that almost fits them."""
    from workbench import NotRecorded, record

    path = "Flag?a=" + "%20".join(f"redacted-{number}" for number in range(25)) + "!"
    entry = {"client": "a", "request": {"method": "GET", "path": path}, "answer": {"status": 200}}
    content = {"cassette": 1, "redacted": ["NHS numbers"], "exchanges": [entry]}
    (tmp_path / "c.json").write_text(json.dumps(content), encoding="utf-8")
    before = time.process_time()
    with pytest.raises(NotRecorded):
        record(tmp_path / "c.json").client("a").send("GET", "Flag?a=" + "%20".join(["x"] * 40))
    assert time.process_time() - before < 5
