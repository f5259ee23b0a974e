"""A conflict, met and resolved in a real JupyterLab; and the conflict bench beside it.

With WORKBENCH_SCREENSHOTS=1 it also takes the picture of the merge.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab, kernel_value, open_notebook, run_all, run_python, set_theme
from playwright.sync_api import Browser, Locator, Page, expect
from voilakit import all_findings, serious_findings

pytestmark = pytest.mark.browser

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "merge.png"

WORKBENCH_CELL = """
import workbench as wb

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
if "spine" in globals():
    spine.stop()
spine = wb.Endpoint.start(clock=wb.LESSON_START, seed=3)
alice, bob = spine.client("alice"), spine.client("bob")
bench = wb.Workbench(alice, "List", LIST)

def stored(client=bob):
    return client.read("List", LIST).resource

def bob_changes(title, *needs):
    draft = stored()
    draft["title"] = title
    draft["entry"] += [{"item": {"reference": "Condition/of-bob", "display": need}} for need in needs]
    bob.update(draft).raise_for_verdict(wb.Verdict.UPDATED)

bench
"""

BENCH_CELL = """
conflict = wb.ConflictBench()
conflict
"""

STORY = ("Alice reads", "Bob reads", "Alice edits", "Bob edits", "Alice puts", "Bob puts")
BOBS_TITLE = "Reasonable adjustments (agreed with the patient)"
BOBS_NEED = "Needs information in easy read"
ALICES_ENTRY = {"item": {"reference": "Condition/of-alice", "display": "Needs a hearing loop"}}
HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'></div>"


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: Lab) -> Iterator[Page]:
    """One notebook for all tests here."""
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    # The browser keeps no draft, or the text of the test before would be put back. Drafts have tests of their own.
    context.add_init_script("Storage.prototype.setItem = () => undefined;")
    page = context.new_page()
    open_notebook(page, lab, lab.write_notebook("conflict.ipynb", WORKBENCH_CELL, BENCH_CELL))
    page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    yield page
    context.close()


@pytest.fixture
def page(notebook: Page) -> Page:
    """The notebook with both widgets as they are in the beginning, at an endpoint of their own."""
    run_all(notebook)
    expect(notebook.locator(".swb")).to_have_count(2)
    expect(notebook.locator(".swb .cm-editor")).to_be_visible()
    return notebook


def workbench(page: Page) -> Locator:
    return page.locator(".swb").first


def bench(page: Page) -> Locator:
    return page.locator(".swb").last


def notice(page: Page, text: str) -> Locator:
    """A notice in the widget; the live region repeats its text."""
    return page.locator(".swb-notice").filter(has_text=text)


def press(within: Locator, name: str) -> None:
    within.get_by_role("button", name=name, exact=True).click()


def load(page: Page) -> None:
    """It opens loaded. A click on Load would lock the editor until the answer is there."""
    expect(page.locator(".swb-answer-head")).to_contain_text("200 OK")
    expect(line(page, '"title"')).to_be_visible()


def line(page: Page, text: str) -> Locator:
    return page.locator(".swb .cm-line").filter(has_text=text)


def edit_by_keyboard(page: Page) -> None:
    """Alice changes the title, and adds an entry after the one there is."""
    line(page, '"title"').click()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.type(", reviewed")
    page.keyboard.press("ControlOrMeta+End")  # or that line is not drawn yet
    line(page, "Uses a wheelchair").click()
    for key in ("ArrowDown", "ArrowDown", "End"):
        page.keyboard.press(key)
    page.keyboard.insert_text(f", {json.dumps(ALICES_ENTRY)}")
    expect(page.locator(".swb-changes").first).to_contain_text("Needs a hearing loop")


def meet_a_conflict(page: Page) -> None:
    """Alice loads and edits; Bob is quicker; she sends and gets 409."""
    load(page)
    edit_by_keyboard(page)
    run_python(page, f"bob_changes({BOBS_TITLE!r}, {BOBS_NEED!r})")
    press(workbench(page), "Send PUT")
    expect(page.locator(".swb-answer-head")).to_contain_text("409 Conflict")
    expect(page.locator(".swb-answer")).to_contain_text("Bob changed it in step")


def compare(page: Page) -> Locator:
    """Reload and compare; return the one open conflict."""
    press(workbench(page), "Reload and compare")
    expect(notice(page, "1 open conflict, where you and another client changed the same element.")).to_be_visible()
    row = page.locator(".swb-decision").filter(has_text="title")
    expect(row).to_contain_text("conflict")
    return row


def decide(row: Locator, choice: str) -> None:
    """Choose as a person does. The radio group has the name of the element."""
    row.get_by_role("radiogroup").get_by_role("radio", name=choice, exact=True).check()


def take_picture(page: Page) -> None:
    if os.environ.get("WORKBENCH_SCREENSHOTS") == "1":
        page.set_viewport_size({"width": 1280, "height": 1600})
        page.evaluate("() => document.activeElement.blur()")
        workbench(page).evaluate("(widget) => widget.scrollIntoView()")
        workbench(page).screenshot(path=PICTURE)
        page.set_viewport_size({"width": 1280, "height": 1100})


class TestResolving:
    def test_a_conflict_resolved_by_choosing_keeps_both_entries(self, page: Page) -> None:
        meet_a_conflict(page)
        row = compare(page)
        for value in ('"Reasonable adjustments"', "Reasonable adjustments, reviewed", BOBS_TITLE):
            expect(row).to_contain_text(value)
        expect(workbench(page).get_by_role("button", name="Send merged")).to_be_disabled()
        take_picture(page)
        decide(row, "mine")
        expect(notice(page, "no open conflict")).to_be_visible()
        expect(page.locator(".swb-message").first).to_contain_text("If-Match: ")
        press(workbench(page), "Send merged")
        expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
        expect(page.locator(".swb-decision")).to_have_count(0)
        stored = kernel_value(page, "stored()")
        assert stored["title"] == "Reasonable adjustments, reviewed"
        needs = [entry["item"]["display"] for entry in stored["entry"]]
        assert sorted(needs) == ["Needs a hearing loop", BOBS_NEED, "Uses a wheelchair"]
        verdicts = kernel_value(page, "[x.verdict.value for x in spine.journal if x.interaction == 'update']")
        assert verdicts == ["updated", "stale", "updated"]

    def test_editing_the_merged_text_by_hand_decides_too(self, page: Page) -> None:
        meet_a_conflict(page)
        row = compare(page)
        line(page, '"title"').click()
        for key in ("End", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)
        page.keyboard.type(", by hand")
        expect(notice(page, "You have edited the merged text")).to_be_visible()
        expect(row.get_by_role("radio", name="mine")).to_be_disabled()
        press(workbench(page), "Rebuild from the choices")
        expect(row.get_by_role("radio", name="theirs")).to_be_enabled()
        decide(row, "theirs")
        press(workbench(page), "Send merged")
        expect(page.locator(".swb-answer-head")).to_contain_text("200 OK updated")
        assert kernel_value(page, "stored()['title']") == BOBS_TITLE


class TestMergeView:
    def meet_a_large_conflict(self, page: Page) -> Locator:
        """Bob changes sixty elements that Alice does not, and two that she does."""
        load(page)
        edit_by_keyboard(page)
        line(page, "Uses a wheelchair").click()
        for key in ("End", "ArrowLeft"):
            page.keyboard.press(key)
        page.keyboard.type(" outdoors")
        expect(line(page, "Uses a wheelchair")).to_contain_text('Uses a wheelchair outdoors"')
        run_python(
            page,
            """
draft = stored()
draft["title"] = "Reasonable adjustments 2018"
draft["entry"][0]["item"]["display"] = "Uses a wheelchair indoors"
draft["extension"] = [{"url": f"https://example.org/{n}", "valueInteger": n} for n in range(60)]
bob.update(draft).raise_for_verdict(wb.Verdict.UPDATED)
""",
        )
        press(workbench(page), "Send PUT")
        expect(page.locator(".swb-answer-head")).to_contain_text("409 Conflict")
        press(workbench(page), "Reload and compare")
        merge = workbench(page).locator(".swb-merge")
        expect(merge.get_by_role("status")).to_contain_text("2 open conflicts")
        return merge

    def test_conflicts_first_and_the_rest_folded(self, page: Page) -> None:
        merge = self.meet_a_large_conflict(page)
        expect(merge.get_by_role("radio").first).to_be_focused()
        expect(merge.locator(".swb-decision:visible")).to_have_count(2)
        fold = merge.get_by_text("60 only theirs, taken")
        expect(fold).to_be_visible()
        fold.click()
        expect(merge.locator(".swb-decision:visible")).to_have_count(62)
        title = merge.locator(".swb-decision").filter(has_text="title")
        expect(title.locator("ins")).to_have_text([", reviewed", " 2018"])
        press(merge, "All conflicts: theirs")
        expect(merge).to_contain_text("2 of 2 decided")
        expect(title.get_by_role("radio", name="theirs")).to_be_checked()
        press(workbench(page), "Send merged")
        expect(page.locator(".swb-answer-head")).to_contain_text("200 OK")
        assert kernel_value(page, "stored()['title']") == "Reasonable adjustments 2018"
        assert kernel_value(page, "stored()['entry'][0]['item']['display']") == "Uses a wheelchair indoors"

    def test_what_is_undecided_is_marked_in_the_editor_and_is_not_their_text(self, page: Page) -> None:
        merge = self.meet_a_large_conflict(page)
        marked = page.locator(".swb .cm-lintRange-warning")
        expect(line(page, '"title"')).to_contain_text("⟪undecided: title⟫")
        expect(line(page, '"title"')).not_to_contain_text("2018")
        expect(marked.first).to_contain_text("undecided")
        line(page, '"mode"').click()
        page.keyboard.press("End")
        page.keyboard.type(" ")
        expect(notice(page, "You have edited the merged text")).to_be_visible()
        expect(workbench(page).get_by_role("button", name="Send merged")).to_be_disabled()
        expect(merge.get_by_role("radio").first).to_be_disabled()

    def test_edit_by_keyboard_alone(self, page: Page) -> None:
        merge = self.meet_a_large_conflict(page)
        title = merge.locator(".swb-decision").filter(has_text="title")
        title.get_by_role("radio", name="mine").focus()
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        expect(title.get_by_role("radio", name="edit")).to_be_checked()
        expect(title).to_contain_text("Change the value to decide")
        expect(merge).to_contain_text("0 of 2 decided")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+a")
        page.keyboard.insert_text('"Both titles"')
        page.keyboard.press("Enter")
        expect(merge).to_contain_text("1 of 2 decided")
        expect(line(page, '"title"')).to_contain_text("Both titles")


class TestConflictBench:
    def test_the_story_in_a_notebook(self, page: Page) -> None:
        for step in STORY:
            press(bench(page), step)
        locked, unlocked = bench(page).locator(".swb-card").all()
        expect(locked).to_contain_text("409 Conflict")
        expect(locked).to_contain_text("nothing was lost")
        expect(unlocked.locator(".swb-lost")).to_have_text("Needs a hearing loop lost: Alice got 200")
        assert kernel_value(page, "[loss.client for loss in conflict.unlocked.losses]") == ["alice"]
        assert kernel_value(page, "conflict.locked.losses") == []

    def test_play_plays_it_too(self, page: Page) -> None:
        bench(page).get_by_role("button", name="Play").click()  # an icon is part of its name
        expect(bench(page)).to_contain_text("both entries are there", timeout=30_000)
        expect(bench(page).get_by_role("button", name="Play")).to_be_enabled()

    def test_keys_step_and_present(self, page: Page) -> None:
        """Keys work with the focus in the bench, and none of them reaches the notebook."""
        cells = page.locator(".jp-CodeCell").count()
        press(bench(page), "Alice reads")
        page.keyboard.press("ArrowRight")
        expect(bench(page).locator(".swb-caption").first).to_have_text("Bob reads. 200 OK: Bob has v1.")
        for key in ("x", "d", "d", "b"):
            page.keyboard.press(key)
        assert page.locator(".jp-CodeCell").count() == cells
        page.keyboard.press("p")
        expect(page.locator(".swb-present")).to_be_visible()
        page.wait_for_function("() => document.fullscreenElement !== null")
        expect(page.locator(".swb-present .swb-caption")).to_have_text("Nothing has happened yet.")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".swb-present .swb-caption")).to_have_text("Alice reads. 200 OK: Alice has v1.")
        page.keyboard.press("p")
        expect(page.locator(".swb-present")).to_have_count(0)
        expect(bench(page).get_by_role("button", name="Bob edits")).to_be_visible()


class TestHostileText:
    """What a resource holds is shown as text, wherever it is shown."""

    def test_in_the_workbench(self, page: Page) -> None:
        run_python(page, f"bob_changes({HOSTILE!r}, {HOSTILE!r})")
        load(page)
        press(workbench(page), "Search")
        expect(workbench(page).get_by_role("combobox", name="Found").locator("option").first).to_contain_text(HOSTILE)
        page.locator(".swb .cm-content").click()
        page.keyboard.press("Control+Home")
        page.keyboard.press("End")
        page.keyboard.insert_text(f"{json.dumps(HOSTILE)}: {json.dumps(HOSTILE)},")
        expect(page.locator(".swb-changes code").first).to_contain_text(HOSTILE)
        page.keyboard.press("Control+z")
        page.get_by_label("typed").check()
        page.get_by_placeholder('W/"…"').fill('W/"<img/src=x/onerror=window.pwned=1>"')
        page.keyboard.press("Tab")
        press(workbench(page), "Send PUT")
        expect(page.locator(".swb-answer")).to_contain_text("<img/src=x/onerror=window.pwned=1>")
        expect(page.locator(".swb-table .ag-row").last).to_contain_text("<img/src=x/onerror=window.pwned=1>")
        expect_nothing_ran(page)

    def test_in_the_merge_view(self, page: Page) -> None:
        load(page)
        edit_by_keyboard(page)
        run_python(page, f"bob_changes({HOSTILE!r}, {HOSTILE!r})")
        press(workbench(page), "Send PUT")
        expect(page.locator(".swb-answer-head")).to_contain_text("409 Conflict")
        row = compare(page)
        expect(row).to_contain_text(HOSTILE)
        page.get_by_text("only theirs, taken").click()
        expect(page.locator(".swb-decision").filter(has_text="entry").first).to_contain_text(HOSTILE)
        decide(row, "theirs")
        expect(line(page, '"title"')).to_contain_text(HOSTILE)
        expect_nothing_ran(page)

    def test_in_the_conflict_bench(self, page: Page) -> None:
        run_python(
            page,
            f"""
for play in (conflict.locked, conflict.unlocked):
    mallory = play.endpoint.client("<img src=x onerror='window.pwned=1'>")
    draft = mallory.read(*play.target).resource
    draft["entry"].append({{"item": {{"reference": "Condition/1", "display": {HOSTILE!r}}}}})
    mallory.update(draft).raise_for_verdict(wb.Verdict.UPDATED)
""",
        )
        for step in STORY:
            press(bench(page), step)
        expect(bench(page).locator(".swb-lost")).to_be_visible()
        expect(bench(page).locator(".swb-entries li", has_text=HOSTILE)).to_have_count(6)
        bench(page).get_by_text("Requests and responses").click()
        expect(bench(page).locator(".swb-picture:visible")).to_have_count(2)
        expect_nothing_ran(page)


def expect_nothing_ran(page: Page) -> None:
    expect(page.locator(".swb script")).to_have_count(0)
    expect(page.locator(".swb img[src=x]")).to_have_count(0)
    expect(page.locator(".swb [onerror]")).to_have_count(0)
    assert page.evaluate("() => window.pwned") is None


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_nothing_keeps_anybody_out(page: Page, theme: str) -> None:
    """What axe-core finds in every state that the two widgets can be in."""
    set_theme(page, theme)
    assert serious_findings(page, ".swb") == []
    meet_a_conflict(page)
    assert serious_findings(page, ".swb") == []
    row = compare(page)
    row.get_by_role("radio", name="edit").check()
    expect(row.get_by_role("textbox")).to_be_visible()
    assert all_findings(page, ".swb-merge") == []
    page.emulate_media(forced_colors="active")
    assert all_findings(page, ".swb-merge") == []
    page.emulate_media(forced_colors="none")
    for step in STORY:
        press(bench(page), step)
    expect(bench(page).locator(".swb-lost")).to_be_visible()
    assert all_findings(page, ".swb-stage") == []
    assert serious_findings(page, ".swb") == []
