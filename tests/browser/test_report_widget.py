"""The report as a widget in a real JupyterLab: filtered, clicked, looked at in both themes and narrow."""

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, set_theme
from playwright.sync_api import Browser, Locator, Page, expect
from voilakit import serious_findings

pytestmark = pytest.mark.browser

CELL = """
import workbench as wb

with wb.Endpoint.in_process(policy="R4") as spine:
    report = wb.check(spine.client())
table = wb.CheckTable(report)
table
"""


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("check.ipynb", CELL))
    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    run_all(page)
    expect(row(page, "stale-previous")).to_be_visible()
    yield page
    context.close()


def row(page: Page, probe: str) -> Locator:
    return page.locator(".swb .ag-row").filter(has=page.get_by_text(probe, exact=True))


def evidence(page: Page) -> Locator:
    return page.locator(".swb .swb-card")


def test_it_begins_at_the_top_with_the_first_that_deviates(page: Page) -> None:
    expect(row(page, "update-date")).to_be_in_viewport()
    expect(evidence(page)).to_contain_text("stale-previous")


def test_a_click_shows_the_evidence(page: Page) -> None:
    row(page, "stale-made-up").click()
    expect(evidence(page)).to_contain_text("A version that never existed.")
    put = evidence(page).locator("summary").filter(has_text="412 Precondition Failed")
    put.click()
    expect(evidence(page).locator("details[open] .swb-message").first).to_contain_text('If-Match: W/"00000000-0000"')
    expect(evidence(page).locator("details[open] .swb-message").last).to_contain_text("OperationOutcome")
    assert kernel_value(page, "table.chosen.probe") == "stale-made-up"


def test_the_filter_and_the_choice(page: Page) -> None:
    filter_box = page.locator(".swb").get_by_label("Filter")
    filter_box.fill("UPD-7")
    expect(page.locator(".swb .ag-row")).to_have_count(2)
    filter_box.fill("")
    page.locator(".swb").get_by_label("Show").select_option("what was not tested")
    expect(row(page, "trace-id-demanded")).to_be_visible()
    expect(page.locator(".swb .ag-row")).to_have_count(5)
    page.locator(".swb").get_by_label("Show").select_option("everything")
    expect(row(page, "update-date")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_can_be_read(page: Page, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1100})
    set_theme(page, theme)
    row(page, "stale-previous").click()
    expect(evidence(page)).to_contain_text("The version before the last update")
    too_wide = "e => [...e.querySelectorAll('*')].filter(x => x.getBoundingClientRect().right > innerWidth).length"
    assert evidence(page).evaluate(too_wide) == 0
    assert serious_findings(page, ".swb") == []
