"""FHIR servers that nobody here wrote: had from their registries, started on loopback, stopped with the tests.

Owns: which servers there are, how each is fetched and started, and their versions. Must not know what they answer;
that stands in ``dialects.py``, as they answered it.
"""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from fetched import Unavailable, cache, fetched, is_asked_for, is_fetched, program
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

HERE = Path(__file__).parent
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
HELIOS = "0.2.7"
HELIOS_NAME = f"helios-{HELIOS}"


@dataclass(frozen=True)
class Start:
    """How a server is started. Its output says it is ready; ``ready`` may find the base URL in it as ``url``."""

    command: Sequence[str]
    ready: str
    base_url: str = ""
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """A running server, and the CapabilityStatement by which it introduced itself."""

    base_url: str
    capabilities: dict[str, Any]

    @property
    def introduces_itself_as(self) -> tuple[str, str, str]:
        """Its software, that software's version, and the FHIR version it speaks."""
        software = self.capabilities["software"]
        return software["name"], software["version"], self.capabilities["fhirVersion"]


def hapi_name(flavour: str) -> str:
    """What it is called in the cache: another ``pom.xml`` is another server."""
    return f"hapi-{flavour}-{hashlib.sha256((HERE / 'hapi' / flavour / 'pom.xml').read_bytes()).hexdigest()[:12]}"


def hapi(flavour: str, main: str) -> Start:
    """HAPI FHIR from Maven's registry: a ``pom.xml`` and one Java file of ours, which Java runs as it lies."""
    program("javac")  # a runtime alone cannot run a source file
    folder = HERE / "hapi" / flavour

    def commands(into: Path) -> list[list[str]]:
        repository = cache() / "maven"
        pom = ["-q", "-B", f"-Dmaven.repo.local={repository}", "-f", str(folder / "pom.xml")]
        path_file = f"-Dmdep.outputFile={into / 'classpath'}"
        return [[program("mvn"), *pom, f"{DEPENDENCY_PLUGIN}:build-classpath", path_file]]

    built = fetched(hapi_name(flavour), commands, minutes=10)
    classpath = (built / "classpath").read_text(encoding="utf-8").strip()
    quick = ["-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    return Start([program("java"), *quick, "-cp", classpath, str(folder / main)], r"serving at (?P<url>\S+)")


def helios(folder: Path, **environment: str) -> Start:
    """The Helios FHIR Server, compiled by cargo, with an SQLite database in memory."""

    def commands(into: Path) -> list[list[str]]:
        exactly = ["helios-hfs", "--version", HELIOS, "--locked", "--no-default-features", "--features", "R4,sqlite"]
        places = ["--root", str(into), "--target-dir", str(into / "target")]
        build = [program("cargo"), "install", "--quiet", "--debug", *exactly, *places]
        return [build, [sys.executable, "-c", "import shutil; shutil.rmtree('target')"]]

    built = fetched(HELIOS_NAME, commands, minutes=90, environment={"CARGO_PROFILE_DEV_DEBUG": "false"})
    port = _free_port()
    settings = {
        "HFS_SERVER_PORT": str(port),
        "HFS_BASE_URL": f"http://127.0.0.1:{port}",
        "DATABASE_URL": ":memory:",
        "NO_COLOR": "1",
        **environment,
    }
    command = [str(built / "bin" / "hfs")]
    return Start(command, "Server listening", f"http://127.0.0.1:{port}", folder, settings)


def costly(name: str, fetched_as: str) -> None:
    """Raise ``Unavailable`` for a server that takes long to build, unless it is built or asked for."""
    if not is_asked_for(name) and not is_fetched(fetched_as):
        raise Unavailable(f"it takes minutes to build; WORKBENCH_SERVERS={name} does it once")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(start: Start, *, seconds: float = 180) -> Iterator[Server]:
    """The server, once it answers; it ends with this block, or with this process however that ends."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "keeper.py"), *start.command],
        cwd=start.folder,
        env={**os.environ, **start.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is for the tests, which then end it
    )
    said: deque[str] = deque(maxlen=100)
    found: list[re.Match[str]] = []
    settled = threading.Event()
    listener = threading.Thread(target=_listen, args=(process, re.compile(start.ready), said, found, settled))
    listener.start()
    try:
        settled.wait(seconds)
        assert found, f"The server did not start: {start.command[0]}\n{''.join(said)}"
        base_url = found[0].groupdict().get("url") or start.base_url
        yield Server(base_url, _capabilities(base_url))
    finally:
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.wait(30)
        listener.join(30)
        process.stdout.close()


def _listen(
    process: "subprocess.Popen[str]",
    ready: re.Pattern[str],
    said: deque[str],
    found: list[re.Match[str]],
    settled: threading.Event,
) -> None:
    """Keep what the server says last, and note when it says that it is ready."""
    assert process.stdout
    for line in process.stdout:
        said.append(line)
        if not found and (match := ready.search(line)):
            found.append(match)
            settled.set()
    settled.set()


def _capabilities(base_url: str) -> dict[str, Any]:
    """Its CapabilityStatement; some say that they listen a moment before they do, so the connection is tried again."""
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", HTTPAdapter(max_retries=Retry(connect=40, read=0, backoff_factor=0.05)))
        answer = session.get(f"{base_url}/metadata", headers={"Accept": "application/fhir+json"}, timeout=60)
    answer.raise_for_status()
    statement: dict[str, Any] = answer.json()
    return statement


Starter = Callable[[Path], Start]
"""Takes a folder for what the server writes; raises ``Unavailable`` where it cannot be had."""

ServerNamed = Callable[[str], Server]


def _hapi_plain(_: Path) -> Start:
    return hapi("plain", "PlainServer.java")


def _hapi_jpa(_: Path) -> Start:
    costly("hapi-jpa", hapi_name("jpa"))
    return hapi("jpa", "JpaServer.java")


def _helios(folder: Path) -> Start:
    costly("helios", HELIOS_NAME)
    return helios(folder)


def _helios_strict(folder: Path) -> Start:
    costly("helios", HELIOS_NAME)
    return helios(folder, HFS_REQUIRE_IF_MATCH="true")


STARTERS: dict[str, Starter] = {
    "hapi-plain": _hapi_plain,
    "hapi-jpa": _hapi_jpa,
    "helios": _helios,
    "helios-strict": _helios_strict,
}
