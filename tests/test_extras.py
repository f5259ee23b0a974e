"""The extras: the core works without them, and a package that is missing is named with the command that installs it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MODULES = {"python-json-logger": "pythonjsonlogger"}
"""The packages whose modules have another name."""


def modules_of(extra: str) -> set[str]:
    """The modules that an extra brings, those of the extras in it too."""
    found = set()
    for each in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if each.name == PROJECT["name"]:
            found |= {module for inner in each.extras for module in modules_of(inner)}
        else:
            found.add(MODULES.get(each.name, each.name))
    return found


def uses_of_needs() -> Iterator[tuple[str, str, str]]:
    """Each module that is imported under ``needs``: where, in which extra, and its name."""
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.With(items=[ast.withitem(ast.Call(ast.Name("needs"), [ast.Constant(str(extra))]))], body=body):
                    for statement in body:
                        yield path.name, extra, module_of(statement)


def module_of(statement: ast.stmt) -> str:
    match statement:
        case ast.Import([ast.alias(name)]) | ast.ImportFrom(str(name)):
            return name.partition(".")[0]
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("metadata"), "distribution"), [ast.Constant(str(name))])):
            return name
    raise AssertionError(f"needs() holds more than imports: {ast.unparse(statement)}")


def test_the_extra_that_is_named_brings_the_package() -> None:
    uses = list(uses_of_needs())
    assert len(uses) > 15
    assert [use for use in uses if use[2] not in modules_of(use[1])] == []


def test_the_install_page_lists_every_extra() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == PROJECT["optional-dependencies"].keys()


def test_all_holds_every_extra() -> None:
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    assert modules_of("all") == {module for extra in PROJECT["optional-dependencies"] for module in modules_of(extra)}
    assert everything.name == PROJECT["name"]


def test_every_import_is_declared() -> None:
    """What the package imports is a dependency or in an extra; nothing is there only by chance."""
    declared = {Requirement(text).name.replace("-", "_").lower() for text in PROJECT["dependencies"]}
    declared |= modules_of("all") | {"jwt", "fhir", "workbench"}  # pyjwt; fhir.resources
    brought = {"jupyter_server", "tornado"}  # by voila, which app.py extends
    imported = set()
    for path in (ROOT / "workbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    assert {"requests", "traitlets", "numpy"} <= imported
    assert imported - set(sys.stdlib_module_names) - declared - brought == set()


CORE = """
import contextlib, io, json, sys

for name in json.loads(sys.argv[1]):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError

import workbench as wb
from workbench.cli import main

spine = wb.Endpoint.in_process(clock=wb.LESSON_START, seed=1)
alice, bob = spine.client("alice"), spine.client("bob")
read = alice.read("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
stale = bob.read("List", read.logical_id)
assert alice.update(read.resource | {"title": "Reviewed"}).verdict is wb.Verdict.UPDATED
assert bob.update(stale.resource | {"title": "Mine"}).verdict is wb.Verdict.STALE
fresh = bob.read("List", read.logical_id)
assert len(wb.merge(read.resource, stale.resource | {"title": "Mine"}, fresh.resource).conflicts) == 1
assert wb.history(spine.journal).check().sound
assert "W/" in str(spine.journal.diagram())
spine.journal.save(sys.argv[2])

bench = wb.Workbench(alice)
bench.load("List", read.logical_id)
bench.send()
wb.ConflictBench()

with wb.Endpoint.start() as started:
    assert started.client("me").read("List", read.logical_id).status == 200


def sentence(call):
    try:
        call()
    except wb.WorkbenchError as error:
        assert isinstance(error, ImportError)
        return str(error)


def printed(*arguments):
    with contextlib.redirect_stderr(io.StringIO()) as err:
        assert main(arguments) == 2, arguments
    return err.getvalue()


print(json.dumps({
    "transitions": sentence(spine.journal.transitions),
    "timeline": sentence(lambda: spine.journal.timeline().svg),
    "check": sentence(lambda: wb.check(alice)),
    "race": sentence(lambda: wb.race(spine, clients=1, updates=1)),
    "keyring": sentence(wb.Reference("keyring:a/b")),
    "serve": printed("serve", "--log-format", "json"),
    "postgres": printed("serve", "--db", "postgresql://spine@127.0.0.1:1/none"),
    "cli check": printed("check", "http://127.0.0.1:1/STU3"),
    "cli race": printed("race"),
}))
"""


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the core says of each thing that it cannot do."""
    blocked = json.dumps(sorted(modules_of("all")))
    path = tmp_path_factory.mktemp("core") / "journal.jsonl"
    done = subprocess.run([sys.executable, "-c", CORE, blocked, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("what", "package", "extra"),
    [
        ("transitions", "numpy", "tables"),
        ("timeline", "matplotlib", "tables"),
        ("check", "jinja2", "check"),
        ("race", "tqdm", "races"),
        ("keyring", "keyring", "live"),
        ("serve", "pythonjsonlogger", "serve"),
        ("postgres", "psycopg", "postgres"),
        ("cli check", "jinja2", "check"),
        ("cli race", "pandas", "races"),
    ],
)
def test_what_is_missing_is_one_sentence(sentences: dict[str, str], what: str, package: str, extra: str) -> None:
    said = sentences[what].removeprefix("spine-workbench: ").strip()
    assert said == f"This needs {package}, which is not installed; run: pip install 'spine-workbench[{extra}]'."


def test_importing_the_package_and_its_commands_needs_pure_python_only() -> None:
    """So the package can be imported where nothing can be compiled, and a command starts quickly."""
    script = (
        "import sys; import workbench, workbench.cli\n"
        "ours = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(*sorted(ours))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, env=PURE, check=False)
    assert done.stderr == ""
    imported = {name for name in done.stdout.split() if not name.startswith("_")}
    # simplejson and markupsafe do without their C code.
    assert imported <= {"workbench", "lazy_loader", "simplejson", "markupsafe"}


PURE = {"PYTHONPATH": ":".join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])}
