"""The bench where the journal does not keep what came: it edits and sends the resource, and keeps placeholders."""

from __future__ import annotations

from pathlib import Path

from workbench import Client, Connection, Endpoint, Workbench, record

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
NUMBER = "9990000018"


def test_it_edits_what_came_and_keeps_what_is_redacted(spine_in_process: Endpoint) -> None:
    adapter = spine_in_process.client().connection.adapter
    client = Client("https://int.spine.example/STU3", connection=Connection(adapter=adapter, allow_writes=True))
    bench = Workbench(client)
    bench.writes.switch.value = True
    bench.load("List", LIST)
    assert NUMBER in bench.editor.value
    bench.editor.value = bench.editor.value.replace('"Reasonable adjustments"', '"Reviewed"', 1)
    sent = bench.send()
    assert sent is not None
    assert sent.status == 200
    after = spine_in_process.client().read("List", LIST).resource
    assert (after["title"], after["subject"]["identifier"]["value"]) == ("Reviewed", NUMBER)
    assert not [each for each in client.journal if NUMBER in each.as_http()]

    bench._choose_row(1)
    bench.messages.again_button.click()
    assert "holds placeholders for personal data" in bench._notice.value
    assert len(client.journal) == 2, "a placeholder is never sent"
    bench.close()


def test_it_works_in_a_recorded_session(spine_in_process: Endpoint, tmp_path: Path) -> None:
    def told(mode: str) -> list[object]:
        session = record(tmp_path / "bench.json", spine_in_process, mode=mode, redact=True)
        bench = Workbench(session.client("alice"))
        bench.load("List", LIST)
        bench.editor.value = bench.editor.value.replace('"Reasonable adjustments"', '"Reviewed"', 1)
        bench.send()
        text = bench.editor.value
        bench.close()
        return [text, session.journal.transitions().to_csv(), repr(session.end())]

    recorded = told("record")
    assert "redacted-1" in str(recorded[0])
    assert told("replay") == recorded
