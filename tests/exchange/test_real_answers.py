"""Verdicts on the answers of real servers, and the page that shows them."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import pytest
from realanswers import ANSWERS, SERVERS, Answer, Server

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("server", "answer"),
    [pytest.param(server, answer, id=f"{server.name}: {answer.request} {answer.status}") for server, answer in ANSWERS],
)
def test_a_real_answer(server: Server, answer: Answer) -> None:
    """The verdict depends on the exchange alone; the server is not part of it."""
    made = answer.exchange
    assert made.verdict is answer.verdict, server.source
    assert "{" not in made.explain()


def test_there_are_enough_and_none_is_there_twice() -> None:
    assert len(ANSWERS) >= 90
    rows = Counter((server.name, *answer) for server, answer in ANSWERS)
    assert [row for row, times in rows.items() if times > 1] == []
    assert all(server.source for server in SERVERS)


def test_no_two_servers_contradict_each_other() -> None:
    """Two answers that look the same in a request, a status and an OperationOutcome have one verdict."""
    verdicts: dict[tuple[object, ...], set[object]] = {}
    for _, answer in ANSWERS:
        verdicts.setdefault(tuple(answer[:2] + answer[3:]), set()).add(answer.verdict)
    assert {row: found for row, found in verdicts.items() if len(found) > 1} == {}


def test_the_page_is_in_step_with_the_answers() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_verdicts.py"))["page"]()
    assert page == (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8"), "run python docs/make_verdicts.py"
