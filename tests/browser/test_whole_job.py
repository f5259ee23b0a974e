"""The whole job as a person does it, in a real JupyterLab: open 00, run it, load, edit, send, be too late.

With WORKBENCH_SCREENSHOTS=1 it also takes the picture that opens the README.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, set_theme
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "workbench.png"
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
ROWS = (
    "[(row.client, row.interaction, row.status, row.verdict) for row in spine.journal.rows() if row.client == 'carol']"
)


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """Notebook 00, run from top to bottom, with the workbench in view."""
    context = browser.new_context(viewport={"width": 1280, "height": 1180})
    page = context.new_page()
    open_notebook(page, lab, lab.add_notebook(ROOT / "notebooks" / "00-start-here.ipynb"))
    run_all(page)
    expect(page.locator(".swb .cm-editor")).to_be_visible()
    yield page
    context.close()


def answer(page: Page, status: str) -> None:
    expect(page.locator(".swb-answer-head")).to_contain_text(status)


def take_picture(page: Page) -> None:
    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    page.set_viewport_size({"width": 1280, "height": 1400})
    page.locator(".swb").evaluate("(widget) => widget.scrollIntoView()")
    page.locator(".swb").screenshot(path=PICTURE)


def test_the_whole_job(page: Page) -> None:
    expect(page.locator(".swb-chip").first).to_contain_text('version W/"25777f7d-27bc"')
    line = page.locator(".swb .cm-line").filter(has_text='"title"')
    expect(line).to_contain_text("Reasonable adjustments")

    line.click()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type(", reviewed")
    expect(page.locator(".swb-changes").first).to_contain_text("Reasonable adjustments, reviewed")

    page.get_by_role("button", name="Send PUT").click()
    answer(page, "200 OK updated")
    expect(page.locator(".swb-answer-head")).to_contain_text("updated")
    expect(page.locator(".swb-chip").first).not_to_contain_text("25777f7d-27bc")

    page.get_by_label("an older version").check()
    expect(page.locator(".swb-message").first).to_contain_text('If-Match: W/"25777f7d-27bc"')
    page.get_by_role("button", name="Send PUT").click()
    answer(page, "409 Conflict")
    expect(page.locator(".swb-answer")).to_contain_text("RESOURCE_VERSION_MISMATCH")

    expect(page.locator(".swb-table .ag-row")).to_have_count(6)
    expect(page.locator('.swb-table .ag-row[row-index="4"]')).to_contain_text("200")
    expect(page.locator('.swb-table .ag-row[row-index="5"]')).to_contain_text("409")
    assert kernel_value(page, ROWS) == [
        ["carol", "read", 200, "read"],
        ["carol", "update", 200, "updated"],
        ["carol", "update", 409, "stale"],
    ]
    if os.environ.get("WORKBENCH_SCREENSHOTS") == "1":
        take_picture(page)


def test_text_that_is_no_json_cannot_be_sent_and_says_where(page: Page) -> None:
    page.locator(".swb .cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" x")
    expect(page.get_by_role("button", name="Send PUT")).to_be_disabled()
    expect(page.locator(".swb .cm-lintRange-error, .swb .cm-lint-marker-error").first).to_be_visible()
    expect(page.locator(".swb-notice").filter(has_text="cannot be sent")).to_contain_text("line 37, column 3")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("button", name="Send PUT")).to_be_enabled()


def test_loading_over_unsent_changes_asks_first(page: Page) -> None:
    page.locator(".swb .cm-line").filter(has_text='"title"').click()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type(", twice")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.locator(".swb-notice").filter(has_text="The editor has changes that were not sent")).to_be_visible()
    page.get_by_role("button", name="Keep editing").click()
    assert "twice" in kernel_value(page, "bench.editor.value")
    page.get_by_role("button", name="Load", exact=True).click()
    page.get_by_role("button", name="Load and discard my changes").click()
    expect(page.locator(".swb .cm-line").filter(has_text='"title"')).not_to_contain_text("twice")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_is_wider_than_the_page(page: Page, theme: str, width: int) -> None:
    set_theme(page, theme)
    page.set_viewport_size({"width": width, "height": 900})
    # Lab lays the page out again some time after the window has changed.
    fits = "(width) => document.querySelector('.swb').getBoundingClientRect().right <= width"
    page.wait_for_function(fits, arg=width)
    box = page.locator(".swb").bounding_box()
    assert box is not None
    for card in page.locator(".swb-card:visible").all():
        inside = card.bounding_box()
        assert inside is not None
        assert inside["x"] + inside["width"] <= box["x"] + box["width"] + 1
        assert card.evaluate("(card) => card.scrollWidth - card.clientWidth") <= 1
