"""The classroom in a real browser: five phones and the presenter's wall, in light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from classroomkit import CODE, PRESENTER, Room, running_room
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 740}
WALL = {"width": 1280, "height": 720}
ERRORS: list[str] = []
NAMES = ("Alice", "Bob", "Carol", "Dave", "Erin")


@pytest.fixture
def room(browser: Browser) -> Iterator[Room]:
    """A classroom; at its end, no page may have had an error in its script, or have met its own security policy."""
    with running_room() as running:
        ERRORS.clear()
        yield running
        for context in browser.contexts:
            context.close()
    assert ERRORS == []


def open_page(browser: Browser, url: str, size: dict[str, int], scheme: str = "light") -> Page:
    """A page in a new context."""
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.on("pageerror", lambda error: ERRORS.append(str(error)))
    page.on("console", lambda message: ERRORS.append(message.text) if "Content Security" in message.text else None)
    page.goto(url)
    return page


def join(browser: Browser, room: Room, name: str, scheme: str = "light") -> Page:
    page = open_page(browser, room.url, PHONE, scheme)
    page.get_by_label("Code on the screen").fill(CODE.lower())
    page.get_by_label("A name for you").fill(name)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("status")).to_contain_text("You hold version")
    return page


def add(page: Page, text: str) -> None:
    page.get_by_label("Your entry").fill(text)
    page.get_by_role("button", name="Send (PUT)").click()


def is_within(page: Page) -> bool:
    """Whether the page needs no scrolling sideways."""
    within: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return within


def test_five_phones_and_the_presenter(browser: Browser, room: Room) -> None:
    wall = open_page(browser, f"{room.url}#presenter={PRESENTER}", WALL)
    expect(wall).to_have_url(room.url)  # without the token, which the room could read
    wall.reload()
    expect(wall.locator("#code")).to_have_text(CODE)
    expect(wall.locator("#address")).to_have_text(room.url)
    phones = [join(browser, room, name) for name in NAMES]
    expect(wall.locator("#people li")).to_have_text(re.compile(f'W/".+", current \\(5\\): {", ".join(NAMES)}'))

    # With the lock: one of five is accepted.
    for number, phone in enumerate(phones):
        add(phone, f"Entry {number}")
        expect(phone.get_by_role("status")).to_contain_text("409 Conflict" if number else "200 OK")
    expect(phones[1].get_by_role("status")).to_contain_text(re.compile(r'409 Conflict: you sent If-Match W/".+", but'))
    expect(phones[1].get_by_label("Your entry")).to_have_value("Entry 1")
    expect(wall.locator("#refused")).to_have_text("4")
    current, stale = wall.locator("#people li.current"), wall.locator("#people li:not(.current)")
    expect(current).to_have_text(re.compile(r'W/".+", current \(1\): Alice'))
    expect(stale).to_have_text(re.compile(r'W/".+" \(4\): Bob, Carol, Dave, Erin'))

    # Reload, and send again.
    phones[1].get_by_role("button", name="Reload (GET)").click()
    expect(phones[1].locator("#copy")).to_have_text("Entry 0 (Alice)")
    phones[1].get_by_role("button", name="Send (PUT)").click()
    expect(phones[1].get_by_role("status")).to_contain_text("200 OK")
    expect(wall.locator("#entries li")).to_have_text(["Entry 0 (Alice)", "Entry 1 (Bob)"])

    # Without If-Match.
    phones[2].get_by_label("Send If-Match").uncheck()
    phones[2].get_by_role("button", name="Send (PUT)").click()
    expect(phones[2].get_by_role("status")).to_contain_text("412 Precondition Failed")

    # Without the lock: each is accepted, and the others' are lost.
    lock = wall.get_by_role("switch", name="Lock")
    expect(lock).to_be_checked()
    lock.click()
    expect(lock).not_to_be_checked()
    add(phones[3], "Entry 3")
    expect(phones[3].get_by_role("status")).to_contain_text("200 OK")
    expect(wall.locator("#lost li")).to_have_text(["Entry 0 (Alice)", "Entry 1 (Bob)"])
    expect(wall.locator("#lost-count")).to_have_text("2")

    # A new List.
    wall.get_by_role("button", name="Start a new List").click()
    expect(wall.locator("#lost-count")).to_have_text("0")
    add(phones[4], "Entry 4")
    expect(phones[4].get_by_role("status")).to_contain_text("The presenter started a new List")
    assert all(is_within(page) for page in (*phones, wall))


def test_markup_from_a_phone_stays_text(browser: Browser, room: Room) -> None:
    phone = join(browser, room, "<i>Mallory</i>")
    wall = open_page(browser, f"{room.url}#presenter={PRESENTER}", WALL)
    add(phone, "<img src=x onerror=alert(1)>")
    expect(wall.locator("#entries")).to_have_text("<img src=x onerror=alert(1)> (<i>Mallory</i>)")
    expect(phone.locator("#copy")).to_have_text("<img src=x onerror=alert(1)> (<i>Mallory</i>)")
    assert wall.locator("main img, main i").count() == phone.locator("main img, main i").count() == 0


def test_a_wrong_code_a_reload_and_the_end(browser: Browser, room: Room) -> None:
    phone = open_page(browser, room.url, PHONE)
    phone.get_by_label("Code on the screen").fill("WRONG")
    phone.get_by_label("A name for you").fill("Alice")
    phone.get_by_role("button", name="Join").click()
    expect(phone.get_by_role("status")).to_contain_text("The code is wrong")
    phone.get_by_label("Code on the screen").fill(CODE)
    phone.get_by_role("button", name="Join").click()
    expect(phone.get_by_role("status")).to_contain_text("You hold version")
    phone.reload()  # the tab keeps its token
    expect(phone.locator("#name")).to_have_text("Alice")

    phone.context.set_offline(True)
    add(phone, "Tea")
    expect(phone.get_by_role("status")).to_contain_text("No answer: the classroom has ended, or the network is down.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Browser, room: Room, scheme: str) -> None:
    """Each text has a contrast of at least 4.5 to its background (WCAG 2.2, 1.4.3), in both schemes."""
    phone = join(browser, room, "Alice", scheme)
    room.phone("Bob")  # holds a stale version in the end
    wall = open_page(browser, f"{room.url}#presenter={PRESENTER}", WALL, scheme)
    add(phone, "Tea")
    expect(wall.locator("#entries")).to_have_text("Tea (Alice)")
    room.presenter().post("/api/lock", locked=False)
    room.phone("Carol").post("/api/add", text="Water")
    add(phone, "Coffee")
    expect(wall.locator("#lost")).to_have_text("Water (Carol)")
    for page in (phone, wall):
        page.mouse.move(0, 0)
        assert page.evaluate(LOW_CONTRAST) == []


LOW_CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = channels(colour).map((channel) => linear(channel / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const [one, other] = [luminance(getComputedStyle(element).color), luminance(background(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) low.push(`${element.id || element.tagName} ${contrast.toFixed(2)}`);
  }
  return low;
}"""
