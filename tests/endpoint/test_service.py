"""The endpoint as a service: workers that are replaced, a stop that finishes what is in flight, health, TLS."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
import trustme
from loadkit import BODY, Writer, create
from spinekit import Service, a_list, plain_session
from test_durability import workers_of

from workbench import BadInput, Endpoint, EndpointError
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import STOP_SECONDS, Serving, Settings

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
WAIT = 30.0


@contextmanager
def serving(settings: Settings, where: Serving) -> Iterator[ServerProcess]:
    server = ServerProcess(settings, where)
    try:
        yield server
    finally:
        server.stop()


def test_one_database_behind_several_workers(shared_db: str) -> None:
    with serving(Settings(db=shared_db), Serving(workers=3)) as server:
        assert len(workers_of(server)) == 3
        logical_id = create(server.base_url)
        writers = [Writer(server.base_url, logical_id) for _ in range(6)]  # a connection each, so spread over workers
        base = writers[0].read()
        for writer in writers:
            new = writer.update(base)
            assert new is not None
            base = new
        assert {writer.read() for writer in writers} == {base}
        for writer in writers:
            writer.close()


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with serving(Settings(db=str(tmp_path / "spine.db")), Serving(workers=2)) as server:
        before = workers_of(server)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        # Connections wait in the socket, which never closed, until a worker accepts them.
        with closing(Writer(server.base_url, LIST)) as writer:
            assert writer.read() == "25777f7d-27bc"
        assert server.running
        assert not set(workers_of(server)) & set(before)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    server = ServerProcess(Settings(db=str(tmp_path / "spine.db")), Serving(workers=2))
    writers = [Writer(server.base_url, LIST) for _ in range(8)]
    for writer in writers:
        writer.read()
    server.kill()
    for writer in writers:
        assert writer.connection.sock.recv(1) == b""
        writer.close()


def test_a_command_reaches_every_worker(tmp_path: Path) -> None:
    with Endpoint.start(db=str(tmp_path / "spine.db"), workers=2) as spine:
        clients = [spine.client(str(number)) for number in range(8)]
        logical_id = create(spine.base_url)
        spine.set_faults("refuse")
        assert {client.read("List", LIST).status for client in clients} == {503}
        spine.set_faults()
        assert {client.read("List", logical_id).status for client in clients} == {200}
        spine.reset()
        assert {client.read("List", logical_id).status for client in clients} == {404}


TOGETHER = {
    "workers in memory": (Settings(), Serving(workers=2), "a database that they share"),
    "workers with a clock": (
        Settings(db="spine.db", clock="2018-05-25T16:10:00Z"),
        Serving(workers=2),
        "A lesson's clock is one process's own",
    ),
}


@pytest.mark.parametrize(("settings", "where", "words"), TOGETHER.values(), ids=TOGETHER)
def test_what_does_not_go_together(settings: Settings, where: Serving, words: str) -> None:
    with pytest.raises(EndpointError, match=words):
        ServerProcess(settings, where)


ALONE = {
    "no workers": ({"workers": 0}, "at least one worker"),
    "a certificate without its key": ({"tls_cert": "a"}, "both a certificate and its key"),
    "a key without its certificate": ({"tls_key": "a"}, "both a certificate and its key"),
    "client certificates without TLS": ({"client_ca": "a"}, "Client certificates need TLS"),
    "all interfaces without TLS": ({"host": "0.0.0.0"}, "open to other machines"),
    "all interfaces without TLS, by IPv6": ({"host": "::"}, "open to other machines"),
    "a base URL of another path": ({"base_url": "https://spine.example/R4"}, "cannot be used"),
    "a base URL that is none": ({"base_url": "spine.example"}, "cannot be used"),
    "a log format": ({"log_format": "xml"}, "There is no log format 'xml'"),
}


@pytest.mark.parametrize(("given", "words"), ALONE.values(), ids=ALONE)
def test_what_cannot_be_served(given: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Serving(**given)  # type: ignore[arg-type]


def test_workers_that_cannot_start_say_why(tmp_path: Path) -> None:
    (tmp_path / "diary.db").write_text("Dear diary, " * 100)
    with pytest.raises(EndpointError, match="file is not a database"):
        ServerProcess(Settings(db=str(tmp_path / "diary.db")), Serving(workers=2))


def test_what_is_in_flight_is_finished() -> None:
    with (
        Endpoint.start(faults=["latency:update:seconds=1"]) as spine,
        closing(Writer(spine.base_url, LIST)) as writer,
        closing(Writer(spine.base_url, LIST)) as other,
    ):
        base = writer.read()
        fields = {"Content-Type": "application/fhir+json", "If-Match": f'W/"{base}"'}
        writer.connection.request("PUT", writer.path, body=BODY.format(id=LIST, title="late"), headers=fields)
        other.read()  # answered after it, so the update is in flight
        spine.stop()
        answer = writer.connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")


def test_health() -> None:
    with Endpoint.start() as spine, plain_session() as session:
        health = spine.base_url.removesuffix("/STU3") + "/healthz"
        answer = session.get(health, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (
        200,
        "application/json",
        {"status": "pass"},
    )
    assert abs(datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])) < timedelta(seconds=60)
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_database_that_went_away_is_bad_health(new_database: Callable[[], str]) -> None:
    import psycopg

    address = new_database()
    with Endpoint.start(db=address) as spine, plain_session() as session:
        name = address.partition("@/")[2].partition("?")[0]
        with psycopg.connect(address.replace(f"/{name}?", "/postgres?"), autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        health = spine.base_url.removesuffix("/STU3") + "/healthz"
        unwell = session.get(health, timeout=30)
        update = spine.client().read("List", LIST)
    assert (unwell.status_code, unwell.json()["resourceType"]) == (503, "OperationOutcome")
    assert int(unwell.headers["Retry-After"]) > 0
    assert unwell.headers["Date"].endswith(" GMT")
    assert update.status == 500
    assert update.outcome is not None
    assert "spine_" not in update.outcome.diagnostics


def test_a_reset_at_the_start(shared_db: str) -> None:
    with serving(Settings(db=shared_db), Serving()) as server:
        logical_id = create(server.base_url)
    with serving(Settings(db=shared_db, reset=True), Serving()) as server, plain_session() as session:
        endpoint = Service(server.base_url, session)
        assert endpoint.get(f"List/{logical_id}").status_code == 404
        assert endpoint.get(f"List/{LIST}").status_code == 200


@dataclass
class Certificates:
    """A CA, the server's certificate, a client's, and one of an unknown CA."""

    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]
    stranger: tuple[Path, Path]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")

    def issue(ca: trustme.CA, *names: str) -> tuple[Path, Path]:
        made = ca.issue_cert(*names)
        cert, key = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
        made.cert_chain_pems[0].write_to_path(cert)
        made.private_key_pem.write_to_path(key)
        return cert, key

    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "ca.pem")
    return Certificates(
        folder / "ca.pem",
        issue(ours, "127.0.0.1", "localhost"),
        issue(ours, "client.example"),
        issue(theirs, "stranger.example"),
    )


def secured(certificates: Certificates, **more: object) -> Serving:
    cert, key = map(str, certificates.server)
    return Serving(tls_cert=cert, tls_key=key, **more)  # type: ignore[arg-type]


def test_https(certificates: Certificates) -> None:
    with serving(Settings(), secured(certificates)) as server, plain_session() as session:
        assert server.base_url.startswith("https://127.0.0.1:")
        session.verify = str(certificates.ca)
        endpoint = Service(server.base_url, session)
        made = endpoint.post("List", a_list())
        assert made.headers["Location"].startswith(server.base_url)
        with plain_session() as trusting_nobody, pytest.raises(requests.exceptions.SSLError):
            trusting_nobody.get(server.base_url, timeout=10)
        began = time.perf_counter()
        server.stop()  # the session keeps its connection, and does not answer a close over TLS
        assert time.perf_counter() - began < STOP_SECONDS / 2


@pytest.mark.parametrize("workers", [1, 2])
def test_client_certificates_are_demanded(certificates: Certificates, tmp_path: Path, workers: int) -> None:
    where = secured(certificates, client_ca=str(certificates.ca), workers=workers)
    with serving(Settings(db=str(tmp_path / "spine.db")), where) as server:
        url = f"{server.base_url}/List/{LIST}"

        def ask(pair: tuple[Path, Path] | None) -> int:
            with plain_session() as session:
                session.verify = str(certificates.ca)
                session.cert = tuple(map(str, pair)) if pair else None  # type: ignore[assignment]
                return session.get(url, timeout=10).status_code

        assert ask(certificates.client) == 200
        for pair in (None, certificates.stranger):
            with pytest.raises(requests.exceptions.ConnectionError):
                ask(pair)


def test_plain_http_to_a_tls_port(certificates: Certificates) -> None:
    with serving(Settings(), secured(certificates)) as server:
        plain = server.base_url.replace("https:", "http:")
        with closing(Writer(plain, LIST)) as writer, pytest.raises((OSError, http.client.HTTPException)):
            writer.read()
        with plain_session() as session:
            session.verify = str(certificates.ca)
            assert session.get(f"{server.base_url}/metadata", timeout=10).status_code == 200


def test_certificates_that_cannot_be_used(certificates: Certificates, tmp_path: Path) -> None:
    cert, key = map(str, certificates.server)
    other = str(certificates.client[1])
    nothing = str(tmp_path / "nothing.pem")
    for given in ({"tls_cert": cert, "tls_key": other}, {"tls_cert": nothing, "tls_key": key}):
        with pytest.raises(EndpointError, match="certificate, its key or the CA cannot be used"):
            ServerProcess(Settings(), Serving(**given))


def test_all_interfaces_and_a_base_url() -> None:
    command = [sys.executable, "-m", "workbench", "serve", "--host", "0.0.0.0", "--insecure", "--stop-with-stdin"]
    for more, starts in (
        (["--base-url", "https://spine.example/STU3/"], "https://spine.example/STU3"),
        ([], "http://"),
    ):
        with subprocess.Popen([*command, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline().removeprefix("Spine endpoint at ").strip()
            process.communicate(timeout=WAIT)
        assert line.startswith(starts)
        assert "0.0.0.0" not in line
