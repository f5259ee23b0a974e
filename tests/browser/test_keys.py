"""No key of the notebook reaches through a bench, a table or a picker; the workbench has the same test of its own."""

from collections.abc import Iterator

import pytest
from labkit import Lab, open_notebook, run_all, run_python
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

WIDGETS = {
    "ConflictBench": "wb.ConflictBench()",
    "RaceBench": "wb.RaceBench()",
    "CheckTable": "wb.CheckTable(report)",
    "EndpointPicker": 'wb.EndpointPicker("profiles.toml")',
}
PREPARE = """
import pathlib
import workbench as wb

pathlib.Path("profiles.toml").write_text('[spine]\\nbase_url = "http://127.0.0.1:9/STU3"\\n')
with wb.Endpoint.in_process(policy="R4") as spine:
    report = wb.check(spine.client())
"""


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("keys.ipynb", PREPARE, *WIDGETS.values()))
    run_all(page)
    yield page
    context.close()


@pytest.mark.parametrize("number", range(len(WIDGETS)), ids=list(WIDGETS))
def test_no_key_of_the_notebook_reaches_through(page: Page, number: int) -> None:
    widget = page.locator(".jp-CodeCell").nth(number + 1).locator(".swb").first
    widget.scroll_into_view_if_needed()
    cells = page.locator(".jp-Notebook-cell").count()
    places = widget.locator("button:enabled:visible, select:visible, .swb-heading:visible, .ag-row:visible")
    expect(places.first).to_be_visible()
    for place in (places.first, places.last):
        place.click()
        page.wait_for_function("(widget) => widget.contains(document.activeElement)", arg=widget.element_handle())
        for key in ("x", "d", "d", "b", "a", "m", "z"):
            page.keyboard.press(key)
    run_python(page, "'a round trip, after which every key was handled'")
    assert page.locator(".jp-Notebook-cell").count() == cells
    expect(widget).to_be_visible()
