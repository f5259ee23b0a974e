"""The application: what somebody sees who has no notebook, only the address that `spine-workbench app` printed.

With WORKBENCH_SCREENSHOTS=1 it also takes the pictures of the conflict bench.
"""

import os
import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from voilakit import OPEN_DEADLINE, ROOT, App, Opened, open_app, running_app, serious_findings

from workbench import Client

pytestmark = pytest.mark.browser

IMAGES = ROOT / "docs" / "images"
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
STORY = ("Alice reads", "Bob reads", "Alice edits", "Bob edits", "Alice puts", "Bob puts")
HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'></div>"

PLAYED = 30_000.0
"""Milliseconds for a schedule of nine steps at the pace that people can follow."""


@pytest.fixture(scope="module")
def app(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One Voilà for all tests here; each page has a kernel and an endpoint of its own."""
    with running_app(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture(scope="module")
def opened(browser: Browser, app: App) -> Iterator[Opened]:
    """The application in a page, for all tests that can begin where another has ended."""
    opened = open_app(browser, app)
    yield opened
    opened.page.context.close()


@pytest.fixture
def page(opened: Opened) -> Page:
    return opened.page


@pytest.fixture
def bench(page: Page) -> Page:
    """The conflict bench, at the beginning of the story."""
    page.get_by_role("tab", name="Alice and Bob").click()
    restart(page)
    return page


@pytest.fixture
def workbench(page: Page) -> Page:
    """The workbench, with the List as it is now."""
    page.get_by_role("tab", name="Workbench").click()
    load(page)
    return page


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def restart(page: Page) -> None:
    press(page, "Restart")
    expect(page.locator(".swb-notice").filter(has_text="Nothing has been sent yet.")).to_have_count(2)
    expect(page.get_by_text("has not read the List")).to_have_count(4)


def stage(page: Page, title: str) -> Locator:
    return page.locator(".swb-card").filter(has_text=title)


def with_lock(page: Page) -> Locator:
    return stage(page, "With the lock")


def without_lock(page: Page) -> Locator:
    return stage(page, "Without a lock")


def expect_end_of_story(page: Page) -> None:
    expect(with_lock(page)).to_contain_text("409 Conflict", timeout=PLAYED)
    expect(with_lock(page)).to_contain_text("nothing was lost")
    expect(without_lock(page).locator(".swb-chip")).to_have_text(["200 OK", "200 OK"])
    expect(without_lock(page).locator(".swb-lost")).to_have_text("Needs a hearing loop lost: Alice got 200")
    expect(without_lock(page)).to_contain_text("Alice's entry is lost.")


def load(page: Page) -> None:
    grid = page.get_by_role("grid", name="Transitions", include_hidden=True)
    rows = int(grid.get_attribute("aria-rowcount") or 0)
    page.get_by_role("button", name="Load", exact=True).click()
    discard = page.get_by_role("button", name="Load and discard my changes")
    if discard.is_visible():
        discard.click()
    expect(grid).to_have_attribute("aria-rowcount", str(rows + 1))
    expect(page.locator(".swb-area-editor .cm-content")).to_have_attribute("aria-readonly", "false")
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK")
    expect(page.locator(".swb .cm-line").filter(has_text='"title"')).to_be_visible()


def add_to_title(page: Page, text: str) -> None:
    """Type it before the closing quotation mark and the comma."""
    page.locator(".swb .cm-line").filter(has_text='"title"').click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(text)
    expect(page.locator(".swb-changes").first).to_contain_text(text)
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def another_client(page: Page) -> Client:
    """A client of the endpoint that this page's kernel has started; its address stands in the request."""
    request = page.locator(".swb-message").first
    expect(request).to_contain_text("Host: ")
    host = re.search(r"Host: (\S+)", request.inner_text())
    assert host is not None
    return Client(f"http://{host[1]}/STU3", name="bob")


def change_meanwhile(page: Page, title: str) -> None:
    """What a colleague does between our reading and our sending."""
    bob = another_client(page)
    draft = bob.read("List", LIST).resource
    draft["title"] = title
    assert bob.update(draft).status == 200


def conflict(page: Page, theirs: str) -> None:
    """Load, edit, be overtaken, send: a 409."""
    load(page)
    add_to_title(page, ", reviewed")
    change_meanwhile(page, theirs)
    press(page, "Send PUT")
    expect(page.locator(".swb-answer-head")).to_contain_text("409 Conflict")


def take_picture(page: Page, name: str) -> None:
    """The bench and a little of the page around it."""
    if os.environ.get("WORKBENCH_SCREENSHOTS") == "1":
        page.evaluate("() => document.activeElement.blur()")
        page.mouse.move(0, 0)  # no button looks pointed at
        box = page.locator(".swb:visible").bounding_box()
        assert box is not None
        around = {
            "x": box["x"] - 10, "y": box["y"] - 4, "width": box["width"] + 20, "height": box["height"] + 14
        }  # fmt: skip
        page.screenshot(path=IMAGES / name, clip=around)  # type: ignore[arg-type]


class TestPage:
    def test_it_has_a_title_and_no_code(self, page: Page) -> None:
        expect(page).to_have_title("spine-workbench")
        expect(page.get_by_role("tablist").first.get_by_role("tab")).to_have_text(
            ["Workbench", "Alice and Bob", "A race"]
        )
        expect(page.locator(".jp-InputArea, .jp-Cell-inputWrapper, .highlight")).to_have_count(0)
        assert "import" not in page.locator("body").inner_text()

    def test_its_icons_are_its_own(self, bench: Page) -> None:
        for name in ("Play", "Stop", "Restart"):
            icon = bench.get_by_role("button", name=name).locator("i")
            assert icon.evaluate("(i) => getComputedStyle(i, '::before').content") not in ("none", "normal", '""')
        assert bench.evaluate("() => document.fonts.check('900 14px \"Font Awesome 5 Free\"')")

    @pytest.mark.parametrize("tab", ["Workbench", "Alice and Bob", "A race"])
    @pytest.mark.parametrize("width", [1280, 800])
    def test_nothing_is_wider_than_the_page(self, page: Page, tab: str, width: int) -> None:
        page.get_by_role("tab", name=tab).click()
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        for card in page.locator(".swb-card:visible").all():
            assert card.evaluate("(card) => card.scrollWidth - card.clientWidth") <= 1
        page.set_viewport_size({"width": 1280, "height": 900})

    def test_another_host_name_is_refused(self, page: Page, app: App) -> None:
        answer = page.request.get(app.url, headers={"Host": f"rebound.example:{urlsplit(app.url).port}"})
        assert answer.status == 403
        assert "https:" not in answer.text(), "nor does the page that says so name anybody else"

    def test_an_unknown_address_asks_nobody_else_either(self, browser: Browser, app: App) -> None:
        context = browser.new_context()
        lost = Opened(context.new_page())
        context.on("request", lambda request: lost.asked.append(request.url))
        lost.page.goto(f"{app.url}nothing")
        expect(lost.page.locator("body")).to_contain_text("403")
        assert lost.strangers(app) == []
        context.close()


class TestStory:
    def test_by_clicking(self, bench: Page) -> None:
        for step in STORY:
            press(bench, step)
        expect_end_of_story(bench)

    def test_restart_begins_again(self, bench: Page) -> None:
        press(bench, "Alice reads")
        press(bench, "Alice puts")
        expect(with_lock(bench)).to_contain_text("200 OK")
        restart(bench)
        for name in ("Alice edits", "Alice puts", "Bob edits", "Bob puts"):
            expect(bench.get_by_role("button", name=name)).to_be_disabled()
        expect(with_lock(bench)).not_to_contain_text("Needs a hearing loop")

    def test_play_plays_it_to_its_end(self, bench: Page) -> None:
        press(bench, "Play")
        expect(bench.get_by_role("button", name="Stop")).to_be_enabled()
        expect(bench.get_by_role("button", name="Bob puts")).to_be_disabled()
        expect(with_lock(bench)).to_contain_text("both entries are there", timeout=PLAYED)
        expect(without_lock(bench)).to_contain_text("Alice's entry is lost.")
        expect(bench.get_by_role("button", name="Play")).to_be_enabled()
        expect(bench.get_by_role("button", name="Stop")).to_be_disabled()

    def test_stop_stops_it_and_keeps_what_has_happened(self, bench: Page) -> None:
        press(bench, "Play")
        expect(with_lock(bench)).to_contain_text("Bob has")
        press(bench, "Stop")
        expect(bench.get_by_role("button", name="Play")).to_be_enabled()
        expect(with_lock(bench)).to_contain_text("Nothing has been sent yet.")
        expect(with_lock(bench).locator(".swb-person").first).to_contain_text("has v1")
        press(bench, "Alice puts")
        expect(with_lock(bench)).to_contain_text("200 OK: v2 is stored")

    def test_a_409_resolved_by_reading_again(self, bench: Page) -> None:
        for step in (*STORY, "Bob reads", "Bob edits", "Bob puts"):
            press(bench, step)
        expect(with_lock(bench)).to_contain_text("both entries are there")
        stored = with_lock(bench).locator(".swb-entries").last.locator("li")
        expect(stored).to_have_text(["Uses a wheelchair", "Needs a hearing loop", "Needs information in easy read"])

    def test_by_keyboard_alone(self, bench: Page) -> None:
        bench.get_by_role("tab", name="Workbench").click()
        reach(bench, bench.get_by_role("tab", name="Workbench"))
        bench.keyboard.press("ArrowRight")
        bench.keyboard.press("Enter")
        for step, key in zip(STORY, ("Enter", "Space") * 3, strict=True):
            reach(bench, bench.get_by_role("button", name=step))
            bench.keyboard.press(key)
        expect_end_of_story(bench)


def reach(page: Page, control: Locator) -> None:
    """Press Tab until the control has the focus."""
    expect(control).to_be_enabled()
    for _ in range(40):
        if control.evaluate("(control) => control === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{control} cannot be reached with the Tab key")


class TestWorkbench:
    def test_load_edit_send(self, workbench: Page) -> None:
        add_to_title(workbench, ", reviewed")
        press(workbench, "Send PUT")
        expect(workbench.locator(".swb-answer-head")).to_contain_text("200 OK updated")
        expect(workbench.locator(".swb-changes")).to_have_count(0)
        expect(workbench.locator(".swb-table .ag-row").last).to_contain_text("updated")

    def test_somebody_else_was_quicker(self, workbench: Page) -> None:
        conflict(workbench, "Adjustments, as Bob sees them")
        press(workbench, "Reload and compare")
        row = workbench.locator(".swb-decision").filter(has_text="title")
        expect(row).to_contain_text("Adjustments, as Bob sees them")
        expect(workbench.get_by_role("button", name="Send merged")).to_be_disabled()
        row.get_by_role("radio", name="theirs").check()
        press(workbench, "Send merged")
        expect(workbench.locator(".swb-answer-head")).to_contain_text("200 OK updated")
        stored = another_client(workbench).read("List", LIST).resource
        assert stored["title"] == "Adjustments, as Bob sees them"

    def test_what_a_resource_holds_is_text_and_nothing_else(self, workbench: Page) -> None:
        conflict(workbench, HOSTILE)
        press(workbench, "Reload and compare")
        expect(workbench.locator(".swb-decision")).to_contain_text(HOSTILE)
        workbench.locator(".swb-decision").get_by_role("radio", name="theirs").check()
        expect(workbench.locator(".swb .cm-content")).to_contain_text(HOSTILE)
        expect(workbench.locator(".swb-message").first).to_contain_text("<img src=x")
        expect(workbench.locator(".swb img, .swb script, .cm-content img")).to_have_count(0)
        assert workbench.evaluate("() => window.pwned") is None
        change_meanwhile(workbench, "Reasonable adjustments")
        load(workbench)


class TestExport:
    def test_the_page_saves_the_journal_and_stays(self, workbench: Page) -> None:
        workbench.get_by_role("tab", name="Export").click()
        workbench.get_by_label("File").fill("mine.jsonl")
        with workbench.expect_download() as saved:
            press(workbench, "Download")
        assert saved.value.suggested_filename == "mine.jsonl"
        assert LIST in saved.value.path().read_text(encoding="utf-8")
        load(workbench)


class TestRace:
    def test_it_is_run_watched_and_proved(self, page: Page) -> None:
        page.get_by_role("tab", name="A race").click()
        page.get_by_label("Clients").fill("2")
        page.get_by_label("Updates of each").fill("3")
        press(page, "Start")
        expect(page.locator(".swb-notice:visible")).to_contain_text("Nothing was lost", timeout=60_000)
        expect(page.get_by_text("6 of 6 updates ended")).to_be_visible()


def test_a_kernel_ends_with_its_page(browser: Browser, app: App) -> None:
    """Five reloads leave one kernel, and closing the page leaves none."""
    before = app.kernels()
    page = open_app(browser, app).page
    for _ in range(5):
        page.reload()
        expect(page.locator(".swb .cm-editor")).to_be_visible(timeout=OPEN_DEADLINE)
    wait_for_kernels(app, before + 1)
    page.close(run_before_unload=True)
    wait_for_kernels(app, before)


def wait_for_kernels(app: App, wanted: int) -> None:
    """A kernel takes a moment to end, so look until there are no more than this."""
    deadline = time.monotonic() + 15
    while (found := app.kernels()) > wanted:
        assert time.monotonic() < deadline, f"{found} kernels, not {wanted}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_anybody_out(browser: Browser, app: App, theme: str) -> None:
    """What axe-core finds in every state that a page can be in; and the pictures, taken on the way."""
    opened = open_app(browser, app, theme=theme)
    page = opened.page
    assert serious_findings(page) == []
    conflict(page, "Adjustments, as Bob sees them")
    expect(page.get_by_role("button", name="Reload and compare")).to_be_visible()
    assert serious_findings(page) == []
    press(page, "Reload and compare")
    expect(page.locator(".swb-decision")).to_be_visible()
    assert serious_findings(page) == []
    page.get_by_role("tab", name="Alice and Bob").click()
    assert serious_findings(page) == []
    for step in STORY:
        press(page, step)
    expect_end_of_story(page)
    assert serious_findings(page) == []
    assert opened.strangers(app) == []
    take_picture(page, "conflict-bench.png" if theme == "light" else "conflict-bench-dark.png")
    page.get_by_role("tab", name="A race").click()
    assert serious_findings(page) == []
    page.context.close()


def test_nobody_else_is_asked_for_anything(opened: Opened, app: App) -> None:
    """The last test, so that all of the others have been recorded."""
    assert len(opened.asked) > 10
    assert opened.strangers(app) == []
