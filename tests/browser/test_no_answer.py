"""An update without an answer, resolved in a real JupyterLab, by keyboard and in both themes."""

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, run_python, set_theme
from playwright.sync_api import Browser, Page, expect
from voilakit import serious_findings

pytestmark = pytest.mark.browser

CELL = """
import workbench as wb

if "spine" in globals():
    spine.stop()
spine = wb.Endpoint.start(clock=wb.LESSON_START, seed=6)
alice = spine.client("alice")
wb.Workbench(alice, "List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
"""


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Lab) -> Iterator[Page]:
    """One notebook for all tests here."""
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("no-answer.ipynb", CELL))
    yield page
    context.close()


def send_unanswered(page: Page, fault: str) -> None:
    """Open it loaded, change the title, send; no answer comes."""
    page.evaluate("() => localStorage.clear()")  # or the text of the test before is put back
    run_all(page)
    expect(page.locator(".swb .cm-editor")).to_be_visible()
    line = page.locator(".swb .cm-line").filter(has_text='"title"')
    line.click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(", reviewed")
    expect(page.locator(".swb-changes").first).to_contain_text("Reasonable adjustments, reviewed")
    run_python(page, f"spine.set_faults('{fault}:update:times=1')")
    page.get_by_role("button", name="Send PUT").click()
    expect(page.locator(".swb-notice").filter(has_text="Your update got no answer")).to_be_visible()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_had_landed(notebook: Page, theme: str) -> None:
    set_theme(notebook, theme)
    send_unanswered(notebook, "drop-answer")
    find_out = notebook.get_by_role("button", name="Find out")
    assert serious_findings(notebook, ".swb") == []
    find_out.focus()
    notebook.keyboard.press("Enter")
    expect(notebook.locator(".swb-notice").filter(has_text="Landed: version")).to_be_visible()
    expect(find_out).to_be_hidden()
    expect(notebook.get_by_text("Nothing has been changed since loading.")).to_be_visible()
    assert serious_findings(notebook, ".swb") == []
    assert kernel_value(notebook, "[x.request.method for x in spine.journal]") == ["GET", "PUT", "GET"]


def test_it_had_not_and_is_sent_again(notebook: Page) -> None:
    send_unanswered(notebook, "drop-request")
    notebook.get_by_role("button", name="Find out").click()
    expect(notebook.locator(".swb-notice").filter(has_text="Not landed so far: version")).to_be_visible()
    expect(notebook.locator(".swb .cm-line").filter(has_text=", reviewed")).to_be_visible()
    notebook.get_by_role("button", name="Send PUT").click()
    expect(notebook.locator(".swb-answer-head")).to_contain_text("200 OK updated")
    expect(notebook.get_by_role("button", name="Find out")).to_be_hidden()
