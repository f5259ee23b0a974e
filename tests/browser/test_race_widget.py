"""The race bench in a real JupyterLab: a race run by its buttons, watched, stopped, and judged."""

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, set_theme
from playwright.sync_api import Browser, Page, expect
from voilakit import all_findings

pytestmark = pytest.mark.browser

BENCH_CELL = """
import workbench as wb

bench = wb.RaceBench()
bench.clients.value, bench.updates.value = 3, 4
bench
"""


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Lab) -> Iterator[Page]:
    """One notebook for all tests here."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("race.ipynb", BENCH_CELL))
    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    yield page
    context.close()


@pytest.fixture
def page(notebook: Page) -> Page:
    """The notebook with a bench in which nothing has been run yet."""
    run_all(notebook)
    expect(notebook.locator(".swb")).to_contain_text("No race has been run yet")
    return notebook


def press(page: Page, name: str) -> None:
    page.locator(".swb").get_by_role("button", name=name).click()


def test_a_race_by_its_buttons(page: Page) -> None:
    press(page, "Start")
    bench = page.locator(".swb")
    expect(bench).to_contain_text("12 of 12 updates ended", timeout=60_000)
    expect(bench.locator(".swb-notice:visible")).to_have_text(
        "Nothing was lost: the List has every one of the 12 accepted updates."
    )
    expect(bench.get_by_text("The proof. Consistent")).to_be_hidden()
    bench.get_by_text("Details and proof").click()
    expect(bench.get_by_text("The proof. Consistent")).to_be_visible()
    expect(bench.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "12")
    expect(bench.locator(".swb-picture svg")).to_be_visible()
    assert kernel_value(page, "bench.race.survivors == bench.race.accepted")


def test_by_keyboard_alone_and_stopped(page: Page) -> None:
    bench = page.locator(".swb")
    updates = bench.get_by_label("Updates of each")
    updates.fill("1000")
    updates.press("Tab")
    page.keyboard.press("Tab")  # past the thinking
    expect(bench.get_by_label("When stale")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(bench.get_by_role("button", name="Start")).to_be_focused()
    page.keyboard.press("Enter")
    stop = bench.get_by_role("button", name="Stop")
    expect(stop).to_be_enabled()
    stop.focus()
    page.keyboard.press("Enter")
    expect(bench.get_by_text("The race was stopped early")).to_have_count(1, timeout=60_000)
    expect(bench.get_by_role("button", name="Start")).to_be_enabled()
    assert kernel_value(page, "bench.race.proof.sound")


def test_both_side_by_side_and_the_lost_ones_in_red(page: Page) -> None:
    bench = page.locator(".swb")
    bench.get_by_label("An edit takes (ms)").fill("20")
    press(page, "Race both")
    expect(bench.locator(".swb-notice:visible")).to_have_count(2, timeout=60_000)
    locked, unlocked = bench.locator(".swb-card").all()
    expect(locked).to_contain_text("Nothing was lost")
    expect(unlocked).to_contain_text("got 200 and were then overwritten")
    left, right = locked.bounding_box(), unlocked.bounding_box()
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"], "they are side by side"
    # Each update of a card replaces its elements, so the colour is read until it is that of an element on the page.
    expect(unlocked.locator(".swb-count-lost")).to_have_css("background-color", "rgb(176, 0, 32)")
    expect(locked.locator(".swb-count-lost")).not_to_have_css("background-color", "rgb(176, 0, 32)")


def test_a_number_out_of_range_is_refused_and_stays(page: Page) -> None:
    bench = page.locator(".swb")
    bench.get_by_label("Clients").fill("1000")
    bench.get_by_label("Clients").press("Tab")
    expect(bench.locator(".swb-notice:visible")).to_have_text("Clients: 1,000 is out of range. Give 1 to 64.")
    press(page, "Start")
    expect(bench).to_contain_text("No race has been run yet")
    expect(bench.get_by_label("Clients")).to_have_value("1000")


@pytest.mark.parametrize("width", [1280, 800])
@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_nothing_keeps_anybody_out_and_nothing_lies_over_anything(page: Page, theme: str, width: int) -> None:
    set_theme(page, theme)
    page.set_viewport_size({"width": width, "height": 1000})
    assert all_findings(page, ".swb") == []
    press(page, "Start")
    expect(page.get_by_text("Details and proof")).to_be_visible(timeout=60_000)
    assert all_findings(page, ".swb") == []
    for cell in page.locator(".swb-counts > div").all():
        name, count = cell.locator("dt").bounding_box(), cell.locator("dd").bounding_box()
        assert name is not None
        assert count is not None
        assert name["y"] + name["height"] <= count["y"] + 1
