"""The workbench under Pyodide (Python in a browser), which has no sockets, processes or threads; here in Node.

The npm package has the core of Pyodide only. Pure Python comes from this environment. The packages with compiled code
that Pyodide's own distribution does not bring in a fitting version come from the Python registry, built for Pyodide.
pandas and matplotlib are not run: their builds for Pyodide are in neither registry. Skipped where there is no Node.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from fetched import Unavailable, fetched, program, skipped_where_unavailable
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
VERSION = "314.0.6"
"""That of JupyterLite 0.8, which ``docs/try-it.md`` uses."""

PLATFORM = ["--python-version", "3.14", "--implementation", "cp", "--abi", "cp314"]
PLATFORM += ["--platform", "pyemscripten_2026_0_wasm32"]
BUILT = [f"{name}=={metadata.version(name)}" for name in ("psygnal", "pydantic-core", "simplejson")]
IN_PROCESS = "This Python can open no port and start no process, so the endpoint runs in this process, without workers."
IN_TURN = (
    "This Python cannot start threads or processes, so the clients run one after the other and meet no conflict; "
    "play() and play_all() interleave their steps."
)


@pytest.fixture(scope="module")
def pyodide() -> Path:
    """The folder with Pyodide in ``node_modules`` and the packages built for it in ``built``."""

    def commands(folder: Path) -> Sequence[Sequence[str]]:
        silent = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
        return [
            [program("npm"), "install", "--prefix", str(folder), *silent, f"pyodide@{VERSION}"],
            [*pip, "--no-deps", "--only-binary", ":all:", *PLATFORM, "--target", str(folder / "built"), *BUILT],
        ]

    with skipped_where_unavailable("pyodide"):
        program("node")
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            raise Unavailable("pip is not installed")
        return fetched("-".join(["pyodide", VERSION, *BUILT]), commands)


@pytest.fixture(scope="module")
def session(pyodide: Path) -> dict[str, Any]:
    """What happened in ``session.py``."""
    entry = pyodide / "node_modules" / "pyodide" / "pyodide.mjs"
    folders = [pyodide / "built", HERE.parents[1], sysconfig.get_path("purelib")]
    command = [program("node"), HERE / "run.mjs", entry, HERE / "session.py", *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        ("load", ["read", "read"]),
        ("send", "updated"),
        ("stale", "stale"),
        ("merge", ["updated", "His"]),
        ("proof", ["consistent", 9]),
        ("race", [4, 0, "consistent"]),
    ],
)
def test_a_lesson_runs(session: dict[str, Any], step: str, outcome: object) -> None:
    assert session["python"] == ["emscripten", 3, 14]
    assert session["steps"][step] == outcome


def test_one_sentence_each_says_what_runs_in_turn(session: dict[str, Any]) -> None:
    assert session["warned"] == [IN_PROCESS, IN_TURN, IN_TURN]  # the endpoint, the race, the race of the bench


def test_a_bench_without_a_chart_names_the_extra(session: dict[str, Any]) -> None:
    assert session["steps"]["race bench"].endswith("run: pip install 'spine-workbench[races]'.")


def test_a_check_says_which_probes_need_threads(session: dict[str, Any]) -> None:
    why = "This Python cannot start threads, so it cannot send several requests at once."
    assert session["steps"]["check"] == {
        "versions-are-new": ["KEPT", ""],
        "refusal-makes-no-version": ["KEPT", ""],
        "race": ["NOT_TESTED", why],
        "history-of-the-check": ["NOT_TESTED", why],
    }


def test_no_server_is_imported(session: dict[str, Any]) -> None:
    assert session["loaded"] == []


def test_every_requirement_is_pure_or_built_for_pyodide(pyodide: Path) -> None:
    lock = json.loads((pyodide / "node_modules" / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    brought = {canonicalize_name(name): package["version"] for name, package in lock["packages"].items()}
    built = {Requirement(each).name for each in BUILT}
    environment = {**default_environment(), "python_version": "3.14", "sys_platform": "emscripten"}
    environment |= {"platform_system": "Emscripten", "platform_machine": "wasm32"}

    unusable, seen, waiting = [], set(), [Requirement("spine-workbench")]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        distribution = metadata.distribution(name)
        is_pure = "none-any" in (distribution.read_text("WHEEL") or "")
        if not (is_pure or name in built or (name in brought and brought[name] in requirement.specifier)):
            unusable.append(str(requirement))
        if name not in seen:
            seen.add(name)
            for each in map(Requirement, distribution.requires or []):
                extras = requirement.extras or {""}
                if each.marker is None or any(each.marker.evaluate(environment | {"extra": extra}) for extra in extras):
                    waiting.append(each)
    assert {"pydantic-core", "markupsafe", "sqlalchemy"} <= seen
    assert unusable == []
