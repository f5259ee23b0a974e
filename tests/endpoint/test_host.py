"""``Host`` must name this endpoint: a web page could otherwise reach it, and write, under its own name."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from spinekit import FHIR_JSON, Held, RawAnswer, Service, outcome_issues, raw_exchange

from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings

OURS = ["localhost", "LocalHost:1", "127.0.0.1", "127.255.0.1:8080", "[::1]", "[0:0:0:0:0:0:0:1]:80"]

OTHERS = [
    *("evil.example", "evil.example:80", "evil.example:80@localhost", "user@localhost", "", "[", "a b", "localhost,x"),
    *("localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "0.0.0.0", "[::]", "10.0.0.1", "0x7f.1"),
    *("localhost/x", "localhost#", "[::1", "::1", "localhost:port", "1.0.0.127", "lоcalhost"),
]


def put(base_url: str, path: str, host: str, *lines: str, body: bytes) -> RawAnswer:
    head = [f"PUT /STU3/{path} HTTP/1.1", f"Host: {host}", *lines, f"Content-Length: {len(body)}"]
    message = "\r\n".join([*head, "Connection: close", "", ""]).encode() + body
    return raw_exchange(base_url, message, method="PUT")


def update(held: Held, host: str) -> RawAnswer:
    body = f'{{"resourceType":"List","id":"{held.logical_id}","status":"current","mode":"working"}}'.encode()
    lines = (f"If-Match: {held.etag}", f"Content-Type: {FHIR_JSON}")
    return put(held.service.base_url, held.path, host, *lines, body=body)


@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine(over_socket: Service, host: str) -> None:
    held = over_socket.create()
    answer = update(held, host)
    assert (answer.status, answer.headers["Location"]) == (200, f"{over_socket.base_url}/{held.path}")


@pytest.mark.parametrize("host", OTHERS)
def test_any_other_name_is_refused_and_changes_nothing(over_socket: Service, host: str) -> None:
    held = over_socket.create()
    with over_socket.unchanged(held.path):
        answer = update(held, host)
    assert answer.status == 421
    assert [issue["code"] for issue in outcome_issues(answer.body)] == ["processing"]


@contextmanager
def serving(where: Serving, *faults: str) -> Iterator[ServerProcess]:
    server = ServerProcess(Settings(faults=faults), where)
    try:
        yield server
    finally:
        server.stop()


def ask(base_url: str, host: str, path: str = "/STU3/metadata") -> int:
    message = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    return raw_exchange(base_url, message.encode()).status


def test_the_base_url_s_name_is_ours_and_health_asks_for_none() -> None:
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    where = Serving(host="127.0.0.2", port=port, base_url="https://Spine.Example:8443/STU3")
    with serving(where) as server:
        assert server.base_url == "https://Spine.Example:8443/STU3"
        here = f"http://127.0.0.2:{port}"
        hosts = ("127.0.0.2", "127.0.0.1:1", "spine.example", "SPINE.example:8443", "example", "balancer.example")
        assert [ask(here, host) for host in hosts] == [200, 200, 200, 200, 421, 421]
        assert ask(here, "balancer.example", "/healthz") == 200


def test_a_host_that_is_not_ours_wears_out_no_fault() -> None:
    with serving(Serving(), "refuse:times=1") as server:
        assert [ask(server.base_url, host) for host in ("evil.example", "localhost", "localhost")] == [421, 503, 200]
