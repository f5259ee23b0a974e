"""What FHIR servers that nobody here wrote answer to the package's own client.

Each table of ``dialects.py`` is found again, whole, and the verdicts with it: they come from what was sent and what
came back, never from the server's name. ``docs/other-servers.md`` is held to the same tables.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dialects import DIALECTS, SPINE
from serverkit import ServerNamed
from situations import SITUATIONS, answer_to, carried, race

from workbench import Client, Endpoint

PAGE = (Path(__file__).parents[2] / "docs" / "other-servers.md").read_text(encoding="utf-8")

every_server = pytest.mark.parametrize("name", DIALECTS)


@pytest.fixture
def client(name: str, server_named: ServerNamed) -> Iterator[Client]:
    """A client of the server of this name."""
    asking = Client(server_named(name).base_url, name="asking")
    yield asking
    asking.close()


@every_server
def test_it_introduces_itself(name: str, server_named: ServerNamed) -> None:
    assert server_named(name).introduces_itself_as == DIALECTS[name].software


@every_server
def test_what_it_answers(name: str, client: Client) -> None:
    assert {situation: answer_to(situation, client) for situation in SITUATIONS} == DIALECTS[name].answers


def test_what_the_embedded_endpoint_answers_to_the_same(spine: Endpoint) -> None:
    client = spine.client("asking")
    assert {situation: answer_to(situation, client) for situation in SITUATIONS} == SPINE


@every_server
def test_what_an_accepted_update_carries(name: str, client: Client) -> None:
    assert carried(client) == DIALECTS[name].carries


@every_server
def test_of_eight_who_send_the_same_version_at_once(name: str, server_named: ServerNamed) -> None:
    assert race(server_named(name).base_url) == DIALECTS[name].race


def test_the_pages_columns_are_the_servers() -> None:
    assert f"| what is sent | the embedded endpoint | {' | '.join(DIALECTS)} |" in PAGE.splitlines()


@pytest.mark.parametrize("name", DIALECTS)
def test_the_page_names_the_server_and_its_version(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    if name != "helios-strict":  # "the same" as helios
        assert all(part.removesuffix(" Server") in row for part in DIALECTS[name].software)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_page_says_the_same(situation: str) -> None:
    cells = [str(table[situation]) for table in (SPINE, *(dialect.answers for dialect in DIALECTS.values()))]
    assert f"| {situation} | {' | '.join(cells)} |" in PAGE.splitlines()
