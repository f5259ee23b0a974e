"""Start a real JupyterLab, and drive it through a Playwright page.

Lab is asked through its own commands (`jupyterapp`), not by its menus: they answer
when the work is done, so no test needs to wait for a fixed time.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page

START_DEADLINE = 90.0
LAB_DEADLINE = 120.0
STOP_DEADLINE = 15.0

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}
_NEWS_SETTING = Path("@jupyterlab", "apputils-extension", "notification.jupyterlab-settings")


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab, and the temporary folder it serves."""

    url: str
    root: Path

    def add_notebook(self, source: Path) -> str:
        """Copy a notebook in, so that no test writes to the repository; return its path in Lab."""
        shutil.copy(source, self.root / source.name)
        return source.name

    def write_notebook(self, name: str, *cells: str) -> str:
        """Write a notebook with these code cells; return its path in Lab."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},  # or Lab asks which
        )
        nbformat.write(notebook, self.root / name)
        return name


@contextmanager
def running_lab(folder: Path, application: str = "jupyterlab") -> Iterator[Lab]:
    """Run JupyterLab (or `notebook`, Notebook 7) with all it reads and writes under `folder`."""
    root = folder / "root"
    root.mkdir()
    environment = os.environ | _private_folders(folder)
    port = _free_port()
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            _lab_command(port, application), cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(f"{url}/api/status", process, folder / "lab.log")
            yield Lab(url, root)
        finally:
            _stop(process)


def open_notebook(page: Page, lab: Lab, path: str) -> None:
    """Open a notebook in an otherwise empty Lab, with its kernel started."""
    page.goto(f"{lab.url}/lab?reset")
    page.wait_for_function("() => window.jupyterapp !== undefined")
    _in_lab(
        page,
        """async (path) => {
            await jupyterapp.restored;
            const notebook = await jupyterapp.commands.execute('docmanager:open', { path });
            await notebook.context.ready;
            await notebook.sessionContext.ready;
        }""",
        path,
    )


def open_in_notebook_7(page: Page, lab: Lab, path: str) -> None:
    """Open a notebook in Notebook 7, where each has a page of its own, with its kernel started."""
    page.goto(f"{lab.url}/notebooks/{path}")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context !== undefined")
    _in_lab(
        page,
        """async () => {
            await jupyterapp.restored;
            const notebook = jupyterapp.shell.currentWidget;
            await notebook.context.ready;
            await notebook.sessionContext.ready;
        }""",
    )


def run_all(page: Page) -> None:
    """Run every cell of the open notebook, and fail with its errors if one fails."""
    ran = _in_lab(page, "() => jupyterapp.commands.execute('notebook:run-all-cells')")
    if not ran:
        errors = page.locator('.jp-OutputArea-output[data-mime-type*="stderr"]').all_inner_texts()
        raise AssertionError("a cell failed:\n" + "\n".join(errors))


def save_notebook(page: Page) -> None:
    """Save the open notebook as Ctrl-S does, and wait until it is saved."""
    _in_lab(page, "() => jupyterapp.commands.execute('docmanager:save')")


def set_theme(page: Page, name: str) -> None:
    """Change Lab's theme, for example to "JupyterLab Dark", and wait until it is on."""
    _in_lab(page, "(theme) => jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
    page.wait_for_function("(name) => document.body.dataset.jpThemeName === name", arg=name)


def run_python(page: Page, code: str) -> None:
    """Run code in the kernel of the open notebook, behind the notebook's back."""
    _execute(page, code)


def kernel_value(page: Page, expression: str) -> Any:
    """Evaluate a Python expression in the kernel; what it gives must have a JSON form."""
    return json.loads(_execute(page, f"import json as _json; print(_json.dumps({expression}))"))


def _execute(page: Page, code: str) -> str:
    answer = _in_lab(
        page,
        """async (code) => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({ code, store_history: false });
            let text = "";
            future.onIOPub = ({ header, content }) => {
                if (header.msg_type === "stream") text += content.text;
            };
            const reply = await future.done;
            return { text, error: reply.content.status === "ok" ? null : reply.content.evalue };
        }""",
        code,
    )
    assert answer["error"] is None, f"{code}: {answer['error']}"
    text: str = answer["text"]
    return text


def _in_lab(page: Page, function: str, argument: str | None = None) -> Any:
    """Evaluate an asynchronous function in the page; Playwright by itself would wait for ever."""
    return page.evaluate(
        f"""([argument, limit]) => Promise.race([
            ({function})(argument),
            new Promise((_, fail) => setTimeout(() => fail(new Error("Lab did not answer")), limit)),
        ])""",
        [argument, LAB_DEADLINE * 1000],
    )


def _private_folders(folder: Path) -> dict[str, str]:
    """Name a folder under `folder` for everything that Jupyter would keep at home."""
    names = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
    )
    folders = {name: folder / name.lower() for name in names}
    for each in folders.values():
        each.mkdir()
    news = folders["JUPYTERLAB_SETTINGS_DIR"] / _NEWS_SETTING
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps(_NO_NEWS))
    return {name: str(path) for name, path in folders.items()}


def _lab_command(port: int, application: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        application,
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--expose-app-in-browser",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)  # between two looks; the deadline is above
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask Lab to end, which ends its kernels too; insist if it does not."""
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
