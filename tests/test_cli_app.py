"""The `app` command: what it refuses, what it prints first, and how it ends. What its page shows is in tests/browser.

Voilà itself is started here, but no browser and, but for one look at the page, no kernel.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
import requests
from loopback import free_port
from nbformat import v4

from workbench import app as application
from workbench.cli import main

NOTEBOOK = str(Path(__file__).parents[1] / "notebooks" / "app.ipynb")
START_DEADLINE = 90.0
STOP_DEADLINE = 30.0

# SIGINT is ignored in tests that a shell started in the background, and a child would inherit that.
AS_IN_A_TERMINAL = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from workbench.cli import main; raise SystemExit(main())"
)


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the command in a new session, as a terminal does; yield it and the first line that it prints."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    private = {name: str(folder / name.lower()) for name in names}
    process = subprocess.Popen(
        [sys.executable, "-c", AS_IN_A_TERMINAL, "app", NOTEBOOK, *options],
        env=os.environ | private | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    watch = threading.Timer(START_DEADLINE, process.kill)  # one that says nothing would hold the tests for ever
    watch.start()
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().decode().strip()
    finally:
        watch.cancel()
        process.terminate()
        process.communicate(timeout=STOP_DEADLINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.ipynb"], "There is no notebook absent.ipynb;"),
        (["pyproject.toml"], "There is no notebook pyproject.toml;"),
        (["."], "There is no notebook .;"),
        ([NOTEBOOK, "--port", "{busy}"], "Port {busy} of 127.0.0.1 cannot be used;"),
        ([NOTEBOOK, "--port", "99999"], "Port 99999 of 127.0.0.1 cannot be used;"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_an_error_is_one_sentence_on_standard_error(
    capsys: pytest.CaptureFixture[str], busy_port: int, arguments: list[str], words: str
) -> None:
    assert main(["app", *(word.format(busy=busy_port) for word in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words.format(busy=busy_port) in err
    assert re.fullmatch(r"spine-workbench: [^\n]+\.\n", err)


def test_without_voila_it_says_that_it_did_not_start(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "voila.py").write_text("raise SystemExit('No Voilà here.')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    assert main(["app", NOTEBOOK, "--no-browser"]) == 2
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGHUP, before[1])
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "No Voilà here.\nspine-workbench: Voilà did not start; its own message is above.\n"


def test_its_address_comes_first_and_is_opened_and_answers(tmp_path: Path) -> None:
    opener, seen = tmp_path / "opener.py", tmp_path / "seen"
    opener.write_text(f"import sys; open({str(seen)!r}, 'w').write(sys.argv[1])")
    browser = f"{sys.executable} {opener} %s"
    with running(tmp_path, "--dark", BROWSER=browser) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", address)
        with urllib.request.urlopen(address, timeout=START_DEADLINE) as answer:
            page = answer.read().decode()
        deadline = time.monotonic() + START_DEADLINE
        while not seen.exists() and time.monotonic() < deadline:
            time.sleep(0.05)  # between two looks; the deadline is above
        assert seen.read_text() == address
        expect_end(process, address, signal.SIGTERM, code=0)
    assert "<title>spine-workbench</title>" in page
    assert 'data-jp-theme-light="false"' in page
    assert "import workbench" not in page
    assert "//cdn" not in page


@pytest.mark.parametrize(("way", "code"), [(signal.SIGHUP, 0), (signal.SIGINT, 130)], ids=["SIGHUP", "Ctrl-C"])
def test_it_takes_voila_and_its_kernels_with_it(tmp_path: Path, way: signal.Signals, code: int) -> None:
    with running(tmp_path, "--no-browser") as (process, address):
        with urllib.request.urlopen(address, timeout=START_DEADLINE) as page:
            assert b"kernelId" in page.read()
        expect_end(process, address, way, code)


def expect_end(process: subprocess.Popen[bytes], address: str, way: signal.Signals, code: int) -> None:
    """The signal ends the application, Voilà, its kernel and the kernel's endpoint; the port is free."""
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 3
    if way is signal.SIGINT:
        os.killpg(process.pid, way)  # a terminal signals the whole group
    else:
        process.send_signal(way)
    assert process.wait(STOP_DEADLINE) == code
    assert psutil.wait_procs(started, timeout=STOP_DEADLINE)[1] == []
    port = urlsplit(address).port
    assert port is not None
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


# --- who may see a page, how many there can be, and when their kernels end ---


class Served:
    """Voilà as `app` starts it, with a notebook that does nothing and limits that can be reached in a test."""

    def __init__(self, folder: Path) -> None:
        notebook = folder / "nothing.ipynb"
        nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("1 + 1")], metadata=KERNELSPEC), notebook)
        port = free_port()
        limits = [
            "--Kernels.most=1",
            *(f"--MappingKernelManager.cull_{name}=2" for name in ("idle_timeout", "interval")),
        ]
        self.base = f"http://127.0.0.1:{port}/"
        self.process = subprocess.Popen(
            [*application._command(str(notebook), port, dark=False), *limits], env=application._environment("swordfish")
        )
        application._wait_until_it_listens(self.process, port)

    def kernel_of(self, session: requests.Session) -> str:
        """Open the page, and say which kernel it has."""
        page = session.get(f"{self.base}?token=swordfish", timeout=START_DEADLINE)
        assert page.status_code == 200
        found = re.search(r'"kernelId": "([^"]+)"', page.text)
        assert found is not None
        return found[1]

    def has(self, session: requests.Session, kernel: str) -> bool:
        return session.get(f"{self.base}api/kernels/{kernel}", timeout=START_DEADLINE).status_code == 200


KERNELSPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    serving = Served(tmp_path_factory.mktemp("served"))
    yield serving
    application.end(serving.process)


@pytest.mark.parametrize("query", ["", "?token=", "?token=guess"])
def test_without_the_token_there_is_no_page_and_no_kernel(served: Served, query: str) -> None:
    answer = requests.get(served.base + query, timeout=START_DEADLINE, allow_redirects=False)
    assert answer.status_code == 403
    assert "Open the whole address that" in answer.text
    assert "kernelId" not in answer.text


def test_the_token_is_no_argument_of_a_process(served: Served) -> None:
    arguments = Path(f"/proc/{served.process.pid}/cmdline")
    if not arguments.exists():
        pytest.skip("there is no /proc here")
    assert b"workbench.app" in arguments.read_bytes()
    assert b"swordfish" not in arguments.read_bytes()


def test_a_page_too_many_says_so_and_a_kernel_ends_with_its_page_or_when_it_is_lost(served: Served) -> None:
    with requests.Session() as session:
        kernel = served.kernel_of(session)
        refused = session.get(f"{served.base}?token=swordfish", timeout=START_DEADLINE)
        assert refused.status_code == 503
        assert "Too many pages are open" in refused.text
        assert "Close a page that you do not need" in refused.text
        ending = f"{served.base}voila/api/shutdown/{kernel}"
        assert requests.post(ending, timeout=START_DEADLINE).status_code == 403, "not without the login"
        foreign = {"Origin": "http://elsewhere.example"}
        assert session.post(ending, headers=foreign, timeout=START_DEADLINE).status_code == 404
        assert served.has(session, kernel)
        # What the page sends as it is closed: it has no token against cross-site requests to show.
        assert session.post(ending, files={"_xsrf": (None, "")}, timeout=START_DEADLINE).status_code == 204
        assert not served.has(session, kernel)
        lost = served.kernel_of(session)
        deadline = time.monotonic() + START_DEADLINE
        while served.has(session, lost):
            assert time.monotonic() < deadline, "a kernel without a page is not culled"
