"""The package as a user gets it: built, installed into an empty environment, and started outside the checkout.

One build and one environment serve all tests here. The packages come from where `make setup` gets them.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import Parser
from pathlib import Path

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all
from loopback import free_port
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[2]
UV = [sys.executable, "-m", "uv"]
START_DEADLINE = 90.0
STOP_DEADLINE = 30.0


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run([*UV, "build", "--system-certs", "--sdist", "--out-dir", str(folder), str(ROOT)])
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def build_of_wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The wheel that uv builds from the source archive, and what uv says that it does."""
    folder = tmp_path_factory.mktemp("wheel")
    said = run([*UV, "build", "--system-certs", "-v", "--wheel", "--out-dir", str(folder), str(sdist)])
    (built,) = folder.glob("*.whl")
    return built, said


@pytest.fixture(scope="module")
def wheel(build_of_wheel: tuple[Path, str]) -> Path:
    return build_of_wheel[0]


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command in a new environment that holds the wheel with the extra `lab`, and what it needs."""
    folder = tmp_path_factory.mktemp("environment")
    pins = folder / "pins.txt"
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins.write_text(lock.replace("-e .", ""), encoding="utf-8")
    run([*UV, "venv", "--python", sys.executable, str(folder / "venv")])
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [*UV, "pip", "install", "--system-certs", "--python", str(python), "--constraint", str(pins)]
    run([*install, f"{wheel}[lab]"])
    return str(python.with_name("spine-workbench"))


def run(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=CLEAN, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
    return done.stdout


CLEAN = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def test_uv_builds_the_wheel_from_the_source_archive_without_node(build_of_wheel: tuple[Path, str]) -> None:
    wheel, said = build_of_wheel
    assert "hatchling" in said
    assert "nodejs" not in said
    static = ROOT / "workbench" / "widgets" / "static"
    with zipfile.ZipFile(wheel) as archive:
        for bundle in static.iterdir():
            assert archive.read(f"workbench/widgets/static/{bundle.name}") == bundle.read_bytes()


def test_a_wheel_holds_the_lessons_and_the_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    notebooks = ROOT / "notebooks"
    lessons = {path.relative_to(notebooks).as_posix() for path in notebooks.glob("**/*.ipynb")}
    lessons = {name for name in lessons if ".ipynb_checkpoints" not in name}
    packed = {name.removeprefix("workbench/lessons/") for name in names if name.startswith("workbench/lessons/")}
    assert packed == lessons | {"templates/my-regression-test.json"}
    assert "workbench/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "notebooks/"))]


def test_the_metadata_says_for_whom_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"]
    assert metadata.get_all("Project-URL")
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata.get_all("Classifier", [])))
    assert supported == ["3.11", "3.12", "3.13", "3.14"]
    core = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert not [text for text in core if re.match(r"(jupyterlab|pandas|matplotlib|psycopg|keyring|pytest)\b", text)]


def test_the_source_archive_holds_no_installed_packages(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert not [name for name in names if "node_modules" in name or "/.venv/" in name]
    assert any(name.endswith("/workbench/widgets/static/sources.sha256") for name in names)


@pytest.mark.parametrize(
    ("bundle", "packages"),
    [
        ("editor.js", ["@codemirror/view", "@lezer/common", "crelt", "style-mod", "w3c-keyname"]),
        ("table.js", ["ag-grid-community"]),
    ],
)
def test_the_licences_of_bundled_packages_travel_with_the_bundle(wheel: Path, bundle: str, packages: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        _, _, notice = archive.read(f"workbench/widgets/static/{bundle}").decode().rpartition("/*! ")
    versions = json.loads((ROOT / "frontend" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name in packages:
        assert f"{name} {versions[f'node_modules/{name}']['version']}" in notice
    assert "Permission is hereby granted" in notice
    assert "Copyright" in notice
    assert "axe-core" not in notice


# --- started outside the checkout ---


@contextmanager
def started(program: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the installed command in a folder, with all that Jupyter keeps at home below it."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = CLEAN | {name: str(folder / name.lower()) for name in names}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        watch = threading.Timer(START_DEADLINE, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.terminate()
            process.communicate(timeout=STOP_DEADLINE)


def answered(url: str, process: subprocess.Popen[bytes]) -> str:
    """Return the page at an address, as soon as it is served."""
    deadline = time.monotonic() + START_DEADLINE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=START_DEADLINE) as response:
                return str(response.read().decode())
        except OSError:
            assert process.poll() is None, "it ended before it served"
            assert time.monotonic() < deadline, "it serves nothing"
            time.sleep(0.1)  # between two tries; the deadline is above


def test_app_serves_the_workbench_in_any_folder(program: str, tmp_path: Path) -> None:
    with started(program, tmp_path, "app", "--no-browser", "--lessons", "mine") as process:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        assert address.startswith("http://127.0.0.1:"), (tmp_path / "log").read_text()
        assert "<title>spine-workbench</title>" in answered(address, process)
    assert (tmp_path / "mine" / "app.ipynb").is_file()


@pytest.mark.browser
def test_lab_runs_the_first_lesson_in_any_folder(page: Page, program: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", "--ServerApp.password=", "--expose-app-in-browser"]
    with started(program, tmp_path, "lab", "--", *options) as process:
        answered(f"{url}/api/status", process)
        lab = Lab(url, tmp_path / "spine-workbench-lessons")
        open_notebook(page, lab, "00-start-here.ipynb")
        run_all(page)
        expect(page.locator(".swb .cm-editor").first).to_be_visible()
        where = kernel_value(page, "wb.__file__")
    assert Path(where).is_relative_to(Path(program).parents[1]), "the kernel runs what is installed"
