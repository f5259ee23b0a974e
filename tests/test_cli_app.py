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

import pytest

from workbench.cli import main

NOTEBOOK = str(Path(__file__).parents[1] / "notebooks" / "app.ipynb")
START_DEADLINE = 90.0
STOP_DEADLINE = 30.0

# Whoever starts the tests in the background has SIGINT ignored, and a child would inherit that.
AS_IN_A_TERMINAL = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from workbench.cli import main; raise SystemExit(main())"
)


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command in a session of its own, as in a terminal; and the first line it has printed."""
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


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


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
    before = signal.getsignal(signal.SIGTERM)
    assert main(["app", NOTEBOOK, "--no-browser"]) == 2
    signal.signal(signal.SIGTERM, before)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "No Voilà here.\nspine-workbench: Voilà did not start; what it said stands above.\n"


def test_its_address_comes_first_and_is_opened_and_answers(tmp_path: Path) -> None:
    opener, seen = tmp_path / "opener.py", tmp_path / "seen"
    opener.write_text(f"import sys; open({str(seen)!r}, 'w').write(sys.argv[1])")
    browser = f"{sys.executable} {opener} %s"
    with running(tmp_path, "--dark", BROWSER=browser) as (_, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(address, timeout=START_DEADLINE) as answer:
            page = answer.read().decode()
        deadline = time.monotonic() + START_DEADLINE
        while not seen.exists() and time.monotonic() < deadline:
            time.sleep(0.05)  # between two looks; the deadline is above
        assert seen.read_text() == address
    assert "<title>spine-workbench</title>" in page
    assert 'data-jp-theme-light="false"' in page
    assert "import workbench" not in page
    assert "//cdn" not in page


@pytest.mark.parametrize(("way", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"])
def test_it_takes_voila_with_it(tmp_path: Path, way: signal.Signals, code: int) -> None:
    with running(tmp_path, "--no-browser") as (process, address):
        if way is signal.SIGINT:
            os.killpg(process.pid, way)  # a terminal tells everybody in it
        else:
            process.send_signal(way)
        assert process.wait(STOP_DEADLINE) == code
        port = urlsplit(address).port
        assert port is not None
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))
