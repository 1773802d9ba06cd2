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


@pytest.fixture(scope="session")
def context_of(browser):
    """``context_of(**options)``: a context of these options; pages keep nothing in it, so that tests share it."""
    made = {}

    def context(**options):
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        return made[key]

    return context


@pytest.fixture
def open_page(context_of):
    """``open_page(path, fragment="", **context)``: a page; an error or a request fails."""
    pages, wrong = [], []

    def opened(path, fragment="", **options):
        page = context_of(**options).new_page()
        pages.append(page)
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(HERE) else wrong.append(asked.url))
        page.goto(f"{path.resolve().as_uri()}#{fragment}")
        page.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not wrong, wrong
