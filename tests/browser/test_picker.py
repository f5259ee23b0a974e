"""The picker in a real JupyterLab: a profile tried and opened by its buttons, and the switch that names the host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all
from playwright.sync_api import Browser, Page, expect
from voilakit import serious_findings

pytestmark = pytest.mark.browser

CELL = """
import pathlib
import workbench as wb

spine = wb.Endpoint.start(clock=wb.LESSON_START, seed=0)
live = '[live]\\nbase_url = "' + spine.base_url.replace("127.0.0.1", "localhost") + '"\\nallow_writes = true\\n'
gone = '[gone]\\nbase_url = "http://nosuch.invalid/STU3"\\n'
proxy = 'proxy = "' + spine.base_url.removesuffix("/STU3") + '"\\n'
pathlib.Path("profiles.toml").write_text(live + proxy + gone)
picker = wb.EndpointPicker("profiles.toml")
picker
"""
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A notebook with a picker of two profiles; the live one leads to an endpoint of the tests by way of a proxy."""
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("picker.ipynb", CELL))
    run_all(page)
    yield page
    context.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_it_is_tried_opened_and_written_to_only_with_the_switch(page: Page) -> None:
    picker = page.locator(".swb").first
    picker.get_by_label("Endpoint").select_option("gone")
    press(page, "Test connection")
    expect(picker).to_contain_text("Failed at: DNS.")
    picker.get_by_label("Endpoint").select_option("live")
    press(page, "Test connection")
    expect(picker).to_contain_text("It works: localhost:")
    press(page, "Open")
    expect(picker).to_contain_text("LIVE localhost:")
    expect(picker).to_contain_text("off: nothing is written")
    picker.get_by_label("Id", exact=True).fill(LIST)
    press(page, "Load")
    expect(picker).to_contain_text('W/"25777f7d-27bc"')
    press(page, "Send PUT")
    expect(picker).to_contain_text("Writing is switched off, so nothing was sent")
    page.get_by_role("button", name="Write to localhost:").click()  # its name begins with the icon's sign
    expect(picker).to_contain_text("switches off after 10 minutes")
    press(page, "Send PUT")
    expect(picker).to_contain_text("updated")
    assert kernel_value(page, "[each.status for each in picker.bench.client.journal]") == [200, 200]


def test_nothing_keeps_anybody_from_using_it(page: Page) -> None:
    assert serious_findings(page, ".swb") == []
