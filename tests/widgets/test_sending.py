"""What the buttons send from another thread: it can be cancelled, and the kernel is free meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from silent import Silent, silent

from workbench import Client, Endpoint, Verdict, Workbench

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


@pytest.fixture
def server(spine: Endpoint) -> Iterator[Silent]:
    with silent(spine) as serving:
        yield serving


@pytest.fixture
def bench(server: Silent) -> Iterator[Workbench]:
    opened = Workbench(Client(server.base_url, name="carol"), "List", LIST)
    opened.load()
    opened.editor.value = json.dumps(json.loads(opened.editor.value) | {"title": "Mine"})
    yield opened
    opened.close()


def shown(widget: object) -> bool:
    return widget.layout.display != "none"  # type: ignore[attr-defined]


def test_a_cancelled_update_is_unknown_and_the_next_request_is_sent(bench: Workbench, server: Silent) -> None:
    async def press_send_and_cancel() -> None:
        bench.send_button.click()
        await asyncio.to_thread(server.wait_for, 1)
        assert "Sending" in bench._line.value
        assert shown(bench.cancel_button)
        assert not shown(bench.send_button)
        assert bench.load_button.disabled

        bench.editor.value = bench.editor.value.replace("Mine", "Mine, and more", 1)
        assert "Sending" in bench._line.value, "typing does not hide it"
        assert bench.load() is None
        assert "A request is under way" in bench._notice.value

        sending = bench._task
        assert sending is not None
        bench.cancel_button.click()
        await sending

    asyncio.run(press_send_and_cancel())
    put = bench.client.journal[-1]
    assert (put.interaction, put.verdict) == ("update", Verdict.UNKNOWN)
    assert "The request was cancelled before an answer came." in bench._answer.value
    assert shown(bench.find_out_button)
    assert shown(bench.send_button)
    assert "Mine, and more" in bench.editor.value
    found = bench.find_out()
    assert found is not None
    assert found.read is not None
    assert found.read.status == 200
    assert bench.load() is not None


def test_a_kept_text_is_put_back_with_the_version_that_it_began_with(bench: Workbench, spine: Endpoint) -> None:
    """So an update that came meanwhile is not overwritten."""
    base, etag, mine = bench.draft.text, bench.draft.etag, bench.editor.value
    bob = spine.client("bob")
    bob.update(bob.read("List", LIST).resource | {"status": "retired"}).raise_for_verdict()
    bench.load()
    message = {"kind": "restore", "text": mine, "base": base, "etag": etag}
    bench.frame._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
    assert bench.editor.value == mine
    assert bench.draft.etag == etag
    assert "a newer version exists" in bench._chip.value
    merge = bench.compare()
    assert merge is not None
    assert (merge.draft()["title"], merge.draft()["status"]) == ("Mine", "retired")
