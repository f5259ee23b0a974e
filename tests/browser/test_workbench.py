"""The workbench in a real JupyterLab at its usual size: a file browser beside it, and 833 pixels for the notebook."""

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, run_python
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser

START = "import workbench as wb\nspine = wb.Endpoint.start(clock=wb.LESSON_START, seed=4)"
OPEN = 'bench = wb.Workbench(spine.client("carol"))\nbench'
AFTER = "\n".join(f"print({number})" for number in range(60))
AGAIN = "spine.set_faults(); bench.load()"
"""Bring the bench back to what it shows when it opens."""


@pytest.fixture(scope="module")
def opened(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A notebook that goes on below the workbench, run from top to bottom."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("frame.ipynb", START, OPEN, AFTER, AFTER))
    run_all(page)
    expect(page.locator(".swb .cm-editor")).to_be_visible()
    yield page
    context.close()


@pytest.fixture
def page(opened: Page) -> Page:
    run_python(opened, AGAIN)
    expect(opened.locator(".swb-answer-head")).to_contain_text("200 OK read")
    return opened


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def add_to_title(page: Page, text: str) -> None:
    page.locator(".swb .cm-line").filter(has_text='"title"').click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(text)
    expect(page.locator(".swb-changes").first).to_contain_text(text)


def test_after_run_all_it_is_in_view_loaded_and_nothing_is_red(opened: Page) -> None:
    expect(button(opened, "Load")).to_be_in_viewport()
    expect(button(opened, "Send PUT")).to_be_in_viewport()
    expect(opened.locator(".swb .cm-line").filter(has_text='"title"')).to_be_in_viewport()
    expect(opened.locator(".swb :is(.cm-lint-marker-error, .swb-bad):visible")).to_have_count(0)
    expect(opened.locator(".swb-steps li")).to_have_text(["✓ Load", "2 Edit", "3 Send"])
    edit, request = (opened.locator(".swb-columns > .swb-card").nth(number).bounding_box() for number in (0, 1))
    assert edit is not None
    assert request is not None
    assert request["x"] >= edit["x"] + edit["width"], "two columns"


@pytest.mark.parametrize(
    "place",
    [
        'button:text-is("Load")',
        'button:text-is("Send PUT")',
        ".swb-heading",
        ".swb-message",
        ".swb-answer",
        ".swb-chip",
        ".swb-badge",
        ".widget-radio-box input",
        "[role=tab]",
        ".ag-row",
    ],
)
def test_no_key_of_the_notebook_reaches_through(page: Page, place: str) -> None:
    cells = page.locator(".jp-Notebook-cell").count()
    page.locator(".swb").locator(place).first.click()
    page.wait_for_function("() => document.querySelector('.swb').contains(document.activeElement)")
    for key in ("x", "Escape", "x", "d", "d", "b", "a", "m", "z"):
        page.keyboard.press(key)
    run_python(page, "'a round trip, after which every key was handled'")
    assert page.locator(".jp-Notebook-cell").count() == cells
    expect(page.locator(".swb .cm-editor")).to_be_visible()


def test_a_409_offers_the_remedy_where_the_focus_is(page: Page) -> None:
    add_to_title(page, ", reviewed")
    button(page, "Let a colleague change it").click()
    expect(page.locator(".swb-chip").first).to_contain_text("a newer version exists")
    button(page, "Send PUT").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".swb-answer-head")).to_contain_text("409 Conflict")
    expect(page.locator(".swb-answer")).to_contain_text("bob changed it in step")
    expect(page.get_by_role("alert")).to_contain_text("409 Conflict")
    expect(button(page, "Reload and compare")).to_be_focused()
    expect(button(page, "Reload and compare")).to_be_in_viewport()
    expect(button(page, "Send PUT")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator(".swb-decision")).to_contain_text("title")
    expect(button(page, "Send merged")).to_be_in_viewport()
    expect(page.locator(".swb-send")).to_contain_text("0 of 1 decided")
    page.locator(".swb-decision").get_by_role("button", name="mine").click()
    button(page, "Send merged").click()
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK")
    expect(button(page, "Send PUT")).to_be_focused()


def test_sending_is_visible_and_can_be_cancelled(page: Page) -> None:
    add_to_title(page, ", late")
    run_python(page, "spine.set_faults('latency:update:seconds=60')")
    button(page, "Send PUT").click()
    expect(page.locator(".swb-send")).to_contain_text("Sending…")
    expect(page.locator(".swb-seconds")).to_have_text("1 s")
    assert float(page.locator(".swb-area-answer").evaluate("(answer) => getComputedStyle(answer).opacity")) < 1
    assert kernel_value(page, "1 + 1") == 2, "other cells run meanwhile"
    button(page, "Cancel").click()
    expect(page.locator(".swb-answer-head")).to_contain_text("no answer unknown")
    expect(page.locator(".swb-answer")).to_contain_text("The request was cancelled")
    expect(button(page, "Find out")).to_be_focused()
    assert kernel_value(page, "spine.journal[-1].verdict.value") == "unknown"
    run_python(page, "spine.set_faults()")
    page.keyboard.press("Enter")
    expect(page.locator(".swb-notice").filter(has_text="landed")).to_be_visible()
    assert kernel_value(page, "[x.verdict.value for x in spine.journal][-1]") == "read"
