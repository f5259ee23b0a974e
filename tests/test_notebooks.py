"""The notebooks: saved as they ran, fit to be read, and checked by something that can fail.

Owns: what can be told without running them (they were executed from top to bottom, they hold nothing of the
machine that ran them), and the proof that the check which does run them, ``pytest --nbval``, catches an output
that is not what the cell gives.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "notebooks" / "templates" / "my-regression-test.ipynb"
NOTEBOOKS = [*sorted((ROOT / "notebooks").glob("*.ipynb")), TEMPLATE]
LESSONS = [path for path in NOTEBOOKS if path.name[0].isdigit()]
SAMPLES = ROOT / "tests" / "notebooks"

Notebook = dict[str, Any]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Notebook:
    notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks_and_they_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:2]) for path in LESSONS]
    assert len(numbers) >= 3
    assert numbers == list(range(len(numbers)))


@each_notebook
def test_every_code_cell_was_run_once_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(read(path))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [(cell, output) for cell in cells for output in cell["outputs"]]
    assert [output["evalue"] for _, output in outputs if output["output_type"] == "error"] == []
    assert all(
        output.get("execution_count", cell["execution_count"]) == cell["execution_count"] for cell, output in outputs
    )


def leaves_output(cell: str) -> bool:
    """Whether a cell surely shows something: it prints, or ends in a value without a semicolon."""
    code = TransformerManager().transform_cell(cell)
    last = next(iter(ast.parse(code).body[-1:]), None)
    if not isinstance(last, ast.Expr) or code.rstrip().endswith(";"):
        return False
    value = last.value
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "print"
    return isinstance(
        value, ast.Name | ast.Attribute | ast.Subscript | ast.Tuple | ast.List | ast.ListComp | ast.Compare
    )


@each_notebook
def test_every_output_was_saved(path: Path) -> None:
    cells = code_cells(read(path))
    assert [source(cell) for cell in cells if leaves_output(source(cell)) and not cell["outputs"]] == []
    assert any(cell["outputs"] for cell in cells)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_opens_with_what_it_is_for_and_how_long_it_takes(path: Path) -> None:
    first = read(path)["cells"][0]
    assert first["cell_type"] == "markdown"
    opening = source(first)
    assert opening.startswith("# ")
    assert re.search(r"\*\*What (it|you)\b[^*]*:\*\* \S", opening)
    assert re.search(r"\*\*Time:\*\* [^.\n]*\b(minutes?|hours?)\b", opening)


@each_notebook
def test_its_pictures_are_our_own(path: Path) -> None:
    """JupyterLab writes its own drawing over the SVG that stands beside a diagram, and nbval would compare that."""
    for cell in code_cells(read(path)):
        for output in cell["outputs"]:
            drawn = "".join(output.get("data", {}).get("image/svg+xml", ""))
            assert not drawn or drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg" role="img" style='), (
                "saved by Lab"
            )


@each_notebook
def test_its_links_to_other_notebooks_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+\.ipynb)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).is_file()] == []


# --- nothing of the machine, nothing secret ---

FORBIDDEN = {
    "a path of some machine": re.compile(
        r"(?<![\w.\]/])/(?:home|root|Users|work|tmp|var|opt|usr|private|mnt)/\w|[A-Z]:\\\\?\w"
    ),
    "a bearer token": re.compile(r"Bearer\s+(?!\*)[\w~+/.-]{8,}"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{2,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "basic credentials": re.compile(r"Basic\s+[A-Za-z0-9+/]{8,}={0,2}|https?://[^/\s:@]+:[^/\s@]+@"),
    "a cloud key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}"),
    "a password in the code": re.compile(
        r"(?i)(?:password|passwd|secret|api_?key|token)['\"]?\s*[=:]\s*['\"](?!(?:env|keyring):)[^'\"\s*{<]{8,}"
    ),
    "widget state": re.compile(r"application/vnd\.jupyter\.widget-state\+json"),
}

PLANTED = {
    "a path of some machine": ["open('/home/me/x')", "File /root/x.py", "C:\\Users\\me", "in /tmp/ab12"],
    "a bearer token": ["Authorization: Bearer abcdef123456"],
    "a JSON web token": ["eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."],
    "a private key": ["-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----"],
    "basic credentials": ["Authorization: Basic dXNlcjpwYXNz", "https://me:secret@host/"],
    "a cloud key": ["AKIAIOSFODNN7EXAMPLE"],
    "a password in the code": ["password = 'hunter2hunter2'", '"api_key": "0123456789"'],
    "widget state": ['{"application/vnd.jupyter.widget-state+json": {}}'],
}

HARMLESS = [
    "http://127.0.0.1:8080/STU3/List",
    "[base]/List/744eec7d-8951-4722-ad74-dc34e86d4e1a",
    "Authorization: ***",
    "https://fhir.nhs.uk/STU3/tmp/x",
    'token = os.environ["WORKBENCH_TOKEN"]',
    'token = "env:TEST_TOKEN"',
    '{"application/vnd.jupyter.widget-view+json": {}}',
]


def strings(value: Any) -> Iterator[str]:
    """Every text in a notebook, lines joined as a reader sees them; names of members too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        if value and all(isinstance(line, str) for line in value):
            yield "".join(value)
        else:
            for item in value:
                yield from strings(item)
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from strings(item)


@each_notebook
@pytest.mark.parametrize("kind", FORBIDDEN)
def test_it_holds_nothing_it_should_not(path: Path, kind: str) -> None:
    found = [text for text in strings(read(path)) if FORBIDDEN[kind].search(text)]
    assert found == []


@each_notebook
def test_its_metadata_is_the_kernel_and_nothing_else(path: Path) -> None:
    notebook = read(path)
    assert notebook["metadata"].keys() <= {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    timed = [cell["metadata"] for cell in notebook["cells"] if "execution" in cell["metadata"]]
    assert timed == []


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PLANTED.items() for text in texts])
def test_what_is_planted_is_found(kind: str, text: str) -> None:
    assert FORBIDDEN[kind].search(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_is_not(text: str) -> None:
    assert [kind for kind, pattern in FORBIDDEN.items() if pattern.search(text)] == []


# --- the check that runs them can fail ---


def nbval(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Both samples run by nbval: per notebook and cell, ``passed`` or what was wrong."""
    report = tmp_path_factory.mktemp("nbval") / "report.xml"
    done = nbval(SAMPLES / "must_pass.ipynb", SAMPLES / "must_fail.ipynb", f"--junitxml={report}")
    assert done.returncode == 1, done.stdout + done.stderr
    results: dict[str, list[str]] = {"must_pass": [], "must_fail": []}
    for case in ElementTree.parse(report).iter("testcase"):
        wrong = [
            f"{each.tag}: {each.get('message')} {each.text}"
            for each in case
            if each.tag in ("failure", "error", "skipped")
        ]
        (name,) = (name for name in results if name in f"{case.get('classname')}{case.get('name')}")
        results[name].append("; ".join(wrong) or "passed")
    return results


def test_a_notebook_that_is_right_passes(checked: dict[str, list[str]]) -> None:
    assert checked["must_pass"] == ["passed"] * 3


def test_a_notebook_whose_output_is_wrong_fails_for_that(checked: dict[str, list[str]]) -> None:
    *before, last = checked["must_fail"]
    assert before == ["passed", "passed"]
    assert last.startswith("failure: ")
    assert "Cell outputs differ" in last
    assert "mismatch 'text/plain'" in last
    assert "'200' == '409'" in last


def test_the_two_differ_in_that_one_output() -> None:
    right, wrong = (code_cells(read(SAMPLES / f"must_{name}.ipynb")) for name in ("pass", "fail"))
    assert [source(cell) for cell in right] == [source(cell) for cell in wrong]
    assert [cell["outputs"] for cell in right[:-1]] == [cell["outputs"] for cell in wrong[:-1]]
    assert [cell[-1]["outputs"][0]["data"]["text/plain"] for cell in (right, wrong)] == [["409"], ["200"]]


def test_a_plain_run_of_the_tests_leaves_them_alone() -> None:
    done = nbval("--collect-only", "--quiet", SAMPLES)
    assert (done.returncode, "no tests collected" in done.stdout) == (5, True), done.stdout + done.stderr
