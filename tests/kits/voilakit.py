"""Start the application as `spine-workbench app` does, open it in a page, and look at a page as axe-core does."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

ROOT = Path(__file__).parents[2]
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"

START_DEADLINE = 90.0
STOP_DEADLINE = 30.0
OPEN_DEADLINE = 60_000.0
"""Milliseconds: each page starts a kernel, and the kernel an endpoint."""


@dataclass(frozen=True)
class App:
    """The application as it is served: what it printed first is its address, with the token that lets one in."""

    url: str
    token: str
    pid: int

    def kernels(self) -> int:
        """How many kernels there are."""
        found = 0
        for process in psutil.Process(self.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found += "ipykernel_launcher" in process.cmdline()
        return found


@dataclass
class Opened:
    """The application in a page, and every address that this page has asked for anything."""

    page: Page
    asked: list[str] = field(default_factory=list)

    def strangers(self, app: App) -> list[str]:
        """What was asked of anybody but the application itself."""
        own = app.url.removeprefix("http://")
        ours = (f"http://{own}", f"ws://{own}", "data:", "blob:", "about:")
        return [url for url in self.asked if not url.startswith(ours)]


@contextmanager
def running_app(folder: Path, *options: str) -> Iterator[App]:
    """Run `spine-workbench app` in the repository, with all that Jupyter would keep at home under `folder`."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(folder / name.lower()) for name in names}
    command = [sys.executable, "-m", "workbench", "app", *options, "--no-browser"]
    with (folder / "app.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
        try:
            url, _, token = _first_line(process, folder / "app.log").partition("?token=")
            yield App(url, token, process.pid)
        finally:
            _stop(process)


def open_app(
    browser: Browser,
    app: App,
    *,
    theme: str = "light",
    width: int = 1280,
    height: int = 900,
    wait_for: str = ".swb .cm-editor",
) -> Opened:
    """Open the application in a context of its own, and wait until the workbench is there."""
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = Opened(context.new_page())

    def connected(socket: WebSocket) -> None:
        opened.asked.append(socket.url)

    context.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("websocket", connected)
    opened.page.goto(f"{app.url}?token={app.token}&theme={theme}")
    expect(opened.page.locator(wait_for)).to_be_visible(timeout=OPEN_DEADLINE)
    return opened


def serious_findings(page: Page, selector: str = "body") -> list[str]:
    """What axe-core finds that would keep somebody from using this part of the page."""
    return [text for text, impact in _violations(page, selector) if impact in ("serious", "critical")]


def all_findings(page: Page, selector: str) -> list[str]:
    """All that axe-core finds in this part of the page."""
    return [text for text, _ in _violations(page, selector)]


def _violations(page: Page, selector: str) -> list[tuple[str, str]]:
    """Each element with which axe-core finds something wrong, and how serious that is."""
    if not AXE.is_file():
        reason = "axe-core is not installed: run `npm ci` in frontend"
        if os.environ.get("WORKBENCH_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    page.evaluate(AXE.read_text())
    run = "async (selector) => (await axe.run(selector, { resultTypes: ['violations'] })).violations"
    violations = page.evaluate(run, selector)
    return [(f"{each['id']}: {node['html']}", each["impact"]) for each in violations for node in each["nodes"]]


def _first_line(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    watch = threading.Timer(START_DEADLINE, process.kill)  # one that says nothing would hold the tests for ever
    watch.start()
    line = process.stdout.readline().decode().strip()
    watch.cancel()
    if not line.startswith("http://"):
        raise RuntimeError(f"the application did not start:\n{line}\n{log.read_text()[-4000:]}")
    return line


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, which ends Voilà and its kernels; insist if it does not."""
    process.terminate()
    try:
        process.communicate(timeout=STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
