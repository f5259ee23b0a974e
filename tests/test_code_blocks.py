"""Every code block of the documents: Python runs against a real endpoint, console lines are ones the tools take.

The blocks of a page run one after another in one namespace, as a reader would type them, in an empty folder. ``spine``
and ``wb`` are there for pages that do not start their own, and ``http://127.0.0.1:8080/STU3`` is an endpoint that runs.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from tlskit import PASSPHRASE, Certificates, make, strict_endpoint

import workbench
from workbench import Endpoint, cli

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]
STAND_IN = "http://127.0.0.1:8080/STU3"

NEEDS_MORE = {
    "executor=cluster.get_executor": "needs a cluster; tests/races/test_race_cluster.py runs it on one",
    "LocalCluster": "starts a cluster; tests/races/test_race_cluster.py does so too",
}
"""What stands in a block that is only compiled here, and why."""

OTHER_PROGRAMS = {
    "cd",
    "createdb",
    "docker",
    "eval",
    "git",
    "jupyter",
    "make",
    "mkdir",
    "openssl",
    "pip",
    "printf",
    "pytest",
    "python",
    "python3",
    "rm",
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def pages_with(language: str) -> list[Any]:
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES if blocks(page, language)]


def test_every_block_has_a_language_that_is_checked() -> None:
    seen = {
        name
        for page in PAGES
        for name in re.findall(r"^```(\w*)\n(?:.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    }
    assert seen <= {"python", "console", "yaml", "text", "http", "sql", "", "toml"}
    assert {"python", "console", "yaml"} <= seen


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_run(page: Path, spine: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # some write exports
    trustme.CA().cert_pem.write_to_path("ca.pem")  # some trust it
    started: list[Endpoint] = []
    start = Endpoint.start

    def started_here(**settings: Any) -> Endpoint:
        started.append(start(**settings))
        return started[-1]

    monkeypatch.setattr(Endpoint, "start", started_here)
    names: dict[str, Any] = {"wb": workbench, "spine": spine, "remote": spine}
    try:
        for block in blocks(page, "python"):
            code = compile(block.replace(STAND_IN, spine.base_url), str(page), "exec")
            if not any(sign in block for sign in NEEDS_MORE):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(code, names)
    finally:
        for each in started:
            each.stop()


def test_what_the_readme_says_of_its_example_is_so() -> None:
    names: dict[str, Any] = {}
    try:
        exec(blocks(ROOT / "README.md", "python")[0], names)
    finally:
        names["spine"].stop()
    assert (names["put"].status, names["late"].status) == (200, 409)


def test_what_the_endpoint_s_page_says_of_its_example_is_so() -> None:
    names: dict[str, Any] = {}
    try:
        exec(blocks(ROOT / "docs" / "endpoint.md", "python")[0], names)
    finally:
        names["spine"].stop()
    assert names["put"].verdict is workbench.Verdict.UNKNOWN


# --- commands ---


def commands(block: str) -> list[list[str]]:
    """The commands of a console block, as words: continued lines joined, comments and redirections left out."""
    lines = re.findall(r"^\$ (.*)$", block.replace("\\\n", " "), re.MULTILINE)
    return [words for line in lines if (words := words_of(line))]


def words_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    for sign in (">", "2>", "|", "&&"):
        words = words[: words.index(sign)] if sign in words else words
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def check(words: list[str]) -> None:
    """Fail unless this is a command that exists, with arguments that it takes."""
    program = Path(words[0]).name
    if program in ("python", "python3") and words[1:3] == ["-m", "workbench"]:
        program, words = "spine-workbench", words[2:]
    if words[:2] == ["docker", "run"]:  # the image, whose entry point is `serve`
        program, words = "spine-workbench", ["docker", "serve", *words[words.index("spine-workbench") + 1 :]]
    if program != "spine-workbench":
        assert program in OTHER_PROGRAMS, words
        if program == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), words
        return
    end = words.index("--") if "--" in words else len(words)
    if "--help" not in words:
        assert callable(cli._parser().parse_args(words[1:end]).run)


@pytest.mark.parametrize("page", pages_with("console"))
def test_console_lines_are_ones_the_tools_take(page: Path) -> None:
    found = [words for block in blocks(page, "console") for words in commands(block)]
    assert found
    for words in found:
        check(words)


def test_a_line_that_no_tool_takes_is_found() -> None:
    for line in ("spine-workbench serve --prot 8080", "make tset", "spine-workbnech lab"):
        with pytest.raises((SystemExit, AssertionError)):
            check(words_of(line))


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_yaml_can_be_read_and_its_commands_are_ones_the_tools_take(page: Path) -> None:
    for block in blocks(page, "yaml"):
        content = yaml.safe_load(block)
        assert content
        for line in scripts(content):
            check(words_of(line))


def scripts(node: Any) -> list[str]:
    """The shell lines of a build: GitHub's ``run``, GitLab's scripts."""
    if isinstance(node, list):
        return [line for item in node for line in scripts(item)]
    if not isinstance(node, dict):
        return []
    own = [
        line
        for name in ("run", "before_script", "script", "after_script")
        if isinstance(lines := node.get(name), str | list)
        for block in ([lines] if isinstance(lines, str) else lines)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [*own, *(line for value in node.values() for line in scripts(value))]


def test_the_nightly_builds_run_the_template_live() -> None:
    github, gitlab = (yaml.safe_load(block) for block in blocks(ROOT / "docs" / "regression.md", "yaml"))
    assert github["jobs"]["regression"]["steps"]
    for build in (github, gitlab):
        assert any("--nbval notebooks/templates" in line for line in scripts(build))
        assert "live" in str(build)


NIGHTLY = ROOT / "docs" / "regression.md"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secrets(certificates: Certificates) -> Iterator[dict[str, str]]:
    """What the page asks to store in the CI, for a strict endpoint that demands client certificates."""
    (profile,) = blocks(NIGHTLY, "toml")
    with strict_endpoint(certificates) as base_url:
        # Without the limit, which is for a machine of others.
        profile = profile.replace("https://spine.example/STU3", base_url).replace("rate_limit = 20", "")
        cert, key = (Path(path).read_text(encoding="utf-8") for path in certificates.locked)
        yield {
            "SPINE_PROFILE": profile,
            "SPINE_CA": Path(certificates.ca).read_text(encoding="utf-8"),
            "SPINE_CERT": cert,
            "SPINE_KEY": key,
            "SPINE_PASSPHRASE": PASSPHRASE,
        }


def run_build(build: dict[str, Any], folder: Path, secrets: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the commands of a build in an empty folder, as the CI does: all in one shell that ends at an error.

    Installing is left out, because the package is there, and so are the notebooks, which test_template.py runs.
    """
    *lines, clean = [line for line in scripts(build) if "pip install" not in line and "--nbval" not in line]
    assert clean == "rm -rf spine"
    script = "\n".join(lines)
    folder.mkdir()
    environment = {**os.environ, **secrets, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-e", "-c", f"trap '{clean}' EXIT\n{script}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("number", [0, 1], ids=["GitHub", "GitLab"])
def test_the_nightly_builds_check_a_strict_endpoint_with_client_certificates(
    secrets: dict[str, str], tmp_path: Path, number: int
) -> None:
    build = yaml.safe_load(blocks(NIGHTLY, "yaml")[number])
    ran = run_build(build, tmp_path / "ci", secrets)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {path.name for path in (tmp_path / "ci").iterdir()} == {"report.xml", "report.html", "report.json"}
    report = workbench.Report.load(tmp_path / "ci" / "report.json")
    assert report.ok
    assert report["trace-id-demanded"].tested, "it was the strict endpoint"
    everything = ran.stdout + ran.stderr + "".join(p.read_text("utf-8") for p in (tmp_path / "ci").iterdir())
    assert PASSPHRASE not in everything
    # Every name that the build reads is one that the page says to store.
    used = set(re.findall(r"secrets\.(\w+)|\$(SPINE_\w+)", blocks(NIGHTLY, "yaml")[number]))
    assert {a or b for a, b in used} <= {*secrets, "SPINE_TOKEN"}


def test_a_nightly_build_fails_without_its_passphrase(secrets: dict[str, str], tmp_path: Path) -> None:
    build = yaml.safe_load(blocks(NIGHTLY, "yaml")[0])
    ran = run_build(build, tmp_path / "ci", secrets | {"SPINE_PASSPHRASE": "planted-wrong"})
    assert ran.returncode == 2
    assert "The passphrase does not open the key" in ran.stderr
    assert list((tmp_path / "ci").iterdir()) == []


# --- the reference ---


def test_the_reference_is_in_step_with_the_docstrings() -> None:
    script = ROOT / "docs" / "make_reference.py"
    assert runpy.run_path(str(script))["page"]() == (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), (
        "run python docs/make_reference.py"
    )


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md" and f"({page.name})" not in index
    ]
    missing += [path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb") if path.name not in index]
    assert missing == []
