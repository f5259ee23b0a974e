"""One JupyterLab for all browser tests, and a fresh page for each."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labkit import CHROMIUM_ARGUMENTS, Lab, running_lab
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WINDOW = {"width": 1280, "height": 900}

expect.set_options(timeout=30_000)  # a widget's first view can take longer than the usual five on a busy machine

_PATIENCE = "const limit = AbortSignal.timeout.bind(AbortSignal); AbortSignal.timeout = (ms) => limit(10 * ms);"
"""anywidget gives a widget's module two seconds to load. A browser that shares two cores with all the other tests is
slower than any reader's, so a page's limits are ten times as long here."""


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Find the browser: WORKBENCH_CHROMIUM, or one of the usual names on PATH."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    found = next(filter(None, map(shutil.which, [named] if named else _NAMES)), None)
    if found is not None:
        return found
    reason = f"no browser: none of {', '.join(_NAMES)} is on PATH, and WORKBENCH_CHROMIUM names none"
    if named:
        reason = f"no browser: WORKBENCH_CHROMIUM names {named}, which is not a program"
    if os.environ.get("WORKBENCH_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def lab(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A real JupyterLab; it needs a browser to be of use, hence the order."""
    folder: Path = tmp_path_factory.mktemp("lab")
    with running_lab(folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """A Chromium for one module.

    Not for the session: Playwright keeps an event loop running in this thread for
    as long as it is open, and no test elsewhere could then start one of its own.
    """
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=chromium_path,
            args=list(CHROMIUM_ARGUMENTS),
            ignore_default_args=["--hide-scrollbars"],  # users have them, and they take room
        )
        new_context = chromium.new_context

        def new_patient_context(**options: Any) -> BrowserContext:
            context = new_context(**options)
            context.add_init_script(_PATIENCE)
            return context

        chromium.new_context = new_patient_context
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with storage of its own, 1280 by 900."""
    context = browser.new_context(viewport=_WINDOW)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()
