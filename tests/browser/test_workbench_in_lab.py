"""The workbench in a real JupyterLab at its usual size: a file browser beside it, and 833 pixels for the notebook."""

from collections.abc import Iterator

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, run_python, set_theme
from playwright.sync_api import Browser, Locator, Page, expect
from voilakit import all_findings

pytestmark = pytest.mark.browser

START = "import workbench as wb\nspine = wb.Endpoint.start(clock=wb.LESSON_START, seed=4)"
OPEN = 'bench = wb.Workbench(spine.client("carol"))\nbench'
AFTER = "\n".join(f"print({number})" for number in range(60))
AGAIN = "spine.set_faults(); bench.tabs.selected_index = 0; bench.load('List', '744eec7d-8951-4722-ad74-dc34e86d4e1a')"
"""Bring the bench back to what it shows when it opens."""


@pytest.fixture(scope="module")
def opened(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A notebook that goes on below the workbench, run from top to bottom."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("frame.ipynb", START, OPEN, AFTER, AFTER))
    run_all(page)
    expect(page.locator(".swb-area-editor .cm-editor")).to_be_visible()
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
    page.locator(".swb-area-editor .cm-line").filter(has_text='"title"').click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(text)
    expect(page.locator(".swb-changes").first).to_contain_text(text)


def test_after_run_all_it_is_in_view_loaded_and_nothing_is_red(opened: Page) -> None:
    expect(button(opened, "Load")).to_be_in_viewport()
    expect(button(opened, "Send PUT")).to_be_in_viewport()
    expect(opened.locator(".swb-area-editor .cm-line").filter(has_text='"title"')).to_be_in_viewport()
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
        ".swb-heading:visible",
        ".swb-message",
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
    expect(page.locator(".swb-area-editor .cm-editor")).to_be_visible()


def test_a_409_offers_the_remedy_where_the_focus_is(page: Page) -> None:
    add_to_title(page, ", reviewed")
    button(page, "Let a colleague change it").click()
    expect(page.locator(".swb-chip").first).to_contain_text("a newer version exists")
    button(page, "Send PUT").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".swb-answer-head")).to_contain_text("409 Conflict")
    expect(page.locator(".swb-answer")).to_contain_text("Bob changed it in step")
    expect(page.get_by_role("alert")).to_contain_text("409 Conflict")
    expect(button(page, "Reload and compare")).to_be_focused()
    expect(button(page, "Reload and compare")).to_be_in_viewport()
    expect(button(page, "Send PUT")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator(".swb-decision")).to_contain_text("title")
    expect(button(page, "Send merged")).to_be_in_viewport()
    expect(page.locator(".swb-send")).to_contain_text("0 of 1 decided")
    page.locator(".swb-decision").get_by_role("radio", name="mine").click()
    button(page, "Send merged").click()
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
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


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "forced"])
def test_axe_finds_nothing_at_all(page: Page, theme: str) -> None:
    """Opened, refused, merging, sent; and each tab."""
    page.emulate_media(forced_colors="active" if theme == "forced" else "none")
    set_theme(page, "JupyterLab Light" if theme == "forced" else theme)
    assert all_findings(page, ".swb") == []
    add_to_title(page, ", seen")
    run_python(page, "bench.let_colleague_change_it()")
    button(page, "Send PUT").click()
    expect(button(page, "Reload and compare")).to_be_focused()
    assert all_findings(page, ".swb") == []
    button(page, "Reload and compare").click()
    mine = page.locator(".swb-decision").get_by_role("radio", name="mine")
    assert all_findings(page, ".swb") == []
    mine.click()
    expect(mine).to_be_checked()
    expect(page.get_by_role("radiogroup", name="Choice for title")).to_be_visible()
    button(page, "Send merged").click()
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
    for name in ("Sequence", "HTTP", "Export", "Transitions"):
        page.get_by_role("tab", name=name).click()
        assert all_findings(page, ".swb") == []
    page.emulate_media(forced_colors="none")
    set_theme(page, "JupyterLab Light")


def test_a_row_that_is_chosen_shows_its_http(page: Page) -> None:
    page.locator(".swb-table .ag-row").first.click()
    response = page.locator(".cm-content[aria-label=Response]")
    expect(response).to_contain_text("HTTP/1.1 200 OK")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button(page, "Copy as Python").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('import requests')")
    page.get_by_role("tab", name="Transitions").click()


def test_the_table_shows_what_matters_whole_and_the_rest_on_demand(page: Page) -> None:
    heads = page.locator(".swb-table .ag-header-cell")
    expect(heads).to_have_text(["seq", "client", "interaction", "If-Match", "ETag after", "status", "verdict"])
    clipped = "(cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"
    assert page.locator(".swb-table .ag-row .ag-cell").evaluate_all(clipped) == []
    last, table = heads.last.bounding_box(), page.locator(".swb-table").bounding_box()
    assert last is not None
    assert table is not None
    assert last["x"] + last["width"] <= table["x"] + table["width"]
    page.get_by_label("All columns").check()
    cell = page.locator('.swb-table .ag-row [col-id="resource"] span[title]').first
    expect(cell).to_have_attribute("title", "List/744eec7d-8951-4722-ad74-dc34e86d4e1a")
    expect(cell).to_have_text("List/744eec7d…")
    page.get_by_label("All columns").uncheck()
    run_python(page, "spine.client('dora').read('List', 'missing')")
    page.get_by_label("Filter Transitions").fill("dora")
    expect(page.locator(".swb-table .ag-row")).to_have_count(1)
    page.get_by_label("Filter Transitions").fill("")


def test_enter_in_the_id_loads(page: Page) -> None:
    page.get_by_label("Id", exact=True).fill("missing")
    page.keyboard.press("Enter")
    expect(page.locator(".swb-answer-head")).to_contain_text("404 Not Found")
    expect(page.get_by_label("Id", exact=True)).to_be_focused()


def reach(page: Page, control: Locator) -> None:
    """Press Tab until the control has the focus."""
    expect(control).to_be_enabled()
    for _ in range(40):
        if control.evaluate("(control) => control === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{control} cannot be reached with the Tab key")


def test_the_whole_job_by_keyboard_alone(page: Page) -> None:
    """200, 409, merge, 200: from the id on, only keys."""
    page.get_by_label("Id", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK read")

    def edit(text: str) -> None:
        page.keyboard.press("Control+f")
        page.keyboard.type('"title"')
        for key in ("Enter", "Escape", "End", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)
        page.keyboard.type(text)
        expect(page.locator(".swb-changes").first).to_contain_text(text)

    reach(page, page.locator(".swb-area-editor .cm-content"))
    edit(", by keys")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
    expect(page.locator(".swb-area-editor .cm-content")).to_be_focused()

    edit(", again")
    page.keyboard.press("Shift+Tab")
    reach_back = button(page, "Let a colleague change it")
    for _ in range(5):
        if reach_back.evaluate("(control) => control === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator(".swb-chip").first).to_contain_text("a newer version exists")
    expect(reach_back).to_be_focused()
    reach(page, button(page, "Send PUT"))
    page.keyboard.press("Enter")
    expect(button(page, "Reload and compare")).to_be_focused()
    page.keyboard.press("Enter")
    mine = page.locator(".swb-decision").get_by_role("radio", name="mine")
    expect(mine).to_be_focused()
    page.keyboard.press("Space")
    reach(page, button(page, "Send merged"))
    page.keyboard.press("Enter")
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
    expect(button(page, "Send PUT")).to_be_focused()


TREE = """
- combobox "Type"
- textbox "Id"
- button "Load"
- button "Search"
- list:
  - listitem: ✓ Load
  - listitem: 2 Edit
  - listitem: 3 Send
- button "Let a colleague change it"
- heading "Resource"
- textbox "JSON of the resource"
- heading "Request"
- radiogroup "If-Match":
  - radio "loaded version" [checked]
  - radio "none"
  - radio "an older version"
  - radio "typed"
- combobox "Method"
- combobox "Prefer"
- button "Add a header"
- region "Request as it is sent"
- button "Send PUT"
- tablist "Views of the exchanges":
  - tab "Transitions" [selected]
  - tab "Sequence"
  - tab "HTTP"
  - tab "Export"
- searchbox "Filter Transitions"
- checkbox "All columns"
- grid "Transitions"
"""


def test_the_accessibility_tree(page: Page) -> None:
    expect(page.locator(".swb")).to_match_aria_snapshot(TREE)


def test_forced_colours_show_what_is_pressed_and_where_things_end(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    page.get_by_role("tab", name="HTTP").click()
    form = page.locator(".widget-toggle-buttons").filter(has_text="readable")
    look = "(button) => { const { backgroundColor, borderTopStyle } = getComputedStyle(button); "
    look += "return [backgroundColor, borderTopStyle]; }"
    pressed = form.get_by_role("button", name="readable").evaluate(look)
    free = form.get_by_role("button", name="as sent").evaluate(look)
    assert pressed[0] != free[0]
    assert pressed[1] == free[1] == "solid"
    assert page.locator(".swb-answer").evaluate(look)[1] == "solid"
    page.emulate_media(forced_colors="none")


def test_a_valid_megabyte_shows_nothing_red(page: Page) -> None:
    run_python(
        page,
        """
import json
entry = [{"item": {"reference": f"Condition/{number:036d}", "display": "x" * 60}} for number in range(8000)]
bench.editor.value = json.dumps(json.loads(bench.editor.value) | {"entry": entry}, indent=2)
assert len(bench.editor.value) > 1_000_000
""",
    )
    editor = page.locator(".swb-area-editor")
    editor.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    expect(editor.locator(".cm-line").first).to_have_text("{")
    expect(page.locator(".swb-steps li").nth(1)).to_have_text("✓ Edit")
    red = ".cm-lint-marker-error, .cm-lintRange-error, .cm-nonmatchingBracket, .swb-bad"
    expect(page.locator(f".swb :is({red}):visible")).to_have_count(0)


def test_unsent_text_survives_the_kernel_and_is_put_back(page: Page) -> None:
    """The last test: it ends the kernel."""
    add_to_title(page, ", not lost")
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    banner = page.locator(".swb-notice").filter(has_text="The kernel stopped or was restarted")
    expect(banner).to_be_visible()
    assert float(page.locator(".swb-area-answer").evaluate("(answer) => getComputedStyle(answer).opacity")) < 1
    broken = "(widget) => getComputedStyle(widget, '::before').content"
    assert page.locator(".swb").evaluate(broken) == "none"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button(page, "Copy my text").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes(', not lost')")
    button(page, "Run the cell again").click()
    expect(page.locator(".jp-OutputArea-output").filter(has_text="NameError")).to_be_visible()

    run_all(page)
    expect(page.get_by_text("Your unsent text from")).to_be_visible()
    expect(page.locator(".swb-area-editor .cm-line").filter(has_text='"title"')).to_contain_text(", not lost")
    assert ", not lost" in kernel_value(page, "bench.editor.value")
    button(page, "Discard it").click()
    expect(page.locator(".swb-area-editor .cm-line").filter(has_text='"title"')).not_to_contain_text(", not lost")
