"""The two widgets in a real JupyterLab, used as a person would use them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, run_python, set_theme
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect
from voilakit import serious_findings

pytestmark = pytest.mark.browser

EDITOR_CELL = """
from IPython.display import display
from ipywidgets import Button
from workbench.widgets.editor import JsonEditor, utf16_offset
from workbench.widgets.table import LiveTable

clicked, submitted, chosen = [], [], []
editor = JsonEditor("{}", label="Resource", height="14rem")
editor.on_submit(lambda editor: submitted.append(editor.value))
button = Button(description="Act on the text")
button.on_click(lambda _: clicked.append(editor.value))

def mark(part):
    start = utf16_offset(editor.value, editor.value.index(part))
    end = start + utf16_offset(part, len(part))
    editor.diagnostics = [{"from": start, "to": end, "severity": "error", "message": "wrong"}]

display(button, editor, editor)
"""

TABLE_CELL = """
table = LiveTable(
    [
        {"key": "n", "title": "Number", "align": "right", "width": 110},
        {"key": "url", "title": "URL", "mono": True},
        {"key": "status", "title": "Status", "align": "right", "width": 110},
    ],
    label="Requests",
    empty="No request yet",
)
table.on_select(chosen.append)

def rows(start, stop):
    tones = "good", "bad", "warn", "neutral"
    return [{"n": n, "url": f"/Flag/{n}", "status": 200, "_tone": tones[n % 4]} for n in range(start, stop)]

display(table)
"""


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Lab) -> Iterator[Page]:
    """One open notebook for all tests here: each starts by setting the text or the rows it needs."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints = listen_for_complaints(page)
    path = lab.write_notebook("widgets.ipynb", EDITOR_CELL, TABLE_CELL)
    open_notebook(page, lab, path)
    run_all(page)
    expect(page.locator(".swb-editor")).to_have_count(2)
    yield page
    context.close()
    assert complaints == []


def listen_for_complaints(page: Page) -> list[str]:
    """Collect uncaught errors, and what the grid says is missing from its set-up."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "AG Grid" in message.text:
            complaints.append(message.text)

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", heard)
    return complaints


def eventually(page: Page, look: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until the kernel has come to agree; unlike the page, it cannot be watched."""
    for _ in range(int(seconds / 0.05)):
        if look():
            return
        page.wait_for_timeout(50)
    assert look()


def kernel_has(page: Page, expression: str, value: Any) -> None:
    eventually(page, lambda: kernel_value(page, expression) == value)


def content(page: Page, view: int = 0) -> Locator:
    return page.locator(".swb-editor .cm-content").nth(view)


def set_text(page: Page, text: str) -> None:
    run_python(page, f"editor.value = {text!r}; editor.diagnostics = []")
    for view in (0, 1):
        expect(content(page, view)).to_have_text(text)


def type_over(page: Page, text: str, view: int = 0) -> None:
    """Replace the text as a user does, in one piece: keys one by one would meet the auto-closing of brackets."""
    content(page, view).click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def set_rows(page: Page, count: int) -> None:
    page.locator(".swb-table").scroll_into_view_if_needed()
    run_python(page, f"table.replace(rows(0, {count}))")
    last = str(count - 1)
    expect(page.locator(".swb-table .ag-row").last.locator('[col-id="n"]')).to_have_text(last)


def column(page: Page, key: str) -> list[str]:
    return page.locator(f'.swb-table .ag-row [col-id="{key}"]').all_inner_texts()


class TestEditor:
    def test_typed_text_reaches_the_kernel(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        type_over(notebook, '{"naïve": "😀"}')
        kernel_has(notebook, "editor.value", '{"naïve": "😀"}')

    def test_a_click_finds_the_text_typed_just_before_it(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        run_python(notebook, "clicked.clear()")
        type_over(notebook, '{"typed": "just now"}')
        notebook.get_by_role("button", name="Act on the text").click()
        kernel_has(notebook, "clicked", ['{"typed": "just now"}'])

    def test_ctrl_enter_submits_the_text(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        run_python(notebook, "submitted.clear()")
        type_over(notebook, "[1, 2]")
        notebook.keyboard.press("ControlOrMeta+Enter")
        kernel_has(notebook, "submitted", ["[1, 2]"])

    def test_two_views_show_the_same_as_it_is_typed(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        type_over(notebook, "[1]", view=0)
        expect(content(notebook, 1)).to_have_text("[1]")
        type_over(notebook, "[2]", view=1)
        expect(content(notebook, 0)).to_have_text("[2]")
        kernel_has(notebook, "editor.value", "[2]")

    def test_python_replaces_the_text_and_one_undo_brings_it_back(self, notebook: Page) -> None:
        set_text(notebook, '{"a": 1}')
        set_text(notebook, '["quite", "another"]')
        content(notebook).click()
        notebook.keyboard.press("ControlOrMeta+z")
        expect(content(notebook)).to_have_text('{"a": 1}')
        kernel_has(notebook, "editor.value", '{"a": 1}')

    def test_text_typed_while_python_replaces_it_is_dropped(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        revision = kernel_value(notebook, "editor._revision")
        run_python(
            notebook,
            f"""
            editor.value = "[3]"
            editor._receive(editor, {{"kind": "text", "text": "late", "revision": {revision}, "edit": "x-1"}}, [])
            """.replace("\n" + " " * 12, "\n"),
        )
        expect(content(notebook)).to_have_text("[3]")
        assert kernel_value(notebook, "editor.value") == "[3]"

    def test_a_finding_is_drawn_where_it_belongs(self, notebook: Page) -> None:
        set_text(notebook, '{"😀": tru}')
        run_python(notebook, "mark('tru')")
        for view in (0, 1):
            marked = notebook.locator(".swb-editor").nth(view).locator(".cm-lintRange-error")
            expect(marked).to_have_text("tru")
        run_python(notebook, "editor.diagnostics = []")
        expect(notebook.locator(".cm-lintRange-error")).to_have_count(0)

    def test_a_finding_about_an_older_text_is_not_drawn(self, notebook: Page) -> None:
        set_text(notebook, '{"a": 1}')
        run_python(notebook, "mark('a'); stale = editor._diagnostics")
        expect(notebook.locator(".cm-lintRange-error").first).to_have_text("a")
        set_text(notebook, '{"b": 2}')
        run_python(notebook, "editor._diagnostics = stale; editor.label = 'Changed after it'")
        expect(content(notebook)).to_have_attribute("aria-label", "Changed after it")
        expect(notebook.locator(".cm-lintRange-error")).to_have_count(0)

    def test_tab_leaves_and_labs_shortcuts_stay_out(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        content(notebook, 1).click()
        cells = notebook.locator(".jp-Notebook-cell").count()
        for key in ("Escape", "d", "d", "Escape", "a"):
            notebook.keyboard.press(key)
        expect(content(notebook)).to_have_text(re.compile("dda|ad"))
        assert notebook.locator(".jp-Notebook-cell").count() == cells
        notebook.keyboard.press("Tab")
        expect(content(notebook, 1)).not_to_be_focused()

    def test_a_read_only_text_stays_as_it_is(self, notebook: Page) -> None:
        set_text(notebook, "[4]")
        run_python(notebook, "editor.read_only = True")
        expect(content(notebook)).to_have_attribute("aria-readonly", "true")
        type_over(notebook, "[5]")
        expect(content(notebook)).to_have_text("[4]")
        run_python(notebook, "editor.read_only = False")
        expect(content(notebook)).to_have_attribute("aria-readonly", "false")

    def test_a_megabyte_stays_editable(self, notebook: Page) -> None:
        set_text(notebook, "{}")
        entries = [{"id": f"n{number}", "text": "x" * 60} for number in range(11_000)]
        document = json.dumps(entries, indent=1)
        assert len(document) > 1_000_000
        content(notebook).click()
        notebook.keyboard.press("ControlOrMeta+a")
        content(notebook).evaluate(
            """(element, text) => {
                const clipboardData = new DataTransfer();
                clipboardData.setData("text/plain", text);
                element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
            }""",
            document,
        )
        kernel_has(notebook, "len(editor.value)", len(document))
        notebook.keyboard.type("typed at the end")
        kernel_has(notebook, "editor.value[-16:]", "typed at the end")
        run_python(notebook, "editor.value = '{}'")
        expect(content(notebook)).to_have_text("{}")


def scroll_up(page: Page, until_gone: str) -> None:
    """Turn the wheel until a row is out of sight, as a user does: with slow frames, the grid undoes one turn."""
    row = page.get_by_role("gridcell", name=until_gone, exact=True)
    for _ in range(5):
        page.locator(".swb-table .ag-row").last.hover()
        page.mouse.wheel(0, -600)
        with suppress(AssertionError):
            expect(row).to_have_count(0, timeout=3_000)
            return
    expect(row).to_have_count(0)


class TestTable:
    def test_an_empty_table_says_so(self, notebook: Page) -> None:
        run_python(notebook, "table.replace([])")
        expect(notebook.locator(".swb-table")).to_contain_text("No request yet")

    def test_the_newest_row_is_in_view_until_the_user_scrolls_up(self, notebook: Page) -> None:
        set_rows(notebook, 100)
        run_python(notebook, "table.append(rows(100, 101))")
        expect(notebook.get_by_role("gridcell", name="/Flag/100", exact=True)).to_be_in_viewport()
        scroll_up(notebook, until_gone="/Flag/100")
        seen = column(notebook, "n")
        run_python(notebook, "table.append(rows(101, 102))")
        expect(notebook.get_by_role("grid", name="Requests")).to_have_attribute("aria-rowcount", "103")
        assert column(notebook, "n") == seen

    def test_sorting_is_by_number_with_what_is_missing_last(self, notebook: Page) -> None:
        run_python(notebook, "table.replace([{'n': n, 'url': 'x'} for n in (10, None, 9, 2.5, -1)])")
        expect(notebook.locator(".swb-table .ag-row")).to_have_count(5)
        header = notebook.get_by_role("columnheader", name="Number")
        header.click()
        expect(header).to_have_attribute("aria-sort", "ascending")
        assert column(notebook, "n") == ["-1", "2.5", "9", "10", ""]
        run_python(notebook, "table.append([{'n': 3, 'url': 'x'}])")
        expect(notebook.locator(".swb-table .ag-row")).to_have_count(6)
        assert column(notebook, "n") == ["-1", "2.5", "3", "9", "10", ""]
        header.press("Enter")
        expect(header).to_have_attribute("aria-sort", "descending")
        assert column(notebook, "n") == ["10", "9", "3", "2.5", "-1", ""]
        header.press("Enter")
        expect(header).to_have_attribute("aria-sort", "none")
        assert column(notebook, "n") == ["10", "", "9", "2.5", "-1", "3"]

    def test_markup_is_shown_as_text(self, notebook: Page) -> None:
        hostile = "<img src=x onerror=alert(1)>"
        run_python(notebook, f"table.replace([{{'n': 1, 'url': {hostile!r}}}])")
        expect(notebook.locator('.swb-table .ag-row [col-id="url"]')).to_have_text(hostile)
        expect(notebook.locator(".swb-table img")).to_have_count(0)

    def test_a_click_and_enter_choose_a_row(self, notebook: Page) -> None:
        set_rows(notebook, 5)
        run_python(notebook, "chosen.clear()")
        notebook.get_by_role("gridcell", name="/Flag/2").click()
        kernel_has(notebook, "chosen", [2])
        notebook.keyboard.press("ArrowDown")
        notebook.keyboard.press("Enter")
        kernel_has(notebook, "chosen", [2, 3])

    def test_ten_thousand_rows_and_one_more(self, notebook: Page) -> None:
        set_rows(notebook, 10_000)
        run_python(notebook, "table.append(rows(10_000, 10_001))")
        expect(notebook.get_by_role("gridcell", name="/Flag/10000")).to_be_in_viewport()
        assert notebook.locator(".swb-table .ag-row").count() < 100, "only what is in sight is in the page"


class TestBoth:
    @pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
    def test_nothing_keeps_anybody_out(self, notebook: Page, theme: str) -> None:
        set_text(notebook, '{"text": [1, true, null, "x"]}')
        set_rows(notebook, 8)
        run_python(notebook, "mark('1')")
        set_theme(notebook, theme)
        assert serious_findings(notebook, ".swb-editor") == []
        assert serious_findings(notebook, ".swb-table") == []

    def test_a_second_window_and_a_reload_show_what_is_there_now(self, notebook: Page, lab: Lab, page: Page) -> None:
        set_rows(notebook, 3)
        set_text(notebook, "{}")
        type_over(notebook, '{"typed": 1}')
        kernel_has(notebook, "editor.value", '{"typed": 1}')
        run_python(notebook, "mark('typed')")
        notebook.evaluate("() => jupyterapp.commands.execute('docmanager:save')")

        open_notebook(page, lab, "widgets.ipynb")
        expect(content(page)).to_have_text('{"typed": 1}')
        expect(page.locator(".cm-lintRange-error").first).to_have_text("typed")
        expect(page.locator(".swb-table .ag-row")).to_have_count(3)

        type_over(page, '{"typed": 2}')
        expect(content(notebook)).to_have_text('{"typed": 2}')
        type_over(notebook, '{"typed": 3}')
        expect(content(page)).to_have_text('{"typed": 3}')
        kernel_has(notebook, "editor.value", '{"typed": 3}')

        open_notebook(page, lab, "widgets.ipynb")
        expect(content(page)).to_have_text('{"typed": 3}')
