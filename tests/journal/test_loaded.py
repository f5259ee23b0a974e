"""Everything that is loaded is checked as a client checks what it sends."""

from __future__ import annotations

import http.client
import io
import random
import shlex
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_journal import READ_A, journal_of, made

from workbench import BadInput, Endpoint, Journal, Report
from workbench.errors import WorkbenchError
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json
from workbench.journal.records import Transition, as_json, from_json
from workbench.recording.cassette import Cassette

Damage = Callable[[dict[str, Any]], object]

WHOLE = replace(made("update", 200, if_match='W/"a"', etag='W/"b"', body=b"{}"), elapsed=0.5)

DAMAGES: dict[str, Damage] = {
    "a command for a method": lambda line: line["request"].update(method="PUT;touch /tmp/x;"),
    "an option for a method": lambda line: line["request"].update(method="-o"),
    "a method in lower case": lambda line: line["request"].update(method="put"),
    "a number for a method": lambda line: line["request"].update(method=5),
    "an option for a URL": lambda line: line["request"].update(url="-o/tmp/x"),
    "a file for a URL": lambda line: line["request"].update(url="file:///etc/passwd"),
    "a URL of two lines": lambda line: line["request"].update(url="http://h/\nHost: x"),
    "a URL with an escape": lambda line: line["request"].update(url="http://h/\x1b[31m"),
    "null for a URL": lambda line: line["request"].update(url=None),
    "a name of a file for a field": lambda line: line["request"].update(headers=[["@/etc/passwd", "x"]]),
    "a field of two lines": lambda line: line["request"].update(headers=[["If-Match", "a\r\nX: y"]]),
    "a number in a field": lambda line: line["request"].update(headers=[["If-Match", 5]]),
    "fields that are a number": lambda line: line["request"].update(headers=5),
    "a field of three": lambda line: line["request"].update(headers=[["If-Match", "a", "b"]]),
    "an answered field of two lines": lambda line: line["response"].update(headers=[["ETag", "a\r\nX: y"]]),
    "an answered field without a name": lambda line: line["response"].update(headers=[["", "a"]]),
    "an answered field with a colon": lambda line: line["response"].update(headers=[["a:b", "a"]]),
    "a status of two digits": lambda line: line["response"].update(status=99),
    "a status of four": lambda line: line["response"].update(status=1000),
    "true for a status": lambda line: line["response"].update(status=True),
    "an answer that is text": lambda line: line.update(response="200"),
    "a time without a zone": lambda line: line.update(sent_at="2018-05-25T16:10:00"),
    "a time that no table shows": lambda line: line.update(sent_at="9999-12-31T23:59:59-10:00"),
    "a duration below nothing": lambda line: line.update(elapsed=-1),
    "a duration without end": lambda line: line.update(elapsed=10**400),
    "true for a duration": lambda line: line.update(elapsed=True),
    "a number for sent": lambda line: line.update(sent=1),
    "a list for a client": lambda line: line.update(client=["alice"]),
    "null for an interaction": lambda line: line.update(interaction=None),
    "a number for an id": lambda line: line.update(logical_id=1),
    "an object for a failure": lambda line: line.update(failure={}),
    "a body of no size": lambda line: line["request"].update(body_size=-1, body_sha256="0" * 64),
    "a body of no digest": lambda line: line["request"].update(body_size=1, body_sha256="x"),
    "not a verdict": lambda line: (
        line["request"].update(body_size=1, body_sha256="0" * 64),
        line.update(verdict="fine", outcome=["", ""]),
    ),
    "words that are numbers": lambda line: (
        line["request"].update(body_size=1, body_sha256="0" * 64),
        line.update(verdict="updated", outcome=[1, 2]),
    ),
}


def damaged(name: str) -> dict[str, Any]:
    line = json.parse(json.dumps(as_json(WHOLE)))
    DAMAGES[name](line)
    return dict(line)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_line_that_no_client_would_send_is_named(name: str, tmp_path: Path) -> None:
    journal_of(WHOLE, WHOLE, WHOLE).save(tmp_path / "j.jsonl")
    lines = (tmp_path / "j.jsonl").read_text(encoding="utf-8").splitlines()
    lines[2] = json.dumps(damaged(name))
    (tmp_path / "evil.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        Journal.load(tmp_path / "evil.jsonl")
    assert str(refused.value) == f"Line 3 of {tmp_path / 'evil.jsonl'} is not an exchange that save() wrote."


@pytest.mark.parametrize("name", DAMAGES)
def test_so_it_is_in_a_journals_file(name: str, tmp_path: Path) -> None:
    path = database(tmp_path, "UPDATE exchange SET line = ? WHERE seq = 2", (json.dumps(damaged(name)),))
    journal = Journal.load(path)
    assert journal[0] == WHOLE
    for read in (lambda: journal[1], lambda: list(journal), journal.to_frame, journal.to_har, journal.diagram):
        with pytest.raises(BadInput, match=r"Exchange 2 of .* is not one that a journal wrote\.$"):
            read()
    journal.close()


@pytest.mark.parametrize("name", [name for name in DAMAGES if "words" not in name])
def test_so_it_is_in_a_report(name: str, tmp_path: Path, report: dict[str, Any]) -> None:
    findings = [report["findings"][0] | {"evidence": [damaged(name)]}]
    (tmp_path / "r.json").write_text(json.dumps(report | {"findings": findings}), encoding="utf-8")
    with pytest.raises(BadInput, match="is not a report that"):
        Report.load(tmp_path / "r.json")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from workbench import check

    path = tmp_path_factory.mktemp("report") / "r.json"
    with Endpoint.in_process() as spine:
        check(spine.client()).save(path)
    return dict(json.parse(path.read_bytes()))


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=12)), max_size=4))
@example([(b"A", b"folded\r\n over\r\n\tlines"), (b"B", b"\x01\x7f\xff\x85 "), (b"X(y", b"1")])
@example([(b"A", b"a\r b"), (b"B", b"a\rb: c")])
def test_whatever_the_http_library_hands_over_can_be_kept(fields: list[tuple[bytes, bytes]]) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n"

    class Socket:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(head)

    answer = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]
    answer.begin()
    response = Response(200, Headers(answer.msg.items()))
    exchange = replace(READ_A, response=response)
    assert from_json(json.parse(json.dumps(as_json(exchange)))) == exchange


@pytest.mark.parametrize(
    "path", ["List/\u00fc", "List/a b", 'List?x="<>`{}|\\^', "List/%zz", "List?[1]=\u2028&#f", "List/\x1b\n", "/"]
)
def test_whatever_a_client_sends_can_be_kept(path: str, tmp_path: Path) -> None:
    with Endpoint.in_process() as spine:
        client = spine.client()
        client.send("PROPFIND", path, headers={"X-Odd": "\xe9 \t~", "If-Match": ""}, body=b"\xff\x00")
        client.journal.save(tmp_path / "j.jsonl")
        assert list(Journal.load(tmp_path / "j.jsonl")) == list(client.journal)


@pytest.mark.parametrize(
    "first",
    [
        "",
        "{}",
        "[]",
        '{"journal": 3}',
        '{"journal": 3, "redaction": {"paths": "x", "everywhere": true}, "last": 0}',
        '{"journal": 3, "redaction": {"paths": [5], "everywhere": true}, "last": 0}',
        '{"journal": 3, "redaction": {"paths": [], "everywhere": 1}, "last": 0}',
        '{"journal": 3, "redaction": {"paths": [], "everywhere": true}, "last": -1}',
        '{"journal": 3, "redaction": {"paths": [], "everywhere": true}, "last": 1e9}',
        '{"journal": 3, "redaction": {"paths": [], "everywhere": true}, "last": true}',
        f'{{"journal": 3, "redaction": {{"paths": [], "everywhere": true}}, "last": 1{"0" * 5000}}}',
        json.dumps(as_json(READ_A)),
    ],
)
def test_a_first_line_that_does_not_begin_a_journal(first: str, tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_text(f"{first}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"^Line 1 of .* does not begin a journal that save\(\) wrote\.$"):
        Journal.load(tmp_path / "j.jsonl")


def test_a_journal_of_another_version_and_none_at_all(tmp_path: Path) -> None:
    first = '{"journal": 4, "redaction": {"paths": [], "everywhere": true}, "last": 0}\n'
    (tmp_path / "j.jsonl").write_text(first, encoding="utf-8")
    with pytest.raises(BadInput, match="was saved by another version of spine-workbench"):
        Journal.load(tmp_path / "j.jsonl")
    with pytest.raises(BadInput, match="There is no journal"):
        Journal.load(tmp_path / "none.jsonl")


def test_a_line_is_as_long_as_can_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal_of(READ_A, replace(READ_A, failure="x" * 2000)).save(tmp_path / "j.jsonl")
    monkeypatch.setattr("workbench.journal.export.MOST_BYTES", 2000)
    with pytest.raises(BadInput, match=r"^Line 3 of .* is longer than"):
        Journal.load(tmp_path / "j.jsonl")


def test_an_exchange_too_long_for_a_line_is_kept_without_its_bodies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.journal.records.MOST_BYTES", 2000)
    journal = journal_of(made("read", 200, body="é".encode() * 1000), READ_A)
    journal.save(tmp_path / "j.jsonl")
    assert [each.is_whole for each in Journal.load(tmp_path / "j.jsonl")] == [False, True]


# --- the curl line ---


def test_a_curl_line_is_words_whatever_the_request_is() -> None:
    request = Request("PUT;touch x", "-o/x [1-9]{a,b}'$(id)", Headers({"A": "'; id"}), b"'; id")
    words = shlex.split(replace(READ_A, request=request).as_curl().replace("\\\n", ""))
    assert words == [
        *("curl", "-i", "--globoff", "-X", "PUT;touch x", "--url", "-o/x [1-9]{a,b}'$(id)"),
        *("-H", "A: '; id", "-H", "Content-Type:", "--data-raw", "'; id"),
    ]


# --- a journal's file with a changed content ---


@cache
def three_exchanges() -> bytes:
    """A journal's file."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal.db"))
        for _ in range(3):
            journal.append(WHOLE)
        journal.close()
        return Path(folder, "journal.db").read_bytes()


def database(tmp_path: Path, sql: str = "", values: tuple[Any, ...] = ()) -> Path:
    """A journal's file of three exchanges, after some SQL."""
    path = tmp_path / "evil.db"
    path.write_bytes(three_exchanges())
    with sqlite3.connect(path) as connection:
        if values:
            connection.execute(sql, values)
        else:
            connection.executescript(sql)
    connection.close()
    return path


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER forge AFTER INSERT ON exchange BEGIN UPDATE exchange SET verdict = 'read'; END",
        f"CREATE VIEW another AS {ENDLESS}",
        f"DROP TABLE exchange; CREATE VIEW exchange AS {ENDLESS}",
        f"DROP TABLE placeholder; CREATE VIEW placeholder AS {ENDLESS}",
        "CREATE INDEX quick ON exchange (client)",
        "CREATE TABLE another (id)",
        "ALTER TABLE exchange ADD COLUMN another",
        "DROP TABLE redaction",
        "DROP TABLE exchange",
    ],
)
def test_a_file_with_anything_else_in_it_is_refused_and_left_as_it_was(sql: str, tmp_path: Path) -> None:
    path = database(tmp_path, sql)
    before = path.read_bytes()
    for opening in (Journal, Journal.load):
        with pytest.raises(BadInput, match=r"holds something else than a journal; choose another file\.$"):
            opening(path)
    assert path.read_bytes() == before


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = database(tmp_path, "PRAGMA user_version = 1; DROP TABLE redaction")
    with pytest.raises(BadInput, match="was written by another version of spine-workbench"):
        Journal(path)


def test_a_huge_schema_is_not_read_to_its_end(tmp_path: Path) -> None:
    numbers = ENDLESS.replace("FROM n)", "FROM n LIMIT 20000)")
    views = f"SELECT 'view', 'v' || x, 'v' || x, 0, 'CREATE VIEW v' || x || ' AS SELECT 1' FROM ({numbers})"
    path = database(tmp_path, f"PRAGMA writable_schema = ON; INSERT INTO sqlite_master {views}")
    with pytest.raises(BadInput, match=r"cannot keep a journal: interrupted\. Choose another file\.$"):
        Journal(path)


@pytest.mark.parametrize("value", [b"\xff", "text", 1.5, 2**62, None, ""], ids=repr)
@pytest.mark.parametrize("column", [*Transition._fields[1:], "kept"])
def test_each_column_holds_what_a_journal_writes(column: str, value: object, tmp_path: Path) -> None:
    """With any value in one cell, either the file is rejected or every table can be made of it."""
    path = database(tmp_path, f"UPDATE exchange SET {column} = ? WHERE seq = 2", (value,))
    try:
        journal = Journal(path)
    except BadInput:
        return
    assert len(journal.transitions()) == len(journal.rows()) == len(journal.conflicts()) + 3
    journal.timeline()
    journal.close()


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE exchange SET time = 'now' WHERE seq = 2", "column time"),
        ("UPDATE exchange SET client = NULL WHERE seq = 2", "column client"),
        ("UPDATE exchange SET resource = x'00' WHERE seq = 2", "column resource"),
        ("UPDATE exchange SET verdict = 'fine' WHERE seq = 2", "column verdict"),
        ("UPDATE exchange SET time = -9000000000000000 WHERE seq = 2", "column time"),
        ("UPDATE exchange SET kept = -1 WHERE seq = 2", "column kept"),
        ("DELETE FROM exchange WHERE seq = 2", "numbered one after another"),
        ("UPDATE exchange SET seq = -5 WHERE seq = 1", "numbered one after another"),
        ("UPDATE exchange SET client = CAST(x'ff' AS TEXT) WHERE seq = 2", "Could not decode to UTF-8"),
        ("UPDATE redaction SET rule = 5", "does not say what it redacts"),
        ("UPDATE redaction SET rule = '[]'", "does not say what it redacts"),
        ("UPDATE redaction SET key = 'x'", "does not say what its placeholders stand for"),
        ("INSERT INTO placeholder VALUES (1, 'x')", "does not say what its placeholders stand for"),
    ],
)
def test_a_malformed_row_is_rejected_in_one_sentence(sql: str, problem: str, tmp_path: Path) -> None:
    path = database(tmp_path, sql)
    with pytest.raises(BadInput, match=problem):
        Journal(path)


@pytest.mark.parametrize("line", [b"\xff", "", None, 5, "[]", "{", "CAST(x'ff' AS TEXT)"], ids=repr)
def test_a_malformed_line_is_rejected_in_one_sentence(line: object, tmp_path: Path) -> None:
    if isinstance(line, str) and line.startswith("CAST"):
        path = database(tmp_path, f"UPDATE exchange SET line = {line} WHERE seq = 2")
    else:
        path = database(tmp_path, "UPDATE exchange SET line = ? WHERE seq = 2", (line,))
    journal = Journal(path)
    with pytest.raises(BadInput, match=r"^Exchange 2 of|cannot be used"):
        list(journal)
    journal.close()


def test_a_damaged_file_is_rejected_in_one_sentence(tmp_path: Path) -> None:
    path = database(tmp_path)
    whole = path.read_bytes()
    for cut in (200, 600, 4096, 5000, 9000):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadInput, match=r"evil\.db"):
            list(Journal(path))


def test_a_file_with_any_changed_byte_is_read_or_rejected_in_one_sentence(tmp_path: Path) -> None:
    """A file is refused, or all of it can be read; to append to a damaged one may fail, in a sentence too."""
    path, whole, chance = database(tmp_path), three_exchanges(), random.Random(7)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            place = chance.choice((chance.randrange(120), chance.randrange(len(whole))))
            content[place] = chance.randrange(256)
        path.write_bytes(content)
        with suppress(WorkbenchError):
            journal = Journal.load(path)
            with closing(journal):
                list(journal)
                journal.transitions()
                journal.append(WHOLE)


def test_a_line_with_any_changed_byte_is_read_or_rejected_in_one_sentence(tmp_path: Path) -> None:
    path, chance = tmp_path / "j.jsonl", random.Random(7)
    journal_of(WHOLE, WHOLE).save(path)
    whole = path.read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        content[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(content)
        with suppress(BadInput):
            loaded = Journal.load(path)
            str(loaded.diagram())
            loaded.to_frame()
            assert [each.as_curl() + each.as_http() + each.explain() for each in loaded]


# --- cassettes ---

ENTRY: dict[str, Any] = {
    "client": "a",
    "request": {"method": "GET", "path": "List/1", "headers": {"Accept": "x"}, "text": ""},
    "answer": {"status": 200, "headers": {"ETag": 'W/"1"'}, "body": {}},
}

ENTRIES: dict[str, Damage] = {
    "a command for a method": lambda entry: entry["request"].update(method="GET;id"),
    "a path of two lines": lambda entry: entry["request"].update(path="List\r\nX: y"),
    "a number for a path": lambda entry: entry["request"].update(path=5),
    "a field of two lines": lambda entry: entry["request"].update(headers={"Accept": "a\r\nb"}),
    "fields that are a list": lambda entry: entry["request"].update(headers=[]),
    "not a text": lambda entry: entry["request"].update(text=5),
    "a status that is true": lambda entry: entry["answer"].update(status=True),
    "an answered field of two lines": lambda entry: entry["answer"].update(headers={"ETag": "a\r\nX: y"}),
    "an answer that is not text": lambda entry: entry["answer"].update(text=[]),
    "an answer that is text": lambda entry: entry.update(answer="200"),
    "no client": lambda entry: entry.pop("client"),
    "no request": lambda entry: entry.pop("request"),
    "no reason": lambda entry: entry.update(answer=None),
    "not a reason": lambda entry: entry.update(answer=None, failure=5),
    "sent that is a number": lambda entry: entry.update(answer=None, failure="x", sent=1),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_exchange_of_a_cassette_is_checked_too(name: str, tmp_path: Path) -> None:
    entry = json.parse(json.dumps(ENTRY))
    ENTRIES[name](entry)
    for entries, number in (([ENTRY], 0), ([ENTRY, entry], 2)):
        content = {"cassette": 1, "redacted": [], "exchanges": entries}
        (tmp_path / "c.json").write_text(json.dumps(content), encoding="utf-8")
        if not number:
            assert Cassette.read(tmp_path / "c.json").exchanges == [ENTRY]
            continue
        with pytest.raises(BadInput, match=f"^Exchange {number} of the cassette"):
            Cassette.read(tmp_path / "c.json")
