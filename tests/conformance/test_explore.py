"""``wb.explore``: random sequences against a model. It finds faults, shortens them, repeats by seed and cleans up."""

import ast
import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from workbench import BadInput, Client, Connection, Endpoint, Exploration, Report, explore
from workbench.cli import main
from workbench.conformance import comparison, model, rules
from workbench.conformance.explore import ALL_STEPS
from workbench.conformance.report import to_html, to_junit
from workbench.conformance.run import check
from workbench.conformance.servers import EXPLORED
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings
from workbench.errors import CannotCheck, NotInstalled
from workbench.exchange.message import Request, Response

FLAG = "Flag/3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1"


class Watched(InProcessAdapter):
    """An endpoint in process that remembers what it was asked, and may be interrupted at one of the requests."""

    def __init__(self, *, interrupted_at: int = 0, refuses: str = "") -> None:
        super().__init__(build_application(Settings(seed="1"), BASE_URL))
        self.asked: list[tuple[str, str]] = []
        self._interrupted_at = interrupted_at
        self._refuses = refuses

    def _answer(self, asked: Request, fault: Any) -> Response:
        self.asked.append((asked.method, ", ".join(name for name, _ in asked.headers.items())))
        if len(self.asked) == self._interrupted_at:
            raise KeyboardInterrupt
        if asked.method == self._refuses:
            return Response(501)
        return super()._answer(asked, fault)

    def client(self, *, allow_writes: bool = True) -> Client:
        return Client(BASE_URL, connection=Connection(adapter=self, allow_writes=allow_writes))


def lists(client: Client) -> int:
    found: int = client.search("List").resource["total"]
    return found


@pytest.fixture
def fresh() -> Iterator[Endpoint]:
    with Endpoint.in_process() as running:
        yield running


@pytest.fixture(scope="module")
def unprotected() -> Iterator[Endpoint]:
    with Endpoint.start(policy="UNPROTECTED") as running:
        yield running


@pytest.fixture(scope="module")
def found_unprotected(unprotected: Endpoint) -> Exploration:
    """What exploring an endpoint without a lock found first, and next."""
    return explore(unprotected.client(), steps=300, most=2)


# --- the faithful endpoint ---


def test_the_faithful_endpoint_agrees_with_the_model(fresh: Endpoint) -> None:
    found = explore(fresh.client(), steps=400)
    assert found.disagreements == ()
    assert (found.ok, found.steps, found.notes) == (True, 400, ())


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1])
def test_the_faithful_endpoint_agrees_for_ten_thousand_steps_in_half_a_minute(fresh: Endpoint, seed: int) -> None:
    before = time.process_time()
    found = explore(fresh.client(), seed=seed, steps=10_000)
    seconds = time.process_time() - before
    print(f"\n{found.headline} {seconds:.1f} s of one processor")
    assert found.disagreements == ()
    assert seconds < 30


@pytest.mark.soak
def test_so_it_does_on_postgresql_with_four_workers(new_database: Callable[[], str]) -> None:
    with Endpoint.start(db=new_database(), workers=4) as running:
        found = explore(running.client(), seed=2, steps=10_000)
        print(f"\n{found.headline}")
        assert found.disagreements == ()
        assert lists(running.client()) == 1


# --- determinism and bounds ---


def test_the_same_seed_sends_the_same_requests() -> None:
    def asked(seed: int) -> list[tuple[str, str]]:
        endpoint = Watched()
        explore(endpoint.client(), seed=seed, steps=130)
        return endpoint.asked

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


def test_time_is_bounded(fresh: Endpoint) -> None:
    found = explore(fresh.client(), steps=100_000, seconds=0.0)
    assert (found.steps, found.ok) == (0, False)


def test_every_step_can_be_drawn_and_the_first_is_the_simplest() -> None:
    assert ALL_STEPS[0] == ALL_STEPS[0]._replace(action="read", resource=0, client=0, condition="")


# --- cleaning up and consent ---


def test_everything_it_made_is_deleted(unprotected: Endpoint, found_unprotected: Exploration) -> None:
    assert found_unprotected.notes == ()
    assert lists(unprotected.client("looking", journal=None)) == 1


@pytest.mark.parametrize("request_number", [40, 300])
def test_ctrl_c_ends_it_and_what_it_made_is_deleted(request_number: int) -> None:
    endpoint = Watched(interrupted_at=request_number)
    found = explore(endpoint.client(), steps=1000)
    assert (found.interrupted, found.ok, found.notes) == (True, False, ())
    assert lists(endpoint.client()) == 1


def test_nothing_is_written_where_writing_was_not_allowed() -> None:
    endpoint = Watched()
    with pytest.raises(CannotCheck, match="allow_writes"):
        explore(endpoint.client(allow_writes=False))
    assert {method for method, _ in endpoint.asked} == {"GET"}


def test_a_named_resource_is_changed_only_with_consent_and_put_back() -> None:
    endpoint = Watched(refuses="POST")
    with pytest.raises(CannotCheck, match="may change"):
        explore(endpoint.client(), resource=FLAG)
    before = endpoint.client().read("Flag", FLAG.partition("/")[2]).resource
    found = explore(endpoint.client(), resource=FLAG, consent=True, steps=200)
    after = endpoint.client().read("Flag", FLAG.partition("/")[2]).resource
    assert found.disagreements == ()
    assert after | {"meta": None} == before | {"meta": None}
    assert "DELETE" not in {method for method, _ in endpoint.asked}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"steps": 0}, "1 or more"), ({"without": ["UPD-99"]}, "no rule 'UPD-99'"), ({"profile": "x"}, "no profile")],
)
def test_unusable_arguments_are_refused(fresh: Endpoint, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        explore(fresh.client(), **arguments)


def test_without_hypothesis_a_sentence_says_what_to_install(fresh: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(NotInstalled, match=r"spine-workbench\[check\]"):
        explore(fresh.client())


# --- known servers ---


def test_a_known_server_s_answers_stand_in_for_the_contract_s() -> None:
    with Endpoint.in_process(policy="R4") as running:
        assert explore(running.client(), steps=300, profile="r4").disagreements == ()
        found = explore(running.client(), steps=300, most=1)
        assert found.disagreements[0].promise in ("UPD-6", "UPD-7", "UPD-8", "DL-2")


def test_answers_to_rules_without_a_probe_name_rules() -> None:
    assert {rule for answers in EXPLORED.values() for rule in answers} <= set(rules.RULES)


def test_the_model_is_small_and_shares_nothing_with_the_endpoint() -> None:
    for module in (model, rules, comparison):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        imported = [node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        assert not [name for name in imported if name.startswith("workbench.endpoint")]
        assert len(source.splitlines()) <= 250


# --- the forms of a disagreement ---


def test_it_reads_as_http_as_a_diagram_and_as_a_sentence(found_unprotected: Exploration) -> None:
    first = found_unprotected.disagreements[0]
    assert first.as_http().startswith("POST [base]/List HTTP/1.1")
    assert len(first.diagram().text.splitlines()) == 1 + 2 * len(first.exchanges)
    assert str(first).startswith(f"{first.promise} {first.rule}, in {len(first.exchanges)} requests: expected")
    assert f"2 disagreements with the model in {found_unprotected.steps}" in str(found_unprotected)


def test_its_python_runs_and_gets_the_same_answer(found_unprotected: Exploration) -> None:
    for sequence in found_unprotected.disagreements:
        printed = io.StringIO()
        program = sequence.as_python()
        assert len(program.splitlines()) <= 10
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "pasted", "exec"), {})
        assert printed.getvalue().split()[0] == str(sequence.exchanges[-1].status)


def test_a_report_holds_it_in_every_form(found_unprotected: Exploration, fresh: Endpoint, tmp_path: Path) -> None:
    report = replace(check(fresh.client(), probes=()), exploration=found_unprotected)
    assert report.exit_code == 1
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json").exploration == found_unprotected
    page = to_html(report)
    assert page.count("<svg") == len(found_unprotected.disagreements)
    assert "import workbench as wb" in page
    (suite,) = [each for each in JUnitXml.fromstring(to_junit(report).encode()) if each.name == "exploring"]
    assert suite.failures == len(found_unprotected.disagreements)


def test_the_command_explores_after_the_probes(unprotected: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", unprotected.base_url, "--explore", "--seed", "5", "--steps", "120"]) == 1
    out = capsys.readouterr().out
    assert "120 explored steps" in out
    assert "DISAGREES" in out
    assert "seed 5" in out
