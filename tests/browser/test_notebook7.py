"""The workbench in Notebook 7, which gives each notebook a page of its own and draws widgets by Lab's renderer."""

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_in_notebook_7, run_all, running_lab
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


@pytest.fixture(scope="module")
def notebook_7(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A real Notebook 7."""
    with running_lab(tmp_path_factory.mktemp("notebook7"), "notebook") as running:
        yield running


def test_the_workbench_shows_takes_typed_text_and_sends(page: Page, notebook_7: Lab) -> None:
    path = notebook_7.write_notebook(
        "seven.ipynb",
        "import workbench as wb\nspine = wb.Endpoint.start(clock=wb.LESSON_START, seed=1)",
        f'bench = wb.Workbench(spine.client("alice"))\nbench.load("List", "{LIST}")\nbench',
    )
    open_in_notebook_7(page, notebook_7, path)
    assert page.evaluate("() => jupyterapp.name") == "Jupyter Notebook"
    run_all(page)
    expect(page.locator(".swb .cm-editor")).to_be_visible()

    expect(page.locator(".swb-chip").first).to_contain_text('version W/"25777f7d-27bc"')
    page.locator(".swb .cm-line").filter(has_text='"title"').click()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.type(", reviewed")
    expect(page.locator(".swb-changes").first).to_contain_text("Reasonable adjustments, reviewed")
    page.get_by_role("button", name="Send PUT").click()
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
    expect(page.locator(".swb-table .ag-row")).to_have_count(3)
    assert kernel_value(page, "[row.verdict for row in spine.journal.rows()][1:]") == ["read", "updated"]
