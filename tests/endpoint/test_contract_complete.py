"""That the contract is tested whole: every promise is in the package's table, and has a test that names it."""

import ast
from pathlib import Path

from workbench.conformance.contract import BY_ID, PROMISES

CONTRACT = [
    *("UPD-1", "UPD-2", "UPD-3", "UPD-4", "UPD-5", "UPD-6", "UPD-7", "UPD-8", "UPD-9", "UPD-10", "UPD-11", "UPD-12"),
    *("UPD-13", "VAL-1", "UPD-15", "UPD-16", "UPD-17", "UPD-14"),
    *("PRF-1", "PRF-2", "PRF-3", "PRF-4", "PRF-5"),
    *("ERR-1", "ERR-2", "ERR-3", "ERR-4", "ERR-5"),
    *("RD-1", "RD-2", "RD-3", "RD-4", "RD-5", "RD-6", "CR-1", "CR-2", "DL-1", "DL-2", "SR-1", "CAP-1", "VER-1"),
    *("FMT-1", "FMT-2", "FMT-3"),
    *("HDR-1", "HDR-2", "HDR-3", "HDR-4", "HDR-5"),
]
"""The rule ids of the contract's tables, in their order."""

SOURCES = {"S", "C", "R", "D", "V", "E", "G", "P", "F", "H", "9111", "7240", "N", "W"}


def promises_named_by_tests() -> set[str]:
    """The ids in the ``promise`` marks of the tests beside this one."""
    named = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
                named |= {ast.literal_eval(argument) for argument in node.args}
    return named


def test_the_table_of_promises_is_the_contract() -> None:
    assert sorted(promise.id for promise in PROMISES) == sorted(CONTRACT)
    assert list(BY_ID) == [promise.id for promise in PROMISES]


def test_the_promises_stand_in_the_contract_s_order() -> None:
    assert [promise.id for promise in PROMISES] == CONTRACT


def test_every_promise_has_a_test() -> None:
    assert promises_named_by_tests() == set(CONTRACT)


def test_every_promise_says_where_it_comes_from() -> None:
    for promise in PROMISES:
        assert promise.sources
        assert set(promise.sources) <= SOURCES
        assert promise.section == promise.id.split("-")[0]
        assert promise.text.endswith(".")
