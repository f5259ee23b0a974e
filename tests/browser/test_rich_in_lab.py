"""What a notebook shows for each kind of result in a real JupyterLab: readable, escaped, and right in dark too."""

from collections.abc import Iterator

import pytest
from labkit import Lab, open_notebook, run_all, set_theme
from playwright.sync_api import Browser, Page, expect
from voilakit import all_findings

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"

SETUP = f"""
import workbench as wb

HOSTILE = {HOSTILE!r}
spine = wb.Endpoint.start(policy="UNPROTECTED", clock=wb.LESSON_START)
play = wb.play("alice reads, bob reads, alice puts, bob puts", spine)
alice = spine.client("alice")
base = alice.read(*play.target).resource
put = alice.update(base | {{"title": HOSTILE}})
"""

CELLS = ("play", "spine.journal", "spine.journal[-1]", "play.proof", 'wb.merge(base, base | {"title": HOSTILE}, base)')


@pytest.fixture(scope="module")
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """One notebook that has been run."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("rich.ipynb", SETUP, *CELLS))
    run_all(page)
    expect(page.locator(".jp-RenderedHTML")).to_have_count(len(CELLS))
    yield page
    context.close()


def test_each_result_says_what_happened(page: Page) -> None:
    shown = page.locator(".jp-RenderedHTML")
    expect(shown.nth(0)).to_contain_text("Alice's update was accepted and then overwritten.")
    expect(shown.nth(1)).to_contain_text("Journal of ")
    expect(shown.nth(2)).to_contain_text("200 OK updated")
    expect(shown.nth(3)).to_contain_text("Inconsistent: ")
    expect(shown.nth(4)).to_contain_text("1 decision, 0 open conflicts")


def test_a_text_from_outside_is_text(page: Page) -> None:
    page.get_by_text("Request and response").click()
    expect(page.locator(".jp-RenderedHTML").nth(2)).to_contain_text("window.pwned=1")
    expect(page.locator(".jp-RenderedHTML").nth(4)).to_contain_text("<script>window.pwned=1</script>")
    expect(page.locator(".jp-RenderedHTML :is(script, img)")).to_have_count(0)
    assert page.evaluate("() => window.pwned") is None


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_axe_finds_nothing(page: Page, theme: str) -> None:
    set_theme(page, theme)
    assert all_findings(page, ".jp-RenderedHTML") == []
