"""A headless Chromium of the system's, and pages in it that may neither fail nor fetch."""

import os
import shutil

import pytest

#: Names under which systems have it; ACDC_CHROMIUM is another's path.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: What a page may ask for: itself, and what it made.
HERE = ("file:", "data:", "blob:")


def chromium():
    """The path of a Chromium, or ``None``."""
    return os.environ.get("ACDC_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser():
    """A browser; tests that want one are skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    if (path := chromium()) is None:
        pytest.skip("no Chromium is installed (on Debian: apt-get install chromium), so pages aren't tried in one")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser):
    """``open_page(path, fragment="", **context)``: a page in a context of its own; an error or a request fails."""
    contexts, wrong = [], []

    def opened(path, fragment="", **options):
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(HERE) else wrong.append(asked.url))
        page.goto(f"{path.resolve().as_uri()}#{fragment}")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong, wrong
