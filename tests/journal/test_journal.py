"""The journal: what happened, in order; its tables, its file, and its safety among threads.

Owns: the columns and dtypes that notebooks rely on, how ``etag_before`` and ``etag_after`` move for every verdict,
and that a journal saved and loaded is the same journal. Exchanges are made by hand here, one of every kind; what
clients really do is tested with them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench import BadInput, Endpoint, ETag, Exchange, Journal, Verdict
from workbench.exchange.message import Headers, Request, Response
from workbench.fhir import json

COLUMNS = [
    *("seq", "time", "client", "interaction", "resource", "if_match", "status"),
    *("etag_before", "etag_after", "verdict", "spine_code", "diagnostics", "ms"),
]
KINDS = {"seq": "int64", "time": "datetime64[us, UTC]", "status": "Int64", "ms": "Float64"}
AT = datetime(2018, 5, 25, 16, 10, tzinfo=UTC)

METHODS = {"read": "GET", "update": "PUT", "create": "POST", "delete": "DELETE", "search-type": "GET", "patch": "PATCH"}


def made(
    interaction: str,
    status: int | None,
    *,
    etag: str | None = None,
    if_match: str | None = None,
    logical_id: str = "1",
    body: bytes = b"",
    sent: bool = True,
    client: str = "alice",
    **fields: Any,
) -> Exchange:
    """An exchange about a List; ``status`` ``None`` is no answer."""
    asked = Headers({"If-Match": if_match} if if_match is not None else {})
    answered = Headers({"ETag": etag} if etag is not None else {})
    url = f"http://127.0.0.1:9/STU3/List/{logical_id}"
    return Exchange(
        client=client,
        interaction=interaction,
        resource_type="List",
        logical_id=logical_id,
        request=Request(METHODS[interaction], url, asked),
        response=None if status is None else Response(status, answered, body),
        sent=sent,
        **{"sent_at": AT, "failure": "" if status else "No answer came."} | fields,
    )


def journal_of(*exchanges: Exchange) -> Journal:
    journal = Journal()
    for exchange in exchanges:
        journal.append(exchange)
    return journal


def outcome(code: str, diagnostics: str) -> bytes:
    coding = [{"system": "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1", "code": code}]
    issue = {"severity": "error", "code": "conflict", "details": {"coding": coding}, "diagnostics": diagnostics}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}).encode()


# --- the tables ---


def test_transitions_has_its_columns_in_their_order_with_their_types() -> None:
    full = journal_of(made("read", 200, etag='W/"a"', elapsed=0.5), made("update", None)).transitions()
    empty = Journal().transitions()
    for frame in (full, empty):
        assert list(frame.columns) == COLUMNS
        kinds = {name: str(frame[name].dtype) for name in COLUMNS}
        assert kinds == dict.fromkeys(COLUMNS, "str") | KINDS
    assert (len(full), len(empty)) == (2, 0)
    assert len(pd.concat([empty, full])) == 2


def test_the_rows_of_a_session() -> None:
    body = outcome("RESOURCE_VERSION_MISMATCH", "the current version is another")
    stale = made("update", 409, if_match='W/"a"', body=body, elapsed=0.012345678, client="bob")
    lost = made("update", None, if_match='W/"b"', failure="No answer came.")
    frame = journal_of(made("read", 200, etag='W/"a"'), stale, lost).transitions()
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert rows[1] == {
        "seq": 2,
        "time": pd.Timestamp(AT),
        "client": "bob",
        "interaction": "update",
        "resource": "List/1",
        "if_match": 'W/"a"',
        "status": 409,
        "etag_before": 'W/"a"',
        "etag_after": None,
        "verdict": "stale",
        "spine_code": "RESOURCE_VERSION_MISMATCH",
        "diagnostics": "the current version is another",
        "ms": 12.346,
    }
    assert (rows[0]["if_match"], rows[0]["ms"], rows[0]["diagnostics"]) == (None, None, "")
    assert (rows[2]["status"], rows[2]["verdict"], rows[2]["diagnostics"]) == (None, "unknown", "No answer came.")


def test_an_accepted_writes_own_outcome_is_no_diagnosis() -> None:
    body = outcome("RESOURCE_UPDATED", "all is well")
    (row,) = journal_of(made("update", 200, etag='W/"b"', body=body)).rows()
    assert (row.spine_code, row.diagnostics) == ("", "")


def test_times_are_in_utc() -> None:
    summer = AT.astimezone(timezone(timedelta(hours=1)))
    frame = journal_of(made("read", 200, sent_at=summer), made("read", 200, sent_at=AT)).transitions()
    assert list(frame["time"]) == [pd.Timestamp(AT)] * 2


def test_rows_from_a_start() -> None:
    journal = journal_of(*(made("read", 200, logical_id=name) for name in "abc"))
    assert [(row.seq, row.resource) for row in journal.rows(1)] == [(2, "List/b"), (3, "List/c")]
    assert journal.rows(3) == []


def test_conflicts_are_the_stale_ones() -> None:
    journal = journal_of(
        made("read", 200, etag='W/"a"'),
        made("update", 409, if_match='W/"0"'),
        made("update", 412),
        made("update", 200, if_match='W/"a"', etag='W/"b"'),
        made("delete", 412, if_match='W/"a"'),
    )
    found = journal.conflicts()
    assert list(found["seq"]) == [2, 5]
    assert list(found.index) == [0, 1]
    assert (found.dtypes == journal.transitions().dtypes).all()
    assert list(Journal().conflicts().columns) == COLUMNS


def test_the_whole_frame_keeps_bodies_as_text_and_their_sizes_in_bytes() -> None:
    exchange = made("update", 200, body="é\n".encode())
    frame = journal_of(exchange, made("read", None, body=b"")).to_frame()
    first, second = frame.to_dict("records")
    assert (first["method"], first["received"], first["received_bytes"], first["sent_bytes"]) == ("PUT", "é\n", 3, 0)
    assert (second["failure"], second["received"]) == ("No answer came.", "")
    assert list(Journal().to_frame().columns) == list(frame.columns)


# --- before and after ---

READ_A = made("read", 200, etag='W/"a"')
A, B = 'W/"a"', 'W/"b"'


@pytest.mark.parametrize(
    ("exchange", "verdict", "after"),
    [
        pytest.param(made("read", 200, etag=B), Verdict.READ, B, id="read"),
        pytest.param(made("read", 200), Verdict.READ, None, id="read, no ETag"),
        pytest.param(made("read", 200, etag='"b"'), Verdict.READ, '"b"', id="read, strong ETag"),
        pytest.param(made("read", 200, etag="b"), Verdict.READ, None, id="read, not an ETag"),
        pytest.param(made("read", 304, etag=A), Verdict.NOT_MODIFIED, A, id="not modified"),
        pytest.param(made("update", 200, if_match=A, etag=B), Verdict.UPDATED, B, id="updated"),
        pytest.param(made("update", 200, if_match=A), Verdict.UPDATED, None, id="updated, no ETag"),
        pytest.param(made("update", 201, etag=B), Verdict.CREATED, B, id="created by PUT"),
        pytest.param(made("delete", 204, if_match=A), Verdict.DELETED, None, id="deleted"),
        pytest.param(made("update", 409, if_match=B), Verdict.STALE, A, id="stale, we knew"),
        pytest.param(made("update", 409, if_match=A), Verdict.STALE, None, id="stale, we thought it current"),
        pytest.param(made("delete", 412, if_match=A), Verdict.STALE, None, id="stale delete, R4"),
        pytest.param(made("update", 412), Verdict.UNGUARDED, A, id="unguarded"),
        pytest.param(made("read", 404), Verdict.NOT_FOUND, None, id="not found"),
        pytest.param(made("update", 422, if_match=A), Verdict.REFUSED, A, id="refused"),
        pytest.param(made("patch", 501), Verdict.UNSUPPORTED, A, id="unsupported"),
        pytest.param(made("update", None, if_match=A, sent=False), Verdict.FAILED, A, id="never sent"),
        pytest.param(made("update", None, if_match=A), Verdict.UNKNOWN, None, id="update without an answer"),
        pytest.param(made("delete", None, if_match=A), Verdict.UNKNOWN, None, id="delete without an answer"),
        pytest.param(made("update", 504, if_match=A), Verdict.UNKNOWN, None, id="a gateway that heard nothing"),
        pytest.param(made("read", None), Verdict.UNKNOWN, A, id="read without an answer: it changes nothing"),
        pytest.param(made("read", 500), Verdict.FAILED, A, id="read that failed"),
    ],
)
def test_etag_before_and_after(exchange: Exchange, verdict: Verdict, after: str | None) -> None:
    _, row, later = journal_of(READ_A, exchange, made("update", 422)).rows()
    assert exchange.verdict is verdict
    assert (row.etag_before, row.etag_after) == (A, after)
    assert (later.etag_before, later.etag_after) == (after, after), "it is remembered"


def test_every_verdict_is_in_that_table() -> None:
    (mark,) = (m for m in test_etag_before_and_after.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined]
    assert {case.values[1] for case in mark.args[1]} == set(Verdict)


def test_etags_are_known_by_resource_after_the_first_read() -> None:
    journal = journal_of(
        made("update", 422, logical_id="1"),
        made("create", 201, logical_id="2", etag=B),
        made("read", 200, logical_id="1", etag=A),
        made("read", 200, logical_id="2", etag=B),
        made("search-type", 200, logical_id=""),
        made("create", 422, logical_id=""),
    )
    moves = [(row.resource, row.etag_before, row.etag_after) for row in journal.rows()]
    assert moves == [
        ("List/1", None, None),
        ("List/2", None, B),
        ("List/1", None, A),
        ("List/2", B, B),
        ("List", None, None),
        ("List", None, None),
    ]


# --- the file ---


def one_of_every_kind() -> Journal:
    """What a file must carry: text and bytes of all sorts, no answer, no time, repeated fields."""
    update = made("update", 200, if_match=A, etag=B, body='{"a":1.10,"b":1e2,"c":"é 🩺\u2028\\u0000"}'.encode())
    repeated = Headers([("Warning", "199 a"), ("Warning", "199 b"), ("ETag", B), ("X-Latin", "\xe9\x85")])
    journal = journal_of(
        READ_A,
        update,
        made("read", 200, body=b"\xff\xfe\x00binary\r\n"),
        made("read", None, failure="No answer came, “honestly”."),
        made("update", None, sent=False, failure="Nothing listens."),
        made("search-type", 200, logical_id="", elapsed=0.1 + 0.2, sent_at=AT + timedelta(microseconds=1)),
        made("delete", 204, sent_at=AT.astimezone(timezone(timedelta(hours=1)))),
    )
    request = Request("POST", "http://h/%C3%BC", repeated, b"\x80")
    journal.append(Exchange("bob\r\n", "create", "", "", request, Response(201, repeated), AT))
    return journal


def test_a_journal_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    journal = one_of_every_kind()
    path = tmp_path / "journal.jsonl"
    journal.save(path)
    loaded = Journal.load(str(path))
    assert list(loaded) == list(journal)
    assert loaded.rows() == journal.rows()
    assert len(path.read_text(encoding="utf-8").split("\n")) == len(journal) + 2, "a line each, after what it redacts"
    assert loaded.transitions().equals(journal.transitions())
    loaded.save(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_a_session_saved_and_loaded_is_the_same(spine_in_process: Endpoint, tmp_path: Path) -> None:
    client = spine_in_process.client("alice")
    logical_id = client.create({"resourceType": "List", "status": "current", "mode": "working"}).logical_id
    client.read("List", logical_id)
    client.delete("List", logical_id)
    spine_in_process.journal.save(tmp_path / "journal.jsonl")
    assert list(Journal.load(tmp_path / "journal.jsonl")) == list(spine_in_process.journal)


def test_an_empty_journal_saved_and_loaded(tmp_path: Path) -> None:
    Journal().save(tmp_path / "empty.jsonl")
    assert len(Journal.load(tmp_path / "empty.jsonl")) == 0


Damage = Callable[[dict[str, Any]], object]

DAMAGES: dict[str, Damage] = {
    "no such member": lambda line: line.pop("sent_at"),
    "no request": lambda line: line.update(request=None),
    "not a time": lambda line: line.update(sent_at="yesterday"),
    "a time that is a number": lambda line: line.update(sent_at=5),
    "an answer without a body": lambda line: line["response"].pop("body"),
    "a body that is a number": lambda line: line["response"].update(body=5),
    "a body that is null": lambda line: line["request"].update(body=None),
    "not hexadecimal": lambda line: (line["request"].pop("body"), line["request"].update(body_hex="xy")),
    "fields that are no pairs": lambda line: line["request"].update(headers=[["alone"]]),
    "a status that is text": lambda line: line["response"].update(status="200"),
    "a duration that is text": lambda line: line.update(elapsed="long"),
}

RUINED: dict[str, bytes] = {
    "not JSON": b"oops",
    "an empty line": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"5",
    "half a line": b'{"client": "alice", "interaction": "re',
    "not UTF-8": b'{"client": "\xff"}',
    "the same name twice": b'{"client": "a", "client": "b"}',
}


def damaged(damage: Damage, line: bytes) -> bytes:
    members = json.parse(line)
    damage(members)
    return json.dumps(members).encode()


@pytest.mark.parametrize("ruin", [*DAMAGES, *RUINED])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, ruin: str) -> None:
    path = tmp_path / "journal.jsonl"
    journal_of(READ_A, READ_A, READ_A).save(path)
    lines = path.read_bytes().splitlines()
    lines[1] = RUINED[ruin] if ruin in RUINED else damaged(DAMAGES[ruin], lines[1])
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(BadInput) as refused:
        Journal.load(path)
    assert str(refused.value) == f"Line 2 of {path} is not an exchange that save() wrote."


# --- threads and watchers ---


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Let threads take turns as often as they can, so that a race which is there shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless_threads")
def test_sixteen_threads_append_without_losing_anything() -> None:
    journal = Journal()
    each = 200
    numbers: list[int] = []
    calls = count()
    journal.watch(lambda: next(calls))
    line = threading.Barrier(16)

    def append(name: int) -> None:
        line.wait()
        mine = [journal.append(made("read", 200, etag=f'W/"{n}"', logical_id=str(name))) for n in range(each)]
        numbers.extend(mine)
        assert mine == sorted(mine)

    threads = [threading.Thread(target=append, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    total = 16 * each
    assert sorted(numbers) == list(range(1, total + 1))
    assert (len(journal), len(journal.transitions()), next(calls)) == (total, total, total)
    rows = journal.rows()
    for name in range(16):
        mine = [row for row in rows if row.resource == f"List/{name}"]
        assert [row.etag_after for row in mine] == [f'W/"{n}"' for n in range(each)]
        assert [row.etag_before for row in mine] == [None, *(f'W/"{n}"' for n in range(each - 1))]


def test_a_journal_can_be_read_while_it_grows() -> None:
    journal = journal_of(READ_A)
    seen = []
    for exchange in journal:
        journal.append(exchange)
        seen.append(exchange)
    assert (len(seen), len(journal)) == (1, 2)


def test_a_watcher_is_called_after_each_exchange_until_it_ends() -> None:
    journal = Journal()
    lengths: list[tuple[int, int]] = []
    end = journal.watch(lambda: lengths.append((len(journal), threading.get_ident())))
    journal.append(READ_A)
    thread = threading.Thread(target=journal.append, args=(READ_A,))
    thread.start()
    thread.join()
    end()
    end()
    journal.append(READ_A)
    assert [length for length, _ in lengths] == [1, 2]
    assert lengths[0][1] == threading.get_ident() != lengths[1][1], "in the thread that appends"


def test_a_watcher_may_end_itself_or_look_into_the_journal() -> None:
    journal = Journal()
    calls: list[str] = []

    def once() -> None:
        calls.append("once")
        assert journal.rows()[0].etag_after == A  # would hang if the journal still held its lock
        end()

    end = journal.watch(once)
    journal.watch(lambda: calls.append("always"))
    journal.append(READ_A)
    journal.append(READ_A)
    assert calls == ["once", "always", "always"]


def test_len_and_indexing() -> None:
    journal = journal_of(READ_A, made("update", 422))
    assert (journal[0], journal[-1].status) == (READ_A, 422)
    assert repr(journal) == "<Journal of 2 exchanges>"
    assert journal[0].etag == ETag("a")
    with pytest.raises(IndexError):
        journal[2]
