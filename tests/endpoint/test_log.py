"""The log of a service: a line a request, as text or JSON, and never a credential in it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from spinekit import plain_session

SECRETS = {
    "Authorization": "Bearer planted-secret-1",
    "Cookie": "session=planted-secret-2",
    "X-Api-Key": "planted-secret-3",
    "TraceID": "planted-secret-4 is no trace id",
}
STORY = "/List/744eec7d-8951-4722-ad74-dc34e86d4e1a"


@contextmanager
def logged(*arguments: str) -> Iterator[tuple[str, list[str]]]:
    """A server by its command: its base URL, and its standard error, line by line, once it has ended."""
    command = [sys.executable, "-m", "workbench", "serve", "--stop-with-stdin", *arguments]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("Spine endpoint at ").strip(), lines
        _, err = process.communicate(timeout=30)
        lines += err.splitlines()
        assert process.returncode == 0


def ask(base_url: str) -> None:
    with plain_session() as session:
        session.get(base_url + STORY, headers=SECRETS, timeout=10)
        session.put(base_url + STORY + "?token=planted-secret-5", data=b"planted-secret-6", timeout=10)
        fields = {"If-Match": 'W/"25777f7d-27bc"', "TraceID": "629ea9ba-a077-4d99-b289-7a9b19fd4e03"}
        session.delete(base_url + STORY, headers=fields, timeout=10)
        session.get(base_url + "/List/%0aevil%1b[31m", timeout=10)


def test_as_json() -> None:
    with logged("--log-format", "json") as (base_url, lines):
        ask(base_url)
    entries = [json.loads(line) for line in lines]
    assert [(entry["method"], entry["status"]) for entry in entries] == [
        ("GET", 200),
        ("PUT", 400),
        ("DELETE", 204),
        ("GET", 400),
    ]
    for entry in entries:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["time"])
        assert (entry["level"], entry["peer"]) == ("INFO", "127.0.0.1")
        assert entry["ms"] > 0
        assert "message" not in entry
    assert (entries[0]["path"], entries[0]["etag"]) == ("/STU3" + STORY, 'W/"25777f7d-27bc"')
    assert entries[2]["if_match"] == 'W/"25777f7d-27bc"'
    assert entries[2]["trace_id"] == "629ea9ba-a077-4d99-b289-7a9b19fd4e03"
    assert "planted-secret" not in "".join(lines)


def test_as_text() -> None:
    with logged() as (base_url, lines):
        ask(base_url)
    assert len(lines) == 4
    assert re.fullmatch(
        r'\S+Z INFO peer=127\.0\.0\.1 method=GET path=/STU3/List/\S+ status=200 ms=[\d.]+ bytes=\d+ etag=W/"\S+"',
        lines[0],
    )
    assert "planted-secret" not in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_as_little_as_possible() -> None:
    with logged("--log-format", "none") as (base_url, lines):
        ask(base_url)
    assert lines == []


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_cannot_be_read_is_written_down_too(log_format: str) -> None:
    from spinekit import raw_exchange

    with logged("--log-format", log_format) as (base_url, lines):
        assert raw_exchange(base_url, b"planted-secret-7 nonsense\r\n\r\n").status == 400
    assert len(lines) == 1
    assert "400" in lines[0]
    assert "planted-secret" not in lines[0]


def test_a_fault_that_struck_is_named() -> None:
    with logged("--log-format", "json", "--fault", "refuse:read") as (base_url, lines):
        ask(base_url)
    assert [json.loads(line).get("fault") for line in lines] == ["refuse", None, None, "refuse"]
