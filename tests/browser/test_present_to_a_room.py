"""`app --present`: the story for a room, by keys alone, readable from the last row.

With WORKBENCH_SCREENSHOTS=1 it also takes the picture of the 409.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from voilakit import ROOT, App, all_findings, open_app, running_app

pytestmark = pytest.mark.browser

PICTURE = ROOT / "docs" / "images" / "presentation.png"
CHAPTERS = (("1 The problem", 0, 4), ("2 Without the lock", 4, 3), ("3 With the lock", 4, 2), ("4 Resolving it", 6, 4))
"""Each chapter that has steps: how many are taken when it opens, and how many it adds."""

SIZES = ({"width": 1280, "height": 720}, {"width": 1920, "height": 1080})


@pytest.fixture(scope="module")
def app(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One Voilà for all tests here."""
    with running_app(tmp_path_factory.mktemp("present"), "--present") as running:
        yield running


@pytest.fixture(scope="module")
def opened(browser: Browser, app: App) -> Iterator[Page]:
    """One page for all tests here; each begins with a chapter."""
    page = open_app(browser, app, width=1280, height=720, wait_for=".swb-caption").page
    yield page
    page.context.close()


@pytest.fixture
def page(opened: Page) -> Page:
    """The first chapter, before its first step; nothing on the page has the focus."""
    opened.set_viewport_size(SIZES[0])
    chapter(opened, "1 The problem")
    expect(caption(opened)).to_have_text("Nothing has happened yet.")
    caption(opened).click()  # the focus leaves the button of the chapter
    return opened


def caption(page: Page):  # type: ignore[no-untyped-def]
    return page.locator(".swb-caption").first


def chapter(page: Page, name: str) -> None:
    button = page.get_by_role("button", name=name)
    button.click()
    expect(button).to_have_attribute("aria-current", "step")


def press(page: Page, key: str, done: int) -> None:
    """Press a key, and wait until so many steps have been taken."""
    page.keyboard.press(key)
    expect(page.locator(".swb-steps li[aria-current], .swb-steps li.swb-step-done")).to_have_count(done)


def test_the_whole_story_by_keys(page: Page) -> None:
    for key, done in (("ArrowRight", 1), ("Space", 2), ("PageDown", 3), ("ArrowRight", 4), ("ArrowLeft", 3)):
        press(page, key, done)
    press(page, "ArrowRight", 4)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Without the lock, the second update replaces the first")).to_be_visible()
    for done in (5, 6):
        press(page, "ArrowRight", done)
    expect(caption(page)).to_have_text(
        "Bob sends If-Match: v1. The server has v2. 200 OK: v3 replaces v2, which Bob has not read."
    )
    expect(page.locator(".swb-lost")).to_have_text("Needs a hearing loop lost: Alice got 200")
    press(page, "ArrowRight", 7)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="With the lock, the server rejects")).to_be_visible()
    for done in (5, 6):
        press(page, "ArrowRight", done)
    expect(caption(page)).to_have_text("Bob sends If-Match: v1. The server has v2. 409 Conflict: nothing is stored.")
    if os.environ.get("WORKBENCH_SCREENSHOTS") == "1":
        page.screenshot(path=PICTURE)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Bob reads again")).to_be_visible()
    for done in (7, 8, 9):
        press(page, "ArrowRight", done)
    expect(caption(page)).to_have_text("Bob sends If-Match: v2. The server has v2. 200 OK: v3 is stored.")
    expect(page.locator(".swb-server li")).to_have_text(
        ["Uses a wheelchair", "Needs a hearing loop", "Needs information in easy read"]
    )


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size["width"]))
def test_everything_is_in_sight_and_large(page: Page, size: dict[str, int]) -> None:
    """Each chapter at its last step fits on the screen, and its type is 24 px; only the ETags are in small print."""
    page.set_viewport_size(size)  # type: ignore[arg-type]
    for name, before, steps in CHAPTERS:
        chapter(page, name)
        for done in range(before + 1, before + steps + 1):
            press(page, "ArrowRight", done)
        assert page.evaluate("() => document.documentElement.scrollHeight") <= size["height"]
        assert page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
    small = page.evaluate(
        """() => [...document.querySelectorAll('.swb-caption, .swb-person, .swb-server, .swb-notice')]
            .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 24).map((e) => e.outerHTML)"""
    )
    assert small == []
    used = page.locator(".swb-stage").bounding_box()
    assert used is not None
    assert used["width"] > 0.93 * size["width"]


def test_it_plays_at_a_pace_and_pauses(page: Page) -> None:
    page.get_by_label("Pace").select_option("2")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".swb-step-current")).to_have_text("Bob reads")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_p_fills_the_screen(page: Page) -> None:
    page.keyboard.press("p")
    page.wait_for_function("() => document.fullscreenElement !== null")
    press(page, "ArrowRight", 1)
    page.keyboard.press("p")
    page.wait_for_function("() => document.fullscreenElement === null")
    expect(page.locator(".swb-steps")).to_be_visible()


def test_two_live_editors(page: Page) -> None:
    chapter(page, "3 With the lock")
    page.get_by_label("Alice and Bob edit live").check()
    for name in ("Alice reads", "Bob reads"):
        page.get_by_role("button", name=name).click()
    line = page.locator(".cm-editor").last.locator(".cm-line").filter(has_text='"status"')
    line.click()
    page.keyboard.press("End")
    page.keyboard.press("p")  # a letter in an editor, not a command
    expect(page.get_by_role("button", name="Bob puts")).to_be_disabled()
    page.keyboard.press("Backspace")
    page.get_by_role("button", name="Alice puts").click()
    expect(caption(page)).to_contain_text("200 OK: v2 is stored.")
    page.get_by_role("button", name="Bob puts").click()
    expect(caption(page)).to_contain_text("409 Conflict")
    page.get_by_label("Alice and Bob edit live").uncheck()


def expect_no_findings(page: Page) -> None:
    """Axe finds nothing in three states: an entry is lost, a 409, and the race."""
    for name in ("2 Without the lock", "3 With the lock"):
        chapter(page, name)
        for done in (5, 6):
            press(page, "ArrowRight", done)
        assert all_findings(page, ".swb-present") == []
    chapter(page, "5 A race")
    assert all_findings(page, ".swb-present") == []


def test_axe_finds_nothing_in_light_and_forced_colours(page: Page) -> None:
    expect_no_findings(page)
    page.emulate_media(forced_colors="active")
    expect_no_findings(page)
    page.emulate_media(forced_colors="none")


def test_axe_finds_nothing_in_dark(browser: Browser, app: App) -> None:
    page = open_app(browser, app, theme="dark", height=720, wait_for=".swb-caption").page
    expect_no_findings(page)
    page.context.close()
