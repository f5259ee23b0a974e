"""A real PostgreSQL for the tests: a temporary cluster that answers on a socket of its own, and nobody else's.

Owns: finding the server's programs, making the cluster, starting and ending it. As root, which PostgreSQL
refuses to run as, it runs as the user that Debian's package makes.
"""

import getpass
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_REQUIRED = "WORKBENCH_REQUIRE_POSTGRESQL"


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``; skips, or fails where they are required."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    for folder in [Path(found).parent] if found else newest:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    reason = "no PostgreSQL server: neither initdb on PATH nor /usr/lib/postgresql/*/bin"
    if os.environ.get(_REQUIRED) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@contextmanager
def cluster() -> Iterator[Callable[[], str]]:
    """A running cluster; what it yields makes an empty database and gives its address."""
    bin_folder, user = programs(), _user()
    # A socket's path may have 107 bytes at most: not in the folder that pytest gives.
    with tempfile.TemporaryDirectory(prefix="spine-pg-") as folder:
        if user:
            shutil.chown(folder, user)
        place = Path(folder) / "cluster"
        arguments = ["-D", str(place), "-U", "tester", "--auth=trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run([bin_folder / "initdb", *arguments], check=True, capture_output=True, user=user, cwd=folder)
        options = ["-k", folder, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB"]
        with subprocess.Popen(
            [bin_folder / "postgres", "-D", place, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=user,
            cwd=folder,
            text=True,
        ) as server:
            try:
                _until_ready(server)
                yield lambda: _new_database(folder)
            finally:
                server.send_signal(signal.SIGINT)  # at once: it would wait for its clients to leave


def _until_ready(server: "subprocess.Popen[str]") -> None:
    assert server.stderr is not None
    for line in server.stderr:
        if "ready to accept connections" in line:
            # Nobody reads on, and a full pipe would stop it.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return
    raise AssertionError(f"PostgreSQL did not start as {getpass.getuser()}")


_numbers = itertools.count(1)


def _new_database(folder: str) -> str:
    name = f"spine_{next(_numbers)}"
    with psycopg.connect(f"postgresql://tester@/postgres?host={folder}", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql://tester@/{name}?host={folder}"
