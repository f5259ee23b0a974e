"""A live bench in a real JupyterLab that saves the state of widgets: it works, and the file holds nobody's name."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, run_python, save_notebook
from playwright.sync_api import Browser, Page, expect
from privatekit import BENCH, PLANTED
from voilakit import serious_findings

pytestmark = pytest.mark.browser

STATE = "application/vnd.jupyter.widget-state+json"
_SETTING = Path("jupyterlab_settings_dir", "@jupyter-widgets", "jupyterlab-manager", "plugin.jupyterlab-settings")

SHOWN = """
import ipywidgets
from IPython.display import display
colleague.update(edited("one"))
bench = wb.Workbench(LIVE)
display(bench, ipywidgets.HTML("a name that is " + "saved"))
"""


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A notebook with a live bench, in a Lab that is set to save the state of widgets."""
    setting = lab.root.parent / _SETTING
    setting.parent.mkdir(parents=True)
    setting.write_text(json.dumps({"saveState": True}))
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("saved-state.ipynb", BENCH, SHOWN))
    run_all(page)
    yield page
    context.close()
    setting.unlink()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_it_is_used_and_saved(page: Page, lab: Lab) -> None:
    bench = page.locator(".swb").first
    press(page, "Search")
    bench.get_by_label("Found").select_option(label=f"{PLANTED} one (744eec7d-8951-4722-ad74-dc34e86d4e1a)")
    expect(bench.get_by_label("Id", exact=True)).to_have_value("744eec7d-8951-4722-ad74-dc34e86d4e1a")
    press(page, "Load")
    line = bench.locator(".cm-line").filter(has_text=f"{PLANTED} one")
    line.click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(" of mine")
    expect(bench.locator(".swb-changes").first).to_contain_text(f"{PLANTED} one of mine")
    run_python(page, "colleague.update(edited('of theirs'))")
    page.get_by_role("button", name="Write to int.spine.example").click()
    press(page, "Send PUT")
    expect(bench.locator(".swb-answer-head")).to_contain_text("409")
    press(page, "Reload and compare")
    row = bench.locator(".swb-decision").first
    expect(row.locator("ins").last).to_have_text("of theirs")
    row.get_by_role("radio", name="edit").check()
    typed = row.get_by_label("Value of")
    typed.fill(f'"{PLANTED} of both"')
    typed.press("Enter")
    expect(bench.locator(".cm-line").filter(has_text=f"{PLANTED} of both")).to_be_visible()
    press(page, "Send merged")
    expect(bench.locator(".swb-answer-head")).to_contain_text("200 OK updated")
    assert kernel_value(page, "colleague.read('List', LIST).resource['title']") == f"{PLANTED} of both"
    assert serious_findings(page, ".swb") == []

    save_notebook(page)
    saved = (lab.root / "saved-state.ipynb").read_text(encoding="utf-8")
    states = json.loads(saved)["metadata"]["widgets"][STATE]["state"]
    assert len(states) > 100
    assert "a name that is saved" in saved, "the state of widgets was saved"
    assert PLANTED not in saved


def test_unsent_text_is_kept_in_the_browser_only_if_the_user_says_so(page: Page) -> None:
    bench = page.locator(".swb").first
    kept = "() => JSON.stringify(localStorage).includes('not to be kept')"
    added = " not to be kept"
    editor = bench.locator(".cm-content").first
    editor.locator(".cm-line").filter(has_text=f"{PLANTED} of both").click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(added)
    expect(bench.locator(".swb-changes").first).to_contain_text(added)
    page.evaluate("() => window.dispatchEvent(new Event('pagehide'))")  # a draft is stored at once
    assert not page.evaluate(kept)
    bench.get_by_label("Keep my unsent text in this browser").check()
    page.wait_for_function(kept)
    bench.get_by_label("Keep my unsent text in this browser").uncheck()
    assert not page.evaluate(kept)
    editor.focus()
    while f'{PLANTED} of both"' not in editor.inner_text():
        page.keyboard.press("Control+z")


def test_a_page_that_opens_later_shows_it_too(page: Page, lab: Lab) -> None:
    page.reload()
    page.wait_for_function("() => window.jupyterapp !== undefined")
    bench = page.locator(".swb").first
    expect(bench.locator(".cm-line").filter(has_text=f"{PLANTED} of both")).to_be_visible()
    expect(bench.locator(".swb-answer-head")).to_contain_text("200 OK")
    expect(bench.get_by_label("Id", exact=True)).to_have_value("744eec7d-8951-4722-ad74-dc34e86d4e1a")
    assert PLANTED not in (lab.root / "saved-state.ipynb").read_text(encoding="utf-8")
