"""What stands in the way of an accident: nothing is sent twice or followed, and lessons reach no live endpoint."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from stranger import answers, stranger

from workbench import Client, Connection, Endpoint, Exchange

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("0[0-6]-*.ipynb"))
RESOURCE = {"resourceType": "List", "id": "1", "status": "current", "mode": "working"}


WRITES: dict[str, Callable[[Client], Exchange]] = {
    "update": lambda client: client.update(RESOURCE, if_match='W/"a"'),
    "create": lambda client: client.create({"resourceType": "List"}),
    "delete": lambda client: client.delete("List", "1", if_match='W/"a"'),
    "patch": lambda client: client.send("PATCH", "List/1", body="[]"),
}
READS: dict[str, Callable[[Client], Exchange]] = {
    "read": lambda client: client.read("List", "1"),
    "search": lambda client: client.search("List"),
    "capabilities": lambda client: client.capabilities(),
}


@pytest.mark.parametrize("status", [200, 201, 202, 401, 408, 409, 412, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_was_answered_is_never_sent_again(write: str, status: int) -> None:
    with stranger(answers(status, b"", "Retry-After: 0")) as server:
        exchange = WRITES[write](Client(server.url))
    assert (exchange.status, len(server.requests), len([exchange])) == (status, 1, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("interaction", [*WRITES, *READS])
def test_no_redirect_to_another_host_is_followed_so_no_credential_gets_there(interaction: str, status: int) -> None:
    connection = Connection(token=lambda: "planted-token-77", headers={"X-Pass": "planted-pass-12"})
    with ExitStack() as servers:
        elsewhere = servers.enter_context(stranger(answers(200)))
        location = f"{elsewhere.url}/List/9"
        server = servers.enter_context(stranger(answers(status, b"", f"Location: {location}")))
        client = Client(server.url, connection=connection)
        exchange = (WRITES | READS)[interaction](client)
        assert b"Authorization: Bearer planted-token-77" in server.requests[0]
    assert (exchange.status, len(server.requests), elsewhere.requests) == (status, 1, [])
    assert exchange.response is not None
    assert exchange.response.headers["Location"] == location, "it is shown"
    assert not exchange.ok


def test_a_location_of_another_host_is_shown_and_not_followed() -> None:
    with ExitStack() as servers:
        elsewhere = servers.enter_context(stranger(answers(200)))
        fields = (f"Location: {elsewhere.url}/List/77/_history/1", 'ETag: W/"1"')
        server = servers.enter_context(stranger(answers(201, b"", *fields)))
        client = Client(server.url)
        made = client.create({"resourceType": "List"})
        assert made.response is not None
        assert made.response.headers["Location"].startswith(elsewhere.url)
        client.read("List", made.logical_id)
    assert [request.split()[1] for request in server.requests] == [b"/STU3/List", b"/STU3/List/77"], (
        "asked where we asked before"
    )
    assert elsewhere.requests == []


# --- the lessons ---


def code_of(path: Path) -> ast.Module:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return ast.parse(TransformerManager().transform_cell(source))


def reaches_out(tree: ast.Module) -> list[str]:
    """Where the code could be pointed at an endpoint that it did not start itself."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name.split(".")[0] in ("os", "sys", "requests", "urllib", "socket")]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("wb.connect", "wb.read_profile", "wb.EndpointPicker", "input"):
                found.append(name)
            elif name in ("wb.Client", "Client") and not own(node.args[0]):
                found.append(ast.unparse(node))
            found += [f"{name}({word.arg})" for word in node.keywords if word.arg in ("connection", "base_url")]
    return found


def own(address: ast.expr) -> bool:
    return ast.unparse(address).endswith(".base_url")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_speaks_only_to_an_endpoint_that_it_starts(path: Path) -> None:
    tree = code_of(path)
    assert reaches_out(tree) == []
    started = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert {"wb.Endpoint.start", "wb.Endpoint.in_process"} & set(started)


POINTED = [
    "import os",
    "from os import environ",
    "wb.connect('integration')",
    "wb.Client('https://spine.example/STU3')",
    "wb.Client(where)",
    "wb.Workbench(wb.Client(spine.base_url, connection=x))",
    "wb.EndpointPicker()",
]


@pytest.mark.parametrize("code", POINTED)
def test_what_could_be_pointed_elsewhere_is_found(code: str) -> None:
    assert reaches_out(ast.parse(code)) != []


def test_an_endpoint_of_a_lesson_takes_no_address() -> None:
    for start in (Endpoint.start, Endpoint.in_process):
        assert not {"base_url", "host", "url", "connection", "profile"} & set(inspect.signature(start).parameters)


@pytest.mark.parametrize(
    "name", ["WORKBENCH_BASE_URL", "WORKBENCH_PROFILE", "WORKBENCH_PROFILES", "HTTP_PROXY", "ALL_PROXY"]
)
def test_no_variable_of_the_environment_points_a_lesson_elsewhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with stranger(answers(200)) as elsewhere:
        monkeypatch.setenv(name, elsewhere.url)
        with Endpoint.start() as spine:
            client = spine.client()
            made: Any = client.create({key: value for key, value in RESOURCE.items() if key != "id"})
            assert client.is_local
            assert made.request.url.startswith("http://127.0.0.1:")
    assert elsewhere.requests == []
